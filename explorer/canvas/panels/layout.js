/**
 * The graph itself, drawn by a layout of networkx, with the patches as thumbnails: what hangs together lies together,
 * wherever it is on the picture. The server computes the coordinates.
 */
(() => {
  "use strict";

  const METHODS = [
    ["spring", "Spring", "Edges pull like springs, patches push each other away (Fruchterman, Reingold)"],
    ["spectral", "Spectral", "Coordinates are the two slowest modes of the graph (Laplacian eigenvectors)"],
    ["kamada-kawai", "Kamada–Kawai", "Distance on the page follows the number of edges between two patches"],
  ];
  const MOST_LINES = 4000;
  const FLIGHT = 700; // milliseconds from the place on the picture to the place in the graph

  const ease = (t) => t * t * (3 - 2 * t);

  function mount(el, store) {
    const state = { method: "spring", from: null, to: null, at: null, shown: "", start: 0, frame: 0 };
    const source = HS.points.source(store, () => draw());
    HS.chart.choice(el, "Layout", METHODS, state.method, (method) => {
      state.method = method;
      draw();
    });
    const view = HS.chart.board(el, {
      label: "The graph as a drawing, patches as thumbnails",
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
    const again = HS.el("button", { type: "button", class: "hs-button", onclick: () => (ask(), draw()) }, "Try again");
    el.append(again);

    const key = () => `${store.layer.name} ${state.method}`;
    const ask = () => source.ask(key(), { method: state.method, look: store.look });
    const box = (width, height) => ({ x: 0, y: 0, width, height });
    const cells = () => store.layer.grid[0] * store.layer.grid[1];
    const thumb = (width, height) => Math.max(5, Math.min(30, 0.55 * Math.sqrt((width * height) / cells())));

    /** Every patch at its place on the picture. */
    function onPicture(width, height) {
      const { grid } = store.layer;
      const flat = Float32Array.from({ length: 2 * cells() }, (_, i) => (i % 2 ? -Math.floor((i - 1) / 2 / grid[1]) : (i / 2) % grid[1]));
      return HS.points.place(flat, box(width, height), thumb(width, height));
    }

    function base(ctx, width, height, c) {
      const points = source.get(key());
      if (!points) {
        state.shown = "";
        state.at = onPicture(width, height);
      } else if (state.shown !== `${key()} ${width}`) {
        settle(points, width, height);
      } else if (state.frame) {
        fly();
      }
      drawGraph(ctx, width, height, c, points ? 1 : 0.25);
      if (!points) {
        const words = store.host.live ? EMPTY[source.status(key())] : "needs the server";
        HS.chart.text(ctx, words, width / 2, height / 2, c.ink, "center", "middle");
      }
    }

    /** New coordinates arrived: patches fly there from where they were, or simply are there. */
    function settle(points, width, height) {
      state.from = state.at && state.at.x.length === cells() ? state.at : onPicture(width, height);
      state.to = HS.points.place(points, box(width, height), thumb(width, height) / 2 + 4);
      state.shown = `${key()} ${width}`;
      state.start = performance.now();
      if (HS.calm()) state.at = state.to;
      else fly();
    }

    function fly() {
      const t = Math.min(1, (performance.now() - state.start) / FLIGHT);
      const blend = (a, b) => a.map((v, i) => v + (b[i] - v) * ease(t));
      state.at = t === 1 ? state.to : { x: blend(state.from.x, state.to.x), y: blend(state.from.y, state.to.y) };
      cancelAnimationFrame(state.frame);
      state.frame = t < 1 ? requestAnimationFrame(() => view.draw(true)) : 0;
    }

    function drawGraph(ctx, width, height, c, alpha) {
      const graph = store.graph(store.look.layer);
      ctx.globalAlpha = Math.max(0.06, Math.min(0.5, 250 / Math.max(1, graph.m)));
      ctx.beginPath();
      for (const e of alpha === 1 ? HS.strongest(graph, MOST_LINES) : []) {
        ctx.moveTo(...HS.points.sourcePoint(state.at, store, graph.source[e]));
        ctx.lineTo(state.at.x[graph.target[e]], state.at.y[graph.target[e]]);
      }
      ctx.strokeStyle = c.ink;
      ctx.lineWidth = 1;
      ctx.stroke();
      ctx.globalAlpha = alpha;
      const size = thumb(width, height);
      const image = HS.points.shrink(HS.chart.picture(store, () => view.draw(true)), store.layer.grid, size);
      for (let i = 0; i < state.at.x.length; i++) HS.points.thumbnail(ctx, image, store.layer.grid, i, state.at.x[i], state.at.y[i], size);
      ctx.globalAlpha = 1;
    }

    function over(ctx, width, height, c) {
      const focus = store.focus(store.look.layer);
      if (focus === null || !source.get(key()) || state.frame) return;
      const { at } = state;
      const graph = store.graph(store.look.layer);
      const image = HS.chart.picture(store);
      const size = thumb(width, height);
      ctx.globalAlpha = 0.65;
      ctx.fillStyle = c.paper;
      ctx.fillRect(0, 0, width, height);
      ctx.globalAlpha = 1;
      const found = HS.points.drawEdgesOf(ctx, at, store, focus, c);
      const framed = (i, colour, grow) => {
        ctx.fillStyle = colour;
        ctx.fillRect(at.x[i] - size / 2 - grow, at.y[i] - size / 2 - grow, size + 2 * grow, size + 2 * grow);
        HS.points.thumbnail(ctx, image, store.layer.grid, i, at.x[i], at.y[i], size);
      };
      found.out.forEach((e) => framed(graph.target[e], c.heard, 2));
      if (!HS.pooled(store.layer)) found.in.forEach((e) => framed(graph.source[e], c.listen, 2));
      framed(focus, c.ink, 3);
    }

    const under = (x, y) => (source.get(key()) && state.at ? HS.points.nearest(state.at, x, y, 20) : null);
    function move(x, y) {
      const patch = under(x, y);
      store.setHover(patch === null ? null : { layer: store.look.layer, patch, side: "target" });
      return patch;
    }

    function describe(status) {
      again.hidden = status !== "refused";
      if (!store.host.live) return say("The places are computed by a server. This is a replay without one; open the live version to see the graph laid out.");
      if (status === "refused") return say(source.message(key()));
      if (status === "asking") return say("The server computes the places …");
      const graph = store.graph(store.look.layer);
      const { count } = HS.components(graph, store.layer);
      const mine = HS.ruleDiffers(store.layer, store.look.rule) ? " Places follow the model's own edges, lines your settings." : "";
      const method = METHODS.find(([name]) => name === state.method)[2];
      const shown = graph.m > MOST_LINES ? ` The ${MOST_LINES.toLocaleString("en")} strongest are drawn.` : "";
      say(`${HS.plural(cells(), "patch", "patches")}, ${HS.plural(graph.m, "edge")}, ${HS.plural(count, "piece")}.${shown} ${method}; axes have no unit.${mine}`);
    }

    function draw(changed) {
      if (HS.chart.onlyHover(changed)) return view.draw(false);
      if (store.host.live && source.status(key()) === "none" && !store.asking("run")) ask();
      view.draw(HS.chart.touched(changed, "layer", "rule", "answer"));
      describe(source.status(key()));
    }

    return {
      draw,
      resize: () => view.resize(),
      destroy() {
        cancelAnimationFrame(state.frame);
        source.stop();
        el.replaceChildren();
      },
    };
  }

  const EMPTY = { asking: "computing the layout …", refused: "no layout", none: "", ready: "" };

  HS.panel({ name: "layout", title: "Graph layout", available: () => true, mount });
})();
