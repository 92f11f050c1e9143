/**
 * How far and how widely every head of every layer looks: mean attention distance and entropy, a dot per head, with the lines of
 * even attention. Data: extras.tokens.profiles {entropy [H], distance [H]}, extras.tokens.uniformDistance.
 */
(() => {
  "use strict";

  const MARGIN = { left: 40, right: 92 };
  const [PLOT, GAP] = [140, 34];

  function mount(el, store) {
    const state = { over: null };
    const view = HS.chart.board(el, { label: "Attention distance and entropy of every head in every layer", height: () => 2 * PLOT + GAP + 44, base, over, move, press: () => state.over && store.set({ layer: state.over.layer }), leave: () => ((state.over = null), view.draw(false), describe()) });
    const say = HS.chart.note(el);

    const count = () => store.layers.length;
    const uniform = () => store.payload.extras.tokens.uniformDistance;
    const profile = (i) => HS.tokens.profile(store, i);
    const most = () => Math.max(uniform() * 1.15, ...store.payload.extras.tokens.profiles.flatMap((layer) => Array.from(layer.distance)));
    const plots = (width) => [
      HS.chart.plot(width, 18 + PLOT, { ...MARGIN, top: 18, bottom: 0 }, [0.5, count() + 0.5], [0, most()]),
      HS.chart.plot(width, 18 + 2 * PLOT + GAP, { ...MARGIN, top: 18 + PLOT + GAP, bottom: 0 }, [0.5, count() + 0.5], [0, 1]),
    ];

    function base(ctx, width, height, c) {
      const [far, wide] = plots(width);
      [[far, "patches", uniform()], [wide, "0 … 1", 1]].forEach(([p, label, even], i) => {
        HS.chart.axisY(ctx, p, label, c, { wanted: 3 });
        HS.chart.line(ctx, p.x, p.py(even), p.x + p.width, p.py(even), c.bad, 1.5, [5, 4]);
        HS.chart.text(ctx, `even ${HS.show(even)}`, p.x + p.width + 6, p.py(even), c.bad, "left", "middle");
        HS.chart.text(ctx, i ? "Entropy: how many tokens a query looks at" : "Distance: how far a patch looks", p.x, p.y - 7, c.ink);
      });
      for (let i = 0; i < count(); i++) {
        const found = profile(i);
        [[far, found.distance], [wide, found.entropy]].forEach(([p, values]) => {
          values.forEach((v) => HS.curves.mark(ctx, "dot", p.px(i + 1), p.py(v), 3, c.accent));
          const mean = HS.maths.mean(values);
          HS.chart.line(ctx, p.px(i + 1) - 8, p.py(mean), p.px(i + 1) + 8, p.py(mean), c.ink, 2);
        });
      }
      HS.chart.axisX(ctx, wide, "layer", c, { wanted: Math.min(8, count()) });
    }

    function over(ctx, width, height, c) {
      const [far, wide] = plots(width);
      const step = far.width / count();
      const column = (i, colour) => {
        ctx.globalAlpha = 0.14;
        ctx.fillStyle = colour;
        ctx.fillRect(far.px(i + 1) - step / 2, far.y, step, wide.y + wide.height - far.y);
        ctx.globalAlpha = 1;
      };
      column(store.look.layer, c.accent);
      if (!state.over) return;
      column(state.over.layer, c.muted);
      const { layer, head } = state.over;
      HS.curves.mark(ctx, "dot", far.px(layer + 1), far.py(profile(layer).distance[head]), 5, c.listen);
      HS.curves.mark(ctx, "dot", wide.px(layer + 1), wide.py(profile(layer).entropy[head]), 5, c.listen);
    }

    function move(x, y) {
      const [far, wide] = plots(view.box.clientWidth);
      const layer = Math.round(far.valueX(x)) - 1;
      const upper = y < wide.y - 10;
      if (layer < 0 || layer >= count()) state.over = null;
      else {
        const values = upper ? profile(layer).distance : profile(layer).entropy;
        const p = upper ? far : wide;
        const head = Array.from(values.keys()).reduce((a, b) => (Math.abs(p.py(values[b]) - y) < Math.abs(p.py(values[a]) - y) ? b : a), 0);
        state.over = { layer, head };
      }
      view.draw(false);
      describe();
      return state.over && state.over.layer * 1000 + state.over.head;
    }

    function describe() {
      const { layer, head } = state.over || { layer: store.look.layer, head: null };
      const { distance, entropy } = profile(layer);
      const words = head === null ? `Layer ${layer + 1}: its ${distance.length} heads look ${HS.show(HS.maths.mean(distance))} patches away on average (even attention: ${HS.show(uniform())})` : `Layer ${layer + 1}, head ${head + 1}: ${HS.show(distance[head])} patches away, entropy ${HS.show(entropy[head])}`;
      say(`${words}. A dot is a head, a bar the mean of a layer; at the dashed lines a head looks at all patches alike. Entropy is in units of ln T: 0 is one token, 1 all alike.`);
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

  HS.panel({ name: "reach", kind: "tokens", title: "Distance", available: ({ payload }) => Boolean((payload.extras.tokens || {}).profiles), mount });
})();
