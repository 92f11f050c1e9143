"""Which patches were kept: do they cover the object, repeat each other, sit in sinks or padding, and carry the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import pdist
from torch import Tensor

from explorer.diagnostics.attention import iou_by_chance, rank_correlation
from explorer.diagnostics.measure import NotMeasurable
from explorer.diagnostics.memberships import picture_of
from explorer.diagnostics.snapshot import Grid, Labels, as_labels, cell_of
from models.structures import Attribution, TokenSelection
from models.structures.tokens import ROLES

SINK = 5.0  # a patch with this many times the mean score is a sink


def one_selection(selection: TokenSelection, picture: int = 0) -> TokenSelection:
    """The selection of one picture alone, on the CPU.

    Raises:
        IndexError: there is no such picture.
        models.structures.NonFiniteError: a score is NaN or infinite.
        NotMeasurable: nothing is kept.
    """
    alone = picture_of(selection, picture, len(selection.role))
    alone.require_finite(f"selection of picture {picture}")
    if not alone.mask.any():
        raise NotMeasurable("no patch is kept")
    return alone


def _kept(selection: TokenSelection, picture: int) -> np.ndarray:
    return one_selection(selection, picture).mask[0].numpy()


# -------------------------------------------------------------------------------------------------------------- the object


@dataclass(frozen=True)
class Coverage:
    """How much of the object is kept.

    Attributes:
        recall: share of the object's patches that are kept.
        chance: share of all patches that are kept, the recall of a random choice.
        precision: share of the kept patches that lie on the object; NaN where none is kept.
        base: share of all patches that lie on the object, the precision of a random choice.
    """

    recall: float
    chance: float
    precision: float
    base: float


def coverage(selection: TokenSelection, objects: Labels, picture: int = 0, roles: Sequence[str] = ROLES[1:]) -> Coverage:
    """Recall and precision of the object's patches.

    Args:
        objects: above 0 on the object, 0 beside it, negative where unknown (left out), [N].
        roles: names of the roles that count as kept; all of them by default.

    Raises:
        NotMeasurable: the object covers no patch or every one.
    Source: standard (recall, precision).
    """
    alone = one_selection(selection, picture)
    label = as_labels(objects, alone.role.shape[1])
    known = label >= 0
    inside = label[known] > 0
    kept, m = np.isin(alone.role[0].numpy()[known], [ROLES.index(name) for name in roles]), int(inside.sum())
    if not 0 < m < len(inside):
        raise NotMeasurable("the object covers no patch" if m == 0 else "the object covers every patch")
    precision = float(inside[kept].mean()) if kept.any() else float("nan")
    return Coverage(float((kept & inside).sum() / m), float(kept.mean()), precision, float(inside.mean()))


# ----------------------------------------------------------------------------------------------------- repetition and sinks


@dataclass(frozen=True)
class Spread:
    """How far apart the kept patches lie, each as a mean over pairs divided by the same over all patches (1 = as any patches).

    Attributes:
        features: in feature space.
        place: on the grid.
    """

    features: float
    place: float


def spread(selection: TokenSelection, features: Tensor | np.ndarray, picture: int = 0) -> Spread:
    """mean ‖f_i − f_j‖ over kept pairs / over all pairs, and the same with the places of the patches.

    Args:
        features: of that picture's patches, [N, C].

    Raises:
        ValueError: there is not one row for each patch.
        NotMeasurable: fewer than two patches are kept, or all patches have the same features.
    Source: HiPrune's notebook (mean pairwise Euclidean distance in feature space); the ratio is ours.
    """
    kept = _kept(selection, picture)
    x = np.asarray(features.detach().cpu() if isinstance(features, Tensor) else features, dtype=np.float64)
    if x.ndim != 2 or len(x) != len(kept):
        raise ValueError(f"features of shape {x.shape} do not belong to {len(kept)} patches")
    if kept.sum() < 2:
        raise NotMeasurable("fewer than two patches are kept")
    place = np.stack(np.divmod(np.arange(len(kept)), selection.grid[1]), 1).astype(float)
    whole = pdist(x).mean()
    if not whole > 0:
        raise NotMeasurable("all patches have the same features")
    return Spread(float(pdist(x[kept]).mean() / whole), float(pdist(place[kept]).mean() / pdist(place).mean()))


def sinks(selection: TokenSelection, picture: int = 0) -> np.ndarray:
    """True for a patch whose deep score is at least 5 times the mean, [N] bool.

    Raises:
        NotMeasurable: the deep scores are not positive on average.
    Source: criterion: own; the effect: Darcet and others, "Vision Transformers Need Registers", ICLR 2024.
    """
    score = one_selection(selection, picture).deep_score[0].double().numpy()
    if not score.mean() > 0:
        raise NotMeasurable("the scores of the deep layer are not positive")
    return score >= SINK * score.mean()


# ----------------------------------------------------------------------------------------------------------------- padding


def padded_patches(pixels: np.ndarray, grid: Grid) -> np.ndarray:
    """True for the patches inside plain bars along the border (as square padding leaves them), [N] bool.

    A bar is a run of whole pixel rows (or columns) from an edge that all have the one colour of that edge; a patch counts when
    all of its pixels lie in a bar. A picture of one colour has no bar.

    Args:
        pixels: the picture that the model sees, [h, w, 3] uint8.

    Raises:
        ValueError: another shape, or fewer pixels than patches along a side.
    """
    x = np.asarray(pixels)
    if x.ndim != 3 or x.shape[2] != 3 or x.shape[0] < grid[0] or x.shape[1] < grid[1]:
        raise ValueError(f"a picture of shape {x.shape} has no {grid[0]} × {grid[1]} patches")
    bars = np.zeros(x.shape[:2], dtype=bool)
    for view, marked in ((x, bars), (x.transpose(1, 0, 2), bars.T)):
        for lines, part in ((view, marked), (view[::-1], marked[::-1])):
            plain = (lines == lines[0, 0]).all((1, 2))
            run = len(plain) if plain.all() else int(plain.argmin())
            part[:run] = True
    if bars.all():
        return np.zeros(grid[0] * grid[1], dtype=bool)
    place, n = cell_of((x.shape[0], x.shape[1]), grid), grid[0] * grid[1]
    return np.bincount(place, bars.ravel(), n) == np.bincount(place, minlength=n)


def share_of_kept(selection: TokenSelection, marked: np.ndarray | Tensor, picture: int = 0) -> tuple[float, float]:
    """(share of the kept patches that are marked, share of all patches that are), e.g. padding or sinks.

    Raises:
        ValueError: there is not one mark for each patch.
    """
    kept, marks = _kept(selection, picture), np.asarray(marked).astype(bool).reshape(-1)
    if len(marks) != len(kept):
        raise ValueError(f"{len(marks)} marks were given for {len(kept)} patches")
    return float(marks[kept].mean()), float(marks.mean())


# --------------------------------------------------------------------------------------------------------------- agreement


@dataclass(frozen=True)
class SetAgreement:
    """Overlap of two selections.

    Attributes:
        iou: |a ∩ b| / |a ∪ b|.
        chance, low, high: mean and central 95 % of that for random selections of the same sizes.
    """

    iou: float
    chance: float
    low: float
    high: float


def selection_agreement(one: TokenSelection, other: TokenSelection, picture: int = 0) -> SetAgreement:
    """Jaccard index of the kept patches, beside what chance gives (hypergeometric).

    Raises:
        ValueError: the grids differ.
        NotMeasurable: one of them keeps nothing.
    """
    if one.grid != other.grid:
        raise ValueError(f"selections on grids of {one.grid} and {other.grid} cannot be compared")
    a, b = _kept(one, picture), _kept(other, picture)
    return SetAgreement(float((a & b).sum() / (a | b).sum()), *iou_by_chance(len(a), int(a.sum()), int(b.sum())))


# ------------------------------------------------------------------------------------------------------------- attribution


@dataclass(frozen=True)
class KeptMass:
    """How much of what the answer hangs on is kept.

    Attributes:
        share: Σ_kept |a| / Σ |a|.
        chance: what a random choice of as many patches keeps on average, their share of all.
        most: what the best choice of as many would keep.
        correlation: Spearman's rank correlation of the deep score with |a|; NaN where one of them is constant.
    """

    share: float
    chance: float
    most: float
    correlation: float


def kept_mass(selection: TokenSelection, attribution: Attribution | Tensor | np.ndarray, picture: int = 0) -> KeptMass:
    """Attribution mass inside the kept patches.

    Args:
        attribution: of that picture, [h, w] with at least one entry per patch along each side, or [N].

    Raises:
        ValueError: it does not fit the grid.
        NotMeasurable: it is 0 everywhere.
    """
    alone = one_selection(selection, picture)
    mass = patch_mass(attribution, alone.grid)
    if not mass.sum() > 0:
        raise NotMeasurable("the attribution is 0 everywhere")
    kept = alone.mask[0].numpy()
    best = np.sort(mass)[::-1][: kept.sum()].sum()
    correlation = rank_correlation(np.stack([alone.deep_score[0].double().numpy(), mass]))[0, 1]
    return KeptMass(float(mass[kept].sum() / mass.sum()), float(kept.mean()), float(best / mass.sum()), float(correlation))


def patch_mass(attribution: Attribution | Tensor | np.ndarray, grid: Grid) -> np.ndarray:
    """Σ |a| over the pixels of each patch, [N]. Raises ValueError where the map does not fit the grid."""
    values = attribution.map if isinstance(attribution, Attribution) else attribution
    a = np.abs(np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, dtype=np.float64))
    n = grid[0] * grid[1]
    if a.ndim == 1 and len(a) == n:
        return a
    if a.ndim != 2 or a.shape[0] < grid[0] or a.shape[1] < grid[1]:
        raise ValueError(f"an attribution of shape {a.shape} does not fit {grid[0]} × {grid[1]} patches")
    return np.bincount(cell_of((a.shape[0], a.shape[1]), grid), a.ravel(), n)


def budget_order(selection: TokenSelection, picture: int = 0) -> np.ndarray:
    """All patches in the order in which they would be kept: as chosen, then the rest by falling deep score, [N] int64."""
    alone = one_selection(selection, picture)
    chosen = alone.order[0][alone.order[0] >= 0].numpy()
    rest = np.argsort(-alone.deep_score[0].numpy(), kind="stable")
    return np.concatenate([chosen, rest[~np.isin(rest, chosen)]])


def curve_area(probabilities: Sequence[float] | np.ndarray | Tensor, shares: Sequence[float] | np.ndarray | None = None) -> float:
    """∫ p d(share): mean height of a deletion or insertion curve by the trapezium rule, 0 … 1.

    Args:
        probabilities: of the class in question after each step; the first before any patch is removed (or put in), the last
            after all.
        shares: share of the patches that are removed at each step, rising from 0 to 1; None for equal steps.

    Raises:
        ValueError: a value is no probability, or the shares do not fit.
        NotMeasurable: fewer than two points.
    Source: Petsiuk, Das, Saenko, "RISE", BMVC 2018 (deletion: smaller is better; insertion: larger is better).
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 1 or len(p) < 2:
        raise NotMeasurable("a curve needs at least two points")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("a curve of deletion or insertion consists of probabilities from 0 to 1")
    x = np.linspace(0, 1, len(p)) if shares is None else np.asarray(shares, dtype=np.float64)
    if x.shape != p.shape or x[0] != 0 or x[-1] != 1 or (np.diff(x) <= 0).any():
        raise ValueError("the shares of removed patches must rise from 0 to 1, one for each probability")
    return float(((p[1:] + p[:-1]) / 2 * np.diff(x)).sum())


# ---------------------------------------------------------------------------------------------------------------- answers


@dataclass(frozen=True)
class Answers:
    """Do the full and the pruned run give the same answer? (That is agreement, not accuracy.)

    Attributes:
        same: share of the pictures with the same most probable class.
        low, high: 95 % interval of that share (Wilson).
        divergence: mean KL(full ‖ pruned), in nats.
        shift: mean absolute change of a logit, after each picture's mean is taken off (which no probability depends on).
        pictures: how many.
    """

    same: float
    low: float
    high: float
    divergence: float
    shift: float
    pictures: int


def answers(full: Tensor | np.ndarray, pruned: Tensor | np.ndarray) -> Answers:
    """Compare the logits of two runs over the same pictures, [I, classes] each.

    Raises:
        ValueError: the shapes differ.
        NotMeasurable: there is no picture, or a logit is not finite.
    Source: interval: Wilson, J. Am. Stat. Assoc. 22, 1927; Kullback, Leibler 1951.
    """
    a, b = (np.asarray(x.detach().cpu() if isinstance(x, Tensor) else x, dtype=np.float64) for x in (full, pruned))
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"logits of shape {a.shape} and {b.shape} cannot be compared")
    if not len(a):
        raise NotMeasurable("there is no picture")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise NotMeasurable("a logit is not a finite number")
    p, q = _log_softmax(a), _log_softmax(b)
    same = a.argmax(1) == b.argmax(1)
    moved = np.abs((a - a.mean(1, keepdims=True)) - (b - b.mean(1, keepdims=True)))
    divergence = (np.exp(p) * (p - q)).sum(1)
    return Answers(float(same.mean()), *wilson(int(same.sum()), len(a)), float(divergence.mean()), float(moved.mean()), len(a))


def wilson(hits: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """95 % interval of a share of `hits` out of n (Wilson 1927)."""
    p = hits / n
    middle, half = (p + z**2 / (2 * n)) / (1 + z**2 / n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return (0.0 if hits == 0 else float(middle - half)), (1.0 if hits == n else float(middle + half))


def _log_softmax(x: np.ndarray) -> np.ndarray:
    shifted = x - x.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
