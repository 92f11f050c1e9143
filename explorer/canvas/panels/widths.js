/** All widths of a family of generated networks: accuracy, loss or size, beside networks that were trained or cut for one width. */
(() => {
  "use strict";

  const KINDS = [["accuracy", "Right answers"], ["loss", "Loss"], ["parameters", "Weights"]];

  /** {width: share} as two lists. */
  const pairs = (found) => {
    const widths = Object.keys(found).map(Number).sort((a, b) => a - b);
    return { x: widths, y: widths.map((width) => found[width]) };
  };

  function mount(el, store) {
    const { curve } = store.payload.extras;
    let kind = "accuracy";
    const own = new Map(); // width → accuracy of a network trained alone on this page
    let racing = null; // {width, step, steps, accuracy}

    const choice = HS.chart.choice(el, "Show", KINDS, kind, (value) => {
      kind = value;
      chart.draw();
    });
    const chart = HS.weights.lineChart(el, {
      label: "All widths of the family; click one to go there",
      read() {
        const x = [curve.widths[0] - 0.5, curve.widths[curve.widths.length - 1] + 0.5];
        const shared = { x, xLabel: "width", bands: [[curve.band[0] - 0.5, curve.band[1] + 0.5]], at: HS.weightField.widthOf(store) };
        const hollow = (width) => curve.held_out.includes(width);
        if (kind === "loss") return { ...shared, y: HS.weights.rangeOf([curve.loss], { floor: 0 }), yLabel: "loss (nats)", series: [{ name: "generated", x: curve.widths, y: curve.loss, points: "circle", hollow }] };
        if (kind === "parameters") {
          const generator = { name: "the function that makes them", x, y: [curve.generator, curve.generator], dash: [5, 4] };
          const format = (v) => `${Math.round(v / 1000)}k`;
          return { ...shared, y: [0, 1.08 * Math.max(curve.generator, ...curve.parameters)], yLabel: "numbers", formatY: format, series: [{ name: "generated network", x: curve.widths, y: curve.parameters, points: "circle" }, generator] };
        }
        const series = [
          { name: "generated", x: curve.widths, y: curve.accuracy, points: "circle", hollow },
          { name: "full network, weakest channels cut", ...pairs(curve.pruned), dash: [4, 3] },
          { name: "trained alone (model card)", ...pairs(curve.alone), points: "square", line: false, colour: 2 },
          { name: "trained alone, here", ...pairs(Object.fromEntries(own)), points: "square", line: false, colour: 3 },
        ];
        return { ...shared, y: [0, 1], yLabel: "right answers", formatY: HS.percent, series: series.filter((one) => one.x.length) };
      },
      words: () => (racing ? `Step ${racing.step} of ${racing.steps || "…"}: ${HS.percent(racing.accuracy)} at width ${racing.width}.` : told()),
      press: (width) => HS.weightField.setWidth(store, width, true),
    });
    const alone = HS.weights.streamButton(store, {
      name: "alone",
      start: "Train one network of this width alone",
      begin: () => ({ width: HS.weightField.widthOf(store) }),
      frame(found) {
        racing = found;
        own.set(found.width, found.accuracy);
        chart.draw();
      },
      ended() {
        racing = null;
        chart.draw();
      },
    });
    HS.weights.bar(el, alone.element);

    function told() {
      if (kind === "parameters") return `The function holds ${HS.show(curve.generator / Math.max(...curve.parameters))} times as many numbers as the largest network it makes: a family, not a compression.`;
      const band = curve.widths.filter((width) => width >= curve.band[0] && width <= curve.band[1]);
      const of = (width) => curve.accuracy[curve.widths.indexOf(width)];
      const beyond = curve.widths.filter((width) => width > curve.band[1]);
      if (kind === "loss") return "Test loss of the network of every width, generated once without averaging.";
      return `Inside the band ${HS.percent(Math.min(...band.map(of)))} to ${HS.percent(Math.max(...band.map(of)))}; beyond it down to ${HS.percent(Math.min(...beyond.map(of)))}. The full network itself: ${HS.percent(curve.full)}. ${curve.count} test digits.`;
    }

    return {
      draw(changed) {
        chart.draw(HS.chart.touched(changed, "width", "theme"));
        alone.draw();
      },
      resize: () => chart.resize(),
      destroy() {
        HS.weights.streams(store).stop();
        choice.set(kind);
        el.replaceChildren();
      },
    };
  }

  HS.panel({ name: "widths", title: "All widths", kind: "weight-field", available: ({ payload }) => Boolean(payload.extras.curve), mount });
})();
