/** What the paper claims, what we measured, and whether it shows on our small models; with the command and the day. */
(() => {
  "use strict";

  const VERDICT = { true: ["●", "good", "It shows here."], false: ["■", "bad", "It does not show here."], null: ["▲", "watch", "Open."] };

  function row({ claim, paper_figure: theirs, our_figure: ours, holds, detail }) {
    const [mark, level, word] = VERDICT[String(holds)];
    const verdict = HS.el("span", { class: `hs-level hs-${level}`, "aria-hidden": "true" }, mark);
    const figures = HS.el(
      "dl",
      { class: "hs-figures" },
      HS.el("dt", {}, "Paper"),
      HS.el("dd", {}, theirs || "no figure; a finding of ours"),
      HS.el("dt", {}, "Ours"),
      HS.el("dd", {}, ours),
    );
    const more = HS.el("details", { class: "hs-hint" }, HS.el("summary", {}, "How it was measured"), HS.el("p", {}, detail));
    return HS.el("li", { class: "hs-claim" }, HS.el("p", {}, HS.el("strong", {}, claim)), figures, HS.el("p", {}, verdict, ` ${word}`), more);
  }

  function mount(el, store) {
    const list = HS.el("ul", { class: "hs-measures" });
    const source = HS.el("p", { class: "hs-hint" });
    el.append(list, source);

    function draw() {
      const { rows, command, date } = store.payload.claims;
      list.replaceChildren(...rows.map(row));
      source.replaceChildren("Measured on ", date, " by ", HS.el("code", {}, command));
    }

    draw();
    return {
      draw(changed) {
        if (changed.has("payload")) draw();
      },
      resize() {},
      destroy() {},
    };
  }

  HS.panel({ name: "claims", kind: "any", title: "Claims", available: (store) => Boolean(store.payload.claims && store.payload.claims.rows.length), mount });
})();
