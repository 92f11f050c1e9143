/**
 * Why an edge exists or not, as numbers and as a sentence, without drawing: HS.explain.
 * All of it is read off the candidates of one layer under the visitor's rule.
 */
(() => {
  "use strict";

  /** Column of source b in the candidates of target a, −1 when b was not looked at. */
  function columnOf(layer, a, b) {
    const width = layer.candidates.shape[1];
    for (let j = 0; j < width; j++) if (layer.candidates[a * width + j] === b) return j;
    return -1;
  }

  const isEdge = (graph, a, b) => {
    for (let e = graph.offsets[a]; e < graph.offsets[a + 1]; e++) if (graph.source[e] === b) return true;
    return false;
  };

  /** How many other candidates of a are closer than candidate column j, plus 1; the patch itself does not count. */
  function rankOf(layer, a, j) {
    const width = layer.candidates.shape[1];
    const own = HS.pooled(layer) ? -1 : a;
    const sorted = layer.rule.name === "nearest"; // then the order is known, even of distances that are equal once rounded
    let rank = 1;
    for (let i = 0; i < width; i++) {
      const closer = sorted ? i < j : layer.distance[a * width + i] < layer.distance[a * width + j];
      if (i !== j && layer.candidates[a * width + i] !== own && closer) rank++;
    }
    return rank;
  }

  const inList = (j, k, dilation) => j % dilation === 0 && j / dilation < k;

  /** The distance at which the choice flips: of the first candidate left out for an edge, else of the last one kept. */
  function limitOf(layer, rule, a, kept) {
    const width = layer.candidates.shape[1];
    if (layer.rule.name === "axial-threshold") return layer.rule.mean - rule.multiplier * layer.rule.std;
    if (layer.rule.name === "radius") return layer.rule.epsilon ** 2;
    if (layer.rule.name !== "nearest") return null;
    const at = (kept ? rule.k : rule.k - 1) * rule.dilation;
    return at < width ? layer.distance[a * width + at] : null;
  }

  /**
   * Everything known about "does target a listen to source b?".
   * @param look rule of the visitor; @param row all distances of a (from the server) or null
   * @returns {{column, candidate, kept, modelKept, distance, rank, of, limit, margin, position, share, answered, wrap}}
   *   margin = (limit − distance) / |limit|; what is unknown is null
   */
  function explain(layer, graph, look, a, b, row = null) {
    const width = layer.candidates.shape[1];
    const rule = HS.effectiveRule(layer, look);
    const column = columnOf(layer, a, b);
    const candidate = column >= 0;
    const at = a * width + column;
    const kept = isEdge(graph, a, b);
    const read = (name) => (candidate && layer[name] ? layer[name][at] : null);
    const distance = read("distance") ?? (row ? row[b] : null);
    const limit = layer.distance ? limitOf(layer, rule, a, kept) : null;
    const own = HS.pooled(layer) ? -1 : a;
    const share = read("share");
    return {
      column,
      candidate,
      kept,
      modelKept: candidate && Boolean(layer.kept[at]),
      distance,
      rank: candidate && layer.distance ? rankOf(layer, a, column) : row ? 1 + row.filter((d, i) => i !== b && i !== own && d < row[b]).length : null,
      of: row ? row.length - (own < 0 ? 0 : 1) : width - (columnOf(layer, a, a) >= 0 && own >= 0 ? 1 : 0),
      limit,
      margin: distance !== null && limit !== null && limit !== 0 ? (limit - distance) / Math.abs(limit) : null,
      position: read("position"),
      share: share === null ? null : share / 255,
      answered: HS.pooled(layer) ? null : isEdge(graph, b, a),
      wrap: HS.isAxial(layer) && candidate && b > a,
    };
  }

  // -------------------------------------------------------------------------------------------- which setting flips it

  /** For a nearest-neighbour rule: the smallest changes of k and of dilation that flip the edge. */
  function flipsNearest(layer, rule, column, kept) {
    const width = layer.candidates.shape[1];
    const works = (k, d) => (k - 1) * d < width && inList(column, k, d);
    const found = [];
    if (kept) {
      if (column > 0) found.push(`at k ≤ ${column / rule.dilation}`);
      for (let d = rule.dilation + 1; d * (rule.k - 1) < width; d++) {
        if (works(rule.k, d)) continue;
        found.push(`at dilation ${d}`);
        break;
      }
      return found;
    }
    if (column % rule.dilation === 0) found.push(`at k ≥ ${column / rule.dilation + 1}`);
    for (let away = 1; away < 16; away++) {
      const d = [rule.dilation - away, rule.dilation + away].find((one) => one >= 1 && works(rule.k, one));
      if (!d) continue;
      found.push(`at dilation ${d}`);
      break;
    }
    if (found.length === 0) found.push(`at dilation 1 and k ≥ ${column + 1}`);
    return found;
  }

  const two = (value) => (Math.round(value * 100) / 100).toFixed(2);
  const list = (items) => items.join(" or ");

  function sentenceNearest(layer, rule, x) {
    if (!x.candidate) {
      const rank = x.rank ? `It is only the ${ordinal(x.rank)} nearest of ${x.of}` : `It is not among the ${x.of} nearest that are listed`;
      return `${rank}: far beyond k = ${rule.k}.`;
    }
    const flips = flipsNearest(layer, rule, x.column, x.kept);
    if (x.kept) return flips.length ? `This edge would vanish ${list(flips)}.` : "The nearest of all: no k or dilation drops this edge.";
    const skipped = x.column % rule.dilation !== 0 ? `Dilation ${rule.dilation} jumps over it. ` : "";
    return `${skipped}This edge would appear ${list(flips)}.`;
  }

  function sentenceThreshold(layer, rule, x) {
    if (!x.candidate) return `Never an edge: only every ${ordinal(layer.rule.step)} patch of the same row and column is looked at, whatever the distance.`;
    if (!(layer.rule.std > 0)) return "All sampled distances are equal, so λ moves nothing.";
    const lambda = (layer.rule.mean - x.distance) / layer.rule.std;
    // An edge needs distance < μ − λσ, so the turning point itself is already without the edge; round to the safe side.
    if (x.kept) return `This edge would vanish at λ ≥ ${two(Math.ceil(lambda * 100) / 100)} (now ${HS.show(rule.multiplier)}).`;
    return `This edge would appear at λ ≤ ${two(Math.ceil(lambda * 100 - 1) / 100)} (now ${HS.show(rule.multiplier)}).`;
  }

  function sentenceAxial(layer, rule, x) {
    if (x.kept) return "Fixed by place alone: this edge is there for every picture, and no distance is compared.";
    const back = x.answered ? " The other way round there is an edge: on an odd side the roll runs one way only." : "";
    return `Never an edge: the rule takes every ${ordinal(layer.rule.step)} patch of the same row and column, rolled one way.${back}`;
  }

  function sentenceMutual(layer, rule, x) {
    if (x.kept) return `Each is among the ${layer.rule.k} nearest of the other; the edge would vanish at k ≤ ${x.rank - 1} or earlier from the other side.`;
    return "Both must be among each other's k nearest; here at least one is not.";
  }

  const SENTENCES = {
    nearest: sentenceNearest,
    "axial-threshold": sentenceThreshold,
    axial: sentenceAxial,
    "mutual-nearest": sentenceMutual,
    radius: (layer, rule, x) => (x.distance === null ? "Too far to be listed." : `This edge ${x.kept ? "would vanish at a radius ≤" : "would appear at a radius above"} ${two(Math.sqrt(x.distance))}.`),
    grid: (layer, rule, x) => (x.kept ? "They touch, so they are linked in every picture." : "They do not touch, so they are never linked."),
    random: (layer, rule, x) => (x.kept ? "Drawn at random, once for all pictures." : "Not drawn; the draw is the same for all pictures."),
  };

  /** One sentence: which setting would drop or add the edge. */
  function sentence(layer, look, x) {
    const rule = HS.effectiveRule(layer, look);
    if (!x.kept && rule.quantile < 1 && x.candidate) return "Hidden by the slider that shows only the shortest edges, or not chosen by the rule.";
    const say = SENTENCES[layer.rule.name];
    return say ? say(layer, rule, x) : "";
  }

  /** 1st, 2nd, 3rd, 4th … */
  function ordinal(n) {
    const tail = n % 100 > 10 && n % 100 < 14 ? "th" : { 1: "st", 2: "nd", 3: "rd" }[n % 10] || "th";
    return `${n}${tail}`;
  }

  /** What a distance of this layer measures, for an axis. */
  function unitOf(layer) {
    if (layer.rule.name === "axial-threshold") return `distance (${layer.rule.p === 2 ? "L2" : "L1"}, feature units)`;
    if (layer.rule.name === "predicted") return "minus the estimated attention";
    return layer.position ? "squared distance of unit features + position term" : "squared distance of unit features (0 … 4)";
  }

  /** The numbers beside the sentence, as [name, words]; what does not exist for this rule is left out. */
  function factsOf(layer, x) {
    const found = [];
    if (x.distance !== null) found.push(layer.rule.name === "predicted" ? ["estimate", HS.show(-x.distance)] : ["distance", HS.show(x.distance)]);
    if (x.rank !== null && layer.distance) found.push(["rank", `${ordinal(x.rank)} of ${x.of}`]);
    if (x.margin !== null) found.push(["margin", `${HS.percent(Math.abs(x.margin))} ${x.margin > 0 ? "inside" : "outside"} (limit ${HS.show(x.limit)})`]);
    if (x.position !== null) found.push(["position term", `${HS.show(x.position)} (features ${HS.show(x.distance - x.position)})`]);
    if (x.share !== null && x.kept) found.push(["channels won", HS.percent(x.share)]);
    if (x.wrap) found.push(["way", "across the border"]);
    return found;
  }

  HS.explain = { explain, sentence, flipsNearest, columnOf, rankOf, unitOf, factsOf, ordinal };
})();
