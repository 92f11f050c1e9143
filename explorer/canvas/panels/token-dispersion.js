// @wing tokens
/**
 * Where the object layer should lie: mean distance, in the features of the last layer, between the patches that each layer attends to
 * most. It jumps where attention moves from the object to scattered patches. Drag the mark to choose the object layer.
 */
(() => {
  "use strict";

  const MARGIN = { left: 40, right: 60, top: 24, bottom: 36 };

  function mount(el, store) {
    const view = HS.chart.board(el, { role: "slider", label: "Dispersion of the most attended patches by layer. Drag, or use the arrow keys, to choose the object layer.", height: () => 220, base, over, move, press: pick, key });
    const take = HS.el("button", { type: "button", class: "hs-button", onclick: () => store.set({ object_layer: elbow().layer }) }, "");
    el.append(take);
    const say = HS.chart.note(el);

    const data = () => store.payload.extras.tokens.dispersion;
    const count = () => store.layers.length;
    const elbow = () => HS.tokens.elbow(data().values[1]);
    const plot = (width) => HS.chart.plot(width, 220, MARGIN, [1, count()], [0, Math.max(1e-9, ...data().values.flat()) * 1.08]);
    const layers = () => Array.from({ length: count() }, (_, i) => i + 1);

    function base(ctx, width, height, c) {
      const p = plot(width);
      HS.chart.axisY(ctx, p, "distance of features", c, { wanted: 4 });
      HS.chart.axisX(ctx, p, "layer", c, { wanted: Math.min(8, count()) });
      data().values.forEach((values, i) => HS.curves.line(ctx, p, layers(), values, HS.curves.STYLES[i]));
      HS.curves.names(ctx, p, data().values.map((values, i) => [values[values.length - 1], `top ${Math.round(100 * data().shares[i])} %`, HS.curves.STYLES[i].colour]));
    }

    function over(ctx, width, height, c) {
      const p = plot(width);
      const { object_layer: chosen } = HS.tokens.settingsOf(store);
      HS.chart.line(ctx, p.px(elbow().layer), p.y, p.px(elbow().layer), p.y + p.height, c.muted, 1, [3, 3]);
      HS.curves.grip(ctx, p, chosen, c.accent, `object layer ${chosen}`);
    }

    const at = (x) => Math.max(1, Math.min(count(), Math.round(plot(view.box.clientWidth).valueX(x))));
    function pick(x) {
      if (HS.tokens.isFull(store, at(x))) store.set({ object_layer: at(x) });
    }
    function move(x, y, event) {
      if (event && event.buttons & 1) pick(x);
      return at(x);
    }
    function key(event) {
      const by = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1 }[event.key];
      if (!by) return false;
      store.set({ object_layer: Math.max(1, Math.min(count(), HS.tokens.settingsOf(store).object_layer + by)) });
      return true;
    }

    return {
      draw(changed) {
        if (HS.chart.onlyHover(changed)) return;
        view.draw(HS.chart.touched(changed));
        const { layer, rise } = elbow();
        const { object_layer: chosen } = HS.tokens.settingsOf(store);
        take.textContent = `Take layer ${layer}`;
        take.hidden = layer === chosen || !HS.tokens.isFull(store, layer);
        for (const [name, value] of [["valuenow", chosen], ["valuemin", 1], ["valuemax", count()]]) view.canvas.setAttribute(`aria-${name}`, value);
        const share = rise / (HS.maths.mean(data().values[1]) || 1);
        say(`The largest rise (top 10 %) comes after layer ${layer}, by ${HS.percent(Math.max(0, share))} of the mean; the rule of the paper’s code takes the last layer before it. On one picture this is noisy: the paper averages over many.`);
      },
      resize: () => view.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "dispersion", kind: "tokens", title: "Dispersion", available: ({ payload }) => Boolean((payload.extras.tokens || {}).dispersion), mount });
})();
