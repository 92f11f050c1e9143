// @wing tokens
/**
 * The answer of a language model from all patches and from those that remain, written word by word as the server computes them.
 * Stream "write" {patches} → {all, kept, alike, tokens}.
 */
(() => {
  "use strict";

  function mount(el, store) {
    const state = { key: "", result: null, busy: false };
    const run = HS.el("button", { type: "button", class: "hs-button hs-primary", onclick: ask }, "Write both answers");
    const stopper = HS.el("button", { type: "button", class: "hs-button", onclick: () => store.stop(), hidden: true }, "Stop");
    const [first, second] = [0, 1].map(() => HS.el("blockquote", { class: "hs-answer", "aria-live": "off" }));
    const [above, below] = [0, 1].map(() => HS.el("h4", { class: "hs-answer-head" }));
    el.append(HS.el("div", { class: "hs-choice hs-ask" }, run, stopper), above, first, below, second);
    const say = HS.chart.note(el);

    const n = () => store.layer.tokens.score.length;
    const key = () => `${store.payload.run} ${HS.tokens.selection(store).order.join()}`;
    const ours = () => (state.key === key() ? state.result : null);

    const stops = [
      store.onAnswer("stream", ({ question, result, done }) => {
        if (question !== "write") return;
        state.result = result;
        state.busy = !done;
        draw();
      }),
      store.onAnswer("refusal", ({ name }) => {
        if (name !== "stream") return;
        state.busy = false;
        draw();
      }),
    ];

    function ask() {
      if (store.ask("stream", { question: "write", patches: HS.tokens.selection(store).order }) === null) return;
      Object.assign(state, { key: key(), result: null, busy: true });
      draw();
    }

    /** Text whose end, from the first word in which the answers part, is marked. */
    function fill(box, text, other) {
      const [words, others] = [text, other].map((whole) => whole.split(/(?<=\s)/));
      let alike = 0;
      while (alike < words.length && alike < others.length && words[alike].trim() === others[alike].trim()) alike++;
      box.replaceChildren(words.slice(0, alike).join(""), HS.el("mark", {}, words.slice(alike).join("")));
    }

    function draw(changed) {
      if (HS.chart.onlyHover(changed)) return;
      const { kept } = HS.tokens.selection(store);
      const found = ours();
      above.textContent = `From all ${n()} patches`;
      below.textContent = `From the ${kept} that remain`;
      run.disabled = !store.host.live || state.busy || kept === 0;
      run.textContent = state.busy ? "Writing …" : "Write both answers";
      stopper.hidden = !state.busy;
      for (const box of [first, second]) box.hidden = !found;
      if (found) {
        fill(first, found.all, found.kept);
        fill(second, found.kept, found.all);
      }
      if (!store.host.live) return say("The answers are written by the live app; this is a stored page.");
      if (!found) return say(state.busy && state.key === key() ? "The language model reads …" : `“${store.payload.controls.values.question}” Both answers always take the most probable next token.`);
      say(found.alike === found.tokens ? `All ${HS.plural(found.tokens, "token")} so far are the same.` : `${found.alike} of ${HS.plural(found.tokens, "token")} are the same before the answers part.`);
    }

    return {
      draw,
      resize() {},
      destroy() {
        stops.forEach((stop) => stop());
        el.replaceChildren();
      },
    };
  }

  HS.panel({ name: "answers", kind: "tokens", title: "Answers", available: ({ payload }) => Boolean((payload.extras.tokens || {}).answers), mount });
})();
