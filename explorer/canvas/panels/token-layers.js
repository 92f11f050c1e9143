// @wing tokens
/**
 * How alike the layers are: Spearman's rank correlation between the attention that patches receive in every two layers, and the same
 * as distances in a plane (classical scaling of 1 − ρ). A click looks at a layer; with Shift it becomes the object layer.
 */
(() => {
  "use strict";

  const LEFT = 26;
  const TOP = 8;

  function mount(el, store) {
    const state = { over: null };
    const view = HS.chart.board(el, { label: "Rank correlation of the attention between the layers, as a matrix and as places in a plane", height: (width) => TOP + side(width) + 40 + plane(width) + 20, base, over, move, press, leave: () => ((state.over = null), view.draw(false)) });
    const say = HS.chart.note(el);

    const count = () => store.layers.length;
    const side = (width) => Math.min(width - LEFT - 8, 260);
    const plane = (width) => Math.min(170, Math.round(width * 0.5));
    const cell = (width) => side(width) / count();

    /** Two coordinates of each layer: classical scaling of the distances 1 − ρ. */
    function places() {
      const rho = HS.tokens.likeness(store);
      const n = count();
      const d2 = rho.map((row) => row.map((r) => (1 - (Number.isFinite(r) ? r : 0)) ** 2));
      const means = d2.map((row) => HS.maths.mean(row));
      const all = HS.maths.mean(means);
      const b = d2.map((row, i) => row.map((d, j) => -0.5 * (d - means[i] - means[j] + all)));
      const axes = [];
      for (let axis = 0; axis < 2; axis++) {
        let v = Float64Array.from({ length: n }, (_, i) => Math.cos(1 + i * (axis + 1.3)));
        let value = 0;
        for (let step = 0; step < 200; step++) {
          for (const { u } of axes) remove(v, u);
          const next = Float64Array.from(b, (row) => row.reduce((sum, x, j) => sum + x * v[j], 0));
          for (const { u } of axes) remove(next, u);
          value = Math.hypot(...next);
          if (!(value > 1e-12)) break;
          v = next.map((x) => x / value);
        }
        axes.push({ u: v, scale: Math.sqrt(Math.max(0, value)) });
      }
      return Array.from({ length: n }, (_, i) => axes.map(({ u, scale }) => u[i] * scale));
    }

    function remove(v, u) {
      const along = v.reduce((sum, x, i) => sum + x * u[i], 0);
      v.forEach((x, i) => (v[i] = x - along * u[i]));
    }

    function base(ctx, width, height, c) {
      const rho = HS.tokens.likeness(store);
      const s = cell(width);
      rho.forEach((row, i) =>
        row.forEach((value, j) => {
          ctx.fillStyle = Number.isFinite(value) ? HS.ramp("diverging", 0.5 + value / 2) : c.line;
          ctx.fillRect(LEFT + j * s, TOP + i * s, Math.ceil(s), Math.ceil(s));
          if (s >= 24 && Number.isFinite(value) && i !== j) HS.chart.text(ctx, value.toFixed(1).replace("-", "−").replace("0.", "."), LEFT + (j + 0.5) * s, TOP + (i + 0.5) * s, Math.abs(value) > 0.7 ? "#fff" : "#14181f", "center", "middle");
        }),
      );
      const every = Math.ceil(count() / 12);
      for (let i = 0; i < count(); i += every) {
        HS.chart.text(ctx, String(i + 1), LEFT - 6, TOP + (i + 0.5) * s, c.muted, "right", "middle");
        HS.chart.text(ctx, String(i + 1), LEFT + (i + 0.5) * s, TOP + count() * s + 4, c.muted, "center", "top");
      }
      HS.minimap.legend(ctx, LEFT, TOP + side(width) + 20, Math.min(120, side(width)), "diverging", ["−1", "1 same order"], c);
      drawPlane(ctx, width, c);
    }

    const planeTop = (width) => TOP + side(width) + 48;

    function dots(width) {
      const found = places();
      const most = Math.max(1e-9, ...found.flat().map(Math.abs));
      const half = plane(width) / 2 - 14;
      return found.map(([x, y]) => [LEFT + side(width) / 2 + (x / most) * Math.min(half * 1.6, side(width) / 2 - 10), planeTop(width) + plane(width) / 2 - (y / most) * half]);
    }

    function drawPlane(ctx, width, c) {
      const at = dots(width);
      ctx.beginPath();
      at.forEach(([x, y], i) => ctx[i ? "lineTo" : "moveTo"](x, y));
      ctx.strokeStyle = c.line;
      ctx.lineWidth = 1.5;
      ctx.stroke();
      at.forEach(([x, y], i) => {
        ctx.beginPath();
        ctx.arc(x, y, 9, 0, 2 * Math.PI);
        ctx.fillStyle = HS.ramp("viridis", count() > 1 ? i / (count() - 1) : 0);
        ctx.fill();
        HS.chart.text(ctx, String(i + 1), x, y + 0.5, i / count() > 0.6 ? "#14181f" : "#fff", "center", "middle");
      });
    }

    function over(ctx, width, height, c) {
      const s = cell(width);
      const { object_layer: first, deep_layer: second } = HS.tokens.settingsOf(store);
      const at = dots(width);
      const frame = (i, colour, line) => {
        ctx.strokeStyle = colour;
        ctx.lineWidth = line;
        ctx.strokeRect(LEFT, TOP + i * s, side(width), s);
        ctx.beginPath();
        ctx.arc(...at[i], 11.5, 0, 2 * Math.PI);
        ctx.stroke();
      };
      frame(store.look.layer, c.accent, 2);
      [[first, 1], [second, 3]].forEach(([layer, code]) => HS.roles.paintLetter(ctx, LEFT + side(width) + 9 - (code === 3 && first === second ? 12 : 0), TOP + (layer - 0.5) * s, HS.roles.ROLES[code], 12));
      if (state.over) frame(state.over.i, c.muted, 1.5);
    }

    function move(x, y) {
      const width = view.box.clientWidth;
      const s = cell(width);
      const [i, j] = [Math.floor((y - TOP) / s), Math.floor((x - LEFT) / s)];
      const dot = dots(width).findIndex(([px, py]) => Math.hypot(px - x, py - y) < 12);
      state.over = i >= 0 && j >= 0 && i < count() && j < count() ? { i, j } : dot >= 0 ? { i: dot, j: store.look.layer } : null;
      view.draw(false);
      describe();
      return state.over && state.over.i * 1000 + state.over.j;
    }

    function press(x, y, event) {
      if (!state.over) return;
      if (event.shiftKey && HS.tokens.isFull(store, state.over.i + 1)) store.set({ object_layer: state.over.i + 1 });
      else store.set({ layer: state.over.i });
    }

    function describe() {
      const rho = HS.tokens.likeness(store);
      const { object_layer: first, deep_layer: second } = HS.tokens.settingsOf(store);
      const [i, j] = state.over ? [state.over.i, state.over.j] : [first - 1, second - 1];
      const value = rho[i][j];
      const words = !Number.isFinite(value) ? "one of them attends to all patches alike" : value > 0.7 ? "they attend to the same patches" : value > 0.3 ? "they agree in part" : value > -0.3 ? "they have little to do with each other" : "what one attends to the other avoids";
      say(`Layers ${i + 1} and ${j + 1}: rank correlation ρ = ${HS.show(value)} over ${store.layer.tokens.score.length} patches: ${words}. Below: layers that order the patches alike lie close (classical scaling of 1 − ρ: it shows the distances as they are, while t-SNE would place so few points by chance). A click looks at a layer, with Shift it becomes the object layer.`);
    }

    return {
      draw(changed) {
        if (HS.chart.onlyHover(changed)) return;
        view.draw(HS.chart.touched(changed));
        describe();
      },
      resize: () => view.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "layers", kind: "tokens", title: "Layers", available: ({ layers }) => layers.length > 1, mount });
})();
