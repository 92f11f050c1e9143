// @wing tokens
/**
 * The instrument of early exits: a layer is a stage, after which sure patches leave. The picture shows who has left and when, what class
 * each patch is given, or the classes of the pixels at the end. Stages count from 1 on the page, from 0 in the look.
 */
(() => {
  "use strict";

  // Colour and hatching both say at which stage a patch left.
  const STAGES = [["#56B4E9", "left at stage 1"], ["#E69F00", "left at stage 2"], ["#CC79A7", "left at stage 3"], ["#009E73", "left at stage 4"]];
  const CLASSES = ["#9aa3ad", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442"];
  const FLIGHT = 700; // milliseconds
  const FRAME = 50;

  const { word } = HS.checks;
  HS.lookField("paint", "stages", word("stages", "classes", "pixels", "changed"));

  const of = (store, index = store.look.layer) => store.layers[index].exits;
  const extra = (store) => store.payload.extras.exits;
  const labels = (store) => extra(store).labels;
  const short = (name) => name.slice(0, 2);

  /** Stage (from 0) at which each patch left, as far as the given stage; −1 for those that are still computed. */
  function exitStage(store, until = store.layers.length - 1) {
    const n = of(store, 0).exited.length;
    const found = new Int8Array(n).fill(-1);
    for (let s = Math.min(until, store.layers.length - 1); s >= 0; s--) of(store, s).exited.forEach((gone, p) => gone && (found[p] = s));
    return found;
  }

  // ------------------------------------------------------------------------------------------------------ painting

  function tint(ctx, [x, y, w, h], stage, alpha = 0.55) {
    ctx.globalAlpha = alpha;
    ctx.fillStyle = STAGES[stage % STAGES.length][0];
    ctx.fillRect(x, y, w + 0.4, h + 0.4);
    ctx.globalAlpha = Math.min(1, alpha + 0.2);
    ctx.strokeStyle = "rgb(10 12 16)";
    ctx.lineWidth = 1;
    ctx.beginPath();
    const step = Math.max(4, w / 4);
    for (let i = step / 2; stage === 0 && i < w; i += step) { // stage 1: upright lines, stage 2: slanted ones
      ctx.moveTo(x + i, y);
      ctx.lineTo(x + i, y + h);
    }
    for (let i = step / 2; stage === 1 && i < w + h; i += step) {
      ctx.moveTo(x + Math.min(i, w), y + Math.max(0, i - w));
      ctx.lineTo(x + Math.max(0, i - h), y + Math.min(i, h));
    }
    ctx.globalAlpha = 0.35;
    ctx.stroke();
    ctx.globalAlpha = 1;
  }

  function star(ctx, [x, y, w, h]) {
    const [cx, cy, r] = [x + w / 2, y + h / 2, Math.max(3.5, Math.min(9, w * 0.32))];
    ctx.beginPath();
    for (let i = 0; i < 10; i++) {
      const [angle, far] = [(Math.PI * i) / 5 - Math.PI / 2, i % 2 ? r * 0.45 : r];
      ctx[i ? "lineTo" : "moveTo"](cx + far * Math.cos(angle), cy + far * Math.sin(angle));
    }
    ctx.closePath();
    ctx.lineWidth = 3;
    ctx.strokeStyle = "rgb(0 0 0 / 0.75)";
    ctx.stroke();
    ctx.fillStyle = "#ffffff";
    ctx.fill();
  }

  function paintStages(ctx, pane, store) {
    const { grid } = store.layers[pane.layer];
    const flying = pane.layer === store.look.layer ? inFlight(store) : null;
    const left = exitStage(store, pane.layer);
    left.forEach((stage, p) => {
      if (stage < 0) return;
      if (flying === null || stage < pane.layer) tint(ctx, HS.cellRect(pane.frame, grid, p), stage);
    });
    of(store, pane.layer).context.forEach((stays, p) => stays && star(ctx, HS.cellRect(pane.frame, grid, p)));
  }

  function paintClasses(ctx, pane, store) {
    const { grid } = store.layers[pane.layer];
    const { label } = of(store, pane.layer);
    label.forEach((c, p) => {
      const [x, y, w, h] = HS.cellRect(pane.frame, grid, p);
      ctx.globalAlpha = c ? 0.62 : 0.25;
      ctx.fillStyle = CLASSES[c % CLASSES.length];
      ctx.fillRect(x, y, w + 0.4, h + 0.4);
      ctx.globalAlpha = 1;
      if (c && w >= 17) HS.chart.text(Object.assign(ctx, { font: `600 ${Math.round(Math.min(12, w * 0.45))}px system-ui, sans-serif` }), short(labels(store)[c] || String(c)), x + w / 2, y + h / 2, "#fff", "center", "middle");
    });
  }

  /** Classes of the pixels at the end; or where early exits changed them, told right or wrong where the truth is known. */
  function paintPixels(ctx, frame, store) {
    const { pixels, dense, truth } = extra(store);
    const side = Math.round(Math.sqrt(pixels.length));
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [side, side];
    const data = new ImageData(side, side);
    const changed = store.look.paint === "changed";
    pixels.forEach((c, i) => {
      const colour = changed ? difference(c, dense[i], truth && truth[i]) : rgb(CLASSES[c % CLASSES.length], c ? 200 : 70);
      if (colour) data.data.set(colour, 4 * i);
    });
    canvas.getContext("2d").putImageData(data, 0, 0);
    ctx.imageSmoothingEnabled = false;
    ctx.drawImage(canvas, frame.x, frame.y, frame.width, frame.height);
  }

  const rgb = (hex, alpha) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)).concat(alpha);
  function difference(now, before, truth) {
    if (now === before) return [0, 0, 0, 150];
    if (truth === null || truth === undefined) return rgb("#F0E442", 235);
    return now === truth ? rgb("#56B4E9", 235) : before === truth ? rgb("#D55E00", 235) : rgb("#F0E442", 235);
  }

  function base(ctx, pane, store) {
    const { paint, heat } = store.look;
    if (heat) return;
    if (paint === "stages") paintStages(ctx, pane, store);
    else if (paint === "classes") {
      HS.greyOut(ctx, pane.frame);
      paintClasses(ctx, pane, store);
    } else {
      HS.greyOut(ctx, pane.frame);
      paintPixels(ctx, pane.frame, store);
    }
  }

  // ---------------------------------------------------------------------------------------------------- the flight

  const flights = new WeakMap(); // store → {layer, begun, timer}

  /** Share of the flight of the patches that leave at this stage, 0…1; null when all have landed. */
  function inFlight(store) {
    const state = flights.get(store);
    if (!state || state.layer !== store.look.layer) return null;
    const share = (performance.now() - state.begun) / FLIGHT;
    return share < 1 ? share : null;
  }

  /** The patches of this stage fly off; nothing moves where motion is not wanted. */
  function fly(store) {
    if (HS.calm()) return;
    const old = flights.get(store);
    if (old) clearInterval(old.timer);
    const state = { layer: store.look.layer, begun: performance.now() };
    state.timer = setInterval(() => {
      if (inFlight(store) === null) clearInterval(state.timer);
      store.touch("fly");
    }, FRAME);
    flights.set(store, state);
  }

  function overlay(ctx, pane, store, { grid, images }) {
    grid();
    const share = pane.layer === store.look.layer && store.look.paint === "stages" ? inFlight(store) : null;
    if (share === null) return;
    const layer = store.layers[pane.layer];
    const image = images.shown;
    const [mx, my] = [pane.frame.x + pane.frame.width / 2, pane.frame.y + pane.frame.height / 2];
    of(store, pane.layer).exited.forEach((gone, p) => {
      if (!gone || of(store, pane.layer).before[p]) return;
      const [x, y, w, h] = HS.cellRect(pane.frame, layer.grid, p);
      const [dx, dy] = [x + w / 2 - mx, y + h / 2 - my];
      const far = 0.55 * share * share;
      ctx.globalAlpha = 1 - share;
      const scale = image.naturalWidth / pane.frame.width;
      if (image.complete && image.naturalWidth) ctx.drawImage(image, (x - pane.frame.x) * scale, (y - pane.frame.y) * scale, w * scale, h * scale, x + dx * far, y + dy * far - 26 * share, w, h);
      ctx.globalAlpha = 1;
    });
  }

  function thumb(ctx, frame, store, index) {
    if (store.look.heat) return;
    const { grid } = store.layers[index];
    if (store.look.paint === "classes") return paintClasses(ctx, { frame, layer: index }, store);
    exitStage(store, index).forEach((stage, p) => {
      if (stage < 0) return;
      const [x, y, w, h] = HS.cellRect(frame, grid, p);
      ctx.globalAlpha = 0.75;
      ctx.fillStyle = STAGES[stage % STAGES.length][0];
      ctx.fillRect(x, y, w + 0.4, h + 0.4);
      ctx.globalAlpha = 1;
    });
  }

  // ---------------------------------------------------------------------------------------------------------- maps

  const map = (title, unit, make) => ({ kind: "exits", title, unit, available: () => true, make });
  /** Largest prediction of each patch, and its class. */
  function confidence(store, index) {
    const { prediction } = of(store, index);
    const [classes, n] = prediction.shape;
    return Float32Array.from({ length: n }, (_, p) => {
      let most = 0;
      for (let c = 0; c < classes; c++) most = Math.max(most, prediction[c * n + p]);
      return most;
    });
  }

  Object.assign(HS.madeMaps, {
    confidence: map("Confidence", "", (store, index) => ({ values: confidence(store, index), grid: store.layers[index].grid, scale: { kind: "sequential", max: 1 } })),
    exit: map("Stage at which it left", "", (store) => {
      const last = store.layers.length;
      const values = Float32Array.from(exitStage(store), (stage) => (stage < 0 ? last : stage + 1));
      return { values, grid: store.layer.grid, scale: { kind: "sequential", min: 1, max: last } };
    }),
  });

  // --------------------------------------------------------------------------------------------------------- words

  const square = (colour) => HS.el("i", { class: "hs-swatch", style: `background:${colour}`, "aria-hidden": true });

  function legend(store) {
    const { paint } = store.look;
    const entries = [];
    if (store.look.heat) return { entries, facts: [] };
    if (paint === "stages") {
      const counts = [...store.layers.keys()].map((s) => exitStage(store, store.look.layer).reduce((sum, stage) => sum + (stage === s ? 1 : 0), 0));
      counts.forEach((count, s) => count && entries.push(HS.legend.entry(square(STAGES[s % STAGES.length][0]), `left at stage ${s + 1}: ${count}`)));
      const stars = of(store).context.reduce((a, b) => a + b, 0);
      if (stars) entries.push(HS.legend.entry("★", `sure, but stays as context: ${stars}`));
      if (entries.length === 0) entries.push(HS.legend.entry("", "no patch has left yet"));
    } else if (paint === "changed") {
      const known = Boolean(extra(store).truth);
      for (const [colour, words] of known ? [["#56B4E9", "right only with early exits"], ["#D55E00", "right only without"], ["#F0E442", "wrong both times"]] : [["#F0E442", "changed by early exits"]]) entries.push(HS.legend.entry(square(colour), words));
    } else {
      const shown = paint === "pixels" ? new Set(extra(store).pixels) : new Set(of(store).label);
      [...shown].sort((a, b) => a - b).forEach((c) => entries.push(HS.legend.entry(square(CLASSES[c % CLASSES.length]), labels(store)[c] || `class ${c}`)));
    }
    return { entries, facts: facts(store).map((fact) => HS.legend.entry("", fact)) };
  }

  function facts(store) {
    const { miou } = extra(store);
    return miou ? [`mean IoU ${HS.percent(miou.pruned)}, without early exits ${HS.percent(miou.dense)}`] : [];
  }

  /** "row 3, column 7: left at stage 1 as background (97 %); at the end background" */
  function sentence(store) {
    const patch = store.focus(store.look.layer);
    if (patch === null) return "";
    const stage = exitStage(store)[patch];
    const last = store.layers.length - 1;
    const named = (s) => `${labels(store)[of(store, s).label[patch]] || of(store, s).label[patch]} (${HS.percent(confidence(store, s)[patch])})`;
    const at = stage < 0 || stage === last ? `computed to the end: ${named(last)}` : `left at stage ${stage + 1} as ${named(stage)}; at the end ${named(last)}`;
    const stayed = [...store.layers.keys()].filter((s) => of(store, s).context[patch]);
    return `${HS.place(patch, store.layer.grid)}: ${at}${stayed.length ? `; stayed as context at stage ${stayed.map((s) => s + 1).join(" and ")}` : ""}`;
  }

  // ------------------------------------------------------------------------------------------------------ controls

  /** The group “Stages”: play them one after the other. */
  function createSection(store) {
    const play = HS.el("button", { type: "button", class: "hs-button", onclick: () => (timer ? halt() : start()) }, "Play the stages");
    const count = HS.el("p", { class: "hs-count", "aria-live": "polite" });
    const element = HS.el("section", { class: "hs-group" }, HS.el("h3", {}, "Stages"), play, count);
    let timer = 0;
    let before = store.look.layer;

    function start() {
      play.textContent = "Stop";
      store.set({ layer: 0, paint: "stages", heat: "" });
      fly(store);
      const next = () => {
        if (!element.isConnected || store.look.layer >= store.layers.length - 1) return halt();
        store.set({ layer: store.look.layer + 1 });
        timer = setTimeout(next, 1400);
      };
      timer = setTimeout(next, 1400);
    }

    function halt() {
      clearTimeout(timer);
      timer = 0;
      play.textContent = "Play the stages";
    }

    return {
      element,
      draw() {
        if (store.look.layer > before) fly(store);
        before = store.look.layer;
        const { alive, after } = extra(store);
        const n = of(store).exited.length;
        const left = n - (alive[after[store.look.layer]] ?? n - of(store).exited.reduce((a, b) => a + b, 0));
        count.textContent = `${left} of ${n} patches have left after stage ${store.look.layer + 1}`;
      },
    };
  }

  function lookInputs(store, set) {
    const { segments } = HS.inputs;
    const options = [["stages", "exits"], ["classes", "classes"], ["pixels", "pixels"], ["changed", "changes"]];
    return { main: { paint: segments({ label: "Show", options, value: store.look.paint, onchange: set("paint") }) }, more: {}, draw() {} };
  }

  /** A row for each pin: hold it back to the end. (Sending it away is a cut of the pin itself.) */
  function cutRows(store) {
    return store.look.pins.slice(0, 4).map((patch, i) => ({
      mark: HS.LETTERS[i],
      kinds: [["stay", "never let it leave", "It is computed to the end, however sure the heads are"]],
      pressed: () => store.cutList.hasWhole("stay", patch, "*"),
      toggle: () => store.cutList.toggleWhole("stay", patch, "*"),
    }));
  }

  const cutKinds = [["patch", "send it away now", "It leaves at the first stage, whatever it shows"]];

  // ----------------------------------------------------------------------------------------------------- take home

  function table(store) {
    const left = exitStage(store);
    const last = store.layers.length - 1;
    const [, cols] = store.layer.grid;
    return Array.from(left, (stage, patch) => ({
      patch,
      row: Math.floor(patch / cols) + 1,
      column: (patch % cols) + 1,
      left_at_stage: stage < 0 ? null : stage + 1,
      class_then: labels(store)[of(store, stage < 0 ? last : stage).label[patch]],
      class_at_the_end: labels(store)[of(store, last).label[patch]],
      confidence: Number(confidence(store, stage < 0 ? last : stage)[patch].toFixed(4)),
    }));
  }

  function asJson(store) {
    const { name: layer, label, grid } = store.layer;
    const { alive, macs } = extra(store);
    const meaning = "left_at_stage: from 1, null for patches that are computed to the end; patches count in raster order";
    return JSON.stringify({ exhibit: store.payload.exhibit.slug, layer, label, grid, controls: store.payload.controls.values, alive_per_block: alive, macs, meaning, patches: table(store) }, null, 1);
  }

  function asCsv(store) {
    const rows = table(store);
    const columns = Object.keys(rows[0]);
    return [columns.join(","), ...rows.map((row) => columns.map((column) => row[column] ?? "").join(","))].join("\n");
  }

  function check(layer) {
    const e = layer.exits;
    const n = layer.grid[0] * layer.grid[1];
    const requireLength = (name, values) => HS.requireShape({ [name === "label" ? "classes" : name]: values, label: layer.label }, name === "label" ? "classes" : name, [n], false);
    if (!e) throw new HS.Refusal(`The layer “${layer.label}” does not fit together (it holds no stage). Run it again.`);
    for (const part of ["before", "exited", "context", "label"]) requireLength(part, e[part]);
    HS.requireShape({ prediction: e.prediction, label: layer.label }, "prediction", [e.present.length, n], false);
  }

  HS.instrument({
    kind: "exits",
    check,
    base,
    overlay,
    thumb,
    legend,
    sentence,
    invitation: "Point at a patch to see when it left, and as what; click to keep it in view.",
    settings: () => [],
    section: createSection,
    lookInputs,
    cutKinds,
    cutRows,
    cutHint: () => "Pin a patch to send it away or to hold it back.",
    asJson,
    asCsv,
  });

  HS.exits = { STAGES, CLASSES, exitStage, confidence, labels, of };
})();
