/**
 * The picture with its patches and edges. Two stacked canvases: the base (picture, heat, all edges) is redrawn when the
 * look changes, the overlay (the focused patch, its neighbours, pins) at every pointer move.
 */
(() => {
  "use strict";

  const MAX_EDGES = 5000;
  const TITLE = 18; // height of the line above a picture
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  const BASE_KEYS = ["payload", "layer", "all", "opacity", "colour", "grid", "seen", "heat", "compare", "difference", "rule", "cuts", "size"];

  /** Where the one or two pictures lie in a box: [{layer, frame, name}]. */
  function panesIn(width, height, { look, layers: all }) {
    const two = look.compare !== null && !look.difference;
    const [layers, names] = two ? [[look.layer, look.compare], ["1", "2"]] : [[look.layer], [""]];
    const gutter = layers.some((layer) => HS.isAxial(all[layer])) ? HS.GUTTER : 5;
    const beside = !two || width >= height;
    const [cols, rows] = beside ? [layers.length, 1] : [1, layers.length];
    const [cellWidth, cellHeight] = [width / cols, height / rows];
    const side = Math.max(40, Math.floor(Math.min(cellWidth - 2 * gutter, cellHeight - 2 * gutter - TITLE)));
    return layers.map((layer, i) => {
      const left = (beside ? i * cellWidth : 0) + (cellWidth - side) / 2;
      const down = (beside ? 0 : i * cellHeight) + TITLE + (cellHeight - TITLE - side) / 2;
      return { layer, name: names[i], gutter, frame: { x: Math.round(left), y: Math.round(down), width: side, height: side } };
    });
  }

  /** What is in focus on a layer: the hovered patch, else the pins. Each {patch, cell, grid, direction, letter}. */
  function focusesOf(store, layerIndex) {
    const layer = store.layers[layerIndex];
    const { direction } = store.look;
    const hover = store.hover;
    const pins = store.pins(layerIndex).map((patch, i) => ({ patch, cell: patch, grid: layer.grid, direction, letter: LETTERS[i] }));
    if (!hover) return { main: null, pins };
    if (hover.side === "key") {
      const cell = store.keyAcross(hover.layer, hover.patch, layerIndex);
      const patch = HS.pooled(layer) ? store.patchesOfKey(layerIndex, cell)[0] || 0 : cell;
      return { main: { patch, cell, grid: layer.keyGrid, direction: "out" }, pins };
    }
    const patch = store.focus(layerIndex);
    const pinned = pins.find((pin) => pin.patch === patch);
    const main = pinned || { patch, cell: patch, grid: layer.grid, direction };
    return { main, pins: pins.filter((pin) => pin !== pinned) };
  }

  /** Style of lit edges by their meaning. By length the colour is the length, and dash and arrow still tell the direction. */
  function litStyle(store, layer, graph, way, faint) {
    const reach = Math.hypot(layer.grid[0] - 1, layer.grid[1] - 1);
    const byLength = store.look.colour === "length";
    return {
      colour: HS.MEANING[way],
      colourOf: byLength ? (e) => HS.ramp("length", graph.length[e] / reach) : null,
      dash: way === "out" ? [7, 5] : [],
      width: 2.6,
      alpha: faint ? 0.55 : 1,
      arrows: true,
      halo: true,
    };
  }

  function litCells(frame, layer, graph, edges, way) {
    const cells = new Set(Array.from(edges, (e) => (way === "in" ? graph.source[e] : graph.target[e])));
    return Array.from(cells, (cell) => HS.cellRect(frame, way === "in" ? layer.keyGrid : layer.grid, cell));
  }

  /** Edges of a focus split into what stays and what the visitor cut. */
  function splitCut(store, pane, graph, edges) {
    if (store.cuts.length === 0) return [edges, []];
    const isCut = (e) => store.isCut(pane.layer, graph.target[e], graph.source[e]);
    return [edges.filter((e) => !isCut(e)), edges.filter(isCut)];
  }

  /** The two graphs of the difference view, or null where they cannot be compared. */
  function differenceOf(store) {
    const { layer, compare, difference } = store.look;
    if (!difference || compare === null) return null;
    const [a, b] = [store.graph(layer), store.graph(compare)];
    const parts = HS.difference(store.layers[layer], a, store.layers[compare], b);
    return parts && { a, b, layerA: store.layers[layer], layerB: store.layers[compare], ...parts };
  }

  const DIFFERENCE_STYLES = [
    ["both", "a", "layerA", []],
    ["onlyA", "a", "layerA", [9, 5]],
    ["onlyB", "b", "layerB", [2, 5]],
  ];

  function touches(graph, layer, focus) {
    const key = HS.mapCell(focus.patch, layer.grid, layer.keyGrid);
    return (e) =>
      (focus.direction !== "out" && graph.target[e] === focus.patch) || (focus.direction !== "in" && graph.source[e] === key);
  }

  function drawDifference(ctx, frame, diff, focus, style) {
    for (const [part, which, layer, dash] of DIFFERENCE_STYLES) {
      const edges = focus ? diff[part].filter(touches(diff[which], diff[layer], focus)) : diff[part].slice(0, MAX_EDGES);
      HS.drawEdges(ctx, frame, diff[layer], diff[which], edges, { ...style, colour: HS.MEANING[part], dash, weight: 0.7 });
    }
  }

  // ------------------------------------------------------------------------------------------------------- painting

  function paintBase(ctx, pane, store, { images, rows, ink }) {
    const { look } = store;
    const layer = store.layers[pane.layer];
    const graph = store.graph(pane.layer);
    HS.drawPicture(ctx, pane.frame, look.seen ? images.seen : images.shown, look.seen);
    const heat = HS.heatOf(store, pane.layer, look.heat, rows);
    if (heat) HS.greyOut(ctx, pane.frame);
    if (heat && look.heat !== "distance") HS.drawHeat(ctx, pane.frame, heat, 0.72);
    if (look.all) paintAllEdges(ctx, pane, store, layer, graph);
    if (look.grid === "on") HS.drawGrid(ctx, pane.frame, layer.grid);
    if ((look.all || look.heat) && layer.rule.name === "axial-threshold") {
      HS.isolated(graph, layer).forEach((alone, i) => alone && HS.drawCell(ctx, HS.cellRect(pane.frame, layer.grid, i), "#fff", 1, [2, 2]));
    }
    paintTitle(ctx, pane, layer, ink);
  }

  function paintAllEdges(ctx, pane, store, layer, graph) {
    ctx.fillStyle = "rgb(8 10 14 / 0.5)";
    ctx.fillRect(pane.frame.x, pane.frame.y, pane.frame.width, pane.frame.height);
    const style = { ...litStyle(store, layer, graph, "in", false), arrows: false, halo: false, width: 1.3, alpha: store.look.opacity };
    const diff = differenceOf(store);
    if (diff) drawDifference(ctx, pane.frame, diff, null, { ...style, colourOf: null });
    else HS.drawEdges(ctx, pane.frame, layer, graph, HS.strongest(graph, MAX_EDGES), style);
  }

  function paintTitle(ctx, pane, layer, ink) {
    ctx.font = `${pane.name ? 600 : 400} 12px system-ui, sans-serif`;
    ctx.textAlign = "left";
    ctx.textBaseline = "alphabetic";
    ctx.fillStyle = ink;
    ctx.fillText(pane.name ? `${pane.name}  ${layer.label}` : layer.label, pane.frame.x, pane.frame.y - pane.gutter - 4, pane.frame.width);
  }

  function paintOverlay(ctx, pane, store, rows, active) {
    const layer = store.layers[pane.layer];
    const graph = store.graph(pane.layer);
    const { main, pins } = focusesOf(store, pane.layer);
    const lit = main ? [...pins, main] : pins;
    const diff = differenceOf(store);
    const groups = lit.map((focus) => ({ focus, ...HS.edgesOf(graph, layer, focus.patch, focus.direction) }));
    if (lit.length) paintVeil(ctx, pane, store, layer, graph, groups, diff, rows);
    if (active && store.look.grid === "auto") HS.drawGrid(ctx, pane.frame, layer.grid);
    if (lit.length && !diff) paintRejected(ctx, pane, store, layer, graph, lit[lit.length - 1]);
    for (const group of groups) {
      const faint = main !== null && group.focus !== main;
      if (diff) drawDifference(ctx, pane.frame, diff, group.focus, { ...litStyle(store, layer, graph, "in", faint), colourOf: null });
      else paintGroup(ctx, pane, store, layer, graph, group, faint);
    }
    paintCutPatches(ctx, pane, store, layer);
    for (const focus of lit) HS.drawCell(ctx, HS.cellRect(pane.frame, focus.grid, focus.cell), HS.MEANING.focus, 2.5);
    for (const focus of lit) if (focus.letter) HS.drawLetter(ctx, HS.cellRect(pane.frame, focus.grid, focus.cell), focus.letter, HS.MEANING.focus);
  }

  function paintVeil(ctx, pane, store, layer, graph, groups, diff, rows) {
    const holes = groups.map(({ focus }) => HS.cellRect(pane.frame, focus.grid, focus.cell));
    for (const group of groups) {
      for (const way of ["in", "out"]) holes.push(...litCells(pane.frame, layer, graph, group[way], way));
      if (diff) holes.push(...litCells(pane.frame, layer, diff.b, diff.onlyB.filter(touches(diff.b, layer, group.focus)), "in"));
    }
    const heat = store.look.heat === "distance" ? HS.heatOf(store, pane.layer, "distance", rows) : null;
    if (heat) HS.drawHeat(ctx, pane.frame, heat, 0.72);
    else HS.drawVeil(ctx, pane.frame, holes, store.look.heat ? 0.35 : 0.66);
  }

  /** Patches that the rule looked at without making an edge: thin frames. */
  function paintRejected(ctx, pane, store, layer, graph, focus) {
    if (focus.direction === "out") return;
    for (const source of HS.rejected(layer, graph, store.look.rule, focus.patch)) {
      const [x, y, w, h] = HS.cellRect(pane.frame, layer.keyGrid, source);
      ctx.setLineDash([2, 2]);
      ctx.lineWidth = 1;
      ctx.strokeStyle = "rgb(255 255 255 / 0.65)";
      ctx.strokeRect(x + 1.5, y + 1.5, w - 3, h - 3);
    }
    ctx.setLineDash([]);
  }

  function paintGroup(ctx, pane, store, layer, graph, group, faint) {
    for (const way of ["out", "in"]) {
      const [edges, cut] = splitCut(store, pane, graph, group[way]);
      HS.drawEdges(ctx, pane.frame, layer, graph, edges, litStyle(store, layer, graph, way, faint));
      for (const rect of litCells(pane.frame, layer, graph, edges, way)) HS.drawCell(ctx, rect, HS.MEANING[way], faint ? 1 : 1.5, way === "out" ? [4, 3] : []);
      const style = { colour: HS.MEANING.cut, dash: [1, 5], width: 2, weight: 0.8, alpha: 1, arrows: false, halo: false };
      HS.drawEdges(ctx, pane.frame, layer, graph, cut, style);
    }
  }

  function paintCutPatches(ctx, pane, store, layer) {
    for (const cut of store.cuts) {
      if (cut.grid === String(layer.grid) && (cut.kind === "patch" || cut.layer === layer.name)) {
        HS.drawCross(ctx, HS.cellRect(pane.frame, layer.grid, cut.patch), HS.MEANING.cut);
      }
    }
  }

  // ------------------------------------------------------------------------------------------------------ component

  function loadImage(source, then) {
    const image = new Image();
    image.onload = then;
    if (source) image.src = source;
    return image;
  }

  /** Whole distance rows from the server, asked for once the pointer rests. */
  function rowKeeper(store, then) {
    const rows = new Map();
    let timer = 0;
    return {
      rows,
      want() {
        clearTimeout(timer);
        if (store.look.heat !== "distance") return;
        const { layer } = store.look;
        const patch = store.focus(layer);
        if (patch === null || rows.has(`${layer} ${patch}`)) return;
        timer = setTimeout(async () => {
          const answer = await store.lookup({ question: "row", layer: store.layers[layer].name, patch });
          if (!answer || !answer.values) return;
          rows.set(`${layer} ${patch}`, answer.values);
          then();
        }, 120);
      },
      clear: () => rows.clear(),
    };
  }

  /**
   * The main canvas inside `element` (which must have a height).
   * @param hooks {story(step)}
   * @returns {{draw(changed), destroy(), panes(), paint(ctx, width, height)}} paint draws the present view elsewhere
   */
  function createPicture(element, store, hooks) {
    const base = HS.el("canvas", { class: "hs-base", "aria-hidden": true });
    const overlay = HS.el("canvas", {
      class: "hs-overlay",
      tabindex: 0,
      role: "application",
      "aria-roledescription": "picture of patches",
      "aria-label": "Patches of the picture. Arrow keys move, Enter pins, Escape clears, brackets change the layer, s steps the story.",
    });
    element.append(base, overlay);
    let panes = [];
    let size = [0, 0];
    let images = {};
    let stale = true;
    let inside = false;

    const frame = HS.perFrame(() => paint());
    const keeper = rowKeeper(store, frame);

    const scene = () => ({ images, rows: keeper.rows, ink: HS.theme(element, "--hs-ink") });

    function paint() {
      if (!size[0] || !size[1]) return;
      panes = panesIn(size[0], size[1], store);
      if (stale) {
        const ctx = HS.fitCanvas(base, ...size);
        ctx.clearRect(0, 0, ...size);
        for (const pane of panes) paintBase(ctx, pane, store, scene());
        stale = false;
      }
      const ctx = HS.fitCanvas(overlay, ...size);
      ctx.clearRect(0, 0, ...size);
      for (const pane of panes) paintOverlay(ctx, pane, store, keeper.rows, inside || (store.hover && document.activeElement === overlay));
    }

    function loadImages() {
      const { shown, seen } = store.payload.picture;
      const ready = () => {
        stale = true;
        frame();
      };
      images = { shown: loadImage(shown, ready), seen: loadImage(seen, ready) };
      keeper.clear();
    }

    function cellUnder(x, y) {
      for (const pane of panes) {
        const patch = HS.cellAt(pane.frame, store.layers[pane.layer].grid, x, y);
        if (patch !== null) return { layer: pane.layer, patch };
      }
      return null;
    }

    const observer = new ResizeObserver(() => {
      size = [element.clientWidth, element.clientHeight];
      stale = true;
      frame.now();
    });
    observer.observe(element);
    for (const [name, value] of [["pointerenter", true], ["pointerleave", false]]) {
      overlay.addEventListener(name, () => {
        inside = value;
        frame();
      });
    }
    overlay.addEventListener("blur", frame);
    HS.gestures(overlay, store, cellUnder, hooks);
    loadImages();

    return {
      overlay,
      draw(changed) {
        if (changed.has("payload")) loadImages();
        element.classList.toggle("hs-two", store.look.compare !== null && !store.look.difference);
        if (BASE_KEYS.some((key) => changed.has(key)) || changed.has("theme")) stale = true;
        keeper.want();
        frame();
      },
      paint(ctx, width, height) {
        for (const pane of panesIn(width, height, store)) paintBase(ctx, pane, store, scene());
        const over = HS.el("canvas");
        [over.width, over.height] = [ctx.canvas.width, ctx.canvas.height];
        const overContext = over.getContext("2d");
        overContext.setTransform(ctx.getTransform());
        for (const pane of panesIn(width, height, store)) paintOverlay(overContext, pane, store, keeper.rows, false);
        ctx.drawImage(over, 0, 0, width, height);
      },
      destroy() {
        observer.disconnect();
        frame.stop();
      },
    };
  }

  Object.assign(HS, { createPicture, differenceOf, focusesOf, panesIn, LETTERS });
})();
