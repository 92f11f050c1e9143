// @wing hypernetworks
/** Several hypernetworks trained side by side on the same pictures, inputs and order, live; then how each answers along γ. */
(() => {
  "use strict";

  const RATES = { Adam: 1e-3, SGD: 1e-2 };

  function mount(el, store) {
    const names = store.layers.map((layer) => layer.name);
    const title = (name) => store.layers.find((layer) => layer.name === name).label.split(":")[0];
    let optimiser = "Adam";
    let frames = [];
    let right = null;
    let doubling = 0;
    HS.chart.choice(el, "Optimiser", [["Adam", "Adam"], ["SGD", "SGD"]], optimiser, (value) => ((optimiser = value), rate.set(doubling)));
    const rate = HS.inputs.range({ label: "Learning rate", min: -3, max: 3, step: 1, value: 0, format: (v) => HS.show(RATES[optimiser] * 2 ** v), oninput: (v) => (doubling = v) });
    const button = HS.weights.streamButton(store, {
      name: "race",
      start: "Train all four, 300 steps",
      begin() {
        [frames, right] = [[], null];
        return { optimiser, rate: RATES[optimiser] * 2 ** doubling };
      },
      frame(found) {
        if (found.loss) frames.push(found);
        if (found.accuracy) {
          right = found.accuracy;
          HS.weightPath.stateOf(store).after = found;
          store.set({ trained: true });
          store.touch("answer");
        }
        draw();
      },
      ended: () => draw(),
    });
    HS.weights.bar(el, button.element, rate.element);
    const losses = HS.weights.lineChart(el, {
      label: "Loss of the four variants during training",
      height: () => 170,
      read: () => ({
        x: [0, frames.length ? frames[0].steps : 300], y: HS.weights.rangeOf(names.map((name) => frames.map((one) => one.loss[name])), { floor: 0 }), xLabel: "step", yLabel: "loss (nats)",
        series: names.map((name) => ({ name: title(name), x: frames.map((one) => one.step), y: frames.map((one) => one.loss[name]) })),
      }),
      words: () => told(),
    });
    const accuracy = HS.weights.lineChart(el, {
      label: "Right answers along γ after the training",
      height: () => 150,
      read: () => ({
        x: [0, 1], y: [0, 1], xLabel: "γ", yLabel: "right answers", formatY: HS.percent, at: store.look.gamma,
        series: right ? names.map((name, i) => ({ name: "", colour: i, x: right.gamma, y: right.right[name], points: "circle" })) : [],
      }),
      words: () => (right ? `After the race, 497 test digits per angle: ${names.map((name) => `${title(name)} ${HS.percent(HS.maths.mean(right.right[name]))}`).join(", ")} on average.` : ""),
      press: (gamma) => store.set({ gamma }),
    });

    function told() {
      if (!frames.length) return "Each step draws one γ, one batch of 64 digits turned by it, and the same for all four. Nothing is stored: what you see is trained now.";
      const last = frames.slice(-5);
      const mean = (name) => HS.maths.mean(last.map((one) => one.loss[name]));
      const order = [...names].sort((a, b) => mean(a) - mean(b));
      return `Step ${frames[frames.length - 1].step}: lowest loss ${title(order[0])} (${HS.show(mean(order[0]))}), highest ${title(order[3])} (${HS.show(mean(order[3]))}); a network that guesses has 2.30.`;
    }

    function draw(stale = true) {
      losses.draw(stale);
      accuracy.board.box.hidden = right === null;
      accuracy.draw(stale);
      button.draw();
    }

    return {
      draw: (changed) => draw(HS.chart.touched(changed, "theme", "gamma")),
      resize() {
        losses.resize();
        accuracy.resize();
      },
      destroy() {
        HS.weights.streams(store).stop();
        el.replaceChildren();
      },
    };
  }

  HS.panel({ name: "race", title: "Race", kind: "weight-path", available: () => true, mount });
})();
