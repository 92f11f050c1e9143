// @wing tokens
/**
 * Low rank says where, the exact product says how much: of the patch in focus the estimated row of attention beside the true one, the
 * keys that were kept, and every key as a dot. Rows come from the server (the exhibit's question "row").
 */
(() => {
  "use strict";

  const GAP = 12;
  const TOP = 18;
  const MARGIN = { left: 46, right: 12, bottom: 38 };
  const PLOT = 190;

  const rows = new WeakMap(); // store → Map("run layer patch" → answer)

  /** Rows of the patch in focus; asked for once it rests. */
  function keeper(store) {
    if (!rows.has(store)) {
      const known = new Map();
      rows.set(store, { known, timer: 0 });
      store.onAnswer("ask", ({ question, result }) => question === "row" && known.set(`${store.payload.run} ${result.layer} ${result.patch}`, result));
    }
    const { known } = rows.get(store);
    const key = (patch) => `${store.payload.run} ${store.layer.name} ${patch}`;
    return {
      of: (patch) => (patch === null ? null : known.get(key(patch)) || null),
      want(patch) {
        const state = rows.get(store);
        clearTimeout(state.timer);
        if (patch === null || known.has(key(patch))) return;
        state.timer = setTimeout(() => store.ask("ask", { question: "row", layer: store.layer.name, patch }), 120);
      },
      stop: () => clearTimeout(rows.get(store).timer),
    };
  }

  function mount(el, store) {
    const keep = keeper(store);
    const view = HS.chart.board(el, { label: "Estimated and true attention of one patch, as maps and as dots", height: (width) => TOP + side(width) + 40 + PLOT, base, over, move, press, leave: () => store.setHover(null) });
    const say = HS.chart.note(el);

    const focus = () => store.focus(store.look.layer);
    const side = (width) => Math.floor((width - GAP) / 2);
    const frames = (width) => [0, 1].map((i) => HS.minimap.fit({ x: i * (side(width) + GAP), y: TOP, width: side(width), height: side(width) }, store.layer.grid));
    const plot = (width, row) => HS.chart.plot(width, TOP + side(width) + 40 + PLOT, { ...MARGIN, top: TOP + side(width) + 52 }, [0, Math.max(...row.dense) * 1.05 || 1], [0, Math.max(...row.estimate) * 1.05 || 1]);

    function base(ctx, width, height, c) {
      const row = keep.of(focus());
      const image = HS.chart.picture(store, () => view.draw(true));
      const titles = ["estimated attention", "true attention"];
      frames(width).forEach((f, i) => {
        HS.chart.text(ctx, titles[i], f.x, f.y - 4, c.ink, "left", "bottom");
        HS.drawPicture(ctx, f, image, false);
        HS.greyOut(ctx, f);
        if (!row) return HS.chart.text(ctx, focus() === null ? "choose a patch" : store.host.live ? "…" : "needs the live app", f.x + f.width / 2, f.y + f.height / 2, "#fff", "center", "middle");
        HS.drawHeat(ctx, f, { values: lift(i ? row.dense : row.estimate), grid: store.layer.grid, scale: { kind: "diverging", max: 2 } }, 0.82);
        frameKept(ctx, f, row.kept);
      });
      HS.minimap.legend(ctx, 0, TOP + side(width) + 6, 130, "diverging", ["≤ ¼ × even", "≥ 4 ×"], c);
      if (row) drawDots(ctx, width, row, c);
    }

    const lift = (values) => {
      const sum = values.reduce((a, b) => a + b, 0) || 1;
      return values.map((v) => (v > 0 ? Math.max(-30, Math.log2((v * values.length) / sum)) : -30));
    };

    function frameKept(ctx, f, kept) {
      ctx.strokeStyle = HS.MEANING.in;
      ctx.lineWidth = 1;
      for (const patch of kept) {
        const [x, y, w, h] = HS.cellRect(f, store.layer.grid, patch);
        ctx.strokeRect(x + 0.5, y + 0.5, w - 1, h - 1);
      }
    }

    function drawDots(ctx, width, row, c) {
      const p = plot(width, row);
      HS.chart.axisX(ctx, p, "true attention", c, { wanted: 4, format: HS.show });
      HS.chart.axisY(ctx, p, "estimate", c, { wanted: 3, format: HS.show });
      const kept = new Set(row.kept);
      row.dense.forEach((v, i) => HS.curves.mark(ctx, kept.has(i) ? "dot" : "cross", p.px(v), p.py(row.estimate[i]), kept.has(i) ? 3 : 2, kept.has(i) ? c.listen : c.muted));
    }

    function over(ctx, width, height, c) {
      if (focus() === null) return;
      frames(width).forEach((f) => HS.minimap.mark(ctx, f, store.layer.grid, focus()));
    }

    function under(x, y) {
      for (const f of frames(view.box.clientWidth)) {
        const patch = HS.cellAt(f, store.layer.grid, x, y);
        if (patch !== null) return patch;
      }
      return null;
    }

    function move(x, y) {
      return under(x, y);
    }
    function press(x, y) {
      const patch = under(x, y);
      if (patch !== null) store.set({ pins: [patch] });
    }

    function describe() {
      const row = keep.of(focus());
      if (!row) return say("Point at or pin a patch: its row of attention, guessed by mixing a few prototypes and as it truly is. Dots are keys that are kept, crosses those that are not.");
      const order = HS.tokens.ranked(Float32Array.from(row.dense)).slice(0, row.kept.length);
      const kept = new Set(row.kept);
      const hits = order.filter((patch) => kept.has(patch)).length;
      const total = row.dense.reduce((a, b) => a + b, 0) || 1;
      const covered = row.kept.reduce((sum, patch) => sum + row.dense[patch], 0) / total;
      const rho = HS.maths.spearman(row.estimate, row.dense);
      say(`Of the ${row.kept.length} patches with the most true attention the guess finds ${hits}; the kept ones hold ${HS.percent(covered)} of it (as many at random: ${HS.percent(row.kept.length / row.dense.length)}). Rank correlation ρ = ${HS.show(rho)} over ${row.dense.length} patches.`);
    }

    let before = null;
    return {
      draw(changed) {
        keep.want(focus());
        view.draw(HS.chart.touched(changed, "layer", "pins", "answer") || before !== focus());
        before = focus();
        describe();
      },
      resize: () => view.resize(),
      destroy() {
        keep.stop();
        el.replaceChildren();
      },
    };
  }

  HS.sparse = { keeper };
  HS.panel({ name: "estimate", title: "Guess and truth", available: ({ payload }) => Boolean(payload.extras.sparse), mount });
})();
