// @wing structure
/** What the visitor has played: by question and size, beside the networks on the same graphs. */
(() => {
  "use strict";

  const { arena, net } = HS;
  const BANDS = [["id", "as trained"], ["near", "near"], ["far", "far"]];

  function mount(el, store) {
    const table = HS.el("table", { class: "hs-table" });
    const note = HS.chart.note(el);
    const csv = HS.el("button", { type: "button", class: "hs-button", onclick: () => net.save("hyperscope-rounds.csv", "text/csv", arena.rounds.csv()) }, "Rounds (CSV)");
    const forget = HS.el("button", { type: "button", class: "hs-link", onclick: () => (arena.rounds.clear(), store.touch("arena")) }, "forget them");
    el.append(table, HS.el("div", { class: "hs-actions" }, csv, forget));

    function draw() {
      const { task, classes, contestants } = store.payload.extras;
      const played = arena.rounds.list.filter((round) => round.task === task && round.truth !== null);
      csv.hidden = forget.hidden = arena.rounds.list.length === 0;
      table.hidden = played.length === 0;
      if (!played.length) {
        note("Nothing played yet. Press “Play a round”: you see the graph, guess first, then the networks and the truth appear.");
        return;
      }
      const score = (rounds, value) => {
        if (!rounds.length) return "–";
        if (classes.length) return `${rounds.filter((round) => value(round) === round.truth).length} of ${rounds.length}`;
        return arena.numberText(store, rounds.reduce((sum, round) => sum + Math.abs(value(round) - round.truth), 0) / rounds.length);
      };
      const line = (label, value) => HS.el("tr", {}, HS.el("th", {}, label), ...BANDS.map(([band]) => HS.el("td", {}, score(played.filter((round) => round.band === band), value))));
      const named = contestants.filter((one) => !one.layout && played.every((round) => one.name in round.answers)).slice(0, 6);
      const head = HS.el("thead", {}, HS.el("tr", {}, HS.el("th", {}, ""), ...BANDS.map(([, word]) => HS.el("th", {}, word))));
      table.replaceChildren(head, HS.el("tbody", {}, line("You", (round) => round.guess), ...named.map((one) => line(one.label, (round) => round.answers[one.name]))));
      const seconds = played.reduce((sum, round) => sum + round.seconds, 0) / played.length;
      note(`${classes.length ? "Right answers" : "Mean error"} on the ${HS.plural(played.length, "graph")} that you played; ${seconds.toFixed(1)} s per guess. Kept until this tab is closed, on your machine only.`);
    }

    draw();
    return { draw: (changed) => ["payload", "arena"].some((key) => changed.has(key)) && draw(), resize() {}, destroy() {} };
  }

  HS.panel({ name: "rounds", kind: "abstract-graph", title: "You", available: () => true, mount });
})();
