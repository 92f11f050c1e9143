// @wing tokens
/** What every class query finds at this stage: the prediction of each class as a map, with how sure the head is that the class is there. */
(() => {
  "use strict";

  const GAP = 8;
  const WORDS = 32;
  const ACROSS = 4;

  function mount(el, store) {
    const view = HS.chart.board(el, { label: "Prediction of every class at this stage", height: (width) => Math.ceil(count() / ACROSS) * (side(width) + WORDS + GAP) + 20, base, over, move, press, leave: () => store.setHover(null) });
    const say = HS.chart.note(el);

    const count = () => HS.exits.of(store).present.length;
    const side = (width) => Math.floor((width - GAP * (ACROSS - 1)) / ACROSS);
    const frame = (width, i) => HS.minimap.fit({ x: (i % ACROSS) * (side(width) + GAP), y: Math.floor(i / ACROSS) * (side(width) + WORDS + GAP), width: side(width), height: side(width) }, store.layer.grid);

    function base(ctx, width, height, c) {
      const { prediction, present } = HS.exits.of(store);
      const [classes, n] = prediction.shape;
      const image = HS.chart.picture(store, () => view.draw(true));
      for (let i = 0; i < classes; i++) {
        const f = frame(width, i);
        HS.drawPicture(ctx, f, image, false);
        HS.greyOut(ctx, f);
        HS.drawHeat(ctx, f, { values: prediction.subarray(i * n, (i + 1) * n), grid: store.layer.grid, scale: { kind: "sequential", max: 1 } }, 0.82);
        ctx.fillStyle = HS.exits.CLASSES[i % HS.exits.CLASSES.length];
        ctx.fillRect(f.x, f.y + f.height + 5, 9, 9);
        HS.chart.text(ctx, HS.exits.labels(store)[i], f.x + 13, f.y + f.height + 3, c.ink, "left", "top");
        HS.chart.text(ctx, `there: ${HS.percent(present[i])}`, f.x, f.y + f.height + 17, c.muted, "left", "top");
      }
      HS.minimap.legend(ctx, 0, height - 16, 110, "viridis", ["0", "1"], c);
    }

    function over(ctx, width) {
      const focus = store.focus(store.look.layer);
      if (focus !== null) for (let i = 0; i < count(); i++) HS.minimap.mark(ctx, frame(width, i), store.layer.grid, focus);
    }

    function under(x, y) {
      for (let i = 0; i < count(); i++) {
        const patch = HS.cellAt(frame(view.box.clientWidth, i), store.layer.grid, x, y);
        if (patch !== null) return patch;
      }
      return null;
    }
    function move(x, y) {
      const patch = under(x, y);
      store.setHover(patch === null ? null : { layer: store.look.layer, patch, side: "target" });
      return patch;
    }
    function press(x, y) {
      const patch = under(x, y);
      if (patch !== null) store.togglePin(patch);
    }

    return {
      draw(changed) {
        if (HS.chart.onlyHover(changed)) return view.draw(false);
        view.draw(HS.chart.touched(changed, "layer"));
        say(`Stage ${store.look.layer + 1}: prediction = p(class in the picture) · sigmoid(mask), one scale for all classes. What has left keeps its mask.`);
      },
      resize: () => view.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "queries", kind: "exits", title: "Classes", available: ({ payload }) => Boolean(payload.extras.exits), mount });
})();
