// The canvas scripts that need no browser, as one object; plus encoders that mirror the Python side.
import { readFileSync } from "node:fs";
import vm from "node:vm";

const FOLDER = new URL("../../explorer/canvas/", import.meta.url);

export function loadCanvas(...names) {
  const source = names.map((name) => readFileSync(new URL(`${name}.js`, FOLDER), "utf8")).join("\n");
  return vm.runInThisContext(`(() => { ${source}\nreturn HS; })()`);
}

const NAMES = new Map([[Uint8Array, "u8"], [Uint16Array, "u16"], [Int32Array, "i32"], [Float32Array, "f32"]]);

export function encode(array, shape) {
  const data = Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString("base64");
  return { type: NAMES.get(array.constructor), shape, data };
}

/** Repeatable random numbers in 0..1 (mulberry32). */
export function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function layerOf(name, grid, keyGrid, rule, candidates, kept, distance, share) {
  const n = grid[0] * grid[1];
  const width = candidates.length / n;
  const shape = [n, width];
  return {
    name, label: name, group: name, grid, keyGrid, rule,
    candidates: encode(Uint16Array.from(candidates), shape),
    kept: encode(Uint8Array.from(kept), shape),
    distance: distance && encode(Float32Array.from(distance), shape),
    position: null,
    share: share && encode(Uint8Array.from(share), shape),
    colour: null, maps: {},
  };
}

/** A nearest-neighbour layer over random features: candidates sorted by distance, the patch itself first. */
export function nearestLayer({ grid = [5, 6], keyGrid = grid, width = 12, k = 3, dilation = 2, seed = 1, share = false } = {}) {
  const next = random(seed);
  const [n, m] = [grid[0] * grid[1], keyGrid[0] * keyGrid[1]];
  const same = String(grid) === String(keyGrid);
  const candidates = [], kept = [], distance = [], shares = [];
  for (let t = 0; t < n; t++) {
    const row = Array.from({ length: m }, (_, s) => [same && s === t ? 0 : 0.1 + next(), s]).sort((a, b) => a[0] - b[0]).slice(0, width);
    row.forEach(([d, s], j) => {
      candidates.push(s);
      distance.push(d);
      kept.push(j % dilation === 0 && j < k * dilation ? 1 : 0);
      shares.push(Math.floor(next() * 256));
    });
  }
  return layerOf("nearest", grid, keyGrid, { name: "nearest", k, dilation }, candidates, kept, distance, share ? shares : null);
}

/** Every `step`-th patch of the own column, then row, rolled over the border; with distances also the threshold rule. */
export function axialLayer({ grid = [6, 7], step = 2, threshold = false, seed = 2 } = {}) {
  const [H, W] = grid;
  const next = random(seed);
  const candidates = [], distance = [];
  for (let t = 0; t < H * W; t++) {
    const [r, c] = [Math.floor(t / W), t % W];
    for (let s = step; s < H; s += step) candidates.push(((r - s + H) % H) * W + c);
    for (let s = step; s < W; s += step) candidates.push(r * W + ((c - s + W) % W));
  }
  candidates.forEach(() => distance.push(next()));
  const rule = threshold ? { name: "axial-threshold", step, multiplier: 1, mean: 0.8, std: 0.3 } : { name: "axial", step };
  const kept = distance.map((d) => (threshold ? (Math.fround(d) < 0.5 ? 1 : 0) : 1));
  return layerOf(threshold ? "dagc" : "svga", grid, grid, rule, candidates, kept, threshold ? distance : null, null);
}

export function payloadOf(layers, extra = {}) {
  return JSON.stringify({
    version: 1, run: "r1", layers,
    exhibit: { slug: "vig", title: "ViG", idea: "An image is a graph.", paper: {} },
    picture: { name: "cat", shown: "", seen: "", side: 64 },
    controls: { widgets: [{ name: "k", value: 9 }], values: { k: 9 } },
    ...extra,
  });
}
