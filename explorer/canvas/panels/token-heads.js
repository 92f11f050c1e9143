// @wing tokens
/** The attention that patches receive in each head of the layer on show, one scale for all. A click takes one head alone for the anchors. */
(() => {
  "use strict";

  const GAP = 8;
  const WORDS = 30;

  function mount(el, store) {
    let stale = false; // the maps of the heads have come
    const view = HS.chart.board(el, { label: "Attention of each head of this layer", height: (width) => rows(width) * (side(width) + WORDS + GAP) + 22, base, over, move, leave: () => store.setHover(null), press });
    const use = HS.el("button", { type: "button", class: "hs-button", onclick: () => store.set({ head: 0 }) }, "Use the mean of the heads");
    el.append(use);
    const say = HS.chart.note(el);

    const heads = () => store.layer.tokens.headCount;
    const across = () => (heads() > 9 ? 4 : heads() > 4 ? 3 : 2);
    const side = (width) => Math.floor((width - GAP * (across() - 1)) / across());
    const rows = () => Math.ceil(heads() / across());
    const frames = (width) =>
      Array.from({ length: heads() }, (_, i) => HS.minimap.fit({ x: (i % across()) * (side(width) + GAP), y: Math.floor(i / across()) * (side(width) + WORDS + GAP) + WORDS, width: side(width), height: side(width) }, store.layer.grid));

    function base(ctx, width, height, c) {
      const image = HS.chart.picture(store, () => view.draw(true));
      const known = HS.tokens.headScores(store, store.look.layer);
      const { entropy, distance } = HS.tokens.profile(store, store.look.layer);
      frames(width).forEach((f, i) => {
        HS.chart.text(ctx, `head ${i + 1}`, f.x, f.y - 17, c.ink, "left", "bottom");
        if (entropy) HS.chart.text(ctx, `reach ${distance[i].toFixed(1)} · entropy ${entropy[i].toFixed(2)}`, f.x, f.y - 3, c.muted, "left", "bottom");
        HS.drawPicture(ctx, f, image, false);
        HS.greyOut(ctx, f);
        if (known) HS.drawHeat(ctx, f, HS.roles.attentionHeat(store, store.look.layer, i + 1), 0.85);
        else HS.chart.text(ctx, store.host.live ? "…" : "needs the server", f.x + f.width / 2, f.y + f.height / 2, "#fff", "center", "middle");
      });
      HS.minimap.legend(ctx, 0, height - 18, 140, "diverging", HS.roles.ends(store), c);
    }

    function over(ctx, width, height, c) {
      const focus = store.focus(store.look.layer);
      const { head, object_layer: first } = HS.tokens.settingsOf(store);
      frames(width).forEach((f, i) => {
        if (focus !== null) HS.minimap.mark(ctx, f, store.layer.grid, focus);
        if (head !== i + 1 || first !== store.look.layer + 1) return;
        ctx.strokeStyle = c.accent;
        ctx.lineWidth = 3;
        ctx.strokeRect(f.x + 1, f.y + 1, f.width - 2, f.height - 2);
      });
    }

    function under(x, y) {
      const found = frames(view.box.clientWidth);
      for (let i = 0; i < found.length; i++) {
        const patch = HS.cellAt(found[i], store.layer.grid, x, y);
        if (patch !== null) return { head: i + 1, patch };
      }
      return null;
    }

    function move(x, y) {
      const hit = under(x, y);
      store.setHover(hit && { layer: store.look.layer, patch: hit.patch, side: "target" });
      return hit && hit.head * 100000 + hit.patch;
    }

    function press(x, y) {
      const hit = under(x, y);
      if (!hit || !HS.tokens.isFull(store, store.look.layer + 1)) return;
      const { head, object_layer: first } = HS.tokens.settingsOf(store);
      const same = head === hit.head && first === store.look.layer + 1;
      store.set({ object_layer: store.look.layer + 1, head: same ? 0 : hit.head });
    }

    function describe() {
      const known = HS.tokens.headScores(store, store.look.layer);
      if (!known) return say(store.host.live ? "The maps of the heads are on their way …" : "The maps of single heads need the live app.");
      const n = store.layer.tokens.score.length;
      const rho = [];
      for (let a = 0; a < heads(); a++) for (let b = 0; b < a; b++) rho.push(HS.maths.spearman(known.subarray(a * n, (a + 1) * n), known.subarray(b * n, (b + 1) * n)));
      const known_ = rho.filter(Number.isFinite);
      const mean = known_.length ? HS.maths.mean(known_) : NaN;
      const words = !Number.isFinite(mean) ? "" : ` Two heads order the patches with a rank correlation of ${HS.show(mean)} on average: ${mean > 0.7 ? "they look at the same" : mean > 0.3 ? "they agree in part" : "each looks at something else, which their mean hides"}.`;
      const { head, object_layer: first } = HS.tokens.settingsOf(store);
      const now = head ? ` Anchors are chosen by head ${head} of layer ${first}.` : ` Anchors are chosen by the mean over the heads of layer ${first}, as in the paper.`;
      say(`${words}${now} A click takes that head of this layer alone.`.trim());
    }

    return {
      draw(changed) {
        if (HS.chart.onlyHover(changed)) return view.draw(false);
        HS.tokens.wantHeads(store, store.look.layer, () => ((stale = true), store.touch("head")));
        if (HS.chart.touched(changed, "layer")) view.resize();
        view.draw(HS.chart.touched(changed, "layer") || stale);
        stale = false;
        use.hidden = !HS.tokens.settingsOf(store).head;
        describe();
      },
      resize: () => view.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "token-heads", kind: "tokens", title: "Heads", available: ({ layer }) => layer.tokens.headCount > 1, mount });
})();
