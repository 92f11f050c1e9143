// @wing structure
/** Accuracy by size: what the model cards say of each network, from the sizes of the training to those far beyond. */
(() => {
  "use strict";

  const { arena } = HS;
  const SHOWN = ["cnn", "cnn_paper", "vit", "gin", "gin_laplacian", "gat_signnet"];
  const YOU = "#d55e00";

  /** Curves of a network: [{x (middle of the bin), y, count, band}]. */
  const pointsOf = (one) => one.curve.map(([band, least, most, count, value]) => ({ band, x: (least + most) / 2, y: value, count }));

  /** The visitor's own rounds, in bins of 40 nodes. */
  function mine(store) {
    const { task, classes } = store.payload.extras;
    const bins = new Map();
    for (const round of arena.rounds.list) {
      if (round.task !== task || round.truth === null) continue;
      const bin = Math.floor(round.nodes / 40);
      if (!bins.has(bin)) bins.set(bin, []);
      bins.get(bin).push(classes.length ? Number(round.guess === round.truth) : Math.abs(round.guess - round.truth));
    }
    return [...bins].map(([bin, values]) => ({ x: 40 * bin + 20, y: values.reduce((a, b) => a + b, 0) / values.length, count: values.length })).sort((a, b) => a.x - b.x);
  }

  function mount(el, store) {
    const { chart } = HS;
    const legend = HS.el("div", { class: "hs-legend" });
    const table = HS.el("table", { class: "hs-table" });
    const board = chart.board(el, { label: "Score by number of nodes", height: (width) => Math.min(262, width * 0.76), base });
    const note = chart.note(el);
    el.append(legend, table);

    const shown = () => {
      const { contestants, task } = store.payload.extras;
      return contestants.filter((one) => one.curve.length && (SHOWN.some((key) => one.name === `${task}_${key}`) || one.name === store.look.who));
    };
    const colourOf = (one, i) => (one.sees === "drawing" ? ["#0072b2", "#56b4e9", "#2f9e8f"][i % 3] : ["#e69f00", "#cc79a7", "#009e73", "#a08a00"][i % 4]);

    function base(ctx, width, height, c) {
      const { classes, bands } = store.payload.extras;
      const listed = shown();
      const own = mine(store);
      const all = [...listed.flatMap(pointsOf), ...own];
      const top = classes.length ? 1 : Math.max(0.1, ...all.map((point) => point.y)) * 1.05;
      const p = chart.plot(width, height, { left: 38, top: 40, right: 8, bottom: 34 }, [15, 155], [0, top]);
      const names = { id: "", near: "near", far: "far" };
      Object.entries(names).forEach(([band, word], i) => {
        const [least, most] = bands[band];
        const y = p.y - 30 + 11 * i;
        chart.line(ctx, p.px(least), y, p.px(Math.min(155, most)), y, c.muted, 2.5);
        chart.text(ctx, word, p.px(least) - 4, y, c.muted, "right", "middle");
      });
      chart.axisY(ctx, p, classes.length ? "right answers" : "mean error", c, { format: (v) => (classes.length ? HS.percent(v) : HS.show(v)) });
      chart.axisX(ctx, p, "nodes", c);
      if (classes.length) chart.line(ctx, p.x, p.py(1 / classes.length), p.x + p.width, p.py(1 / classes.length), c.muted, 1, [3, 3]);
      listed.forEach((one, i) => {
        for (const band of ["id", "near", "far"]) {
          const found = pointsOf(one).filter((point) => point.band === band && point.count > 3);
          polyline(ctx, p, found, colourOf(one, i), one.sees === "drawing" ? [] : [5, 3], one.name === store.look.who ? 3.2 : 1.8);
        }
      });
      for (const point of own) {
        ctx.fillStyle = YOU;
        ctx.beginPath();
        ctx.arc(p.px(point.x), p.py(Math.min(point.y, top)), 3 + Math.min(4, Math.sqrt(point.count)), 0, 2 * Math.PI);
        ctx.fill();
      }
      polyline(ctx, p, own, YOU, [1, 3], 1.6);
      const now = arena.of(store).nodes;
      chart.line(ctx, p.px(Math.min(155, now)), p.y, p.px(Math.min(155, now)), p.y + p.height, c.ink, 1.5);
    }

    function polyline(ctx, p, points, colour, dash, width) {
      if (points.length < 1) return;
      ctx.beginPath();
      points.forEach((point, i) => (i ? ctx.lineTo(p.px(point.x), p.py(point.y)) : ctx.moveTo(p.px(point.x), p.py(point.y))));
      ctx.setLineDash(dash);
      [ctx.strokeStyle, ctx.lineWidth] = [colour, width];
      ctx.stroke();
      ctx.setLineDash([]);
    }

    function words() {
      const { classes, contestants } = store.payload.extras;
      const listed = shown();
      const line = (one, i) => HS.el("span", { class: "hs-key" }, HS.el("i", { class: `hs-line ${one.sees === "drawing" ? "" : "dashed"}`, style: `--c:${colourOf(one, i)}` }), one.label);
      legend.replaceChildren(...listed.map(line), ...(mine(store).length ? [HS.el("span", { class: "hs-key" }, HS.el("i", { class: "hs-line dotted", style: `--c:${YOU}` }), "you")] : []));
      const head = HS.el("thead", {}, HS.el("tr", {}, ...["", "trained", "near", "far"].map((word) => HS.el("th", {}, word))));
      const cell = (value) => HS.el("td", {}, value === undefined || value === null ? "–" : classes.length ? `${(100 * value).toFixed(1)} %` : HS.show(value));
      const body = contestants.filter((one) => Object.keys(one.bands).length).map((one) => HS.el("tr", {}, HS.el("th", {}, one.label), cell(one.bands.id), cell(one.bands.near), cell(one.bands.far)));
      table.replaceChildren(head, HS.el("tbody", {}, ...body));
      table.hidden = body.length === 0;
      const missing = contestants.filter((one) => !one.trained).length;
      const what = classes.length ? "Share of right answers" : "Mean error (lower is better)";
      note(
        listed.length
          ? `${what} on the test graphs by number of nodes; solid: looks, dashed: reads the edges; bars above: sizes of the training, of the near and of the far test; the upright line is your graph. ${missing ? `${missing} networks are not trained here yet.` : ""}`
          : "No network of this question has trained weights here yet, so nothing can be measured. Your own rounds are drawn as you play.",
      );
    }

    words();
    return {
      draw(changed) {
        board.draw(["payload", "arena", "who", "theme"].some((key) => changed.has(key)));
        if (["payload", "arena", "who"].some((key) => changed.has(key))) words();
      },
      resize: () => board.resize(),
      destroy() {},
    };
  }

  HS.panel({ name: "scale", kind: "abstract-graph", title: "By size", available: () => true, mount });
})();
