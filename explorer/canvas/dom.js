/** Small helpers for elements, numbers and words. Text of a visitor only ever becomes textContent. */
(() => {
  "use strict";

  /**
   * Make an element: HS.el("button", {class: "x", onclick: fn, "aria-label": "…"}, "text", child, …).
   * Properties that start with "on" become listeners, `value`/`checked`/`disabled`/`hidden` properties, the rest attributes.
   */
  function el(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else if (["value", "checked", "disabled", "hidden", "open"].includes(key)) node[key] = value;
      else node.setAttribute(key, value === true ? "" : value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
    return node;
  }

  /**
   * Text that changes while a pointer moves: the text node is kept and only its words are exchanged, for which the browser
   * need not compute styles anew. `node` holds nothing but text.
   */
  function write(node, text) {
    const words = node.firstChild;
    if (!words) node.textContent = text;
    else if (words.data !== text) words.data = text;
  }

  /** Hide or show, touching the element only when that changes something. */
  function hide(element, hidden) {
    if (element.hidden !== hidden) element.hidden = hidden;
  }

  /** Canvas sized to its CSS box times devicePixelRatio (at most 2), ready to draw in CSS pixels. */
  function fitCanvas(canvas, width, height) {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w || canvas.height !== h) {
      canvas.width = w;
      canvas.height = h;
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    return context;
  }

  /** Runs `fn` at most once per frame; `.now()` runs it at once, `.stop()` forgets it. */
  function perFrame(fn) {
    let frame = 0;
    const run = () => {
      frame = 0;
      fn();
    };
    const request = () => {
      if (!frame) frame = requestAnimationFrame(run);
    };
    request.now = () => {
      cancelAnimationFrame(frame);
      run();
    };
    request.stop = () => {
      cancelAnimationFrame(frame);
      frame = 0;
    };
    return request;
  }

  /** Runs `fn` at most every `pause` milliseconds, the last time after the last call. `.now()` runs it at once, `.stop()` forgets it. */
  function atMostEvery(pause, fn) {
    let timer = 0;
    let last = -Infinity;
    const run = () => {
      timer = 0;
      last = performance.now();
      fn();
    };
    const request = () => {
      if (!timer) timer = setTimeout(run, Math.max(0, last + pause - performance.now()));
    };
    request.now = () => {
      clearTimeout(timer);
      run();
    };
    request.stop = () => {
      clearTimeout(timer);
      timer = 0;
    };
    return request;
  }

  const calm = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;

  /** "row 3, column 7" (counted from 1) of a cell. */
  const place = (cell, grid) => `row ${Math.floor(cell / grid[1]) + 1}, column ${(cell % grid[1]) + 1}`;

  /** A number for people: three significant digits, no exponent between 0.001 and 100 000. */
  function show(value) {
    if (value === null || value === undefined || !Number.isFinite(value)) return "–";
    return digits(value).replace("-", "−");
  }

  function digits(value) {
    const size = Math.abs(value);
    if (Number.isInteger(value) && size < 1e5) return String(value);
    if (size < 0.001 || size >= 1e5) return value.toExponential(1);
    return size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toFixed(size >= 1 ? 2 : 3);
  }

  /** A share in 0..1 as "37 %"; never a rounded 0 or 100 that is not one. */
  function percent(share) {
    if (!Number.isFinite(share)) return "–";
    const value = 100 * share;
    if (value > 0 && value < 0.1) return "< 0.1 %";
    return `${(value > 0 && value < 10) || (value > 99 && value < 100) ? Math.min(99.9, value).toFixed(1) : Math.round(value)} %`;
  }

  /** The name of a layer without its particulars: "Block 1 · 16 × 16" → "Block 1". */
  const shortLabel = (layer) => layer.label.split(" · ")[0];

  const thousands = new Intl.NumberFormat("en"); // made once: toLocaleString makes one at every call
  const plural = (count, one, many = `${one}s`) => `${thousands.format(count)} ${count === 1 ? one : many}`;

  /** Value of a theme variable, e.g. HS.theme(el, "--hs-ink"), for drawing on a canvas. */
  const theme = (element, name) => getComputedStyle(element).getPropertyValue(name).trim();

  Object.assign(HS, { el, write, hide, fitCanvas, perFrame, atMostEvery, calm, place, show, percent, plural, shortLabel, theme });
})();
