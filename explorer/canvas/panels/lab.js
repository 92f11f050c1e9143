// @wing image-graphs
/**
 * The laboratory of the fixed axial graph (SVGA): board size and step, and what follows from them alone. No model runs.
 */
(() => {
  "use strict";

  const SIZES = [5, 16];
  const STEPS = [1, 4];
  const BLOCKS = 4;
  const ROLL = 650; // milliseconds per roll
  const PALE = new Set([1, 3, 4, 6]); // group colours that need dark text
  const VIEWS = [
    ["pieces", "Pieces", "Patches of one colour can hear each other"],
    ["reach", "Reach", "After how many blocks the chosen patch has heard from each patch"],
    ["fiedler", "Fiedler", "The slowest mode of the piece: where it would come apart first"],
  ];

  function mount(el, store) {
    const state = { size: 7, step: 2, view: "pieces", patch: 24, data: HS.networks.study(7, 2), steps: null, fiedler: null, roll: null, frame: 0 };
    const slider = (label, [min, max], value, apply) => {
      const input = HS.inputs.range({ label, min, max, step: 1, value, format: String, oninput: apply });
      return input.element;
    };
    el.append(
      HS.el(
        "div",
        { class: "hs-lab-sliders" },
        slider("Patches per side", SIZES, state.size, (size) => change({ size })),
        slider("Step K", STEPS, state.step, (step) => change({ step })),
      ),
    );
    HS.chart.choice(el, "Colour", VIEWS, state.view, (view) => change({ view }));
    const headline = HS.chart.note(el, "hs-panel-verdict");
    const view = HS.chart.board(el, {
      label: "The board. Arrow keys move the chosen patch.",
      height: (width) => Math.min(width, 340),
      base,
      over,
      move,
      press: (x, y) => move(x, y) !== null,
      key,
    });
    const play = HS.el("button", { type: "button", class: "hs-button", onclick: () => (state.roll ? stop() : start()) }, "Play the rolls");
    const numbers = HS.el("dl", { class: "hs-numbers" });
    el.append(play, numbers);
    const say = HS.chart.note(el);

    function change(part) {
      stop();
      const before = state.size;
      Object.assign(state, part);
      if (state.size !== before) state.patch = Math.floor(state.size / 2) * (state.size + 1);
      if (part.size || part.step) state.data = HS.networks.study(state.size, state.step);
      refresh();
    }

    /** What depends on the chosen patch. */
    function refresh() {
      const { data, patch } = state;
      state.steps = HS.networks.stepsTo(data.graph, patch);
      state.fiedler = null;
      if (state.view === "fiedler") {
        const members = Array.from(data.label.keys()).filter((i) => data.label[i] === data.label[patch]);
        const found = HS.networks.fiedler(data.graph, members);
        const most = found.vector.reduce((a, v) => Math.max(a, Math.abs(v)), 1e-9);
        const values = new Float32Array(data.graph.n).fill(NaN);
        members.forEach((node, i) => (values[node] = found.vector[i] / most));
        state.fiedler = { values, value: found.value, size: members.length };
      }
      view.draw(true);
      describe();
    }

    // -------------------------------------------------------------------------------------------------------- drawing

    const frame = (width, height) => HS.minimap.fit({ x: 12, y: 12, width: width - 24, height: height - 24 }, [state.size, state.size]);

    function fill(i, c) {
      const { data, view: shown, steps, fiedler } = state;
      if (shown === "pieces") return HS.chart.groupColour(data.label[i]);
      if (shown === "reach") return steps[i] <= BLOCKS + 1 ? HS.ramp("viridis", 1 - steps[i] / (BLOCKS + 1)) : c.line;
      return Number.isNaN(fiedler.values[i]) ? c.line : HS.ramp("diverging", 0.5 + fiedler.values[i] / 2);
    }

    function tile(ctx, f, x, y, colour) {
      const cell = f.width / state.size;
      ctx.fillStyle = colour;
      ctx.fillRect(f.x + x * cell + 1, f.y + y * cell + 1, cell - 2, cell - 2);
    }

    function base(ctx, width, height, c) {
      const f = frame(width, height);
      if (state.roll) return drawRoll(ctx, f);
      for (let i = 0; i < state.data.graph.n; i++) tile(ctx, f, i % state.size, Math.floor(i / state.size), fill(i, c));
      if (state.view === "pieces" && state.data.count > 7) islands(ctx, f);
    }

    /** The picture stands for the feature map: it slides, leaves on one side and comes back on the other. */
    function drawRoll(ctx, f) {
      const { at, turn } = state.roll;
      const cell = f.width / state.size;
      const image = HS.chart.picture(store, () => view.draw(true));
      const arriving = state.data.graph.neighbours[state.patch][turn];
      ctx.save();
      ctx.beginPath();
      ctx.rect(f.x, f.y, f.width, f.height);
      ctx.clip();
      const copies = [at, [at[0] - state.size, at[1]], [at[0], at[1] - state.size]];
      for (const [down, right] of copies) {
        HS.drawPicture(ctx, { ...f, x: f.x + right * cell, y: f.y + down * cell }, image, false);
      }
      HS.drawGrid(ctx, f, [state.size, state.size]);
      for (const [down, right] of copies) {
        const [x, y, w, h] = HS.cellRect(f, [state.size, state.size], arriving);
        HS.drawCell(ctx, [x + right * cell, y + down * cell, w, h], HS.MEANING.in, 3);
      }
      ctx.restore();
    }

    /** More pieces than colours: their numbers tell them apart. */
    function islands(ctx, f) {
      const cell = f.width / state.size;
      state.data.label.forEach((piece, i) => {
        HS.chart.text(ctx, String(piece + 1), f.x + ((i % state.size) + 0.5) * cell, f.y + (Math.floor(i / state.size) + 0.5) * cell, PALE.has(piece) ? "#14181f" : "#fff", "center", "middle");
      });
    }

    function over(ctx, width, height) {
      const f = frame(width, height);
      const grid = [state.size, state.size];
      HS.drawCell(ctx, HS.cellRect(f, grid, state.patch), HS.MEANING.focus, 3);
      const done = state.roll ? state.roll.done : Infinity;
      const { graph, slot, wrap } = arrows();
      const shown = Array.from({ length: graph.m }, (_, e) => e).filter((e) => e < done);
      for (const e of shown) HS.drawCell(ctx, HS.cellRect(f, grid, graph.source[e]), HS.MEANING.in, 2);
      HS.drawEdges(ctx, f, { grid, keyGrid: grid }, { ...graph, slot, wrap }, shown, { colour: HS.MEANING.in, width: 2, alpha: 1, arrows: true, halo: true });
    }

    /** The edges of the chosen patch in the form that the picture draws. */
    function arrows() {
      const sources = state.data.graph.neighbours[state.patch];
      const graph = { m: sources.length, source: sources, target: sources.map(() => state.patch), strength: sources.map(() => 0.7) };
      return { graph, slot: sources.map((_, i) => i), wrap: sources.map((source) => (source > state.patch ? 1 : 0)) };
    }

    // ------------------------------------------------------------------------------------------------------- the rolls

    /** The feature map slides by K, 2K, … down, then across; what arrives under the patch is its next neighbour. */
    function start() {
      const list = HS.networks.shifts(state.size, state.step);
      const moves = [...list.map((s) => [s, 0]), ...list.map((s) => [0, s])];
      if (moves.length === 0) return;
      if (HS.calm()) return still(moves);
      state.roll = { moves, at: [0, 0], turn: 0, done: 0, begun: performance.now() };
      play.textContent = "Stop";
      tick();
    }

    function tick() {
      const { roll } = state;
      const passed = (performance.now() - roll.begun) / ROLL;
      const turn = Math.floor(passed);
      if (turn >= roll.moves.length) return stop();
      const part = Math.min(1, (passed - turn) / 0.7);
      const eased = part * part * (3 - 2 * part);
      roll.at = roll.moves[turn].map((s) => s * eased);
      roll.turn = turn;
      roll.done = turn + (part === 1 ? 1 : 0);
      view.draw(true);
      say(`Roll ${turn + 1} of ${roll.moves.length}: the whole map slides ${roll.moves[turn][0] ? "down" : "right"} by ${Math.max(...roll.moves[turn])}; what lands on the patch becomes its neighbour. No distance is computed.`);
      state.frame = requestAnimationFrame(tick);
    }

    /** Without motion: one still picture per press, each a roll further. */
    function still(moves) {
      const turn = ((state.turn ?? -1) + 1) % moves.length;
      state.turn = turn;
      state.roll = { moves, at: moves[turn], turn, done: turn + 1 };
      view.draw(true);
      say(`Roll ${turn + 1} of ${moves.length}: the whole map has slid ${moves[turn][0] ? "down" : "right"} by ${Math.max(...moves[turn])}; what lies on the patch now is its neighbour.`);
      state.roll = null;
      play.textContent = "Next roll";
    }

    function stop() {
      cancelAnimationFrame(state.frame);
      state.roll = null;
      play.textContent = "Play the rolls";
      view.draw(true);
      describe();
    }

    // -------------------------------------------------------------------------------------------------------- gestures

    function choose(patch) {
      if (patch === null || patch === state.patch) return patch;
      if (state.roll) stop();
      state.patch = patch;
      refresh();
      return patch;
    }

    function move(x, y) {
      return choose(HS.cellAt(frame(view.box.clientWidth, view.box.clientHeight), [state.size, state.size], x, y));
    }

    function key(event) {
      const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!by) return false;
      const clamp = (v) => Math.max(0, Math.min(state.size - 1, v));
      choose(clamp(Math.floor(state.patch / state.size) + by[0]) * state.size + clamp((state.patch % state.size) + by[1]));
      return true;
    }

    function describe() {
      const { data, steps, fiedler } = state;
      headline(HS.networks.sentence(data));
      const shares = HS.networks.reach(steps, BLOCKS).map((share) => HS.percent(share)).join(", ");
      const rows = [
        ["pieces", `${data.count} = gcd(${data.step}, ${data.size})²`],
        ["neighbours", String(data.degree)],
        ["answered (reciprocity)", HS.percent(data.reciprocity)],
        [`heard after 1–${BLOCKS} blocks`, shares],
      ];
      if (fiedler) rows.push(["gap λ₂ of the piece", `${fiedler.value.toFixed(3)}, ${fiedler.size} patches`]);
      numbers.replaceChildren(...rows.map(([name, value]) => HS.el("div", {}, HS.el("dt", {}, name), HS.el("dd", {}, value))));
      say(WORDS[state.view]);
    }

    state.steps = HS.networks.stepsTo(state.data.graph, state.patch);
    return {
      draw(changed) {
        if (HS.chart.touched(changed)) refresh();
      },
      resize: () => view.resize(),
      destroy() {
        cancelAnimationFrame(state.frame);
        el.replaceChildren();
      },
    };
  }

  const WORDS = {
    pieces: "Each colour is a piece; news never crosses colours, however many blocks follow. Dotted arrows come in over the border. Hover a patch.",
    reach: "Yellow: the patch itself; darker: heard from after more blocks; grey: not within five, or never. Hover a patch.",
    fiedler: "Blue and orange: the two halves between which news travels slowest. On these boards several such splits are equally slow; one is shown. Hover a patch.",
  };

  HS.panel({ name: "lab", title: "Grid lab", available: ({ payload }) => Boolean(payload.extras.svgaLab), mount });
})();
