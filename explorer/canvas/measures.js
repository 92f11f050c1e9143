/** Diagnostics of the current layer: a name, a number with its unit, what it says in plain words, the formula on demand. */
(() => {
  "use strict";

  const LEVELS = { good: ["●", "fine"], watch: ["▲", "worth a look"], bad: ["■", "a problem"], info: ["", ""] };
  const SHOWN = 3;
  const SHORT_UNIT = /^\p{L}[\p{L} ]{0,9}$/u;

  /** What a visitor should read first, when nothing is wrong: the trade-off, then who is read and how far. */
  const TELLING = ["homophily_adjusted", "pieces", "redundancy", "hub_skew", "length_median", "isolated", "degree_mean", "edges_different", "message_contrast", "load_most", "object_recall", "object_auc"];

  /** Problems first, then the telling ones, then the rest in their own order. */
  function ordered(measures) {
    const rank = (m) => {
      const telling = TELLING.indexOf(m.key);
      return (m.level === "bad" ? -100 : 0) + (telling < 0 ? TELLING.length : telling);
    };
    return [...measures].sort((a, b) => rank(a) - rank(b));
  }

  /** "4 pieces"; a long unit stands with the formula instead. */
  function valueText({ value, unit }) {
    if (value === null || value === undefined) return "–";
    if (unit === "share") return HS.percent(value);
    if (!SHORT_UNIT.test(unit || "")) return HS.show(value);
    return `${HS.show(value)} ${value === 1 ? unit.replace(/s$/, "") : unit}`;
  }

  function row(measure, opened) {
    const [mark, word] = LEVELS[measure.level] || LEVELS.info;
    const level = HS.el("span", { class: `hs-level hs-${measure.level}`, title: word || null, role: word ? "img" : null, "aria-label": word || null }, mark);
    const summary = HS.el("summary", {}, level, HS.el("span", { class: "hs-label" }, measure.name), HS.el("span", { class: "hs-num" }, valueText(measure)));
    const unit = measure.unit && measure.unit !== "share" && !SHORT_UNIT.test(measure.unit) ? `  (${measure.unit})` : "";
    const formula = HS.el("p", { class: "hs-formula" }, `${measure.formula || ""}${unit}`);
    const source = HS.el("p", { class: "hs-hint" }, measure.source ? `Source: ${measure.source}` : "");
    const details = HS.el("details", { class: "hs-measure", open: opened.has(measure.key) }, summary, formula, source);
    details.addEventListener("toggle", () => (details.open ? opened.add(measure.key) : opened.delete(measure.key)));
    const hint = HS.el("p", { class: "hs-hint" }, measure.hint);
    // What is fine takes one line; its sentence waits with the formula.
    if (measure.level === "good") details.insertBefore(hint, formula);
    return HS.el("li", {}, details, measure.level === "good" ? null : hint);
  }

  /** @returns {{draw(changed)}} */
  function createMeasures(element, store) {
    const list = HS.el("ul", { class: "hs-measures" });
    const title = HS.el("h3", {});
    const note = HS.el("p", { class: "hs-hint" });
    const opened = new Set();
    let all = false;
    const more = HS.el("button", { type: "button", class: "hs-link", onclick: () => ((all = !all), draw()) });
    element.append(title, note, list, more);

    function draw() {
      const measures = ordered(store.layer.measures);
      element.hidden = measures.length === 0;
      title.textContent = `Diagnostics · ${HS.shortLabel(store.layer)}`;
      note.textContent = "For the edges as the model had them, not for your setting.";
      note.hidden = store.layer.kind !== "graph" || !HS.ruleDiffers(store.layer, store.look.rule);
      list.replaceChildren(...measures.slice(0, all ? measures.length : SHOWN).map((measure) => row(measure, opened)));
      more.hidden = measures.length <= SHOWN;
      more.textContent = all ? "fewer" : `${measures.length - SHOWN} more`;
      more.setAttribute("aria-expanded", String(all));
    }

    return {
      draw(changed) {
        if (["payload", "layer", "rule"].some((key) => changed.has(key))) draw();
      },
    };
  }

  Object.assign(HS, { createMeasures, measureText: valueText, measureRow: row });
})();
