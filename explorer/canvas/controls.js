/** The left column: picture, model (asks for a run), graph rule and look (answered here at once). */
(() => {
  "use strict";

  // --------------------------------------------------------------------------------------------------------- running

  /** How the present picture is named in a question: an example by name, the visitor's own by its run. */
  function presentImage(payload) {
    const example = payload.examples.some((item) => item.name === payload.picture.name);
    return example ? { example: payload.picture.name } : { run: payload.run };
  }

  /** Ask for a run with some controls changed and, perhaps, another picture. */
  function askRun(store, { controls = {}, image = null } = {}) {
    // While a run is under way the next one builds on what was asked, not on what is still shown.
    const asked = store.asking("run") ? drafts.get(store) : { values: store.payload.controls.values, image: presentImage(store.payload) };
    const draft = { values: { ...asked.values, ...controls }, image: image || asked.image };
    drafts.set(store, draft);
    return store.ask("run", { image: draft.image, controls: draft.values, look: store.look });
  }

  const drafts = new WeakMap();

  // -------------------------------------------------------------------------------------------------------- picture

  function createExamples(store) {
    const list = HS.el("div", { class: "hs-examples", role: "group", "aria-label": "Example pictures" });
    const offline = HS.el("p", { class: "hs-hint" }, "A stored picture: other pictures and settings of the model need the live app.");
    offline.hidden = store.host.live;
    return {
      element: HS.el("section", { class: "hs-group" }, HS.el("h3", {}, "Picture"), list, HS.el("div", { "data-slot": "intake" }), offline),
      draw() {
        const { examples, picture } = store.payload;
        list.replaceChildren(
          ...examples.map((item) => {
            const image = HS.el("img", { src: item.thumb, alt: item.label, width: 48, height: 48 });
            const press = () => askRun(store, { image: { example: item.name } });
            return HS.el("button", { type: "button", title: item.label, "aria-pressed": String(item.name === picture.name), disabled: !store.host.live, onclick: press }, image);
          }),
        );
      },
    };
  }

  // ---------------------------------------------------------------------------------------------------------- model

  function widgetInput(store, widget) {
    const send = (value) => askRun(store, { controls: { [widget.name]: value } });
    const { label, hint } = widget;
    const value = store.payload.controls.values[widget.name] ?? widget.value;
    if (widget.kind === "range") {
      const { min, max, step } = widget;
      return HS.inputs.range({ label, hint, value, min, max, step, onchange: send });
    }
    if (widget.kind === "switch") return HS.inputs.toggle({ label, hint, value, onchange: send });
    return HS.inputs.choice({ label, hint, value, options: widget.options.map((o) => [o, String(o)]), onchange: send });
  }

  /** True when the group “Graph” draws this setting. */
  const answeredHere = (store, name) => name !== "quantile" && store.layers.some((layer) => HS.ruleControls(layer).includes(name));

  /** `when` = {other control: value or list of values}: the widget only means something then. */
  function isMeant(widget, values) {
    return Object.entries(widget.when || {}).every(([name, wanted]) => [wanted].flat().includes(values[name]));
  }

  function createModelControls(store) {
    const plain = HS.el("div", { class: "hs-fields" });
    const advanced = HS.el("div", { class: "hs-fields" });
    const more = HS.el("details", { class: "hs-more" }, HS.el("summary", {}, "More"), advanced);
    const reset = HS.el("button", { type: "button", class: "hs-link", onclick: runDefaults }, "as the model was trained");
    const element = HS.el("section", { class: "hs-group" }, HS.el("h3", {}, "Model"), plain, more, reset);
    let inputs = new Map();
    let built = "";

    function build(widgets) {
      inputs = new Map(widgets.map((widget) => [widget, widgetInput(store, widget)]));
      plain.replaceChildren(...widgets.filter((w) => !w.advanced).map((w) => inputs.get(w).element));
      advanced.replaceChildren(...widgets.filter((w) => w.advanced).map((w) => inputs.get(w).element));
      more.hidden = advanced.childElementCount === 0;
    }

    function runDefaults() {
      askRun(store, { controls: Object.fromEntries(store.payload.controls.widgets.map((w) => [w.name, w.value])) });
    }

    return {
      element,
      draw() {
        const { values } = store.payload.controls;
        const widgets = store.payload.controls.widgets.filter((w) => !answeredHere(store, w.name));
        const shape = JSON.stringify(widgets);
        if (shape !== built) build(widgets);
        built = shape;
        // The payload brings new widget objects; the inputs belong to the first ones of the same shape.
        for (const [widget, input] of inputs) {
          input.set(values[widget.name] ?? widget.value);
          input.element.hidden = !isMeant(widget, values);
        }
        reset.hidden = store.payload.controls.widgets.every((w) => (values[w.name] ?? w.value) === w.value);
        element.hidden = widgets.length === 0 && reset.hidden;
        element.inert = !store.host.live;
      },
    };
  }

  // ----------------------------------------------------------------------------------------------------------- look

  const RULES = {
    k: { label: "Neighbours k", hint: "How many of the nearest patches each patch listens to.", step: 1, low: 1, high: (layer, rule) => Math.floor((layer.candidates.shape[1] - 1) / rule.dilation) + 1 },
    dilation: { advanced: true, label: "Dilation d", hint: "Take every d-th of the sorted list.", step: 1, low: 1, high: (layer, rule) => Math.max(1, Math.floor(layer.candidates.shape[1] / rule.k)) },
    multiplier: { label: "Strictness λ", hint: "An edge is kept when its distance is below mean − λ · deviation.", step: 0.05, low: -1, high: () => 2.5 },
    quantile: { advanced: true, label: "Shortest edges kept", hint: "Share of the edges, the closest patches first.", step: 0.01, low: 0, high: () => 1, format: HS.percent },
  };

  function createRuleControls(store) {
    const count = HS.el("p", { class: "hs-count", "aria-live": "polite" });
    const reset = HS.el("button", { type: "button", class: "hs-link", onclick: () => store.set({ rule: null }) }, "as the model had it");
    const run = HS.el("button", { type: "button", class: "hs-button", onclick: runWithRule }, "Run the model with this");
    const inputs = Object.entries(RULES).map(([name, words]) => {
      const { label, hint, step, format } = words;
      const input = HS.inputs.range({ label, hint, step, format, min: 0, max: 1, value: 0, oninput: (value) => store.set({ rule: { [name]: value } }) });
      return [name, words, input];
    });
    const of = (advanced) => inputs.filter(([, words]) => Boolean(words.advanced) === advanced).map(([, , input]) => input.element);
    const more = HS.el("details", { class: "hs-more" }, HS.el("summary", {}, "More"), HS.el("div", { class: "hs-fields" }, ...of(true)));
    const counts = HS.el("div", { class: "hs-count-row" }, count, reset);
    const element = HS.el("section", { class: "hs-group" }, HS.el("h3", {}, "Graph"), ...of(false), counts, run, more);

    /** Settings of the rule for which the model has a control of the same name. */
    function transferable() {
      const effective = HS.effectiveRule(store.layer, store.look.rule);
      const own = HS.effectiveRule(store.layer, {});
      const names = store.payload.controls.widgets.map((w) => w.name);
      return Object.fromEntries(Object.entries(effective).filter(([name, value]) => names.includes(name) && value !== own[name]));
    }

    function runWithRule() {
      const controls = transferable();
      store.set({ rule: Object.fromEntries(Object.keys(controls).map((name) => [name, null])) });
      askRun(store, { controls });
    }

    return {
      element,
      draw() {
        const { layer, look } = store;
        const known = HS.ruleControls(layer);
        const effective = HS.effectiveRule(layer, look.rule);
        for (const [name, words, input] of inputs) {
          input.element.hidden = !known.includes(name);
          if (!known.includes(name)) continue;
          input.bound(words.low, Math.max(effective[name], words.high(layer, effective)));
          input.set(effective[name]);
        }
        more.hidden = !known.includes("quantile");
        const graph = store.graph(look.layer);
        count.textContent = `${HS.plural(graph.m, "edge")} · ${HS.show(graph.m / graph.n)} per patch`;
        reset.hidden = !HS.ruleDiffers(layer, look.rule);
        run.hidden = Object.keys(transferable()).length === 0;
        run.disabled = !store.host.live;
      },
    };
  }

  function layerChoices(store) {
    return [[null, "nothing"], ...store.layers.map((layer, i) => [i, layer.label]).filter(([i]) => i !== store.look.layer)];
  }

  function createLook(store) {
    const set = (name) => (value) => store.set({ [name]: value });
    const { segments, toggle, choice, range } = HS.inputs;
    const { look } = store;
    const inputs = {
      direction: segments({ label: "Show", options: [["in", "listens to"], ["out", "heard by"], ["both", "both"]], value: look.direction, onchange: set("direction") }),
      heat: choice({ label: "Map", options: [], value: "", onchange: set("heat") }),
      compare: choice({ label: "Compare", options: [], value: null, onchange: (v) => store.set(v === null ? { compare: null, difference: false } : { compare: v }) }),
      difference: toggle({ label: "Difference in one", value: look.difference, onchange: set("difference") }),
      all: toggle({ label: "All edges", value: look.all, onchange: set("all") }),
      opacity: range({ label: "Opacity", min: 0.05, max: 1, step: 0.05, value: look.opacity, format: HS.percent, oninput: set("opacity") }),
      colour: segments({ label: "Colour edges by", options: [["strength", "direction"], ["length", "length"]], value: look.colour, onchange: set("colour") }),
      grid: segments({ label: "Grid", options: [["auto", "auto"], ["on", "on"], ["off", "off"]], value: look.grid, onchange: set("grid") }),
      seen: toggle({ label: "What the model saw", value: look.seen, onchange: set("seen") }),
    };
    const of = (...names) => names.map((name) => inputs[name].element);
    const main = HS.el("div", { class: "hs-fields" }, ...of("direction"), ...of("all", "opacity", "heat", "compare", "difference"));
    const more = HS.el("details", { class: "hs-more" }, HS.el("summary", {}, "More"), HS.el("div", { class: "hs-fields" }, ...of("colour", "grid", "seen")));
    return {
      element: HS.el("section", { class: "hs-group" }, HS.el("h3", {}, "Look"), main, more),
      draw() {
        inputs.heat.fill([["", "none"], ...HS.heatNames(store.layer).map((name) => [name, HS.heatTitle(name)])]);
        inputs.compare.fill(layerChoices(store));
        for (const [name, input] of Object.entries(inputs)) input.set(store.look[name]);
        inputs.opacity.element.hidden = !store.look.all;
        inputs.difference.element.hidden = store.look.compare === null;
        inputs.compare.element.hidden = store.layers.length < 2;
      },
    };
  }

  /** @returns {{draw(changed)}} */
  function createControls(element, store) {
    const examples = createExamples(store);
    const model = createModelControls(store);
    const rule = createRuleControls(store);
    const look = createLook(store);
    element.append(examples.element, model.element, rule.element, look.element);
    return {
      draw(changed) {
        if (changed.has("payload")) {
          examples.draw();
          model.draw();
        }
        if (changed.size === 1 && changed.has("hover")) return;
        rule.draw();
        look.draw();
      },
    };
  }

  Object.assign(HS, { createControls, askRun, presentImage });
})();
