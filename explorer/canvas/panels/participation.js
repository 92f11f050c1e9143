// @wing hypergraphs
/** How the chosen patch divides itself among the hyperedges: a bar each, and the mark at which it would be in all alike. */
(() => {
  "use strict";

  const ROW = 21;
  const LEFT = 46;
  const RIGHT = 62;
  const TOP = 18;
  const MOST = 20;

  function mount(el, store) {
    const state = { rows: [], key: "" };
    const view = HS.chart.board(el, { label: "Shares of the chosen patch in each hyperedge", height: () => TOP + ROW * Math.min(MOST, HS.hyper.of(store, store.look.layer).active || 1) + 4, base: () => {}, over, move, leave: () => store.setHoverEdge(null), press });
    const say = HS.chart.note(el);
    const patchOf = () => store.focus(store.look.layer);

    /** The hyperedges in the order of the gallery; when they are too many, the strongest of this patch. */
    function rowsOf(d, patch) {
      const on = HS.hyper.order(d, store.look.sort).filter((m) => d.on[m]);
      if (on.length <= MOST || patch === null) return on.slice(0, MOST);
      return HS.hyper.strongest(d, patch, MOST).map(([m]) => m);
    }

    function over(ctx, width, height, c) {
      const d = HS.hyper.of(store, store.look.layer);
      const patch = patchOf();
      state.rows = rowsOf(d, patch);
      const { px, x, width: span } = scaleOf(d, patch, width);
      const even = d.active ? 1 / d.active : 0;
      const hovered = HS.edges.edgeUnder(store, store.look.layer);
      HS.chart.text(ctx, "share of the patch", LEFT, 8, c.muted, "left", "middle");
      HS.chart.text(ctx, "of the edge", width, 8, c.muted, "right", "middle");
      state.rows.forEach((m, i) => {
        const y = TOP + i * ROW;
        if (m === hovered || store.look.edges.includes(m)) {
          ctx.globalAlpha = m === hovered ? 0.16 : 0.08;
          ctx.fillStyle = c.accent;
          ctx.fillRect(0, y, width, ROW);
          ctx.globalAlpha = 1;
        }
        ctx.fillStyle = HS.edges.colourOf(m);
        ctx.fillRect(2, y + 6, 9, 9);
        HS.chart.text(ctx, HS.edges.name(m), 16, y + ROW / 2, c.ink, "left", "middle");
        if (patch === null) return;
        const share = d.r[patch * d.m + m];
        ctx.fillStyle = c.accent;
        ctx.fillRect(x, y + 4, Math.max(1, px(share) - x), ROW - 8);
        const inside = px(share) > x + span - 40;
        HS.chart.text(ctx, HS.percent(share), inside ? px(share) - 5 : px(share) + 5, y + ROW / 2, inside ? c.paper : c.ink, inside ? "right" : "left", "middle");
        HS.chart.text(ctx, HS.edges.times(d.n * d.w[patch * d.m + m]), width, y + ROW / 2, c.ink, "right", "middle");
      });
      if (patch !== null) HS.chart.line(ctx, px(even), TOP, px(even), TOP + state.rows.length * ROW, c.ink, 1, [3, 3]);
    }

    function scaleOf(d, patch, width) {
      const most = patch === null ? 1 : Math.max(2 / d.active, ...Array.from({ length: d.m }, (_, m) => d.r[patch * d.m + m]));
      const span = width - LEFT - RIGHT;
      return { x: LEFT, width: span, px: (share) => LEFT + (share / most) * span };
    }

    function under(y) {
      const i = Math.floor((y - TOP) / ROW);
      return state.rows[i] ?? null;
    }
    function move(x, y) {
      const m = under(y);
      store.setHoverEdge(m);
      return m;
    }
    function press(x, y) {
      const m = under(y);
      if (m !== null) HS.edges.toggle(store, m);
    }

    function describe() {
      const d = HS.hyper.of(store, store.look.layer);
      const patch = patchOf();
      if (patch === null) return say("Point at a patch or pin one: the bars tell how it divides itself among the hyperedges.");
      const even = d.active ? HS.percent(1 / d.active) : "–";
      say(`${HS.place(patch, store.layer.grid)}. Bars: share of the patch, they sum to 100 %; dashed: in all alike (${even}). Right: its weight in the hyperedge, 1 × is its even share. It takes part ${HS.edges.times(d.loudnesses[patch])} as much as the average patch.`.replace(/^./, (letter) => letter.toUpperCase()));
    }

    return {
      draw(changed) {
        const key = `${store.look.layer} ${HS.hyper.of(store, store.look.layer).active}`;
        if (key !== state.key) view.resize();
        state.key = key;
        view.draw(false);
        describe();
      },
      resize: () => view.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "participation", kind: "hypergraph", title: "Patch", available: () => true, mount });
})();
