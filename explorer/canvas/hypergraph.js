// @wing hypergraphs
/**
 * Soft hypergraphs in the browser, so that temperature, hardness, choice and context need no server.
 *
 * Memberships of N patches (V vertices with the special tokens) in M hyperedges, all [·, M] arrays row by row:
 *   a              Float32 [V·M]  the participation under the present settings
 *   w              Float32 [N·M]  columns over the patches scaled to sum 1: how a hyperedge divides itself (0 where it is off)
 *   r              Float32 [N·M]  rows scaled to sum 1: how a patch divides itself
 *   on             Uint8 [M]      1 where a hyperedge is chosen and holds anything
 *   load           Float32 [M]    mean of r over the patches;  loads: the same in units of the average of those that are on
 *   members        Float32 [M]    exp(entropy of w): in how many patches it lives;  entropy: in 0..1;  variation: std/mean of w
 *   special        Float32 [M]    share of its participation that special tokens hold
 *   loudness       Float32 [N]    Σ a over the hyperedges;  loudnesses: in units of its mean
 * Formulas and names are those of explorer/diagnostics/hyperedges.py; tests/canvas holds both together.
 */
(() => {
  "use strict";

  const NEARLY_UNIFORM = 0.99; // entropy above which a hyperedge joins everything alike
  const FLAT = 0.1; // std/mean below which a map is noise
  const TWINS = 0.8; // correlation above which two maps are one
  const FAINTEST = -30;
  const MOST_DIFFERENT = 96; // eigenvalues of more columns take too long for a slider

  // ------------------------------------------------------------------------------------------------------ settings

  const SETTINGS = ["temperature", "hard", "k", "context"];

  /** Which settings the browser can answer for this layer. */
  function answerable(store, layer) {
    const h = layer.hypergraph;
    const soft = h.logits && h.normalise !== "none";
    const known = soft ? ["temperature", "hard"] : ["hard"];
    if (soft && h.scores && h.own.k !== null) known.push("k");
    const choice = store.payload.controls.widgets.some((w) => w.name === "context" && w.kind !== "range");
    if (soft && h.drift && !choice) known.push("context");
    return known;
  }

  /** The settings under which a layer is drawn: the visitor's where they can be answered, else the model's own. */
  function settingsOf(store, layer) {
    const { own } = layer.hypergraph;
    const known = answerable(store, layer);
    const value = (name) => (known.includes(name) && store.look[name] !== null ? store.look[name] : own[name]);
    const found = Object.fromEntries(SETTINGS.map((name) => [name, value(name)]));
    if (found.k !== null) found.k = Math.min(found.k, layer.hypergraph.hyperedges - layer.hypergraph.fixed);
    return found;
  }

  const differs = (store, layer) => {
    const { own } = layer.hypergraph;
    return Object.entries(settingsOf(store, layer)).some(([name, value]) => value !== own[name]);
  };

  // -------------------------------------------------------------------------------------------------- participation

  /** Logits under another context and temperature: (S + shift · drift) · factor. */
  function scaled(h, shift, factor) {
    if (shift === 0 && factor === 1) return h.logits;
    return Float32Array.from(h.logits, (s, i) => (s + (shift ? shift * h.drift[i] : 0)) * factor);
  }

  /** Softmax along one axis of [count of groups, members of a group], with strides. */
  function softmax(values, groups, groupStep, members, memberStep) {
    const out = new Float32Array(values.length);
    for (let g = 0; g < groups; g++) {
      const start = g * groupStep;
      let top = -Infinity;
      for (let i = 0; i < members; i++) top = Math.max(top, values[start + i * memberStep]);
      let sum = 0;
      for (let i = 0; i < members; i++) sum += Math.exp(values[start + i * memberStep] - top);
      for (let i = 0; i < members; i++) out[start + i * memberStep] = Math.exp(values[start + i * memberStep] - top) / sum;
    }
    return out;
  }

  /** 1 for the fixed hyperedges and the k best scored of the others. */
  function bestScored(h, k) {
    const chosen = new Uint8Array(h.hyperedges).fill(1, 0, h.fixed);
    const dynamic = Array.from(h.scores.subarray(h.fixed), (score, i) => [score, i + h.fixed]);
    dynamic.sort((a, b) => b[0] - a[0]);
    dynamic.slice(0, k).forEach(([, m]) => (chosen[m] = 1));
    return chosen;
  }

  /** Between the soft participation (0) and one hyperedge per vertex, its strongest (1). */
  function hardened(a, count, normalise, amount) {
    const vertices = a.length / count;
    const hard = new Float32Array(a.length);
    const sums = new Float64Array(count);
    for (let v = 0; v < vertices; v++) {
      let best = v * count;
      for (let i = best + 1; i < (v + 1) * count; i++) if (a[i] > a[best]) best = i;
      if (!(a[best] > 0)) continue;
      hard[best] = 1;
      sums[best % count] += 1;
    }
    const share = (i) => (normalise === "vertices" && hard[i] ? 1 / sums[i % count] : hard[i]);
    return Float32Array.from(a, (soft, i) => soft + amount * (share(i) - soft));
  }

  /** The participation [V·M] of a layer's hypergraph under settings. */
  function participation(h, settings) {
    const { own } = h;
    const same = SETTINGS.every((name) => settings[name] === own[name]);
    if (h.participation && same) return h.participation;
    if (!h.logits || h.normalise === "none") return hardened(h.participation, h.hyperedges, h.normalise, settings.hard);
    const [vertices, count] = h.logits.shape;
    const logits = scaled(h, settings.context - own.context, 2 ** (own.temperature - settings.temperature));
    const a = h.normalise === "vertices" ? softmax(logits, count, 1, vertices, count) : softmax(logits, vertices, count, count, 1);
    const chosen = settings.k === own.k ? h.selected : bestScored(h, settings.k);
    for (let i = 0; i < a.length; i++) if (!chosen[i % count] || (h.present && !h.present[Math.floor(i / count)])) a[i] = 0;
    return settings.hard > 0 ? hardened(a, count, h.normalise, settings.hard) : a;
  }

  /** All numbers of the head of this file. */
  function memberships(h, a) {
    const m = h.hyperedges;
    const n = a.length / m - h.special;
    const patches = a.subarray(h.special * m);
    const w = new Float32Array(n * m);
    const r = new Float32Array(n * m);
    const found = { n, m, a, w, r, patches, memo: new Map() };
    for (const name of ["load", "loads", "members", "entropy", "variation", "special"]) found[name] = new Float32Array(m);
    found.loudness = new Float32Array(n);
    found.on = new Uint8Array(m);
    for (let i = 0; i < n; i++) {
      let sum = 0;
      for (let j = 0; j < m; j++) sum += patches[i * m + j];
      found.loudness[i] = sum;
      if (sum > 0) for (let j = 0; j < m; j++) r[i * m + j] = patches[i * m + j] / sum;
    }
    for (let j = 0; j < m; j++) column(found, h, j);
    const active = found.on.reduce((sum, on) => sum + on, 0);
    const total = found.load.reduce((sum, x, j) => sum + (found.on[j] ? x : 0), 0);
    found.load.forEach((x, j) => (found.loads[j] = total ? (x * active) / total : 0));
    const mean = found.loudness.reduce((sum, x) => sum + x, 0) / n;
    found.loudnesses = Float32Array.from(found.loudness, (x) => (mean ? x / mean : 0));
    found.active = active;
    return found;
  }

  function column(found, h, j) {
    const { n, m, a, w, r, patches } = found;
    let [sum, rest, load, bits, squares] = [0, 0, 0, 0, 0];
    for (let i = 0; i < n; i++) sum += patches[i * m + j];
    for (let v = 0; v < h.special; v++) rest += a[v * m + j];
    for (let i = 0; i < n; i++) {
      const share = sum > 0 ? patches[i * m + j] / sum : 0;
      w[i * m + j] = share;
      load += r[i * m + j];
      if (share > 0) bits -= share * Math.log(share);
      squares += (share - 1 / n) ** 2;
    }
    found.on[j] = sum > 0 ? 1 : 0;
    found.load[j] = load / n;
    found.members[j] = Math.exp(bits);
    found.entropy[j] = n > 1 ? bits / Math.log(n) : 0;
    found.variation[j] = Math.sqrt(squares / n) * n;
    found.special[j] = sum + rest > 0 ? rest / (sum + rest) : 0;
  }

  const known = new WeakMap(); // layer → Map(settings → memberships)

  /** The memberships of a layer under the visitor's settings, kept. `asHad` gives those of the model. */
  function of(store, layerIndex, asHad = false) {
    const layer = store.layers[layerIndex];
    const settings = asHad ? layer.hypergraph.own : settingsOf(store, layer);
    if (!known.has(layer)) known.set(layer, new Map());
    const kept = known.get(layer);
    const key = JSON.stringify(settings);
    if (!kept.has(key)) {
      if (kept.size > 32) kept.delete(kept.keys().next().value);
      kept.set(key, memberships(layer.hypergraph, participation(layer.hypergraph, settings)));
    }
    return kept.get(key);
  }

  /** Computed once for these memberships. */
  function once(d, key, make) {
    if (!d.memo.has(key)) d.memo.set(key, make());
    return d.memo.get(key);
  }

  // ---------------------------------------------------------------------------------------------------------- maps

  /** log₂(N·w) of one hyperedge, [N]: 0 is its even share, +1 twice that; −30 where it has nothing. */
  const lift = (d, m) => once(d, `lift ${m}`, () => Float32Array.from({ length: d.n }, (_, i) => Math.max(FAINTEST, Math.log2(d.n * d.w[i * d.m + m]))));

  const columnOf = (d, m) => Float32Array.from({ length: d.n }, (_, i) => d.w[i * d.m + m]);

  /** log₂ of K = A Aᵀ between one patch and all, in units of the average pair, [N]. */
  function sharing(d, patch) {
    const mean = once(d, "sharing", () => {
      const sums = new Float64Array(d.m);
      d.patches.forEach((x, i) => (sums[i % d.m] += x));
      return sums.reduce((total, x) => total + x * x, 0) / (d.n * d.n);
    });
    return Float32Array.from({ length: d.n }, (_, i) => {
      let sum = 0;
      for (let j = 0; j < d.m; j++) sum += d.patches[patch * d.m + j] * d.patches[i * d.m + j];
      return mean > 0 && sum > 0 ? Math.max(FAINTEST, Math.log2(sum / mean)) : FAINTEST;
    });
  }

  /** The hyperedge in which each patch takes part most (−1: in none), and how clearly: 0 = in all alike, 1 = in this one only. */
  const assignment = (d) =>
    once(d, "assignment", () => {
      const label = new Int16Array(d.n).fill(-1);
      const clear = new Float32Array(d.n);
      for (let i = 0; i < d.n; i++) {
        let best = 0;
        for (let j = 0; j < d.m; j++) {
          if (d.r[i * d.m + j] <= best) continue;
          best = d.r[i * d.m + j];
          label[i] = j;
        }
        if (label[i] >= 0) clear[i] = d.active > 1 ? Math.max(0, (best - 1 / d.active) / (1 - 1 / d.active)) : 1;
      }
      return { label, clear };
    });

  /** Hyperedges of a patch, strongest first: [[number, share of the patch], …]. */
  function strongest(d, patch, most = d.m) {
    const shares = Array.from({ length: d.m }, (_, j) => [j, d.r[patch * d.m + j]]).filter(([, share]) => share > 0);
    return shares.sort((a, b) => b[1] - a[1]).slice(0, most);
  }

  /** The fewest patches, strongest first, that hold at least `share` of a hyperedge. */
  const massSet = (d, m, share = 0.5) =>
    once(d, `set ${m} ${share}`, () => {
      const weights = columnOf(d, m);
      const order = Array.from(weights.keys()).sort((a, b) => weights[b] - weights[a] || a - b);
      const inside = [];
      let before = 0;
      for (const i of order) {
        if (before >= share - 1e-9 || weights[i] <= 0) break;
        inside.push(i);
        before += weights[i];
      }
      return inside;
    });

  // ---------------------------------------------------------------------------------------------------- how different

  /** Centred columns of length 1, [N] each; null where a hyperedge is off or flat. */
  const centred = (d) =>
    once(d, "centred", () =>
      Array.from({ length: d.m }, (_, j) => {
        if (!d.on[j] || d.variation[j] < FLAT) return null;
        const length = (d.variation[j] / d.n) * Math.sqrt(d.n);
        return Float64Array.from({ length: d.n }, (_, i) => (d.w[i * d.m + j] - 1 / d.n) / length);
      }),
    );

  const dot = (a, b) => {
    let sum = 0;
    for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
    return sum;
  };

  /** Pearson's correlation of two maps; NaN where one is off or flat. */
  function correlation(d, a, b) {
    const maps = centred(d);
    return maps[a] && maps[b] ? Math.max(-1, Math.min(1, dot(maps[a], maps[b]))) : NaN;
  }

  const mapOf = (d, m) => centred(d)[m];
  /** Correlation of two maps of `mapOf`, of the same or of two layers on one grid; NaN where one is null. */
  const alike = (a, b) => (a && b ? dot(a, b) : NaN);

  /** The hyperedge whose map is most like this one's, when they are twins (correlation above 0.8); else null. */
  const twin = (d, m) =>
    once(d, `twin ${m}`, () => {
      let [best, found] = [TWINS, null];
      for (let j = 0; j < d.m; j++) {
        const value = j === m ? NaN : correlation(d, m, j);
        if (value > best) [best, found] = [value, j];
      }
      return found;
    });

  /** Fuzzy Jaccard index Σ min / Σ max of two hyperedges; NaN where one is off. */
  function jaccard(d, a, b) {
    if (!d.on[a] || !d.on[b]) return NaN;
    return once(d, `jaccard ${Math.min(a, b)} ${Math.max(a, b)}`, () => {
      let both = 0;
      for (let i = 0; i < d.n; i++) both += Math.min(d.w[i * d.m + a], d.w[i * d.m + b]);
      return both / Math.max(2 - both, 1e-12);
    });
  }

  /** How many different hyperedges there are (Vendi score of the maps), 0 when all are flat; null for too many to tell quickly. */
  const effectiveNumber = (d) =>
    once(d, "effective", () => {
      const maps = centred(d).filter(Boolean);
      if (maps.length === 0) return 0;
      if (maps.length > MOST_DIFFERENT) return null;
      const values = eigenvalues(maps.map((x) => maps.map((y) => dot(x, y)))).map((value) => Math.max(0, value) / maps.length);
      return Math.exp(-values.reduce((sum, p) => sum + (p > 0 ? p * Math.log(p) : 0), 0));
    });

  /** Eigenvalues of a symmetric matrix (list of rows) by Jacobi rotations. */
  function eigenvalues(matrix) {
    const a = matrix.map((row) => Float64Array.from(row));
    const n = a.length;
    for (let sweep = 0; sweep < 30; sweep++) {
      let off = 0;
      for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) off += a[p][q] ** 2;
      if (off < 1e-20) break;
      for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotate(a, p, q);
    }
    return a.map((row, i) => row[i]);
  }

  function rotate(a, p, q) {
    if (Math.abs(a[p][q]) < 1e-15) return;
    const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
    const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.hypot(theta, 1));
    const c = 1 / Math.hypot(t, 1);
    const s = t * c;
    for (let k = 0; k < a.length; k++) [a[k][p], a[k][q]] = [c * a[k][p] - s * a[k][q], s * a[k][p] + c * a[k][q]];
    for (let k = 0; k < a.length; k++) [a[p][k], a[q][k]] = [c * a[p][k] - s * a[q][k], s * a[p][k] + c * a[q][k]];
  }

  /**
   * γ of what one hyperedge sends: ‖a − mean a‖ ÷ ‖a‖ over the patches, a its column; from 0 (all patches are told the same) to 1.
   * With v = std ÷ mean of the column it is v ÷ √(1 + v²), whatever the features are.
   */
  const contrast = (d, m) => d.variation[m] / Math.sqrt(1 + d.variation[m] ** 2);

  const isUniform = (d, m) => d.on[m] === 1 && d.entropy[m] > NEARLY_UNIFORM;

  /** Numbers of the hyperedges, those that are on first: by load or as numbered. */
  function order(d, by) {
    const all = Array.from({ length: d.m }, (_, j) => j);
    return all.sort((a, b) => d.on[b] - d.on[a] || (by === "number" ? 0 : d.load[b] - d.load[a]) || a - b);
  }

  // ------------------------------------------------------------------------------------------------------- contours

  /** Between which two patches of `count` the points of a finer line lie, and how far: [low, high, share of high]. */
  function between(count, s) {
    return Array.from({ length: count * s }, (_, k) => {
      const at = Math.max(0, Math.min(count - 1, (k + 0.5) / s - 0.5));
      const low = Math.min(Math.floor(at), Math.max(0, count - 2));
      return [low, Math.min(low + 1, count - 1), at - low];
    });
  }

  /** A hyperedge's weights between the patch centres: bilinear, [rows·s, cols·s]. */
  const field = (d, m, grid) =>
    once(d, `field ${m}`, () => {
      const s = Math.max(3, Math.min(8, Math.round(96 / Math.max(...grid))));
      const [rows, cols] = [grid[0] * s, grid[1] * s];
      const values = new Float32Array(rows * cols);
      const across = between(grid[1], s);
      const weights = columnOf(d, m);
      between(grid[0], s).forEach(([r0, r1, v], y) => {
        const [upper, lower] = [r0 * grid[1], r1 * grid[1]];
        for (let x = 0; x < cols; x++) {
          const [c0, c1, u] = across[x];
          const above = weights[upper + c0] + u * (weights[upper + c1] - weights[upper + c0]);
          const below = weights[lower + c0] + u * (weights[lower + c1] - weights[lower + c0]);
          values[y * cols + x] = above + v * (below - above);
        }
      });
      return { values, rows, cols, sorted: values.slice().sort() };
    });

  /** The level above which a field holds `share` of its mass. */
  function levelOf({ sorted }, share) {
    let total = 0;
    for (const value of sorted) total += value;
    let inside = 0;
    for (let i = sorted.length - 1; i >= 0; i--) {
      inside += sorted[i];
      if (inside >= share * total) return sorted[i];
    }
    return 0;
  }

  /**
   * The closed lines that enclose `share` of a hyperedge's mass, each a list of x, y in 0..1 of the picture.
   * Nothing for a hyperedge that is off or uniform: there is nothing to enclose.
   */
  function contours(d, m, grid, share) {
    if (!d.on[m] || isUniform(d, m)) return [];
    return once(d, `contour ${m} ${share}`, () => {
      const whole = field(d, m, grid);
      return marched(whole, levelOf(whole, share));
    });
  }

  /** Marching squares; outside of the field everything is below the level, so that lines close along the border. */
  function marched({ values, rows, cols }, level) {
    const width = cols + 2;
    const high = new Uint8Array(width * (rows + 2)); // 1 at or above the level; the field with a rim of zeros
    for (let y = 0; y < rows; y++) for (let x = 0; x < cols; x++) high[(y + 1) * width + x + 1] = values[y * cols + x] >= level ? 1 : 0;
    const points = new Map(); // number of a lattice edge → [x, y]
    const next = new Map(); // number of a lattice edge → the next one along the line
    const value = (y, x) => (y >= 0 && x >= 0 && y < rows && x < cols ? values[y * cols + x] : -Infinity);
    const place = (y, x) => [Math.max(0, Math.min(1, (x + 0.5) / cols)), Math.max(0, Math.min(1, (y + 0.5) / rows))];
    function cross(y0, x0, y1, x1) {
      const id = 2 * ((y0 + 1) * width + x0 + 1) + (y0 === y1 ? 0 : 1);
      if (!points.has(id)) {
        const [a, b] = [value(y0, x0), value(y1, x1)];
        const t = a === -Infinity ? 0 : b === -Infinity ? 1 : (level - a) / (b - a);
        const [p, q] = [place(y0, x0), place(y1, x1)];
        points.set(id, [p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])]);
      }
      return id;
    }
    /** Lines run with the inside on their right hand, so that every piece has one follower. Corners from the top left, clockwise. */
    function follow(y, x, a, b, c, e) {
      const [top, right] = [() => cross(y, x, y, x + 1), () => cross(y, x + 1, y + 1, x + 1)];
      const [bottom, left] = [() => cross(y + 1, x, y + 1, x + 1), () => cross(y, x, y + 1, x)];
      const saddle = a === c && b === e;
      if (a && !b) next.set(top(), saddle ? right() : e ? (c ? right() : bottom()) : left());
      if (b && !c) next.set(right(), saddle ? bottom() : a ? (e ? bottom() : left()) : top());
      if (c && !e) next.set(bottom(), saddle ? left() : b ? (a ? left() : top()) : right());
      if (e && !a) next.set(left(), saddle ? top() : c ? (b ? top() : right()) : bottom());
    }
    for (let y = 0; y <= rows; y++) {
      for (let x = 0; x <= cols; x++) {
        const at = y * width + x;
        const [a, b, c, e] = [high[at], high[at + 1], high[at + width + 1], high[at + width]];
        const sum = a + b + c + e;
        if (sum !== 0 && sum !== 4) follow(y - 1, x - 1, a, b, c, e);
      }
    }
    return chained(points, next);
  }

  function chained(points, next) {
    const lines = [];
    while (next.size) {
      const line = [];
      let id = next.keys().next().value;
      while (next.has(id)) {
        line.push(...points.get(id));
        const following = next.get(id);
        next.delete(id);
        id = following;
      }
      lines.push(line);
    }
    return lines;
  }

  HS.hyper = { SETTINGS, answerable, settingsOf, differs, participation, memberships, of, lift, columnOf, sharing, assignment, strongest };
  Object.assign(HS.hyper, { massSet, correlation, mapOf, alike, twin, jaccard, effectiveNumber, contrast, isUniform, order, field, levelOf, contours });
})();
