// @wing hypergraphs
/**
 * The prototypes of another picture on the patches of this one: each hyperedge as it is and as it would be, how much alike, and what
 * the model would predict. Asked for: {question: "lend", example | picture} → {lender, own, lent, on, likeness, before, after, different}.
 */
(() => {
  "use strict";

  const SIDE = 256; // pixels of a lent picture of one's own
  const GAP = 6;
  const WORDS = 17;
  const OWN = "your own …";

  function mount(el, store) {
    const state = { lender: "", answer: null, run: "", failed: "" };
    const questions = HS.weights.questions(store);
    const names = () => store.payload.examples.map(({ name, label }) => [name, label || name]);
    const select = HS.inputs.choice({ label: "Prototypes of", options: [["", "choose a picture"]], value: "", onchange: (name) => name && ask({ example: name }, name) });
    const own = HS.photos.button({ label: OWN, most: 1, side: SIDE, onpick: ([picture]) => ask({ picture }, ""), onfail: fail });
    const face = HS.el("img", { class: "hs-lender", alt: "The picture that lends its prototypes", hidden: true });
    el.append(HS.el("div", { class: "hs-asking" }, select.element, own.element, face));
    const view = HS.chart.board(el, { label: "Every hyperedge as it is and with the prototypes of the other picture", height: (width) => (state.answer ? rows() * (side(width) + WORDS + GAP) + 26 : 0), base, over, move, leave: () => store.setHover(null), press });
    const say = HS.chart.note(el);

    const side = (width) => Math.floor((width - 3 * GAP - 10) / 4);
    const listed = () => HS.hyper.order(HS.hyper.of(store, store.look.layer), store.look.sort).filter((m) => state.answer.on[m]);
    const rows = () => Math.ceil(listed().length / 2);
    /** Two pairs in a row: {m, own, lent} with their frames. */
    const pairs = (width) =>
      listed().map((m, i) => {
        const s = side(width);
        const [x, y] = [(i % 2) * (2 * s + GAP + 16), Math.floor(i / 2) * (s + WORDS + GAP) + WORDS];
        const frame = (left) => HS.minimap.fit({ x: left, y, width: s, height: s }, store.layer.grid);
        return { m, own: frame(x), lent: frame(x + s + 2) };
      });

    function ask(data, lender) {
      Object.assign(state, { lender, failed: "", run: store.payload.run });
      questions.ask("lend", data, (answer) => {
        state.answer = answer;
        redraw();
      }, fail);
      describe();
    }

    function fail(sentence) {
      state.failed = sentence;
      describe();
    }

    function base(ctx, width, height, c) {
      if (!state.answer) return;
      const image = HS.chart.picture(store, () => view.draw(true));
      const { hyperedges } = store.layer.hypergraph;
      const n = store.layer.grid[0] * store.layer.grid[1];
      for (const { m, own: left, lent: right } of pairs(width)) {
        for (const [values, frame] of [[state.answer.own, left], [state.answer.lent, right]]) {
          HS.drawPicture(ctx, frame, image, false);
          HS.greyOut(ctx, frame);
          HS.drawHeat(ctx, frame, { values: Float32Array.from({ length: n }, (_, i) => values[i * hyperedges + m]), grid: store.layer.grid, scale: { kind: "diverging", max: HS.edges.REACH } }, 0.85);
        }
        ctx.fillStyle = HS.edges.colourOf(m);
        ctx.fillRect(left.x, left.y - 12, 8, 8);
        const value = state.answer.likeness[m];
        HS.chart.text(ctx, HS.edges.name(m), left.x + 12, left.y - 4, c.ink, "left", "bottom");
        HS.chart.text(ctx, value === null ? "flat" : `alike ${value.toFixed(2)}`, right.x + right.width, right.y - 4, c.muted, "right", "bottom");
      }
      HS.minimap.legend(ctx, 0, height - 22, 120, "diverging", ["≤ ⅛ ×", "≥ 8 ×"], c);
    }

    function over(ctx, width) {
      const focus = store.focus(store.look.layer);
      if (!state.answer || focus === null) return;
      for (const { own: left, lent: right } of pairs(width)) for (const frame of [left, right]) HS.minimap.mark(ctx, frame, store.layer.grid, focus);
    }

    function under(x, y) {
      if (!state.answer) return null;
      for (const { own: left, lent: right } of pairs(view.box.clientWidth)) {
        for (const frame of [left, right]) {
          const cell = HS.cellAt(frame, store.layer.grid, x, y);
          if (cell !== null) return cell;
        }
      }
      return null;
    }
    function move(x, y) {
      const patch = under(x, y);
      store.setHover(patch === null ? null : { layer: store.look.layer, patch, side: "target" });
      return patch;
    }
    function press(x, y) {
      const patch = under(x, y);
      if (patch !== null) store.togglePin(patch);
    }

    function describe() {
      if (state.failed) return say(state.failed);
      if (!store.host.live) return say("Lending prototypes needs the live app.");
      if (questions.busy("lend")) return say("The other picture goes through the model …");
      if (!state.answer) return say("A prototype is what was learned plus an offset computed from the pooled picture. Let another picture lend its offset: if the maps stay, the offset hardly depends on the picture.");
      const { before, after, likeness, different } = state.answer;
      const known = likeness.filter((value) => value !== null);
      const mean = known.reduce((sum, value) => sum + value, 0) / (known.length || 1);
      const [label, p] = before[0];
      const then = after.find(([name]) => name === label);
      const moved = then ? `${label} ${HS.percent(p)} → ${HS.percent(then[1])}` : `${label} ${HS.percent(p)} → ${after[0][0]} ${HS.percent(after[0][1])}`;
      say(`Left: with the offset of this picture; right: with that of the other one. The maps correlate by ${known.length ? mean.toFixed(2) : "–"} on average; different hyperedges ${HS.show(different[0])} → ${HS.show(different[1])}; ${moved}.`);
    }

    function redraw() {
      if (state.answer && state.run !== store.payload.run) Object.assign(state, { answer: null, lender: "", failed: "" });
      select.fill([["", "choose a picture"], ...names()]);
      select.set(state.lender);
      own.allow(store.host.live);
      face.hidden = !state.answer;
      if (state.answer && face.getAttribute("src") !== state.answer.lender) face.src = state.answer.lender;
      view.resize();
      view.draw(true);
      describe();
    }

    return {
      draw(changed) {
        if (HS.chart.onlyHover(changed)) return view.draw(false);
        redraw();
      },
      resize: () => view.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "swap", kind: "hypergraph", title: "Swap", available: (store) => Boolean(store.layer.hypergraph.space && store.layer.hypergraph.space.static), mount });
})();
