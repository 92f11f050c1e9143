/** The story bar: a step is a title, two sentences, a saved state and one highlighted part of the page. */
(() => {
  "use strict";

  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

  /** What a step wants from the model that this run is not: {image?, controls?}, or null. */
  function runNeeded(step, payload) {
    const { image, controls = {} } = step.state || {};
    const needed = {};
    if (image && payload.picture && image !== payload.picture.name) needed.image = { example: image };
    const changed = Object.entries(controls).filter(([name, value]) => !same(payload.controls.values[name], value));
    if (changed.length) needed.controls = Object.fromEntries(changed);
    return Object.keys(needed).length ? needed : null;
  }

  /**
   * @param highlight fn(name or null, outlined) turns to a part of the page; outlined when the visitor took the step
   * @returns {{draw(changed), go(by), apply(step), destroy()}}
   */
  function createStory(element, store, highlight) {
    const number = HS.el("span", { class: "hs-story-number" });
    const title = HS.el("strong", {});
    const text = HS.el("p", {});
    const button = (by, label, sign) => HS.el("button", { type: "button", class: "hs-icon hs-step", "aria-label": label, title: label, onclick: () => go(by) }, sign);
    const [back, next] = [button(-1, "Previous step", "←"), button(1, "Next step", "→")];
    const words = HS.el("div", { class: "hs-story-words", "aria-live": "polite" }, HS.el("div", { class: "hs-story-title" }, number, title), text);
    element.append(back, words, next);
    element.setAttribute("tabindex", "0");
    let stepped = false;
    let waiting = null; // look to apply when the run that a step asked for has come

    const steps = () => store.payload.story;

    function go(by) {
      const step = store.look.step + by;
      if (step >= 0 && step < steps().length) apply(step);
    }

    /** Look of a step: what it names, the rest at its default, the tab left where it is. */
    function lookOf(index) {
      return { ...HS.defaultLook(), tab: store.look.tab, ...(steps()[index].state || {}).look, rule: null, step: index };
    }

    function show(index) {
      store.set(lookOf(index));
      const { rule } = (steps()[index].state || {}).look || {};
      if (rule) store.set({ rule });
    }

    function apply(index) {
      stepped = true;
      const needed = runNeeded(steps()[index], HS.expected(store));
      const asked = needed && HS.askRun(store, needed) !== null;
      if (asked || store.asking("run")) {
        waiting = index;
        store.set({ step: index });
      } else show(index);
    }

    function keys(event) {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by || event.target.closest("input, select, textarea")) return;
      event.preventDefault();
      go(by);
    }

    /** Presenter remotes send PageUp and PageDown, wherever the focus is. */
    function remote(event) {
      const by = { PageUp: -1, PageDown: 1 }[event.key];
      if (!by || event.target.closest("input, select, textarea, [contenteditable]") || steps().length === 0) return;
      event.preventDefault();
      go(by);
    }

    const stop = store.onAnswer("refusal", (answer) => {
      if (answer.name === "run") waiting = null;
    });
    element.addEventListener("keydown", keys);
    document.addEventListener("keydown", remote);
    return {
      go,
      apply,
      draw(changed) {
        if (changed.has("payload") && waiting !== null) {
          const index = waiting;
          waiting = null;
          if (index < steps().length) show(index);
        }
        if (!changed.has("payload") && !changed.has("step")) return;
        const step = steps()[store.look.step];
        element.hidden = !step;
        if (!step) return;
        number.textContent = `${store.look.step + 1} of ${steps().length}`;
        title.textContent = step.title;
        text.textContent = step.text;
        back.disabled = store.look.step === 0;
        next.disabled = store.look.step === steps().length - 1;
        highlight(step.highlight || null, stepped);
      },
      destroy() {
        stop();
        document.removeEventListener("keydown", remote);
      },
    };
  }

  Object.assign(HS, { createStory, runNeeded });
})();
