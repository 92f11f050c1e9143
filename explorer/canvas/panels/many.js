// @wing hypergraphs
/**
 * The hyperedges of a layer over many pictures, a visitor's own set or those that ship: how much each carries and how often it is on,
 * how many different ones each picture has, the measures of use. The stream "many" tells it anew after every picture:
 * {own, pictures, of, layers: {name: {on, drawn, load, different, fixed, measures}}}.
 */
(() => {
  "use strict";

  const MOST = 24; // pictures in one question
  const SIDE = 192; // pixels; no network of this wing looks at more of so many pictures
  const ROW = 17;
  const TOP = 22;
  const LEFT = 30;
  const DOTS = 78;

  function mount(el, store) {
    const state = { result: null, controls: "", failed: "", opened: new Set() };
    const live = HS.weights.streams(store);
    const own = HS.photos.button({ label: "Your pictures …", multiple: true, most: MOST, side: SIDE, onpick: (pictures) => start({ pictures }), onfail: fail });
    const shipped = HS.el("button", { type: "button", class: "hs-button", onclick: () => (live.running("many") ? live.stop() : start({})) });
    el.append(HS.el("div", { class: "hs-asking" }, own.element, shipped));
    const bars = HS.chart.board(el, { label: "How much each hyperedge carries over all pictures", height: () => (told() ? TOP + ROW * told().load.length + 4 : 0), base, over, move, leave: () => store.setHoverEdge(null), press });
    const dots = HS.chart.board(el, { label: "How many different hyperedges each picture has", height: () => (told() ? DOTS : 0), base: dotsBase });
    const say = HS.chart.note(el);
    const list = HS.el("ul", { class: "hs-measures" });
    el.append(list);

    const settings = () => JSON.stringify(store.payload.controls.values);
    const told = () => (state.result && state.controls === settings() ? state.result.layers[store.layer.name] || null : null);
    const dynamic = () => told().fixed !== null;

    function start(data) {
      state.failed = "";
      state.controls = settings();
      state.result = null;
      live.start("many", data, (result) => {
        state.result = result;
        redraw();
      }, (reason, message) => {
        state.failed = reason === "refused" ? message : "";
        redraw();
      });
      redraw();
    }

    function fail(sentence) {
      state.failed = sentence;
      redraw();
    }

    function base(ctx, width, height, c) {
      const { load, on } = told() || { load: [] };
      if (!load.length) return;
      const right = dynamic() ? 52 : 0;
      const most = Math.max(...load, 1 / load.length);
      const room = width - LEFT - 44 - right;
      const long = (share) => (share / most) * room;
      HS.chart.text(ctx, "share of all patches", LEFT, 8, c.muted, "left", "middle");
      if (right) HS.chart.text(ctx, "on in", width, 8, c.muted, "right", "middle");
      load.forEach((share, m) => {
        const y = TOP + m * ROW;
        ctx.globalAlpha = on[m] ? 1 : 0.4;
        ctx.fillStyle = HS.edges.colourOf(m);
        ctx.fillRect(2, y + 4, 8, 8);
        HS.chart.text(ctx, HS.edges.name(m), 14, y + ROW / 2, c.ink, "left", "middle");
        ctx.fillStyle = c.accent;
        ctx.fillRect(LEFT, y + 3, Math.max(1, long(share)), ROW - 6);
        HS.chart.text(ctx, HS.percent(share), LEFT + room + 42, y + ROW / 2, c.ink, "right", "middle");
        if (right) HS.chart.text(ctx, HS.percent(on[m]), width, y + ROW / 2, c.ink, "right", "middle");
        ctx.globalAlpha = 1;
      });
      const even = LEFT + long(1 / load.length);
      HS.chart.line(ctx, even, TOP, even, TOP + ROW * load.length, c.ink, 1, [3, 3]);
    }

    function over(ctx, width, height, c) {
      if (!told()) return;
      const mark = (m, colour) => {
        ctx.strokeStyle = colour;
        ctx.lineWidth = 1.5;
        if (m !== null && m < told().load.length) ctx.strokeRect(1, TOP + m * ROW + 0.5, width - 2, ROW - 1);
      };
      store.look.edges.forEach((m) => mark(m, c.accent));
      mark(HS.edges.edgeUnder(store, store.look.layer), c.ink);
    }

    const under = (y) => {
      const m = Math.floor((y - TOP) / ROW);
      return told() && m >= 0 && m < told().load.length ? m : null;
    };
    function move(x, y) {
      store.setHoverEdge(under(y));
      return under(y);
    }
    function press(x, y) {
      const m = under(y);
      if (m !== null && HS.hyper.of(store, store.look.layer).on[m]) HS.edges.toggle(store, m);
    }

    /** A dot for each picture at its number of different hyperedges, the mean as a line. */
    function dotsBase(ctx, width, height, c) {
      if (!told()) return;
      const known = told().different.filter((value) => value !== null);
      const most = told().on.reduce((sum, share) => sum + share, 0);
      const x = (value) => LEFT + ((width - LEFT - 12) * value) / most;
      const y = 26;
      HS.chart.line(ctx, x(0), y + 12, x(most), y + 12, c.muted, 1);
      for (const tick of [0, 1, most / 2, most]) HS.chart.text(ctx, String(Math.round(tick)), x(tick), y + 24, c.muted, "center", "middle");
      known.forEach((value, i) => {
        ctx.beginPath();
        ctx.arc(x(value), y + ((i * 7) % 5) * 2 - 8, 3, 0, 2 * Math.PI);
        ctx.globalAlpha = 0.65;
        ctx.fillStyle = c.accent;
        ctx.fill();
        ctx.globalAlpha = 1;
      });
      const mean = known.reduce((sum, value) => sum + value, 0) / (known.length || 1);
      if (known.length) HS.chart.line(ctx, x(mean), 8, x(mean), y + 12, c.ink, 1.5);
      HS.chart.text(ctx, "different hyperedges, a dot for each picture", LEFT, height - 6, c.muted, "left", "middle");
    }

    function describe() {
      if (state.failed) return say(state.failed);
      if (!store.host.live) return say("Looking at many pictures needs the live app.");
      const running = live.running("many");
      if (!told()) return say(running ? "The first picture is on its way …" : `How does this layer use its hyperedges over a whole set? Choose up to ${MOST} pictures of your own (made small here, sent once, kept by nobody), or those that ship.`);
      const { own: yours, pictures, of } = state.result;
      const which = yours ? "pictures of yours" : "pictures that ship";
      say(`${running ? `${pictures} of ${of}` : pictures} ${which}. Bars: share of all patches that a hyperedge carries; dashed: all alike.${dynamic() ? ` The first ${told().fixed} are always on.` : ""}`);
    }

    function redraw() {
      own.allow(store.host.live && !live.running("many"));
      shipped.disabled = !store.host.live;
      shipped.textContent = live.running("many") ? "Stop" : "Those that ship";
      list.replaceChildren(...(told() ? told().measures : []).map((measure) => HS.measureRow(measure, state.opened)));
      bars.resize();
      bars.draw(true);
      dots.resize();
      dots.draw(true);
      describe();
    }

    return {
      draw(changed) {
        if (HS.chart.onlyHover(changed)) return bars.draw(false);
        redraw();
      },
      resize() {
        bars.resize();
        dots.resize();
      },
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "many", kind: "hypergraph", title: "Many pictures", available: (store) => Boolean(store.layer.hypergraph.space && store.layer.hypergraph.space.static), mount });
})();
