/**
 * HiPrune in the browser: which patches are kept is computed here from the scores, so that budget, layers and the other settings
 * need no server. The same patches as in Python, tie by tie: scores travel as float32, and what Python adds or multiplies in
 * float32 is rounded to float32 here. tests/canvas holds both together (models/tokens/hiprune.py, diagnostics/attention.py).
 *
 * A selection: role Uint8 [N] (index into ROLES), order [patch…] as chosen, place Int32 [N] (place in the order from 1, 0 for none),
 * misplaced Uint8 [N] (a buffer that touches no anchor), counts [per role], kept, asked, first and second (scores that were compared).
 */
(() => {
  "use strict";

  const ROLES = ["pruned", "anchor", "buffer", "register", "prompt", "other"];
  const [PRUNED, ANCHOR, BUFFER, REGISTER, , OTHER] = ROLES.keys();
  const SETTINGS = ["budget", "alpha", "edge", "object_layer", "deep_layer", "head", "release"];
  const OWN_RULE = "HiPrune";
  const RULES = [OWN_RULE, "registers only", "anchors and buffers only", "object layer only", "class token", "uniform grid", "random"]; // models/tokens/baselines.py

  // ------------------------------------------------------------------------------------------------------ settings

  /** The settings under which the selection is drawn: the visitor's, else the model's own. */
  function settingsOf(store) {
    const { own } = store.layer.tokens;
    const found = Object.fromEntries(SETTINGS.map((name) => [name, store.look[name] ?? own[name]]));
    const [rows, cols] = store.layer.grid;
    found.budget = Math.min(found.budget, rows * cols);
    for (const name of ["object_layer", "deep_layer"]) if (!isFull(store, found[name])) found[name] = own[name];
    found.chooser = offers(store, store.look.chooser) ? store.look.chooser : OWN_RULE;
    if (found.head > store.layer.tokens.headCount || (found.head && !headScores(store, found.object_layer - 1))) found.head = own.head;
    return found;
  }

  /** True for a layer in which every patch can see every other. */
  const isFull = (store, number) => number >= 1 && number <= store.layers.length && !store.layers[number - 1].tokens.windowed;

  /** The class token's row and the random order are needed for two of the simpler rules. */
  function offers(store, rule) {
    const { classRow, random } = store.payload.extras.tokens || {};
    return RULES.includes(rule) && (rule !== "class token" || Boolean(classRow)) && (rule !== "random" || Boolean(random));
  }

  const differs = (store) => settingsOf(store).chooser !== OWN_RULE || SETTINGS.some((name) => settingsOf(store)[name] !== store.layer.tokens.own[name]) || store.look.keeps.length > 0 || store.look.drops.length > 0;

  // --------------------------------------------------------------------------------------------------------- scores

  const asked = new WeakMap(); // layer → per-head scores that the server sent, or a promise of them

  /** Scores of every head of a layer, [H·N]; null while they are not here (`wantHeads` asks for them). */
  function headScores(store, index) {
    const layer = store.layers[index];
    const found = layer && (layer.tokens.heads || asked.get(layer));
    return found instanceof Float32Array ? found : null;
  }

  function wantHeads(store, index, then) {
    const layer = store.layers[index];
    if (layer.tokens.heads || asked.has(layer)) return;
    const answer = store.lookup({ question: "heads", layer: layer.name });
    if (!answer) return;
    asked.set(layer, answer);
    answer.then((found) => {
      if (found && found.values) asked.set(layer, found.values);
      else asked.delete(layer);
      then();
    });
  }

  /** Attention that each patch receives, [N]: the mean over the heads, or one head (from 1) alone. */
  function scoreOf(store, index, head = 0) {
    const n = store.layers[index].tokens.score.length;
    const heads = head ? headScores(store, index) : null;
    return heads ? heads.subarray((head - 1) * n, head * n) : store.layers[index].tokens.score;
  }

  /** log₂ of the score in units of the even share, [N]; −30 where nothing is received. */
  const lift = (store, index, head = 0) => scoreOf(store, index, head).map((s) => (s > 0 ? Math.max(-30, Math.log2(s / store.layers[index].tokens.uniform)) : -30));

  /** Indices by falling score, ties by the lower index. */
  const ranked = (score) => Array.from(score.keys()).sort((a, b) => score[b] - score[a] || a - b);

  /** Place of each patch by falling score, from 1. */
  function ranks(score) {
    const rank = new Int32Array(score.length);
    ranked(score).forEach((patch, i) => (rank[patch] = i + 1));
    return rank;
  }

  // ------------------------------------------------------------------------------------------------------ selection

  /** The nearest whole number, halves to the even one, as Python rounds. */
  function roundEven(value) {
    const low = Math.floor(value);
    const rest = value - low;
    return rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low;
  }

  const anchorCount = (budget, alpha) => roundEven((budget * alpha) / 5);

  /** The four neighbours of an anchor; see models.tokens.hiprune.neighbours for the three ways at a border. */
  function neighbours(patch, [h, w], edge) {
    const found = [patch - 1, patch + 1, patch - w, patch + w];
    if (edge === "clamp") return found.map((p) => Math.min(h * w - 1, Math.max(0, p)));
    const column = patch % w;
    return found.filter((p, i) => p >= 0 && p < h * w && (edge === "drop" || i > 1 || (i === 0 ? column > 0 : column < w - 1)));
  }

  /** Anchors, buffers and registers of two scores; see the head of this file. */
  function choose(first, second, grid, { budget, alpha, edge, release = "paper", tokens = 1 }) {
    const n = first.length;
    const exact = release === "paper";
    const [mid, deep] = exact ? [first, second] : [first, second].map((score) => score.map((s) => Math.fround(s * tokens)));
    const limit = Math.min(budget, n);
    const order = ranked(mid);
    const anchors = order.slice(0, anchorCount(limit, alpha));
    const role = new Uint8Array(n);
    for (const patch of anchors) for (const p of neighbours(patch, grid, edge)) role[p] = BUFFER;
    for (const patch of anchors) role[patch] = ANCHOR;
    const buffers = order.filter((p) => role[p] === BUFFER);
    for (const p of buffers.splice(limit - anchors.length)) role[p] = PRUNED;
    const taken = [...anchors, ...buffers];
    const rest = Float32Array.from(deep);
    for (const p of taken) rest[p] = exact ? -Infinity : rest[p] - 1;
    const registers = ranked(rest).slice(0, limit - taken.length).filter((p) => role[p] === PRUNED);
    for (const p of registers) role[p] = REGISTER;
    return described(role, [...taken, ...registers], grid, { asked: limit, first: mid, second: deep });
  }

  // --------------------------------------------------------------------------------------------------- simpler rules

  /** Exactly `count` patches spread over a grid, rising (models.tokens.baselines.evenly_spaced). */
  function evenlySpaced([h, w], count) {
    const rows = Math.min(h, Math.max(roundEven(Math.sqrt((count * h) / w)), Math.ceil(count / w)));
    const ends = Array.from({ length: rows }, (_, i) => Math.floor(((i + 1) * count) / rows));
    return ends.flatMap((end, i) => {
      const size = end - (i ? ends[i - 1] : 0);
      const row = Math.floor(((2 * i + 1) * h) / (2 * rows));
      return Array.from({ length: size }, (_, j) => row * w + Math.floor(((2 * j + 1) * w) / (2 * size)));
    });
  }

  /** As few of the most attended patches as fill the budget together with their four neighbours. */
  function crosses(order, grid, limit) {
    const covered = new Set();
    let count = 0;
    while (covered.size < limit) for (const p of [order[count], ...neighbours(order[count++], grid, "grid")]) covered.add(p);
    const anchors = order.slice(0, count);
    return { anchors, order: [...anchors, ...order.filter((p) => covered.has(p) && !anchors.includes(p))].slice(0, limit) };
  }

  /** What one of the simpler rules keeps, in its own order. */
  function chooseSimply(store, { chooser, budget, object_layer, deep_layer }) {
    const { grid } = store.layer;
    const { classRow, random } = store.payload.extras.tokens || {};
    const [first, second] = [scoreOf(store, object_layer - 1), scoreOf(store, deep_layer - 1)];
    const limit = Math.min(budget, first.length);
    const role = new Uint8Array(first.length);
    const kept = (order, code) => {
      for (const p of order) role[p] = code;
      return described(role, order, grid, { asked: limit, first, second });
    };
    if (chooser === "object layer only") return kept(ranked(first).slice(0, limit), ANCHOR);
    if (chooser === "class token") return kept(ranked(classRow).slice(0, limit), OTHER);
    if (chooser === "uniform grid") return kept(evenlySpaced(grid, limit), OTHER);
    if (chooser === "random") return kept(Array.from(random.slice(0, limit)), OTHER);
    const found = crosses(ranked(first), grid, limit);
    for (const p of found.order) role[p] = BUFFER;
    for (const p of found.anchors) role[p] = ANCHOR;
    return described(role, found.order, grid, { asked: limit, first, second });
  }

  function described(role, order, grid, more) {
    const place = new Int32Array(role.length);
    order.forEach((patch, i) => (place[patch] = i + 1));
    const counts = ROLES.map((_, code) => role.reduce((sum, r) => sum + (r === code ? 1 : 0), 0));
    const misplaced = role.map((r, p) => (r === BUFFER && !neighbours(p, grid, "grid").some((q) => role[q] === ANCHOR) ? 1 : 0));
    return { role, order, place, counts, misplaced, kept: order.length, ...more };
  }

  /** The selection as the visitor changed it by hand. */
  function byHand(found, grid, keeps, drops) {
    if (keeps.length + drops.length === 0) return found;
    const role = Uint8Array.from(found.role);
    for (const p of drops) if (p < role.length) role[p] = PRUNED;
    const added = keeps.filter((p) => p < role.length && role[p] === PRUNED).sort((a, b) => a - b);
    for (const p of added) role[p] = OTHER;
    const { asked, first, second } = found;
    return described(role, [...found.order.filter((p) => role[p] !== PRUNED), ...added], grid, { asked, first, second });
  }

  const memo = new WeakMap(); // payload → Map(settings → selection)

  function once(store, key, make) {
    if (!memo.has(store.payload)) memo.set(store.payload, new Map());
    const kept = memo.get(store.payload);
    if (!kept.has(key)) {
      if (kept.size > 200) kept.clear();
      kept.set(key, make());
    }
    return kept.get(key);
  }

  /** The selection under these settings (the present ones by default), without what was changed by hand. */
  const selectionFor = (store, settings = settingsOf(store)) => once(store, JSON.stringify(settings), () => unkept(store, settings));

  function unkept(store, settings) {
    const { grid, tokens } = store.layer;
    const [first, second] = [scoreOf(store, settings.object_layer - 1, settings.head), scoreOf(store, settings.deep_layer - 1)];
    if (settings.chooser === "registers only") return choose(first, second, grid, { ...settings, alpha: 0, release: "paper" });
    if (settings.chooser && settings.chooser !== OWN_RULE) return chooseSimply(store, settings);
    return choose(first, second, grid, { ...settings, tokens: Math.round(1 / tokens.uniform) });
  }

  /** What is drawn and sent to the reader. */
  function selection(store) {
    const { keeps, drops } = store.look;
    const settings = settingsOf(store);
    return once(store, `by hand ${JSON.stringify([settings, keeps, drops])}`, () => byHand(selectionFor(store, settings), store.layer.grid, keeps, drops));
  }

  const MOST_BUDGETS = 200;

  /** Role counts at every budget from 1 to N (of many patches at 100 of them): {budgets, rows: [role][i]}. */
  const countsByBudget = (store) => {
    const settings = settingsOf(store);
    const n = store.layer.tokens.score.length;
    return once(store, `counts ${JSON.stringify({ ...settings, budget: 0 })}`, () => {
      const budgets = n <= MOST_BUDGETS ? Array.from({ length: n }, (_, i) => i + 1) : Array.from({ length: 100 }, (_, i) => Math.max(1, Math.round(((i + 1) * n) / 100)));
      const rows = ROLES.map(() => new Uint16Array(budgets.length));
      budgets.forEach((budget, i) => {
        const { counts } = unkept(store, { ...settings, budget });
        counts.forEach((count, code) => (rows[code][i] = count));
      });
      return { budgets, rows };
    });
  };

  /** |log₂| of times the even share at the ends of the colour scale: one for all layers of a picture, never below √2. */
  const reach = (store) =>
    once(store, "reach", () => {
      const all = store.layers.flatMap((_, i) => Array.from(lift(store, i), Math.abs)).filter((v) => v < 30);
      const most = HS.maths.quantile(all, 0.98);
      return [0.5, 1, 2].find((end) => most <= end) || 3;
    });

  // ----------------------------------------------------------------------------------------------------- the object

  const TOP = 0.1;

  /** 1 on the chosen segment, 0 beside it, −1 where unknown, [N]; null without segments. */
  function objectMask(store) {
    const { segments, extras } = store.payload;
    const name = objectName(store);
    if (!segments || name === null || extras.tokens === undefined) return null;
    return Int8Array.from(segments.labels, (label) => (label === 255 ? -1 : label === name ? 1 : 0));
  }

  /** The segment that counts as the object: that of the visitor's choice, else the one in the middle of the picture. */
  function objectName(store) {
    const { segments, extras } = store.payload;
    if (!segments) return null;
    const { object } = store.look;
    return object !== null && segments.labels.includes(object) ? object : (extras.tokens || {}).object ?? null;
  }

  /** IoU of the most attended tenth with the object, area under the ROC curve, precision of as many as the object has; null where there is no object. */
  function centricity(score, inside, top = TOP) {
    const known = Array.from(score.keys()).filter((p) => inside[p] >= 0);
    const m = known.filter((p) => inside[p] > 0).length;
    const n = known.length;
    if (m === 0 || m === n) return null;
    const order = known.sort((a, b) => score[b] - score[a] || a - b);
    const count = Math.max(1, roundEven(top * n));
    const hits = (k) => order.slice(0, k).filter((p) => inside[p] > 0).length;
    const both = hits(count);
    const rank = HS.maths.ranks(order.map((p) => score[p]));
    const sum = order.reduce((total, p, i) => total + (inside[p] > 0 ? rank[i] : 0), 0);
    return { iou: both / (count + m - both), auc: (sum - (m * (m + 1)) / 2) / (m * (n - m)), precision: hits(m) / m, share: m / n, most: Math.min(count, m) / Math.max(count, m), chance: expectedIou(n, count, m) };
  }

  /** Mean IoU of random sets of these sizes out of n (the overlap is hypergeometric). */
  function expectedIou(n, one, other) {
    const log = (k) => once.gamma[k] ?? (once.gamma[k] = k < 2 ? 0 : log(k - 1) + Math.log(k));
    for (let k = 0; k <= n; k++) log(k);
    const choose = (a, b) => log(a) - log(b) - log(a - b);
    let mean = 0;
    for (let both = Math.max(0, one + other - n); both <= Math.min(one, other); both++) {
      mean += (Math.exp(choose(one, both) + choose(n - one, other - both) - choose(n, other)) * both) / (one + other - both);
    }
    return mean;
  }
  once.gamma = [];

  /** How widely and how far the heads of a layer look, {entropy [H], distance [H]}; empty where it was not measured. */
  const profile = (store, index) => ((store.payload.extras.tokens || {}).profiles || [])[index] || {};

  const FUSIONS = ["mean", "max", "min"];

  /** Attention followed through all layers, under the look's way of joining heads, [N]; null where windows stand in the way. */
  function rollout(store) {
    const wanted = (item) => item.fusion === store.look.fusion && item.discard > 0 === store.look.discard;
    const found = ((store.payload.extras.tokens || {}).rollouts || []).find(wanted);
    return found ? found.values : null;
  }

  /** Rank correlation between the scores of all layers, [L][L]. */
  const likeness = (store) =>
    once(store, "likeness", () => {
      const rank = store.layers.map((layer) => {
        const values = HS.maths.ranks(layer.tokens.score);
        const mean = (values.length + 1) / 2;
        const length = Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0));
        return length > 0 ? values.map((v) => (v - mean) / length) : null;
      });
      const dot = (a, b) => (a && b ? Math.max(-1, Math.min(1, a.reduce((sum, v, i) => sum + v * b[i], 0))) : NaN);
      return rank.map((a) => rank.map((b) => dot(a, b)));
    });

  /** The layer after which a curve rises most (from 1), and by how much. */
  function elbow(curve) {
    let best = 0;
    for (let i = 1; i + 1 < curve.length; i++) if (curve[i + 1] - curve[i] > curve[best + 1] - curve[best]) best = i;
    return { layer: best + 1, rise: curve[best + 1] - curve[best] };
  }

  // ----------------------------------------------------------------------------------------------------- the answer

  const answers = new WeakMap(); // store → {key, prediction, refusal, stop}

  const keyOf = (store) => `${store.payload.run} ${store.payload.picture.name} ${selection(store).order.slice().sort((a, b) => a - b).join()}`;

  /** True where something reads the patches and answers. */
  const isRead = (store) => store.payload.prediction.length > 0 && Boolean((store.payload.extras.tokens || {}).full);

  /** Ask the server what the reader says of the present selection, unless that is known. */
  function follow(store) {
    if (!isRead(store) || !differs(store)) return;
    if (!answers.has(store)) {
      const state = { key: "", prediction: null };
      answers.set(store, state);
      store.onAnswer("ask", ({ question, result }) => {
        if (question !== "answer" || !state.asked) return;
        Object.assign(state, { key: state.asked, prediction: result.prediction });
      });
    }
    const state = answers.get(store);
    const key = keyOf(store);
    if (state.key === key || state.asked === key) return;
    state.asked = key;
    store.ask("ask", { question: "answer", patches: selection(store).order });
  }

  /** What the reader says: {before: of all patches, now: of the kept ones or null while it is not known}. */
  function told(store) {
    if (!isRead(store)) return null;
    const before = store.payload.extras.tokens.full;
    if (!differs(store)) return { before, now: store.payload.prediction };
    const state = answers.get(store);
    return { before, now: state && state.key === keyOf(store) ? state.prediction : null, late: state ? state.prediction : null };
  }

  HS.tokens = {
    ROLES, SETTINGS, FUSIONS, RULES, rollout, OWN_RULE, TOP, settingsOf, offers, evenlySpaced, differs, isFull, headScores, wantHeads, scoreOf, lift, ranked, ranks, roundEven, anchorCount, neighbours, choose,
    selectionFor, selection, countsByBudget, reach, profile, objectMask, objectName, centricity, expectedIou, likeness, elbow, isRead, follow, told,
  };
})();
