// @wing hypergraphs
/**
 * What a detector found, on the picture: payload.extras.detections {boxes: [[left, top, right, bottom], …] as shares of the side,
 * scores, labels, sharing: {layer name: [n, n]}}, best first. A focused patch lights up the box around it, and arcs lead to the boxes that
 * share hyperedges with it.
 */
(() => {
  "use strict";

  const MOST_ARCS = 3;
  const LIT = "#FFFFFF";
  const ARC = "#FFB000";

  const NONE = { boxes: [], scores: [], labels: [] };
  const cutAway = new WeakMap(); // store → what is found after the visitor's cut

  const found = (store) => (store.look.boxes === "without" ? store.payload.extras.without : cutAway.get(store) || store.payload.extras.detections) || NONE;

  /** Keep the boxes of the newest cut until another one, or another picture, comes. @returns a function that ends it */
  function watch(store) {
    const stops = [
      store.onAnswer("cut", ({ detections }) => {
        if (detections) cutAway.set(store, detections);
      }),
      store.subscribe((changed) => {
        if ((changed.has("cuts") || changed.has("payload")) && cutAway.delete(store)) store.touch("answer");
      }),
    ];
    return () => stops.forEach((stop) => stop());
  }

  function rect(frame, [left, top, right, bottom]) {
    return [frame.x + left * frame.width, frame.y + top * frame.height, (right - left) * frame.width, (bottom - top) * frame.height];
  }

  /** The smallest box around the centre of a patch, or null. */
  function boxOf(store, layerIndex, patch) {
    const [rows, cols] = store.layers[layerIndex].grid;
    const [x, y] = [((patch % cols) + 0.5) / cols, (Math.floor(patch / cols) + 0.5) / rows];
    const area = ([left, top, right, bottom]) => (right - left) * (bottom - top);
    const around = found(store).boxes.map((box, i) => ({ box, i })).filter(({ box: [left, top, right, bottom] }) => x >= left && x < right && y >= top && y < bottom);
    return around.length ? around.reduce((a, b) => (area(b.box) < area(a.box) ? b : a)).i : null;
  }

  /** The boxes that share most with one: [[number, sharing], …]; sharing is the cosine of their mean participations. */
  function partners(store, layerIndex, i) {
    const { sharing } = found(store);
    const table = sharing && sharing[store.layers[layerIndex].name];
    if (!table) return [];
    const others = table[i].map((value, j) => [j, value]).filter(([j, value]) => j !== i && value !== null);
    return others.sort((a, b) => b[1] - a[1]).slice(0, MOST_ARCS);
  }

  const words = (store, i) => `${found(store).labels[i]} ${HS.percent(found(store).scores[i])}`;

  function outline(ctx, frame, box, colour, width) {
    const [x, y, w, h] = rect(frame, box);
    for (const [stroke, extra] of [["rgb(0 0 0 / 0.7)", 2.5], [colour, 0]]) {
      ctx.strokeStyle = stroke;
      ctx.lineWidth = width + extra;
      ctx.strokeRect(x, y, w, h);
    }
  }

  function label(ctx, frame, box, text) {
    const [x, y] = rect(frame, box);
    ctx.font = "600 11px system-ui, sans-serif";
    const wide = ctx.measureText(text).width + 8;
    const left = Math.max(frame.x, Math.min(frame.x + frame.width - wide, x));
    const top = Math.max(frame.y, y - 17);
    ctx.fillStyle = "rgb(10 12 16 / 0.88)";
    ctx.fillRect(left, top, wide, 16);
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    ctx.fillStyle = "#fff";
    ctx.fillText(text, left + 4, top + 8.5);
  }

  /** All boxes, thin; the least sure first, so that the surest lie on top. Beside them, dotted, those of the detector without hyperedges. */
  function paintAll(ctx, frame, store) {
    const { boxes } = found(store);
    if (store.look.boxes === "both") {
      ctx.setLineDash([5, 4]);
      for (const box of (store.payload.extras.without || NONE).boxes) outline(ctx, frame, box, ARC, 1.5);
    }
    ctx.setLineDash([]);
    boxes.forEach((_, back) => {
      const i = boxes.length - 1 - back;
      outline(ctx, frame, boxes[i], LIT, 1.5);
      label(ctx, frame, boxes[i], words(store, i));
    });
  }

  /** The box around the focused patch and arcs to its partners, as wide as they share. */
  function paintFocus(ctx, frame, store, layerIndex, patch) {
    const i = boxOf(store, layerIndex, patch);
    if (i === null) return;
    const { boxes } = found(store);
    const middle = (box) => {
      const [x, y, w, h] = rect(frame, box);
      return [x + w / 2, y + h / 2];
    };
    const [x0, y0] = middle(boxes[i]);
    for (const [j, value] of partners(store, layerIndex, i)) {
      const [x1, y1] = middle(boxes[j]);
      for (const [colour, extra] of [["rgb(0 0 0 / 0.65)", 3], [ARC, 0]]) {
        ctx.beginPath();
        ctx.moveTo(x0, y0);
        ctx.quadraticCurveTo((x0 + x1) / 2 - (y1 - y0) * 0.2, (y0 + y1) / 2 + (x1 - x0) * 0.2, x1, y1);
        ctx.strokeStyle = colour;
        ctx.lineWidth = 0.8 + 5 * Math.max(0, value) ** 4 + extra;
        ctx.stroke();
      }
      outline(ctx, frame, boxes[j], ARC, 2);
      label(ctx, frame, boxes[j], `${words(store, j)} · shares ${value.toFixed(2)}`);
    }
    outline(ctx, frame, boxes[i], LIT, 3);
    label(ctx, frame, boxes[i], words(store, i));
  }

  /** What stands with the boxes: how many there are, and what the hyperedges changed. */
  function legend(store) {
    const { detections, without } = store.payload.extras;
    if (!detections) return [];
    const now = found(store).boxes.length;
    const which = store.look.boxes === "without" ? " without hyperedges" : cutAway.has(store) ? " after the cut" : "";
    const entries = [HS.legend.entry(HS.legend.sample("#8a94a6", "solid"), `${HS.plural(now, "box", "boxes")}${which}`)];
    if (store.look.boxes === "both" && without) entries.push(HS.legend.entry(HS.legend.sample(ARC, "dashed"), `${without.boxes.length} without hyperedges`));
    return entries;
  }

  /** Which boxes are drawn; null where there are none to choose from. */
  const choice = (store, set) =>
    store.payload.extras.without
      ? HS.inputs.segments({ label: "Boxes", options: [["with", "with hyperedges"], ["without", "without"], ["both", "both"]], value: store.look.boxes, onchange: set("boxes") })
      : null;

  HS.boxes = { watch, legend, choice, paintAll, paintFocus, boxOf, partners };
})();
