// @wing hypernetworks
/** The path of generated networks: every width as a point in the plane of two principal components, coloured by accuracy. */
(() => {
  "use strict";

  function mount(el, store) {
    const { extras } = store.payload;
    const { curve } = extras;
    let shown = extras.manifold; // what was asked for since replaces it
    let at = null;
    let around = null;
    let under = null;
    const colourOf = (width) => {
      const i = curve.widths.indexOf(width);
      const j = curve.widths.indexOf(Math.floor(width));
      const share = i >= 0 ? curve.accuracy[i] : (curve.accuracy[j] + curve.accuracy[j + 1]) / 2;
      return HS.ramp("viridis", share);
    };

    const board = HS.chart.board(el, {
      label: "Networks of all widths as points; click one to go there",
      height: (width) => Math.min(300, 0.82 * width),
      base(ctx, width, height, c) {
        const n = shown.points.length / 2;
        const cloud = shown.cloud ? shown.cloud.length / 2 : 0;
        const all = Float32Array.from([...shown.points, ...(shown.cloud || [])]);
        const placed = HS.points.place(all, { x: 6, y: 6, width: width - 12, height: height - 24 }, 14);
        at = { x: placed.x.slice(0, n), y: placed.y.slice(0, n) };
        around = { x: placed.x.slice(n, n + cloud), y: placed.y.slice(n, n + cloud) };
        for (let i = 0; i < cloud; i++) {
          ctx.globalAlpha = 0.55;
          HS.weights.dot(ctx, around.x[i], around.y[i], 2.2, colourOf(shown.cloudWidths[i]));
        }
        ctx.globalAlpha = 1;
        for (let i = 1; i < n; i++) HS.chart.line(ctx, at.x[i - 1], at.y[i - 1], at.x[i], at.y[i], c.muted, 1.5);
        for (let i = 0; i < n; i++) {
          const width_ = shown.widths[i];
          const whole = Number.isInteger(width_);
          const trained = width_ >= curve.band[0] && width_ <= curve.band[1] && !curve.held_out.includes(width_);
          HS.weights.dot(ctx, at.x[i], at.y[i], whole ? 5.5 : 2.5, colourOf(width_), whole ? c.ink : null, trained ? 1.4 : 0.8);
          if (whole && (width_ % 2 === 0 || n < 24)) HS.chart.text(ctx, String(width_), at.x[i] + 8, at.y[i] - 7, c.ink);
        }
        const told = shown.explained ? `first two components: ${HS.percent(shown.explained[0])} and ${HS.percent(shown.explained[1])} of the variance` : "UMAP: distances between far points mean nothing";
        HS.chart.text(ctx, told, 6, height - 4, c.muted);
      },
      over(ctx, width, height, c) {
        const here = shown.widths.indexOf(HS.weightField.widthOf(store));
        if (at && here >= 0) HS.weights.dot(ctx, at.x[here], at.y[here], 9, null, c.accent, 2.5);
        if (at && under !== null) HS.weights.dot(ctx, at.x[under], at.y[under], 8, null, c.ink, 1.5);
      },
      move(x, y) {
        under = at && HS.points.nearest(at, x, y, 16);
        tell();
        board.draw(false);
        return under;
      },
      leave() {
        under = null;
        tell();
        board.draw(false);
      },
      press: () => under !== null && HS.weightField.setWidth(store, shown.widths[under], true),
    });
    const say = HS.chart.note(el);
    const questions = HS.weights.questions(store);
    const ask = (data, words) => {
      say(words);
      const asked = questions.ask("clouds", data, (found) => {
        shown = found;
        tell();
        board.draw(true);
      }, say);
      if (!asked) say("Needs the live app: this is a stored picture.");
    };
    const button = (text, press) => HS.el("button", { type: "button", class: "hs-button", disabled: !store.host.live, onclick: press }, text);
    HS.weights.bar(
      el,
      button("Noise around every width", () => ask({ method: "pca" }, "Reading networks at disturbed places …")),
      button("UMAP", () => ask({ method: "umap" }, "UMAP is being computed; the first time takes some seconds …")),
      button("Path alone", () => ((shown = extras.manifold), tell(), board.draw(true))),
    );

    function tell() {
      if (under !== null) {
        const width = shown.widths[under];
        const i = curve.widths.indexOf(width);
        return say(i >= 0 ? `Width ${width}: ${HS.percent(curve.accuracy[i])} right.` : `Width ${width}: between two networks; the function can be read there, no network of that width exists.`);
      }
      say("Each point is a network: its functions read at the same 16 × 16 places. Colour: right answers (dark few, yellow many). Small points are half widths.");
    }

    return {
      draw(changed) {
        if (changed.has("payload")) tell();
        board.draw(HS.chart.touched(changed, "theme"));
      },
      resize: () => board.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "manifold", title: "Path of networks", kind: "weight-field", available: ({ payload }) => Boolean(payload.extras.manifold), mount });
})();
