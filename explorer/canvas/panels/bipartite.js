// @wing hypergraphs
/**
 * The hypergraph as a drawing: the strongest patches of each hyperedge, the hyperedge, and the segments over which it spreads.
 * A line to a patch is as wide as its weight in units of the even share; a ribbon to a segment as the mass that lies in it.
 */
(() => {
  "use strict";

  const PATCHES = 4;
  const MOST_EDGES = 10;
  const MOST_SEGMENTS = 6;
  const TOP = 18;
  const ROW = 44;
  const SIZE = 30;
  const NODE = 10;

  function mount(el, store) {
    const state = { rows: [], segments: [], over: null };
    const layer = () => store.look.layer;
    const view = HS.chart.board(el, { label: "Strongest patches of each hyperedge, and the segments it lies in", height: () => TOP + ROW * Math.max(1, edgesOf().length) + 4, base, over, move, leave, press });
    const say = HS.chart.note(el);

    function edgesOf() {
      const d = HS.hyper.of(store, layer());
      const loaded = HS.hyper.order(d, "load").filter((m) => d.on[m]).slice(0, MOST_EDGES);
      return HS.hyper.order(d, store.look.sort).filter((m) => loaded.includes(m));
    }

    /** What there is to draw: per hyperedge its strongest patches and its mass per segment. */
    function collect() {
      const d = HS.hyper.of(store, layer());
      const labels = HS.chart.segmentsOn(store, store.layer.grid);
      const sizes = new Map();
      if (labels) labels.forEach((label) => label !== 255 && sizes.set(label, (sizes.get(label) || 0) + 1));
      state.segments = [...sizes].sort((a, b) => b[1] - a[1]).slice(0, MOST_SEGMENTS).map(([label, size]) => ({ label, size }));
      state.rows = edgesOf().map((m) => ({
        m,
        patches: HS.hyper.massSet(d, m, 1).slice(0, PATCHES).map((patch) => ({ patch, times: d.n * d.w[patch * d.m + m] })),
        mass: state.segments.map(({ label }) => labels.reduce((sum, own, patch) => sum + (own === label ? d.w[patch * d.m + m] : 0), 0)),
      }));
    }

    const middle = (i) => TOP + (i + 0.5) * ROW - 5;
    const thumb = (k) => SIZE / 2 + 2 + k * (SIZE + 3);
    const nodeX = (width) => (state.segments.length ? width * 0.62 : width - 40);
    const segmentY = (s) => TOP + ((s + 0.5) * ROW * state.rows.length) / (state.segments.length || 1);
    /** Eight times the even share and more is the widest line. */
    const wide = (times) => 0.5 + 2.4 * Math.min(1, times / 8);

    function base(ctx, width, height, c) {
      collect();
      HS.chart.text(ctx, "strongest patches", 2, 8, c.muted, "left", "middle");
      HS.chart.text(ctx, "hyperedge", nodeX(width), 8, c.muted, "center", "middle");
      if (state.segments.length) HS.chart.text(ctx, "segment", width - 4, 8, c.muted, "right", "middle");
      state.rows.forEach((row, i) => drawRow(ctx, width, row, i, c, 0.75));
      drawSegments(ctx, width, c);
    }

    function drawRow(ctx, width, row, i, c, alpha) {
      const [x, y] = [nodeX(width), middle(i)];
      ctx.globalAlpha = alpha;
      let down = y + SIZE / 2 + 1; // the strands lie side by side, that of the nearest thumbnail on top
      [...row.patches.entries()].reverse().forEach(([k, { times }]) => {
        const width = wide(times);
        strand(ctx, thumb(k), down + width / 2, x - NODE + 2, y + 3, HS.edges.colourOf(row.m), width);
        down += width + 0.5;
      });
      row.mass.forEach((share, s) => share > 0.02 && curve(ctx, x + NODE, y, width - 16, segmentY(s), HS.edges.colourOf(row.m), 14 * share));
      ctx.globalAlpha = 1;
      const image = HS.chart.picture(store, () => view.draw(true));
      for (const [k, { patch }] of row.patches.entries()) HS.points.thumbnail(ctx, image, store.layer.grid, patch, thumb(k), y, SIZE);
      ctx.beginPath();
      ctx.arc(x, y, NODE, 0, 2 * Math.PI);
      ctx.fillStyle = c.paper;
      ctx.fill();
      ctx.lineWidth = 2.5;
      ctx.strokeStyle = HS.edges.colourOf(row.m);
      ctx.stroke();
      HS.chart.text(ctx, HS.edges.name(row.m), x, y + 0.5, c.ink, "center", "middle");
    }

    /** From below a thumbnail along the gap between two rows to the hyperedge. */
    function strand(ctx, x0, y0, x1, y1, colour, width) {
      ctx.beginPath();
      ctx.moveTo(x0, y0);
      ctx.lineTo(thumb(PATCHES - 1) + SIZE / 2, y0);
      ctx.bezierCurveTo(x1 - 14, y0, x1 - 18, y1, x1, y1);
      ctx.strokeStyle = colour;
      ctx.lineWidth = width;
      ctx.stroke();
    }

    function curve(ctx, x0, y0, x1, y1, colour, width) {
      ctx.beginPath();
      ctx.moveTo(x0, y0);
      ctx.bezierCurveTo((x0 + x1) / 2, y0, (x0 + x1) / 2, y1, x1, y1);
      ctx.strokeStyle = colour;
      ctx.lineWidth = width;
      ctx.stroke();
    }

    function drawSegments(ctx, width, c) {
      const labels = state.segments.length ? HS.chart.segmentsOn(store, store.layer.grid) : null;
      state.segments.forEach(({ label, size }, s) => {
        const side = 22;
        const frame = { x: width - 14 - side / 2, y: segmentY(s) - side / 2, width: side, height: side };
        ctx.fillStyle = c.line;
        ctx.fillRect(frame.x, frame.y, side, side);
        ctx.fillStyle = c.ink;
        labels.forEach((own, patch) => own === label && ctx.fillRect(...HS.cellRect(frame, store.layer.grid, patch)));
        HS.chart.text(ctx, HS.percent(size / labels.length), width - 14, frame.y + side + 2, c.muted, "center", "top");
      });
    }

    function over(ctx, width, height, c) {
      const hovered = HS.edges.edgeUnder(store, layer());
      const focus = store.focus(layer());
      const at = state.rows.findIndex(({ m }) => m === hovered);
      if (at >= 0) {
        ctx.globalAlpha = 0.7;
        ctx.fillStyle = c.paper;
        ctx.fillRect(0, TOP, width, height);
        ctx.globalAlpha = 1;
        drawRow(ctx, width, state.rows[at], at, c, 1);
        drawSegments(ctx, width, c);
      }
      state.rows.forEach((row, i) => {
        row.patches.forEach(({ patch }, k) => {
          if (patch !== focus) return;
          ctx.strokeStyle = c.ink;
          ctx.lineWidth = 2.5;
          ctx.strokeRect(thumb(k) - SIZE / 2 - 1, middle(i) - SIZE / 2 - 1, SIZE + 2, SIZE + 2);
        });
        if (store.look.edges.includes(row.m)) HS.chart.line(ctx, nodeX(width) - 8, middle(i) + NODE + 4, nodeX(width) + 8, middle(i) + NODE + 4, c.accent, 2.5);
      });
    }

    /** {row, patch}: the hyperedge of the row under the pointer, and the thumbnail where it is over one. */
    function under(x, y) {
      const row = state.rows[Math.floor((y - TOP) / ROW)];
      if (!row) return null;
      const k = Math.floor(x / (SIZE + 3));
      return { row, item: row.patches[k] || null };
    }

    function move(x, y) {
      state.over = under(x, y);
      const item = state.over && state.over.item;
      store.setHover(item ? { layer: layer(), patch: item.patch, side: "target" } : null);
      store.setHoverEdge(state.over && !item ? state.over.row.m : null);
      describe();
      return state.over && `${state.over.row.m} ${item ? item.patch : ""}`;
    }
    function leave() {
      state.over = null;
      store.setHover(null);
      store.setHoverEdge(null);
      describe();
    }
    function press(x, y) {
      const hit = under(x, y);
      if (hit && hit.item) store.togglePin(hit.item.patch);
      else if (hit) HS.edges.toggle(store, hit.row.m);
    }

    function describe() {
      const d = HS.hyper.of(store, layer());
      if (state.over && state.over.item) return say(`${HS.place(state.over.item.patch, store.layer.grid)} weighs ${HS.edges.times(state.over.item.times)} its even share in hyperedge ${HS.edges.name(state.over.row.m)}.`.replace(/^./, (letter) => letter.toUpperCase()));
      const truth = store.payload.segments && store.payload.segments.truth ? "annotated by people" : "found by an algorithm, not by people";
      const segments = state.segments.length ? ` Right: how its mass divides among the segments (${truth}); below each, its share of the picture.` : "";
      const rest = d.active > state.rows.length ? ` The ${state.rows.length} most loaded of ${d.active}.` : "";
      say(`Left: the ${PATCHES} strongest patches of each hyperedge; a line is as wide as the patch’s weight (widest: 8 × its even share and more).${segments}${rest}`);
    }

    return {
      draw(changed) {
        if (HS.chart.onlyHover(changed)) return view.draw(false);
        const before = state.rows.length;
        if (edgesOf().length !== before) view.resize();
        view.draw(true);
        describe();
      },
      resize: () => view.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "bipartite", kind: "hypergraph", title: "Members", available: () => true, mount });
})();
