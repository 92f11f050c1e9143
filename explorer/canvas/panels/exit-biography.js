// @wing tokens
/** The biography of a patch: its three most likely classes at every stage, the confidence above which it leaves, and when it left. */
(() => {
  "use strict";

  const ROW = 92;
  const LEFT = 76;

  function mount(el, store) {
    const view = HS.chart.board(el, { label: "The most likely classes of the chosen patch at every stage", height: () => store.layers.length * ROW + 20, base, over: () => {}, press: (x, y) => store.set({ layer: Math.max(0, Math.min(store.layers.length - 1, Math.floor(y / ROW))) }) });
    const say = HS.chart.note(el);
    const patch = () => store.focus(store.look.layer);

    function top(s, p) {
      const { prediction } = HS.exits.of(store, s);
      const [classes, n] = prediction.shape;
      return Array.from({ length: classes }, (_, c) => [c, prediction[c * n + p]]).sort((a, b) => b[1] - a[1]).slice(0, 3);
    }

    function base(ctx, width, height, c) {
      const p = patch();
      if (p === null) return HS.chart.text(ctx, "Choose a patch.", width / 2, height / 2, c.muted, "center", "middle");
      const left = HS.exits.exitStage(store)[p];
      const scale = (v) => LEFT + v * (width - LEFT - 44);
      store.layers.forEach((layer, s) => {
        const y = s * ROW;
        const e = HS.exits.of(store, s);
        const gone = left >= 0 && s > left;
        ctx.globalAlpha = gone ? 0.45 : 1;
        HS.chart.text(ctx, `Stage ${s + 1}`, 0, y + 12, c.ink, "left", "middle");
        const state = gone ? "has left" : left === s ? "leaves" : e.context[p] ? "stays as context" : s === store.layers.length - 1 ? "decided" : "goes on";
        HS.chart.text(ctx, state, 0, y + 28, left === s ? c.listen : c.muted, "left", "middle");
        top(s, p).forEach(([label, value], i) => {
          const at = y + 6 + i * 20;
          ctx.fillStyle = HS.exits.CLASSES[label % HS.exits.CLASSES.length];
          ctx.fillRect(LEFT, at, Math.max(1, scale(value) - LEFT), 14);
          HS.chart.text(ctx, HS.exits.labels(store)[label], LEFT + 5, at + 7, value > 0.25 ? "#14181f" : c.ink, "left", "middle");
          HS.chart.text(ctx, HS.percent(value), scale(value) + 5, at + 7, c.ink, "left", "middle");
        });
        if (e.threshold < 1) {
          HS.chart.line(ctx, scale(e.threshold), y + 2, scale(e.threshold), y + 68, c.bad, 1.5, [4, 3]);
          HS.chart.text(ctx, `p₀ ${e.threshold}`, scale(e.threshold), y + 76, c.bad, "center", "middle");
        }
        ctx.globalAlpha = 1;
        HS.chart.line(ctx, 0, y + ROW - 5, width, y + ROW - 5, c.line);
      });
    }

    let before;
    return {
      draw(changed) {
        view.draw(HS.chart.touched(changed, "pins") || before !== patch());
        before = patch();
        say("Confidence is a product: that the class is in the picture at all, times that it is here. A patch that has left keeps its masks, but whether a class is in the picture is judged anew by every head, so that its label can still change.");
      },
      resize: () => view.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "biography", kind: "exits", title: "One patch", available: ({ payload }) => Boolean(payload.extras.exits), mount });
})();
