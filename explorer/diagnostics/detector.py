"""What a detector owes to its hyperedges: its two branches, the boxes, the tunnels and the detections without them.

Lei, Li, Wu et al., "YOLOv13", arXiv 2506.17733. Notation as in `memberships`; words in `soft_hypergraph.json`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from explorer.diagnostics.measure import Measure, NotMeasurable, measure, measured, percent
from explorer.diagnostics.memberships import Memberships, memberships, picture_of
from explorer.diagnostics.snapshot import Grid, known_mean, unit_rows
from models.structures import Detections, SoftHypergraph, Tunnel

SHUT = 0.02  # loudness below which a tunnel hardly changes what passes


def branch_likeness(
    one: SoftHypergraph | Memberships, other: SoftHypergraph | Memberships, picture: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Largest correlation of each hyperedge of one branch with one of the other, [M] and [M']; NaN where it is off or uniform.

    Both branches of HyperACE read the same features, so nothing but training keeps them apart. (Correlation is the cosine of
    the centred columns; of the columns as they are, two uniform maps would be alike.)

    Raises:
        ValueError: the branches lie on different grids.
        NotMeasurable: all hyperedges of a branch are uniform.
    """
    a, b = memberships(one, picture), memberships(other, picture)
    if a.grid != b.grid:
        raise ValueError(f"the branches lie on different grids: {a.grid} and {b.grid}")
    (left, left_known), (right, right_known) = a.maps, b.maps
    if not left_known.any() or not right_known.any():
        raise NotMeasurable("all hyperedges of a branch are uniform")
    alike = np.clip(left.T @ right, -1, 1)
    best = np.where(right_known, alike, -np.inf).max(1), np.where(left_known[:, None], alike, -np.inf).max(0)
    return np.where(left_known, best[0], np.nan), np.where(right_known, best[1], np.nan)


def cells_of(detections: Detections, grid: Grid) -> np.ndarray:
    """Which cells of the hypergraph's grid lie in each box, [n, N] bool: those whose centre is inside, at least the nearest one.

    Args:
        detections: boxes in the network's input, which the grid covers (before `Letterbox.back`).

    Raises:
        ValueError: cells would not be square, so the boxes are measured in another picture.
        models.structures.NonFiniteError: a box is not finite.
    """
    detections.require_finite("the boxes")
    height, width = (side / cells for side, cells in zip(detections.size, grid, strict=True))
    if not math.isclose(height, width, rel_tol=1e-6):
        raise ValueError(
            f"boxes in a picture of {detections.size[0]} × {detections.size[1]} pixels do not fit a grid of {grid[0]} × {grid[1]} cells; "
            "give them in pixels of the network's input"
        )
    left, top, right, bottom = (detections.boxes.detach().cpu().double().numpy() / height).T
    inside = []
    for low, high, cells in ((top, bottom, grid[0]), (left, right, grid[1])):
        centre = np.arange(cells) + 0.5
        covered = (low[:, None] <= centre) & (centre <= high[:, None])
        nearest = np.clip((low + high) / 2, 0, cells - 1e-9).astype(int)
        covered[np.arange(len(low)), nearest] = True
        inside.append(covered)
    return (inside[0][:, :, None] & inside[1][:, None]).reshape(len(left), grid[0] * grid[1])


def box_sharing(hypergraph: SoftHypergraph | Memberships, detections: Detections, picture: int = 0) -> np.ndarray:
    """How much two boxes share hyperedges, [n, n]: cosine of ā_b, the mean over a box's cells of N·A; 0 for a box in none.

    Entries are not negative, and 1 for a box with itself. Uniform hyperedges give 1 throughout.

    Raises: as `cells_of`.
    """
    s = memberships(hypergraph, picture)
    cells = cells_of(detections, s.grid)
    unit = unit_rows(cells @ s.degree / np.maximum(cells.sum(1), 1)[:, None] * s.n)
    return np.clip(unit @ unit.T, 0, 1)


@dataclass(frozen=True)
class BoxShare:
    """How much of the hyperedges lies on objects.

    Attributes:
        inside: share of each hyperedge that lies in a box, [M].
        area: share of the cells that lie in a box.
        per_box: mean of N·w over the cells of each box, [n, M]: 1 = as everywhere; NaN where a hyperedge is off.
    """

    inside: np.ndarray
    area: float
    per_box: np.ndarray

    @property
    def lift(self) -> np.ndarray:
        """inside/area, [M]: 1 = as everywhere."""
        return self.inside / self.area


def box_share(hypergraph: SoftHypergraph | Memberships, detections: Detections, picture: int = 0) -> BoxShare:
    """Share of each hyperedge inside boxes (found or true), against their area.

    Raises:
        NotMeasurable: no box, or no hyperedge is on.
        ValueError, models.structures.NonFiniteError: as `cells_of`.
    """
    s = memberships(hypergraph, picture)
    s.require()
    if not len(detections.boxes):
        raise NotMeasurable("there is no box")
    cells = cells_of(detections, s.grid)
    within = cells.any(0)
    per_box = cells @ s.weights * s.n / cells.sum(1)[:, None]
    return BoxShare(s.per_hyperedge(within @ s.weights), float(within.mean()), np.where(s.on, per_box, np.nan))


@dataclass(frozen=True)
class Tunnels:
    """How strongly the hypergraph acts at each place where its features are added (FullPAD).

    Attributes:
        names: of the places, in order.
        gate: g, [T].
        loudness: ρ = ‖g·enhanced‖_F/‖feature‖_F, [T].
        agreement: cosine of feature and g·enhanced, [T]: 1 = repeats it, 0 = adds something else, below 0 = takes away; NaN where
            either is 0.
    """

    names: tuple[str, ...]
    gate: np.ndarray
    loudness: np.ndarray
    agreement: np.ndarray


def tunnels(places: Mapping[str, Tunnel], picture: int = 0) -> Tunnels:
    """Gate, loudness and agreement of every tunnel, for one picture.

    Raises:
        NotMeasurable: there is no tunnel.
        models.structures.NonFiniteError: a tunnel holds NaN or infinity.
    """
    if not places:
        raise NotMeasurable("nothing was recorded of the places where the hypergraph acts")
    gates, loud, alike = [], [], []
    for name, tunnel in places.items():
        alone = picture_of(tunnel, picture, len(tunnel.feature))
        alone.require_finite(name)
        feature = alone.feature.double().flatten()
        sent = (alone.gate.double() * alone.enhanced.double()).flatten()
        sizes_ = float(feature.norm()), float(sent.norm())
        gates.append(float(alone.gate))
        loud.append(sizes_[1] / max(sizes_[0], 1e-300))
        alike.append(float(feature @ sent) / (sizes_[0] * sizes_[1]) if min(sizes_) > 0 else float("nan"))
    return Tunnels(tuple(places), np.array(gates), np.array(loud), np.array(alike))


@dataclass(frozen=True)
class Matched:
    """The detections of one picture with and without the hypergraph.

    Attributes:
        kept: pairs (index with, index without) of the same class that overlap, [n, 2] int64.
        gained: indices of those found only with, [g].
        suppressed: indices of those found only without, [s].
        overlap: intersection over union of the pairs, [n].
        change: score with − score without of the pairs, [n].
    """

    kept: np.ndarray
    gained: np.ndarray
    suppressed: np.ndarray
    overlap: np.ndarray
    change: np.ndarray


def matched(with_hyperedges: Detections, without: Detections, least: float = 0.5) -> Matched:
    """Pair detections of one class that overlap by at least `least` (IoU), each at most once, with the largest total overlap.

    Raises:
        ValueError: the detections are measured in pictures of different sizes, or `least` is not in 0…1.
        models.structures.NonFiniteError: a box or a score is not finite.
    Source: assignment: Kuhn, Naval Research Logistics 2, 1955; IoU: Jaccard 1912.
    """
    if with_hyperedges.size != without.size:
        raise ValueError(f"detections in pictures of {with_hyperedges.size} and {without.size} pixels cannot be compared")
    if not 0 < least <= 1:
        raise ValueError(f"the least overlap is {least}; it must be above 0 and at most 1")
    one, other = with_hyperedges.cpu(), without.cpu()
    for found, name in ((one, "detections with hyperedges"), (other, "detections without")):
        found.require_finite(name)
    shared = _overlaps(one.boxes.double().numpy(), other.boxes.double().numpy())
    shared = np.where((one.classes[:, None] == other.classes).numpy() & (shared >= least), shared, 0)
    rows, cols = linear_sum_assignment(shared, maximize=True)
    valid = shared[rows, cols] > 0
    pairs = np.stack([rows[valid], cols[valid]], 1).astype(np.int64)
    change = one.scores.double().numpy()[pairs[:, 0]] - other.scores.double().numpy()[pairs[:, 1]]
    gained, suppressed = (np.setdiff1d(np.arange(len(x.boxes)), pairs[:, i]) for i, x in enumerate((one, other)))
    return Matched(pairs, gained, suppressed, shared[pairs[:, 0], pairs[:, 1]], change)


def _overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes given by corners, [n, 4] and [m, 4] → [n, m]; 0 for boxes without area."""
    sides = np.clip(np.minimum(a[:, None, 2:], b[:, 2:]) - np.maximum(a[:, None, :2], b[:, :2]), 0, None)
    shared = sides.prod(2)
    area_a, area_b = (np.clip(x[:, 2:] - x[:, :2], 0, None).prod(1) for x in (a, b))
    union = area_a[:, None] + area_b - shared
    return shared / np.where(union > 0, union, 1)


def detector_summary(
    branches: Mapping[str, SoftHypergraph],
    places: Mapping[str, Tunnel],
    with_hyperedges: Detections | None = None,
    without: Detections | None = None,
    picture: int = 0,
) -> list[Measure]:
    """What a detector owes to its hypergraph, always the same keys in the same order. Each branch has its own `summary`.

    Args:
        branches: the hypergraphs of the high-order branches, by name.
        places: the tunnels, by name.
        with_hyperedges: the detections of the picture, in pixels of the network's input.
        without: the same with every gate at 0.

    Raises: as `summary`, `tunnels`, `matched` and `cells_of`.
    """
    found = [memberships(branch, picture) for branch in branches.values()]
    sections: list[tuple[tuple[str, ...], Callable[[], list[Measure]]]] = [
        (("tunnel_loudest", "tunnels_shut"), lambda: _tunnel_measures(places, picture)),
        (("branch_likeness",), lambda: _branch_measures(found)),
        (("box_lift",), lambda: _box_measures(branches, found, with_hyperedges)),
        (("boxes_kept", "boxes_gained", "boxes_suppressed", "score_change"), lambda: _matched_measures(with_hyperedges, without)),
    ]
    return [m for keys, section in sections for m in measured(keys, section)]


def _tunnel_measures(places: Mapping[str, Tunnel], picture: int) -> list[Measure]:
    found = tunnels(places, picture)
    loudest, shut = int(found.loudness.argmax()), int((found.loudness < SHUT).sum())
    return [
        measure("tunnel_loudest", float(found.loudness[loudest]), place=found.names[loudest], gate=found.gate[loudest]),
        measure("tunnels_shut", shut, grade=shut / len(found.names), all=len(found.names)),
    ]


def _branch_measures(branches: Sequence[Memberships]) -> list[Measure]:
    if len(branches) != 2:
        raise NotMeasurable("there are not two branches to compare")
    one, other = branches
    return [measure("branch_likeness", known_mean(np.concatenate(branch_likeness(one, other))))]


def _box_measures(names: Iterable[str], branches: Sequence[Memberships], boxes: Detections | None) -> list[Measure]:
    if boxes is None:
        raise NotMeasurable("no detections were given")
    if not branches:
        raise NotMeasurable("there is no branch")
    found = [box_share(branch, boxes) for branch in branches]
    best = [float(np.nanmax(share.lift)) for share in found]
    top = int(np.argmax(best))
    index = int(np.nanargmax(found[top].lift))
    inside, area = percent(float(found[top].inside[index])), percent(found[top].area)
    return [measure("box_lift", best[top], branch=list(names)[top], index=index + 1, inside=inside, area=area)]


def _matched_measures(one: Detections | None, other: Detections | None) -> list[Measure]:
    if one is None or other is None:
        raise NotMeasurable("the detections with and without the hypergraph were not given")
    found = matched(one, other)
    change = 100 * float(found.change.mean()) if len(found.change) else float("nan")
    return [
        measure("boxes_kept", len(found.kept), all=len(one.boxes)),
        measure("boxes_gained", len(found.gained)),
        measure("boxes_suppressed", len(found.suppressed)),
        measure("score_change", change, boxes=len(found.kept), reason="no detection is found both with and without the hypergraph"),
    ]
