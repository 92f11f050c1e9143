// @wing hypernetworks
/** How long the gradient of a hypernetwork is for γ drawn by chance: one point per draw and variant. */
(() => {
  "use strict";

  function mount(el, store) {
    const names = store.layers.map((layer) => layer.name);
    const title = (name) => store.layers.find((layer) => layer.name === name).label.split(":")[0];
    let draws = { gamma: [], norm: Object.fromEntries(names.map((name) => [name, []])) };
    let seed = 0;
    const chart = HS.weights.lineChart(el, {
      label: "Length of the gradient against γ",
      read: () => ({
        x: [0, 1], y: HS.weights.rangeOf(names.map((name) => draws.norm[name]), { floor: 0 }), xLabel: "γ", yLabel: "‖gradient‖",
        series: names.map((name, i) => ({ name: title(name), colour: i, line: false, points: i % 2 ? "square" : "circle", x: draws.gamma, y: draws.norm[name] })),
      }),
      words: () => told(),
      press: (gamma) => store.set({ gamma: Math.round(40 * gamma) / 40 }),
    });
    const more = HS.el("button", { type: "button", class: "hs-button", disabled: !store.host.live, onclick: () => ask() }, "24 more draws");
    HS.weights.bar(el, more);

    const variation = (values) => {
      const mean = HS.maths.mean(values);
      return Math.sqrt(HS.maths.mean(values.map((v) => (v - mean) ** 2))) / mean;
    };

    function told() {
      if (!draws.gamma.length) return store.host.live ? "Measuring …" : "Needs the live app: this is a stored picture.";
      return `Coefficient of variation over ${draws.gamma.length} draws: ${names.map((name) => `${title(name)} ${HS.show(variation(draws.norm[name]))}`).join(", ")}. Before any training, batches of 32.`;
    }

    function ask() {
      HS.weights.questions(store).ask("gradients", { count: 24, seed: seed++ }, (found) => {
        draws = { gamma: [...draws.gamma, ...found.gamma], norm: Object.fromEntries(names.map((name) => [name, [...draws.norm[name], ...found.norm[name]]])) };
        chart.draw();
      });
    }

    return {
      draw(changed) {
        if (changed.has("payload") && !draws.gamma.length) ask();
        chart.draw(HS.chart.touched(changed, "theme"));
      },
      resize: () => chart.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "gradients", title: "Gradients", kind: "weight-path", available: () => true, mount });
})();
