// @wing hyperbolic
/** Where a picture lands among the classes of the disk: its radius on the way from the centre to the ring, and the nearest classes and groups. */
(() => {
  "use strict";

  const COLOURS = ["#0072B2", "#56B4E9"];

  function mountLanding(el, store) {
    const view = HS.chart.board(el, { label: "Distance of the picture from the centre", height: () => 70, base });
    const list = HS.el("div");
    el.append(list);
    const say = HS.chart.note(el);

    function base(ctx, width, height, c) {
      const { radius, ring } = store.payload.extras.landing;
      const p = HS.chart.plot(width, height, { left: 10, right: 14, top: 20, bottom: 34 }, [0, Math.max(ring * 1.2, radius)], [0, 1]);
      HS.chart.axisX(ctx, p, "distance from the centre", c, { wanted: 6 });
      HS.chart.line(ctx, p.px(ring), p.y - 4, p.px(ring), p.y + p.height, c.muted, 1, [3, 3]);
      HS.chart.text(ctx, "classes", p.px(ring), p.y - 4, c.muted, "center", "bottom");
      ctx.fillStyle = COLOURS[0];
      ctx.fillRect(p.px(0), p.y + 3, p.px(radius) - p.px(0), p.height - 6);
    }

    function rows(title, found, colour) {
      const most = Math.max(...found.map(([, value]) => value)) || 1;
      const row = ([label, value]) =>
        HS.el("li", { class: "hs-near-row" }, HS.el("span", { class: "hs-label" }, label), HS.el("span", { class: "hs-bars" }, HS.el("span", { class: "hs-bar", style: `width:${(100 * value) / most}%;background:${colour}` })), HS.el("span", { class: "hs-num" }, HS.show(value)), HS.el("span"));
      return [HS.el("h3", {}, title), HS.el("ol", { class: "hs-near" }, ...found.map(row))];
    }

    return {
      draw(changed) {
        if (HS.chart.onlyHover(changed)) return;
        const { radius, ring, classes, superclasses } = store.payload.extras.landing;
        list.replaceChildren(...rows("Nearest classes", classes, COLOURS[0]), ...rows("Nearest groups", superclasses, COLOURS[1]));
        say(`Hyperbolic distances from the picture. It lies ${HS.show(radius)} from the centre, the classes ${HS.show(ring)}: at the centre every class would be equally far, and the answer a guess.`);
        view.draw(HS.chart.touched(changed));
      },
      resize: () => view.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "landing", title: "Landing", kind: "disk", available: (store) => Boolean(store.payload.extras.landing && store.payload.extras.landing.classes), mount: mountLanding });

  // ------------------------------------------------------------------------------------------------------------ flat limit

  const PAIRS = 160;
  const DECADES = [-4, 0]; // of the curvature

  /** Pairs of nodes, always the same for one layer, as pairs of places in the unit disk. */
  function pairsOf(store, index) {
    const points = HS.disk.modelOf(store, index);
    const n = points.length / 2;
    let seed = 7;
    const next = () => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
    const found = [];
    for (let tries = 0; found.length < PAIRS && tries < 4 * PAIRS; tries++) {
      const [a, b] = [next(), next()];
      if (a !== b) found.push([a, b].map((i) => [points[2 * i], points[2 * i + 1]]));
    }
    return found;
  }

  /** Distance of two places of the unit disk in the ball of curvature −c, of radius 1/√c: the formula of the disk in units of 1/√c. */
  const bent = ([a, b], c) => HS.poincare.distance(a.map((v) => v * Math.sqrt(c)), b.map((v) => v * Math.sqrt(c))) / Math.sqrt(c);
  const flat = ([a, b]) => Math.hypot(a[0] - b[0], a[1] - b[1]);

  function mountLimit(el, store) {
    let decade = 0;
    const input = HS.inputs.range({
      label: "Curvature c", hint: "The same places in a ball of curvature −c. Its radius 1/√c grows while the places stay.", min: DECADES[0], max: DECADES[1], step: 0.05, value: 0,
      format: (v) => HS.show(10 ** v),
      oninput(value) {
        decade = value;
        draw();
      },
    });
    el.append(input.element);
    const view = HS.chart.board(el, { label: "Hyperbolic against Euclidean distance of pairs of nodes", height: () => 210, base });
    const say = HS.chart.note(el);
    const present = () => (HS.disk.isBall(store.layer) ? store.look.layer : store.layers.findIndex((layer) => layer.disk && HS.disk.isBall(layer)));

    function base(ctx, width, height, c) {
      const p = HS.chart.plot(width, height, { left: 34, right: 10, top: 10, bottom: 38 }, [0, 2], [0, 12]);
      HS.chart.axisX(ctx, p, "Euclidean distance", c, { wanted: 4 });
      HS.chart.axisY(ctx, p, "hyperbolic", c, { wanted: 4 });
      HS.chart.line(ctx, p.px(0), p.py(0), p.px(2), p.py(4), c.ink, 1.5, [5, 4]);
      HS.chart.text(ctx, "2 × Euclidean", p.px(2), p.py(4) - 4, c.ink, "right", "bottom");
      ctx.fillStyle = COLOURS[0];
      ctx.globalAlpha = 0.75;
      for (const pair of pairsOf(store, present())) {
        const d = bent(pair, 10 ** decade);
        ctx.beginPath();
        if (d > 12) ctx.rect(p.px(flat(pair)) - 1.5, p.y - 3, 3, 6);
        else ctx.arc(p.px(flat(pair)), p.py(d), 2.4, 0, 2 * Math.PI);
        ctx.fill();
      }
      ctx.globalAlpha = 1;
    }

    function draw(changed) {
      if (HS.chart.onlyHover(changed)) return;
      const ratios = pairsOf(store, present()).filter((pair) => flat(pair) > 1e-6).map((pair) => bent(pair, 10 ** decade) / (2 * flat(pair)));
      const most = Math.max(...ratios);
      say(`${PAIRS} pairs of nodes. With c = ${HS.show(10 ** decade)} hyperbolic distances are ${most < 1.01 ? `twice the Euclidean ones, to within ${HS.show(100 * (most - 1))} %` : `up to ${HS.show(most)} times twice the Euclidean ones`}${decade === 0 ? " (marks at the top: beyond the axis)" : ""}. As c falls to 0, the ball becomes flat space, measured in half units.`);
      view.draw(true);
    }

    return { draw, resize: () => view.resize(), destroy: () => el.replaceChildren() };
  }

  HS.panel({ name: "flat-limit", title: "Curvature", kind: "disk", available: (store) => Boolean(store.payload.extras.hierarchy), mount: mountLimit });
})();
