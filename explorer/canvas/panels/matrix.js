/**
 * The adjacency matrix: a row per patch that listens, a column per patch (or pooled cell) that is listened to.
 * Rows and columns may be sorted by segment or community; positions are turned back into patches before anything leaves.
 */
(() => {
  "use strict";

  const MARGIN = { left: 36, top: 36, right: 4, bottom: 4 };
  const WORDS_EVERY = 60; // milliseconds; the drawing follows the pointer at every frame
  const SNAP = 5; // pixels within which the pointer finds an edge when cells are smaller than that
  const grouped = new WeakMap(); // Graph → communities

  function labelsOf(store, sort, graph) {
    const { grid, keyGrid } = store.layer;
    const flat = (n) => new Int32Array(n);
    if (sort === "segment") return [HS.chart.segmentsOn(store, grid), HS.chart.segmentsOn(store, keyGrid)];
    if (sort !== "community") return [flat(graph.n), flat(graph.keys)];
    if (!grouped.has(graph)) grouped.set(graph, HS.networks.communities(graph));
    return [grouped.get(graph).label, grouped.get(graph).label];
  }

  /** One pixel per cell, or per block of cells where they are finer than the screen; alpha grows with strength or number. */
  function image(graph, rows, cols, size, ink) {
    const [width, height] = [Math.min(graph.keys, Math.floor(size)), Math.min(graph.n, Math.floor(size))];
    const value = new Float32Array(width * height);
    const single = width === graph.keys && height === graph.n;
    let most = 1;
    for (let e = 0; e < graph.m; e++) {
      const x = Math.floor((cols.rank[graph.source[e]] * width) / graph.keys);
      const y = Math.floor((rows.rank[graph.target[e]] * height) / graph.n);
      const at = y * width + x;
      value[at] = single ? 0.4 + 0.6 * graph.strength[e] : value[at] + 1;
      most = Math.max(most, value[at]);
    }
    const canvas = HS.el("canvas");
    [canvas.width, canvas.height] = [width, height];
    const ctx = canvas.getContext("2d");
    ctx.fillStyle = ink;
    value.forEach((v, at) => {
      if (!v) return;
      ctx.globalAlpha = single ? v : 0.35 + (0.65 * v) / most;
      ctx.fillRect(at % width, Math.floor(at / width), 1, 1);
    });
    return canvas;
  }

  function edgeBetween(graph, target, source) {
    for (let e = graph.offsets[target]; e < graph.offsets[target + 1]; e++) if (graph.source[e] === source) return e;
    return -1;
  }

  function mount(el, store) {
    const state = { sort: "raster", cell: null, rows: null, cols: null, labels: null };
    const options = [
      ["raster", "As in the picture", "Patches from left to right, row by row"],
      ["segment", "Segment", "Patches of one segment side by side"],
      ["community", "Community", "Patches that link to each other side by side (Louvain)"],
    ];
    const sorting = HS.chart.choice(el, "Order", options, state.sort, (sort) => {
      state.sort = sort;
      draw();
    });
    const view = HS.chart.board(el, {
      label: "Adjacency matrix. Arrow keys move, Enter pins the patch of the row.",
      height: (width) => width,
      base: drawBase,
      over: drawOver,
      move,
      leave: () => {
        state.cell = null;
        store.setHover(null);
      },
      press: () => state.cell && store.togglePin(state.cell[0]),
      key,
    });
    const say = HS.chart.note(el);
    const words = HS.atMostEvery(WORDS_EVERY, describe);
    const graph = () => store.graph(store.look.layer);
    const frame = () => {
      const width = view.width();
      return { x: MARGIN.left, y: MARGIN.top, width: width - MARGIN.left - MARGIN.right, height: width - MARGIN.top - MARGIN.bottom };
    };
    const cellSize = (f) => [f.width / graph().keys, f.height / graph().n];

    function arrange() {
      const mayGroup = !HS.pooled(store.layer);
      sorting.allow("segment", Boolean(store.payload.segments), "This picture has no segments");
      sorting.allow("community", mayGroup, "Sources are pooled cells here, so patches cannot link to each other");
      if ((state.sort === "community" && !mayGroup) || (state.sort === "segment" && !store.payload.segments)) state.sort = "raster";
      sorting.set(state.sort);
      const [rows, cols] = labelsOf(store, state.sort, graph());
      state.labels = [rows, cols];
      [state.rows, state.cols] = [HS.maths.sortOrder(rows), HS.maths.sortOrder(cols)];
    }

    function drawBase(ctx, width, height, c) {
      const f = frame();
      HS.chart.text(ctx, "→ patch that is listened to (source)", f.x, 7, c.ink, "left", "middle");
      HS.chart.upright(ctx, "patch that listens (target) ←", 8, f.y + f.height - 80, c.ink);
      ctx.strokeStyle = c.line;
      ctx.strokeRect(f.x - 0.5, f.y - 0.5, f.width + 1, f.height + 1);
      if (state.sort === "raster") pictureRows(ctx, f, c);
      ctx.imageSmoothingEnabled = false;
      const ratio = Math.min(2, window.devicePixelRatio || 1);
      ctx.drawImage(image(graph(), state.rows, state.cols, f.width * ratio, c.ink), f.x, f.y, f.width, f.height);
      if (state.sort !== "raster") groupStrips(ctx, f, c);
    }

    /** Where a new row of the picture begins, on both axes. */
    function pictureRows(ctx, f, c) {
      const { grid, keyGrid } = store.layer;
      const every = (count) => Math.max(1, Math.ceil(count / 8));
      for (let r = 0; r < grid[0]; r += every(grid[0])) {
        const y = f.y + (r * f.height) / grid[0];
        if (r) HS.chart.line(ctx, f.x, y, f.x + f.width, y, c.line);
        HS.chart.text(ctx, String(r + 1), f.x - 5, y + f.height / grid[0] / 2, c.muted, "right", "middle");
      }
      for (let r = 0; r < keyGrid[0]; r += every(keyGrid[0])) {
        const x = f.x + (r * f.width) / keyGrid[0];
        if (r) HS.chart.line(ctx, x, f.y, x, f.y + f.height, c.line);
        HS.chart.text(ctx, String(r + 1), x + f.width / keyGrid[0] / 2, f.y - 4, c.muted, "center", "bottom");
      }
    }

    function groupStrips(ctx, f, c) {
      const [cw, ch] = cellSize(f);
      for (const run of HS.maths.runs(state.labels[0], state.rows.order)) {
        ctx.fillStyle = HS.chart.groupColour(run.label);
        ctx.fillRect(f.x - 9, f.y + run.start * ch, 7, (run.end - run.start) * ch - 1);
        HS.chart.line(ctx, f.x, f.y + run.end * ch, f.x + f.width, f.y + run.end * ch, c.line);
      }
      for (const run of HS.maths.runs(state.labels[1], state.cols.order)) {
        ctx.fillStyle = HS.chart.groupColour(run.label);
        ctx.fillRect(f.x + run.start * cw, f.y - 9, (run.end - run.start) * cw - 1, 7);
        HS.chart.line(ctx, f.x + run.end * cw, f.y, f.x + run.end * cw, f.y + f.height, c.line);
      }
    }

    function drawOver(ctx, width, height, c) {
      const focus = store.focus(store.look.layer);
      if (focus === null) return;
      const f = frame();
      const [cw, ch] = cellSize(f);
      ctx.globalAlpha = 0.6;
      ctx.fillStyle = c.paper;
      ctx.fillRect(f.x, f.y, f.width, f.height);
      ctx.globalAlpha = 1;
      const key = store.keyOf(store.look.layer, focus);
      const [x, y] = [f.x + state.cols.rank[key] * cw, f.y + state.rows.rank[focus] * ch];
      band(ctx, f.x, y, f.width, ch, c.listen);
      band(ctx, x, f.y, cw, f.height, c.heard);
      const g = graph();
      const found = HS.edgesOf(g, store.layer, focus, "both");
      for (const e of found.out) spot(ctx, f, g, e, cw, ch, c.heard);
      for (const e of found.in) spot(ctx, f, g, e, cw, ch, c.listen);
      if (state.cell) {
        const [cx, cy] = [f.x + (state.cols.rank[state.cell[1]] + 0.5) * cw, f.y + (state.rows.rank[state.cell[0]] + 0.5) * ch];
        ctx.strokeStyle = c.ink;
        ctx.lineWidth = 1.5;
        ctx.strokeRect(cx - Math.max(4, cw / 2), cy - Math.max(4, ch / 2), Math.max(8, cw), Math.max(8, ch));
      }
    }

    function band(ctx, x, y, w, h, colour) {
      ctx.globalAlpha = 0.28;
      ctx.fillStyle = colour;
      ctx.fillRect(x - (w < 3 ? (3 - w) / 2 : 0), y - (h < 3 ? (3 - h) / 2 : 0), Math.max(3, w), Math.max(3, h));
      ctx.globalAlpha = 1;
    }

    function spot(ctx, f, g, e, cw, ch, colour) {
      const [w, h] = [Math.max(3, cw), Math.max(3, ch)];
      const [x, y] = [f.x + (state.cols.rank[g.source[e]] + 0.5) * cw, f.y + (state.rows.rank[g.target[e]] + 0.5) * ch];
      ctx.fillStyle = colour;
      ctx.fillRect(x - w / 2, y - h / 2, w, h);
    }

    /** [target, source] under a point; the closest edge within reach where cells are tiny. */
    function cellUnder(x, y) {
      const f = frame();
      const g = graph();
      const [cw, ch] = cellSize(f);
      const [col, row] = [Math.floor((x - f.x) / cw), Math.floor((y - f.y) / ch)];
      if (col < 0 || row < 0 || col >= g.keys || row >= g.n) return null;
      let best = [state.rows.order[row], state.cols.order[col]];
      if (cw >= SNAP && ch >= SNAP) return best;
      let nearest = SNAP;
      const reach = Math.ceil(SNAP / ch);
      for (let r = Math.max(0, row - reach); r <= Math.min(g.n - 1, row + reach); r++) {
        const target = state.rows.order[r];
        for (let e = g.offsets[target]; e < g.offsets[target + 1]; e++) {
          const away = Math.hypot((state.cols.rank[g.source[e]] - col) * cw, (r - row) * ch);
          if (away < nearest) [nearest, best] = [away, [target, g.source[e]]];
        }
      }
      return best;
    }

    function point(cell) {
      state.cell = cell;
      store.setHover(cell && { layer: store.look.layer, patch: cell[0], side: "target" });
      view.draw(false);
      words();
      return cell && cell[0] * 65536 + cell[1];
    }

    function move(x, y) {
      return point(cellUnder(x, y));
    }

    function key(event) {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (event.key === "Enter" && state.cell) store.togglePin(state.cell[0]);
      if (!step) return event.key === "Enter";
      const [target, source] = state.cell || [state.rows.order[0], state.cols.order[0]];
      const clamp = (v, n) => Math.max(0, Math.min(n - 1, v));
      const row = clamp(state.rows.rank[target] + step[0], graph().n);
      const col = clamp(state.cols.rank[source] + step[1], graph().keys);
      point([state.rows.order[row], state.cols.order[col]]);
      return true;
    }

    function describe() {
      const g = graph();
      if (!state.cell) return say(`${summary(g)} ${HELP[state.sort]}`);
      const [target, source] = state.cell;
      const e = edgeBetween(g, target, source);
      const ends = `${HS.place(target, store.layer.grid)} ${e < 0 ? "does not listen" : "listens"} to ${HS.place(source, store.layer.keyGrid)}`;
      const distance = e >= 0 && g.distance ? `, distance ${HS.show(g.distance[e])}` : "";
      const won = e >= 0 && store.layer.share ? `, won ${HS.percent(g.strength[e])} of the channels` : "";
      say(`${ends[0].toUpperCase()}${ends.slice(1)}${distance}${won}.`);
    }

    function summary(g) {
      const finer = g.n > view.width() ? " One dot may stand for several edges." : store.layer.share ? " The stronger the shade, the more channels the edge won." : "";
      return `${HS.plural(g.m, "edge")} among ${HS.plural(g.n * g.keys, "pair")} (${HS.percent(g.m / (g.n * g.keys))}).${finer}`;
    }

    function draw(changed) {
      const stale = HS.chart.touched(changed, "layer", "rule");
      if (stale) arrange();
      if (state.cell && (!store.hover || store.hover.patch !== state.cell[0])) state.cell = null;
      view.draw(stale);
      if (HS.chart.onlyHover(changed)) words();
      else words.now();
    }

    function destroy() {
      words.stop();
      el.replaceChildren();
    }

    return { draw, resize: () => view.resize(), destroy };
  }

  const HELP = {
    raster: "Numbers on the axes are rows of the picture.",
    segment: "Blocks on the diagonal are edges inside one segment.",
    community: "Blocks on the diagonal are patches that link to each other.",
  };

  HS.panel({ name: "matrix", title: "Matrix", available: () => true, mount });
})();
