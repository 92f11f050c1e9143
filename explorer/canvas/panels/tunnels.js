// @wing hypergraphs
/**
 * The seven places where a detector adds what the hyperedges found to its own features, each through a learned gate. A line is as
 * wide as the tunnel is loud: ρ = ‖g · enhanced‖ ÷ ‖feature‖. Below, where in the picture each is loud, a row for each of the three
 * scales. Data: payload.extras.tunnels [{layer, place, gate, loudness, map [h, w]}], where `place` reads "stride 8, backbone → neck";
 * the part of it that hyperedges cause is asked for: {question: "sent", layer, edge} → {places: [{layer, loudness, map}]}.
 */
(() => {
  "use strict";

  const TOP = 58;
  const ROW = 74;
  const ACROSS = 3;
  const GAP = 6;
  const WORDS = 16;
  const ASIDE = 31; // how far beside its end a line runs, past the words of the rows above
  const FAINT = 6; // doublings below the feature at which a map is as dark as at nothing
  const FULL = 1; // loudness of the widest line: as loud as the feature itself
  const STAGES = ["backbone", "neck", "head"];
  const BETWEEN = [[/backbone → neck/, 0.5], [/inside the neck/, 1], [/neck → head/, 1.5]];

  /** Stride and stage of a place; null where the words are others. */
  function placed(tunnel) {
    const stride = /stride (\d+)/.exec(tunnel.place);
    const between = BETWEEN.find(([words]) => words.test(tunnel.place));
    return stride && between ? { ...tunnel, stride: Number(stride[1]), stage: between[1] } : null;
  }

  function mount(el, store) {
    const state = { over: null, answers: new Map() };
    const part = () => store.look.sent;
    const questions = HS.weights.questions(store);
    const edge = () => HS.edges.mainEdge(store);
    const about = () => (part() === "edge" ? { layer: store.layer.name, edge: edge() } : { layer: null, edge: null });
    const key = () => `${store.payload.run} ${about().layer} ${about().edge}`;
    const choice = HS.chart.choice(el, "What is sent", [["all", "all"], ["edges", "by hyperedges", "What changes when every hyperedge of both branches is switched off; the rest comes from plain convolutions and constants"], ["edge", "by one", "What changes when this hyperedge is switched off: the newest chosen one, else the most loaded"]], part(), (chosen) => store.set({ sent: chosen }));
    /** The tunnels with the loudness and the map of the chosen part; null while that is on its way. */
    function tunnels() {
      const all = store.payload.extras.tunnels.map(placed).filter(Boolean);
      if (part() === "all") return all;
      const found = state.answers.get(key());
      return found ? all.map((tunnel) => ({ ...tunnel, ...found.places.find(({ layer }) => layer === tunnel.layer) })) : all.map((tunnel) => ({ ...tunnel, loudness: 0, map: null }));
    }
    const known = () => part() === "all" || state.answers.has(key());
    function askIfNeeded() {
      if (known()) return;
      const asked = key();
      questions.ask("sent", about(), (result) => {
        state.answers.set(asked, result);
        redraw();
      });
    }
    const strides = () => [...new Set(tunnels().map(({ stride }) => stride))].sort((a, b) => a - b);
    const view = HS.chart.board(el, { label: "Seven tunnels from the hyperedges into the network, as wide as they are loud", height: () => TOP + ROW * strides().length, base, over, move, leave: () => move(-1, -1) });
    const maps = HS.chart.board(el, { label: "Where in the picture each tunnel is loud", height: (width) => strides().length * (side(width) + WORDS + GAP) + 28, base: mapsBase, over: mapsOver, move: mapsMove, leave: () => store.setHover(null), press: mapsPress });
    const say = HS.chart.note(el);

    const stageX = (stage, width) => 34 + (stage * (width - 68)) / 2;
    const strideY = (stride) => TOP + (strides().indexOf(stride) + 0.5) * ROW;
    const wide = (loudness) => 1 + 7 * Math.min(1, loudness / FULL);
    const spot = (tunnel, width) => [stageX(tunnel.stage, width), strideY(tunnel.stride)];

    function base(ctx, width, height, c) {
      for (const stride of strides()) {
        const y = strideY(stride);
        HS.chart.line(ctx, stageX(0, width), y, stageX(2, width), y, c.line, 7);
      }
      HS.chart.text(ctx, "backbone", stageX(0, width), TOP - 6, c.muted, "center", "middle");
      for (const tunnel of [...tunnels()].sort((a, b) => b.loudness - a.loudness)) draw(ctx, tunnel, width, c, 0.75);
      for (const stride of strides()) STAGES.forEach((stage, i) => box(ctx, stageX(i, width), strideY(stride), stage === "backbone" ? `stride ${stride}` : stage, c));
      for (const tunnel of tunnels()) name(ctx, tunnel, width, c);
      source(ctx, width, c);
    }

    // ------------------------------------------------------------------------------------------ where each is loud

    const side = (width) => Math.floor((width - GAP * (ACROSS - 1)) / ACROSS);
    /** A row for each scale, a column for each place between two stages, as in the drawing above. */
    const mapFrames = (width) =>
      tunnels().map((tunnel) => {
        const [row, column] = [strides().indexOf(tunnel.stride), BETWEEN.findIndex(([, stage]) => stage === tunnel.stage)];
        const box = { x: column * (side(width) + GAP), y: row * (side(width) + WORDS + GAP) + WORDS, width: side(width), height: side(width) };
        return { tunnel, frame: HS.minimap.fit(box, tunnel.map && tunnel.map.shape ? tunnel.map.shape : [1, 1]) };
      });

    function mapsBase(ctx, width, height, c) {
      const image = HS.chart.picture(store, () => maps.draw(true));
      for (const { tunnel, frame } of mapFrames(width)) {
        HS.chart.text(ctx, `${tunnel.layer} · stride ${tunnel.stride}`, frame.x, frame.y - 4, c.ink, "left", "bottom");
        if (!tunnel.map || !tunnel.map.shape) {
          HS.drawPicture(ctx, frame, image, false);
          HS.greyOut(ctx, frame);
          HS.chart.text(ctx, store.host.live ? "…" : "needs the server", frame.x + frame.width / 2, frame.y + frame.height / 2, "#fff", "center", "middle");
          continue;
        }
        const values = Float32Array.from(tunnel.map, (v) => Math.max(0, Math.log2(Math.max(v, 1e-9)) + FAINT));
        HS.minimap.drawBase(ctx, frame, image, { values, grid: tunnel.map.shape, scale: { kind: "sequential", max: FAINT } });
      }
      HS.minimap.legend(ctx, 0, height - 24, 200, "viridis", [`≤ 1/${2 ** FAINT}`, "≥ 1 × the feature"], c);
    }

    function mapsOver(ctx, width) {
      const focus = store.focus(store.look.layer);
      if (focus !== null) for (const { frame } of mapFrames(width)) HS.minimap.mark(ctx, frame, store.layer.grid, focus);
    }

    /** The patch of the layer under the pointer, in whichever map. */
    function patchUnder(x, y) {
      for (const { frame } of mapFrames(maps.box.clientWidth)) {
        const cell = HS.cellAt(frame, store.layer.grid, x, y);
        if (cell !== null) return cell;
      }
      return null;
    }
    function mapsMove(x, y) {
      const patch = patchUnder(x, y);
      store.setHover(patch === null ? null : { layer: store.look.layer, patch, side: "target" });
      return patch;
    }
    function mapsPress(x, y) {
      const patch = patchUnder(x, y);
      if (patch !== null) store.togglePin(patch);
    }

    function box(ctx, x, y, words, c) {
      ctx.fillStyle = c.paper;
      ctx.strokeStyle = c.muted;
      ctx.lineWidth = 1;
      ctx.fillRect(x - 27, y - 10, 54, 20);
      ctx.strokeRect(x - 27, y - 10, 54, 20);
      HS.chart.text(ctx, words, x, y, c.ink, "center", "middle");
    }

    function source(ctx, width, c) {
      ctx.fillStyle = c.accent;
      ctx.fillRect(width / 2 - 42, 4, 84, 22);
      HS.chart.text(ctx, "HyperACE", width / 2, 15, c.paper, "center", "middle");
    }

    function draw(ctx, tunnel, width, c, alpha) {
      const [x, y] = spot(tunnel, width);
      const end = tunnel.stage === 1 ? y - 12 : y - 2;
      const first = strides().indexOf(tunnel.stride) === 0;
      const by = first ? x : x + (tunnel.stage < 1 ? ASIDE : tunnel.stage > 1 ? -ASIDE : ASIDE + 3); // beside words and boxes, not across
      ctx.globalAlpha = alpha;
      ctx.beginPath();
      ctx.moveTo(width / 2, 26);
      if (first) ctx.bezierCurveTo(width / 2, 52, x, Math.min(60, end - 18), x, end);
      else {
        ctx.bezierCurveTo(width / 2, 56, by, 50, by, strideY(strides()[0]));
        ctx.lineTo(by, end - 36);
        ctx.bezierCurveTo(by, end - 14, x, end - 26, x, end);
      }
      ctx.strokeStyle = tunnel.gate < 0 ? c.listen : c.accent;
      ctx.lineWidth = wide(tunnel.loudness);
      ctx.setLineDash(tunnel.gate < 0 ? [6, 3] : []);
      ctx.stroke();
      ctx.setLineDash([]);
      ctx.globalAlpha = 1;
      ctx.beginPath();
      ctx.arc(x, end, 3.5, 0, 2 * Math.PI);
      ctx.fillStyle = c.ink;
      ctx.fill();
    }

    /** Loudness and gate under the end of a tunnel, readable over the lines of others. */
    function name(ctx, tunnel, width, c) {
      const [x, y] = spot(tunnel, width);
      const below = tunnel.stage === 1 ? y + 19 : y + 14;
      const words = [[known() ? HS.percent(tunnel.loudness) : "…", c.ink, 0], [`g ${HS.show(tunnel.gate)}`, c.muted, 13]];
      for (const [text, colour, down] of words) {
        ctx.textAlign = "center";
        ctx.textBaseline = "middle";
        ctx.lineWidth = 4;
        ctx.lineJoin = "round";
        ctx.strokeStyle = c.paper;
        ctx.strokeText(text, x, below + down);
        HS.chart.text(ctx, text, x, below + down, colour, "center", "middle");
      }
    }

    function over(ctx, width, height, c) {
      if (!state.over) return;
      draw(ctx, state.over, width, c, 1);
      name(ctx, state.over, width, c);
      const [x, y] = spot(state.over, width);
      ctx.strokeStyle = c.ink;
      ctx.lineWidth = 1.5;
      ctx.strokeRect(x - 30, y - 15, 60, 51);
    }

    function move(x, y) {
      const width = view.box.clientWidth;
      state.over = tunnels().find((tunnel) => {
        const [cx, cy] = spot(tunnel, width);
        return Math.abs(x - cx) < 30 && y > cy - 15 && y < cy + 36;
      }) || null;
      view.draw(false);
      describe();
      return state.over && state.over.layer;
    }

    function describe() {
      const all = tunnels();
      if (state.over) {
        const { layer, place, gate, loudness } = state.over;
        const sign = gate < 0 ? "It subtracts (dashed). " : "";
        return say(`Layer ${layer}, ${place}: gate ${HS.show(gate)}, ${HS.percent(loudness)} as loud as the feature that it joins. ${sign}${known() && loudness < 0.02 ? "Hardly heard here." : ""}`);
      }
      const loudest = all.reduce((a, b) => (b.loudness > a.loudness ? b : a));
      if (!known()) return say(store.host.live ? "The detector runs once more without them …" : "What hyperedges cause needs the live app.");
      const shut = all.every(({ gate }) => gate === 0);
      const whose = { all: "All that is sent", edges: "What the hyperedges cause (switched off, this is missing)", edge: `What hyperedge ${HS.edges.name(edge())} causes (switched off, this is missing)` }[part()];
      const silent = shut ? "All gates are shut: this is the network without hyperedges." : `${whose}: loudest at layer ${loudest.layer} (${loudest.place}), ${HS.percent(loudest.loudness)}.`;
      const rest = part() === "all" ? " The tunnels also carry what plain convolutions and constants found: “by hyperedges” tells the part of the hyperedges." : "";
      say(`${silent}${rest} Width: loudness ρ = ‖g · enhanced‖ ÷ ‖feature‖, the widest line is ${HS.percent(FULL)} and more; g: the learned gate, orange and dashed where it subtracts. Maps: where each is loud, at its own scale, one colour scale for all.`);
    }

    function redraw() {
      askIfNeeded();
      state.over = null;
      choice.set(part());
      view.resize();
      view.draw(true);
      maps.resize();
      maps.draw(true);
      describe();
    }

    return {
      draw(changed) {
        if (HS.chart.onlyHover(changed)) return maps.draw(false);
        redraw();
      },
      resize() {
        view.resize();
        maps.resize();
      },
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "tunnels", kind: "hypergraph", title: "Tunnels", available: ({ payload }) => (payload.extras.tunnels || []).some(placed), mount });
})();
