"""Patches that leave early: how many, whether they were right, whether the easy ones go first, and what it costs in accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from explorer.diagnostics.attention import rank_correlation
from explorer.diagnostics.measure import Measure, NotMeasurable, measure, measured, percent, sections
from explorer.diagnostics.memberships import picture_of
from explorer.diagnostics.snapshot import Grid, Labels, as_labels, entropy, known_mean
from models.structures import ExitStage, TokenDrop

_BINS = 10


@dataclass(frozen=True)
class Exits:
    """One picture's way through the stages; S stages, stage numbers from 1.

    Attributes:
        grid: (h, w); N = h·w.
        stage: stage at which each patch left, S for those that stayed to the end, [N] int.
        gone: share of the patches that have left after each stage, [S].
        label: class of each patch at the stage at which it left, [N] int.
        confidence: its confidence there, [N].
        final: class of each patch after the last stage, [N] int.
        doubt: entropy of the first stage's prediction, scaled to sum 1 over the classes, in units of ln classes, [N]: 0 = sure.
    """

    grid: Grid
    stage: np.ndarray
    gone: np.ndarray
    label: np.ndarray
    confidence: np.ndarray
    final: np.ndarray
    doubt: np.ndarray

    @property
    def early(self) -> np.ndarray:
        """Patches that left before the last stage, [N] bool."""
        return self.stage < len(self.gone)


def exits(stages: Sequence[ExitStage], picture: int = 0) -> Exits:
    """When each patch of one picture left, and what was said of it there and at the end.

    Raises:
        ValueError: no stage, stages on different grids, or a patch that comes back.
        models.structures.NonFiniteError: a stage holds NaN or infinity.
    """
    if not stages:
        raise ValueError("no stage was given")
    alone = [picture_of(stage, picture, len(stage.exited)) for stage in stages]
    for number, stage in enumerate(alone, 1):
        stage.require_finite(f"stage {number}")
        if stage.grid != alone[0].grid:
            raise ValueError(f"stages on grids of {alone[0].grid} and {stage.grid} are not of one run")
    left = np.stack([stage.exited[0].numpy() for stage in alone])
    if (left[:-1] & ~left[1:]).any():
        raise ValueError("a patch that has left comes back at a later stage")
    index = np.where(left.any(0), left.argmax(0), len(left) - 1)
    label, confidence = (np.stack([getattr(stage, name)[0].double().numpy() for stage in alone]) for name in ("label", "confidence"))
    n = np.arange(left.shape[1])
    return Exits(
        alone[0].grid, index + 1, left.mean(1), label[index, n].astype(int), confidence[index, n], label[-1].astype(int), _doubt(alone[0])
    )


def _doubt(stage: ExitStage) -> np.ndarray:
    p = stage.prediction[0].double().numpy().T
    total = p.sum(1, keepdims=True)
    even = np.full_like(p, 1 / p.shape[1])
    return entropy(np.divide(p, total, out=even, where=total > 0)) / np.log(max(p.shape[1], 2))


def kept_label(found: Exits) -> float:
    """Share of the patches that left early whose class is still the same at the end (only their mask logits are frozen).

    Raises:
        NotMeasurable: no patch left early.
    """
    _require_early(found)
    return float((found.label == found.final)[found.early].mean())


@dataclass(frozen=True)
class Calibration:
    """Were the patches right that left early?

    Attributes:
        accuracy: share of them with the true class at their exit.
        confidence: their mean confidence there.
        error: Σ_b n_b/n·|accuracy_b − confidence_b| over ten equal bins of the confidence.
        patches: how many of them have a true class.
    """

    accuracy: float
    confidence: float
    error: float
    patches: int


def calibration(found: Exits, truth: Labels) -> Calibration:
    """Accuracy and expected calibration error of early exits.

    Args:
        truth: class of each patch, negative where unknown, [N].

    Raises:
        NotMeasurable: no patch with a known class left early.
    Source: Guo and others, "On Calibration of Modern Neural Networks", ICML 2017.
    """
    _require_early(found)
    y = as_labels(truth, len(found.stage))
    known = found.early & (y >= 0)
    if not known.any():
        raise NotMeasurable("no patch that left early has a known class")
    right, sure = (found.label == y)[known], found.confidence[known]
    which = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    gap = np.abs(np.bincount(which, right, _BINS) - np.bincount(which, sure, _BINS))
    return Calibration(float(right.mean()), float(sure.mean()), float(gap.sum() / len(right)), len(right))


def easy_first(found: Exits, hardness: np.ndarray) -> float:
    """Spearman's rank correlation of the stage of exit with a measure of hardness, [N]: positive = what is easy leaves first.

    Raises:
        NotMeasurable: all patches leave at one stage, or all are equally hard.
    """
    value = float(rank_correlation(np.stack([found.stage, np.asarray(hardness, dtype=np.float64)]))[0, 1])
    if np.isnan(value):
        raise NotMeasurable("all patches leave at the same stage" if np.ptp(found.stage) == 0 else "all patches are equally hard")
    return value


def boundary_distance(labels: Labels, grid: Grid) -> np.ndarray:
    """Distance of each patch to the nearest one that touches another class, in patches, [N]; 0 for those that touch one.

    Args:
        labels: class of each patch, [N]; a negative one is unknown and forms no boundary.

    Raises:
        NotMeasurable: no two classes touch.
    """
    y = as_labels(labels, grid[0] * grid[1]).reshape(grid)
    edge = np.zeros(grid, dtype=bool)
    for one, two in (((slice(1, None), slice(None)), (slice(-1), slice(None))), ((slice(None), slice(1, None)), (slice(None), slice(-1)))):
        differs = (y[one] != y[two]) & (y[one] >= 0) & (y[two] >= 0)
        edge[one] |= differs
        edge[two] |= differs
    if not edge.any():
        raise NotMeasurable("no two classes touch, so there is no boundary")
    return distance_transform_edt(~edge).ravel()


def mean_iou(prediction: np.ndarray | Tensor, truth: np.ndarray | Tensor) -> float:
    """Mean over the classes of |predicted ∩ true| / |predicted ∪ true|, over classes that occur in either.

    Args:
        prediction, truth: whole numbers of one shape (patches or pixels); negative truth is unknown and left out.

    Raises:
        ValueError: the shapes differ.
        NotMeasurable: nothing has a known class.
    Source: standard for segmentation (Jaccard index, mean over classes); of one set of pictures when they are given together.
    """
    p, y = (np.asarray(x.cpu() if isinstance(x, Tensor) else x) for x in (prediction, truth))
    if p.shape != y.shape:
        raise ValueError(f"a prediction of shape {p.shape} and a truth of {y.shape} cannot be compared")
    p, y = p[y >= 0], y[y >= 0]
    if not len(y):
        raise NotMeasurable("nothing has a known class")
    names, index = np.unique(np.concatenate([p, y]), return_inverse=True)
    a, b = index[: len(p)], index[len(p) :]
    both = np.bincount(a[a == b], minlength=len(names))
    return float((both / (np.bincount(a, minlength=len(names)) + np.bincount(b, minlength=len(names)) - both)).mean())


def _require_early(found: Exits) -> None:
    if not found.early.any():
        raise NotMeasurable("no patch left early")


@dataclass(frozen=True)
class Drops:
    """Patches that are dropped from layer to layer.

    Attributes:
        alive: share of all patches that are left after each drop, [D].
        recall: share of the object's patches that are left, [D]; NaN without an object.
    """

    alive: np.ndarray
    recall: np.ndarray


def drops(steps: Sequence[TokenDrop], objects: Labels | None = None, picture: int = 0) -> Drops:
    """How many patches are left after each drop of one picture, and how much of an object.

    Args:
        objects: above 0 on the object, [N].

    Raises:
        ValueError: no drop was given.
    """
    if not steps:
        raise ValueError("no drop was given")
    alive = np.stack([picture_of(step, picture, len(step.alive)).alive[0].numpy() for step in steps])
    if objects is None:
        return Drops(alive.mean(1), np.full(len(alive), np.nan))
    inside = as_labels(objects, alive.shape[1]) > 0
    if not inside.any():
        raise NotMeasurable("the object covers no patch")
    return Drops(alive.mean(1), alive[:, inside].mean(1))


# ---------------------------------------------------------------------------------------------------------------- summary


def drop_summary(steps: Sequence[TokenDrop], *, picture: int = 0, objects: Labels | None = None) -> list[Measure]:
    """Which patches are dropped from layer to layer.

    Args:
        steps: of one run, in order.
        objects: above 0 on the object, [N].
    """
    found = drops(steps, picture=picture)

    def on_object() -> list[Measure]:
        if objects is None:
            raise NotMeasurable("no mask of an object was given")
        recall, chance = float(drops(steps, objects, picture).recall[-1]), float(found.alive[-1])
        if chance == 0:
            raise NotMeasurable("no patch is left")
        return [measure("object_left", recall, grade=recall / chance, chance=percent(chance))]

    left = measure("tokens_left", found.alive[-1], drops=len(steps), steps=" → ".join(percent(share) for share in found.alive))
    return [left, *measured(("object_left",), on_object)]


def exit_summary(
    stages: Sequence[ExitStage], *, picture: int = 0, truth: Labels | None = None, dense: Sequence[ExitStage] | None = None
) -> list[Measure]:
    """Which patches leave early, and whether that was right.

    Args:
        stages: of one run, in order.
        truth: true class of each patch, [N], negative where unknown. Boundaries are its own, else those of the final classes.
        dense: the stages of the same picture when none leaves (threshold 1).

    Raises:
        ValueError: no stage, or what was given belongs to another grid.
        models.structures.NonFiniteError: a stage holds NaN or infinity.
    """
    found = exits(stages, picture)
    context = sum(int(stage.context[picture].sum()) for stage in stages[:-1])
    steps = ", ".join(f"{percent(share)} after stage {number}" for number, share in enumerate(found.gone[:-1], 1))
    return sections(
        [
            (("exited_early",), lambda: [measure("exited_early", found.early.mean(), steps=steps or "there is one stage only")]),
            (("exit_context",), lambda: [measure("exit_context", context)]),
            (("exit_unchanged",), lambda: [measure("exit_unchanged", kept_label(found))]),
            (("exit_accuracy", "exit_calibration"), lambda: _truth(found, truth)),
            (("easy_first_doubt",), lambda: [measure("easy_first_doubt", easy_first(found, found.doubt))]),
            (("easy_first_boundary",), lambda: _boundary(found, truth)),
            (("miou_lost",), lambda: _lost(found, truth, dense, picture)),
        ]
    )


def _truth(found: Exits, truth: Labels | None) -> list[Measure]:
    if truth is None:
        raise NotMeasurable("the true classes were not given")
    value = calibration(found, truth)
    return [
        measure("exit_accuracy", value.accuracy, patches=value.patches),
        measure("exit_calibration", value.error, sure=percent(value.confidence), right=percent(value.accuracy)),
    ]


def _boundary(found: Exits, truth: Labels | None) -> list[Measure]:
    distance = boundary_distance(found.final if truth is None else truth, found.grid)
    near = distance <= 1
    inside, boundary = (known_mean(found.early[part].astype(float)) for part in (~near, near))
    shares = f"{percent(boundary)} of the patches at a boundary leave early"
    shares += ", and none lies further inside" if near.all() else f", {percent(inside)} of those further inside"
    return [measure("easy_first_boundary", easy_first(found, -distance), shares=shares)]


def _lost(found: Exits, truth: Labels | None, dense: Sequence[ExitStage] | None, picture: int) -> list[Measure]:
    if truth is None or dense is None:
        raise NotMeasurable("the true classes were not given" if truth is None else "the run without early exits was not given")
    whole = exits(dense, picture)
    if whole.grid != found.grid:
        raise ValueError(f"runs on grids of {found.grid} and {whole.grid} cannot be compared")
    y = as_labels(truth, len(found.final))
    before, after = (100 * mean_iou(run.final, y) for run in (whole, found))
    return [measure("miou_lost", before - after, dense=before, pruned=after)]
