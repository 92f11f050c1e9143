/** The instrument of patch graphs: edges on the picture, their legend and words, and the sliders that the browser answers. */
(() => {
  "use strict";

  const MAX_EDGES = 5000;

  // -------------------------------------------------------------------------------------------------------- styles

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
    if (!difference || compare === null || store.layers[compare].kind !== "graph") return null;
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

  // ------------------------------------------------------------------------------------------------------ painting

  function base(ctx, pane, store) {
    const { look } = store;
    const layer = store.layers[pane.layer];
    const graph = store.graph(pane.layer);
    if (look.all) paintAllEdges(ctx, pane, store, layer, graph);
    if ((look.all || look.heat) && layer.rule.name === "axial-threshold") {
      HS.isolated(graph, layer).forEach((alone, i) => alone && HS.drawCell(ctx, HS.cellRect(pane.frame, layer.grid, i), "#fff", 1, [2, 2]));
    }
  }

  function paintAllEdges(ctx, pane, store, layer, graph) {
    ctx.fillStyle = "rgb(8 10 14 / 0.5)";
    ctx.fillRect(pane.frame.x, pane.frame.y, pane.frame.width, pane.frame.height);
    const style = { ...litStyle(store, layer, graph, "in", false), arrows: false, halo: false, width: 1.3, alpha: store.look.opacity };
    const diff = differenceOf(store);
    if (diff) drawDifference(ctx, pane.frame, diff, null, { ...style, colourOf: null });
    else HS.drawEdges(ctx, pane.frame, layer, graph, HS.strongest(graph, MAX_EDGES), { ...style, taper: true });
  }

  function overlay(ctx, pane, store, { main, lit, rows, grid }) {
    const layer = store.layers[pane.layer];
    const graph = store.graph(pane.layer);
    const diff = differenceOf(store);
    const groups = lit.map((focus) => ({ focus, ...HS.edgesOf(graph, layer, focus.patch, focus.direction) }));
    if (lit.length) paintVeil(ctx, pane, store, layer, graph, groups, diff, rows);
    grid();
    if (lit.length && !diff) paintRejected(ctx, pane, store, layer, graph, lit[lit.length - 1]);
    for (const group of groups) {
      const faint = main !== null && group.focus !== main;
      if (diff) drawDifference(ctx, pane.frame, diff, group.focus, { ...litStyle(store, layer, graph, "in", faint), colourOf: null });
      else paintGroup(ctx, pane, store, layer, graph, group, faint);
    }
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

  /** On the film strip: the focused patch and its neighbours as coloured cells. */
  function thumb(ctx, frame, store, index) {
    const layer = store.layers[index];
    const { main, pins } = HS.focusesOf(store, index);
    const focuses = main ? [main] : pins;
    if (focuses.length === 0) return;
    ctx.fillStyle = "rgb(8 10 14 / 0.62)";
    ctx.fillRect(frame.x, frame.y, frame.width, frame.height);
    for (const focus of focuses) paintNeighbours(ctx, frame, layer, store.graph(index), focus);
  }

  function paintNeighbours(ctx, frame, layer, graph, focus) {
    const edges = HS.edgesOf(graph, layer, focus.patch, focus.direction);
    const fill = (grid, cell, colour) => {
      const [x, y, w, h] = HS.cellRect(frame, grid, cell);
      ctx.fillStyle = colour;
      ctx.fillRect(x, y, w, h);
    };
    for (const e of edges.out) fill(layer.grid, graph.target[e], HS.MEANING.out);
    for (const e of edges.in) fill(layer.keyGrid, graph.source[e], HS.MEANING.in);
    fill(focus.grid, focus.cell, HS.MEANING.focus);
  }

  // ---------------------------------------------------------------------------------------------------------- maps

  /** The scale of a count is shared by all layers, so that a pale layer is pale because it counts less. */
  function sharedCount(store, count) {
    return Math.max(1, ...store.layers.map((layer, i) => (layer.kind === "graph" ? HS.largest(count(store.graph(i))) : 0)));
  }

  function counted(store, layerIndex, name) {
    const layer = store.layers[layerIndex];
    const count = name === "listens" ? HS.inDegree : HS.outDegree;
    const grid = name === "listens" ? layer.grid : layer.keyGrid;
    return { values: count(store.graph(layerIndex)), grid, scale: { kind: "sequential", max: sharedCount(store, count) } };
  }

  function pieces(store, layerIndex) {
    const layer = store.layers[layerIndex];
    const { label, count, sizes } = HS.components(store.graph(layerIndex), layer);
    const alone = sizes.filter((size) => size === 1).length;
    const note = `${HS.plural(count, "piece")}${alone ? `, ${alone} of them a single patch` : ""}`;
    const values = Float32Array.from(label, (piece) => (sizes[piece] > 1 ? piece : 7));
    return { values, grid: layer.grid, scale: { kind: "category" }, note };
  }

  /** Distances from one patch: the whole row where the server answered, else what the candidates know. */
  function distances(store, layerIndex, rows) {
    const layer = store.layers[layerIndex];
    const patch = store.focus(layerIndex);
    if (!layer.distance || patch === null) return null;
    const row = rows && rows.get(`${layerIndex} ${patch}`);
    const width = layer.candidates.shape[1];
    const values = row ? Float32Array.from(row) : new Float32Array(layer.keyGrid[0] * layer.keyGrid[1]).fill(NaN);
    if (!row) for (let j = 0; j < width; j++) values[layer.candidates[patch * width + j]] = layer.distance[patch * width + j];
    const known = values.filter(Number.isFinite);
    const scale = { kind: "reversed", min: Math.min(0, ...known), max: Math.max(...known) };
    return { values, grid: layer.keyGrid, scale, note: row ? "" : "only the candidates are known" };
  }

  const map = (title, unit, make, available = () => true, follows = false) => ({ kind: "graph", title, unit, available, make, follows });
  Object.assign(HS.madeMaps, {
    listens: map("How many it listens to", "patches", (store, layer) => counted(store, layer, "listens")),
    heard: map("How many listen to it", "patches", (store, layer) => counted(store, layer, "heard")),
    pieces: map("Connected pieces", "", pieces),
    distance: map("Distance to the chosen patch", "", distances, (layer) => Boolean(layer.distance), true),
  });

  // --------------------------------------------------------------------------------------------------------- words

  function edgeEntries(store) {
    const { look, layer } = store;
    const diff = HS.differenceOf(store);
    if (diff) {
      return [
        HS.legend.entry(HS.legend.sample(HS.MEANING.both, "solid"), `in both (${diff.both.length})`),
        HS.legend.entry(HS.legend.sample(HS.MEANING.onlyA, "dashed"), `only ${diff.layerA.label} (${diff.onlyA.length})`),
        HS.legend.entry(HS.legend.sample(HS.MEANING.onlyB, "dotted"), `only ${diff.layerB.label} (${diff.onlyB.length})`),
        HS.el("span", { class: "hs-key" }, HS.el("b", {}, `Jaccard ${HS.show(diff.jaccard)}`), " shared ÷ any"),
      ];
    }
    if (look.difference && look.compare !== null) return [HS.legend.entry("", "These two layers have different grids: look at them side by side instead.")];
    const entries = [];
    if (look.direction !== "out" || look.all) entries.push(HS.legend.entry(HS.legend.sample(HS.MEANING.in, "solid"), "listens to"));
    if (look.direction !== "in") entries.push(HS.legend.entry(HS.legend.sample(HS.MEANING.out, "dashed"), "is heard by"));
    if (look.colour === "length") {
      const reach = Math.hypot(layer.grid[0] - 1, layer.grid[1] - 1);
      return [...entries.map(withoutColour), HS.legend.scale("length", "length", "0", `${HS.show(reach)} patches`)];
    }
    return [...entries, HS.legend.entry("", layer.share ? "thick: wins many channels" : layer.distance ? "thick: close" : "")];
  }

  function withoutColour(node) {
    const mark = node.querySelector(".hs-line");
    if (mark) mark.style.setProperty("--c", "currentColor");
    return node;
  }
  function graphFacts(store) {
    const { layer, look } = store;
    const graph = store.graph(look.layer);
    const alone = HS.isolated(graph, layer).reduce((a, b) => a + b, 0);
    const wrapped = graph.wrap.reduce((a, b) => a + b, 0);
    const facts = [];
    if (look.all && !differenceOf(store)) facts.push("each edge runs from its thick end, who is heard, to its thin end, who listens");
    if (wrapped) facts.push(`fine dots: ${HS.percent(wrapped / graph.m)} of the edges go round the border`);
    if (layer.rule.name === "axial-threshold" || HS.effectiveRule(layer, look.rule).dilation > 1) facts.push("thin frame: looked at, not kept");
    if (alone) facts.push(`${HS.plural(alone, "patch", "patches")} without any edge`);
    if (look.all && graph.m > 5000) facts.push("the strongest 5 000 edges are drawn");
    return facts.map((fact) => HS.legend.entry("", fact));
  }

  /** "row 3, column 7: listens to 9 patches, nearest row 3, column 8 (distance 0.12), heard by 4". */
  function sentence(store) {
    const { look, layer } = store;
    const patch = store.focus(look.layer);
    if (patch === null) return "";
    const graph = store.graph(look.layer);
    const { in: listens, out: heard } = HS.edgesOf(graph, layer, patch, "both");
    const where = HS.place(patch, layer.grid);
    const what = HS.pooled(layer) ? ["pooled cell", "pooled cells"] : ["patch", "patches"];
    const parts = [`${where}: listens to ${listens.length ? HS.plural(listens.length, ...what) : "nobody"}${nearest(graph, layer, listens)}`];
    parts.push(`heard by ${heard.length || "nobody"}`);
    return `${parts.join(", ")}${compared(store, patch)}`;
  }

  /** How the same patch fares in the layer beside it. */
  function compared(store, patch) {
    const { layer, compare } = store.look;
    if (compare === null || store.layers[compare].kind !== "graph") return "";
    const [a, b] = [sourcesOf(store, layer, patch), sourcesOf(store, compare, store.across(layer, patch, compare))];
    const sameGrid = String(store.layers[layer].keyGrid) === String(store.layers[compare].keyGrid);
    return ` · in 2: listens to ${b.length}${sameGrid ? `, ${b.filter((source) => a.includes(source)).length} shared` : ""}`;
  }

  function sourcesOf(store, layerIndex, patch) {
    const graph = store.graph(layerIndex);
    return [...graph.source.subarray(graph.offsets[patch], graph.offsets[patch + 1])];
  }

  function nearest(graph, layer, edges) {
    if (!graph.distance || edges.length === 0) return "";
    const best = edges.reduce((a, b) => (graph.distance[b] < graph.distance[a] ? b : a));
    if (layer.rule.name === "predicted") return `, most to ${HS.place(graph.source[best], layer.keyGrid)} (estimate ${HS.show(-graph.distance[best])})`;
    return `, nearest ${HS.place(graph.source[best], layer.keyGrid)} (distance ${HS.show(graph.distance[best])})`;
  }

  // ----------------------------------------------------------------------------------------------------- controls

  const RULES = {
    k: { label: "Neighbours k", hint: "How many of the nearest patches each patch listens to.", step: 1, low: 1, high: (layer, rule) => Math.floor((layer.candidates.shape[1] - 1) / rule.dilation) + 1 },
    dilation: { advanced: true, label: "Dilation d", hint: "Take every d-th of the sorted list.", step: 1, low: 1, high: (layer, rule) => (rule.k > 1 ? Math.max(1, Math.floor((layer.candidates.shape[1] - 1) / (rule.k - 1))) : 1) },
    multiplier: { label: "Strictness λ", hint: "An edge is kept when its distance is below mean − λ · deviation.", step: 0.05, low: -1, high: () => 2.5 },
    quantile: { advanced: true, label: "Shortest edges kept", hint: "Share of the edges, the closest patches first.", step: 0.01, low: 0, high: () => 1, format: HS.percent },
  };

  function createRuleControls(store) {
    const count = HS.el("p", { class: "hs-count", "aria-live": "polite" });
    const reset = HS.el("button", { type: "button", class: "hs-link", onclick: () => store.set({ rule: null }) }, "as the model had it");
    const run = HS.el("button", { type: "button", class: "hs-button", onclick: runWithRule }, "Run the model with this");
    const inputs = Object.entries(RULES).map(([name, words]) => {
      const { label, hint, step, format } = words;
      const input = HS.inputs.range({ label, hint, step, format, min: 0, max: 1, value: 0, oninput: (value) => store.set({ rule: { [name]: value } }) });
      return [name, words, input];
    });
    const of = (advanced) => inputs.filter(([, words]) => Boolean(words.advanced) === advanced).map(([, , input]) => input.element);
    const more = HS.el("details", { class: "hs-more" }, HS.el("summary", {}, "More"), HS.el("div", { class: "hs-fields" }, ...of(true)));
    const counts = HS.el("div", { class: "hs-count-row" }, count, reset);
    const element = HS.el("section", { class: "hs-group" }, HS.el("h3", {}, "Graph"), ...of(false), counts, run, more);

    /** Settings of the rule for which the model has a control of the same name. */
    function transferable() {
      const effective = HS.effectiveRule(store.layer, store.look.rule);
      const own = HS.effectiveRule(store.layer, {});
      const names = store.payload.controls.widgets.map((w) => w.name);
      return Object.fromEntries(Object.entries(effective).filter(([name, value]) => names.includes(name) && value !== own[name]));
    }

    function runWithRule() {
      const controls = transferable();
      store.set({ rule: Object.fromEntries(Object.keys(controls).map((name) => [name, null])) });
      HS.askRun(store, { controls });
    }

    return {
      element,
      draw() {
        const { layer, look } = store;
        const known = HS.ruleControls(layer);
        const effective = HS.effectiveRule(layer, look.rule);
        for (const [name, words, input] of inputs) {
          input.element.hidden = !known.includes(name);
          if (!known.includes(name)) continue;
          input.bound(words.low, Math.max(effective[name], words.high(layer, effective)));
          input.set(effective[name]);
        }
        more.hidden = !known.includes("quantile");
        const graph = store.graph(look.layer);
        count.textContent = `${HS.plural(graph.m, "edge")} · ${HS.show(graph.m / graph.n)} per patch`;
        reset.hidden = !HS.ruleDiffers(layer, look.rule);
        run.hidden = Object.keys(transferable()).length === 0;
        run.disabled = !store.host.live;
      },
    };
  }

  /** Inputs of the group “Look”: {main, more}, each {name: input}. */
  function lookInputs(store, set) {
    const { segments, toggle, range } = HS.inputs;
    const { look } = store;
    return {
      main: {
        direction: segments({ label: "Show", options: [["in", "listens to"], ["out", "heard by"], ["both", "both"]], value: look.direction, onchange: set("direction") }),
        all: toggle({ label: "All edges", value: look.all, onchange: set("all") }),
        opacity: range({ label: "Opacity", min: 0.05, max: 1, step: 0.05, value: look.opacity, format: HS.percent, oninput: set("opacity") }),
      },
      more: {
        colour: segments({ label: "Colour edges by", options: [["strength", "direction"], ["length", "length"]], value: look.colour, onchange: set("colour") }),
      },
      draw(inputs) {
        inputs.opacity.element.hidden = !store.look.all;
      },
    };
  }

  function check(layer) {
    const patches = layer.grid[0] * layer.grid[1];
    const keys = layer.keyGrid[0] * layer.keyGrid[1];
    const width = layer.candidates && layer.candidates.shape ? layer.candidates.shape[1] : 0;
    for (const name of ["candidates", "kept"]) HS.requireShape(layer, name, [patches, width], false);
    for (const name of ["distance", "position", "share"]) HS.requireShape(layer, name, [patches, width], true);
    if (layer.candidates.some((source) => source >= keys)) {
      throw new HS.Refusal(`The layer “${layer.label}” names patches that do not exist. Run it again.`);
    }
  }

  /** The buttons of a pin under the prediction: [kind, text, meaning]. */
  const cutKinds = [
    ["edges", "cut its edges", "No edge from or to this patch, in this layer"],
    ["patch", "remove the patch", "This patch hears and says nothing, in every layer of this grid"],
  ];

  HS.instrument({
    kind: "graph",
    check,
    base,
    overlay,
    thumb,
    legend: (store) => ({ entries: edgeEntries(store), facts: graphFacts(store) }),
    sentence,
    invitation: "Point at a patch or tap it to see whom it listens to; once more to keep it.",
    settings: (layer) => HS.ruleControls(layer).filter((name) => name !== "quantile"),
    section: createRuleControls,
    lookInputs,
    cutKinds,
  });

  Object.assign(HS, { differenceOf, patchSentence: sentence });
})();
