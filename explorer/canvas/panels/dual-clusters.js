// @wing structure
/** HyperCluster learns before the visitor's eyes: every edge gives itself to a few clusters and is rebuilt from them. */
(() => {
  "use strict";

  function mount(el, store) {
    const { chart } = HS;
    let clusters = 4;
    let history = [];
    const slider = HS.inputs.range({ label: "Clusters", hint: "How many numbers the whole graph is squeezed into, times 32", min: 1, max: 12, step: 1, value: clusters, onchange: (value) => (clusters = value) });
    const learn = HS.el("button", { type: "button", class: "hs-button hs-primary", onclick: press }, "Learn");
    el.append(slider.element, learn);
    const board = chart.board(el, { label: "Share of edges rebuilt right while learning", height: () => 130, base });
    const note = chart.note(el);

    function press() {
      if (store.asking("stream")) store.stop();
      else {
        history = [];
        store.ask("stream", { question: "gather", clusters });
      }
      draw();
    }

    const stop = store.onAnswer("stream", (answer) => {
      if (answer.question !== "gather") return;
      if (answer.result && !answer.done) history.push(answer.result);
      board.draw(true);
      draw();
    });

    function base(ctx, width, height, c) {
      const p = chart.plot(width, height, { left: 40, top: 8, right: 8, bottom: 32 }, [0, 600], [0, 1]);
      chart.axisY(ctx, p, "rebuilt right", c, { format: HS.percent });
      chart.axisX(ctx, p, "steps of learning", c, { wanted: 4 });
      ctx.beginPath();
      history.forEach((frame, i) => (i ? ctx.lineTo(p.px(frame.step), p.py(frame.accuracy)) : ctx.moveTo(p.px(frame.step), p.py(frame.accuracy))));
      [ctx.strokeStyle, ctx.lineWidth] = [c.accent, 2];
      ctx.stroke();
    }

    function draw() {
      const busy = store.asking("stream");
      learn.textContent = busy ? "Stop" : "Learn";
      learn.disabled = !store.host.live;
      const last = history[history.length - 1];
      const kinds = last ? last.kinds.join(", ") : "";
      note(
        last
          ? `Step ${last.step + 1}: ${HS.percent(last.accuracy)} of the edges rebuilt right, from ${clusters} clusters. Kinds of edges: ${kinds}. The colours on the stage are the clusters.`
          : store.host.live
            ? "A fresh network learns here, on your graph, in a few seconds: squeeze all edges into a few clusters and rebuild the kind of each."
            : "Learning needs the live app.",
      );
    }

    draw();
    return {
      draw(changed) {
        if (changed.has("payload")) history = [];
        board.draw(["payload", "theme"].some((key) => changed.has(key)));
        if (["payload", "answer"].some((key) => changed.has(key))) draw();
      },
      resize: () => board.resize(),
      destroy: stop,
    };
  }

  HS.panel({ name: "dual-clusters", kind: "dual", title: "Clusters", available: () => true, mount });
})();
