// @wing structure
/** What trained networks confuse, and whether they are right on the same graphs: from the model cards. */
(() => {
  "use strict";

  const BANDS = [["id", "as trained", "Test graphs as large as those of the training"], ["near", "near", "Somewhat larger"], ["far", "far", "Much larger"]];

  function mount(el, store) {
    const { chart } = HS;
    let band = "far";
    const who = HS.inputs.choice({ label: "Network", options: [["", ""]], value: "", onchange: (name) => store.set({ who: name }) });
    el.append(who.element);
    chart.choice(el, "Size", BANDS, band, (value) => {
      band = value;
      board.draw(true);
      both.draw(true);
      words();
    });
    const board = chart.board(el, { label: "Right class against answer", height: (width) => Math.min(270, width * 0.72), base: confusion });
    const note = chart.note(el);
    const both = chart.board(el, { label: "Right on the same graphs", height: (width) => Math.min(330, width * 0.8), base: overlap });
    const second = HS.el("p", { class: "hs-hint" });
    el.append(second);

    const known = () => store.payload.extras.agreement;
    const chosen = () => (known().names.includes(store.look.who) ? store.look.who : known().names[0]);
    const labelOf = (name) => (store.payload.extras.contestants.find((one) => one.name === name) || { label: name }).label;

    /** Squares with numbers: rows against columns. */
    function squares(ctx, width, rows, left, top, cell, text) {
      rows.forEach((row, i) =>
        row.forEach((value, j) => {
          const { share, words: said } = text(value, row);
          ctx.fillStyle = HS.ramp("viridis", share);
          ctx.fillRect(left + j * cell, top + i * cell, cell - 1, cell - 1);
          if (cell > 15 && said) chart.text(ctx, said, left + (j + 0.5) * cell, top + (i + 0.5) * cell, share > 0.6 ? "#10141a" : "#ffffff", "center", "middle");
        }),
      );
    }

    function confusion(ctx, width, height, c) {
      const { classes } = store.payload.extras;
      const rows = known().confusion[chosen()][band];
      const left = 82;
      const cell = Math.min((height - 34) / rows.length, (width - left - 4) / rows.length);
      squares(ctx, width, rows, left, 4, cell, (value, row) => ({ share: value / Math.max(1, row.reduce((a, b) => a + b, 0)), words: value ? String(value) : "" }));
      classes.forEach((word, i) => {
        chart.text(ctx, word, left - 5, 4 + (i + 0.5) * cell, c.ink, "right", "middle");
        chart.text(ctx, word.slice(0, Math.max(3, Math.floor(cell / 6.5))), left + (i + 0.5) * cell, 8 + rows.length * cell, c.muted, "center", "top");
      });
    }

    function overlap(ctx, width, height, c) {
      const { names, overlap: found } = known();
      const left = 126;
      const cell = Math.min((height - 24) / names.length, (width - left - 4) / names.length);
      squares(ctx, width, found[band], left, 4, cell, (value) => ({ share: Math.max(0, 2 * value - 1), words: cell > 20 ? value.toFixed(2).slice(value < 1 ? 1 : 0) : "" }));
      names.forEach((name, i) => {
        chart.text(ctx, labelOf(name), left - 5, 4 + (i + 0.5) * cell, c.ink, "right", "middle");
        chart.text(ctx, String(i + 1), left + (i + 0.5) * cell, 8 + names.length * cell, c.muted, "center", "top");
      });
    }

    function words() {
      const rows = known().confusion[chosen()][band];
      const { classes } = store.payload.extras;
      const wrong = rows.flatMap((row, i) => row.map((count, j) => ({ count, i, j }))).filter(({ i, j, count }) => i !== j && count).sort((a, b) => b.count - a.count)[0];
      note(`${labelOf(chosen())}, rows: what it is, columns: what it says, numbers of graphs.${wrong ? ` Most often ${classes[wrong.i]} is taken for ${classes[wrong.j]} (${wrong.count}).` : " It confuses nothing."}`);
      second.textContent = "Of the graphs that one of two networks gets right, the share that both get right (Jaccard; columns in the order of the rows). Dark is one half or less.";
    }

    return {
      draw(changed) {
        if (changed.has("payload")) who.fill(known().names.map((name) => [name, labelOf(name)]));
        if (["payload", "who"].some((key) => changed.has(key))) {
          who.set(chosen());
          words();
        }
        const anew = ["payload", "who", "theme"].some((key) => changed.has(key));
        board.draw(anew);
        both.draw(anew);
      },
      resize() {
        board.resize();
        both.resize();
      },
      destroy() {},
    };
  }

  HS.panel({ name: "agree", kind: "abstract-graph", title: "Mistakes", available: (store) => Boolean(store.payload.extras.agreement), mount });
})();
