/**
 * The trade-off of the constructors on this picture: homophily, connectivity and redundancy on three axes, up is better
 * on each (redundancy therefore runs downwards). A line or table row leads to the layer of its constructor.
 */
(() => {
  "use strict";

  const HEIGHT = 236;
  const TOP = 34;
  const BOTTOM = 30;
  const AXES = [
    { key: "homophily", title: "homophily", best: "1 none crosses", worst: "0 chance", up: (v) => v },
    { key: "connectivity", title: "connectivity", best: "1 one piece", worst: "0 all alone", up: (v) => v },
    { key: "redundancy", title: "redundancy", best: "0 all different", worst: "1 copies", up: (v) => 1 - v },
  ];
  const SHAPES = ["circle", "square", "diamond", "triangle", "cross"];
  const clamp = (v) => Math.max(0, Math.min(1, v));

  /** A mark by shape as well as colour, so that it can be told apart without colours. */
  function mark(ctx, shape, x, y, r) {
    ctx.beginPath();
    if (shape === "circle") ctx.arc(x, y, r, 0, 2 * Math.PI);
    if (shape === "square") ctx.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
    const corners = { diamond: [0, -1.25, 1.25, 0, 0, 1.25, -1.25, 0], triangle: [0, -1.2, 1.15, 0.9, -1.15, 0.9], cross: [-1, -0.35, -0.35, -0.35, -0.35, -1, 0.35, -1, 0.35, -0.35, 1, -0.35, 1, 0.35, 0.35, 0.35, 0.35, 1, -0.35, 1, -0.35, 0.35, -1, 0.35] }[shape];
    if (corners) for (let i = 0; i < corners.length; i += 2) ctx.lineTo(x + corners[i] * r * 1.1, y + corners[i + 1] * r * 1.1);
    ctx.closePath();
  }

  function mount(el, store) {
    const { points, labelNote } = store.payload.extras.triangle;
    const view = HS.chart.board(el, {
      label: "Homophily, connectivity and redundancy of each constructor; the table below holds the numbers",
      height: () => HEIGHT,
      base,
      over,
      move,
      press: (x, y) => move(x, y) !== null,
    });
    const say = HS.chart.note(el);
    const rows = table(el);

    const colour = (i, c) => (i === 7 ? c.ink : HS.chart.groupColour(i));
    const axisX = (i, width) => 46 + (i * (width - 92)) / 2;
    const axisY = (share) => HEIGHT - BOTTOM - clamp(share) * (HEIGHT - TOP - BOTTOM);
    const current = () => points.findIndex((point) => point.layer === store.look.layer);
    const known = (point) => AXES.map((axis) => (Number.isFinite(point[axis.key]) ? axis.up(point[axis.key]) : null));

    function base(ctx, width, height, c) {
      AXES.forEach((axis, i) => {
        const x = axisX(i, width);
        HS.chart.line(ctx, x, axisY(0), x, axisY(1), c.muted);
        for (const tick of [0, 0.25, 0.5, 0.75, 1]) HS.chart.line(ctx, x - 3, axisY(tick), x + 3, axisY(tick), c.muted);
        HS.chart.text(ctx, axis.best, x, axisY(1) - 6, c.muted, "center", "bottom");
        HS.chart.text(ctx, axis.worst, x, axisY(0) + 5, c.muted, "center", "top");
        ctx.font = `600 ${HS.chart.FONT}`;
        HS.chart.text(ctx, axis.title, x, 2, c.ink, "center", "top");
        ctx.font = HS.chart.FONT;
      });
      HS.chart.text(ctx, "↑ better on every axis", axisX(1, width), HEIGHT - 2, c.muted, "center", "bottom");
    }

    function over(ctx, width, height, c) {
      const chosen = current();
      const order = points.map((_, i) => i).sort((a, b) => (a === chosen) - (b === chosen));
      for (const i of order) drawPoint(ctx, width, i, i === chosen, c);
    }

    function drawPoint(ctx, width, i, chosen, c) {
      const shares = known(points[i]);
      ctx.globalAlpha = chosen || current() < 0 ? 1 : 0.55;
      ctx.strokeStyle = ctx.fillStyle = colour(i, c);
      ctx.lineWidth = chosen ? 3.5 : 1.75;
      ctx.beginPath();
      let pen = false;
      shares.forEach((share, axis) => {
        if (share === null) return (pen = false);
        if (pen) ctx.lineTo(axisX(axis, width), axisY(share));
        else ctx.moveTo(axisX(axis, width), axisY(share));
        pen = true;
      });
      ctx.stroke();
      ctx.globalAlpha = 1;
      shares.forEach((share, axis) => {
        if (share === null) return;
        mark(ctx, SHAPES[i % SHAPES.length], axisX(axis, width), axisY(share), chosen ? 6.5 : 5);
        ctx.fillStyle = colour(i, c);
        ctx.fill();
        ctx.lineWidth = 1.5;
        ctx.strokeStyle = chosen ? c.ink : c.paper;
        ctx.stroke();
      });
    }

    /** The constructor whose line passes closest. */
    function nearest(x, y) {
      const width = view.box.clientWidth;
      let [best, away] = [null, 14];
      points.forEach((point, i) => {
        const shares = known(point);
        for (let axis = 0; axis < 2; axis++) {
          if (shares[axis] === null || shares[axis + 1] === null) continue;
          const [x1, x2] = [axisX(axis, width), axisX(axis + 1, width)];
          if (x < x1 - 12 || x > x2 + 12) continue;
          const t = Math.max(0, Math.min(1, (x - x1) / (x2 - x1)));
          const d = Math.abs(y - axisY(clamp(shares[axis]) + t * (clamp(shares[axis + 1]) - clamp(shares[axis]))));
          if (d < away) [best, away] = [i, d];
        }
      });
      return best;
    }

    function choose(i) {
      if (points[i].layer != null && points[i].layer !== store.look.layer) store.set({ layer: points[i].layer });
    }

    function move(x, y) {
      const i = nearest(x, y);
      if (i !== null) choose(i);
      return i;
    }

    /** The same numbers as a table; its rows are buttons, so the keyboard reaches every constructor. */
    function table(parent) {
      const head = HS.el("tr", {}, HS.el("th", { scope: "col" }, "constructor"), ...AXES.map((axis) => HS.el("th", { scope: "col" }, axis.title)));
      const lines = points.map((point, i) => {
        const swatch = HS.el("canvas", { class: "hs-swatch", "aria-hidden": "true" });
        const button = HS.el("button", { type: "button", class: "hs-triangle-name", onclick: () => choose(i), onfocus: () => choose(i), onpointerenter: () => choose(i) }, swatch, point.name);
        const cells = AXES.map((axis) => HS.el("td", {}, Number.isFinite(point[axis.key]) ? point[axis.key].toFixed(2).replace("-", "−") : "–"));
        return { row: HS.el("tr", {}, HS.el("th", { scope: "row" }, button), ...cells), swatch, button };
      });
      parent.append(HS.el("table", { class: "hs-triangle" }, HS.el("thead", {}, head), HS.el("tbody", {}, ...lines.map((one) => one.row))));
      return lines;
    }

    function describe() {
      const negative = points.some((point) => point.homophily < 0 || point.redundancy < 0);
      const below = negative ? " Values below 0 (worse than chance, or opposed neighbours) stand at the end of the axis." : "";
      const best = AXES.map((axis, k) => {
        const top = Math.max(...points.map((point) => known(point)[k] ?? -Infinity));
        return points.filter((point) => top - (known(point)[k] ?? -Infinity) < 0.005).map((point) => point.name);
      });
      const winner = best[0].find((name) => best.every((names) => names.includes(name)));
      const verdict = winner ? `${winner} is best on all three axes here.` : "No constructor is best on all three axes: what wins on one pays on another.";
      const segments = labelNote ? ` Homophily is measured against ${labelNote}.` : "";
      say(`${verdict}${segments}${below}`);
    }

    return {
      draw(changed) {
        view.draw(HS.chart.touched(changed));
        const c = HS.chart.colours(el);
        rows.forEach(({ row, swatch, button }, i) => {
          row.classList.toggle("hs-chosen", i === current());
          button.setAttribute("aria-current", String(i === current()));
          const ctx = HS.fitCanvas(swatch, 14, 14);
          ctx.clearRect(0, 0, 14, 14);
          mark(ctx, SHAPES[i % SHAPES.length], 7, 7, 4.5);
          ctx.fillStyle = colour(i, c);
          ctx.fill();
        });
        describe();
      },
      resize: () => view.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "triangle", title: "Trade-off", available: ({ payload }) => Boolean(payload.extras.triangle && payload.extras.triangle.points.length), mount });
})();
