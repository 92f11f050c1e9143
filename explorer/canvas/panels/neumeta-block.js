// @wing hypernetworks
/**
 * The paper's own setting beside the small one: the last residual block of a ResNet-20 for CIFAR-10, at any inner width. The function of one
 * tensor with the places that this width reads, the path of all widths, and how well the whole network does: tested here where the pictures
 * are at hand, else as the model card says.
 */
(() => {
  "use strict";

  function mount(el, store) {
    let found = null;
    let [width, tensor] = [64, 0];
    let failed = "";
    const questions = HS.weights.questions(store);
    const slider = HS.inputs.range({ label: "Inner width of the block", min: 16, max: 96, step: 4, value: width, oninput: (value) => ((width = value), ask()) });
    const pick = HS.inputs.choice({ label: "Tensor", options: [[0, "first convolution"], [1, "its bias"], [2, "second convolution"], [3, "its bias"]], value: 0, onchange: (value) => ((tensor = value), ask()) });
    HS.weights.bar(el, slider.element, pick.element);
    const say = HS.chart.note(el);

    const board = HS.chart.board(el, {
      label: "One tensor of the block as a function of the place in it, with the places that this width reads; beside it the path of all widths",
      height: (w) => Math.min(0.5 * w - 8, 240) + 34,
      base(ctx, w, h, c) {
        if (!found) return HS.chart.text(ctx, store.host.live ? "…" : "Needs the live app: this is a stored picture.", w / 2, 40, c.muted, "center");
        const side = Math.min(0.5 * w - 8, 240);
        const frame = { x: 0, y: 16, width: side, height: side };
        const [rows, cols] = found.dense.shape;
        HS.chart.text(ctx, `${found.names[found.tensor]}, ${found.shape.slice(0, 2).join(" × ")}`, 0, 10, c.muted);
        HS.weights.heat(ctx, frame, found.dense, rows, cols, HS.weights.largest(found.dense), true);
        const [n0, n1] = found.dots;
        ctx.fillStyle = "rgb(0 0 0 / 0.75)";
        const size = Math.max(0.7, Math.min(2.2, (0.22 * side) / Math.max(n0, n1)));
        for (let a = 0; a < n0; a++) for (let b = 0; b < n1; b++) ctx.fillRect(frame.x + (n1 === 1 ? 0.5 : b / n1) * side - size / 2, frame.y + (a / n0) * side - size / 2, size, size);
        paintPath(ctx, { x: 0.5 * w + 8, y: 16, width: 0.5 * w - 8, height: side }, c);
      },
    });

    function paintPath(ctx, box, c) {
      const { points, explained } = found.path;
      const at = HS.points.place(points, box, 14);
      const colour = HS.weights.series(el)[0];
      HS.chart.text(ctx, `widths 16 … 96 (${HS.percent(explained[0] + explained[1])})`, box.x, 10, c.muted);
      found.widths.forEach((one, i) => {
        if (i) HS.chart.line(ctx, at.x[i - 1], at.y[i - 1], at.x[i], at.y[i], c.muted, 1.5);
      });
      found.widths.forEach((one, i) => {
        const inside = one >= found.band[0] && one <= found.band[1];
        HS.weights.dot(ctx, at.x[i], at.y[i], one === found.width ? 7 : 3, inside ? colour : c.paper, one === found.width ? c.ink : colour, one === found.width ? 2.5 : 1.2);
        if (one === found.width || i === 0 || i === found.widths.length - 1) HS.chart.text(ctx, String(one), at.x[i] + 8, at.y[i] - 6, c.ink);
      });
    }

    const chart = HS.weights.lineChart(el, {
      label: "Right answers of the network at every inner width of its last block",
      height: () => 150,
      read() {
        const { card, live } = found || {};
        const pairs = (of) => ({ x: Object.keys(of).map(Number), y: Object.values(of) });
        const series = card
          ? [
            { name: "generated (model card)", x: card.widths, y: card.accuracy, points: "circle", hollow: (x) => found.held_out.includes(x), colour: 0 },
            { name: "trained alone", ...pairs(card.alone), points: "square", line: false, colour: 2 },
            { name: "full network, weakest channels cut", ...pairs(card.pruned), dash: [4, 3], colour: 1 },
          ].filter((one) => one.x.length)
          : [];
        if (live) series.push({ name: `tested here, ${live.count} pictures`, x: [found.width], y: [live.accuracy], points: "circle", line: false, colour: 3 });
        return { series, x: [0, 98], y: [0, 1], bands: found ? [found.band] : [], at: found ? found.width : null, xLabel: "inner width of the block", yLabel: "right answers", formatY: HS.percent };
      },
      words: told,
    });

    function told() {
      if (!found) return failed;
      const lines = [`${found.parameters.toLocaleString("en")} numbers in the block, ${HS.percent(found.parameters / found.full)} of the full one; made in ${Math.round(found.generated)} ms.`];
      if (!found.trained) lines.push("Its weights are random, not trained: the function, its places and its path are real, no accuracy means anything.");
      if (found.live) lines.push(`${HS.percent(found.live.accuracy)} of ${found.live.count} test pictures right, tested in ${Math.round(found.live.tested)} ms.`);
      else lines.push(found.why);
      return lines.join(" ");
    }

    function ask() {
      slider.set(width);
      const asked = questions.ask("block", { width, tensor }, (answer) => {
        found = answer;
        failed = "";
        draw(true);
      }, (message) => {
        failed = message;
        draw(true);
      });
      if (!asked) failed = "Needs the live app: this is a stored picture.";
    }

    function draw(stale) {
      say("Only the last block of a ResNet-20 is generated, as in the paper; everything before it is shared by all widths. Left its function, black: what this width reads; right the path of all widths and the share of the variance that is drawn.");
      board.draw(stale);
      chart.draw(stale);
    }
    return {
      draw(changed) {
        if (!found && !questions.busy("block")) ask();
        draw(HS.chart.touched(changed, "theme"));
      },
      resize() {
        board.resize();
        chart.resize();
      },
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "block", title: "Residual block", kind: "weight-field", available: () => true, mount });
})();
