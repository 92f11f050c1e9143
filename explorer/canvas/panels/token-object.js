// @wing tokens
/**
 * Does attention find the object? Overlap of the most attended tenth of the patches with it, and the area under the ROC curve, layer by
 * layer, computed in the browser for any segment of the picture; beside it how much of it remains.
 */
(() => {
  "use strict";

  const MARGIN = { left: 40, right: 62, top: 20, bottom: 36 };
  // HiPrune, table 1: IoU of the top 10 % of the tokens with COCO masks in the first and the last layer, over that in layer L/2.
  const PUBLISHED = [["CLIP-L", 0.58, 0.8], ["CLIP-B", 0.34, 0.79], ["SigLIP", 0.57, 0.66], ["SigLIP 2", 0.62, 0.64], ["DeiT", 0.27, 0.59], ["V-JEPA 2", 0.82, 0.26]];

  function mount(el, store) {
    const pick = HS.el("select", { "aria-label": "Segment that counts as the object", onchange: () => store.set({ object: Number(pick.value) }) });
    const pinned = HS.el("button", { type: "button", class: "hs-button", onclick: byPin }, "The one under the pin");
    const state = { scale: "raw" };
    el.append(HS.el("div", { class: "hs-choice hs-ask" }, HS.el("span", { class: "hs-hint" }, "Object"), pick, pinned));
    HS.chart.choice(el, "Shown", [["raw", "as it is"], ["relative", "over layer L/2", "Divided by the value of the middle layer, as the paper prints it"]], state.scale, (scale) => {
      state.scale = scale;
      view.draw(true);
      describe();
    });
    const view = HS.chart.board(el, { label: "How well the attention of each layer finds the object", height: (width) => 210 + small(width) + 22, base, over, move, press, leave: () => store.setHover(null) });
    const say = HS.chart.note(el);

    const small = (width) => Math.min(150, Math.floor(width / 2 - 6));
    const segments = () => store.payload.segments;
    const count = () => store.layers.length;
    const middle = () => Math.max(1, Math.round(count() / 2));
    const relative = () => state.scale === "relative";
    const plot = (width) => HS.chart.plot(width, 210, MARGIN, [1, count()], [0, relative() ? top() : 1]);

    /** Divided by the value of the middle layer, where that is above 0. */
    const scaled = (values) => (relative() && values[middle() - 1] > 0 ? values.map((v) => v / values[middle() - 1]) : values);
    const top = () => {
      const rows = found();
      return rows && rows[0] ? Math.max(1.25, ...scaled(rows.map((r) => r.iou))) : 1.25;
    };
    const inside = () => HS.tokens.objectMask(store);
    const frame = (width) => HS.minimap.fit({ x: 0, y: 228, width: small(width), height: small(width) }, store.layer.grid);

    function found() {
      const mask = inside();
      return mask && store.layers.map((layer) => HS.tokens.centricity(layer.tokens.score, mask));
    }

    function base(ctx, width, height, c) {
      const p = plot(width);
      const rows = found();
      HS.chart.axisY(ctx, p, "", c, { wanted: 4 });
      HS.chart.axisX(ctx, p, "layer", c, { wanted: Math.min(8, count()) });
      if (!rows || !rows[0]) return HS.chart.text(ctx, "no object to compare with", p.x + p.width / 2, p.y + p.height / 2, c.muted, "center", "middle");
      const layers = rows.map((_, i) => i + 1);
      const raw = rows.map((r) => r.iou);
      const [iou, auc] = [scaled(raw), rows.map((r) => r.auc)];
      drawGuide(ctx, p, relative() ? 1 : raw[middle() - 1], c);
      if (relative()) {
        HS.chart.line(ctx, p.x, p.py(1), p.x + p.width, p.py(1), c.line, 1);
        HS.curves.line(ctx, p, layers, iou, HS.curves.STYLES[0]);
        HS.curves.names(ctx, p, [[iou[count() - 1], "IoU", HS.curves.STYLES[0].colour], [PUBLISHED[0][2], "CLIP-L", c.muted]]);
        return drawSmall(ctx, width, c);
      }
      HS.chart.line(ctx, p.x, p.py(0.5), p.x + p.width, p.py(0.5), HS.curves.STYLES[1].colour, 1, [2, 3]);
      HS.chart.line(ctx, p.x, p.py(rows[0].chance), p.x + p.width, p.py(rows[0].chance), HS.curves.STYLES[0].colour, 1, [2, 3]);
      HS.curves.line(ctx, p, layers, iou, HS.curves.STYLES[0]);
      HS.curves.line(ctx, p, layers, auc, HS.curves.STYLES[1]);
      HS.curves.names(ctx, p, [[iou[count() - 1], "IoU", HS.curves.STYLES[0].colour], [auc[count() - 1], "AUC", HS.curves.STYLES[1].colour]]);
      drawSmall(ctx, width, c);
    }

    /** CLIP's published shape, dotted, through our value in the middle layer: three points are all that the paper prints. */
    function drawGuide(ctx, p, at, c) {
      if (count() < 3 || !(at > 0)) return;
      const [, first, last] = PUBLISHED[0];
      const points = [[1, first], [middle(), 1], [count(), last]];
      HS.curves.line(ctx, p, points.map(([x]) => x), points.map(([, y]) => y * at), { colour: c.muted, dash: [1, 4], mark: "dot" });
    }

    function drawSmall(ctx, width, c) {
      const f = frame(width);
      const mask = inside();
      const image = HS.chart.picture(store, () => view.draw(true));
      HS.chart.text(ctx, "the object", f.x, f.y - 4, c.ink, "left", "bottom");
      HS.drawPicture(ctx, f, image, false);
      ctx.fillStyle = "rgb(8 10 14 / 0.72)";
      mask.forEach((is, patch) => {
        const [x, y, w, h] = HS.cellRect(f, store.layer.grid, patch);
        const [left, top] = [Math.round(x), Math.round(y)]; // whole pixels, so that no seam shows
        if (is !== 1) ctx.fillRect(left, top, Math.round(x + w) - left, Math.round(y + h) - top);
      });
    }

    function over(ctx, width, height, c) {
      const p = plot(width);
      const x = p.px(store.look.layer + 1);
      HS.chart.line(ctx, x, p.y, x, p.y + p.height, c.accent, 2);
      const focus = store.focus(store.look.layer);
      if (focus !== null && inside()) HS.minimap.mark(ctx, frame(width), store.layer.grid, focus);
      const share = kept();
      if (!share) return;
      const left = small(width) + 16;
      HS.chart.text(ctx, `${HS.percent(share.recall)} of it remains`, left, 246, c.ink);
      HS.chart.text(ctx, `${HS.percent(share.chance)} of all patches do`, left, 264, c.muted);
      HS.chart.text(ctx, `${HS.percent(share.precision)} of what remains`, left, 288, c.ink);
      HS.chart.text(ctx, `lies on it (${HS.percent(share.base)} of all)`, left, 306, c.muted);
    }

    /** Recall and precision of the object's patches among the kept ones. */
    function kept() {
      const mask = inside();
      if (!mask) return null;
      const { role } = HS.tokens.selection(store);
      const known = Array.from(mask.keys()).filter((p) => mask[p] >= 0);
      const object = known.filter((p) => mask[p] === 1);
      const stay = known.filter((p) => role[p] > 0);
      const both = object.filter((p) => role[p] > 0).length;
      return object.length && { recall: both / object.length, chance: stay.length / known.length, precision: stay.length ? both / stay.length : NaN, base: object.length / known.length };
    }

    function move(x, y) {
      const patch = inside() ? HS.cellAt(frame(view.box.clientWidth), store.layer.grid, x, y) : null;
      store.setHover(patch === null ? null : { layer: store.look.layer, patch, side: "target" });
      return patch ?? `layer ${x}`;
    }

    function press(x, y) {
      const p = plot(view.box.clientWidth);
      const patch = inside() ? HS.cellAt(frame(view.box.clientWidth), store.layer.grid, x, y) : null;
      if (patch !== null) return store.togglePin(patch);
      if (p.inside(x, y)) store.set({ layer: Math.max(0, Math.min(count() - 1, Math.round(p.valueX(x)) - 1)) });
    }

    function byPin() {
      const patch = store.focus(store.look.layer);
      const label = patch === null || !segments() ? 255 : segments().labels[patch];
      if (label !== 255) store.set({ object: label });
    }

    function fill() {
      const names = [...new Set(segments() ? segments().labels : [])].filter((name) => name !== 255).sort((a, b) => a - b);
      const size = (name) => segments().labels.reduce((sum, label) => sum + (label === name ? 1 : 0), 0);
      const options = names.map((name) => [String(name), `segment ${name}, ${HS.plural(size(name), "patch", "patches")}`]);
      if (Array.from(pick.options, (o) => o.textContent).join() !== options.map(([, text]) => text).join()) pick.replaceChildren(...options.map(([value, text]) => HS.el("option", { value }, text)));
      pick.value = String(HS.tokens.objectName(store));
      pinned.disabled = store.focus(store.look.layer) === null;
    }

    function describe() {
      const rows = found();
      if (!rows || !rows[0]) return say("The picture has no segments to compare with, or this one covers every patch.");
      const best = rows.reduce((a, row, i) => (row.iou > rows[a].iou ? i : a), 0);
      const source = segments().truth ? "The segment was annotated by people." : "Segments were found by k-means on colours, not annotated: judge with care.";
      const here = rows[store.look.layer];
      say(`Layer ${store.look.layer + 1}: its most attended tenth overlaps the object by ${HS.percent(here.iou)} (chance ${HS.percent(here.chance)}, at most ${HS.percent(here.most)} with these sizes), AUC ${HS.show(here.auc)} (chance 0.5). Most of all does layer ${best + 1}. ${relative() ? ratios(rows) : "Dotted: the shape that the paper prints for CLIP-L, laid through our layer L/2."} ${source}`);
    }

    /** "Layer 1 / L over layer 4: 0.7 / 0.9; published: CLIP-L 0.58 / 0.80, …". */
    function ratios(rows) {
      const iou = rows.map((r) => r.iou);
      const at = iou[middle() - 1];
      const own = at > 0 ? `${(iou[0] / at).toFixed(2)} / ${(iou[count() - 1] / at).toFixed(2)}` : "undefined, because layer L/2 finds nothing of it";
      return `First / last layer over layer ${middle()}: ${own} in this one picture; means over COCO that the paper prints: ${PUBLISHED.map(([name, a, b]) => `${name} ${a.toFixed(2)} / ${b.toFixed(2)}`).join(", ")}.`;
    }

    return {
      draw(changed) {
        if (HS.chart.onlyHover(changed)) return view.draw(false);
        fill();
        view.draw(HS.chart.touched(changed, "object"));
        describe();
      },
      resize: () => view.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "centricity", kind: "tokens", title: "Object", available: ({ payload }) => Boolean(payload.segments), mount });
})();
