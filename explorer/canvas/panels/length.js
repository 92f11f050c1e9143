/**
 * How far edges reach, in patches: a histogram with median and 90 % mark, what random pairs would give, and the share of
 * edges that a roll made across the border. A hovered bar shows its edges on a small picture.
 */
(() => {
  "use strict";

  const MAP = 128;
  const HEIGHT = 210;
  const MARGIN = { left: 50, top: 26, right: MAP + 12, bottom: 36 };
  const MOST_LINES = 400;
  const chance = new Map(); // grids → lengths of all pairs

  function chanceLengths(layer) {
    const key = `${layer.grid} ${layer.keyGrid}`;
    if (!chance.has(key)) chance.set(key, HS.maths.pairLengths(layer.grid, layer.keyGrid));
    return chance.get(key);
  }

  /** Lengths of a graph's edges in bins, beside those of all pairs on the same grid. */
  function count(store) {
    const layer = store.layer;
    const graph = store.graph(store.look.layer);
    const pairs = chanceLengths(layer);
    const reach = Math.max(1, ...pairs.length);
    const width = reach > 30 ? 2 : reach > 8 ? 1 : 0.5;
    // Bins stand around 0, width, 2·width, …: lengths along rows and columns are whole numbers.
    const bins = (values, weights) => HS.maths.histogram(values, -width / 2, width, Math.ceil(reach / width + 0.5), weights);
    const wrapped = graph.length.filter((_, e) => graph.wrap[e]);
    return {
      graph,
      bins: bins(graph.length),
      wrapped: bins(wrapped),
      random: bins(pairs.length, pairs.weight),
      pairs: pairs.total,
      median: HS.maths.quantile(graph.length, 0.5),
      ninety: HS.maths.quantile(graph.length, 0.9),
      wrap: wrapped.length / graph.m,
    };
  }

  function mount(el, store) {
    const state = { data: null, bar: -1 };
    const view = HS.chart.board(el, { label: "Histogram of edge lengths", height: () => HEIGHT, base, over, move, leave });
    const say = HS.chart.note(el);

    const edgeShare = (n) => n / Math.max(1, state.data.graph.m);
    const pairShare = (n) => n / state.data.pairs;
    const mapFrame = (width) => HS.minimap.fit({ x: width - MAP, y: MARGIN.top, width: MAP - 4, height: MAP - 4 }, store.layer.grid);
    function area(width) {
      const { bins, random } = state.data;
      const high = Math.max(0.02, ...Array.from(bins.counts, edgeShare), ...Array.from(random.counts, pairShare));
      return HS.chart.plot(width, HEIGHT, MARGIN, [bins.start, bins.start + bins.width * bins.counts.length], [0, high * 1.06]);
    }

    function base(ctx, width, height, c) {
      const p = area(width);
      const { bins, wrapped, random, median, ninety, graph } = state.data;
      HS.chart.axisY(ctx, p, "share of edges", c, { wanted: 3, format: (v) => `${Math.round(100 * v)} %` });
      HS.chart.bars(ctx, p, bins, c.accent, edgeShare);
      if (HS.isAxial(store.layer)) HS.chart.bars(ctx, p, wrapped, c.bad, edgeShare);
      HS.chart.steps(ctx, p, random, c.muted, pairShare, [2, 3]);
      HS.chart.axisX(ctx, p, "length in patches", c, { wanted: 6 });
      if (graph.m) {
        marker(ctx, p, median, `median ${median.toFixed(1)}`, 0, c);
        marker(ctx, p, ninety, `90 % ${ninety.toFixed(1)}`, 12, c);
      }
      const f = mapFrame(width);
      HS.minimap.drawBase(ctx, f, HS.chart.picture(store, () => view.draw(true)), null);
      HS.chart.text(ctx, state.bar >= 0 ? "" : "hover a bar: its edges", f.x + f.width / 2, f.y + f.height + 6, c.muted, "center", "top");
    }

    function marker(ctx, p, value, words, down, c) {
      const x = p.px(value);
      HS.chart.line(ctx, x, p.y - 14 + down, x, p.y + p.height, c.ink, 1.2, down ? [4, 3] : []);
      const left = x > p.x + p.width - 70;
      HS.chart.text(ctx, words, x + (left ? -4 : 4), p.y - 10 + down, c.ink, left ? "right" : "left", "middle");
    }

    function over(ctx, width, height, c) {
      const p = area(width);
      const f = mapFrame(width);
      const focus = store.focus(store.look.layer);
      if (state.bar >= 0) {
        const { bins } = state.data;
        HS.chart.bars(ctx, p, { ...bins, counts: bins.counts.map((n, i) => (i === state.bar ? n : 0)) }, c.ink, edgeShare);
        HS.drawVeil(ctx, f, [], 0.5);
        drawEdges(ctx, f, edgesOfBar());
        return;
      }
      if (focus === null) return;
      const edges = HS.edgesOf(state.data.graph, store.layer, focus, "in").in;
      HS.drawVeil(ctx, f, [HS.cellRect(f, store.layer.grid, focus)], 0.5);
      drawEdges(ctx, f, edges);
      HS.minimap.mark(ctx, f, store.layer.grid, focus);
      rug(ctx, p, edges, c);
    }

    /** The focused patch's own edges as ticks on the axis. */
    function rug(ctx, p, edges, c) {
      for (const e of edges) {
        const x = p.px(state.data.graph.length[e]);
        HS.chart.line(ctx, x, p.y + p.height - 10, x, p.y + p.height, c.paper, 5);
        HS.chart.line(ctx, x, p.y + p.height - 9, x, p.y + p.height - 1, c.listen, 2);
      }
    }

    function drawEdges(ctx, f, edges) {
      ctx.save();
      ctx.beginPath();
      ctx.rect(f.x, f.y, f.width, f.height);
      ctx.clip();
      const crowd = edges.length > 60;
      HS.drawEdges(ctx, f, store.layer, state.data.graph, edges, { colour: HS.MEANING.in, width: crowd ? 0.8 : 1.4, alpha: crowd ? 0.7 : 1, arrows: false });
      ctx.restore();
    }

    /** Edges of the hovered bar; evenly thinned out where they are too many for a small picture. */
    function edgesOfBar() {
      const { graph, bins } = state.data;
      const edges = [];
      for (let e = 0; e < graph.m; e++) if (bins.bin(graph.length[e]) === state.bar) edges.push(e);
      const every = Math.ceil(edges.length / MOST_LINES);
      return edges.filter((_, i) => i % every === 0);
    }

    function move(x, y) {
      const p = area(view.box.clientWidth);
      const cell = HS.cellAt(mapFrame(view.box.clientWidth), store.layer.grid, x, y);
      const bar = cell === null && p.inside(x, y) ? state.data.bins.bin(p.valueX(x)) : -1;
      state.bar = bar >= 0 && state.data.bins.counts[bar] ? bar : -1;
      store.setHover(cell === null ? null : { layer: store.look.layer, patch: cell, side: "target" });
      view.draw(false);
      describe();
      return cell === null ? state.bar - 1e6 : cell;
    }

    function leave() {
      state.bar = -1;
      store.setHover(null);
      view.draw(false);
      describe();
    }

    function describe() {
      const { graph, bins, wrapped, median, ninety, wrap, pairs } = state.data;
      if (graph.m === 0) return say("This graph has no edge, so there is no length to show.");
      if (state.bar >= 0) {
        const [low, high] = [Math.max(0, bins.start + state.bar * bins.width), bins.start + (state.bar + 1) * bins.width];
        const n = bins.counts[state.bar];
        const over = wrapped.counts[state.bar] ? `, ${wrapped.counts[state.bar]} of them across the border` : "";
        return say(`${HS.plural(n, "edge")} (${HS.percent(n / graph.m)}) of ${low} to ${high} patches${over}.`);
      }
      const rolled = HS.isAxial(store.layer)
        ? ` ${HS.percent(wrap)} exist only because the roll leaves the picture on one side and comes back on the other (red; drawn with the length straight across the picture).`
        : "";
      say(
        `${HS.plural(graph.m, "edge")}: half reach farther than ${median.toFixed(1)} patches, one in ten farther than ${ninety.toFixed(1)}.${rolled} ` +
          `Dotted: all ${pairs.toLocaleString("en")} possible pairs, as random edges would be.`,
      );
    }

    return {
      draw(changed) {
        const stale = HS.chart.touched(changed, "layer", "rule");
        if (stale) [state.data, state.bar] = [count(store), -1];
        view.draw(stale);
        if (stale) describe();
      },
      resize: () => view.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "length", title: "Edge length", available: () => true, mount });
})();
