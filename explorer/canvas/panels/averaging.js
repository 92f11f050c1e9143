// @wing hypernetworks
/** The noise of training at work: how far each weight strays, and what averaging several readings is worth. */
(() => {
  "use strict";

  function mount(el, store) {
    let stray = null; // {width, tensor, spread [N0, N1]}
    let frames = [];
    const say = HS.chart.note(el);

    const board = HS.chart.board(el, {
      label: "How far each weight of this tensor strays when its place is disturbed",
      height: (width) => Math.min(190, 0.6 * width),
      base(ctx, width, height, c) {
        if (!stray) return HS.chart.text(ctx, store.host.live ? "…" : "Needs the live app: this is a stored picture.", width / 2, 40, c.muted, "center");
        const [rows, cols] = stray.spread.shape;
        HS.chart.text(ctx, "standard deviation over 12 readings, in spreads of the tensor (yellow: 1 or more)", 0, 10, c.muted);
        HS.weights.shade(ctx, { x: 0, y: 16, width: cols === 1 ? Math.min(40, width) : width, height: height - 18 }, stray.spread, rows, cols, 1);
      },
    });
    const chart = HS.weights.lineChart(el, {
      label: "Right answers against the number of averaged readings",
      height: () => 150,
      read: () => ({
        x: [0, 33], y: HS.weights.rangeOf([frames.map((one) => one.accuracy)]), xLabel: "readings K", yLabel: "right answers", formatY: HS.percent,
        series: [{ name: "", x: frames.map((one) => one.samples), y: frames.map((one) => one.accuracy), points: "circle" }],
      }),
      words: () => (frames.length > 1 ? `Width ${frames[0].width}: ${HS.percent(frames[0].accuracy)} with one reading, ${HS.percent(frames[frames.length - 1].accuracy)} with ${frames.length} averaged.` : ""),
    });
    const button = HS.weights.streamButton(store, {
      name: "averaging",
      start: "Average 1 to 32 readings",
      begin: () => ((frames = []), { width: HS.weightField.widthOf(store) }),
      frame: (found) => (frames.push(found), chart.draw()),
    });
    HS.weights.bar(el, button.element);
    let about = "";

    function ask() {
      const width = HS.weightField.widthOf(store);
      const key = `${width} ${store.layer.name}`;
      if (key === about) return;
      about = key;
      HS.weights.questions(store).ask("spread", { width, tensor: store.layer.name }, (found) => {
        stray = found;
        const mean = HS.maths.mean(Array.from(found.spread));
        say(`At width ${found.width} a disturbed place changes a weight of this tensor by ${HS.show(mean)} of its spread on average.`);
        board.draw(true);
      }, say);
    }

    return {
      draw(changed) {
        if (changed.has("payload")) about = "";
        if (HS.chart.touched(changed, "layer", "width")) ask();
        board.draw(HS.chart.touched(changed, "theme"));
        chart.draw(HS.chart.touched(changed, "theme"));
        button.draw();
      },
      resize() {
        board.resize();
        chart.resize();
      },
      destroy() {
        HS.weights.streams(store).stop();
        el.replaceChildren();
      },
    };
  }

  HS.panel({ name: "averaging", title: "Noise", kind: "weight-field", available: ({ payload }) => Boolean(payload.extras.curve), mount });
})();
