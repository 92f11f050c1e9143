/**
 * Graph arithmetic of the linked views, without drawing: HS.networks.
 * A plain graph is {n, neighbours: array of arrays}; neighbours[i] are the patches that i listens to.
 */
(() => {
  "use strict";

  const gcd = (a, b) => (b === 0 ? a : gcd(b, a % b));

  /** Weakly connected pieces: the piece of every node (numbered by first node) and their count. */
  function pieces(graph) {
    const parent = Int32Array.from({ length: graph.n }, (_, i) => i);
    const root = (i) => {
      while (parent[i] !== i) i = parent[i] = parent[parent[i]];
      return i;
    };
    graph.neighbours.forEach((sources, i) => sources.forEach((j) => (parent[root(Math.max(i, j))] = root(Math.min(i, j)))));
    const number = new Map();
    const label = Int32Array.from({ length: graph.n }, (_, i) => {
      const r = root(i);
      if (!number.has(r)) number.set(r, number.size);
      return number.get(r);
    });
    return { label, count: number.size };
  }

  /** Shifts of the axial rule: step, 2·step, … below the side. */
  const shifts = (side, step) => Array.from({ length: Math.max(0, Math.ceil(side / step) - 1) }, (_, i) => (i + 1) * step);

  /** The axial graph on a board: (r, c) listens to ((r − s) mod H, c) and (r, (c − s) mod W). */
  function axialGraph(height, width, step) {
    const neighbours = Array.from({ length: height * width }, (_, t) => {
      const [r, c] = [Math.floor(t / width), t % width];
      const down = shifts(height, step).map((s) => ((r - s + height) % height) * width + c);
      const across = shifts(width, step).map((s) => r * width + ((c - s + width) % width));
      return [...down, ...across];
    });
    return { n: height * width, neighbours };
  }

  /** Share of the edges that run in both directions. */
  function reciprocity(graph) {
    const known = new Set();
    graph.neighbours.forEach((sources, t) => sources.forEach((s) => known.add(t * graph.n + s)));
    let answered = 0;
    graph.neighbours.forEach((sources, t) => sources.forEach((s) => (answered += known.has(s * graph.n + t) ? 1 : 0)));
    return known.size ? answered / known.size : NaN;
  }

  /** Steps until news of every node has reached `target` (Infinity: never); the node itself needs 0. */
  function stepsTo(graph, target) {
    const steps = new Float64Array(graph.n).fill(Infinity);
    steps[target] = 0;
    for (let front = [target], step = 1; front.length; step++) {
      const next = [];
      for (const node of front) {
        for (const source of graph.neighbours[node]) {
          if (steps[source] !== Infinity) continue;
          steps[source] = step;
          next.push(source);
        }
      }
      front = next;
    }
    return steps;
  }

  /** Undirected neighbour lists S = max(A, Aᵀ) of the nodes in `members`, renumbered along `members`. */
  function undirected(graph, members) {
    const at = new Map(members.map((node, i) => [node, i]));
    const sets = members.map(() => new Set());
    graph.neighbours.forEach((sources, t) => {
      for (const s of sources) {
        if (!at.has(t) || !at.has(s) || s === t) continue;
        sets[at.get(t)].add(at.get(s));
        sets[at.get(s)].add(at.get(t));
      }
    });
    return sets.map((set) => [...set]);
  }

  /** Deterministic start without symmetry, orthogonal to `base` after `project`. */
  const start = (n) => Float64Array.from({ length: n }, (_, i) => Math.sin(1 + 1.7 * i) + 0.3 * Math.cos(0.31 * i * i));

  function project(vector, base) {
    let along = 0;
    for (let i = 0; i < vector.length; i++) along += vector[i] * base[i];
    for (let i = 0; i < vector.length; i++) vector[i] -= along * base[i];
    const length = Math.hypot(...vector);
    return length > 0 ? vector.map((v) => v / length) : vector;
  }

  /**
   * Second eigenvector of L = I − D^(−½)·S·D^(−½) on a connected set of nodes, by power iteration on 2I − L.
   * The sign is fixed: the entry of the first node that is clearly not zero is positive.
   * @returns {{vector: Float64Array along members, value: λ₂}}
   */
  function fiedler(graph, members) {
    const lists = undirected(graph, members);
    const n = members.length;
    if (n < 2) return { vector: new Float64Array(n), value: 0 };
    const root = Float64Array.from(lists, (list) => Math.sqrt(list.length));
    const base = project(root, new Float64Array(n));
    let vector = project(start(n), base);
    let value = 0;
    for (let turn = 0; turn < 2000; turn++) {
      const pushed = vector.map((v, i) => v + lists[i].reduce((total, j) => total + vector[j] / (root[i] * root[j]), 0));
      const next = project(pushed, base);
      const rayleigh = 2 - vector.reduce((total, v, i) => total + v * pushed[i], 0);
      const moved = next.reduce((most, v, i) => Math.max(most, Math.abs(v - vector[i])), 0);
      vector = next;
      value = rayleigh;
      if (moved < 1e-9) break;
    }
    const first = vector.find((v) => Math.abs(v) > 1e-6) || 1;
    return { vector: first < 0 ? vector.map((v) => -v) : vector, value };
  }

  /** Everything that follows from the size and the step of a square axial board. */
  function study(size, step) {
    const graph = axialGraph(size, size, step);
    const { label, count } = pieces(graph);
    return { size, step, graph, label, count, rule: gcd(step, size) ** 2, degree: graph.neighbours[0].length, reciprocity: reciprocity(graph) };
  }

  /** Share of the board that a patch has heard from (itself included) after 1 … `blocks` blocks. */
  function reach(steps, blocks) {
    return Array.from({ length: blocks }, (_, b) => steps.filter((s) => s <= b + 1).length / steps.length);
  }

  /** "odd: one directed piece; even: four silent islands", in the words of this board. */
  function sentence({ size, count, reciprocity }) {
    const side = size % 2 ? "odd" : "even";
    const way = reciprocity === 0 ? "directed" : reciprocity === 1 ? "two-way" : "partly directed";
    if (count === 1) return `${size} is ${side}: one ${way} piece.`;
    const number = count === 4 ? "four" : String(count);
    return `${size} is ${side}: ${number} silent islands that never hear each other.`;
  }

  // ---------------------------------------------------------------------------------------------------- communities

  /** Undirected weights of a canvas Graph over its patches: Map per node, 1 per direction in which an edge exists. */
  function weights(graph) {
    const maps = Array.from({ length: graph.n }, () => new Map());
    for (let e = 0; e < graph.m; e++) {
      const [s, t] = [graph.source[e], graph.target[e]];
      maps[s].set(t, (maps[s].get(t) || 0) + 1);
      maps[t].set(s, (maps[t].get(s) || 0) + 1);
    }
    return maps;
  }

  /** One level of Louvain: nodes move, in order, to the neighbouring group that raises modularity most. */
  function moveNodes(maps, strength, total) {
    const group = Int32Array.from(maps, (_, i) => i);
    const held = Float64Array.from(strength);
    let moved = true;
    for (let pass = 0; moved && pass < 20; pass++) {
      moved = false;
      maps.forEach((links, node) => {
        const to = new Map([[group[node], 0]]);
        links.forEach((w, other) => other !== node && to.set(group[other], (to.get(group[other]) || 0) + w));
        held[group[node]] -= strength[node];
        let best = group[node];
        const gain = (g) => to.get(g) - (strength[node] * held[g]) / total;
        for (const g of to.keys()) if (gain(g) > gain(best) + 1e-12) best = g;
        held[best] += strength[node];
        if (best !== group[node]) moved = true;
        group[node] = best;
      });
    }
    return group;
  }

  function merge(maps, group) {
    const number = new Map([...new Set(group)].map((g, i) => [g, i]));
    const merged = Array.from({ length: number.size }, () => new Map());
    maps.forEach((links, node) => {
      const home = merged[number.get(group[node])];
      links.forEach((w, other) => {
        const to = number.get(group[other]);
        home.set(to, (home.get(to) || 0) + w);
      });
    });
    return { merged, number };
  }

  /**
   * Groups that hold together (Louvain, deterministic order): group of every patch, 0 = largest.
   * Source: Blondel et al., J. Stat. Mech. 2008.
   */
  function communities(graph) {
    let maps = weights(graph);
    let label = Int32Array.from({ length: graph.n }, (_, i) => i);
    for (let level = 0; level < 10; level++) {
      const strength = maps.map((links) => [...links.values()].reduce((a, b) => a + b, 0));
      const total = strength.reduce((a, b) => a + b, 0) || 1;
      const group = moveNodes(maps, strength, total);
      const { merged, number } = merge(maps, group);
      if (merged.length === maps.length) break;
      label = label.map((node) => number.get(group[node]));
      maps = merged;
    }
    return bySize(label);
  }

  /** Renumber labels by falling size. */
  function bySize(label) {
    const size = new Map();
    for (const l of label) size.set(l, (size.get(l) || 0) + 1);
    const order = [...size.keys()].sort((a, b) => size.get(b) - size.get(a) || a - b);
    const rank = new Map(order.map((l, i) => [l, i]));
    return { label: label.map((l) => rank.get(l)), count: order.length };
  }

  HS.networks = { gcd, pieces, shifts, axialGraph, reciprocity, stepsTo, fiedler, study, reach, sentence, communities };
})();
