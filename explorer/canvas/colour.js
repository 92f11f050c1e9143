/**
 * Colours, each with one meaning on the page. Sequential maps are cividis and viridis, the diverging one runs
 * blue – neutral – orange, categories are Okabe–Ito; all keep their order for colour-blind readers.
 */
(() => {
  "use strict";

  const ANCHORS = {
    cividis: "00224e 002e6a 1a386f 32436d 434e6c 535a6d 61656f 6f7073 7d7c78 8c8878 9b9476 aba072 bcae6c cdbb63 dec958 f0d846 fee838",
    viridis: "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c 1fa088 28ae80 3fbc73 5ec962 84d44b addc30 d8e219 fde725",
    // Edge length lies on a darkened picture, where the dark end of cividis would vanish: its bright part, from grey on.
    length: "6f7073 7d7c78 8c8878 9b9476 aba072 bcae6c cdbb63 dec958 f0d846 fee838",
    diverging: "0b4f94 2f78b7 69a5d3 a9cde6 f1f1ef f6cd9c eda456 cf7416 9a4a00",
  };

  /** 256 colours as bytes [256·3], linear between the anchors. */
  function table(anchors) {
    const stops = anchors.split(" ").map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));
    const lut = new Uint8Array(256 * 3);
    for (let i = 0; i < 256; i++) {
      const at = (i / 255) * (stops.length - 1);
      const low = Math.min(stops.length - 2, Math.floor(at));
      for (let c = 0; c < 3; c++) lut[i * 3 + c] = Math.round(stops[low][c] + (at - low) * (stops[low + 1][c] - stops[low][c]));
    }
    return lut;
  }

  const LUT = Object.fromEntries(Object.entries(ANCHORS).map(([name, anchors]) => [name, table(anchors)]));

  /** CSS colour of t in 0..1 on a map: "cividis", "viridis", "length" or "diverging" (0.5 is its centre). */
  function ramp(name, t) {
    const i = 3 * Math.round(255 * Math.min(1, Math.max(0, t)));
    const lut = LUT[name];
    return `rgb(${lut[i]} ${lut[i + 1]} ${lut[i + 2]})`;
  }

  /** CSS gradient of a map, for legends. */
  const gradient = (name) => `linear-gradient(90deg, ${ANCHORS[name].split(" ").map((hex) => `#${hex}`).join(", ")})`;

  const OKABE_ITO = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000"];

  /** What a colour says, everywhere on the page. They lie on a darkened picture, so they are bright in both themes. */
  const MEANING = {
    in: "#FFB000", // the patch listens to
    out: "#56B4E9", // listens to the patch
    focus: "#FFFFFF",
    onlyA: "#E694C3",
    onlyB: "#2BC79A",
    both: "#F0E442",
    cut: "#FF6B4A",
  };

  /** CSS rgb of a patch's own colour (layer.colour), grey without one. */
  function patchColour(layer, patch) {
    const c = layer.colour;
    return c ? `rgb(${c[3 * patch]} ${c[3 * patch + 1]} ${c[3 * patch + 2]})` : "rgb(128 128 128)";
  }

  Object.assign(HS, { LUT, ramp, gradient, OKABE_ITO, MEANING, patchColour });
})();
