/**
 * A drawing context that writes SVG: the picture, its instruments and its legend draw on it with the same hand as on the
 * screen, so that what is taken home is what is seen. It knows the part of CanvasRenderingContext2D that they use; a call
 * that it does not know throws, and who asked falls back to pixels.
 *
 * HS.createSvg(width, height)  the context; further to the canvas: `.layer(draw)` (what draw() clears and greys out is its
 *                              own), `.path()` (a Path2D that can be written down), `.text()` (the file)
 * HS.newPath(ctx)              a path for either kind of context
 */
(() => {
  "use strict";

  const CELLS = 4096; // up to so many pixels, an image made of cells becomes rectangles

  const escaped = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
  const number = (value) => {
    if (!Number.isFinite(value)) throw new Error("a coordinate is not a number");
    return String(Math.round(value * 100) / 100);
  };
  const points = (...values) => values.map(number).join(" ");

  const box = (x, y, w, h) => `x="${number(x)}" y="${number(y)}" width="${number(w)}" height="${number(h)}"`;

  /** The commands of a path as SVG writes them. */
  class SvgPath {
    constructor() {
      this.d = "";
    }
    moveTo(x, y) {
      this.d += `M${points(x, y)}`;
    }
    lineTo(x, y) {
      this.d += `${this.d ? "L" : "M"}${points(x, y)}`;
    }
    quadraticCurveTo(bx, by, x, y) {
      this.d += `Q${points(bx, by, x, y)}`;
    }
    bezierCurveTo(ax, ay, bx, by, x, y) {
      this.d += `C${points(ax, ay, bx, by, x, y)}`;
    }
    closePath() {
      this.d += "Z";
    }
    rect(x, y, w, h) {
      this.d += `M${points(x, y)}h${number(w)}v${number(h)}h${number(-w)}Z`;
    }
    arc(x, y, r, from, to, back = false) {
      const at = (angle) => points(x + r * Math.cos(angle), y + r * Math.sin(angle));
      const turn = Math.abs(to - from);
      const sweep = back ? 0 : 1;
      this.d += `${this.d ? "L" : "M"}${at(from)}`;
      if (turn >= 2 * Math.PI - 1e-6) {
        this.d += `A${points(r, r)} 0 1 ${sweep} ${at(from + Math.PI)}A${points(r, r)} 0 1 ${sweep} ${at(from)}Z`;
      } else {
        const way = (((back ? from - to : to - from) % (2 * Math.PI)) + 2 * Math.PI) % (2 * Math.PI);
        this.d += `A${points(r, r)} 0 ${way > Math.PI ? 1 : 0} ${sweep} ${at(to)}`;
      }
    }
  }

  /** An image as a data URI that every program for vector files reads: JPEG, or PNG where each pixel counts. */
  function portable(source, pixels) {
    const canvas = HS.el("canvas");
    [canvas.width, canvas.height] = [source.naturalWidth || source.width, source.naturalHeight || source.height];
    canvas.getContext("2d").drawImage(source, 0, 0);
    return pixels ? canvas.toDataURL("image/png") : canvas.toDataURL("image/jpeg", 0.92);
  }

  const BASELINES = { alphabetic: 0, middle: 0.35, top: 0.8, bottom: -0.2 }; // in heights of the letters
  const ANCHORS = { left: "start", start: "start", center: "middle", right: "end", end: "end" };

  function createSvg(width, height) {
    const probe = HS.el("canvas").getContext("2d");
    const definitions = [];
    const saved = [];
    let drawn = []; // elements of the layer under way
    let erased = []; // rectangles taken out of them, not yet written
    let path = new SvgPath();
    let dash = [];
    let clip = "";

    const settings = {
      fillStyle: "#000000", strokeStyle: "#000000", lineWidth: 1, lineCap: "butt", lineJoin: "miter", globalAlpha: 1, font: "10px sans-serif",
      textAlign: "start", textBaseline: "alphabetic", globalCompositeOperation: "source-over", imageSmoothingEnabled: true, imageSmoothingQuality: "low",
    };

    /** A CSS colour as SVG 1.1 knows it: [#rrggbb, opacity]. */
    function colour(css) {
      probe.fillStyle = "#000";
      probe.fillStyle = css;
      if (probe.fillStyle[0] === "#") return [probe.fillStyle, 1];
      const [r, g, b, a] = probe.fillStyle.match(/[\d.]+/g).map(Number);
      return [`#${[r, g, b].map((v) => v.toString(16).padStart(2, "0")).join("")}`, a];
    }

    function inked(kind, css) {
      const [value, opacity] = colour(css);
      const alpha = opacity * svg.globalAlpha;
      return `${kind}="${value}"${alpha < 1 ? ` ${kind}-opacity="${number(alpha)}"` : ""}`;
    }

    function define(name, make) {
      const id = `${name}${definitions.length + 1}`;
      definitions.push(make(id));
      return `url(#${id})`;
    }

    /** What was cleared is hidden by a mask over all that the layer holds so far. */
    function settle() {
      if (erased.length === 0) return;
      const holes = erased.map((rectangle) => `<rect ${box(...rectangle)}/>`).join("");
      const all = box(0, 0, width, height);
      const mask = define("mask", (id) => `<mask id="${id}" maskUnits="userSpaceOnUse" ${all}><rect ${all} fill="#fff"/>${holes}</mask>`);
      drawn = [`<g mask="${mask}">`, ...drawn, "</g>"];
      erased = [];
    }

    function put(element) {
      settle();
      drawn.push(clip ? `<g clip-path="${clip}">${element}</g>` : element);
    }

    /** Takes the colour out of the image that fills a rectangle; anything else under it cannot be said in SVG. */
    function greyOut(...rectangle) {
      const at = drawn.findLastIndex((element) => element.startsWith("<image ") && element.includes(box(...rectangle)));
      if (at < 0) throw new Error("only an image can lose its colour");
      const grey = '<feColorMatrix type="saturate" values="0"/>';
      const filter = define("grey", (id) => `<filter id="${id}" x="0" y="0" width="1" height="1" color-interpolation-filters="sRGB">${grey}</filter>`);
      drawn[at] = drawn[at].replace("<image ", `<image filter="${filter}" `);
    }

    function stroked() {
      const parts = [inked("stroke", svg.strokeStyle), `stroke-width="${number(svg.lineWidth)}"`];
      if (dash.length) parts.push(`stroke-dasharray="${dash.map(number).join(" ")}"`);
      if (svg.lineCap !== "butt") parts.push(`stroke-linecap="${svg.lineCap}"`);
      if (svg.lineJoin !== "miter") parts.push(`stroke-linejoin="${svg.lineJoin}"`);
      return parts.join(" ");
    }

    /** The commands of a path given or under way. */
    function commands(given) {
      const { d } = given || path;
      if (d === undefined) throw new Error("this path cannot be written down");
      return d;
    }

    function cells(source, x, y, w, h) {
      const { data } = source.getContext("2d").getImageData(0, 0, source.width, source.height);
      const [cw, ch] = [w / source.width, h / source.height];
      const found = [];
      for (let i = 0; i < source.width * source.height; i++) {
        const [r, g, b, a] = data.subarray(4 * i, 4 * i + 4);
        const [left, top] = [x + (i % source.width) * cw, y + Math.floor(i / source.width) * ch];
        const opacity = a < 255 ? ` fill-opacity="${number(a / 255)}"` : "";
        if (a) found.push(`<path d="M${points(left, top)}h${number(cw)}v${number(ch)}h${number(-cw)}Z" fill="rgb(${r},${g},${b})"${opacity}/>`);
      }
      put(`<g opacity="${number(svg.globalAlpha)}" shape-rendering="crispEdges">${found.join("")}</g>`);
    }

    const svg = {
      ...settings,
      canvas: { width, height },
      path: () => new SvgPath(),
      beginPath: () => (path = new SvgPath()),
      setLineDash: (list) => (dash = [...list]),
      save: () => saved.push({ clip, dash, ...Object.fromEntries(Object.keys(settings).map((key) => [key, svg[key]])) }),
      restore() {
        const { clip: oldClip, dash: oldDash, ...old } = saved.pop();
        [clip, dash] = [oldClip, oldDash];
        Object.assign(svg, old);
      },
      clip() {
        const d = commands();
        const outer = clip ? ` clip-path="${clip}"` : "";
        clip = define("clip", (id) => `<clipPath id="${id}"${outer}><path d="${d}"/></clipPath>`);
      },
      measureText(text) {
        probe.font = svg.font;
        return probe.measureText(text);
      },
      clearRect: (...rectangle) => erased.push(rectangle),
      fillRect(x, y, w, h) {
        if (svg.globalCompositeOperation === "saturation") return greyOut(x, y, w, h);
        put(`<rect ${box(x, y, w, h)} ${inked("fill", svg.fillStyle)}/>`);
      },
      strokeRect(x, y, w, h) {
        put(`<rect ${box(x, y, w, h)} fill="none" ${stroked()}/>`);
      },
      stroke: (given) => commands(given) && put(`<path d="${commands(given)}" fill="none" ${stroked()}/>`),
      fill(...given) {
        const rule = given.includes("evenodd") ? ' fill-rule="evenodd"' : "";
        const d = commands(given.find((one) => typeof one === "object"));
        if (d) put(`<path d="${d}"${rule} ${inked("fill", svg.fillStyle)}/>`);
      },
      fillText(text, x, y, most) {
        probe.font = svg.font;
        const [, weight, size] = /^(?:(\d+|bold) )?([\d.]+)px/.exec(svg.font) || [null, null, "12"];
        const squeezed = most && probe.measureText(text).width > most ? ` textLength="${number(most)}" lengthAdjust="spacingAndGlyphs"` : "";
        const face = `font-family="system-ui, sans-serif" font-size="${size}"${weight ? ` font-weight="${weight}"` : ""}`;
        const down = y + BASELINES[svg.textBaseline] * Number(size);
        const anchor = ANCHORS[svg.textAlign];
        put(`<text x="${number(x)}" y="${number(down)}" ${face} text-anchor="${anchor}"${squeezed} ${inked("fill", svg.fillStyle)}>${escaped(text)}</text>`);
      },
      drawImage(source, x, y, w, h) {
        const pixels = !svg.imageSmoothingEnabled;
        if (pixels && source.getContext && source.width * source.height <= CELLS) return cells(source, x, y, w, h);
        const style = pixels ? ' style="image-rendering:pixelated"' : "";
        const opacity = svg.globalAlpha < 1 ? ` opacity="${number(svg.globalAlpha)}"` : "";
        put(`<image ${box(x, y, w, h)} href="${portable(source, pixels)}" preserveAspectRatio="none"${opacity}${style}/>`);
      },
      layer(draw) {
        settle();
        const below = drawn;
        drawn = [];
        draw();
        settle();
        drawn = [...below, "<g>", ...drawn, "</g>"];
      },
      text(title) {
        settle();
        const size = `viewBox="0 0 ${number(width)} ${number(height)}" width="${number(width)}" height="${number(height)}"`;
        const parts = [`<svg xmlns="http://www.w3.org/2000/svg" ${size}>`, `<title>${escaped(title)}</title>`];
        if (definitions.length) parts.push("<defs>", ...definitions, "</defs>");
        return [...parts, ...drawn, "</svg>"].join("\n");
      },
    };
    for (const name of ["moveTo", "lineTo", "quadraticCurveTo", "bezierCurveTo", "closePath", "rect", "arc"]) svg[name] = (...values) => path[name](...values);
    return svg;
  }

  const newPath = (ctx) => (ctx.path ? ctx.path() : new Path2D());

  Object.assign(HS, { createSvg, newPath });
})();
