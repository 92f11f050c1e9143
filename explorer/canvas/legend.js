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

  function edgeEntries(store) {
    const { look, layer } = store;
    const diff = HS.differenceOf(store);
    if (diff) {
      return [
        entry(sample(HS.MEANING.both, "solid"), `in both (${diff.both.length})`),
        entry(sample(HS.MEANING.onlyA, "dashed"), `only ${diff.layerA.label} (${diff.onlyA.length})`),
        entry(sample(HS.MEANING.onlyB, "dotted"), `only ${diff.layerB.label} (${diff.onlyB.length})`),
        HS.el("span", { class: "hs-key" }, HS.el("b", {}, `Jaccard ${HS.show(diff.jaccard)}`), " shared ÷ any"),
      ];
    }
    if (look.difference && look.compare !== null) return [entry("", "These two layers have different grids: look at them side by side instead.")];
    const entries = [];
    if (look.direction !== "out" || look.all) entries.push(entry(sample(HS.MEANING.in, "solid"), "listens to"));
    if (look.direction !== "in") entries.push(entry(sample(HS.MEANING.out, "dashed"), "is heard by"));
    if (look.colour === "length") {
      const reach = Math.hypot(layer.grid[0] - 1, layer.grid[1] - 1);
      return [...entries.map(withoutColour), scaleEntry("length", "length", "0", `${HS.show(reach)} patches`)];
    }
    return [...entries, entry("", layer.share ? "thick: wins many channels" : layer.distance ? "thick: close" : "")];
  }

  function withoutColour(node) {
    const mark = node.querySelector(".hs-line");
    if (mark) mark.style.setProperty("--c", "currentColor");
    return node;
  }

  function heatEntries(store) {
    const { look } = store;
    if (!look.heat) return [];
    const heat = HS.heatOf(store, look.layer, look.heat);
    if (!heat) return [entry("", look.heat === "distance" ? "Choose a patch to see its distances." : "This layer has no such map.")];
    if (heat.scale.kind === "category") return [entry("", `${heat.title}: ${heat.note}`)];
    const { kind, max, min = 0 } = heat.scale;
    const low = HS.show(kind === "diverging" ? -max : min);
    const node = scaleEntry(heat.title, kind === "diverging" ? "diverging" : "viridis", low, `${HS.show(max)} ${heat.unit}`.trim());
    if (kind === "reversed") node.querySelector(".hs-scale").style.transform = "scaleX(-1)";
    return heat.note ? [node, entry("", heat.note)] : [node];
  }

  function graphFacts(store) {
    const { layer, look } = store;
    const graph = store.graph(look.layer);
    const alone = HS.isolated(graph, layer).reduce((a, b) => a + b, 0);
    const wrapped = graph.wrap.reduce((a, b) => a + b, 0);
    const facts = [];
    if (wrapped) facts.push(`fine dots: ${HS.percent(wrapped / graph.m)} of the edges go round the border`);
    if (layer.rule.name === "axial-threshold" || HS.effectiveRule(layer, look.rule).dilation > 1) facts.push("thin frame: looked at, not kept");
    if (alone) facts.push(`${HS.plural(alone, "patch", "patches")} without any edge`);
    if (look.all && graph.m > 5000) facts.push("the strongest 5 000 edges are drawn");
    return facts.map((fact) => entry("", fact));
  }

  /** "row 3, column 7: listens to 9 patches, nearest row 3, column 8 (distance 0.12), heard by 4". */
  function sentence(store) {
    const { look, layer } = store;
    const patch = store.focus(look.layer);
    if (patch === null) return "";
    const graph = store.graph(look.layer);
    const { in: listens, out: heard } = HS.edgesOf(graph, layer, patch, "both");
    const where = HS.place(patch, layer.grid);
    const what = HS.pooled(layer) ? ["pooled cell", "pooled cells"] : ["patch", "patches"];
    const parts = [`${where}: listens to ${listens.length ? HS.plural(listens.length, ...what) : "nobody"}${nearest(graph, layer, listens)}`];
    parts.push(`heard by ${heard.length || "nobody"}`);
    return `${parts.join(", ")}${compared(store, patch)}`;
  }

  /** How the same patch fares in the layer beside it. */
  function compared(store, patch) {
    const { layer, compare } = store.look;
    if (compare === null) return "";
    const [a, b] = [sourcesOf(store, layer, patch), sourcesOf(store, compare, store.across(layer, patch, compare))];
    const sameGrid = String(store.layers[layer].keyGrid) === String(store.layers[compare].keyGrid);
    return ` · in 2: listens to ${b.length}${sameGrid ? `, ${b.filter((source) => a.includes(source)).length} shared` : ""}`;
  }

  function sourcesOf(store, layerIndex, patch) {
    const graph = store.graph(layerIndex);
    return [...graph.source.subarray(graph.offsets[patch], graph.offsets[patch + 1])];
  }

  function nearest(graph, layer, edges) {
    if (!graph.distance || edges.length === 0) return "";
    const best = edges.reduce((a, b) => (graph.distance[b] < graph.distance[a] ? b : a));
    return `, nearest ${HS.place(graph.source[best], layer.keyGrid)} (distance ${HS.show(graph.distance[best])})`;
  }

  /** @returns {{draw(changed), destroy()}} */
  function createLegend(element, store) {
    const keys = HS.el("div", { class: "hs-legend" });
    const words = HS.el("p", { class: "hs-readout" });
    const spoken = HS.el("p", { class: "hs-hidden", "aria-live": "polite" });
    element.append(words, keys, spoken);
    let timer = 0;

    return {
      draw(changed) {
        if (!(changed.size === 1 && changed.has("hover")) || store.look.heat === "distance") {
          keys.replaceChildren(...edgeEntries(store), ...heatEntries(store), ...graphFacts(store));
        }
        const text = sentence(store);
        words.title = text;
        words.textContent = text || "Point at a patch or tap it to see whom it listens to; once more to keep it.";
        clearTimeout(timer);
        timer = setTimeout(() => {
          if (spoken.textContent !== text) spoken.textContent = text;
        }, 250);
      },
      destroy: () => clearTimeout(timer),
    };
  }

  Object.assign(HS, { createLegend, patchSentence: sentence });
})();
