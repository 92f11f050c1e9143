// @wing structure
/** Which edges HyperDrop kept: bridges against the others, and edges by how many shortest ways run over them. */
(() => {
  "use strict";

  const PARTS = 4;

  function mount(el, store) {
    const table = HS.el("table", { class: "hs-table" });
    const note = HS.chart.note(el);
    el.append(table);

    /** Rows [name, numbers of edges]: bridges, others, and quarters of the edges by betweenness. */
    function rowsOf() {
      const { layer } = store;
      const { betweenness } = store.payload.extras;
      const all = Array.from({ length: HS.dual.of(layer).m }, (_, e) => e);
      const bridges = all.filter((e) => layer.bridges && layer.bridges[e]);
      const sorted = [...all].sort((a, b) => betweenness[b] - betweenness[a] || a - b);
      const quarters = Array.from({ length: PARTS }, (_, i) => sorted.slice(Math.floor((i * sorted.length) / PARTS), Math.floor(((i + 1) * sorted.length) / PARTS)));
      const names = ["busiest quarter", "second", "third", "quietest quarter"];
      return [["bridges", bridges], ["not bridges", all.filter((e) => !bridges.includes(e))], ...quarters.map((edges, i) => [names[i], edges])].filter(([, edges]) => edges.length);
    }

    function draw() {
      const { layer } = store;
      table.hidden = !layer.drops.length;
      if (!layer.drops.length) {
        note("The network drops nothing.");
        return;
      }
      const head = HS.el("thead", {}, HS.el("tr", {}, ...["edges", "", ...layer.drops.map((_, i) => `kept in ${i + 1}`)].map((word) => HS.el("th", {}, word))));
      const share = (drop, edges) => HS.percent(edges.filter((e) => drop.kept[e]).length / edges.length);
      const rows = rowsOf().map(([name, edges]) => HS.el("tr", {}, HS.el("th", {}, name), HS.el("td", {}, String(edges.length)), ...layer.drops.map((drop) => HS.el("td", {}, share(drop, edges)))));
      table.replaceChildren(head, HS.el("tbody", {}, ...rows));
      note("Share of the edges that is still there after each selection. Busy edges are those that many shortest ways run over. No node is ever dropped.");
    }

    draw();
    return { draw: (changed) => changed.has("payload") && draw(), resize() {}, destroy() {} };
  }

  HS.panel({ name: "dual-kept", kind: "dual", title: "What is kept", available: () => true, mount });
})();
