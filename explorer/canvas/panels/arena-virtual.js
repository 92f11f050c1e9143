// @wing structure
/** One node joined to all others: how far everybody is then, and how much of attention it can pass on. */
(() => {
  "use strict";

  const { net, arena } = HS;
  const LAYERS = 3; // of the networks that read the edges

  /** Steps between all pairs: [count of pairs by steps], and pairs that are not joined. */
  function distances(nodes, edges) {
    const around = net.adjacency(nodes, edges);
    const count = [];
    let apart = 0;
    for (let start = 0; start < nodes; start++) {
      const far = new Int16Array(nodes).fill(-1);
      far[start] = 0;
      const waiting = [start];
      for (let at = 0; at < waiting.length; at++) for (const next of around[waiting[at]]) if (far[next] < 0) {
        far[next] = far[waiting[at]] + 1;
        waiting.push(next);
      }
      for (let other = start + 1; other < nodes; other++) {
        if (far[other] < 0) apart++;
        else count[far[other]] = (count[far[other]] || 0) + 1;
      }
    }
    return { count: Array.from(count, (value) => value || 0), apart };
  }

  function mount(el, store) {
    const { chart } = HS;
    let [features, scale] = [64, 1];
    let found = null;
    const first = chart.note(el);
    const send = () => store.host.live && store.ask("ask", { question: "virtual", features, scale });
    const many = HS.inputs.range({ label: "Random features", hint: "Rows of the memory that the virtual node holds", min: 4, max: 1024, step: 4, value: features, onchange: (value) => ((features = value), send()) });
    const long = HS.inputs.range({ label: "Length of queries and keys", hint: "Long ones make attention sharp, and random features fail", min: 0.1, max: 2, step: 0.1, value: scale, onchange: (value) => ((scale = value), send()) });
    const board = chart.board(el, { label: "Error of attention in rounds", height: (width) => Math.min(190, width * 0.55), base });
    const second = HS.el("p", { class: "hs-hint" });
    el.append(second, many.element, long.element);
    const third = HS.el("p", { class: "hs-hint" });
    el.append(third);

    const stop = store.onAnswer("ask", (answer) => {
      if (answer.question !== "virtual") return;
      found = answer.result;
      board.draw(true);
      words();
    });

    function base(ctx, width, height, c) {
      const rounds = found ? found.rounds : [];
      const p = chart.plot(width, height, { left: 44, top: 8, right: 8, bottom: 34 }, [1, Math.max(2, rounds.length)], [0, Math.max(1, ...rounds.slice(1)) * 1.05]);
      chart.axisY(ctx, p, "relative error", c, { format: (v) => v.toFixed(1) });
      chart.axisX(ctx, p, "rounds: nodes passed on by the virtual node", c, { wanted: 4 });
      ctx.beginPath();
      rounds.forEach((value, i) => (i ? ctx.lineTo(p.px(i + 1), p.py(Math.min(value, p.rangeY[1]))) : ctx.moveTo(p.px(1), p.py(Math.min(value, p.rangeY[1])))));
      [ctx.strokeStyle, ctx.lineWidth] = [c.accent, 2];
      ctx.stroke();
    }

    function words() {
      const { nodes, edges } = arena.of(store);
      const { count, apart } = distances(nodes, edges);
      const pairs = count.reduce((a, b) => a + b, 0) + apart;
      const within = count.slice(0, LAYERS + 1).reduce((a, b) => a + b, 0);
      first(`Join one more node to all others, and nobody is more than two steps from anybody. Without it, ${HS.percent(within / Math.max(1, pairs))} of the pairs lie within the ${LAYERS} layers of our networks, and the longest way takes ${count.length - 1} steps${apart ? ` (${apart} pairs are not joined at all)` : ""}.`);
      if (!found) {
        second.textContent = store.host.live ? "Measuring…" : "The rest needs the live app.";
        third.textContent = "";
        return;
      }
      const half = found.rounds[Math.floor(found.nodes / 2) - 1];
      second.textContent = `Softmax attention, one node passed on per round: error ${HS.show(half)} after half of the ${found.nodes} rounds, ${found.rounds[found.nodes - 1].toExponential(0)} after all. Linear attention needs one round: error ${found.linear.toExponential(0)}.`;
      const dominance = found.dominance ? ` In the trained GIN with a virtual node its state is ${found.dominance.map((value) => value.toFixed(1)).join(" and ")} times as long as that of a node, layer by layer.` : "";
      third.textContent = `With ${found.memory[0]} random features in place of softmax one round leaves an error of ${HS.show(found.random)}: “approximates” has a price. Random queries, keys and values of width 8.${dominance}`;
    }

    return {
      draw(changed) {
        if (changed.has("payload")) {
          found = null;
          send();
        }
        board.draw(["payload", "theme"].some((key) => changed.has(key)));
        if (["payload", "arena"].some((key) => changed.has(key))) words();
      },
      resize: () => board.resize(),
      destroy: stop,
    };
  }

  HS.panel({ name: "virtual", kind: "abstract-graph", title: "Virtual node", available: () => true, mount });
})();
