// node --test tests/canvas — a network edited by hand (panels/ghn-edit.js)
import assert from "node:assert/strict";
import test from "node:test";
import { loadCanvas } from "./load.mjs";

const HS = loadCanvas("core", "inflate", "panels/ghn-edit");
HS.instrument({ kind: "computation-graph", check() {} });
const A = HS.architecture;
const split = (line) => line.match(/res\(|cat\(|[()]|[^\s()|]+/g);
const edit = (line, change) => A.text(change(split(line)));

const LINE = "conv3x3-8 bn relu res(conv3x3-8 bn) relu gap fc10";

test("the text of the words is the line", () => {
  assert.equal(A.text(split(LINE)), LINE);
  assert.equal(A.text(split("cat(res(bn) conv1x1-8) gap fc10")), "cat(res(bn) conv1x1-8) gap fc10");
});

test("a word is taken away, a branch as a whole, and a branch that is left empty too", () => {
  assert.equal(edit(LINE, (w) => A.removed(w, 1)), "conv3x3-8 relu res(conv3x3-8 bn) relu gap fc10");
  assert.equal(edit(LINE, (w) => A.removed(w, 3)), "conv3x3-8 bn relu relu gap fc10");
  assert.equal(edit("bn res(conv3x3-3) gap fc10", (w) => A.removed(w, 2)), "bn gap fc10");
  assert.equal(edit("bn cat(res(bn)) gap fc10", (w) => A.removed(w, 3)), "bn gap fc10");
});

test("a word is put before or behind another, behind a branch as a whole", () => {
  assert.equal(edit(LINE, (w) => A.inserted(w, 0, "dw3x3", false)), `dw3x3 ${LINE}`);
  assert.equal(edit(LINE, (w) => A.inserted(w, 3, "pool", true)), "conv3x3-8 bn relu res(conv3x3-8 bn) pool relu gap fc10");
  assert.equal(edit(LINE, (w) => A.replaced(w, 4, "conv5x5-8")), "conv3x3-8 bn relu res(conv5x5-8 bn) relu gap fc10");
});

test("an edge around words is a branch; across branches it goes around the branches", () => {
  assert.equal(edit(LINE, (w) => A.skipped(w, 0, 1)), "res(conv3x3-8 bn) relu res(conv3x3-8 bn) relu gap fc10");
  assert.equal(edit(LINE, (w) => A.skipped(w, 1, 5)), "conv3x3-8 res(bn relu res(conv3x3-8 bn)) relu gap fc10");
  assert.equal(edit(LINE, (w) => A.skipped(w, 4, 4, "cat(")), "conv3x3-8 bn relu res(cat(conv3x3-8) bn) relu gap fc10");
  assert.equal(A.skipped(split(LINE), 8, 0), null);
});

test("taking the edge away again gives the line back", () => {
  for (const [i, j] of [[0, 1], [1, 5], [4, 5], [3, 3]]) {
    const after = A.skipped(split(LINE), i, j);
    const opening = after.findIndex((word, k) => word !== split(LINE)[k]);
    const turned = after.filter((_, k) => k !== opening && k !== A.span(after, opening)[1]);
    assert.equal(A.text(A.unskipped(after, opening)), A.text(turned));
    assert.deepEqual(A.unskipped(after, opening).filter((w) => w !== ")" && !w.endsWith("(")), split(LINE).filter((w) => w !== ")" && !w.endsWith("(")));
  }
});

test("the end of a branch moves by one word or branch, and never past its neighbours", () => {
  assert.equal(edit(LINE, (w) => A.stretched(w, 3, 1)), "conv3x3-8 bn relu res(conv3x3-8 bn relu) gap fc10");
  assert.equal(edit(LINE, (w) => A.stretched(w, 3, -1)), "conv3x3-8 bn relu res(conv3x3-8) bn relu gap fc10");
  const nested = split("res(bn cat(dw3x3 bn)) cat(bn) gap fc10");
  assert.equal(A.text(A.stretched(nested, 0, -1)), "res(bn) cat(dw3x3 bn) cat(bn) gap fc10");
  assert.equal(A.text(A.stretched(nested, 0, 1)), "res(bn cat(dw3x3 bn) cat(bn)) gap fc10");
  assert.equal(A.stretched(nested, 2, 1), null);
  assert.equal(A.stretched(split("res(bn) gap fc10"), 0, -1), null);
});

function page(line, behind) {
  const sent = [];
  let tell = null;
  const payload = (text) => HS.decode(JSON.stringify({
    version: 1, run: `r${text.length}`, exhibit: { slug: "ghn", title: "", idea: "", paper: {} }, picture: null, extras: { words: split(text), behind },
    layers: [{ name: "a", label: "a", kind: "computation-graph" }], controls: { widgets: [], values: { architecture: text } },
  }));
  HS.askRun = (store, { controls }) => sent.push(controls.architecture);
  const store = HS.createStore(payload(line), { live: true, ask() {}, onAnswer: (fn) => (tell = fn) });
  return { store, edits: A.of(store), sent, arrive: async () => (store.load(payload(sent.at(-1))), await null, await null), refuse: () => tell({ kind: "refusal", request: null, message: "no" }) };
}

test("an edge pulled from node to node starts behind the activation, and edits can be taken back and made again", async () => {
  // input, conv, bn, conv of the branch, bn of the branch, sum, gap, fc
  const { edits, sent, arrive } = page(LINE, [null, 0, 1, 4, 5, 3, 8, 9]);
  edits.rewire(2, 5);
  assert.equal(sent.at(-1), "conv3x3-8 bn relu res(res(conv3x3-8 bn)) relu gap fc10");
  await arrive();
  assert.equal(edits.canUndo, true);
  edits.undo();
  assert.equal(sent.at(-1), LINE);
  await arrive();
  assert.deepEqual([edits.canUndo, edits.canRedo], [false, true]);
  edits.redo();
  assert.equal(sent.at(-1), "conv3x3-8 bn relu res(res(conv3x3-8 bn)) relu gap fc10");
  await arrive();
  assert.deepEqual([edits.canUndo, edits.canRedo], [true, false]);
});

test("a sum without its edge leaves the branch; an edge that would run backwards is not laid", () => {
  const { edits, sent } = page(LINE, [null, 0, 1, 4, 5, 3, 8, 9]);
  edits.remove(5);
  assert.equal(sent.at(-1), "conv3x3-8 bn relu conv3x3-8 bn relu gap fc10");
  edits.rewire(0, 2);
  assert.equal(sent.at(-1), "res(conv3x3-8 bn) relu res(conv3x3-8 bn) relu gap fc10");
  assert.equal(edits.rewire(6, 6), false);
  assert.equal(sent.length, 2);
});
