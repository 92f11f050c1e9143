// node --test tests/canvas — the patches that the browser keeps, against those that Python keeps (tokens_numbers.py)
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { loadCanvas, payloadOf } from "./load.mjs";

const HS = loadCanvas("core", "inflate", "graph", "heat", "colour", "dom", "legend", "panels/maths", "tokens", "instruments/tokens", "permalink");
const [{ anchors }, ...CASES] = JSON.parse(readFileSync(new URL("tokens.json", import.meta.url), "utf8"));

const layersOf = (sample) => sample.layers.map((layer, i) => ({ ...structuredClone(layer), name: `layer ${i + 1}`, label: `Layer ${i + 1}`, group: "tokens", kind: "tokens", measures: [] }));
const storeOf = (sample, extra = {}) => HS.createStore(HS.decode(payloadOf(layersOf(sample), { prediction: [["cat", 1]], ...extra })), {});
const near = (a, b, tolerance, what) => assert.ok(Math.abs(a - b) <= tolerance, `${what}: ${a}, expected ${b}`);

test("as many anchors as Python counts, halves to even", () => {
  for (const [budget, alpha, count] of anchors) assert.equal(HS.tokens.anchorCount(budget, alpha), count, `${budget} patches, α ${alpha}`);
});

for (const sample of CASES) {
  test(`${sample.name}: the same patches, roles and order under every setting`, () => {
    const store = storeOf(sample);
    for (const { settings, role, order, misplaced } of sample.selections) {
      store.set(settings);
      const what = `${sample.name} ${JSON.stringify(settings)}`;
      const found = HS.tokens.selection(store);
      assert.equal(found.role.join(""), role, what);
      assert.deepEqual(found.order, order, what);
      assert.deepEqual(Array.from(found.misplaced.keys()).filter((p) => found.misplaced[p]), misplaced, what);
      assert.equal(found.counts.reduce((a, b) => a + b, 0), role.length);
      if (settings.release === "paper") assert.equal(found.kept, Math.min(settings.budget, role.length), "exactly the budget");
    }
  });

  test(`${sample.name}: overlap with the object, likeness of layers, the elbow`, () => {
    const store = storeOf(sample);
    store.layers.forEach((layer, i) => {
      const found = HS.tokens.centricity(layer.tokens.score, sample.objects);
      for (const key of ["iou", "auc", "precision"]) near(found[key], sample.centricity[key][i], 1e-5, `${key} of layer ${i + 1}`);
      near(found.chance, sample.centricity.chance, 1e-5, "chance");
      near(found.most, sample.centricity.most, 1e-5, "most");
    });
    HS.tokens.likeness(store).forEach((row, i) => row.forEach((value, j) => near(value, sample.likeness[i][j], 1e-5, `layers ${i + 1} and ${j + 1}`)));
    assert.equal(HS.tokens.elbow(sample.curve).layer, sample.elbow);
  });
}

for (const sample of CASES) {
  test(`${sample.name}: the same patches by every simpler rule`, () => {
    const { classRow, random } = sample;
    const store = storeOf(sample, { extras: { tokens: { classRow, random } } });
    assert.deepEqual([...new Set(sample.simpler.map(({ chooser }) => chooser))].sort(), HS.tokens.RULES.slice(1).sort());
    for (const { chooser, budget, role, order, misplaced } of sample.simpler) {
      store.set({ chooser, budget });
      const what = `${sample.name} ${chooser} ${budget}`;
      const found = HS.tokens.selection(store);
      assert.equal(found.role.join(""), role, what);
      assert.deepEqual(found.order, order, what);
      if (chooser === "registers only" || chooser === "anchors and buffers only") assert.deepEqual(Array.from(found.misplaced.keys()).filter((p) => found.misplaced[p]), misplaced, what);
      assert.ok(HS.tokens.differs(store));
    }
    store.set({ chooser: "HiPrune", budget: null });
    assert.ok(!HS.tokens.differs(store));
  });
}

test("a simpler rule that needs what is not there is not offered", () => {
  const store = storeOf(CASES[0]);
  store.set({ chooser: "random" });
  assert.equal(HS.tokens.settingsOf(store).chooser, "HiPrune");
  assert.deepEqual(HS.tokens.RULES.filter((rule) => HS.tokens.offers(store, rule)), HS.tokens.RULES.filter((rule) => rule !== "random" && rule !== "class token"));
  store.set({ chooser: "toString" });
  assert.equal(store.look.chooser, "random", "a bad value changes nothing");
});

test("a choice by a simpler rule or by hand goes into the zip file as it is on show", () => {
  const { classRow, random } = CASES[0];
  const store = storeOf(CASES[0], { extras: { tokens: { classRow, random } } });
  const { bundleCuts } = HS.instrumentOf(store.layer);
  assert.deepEqual(bundleCuts(store), []);
  store.set({ chooser: "uniform grid", budget: 4 });
  const [cut] = bundleCuts(store);
  assert.deepEqual([cut.layer, cut.kind], ["*", "keep"]);
  assert.deepEqual(cut.pairs, HS.tokens.selection(store).order.map((patch) => [patch, -1]));
  store.set({ chooser: "HiPrune", budget: null, drops: [HS.tokens.selection(store).order[0]] });
  assert.equal(bundleCuts(store).length, 1);
});

test("rollout follows the heads that the look names", () => {
  const rollouts = ["mean", "max"].flatMap((fusion, i) => [0, 0.9].map((discard, j) => ({ fusion, discard, values: [i, j] })));
  const store = storeOf(CASES[0], { extras: { tokens: { rollouts } } });
  assert.deepEqual(HS.tokens.rollout(store), [0, 0]);
  store.set({ fusion: "max", discard: true });
  assert.deepEqual(HS.tokens.rollout(store), [1, 1]);
  store.set({ fusion: "min" });
  assert.equal(HS.tokens.rollout(store), null);
});

test("what is kept or dropped by hand is kept or dropped, whatever the rule says", () => {
  const store = storeOf(CASES[0]);
  const before = HS.tokens.selection(store);
  const out = before.order[0];
  const into = Array.from(before.role.keys()).find((patch) => before.role[patch] === 0);
  store.set({ keeps: [into], drops: [out] });
  const after = HS.tokens.selection(store);
  assert.equal(after.role[out], 0);
  assert.equal(after.role[into], 5);
  assert.equal(after.kept, before.kept);
  assert.ok(HS.tokens.differs(store));
  store.set({ keeps: [], drops: [] });
  assert.ok(!HS.tokens.differs(store));
  assert.deepEqual(HS.tokens.selection(store).order, before.order);
});

test("settings that mean nothing here fall back to the model's own", () => {
  const sample = structuredClone(CASES[0]);
  sample.layers[1].tokens.windowed = true;
  const store = storeOf(sample);
  store.set({ object_layer: 2, deep_layer: 77, head: 9, budget: 60000 });
  const settings = HS.tokens.settingsOf(store);
  assert.deepEqual([settings.object_layer, settings.deep_layer, settings.head, settings.budget], [2, 4, 0, 36].map((v, i) => (i === 0 ? store.layer.tokens.own.object_layer : v)));
  store.set({ budget: 0, alpha: 2, edge: "round", release: "other" });
  assert.equal(store.look.budget, 60000, "a bad value changes nothing");
  assert.equal(store.look.alpha, null);
});

test("the counts at every budget add up to the budget", () => {
  const store = storeOf(CASES[0]);
  const { budgets, rows } = HS.tokens.countsByBudget(store);
  assert.deepEqual(budgets, Array.from({ length: 36 }, (_, i) => i + 1));
  budgets.forEach((budget, i) => assert.equal(rows.slice(1).reduce((sum, row) => sum + row[i], 0), budget));
});

test("a damaged layer is refused by name", () => {
  const layers = layersOf(CASES[0]);
  layers[2].tokens.score.shape = [35];
  assert.throws(() => HS.decode(payloadOf(layers)), HS.Refusal);
});
