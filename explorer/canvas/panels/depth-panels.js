// @wing structure
/** How deep may it be: differences by depth, a race of networks that learn live, and the gates of DAGNN. */
(() => {
  "use strict";

  const { deepNodes } = HS;
  const DEPTHS = [2, 4, 8, 16, 32];
  const COLOUR = { gcn: "#d55e00", dagnn: "#0072b2" };
  const NAME = { gcn: "GCN", dagnn: "DAGNN" };

  // ----------------------------------------------------------------------------------------------------- smoothness

  function mountSmooth(el, store) {
    const { chart } = HS;
    const board = chart.board(el, { label: "Mean difference of two nodes by depth", height: (width) => Math.min(220, width * 0.62), base });
    const note = chart.note(el);

    function base(ctx, width, height, c) {
      const scene = deepNodes.sceneOf(store);
      const last = scene.rough.length - 1;
      const p = chart.plot(width, height, { left: 42, top: 8, right: 8, bottom: 34 }, [0, Math.max(1, last)], [0, Math.max(0.1, ...scene.rough) * 1.05]);
      chart.axisY(ctx, p, "mean difference", c, { format: (v) => v.toFixed(1) });
      chart.axisX(ctx, p, scene.word === "layer" ? "layer (first to last)" : `${scene.word}s along the edges`, c);
      ctx.beginPath();
      scene.rough.forEach((value, i) => (i ? ctx.lineTo(p.px(i), p.py(value)) : ctx.moveTo(p.px(i), p.py(value))));
      [ctx.strokeStyle, ctx.lineWidth] = [c.accent, 2];
      ctx.stroke();
      const at = scene.at[deepNodes.indexOf(scene, store.look.depth)];
      chart.line(ctx, p.px(at), p.y, p.px(at), p.y + p.height, c.ink, 1.5);
    }

    note("Half the distance between the directions of two nodes, averaged over all pairs: 0, all say the same; ½ and more, they differ. The upright line is where you are.");
    return { draw: (changed) => board.draw(["payload", "depth", "depths", "theme"].some((key) => changed.has(key))), resize: () => board.resize(), destroy() {} };
  }

  HS.panel({ name: "depth-smooth", kind: "deep-nodes", title: "Differences", available: () => true, mount: mountSmooth });

  // ----------------------------------------------------------------------------------------------------------- race

  function mountRace(el, store) {
    const { chart } = HS;
    let [kind, depth] = ["gcn", 2];
    chart.choice(el, "Network", [["gcn", "GCN", "Every layer mixes neighbours and transforms"], ["dagnn", "DAGNN", "Transforms once, then only mixes; gates per hop"]], kind, (value) => (kind = value));
    chart.choice(el, "Depth", DEPTHS.map((value) => [value, String(value)]), depth, (value) => (depth = value));
    const button = HS.el("button", { type: "button", class: "hs-button hs-primary", "data-act": "train", onclick: press }, "Train");
    el.append(button);
    const board = chart.board(el, { label: "Accuracy by depth", height: (width) => Math.min(200, width * 0.58), base });
    const note = chart.note(el);
    const cora = HS.el("p", { class: "hs-hint" });
    el.append(cora);

    function press() {
      if (store.asking("stream")) store.stop();
      else store.ask("stream", { question: "train", kind, depth });
      draw();
    }

    function base(ctx, width, height, c) {
      const { races } = deepNodes.sessionOf(store);
      const p = chart.plot(width, height, { left: 42, top: 8, right: 8, bottom: 34 }, [0.7, 5.3], [0, 1]);
      chart.axisY(ctx, p, "right answers", c, { format: HS.percent });
      const bottom = p.y + p.height;
      DEPTHS.forEach((value, i) => chart.text(ctx, String(value), p.px(i + 1), bottom + 6, c.muted, "center", "top"));
      chart.line(ctx, p.x, bottom + 0.5, p.x + p.width, bottom + 0.5, c.muted);
      chart.text(ctx, "layers or steps", p.x + p.width / 2, bottom + 20, c.ink, "center", "top");
      const chance = 1 / store.payload.extras.classes;
      chart.line(ctx, p.x, p.py(chance), p.x + p.width, p.py(chance), c.muted, 1, [3, 3]);
      for (const name of ["gcn", "dagnn"]) {
        const mine = races.filter((one) => one.kind === name).sort((a, b) => a.depth - b.depth);
        ctx.beginPath();
        mine.forEach((one, i) => {
          const [x, y] = [p.px(DEPTHS.indexOf(one.depth) + 1), p.py(one.test)];
          if (i) ctx.lineTo(x, y);
          else ctx.moveTo(x, y);
        });
        [ctx.strokeStyle, ctx.lineWidth] = [COLOUR[name], 2];
        ctx.setLineDash(name === "gcn" ? [5, 3] : []);
        ctx.stroke();
        ctx.setLineDash([]);
        ctx.fillStyle = COLOUR[name];
        for (const one of mine) {
          const [x, y] = [p.px(DEPTHS.indexOf(one.depth) + 1), p.py(one.test)];
          if (name === "gcn") ctx.fillRect(x - 4, y - 4, 8, 8);
          else {
            ctx.beginPath();
            ctx.arc(x, y, 4.5, 0, 2 * Math.PI);
            ctx.fill();
          }
        }
      }
    }

    function draw() {
      const { races, training } = deepNodes.sessionOf(store);
      const busy = store.asking("stream");
      button.textContent = busy ? "Stop" : "Train";
      button.disabled = !store.host.live;
      const now = busy && training ? `${NAME[training.kind]} ${training.depth}: round ${training.epoch + 1} of ${training.epochs}, ${HS.percent(training.test)} of the test nodes right. ` : "";
      const last = races[races.length - 1];
      note(now || (last ? `${NAME[last.kind]} with depth ${last.depth}: ${HS.percent(last.test)} right on the test nodes, one run of 120 rounds. Squares, dashed: GCN; discs: DAGNN; dotted: chance.` : "Nothing trained yet on this network. A run takes a few seconds; the stage then shows what its layers made of the nodes."));
      const known = store.payload.extras.cora;
      cora.textContent = known && known.race ? `On Cora (2708 papers), from the model card: ${known.race.map((row) => `${NAME[row.kind]} ${row.depth}: ${HS.percent(row.test_accuracy)}`).join(", ")}.` : "The figures on the citation network Cora are not measured here yet (python -m training.deep_graphs).";
    }

    draw();
    return {
      draw(changed) {
        board.draw(["payload", "depths", "theme"].some((key) => changed.has(key)));
        if (["payload", "depths", "answer"].some((key) => changed.has(key))) draw();
      },
      resize: () => board.resize(),
      destroy() {},
    };
  }

  HS.panel({ name: "depth-race", kind: "deep-nodes", title: "Race", available: () => true, mount: mountRace });

  // ---------------------------------------------------------------------------------------------------------- gates

  function mountGates(el, store) {
    const { chart } = HS;
    const box = HS.el("div", {});
    el.append(box);
    const board = chart.board(box, { label: "Gates of every node and hop; press a hop to close it", height: (width) => Math.min(260, width * 0.8), base, press, move: (x) => hopAt(x) });
    const open = HS.el("button", { type: "button", class: "hs-button", "data-act": "open-gates", onclick: () => set([]) }, "Open all hops");
    const only = HS.el("button", { type: "button", class: "hs-button", "data-act": "first-gates", title: "What a network of two layers would hear", onclick: () => set(all().filter((k) => k > 2)) }, "Hops 0 to 2 only");
    const actions = HS.el("div", { class: "hs-actions" }, open, only);
    el.append(actions);
    const note = chart.note(el);
    const LEFT = 34;
    let closed = new Set();
    let of = null; // the network whose hops were closed

    const found = () => {
      const { learned } = deepNodes.sessionOf(store);
      return learned && learned.gate ? learned : null;
    };
    const all = () => Array.from({ length: found().gate.shape[1] }, (_, k) => k);

    function set(hops) {
      closed = new Set(hops);
      board.draw(true);
      words();
    }

    function hopAt(x) {
      const learned = found();
      if (!learned) return null;
      const hop = Math.floor((x - LEFT) / ((lastWidth - LEFT - 6) / learned.gate.shape[1]));
      return hop >= 0 && hop < learned.gate.shape[1] ? hop : null;
    }
    let lastWidth = 300;

    function press(x) {
      const hop = hopAt(x);
      if (hop === null) return;
      if (closed.has(hop)) closed.delete(hop);
      else closed.add(hop);
      board.draw(true);
      words();
    }

    /** Share of right answers on the test nodes when the closed hops say nothing. */
    function accuracy(learned) {
      const [nodes, hops] = learned.gate.shape;
      const classes = learned.says.shape[2];
      let [right, asked] = [0, 0];
      for (let node = 0; node < nodes; node++) {
        if (!learned.asked[node]) continue;
        const sum = new Float64Array(classes);
        for (let k = 0; k < hops; k++) if (!closed.has(k)) for (let c = 0; c < classes; c++) sum[c] += learned.gate[node * hops + k] * learned.says[(node * hops + k) * classes + c];
        asked++;
        if (sum.indexOf(Math.max(...sum)) === store.layer.classes[node]) right++;
      }
      return right / Math.max(1, asked);
    }

    function base(ctx, width, height, c) {
      lastWidth = width;
      const learned = found();
      if (!learned) return;
      const [nodes, hops] = learned.gate.shape;
      const top = 6;
      const [w, h] = [(width - LEFT - 6) / hops, (height - 40) / nodes];
      const order = Array.from({ length: nodes }, (_, i) => i).sort((a, b) => store.layer.classes[a] - store.layer.classes[b] || a - b);
      order.forEach((node, row) => {
        for (let k = 0; k < hops; k++) {
          ctx.fillStyle = closed.has(k) ? c.line : HS.ramp("viridis", learned.gate[node * hops + k]);
          ctx.fillRect(LEFT + k * w, top + row * h, w - 0.4, h + 0.4);
        }
      });
      chart.upright(ctx, `${nodes} nodes, by class`, 8, top + (height - 40) / 2, c.muted);
      for (let k = 0; k < hops; k += hops > 12 ? 4 : 1) chart.text(ctx, String(k), LEFT + (k + 0.5) * w, height - 32, c.muted, "center", "top");
      chart.text(ctx, "hop (press to close)", LEFT + (hops * w) / 2, height - 16, c.ink, "center", "top");
    }

    function words() {
      const learned = found();
      box.hidden = actions.hidden = !learned;
      if (!learned) {
        note("Train a DAGNN in the tab “Race”: its gates appear here, and you can close hops and see what that costs.");
        return;
      }
      open.disabled = !closed.size;
      const values = Array.from(learned.gate);
      const mean = values.reduce((a, b) => a + b, 0) / values.length;
      const spread = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
      const best = learned.alone.indexOf(Math.max(...learned.alone));
      const edited = closed.size ? ` With ${HS.plural(closed.size, "hop")} closed by you (grey): ${HS.percent(accuracy(learned))}.` : "";
      note(`Gates from 0 (dark) to 1 (light): mean ${mean.toFixed(2)}, spread ${spread.toFixed(2)}. Hop ${best} alone is right for ${HS.percent(learned.alone[best])}, all together for ${HS.percent(learned.test)}.${edited}`);
    }

    return {
      draw(changed) {
        if (found() !== of) [of, closed] = [found(), new Set()];
        if (["payload", "depths"].some((key) => changed.has(key))) words();
        board.draw(["payload", "depths", "theme"].some((key) => changed.has(key)));
      },
      resize: () => board.resize(),
      destroy() {},
    };
  }

  HS.panel({ name: "depth-gates", kind: "deep-nodes", title: "Gates", available: () => true, mount: mountGates });
})();
