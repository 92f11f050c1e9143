// @wing structure
/** The incidence matrix: rows are edges, columns nodes; read along rows it is the graph, along columns the dual. */
(() => {
  "use strict";

  function mount(el, store) {
    const { chart } = HS;
    const board = chart.board(el, { label: "Incidence matrix", height: (width) => Math.min(300, Math.max(120, width * 0.8)), base, over, move, leave: () => set(-1, -1) });
    const note = chart.note(el);
    let frame = null;

    const session = () => HS.dual.sessionOf(store);

    function set(edge, node) {
      session().hover = { edge, node };
      store.touch("hover");
    }

    function geometry(width, height) {
      const { m } = HS.dual.of(store.layer);
      return { x: 26, y: 16, w: (width - 32) / store.layer.nodes, h: (height - 22) / m, m };
    }

    function base(ctx, width, height, c) {
      frame = geometry(width, height);
      const { edges, nodes } = store.layer;
      chart.text(ctx, `${nodes} nodes = groups →`, frame.x, 11, c.muted);
      chart.upright(ctx, `${frame.m} edges = dots`, 10, frame.y + (height - 22) / 2, c.muted);
      ctx.fillStyle = c.line;
      ctx.fillRect(frame.x, frame.y, frame.w * nodes, frame.h * frame.m);
      ctx.fillStyle = c.accent;
      for (let e = 0; e < frame.m; e++) for (const node of [edges[2 * e], edges[2 * e + 1]]) ctx.fillRect(frame.x + node * frame.w, frame.y + e * frame.h, Math.max(1.5, frame.w - 0.5), Math.max(1, frame.h - 0.3));
    }

    function over(ctx, width, height, c) {
      const { edge, node } = session().hover;
      if (!frame) return;
      ctx.fillStyle = c.listen;
      ctx.globalAlpha = 0.45;
      if (edge >= 0) ctx.fillRect(frame.x, frame.y + edge * frame.h - 1, frame.w * store.layer.nodes, frame.h + 2);
      if (node >= 0) ctx.fillRect(frame.x + node * frame.w - 1, frame.y, frame.w + 2, frame.h * frame.m);
      ctx.globalAlpha = 1;
    }

    function move(x, y, event) {
      if (!frame) return null;
      const [node, edge] = [Math.floor((x - frame.x) / frame.w), Math.floor((y - frame.y) / frame.h)];
      const inside = node >= 0 && node < store.layer.nodes && edge >= 0 && edge < frame.m;
      const byColumn = event && event.shiftKey;
      set(inside && !byColumn ? edge : -1, inside && byColumn ? node : -1);
      return inside ? edge * 1000 + node : null;
    }

    function words() {
      const { line } = store.payload.extras;
      const { m } = HS.dual.of(store.layer);
      note(`Every row has two marks: an edge has two ends. Read down the columns and it is the dual. Nothing is added: ${2 * m} marks, while the line graph would need ${line.toLocaleString("en")} edges. Shift reads columns.`);
    }

    words();
    return {
      draw(changed) {
        board.draw(["payload", "theme"].some((key) => changed.has(key)));
        if (changed.has("payload")) words();
      },
      resize: () => board.resize(),
      destroy() {},
    };
  }

  HS.panel({ name: "dual-incidence", kind: "dual", title: "Incidence", available: () => true, mount });
})();
