/**
 * What the linked views draw with: a two-layer canvas (cached base, cheap overlay), axes, bars, small pictures, buttons.
 * Colours come from the theme at draw time; a changed theme makes the base stale.
 */
(() => {
  "use strict";

  const FONT = "11px system-ui, sans-serif";

  const palettes = new WeakMap(); // root → {theme, palette}

  /** Theme colours of an element, for drawing on a canvas; read once per theme, because reading makes the browser compute styles. */
  function colours(element) {
    const root = element.closest("[data-theme]");
    const theme = root && root.dataset.theme;
    const known = root && palettes.get(root);
    if (known && known.theme === theme) return known.palette;
    const palette = computed(element);
    if (root) palettes.set(root, { theme, palette });
    return palette;
  }

  function computed(element) {
    const style = getComputedStyle(element);
    const read = (name, fallback) => style.getPropertyValue(name).trim() || fallback;
    return {
      ink: read("--hs-ink", "#18202b"),
      muted: read("--hs-muted", "#566070"),
      line: read("--hs-line", "#dde1e6"),
      paper: read("--hs-paper", "#fbfbf9"),
      accent: read("--hs-accent", "#0b62a4"),
      bad: read("--hs-bad", "#b3360b"),
      listen: read("--hs-listen", "#a86b00"),
      heard: read("--hs-heard", "#0b6fae"),
    };
  }

  /** True on the first drawing, on a new payload and when one of the keys changed. */
  const touched = (changed, ...keys) => !changed || changed.has("payload") || keys.some((key) => changed.has(key));

  /** True when nothing but the pointer moved: words and bases stay as they are. */
  const onlyHover = (changed) => Boolean(changed) && changed.size === 1 && changed.has("hover");

  /**
   * Two stacked canvases that fill the width of their parent.
   * @param spec.height (width) → height in CSS pixels
   * @param spec.base, spec.over (ctx, width, height, colours) draw a layer
   * @param spec.move (x, y) → what lies there (compared with ===; null for nothing), spec.leave ()
   * @param spec.press (x, y) click; a finger's first tap only hovers, the second one on the same thing presses
   * @param spec.key (event) → true when it was used
   */
  function board(parent, spec) {
    const base = HS.el("canvas", { "aria-hidden": "true" });
    const over = HS.el("canvas", { role: spec.role || "img", "aria-label": spec.label, tabindex: spec.key ? "0" : null });
    const box = HS.el("div", { class: "hs-board" }, base, over);
    parent.append(box);
    let size = null;
    let theme = null;
    let stale = true;
    let before = null;
    let under = null;
    const overlay = HS.perFrame(() => size && box.isConnected && layer(over, spec.over, colours(box)));

    const at = (event) => {
      const rect = over.getBoundingClientRect();
      return [event.clientX - rect.left, event.clientY - rect.top];
    };
    if (spec.move) {
      over.addEventListener("pointermove", (event) => (under = spec.move(...at(event), event)));
      over.addEventListener("pointerdown", (event) => {
        before = event.pointerType === "mouse" ? undefined : under;
        under = spec.move(...at(event), event);
      });
      over.addEventListener("pointerleave", (event) => {
        if (event.pointerType === "mouse" && spec.leave) spec.leave();
      });
    }
    if (spec.press) over.addEventListener("click", (event) => (before === undefined || before === under) && spec.press(...at(event), event));
    if (spec.key) {
      over.addEventListener("keydown", (event) => {
        if (!spec.key(event)) return;
        event.preventDefault();
        event.stopPropagation();
      });
    }

    function measure() {
      const width = box.clientWidth;
      if (width < 40) return (size = null);
      const height = Math.round(spec.height(width));
      box.style.height = `${height}px`;
      return (size = { width, height });
    }

    function layer(canvas, paint, c) {
      const ctx = HS.fitCanvas(canvas, size.width, size.height);
      ctx.clearRect(0, 0, size.width, size.height);
      ctx.font = FONT;
      paint(ctx, size.width, size.height, c);
    }

    return {
      box,
      canvas: over,
      width: () => (size ? size.width : box.clientWidth),
      /** Redraw the overlay (in the next frame, once), and the base too (at once) when `changed` is true or the theme is another one. */
      draw(changed) {
        stale = stale || changed;
        if (!size && !measure()) return;
        const c = colours(box);
        const fresh = stale || c !== theme;
        if (fresh) layer(base, spec.base, c);
        [stale, theme] = [false, c];
        if (spec.over && fresh) overlay.now();
        else if (spec.over) overlay();
      },
      /** The container changed: redraw the base only when its own size did. */
      resize() {
        const before = size;
        const now = measure();
        if (now) this.draw(!before || before.width !== now.width || before.height !== now.height);
      },
    };
  }

  // ----------------------------------------------------------------------------------------------------------- axes

  /** Plot area inside margins, with scales: px(x value), py(y value) and their ranges. */
  function plot(width, height, margin, x, y) {
    const frame = { x: margin.left, y: margin.top, width: width - margin.left - margin.right, height: height - margin.top - margin.bottom };
    return {
      ...frame,
      rangeX: x,
      rangeY: y,
      px: (v) => frame.x + ((v - x[0]) / (x[1] - x[0] || 1)) * frame.width,
      py: (v) => frame.y + frame.height - ((v - y[0]) / (y[1] - y[0] || 1)) * frame.height,
      valueX: (at) => x[0] + ((at - frame.x) / frame.width) * (x[1] - x[0]),
      inside: (px, py) => px >= frame.x - 2 && px <= frame.x + frame.width + 2 && py >= frame.y - 4 && py <= frame.y + frame.height + 4,
    };
  }

  function text(ctx, words, x, y, colour, align = "left", baseline = "alphabetic") {
    ctx.fillStyle = colour;
    ctx.textAlign = align;
    ctx.textBaseline = baseline;
    ctx.fillText(words, x, y);
  }

  /** Text turned by 90°, read from below, centred on (x, y). */
  function upright(ctx, words, x, y, colour) {
    ctx.save();
    ctx.translate(x, y);
    ctx.rotate(-Math.PI / 2);
    text(ctx, words, 0, 0, colour, "center", "middle");
    ctx.restore();
  }

  function line(ctx, x1, y1, x2, y2, colour, width = 1, dash = []) {
    ctx.beginPath();
    ctx.setLineDash(dash);
    ctx.moveTo(x1, y1);
    ctx.lineTo(x2, y2);
    ctx.strokeStyle = colour;
    ctx.lineWidth = width;
    ctx.stroke();
    ctx.setLineDash([]);
  }

  /** Axis line, ticks and label below a plot. */
  function axisX(ctx, p, label, c, { wanted = 6, format = String } = {}) {
    const bottom = p.y + p.height;
    line(ctx, p.x, bottom + 0.5, p.x + p.width, bottom + 0.5, c.muted);
    for (const tick of HS.maths.ticks(p.rangeX[0], p.rangeX[1], wanted)) {
      line(ctx, p.px(tick), bottom, p.px(tick), bottom + 4, c.muted);
      text(ctx, format(tick), p.px(tick), bottom + 6, c.muted, "center", "top");
    }
    text(ctx, label, p.x + p.width / 2, bottom + 20, c.ink, "center", "top");
  }

  /** Grid lines and tick labels left of a plot. */
  function axisY(ctx, p, label, c, { wanted = 3, format = String } = {}) {
    for (const tick of HS.maths.ticks(p.rangeY[0], p.rangeY[1], wanted)) {
      line(ctx, p.x, p.py(tick), p.x + p.width, p.py(tick), c.line);
      text(ctx, format(tick), p.x - 5, p.py(tick), c.muted, "right", "middle");
    }
    if (label) upright(ctx, label, 7, p.y + p.height / 2, c.ink);
  }

  /** Bars of a histogram; `value(count)` is what the y axis shows. */
  function bars(ctx, p, hist, colour, value = (n) => n) {
    ctx.fillStyle = colour;
    hist.counts.forEach((n, i) => {
      if (!n) return;
      const [left, right] = [p.px(hist.start + i * hist.width), p.px(hist.start + (i + 1) * hist.width)];
      const gap = right - left > 4 ? 1 : 0;
      const top = Math.min(p.py(value(n)), p.y + p.height - 1);
      ctx.fillRect(left + gap / 2, top, right - left - gap, p.y + p.height - top);
    });
  }

  /** Outline of a histogram as steps. */
  function steps(ctx, p, hist, colour, value = (n) => n, dash = []) {
    ctx.beginPath();
    ctx.moveTo(p.px(hist.start), p.py(0));
    hist.counts.forEach((n, i) => {
      ctx.lineTo(p.px(hist.start + i * hist.width), p.py(value(n)));
      ctx.lineTo(p.px(hist.start + (i + 1) * hist.width), p.py(value(n)));
    });
    ctx.lineTo(p.px(hist.start + hist.counts.length * hist.width), p.py(0));
    ctx.setLineDash(dash);
    ctx.strokeStyle = colour;
    ctx.lineWidth = 1.5;
    ctx.stroke();
    ctx.setLineDash([]);
  }

  // -------------------------------------------------------------------------------------------------- small pictures

  const images = new WeakMap();
  /** The shown picture of a payload as an image; `ready` runs once it can be drawn. */
  function picture(store, ready) {
    const owner = store.payload.picture;
    if (!images.has(owner)) {
      const image = new Image();
      image.src = owner.shown;
      images.set(owner, image);
    }
    const image = images.get(owner);
    if (!image.complete && ready) image.addEventListener("load", ready, { once: true });
    return image;
  }

  /** Label of the segment that holds each cell of a grid, or null without segments. */
  function segmentsOn(store, grid) {
    const found = store.payload.segments;
    return found && Int32Array.from({ length: grid[0] * grid[1] }, (_, i) => found.labels[HS.mapCell(i, grid, found.grid)]);
  }

  /** Colour of the n-th group, in order of size; grey once the palette is used up. */
  const groupColour = (n) => (n < 7 ? HS.OKABE_ITO[n] : "#808080");

  /** What a question to the server is about: layer, picture and controls (a stored first run has no run to name). */
  function about(store) {
    const { picture: shown, controls, run } = store.payload;
    const image = shown.name === "yours" ? { run } : { example: shown.name };
    return { layer: store.look.layer, image, controls: controls.values };
  }

  // --------------------------------------------------------------------------------------------------- page elements

  /** A few words side by side, one of them chosen. `options` = [[value, label, hint?], …]; set(value), allow(value, yes, why). */
  function choice(parent, label, options, value, onchange) {
    const { element, set } = HS.inputs.segments({ label, options, value, onchange });
    element.classList.add("hs-choice");
    const labels = element.querySelectorAll("label");
    options.forEach(([, , hint], i) => hint && (labels[i].title = hint));
    parent.append(element);
    function allow(name, yes, why) {
      const i = options.findIndex(([option]) => option === name);
      labels[i].querySelector("input").disabled = !yes;
      labels[i].title = yes ? options[i][2] || "" : why;
    }
    return { set, allow };
  }

  /** A paragraph below a view that says in words what is seen; the text is only replaced when it changes. */
  function note(parent, className = "hs-hint hs-panel-note") {
    const node = HS.el("p", { class: className });
    parent.append(node);
    return (words) => {
      HS.write(node, words);
      HS.hide(node, !words);
    };
  }

  HS.chart = { FONT, colours, touched, onlyHover, board, plot, text, upright, line, axisX, axisY, bars, steps, picture, segmentsOn, groupColour, about, choice, note };
})();
