/** What three widths see of the same digit: channels in the order of their places, so that those at the same place stand below each other. */
(() => {
  "use strict";

  const PARTS = [["conv_1", "Convolution 1"], ["conv_2", "Convolution 2"], ["conv_3", "Convolution 3"]];
  const OTHERS = [4, 12];

  function mount(el, store) {
    let part = "conv_1";
    let found = null;
    let about = "";
    let under = null;
    HS.chart.choice(el, "After", PARTS, part, (value) => ((part = value), ask(true)));
    const say = HS.chart.note(el);
    const ROW = 92;
    const board = HS.chart.board(el, {
      label: "Feature maps of one digit at three widths",
      height: () => 3 * ROW + 6,
      base(ctx, width, height, c) {
        if (!found) return HS.chart.text(ctx, store.host.live ? "…" : "Needs the live app: this is a stored picture.", width / 2, 40, c.muted, "center");
        found.rows.forEach((row, r) => {
          const y = r * ROW + 14;
          HS.chart.text(ctx, `width ${row.width} · ${row.maps.shape[0]} channels`, 0, y - 3, c.muted);
          places(row, width).forEach(({ x, size, top }, a) => {
            const [, rows, cols] = row.maps.shape;
            const map = row.maps.subarray(a * rows * cols, (a + 1) * rows * cols);
            HS.weights.shade(ctx, { x, y: y + top, width: size - 1, height: size - 1 }, map, rows, cols, row.most);
          });
        });
      },
      over(ctx, width, height, c) {
        if (!found || !under) return;
        const place = under.a / found.rows[under.r].maps.shape[0];
        found.rows.forEach((row, r) => {
          const a = Math.min(row.maps.shape[0] - 1, Math.round(place * row.maps.shape[0]));
          const { x, size, top } = places(row, width)[a];
          ctx.strokeStyle = c.accent;
          ctx.lineWidth = r === under.r ? 2.5 : 1.5;
          ctx.strokeRect(x - 1, r * ROW + 13 + top, size + 1, size + 1);
        });
      },
      move(x, y) {
        under = hit(x, y);
        tell();
        board.draw(false);
        return under && `${under.r} ${under.a}`;
      },
      leave() {
        under = null;
        tell();
        board.draw(false);
      },
      press() {
        if (!under) return;
        const index = store.layers.findIndex((layer) => layer.name === `${part}.weight`);
        HS.weightField.setWidth(store, found.rows[under.r].width, true);
        store.set({ layer: index, channel: under.a });
      },
    });

    /** Maps of one row in as many lines as keep them large: [{x, top, size}]. */
    function places(row, width) {
      const n = row.maps.shape[0];
      let lines = 1;
      while (lines < 4 && (width / Math.ceil(n / lines)) * lines < 0.6 * (ROW - 16) * 1.4 && width / Math.ceil(n / lines) < (ROW - 16) / (lines + 1)) lines++;
      const per = Math.ceil(n / lines);
      const size = Math.min((ROW - 18) / lines, width / per);
      return Array.from({ length: n }, (_, a) => ({ x: (a % per) * size, top: Math.floor(a / per) * size, size }));
    }

    function hit(x, y) {
      if (!found) return null;
      const r = Math.floor(y / ROW);
      if (r < 0 || r >= found.rows.length) return null;
      const a = places(found.rows[r], board.canvas.clientWidth).findIndex((one) => x >= one.x && x < one.x + one.size && y - r * ROW - 14 >= one.top && y - r * ROW - 14 < one.top + one.size);
      return a < 0 ? null : { r, a };
    }

    function ask(anyway = false) {
      const width = HS.weightField.widthOf(store);
      const widths = [...new Set([...OTHERS, width])].sort((a, b) => a - b);
      while (widths.length < 3) widths.push(16);
      const key = `${widths} ${part} ${store.payload.run}`;
      if (key === about && !anyway) return;
      about = key;
      HS.weights.questions(store).ask("features", { widths, part }, (answer) => {
        for (const row of answer.rows) row.most = HS.weights.largest(row.maps);
        found = answer;
        tell();
        board.draw(true);
      }, say);
    }

    function tell() {
      if (!found) return;
      if (!under) return say("Each map is one channel, left to right by its place a / N₀. Point at one: the frame marks the channel at the same place in the other widths. Brightness is scaled per width.");
      const row = found.rows[under.r];
      say(`Width ${row.width}, channel ${under.a + 1} of ${row.maps.shape[0]}: place ${HS.show(under.a / row.maps.shape[0])}. Click to see its kernels on the function.`);
    }

    return {
      draw(changed) {
        if (HS.chart.touched(changed, "width")) ask();
        board.draw(HS.chart.touched(changed, "theme"));
      },
      resize: () => board.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "widths-features", title: "Feature maps", kind: "weight-field", available: ({ payload }) => Boolean(payload.extras.curve), mount });
})();
