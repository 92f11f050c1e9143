/** Maps of predicted connections (graphs whose rule is "predicted"): how much of its attention each patch keeps. */
(() => {
  "use strict";

  const blockOf = (store, index) => ((store.payload.extras.sparse || {}).blocks || [])[index];

  Object.assign(HS.madeMaps, {
    covered: {
      kind: "graph",
      title: "Attention that its kept keys hold",
      unit: "",
      available: (layer) => layer.rule.name === "predicted",
      make(store, index) {
        const block = blockOf(store, index);
        if (!block || !block.covered) return null;
        return { values: block.covered, grid: store.layers[index].grid, scale: { kind: "sequential", max: 1 } };
      },
    },
  });
})();
