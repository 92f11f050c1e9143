// @wing structure
/** A vision model of the visitor's own: frozen, with a readout that is fitted here on drawings of the arena. */
(() => {
  "use strict";

  const isOwn = (one) => one.own === true;

  function mount(el, store) {
    const { chart } = HS;
    let history = [];
    const button = HS.el("button", { type: "button", class: "hs-button hs-primary", "data-act": "fit", onclick: press }, "Fit a readout");
    el.append(button);
    const board = chart.board(el, { label: "Score of your model while its readout is fitted", height: () => 150, base });
    const note = chart.note(el);
    const numbers = () => store.payload.extras.classes.length === 0;
    const shown = (value) => (numbers() ? HS.show(value) : HS.percent(value));

    function press() {
      if (store.asking("stream")) store.stop();
      else {
        history = [];
        store.ask("stream", { question: "readout" });
      }
      draw();
    }

    const stop = store.onAnswer("stream", (answer) => {
      if (answer.question !== "readout") return;
      if (answer.result && !answer.done) history.push(answer.result);
      board.draw(true);
      draw();
      if (answer.done && answer.result && answer.result.fitted) HS.askRun(store, { controls: {} });
    });

    function base(ctx, width, height, c) {
      const told = history.filter((frame) => frame.scores);
      const all = told.flatMap((frame) => [frame.scores.id, frame.scores.far]);
      const top = numbers() ? Math.max(0.1, ...all) * 1.1 : 1;
      const p = chart.plot(width, height, { left: 40, top: 8, right: 8, bottom: 32 }, [0, history.length ? history[0].of : 192], [0, top]);
      chart.axisY(ctx, p, numbers() ? "mean error" : "right answers", c, { format: shown });
      chart.axisX(ctx, p, "drawings learned from", c, { wanted: 4 });
      for (const [band, dash] of [["id", []], ["far", [5, 3]]]) {
        ctx.beginPath();
        told.forEach((frame, i) => (i ? ctx.lineTo(p.px(frame.graphs), p.py(frame.scores[band])) : ctx.moveTo(p.px(frame.graphs), p.py(frame.scores[band]))));
        ctx.setLineDash(dash);
        [ctx.strokeStyle, ctx.lineWidth] = [c.accent, 2];
        ctx.stroke();
      }
      ctx.setLineDash([]);
    }

    function draw() {
      const one = store.payload.extras.contestants.find(isOwn);
      const last = history[history.length - 1];
      button.textContent = store.asking("stream") ? "Stop" : one.trained ? "Fit again" : "Fit a readout";
      button.disabled = !store.host.live;
      const words = (scores) => `${shown(scores.id)} on graphs as large as those it learned from (solid), ${shown(scores.far)} far beyond (dashed)`;
      if (store.asking("stream") && last) note(`${last.graphs} of ${last.of} drawings read${last.scores ? `: ${words(last.scores)}` : ""}.`);
      else if (one.trained) note(`Its readout is fitted: ${words(one.bands)}, on a few dozen test graphs each. It answers in the list above and can be asked for its edges.`);
      else note("Your model stays as it is. It looks at up to 192 drawings, and a linear readout of its patches is fitted for this question, in less than a minute.");
    }

    draw();
    return {
      draw(changed) {
        board.draw(["payload", "theme"].some((key) => changed.has(key)));
        if (["payload", "answer"].some((key) => changed.has(key))) draw();
      },
      resize: () => board.resize(),
      destroy: stop,
    };
  }

  HS.panel({ name: "own-eyes", kind: "abstract-graph", title: "Your model", available: (store) => store.payload.extras.contestants.some(isOwn), mount });
})();
