// @wing hypernetworks
/**
 * The order of channels: a shuffled network, the search for the order in which neighbours are alike, step by step, and what it does
 * to the matrix and to the answers (nothing).
 */
(() => {
  "use strict";

  function mount(el, store) {
    const { cliques } = store.payload.extras;
    let clique = 0;
    let seed = 0;
    let found = null;
    let step = 0;
    let timer = 0;

    const pick = HS.inputs.choice({ label: "Channels of", options: cliques.map((one, i) => [i, `${one.name}, ${one.size}`]), value: 0, onchange: (value) => ((clique = value), ask()) });
    const shuffle = HS.el("button", { type: "button", class: "hs-button", disabled: !store.host.live, onclick: () => ((seed += 1), ask()) }, "Shuffle again");
    const play = HS.el("button", { type: "button", class: "hs-button", disabled: !store.host.live, onclick: run }, "Search");
    HS.weights.bar(el, pick.element, shuffle, play);
    const slider = HS.inputs.range({ label: "Step of the search", min: 0, max: 1, step: 1, value: 0, format: (v) => (found ? `${v + 1} of ${found.steps.length}` : ""), oninput: (value) => go(value) });
    el.append(slider.element);

    const board = HS.chart.board(el, {
      label: "Channels as cities and the path through them; the matrix in this order",
      height: (width) => Math.min(430, 0.62 * width + 150),
      base(ctx, width, height, c) {
        if (!found) return HS.chart.text(ctx, store.host.live ? "…" : "Needs the live app: this is a stored picture.", width / 2, 40, c.muted, "center");
        const tall = height - 150;
        paintPath(ctx, { x: 0, y: 0, width, height: tall }, c);
        const half = (width - 14) / 2;
        paintMatrix(ctx, { x: 0, y: tall + 18, width: half, height: 110 }, found.steps[0], "shuffled", c);
        paintMatrix(ctx, { x: half + 14, y: tall + 18, width: half, height: 110 }, found.steps[step], step === found.steps.length - 1 ? "in the order found" : "in this order", c);
      },
    });
    const say = HS.chart.note(el);

    function paintPath(ctx, box, c) {
      const at = HS.points.place(found.points, box, 16);
      const order = found.steps[step];
      for (let i = 1; i < order.length; i++) HS.chart.line(ctx, at.x[order[i - 1]], at.y[order[i - 1]], at.x[order[i]], at.y[order[i]], c.accent, 1.8);
      order.forEach((channel, i) => HS.weights.dot(ctx, at.x[channel], at.y[channel], 5, HS.ramp("viridis", i / Math.max(1, order.length - 1)), c.ink, 1));
      HS.chart.text(ctx, `path length ${HS.show(found.lengths[step])}`, box.x, box.y + 12, c.ink);
      HS.chart.text(ctx, `channels by everything tied to them, two components (${HS.percent(found.explained[0] + found.explained[1])})`, box.x, box.y + box.height - 2, c.muted);
    }

    function paintMatrix(ctx, box, order, title, c) {
      const [rows, cols] = found.matrix.shape;
      const sorted = new Float32Array(rows * cols);
      order.forEach((channel, i) => sorted.set(found.matrix.subarray(channel * cols, (channel + 1) * cols), i * cols));
      HS.weights.heat(ctx, box, sorted, rows, cols, HS.weights.largest(found.matrix));
      ctx.strokeStyle = c.muted;
      ctx.strokeRect(box.x, box.y, box.width, box.height);
      HS.chart.text(ctx, `${found.tensor.split(".")[0]}, ${title}`, box.x, box.y - 4, c.muted);
    }

    function ask() {
      clearInterval(timer);
      HS.weights.questions(store).ask("order", { clique, seed }, (answer) => {
        found = answer;
        step = answer.steps.length - 1;
        slider.bound(0, step);
        slider.set(step);
        tell();
        board.draw(true);
      }, say);
    }

    function go(value) {
      step = Math.min(found ? found.steps.length - 1 : 0, value);
      slider.set(step);
      board.draw(true);
      tell();
    }

    /** The search as it went, about three seconds long; with reduced motion its end only. */
    function run() {
      clearInterval(timer);
      if (!found) return;
      if (HS.calm()) return go(found.steps.length - 1);
      go(0);
      timer = setInterval(() => (step < found.steps.length - 1 ? go(step + 1) : clearInterval(timer)), Math.max(50, 3000 / found.steps.length));
    }

    function tell() {
      if (!found) return;
      const [before, after] = found.variation;
      const saved = 1 - found.lengths[found.lengths.length - 1] / found.lengths[0];
      const exact = found.exact ? "the shortest there is" : "the best that was found";
      say(
        `From ${HS.show(found.lengths[0])} to ${HS.show(found.lengths[found.lengths.length - 1])} (${HS.percent(saved)} shorter, ${exact}); the network that ships: ${HS.show(found.shipped)}. ` +
          `Total variation ${HS.show(before)} → ${HS.show(after)}. The answers move by at most ${found.moved.toExponential(0)}: only names of channels changed.`,
      );
    }

    return {
      draw(changed) {
        if (changed.has("payload") && !found) ask();
        board.draw(HS.chart.touched(changed, "theme"));
      },
      resize: () => board.resize(),
      destroy() {
        clearInterval(timer);
        el.replaceChildren();
      },
    };
  }

  HS.panel({ name: "order", title: "Order of channels", kind: "weight-field", available: ({ payload }) => Boolean(payload.extras.cliques), mount });
})();
