/*
 * Is a pointed patch the same patch everywhere? Runs inside a page that hands out its store (see test_linked.py).
 * Every check points with real pointer events at what a view has drawn, so it knows no view's own arithmetic:
 * what a view lights for patch i must be where pointing brings patch i back.
 */
(() => {
  "use strict";

  const calls = []; // what was drawn lately: {canvas, kind, args, fill, alpha}
  for (const kind of ["fillRect", "strokeRect", "fillText", "arc", "lineTo"]) {
    const draw = CanvasRenderingContext2D.prototype[kind];
    CanvasRenderingContext2D.prototype[kind] = function (...args) {
      calls.push({ canvas: this.canvas, kind, args, fill: this.fillStyle, alpha: this.globalAlpha });
      return draw.apply(this, args);
    };
  }

  const store = () => window.testStore;
  const turn = async () => {
    for (let i = 0; i < 4; i++) await null;
  };
  /** Two frames, and the time within which words and views that are not pointed at follow the pointer. */
  const frame = async () => {
    await new Promise((done) => setTimeout(done, 70));
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  };
  const picture = () => document.querySelector('[data-region="canvas"] [role="application"]');
  const panel = () => document.querySelector('[data-region="panels"] [role="tabpanel"]');
  const boards = () => [...panel().querySelectorAll("canvas")].filter((canvas) => !canvas.getAttribute("aria-hidden"));

  /** A small generator, so that a failure can be repeated. */
  function random(seed) {
    return () => {
      seed = (seed + 0x6d2b79f5) | 0;
      let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  async function point(canvas, x, y, type = "pointermove") {
    const box = canvas.getBoundingClientRect();
    const event = { clientX: box.left + x, clientY: box.top + y, pointerType: "mouse", bubbles: true };
    canvas.dispatchEvent(new PointerEvent(type, event));
    await turn();
  }
  const leave = (canvas) => point(canvas, -9, -9, "pointerleave");

  /** Names of the views that are offered, by the titles of their tabs. */
  const views = () => [...document.querySelectorAll('[data-region="panels"] [role="tab"]')];
  async function openView(title) {
    const tab = views().find((one) => one.textContent === title);
    if (!tab) return false;
    tab.click();
    await turn();
    await frame();
    return true;
  }

  const place = (patch, grid) => `row ${Math.floor(patch / grid[1]) + 1}, column ${(patch % grid[1]) + 1}`;
  const said = () => document.querySelector(".hs-readout").textContent;

  /** The cell of another grid that holds the centre of a cell, worked out here once more. */
  function cellOf(patch, from, to) {
    const row = Math.floor(patch / from[1]);
    const [y, x] = [(row + 0.5) / from[0], (patch - row * from[1] + 0.5) / from[1]];
    return Math.floor(y * to[0]) * to[1] + Math.floor(x * to[1]);
  }

  const rulers = new Map(); // the picture lies where it lay as long as window, grid and companion are the same

  /** Where the patches of a pane lie on the picture: probed by pointing, not read from the canvas. */
  async function ruler(layer) {
    const { width, height } = picture().getBoundingClientRect();
    const { layer: first, compare } = store().look;
    const key = [layer, store().layers[layer].grid, compare === null ? "" : [first, compare], width, height].join(" ");
    if (!rulers.has(key)) rulers.set(key, await probe(layer));
    return rulers.get(key);
  }

  async function probe(layer) {
    const canvas = picture();
    const box = canvas.getBoundingClientRect();
    const [rows, cols] = store().layers[layer].grid;
    const there = async (x, y) => {
      await point(canvas, x, y);
      const hover = store().hover;
      return hover && hover.layer === layer ? hover.patch : null;
    };
    // Any point of the pane, then its borders by halving.
    let start = null;
    const steps = Array.from({ length: 15 }, (_, i) => (i + 1) / 16).sort((a, b) => Math.abs(a - 0.4) - Math.abs(b - 0.4));
    for (const i of steps) for (const j of steps) {
      if (start) break;
      const [x, y] = [box.width * i, box.height * j];
      if ((await there(x, y)) !== null) start = [x, y];
    }
    if (!start) throw new Error(`layer ${layer} is not on the picture`);
    const edge = async (inside, outside) => {
      while (Math.hypot(outside[0] - inside[0], outside[1] - inside[1]) > 0.05) {
        const middle = [(inside[0] + outside[0]) / 2, (inside[1] + outside[1]) / 2];
        if ((await there(...middle)) === null) outside = middle;
        else inside = middle;
      }
      return inside;
    };
    const left = (await edge(start, [-5, start[1]]))[0];
    const right = (await edge(start, [box.width + 5, start[1]]))[0];
    const top = (await edge(start, [start[0], -5]))[1];
    const bottom = (await edge(start, [start[0], box.height + 5]))[1];
    await leave(canvas);
    return (patch) => [left + ((patch % cols) + 0.5) * ((right - left) / cols), top + (Math.floor(patch / cols) + 0.5) * ((bottom - top) / rows)];
  }

  // ------------------------------------------------------------------------------------------------ one check per view

  /** The band over a whole row of the matrix, and a dot of an edge in it; pointing at the dot must give the row's patch. */
  async function matrix(patch, report) {
    const [board] = boards();
    const drawn = calls.filter((call) => call.canvas === board && call.kind === "fillRect");
    const whole = Math.max(...drawn.map(({ args }) => args[2]));
    const band = drawn.find(({ args }) => args[2] === whole && args[3] < whole / 2);
    if (!band) return report("matrix lights no row", patch);
    const middle = band.args[1] + band.args[3] / 2;
    const dots = drawn.filter(({ args, alpha }) => alpha === 1 && args[2] < whole / 2 && args[3] < whole / 2 && Math.abs(args[1] + args[3] / 2 - middle) < 1e-6);
    const graph = store().graph(store().look.layer);
    const listens = graph.offsets[patch + 1] - graph.offsets[patch];
    if (store().look.direction !== "out" && listens > 0 && dots.length === 0) return report("matrix draws no edge of the patch", patch);
    if (dots.length === 0) return null;
    const { args } = dots[dots.length - 1];
    await point(board, args[0] + args[2] / 2, args[1] + args[3] / 2);
    await frame();
    const { hover } = store();
    if (!hover || hover.patch !== patch) report("matrix gives another patch back", patch, hover);
    else if (!said().startsWith(place(patch, store().layer.grid))) report("the words after the matrix", patch, said());
    else if (!panel().textContent.toLowerCase().includes(place(patch, store().layer.grid))) report("the matrix's own words", patch, panel().textContent);
    await leave(board);
    return null;
  }

  /** Small maps: the outlined cell is where pointing brings the patch (or the pooled cell that holds it) back. */
  async function maps(patch, report) {
    const { layer } = store();
    const marks = boards().map((board) => [board, calls.filter((call) => call.canvas === board && call.kind === "strokeRect").at(-1)]);
    for (const [index, [board, mark]] of marks.entries()) {
      if (!mark) {
        report(`map ${index + 1} marks nothing`, patch);
        continue;
      }
      const [x, y, w, h] = mark.args;
      await point(board, x + w / 2, y + h / 2);
      const { hover } = store();
      const key = cellOf(patch, layer.grid, layer.keyGrid);
      const wanted = hover && hover.side === "key" ? key : patch;
      if (!hover || hover.patch !== wanted) report(`map ${index + 1} gives another patch back`, patch, hover);
      await leave(board);
    }
  }

  /** Points: patch i is the i-th place; something is drawn there, and pointing there gives a patch of that place back. */
  async function points(patch, report) {
    const [board] = boards();
    const at = window.testPlaces;
    if (!at || at.x.length !== store().layer.grid[0] * store().layer.grid[1]) return report("no places", patch);
    const [x, y] = [at.x[patch], at.y[patch]];
    const near = calls.filter((call) => call.canvas === board && ["arc", "lineTo", "fillRect"].includes(call.kind)).some(({ kind, args }) => {
      const [px, py] = kind === "fillRect" ? [args[0] + args[2] / 2, args[1] + args[3] / 2] : args;
      return Math.hypot(px - x, py - y) < 1;
    });
    if (!near) report("nothing is lit at the patch's point", patch);
    await point(board, x, y);
    await frame();
    const found = store().hover && store().hover.patch;
    const same = found !== null && Math.hypot(at.x[found] - x, at.y[found] - y) < 0.02; // patches of equal features share a point
    if (!same) report("the point gives another patch back", patch, store().hover);
    else if (!said().startsWith(place(found, store().layer.grid))) report("the words after the point", found, said());
    await leave(board);
    return null;
  }

  /** The view that explains one edge names the patch in words. */
  function why(patch, report) {
    const texts = calls.filter((call) => call.kind === "fillText" && boards().includes(call.canvas)).map((call) => String(call.args[0]));
    const mine = texts.filter((text) => /^A\b.*row \d+, column \d+/.test(text)).at(-1);
    if (!mine || !mine.endsWith(place(patch, store().layer.grid))) report("“why this edge” speaks of another patch", patch, mine);
  }

  const CHECKS = { Matrix: matrix, Degree: maps, "Feature space": points, "Graph layout": points, "Why this edge": why };

  // ---------------------------------------------------------------------------------------------------------- the run

  /**
   * Point at random patches of one layer on the picture and follow them through one view.
   * @returns {{checks, faults}}
   */
  async function follow({ view, layer, count, seed }) {
    const next = random(seed);
    const faults = [];
    let checks = 0;
    store().set({ layer, pins: [], compare: null, difference: false });
    await turn();
    if (!(await openView(view))) return { checks, faults: [`there is no view “${view}”`] };
    store().set({ layer, pins: [], compare: null, difference: false });
    await turn();
    await frame();
    const grid = store().layer.grid;
    const centre = await ruler(layer);
    for (let i = 0; i < count; i++) {
      const patch = Math.floor(next() * grid[0] * grid[1]);
      const report = (what, of, found) => faults.push(`${what}: patch ${of} of layer ${layer}${found === undefined ? "" : `, found ${JSON.stringify(found)}`}`);
      await leave(picture());
      calls.length = 0;
      await point(picture(), ...centre(patch));
      await frame();
      checks++;
      const { hover } = store();
      if (!hover || hover.patch !== patch || hover.layer !== layer) report("the picture", patch, hover);
      else if (!said().startsWith(place(patch, grid))) report("the words below the picture", patch, said());
      else if (CHECKS[view]) await CHECKS[view](patch, report);
    }
    await leave(picture());
    return { checks, faults };
  }

  /** Pins keep their place through every layer, and come back as they were. */
  async function pinsAcross({ count, seed }) {
    const next = random(seed);
    const faults = [];
    const { layers } = store();
    for (let i = 0; i < count; i++) {
      const home = Math.floor(next() * layers.length);
      const patch = Math.floor(next() * layers[home].grid[0] * layers[home].grid[1]);
      store().set({ layer: home, pins: [patch], compare: null, difference: false });
      for (let away = 0; away < layers.length; away++) {
        store().set({ layer: away });
        await turn();
        const wanted = cellOf(patch, layers[home].grid, layers[away].grid);
        if (store().look.pins.join() !== String(wanted)) faults.push(`pin ${patch} of layer ${home} is ${store().look.pins} on layer ${away}, not ${wanted}`);
        if (!said().startsWith(place(wanted, layers[away].grid))) faults.push(`the words of layer ${away} say ${said()}, not patch ${wanted}`);
      }
      store().set({ layer: home });
      await turn();
      if (store().look.pins.join() !== String(patch)) faults.push(`pin ${patch} came back to layer ${home} as ${store().look.pins}`);
    }
    return { checks: count * layers.length, faults };
  }

  /** Two layers side by side: pointing into either picture is pointing into both. */
  async function besideEachOther({ first, second, count, seed }) {
    const next = random(seed);
    const faults = [];
    store().set({ layer: first, compare: second, difference: false, pins: [] });
    await turn();
    await frame();
    const [a, b] = [store().layers[first].grid, store().layers[second].grid];
    for (const [layer, own, other, others] of [[first, a, second, b], [second, b, first, a]]) {
      const centre = await ruler(layer);
      for (let i = 0; i < count; i++) {
        const patch = Math.floor(next() * own[0] * own[1]);
        await point(picture(), ...centre(patch));
        const [here, there] = [store().focus(layer), store().focus(other)];
        if (here !== patch) faults.push(`the picture of layer ${layer} gives ${here}, not ${patch}`);
        if (there !== cellOf(patch, own, others)) faults.push(`patch ${patch} of layer ${layer} is ${there} on layer ${other}`);
      }
    }
    await leave(picture());
    store().set({ compare: null });
    await turn();
    return { checks: 2 * count, faults };
  }

  window.linked = { follow, pinsAcross, besideEachOther, layers: () => store().layers.map(({ label, grid, keyGrid }) => ({ label, grid, keyGrid })) };
})();
