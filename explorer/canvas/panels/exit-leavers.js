// @wing tokens
/** Who leaves when: patches of every class, and of every distance to a boundary between classes, split by the stage at which they left. */
(() => {
  "use strict";

  const ROW = 24;
  const LEFT = 92;

  function mount(el, store) {
    const view = HS.chart.board(el, { label: "Stage of exit by class and by distance to a boundary", height: () => (rows().length + far().length + 2) * ROW + 40, base });
    const legend = HS.el("div", { class: "hs-curve-key" });
    el.append(legend);
    const say = HS.chart.note(el);

    const stages = () => store.layers.length;
    const left = () => HS.exits.exitStage(store);

    function split(members) {
      const at = left();
      const counts = new Uint32Array(stages() + 1);
      members.forEach((p) => counts[at[p] < 0 ? stages() : at[p]]++);
      return counts;
    }

    /** Patches by their class at the end. */
    function rows() {
      const { label } = HS.exits.of(store, stages() - 1);
      const names = [...new Set(label)].sort((a, b) => a - b);
      return names.map((c) => [HS.exits.labels(store)[c], split(Array.from(label.keys()).filter((p) => label[p] === c))]);
    }

    /** Patches by their distance to the nearest boundary. */
    function far() {
      const { boundary } = store.payload.extras.exits;
      if (!boundary) return [];
      const bins = [["at a boundary", 0, 0.5], ["1 patch away", 0.5, 1.5], ["2 to 3 away", 1.5, 3.5], ["further", 3.5, Infinity]];
      return bins.map(([name, low, high]) => [name, split(Array.from(boundary.distance.keys()).filter((p) => boundary.distance[p] >= low && boundary.distance[p] < high))]).filter(([, counts]) => counts.some((n) => n));
    }

    const colour = (s, c) => (s < stages() - 1 ? HS.exits.STAGES[s][0] : c.line);

    function base(ctx, width, height, c) {
      let y = 0;
      const group = (title, list) => {
        HS.chart.text(ctx, title, 0, y + 6, c.ink, "left", "top");
        y += ROW;
        for (const [name, counts] of list) {
          const total = counts.reduce((a, b) => a + b, 0);
          let x = LEFT;
          HS.chart.text(ctx, name, LEFT - 6, y + 9, c.muted, "right", "middle");
          counts.forEach((count, s) => {
            const w = (count / total) * (width - LEFT - 46);
            ctx.fillStyle = colour(s, c);
            ctx.fillRect(x, y + 1, w, 16);
            if (w > 24) HS.chart.text(ctx, HS.percent(count / total), x + w / 2, y + 9, s < stages() - 1 ? "#14181f" : c.ink, "center", "middle");
            x += w;
          });
          HS.chart.text(ctx, String(total), width, y + 9, c.muted, "right", "middle");
          y += ROW;
        }
        y += 8;
      };
      group("By class at the end", rows());
      if (far().length) group("By distance to a boundary", far());
    }

    return {
      draw(changed) {
        if (HS.chart.onlyHover(changed)) return;
        if (HS.chart.touched(changed)) view.resize();
        view.draw(HS.chart.touched(changed));
        const names = [...Array.from({ length: stages() - 1 }, (_, s) => [HS.exits.STAGES[s][0], `left at stage ${s + 1}`]), ["#b9c0c8", "to the end"]];
        legend.replaceChildren(...names.map(([hue, text]) => HS.el("span", {}, HS.el("i", { class: "hs-swatch", style: `background:${hue}`, "aria-hidden": true }), text)));
        const { boundary } = store.payload.extras.exits;
        say(`Numbers at the right: patches. ${boundary ? `Boundaries are those of ${boundary.true ? "the true classes" : "the final prediction (the true classes are not known)"}.` : "The picture has no boundary between classes."}`);
      },
      resize: () => view.resize(),
      destroy: () => el.replaceChildren(),
    };
  }

  HS.panel({ name: "leavers", kind: "exits", title: "Who leaves when", available: ({ payload }) => Boolean(payload.extras.exits), mount });
})();
