// @wing hyperbolic
/** The instrument of features in the ball: how far from its centre every position of the picture lies, layer by layer, on one scale. */
(() => {
  "use strict";

  function check(layer) {
    const wrong = (what) => new HS.Refusal(`The layer “${layer.label}” does not fit together (${what}). Run it again.`);
    if (!layer.field || !(layer.field.limit > 0)) throw wrong("it holds no features of the ball");
    HS.requireShape({ radius: layer.maps.radius, label: layer.label }, "radius", [layer.grid[0] * layer.grid[1]], false);
  }

  function sentence(store) {
    const patch = store.focus(store.look.layer);
    const { field, maps, grid, label } = store.layer;
    if (patch === null) return `${label}: half of the positions lie within ${HS.show(field.median)} of the centre; layers clip at ${HS.show(field.limit)}`;
    return `${HS.place(patch, grid)}: ${HS.show(maps.radius[patch])} from the centre, ${HS.percent(maps.radius[patch] / field.limit)} of the way to the clip`;
  }

  function legend(store) {
    const { field } = store.layer;
    const facts = [`median radius ${HS.show(field.median)}`, `${HS.percent(field.clipped)} at the clip (${HS.show(field.limit)})`, `curvature −${HS.show(field.curvature)}`];
    return { entries: [], facts: facts.map((fact) => HS.legend.entry("", fact)) };
  }

  function table(store) {
    const { maps, grid } = store.layer;
    return Array.from(maps.radius, (radius, i) => ({ row: Math.floor(i / grid[1]) + 1, column: (i % grid[1]) + 1, radius }));
  }

  HS.instrument({
    kind: "field",
    check,
    base() {},
    overlay: (ctx, pane, store, env) => env.grid(),
    thumb() {},
    legend,
    sentence,
    invitation: "Point at a position to see how far out its features lie.",
    settings: () => [],
    section: () => ({ element: HS.el("div", { hidden: true }), draw() {} }),
    lookInputs: () => ({ main: {}, more: {}, draw() {} }),
    cutKinds: [],
    cutHint: () => "",
    asJson: (store) => JSON.stringify({ exhibit: store.payload.exhibit.slug, layer: store.layer.name, label: store.layer.label, ...store.layer.field, grid: store.layer.grid, meaning: "radius: hyperbolic distance from the centre of the ball, 2‖t‖", positions: table(store) }, null, 1),
    asCsv: (store) => ["row,column,radius", ...table(store).map(({ row, column, radius }) => [row, column, radius].join(","))].join("\n"),
  });
})();
