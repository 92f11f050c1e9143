// @wing structure
/** Which edges an answer rests on, beside those that matter by the truth. */
(() => {
  "use strict";

  const { net, arena } = HS;
  const METHODS = {
    drawing: [
      ["knock-out", "leave out", "Each edge is left out of the drawing in turn: how much does the answer fall?"],
      ["integrated gradients", "gradients", "Integrated gradients of the pixels, read along each edge"],
      ["occlusion", "occlusion", "Squares of the picture are covered in turn; read along each edge"],
      ["grad-cam", "Grad-CAM", "Which places of the last but one block speak for the answer; CNNs only"],
    ],
    adjacency: [
      ["knock-out", "cut", "Each edge is cut in turn: how much does the answer fall?"],
      ["gradients", "gradients", "Integrated gradients of the weights of the edges, from silent to whole"],
    ],
  };

  function mount(el, store) {
    const who = HS.inputs.choice({ label: "Network", options: [["", ""]], value: "", onchange: (name) => store.set({ who: name }) });
    const how = HS.el("div", {});
    const ask = HS.el("button", { type: "button", class: "hs-button hs-primary", onclick: send }, "Which edges?");
    const map = HS.el("div", { class: "hs-rasters" });
    el.append(who.element, how, ask);
    const verdict = HS.chart.note(el, "hs-hint hs-panel-verdict");
    const note = HS.chart.note(el);
    el.append(map);
    let method = "knock-out";
    let built = "";

    const askable = () => store.payload.extras.contestants.filter((one) => !one.layout && !one.name.includes("hyperdrop") && store.payload.extras.answers[one.name]);
    const chosen = () => askable().find((one) => one.name === store.look.who) || askable()[0];

    function send() {
      const one = chosen();
      store.ask("ask", { question: "explain", contestant: one.name, method, places: arena.placesText(store) });
      draw();
    }

    const stop = store.onAnswer("ask", (answer) => {
      if (answer.question !== "explain") return;
      const { result } = answer;
      const found = Array.from(result.edges);
      const known = found.filter((value) => value > -1e9);
      arena.of(store).explained = { ...result, edges: found, most: Math.max(...known.map(Math.abs), 1e-12), asked: known.length };
      store.set({ tint: "rests" });
      store.touch("arena");
    });

    function methods(one) {
      const offered = METHODS[one.sees].filter(([name]) => name !== "grad-cam" || one.name.includes("cnn"));
      if (!offered.some(([name]) => name === method)) method = "knock-out";
      how.replaceChildren();
      HS.chart.choice(how, "Method", offered, method, (value) => {
        method = value;
        words();
      });
    }

    function words() {
      const { explained } = arena.of(store);
      const one = chosen();
      const label = (name) => (store.payload.extras.contestants.find((item) => item.name === name) || { label: name }).label;
      const [, , hint] = METHODS[one.sees].find(([name]) => name === method);
      if (!explained) {
        verdict("");
        note(`${hint}${hint.endsWith("?") ? "" : "."} The nodes stay where they are.`);
        map.replaceChildren();
        return;
      }
      const { agreement, target } = explained;
      const { classes } = store.payload.extras;
      const what = classes.length ? `“${classes[target]}”` : "its number";
      verdict(agreement ? `An edge that matters ranks above one that does not in ${HS.percent(agreement.auc)} of the pairs (chance: 50 %).` : "Every edge, or none, matters by the truth here: nothing to compare.");
      const few = explained.asked < explained.edges.length ? ` Asked for the ${explained.asked} edges that most ways run over.` : "";
      note(`${label(explained.contestant)} by ${explained.method}: orange edges speak for ${what}, blue ones against.${agreement ? ` What matters: ${agreement.what}.` : ""}${few}`);
      map.replaceChildren(...(explained.picture ? [mapFigure(explained.picture)] : []));
    }

    /** The map over the picture, diverging around zero, on one scale. */
    function mapFigure(values) {
      const [rows, cols] = values.shape;
      const most = Math.max(...values.map(Math.abs), 1e-12);
      const canvas = HS.el("canvas", { style: "image-rendering: pixelated" });
      [canvas.width, canvas.height] = [cols, rows];
      const data = new ImageData(cols, rows);
      values.forEach((value, i) => {
        const at = 3 * Math.round(255 * (0.5 + (0.5 * value) / most));
        data.data.set([...HS.LUT.diverging.subarray(at, at + 3), 255], 4 * i);
      });
      canvas.getContext("2d").putImageData(data, 0, 0);
      return HS.el("figure", { class: "hs-wide" }, canvas, HS.el("figcaption", {}, `Where on the picture (${rows} × ${cols}): orange speaks for, blue against, white 0.`));
    }

    function draw() {
      const listed = askable();
      const key = listed.map((one) => one.name).join() + chosen().name;
      if (key !== built) {
        who.fill(listed.map((one) => [one.name, one.label]));
        methods(chosen());
        built = key;
      }
      who.set(chosen().name);
      ask.disabled = !store.host.live || store.asking("ask");
      ask.textContent = store.asking("ask") ? "Asking…" : "Which edges?";
      words();
    }

    return {
      draw: (changed) => ["payload", "answer", "arena", "who"].some((key) => changed.has(key)) && draw(),
      resize() {},
      destroy: stop,
    };
  }

  HS.panel({ name: "edges", kind: "abstract-graph", title: "Edges used", available: (store) => store.layer.edges.length > 0 && Boolean(net), mount });
})();
