/**
 * Small statistics of the linked views, without drawing: HS.maths.
 * Lists are plain or typed arrays; nothing is changed in place.
 */
(() => {
  "use strict";

  const sum = (values) => values.reduce((total, v) => total + v, 0);
  const mean = (values) => (values.length ? sum(values) / values.length : NaN);

  /** Linear interpolation between order statistics (numpy's default); NaN of nothing. */
  function quantile(values, share) {
    if (values.length === 0) return NaN;
    const sorted = Float64Array.from(values).sort();
    const at = share * (sorted.length - 1);
    const low = Math.floor(at);
    return sorted[low] + (at - low) * (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]);
  }

  /** mean((b − b̄)³) / std(b)³; 0 when all values are equal. */
  function skew(values) {
    const centre = mean(values);
    let square = 0;
    let cube = 0;
    for (const v of values) {
      square += (v - centre) ** 2;
      cube += (v - centre) ** 3;
    }
    const std = Math.sqrt(square / values.length);
    return std > 1e-12 ? cube / values.length / std ** 3 : 0;
  }

  /** Share of the total that the `top` largest values hold; NaN when the total is 0. */
  function topShare(values, top) {
    const total = sum(values);
    return total ? sum(Array.from(values).sort((a, b) => b - a).slice(0, top)) / total : NaN;
  }

  /**
   * Counts per bin [start + i·width, start + (i+1)·width); the last bin holds its right end too.
   * `weights` say how often each value counts (once, when left out).
   * @returns {{start, width, counts: Uint32Array, bin: (value) => number}} bin is −1 outside
   */
  function histogram(values, start, width, count, weights = null) {
    const end = start + width * count;
    const bin = (v) => (v === end ? count - 1 : v >= start && v < end ? Math.min(count - 1, Math.floor((v - start) / width)) : -1);
    const counts = new Uint32Array(count);
    values.forEach((v, at) => {
      const i = bin(v);
      if (i >= 0) counts[i] += weights ? weights[at] : 1;
    });
    return { start, width, counts, bin };
  }

  /** Bins of whole numbers: one per value while they fit into `most` bins, else equally wide. */
  function wholeBins(values, most) {
    const high = values.reduce((a, v) => Math.max(a, v), 0);
    const width = Math.max(1, Math.ceil((high + 1) / most));
    return histogram(values, 0, width, Math.floor(high / width) + 1);
  }

  /** Round step so that about `wanted` ticks span the range. */
  function tickStep(span, wanted) {
    if (!(span > 0)) return 1;
    const rough = span / Math.max(1, wanted);
    const power = 10 ** Math.floor(Math.log10(rough));
    return power * [1, 2, 5, 10].find((f) => f * power >= rough * 0.999);
  }

  function ticks(low, high, wanted) {
    const step = tickStep(high - low, wanted);
    const first = Math.ceil(low / step - 1e-9);
    const last = Math.floor(high / step + 1e-9);
    return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => Number(((first + i) * step).toPrecision(12)));
  }

  /** Ranks from 1; equal values share the mean of their ranks. */
  function ranks(values) {
    const order = Array.from(values, (_, i) => i).sort((a, b) => values[a] - values[b]);
    const rank = new Float64Array(values.length);
    for (let start = 0; start < order.length; ) {
      let end = start;
      while (end + 1 < order.length && values[order[end + 1]] === values[order[start]]) end++;
      for (let i = start; i <= end; i++) rank[order[i]] = (start + end) / 2 + 1;
      start = end + 1;
    }
    return rank;
  }

  /** Rank correlation of two lists; NaN when one of them is constant. */
  function spearman(a, b) {
    const [ra, rb] = [ranks(a), ranks(b)];
    const [ma, mb] = [mean(ra), mean(rb)];
    let [ab, aa, bb] = [0, 0, 0];
    for (let i = 0; i < ra.length; i++) {
      ab += (ra[i] - ma) * (rb[i] - mb);
      aa += (ra[i] - ma) ** 2;
      bb += (rb[i] - mb) ** 2;
    }
    return aa > 0 && bb > 0 ? ab / Math.sqrt(aa * bb) : NaN;
  }

  /**
   * Patches sorted by label, raster order inside a label.
   * @returns {{order: Uint32Array, rank: Uint32Array}} order: position → patch, rank: patch → position
   */
  function sortOrder(labels) {
    const order = Uint32Array.from(labels, (_, i) => i).sort((a, b) => labels[a] - labels[b] || a - b);
    const rank = new Uint32Array(order.length);
    order.forEach((patch, position) => (rank[patch] = position));
    return { order, rank };
  }

  /** Runs of equal labels along an order: [{label, start, end}], end not included. */
  function runs(labels, order) {
    const found = [];
    order.forEach((patch, position) => {
      const last = found[found.length - 1];
      if (last && last.label === labels[patch]) last.end = position + 1;
      else found.push({ label: labels[patch], start: position, end: position + 1 });
    });
    return found;
  }

  /** How often each offset occurs between the cells of one side and the patches of the other: Map offset → count. */
  function offsets(patches, cells) {
    const found = new Map();
    for (let cell = 0; cell < cells; cell++) {
      const centre = ((cell + 0.5) * patches) / cells - 0.5;
      for (let patch = 0; patch < patches; patch++) {
        const away = Math.abs(centre - patch);
        found.set(away, (found.get(away) || 0) + 1);
      }
    }
    return found;
  }

  /**
   * Distances of all pairs (cell of keyGrid, patch of grid) in patches, a patch with itself left out.
   * @returns {{length: number[], weight: number[], total}} each different distance with the number of its pairs
   */
  function pairLengths(grid, keyGrid) {
    const [rows, cols] = [offsets(grid[0], keyGrid[0]), offsets(grid[1], keyGrid[1])];
    const same = grid[0] === keyGrid[0] && grid[1] === keyGrid[1];
    const found = { length: [], weight: [], total: 0 };
    for (const [down, m] of rows) {
      for (const [across, n] of cols) {
        const weight = same && down === 0 && across === 0 ? 0 : m * n;
        found.length.push(Math.hypot(down, across));
        found.weight.push(weight);
        found.total += weight;
      }
    }
    return found;
  }

  /** Mean of the values that share a home; NaN where nobody lives. */
  function poolBy(values, home, count) {
    const total = new Float64Array(count);
    const number = new Uint32Array(count);
    values.forEach((v, i) => {
      total[home[i]] += v;
      number[home[i]]++;
    });
    return total.map((t, cell) => t / number[cell]);
  }

  /** A map [h, w] on a grid: the mean of the pixels in each cell, or the pixel at its centre where cells are finer. */
  function poolMap(map, shape, grid) {
    const home = Array.from(map, (_, i) => HS.mapCell(i, shape, grid));
    const pooled = poolBy(map, home, grid[0] * grid[1]);
    return pooled.map((v, cell) => (Number.isNaN(v) ? map[HS.mapCell(cell, grid, shape)] : v));
  }

  HS.maths = { sum, mean, quantile, skew, topShare, histogram, wholeBins, tickStep, ticks, ranks, spearman, sortOrder, runs, pairLengths, poolBy, poolMap };
})();
