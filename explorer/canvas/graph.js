/**
 * From candidates to edges, in the browser, so that a slider needs no server.
 *
 * A Graph of N targets, M sources, m edges (self removed; an edge source → target: the target listens to the source):
 *   n, keys, m     numbers of targets, of sources, of edges
 *   offsets        Uint32 [N+1]; the edges of target t are offsets[t] … offsets[t+1] − 1
 *   source, slot   Uint16 [m]; source cell (of keyGrid) and candidate column of each edge
 *   target         Uint16 [m]
 *   distance       Float32 [m] or null
 *   strength       Float32 [m] in 0..1: share of channels won; else 1 − rank by distance; else 1
 *   length         Float32 [m] between the cell centres, in patches of the target grid, straight across the picture
 *   wrap           Uint8 [m]; 1 where a roll over the border made the edge
 *   outOffsets, outTarget, outEdge   the same edges by source: CSR over M
 */
(() => {
  "use strict";

  const isAxial = (layer) => layer.kind === "graph" && (layer.rule.name === "axial" || layer.rule.name === "axial-threshold");
  /** True where sources are bigger cells than targets. */
  const pooled = (layer) => layer.grid[0] !== layer.keyGrid[0] || layer.grid[1] !== layer.keyGrid[1];

  /** Which sliders a layer's rule can answer in the browser. */
  function ruleControls(layer) {
    const controls = [];
    if (layer.rule.name === "nearest") controls.push("k", "dilation");
    if (layer.rule.name === "axial-threshold" && layer.distance && layer.rule.mean != null) controls.push("multiplier");
    if (layer.distance) controls.push("quantile");
    return controls;
  }

  /** The part of a rule that this layer listens to, with the model's values filled in. */
  function effectiveRule(layer, rule) {
    const known = ruleControls(layer);
    const effective = {};
    for (const name of ["k", "dilation", "multiplier"]) {
      if (known.includes(name)) effective[name] = rule && rule[name] != null ? rule[name] : layer.rule[name];
    }
    if (known.includes("quantile")) effective.quantile = rule && rule.quantile != null ? rule.quantile : 1;
    return effective;
  }

  const ruleKey = (layer, rule) => JSON.stringify(effectiveRule(layer, rule));
  /** True when the visitor's rule gives other edges than the model's own. */
  const ruleDiffers = (layer, rule) => ruleKey(layer, rule) !== ruleKey(layer, {});

  /** The flags [N·S] of the candidates that are edges under a rule, quantile and self-loops aside. */
  function chosen(layer, rule) {
    const [, width] = layer.candidates.shape;
    const wanted = effectiveRule(layer, rule);
    const own = effectiveRule(layer, {});
    const { kept, distance } = layer;
    if (wanted.k !== own.k || wanted.dilation !== own.dilation) {
      const columns = new Uint8Array(width);
      for (let i = 0, c = 0; i < wanted.k && c < width; i++, c += wanted.dilation) columns[c] = 1;
      const flags = new Uint8Array(kept.length);
      for (let start = 0; start < flags.length; start += width) flags.set(columns, start);
      return flags;
    }
    if (wanted.multiplier !== own.multiplier) {
      const threshold = layer.rule.mean - wanted.multiplier * layer.rule.std;
      const flags = new Uint8Array(kept.length);
      for (let i = 0; i < flags.length; i++) flags[i] = distance[i] < threshold ? 1 : 0;
      return flags;
    }
    return kept;
  }

  /** Distance below which the shortest `share` of the flagged candidates lies. */
  function quantileLimit(layer, flags, share) {
    const values = layer.distance.filter((_, i) => flags[i]).sort();
    const count = Math.round(share * values.length);
    return count === 0 ? -Infinity : values[count - 1];
  }

  /** The Graph of a layer under a rule. */
  function buildGraph(layer, rule) {
    const [n, width] = layer.candidates.shape;
    const keys = layer.keyGrid[0] * layer.keyGrid[1];
    const flags = new Uint8Array(chosen(layer, rule));
    if (!pooled(layer)) {
      for (let t = 0, i = 0; t < n; t++) for (let s = 0; s < width; s++, i++) if (layer.candidates[i] === t) flags[i] = 0;
    }
    const { quantile } = effectiveRule(layer, rule);
    if (quantile < 1) {
      const limit = quantileLimit(layer, flags, quantile);
      for (let i = 0; i < flags.length; i++) if (!(layer.distance[i] <= limit)) flags[i] = 0;
    }
    const graph = collect(layer, flags, n, width, keys);
    graph.length = lengths(layer, graph);
    graph.strength = strengths(layer, graph, width);
    return Object.assign(graph, bySource(graph, keys));
  }

  function collect(layer, flags, n, width, keys) {
    let m = 0;
    for (let i = 0; i < flags.length; i++) if (flags[i]) m++;
    const graph = {
      n,
      keys,
      m,
      offsets: new Uint32Array(n + 1),
      source: new Uint16Array(m),
      target: new Uint16Array(m),
      slot: new Uint16Array(m),
      wrap: new Uint8Array(m),
      distance: layer.distance ? new Float32Array(m) : null,
    };
    const axial = isAxial(layer);
    let e = 0;
    for (let t = 0; t < n; t++) {
      for (let s = 0; s < width; s++) {
        const at = t * width + s;
        if (!flags[at]) continue;
        graph.source[e] = layer.candidates[at];
        graph.target[e] = t;
        graph.slot[e] = s;
        // Axial candidates sit above or left of their target, unless the roll brought them in over the border.
        graph.wrap[e] = axial && layer.candidates[at] > t ? 1 : 0;
        if (graph.distance) graph.distance[e] = layer.distance[at];
        e++;
      }
      graph.offsets[t + 1] = e;
    }
    return graph;
  }

  /** Centre of a cell of one grid in units of another: [row, column]. */
  function centre(cell, grid, unit) {
    const row = Math.floor(cell / grid[1]);
    return [((row + 0.5) * unit[0]) / grid[0], ((cell - row * grid[1] + 0.5) * unit[1]) / grid[1]];
  }

  function lengths(layer, graph) {
    const { grid, keyGrid } = layer;
    const sources = Array.from({ length: graph.keys }, (_, key) => centre(key, keyGrid, grid));
    const length = new Float32Array(graph.m);
    for (let t = 0; t < graph.n; t++) {
      const [row, col] = centre(t, grid, grid);
      for (let e = graph.offsets[t]; e < graph.offsets[t + 1]; e++) {
        const [r, c] = sources[graph.source[e]];
        length[e] = Math.hypot(r - row, c - col);
      }
    }
    return length;
  }

  function strengths(layer, graph, width) {
    if (layer.share) {
      const strength = new Float32Array(graph.m);
      for (let e = 0; e < graph.m; e++) strength[e] = layer.share[graph.target[e] * width + graph.slot[e]] / 255;
      return strength;
    }
    if (!graph.distance) return new Float32Array(graph.m).fill(1);
    const sorted = graph.distance.slice().sort();
    const last = Math.max(1, graph.m - 1);
    return graph.distance.map((d) => 1 - firstAtLeast(sorted, d) / last);
  }

  function firstAtLeast(sorted, value) {
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle] < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function bySource(graph, keys) {
    const outOffsets = new Uint32Array(keys + 1);
    for (const source of graph.source) outOffsets[source + 1]++;
    for (let i = 0; i < keys; i++) outOffsets[i + 1] += outOffsets[i];
    const next = outOffsets.slice();
    const outTarget = new Uint16Array(graph.m);
    const outEdge = new Uint32Array(graph.m);
    for (let e = 0; e < graph.m; e++) {
      const at = next[graph.source[e]]++;
      outTarget[at] = graph.target[e];
      outEdge[at] = e;
    }
    return { outOffsets, outTarget, outEdge };
  }

  // ------------------------------------------------------------------------------------------------- between grids

  /** The cell of grid `to` that holds the centre of a cell of grid `from`. */
  function mapCell(cell, from, to) {
    if (from[0] === to[0] && from[1] === to[1]) return cell;
    const [r, c] = centre(cell, from, to);
    return Math.min(to[0] - 1, Math.floor(r)) * to[1] + Math.min(to[1] - 1, Math.floor(c));
  }

  /** The cells of grid `fine` whose centre lies in a cell of grid `coarse`. */
  function cellsInside(cell, coarse, fine) {
    const inside = [];
    for (let i = 0; i < fine[0] * fine[1]; i++) if (mapCell(i, fine, coarse) === cell) inside.push(i);
    return inside;
  }

  // ---------------------------------------------------------------------------------------------- numbers of a graph

  /** Edge numbers of a focus: `in` = edges that arrive at the patch, `out` = edges that leave its key cell. */
  function edgesOf(graph, layer, patch, direction) {
    const found = { in: [], out: [] };
    if (direction !== "out") for (let e = graph.offsets[patch]; e < graph.offsets[patch + 1]; e++) found.in.push(e);
    if (direction !== "in") {
      const key = mapCell(patch, layer.grid, layer.keyGrid);
      for (let i = graph.outOffsets[key]; i < graph.outOffsets[key + 1]; i++) found.out.push(graph.outEdge[i]);
    }
    return found;
  }

  /** Candidates that the rule looked at for a patch and did not keep: too far, or skipped by the dilation. */
  function rejected(layer, graph, rule, patch) {
    const width = layer.candidates.shape[1];
    const { k, dilation } = effectiveRule(layer, rule);
    const looked = layer.rule.name === "axial-threshold" ? width : dilation > 1 ? Math.min(width, (k - 1) * dilation + 1) : 0;
    const kept = new Set(graph.slot.subarray(graph.offsets[patch], graph.offsets[patch + 1]));
    const found = [];
    for (let j = 0; j < looked; j++) {
      const source = layer.candidates[patch * width + j];
      if (!kept.has(j) && (source !== patch || pooled(layer))) found.push(source);
    }
    return found;
  }

  /** How many patches each patch listens to, Float32 [N]. */
  const inDegree = (graph) => Float32Array.from({ length: graph.n }, (_, t) => graph.offsets[t + 1] - graph.offsets[t]);
  /** How many patches listen to each key cell, Float32 [M]. */
  const outDegree = (graph) => Float32Array.from({ length: graph.keys }, (_, s) => graph.outOffsets[s + 1] - graph.outOffsets[s]);

  /** Weakly connected pieces: number of the piece of every patch (0 = largest), and how many there are. */
  function components(graph, layer) {
    const parent = Int32Array.from({ length: graph.n }, (_, i) => i);
    const root = (i) => {
      while (parent[i] !== i) i = parent[i] = parent[parent[i]];
      return i;
    };
    const homes = pooled(layer) ? Array.from({ length: graph.keys }, (_, k) => cellsInside(k, layer.keyGrid, layer.grid)) : null;
    for (let e = 0; e < graph.m; e++) {
      const sources = homes ? homes[graph.source[e]] : [graph.source[e]];
      for (const source of sources) parent[root(source)] = root(graph.target[e]);
    }
    const size = new Map();
    for (let i = 0; i < graph.n; i++) size.set(root(i), (size.get(root(i)) || 0) + 1);
    const order = [...size.keys()].sort((a, b) => size.get(b) - size.get(a) || a - b);
    const rank = new Map(order.map((r, i) => [r, i]));
    return { label: Int32Array.from({ length: graph.n }, (_, i) => rank.get(root(i))), count: order.length, sizes: order.map((r) => size.get(r)) };
  }

  /** Patches without any edge, as 0/1 [N]. */
  function isolated(graph, layer) {
    const heard = outDegree(graph);
    return Uint8Array.from({ length: graph.n }, (_, i) =>
      graph.offsets[i + 1] === graph.offsets[i] && heard[mapCell(i, layer.grid, layer.keyGrid)] === 0 ? 1 : 0,
    );
  }

  /**
   * Two graphs over the same grids: edges only in A, only in B, in both, and their Jaccard number (both ÷ any).
   * Grids that differ cannot be compared edge by edge: null.
   */
  function difference(layerA, a, layerB, b) {
    if (String(layerA.grid) !== String(layerB.grid) || String(layerA.keyGrid) !== String(layerB.keyGrid)) return null;
    const code = (g, e) => g.target[e] * g.keys + g.source[e];
    const inB = new Set();
    for (let e = 0; e < b.m; e++) inB.add(code(b, e));
    const onlyA = [];
    const both = [];
    for (let e = 0; e < a.m; e++) (inB.delete(code(a, e)) ? both : onlyA).push(e);
    const onlyB = [];
    for (let e = 0; e < b.m; e++) if (inB.has(code(b, e))) onlyB.push(e);
    const any = onlyA.length + onlyB.length + both.length;
    return { onlyA, onlyB, both, jaccard: any ? both.length / any : 1 };
  }

  Object.assign(HS, { pooled, isAxial, ruleControls, effectiveRule, ruleKey, ruleDiffers, buildGraph, mapCell, cellsInside, centre, edgesOf });
  Object.assign(HS, { inDegree, outDegree, rejected, components, isolated, difference });
})();
