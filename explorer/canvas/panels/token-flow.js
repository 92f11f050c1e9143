// @wing tokens
/**
 * Which patches the answer can come from: attention followed through all layers (rollout), what the class token looks at, what the deep
 * layer attends to; and below, what the chosen patch itself looks at, layer by layer, as the server tells it.
 */
(() => {
  "use strict";

  const GAP = 8;
  const WORDS = 18;

  function mount(el, store) {
    const rows = new Map(); // "run layer patch" → attention of that patch, or a promise
    let timer = 0;
    const rollouts = () => store.payload.extras.tokens.rollouts || [];
    const heads = HS.chart.choice(el, "Heads", [["mean", "mean", "Rollout follows the mean of the heads, as published"], ["max", "strongest", "Of every pair the head that attends most"], ["min", "weakest", "Only what all heads attend to"]], store.look.fusion, (fusion) => store.set({ fusion }));
    const discard = HS.chart.choice(el, "Smallest", [["keep", "kept"], ["drop", "90 % dropped", "In every layer the smallest 90 % of the attention count as 0: a common addition, not the paper’s"]], store.look.discard ? "drop" : "keep", (value) => store.set({ discard: value === "drop" }));
    const view = HS.chart.board(el, { label: "Rollout, class token and deep layer; and what the chosen patch looks at in every layer", height: (width) => half(width) + WORDS + 26 + (layersShown() ? 22 + lines() * (small(width) + WORDS) : 0), base, over, move, press, leave: () => store.setHover(null) });
    const say = HS.chart.note(el);

    const half = (width) => Math.floor((width - 2 * GAP) / 3);
    const small = (width) => Math.floor((width - 3 * GAP) / 4);
    const lines = () => Math.ceil(store.layers.length / 4);
    const focus = () => store.focus(store.look.layer);
    const layersShown = () => focus() !== null;
    const deep = () => HS.tokens.settingsOf(store).deep_layer - 1;
    const key = (layer, patch) => `${store.payload.run} ${layer} ${patch}`;

    const lift = (values) => {
      const sum = values.reduce((a, b) => a + b, 0) || 1;
      return values.map((v) => (v > 0 ? Math.max(-30, Math.log2((v * values.length) / sum)) : -30));
    };
    const upper = () => {
      const { classRow } = store.payload.extras.tokens;
      const rollout = HS.tokens.rollout(store);
      return [["rollout", rollout && lift(rollout)], ["class token", classRow && lift(classRow)], [`layer ${deep() + 1}, received`, HS.tokens.lift(store, deep())]];
    };
    const upperFrame = (width, i) => HS.minimap.fit({ x: i * (half(width) + GAP), y: WORDS, width: half(width), height: half(width) }, store.layer.grid);
    const lowerFrame = (width, i) => HS.minimap.fit({ x: (i % 4) * (small(width) + GAP), y: half(width) + WORDS + 48 + Math.floor(i / 4) * (small(width) + WORDS) + WORDS - 4, width: small(width), height: small(width) }, store.layer.grid);

    function paint(ctx, f, image, values, words, c) {
      HS.drawPicture(ctx, f, image, false);
      HS.greyOut(ctx, f);
      if (values) HS.drawHeat(ctx, f, { values, grid: store.layer.grid, scale: { kind: "diverging", max: HS.roles.reach(store) } }, 0.85);
      else HS.chart.text(ctx, words, f.x + f.width / 2, f.y + f.height / 2, "#fff", "center", "middle");
    }

    function base(ctx, width, height, c) {
      const image = HS.chart.picture(store, () => view.draw(true));
      upper().forEach(([title, values], i) => {
        const f = upperFrame(width, i);
        HS.chart.text(ctx, title, f.x, f.y - 4, c.ink, "left", "bottom");
        paint(ctx, f, image, values, i ? "has none" : "windows", c);
      });
      HS.minimap.legend(ctx, 0, half(width) + WORDS + 6, 120, "diverging", HS.roles.ends(store), c);
      if (!layersShown()) return;
      HS.chart.text(ctx, `${HS.place(focus(), store.layer.grid)} looks at:`.replace(/^./, (x) => x.toUpperCase()), 0, half(width) + WORDS + 44, c.ink, "left", "bottom");
      store.layers.forEach((layer, i) => {
        const f = lowerFrame(width, i);
        const found = rows.get(key(i, focus()));
        HS.chart.text(ctx, `layer ${i + 1}`, f.x, f.y - 2, c.muted, "left", "bottom");
        paint(ctx, f, image, found instanceof Float32Array ? lift(found) : null, store.host.live ? "…" : "live app", c);
      });
    }

    function over(ctx, width) {
      if (focus() === null) return;
      for (let i = 0; i < 3; i++) HS.minimap.mark(ctx, upperFrame(width, i), store.layer.grid, focus());
      store.layers.forEach((_, i) => HS.minimap.mark(ctx, lowerFrame(width, i), store.layer.grid, focus()));
    }

    function under(x, y) {
      const width = view.box.clientWidth;
      const frames = [...[0, 1, 2].map((i) => upperFrame(width, i)), ...store.layers.map((_, i) => lowerFrame(width, i))];
      for (const f of frames) {
        const patch = HS.cellAt(f, store.layer.grid, x, y);
        if (patch !== null) return patch;
      }
      return null;
    }
    function move(x, y) {
      const patch = under(x, y);
      return patch;
    }
    function press(x, y) {
      const patch = under(x, y);
      if (patch !== null) store.set({ pins: [patch] });
    }

    /** The rows of the patch in focus, once it rests. */
    function want() {
      clearTimeout(timer);
      const patch = focus();
      if (patch === null) return;
      timer = setTimeout(() => {
        store.layers.forEach((layer, i) => {
          if (rows.has(key(i, patch))) return;
          const name = key(i, patch);
          const answer = store.lookup({ question: "attention", layer: layer.name, patch });
          if (!answer) return;
          rows.set(name, answer);
          answer.then((found) => {
            if (found && found.values) rows.set(name, found.values);
            view.draw(true);
          });
        });
      }, 150);
    }

    let before = null;
    return {
      draw(changed) {
        want();
        if (HS.chart.touched(changed, "layer", "pins") || (before === null) !== (focus() === null)) view.resize();
        heads.set(store.look.fusion);
        discard.set(store.look.discard ? "drop" : "keep");
        for (const value of ["mean", "max", "min"]) heads.allow(value, rollouts().length > 0, "Rollout needs layers in which every patch sees every other");
        view.draw(HS.chart.touched(changed, "layer", "pins", "deep_layer", "fusion", "discard") || before !== focus());
        before = focus();
        say("Rollout multiplies the attention of all layers, half of it staying in place, and follows the answer down to the patches (Abnar, Zuidema 2020). All maps: times the even share, on one scale. Point at or pin a patch to see what it looks at itself, layer by layer.");
      },
      resize: () => view.resize(),
      destroy() {
        clearTimeout(timer);
        el.replaceChildren();
      },
    };
  }

  HS.panel({ name: "flow", kind: "tokens", title: "Flow", available: ({ payload }) => Boolean(payload.extras.tokens), mount });
})();
