// @wing hyperbolic
/** Nodes with texts: what becomes of their names when the radius grows, which parts a training keeps, and the distances of one node. */
(() => {
  "use strict";

  const [HYPERBOLIC, COSINE, CONTRAST] = ["#0072B2", "#009E73", "#E69F00"];

  // ------------------------------------------------------------------------------------------------- radius and accuracy

  function mountCurve(el, store) {
    const view = HS.chart.board(el, { label: "Accuracy by radius", height: () => 220, base, over, press: (x) => setReach(x) });
    const say = HS.chart.note(el);
    let p = null;
    const curve = () => store.payload.extras.curve;

    function setReach(x) {
      if (p) store.set({ textRadius: Math.min(HS.textPoints.RANGE[1], Math.max(HS.textPoints.RANGE[0], 2 ** p.valueX(x))) });
    }

    function line(ctx, values, colour, dash) {
      ctx.beginPath();
      values.forEach((value, i) => ctx[i ? "lineTo" : "moveTo"](p.px(Math.log2(curve().radius[i])), p.py(value)));
      ctx.strokeStyle = colour;
      ctx.lineWidth = 2;
      ctx.setLineDash(dash);
      ctx.stroke();
      ctx.setLineDash([]);
    }

    function base(ctx, width, height, c) {
      const { accuracy, cosine, clipped_accuracy: clipped, contrast } = curve();
      p = HS.chart.plot(width, height, { left: 40, right: 10, top: 10, bottom: 38 }, [-2.1, 3.7], [0, 1]);
      HS.chart.axisY(ctx, p, "share", c, { wanted: 3, format: (v) => HS.percent(v) });
      HS.chart.line(ctx, p.x, p.y + p.height + 0.5, p.x + p.width, p.y + p.height + 0.5, c.muted);
      for (const r of [0.25, 1, 2, 4, 8]) HS.chart.text(ctx, String(r), p.px(Math.log2(r)), p.y + p.height + 6, c.muted, "center", "top");
      HS.chart.text(ctx, "mean hyperbolic radius", p.x + p.width / 2, p.y + p.height + 20, c.ink, "center", "top");
      line(ctx, cosine, COSINE, [2, 3]);
      line(ctx, clipped, HYPERBOLIC, [5, 4]);
      line(ctx, accuracy, HYPERBOLIC, []);
      line(ctx, contrast, CONTRAST, []);
      const { landed } = store.payload.extras;
      HS.chart.line(ctx, p.px(Math.log2(landed)), p.y, p.px(Math.log2(landed)), p.y + p.height, c.muted, 1, [3, 3]);
      HS.chart.text(ctx, "learned", p.px(Math.log2(landed)), p.y + 2, c.muted, "center", "top");
    }

    function over(ctx, width, height, c) {
      const found = HS.textPoints.scaled(store, store.look.layer);
      if (!Number.isFinite(found.accuracy)) return;
      const [x, y] = [p.px(Math.log2(Math.max(0.25, found.radius))), p.py(found.accuracy)];
      ctx.beginPath();
      ctx.arc(x, y, 5, 0, 2 * Math.PI);
      ctx.fillStyle = c.ink;
      ctx.fill();
    }

    function words() {
      const { graphs, nodes, radius, accuracy, cosine } = curve();
      const last = radius.length - 1;
      return `Blue: nodes rightly named when all points are put at one mean radius, without learning; ${HS.percent(accuracy[0])} at ${radius[0]}, ${HS.percent(accuracy[last])} at ${radius[last]}. Green, dotted: by cosine, which knows no radius (${HS.percent(cosine[0])}). Blue, dashed: with the clip of float32 coordinates at 6.21. Orange: contrast of the distances (std / mean). Means of ${graphs} graphs of ${nodes} nodes; the dot is the graph on show.`;
    }

    return {
      draw(changed) {
        if (HS.chart.onlyHover(changed)) return;
        say(words());
        view.draw(HS.chart.touched(changed, "layer"));
      },
      resize: () => view.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "radius-curve", title: "Radius", kind: "textdisk", available: (store) => Boolean(store.payload.extras.curve), mount: mountCurve });

  // ------------------------------------------------------------------------------------------------- neighbours that merge

  const [WITHIN, ACROSS] = ["#0072B2", "#D55E00"];
  const SWEEP_SECONDS = 5;

  /** Distances inside of a class and between classes at the present radius, and a sweep that makes the radius grow. */
  function mountMerging(el, store) {
    const button = HS.el("button", { type: "button", class: "hs-button", onclick: toggle });
    el.append(HS.el("div", { class: "hs-actions" }, button));
    const view = HS.chart.board(el, { label: "Distances inside of a class and between classes", height: () => 210, base });
    const say = HS.chart.note(el);
    const found = () => HS.textPoints.merged(store, store.look.layer);
    let sweep = 0;

    function toggle() {
      if (sweep) return stop();
      const { radius } = store.payload.extras.merging[store.layer.name];
      const [low, high] = [Math.log(radius[0]), Math.log(radius[radius.length - 1])];
      store.set({ textLines: "nearest", textParts: [] });
      if (HS.calm()) return store.set({ textRadius: radius[radius.length - 1] });
      const begun = performance.now();
      const go = (now) => {
        const t = Math.min(1, (now - begun) / (1000 * SWEEP_SECONDS));
        store.set({ textRadius: Number(Math.exp(low + (high - low) * t).toPrecision(4)) });
        sweep = t < 1 ? requestAnimationFrame(go) : 0;
        if (!sweep) draw();
      };
      sweep = requestAnimationFrame(go);
      draw();
    }

    function stop() {
      cancelAnimationFrame(sweep);
      sweep = 0;
      draw();
    }

    function base(ctx, width, height, c) {
      const merging = found();
      if (!merging) return;
      const bins = merging.within.shape[1];
      const part = (name) => merging[name].subarray(merging.at * bins, (merging.at + 1) * bins);
      const top = Math.max(0.02, ...merging.within, ...merging.across);
      const p = HS.chart.plot(width, height, { left: 12, right: 12, top: 18, bottom: 38 }, [0.3, 1.7], [0, top]);
      HS.chart.axisX(ctx, p, "distance / mean distance", c, { wanted: 5, format: (v) => v.toFixed(1) });
      for (const [name, colour] of [["within", WITHIN], ["across", ACROSS]]) {
        const hist = { start: 0, width: 2 / bins, counts: Array.from(part(name)) };
        ctx.save();
        ctx.beginPath();
        ctx.rect(p.x, 0, p.width, height);
        ctx.clip();
        ctx.globalAlpha = 0.3;
        HS.chart.bars(ctx, p, hist, colour);
        ctx.globalAlpha = 1;
        HS.chart.steps(ctx, p, hist, colour, (n) => n, name === "across" ? [5, 3] : []);
        ctx.restore();
      }
      HS.chart.text(ctx, "inside of a class", p.x + 2, 4, c.ink, "left", "top");
      HS.chart.line(ctx, p.x + 92, 10, p.x + 116, 10, WITHIN, 2);
      HS.chart.text(ctx, "between", p.x + 132, 4, c.ink, "left", "top");
      HS.chart.line(ctx, p.x + 182, 10, p.x + 206, 10, ACROSS, 2, [5, 3]);
    }

    function words() {
      const merging = found();
      if (!merging) return "The parts are scaled unevenly; put them back to see how neighbourhoods merge with the radius.";
      const { at, radius, hub, alike, overlap } = merging;
      const kin = alike[at] === null ? "" : ` ${HS.percent(alike[at])} of the five nearest nodes are of the node’s own class.`;
      return `At a mean radius of ${HS.show(radius[at])} one node is among the five nearest of ${HS.percent(hub[at])} of all others.${kin} The two distributions have ${HS.percent(overlap[at])} in common: at 100 % distance no longer tells classes apart.`;
    }

    function draw(changed) {
      if (HS.chart.onlyHover(changed)) return;
      button.textContent = sweep ? "Stop" : "Let the radius grow";
      say(words());
      view.draw(HS.chart.touched(changed, "layer", "textRadius", "textParts"));
    }

    return {
      draw,
      resize: () => view.resize(),
      destroy() {
        cancelAnimationFrame(sweep);
        el.replaceChildren();
      },
    };
  }

  HS.panel({ name: "merging", title: "Merging", kind: "textdisk", available: (store) => Boolean(store.payload.extras.merging), mount: mountMerging });

  // -------------------------------------------------------------------------------------------------------- the blocks

  const kept = new WeakMap(); // payload → frames of a training

  function mountBlocks(el, store) {
    const button = HS.el("button", { type: "button", class: "hs-button hs-primary", onclick: toggle });
    const back = HS.el("button", { type: "button", class: "hs-link", onclick: release }, "show the learned state");
    el.append(HS.el("div", { class: "hs-actions" }, button, back));
    const view = HS.chart.board(el, { label: "Learned factor of every block", height: () => 200, base });
    const say = HS.chart.note(el);
    const frames = () => kept.get(store.payload) || [];
    const newest = () => frames()[frames().length - 1];
    const running = () => store.asking("stream");

    function toggle() {
      if (running()) return store.stop();
      kept.set(store.payload, []);
      store.set({ layer: store.layers.findIndex((layer) => layer.name === "after"), compare: null, textRadius: null, textParts: [] });
      store.ask("stream", { question: "watch" });
      draw();
    }

    function release() {
      kept.delete(store.payload);
      HS.disk.live(store, "after", null);
      draw();
    }

    const deaf = store.onAnswer("stream", ({ result }) => {
      if (!result) return;
      if (!newest() || newest().step !== result.step) frames().push(result);
      HS.disk.live(store, "after", result.points);
      draw();
    });

    function base(ctx, width, height, c) {
      const { hops } = store.payload.extras;
      const factors = newest() ? newest().factors : store.payload.extras.factors;
      const each = factors.length / hops;
      const p = HS.chart.plot(width, height, { left: 40, right: 10, top: 10, bottom: 38 }, [-0.6, factors.length - 0.4], [0, Math.max(1.1, ...factors)]);
      HS.chart.axisY(ctx, p, "factor", c, { wanted: 4, format: (v) => v.toFixed(1) });
      HS.chart.line(ctx, p.x, p.py(1), p.x + p.width, p.py(1), c.muted, 1, [3, 3]);
      factors.forEach((value, i) => {
        const [left, right] = [p.px(i - 0.38), p.px(i + 0.38)];
        ctx.fillStyle = HS.OKABE_ITO[Math.floor(i / each)];
        ctx.fillRect(left, p.py(value), right - left, p.py(0) - p.py(value));
      });
      ["own text", "1 step", "2 steps"].slice(0, hops).forEach((word, h) => HS.chart.text(ctx, word, p.px(h * each + (each - 1) / 2), p.y + p.height + 8, c.ink, "center", "top"));
    }

    function words() {
      const means = () => {
        const { hops } = store.payload.extras;
        const factors = newest() ? newest().factors : store.payload.extras.factors;
        const each = factors.length / hops;
        return Array.from({ length: hops }, (_, h) => HS.show(factors.slice(h * each, (h + 1) * each).reduce((a, b) => a + b, 0) / each)).join(" / ");
      };
      const { started, landed } = store.payload.extras;
      const frame = newest();
      if (frame) return `Step ${frame.step} of ${frame.steps}: mean radius ${HS.show(frame.mean_radius)}, ${HS.percent(frame.zero_shot_accuracy)} rightly named (by cosine ${HS.percent(frame.cosine_accuracy)}); mean factors ${means()}.`;
      return `What the training leaves of each of ${store.payload.extras.factors.length} blocks of the vectors (1: untouched): own text, texts one step and two steps along the graph; means ${means()}. The source graphs’ radius went from ${HS.show(started)} to ${HS.show(landed)}. The classes on show were never trained on.`;
    }

    function draw(changed) {
      if (HS.chart.onlyHover(changed)) return;
      button.textContent = running() ? "Stop" : "Train it now";
      button.disabled = !store.host.live;
      back.hidden = running() || !frames().length;
      say(words());
      view.draw(true);
    }

    return {
      draw,
      resize: () => view.resize(),
      destroy() {
        deaf();
        if (running()) store.stop();
        el.replaceChildren();
      },
    };
  }

  HS.panel({ name: "hop-scaling", title: "Learned blocks", kind: "textdisk", available: (store) => Boolean(store.payload.extras.factors), mount: mountBlocks });

  // ------------------------------------------------------------------------------------------------ distances of a node

  function mountDistances(el, store) {
    const title = HS.el("p", { class: "hs-hint" });
    const list = HS.el("ol", { class: "hs-near" });
    el.append(title, list);
    return {
      draw() {
        const { layer } = store.look;
        const { text } = store.layers[layer];
        const nodes = HS.disk.nodesOf(store, layer);
        const node = store.focus(layer);
        if (node === null || node >= text.count) {
          title.textContent = "Point at a node to see how far every class text is, in all dimensions.";
          return list.replaceChildren();
        }
        const { m } = HS.textPoints.scaled(store, layer);
        const far = HS.textPoints.distances(text, m, node);
        const most = Math.max(...far);
        const order = far.map((d, k) => [d, k]).sort((a, b) => a[0] - b[0]);
        title.textContent = `${HS.disk.nameOf(nodes, node)} to every class text. The nearest one names it; it is ${HS.percent((order[1][0] - order[0][0]) / order[0][0])} nearer than the next.`;
        list.replaceChildren(...order.map(([d, k]) => {
          const bar = HS.el("span", { class: "hs-bars" }, HS.el("span", { class: "hs-bar", style: `width:${(100 * d) / most}%;background:${HS.OKABE_ITO[k % 7]}` }));
          return HS.el("li", { class: "hs-near-row" }, HS.el("span", { class: "hs-label" }, HS.textPoints.className(nodes, k)), bar, HS.el("span", { class: "hs-num" }, HS.show(d)), HS.el("span", { class: "hs-hint" }, text.group[node] === k ? "its class" : ""));
        }));
      },
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "text-distance", title: "Distances", kind: "textdisk", available: () => true, mount: mountDistances });
})();
