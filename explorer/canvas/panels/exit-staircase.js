// @wing tokens
/** How many patches each block computes, and what that costs beside computing them all. Data: extras.exits {alive, after, macs}. */
(() => {
  "use strict";

  const MARGIN = { left: 44, right: 14, top: 24, bottom: 36 };
  const [PLOT, COST] = [190, 92];

  function mount(el, store) {
    const view = HS.chart.board(el, { label: "Patches computed in each block, and multiply–adds", height: () => PLOT + COST, base });
    const say = HS.chart.note(el);
    const data = () => store.payload.extras.exits;

    function base(ctx, width, height, c) {
      const { alive, after, macs, blocks } = data();
      const n = HS.exits.of(store, 0).exited.length;
      const p = HS.chart.plot(width, PLOT, MARGIN, [0.5, blocks + 0.5], [0, n]);
      HS.chart.axisY(ctx, p, "", c, { wanted: 3 });
      HS.chart.axisX(ctx, p, "block", c, { wanted: Math.min(12, blocks) });
      HS.chart.text(ctx, "Patches that each block computes", p.x, p.y - 9, c.ink);
      const step = p.width / blocks;
      for (let i = 0; i < blocks; i++) {
        const x = p.px(i + 1) - step / 2;
        ctx.fillStyle = c.line;
        ctx.fillRect(x + 2, p.py(n), step - 4, p.py(0) - p.py(n));
        ctx.fillStyle = c.accent;
        ctx.fillRect(x + 2, p.py(alive[i]), step - 4, p.py(0) - p.py(alive[i]));
        HS.chart.text(ctx, String(alive[i]), p.px(i + 1), p.py(alive[i]) + (alive[i] > n * 0.12 ? 4 : -4), alive[i] > n * 0.12 ? "#fff" : c.ink, "center", alive[i] > n * 0.12 ? "top" : "bottom");
      }
      after.slice(0, -1).forEach((block, i) => {
        const x = p.px(block + 0.5);
        HS.chart.line(ctx, x, p.y, x, p.y + p.height, HS.exits.STAGES[i][0], 2, [4, 3]);
        HS.chart.text(ctx, `stage ${i + 1}`, x, p.y + p.height - 8, "#fff", "center", "middle");
      });
      const full = width - 100;
      [["all patches", macs.full, c.muted], ["with early exits", macs.spent, c.accent]].forEach(([words, value, colour], i) => {
        const y = PLOT + 18 + i * 26;
        ctx.fillStyle = colour;
        ctx.fillRect(0, y, (value / macs.full) * full, 16);
        HS.chart.text(ctx, `${HS.show(value / 1e6)} M`, (value / macs.full) * full + 6, y + 8, c.ink, "left", "middle");
        HS.chart.text(ctx, words, 6, y + 8, "#fff", "left", "middle");
      });
      HS.chart.text(ctx, "Multiply–adds of blocks and heads", 0, PLOT + 4, c.ink, "left", "top");
    }

    return {
      draw(changed) {
        if (HS.chart.onlyHover(changed)) return;
        view.draw(HS.chart.touched(changed));
        const { macs, alive } = data();
        const n = HS.exits.of(store, 0).exited.length;
        const saved = 1 - macs.spent / macs.full;
        say(`${HS.percent(1 - alive[alive.length - 1] / n)} of the patches are gone before the last block; ${HS.percent(saved)} of the multiplications are saved. A picture with large plain areas saves more than one full of boundaries.`);
      },
      resize: () => view.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "staircase", kind: "exits", title: "Cost", available: ({ payload }) => Boolean(payload.extras.exits), mount });
})();
