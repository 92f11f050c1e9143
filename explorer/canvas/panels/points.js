/**
 * Patches as points in the plane: coordinates asked from the server (one question at a time, answers kept), scales,
 * the nearest point, thumbnails and edges. Used by the feature space and by the graph layouts.
 */
(() => {
  "use strict";

  const REST = 250; // milliseconds

  /**
   * Coordinates by key; `changed` runs when one arrived or was refused.
   * @returns get(key), ask(key, question), status(key) → "ready" | "asking" | "refused" | "none", message, stop()
   */
  function source(store, changed) {
    const known = new Map();
    const refused = new Map();
    let waiting = null;
    let timer = 0;
    const settle = (answer, keep) => {
      if (!waiting || waiting.request !== answer.request) return;
      keep(waiting.key);
      waiting = null;
      changed();
    };
    const stops = [
      store.onAnswer("layout", (answer) => settle(answer, (key) => known.set(key, answer.points))),
      store.onAnswer("refusal", (answer) => settle(answer, (key) => refused.set(key, answer.message))),
    ];
    return {
      get: (key) => known.get(key),
      message: (key) => refused.get(key) || "",
      /** Asks once the visitor has rested for a moment: stepping through layers asks only for the last one. */
      ask(key, question) {
        refused.delete(key);
        clearTimeout(timer);
        waiting = { key, request: null };
        timer = setTimeout(() => {
          const request = store.ask("layout", { ...HS.chart.about(store), ...question });
          waiting = request === null ? null : { key, request };
        }, REST);
      },
      status(key) {
        if (known.has(key)) return "ready";
        if (refused.has(key)) return "refused";
        const mine = waiting && waiting.key === key;
        return mine && (waiting.request === null || store.asking("layout")) ? "asking" : "none";
      },
      stop() {
        clearTimeout(timer);
        stops.forEach((stop) => stop());
      },
    };
  }

  /** Scale points [N, 2] into a box with the same unit on both axes: {x: Float32Array, y, unit}. y grows upwards. */
  function place(points, box, padding) {
    const n = points.length / 2;
    const range = (axis) => {
      let [low, high] = [Infinity, -Infinity];
      for (let i = 0; i < n; i++) {
        low = Math.min(low, points[2 * i + axis]);
        high = Math.max(high, points[2 * i + axis]);
      }
      return [low, high];
    };
    const [[x0, x1], [y0, y1]] = [range(0), range(1)];
    const unit = Math.min((box.width - 2 * padding) / (x1 - x0 || 1), (box.height - 2 * padding) / (y1 - y0 || 1));
    const [cx, cy] = [box.x + box.width / 2, box.y + box.height / 2];
    const x = Float32Array.from({ length: n }, (_, i) => cx + (points[2 * i] - (x0 + x1) / 2) * unit);
    const y = Float32Array.from({ length: n }, (_, i) => cy - (points[2 * i + 1] - (y0 + y1) / 2) * unit);
    return { x, y, unit };
  }

  /** The point within `reach` pixels that is closest, or null. */
  function nearest(at, px, py, reach) {
    let [best, away] = [null, reach * reach];
    for (let i = 0; i < at.x.length; i++) {
      const d = (at.x[i] - px) ** 2 + (at.y[i] - py) ** 2;
      if (d < away) [best, away] = [i, d];
    }
    return best;
  }

  /** Middle of the patches inside each pooled cell, kept with the placement. */
  function cellPoints(at, store) {
    if (at.cells) return at.cells;
    const { grid, keyGrid } = store.layer;
    const home = Array.from(at.x, (_, i) => HS.mapCell(i, grid, keyGrid));
    const middle = (values) => HS.maths.poolBy(values, home, keyGrid[0] * keyGrid[1]);
    return (at.cells = { x: middle(at.x), y: middle(at.y) });
  }

  /** Where a source lies: its own point, or the middle of the patches inside a pooled cell. */
  function sourcePoint(at, store, key) {
    const points = HS.pooled(store.layer) ? cellPoints(at, store) : at;
    return [points.x[key], points.y[key]];
  }

  /** Edges of one patch as lines in the colours of their direction, strong edges wider. */
  function drawEdgesOf(ctx, at, store, patch, c) {
    const graph = store.graph(store.look.layer);
    const found = HS.edgesOf(graph, store.layer, patch, store.look.direction);
    const stroke = (e, colour, dash) => {
      const [x, y] = sourcePoint(at, store, graph.source[e]);
      const t = graph.target[e];
      HS.chart.line(ctx, x, y, at.x[t], at.y[t], c.paper, 3.5 + graph.strength[e], []);
      HS.chart.line(ctx, x, y, at.x[t], at.y[t], colour, 1 + 1.5 * graph.strength[e], dash);
    };
    for (const e of found.out) stroke(e, c.heard, [6, 4]);
    for (const e of found.in) stroke(e, c.listen, []);
    return found;
  }

  /** The picture shrunk so that each patch measures `size`: thousands of thumbnails are cut from it quickly. */
  function shrink(image, grid, size) {
    const sheet = HS.el("canvas");
    const pixels = Math.ceil(size * Math.min(2, window.devicePixelRatio || 1));
    [sheet.width, sheet.height] = [pixels * grid[1], pixels * grid[0]];
    HS.drawPicture(sheet.getContext("2d"), { x: 0, y: 0, width: sheet.width, height: sheet.height }, image, false);
    return sheet;
  }

  /** Part of a picture (image or sheet) under a patch, drawn as a square of `size` around (x, y). */
  function thumbnail(ctx, image, grid, patch, x, y, size) {
    const [width, height] = [image.naturalWidth || image.width, image.naturalHeight || image.height];
    if (image.complete === false || !width) return;
    const [w, h] = [width / grid[1], height / grid[0]];
    ctx.drawImage(image, (patch % grid[1]) * w, Math.floor(patch / grid[1]) * h, w, h, x - size / 2, y - size / 2, size, size);
  }

  /** The focused patch, large, with a frame, kept inside the board. */
  function closeUp(ctx, image, grid, patch, x, y, width, height, c) {
    const size = 40;
    const cx = Math.max(size / 2 + 2, Math.min(width - size / 2 - 2, x + (x > width - 70 ? -34 : 34)));
    const cy = Math.max(size / 2 + 2, Math.min(height - size / 2 - 2, y - 30));
    ctx.fillStyle = c.ink;
    ctx.fillRect(cx - size / 2 - 1.5, cy - size / 2 - 1.5, size + 3, size + 3);
    thumbnail(ctx, image, grid, patch, cx, cy, size);
  }

  HS.points = { source, place, nearest, sourcePoint, drawEdgesOf, shrink, thumbnail, closeUp };
})();
