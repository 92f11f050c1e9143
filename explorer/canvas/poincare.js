/**
 * The mathematics of the Poincaré disk (curvature −1, radius 1), by the same formulas as models/hyperbolic/ball.py and with the same
 * numbers (tests/canvas/test-poincare.mjs). Points and tangent vectors are pairs [x, y]; many of them lie end to end in one flat array.
 *
 * An orientation-preserving isometry z ↦ (a z + b)/(b̄ z + ā), |a|² − |b|² = 1, is the list [Re a, Im a, Re b, Im b]. Composing
 * lists composes the maps, and no point is moved twice: views are drawn from the original coordinates every time.
 */
(() => {
  "use strict";

  const EPS = Number.EPSILON;
  const gap = (x, y) => Math.max(EPS, 1 - x * x - y * y);

  // ------------------------------------------------------------------------------------------------- points and lengths

  /** exp0 of tangent vectors at the centre, flat: tanh(‖t‖) t/‖t‖. */
  function exp0(tangents) {
    const points = new Float64Array(tangents.length);
    for (let i = 0; i < points.length; i += 2) {
      const [x, y] = [tangents[i], tangents[i + 1]];
      const size = Math.hypot(x, y);
      const scale = size < 1e-15 ? 1 : Math.tanh(size) / size;
      points[i] = x * scale;
      points[i + 1] = y * scale;
    }
    return points;
  }

  /** log0 of one point: as long as half its distance from the centre. */
  function log0([x, y]) {
    const size = Math.hypot(x, y);
    const scale = size < 1e-15 ? 1 : Math.atanh(Math.min(size, 1 - EPS)) / size;
    return [x * scale, y * scale];
  }

  /** x ⊕ y, in complex numbers (x + y)/(1 + x̄ y). */
  function add([ax, ay], [bx, by]) {
    const [wx, wy] = [ax + bx, ay + by];
    const apart = wx * wx + wy * wy;
    const gapA = gap(ax, ay);
    const below = apart + gapA * gap(bx, by);
    return [(apart * ax + gapA * wx) / below, (apart * ay + gapA * wy) / below];
  }

  const distance = ([ax, ay], [bx, by]) => 2 * Math.asinh(Math.hypot(ax - bx, ay - by) / Math.sqrt(gap(ax, ay) * gap(bx, by)));

  /**
   * Distance of exp0(s) and exp0(t) from the tangent vectors: it keeps its digits at any radius.
   * sinh²(d/2) = sinh²(h₁ − h₂) + sinh 2h₁ · sinh 2h₂ · sin²(θ/2), h the lengths, θ the angle between them.
   */
  function tangentDistance(sx, sy, tx, ty) {
    const [hs, ht] = [Math.hypot(sx, sy), Math.hypot(tx, ty)];
    const [dx, dy] = [sx - tx, sy - ty];
    const longer = (dx * (sx + tx) + dy * (sy + ty)) / Math.max(hs + ht, 1e-15);
    const turn = longer / Math.max(hs, 1e-15);
    const below = Math.max(ht, 1e-15);
    const halfChord = Math.hypot((dx - sx * turn) / below, (dy - sy * turn) / below) / 2;
    const across = Math.sqrt(Math.sinh(2 * hs)) * Math.sqrt(Math.sinh(2 * ht)) * halfChord;
    return 2 * Math.asinh(Math.hypot(Math.sinh(longer), across));
  }

  /** γ(t) = x ⊕ (t ⊗ ((−x) ⊕ y)): equal hyperbolic steps from x (t = 0) to y (t = 1). */
  function geodesic(x, y, t) {
    const [sx, sy] = add([-x[0], -x[1]], y);
    const size = Math.hypot(sx, sy);
    if (size < 1e-15) return [...x];
    const scale = Math.tanh(t * Math.atanh(Math.min(size, 1 - EPS))) / size;
    return add(x, [sx * scale, sy * scale]);
  }

  // ----------------------------------------------------------------------------------------------------------- isometries

  const IDENTITY = [1, 0, 0, 0];

  /** The translation along the straight line through the centre that brings the centre to p. */
  function translation([x, y]) {
    const scale = 1 / Math.sqrt(gap(x, y));
    return [scale, 0, x * scale, y * scale];
  }

  const rotation = (angle) => [Math.cos(angle / 2), Math.sin(angle / 2), 0, 0];
  const inverse = ([ar, ai, br, bi]) => [ar, -ai, -br, -bi];

  /** f after g. |a|² − |b|² is made 1 again, so that long chains do not drift. */
  function compose([ar, ai, br, bi], [cr, ci, dr, di]) {
    const er = ar * cr - ai * ci + br * dr + bi * di;
    const ei = ar * ci + ai * cr + bi * dr - br * di;
    const fr = ar * dr - ai * di + br * cr + bi * ci;
    const fi = ar * di + ai * dr + bi * cr - br * ci;
    const scale = Math.sqrt(1 + fr * fr + fi * fi) / Math.hypot(er, ei);
    return [er * scale, ei * scale, fr, fi];
  }

  /** The images of points, flat, in `out` or a new array. */
  function move([ar, ai, br, bi], points, out = new Float64Array(points.length)) {
    for (let i = 0; i < points.length; i += 2) {
      const [x, y] = [points[i], points[i + 1]];
      const ur = ar * x - ai * y + br;
      const ui = ar * y + ai * x + bi;
      const vr = br * x + bi * y + ar;
      const vi = br * y - bi * x - ai;
      const below = vr * vr + vi * vi;
      out[i] = (ur * vr + ui * vi) / below;
      out[i + 1] = (ui * vr - ur * vi) / below;
    }
    return out;
  }

  const moved = (isometry, point) => Array.from(move(isometry, point));

  /** Takes p to q: the translation of p to the centre, then of the centre to q. What a drag from p to q does. */
  const dragging = (p, q) => compose(translation(q), translation([-p[0], -p[1]]));

  /** What an isometry is, in three numbers: the tangent vector of the point that it brings to the centre, and the turn after that. */
  function toView([ar, ai, br, bi]) {
    const size = Math.hypot(br, bi);
    const half = size < 1e-15 ? 0 : Math.asinh(size) / size;
    const phase = Math.hypot(ar, ai);
    // p = −b/a
    const [re, im] = [-(br * ar + bi * ai) / phase, -(bi * ar - br * ai) / phase];
    return [re * half, im * half, 2 * Math.atan2(ai, ar)];
  }

  function fromView([x, y, angle]) {
    const size = Math.hypot(x, y);
    const scale = size < 1e-15 ? 1 : Math.sinh(size) / size;
    return compose(rotation(angle), [Math.cosh(size), 0, -x * scale, -y * scale]);
  }

  // -------------------------------------------------------------------------------------------------------------- circles

  /** The Euclidean circle of all points at distance `radius` from p: {x, y, r}. */
  function circle([px, py], radius) {
    const t = Math.tanh(radius / 2);
    const below = 1 - (px * px + py * py) * t * t;
    return { x: (px * (1 - t * t)) / below, y: (py * (1 - t * t)) / below, r: (t * gap(px, py)) / below };
  }

  /**
   * The geodesic between two points as a piece of a circle: {x, y, r, from, to, back}, angles as a canvas takes them;
   * null where it is straight to the eye (through the centre, or between points that fall together).
   */
  function arc(ux, uy, vx, vy) {
    const turned = ux * vy - uy * vx;
    if (Math.abs(turned) < 1e-9) return null;
    const [p, q] = [(1 + ux * ux + uy * uy) / 2, (1 + vx * vx + vy * vy) / 2];
    const [x, y] = [(p * vy - q * uy) / turned, (ux * q - vx * p) / turned];
    // The geodesic is the short way round its circle; it runs backwards where the centre of the disk lies to its left.
    const from = Math.atan2(uy - y, ux - x);
    const to = Math.atan2(vy - y, vx - x);
    const way = Math.atan2(Math.sin(to - from), Math.cos(to - from));
    return { x, y, r: Math.hypot(ux - x, uy - y), from, to, back: way < 0 };
  }

  /**
   * The two ideal points of the gyroplane (a geodesic) of a Poincaré linear layer with unit normal n and offset r: the points of the rim
   * at the angles ±arccos(2ρ/(1 + ρ²)) from n, ρ = tanh r.
   */
  function planeEnds([nx, ny], offset) {
    const rho = Math.tanh(offset);
    const turn = Math.acos((2 * rho) / (1 + rho * rho));
    const middle = Math.atan2(ny, nx);
    return [middle - turn, middle + turn].map((angle) => [Math.cos(angle), Math.sin(angle)]);
  }

  // ---------------------------------------------------------------------------------------------------------------- means

  /** Weighted gyromidpoint of points [[x, y], …] in closed form: q = Σ w λ x / Σ w (λ − 1), m = q/(1 + √(1 − ‖q‖²)). */
  function midpoint(points, weights = null) {
    let [x, y, below] = [0, 0, 0];
    points.forEach(([px, py], i) => {
      const factor = 2 / gap(px, py);
      const w = weights ? weights[i] : 1;
      x += w * factor * px;
      y += w * factor * py;
      below += w * (factor - 1);
    });
    [x, y] = [x / below, y / below];
    const scale = 1 / (1 + Math.sqrt(gap(x, y)));
    return [x * scale, y * scale];
  }

  /**
   * The way of the iteration to the Fréchet mean, as models/hyperbolic/ball.py goes it: the gyromidpoint first, then gyromidpoints with
   * the weights d/sinh d, until a step is below `enough` or `most` steps are taken.
   */
  function meanSteps(points, most = 60, enough = 1e-9) {
    const steps = [midpoint(points)];
    while (steps.length <= most) {
      const before = steps[steps.length - 1];
      const now = midpoint(points, points.map((point) => distance(point, before)).map((d) => (d < 1e-9 ? 1 : d / Math.sinh(d))));
      steps.push(now);
      if (Math.hypot(now[0] - before[0], now[1] - before[1]) < enough) break;
    }
    return steps;
  }

  HS.poincare = { midpoint, meanSteps, IDENTITY, gap, exp0, log0, add, distance, tangentDistance, geodesic, translation, rotation, inverse, compose, move, moved, dragging, toView, fromView, circle, arc, planeEnds };
})();
