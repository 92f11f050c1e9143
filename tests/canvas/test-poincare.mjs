// node --test tests/canvas — the mathematics of the disk, against the numbers that Python computes (poincare_numbers.py)
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { loadCanvas, random } from "./load.mjs";

const { poincare: P } = loadCanvas("core", "poincare");
const KNOWN = JSON.parse(readFileSync(new URL("poincare.json", import.meta.url), "utf8"));
const { points } = KNOWN;
const next = (list, i) => list[(i + 1) % list.length];

function near(found, expected, tolerance, what) {
  [found].flat().forEach((value, k) => {
    const wanted = [expected].flat()[k];
    assert.ok(Math.abs(value - wanted) <= tolerance * Math.max(1, Math.abs(wanted)), `${what}: ${value}, expected ${wanted}`);
  });
}

test("points, tangent vectors and Möbius addition equal Python's", () => {
  const found = P.exp0(KNOWN.tangents.flat());
  points.forEach((point, i) => {
    near(Array.from(found.subarray(2 * i, 2 * i + 2)), point, 1e-15, `exp0 ${i}`);
    // At the rim the tangent vector hangs on the last digits of the point, so it is compared as Python's own log0 of the point.
    near(P.log0(point), KNOWN.log0[i], 1e-11, `log0 ${i}`);
    near(P.add(point, next(points, i)), KNOWN.add[i], 1e-12, `add ${i}`);
  });
});

test("distances equal Python's, from points and from tangent vectors", () => {
  points.forEach((point, i) => {
    near(P.distance(point, next(points, i)), KNOWN.distance[i], 1e-13, `distance ${i}`);
    near(P.tangentDistance(...KNOWN.tangents[i], ...next(KNOWN.tangents, i)), KNOWN.tangent_distance[i], 1e-13, `polar ${i}`);
    points.forEach((other, j) => near(P.distance(point, other), KNOWN.pairwise[i][j], 1e-13, `distance ${i} ${j}`));
  });
});

test("geodesics equal Python's", () => {
  KNOWN.steps.forEach((t, s) => points.forEach((point, i) => near(P.geodesic(point, next(points, i), t), KNOWN.geodesic[s][i], 1e-7, `γ(${t}) ${i}`)));
});

test("a point in the centre: what is seen from it equals Python's", () => {
  const { origin, points: expected } = KNOWN.seen_from;
  const view = P.translation(points[origin].map((x) => -x));
  points.forEach((point, i) => near(P.moved(view, point), expected[i], 1e-10, `seen ${i}`));
});

const isometries = (count, seed = 3) => {
  const draw = random(seed);
  const some = () => {
    const [r, angle] = [0.95 * draw(), 2 * Math.PI * draw()];
    return [r * Math.cos(angle), r * Math.sin(angle)];
  };
  return Array.from({ length: count }, () => P.compose(P.rotation(6 * draw() - 3), P.dragging(some(), some())));
};

test("isometries keep distances, compose, and undo each other", () => {
  const list = isometries(40);
  list.forEach((f, k) => {
    const g = next(list, k);
    points.slice(0, 9).forEach((z, i) => {
      const w = next(points.slice(0, 9), i);
      near(P.distance(P.moved(f, z), P.moved(f, w)), P.distance(z, w), 1e-7, `isometry ${k} ${i}`);
      near(P.moved(P.compose(f, g), z), P.moved(f, P.moved(g, z)), 1e-8, `composition ${k} ${i}`);
      near(P.moved(P.inverse(f), P.moved(f, z)), z, 1e-8, `inverse ${k} ${i}`);
    });
    near(f[0] ** 2 + f[1] ** 2 - f[2] ** 2 - f[3] ** 2, 1, 1e-9, "determinant");
  });
});

test("a long chain of drags stays an isometry", () => {
  const draw = random(8);
  let view = P.IDENTITY;
  for (let k = 0; k < 3000; k++) {
    const [r, angle] = [0.8 * draw(), 2 * Math.PI * draw()];
    view = P.compose(P.dragging(P.moved(view, [0.1, 0.2]), [r * Math.cos(angle), r * Math.sin(angle)]), view);
  }
  near(view[0] ** 2 + view[1] ** 2 - view[2] ** 2 - view[3] ** 2, 1, 1e-12, "determinant");
  near(P.distance(P.moved(view, points[3]), P.moved(view, points[7])), P.distance(points[3], points[7]), 1e-10, "distance");
});

test("a drag takes the point under the pointer along", () => {
  near(P.moved(P.dragging([0.3, -0.2], [-0.5, 0.6]), [0.3, -0.2]), [-0.5, 0.6], 1e-15, "drag");
});

test("a view travels as three numbers", () => {
  for (const f of [P.IDENTITY, ...isometries(20, 5)]) {
    const again = P.fromView(P.toView(f));
    points.slice(0, 9).forEach((z) => near(P.moved(again, z), P.moved(f, z), 1e-9, "view"));
  }
});

test("arcs are geodesics: every point of γ lies on the circle, between the ends, and the circle meets the rim at right angles", () => {
  points.forEach((u, i) => {
    const v = next(points, i);
    const found = P.arc(...u, ...v);
    if (!found) return;
    near(Math.hypot(found.x, found.y) ** 2, found.r ** 2 + 1, 1e-6, `orthogonal ${i}`);
    for (const t of [0.2, 0.5, 0.8]) {
      const [x, y] = P.geodesic(u, v, t);
      near(Math.hypot(x - found.x, y - found.y), found.r, 1e-7, `on the circle ${i}`);
      const turn = (angle) => (((found.back ? found.from - angle : angle - found.from) % (2 * Math.PI)) + 2 * Math.PI) % (2 * Math.PI);
      assert.ok(turn(Math.atan2(y - found.y, x - found.x)) <= turn(found.to) + 1e-6, `between the ends ${i}`);
    }
  });
  assert.equal(P.arc(0.1, 0.2, 0.2, 0.4), null);
});

test("a hyperbolic circle is the Euclidean circle of its points", () => {
  for (const centre of points.slice(0, 8)) {
    const { x, y, r } = P.circle(centre, 1.3);
    for (let k = 0; k < 8; k++) near(P.distance(centre, [x + r * Math.cos(k), y + r * Math.sin(k)]), 1.3, 1e-6, "circle");
  }
});

test("a gyroplane ends at the rim and passes its nearest point", () => {
  KNOWN.planes.normals.forEach((normal, i) => {
    const [p, q] = P.planeEnds(normal, KNOWN.planes.offsets[i]);
    near([Math.hypot(...p), Math.hypot(...q)], [1, 1], 1e-15, "rim");
    const { x, y, r } = P.arc(...p, ...q);
    const [nx, ny] = KNOWN.planes.nearest[i];
    near(Math.hypot(nx - x, ny - y), r, 1e-9, `on the plane ${i}`);
    near(Math.hypot(nx, ny), Math.hypot(x, y) - r, 1e-9, `nearest ${i}`);
  });
});

test("the gyromidpoint and the end of the iteration to the Fréchet mean equal Python's, and no step raises the mean squared distance", () => {
  const some = points.slice(0, 11);
  near(P.midpoint(some), KNOWN.means.midpoint, 1e-12, "midpoint");
  near(P.midpoint(some, some.map((_, i) => i + 1)), KNOWN.means.weighted, 1e-12, "weighted midpoint");
  const steps = P.meanSteps(some, 200, 1e-12);
  near(steps[0], KNOWN.means.midpoint, 1e-12, "first step");
  near(steps[steps.length - 1], KNOWN.means.frechet, 1e-9, "last step");
  const cost = (mean) => some.reduce((sum, point) => sum + P.distance(point, mean) ** 2, 0);
  for (let i = 1; i < steps.length; i++) assert.ok(cost(steps[i]) <= cost(steps[i - 1]) * (1 + 1e-12), `step ${i}`);
});
