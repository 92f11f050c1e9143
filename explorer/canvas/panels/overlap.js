// @wing hypergraphs
/**
 * Which hyperedges overlap: the fuzzy Jaccard index of every two of them, and their 50 % sets as an UpSet plot (Lex et al. 2014):
 * a bar for every combination of hyperedges, as high as the number of patches that are in exactly these.
 */
(() => {
  "use strict";

  const MOST_EDGES = 12;
  const MOST_BARS = 16;
  const LEFT = 24;
  const GAP = 16;
  const BARS = 64;
  const ROW = 15;

  function mount(el, store) {
    const state = { matrix: null, sets: null, kept: null, over: null, rows: [], outside: 0 };
    const layer = () => store.look.layer;
    const upper = HS.chart.board(el, { label: "Fuzzy Jaccard index of every two hyperedges, and the patches of one combination", height: (width) => side(width) + 44, base: matrixBase, over: matrixOver, move: matrixMove, leave, press: matrixPress });
    const lower = HS.chart.board(el, { label: "How many patches are in each combination of hyperedges", height: () => 20 + BARS + ROW * rowsOf().length + 4, base: setsBase, over: setsOver, move: setsMove, leave, press: setsPress });
    const say = HS.chart.note(el);

    const side = (width) => Math.floor((width - LEFT - GAP) / 2);
    /** The hyperedges that are compared: those that are on, the most loaded first when they are too many. */
    function rowsOf() {
      const d = HS.hyper.of(store, layer());
      const loaded = HS.hyper.order(d, "load").filter((m) => d.on[m]).slice(0, MOST_EDGES);
      return HS.hyper.order(d, store.look.sort).filter((m) => loaded.includes(m));
    }

    // ---------------------------------------------------------------------------------------------- matrix and picture

    const matrixFrame = (width) => ({ x: LEFT, y: 16, size: side(width) });
    const mapFrame = (width) => HS.minimap.fit({ x: LEFT + side(width) + GAP, y: 16, width: side(width), height: side(width) }, store.layer.grid);

    function matrixBase(ctx, width, height, c) {
      const d = HS.hyper.of(store, layer());
      const rows = (state.rows = rowsOf());
      const { x, y, size } = matrixFrame(width);
      const cell = size / (rows.length || 1);
      rows.forEach((a, i) => {
        rows.forEach((b, j) => {
          ctx.fillStyle = HS.ramp("viridis", HS.hyper.jaccard(d, a, b));
          ctx.fillRect(x + j * cell, y + i * cell, Math.ceil(cell), Math.ceil(cell));
        });
        HS.chart.text(ctx, HS.edges.name(a), x - 4, y + (i + 0.5) * cell, c.ink, "right", "middle");
        if (cell > 13) HS.chart.text(ctx, HS.edges.name(a), x + (i + 0.5) * cell, y - 4, c.ink, "center", "bottom");
      });
      HS.minimap.legend(ctx, x, y + size + 4, Math.min(110, size), "viridis", ["0", "1 the same"], c);
    }

    function matrixOver(ctx, width, height, c) {
      const { x, y, size } = matrixFrame(width);
      const cell = size / (state.rows.length || 1);
      const hovered = HS.edges.edgeUnder(store, layer());
      const at = state.rows.indexOf(hovered);
      ctx.strokeStyle = c.ink;
      ctx.lineWidth = 2;
      if (at >= 0) ctx.strokeRect(x + 1, y + at * cell + 1, size - 2, cell - 2);
      if (state.matrix) ctx.strokeRect(x + state.matrix[1] * cell + 1, y + state.matrix[0] * cell + 1, cell - 2, cell - 2);
      const frame = mapFrame(width);
      HS.drawPicture(ctx, frame, HS.chart.picture(store, () => upper.draw(true)), false);
      const shown = state.over || state.kept;
      ctx.save();
      ctx.beginPath();
      ctx.rect(frame.x, frame.y, frame.width, frame.height);
      ctx.clip();
      darken(ctx, frame, shown ? shown.patches : hovered !== null ? HS.hyper.massSet(HS.hyper.of(store, layer()), hovered) : null);
      ctx.restore();
      const words = shown ? `${HS.plural(shown.patches.length, "patch", "patches")} in ${shown.edges.map(HS.edges.name).join(" and ")}` : hovered !== null ? `half of ${HS.edges.name(hovered)}` : "";
      HS.chart.text(ctx, words, frame.x, 10, c.ink, "left", "bottom");
      const focus = store.focus(layer());
      if (focus !== null) HS.minimap.mark(ctx, frame, store.layer.grid, focus);
    }

    /** Everything but these patches darkened. The picture lies on the same canvas, so the veil is drawn cell by cell. */
    function darken(ctx, frame, patches) {
      if (!patches) return;
      const lit = new Set(patches);
      ctx.fillStyle = "rgb(8 10 14 / 0.72)";
      const n = store.layer.grid[0] * store.layer.grid[1];
      for (let i = 0; i < n; i++) if (!lit.has(i)) ctx.fillRect(...HS.cellRect(frame, store.layer.grid, i));
    }

    function matrixMove(px, py) {
      const width = upper.box.clientWidth;
      const { x, y, size } = matrixFrame(width);
      const cell = size / (state.rows.length || 1);
      const [i, j] = [Math.floor((py - y) / cell), Math.floor((px - x) / cell)];
      state.matrix = i >= 0 && j >= 0 && i < state.rows.length && j < state.rows.length ? [i, j] : null;
      const patch = HS.cellAt(mapFrame(width), store.layer.grid, px, py);
      store.setHover(patch === null ? null : { layer: layer(), patch, side: "target" });
      store.setHoverEdge(state.matrix ? state.rows[i] : null);
      upper.draw(false);
      describe();
      return state.matrix ? `${i} ${j}` : patch;
    }

    function matrixPress() {
      if (state.matrix) HS.edges.toggle(store, state.rows[state.matrix[0]]);
      else if (store.hover) store.togglePin(store.hover.patch);
    }

    // ----------------------------------------------------------------------------------------------------------- sets

    /** Combinations of 50 % sets, most patches first: [{edges, patches}]; patches outside of all sets are only counted (state.outside). */
    function combinations() {
      const d = HS.hyper.of(store, layer());
      const found = new Map();
      const members = Array.from({ length: d.n }, () => []);
      for (const m of state.rows) for (const patch of HS.hyper.massSet(d, m)) members[patch].push(m);
      members.forEach((edges, patch) => {
        const key = edges.join();
        if (!found.has(key)) found.set(key, { edges, patches: [] });
        found.get(key).patches.push(patch);
      });
      state.outside = found.has("") ? found.get("").patches.length : 0;
      found.delete("");
      return [...found.values()].sort((a, b) => b.patches.length - a.patches.length).slice(0, MOST_BARS);
    }

    const columnWidth = (width) => (width - LEFT) / MOST_BARS;

    function setsBase(ctx, width, height, c) {
      state.rows = rowsOf();
      state.sets = combinations();
      const w = columnWidth(width);
      const most = Math.max(1, ...state.sets.map((set) => set.patches.length));
      state.rows.forEach((m, i) => {
        const y = 20 + BARS + i * ROW;
        if (i % 2) {
          ctx.fillStyle = c.line;
          ctx.globalAlpha = 0.45;
          ctx.fillRect(LEFT, y, width - LEFT, ROW);
          ctx.globalAlpha = 1;
        }
        HS.chart.text(ctx, HS.edges.name(m), LEFT - 4, y + ROW / 2, c.ink, "right", "middle");
      });
      state.sets.forEach((set, s) => {
        const x = LEFT + (s + 0.5) * w;
        const high = (set.patches.length / most) * (BARS - 4);
        ctx.fillStyle = c.muted;
        ctx.fillRect(x - w * 0.32, 16 + BARS - high, w * 0.64, high);
        HS.chart.text(ctx, String(set.patches.length), x, 13 + BARS - high, c.ink, "center", "bottom");
        dots(ctx, set, x, c);
      });
    }

    function dots(ctx, set, x, c) {
      const at = (m) => 20 + BARS + state.rows.indexOf(m) * ROW + ROW / 2;
      for (const m of state.rows) {
        ctx.beginPath();
        ctx.arc(x, at(m), set.edges.includes(m) ? 4.5 : 2, 0, 2 * Math.PI);
        ctx.fillStyle = set.edges.includes(m) ? HS.edges.colourOf(m) : c.line;
        ctx.fill();
        if (!set.edges.includes(m)) continue;
        ctx.lineWidth = 1;
        ctx.strokeStyle = c.ink;
        ctx.stroke();
      }
      if (set.edges.length > 1) {
        const rows = set.edges.map(at);
        HS.chart.line(ctx, x, Math.min(...rows), x, Math.max(...rows), c.ink, 1);
      }
    }

    function setsOver(ctx, width, height, c) {
      const w = columnWidth(width);
      const focus = store.focus(layer());
      state.sets.forEach((set, s) => {
        const own = focus !== null && set.patches.includes(focus);
        if (!own && set !== state.over && set !== state.kept) return;
        ctx.strokeStyle = own ? c.ink : c.accent;
        ctx.lineWidth = 1.5;
        ctx.setLineDash(own ? [3, 2] : []);
        ctx.strokeRect(LEFT + s * w + 1, 1, w - 2, height - 3);
        ctx.setLineDash([]);
      });
    }

    function setsMove(px) {
      const s = Math.floor((px - LEFT) / columnWidth(lower.box.clientWidth));
      state.over = (s >= 0 && state.sets[s]) || null;
      redraw();
      return state.over;
    }

    function setsPress() {
      if (state.over) state.kept = state.kept === state.over ? null : state.over;
      redraw();
    }

    function leave() {
      state.over = state.matrix = null;
      store.setHover(null);
      store.setHoverEdge(null);
      redraw();
    }

    function redraw() {
      upper.draw(false);
      lower.draw(false);
      describe();
    }

    function describe() {
      const d = HS.hyper.of(store, layer());
      if (state.matrix) {
        const [a, b] = state.matrix.map((i) => state.rows[i]);
        const value = HS.hyper.jaccard(d, a, b);
        return say(a === b ? `Hyperedge ${HS.edges.name(a)} with itself.` : `Hyperedges ${HS.edges.name(a)} and ${HS.edges.name(b)}: fuzzy Jaccard ${HS.show(value)} (Σ min ÷ Σ max of their weights; 1 = the same, 0 = no common patch).`);
      }
      const rest = d.active > state.rows.length ? ` The ${state.rows.length} most loaded of ${d.active}.` : "";
      say(`Above: how much two hyperedges overlap. Below: patches by the hyperedges whose strongest half (50 % set) they are in; click a bar to keep its patches lit. ${HS.plural(state.outside, "patch is", "patches are")} in none.${rest}`);
    }

    return {
      draw(changed) {
        if (HS.chart.onlyHover(changed)) return redraw();
        state.over = state.kept = state.matrix = null;
        const before = state.rows.length;
        state.rows = rowsOf();
        if (before !== state.rows.length) {
          upper.resize();
          lower.resize();
        }
        upper.draw(true);
        lower.draw(true);
        describe();
      },
      resize() {
        upper.resize();
        lower.resize();
      },
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "overlap", kind: "hypergraph", title: "Overlap", available: (store) => HS.hyper.of(store, store.look.layer).active > 1, mount });
})();
