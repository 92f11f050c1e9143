// @wing hyperbolic
/**
 * The instrument of points in the Poincaré disk (and, beside it, in the plane): a stage of its own. Dragging is a Möbius translation, so
 * it re-centres and keeps every distance; the wheel enlarges the drawing and keeps the point under the pointer. Tree edges are
 * geodesics, that is arcs; two pinned points are joined by theirs, with both its lengths.
 *
 * HS.disk.pointsOf(store, layerIndex)   the points as they travel: tangent vectors at the centre (in the plane: coordinates), flat
 * HS.disk.live(store, layerName, points)   puts other points in their place for as long as this payload stands (null: undoes it)
 */
(() => {
  "use strict";

  const P = HS.poincare;
  const TITLE = 18; // height of the line above a disk
  const REACH = 18; // pixels around a point in which it is hovered
  const RIM = 0.995; // a drag holds on to nothing beyond
  const ZOOM = [0.5, 60];
  const MOST_NAMES = 28;
  const MOST_RINGS = 12;
  const SHORTEST = 2; // pixels of an edge, where there are many
  const CELL = 2; // pixels in which one small point stands for all
  const FRAMES = 14; // of the way to a new centre
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  const NONE = 255; // branch of a node that has none

  const { word, truth, number } = HS.checks;
  const inBounds = number(-1e6, 1e6);
  const viewList = (v) => (Array.isArray(v) && (v.length === 0 || v.length === 4) && v.every((x) => inBounds(x) !== undefined) ? v : undefined);
  HS.lookField("diskView", [], viewList); // [x, y, turn, zoom]: which point lies in the middle; empty: as the embedding has it
  HS.lookField("diskView2", [], viewList); // of the second disk, where two are compared
  HS.lookField("diskColour", "branch", word("branch", "depth", "radius"));
  HS.lookField("diskNames", true, truth);

  // ------------------------------------------------------------------------------------------------ points and their tree

  const trees = new WeakMap(); // nodes → parents and children
  const lives = new WeakMap(); // payload → Map(layer name → points)
  const models = new WeakMap(); // flat tangents → points of the disk

  /** The nodes of a layer; those of one tree travel with the first layer only. */
  function nodesOf(store, index) {
    const own = store.layers[index].disk.nodes;
    return own || store.layers.find((layer) => layer.disk && layer.disk.nodes && layer.grid[0] === store.layers[index].grid[0]).disk.nodes;
  }

  function treeOf(nodes) {
    if (!trees.has(nodes)) {
      const n = nodes.names.length || nodes.branch.length;
      const parents = Array.from({ length: n }, () => []);
      const children = Array.from({ length: n }, () => []);
      const [, e] = nodes.edges.shape;
      for (let i = 0; i < e; i++) {
        const [a, b] = [nodes.edges[i], nodes.edges[e + i]];
        // In a graph that is no tree nobody stands above; all neighbours stand where children do.
        (nodes.tree === false ? children : parents)[b].push(a);
        children[a].push(b);
      }
      trees.set(nodes, { n, parents, children, edges: e });
    }
    return trees.get(nodes);
  }

  const isBall = (layer) => layer.disk.geometry === "poincare";

  function pointsOf(store, index) {
    const layer = store.layers[index];
    const own = lives.get(store.payload);
    return (own && own.get(layer.name)) || (layer.text ? HS.textPoints.flat(store, index) : layer.disk.points);
  }

  function live(store, name, points) {
    if (!lives.has(store.payload)) lives.set(store.payload, new Map());
    if (points) lives.get(store.payload).set(name, points);
    else lives.get(store.payload).delete(name);
    store.touch("live");
  }

  /** Coordinates to draw: points of the disk, or of the plane as they are. */
  function modelOf(store, index) {
    const flat = pointsOf(store, index);
    if (!models.has(flat)) models.set(flat, isBall(store.layers[index]) ? P.exp0(flat) : Float64Array.from(flat));
    return models.get(flat);
  }

  /** Distance of two points in the space of their layer. */
  function distance(store, index, a, b) {
    const layer = store.layers[index];
    const t = pointsOf(store, index);
    if (!isBall(layer)) return Math.hypot(t[2 * a] - t[2 * b], t[2 * a + 1] - t[2 * b + 1]);
    return P.tangentDistance(t[2 * a], t[2 * a + 1], t[2 * b], t[2 * b + 1]) / Math.sqrt(layer.disk.curvature);
  }

  /** Distance from the centre. */
  function radius(store, index, a) {
    const t = pointsOf(store, index);
    const size = Math.hypot(t[2 * a], t[2 * a + 1]);
    return isBall(store.layers[index]) ? (2 * size) / Math.sqrt(store.layers[index].disk.curvature) : size;
  }

  /** The `count` nodes nearest to one, nearest first: [[node, distance], …]. */
  function nearest(store, index, node, count) {
    const all = [];
    for (let i = 0; i < store.layers[index].grid[0]; i++) if (i !== node) all.push([i, distance(store, index, node, i)]);
    return all.sort((a, b) => a[1] - b[1]).slice(0, count);
  }

  /** From a node up to the root, by first parents. */
  function ancestors(tree, node) {
    const path = [node];
    while (tree.parents[path[path.length - 1]].length && path.length < 200) path.push(tree.parents[path[path.length - 1]][0]);
    return path;
  }

  const nameOf = (nodes, node) => nodes.names[node] ?? `point ${node + 1}`;

  // ---------------------------------------------------------------------------------------------------------- cameras

  /** How a disk is looked at: an isometry, then an enlargement. Places are in units of the disk's radius. */
  function ballCamera() {
    let isometry = P.IDENTITY;
    let zoom = 1;
    const clamped = ([x, y]) => {
      const size = Math.hypot(x, y);
      return size > RIM ? [(x * RIM) / size, (y * RIM) / size] : [x, y];
    };
    return {
      ball: true,
      get zoom() {
        return zoom;
      },
      get isometry() {
        return isometry;
      },
      state: () => [isometry, zoom],
      restore: ([was, much]) => ([isometry, zoom] = [was, much]),
      list: () => (isometry === P.IDENTITY && zoom === 1 ? [] : [...P.toView(isometry), zoom].map((v) => Number(v.toPrecision(6)))),
      set: (list) => ([isometry, zoom] = list.length ? [P.fromView(list), list[3]] : [P.IDENTITY, 1]),
      place: (points, out) => P.move(isometry, points, out),
      inside: ([x, y]) => Math.hypot(x, y) < 1,
      drag: ([was], p, q) => (isometry = P.compose(P.dragging(clamped(p), clamped(q)), was)),
      enlarge(place, factor) {
        const before = zoom;
        zoom = Math.min(ZOOM[1], Math.max(ZOOM[0], zoom * factor));
        if (Math.hypot(...place) < RIM) isometry = P.compose(P.dragging(place, place.map((v) => (v * before) / zoom)), isometry);
      },
      /** t of the way to having the point at `place` in the middle, from a state. */
      approach([was], place, t) {
        const part = P.geodesic([0, 0], clamped(place), t);
        isometry = P.compose(P.translation(part.map((v) => -v)), was);
      },
    };
  }

  /** How the plane is looked at: a shift, then an enlargement; at home 98 % of the points lie within 0.9. */
  function planeCamera(points) {
    const sizes = Array.from({ length: points.length / 2 }, (_, i) => Math.hypot(points[2 * i], points[2 * i + 1])).sort((a, b) => a - b);
    const scale = 0.9 / Math.max(sizes[Math.floor(0.98 * (sizes.length - 1))] || 0, 1e-9);
    let [ax, ay, zoom] = [0, 0, 1];
    return {
      ball: false,
      scale,
      get zoom() {
        return zoom;
      },
      state: () => [[ax, ay], zoom],
      restore: ([was, much]) => ([ax, ay, zoom] = [...was, much]),
      list: () => (ax === 0 && ay === 0 && zoom === 1 ? [] : [ax, ay, 0, zoom].map((v) => Number(v.toPrecision(6)))),
      set: (list) => ([ax, ay, zoom] = list.length ? [list[0], list[1], list[3]] : [0, 0, 1]),
      place(coordinates, out = new Float64Array(coordinates.length)) {
        for (let i = 0; i < coordinates.length; i += 2) {
          out[i] = (coordinates[i] - ax) * scale;
          out[i + 1] = (coordinates[i + 1] - ay) * scale;
        }
        return out;
      },
      inside: () => true,
      drag: ([was], p, q) => ([ax, ay] = [was[0] - (q[0] - p[0]) / scale, was[1] - (q[1] - p[1]) / scale]),
      enlarge([x, y], factor) {
        const before = zoom;
        zoom = Math.min(ZOOM[1], Math.max(ZOOM[0], zoom * factor));
        const still = (1 - before / zoom) / scale;
        [ax, ay] = [ax + x * still, ay + y * still];
      },
      approach: ([was], [x, y], t) => ([ax, ay] = [was[0] + (x * t) / scale, was[1] + (y * t) / scale]),
    };
  }

  const cameraOf = (store, index) => (isBall(store.layers[index]) ? ballCamera() : planeCamera(store.layers[index].disk.points));

  // --------------------------------------------------------------------------------------------------------- painting

  /** Where the one or two disks lie: [{layer, frame, name, camera, x, y, r}]. */
  function panesIn(width, height, { look, layers }, cameras) {
    const two = look.compare !== null && Boolean(layers[look.compare].disk);
    const shown = two ? [look.layer, look.compare] : [look.layer];
    const beside = !two || width >= height;
    const [cols, rows] = beside ? [shown.length, 1] : [1, shown.length];
    const [cellWidth, cellHeight] = [width / cols, height / rows];
    return shown.map((layer, i) => {
      const frame = { x: beside ? i * cellWidth : 0, y: (beside ? 0 : i * cellHeight) + TITLE, width: cellWidth - (beside && two ? 6 : 0), height: cellHeight - TITLE };
      const r = Math.max(20, Math.min(frame.width, frame.height) / 2 - 6);
      return { layer, frame, name: two ? String(i + 1) : "", camera: cameras[i], x: frame.x + frame.width / 2, y: frame.y + frame.height / 2, r };
    });
  }

  /** Pixels of a pane ↔ units of its disk. */
  const toUnit = (pane, x, y) => [(x - pane.x) / (pane.r * pane.camera.zoom), (y - pane.y) / (pane.r * pane.camera.zoom)];

  /** The tree edge or geodesic between two places as a piece of a path. */
  function trace(path, pane, ux, uy, vx, vy) {
    const s = pane.r * pane.camera.zoom;
    const [x1, y1, x2, y2] = [pane.x + ux * s, pane.y + uy * s, pane.x + vx * s, pane.y + vy * s];
    path.moveTo(x1, y1);
    const chord = Math.hypot(x2 - x1, y2 - y1);
    const found = pane.camera.ball && chord > 3 ? P.arc(ux, uy, vx, vy) : null;
    // What bends by less than half a pixel is a line.
    if (!found || (chord * chord) / (8 * found.r * s) < 0.4) return path.lineTo(x2, y2);
    path.arc(pane.x + found.x * s, pane.y + found.y * s, found.r * s, found.from, found.to, found.back);
  }

  function clipTo(ctx, { x, y, width, height }) {
    ctx.beginPath();
    ctx.rect(x, y, width, height);
    ctx.clip();
  }

  function paintGround(ctx, pane, c) {
    const s = pane.r * pane.camera.zoom;
    if (!pane.camera.ball) {
      ctx.fillStyle = c.surface;
      ctx.fillRect(pane.frame.x, pane.frame.y, pane.frame.width, pane.frame.height);
      return;
    }
    ctx.beginPath();
    ctx.arc(pane.x, pane.y, s, 0, 2 * Math.PI);
    ctx.fillStyle = c.surface;
    ctx.fill();
    ctx.lineWidth = 1.5;
    ctx.strokeStyle = c.control;
    ctx.stroke();
  }

  /** Circles of equal distance from the centre of the embedding. */
  function paintRings(ctx, pane, c, curvature) {
    if (!pane.camera.ball) return;
    const s = pane.r * pane.camera.zoom;
    const middle = P.moved(pane.camera.isometry, [0, 0]);
    ctx.lineWidth = 0.8;
    ctx.strokeStyle = ctx.fillStyle = c.line;
    ctx.font = "10px system-ui, sans-serif";
    [ctx.textAlign, ctx.textBaseline] = ["center", "bottom"];
    let before = 0;
    let inner = 0; // the last ring that has its number
    for (let d = 1; d <= MOST_RINGS; d++) {
      const { x, y, r } = P.circle(middle, d * Math.sqrt(curvature));
      if ((r - before) * s < 4) break;
      before = r;
      ctx.strokeStyle = c.line;
      ctx.beginPath();
      ctx.arc(pane.x + x * s, pane.y + y * s, r * s, 0, 2 * Math.PI);
      ctx.stroke();
      ctx.fillStyle = c.muted;
      if (r * s > 14 && (r - inner) * s > 13) {
        inner = r;
        ctx.fillText(String(d), pane.x + x * s, pane.y + (y - r) * s - 1);
      }
    }
  }

  /** Tree edges in the colour of the lower node, so that a branch holds together where edges cross. */
  function paintEdges(ctx, pane, tree, nodes, at, { of, colours }) {
    const paths = colours.map(() => null);
    const e = tree.edges;
    const least = SHORTEST / (pane.r * pane.camera.zoom);
    for (let i = 0; i < e; i++) {
      const [a, b] = [2 * nodes.edges[i], 2 * nodes.edges[e + i]];
      // Edges that would hide behind their own ends cost as much as others and show nothing.
      if (e > 400 && Math.abs(at[a] - at[b]) < least && Math.abs(at[a + 1] - at[b + 1]) < least) continue;
      const k = of(nodes.edges[e + i]);
      trace(paths[k] || (paths[k] = HS.newPath(ctx)), pane, at[a], at[a + 1], at[b], at[b + 1]);
    }
    ctx.globalAlpha = e > 400 ? 0.4 : 0.75;
    ctx.lineWidth = e > 400 ? 0.7 : 1.1;
    paths.forEach((path, k) => {
      if (!path) return;
      ctx.strokeStyle = colours[k];
      ctx.stroke(path);
    });
    ctx.globalAlpha = 1;
  }

  /** Chosen lines, the faint ones below. */
  function paintLines(ctx, pane, lines, at, { colours }) {
    for (const faint of [true, false]) {
      const paths = colours.map(() => null);
      for (const { from, to, colour, faint: weak } of lines) {
        if (weak === faint) trace(paths[colour] || (paths[colour] = HS.newPath(ctx)), pane, at[2 * from], at[2 * from + 1], at[2 * to], at[2 * to + 1]);
      }
      ctx.globalAlpha = faint ? 0.35 : 0.9;
      ctx.lineWidth = faint ? 1 : 1.4;
      paths.forEach((path, k) => {
        if (!path) return;
        ctx.strokeStyle = colours[k];
        ctx.stroke(path);
      });
    }
    ctx.globalAlpha = 1;
  }

  /** Colour of every point under the chosen painting: [n] numbers of colours, and the colours. */
  function colouring(store, index, c) {
    const nodes = nodesOf(store, index);
    const { diskColour: paint } = store.look;
    const n = store.layers[index].grid[0];
    if (paint === "branch" || (paint === "depth" && !nodes.depth)) {
      return { of: (i) => (nodes.branch[i] === NONE ? 7 : nodes.branch[i] % 7), colours: [...HS.OKABE_ITO.slice(0, 7), c.muted] };
    }
    const values = Array.from({ length: n }, (_, i) => (paint === "depth" ? nodes.depth[i] : radius(store, index, i)));
    const most = Math.max(...values) || 1;
    const steps = 16;
    return { of: (i) => Math.round((values[i] / most) * (steps - 1)), colours: Array.from({ length: steps }, (_, k) => HS.ramp("viridis", 0.06 + (0.9 * k) / (steps - 1))), most };
  }

  /** How large a point is drawn: smaller towards the rim, as things far away are. */
  function sizeOf(pane, at, i, many) {
    if (!pane.camera.ball) return many ? 2.4 : 3.6;
    const near = Math.sqrt(P.gap(at[2 * i], at[2 * i + 1]) * pane.camera.zoom);
    return Math.min(many ? 6 : 8, Math.max(many ? 1.9 : 3.2, (many ? 5 : 7) * near));
  }

  function paintPoints(ctx, pane, n, at, { of, colours }, c) {
    const s = pane.r * pane.camera.zoom;
    const paths = colours.map(() => null);
    const many = n > 300;
    const taken = new Set();
    for (let i = 0; i < n; i++) {
      const x = pane.x + at[2 * i] * s;
      const y = pane.y + at[2 * i + 1] * s;
      if (x < pane.frame.x - 8 || y < pane.frame.y - 8 || x > pane.frame.x + pane.frame.width + 8 || y > pane.frame.y + pane.frame.height + 8) continue;
      const k = of(i);
      const path = paths[k] || (paths[k] = HS.newPath(ctx));
      const r = sizeOf(pane, at, i, many);
      if (many && r < 2) {
        const cell = Math.round(x / CELL) * 4096 + Math.round(y / CELL);
        if (taken.has(cell)) continue;
        taken.add(cell);
      }
      if (r < 2) path.rect(x - r, y - r, 2 * r, 2 * r);
      else {
        path.moveTo(x + r, y);
        path.arc(x, y, r, 0, 2 * Math.PI);
      }
    }
    ctx.lineWidth = 0.7;
    ctx.strokeStyle = c.surface;
    paths.forEach((path, k) => {
      if (!path) return;
      ctx.fillStyle = colours[k];
      ctx.fill(path);
      if (!many) ctx.stroke(path);
    });
  }

  const widths = new Map();
  function widthOf(ctx, text) {
    if (widths.size > 4000) widths.clear();
    if (!widths.has(text)) widths.set(text, ctx.measureText(text).width);
    return widths.get(text);
  }

  function tag(ctx, text, x, y, c, { strong = false, ground = 0.72 } = {}) {
    ctx.font = `${strong ? "600 12px" : "11px"} system-ui, sans-serif`;
    const w = strong ? ctx.measureText(text).width : widthOf(ctx, text);
    ctx.globalAlpha = ground;
    ctx.fillStyle = c.surface;
    ctx.fillRect(x - 2, y - 7, w + 4, 14);
    ctx.globalAlpha = 1;
    ctx.fillStyle = c.ink;
    [ctx.textAlign, ctx.textBaseline] = ["left", "middle"];
    ctx.fillText(text, x, y);
    return w;
  }

  /** A name to the right of a place; to its left where there is no room. */
  function strongTag(ctx, pane, text, x, y, c, ground) {
    ctx.font = "600 12px system-ui, sans-serif";
    const w = ctx.measureText(text).width;
    const right = x + 11 + w <= pane.frame.x + pane.frame.width;
    tag(ctx, text, right ? x + 11 : Math.max(pane.frame.x + 2, x - 11 - w), y, c, { strong: true, ground });
  }

  const shortName = (text) => (text.length > 22 ? `${text.slice(0, 20)}…` : text);

  /** Names of the points that lie largest, the top of the tree first, as far as they do not cover each other. */
  function paintNames(ctx, pane, nodes, n, at, c) {
    if (!nodes.names.length) return;
    const s = pane.r * pane.camera.zoom;
    ctx.font = "11px system-ui, sans-serif";
    const weight = (i) => (pane.camera.ball ? P.gap(at[2 * i], at[2 * i + 1]) : 1) / (1 + (nodes.depth ? nodes.depth[i] : 0));
    const inFrame = (i) => {
      const [x, y] = [pane.x + at[2 * i] * s, pane.y + at[2 * i + 1] * s];
      return x > pane.frame.x && y > pane.frame.y + 6 && x < pane.frame.x + pane.frame.width - 20 && y < pane.frame.y + pane.frame.height - 6;
    };
    const order = [];
    for (let i = 0; i < n; i++) if (inFrame(i)) order.push([weight(i), i]);
    order.sort((a, b) => b[0] - a[0]);
    const taken = [];
    for (const [, i] of order.slice(0, 160)) {
      if (taken.length >= MOST_NAMES) break;
      const text = shortName(nameOf(nodes, i));
      const [x, y, w] = [pane.x + at[2 * i] * s + 7, pane.y + at[2 * i + 1] * s, widthOf(ctx, text)];
      if (x + w > pane.frame.x + pane.frame.width) continue;
      if (taken.some((box) => x < box[0] + box[2] + 6 && box[0] < x + w + 6 && Math.abs(y - box[1]) < 14)) continue;
      taken.push([x, y, w]);
      tag(ctx, text, x, y, c);
    }
  }

  /** The points that stand for branches themselves (class texts): squares with their names. */
  function paintMarked(ctx, pane, nodes, at, c) {
    const s = pane.r * pane.camera.zoom;
    nodes.branches.forEach((node, k) => {
      const [x, y] = [pane.x + at[2 * node] * s, pane.y + at[2 * node + 1] * s];
      ctx.fillStyle = HS.OKABE_ITO[k % 7];
      ctx.fillRect(x - 7, y - 7, 14, 14);
      ctx.lineWidth = 2;
      ctx.strokeStyle = c.ink;
      ctx.strokeRect(x - 7, y - 7, 14, 14);
      strongTag(ctx, pane, shortName(nameOf(nodes, node)), x, y, c, 0.85);
    });
  }

  // ------------------------------------------------------------------------------------------- boundaries and pictures

  const IDEAL = 1 - 1e-12; // a point of the rim that still has a place in the disk

  /** Boundaries between classes on one ring: geodesic rays from the centre at the angles `extras.rays`. */
  function paintRays(ctx, pane, rays, c) {
    if (!pane.camera.ball) return;
    const from = P.moved(pane.camera.isometry, [0, 0]);
    const ends = pane.camera.place(Float64Array.from({ length: 2 * rays.length }, (_, i) => IDEAL * (i % 2 ? Math.sin(rays[i >> 1]) : Math.cos(rays[i >> 1]))));
    const path = HS.newPath(ctx);
    for (let i = 0; i < rays.length; i++) trace(path, pane, from[0], from[1], ends[2 * i], ends[2 * i + 1]);
    ctx.lineWidth = 0.8;
    ctx.strokeStyle = c.muted;
    ctx.globalAlpha = 0.6;
    ctx.setLineDash([3, 4]);
    ctx.stroke(path);
    ctx.setLineDash([]);
    ctx.globalAlpha = 1;
  }

  const sheets = new WeakMap(); // extras.pictures → Image

  /** The sheet of small pictures once it is loaded, else null; `ready` runs then. */
  function sheetOf(pictures, ready) {
    if (!sheets.has(pictures)) {
      const image = new Image();
      image.src = pictures.sheet;
      sheets.set(pictures, image);
    }
    const image = sheets.get(pictures);
    if (!image.complete && ready) image.addEventListener("load", ready, { once: true });
    return image.complete && image.naturalWidth ? image : null;
  }

  /** The k-th small picture, `size` pixels wide, its middle at (x, y). */
  function paintPicture(ctx, image, side, k, x, y, size, c) {
    ctx.fillStyle = c.surface;
    ctx.fillRect(x - size / 2 - 1.5, y - size / 2 - 1.5, size + 3, size + 3);
    ctx.drawImage(image, k * side, 0, side, side, x - size / 2, y - size / 2, size, size);
    ctx.lineWidth = 1;
    ctx.strokeStyle = c.control;
    ctx.strokeRect(x - size / 2 - 1.5, y - size / 2 - 1.5, size + 3, size + 3);
  }

  const TILES = { small: 26, large: 36 };

  /** Nodes that are pictures, the later ones below; the first is the visitor's and larger. */
  function paintPictures(ctx, pane, pictures, image, at, c) {
    const s = pane.r * pane.camera.zoom;
    for (let k = pictures.nodes.length - 1; k >= 0; k--) {
      const node = pictures.nodes[k];
      paintPicture(ctx, image, pictures.side, k, pane.x + at[2 * node] * s, pane.y + at[2 * node + 1] * s, k ? TILES.small : TILES.large, c);
    }
  }

  /** Beside the name of a pointed-out or pinned node: its picture, where it has one. */
  function paintPictureOf(ctx, pane, store, node, place, c) {
    const { pictures } = store.payload.extras;
    const k = pictures ? pictures.nodes.indexOf(node) : -1;
    const image = k >= 0 ? sheetOf(pictures) : null;
    if (!image) return;
    const [x, y] = place(node);
    const size = 56;
    const inside = (v, low, high) => Math.max(low + size / 2 + 2, Math.min(v, high - size / 2 - 2));
    paintPicture(ctx, image, pictures.side, k, inside(x + 40, pane.frame.x, pane.frame.x + pane.frame.width), inside(y - 44, pane.frame.y, pane.frame.y + pane.frame.height), size, c);
  }

  function paintBase(ctx, pane, store, c, names, ready) {
    const layer = store.layers[pane.layer];
    const nodes = nodesOf(store, pane.layer);
    const tree = treeOf(nodes);
    ctx.save();
    clipTo(ctx, pane.frame);
    paintGround(ctx, pane, c);
    paintRings(ctx, pane, c, layer.disk.curvature);
    const at = pane.camera.place(modelOf(store, pane.layer));
    pane.at = at;
    const { rays, pictures } = store.payload.extras;
    if (rays) paintRays(ctx, pane, rays, c);
    const paint = colouring(store, pane.layer, c);
    const lines = layer.text && HS.textPoints.lines(store, pane.layer);
    if (lines) paintLines(ctx, pane, lines, at, paint);
    else paintEdges(ctx, pane, tree, nodes, at, layer.text ? { of: () => 0, colours: [c.control] } : paint);
    paintPoints(ctx, pane, layer.grid[0], at, paint, c);
    if (layer.text) paintMarked(ctx, pane, nodes, at, c);
    else if (names) paintNames(ctx, pane, nodes, layer.grid[0], at, c);
    const image = pictures && sheetOf(pictures, ready);
    if (image && pictures.always) paintPictures(ctx, pane, pictures, image, at, c);
    ctx.restore();
    ctx.font = `${pane.name ? 600 : 400} 12px system-ui, sans-serif`;
    [ctx.textAlign, ctx.textBaseline, ctx.fillStyle] = ["left", "alphabetic", c.ink];
    ctx.fillText(pane.name ? `${pane.name}  ${layer.label}` : layer.label, pane.frame.x + 2, pane.frame.y - 5, pane.frame.width - 4);
  }

  // -------------------------------------------------------------------------------------------------------- the overlay

  /** The two points that a measured line joins: the newest pins, or the newest pin and the point under the pointer. */
  function measured(store, index) {
    const pins = store.pins(index);
    const over = store.hover ? store.focus(index) : null;
    if (over !== null && pins.length && pins[pins.length - 1] !== over) return [pins[pins.length - 1], over];
    return pins.length > 1 ? pins.slice(-2) : null;
  }

  function ring(ctx, [x, y], r, colour, width = 2) {
    ctx.beginPath();
    ctx.arc(x, y, r, 0, 2 * Math.PI);
    ctx.lineWidth = width;
    ctx.strokeStyle = colour;
    ctx.stroke();
  }

  function strokePath(ctx, path, colour, width, c, dash = []) {
    ctx.lineWidth = width + 2;
    ctx.strokeStyle = c.surface;
    ctx.setLineDash([]);
    ctx.stroke(path);
    ctx.lineWidth = width;
    ctx.strokeStyle = colour;
    ctx.setLineDash(dash);
    ctx.stroke(path);
    ctx.setLineDash([]);
  }

  function paintOverlay(ctx, pane, store, c) {
    const nodes = nodesOf(store, pane.layer);
    const tree = treeOf(nodes);
    const { at } = pane;
    if (!at) return;
    const s = pane.r * pane.camera.zoom;
    const place = (i) => [pane.x + at[2 * i] * s, pane.y + at[2 * i + 1] * s];
    const draw = (path, a, b) => trace(path, pane, at[2 * a], at[2 * a + 1], at[2 * b], at[2 * b + 1]);
    ctx.save();
    clipTo(ctx, pane.frame);
    const focus = store.focus(pane.layer);
    if (focus !== null && focus < tree.n) {
      const down = HS.newPath(ctx);
      for (const child of tree.children[focus]) draw(down, focus, child);
      if (tree.children[focus].length) strokePath(ctx, down, c.heard, 1.6, c);
      const up = HS.newPath(ctx);
      const path = ancestors(tree, focus);
      for (let i = 1; i < path.length; i++) draw(up, path[i - 1], path[i]);
      if (path.length > 1) strokePath(ctx, up, c.listen, 2.4, c);
      for (const node of path.slice(1)) ring(ctx, place(node), 4, c.listen, 1.5);
    }
    const pair = measured(store, pane.layer);
    if (pair) {
      const line = HS.newPath(ctx);
      draw(line, ...pair);
      strokePath(ctx, line, c.ink, 2, c, [6, 4]);
    }
    const pins = store.pins(pane.layer).filter((pin) => pin < tree.n);
    for (const pin of pins) ring(ctx, place(pin), 7, c.ink, 2);
    if (focus !== null && focus < tree.n) ring(ctx, place(focus), 7, c.ink, 2.5);
    const named = [...new Set([...pins, ...(focus !== null && focus < tree.n ? [focus] : [])])];
    for (const node of named) {
      const [x, y] = place(node);
      const letter = pins.includes(node) ? `${LETTERS[pins.indexOf(node)]}  ` : "";
      strongTag(ctx, pane, `${letter}${shortName(nameOf(nodes, node))}`, x, y, c, 0.9);
    }
    for (const node of named) paintPictureOf(ctx, pane, store, node, place, c);
    if (pair) paintLength(ctx, pane, store, pair, place, c);
    ctx.restore();
  }

  /** Both lengths of the measured line in its middle: in the space, and with a ruler on the drawing. */
  function paintLength(ctx, pane, store, [a, b], place, c) {
    const { at } = pane;
    const s = pane.r * pane.camera.zoom;
    const [u, v] = [a, b].map((i) => [at[2 * i], at[2 * i + 1]]);
    const middle = pane.camera.ball ? P.geodesic(u, v, 0.5) : [(u[0] + v[0]) / 2, (u[1] + v[1]) / 2];
    const text = lengthText(store, pane, a, b);
    const x = Math.max(pane.frame.x + 4, Math.min(pane.x + middle[0] * s - ctx.measureText(text).width / 2, pane.frame.x + pane.frame.width - 180));
    tag(ctx, text, x, pane.y + middle[1] * s + 14, c, { strong: true, ground: 0.9 });
  }

  function lengthText(store, pane, a, b) {
    const far = distance(store, pane.layer, a, b);
    if (!pane.camera.ball) return `${HS.show(far)} in flat space`;
    const ruler = Math.hypot(pane.at[2 * a] - pane.at[2 * b], pane.at[2 * a + 1] - pane.at[2 * b + 1]);
    return `${HS.show(far)} · on the drawing ${HS.show(ruler)}`;
  }

  // ----------------------------------------------------------------------------------------------------------- stage

  /** Keys that walk the tree: up to the parent, down to the first child, sideways among the siblings. */
  function neighbourBy(tree, node, key) {
    const [parent] = tree.parents[node];
    if (key === "ArrowUp") return parent ?? node;
    if (key === "ArrowDown") return tree.children[node][0] ?? node;
    const siblings = parent === undefined ? [node] : tree.children[parent];
    const at = siblings.indexOf(node) + (key === "ArrowRight" ? 1 : -1);
    return siblings[(at + siblings.length) % siblings.length];
  }

  const PANS = { ArrowUp: [0, 1], ArrowDown: [0, -1], ArrowLeft: [1, 0], ArrowRight: [-1, 0] };

  /**
   * The disk, or two of them, inside `element`.
   * @returns {{draw(changed), destroy(), paint(ctx, width, height), overlay}} as HS.createPicture
   */
  function createDisk(element, store, hooks) {
    const base = HS.el("canvas", { class: "hs-base", "aria-hidden": true });
    const overlay = HS.el("canvas", {
      class: "hs-overlay hs-disk", tabindex: 0, role: "application", "aria-roledescription": "disk of points",
      "aria-label": "Points of the embedding. Arrow keys walk the tree, Enter pins, c brings the point to the centre, plus and minus enlarge, 0 goes home, Shift with arrows pans.",
    });
    const button = (text, label, fn) => HS.el("button", { type: "button", class: "hs-icon", "aria-label": label, title: label, onclick: fn }, text);
    const tools = HS.el(
      "div", { class: "hs-disk-tools", role: "group", "aria-label": "View of the disk" },
      button("+", "Enlarge  +", () => enlarge(1.4)), button("−", "Make smaller  −", () => enlarge(1 / 1.4)),
      button("◎", "Bring the chosen point to the centre  c", () => centre()), button("⌂", "As the embedding has it  0", () => home()),
    );
    element.append(base, overlay, tools);
    let cameras = [];
    let kinds = "";
    let panes = [];
    let size = [0, 0];
    let stale = true;
    let moving = false;
    let travel = 0;
    let first = true;
    let drawn = {}; // what the stage was last drawn for
    const frame = HS.perFrame(() => paint());

    const colours = () => {
      const read = (name) => HS.theme(element, name);
      return { ink: read("--hs-ink"), muted: read("--hs-muted"), line: read("--hs-line"), surface: read("--hs-surface"), control: read("--hs-control"), listen: read("--hs-listen"), heard: read("--hs-heard") };
    };
    let theme = null;

    /** A camera for each disk on show; a disk of another layer gets a new one. */
    function fitCameras() {
      const { look, layers } = store;
      const shown = look.compare !== null && layers[look.compare].disk ? [look.layer, look.compare] : [look.layer];
      const now = shown.map((i) => `${layers[i].name} ${layers[i].disk.geometry}`).join();
      if (now === kinds && !first) return;
      kinds = now;
      cameras = shown.map((i) => cameraOf(store, i));
      ["diskView", "diskView2"].forEach((name, i) => cameras[i] && cameras[i].set(look[name]));
    }

    function paint() {
      if (!size[0] || !size[1]) return;
      theme = theme || colours();
      if (stale) {
        panes = panesIn(size[0], size[1], store, cameras);
        const ctx = HS.fitCanvas(base, ...size);
        ctx.clearRect(0, 0, ...size);
        for (const pane of panes) paintBase(ctx, pane, store, theme, store.look.diskNames, redraw);
        stale = false;
      }
      const ctx = HS.fitCanvas(overlay, ...size);
      ctx.clearRect(0, 0, ...size);
      for (const pane of panes) paintOverlay(ctx, pane, store, theme);
    }

    function redraw() {
      stale = true;
      frame();
    }

    /** The view goes into the look, where links and the story find it. */
    function commit() {
      moving = false;
      store.set({ diskView: cameras[0].list(), ...(cameras[1] ? { diskView2: cameras[1].list() } : {}) });
      redraw();
    }

    function enlarge(factor, pane = panes[0], place = [0, 0]) {
      for (const camera of pane === panes[0] && place[0] === 0 && place[1] === 0 ? cameras : [pane.camera]) camera.enlarge(place, factor);
      later();
      redraw();
    }
    const later = HS.atMostEvery(250, commit);

    function home() {
      cameras.forEach((camera) => camera.set([]));
      commit();
    }

    /** Brings a point to the middle of every disk along the geodesic; at once for those who asked for no motion. */
    function centre(node = store.focus(store.look.layer)) {
      if (node === null) return;
      cancelAnimationFrame(travel);
      const starts = panes.map((pane) => ({ pane, state: pane.camera.state(), place: [pane.at[2 * node], pane.at[2 * node + 1]] }));
      let step = HS.calm() ? FRAMES - 1 : 0;
      const go = () => {
        const t = ++step / FRAMES;
        for (const { pane, state, place } of starts) pane.camera.approach(state, place, t * t * (3 - 2 * t));
        redraw();
        if (step < FRAMES) travel = requestAnimationFrame(go);
        else commit();
      };
      go();
    }

    // ------------------------------------------------------------------------------------------------------- pointer

    const paneAt = (x, y) => panes.find(({ frame: f }) => x >= f.x && y >= f.y && x <= f.x + f.width && y <= f.y + f.height);

    function nodeAt(x, y) {
      const pane = paneAt(x, y);
      if (!pane || !pane.at) return null;
      const s = pane.r * pane.camera.zoom;
      let [best, least] = [null, REACH * REACH];
      for (let i = 0; i < pane.at.length / 2; i++) {
        const [dx, dy] = [pane.x + pane.at[2 * i] * s - x, pane.y + pane.at[2 * i + 1] * s - y];
        const far = dx * dx + dy * dy;
        if (far < least) [best, least] = [i, far];
      }
      return best === null ? null : { layer: pane.layer, patch: best };
    }

    const pointers = new Map();
    let held = null; // {pane, place, state, from, moved, gap, pinched}
    let tapped = null;
    let kind = ""; // of the pointer that was last down
    const at = (event) => {
      const box = overlay.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };

    function grab() {
      const [x, y] = [...pointers.values()].reduce((sum, p) => [sum[0] + p[0] / pointers.size, sum[1] + p[1] / pointers.size], [0, 0]);
      const pane = (held && held.pane) || paneAt(x, y);
      const spread = [...pointers.values()];
      held = pane && { pane, place: toUnit(pane, x, y), state: pane.camera.state(), from: [x, y], moved: Boolean(held && held.moved), gap: spread.length > 1 ? Math.hypot(spread[0][0] - spread[1][0], spread[0][1] - spread[1][1]) : 0 };
    }

    function pull() {
      const list = [...pointers.values()];
      const [x, y] = list.reduce((sum, p) => [sum[0] + p[0] / list.length, sum[1] + p[1] / list.length], [0, 0]);
      if (!held.moved && list.length === 1 && Math.hypot(x - held.from[0], y - held.from[1]) < 4) return;
      held.moved = moving = true;
      cancelAnimationFrame(travel);
      const { camera } = held.pane;
      camera.restore(held.state);
      if (list.length > 1 && held.gap > 8) camera.enlarge(held.place, Math.hypot(list[0][0] - list[1][0], list[0][1] - list[1][1]) / held.gap);
      const begun = camera.state();
      const from = list.length > 1 ? toUnit(held.pane, ...held.from) : held.place;
      camera.drag(begun, from, toUnit(held.pane, x, y));
      redraw();
    }

    overlay.addEventListener("pointerdown", (event) => {
      if (event.button > 0) return;
      kind = event.pointerType;
      pointers.set(event.pointerId, at(event));
      if (event.isTrusted) overlay.setPointerCapture(event.pointerId);
      grab();
    });
    overlay.addEventListener("pointermove", (event) => {
      if (pointers.has(event.pointerId) && held) {
        pointers.set(event.pointerId, at(event));
        pull();
      } else if (event.pointerType !== "touch") store.setHover(nodeAt(...at(event)));
    });
    const release = (event) => {
      if (!pointers.delete(event.pointerId)) return;
      const was = held;
      if (pointers.size) return grab();
      held = null;
      if (was && was.moved) commit();
      else if (was && event.type === "pointerup") press(at(event), event.pointerType);
    };
    overlay.addEventListener("pointerup", release);
    overlay.addEventListener("pointercancel", release);
    overlay.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && !held && store.setHover(null));
    // Two taps of a finger point and pin; only a mouse brings to the centre by clicking twice.
    overlay.addEventListener("dblclick", (event) => {
      if (kind === "touch") return;
      const hit = nodeAt(...at(event));
      if (hit) centre(hit.patch);
    });
    overlay.addEventListener("wheel", (event) => {
      const pane = paneAt(...at(event));
      if (!pane) return;
      event.preventDefault();
      enlarge(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) / 180), pane, toUnit(pane, ...at(event)));
    }, { passive: false });

    /** A finger's first tap only points; the second one on the same point pins it. */
    function press([x, y], kind) {
      const hit = nodeAt(x, y);
      if (kind === "touch" && hit && !(tapped && tapped.patch === hit.patch)) {
        tapped = hit;
        return store.setHover(hit);
      }
      tapped = null;
      if (hit) store.togglePin(hit.patch, hit.layer);
      else store.setHover(null);
    }

    overlay.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const { layer } = store.look;
      const focus = store.focus(layer);
      const tree = treeOf(nodesOf(store, layer));
      const change = (by) => store.set({ layer: Math.min(store.layers.length - 1, Math.max(0, layer + by)) });
      const actions = {
        Enter: () => focus !== null && store.togglePin(focus),
        Escape: () => (store.hover ? store.setHover(null) : store.set({ pins: [] })),
        "[": () => change(-1),
        "]": () => change(1),
        "+": () => enlarge(1.3),
        "=": () => enlarge(1.3),
        "-": () => enlarge(1 / 1.3),
        0: home,
        c: () => centre(),
        s: () => hooks.story(1),
        S: () => hooks.story(-1),
      };
      actions[" "] = actions.Enter;
      if (PANS[event.key] && event.shiftKey) {
        const [x, y] = PANS[event.key];
        for (const camera of cameras) camera.drag(camera.state(), [0, 0], [(0.12 * x) / camera.zoom, (0.12 * y) / camera.zoom]);
        later();
        redraw();
      } else if (PANS[event.key]) {
        const root = tree.parents.findIndex((list) => list.length === 0);
        store.setHover({ layer, patch: focus === null ? Math.max(0, root) : neighbourBy(tree, focus, event.key) });
      } else if (actions[event.key]) actions[event.key]();
      else return;
      event.preventDefault();
    });

    const observer = new ResizeObserver(() => {
      size = [element.clientWidth, element.clientHeight];
      stale = true;
      frame.now();
    });
    observer.observe(element);

    return {
      overlay,
      draw(changed) {
        const { payload, look } = store;
        const now = { payload, layer: look.layer, compare: look.compare, views: String([look.diskView, look.diskView2]) };
        // A view belongs to what it was made for; a payload or a step of the story may bring another one with it.
        const fresh = ["payload", "layer", "compare"].filter((key) => now[key] !== drawn[key]);
        const given = now.views !== drawn.views;
        drawn = now;
        if (fresh.includes("payload")) kinds = "";
        if (fresh.length && !first && !given) {
          const names = String(fresh) === "compare" ? { diskView2: [] } : { diskView: [], diskView2: [] };
          if (Object.keys(names).some((name) => store.look[name].length)) store.set(names);
        }
        fitCameras();
        first = false;
        if (!moving) ["diskView", "diskView2"].forEach((name, i) => changed.has(name) && cameras[i] && String(cameras[i].list()) !== String(store.look[name]) && cameras[i].set(store.look[name]));
        if (changed.has("theme") || changed.has("payload")) theme = null;
        element.classList.toggle("hs-two", cameras.length > 1);
        if ([...changed].some((key) => !["hover", "pins", "tab", "step", "answer"].includes(key))) stale = true;
        frame();
      },
      /** Draws the present view elsewhere. */
      paint(ctx, width, height) {
        const c = colours();
        for (const pane of panesIn(width, height, store, cameras)) {
          paintBase(ctx, pane, store, c, store.look.diskNames);
          paintOverlay(ctx, pane, store, c);
        }
      },
      destroy() {
        observer.disconnect();
        frame.stop();
        later.stop();
        cancelAnimationFrame(travel);
      },
    };
  }

  // ------------------------------------------------------------------------------------------------------------ words

  /** "dog: depth 7, 4.31 from the centre; canine › carnivore › placental; nearest: wolf (0.21), fox (0.24)" */
  function sentence(store) {
    const index = store.look.layer;
    const node = store.focus(index);
    if (node === null || node >= store.layers[index].grid[0]) return "";
    const nodes = nodesOf(store, index);
    const tree = treeOf(nodes);
    const pair = measured(store, index);
    if (pair) {
      const far = distance(store, index, ...pair);
      return `${nameOf(nodes, pair[0])} – ${nameOf(nodes, pair[1])}: ${HS.show(far)} apart${steps(tree, pair)}`;
    }
    const parts = [];
    if (nodes.depth) parts.push(`depth ${nodes.depth[node]}`);
    parts.push(`${HS.show(radius(store, index, node))} from the centre`);
    const path = ancestors(tree, node).slice(1, 4).map((above) => nameOf(nodes, above));
    if (path.length) parts.push(`below ${path.join(" ‹ ")}`);
    const near = nearest(store, index, node, 2).map(([other, d]) => `${nameOf(nodes, other)} (${HS.show(d)})`);
    return `${nameOf(nodes, node)}: ${parts.join(", ")}; nearest: ${near.join(", ")}`;
  }

  /** How many tree edges lie between two nodes, by first parents. */
  function steps(tree, [a, b]) {
    const [up, other] = [ancestors(tree, a), ancestors(tree, b)];
    const meet = up.findIndex((node) => other.includes(node));
    return meet < 0 ? "" : `; ${HS.plural(meet + other.indexOf(up[meet]), "step")} along the tree`;
  }

  function legend(store) {
    const { diskColour: paint, layer } = store.look;
    const nodes = nodesOf(store, layer);
    const entries = [];
    if (paint === "branch" || (paint === "depth" && !nodes.depth)) {
      if (nodes.branches.length > 7) entries.push(HS.legend.entry("", `colour: branch (${nodes.branches.length} branches, colours repeat)`));
      else nodes.branches.forEach((node, i) => entries.push(HS.legend.entry(HS.legend.sample(HS.OKABE_ITO[i], "solid"), shortName(nameOf(nodes, node)))));
    } else {
      const { most } = colouring(store, layer, { muted: "#808080" });
      entries.push(HS.legend.scale(paint === "depth" ? "depth in the tree" : "distance from the centre", "viridis", "0", HS.show(most)));
    }
    const facts = [isBall(store.layers[layer]) ? "rings: 1, 2, 3 … from the centre of the embedding" : "flat space: the drawing is true to scale"];
    if (store.payload.extras.rays) facts.push("dashed: boundaries between classes (geodesics)");
    return { entries, facts: facts.map((fact) => HS.legend.entry("", fact)) };
  }

  function lookInputs(store, set) {
    const { segments, toggle, choice } = HS.inputs;
    const { look } = store;
    return {
      main: {
        diskColour: segments({ label: "Colour", options: [["branch", "branch"], ["depth", "depth"], ["radius", "radius"]], value: look.diskColour, onchange: set("diskColour") }),
        compare: choice({ label: "Beside it", options: [[null, "nothing"]], value: null, onchange: set("compare") }),
        diskNames: toggle({ label: "Names", value: look.diskNames, onchange: set("diskNames") }),
      },
      more: {},
      draw(inputs) {
        inputs.compare.fill([[null, "nothing"], ...store.layers.map((layer, i) => [i, layer.label]).filter(([i]) => i !== store.look.layer && store.layers[i].disk)]);
        inputs.compare.set(store.look.compare);
        inputs.compare.element.hidden = store.layers.length < 2;
      },
    };
  }

  /** On the film strip: the points alone. */
  function thumb(ctx, frame, store, index) {
    const layer = store.layers[index];
    const camera = cameraOf(store, index);
    const at = camera.place(modelOf(store, index));
    const paper = getComputedStyle(ctx.canvas).getPropertyValue("--hs-surface").trim() || "#ffffff";
    ctx.fillStyle = paper;
    ctx.fillRect(frame.x, frame.y, frame.width, frame.height);
    const r = frame.width / 2 - 2;
    const [x, y] = [frame.x + frame.width / 2, frame.y + frame.height / 2];
    if (camera.ball) {
      ctx.beginPath();
      ctx.arc(x, y, r, 0, 2 * Math.PI);
      ctx.strokeStyle = "#808890";
      ctx.lineWidth = 1;
      ctx.stroke();
    }
    const { of, colours } = colouring(store, index, { muted: "#808080" });
    const step = Math.max(1, Math.floor(layer.grid[0] / 300));
    for (let i = 0; i < layer.grid[0]; i += step) {
      ctx.fillStyle = colours[of(i)];
      ctx.fillRect(x + at[2 * i] * r - 0.9, y + at[2 * i + 1] * r - 0.9, 1.8, 1.8);
    }
  }

  // -------------------------------------------------------------------------------------------------------- take home

  function table(store) {
    const index = store.look.layer;
    const nodes = nodesOf(store, index);
    const tree = treeOf(nodes);
    const points = modelOf(store, index);
    const scale = isBall(store.layer) ? 1 / Math.sqrt(store.layer.disk.curvature) : 1;
    return Array.from({ length: store.layer.grid[0] }, (_, i) => ({
      name: nameOf(nodes, i),
      parents: tree.parents[i].map((above) => nameOf(nodes, above)),
      depth: nodes.depth ? nodes.depth[i] : null,
      x: points[2 * i] * scale,
      y: points[2 * i + 1] * scale,
      radius: radius(store, index, i),
    }));
  }

  function asJson(store) {
    const { name, label, disk } = store.layer;
    const meaning = disk.geometry === "poincare" ? "x, y in the Poincaré ball; radius is the hyperbolic distance from its centre" : "x, y and radius in flat space";
    return JSON.stringify({ exhibit: store.payload.exhibit.slug, layer: name, label, geometry: disk.geometry, curvature: disk.curvature, meaning, points: table(store) }, null, 1);
  }

  function asCsv(store) {
    const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const lines = table(store).map((row) => [quoted(row.name), quoted(row.parents.join("; ")), row.depth ?? "", row.x, row.y, row.radius].join(","));
    return ["name,parents,depth,x,y,radius", ...lines].join("\n");
  }

  function check(layer) {
    const wrong = (what) => new HS.Refusal(`The layer “${layer.label}” does not fit together (${what}). Run it again.`);
    const { disk } = layer;
    if (!disk || !layer.grid) throw wrong("it holds no points");
    HS.requireShape({ ...disk, label: layer.label }, "points", [layer.grid[0], 2], false);
    if (!["poincare", "euclidean"].includes(disk.geometry) || (disk.geometry === "poincare" && !(disk.curvature > 0))) throw wrong("its geometry is unknown");
    if (!disk.points.every(Number.isFinite)) throw wrong("a coordinate is not a number");
    const { nodes } = disk;
    if (!nodes) return;
    HS.requireShape({ ...nodes, label: layer.label }, "branch", [layer.grid[0]], false);
    if (nodes.edges.some((node) => node >= layer.grid[0])) throw wrong("an edge leads nowhere");
  }

  const definition = {
    check,
    base() {},
    overlay() {},
    createStage: createDisk,
    thumb,
    legend,
    sentence,
    invitation: "Drag the disk; point at a node; click two nodes to measure between them; double-click brings one to the centre.",
    settings: () => [],
    section: () => ({ element: HS.el("div", { hidden: true }), draw() {} }),
    lookInputs,
    cutKinds: [],
    cutHint: () => "",
    asJson,
    asCsv,
  };
  HS.instrument({ kind: "disk", ...definition });

  HS.disk = { definition, pointsOf, modelOf, live, distance, radius, nearest, ancestors, nodesOf, treeOf, nameOf, shortName, isBall, ballCamera, planeCamera, measured, lengthText };
})();
