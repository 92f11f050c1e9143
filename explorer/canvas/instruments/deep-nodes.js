// @wing structure
/** Nodes as dots, carried along the edges step by step on the same axes: what becomes alike comes together. */
(() => {
  "use strict";

  const { net } = HS;
  const VIEW = 1.08;

  HS.lookField("depth", 0, HS.checks.number(0, 999, true));
  HS.lookField("lines", true, HS.checks.truth);

  const sessions = new WeakMap();
  function sessionOf(store) {
    if (!sessions.has(store)) sessions.set(store, { hover: -1, learned: null, races: [], t: null });
    return sessions.get(store);
  }

  /** What is on the stage: the plain steps, or the layers of the network that was trained last. */
  function sceneOf(store) {
    const { learned } = sessionOf(store);
    const { layer } = store;
    if (!learned) return { at: layer.at, steps: layer.steps, rough: layer.rough, word: "step" };
    const at = Array.from({ length: learned.steps.shape[0] }, (_, i) => i);
    return { at, steps: learned.steps, rough: learned.rough, right: learned.right, word: learned.kind === "gcn" ? "layer" : "hop", first: learned.kind === "gcn" ? 1 : 0 };
  }

  /** Number of the picture that is nearest to the depth asked for. */
  function indexOf(scene, depth) {
    let best = 0;
    scene.at.forEach((step, i) => {
      if (Math.abs(step - depth) < Math.abs(scene.at[best] - depth)) best = i;
    });
    return best;
  }

  const frames = new WeakMap();
  /** Middle and half the larger side of the box around all nodes at all depths: one frame for all, so that depths compare. */
  function frameOf(steps) {
    if (!frames.has(steps)) {
      const [low, high] = [[Infinity, Infinity], [-Infinity, -Infinity]];
      steps.forEach((value, i) => {
        low[i % 2] = Math.min(low[i % 2], value);
        high[i % 2] = Math.max(high[i % 2], value);
      });
      frames.set(steps, { middle: [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2], reach: Math.max(high[0] - low[0], high[1] - low[1], 1e-9) / 2 });
    }
    return frames.get(steps);
  }

  /** Places of all nodes at a depth between two pictures, scaled by the reach of all steps. */
  function placesAt(store, scene, position) {
    const n = store.layer.nodes;
    const low = Math.min(scene.at.length - 1, Math.floor(position));
    const high = Math.min(scene.at.length - 1, low + 1);
    const t = position - low;
    const { middle, reach } = frameOf(scene.steps);
    return Float32Array.from({ length: 2 * n }, (_, i) => ((1 - t) * scene.steps[low * 2 * n + i] + t * scene.steps[high * 2 * n + i] - middle[i % 2]) / reach);
  }

  function paint(ctx, width, height, store, session, live) {
    const { layer, look } = store;
    const scene = sceneOf(store);
    const position = session.t ?? indexOf(scene, look.depth);
    ctx.fillStyle = net.GROUND;
    ctx.fillRect(0, 0, width, height);
    const points = net.pixels(placesAt(store, scene, position), net.view(width, height, VIEW));
    const hover = live ? session.hover : -1;
    if (look.lines) net.strokeEdges(ctx, points, layer.edges, (e) => (layer.edges[2 * e] === hover || layer.edges[2 * e + 1] === hover ? [HS.MEANING.in, 1.6, 0.9] : layer.classes[layer.edges[2 * e]] === layer.classes[layer.edges[2 * e + 1]] ? ["#ffffff", 0.8, 0.16] : [net.MATTERS, 0.8, 0.22]));
    net.discs(ctx, points, (i) => net.SETS[layer.classes[i] % net.SETS.length], (i) => (i === hover ? 7.5 : layer.told[i] ? 5.5 : 3.8));
    if (scene.right) for (let i = 0; i < layer.nodes; i++) if (!scene.right[i]) net.ring(ctx, points[2 * i], points[2 * i + 1], 6.5, HS.MEANING.cut, 1.4);
  }

  // ----------------------------------------------------------------------------------------------------------- stage

  function createStage(element, store, hooks) {
    const session = sessionOf(store);
    const bar = toolbar(store, session, () => easel.draw());
    const room = HS.el("div", { class: "hs-easel-box" });
    element.append(bar.element, room);
    element.classList.add("hs-board-stage");

    const easel = net.easel(room, {
      label: "Nodes after some steps along the edges. Hover a node; left and right change the depth, space plays.",
      paint: (ctx, width, height) => paint(ctx, width, height, store, session, true),
      hover(x, y) {
        const scene = sceneOf(store);
        const points = net.pixels(placesAt(store, scene, indexOf(scene, store.look.depth)), net.view(...easel.size(), VIEW));
        const found = net.nodeAt(points, x, y, 12);
        if (found !== session.hover) {
          session.hover = found;
          easel.draw();
          store.touch("hover");
        }
        return found >= 0 ? "pointer" : "default";
      },
      leave() {
        session.hover = -1;
        easel.draw();
        store.touch("hover");
      },
      key(event) {
        if (event.key === "ArrowRight" || event.key === "ArrowLeft") bar.step(event.key === "ArrowRight" ? 1 : -1);
        else if (event.key === " ") bar.play();
        else if (event.key === "s") hooks.story(1);
        else if (event.key === "S") hooks.story(-1);
        else return false;
        return true;
      },
    });

    const stop = store.onAnswer("stream", (answer) => {
      if (answer.question !== "train" || !answer.result || answer.done) return;
      const { result } = answer;
      session.training = result;
      if (result.steps) {
        session.learned = result;
        session.races = [...session.races.filter((one) => one.kind !== result.kind || one.depth !== result.depth), { kind: result.kind, depth: result.depth, test: result.test }];
        store.set({ depth: result.steps.shape[0] - 1 });
      }
      store.touch("depths");
    });

    return {
      overlay: easel.canvas,
      draw(changed) {
        if (changed.has("payload")) Object.assign(session, { learned: null, races: [], training: null, hover: -1 });
        bar.draw();
        easel.draw();
      },
      paint: (ctx, width, height) => paint(ctx, width, height, store, session, false),
      destroy() {
        stop();
        bar.destroy();
        easel.destroy();
        element.classList.remove("hs-board-stage");
      },
    };
  }

  function toolbar(store, session, redraw) {
    let frame = 0;
    const slider = HS.el("input", { type: "range", min: 0, max: 1, step: 1, "aria-label": "Depth", "data-act": "depth", oninput: () => go(Number(slider.value)) });
    const told = HS.el("span", { class: "hs-hint hs-num" });
    const playButton = HS.el("button", { type: "button", class: "hs-button", "data-act": "play-depth", onclick: play }, "Play");
    const lines = HS.el("button", { type: "button", class: "hs-button", title: "White: inside a class; red: between two", onclick: () => store.set({ lines: !store.look.lines }) }, "Edges");
    const plain = HS.el("button", { type: "button", class: "hs-button", onclick: () => ((session.learned = null), store.set({ depth: 0 }), store.touch("depths")) }, "Back to plain steps");
    const group = (label, ...items) => HS.el("div", { class: "hs-tool-group", role: "group", "aria-label": label }, ...items);
    const back = group("Network", plain);
    const element = HS.el("div", { class: "hs-toolbar" }, group("Depth", playButton, slider, told), group("Show", lines), back);

    const go = (index) => store.set({ depth: sceneOf(store).at[Math.max(0, Math.min(sceneOf(store).at.length - 1, index))] });
    const step = (by) => go(indexOf(sceneOf(store), store.look.depth) + by);

    function play() {
      cancelAnimationFrame(frame);
      const last = sceneOf(store).at.length - 1;
      if (HS.calm()) {
        go(last);
        return;
      }
      const begun = performance.now();
      const time = Math.min(9000, 260 * last);
      const move = () => {
        const t = Math.min(1, (performance.now() - begun) / time);
        session.t = t * last;
        slider.value = Math.round(session.t);
        redraw();
        if (t < 1) frame = requestAnimationFrame(move);
        else {
          session.t = null;
          go(last);
        }
      };
      move();
    }

    function draw() {
      const scene = sceneOf(store);
      const index = indexOf(scene, store.look.depth);
      slider.max = scene.at.length - 1;
      if (session.t === null) slider.value = index;
      told.textContent = `${scene.word} ${scene.at[index] + (scene.first || 0)}`;
      lines.setAttribute("aria-pressed", String(store.look.lines));
      back.hidden = !session.learned;
    }
    draw();
    return { element, draw, play, step, destroy: () => cancelAnimationFrame(frame) };
  }

  // ----------------------------------------------------------------------------------------------------------- words

  function legend(store) {
    const { entry, sample } = HS.legend;
    const { layer, look } = store;
    const classes = Math.max(...layer.classes) + 1;
    const scene = sceneOf(store);
    const entries = Array.from({ length: classes }, (_, i) => entry(sample(net.SETS[i % net.SETS.length], ""), `class ${i + 1}`));
    if (look.lines) entries.push(entry(sample(net.MATTERS, ""), "edge between classes"));
    if (scene.right) entries.push(entry(sample(HS.MEANING.cut, "dotted"), "ringed: answered wrong"));
    const apart = store.payload.extras.pieces > 1 ? [entry("", `falls into ${store.payload.extras.pieces} pieces`)] : [];
    return { entries, facts: [...apart, entry("", `differences ${scene.rough[Math.min(scene.rough.length - 1, scene.right ? indexOf(scene, look.depth) : scene.at[indexOf(scene, look.depth)])].toFixed(3)}`)] };
  }

  function sentence(store) {
    const { hover } = sessionOf(store);
    const { layer } = store;
    if (hover < 0) return "";
    const around = net.adjacency(layer.nodes, layer.edges)[hover];
    const own = around.filter((other) => layer.classes[other] === layer.classes[hover]).length;
    return `Node ${hover}, class ${layer.classes[hover] + 1}: ${own} of its ${HS.plural(around.length, "neighbour")} are of its class${layer.told[hover] ? "; told in training" : ""}.`;
  }

  function asJson(store) {
    const { layer } = store;
    const edges = Array.from({ length: layer.edges.length / 2 }, (_, e) => [layer.edges[2 * e], layer.edges[2 * e + 1]]);
    return JSON.stringify({ exhibit: store.payload.exhibit.slug, controls: store.payload.controls.values, nodes: layer.nodes, edges, label: Array.from(layer.classes), told: Array.from(layer.told), roughness: layer.rough, races: sessionOf(store).races }, null, 1);
  }

  const asCsv = (store) => ["step,differences", ...store.layer.rough.map((value, i) => `${i},${value}`)].join("\n");

  function check(layer) {
    const wrong = (what) => new HS.Refusal(`The nodes “${layer.label}” do not fit together (${what}). Run it again.`);
    if (!layer.steps || layer.steps.shape[1] !== layer.nodes || layer.steps.shape[0] !== layer.at.length) throw wrong("their places are missing");
    if (layer.rough.length !== layer.at[layer.at.length - 1] + 1) throw wrong("their differences are missing");
  }

  HS.instrument({
    kind: "deep-nodes",
    check,
    createStage,
    base() {},
    overlay() {},
    thumb() {},
    legend,
    sentence,
    invitation: "Slide the depth, or press “Play”: every step makes each node the mean of its neighbours and itself.",
    settings: () => [],
    section: () => ({ element: HS.el("div", { hidden: true }), draw() {} }),
    lookInputs: () => ({ main: {}, more: {}, draw() {} }),
    cutKinds: [],
    asJson,
    asCsv,
  });
  HS.deepNodes = { sessionOf, sceneOf, indexOf };
})();
