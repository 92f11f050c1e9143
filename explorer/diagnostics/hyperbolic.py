"""Points and features in hyperbolic space: how tree-like, how spread, how bent, how close to the rim.

The words (names, formulas, thresholds, hints) are text beside the code: `hyperbolic.json`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from explorer.diagnostics.measure import Measure, NotMeasurable, measure, measured, percent
from models.structures import Distortion, NormProfile, PlanePoints, PoincarePoints, Reconstruction, TextPoints

MOST_POINTS = 240  # δ compares all triples


@dataclass(frozen=True)
class Hyperbolicity:
    """How far distances are from those of a tree.

    Attributes:
        delta: Gromov's δ, averaged over base points; 0 for a tree.
        relative: 2δ / largest distance, in [0, 1].
    """

    delta: float
    relative: float


def hyperbolicity(distances: np.ndarray | Tensor, bases: int = 10) -> Hyperbolicity:
    """δ = max_ij (max_k min(G_ik, G_kj) − G_ij) of the Gromov products G_ij = ½(d_0i + d_0j − d_ij), averaged over base points 0.

    Above 240 points 240 of them, evenly picked, are compared.

    Args:
        distances: [N, N].
    Raises:
        NotMeasurable: fewer than 4 points, or all in one place.
    Source: Gromov, "Hyperbolic groups", 1987; relative δ: Khrulkov and others, "Hyperbolic Image Embeddings", CVPR 2020.
    """
    d = np.asarray(distances, dtype=np.float64)
    if len(d) < 4:
        raise NotMeasurable("four points are needed to compare with a tree")
    if len(d) > MOST_POINTS:
        some = np.linspace(0, len(d) - 1, MOST_POINTS).round().astype(int)
        d = d[np.ix_(some, some)]
    largest = d.max()
    if not largest > 0:
        raise NotMeasurable("all points are in one place")
    found = [_delta(d, base) for base in np.unique(np.linspace(0, len(d) - 1, bases).round().astype(int))]
    delta = float(np.mean(found))
    return Hyperbolicity(delta, 2 * delta / float(largest))


def _delta(d: np.ndarray, base: int) -> float:
    product = 0.5 * (d[base][:, None] + d[base] - d)
    return max(float((np.minimum(row[:, None], product).max(0) - row).max()) for row in product)


def effective_radius(points: PoincarePoints) -> float:
    """√(c · mean d(x, m)²), how far the points spread around their Fréchet mean m, in units of the curvature radius 1/√c.

    Raises:
        NotMeasurable: a single point.
    """
    if len(points.points) < 2:
        raise NotMeasurable("one point has no spread")
    return float((points.centred().radius().square().mean() * points.curvature).sqrt())


def contrast(distances: np.ndarray | Tensor) -> float:
    """Standard deviation of the distances over all pairs, divided by their mean.

    Raises:
        NotMeasurable: fewer than 3 points, or all in one place.
    """
    d = np.asarray(distances, dtype=np.float64)
    pairs = d[np.triu_indices(len(d), 1)]
    if len(pairs) < 3:
        raise NotMeasurable("three points are needed to compare distances")
    if not pairs.mean() > 0:
        raise NotMeasurable("all points are in one place")
    return float(pairs.std() / pairs.mean())


# -------------------------------------------------------------------------------------------------------------- measures


def points_summary(points: PoincarePoints, ancestors: Tensor | None = None) -> list[Measure]:
    """Measures of points in the ball, always the same keys in the same order; None with a reason where one cannot be computed.

    Args:
        ancestors: True at [u, v] where node v is above u, [N, N] bool; without it the measures of the hierarchy are None.
    Raises:
        models.structures.NonFiniteError: a coordinate is NaN or infinite.
    """
    points.require_finite("the embedding")
    distances = points.distances()
    return [
        *measured(["effective_radius"], lambda: [measure("effective_radius", effective_radius(points))]),
        *measured(["clipped_points"], lambda: [measure("clipped_points", float(points.saturated().double().mean()))]),
        *measured(["distance_contrast"], lambda: [measure("distance_contrast", contrast(distances))]),
        *measured(["delta_hyperbolicity"], lambda: [measure("delta_hyperbolicity", hyperbolicity(distances).relative)]),
        *measured(["ancestor_precision", "ancestor_rank"], lambda: _hierarchy(distances, ancestors)),
        *measured(["outward_edges"], lambda: [measure("outward_edges", outward(points))]),
    ]


def plane_summary(points: PlanePoints, ancestors: Tensor | None = None) -> list[Measure]:
    """Of points in flat space, what can be compared with the ball: contrast, likeness to a tree, ancestors. Arguments as `points_summary`."""
    points.require_finite("the embedding")
    distances = points.distances()
    return [
        *measured(["distance_contrast"], lambda: [measure("distance_contrast", contrast(distances))]),
        *measured(["delta_hyperbolicity"], lambda: [measure("delta_hyperbolicity", hyperbolicity(distances).relative)]),
        *measured(["ancestor_precision", "ancestor_rank"], lambda: _hierarchy(distances, ancestors)),
    ]


def outward(points: PoincarePoints) -> float:
    """Share of tree edges whose child lies farther from the centre than its parent: 1 where the radius tells the depth.

    Raises:
        NotMeasurable: the points are no tree.
    """
    if points.edges is None or not points.edges.shape[1]:
        raise NotMeasurable("the points are not joined by a tree")
    radius = points.radius()
    parent, child = points.edges
    return float((radius[child] > radius[parent]).double().mean())


def map_summary(before: Tensor, after: Tensor) -> list[Measure]:
    """How a map bends distances [N, N]: average and worst distortion, share of the squared distance that is kept."""

    def found() -> list[Measure]:
        try:
            d = Distortion.of(before, after)
        except ValueError as reason:
            raise NotMeasurable(str(reason)) from None
        return [
            measure("distortion_average", d.average),
            measure("distortion_worst", d.worst, reason="two points fall together on the map"),
            measure("variance_kept", d.variance_kept),
        ]

    return measured(["distortion_average", "distortion_worst", "variance_kept"], found)


def profile_summary(profile: NormProfile) -> list[Measure]:
    """Whether the features of a network collapse, jump or reach the clip on their way through the layers."""
    median = profile.quantiles[:, profile.quantiles.shape[1] // 2].numpy()
    clipped = profile.saturated.numpy()
    low, full = int(median.argmin()), int(clipped.argmax())
    return [
        measure("norm_smallest", float(median[low]), layer=profile.names[low]),
        *measured(["norm_step"], lambda: [_step(profile.names, median)]),
        measure("clipped_features", float(clipped[full]), layer=profile.names[full]),
    ]


def text_summary(points: TextPoints) -> list[Measure]:
    """How well the nearest class text names a node, beside the cosine, and what the radii do to the distances."""
    points.require_finite("the points")
    known = points.label >= 0
    cosine = F.normalize(points.nodes.double()) @ F.normalize(points.classes.double()).T
    right = {"nearest": points.distances().argmin(1) == points.label, "cosine": cosine.argmax(1) == points.label}

    def named() -> list[Measure]:
        if not known.any():
            raise NotMeasurable("no node has a known class")
        share = {key: float(found[known].double().mean()) for key, found in right.items()}
        chance = 1 / len(points.classes)
        return [
            measure("zero_shot_accuracy", share["nearest"], chance=percent(chance), nodes=int(known.sum())),
            measure("cosine_accuracy", share["cosine"], nodes=int(known.sum())),
        ]

    return [
        *measured(["zero_shot_accuracy", "cosine_accuracy"], named),
        measure("mean_radius", float(points.radius().double().mean())),
        *measured(["distance_contrast"], lambda: [measure("distance_contrast", contrast(points.between()))]),
        measure("beyond_float32", float(points.beyond_float32().double().mean())),
    ]


def _step(names: Sequence[str], median: np.ndarray) -> Measure:
    if len(median) < 2:
        raise NotMeasurable("there is only one layer")
    if not (median > 0).all():
        raise NotMeasurable(f"the features of {names[int((median <= 0).argmax())]} are all zero")
    change = np.abs(np.diff(np.log(median)))
    at = int(change.argmax())
    return measure("norm_step", float(np.exp(change[at])), layer=names[at + 1])


def _hierarchy(distances: Tensor, ancestors: Tensor | None) -> list[Measure]:
    if ancestors is None:
        raise NotMeasurable("no hierarchy was given")
    try:
        found = Reconstruction.of(distances, ancestors)
    except ValueError as reason:
        raise NotMeasurable(str(reason)) from None
    return [
        measure("ancestor_precision", found.average_precision),
        measure("ancestor_rank", found.mean_rank, nodes=len(distances)),
    ]
