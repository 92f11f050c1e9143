// @wing hyperbolic
/** The nodes nearest to the chosen one, in the space of the layer: how far, and whether they are its kin in the tree. */
(() => {
  "use strict";

  const COUNT = 12;

  /** "parent", "ancestor", "child", "descendant", "sibling" or "". */
  function kinship(tree, node, other) {
    if (tree.parents[node].includes(other)) return "parent";
    if (tree.children[node].includes(other)) return "child";
    if (above(tree, node, other)) return "ancestor";
    if (above(tree, other, node)) return "descendant";
    return tree.parents[node].some((parent) => tree.children[parent].includes(other)) ? "sibling" : "";
  }

  /** Whether `other` stands anywhere above `node`. */
  function above(tree, node, other) {
    const waiting = [...tree.parents[node]];
    const seen = new Set();
    while (waiting.length) {
      const next = waiting.pop();
      if (next === other) return true;
      if (seen.has(next)) continue;
      seen.add(next);
      waiting.push(...tree.parents[next]);
    }
    return false;
  }

  function mount(el, store) {
    const title = HS.el("p", { class: "hs-hint" });
    const list = HS.el("ol", { class: "hs-near" });
    el.append(title, list);

    function row(nodes, tree, node, [other, far], most) {
      const kin = kinship(tree, node, other);
      const bar = HS.el("span", { class: "hs-bars" }, HS.el("span", { class: `hs-bar ${kin ? "hs-bar-now" : "hs-bar-before"}`, style: `width:${Math.max(0.5, (100 * far) / most)}%` }));
      const press = () => store.togglePin(other);
      const over = (on) => () => store.setHover(on ? { layer: store.look.layer, patch: other } : null);
      const name = HS.el("button", { type: "button", class: "hs-label", title: nodes.names[other] ?? "", onclick: press, onpointerenter: over(true), onpointerleave: over(false) }, HS.disk.nameOf(nodes, other));
      return HS.el("li", { class: "hs-near-row" }, name, bar, HS.el("span", { class: "hs-num" }, HS.show(far)), HS.el("span", { class: "hs-hint" }, kin));
    }

    let shown = null;
    function draw(changed) {
      const { layer, pins } = store.look;
      const nodes = HS.disk.nodesOf(store, layer);
      const tree = HS.disk.treeOf(nodes);
      // While a row of the list itself is pointed at, the list stays that of the pin.
      const node = list.matches(":hover") && pins.length ? pins[pins.length - 1] : store.focus(layer);
      if (node === null || node >= tree.n) {
        title.textContent = "Point at a node, or click one, to see who lies near it.";
        list.replaceChildren();
        shown = null;
        return;
      }
      const key = `${layer} ${node}`;
      if (changed && changed.size === 1 && changed.has("hover") && key === shown) return;
      shown = key;
      const near = HS.disk.nearest(store, layer, node, COUNT);
      const most = near.length ? near[near.length - 1][1] : 1;
      const before = near.filter(([other]) => ["parent", "ancestor"].includes(kinship(tree, node, other))).length;
      const all = new Set(HS.disk.ancestors(tree, node)).size - 1;
      title.textContent = `Nearest to ${HS.disk.nameOf(nodes, node)} ${HS.disk.isBall(store.layer) ? "in hyperbolic distance" : "in flat space"}. Thick bars are its kin; of ${HS.plural(all, "ancestor")} on its line, ${Math.min(before, all)} stand here.`;
      list.replaceChildren(...near.map((pair) => row(nodes, tree, node, pair, most || 1)));
    }

    return { draw, destroy: () => el.replaceChildren() };
  }

  HS.panel({ name: "nearest", title: "Nearest", kind: "disk", available: () => true, mount });
  HS.disk.kinship = kinship;
})();
