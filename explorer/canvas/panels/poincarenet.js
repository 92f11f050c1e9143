// @wing hyperbolic
/** Poincaré ResNet: norms through the layers under several starts, the flat twin, distances to the decision boundaries, and what batches leak. */
(() => {
  "use strict";

  const COLOURS = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"];
  const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3], [4, 4]];

  // ---------------------------------------------------------------------------------------------------------- profiles

  function mountProfile(el, store) {
    const state = { kind: "network" };
    HS.chart.choice(el, "Layers", [["network", "this network"], ["linear", "20 linear layers"]], state.kind, (kind) => {
      state.kind = kind;
      draw();
    });
    const view = HS.chart.board(el, { label: "Median norm of the features after every layer", height: () => 230, base, press: (x) => state.kind === "network" && choose(x) });
    const key = HS.el("div", { class: "hs-panel-legend" });
    el.append(key);
    const say = HS.chart.note(el);
    let p = null;
    const lines = () => store.payload.extras[state.kind === "network" ? "profiles" : "linear"];

    function choose(x) {
      const [{ at }] = lines();
      const layer = at.reduce((best, place, i) => (Math.abs(place - p.valueX(x)) < Math.abs(at[best] - p.valueX(x)) ? i : best), 0);
      store.set({ layer });
    }

    function base(ctx, width, height, c) {
      const all = lines();
      const values = all.flatMap((line) => line.median).filter((v) => v > 0);
      const [low, high] = [Math.max(-14, Math.floor(Math.log10(Math.min(...values)))), Math.ceil(Math.log10(Math.max(...values, store.payload.extras.limit)))];
      const count = Math.max(...all.flatMap((line) => line.at)) + 1;
      p = HS.chart.plot(width, height, { left: 46, right: 8, top: 8, bottom: 36 }, [0, count - 1], [low, high]);
      const every = Math.max(1, Math.ceil((high - low) / 6));
      for (let power = low; power <= high; power += every) {
        HS.chart.line(ctx, p.x, p.py(power), p.x + p.width, p.py(power), c.line);
        HS.chart.text(ctx, power >= -2 && power <= 3 ? String(Number((10 ** power).toPrecision(1))) : `1e${power}`, p.x - 5, p.py(power), c.muted, "right", "middle");
      }
      HS.chart.axisX(ctx, p, "layer", c, { wanted: 5 });
      const clip = Math.log10(store.payload.extras.limit);
      HS.chart.line(ctx, p.x, p.py(clip), p.x + p.width, p.py(clip), c.bad, 1, [3, 3]);
      all.forEach((line, k) => {
        ctx.beginPath();
        line.median.forEach((value, i) => ctx[i ? "lineTo" : "moveTo"](p.px(line.at[i]), p.py(Math.max(low, Math.log10(Math.max(value, 1e-30))))));
        ctx.strokeStyle = COLOURS[k];
        ctx.lineWidth = k === 0 ? 2.5 : 1.8;
        ctx.setLineDash(DASHES[k]);
        ctx.stroke();
        ctx.setLineDash([]);
      });
      if (state.kind === "network") HS.chart.line(ctx, p.px(all[0].at[store.look.layer]), p.y, p.px(all[0].at[store.look.layer]), p.y + p.height, c.ink, 1, [2, 3]);
    }

    function draw(changed) {
      if (HS.chart.onlyHover(changed)) return;
      key.replaceChildren(...lines().map((line, k) => HS.legend.entry(HS.legend.sample(COLOURS[k], k ? "dashed" : "solid"), `${line.name} (ends at ${HS.show(line.median[line.median.length - 1])})`)));
      say(state.kind === "network"
        ? "Median ‖t‖ over all positions of this picture, after every layer (half the hyperbolic radius, logarithmic scale). The red line is the clip. Click to choose a layer."
        : "One random vector through 20 Poincaré linear layers. The identity start keeps its length exactly; the ordinary start shrinks it at every layer. A convolution also divides by about the width of its window, which batch normalisation restores.");
      view.draw(true);
    }

    return { draw, resize: () => view.resize(), destroy: () => el.replaceChildren() };
  }

  HS.panel({ name: "norm-profile", title: "Norms", kind: "field", available: (store) => Boolean(store.payload.extras.profiles), mount: mountProfile });

  // -------------------------------------------------------------------------------------------------------------- twin

  function bars(rows, most, colour, format) {
    return HS.el("ol", { class: "hs-near" }, ...rows.map(([label, value]) =>
      HS.el("li", { class: "hs-near-row" }, HS.el("span", { class: "hs-label" }, label), HS.el("span", { class: "hs-bars" }, HS.el("span", { class: "hs-bar", style: `width:${Math.max(0.5, (100 * Math.abs(value)) / most)}%;background:${colour(value)}` })), HS.el("span", { class: "hs-num" }, format(value)), HS.el("span"))));
  }

  function mountTwin(el, store) {
    return {
      draw(changed) {
        if (HS.chart.onlyHover(changed)) return;
        const { twin } = store.payload.extras;
        const told = (name, list, colour) => [HS.el("h3", {}, name), bars(list.slice(0, 4), 1, () => colour, HS.percent)];
        el.replaceChildren(
          ...told("Hyperbolic", store.payload.prediction, COLOURS[0]),
          ...told("The flat twin", twin.prediction, COLOURS[3]),
          HS.el("p", { class: "hs-hint hs-panel-note" }, twin.words),
        );
      },
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "flat-twin", title: "Flat twin", kind: "field", available: (store) => Boolean(store.payload.extras.twin), mount: mountTwin });

  // ----------------------------------------------------------------------------------------------------- decision planes

  function mountPlanes(el, store) {
    return {
      draw(changed) {
        if (HS.chart.onlyHover(changed)) return;
        const { planes, radius } = store.payload.extras.landing;
        const rows = [...planes].sort((a, b) => b[1] - a[1]);
        const most = Math.max(...rows.map(([, value]) => Math.abs(value))) || 1;
        el.replaceChildren(
          HS.el("p", { class: "hs-hint" }, "Signed distance of the picture to the decision boundary (gyroplane) of every class: positive on the side of the class."),
          bars(rows, most, (value) => (value >= 0 ? COLOURS[0] : "#7d8896"), HS.show),
          HS.el("p", { class: "hs-hint hs-panel-note" }, `The pooled features lie ${HS.show(radius)} from the centre of the ball. Boundaries are geodesic surfaces of many dimensions; drawing them in two would lie, so their distances stand here.`),
        );
      },
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "gyroplanes", title: "Boundaries", kind: "field", available: (store) => Boolean(store.payload.extras.landing), mount: mountPlanes });

  // ------------------------------------------------------------------------------------------------------------ batches

  function mountBatch(el, store) {
    return {
      draw(changed) {
        if (HS.chart.onlyHover(changed)) return;
        const { rows, pictures, change } = store.payload.extras.batch;
        const cell = (found) => HS.el("td", {}, found ? `${found[0]} ${HS.percent(found[1])}` : "–");
        const head = HS.el("tr", {}, HS.el("th"), HS.el("th", {}, "alone"), HS.el("th", {}, `with ${pictures - 1} others`));
        el.replaceChildren(
          HS.el("table", { class: "hs-table" }, head, ...rows.map(([name, single, together]) => HS.el("tr", {}, HS.el("th", {}, name), cell(single), cell(together)))),
          HS.el("p", { class: "hs-hint hs-panel-note" }, `The same picture, predicted alone and among the example pictures. With remembered (running) statistics its neighbours change no score by more than ${HS.show(change[0])}; with the statistics of the batch, as the released code normalises, by up to ${HS.show(change[1])}.`),
        );
      },
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "batch-leak", title: "Batch", kind: "field", available: (store) => Boolean(store.payload.extras.batch), mount: mountBatch });
})();
