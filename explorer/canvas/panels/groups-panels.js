// @wing structure
/** Groups lost in pairs: scores of the guesses, what became of each group, where groups hide, and a judge that learns live. */
(() => {
  "use strict";

  const { groups } = HS;
  const still = { resize() {}, destroy() {} };

  // --------------------------------------------------------------------------------------------------------- scores

  function mountScores(el, store) {
    const table = HS.el("table", { class: "hs-table" });
    const note = HS.chart.note(el);
    el.append(table);

    function draw() {
      const { scores } = store.payload.extras;
      const session = groups.sessionOf(store);
      const { layer } = store;
      const truth = new Set(layer.groups.map(groups.key));
      const right = session.mine.filter((group) => truth.has(groups.key(group))).length;
      const mine = session.mine.length ? [["you", { guessed: session.mine.length, precision: right / session.mine.length, recall: right / truth.size, jaccard: groups.jaccard(session.mine, layer.groups) }]] : [];
      const learned = session.learned ? [["learned here", { ...session.learned, guessed: session.learned.guess.length }]] : [];
      const rows = [...mine, ...learned, ...Object.entries(scores)].sort((a, b) => b[1].jaccard - a[1].jaccard);
      const head = HS.el("thead", {}, HS.el("tr", {}, ...["guess", "groups", "right", "found", "Jaccard"].map((word) => HS.el("th", {}, word))));
      const line = ([name, one]) => HS.el("tr", {}, HS.el("th", {}, name === "you" ? HS.el("b", {}, "you") : name), ...[String(one.guessed), HS.percent(one.precision), HS.percent(one.recall), one.jaccard.toFixed(2)].map((text) => HS.el("td", {}, text)));
      table.replaceChildren(head, HS.el("tbody", {}, ...rows.map(line)));
      note(`All are given only the pairs. A group counts when every member is right: “right” is the share of the guesses that are groups, “found” the share of the ${layer.groups.length} groups that were guessed.`);
    }

    draw();
    return { ...still, draw: (changed) => ["payload", "groups", "answer"].some((name) => changed.has(name)) && draw() };
  }

  HS.panel({ name: "groups-scores", kind: "groups", title: "Guesses", available: () => true, mount: mountScores });

  // ----------------------------------------------------------------------------------------------------------- fate

  function mountFate(el, store) {
    const list = HS.el("ul", { class: "hs-measures" });
    const note = HS.chart.note(el);
    el.append(list);

    function row(colour, words, text, press) {
      return HS.el("li", {}, HS.el("button", { type: "button", class: "hs-fate", onclick: press }, HS.el("i", { class: "hs-fate-mark", style: `background:${colour}` }), HS.el("span", {}, text, " ", HS.el("span", { class: "hs-hint" }, words))));
    }

    function draw() {
      const { layer } = store;
      const { fate, fakes, worlds } = store.payload.extras;
      const count = (name) => fate.filter((one) => one === name).length;
      note(`${count("intact")} of ${layer.groups.length} groups can be read off the pairs, ${count("nested")} hide in a larger group, ${count("covered")} in a larger clique; ${HS.plural(fakes.length, "clique")} never met as a group.`);
      const chosen = store.look.club;
      const mine = layer.groups.map((members, club) => [members, club]).filter(([, club]) => chosen === null || club === chosen).filter(([, club]) => chosen !== null || fate[club] !== "intact");
      const faked = chosen === null ? fakes : [];
      const brief = (members) => (members.length > 7 ? `${groups.membersText(store, members.slice(0, 6))} and ${members.length - 6} more` : groups.membersText(store, members));
      const worldsOf = (club) => (worlds[club] !== null && fate[club] === "intact" ? ` At least 10^${worlds[club]} collections of groups would leave the same pairs here.` : "");
      list.replaceChildren(
        ...faked.slice(0, 12).map((fake) => row(groups.FATE.fake, fake.by.length ? `never met; faked by ${fake.by.map((one) => `{${brief(one)}}`).join(" ")}` : "never met", brief(fake.members), () => store.set({ hulls: "fate", shutter: 0 }))),
        ...mine.slice(0, 20).map(([members, club]) => row(groups.FATE[fate[club]], `${groups.FATE_WORDS[fate[club]]}.${worldsOf(club)}`, brief(members), () => store.set({ club: chosen === club ? null : club, hulls: "fate", shutter: 0 }))),
      );
    }

    draw();
    return { ...still, draw: (changed) => ["payload", "club"].some((name) => changed.has(name)) && draw() };
  }

  HS.panel({ name: "groups-fate", kind: "groups", title: "What is lost", available: () => true, mount: mountFate });

  // ------------------------------------------------------------------------------------------------------------ rho

  function mountRho(el, store) {
    const { chart } = HS;
    let budget = 1; // share of the way to sampling every cell, on a root scale
    const slider = HS.inputs.range({ label: "Budget of the sampler", hint: "How many sets may be tried, the cells with the most groups per set first", min: 0, max: 1, step: 0.01, value: budget, format: () => `${allowed().toLocaleString("en")} sets`, oninput: (value) => ((budget = value), board.draw(true), words()) });
    el.append(slider.element);
    const board = chart.board(el, { label: "Share of k-sets inside n-cliques that are groups", height: (width) => Math.min(280, width * 0.85), base });
    const note = chart.note(el);

    /** [n, k, sets to try, groups that they hold], in the order of the sampler. */
    function cells() {
      return store.payload.extras.sampler || [];
    }

    function allowed() {
      const all = cells().reduce((sum, [, , subsets]) => sum + subsets, 0);
      return Math.round(all * budget * budget);
    }

    /** The cells that the budget pays for, in their order: [{n, k, share}]. */
    function paid() {
      let left = allowed();
      const found = [];
      for (const [n, k, subsets, groups_] of cells()) {
        if (left <= 0) break;
        found.push({ n, k, share: Math.min(1, left / subsets), groups: groups_, subsets });
        left -= subsets;
      }
      return found;
    }

    function table(ctx, rho, x, y, side, c, title, lit) {
      const size = rho.length - 2; // 2 … N
      chart.text(ctx, title, x, y - 4, c.ink);
      if (size < 1) return;
      const cell = side / size;
      for (let n = 2; n < rho.length; n++) {
        for (let k = 2; k <= n; k++) {
          const value = rho[n][k];
          ctx.fillStyle = value > 0 ? HS.ramp("viridis", Math.sqrt(value)) : c.line;
          ctx.fillRect(x + (k - 2) * cell, y + (n - 2) * cell, cell - 1, cell - 1);
          if (cell > 24 && value > 0) chart.text(ctx, value >= 0.995 ? "1" : value.toFixed(2).slice(1), x + (k - 1.5) * cell, y + (n - 1.5) * cell, value > 0.3 ? "#10141a" : "#ffffff", "center", "middle");
        }
        chart.text(ctx, String(n), x - 4, y + (n - 1.5) * cell, c.muted, "right", "middle");
        chart.text(ctx, String(n), x + (n - 1.5) * cell, y + side + 4, c.muted, "center", "top");
      }
      for (const one of lit.filter(({ n }) => n < rho.length)) {
        [ctx.strokeStyle, ctx.lineWidth] = [c.listen, 2.5];
        ctx.strokeRect(x + (one.k - 2) * cell + 1, y + (one.n - 2) * cell + 1, cell - 3, cell - 3);
      }
      chart.text(ctx, "size of the group k", x + side / 2, y + side + 18, c.muted, "center", "top");
    }

    function base(ctx, width, height, c) {
      const { learned } = groups.sessionOf(store);
      const other = learned && learned.rho;
      const side = Math.min(height - 60, other ? (width - 70) / 2 : width - 50);
      chart.upright(ctx, "size of the clique n", 8, 22 + side / 2, c.muted);
      table(ctx, store.payload.extras.rho, 32, 22, side, c, "these groups", paid());
      if (other) table(ctx, other, 32 + side + 32, 22, side, c, "the example", []);
    }

    function words() {
      const chosen = paid();
      const found = chosen.reduce((sum, one) => sum + Math.floor(one.share * one.groups), 0);
      const all = store.layer.groups.length;
      note(`ρ(n, k): of all sets of k people inside the largest cliques of n, the share that is a group (root scale, grey: none). Framed: the ${HS.plural(chosen.length, "cell")} that ${allowed().toLocaleString("en")} tries pay for; they hold ${found} of the ${all} groups (${HS.percent(found / all)}).`);
    }

    words();
    return {
      draw(changed) {
        board.draw(["payload", "answer", "theme"].some((name) => changed.has(name)));
        if (changed.has("payload")) {
          slider.set(budget);
          words();
        }
      },
      resize: () => board.resize(),
      destroy() {},
    };
  }

  HS.panel({ name: "groups-rho", kind: "groups", title: "Where they hide", available: () => true, mount: mountRho });

  // ----------------------------------------------------------------------------------------------------- candidates

  const SHOWN = 12;

  function mountCandidates(el, store) {
    const { chart } = HS;
    const note = chart.note(el);
    const list = HS.el("ul", { class: "hs-measures" });
    const title = HS.el("p", { class: "hs-hint" });
    const board = chart.board(el, { label: "What speaks for and against a candidate", height: () => 9 * 26 + 26, base });
    el.prepend(list);
    el.append(title);
    let chosen = 0;

    const all = () => store.payload.extras.candidates;

    function row(one, i) {
      const press = () => {
        chosen = i;
        draw();
        board.draw(true);
      };
      return HS.el("li", {}, HS.el("button", { type: "button", class: "hs-fate", "aria-pressed": String(i === chosen), onclick: press },
        HS.el("i", { class: "hs-fate-mark", style: `background:${one.right ? groups.FATE.intact : groups.FATE.fake}` }),
        HS.el("span", {}, HS.el("b", { class: "hs-num" }, HS.percent(one.p)), " ", groups.membersText(store, one.members), HS.el("span", { class: "hs-hint" }, one.right ? " is a group" : " is none"))));
    }

    /** Bars from the middle: what each feature adds to the log-odds, its value as counted beside its name. */
    function base(ctx, width, height, c) {
      const one = all()[chosen];
      if (!one) return;
      const { features } = store.payload.extras;
      const most = Math.max(0.5, ...one.pushes.map(Math.abs));
      const [left, right, top] = [8, width - 8, 4];
      const middle = (left + right) / 2;
      const scale = (right - left) / 2 / most;
      one.pushes.forEach((push, i) => {
        const y = top + 26 * i;
        chart.text(ctx, `${features[i]}: ${HS.show(one.raw[i])}`, left, y + 9, c.ink);
        ctx.fillStyle = push >= 0 ? "#d55e00" : "#0072b2";
        ctx.fillRect(push >= 0 ? middle : middle + push * scale, y + 13, Math.max(1, Math.abs(push) * scale), 8);
      });
      chart.line(ctx, middle, top + 10, middle, top + 9 * 26, c.muted, 1);
      chart.text(ctx, `against  ←  log-odds, ±${most.toFixed(1)}  →  for`, middle, top + 9 * 26 + 6, c.muted, "center", "top");
    }

    function draw() {
      const listed = all();
      chosen = Math.min(chosen, Math.max(0, listed.length - 1));
      list.replaceChildren(...listed.slice(0, SHOWN).map(row));
      const over = listed.filter((one) => one.p > 0.5);
      note(`The judge takes what it holds for likelier than not: ${HS.plural(over.length, "candidate")}, of which ${over.filter((one) => one.right).length} are groups. Press one to see what spoke for it.`);
      title.textContent = "Each feature against that of a mean candidate of these groups: orange adds to the odds, blue takes away (integrated gradients of the judge). The value stands as it was counted.";
    }

    draw();
    return {
      draw(changed) {
        if (changed.has("payload")) chosen = 0;
        board.draw(["payload", "theme"].some((name) => changed.has(name)));
        if (changed.has("payload")) draw();
      },
      resize: () => board.resize(),
      destroy() {},
    };
  }

  HS.panel({ name: "groups-candidates", kind: "groups", title: "Candidates", available: (store) => store.payload.extras.candidates.length > 0, mount: mountCandidates });

  // ---------------------------------------------------------------------------------------------------------- learn

  function mountLearn(el, store) {
    const { chart } = HS;
    let history = [];
    const button = HS.el("button", { type: "button", class: "hs-button hs-primary", onclick: press }, "Learn");
    el.append(button);
    const board = chart.board(el, { label: "Jaccard of the guess while learning", height: () => 140, base });
    const note = chart.note(el);

    function press() {
      if (store.asking("stream")) store.stop();
      else {
        history = [];
        store.ask("stream", { question: "learn" });
      }
      draw();
    }

    const stop = store.onAnswer("stream", (answer) => {
      if (answer.question !== "learn") return;
      if (answer.result && !answer.done) history.push(answer.result);
      board.draw(true);
      draw();
    });

    function base(ctx, width, height, c) {
      const top = Math.max(0.3, ...history.map((frame) => Math.max(frame.jaccard, frame.cliques))) * 1.1;
      const p = chart.plot(width, height, { left: 40, top: 8, right: 8, bottom: 32 }, [0, 400], [0, top]);
      chart.axisY(ctx, p, "Jaccard", c, { format: (v) => v.toFixed(2) });
      chart.axisX(ctx, p, "rounds of learning", c, { wanted: 4 });
      if (!history.length) return;
      chart.line(ctx, p.x, p.py(history[0].cliques), p.x + p.width, p.py(history[0].cliques), c.muted, 1.5, [4, 3]);
      ctx.beginPath();
      history.forEach((frame, i) => (i ? ctx.lineTo(p.px(frame.epoch), p.py(frame.jaccard)) : ctx.moveTo(p.px(frame.epoch), p.py(frame.jaccard))));
      [ctx.strokeStyle, ctx.lineWidth] = [c.accent, 2];
      ctx.stroke();
    }

    function draw() {
      const last = history[history.length - 1];
      const fits = store.payload.controls.values.source === "clubs";
      button.textContent = store.asking("stream") ? "Stop" : "Learn";
      button.disabled = !store.host.live || !fits;
      if (!fits) note("Learning needs a second example of the same kind: choose the clubs.");
      else if (!last) note("A fresh judge learns from other clubs of the same kind and guesses these as it goes. The parts of made-up clubs are drawn at random, so there is little habit to learn.");
      else note(`Round ${last.epoch}: Jaccard ${last.jaccard.toFixed(2)} (dashed: every largest clique, ${last.cliques.toFixed(2)}). ${last.jaccard > last.cliques ? "Learning helps here." : "Learning does not help here: random parts follow no habit."}`);
    }

    draw();
    return {
      draw(changed) {
        if (changed.has("payload")) history = [];
        board.draw(["payload", "theme"].some((name) => changed.has(name)));
        if (["payload", "answer"].some((name) => changed.has(name))) draw();
      },
      resize: () => board.resize(),
      destroy: stop,
    };
  }

  HS.panel({ name: "groups-learn", kind: "groups", title: "Learn here", available: () => true, mount: mountLearn });
})();
