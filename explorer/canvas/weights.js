/**
 * What the exhibits of generated weights draw and ask with: a stage of two canvases, line charts, heat maps, and the order of
 * their questions. HS.weights; nothing here knows one exhibit.
 *
 * questions(store).ask(name, data, then, failed?)   the exhibit's own questions, one after the other; of one name the newest waits
 * streams(store).start(name, data, frame, ended)    its streams, one at a time; ended(reason, message?) also when another one begins
 * stage(element, store, hooks, spec)                what an instrument returns from createStage
 * lineChart(parent, spec)                           curves with a cross-hair, and their legend
 * heat(ctx, frame, values, rows, cols, most, smooth) values around 0, blue below, orange above
 */
(() => {
  "use strict";

  // ----------------------------------------------------------------------------------------------------- questions

  const queues = new WeakMap();

  /** The house lets only the newest question of a kind answer; the parts of a page must not silence each other. */
  function questions(store) {
    if (queues.has(store)) return queues.get(store);
    const waiting = new Map(); // name → question
    let away = null;

    function next() {
      if (away || waiting.size === 0) return;
      const [name, question] = waiting.entries().next().value;
      waiting.delete(name);
      away = { name, ...question };
      if (store.ask("ask", { ...question.data, question: name }) === null) away = null;
    }

    function settle(tell) {
      const done = away;
      away = null;
      if (done) tell(done);
      next();
    }

    store.onAnswer("ask", (answer) => away && away.name === answer.question && settle((done) => done.then(answer.result)));
    store.onAnswer("refusal", (answer) => answer.name === "ask" && settle((done) => done.failed && done.failed(answer.message)));
    store.subscribe((changed) => {
      if (!changed.has("payload")) return;
      away = null; // what was asked about the run before is not told any more
      waiting.clear();
    });
    const queue = {
      /** False where there is no server. */
      ask(name, data, then, failed = null) {
        if (!store.host.live) return false;
        waiting.delete(name);
        waiting.set(name, { data, then, failed });
        next();
        return true;
      },
      busy: (name) => waiting.has(name) || Boolean(away && away.name === name),
    };
    queues.set(store, queue);
    return queue;
  }

  const lives = new WeakMap();

  function streams(store) {
    if (lives.has(store)) return lives.get(store);
    let present = null;

    function end(reason, message = "") {
      const done = present;
      present = null;
      if (done) done.ended(reason, message);
    }

    store.onAnswer("stream", (answer) => {
      if (!present || present.name !== answer.question) return;
      if (answer.done) end(answer.reason);
      else present.frame(answer.result, answer.frame);
    });
    store.onAnswer("refusal", (answer) => answer.name === "stream" && end("refused", answer.message));
    store.subscribe((changed) => changed.has("payload") && end("stopped"));
    const live = {
      /** False where there is no server. */
      start(name, data, frame, ended) {
        end("replaced");
        present = { name, frame, ended };
        if (store.ask("stream", { ...data, question: name }) !== null) return true;
        present = null;
        return false;
      },
      stop: () => store.stop(),
      running: (name) => Boolean(present && present.name === name),
    };
    lives.set(store, live);
    return live;
  }

  /** A button that starts a stream and, while it runs, stops it. spec {start, stop, name, begin() → data, frame, ended?} */
  function streamButton(store, spec) {
    const live = streams(store);
    const button = HS.el("button", { type: "button", class: "hs-button", disabled: !store.host.live, title: store.host.live ? null : "Needs the live app: this is a stored picture." }, spec.start);
    const draw = () => {
      button.textContent = live.running(spec.name) ? spec.stop || "Stop" : spec.start;
    };
    button.addEventListener("click", () => {
      if (live.running(spec.name)) live.stop();
      else {
        live.start(spec.name, spec.begin(), spec.frame, (reason, message) => {
          draw();
          if (spec.ended) spec.ended(reason, message);
        });
      }
      draw();
    });
    return { element: button, draw };
  }

  // --------------------------------------------------------------------------------------------------------- stage

  const inks = (element) => ({ ...HS.chart.colours(element), series: series(element) });

  /**
   * A base that is redrawn when something changes, and an overlay that is redrawn at every pointer move.
   * @param spec {label, base(ctx, width, height, c), over(ctx, width, height, c), move(x, y, event), leave(), press(x, y, event),
   *   down?(x, y) → true begins a drag, drag?(x, y), drop?(), key?(event) → true when used, draw?(changed), still?: keys of the store
   *   that leave the base as it is, destroy?()}; c are the colours of the theme, c.series those of curves
   */
  function stage(element, store, hooks, spec) {
    const base = HS.el("canvas", { class: "hs-base", "aria-hidden": true });
    const overlay = HS.el("canvas", { class: "hs-overlay", tabindex: 0, role: "application", "aria-label": spec.label });
    element.append(base, overlay);
    const still = new Set(["hover", ...(spec.still || [])]);
    let size = [0, 0];
    let stale = true;
    let dragging = false;

    const frame = HS.perFrame(() => {
      if (!size[0] || !size[1]) return;
      const c = inks(element);
      if (stale) {
        const ctx = HS.fitCanvas(base, ...size);
        ctx.clearRect(0, 0, ...size);
        spec.base(ctx, ...size, c);
        stale = false;
      }
      const ctx = HS.fitCanvas(overlay, ...size);
      ctx.clearRect(0, 0, ...size);
      spec.over(ctx, ...size, c);
    });

    const at = (event) => {
      const box = overlay.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    overlay.addEventListener("pointerdown", (event) => {
      if (!spec.down || !spec.down(...at(event))) return;
      dragging = true;
      overlay.setPointerCapture(event.pointerId);
      overlay.style.touchAction = "none";
      event.preventDefault();
      overlay.focus({ preventScroll: true });
    });
    overlay.addEventListener("pointermove", (event) => (dragging ? spec.drag(...at(event)) : event.pointerType === "touch" || spec.move(...at(event), event)));
    const drop = () => {
      if (!dragging) return;
      dragging = false;
      overlay.style.touchAction = "";
      if (spec.drop) spec.drop();
    };
    for (const name of ["pointerup", "pointercancel"]) overlay.addEventListener(name, drop);
    overlay.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && !dragging && spec.leave());
    let touched = null;
    overlay.addEventListener("click", (event) => {
      if (event.pointerType === "touch") {
        const key = spec.move(...at(event), event);
        if (key !== touched) return (touched = key);
      }
      spec.press(...at(event), event);
    });
    overlay.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const change = (by) => store.set({ layer: Math.min(store.layers.length - 1, Math.max(0, store.look.layer + by)) });
      const house = { "[": () => change(-1), "]": () => change(1), s: () => hooks.story(1), S: () => hooks.story(-1) };
      if (spec.key && spec.key(event)) event.preventDefault();
      else if (house[event.key]) {
        house[event.key]();
        event.preventDefault();
      }
    });

    const observer = new ResizeObserver(() => {
      size = [element.clientWidth, element.clientHeight];
      stale = true;
      frame.now();
    });
    observer.observe(element);
    return {
      overlay,
      draw(changed) {
        if ([...changed].some((key) => !still.has(key))) stale = true;
        if (spec.draw) spec.draw(changed);
        frame();
      },
      repaint(all = true) {
        stale = stale || all;
        frame();
      },
      paint(ctx, width, height) {
        const c = inks(element);
        spec.base(ctx, width, height, c);
        if (ctx.layer) ctx.layer(() => spec.over(ctx, width, height, c));
        else spec.over(ctx, width, height, c);
      },
      destroy() {
        observer.disconnect();
        frame.stop();
        if (spec.destroy) spec.destroy();
      },
    };
  }

  // --------------------------------------------------------------------------------------------------------- drawing

  const LIGHT = ["#0072B2", "#C44E00", "#00805E", "#A03C7C", "#6B6B6B", "#8A6500"];
  const DARK = ["#56B4E9", "#FF9A4D", "#3ED6A8", "#E694C3", "#B5B5B5", "#E6C34A"];

  /** Colours of curves in the theme of an element. */
  const series = (element) => (element.closest('.hs[data-theme="dark"]') ? DARK : LIGHT);

  let sheet = null;

  /** Cells [rows, cols] in the colours that `rgb(value)` gives as [r, g, b]; `smooth` between the cells. */
  function cells(ctx, frame, values, rows, cols, rgb, smooth) {
    sheet = sheet || document.createElement("canvas");
    [sheet.width, sheet.height] = [cols, rows];
    const pixels = new ImageData(cols, rows);
    for (let i = 0; i < rows * cols; i++) {
      if (Number.isFinite(values[i])) pixels.data.set([...rgb(values[i]), 255], 4 * i);
    }
    sheet.getContext("2d").putImageData(pixels, 0, 0);
    ctx.save();
    ctx.imageSmoothingEnabled = smooth;
    ctx.drawImage(sheet, frame.x, frame.y, frame.width, frame.height);
    ctx.restore();
  }

  const onMap = (name, share) => (value) => {
    const at = 3 * Math.round(255 * Math.min(1, Math.max(0, share(value))));
    return HS.LUT[name].subarray(at, at + 3);
  };

  /** Values around 0 up to ±most. */
  const heat = (ctx, frame, values, rows, cols, most, smooth = false) => cells(ctx, frame, values, rows, cols, onMap("diverging", (v) => 0.5 + v / (2 * (most || 1))), smooth);

  /** Values from 0 to most on viridis. */
  const shade = (ctx, frame, values, rows, cols, most = 1) => cells(ctx, frame, values, rows, cols, onMap("viridis", (v) => v / (most || 1)), false);

  /** A drawing: 0 is paper, 1 is ink. */
  const ink = (ctx, frame, values, rows, cols) => cells(ctx, frame, values, rows, cols, (v) => [255, 255, 255].map((white) => white - 235 * Math.min(1, Math.max(0, v))), false);

  const largest = (values) => values.reduce((most, v) => (Number.isFinite(v) ? Math.max(most, Math.abs(v)) : most), 0);

  function dot(ctx, x, y, radius, fill, line = null, width = 1) {
    ctx.beginPath();
    ctx.arc(x, y, radius, 0, 2 * Math.PI);
    if (fill) {
      ctx.fillStyle = fill;
      ctx.fill();
    }
    if (line) {
      ctx.strokeStyle = line;
      ctx.lineWidth = width;
      ctx.stroke();
    }
  }

  /** One curve on a plot: line and, if wanted, its points. A value that is not a number breaks the line. */
  function curve(ctx, p, one, colour) {
    ctx.beginPath();
    ctx.setLineDash(one.dash || []);
    let open = false;
    one.x.forEach((x, i) => {
      const y = one.y[i];
      const known = Number.isFinite(y) && Number.isFinite(x);
      if (known && open) ctx.lineTo(p.px(x), p.py(y));
      else if (known) ctx.moveTo(p.px(x), p.py(y));
      open = known;
    });
    ctx.strokeStyle = colour;
    ctx.lineWidth = one.width || 1.8;
    if (one.line !== false) ctx.stroke();
    ctx.setLineDash([]);
    if (!one.points) return;
    one.x.forEach((x, i) => {
      if (!Number.isFinite(one.y[i])) return;
      const hollow = one.hollow && one.hollow(x);
      if (one.points === "square") {
        ctx.fillStyle = colour;
        ctx.fillRect(p.px(x) - 3, p.py(one.y[i]) - 3, 6, 6);
      } else dot(ctx, p.px(x), p.py(one.y[i]), 3, hollow ? one.paper : colour, colour, 1.4);
    });
  }

  /** Range of several lists, a little wider; `floor` and `roof` are kept within when given. */
  function rangeOf(lists, { floor = null, roof = null } = {}) {
    let [low, high] = [Infinity, -Infinity];
    for (const list of lists) {
      for (const v of list) {
        if (!Number.isFinite(v)) continue;
        low = Math.min(low, v);
        high = Math.max(high, v);
      }
    }
    if (low > high) [low, high] = [0, 1];
    const room = (high - low || Math.abs(high) || 1) * 0.06;
    return [floor === null ? low - room : floor, roof === null ? high + room : roof];
  }

  /**
   * Curves over one axis.
   * @param spec {label, height, read() → {series: [{name, x, y, dash?, points?, colour? (number), line?}], x: [low, high], y: [low, high], xLabel, yLabel,
   *   formatX?, formatY?, bands?: [[low, high]], at?: x of a vertical line}, press?(x), hover?(x or null) → text or undefined}
   */
  function lineChart(parent, spec) {
    let p = null;
    let under = null;
    const board = HS.chart.board(parent, {
      label: spec.label,
      height: (width) => (spec.height ? spec.height(width) : Math.min(230, Math.max(150, 0.6 * width))),
      base(ctx, width, height, c) {
        const found = spec.read();
        const format = found.formatY || HS.show;
        p = HS.chart.plot(width, height, { left: 46, right: 16, top: 8, bottom: 38 }, found.x, found.y);
        ctx.font = HS.chart.FONT;
        for (const [low, high] of found.bands || []) {
          ctx.fillStyle = c.line;
          ctx.globalAlpha = 0.55;
          ctx.fillRect(p.px(low), p.y, p.px(high) - p.px(low), p.height);
          ctx.globalAlpha = 1;
        }
        HS.chart.axisY(ctx, p, found.yLabel, c, { wanted: 4, format });
        HS.chart.axisX(ctx, p, found.xLabel, c, { wanted: 6, format: found.formatX || HS.show });
        const palette = series(parent);
        ctx.save();
        ctx.beginPath();
        ctx.rect(p.x - 4, p.y - 4, p.width + 8, p.height + 8);
        ctx.clip();
        found.series.forEach((one, i) => curve(ctx, p, { ...one, paper: c.paper }, palette[(one.colour ?? i) % palette.length]));
        ctx.restore();
        if (found.at !== undefined && found.at !== null) HS.chart.line(ctx, p.px(found.at), p.y, p.px(found.at), p.y + p.height, c.ink, 1.2, [3, 3]);
      },
      over(ctx, width, height, c) {
        if (!p || under === null) return;
        HS.chart.line(ctx, p.px(under), p.y, p.px(under), p.y + p.height, c.muted, 1);
        const palette = series(parent);
        spec.read().series.forEach((one, i) => {
          const at = nearest(one.x, under);
          if (at >= 0 && Number.isFinite(one.y[at])) dot(ctx, p.px(one.x[at]), p.py(one.y[at]), 3.5, palette[(one.colour ?? i) % palette.length], c.paper, 1.5);
        });
      },
      move(x, y) {
        under = p && p.inside(x, y) ? snapped(p.valueX(x)) : null;
        tell();
        board.draw(false);
        return under;
      },
      leave() {
        under = null;
        tell();
        board.draw(false);
      },
      press: (x, y) => spec.press && p && p.inside(x, y) && spec.press(snapped(p.valueX(x))),
    });
    const keys = HS.el("div", { class: "hs-legend hs-curves" });
    const words = HS.chart.note(parent);
    parent.append(keys);

    function nearest(xs, x) {
      let best = -1;
      xs.forEach((v, i) => {
        if (best < 0 || Math.abs(v - x) < Math.abs(xs[best] - x)) best = i;
      });
      return best;
    }

    /** The cross-hair stands where something was measured. */
    function snapped(x) {
      const { series: all } = spec.read();
      const candidates = all.map((one) => one.x[nearest(one.x, x)]).filter(Number.isFinite);
      return candidates.length ? candidates.reduce((a, b) => (Math.abs(b - x) < Math.abs(a - x) ? b : a)) : x;
    }

    function tell() {
      const found = spec.read();
      const format = found.formatY || HS.show;
      const rows = found.series.map((one) => [one.name, one.y[nearest(one.x, under)]]).filter(([, v]) => Number.isFinite(v));
      const own = spec.hover && spec.hover(under);
      words(own ?? (under === null ? spec.words ? spec.words() : "" : `${found.xLabel} ${(found.formatX || HS.show)(under)}: ${rows.map(([name, v]) => `${name} ${format(v)}`).join(", ")}`));
    }

    return {
      board,
      draw(stale = true) {
        board.draw(stale);
        const palette = series(parent);
        const { series: all } = spec.read();
        const sample = (one, i) => (one.line === false ? HS.el("i", { class: "hs-dot", style: `--c:${palette[(one.colour ?? i) % palette.length]}` }) : HS.legend.sample(palette[(one.colour ?? i) % palette.length], one.dash ? "dashed" : ""));
        keys.replaceChildren(...all.filter((one) => one.name).map((one) => HS.legend.entry(sample(one, all.indexOf(one)), one.name)));
        if (under === null) tell();
      },
      resize: () => board.resize(),
    };
  }

  /** Text on a stage, in lines no wider than `most`; returns the height below the last line. */
  function words(ctx, text, x, y, most, colour, font = "13px system-ui, sans-serif", lead = 18) {
    ctx.font = font;
    ctx.fillStyle = colour;
    ctx.textAlign = "left";
    ctx.textBaseline = "alphabetic";
    let line = "";
    for (const word of text.split(" ")) {
      const longer = line ? `${line} ${word}` : word;
      if (line && ctx.measureText(longer).width > most) {
        ctx.fillText(line, x, y);
        y += lead;
        line = word;
      } else line = longer;
    }
    if (line) {
      ctx.fillText(line, x, y);
      y += lead;
    }
    return y;
  }

  /** A row of buttons, texts and inputs above or below a view. */
  const bar = (parent, ...parts) => {
    const element = HS.el("div", { class: "hs-bar-row" }, ...parts);
    parent.append(element);
    return element;
  };

  HS.weights = { questions, streams, streamButton, stage, series, heat, shade, ink, largest, dot, curve, rangeOf, lineChart, words, bar };
})();
