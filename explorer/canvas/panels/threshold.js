// @wing image-graphs
/**
 * The threshold of dynamic axial graphs (DAGC): τ = μ − λσ on the histogram of the half-roll sample, over it the
 * candidate distances. τ can be dragged or moved with the arrow keys; the gauge says when no edge can survive.
 */
(() => {
  "use strict";

  const HEIGHT = 232;
  const MARGIN = { left: 50, top: 40, right: 8, bottom: 36 };
  const LAMBDA = [-3, 3];
  const STEP = 0.05;
  const BINS = 48;

  const usable = (layer) => layer.rule.name === "axial-threshold" && Boolean(layer.distance) && layer.rule.mean != null;

  /** λ rounded to what the slider steps by, inside its range. */
  const tidy = (lambda, step) => Math.max(LAMBDA[0], Math.min(LAMBDA[1], Math.round(lambda / step) * step));

  /** Sample and candidate distances in shared bins from 0 to the largest of them. */
  function count(layer) {
    const sample = layer.sample || new Float32Array(0);
    const high = [...[sample, layer.distance].map((list) => list.reduce((a, v) => Math.max(a, v), 0)), layer.rule.mean].reduce((a, v) => Math.max(a, v));
    const width = (high * 1.001 || 1) / BINS;
    return { sample: HS.maths.histogram(sample, 0, width, BINS), candidates: HS.maths.histogram(layer.distance, 0, width, BINS), n: sample.length, high: width * BINS };
  }

  function mount(el, store) {
    const state = { data: null, drag: false, range: null };
    const view = HS.chart.board(el, { label: "Threshold τ: multiplier λ", role: "slider", height: () => HEIGHT, base, over, move, press: () => {}, key });
    const numbers = HS.el("dl", { class: "hs-numbers" });
    const shown = ["edges", "mean degree", "isolated"].map((name) => {
      const value = HS.el("dd");
      numbers.append(HS.el("div", {}, HS.el("dt", {}, name), value));
      return value;
    });
    const back = HS.el("button", { type: "button", class: "hs-button", onclick: () => store.set({ rule: { multiplier: null } }) }, "Back to the model's λ");
    el.append(numbers, back);
    const gauge = HS.chart.board(el, { label: "Gauge: spread divided by mean of the sampled distances", height: () => 62, base: drawGauge });
    const say = HS.chart.note(el);

    const rule = () => store.layer.rule;
    const lambda = () => HS.effectiveRule(store.layer, store.look.rule).multiplier;
    const tau = () => rule().mean - lambda() * rule().std;
    const cv = () => rule().std / rule().mean;
    const sampleShare = (n) => n / Math.max(1, state.data.n);
    const candidateShare = (n) => n / store.layer.distance.length;

    function area(width) {
      const { sample, candidates, high } = state.data;
      const top = Math.max(...Array.from(sample.counts, sampleShare), ...Array.from(candidates.counts, candidateShare));
      // Room to see a τ beyond the distances; the axis holds still while τ is dragged.
      if (!state.drag) state.range = [Math.min(0, rule().mean - 1.2 * rule().std, tau()), Math.max(high, tau())];
      return HS.chart.plot(width, HEIGHT, MARGIN, state.range, [0, top * 1.06]);
    }

    function base(ctx, width, height, c) {
      const p = area(width);
      const { sample, candidates } = state.data;
      HS.chart.axisY(ctx, p, "share of each", c, { wanted: 3, format: (v) => `${Math.round(100 * v)} %` });
      ctx.globalAlpha = 0.4;
      HS.chart.bars(ctx, p, sample, c.muted, sampleShare);
      ctx.globalAlpha = 1;
      ctx.save();
      ctx.beginPath();
      ctx.rect(p.x, p.y, Math.max(0, p.px(tau()) - p.x), p.height);
      ctx.clip();
      ctx.globalAlpha = 0.55;
      HS.chart.bars(ctx, p, candidates, c.listen, candidateShare);
      ctx.restore();
      HS.chart.steps(ctx, p, candidates, c.ink, candidateShare);
      HS.chart.axisX(ctx, p, `distance of two patches (${rule().p === 2 ? "L2" : "L1"}, feature units)`, c, { wanted: 6 });
      if (p.rangeX[0] < 0) HS.chart.line(ctx, p.px(0), p.y, p.px(0), p.y + p.height, c.muted);
      const mu = p.px(rule().mean);
      HS.chart.line(ctx, mu, p.y - 6, mu, p.y + p.height, c.ink, 1, [4, 3]);
      HS.chart.text(ctx, `μ ${HS.show(rule().mean)}`, mu + 4, p.y - 6, c.ink, "left", "middle");
    }

    function over(ctx, width, height, c) {
      const p = area(width);
      const focus = store.focus(store.look.layer);
      if (focus !== null) rug(ctx, p, focus, c);
      const x = Math.max(p.x, Math.min(p.x + p.width, p.px(tau())));
      HS.chart.line(ctx, x, p.y - 16, x, p.y + p.height, c.paper, 6);
      HS.chart.line(ctx, x, p.y - 16, x, p.y + p.height, c.listen, 3);
      ctx.beginPath();
      ctx.arc(x, p.y - 18, 7, 0, 2 * Math.PI);
      ctx.fillStyle = c.listen;
      ctx.fill();
      const left = x > p.x + p.width / 2;
      HS.chart.text(ctx, `τ = μ ${lambda() < 0 ? "+" : "−"} ${HS.show(Math.abs(lambda()))}·σ = ${HS.show(tau())}`, x + (left ? -12 : 12), p.y - 19, c.ink, left ? "right" : "left", "middle");
    }

    /** Distances of the focused patch's candidates, as ticks: bright where they are edges. */
    function rug(ctx, p, focus, c) {
      const [, width] = store.layer.candidates.shape;
      for (let j = 0; j < width; j++) {
        const d = store.layer.distance[focus * width + j];
        const x = p.px(d);
        HS.chart.line(ctx, x, p.y + p.height - 14, x, p.y + p.height, c.paper, 5);
        HS.chart.line(ctx, x, p.y + p.height - 14, x, p.y + p.height, d < tau() ? c.listen : c.muted, 3);
      }
    }

    function drawGauge(ctx, width, height, c) {
      const limit = lambda() > 0 ? 1 / lambda() : Infinity; // no edge iff λ·cv ≥ 1
      const p = HS.chart.plot(width, height, { left: 8, right: 8, top: 22, bottom: 22 }, [0, 2], [0, 1]);
      ctx.fillStyle = c.line;
      ctx.fillRect(p.x, p.y, p.width, p.height);
      ctx.fillStyle = c.bad;
      const from = p.px(Math.min(2, limit));
      ctx.fillRect(from, p.y, p.x + p.width - from, p.height);
      for (const tick of [0, 0.5, 1, 1.5, 2]) HS.chart.text(ctx, tick === 2 ? "2 or more" : String(tick), p.px(tick), p.y + p.height + 4, c.muted, tick === 0 ? "left" : tick === 2 ? "right" : "center", "top");
      HS.chart.text(ctx, `cv = σ/μ = ${cv().toFixed(2)}`, p.x, 10, c.ink, "left", "middle");
      if (limit < 2) HS.chart.text(ctx, `no edge from ${limit.toFixed(2)} on`, p.x + p.width, 10, c.bad, "right", "middle");
      const x = p.px(Math.min(2, cv()));
      HS.chart.line(ctx, x, p.y - 4, x, p.y + p.height + 4, c.paper, 6);
      HS.chart.line(ctx, x, p.y - 4, x, p.y + p.height + 4, c.ink, 3);
    }

    // ------------------------------------------------------------------------------------------------------- moving τ

    function setLambda(value, step) {
      store.set({ rule: { multiplier: Number(tidy(value, step).toFixed(3)) } });
    }

    function move(x, y, event) {
      if (event.type === "pointerdown") {
        state.drag = true;
        view.canvas.setPointerCapture(event.pointerId);
      }
      if (state.drag && rule().std > 0) setLambda((rule().mean - area(view.box.clientWidth).valueX(x)) / rule().std, 0.01);
      return null;
    }
    function release() {
      state.drag = false;
      view.draw(true);
    }
    view.canvas.addEventListener("pointerup", release);
    view.canvas.addEventListener("pointercancel", release);

    /** Right moves τ to larger distances, which is a smaller λ. */
    function key(event) {
      const change = { ArrowRight: -STEP, ArrowUp: -STEP, ArrowLeft: STEP, ArrowDown: STEP, PageUp: -0.25, PageDown: 0.25 }[event.key];
      if (!change) return false;
      setLambda(lambda() + change, STEP);
      return true;
    }

    function verdict() {
      const product = lambda() * cv();
      if (lambda() === 1 && product >= 1) return "cv ≥ 1: mean − deviation is below zero, so no edge can survive.";
      if (product >= 1) return `λ·cv = ${product.toFixed(2)} ≥ 1: the threshold is not above zero, so no edge can survive.`;
      if (product >= 0.8) return `λ·cv = ${product.toFixed(2)}: the threshold is close to zero and keeps only near copies.`;
      return `λ·cv = ${product.toFixed(2).replace("-", "−")} < 1: the threshold is above zero, so patches that are alike enough stay linked.`;
    }

    function describe() {
      const graph = store.graph(store.look.layer);
      const alone = HS.isolated(graph, store.layer).reduce((a, b) => a + b, 0);
      const values = [`${graph.m.toLocaleString("en")} of ${store.layer.distance.length.toLocaleString("en")}`, (graph.m / graph.n).toFixed(1), `${HS.percent(alone / graph.n)} (${alone})`];
      values.forEach((words, i) => (shown[i].textContent = words));
      back.hidden = !("multiplier" in store.look.rule) || lambda() === rule().multiplier;
      const canvas = view.canvas;
      for (const [name, value] of [["min", LAMBDA[0]], ["max", LAMBDA[1]], ["now", lambda()]]) canvas.setAttribute(`aria-value${name}`, value);
      canvas.setAttribute("aria-valuetext", `λ ${lambda().toFixed(2)}, ${graph.m} edges`);
      const from = rule().exact ? "μ and σ come from all pairs; grey: the half-roll sample" : "Grey: the sample δ (each patch against the one half a picture away), from which μ and σ come";
      say(`${verdict()} ${from} (n = ${state.data.n.toLocaleString("en")}). Line: all candidates (n = ${store.layer.distance.length.toLocaleString("en")}); filled: those that became edges. Drag τ.`);
    }

    const asleep = HS.el("p", { class: "hs-hint hs-panel-note", hidden: true }, "This layer compares nothing with a threshold. Choose a layer of GreedyViG (greedy axes) to see one.");
    el.append(asleep);

    function draw(changed) {
      const here = usable(store.layer);
      asleep.hidden = here;
      for (const node of [view.box, gauge.box, numbers]) node.hidden = !here;
      if (!here) return (back.hidden = true), say("");
      const stale = HS.chart.touched(changed, "layer", "rule");
      if (stale) state.data = count(store.layer);
      view.draw(stale);
      gauge.draw(stale);
      if (stale) describe();
    }

    return { draw, resize: () => (view.resize(), gauge.resize()), destroy: () => el.replaceChildren() };
  }

  HS.panel({ name: "threshold", title: "Threshold", available: (store) => store.layers.some(usable), mount });
})();
