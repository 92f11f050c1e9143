// @wing structure
/**
 * The arena: one question, one graph, and what every network says of it, side by side with the truth and with the visitor.
 *
 * HS.arena.of(store)        the session: {nodes, edges, places, answers(), picture, tool, undo, …}, see `fresh`
 * HS.arena.rounds           what the visitor has played, kept for the session of the browser
 * HS.createArena(element, store)   the part of the page in the place of the prediction
 */
(() => {
  "use strict";

  const KEY = "hyperscope rounds";
  const MOST_ROUNDS = 500;
  const FIRST = 6; // rows before "all"
  const BAND_WORDS = { id: "as trained", near: "near", far: "far" };
  const QUESTIONS = {
    topology: "How is it organised?",
    symmetry: "Does it look the same after some move?",
    gap: "How well connected is it (spectral gap, 0–2)?",
    bridges: "How many edges are the only way across?",
  };

  // -------------------------------------------------------------------------------------------------------- session

  const sessions = new WeakMap();

  function of(store) {
    let session = sessions.get(store);
    if (!session) sessions.set(store, (session = { tool: "move", undo: [], selected: -1, hover: { node: -1, edge: -1 }, play: null, explained: null, payload: null }));
    if (session.payload !== store.payload) renew(session, store);
    return session;
  }

  /** A new run has come: its graph and its answers. */
  function renew(session, store) {
    const layer = store.layers[0];
    const { extras } = store.payload;
    const same = session.payload && session.payload.extras.tied === extras.tied && session.payload.extras.task === extras.task;
    session.payload = store.payload;
    session.nodes = layer.nodes;
    session.edges = Array.from(layer.edges);
    session.places = Float32Array.from(layer.places);
    session.looked = null; // answers while a node is being moved
    session.picture = layer.picture;
    session.hover = { node: -1, edge: -1 };
    if (!same) [session.explained, session.selected, session.before] = [null, -1, null];
  }

  const tied = (store, session) => `${HS.net.graph6(session.nodes, session.edges)}|${store.payload.extras.layout}`;

  /** The places of the session as the server reads them. */
  const placesText = (store) => HS.net.writePlaces(of(store).places, tied(store, of(store)));

  const answersOf = (store) => ({ ...store.payload.extras.answers, ...of(store).looked });

  /** Whether answers and truth may be seen: not while the visitor has to guess. */
  const hidden = (store) => Boolean(of(store).play && of(store).play.guess === null);
  const revealed = (store) => !hidden(store) && (store.look.reveal || Boolean(of(store).play));

  // -------------------------------------------------------------------------------------------------------- answers

  const best = (answer) => answer.indexOf(Math.max(...answer));
  const isNumber = (store) => store.payload.extras.classes.length === 0;

  function numberText(store, value) {
    return store.payload.extras.task === "gap" ? value.toFixed(3) : value.toFixed(Number.isInteger(value) ? 0 : 1);
  }

  function answerText(store, answer) {
    const { classes } = store.payload.extras;
    return classes.length ? classes[best(answer)] : numberText(store, answer[0]);
  }

  const truthText = (store) => {
    const { right, classes } = store.payload.extras;
    return right === null ? "" : classes.length ? classes[right] : numberText(store, right);
  };

  /** null where nothing is right or wrong; else whether a class is right, or how far a number is off. */
  function verdict(store, answer) {
    const { right } = store.payload.extras;
    if (right === null || !answer) return null;
    return isNumber(store) ? Math.abs(answer[0] - right) : best(answer) === right;
  }

  // --------------------------------------------------------------------------------------------------------- rounds

  const rounds = {
    list: [],
    load() {
      try {
        const found = JSON.parse(sessionStorage.getItem(KEY) || "[]");
        if (Array.isArray(found)) this.list = found.slice(-MOST_ROUNDS);
      } catch {
        this.list = []; // storage is closed to this page: the rounds live as long as the page
      }
    },
    add(round) {
      this.list = [...this.list, round].slice(-MOST_ROUNDS);
      this.keep();
    },
    clear() {
      this.list = [];
      this.keep();
    },
    keep() {
      try {
        sessionStorage.setItem(KEY, JSON.stringify(this.list));
      } catch {
        // see load
      }
    },
    csv() {
      const columns = ["task", "band", "number", "nodes", "guess", "truth", "seconds"];
      const networks = [...new Set(this.list.flatMap((round) => Object.keys(round.answers)))].sort();
      const lines = this.list.map((round) => [...columns.map((column) => round[column]), ...networks.map((name) => round.answers[name] ?? "")].join(","));
      return [[...columns, ...networks].join(","), ...lines].join("\n");
    },
  };

  function startRound(store) {
    const session = of(store);
    const bands = Object.keys(BAND_WORDS);
    const band = bands[Math.floor(Math.random() * bands.length)];
    const number = Math.floor(Math.random() * 250);
    const asked = HS.askRun(store, { controls: { source: "a test graph", band: BAND_WORDS[band], number, layout: "usual", places: "" } });
    if (asked === null) return;
    session.play = { band, number, guess: null, began: 0 };
    store.set({ tint: "plain", reveal: false });
    store.touch("arena");
  }

  function guess(store, value) {
    const session = of(store);
    const { play } = session;
    play.guess = value;
    play.seconds = Math.round((performance.now() - play.began) / 100) / 10;
    const { task, right } = store.payload.extras;
    const answers = Object.fromEntries(Object.entries(store.payload.extras.answers).map(([name, answer]) => [name, isNumber(store) ? answer[0] : best(answer)]));
    rounds.add({ task, band: play.band, number: play.number, nodes: session.nodes, guess: value, truth: right, seconds: play.seconds, answers });
    store.set({ reveal: true });
    store.touch("arena");
  }

  function stopPlaying(store) {
    of(store).play = null;
    store.touch("arena");
  }

  // ---------------------------------------------------------------------------------------------------------- rows

  function bar(store, answer, most) {
    const { right } = store.payload.extras;
    const shown = isNumber(store) ? Math.max(0, answer[0]) / most : Math.max(...answer);
    const fill = HS.el("span", { class: "hs-bar", style: `width:${Math.min(100, Math.max(0.6, 100 * shown))}%` });
    const mark = isNumber(store) && revealed(store) && right !== null ? HS.el("i", { class: "hs-arena-truth", style: `left:${(100 * right) / most}%` }) : null;
    return HS.el("span", { class: "hs-bars" }, fill, mark);
  }

  /** "✓", "✗", or how far a number is off. */
  function sign(store, answer) {
    const found = revealed(store) ? verdict(store, answer) : null;
    if (found === null) return HS.el("span", { class: "hs-arena-sign" });
    if (typeof found === "number") return HS.el("span", { class: "hs-arena-sign hs-num", title: "how far off" }, `±${numberText(store, found)}`);
    return HS.el("span", { class: `hs-arena-sign ${found ? "hs-good" : "hs-bad"}`, role: "img", "aria-label": found ? "right" : "wrong" }, found ? "✓" : "✗");
  }

  function row(store, one, answer, most) {
    const chosen = store.look.who === one.name;
    const text = hidden(store) ? "?" : answer ? answerText(store, answer) : one.own ? "not fitted yet" : "cannot answer";
    const share = !hidden(store) && answer && !isNumber(store) ? HS.percent(Math.max(...answer)) : "";
    const title = `${one.label}: gets ${one.what}${one.trained ? "" : one.own ? "; see the tab “Your model”" : "; random weights"}`;
    return HS.el(
      "button",
      { type: "button", class: `hs-arena-row${one.trained ? "" : " hs-untrained"}`, title, "data-who": one.name, "aria-pressed": String(chosen), onclick: () => store.set({ who: chosen ? "" : one.name }) },
      HS.el("span", { class: "hs-label" }, one.label),
      hidden(store) || !answer ? HS.el("span", { class: "hs-bars" }) : bar(store, answer, most),
      HS.el("span", { class: "hs-arena-answer" }, text, " ", HS.el("span", { class: "hs-num" }, share)),
      answer ? sign(store, answer) : HS.el("span", {}),
    );
  }

  /** All probabilities of the chosen network. */
  function distribution(store, one, answer) {
    const { classes, right } = store.payload.extras;
    const order = classes.map((_, i) => i).sort((a, b) => answer[b] - answer[a]);
    const rows = order.map((i) =>
      HS.el(
        "li",
        { class: "hs-row" },
        HS.el("span", { class: "hs-label" }, classes[i], revealed(store) && i === right ? " ✓" : ""),
        HS.el("span", { class: "hs-bars" }, HS.el("span", { class: "hs-bar", style: `width:${Math.max(0.4, 100 * answer[i])}%` })),
        HS.el("span", { class: "hs-num" }, HS.percent(answer[i])),
      ),
    );
    return [HS.el("p", { class: "hs-hint" }, `${one.label} gets ${one.what}.${one.trained ? "" : " Its weights are random: its answer means nothing."}`), HS.el("ol", { class: "hs-rows" }, ...rows)];
  }

  /** What a drag or an edit has shown, in words. */
  function lesson(store) {
    const session = of(store);
    if (!session.before || hidden(store)) return "";
    const now = answersOf(store);
    const looker = store.payload.extras.contestants.find((one) => one.sees === "drawing" && !one.layout);
    if (!looker || !now[looker.name] || !session.before[looker.name]) return "";
    const [was, is] = [session.before[looker.name], now[looker.name]];
    const change = isNumber(store)
      ? `${numberText(store, was[0])} → ${numberText(store, is[0])}`
      : best(was) === best(is)
        ? `${answerText(store, is)} ${HS.percent(was[best(was)])} → ${HS.percent(is[best(is)])}`
        : `${answerText(store, was)} → ${answerText(store, is)}`;
    return `You moved nodes. ${looker.label}: ${change}. Those that read the edges were not even asked: the edges are the same.`;
  }

  // ---------------------------------------------------------------------------------------------------------- guess

  function guessBox(store) {
    const { classes, task } = store.payload.extras;
    const session = of(store);
    if (!session.play.began) session.play.began = performance.now();
    const head = HS.el("p", {}, HS.el("b", {}, "Your guess. "), QUESTIONS[task]);
    if (classes.length) {
      const button = (word, i) => HS.el("button", { type: "button", class: "hs-button", "data-guess": i, onclick: () => guess(store, i) }, word);
      return HS.el("div", { class: "hs-guess" }, head, HS.el("div", { class: "hs-guess-words" }, ...classes.map(button)));
    }
    const [most, step] = task === "gap" ? [1.2, 0.01] : [40, 1];
    let value = task === "gap" ? 0.2 : 3;
    const slider = HS.inputs.range({ label: task === "gap" ? "Spectral gap" : "Bridges", min: 0, max: most, step, value, format: (v) => numberText(store, v), oninput: (v) => (value = v) });
    return HS.el("div", { class: "hs-guess" }, head, slider.element, HS.el("button", { type: "button", class: "hs-button hs-primary", "data-guess": "number", onclick: () => guess(store, value) }, "Guess"));
  }

  function outcome(store) {
    const { play } = of(store);
    const { classes, right } = store.payload.extras;
    const mine = classes.length ? classes[play.guess] : numberText(store, play.guess);
    const words = classes.length ? (play.guess === right ? "You are right" : "You said") : "You said";
    const text = classes.length && play.guess === right ? `${words}: ${mine}` : `${words} ${mine}; it is ${truthText(store)}`;
    return HS.el("p", { class: "hs-outcome" }, HS.el("b", {}, text), ` (${play.seconds} s). `, score(store));
  }

  /** "You 3 of 5, CNN 5, GIN 2" on the rounds of this question. */
  function score(store) {
    const { task, contestants, classes } = store.payload.extras;
    const mine = rounds.list.filter((round) => round.task === task && round.truth !== null);
    const named = contestants.filter((one) => mine.some((round) => one.name in round.answers)).slice(0, 3);
    if (classes.length) {
      const right = (value) => mine.filter((round) => value(round) === round.truth).length;
      return `So far: you ${right((round) => round.guess)} of ${mine.length}${named.map((one) => `, ${one.label} ${right((round) => round.answers[one.name])}`).join("")}.`;
    }
    const off = (value) => numberText(store, mine.reduce((sum, round) => sum + Math.abs(value(round) - round.truth), 0) / mine.length);
    return `Mean error over ${HS.plural(mine.length, "round")}: you ${off((round) => round.guess)}${named.map((one) => `, ${one.label} ${off((round) => round.answers[one.name])}`).join("")}.`;
  }

  // ---------------------------------------------------------------------------------------------------------- arena

  /** @returns {{draw(changed), destroy()}} */
  function createArena(element, store) {
    const title = HS.el("h3", {});
    const guessing = HS.el("div", {});
    const truth = HS.el("div", { class: "hs-arena-head" });
    const list = HS.el("div", { class: "hs-arena" });
    const more = HS.el("button", { type: "button", class: "hs-link", onclick: () => ((all = !all), draw()) });
    const detail = HS.el("div", { class: "hs-arena-detail" });
    const told = HS.el("p", { class: "hs-hint", "aria-live": "polite" });
    element.append(title, guessing, truth, list, more, detail, told);
    let all = false;
    let asked = "";

    function actions() {
      const session = of(store);
      const { right } = store.payload.extras;
      const known = right !== null;
      const shown = revealed(store);
      const reveal = HS.el("button", { type: "button", class: "hs-button", "data-act": "truth", "aria-pressed": String(shown), disabled: !known || hidden(store), onclick: () => (session.play ? stopPlaying(store) : 0, store.set({ reveal: !shown })) }, "Truth");
      const play = HS.el("button", { type: "button", class: "hs-button", "data-act": "play", disabled: !store.host.live || store.asking("run"), onclick: () => startRound(store) }, session.play ? "Next round" : "Play a round");
      const leave = session.play ? HS.el("button", { type: "button", class: "hs-link", onclick: () => stopPlaying(store) }, "stop playing") : null;
      const words = hidden(store) ? "" : !known ? (store.payload.extras.task === "topology" ? "Nobody knows: the answer is what a generator was told to make, and this graph is by hand." : "The search for symmetries was given up, so nobody knows.") : shown ? truthText(store) : "";
      truth.replaceChildren(...[reveal, play, leave, HS.el("b", { class: "hs-arena-right" }, shown && known ? words : ""), known ? null : HS.el("span", { class: "hs-hint" }, words)].filter(Boolean));
    }

    function draw() {
      const session = of(store);
      const { contestants, task, right } = store.payload.extras;
      const answers = answersOf(store);
      title.textContent = QUESTIONS[task];
      actions();
      const wait = store.asking("run") && session.play && session.play.guess === null;
      const key = session.play ? `${session.play.band} ${session.play.number} ${session.play.guess} ${wait} ${store.payload.run}` : "";
      if (key !== asked) {
        asked = key;
        guessing.replaceChildren(...(!session.play || wait ? [] : [session.play.guess === null ? guessBox(store) : outcome(store)]));
      }
      const mine = contestants.filter((one) => !one.layout);
      const ordered = [...mine.filter((one) => one.sees === "drawing"), ...mine.filter((one) => one.sees === "adjacency")];
      const main = [`${task}_cnn`, `${task}_cnn_paper`, `${task}_gin`, `${task}_gin_laplacian`, `${task}_gat_signnet`, "own", store.look.who];
      const listed = all || ordered.length <= FIRST ? ordered : ordered.filter((one) => main.includes(one.name));
      const values = Object.values(answers).map((answer) => answer[0]);
      const most = isNumber(store) ? Math.max(task === "gap" ? 0.3 : 5, right || 0, ...values.filter((value) => value < 1e3)) * 1.05 : 1;
      const rows = [];
      let sees = "";
      for (const one of listed) {
        if (one.sees !== sees) rows.push(HS.el("p", { class: "hs-hint hs-arena-group" }, one.sees === "drawing" ? "Look at the drawing" : "Read the edges"));
        sees = one.sees;
        rows.push(row(store, one, answers[one.name], most));
      }
      const focus = document.activeElement && list.contains(document.activeElement) ? document.activeElement.dataset.who : null;
      list.replaceChildren(...rows);
      if (focus) list.querySelector(`[data-who="${focus}"]`)?.focus();
      more.hidden = ordered.length <= FIRST;
      more.textContent = all ? "fewer networks" : `all ${ordered.length} networks`;
      const chosen = mine.find((one) => one.name === store.look.who);
      const answer = chosen && answers[chosen.name];
      detail.replaceChildren(...(answer && !isNumber(store) && !hidden(store) ? distribution(store, chosen, answer) : []));
      told.textContent = lesson(store);
      told.hidden = !told.textContent;
      document.querySelectorAll(".hs").forEach((root) => root.contains(element) && root.classList.toggle("hs-guessing", hidden(store)));
    }

    // While a node is dragged answers come quickly; the page repaints them once per frame.
    const frame = HS.perFrame(draw);
    return {
      draw(changed) {
        if (["payload", "answer", "arena", "reveal", "who", "size"].some((key) => changed.has(key))) frame();
      },
      destroy: () => frame.stop(),
    };
  }

  rounds.load && typeof sessionStorage !== "undefined" && rounds.load();
  HS.arena = { of, tied, placesText, answersOf, answerText, numberText, truthText, verdict, hidden, revealed, best, isNumber, rounds, startRound, guess, BAND_WORDS, QUESTIONS };
  HS.createArena = createArena;
})();
