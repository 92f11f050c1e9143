/** Maps over the patches: one number per cell, its scale, and the words of its legend. */
(() => {
  "use strict";

  /**
   * Maps that the browser makes itself, of all instruments: {name: {title, unit, available(layer), follows, make(store,
   * layerIndex, rows) → heat or null}}. One that `follows` the focused patch is drawn on the overlay, by its instrument.
   */
  const made = {};

  /** Words of the maps that come from the server under a short name. */
  const titleOf = (name) => (made[name] ? made[name].title : name.replaceAll("_", " ").replace(/^./, (c) => c.toUpperCase()));

  /** Names of the maps that this layer can show. */
  function heatNames(layer) {
    return [...Object.keys(made).filter((name) => made[name].kind === layer.kind && made[name].available(layer)), ...Object.keys(layer.maps)];
  }

  const followsFocus = (name) => Boolean(made[name] && made[name].follows);

  const largest = (values) => values.reduce((max, v) => (Number.isFinite(v) && Math.abs(v) > max ? Math.abs(v) : max), 0);

  function fromServer(store, layerIndex, name) {
    const values = store.layers[layerIndex].maps[name];
    if (!values) return null;
    const everywhere = store.layers.map((layer) => layer.maps[name]).filter(Boolean);
    const max = Math.max(...everywhere.map(largest)) || 1;
    const signed = everywhere.some((map) => map.some((v) => v < 0));
    const grid = values.length === store.layers[layerIndex].grid[0] * store.layers[layerIndex].grid[1] ? store.layers[layerIndex].grid : store.layers[layerIndex].keyGrid;
    return { values, grid, scale: { kind: signed ? "diverging" : "sequential", max } };
  }

  /**
   * The map of one layer by name: {values, grid, scale, title, unit, note} or null.
   * @param rows whole distance rows that the server has answered, by "layer patch"
   */
  function heatOf(store, layerIndex, name, rows) {
    if (!name) return null;
    const own = made[name];
    const layer = store.layers[layerIndex];
    const heat = own ? own.kind === layer.kind && own.available(layer) && own.make(store, layerIndex, rows) : fromServer(store, layerIndex, name);
    return heat ? { ...heat, title: titleOf(name), unit: own ? own.unit : heat.unit || "" } : null;
  }

  Object.assign(HS, { heatNames, heatOf, heatTitle: titleOf, followsFocus, madeMaps: made, largest });
})();
