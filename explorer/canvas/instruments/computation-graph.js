// @wing hypernetworks
/**
 * The instrument of graph hypernetworks. Above: a network as a graph, nodes in columns by their longest path, virtual edges as faint arcs,
 * attention of the chosen node as arcs below. Below: what was predicted for this node, with its copied tile or its two factors.
 */
(() => {
  "use strict";

  const W = () => HS.weights;
  const { number } = HS.checks;
  HS.lookField("node", null, (v) => (v === null ? null : number(0, 400, true)(v)));
  HS.lookField("virtual", false, (v) => (typeof v === "boolean" ? v : undefined));
  HS.lookField("attentionLayer", 0, number(0, 31, true)); // layer of the transformer whose attention is drawn
  HS.lookField("attentionHead", -1, number(-1, 31, true)); // −1: mean of the heads

  /** Kind of node → what it is called, and its colour in Okabe–Ito; the letter tells it without colour. */
  const KINDS = {
    input: ["input", "#6B6B6B", "in"], conv: ["weights", "#0072B2", "W"], sep_conv: ["weights of separate channels", "#56B4E9", "w"], dil_conv: ["dilated weights", "#56B4E9", "w"],
    bias: ["bias", "#8A8A8A", "b"], bn: ["batch normalisation", "#009E73", "N"], ln: ["layer normalisation", "#009E73", "N"], sum: ["sum", "#E69F00", "+"],
    concat: ["concatenation", "#E69F00", "‖"], max_pool: ["maximum pool", "#CC79A7", "P"], avg_pool: ["mean pool", "#CC79A7", "P"], glob_avg: ["mean over all places", "#CC79A7", "M"],
    msa: ["attention", "#D55E00", "A"], cse: ["product", "#E69F00", "×"], pos_enc: ["positions", "#D55E00", "p"],
  };
  const kindOf = (node) => KINDS[node.kind] || [node.kind, "#6B6B6B", "?"];

  const states = new WeakMap();
  function stateOf(store) {
    if (!states.has(store)) {
      const state = { under: null, pull: null, tensors: new Map() }; // pull: {from, x, y}, an edge that is being laid
      states.set(store, state);
      store.subscribe((changed) => changed.has("payload") && Object.assign(state, { under: null, pull: null, tensors: new Map() }));
    }
    return states.get(store);
  }

  const graphOf = (store) => store.layer.computation;
  const chosen = (store) => {
    const node = stateOf(store).under ?? store.look.node;
    return node !== null && node < graphOf(store).nodes.length ? node : null;
  };
  const pinned = (store) => (store.look.node !== null && store.look.node < graphOf(store).nodes.length ? store.look.node : null);

  /** The tensor of a node; null while it is on its way, undefined where the node has none. */
  function tensorOf(store, index) {
    const node = graphOf(store).nodes[index];
    if (!node || !node.count) return undefined;
    const state = stateOf(store);
    const key = `${store.layer.name} ${node.name}`;
    if (!state.tensors.has(key)) {
      state.tensors.set(key, null);
      W().questions(store).ask("tensor", { hypernetwork: store.layer.name, tensor: node.name }, (found) => {
        state.tensors.set(`${found.hypernetwork} ${found.name}`, found);
        store.touch("answer");
      });
    }
    return state.tensors.get(key);
  }

  // --------------------------------------------------------------------------------------------------------- places

  function places(store, width, height) {
    const { nodes } = graphOf(store);
    const graph = { x: 8, y: 6, width: width - 16, height: Math.round(0.46 * height) };
    const below = { x: 8, y: graph.y + graph.height + 22, width: width - 16, height: height - graph.height - 34 };
    const columns = Math.max(1, ...nodes.map((node) => node.x));
    const lanes = Math.max(...nodes.map((node) => node.y)) + 1;
    const step = (graph.width - 40) / columns;
    const radius = Math.max(5, Math.min(15, 0.36 * step));
    const gap = Math.min(46, (0.4 * graph.height) / lanes);
    const at = nodes.map((node) => [graph.x + 20 + node.x * step, graph.y + 0.56 * graph.height + (node.y - (lanes - 1) / 2) * gap]);
    return { graph, below, at, radius, step };
  }

  function arc(ctx, [x1, y1], [x2, y2], lift, colour, width, alpha = 1, dash = []) {
    ctx.save();
    ctx.globalAlpha = alpha;
    ctx.setLineDash(dash);
    ctx.beginPath();
    ctx.moveTo(x1, y1);
    ctx.quadraticCurveTo((x1 + x2) / 2, (y1 + y2) / 2 + lift, x2, y2);
    ctx.strokeStyle = colour;
    ctx.lineWidth = width;
    ctx.stroke();
    ctx.restore();
  }

  /** Attention of one node on all nodes, in the chosen layer and head. */
  function attentionOf(store, node) {
    const { attention } = graphOf(store);
    if (!attention) return null;
    const [layers, heads, n] = attention.shape;
    const depth = Math.min(store.look.attentionLayer, layers - 1);
    const list = store.look.attentionHead >= 0 && store.look.attentionHead < heads ? [store.look.attentionHead] : Array.from({ length: heads }, (_, h) => h);
    const row = new Float32Array(n);
    for (const head of list) for (let j = 0; j < n; j++) row[j] += attention[((depth * heads + head) * n + node) * n + j] / list.length;
    return row;
  }

  function paintGraph(ctx, store, at, c) {
    const { nodes, edges, virtual } = graphOf(store);
    const { radius, graph } = at;
    ctx.font = HS.chart.FONT;
    if (store.look.virtual) {
      for (const [source, target, length] of virtual) {
        arc(ctx, at.at[source], at.at[target], -Math.min(1.5 * graph.height, 22 + 9 * length), c.series[3], 1, 0.35);
      }
    }
    for (const [source, target] of edges) {
      const far = nodes[target].x - nodes[source].x;
      arc(ctx, at.at[source], at.at[target], far > 1 ? -14 - 9 * far : 0, c.muted, 1.8);
    }
    nodes.forEach((node, i) => {
      const [, colour, letter] = kindOf(node);
      const size = node.count ? radius : 0.72 * radius;
      W().dot(ctx, ...at.at[i], size, colour, c.paper, 1.5);
      if (radius < 7) return;
      ctx.font = `600 ${Math.round(Math.max(9, radius))}px system-ui, sans-serif`;
      HS.chart.text(ctx, letter, at.at[i][0], at.at[i][1] + 0.5, "#ffffff", "center", "middle");
    });
    ctx.font = HS.chart.FONT;
    HS.chart.text(ctx, store.look.virtual ? "arcs above: virtual edges (longer paths)" : "from the input, left, to the classes, right", graph.x, graph.y + graph.height + 8, c.muted);
  }

  function paintChosen(ctx, store, at, c) {
    const node = chosen(store);
    if (node === null) return;
    const row = attentionOf(store, node);
    if (row) {
      const most = Math.max(...row) || 1;
      row.forEach((weight, j) => {
        if (j !== node && weight > 0.02 * most) arc(ctx, at.at[node], at.at[j], 26 + 0.34 * Math.abs(at.at[node][0] - at.at[j][0]), c.series[1], 0.6 + (5 * weight) / most, 0.25 + (0.7 * weight) / most);
      });
    }
    W().dot(ctx, ...at.at[node], at.radius + 3, null, c.ink, 2);
  }

  // -------------------------------------------------------------------------------------------- the chosen node's tensor

  /** Cells of a matrix inside a box at the matrix's own proportions; returns the frame. */
  function paintMatrix(ctx, matrix, box, most, c) {
    const [rows, cols] = matrix.shape;
    const unit = Math.min(box.width / cols, box.height / rows, 9);
    const frame = { x: box.x, y: box.y, width: cols * unit, height: rows * unit };
    W().heat(ctx, frame, matrix, rows, cols, most);
    ctx.strokeStyle = c.muted;
    ctx.lineWidth = 1;
    ctx.setLineDash([]);
    ctx.strokeRect(frame.x, frame.y, frame.width, frame.height);
    return { ...frame, unit };
  }

  function paintTensor(ctx, store, box, c) {
    const index = pinned(store);
    if (index === null) return W().words(ctx, "Click a node to see what was predicted for it.", box.x, box.y + 16, box.width, c.muted);
    const node = graphOf(store).nodes[index];
    const found = tensorOf(store, index);
    ctx.font = "600 13px system-ui, sans-serif";
    HS.chart.text(ctx, `${node.name}: ${kindOf(node)[0]}${node.shape ? `, ${node.shape.join(" × ")}` : ""}`, box.x, box.y + 8, c.ink);
    ctx.font = HS.chart.FONT;
    if (found === undefined) return HS.chart.text(ctx, "an operation without weights", box.x, box.y + 28, c.muted);
    if (found === null) return HS.chart.text(ctx, store.host.live ? "…" : "Needs the live app: this is a stored picture.", box.x, box.y + 28, c.muted);
    const inside = { x: box.x, y: box.y + 40, width: box.width, height: box.height - 56 };
    const most = W().largest(found.matrix);
    if (!found.left) {
      const frame = paintMatrix(ctx, found.matrix, inside, most, c);
      HS.chart.text(ctx, `outputs ↓ ${found.whole[0]}, inputs → ${found.whole[1]}${found.tile ? `; framed: the tile that was made once, ${found.tile.join(" × ")}` : ""}`, box.x, box.y + 30, c.muted);
      if (!found.tile) return;
      ctx.strokeStyle = "#111111"; // the matrix is light in both themes
      for (let y = 0; y < found.matrix.shape[0]; y += found.tile[0]) {
        for (let x = 0; x < found.matrix.shape[1]; x += found.tile[1]) {
          const first = x === 0 && y === 0;
          ctx.lineWidth = first ? 3 : 1;
          ctx.setLineDash(first ? [] : [3, 3]);
          const [w, h] = [Math.min(found.tile[1], found.matrix.shape[1] - x), Math.min(found.tile[0], found.matrix.shape[0] - y)];
          ctx.strokeRect(frame.x + x * frame.unit, frame.y + y * frame.unit, w * frame.unit, h * frame.unit);
        }
      }
      ctx.setLineDash([]);
      return;
    }
    HS.chart.text(ctx, `W (${found.whole.join(" × ")}) = A (${found.left.shape[1]} columns) · B, then scaled`, box.x, box.y + 30, c.muted);
    const third = (inside.width - 70) / 2.6;
    const a = paintMatrix(ctx, found.left, { ...inside, width: third * 0.6 }, W().largest(found.left), c);
    ctx.font = "16px system-ui, sans-serif";
    HS.chart.text(ctx, "·", a.x + a.width + 12, inside.y + inside.height / 2, c.ink, "center", "middle");
    const b = paintMatrix(ctx, found.right, { ...inside, x: a.x + a.width + 24, width: third }, W().largest(found.right), c);
    HS.chart.text(ctx, "∝", b.x + b.width + 13, inside.y + inside.height / 2, c.ink, "center", "middle");
    paintMatrix(ctx, found.matrix, { ...inside, x: b.x + b.width + 28, width: inside.x + inside.width - b.x - b.width - 28 }, most, c);
  }

  function createStage(element, store, hooks) {
    const state = stateOf(store);
    const size = () => [element.clientWidth, element.clientHeight];
    const under = (x, y) => {
      const { at, radius } = places(store, ...size());
      const found = HS.points.nearest({ x: at.map(([px]) => px), y: at.map(([, py]) => py) }, x, y, Math.max(14, radius + 5));
      return found;
    };
    const step = (by) => {
      const n = graphOf(store).nodes.length;
      store.set({ node: store.look.node === null ? 0 : (store.look.node + by + n) % n });
    };
    return W().stage(element, store, hooks, {
      label: "A network as a graph and the weights that were predicted for it. Arrow keys walk through the nodes, Delete takes the chosen node away, brackets change the hypernetwork, s steps the story.",
      still: ["tab", "step"],
      base(ctx, width, height, c) {
        const at = places(store, width, height);
        paintGraph(ctx, store, at, c);
        paintTensor(ctx, store, at.below, c);
      },
      over(ctx, width, height, c) {
        const at = places(store, width, height);
        paintChosen(ctx, store, at, c);
        if (!state.pull) return;
        const [x, y] = at.at[state.pull.from];
        HS.chart.line(ctx, x, y, state.pull.x, state.pull.y, c.accent, 2.5, [5, 4]);
        W().dot(ctx, x, y, at.radius + 3, null, c.accent, 2.5);
        if (state.under !== null && state.under !== state.pull.from) W().dot(ctx, ...at.at[state.under], at.radius + 3, null, c.accent, 2.5);
      },
      down(x, y) {
        const from = store.host.live ? under(x, y) : null;
        if (from === null) return false;
        state.pull = { from, x, y };
        return true;
      },
      drag(x, y) {
        Object.assign(state.pull, { x, y });
        state.under = under(x, y);
        store.touch("hover");
      },
      drop() {
        const { from } = state.pull;
        const to = state.under;
        state.pull = null;
        store.touch("hover");
        if (to !== null && to !== from) HS.architecture.of(store).rewire(Math.min(from, to), Math.max(from, to));
      },
      move(x, y) {
        const found = under(x, y);
        if (found !== state.under) {
          state.under = found;
          store.touch("hover");
        }
        return found;
      },
      leave() {
        state.under = null;
        store.touch("hover");
      },
      press(x, y) {
        const found = under(x, y);
        if (found !== null) store.set({ node: found });
      },
      key(event) {
        const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (by) step(by);
        else if (event.key === "Escape") store.set({ node: null });
        else if (event.key === "Delete" && pinned(store) !== null) HS.architecture.of(store).remove(pinned(store));
        else return false;
        return true;
      },
    });
  }

  // ------------------------------------------------------------------------------------------------- words and inputs

  function sentence(store) {
    const index = chosen(store);
    if (index === null) return "";
    const node = graphOf(store).nodes[index];
    const row = attentionOf(store, index);
    const best = row && Array.from(row, (weight, j) => [weight, j]).filter(([, j]) => j !== index).sort((a, b) => b[0] - a[0])[0];
    const found = stateOf(store).tensors.get(`${store.layer.name} ${node.name}`);
    const told = found && found.copies !== undefined ? `; ${HS.percent(found.copies)} of its outputs are copies, stable rank ${HS.show(found.stable)}` : "";
    return `node ${node.name} (${kindOf(node)[0]})${node.count ? `: ${node.count.toLocaleString("en")} predicted numbers${told}` : ""}${best ? `; attends most to ${graphOf(store).nodes[best[1]].name} (${HS.percent(best[0])})` : ""}`;
  }

  function legend(store) {
    const kinds = [...new Set(graphOf(store).nodes.map((node) => node.kind))];
    const entries = kinds.map((kind) => HS.legend.entry(HS.el("i", { class: "hs-dot", style: `--c:${kindOf({ kind })[1]}` }), `${kindOf({ kind })[2]} ${kindOf({ kind })[0]}`));
    return { entries, facts: [] };
  }

  function createSection(store) {
    const { toggle, range, choice } = HS.inputs;
    const virtual = toggle({ label: "Virtual edges", hint: "Pairs of nodes that are joined by a path of several edges.", value: false, onchange: (value) => store.set({ virtual: value }) });
    const depth = range({ label: "Attention of layer", min: 1, max: 3, step: 1, value: 1, oninput: (value) => store.set({ attentionLayer: value - 1 }) });
    const head = choice({ label: "Head", options: [[-1, "mean of all"]], value: -1, onchange: (value) => store.set({ attentionHead: value }) });
    return {
      element: HS.el("section", { class: "hs-group" }, HS.el("h3", {}, "Graph"), virtual.element, depth.element, head.element),
      draw() {
        const { attention } = graphOf(store);
        virtual.set(store.look.virtual);
        depth.element.hidden = head.element.hidden = !attention;
        if (!attention) return;
        depth.bound(1, attention.shape[0]);
        depth.set(Math.min(store.look.attentionLayer + 1, attention.shape[0]));
        head.fill([[-1, "mean of all"], ...Array.from({ length: attention.shape[1] }, (_, h) => [h, String(h + 1)])]);
        head.set(store.look.attentionHead);
      },
    };
  }

  function thumb(ctx, frame, store, index) {
    const { nodes } = store.layers[index].computation;
    ctx.fillStyle = "#f1f1ef";
    ctx.fillRect(frame.x, frame.y, frame.width, frame.height);
    const columns = Math.max(1, ...nodes.map((node) => node.x));
    nodes.forEach((node) => W().dot(ctx, frame.x + 6 + (node.x / columns) * (frame.width - 12), frame.y + frame.height / 2 + 9 * node.y - 4, 3, kindOf(node)[1]));
    ctx.font = "600 10px system-ui, sans-serif";
    HS.chart.text(ctx, index === 0 ? "tile" : "A·B", frame.x + frame.width / 2, frame.y + frame.height - 6, "#18202b", "center");
  }

  function check(layer) {
    const { computation } = layer;
    if (!computation || !Array.isArray(computation.nodes) || computation.edges.some(([a, b]) => !computation.nodes[a] || !computation.nodes[b])) {
      throw new HS.Refusal(`The graph of “${layer.label}” does not fit together. Run it again.`);
    }
  }

  HS.instrument({
    kind: "computation-graph",
    check,
    base() {},
    overlay() {},
    thumb,
    legend,
    sentence,
    invitation: "Point at a node to see whom it attends to; click to see the weights that were predicted for it.",
    settings: () => [],
    section: createSection,
    lookInputs: () => ({ main: {}, more: {}, draw() {} }),
    cutKinds: [],
    createStage,
    asJson: (store) => JSON.stringify({ exhibit: store.payload.exhibit.slug, hypernetwork: store.layer.name, architecture: store.payload.controls.values.architecture, nodes: graphOf(store).nodes, edges: graphOf(store).edges, virtual_edges: graphOf(store).virtual }, null, 1),
    asCsv: (store) => ["source,target,length", ...graphOf(store).edges.map(([a, b]) => `${a},${b},1`), ...graphOf(store).virtual.map((row) => row.join())].join("\n"),
  });

  HS.computation = { graphOf, kindOf, attentionOf, chosen };
})();
