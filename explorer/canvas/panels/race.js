// @wing hypernetworks
/**
 * Several hypernetworks trained side by side on the same pictures, inputs and order, live; then how each answers along γ. The last races of
 * the visit stay, so that one of them can be drawn beside the present one (another optimiser, rate, start or activation).
 */
(() => {
  "use strict";

  const RATES = { Adam: 1e-3, SGD: 1e-2 };
  const KEPT = 5;
  const visits = new WeakMap(); // store → {races: [{number, words, frames, right}], oldest first, count}

  function mount(el, store) {
    const names = store.layers.map((layer) => layer.name);
    const title = (name) => store.layers.find((layer) => layer.name === name).label.split(":")[0];
    if (!visits.has(store)) visits.set(store, { races: [], count: 0 });
    const visit = visits.get(store);
    let optimiser = "Adam";
    let frames = [];
    let right = null;
    let doubling = 0;
    let own = null; // the race of this run
    let beside = null; // number of the race that is drawn beside it
    const other = () => visit.races.find((race) => race.number === beside && race !== own) || null;
    HS.chart.choice(el, "Optimiser", [["Adam", "Adam"], ["SGD", "SGD"]], optimiser, (value) => ((optimiser = value), rate.set(doubling)));
    const rate = HS.inputs.range({ label: "Learning rate", min: -3, max: 3, step: 1, value: 0, format: (v) => HS.show(RATES[optimiser] * 2 ** v), oninput: (v) => (doubling = v) });
    const button = HS.weights.streamButton(store, {
      name: "race",
      start: "Train all four, 300 steps",
      begin() {
        [frames, right] = [[], null];
        const settings = { optimiser, rate: RATES[optimiser] * 2 ** doubling };
        const { seed, nonlinearity } = store.payload.controls.values;
        own = { number: ++visit.count, words: `${optimiser} ${HS.show(settings.rate)}, start ${seed}, ${nonlinearity}`, frames, right };
        if (other() === null && visit.races.length) beside = visit.races[visit.races.length - 1].number;
        visit.races = [...visit.races, own].slice(-KEPT);
        return settings;
      },
      frame(found) {
        if (found.loss) frames.push(found);
        if (found.accuracy) {
          own.right = right = found.accuracy;
          HS.weightPath.stateOf(store).after = found;
          store.set({ trained: true });
          store.touch("answer");
        }
        draw();
      },
      ended: () => draw(),
    });
    HS.weights.bar(el, button.element, rate.element);
    const pick = HS.inputs.choice({ label: "Beside it (dashed)", hint: "An earlier race of this visit.", options: [[null, "nothing"]], value: null, onchange: (number) => ((beside = number), draw()) });
    el.append(pick.element);
    const dashed = (series) => series.map((one) => ({ ...one, name: "", dash: [5, 3], points: null }));
    const lossesOf = (list) => names.map((name, i) => ({ name: title(name), colour: i, x: list.map((one) => one.step), y: list.map((one) => one.loss[name]) }));
    const rightOf = (found) => (found ? names.map((name, i) => ({ name: "", colour: i, x: found.gamma, y: found.right[name], points: "circle" })) : []);
    const losses = HS.weights.lineChart(el, {
      label: "Loss of the four variants during training",
      height: () => 170,
      read: () => ({
        x: [0, frames.length ? frames[0].steps : 300], y: HS.weights.rangeOf([...lossesOf(frames), ...lossesOf(other() ? other().frames : [])].map((one) => one.y), { floor: 0 }), xLabel: "step", yLabel: "loss (nats)",
        series: [...lossesOf(frames), ...(other() ? dashed(lossesOf(other().frames)) : [])],
      }),
      words: () => told(),
    });
    const accuracy = HS.weights.lineChart(el, {
      label: "Right answers along γ after the training",
      height: () => 150,
      read: () => ({
        x: [0, 1], y: [0, 1], xLabel: "γ", yLabel: "right answers", formatY: HS.percent, at: store.look.gamma,
        series: [...rightOf(right), ...(other() ? dashed(rightOf(other().right)) : [])],
      }),
      words: () => (right ? `After the race, 497 test digits per angle: ${names.map((name) => `${title(name)} ${HS.percent(HS.maths.mean(right.right[name]))}`).join(", ")} on average.` : ""),
      press: (gamma) => store.set({ gamma }),
    });

    function told() {
      if (!frames.length) return "Each step draws one γ, one batch of 64 digits turned by it, and the same for all four. Nothing is stored: what you see is trained now.";
      const last = frames.slice(-5);
      const mean = (name) => HS.maths.mean(last.map((one) => one.loss[name]));
      const order = [...names].sort((a, b) => mean(a) - mean(b));
      return `Step ${frames[frames.length - 1].step}: lowest loss ${title(order[0])} (${HS.show(mean(order[0]))}), highest ${title(order[3])} (${HS.show(mean(order[3]))}); a network that guesses has 2.30.${other() ? ` Dashed: race ${other().number}, ${other().words}.` : ""}`;
    }

    function draw(stale = true) {
      losses.draw(stale);
      const earlier = visit.races.filter((race) => race !== own);
      pick.element.hidden = earlier.length === 0;
      pick.fill([[null, "nothing"], ...earlier.map((race) => [race.number, `${race.number}: ${race.words}`])]);
      pick.set(other() ? other().number : null);
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
