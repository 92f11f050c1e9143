// @wing image-graphs
/**
 * Numbers of the layers, one strip each: what happens to edges and features with depth. The current layer is marked; a
 * click or the arrow keys go to another one. Where k or dilation change with depth, they are drawn as steps.
 */
(() => {
  "use strict";

  const STRIP = 56;
  const LEFT = 40;
  const RIGHT = 10;

  const known = (values) => values.filter((v) => v !== null && Number.isFinite(v));
  /** A round number that no value exceeds, at least `least`. */
  function most(values, least) {
    const high = Math.max(least, ...known(values));
    const step = HS.maths.tickStep(high, 4);
    return Number((Math.ceil(high / step - 1e-9) * step).toPrecision(6));
  }
  const least = (values) => Math.min(0, Math.floor(Math.min(...known(values)) * 10) / 10);

  /** Honest ranges: zero or the measure's own ends are always on the strip. */
  function rangeOf(key, values) {
    if (key === "homophily_adjusted" || key === "mean_cosine") return [least(values), 1];
    if (key === "smv") return [0, 1];
    if (key.startsWith("dirichlet")) return [0, most(values, 1)];
    if (key === "cv") return [0, most(values, 1.2)];
    return [0, most(values, 1e-9)];
  }

  /** What a strip's ends mean, in a few words. */
  const MEANING = {
    homophily_adjusted: "0 chance, 1 none crosses",
    effective_rank: "directions",
    dirichlet_own: "0 alike",
    dirichlet_grid: "0 alike",
    mean_cosine: "1 all alike",
    smv: "0 all alike",
    length_median: "patches",
    edges: "per patch",
    cv: "σ/μ, none from 1 on",
  };

  /** The strips of a payload: [{key, title, unit, values, range, stepped}]. */
  function stripsOf(payload) {
    const { keys, values } = payload.depth;
    const strips = Object.keys(keys)
      .filter((key) => values[key] && known(values[key]).length)
      .map((key) => {
        const perPatch = (v, i) => (v === null ? null : v / (payload.layers[i].grid[0] * payload.layers[i].grid[1]));
        const list = key === "edges" ? values[key].map(perPatch) : values[key];
        return { key, title: keys[key], unit: MEANING[key] || "", values: list, range: rangeOf(key, list), stepped: false };
      });
    for (const name of ["k", "dilation"]) {
      const list = payload.layers.map((layer) => (layer.rule.name === "nearest" && layer.rule[name] != null ? layer.rule[name] : null));
      if (new Set(known(list)).size > 1) strips.push({ key: name, title: TITLES[name], unit: "", values: list, range: [0, most(list, 1)], stepped: true });
    }
    return strips;
  }

  const TITLES = { k: "Neighbours per patch (k)", dilation: "Every d-th of the nearest (dilation)" };

  /** What the strips say about over-smoothing. */
  function caption(payload) {
    const ends = (key) => {
      const list = known((payload.depth.values || {})[key] || []);
      return list.length > 1 ? [list[0], list[list.length - 1]] : null;
    };
    const [contrast, rank, cosine] = [ends("dirichlet_grid"), ends("effective_rank"), ends("mean_cosine")];
    const rule = "Over-smoothing, patches becoming copies of each other, shows as contrast between touching patches → 0, cosine → 1 and directions → 1, all together.";
    if (!contrast || !rank || !cosine) return rule;
    const smooth = contrast[1] < 0.5 * contrast[0] && rank[1] < 0.5 * rank[0] && cosine[1] > cosine[0];
    const change = (name, [from, to]) => `${name} ${HS.show(from)} → ${HS.show(to)}`;
    const grids = payload.layers.map((layer) => layer.grid[0] * layer.grid[1]);
    const last = grids[grids.length - 1];
    const bound = last < grids[0] ? ` The last grid has ${last} patches, so at most ${last - 1} directions are possible there.` : "";
    return `${rule} Here, first to last layer: ${[change("contrast", contrast), change("cosine", cosine), change("directions", rank)].join(", ")}: ${smooth ? "all three point that way" : "not all three point that way"}.${bound}`;
  }

  function mount(el, store) {
    const strips = stripsOf(store.payload);
    const count = store.layers.length;
    const state = { over: null };
    const view = HS.chart.board(el, {
      label: "Numbers of every layer. Arrow keys change the layer.",
      height: () => strips.length * STRIP + 36,
      base,
      over,
      move,
      leave: () => {
        state.over = null;
        view.draw(false);
      },
      press: () => state.over !== null && store.set({ layer: state.over }),
      key,
    });
    const say = HS.chart.note(el);

    const px = (i, width) => LEFT + ((i + 0.5) * (width - LEFT - RIGHT)) / count;
    const plotOf = (strip, n, width) => {
      const top = n * STRIP + 20;
      return HS.chart.plot(width, top + STRIP - 28, { left: LEFT, right: RIGHT, top, bottom: 0 }, [0, count], strip.range);
    };

    function base(ctx, width, height, c) {
      strips.forEach((strip, n) => drawStrip(ctx, width, strip, plotOf(strip, n, width), c));
      const bottom = strips.length * STRIP + 4;
      const every = Math.ceil(count / 12);
      for (let i = 0; i < count; i += every) HS.chart.text(ctx, String(i + 1), px(i, width), bottom, c.muted, "center", "top");
      HS.chart.text(ctx, "layer", 0, bottom, c.muted, "left", "top");
      groupLines(ctx, width, bottom, c);
    }

    /** A line where the grid changes: numbers of different grids compare only with care. */
    function groupLines(ctx, width, bottom, c) {
      store.layers.forEach((layer, i) => {
        if (i === 0 || String(layer.grid) === String(store.layers[i - 1].grid)) return;
        const x = (px(i, width) + px(i - 1, width)) / 2;
        HS.chart.line(ctx, x, 0, x, bottom, c.muted, 1, [1, 3]);
      });
    }

    function drawStrip(ctx, width, strip, p, c) {
      for (const end of strip.range) HS.chart.line(ctx, p.x, p.py(end) + 0.5, p.x + p.width, p.py(end) + 0.5, c.line);
      if (strip.key === "cv") HS.chart.line(ctx, p.x, p.py(1), p.x + p.width, p.py(1), c.bad, 1, [4, 3]);
      for (const end of strip.range) HS.chart.text(ctx, String(end), p.x - 5, p.py(end), c.muted, "right", "middle");
      ctx.beginPath();
      let pen = false;
      strip.values.forEach((v, i) => {
        if (v === null) return (pen = false);
        const half = strip.stepped ? (width - LEFT - RIGHT) / count / 2 : 0;
        if (pen) ctx.lineTo(px(i, width) - half, p.py(v));
        else ctx.moveTo(px(i, width) - half, p.py(v));
        ctx.lineTo(px(i, width) + half, p.py(v));
        pen = true;
      });
      ctx.strokeStyle = c.accent;
      ctx.lineWidth = 1.75;
      ctx.stroke();
      if (strip.stepped) return;
      ctx.fillStyle = c.accent;
      strip.values.forEach((v, i) => v !== null && (ctx.beginPath(), ctx.arc(px(i, width), p.py(v), 2.5, 0, 2 * Math.PI), ctx.fill()));
    }

    function over(ctx, width, height, c) {
      const shown = state.over ?? store.look.layer;
      HS.chart.text(ctx, store.layers[shown].label, LEFT + (width - LEFT - RIGHT) / 2, height - 2, c.ink, "center", "bottom");
      column(ctx, width, height - 14, store.look.layer, c.accent, 0.16);
      if (state.over !== null && state.over !== store.look.layer) column(ctx, width, height - 14, state.over, c.muted, 0.14);
      strips.forEach((strip, n) => {
        const value = strip.values[shown];
        const y = n * STRIP + 7;
        HS.chart.text(ctx, value === null ? "–" : HS.show(value), width - RIGHT, y, c.ink, "right", "middle");
        HS.chart.text(ctx, strip.title, 0, y, c.ink, "left", "middle");
        const after = ctx.measureText(strip.title).width + 8;
        if (after + ctx.measureText(strip.unit).width < width - RIGHT - 44) HS.chart.text(ctx, strip.unit, after, y, c.muted, "left", "middle");
        if (value === null) return;
        ctx.beginPath();
        ctx.arc(px(shown, width), plotOf(strip, n, width).py(value), 4, 0, 2 * Math.PI);
        ctx.fillStyle = c.listen;
        ctx.fill();
      });
    }

    function column(ctx, width, height, i, colour, alpha) {
      const half = (width - LEFT - RIGHT) / count / 2;
      ctx.globalAlpha = alpha;
      ctx.fillStyle = colour;
      ctx.fillRect(px(i, width) - half, 0, 2 * half, height - 8);
      ctx.globalAlpha = 1;
    }

    function move(x) {
      const i = Math.floor(((x - LEFT) / (view.box.clientWidth - LEFT - RIGHT)) * count);
      state.over = i >= 0 && i < count ? i : null;
      view.draw(false);
      return state.over;
    }

    function key(event) {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return false;
      store.set({ layer: Math.max(0, Math.min(count - 1, store.look.layer + step)) });
      return true;
    }

    return {
      draw(changed) {
        view.draw(HS.chart.touched(changed));
        say(caption(store.payload));
      },
      resize: () => view.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "depth", kind: "any", title: "Depth", available: ({ payload }) => Boolean(payload.depth && payload.layers.length > 1 && stripsOf(payload).length), mount });
})();
