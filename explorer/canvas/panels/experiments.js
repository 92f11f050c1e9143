// @wing image-graphs
/**
 * Experiments on the graph of the current layer that need further runs of the model: mirror, noise, reach, and what the
 * prediction loses without the edges between objects (against as many random ones). The server runs them on request.
 */
(() => {
  "use strict";

  function mount(el, store) {
    const answers = new Map(); // per run and layer
    let waiting = null;
    let refusal = "";
    const opened = new Set();
    const run = HS.el("button", { type: "button", class: "hs-button hs-primary", onclick: ask }, "Run the experiments");
    const about = HS.el("p", { class: "hs-hint" }, "Four further runs of the model: the picture mirrored, with a little noise, and with edges of this layer removed.");
    const list = HS.el("ul", { class: "hs-measures", "aria-live": "polite" });
    el.append(about, run, list);

    const key = () => `${store.payload.run} ${store.layer.name}`;
    function ask() {
      refusal = "";
      const request = store.ask("experiment", { layer: store.layer.name });
      if (request === null) refusal = "The experiments need the model, and this page has no server.";
      else waiting = { request, key: key() };
      draw();
    }

    const settle = (answer, keep) => {
      if (!waiting || waiting.request !== answer.request) return;
      keep(waiting.key);
      waiting = null;
      draw();
    };
    const stops = [
      store.onAnswer("experiment", (answer) => settle(answer, (name) => answers.set(name, answer.measures))),
      store.onAnswer("refusal", (answer) => settle(answer, () => (refusal = answer.message))),
    ];

    function draw() {
      const found = answers.get(key());
      const busy = Boolean(waiting && waiting.key === key());
      run.hidden = Boolean(found);
      run.disabled = busy;
      run.textContent = busy ? "Running …" : "Run the experiments";
      list.replaceChildren(...(found || []).map((measure) => HS.measureRow(measure, opened)));
      if (refusal) list.replaceChildren(HS.el("li", {}, refusal));
    }

    draw();
    return {
      draw(changed) {
        if (["layer", "payload"].some((name) => changed.has(name))) draw();
      },
      resize() {},
      destroy() {
        for (const stop of stops) stop();
      },
    };
  }

  HS.panel({ name: "experiments", title: "Experiments", available: (store) => Boolean(store.layer.candidates), mount });
})();
