// @wing hypergraphs
/** Every hyperedge of the layer as a small map, all on one scale, with its load, its size and what is remarkable about it. */
(() => {
  "use strict";

  const ACROSS = 3;
  const GAP = 6;

  function mount(el, store) {
    const scale = HS.el("div", { class: "hs-panel-legend" }, HS.edges.liftScale("share of a patch"));
    const tiles = HS.edges.createTiles(store, { side: () => Math.floor((el.clientWidth - 6 - GAP * (ACROSS - 1)) / ACROSS) - 4, words: true });
    el.append(scale, tiles.element);
    const say = HS.chart.note(el);

    function describe() {
      const d = HS.hyper.of(store, store.look.layer);
      const uniform = Array.from(d.on, (_, m) => HS.hyper.isUniform(d, m)).filter(Boolean).length;
      const rest = uniform ? ` ${uniform === d.active ? "All" : uniform} of them ${uniform === 1 ? "is" : "are"} uniform: ${uniform === 1 ? "it joins" : "they join"} all patches alike.` : "";
      const order = store.look.sort === "load" ? "most loaded first" : "as numbered";
      const known = (store.payload.extras.worth || {})[store.layer.name];
      const own = !HS.hyper.differs(store, store.layer);
      const worth = known && own ? "p: patches in which it lives; ±: points that the first class gains without it. " : "";
      const message = own && store.layer.measures.find(({ key, value }) => key === "message_contrast" && value !== null);
      const gamma = `γ: how much of what it sends differs from patch to patch (0: all are told the same)${message ? `; of the whole message of this layer: γ ${message.value.toFixed(2)}` : ""}. `;
      scale.hidden = store.look.style === "mass";
      say(`${HS.plural(d.active, "hyperedge")}, ${order}. The first number names it; × says how much of the patches it carries, in units of the average.${rest} ${worth}${gamma}Click one to keep it on the picture.`);
    }

    return {
      draw(changed) {
        tiles.draw(changed);
        if (!HS.chart.onlyHover(changed)) describe();
      },
      resize: () => tiles.draw(new Set(["size"])),
      destroy() {
        tiles.destroy();
        el.replaceChildren();
      },
    };
  }

  HS.panel({ name: "hyperedges", kind: "hypergraph", title: "Hyperedges", available: () => true, mount });
})();
