/**
 * The picture with its patches. Two stacked canvases: the base (picture, heat, what is always drawn) is redrawn when the
 * look changes, the overlay (the focused patch and what belongs to it, pins) at every pointer move. What a layer draws on
 * both is the business of its instrument.
 */
(() => {
  "use strict";

  const TITLE = 18; // height of the line above a picture
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  const OVERLAY_KEYS = ["hover", "pins", "direction", "tab", "step", "answer"]; // all else redraws the base

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
    const marks = HS.instrumentOf(layer).pinMarks || LETTERS;
    const pins = store.pins(layerIndex).map((patch, i) => ({ patch, cell: patch, grid: layer.grid, direction, letter: marks[i] }));
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

  // ------------------------------------------------------------------------------------------------------- painting

  function paintBase(ctx, pane, store, env) {
    const { look } = store;
    const layer = store.layers[pane.layer];
    HS.drawPicture(ctx, pane.frame, look.seen ? env.images.seen : env.images.shown, look.seen);
    const heat = HS.heatOf(store, pane.layer, look.heat, env.rows);
    if (heat) HS.greyOut(ctx, pane.frame);
    if (heat && !HS.followsFocus(look.heat)) HS.drawHeat(ctx, pane.frame, heat, 0.72);
    HS.instrumentOf(layer).base(ctx, pane, store, env);
    if (look.grid === "on") HS.drawGrid(ctx, pane.frame, layer.grid);
    paintTitle(ctx, pane, layer, env.ink);
  }

  function paintTitle(ctx, pane, layer, ink) {
    ctx.font = `${pane.name ? 600 : 400} 12px system-ui, sans-serif`;
    ctx.textAlign = "left";
    ctx.textBaseline = "alphabetic";
    ctx.fillStyle = ink;
    ctx.fillText(pane.name ? `${pane.name}  ${layer.label}` : layer.label, pane.frame.x, pane.frame.y - pane.gutter - 4, pane.frame.width);
  }

  function paintOverlay(ctx, pane, store, env, active) {
    const layer = store.layers[pane.layer];
    const { main, pins } = focusesOf(store, pane.layer);
    const lit = main ? [...pins, main] : pins;
    const grid = () => active && store.look.grid === "auto" && HS.drawGrid(ctx, pane.frame, layer.grid);
    HS.instrumentOf(layer).overlay(ctx, pane, store, { ...env, main, lit, grid });
    paintCutPatches(ctx, pane, store, layer);
    for (const focus of lit) HS.drawCell(ctx, HS.cellRect(pane.frame, focus.grid, focus.cell), HS.MEANING.focus, 2.5);
    for (const focus of lit) if (focus.letter) HS.drawLetter(ctx, HS.cellRect(pane.frame, focus.grid, focus.cell), focus.letter, HS.MEANING.focus);
  }

  function paintCutPatches(ctx, pane, store, layer) {
    for (const cut of store.cuts) {
      if (cut.patch !== undefined && cut.grid === String(layer.grid) && (cut.kind === "patch" || cut.layer === layer.name)) {
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
        const question = store.look.heat === "distance" ? "row" : (HS.madeMaps[store.look.heat] || {}).question;
        if (!question) return;
        const { layer } = store.look;
        const patch = store.focus(layer);
        if (patch === null || rows.has(`${layer} ${patch}`)) return;
        timer = setTimeout(async () => {
          const answer = await store.lookup({ question, layer: store.layers[layer].name, patch });
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

    const scene = () => ({ images, rows: keeper.rows, ink: HS.chart.colours(element).ink });

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
      for (const pane of panes) paintOverlay(ctx, pane, store, scene(), inside || (store.hover && document.activeElement === overlay));
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
        if ([...changed].some((key) => !OVERLAY_KEYS.includes(key))) stale = true;
        keeper.want();
        frame();
      },
      paint(ctx, width, height) {
        for (const pane of panesIn(width, height, store)) paintBase(ctx, pane, store, scene());
        if (ctx.layer) return ctx.layer(() => panesIn(width, height, store).forEach((pane) => paintOverlay(ctx, pane, store, scene(), false)));
        const over = HS.el("canvas");
        [over.width, over.height] = [ctx.canvas.width, ctx.canvas.height];
        const overContext = over.getContext("2d");
        overContext.setTransform(ctx.getTransform());
        for (const pane of panesIn(width, height, store)) paintOverlay(overContext, pane, store, scene(), false);
        ctx.drawImage(over, 0, 0, width, height);
      },
      destroy() {
        observer.disconnect();
        frame.stop();
      },
    };
  }

  Object.assign(HS, { createPicture, focusesOf, panesIn, LETTERS });
})();
