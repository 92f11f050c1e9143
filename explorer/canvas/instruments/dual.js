// @wing structure
/**
 * A graph turned inside out: every edge slides into a dot, every node grows into a hull around the dots of its edges.
 * Then: how far one round of messages carries, and which edges a network kept in each layer.
 */
(() => {
  "use strict";

  const { net } = HS;
  const { number, word } = HS.checks;
  const VIEW = 1.12;
  const LENSES = [
    ["groups", "groups", "Every node as a group of the edges that touch it"],
    ["messages", "messages", "How far the chosen edge hears after so many rounds"],
    ["kept", "edges kept", "What HyperDrop kept, layer by layer"],
    ["clusters", "clusters", "What HyperCluster learned in the tab “Clusters”"],
  ];

  HS.lookField("turned", 0, number(0, 1));
  HS.lookField("lens", "groups", word("groups", "messages", "kept", "clusters"));
  HS.lookField("rounds", 1, number(0, 8, true));
  HS.lookField("drop", 1, number(1, 9, true));
  HS.lookField("picked", [], HS.checks.patchList);

  // ------------------------------------------------------------------------------------------------------- geometry

  const made = new WeakMap();

  /** Middles of the edges, where the dots go, groups: made once per layer. */
  function of(layer) {
    if (made.has(layer)) return made.get(layer);
    const { nodes, edges, places } = layer;
    const m = edges.length / 2;
    const middle = Float32Array.from({ length: 2 * m }, (_, i) => {
      const e = Math.floor(i / 2);
      return (places[2 * edges[2 * e] + (i % 2)] + places[2 * edges[2 * e + 1] + (i % 2)]) / 2;
    });
    const groups = Array.from({ length: nodes }, () => []);
    for (let e = 0; e < m; e++) {
      groups[edges[2 * e]].push(e);
      groups[edges[2 * e + 1]].push(e);
    }
    const found = { m, middle, dots: spread(m, nodes, groups, middle, places), groups, colour: colours(nodes, edges) };
    made.set(layer, found);
    return found;
  }

  /** Springs between every dot and an invisible hub of each of its two groups, from the middles of the edges. */
  function spread(m, nodes, groups, middle, places) {
    const links = groups.flatMap((group, node) => group.flatMap((e) => [e, m + node]));
    const start = Array.from({ length: 2 * (m + nodes) }, (_, i) => (i < 2 * m ? middle[i] : places[i - 2 * m]));
    const found = net.springs(m + nodes, links, start.map((value, i) => value + 1e-3 * Math.sin(17 * i)), m > 250 ? 40 : 120);
    return net.centred(found.subarray(0, 2 * m));
  }

  /** Neighbours get different colours, greedily. */
  function colours(nodes, edges) {
    const around = net.adjacency(nodes, edges);
    const chosen = new Int32Array(nodes).fill(-1);
    for (let i = 0; i < nodes; i++) {
      const taken = new Set(around[i].map((j) => chosen[j]));
      let colour = i % net.SETS.length;
      for (let k = 0; k < net.SETS.length && taken.has(colour); k++) colour = (colour + 1) % net.SETS.length;
      chosen[i] = colour;
    }
    return chosen;
  }

  /** Rounds until each edge hears of edge `start` (steps over shared nodes), Infinity where there is no way. */
  function hears(layer, start) {
    const { groups } = of(layer);
    const { edges } = layer;
    const steps = new Float64Array(edges.length / 2).fill(Infinity);
    steps[start] = 0;
    let front = [start];
    for (let step = 1; front.length; step++) {
      const next = [];
      for (const e of front) {
        for (const node of [edges[2 * e], edges[2 * e + 1]]) {
          for (const other of groups[node]) {
            if (steps[other] <= step) continue;
            steps[other] = step;
            next.push(other);
          }
        }
      }
      front = next.filter((e) => steps[e] === step);
    }
    return steps;
  }

  const mix = (a, b, t) => Float32Array.from(a, (value, i) => value + t * (b[i] - value));

  // -------------------------------------------------------------------------------------------------------- painting

  /** Colour, size and strength of every edge under the present lens. */
  function styleOf(store, session) {
    const { look, layer } = store;
    const picked = look.picked.at(-1);
    if (look.lens === "messages" && picked !== undefined && picked < of(layer).m) {
      const steps = hears(layer, picked);
      return (e) => (steps[e] > look.rounds ? ["#3f4853", 2.2, 0.7] : [HS.ramp("viridis", 1 - 0.75 * (steps[e] / Math.max(1, look.rounds))), steps[e] === 0 ? 6.5 : 4.2, 1]);
    }
    if (look.lens === "kept" && layer.drops.length) {
      const drop = layer.drops[Math.min(look.drop, layer.drops.length) - 1];
      const known = Array.from(drop.score).filter((value) => value > -5);
      const most = Math.max(...known.map(Math.abs), 1e-9);
      return (e) => {
        if (drop.score[e] < -5) return ["#2b323b", 1.6, 0.5];
        if (!drop.kept[e]) return ["#59626e", 2, 0.6];
        return [HS.ramp("diverging", 0.5 + (0.5 * drop.score[e]) / most), 4.6, 1];
      };
    }
    if (look.lens === "clusters" && session.clusters && session.clusters.cluster.length === of(layer).m) {
      const { cluster, sure } = session.clusters;
      return (e) => [net.SETS[cluster[e] % net.SETS.length], 3 + 2 * sure[e], 0.35 + 0.65 * sure[e]];
    }
    if (layer.kinds) return (e) => [[net.SETS[0], net.SETS[1], "#ffffff"][layer.kinds[e]], 3.6, 1];
    return (e) => (layer.bridges && layer.bridges[e] ? [net.MATTERS, 4, 1] : ["#ffffff", 3.4, 0.95]);
  }

  function paint(ctx, width, height, store, session, live) {
    const { layer, look } = store;
    const { m, middle, dots, groups, colour } = of(layer);
    const t = session.t ?? look.turned;
    const ease = t * t * (3 - 2 * t);
    const v = net.view(width, height, VIEW);
    ctx.fillStyle = net.GROUND;
    ctx.fillRect(0, 0, width, height);
    const nodes = net.pixels(layer.places, v);
    const points = net.pixels(mix(middle, dots, ease), v);
    const style = styleOf(store, session);
    const hover = live ? session.hover : { edge: -1, node: -1 };
    hulls(ctx, layer, points, groups, colour, ease, hover.node, v.scale);
    threads(ctx, layer, nodes, net.pixels(middle, v), points, ease, style, hover);
    if (ease < 0.999) {
      ctx.save();
      ctx.globalAlpha = 1 - ease;
      const radius = Math.max(4, Math.min(10, v.scale * 0.035));
      net.discs(ctx, nodes, (i) => net.SETS[colour[i]], (i) => (i === hover.node ? radius + 2 : radius));
      ctx.restore();
    }
    const grown = Math.max(0.25, ease);
    net.discs(ctx, points, (e) => style(e)[0], (e) => Math.max(1.2, 1.3 * style(e)[1] * grown + (hover.edge === e ? 2 : 0)));
    for (const e of look.picked) if (e < m) net.ring(ctx, points[2 * e], points[2 * e + 1], style(e)[1] * grown + 5, HS.MEANING.in, 2);
    for (let e = 0; live && e < m; e++) if (store.cutList.hasWhole("edge", e, layer.name)) HS.drawCross(ctx, [points[2 * e] - 6, points[2 * e + 1] - 6, 12, 12], HS.MEANING.cut);
  }

  /** Translucent outlines around the dots of each node's edges: a lone dot gets a little ring. */
  function hulls(ctx, layer, points, groups, colour, ease, hovered, scale) {
    if (ease < 0.02) return;
    const base = Math.min(13, Math.max(6, scale * 0.03));
    groups.forEach((group, node) => {
      if (!group.length) return;
      const path = HS.newPath(ctx);
      net.hull(group.map((e) => [points[2 * e], points[2 * e + 1]]), base * ease * (group.length === 1 ? 0.7 : 1), path);
      ctx.save();
      ctx.fillStyle = ctx.strokeStyle = net.SETS[colour[node]];
      ctx.globalAlpha = ease * (node === hovered ? 0.42 : hovered >= 0 ? 0.06 : 0.13);
      ctx.fill(path);
      ctx.globalAlpha = ease * (node === hovered ? 1 : hovered >= 0 ? 0.2 : 0.6);
      ctx.lineWidth = node === hovered ? 2.4 : 1.3;
      ctx.stroke(path);
      ctx.restore();
    });
  }

  /** The halves of every edge, shrinking into its dot while it turns. */
  function threads(ctx, layer, nodes, middles, points, ease, style, hover) {
    const left = 1 - ease;
    if (left < 0.01) return;
    const ends = new Float32Array(4 * (points.length / 2));
    const pairs = [];
    for (let e = 0; e < points.length / 2; e++) {
      for (const side of [0, 1]) {
        const node = layer.edges[2 * e + side];
        for (const axis of [0, 1]) ends[4 * e + 2 * side + axis] = points[2 * e + axis] + left * (nodes[2 * node + axis] - middles[2 * e + axis]);
      }
      pairs.push(2 * e, 2 * e + 1);
    }
    net.strokeEdges(ctx, ends, pairs, (e) => {
      const [colour, width, alpha] = style(e);
      const lit = hover.edge === e || layer.edges[2 * e] === hover.node || layer.edges[2 * e + 1] === hover.node;
      return lit ? [HS.MEANING.in, 2.6, 1] : [colour, Math.max(1, width / 2.4), Math.round(10 * alpha * Math.min(1, left + 0.15) * 0.8) / 10];
    });
  }

  // ---------------------------------------------------------------------------------------------------------- stage

  const sessions = new WeakMap();
  function sessionOf(store) {
    if (!sessions.has(store)) sessions.set(store, { hover: { edge: -1, node: -1 }, t: null, clusters: null });
    return sessions.get(store);
  }

  /** The chosen edges; “edges” tells the part under the prediction, which offers to cut them. */
  function choose(store, picked) {
    store.set({ picked });
    store.touch("edges");
  }

  function createStage(element, store, hooks) {
    const session = sessionOf(store);
    const bar = toolbar(store, session, () => easel.draw());
    const room = HS.el("div", { class: "hs-easel-box" });
    element.append(bar.element, room);
    element.classList.add("hs-board-stage");

    /** What lies under a point: an edge's dot (or its line), else a node or its hull. */
    function under(x, y) {
      const { layer, look } = store;
      const { m, middle, dots, groups } = of(layer);
      const ease = look.turned * look.turned * (3 - 2 * look.turned);
      const v = net.view(...easel.size(), VIEW);
      const points = net.pixels(mix(middle, dots, ease), v);
      const nodes = net.pixels(layer.places, v);
      if (ease < 0.5) {
        const node = net.nodeAt(nodes, x, y, 12);
        if (node >= 0) return { edge: -1, node };
      }
      const dot = net.nodeAt(points, x, y, 9);
      if (dot >= 0) return { edge: dot, node: -1 };
      if (ease < 0.5) return { edge: net.edgeAt(nodes, layer.edges, x, y, 6), node: -1 };
      const inside = groups.map((group, node) => [node, group]).filter(([, group]) => group.length && net.inHull(group.map((e) => [points[2 * e], points[2 * e + 1]]), 10, x, y));
      inside.sort((a, b) => a[1].length - b[1].length);
      return { edge: -1, node: inside.length && m ? inside[0][0] : -1 };
    }

    const easel = net.easel(room, {
      label: "The graph and its dual. Hover an edge, a node or a group; press an edge to choose it; space turns inside out, brackets change the layer.",
      paint: (ctx, width, height) => paint(ctx, width, height, store, session, true),
      hover(x, y) {
        const found = under(x, y);
        if (found.edge !== session.hover.edge || found.node !== session.hover.node) {
          session.hover = found;
          easel.draw();
          store.touch("hover");
        }
        return found.edge >= 0 ? "pointer" : "default";
      },
      leave() {
        session.hover = { edge: -1, node: -1 };
        easel.draw();
        store.touch("hover");
      },
      down: (x, y) => {
        session.hover = under(x, y);
        return session.hover.edge >= 0 || session.hover.node >= 0;
      },
      up(x, y, moved) {
        if (moved || session.hover.edge < 0) return;
        const e = session.hover.edge;
        choose(store, store.look.picked.includes(e) ? store.look.picked.filter((other) => other !== e) : [...store.look.picked, e].slice(-4));
      },
      key(event) {
        const { look } = store;
        if (event.key === " ") bar.turn();
        else if (event.key === "[") store.set({ drop: Math.max(1, look.drop - 1) });
        else if (event.key === "]") store.set({ drop: Math.min(store.layer.drops.length || 1, look.drop + 1) });
        else if (event.key === "ArrowLeft" || event.key === "ArrowRight") choose(store, [((look.picked.at(-1) ?? -1) + (event.key === "ArrowRight" ? 1 : -1) + of(store.layer).m) % of(store.layer).m]);
        else if (event.key === "Escape") choose(store, []);
        else if (event.key === "s") hooks.story(1);
        else if (event.key === "S") hooks.story(-1);
        else return false;
        return true;
      },
    });

    const stop = store.onAnswer("stream", (answer) => {
      if (answer.question !== "gather" || !answer.result) return;
      session.clusters = answer.result;
      if (store.look.lens !== "clusters") store.set({ lens: "clusters" });
      easel.draw();
    });

    return {
      overlay: easel.canvas,
      draw(changed) {
        if (changed.has("payload")) session.clusters = null;
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
    const slider = HS.el("input", { type: "range", min: 0, max: 1, step: 0.01, "aria-label": "From the graph to its dual", "data-act": "turned", oninput: () => store.set({ turned: Number(slider.value) }) });
    const turnButton = HS.el("button", { type: "button", class: "hs-button", "data-act": "turn", onclick: turn }, "Turn inside out");
    const lenses = LENSES.map(([name, label, hint]) => HS.el("button", { type: "button", class: "hs-button", "data-lens": name, title: hint, onclick: () => store.set({ lens: name }) }, label));
    const rounds = HS.el("input", { type: "range", min: 0, max: 8, step: 1, "aria-label": "Rounds of messages", "data-act": "rounds", oninput: () => store.set({ rounds: Number(rounds.value) }) });
    const told = HS.el("span", { class: "hs-hint hs-num" });
    const layers = HS.el("div", { class: "hs-tool-group", role: "group", "aria-label": "Layer" });
    const group = (label, ...items) => HS.el("div", { class: "hs-tool-group", role: "group", "aria-label": label }, ...items);
    const reach = group("Rounds", HS.el("span", { class: "hs-hint" }, "Rounds"), rounds, told);
    const element = HS.el("div", { class: "hs-toolbar" }, group("Turn", turnButton, slider), group("Show", ...lenses), reach, layers);

    function turn() {
      const [from, to] = [store.look.turned, store.look.turned > 0.5 ? 0 : 1];
      cancelAnimationFrame(frame);
      if (HS.calm()) {
        store.set({ turned: to });
        return;
      }
      const begun = performance.now();
      const step = () => {
        const t = Math.min(1, (performance.now() - begun) / 1600);
        session.t = from + t * (to - from);
        slider.value = session.t;
        redraw();
        if (t < 1) frame = requestAnimationFrame(step);
        else {
          session.t = null;
          store.set({ turned: to });
        }
      };
      step();
    }

    function draw() {
      const { look, layer } = store;
      if (session.t === null) slider.value = look.turned;
      turnButton.textContent = look.turned > 0.5 ? "Dual of the dual" : "Turn inside out";
      lenses.forEach((button) => {
        button.setAttribute("aria-pressed", String(button.dataset.lens === look.lens));
        button.disabled = (button.dataset.lens === "kept" && !layer.drops.length) || (button.dataset.lens === "clusters" && !session.clusters);
      });
      reach.hidden = look.lens !== "messages";
      rounds.value = look.rounds;
      told.textContent = String(look.rounds);
      layers.hidden = look.lens !== "kept" || !layer.drops.length;
      layers.replaceChildren(
        HS.el("span", { class: "hs-hint" }, "After layer"),
        ...layer.drops.map((_, i) => HS.el("button", { type: "button", class: "hs-button", "data-drop": i + 1, "aria-pressed": String(Math.min(look.drop, layer.drops.length) === i + 1), onclick: () => store.set({ drop: i + 1 }) }, String(i + 1))),
      );
    }
    draw();
    return { element, draw, turn, destroy: () => cancelAnimationFrame(frame) };
  }

  // ----------------------------------------------------------------------------------------------------------- words

  function legend(store) {
    const { entry, sample, scale } = HS.legend;
    const { look, layer } = store;
    const { m } = of(layer);
    const facts = [entry("", `${HS.plural(m, "edge")} = ${HS.plural(m, "dot")}, ${HS.plural(layer.nodes, "node")} = ${HS.plural(layer.nodes, "group")}`)];
    if (look.lens === "kept") {
      const drop = layer.drops[Math.min(look.drop, layer.drops.length) - 1];
      const kept = drop ? drop.kept.reduce((sum, value) => sum + value, 0) : 0;
      return { entries: [scale("score −", "diverging", "", "+ of kept edges"), entry(sample("#59626e", ""), "dropped now"), entry(sample("#2b323b", ""), "gone before"), entry("", `${kept} of ${m} kept`)], facts: [] };
    }
    if (look.lens === "messages") return { entries: look.picked.length ? [scale("heard last", "viridis", "", "at once")] : [entry("", "Press an edge first.")], facts };
    if (look.lens === "clusters") return { entries: [entry("", "one colour per cluster; faint: undecided")], facts };
    if (layer.kinds) return { entries: store.payload.extras.kinds.map((kind, i) => entry(sample([net.SETS[0], net.SETS[1], "#ffffff"][i], ""), kind)), facts };
    return { entries: layer.bridges && layer.bridges.some(Boolean) ? [entry(sample(net.MATTERS, ""), "bridge")] : [], facts };
  }

  function sentence(store) {
    const { layer, look } = store;
    const { hover } = sessionOf(store);
    const { groups, m } = of(layer);
    if (hover.node >= 0) return `Node ${hover.node} is the group of ${HS.plural(groups[hover.node].length, "edge")}: ${groups[hover.node].slice(0, 8).map((e) => `${layer.edges[2 * e]}–${layer.edges[2 * e + 1]}`).join(", ")}${groups[hover.node].length > 8 ? " …" : ""}.`;
    const e = hover.edge >= 0 ? hover.edge : look.picked.at(-1);
    if (e === undefined || e >= m) return "";
    const [u, v] = [layer.edges[2 * e], layer.edges[2 * e + 1]];
    if (look.lens === "kept" && layer.drops.length) {
      const drop = layer.drops[Math.min(look.drop, layer.drops.length) - 1];
      const state = drop.score[e] < -5 ? "was dropped before" : `scores ${drop.score[e].toFixed(2)} and is ${drop.kept[e] ? (drop.score[e] > 0 ? "kept" : "kept, but silent: its weight is 0") : "dropped"}`;
      return `Edge ${u}–${v} ${state}.`;
    }
    if (look.lens === "messages") {
      const steps = hears(layer, e);
      return `After ${HS.plural(look.rounds, "round")} edge ${u}–${v} has heard from ${steps.filter((step) => step <= look.rounds).length} of ${m} edges.`;
    }
    return `Edge ${u}–${v} is one dot, in two groups: those of node ${u} and of node ${v}.`;
  }

  function cutRows(store) {
    const { layer } = store;
    return store.look.picked.filter((e) => e < of(layer).m).map((e) => ({
      mark: `${layer.edges[2 * e]}–${layer.edges[2 * e + 1]}`,
      kinds: [["edge", "cut this edge", "The graph without it, through the whole network"]],
      pressed: () => store.cutList.hasWhole("edge", e, layer.name),
      toggle: () => store.cutList.toggleWhole("edge", e, layer.name),
    }));
  }

  function asJson(store) {
    const { layer } = store;
    const edges = Array.from({ length: of(layer).m }, (_, e) => [layer.edges[2 * e], layer.edges[2 * e + 1]]);
    const drops = layer.drops.map((drop) => ({ score: Array.from(drop.score, (value) => (value < -5 ? null : Number(value.toPrecision(5)))), kept: Array.from(drop.kept, Boolean) }));
    return JSON.stringify({ exhibit: store.payload.exhibit.slug, graph6: store.payload.extras.graph6, nodes: layer.nodes, edges, groups: of(layer).groups, drops }, null, 1);
  }

  function asCsv(store) {
    const { layer } = store;
    const head = ["source", "target", ...layer.drops.flatMap((_, i) => [`score_${i + 1}`, `kept_${i + 1}`])];
    const lines = Array.from({ length: of(layer).m }, (_, e) => [layer.edges[2 * e], layer.edges[2 * e + 1], ...layer.drops.flatMap((drop) => [drop.score[e] < -5 ? "" : drop.score[e].toPrecision(5), drop.kept[e]])].join(","));
    return [head.join(","), ...lines].join("\n");
  }

  function check(layer) {
    const wrong = (what) => new HS.Refusal(`The graph “${layer.label}” does not fit together (${what}). Run it again.`);
    if (!Number.isInteger(layer.nodes) || !layer.edges || layer.edges.shape[1] !== 2) throw wrong("nodes or edges are missing");
    if (layer.edges.some((node) => node >= layer.nodes)) throw wrong("an edge names a node that does not exist");
    HS.requireShape(layer, "places", [layer.nodes, 2], false);
    for (const drop of layer.drops || []) {
      HS.requireShape({ ...drop, label: layer.label }, "score", [layer.edges.shape[0]], false);
      HS.requireShape({ ...drop, label: layer.label }, "kept", [layer.edges.shape[0]], false);
    }
    layer.drops = layer.drops || [];
  }

  HS.instrument({
    kind: "dual",
    check,
    createStage,
    base() {},
    overlay() {},
    thumb() {},
    legend,
    sentence,
    invitation: "Hover an edge or a node; “Turn inside out” makes dots of edges and groups of nodes.",
    settings: () => [],
    section: () => ({ element: HS.el("div", { hidden: true }), draw() {} }),
    lookInputs: () => ({ main: {}, more: {}, draw() {} }),
    cutKinds: [],
    cutRows,
    cutHint: () => "Press an edge to choose it, then cut it and predict again.",
    asJson,
    asCsv,
  });
  HS.dual = { of, hears, sessionOf };
})();
