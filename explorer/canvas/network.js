// @wing structure
/**
 * Graphs and groups on their own, without a picture behind them: what the drawing boards of that wing share.
 *
 * HS.net.graph6(n, edges)               one line of text; edges = flat [u, v, u, v, …]
 * HS.net.writePlaces(places, of)        places (flat, −1.28…1.28) as the server reads them (models/graph_structure/formats.py)
 * HS.net.adjacency(n, edges)            neighbours of every node, [[…], …]
 * HS.net.view(width, height, reach)     {to(x, y), from(px, py), scale}: the square −reach…reach in a box
 * HS.net.nodeAt / edgeAt                what lies under a point, or −1
 * HS.net.strokeEdges, discs             drawn in a few batches
 * HS.net.hull(points, radius, path)     a rounded outline around points
 * HS.net.springs(n, edges, start)       places by springs, for small graphs that the server never saw
 * HS.net.components(n, edges)           number of the piece of each node
 * HS.net.easel(element, spec)           a canvas that fills its element: drawn once per frame, pointer and keys
 * HS.net.save(name, type, content)      a file for the visitor
 */
(() => {
  "use strict";

  const GROUND = "#0d0f17"; // of the drawings that the networks look at (0.05, 0.06, 0.09)
  const INK = "#ffffff";
  const NODE = "#87ceeb";
  const MATTERS = "#ff6b4a";
  const REACH = 1.28;
  const STEPS = 4095;
  const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const SETS = ["#56b4e9", "#e69f00", "#2bc79a", "#e694c3", "#f0e442", "#d5794a", "#9db4ff", "#b5e07a"]; // bright Okabe–Ito: they lie on dark ground

  // ---------------------------------------------------------------------------------------------------------- text

  function graph6(n, edges) {
    const joined = new Set();
    for (let e = 0; e < edges.length; e += 2) joined.add(Math.max(edges[e], edges[e + 1]) * n + Math.min(edges[e], edges[e + 1]));
    const codes = n < 63 ? [n] : [63, (n >> 12) & 63, (n >> 6) & 63, n & 63];
    let [code, bits] = [0, 0];
    for (let column = 1; column < n; column++) {
      for (let row = 0; row < column; row++) {
        code = 2 * code + (joined.has(column * n + row) ? 1 : 0);
        if (++bits === 6) [code, bits] = [codes.push(code) * 0, 0];
      }
    }
    if (bits) codes.push(code << (6 - bits));
    return String.fromCharCode(...codes.map((value) => 63 + value));
  }

  /** CRC-32 of ASCII text, as zlib computes it. */
  function crc32(text) {
    let crc = -1;
    for (let i = 0; i < text.length; i++) {
      crc ^= text.charCodeAt(i);
      for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return (crc ^ -1) >>> 0;
  }

  function writePlaces(places, of) {
    const mark = crc32(of);
    let text = "";
    for (let place = 0; place < 6; place++) text += DIGITS[Math.floor(mark / 64 ** place) % 64];
    for (const value of places) {
      const code = Math.floor(((Math.min(REACH, Math.max(-REACH, value)) + REACH) / (2 * REACH)) * STEPS + 0.5);
      text += DIGITS[code >> 6] + DIGITS[code & 63];
    }
    return text;
  }

  // --------------------------------------------------------------------------------------------------------- graphs

  function adjacency(n, edges) {
    const around = Array.from({ length: n }, () => []);
    for (let e = 0; e < edges.length; e += 2) {
      around[edges[e]].push(edges[e + 1]);
      around[edges[e + 1]].push(edges[e]);
    }
    return around;
  }

  function components(n, edges) {
    const around = adjacency(n, edges);
    const piece = new Int32Array(n).fill(-1);
    let count = 0;
    for (let start = 0; start < n; start++) {
      if (piece[start] >= 0) continue;
      const waiting = [start];
      piece[start] = count;
      while (waiting.length) {
        for (const next of around[waiting.pop()]) {
          if (piece[next] >= 0) continue;
          piece[next] = count;
          waiting.push(next);
        }
      }
      count++;
    }
    return piece;
  }

  /** Fruchterman–Reingold from given places (flat), centred, the larger side 2 long. Deterministic. */
  function springs(n, edges, start, rounds = 120) {
    const p = Float64Array.from(start);
    const k = Math.sqrt(4 / Math.max(1, n));
    const move = new Float64Array(2 * n);
    for (let round = 0; round < rounds; round++) {
      move.fill(0);
      for (let i = 0; i < n; i++) {
        for (let j = i + 1; j < n; j++) {
          const [dx, dy] = [p[2 * i] - p[2 * j] + 1e-4 * (i % 7), p[2 * i + 1] - p[2 * j + 1] + 1e-4 * (j % 5)];
          const force = (k * k) / Math.max(1e-4, dx * dx + dy * dy);
          move[2 * i] += dx * force;
          move[2 * i + 1] += dy * force;
          move[2 * j] -= dx * force;
          move[2 * j + 1] -= dy * force;
        }
      }
      for (let e = 0; e < edges.length; e += 2) {
        const [u, v] = [edges[e], edges[e + 1]];
        const [dx, dy] = [p[2 * u] - p[2 * v], p[2 * u + 1] - p[2 * v + 1]];
        const pull = Math.hypot(dx, dy) / k;
        move[2 * u] -= dx * pull;
        move[2 * u + 1] -= dy * pull;
        move[2 * v] += dx * pull;
        move[2 * v + 1] += dy * pull;
      }
      const heat = 0.12 * (1 - round / rounds) + 0.002;
      for (let i = 0; i < n; i++) {
        const length = Math.hypot(move[2 * i], move[2 * i + 1]) || 1;
        p[2 * i] += (move[2 * i] / length) * Math.min(length, heat);
        p[2 * i + 1] += (move[2 * i + 1] / length) * Math.min(length, heat);
      }
    }
    return centred(p);
  }

  /** Places (flat) centred and scaled so that the larger side of their box is 2 long. */
  function centred(places) {
    const low = [Infinity, Infinity];
    const high = [-Infinity, -Infinity];
    places.forEach((value, i) => {
      low[i % 2] = Math.min(low[i % 2], value);
      high[i % 2] = Math.max(high[i % 2], value);
    });
    const extent = Math.max(high[0] - low[0], high[1] - low[1]);
    const scale = extent > 1e-9 ? 2 / extent : 0;
    return Float32Array.from(places, (value, i) => (value - (low[i % 2] + high[i % 2]) / 2) * scale);
  }

  // --------------------------------------------------------------------------------------------------------- places

  function view(width, height, reach = 1.12, left = 0, top = 0) {
    const scale = Math.min(width, height) / (2 * reach);
    const [cx, cy] = [left + width / 2, top + height / 2];
    return { scale, to: (x, y) => [cx + x * scale, cy + y * scale], from: (px, py) => [(px - cx) / scale, (py - cy) / scale] };
  }

  /** Pixel places (flat) of places (flat). */
  function pixels(places, v) {
    const found = new Float32Array(places.length);
    for (let i = 0; i < places.length; i += 2) [found[i], found[i + 1]] = v.to(places[i], places[i + 1]);
    return found;
  }

  function nodeAt(points, x, y, reach) {
    let [best, least] = [-1, reach * reach];
    for (let i = 0; i < points.length; i += 2) {
      const far = (points[i] - x) ** 2 + (points[i + 1] - y) ** 2;
      if (far <= least) [best, least] = [i / 2, far];
    }
    return best;
  }

  function fromSegment(x, y, x1, y1, x2, y2) {
    const [dx, dy] = [x2 - x1, y2 - y1];
    const t = Math.min(1, Math.max(0, ((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy || 1)));
    return Math.hypot(x - x1 - t * dx, y - y1 - t * dy);
  }

  function edgeAt(points, edges, x, y, reach) {
    let [best, least] = [-1, reach];
    for (let e = 0; e < edges.length; e += 2) {
      const [u, v] = [2 * edges[e], 2 * edges[e + 1]];
      const far = fromSegment(x, y, points[u], points[u + 1], points[v], points[v + 1]);
      if (far < least) [best, least] = [e / 2, far];
    }
    return best;
  }

  // -------------------------------------------------------------------------------------------------------- drawing

  /** Lines in batches: style(e) → [colour, width, alpha], or null to leave an edge out. */
  function strokeEdges(ctx, points, edges, style) {
    const batches = new Map();
    for (let e = 0; e < edges.length / 2; e++) {
      const found = style(e);
      if (!found) continue;
      const key = found.join();
      if (!batches.has(key)) batches.set(key, { found, path: HS.newPath(ctx) });
      const { path } = batches.get(key);
      path.moveTo(points[2 * edges[2 * e]], points[2 * edges[2 * e] + 1]);
      path.lineTo(points[2 * edges[2 * e + 1]], points[2 * edges[2 * e + 1] + 1]);
    }
    ctx.save();
    ctx.lineCap = "round";
    for (const { found, path } of [...batches.values()].sort((a, b) => a.found[1] - b.found[1])) {
      [ctx.strokeStyle, ctx.lineWidth, ctx.globalAlpha] = found;
      ctx.stroke(path);
    }
    ctx.restore();
  }

  /** Discs with a dark rim: colour(i) → css, radius(i) → pixels. */
  function discs(ctx, points, colour, radius, rim = GROUND) {
    const batches = new Map();
    for (let i = 0; i < points.length / 2; i++) {
      const fill = colour(i);
      if (!batches.has(fill)) batches.set(fill, HS.newPath(ctx));
      const path = batches.get(fill);
      const r = radius(i);
      path.moveTo(points[2 * i] + r, points[2 * i + 1]);
      path.arc(points[2 * i], points[2 * i + 1], r, 0, 2 * Math.PI);
    }
    ctx.save();
    ctx.lineWidth = 1.2;
    ctx.strokeStyle = rim;
    for (const [fill, path] of batches) {
      ctx.fillStyle = fill;
      ctx.fill(path);
      ctx.stroke(path);
    }
    ctx.restore();
  }

  function ring(ctx, x, y, radius, colour, width = 2) {
    const path = HS.newPath(ctx);
    path.moveTo(x + radius, y);
    path.arc(x, y, radius, 0, 2 * Math.PI);
    ctx.save();
    [ctx.strokeStyle, ctx.lineWidth] = [colour, width];
    ctx.stroke(path);
    ctx.restore();
  }

  function cross(o, a, b) {
    return (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0]);
  }

  /** Corners of the convex hull of [[x, y], …], counter-clockwise (Andrew's chain). */
  function convex(points) {
    const sorted = [...points].sort((a, b) => a[0] - b[0] || a[1] - b[1]).filter((p, i, all) => !i || p[0] !== all[i - 1][0] || p[1] !== all[i - 1][1]);
    if (sorted.length < 3) return sorted;
    const half = (list) => {
      const chain = [];
      for (const p of list) {
        while (chain.length > 1 && cross(chain[chain.length - 2], chain[chain.length - 1], p) <= 0) chain.pop();
        chain.push(p);
      }
      return chain.slice(0, -1);
    };
    return [...half(sorted), ...half(sorted.reverse())];
  }

  /** A rounded outline at `radius` around points [[x, y], …] into a path: a circle, a capsule, or a hull with round corners. */
  function hull(points, radius, path) {
    const corners = convex(points);
    if (!corners.length) return;
    if (corners.length === 1) {
      path.moveTo(corners[0][0] + radius, corners[0][1]);
      path.arc(corners[0][0], corners[0][1], radius, 0, 2 * Math.PI);
      return;
    }
    // Outward of a counter-clockwise chain (y down) is the right-hand side of each side, turned from corner to corner.
    corners.forEach((corner, i) => {
      const before = corners[(i + corners.length - 1) % corners.length];
      const after = corners[(i + 1) % corners.length];
      const from = Math.atan2(corner[1] - before[1], corner[0] - before[0]) - Math.PI / 2;
      let to = Math.atan2(after[1] - corner[1], after[0] - corner[0]) - Math.PI / 2;
      while (to < from - 1e-9) to += 2 * Math.PI;
      const [x, y] = [corner[0] + radius * Math.cos(from), corner[1] + radius * Math.sin(from)];
      if (i) path.lineTo(x, y);
      else path.moveTo(x, y);
      path.arc(corner[0], corner[1], radius, from, to);
    });
    path.closePath();
  }

  /** Whether a point lies within `radius` of the hull of points [[x, y], …] or inside it. */
  function inHull(points, radius, x, y) {
    const corners = convex(points);
    if (!corners.length) return false;
    if (corners.length === 1) return Math.hypot(x - corners[0][0], y - corners[0][1]) <= radius;
    const sides = corners.map((corner, i) => [corner, corners[(i + 1) % corners.length]]);
    if (corners.length > 2 && sides.every(([a, b]) => cross(a, b, [x, y]) >= 0)) return true;
    return sides.some(([a, b]) => fromSegment(x, y, ...a, ...b) <= radius);
  }

  /** A small picture of 8-bit colours [S, S, 3] as a canvas of its own, to be drawn enlarged. */
  function raster(bytes, side) {
    const canvas = HS.el("canvas");
    [canvas.width, canvas.height] = [side, side];
    const data = new ImageData(side, side);
    for (let i = 0; i < side * side; i++) data.data.set([bytes[3 * i], bytes[3 * i + 1], bytes[3 * i + 2], 255], 4 * i);
    canvas.getContext("2d").putImageData(data, 0, 0);
    return canvas;
  }

  // ---------------------------------------------------------------------------------------------------------- easel

  /**
   * A canvas that fills `element`.
   * @param spec {label, hint, paint(ctx, width, height), hover(x, y) → cursor, leave(), down(x, y, event) → true when a drag
   *   begins, drag(x, y), up(x, y, moved), key(event) → true when used}
   * @returns {{canvas, draw(), size(), paint(ctx, width, height), destroy()}}
   */
  function easel(element, spec) {
    const canvas = HS.el("canvas", { class: "hs-easel", tabindex: 0, role: "application", "aria-roledescription": spec.role || "drawing board", "aria-label": spec.label });
    element.append(canvas);
    let size = [0, 0];
    let held = null; // where the pointer went down
    const draw = HS.perFrame(() => {
      if (!size[0] || !size[1]) return;
      const ctx = HS.fitCanvas(canvas, ...size);
      ctx.clearRect(0, 0, ...size);
      spec.paint(ctx, ...size);
    });
    const observer = new ResizeObserver(() => {
      size = [element.clientWidth, element.clientHeight];
      draw.now();
    });
    observer.observe(element);

    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      const [x, y] = at(event);
      if (!spec.down || !spec.down(x, y, event)) return;
      held = [x, y, false];
      canvas.setPointerCapture(event.pointerId);
      if (event.pointerType === "touch") event.preventDefault();
    });
    canvas.addEventListener("pointermove", (event) => {
      const [x, y] = at(event);
      if (held) {
        held[2] = held[2] || Math.hypot(x - held[0], y - held[1]) > 4;
        if (held[2] && spec.drag) spec.drag(x, y);
      } else if (spec.hover) canvas.style.cursor = spec.hover(x, y, event) || "default";
    });
    const release = (event) => {
      if (!held) return;
      const moved = held[2];
      held = null;
      if (spec.up) spec.up(...at(event), moved);
    };
    canvas.addEventListener("pointerup", release);
    canvas.addEventListener("pointercancel", release);
    canvas.addEventListener("pointerleave", () => !held && spec.leave && spec.leave());
    // A finger that drags a node must not scroll the page; one that lands beside it may.
    canvas.addEventListener("touchstart", (event) => held && event.preventDefault(), { passive: false });
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !spec.key || !spec.key(event)) return;
      event.preventDefault();
    });
    return {
      canvas,
      draw,
      size: () => size,
      destroy() {
        observer.disconnect();
        draw.stop();
      },
    };
  }

  function save(name, type, content) {
    const address = URL.createObjectURL(new Blob([content], { type }));
    HS.el("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }

  HS.net = {
    GROUND, INK, NODE, MATTERS, REACH, SETS,
    graph6, crc32, writePlaces, adjacency, components, springs, centred, view, pixels, nodeAt, edgeAt, strokeEdges, discs, ring, convex, hull, inHull, raster, easel, save,
  };
})();
