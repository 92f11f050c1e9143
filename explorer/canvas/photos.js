// @wing hypergraphs
/**
 * A visitor's further pictures: made small here, sent with one question, kept by nobody.
 *
 * HS.photos.small(file, side)   Promise of the centre square as a JPEG data URI of side × side pixels
 * HS.photos.button(spec)        {label, multiple, most, side, onpick(uris), onfail(sentence)} → a button that asks for files
 */
(() => {
  "use strict";

  async function small(file, side) {
    const image = await createImageBitmap(file, { imageOrientation: "from-image" });
    const edge = Math.min(image.width, image.height);
    const canvas = HS.el("canvas", { width: side, height: side });
    const ctx = canvas.getContext("2d");
    ctx.fillStyle = "#fff"; // what is transparent lies on white, as at the intake
    ctx.fillRect(0, 0, side, side);
    ctx.imageSmoothingQuality = "high";
    ctx.drawImage(image, (image.width - edge) / 2, (image.height - edge) / 2, edge, edge, 0, 0, side, side);
    image.close();
    return canvas.toDataURL("image/jpeg", 0.92);
  }

  function button(spec) {
    const input = HS.el("input", { type: "file", accept: "image/*", multiple: spec.multiple || null, hidden: true, "aria-label": spec.label });
    const open = HS.el("button", { type: "button", class: "hs-button", onclick: () => input.click() }, spec.label);
    input.addEventListener("change", async () => {
      const files = [...input.files];
      input.value = "";
      if (files.length === 0) return;
      if (files.length > spec.most) return spec.onfail(`At most ${spec.most} pictures at once; these are ${files.length}.`);
      const made = await Promise.allSettled(files.map((file) => small(file, spec.side)));
      const broken = files.filter((_, i) => made[i].status === "rejected").map(({ name }) => name);
      if (broken.length) return spec.onfail(`This browser cannot read ${broken.slice(0, 3).join(", ")}.`);
      spec.onpick(made.map(({ value }) => value));
    });
    return { element: HS.el("span", {}, open, input), allow: (yes) => (open.disabled = !yes) };
  }

  HS.photos = { small, button };
})();
