/** Pointer and keyboard on the picture: move to hover, click or Enter to pin, Escape to clear. */
(() => {
  "use strict";

  const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

  /** The patch one step further, staying inside of the grid. */
  function moved(cell, grid, [down, right]) {
    const row = Math.min(grid[0] - 1, Math.max(0, Math.floor(cell / grid[1]) + down));
    const col = Math.min(grid[1] - 1, Math.max(0, (cell % grid[1]) + right));
    return row * grid[1] + col;
  }

  function pointer(canvas, store, cellUnder) {
    let touched = null; // the patch of the last tap: a second tap on it pins
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return cellUnder(event.clientX - box.left, event.clientY - box.top);
    };
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "touch") store.setHover(at(event));
    });
    canvas.addEventListener("pointerleave", (event) => {
      if (event.pointerType !== "touch") store.setHover(null);
    });
    canvas.addEventListener("click", (event) => {
      const hit = at(event);
      if (!hit) return;
      const second = touched && touched.layer === hit.layer && touched.patch === hit.patch;
      if (event.pointerType === "touch" && !second) {
        touched = hit;
        store.setHover(hit);
        return;
      }
      touched = null;
      store.togglePin(hit.patch, hit.layer);
    });
  }

  function keyboard(canvas, store, hooks) {
    const change = (by) => store.set({ layer: Math.min(store.layers.length - 1, Math.max(0, store.look.layer + by)) });
    const actions = {
      Enter: () => store.focus(store.look.layer) !== null && store.togglePin(store.focus(store.look.layer)),
      Escape: () => (store.hover ? store.setHover(null) : store.set({ pins: [] })),
      "[": () => change(-1),
      "]": () => change(1),
      s: () => hooks.story(1),
      S: () => hooks.story(-1),
    };
    actions[" "] = actions.Enter;
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (MOVES[event.key]) {
        const layer = store.look.layer;
        const [rows, cols] = store.layer.grid;
        const from = store.focus(layer) ?? Math.floor(rows / 2) * cols + Math.floor(cols / 2);
        store.setHover({ layer, patch: moved(from, store.layer.grid, MOVES[event.key]) });
      } else if (actions[event.key]) actions[event.key]();
      else return;
      event.preventDefault();
    });
  }

  /**
   * @param cellUnder (x, y) in CSS pixels of the canvas → {layer, patch} or null
   * @param hooks {story(step)} moves the story by a step
   */
  function gestures(canvas, store, cellUnder, hooks) {
    pointer(canvas, store, cellUnder);
    keyboard(canvas, store, hooks);
  }

  Object.assign(HS, { gestures });
})();
