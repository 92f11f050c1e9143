/** Puts the parts together: layout, theme, loading and refusals, and who is drawn when. */
(() => {
  "use strict";

  const PROGRESS_AFTER = 300; // milliseconds
  const ASK_EVERY = 400; // milliseconds
  const FOLLOW_EVERY = 60; // milliseconds between two drawings of what follows a moving pointer
  const MAX_ABOVE = 240; // pixels; further down the page the stage does not try to fill the window

  // ---------------------------------------------------------------------------------------------- theme and size

  /** Gradio marks a dark page on the body; elsewhere the system decides. */
  function isDark(root) {
    if (root.closest(".gradio-container, gradio-app")) return document.body.classList.contains("dark");
    return document.body.classList.contains("dark") || window.matchMedia("(prefers-color-scheme: dark)").matches;
  }

  function watchTheme(root, then) {
    const apply = () => {
      const theme = isDark(root) ? "dark" : "light";
      if (root.dataset.theme === theme) return;
      root.dataset.theme = theme;
      then();
    };
    const media = window.matchMedia("(prefers-color-scheme: dark)");
    const observer = new MutationObserver(apply);
    observer.observe(document.body, { attributes: true, attributeFilter: ["class"] });
    media.addEventListener("change", apply);
    apply();
    return () => {
      observer.disconnect();
      media.removeEventListener("change", apply);
    };
  }

  /** What stands above belongs to the page; the main act fills the rest of the window. */
  function fillWindow(root) {
    const above = root.getBoundingClientRect().top + window.scrollY;
    if (above < MAX_ABOVE) root.style.setProperty("--hs-offset", `${Math.round(above) + 2}px`);
  }

  const sizeOf = (width) => (width >= 1080 ? "wide" : width > 700 ? "medium" : "narrow");

  // ------------------------------------------------------------------------------------------------------ messages

  /** Remarks, refusals and the progress of a run. The visitor's work stays where it is. */
  function createMessages() {
    const refusal = HS.el("div", { class: "hs-message hs-refusal", role: "alert", hidden: true });
    const remark = HS.el("div", { class: "hs-message hs-remark", role: "status", hidden: true });
    const notes = HS.el("div", { class: "hs-notes" });
    let timer = 0;
    function put(box, text) {
      const close = HS.el("button", { type: "button", class: "hs-icon", "aria-label": "Dismiss", onclick: () => (box.hidden = true) }, "×");
      box.replaceChildren(HS.el("span", {}, text), close);
      box.hidden = false;
    }
    return {
      elements: [refusal, remark, notes],
      refuse: (text) => put(refusal, text),
      tell(text) {
        put(remark, text);
        clearTimeout(timer);
        if (text.length < 120) timer = setTimeout(() => (remark.hidden = true), 6000);
      },
      clear: () => (refusal.hidden = true),
      notes: (list) => notes.replaceChildren(...list.map((text) => HS.el("p", {}, text))),
    };
  }

  /** A moving line while the model runs; where the server says how many layers are done, the line grows with them. */
  function createProgress(root) {
    const words = HS.el("span", { class: "hs-progress-words" });
    const bar = HS.el("div", { class: "hs-progress", role: "progressbar", "aria-label": "The model is running", hidden: true }, words);
    let timer = 0;
    let asking = 0;

    function show(found) {
      const known = Boolean(found && found.of);
      bar.classList.toggle("hs-counted", known);
      words.textContent = known ? `layer ${found.done} of ${found.of}` : "";
      if (!known) return bar.removeAttribute("aria-valuenow");
      bar.hidden = false;
      bar.style.setProperty("--done", found.done / found.of);
      for (const [name, value] of [["min", 0], ["now", found.done], ["max", found.of]]) bar.setAttribute(`aria-value${name}`, value);
    }

    /** Ask again and again until the run is over; `ask` gives a Promise of {done, of} or null. */
    function follow(ask) {
      const mine = ++asking;
      const again = async () => {
        const found = mine === asking ? await Promise.resolve(ask()).catch(() => null) : null;
        if (mine !== asking) return;
        show(typeof found === "string" ? JSON.parse(found) : found);
        timer = setTimeout(again, ASK_EVERY);
      };
      timer = setTimeout(again, ASK_EVERY);
    }

    function end() {
      asking++;
      clearTimeout(timer);
      show(null);
      HS.hide(bar, true);
    }

    return {
      element: bar,
      follow,
      end,
      set(busy, ask) {
        if (root.getAttribute("aria-busy") === String(busy)) return;
        root.setAttribute("aria-busy", String(busy));
        end();
        if (!busy) return;
        timer = setTimeout(() => {
          bar.hidden = false;
          follow(ask);
        }, PROGRESS_AFTER);
      },
    };
  }

  /** The name under which the server counts the layers while a page opens; site.py makes the same one of the address. */
  function openingName() {
    const asked = new URLSearchParams(window.location.search);
    return `open ${(asked.get("exhibit") || "").slice(0, 40)} ${(asked.get("s") || "").slice(-60)}`;
  }

  // -------------------------------------------------------------------------------------------------------- layout

  function header(exhibit) {
    const { paper } = exhibit;
    const link = paper.url ? HS.el("a", { href: paper.url, target: "_blank", rel: "noopener noreferrer" }, paper.title) : paper.title;
    const details = HS.el(
      "details",
      { class: "hs-menu hs-paper" },
      HS.el("summary", {}, [paper.authors && paper.authors.split(",")[0], paper.venue].filter(Boolean).join(", ") || "About"),
      HS.el(
        "div",
        { class: "hs-menu-list" },
        HS.el("p", {}, link, HS.el("br"), `${paper.authors || ""} · ${paper.venue || ""}`),
        HS.el("p", {}, HS.el("b", {}, "The paper’s: "), paper.theirs || ""),
        HS.el("p", {}, HS.el("b", {}, "Ours: "), paper.ours || ""),
      ),
    );
    details.addEventListener("keydown", (event) => event.key === "Escape" && (details.open = false));
    const words = HS.el("div", { class: "hs-title" }, HS.el("h2", {}, exhibit.title), HS.el("p", {}, exhibit.idea), details);
    return HS.el("header", { class: "hs-head" }, words);
  }

  function skeleton() {
    const box = (name) => HS.el("div", { class: `hs-bone ${name}` });
    return HS.el("div", { class: "hs-skeleton", "aria-label": "Loading" }, box("hs-bone-left"), box("hs-bone-stage"), box("hs-bone-right"));
  }

  /** The regions of one exhibit, by the names that a story step highlights. */
  function regions() {
    const part = (tag, name, label) => HS.el(tag, { class: `hs-${name}`, "data-region": name, "aria-label": label });
    return {
      controls: part("aside", "controls", "Controls"),
      canvas: part("section", "canvas", "Picture"),
      strip: part("section", "strip", "Parts of this layer"),
      film: part("section", "film-bar", "Layers"),
      story: part("section", "story", "Story"),
      prediction: part("section", "prediction", "Prediction"),
      diagnostics: part("section", "diagnostics", "Diagnostics"),
      panel: part("section", "panels", "Linked views"),
    };
  }

  /** Small pictures of the parts of a layer beside the picture, where its instrument offers them. */
  function createStrips(element, store) {
    const made = new Map();
    return {
      draw(changed) {
        const { kind } = store.layer;
        const make = HS.instrumentOf(store.layer).strip;
        HS.hide(element, !make);
        for (const [name, strip] of made) HS.hide(strip.element, name !== kind);
        if (!make) return;
        const fresh = !made.has(kind);
        if (fresh) made.set(kind, make(store));
        if (fresh) element.append(made.get(kind).element);
        made.get(kind).draw(fresh ? new Set(["payload", ...changed]) : changed);
      },
      destroy: () => made.forEach((strip) => strip.destroy()),
    };
  }

  /** The large drawing: the picture, or what the instrument of the present layer puts in its place. */
  function createStages(element, store, hooks) {
    let make = null;
    let stage = null;
    function present() {
      const wanted = HS.instrumentOf(store.layer).createStage || HS.createPicture;
      if (wanted === make) return stage;
      if (stage) stage.destroy();
      element.replaceChildren();
      element.classList.remove("hs-two");
      make = wanted;
      stage = make(element, store, hooks);
      stage.draw(new Set(["payload", "layer", "pins", "rule", "size"]));
      return stage;
    }
    present();
    return {
      draw: (changed) => present().draw(changed),
      paint: (ctx, width, height) => present().paint(ctx, width, height),
      destroy: () => stage.destroy(),
    };
  }

  /**
   * Draws the views when something changed. While only the pointer moves, the view under it answers every time; the others, and the
   * words, follow at once, then at most every FOLLOW_EVERY milliseconds and once more when the pointer rests: nobody reads sixty
   * sentences a second, and one frame has room for one large drawing.
   * @param views all of them, in the order of drawing; `picture` and `tabs` are two of them
   * @param panel the element of the tabs: who points inside of it does not point at the picture
   */
  function createDrawing(frame, views, { picture, tabs, panel }) {
    const hover = new Set(["hover"]);
    const behind = new Set(); // views that do not show yet where the pointer is
    let near = picture;
    let moving = false; // keys step, and each step is answered by all
    let last = -Infinity;
    let timer = 0;
    frame.addEventListener("pointermove", ({ target }) => ([near, moving] = [panel.contains(target) ? tabs : picture, true]), { capture: true, passive: true });
    frame.addEventListener("keydown", () => (moving = false), { capture: true });

    function follow() {
      timer = 0;
      last = performance.now();
      const waiting = [...behind];
      behind.clear();
      for (const view of waiting) view.draw(hover);
    }

    function stop() {
      clearTimeout(timer);
      timer = 0;
      behind.clear();
    }

    return {
      draw(changed) {
        if (!moving || changed.size > 1 || !changed.has("hover")) {
          const keys = behind.size ? new Set([...changed, "hover"]) : changed;
          stop();
          for (const view of views) view.draw(keys);
          return;
        }
        near.draw(changed);
        for (const view of views) behind.add(view);
        behind.delete(near);
        const wait = last + FOLLOW_EVERY - performance.now();
        if (wait <= 0 && !timer) follow();
        else if (!timer) timer = setTimeout(follow, wait);
      },
      stop,
    };
  }

  function sheetButton(root, controls, closed) {
    const set = (open) => {
      root.classList.toggle("hs-sheet-open", open);
      button.setAttribute("aria-expanded", String(open));
      button.textContent = open ? "Close" : closed;
    };
    const button = HS.el("button", { type: "button", class: "hs-button hs-sheet-button", onclick: () => set(!root.classList.contains("hs-sheet-open")) });
    controls.addEventListener("keydown", (event) => event.key === "Escape" && set(false));
    set(false);
    return button;
  }

  // ------------------------------------------------------------------------------------------------------- exhibit

  /** Everything of one exhibit; destroyed as a whole when another exhibit comes. */
  function createExhibit(root, store, messages, progress) {
    const parts = regions();
    const stage = HS.el("div", { class: "hs-stage" });
    const below = HS.el("div", { class: "hs-below" });
    parts.canvas.append(stage, below);
    const head = header(store.payload.exhibit);
    const scene = HS.el("div", { class: "hs-scene" }, parts.canvas, parts.strip);
    const middle = HS.el("div", { class: "hs-middle" }, scene, parts.film, parts.story);
    const right = HS.el("aside", { class: "hs-right" }, parts.prediction, parts.diagnostics, parts.panel);
    const grid = HS.el("div", { class: "hs-grid" }, parts.controls, middle, HS.el("div", { class: "hs-column" }, right));
    const frame = HS.el("div", { class: "hs-frame" }, head, ...messages.elements, grid, sheetButton(root, parts.controls, store.payload.picture ? "Picture and controls" : "Controls"));
    root.append(frame);

    const story = HS.createStory(parts.story, store, highlight);
    const picture = createStages(stage, store, { story: story.go });
    const tabs = HS.createTabs(parts.panel, store);
    head.append(HS.el("div", { class: "hs-actions" }, ...HS.createTakeHome(root, store, picture, messages.tell)));
    const views = [
      picture,
      HS.createLegend(below, store),
      createStrips(parts.strip, store),
      HS.createFilm(parts.film, store),
      HS.createControls(parts.controls, store),
      (HS.instrumentOf(store.layer).createAnswers || HS.createPrediction)(parts.prediction, store),
      HS.createMeasures(parts.diagnostics, store),
      tabs,
      story,
    ];

    /** Marks the region that a story step speaks of: "canvas", "film", "prediction", "diagnostics", "controls", "panel:name". */
    function highlight(name, outlined) {
      const [region, tab] = (name || "").split(":");
      for (const [key, part] of Object.entries(parts)) part.classList.toggle("hs-lit", outlined && key === region);
      if (tab) store.set({ tab });
      if (outlined && root.dataset.size === "wide") requestAnimationFrame(() => bringUp(region));
    }

    /** What a step speaks of stands in sight: the linked views begin at the top of their column, or the column at its own. */
    function bringUp(region) {
      const below = region === "panel" ? parts.panel.getBoundingClientRect().top - right.getBoundingClientRect().top : -right.scrollTop;
      if (Math.abs(below) > 1) right.scrollTop += below;
    }

    const drawing = createDrawing(frame, views, { picture, tabs, panel: parts.panel });

    function draw(changed) {
      drawing.draw(changed);
      progress.set(store.asking("run") || store.uploading, store.progress);
      if (changed.has("payload")) {
        messages.notes(store.payload.notes);
        messages.clear();
      }
    }

    const stopAnswers = store.onAnswer("refusal", (answer) => {
      messages.refuse(answer.message);
      if (answer.request != null) return;
      store.uploading = false;
      store.settle("run");
    });
    const stop = store.subscribe(draw);
    const resizer = new ResizeObserver(() => tabs.resize());
    resizer.observe(parts.panel);
    draw(new Set(["payload", "layer", "step", "tab", "pins", "rule", "size"]));
    return {
      story,
      destroy() {
        stop();
        stopAnswers();
        drawing.stop();
        resizer.disconnect();
        views.forEach((view) => view.destroy && view.destroy());
        frame.remove();
        store.close();
      },
    };
  }

  /** The look that opens an exhibit: the one asked for, else that of the first story step. */
  function openWith(store, look) {
    const first = store.payload.story[0];
    if (look) {
      store.set({ ...look, rule: null });
      if (look.rule) store.set({ rule: look.rule });
    } else if (first && first.state && first.state.look) {
      const { rule, ...rest } = first.state.look;
      store.set({ ...rest, step: 0 });
      if (rule) store.set({ rule });
    }
  }

  /** In a replay there is no server to read the address: a link's look is applied here. */
  async function openFromAddress(store, messages) {
    const parameters = new URLSearchParams(window.location.search);
    const asked = parameters.get("exhibit");
    if (!parameters.get("s") || (asked && asked !== store.payload.exhibit.slug)) return;
    const state = await HS.readPermalink(parameters.get("s"));
    store.set(state.look);
    state.notices.forEach(messages.tell);
  }

  /**
   * Mount the canvas.
   * @param element an empty element
   * @param host {ask(name, data), lookup(question) → Promise or null, onAnswer(fn), live}
   * @returns {{show(payloadString), uploading(), destroy()}}
   */
  function mount(element, host) {
    const root = HS.el("div", { class: "hs" });
    const bones = skeleton();
    const progress = createProgress(root);
    const messages = createMessages();
    root.append(progress.element, ...messages.elements, bones);
    element.replaceChildren(root);
    if (host.live && host.lookup) progress.follow(() => host.lookup({ question: "progress", token: openingName() }));
    let exhibit = null;
    let store = null;
    const stopTheme = watchTheme(root, () => store && store.touch("theme"));
    const observer = new ResizeObserver(() => {
      fillWindow(root);
      const size = sizeOf(root.clientWidth);
      if (root.dataset.size === size) return;
      root.dataset.size = size;
      if (store) store.touch("size");
    });
    observer.observe(root);
    observer.observe(document.body);
    root.dataset.size = sizeOf(element.clientWidth);

    function begin(payload) {
      if (exhibit) exhibit.destroy();
      bones.remove();
      store = HS.createStore(payload, host);
      openWith(store, payload.state);
      exhibit = createExhibit(root, store, messages, progress);
      if (!host.live) openFromAddress(store, messages);
    }

    return {
      show(text) {
        if (bones.isConnected) progress.end();
        let payload;
        try {
          payload = HS.decode(text);
        } catch (error) {
          bones.remove();
          messages.refuse(error instanceof HS.Refusal ? error.message : "This picture could not be drawn. Reload the page.");
          if (!(error instanceof HS.Refusal)) console.error(error);
          return;
        }
        if (!store || store.payload.exhibit.slug !== payload.exhibit.slug) begin(payload);
        else {
          store.landed(payload.request);
          if (payload.request == null || store.isNewest("run", payload.request)) store.load(payload);
        }
      },
      /** A picture of the visitor's is on its way to the server. */
      uploading() {
        if (!store) return;
        store.uploading = true;
        store.touch("answer");
      },
      destroy() {
        stopTheme();
        observer.disconnect();
        progress.end();
        if (exhibit) exhibit.destroy();
        root.remove();
      },
    };
  }

  HS.mount = mount;
  globalThis.Hyperscope = { mount, version: HS.VERSION };
})();
