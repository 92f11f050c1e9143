// @wing hyperbolic
/** What dimensions buy: MAP of the ancestors by dimension, in hyperbolic and in flat space, a dot per seed; and why two are enough for a tree. */
(() => {
  "use strict";

  const STYLES = { poincare: ["#0072B2", [], "hyperbolic"], euclidean: ["#D55E00", [5, 3], "flat"] };

  function mountDimensions(el, store) {
    const view = HS.chart.board(el, { label: "MAP by dimension", height: () => 190, base });
    const say = HS.chart.note(el);
    const rows = () => (store.payload.extras.dimensions ? store.payload.extras.dimensions.rows : []);

    function means(geometry) {
      const dimensions = [...new Set(rows().filter((row) => row.geometry === geometry).map((row) => row.dimension))].sort((a, b) => a - b);
      return dimensions.map((d) => {
        const found = rows().filter((row) => row.geometry === geometry && row.dimension === d);
        return [d, found.reduce((sum, row) => sum + row.map, 0) / found.length, found.length];
      });
    }

    function base(ctx, width, height, c) {
      const p = HS.chart.plot(width, height, { left: 40, right: 64, top: 10, bottom: 38 }, [Math.log(1.7), Math.log(12)], [0, 1]);
      HS.chart.axisY(ctx, p, "MAP", c, { wanted: 3, format: (v) => v.toFixed(1) });
      HS.chart.line(ctx, p.x, p.y + p.height + 0.5, p.x + p.width, p.y + p.height + 0.5, c.muted);
      for (const d of [2, 5, 10]) HS.chart.text(ctx, String(d), p.px(Math.log(d)), p.y + p.height + 6, c.muted, "center", "top");
      HS.chart.text(ctx, "dimensions", p.x + p.width / 2, p.y + p.height + 20, c.ink, "center", "top");
      for (const [geometry, [colour, dash, label]] of Object.entries(STYLES)) {
        const line = means(geometry);
        ctx.beginPath();
        line.forEach(([d, value], i) => ctx[i ? "lineTo" : "moveTo"](p.px(Math.log(d)), p.py(value)));
        ctx.strokeStyle = ctx.fillStyle = colour;
        ctx.lineWidth = 2;
        ctx.setLineDash(dash);
        ctx.stroke();
        ctx.setLineDash([]);
        for (const row of rows().filter((one) => one.geometry === geometry)) {
          ctx.beginPath();
          ctx.arc(p.px(Math.log(row.dimension)), p.py(row.map), 3, 0, 2 * Math.PI);
          ctx.fill();
        }
        if (line.length) HS.chart.text(ctx, label, p.px(Math.log(line[line.length - 1][0])) + 8, p.py(line[line.length - 1][1]), c.ink, "left", "middle");
      }
    }

    function words() {
      const told = (geometry) => means(geometry).map(([d, value]) => `${d}-d ${value.toFixed(2)}`).join(", ");
      const seeds = means("poincare").length ? means("poincare")[0][2] : 0;
      return `How well distance finds the ancestors of a node (MAP, 1 is perfect), each dot one of ${seeds} seeds. Hyperbolic: ${told("poincare")}. Flat: ${told("euclidean")}. Judged on the pairs that were trained, as in the paper.`;
    }

    return {
      draw(changed) {
        if (HS.chart.onlyHover(changed)) return;
        say(words());
        view.draw(HS.chart.touched(changed));
      },
      resize: () => view.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "map-by-dimension", title: "Dimensions", kind: "disk", available: (store) => Boolean(store.payload.extras.dimensions), mount: mountDimensions });

  // ------------------------------------------------------------------------------------------------------------- room

  /** Nodes of each level beside the length of the circle on which they would stand: 2π sinh r in the disk, 2πr in the plane. */
  function mountRoom(el, store) {
    const view = HS.chart.board(el, { label: "Nodes of each level, and the length of circles", height: () => 200, base });
    const say = HS.chart.note(el);
    const levels = () => (store.payload.extras.hierarchy || { each: [1] }).each;

    function base(ctx, width, height, c) {
      const each = levels();
      const deepest = Math.max(1, each.length - 1);
      const circle = (level) => 2 * Math.PI * Math.sinh(level);
      const most = Math.max(circle(deepest), ...each);
      const p = HS.chart.plot(width, height, { left: 46, right: 10, top: 8, bottom: 38 }, [0, deepest], [0, Math.log10(most) * 1.05]);
      for (let power = 0; power <= Math.log10(most); power++) {
        HS.chart.line(ctx, p.x, p.py(power), p.x + p.width, p.py(power), c.line);
        HS.chart.text(ctx, power < 4 ? String(10 ** power) : `10${"⁰¹²³⁴⁵⁶⁷⁸⁹"[power]}`, p.x - 5, p.py(power), c.muted, "right", "middle");
      }
      HS.chart.axisX(ctx, p, "level of the tree = radius of the circle", c, { wanted: Math.min(6, deepest) });
      const curve = (colour, dash, value) => {
        ctx.beginPath();
        for (let k = 0; k <= 60; k++) {
          const level = 0.16 + ((deepest - 0.16) * k) / 60;
          ctx[k ? "lineTo" : "moveTo"](p.px(level), p.py(Math.max(0, Math.log10(value(level)))));
        }
        ctx.strokeStyle = colour;
        ctx.lineWidth = 2;
        ctx.setLineDash(dash);
        ctx.stroke();
        ctx.setLineDash([]);
      };
      curve(STYLES.poincare[0], [], circle);
      curve(STYLES.euclidean[0], STYLES.euclidean[1], (level) => 2 * Math.PI * level);
      each.forEach((count, level) => {
        ctx.beginPath();
        ctx.arc(p.px(level), p.py(Math.log10(count)), 4, 0, 2 * Math.PI);
        ctx.fillStyle = c.ink;
        ctx.fill();
      });
    }

    function words() {
      const each = levels();
      const deepest = each.length - 1;
      return `Dots: nodes on each level of this tree (${each.join(", ")}). A circle of radius ${deepest} is ${HS.show(2 * Math.PI * Math.sinh(deepest))} long in the disk (blue) and ${HS.show(2 * Math.PI * deepest)} in the plane (orange, dashed): hyperbolic circles grow like trees do.`;
    }

    return {
      draw(changed) {
        if (HS.chart.onlyHover(changed)) return;
        say(words());
        view.draw(HS.chart.touched(changed));
      },
      resize: () => view.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "room", title: "Room", kind: "disk", available: (store) => Boolean(store.payload.extras.hierarchy), mount: mountRoom });
})();
