// node --test tests/canvas — the order of an exhibit's own questions and streams (canvas/weights.js)
import assert from "node:assert/strict";
import test from "node:test";
import { loadCanvas } from "./load.mjs";

const HS = loadCanvas("core", "inflate", "weights");
HS.instrument({ kind: "plain", check() {} });

function opened() {
  const sent = [];
  let tell = null;
  const host = { live: true, ask: (name, data) => sent.push([name, data]), onAnswer: (fn) => (tell = fn) };
  const payload = HS.decode(JSON.stringify({
    version: 1, run: "r1", exhibit: { slug: "x", title: "", idea: "", paper: {} }, picture: null,
    layers: [{ name: "a", label: "a", kind: "plain" }], controls: { widgets: [], values: {} },
  }));
  const store = HS.createStore(payload, host);
  const answer = (result, kind = "ask", more = {}) => {
    const [, data] = sent.filter(([name]) => name === kind).at(-1);
    tell({ kind, run: "r1", request: data.request, question: data.question, result, ...more });
  };
  return { store, sent, answer, refuse: (name) => tell({ kind: "refusal", run: "r1", request: sent.filter(([n]) => n === name).at(-1)[1].request, message: "no" }) };
}

test("questions of different names do not silence each other, and of one name the newest waits", () => {
  const { store, sent, answer } = opened();
  const got = [];
  const queue = HS.weights.questions(store);
  queue.ask("at", { width: 1 }, (found) => got.push(["at", found]));
  queue.ask("tap", { tap: 2 }, (found) => got.push(["tap", found]));
  queue.ask("at", { width: 3 }, () => got.push("dropped"));
  queue.ask("at", { width: 4 }, (found) => got.push(["at", found]));
  assert.deepEqual(sent.map(([, data]) => [data.question, data.width ?? data.tap]), [["at", 1]]);
  answer("first");
  answer("second");
  answer("third");
  assert.deepEqual(sent.map(([, data]) => [data.question, data.width ?? data.tap]), [["at", 1], ["tap", 2], ["at", 4]]);
  assert.deepEqual(got, [["at", "first"], ["tap", "second"], ["at", "third"]]);
  assert.equal(queue.busy("at"), false);
});

test("a refused question makes room for the next one", () => {
  const { store, sent, refuse } = opened();
  const failed = [];
  const queue = HS.weights.questions(store);
  queue.ask("a", {}, () => assert.fail("it was refused"), (message) => failed.push(message));
  queue.ask("b", {}, () => {});
  refuse("ask");
  assert.deepEqual(failed, ["no"]);
  assert.equal(sent.at(-1)[1].question, "b");
});

test("a stream tells its frames, its end, and that another one took its place", () => {
  const { store, sent, answer } = opened();
  const told = [];
  const live = HS.weights.streams(store);
  live.start("race", { steps: 2 }, (frame) => told.push(frame), (reason) => told.push(reason));
  answer("one", "stream", { frame: 0, done: false });
  assert.equal(live.running("race"), true);
  live.start("alone", {}, (frame) => told.push(frame), (reason) => told.push(reason));
  assert.deepEqual(told, ["one", "replaced"]);
  assert.equal(sent.some(([name]) => name === "stop"), true);
  assert.equal(live.running("alone"), true);
});
