// @wing hypernetworks
/**
 * A network edited by hand: its words as buttons, and its nodes on the drawing. Every edit is an edit of the line of text, so the text
 * follows, the server says whether it is a network, and each step can be taken back.
 *
 * HS.architecture: pure functions on lists of words ("res(", "cat(" and ")" are words), and the edits of one page:
 *   text(words) · span(words, i) → [first, last] of a word or of a whole branch · removed(words, i) · inserted(words, i, word, after)
 *   replaced(words, i, word) · skipped(words, i, j, join) puts what lies from word i to word j into a branch · unskipped(words, opening)
 *   stretched(words, opening, by) moves the end of a branch by one word or branch
 *   of(store) → {words, behind(node), apply(words), rewire(from, to, join), remove(node), undo(), redo(), canUndo, canRedo}
 */
(() => {
  "use strict";

  const opens = (word) => word.endsWith("(");
  const text = (words) => words.join(" ").replaceAll("( ", "(").replaceAll(" )", ")");

  /** First and last word of what begins at word i: a branch ends with its bracket. */
  function span(words, i) {
    if (!opens(words[i])) return [i, i];
    let depth = 0;
    for (let j = i; j < words.length; j++) {
      depth += opens(words[j]) ? 1 : words[j] === ")" ? -1 : 0;
      if (depth === 0) return [i, j];
    }
    return [i, words.length - 1];
  }

  /** Without the word (or the branch); a branch that is left empty goes too. */
  function removed(words, i) {
    const [first, last] = span(words, i);
    const rest = [...words.slice(0, first), ...words.slice(last + 1)];
    return first > 0 && opens(rest[first - 1]) && rest[first] === ")" ? removed(rest, first - 1) : rest;
  }

  function inserted(words, i, word, after) {
    const at = after ? span(words, i)[1] + 1 : i;
    return [...words.slice(0, at), ...word.split(/\s+/).filter(Boolean), ...words.slice(at)];
  }

  const replaced = (words, i, word) => [...words.slice(0, i), ...word.split(/\s+/).filter(Boolean), ...words.slice(i + 1)];

  /** Openings of the branches around word i, outermost first, then i itself. */
  function chain(words, i) {
    const around = [];
    for (let j = 0; j < i; j++) {
      if (opens(words[j])) around.push(j);
      else if (words[j] === ")") around.pop();
    }
    return [...around, i];
  }

  /** The words from i to j in a branch of their own; where they lie in different branches, the branches they lie in. null: j lies before i. */
  function skipped(words, i, j, join = "res(") {
    const [a, b] = [chain(words, i), chain(words, j)];
    let level = 0;
    while (level < a.length - 1 && level < b.length - 1 && a[level] === b[level]) level++;
    const [first, last] = [a[level], span(words, b[level])[1]];
    if (last < first) return null;
    return [...words.slice(0, first), join, ...words.slice(first, last + 1), ")", ...words.slice(last + 1)];
  }

  function unskipped(words, opening) {
    const [first, last] = span(words, opening);
    return words.filter((_, k) => k !== first && k !== last);
  }

  /** The end of a branch one word (or branch) further, or nearer; null where there is none. */
  function stretched(words, opening, by) {
    const [first, last] = span(words, opening);
    if (by > 0) {
      if (last + 1 >= words.length || words[last + 1] === ")") return null;
      const end = span(words, last + 1)[1];
      return [...words.slice(0, last), ...words.slice(last + 1, end + 1), ")", ...words.slice(end + 1)];
    }
    let start = last - 1; // of the last word or branch inside
    for (let depth = words[start] === ")" ? 1 : 0; depth > 0; ) depth += { ")": 1 }[words[--start]] || (opens(words[start]) ? -1 : 0);
    if (start === first + 1) return null;
    return [...words.slice(0, start), ")", ...words.slice(start, last), ...words.slice(last + 1)];
  }

  // ------------------------------------------------------------------------------------------------ edits of a page

  const pages = new WeakMap();

  function of(store) {
    if (pages.has(store)) return pages.get(store);
    const present = () => store.payload.controls.values.architecture;
    let [past, future, now, move] = [[], [], present(), null];
    store.subscribe((changed) => {
      if (!changed.has("payload") || present() === now) return;
      if (move === "undo") {
        past.pop();
        future.push(now);
      } else if (move === "redo") {
        future.pop();
        past.push(now);
      } else [past, future] = [[...past, now].slice(-50), []];
      [now, move] = [present(), null];
    });
    store.onAnswer("refusal", () => (move = null));
    const go = (line, how) => {
      move = how;
      return HS.askRun(store, { controls: { architecture: line } }) !== null;
    };
    const page = {
      get words() {
        return store.payload.extras.words;
      },
      get canUndo() {
        return past.length > 0;
      },
      get canRedo() {
        return future.length > 0;
      },
      /** Number of the word that a node comes from; null for the input. */
      behind: (node) => store.payload.extras.behind[node] ?? null,
      apply: (words) => words !== null && go(text(words), null),
      /** A new edge from the output of one node to what comes out of a later one: a branch around all that lies between. */
      rewire(from, to, join = "res(") {
        const { words } = page;
        let first = page.behind(from) === null ? 0 : span(words, page.behind(from))[1] + 1;
        while (first < words.length && (words[first] === "relu" || words[first] === "gelu")) first++; // the edge carries the activated value
        const last = page.behind(to);
        if (last === null || last < first || first >= words.length || words[first] === ")") return false;
        return page.apply(skipped(words, first, last, join));
      },
      /** Without the word of a node; of a sum or a concatenation without its edge: the branch stays. */
      remove(node) {
        const word = page.behind(node);
        if (word === null) return false;
        return page.apply(opens(page.words[word]) ? unskipped(page.words, word) : removed(page.words, word));
      },
      undo: () => past.length > 0 && go(past[past.length - 1], "undo"),
      redo: () => future.length > 0 && go(future[future.length - 1], "redo"),
    };
    pages.set(store, page);
    return page;
  }

  // ------------------------------------------------------------------------------------------------------ the panel

  const OFFERED = ["conv3x3-16", "conv5x5-16", "conv1x1-24", "dw3x3", "bn", "relu", "gelu", "pool", "avgpool", "res(conv3x3-24 bn)", "cat(conv1x1-8)"];

  function mount(el, store) {
    const edits = of(store);
    let chosen = null;
    let drawn = "";
    const button = (label, title, act) => HS.el("button", { type: "button", class: "hs-button", title, onclick: act }, label);
    const chips = HS.el("div", { class: "hs-words", role: "group", "aria-label": "Words of the network" });
    const word = HS.inputs.text({ label: "This word", hint: "Another word in its place, for example conv5x5-32. Enter reads it.", value: "", max: 60, onchange: (value) => chosen !== null && value.trim() && edits.apply(replaced(edits.words, chosen, value.trim())) });
    const offered = HS.inputs.choice({ label: "New word", options: OFFERED.map((one) => [one, one]), value: OFFERED[0], onchange: (value) => (fresh = value) });
    let fresh = OFFERED[0];
    const put = (after) => chosen !== null && edits.apply(inserted(edits.words, chosen, fresh, after));
    const before = button("Put before", "The new word before the chosen one", () => put(false));
    const after = button("Put after", "The new word behind the chosen one", () => put(true));
    const remove = button("Remove", "Without the chosen word; of a branch, all of it", () => chosen !== null && edits.apply(removed(edits.words, chosen)));
    const skip = button("Skip over it", "A second edge around the chosen word: res( … ) adds what came before it", () => chosen !== null && edits.apply(skipped(edits.words, chosen, chosen)));
    const open = button("Take the skip away", "What is in the branch stays", () => chosen !== null && edits.apply(unskipped(edits.words, chosen)));
    const longer = button("Longer", "The branch ends one word later", () => chosen !== null && edits.apply(stretched(edits.words, chosen, 1)));
    const shorter = button("Shorter", "The branch ends one word earlier", () => chosen !== null && edits.apply(stretched(edits.words, chosen, -1)));
    const undo = button("Undo", "Back to the network before", () => edits.undo());
    const redo = button("Redo", "Forward again", () => edits.redo());
    el.append(chips);
    const one = HS.el("div", {}, word.element, HS.weights.bar(el, remove, skip, open, longer, shorter), HS.weights.bar(el, offered.element, before, after));
    el.append(one);
    HS.weights.bar(el, undo, redo);
    const say = HS.chart.note(el);

    function choose(number) {
      chosen = number;
      const node = store.payload.extras.behind.indexOf(number);
      if (node >= 0) store.set({ node });
      draw();
    }

    function draw() {
      const { words } = edits;
      if (chosen !== null && chosen >= words.length) chosen = null;
      const key = words.join(" ");
      if (key !== drawn) {
        drawn = key;
        chips.replaceChildren(...words.map((label, i) => (label === ")" ? HS.el("span", { class: "hs-word-end" }, ")") : HS.el("button", { type: "button", class: "hs-button", "aria-pressed": "false", onclick: () => choose(i) }, label))));
      }
      [...chips.children].forEach((chip, i) => chip.tagName === "BUTTON" && chip.setAttribute("aria-pressed", String(i === chosen)));
      const branch = chosen !== null && opens(words[chosen]);
      one.hidden = chosen === null || !store.host.live;
      word.element.hidden = branch;
      if (chosen !== null) word.set(words[chosen]);
      skip.hidden = branch;
      open.hidden = !branch;
      longer.hidden = !branch || stretched(words, chosen, 1) === null;
      shorter.hidden = !branch || stretched(words, chosen, -1) === null;
      undo.disabled = !store.host.live || !edits.canUndo;
      redo.disabled = !store.host.live || !edits.canRedo;
      say(!store.host.live ? "Needs the live app: this is a stored picture." : chosen === null ? "Choose a word here or a node on the drawing. On the drawing, pull from one node to a later one to lay a new edge; Delete takes the chosen node away." : "The line of text on the left follows; what is no network is refused in words and changes nothing.");
    }

    const stop = store.subscribe((changed) => {
      if (!changed.has("node") && !changed.has("payload")) return;
      const { node } = store.look;
      if (node !== null && (chosen === null || store.payload.extras.behind[node] !== chosen)) chosen = edits.behind(node);
    });
    if (store.look.node !== null) chosen = edits.behind(store.look.node);
    return {
      draw: (changed) => HS.chart.onlyHover(changed) || draw(),
      resize() {},
      destroy() {
        stop();
        el.replaceChildren();
      },
    };
  }

  HS.architecture = { text, span, removed, inserted, replaced, skipped, unskipped, stretched, of };
  HS.panel({ name: "ghn-edit", title: "Edit", kind: "computation-graph", available: ({ payload }) => Boolean(payload.extras.words), mount });
})();
