// @wing structure
/** What the networks that look are given: the picture of a few pixels, and the same graph under other layouts. */
(() => {
  "use strict";

  const { net, arena } = HS;
  const TITLES = { "kamada-kawai": "Kamada–Kawai", forceatlas2: "ForceAtlas2", spectral: "spectral", circular: "circle" };

  function picture(bytes, caption, wide) {
    const canvas = net.raster(bytes, Math.round(Math.sqrt(bytes.length / 3)));
    return HS.el("figure", { class: wide ? "hs-wide" : null }, canvas, HS.el("figcaption", {}, ...caption));
  }

  function said(store, one) {
    if (!one.answer) return [" no network was trained on it"];
    const found = store.payload.extras.contestants.find((item) => item.name === one.contestant);
    const verdict = arena.revealed(store) ? arena.verdict(store, one.answer) : null;
    const mark = verdict === true ? " ✓" : verdict === false ? " ✗" : "";
    return [" ", HS.el("b", {}, `${arena.answerText(store, one.answer)}${mark}`), found && found.trained ? "" : " (random weights)"];
  }

  function mount(el, store) {
    const box = HS.el("div", { class: "hs-rasters" });
    const note = HS.chart.note(el);
    el.append(box);

    function draw() {
      const { layouts, layout } = store.payload.extras;
      const seen = arena.of(store).picture;
      const others = Object.entries(layouts).map(([name, one]) => picture(one.picture, [`${TITLES[name]}:`, ...said(store, one)], false));
      box.replaceChildren(picture(seen, [`What the looking networks get now, 64 × 64 pixels (${TITLES[layout]}${moved(store) ? ", nodes moved by you" : ""})`], true), ...others);
      note("Ink and discs are scaled to the graph (“even pen”), so that large graphs are not darker than small ones. Below: the same edges in other layouts, and what a network says that was trained on each.");
    }

    const moved = (store) => store.payload.controls.values.places !== "" || arena.of(store).looked !== null;
    draw();
    return {
      draw: (changed) => ["payload", "arena", "reveal"].some((key) => changed.has(key)) && draw(),
      resize() {},
      destroy() {},
    };
  }

  HS.panel({ name: "drawing", kind: "abstract-graph", title: "What they see", available: () => true, mount });
})();
