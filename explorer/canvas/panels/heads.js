// @wing hypergraphs
/**
 * One hyperedge as each head alone would have drawn it, beside what the layer draws. The released layer averages the logits of
 * its heads before the softmax, so that all it keeps of them is a temperature.
 */
(() => {
  "use strict";

  const ACROSS = 3;
  const GAP = 8;
  const WORDS = 18;
  const FLAT = 0.1; // std/mean of a map, as in hypergraph.js

  function mount(el, store) {
    const state = { answers: new Map(), asked: new Set() };
    const questions = HS.weights.questions(store);
    const layer = () => store.look.layer;
    const key = () => `${store.payload.run} ${store.layer.name}`;
    const view = HS.chart.board(el, { label: "The map of one hyperedge, of all heads together and of each alone", height: (width) => rows() * (side(width) + WORDS + GAP) + 22, base, over, move, leave: () => store.setHover(null), press });
    const say = HS.chart.note(el);

    const side = (width) => Math.floor((width - GAP * (ACROSS - 1)) / ACROSS);
    const rows = () => Math.ceil((store.layer.hypergraph.heads + 1) / ACROSS);
    const frames = (width) =>
      Array.from({ length: store.layer.hypergraph.heads + 1 }, (_, i) => {
        const box = { x: (i % ACROSS) * (side(width) + GAP), y: Math.floor(i / ACROSS) * (side(width) + WORDS + GAP) + WORDS, width: side(width), height: side(width) };
        return HS.minimap.fit(box, store.layer.grid);
      });

    const edge = () => HS.edges.mainEdge(store);

    function ask() {
      if (state.asked.has(key())) return;
      const asked = key();
      const tell = () => {
        view.draw(true);
        describe();
      };
      const failed = () => {
        state.asked.delete(asked);
        tell();
      };
      if (questions.ask("heads", { layer: store.layer.name }, ({ values }) => (state.answers.set(asked, values), tell()), failed)) state.asked.add(asked);
    }

    function base(ctx, width, height, c) {
      const d = HS.hyper.of(store, layer(), true);
      const m = edge();
      const maps = state.answers.get(key());
      const image = HS.chart.picture(store, () => view.draw(true));
      frames(width).forEach((f, i) => {
        HS.chart.text(ctx, i === 0 ? `${HS.edges.name(m)}, all heads` : `head ${i}`, f.x, f.y - 4, c.ink, "left", "bottom");
        HS.drawPicture(ctx, f, image, false);
        HS.greyOut(ctx, f);
        const values = i === 0 ? HS.hyper.lift(d, m) : maps && Float32Array.from({ length: d.n }, (_, n) => maps[((i - 1) * d.n + n) * d.m + m]);
        if (values) HS.drawHeat(ctx, f, { values, grid: store.layer.grid, scale: { kind: "diverging", max: HS.edges.REACH } }, 0.85);
        else HS.chart.text(ctx, store.host.live ? "…" : "needs the server", f.x + f.width / 2, f.y + f.height / 2, "#fff", "center", "middle");
      });
      HS.minimap.legend(ctx, 0, height - 18, 120, "diverging", ["≤ ⅛ ×", "≥ 8 ×"], c);
    }

    function over(ctx, width) {
      const focus = store.focus(layer());
      if (focus !== null) frames(width).forEach((f) => HS.minimap.mark(ctx, f, store.layer.grid, focus));
    }

    function under(x, y) {
      for (const f of frames(view.box.clientWidth)) {
        const cell = HS.cellAt(f, store.layer.grid, x, y);
        if (cell !== null) return cell;
      }
      return null;
    }
    function move(x, y) {
      const patch = under(x, y);
      store.setHover(patch === null ? null : { layer: layer(), patch, side: "target" });
      return patch;
    }
    function press(x, y) {
      const patch = under(x, y);
      if (patch !== null) store.togglePin(patch);
    }

    const norm = (x) => Math.sqrt(x.reduce((sum, v) => sum + v * v, 0));
    /** Mean correlation between the maps of the heads that are not flat. */
    function agreement(maps, m) {
      const { heads } = store.layer.hypergraph;
      const n = store.layer.grid[0] * store.layer.grid[1];
      const count = store.layer.hypergraph.hyperedges;
      const weights = Array.from({ length: heads }, (_, h) => {
        const values = Float64Array.from({ length: n }, (_, i) => 2 ** maps[(h * n + i) * count + m]);
        const mean = values.reduce((a, b) => a + b, 0) / n;
        return values.map((v) => v / mean - 1);
      }).filter((x) => norm(x) / Math.sqrt(n) >= FLAT); // the correlation of two flat maps is one of noise
      const found = [];
      weights.forEach((a, i) => weights.slice(0, i).forEach((b) => found.push(a.reduce((sum, v, k) => sum + v * b[k], 0) / (norm(a) * norm(b) || NaN))));
      const known = found.filter(Number.isFinite);
      return known.length ? known.reduce((a, b) => a + b, 0) / known.length : NaN;
    }

    function describe() {
      const maps = state.answers.get(key());
      const rule = "The layer averages the logits of its heads before the softmax: all that is left of them is a temperature.";
      if (!maps) return say(store.host.live ? `${rule} The maps of the single heads are on their way …` : `${rule} The maps of single heads need the live app.`);
      const value = agreement(maps, edge());
      const words = Number.isFinite(value) ? ` The maps of the heads correlate by ${HS.show(value)} on average: ${value > 0.8 ? "they say the same" : value > 0.3 ? "they agree in part, and the average blurs the rest" : "they look at different things, which the average hides"}.` : " Not two of its heads draw more than a flat map.";
      say(`${rule}${words} Choose another hyperedge to see its heads.`);
    }

    return {
      draw(changed) {
        if (HS.chart.onlyHover(changed)) return view.draw(false);
        ask();
        if (HS.chart.touched(changed, "layer")) view.resize();
        view.draw(true);
        describe();
      },
      resize: () => view.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "heads", kind: "hypergraph", title: "Heads", available: (store) => store.layer.hypergraph.heads > 1, mount });
})();
