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
    const swapButton = HS.el("button", { type: "button", class: "hs-button", "data-act": "swap", title: "Two edges a–b and c–d become a–d and c–b: every node keeps its degree", onclick: () => arena.swap(store) }, "Swap two edges");
    const mixButton = HS.el("button", { type: "button", class: "hs-button", "data-act": "mix", title: "A walker starts at one node and goes along edges by chance", onclick: () => mix() }, "Release a walker");
    el.append(numbers, HS.el("div", { class: "hs-actions" }, swapButton, mixButton), moves);
    const note = HS.chart.note(el);
    const told = HS.el("p", { class: "hs-hint", "aria-live": "polite" });
    const box = HS.el("div", { class: "hs-blocks" });
    el.append(box);
    const board = HS.chart.board(box, { label: "Blocks and the nodes that hold them together", height: (width) => Math.min(240, width * 0.7), base: tree });
    const caption = HS.el("p", { class: "hs-hint" });
    el.append(told, caption);
    let timer = 0;

    /** The block–cut tree: discs are blocks (area by nodes), squares the nodes that two blocks share; a bridge is a red disc. */
    function tree(ctx, width, height, c) {
      const [blocks, cuts] = store.payload.extras.blocks;
      const number = new Map(cuts.map((node, i) => [node, blocks.length + i]));
      const edges = blocks.flatMap((block, i) => block.filter((node) => number.has(node)).flatMap((node) => [i, number.get(node)]));
      const n = blocks.length + cuts.length;
      const start = Array.from({ length: 2 * n }, (_, i) => (i % 2 ? Math.sin(2.4 * Math.floor(i / 2)) : Math.cos(2.4 * Math.floor(i / 2))) * Math.sqrt((Math.floor(i / 2) + 1) / n));
      if (store.payload.extras !== placedOf) [placedOf, places] = [store.payload.extras, n <= 160 ? HS.net.springs(n, edges, start) : Float32Array.from(start)];
      const v = HS.net.view(width, height, 1.15);
      const points = HS.net.pixels(places, v);
      HS.net.strokeEdges(ctx, points, edges, () => [c.muted, 1.2, 0.9]);
      blocks.forEach((block, i) => {
        ctx.fillStyle = block.length === 2 ? HS.net.MATTERS : c.accent;
        ctx.beginPath();
        ctx.arc(points[2 * i], points[2 * i + 1], Math.min(22, 2.4 * Math.sqrt(block.length) + 1), 0, 2 * Math.PI);
        ctx.fill();
      });
      ctx.fillStyle = c.ink;
      cuts.forEach((_, i) => ctx.fillRect(points[2 * (blocks.length + i)] - 3, points[2 * (blocks.length + i) + 1] - 3, 6, 6));
    }
    let placedOf = null;
    let places = null;

    /** A lazy walk from the chosen node: the share of walkers at every node, step by step on the stage. */
    function mix() {
      clearInterval(timer);
      const session = arena.of(store);
      if (session.mix) {
        session.mix = null;
        store.touch("arena");
        mixButton.textContent = "Release a walker";
        told.textContent = "";
        return;
      }
      const { nodes, edges } = session;
      const around = HS.net.adjacency(nodes, edges);
      const total = edges.length;
      const rest = around.map((list) => list.length / Math.max(1, total));
      const start = session.selected >= 0 && session.selected < nodes ? session.selected : 0;
      let now = Float64Array.from({ length: nodes }, (_, i) => Number(i === start));
      let step = 0;
      const { gap } = store.layers[0].truth || { gap: NaN };
      mixButton.textContent = "Stop the walker";
      const show = () => {
        session.mix = { now, rest };
        const off = now.reduce((sum, value, i) => sum + Math.abs(value - rest[i]), 0) / 2;
        told.textContent = `Step ${step}: ${HS.percent(off)} of the walkers would still have to move (total variation). The spectral gap promises a factor of ${(1 - gap / 2).toFixed(3)} per step in the long run.`;
        store.touch("arena");
        return off;
      };
      const go = () => {
        const next = Float64Array.from(now, (value, i) => (around[i].length ? value / 2 : value));
        around.forEach((list, i) => list.forEach((j) => (next[j] += now[i] / (2 * list.length))));
        now = next;
        step++;
        if (show() < 0.01 || step >= 400) clearInterval(timer);
      };
      show();
      if (HS.calm()) for (let i = 0; i < 60; i++) go();
      else timer = setInterval(go, 110);
    }
    let busy = false;

    const pair = (term, value) => [HS.el("dt", {}, term), HS.el("dd", {}, value)];

    function draw() {
      const { truth, nodes, family } = store.layers[0];
      const [blocks, cuts] = store.payload.extras.blocks;
      swapButton.disabled = !store.host.live || arena.hidden(store);
      caption.textContent = `Blocks (discs, larger with more nodes; bridges red) hang together at ${HS.plural(cuts.length, "single node")} (squares): ${HS.plural(blocks.length, "block")}.`;
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
    return {
      draw(changed) {
        if (changed.has("payload")) {
          clearInterval(timer);
          arena.of(store).mix = null;
          [mixButton.textContent, told.textContent] = ["Release a walker", ""];
          draw();
        }
        el.querySelector(".hs-blocks").hidden = store.payload.extras.blocks[0].length < 2;
        board.draw(["payload", "theme"].some((key) => changed.has(key)));
      },
      resize: () => board.resize(),
      destroy() {
        clearInterval(timer);
        arena.of(store).mix = null;
        store.touch("arena");
      },
    };
  }

  HS.panel({ name: "exact", kind: "abstract-graph", title: "Exactly", available: () => true, mount });
})();
