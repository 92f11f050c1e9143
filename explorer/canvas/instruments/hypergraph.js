// @wing hypergraphs
/**
 * The instrument of soft hypergraphs: every hyperedge is a map of the picture. Chosen hyperedges lie on the picture as a map of
 * log₂(N·w) on one scale for all (0 = even), as the column of A, or as lines that enclose a share of their mass; a focused
 * patch lights up the hyperedges in which it takes part. Hyperedges count from 1 on the page, from 0 in the look and the payload.
 */
(() => {
  "use strict";

  const REACH = 3; // |log₂| at the ends of the colour scale, the same for every map, layer and picture: ⅛ … 8 times the even share
  const MOST_LINES = 5; // hyperedges drawn as lines at once
  const MOST_OF_PATCH = 3;
  const SHARES = [0.3, 0.5, 0.8];
  const DASHES = [[], [8, 4], [2, 4], [10, 3, 2, 3], [5, 5]];

  const { number, word } = HS.checks;
  const orNull = (check) => (v) => (v === null ? null : check(v));
  const edgeList = (v) => (Array.isArray(v) && v.length <= 64 && v.every((m) => Number.isInteger(m) && m >= 0 && m < 4096) ? [...new Set(v)] : undefined);
  HS.lookField("edges", [], edgeList);
  HS.lookField("style", "lift", word("lift", "mass", "contours"));
  HS.lookField("mass", 0.5, (v) => (SHARES.includes(v) ? v : undefined));
  HS.lookField("sort", "load", word("load", "number"));
  HS.lookField("boxes", "with", word("with", "without", "both")); // of a detector
  HS.lookField("sent", "all", word("all", "edges", "edge")); // through its tunnels: all, what hyperedges cause, what one of them causes
  // null: as the model had it.
  HS.lookField("temperature", null, orNull(number(-3, 3)));
  HS.lookField("hard", null, orNull(number(0, 1)));
  HS.lookField("k", null, orNull(number(0, 4096, true)));
  HS.lookField("context", null, orNull(number(0, 2)));

  /** Colours of hyperedges repeat after seven; the number beside every line and tile tells them apart. */
  const colourOf = (m) => HS.OKABE_ITO[m % 7];
  const name = (m) => String(m + 1);
  /** "1.4 ×": two digits are more than anybody compares by eye. */
  const times = (value) => `${value > 0 && value < 0.01 ? "< 0.01" : value >= 10 ? Math.round(value) : Number(value.toPrecision(2))} ×`;

  // ---------------------------------------------------------------------------------------------- what is on show

  /** The hyperedges that are drawn on a pane: the chosen ones; on the second picture those most like them. */
  function chosenOn(store, layerIndex) {
    if (store.layers[layerIndex].kind !== "hypergraph") return [];
    const d = HS.hyper.of(store, layerIndex);
    const { layer, edges } = store.look;
    if (layerIndex === layer) return edges.filter((m) => m < d.m);
    return edges.map((m) => counterpart(store, m, layerIndex)).filter((found) => found !== null).map((found) => found.edge);
  }

  /** The hyperedge of another layer whose map is most like this one's: {edge, correlation}; null where they cannot be compared. */
  function counterpart(store, m, other) {
    const { layer } = store.look;
    if (store.layers[other].kind !== "hypergraph" || String(store.layers[other].grid) !== String(store.layers[layer].grid)) return null;
    const [here, there] = [HS.hyper.of(store, layer), HS.hyper.of(store, other)];
    const map = HS.hyper.mapOf(here, m);
    let best = null;
    for (let j = 0; map && j < there.m; j++) {
      const value = HS.hyper.alike(map, HS.hyper.mapOf(there, j));
      if (Number.isFinite(value) && (!best || value > best.correlation)) best = { edge: j, correlation: value };
    }
    return best;
  }

  const isCut = (store, layerIndex, m) => store.cutList.hasWhole("hyperedge", m, store.layers[layerIndex].name);

  function toggleEdge(store, m) {
    const { edges } = store.look;
    store.set({ edges: edges.includes(m) ? edges.filter((other) => other !== m) : [...edges, m].slice(-MOST_LINES) });
  }

  // ------------------------------------------------------------------------------------------------------ painting

  /** The map of one hyperedge in the present style: {values, grid, scale}. */
  function heatOf(store, layerIndex, m) {
    const d = HS.hyper.of(store, layerIndex);
    const { grid } = store.layers[layerIndex];
    if (store.look.style === "mass") return { values: HS.hyper.columnOf(d, m), grid, scale: { kind: "sequential", max: mostOf(d) } };
    return { values: HS.hyper.lift(d, m), grid, scale: { kind: "diverging", max: REACH } };
  }

  /** The largest weight of all hyperedges of a layer: one scale for all columns. */
  const mostOf = (d) => d.w.reduce((most, x) => Math.max(most, x), 0) || 1;

  function paintMap(ctx, frame, store, layerIndex, m, image, alpha = 0.74) {
    HS.drawPicture(ctx, frame, image, false);
    HS.greyOut(ctx, frame);
    HS.drawHeat(ctx, frame, heatOf(store, layerIndex, m), alpha);
  }

  /** The line around `share` of a hyperedge, with a dark halo and its number at the strongest patch. */
  function paintLine(ctx, frame, store, layerIndex, m, { share, dash = [], width = 2.5, fill = 0, label = true }) {
    const d = HS.hyper.of(store, layerIndex);
    const { grid } = store.layers[layerIndex];
    const lines = HS.hyper.contours(d, m, grid, share);
    if (lines.length === 0) return;
    const path = HS.newPath(ctx);
    for (const line of lines) {
      for (let i = 0; i < line.length; i += 2) path[i ? "lineTo" : "moveTo"](frame.x + line[i] * frame.width, frame.y + line[i + 1] * frame.height);
      path.closePath();
    }
    ctx.save();
    ctx.beginPath();
    ctx.rect(frame.x - 2, frame.y - 2, frame.width + 4, frame.height + 4);
    ctx.clip();
    ctx.lineJoin = "round";
    if (fill) {
      ctx.globalAlpha = fill;
      ctx.fillStyle = colourOf(m);
      ctx.fill(path, "evenodd");
      ctx.globalAlpha = 1;
    }
    for (const [colour, extra, pattern] of [["rgb(0 0 0 / 0.75)", 3, []], ["rgb(255 255 255 / 0.45)", 0.6, []], [colourOf(m), 0, dash]]) {
      ctx.setLineDash(pattern);
      ctx.strokeStyle = colour;
      ctx.lineWidth = width + extra;
      ctx.stroke(path);
    }
    ctx.restore();
    if (label) paintNumber(ctx, HS.cellCentre(frame, grid, HS.hyper.massSet(d, m)[0]), m);
  }

  function paintNumber(ctx, [x, y], m) {
    const half = 9 + 3.5 * Math.max(0, name(m).length - 2);
    ctx.beginPath();
    ctx.arc(x - half + 9, y, 9, Math.PI / 2, 1.5 * Math.PI);
    ctx.arc(x + half - 9, y, 9, -Math.PI / 2, Math.PI / 2);
    ctx.closePath();
    ctx.fillStyle = "rgb(10 12 16 / 0.92)";
    ctx.fill();
    ctx.setLineDash([]);
    ctx.lineWidth = 2;
    ctx.strokeStyle = colourOf(m);
    ctx.stroke();
    HS.chart.text(Object.assign(ctx, { font: "600 11px system-ui, sans-serif" }), name(m), x, y + 0.5, "#fff", "center", "middle");
  }

  /** In the style of lines every chosen hyperedge is drawn the same way; else the newest is a map and the others are lines. */
  function base(ctx, pane, store, env) {
    const chosen = chosenOn(store, pane.layer);
    const { style, heat, seen } = store.look;
    const newest = chosen[chosen.length - 1];
    const asMap = newest !== undefined && style !== "contours" && !heat;
    if (asMap) paintMap(ctx, pane.frame, store, pane.layer, newest, seen ? env.images.seen : env.images.shown);
    const lines = asMap ? chosen.slice(0, -1) : chosen;
    const shares = style === "contours" && chosen.length <= 2 && !heat ? SHARES : [store.look.mass];
    if (lines.length && !asMap && !heat) veil(ctx, pane.frame, 0.3);
    lines.slice(-MOST_LINES).forEach((m, i) => {
      for (const share of [...shares].reverse()) {
        paintLine(ctx, pane.frame, store, pane.layer, m, { share, dash: shares.length > 1 ? DASHES[SHARES.indexOf(share)] : DASHES[i], fill: asMap || heat ? 0 : 0.16, label: share === shares[0] });
      }
    });
    if (asMap) paintNumber(ctx, [pane.frame.x + 14, pane.frame.y + 14], newest);
    HS.boxes.paintAll(ctx, pane.frame, store);
  }

  function veil(ctx, frame, darkness) {
    ctx.fillStyle = `rgb(8 10 14 / ${darkness})`;
    ctx.fillRect(frame.x, frame.y, frame.width, frame.height);
  }

  function overlay(ctx, pane, store, env) {
    const { main, lit, rows, grid, images } = env;
    const image = store.look.seen ? images.seen : images.shown;
    const over = edgeUnder(store, pane.layer);
    const follows = HS.followsFocus(store.look.heat) && HS.heatOf(store, pane.layer, store.look.heat, rows);
    if (over !== null) {
      paintMap(ctx, pane.frame, store, pane.layer, over, image);
      paintNumber(ctx, [pane.frame.x + 14, pane.frame.y + 14], over);
    } else if (follows) {
      HS.drawPicture(ctx, pane.frame, image, store.look.seen);
      HS.greyOut(ctx, pane.frame);
      HS.drawHeat(ctx, pane.frame, follows, 0.74);
    }
    grid();
    const focus = main || (lit.length && !store.look.heat && chosenOn(store, pane.layer).length === 0 ? lit[lit.length - 1] : null);
    if (over === null && focus && !follows) paintPatch(ctx, pane, store, focus.patch);
    if (over !== null || follows) HS.boxes.paintAll(ctx, pane.frame, store);
    if (focus) HS.boxes.paintFocus(ctx, pane.frame, store, pane.layer, focus.patch);
  }

  /** The hyperedges in which a patch takes part more than evenly, the strongest first. */
  function ofPatch(store, layerIndex, patch) {
    const d = HS.hyper.of(store, layerIndex);
    return HS.hyper.strongest(d, patch, MOST_OF_PATCH).filter(([m, share]) => share * d.active > 1 && !HS.hyper.isUniform(d, m));
  }

  function paintPatch(ctx, pane, store, patch) {
    if (!store.look.heat && chosenOn(store, pane.layer).length === 0) veil(ctx, pane.frame, 0.35);
    ofPatch(store, pane.layer, patch).reverse().forEach(([m], i, list) => {
      paintLine(ctx, pane.frame, store, pane.layer, m, { share: store.look.mass, dash: DASHES[list.length - 1 - i], fill: 0.14 });
    });
  }

  /** The hyperedge under the pointer, as it is called on this layer; null without one. */
  function edgeUnder(store, layerIndex) {
    const over = store.hoverEdge;
    if (!over) return null;
    if (over.layer === layerIndex) return over.edge;
    const found = over.layer === store.look.layer ? counterpart(store, over.edge, layerIndex) : null;
    return found && found.edge;
  }

  /** On the film strip: each patch in the colour of its strongest hyperedge, pale where it is in all alike. */
  function thumb(ctx, frame, store, index) {
    if (store.look.heat) return;
    HS.greyOut(ctx, frame);
    const { label, clear } = HS.hyper.assignment(HS.hyper.of(store, index));
    const { grid } = store.layers[index];
    ctx.save();
    label.forEach((m, i) => {
      if (m < 0) return;
      ctx.globalAlpha = Math.min(1, 0.9 * Math.sqrt(clear[i]));
      ctx.fillStyle = colourOf(m);
      ctx.fillRect(...HS.cellRect(frame, grid, i));
    });
    ctx.restore();
  }

  // ---------------------------------------------------------------------------------------------------------- maps

  const map = (title, unit, make, more = {}) => ({ kind: "hypergraph", title, unit, available: () => true, make, ...more });
  Object.assign(HS.madeMaps, {
    loudness: map("Loudness: how much it takes part", "log₂ of times the average", (store, index) => {
      const d = HS.hyper.of(store, index);
      return { values: d.loudnesses.map((x) => Math.max(-30, Math.log2(x))), grid: store.layers[index].grid, scale: { kind: "diverging", max: REACH } };
    }),
    strongest: map("Its strongest hyperedge", "", (store, index) => {
      const { label } = HS.hyper.assignment(HS.hyper.of(store, index));
      const note = "colour: the hyperedge in which a patch takes part most, however little more than in others";
      return { values: Float32Array.from(label, (m) => (m < 0 ? NaN : m % 7)), grid: store.layers[index].grid, scale: { kind: "category" }, note };
    }),
    sharing: map("Who shares hyperedges with the chosen patch", "log₂ of times the average pair", (store, index) => {
      const patch = store.focus(index);
      if (patch === null) return null;
      return { values: HS.hyper.sharing(HS.hyper.of(store, index), patch), grid: store.layers[index].grid, scale: { kind: "diverging", max: REACH } };
    }, { follows: true }),
  });

  // --------------------------------------------------------------------------------------------------------- words

  function legend(store) {
    const { look } = store;
    const d = HS.hyper.of(store, look.layer);
    const chosen = chosenOn(store, look.layer);
    const entries = [];
    const asMap = look.style !== "contours" && !look.heat; // also for the hyperedge under the pointer
    if (asMap && look.style === "lift") entries.push(liftScale("share of the patch"));
    if (asMap && look.style === "mass") entries.push(HS.legend.scale("weight of the patch", "viridis", "0", `${times(d.n * mostOf(d))} the even share`));
    const lines = look.style === "contours" || look.heat ? chosen : chosen.slice(0, -1);
    if (look.style === "contours" && chosen.length && chosen.length <= 2 && !look.heat) {
      SHARES.forEach((share, i) => entries.push(HS.legend.entry(HS.legend.sample("#ffffff", ["solid", "dashed", "dotted"][i]), `holds ${HS.percent(share)}`)));
    } else if (lines.length || chosen.length === 0) entries.push(HS.legend.entry("", `a line encloses ${HS.percent(look.mass)} of a hyperedge`));
    for (const m of lines) entries.push(HS.legend.entry(HS.legend.sample(colourOf(m), "solid"), `hyperedge ${name(m)}`));
    entries.push(...HS.boxes.legend(store));
    return { entries, facts: facts(store, d, chosen).map((fact) => HS.legend.entry("", fact)) };
  }

  function liftScale(title) {
    const node = HS.legend.scale(title, "diverging", "≤ ⅛ ×", "≥ 8 ×");
    node.title = "In units of its even share 1/N. The same scale for every map, layer and picture.";
    node.querySelector(".hs-scale").classList.add("hs-centred");
    return node;
  }

  function facts(store, d, chosen) {
    const { look } = store;
    const { special } = store.layer.hypergraph;
    const told = [];
    for (const m of chosen) if (HS.hyper.isUniform(d, m)) told.push(`${name(m)} is uniform`);
    if (special && chosen.length) {
      const m = chosen[chosen.length - 1];
      told.push(`${HS.percent(d.special[m])} lies beside the patches`);
    }
    if (look.compare !== null && chosen.length && store.layers[look.compare].kind === "hypergraph") {
      const found = counterpart(store, chosen[chosen.length - 1], look.compare);
      if (found) told.push(`in 2: hyperedge ${name(found.edge)}, the most alike (correlation ${HS.show(found.correlation)})`);
    }
    return told;
  }

  /** "Hyperedge 3: load 1.4 ×, lives in 23 of 256 patches, twin of 5, without it −3.2 points" */
  function edgeSentence(store, m) {
    const d = HS.hyper.of(store, store.look.layer);
    if (!d.on[m]) return `Hyperedge ${name(m)} is not chosen on this picture`;
    const parts = [`Hyperedge ${name(m)}: load ${times(d.loads[m])}, lives in ${HS.show(Math.round(d.members[m]))} of ${d.n} patches, γ ${d.variation[m] > 0 ? HS.hyper.contrast(d, m).toFixed(2) : "0"}`];
    if (HS.hyper.isUniform(d, m)) parts.push("uniform");
    const twin = HS.hyper.twin(d, m);
    if (twin !== null) parts.push(`twin of ${name(twin)}`);
    const worth = worthOf(store, m);
    if (worth !== null) parts.push(`without it ${points(-worth)} points`);
    return parts.join(", ");
  }

  /** By how much the first class loses probability without a hyperedge, where the exhibit measured it; null elsewhere. */
  function worthOf(store, m) {
    const known = (store.payload.extras.worth || {})[store.layer.name];
    return known && Number.isFinite(known[m]) && !HS.hyper.differs(store, store.layer) && store.prediction.length ? known[m] : null;
  }

  /** A change of probability in percentage points: "+3.2". */
  const points = (change) => `${change > 0.0005 ? "+" : change < -0.0005 ? "−" : "±"}${Math.abs(100 * change).toFixed(1)}`;

  /** "row 3, column 7: 41 % in hyperedge 2, 23 % in 5; loudness 1.3 × the average" */
  function sentence(store) {
    const { look } = store;
    const over = edgeUnder(store, look.layer);
    if (over !== null) return edgeSentence(store, over);
    const patch = store.focus(look.layer);
    if (patch === null) return "";
    const d = HS.hyper.of(store, look.layer);
    const found = HS.hyper.strongest(d, patch, 2);
    const where = HS.place(patch, store.layer.grid);
    if (found.length === 0) return `${where}: in no hyperedge`;
    const shares = found.map(([m, share], i) => `${HS.percent(share)} in ${i ? "" : "hyperedge "}${name(m)}`);
    const told = found[0][1] * d.active < 1.1 && d.active > 1 ? `in all about alike (${shares[0]})` : shares.join(", ");
    return `${where}: ${told}; loudness ${times(d.loudnesses[patch])} the average`;
  }

  // ------------------------------------------------------------------------------------------------------ controls

  const WORDS = {
    temperature: { label: "Temperature", hint: "Softer or harder hyperedges: the logits divided by 2 to this power. Twice as soft is what four times the heads do.", step: 0.05, low: -3, high: () => 3, format: (v) => times(2 ** v) },
    hard: { label: "Hardness", hint: "From soft hyperedges to one hyperedge per patch, its strongest.", step: 0.02, low: 0, high: () => 1, format: HS.percent },
    k: { label: "Chosen hyperedges k", hint: "How many of those that can be chosen are on: the k of the highest score.", step: 1, low: 0, high: (h) => h.hyperedges - h.fixed },
    context: { label: "Offset of the prototypes", hint: "Prototypes are P₀ + t · ΔP: what was learned once for all pictures, and what the layer computes from the pooled picture. 1 is the model's own.", step: 0.05, low: 0, high: () => 2, format: times },
  };

  /** The group “Hyperedges”: settings that the browser answers, how many hyperedges differ, and the run with these settings. */
  function createSection(store) {
    const none = Object.fromEntries(HS.hyper.SETTINGS.map((setting) => [setting, null]));
    const count = HS.el("p", { class: "hs-count", "aria-live": "polite" });
    const reset = HS.el("button", { type: "button", class: "hs-link", onclick: () => store.set(none) }, "as the model had it");
    const run = HS.el("button", { type: "button", class: "hs-button", onclick: runWithThis }, "Run the model with this");
    const inputs = Object.entries(WORDS).map(([setting, { label, hint, step, format }]) => {
      const input = HS.inputs.range({ label, hint, step, format, min: 0, max: 1, value: 0, oninput: (value) => store.set({ [setting]: value }) });
      return [setting, input];
    });
    const counts = HS.el("div", { class: "hs-count-row" }, count, reset);
    const element = HS.el("section", { class: "hs-group" }, HS.el("h3", {}, "Hyperedges"), ...inputs.map(([, input]) => input.element), counts, run);

    /** Settings that differ from the model's own and for which the model has a control of the same name. */
    function transferable() {
      const { own, space } = store.layer.hypergraph;
      const names = space ? store.payload.controls.widgets.map((w) => w.name) : []; // other hyperedges are no part of the model
      return Object.fromEntries(Object.entries(HS.hyper.settingsOf(store, store.layer)).filter(([setting, value]) => names.includes(setting) && value !== own[setting]));
    }

    function runWithThis() {
      const controls = transferable();
      store.set(Object.fromEntries(Object.keys(controls).map((setting) => [setting, null])));
      HS.askRun(store, { controls });
    }

    return {
      element,
      draw() {
        const known = HS.hyper.answerable(store, store.layer);
        const settings = HS.hyper.settingsOf(store, store.layer);
        for (const [setting, input] of inputs) {
          input.element.hidden = !known.includes(setting);
          if (!known.includes(setting)) continue;
          input.bound(WORDS[setting].low, WORDS[setting].high(store.layer.hypergraph));
          input.set(settings[setting]);
        }
        const d = HS.hyper.of(store, store.look.layer);
        const different = HS.hyper.effectiveNumber(d);
        const lost = settings.hard > 0 ? ` · ${HS.percent(thrownAway(store))} of the participation thrown away` : "";
        count.textContent = `${different === null ? HS.plural(d.active, "hyperedge") : `${HS.show(different)} of ${d.active} hyperedges differ`}${lost}`;
        count.title = "How many different maps there are: exp of the entropy of the eigenvalues of their correlations (Vendi score); 0 when all are uniform.";
        reset.hidden = !HS.hyper.differs(store, store.layer);
        run.hidden = Object.keys(transferable()).length === 0;
        run.disabled = !store.host.live;
      },
    };
  }

  /** Share of the participation of all patches that lies elsewhere once it is hardened: half of Σ |soft − present|, in units of the whole. */
  function thrownAway(store) {
    const { layer } = store;
    const soft = HS.hyper.participation(layer.hypergraph, { ...HS.hyper.settingsOf(store, layer), hard: 0 });
    const { a } = HS.hyper.of(store, store.look.layer);
    let [moved, whole] = [0, 0];
    for (let i = 0; i < a.length; i++) {
      moved += Math.abs(soft[i] - a[i]) / 2;
      whole += soft[i];
    }
    return whole ? moved / whole : 0;
  }

  /** Inputs of the group “Look”. */
  function lookInputs(store, set) {
    const { segments } = HS.inputs;
    const { look } = store;
    const boxes = HS.boxes.choice(store, set);
    return {
      main: {
        ...(boxes && { boxes }),
        style: segments({ label: "Draw hyperedges as", options: [["lift", "map"], ["mass", "weights"], ["contours", "lines"]], value: look.style, onchange: set("style") }),
        sort: segments({ label: "Sort by", options: [["load", "load"], ["number", "number"]], value: look.sort, onchange: set("sort") }),
      },
      more: {
        mass: segments({ label: "A line encloses", options: SHARES.map((share) => [share, HS.percent(share)]), value: look.mass, onchange: set("mass") }),
      },
      draw() {},
    };
  }

  // --------------------------------------------------------------------------------------------------------- tiles

  const PAGE = 24; // tiles at first; nearest-neighbour hyperedges are as many as patches

  /**
   * Small multiples of the hyperedges of the current layer: a map each, all on one scale.
   * @param spec {side(count): pixels of a tile, columns(count), words: true for size and marks below each, and for those that are off}
   * @returns {{element, draw(changed), destroy()}}
   */
  function createTiles(store, spec) {
    const shown = HS.el("div", { class: "hs-tiles", role: "group", "aria-label": "Hyperedges" });
    const further = HS.el("button", { type: "button", class: "hs-link", onclick: () => ((limit += PAGE), draw()) });
    const rest = HS.el("div", { class: "hs-tiles", role: "group", "aria-label": "Hyperedges that are off" });
    const more = HS.el("details", { class: "hs-more" }, HS.el("summary", {}), rest);
    const element = HS.el("div", { class: "hs-gallery-of-edges" }, shown, further, more);
    let tiles = new Map();
    let built = "";
    let limit = PAGE;
    more.addEventListener("toggle", () => draw());

    function tile(m) {
      const canvas = HS.el("canvas", { "aria-hidden": true });
      const title = HS.el("span", { class: "hs-tile-name" });
      const about = HS.el("span", { class: "hs-tile-about" });
      const gamma = HS.el("span", { class: "hs-tile-about hs-num" });
      const over = (on) => () => store.setHoverEdge(on ? m : null);
      const button = HS.el(
        "button",
        { type: "button", class: "hs-tile", "data-edge": m, onclick: () => toggleEdge(store, m), onpointerenter: (event) => event.pointerType !== "touch" && over(true)(), onpointerleave: over(false), onfocus: () => button.matches(":focus-visible") && over(true)(), onblur: over(false) },
        canvas, title, ...(spec.words ? [about, gamma] : []),
      );
      button.addEventListener("keydown", (event) => {
        const next = { ArrowRight: button.nextElementSibling, ArrowLeft: button.previousElementSibling }[event.key];
        if (!next) return;
        event.preventDefault();
        next.focus();
      });
      return { button, canvas, title, about, gamma, map: HS.el("canvas") };
    }

    function build(d) {
      const order = HS.hyper.order(d, store.look.sort);
      const on = order.filter((m) => d.on[m]).slice(0, limit);
      const off = spec.words ? order.filter((m) => !d.on[m]).slice(0, limit) : [];
      further.hidden = !spec.words || d.active <= limit;
      further.textContent = `${Math.min(PAGE, d.active - limit)} more of ${d.active}`;
      const key = `${on.join()} ${off.join()}`;
      if (key === built) return;
      built = key;
      tiles = new Map([...on, ...off].map((m) => [m, tiles.get(m) || tile(m)]));
      const nodes = (list) => list.map((m) => tiles.get(m).button);
      const focused = document.activeElement;
      shown.replaceChildren(...nodes(on));
      rest.replaceChildren(...nodes(off));
      if (element.contains(focused)) focused.focus();
      more.hidden = off.length === 0;
      more.firstElementChild.textContent = `${HS.plural(d.m - d.active, "hyperedge")} not chosen on this picture`;
    }

    function word(d, m) {
      const { title, about, gamma, button } = tiles.get(m);
      const twin = HS.hyper.twin(d, m);
      const mark = isCut(store, store.look.layer, m) ? "switched off" : HS.hyper.isUniform(d, m) ? "uniform" : twin !== null ? `twin of ${name(twin)}` : "";
      const load = d.on[m] ? times(d.loads[m]).replace(" ", "\u202f") : "off";
      title.replaceChildren(HS.el("i", { class: "hs-swatch", style: `background:${colourOf(m)}`, "aria-hidden": true }), HS.el("b", {}, name(m)), ` ${load}`);
      const worth = worthOf(store, m);
      const size = worth === null ? HS.plural(Math.round(d.members[m]), "patch", "patches") : `${Math.round(d.members[m])} p · ${points(-worth)}`;
      about.textContent = d.on[m] ? mark || size : "not chosen";
      about.classList.toggle("hs-watch", Boolean(mark));
      gamma.textContent = d.on[m] ? `γ ${HS.hyper.contrast(d, m).toFixed(2)}` : "";
      button.title = `${edgeSentence(store, m)}${mark === "switched off" ? ", switched off by you" : ""}`;
      button.setAttribute("aria-label", button.title);
      button.setAttribute("aria-pressed", String(store.look.edges.includes(m)));
      button.classList.toggle("hs-off", !d.on[m] || mark === "switched off");
    }

    /** The map is kept: a moving pointer only repaints the mark of the patch and the bar of its share. */
    function paint(d, m, side, image) {
      const { canvas, map: kept } = tiles.get(m);
      const ctx = HS.fitCanvas(canvas, side, side);
      const frame = { x: 0, y: 0, width: side, height: side };
      const { grid } = store.layer;
      if (stale || !kept.width || kept.width !== canvas.width) {
        const mapContext = HS.fitCanvas(kept, side, side);
        mapContext.clearRect(0, 0, side, side);
        paintMap(mapContext, frame, store, store.look.layer, m, image, 0.85);
        if (isCut(store, store.look.layer, m)) HS.drawCross(mapContext, [0, 0, side, side], HS.MEANING.cut);
      }
      ctx.clearRect(0, 0, side, side);
      ctx.drawImage(kept, 0, 0, side, side);
      const focus = store.focus(store.look.layer);
      if (focus === null) return;
      HS.minimap.mark(ctx, frame, grid, focus);
      const share = d.r[focus * d.m + m];
      ctx.fillStyle = "rgb(10 12 16 / 0.75)";
      ctx.fillRect(0, side - 6, side, 6);
      ctx.fillStyle = "#fff";
      ctx.fillRect(0, side - 5, side * share, 4);
    }

    let stale = true;
    let marked = null; // the patch that the tiles show now
    const painting = HS.atMostEvery(60, () => {
      if (store.layer.kind !== "hypergraph") return;
      const d = HS.hyper.of(store, store.look.layer);
      const image = HS.chart.picture(store, () => ((stale = true), painting()));
      const side = spec.side(d.active);
      if (side < 20) return;
      element.style.setProperty("--hs-tile", `${side}px`);
      if (spec.columns) element.style.setProperty("--hs-columns", spec.columns(Math.min(PAGE, d.active)));
      for (const m of tiles.keys()) if (d.on[m] || more.open) paint(d, m, side, image);
      stale = false;
      marked = store.focus(store.look.layer);
    });

    function draw() {
      if (store.layer.kind !== "hypergraph") return;
      const d = HS.hyper.of(store, store.look.layer);
      build(d);
      for (const m of tiles.keys()) word(d, m);
      stale = true;
      painting();
    }

    return {
      element,
      draw(changed) {
        if (changed.has("payload") || changed.has("layer")) [tiles, built, limit] = [new Map(), "", PAGE];
        if (changed.size === 1 && changed.has("hover")) markHovered();
        else draw();
      },
      destroy: () => painting.stop(),
    };

    function markHovered() {
      const over = edgeUnder(store, store.look.layer);
      for (const [m, { button }] of tiles) button.classList.toggle("hs-hovered", m === over);
      if (stale || store.focus(store.look.layer) !== marked) painting();
    }
  }

  /** Beside the picture: the hyperedges in one, two or three columns. */
  function createStrip(store) {
    const stop = HS.boxes.watch(store);
    const tiles = createTiles(store, { side: (count) => (count <= 5 ? 92 : count <= 10 ? 72 : 54), columns: (count) => (count <= 5 ? 1 : count <= 10 ? 2 : 3), words: false });
    const { destroy } = tiles;
    return { ...tiles, destroy: () => (stop(), destroy()) };
  }

  // ---------------------------------------------------------------------------------------------------------- cuts

  /** A row for each chosen hyperedge under the prediction. */
  function cutRows(store) {
    if (!store.layer.hypergraph.space) return []; // only compared with: the model does not run through these hyperedges
    return chosenOn(store, store.look.layer).slice(-4).map((m) => ({
      mark: name(m),
      kinds: [["hyperedge", `switch off hyperedge ${name(m)}`, "Its column of A becomes 0: it hears and says nothing; the others keep their values"]],
      pressed: () => isCut(store, store.look.layer, m),
      toggle: (kind) => store.cutList.toggleWhole(kind, m, store.layer.name),
    }));
  }

  // --------------------------------------------------------------------------------------------------- attribution

  /** The newest chosen hyperedge, else the most loaded. */
  function mainEdge(store) {
    const chosen = chosenOn(store, store.look.layer);
    return chosen.length ? chosen[chosen.length - 1] : HS.hyper.order(HS.hyper.of(store, store.look.layer), "load")[0];
  }

  /** What stands beside an attribution: how loud each patch is, or one hyperedge. */
  const reads = {
    options: [["loudness", "loudness", "How much each patch takes part in all hyperedges together"], ["edge", "hyperedge", "The newest chosen hyperedge, else the most loaded"]],
    keys: [...HS.hyper.SETTINGS, "edges"],
    noun: (store, value) => (value === "edge" ? `hyperedge ${name(mainEdge(store))} lies` : "patches take part most"),
    map(store, value) {
      const { layer } = store.look;
      const scale = { kind: "diverging", max: REACH };
      const ends = ["≤ ⅛ ×", "≥ 8 ×"];
      if (value === "edge") return { values: HS.hyper.lift(HS.hyper.of(store, layer), mainEdge(store)), scale, ends, title: `Hyperedge ${name(mainEdge(store))}` };
      return { values: HS.madeMaps.loudness.make(store, layer).values, scale, ends, title: "Loudness" };
    },
  };

  // ----------------------------------------------------------------------------------------------------- take home

  /** A row per patch: its place, its loudness, and its participation in every hyperedge under the present settings. */
  function table(store) {
    const d = HS.hyper.of(store, store.look.layer);
    const [, cols] = store.layer.grid;
    const round = (value) => Number(value.toPrecision(5));
    return Array.from({ length: d.n }, (_, i) => ({
      patch: i,
      row: Math.floor(i / cols) + 1,
      column: (i % cols) + 1,
      loudness: round(d.loudness[i]),
      participation: Array.from(d.patches.subarray(i * d.m, (i + 1) * d.m), round),
    }));
  }

  function asJson(store) {
    const { name: layer, label, grid } = store.layer;
    const { rule, normalise, special } = store.layer.hypergraph;
    const d = HS.hyper.of(store, store.look.layer);
    const meaning = "participation[m] of each patch in hyperedge m (counted from 0 here, from 1 on the page); patches count in raster order";
    const hyperedges = Array.from({ length: d.m }, (_, m) => ({ number: m, on: Boolean(d.on[m]), load: d.load[m], members: d.members[m], entropy: d.entropy[m] }));
    const settings = HS.hyper.settingsOf(store, store.layer);
    return JSON.stringify({ exhibit: store.payload.exhibit.slug, layer, label, grid, rule, normalise, special, settings, meaning, hyperedges, patches: table(store) }, null, 1);
  }

  function asCsv(store) {
    const { hyperedges } = store.layer.hypergraph;
    const head = ["patch", "row", "column", "loudness", ...Array.from({ length: hyperedges }, (_, m) => `hyperedge_${name(m)}`)];
    const lines = table(store).map(({ patch, row, column, loudness, participation }) => [patch, row, column, loudness, ...participation].join(","));
    return [head.join(","), ...lines].join("\n");
  }

  // --------------------------------------------------------------------------------------------------------- check

  function check(layer) {
    const h = layer.hypergraph;
    const wrong = (what) => new HS.Refusal(`The layer “${layer.label}” does not fit together (${what}). Run it again.`);
    if (!h || !Number.isInteger(h.hyperedges)) throw wrong("it holds no hypergraph");
    const shape = [h.special + layer.grid[0] * layer.grid[1], h.hyperedges];
    if (!h.logits && !h.participation) throw wrong("nothing tells who takes part");
    for (const part of ["logits", "participation", "drift"]) HS.requireShape({ ...h, label: layer.label }, part, shape, true);
    if (!h.own) throw wrong("its settings are missing");
    HS.requireShape({ ...h, label: layer.label }, "selected", [h.hyperedges], false);
    HS.requireShape({ ...h, label: layer.label }, "scores", [h.hyperedges], true);
  }

  /** The buttons of a pin under the prediction. */
  const cutKinds = [["patch", "take it out of all hyperedges", "This patch says nothing to any hyperedge and hears nothing from one"]];

  HS.instrument({
    kind: "hypergraph",
    check,
    base,
    overlay,
    thumb,
    legend,
    sentence,
    invitation: "Point at a patch or at a hyperedge; click to keep it.",
    settings: (layer, store) => HS.hyper.answerable(store, layer),
    section: createSection,
    lookInputs,
    strip: createStrip,
    cutKinds,
    cutRows,
    reads,
    asJson,
    asCsv,
    cutHint: ({ layer }) => `Pin a patch${layer.hypergraph.space ? " or choose a hyperedge" : ""} to take it out and predict again.`,
  });

  HS.edges = { REACH, SHARES, colourOf, name, times, chosenOn, mainEdge, edgeUnder, toggle: toggleEdge, sentence: edgeSentence, createTiles, paintNumber, liftScale, ofPatch, isCut };
})();
