/** Linked views: one tab each; a view is mounted when its tab opens and drawn while it is visible. */
(() => {
  "use strict";

  /** Panels that the payload names and that have something to show, in its order. */
  function offered(store) {
    const fits = (panel) => panel && (panel.kind === "any" || panel.kind === store.layer.kind) && panel.available(store);
    return store.payload.views.map((name) => HS.panels.find((panel) => panel.name === name)).filter(fits);
  }

  /** @returns {{draw(changed), resize(), destroy()}} */
  function createTabs(element, store) {
    const list = HS.el("div", { class: "hs-tabs", role: "tablist", "aria-label": "Linked views" });
    const body = HS.el("div", { class: "hs-panel", role: "tabpanel" });
    element.append(list, body);
    let panels = [];
    let open = null; // {name, view}
    let kind = null; // of the layer that the tabs were made for
    let marked = null; // the panel whose tab is marked

    function close() {
      if (open) open.view.destroy();
      open = null;
      body.replaceChildren();
    }

    function mountPanel(panel) {
      close();
      body.setAttribute("aria-label", panel.title);
      body.dataset.panel = panel.name;
      open = { name: panel.name, view: guarded(panel, () => panel.mount(body, store)) };
    }

    /** A view that fails says so in its own place and leaves the rest of the page alone. */
    function guarded(panel, make) {
      try {
        return make();
      } catch (error) {
        console.error(error);
        body.replaceChildren(HS.el("p", { class: "hs-hint" }, `The view “${panel.title}” cannot be drawn for this layer. Choose another layer or view.`));
        const still = { draw() {}, destroy() {} };
        if (open) open.view = still;
        return still;
      }
    }

    function drawOpen(panel, changed) {
      guarded(panel, () => open.view.draw(changed));
    }

    /** Makes the tabs anew where other views are offered than before; true when it did. */
    function buttons() {
      const before = panels.map((panel) => panel.name).join();
      panels = offered(store);
      if (list.childElementCount && panels.map((panel) => panel.name).join() === before) return false;
      element.hidden = panels.length === 0;
      list.replaceChildren(
        ...panels.map((panel, index) => {
          const press = () => store.set({ tab: panel.name });
          const button = HS.el("button", { type: "button", role: "tab", onclick: press }, panel.title);
          button.addEventListener("keydown", (event) => {
            const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
            const next = panels[index + by];
            if (!next) return;
            event.preventDefault();
            store.set({ tab: next.name });
            list.children[index + by].focus();
          });
          return button;
        }),
      );
      return true;
    }

    function mark(current) {
      [...list.children].forEach((button, index) => {
        const chosen = panels[index] === current;
        button.setAttribute("aria-selected", String(chosen));
        button.tabIndex = chosen ? 0 : -1;
        if (chosen && list.scrollWidth > list.clientWidth) list.scrollTo({ left: button.offsetLeft - 40 });
      });
    }

    return {
      draw(changed) {
        let made = false;
        if (changed.has("payload") || kind !== store.layer.kind) {
          kind = store.layer.kind;
          close();
          made = buttons();
        }
        if (panels.length === 0) return;
        const current = panels.find((panel) => panel.name === store.look.tab) || panels[0];
        if (made || marked !== current) mark(current);
        marked = current;
        if (!open || open.name !== current.name) {
          mountPanel(current);
          drawOpen(current, new Set(["payload", ...changed]));
        } else drawOpen(current, changed);
      },
      resize: () => open && open.view.resize && open.view.resize(),
      destroy: close,
    };
  }

  Object.assign(HS, { createTabs });
})();
