/** Page state ↔ address: base64url(deflate-raw(JSON {v, i: image, c: changed controls, l: changed look})). */
(() => {
  "use strict";

  const MAX_TEXT = 4096;
  const MAX_INFLATED = 65536;

  async function pump(bytes, stream, limit) {
    const writer = stream.writable.getWriter();
    // A broken stream also rejects these two; the reader below is the one that reports it.
    writer.write(bytes).catch(() => {});
    writer.close().catch(() => {});
    const reader = stream.readable.getReader();
    const parts = [];
    let size = 0;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      size += value.length;
      if (size > limit) {
        await reader.cancel();
        throw new HS.Refusal("This link is too long to be one of ours. The exhibit opens as usual.");
      }
      parts.push(value);
    }
    const all = new Uint8Array(size);
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  const toBase64Url = (bytes) => btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  const fromBase64Url = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));

  /** Only what differs from the default, so that a link stays short. */
  function changed(values, defaults) {
    return Object.fromEntries(Object.entries(values).filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(defaults[key])));
  }

  /** JSON state → text of the `s` parameter. */
  async function pack(state) {
    const bytes = new TextEncoder().encode(JSON.stringify({ v: 1, ...state }));
    return toBase64Url(await pump(bytes, new CompressionStream("deflate-raw"), Infinity));
  }

  /** Address of the current state of an exhibit. */
  async function permalink(store) {
    const { exhibit, picture, controls } = store.payload;
    const defaults = Object.fromEntries(controls.widgets.map((w) => [w.name, w.value]));
    const s = await pack({ i: picture ? picture.name : null, c: changed(controls.values, defaults), l: changed(store.look, HS.defaultLook()) });
    const address = new URL(window.location.href);
    address.search = `?exhibit=${encodeURIComponent(exhibit.slug)}&s=${s}`;
    address.hash = "";
    return address.href;
  }

  const MAX_TYPED = 65536;
  const plain = (value) => typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value)) || (typeof value === "string" && value.length <= 60);

  /**
   * Text of the `s` parameter → {image, controls, look, notices}. Never throws: what cannot be used falls back to the
   * default and is named in `notices`.
   */
  async function readPermalink(text) {
    const nothing = { image: null, controls: {}, look: {}, notices: [] };
    if (!text) return nothing;
    if (text.length > MAX_TEXT) return { ...nothing, notices: ["This link is too long to be one of ours. The exhibit opens as usual."] };
    let state;
    try {
      state = JSON.parse(new TextDecoder().decode(await pump(fromBase64Url(text), new DecompressionStream("deflate-raw"), MAX_INFLATED)));
    } catch (error) {
      const reason = error instanceof HS.Refusal ? error.message : "This link is damaged. The exhibit opens as usual.";
      return { ...nothing, notices: [reason] };
    }
    if (!state || state.v !== 1) return { ...nothing, notices: ["This link comes from another version. The exhibit opens as usual."] };
    const { look, faults } = HS.cleanLook(state.l);
    const controls = state.c && typeof state.c === "object" && !Array.isArray(state.c) ? state.c : {};
    const kept = Object.fromEntries(Object.entries(controls).filter(([, value]) => plain(value) || (typeof value === "string" && value.length <= MAX_TYPED)));
    const notices = faults.length ? [`A part of this link could not be used and stands at its default: ${faults.join(", ")}.`] : [];
    return { image: plain(state.i) ? String(state.i) : null, controls: kept, look, notices };
  }

  Object.assign(HS, { permalink, readPermalink, packState: pack });
})();
