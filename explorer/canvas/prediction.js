/** What the model says, and what becomes of it when the visitor cuts patches or their edges. */
(() => {
  "use strict";

  /** Rows of the chart: the best labels before, then those that the cut brought up. */
  function rowsOf(before, after) {
    const was = new Map(before);
    const is = after ? new Map(after) : null;
    const labels = before.slice(0, 5).map(([label]) => label);
    if (after) for (const [label] of after.slice(0, 3)) if (!labels.includes(label)) labels.push(label);
    return labels.slice(0, 6).map((label) => ({ label, before: was.get(label), after: is ? is.get(label) : undefined }));
  }

  const points = (difference) => `${difference > 0 ? "+" : difference < 0 ? "−" : "±"}${Math.abs(100 * difference).toFixed(1)}`;

  function bar(kind, value) {
    return HS.el("span", { class: `hs-bar hs-bar-${kind}`, style: `width:${Math.max(0.4, 100 * (value || 0))}%` });
  }

  function rowElement({ label, before, after }, cut) {
    const bars = HS.el("span", { class: "hs-bars" }, bar(cut ? "before" : "now", before), cut && bar("now", after));
    const shown = cut ? after : before;
    const number = HS.el("span", { class: "hs-num" }, shown === undefined ? "–" : HS.percent(shown));
    const known = cut && before !== undefined && after !== undefined;
    const change = cut && HS.el("span", { class: "hs-num hs-change" }, known ? points(after - before) : "");
    return HS.el("li", { class: "hs-row" }, HS.el("span", { class: "hs-label", title: label }, label), bars, number, change);
  }

  function createCutBar(store, predict) {
    const button = (text, fn, kind = "hs-button") => HS.el("button", { type: "button", class: kind, onclick: fn }, text);
    const list = HS.el("div", { class: "hs-cut-pins" });
    const run = button("Predict again", predict, "hs-button hs-primary");
    const clear = button("Clear cuts", () => store.clearCuts(), "hs-link");
    const actions = HS.el("div", { class: "hs-actions" }, run, clear);
    const hint = HS.el("p", { class: "hs-hint" });

    function pinRow(patch, index) {
      const toggle = ([kind, text, meaning]) => {
        const node = button(text, () => store.toggleCutPatch(patch, kind));
        node.title = meaning;
        node.setAttribute("aria-pressed", String(store.cutList.hasPatch(patch, kind)));
        return node;
      };
      const kinds = HS.instrumentOf(store.layer).cutKinds.filter(([kind]) => store.payload.cuts.includes(kind));
      return HS.el("div", { class: "hs-cut", hidden: kinds.length === 0 }, HS.el("b", { class: "hs-pin" }, HS.LETTERS[index]), ...kinds.map(toggle));
    }

    /** A part of the layer that an instrument offers to cut, beside the pins. */
    function partRow({ mark, kinds, pressed, toggle }) {
      const offered = kinds.filter(([kind]) => store.payload.cuts.includes(kind));
      const buttons = offered.map(([kind, text, meaning]) => {
        const node = button(text, () => toggle(kind));
        node.title = meaning;
        node.setAttribute("aria-pressed", String(pressed(kind)));
        return node;
      });
      return HS.el("div", { class: "hs-cut", hidden: buttons.length === 0 }, HS.el("b", { class: "hs-pin" }, mark), ...buttons);
    }

    return {
      element: HS.el("div", { class: "hs-cuts" }, list, actions, hint),
      draw(stale) {
        const { cutRows, cutHint } = HS.instrumentOf(store.layer);
        const parts = cutRows ? cutRows(store) : [];
        list.replaceChildren(...store.look.pins.slice(0, 4).map(pinRow), ...parts.map(partRow));
        const none = store.cuts.length === 0;
        actions.hidden = none;
        run.disabled = !store.host.live || store.asking("cut") || !stale;
        run.textContent = store.asking("cut") ? "Predicting…" : "Predict again";
        const offline = store.host.live ? "" : "Needs the live app: this is a stored picture.";
        const invitation = store.look.pins.length || parts.length ? "" : (cutHint && cutHint(store)) || "Pin a patch to cut it out and predict again.";
        hint.textContent = none ? invitation : offline;
        hint.hidden = !hint.textContent;
      },
    };
  }

  /** @returns {{draw(changed), destroy()}} */
  function createPrediction(element, store) {
    const rows = HS.el("ol", { class: "hs-rows" });
    const caption = HS.el("p", { class: "hs-hint" });
    const title = HS.el("h3", {}, "Prediction");
    const cutBar = createCutBar(store, predict);
    element.append(title, rows, caption, cutBar.element);
    let after = null; // the answer to the cuts as they are now

    function predict() {
      const cuts = store.cuts.map(({ layer, kind, pairs }) => ({ layer, kind, pairs }));
      store.ask("cut", { cuts });
    }

    const stop = store.onAnswer("cut", (answer) => {
      after = answer;
      draw();
    });

    /** Two answers that the instrument or the exhibit compares, unless the visitor cut something: {before, after or null, title, note}. */
    const told = () => {
      const { told: tell } = HS.instrumentOf(store.layer);
      if (tell) return tell(store);
      const { beside } = store.payload.extras;
      return beside && !after ? { ...beside, after: store.payload.prediction } : null;
    };

    function draw() {
      const own = told();
      if (own) return drawTold(own);
      const before = store.prediction;
      element.hidden = before.length === 0;
      rows.replaceChildren(...rowsOf(before, after && after.prediction).map((row) => rowElement(row, after)));
      rows.classList.toggle("hs-compared", Boolean(after));
      title.textContent = after ? "Prediction, before and after the cut" : "Prediction";
      caption.textContent = after ? after.note || "Thin bar: before. Thick bar: after. Change in percentage points." : "";
      caption.hidden = !after;
      cutBar.draw(after === null);
    }

    function drawTold({ before, after: now, title: words, note }) {
      element.hidden = false;
      rows.replaceChildren(...rowsOf(before, now).map((row) => rowElement(row, now)));
      rows.classList.toggle("hs-compared", Boolean(now));
      title.textContent = words;
      caption.textContent = note;
      caption.hidden = !note;
      cutBar.draw(after === null);
    }

    return {
      draw(changed) {
        if (changed.has("cuts") || changed.has("payload")) after = null;
        if (told() && !(changed.size === 1 && changed.has("hover"))) draw();
        else if (["payload", "cuts", "pins", "edges", "layer", "answer"].some((key) => changed.has(key))) draw();
      },
      destroy: stop,
    };
  }

  Object.assign(HS, { createPrediction, predictionRows: rowsOf });
})();
