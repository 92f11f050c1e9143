/**
 * Where the model looks for its prediction (attribution), beside where its graph (or what else the layer holds) reads: two maps
 * over the picture, and the rank correlation between them. The server computes the attribution. An instrument of another kind
 * offers `reads {options: [[value, label, hint], …], noun, map(store, value) → {values, scale, title, ends}, measures?(store, attribution per
 * patch) → diagnostics}`.
 */
(() => {
  "use strict";

  const METHODS = [
    ["integrated gradients", "Gradients", "Integrated gradients: adds up the slope from the mean colour to the picture (Sundararajan et al. 2017)"],
    ["occlusion", "Occlusion", "Occlusion: covers one patch at a time and watches the score (Zeiler, Fergus 2014)"],
    ["grad-cam", "Grad-CAM", "Grad-CAM: weighs the feature maps of this layer by their gradient (Selvaraju et al. 2017)"],
  ];
  const DEGREES = [["heard", "out", "How many listen to it (out-degree): hubs are bright"], ["listens", "in", "How many it listens to (in-degree)"]];
  const TOP = 18;
  const BOTTOM = 26;
  const GAP = 14;

  function mount(el, store) {
    const { reads } = HS.instrumentOf(store.layer);
    const state = { method: "occlusion", label: null, degree: (reads ? reads.options : DEGREES)[0][0], answers: new Map(), refused: new Map(), waiting: null };
    HS.chart.choice(el, "Method", METHODS, state.method, (method) => {
      state.method = method;
      draw();
    });
    const degrees = HS.chart.choice(el, reads ? "Beside" : "Degree", reads ? reads.options : DEGREES, state.degree, (degree) => {
      state.degree = degree;
      draw();
    });
    const label = HS.el("select", { "aria-label": "Class to explain", onchange: () => ((state.label = label.value), draw()) });
    const run = HS.el("button", { type: "button", class: "hs-button hs-primary", onclick: ask }, "Compute");
    el.append(HS.el("div", { class: "hs-choice hs-ask" }, HS.el("span", { class: "hs-hint" }, "Speaks for"), label, run));
    const view = HS.chart.board(el, { label: "Attribution map and degree map", height: (width) => side(width) + TOP + BOTTOM, base, over, move, leave: () => store.setHover(null), press });
    const say = HS.chart.note(el);
    const list = HS.el("ul", { class: "hs-measures" });
    const opened = new Set();
    el.append(list);

    const settle = (answer, keep) => {
      if (!state.waiting || state.waiting.request !== answer.request) return;
      keep(state.waiting.key);
      state.waiting = null;
      draw();
    };
    const stops = [
      store.onAnswer("attribution", (answer) => settle(answer, (key) => state.answers.set(key, answer.map))),
      store.onAnswer("refusal", (answer) => settle(answer, (key) => state.refused.set(key, answer.message))),
    ];

    const classes = () => store.prediction.map(([name]) => name);
    const key = () => [state.method, state.label, state.method === "grad-cam" || store.payload.extras.predictions ? store.layer.name : ""].join(" ");
    const busy = () => state.waiting && state.waiting.key === key() && store.asking("attribution");
    function ask() {
      state.refused.delete(key());
      const request = store.ask("attribution", { ...HS.chart.about(store), method: state.method, label: state.label });
      state.waiting = request === null ? null : { key: key(), request };
      draw();
    }

    // -------------------------------------------------------------------------------------------------------- drawing

    const side = (width) => Math.floor((width - GAP) / 2);
    const frames = (width) => [0, side(width) + GAP].map((x) => HS.minimap.fit({ x, y: TOP, width: side(width), height: side(width) }, store.layer.grid));

    /** Degree of every patch: of its key cell where keys are pooled and listeners are counted. */
    function degree() {
      if (reads) return reads.map(store, state.degree).values;
      const graph = store.graph(store.look.layer);
      if (state.degree === "listens") return HS.inDegree(graph);
      const heard = HS.outDegree(graph);
      return Float32Array.from({ length: graph.n }, (_, i) => heard[store.keyOf(store.look.layer, i)]);
    }

    function base(ctx, width, height, c) {
      const [left, right] = frames(width);
      const image = HS.chart.picture(store, () => view.draw(true));
      HS.chart.text(ctx, "Speaks for the class", left.x, 6, c.ink, "left", "top");
      drawAttribution(ctx, left, image, c);
      const found = reads && reads.map(store, state.degree);
      HS.chart.text(ctx, found ? found.title : HS.heatTitle(state.degree), right.x, 6, c.ink, "left", "top");
      if (found) {
        HS.minimap.drawBase(ctx, right, image, { values: found.values, grid: store.layer.grid, scale: found.scale });
        return HS.minimap.legend(ctx, right.x, right.y + right.height + 4, right.width, "diverging", found.ends, c);
      }
      const values = degree();
      const max = Math.max(1, ...values);
      HS.minimap.drawBase(ctx, right, image, { values, grid: store.layer.grid, scale: { kind: "sequential", max } });
      HS.minimap.legend(ctx, right.x, right.y + right.height + 4, right.width, "viridis", ["0", `${max} patches`], c);
    }

    function drawAttribution(ctx, f, image, c) {
      const map = state.answers.get(key());
      if (!map) {
        ctx.globalAlpha = 0.35;
        HS.drawPicture(ctx, f, image, false);
        ctx.globalAlpha = 1;
        const words = busy() ? "computing …" : store.host.live ? "not computed yet" : "needs the server";
        return HS.chart.text(ctx, words, f.x + f.width / 2, f.y + f.height / 2, c.ink, "center", "middle");
      }
      const max = map.reduce((a, v) => Math.max(a, Math.abs(v)), 0) || 1;
      const signed = map.some((v) => v < 0);
      const scale = signed ? { kind: "diverging", max } : { kind: "sequential", max };
      HS.minimap.drawBase(ctx, f, image, { values: map, grid: map.shape, scale });
      HS.minimap.legend(ctx, f.x, f.y + f.height + 4, f.width, signed ? "diverging" : "viridis", [signed ? `−${HS.show(max)} against` : "0", `${HS.show(max)} for`], c);
    }

    function over(ctx, width) {
      const focus = store.focus(store.look.layer);
      if (focus !== null) frames(width).forEach((f) => HS.minimap.mark(ctx, f, store.layer.grid, focus));
    }

    function under(x, y) {
      for (const f of frames(view.box.clientWidth)) {
        const cell = HS.cellAt(f, store.layer.grid, x, y);
        if (cell !== null) return cell;
      }
      return null;
    }

    function move(x, y) {
      const patch = under(x, y);
      store.setHover(patch === null ? null : { layer: store.look.layer, patch, side: "target" });
      return patch;
    }

    function press(x, y) {
      const patch = under(x, y);
      if (patch !== null) store.togglePin(patch);
    }

    // ---------------------------------------------------------------------------------------------------------- words

    /** What the instrument measures of the attribution, with the formula on demand. */
    function drawMeasures() {
      const map = state.answers.get(key());
      const rows = map && reads && reads.measures ? reads.measures(store, HS.maths.poolMap(map, map.shape, store.layer.grid)) : [];
      list.replaceChildren(...rows.map((measure) => HS.measureRow(measure, opened)));
    }

    function describe() {
      drawMeasures();
      if (!store.host.live && !state.answers.has(key())) return say("Attributions are computed by a server. This is a replay without one; open the live version to compare them with the graph.");
      if (state.refused.has(key())) return say(state.refused.get(key()));
      if (busy()) return say("The server runs the model many times; this takes some seconds …");
      const map = state.answers.get(key());
      if (!map) return say(`Which parts of the picture speak for “${state.label}”? Compute it and compare it with where ${reads ? reads.noun(store, state.degree) : "the graph reads"}.`);
      const rho = HS.maths.spearman(HS.maths.poolMap(map, map.shape, store.layer.grid), degree());
      const n = store.layer.grid[0] * store.layer.grid[1];
      if (!Number.isFinite(rho)) return say(`One of the maps has the same value in all ${n} patches, so there is no rank correlation. Choose the other degree.`);
      const noun = reads ? reads.noun(store, state.degree) : "the graph reads";
      const words = Math.abs(rho) < 0.2 ? "the two maps have little to do with each other" : rho > 0 ? `${noun} where the evidence is` : `${noun} where the evidence is not`;
      say(`Rank correlation (Spearman) ρ = ${rho.toFixed(2)}, n = ${n.toLocaleString("en")} patches: ${words}. ${METHODS.find(([name]) => name === state.method)[2]}.`);
    }

    function fillClasses() {
      const names = classes();
      if (!names.includes(state.label)) state.label = names[0] || null;
      const shown = Array.from(label.options, (option) => option.value);
      if (shown.join("\n") !== names.join("\n")) label.replaceChildren(...names.map((name) => HS.el("option", { value: name }, name)));
      label.value = state.label;
    }

    function draw(changed) {
      if (HS.chart.onlyHover(changed)) return view.draw(false);
      fillClasses();
      if (!reads) allowDegrees();
      run.disabled = !store.host.live || Boolean(busy()) || state.answers.has(key()) || state.label === null;
      run.textContent = busy() ? "Computing …" : state.answers.has(key()) ? "Done" : "Compute";
      view.draw(HS.chart.touched(changed, "layer", "rule", "answer", ...(reads ? reads.keys : [])));
      describe();
    }

    function allowDegrees() {
      const graph = store.graph(store.look.layer);
      const listens = HS.inDegree(graph);
      const flat = listens.every((v) => v === listens[0]);
      degrees.allow("listens", !flat, "Every patch listens to equally many here, so there is nothing to compare");
      if (flat) degrees.set((state.degree = "heard"));
    }

    return {
      draw,
      resize: () => view.resize(),
      destroy() {
        stops.forEach((stop) => stop());
        el.replaceChildren();
      },
    };
  }

  const readable = (layer) => layer.kind === "graph" || Boolean(HS.instrumentOf(layer).reads);
  HS.panel({ name: "attribution", kind: "any", title: "Attribution", available: ({ payload, layer }) => payload.prediction.length > 0 && readable(layer), mount });
})();
