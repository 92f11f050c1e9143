/**
 * Drawing on one frame: the rectangle {x, y, width, height} in CSS pixels where a picture lies. Nothing here knows the
 * store, so the main picture, the film strip and the take-home PNG draw with the same hand.
 */
(() => {
  "use strict";

  const GUTTER = 16; // room around the picture in which wrapped edges leave and come back

  /** Rectangle of a cell: [x, y, width, height]. */
  function cellRect(frame, grid, cell) {
    const [w, h] = [frame.width / grid[1], frame.height / grid[0]];
    return [frame.x + (cell % grid[1]) * w, frame.y + Math.floor(cell / grid[1]) * h, w, h];
  }

  /** Centre of a cell: [x, y]. */
  function cellCentre(frame, grid, cell) {
    const [x, y, w, h] = cellRect(frame, grid, cell);
    return [x + w / 2, y + h / 2];
  }

  /** The cell under a point, or null outside of the frame. */
  function cellAt(frame, grid, x, y) {
    const col = Math.floor(((x - frame.x) / frame.width) * grid[1]);
    const row = Math.floor(((y - frame.y) / frame.height) * grid[0]);
    return row >= 0 && col >= 0 && row < grid[0] && col < grid[1] ? row * grid[1] + col : null;
  }

  /**
   * The pieces of an edge's line, each [x1, y1, bend x, bend y, x2, y2] from source to target. Lines bend a little to
   * their right, so that edges along one row, and an edge and its answer, do not cover each other. An edge that a roll
   * made leaves the picture over the border and comes back on the other side.
   */
  function edgeCurves(frame, layer, graph, e) {
    const [x1, y1] = cellCentre(frame, layer.keyGrid, graph.source[e]);
    const [x2, y2] = cellCentre(frame, layer.grid, graph.target[e]);
    if (!graph.wrap[e]) return [curve(x1, y1, x2, y2, 0.14)];
    const aside = ((graph.slot[e] % 5) - 2) * 0.07;
    if (Math.abs(x1 - x2) < 1) {
      const x = x1 + (aside * frame.width) / layer.grid[1];
      return [curve(x1, y1, x, frame.y + frame.height + GUTTER - 3, 0.04), curve(x, frame.y - GUTTER + 3, x2, y2, 0.04)];
    }
    const y = y1 + (aside * frame.height) / layer.grid[0];
    return [curve(x1, y1, frame.x + frame.width + GUTTER - 3, y, 0.04), curve(frame.x - GUTTER + 3, y, x2, y2, 0.04)];
  }

  function curve(x1, y1, x2, y2, bend) {
    return [x1, y1, (x1 + x2) / 2 - (y2 - y1) * bend, (y1 + y2) / 2 + (x2 - x1) * bend, x2, y2];
  }

  function trace(path, [x1, y1, bx, by, x2, y2]) {
    path.moveTo(x1, y1);
    path.quadraticCurveTo(bx, by, x2, y2);
  }

  /** Corners of the arrow head on a curve, a bit past its middle: the message flows this way. */
  function arrowPoints([x1, y1, bx, by, x2, y2], size) {
    const t = 0.58;
    const x = (1 - t) ** 2 * x1 + 2 * t * (1 - t) * bx + t * t * x2;
    const y = (1 - t) ** 2 * y1 + 2 * t * (1 - t) * by + t * t * y2;
    const angle = Math.atan2((1 - t) * (by - y1) + t * (y2 - by), (1 - t) * (bx - x1) + t * (x2 - bx));
    return [0, 2.5, -2.5].map((turn) => [x + size * Math.cos(angle + turn), y + size * Math.sin(angle + turn)]);
  }

  /** An edge as a blade: wide where it starts, a point where it ends, so that a bundle of thin edges shows its direction. */
  function blade(path, [x1, y1, bx, by, x2, y2], width) {
    const far = Math.hypot(bx - x1, by - y1) || 1;
    const [nx, ny] = [((by - y1) / far) * (width / 2), ((x1 - bx) / far) * (width / 2)];
    path.moveTo(x1 + nx, y1 + ny);
    path.quadraticCurveTo(bx + nx / 2, by + ny / 2, x2, y2);
    path.quadraticCurveTo(bx - nx / 2, by - ny / 2, x1 - nx, y1 - ny);
    path.closePath();
  }

  function arrowHead(path, curve, size) {
    const [tip, left, right] = arrowPoints(curve, size);
    path.moveTo(...tip);
    path.lineTo(...left);
    path.lineTo(...right);
    path.closePath();
  }

  const LEVELS = 8;

  /** How heavy an edge looks, 0..1. Shares of channels are small numbers, so their square root; the order stays. */
  const edgeWeight = (strength) => Math.round(Math.sqrt(strength) * LEVELS) / LEVELS;

  /**
   * Edges in one colour (or by length), width and opacity by strength; drawn in a few batches whatever their number.
   * @param style {colour, colourOf(e) → css, dash, width, alpha, arrows, halo, taper, weight: the same for all edges}
   *   `taper`: from wide at the source to a point at the target; an edge round the border is wide up to the border
   */
  function drawEdges(ctx, frame, layer, graph, edges, style) {
    const batches = new Map();
    for (const e of edges) {
      const colour = style.colourOf ? style.colourOf(e) : style.colour;
      const weight = style.weight ?? edgeWeight(graph.strength[e]);
      const key = `${weight} ${graph.wrap[e]} ${colour}`;
      if (!batches.has(key)) batches.set(key, { line: HS.newPath(ctx), thin: HS.newPath(ctx), heads: HS.newPath(ctx), colour, wrap: graph.wrap[e], weight });
      const batch = batches.get(key);
      const curves = edgeCurves(frame, layer, graph, e);
      if (style.taper && !graph.wrap[e]) blade(batch.line, curves[0], 2.2 * lineWidth(style, weight));
      else for (const [i, piece] of curves.entries()) trace(style.taper && i ? batch.thin : batch.line, piece);
      if (style.arrows) arrowHead(batch.heads, curves[curves.length - 1], 4.5 + 3 * weight);
    }
    ctx.save();
    ctx.lineCap = "round";
    for (const batch of [...batches.values()].sort((a, b) => a.weight - b.weight)) strokeBatch(ctx, batch, style);
    ctx.restore();
  }

  const lineWidth = (style, weight) => style.width * (0.4 + 0.9 * weight);

  function strokeBatch(ctx, batch, style) {
    const width = lineWidth(style, batch.weight);
    ctx.globalAlpha = style.alpha * (0.4 + 0.6 * batch.weight);
    ctx.setLineDash(batch.wrap ? [2, 3] : style.dash || []);
    if (style.halo && !batch.wrap) {
      ctx.strokeStyle = "rgb(0 0 0 / 0.55)";
      ctx.lineWidth = width + 2;
      ctx.stroke(batch.line);
    }
    ctx.strokeStyle = ctx.fillStyle = batch.colour;
    if (style.taper && !batch.wrap) return ctx.fill(batch.line);
    ctx.lineWidth = style.taper ? 1.6 * width : width;
    ctx.stroke(batch.line);
    if (style.taper) {
      ctx.lineWidth = 0.6 * width;
      ctx.stroke(batch.thin);
    }
    if (style.arrows) {
      ctx.globalAlpha = Math.min(1, style.alpha * (0.6 + 0.4 * batch.weight));
      ctx.fill(batch.heads);
    }
  }

  /** The strongest edges of a graph, at most `limit`, in the order of the graph. */
  function strongest(graph, limit) {
    const all = Uint32Array.from({ length: graph.m }, (_, e) => e);
    if (graph.m <= limit) return all;
    return all.sort((a, b) => graph.strength[b] - graph.strength[a]).slice(0, limit).sort();
  }

  /** Darken the frame except for some rectangles, so that these stand out. On an empty layer only: it clears the holes. */
  function drawVeil(ctx, frame, holes, darkness) {
    ctx.fillStyle = `rgb(8 10 14 / ${darkness})`;
    ctx.fillRect(frame.x, frame.y, frame.width, frame.height);
    for (const [x, y, w, h] of holes) ctx.clearRect(x, y, w, h);
  }

  function drawGrid(ctx, frame, grid) {
    ctx.beginPath();
    for (let r = 1; r < grid[0]; r++) {
      const y = Math.round(frame.y + (r * frame.height) / grid[0]) + 0.5;
      ctx.moveTo(frame.x, y);
      ctx.lineTo(frame.x + frame.width, y);
    }
    for (let c = 1; c < grid[1]; c++) {
      const x = Math.round(frame.x + (c * frame.width) / grid[1]) + 0.5;
      ctx.moveTo(x, frame.y);
      ctx.lineTo(x, frame.y + frame.height);
    }
    ctx.lineWidth = 1;
    ctx.strokeStyle = "rgb(255 255 255 / 0.28)";
    ctx.stroke();
  }

  /** Outline of a cell with a dark halo, visible on any picture. */
  function drawCell(ctx, [x, y, w, h], colour, width = 2, dash = []) {
    const inset = width / 2;
    ctx.setLineDash([]);
    ctx.strokeStyle = "rgb(0 0 0 / 0.6)";
    ctx.lineWidth = width + 2;
    ctx.strokeRect(x + inset, y + inset, w - width, h - width);
    ctx.setLineDash(dash);
    ctx.strokeStyle = colour;
    ctx.lineWidth = width;
    ctx.strokeRect(x + inset, y + inset, w - width, h - width);
    ctx.setLineDash([]);
  }

  /** Letter of a pin in a small round label at the corner of its cell. */
  function drawLetter(ctx, [x, y, w], text, colour) {
    const radius = 8;
    const [cx, cy] = [x + Math.min(w, 14) - 2, y];
    ctx.beginPath();
    ctx.arc(cx, cy, radius, 0, 2 * Math.PI);
    ctx.fillStyle = "rgb(10 12 16 / 0.92)";
    ctx.fill();
    ctx.lineWidth = 1.5;
    ctx.strokeStyle = colour;
    ctx.stroke();
    ctx.fillStyle = "#fff";
    ctx.font = "600 11px system-ui, sans-serif";
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    ctx.fillText(text, cx, cy + 0.5);
  }

  /** A cross over a patch whose edges are cut. */
  function drawCross(ctx, [x, y, w, h], colour) {
    ctx.beginPath();
    ctx.moveTo(x + w * 0.2, y + h * 0.2);
    ctx.lineTo(x + w * 0.8, y + h * 0.8);
    ctx.moveTo(x + w * 0.8, y + h * 0.2);
    ctx.lineTo(x + w * 0.2, y + h * 0.8);
    ctx.lineWidth = 4;
    ctx.strokeStyle = "rgb(0 0 0 / 0.7)";
    ctx.stroke();
    ctx.lineWidth = 2;
    ctx.strokeStyle = colour;
    ctx.stroke();
  }

  let sheet = null; // one pixel per cell; kept, because making a canvas costs more than filling it

  /**
   * Cells filled by value. `heat` = {values, grid, scale: {kind, min, max}}, kind "sequential",
   * "reversed" (small is bright), "diverging" (around 0) or "category";
   * a value that is not a number stays empty.
   */
  function drawHeat(ctx, frame, heat, alpha) {
    const [rows, cols] = heat.grid;
    const small = sheet || (sheet = document.createElement("canvas"));
    if (small.width !== cols || small.height !== rows) [small.width, small.height] = [cols, rows];
    const pixels = new ImageData(cols, rows);
    heat.values.forEach((value, i) => {
      if (Number.isFinite(value)) pixels.data.set([...heatColour(heat.scale, value), 255], 4 * i);
    });
    small.getContext("2d").putImageData(pixels, 0, 0);
    ctx.save();
    ctx.globalAlpha = alpha;
    ctx.imageSmoothingEnabled = false;
    ctx.drawImage(small, frame.x, frame.y, frame.width, frame.height);
    ctx.restore();
  }

  /** [r, g, b] of a value on a scale. */
  function heatColour(scale, value) {
    if (scale.kind === "category") {
      const hex = value < 7 ? HS.OKABE_ITO[value] : "#808080";
      return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
    }
    const max = scale.max || 1;
    const t = scale.kind === "diverging" ? 0.5 + value / (2 * max) : unitOf(scale, value);
    const i = 3 * Math.round(255 * Math.min(1, Math.max(0, t)));
    const lut = HS.LUT[scale.kind === "diverging" ? "diverging" : "viridis"];
    return [lut[i], lut[i + 1], lut[i + 2]];
  }

  function unitOf(scale, value) {
    const low = scale.min || 0;
    const t = (value - low) / (scale.max - low || 1);
    return scale.kind === "reversed" ? 1 - t : t;
  }

  /** Takes the colour out of a frame, so that a map over it keeps its own. */
  function greyOut(ctx, frame) {
    ctx.save();
    ctx.globalCompositeOperation = "saturation";
    ctx.fillStyle = "#808080";
    ctx.fillRect(frame.x, frame.y, frame.width, frame.height);
    ctx.restore();
  }

  /** The picture itself; hard pixels where it is enlarged beyond what was there to see. */
  function drawPicture(ctx, frame, image, pixelated) {
    ctx.imageSmoothingEnabled = !pixelated;
    ctx.imageSmoothingQuality = "high";
    if (image && image.complete && image.naturalWidth) ctx.drawImage(image, frame.x, frame.y, frame.width, frame.height);
  }

  Object.assign(HS, { GUTTER, cellRect, cellCentre, cellAt, edgeCurves, edgeWeight, arrowPoints, drawEdges, strongest, drawVeil, drawGrid, drawCell, drawLetter });
  Object.assign(HS, { drawCross, drawHeat, greyOut, heatColour, drawPicture });
})();
