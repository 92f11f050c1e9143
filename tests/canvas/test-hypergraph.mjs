// node --test tests/canvas — what the browser makes of a hypergraph, against the numbers that Python computes (hypergraph_numbers.py)
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { loadCanvas, nearestLayer, payloadOf } from "./load.mjs";

const HS = loadCanvas("core", "inflate", "graph", "heat", "instruments/graph", "colour", "dom", "legend", "hypergraph", "instruments/hypergraph", "permalink");
const CASES = JSON.parse(readFileSync(new URL("hypergraph.json", import.meta.url), "utf8"));

const layerOf = ({ payload, grid }, name = "soft") => ({ name, label: name, group: name, kind: "hypergraph", grid, colour: null, maps: {}, measures: [], hypergraph: structuredClone(payload) });

function storeOf(layers, controls = { widgets: [], values: {} }, extra = {}) {
  return HS.createStore(HS.decode(payloadOf(layers, { controls, ...extra })), {});
}

function near(found, expected, tolerance, what) {
  assert.equal(found.length, expected.length, what);
  expected.forEach((value, i) => {
    if (value === null) assert.ok(Number.isNaN(found[i]), `${what} ${i}: ${found[i]}, expected to be unknown`);
    else assert.ok(Math.abs(found[i] - value) <= tolerance, `${what} ${i}: ${found[i]}, expected ${value}`);
  });
}

for (const sample of CASES) {
  for (const { name, settings, numbers } of sample.changed) {
    test(`${sample.name}, ${name}: who takes part`, () => {
      const store = storeOf([layerOf(sample)]);
      store.set(settings);
      const d = HS.hyper.of(store, 0);
      near(d.a, numbers.participation, 1e-3 * Math.max(...numbers.participation), "participation");
      assert.equal(HS.hyper.differs(store, store.layer), Object.keys(settings).length > 0);
      if (!numbers.load) return;
      const all = Array.from({ length: d.m }, (_, m) => m);
      const on = all.filter((m) => d.on[m]);
      near(d.load, numbers.load, 1e-3, "load");
      near(d.loudness, numbers.loudness, 1e-3 * Math.max(...numbers.loudness), "loudness");
      for (const [key, tolerance] of [["members", 0.02], ["entropy", 1e-3], ["variation", 5e-3]]) {
        near(on.map((m) => d[key][m]), on.map((m) => numbers[key][m]), tolerance, key);
      }
      for (const a of all) {
        near(all.map((b) => HS.hyper.jaccard(d, a, b)), numbers.jaccard[a], 1e-3, `jaccard ${a}`);
        near(all.map((b) => HS.hyper.correlation(d, a, b)), numbers.correlation[a], 3e-3, `correlation ${a}`);
      }
      assert.ok(Math.abs(HS.hyper.effectiveNumber(d) - numbers.effective) < 0.01);
      near(HS.hyper.sharing(d, 7), numbers.sharing, 0.01, "sharing");
      assert.deepEqual(Array.from(HS.hyper.assignment(d).label), numbers.assignment);
      for (const [share, sets] of Object.entries(numbers.sets)) {
        for (const m of all) assert.deepEqual([...HS.hyper.massSet(d, m, Number(share))].sort((a, b) => a - b), sets[m], `set of ${m} at ${share}`);
        for (const m of on) {
          const level = HS.hyper.levelOf(HS.hyper.field(d, m, sample.grid), Number(share));
          assert.ok(Math.abs(level - numbers.levels[share][m]) < 1e-3 * Math.max(...d.w), `level of ${m} at ${share}`);
        }
      }
    });
  }
}

test("γ of a hyperedge is how much of its column differs from patch to patch", () => {
  for (const sample of CASES) {
    const store = storeOf([layerOf(sample)]);
    const d = HS.hyper.of(store, 0);
    for (let m = 0; m < d.m; m++) {
      if (!d.on[m]) continue;
      const column = Array.from({ length: d.n }, (_, i) => d.patches[i * d.m + m]);
      const mean = column.reduce((a, b) => a + b, 0) / d.n;
      const direct = Math.hypot(...column.map((x) => x - mean)) / Math.hypot(...column);
      assert.ok(Math.abs(HS.hyper.contrast(d, m) - direct) < 1e-5, `${HS.hyper.contrast(d, m)} against ${direct}`);
      assert.ok(direct >= 0 && direct <= 1);
    }
  }
});

/** Whether a point lies inside of the lines, by crossings (even-odd). */
function inside(lines, x, y) {
  let odd = false;
  for (const line of lines) {
    for (let i = 0, j = line.length - 2; i < line.length; j = i, i += 2) {
      const [x0, y0, x1, y1] = [line[i], line[i + 1], line[j], line[j + 1]];
      if (y0 > y !== y1 > y && x < x0 + ((y - y0) / (y1 - y0)) * (x1 - x0)) odd = !odd;
    }
  }
  return odd;
}

test("contours are closed lines that hold the share of the mass which they name", () => {
  for (const sample of CASES) {
    const store = storeOf([layerOf(sample)]);
    const d = HS.hyper.of(store, 0);
    for (let m = 0; m < d.m; m++) {
      for (const share of [0.3, 0.5, 0.8]) {
        const lines = HS.hyper.contours(d, m, sample.grid, share);
        if (!d.on[m]) assert.deepEqual(lines, []);
        if (!lines.length) continue;
        const { values, rows, cols } = HS.hyper.field(d, m, sample.grid);
        const level = HS.hyper.levelOf(HS.hyper.field(d, m, sample.grid), share);
        let [held, total, plateau] = [0, 0, 0]; // a plateau at the level is either in or out as a whole
        values.forEach((value, i) => {
          total += value;
          if (Math.abs(value - level) < 1e-5 * level) plateau += value;
          if (inside(lines, ((i % cols) + 0.5 + 1e-6) / cols, (Math.floor(i / cols) + 0.5 + 1e-6) / rows)) held += value;
        });
        assert.ok(Math.abs(held / total - share) < 0.02 + plateau / total, `${sample.name} ${m} at ${share}: ${held / total}`);
        assert.ok(lines.flat().every((v) => v >= 0 && v <= 1));
      }
    }
  }
});

test("a uniform hyperedge has no contour, no hyperedges differ, and its twin is not found in noise", () => {
  const flat = structuredClone(CASES[0]);
  const { logits } = flat.payload;
  logits.data = Buffer.alloc(2 * logits.shape[0] * logits.shape[1]).toString("base64");
  const store = storeOf([layerOf(flat)]);
  const d = HS.hyper.of(store, 0);
  const on = HS.hyper.order(d, "load")[0];
  assert.ok(HS.hyper.isUniform(d, on));
  assert.deepEqual(HS.hyper.contours(d, on, flat.grid, 0.5), []);
  assert.equal(HS.hyper.effectiveNumber(d), 0);
  assert.equal(HS.hyper.twin(d, on), null);
  assert.ok(HS.hyper.lift(d, on).every((v) => Math.abs(v) < 1e-5), "its even share is 0 on the scale");
});

test("a setting counts from what the model had, on the same scale", () => {
  const sample = structuredClone(CASES[0]);
  sample.payload.own.temperature = 1; // as if the run had been made at twice the temperature
  const store = storeOf([layerOf(sample)]);
  const asHad = HS.hyper.of(store, 0).a;
  assert.equal(HS.hyper.settingsOf(store, store.layer).temperature, 1);
  store.set({ temperature: 0 });
  const plain = storeOf([layerOf(CASES[0])]);
  plain.set({ temperature: -1 });
  near(HS.hyper.of(store, 0).a, Array.from(HS.hyper.of(plain, 0).a), 1e-6, "one step colder than the run");
  store.set({ temperature: null });
  assert.equal(HS.hyper.of(store, 0).a, asHad, "from the memory");
});

test("only what can be answered is offered: hard hyperedges have no temperature, dense ones no choice", () => {
  const named = (name) => CASES.find((c) => c.name === name);
  const offered = (sample, controls) => {
    const store = storeOf([layerOf(sample)], controls);
    return HS.hyper.answerable(store, store.layer);
  };
  assert.deepEqual(offered(named("softmax over vertices")), ["temperature", "hard", "k", "context"]);
  assert.deepEqual(offered(named("nearest neighbours")), ["hard"]);
  const words = { widgets: [{ name: "context", kind: "choice", options: ["mean", "max"], value: "mean" }], values: { context: "mean" } };
  assert.deepEqual(offered(named("softmax over vertices"), words), ["temperature", "hard", "k"], "a control of words is another thing");
  const dense = structuredClone(named("softmax over vertices"));
  Object.assign(dense.payload, { scores: null, fixed: null });
  dense.payload.own.k = null;
  assert.deepEqual(offered(dense), ["temperature", "hard", "context"]);
});

test("a hyperedge under the pointer, chosen hyperedges and whole cuts are part of the state", async () => {
  const store = storeOf([layerOf(CASES[0]), nearestLayer()], undefined, { cuts: ["patch", "hyperedge"] });
  const rung = [];
  store.subscribe((keys) => rung.push(...keys));
  store.setHoverEdge(2);
  assert.deepEqual(store.hoverEdge, { layer: 0, edge: 2 });
  store.setHoverEdge(2);
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.deepEqual(rung, ["hover"]);
  store.set({ edges: [3, 3, 0] });
  assert.deepEqual(store.look.edges, [3, 0]);
  assert.deepEqual(HS.edges.chosenOn(store, 0), [3, 0]);
  assert.deepEqual(HS.edges.chosenOn(store, 1), [], "a graph has no hyperedges");
  store.set({ edges: ["3"], style: "blobs", temperature: 9 });
  assert.deepEqual([store.look.edges, store.look.style, store.look.temperature], [[3, 0], "lift", null]);
  store.cutList.toggleWhole("hyperedge", 3, "soft");
  assert.deepEqual(store.cuts.map(({ layer, kind, pairs }) => ({ layer, kind, pairs })), [{ layer: "soft", kind: "hyperedge", pairs: [[3, -1]] }]);
  assert.ok(store.cutList.hasWhole("hyperedge", 3, "soft") && !store.cutList.hasWhole("hyperedge", 3, "nearest"));
  store.load(HS.decode(payloadOf([layerOf(CASES[0])])));
  assert.deepEqual([store.hoverEdge, store.cuts], [null, []]);
  assert.deepEqual(store.look.edges, [3, 0], "what was chosen stays with the next picture");
});

test("damaged hypergraphs are refused in plain words", () => {
  const broken = (change) => () => {
    const layer = layerOf(CASES[0]);
    change(layer.hypergraph);
    HS.decode(payloadOf([layer]));
  };
  assert.throws(broken((h) => (h.special = 2)), /does not fit together/);
  assert.throws(broken((h) => Object.assign(h, { logits: null, participation: null })), /nothing tells who takes part/);
  assert.throws(broken((h) => (h.selected = null)), HS.Refusal);
});

test("the sentence of a patch and of a hyperedge", () => {
  const store = storeOf([layerOf(CASES[0])]);
  store.set({ pins: [7] });
  const d = HS.hyper.of(store, 0);
  const [[m, share]] = HS.hyper.strongest(d, 7);
  const said = HS.instrumentOf(store.layer).sentence(store);
  assert.ok(said.startsWith(`row 2, column 3: ${HS.percent(share)} in hyperedge ${m + 1}, `), said);
  store.setHoverEdge(m);
  assert.match(HS.instrumentOf(store.layer).sentence(store), new RegExp(`^Hyperedge ${m + 1}: .* lives in \\d+ of 20 patches`));
  const off = Array.from(d.on).indexOf(0);
  store.setHoverEdge(off);
  assert.match(HS.instrumentOf(store.layer).sentence(store), /not chosen/);
});

test("what is taken home: every patch, in hyperedges counted as on the page", () => {
  const store = storeOf([layerOf(CASES[0])]);
  const { asCsv, asJson } = HS.instrumentOf(store.layer);
  const [head, ...lines] = asCsv(store).split("\n").map((line) => line.split(","));
  assert.deepEqual(head, ["patch", "row", "column", "loudness", ...[1, 2, 3, 4, 5, 6].map((m) => `hyperedge_${m}`)]);
  assert.deepEqual(lines[7].slice(0, 3), ["7", "2", "3"]);
  const d = HS.hyper.of(store, 0);
  lines.forEach((line, i) => line.slice(4).forEach((value, m) => assert.ok(Math.abs(Number(value) - d.patches[i * d.m + m]) < 1e-4)));
  const told = JSON.parse(asJson(store));
  assert.deepEqual(told.hyperedges.map((edge) => edge.on), Array.from(d.on, Boolean));
  assert.deepEqual(told.patches.map((patch) => patch.participation), lines.map((line) => line.slice(4).map(Number)));
});
