/** The film strip: one thumbnail per layer, the current one marked. Each shows what the focused patch has to do with in that layer. */
(() => {
  "use strict";

  const SIDE = 54;
  const ROOMY = 7; // up to so many layers, their names get two lines

  /** Patch colours of a layer as a picture of one pixel per patch. */
  function mosaic(layer) {
    const [rows, cols] = layer.grid || [1, 1];
    const canvas = HS.el("canvas");
    [canvas.width, canvas.height] = [cols, rows];
    const pixels = new ImageData(cols, rows);
    for (let i = 0; i < rows * cols; i++) pixels.data.set([...(layer.colour ? layer.colour.subarray(3 * i, 3 * i + 3) : [128, 128, 128]), 255], 4 * i);
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    return canvas;
  }

  function paintThumb(ctx, store, index, picture, [x, y]) {
    const layer = store.layers[index];
    const frame = { x: 0, y: 0, width: SIDE, height: SIDE };
    ctx.save();
    ctx.translate(x, y);
    ctx.beginPath();
    ctx.roundRect(0, 0, SIDE, SIDE, 3);
    ctx.clip();
    ctx.imageSmoothingEnabled = false;
    ctx.drawImage(picture, 0, 0, SIDE, SIDE);
    const heat = HS.heatOf(store, index, store.look.heat);
    if (heat) HS.drawHeat(ctx, frame, heat, 0.9);
    HS.instrumentOf(layer).thumb(ctx, frame, store, index);
    ctx.restore();
  }

  /** @returns {{draw(changed), destroy()}} */
  function createFilm(element, store) {
    const strip = HS.el("div", { class: "hs-film", role: "group", "aria-label": "Layers, from the first to the last" });
    const step = (by, text, label) =>
      HS.el("button", { type: "button", class: "hs-icon", "aria-label": label, title: label, onclick: () => go(store.look.layer + by) }, text);
    element.append(step(-1, "◀", "Previous layer  ["), strip, step(1, "▶", "Next layer  ]"));
    // One canvas under all thumbnails: a browser pays for every canvas of a page at every frame.
    const canvas = HS.el("canvas", { "aria-hidden": true });
    let thumbs = [];
    let places = [];
    let size = [0, 0];

    function go(layer) {
      if (layer >= 0 && layer < store.layers.length) store.set({ layer });
    }

    /** The thumbnails of a new payload; true when they are others than before and not only other pictures. */
    function renew() {
      const same = thumbs.length === store.layers.length && thumbs.every(({ label }, i) => label === store.layers[i].label);
      if (same) thumbs.forEach((thumb, i) => (thumb.picture = mosaic(store.layers[i])));
      else build();
      return !same;
    }

    function build() {
      thumbs = store.layers.map((layer, index) => {
        const shot = HS.el("span", { class: "hs-film-shot", "aria-hidden": true });
        const mark = HS.el("span", { class: "hs-film-mark", "aria-hidden": true });
        const name = HS.el("span", { class: "hs-film-name" }, HS.shortLabel(layer));
        const button = HS.el("button", { type: "button", class: "hs-film-thumb", title: layer.label, onclick: () => go(index) }, shot, mark, name);
        button.addEventListener("keydown", (event) => {
          const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
          if (!by || !thumbs[index + by]) return;
          event.preventDefault();
          go(index + by);
          thumbs[index + by].button.focus();
        });
        return { shot, button, mark, label: layer.label, picture: mosaic(layer) };
      });
      strip.classList.toggle("hs-roomy", store.layers.length <= ROOMY);
      strip.replaceChildren(canvas, ...thumbs.map((thumb) => thumb.button));
      element.hidden = store.layers.length < 2;
    }

    // The strip follows a moving pointer a little behind: the large picture answers first.
    const frame = HS.atMostEvery(120, () => {
      if (size[0] === 0) return;
      const ctx = HS.fitCanvas(canvas, ...size);
      ctx.clearRect(0, 0, ...size);
      thumbs.forEach(({ picture }, index) => places[index] && paintThumb(ctx, store, index, picture, places[index]));
    });

    /** Where the thumbnails lie, read once the browser has laid them out. */
    function measure() {
      if (!strip.isConnected) return;
      places = thumbs.map(({ button, shot }) => [button.offsetLeft + shot.offsetLeft, button.offsetTop + shot.offsetTop]);
      const last = places[places.length - 1];
      size = element.hidden || !last ? [0, 0] : [last[0] + SIDE, Math.max(...places.map(([, y]) => y)) + SIDE];
      frame();
    }
    const observer = new ResizeObserver(measure);
    observer.observe(strip);

    function markCurrent() {
      thumbs.forEach(({ button, mark }, index) => {
        const letters = [index === store.look.layer && "1", index === store.look.compare && "2"].filter(Boolean);
        button.setAttribute("aria-current", String(index === store.look.layer));
        mark.textContent = store.look.compare !== null ? letters.join("") : "";
      });
      const current = thumbs[store.look.layer].button;
      strip.scrollTo({ left: current.offsetLeft - strip.clientWidth / 2 + SIDE / 2, behavior: HS.calm() ? "auto" : "smooth" });
    }

    build();
    return {
      draw(changed) {
        const others = changed.has("payload") && renew();
        if (others) requestAnimationFrame(measure);
        if (others || ["layer", "compare", "size"].some((key) => changed.has(key))) markCurrent();
        frame();
      },
      destroy() {
        observer.disconnect();
        frame.stop();
      },
    };
  }

  Object.assign(HS, { createFilm });
})();
