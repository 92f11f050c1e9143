// @wing structure
/**
 * The drawing board: a graph on its own, drawn, dragged and edited by hand. What is moved is looked at again at once by the
 * networks that look; a changed edge is a new graph for everybody.
 */
(() => {
  "use strict";

  const { net, arena } = HS;
  const MOST_NODES = 300;
  const MOST_EDGES = 12000;
  const MOST_UNDO = 60;
  const NEAR = 14; // pixels around a node or an edge that still hit it
  const VIEW = 1.1; // half of what the board shows of the plane, downwards
  const INSET = 104; // side of the picture in the corner
  const TOOLS = [
    ["move", "Move", "Drag a node: the drawing changes, the edges do not"],
    ["draw", "Draw", "Click for a node, drag from node to node for an edge; the same drag again takes it away"],
    ["erase", "Erase", "Click a node or an edge to take it away"],
  ];
  const PAINTS = [
    ["plain", "plain", "As the networks see it"],
    ["exact", "truth", "Bridges red and thick, equivalent nodes in one colour, the Fiedler vector, or how many ways run over an edge"],
    ["rests", "edges used", "What the chosen network’s answer rests on; ask in the tab “Edges used”"],
  ];

  HS.lookField("reveal", false, HS.checks.truth);
  HS.lookField("tint", "plain", HS.checks.word("plain", "exact", "rests"));
  HS.lookField("who", "", HS.checks.shortText);

  // --------------------------------------------------------------------------------------------------------- editing

  /** Remember the graph before it is changed. */
  function remember(session) {
    session.undo = [...session.undo, { nodes: session.nodes, edges: [...session.edges], places: Float32Array.from(session.places) }].slice(-MOST_UNDO);
  }

  /** The server is told what the visitor made. */
  function tell(store, edgesChanged) {
    const session = arena.of(store);
    const controls = { places: arena.placesText(store) };
    if (edgesChanged) Object.assign(controls, { source: "my own", graph: net.graph6(session.nodes, session.edges) });
    if (edgesChanged) session.before = null;
    HS.askRun(store, { controls });
    store.touch("arena");
  }

  function addNode(session, x, y) {
    session.places = Float32Array.from([...session.places, x, y]);
    return session.nodes++;
  }

  function hasEdge(session, u, v) {
    for (let e = 0; e < session.edges.length; e += 2) {
      if ((session.edges[e] === u && session.edges[e + 1] === v) || (session.edges[e] === v && session.edges[e + 1] === u)) return e;
    }
    return -1;
  }

  function toggleEdge(session, u, v) {
    const at = hasEdge(session, u, v);
    if (at >= 0) session.edges.splice(at, 2);
    else session.edges.push(Math.min(u, v), Math.max(u, v));
    sortEdges(session);
  }

  /** Edges in the order of the server (u < v, rising), so that values per edge stay with their edge. */
  function sortEdges(session) {
    const pairs = [];
    for (let e = 0; e < session.edges.length; e += 2) pairs.push([session.edges[e], session.edges[e + 1]]);
    session.edges = pairs.sort((a, b) => a[0] - b[0] || a[1] - b[1]).flat();
  }

  function removeNode(session, node) {
    const kept = [];
    for (let e = 0; e < session.edges.length; e += 2) {
      const [u, v] = [session.edges[e], session.edges[e + 1]];
      if (u !== node && v !== node) kept.push(u - (u > node), v - (v > node));
    }
    session.edges = kept;
    session.places = session.places.filter((_, i) => Math.floor(i / 2) !== node);
    session.nodes -= 1;
  }

  // -------------------------------------------------------------------------------------------------------- painting

  /** [colour, width, alpha] of every edge, and the colour of every node, under the present paint. */
  function styles(store, session) {
    const { tint } = store.look;
    const layer = store.layers[0];
    const fits = session.edges.length === layer.edges.length && session.nodes === layer.nodes && session.edges.every((value, i) => value === layer.edges[i]);
    const plain = { edge: () => [net.INK, 1.4, session.edges.length > 1200 ? 0.35 : 0.72], node: () => net.NODE };
    if (!fits || arena.hidden(store)) return plain;
    if (session.mix) return walked(session.mix);
    if (tint === "rests") return restsOn(session, plain);
    if (tint === "exact" && layer.truth) return exact(store, layer, plain);
    return plain;
  }

  function restsOn(session, plain) {
    const { explained } = session;
    if (!explained) return plain;
    const most = explained.most || 1;
    return {
      node: () => "#6d7f8c",
      edge(e) {
        const value = explained.edges[e];
        if (value < -1e9) return ["#3a424d", 1, 0.6];
        const t = Math.abs(value) / most;
        return [HS.ramp("diverging", 0.5 + (0.5 * value) / most), 1 + Math.round(t * 10) / 2, 0.35 + Math.round(t * 6) / 10];
      },
    };
  }

  /** Where a walker is now: light where it is likelier than in the long run, dark where it has not come yet. */
  function walked({ now, rest }) {
    return { edge: () => [net.INK, 1.2, 0.35], node: (i) => HS.ramp("viridis", Math.min(1, Math.sqrt(now[i] / Math.max(1e-12, 2 * rest[i])))) };
  }

  function exact(store, layer, plain) {
    const { task, betweenness } = store.payload.extras;
    const { truth } = layer;
    const bridge = (e) => (truth.bridges[e] ? [net.MATTERS, 4, 1] : [net.INK, 1.2, 0.4]);
    if (task === "bridges") return { ...plain, edge: bridge };
    if (task === "symmetry" && truth.orbits) return { edge: () => [net.INK, 1.2, 0.4], node: orbitColours(truth.orbits) };
    if (task === "gap") {
      const most = Math.max(...truth.fiedler.map(Math.abs), 1e-9);
      return { edge: () => [net.INK, 1.2, 0.4], node: (i) => HS.ramp("diverging", 0.5 + (0.5 * truth.fiedler[i]) / most) };
    }
    if (!betweenness) return plain;
    const most = Math.max(...betweenness, 1e-9);
    return { ...plain, edge: (e) => [HS.ramp("viridis", 0.25 + 0.75 * (betweenness[e] / most)), 1 + Math.round((8 * betweenness[e]) / most) / 2, 0.9] };
  }

  /** Nodes that can change places share a colour; those that cannot are grey. */
  function orbitColours(orbits) {
    const size = new Map();
    for (const orbit of orbits) size.set(orbit, (size.get(orbit) || 0) + 1);
    const shared = [...size.keys()].filter((orbit) => size.get(orbit) > 1).sort((a, b) => size.get(b) - size.get(a) || a - b);
    const number = new Map(shared.map((orbit, i) => [orbit, i]));
    return (i) => (number.has(orbits[i]) ? net.SETS[number.get(orbits[i]) % net.SETS.length] : "#77838f");
  }

  const boardView = (width, height) => net.view(width, height, VIEW);

  const radiusOf = (session, scale) => Math.max(3.2, Math.min(9, (scale * 0.42) / Math.sqrt(Math.max(8, session.nodes))));

  function paint(ctx, width, height, store, session, live) {
    const v = boardView(width, height);
    ctx.fillStyle = net.GROUND;
    ctx.fillRect(0, 0, width, height);
    const points = net.pixels(session.moving || session.places, v);
    const style = styles(store, session);
    net.strokeEdges(ctx, points, session.edges, style.edge);
    const radius = radiusOf(session, v.scale);
    net.discs(ctx, points, style.node, () => radius);
    if (!live) return;
    const { hover, selected } = session;
    const lit = hover.node >= 0 ? hover.node : selected;
    if (lit >= 0 && lit < session.nodes) {
      net.strokeEdges(ctx, points, session.edges, (e) => (session.edges[2 * e] === lit || session.edges[2 * e + 1] === lit ? [HS.MEANING.in, 2.2, 0.9] : null));
      net.discs(ctx, points.subarray(2 * lit, 2 * lit + 2), () => HS.MEANING.in, () => radius + 1.5);
    }
    if (hover.edge >= 0 && hover.node < 0) net.strokeEdges(ctx, points, session.edges, (e) => (e === hover.edge ? [session.tool === "erase" ? HS.MEANING.cut : HS.MEANING.in, 3, 1] : null));
    if (session.rubber) {
      const [from, x, y] = session.rubber;
      const line = HS.newPath(ctx);
      line.moveTo(points[2 * from], points[2 * from + 1]);
      line.lineTo(x, y);
      ctx.save();
      ctx.setLineDash([5, 4]);
      [ctx.strokeStyle, ctx.lineWidth] = [HS.MEANING.in, 2];
      ctx.stroke(line);
      ctx.restore();
    }
    if (session.picture) inset(ctx, width, height, session);
  }

  /** In the corner: the few pixels that the networks get which look. */
  function inset(ctx, width, height, session) {
    if (session.insetOf !== session.picture) [session.insetOf, session.inset] = [session.picture, net.raster(session.picture, Math.round(Math.sqrt(session.picture.length / 3)))];
    const side = Math.min(INSET, width / 4);
    const [x, y] = [width - side - 8, height - side - 8];
    ctx.save();
    ctx.imageSmoothingEnabled = false;
    ctx.drawImage(session.inset, x, y, side, side);
    [ctx.strokeStyle, ctx.lineWidth] = ["#77838f", 1];
    ctx.strokeRect(x - 0.5, y - 0.5, side + 1, side + 1);
    ctx.fillStyle = "#c9d3de";
    ctx.font = "11px system-ui, sans-serif";
    ctx.textAlign = "right";
    ctx.fillText("what looking networks get", width - 8, y - 6);
    ctx.restore();
  }

  // ---------------------------------------------------------------------------------------------------------- stage

  function createBoard(element, store, hooks) {
    const session = () => arena.of(store);
    let begun = null; // {node, start places} of a drag
    const bar = toolbar(store, edit);
    const room = HS.el("div", { class: "hs-easel-box" });
    element.append(bar.element, room);
    element.classList.add("hs-board-stage");
    const here = () => boardView(...easel.size());
    const points = () => net.pixels(session().places, here());
    const reach = (event) => (event && event.pointerType === "touch" ? 2 * NEAR : NEAR);

    /** The place under a point, kept on the board. */
    function inside(px, py) {
      const [width, height] = easel.size();
      const [x, y] = here().from(Math.min(width - 8, Math.max(8, px)), Math.min(height - 8, Math.max(8, py)));
      return [x, y].map((value) => Math.min(1.24, Math.max(-1.24, value)));
    }

    /** Places follow the pointer; the networks that look are asked as fast as they answer. */
    const lookAgain = HS.atMostEvery(60, () => {
      if (session().nodes === store.layers[0].nodes) store.ask("ask", { question: "look", places: arena.placesText(store) });
    });

    function moveTo(node, px, py) {
      const [x, y] = inside(px, py);
      const s = session();
      [s.places[2 * node], s.places[2 * node + 1]] = [x, y];
      lookAgain();
      easel.draw();
    }

    /** A change of the graph by `change(session)`; false leaves all as it was. */
    function edit(change) {
      const s = session();
      remember(s);
      if (change(s) === false || s.nodes > MOST_NODES || s.edges.length / 2 > MOST_EDGES || s.nodes < 1) {
        Object.assign(s, s.undo.pop());
        easel.draw();
        return;
      }
      s.hover = { node: -1, edge: -1 };
      easel.draw();
      tell(store, true);
    }

    const easel = net.easel(room, {
      label: "The graph. Drag nodes to move them; with the tool Draw, click for nodes and drag between nodes for edges. Arrow keys move the chosen node, Delete removes it, z takes back.",
      paint: (ctx, width, height) => paint(ctx, width, height, store, session(), true),
      hover(x, y, event) {
        const s = session();
        const node = net.nodeAt(points(), x, y, reach(event));
        const edge = node < 0 ? net.edgeAt(points(), s.edges, x, y, 6) : -1;
        if (node !== s.hover.node || edge !== s.hover.edge) {
          s.hover = { node, edge };
          easel.draw();
          store.touch("hover");
        }
        if (s.tool === "draw") return node >= 0 ? "crosshair" : "copy";
        return node >= 0 || (edge >= 0 && s.tool === "erase") ? "pointer" : "default";
      },
      leave() {
        session().hover = { node: -1, edge: -1 };
        easel.draw();
        store.touch("hover");
      },
      down(x, y, event) {
        const s = session();
        const node = net.nodeAt(points(), x, y, reach(event));
        s.selected = node;
        if (arena.hidden(store) && s.tool !== "move") return false;
        if (node < 0 && s.tool === "move") return false;
        begun = { node, x, y, edge: node < 0 ? net.edgeAt(points(), s.edges, x, y, 8) : -1, places: Float32Array.from(s.places), edges: [...s.edges], nodes: s.nodes, answers: arena.answersOf(store) };
        return true;
      },
      drag(x, y) {
        const s = session();
        if (s.tool === "move" && begun.node >= 0) {
          s.before = s.before || begun.answers;
          moveTo(begun.node, x, y);
        } else if (s.tool === "draw" && begun.node >= 0) {
          s.rubber = [begun.node, x, y];
          s.hover = { node: net.nodeAt(points(), x, y, NEAR), edge: -1 };
          easel.draw();
        }
      },
      up(x, y, moved) {
        const s = session();
        const start = begun;
        begun = null;
        s.rubber = null;
        if (s.tool === "move") {
          if (moved) {
            s.undo = [...s.undo, { nodes: start.nodes, edges: start.edges, places: start.places }].slice(-MOST_UNDO);
            tell(store, false);
          }
        } else if (s.tool === "draw") drawn(start, x, y, moved);
        else if (s.tool === "erase") {
          if (start.node >= 0) edit((one) => removeNode(one, start.node));
          else if (start.edge >= 0) edit((one) => one.edges.splice(2 * start.edge, 2) && true);
        }
        easel.draw();
        store.touch("hover");
      },
      key,
    });

    function drawn(start, x, y, moved) {
      const end = net.nodeAt(points(), x, y, NEAR);
      const place = () => inside(x, y);
      if (start.node >= 0 && moved && end >= 0 && end !== start.node) edit((s) => toggleEdge(s, start.node, end));
      else if (start.node >= 0 && moved && end < 0) edit((s) => toggleEdge(s, start.node, addNode(s, ...place())));
      else if (start.node < 0) edit((s) => addNode(s, ...place()));
    }

    function key(event) {
      const s = session();
      const moves = { ArrowUp: [0, -0.04], ArrowDown: [0, 0.04], ArrowLeft: [-0.04, 0], ArrowRight: [0.04, 0] };
      if (moves[event.key] && s.nodes) {
        if (s.selected < 0) s.selected = 0;
        s.before = s.before || arena.answersOf(store);
        remember(s);
        const [x, y] = [s.places[2 * s.selected] + moves[event.key][0], s.places[2 * s.selected + 1] + moves[event.key][1]];
        moveTo(s.selected, ...here().to(x, y));
        settle();
      } else if (event.key === "n" && s.nodes) {
        s.selected = (s.selected + 1) % s.nodes;
        s.hover = { node: s.selected, edge: -1 };
        store.touch("hover");
      } else if ((event.key === "Delete" || event.key === "Backspace") && s.selected >= 0 && !arena.hidden(store)) {
        const node = s.selected;
        s.selected = -1;
        edit((one) => removeNode(one, node));
      } else if (event.key === "z") bar.undo();
      else if (event.key === "s") hooks.story(1);
      else if (event.key === "S") hooks.story(-1);
      else if (event.key === "Escape") [s.selected, s.hover] = [-1, { node: -1, edge: -1 }];
      else return false;
      easel.draw();
      return true;
    }

    let settling = 0;
    /** After the last arrow key the run follows. */
    function settle() {
      clearTimeout(settling);
      settling = setTimeout(() => tell(store, false), 400);
    }

    const stop = store.onAnswer("ask", (answer) => {
      if (answer.question !== "look") return;
      const s = session();
      s.looked = answer.result.answers;
      s.picture = answer.result.picture;
      store.touch("arena");
    });

    return {
      overlay: easel.canvas,
      draw(changed) {
        bar.draw();
        if (changed.has("payload")) glide(store, session(), easel);
        easel.draw();
      },
      paint: (ctx, width, height) => paint(ctx, width, height, store, session(), false),
      destroy() {
        stop();
        clearTimeout(settling);
        cancelAnimationFrame(session().gliding);
        lookAgain.stop();
        easel.destroy();
        element.classList.remove("hs-board-stage");
      },
    };
  }

  /** A new layout of the same graph: nodes fly to their new places, so that the eye can follow them. */
  function glide(store, session, easel) {
    const from = session.shownPlaces;
    const key = store.payload.extras.tied;
    const apart = from && session.shownKey === key && from.length === session.places.length && from.some((value, i) => Math.abs(value - session.places[i]) > 1e-3);
    session.shownPlaces = Float32Array.from(session.places);
    session.shownKey = key;
    cancelAnimationFrame(session.gliding);
    session.moving = null;
    if (apart && !HS.calm()) fly(session, easel, from, session.places, 600);
  }

  /** Moves all nodes from one drawing to another within `time` ms, slow at both ends. */
  function fly(session, easel, from, to, time, then) {
    const begun = performance.now();
    const step = () => {
      const t = Math.min(1, (performance.now() - begun) / time);
      const s = t * t * (3 - 2 * t);
      session.moving = t < 1 ? Float32Array.from(to, (value, i) => from[i] + s * (value - from[i])) : null;
      easel.draw();
      if (t < 1) session.gliding = requestAnimationFrame(step);
      else if (then) then();
    };
    cancelAnimationFrame(session.gliding);
    session.gliding = requestAnimationFrame(step);
  }

  /** A symmetry at work: every node glides to the place of the node that it may stand for. The drawing ends as it began. */
  function walk(store, move, then) {
    const session = arena.of(store);
    const to = Float32Array.from(session.places, (_, i) => session.places[2 * move[Math.floor(i / 2)] + (i % 2)]);
    const easel = { draw: () => store.touch("arena") };
    if (HS.calm()) {
      then();
      return;
    }
    fly(session, easel, Float32Array.from(session.places), to, 2400, () => {
      session.moving = null;
      store.touch("arena");
      then();
    });
  }

  function toolbar(store, edit) {
    const session = () => arena.of(store);
    const tools = TOOLS.map(([name, label, hint]) => HS.el("button", { type: "button", class: "hs-button", "data-tool": name, title: hint, onclick: () => ((session().tool = name), draw()) }, label));
    const undo = HS.el("button", { type: "button", class: "hs-button", title: "Take the last change back (z)", "data-act": "undo", onclick: takeBack }, "Undo");
    const clear = HS.el("button", { type: "button", class: "hs-button", title: "An empty board with one node", "data-act": "clear", onclick: () => edit(empty) }, "Clear");
    const dice = HS.el("button", { type: "button", class: "hs-button", title: "Another test graph, by chance", "data-act": "dice", onclick: roll }, "Random test graph");
    const paints = PAINTS.map(([name, label, hint]) => HS.el("button", { type: "button", class: "hs-button", "data-tint": name, title: hint, onclick: () => store.set(name === "exact" ? { tint: name, reveal: true } : { tint: name }) }, label));
    const group = (label, ...items) => HS.el("div", { class: "hs-tool-group", role: "group", "aria-label": label }, ...items);
    const element = HS.el("div", { class: "hs-toolbar" }, group("Tools", ...tools), group("Changes", undo, clear), group("Graphs", dice), group("Colour", HS.el("span", { class: "hs-hint" }, "Colour"), ...paints));

    function empty(s) {
      Object.assign(s, { nodes: 1, edges: [], places: Float32Array.from([0, 0]), selected: -1, tool: "draw" });
    }

    function takeBack() {
      const s = session();
      const before = s.undo.pop();
      if (!before) return;
      const edgesChanged = before.nodes !== s.nodes || String(before.edges) !== String(s.edges);
      Object.assign(s, before);
      tell(store, edgesChanged);
      draw();
    }

    function roll() {
      HS.askRun(store, { controls: { source: "a test graph", number: Math.floor(Math.random() * 250), places: "" } });
    }

    function draw() {
      const s = session();
      const guessing = arena.hidden(store);
      tools.forEach((button) => {
        button.setAttribute("aria-pressed", String(button.dataset.tool === s.tool));
        button.disabled = !store.host.live || (guessing && button.dataset.tool !== "move");
      });
      paints.forEach((button) => {
        button.setAttribute("aria-pressed", String(button.dataset.tint === store.look.tint));
        button.disabled = guessing;
      });
      undo.disabled = !s.undo.length || !store.host.live || guessing;
      clear.disabled = dice.disabled = !store.host.live || guessing;
    }
    draw();
    return { element, draw, undo: takeBack };
  }

  // ----------------------------------------------------------------------------------------------------------- words

  function legend(store) {
    const { entry, sample, scale } = HS.legend;
    const { task } = store.payload.extras;
    const session = arena.of(store);
    const { tint } = store.look;
    const facts = [entry("", `${HS.plural(session.nodes, "node")}, ${HS.plural(session.edges.length / 2, "edge")}`)];
    if (arena.hidden(store)) return { entries: [], facts };
    if (tint === "rests" && session.explained) return { entries: [scale("speaks against", "diverging", "", "for the answer")], facts };
    if (tint === "rests") return { entries: [entry("", "Ask first: tab “Edges used”")], facts };
    if (tint !== "exact") return { entries: [], facts };
    if (task === "bridges") return { entries: [entry(sample(net.MATTERS, ""), "bridge: the only way across")], facts };
    if (task === "symmetry") return { entries: [entry("", "one colour: nodes that can change places; grey: nodes that cannot")], facts };
    if (task === "gap") return { entries: [scale("Fiedler vector −", "diverging", "", "+")], facts };
    return { entries: [scale("share of all shortest ways", "viridis", "0", HS.percent(Math.max(0, ...(store.payload.extras.betweenness || [0]))))], facts };
  }

  function sentence(store) {
    const session = arena.of(store);
    const { node, edge } = session.hover;
    if (node >= 0) {
      const around = net.adjacency(session.nodes, session.edges)[node];
      const { truth } = store.layers[0];
      const twins = truth && truth.orbits && arena.revealed(store) && session.nodes === store.layers[0].nodes ? truth.orbits.filter((orbit) => orbit === truth.orbits[node]).length - 1 : 0;
      return `Node ${node} has ${HS.plural(around.length, "neighbour")}${twins ? ` and can change places with ${HS.plural(twins, "other node")}` : ""}.`;
    }
    if (edge >= 0) return `Edge ${session.edges[2 * edge]} – ${session.edges[2 * edge + 1]}.`;
    return "";
  }

  function asJson(store) {
    const session = arena.of(store);
    const { task, classes, right, layout } = store.payload.extras;
    const edges = [];
    for (let e = 0; e < session.edges.length; e += 2) edges.push([session.edges[e], session.edges[e + 1]]);
    const places = Array.from({ length: session.nodes }, (_, i) => [session.places[2 * i], session.places[2 * i + 1]].map((value) => Number(value.toFixed(4))));
    return JSON.stringify({ exhibit: store.payload.exhibit.slug, task, classes, truth: right, layout, graph6: net.graph6(session.nodes, session.edges), nodes: session.nodes, edges, places, answers: arena.answersOf(store) }, null, 1);
  }

  function asCsv(store) {
    const session = arena.of(store);
    const { betweenness } = store.payload.extras;
    const { truth, edges } = store.layers[0];
    const known = truth && edges.length === session.edges.length;
    const lines = ["source,target,bridge,betweenness,speaks_for_the_answer"];
    for (let e = 0; e < session.edges.length / 2; e++) {
      const rests = session.explained && session.explained.edges[e] > -1e9 ? session.explained.edges[e].toPrecision(5) : "";
      lines.push([session.edges[2 * e], session.edges[2 * e + 1], known ? truth.bridges[e] : "", known && betweenness ? betweenness[e].toPrecision(5) : "", rests].join(","));
    }
    return lines.join("\n");
  }

  function check(layer) {
    const wrong = (what) => new HS.Refusal(`The graph “${layer.label}” does not fit together (${what}). Run it again.`);
    if (!Number.isInteger(layer.nodes) || layer.nodes < 1) throw wrong("it has no nodes");
    HS.requireShape(layer, "places", [layer.nodes, 2], false);
    if (!layer.edges || layer.edges.shape[1] !== 2) throw wrong("its edges are missing");
    if (layer.edges.some((node) => node >= layer.nodes)) throw wrong("an edge names a node that does not exist");
    if (layer.truth) HS.requireShape({ ...layer.truth, label: layer.label }, "bridges", [layer.edges.shape[0]], false);
  }

  const nothing = () => ({ element: HS.el("div", { hidden: true }), draw() {} });

  HS.instrument({
    kind: "abstract-graph",
    check,
    createStage: createBoard,
    createAnswers: HS.createArena,
    base() {},
    overlay() {},
    thumb() {},
    legend,
    sentence,
    invitation: "Drag a node: what the networks that look say follows at once.",
    settings: () => [],
    section: nothing,
    lookInputs: () => ({ main: {}, more: {}, draw() {} }),
    cutKinds: [],
    asJson,
    asCsv,
  });
  /** Two edges a–b and c–d become a–d and c–b, by chance, so that the graph stays in one piece: degrees are kept, symmetries seldom. */
  function swap(store) {
    const session = arena.of(store);
    const count = session.edges.length / 2;
    const whole = Math.max(...net.components(session.nodes, session.edges));
    for (let attempt = 0; attempt < 200; attempt++) {
      const [e, f] = [Math.floor(Math.random() * count), Math.floor(Math.random() * count)];
      const [a, b] = [session.edges[2 * e], session.edges[2 * e + 1]];
      const [c, d] = Math.random() < 0.5 ? [session.edges[2 * f], session.edges[2 * f + 1]] : [session.edges[2 * f + 1], session.edges[2 * f]];
      if (new Set([a, b, c, d]).size < 4 || hasEdge(session, a, d) >= 0 || hasEdge(session, c, b) >= 0) continue;
      const made = { nodes: session.nodes, edges: [...session.edges] };
      for (const [u, v] of [[a, b], [c, d], [a, d], [c, b]]) toggleEdge(made, u, v);
      if (Math.max(...net.components(made.nodes, made.edges)) > whole) continue;
      remember(session);
      session.edges = made.edges;
      tell(store, true);
      return true;
    }
    return false;
  }

  HS.arena.walk = walk;
  HS.arena.swap = swap;
})();
