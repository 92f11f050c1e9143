// @wing hyperbolic
/**
 * The instrument of nodes with texts among class texts: the disk of instruments/disk.js, with a radius and three factors (own text,
 * neighbours, their neighbours) that scale the vectors here, exactly as Möbius matrix multiplication does, and name every node anew by
 * its nearest class.
 */
(() => {
  "use strict";

  const RANGE = [0.25, 12];
  const UNKNOWN = 255;
  const HOPS = ["own text", "neighbours’ texts", "their neighbours’"];

  const { number } = HS.checks;
  HS.lookField("textRadius", null, (v) => (v === null ? null : number(...RANGE)(v))); // mean radius; null: as the layer has it
  HS.lookField("textLines", "graph", HS.checks.word("graph", "nearest", "named"));
  HS.lookField("textParts", [], (v) => (Array.isArray(v) && v.length <= 4 && v.every((x) => number(0, 4)(x) !== undefined) ? v : undefined));

  const sums = new WeakMap(); // text → {key, …} of the last settings

  /** Factors of the parts under the present look: [hops]. */
  function factors(store, index) {
    const { text } = store.layers[index];
    const { textRadius: reach, textParts: hops } = store.look;
    const count = text.parts.shape[0];
    const own = Array.from({ length: count }, (_, h) => hops[h] ?? 1);
    if (reach === null) return own;
    const now = meanRadius(text, own);
    return now > 1e-9 ? own.map((m) => (m * reach) / now) : own;
  }

  function meanRadius(text, m) {
    let total = 0;
    for (let i = 0; i < text.count; i++) total += 2 * length(text, m, i);
    return total / text.count;
  }

  function length({ norms }, m, i) {
    let sum = 0;
    for (let h = 0; h < m.length; h++) sum += m[h] * m[h] * norms[h * norms.shape[1] + i];
    return Math.sqrt(sum);
  }

  /** All that follows from the factors of a layer: {m, flat, radius, answer, cosine}; of the last settings it is kept. */
  function scaled(store, index) {
    const { text } = store.layers[index];
    const m = factors(store, index);
    const key = m.join();
    const kept = sums.get(text);
    if (kept && kept.key === key) return kept;
    const [hops, n] = text.parts.shape;
    const flat = new Float32Array(2 * n);
    for (let h = 0; h < hops; h++) for (let i = 0; i < 2 * n; i++) flat[i] += m[h] * text.parts[2 * n * h + i];
    const found = { key, m, flat, radius: meanRadius(text, m), ...named(text, m, n) };
    sums.set(text, found);
    return found;
  }

  /** Hyperbolic distance of two vectors of half radii a and b with the inner product p (c = 1): in polar form, at any radius. */
  function apart(a, b, p) {
    const sine = Math.max(0, 1 - p / Math.max(a * b, 1e-30)) / 2;
    return 2 * Math.asinh(Math.sqrt(Math.sinh(a - b) ** 2 + Math.sinh(2 * a) * Math.sinh(2 * b) * sine));
  }

  function product({ products }, m, i, k) {
    const [, n, classes] = products.shape;
    let sum = 0;
    for (let h = 0; h < m.length; h++) sum += m[h] * m[h] * products[(h * n + i) * classes + k];
    return sum;
  }

  /** Distances of a node to every class: [K]. */
  function distances(text, m, i) {
    const classes = text.products.shape[2];
    const a = length(text, m, i);
    return Array.from({ length: classes }, (_, k) => apart(a, length(text, m, text.count + k), product(text, m, i, k)));
  }

  /** Which class every node is nearest to, by distance and by cosine, and the share of known nodes that are right. */
  function named(text, m) {
    const classes = text.products.shape[2];
    const answer = new Uint8Array(text.count);
    let [known, right, byCosine, margin] = [0, 0, 0, 0];
    for (let i = 0; i < text.count; i++) {
      const far = distances(text, m, i);
      answer[i] = far.indexOf(Math.min(...far));
      const cosines = Array.from({ length: classes }, (_, k) => product(text, m, i, k) / Math.max(length(text, m, text.count + k), 1e-30));
      const sorted = [...far].sort((a, b) => a - b);
      margin += (sorted[1] - sorted[0]) / Math.max(sorted[0], 1e-12) / text.count;
      if (text.group[i] === UNKNOWN) continue;
      known += 1;
      right += answer[i] === text.group[i] ? 1 : 0;
      byCosine += cosines.indexOf(Math.max(...cosines)) === text.group[i] ? 1 : 0;
    }
    return { answer, known, accuracy: known ? right / known : NaN, cosine: known ? byCosine / known : NaN, margin };
  }

  /** What is known of the neighbourhoods at the radius nearest to the present one: {…merging, at: its number}; null while parts are scaled unevenly. */
  function merged(store, index) {
    const all = store.payload.extras.merging;
    const found = all && all[store.layers[index].name];
    if (!found || new Set(factors(store, index).map((m) => m.toPrecision(6))).size > 1) return null;
    const far = Math.log(scaled(store, index).radius);
    const away = found.radius.map((r) => Math.abs(Math.log(r) - far));
    return { ...found, at: away.indexOf(Math.min(...away)) };
  }

  /** Lines drawn in the place of the graph's edges: {from, to, colour (of the palette), faint} for each; null: the graph's edges. */
  function lines(store, index) {
    const { text } = store.layers[index];
    const { textLines } = store.look;
    if (textLines === "named") {
      const { answer } = scaled(store, index);
      return Array.from(answer, (k, i) => ({ from: i, to: text.count + k, colour: k % 7, faint: text.group[i] === k }));
    }
    const found = textLines === "nearest" ? merged(store, index) : null;
    if (!found) return null;
    return Array.from({ length: text.count }, (_, i) => {
      const to = found.nearest[found.at * text.count + i];
      return { from: i, to, colour: text.group[i] === UNKNOWN ? 7 : text.group[i] % 7, faint: text.group[i] === text.group[to] };
    });
  }

  const differs = (store) => store.look.textRadius !== null || store.look.textParts.length > 0;

  // ------------------------------------------------------------------------------------------------------------ words

  const className = (nodes, k) => HS.disk.nameOf(nodes, nodes.branches[k]);

  /** "node 12: class B; nearest text: B (3.10), then C (3.42); 6.0 from the centre" */
  function sentence(store) {
    const { layer } = store.look;
    const { text } = store.layers[layer];
    const nodes = HS.disk.nodesOf(store, layer);
    const node = store.focus(layer);
    if (node === null || node >= store.layers[layer].grid[0]) return "";
    if (node >= text.count) return `The text of ${HS.disk.nameOf(nodes, node)}: a node is named after the class text that it lies nearest to`;
    const { m } = scaled(store, layer);
    const far = distances(text, m, node);
    const order = far.map((d, k) => [d, k]).sort((a, b) => a[0] - b[0]);
    const own = text.group[node] === UNKNOWN ? "class unknown" : `of ${className(nodes, text.group[node])}`;
    const verdict = text.group[node] === UNKNOWN ? "" : order[0][1] === text.group[node] ? ", rightly named" : ", wrongly named";
    const told = order.slice(0, 2).map(([d, k], i) => `${i ? "then " : ""}${className(nodes, k)} (${HS.show(d)})`);
    return `${HS.disk.nameOf(nodes, node)}, ${own}${verdict}: nearest text ${told.join(", ")}; ${HS.show(2 * length(text, m, node))} from the centre`;
  }

  function legend(store) {
    const { layer } = store.look;
    const nodes = HS.disk.nodesOf(store, layer);
    const found = scaled(store, layer);
    const entries = nodes.branches.map((node, k) => HS.legend.entry(HS.legend.sample(HS.OKABE_ITO[k % 7], "solid"), HS.disk.nameOf(nodes, node)));
    const drawn = {
      graph: "lines: edges of the graph",
      nearest: `lines: to the nearest node, in all directions${lines(store, layer) ? " (strong: of another class)" : ": only known while all parts are scaled alike"}`,
      named: "lines: to the class text that names the node (strong: wrongly)",
    }[store.look.textLines];
    const share = Number.isFinite(found.accuracy) ? `${HS.percent(found.accuracy)} of ${found.known} nodes rightly named, by cosine ${HS.percent(found.cosine)}` : "no node has a known class";
    return { entries, facts: [share, `mean radius ${HS.show(found.radius)}`, drawn, "drawn: 2 of the directions"].map((fact) => HS.legend.entry("", fact)) };
  }

  // --------------------------------------------------------------------------------------------------------- controls

  function createSection(store) {
    const reach = HS.inputs.range({
      label: "Radius", hint: "Puts all points at this mean distance from the centre. Directions stay, so the cosine does too; only the hyperbolic distance changes.",
      min: RANGE[0], max: RANGE[1], step: 0.05, value: 1, oninput: (value) => store.set({ textRadius: value }),
    });
    const parts = HOPS.map((label, h) =>
      HS.inputs.range({
        label, hint: `The factor of ${label}: one of the blocks that the paper's block-diagonal matrix learns.`, min: 0, max: 2, step: 0.05, value: 1, format: (v) => `${HS.show(v)} ×`,
        oninput: (value) => store.set({ textParts: Array.from({ length: store.layer.text.parts.shape[0] }, (_, i) => (i === h ? value : (store.look.textParts[i] ?? 1))) }),
      }),
    );
    const count = HS.el("p", { class: "hs-count", "aria-live": "polite" });
    const reset = HS.el("button", { type: "button", class: "hs-link", onclick: () => store.set({ textRadius: null, textParts: [] }) }, "as this layer has it");
    const more = HS.el("details", { class: "hs-more" }, HS.el("summary", {}, "Scale the parts"), HS.el("div", { class: "hs-fields" }, ...parts.map((input) => input.element)));
    const element = HS.el("section", { class: "hs-group" }, HS.el("h3", {}, "Scaling"), reach.element, more, HS.el("div", { class: "hs-count-row" }, count, reset));
    return {
      element,
      draw() {
        const found = scaled(store, store.look.layer);
        reach.set(Math.min(RANGE[1], Math.max(RANGE[0], found.radius)));
        parts.forEach((input, h) => input.set(store.look.textParts[h] ?? 1));
        count.textContent = Number.isFinite(found.accuracy) ? `${HS.percent(found.accuracy)} rightly named` : "";
        reset.hidden = !differs(store);
      },
    };
  }

  function asCsv(store) {
    const { layer } = store.look;
    const { text } = store.layers[layer];
    const nodes = HS.disk.nodesOf(store, layer);
    const { m, answer } = scaled(store, layer);
    const names = nodes.branches.map((_, k) => className(nodes, k));
    const quoted = (word) => (/[",\n]/.test(word) ? `"${word.replaceAll('"', '""')}"` : word);
    const lines = Array.from({ length: text.count }, (_, i) =>
      [quoted(HS.disk.nameOf(nodes, i)), text.group[i] === UNKNOWN ? "" : quoted(names[text.group[i]]), quoted(names[answer[i]]), 2 * length(text, m, i), ...distances(text, m, i)].join(","),
    );
    return [["name", "class", "answer", "radius", ...names.map((name) => `distance_${name}`)].map(quoted).join(","), ...lines].join("\n");
  }

  function asJson(store) {
    const { layer } = store.look;
    const { text, name, label } = store.layers[layer];
    const nodes = HS.disk.nodesOf(store, layer);
    const { m, answer, accuracy, cosine } = scaled(store, layer);
    const points = Array.from({ length: text.count }, (_, i) => ({ name: HS.disk.nameOf(nodes, i), class: text.group[i] === UNKNOWN ? null : className(nodes, text.group[i]), answer: className(nodes, answer[i]), radius: 2 * length(text, m, i), distance: distances(text, m, i) }));
    return JSON.stringify({ exhibit: store.payload.exhibit.slug, layer: name, label, factors: m, accuracy, cosine_accuracy: cosine, classes: nodes.branches.map((_, k) => className(nodes, k)), nodes: points }, null, 1);
  }

  function check(layer) {
    HS.disk.definition.check(layer);
    const wrong = (what) => new HS.Refusal(`The layer “${layer.label}” does not fit together (${what}). Run it again.`);
    const { text } = layer;
    if (!text || !text.parts || !text.products) throw wrong("its texts are missing");
    const [hops, n] = text.parts.shape;
    HS.requireShape({ ...text, label: layer.label }, "norms", [hops, n], false);
    HS.requireShape({ ...text, label: layer.label }, "group", [text.count], false);
    HS.requireShape({ ...text, label: layer.label }, "products", [hops, text.count, n - text.count], false);
  }

  function lookInputs(store, set) {
    const { main, draw } = HS.disk.definition.lookInputs(store, set);
    const textLines = HS.inputs.segments({ label: "Lines", options: [["graph", "edges"], ["nearest", "nearest"], ["named", "named after"]], value: store.look.textLines, onchange: set("textLines") });
    return { main: { textLines, compare: main.compare }, more: {}, draw };
  }

  HS.instrument({ ...HS.disk.definition, kind: "textdisk", check, sentence, legend, section: createSection, lookInputs, asCsv, asJson, invitation: "Drag the disk; move the radius on the left; point at a node to see which class text it lies nearest to." });

  HS.textPoints = { flat: (store, index) => scaled(store, index).flat, scaled, distances, meanRadius, className, apart, differs, merged, lines, HOPS, RANGE };
})();
