// node --test tests/canvas — what the browser makes of points in the disk and of texts in it, against Python (poincare_numbers.py)
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { loadCanvas, payloadOf } from "./load.mjs";

const HS = loadCanvas("core", "inflate", "graph", "colour", "dom", "legend", "inputs", "poincare", "instruments/disk", "instruments/textdisk", "permalink");
const KNOWN = JSON.parse(readFileSync(new URL("poincare.json", import.meta.url), "utf8"));

const layerOf = (kind, body, name) => ({ name, label: name, group: name, kind, measures: [], ...structuredClone(body) });
const storeOf = (layers) => HS.createStore(HS.decode(payloadOf(layers, { picture: null })), {});
const treeStore = () => storeOf([layerOf("disk", KNOWN.tree.payload, "a"), layerOf("disk", { ...KNOWN.tree.payload, disk: { ...KNOWN.tree.payload.disk, nodes: null } }, "b")]);
const close = (found, expected, tolerance, what) => assert.ok(Math.abs(found - expected) <= tolerance * Math.max(1, Math.abs(expected)), `${what}: ${found}, expected ${expected}`);

test("distances and radii of a tree are those of Python", () => {
  const store = treeStore();
  KNOWN.tree.distance.forEach((row, i) => {
    close(HS.disk.radius(store, 0, i), KNOWN.tree.radius[i], 1e-6, `radius ${i}`);
    row.forEach((expected, j) => close(HS.disk.distance(store, 0, i, j), expected, 1e-5, `distance ${i} ${j}`));
  });
});

test("the nearest nodes come in order, and ancestors lead to the root", () => {
  const store = treeStore();
  const near = HS.disk.nearest(store, 0, 7, 5);
  assert.equal(near.length, 5);
  near.slice(1).forEach(([, d], i) => assert.ok(d >= near[i][1]));
  const tree = HS.disk.treeOf(HS.disk.nodesOf(store, 0));
  assert.deepEqual(HS.disk.ancestors(tree, 14), [14, 6, 2, 0]);
});

test("the nodes of one tree travel once and serve every layer", () => {
  const store = treeStore();
  assert.equal(HS.disk.nodesOf(store, 1), HS.disk.nodesOf(store, 0));
});

test("live points take the place of the stored ones and give it back", () => {
  const store = treeStore();
  const before = HS.disk.distance(store, 0, 1, 2);
  HS.disk.live(store, "a", new Float32Array(30));
  assert.equal(HS.disk.distance(store, 0, 1, 2), 0);
  close(HS.disk.distance(store, 1, 1, 2), before, 1e-12, "the other layer");
  HS.disk.live(store, "a", null);
  assert.equal(HS.disk.distance(store, 0, 1, 2), before);
});

test("cameras: a view survives its list, a drag takes its point along, an enlargement keeps it", () => {
  for (const make of [() => HS.disk.ballCamera(), () => HS.disk.planeCamera(Float32Array.from([0, 1, 2, 0, -3, 0.5]))]) {
    const [camera, again] = [make(), make()];
    const points = Float64Array.from([0.1, 0.2, -0.4, 0.3]);
    const seen = () => Array.from(camera.place(points));
    const [x, y] = seen();
    camera.drag(camera.state(), [x, y], [0.5, -0.1]);
    close(seen()[0], 0.5, 1e-9, "dragged x");
    close(seen()[1], -0.1, 1e-9, "dragged y");
    camera.enlarge([0.5, -0.1], 2);
    close(seen()[0] * camera.zoom, 0.5, 1e-9, "enlarged x");
    close(seen()[1] * camera.zoom, -0.1, 1e-9, "enlarged y");
    again.set(camera.list());
    Array.from(again.place(points)).forEach((v, i) => close(v, seen()[i], 1e-5, "view"));
    const state = camera.state();
    camera.approach(state, seen().slice(0, 2), 1);
    close(Math.hypot(...seen().slice(0, 2)), 0, 1e-9, "centred");
    camera.set([]);
    assert.deepEqual(camera.list(), []);
  }
});

test("a look from outside keeps only views that can be meant", () => {
  const { look, faults } = HS.cleanLook({ diskView: [0, 1, 2], diskColour: "pink", diskView2: [0.1, 0, 0, 2], textRadius: 99, textParts: [1, 2, 0.5] });
  assert.deepEqual(look, { diskView2: [0.1, 0, 0, 2], textParts: [1, 2, 0.5] });
  assert.deepEqual(faults.sort(), ["diskColour", "diskView", "textRadius"]);
});

test("texts under other factors: radii, places, distances and names are those of Python", () => {
  for (const { factors, radius, drawn, distance, accuracy, cosine } of KNOWN.texts.changed) {
    const store = storeOf([layerOf("textdisk", KNOWN.texts.payload, "a")]);
    store.set({ textParts: factors });
    const found = HS.textPoints.scaled(store, 0);
    close(found.radius, radius, 1e-4, "radius");
    drawn.forEach((value, i) => close(found.flat[i], value, 1e-4, `place ${i}`));
    distance.forEach((row, i) => HS.textPoints.distances(store.layer.text, found.m, i).forEach((value, k) => close(value, row[k], 3e-3, `distance ${i} ${k}`)));
    close(found.accuracy, accuracy, 0.05, "accuracy");
    close(found.cosine, cosine, 0.05, "cosine");
  }
});

test("a wanted radius is the mean radius of the nodes", () => {
  const store = storeOf([layerOf("textdisk", KNOWN.texts.payload, "a")]);
  for (const wanted of [0.25, 1, 6, 12]) {
    store.set({ textRadius: wanted });
    close(HS.textPoints.scaled(store, 0).radius, wanted, 1e-6, "radius");
  }
});

test("what does not fit together is refused", () => {
  const broken = layerOf("disk", KNOWN.tree.payload, "a");
  broken.disk.curvature = 0;
  assert.throws(() => storeOf([broken]), HS.Refusal);
  const loose = layerOf("disk", KNOWN.tree.payload, "a");
  loose.grid = [3, 1];
  assert.throws(() => storeOf([loose]), HS.Refusal);
});
