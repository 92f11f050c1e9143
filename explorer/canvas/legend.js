/** Below the picture: what the colours mean now, and the focused patch in words. */
(() => {
  "use strict";

  function sample(colour, dash) {
    const style = `--c:${colour}`;
    return HS.el("i", { class: `hs-line ${dash}`, style, "aria-hidden": true });
  }

  const entry = (mark, text) => HS.el("span", { class: "hs-key" }, mark, text);

  function scaleEntry(title, map, low, high) {
    const bar = HS.el("i", { class: "hs-scale", style: `background:${HS.gradient(map)}`, "aria-hidden": true });
    return HS.el("span", { class: "hs-key" }, title, HS.el("span", { class: "hs-num" }, low), bar, HS.el("span", { class: "hs-num" }, high));
  }

  function heatEntries(store) {
    const { look } = store;
    if (!look.heat) return [];
    const heat = HS.heatOf(store, look.layer, look.heat);
    if (!heat) return [entry("", HS.followsFocus(look.heat) ? "Choose a patch to see its map." : "This layer has no such map.")];
    if (heat.scale.kind === "category") return [entry("", `${heat.title}: ${heat.note}`)];
    const { kind, max, min = 0 } = heat.scale;
    const low = HS.show(kind === "diverging" ? -max : min);
    const node = scaleEntry(heat.title, kind === "diverging" ? "diverging" : "viridis", low, `${HS.show(max)} ${heat.unit}`.trim());
    if (kind === "reversed") node.querySelector(".hs-scale").style.transform = "scaleX(-1)";
    return heat.note ? [node, entry("", heat.note)] : [node];
  }

  /** @returns {{draw(changed), destroy()}} */
  function createLegend(element, store) {
    const keys = HS.el("div", { class: "hs-legend" });
    const first = HS.el("span"); // the first word, which gets a capital letter
    const rest = HS.el("span");
    const words = HS.el("p", { class: "hs-readout" }, HS.el("span", {}, first, rest));
    const spoken = HS.el("p", { class: "hs-hidden", "aria-live": "polite" });
    element.append(words, keys, spoken);
    let timer = 0;

    return {
      draw(changed) {
        if (!(changed.size === 1 && changed.has("hover")) || HS.followsFocus(store.look.heat)) {
          const { entries, facts } = HS.instrumentOf(store.layer).legend(store);
          const next = HS.el("div", { class: "hs-legend" }, ...entries, ...heatEntries(store), ...facts);
          if (!next.isEqualNode(keys)) keys.replaceChildren(...next.childNodes); // questions and answers pass by here too
        }
        const { sentence, invitation } = HS.instrumentOf(store.layer);
        const text = sentence(store);
        const shown = text || invitation;
        const space = shown.search(/ |$/);
        HS.write(first, shown.slice(0, space));
        HS.write(rest, shown.slice(space));
        clearTimeout(timer);
        timer = setTimeout(() => {
          words.title = text;
          if (spoken.textContent !== text) spoken.textContent = text;
        }, 250);
      },
      destroy: () => clearTimeout(timer),
    };
  }

  Object.assign(HS, { createLegend, legend: { sample, entry, scale: scaleEntry } });
})();
