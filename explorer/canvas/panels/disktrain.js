// @wing hyperbolic
/** The training of the disk and of the plane, live: frames stream in, the stage follows, the curves grow; afterwards it can be wound back. */
(() => {
  "use strict";

  const HEIGHT = 150;
  const CURVES = [["learned", "disk", "#0072B2", []], ["flat", "plane", "#D55E00", [5, 3]]];

  const kept = new WeakMap(); // payload → frames of its training

  function mount(el, store) {
    const state = { at: null, note: "" };
    const info = () => store.payload.extras.hierarchy || {};
    const frames = () => kept.get(store.payload) || [];
    const running = () => store.asking("stream");
    const button = HS.el("button", { type: "button", class: "hs-button hs-primary", onclick: toggle });
    const slider = HS.inputs.range({ label: "Epoch", min: 0, max: 1, step: 1, value: 0, format: (k) => (frames()[k] ? String(frames()[k].epoch) : "–"), oninput: (k) => goTo(k) });
    const back = HS.el("button", { type: "button", class: "hs-link", onclick: release }, "show the finished embedding");
    el.append(HS.el("div", { class: "hs-actions" }, button, back), slider.element);
    const view = HS.chart.board(el, { label: "How well distance finds the ancestors, epoch by epoch", height: () => HEIGHT, base });
    const say = HS.chart.note(el);

    function toggle() {
      if (running()) return store.stop();
      kept.set(store.payload, []);
      state.note = "";
      state.at = null;
      const both = ["learned", "flat"].map((name) => store.layers.findIndex((layer) => layer.name === name));
      store.set({ layer: both[0], compare: both[1], diskView: [], diskView2: [] });
      store.ask("stream", { question: "watch" });
      draw();
    }

    function goTo(k) {
      state.at = k;
      show(frames()[k]);
      view.draw(true);
    }

    function show(frame) {
      if (frame) for (const [name] of CURVES) HS.disk.live(store, name, frame[name].points);
    }

    function release() {
      for (const [name] of CURVES) HS.disk.live(store, name, null);
      state.at = null;
      draw();
    }

    const deaf = store.onAnswer("stream", ({ result, done, reason }) => {
      const list = frames();
      if (result && (!list.length || list[list.length - 1].epoch !== result.epoch)) {
        list.push(result);
        kept.set(store.payload, list);
        state.at = list.length - 1;
        show(result);
      }
      if (done) state.note = { end: "", stopped: "Stopped.", time: "The time for one watch is over." }[reason] || "";
      draw();
    });

    function base(ctx, width, height, c) {
      const list = frames();
      const p = HS.chart.plot(width, height, { left: 40, right: 10, top: 8, bottom: 36 }, [0, list.length ? list[0].epochs : 150], [0, 1]);
      HS.chart.axisY(ctx, p, "MAP", c, { wanted: 3, format: (v) => v.toFixed(1) });
      HS.chart.axisX(ctx, p, "epoch", c, { wanted: 5 });
      if (!list.length) return;
      for (const [name, , colour, dash] of CURVES) {
        ctx.beginPath();
        list.forEach((frame, i) => ctx[i ? "lineTo" : "moveTo"](p.px(frame.epoch), p.py(frame[name].map)));
        ctx.strokeStyle = colour;
        ctx.lineWidth = 2;
        ctx.setLineDash(dash);
        ctx.stroke();
        ctx.setLineDash([]);
      }
      const at = list[state.at ?? list.length - 1];
      if (at) HS.chart.line(ctx, p.px(at.epoch), p.y, p.px(at.epoch), p.y + p.height, c.muted, 1, [2, 3]);
    }

    function words() {
      const { watch, nodes } = info();
      if (!store.host.live) return "The training needs the live app: this is a stored picture.";
      if (!watch) return `Training ${nodes.toLocaleString("en")} nodes takes minutes. Choose the classes, a balanced tree or your own tree to watch one.`;
      const list = frames();
      if (!list.length) return `Train ${nodes} nodes from a random start, in the disk and in the plane at once: the same loss, the same steps. MAP tells how well distance finds the ancestors (1 is perfect).`;
      const { epoch, learned, flat } = list[state.at ?? list.length - 1];
      const figures = `Epoch ${epoch}: MAP ${learned.map.toFixed(2)} in the disk (blue), ${flat.map.toFixed(2)} in the plane (orange, dashed); mean rank ${HS.show(learned.rank)} and ${HS.show(flat.rank)}.`;
      return `${figures} ${epoch < 20 ? "The first 20 epochs go slowly, near the centre." : ""} ${state.note}`.trim();
    }

    function draw(changed) {
      if (HS.chart.onlyHover(changed)) return;
      const list = frames();
      button.textContent = running() ? "Stop" : list.length ? "Train again" : "Train it now";
      button.disabled = !store.host.live || !info().watch;
      back.hidden = running() || !list.length;
      slider.element.hidden = list.length < 2;
      slider.bound(0, Math.max(1, list.length - 1));
      slider.set(state.at ?? Math.max(0, list.length - 1));
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

  HS.panel({ name: "watch-training", title: "Train it", kind: "disk", available: (store) => Boolean(store.payload.extras.hierarchy), mount });
})();
