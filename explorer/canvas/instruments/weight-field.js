// @wing hypernetworks
/**
 * The instrument of weight fields: one tensor of a family of networks as a function of the place in it, the lattice that the present
 * width reads, and below it how good the network of every width is. Dragging along that curve changes the width: the dots move at
 * once, the network is generated and tested as fast as the server answers, and the run follows when the drag ends.
 */
(() => {
  "use strict";

  const STRIP = 112; // height of the curve below
  const W = () => HS.weights;

  const { number } = HS.checks;
  const orNull = (check) => (v) => (v === null ? null : check(v));
  HS.lookField("width", null, orNull(number(1, 64, true))); // of the lattice that is drawn; null: that of the run
  HS.lookField("tap", null, orNull(number(0, 24, true))); // entry of the kernel; null: the middle
  HS.lookField("channel", null, orNull(number(0, 4095, true))); // chosen output channel

  // ------------------------------------------------------------------------------------------------- what is on show

  const states = new WeakMap();

  /** What the page learnt since the run: {live: the newest answer about a width, taps: Map, under: hovered {a, b}}. */
  function stateOf(store) {
    if (!states.has(store)) {
      const state = { live: null, taps: new Map(), under: null };
      states.set(store, state);
      store.subscribe((changed) => {
        if (!changed.has("payload")) return;
        Object.assign(state, { live: null, taps: new Map(), under: null });
        if (store.look.width === store.payload.controls.values.width) store.set({ width: null });
      });
    }
    return states.get(store);
  }

  const ofRun = (store) => store.payload.controls.values.width;
  const widthOf = (store) => store.look.width ?? ofRun(store);
  const bounds = (store) => {
    const { widths } = store.payload.extras.curve;
    return [widths[0], widths[widths.length - 1]];
  };

  /** [outputs, inputs] of a tensor at a width. */
  const shapeOf = (store, layer, width) => [...store.payload.extras.shapes[layer.name][width - bounds(store)[0]], 1].slice(0, 2);
  const tapOf = (store) => store.look.tap ?? store.layer.field.tap;

  /** The weights that the lattice reads, [N0, N1, T] times inputs, if they are known for this width. */
  function latticeOf(store, layer) {
    const width = widthOf(store);
    const { live } = stateOf(store);
    if (live && live.width === width && live.tensor === layer.name) return live.lattice;
    return width === ofRun(store) ? layer.field.lattice : null;
  }

  /** The function on the dense grid for the chosen entry of the kernel; null while it is on its way. */
  function denseOf(store, layer) {
    const { field } = layer;
    const tap = Math.min(store.look.tap ?? field.tap, field.kernel[0] * field.kernel[1] - 1);
    if (tap === field.tap) return field.dense;
    const state = stateOf(store);
    const key = `${layer.name} ${tap}`;
    if (!state.taps.has(key)) {
      state.taps.set(key, null);
      W().questions(store).ask("tap", { tensor: layer.name, tap }, (answer) => {
        state.taps.set(`${answer.tensor} ${answer.tap}`, answer.dense);
        store.touch("answer");
      });
    }
    return state.taps.get(key);
  }

  /** Top of the colour scale: the same for all entries of a kernel and all widths. */
  function scaleOf(layer) {
    layer.most = layer.most || Math.max(W().largest(layer.field.dense), W().largest(layer.field.lattice)) || 1;
    return layer.most;
  }

  /** Ask for the network of another width. `done`: the drag is over, so everything else on the page follows. */
  function setWidth(store, width, done = false) {
    const [low, high] = bounds(store);
    width = Math.min(high, Math.max(low, Math.round(width)));
    const state = stateOf(store);
    if (width !== widthOf(store)) {
      store.set({ width });
      W().questions(store).ask("at", { width, tensor: store.layer.name }, (answer) => {
        state.live = answer;
        store.touch("answer");
      });
    }
    if (done && width !== ofRun(store)) HS.askRun(store, { controls: { width } });
  }

  /** Accuracy and loss of the present width: what came back while dragging, else what the run found. */
  function standing(store) {
    const width = widthOf(store);
    const { live } = stateOf(store);
    const { at } = store.payload.extras;
    if (live && live.width === width) return live;
    return at.width === width ? at : null;
  }

  // ------------------------------------------------------------------------------------------------------- drawing

  /** Where things lie on a stage of this size. */
  function places(width, height) {
    const above = height - STRIP - 26;
    const side = Math.max(60, Math.min(above - 22, 0.66 * width - 34));
    const frame = { x: 34, y: 18, width: side, height: side };
    const aside = { x: frame.x + side + 18, y: frame.y, width: width - frame.x - side - 22, height: side };
    const strip = { x: 42, y: height - STRIP + 4, width: width - 54, height: STRIP - 38 };
    return { frame, aside, strip };
  }

  const isVector = (layer) => layer.field.dense.shape[1] === 1;

  function paintField(ctx, store, layer, frame, c) {
    const dense = denseOf(store, layer);
    const most = scaleOf(layer);
    if (!dense) {
      HS.chart.text(ctx, "…", frame.x + frame.width / 2, frame.y + frame.height / 2, c.muted, "center", "middle");
      return;
    }
    const [rows, cols] = dense.shape;
    if (isVector(layer)) return paintCurve(ctx, dense, frame, most, c);
    ctx.save();
    ctx.beginPath();
    ctx.rect(frame.x, frame.y, frame.width, frame.height);
    ctx.clip();
    const [cw, ch] = [frame.width / cols, frame.height / rows];
    // The first sample belongs to place 0, so its middle lies on the border.
    W().heat(ctx, { x: frame.x - cw / 2, y: frame.y - ch / 2, width: frame.width + cw, height: frame.height + ch }, dense, rows, cols, most, true);
    ctx.restore();
  }

  function vectorPlot(frame, most) {
    return HS.chart.plot(frame.x + frame.width + 6, frame.y + frame.height, { left: frame.x, right: 6, top: frame.y, bottom: 0 }, [0, 1], [-most, most]);
  }

  function paintCurve(ctx, dense, frame, most, c) {
    const p = vectorPlot(frame, most);
    HS.chart.line(ctx, p.x, p.py(0), p.x + p.width, p.py(0), c.line);
    W().curve(ctx, p, { x: Array.from(dense, (_, i) => i / dense.length), y: dense }, c.accent);
  }

  /** Pixel place of the lattice point (a, b). */
  function pointAt(store, layer, frame, a, b, value) {
    const [outputs, inputs] = shapeOf(store, layer, widthOf(store));
    if (!isVector(layer)) return [frame.x + (b / inputs) * frame.width, frame.y + (a / outputs) * frame.height];
    const p = vectorPlot(frame, scaleOf(layer));
    return [p.px(a / outputs), p.py(Math.max(-scaleOf(layer), Math.min(scaleOf(layer), value ?? 0)))];
  }

  function colourAt(value, most) {
    return HS.ramp("diverging", 0.5 + value / (2 * most));
  }

  /** The lattice: each dot has the colour of the weight that is read there, so that a dot that vanishes agrees with the function below it. */
  function paintLattice(ctx, store, layer, frame, c) {
    const [outputs, inputs] = shapeOf(store, layer, widthOf(store));
    const lattice = latticeOf(store, layer);
    const tap = Math.min(tapOf(store), layer.field.kernel[0] * layer.field.kernel[1] - 1);
    const taps = layer.field.kernel[0] * layer.field.kernel[1];
    const most = scaleOf(layer);
    const radius = Math.max(1.6, Math.min(5, (0.3 * frame.width) / Math.max(outputs, isVector(layer) ? 1 : inputs)));
    for (let a = 0; a < outputs; a++) {
      for (let b = 0; b < (isVector(layer) ? 1 : inputs); b++) {
        const value = lattice ? lattice[(a * inputs + b) * taps + tap] : null;
        const [x, y] = pointAt(store, layer, frame, a, b, value);
        const gone = store.cutList.hasWhole("channel", a, layer.name);
        W().dot(ctx, x, y, radius, gone ? "#8a8a8a" : value === null ? "#ffffff" : isVector(layer) ? c.bad : colourAt(value, most), "#111", 1);
        if (!isVector(layer) && radius > 2.4) W().dot(ctx, x, y, radius + 1, null, "rgb(255 255 255 / 0.9)", 1);
      }
    }
  }

  /** The kernel at one lattice point, as numbers on a scale. */
  function paintKernel(ctx, store, layer, a, b, box, c) {
    const lattice = latticeOf(store, layer);
    const [height, width] = layer.field.kernel;
    const [, inputs] = shapeOf(store, layer, widthOf(store));
    if (!lattice) return;
    const taps = height * width;
    const values = lattice.slice((a * inputs + b) * taps, (a * inputs + b + 1) * taps);
    const cell = box.width / Math.max(width, height);
    const frame = { x: box.x, y: box.y, width: cell * width, height: cell * height };
    W().heat(ctx, frame, values, height, width, scaleOf(layer));
    ctx.strokeStyle = c.muted;
    ctx.lineWidth = 1;
    ctx.strokeRect(frame.x, frame.y, frame.width, frame.height);
    ctx.font = `${Math.min(12, cell / 4)}px system-ui, sans-serif`;
    if (cell < 22) return;
    values.forEach((value, i) => {
      const dark = Math.abs(value) > 0.62 * scaleOf(layer);
      const [x, y] = [frame.x + ((i % width) + 0.5) * cell, frame.y + (Math.floor(i / width) + 0.5) * cell];
      HS.chart.text(ctx, HS.show(Number((value / inputs).toPrecision(2))), x, y, dark ? "#ffffff" : "#18202b", "center", "middle");
    });
  }

  function stripPlot(store, box) {
    const [low, high] = bounds(store);
    return HS.chart.plot(box.x + box.width + 12, box.y + box.height, { left: box.x, right: 12, top: box.y, bottom: 0 }, [low - 0.5, high + 0.5], [0, 1]);
  }

  /** Accuracy of every width, the trained band shaded, widths that were held out hollow; the handle is the present width. */
  function paintStrip(ctx, store, box, c) {
    const { curve } = store.payload.extras;
    const p = stripPlot(store, box);
    ctx.font = HS.chart.FONT;
    ctx.fillStyle = c.line;
    ctx.globalAlpha = 0.6;
    ctx.fillRect(p.px(curve.band[0] - 0.5), p.y, p.px(curve.band[1] + 0.5) - p.px(curve.band[0] - 0.5), p.height);
    ctx.globalAlpha = 1;
    HS.chart.axisY(ctx, p, null, c, { wanted: 2, format: HS.percent });
    HS.chart.axisX(ctx, p, "", c, { wanted: 18 });
    const words = store.payload.extras.curve.trained ? "width h · shaded: trained together, hollow: left out of training" : "width h · random weights: nothing was trained yet, all of this is chance";
    HS.chart.text(ctx, words, p.x + p.width / 2, p.y + p.height + 20, c.muted, "center", "top");
    W().curve(ctx, p, { x: curve.widths, y: curve.accuracy, points: "circle", hollow: (x) => curve.held_out.includes(x), paper: c.paper }, c.series[0]);
  }

  function paintHandle(ctx, store, box, c) {
    const p = stripPlot(store, box);
    const width = widthOf(store);
    const found = standing(store);
    const { curve } = store.payload.extras;
    const share = found ? found.accuracy : curve.accuracy[width - bounds(store)[0]];
    HS.chart.line(ctx, p.px(width), p.y - 2, p.px(width), p.y + p.height, c.ink, 1.5);
    W().dot(ctx, p.px(width), p.py(share), 7, c.accent, c.paper, 2);
    ctx.font = "600 12px system-ui, sans-serif";
    const right = p.px(width) > p.x + 0.8 * p.width;
    HS.chart.text(ctx, `h = ${width}: ${found ? HS.percent(found.accuracy) : "…"}`, p.px(width) + (right ? -12 : 12), p.py(share) + (share > 0.75 ? 16 : -10), c.ink, right ? "right" : "left", "middle");
  }

  function paintAside(ctx, store, layer, box, c) {
    const { curve } = store.payload.extras;
    const found = standing(store);
    const width = widthOf(store);
    const [outputs] = shapeOf(store, layer, width);
    const most = box.width;
    if (most < 60) return;
    const parameters = curve.parameters[width - bounds(store)[0]];
    let y = box.y + 12;
    ctx.font = "600 15px system-ui, sans-serif";
    HS.chart.text(ctx, `width ${width}`, box.x, y, c.ink);
    y += 19;
    const lines = [
      found ? `${HS.percent(found.accuracy)} of ${curve.count} digits right` : "being generated …",
      `${parameters.toLocaleString("en")} weights`,
      found && found.generated ? `made in ${Math.round(found.generated)} ms, tested in ${Math.round(found.tested)} ms` : "",
    ];
    for (const line of lines) if (line) y = W().words(ctx, line, box.x, y, most, c.muted, "12px system-ui, sans-serif", 15);
    const point = focus(store);
    const left = box.y + box.height - y;
    if (point && left > 60) {
      const side = Math.min(most, 130, left > 260 ? 130 : left - 34);
      y += 16;
      HS.chart.text(ctx, isVector(layer) ? `output ${point.a + 1} of ${outputs}` : `kernel of output ${point.a + 1}, input ${point.b + 1}`, box.x, y, c.ink);
      paintKernel(ctx, store, layer, point.a, point.b, { x: box.x, y: y + 7, width: side }, c);
      y += side + 12;
    }
    if (box.y + box.height - y > 96) paintDigit(ctx, store, { x: box.x, y: y + 16, width: most, height: box.y + box.height - y - 16 }, c);
  }

  /** The test digit, and what the network of this width takes it for. */
  function paintDigit(ctx, store, box, c) {
    const { digit } = store.payload.extras;
    const { live } = stateOf(store);
    const answer = live && live.width === widthOf(store) ? live.answer : digit.answer;
    const [rows, cols] = digit.pixels.shape;
    const side = Math.min(72, box.height - 22, box.width / 2);
    const [label, share] = answer[0];
    ctx.font = "12px system-ui, sans-serif";
    HS.chart.text(ctx, `a ${digit.label}, taken for a ${label} (${HS.percent(share)})`, box.x, box.y, label === digit.label ? c.ink : c.bad);
    W().ink(ctx, { x: box.x, y: box.y + 7, width: side, height: side }, digit.pixels, rows, cols);
  }

  /** The lattice point under the pointer, else the first input of the chosen channel. */
  function focus(store) {
    const { under } = stateOf(store);
    const [outputs] = shapeOf(store, store.layer, widthOf(store));
    if (under && under.a < outputs) return under;
    const { channel } = store.look;
    return channel !== null && channel < outputs ? { a: channel, b: 0 } : null;
  }

  function base(ctx, store, width, height, c) {
    const { layer } = store;
    const { frame, strip } = places(width, height);
    ctx.font = HS.chart.FONT;
    paintField(ctx, store, layer, frame, c);
    ctx.strokeStyle = c.muted;
    ctx.lineWidth = 1;
    ctx.strokeRect(frame.x, frame.y, frame.width, frame.height);
    const [outputs, inputs] = shapeOf(store, layer, widthOf(store));
    HS.chart.text(ctx, isVector(layer) ? "weight" : `↓ ${outputs} output channels   → ${inputs} input channels`, frame.x, frame.y - 6, c.muted);
    if (isVector(layer)) HS.chart.text(ctx, `→ ${outputs} output channels`, frame.x + frame.width, frame.y + frame.height + 12, c.muted, "right");
    else for (const [at, word] of [[0, "0"], [0.5, "½"], [1, "1"]]) HS.chart.text(ctx, word, frame.x - 7, frame.y + at * frame.height, c.muted, "right", "middle");
    paintStrip(ctx, store, strip, c);
  }

  function over(ctx, store, width, height, c) {
    const { layer } = store;
    const { frame, aside, strip } = places(width, height);
    paintLattice(ctx, store, layer, frame, c);
    const point = focus(store);
    const [outputs, inputs] = shapeOf(store, layer, widthOf(store));
    if (point && point.a < outputs && (isVector(layer) || point.b < inputs)) {
      const lattice = latticeOf(store, layer);
      const taps = layer.field.kernel[0] * layer.field.kernel[1];
      const value = lattice && lattice[(point.a * inputs + point.b) * taps + Math.min(tapOf(store), taps - 1)];
      const [x, y] = pointAt(store, layer, frame, point.a, point.b, value);
      if (!isVector(layer)) {
        HS.chart.line(ctx, frame.x, y, frame.x + frame.width, y, "rgb(255 255 255 / 0.85)", 1.5);
        HS.chart.line(ctx, frame.x, y + 1.5, frame.x + frame.width, y + 1.5, "rgb(0 0 0 / 0.5)", 1);
      }
      W().dot(ctx, x, y, 8, null, "#000", 3.5);
      W().dot(ctx, x, y, 8, null, "#fff", 1.8);
    }
    paintAside(ctx, store, layer, aside, c);
    paintHandle(ctx, store, strip, c);
  }

  // ------------------------------------------------------------------------------------------------------ the stage

  function createStage(element, store, hooks) {
    const state = stateOf(store);
    const size = () => [element.clientWidth, element.clientHeight];
    let asked = "";

    const inField = (x, y) => {
      const { frame } = places(...size());
      if (x < frame.x - 6 || y < frame.y - 6 || x > frame.x + frame.width + 6 || y > frame.y + frame.height + 6) return null;
      const [outputs, inputs] = shapeOf(store, store.layer, widthOf(store));
      const near = (share, count) => Math.min(count - 1, Math.max(0, Math.round(share * count)));
      if (isVector(store.layer)) return { a: near((x - frame.x) / frame.width, outputs), b: 0 };
      return { a: near((y - frame.y) / frame.height, outputs), b: near((x - frame.x) / frame.width, inputs) };
    };
    const inStrip = (y) => y > places(...size()).strip.y - 8;
    const widthUnder = (x) => stripPlot(store, places(...size()).strip).valueX(x);

    const stage = W().stage(element, store, hooks, {
      label: "A tensor as a function of the place in it. Arrow keys left and right change the width, up and down choose an output channel, Enter pins it, brackets change the tensor, s steps the story.",
      still: ["width", "channel", "cuts", "tab", "step"],
      base: (ctx, width, height, c) => base(ctx, store, width, height, c),
      over: (ctx, width, height, c) => over(ctx, store, width, height, c),
      move(x, y) {
        const found = inStrip(y) ? null : inField(x, y);
        if (String(found && [found.a, found.b]) !== String(state.under && [state.under.a, state.under.b])) {
          state.under = found;
          store.touch("hover");
        }
        return found && `${found.a} ${found.b}`;
      },
      leave() {
        state.under = null;
        store.touch("hover");
      },
      press(x, y) {
        const found = inStrip(y) ? null : inField(x, y);
        if (found) store.set({ channel: store.look.channel === found.a ? null : found.a });
      },
      down(x, y) {
        if (!inStrip(y)) return false;
        setWidth(store, widthUnder(x));
        return true;
      },
      drag: (x) => setWidth(store, widthUnder(x)),
      drop: () => setWidth(store, widthOf(store), true),
      key(event) {
        const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (by) return setWidth(store, widthOf(store) + by, true) || true;
        const [outputs] = shapeOf(store, store.layer, widthOf(store));
        const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
        if (step) {
          const from = state.under || { a: store.look.channel ?? 0, b: 0 };
          state.under = { a: Math.min(outputs - 1, Math.max(0, from.a + step)), b: from.b };
          store.touch("hover");
          return true;
        }
        if (event.key === "Enter" && state.under) return store.set({ channel: state.under.a }) || true;
        if (event.key !== "Escape") return false;
        state.under = null;
        store.set({ channel: null });
        return true;
      },
      draw(changed) {
        // A width from a link or a story step that the run does not have: ask once.
        const key = `${widthOf(store)} ${store.layer.name} ${store.payload.run}`;
        if (asked !== key && widthOf(store) !== ofRun(store) && (changed.has("layer") || changed.has("payload"))) {
          asked = key;
          W().questions(store).ask("at", { width: widthOf(store), tensor: store.layer.name }, (answer) => {
            state.live = answer;
            store.touch("answer");
          });
        }
      },
    });
    return stage;
  }

  // ------------------------------------------------------------------------------------------------- words and inputs

  function legend(store) {
    const most = scaleOf(store.layer);
    if (isVector(store.layer)) return { entries: [HS.legend.entry("", "line: the function, dots: what this width reads")], facts: [] };
    return {
      entries: [HS.legend.scale("weight × inputs", "diverging", HS.show(-most), HS.show(most)), HS.legend.entry("", "dots: what this width reads")],
      facts: [],
    };
  }

  function sentence(store) {
    const point = focus(store);
    const width = widthOf(store);
    const [outputs, inputs] = shapeOf(store, store.layer, width);
    const lattice = latticeOf(store, store.layer);
    if (!point || !lattice) return "";
    const taps = store.layer.field.kernel[0] * store.layer.field.kernel[1];
    const value = lattice[(point.a * inputs + point.b) * taps + Math.min(tapOf(store), taps - 1)] / inputs;
    const where = `output channel ${point.a + 1} of ${outputs} lies at ${HS.show(point.a / outputs)}`;
    const from = isVector(store.layer) ? "" : `, input channel ${point.b + 1} of ${inputs} at ${HS.show(point.b / inputs)}`;
    return `${where}${from}: there the function reads the weight ${HS.show(value)}`;
  }

  function createSection(store) {
    const { range, choice } = HS.inputs;
    const widget = store.payload.controls.widgets.find((one) => one.name === "width");
    const slider = range({
      label: widget.label, hint: widget.hint, min: widget.min, max: widget.max, step: 1, value: widthOf(store),
      oninput: (value) => setWidth(store, value), onchange: (value) => setWidth(store, value, true),
    });
    const tap = choice({ label: "Entry of the kernel", options: [[null, "middle"]], value: null, onchange: (value) => store.set({ tap: value }) });
    const element = HS.el("section", { class: "hs-group" }, HS.el("h3", {}, "Network"), slider.element, tap.element);
    return {
      element,
      draw() {
        slider.set(widthOf(store));
        const { field } = store.layer;
        const [rows, cols] = field.kernel;
        tap.element.hidden = rows * cols < 2;
        const names = Array.from({ length: rows * cols }, (_, i) => [i === field.tap ? null : i, i === field.tap ? "middle" : `row ${Math.floor(i / cols) + 1}, column ${(i % cols) + 1}`]);
        tap.fill(names);
        tap.set(store.look.tap === field.tap ? null : store.look.tap);
      },
    };
  }

  const cutKinds = [["channel", "drop this channel", "Its kernels and its bias become 0: nothing goes out through it"]];

  function cutRows(store) {
    const { channel } = store.look;
    const [outputs] = shapeOf(store, store.layer, widthOf(store));
    if (channel === null || channel >= outputs) return [];
    return [{
      mark: String(channel + 1),
      kinds: cutKinds,
      pressed: (kind) => store.cutList.hasWhole(kind, channel, store.layer.name),
      toggle: (kind) => store.cutList.toggleWhole(kind, channel, store.layer.name),
    }];
  }

  function thumb(ctx, frame, store, index) {
    const layer = store.layers[index];
    const { dense } = layer.field;
    if (!isVector(layer)) return W().heat(ctx, frame, dense, dense.shape[0], dense.shape[1], scaleOf(layer));
    ctx.fillStyle = "#f1f1ef";
    ctx.fillRect(frame.x, frame.y, frame.width, frame.height);
    const p = vectorPlot({ x: frame.x + 3, y: frame.y + 3, width: frame.width - 6, height: frame.height - 6 }, scaleOf(layer));
    W().curve(ctx, p, { x: Array.from(dense, (_, i) => i / dense.length), y: dense }, "#0072B2");
  }

  function check(layer) {
    const wrong = (what) => new HS.Refusal(`The tensor “${layer.label}” does not fit together (${what}). Run it again.`);
    const { field } = layer;
    if (!field || !field.dense || !field.lattice || field.dense.shape.length !== 2 || field.lattice.shape.length !== 3) throw wrong("its function is missing");
    if (field.lattice.shape[2] !== field.kernel[0] * field.kernel[1]) throw wrong("its kernels have another size");
  }

  /** The lattice of the present width as numbers. */
  function rows(store) {
    const [outputs, inputs] = shapeOf(store, store.layer, widthOf(store));
    const lattice = latticeOf(store, store.layer) || [];
    const taps = store.layer.field.kernel[0] * store.layer.field.kernel[1];
    const found = [];
    for (let i = 0; i < outputs * inputs && lattice.length; i++) {
      const [a, b] = [Math.floor(i / inputs), i % inputs];
      found.push({ output: a, input: b, place: [a / outputs, b / inputs], kernel: Array.from(lattice.slice(i * taps, (i + 1) * taps), (v) => Number((v / inputs).toPrecision(4))) });
    }
    return found;
  }

  HS.instrument({
    kind: "weight-field",
    check,
    base() {},
    overlay() {},
    thumb,
    legend,
    sentence,
    invitation: "Drag along the curve to change the width; point at a dot to see its kernel, click to choose its channel.",
    settings: () => ["width"],
    section: createSection,
    lookInputs: () => ({ main: {}, more: {}, draw() {} }),
    cutKinds,
    cutRows,
    cutHint: () => "Click a dot to choose an output channel, drop it, and predict again.",
    createStage,
    asJson: (store) => JSON.stringify({ exhibit: store.payload.exhibit.slug, tensor: store.layer.name, width: widthOf(store), precision: "8 bits of the largest weight; the zip file holds the exact numbers", weights: rows(store) }, null, 1),
    asCsv: (store) => ["output,input,output_place,input_place,kernel", ...rows(store).map((row) => `${row.output},${row.input},${row.place.join()},${row.kernel.join(" ")}`)].join("\n"),
  });

  HS.weightField = { widthOf, setWidth, standing, bounds, latticeOf, shapeOf };
})();
