// The arithmetic behind the linked views, against values known by hand or by another way of counting.
import assert from "node:assert/strict";
import { test } from "node:test";
import { axialLayer, loadCanvas, nearestLayer, payloadOf, random } from "./load.mjs";

const HS = loadCanvas("core", "graph", "heat", "instruments/graph", "dom", "panels/maths", "panels/networks", "panels/explain");
const { maths, networks, explain } = HS;

const near = (actual, expected, tolerance = 1e-6) => assert.ok(Math.abs(actual - expected) <= tolerance, `${actual} is not ${expected}`);
const numbers = (count, seed) => Array.from({ length: count }, random(seed));
const layerOf = (encoded) => HS.decode(payloadOf([encoded])).layers[0];

// ------------------------------------------------------------------------------------------------------ statistics

test("a histogram counts every value inside once, the right end included", () => {
  const hist = maths.histogram([0, 0.5, 1, 1.999, 2, 3, -1], 0, 1, 2);
  assert.deepEqual([...hist.counts], [2, 3]);
  assert.deepEqual([hist.bin(-0.01), hist.bin(2), hist.bin(2.01)], [-1, 1, -1]);
});

test("whole-number bins hold one number each until they must be wider", () => {
  assert.deepEqual([...maths.wholeBins([0, 3, 3, 1], 40).counts], [1, 1, 0, 2]);
  const wide = maths.wholeBins([0, 99], 40);
  assert.equal(wide.width, 3);
  assert.equal(maths.sum(Array.from(wide.counts)), 2);
});

test("quantiles interpolate like numpy", () => {
  near(maths.quantile([4, 1, 3, 2], 0.5), 2.5);
  near(maths.quantile([1, 2, 3, 4, 5], 0.9), 4.6);
  assert.ok(Number.isNaN(maths.quantile([], 0.5)));
});

test("skew is 0 for symmetric and constant values, positive for a hub", () => {
  near(maths.skew([1, 2, 3]), 0);
  assert.equal(maths.skew([5, 5, 5]), 0);
  near(maths.skew([0, 0, 0, 4]), 1.1547005, 1e-6); // scipy.stats.skew
});

test("ticks are round numbers inside the range", () => {
  assert.deepEqual(maths.ticks(0, 1, 5), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(maths.ticks(-0.05, 0.31, 3), [0, 0.2]);
});

test("Spearman follows ranks, ties share theirs, a constant has none", () => {
  near(maths.spearman([1, 2, 3, 4], [10, 100, 1000, 10000]), 1);
  near(maths.spearman([1, 2, 3, 4], [4, 3, 2, 1]), -1);
  near(maths.spearman([1, 2, 2, 3], [1, 3, 2, 4]), 0.9486833); // scipy.stats.spearmanr
  assert.ok(Number.isNaN(maths.spearman([1, 1, 1], [1, 2, 3])));
});

test("sorting by label keeps every patch: rank and order undo each other", () => {
  const labels = numbers(200, 3).map((v) => Math.floor(v * 5));
  const { order, rank } = maths.sortOrder(labels);
  order.forEach((patch, position) => assert.equal(rank[patch], position));
  assert.deepEqual([...order].sort((a, b) => a - b), labels.map((_, i) => i));
  for (let i = 1; i < order.length; i++) assert.ok(labels[order[i - 1]] < labels[order[i]] || (labels[order[i - 1]] === labels[order[i]] && order[i - 1] < order[i]));
  const runs = maths.runs(labels, order);
  assert.equal(runs.length, new Set(labels).size);
  assert.equal(runs.at(-1).end, labels.length);
});

for (const [grid, keyGrid] of [[[4, 5], [4, 5]], [[8, 8], [4, 4]], [[7, 7], [3, 3]]]) {
  test(`lengths of all pairs on ${grid} and ${keyGrid} agree with counting them one by one`, () => {
    const slow = [];
    for (let key = 0; key < keyGrid[0] * keyGrid[1]; key++) {
      const [r, c] = HS.centre(key, keyGrid, grid);
      for (let patch = 0; patch < grid[0] * grid[1]; patch++) {
        const [pr, pc] = HS.centre(patch, grid, grid);
        if (String(grid) !== String(keyGrid) || key !== patch) slow.push(Math.hypot(r - pr, c - pc));
      }
    }
    const pairs = maths.pairLengths(grid, keyGrid);
    assert.equal(pairs.total, slow.length);
    const bins = (values, weights) => [...maths.histogram(values, -0.25, 0.5, 40, weights).counts];
    assert.deepEqual(bins(pairs.length, pairs.weight), bins(slow));
  });
}

test("a map is averaged over cells, and read at the centre where cells are finer", () => {
  assert.deepEqual([...maths.poolMap([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], [4, 4], [2, 2])], [3.5, 5.5, 11.5, 13.5]);
  assert.deepEqual([...maths.poolMap([1, 2], [1, 2], [1, 4])], [1, 1, 2, 2]);
});

// -------------------------------------------------------------------------------------------------------- networks

test("an axial board has gcd(K, H)·gcd(K, W) pieces, for every size of the laboratory", () => {
  for (let size = 5; size <= 16; size++) {
    for (let step = 1; step <= 4; step++) {
      const { count } = networks.pieces(networks.axialGraph(size, size, step));
      assert.equal(count, networks.gcd(step, size) ** 2, `${size} × ${size}, step ${step}`);
    }
  }
  assert.equal(networks.pieces(networks.axialGraph(25, 42, 2)).count, 2);
});

test("odd boards of step 2 are one-way, even ones two-way", () => {
  assert.equal(networks.reciprocity(networks.axialGraph(7, 7, 2)), 0);
  assert.equal(networks.reciprocity(networks.axialGraph(8, 8, 2)), 1);
  near(networks.reciprocity(networks.axialGraph(25, 42, 2)), 0.625, 0.01);
});

test("a patch of the 7 × 7 board has heard from 14, 45, 82, 100 % after 1 to 4 blocks", () => {
  const steps = networks.stepsTo(networks.axialGraph(7, 7, 2), 24);
  assert.deepEqual(networks.reach(steps, 4).map((share) => Math.round(100 * share)), [14, 45, 82, 100]);
});

test("the laboratory says what the board does", () => {
  assert.equal(networks.sentence(networks.study(7, 2)), "7 is odd: one directed piece.");
  assert.match(networks.sentence(networks.study(8, 2)), /^8 is even: four silent islands/);
});

const plain = (n, edges) => ({ n, neighbours: Array.from({ length: n }, (_, i) => edges.filter(([t]) => t === i).map(([, s]) => s)) });
const every = (n) => Array.from({ length: n }, (_, i) => i);

test("Fiedler: a path of three comes apart in the middle (λ₂ = 1)", () => {
  const { vector, value } = networks.fiedler(plain(3, [[0, 1], [1, 2]]), every(3));
  near(value, 1, 1e-6);
  near(vector[0], Math.SQRT1_2, 1e-5);
  near(vector[1], 0, 1e-5);
  near(vector[2], -Math.SQRT1_2, 1e-5);
});

test("Fiedler: λ₂ of a ring, a complete graph and two boards", () => {
  near(networks.fiedler(plain(6, every(6).map((i) => [i, (i + 1) % 6])), every(6)).value, 0.5, 1e-6);
  const complete = every(4).flatMap((i) => every(i).map((j) => [i, j]));
  near(networks.fiedler(plain(4, complete), every(4)).value, 4 / 3, 1e-6);
  near(networks.fiedler(networks.axialGraph(7, 7, 2), every(49)).value, 7 / 12, 1e-5);
  const eight = networks.axialGraph(8, 8, 2);
  const island = every(64).filter((i) => networks.pieces(eight).label[i] === 0);
  near(networks.fiedler(eight, island).value, 2 / 3, 1e-5);
});

test("Fiedler: orthogonal to √degree, of length 1, first clear entry positive, the same every time", () => {
  const graph = networks.axialGraph(9, 9, 4);
  const { vector } = networks.fiedler(graph, every(81));
  assert.deepEqual(networks.fiedler(graph, every(81)).vector, vector);
  near(Math.hypot(...vector), 1);
  near(maths.sum(Array.from(vector)), 0, 1e-6); // all degrees are equal here
  assert.ok(vector.find((v) => Math.abs(v) > 1e-6) > 0);
});

test("communities: two cliques joined by one edge are two groups", () => {
  const clique = (nodes) => nodes.flatMap((t) => nodes.filter((s) => s !== t).map((s) => [t, s]));
  const edges = [...clique([0, 1, 2, 3, 4]), ...clique([5, 6, 7]), [4, 5]];
  const graph = { n: 8, m: edges.length, target: edges.map(([t]) => t), source: edges.map(([, s]) => s) };
  const { label, count } = networks.communities(graph);
  assert.equal(count, 2);
  assert.deepEqual([...label], [0, 0, 0, 0, 0, 1, 1, 1]);
});

test("communities: a graph without edges leaves every patch alone", () => {
  assert.equal(networks.communities({ n: 4, m: 0, source: [], target: [] }).count, 4);
});

// -------------------------------------------------------------------------------------------------- why this edge

test("nearest: rank leaves the patch itself out, margin is measured against the first one left out", () => {
  const layer = layerOf(nearestLayer({ k: 3, dilation: 2 })); // kept columns 0 (itself), 2, 4
  const graph = HS.buildGraph(layer, {});
  const width = layer.candidates.shape[1];
  const b = layer.candidates[4]; // column 4 of patch 0
  const x = explain.explain(layer, graph, {}, 0, b);
  assert.ok(x.kept && x.modelKept && x.candidate);
  assert.equal(x.rank, 4);
  assert.equal(x.of, width - 1);
  near(x.limit, layer.distance[6]);
  near(x.margin, (layer.distance[6] - layer.distance[4]) / layer.distance[6]);
  const out = explain.explain(layer, graph, {}, 0, layer.candidates[3]);
  assert.equal(out.kept, false);
  near(out.limit, layer.distance[4]);
});

test("nearest: every setting that the sentence names does flip the edge", () => {
  for (const [k, dilation] of [[3, 2], [6, 1], [2, 3], [1, 1], [4, 3]]) {
    const layer = layerOf(nearestLayer({ k, dilation, width: 12 }));
    for (let column = 1; column < 12; column++) {
      const b = layer.candidates[column];
      const before = explain.explain(layer, HS.buildGraph(layer, {}), {}, 0, b).kept;
      for (const words of explain.flipsNearest(layer, { k, dilation }, column, before)) {
        const rule = { k, dilation };
        const [, newK] = /k [≤≥] (\d+)/.exec(words) || [];
        const [, newD] = /dilation (\d+)/.exec(words) || [];
        if (newK) rule.k = Number(newK);
        if (newD) rule.dilation = Number(newD);
        const after = explain.explain(layer, HS.buildGraph(layer, rule), rule, 0, b).kept;
        assert.equal(after, !before, `k ${k}, dilation ${dilation}, column ${column}: “${words}”`);
      }
    }
  }
});

test("threshold: the edge flips at the λ that the sentence names, and not a step before", () => {
  const layer = layerOf(axialLayer({ threshold: true }));
  const width = layer.candidates.shape[1];
  for (let column = 0; column < width; column++) {
    const b = layer.candidates[column];
    const x = explain.explain(layer, HS.buildGraph(layer, {}), {}, 0, b);
    const words = explain.sentence(layer, {}, x);
    const lambda = Number(/λ [≤≥] (-?[\d.]+)/.exec(words)[1]);
    const keptAt = (multiplier) => explain.explain(layer, HS.buildGraph(layer, { multiplier }), { multiplier }, 0, b).kept;
    assert.equal(keptAt(lambda), !x.kept, words);
    assert.equal(keptAt(lambda + (x.kept ? -0.0101 : 0.0101)), x.kept, words);
  }
});

test("a pair that the rule never looks at is said to be one", () => {
  const layer = layerOf(axialLayer({ grid: [7, 7], step: 2 }));
  const x = explain.explain(layer, HS.buildGraph(layer, {}), {}, 24, 16);
  assert.equal(x.candidate, false);
  assert.match(explain.sentence(layer, {}, x), /^Never an edge/);
});

test("a whole row of distances ranks a source beyond the list", () => {
  const layer = layerOf(nearestLayer({ width: 5, k: 3, dilation: 1 }));
  const listed = new Set(layer.candidates.slice(0, 5));
  const row = Float32Array.from({ length: 30 }, (_, i) => (listed.has(i) ? 0.1 : i));
  row[0] = 0;
  const far = Array.from({ length: 30 }, (_, i) => i).findLast((i) => !listed.has(i));
  const x = explain.explain(layer, HS.buildGraph(layer, {}), {}, 0, far, row);
  assert.equal(x.of, 29);
  assert.equal(x.rank, 1 + row.filter((d, i) => i !== 0 && i !== far && d < row[far]).length);
  assert.match(explain.sentence(layer, {}, x), /nearest of 29/);
});

test("ordinals", () => {
  assert.deepEqual([1, 2, 3, 4, 11, 12, 13, 21, 112].map(explain.ordinal), ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th"]);
});
