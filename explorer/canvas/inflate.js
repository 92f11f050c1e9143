/**
 * DEFLATE (RFC 1951) undone at once, without waiting: the decompression that browsers offer answers later, and a payload
 * must be on the screen before the next one may arrive.
 *
 * HS.inflate(bytes, most)   Uint8Array → Uint8Array; throws RangeError when the data is damaged or longer than `most` bytes
 */
(() => {
  "use strict";

  const LENGTHS = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
  const LENGTH_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
  const DISTANCES = [1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577];
  const DISTANCE_BITS = [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];
  const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]; // of the code lengths of code lengths
  const LONGEST = 15;
  const QUICK = 9; // bits; words up to this length, nearly all, are looked up at once

  const damaged = () => new RangeError("damaged data");

  /**
   * A canonical Huffman code from the lengths of its words: how many words of each length, the symbols in order, and for
   * the short words `quick`: the next bits of the data (lowest first) → symbol · 16 + length of its word, 0 for longer words.
   */
  function huffman(lengths) {
    const counts = new Uint16Array(LONGEST + 1);
    for (const length of lengths) counts[length]++;
    counts[0] = 0;
    const starts = new Uint16Array(LONGEST + 2);
    for (let i = 1; i <= LONGEST; i++) starts[i + 1] = starts[i] + counts[i];
    const symbols = new Uint16Array(starts[LONGEST + 1]);
    lengths.forEach((length, symbol) => length && (symbols[starts[length]++] = symbol));
    return { counts, symbols, quick: quickTable(counts, symbols) };
  }

  function quickTable(counts, symbols) {
    const quick = new Uint16Array(1 << QUICK);
    let code = 0;
    let index = 0;
    for (let length = 1; length <= QUICK; length++, code <<= 1) {
      for (let i = 0; i < counts[length]; i++, code++, index++) {
        for (let at = reversed(code, length); at < quick.length; at += 1 << length) quick[at] = (symbols[index] << 4) | length;
      }
    }
    return quick;
  }

  function reversed(code, length) {
    let back = 0;
    for (let i = 0; i < length; i++) back |= ((code >> i) & 1) << (length - 1 - i);
    return back;
  }

  const repeat = (count, value) => new Array(count).fill(value);
  const FIXED = [
    huffman([...repeat(144, 8), ...repeat(112, 9), ...repeat(24, 7), ...repeat(8, 8)]),
    huffman(repeat(30, 5)),
  ];

  function inflate(bytes, most) {
    let out = new Uint8Array(Math.min(most, 4 * bytes.length + 64));
    let length = 0;
    let at = 0;
    let held = 0; // bits read from the data and not yet used, lowest first
    let count = 0;

    function bits(n) {
      while (count < n) {
        if (at >= bytes.length) throw damaged();
        held |= bytes[at++] << count;
        count += 8;
      }
      const value = held & ((1 << n) - 1);
      held >>>= n;
      count -= n;
      return value;
    }

    /** The next symbol. A word that is too long for the table is recognised bit by bit: the words of one length are consecutive numbers. */
    function symbol({ counts, symbols, quick }) {
      while (count < QUICK && at < bytes.length) {
        held |= bytes[at++] << count;
        count += 8;
      }
      const found = quick[held & ((1 << QUICK) - 1)];
      const size = found & 15;
      if (size && size <= count) {
        held >>>= size;
        count -= size;
        return found >> 4;
      }
      return longSymbol(counts, symbols);
    }

    function longSymbol(counts, symbols) {
      let code = 0;
      let first = 0;
      let index = 0;
      for (let size = 1; size <= LONGEST; size++) {
        code |= bits(1);
        const here = counts[size];
        if (code - here < first) return symbols[index + code - first];
        index += here;
        first = (first + here) << 1;
        code <<= 1;
      }
      throw damaged();
    }

    function room(n) {
      if (length + n > most) throw damaged();
      if (length + n <= out.length) return;
      const larger = new Uint8Array(Math.min(most, Math.max(2 * out.length, length + n)));
      larger.set(out);
      out = larger;
    }

    function stored() {
      at -= count >> 3; // whole bytes that were read ahead; the rest of the last one is padding
      held = count = 0;
      if (at + 4 > bytes.length) throw damaged();
      const size = bytes[at] | (bytes[at + 1] << 8);
      if (size !== (~(bytes[at + 2] | (bytes[at + 3] << 8)) & 0xffff) || at + 4 + size > bytes.length) throw damaged();
      room(size);
      out.set(bytes.subarray(at + 4, at + 4 + size), length);
      length += size;
      at += 4 + size;
    }

    function dynamic() {
      const [literals, distances, words] = [bits(5) + 257, bits(5) + 1, bits(4) + 4];
      const short = new Array(19).fill(0);
      for (let i = 0; i < words; i++) short[ORDER[i]] = bits(3);
      const code = huffman(short);
      const lengths = [];
      while (lengths.length < literals + distances) {
        const next = symbol(code);
        if (next < 16) lengths.push(next);
        else if (next === 16 && lengths.length === 0) throw damaged();
        else if (next === 16) lengths.push(...repeat(3 + bits(2), lengths[lengths.length - 1]));
        else lengths.push(...repeat(next === 17 ? 3 + bits(3) : 11 + bits(7), 0));
      }
      if (lengths.length > literals + distances) throw damaged();
      return [huffman(lengths.slice(0, literals)), huffman(lengths.slice(literals))];
    }

    function block([literals, distances]) {
      for (;;) {
        const next = symbol(literals);
        if (next === 256) return;
        if (next < 256) {
          room(1);
          out[length++] = next;
          continue;
        }
        if (next > 285) throw damaged();
        const size = LENGTHS[next - 257] + bits(LENGTH_BITS[next - 257]);
        const far = symbol(distances);
        if (far > 29) throw damaged();
        const back = DISTANCES[far] + bits(DISTANCE_BITS[far]);
        if (back > length) throw damaged();
        room(size);
        for (let i = 0; i < size; i++, length++) out[length] = out[length - back];
      }
    }

    for (let last = false; !last; ) {
      last = bits(1) === 1;
      const kind = bits(2);
      if (kind === 3) throw damaged();
      if (kind === 0) stored();
      else block(kind === 1 ? FIXED : dynamic());
    }
    return out.slice(0, length);
  }

  HS.inflate = inflate;
})();
