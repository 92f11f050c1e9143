/**
 * Why this edge: patch A (the first pin, else the hovered one) and a source B (hovered, second pin, or chosen here);
 * distance, rank, margin, position term, channels won, and which setting would drop or add the edge.
 */
(() => {
  "use strict";

  const TOP = 118; // A, the arrow, B
  const STRIP = 74; // distances of the candidates on a line
  const CROP = 60;

  function mount(el, store) {
    const state = { a: null, chosen: null, inside: false, rows: new Map(), tiles: [] };
    const view = HS.chart.board(el, {
      label: "Patch A and a patch B it may listen to. Arrow keys step through the candidates of A, Enter pins both.",
      height: (width) => TOP + tileRows(width) * tileSize(width) + (store.layer.distance ? STRIP : 8),
      base: () => {},
      over,
      move,
      leave,
      press,
      key,
    });
    const verdict = HS.chart.note(el, "hs-panel-verdict");
    const facts = HS.el("dl", { class: "hs-numbers" });
    el.append(facts);
    const measure = HS.el("button", { type: "button", class: "hs-button", onclick: measureRow, hidden: true }, "Measure A against every patch");
    el.append(measure);
    const say = HS.chart.note(el);

    // ---------------------------------------------------------------------------------------------- which two patches

    const here = () => store.look.layer;
    const graph = () => store.graph(here());
    const width = () => store.layer.candidates.shape[1];
    const candidate = (a, j) => store.layer.candidates[a * width() + j];
    const own = (a) => (HS.pooled(store.layer) ? -1 : a);
    const patchOf = (key) => (HS.pooled(store.layer) ? store.patchesOfKey(here(), key)[0] : key);

    /** Source cell under the pointer in another view, or null. */
    function hoveredKey() {
      const { hover } = store;
      if (!hover) return null;
      if (hover.side === "key") return store.keyAcross(hover.layer, hover.patch, here());
      return store.keyOf(here(), store.across(hover.layer, hover.patch, here()));
    }

    function resolve() {
      const pins = store.pins(here());
      const hovered = store.hover && store.hover.side === "target" ? store.across(store.hover.layer, store.hover.patch, here()) : null;
      if (pins.length) state.a = pins[0];
      else if (hovered !== null && !state.inside) [state.a, state.chosen] = [hovered, null];
      if (state.a === null || state.a >= graph().n) return null;
      const outside = pins.length && !state.inside && hovered !== state.a ? hoveredKey() : null;
      const second = pins.length > 1 ? store.keyOf(here(), pins[1]) : null;
      const b = [outside, state.chosen, second, firstSource(state.a)].find((one) => one !== null && one !== own(state.a) && one < graph().keys);
      return b === undefined ? null : { a: state.a, b };
    }

    /** Sources that A listens to under the present settings. */
    const sourcesOf = (a) => new Set(graph().source.slice(graph().offsets[a], graph().offsets[a + 1]));

    /** Source of the first edge, else the first candidate that is not the patch itself. */
    function firstSource(a) {
      const g = graph();
      if (g.offsets[a] < g.offsets[a + 1]) return g.source[g.offsets[a]];
      for (let j = 0; j < width(); j++) if (candidate(a, j) !== own(a)) return candidate(a, j);
      return null;
    }

    /** All distances of A, where somebody wanted them: they do not travel with the payload. */
    const rowOf = (pair) => state.rows.get(`${store.layer.name} ${pair.a}`) || null;

    /** True where the server knows more distances of the pinned patch than its candidates tell. */
    function mayMeasure(pair) {
      const { layer } = store;
      const knows = layer.rule.name === "nearest" && layer.distance && !layer.position && !HS.pooled(layer);
      return Boolean(knows && store.host.live && store.payload.run && store.pins(here()).includes(pair.a) && !rowOf(pair));
    }

    async function measureRow() {
      const pair = resolve();
      if (!pair) return;
      const key = `${store.layer.name} ${pair.a}`;
      measure.disabled = true;
      const found = await Promise.resolve(store.lookup({ question: "row", layer: here(), patch: pair.a })).catch(() => null);
      measure.disabled = false;
      if (!found || !found.values) return;
      state.rows.set(key, found.values);
      draw();
    }

    // -------------------------------------------------------------------------------------------------------- drawing

    const tileSize = (w) => Math.max(22, Math.min(34, Math.floor(w / Math.min(24, Math.max(12, width())))));
    const tileRows = (w) => Math.ceil(width() / Math.floor(w / tileSize(w)));

    function over(ctx, w, h, c) {
      const pair = resolve();
      state.tiles = [];
      if (!pair) return HS.chart.text(ctx, "Hover a patch to see whom it listens to, and why.", w / 2, TOP / 2, c.muted, "center", "middle");
      const x = HS.explain.explain(store.layer, graph(), store.look.rule, pair.a, pair.b, rowOf(pair));
      drawPair(ctx, w, pair, x, c);
      drawTiles(ctx, w, pair, c);
      if (store.layer.distance) drawStrip(ctx, w, h, pair, x, c);
    }

    function crop(ctx, grid, cell, x, y, size, frame) {
      ctx.fillStyle = frame;
      ctx.fillRect(x - size / 2 - 2, y - size / 2 - 2, size + 4, size + 4);
      HS.points.thumbnail(ctx, HS.chart.picture(store, () => view.draw(false)), grid, cell, x, y, size);
    }

    function drawPair(ctx, w, pair, x, c) {
      const y = CROP / 2 + 24;
      const left = Math.max(76, w / 2 - 120);
      const right = w - left;
      crop(ctx, store.layer.grid, pair.a, left, y, CROP, c.ink);
      crop(ctx, store.layer.keyGrid, pair.b, right, y, CROP, x.kept ? c.listen : c.muted);
      const pooled = HS.pooled(store.layer) ? "cell " : "";
      HS.chart.text(ctx, `A · ${HS.place(pair.a, store.layer.grid)}`, left, y + CROP / 2 + 8, c.ink, "center", "top");
      HS.chart.text(ctx, `B · ${pooled}${HS.place(pair.b, store.layer.keyGrid)}`, right, y + CROP / 2 + 8, c.ink, "center", "top");
      const [from, to] = [right - CROP / 2 - 10, left + CROP / 2 + 10];
      HS.chart.line(ctx, from, y, to + 8, y, x.kept ? c.listen : c.muted, x.kept ? 3 : 1.5, x.kept ? [] : [4, 4]);
      ctx.beginPath();
      ctx.moveTo(to, y);
      ctx.lineTo(to + 10, y - 5);
      ctx.lineTo(to + 10, y + 5);
      ctx.fillStyle = x.kept ? c.listen : c.muted;
      ctx.fill();
      const back = x.answered === null ? "" : x.answered ? " · B listens to A" : " · B does not listen to A";
      HS.chart.text(ctx, `A ${x.kept ? "listens" : "does not listen"} to B${back}`, w / 2, 4, c.ink, "center", "top");
    }

    /** All candidates of A in the order of the list: edges bright, the others pale, B framed. */
    function drawTiles(ctx, w, pair, c) {
      const size = tileSize(w);
      const perRow = Math.floor(w / size);
      const edges = sourcesOf(pair.a);
      for (let j = 0; j < width(); j++) {
        const source = candidate(pair.a, j);
        const [x, y] = [(j % perRow) * size, TOP + Math.floor(j / perRow) * size];
        const kept = edges.has(source);
        const inset = size / 2;
        ctx.globalAlpha = kept ? 1 : 0.4;
        crop(ctx, store.layer.keyGrid, source, x + inset, y + inset, size - 8, kept ? c.listen : c.line);
        ctx.globalAlpha = 1;
        if (source === own(pair.a)) HS.chart.text(ctx, "A", x + inset, y + inset, c.ink, "center", "middle");
        if (source === pair.b) {
          ctx.strokeStyle = c.ink;
          ctx.lineWidth = 2;
          ctx.strokeRect(x + 1, y + 1, size - 2, size - 2);
        }
        state.tiles.push({ x, y, size, source });
      }
    }

    function drawStrip(ctx, w, h, pair, x, c) {
      const top = h - STRIP;
      const at = pair.a * width();
      const distances = store.layer.distance.slice(at, at + width());
      const all = x.distance === null ? Array.from(distances) : [...distances, x.distance];
      const rule = HS.effectiveRule(store.layer, store.look.rule);
      const line = store.layer.rule.name === "axial-threshold" ? store.layer.rule.mean - rule.multiplier * store.layer.rule.std : x.kept || x.limit === null ? null : x.limit;
      const ends = line === null ? all : [...all, line];
      const p = HS.chart.plot(w, h, { left: 18, right: 18, top: top + 24, bottom: 36 }, axisEnds(ends), [0, 1]);
      HS.chart.axisX(ctx, p, HS.explain.unitOf(store.layer), c, { wanted: 6, format: HS.show });
      const edges = sourcesOf(pair.a);
      distances.forEach((d, j) => {
        const source = candidate(pair.a, j);
        if (source === own(pair.a)) return;
        const kept = edges.has(source);
        HS.chart.line(ctx, p.px(d), p.y, p.px(d), p.y + p.height, kept ? c.listen : c.muted, kept ? 2.5 : 1);
      });
      if (line !== null) limit(ctx, p, line, c);
      if (x.distance === null) return;
      const bx = p.px(x.distance);
      HS.chart.line(ctx, bx, p.y - 4, bx, p.y + p.height, c.ink, 2);
      HS.chart.text(ctx, "B", bx, p.y - 6, c.ink, "center", "bottom");
    }

    function limit(ctx, p, value, c) {
      const x = p.px(value);
      HS.chart.line(ctx, x, p.y - 12, x, p.y + p.height, c.bad, 1.5, [4, 3]);
      const words = store.layer.rule.name === "axial-threshold" ? "τ" : "limit";
      HS.chart.text(ctx, words, x + 4, p.y - 10, c.bad, "left", "middle");
    }

    // ---------------------------------------------------------------------------------------------------------- words

    /** The list of numbers; what stays the same is left alone, because every pointer move comes by here. */
    function list(found) {
      while (facts.childElementCount > found.length) facts.lastElementChild.remove();
      while (facts.childElementCount < found.length) facts.append(HS.el("div", {}, HS.el("dt"), HS.el("dd")));
      found.forEach((words, i) => words.forEach((word, j) => {
        HS.write(facts.children[i].children[j], word);
      }));
    }

    function describe() {
      const pair = resolve();
      HS.hide(measure, !pair || !mayMeasure(pair));
      if (!pair) return verdict(""), list([]), say("");
      const { layer } = store;
      const x = HS.explain.explain(layer, graph(), store.look.rule, pair.a, pair.b, rowOf(pair));
      verdict(HS.explain.sentence(layer, store.look.rule, x));
      list(HS.explain.factsOf(layer, x));
      const changed = x.candidate && x.modelKept !== x.kept ? ` With the model's own settings there ${x.modelKept ? "is an edge" : "is none"}.` : "";
      say(`${HS.plural(width(), "candidate")} of A in the order of the list, edges bright.${changed} ${HINT[store.pins(here()).length ? 1 : 0]}`);
    }

    // -------------------------------------------------------------------------------------------------------- gestures

    function choose(source) {
      [state.inside, state.chosen] = [true, source];
      const pooled = HS.pooled(store.layer);
      store.setHover({ layer: here(), patch: source, side: pooled ? "key" : "target" });
      view.draw(false);
      describe();
      return source;
    }

    function move(x, y) {
      const tile = state.tiles.find((one) => x >= one.x && x < one.x + one.size && y >= one.y && y < one.y + one.size);
      return tile && tile.source !== own(state.a) ? choose(tile.source) : null;
    }

    function leave() {
      if (state.inside) store.setHover(null);
      state.inside = false;
    }

    function press() {
      const pair = resolve();
      if (pair) store.set({ pins: [...new Set([pair.a, patchOf(pair.b)])] });
    }

    function key(event) {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const pair = resolve();
      if (!pair) return false;
      if (event.key === "Enter") return press(), true;
      if (!step) return false;
      const order = Array.from({ length: width() }, (_, j) => candidate(pair.a, j)).filter((source) => source !== own(pair.a));
      choose(order[(order.indexOf(pair.b) + step + order.length) % order.length]);
      return true;
    }

    function draw(changed) {
      if (HS.chart.touched(changed, "layer")) {
        [state.a, state.chosen, state.inside] = [null, null, false];
        view.resize();
      } else {
        if (state.inside && !(store.hover && store.hover.patch === state.chosen)) state.inside = false;
        if (HS.chart.touched(changed, "pins")) state.chosen = null;
        view.draw(false);
      }
      describe();
    }

    return { draw, resize: () => view.resize(), destroy: () => el.replaceChildren() };
  }

  /** From 0 where all distances are positive, with a little room on both sides. */
  function axisEnds(values) {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const room = 0.03 * (high - Math.min(low, high > 0 ? 0 : low) || 1);
    return [low >= 0 ? 0 : low - room, high + room];
  }

  const HINT = [
    "Click a candidate to pin both.",
    "Hover any patch to compare it with A; a second pin holds B.",
  ];

  HS.panel({ name: "why", title: "Why this edge", available: () => true, mount });
})();
