/** What a person takes home, made in the browser: the picture as PNG or SVG, the edges as JSON or CSV, the address. */
(() => {
  "use strict";

  const SIDE = 800;

  function save(name, type, content) {
    const address = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
    HS.el("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }

  // ------------------------------------------------------------------------------------- the picture and its legend

  const LINE = 20; // height of a line of the legend
  const GAP = 18; // between its entries
  const SAMPLE = 26; // width of the sample of a line
  const SCALE = 110; // width of a colour scale

  /** Lines of words, none wider than `most`. */
  function wrapped(ctx, text, most) {
    const lines = [""];
    for (const word of text.split(/\s+/)) {
      const longer = `${lines[lines.length - 1]} ${word}`.trim();
      if (ctx.measureText(longer).width <= most) lines[lines.length - 1] = longer;
      else lines.push(word);
    }
    return lines.filter(Boolean);
  }

  /** A key of the legend on the page as parts to draw: {line: [colour, dash]}, {scale: colours} or {text}. */
  function partsOf(key) {
    const parts = [];
    for (const node of key.childNodes) {
      const text = node.textContent.replace(/\s+/g, " ").trim();
      if (node.classList && node.classList.contains("hs-line")) {
        const dash = node.classList.contains("dashed") ? [6, 3] : node.classList.contains("dotted") ? [2, 3] : [];
        parts.push({ line: [node.style.getPropertyValue("--c"), dash], width: SAMPLE });
      } else if (node.classList && node.classList.contains("hs-scale")) {
        const colours = getComputedStyle(node).backgroundImage.match(/rgba?\([^)]*\)/g) || [];
        parts.push({ scale: node.style.transform ? colours.reverse() : colours, width: SCALE });
      } else if (text) parts.push({ text });
    }
    return parts;
  }

  function drawPart(ctx, part, x, y, ink) {
    if (part.text) {
      ctx.fillStyle = ink;
      ctx.fillText(part.text, x, y);
    } else if (part.scale) {
      part.scale.forEach((colour, i) => {
        ctx.fillStyle = colour;
        ctx.fillRect(x + (i * SCALE) / part.scale.length, y - 9, SCALE / part.scale.length + 0.3, 9);
      });
    } else {
      const [colour, dash] = part.line;
      ctx.fillStyle = "#1c222b"; // the colours of the lines are made for a darkened picture
      ctx.fillRect(x, y - 10, SAMPLE, 12);
      ctx.beginPath();
      ctx.moveTo(x + 2, y - 4);
      ctx.lineTo(x + SAMPLE - 2, y - 4);
      ctx.strokeStyle = colour === "currentColor" ? "#ffffff" : colour;
      ctx.lineWidth = 3;
      ctx.setLineDash(dash);
      ctx.stroke();
      ctx.setLineDash([]);
    }
  }

  /**
   * What stands under the picture, as one may read it without the page: where it comes from, the chosen patch in words,
   * the legend. Drawn below `top`; `ctx` null measures only.
   * @returns the height
   */
  function drawWords(ctx, store, element, width, top) {
    const pen = ctx || HS.el("canvas").getContext("2d");
    const { exhibit, picture } = store.payload;
    const left = 8;
    let y = top + LINE;
    const words = (text, ink) => {
      pen.font = "13px system-ui, sans-serif";
      [pen.textAlign, pen.textBaseline, pen.fillStyle] = ["left", "alphabetic", HS.theme(element, ink)];
      for (const line of wrapped(pen, text, width - 2 * left)) {
        if (ctx) ctx.fillText(line, left, y);
        y += LINE;
      }
    };
    words([exhibit.title, picture && picture.name, exhibit.paper.title].filter(Boolean).join(" · "), "--hs-ink");
    const sentence = HS.instrumentOf(store.layer).sentence(store);
    if (sentence) words(sentence[0].toUpperCase() + sentence.slice(1), "--hs-ink");
    const ink = HS.theme(element, "--hs-muted");
    let x = left;
    for (const key of element.querySelectorAll(".hs-legend > .hs-key")) {
      const parts = partsOf(key).map((part) => ({ ...part, width: part.width || pen.measureText(part.text).width }));
      const whole = parts.reduce((sum, part) => sum + part.width + 6, 0);
      if (!parts.length) continue;
      if (x > left && x + whole > width - left) [x, y] = [left, y + LINE];
      for (const part of parts) {
        if (ctx) drawPart(ctx, part, x, y, ink);
        x += part.width + 6;
      }
      x += GAP - 6;
    }
    return (x > left ? y + LINE : y) - top - LINE / 2;
  }

  /** Both pictures where two layers are compared. */
  function extent(store) {
    const { compare, difference } = store.look;
    return [compare !== null && !difference ? 2 * SIDE : SIDE, SIDE];
  }

  /** The paper, the pictures by `paint`, and the words below them. */
  function drawSeen(ctx, store, element, paint) {
    const [width, height] = extent(store);
    ctx.fillStyle = HS.theme(element, "--hs-paper");
    ctx.fillRect(0, 0, width, height + drawWords(null, store, element, width, height));
    paint();
    drawWords(ctx, store, element, width, height);
  }

  /** A canvas with two pixels per unit of length. */
  function fine(width, height) {
    const canvas = HS.el("canvas");
    [canvas.width, canvas.height] = [2 * width, 2 * Math.ceil(height)];
    const ctx = canvas.getContext("2d");
    ctx.setTransform(2, 0, 0, 2, 0, 0);
    return [canvas, ctx];
  }

  function pngCanvas(store, picture, element) {
    const [width, height] = extent(store);
    const [pictures, inside] = fine(width, height);
    picture.paint(inside, width, height);
    const [canvas, ctx] = fine(width, height + drawWords(null, store, element, width, height));
    drawSeen(ctx, store, element, () => ctx.drawImage(pictures, 0, 0, width, height));
    return canvas;
  }

  const pngOf = (store, picture, element) => new Promise((resolve) => pngCanvas(store, picture, element).toBlob(resolve, "image/png"));

  /** What is seen, as the text of an SVG file; what an instrument draws that lines cannot say is embedded as pixels. */
  function svgOf(store, picture, element) {
    const [width, height] = extent(store);
    const whole = height + drawWords(null, store, element, width, height);
    const title = `${store.payload.exhibit.title}, ${store.layer.label}`;
    let svg = HS.createSvg(width, whole);
    try {
      drawSeen(svg, store, element, () => picture.paint(svg, width, height));
    } catch (error) {
      console.warn(error);
      svg = HS.createSvg(width, whole);
      svg.imageSmoothingEnabled = false;
      svg.drawImage(pngCanvas(store, picture, element), 0, 0, width, whole);
    }
    return svg.text(title);
  }

  // ----------------------------------------------------------------------------------------------- edges as numbers

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
    const { asJson } = HS.instrumentOf(store.layer);
    if (asJson) return asJson(store);
    const { name, label, grid, keyGrid, rule } = store.layer;
    const meaning = "source → target: the target listens to the source; patches count in raster order";
    const used = { ...rule, ...HS.effectiveRule(store.layer, store.look.rule) };
    return JSON.stringify({ exhibit: store.payload.exhibit.slug, layer: name, label, grid, key_grid: keyGrid, rule: used, meaning, edges: edgeTable(store) }, null, 1);
  }

  function csvOf(store) {
    const { asCsv } = HS.instrumentOf(store.layer);
    if (asCsv) return asCsv(store);
    const columns = ["source", "target", "distance", "strength", "length", "wraps"];
    const lines = edgeTable(store).map((edge) => columns.map((column) => edge[column] ?? "").join(","));
    return [columns.join(","), ...lines].join("\n");
  }

  /**
   * The buttons “copy link” and “take home”.
   * @param tell fn(text) shows a short remark to the visitor
   */
  function createTakeHome(element, store, picture, tell) {
    const name = (ending) => {
      const { exhibit, picture } = store.payload;
      return `${[exhibit.slug, picture && picture.name, `layer${store.look.layer + 1}`].filter(Boolean).join("-")}.${ending}`;
    };
    const makers = [
      ["Picture (PNG)", async () => save(name("png"), "image/png", await pngOf(store, picture, element))],
      ["Picture with edges (SVG)", () => save(name("svg"), "image/svg+xml", svgOf(store, picture, element))],
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
      const { bundleCuts } = HS.instrumentOf(store.layer);
      const cuts = [...store.cuts, ...(bundleCuts ? bundleCuts(store) : [])];
      if (store.ask("bundle", { cuts }) === null) tell("The zip file is made by the server, and this page has none.");
      else tell("Packing figures, arrays and graphs …");
    }

    async function copyLink() {
      const address = await store.permalink();
      const { examples, picture: looked } = store.payload;
      const own = looked && !examples.some((item) => item.name === looked.name);
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
