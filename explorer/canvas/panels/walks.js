/** Three ways from one network to another of the same width: along the manifold, straight across it, and between two that were trained alone. */
(() => {
  "use strict";

  const NAMES = {
    sizes: "size coordinate moves, lattice stays",
    line: "straight line between the same ends",
    trained: "two trained networks, as trained",
    sorted: "two trained networks, channels in order",
  };

  function mount(el, store) {
    let points = new Map();
    let training = null;
    let share = 0.5;
    let what = "loss";
    HS.chart.choice(el, "Show", [["loss", "Loss"], ["accuracy", "Right answers"]], what, (value) => ((what = value), chart.draw()));
    const chart = HS.weights.lineChart(el, {
      label: "Loss along the ways from one network to another",
      read() {
        const series = Object.entries(NAMES).map(([name, title], i) => {
          const rows = points.get(name) || [];
          return { name: title, colour: i, x: rows.map((one) => one.share), y: rows.map((one) => one[what]), dash: i % 2 ? [5, 3] : null };
        });
        const drawn = series.filter((one) => one.x.length);
        const y = what === "accuracy" ? [0, 1] : HS.weights.rangeOf(drawn.map((one) => one.y), { floor: 0 });
        return { series: drawn, x: [0, 1], y, xLabel: "share of the way α", yLabel: what === "loss" ? "loss (nats)" : "right answers", formatY: what === "loss" ? HS.show : HS.percent, at: drawn.length ? share : null };
      },
      words: () => told(),
    });
    const slider = HS.inputs.range({ label: "Share of the way α", min: 0, max: 1, step: 1 / 24, value: share, format: HS.percent, oninput: (value) => ((share = value), chart.draw()) });
    const button = HS.weights.streamButton(store, {
      name: "paths",
      start: "Walk the ways (trains two networks)",
      begin() {
        points = new Map();
        return { width: HS.weightField.widthOf(store) };
      },
      frame(found) {
        training = found.training ? found : null;
        if (found.curve) points.set(found.curve, [...(points.get(found.curve) || []), found]);
        chart.draw();
      },
      ended() {
        training = null;
        chart.draw();
      },
    });
    HS.weights.bar(el, button.element, slider.element);

    function told() {
      if (training) return `Training network ${training.training} of 2: step ${training.step} of ${training.steps}.`;
      if (points.size === 0) return "From the network that is told its own width to the one that is told the full width, with the same lattice; and between two networks that are trained here.";
      const at = (name) => {
        const rows = points.get(name) || [];
        return rows.find((one) => Math.abs(one.share - share) < 0.021);
      };
      const parts = Object.keys(NAMES).filter(at).map((name) => `${NAMES[name]} ${what === "loss" ? HS.show(at(name).loss) : HS.percent(at(name).accuracy)}`);
      return `At ${HS.percent(share)} of the way: ${parts.join("; ")}.`;
    }

    return {
      draw(changed) {
        chart.draw(HS.chart.touched(changed, "theme"));
        button.draw();
      },
      resize: () => chart.resize(),
      destroy() {
        HS.weights.streams(store).stop();
        el.replaceChildren();
      },
    };
  }

  HS.panel({ name: "walks", title: "Walks", kind: "weight-field", available: ({ payload }) => Boolean(payload.extras.curve), mount });
})();
