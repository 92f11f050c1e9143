// @wing structure
/** How alike nodes become from layer to layer, with edges dropped on the way and with all of them kept. */
(() => {
  "use strict";

  function mount(el, store) {
    const { chart } = HS;
    let layers = 16;
    let found = null; // {layers, ratio, dropping, keeping}
    const slider = HS.inputs.range({ label: "Layers", hint: "Of a network with random weights: depth alone is on trial, not learning", min: 2, max: 32, step: 1, value: layers, onchange: (value) => ((layers = value), send()) });
    el.append(slider.element);
    const board = chart.board(el, { label: "Dirichlet energy by layer", height: (width) => Math.min(220, width * 0.62), base });
    const legend = HS.el("div", { class: "hs-legend" });
    el.append(legend);
    const note = chart.note(el);
    const COLOUR = { dropping: "#d55e00", keeping: "#0072b2" };
    const key = (name, words) => HS.el("span", { class: "hs-key" }, HS.el("i", { class: `hs-line ${name === "keeping" ? "dashed" : ""}`, style: `--c:${COLOUR[name]}` }), words);
    legend.append(key("dropping", "edges dropped"), key("keeping", "all edges kept"));

    function send() {
      if (store.host.live) store.ask("ask", { question: "energy", layers });
      words();
    }

    const stop = store.onAnswer("ask", (answer) => {
      if (answer.question !== "energy") return;
      found = answer.result;
      board.draw(true);
      words();
    });

    function base(ctx, width, height, c) {
      const rows = found ? [...found.dropping, ...found.keeping].filter((value) => value > 0).map(Math.log10) : [-2];
      const p = chart.plot(width, height, { left: 48, top: 8, right: 8, bottom: 34 }, [0, found ? found.layers : layers], [Math.min(-2, ...rows) - 0.1, 0.1]);
      chart.axisY(ctx, p, "energy (log)", c, { wanted: 3, format: (v) => HS.show(10 ** v) });
      chart.axisX(ctx, p, "layers", c, { wanted: 5 });
      if (!found) return;
      for (const [name, dash] of [["keeping", [5, 3]], ["dropping", []]]) {
        ctx.beginPath();
        found[name].forEach((value, i) => {
          if (!(value > 0)) return;
          if (i && found[name][i - 1] > 0) ctx.lineTo(p.px(i), p.py(Math.log10(value)));
          else ctx.moveTo(p.px(i), p.py(Math.log10(value)));
        });
        ctx.setLineDash(dash);
        [ctx.strokeStyle, ctx.lineWidth] = [COLOUR[name], 2];
        ctx.stroke();
      }
      ctx.setLineDash([]);
    }

    function words() {
      if (!found) {
        note(store.host.live ? "Measuring…" : "Measuring needs the live app.");
        return;
      }
      const [dropped, kept] = [found.dropping[found.layers], found.keeping[found.layers]];
      const end = dropped === null || kept === null ? "The features have died out before the last layer." : `After ${found.layers} layers: ${HS.show(dropped)} with ${HS.percent(found.ratio)} of the edges kept per layer, ${HS.show(kept)} with all, ${(dropped / kept).toFixed(1)} times as much.`;
      note(`Dirichlet energy tr(XᵀL̃X)/‖X‖² on the whole graph: 0, neighbours say the same. ${end} Random weights, mean of three starts.`);
    }

    return {
      draw(changed) {
        if (changed.has("payload")) {
          found = null;
          send();
        }
        board.draw(["payload", "theme"].some((name) => changed.has(name)));
      },
      resize: () => board.resize(),
      destroy: stop,
    };
  }

  HS.panel({ name: "dual-energy", kind: "dual", title: "Depth", available: () => true, mount });
})();
