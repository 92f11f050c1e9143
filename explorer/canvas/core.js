/**
 * Hyperscope canvas: the ground floor. Everything lives in one object, `HS`; the files are joined in this order:
 * this file first, mount.js last, the rest in any order (they meet when they are called).
 *
 * HS.decode(text)                 payload with typed arrays (each carries `.shape`); throws HS.Refusal with a sentence
 * HS.createStore(payload, host)   the state of one exhibit:
 *   .payload .layers .look .hover   current values; treat them as read-only
 *   .layer                          the layer of look.layer (object of payload.layers)
 *   .set(change)                    change part of the look; `rule` merges key by key, `rule: null` empties it
 *   .setHover({layer, patch, side}) side: "target" (a patch of layer.grid) or "key" (a cell of layer.keyGrid); null clears
 *   .hoverEdge .setHoverEdge(edge, layerIndex?)   the hyperedge under the pointer, {layer, edge} or null; changes "hover" too
 *   .load(payload)                  a new payload: look is kept as far as it still means something
 *   .subscribe(fn)                  fn(Set of changed keys) → unsubscribe. Keys are those of look, plus "hover", "cuts",
 *                                   "payload", "answer". Calls are collected: one per turn of the event loop
 *   .graph(layerIndex, rule?)       memoised Graph under look.rule (see graph.js); `{}` gives it as the model had it
 *   .across(from, patch, to)        the patch of another layer's grid that holds the centre of this one
 *   .keyOf(layer, patch)            the cell of the key grid that holds the centre of a patch
 *   .patchesOfKey(layer, key)       the patches whose centre lies in a cell of the key grid
 *   .keyAcross(from, key, to)       the key cell of another layer that holds the centre of this key cell
 *   .focus(layerIndex)              patch under the pointer on this layer's grid, else the newest pin, else null
 *   .pins(layerIndex)               the pins on this layer's grid
 *   .togglePin(patch, layerIndex?)  pin or unpin
 *   .cuts .toggleCutPatch(patch, kind) .cutEdgesOf(patch) .isCut(layerIndex, target, source) .clearCuts()
 *   .cutList.toggleWhole(kind, number, layerName) .hasWhole(…)   a whole part of one layer, by its number (a hyperedge)
 *   .ask(name, data)                sends a question to the page; returns its request number, null without a server
 *   .onAnswer(kind, fn)             fn(answer, request) for the newest request of that kind; kind "refusal" gets
 *                                   {name, message}; returns unsubscribe. Arrays inside answers are decoded
 *                                   ask("ask", {question, …}): a question of the exhibit's own; the answer has {question, result}.
 *                                   ask("stream", {question, …}): many answers {question, frame, result, done}; the last has
 *                                   done true, the last result again and reason "end", "stopped" or "time"
 *   .stop()                         ends the stream under way
 *   .uploading                      true while the server has a picture of the visitor's and has not answered
 *   .progress()                     Promise of {done, of} of the run under way (layers), or null
 *   .lookup(question)               Promise of a small answer (arrays decoded), null where there is no server
 *   .prediction                     that of the payload, or of the chosen layer's own network (extras.predictions)
 *   .landed(request)                a request was answered by another way (a run answers with a payload)
 *   .asking(name)                   true while the newest question of that name has no answer
 *   .permalink()                    Promise of the address of this state
 * HS.instrument({kind, check(layer), base(ctx, pane, store, env), overlay(ctx, pane, store, env), thumb(ctx, frame, store, i),
 *   legend(store) → {entries, facts}, sentence(store), invitation, settings(layer), section(store), lookInputs(store, set),
 *   cutKinds, cutRows?(store), cutHint?(store), strip?(store), asJson?(store), asCsv?(store), reads?}) registers how layers of one kind are drawn and spoken of: see
 *   instruments/graph.js, the first of them. cutRows: [{mark, kinds, pressed(kind), toggle(kind)}], rows of buttons under the
 *   prediction beside those of the pins. strip: {element, draw(changed), destroy()}, small pictures beside the large one
 * HS.lookField(name, default, check)   a further field of the look (it travels in links)
 * HS.panel({name, title, kind?, available(store), mount(el, store) → {draw(changedKeys), resize(), destroy()}})
 *   registers a linked view, offered on layers of its kind ("graph" unless said; "any": on all). It is mounted when its tab
 *   opens, drawn when it is visible, destroyed on a new payload.
 */
const HS = {};

(() => {
  "use strict";

  const VERSION = 1;
  const MAX_PINS = 26;
  const ARRAY_TYPES = { u8: Uint8Array, u16: Uint16Array, i32: Int32Array, f32: Float32Array, q8: Uint8Array, q12: Uint16Array, q16: Uint16Array };

  const CODINGS = [undefined, "deflate", "steps", "levels"]; // how the bytes of an array were made shorter

  /** Something cannot be shown. The message is for the visitor: what is wrong and what to do next. */
  class Refusal extends Error {}

  // ------------------------------------------------------------------------------------------------------- decoding

  const MOST_TEXT = 1 << 22; // bytes of a packed text
  const damagedData = (where, what) => new Refusal(`The data of this picture is damaged (${where}${what}). Run it again.`);

  /** The bytes of base64 text, inflated when they travelled deflated; never more than `most`. */
  function bytesOf(item, most, where) {
    try {
      const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(item.data) : unpacked(item.data);
      return item.coding ? HS.inflate(bytes, most) : bytes;
    } catch {
      throw damagedData(where, "");
    }
  }

  /** base64 text → bytes, where the browser has no word for it. */
  function unpacked(data) {
    const text = atob(data);
    const bytes = new Uint8Array(text.length); // plain loops in here: a function per number is many times dearer
    for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }

  /** {type, shape, data} → typed array with `.shape`. */
  function decodeArray(item, where) {
    const Type = ARRAY_TYPES[item.type];
    if (!Type || !Array.isArray(item.shape) || !CODINGS.includes(item.coding)) {
      throw new Refusal(`The data of this picture is of an unknown kind (${where}). Reload the page.`);
    }
    const count = item.shape.reduce((a, b) => a * b, 1);
    const size = count * Type.BYTES_PER_ELEMENT;
    const bytes = bytesOf(item, size + 512, where);
    const fits = item.coding === "levels" ? bytes.length > count && (bytes.length - count) % 2 === 0 : bytes.length === size;
    if (!fits) throw damagedData(where, ` has ${bytes.length} bytes for ${count} numbers`);
    const codes = item.coding === "steps" ? summed(bytes, item.shape[item.shape.length - 1]) : item.coding === "levels" ? listed(bytes, count) : new Type(bytes.buffer);
    const array = item.type[0] === "q" ? unquantised(codes, item.low, item.high, 2 ** Number(item.type.slice(1)) - 1) : codes;
    array.shape = item.shape;
    return array;
  }

  /** Whole numbers that travelled as steps along the last axis: first all low bytes, then all high bytes. */
  function summed(bytes, width) {
    const n = bytes.length / 2;
    const codes = new Uint16Array(n);
    for (let i = 0; i < n; i++) codes[i] = bytes[i] + (bytes[n + i] << 8) + (i % width ? codes[i - 1] : 0);
    return codes;
  }

  /** Whole numbers of which there are few: their numbers in the list that follows. */
  function listed(bytes, count) {
    const levels = new Uint16Array(bytes.slice(count).buffer);
    const codes = new Uint16Array(count);
    for (let i = 0; i < count; i++) codes[i] = levels[bytes[i]];
    return codes;
  }

  /** Floats that travelled in 8, 12 or 16 bits. */
  function unquantised(codes, low, high, top) {
    const values = new Float32Array(codes.length);
    for (let i = 0; i < values.length; i++) values[i] = low + ((high - low) * codes[i]) / top;
    return values;
  }

  /** A value that travelled as deflated JSON. */
  function decodeJson(item, where) {
    const bytes = bytesOf(item, MOST_TEXT, where);
    try {
      return JSON.parse(new TextDecoder().decode(bytes));
    } catch {
      throw damagedData(where, "");
    }
  }

  /** Replaces everything that is packed inside a plain value. */
  function decodeDeep(value, where) {
    if (value === null || typeof value !== "object") return value;
    if (typeof value.data === "string" && value.type === "json") return decodeJson(value, where);
    if (typeof value.data === "string" && typeof value.type === "string" && value.shape) return decodeArray(value, where);
    if (Array.isArray(value)) return value.map((item, i) => decodeDeep(item, `${where} ${i + 1}`));
    for (const key of Object.keys(value)) value[key] = decodeDeep(value[key], `${where} ${key}`);
    return value;
  }

  function requireShape(layer, name, shape, optional) {
    const array = layer[name];
    if (array == null && optional) return;
    if (!array || !array.shape || array.shape.join() !== shape.join()) {
      const found = array && array.shape ? array.shape.join(" × ") : "nothing";
      throw new Refusal(`The layer “${layer.label}” does not fit together (${name} is ${found}, expected ${shape.join(" × ")}). Run it again.`);
    }
  }

  function checkLayer(layer, { words = {}, layers = {} }) {
    layer.kind = layer.kind || "graph";
    if (!instruments.has(layer.kind)) {
      throw new Refusal(`This page cannot draw the layer “${layer.label}” (${layer.kind}): the page and its data come from different versions of Hyperscope. Reload the page.`);
    }
    if (layer.grid) {
      layer.keyGrid = layer.keyGrid || layer.grid;
      requireShape(layer, "colour", [layer.grid[0] * layer.grid[1], 3], true);
    }
    layer.maps = layer.maps || {};
    layer.measures = (layers[layer.name] || []).map((measure) => ({ ...words[measure.key], ...measure }));
    instruments.get(layer.kind).check(layer);
  }

  /** The colours of the patches stand with the first layer of a grid. */
  function shareColours(layers) {
    const known = new Map();
    for (const layer of layers) {
      if (!layer.grid) continue;
      const grid = layer.grid.join();
      if (layer.colour) known.set(grid, layer.colour);
      else layer.colour = known.get(grid) || null;
    }
  }

  /** Payload string → payload object with typed arrays. Throws HS.Refusal with a plain sentence. */
  function decode(text) {
    let payload;
    try {
      payload = typeof text === "string" ? JSON.parse(text) : text;
    } catch {
      throw new Refusal("The answer of the server could not be read. Reload the page.");
    }
    if (!payload || payload.version !== VERSION) {
      throw new Refusal("This page and its data come from different versions of Hyperscope. Reload the page.");
    }
    if (!Array.isArray(payload.layers) || payload.layers.length === 0) {
      throw new Refusal("This model returned nothing to look at. Choose another model or picture.");
    }
    payload = decodeDeep(payload, "payload");
    shareColours(payload.layers);
    payload.layers.forEach((layer) => checkLayer(layer, payload.measures || {}));
    const lists = ["examples", "prediction", "notes", "story", "views", "cuts"];
    for (const name of lists) payload[name] = payload[name] || [];
    payload.controls = payload.controls || { widgets: [], values: {} };
    payload.extras = payload.extras || {};
    if (payload.picture) payload.picture.seen = payload.picture.seen || payload.picture.shown;
    return payload;
  }

  // ----------------------------------------------------------------------------------------------------------- look

  const number = (low, high, whole) => (v) =>
    typeof v === "number" && Number.isFinite(v) && v >= low && v <= high && (!whole || Number.isInteger(v)) ? v : undefined;
  const word = (...allowed) => (v) => (allowed.includes(v) ? v : undefined);
  const truth = (v) => (typeof v === "boolean" ? v : undefined);
  const shortText = (v) => (typeof v === "string" && v.length <= 60 ? v : undefined);
  const patchList = (v) =>
    Array.isArray(v) && v.length <= MAX_PINS && v.every((p) => Number.isInteger(p) && p >= 0 && p < 65536) ? [...new Set(v)] : undefined;
  const RULE_FIELDS = { k: number(1, 4096, true), dilation: number(1, 64, true), multiplier: number(-5, 5), quantile: number(0, 1) };

  function cleanRule(value) {
    if (value === null || typeof value !== "object" || Array.isArray(value)) return undefined;
    const rule = {};
    for (const [key, check] of Object.entries(RULE_FIELDS)) {
      if (key in value && check(value[key]) !== undefined) rule[key] = value[key];
    }
    return rule;
  }

  /** What each field of the look may be: its default and the check that returns undefined for anything else. */
  const LOOK_FIELDS = {
    layer: [0, number(0, 999, true)],
    pins: [[], patchList],
    direction: ["in", word("in", "out", "both")],
    all: [false, truth],
    opacity: [0.35, number(0, 1)],
    colour: ["strength", word("strength", "length")],
    grid: ["auto", word("auto", "on", "off")],
    seen: [false, truth],
    heat: ["", shortText],
    compare: [null, (v) => (v === null ? null : number(0, 999, true)(v))],
    difference: [false, truth],
    tab: ["", shortText],
    step: [0, number(0, 99, true)],
    rule: [{}, cleanRule],
  };

  const defaultLook = () => Object.fromEntries(Object.entries(LOOK_FIELDS).map(([key, [value]]) => [key, Array.isArray(value) ? [...value] : value && typeof value === "object" ? { ...value } : value]));

  /**
   * Keep what is allowed of a look from outside.
   * @returns {{look: object, faults: string[]}} only known, valid fields; names of the fields that were wrong
   */
  function cleanLook(raw) {
    const look = {};
    const faults = [];
    for (const [key, value] of Object.entries(raw && typeof raw === "object" ? raw : {})) {
      if (!Object.hasOwn(LOOK_FIELDS, key)) continue;
      const clean = LOOK_FIELDS[key][1](value);
      if (clean === undefined) faults.push(key);
      else look[key] = clean;
    }
    return { look, faults };
  }

  /** A look whose layers and patches exist in this payload. */
  function fitLook(look, layers) {
    const fitted = { ...look, layer: Math.min(look.layer, layers.length - 1) };
    if (look.compare !== null && look.compare >= layers.length) fitted.compare = null;
    const [rows, cols] = layers[fitted.layer].grid || [0, 0];
    fitted.pins = look.pins.filter((p) => p < rows * cols);
    return fitted;
  }

  // ---------------------------------------------------------------------------------------------------- questions

  /** Questions and their answers; of each kind one is under way, the newest waits, and only the newest may answer. */
  function createPost(store, host) {
    let count = 0;
    const newest = new Map(); // name → request
    const names = new Map(); // request → name, while unanswered
    const away = new Map(); // name → request that the server has and has not answered
    const held = new Map(); // name → the newest question, which goes out after that answer
    const listeners = new Map(); // kind → Set of functions
    const tokens = {}; // request of a stream or run → the name under which the server can be told to stop it, or asked how far it is

    function send(name, data) {
      away.set(name, data.request);
      if (name === "stream" || name === "run") data.token = tokens[data.request] = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16)).join("");
      host.ask(name, data);
    }

    /** The server ends the stream under way before its next answer. */
    function stop() {
      held.delete("stream");
      if (away.has("stream")) host.ask("stop", { token: tokens[away.get("stream")] });
    }

    /** The answer of a request is here, wanted or not; the question that waited for it goes out. */
    function landed(request) {
      const name = [...away.keys()].find((key) => away.get(key) === request);
      if (name === undefined) return;
      const next = held.get(name);
      away.delete(name);
      held.delete(name);
      if (next) send(name, next);
    }

    function receive(raw) {
      let answer;
      try {
        answer = decodeDeep(typeof raw === "string" ? JSON.parse(raw) : raw, "answer");
      } catch {
        answer = { kind: "refusal", request: raw && raw.request, message: "The answer could not be read. Try again." };
      }
      const more = answer && answer.kind === "stream" && !answer.done;
      if (answer && !more) landed(answer.request);
      if (!answer || (answer.run && answer.run !== store.payload.run && answer.kind !== "refusal")) return;
      const name = answer.kind === "refusal" ? names.get(answer.request) : answer.kind;
      if (answer.request != null && newest.get(name) !== answer.request) return;
      if (answer.request != null && !more) names.delete(answer.request);
      const message = answer.kind === "refusal" ? { ...answer, name } : answer;
      for (const fn of listeners.get(answer.kind) || []) fn(message, answer.request);
      store.touch("answer");
    }

    const deaf = host.onAnswer ? host.onAnswer(receive) : null;
    return {
      ask(name, data) {
        if (!host.ask || !host.live) return null;
        names.delete(newest.get(name));
        newest.set(name, ++count);
        names.set(count, name);
        const { exhibit, run, picture, controls } = store.payload;
        const about = { exhibit: exhibit.slug, run, image: picture && { example: picture.name }, controls: controls.values };
        const question = { ...about, request: count, ...data };
        if (name === "stream") stop();
        if (away.has(name)) held.set(name, question);
        else send(name, question);
        store.touch("answer");
        return count;
      },
      /** The answer of a question has come by another way (a run answers with a payload). */
      settle(name) {
        names.delete(newest.get(name));
        store.touch("answer");
      },
      landed,
      isNewest: (name, request) => newest.get(name) === undefined || request >= newest.get(name),
      asking: (name) => names.has(newest.get(name)),
      onAnswer(kind, fn) {
        if (!listeners.has(kind)) listeners.set(kind, new Set());
        listeners.get(kind).add(fn);
        return () => listeners.get(kind).delete(fn);
      },
      lookup(question) {
        const answer = host.live && host.lookup ? host.lookup({ run: store.payload.run, ...question }) : null;
        return answer && answer.then((value) => decodeDeep(typeof value === "string" ? JSON.parse(value) : value, "answer"));
      },
      stop,
      /** How far the run under way has come: a Promise of {done, of}, or of null while there is nothing to tell. */
      progress() {
        const token = store.uploading ? `upload ${store.payload.run}` : tokens[away.get("run")];
        return token && host.live && host.lookup ? host.lookup({ question: "progress", token }) : null;
      },
      close() {
        stop();
        if (typeof deaf === "function") deaf();
      },
    };
  }

  // ----------------------------------------------------------------------------------------------------------- store

  /** Tells subscribers once per turn what changed. */
  function createBell() {
    const subscribers = new Set();
    let changed = new Set();
    function ring() {
      const keys = changed;
      changed = new Set();
      for (const fn of subscribers) fn(keys);
    }
    return {
      touch(...keys) {
        if (changed.size === 0) queueMicrotask(ring);
        keys.forEach((key) => changed.add(key));
      },
      subscribe(fn) {
        subscribers.add(fn);
        return () => subscribers.delete(fn);
      },
    };
  }

  /** Edges and patches that the visitor cut; the server keeps them out of the model on `ask("cut")`. */
  function createCuts(store) {
    let cuts = [];
    let edges = new Set();
    let patches = new Set();

    function index() {
      edges = new Set();
      patches = new Set();
      for (const cut of cuts) {
        const set = cut.kind === "patch" ? patches : edges;
        for (const [target, source] of cut.pairs) set.add(cut.kind === "patch" ? `${cut.layer} ${target}` : `${cut.layer} ${target} ${source}`);
      }
      store.touch("cuts");
    }

    return {
      get list() {
        return cuts;
      },
      /** All edges from and to a patch of the current layer, as the model had them, as [target, source]. */
      edgesOf(patch) {
        const graph = store.graph(store.look.layer, {});
        const pairs = [];
        for (let e = graph.offsets[patch]; e < graph.offsets[patch + 1]; e++) pairs.push([patch, graph.source[e]]);
        const key = store.keyOf(store.look.layer, patch);
        for (let i = graph.outOffsets[key]; i < graph.outOffsets[key + 1]; i++) pairs.push([graph.outTarget[i], key]);
        return pairs;
      },
      /** kind "edges": only the edges of the current layer; "patch": the patch hears and says nothing in any layer. */
      toggle(patch, kind) {
        const layer = kind === "patch" ? "*" : store.layer.name;
        const at = cuts.findIndex((cut) => cut.kind === kind && cut.patch === patch && cut.grid === store.layer.grid.join());
        if (at >= 0) cuts = cuts.filter((_, i) => i !== at);
        else {
          const pairs = kind === "patch" ? [[patch, -1]] : this.edgesOf(patch);
          cuts = [...cuts, { layer, kind, pairs, patch, grid: store.layer.grid.join(), name: store.layer.name }];
        }
        index();
      },
      toggleWhole(kind, number, layer) {
        const rest = cuts.filter((cut) => !(cut.kind === kind && cut.layer === layer && cut.number === number));
        cuts = rest.length < cuts.length ? rest : [...cuts, { layer, kind, pairs: [[number, -1]], number, name: layer }];
        index();
      },
      hasWhole: (kind, number, layer) => cuts.some((cut) => cut.kind === kind && cut.layer === layer && cut.number === number),
      hasPatch: (patch, kind) => cuts.some((cut) => cut.kind === kind && cut.patch === patch && cut.grid === store.layer.grid.join()),
      isCut(layerIndex, target, source) {
        if (cuts.length === 0) return false;
        const layer = store.layers[layerIndex];
        if (edges.has(`${layer.name} ${target} ${source}`)) return true;
        const sameGrid = cuts.some((cut) => cut.kind === "patch" && cut.grid === layer.grid.join());
        const sourcePatch = HS.pooled(layer) ? -1 : source;
        return sameGrid && (patches.has(`* ${target}`) || patches.has(`* ${sourcePatch}`));
      },
      clear() {
        if (cuts.length === 0) return;
        cuts = [];
        index();
      },
    };
  }

  /** The state of one exhibit; see the head of this file. */
  function createStore(payload, host) {
    const bell = createBell();
    let graphs = new Map();
    let anchor = { layer: 0, pins: [] }; // pins as they were set, so that a trip through a coarser layer loses nothing
    let look = fitLook(defaultLook(), payload.layers);

    const pinsOn = (layer) => [...new Set(anchor.pins.map((p) => store.across(anchor.layer, p, layer)))];

    const store = {
      host: host || {},
      get payload() {
        return payload;
      },
      get layers() {
        return payload.layers;
      },
      get look() {
        return look;
      },
      get layer() {
        return payload.layers[look.layer];
      },
      get prediction() {
        return (payload.extras.predictions || {})[store.layer.name] || payload.prediction;
      },
      hover: null,
      hoverEdge: null,
      uploading: false,
      touch: bell.touch,
      subscribe: bell.subscribe,

      set(change) {
        const next = { ...look, ...cleanLook(change).look };
        if ("rule" in change) next.rule = change.rule === null ? {} : { ...look.rule, ...cleanRule(change.rule) };
        for (const key of Object.keys(next.rule)) if (change.rule && change.rule[key] === null) delete next.rule[key];
        look = fitPins(fitLook(next, payload.layers), "pins" in change);
        bell.touch(...Object.keys(change));
      },
      setHover(hover) {
        const old = store.hover;
        if (old === hover || (old && hover && old.layer === hover.layer && old.patch === hover.patch && old.side === hover.side)) return;
        store.hover = hover && { side: "target", ...hover };
        bell.touch("hover");
      },
      setHoverEdge(edge, layer = look.layer) {
        const old = store.hoverEdge;
        if (edge === null ? old === null : old !== null && old.edge === edge && old.layer === layer) return;
        store.hoverEdge = edge === null ? null : { layer, edge };
        bell.touch("hover");
      },
      load(next) {
        const before = payload;
        payload = next;
        graphs = new Map();
        store.hover = store.hoverEdge = null;
        store.uploading = false;
        store.cutList.clear();
        store.stop();
        const sameGrid = before.layers[anchor.layer] && next.layers[anchor.layer] && String(before.layers[anchor.layer].grid) === String(next.layers[anchor.layer].grid);
        if (!sameGrid) anchor = { layer: 0, pins: [] };
        look = fitLook(look, next.layers);
        look.pins = pinsOn(look.layer);
        store.settle("run");
        bell.touch("payload");
      },

      graph(layerIndex, rule = look.rule) {
        const layer = payload.layers[layerIndex];
        const key = `${layerIndex} ${HS.ruleKey(layer, rule)}`;
        if (!graphs.has(key)) {
          if (graphs.size > 64) graphs.delete(graphs.keys().next().value);
          graphs.set(key, HS.buildGraph(layer, rule));
        }
        return graphs.get(key);
      },
      across: (from, patch, to) => HS.mapCell(patch, payload.layers[from].grid, payload.layers[to].grid),
      keyOf: (layer, patch) => HS.mapCell(patch, payload.layers[layer].grid, payload.layers[layer].keyGrid),
      keyAcross: (from, key, to) => HS.mapCell(key, payload.layers[from].keyGrid, payload.layers[to].keyGrid),
      patchesOfKey: (layer, key) => HS.cellsInside(key, payload.layers[layer].keyGrid, payload.layers[layer].grid),
      focus(layerIndex) {
        const hover = store.hover;
        if (hover && hover.side !== "key") return store.across(hover.layer, hover.patch, layerIndex);
        if (hover) return store.across(hover.layer, store.patchesOfKey(hover.layer, hover.patch)[0] || 0, layerIndex);
        const pins = store.pins(layerIndex);
        return pins.length ? pins[pins.length - 1] : null;
      },
      pins: (layerIndex) => (layerIndex === look.layer ? look.pins : pinsOn(layerIndex)),
      togglePin(patch, layerIndex = look.layer) {
        const here = store.across(layerIndex, patch, look.layer);
        const pins = look.pins.includes(here) ? look.pins.filter((p) => p !== here) : [...look.pins, here].slice(-MAX_PINS);
        store.set({ pins });
      },
      permalink: () => HS.permalink(store),
    };

    /** Pins set by hand become the anchor; otherwise they follow the layer. */
    function fitPins(next, byHand) {
      if (byHand) anchor = { layer: next.layer, pins: next.pins };
      else next.pins = pinsOn(next.layer);
      return next;
    }

    Object.assign(store, createPost(store, store.host));
    store.cutList = createCuts(store);
    Object.defineProperty(store, "cuts", { get: () => store.cutList.list });
    store.toggleCutPatch = (patch, kind = "patch") => store.cutList.toggle(patch, kind);
    store.cutEdgesOf = (patch) => store.cutList.edgesOf(patch);
    store.isCut = store.cutList.isCut;
    store.clearCuts = () => store.cutList.clear();
    return store;
  }

  const instruments = new Map();
  /** Register how one kind of layer is drawn; see the head of this file. */
  function instrument(definition) {
    instruments.set(definition.kind, definition);
  }
  const instrumentOf = (layer) => instruments.get(layer.kind);

  /** A further field of the look: its default, and the check that returns undefined for what it cannot be. Throws where the name is taken. */
  function lookField(name, value, check) {
    if (Object.hasOwn(LOOK_FIELDS, name)) throw new Error(`the look has a field named ${name} already`);
    LOOK_FIELDS[name] = [value, check];
  }

  const panels = [];
  /** Register a linked view; see the head of this file. */
  function panel(definition) {
    panels.push({ kind: "graph", ...definition });
  }

  Object.assign(HS, { VERSION, Refusal, decode, decodeDeep, cleanLook, defaultLook, createStore, panel, panels, instrument, instrumentOf, lookField, requireShape });
  HS.checks = { number, word, truth, shortText, patchList };
})();

if (typeof module !== "undefined") module.exports = HS;
