// @wing tokens
/**
 * How many keys are enough: attention that the guess covers at nine shares of keys, beside the truly largest, the nearest and random
 * ones; how sure the network stays; and what it costs, counted from the masks. Curves come from the server (question "sweep").
 */
(() => {
  "use strict";

  const MARGIN = { left: 44, right: 64, top: 24, bottom: 36 };
  const [PLOT, COST] = [220, 96];
  const LINES = [["oracle", "best possible"], ["predicted", "guessed"], ["local", "nearest"], ["random", "random"]];
  const PARTS = [["masked", "kept pairs", "#0072B2"], ["predictor", "guessing", "#E69F00"], ["estimate", "prototypes", "#CC79A7"]];

  function mount(el, store) {
    const state = { answers: new Map(), asked: null };
    const run = HS.el("button", { type: "button", class: "hs-button hs-primary", onclick: ask }, "Try nine shares of keys");
    el.append(run);
    const view = HS.chart.board(el, { label: "Attention covered, certainty and cost by share of keys", height: () => COST + (answer() ? PLOT : 0), base, over });
    const legend = HS.curves.key(el);
    const say = HS.chart.note(el);

    const block = () => store.payload.extras.sparse.blocks[store.look.layer];
    const key = () => `${store.payload.run} ${store.payload.picture.name} ${store.layer.name}`;
    const answer = () => state.answers.get(key());
    const plot = (width) => HS.chart.plot(width, COST + PLOT, { ...MARGIN, top: COST + MARGIN.top }, [0, 1], [0, 1]);
    const style = (name) => HS.curves.STYLES[LINES.findIndex(([line]) => line === name)];

    const stops = [
      store.onAnswer("ask", ({ question, result }) => {
        if (question !== "sweep" || !state.asked) return;
        state.answers.set(state.asked, result);
        state.asked = null;
        view.resize();
        draw();
      }),
      store.onAnswer("refusal", () => ((state.asked = null), draw())),
    ];

    function ask() {
      state.asked = key();
      if (store.ask("ask", { question: "sweep", layer: store.layer.name }) === null) state.asked = null;
      draw();
    }

    function base(ctx, width, height, c) {
      drawCost(ctx, width, c);
      if (!answer()) return;
      const p = plot(width);
      const { rates, covered, sure, label } = answer();
      HS.chart.axisX(ctx, p, "share of keys kept", c, { wanted: 5, format: HS.percent });
      HS.chart.axisY(ctx, p, "", c, { wanted: 4, format: HS.percent });
      HS.chart.text(ctx, `Attention covered; thick: probability of “${label}”`, p.x, p.y - 9, c.ink);
      for (const [name] of LINES) HS.curves.line(ctx, p, rates, covered[name], style(name));
      HS.curves.line(ctx, p, rates, sure, { colour: c.ink, dash: [], mark: "square" }, { width: 3 });
    }

    /** Multiply–adds of this block's attention: dense, and what sparse attention takes, in parts. */
    function drawCost(ctx, width, c) {
      const { macs } = block();
      const full = width - 92;
      const scale = (value) => (value / Math.max(macs.dense, macs.masked + macs.predictor + macs.estimate)) * full;
      HS.chart.text(ctx, "Multiply–adds of the attention of this block", 0, 4, c.ink, "left", "top");
      ctx.fillStyle = c.muted;
      ctx.fillRect(0, 24, scale(macs.dense), 16);
      HS.chart.text(ctx, `${HS.show(macs.dense / 1e6)} M dense`, scale(macs.dense) + 6, 32, c.muted, "left", "middle");
      let x = 0;
      for (const [name, , colour] of PARTS) {
        ctx.fillStyle = colour;
        ctx.fillRect(x, 46, scale(macs[name]), 16);
        x += scale(macs[name]);
      }
      const total = macs.masked + macs.predictor + macs.estimate;
      HS.chart.text(ctx, `${HS.show(total / 1e6)} M sparse`, x + 6, 54, c.ink, "left", "middle");
      HS.chart.text(ctx, PARTS.map(([name, words]) => `${words} ${HS.percent(macs[name] / total)}`).join(" · "), 0, 70, c.muted, "left", "top");
    }

    function over(ctx, width, height, c) {
      if (!answer()) return;
      const p = plot(width);
      const rate = store.payload.controls.values.keep_rate;
      HS.chart.line(ctx, p.px(rate), p.y, p.px(rate), p.y + p.height, c.accent, 2);
      HS.chart.text(ctx, HS.percent(rate), p.px(rate) + 5, p.y + p.height - 8, c.accent);
    }

    function describe() {
      const { mass } = block();
      const words = mass ? `At the present setting the kept keys hold ${HS.percent(mass.predicted)} of the attention of this block; as many of the largest would hold ${HS.percent(mass.oracle)}, the nearest ${HS.percent(mass.local)}, random ones ${HS.percent(mass.random)}. ` : "";
      say(`${words}The released code, and ours, masks dense attention: fewer operations are counted, but a masked CPU run is not faster.`);
    }

    function draw(changed) {
      if (HS.chart.onlyHover(changed)) return;
      run.disabled = !store.host.live || state.asked !== null;
      run.hidden = Boolean(answer());
      run.textContent = state.asked ? "Running …" : store.host.live ? "Try nine shares of keys" : "Curves need the live app";
      if (HS.chart.touched(changed, "layer")) view.resize();
      view.draw(HS.chart.touched(changed, "layer", "answer"));
      legend(answer() ? LINES.map(([name, words]) => [style(name), words]) : []);
      describe();
    }

    return {
      draw,
      resize: () => view.resize(),
      destroy() {
        stops.forEach((stop) => stop());
        el.replaceChildren();
      },
    };
  }

  HS.panel({ name: "keep-rate", title: "How many keys", available: ({ payload }) => Boolean(payload.extras.sparse), mount });
})();
