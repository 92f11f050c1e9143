// @wing image-graphs
/**
 * The fixed position term of the pyramid for one patch: what it adds to the distance to every key, as released (columns
 * scrambled by resizing a flattened index) and aligned. The most favoured key should be the cell that holds the patch.
 */
(() => {
  "use strict";

  const GAP = 10;
  const TOP = 18;
  const BOTTOM = 24;

  /** Key with the lowest (most favourable) term for every patch. */
  function favoured(bias, n, m) {
    return Uint16Array.from({ length: n }, (_, i) => {
      let best = 0;
      for (let j = 1; j < m; j++) if (bias[i * m + j] < bias[i * m + best]) best = j;
      return best;
    });
  }

  function mount(el, store) {
    const { layer, grid, keyGrid, reference, aligned } = store.payload.extras.relpos;
    const [n, m] = [grid[0] * grid[1], keyGrid[0] * keyGrid[1]];
    const home = Uint16Array.from({ length: n }, (_, i) => HS.mapCell(i, grid, keyGrid));
    const maps = [["As released", reference], ["Aligned", aligned]].map(([title, bias]) => {
      const key = favoured(bias, n, m);
      return { title, bias, key, hits: key.reduce((sum, k, i) => sum + (k === home[i] ? 1 : 0), 0) };
    });
    const all = maps.flatMap(({ bias }) => [bias.reduce((a, v) => Math.min(a, v)), bias.reduce((a, v) => Math.max(a, v))]);
    const scale = [Math.min(...all), Math.max(...all)];
    const state = { patch: Math.floor(grid[0] / 2) * grid[1] + Math.floor(grid[1] / 3), inside: false };

    const view = HS.chart.board(el, {
      label: "Position term of one patch over the keys, as released and aligned. Arrow keys move the patch.",
      height: (width) => side(width) + TOP + BOTTOM,
      base: () => {},
      over,
      move,
      leave: () => {
        state.inside = false;
        store.setHover(null);
      },
      press: (x, y) => {
        const found = under(x, y);
        if (found && found.frame === 0) store.togglePin(store.across(layer, found.cell, store.look.layer));
      },
      key,
    });
    const say = HS.chart.note(el);

    const side = (width) => Math.floor((width - 2 * GAP) / 3);
    const frames = (width) => [0, 1, 2].map((i) => HS.minimap.fit({ x: i * (side(width) + GAP), y: TOP, width: side(width), height: side(width) }, i ? keyGrid : grid));

    /** The patch asked about: hovered or pinned outside, or under the pointer on the small picture. */
    function query() {
      const { hover } = store;
      if (!state.inside && hover && hover.side !== "key") state.patch = store.across(hover.layer, hover.patch, layer);
      else if (!hover && store.pins(layer).length) state.patch = store.pins(layer)[store.pins(layer).length - 1];
      return state.patch;
    }

    function over(ctx, width, height, c) {
      const patch = query();
      const [picture, ...charts] = frames(width);
      HS.chart.text(ctx, "The patch", picture.x, 4, c.ink, "left", "top");
      HS.drawPicture(ctx, picture, HS.chart.picture(store, () => view.draw(false)), false);
      HS.drawVeil(ctx, picture, [HS.cellRect(picture, grid, patch)], 0.55);
      HS.minimap.mark(ctx, picture, grid, patch);
      charts.forEach((f, i) => drawBias(ctx, f, maps[i], patch, c));
      const wide = charts[1].x + charts[1].width - charts[0].x;
      HS.minimap.legend(ctx, charts[0].x, TOP + side(width) + 5, wide, "viridis", [`least ${HS.show(scale[1])}`, `most favoured ${HS.show(scale[0])}`], c);
    }

    function drawBias(ctx, f, map, patch, c) {
      HS.chart.text(ctx, map.title, f.x, 4, c.ink, "left", "top");
      const row = map.bias.slice(patch * m, (patch + 1) * m).map((v) => scale[1] - v); // bright: the distance shrinks most
      HS.drawHeat(ctx, f, { values: row, grid: keyGrid, scale: { kind: "sequential", max: scale[1] - scale[0] } }, 1);
      HS.minimap.mark(ctx, f, keyGrid, home[patch]);
      const [x, y, w, h] = HS.cellRect(f, keyGrid, map.key[patch]);
      ctx.beginPath();
      ctx.arc(x + w / 2, y + h / 2, Math.max(3.5, w * 0.3), 0, 2 * Math.PI);
      ctx.fillStyle = "#e0401f";
      ctx.fill();
      ctx.lineWidth = 1.5;
      ctx.strokeStyle = "#fff";
      ctx.stroke();
    }

    function under(x, y) {
      const list = frames(view.box.clientWidth);
      for (let frame = 0; frame < 3; frame++) {
        const cell = HS.cellAt(list[frame], frame ? keyGrid : grid, x, y);
        if (cell !== null) return { frame, cell };
      }
      return null;
    }

    function move(x, y) {
      const found = under(x, y);
      state.inside = Boolean(found);
      if (!found) return store.setHover(null), null;
      if (found.frame === 0) state.patch = found.cell;
      store.setHover({ layer, patch: found.cell, side: found.frame ? "key" : "target" });
      view.draw(false);
      return found.frame * 65536 + found.cell;
    }

    function key(event) {
      const by = { ArrowUp: -grid[1], ArrowDown: grid[1], ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by) return false;
      state.patch = Math.max(0, Math.min(n - 1, query() + by));
      state.inside = true;
      store.setHover({ layer, patch: state.patch, side: "target" });
      return true;
    }

    function describe() {
      const [released, straight] = maps;
      const patch = query();
      const here = ({ key: found }) => (found[patch] === home[patch] ? "the right one" : HS.place(found[patch], keyGrid));
      say(
        `Square: the cell that holds the patch, which the term should favour. Dot: the cell it favours most; for this patch as released ${here(released)}, aligned ${here(straight)}. ` +
          `The favoured cell is the right one for ${HS.percent(released.hits / n)} of ${n.toLocaleString("en")} patches as released, ${HS.percent(straight.hits / n)} aligned: ` +
          "the table was resized along a flattened index, which scrambles the columns. The published weights were trained with it.",
      );
    }

    return {
      draw() {
        view.draw(false);
        describe();
      },
      resize: () => view.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "relpos", title: "Position term", available: ({ payload }) => Boolean(payload.extras.relpos), mount });
})();
