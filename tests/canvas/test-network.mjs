// node --test tests/canvas — graphs on their own: texts that Python reads, hulls, what lies under a point
import assert from "node:assert/strict";
import test from "node:test";
import { loadCanvas, random } from "./load.mjs";

const HS = loadCanvas("core", "dom", "network");
const { net } = HS;

/** Records what a path is told. */
class Path {
  constructor() {
    this.calls = [];
  }
}
for (const name of ["moveTo", "lineTo", "arc", "closePath"]) Path.prototype[name] = function (...a) { this.calls.push([name, ...a]); };

test("graph6 of known graphs", () => {
  assert.equal(net.graph6(1, []), "@");
  assert.equal(net.graph6(2, [0, 1]), "A_");
  assert.equal(net.graph6(3, [0, 1, 1, 2, 2, 0]), "Bw");
  assert.equal(net.graph6(5, [0, 2, 0, 4, 1, 3, 3, 4]), "DQc"); // the example of the format's description
  assert.equal(net.graph6(5, [4, 3, 3, 1, 4, 0, 2, 0]), "DQc", "neither order nor direction matters");
  assert.ok(net.graph6(63, [0, 62]).startsWith("~??~"));
});

test("places are marked with what they belong to", () => {
  assert.equal(net.crc32("123456789"), 0xcbf43926);
  const text = net.writePlaces([-1.28, 1.28, 0, 9], "a");
  assert.equal(text.length, 6 + 8);
  assert.equal(text.slice(6, 10), "AA__");
  assert.equal(text.slice(12), "__", "what lies outside is put on the border");
  assert.notEqual(net.writePlaces([0, 0], "a").slice(0, 6), net.writePlaces([0, 0], "b").slice(0, 6));
});

test("a hull holds its points, and little more", () => {
  const next = random(3);
  for (let round = 0; round < 200; round++) {
    const points = Array.from({ length: 1 + Math.floor(next() * 7) }, () => [100 * next(), 100 * next()]);
    for (const [x, y] of points) assert.ok(net.inHull(points, 5, x, y));
    const far = [300, 300];
    assert.ok(!net.inHull(points, 5, ...far));
    const beside = [Math.max(...points.map((p) => p[0])) + 5.5, points[0][1]];
    assert.ok(!net.inHull(points, 5, ...beside));
    const path = new Path();
    net.hull(points, 5, path);
    for (const [, x, y] of path.calls.filter(([name]) => name === "moveTo" || name === "lineTo")) assert.ok(net.inHull(points, 5.001, x, y) && !net.inHull(points, 4.9, x, y));
    const turned = path.calls.filter(([name]) => name === "arc").reduce((sum, [, , , , from, to]) => sum + to - from, 0);
    assert.ok(Math.abs(turned - 2 * Math.PI) < 1e-6, `the outline turns once around, not by ${turned}`);
  }
  net.hull([], 5, new Path());
});

test("what lies under the pointer", () => {
  const points = Float32Array.from([0, 0, 100, 0, 100, 100]);
  assert.equal(net.nodeAt(points, 3, 4, 6), 0);
  assert.equal(net.nodeAt(points, 50, 4, 6), -1);
  assert.equal(net.edgeAt(points, [0, 1, 1, 2], 50, 3, 6), 0);
  assert.equal(net.edgeAt(points, [0, 1, 1, 2], 98, 50, 6), 1);
  assert.equal(net.edgeAt(points, [0, 1, 1, 2], 50, 50, 6), -1);
});

test("pieces and places", () => {
  assert.deepEqual([...net.components(5, [0, 1, 3, 4])], [0, 0, 1, 2, 2]);
  const start = Array.from({ length: 20 }, (_, i) => Math.cos(i * 1.7) * (1 + (i % 3)));
  const places = net.springs(10, [0, 1, 1, 2, 2, 3], start);
  assert.ok([...places].every((value) => Number.isFinite(value) && Math.abs(value) <= 1.0001));
  assert.deepEqual(net.springs(10, [0, 1, 1, 2, 2, 3], start), places);
  const v = net.view(400, 300);
  const [x, y] = v.from(...v.to(0.3, -0.7));
  assert.ok(Math.abs(x - 0.3) < 1e-12 && Math.abs(y + 0.7) < 1e-12);
});
