/** What a person takes home, made in the browser: the picture as PNG or SVG, the edges as JSON or CSV, the address. */
(() => {
  "use strict";

  const SIDE = 800;

  function save(name, type, content) {
    const address = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
    HS.el("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }

  const escaped = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
  const number = (value) => String(Math.round(value * 100) / 100);

  /** Edges that the picture shows now: those of the focus, else all of the layer. */
  function shownEdges(store) {
    const layerIndex = store.look.layer;
    const [layer, graph] = [store.layers[layerIndex], store.graph(layerIndex)];
    const { main, pins } = HS.focusesOf(store, layerIndex);
    const focuses = main ? [...pins, main] : pins;
    if (focuses.length === 0) return { layer, graph, focuses, groups: [["in", HS.strongest(graph, 5000)]] };
    const groups = focuses.flatMap((focus) => Object.entries(HS.edgesOf(graph, layer, focus.patch, focus.direction)));
    return { layer, graph, focuses, groups };
  }

  function svgEdge(frame, layer, graph, e, way) {
    const weight = HS.edgeWeight(graph.strength[e]);
    const curves = HS.edgeCurves(frame, layer, graph, e);
    const d = curves.map(([x1, y1, bx, by, x2, y2]) => `M${number(x1)} ${number(y1)}Q${number(bx)} ${number(by)} ${number(x2)} ${number(y2)}`);
    const dash = graph.wrap[e] ? ' stroke-dasharray="2 4"' : way === "out" ? ' stroke-dasharray="7 5"' : "";
    const opacity = number(0.4 + 0.6 * weight);
    const head = HS.arrowPoints(curves[curves.length - 1], 5 + 3 * weight).map((point) => point.map(number).join(",")).join(" ");
    return [
      `<path d="${d.join("")}" fill="none" stroke="${HS.MEANING[way]}" stroke-width="${number(1.2 + 2.6 * weight)}" opacity="${opacity}"${dash}/>`,
      `<polygon points="${head}" fill="${HS.MEANING[way]}" opacity="${opacity}"/>`,
    ].join("");
  }

  function svgCell(frame, grid, cell, colour, width, dash = "") {
    const [x, y, w, h] = HS.cellRect(frame, grid, cell).map(number);
    return `<rect x="${x}" y="${y}" width="${w}" height="${h}" fill="none" stroke="${colour}" stroke-width="${width}"${dash}/>`;
  }

  /** Frames of the patches at the other end, each once. */
  function svgNeighbours(frame, layer, graph, edges, way) {
    const cells = new Set(Array.from(edges, (e) => (way === "in" ? graph.source[e] : graph.target[e])));
    const grid = way === "in" ? layer.keyGrid : layer.grid;
    return Array.from(cells, (cell) => svgCell(frame, grid, cell, HS.MEANING[way], 2, way === "out" ? ' stroke-dasharray="4 3"' : ""));
  }

  function svgFocus(frame, focus) {
    const [x, y] = HS.cellRect(frame, focus.grid, focus.cell);
    const letter = focus.letter
      ? `<circle cx="${number(x)}" cy="${number(y)}" r="11" fill="#0a0c10" stroke="#fff" stroke-width="2"/><text x="${number(x)}" y="${number(y + 5)}" fill="#fff" font-family="sans-serif" font-weight="600" font-size="14" text-anchor="middle">${focus.letter}</text>`
      : "";
    return svgCell(frame, focus.grid, focus.cell, HS.MEANING.focus, 3) + letter;
  }

  /** The current layer over the picture, as the text of an SVG file. */
  function svgOf(store) {
    const { picture, exhibit } = store.payload;
    const { layer, graph, focuses, groups } = shownEdges(store);
    const frame = { x: HS.GUTTER, y: HS.GUTTER, width: SIDE, height: SIDE };
    const size = SIDE + 2 * HS.GUTTER;
    const box = `x="${frame.x}" y="${frame.y}" width="${SIDE}" height="${SIDE}"`;
    const frames = focuses.length ? groups.flatMap(([way, edges]) => svgNeighbours(frame, layer, graph, edges, way)) : [];
    return [
      `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size} ${size}" width="${size}" height="${size}">`,
      `<title>${escaped(`${exhibit.title}, ${layer.label}: ${graph.m} edges`)}</title>`,
      `<image href="${escaped(store.look.seen ? picture.seen : picture.shown)}" ${box} preserveAspectRatio="none"/>`,
      `<rect ${box} fill="#080a0e" fill-opacity="0.5"/>`,
      ...frames,
      ...groups.flatMap(([way, edges]) => Array.from(edges, (e) => svgEdge(frame, layer, graph, e, way))),
      ...focuses.map((focus) => svgFocus(frame, focus)),
      "</svg>",
    ].join("\n");
  }

  /** All edges of the current layer under the present settings, one object per edge. */
  function edgeTable(store) {
    const graph = store.graph(store.look.layer);
    return Array.from(graph.source, (source, e) => ({
      source,
      target: graph.target[e],
      distance: graph.distance ? graph.distance[e] : null,
      strength: Number(graph.strength[e].toFixed(4)),
      length: Number(graph.length[e].toFixed(4)),
      wraps: Boolean(graph.wrap[e]),
    }));
  }

  function jsonOf(store) {
    const { name, label, grid, keyGrid, rule } = store.layer;
    const meaning = "source → target: the target listens to the source; patches count in raster order";
    const used = { ...rule, ...HS.effectiveRule(store.layer, store.look.rule) };
    return JSON.stringify({ exhibit: store.payload.exhibit.slug, layer: name, label, grid, key_grid: keyGrid, rule: used, meaning, edges: edgeTable(store) }, null, 1);
  }

  function csvOf(store) {
    const columns = ["source", "target", "distance", "strength", "length", "wraps"];
    const lines = edgeTable(store).map((edge) => columns.map((column) => edge[column] ?? "").join(","));
    return [columns.join(","), ...lines].join("\n");
  }

  function pngOf(store, picture, element) {
    const { compare, difference } = store.look;
    const [width, height] = [compare !== null && !difference ? 2 * SIDE : SIDE, SIDE];
    const canvas = HS.el("canvas");
    [canvas.width, canvas.height] = [2 * width, 2 * height];
    const ctx = canvas.getContext("2d");
    ctx.fillStyle = HS.theme(element, "--hs-paper");
    ctx.fillRect(0, 0, canvas.width, canvas.height);
    ctx.setTransform(2, 0, 0, 2, 0, 0);
    picture.paint(ctx, width, height);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }

  /**
   * The buttons “copy link” and “take home”.
   * @param tell fn(text) shows a short remark to the visitor
   */
  function createTakeHome(element, store, picture, tell) {
    const name = (ending) => `${store.payload.exhibit.slug}-${store.payload.picture.name}-layer${store.look.layer + 1}.${ending}`;
    const makers = [
      ["Picture (PNG)", async () => save(name("png"), "image/png", await pngOf(store, picture, element))],
      ["Picture with edges (SVG)", () => save(name("svg"), "image/svg+xml", svgOf(store))],
      ["Edges (JSON)", () => save(name("json"), "application/json", jsonOf(store))],
      ["Edges (CSV)", () => save(name("csv"), "text/csv", csvOf(store))],
      ["This page, offline (HTML), figures, arrays, graphs (zip)", askBundle],
    ];
    store.onAnswer("bundle", (answer) => {
      const bytes = Uint8Array.from(atob(answer.data), (c) => c.charCodeAt(0));
      save(answer.name, "application/zip", new Blob([bytes], { type: "application/zip" }));
      tell(`${answer.name} is ready (${HS.plural(Math.round(bytes.length / 1000), "kilobyte")}).`);
    });

    function askBundle() {
      const cuts = store.cuts;
      if (store.ask("bundle", { cuts }) === null) tell("The zip file is made by the server, and this page has none.");
      else tell("Packing figures, arrays and graphs …");
    }

    async function copyLink() {
      const address = await store.permalink();
      const own = !store.payload.examples.some((item) => item.name === store.payload.picture.name);
      const remark = own ? " Your picture stays with you: the link opens with an example." : "";
      try {
        await navigator.clipboard.writeText(address);
        tell(`Link copied.${remark}`);
      } catch {
        tell(`${address}${remark}`);
      }
    }

    const menu = HS.el("details", { class: "hs-menu" }, HS.el("summary", { class: "hs-button" }, "Take home"));
    const item = ([label, make]) => HS.el("button", { type: "button", onclick: () => ((menu.open = false), make()) }, label);
    menu.append(HS.el("div", { class: "hs-menu-list" }, ...makers.map(item)));
    menu.addEventListener("keydown", (event) => event.key === "Escape" && (menu.open = false));
    menu.addEventListener("focusout", (event) => menu.contains(event.relatedTarget) || (menu.open = event.relatedTarget === null && menu.open));
    return [HS.el("button", { type: "button", class: "hs-button", onclick: copyLink }, "Copy link"), menu];
  }

  Object.assign(HS, { createTakeHome, svgOf, edgeTable, csvOf, jsonOf });
})();
