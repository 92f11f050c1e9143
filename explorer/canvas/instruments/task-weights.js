// @wing hypernetworks
/**
 * The instrument of hypernetworks that learn task after task. Left: which chunk of the weights depends on which embedding; right: how well
 * every task is solved after each lesson, row by row; below: the accuracy on every task while the next ones are learned. Lessons run live;
 * each hypernetwork keeps its own until the next run, and the last ones stay to be compared (panels/task-panels.js).
 */
(() => {
  "use strict";

  const STRIP = 150;
  const W = () => HS.weights;
  HS.lookField("keep", "L2", HS.checks.word("L2", "importance", "none"));
  HS.lookField("beta", 0.3, HS.checks.number(0, 10));
  HS.lookField("grow", 0, HS.checks.number(0, 32, true));
  HS.lookField("steps", 200, HS.checks.number(20, 400, true));
  const KEPT = 6; // lessons that can still be compared

  const states = new WeakMap();

  /** {lessons: Map kind → lesson of this run, all: the last lessons of the visit, oldest first, under: hovered entry of a matrix} */
  function stateOf(store) {
    if (!states.has(store)) {
      const state = { lessons: new Map(), all: [], count: 0, under: null };
      states.set(store, state);
      store.subscribe((changed) => changed.has("payload") && Object.assign(state, { lessons: new Map(), under: null }));
    }
    return states.get(store);
  }

  const lessonOf = (store, layer = store.layer) => stateOf(store).lessons.get(layer.name) || null;
  const chunksOf = (store, layer = store.layer) => (lessonOf(store, layer) || {}).chunks || layer.chunks;

  // ------------------------------------------------------------------------------------------------------ the lesson

  function begin(store) {
    const { keep, beta, grow, steps } = store.look;
    const kind = store.layer.name;
    const settings = { kind, keep, beta, grow: kind === "recurrent" ? grow : 0, steps };
    const state = stateOf(store);
    const lesson = { number: ++state.count, seed: store.payload.controls.values.seed, title: store.layer.label, settings, frames: [], rows: [], importance: [], score: null, grown: null, chunks: null, nudge: null, between: null };
    state.lessons.set(kind, lesson);
    state.all = [...state.all, lesson].slice(-KEPT);
    return settings;
  }

  function take(store, found) {
    const lesson = stateOf(store).lessons.get(found.kind);
    if (!lesson) return;
    if (found.accuracy) lesson.frames.push(found);
    if (found.row) {
      lesson.rows.push(found.row);
      lesson.importance.push(found.importance);
      lesson.score = found.score;
    }
    if (found.grown) lesson.grown = { ...found.grown, step: lesson.frames.length ? lesson.frames[lesson.frames.length - 1].step : 0 };
    if (found.finished) Object.assign(lesson, { chunks: found.chunks, nudge: found.nudge, between: found.between });
    store.touch("answer", "lesson");
  }

  // --------------------------------------------------------------------------------------------------------- drawing

  function places(width, height) {
    const above = height - STRIP - 26;
    const side = Math.max(60, Math.min(above - 62, (width - 100) / 2));
    const top = 34;
    const dependency = { x: 34, y: top, width: side, height: side };
    const matrix = { x: Math.max(34 + side + 54, width - side - 8), y: top, width: side, height: side };
    const strip = { x: 48, y: height - STRIP + 8, width: width - 60, height: STRIP - 54 };
    return { dependency, matrix, strip };
  }

  function title(ctx, text, x, y, c) {
    ctx.font = "600 12px system-ui, sans-serif";
    HS.chart.text(ctx, text, x, y, c.ink);
    ctx.font = HS.chart.FONT;
  }

  function paintDependency(ctx, store, box, c) {
    const { matrix, chunkOf, names } = chunksOf(store);
    const n = matrix.shape[0];
    const most = W().largest(matrix);
    const cell = box.width / n;
    const after = lessonOf(store) && lessonOf(store).chunks;
    title(ctx, box.width < 230 ? `Dependencies${after ? " (after)" : ""}` : `Which chunk depends on which embedding${after ? ", after the lesson" : ""}`, box.x, box.y - 18, c);
    W().shade(ctx, box, Float32Array.from(matrix, (v) => (v > 0 ? Math.sqrt(v / most) : NaN)), n, n, 1);
    ctx.strokeStyle = c.muted;
    ctx.lineWidth = 1;
    ctx.strokeRect(box.x, box.y, box.width, box.height);
    HS.chart.text(ctx, "embedding of chunk →", box.x, box.y - 5, c.muted);
    for (let i = 1; i < n; i++) {
      if (chunkOf[i] === chunkOf[i - 1]) continue;
      HS.chart.line(ctx, box.x - 6, box.y + i * cell, box.x + box.width, box.y + i * cell, c.muted, 0.8, [2, 2]);
    }
    for (let i = 0; i < n; i += 1) if (n * 12 < box.height || i % 2 === 0) HS.chart.text(ctx, String(i + 1), box.x - 8, box.y + (i + 0.5) * cell, c.muted, "right", "middle");
    if (box.width >= 230) HS.chart.text(ctx, `weights: ${names[0].split(".").slice(0, 2).join(" ")} … ${names[names.length - 1].split(".").slice(0, 2).join(" ")}, top to bottom`, box.x, box.y + box.height + 13, c.muted);
  }

  function paintMatrix(ctx, store, box, c) {
    const n = store.payload.extras.tasks;
    const lesson = lessonOf(store);
    const cell = box.width / n;
    title(ctx, box.width < 230 ? "Right answers" : "Right answers on task → after lesson ↓", box.x, box.y - 18, c);
    paintRows(ctx, lesson ? lesson.rows : [], n, box, c);
    if (!lesson) W().words(ctx, store.host.live ? "Not learned yet." : "Lessons need the live app.", box.x + 1.3 * cell, box.y + 0.6 * cell, box.width - 1.3 * cell, c.muted, HS.chart.FONT, 14);
    const { score } = lesson || {};
    if (score) {
      const told = `all tasks ${HS.percent(score.final)} · when learned ${HS.percent(score.immediate)} · forgotten ${(100 * score.forgetting).toFixed(1)} points`;
      W().words(ctx, told, box.x, box.y + box.height + 13, box.width, c.ink, HS.chart.FONT, 13);
    }
  }

  /** Accuracies [lesson][task] as shaded cells with their percentages. */
  function paintRows(ctx, rows, n, box, c) {
    const cell = box.width / n;
    ctx.strokeStyle = c.muted;
    ctx.lineWidth = 1;
    for (let i = 0; i < n; i++) {
      HS.chart.text(ctx, String(i + 1), box.x + (i + 0.5) * cell, box.y - 4, c.muted, "center");
      HS.chart.text(ctx, String(i + 1), box.x - 7, box.y + (i + 0.5) * cell, c.muted, "right", "middle");
      for (let j = 0; j <= i; j++) {
        const share = rows[i] ? rows[i][j] : null;
        const [x, y] = [box.x + j * cell, box.y + i * cell];
        if (share !== null) {
          ctx.fillStyle = HS.ramp("viridis", share);
          ctx.fillRect(x, y, cell, cell);
          if (cell > 24) HS.chart.text(ctx, String(Math.round(100 * share)), x + cell / 2, y + cell / 2, share > 0.6 ? "#18202b" : "#ffffff", "center", "middle");
        }
        ctx.strokeRect(x, y, cell, cell);
      }
    }
  }

  function paintStrip(ctx, store, box, c) {
    const lesson = lessonOf(store);
    const n = store.payload.extras.tasks;
    const steps = lesson ? lesson.settings.steps : store.look.steps;
    const p = HS.chart.plot(box.x + box.width + 12, box.y + box.height, { left: box.x, right: 18, top: box.y, bottom: 0 }, [0, n * steps], [0, 1]);
    ctx.font = HS.chart.FONT;
    HS.chart.axisY(ctx, p, null, c, { wanted: 2, format: HS.percent });
    HS.chart.axisX(ctx, p, "", c, { wanted: 6 });
    for (let i = 0; i < n; i++) {
      if (i) HS.chart.line(ctx, p.px(i * steps), p.y, p.px(i * steps), p.y + p.height, c.muted, 1, [3, 3]);
      HS.chart.text(ctx, `lesson ${i + 1}`, p.px((i + 0.5) * steps), p.y - 3, c.muted, "center");
    }
    HS.chart.text(ctx, "step · accuracy on every task that was begun", p.x + p.width / 2, p.y + p.height + 20, c.muted, "center", "top");
    if (!lesson) return;
    for (let t = 0; t < n; t++) {
      const own = lesson.frames.filter((one) => one.accuracy.length > t);
      if (!own.length) continue;
      W().curve(ctx, p, { x: own.map((one) => one.step), y: own.map((one) => one.accuracy[t]), width: 2 }, c.series[t]);
      const last = own[own.length - 1];
      HS.chart.text(ctx, String(t + 1), Math.min(p.px(last.step) + 5, p.x + p.width - 2 - 9 * (n - 1 - t)), p.py(last.accuracy[t]), c.series[t], "left", "middle");
    }
    if (lesson.grown) HS.chart.text(ctx, `+${lesson.grown.units} units, old weights moved by ${lesson.grown.change === 0 ? "0" : lesson.grown.change.toExponential(0)}`, p.px(lesson.grown.step) + 4, p.y + p.height - 5, c.ink);
  }

  function createStage(element, store, hooks) {
    const state = stateOf(store);
    const size = () => [element.clientWidth, element.clientHeight];
    return W().stage(element, store, hooks, {
      label: "Dependency matrix, accuracy matrix and the course of the lessons. Brackets change the hypernetwork, s steps the story.",
      still: ["tab", "step", "keep", "beta", "grow"],
      base(ctx, width, height, c) {
        const at = places(width, height);
        paintDependency(ctx, store, at.dependency, c);
        paintMatrix(ctx, store, at.matrix, c);
        paintStrip(ctx, store, at.strip, c);
      },
      over(ctx, width, height, c) {
        const { under } = state;
        if (!under) return;
        const box = places(width, height)[under.kind];
        const n = under.kind === "dependency" ? chunksOf(store).matrix.shape[0] : store.payload.extras.tasks;
        const cell = box.width / n;
        ctx.strokeStyle = c.ink;
        ctx.lineWidth = 2.5;
        ctx.strokeRect(box.x + under.column * cell, box.y + under.row * cell, cell, cell);
      },
      move(x, y) {
        const at = places(...size());
        let found = null;
        for (const [kind, n] of [["dependency", chunksOf(store).matrix.shape[0]], ["matrix", store.payload.extras.tasks]]) {
          const cell = HS.cellAt(at[kind], [n, n], x, y);
          if (cell !== null) found = { kind, row: Math.floor(cell / n), column: cell % n };
        }
        if (JSON.stringify(found) !== JSON.stringify(state.under)) {
          state.under = found;
          store.touch("hover");
        }
        return found && JSON.stringify(found);
      },
      leave() {
        state.under = null;
        store.touch("hover");
      },
      press() {},
    });
  }

  // ------------------------------------------------------------------------------------------------ words and inputs

  function sentence(store) {
    const { under } = stateOf(store);
    const lesson = lessonOf(store);
    if (under && under.kind === "dependency") {
      const { matrix, chunkOf, names } = chunksOf(store);
      const n = matrix.shape[0];
      const value = matrix[under.row * n + under.column];
      return `chunk ${under.row + 1} (${names[chunkOf[under.row]]}) ${value === 0 ? "does not depend" : "depends"} on the embedding of chunk ${under.column + 1}: ‖∂W/∂c‖ = ${HS.show(value)}`;
    }
    if (under && lesson && lesson.rows[under.row] && under.column <= under.row) return `after lesson ${under.row + 1}: ${HS.percent(lesson.rows[under.row][under.column])} right on task ${under.column + 1}`;
    if (lesson && lesson.grown) return `grown to ${lesson.grown.hidden} units: the weights of the old tasks changed by ${lesson.grown.change === 0 ? "exactly 0" : HS.show(lesson.grown.change)} at that moment`;
    return "";
  }

  function createSection(store) {
    const { choice, range } = HS.inputs;
    const keep = choice({ label: "Keep", hint: "What holds the old tasks: their weights, their weights by importance, or nothing.", options: [["L2", "old weights (L2)"], ["importance", "by importance"], ["none", "nothing"]], value: "L2", onchange: (value) => store.set({ keep: value }) });
    const beta = range({ label: "How strongly β", hint: "Weight of the drift of old weights in the loss.", min: -3, max: 1, step: 0.1, value: -0.5, format: (v) => HS.show(10 ** v), oninput: (v) => store.set({ beta: Number((10 ** v).toPrecision(3)) }) });
    const steps = range({ label: "Steps per lesson", min: 50, max: 400, step: 50, value: 200, oninput: (value) => store.set({ steps: value }) });
    const grow = range({ label: "Grow before lesson 4, units", hint: "Adds units to the recurrent network; what they write starts at zero.", min: 0, max: 32, step: 4, value: 0, oninput: (value) => store.set({ grow: value }) });
    const button = W().streamButton(store, { name: "lesson", start: "Learn five tasks", begin: () => begin(store), frame: (found) => take(store, found), ended: () => store.touch("answer") });
    const count = HS.el("p", { class: "hs-count" });
    return {
      element: HS.el("section", { class: "hs-group" }, HS.el("h3", {}, "Lesson"), keep.element, beta.element, steps.element, grow.element, button.element, count),
      draw() {
        const { look, payload, layer } = store;
        keep.set(look.keep);
        beta.set(Math.log10(Math.max(0.001, look.beta)));
        steps.set(look.steps);
        grow.set(look.grow);
        beta.element.hidden = look.keep === "none";
        grow.element.hidden = layer.name !== "recurrent";
        button.draw();
        count.textContent = `${payload.extras.parameters[layer.name].toLocaleString("en")} parameters write ${payload.extras.generated.toLocaleString("en")} weights per task`;
      },
    };
  }

  function legend(store) {
    return { entries: [HS.legend.scale("‖∂W/∂c‖, square root", "viridis", "0", HS.show(W().largest(chunksOf(store).matrix))), HS.legend.scale("right answers", "viridis", "0 %", "100 %")], facts: [] };
  }

  function thumb(ctx, frame, store, index) {
    const { matrix } = chunksOf(store, store.layers[index]);
    const n = matrix.shape[0];
    const most = W().largest(matrix);
    ctx.fillStyle = "#f1f1ef";
    ctx.fillRect(frame.x, frame.y, frame.width, frame.height);
    W().shade(ctx, frame, Float32Array.from(matrix, (v) => (v > 0 ? Math.sqrt(v / most) : NaN)), n, n, 1);
  }

  function check(layer) {
    const { chunks } = layer;
    if (!chunks || !chunks.matrix || chunks.matrix.shape[0] !== chunks.matrix.shape[1] || chunks.chunkOf.length !== chunks.matrix.shape[0]) {
      throw new HS.Refusal(`The dependencies of “${layer.label}” do not fit together. Run it again.`);
    }
  }

  const told = (store) => {
    const lesson = lessonOf(store);
    return { exhibit: store.payload.exhibit.slug, hypernetwork: store.layer.name, dependency: rowsOf(chunksOf(store).matrix), lesson: lesson && { settings: lesson.settings, accuracy: lesson.rows, score: lesson.score, grown: lesson.grown } };
  };
  const rowsOf = (matrix) => Array.from({ length: matrix.shape[0] }, (_, i) => Array.from(matrix.subarray(i * matrix.shape[1], (i + 1) * matrix.shape[1]), (v) => Number(v.toPrecision(5))));

  HS.instrument({
    kind: "task-weights",
    check,
    base() {},
    overlay() {},
    thumb,
    legend,
    sentence,
    invitation: "Point at an entry of a matrix; learn five tasks with the button under “Lesson”.",
    settings: () => [],
    section: createSection,
    lookInputs: () => ({ main: {}, more: {}, draw() {} }),
    cutKinds: [],
    createStage,
    asJson: (store) => JSON.stringify(told(store), null, 1),
    asCsv: (store) => (told(store).lesson ? told(store).lesson.accuracy : told(store).dependency).map((row) => row.join()).join("\n"),
  });

  const lessonsOf = (store) => stateOf(store).all;

  HS.taskWeights = { lessonOf, lessonsOf, chunksOf, paintRows };
})();
