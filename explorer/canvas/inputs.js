/** Native inputs with a label, a live value and a hint. Each returns {element, set(value)}. */
(() => {
  "use strict";

  let count = 0;
  const nextId = () => `hs-input-${++count}`;

  /** The hint of a field: shown while the pointer or the focus is on it. */
  function described(id, hint) {
    return hint ? HS.el("p", { class: "hs-tip", id: `${id}-hint` }, hint) : null;
  }

  /**
   * A slider. `oninput` runs while it moves, `onchange` when it is let go.
   * @param options {label, hint, min, max, step, value, format, oninput, onchange}
   */
  function range(options) {
    const id = nextId();
    const format = options.format || HS.show;
    const output = HS.el("output", { class: "hs-num", for: id }, format(options.value));
    const input = HS.el("input", {
      type: "range", id, min: options.min, max: options.max, step: options.step, "aria-describedby": options.hint ? `${id}-hint` : null,
      oninput: () => {
        output.textContent = format(Number(input.value));
        if (options.oninput) options.oninput(Number(input.value));
      },
      onchange: () => options.onchange && options.onchange(Number(input.value)),
    });
    input.value = options.value;
    const head = HS.el("div", { class: "hs-field-head" }, HS.el("label", { for: id }, options.label), output);
    const element = HS.el("div", { class: "hs-field" }, head, input, described(id, options.hint));
    return {
      element,
      set(value) {
        if (document.activeElement !== input || Number(input.value) !== value) input.value = value;
        output.textContent = format(value);
      },
      bound(min, max) {
        input.min = min;
        input.max = max;
      },
    };
  }

  /** One of several words. @param options {label, hint, options: [[value, text], …], value, onchange} */
  function choice(options) {
    const id = nextId();
    const select = HS.el("select", { id, "aria-describedby": options.hint ? `${id}-hint` : null, onchange: () => options.onchange(items[select.selectedIndex][0]) });
    let items = [];
    /** Other options; the same ones are left alone, because every change of the page comes by here. */
    function fill(next) {
      const same = next.length === items.length && next.every(([item, text], i) => items[i][0] === item && items[i][1] === text);
      if (same) return;
      items = next;
      select.replaceChildren(...items.map(([, text]) => HS.el("option", {}, text)));
    }
    const set = (value) => {
      select.selectedIndex = Math.max(0, items.findIndex(([item]) => item === value));
    };
    fill(options.options);
    set(options.value);
    const element = HS.el("div", { class: "hs-field hs-field-row" }, HS.el("label", { for: id }, options.label), select, described(id, options.hint));
    return { element, set, fill };
  }

  /**
   * A text of one or several lines; it counts when the field is left, or with Enter (several lines: Ctrl+Enter).
   * @param options {label, hint, value, lines, placeholder, max, onchange}
   */
  function text(options) {
    const id = nextId();
    const { lines = 1, placeholder = "", max } = options;
    let known = options.value;
    const tell = () => {
      if (field.value === known) return;
      known = field.value;
      options.onchange(known);
    };
    const onkeydown = (event) => {
      if (event.key !== "Enter" || (lines > 1 && !event.ctrlKey && !event.metaKey)) return;
      event.preventDefault();
      tell();
    };
    const common = { id, placeholder, maxlength: max, spellcheck: "false", autocomplete: "off", "aria-describedby": options.hint ? `${id}-hint` : null, onchange: tell, onkeydown };
    const field = lines > 1 ? HS.el("textarea", { ...common, rows: lines }) : HS.el("input", { ...common, type: "text" });
    field.value = known;
    const element = HS.el("div", { class: "hs-field hs-field-text" }, HS.el("label", { for: id }, options.label), field, described(id, options.hint));
    return {
      element,
      /** What is being typed stays. */
      set(value) {
        if (value === known) return;
        known = value;
        if (document.activeElement !== field) field.value = value;
      },
    };
  }

  /** On or off. @param options {label, hint, value, onchange} */
  function toggle(options) {
    const id = nextId();
    const input = HS.el("input", {
      type: "checkbox", role: "switch", id, checked: Boolean(options.value), "aria-describedby": options.hint ? `${id}-hint` : null,
      onchange: () => options.onchange(input.checked),
    });
    const element = HS.el("div", { class: "hs-field hs-field-row" }, HS.el("label", { for: id }, options.label), input, described(id, options.hint));
    return { element, set: (value) => (input.checked = Boolean(value)) };
  }

  /** A few words side by side, one of them chosen. @param options {label, options: [[value, text], …], value, onchange} */
  function segments(options) {
    const name = nextId();
    const inputs = options.options.map(([value, text]) => {
      const input = HS.el("input", { type: "radio", name, onchange: () => options.onchange(value) });
      return { value, input, label: HS.el("label", {}, input, HS.el("span", {}, text)) };
    });
    const set = (value) => inputs.forEach((item) => (item.input.checked = item.value === value));
    set(options.value);
    const element = HS.el("fieldset", { class: "hs-segments" }, HS.el("legend", {}, options.label), ...inputs.map((item) => item.label));
    return { element, set };
  }

  Object.assign(HS, { inputs: { range, choice, text, toggle, segments } });
})();
