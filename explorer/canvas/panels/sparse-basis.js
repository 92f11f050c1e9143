// @wing tokens
/**
 * The learned prototypes of a block: rows of attention over the picture, in order of use. The patch in focus mixes a few of them; their
 * shares stand below the tiles. Data: extras.sparse.blocks[layer] {basis q8 [K, N], use [K], numbers [K]}.
 */
(() => {
  "use strict";

  const GAP = 6;
  const WORDS = 16;
  const ACROSS = 5;

  function mount(el, store) {
    const keep = HS.sparse.keeper(store);
    const state = { over: null };
    const view = HS.chart.board(el, { label: "Prototypes of attention, in order of use", height: (width) => Math.ceil(count() / ACROSS) * (side(width) + WORDS + GAP) + 22, base, over, move, leave: () => ((state.over = null), view.draw(false), describe()) });
    const say = HS.chart.note(el);

    const block = () => store.payload.extras.sparse.blocks[store.look.layer];
    const count = () => block().basis.shape[0];
    const side = (width) => Math.floor((width - GAP * (ACROSS - 1)) / ACROSS);
    const frame = (width, k) => HS.minimap.fit({ x: (k % ACROSS) * (side(width) + GAP), y: Math.floor(k / ACROSS) * (side(width) + WORDS + GAP), width: side(width), height: side(width) }, store.layer.grid);
    const focus = () => store.focus(store.look.layer);

    function base(ctx, width, height, c) {
      const { basis, use } = block();
      const [k, n] = basis.shape;
      const max = HS.maths.quantile(basis, 0.995) || Math.max(...basis) || 1;
      for (let i = 0; i < k; i++) {
        const f = frame(width, i);
        ctx.globalAlpha = use[i] > 0 ? 1 : 0.35;
        HS.drawHeat(ctx, f, { values: basis.subarray(i * n, (i + 1) * n), grid: store.layer.grid, scale: { kind: "sequential", max } }, use[i] > 0 ? 1 : 0.35);
        ctx.globalAlpha = 1;
        HS.chart.text(ctx, `${i + 1} · ${HS.percent(use[i])}`, f.x, f.y + f.height + 3, use[i] > 0 ? c.muted : c.bad, "left", "top");
      }
      HS.minimap.legend(ctx, 0, height - 18, 120, "viridis", ["0", `${HS.show(max)} attention`], c);
    }

    function over(ctx, width, height, c) {
      const row = keep.of(focus());
      const largest = row && row.mixture.length ? row.mixture[0][1] : 0;
      for (const [k, share] of row ? row.mixture : []) {
        const f = frame(width, k);
        ctx.fillStyle = "rgb(10 12 16 / 0.8)";
        ctx.fillRect(f.x, f.y + f.height - 7, f.width, 7);
        ctx.fillStyle = HS.MEANING.in;
        ctx.fillRect(f.x, f.y + f.height - 6, f.width * (share / largest), 5);
        ctx.strokeStyle = HS.MEANING.in;
        ctx.lineWidth = 1.5;
        ctx.strokeRect(f.x + 0.5, f.y + 0.5, f.width - 1, f.height - 1);
      }
      if (focus() !== null) for (let i = 0; i < count(); i++) HS.minimap.mark(ctx, frame(width, i), store.layer.grid, focus());
      if (state.over === null) return;
      const f = frame(width, state.over);
      ctx.strokeStyle = c.accent;
      ctx.lineWidth = 2.5;
      ctx.strokeRect(f.x - 1, f.y - 1, f.width + 2, f.height + 2);
    }

    function move(x, y) {
      const width = view.box.clientWidth;
      state.over = Array.from({ length: count() }, (_, i) => i).find((i) => HS.cellAt(frame(width, i), [1, 1], x, y) !== null) ?? null;
      view.draw(false);
      describe();
      return state.over;
    }

    function describe() {
      const { use, numbers } = block();
      const dead = use.filter((share) => share === 0).length;
      const row = keep.of(focus());
      if (state.over !== null) {
        const mixed = row && row.mixture.find(([k]) => k === state.over);
        return say(`Prototype ${state.over + 1} (number ${numbers[state.over]} in the weights): ${HS.percent(use[state.over])} of all patches and heads mix it${mixed ? `; the patch in focus gives it ${HS.percent(mixed[1])}` : ""}.`);
      }
      const own = row ? ` The patch in focus mixes ${row.mixture.length} of them; bars show how much.` : " Choose a patch to see what it mixes.";
      say(`${count()} learned prototypes of attention, in order of use; the guess of every patch is a mixture of a few. ${dead ? `${dead} ${dead === 1 ? "is" : "are"} used by no patch of this picture.` : "All are used."}${own}`);
    }

    let before = null;
    return {
      draw(changed) {
        keep.want(focus());
        if (HS.chart.touched(changed, "layer")) view.resize();
        view.draw(HS.chart.touched(changed, "layer"));
        if (before !== focus() || !HS.chart.onlyHover(changed)) describe();
        before = focus();
      },
      resize: () => view.resize(),
      destroy() {
        keep.stop();
        el.replaceChildren();
      },
    };
  }

  HS.panel({ name: "basis", title: "Prototypes", available: ({ payload }) => Boolean(payload.extras.sparse), mount });
})();
