// @wing hypernetworks
/**
 * The instrument of weight paths: all weights that a hypernetwork makes along one input γ. Above: how γ enters, what is written, where
 * it lies in the plane; below: the size of the weights of all variants along γ. Dragging along these curves moves γ, at once.
 */
(() => {
  "use strict";

  const STRIP = 132;
  const W = () => HS.weights;
  HS.lookField("gamma", 0.6, HS.checks.number(0, 1));
  HS.lookField("trained", false, (v) => (typeof v === "boolean" ? v : undefined));

  const states = new WeakMap();

  /** What a race on this page left behind: {paths: {variant: path}, accuracy} or null. */
  function stateOf(store) {
    if (!states.has(store)) {
      const state = { after: null };
      states.set(store, state);
      store.subscribe((changed) => changed.has("payload") && (state.after = null));
    }
    return states.get(store);
  }

  /** The path of a variant: before any training, or as the race left it. */
  function pathOf(store, layer) {
    const { after } = stateOf(store);
    return store.look.trained && after ? after.paths[layer.name] : layer.path;
  }

  const indexOf = (path, gamma) => Math.round(gamma * (path.inputs.length - 1));

  function places(width, height) {
    const above = height - STRIP - 30;
    const boxes = width >= 520 ? 3 : 2;
    const each = (width - 16 * (boxes - 1) - 8) / boxes;
    const box = (i) => ({ x: 4 + i * (each + 16), y: 26, width: each, height: above - 30 });
    const strip = { x: 52, y: height - STRIP + 6, width: width - 66, height: STRIP - 46 };
    return { input: box(0), histogram: boxes === 3 ? box(1) : null, plane: box(boxes - 1), strip };
  }

  function title(ctx, text, box, c) {
    ctx.font = "600 12px system-ui, sans-serif";
    HS.chart.text(ctx, text, box.x, box.y - 10, c.ink);
    ctx.font = HS.chart.FONT;
  }

  /** γ on a line, or as a point on the quarter circle. */
  function paintInput(ctx, store, path, box, c) {
    const i = indexOf(path, store.look.gamma);
    const entered = path.encoded.shape[1];
    const side = Math.max(30, Math.min(box.width - 34, box.height - 70));
    const [ox, oy] = [box.x + 24, box.y + side + 6];
    title(ctx, "1  γ enters", box, c);
    HS.chart.line(ctx, ox, oy, ox + side, oy, c.muted);
    let [px, py] = [ox + path.inputs[i] * side, oy];
    if (entered === 2) {
      HS.chart.line(ctx, ox, oy, ox, oy - side, c.muted);
      ctx.beginPath();
      ctx.arc(ox, oy, side, -Math.PI / 2, 0);
      ctx.strokeStyle = c.muted;
      ctx.lineWidth = 1;
      ctx.stroke();
      [px, py] = [ox + path.encoded[2 * i] * side, oy - path.encoded[2 * i + 1] * side];
      HS.chart.text(ctx, "sin(πγ/2)", ox - 4, oy - side - 6, c.muted, "left");
    } else HS.chart.text(ctx, "0", ox, oy + 14, c.muted, "center");
    HS.chart.text(ctx, entered === 2 ? "cos(πγ/2)" : "1", ox + side, oy + 14, c.muted, entered === 2 ? "right" : "center");
    HS.chart.line(ctx, ox, oy, px, py, c.series[1], 4);
    W().dot(ctx, px, py, 6, c.series[1], c.paper, 2);
    const norm = entered === 2 ? Math.hypot(path.encoded[2 * i], path.encoded[2 * i + 1]) : path.inputs[i];
    HS.chart.text(ctx, `length ${HS.show(norm)}`, ox, oy + 32, c.ink);
    const { turned } = store.payload.extras;
    const picture = Math.min(64, box.y + box.height - oy - 40, box.width - 100);
    if (picture > 26) {
      const [, rows, cols] = turned.shape;
      const at = Math.round(store.look.gamma * (turned.shape[0] - 1));
      W().ink(ctx, { x: box.x + box.width - picture - 4, y: oy + 20, width: picture, height: picture }, turned.subarray(at * rows * cols, (at + 1) * rows * cols), rows, cols);
    }
  }

  /** How often each size of weight is written. */
  function paintHistogram(ctx, store, path, box, c) {
    const i = indexOf(path, store.look.gamma);
    const bins = path.counts.shape[1];
    const counts = path.counts.subarray(i * bins, (i + 1) * bins);
    const most = Math.max(...counts);
    title(ctx, `2  ${path.weights.toLocaleString("en")} weights are written`, box, c);
    const p = HS.chart.plot(box.x + box.width + 8, box.y + box.height, { left: box.x + 4, right: 8, top: box.y, bottom: 34 }, path.range, [0, most || 1]);
    const each = p.width / bins;
    ctx.fillStyle = c.accent;
    counts.forEach((count, b) => ctx.fillRect(p.x + b * each, p.py(count), Math.max(1, each - 1), p.y + p.height - p.py(count)));
    HS.chart.axisX(ctx, p, "", c, { wanted: 4, format: HS.show });
    HS.chart.text(ctx, `weight; standard deviation ${HS.show(path.size[i])}`, p.x + p.width / 2, p.y + p.height + 22, c.ink, "center", "top");
  }

  /** θ(γ) − θ₀ in its two longest directions: a ray or an arc. */
  function paintPlane(ctx, store, path, box, c) {
    title(ctx, "3  where they lie (0 is θ₀)", box, c);
    const { plane } = path;
    const n = plane.length / 2;
    let [x0, x1, y0, y1] = [0, 0, 0, 0];
    for (let k = 0; k < n; k++) {
      [x0, x1] = [Math.min(x0, plane[2 * k]), Math.max(x1, plane[2 * k])];
      [y0, y1] = [Math.min(y0, plane[2 * k + 1]), Math.max(y1, plane[2 * k + 1])];
    }
    const unit = Math.min((box.width - 40) / (x1 - x0 || 1), (box.height - 60) / Math.max(y1 - y0, 0.3 * (x1 - x0) || 1));
    const px = (v) => box.x + box.width / 2 + (v - (x0 + x1) / 2) * unit;
    const py = (v) => box.y + (box.height - 30) / 2 - (v - (y0 + y1) / 2) * unit;
    HS.chart.line(ctx, px(0) - 7, py(0), px(0) + 7, py(0), c.ink, 1.5);
    HS.chart.line(ctx, px(0), py(0) - 7, px(0), py(0) + 7, c.ink, 1.5);
    for (let k = 1; k < n; k++) HS.chart.line(ctx, px(plane[2 * k - 2]), py(plane[2 * k - 1]), px(plane[2 * k]), py(plane[2 * k + 1]), HS.ramp("viridis", k / n), 3);
    const i = indexOf(path, store.look.gamma);
    HS.chart.line(ctx, px(0), py(0), px(plane[2 * i]), py(plane[2 * i + 1]), c.muted, 1, [3, 3]);
    W().dot(ctx, px(plane[2 * i]), py(plane[2 * i + 1]), 6, c.series[1], c.paper, 2);
    const told = path.explained[0] > 0.9999 ? "one direction holds all of it: a ray" : `first direction: ${HS.percent(path.explained[0])} of the squared length`;
    W().words(ctx, told, box.x, box.y + box.height - 18, box.width, c.ink, HS.chart.FONT, 13);
  }

  function stripPlot(store, box) {
    const top = Math.max(...store.layers.map((layer) => W().largest(pathOf(store, layer).size)));
    return HS.chart.plot(box.x + box.width + 12, box.y + box.height, { left: box.x, right: 12, top: box.y, bottom: 0 }, [0, 1], [0, 1.08 * top || 1]);
  }

  function paintStrip(ctx, store, box, c) {
    const p = stripPlot(store, box);
    ctx.font = HS.chart.FONT;
    HS.chart.axisY(ctx, p, null, c, { wanted: 3, format: HS.show });
    HS.chart.axisX(ctx, p, "", c, { wanted: 6, format: HS.show });
    HS.chart.text(ctx, "γ (drag) · standard deviation of all written weights", p.x + p.width / 2, p.y + p.height + 20, c.muted, "center", "top");
    store.layers.forEach((layer, i) => {
      const path = pathOf(store, layer);
      W().curve(ctx, p, { x: path.inputs, y: path.size, width: i === store.look.layer ? 3.4 : 1.3 }, c.series[i]);
    });
  }

  function paintHandle(ctx, store, box, c) {
    const p = stripPlot(store, box);
    const path = pathOf(store, store.layer);
    const x = p.px(store.look.gamma);
    HS.chart.line(ctx, x, p.y - 2, x, p.y + p.height, c.ink, 1.5);
    W().dot(ctx, x, p.py(path.size[indexOf(path, store.look.gamma)]), 7, c.series[store.look.layer], c.paper, 2);
    ctx.font = "600 12px system-ui, sans-serif";
    const right = store.look.gamma > 0.8;
    HS.chart.text(ctx, `γ = ${HS.show(store.look.gamma)}`, x + (right ? -10 : 10), p.y + 4, c.ink, right ? "right" : "left", "middle");
  }

  function createStage(element, store, hooks) {
    const size = () => [element.clientWidth, element.clientHeight];
    const set = (gamma) => store.set({ gamma: Math.round(40 * Math.min(1, Math.max(0, gamma))) / 40 });
    const gammaUnder = (x) => stripPlot(store, places(...size()).strip).valueX(x);
    const inStrip = (y) => y > places(...size()).strip.y - 12;
    return W().stage(element, store, hooks, {
      label: "Weights that a hypernetwork makes along its input. Arrow keys left and right move the input, brackets change the variant, s steps the story.",
      still: ["gamma", "tab", "step"],
      base: (ctx, width, height, c) => paintStrip(ctx, store, places(width, height).strip, c),
      over(ctx, width, height, c) {
        const path = pathOf(store, store.layer);
        const at = places(width, height);
        paintInput(ctx, store, path, at.input, c);
        if (at.histogram) paintHistogram(ctx, store, path, at.histogram, c);
        paintPlane(ctx, store, path, at.plane, c);
        paintHandle(ctx, store, at.strip, c);
      },
      move: () => null,
      leave() {},
      press() {},
      down(x, y) {
        if (!inStrip(y)) return false;
        set(gammaUnder(x));
        return true;
      },
      drag: (x) => set(gammaUnder(x)),
      key(event) {
        const by = { ArrowLeft: -1 / 40, ArrowRight: 1 / 40 }[event.key];
        if (by) set(store.look.gamma + by);
        return Boolean(by);
      },
    });
  }

  function legend(store) {
    const palette = W().series(document.querySelector(".hs") || document.body);
    return { entries: store.layers.map((layer, i) => HS.legend.entry(HS.legend.sample(palette[i], ""), HS.shortLabel(layer).split(":")[0])), facts: [] };
  }

  function sentence(store) {
    const path = pathOf(store, store.layer);
    const i = indexOf(path, store.look.gamma);
    const share = path.size[path.size.length - 1] ? path.size[i] / path.size[path.size.length - 1] : NaN;
    return `At γ = ${HS.show(store.look.gamma)}: weights with a standard deviation of ${HS.show(path.size[i])}, ${HS.percent(share)} of that at γ = 1${store.look.trained && stateOf(store).after ? ", after the race" : ""}`;
  }

  function createSection(store) {
    const { range, toggle } = HS.inputs;
    const slider = range({ label: "Input γ", hint: "The angle divided by 180°: 0 upright, 1 upside down.", min: 0, max: 1, step: 1 / 40, value: store.look.gamma, oninput: (gamma) => store.set({ gamma }) });
    const trained = toggle({ label: "After the race", hint: "Shows the four hypernetworks as the race on this page left them.", value: false, onchange: (value) => store.set({ trained: value }) });
    return {
      element: HS.el("section", { class: "hs-group" }, HS.el("h3", {}, "Input"), slider.element, trained.element),
      draw() {
        slider.set(store.look.gamma);
        trained.set(store.look.trained);
        trained.element.hidden = stateOf(store).after === null;
      },
    };
  }

  function thumb(ctx, frame, store, index) {
    const path = pathOf(store, store.layers[index]);
    ctx.fillStyle = "#f1f1ef";
    ctx.fillRect(frame.x, frame.y, frame.width, frame.height);
    const p = HS.chart.plot(frame.width - 4, frame.height - 4, { left: 5, right: 4, top: 5, bottom: 4 }, [0, 1], [0, 1.1 * W().largest(path.size) || 1]);
    W().curve(ctx, p, { x: path.inputs, y: path.size, width: 2.4 }, ["#0072B2", "#C44E00", "#00805E", "#A03C7C"][index % 4]);
  }

  function check(layer) {
    const { path } = layer;
    if (!path || !path.inputs || path.plane.shape.join() !== `${path.inputs.length},2` || path.size.length !== path.inputs.length) {
      throw new HS.Refusal(`The path of “${layer.label}” does not fit together. Run it again.`);
    }
  }

  const table = (store) => {
    const path = pathOf(store, store.layer);
    const [n, tensors] = path.std.shape;
    return Array.from({ length: n }, (_, i) => ({ gamma: path.inputs[i], size: path.size[i], std: Array.from(path.std.subarray(i * tensors, (i + 1) * tensors)) }));
  };

  HS.instrument({
    kind: "weight-path",
    check,
    base() {},
    overlay() {},
    thumb,
    legend,
    sentence,
    invitation: "Drag along the curves to move γ.",
    settings: () => [],
    section: createSection,
    lookInputs: () => ({ main: {}, more: {}, draw() {} }),
    cutKinds: [],
    createStage,
    asJson: (store) => JSON.stringify({ exhibit: store.payload.exhibit.slug, variant: store.layer.name, tensors: store.layer.path.tensors, along: table(store) }, null, 1),
    asCsv: (store) => [["gamma", "all", ...store.layer.path.tensors].join(), ...table(store).map((row) => [row.gamma, row.size, ...row.std].join())].join("\n"),
  });

  HS.weightPath = { stateOf, pathOf };
})();
