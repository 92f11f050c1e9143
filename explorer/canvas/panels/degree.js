/**
 * How many patches each patch listens to, and how many listen to it: a histogram and a map for both directions.
 * A hovered bar lights its patches on the map; a hovered patch marks its bar.
 */
(() => {
  "use strict";

  const MAP = 128;
  const MARGIN = { left: 48, top: 22, right: 10, bottom: 36 };
  const HEIGHT = 178;

  const WAYS = {
    listens: { title: "Listens to (in-degree)", unit: "patches it listens to", values: (g) => HS.inDegree(g), grid: (l) => l.grid, side: "target" },
    heard: { title: "Is listened to by (out-degree)", unit: "patches that listen to it", values: (g) => HS.outDegree(g), grid: (l) => l.keyGrid, side: "key" },
  };

  /** The numbers of one direction: values per cell, their bins, mean, and the cells of each bin. */
  function count(way, store) {
    const values = way.values(store.graph(store.look.layer));
    const bins = HS.maths.wholeBins(values, 40);
    const cells = Array.from(bins.counts, () => []);
    values.forEach((v, cell) => cells[bins.bin(v)].push(cell));
    return { values, bins, cells, mean: HS.maths.mean(values), most: Math.max(1, ...values) };
  }

  /** One direction: its board, and what the pointer is on. */
  function chart(el, store, way, noun) {
    const state = { data: null, bar: -1 };
    const view = HS.chart.board(el, { label: `${way.title}: histogram and map`, height: () => HEIGHT, base, over, move, leave, press });

    const grid = () => way.grid(store.layer);
    const mapFrame = (width) => HS.minimap.fit({ x: width - MAP, y: MARGIN.top, width: MAP - 4, height: MAP - 4 }, grid());
    function area(width) {
      const { bins } = state.data;
      const high = Math.max(...bins.counts);
      const end = bins.start + bins.width * bins.counts.length;
      const margin = { ...MARGIN, right: MARGIN.right + MAP };
      return HS.chart.plot(width, HEIGHT, margin, [bins.start, end], [0, high * 1.06]);
    }

    function base(ctx, width, height, c) {
      const p = area(width);
      HS.chart.text(ctx, way.title, 0, 6, c.ink, "left", "top");
      HS.chart.axisY(ctx, p, noun(), c, { wanted: 3 });
      HS.chart.bars(ctx, p, state.data.bins, c.accent);
      const shift = state.data.bins.width === 1 ? 0.5 : 0; // a bar of one number stands over its number
      axisWhole(ctx, p, c, shift);
      const at = p.px(state.data.mean + shift);
      HS.chart.line(ctx, at, p.y, at, p.y + p.height, c.ink, 1, [3, 3]);
      HS.chart.text(ctx, `mean ${HS.show(state.data.mean)}`, at + (at > p.x + p.width * 0.7 ? -4 : 4), p.y - 1, c.ink, at > p.x + p.width * 0.7 ? "right" : "left", "middle");
      const f = mapFrame(width);
      const heat = { values: state.data.values, grid: grid(), scale: { kind: "sequential", max: state.data.most } };
      HS.minimap.drawBase(ctx, f, HS.chart.picture(store, () => view.draw(true)), heat);
      HS.minimap.legend(ctx, width - MAP, MARGIN.top + MAP + 2, MAP - 4, "viridis", ["0", String(state.data.most)], c);
    }

    function axisWhole(ctx, p, c, shift) {
      const bottom = p.y + p.height;
      HS.chart.line(ctx, p.x, bottom + 0.5, p.x + p.width, bottom + 0.5, c.muted);
      const step = Math.max(1, HS.maths.tickStep(p.rangeX[1] - p.rangeX[0], 6));
      for (let v = 0; v < p.rangeX[1]; v += step) HS.chart.text(ctx, String(v), p.px(v + shift), bottom + 6, c.muted, "center", "top");
      HS.chart.text(ctx, way.unit, p.x + p.width / 2, bottom + 20, c.ink, "center", "top");
    }

    function over(ctx, width, height, c) {
      const focus = focused();
      const bar = state.bar >= 0 ? state.bar : focus === null ? -1 : state.data.bins.bin(state.data.values[focus]);
      const f = mapFrame(width);
      if (bar >= 0) {
        const one = { ...state.data.bins, counts: state.data.bins.counts.map((n, i) => (i === bar ? n : 0)) };
        HS.chart.bars(ctx, area(width), one, c.ink);
      }
      if (state.bar >= 0) HS.minimap.lightUp(ctx, f, grid(), state.data.cells[bar]);
      else if (focus !== null) HS.minimap.mark(ctx, f, grid(), focus);
    }

    /** The focused patch on this chart's grid. */
    function focused() {
      const { hover } = store;
      if (hover && hover.side === "key" && way.side === "key") return store.keyAcross(hover.layer, hover.patch, store.look.layer);
      const patch = store.focus(store.look.layer);
      return patch === null || way.side === "target" ? patch : store.keyOf(store.look.layer, patch);
    }

    function move(x, y) {
      const width = view.box.clientWidth;
      const cell = HS.cellAt(mapFrame(width), grid(), x, y);
      const p = area(width);
      const bar = cell === null && p.inside(x, y) ? Math.min(state.data.cells.length - 1, Math.floor((p.valueX(x) - p.rangeX[0]) / state.data.bins.width)) : -1;
      state.bar = bar >= 0 && state.data.cells[bar].length ? bar : -1;
      store.setHover(cell === null ? null : { layer: store.look.layer, patch: cell, side: HS.pooled(store.layer) ? way.side : "target" });
      view.draw(false);
      return cell === null ? state.bar - 1e6 : cell;
    }

    function leave() {
      state.bar = -1;
      store.setHover(null);
      view.draw(false);
    }

    function press(x, y) {
      const cell = HS.cellAt(mapFrame(view.box.clientWidth), grid(), x, y);
      if (cell !== null) store.togglePin(way.side === "key" ? store.patchesOfKey(store.look.layer, cell)[0] : cell);
    }

    return { view, state, refresh: () => (state.data = count(way, store)) };
  }

  /** What the two histograms say, in words. */
  function words(store, listens, heard) {
    const { m, keys } = store.graph(store.look.layer);
    if (m === 0) return "This graph has no edge.";
    const same = Math.min(...listens.values) === listens.most;
    const inWords = same ? `Every patch listens to exactly ${listens.most}.` : `Patches listen to ${Math.min(...listens.values)} to ${listens.most} others.`;
    const even = Math.min(...heard.values) === heard.most;
    if (even) return `${inWords} All are listened to equally often: no hubs.`;
    const top = Math.ceil(keys / 100);
    const held = HS.maths.topShare(heard.values, top);
    const silent = heard.values.filter((v) => v === 0).length;
    const skew = HS.maths.skew(heard.values);
    const what = skew > 1.5 ? "a few hubs are read by very many" : skew > 0.5 ? "some are read more than most" : "reading is spread evenly";
    const topWords = top === 1 ? "The most read one gives" : `The ${top} most read (top 1 %) give`;
    const quiet = silent ? ` Nobody listens to ${HS.plural(silent, "of them", "of them")}.` : "";
    return `${inWords} Hubness (skew of the out-degree) is ${skew.toFixed(2)}: ${what}. ${topWords} ${HS.percent(held)} of the ${HS.plural(m, "edge")}.${quiet}`;
  }

  function mount(el, store) {
    const cells = () => `number of ${HS.pooled(store.layer) ? "cells" : "patches"}`;
    const listens = chart(el, store, WAYS.listens, () => "number of patches");
    const heard = chart(el, store, WAYS.heard, cells);
    const say = HS.chart.note(el);
    const both = [listens, heard];
    return {
      draw(changed) {
        const stale = HS.chart.touched(changed, "layer", "rule");
        if (stale) both.forEach((one) => one.refresh());
        both.forEach((one) => one.view.draw(stale));
        if (stale) say(words(store, listens.state.data, heard.state.data));
      },
      resize: () => both.forEach((one) => one.view.resize()),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "degree", title: "Degree", available: () => true, mount });
})();
