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

  const P = HS.poincare;
  const NEAR_RIM = 1 - 1e-9;

  /** A disk inside a board: {x, y, r}, drawn with its rim. */
  function diskIn(ctx, x, y, r, c) {
    ctx.beginPath();
    ctx.arc(x, y, r, 0, 2 * Math.PI);
    ctx.fillStyle = c.paper;
    ctx.fill();
    ctx.lineWidth = 1.2;
    ctx.strokeStyle = c.muted;
    ctx.stroke();
    return { x, y, r };
  }

  /** The geodesic between two points of a disk. */
  function geodesic(ctx, disk, u, v) {
    ctx.beginPath();
    ctx.moveTo(disk.x + u[0] * disk.r, disk.y + u[1] * disk.r);
    const found = P.arc(u[0], u[1], v[0], v[1]);
    if (found) ctx.arc(disk.x + found.x * disk.r, disk.y + found.y * disk.r, found.r * disk.r, found.from, found.to, found.back);
    else ctx.lineTo(disk.x + v[0] * disk.r, disk.y + v[1] * disk.r);
    ctx.stroke();
  }

  /** A slice of the ball through its centre and the picture: there the boundaries of all classes are geodesics. */
  function mountPlanes(el, store) {
    const view = HS.chart.board(el, { label: "Decision boundaries in a slice of the ball", height: (width) => Math.min(width, 280), base });
    const say = HS.chart.note(el);
    const list = HS.el("div");
    el.append(list);
    const best = () => [...store.payload.extras.landing.planes.keys()].sort((a, b) => store.payload.extras.landing.planes[b][1] - store.payload.extras.landing.planes[a][1]);

    function base(ctx, width, height, c) {
      const { planes, slice } = store.payload.extras.landing;
      const disk = diskIn(ctx, width / 2, height / 2, Math.min(width, height) / 2 - 12, c);
      const order = best();
      for (const k of [...order].reverse()) {
        if (slice.offsets[k] === null) continue;
        const place = order.indexOf(k);
        const [u, v] = P.planeEnds(slice.normals[k], slice.offsets[k]).map((end) => end.map((x) => x * NEAR_RIM));
        ctx.strokeStyle = place < COLOURS.length ? COLOURS[place] : c.muted;
        ctx.lineWidth = place < COLOURS.length ? 2 : 1;
        ctx.setLineDash(place < DASHES.length ? DASHES[place] : [1, 3]);
        geodesic(ctx, disk, u, v);
        ctx.setLineDash([]);
        if (place >= COLOURS.length) continue;
        // A short stroke tells the side of the class. Names stand near the rim, where the boundaries are apart.
        const middle = P.exp0([slice.normals[k][0] * slice.offsets[k], slice.normals[k][1] * slice.offsets[k]]);
        const [x, y] = [disk.x + middle[0] * disk.r, disk.y + middle[1] * disk.r];
        HS.chart.line(ctx, x, y, x + 12 * slice.normals[k][0], y + 12 * slice.normals[k][1], COLOURS[place], 2);
        const end = place % 2 ? v : u;
        const [lx, ly] = [disk.x + end[0] * (disk.r - 22) + 9 * slice.normals[k][0], disk.y + end[1] * (disk.r - 22) + 9 * slice.normals[k][1]];
        HS.chart.text(ctx, planes[k][0], lx, ly, c.ink, slice.normals[k][0] < 0 ? "right" : "left", "middle");
      }
      const at = P.exp0(slice.point);
      ctx.beginPath();
      ctx.arc(disk.x + at[0] * disk.r, disk.y + at[1] * disk.r, 5, 0, 2 * Math.PI);
      ctx.fillStyle = c.ink;
      ctx.fill();
      HS.chart.text(ctx, "picture", disk.x + at[0] * disk.r + 8, disk.y + at[1] * disk.r, c.ink, "left", "middle");
    }

    return {
      draw(changed) {
        if (HS.chart.onlyHover(changed)) return;
        const { planes, radius, slice } = store.payload.extras.landing;
        const rows = best().map((k) => planes[k]);
        const most = Math.max(...rows.map(([, value]) => Math.abs(value))) || 1;
        const missed = slice.offsets.filter((r) => r === null).length;
        say(`The slice of the ball through its centre, the picture and across the first boundary: exact there, but the distance to a boundary may run out of the slice. The stroke points to the side of the class.${missed ? ` ${HS.plural(missed, "boundary")} of ${planes.length} do not reach it.` : ""} The picture lies ${HS.show(radius)} from the centre.`);
        list.replaceChildren(
          HS.el("p", { class: "hs-hint" }, "Signed distance of the picture to the boundary (gyroplane) of every class, positive on its side:"),
          bars(rows, most, (value) => (value >= 0 ? COLOURS[0] : "#7d8896"), HS.show),
        );
        view.draw(HS.chart.touched(changed));
      },
      resize: () => view.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "gyroplanes", title: "Boundaries", kind: "field", available: (store) => Boolean(store.payload.extras.landing), mount: mountPlanes });

  // --------------------------------------------------------------------------------------------------- two means of a batch

  const STEP_MS = 600;
  const LENS = 0.42; // radius of the lens, of that of the disk

  /** Features of a layer around the gyromidpoint (closed form), and the iteration towards their Fréchet mean, step by step. */
  function mountMean(el, store) {
    let [stretch, step, timer] = [1, 0, 0];
    const input = HS.inputs.range({
      label: "Spread of the points", hint: "Multiplies all radii. Where space is nearly flat both means are one.", min: 0, max: 5, step: 0.1, value: 0, format: (v) => `${HS.show(2 ** v)} ×`,
      oninput(value) {
        [stretch, step] = [2 ** value, 0];
        draw();
      },
    });
    const move = (by) => {
      step = Math.max(0, Math.min(steps().length - 1, step + by));
      draw();
    };
    const button = (text, label, fn) => HS.el("button", { type: "button", class: "hs-button", "aria-label": label, onclick: fn }, text);
    const play = button("Iterate", "Run the iteration", () => {
      clearInterval(timer);
      step = 0;
      timer = setInterval(() => (step >= steps().length - 1 ? clearInterval(timer) : move(1)), HS.calm() ? 1 : STEP_MS);
      draw();
    });
    el.append(input.element, HS.el("div", { class: "hs-actions" }, play, button("←", "Step back", () => move(-1)), button("→", "Step on", () => move(1))));
    const view = HS.chart.board(el, { label: "Gyromidpoint and Fréchet mean of the features", height: (width) => Math.min(width, 270), base });
    const say = HS.chart.note(el);
    let kept = {};

    const points = () => store.payload.extras.mean.map(([x, y]) => Array.from(P.exp0([stretch * x, stretch * y])));
    function steps() {
      if (kept.stretch !== stretch || kept.of !== store.payload) kept = { stretch, of: store.payload, steps: P.meanSteps(points()) };
      return kept.steps;
    }
    const spread = (mean) => points().reduce((sum, point) => sum + P.distance(point, mean) ** 2, 0) / store.payload.extras.mean.length;

    function base(ctx, width, height, c) {
      const disk = diskIn(ctx, height / 2, height / 2, height / 2 - 6, c);
      const all = steps();
      const last = all[all.length - 1];
      ctx.fillStyle = COLOURS[4];
      ctx.globalAlpha = 0.55;
      for (const [x, y] of points()) {
        ctx.beginPath();
        ctx.arc(disk.x + x * disk.r, disk.y + y * disk.r, 2.6, 0, 2 * Math.PI);
        ctx.fill();
      }
      ctx.globalAlpha = 1;
      const mark = (frame, [x, y], colour, square) => {
        const [px, py] = [frame.x + x * frame.r, frame.y + y * frame.r];
        ctx.fillStyle = colour;
        if (square) return ctx.fillRect(px - 4, py - 4, 8, 8);
        ctx.beginPath();
        ctx.arc(px, py, 4, 0, 2 * Math.PI);
        return ctx.fill();
      };
      mark(disk, all[0], COLOURS[0], true);
      mark(disk, all[step], COLOURS[3], false);
      // The two lie close together: a lens shows the way between them.
      const room = Math.min(LENS * disk.r, (width - height) / 2 - 4);
      const far = Math.max(Math.hypot(last[0] - all[0][0], last[1] - all[0][1]), 1e-7);
      const lens = { x: Math.max(disk.x + disk.r + 8 + Math.max(room, 40), width - Math.max(room, 40) - 4), y: height - Math.max(room, 40) - 20, r: Math.max(room, 40) };
      lens.x = Math.min(lens.x, width - lens.r - 2);
      ctx.save();
      ctx.beginPath();
      ctx.arc(lens.x, lens.y, lens.r, 0, 2 * Math.PI);
      ctx.fillStyle = c.paper;
      ctx.fill();
      ctx.strokeStyle = c.muted;
      ctx.stroke();
      const zoom = (0.7 * lens.r) / far;
      const inLens = { x: lens.x - ((all[0][0] + last[0]) / 2) * zoom, y: lens.y - ((all[0][1] + last[1]) / 2) * zoom, r: zoom };
      ctx.clip();
      ctx.beginPath();
      all.slice(0, step + 1).forEach(([x, y], i) => ctx[i ? "lineTo" : "moveTo"](inLens.x + x * zoom, inLens.y + y * zoom));
      ctx.strokeStyle = COLOURS[3];
      ctx.lineWidth = 1.5;
      ctx.stroke();
      mark(inLens, all[0], COLOURS[0], true);
      mark(inLens, all[step], COLOURS[3], false);
      ctx.restore();
      HS.chart.text(ctx, `lens ${HS.show(zoom / disk.r)} ×`, lens.x, lens.y + lens.r + 6, c.muted, "center", "top");
    }

    function draw(changed) {
      if (HS.chart.onlyHover(changed)) return;
      const all = steps();
      step = Math.min(step, all.length - 1);
      const apart = P.distance(all[0], all[all.length - 1]);
      say(`${store.payload.extras.mean.length} positions of the first layer on their two main directions. Blue square: the gyromidpoint, one formula. Orange dot: step ${step} of ${all.length - 1} towards the Fréchet mean, which has the least mean squared distance: ${HS.show(spread(all[step]))} now, ${HS.show(spread(all[0]))} at the midpoint. In the end they lie ${HS.show(apart)} apart. Batch normalisation centres on the blue one: the same step back and forth, no iteration.`);
      view.draw(true);
    }

    return {
      draw,
      resize: () => view.resize(),
      destroy() {
        clearInterval(timer);
        el.replaceChildren();
      },
    };
  }

  HS.panel({ name: "batch-mean", title: "Midpoint", kind: "field", available: (store) => Boolean(store.payload.extras.mean), mount: mountMean });

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
