// node --test tests/canvas
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import test from "node:test";
import { constants, deflateRawSync } from "node:zlib";
import { axialLayer, encode, loadCanvas, nearestLayer, payloadOf, random } from "./load.mjs";

const HS = loadCanvas("core", "inflate", "graph", "heat", "instruments/graph", "colour", "permalink");
const storeOf = (layers, host = {}) => HS.createStore(HS.decode(payloadOf(layers)), host);
const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

/** The edges of a layer as "target source" lines, straight from the definition. */
function bruteForce(layer, keep) {
  const [n, width] = layer.candidates.shape;
  const lines = [];
  for (let t = 0; t < n; t++) {
    for (let j = 0; j < width; j++) {
      const source = layer.candidates[t * width + j];
      if (keep(t, j, layer) && (HS.pooled(layer) || source !== t)) lines.push(`${t} ${source}`);
    }
  }
  return lines;
}
const edgesOf = (g) => Array.from(g.source, (s, e) => `${g.target[e]} ${s}`);

test("core.js loads in Node by itself", () => {
  assert.equal(createRequire(import.meta.url)("../../explorer/canvas/core.js").VERSION, 1);
});

test("a field of the look belongs to one instrument", () => {
  const own = loadCanvas("core");
  own.lookField("zeal", 0, own.checks.number(0, 1));
  assert.equal(own.defaultLook().zeal, 0);
  for (const taken of ["zeal", "pins"]) assert.throws(() => own.lookField(taken, 0, own.checks.truth), /already/);
});

test("decode refuses other versions, damage and impossible patches in plain words", () => {
  const good = JSON.parse(payloadOf([nearestLayer()]));
  const broken = (change) => () => HS.decode(JSON.stringify(change(structuredClone(good))));
  assert.throws(broken((p) => ({ ...p, version: 2 })), HS.Refusal);
  assert.throws(broken((p) => ({ ...p, layers: [] })), /nothing to look at/);
  assert.throws(broken((p) => ((p.layers[0].kept.data = "AAAA"), p)), /damaged/);
  assert.throws(broken((p) => ((p.layers[0].grid = [5, 5]), p)), /does not fit together/);
  assert.throws(broken((p) => ((p.layers[0].keyGrid = [1, 2]), p)), /do not exist/);
  assert.throws(() => HS.decode("{"), HS.Refusal);
});

test("nearest rule: k and dilation keep positions 0, d, … (k−1)d; self removed", () => {
  const store = storeOf([nearestLayer({ width: 12, k: 3, dilation: 2 })]);
  const layer = store.layers[0];
  assert.deepEqual(edgesOf(store.graph(0)), bruteForce(layer, (t, j) => layer.kept[t * 12 + j]));
  for (const [k, d] of [[1, 1], [5, 2], [12, 1], [4, 3], [99, 1]]) {
    const graph = store.graph(0, { k, dilation: d });
    assert.deepEqual(edgesOf(graph), bruteForce(layer, (t, j) => j % d === 0 && j / d < k));
    assert.equal(graph.offsets[graph.n], graph.m);
  }
  assert.equal(store.graph(0, { k: 3 }), store.graph(0, {}), "the model's own k is the same graph, from the memory");
});

test("threshold rule: distance < mean − multiplier·std", () => {
  const store = storeOf([axialLayer({ threshold: true })]);
  const layer = store.layers[0];
  assert.deepEqual(edgesOf(store.graph(0)), bruteForce(layer, (t, j) => layer.kept[t * layer.candidates.shape[1] + j]));
  const limit = 0.8 - 0.25 * 0.3;
  const width = layer.candidates.shape[1];
  assert.deepEqual(edgesOf(store.graph(0, { multiplier: 0.25 })), bruteForce(layer, (t, j) => layer.distance[t * width + j] < limit));
});

test("quantile keeps the shortest share of the edges", () => {
  const store = storeOf([nearestLayer({ grid: [6, 6], k: 5, dilation: 1 })]);
  const all = store.graph(0, {});
  const half = store.graph(0, { quantile: 0.5 });
  assert.ok(Math.abs(half.m - all.m / 2) <= 1);
  assert.ok(Math.max(...half.distance) <= all.distance.slice().sort()[half.m]);
  assert.equal(store.graph(0, { quantile: 0 }).m, 0);
});

test("strength: share of channels, else rank by distance, else 1", () => {
  const shared = storeOf([nearestLayer({ share: true })]);
  const g = shared.graph(0);
  const width = shared.layers[0].candidates.shape[1];
  g.strength.forEach((s, e) => assert.ok(Math.abs(s - shared.layers[0].share[g.target[e] * width + g.slot[e]] / 255) < 1e-6));
  const ranked = storeOf([nearestLayer()]).graph(0);
  const nearest = ranked.distance.indexOf(Math.min(...ranked.distance));
  assert.equal(ranked.strength[nearest], 1);
  assert.ok(storeOf([axialLayer()]).graph(0).strength.every((s) => s === 1));
});

test("out-edges are the same edges, by source", () => {
  const g = storeOf([nearestLayer({ grid: [4, 6], keyGrid: [2, 3], width: 5 })]).graph(0);
  assert.equal(g.outOffsets.length, 7);
  const byOut = [];
  for (let s = 0; s < 6; s++) {
    for (let i = g.outOffsets[s]; i < g.outOffsets[s + 1]; i++) {
      byOut.push(`${g.outTarget[i]} ${s}`);
      assert.equal(g.source[g.outEdge[i]], s);
    }
  }
  assert.deepEqual(byOut.sort(), edgesOf(g).sort());
});

test("axial edges: length across the picture, wrap where the roll crossed the border", () => {
  const [H, W] = [6, 7];
  const g = storeOf([axialLayer({ grid: [H, W], step: 2 })]).graph(0);
  g.source.forEach((s, e) => {
    const t = g.target[e];
    const [dr, dc] = [Math.floor(t / W) - Math.floor(s / W), (t % W) - (s % W)];
    assert.ok(Math.abs(g.length[e] - Math.hypot(dr, dc)) < 1e-6);
    const vertical = g.slot[e] < 2; // shifts 2 and 4 along the column of six, then along the row
    const shift = 2 * (1 + (vertical ? g.slot[e] : g.slot[e] - 2));
    assert.equal(g.wrap[e], (vertical ? Math.floor(t / W) : t % W) < shift ? 1 : 0);
  });
});

test("pooled keys: length between cell centres in patches of the target grid, nothing is a self-loop", () => {
  const store = storeOf([nearestLayer({ grid: [4, 4], keyGrid: [2, 2], width: 4, k: 4, dilation: 1 })]);
  const g = store.graph(0);
  assert.equal(g.m, 64);
  const e = Array.from(g.source).findIndex((s, i) => s === 3 && g.target[i] === 0);
  assert.ok(Math.abs(g.length[e] - Math.hypot(2.5, 2.5)) < 1e-6);
});

test("a patch is the same place on every grid", () => {
  const store = storeOf([nearestLayer({ grid: [4, 6], width: 4 }), nearestLayer({ grid: [2, 3], width: 4 })]);
  assert.equal(store.across(0, 0, 1), 0);
  assert.equal(store.across(0, 23, 1), 5);
  assert.equal(store.across(0, 3 * 6 + 1, 1), 3);
  for (let p = 0; p < 24; p++) assert.ok(HS.cellsInside(store.across(0, p, 1), [2, 3], [4, 6]).includes(p));
  store.set({ pins: [10] });
  store.set({ layer: 1 });
  assert.deepEqual(store.look.pins, [store.across(0, 10, 1)]);
  store.set({ layer: 0 });
  assert.deepEqual(store.look.pins, [10], "a trip through the coarse layer loses nothing");
});

test("components, isolated patches, degrees", () => {
  const even = storeOf([axialLayer({ grid: [6, 8], step: 2 })]);
  const pieces = HS.components(even.graph(0), even.layers[0]);
  assert.deepEqual([pieces.count, pieces.sizes], [4, [12, 12, 12, 12]]);
  assert.equal(HS.components(storeOf([axialLayer({ grid: [7, 7], step: 2 })]).graph(0), { grid: [7, 7], keyGrid: [7, 7] }).count, 1);
  const none = storeOf([axialLayer({ threshold: true })]);
  const empty = none.graph(0, { multiplier: 3 });
  assert.equal(empty.m, 0);
  assert.ok(HS.isolated(empty, none.layers[0]).every(Boolean));
  assert.deepEqual([...HS.inDegree(even.graph(0))], new Array(48).fill(5));
  assert.equal(HS.outDegree(even.graph(0)).reduce((a, b) => a + b), even.graph(0).m);
});

test("what the rule looked at and did not keep", () => {
  const store = storeOf([nearestLayer({ k: 3, dilation: 2 }), axialLayer({ threshold: true })]);
  for (let patch = 0; patch < store.layers[0].candidates.shape[0]; patch++) {
    const [layer, width] = [store.layers[0], 12];
    const skipped = [1, 3].map((j) => layer.candidates[patch * width + j]).filter((source) => source !== patch);
    assert.deepEqual(HS.rejected(layer, store.graph(0), {}, patch), skipped);
  }
  const [layer, graph] = [store.layers[1], store.graph(1)];
  const kept = graph.offsets[1] - graph.offsets[0];
  assert.equal(HS.rejected(layer, graph, {}, 0).length + kept, layer.candidates.shape[1]);
});

test("difference of two layers and its Jaccard number", () => {
  const store = storeOf([nearestLayer({ seed: 1 }), nearestLayer({ seed: 5 }), nearestLayer({ grid: [2, 3], width: 3 })]);
  const [a, b] = [store.graph(0), store.graph(1)];
  const d = HS.difference(store.layers[0], a, store.layers[1], b);
  const [setA, setB] = [new Set(edgesOf(a)), new Set(edgesOf(b))];
  const both = [...setA].filter((line) => setB.has(line)).length;
  assert.deepEqual([d.both.length, d.onlyA.length, d.onlyB.length], [both, setA.size - both, setB.size - both]);
  assert.equal(d.jaccard, both / (setA.size + setB.size - both));
  assert.equal(HS.difference(store.layers[0], a, store.layers[2], store.graph(2)), null);
});

test("the store tells what changed once per turn and keeps the look inside its bounds", async () => {
  const store = storeOf([nearestLayer(), nearestLayer({ seed: 3 })]);
  const seen = [];
  store.subscribe((keys) => seen.push([...keys].sort()));
  store.set({ layer: 1 });
  store.set({ all: true, rule: { k: 4 } });
  store.setHover({ layer: 1, patch: 3 });
  await turn();
  assert.deepEqual(seen, [["all", "hover", "layer", "rule"]]);
  store.set({ layer: 1e9, direction: "sideways", pins: [4, 9999], rule: { dilation: 2 } });
  assert.equal(store.look.layer, 1);
  assert.equal(store.look.direction, "in");
  assert.deepEqual(store.look.pins, [4]);
  assert.deepEqual(store.look.rule, { k: 4, dilation: 2 });
  store.set({ rule: null });
  assert.deepEqual(store.look.rule, {});
});

test("cuts list every edge from and to a patch; a second press takes the cut back", () => {
  const store = storeOf([nearestLayer()]);
  store.toggleCutPatch(7, "edges");
  const [cut] = store.cuts;
  assert.equal(cut.kind, "edges");
  assert.deepEqual(cut.pairs.map((p) => p.join(" ")).sort(), edgesOf(store.graph(0)).filter((line) => line.split(" ").includes("7")).sort());
  assert.ok(store.isCut(0, ...cut.pairs[0]));
  store.toggleCutPatch(7, "edges");
  assert.equal(store.cuts.length, 0);
  store.toggleCutPatch(7, "patch");
  assert.deepEqual(store.cuts[0].pairs, [[7, -1]]);
  store.clearCuts();
  assert.equal(store.cuts.length, 0);
});

test("only the newest question of a kind is answered; refusals name their question", () => {
  let answer;
  const asked = [];
  const store = storeOf([nearestLayer()], { live: true, ask: (name, data) => asked.push([name, data]), onAnswer: (fn) => (answer = fn) });
  const got = [];
  store.onAnswer("cut", (a) => got.push(a.note));
  store.onAnswer("refusal", (a) => got.push(`${a.name}: ${a.message}`));
  const first = store.ask("cut", { cuts: [] });
  store.ask("cut", { cuts: [] });
  const second = store.ask("cut", { cuts: [] });
  assert.deepEqual(asked.map(([, data]) => data.request), [first], "one question of a kind at a time");
  answer({ kind: "cut", run: "r1", request: first, note: "old" });
  assert.deepEqual(asked.map(([, data]) => data.request), [first, second], "of those that waited only the newest is sent");
  answer({ kind: "cut", run: "r0", request: second, note: "another run" });
  assert.ok(store.asking("cut"));
  answer(JSON.stringify({ kind: "cut", run: "r1", request: second, note: "new" }));
  assert.ok(!store.asking("cut"));
  const third = store.ask("layout", {});
  answer({ kind: "refusal", request: third, message: "too many patches" });
  assert.deepEqual(got, ["new", "layout: too many patches"]);
  assert.equal(asked[0][1].run, "r1");
});

test("a stream answers many times; it is stopped by name, by the next stream and by a new payload", () => {
  let answer;
  const asked = [];
  const store = storeOf([nearestLayer()], { live: true, ask: (name, data) => asked.push([name, data]), onAnswer: (fn) => (answer = fn) });
  const got = [];
  store.onAnswer("stream", (a) => got.push(a.done ? a.reason : a.result));
  store.stop();
  assert.equal(asked.length, 0, "nothing to stop");
  const first = store.ask("stream", { question: "train" });
  const { token } = asked[0][1];
  assert.match(token, /^[0-9a-f]{16,32}$/);
  answer({ kind: "stream", run: "r1", request: first, frame: 0, result: 1, done: false });
  answer({ kind: "stream", run: "r1", request: first, frame: 1, result: 2, done: false });
  assert.ok(store.asking("stream"));
  store.stop();
  assert.deepEqual(asked[1], ["stop", { token }]);
  const second = store.ask("stream", { question: "train" });
  assert.equal(asked.filter(([name]) => name === "stream").length, 1, "the next waits for the end of the first");
  answer({ kind: "stream", run: "r1", request: first, frame: 2, result: 2, done: true, reason: "stopped" });
  assert.equal(asked[asked.length - 1][1].request, second);
  assert.notEqual(asked[asked.length - 1][1].token, token);
  store.load(HS.decode(payloadOf([nearestLayer()])));
  assert.deepEqual(asked[asked.length - 1], ["stop", { token: asked[asked.length - 2][1].token }]);
  answer({ kind: "stream", run: "r1", request: second, frame: 0, result: 2, done: true, reason: "end" });
  assert.ok(!store.asking("stream"));
  assert.deepEqual(got, [1, 2, "end"]);
});

test("permalink: round trip, unknown fields dropped, bad values at their default with a notice", async () => {
  const state = { i: "cat", c: { k: 5, evil: {}, graph: `0-1\n${"1-2 ".repeat(40)}` }, l: { layer: 3, pins: [4, 5], rule: { k: 7, x: 1 }, colour: "rainbow", nonsense: 1 } };
  const read = await HS.readPermalink(await HS.packState(state));
  assert.equal(read.image, "cat");
  assert.deepEqual(read.controls, { k: 5, graph: `0-1\n${"1-2 ".repeat(40)}` }, "typed texts may be long");
  assert.deepEqual(read.look, { layer: 3, pins: [4, 5], rule: { k: 7 } });
  assert.match(read.notices[0], /colour/);
});

test("permalink: damage, other versions and bombs open the exhibit as usual", async () => {
  const bomb = deflateRawSync(Buffer.alloc(1 << 20)).toString("base64url");
  for (const text of ["%%%", "AAAA", "x".repeat(5000), bomb, await HS.packState({ v: 9 })]) {
    const read = await HS.readPermalink(text);
    assert.deepEqual(read.look, {});
    assert.equal(read.notices.length, 1, text.slice(0, 10));
  }
  assert.deepEqual((await HS.readPermalink("")).notices, []);
});

test("floats in few bits decode to their range; words of a measure join its value", () => {
  const measures = { words: { edges: { name: "Edges", unit: "edges" } }, layers: { nearest: [{ key: "edges", value: 3 }] } };
  const raw = JSON.parse(payloadOf([nearestLayer()], { measures }));
  for (const [type, top] of [["q12", 4095], ["q16", 65535]]) {
    const data = Buffer.from(new Uint16Array(360).fill(top).buffer).toString("base64");
    raw.layers[0].distance = { ...raw.layers[0].distance, type, low: -1, high: 1, data };
    const [layer] = HS.decode(JSON.stringify(raw)).layers;
    assert.ok(layer.distance.every((d) => d === 1));
    assert.equal(layer.measures[0].name, "Edges");
  }
});

test("deflated arrays, steps along the last axis and packed texts decode to what they were", () => {
  const next = random(7);
  const raw = JSON.parse(payloadOf([nearestLayer({ share: true })]));
  const [layer] = raw.layers;
  const whole = HS.decode(JSON.stringify(raw)).layers[0];
  const deflated = (bytes) => deflateRawSync(bytes).toString("base64");
  for (const name of ["candidates", "kept", "distance", "share"]) {
    layer[name] = { ...layer[name], coding: "deflate", data: deflated(Buffer.from(layer[name].data, "base64")) };
  }
  const [n, width] = layer.distance.shape;
  const codes = Uint16Array.from({ length: n * width }, () => Math.floor(next() * 65536));
  const steps = Uint16Array.from(codes, (code, i) => code - (i % width ? codes[i - 1] : 0));
  const planes = Buffer.from([...steps].map((v) => v & 255).concat([...steps].map((v) => v >> 8)));
  layer.position = { type: "q16", shape: [n, width], coding: "steps", low: 0, high: 65535, data: deflated(planes) };
  const levels = Uint16Array.from([3, 70, 40000]);
  const few = codes.map((code) => levels[code % 3]);
  const numbers = Buffer.concat([Buffer.from([...codes].map((code) => code % 3)), Buffer.from(levels.buffer)]);
  layer.maps.few = { type: "q16", shape: [n, width], coding: "levels", low: 0, high: 65535, data: deflated(numbers) };
  raw.measures = { type: "json", coding: "deflate", data: deflated(JSON.stringify({ words: {}, layers: { nearest: [{ key: "a", hint: "ä – 😀" }] } })) };
  const found = HS.decode(JSON.stringify(raw)).layers[0];
  for (const name of ["candidates", "kept", "distance", "share"]) assert.deepEqual(found[name], whole[name]);
  assert.deepEqual([...found.position], [...codes]);
  assert.deepEqual([...found.maps.few], [...few]);
  assert.equal(found.measures[0].hint, "ä – 😀");
  for (const change of [(l) => (l.kept.data = l.kept.data.slice(0, 8)), (l) => (l.kept.shape = [n, width + 1]), (l) => (l.maps.few.data = l.kept.data)]) {
    const broken = structuredClone(raw);
    change(broken.layers[0]);
    assert.throws(() => HS.decode(JSON.stringify(broken)), /damaged/);
  }
});

test("inflate undoes what zlib made, and stops at damage and at bombs", () => {
  const next = random(3);
  const samples = [
    Buffer.alloc(0), Buffer.from("a"), Buffer.alloc(70000, 7), Buffer.from("the same again and again, ".repeat(3000)),
    Buffer.from(Array.from({ length: 9000 }, () => Math.floor(next() * 256))), Buffer.from(Array.from({ length: 40000 }, () => Math.floor(next() ** 6 * 256))),
  ];
  for (const sample of samples) {
    for (const options of [{ level: 0 }, { level: 1 }, { level: 9 }, { strategy: constants.Z_FIXED }, { strategy: constants.Z_HUFFMAN_ONLY }, { strategy: constants.Z_RLE }]) {
      const packed = deflateRawSync(sample, options);
      assert.deepEqual(Buffer.from(HS.inflate(packed, sample.length)), sample);
      for (const short of [1, packed.length >> 1, packed.length - 1]) assert.throws(() => HS.inflate(packed.subarray(0, packed.length - short), sample.length), RangeError);
    }
  }
  assert.throws(() => HS.inflate(deflateRawSync(Buffer.alloc(1 << 24)), 1 << 16), RangeError);
  for (let i = 0; i < 300; i++) {
    const noise = Uint8Array.from({ length: 40 }, () => Math.floor(next() * 256));
    try {
      assert.ok(HS.inflate(noise, 5000).length <= 5000);
    } catch (error) {
      assert.ok(error instanceof RangeError, String(error));
    }
  }
});

test("the colours of the patches stand once for all layers of a grid", () => {
  const raw = JSON.parse(payloadOf([nearestLayer(), nearestLayer({ seed: 2 }), nearestLayer({ grid: [2, 3], width: 4 })]));
  raw.layers[0].colour = encode(Uint8Array.from({ length: 90 }, (_, i) => i), [30, 3]);
  const [a, b, c] = HS.decode(JSON.stringify(raw)).layers;
  assert.equal(a.colour, b.colour);
  assert.equal(c.colour, null);
});

test("colour maps grow in lightness and the diverging one has a neutral centre", () => {
  for (const name of ["cividis", "viridis"]) {
    const light = (i) => HS.LUT[name][3 * i] * 0.299 + HS.LUT[name][3 * i + 1] * 0.587 + HS.LUT[name][3 * i + 2] * 0.114;
    for (let i = 8; i < 256; i += 8) assert.ok(light(i) > light(i - 8));
  }
  const [r, g, b] = [0, 1, 2].map((c) => HS.LUT.diverging[3 * 128 + c]);
  assert.ok(Math.max(r, g, b) - Math.min(r, g, b) < 12);
});
