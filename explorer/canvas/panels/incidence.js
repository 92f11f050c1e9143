// @wing hypergraphs
/**
 * The incidence matrix: a row per patch, a column per hyperedge, coloured by log₂(N·w). Rows are sorted by their strongest
 * hyperedge, so that groups become blocks; right of them how loud each patch is, above each column in how many patches it lives.
 */
(() => {
  "use strict";

  const TOP = 44;
  const LEFT = 16;
  const RIGHT = 56;
  const HEIGHT = 340;
  const MOST = 32;

  function mount(el, store) {
    const state = { rows: [], columns: [], bins: 1, at: null };
    const layer = () => store.look.layer;
    const view = HS.chart.board(el, { label: "Patches by hyperedges", height: () => TOP + HEIGHT + 22, base, over, move, leave, press });
    const say = HS.chart.note(el);

    /** Columns as in the gallery; rows by their strongest column, then by how strong they are in it. */
    function sort(d) {
      state.columns = HS.hyper.order(d, store.look.sort).filter((m) => d.on[m]).slice(0, MOST);
      const place = new Map(state.columns.map((m, i) => [m, i]));
      const { label } = HS.hyper.assignment(d);
      const home = (i) => place.get(label[i]) ?? MOST;
      const weight = (i) => (label[i] < 0 ? 0 : d.w[i * d.m + label[i]]);
      state.rows = Array.from({ length: d.n }, (_, i) => i).sort((a, b) => home(a) - home(b) || weight(b) - weight(a) || a - b);
      state.bins = Math.min(d.n, HEIGHT);
    }

    const frame = (width) => ({ x: LEFT, y: TOP, width: width - LEFT - RIGHT, height: HEIGHT });
    /** Rows from `first` up to `last` of the sorted list share one line where there are more patches than lines. */
    const binOf = (line) => [Math.floor((line * state.rows.length) / state.bins), Math.max(1 + Math.floor((line * state.rows.length) / state.bins), Math.floor(((line + 1) * state.rows.length) / state.bins))];

    function base(ctx, width, height, c) {
      const d = HS.hyper.of(store, layer());
      sort(d);
      const f = frame(width);
      const values = new Float32Array(state.bins * state.columns.length);
      const loud = new Float32Array(state.bins);
      for (let line = 0; line < state.bins; line++) {
        const [first, last] = binOf(line);
        for (let k = first; k < last; k++) {
          loud[line] += d.loudnesses[state.rows[k]] / (last - first);
          state.columns.forEach((m, j) => (values[line * state.columns.length + j] += (d.n * d.w[state.rows[k] * d.m + m]) / (last - first)));
        }
      }
      const lift = values.map((v) => (v > 0 ? Math.log2(v) : -30));
      if (state.columns.length) HS.drawHeat(ctx, f, { values: lift, grid: [state.bins, state.columns.length], scale: { kind: "diverging", max: HS.edges.REACH } }, 1);
      margins(ctx, f, d, loud, c);
      HS.minimap.legend(ctx, f.x, f.y + f.height + 5, Math.min(120, f.width), "diverging", ["≤ ⅛ ×", "≥ 8 ×"], c);
      HS.chart.upright(ctx, `${d.n.toLocaleString("en")} patches`, 7, f.y + f.height / 2, c.muted);
    }

    function margins(ctx, f, d, loud, c) {
      const cell = f.width / (state.columns.length || 1);
      state.columns.forEach((m, j) => {
        const high = (24 * d.members[m]) / d.n;
        ctx.fillStyle = c.muted;
        ctx.fillRect(f.x + j * cell + 1, TOP - 14 - high, cell - 2, high);
        if (cell > 9) HS.chart.text(ctx, HS.edges.name(m), f.x + (j + 0.5) * cell, TOP - 2, c.ink, "center", "bottom");
      });
      HS.chart.line(ctx, f.x, TOP - 38.5, f.x + f.width, TOP - 38.5, c.line);
      HS.chart.text(ctx, "in all", f.x + f.width + 4, TOP - 38, c.muted, "left", "middle");
      const span = RIGHT - 8;
      const most = Math.max(2, ...loud);
      ctx.fillStyle = c.muted;
      loud.forEach((value, line) => ctx.fillRect(f.x + f.width + 4, f.y + (line * f.height) / state.bins, (span * value) / most, Math.max(1, f.height / state.bins)));
      const one = f.x + f.width + 4 + span / most;
      HS.chart.line(ctx, one, f.y, one, f.y + f.height, c.ink, 1, [3, 3]);
      HS.chart.text(ctx, "loudness", f.x + f.width + 4, TOP - 4, c.ink, "left", "bottom");
      HS.chart.text(ctx, `to ${HS.edges.times(most)}`, f.x + f.width + RIGHT, f.y + f.height + 5, c.muted, "right", "top");
    }

    function over(ctx, width, height, c) {
      const f = frame(width);
      const cell = f.width / (state.columns.length || 1);
      const mark = (m, colour, wide) => {
        const j = state.columns.indexOf(m);
        if (j < 0) return;
        ctx.strokeStyle = colour;
        ctx.lineWidth = wide;
        ctx.strokeRect(f.x + j * cell + 1, f.y, cell - 2, f.height);
      };
      store.look.edges.forEach((m) => mark(m, c.accent, 2));
      mark(HS.edges.edgeUnder(store, layer()), c.ink, 2);
      const focus = store.focus(layer());
      if (focus === null) return;
      const y = f.y + ((state.rows.indexOf(focus) + 0.5) * f.height) / state.rows.length;
      HS.chart.line(ctx, f.x - 4, y, f.x + f.width + RIGHT, y, c.paper, 3.5);
      HS.chart.line(ctx, f.x - 4, y, f.x + f.width + RIGHT, y, c.ink, 1.5);
      HS.points.closeUp(ctx, HS.chart.picture(store, () => view.draw(true)), store.layer.grid, focus, f.x + f.width - 30, y, width, height, c);
    }

    function under(x, y) {
      const f = frame(view.box.clientWidth);
      const j = Math.floor(((x - f.x) / f.width) * state.columns.length);
      const k = Math.floor(((y - f.y) / f.height) * state.rows.length);
      const edge = j >= 0 && j < state.columns.length ? state.columns[j] : null;
      const patch = k >= 0 && k < state.rows.length && x >= f.x ? state.rows[k] : null;
      return { edge, patch };
    }
    function move(x, y) {
      const { edge, patch } = under(x, y);
      // Above the matrix a column is pointed at, inside of it a patch.
      store.setHoverEdge(patch === null ? edge : null);
      store.setHover(patch === null ? null : { layer: layer(), patch, side: "target" });
      state.at = patch === null ? null : { edge, patch };
      describe();
      return patch === null ? `column ${edge}` : patch;
    }
    function leave() {
      state.at = null;
      store.setHover(null);
      store.setHoverEdge(null);
      describe();
    }
    function press(x, y) {
      const { edge, patch } = under(x, y);
      if (patch !== null) store.togglePin(patch);
      else if (edge !== null) HS.edges.toggle(store, edge);
    }

    function describe() {
      const d = HS.hyper.of(store, layer());
      if (state.at && state.at.edge !== null) {
        const { edge, patch } = state.at;
        return say(`${HS.place(patch, store.layer.grid)} in hyperedge ${HS.edges.name(edge)}: ${HS.edges.times(d.n * d.w[patch * d.m + edge])} its even share, ${HS.percent(d.r[patch * d.m + edge])} of the patch.`.replace(/^./, (letter) => letter.toUpperCase()));
      }
      const pooled = state.bins < state.rows.length ? ` ${HS.show(state.rows.length / state.bins)} patches share a line (mean).` : "";
      const rest = d.active > state.columns.length ? ` The first ${state.columns.length} of ${d.active} hyperedges.` : "";
      say(`Rows: patches, sorted by their strongest hyperedge. Above: the share of the patches in which a hyperedge lives. Right: loudness Σₘ Aₙₘ in units of its mean, dashed: 1 ×.${pooled}${rest}`);
    }

    return {
      draw(changed) {
        view.draw(!HS.chart.onlyHover(changed));
        if (!HS.chart.onlyHover(changed)) describe();
      },
      resize: () => view.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "incidence", kind: "hypergraph", title: "Matrix", available: () => true, mount });
})();
