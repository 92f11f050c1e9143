// @wing hypergraphs
/**
 * Patches and prototypes in one plane (principal components of both together). A star is what was learned (P₀), the arrow what
 * this picture adds to it (ΔP), its head the prototype P that the patches are compared with.
 */
(() => {
  "use strict";

  const LEFT = 20;
  const BOTTOM = 22;
  const WAITING = { asking: "computing …", refused: "no map" };

  function mount(el, store) {
    const state = { method: "pca", colour: "edge", at: null, n: 0, over: null };
    const layer = () => store.look.layer;
    const source = HS.points.source(store, () => (view.draw(true), describe()));
    const key = () => `${store.payload.run} ${store.layer.name} umap`;
    const methods = HS.chart.choice(el, "Map", [["pca", "PCA"], ["umap", "UMAP"]], state.method, (method) => {
      state.method = method;
      askIfNeeded();
      view.draw(true);
      describe();
    });
    function askIfNeeded() {
      if (state.method === "umap" && store.host.live && source.status(key()) === "none") source.ask(key(), { method: "umap", look: store.look });
    }
    HS.chart.choice(el, "Colour", [["edge", "strongest hyperedge"], ["own", "patch"]], state.colour, (colour) => {
      state.colour = colour;
      view.draw(true);
    });
    const view = HS.chart.board(el, { label: "Patches and prototypes in the plane of their two main directions", height: (width) => Math.min(width, 400), base, over, move, leave, press });
    const say = HS.chart.note(el);

    /** {tokens, prototypes, static} in the plane of the chosen method; null while they are on their way. */
    function plane() {
      const { space, hyperedges } = store.layer.hypergraph;
      if (state.method === "pca") return space;
      const points = source.get(key());
      if (!points) return null;
      const [n, m] = [2 * store.layer.grid[0] * store.layer.grid[1], 2 * hyperedges];
      return { tokens: points.subarray(0, n), prototypes: points.subarray(n, n + m), static: points.length > n + m ? points.subarray(n + m) : null };
    }

    /** Prototypes under the present context: P₀ + t·ΔP. [M, 2]; UMAP knows only those of the model. */
    function prototypes() {
      const { prototypes: p, static: still } = plane();
      if (state.method === "umap") return p;
      const own = store.layer.hypergraph.own.context;
      const { context } = HS.hyper.settingsOf(store, store.layer);
      if (!still || context === own || own === 0) return p;
      return Float32Array.from(p, (value, i) => still[i] + ((value - still[i]) * context) / own);
    }

    function base(ctx, width, height, c) {
      const d = HS.hyper.of(store, layer());
      const box = { x: LEFT, y: 2, width: width - LEFT - 2, height: height - BOTTOM - 2 };
      state.at = null;
      if (!plane()) return HS.chart.text(ctx, WAITING[source.status(key())] || "", width / 2, height / 2, c.muted, "center", "middle");
      const { tokens, static: still } = plane();
      const now = prototypes();
      state.n = d.n;
      state.still = still;
      state.at = HS.points.place(Float32Array.from([...tokens, ...now, ...(still || [])]), box, 14);
      ctx.strokeStyle = c.line;
      ctx.strokeRect(box.x + 0.5, box.y + 0.5, box.width - 1, box.height - 1);
      axes(ctx, box, c);
      drawTokens(ctx, d, c);
      for (let m = 0; m < d.m; m++) if (d.on[m]) drawPrototype(ctx, m, c);
    }

    function axes(ctx, box, c) {
      const { explained } = store.layer.hypergraph.space;
      const [first, second] = state.method === "pca" ? [`1st direction · ${HS.percent(explained[0])} of the variance`, `2nd direction · ${HS.percent(explained[1])}`] : ["no unit: only who lies beside whom means something", ""];
      HS.chart.text(ctx, first, box.x + box.width / 2, box.y + box.height + 14, c.ink, "center", "middle");
      HS.chart.upright(ctx, second, 8, box.y + box.height / 2, c.ink);
    }

    function drawTokens(ctx, d, c) {
      const { label, clear } = HS.hyper.assignment(d);
      const radius = d.n > 600 ? 2 : 3;
      for (let i = 0; i < d.n; i++) {
        ctx.beginPath();
        ctx.arc(state.at.x[i], state.at.y[i], radius, 0, 2 * Math.PI);
        ctx.globalAlpha = state.colour === "own" || label[i] < 0 ? 0.9 : 0.25 + 0.65 * Math.sqrt(clear[i]);
        ctx.fillStyle = state.colour === "own" ? HS.patchColour(store.layer, i) : label[i] < 0 ? c.muted : HS.edges.colourOf(label[i]);
        ctx.fill();
      }
      ctx.globalAlpha = 1;
    }

    const pointOf = (m) => [state.at.x[state.n + m], state.at.y[state.n + m]];
    const startOf = (m) => {
      const i = state.n + store.layer.hypergraph.hyperedges + m;
      return [state.at.x[i], state.at.y[i]];
    };

    function drawPrototype(ctx, m, c) {
      const [x, y] = pointOf(m);
      if (state.still) {
        const [x0, y0] = startOf(m);
        const long = Math.hypot(x - x0, y - y0);
        if (long > 14) HS.chart.line(ctx, x0, y0, x - ((x - x0) * 10) / long, y - ((y - y0) * 10) / long, c.ink, 1.5);
        star(ctx, x0, y0, c);
      }
      ctx.beginPath();
      ctx.arc(x, y, 9, 0, 2 * Math.PI);
      ctx.fillStyle = c.paper;
      ctx.fill();
      ctx.lineWidth = 2.5;
      ctx.strokeStyle = HS.edges.colourOf(m);
      ctx.stroke();
      HS.chart.text(ctx, HS.edges.name(m), x, y + 0.5, c.ink, "center", "middle");
    }

    function star(ctx, x, y, c) {
      ctx.beginPath();
      for (let i = 0; i < 10; i++) {
        const [r, turn] = [i % 2 ? 2.6 : 6, (Math.PI / 5) * i - Math.PI / 2];
        ctx[i ? "lineTo" : "moveTo"](x + r * Math.cos(turn), y + r * Math.sin(turn));
      }
      ctx.closePath();
      ctx.fillStyle = c.paper;
      ctx.fill();
      ctx.lineWidth = 1.2;
      ctx.strokeStyle = c.ink;
      ctx.stroke();
    }

    function over(ctx, width, height, c) {
      if (!state.at) return;
      const ring = (x, y, radius, colour) => {
        ctx.beginPath();
        ctx.arc(x, y, radius, 0, 2 * Math.PI);
        ctx.strokeStyle = colour;
        ctx.lineWidth = 2;
        ctx.stroke();
      };
      const hovered = HS.edges.edgeUnder(store, layer());
      const d = HS.hyper.of(store, layer());
      const members = hovered === null ? [] : HS.hyper.massSet(d, hovered);
      for (const patch of members) ring(state.at.x[patch], state.at.y[patch], 4, c.ink);
      for (const m of store.look.edges) if (m < d.m && d.on[m]) ring(...pointOf(m), 12, c.accent);
      if (hovered !== null && d.on[hovered]) ring(...pointOf(hovered), 12, c.ink);
      for (const pin of store.pins(layer())) ring(state.at.x[pin], state.at.y[pin], 5, c.ink);
      const focus = store.focus(layer());
      if (focus === null) return;
      for (const [m] of HS.edges.ofPatch(store, layer(), focus)) HS.chart.line(ctx, state.at.x[focus], state.at.y[focus], ...pointOf(m), HS.edges.colourOf(m), 2);
      ring(state.at.x[focus], state.at.y[focus], 6, c.ink);
      HS.points.closeUp(ctx, HS.chart.picture(store, () => view.draw(true)), store.layer.grid, focus, state.at.x[focus], state.at.y[focus], width, height - BOTTOM, c);
    }

    /** {edge} or {patch} under the pointer; prototypes lie above. */
    function under(px, py) {
      if (!state.at) return null;
      const d = HS.hyper.of(store, layer());
      for (let m = 0; m < d.m; m++) {
        const [x, y] = pointOf(m);
        if (d.on[m] && Math.hypot(px - x, py - y) < 11) return { edge: m };
      }
      const tokens = { x: state.at.x.subarray(0, state.n), y: state.at.y.subarray(0, state.n) };
      const patch = HS.points.nearest(tokens, px, py, 14);
      return patch === null ? null : { patch };
    }

    function move(x, y) {
      const hit = under(x, y);
      store.setHoverEdge(hit && hit.edge !== undefined ? hit.edge : null);
      store.setHover(hit && hit.patch !== undefined ? { layer: layer(), patch: hit.patch, side: "target" } : null);
      return hit && `${hit.edge} ${hit.patch}`;
    }
    function leave() {
      store.setHover(null);
      store.setHoverEdge(null);
    }
    function press(x, y) {
      const hit = under(x, y);
      if (hit && hit.edge !== undefined) HS.edges.toggle(store, hit.edge);
      else if (hit) store.togglePin(hit.patch);
    }

    function describe() {
      if (state.method === "umap" && source.status(key()) === "refused") return say(source.message(key()));
      if (state.method === "umap" && source.status(key()) === "asking") return say("The server computes the map (a few seconds, once per layer) …");
      const still = store.layer.hypergraph.space.static;
      const { context } = HS.hyper.settingsOf(store, store.layer);
      const arrows = still ? ` Stars: what was learned (P₀, the same for every picture); lines: what this picture adds${context === 1 ? "" : ` (${HS.show(context)} × of it)`}.` : "";
      const pale = state.colour === "edge" ? " Pale: in all about alike." : "";
      say(`Dots: patches as they are compared (queries); circles: the prototypes of the hyperedges.${arrows} A patch takes part in a hyperedge by the inner product with its prototype, so direction and length count, not only nearness.${pale}`);
    }

    return {
      draw(changed) {
        if (HS.chart.onlyHover(changed)) return view.draw(false);
        methods.allow("umap", store.host.live || Boolean(source.get(key())), "UMAP is computed by the server; this is a replay without one");
        askIfNeeded();
        view.draw(true);
        describe();
      },
      resize: () => view.resize(),
      destroy() {
        source.stop();
        el.replaceChildren();
      },
    };
  }

  HS.panel({ name: "prototypes", kind: "hypergraph", title: "Prototypes", available: (store) => Boolean(store.layer.hypergraph.space), mount });
})();
