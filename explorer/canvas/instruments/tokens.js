// @wing tokens
/**
 * The instrument of token selections: which patches an encoder keeps, in which role, beside the attention from which they were
 * chosen. Every layer shows its own attention; the selection is one for the whole encoder. Layers and heads count from 1.
 */
(() => {
  "use strict";

  const ENDS = { 0.5: ["≤ 0.7 ×", "≥ 1.4 ×"], 1: ["≤ ½ ×", "≥ 2 ×"], 2: ["≤ ¼ ×", "≥ 4 ×"], 3: ["≤ ⅛ ×", "≥ 8 ×"] };
  const ROLES = [
    null,
    { name: "anchor", letter: "A", colour: "#F0E442", width: 3, words: "most attended in the object layer" },
    { name: "buffer", letter: "B", colour: "#E69F00", width: 2, words: "beside an anchor" },
    { name: "register", letter: "R", colour: "#2BC79A", width: 2, words: "most attended in the deep layer among the rest" },
    { name: "prompt", letter: "P", colour: "#CC79A7", width: 2, words: "close to the prompt" },
    { name: "kept by hand", letter: "H", colour: "#56B4E9", width: 2, words: "chosen by you" },
  ];
  const KEPT = { ...ROLES[5], name: "kept", letter: "K", words: "chosen by the simpler rule" };
  const WRONG = HS.MEANING ? HS.MEANING.cut : "#FF6B4A";
  const LETTERS_FROM = 13; // pixels of a cell
  const PIN_MARKS = Array.from({ length: 26 }, (_, i) => String(i + 1)); // letters are the roles' here

  const { number, word, patchList } = HS.checks;
  const orNull = (check) => (v) => (v === null ? null : check(v));
  HS.lookField("draw", "both", word("both", "roles", "attention"));
  HS.lookField("until", null, orNull(number(0, 65535, true)));
  HS.lookField("keeps", [], patchList);
  HS.lookField("drops", [], patchList);
  HS.lookField("object", null, orNull(number(0, 254, true)));
  HS.lookField("fusion", "mean", word("mean", "max", "min"));
  HS.lookField("discard", false, (v) => (typeof v === "boolean" ? v : undefined));
  // null: as the model had it.
  HS.lookField("budget", null, orNull(number(1, 65535, true)));
  HS.lookField("alpha", null, orNull(number(0, 1)));
  HS.lookField("edge", null, orNull(word("clamp", "drop", "grid")));
  HS.lookField("object_layer", null, orNull(number(1, 999, true)));
  HS.lookField("deep_layer", null, orNull(number(1, 999, true)));
  HS.lookField("head", null, orNull(number(0, 999, true)));
  HS.lookField("release", null, orNull(word("paper", "Qwen code")));
  HS.lookField("chooser", "HiPrune", (v) => (HS.tokens.RULES.includes(v) ? v : undefined));

  const T = () => HS.tokens;
  /** What a role is called and how it is drawn; patches that a simpler rule keeps have none of HiPrune's. */
  const roleOf = (store, code) => (code === 5 && T().settingsOf(store).chooser !== T().OWN_RULE ? KEPT : ROLES[code]);
  const times = (value) => `${value >= 10 ? Math.round(value) : Number(value.toPrecision(2))} ×`;
  const nth = (i) => `${i}${["th", "st", "nd", "rd"][i % 100 > 10 && i % 100 < 14 ? 0 : Math.min(i % 10, 4) % 4] || "th"}`;

  // ------------------------------------------------------------------------------------------------------ painting

  const attentionHeat = (store, index, head = 0) => ({ values: T().lift(store, index, head), grid: store.layers[index].grid, scale: { kind: "diverging", max: T().reach(store) } });
  const ends = (store) => ENDS[T().reach(store)];

  /** True where a kept patch is drawn already: the choice may be shown step by step. */
  const isShown = (store, found, patch) => found.place[patch] > 0 && (store.look.until === null || found.place[patch] <= store.look.until);

  function paintRoles(ctx, frame, store, { veil, fill = 0, letters = true }) {
    const { grid } = store.layer;
    const found = T().selection(store);
    const dark = HS.newPath(ctx);
    for (let p = 0; p < found.role.length; p++) {
      if (isShown(store, found, p)) continue;
      const [x, y, w, h] = HS.cellRect(frame, grid, p);
      box(dark, pixel(x), pixel(y), pixel(x + w) - pixel(x), pixel(y + h) - pixel(y));
    }
    ctx.fillStyle = `rgb(8 10 14 / ${veil})`;
    ctx.fill(dark);
    for (let p = 0; p < found.role.length; p++) if (isShown(store, found, p)) paintRole(ctx, HS.cellRect(frame, grid, p), roleOf(store, found.role[p]), found.misplaced[p] === 1, fill, letters);
  }

  /** Whole pixels, so that no seam shows between cells; a hair more, so that both neighbours of a border round it alike. */
  const pixel = (value) => Math.round(value + 1e-6);

  function box(path, x, y, w, h) {
    path.moveTo(x, y);
    path.lineTo(x + w, y);
    path.lineTo(x + w, y + h);
    path.lineTo(x, y + h);
    path.closePath();
  }

  /** The frame of a kept patch in the colour of its role, and its letter. */
  function paintRole(ctx, [x, y, w, h], role, wrong, fill, letters) {
    const inset = role.width / 2 + 0.5;
    if (fill) {
      ctx.globalAlpha = fill;
      ctx.fillStyle = role.colour;
      ctx.fillRect(x, y, w, h);
      ctx.globalAlpha = 1;
    }
    ctx.lineWidth = role.width + 1.5;
    ctx.strokeStyle = "rgb(0 0 0 / 0.55)";
    ctx.strokeRect(x + inset, y + inset, w - 2 * inset, h - 2 * inset);
    ctx.lineWidth = role.width;
    ctx.strokeStyle = wrong ? WRONG : role.colour;
    ctx.setLineDash(wrong ? [4, 3] : []);
    ctx.strokeRect(x + inset, y + inset, w - 2 * inset, h - 2 * inset);
    ctx.setLineDash([]);
    if (letters && w >= LETTERS_FROM) paintLetter(ctx, x + w / 2, y + h / 2, role, Math.min(14, w * 0.5));
  }

  function paintLetter(ctx, x, y, role, size) {
    ctx.font = `650 ${Math.round(size)}px system-ui, sans-serif`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    ctx.lineWidth = 3;
    ctx.strokeStyle = "rgb(0 0 0 / 0.75)";
    ctx.lineJoin = "round";
    if (ctx.strokeText) ctx.strokeText(role.letter, x, y + 0.5);
    ctx.fillStyle = role.colour;
    ctx.fillText(role.letter, x, y + 0.5);
  }

  function base(ctx, pane, store, env) {
    const { look } = store;
    const image = look.seen ? env.images.seen : env.images.shown;
    const mapped = look.heat || look.draw !== "roles";
    if (!look.heat && mapped) {
      HS.drawPicture(ctx, pane.frame, image, look.seen);
      HS.greyOut(ctx, pane.frame);
      HS.drawHeat(ctx, pane.frame, attentionHeat(store, pane.layer, T().settingsOf(store).head && pane.layer + 1 === T().settingsOf(store).object_layer ? T().settingsOf(store).head : 0), 0.74);
    }
    if (look.draw !== "attention") paintRoles(ctx, pane.frame, store, { veil: mapped ? 0.45 : 0.7, fill: mapped ? 0 : 0.16 });
  }

  function overlay(ctx, pane, store, { main, lit, rows, grid, images }) {
    const { look } = store;
    const follows = HS.followsFocus(look.heat) && HS.heatOf(store, pane.layer, look.heat, rows);
    if (follows) {
      HS.drawPicture(ctx, pane.frame, look.seen ? images.seen : images.shown, look.seen);
      HS.greyOut(ctx, pane.frame);
      HS.drawHeat(ctx, pane.frame, follows, 0.78);
      if (look.draw !== "attention") paintRoles(ctx, pane.frame, store, { veil: 0.25, letters: false });
    }
    grid();
    const focus = main || lit[lit.length - 1];
    if (focus && look.draw !== "attention") paintCross(ctx, pane, store, focus.patch);
  }

  /** From an anchor to the four patches that its rule calls neighbours; what runs round a row or was clamped, in red. */
  function paintCross(ctx, pane, store, patch) {
    const found = T().selection(store);
    if (found.role[patch] !== 1) return;
    const { grid } = store.layers[pane.layer];
    const true_ = T().neighbours(patch, grid, "grid");
    for (const p of new Set(T().neighbours(patch, grid, T().settingsOf(store).edge))) {
      const wrong = !true_.includes(p);
      const [x1, y1] = HS.cellCentre(pane.frame, grid, patch);
      const [x2, y2] = HS.cellCentre(pane.frame, grid, p);
      for (const [colour, width] of [["rgb(0 0 0 / 0.7)", 5], [wrong ? WRONG : ROLES[2].colour, 2.5]]) {
        ctx.beginPath();
        ctx.setLineDash(wrong && width < 4 ? [5, 4] : []);
        ctx.moveTo(x1, y1);
        ctx.lineTo(x2, y2);
        ctx.strokeStyle = colour;
        ctx.lineWidth = width;
        ctx.stroke();
      }
      ctx.setLineDash([]);
    }
  }

  /** On the film strip: the attention of each layer; the object layer is marked with A, the deep one with R. */
  function thumb(ctx, frame, store, index) {
    if (!store.look.heat) {
      HS.greyOut(ctx, frame);
      HS.drawHeat(ctx, frame, attentionHeat(store, index), 0.85);
    }
    const { object_layer: first, deep_layer: second } = T().settingsOf(store);
    const marks = [index + 1 === first && ROLES[1], index + 1 === second && ROLES[3]].filter(Boolean);
    marks.forEach((role, i) => {
      ctx.fillStyle = "rgb(10 12 16 / 0.9)";
      ctx.fillRect(frame.x + frame.width - 16 * (i + 1), frame.y + frame.height - 16, 16, 16);
      paintLetter(ctx, frame.x + frame.width - 16 * i - 8, frame.y + frame.height - 8, role, 12);
    });
  }

  // ---------------------------------------------------------------------------------------------------------- maps

  const map = (title, unit, make, available = () => true, more = {}) => ({ kind: "tokens", title, unit, available, make, ...more });
  const extra = (store, name) => (store.payload.extras.tokens || {})[name];
  const overEven = (store, values) => {
    const even = 1 / values.length;
    return { values: values.map((v) => (v > 0 ? Math.max(-30, Math.log2(v / even)) : -30)), grid: store.layer.grid, scale: { kind: "diverging", max: T().reach(store) } };
  };

  Object.assign(HS.madeMaps, {
    rank: map("Rank of the attention", "th", (store, index) => {
      const values = T().ranks(T().scoreOf(store, index));
      return { values, grid: store.layers[index].grid, scale: { kind: "reversed", min: 1, max: values.length } };
    }),
    looks: map("What the chosen patch looks at", "log₂ of times the even share", (store, index, rows) => {
      const patch = store.focus(index);
      const row = patch === null || !rows ? null : rows.get(`${index} ${patch}`);
      if (!row) return null;
      const sum = row.reduce((a, b) => a + b, 0) || 1;
      return { ...overEven(store, row.map((v) => v / sum)), note: `of its attention ${HS.percent(sum)} stays among the patches` };
    }, () => true, { follows: true, question: "attention" }),
    flow: map("Attention rollout from the answer", "log₂ of times the even share", (store) => ofEncoder(store, T().rollout(store))),
    class_row: map("What the class token looks at (deep layer)", "log₂ of times the even share", (store) => ofEncoder(store, "classRow"), (layer) => layer.tokens.prefix > 0),
  });

  /** A map of the whole encoder, in units of its even share; null where it was not made. */
  function ofEncoder(store, found) {
    const values = typeof found === "string" ? extra(store, found) : found;
    if (!values) return null;
    const sum = values.reduce((a, b) => a + b, 0) || 1;
    return overEven(store, values.map((v) => v / sum));
  }

  // --------------------------------------------------------------------------------------------------------- words

  const swatch = (role) => HS.el("i", { class: "hs-role", style: `--c:${role.colour}`, "aria-hidden": true }, role.letter);

  function legend(store) {
    const { look } = store;
    const found = T().selection(store);
    const entries = [];
    if (!look.heat && look.draw !== "roles") entries.push(attentionScale(store));
    if (look.draw !== "attention") {
      ROLES.forEach((_, code) => {
        const role = roleOf(store, code);
        if (!role || !found.counts[code]) return;
        const node = HS.legend.entry(swatch(role), `${role.name} ${found.counts[code]}`);
        node.title = role.words;
        entries.push(node);
      });
    }
    return { entries, facts: facts(store, found).map((fact) => HS.legend.entry("", fact)) };
  }

  function attentionScale(store) {
    const node = HS.legend.scale("attention received, times the even share", "diverging", ...ends(store));
    node.title = "One scale for all layers of this picture; white is the even share.";
    node.querySelector(".hs-scale").classList.add("hs-centred");
    return node;
  }

  function facts(store, found) {
    const told = [];
    const wrong = found.misplaced.reduce((a, b) => a + b, 0);
    const byHand = store.look.keeps.length + store.look.drops.length > 0;
    const settings = T().settingsOf(store);
    if (settings.chooser !== T().OWN_RULE) told.push(`chosen by: ${RULE_NAMES[settings.chooser][1]}`);
    if (wrong) told.push(`red dashes: ${HS.plural(wrong, "buffer")} that ${wrong === 1 ? "touches" : "touch"} no anchor`);
    if (!byHand && found.kept < found.asked) told.push(`${found.asked - found.kept} fewer kept than asked for: patches were chosen twice`);
    if (found.counts[1] === 0 && settings.alpha > 0 && settings.chooser === T().OWN_RULE) told.push("the budget is too small for an anchor");
    if (store.layer.tokens.windowed) told.push("this layer attends inside windows");
    return told;
  }

  /** "row 3, column 7: register, 31st chosen; layer 4: 1.4 × even, rank 40; layer 8: …": attention in units of the even share. */
  function sentence(store) {
    const { look } = store;
    const patch = store.focus(look.layer);
    if (patch === null) return "";
    const found = T().selection(store);
    const settings = T().settingsOf(store);
    const role = roleOf(store, found.role[patch]);
    const { uniform } = store.layer.tokens;
    const inLayer = (index, head) => {
      const score = T().scoreOf(store, index, head);
      return `layer ${index + 1}${head ? `, head ${head}` : ""}: ${times(score[patch] / uniform)} even, rank ${T().ranks(score)[patch]}`;
    };
    const layers = [...new Map([[settings.object_layer, settings.head], [settings.deep_layer, 0], [look.layer + 1, 0]])].sort((a, b) => a[0] - b[0]);
    const what = role ? `${role.name}, ${nth(found.place[patch])} chosen${reason(store, found, patch)}` : store.look.drops.includes(patch) ? "dropped by you" : "thrown away";
    return `${HS.place(patch, store.layer.grid)}: ${what}; ${layers.map(([layer, head]) => inLayer(layer - 1, head)).join("; ")}`;
  }

  function reason(store, found, patch) {
    if (found.role[patch] !== 2) return "";
    const { grid } = store.layer;
    const { edge } = T().settingsOf(store);
    const anchor = found.order.find((p) => found.role[p] === 1 && T().neighbours(p, grid, edge).includes(patch));
    if (anchor === undefined) return "";
    return found.misplaced[patch] ? `, though it does not touch the anchor at ${HS.place(anchor, grid)}` : `, beside the anchor at ${HS.place(anchor, grid)}`;
  }

  // ------------------------------------------------------------------------------------------------------ controls

  const BORDERS = [["clamp", "as released"], ["drop", "as in the paper"], ["grid", "true ones"]];
  const RULE_NAMES = {
    HiPrune: ["HiPrune", "HiPrune"],
    "registers only": ["deep layer only", "the most attended patches of the deep layer (registers only, α = 0)"],
    "anchors and buffers only": ["anchors and buffers only", "the most attended patches of the object layer with their neighbours"],
    "object layer only": ["object layer only", "the most attended patches of the object layer"],
    "class token": ["class token’s row", "what the class token looks at in the deep layer"],
    "uniform grid": ["even grid", "patches spread evenly over the picture"],
    random: ["random", "any patches (one fixed draw; its first ones are drawn at a smaller budget)"],
  };
  const RELEASES = [["paper", "paper"], ["Qwen code", "Qwen’s code"]];

  /** The group “Which patches remain”: settings that the browser answers, the choice step by step, the run with these settings. */
  function createSection(store) {
    const { range, segments, choice } = HS.inputs;
    const none = { ...Object.fromEntries(T().SETTINGS.map((setting) => [setting, null])), chooser: T().OWN_RULE, keeps: [], drops: [], until: null };
    const set = (setting) => (value) => store.set({ [setting]: value });
    const slider = (setting, label, hint, more = {}) => range({ label, hint, min: 1, max: 1, step: 1, value: 1, ...more, oninput: set(setting) });
    const inputs = {
      budget: slider("budget", "Patches kept", "How many patches go on. Chosen again here, in the browser, for every position."),
      alpha: slider("alpha", "Share for the object, α", "Share of the budget for anchors and their neighbours; the paper takes 0.1.", { min: 0, max: 1, step: 0.05, format: (v) => String(Number(v.toFixed(2))) }),
      object_layer: slider("object_layer", "Object layer", "Anchors are its most attended patches."),
      deep_layer: slider("deep_layer", "Deep layer", "Registers are its most attended patches among the rest."),
      edge: segments({ label: "Neighbours at a border", options: BORDERS, value: "clamp", onchange: set("edge") }),
      head: range({ label: "Head of the object layer", hint: "0 is the mean over the heads.", min: 0, max: 1, step: 1, value: 0, format: (v) => (v ? String(v) : "mean"), oninput: set("head") }),
      release: segments({ label: "Choosing registers", options: RELEASES, value: "paper", onchange: set("release") }),
    };
    const offered = () => T().RULES.filter((rule) => T().offers(store, rule)).map((rule) => [rule, RULE_NAMES[rule][0]]);
    const chooser = choice({ label: "Chosen by", hint: "HiPrune, or one of the simpler rules that it is compared with.", options: offered(), value: store.look.chooser, onchange: (value) => store.set({ chooser: value, until: null }) });
    const presets = HS.el("div", { class: "hs-presets", role: "group", "aria-label": "Budgets of the paper" });
    const steps = range({ label: "Step by step", hint: "The choice in its order: anchors, their neighbours, registers.", min: 0, max: 1, step: 1, value: 1, oninput: (value) => store.set({ until: value >= T().selection(store).kept ? null : value }) });
    const play = HS.el("button", { type: "button", class: "hs-button", onclick: () => (timer ? halt() : start()) }, "Play the choice");
    const count = HS.el("p", { class: "hs-count", "aria-live": "polite" });
    const reset = HS.el("button", { type: "button", class: "hs-link", onclick: () => store.set(none) }, "as the model had it");
    const run = HS.el("button", { type: "button", class: "hs-button", onclick: runWithThis }, "Run the model with this");
    const more = HS.el("details", { class: "hs-more" }, HS.el("summary", {}, "More"), HS.el("div", { class: "hs-fields" }, ...["edge", "head", "release"].map((key) => inputs[key].element)));
    const element = HS.el(
      "section",
      { class: "hs-group" },
      HS.el("h3", {}, "Which patches remain"),
      inputs.budget.element, presets, chooser.element, ...["alpha", "object_layer", "deep_layer"].map((key) => inputs[key].element), steps.element, play,
      HS.el("div", { class: "hs-count-row" }, count, reset), run, more,
    );
    let timer = 0;

    /** One by one through anchors and neighbours, then registers in growing strides: some five seconds for any budget. */
    function start() {
      if (HS.calm()) return store.set({ until: null });
      let at = 0;
      const next = () => {
        const found = T().selection(store);
        const near = found.counts[1] + found.counts[2];
        at += at < near ? Math.max(1, Math.round(near / 20)) : Math.max(1, Math.round((found.kept - near) / 30));
        if (at >= found.kept || !element.isConnected) return halt();
        store.set({ until: at });
        timer = setTimeout(next, 110);
      };
      timer = setTimeout(next, 0);
      play.textContent = "Stop";
    }

    function halt() {
      clearTimeout(timer);
      timer = 0;
      play.textContent = "Play the choice";
      store.set({ until: null });
    }

    function transferable() {
      const { own } = store.layer.tokens;
      const names = store.payload.controls.widgets.map((w) => w.name);
      return Object.fromEntries(Object.entries(T().settingsOf(store)).filter(([setting, value]) => names.includes(setting) && value !== own[setting]));
    }

    function runWithThis() {
      const controls = transferable();
      store.set(Object.fromEntries(Object.keys(controls).map((setting) => [setting, null])));
      HS.askRun(store, { controls });
    }

    function drawPresets(settings) {
      const known = (extra(store, "presets") || []).filter((budget) => budget >= 1);
      const n = store.layer.tokens.score.length;
      presets.hidden = known.length === 0;
      presets.replaceChildren(
        ...known.map((budget) => HS.el("button", { type: "button", class: "hs-preset", "aria-pressed": String(settings.budget === budget), onclick: () => store.set({ budget }) }, `${HS.percent(budget / n)}`)),
      );
    }

    return {
      element,
      draw() {
        const settings = T().settingsOf(store);
        const n = store.layer.tokens.score.length;
        inputs.budget.bound(1, n);
        for (const name of ["object_layer", "deep_layer"]) inputs[name].bound(1, store.layers.length);
        inputs.head.bound(0, store.layer.tokens.headCount);
        for (const [setting, input] of Object.entries(inputs)) input.set(settings[setting]);
        chooser.fill(offered());
        chooser.set(settings.chooser);
        inputs.alpha.element.hidden = settings.chooser !== T().OWN_RULE;
        if (store.look.head) T().wantHeads(store, settings.object_layer - 1, () => store.touch("head"));
        drawPresets(settings);
        const found = T().selection(store);
        steps.bound(0, found.kept);
        steps.set(store.look.until === null ? found.kept : Math.min(store.look.until, found.kept));
        count.textContent = `${found.kept} of ${n} patches kept`;
        reset.hidden = !T().differs(store) && store.look.until === null;
        run.hidden = Object.keys(transferable()).length === 0;
        run.disabled = !store.host.live;
        T().follow(store);
      },
    };
  }

  /** Inputs of the group “Look”. */
  function lookInputs(store, set) {
    const { segments } = HS.inputs;
    const options = [["both", "both"], ["roles", "what remains"], ["attention", "attention"]];
    return { main: { draw: segments({ label: "Show", options, value: store.look.draw, onchange: set("draw") }) }, more: {}, draw() {} };
  }

  // ---------------------------------------------------------------------------------------------------- by hand

  /** A row for each pin under the prediction: keep it or throw it away, whatever the rule says. */
  function cutRows(store) {
    if (!T().isRead(store)) return [];
    const found = T().selectionFor(store);
    return store.look.pins.slice(0, 4).map((patch, i) => {
      const kept = found.role[patch] !== 0;
      const list = kept ? "drops" : "keeps";
      const text = kept ? ["throw it away", "The reader does not see this patch"] : ["keep it", "The reader sees this patch too"];
      return {
        mark: PIN_MARKS[i],
        kinds: [["keep", ...text]],
        pressed: () => store.look[list].includes(patch),
        toggle: () => store.set({ [list]: store.look[list].includes(patch) ? store.look[list].filter((p) => p !== patch) : [...store.look[list], patch].slice(-26) }),
      };
    });
  }

  /** What the reader says of all patches and of those that remain. */
  function told(store) {
    const found = T().told(store);
    if (!found) return null;
    const { kept } = T().selection(store);
    const n = store.layer.tokens.score.length;
    const waiting = found.now === null && store.host.live;
    const note = found.now ? `Thin bar: the reader sees all ${n} patches. Thick bar: only the ${kept} that remain.` : waiting ? "Reading what remains …" : "What the reader says of this choice needs the live app.";
    const what = extra(store, "answers") || "prediction";
    return { before: found.before, after: found.now || (waiting ? found.late : null), title: `${what[0].toUpperCase()}${what.slice(1)} from all patches, and from what remains`, note };
  }

  // --------------------------------------------------------------------------------------------------- attribution

  const byKept = (store, values) => {
    const { role } = T().selection(store);
    let [kept, all] = [0, 0];
    values.forEach((v, p) => {
      all += Math.abs(v);
      if (role[p]) kept += Math.abs(v);
    });
    return all > 0 ? kept / all : NaN;
  };

  const reads = {
    options: [["layer", "this layer", "Attention that each patch receives in the layer on show"], ["deep", "deep layer", "Attention in the layer from which registers are chosen"]],
    keys: [...T().SETTINGS, "chooser", "keeps", "drops"],
    noun: (store, value) => `attention lies${value === "deep" ? " in the deep layer" : ""}`,
    map(store, value) {
      const index = value === "deep" ? T().settingsOf(store).deep_layer - 1 : store.look.layer;
      return { ...attentionHeat(store, index), title: `Attention, layer ${index + 1}`, ends: ends(store) };
    },
    /** How much of the attribution the kept patches hold, as a diagnostic. */
    measures(store, pooled) {
      const value = byKept(store, pooled);
      const { kept, role } = T().selection(store);
      if (!Number.isFinite(value)) return [];
      const chance = kept / role.length;
      const words = value > 1.15 * chance ? "more than chance: what the answer rests on is kept" : value < 0.87 * chance ? "less than chance: what the answer rests on was thrown away" : "about as much as chance";
      return [{
        key: "kept_mass", name: "Attribution that is kept", value, unit: "share", level: "info",
        hint: `As many patches at random would hold ${HS.percent(chance)}; this is ${words}.`,
        formula: "Σ over the kept patches |a| ÷ Σ over all patches |a|; a: the attribution, summed inside each patch",
        source: "ours, as `kept_mass` in explorer.diagnostics.selection",
      }];
    },
  };

  // ----------------------------------------------------------------------------------------------------- take home

  function table(store) {
    const found = T().selection(store);
    const settings = T().settingsOf(store);
    const [, cols] = store.layer.grid;
    const [first, second, here] = [T().scoreOf(store, settings.object_layer - 1, settings.head), T().scoreOf(store, settings.deep_layer - 1), store.layer.tokens.score];
    return Array.from(found.role, (role, patch) => ({
      patch,
      row: Math.floor(patch / cols) + 1,
      column: (patch % cols) + 1,
      role: T().ROLES[role],
      chosen: found.place[patch] || null,
      object_score: first[patch],
      deep_score: second[patch],
      layer_score: here[patch],
    }));
  }

  function asJson(store) {
    const { name: layer, label, grid } = store.layer;
    const meaning = "chosen: place in the order of choice, from 1; scores: attention that the patch receives, mean over the queries; patches count in raster order";
    return JSON.stringify({ exhibit: store.payload.exhibit.slug, layer, label, grid, settings: T().settingsOf(store), meaning, patches: table(store) }, null, 1);
  }

  function asCsv(store) {
    const rows = table(store);
    const columns = Object.keys(rows[0]);
    return [columns.join(","), ...rows.map((row) => columns.map((column) => row[column] ?? "").join(","))].join("\n");
  }

  // --------------------------------------------------------------------------------------------------------- check

  function check(layer) {
    const t = layer.tokens;
    const n = layer.grid[0] * layer.grid[1];
    const wrong = (what) => new HS.Refusal(`The layer “${layer.label}” does not fit together (${what}). Run it again.`);
    if (!t || !t.own) throw wrong("it holds no selection");
    HS.requireShape({ ...t, label: layer.label }, "score", [n], false);
    HS.requireShape({ ...t, label: layer.label }, "heads", [t.headCount, n], true);
  }

  HS.instrument({
    kind: "tokens",
    check,
    base,
    overlay,
    thumb,
    legend,
    sentence,
    invitation: "Point at a patch to see why it stays or goes; click to keep it in view.",
    settings: () => T().SETTINGS,
    section: createSection,
    lookInputs,
    pinMarks: PIN_MARKS,
    cutKinds: [],
    cutRows,
    cutHint: (store) => (T().isRead(store) ? "Pin a patch to keep it or throw it away by hand." : ""),
    told,
    reads,
    asJson,
    asCsv,
    /** For the zip file: exactly the patches that are on show, where the visitor chose others than the run did. */
    bundleCuts: (store) => (T().differs(store) ? [{ layer: "*", kind: "keep", pairs: T().selection(store).order.map((patch) => [patch, -1]) }] : []),
  });

  HS.roles = { ROLES, WRONG, attentionHeat, ends, reach: (store) => T().reach(store), paintRoles, paintLetter, times };
})();
