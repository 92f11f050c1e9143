// @wing tokens
/**
 * Lines over a plot, told apart by colour, dash and mark, and named at their right end; bands; a dragged upright mark.
 * HS.curves: what the panels of the tokens wing draw with, on the boards of chart.js.
 */
(() => {
  "use strict";

  const STYLES = [
    { colour: "#0072B2", dash: [], mark: "dot" },
    { colour: "#D55E00", dash: [6, 3], mark: "square" },
    { colour: "#009E73", dash: [2, 3], mark: "up" },
    { colour: "#CC79A7", dash: [8, 3, 2, 3], mark: "diamond" },
    { colour: "#E69F00", dash: [4, 2], mark: "cross" },
    { colour: "#56B4E9", dash: [1, 2], mark: "down" },
  ];

  function mark(ctx, kind, x, y, r, colour) {
    ctx.beginPath();
    if (kind === "dot") ctx.arc(x, y, r, 0, 2 * Math.PI);
    else if (kind === "cross") {
      ctx.moveTo(x - r, y - r);
      ctx.lineTo(x + r, y + r);
      ctx.moveTo(x + r, y - r);
      ctx.lineTo(x - r, y + r);
      ctx.strokeStyle = colour;
      ctx.lineWidth = 1.5;
      return ctx.stroke();
    } else {
      const points = { square: [[-1, -1], [1, -1], [1, 1], [-1, 1]], up: [[0, -1.2], [1.1, 0.9], [-1.1, 0.9]], down: [[0, 1.2], [1.1, -0.9], [-1.1, -0.9]], diamond: [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]] }[kind];
      points.forEach(([dx, dy], i) => ctx[i ? "lineTo" : "moveTo"](x + dx * r, y + dy * r));
      ctx.closePath();
    }
    ctx.fillStyle = colour;
    ctx.fill();
  }

  /** One line through (xs, ys); a value that is not a number interrupts it. */
  function line(ctx, p, xs, ys, style, { width = 1.75, marks = true } = {}) {
    ctx.beginPath();
    let pen = false;
    ys.forEach((y, i) => {
      if (!Number.isFinite(y)) return (pen = false);
      ctx[pen ? "lineTo" : "moveTo"](p.px(xs[i]), p.py(y));
      pen = true;
    });
    ctx.strokeStyle = style.colour;
    ctx.lineWidth = width;
    ctx.setLineDash(style.dash || []);
    ctx.stroke();
    ctx.setLineDash([]);
    if (marks) ys.forEach((y, i) => Number.isFinite(y) && mark(ctx, style.mark || "dot", p.px(xs[i]), p.py(y), 2.6, style.colour));
  }

  function band(ctx, p, xs, low, high, colour, alpha = 0.18) {
    ctx.beginPath();
    xs.forEach((x, i) => ctx[i ? "lineTo" : "moveTo"](p.px(x), p.py(high[i])));
    [...xs.keys()].reverse().forEach((i) => ctx.lineTo(p.px(xs[i]), p.py(low[i])));
    ctx.closePath();
    ctx.globalAlpha = alpha;
    ctx.fillStyle = colour;
    ctx.fill();
    ctx.globalAlpha = 1;
  }

  /** A sample of each line with its name, below a board. entries: [[style, text, hint?], …] */
  function key(parent) {
    const node = HS.el("div", { class: "hs-curve-key" });
    parent.append(node);
    return (entries) => node.replaceChildren(...entries.map(([style, text, hint]) => HS.el("span", { title: hint || null }, sample(style), text)));
  }

  function sample(style) {
    const canvas = HS.el("canvas", { "aria-hidden": "true" });
    const ctx = HS.fitCanvas(canvas, 30, 12);
    const p = { px: (x) => x, py: (y) => y };
    if (style.band) band(ctx, p, [1, 29], [11, 11], [1, 1], style.colour, 0.3);
    line(ctx, p, [2, 28], [6, 6], style, { marks: false });
    if (style.mark) mark(ctx, style.mark, 15, 6, 3, style.colour);
    return canvas;
  }

  /** An upright line with a grip on top, where a setting stands. */
  function grip(ctx, p, x, colour, words) {
    const at = p.px(x);
    HS.chart.line(ctx, at, p.y - 2, at, p.y + p.height, colour, 2);
    ctx.beginPath();
    ctx.arc(at, p.y - 5, 5, 0, 2 * Math.PI);
    ctx.fillStyle = colour;
    ctx.fill();
    if (words) HS.chart.text(ctx, words, Math.min(p.x + p.width, at + 8), p.y - 5, colour, at + 8 + ctx.measureText(words).width > p.x + p.width ? "right" : "left", "middle");
  }

  /** Names of lines at their right ends, moved apart where they would cover each other. ends: [[y value, text, colour], …] */
  function names(ctx, p, ends) {
    let before = -Infinity;
    for (const [y, text, colour] of [...ends].sort((a, b) => b[0] - a[0])) {
      before = Math.max(p.py(y), before + 12);
      HS.chart.text(ctx, text, p.x + p.width + 6, before, colour, "left", "middle");
    }
  }

  HS.curves = { STYLES, line, band, mark, key, grip, names };
})();
