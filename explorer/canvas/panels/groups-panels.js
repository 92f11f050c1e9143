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
      const worldsOf = (club) => (worlds[club] !== null && fate[club] === "intact" ? ` At least 10^${worlds[club]} collections of groups would leave the same pairs here.` : "");
      list.replaceChildren(
        ...faked.slice(0, 12).map((fake) => row(groups.FATE.fake, fake.by.length ? `never met; faked by ${fake.by.map((one) => `{${groups.membersText(store, one)}}`).join(" ")}` : "never met", groups.membersText(store, fake.members), () => store.set({ hulls: "fate", shutter: 0 }))),
        ...mine.slice(0, 20).map(([members, club]) => row(groups.FATE[fate[club]], `${groups.FATE_WORDS[fate[club]]}.${worldsOf(club)}`, groups.membersText(store, members), () => store.set({ club: chosen === club ? null : club, hulls: "fate", shutter: 0 }))),
      );
    }

    draw();
    return { ...still, draw: (changed) => ["payload", "club"].some((name) => changed.has(name)) && draw() };
  }

  HS.panel({ name: "groups-fate", kind: "groups", title: "What is lost", available: () => true, mount: mountFate });

  // ------------------------------------------------------------------------------------------------------------ rho

  function mountRho(el, store) {
    const { chart } = HS;
    const board = chart.board(el, { label: "Share of k-sets inside n-cliques that are groups", height: (width) => Math.min(280, width * 0.85), base });
    const note = chart.note(el);

    function table(ctx, rho, x, y, side, c, title) {
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
      chart.text(ctx, "size of the group k", x + side / 2, y + side + 18, c.muted, "center", "top");
    }

    function base(ctx, width, height, c) {
      const { learned } = groups.sessionOf(store);
      const other = learned && learned.rho;
      const side = Math.min(height - 60, other ? (width - 70) / 2 : width - 50);
      chart.upright(ctx, "size of the clique n", 8, 22 + side / 2, c.muted);
      table(ctx, store.payload.extras.rho, 32, 22, side, c, "these groups");
      if (other) table(ctx, other, 32 + side + 32, 22, side, c, "the example");
    }

    note("ρ(n, k): of all sets of k people inside the largest cliques of n, the share that is a group. Root scale, from dark (few) to light (all); grey: none.");
    return { draw: (changed) => board.draw(["payload", "answer", "theme"].some((name) => changed.has(name))), resize: () => board.resize(), destroy() {} };
  }

  HS.panel({ name: "groups-rho", kind: "groups", title: "Where they hide", available: () => true, mount: mountRho });

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
