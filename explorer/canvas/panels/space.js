// @wing image-graphs
/**
 * The features of the patches in two dimensions: PCA (comes with the payload) or UMAP (asked from the server).
 * Patches that the model holds for alike lie close together.
 */
(() => {
  "use strict";

  const LEFT = 20;
  const BOTTOM = 22;

  function mount(el, store) {
    const state = { method: "pca", colour: "own", at: null, paint: null };
    const source = HS.points.source(store, () => draw());
    const methods = HS.chart.choice(el, "Map", [["pca", "PCA"], ["umap", "UMAP"]], state.method, (method) => {
      state.method = method;
      askIfNeeded();
      draw();
    });
    const colouring = HS.chart.choice(el, "Colour", [["own", "patch"], ["segment", "segment"], ["community", "community"]], state.colour, (colour) => {
      state.colour = colour;
      draw();
    });
    const view = HS.chart.board(el, {
      label: "Patches as points in the space of their features",
      height: (width) => Math.min(width, 460),
      base,
      over,
      move,
      leave: () => store.setHover(null),
      press: (x, y) => {
        const patch = under(x, y);
        if (patch !== null) store.togglePin(patch);
      },
    });
    const say = HS.chart.note(el);

    const key = () => `${store.layer.name} umap`;
    const points = () => (state.method === "pca" ? store.layer.pca && store.layer.pca.points : source.get(key()));
    function askIfNeeded() {
      if (state.method !== "umap" || !store.host.live || source.status(key()) !== "none") return;
      source.ask(key(), { method: "umap", look: store.look });
    }

    /** Colour of every patch under the chosen colouring. */
    function colourOf() {
      const { layer } = store;
      const labels =
        state.colour === "segment" ? HS.chart.segmentsOn(store, layer.grid)
        : state.colour === "community" && !HS.pooled(layer) ? HS.networks.communities(store.graph(store.look.layer)).label
        : null;
      return labels ? (i) => HS.chart.groupColour(labels[i]) : (i) => HS.patchColour(layer, i);
    }

    function base(ctx, width, height, c) {
      const box = { x: LEFT, y: 2, width: width - LEFT - 2, height: height - BOTTOM - 2 };
      ctx.strokeStyle = c.line;
      ctx.strokeRect(box.x + 0.5, box.y + 0.5, box.width - 1, box.height - 1);
      state.at = null;
      if (!points()) return HS.chart.text(ctx, EMPTY[source.status(key())], width / 2, height / 2, c.muted, "center", "middle");
      const radius = Math.max(1.8, Math.min(5, Math.sqrt((width * height) / points().length) / 6));
      state.at = HS.points.place(points(), box, 12);
      axes(ctx, box, c);
      state.paint = colourOf();
      ctx.lineWidth = 0.7;
      ctx.strokeStyle = c.ink;
      for (let i = 0; i < state.at.x.length; i++) {
        ctx.beginPath();
        ctx.arc(state.at.x[i], state.at.y[i], radius, 0, 2 * Math.PI);
        ctx.fillStyle = state.paint(i);
        ctx.fill();
        ctx.stroke();
      }
    }

    function axes(ctx, box, c) {
      const [first, second] = state.method === "pca" ? store.layer.pca.explained.map((share, i) => `${ORDINAL[i]} direction · ${HS.percent(share)} of the variance`) : ["no unit: only who lies beside whom means something", ""];
      HS.chart.text(ctx, first, box.x + box.width / 2, box.y + box.height + 14, c.ink, "center", "middle");
      HS.chart.upright(ctx, second, 8, box.y + box.height / 2, c.ink);
      if (state.method !== "pca") return;
      const length = HS.maths.tickStep(box.width / state.at.unit, 5);
      const x = box.x + 8;
      const y = box.y + box.height - 8;
      HS.chart.line(ctx, x, y, x + length * state.at.unit, y, c.muted, 2);
      HS.chart.text(ctx, `${HS.show(length)} on both axes`, x, y - 5, c.muted, "left", "bottom");
    }

    function over(ctx, width, height, c) {
      if (!state.at) return;
      for (const pin of store.pins(store.look.layer)) ring(ctx, pin, 5, c.ink);
      const focus = store.focus(store.look.layer);
      if (focus === null) return;
      ctx.globalAlpha = 0.45;
      ctx.fillStyle = c.paper;
      ctx.fillRect(LEFT, 2, width - LEFT, height - BOTTOM);
      ctx.globalAlpha = 1;
      const found = HS.points.drawEdgesOf(ctx, state.at, store, focus, c);
      const graph = store.graph(store.look.layer);
      const dot = (i, radius) => {
        ring(ctx, i, radius, c.ink);
        ctx.fillStyle = state.paint(i);
        ctx.fill();
      };
      if (!HS.pooled(store.layer)) found.in.forEach((e) => dot(graph.source[e], 4));
      found.out.forEach((e) => dot(graph.target[e], 4));
      dot(focus, 7);
      HS.points.closeUp(ctx, HS.chart.picture(store, () => view.draw(true)), store.layer.grid, focus, state.at.x[focus], state.at.y[focus], width, height - BOTTOM, c);
    }

    function ring(ctx, i, radius, colour) {
      ctx.beginPath();
      ctx.arc(state.at.x[i], state.at.y[i], radius, 0, 2 * Math.PI);
      ctx.strokeStyle = colour;
      ctx.lineWidth = 1.5;
      ctx.stroke();
    }

    const under = (x, y) => (state.at ? HS.points.nearest(state.at, x, y, 16) : null);
    function move(x, y) {
      const patch = under(x, y);
      store.setHover(patch === null ? null : { layer: store.look.layer, patch, side: "target" });
      return patch;
    }

    function allow() {
      methods.allow("umap", store.host.live || Boolean(source.get(key())), "UMAP is computed by the server; this is a replay without one");
      colouring.allow("segment", Boolean(store.payload.segments), "This picture has no segments");
      colouring.allow("community", !HS.pooled(store.layer), "Sources are pooled cells here, so patches form no communities");
    }

    function describe() {
      const status = source.status(key());
      if (state.method === "umap" && status === "refused") return say(source.message(key()));
      if (state.method === "umap" && status === "asking") return say("The server computes the map (a few seconds, once per layer) …");
      const n = store.layer.grid[0] * store.layer.grid[1];
      const truth = store.payload.segments && store.payload.segments.truth ? "annotated by people" : "found by an algorithm, not by people";
      const colour = { own: "coloured like their pixels", segment: `coloured by segment (${truth})`, community: "coloured by community of the graph (Louvain)" }[state.colour];
      say(`${n.toLocaleString("en")} patches of ${store.layer.label}, ${colour}. Close together: the model holds them for alike. Hover one to see whom it listens to.`);
    }

    function draw(changed) {
      view.draw(HS.chart.touched(changed, "layer", "rule", "answer"));
      if (HS.chart.onlyHover(changed)) return;
      allow();
      askIfNeeded();
      describe();
    }

    return {
      draw,
      resize: () => view.resize(),
      destroy() {
        source.stop();
        el.replaceChildren();
      },
    };
  }

  const ORDINAL = ["1st", "2nd"];
  const EMPTY = { asking: "computing …", refused: "no map", none: "This layer has no stored features", ready: "" };

  HS.panel({ name: "space", title: "Feature space", available: (store) => store.layers.some((layer) => layer.pca), mount });
})();
