// @wing tokens
/** How fast the reader loses its answer when patches are taken away in the order of the rule, and finds it when they come: beside random orders. */
(() => {
  "use strict";

  const MARGIN = { left: 44, right: 22, top: 22, bottom: 36 };
  const HEIGHT = 170;

  function mount(el, store) {
    const view = HS.chart.board(el, { label: "Deletion and insertion of patches in the order of the rule", height: () => 2 * HEIGHT + 10, base });
    const legend = HS.curves.key(el);
    const say = HS.chart.note(el);
    const data = () => store.payload.extras.tokens.reading;
    const plots = (width) => [0, 1].map((i) => HS.chart.plot(width, HEIGHT * (i + 1) + 10 * i, { ...MARGIN, top: MARGIN.top + i * (HEIGHT + 10) }, [0, 1], [0, 1]));
    const area = (values) => values.slice(1).reduce((sum, v, i) => sum + (v + values[i]) / 2, 0) / (values.length - 1);

    function base(ctx, width, height, c) {
      plots(width).forEach((p, i) => {
        const { own, random } = i ? data().insertion : data().deletion;
        const xs = own.map((_, k) => k / (own.length - 1));
        HS.chart.axisY(ctx, p, "", c, { wanted: 3, format: HS.percent });
        HS.chart.axisX(ctx, p, i ? "share of the patches put in" : "share of the patches taken away", c, { wanted: 4, format: HS.percent });
        HS.chart.text(ctx, `${i ? "Insertion" : "Deletion"}: probability of “${data().label}”`, p.x, p.y - 7, c.ink);
        const column = (k, pick) => pick(...random.map((order) => order[k]));
        HS.curves.band(ctx, p, xs, xs.map((_, k) => column(k, Math.min)), xs.map((_, k) => column(k, Math.max)), c.muted, 0.25);
        HS.curves.line(ctx, p, xs, xs.map((_, k) => HS.maths.mean(random.map((order) => order[k]))), { colour: c.muted, dash: [3, 3] }, { marks: false });
        HS.curves.line(ctx, p, xs, own, HS.curves.STYLES[0], { width: 2.25 });
      });
    }

    function describe() {
      const [gone, come] = [data().deletion, data().insertion];
      const mean = (orders) => HS.maths.mean(orders.map(area));
      say(`Area below deletion ${area(gone.own).toFixed(2)}, in random orders ${mean(gone.random).toFixed(2)} (smaller: what goes first matters); below insertion ${area(come.own).toFixed(2)}, random ${mean(come.random).toFixed(2)} (larger: a few first patches suffice). Band: ${gone.random.length} random orders. The order is that of the run: anchors, neighbours, registers, then the rest by the deep layer.`);
    }

    return {
      draw(changed) {
        if (HS.chart.onlyHover(changed)) return;
        view.draw(HS.chart.touched(changed));
        legend([[HS.curves.STYLES[0], "in the order of the rule"], [{ colour: "#808080", dash: [3, 3], band: true }, "random orders"]]);
        describe();
      },
      resize: () => view.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  const known = ({ payload }) => Boolean(((payload.extras.tokens || {}).reading || {}).deletion);
  HS.panel({ name: "faithful", kind: "tokens", title: "Delete and insert", available: known, mount });
})();
