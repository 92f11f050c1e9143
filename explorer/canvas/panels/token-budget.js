// @wing tokens
/**
 * What every budget keeps, and what the reader makes of it: role counts from 1 to N, chosen again in the browser; below, how sure
 * the reader stays of its answer from all patches, with HiPrune, with simpler rules and with random patches. Dragging sets the budget.
 */
(() => {
  "use strict";

  const MARGIN = { left: 44, right: 12, top: 26, bottom: 34 };
  const [UPPER, LOWER] = [132, 196];
  const OTHERS = ["registers only", "anchors and buffers only", "class token", "uniform grid", "object layer only"];

  function mount(el, store) {
    const state = { of: "this picture", over: null };
    const extras = () => store.payload.extras.tokens || {};
    const read = () => extras().reading && extras().reading.budgets ? extras().reading : null;
    const measured = () => extras().budgets;
    const head = HS.el("div", {});
    el.append(head);
    const choice = HS.chart.choice(head, "Answers over", [["this picture", "this picture"], ["test pictures", "test pictures", "Share of held-out pictures whose answer stays; from the model card"]], state.of, (of) => {
      state.of = of;
      draw();
    });
    const view = HS.chart.board(el, { role: "slider", label: "Roles of the kept patches at every budget, and the reader’s answer. Arrow keys change the budget.", height: () => UPPER + (answers() ? LOWER : 0), base, over, move, press: (x) => pick(x), leave: () => ((state.over = null), view.draw(false)), key });
    const legend = HS.curves.key(el);
    const say = HS.chart.note(el);

    const n = () => store.layer.tokens.score.length;
    const answers = () => (state.of === "test pictures" ? measured() : read());
    const upper = (width) => HS.chart.plot(width, UPPER, { ...MARGIN, bottom: answers() ? 14 : MARGIN.bottom }, [0, n()], [0, n()]);
    const lower = (width) => HS.chart.plot(width, UPPER + LOWER, { ...MARGIN, top: UPPER + 22 }, [0, n()], [0, 1]);
    const style = (name) => (name === "HiPrune" ? HS.curves.STYLES[0] : HS.curves.STYLES[1 + OTHERS.indexOf(name)] || HS.curves.STYLES[5]);

    /** The lines of the lower plot: [{name, xs, ys}], and the band of random choices. */
    function lines() {
      if (state.of === "test pictures") return fromCard(measured());
      const { budgets, rules, random } = read();
      const found = Object.entries(rules).map(([name, ys]) => ({ name, xs: budgets, ys }));
      return { found, random: { xs: budgets, ...random }, what: `probability of “${read().label}”` };
    }

    function fromCard(table) {
      const budgets = Object.keys(table).filter((key) => key !== "all").map(Number).sort((a, b) => a - b);
      const column = (name) => [...budgets.map((budget) => (table[budget][name] || {}).agreement ?? NaN), 1]; // all patches give the answer itself
      const names = [["hiprune, alpha 0.5", "HiPrune"], ...OTHERS.map((name) => [name, name])];
      const xs = [...budgets, n()];
      const found = names.map(([key, name]) => ({ name, xs, ys: column(key) })).filter(({ ys }) => ys.slice(0, -1).some(Number.isFinite));
      const mean = column("random");
      const spread = [...budgets.map((budget) => 2 * table[budget].random.agreement_deviation), 0];
      return { found, random: { xs, mean, low: mean.map((m, i) => Math.max(0, m - spread[i])), high: mean.map((m, i) => Math.min(1, m + spread[i])) }, what: "answers that stay the same" };
    }

    function base(ctx, width, height, c) {
      const p = upper(width);
      HS.chart.axisY(ctx, p, "", c, { wanted: 3 });
      const { budgets, rows } = HS.tokens.countsByBudget(store);
      const floor = new Float64Array(budgets.length);
      HS.roles.ROLES.forEach((role, code) => {
        if (!role || !rows[code].some((count) => count)) return;
        ctx.beginPath();
        budgets.forEach((budget, i) => ctx[i ? "lineTo" : "moveTo"](p.px(budget), p.py(floor[i] + rows[code][i])));
        for (let i = budgets.length - 1; i >= 0; i--) ctx.lineTo(p.px(budgets[i]), p.py(floor[i]));
        ctx.closePath();
        ctx.globalAlpha = 0.85;
        ctx.fillStyle = role.colour;
        ctx.fill();
        ctx.globalAlpha = 1;
        rows[code].forEach((count, i) => (floor[i] += count));
      });
      HS.chart.text(ctx, "Patches in each role", p.x + p.width, p.y - 20, c.ink, "right", "top");
      if (!answers()) return HS.chart.axisX(ctx, p, "patches kept", c);
      const q = lower(width);
      const { found, random, what } = lines();
      HS.chart.axisY(ctx, q, "", c, { wanted: 4, format: HS.percent });
      HS.chart.text(ctx, what.replace(/^./, (first) => first.toUpperCase()), q.x, q.y - 8, c.ink);
      HS.chart.axisX(ctx, q, "patches kept", c);
      HS.curves.band(ctx, q, random.xs, random.low, random.high, c.muted, 0.25);
      HS.curves.line(ctx, q, random.xs, random.mean, { colour: c.muted, dash: [3, 3] }, { marks: false });
      for (const { name, xs, ys } of [...found].reverse()) HS.curves.line(ctx, q, xs, ys, style(name), { width: name === "HiPrune" ? 2.5 : 1.25 });
    }

    function over(ctx, width, height, c) {
      const { budget } = HS.tokens.settingsOf(store);
      HS.curves.grip(ctx, upper(width), budget, c.accent, `${budget} kept`);
      if (answers()) HS.chart.line(ctx, lower(width).px(budget), lower(width).y, lower(width).px(budget), lower(width).y + lower(width).height, c.accent, 2);
      if (state.over !== null && answers()) HS.chart.line(ctx, lower(width).px(state.over), lower(width).y, lower(width).px(state.over), lower(width).y + lower(width).height, c.muted, 1, [2, 2]);
    }

    function pick(x) {
      const value = Math.round(upper(view.box.clientWidth).valueX(x));
      store.set({ budget: Math.max(1, Math.min(n(), value)) });
    }

    function move(x, y, event) {
      state.over = Math.max(1, Math.min(n(), Math.round(upper(view.box.clientWidth).valueX(x))));
      if (event && event.buttons & 1) pick(x);
      view.draw(false);
      describe();
      return state.over;
    }

    function key(event) {
      const by = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[event.key];
      if (!by) return false;
      store.set({ budget: Math.max(1, Math.min(n(), HS.tokens.settingsOf(store).budget + by)) });
      return true;
    }

    function describe() {
      if (!answers() && HS.tokens.isRead(store)) return say("Drag to change the budget: the answer follows. Curves over all budgets are not drawn, because each point would be a run of the language model.");
      if (!answers()) return say("This encoder has no reader here, so only what is kept can be shown. Drag to change the budget.");
      const { found, random } = lines();
      const at = state.over ?? HS.tokens.settingsOf(store).budget;
      const i = random.xs.reduce((best, x, k) => (Math.abs(x - at) < Math.abs(random.xs[best] - at) ? k : best), 0);
      const own = found.find(({ name }) => name === "HiPrune");
      const best = [...found].sort((a, b) => (Number.isFinite(b.ys[i]) ? b.ys[i] : -1) - (Number.isFinite(a.ys[i]) ? a.ys[i] : -1))[0];
      const where = own.ys[i] > random.high[i] ? "above every" : own.ys[i] < random.low[i] ? "below every" : "among the";
      const sample = state.of === "test pictures" ? "band: two deviations over 10 seeds" : `band: ${read().random.seeds} random choices, lowest to highest`;
      say(`With ${random.xs[i]} patches HiPrune gives ${HS.percent(own.ys[i])}, ${where} random choice${where === "among the" ? "s" : ""} (mean ${HS.percent(random.mean[i])}); highest here: ${best.name}, ${HS.percent(best.ys[i])}. ${sample[0].toUpperCase()}${sample.slice(1)}. HiPrune stands as the model ran it.`);
    }

    function draw(changed) {
      if (HS.chart.onlyHover(changed)) return;
      choice.allow("test pictures", Boolean(measured()), "Measured when the network is trained; this one is not yet");
      head.hidden = !read();
      view.draw(HS.chart.touched(changed, "chooser", ...HS.tokens.SETTINGS.filter((name) => name !== "budget")));
      if (HS.chart.touched(changed)) view.resize();
      if (answers()) legend([...lines().found.map(({ name }) => [style(name), name]), [{ colour: "#808080", dash: [3, 3], band: true }, "random"]]);
      view.canvas.setAttribute("aria-valuenow", HS.tokens.settingsOf(store).budget);
      view.canvas.setAttribute("aria-valuemin", 1);
      view.canvas.setAttribute("aria-valuemax", n());
      describe();
    }

    return { draw, resize: () => view.resize(), destroy: () => el.replaceChildren() };
  }

  HS.panel({ name: "budget", kind: "tokens", title: "Budget", available: () => true, mount });
})();
