// @wing hypergraphs
/**
 * Hyperedges that are chosen: the score of each on this picture, which of them are on and where the line lies, how often the test
 * pictures choose each, and what becomes of the prediction for every number k. Data: payload.extras.choice {layer name: {label, by_k:
 * probability of the first class at k = 0, 1, …, used: share of `pictures` test pictures that choose each, or null}}.
 */
(() => {
  "use strict";

  const ROW = 17;
  const TOP = 20;
  const LEFT = 30;
  const CURVE = 120;
  const MARGIN = 38; // beside the curve: room for "100 %"
  const AXIS = 30;

  function mount(el, store) {
    const known = () => (store.payload.extras.choice || {})[store.layer.name] || null;
    const view = HS.chart.board(el, { label: "Scores of the hyperedges that can be chosen, and how often each is", height: () => TOP + ROW * (count() || 1) + 4, base, over, move, leave: () => store.setHoverEdge(null), press });
    const curve = HS.chart.board(el, { label: "Probability of the first class for every number of chosen hyperedges", height: () => CURVE + AXIS, base: curveBase, over: () => {}, move: () => null, leave: () => {}, press: curvePress });
    const say = HS.chart.note(el);

    const h = () => store.layer.hypergraph;
    const count = () => (h().scores ? h().hyperedges - h().fixed : 0);
    const k = () => HS.hyper.settingsOf(store, store.layer).k;
    /** Those that can be chosen, the best score first. */
    const ranked = () => Array.from({ length: count() }, (_, i) => i + h().fixed).sort((a, b) => h().scores[b] - h().scores[a]);

    function base(ctx, width, height, c) {
      const order = ranked();
      const [low, high] = [h().scores[order[order.length - 1]], h().scores[order[0]]];
      const middle = LEFT + (width - LEFT) * 0.62;
      const used = known() && known().used;
      HS.chart.text(ctx, "score on this picture", LEFT, 8, c.muted, "left", "middle");
      if (used) HS.chart.text(ctx, "chosen by", width, 8, c.muted, "right", "middle");
      order.forEach((m, i) => {
        const y = TOP + i * ROW;
        const on = i < k();
        ctx.globalAlpha = on ? 1 : 0.4;
        ctx.fillStyle = HS.edges.colourOf(m);
        ctx.fillRect(2, y + 4, 8, 8);
        HS.chart.text(ctx, HS.edges.name(m), 14, y + ROW / 2, c.ink, "left", "middle");
        ctx.fillStyle = on ? c.accent : c.muted;
        ctx.fillRect(LEFT, y + 3, Math.max(2, ((h().scores[m] - low) / (high - low || 1)) * (middle - LEFT - 6)), ROW - 6);
        ctx.globalAlpha = 1;
        if (!used) return;
        const share = used[m - h().fixed];
        ctx.fillStyle = c.line;
        ctx.fillRect(middle, y + 3, width - 40 - middle, ROW - 6);
        ctx.fillStyle = c.muted;
        ctx.fillRect(middle, y + 3, share * (width - 40 - middle), ROW - 6);
        HS.chart.text(ctx, HS.percent(share), width, y + ROW / 2, c.ink, "right", "middle");
      });
      const cut = TOP + k() * ROW;
      HS.chart.line(ctx, 0, cut, middle - 6, cut, c.ink, 1.5, [4, 3]);
      Object.assign(ctx, { font: "600 11px system-ui, sans-serif", lineWidth: 4, lineJoin: "round", strokeStyle: c.paper, textAlign: "right", textBaseline: "middle" });
      ctx.strokeText(`k = ${k()}`, middle - 8, cut + 8); // below the line the bars are shorter; a rim of paper where they are not
      ctx.fillStyle = c.ink;
      ctx.fillText(`k = ${k()}`, middle - 8, cut + 8);
    }

    function over(ctx, width, height, c) {
      const order = ranked();
      const mark = (m, colour) => {
        const i = order.indexOf(m);
        if (i < 0) return;
        ctx.strokeStyle = colour;
        ctx.lineWidth = 1.5;
        ctx.strokeRect(1, TOP + i * ROW + 0.5, width - 2, ROW - 1);
      };
      store.look.edges.forEach((m) => mark(m, c.accent));
      mark(HS.edges.edgeUnder(store, store.look.layer), c.ink);
    }

    const under = (y) => ranked()[Math.floor((y - TOP) / ROW)] ?? null;
    function move(x, y) {
      const m = y < TOP ? null : under(y);
      store.setHoverEdge(m);
      return m;
    }
    function press(x, y) {
      const m = y < TOP ? null : under(y);
      if (m !== null && HS.hyper.of(store, store.look.layer).on[m]) HS.edges.toggle(store, m);
    }

    // ---------------------------------------------------------------------------------------------- what k does

    const curveX = (width, i, n) => MARGIN + ((width - MARGIN - 8) * i) / Math.max(1, n - 1);
    function curveBase(ctx, width, height, c) {
      const found = known();
      if (!found) return HS.chart.text(ctx, "not measured for these settings", width / 2, CURVE / 2, c.muted, "center", "middle");
      const n = found.by_k.length;
      const y = (p) => 14 + (1 - p) * (CURVE - 20);
      for (const p of [0, 0.5, 1]) {
        HS.chart.line(ctx, MARGIN, y(p), width - 8, y(p), c.line, 1);
        HS.chart.text(ctx, HS.percent(p), MARGIN - 4, y(p), c.muted, "right", "middle");
      }
      ctx.beginPath();
      found.by_k.forEach((p, i) => ctx[i ? "lineTo" : "moveTo"](curveX(width, i, n), y(p)));
      ctx.strokeStyle = c.accent;
      ctx.lineWidth = 2;
      ctx.stroke();
      found.by_k.forEach((p, i) => {
        ctx.beginPath();
        ctx.arc(curveX(width, i, n), y(p), i === k() ? 5 : 2.5, 0, 2 * Math.PI);
        ctx.fillStyle = i === k() ? c.ink : c.accent;
        ctx.fill();
        if (i % 4 === 0) HS.chart.text(ctx, String(i), curveX(width, i, n), CURVE + 4, c.muted, "center", "top");
      });
      HS.chart.text(ctx, "k, chosen hyperedges", (MARGIN + width) / 2, CURVE + AXIS - 2, c.ink, "center", "bottom");
    }
    function curvePress(x) {
      const found = known();
      if (!found) return;
      const n = found.by_k.length;
      const at = Math.round(((x - MARGIN) / (curve.box.clientWidth - MARGIN - 8)) * (n - 1));
      store.set({ k: Math.max(0, Math.min(n - 1, at)) });
    }

    function describe() {
      const found = known();
      const used = found && found.used ? ` Right: share of ${found.pictures.toLocaleString("en")} test pictures that choose it; an even load would be ${HS.percent(h().own.k / count())}.` : "";
      const effect = found ? ` Below: the probability of “${found.label}” if k of them were chosen; click to see that choice.` : "";
      say(`${h().fixed} hyperedges are always on; of ${count()} more the ${k()} with the highest score are. The score is the sum of a hyperedge’s logits over all tokens: it follows from the pooled picture, not from how peaked the map is.${used}${effect}`);
    }

    return {
      draw(changed) {
        if (HS.chart.onlyHover(changed)) return view.draw(false);
        view.resize();
        view.draw(true);
        curve.draw(true);
        describe();
      },
      resize() {
        view.resize();
        curve.resize();
      },
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "choice", kind: "hypergraph", title: "Choice", available: (store) => Boolean(store.layer.hypergraph.scores && store.layer.hypergraph.fixed !== null), mount });
})();
