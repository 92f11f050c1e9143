// @wing structure
/**
 * Groups and the pairs that are left of them: outlines around people, a shutter that turns them into pairs, guesses, and groups
 * that the visitor draws back.
 */
(() => {
  "use strict";

  const { net } = HS;
  const { number, word } = HS.checks;
  const VIEW = 1.2;
  const GAP = 9; // of an outline around its dots, in pixels
  const FATE = { intact: "#2bc79a", nested: "#ffb000", covered: "#f0e442", fake: "#ff6b4a" };
  const FATE_WORDS = { intact: "can be read off the pairs", nested: "hidden inside a larger group", covered: "hidden in a larger clique", fake: "never met: faked by overlaps" };
  const HULLS = [
    ["truth", "groups", "The groups as they are"],
    ["fate", "fate", "What becomes of each group when only pairs are left"],
    ["cliques", "cliques", "Every largest clique of the pairs, taken for a group"],
    ["guess", "learned guess", "What the judge takes for groups"],
    ["mine", "yours", "Press people, then “Add group”"],
  ];

  HS.lookField("shutter", 0, number(0, 1));
  HS.lookField("hulls", "truth", word("truth", "fate", "cliques", "guess", "mine"));
  HS.lookField("club", null, (v) => (v === null ? null : number(0, 9999, true)(v)));

  const sessions = new WeakMap();
  function sessionOf(store) {
    if (!sessions.has(store)) sessions.set(store, { hover: { node: -1, club: -1 }, chosen: new Set(), mine: [], learned: null, t: null });
    return sessions.get(store);
  }

  // ---------------------------------------------------------------------------------------------------------- groups

  const key = (group) => [...group].sort((a, b) => a - b).join(",");

  /** What is drawn now: [{members, colour, dash?, fate?, club?}], large ones first. */
  function shownGroups(store, session) {
    const { look, layer } = store;
    const { extras } = store.payload;
    const truth = new Set(layer.groups.map(key));
    const judged = (list) => list.map((members) => ({ members, colour: truth.has(key(members)) ? FATE.intact : FATE.fake, dash: truth.has(key(members)) ? [] : [5, 4] }));
    const made = {
      truth: () => layer.groups.map((members, club) => ({ members, colour: net.SETS[club % net.SETS.length], club })),
      fate: () => [
        ...layer.groups.map((members, club) => ({ members, colour: FATE[extras.fate[club]], club, fate: extras.fate[club] })),
        ...extras.fakes.map((fake) => ({ members: fake.members, colour: FATE.fake, dash: [5, 4], fate: "fake", by: fake.by })),
      ],
      cliques: () => judged(extras.guesses["maximal cliques"]),
      guess: () => judged(session.learned ? session.learned.guess : extras.guesses[extras.learned]),
      mine: () => session.mine.map((members, i) => ({ members, colour: net.SETS[i % net.SETS.length], mine: i })),
    }[look.hulls]();
    return made.filter((group) => group.members.length > 0).sort((a, b) => b.members.length - a.members.length);
  }

  /** Jaccard of a list of groups with the truth: a group counts when all its members are right. */
  function jaccard(list, truth) {
    const [found, right] = [new Set(list.map(key)), new Set(truth.map(key))];
    const both = [...found].filter((group) => right.has(group)).length;
    return both / (found.size + right.size - both || 1);
  }

  const nameOf = (store, node) => store.payload.extras.names[node] ?? String(node);
  const membersText = (store, members) => members.map((node) => nameOf(store, node)).join(", ");

  // -------------------------------------------------------------------------------------------------------- painting

  function paint(ctx, width, height, store, session, live) {
    const { layer, look } = store;
    const t = session.t ?? look.shutter;
    const v = net.view(width, height, VIEW);
    ctx.fillStyle = net.GROUND;
    ctx.fillRect(0, 0, width, height);
    const points = net.pixels(layer.places, v);
    const hover = live ? session.hover : { node: -1, club: -1 };
    const known = look.hulls === "truth" || look.hulls === "fate";
    const strength = known ? 1 - t : 1;
    const pairs = known ? 0.12 + 0.75 * t : 0.45;
    net.strokeEdges(ctx, points, layer.edges, (e) => {
      const lit = layer.edges[2 * e] === hover.node || layer.edges[2 * e + 1] === hover.node;
      return lit ? [HS.MEANING.in, 2, 0.9] : ["#ffffff", 1.2, Math.round(20 * pairs) / 20];
    });
    if (strength > 0.02) for (const group of shownGroups(store, session)) outline(ctx, group, points, strength, hover, look);
    const names = layer.nodes <= 30;
    net.discs(ctx, points, (i) => (session.chosen.has(i) && look.hulls === "mine" ? HS.MEANING.in : net.NODE), (i) => (i === hover.node ? 7.5 : 5.5));
    if (!names) return;
    ctx.fillStyle = "#d7dee7";
    ctx.font = "11px system-ui, sans-serif";
    ctx.textAlign = "center";
    for (let i = 0; i < layer.nodes; i++) ctx.fillText(nameOf(store, i).slice(0, 10), points[2 * i], points[2 * i + 1] - 10);
  }

  function outline(ctx, group, points, strength, hover, look) {
    const path = HS.newPath(ctx);
    const radius = GAP + 1.2 * Math.min(6, group.members.length);
    net.hull(group.members.map((node) => [points[2 * node], points[2 * node + 1]]), radius, path);
    const lit = hover.node >= 0 ? group.members.includes(hover.node) : hover.club >= 0 ? group.club === hover.club : group.club !== undefined && group.club === look.club;
    const some = hover.node >= 0 || hover.club >= 0 || look.club !== null;
    ctx.save();
    ctx.fillStyle = ctx.strokeStyle = group.colour;
    ctx.globalAlpha = strength * (lit ? 0.3 : some ? 0.03 : 0.08);
    ctx.fill(path);
    ctx.globalAlpha = strength * (lit ? 1 : some ? 0.25 : 0.75);
    ctx.lineWidth = lit ? 2.6 : 1.5;
    ctx.setLineDash(group.dash || []);
    ctx.stroke(path);
    ctx.restore();
  }

  // ----------------------------------------------------------------------------------------------------------- stage

  function createStage(element, store, hooks) {
    const session = sessionOf(store);
    const bar = toolbar(store, session, () => easel.draw());
    const room = HS.el("div", { class: "hs-easel-box" });
    element.append(bar.element, room);
    element.classList.add("hs-board-stage");

    /** Your smallest group whose outline holds a point, or −1. */
    function mineAt(points, x, y) {
      const inside = shownGroups(store, session).filter((group) => net.inHull(group.members.map((i) => [points[2 * i], points[2 * i + 1]]), GAP + 5, x, y));
      return inside.length ? inside[inside.length - 1].mine : -1;
    }

    function under(x, y) {
      const points = net.pixels(store.layer.places, net.view(...easel.size(), VIEW));
      const node = net.nodeAt(points, x, y, 12);
      if (node >= 0) return { node, club: -1 };
      if (store.look.hulls === "mine") return { node, club: -1, mine: mineAt(points, x, y) };
      const inside = shownGroups(store, session).filter((group) => group.club !== undefined && net.inHull(group.members.map((i) => [points[2 * i], points[2 * i + 1]]), GAP + 5, x, y));
      return { node: -1, club: inside.length ? inside[inside.length - 1].club : -1 };
    }

    const easel = net.easel(room, {
      label: "Groups of people. Hover a person or an outline; press an outline to choose it, or people to make a group of your own; space presses the shutter.",
      paint: (ctx, width, height) => paint(ctx, width, height, store, session, true),
      hover(x, y) {
        const found = under(x, y);
        if (found.node !== session.hover.node || found.club !== session.hover.club) {
          session.hover = found;
          easel.draw();
          store.touch("hover");
        }
        return found.node >= 0 || found.club >= 0 ? "pointer" : "default";
      },
      leave() {
        session.hover = { node: -1, club: -1 };
        easel.draw();
        store.touch("hover");
      },
      down(x, y) {
        session.hover = under(x, y);
        return session.hover.node >= 0 || session.hover.club >= 0 || session.hover.mine >= 0;
      },
      up(x, y, moved) {
        const { node, club, mine } = session.hover;
        if (moved) return;
        if (mine >= 0) {
          session.mine.splice(mine, 1);
          store.touch("groups");
        }
        if (node >= 0 && store.look.hulls === "mine") {
          if (session.chosen.has(node)) session.chosen.delete(node);
          else session.chosen.add(node);
          store.touch("groups");
        } else if (club >= 0) {
          store.set({ club: store.look.club === club ? null : club });
          store.touch("edges"); // the part under the prediction offers to take the group away
        }
        easel.draw();
      },
      key(event) {
        if (event.key === " ") bar.click();
        else if (event.key === "Enter") bar.add();
        else if (event.key === "Escape") {
          session.chosen.clear();
          store.set({ club: null });
        } else if (event.key === "s") hooks.story(1);
        else if (event.key === "S") hooks.story(-1);
        else return false;
        easel.draw();
        return true;
      },
    });

    const stop = store.onAnswer("stream", (answer) => {
      if (answer.question !== "learn" || !answer.result) return;
      session.learned = answer.result;
      easel.draw();
    });

    return {
      overlay: easel.canvas,
      draw(changed) {
        if (changed.has("payload")) {
          [session.learned, session.mine] = [null, []];
          session.chosen.clear();
          if (store.look.club !== null && store.look.club >= store.layer.groups.length) store.set({ club: null });
        }
        bar.draw();
        easel.draw();
      },
      paint: (ctx, width, height) => paint(ctx, width, height, store, session, false),
      destroy() {
        stop();
        bar.destroy();
        easel.destroy();
        element.classList.remove("hs-board-stage");
      },
    };
  }

  function toolbar(store, session, redraw) {
    let frame = 0;
    const slider = HS.el("input", { type: "range", min: 0, max: 1, step: 0.01, "aria-label": "From groups to pairs", "data-act": "shutter", oninput: () => store.set({ shutter: Number(slider.value) }) });
    const shutter = HS.el("button", { type: "button", class: "hs-button", "data-act": "click", onclick: click }, "Click: only pairs");
    const hulls = HULLS.map(([name, label, hint]) => HS.el("button", { type: "button", class: "hs-button", "data-hulls": name, title: hint, onclick: () => store.set({ hulls: name }) }, label));
    const addButton = HS.el("button", { type: "button", class: "hs-button", "data-act": "add", onclick: add }, "Add group");
    const drop = HS.el("button", { type: "button", class: "hs-button", "data-act": "drop", onclick: () => (session.mine.pop(), store.touch("groups"), draw(), redraw()) }, "Undo");
    const group = (label, ...items) => HS.el("div", { class: "hs-tool-group", role: "group", "aria-label": label }, ...items);
    const copy = HS.el("button", { type: "button", class: "hs-button", "data-act": "copy", title: "Take the groups as they are and change them: press people to add, an outline to remove", onclick: () => ((session.mine = store.layer.groups.map((members) => [...members])), store.touch("groups"), draw(), redraw()) }, "Copy the groups");
    const use = HS.el("button", { type: "button", class: "hs-button", "data-act": "use", title: "Make yours the groups on show", onclick: useMine }, "Use as groups");
    const mine = group("Your groups", addButton, drop, copy, use);
    const element = HS.el("div", { class: "hs-toolbar" }, group("Shutter", shutter, slider), group("Outlines", ...hulls), mine);

    function add() {
      if (session.chosen.size < 2) return;
      const members = [...session.chosen].sort((a, b) => a - b);
      if (!session.mine.some((one) => key(one) === key(members))) session.mine.push(members);
      session.chosen.clear();
      store.touch("groups");
      draw();
      redraw();
    }

    /** Yours become the groups: their members by name, one group per line. */
    function useMine() {
      const named = (node) => nameOf(store, node).replace(/[\s,;]+/g, "_");
      HS.askRun(store, { controls: { source: "my own", sets: session.mine.map((members) => members.map(named).join(" ")).join("\n") } });
      store.set({ hulls: "truth", shutter: 0, club: null });
    }

    function click() {
      const [from, to] = [store.look.shutter, store.look.shutter > 0.5 ? 0 : 1];
      cancelAnimationFrame(frame);
      if (HS.calm()) {
        store.set({ shutter: to });
        return;
      }
      const begun = performance.now();
      const step = () => {
        const t = Math.min(1, (performance.now() - begun) / 900);
        session.t = from + t * (to - from);
        slider.value = session.t;
        redraw();
        if (t < 1) frame = requestAnimationFrame(step);
        else {
          session.t = null;
          store.set({ shutter: to });
        }
      };
      step();
    }

    function draw() {
      const { look } = store;
      if (session.t === null) slider.value = look.shutter;
      shutter.textContent = look.shutter > 0.5 ? "Show the groups" : "Click: only pairs";
      hulls.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.hulls === look.hulls)));
      mine.hidden = look.hulls !== "mine";
      addButton.disabled = session.chosen.size < 2;
      addButton.textContent = session.chosen.size ? `Add group of ${session.chosen.size}` : "Add group";
      drop.disabled = !session.mine.length;
      copy.disabled = session.mine.length > 0;
      use.disabled = !session.mine.length || !store.host.live;
    }
    draw();
    return { element, draw, click, add, destroy: () => cancelAnimationFrame(frame) };
  }

  // ----------------------------------------------------------------------------------------------------------- words

  function legend(store) {
    const { entry, sample } = HS.legend;
    const { look, layer } = store;
    const facts = [entry("", `${HS.plural(layer.groups.length, "group")}, ${HS.plural(layer.edges.length / 2, "pair")}`)];
    if (look.hulls === "fate") return { entries: Object.entries(FATE_WORDS).map(([fate, words]) => entry(sample(FATE[fate], fate === "fake" ? "dashed" : ""), words)), facts };
    if (look.hulls === "cliques" || look.hulls === "guess") return { entries: [entry(sample(FATE.intact, ""), "is a group"), entry(sample(FATE.fake, "dashed"), "is none")], facts };
    if (look.hulls === "mine") return { entries: [entry("", "press people, then “Add group” (Enter); press an outline to take it away")], facts: [entry("", `${HS.plural(layer.edges.length / 2, "pair")}`)] };
    return { entries: [], facts };
  }

  function sentence(store) {
    const { hover } = sessionOf(store);
    const { layer, look } = store;
    const { extras } = store.payload;
    const hidden = look.hulls === "mine";
    if (hover.node >= 0) {
      const of = layer.groups.filter((group) => group.includes(hover.node)).length;
      return `${nameOf(store, hover.node)} knows ${net.adjacency(layer.nodes, layer.edges)[hover.node].length} others${hidden ? "" : ` and is in ${HS.plural(of, "group")}`}.`;
    }
    const club = hover.club >= 0 ? hover.club : hidden ? null : look.club;
    if (club === null || club >= layer.groups.length) return "";
    const members = layer.groups[club];
    return `${membersText(store, members)}: ${FATE_WORDS[extras.fate[club]]}.`;
  }

  function cutRows(store) {
    const { layer, look } = store;
    if (look.club === null || look.club >= layer.groups.length) return [];
    return [{
      mark: String(look.club + 1),
      kinds: [["group", "take this group away", "The pairs that it alone made go with it"]],
      pressed: () => store.cutList.hasWhole("group", look.club, layer.name),
      toggle: () => store.cutList.toggleWhole("group", look.club, layer.name),
    }];
  }

  function asJson(store) {
    const { layer } = store;
    const { names, fate, fakes, guesses, scores } = store.payload.extras;
    return JSON.stringify({ exhibit: store.payload.exhibit.slug, names, groups: layer.groups, fate, fakes, guesses, scores, yours: sessionOf(store).mine }, null, 1);
  }

  function asCsv(store) {
    const { extras } = store.payload;
    return ["group,size,fate,members", ...store.layer.groups.map((members, i) => [i, members.length, extras.fate[i], `"${membersText(store, members).replaceAll('"', "'")}"`].join(","))].join("\n");
  }

  function check(layer) {
    const wrong = (what) => new HS.Refusal(`The groups “${layer.label}” do not fit together (${what}). Run it again.`);
    if (!Array.isArray(layer.groups) || !layer.groups.length) throw wrong("there are none");
    if (layer.groups.some((group) => group.some((node) => !(node >= 0 && node < layer.nodes)))) throw wrong("a group names somebody who does not exist");
    HS.requireShape(layer, "places", [layer.nodes, 2], false);
  }

  HS.instrument({
    kind: "groups",
    check,
    createStage,
    base() {},
    overlay() {},
    thumb() {},
    legend,
    sentence,
    invitation: "Hover a person or an outline; “Click” leaves only the pairs.",
    settings: () => [],
    section: () => ({ element: HS.el("div", { hidden: true }), draw() {} }),
    lookInputs: () => ({ main: {}, more: {}, draw() {} }),
    cutKinds: [],
    cutRows,
    asJson,
    asCsv,
  });
  HS.groups = { sessionOf, jaccard, membersText, FATE, FATE_WORDS, key };
})();
