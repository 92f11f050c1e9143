/** The left column: picture, model (asks for a run), the instrument's settings and look (answered here at once). */
(() => {
  "use strict";

  // --------------------------------------------------------------------------------------------------------- running

  /** How the present picture is named in a question: an example by name, the visitor's own by its run. */
  function presentImage(payload) {
    if (!payload.picture) return null;
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

  /** Picture and settings that stand on the page once the run under way has come, as a payload names them. */
  function expected(store) {
    if (!store.asking("run")) return store.payload;
    const { image, values } = drafts.get(store);
    return { picture: image && { name: image.example }, controls: { values } };
  }

  // -------------------------------------------------------------------------------------------------------- picture

  function createExamples(store) {
    const list = HS.el("div", { class: "hs-examples", role: "group", "aria-label": "Example pictures" });
    const offline = HS.el("p", { class: "hs-hint" }, "A stored picture: other pictures and settings of the model need the live app.");
    offline.hidden = store.host.live;
    const element = HS.el("section", { class: "hs-group" }, HS.el("h3", {}, "Picture"), list, HS.el("div", { "data-slot": "intake" }), offline);
    let shown = null; // names of the pictures that stand there: the buttons stay while these do

    function exampleButton(item) {
      const image = HS.el("img", { src: item.thumb, alt: item.label, width: 48, height: 48 });
      const press = () => askRun(store, { image: { example: item.name } });
      return HS.el("button", { type: "button", title: item.label, disabled: !store.host.live, onclick: press }, image);
    }

    return {
      element,
      draw() {
        const { examples, picture } = store.payload;
        element.hidden = picture === null;
        if (picture === null) return;
        const names = examples.map((item) => item.name).join();
        if (names !== shown) list.replaceChildren(...examples.map(exampleButton));
        shown = names;
        examples.forEach((item, i) => list.children[i].setAttribute("aria-pressed", String(item.name === picture.name)));
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
    if (widget.kind === "text") return HS.inputs.text({ label, hint, value, lines: widget.lines, placeholder: widget.placeholder, max: widget.max, onchange: send });
    return HS.inputs.choice({ label, hint, value, options: widget.options.map((o) => [o, (widget.words || {})[o] || String(o)]), onchange: send });
  }

  /** True when the instrument draws this setting, because it answers it in the browser. */
  const answeredHere = (store, name) => store.layers.some((layer) => HS.instrumentOf(layer).settings(layer, store).includes(name));

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

  function layerChoices(store) {
    return [[null, "nothing"], ...store.layers.map((layer, i) => [i, layer.label]).filter(([i]) => i !== store.look.layer)];
  }

  /** One draw for several inputs; those of an instrument are hidden on layers of another kind. */
  function createLook(store) {
    const set = (name) => (value) => store.set({ [name]: value });
    const { segments, toggle, choice } = HS.inputs;
    const { look } = store;
    const common = {
      heat: choice({ label: "Map", options: [], value: "", onchange: set("heat") }),
      compare: choice({ label: "Compare", options: [], value: null, onchange: (v) => store.set(v === null ? { compare: null, difference: false } : { compare: v }) }),
      difference: toggle({ label: "Difference in one", value: look.difference, onchange: set("difference") }),
      grid: segments({ label: "Grid", options: [["auto", "auto"], ["on", "on"], ["off", "off"]], value: look.grid, onchange: set("grid") }),
      seen: toggle({ label: "What the model saw", value: look.seen, onchange: set("seen") }),
    };
    const of = (...names) => names.map((name) => common[name].element);
    const own = HS.el("div", { class: "hs-fields" });
    const ownMore = HS.el("div", { class: "hs-fields" });
    const main = HS.el("div", { class: "hs-fields" }, ...of("heat", "compare", "difference"));
    const more = HS.el("details", { class: "hs-more" }, HS.el("summary", {}, "More"), ownMore, HS.el("div", { class: "hs-fields" }, ...of("grid", "seen")));
    const made = new Map(); // kind → {inputs, draw}
    let kind = null;

    function inputsOf(layer) {
      if (!made.has(layer.kind)) {
        const found = HS.instrumentOf(layer).lookInputs(store, set);
        made.set(layer.kind, { ...found, inputs: { ...found.main, ...found.more } });
      }
      return made.get(layer.kind);
    }

    const element = HS.el("section", { class: "hs-group" }, HS.el("h3", {}, "Look"), own, main, more);
    return {
      element,
      draw() {
        const { layer } = store;
        const mine = inputsOf(layer);
        const onOwnStage = Boolean(HS.instrumentOf(layer).createStage);
        if (kind !== layer.kind) {
          own.replaceChildren(...Object.values(mine.main).map((input) => input.element));
          ownMore.replaceChildren(...Object.values(mine.more).map((input) => input.element));
          kind = layer.kind;
        }
        const maps = onOwnStage ? [] : HS.heatNames(layer);
        common.heat.fill([["", "none"], ...maps.map((name) => [name, HS.heatTitle(name)])]);
        common.compare.fill(layerChoices(store));
        for (const [name, input] of Object.entries({ ...common, ...mine.inputs })) input.set(store.look[name]);
        common.heat.element.hidden = maps.length === 0;
        common.difference.element.hidden = store.look.compare === null || layer.kind !== "graph";
        common.compare.element.hidden = store.layers.length < 2 || onOwnStage;
        for (const name of ["grid", "seen"]) common[name].element.hidden = onOwnStage;
        more.hidden = onOwnStage && ownMore.childElementCount === 0;
        element.hidden = onOwnStage && own.childElementCount === 0 && more.hidden;
        mine.draw(mine.inputs);
      },
    };
  }

  /** The group of each instrument, made when a layer of its kind is first shown. */
  function createSections(store) {
    const element = HS.el("div", { class: "hs-sections" });
    const made = new Map();
    return {
      element,
      draw() {
        const { kind } = store.layer;
        if (!made.has(kind)) {
          made.set(kind, HS.instrumentOf(store.layer).section(store));
          element.append(made.get(kind).element);
        }
        for (const [name, section] of made) section.element.hidden = name !== kind;
        made.get(kind).draw();
      },
    };
  }

  /** @returns {{draw(changed)}} */
  function createControls(element, store) {
    const examples = createExamples(store);
    const model = createModelControls(store);
    const sections = createSections(store);
    const look = createLook(store);
    element.append(examples.element, model.element, sections.element, look.element);
    return {
      draw(changed) {
        if (changed.has("payload")) {
          examples.draw();
          model.draw();
        }
        if (changed.size === 1 && changed.has("hover")) return;
        sections.draw();
        look.draw();
      },
    };
  }

  Object.assign(HS, { createControls, askRun, expected, presentImage });
})();
