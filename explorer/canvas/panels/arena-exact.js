// @wing structure
/** What is exactly true of the graph: bridges, gap, symmetries, and a symmetry at work. */
(() => {
  "use strict";

  const { arena } = HS;

  /** A whole number of any size, grouped; above a billion its order of magnitude. */
  function count(text) {
    return text.length > 9 ? `about 10^${text.length - 1}` : Number(text).toLocaleString("en").replaceAll(",", " ");
  }

  function mount(el, store) {
    const numbers = HS.el("dl", { class: "hs-numbers" });
    const moves = HS.el("div", { class: "hs-actions" });
    el.append(numbers, moves);
    const note = HS.chart.note(el);
    let busy = false;

    const pair = (term, value) => [HS.el("dt", {}, term), HS.el("dd", {}, value)];

    function draw() {
      const { truth, nodes, family } = store.layers[0];
      if (!truth) {
        numbers.replaceChildren();
        note("The exact answers of this graph were not computed.");
        return;
      }
      const rows = [
        pair("Bridges", String(truth.bridges.reduce((sum, value) => sum + value, 0))),
        pair("Spectral gap λ₂", truth.gap.toFixed(4)),
        pair("Symmetries", truth.order === null ? "undecided" : count(truth.order)),
        ...(family ? [pair("Made as", family)] : []),
      ];
      numbers.replaceChildren(...rows.map((cells) => HS.el("div", {}, ...cells)));
      const found = truth.moves ? Array.from({ length: truth.moves.shape[0] }, (_, i) => truth.moves.subarray(i * nodes, (i + 1) * nodes)) : [];
      moves.replaceChildren(
        ...found.map((move, i) =>
          HS.el("button", { type: "button", class: "hs-button", disabled: busy, onclick: () => play(move) }, `Symmetry ${i + 1}: ${move.reduce((sum, to, from) => sum + (to !== from ? 1 : 0), 0)} nodes move`),
        ),
      );
      note(
        found.length
          ? "A symmetry takes every node to the place of another and every edge onto an edge: the drawing ends as it began. Press one and watch."
          : truth.order === "1"
            ? "No node can take the place of another: only leaving everything where it is keeps all edges."
            : "The search for symmetries was given up after 20 000 steps, so nothing is claimed.",
      );
    }

    function play(move) {
      busy = true;
      store.set({ tint: "exact", reveal: true });
      arena.walk(store, move, () => {
        busy = false;
        draw();
      });
      draw();
    }

    draw();
    return { draw: (changed) => changed.has("payload") && draw(), resize() {}, destroy() {} };
  }

  HS.panel({ name: "exact", kind: "abstract-graph", title: "Exactly", available: () => true, mount });
})();
