// @wing hypernetworks
/** Beside the lessons: how far old weights drift, the hidden state on its way, and what lies between the embeddings of two tasks. */
(() => {
  "use strict";

  const WAITING = "Learn the tasks first: nothing is stored, all of it is measured in your lesson.";

  function drift(el, store) {
    let task = 0;
    const pick = HS.inputs.choice({ label: "Weights of task", options: Array.from({ length: store.payload.extras.tasks - 1 }, (_, t) => [t, String(t + 1)]), value: 0, onchange: (value) => ((task = value), chart.draw()) });
    HS.weights.bar(el, pick.element);
    const chart = HS.weights.lineChart(el, {
      label: "How far the weights of an old task have moved",
      read() {
        const lesson = HS.taskWeights.lessonOf(store);
        const frames = lesson ? lesson.frames.filter((one) => one.drift.length > task) : [];
        const { names } = store.layer.chunks;
        const series = names.map((name, k) => ({ name: name.replace("layers.", "layer "), x: frames.map((one) => one.step), y: frames.map((one) => one.drift[task][k]), dash: name.endsWith("bias") ? [4, 3] : null, colour: Math.floor(k / 2) }));
        return { series: frames.length ? series : [], x: [0, (lesson ? lesson.settings.steps : 150) * store.payload.extras.tasks], y: HS.weights.rangeOf(series.map((one) => one.y), { floor: 0 }), xLabel: "step", yLabel: "drift ÷ length" };
      },
      words: () => (HS.taskWeights.lessonOf(store) ? "‖W now − W when learned‖ ÷ ‖W when learned‖, for every generated tensor." : WAITING),
    });
    return { draw: () => chart.draw(), resize: () => chart.resize(), destroy: () => el.replaceChildren() };
  }

  function walks(el, store) {
    let under = null;
    let at = null;
    const board = HS.chart.board(el, {
      label: "The hidden state of every task on its way through the chunks",
      height: (width) => Math.min(320, 0.85 * width),
      base(ctx, width, height, c) {
        const { walks: found } = HS.taskWeights.chunksOf(store);
        if (!found) return (at = null);
        const [tasks, chunks] = found.points.shape;
        at = HS.points.place(found.points, { x: 4, y: 4, width: width - 8, height: height - 24 }, 14);
        const palette = HS.weights.series(el);
        for (let t = 0; t < tasks; t++) {
          for (let k = 0; k < chunks; k++) {
            const i = t * chunks + k;
            if (k) HS.chart.line(ctx, at.x[i - 1], at.y[i - 1], at.x[i], at.y[i], palette[t], 1.6);
            HS.weights.dot(ctx, at.x[i], at.y[i], k === 0 ? 5 : 3, palette[t], k === 0 ? c.ink : null, 1.5);
          }
          HS.chart.text(ctx, `task ${t + 1}`, at.x[t * chunks] + 7, at.y[t * chunks] - 6, palette[t]);
        }
        HS.chart.text(ctx, `two components: ${HS.percent(found.explained[0] + found.explained[1])} of the variance; ringed: chunk 1`, 4, height - 4, c.muted);
      },
      over: (ctx, width, height, c) => under !== null && at && HS.weights.dot(ctx, at.x[under], at.y[under], 8, null, c.ink, 2),
      move(x, y) {
        under = at && HS.points.nearest(at, x, y, 14);
        tell();
        board.draw(false);
        return under;
      },
      leave() {
        under = null;
        tell();
        board.draw(false);
      },
    });
    const say = HS.chart.note(el);
    function tell() {
      const { walks: found, chunkOf, names } = HS.taskWeights.chunksOf(store);
      if (!found) return say("Independent chunks have no state that is carried on. Choose the RNN hypernetwork below the matrices.");
      const [, chunks] = found.points.shape;
      const after = HS.taskWeights.lessonOf(store) && HS.taskWeights.lessonOf(store).chunks ? "after your lesson" : "before any lesson";
      say(under === null ? `One path per task, ${after}: the state after each of the ${chunks} chunks.` : `Task ${Math.floor(under / chunks) + 1}, after chunk ${(under % chunks) + 1}, which writes ${names[chunkOf[under % chunks]]}.`);
    }
    return {
      draw(changed) {
        tell();
        board.draw(HS.chart.touched(changed, "theme", "lesson", "layer"));
      },
      resize: () => board.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  function between(el, store) {
    const chart = HS.weights.lineChart(el, {
      label: "Right answers between the embeddings of two tasks",
      height: () => 160,
      read() {
        const found = (HS.taskWeights.lessonOf(store) || {}).between;
        const series = found ? found.tasks.map((task, i) => ({ name: `task ${task + 1}`, x: found.share, y: found.accuracy[i], colour: task })) : [];
        return { series, x: [0, 1], y: [0, 1], xLabel: found ? `from the vector of task ${found.tasks[0] + 1} to that of task ${found.tasks[1] + 1}` : "share of the way", yLabel: "right answers", formatY: HS.percent };
      },
      words: () => ((HS.taskWeights.lessonOf(store) || {}).between ? "The hypernetwork is given a vector between two tasks, and its network is tested on both." : WAITING),
    });
    const nudge = HS.weights.lineChart(el, {
      label: "What a nudge of one chunk's embedding costs",
      height: () => 150,
      read() {
        const found = (HS.taskWeights.lessonOf(store) || {}).nudge;
        const y = found ? found.cost.map((v) => 100 * v) : [];
        return { series: found ? [{ name: "", x: y.map((_, k) => k + 1), y, points: "circle" }] : [], x: [0.5, (y.length || 14) + 0.5], y: HS.weights.rangeOf([y]), xLabel: "chunk whose embedding is nudged", yLabel: "points lost" };
      },
      words: () => ((HS.taskWeights.lessonOf(store) || {}).nudge ? `Accuracy lost when one embedding is moved by ${HS.taskWeights.lessonOf(store).nudge.size} in a random direction.` : ""),
    });
    return {
      draw() {
        chart.draw();
        nudge.draw();
      },
      resize() {
        chart.resize();
        nudge.resize();
      },
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "drift", title: "Drift", kind: "task-weights", available: () => true, mount: drift });
  HS.panel({ name: "task-states", title: "Hidden state", kind: "task-weights", available: () => true, mount: walks });
  HS.panel({ name: "between-tasks", title: "Between tasks", kind: "task-weights", available: () => true, mount: between });
})();
