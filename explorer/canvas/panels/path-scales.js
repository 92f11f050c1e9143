// @wing hypernetworks
/** Size of every generated tensor, or of every layer's output, along γ, for one variant. */
(() => {
  "use strict";

  function mount(el, store) {
    let what = "tensors";
    HS.chart.choice(el, "Show", [["tensors", "Weights"], ["layers", "Outputs of the layers"]], what, (value) => ((what = value), chart.draw()));
    const chart = HS.weights.lineChart(el, {
      label: "Size of every generated tensor along γ",
      read() {
        const path = HS.weightPath.pathOf(store, store.layer);
        const table = what === "tensors" ? path.std : path.activation;
        const names = what === "tensors" ? path.tensors : path.layers;
        const [n, columns] = table.shape;
        const series = names.map((name, k) => ({ name, x: Array.from(path.inputs), y: Array.from({ length: n }, (_, i) => table[i * columns + k]) }));
        return { x: [0, 1], y: HS.weights.rangeOf(series.map((one) => one.y), { floor: 0 }), xLabel: "γ", yLabel: "standard deviation", series, at: store.look.gamma };
      },
      words: () => `${store.layer.label}. ${what === "tensors" ? "Spread of the weights of each generated tensor." : "Spread of what each generated layer gives for 100 digits: sizes multiply from layer to layer."}`,
      press: (gamma) => store.set({ gamma }),
    });
    return {
      draw: (changed) => chart.draw(HS.chart.touched(changed, "layer", "gamma", "trained", "theme", "answer")),
      resize: () => chart.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "path-scales", title: "Sizes", kind: "weight-path", available: () => true, mount });
})();
