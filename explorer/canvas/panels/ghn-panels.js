// @wing hypernetworks
/** Beside predicted weights: the race against random ones, attention, embeddings, activations, and what width costs. */
(() => {
  "use strict";

  const STARTS = { random: "random", matched: "random, sizes of LoGAH's", ghn3_micro: "GHN-3", logah_micro: "LoGAH" };

  function race(el, store) {
    let laps = [];
    let alone = null; // the newest answer of the long training
    let what = "accuracy";
    HS.chart.choice(el, "Show", [["accuracy", "Right answers"], ["loss", "Loss"]], what, (value) => ((what = value), chart.draw()));
    const chart = HS.weights.lineChart(el, {
      label: "Right answers of the four starts during 100 steps",
      read() {
        const rows = what === "loss" ? laps.filter((lap) => lap.step) : laps;
        const series = Object.entries(STARTS).map(([name, title], i) => ({ name: title, colour: i, x: rows.map((lap) => lap.step), y: rows.map((lap) => lap[what][name]), points: "circle" }));
        if (alone && what === "accuracy") series.push({ name: `random, after ${alone.step} steps`, colour: 4, x: [0, 100], y: [alone.accuracy, alone.accuracy], dash: [6, 4] });
        return { series, x: [0, 100], y: what === "accuracy" ? [0, 1] : HS.weights.rangeOf(series.map((one) => one.y), { floor: 0 }), xLabel: "step", yLabel: what === "accuracy" ? "right answers" : "loss (nats)", formatY: what === "accuracy" ? HS.percent : HS.show };
      },
      words: () => told(),
    });
    const button = HS.weights.streamButton(store, { name: "race", start: "Train 100 steps, four starts", begin: () => ((laps = []), {}), frame: (lap) => (laps.push(lap), chart.draw(), button.draw()), ended: () => (chart.draw(), long.draw()) });
    const long = HS.weights.streamButton(store, { name: "scratch", start: "Train from scratch, 500 steps", begin: () => ((alone = null), {}), frame: (lap) => ((alone = lap), chart.draw(), long.draw()), ended: () => (chart.draw(), button.draw()) });
    HS.weights.bar(el, button.element, long.element);

    function told() {
      const task = "Handwritten digits, 16 × 16, the same batches of 64 in the same order; SGD 0.02, momentum 0.9.";
      if (!laps.length) return task;
      const last = laps[laps.length - 1];
      return `Step ${last.step}: ${Object.entries(STARTS).map(([name, title]) => `${title} ${HS.percent(last.accuracy[name])}`).join(", ")}. ${task}${store.payload.extras.trained ? " The hypernetworks learned on CIFAR-10." : " The hypernetworks are not trained yet."}`;
    }

    return {
      draw(changed) {
        if (changed.has("payload")) [laps, alone] = [[], null];
        chart.draw(HS.chart.touched(changed, "theme"));
        button.draw();
        long.draw();
      },
      resize: () => chart.resize(),
      destroy() {
        HS.weights.streams(store).stop();
        el.replaceChildren();
      },
    };
  }

  function attention(el, store) {
    let under = null;
    const board = HS.chart.board(el, {
      label: "Attention between the nodes: rows listen to columns",
      height: (width) => width - 16,
      base(ctx, width, height, c) {
        const { nodes } = HS.computation.graphOf(store);
        const n = nodes.length;
        const frame = frameOf(width);
        const values = new Float32Array(n * n);
        for (let i = 0; i < n; i++) values.set(HS.computation.attentionOf(store, i), i * n);
        HS.weights.shade(ctx, frame, values, n, n, HS.weights.largest(values));
        HS.chart.text(ctx, "listens ↓  to →", frame.x, frame.y - 5, c.muted);
        nodes.forEach((node, i) => {
          ctx.fillStyle = HS.computation.kindOf(node)[1];
          ctx.fillRect(frame.x - 8, frame.y + (i * frame.height) / n, 6, frame.height / n - 1);
        });
      },
      over(ctx, width, height, c) {
        const n = HS.computation.graphOf(store).nodes.length;
        const frame = frameOf(width);
        const row = HS.computation.chosen(store);
        if (row !== null) {
          ctx.strokeStyle = c.ink;
          ctx.lineWidth = 1.5;
          ctx.strokeRect(frame.x, frame.y + (row * frame.height) / n, frame.width, frame.height / n);
        }
      },
      move(x, y) {
        const n = HS.computation.graphOf(store).nodes.length;
        under = HS.cellAt(frameOf(board.canvas.clientWidth), [n, n], x, y);
        tell();
        return under;
      },
      leave() {
        under = null;
        tell();
      },
      press() {
        const n = HS.computation.graphOf(store).nodes.length;
        if (under !== null) store.set({ node: Math.floor(under / n) });
      },
    });
    const frameOf = (width) => ({ x: 10, y: 16, width: width - 22, height: width - 34 });
    const say = HS.chart.note(el);
    function tell() {
      const { nodes, attention: all } = HS.computation.graphOf(store);
      const n = nodes.length;
      if (under === null) return say(`Layer ${Math.min(store.look.attentionLayer + 1, all.shape[0])} of ${all.shape[0]}, ${store.look.attentionHead < 0 ? "mean of the heads" : `head ${store.look.attentionHead + 1}`}. Bright: much attention.`);
      const [i, j] = [Math.floor(under / n), under % n];
      say(`${nodes[i].name} gives ${HS.percent(HS.computation.attentionOf(store, i)[j])} of its attention to ${nodes[j].name}.`);
    }
    return {
      draw(changed) {
        tell();
        board.draw(HS.chart.touched(changed, "theme", "layer", "attentionLayer", "attentionHead"));
      },
      resize: () => board.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  function embeddings(el, store) {
    let depth = 0;
    let at = null;
    const slider = HS.inputs.range({ label: "After layer", min: 0, max: 3, step: 1, value: 0, format: (v) => (v === 0 ? "0: kind and shape only" : String(v)), oninput: (value) => ((depth = value), board.draw(true)) });
    el.append(slider.element);
    const board = HS.chart.board(el, {
      label: "Nodes as points by their embeddings; click one to choose it",
      height: (width) => Math.min(300, 0.85 * width),
      base(ctx, width, height, c) {
        const { embeddings: all, nodes } = HS.computation.graphOf(store);
        at = HS.points.place(all[Math.min(depth, all.length - 1)], { x: 4, y: 4, width: width - 8, height: height - 8 }, 16);
        nodes.forEach((node, i) => {
          const [, colour, letter] = HS.computation.kindOf(node);
          HS.weights.dot(ctx, at.x[i], at.y[i], 8, colour, c.paper, 1);
          HS.chart.text(ctx, letter, at.x[i], at.y[i], "#ffffff", "center", "middle");
        });
      },
      over(ctx, width, height, c) {
        const node = HS.computation.chosen(store);
        if (at && node !== null) HS.weights.dot(ctx, at.x[node], at.y[node], 11, null, c.ink, 2);
      },
      move: (x, y) => at && HS.points.nearest(at, x, y, 16),
      press(x, y) {
        const found = at && HS.points.nearest(at, x, y, 16);
        if (found !== null) store.set({ node: found });
      },
    });
    const say = HS.chart.note(el);
    return {
      draw(changed) {
        const { embeddings: all } = HS.computation.graphOf(store);
        slider.bound(0, all.length - 1);
        say("Two principal components, per layer. Before the first layer, nodes of one kind and shape lie on one point; after it, their place in the graph tells them apart.");
        board.draw(HS.chart.touched(changed, "theme", "layer"));
      },
      resize: () => board.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  function activations(el, store) {
    let found = null;
    let what = "std";
    HS.chart.choice(el, "Show", [["std", "Spread"], ["silent", "Silent after ReLU"]], what, (value) => ((what = value), chart.draw()));
    const chart = HS.weights.lineChart(el, {
      label: "Outputs of the layers with random and with predicted weights",
      read() {
        const series = found ? Object.entries(STARTS).map(([name, title], i) => ({ name: title, colour: i, x: found.layers.map((_, k) => k + 1), y: found.rows[name][what], points: "circle" })) : [];
        return { series, x: [0.8, (found ? found.layers.length : 3) + 0.2], y: what === "silent" ? [0, 1] : HS.weights.rangeOf(series.map((one) => one.y), { floor: 0 }), xLabel: "layer with weights", yLabel: what === "std" ? "standard deviation" : "share ≤ 0", formatY: what === "silent" ? HS.percent : HS.show };
      },
      words: () => (found ? `200 test digits, before any training. Layers: ${found.layers.join(", ")}.` : store.host.live ? "Measuring …" : "Needs the live app: this is a stored picture."),
    });
    return {
      draw(changed) {
        if (changed.has("payload")) {
          found = null;
          HS.weights.questions(store).ask("activations", {}, (answer) => {
            found = answer;
            chart.draw();
          });
        }
        chart.draw(HS.chart.touched(changed, "theme"));
      },
      resize: () => chart.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  function sizes(el, store) {
    const { widths, ghn3, logah } = store.payload.extras.sizes;
    const chart = HS.weights.lineChart(el, {
      label: "Parameters of the decoder against the widest layer it can make without copies",
      read: () => ({
        x: [Math.log2(widths[0]), Math.log2(widths[widths.length - 1])], y: [4, 10], xLabel: "widest layer", yLabel: "parameters",
        formatX: (v) => String(Math.round(2 ** v)), formatY: (v) => `10${[..."⁰¹²³⁴⁵⁶⁷⁸⁹"][Math.round(v)] || "¹⁰"}`,
        series: [
          { name: "GHN-3: a tile as wide", x: widths.map(Math.log2), y: ghn3.map(Math.log10), points: "circle", colour: 1 },
          { name: "LoGAH: two factors, rank 16", x: widths.map(Math.log2), y: logah.map(Math.log10), points: "circle", colour: 2 },
        ],
      }),
      hover(x) {
        if (x === null) return undefined;
        const i = widths.indexOf(Math.round(2 ** x));
        return i < 0 ? undefined : `Width ${widths[i]}: ${ghn3[i].toLocaleString("en")} parameters for a tile, ${logah[i].toLocaleString("en")} for two factors.`;
      },
      words: () => `Width ${widths[widths.length - 1]}: ${HS.show(ghn3[ghn3.length - 1] / logah[logah.length - 1])} times as many for a tile. Both axes are logarithmic; nodes of 48 numbers, 10 classes.`,
    });
    return { draw: (changed) => chart.draw(HS.chart.touched(changed, "theme")), resize: () => chart.resize(), destroy: () => el.replaceChildren() };
  }

  const kind = "computation-graph";
  const always = () => true;
  HS.panel({ name: "ghn-race", title: "Race", kind, available: always, mount: race });
  HS.panel({ name: "ghn-attention", title: "Attention", kind, available: ({ layer }) => Boolean(layer.computation.attention), mount: attention });
  HS.panel({ name: "ghn-embeddings", title: "Embeddings", kind, available: ({ layer }) => Boolean(layer.computation.embeddings), mount: embeddings });
  HS.panel({ name: "ghn-activations", title: "Activations", kind, available: always, mount: activations });
  HS.panel({ name: "ghn-sizes", title: "Price of width", kind, available: ({ payload }) => Boolean(payload.extras.sizes), mount: sizes });
})();
