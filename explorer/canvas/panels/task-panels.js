// @wing hypernetworks
/**
 * Beside the lessons: how far old weights drift, two lessons side by side, what lies between the embeddings of two tasks, which pixels matter to
 * each task, and the hidden state on its way.
 */
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
        return { series: frames.length ? series : [], x: [0, (lesson ? lesson.settings.steps : store.look.steps) * store.payload.extras.tasks], y: HS.weights.rangeOf(series.map((one) => one.y), { floor: 0 }), xLabel: "step", yLabel: "drift ÷ length" };
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

  // ------------------------------------------------------------------------------------------------- two lessons

  const KEEPS = { L2: "old weights kept", importance: "kept by importance", none: "nothing kept" };
  const settingsOf = ({ settings: s }) => [KEEPS[s.keep], s.keep === "none" ? "" : `β ${HS.show(s.beta)}`, `${s.steps} steps`, s.grow ? `grown by ${s.grow}` : ""].filter(Boolean).join(", ");

  function runs(el, store) {
    let chosen = [null, null]; // numbers of lessons; null: the last but one and the last
    const lessons = () => HS.taskWeights.lessonsOf(store);
    const pair = () => {
      const all = lessons();
      const by = (number, back) => all.find((one) => one.number === number) || all[all.length - back] || null;
      return [by(chosen[0], Math.min(2, all.length)), by(chosen[1], 1)];
    };
    const picks = ["Left", "Right"].map((label, i) => HS.inputs.choice({ label, options: [[null, "–"]], value: null, onchange: (number) => ((chosen[i] = number), draw()) }));
    const row = HS.weights.bar(el, ...picks.map((one) => one.element));
    const board = HS.chart.board(el, {
      label: "Right answers after every lesson, of two trainings",
      height: (width) => Math.min(220, 0.5 * width) + 18,
      base(ctx, width, height, c) {
        const side = Math.min(200, width / 2 - 34);
        const n = store.payload.extras.tasks;
        pair().slice(0, lessons().length).forEach((one, i) => one && HS.taskWeights.paintRows(ctx, one.rows, n, { x: 20 + i * (width / 2), y: 18, width: side, height: side }, c));
      },
    });
    const chart = HS.weights.lineChart(el, {
      label: "Mean accuracy on the tasks that were begun, in two trainings",
      height: () => 150,
      read() {
        const series = pair().filter((one, i, both) => one && (i === 0 || one !== both[0])).map((one) => ({ name: `lesson ${one.number}`, x: one.frames.map((f) => f.step), y: one.frames.map((f) => HS.maths.mean(f.accuracy)), dash: one === pair()[1] ? [5, 3] : null, colour: one === pair()[1] ? 1 : 0 }));
        return { series, x: [0, Math.max(1, ...pair().filter(Boolean).map((one) => one.settings.steps * store.payload.extras.tasks))], y: [0, 1], xLabel: "step", yLabel: "mean accuracy", formatY: HS.percent };
      },
      words: told,
    });

    function told() {
      const all = lessons();
      if (!all.length) return WAITING;
      if (all.length < 2) return "Learn once more with other settings, another start or the other hypernetwork: the two lessons will stand side by side here.";
      const lines = pair().map((one) => `Lesson ${one.number}: ${one.title}, start ${one.seed}, ${settingsOf(one)}${one.score ? `; all tasks ${HS.percent(one.score.final)}, forgotten ${(100 * one.score.forgetting).toFixed(1)} points` : ""}.`);
      const [left, right] = pair();
      const done = left !== right && left.rows.length === right.rows.length && left.rows.length === store.payload.extras.tasks;
      return `${lines.join(" ")}${done ? ` Right minus left at the end: ${(100 * (right.score.final - left.score.final)).toFixed(1)} points.` : ""}`;
    }

    function draw() {
      const all = lessons();
      row.hidden = all.length < 2;
      board.box.hidden = all.length === 0;
      picks.forEach((pick, i) => {
        pick.fill(all.length ? all.map((one) => [one.number, `${one.number}: ${one.title}, ${settingsOf(one)}`]) : [[null, "–"]]);
        const one = pair()[i];
        pick.set(one ? one.number : null);
      });
      board.draw(true);
      chart.draw();
    }
    return { draw: (changed) => HS.chart.onlyHover(changed) || draw(), resize: () => (board.resize(), chart.resize()), destroy: () => el.replaceChildren() };
  }

  // ------------------------------------------------------------------------------------------------ between two tasks

  const SIDE = 8; // pixels of a digit

  function between(el, store) {
    const tasks = Array.from({ length: store.payload.extras.tasks }, (_, t) => [t, String(t + 1)]);
    const ends = [0, 1];
    let share = 0;
    const found = () => (HS.taskWeights.lessonOf(store) || {}).between;
    const pick = (i) => HS.inputs.choice({ label: i ? "to task" : "From task", options: tasks, value: ends[i], onchange(value) {
      if (value === ends[1 - i]) ends[1 - i] = ends[i];
      ends[i] = value;
      draw();
    } });
    const picks = [pick(0), pick(1)];
    const slider = HS.inputs.range({ label: "Share of the way", min: 0, max: 1, step: 0.05, value: 0, oninput: (value) => ((share = value), draw()) });
    HS.weights.bar(el, ...picks.map((one) => one.element), slider.element);

    /** What was measured for the two chosen tasks, from the first to the second. */
    function present() {
      const all = found();
      if (!all) return null;
      const turned = ends[0] > ends[1];
      const index = all.tasks.findIndex(([a, b]) => a === Math.min(...ends) && b === Math.max(...ends));
      const at = (i) => (turned ? all.share.length - 1 - i : i);
      const row = Math.round(share * (all.share.length - 1));
      const accuracy = [0, 1].map((side) => all.share.map((_, i) => all.accuracy[index][turned ? 1 - side : side][at(i)]));
      return { share: all.share, accuracy, row };
    }

    let at = null;
    const plane = HS.chart.board(el, {
      label: "The vectors of the tasks in a plane; drag the ring from one task to the other",
      height: (width) => Math.min(210, 0.55 * width),
      base(ctx, width, height, c) {
        const { embeddings, explained } = HS.taskWeights.chunksOf(store);
        at = HS.points.place(embeddings, { x: 4, y: 4, width: width - 50, height: height - 22 }, 16);
        const palette = HS.weights.series(el);
        HS.chart.line(ctx, at.x[ends[0]], at.y[ends[0]], at.x[ends[1]], at.y[ends[1]], c.muted, 1.2, [4, 3]);
        for (let t = 0; t < at.x.length; t++) {
          HS.weights.dot(ctx, at.x[t], at.y[t], 5, palette[t], c.paper, 1.5);
          HS.chart.text(ctx, `task ${t + 1}`, at.x[t] + 8, at.y[t] - 6, palette[t]);
        }
        HS.chart.text(ctx, `two components: ${HS.percent(explained[0] + explained[1])} of the variance`, 4, height - 4, c.muted);
      },
      over(ctx, width, height, c) {
        if (!at) return;
        const [x, y] = handle();
        HS.weights.dot(ctx, x, y, 8, c.paper, c.ink, 2.5);
        const now = present();
        if (now) HS.chart.text(ctx, ends.map((task, i) => `task ${task + 1}: ${HS.percent(now.accuracy[i][now.row])}`).join("   "), x > width / 2 ? x - 12 : x + 12, y + 16, c.ink, x > width / 2 ? "right" : "left");
      },
      move(x, y) {
        const [hx, hy] = at ? handle() : [-99, -99];
        plane.canvas.style.cursor = Math.hypot(x - hx, y - hy) < 14 ? "grab" : "";
        return null;
      },
    });
    const handle = () => [0, 1].map((axis) => (axis ? at.y : at.x)).map((v) => v[ends[0]] + share * (v[ends[1]] - v[ends[0]]));
    let dragging = false;
    const towards = (event) => {
      const box = plane.canvas.getBoundingClientRect();
      const [ax, ay, bx, by] = [at.x[ends[0]], at.y[ends[0]], at.x[ends[1]], at.y[ends[1]]];
      const length = (bx - ax) ** 2 + (by - ay) ** 2 || 1;
      const along = ((event.clientX - box.left - ax) * (bx - ax) + (event.clientY - box.top - ay) * (by - ay)) / length;
      share = Math.round(20 * Math.min(1, Math.max(0, along))) / 20;
      draw();
    };
    plane.canvas.addEventListener("pointerdown", (event) => {
      const box = plane.canvas.getBoundingClientRect();
      if (!at || Math.hypot(event.clientX - box.left - handle()[0], event.clientY - box.top - handle()[1]) > 22) return;
      dragging = true;
      plane.canvas.setPointerCapture(event.pointerId);
      plane.canvas.style.touchAction = "none";
      event.preventDefault();
    });
    plane.canvas.addEventListener("pointermove", (event) => dragging && towards(event));
    for (const name of ["pointerup", "pointercancel"]) plane.canvas.addEventListener(name, () => ((dragging = false), (plane.canvas.style.touchAction = "")));

    const chart = HS.weights.lineChart(el, {
      label: "Right answers between the embeddings of two tasks",
      height: () => 150,
      read() {
        const now = present();
        const series = now ? ends.map((task, i) => ({ name: `task ${task + 1}`, x: now.share, y: now.accuracy[i], colour: task })) : [];
        return { series, x: [0, 1], y: [0, 1], at: now ? share : null, xLabel: `from the vector of task ${ends[0] + 1} to that of task ${ends[1] + 1}`, yLabel: "right answers", formatY: HS.percent };
      },
      press: (value) => ((share = Math.round(20 * value) / 20), draw()),
      words: () => (found() ? "The hypernetwork is given a vector between two tasks; its network is tested on both. Drag the ring, the slider, or click the curve." : WAITING),
    });
    const nudge = HS.weights.lineChart(el, {
      label: "What a nudge of one chunk's embedding costs",
      height: () => 150,
      read() {
        const one = (HS.taskWeights.lessonOf(store) || {}).nudge;
        const y = one ? one.cost.map((v) => 100 * v) : [];
        return { series: one ? [{ name: "", x: y.map((_, k) => k + 1), y, points: "circle" }] : [], x: [0.5, (y.length || 14) + 0.5], y: HS.weights.rangeOf([y]), xLabel: "chunk whose embedding is nudged", yLabel: "points lost" };
      },
      words: () => ((HS.taskWeights.lessonOf(store) || {}).nudge ? `Points lost on task ${store.payload.controls.values.task} when one embedding is moved by ${HS.taskWeights.lessonOf(store).nudge.size} in a random direction.` : ""),
    });
    function draw() {
      picks.forEach((one, i) => one.set(ends[i]));
      slider.set(share);
      plane.draw(true);
      chart.draw();
      nudge.board.box.hidden = !found();
      nudge.draw();
    }
    return {
      draw: (changed) => HS.chart.onlyHover(changed) || draw(),
      resize() {
        plane.resize();
        chart.resize();
        nudge.resize();
      },
      destroy: () => el.replaceChildren(),
    };
  }

  // ------------------------------------------------------------------------------------------------- what matters

  function importance(el, store) {
    let under = null;
    const maps = () => (HS.taskWeights.lessonOf(store) || { importance: [] }).importance;
    const placed = (width) => {
      const n = store.payload.extras.tasks;
      const per = width < 330 ? 3 : n;
      const side = Math.min(110, (width - 8) / per - 10);
      return Array.from({ length: n }, (_, t) => ({ x: 4 + (t % per) * (side + 10), y: 16 + Math.floor(t / per) * (side + 26), width: side, height: side }));
    };
    const board = HS.chart.board(el, {
      label: "Which pixels matter to each task",
      height: (width) => Math.max(...placed(width).map((box) => box.y + box.height)) + 6,
      base(ctx, width, height, c) {
        const all = maps();
        const most = Math.max(0, ...all.map((map) => HS.weights.largest(map)));
        placed(width).forEach((box, t) => {
          HS.chart.text(ctx, `task ${t + 1}`, box.x, box.y - 4, c.muted);
          if (all[t]) HS.weights.shade(ctx, box, all[t], SIDE, SIDE, most);
          ctx.strokeStyle = c.muted;
          ctx.strokeRect(box.x, box.y, box.width, box.height);
        });
      },
      over(ctx, width, height, c) {
        if (!under) return;
        const box = placed(width)[under.task];
        ctx.strokeStyle = c.ink;
        ctx.lineWidth = 2;
        ctx.strokeRect(box.x + (under.pixel % SIDE) * (box.width / SIDE), box.y + Math.floor(under.pixel / SIDE) * (box.height / SIDE), box.width / SIDE, box.height / SIDE);
      },
      move(x, y) {
        under = null;
        placed(board.width()).forEach((box, task) => {
          const pixel = maps()[task] ? HS.cellAt(box, [SIDE, SIDE], x, y) : null;
          if (pixel !== null) under = { task, pixel };
        });
        tell();
        board.draw(false);
        return under && `${under.task} ${under.pixel}`;
      },
      leave() {
        under = null;
        tell();
        board.draw(false);
      },
    });
    const say = HS.chart.note(el);
    function tell() {
      if (!maps().length) return say(WAITING);
      if (under) return say(`Task ${under.task + 1}, row ${Math.floor(under.pixel / SIDE) + 1}, column ${(under.pixel % SIDE) + 1} of the digit: its weights matter ${HS.show(maps()[under.task][under.pixel])} times as much as a weight does on average.`);
      const kept = HS.taskWeights.lessonOf(store).settings.keep === "importance";
      say(`Importance Ω of the first layer's weights, averaged over its 32 units and put where the pixel lies in the digit: squared gradient of the task's loss right after it was learned, 1 is the mean of all weights. ${kept ? "In this lesson every drift was weighted with it." : "This lesson did not use it: choose “by importance” under Keep."}`);
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

  HS.panel({ name: "drift", title: "Drift", kind: "task-weights", available: () => true, mount: drift });
  HS.panel({ name: "task-runs", title: "Two lessons", kind: "task-weights", available: () => true, mount: runs });
  HS.panel({ name: "task-states", title: "Hidden state", kind: "task-weights", available: () => true, mount: walks });
  HS.panel({ name: "between-tasks", title: "Between tasks", kind: "task-weights", available: () => true, mount: between });
  HS.panel({ name: "importance", title: "What matters", kind: "task-weights", available: () => true, mount: importance });
})();
