/** Maps over the patches: one number per cell, its scale, and the words of its legend. */
(() => {
  "use strict";

  const BUILT_IN = {
    listens: { title: "How many it listens to", unit: "patches" },
    heard: { title: "How many listen to it", unit: "patches" },
    pieces: { title: "Connected pieces", unit: "" },
    distance: { title: "Distance to the chosen patch", unit: "" },
  };

  /** Words of the maps that come from the server under a short name. */
  const titleOf = (name) => (BUILT_IN[name] ? BUILT_IN[name].title : name.replaceAll("_", " ").replace(/^./, (c) => c.toUpperCase()));

  /** Names of the maps that this layer can show. */
  function heatNames(layer) {
    const names = ["listens", "heard", "pieces"];
    if (layer.distance) names.push("distance");
    return names.concat(Object.keys(layer.maps));
  }

  const largest = (values) => values.reduce((max, v) => (Number.isFinite(v) && Math.abs(v) > max ? Math.abs(v) : max), 0);

  /** The scale of a count is shared by all layers, so that a pale layer is pale because it counts less. */
  function sharedCount(store, count) {
    return Math.max(1, ...store.layers.map((_, i) => largest(count(store.graph(i)))));
  }

  function counted(store, layerIndex, name) {
    const layer = store.layers[layerIndex];
    const count = name === "listens" ? HS.inDegree : HS.outDegree;
    const grid = name === "listens" ? layer.grid : layer.keyGrid;
    return { values: count(store.graph(layerIndex)), grid, scale: { kind: "sequential", max: sharedCount(store, count) } };
  }

  function pieces(store, layerIndex) {
    const layer = store.layers[layerIndex];
    const { label, count, sizes } = HS.components(store.graph(layerIndex), layer);
    const alone = sizes.filter((size) => size === 1).length;
    const note = `${HS.plural(count, "piece")}${alone ? `, ${alone} of them a single patch` : ""}`;
    const values = Float32Array.from(label, (piece) => (sizes[piece] > 1 ? piece : 7));
    return { values, grid: layer.grid, scale: { kind: "category" }, note };
  }

  /** Distances from one patch: the whole row where the server answered, else what the candidates know. */
  function distances(store, layerIndex, rows) {
    const layer = store.layers[layerIndex];
    const patch = store.focus(layerIndex);
    if (!layer.distance || patch === null) return null;
    const row = rows && rows.get(`${layerIndex} ${patch}`);
    const width = layer.candidates.shape[1];
    const values = row ? Float32Array.from(row) : new Float32Array(layer.keyGrid[0] * layer.keyGrid[1]).fill(NaN);
    if (!row) for (let j = 0; j < width; j++) values[layer.candidates[patch * width + j]] = layer.distance[patch * width + j];
    const known = values.filter(Number.isFinite);
    const scale = { kind: "reversed", min: Math.min(0, ...known), max: Math.max(...known) };
    return { values, grid: layer.keyGrid, scale, note: row ? "" : "only the candidates are known" };
  }

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
    const make = { listens: counted, heard: counted, pieces, distance: (s, l) => distances(s, l, rows) }[name] || fromServer;
    const heat = make(store, layerIndex, name);
    return heat && { ...heat, title: titleOf(name), unit: BUILT_IN[name] ? BUILT_IN[name].unit : "" };
  }

  Object.assign(HS, { heatNames, heatOf, heatTitle: titleOf });
})();
