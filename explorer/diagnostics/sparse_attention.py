"""Predicted connections between patches: how few, how right, how local, how varied.

Notation, for one picture: M [H, N, T] says which of the T = 1 + N keys each patch may attend to (the class token's own row is
left out, as it sees everything), D [H, N, T] is the attention over all keys. Rows without any key (patches that have left) count
nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import numpy as np
import torch

from explorer.diagnostics.attention import iou_by_chance, patch_distances
from explorer.diagnostics.degree import degrees, reciprocity
from explorer.diagnostics.labels import KMEANS_NOTE, homophily
from explorer.diagnostics.measure import Measure, NotMeasurable, measure, noted, percent, sections
from explorer.diagnostics.memberships import picture_of
from explorer.diagnostics.snapshot import Labels, Snapshot, snapshot
from models.structures import Connectivity, SparseAttention


@dataclass(frozen=True)
class OnePicture(Connectivity):
    """The connections of one picture, checked and on the CPU, so that several measures need not check them again."""


def one_connectivity(connectivity: Connectivity, picture: int = 0) -> OnePicture:
    """The connections of one picture alone, on the CPU. A OnePicture is returned as it is.

    Raises:
        IndexError: there is no such picture.
        models.structures.NonFiniteError: the estimate, the coefficients or the prototypes hold NaN or infinity.
    """
    if isinstance(connectivity, OnePicture):
        return connectivity
    alone = picture_of(connectivity, picture, len(connectivity.mask), ("basis",))
    alone.require_finite(f"connections of picture {picture}")
    return OnePicture(**{item.name: getattr(alone, item.name) for item in fields(alone)})


def _rows(connectivity: Connectivity, picture: int) -> np.ndarray:
    """M, [H, N, T] bool."""
    mask = one_connectivity(connectivity, picture).mask[0, :, 1:].numpy()
    if not mask.any():
        raise NotMeasurable("no patch has any key left")
    return mask


def sparsity(connectivity: Connectivity, picture: int = 0) -> float:
    """1 − nnz/(H·T²): share of the pairs that are not compared, the class token's row included."""
    return 1 - float(one_connectivity(connectivity, picture).mask.double().mean())


# ------------------------------------------------------------------------------------------------------------- how right


@dataclass(frozen=True)
class Mass:
    """Share of the dense attention on the keys that a rule keeps, mean over rows with at least one key.

    Attributes:
        predicted: of the predicted keys.
        oracle: of the truly largest ones, as many per row: the most that can be reached.
        local: of the nearest patches (the patch itself first), as many per row.
        random: of keys drawn at random, as many per row.
        recall: share of the truly largest keys that were found.
        loss: KL(sparse ‖ dense) = −ln of the share, mean, in nats (the reverse divergence is infinite where a key is missing).
        per_patch: the share of the predicted keys, mean over the heads, [N]; NaN without a key.
    """

    predicted: float
    oracle: float
    local: float
    random: float
    recall: float
    loss: float
    per_patch: np.ndarray

    @property
    def skill(self) -> float:
        """(predicted − random)/(oracle − random): 0 = as good as chance, 1 = as good as knowing; NaN where both are the same."""
        room = self.oracle - self.random
        return (self.predicted - self.random) / room if room > 1e-9 else float("nan")


def mass_covered(connectivity: Connectivity, attention: SparseAttention, picture: int = 0) -> Mass:
    """Σ_(k in M) D(q, k), and the same for other rules that keep as many keys in each row. Ties are broken by lower index.

    Raises:
        ValueError: attention and connections are not of one layer.
        NotMeasurable: no patch has any key.
        models.structures.NonFiniteError: the attention holds NaN or infinity.
    Source: own measure; the rules compared are those of Wei and others, "Sparsifiner", CVPR 2023.
    """
    mask, dense = _rows(connectivity, picture), _dense(connectivity, attention, picture)
    count = mask.sum(2)
    known, tokens = count > 0, mask.shape[2]
    order = np.argsort(-dense, 2, kind="stable")
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.arange(tokens), 2)
    near = np.argsort(patch_distances(connectivity.grid), 1, kind="stable")
    beside = np.take_along_axis(dense[:, :, 1:], np.broadcast_to(near, dense[:, :, 1:].shape), 2)
    covered = (dense * mask).sum(2)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = ((place < count[..., None]) & mask).sum(2) / count
        loss = -np.log(covered[known].clip(max=1))
        per_patch = np.where(known.any(0), (covered * known).sum(0) / known.sum(0), np.nan)
    return Mass(
        predicted=float(covered[known].mean()),
        oracle=float(_first(np.take_along_axis(dense, order, 2), count)[known].mean()),
        local=float(_first(beside, count.clip(max=tokens - 1))[known].mean()),
        random=float((count[known] / tokens).mean()),
        recall=float(found[known].mean()),
        loss=float(loss.mean()),
        per_patch=per_patch,
    )


def _dense(connectivity: Connectivity, attention: SparseAttention, picture: int) -> np.ndarray:
    alone = picture_of(attention, picture if len(attention.dense) > 1 else 0, len(attention.dense))
    alone.require_finite(f"attention of picture {picture}")
    if alone.dense.shape[1:] != connectivity.mask.shape[1:]:
        raise ValueError(
            f"attention of shape {tuple(alone.dense.shape[1:])} does not belong to a mask of {tuple(connectivity.mask.shape[1:])}"
        )
    return alone.dense[0, :, 1:].double().numpy()


def _first(values: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Sum of the first `count` entries along the last axis."""
    total = np.concatenate([np.zeros((*values.shape[:-1], 1)), values.cumsum(-1)], -1)
    return np.take_along_axis(total, count[..., None], -1)[..., 0]


def estimate_correlation(connectivity: Connectivity, attention: SparseAttention, picture: int = 0) -> float:
    """Mean over the rows of Spearman's rank correlation between the estimate and the dense attention of all keys.

    Raises:
        NotMeasurable: every row of the estimate or of the attention is constant.
    """
    estimate = one_connectivity(connectivity, picture).estimate[0].double().numpy()
    dense = _dense(connectivity, attention, picture)
    a, b = (_ranks(x.reshape(-1, x.shape[2])) for x in (estimate, dense))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    length = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    if not (length > 0).any():
        raise NotMeasurable("every row of the estimate is constant")
    return float(((a * b).sum(1)[length > 0] / length[length > 0]).mean())


def _ranks(rows: np.ndarray) -> np.ndarray:
    """Ranks along the last axis from 1, equal values share their mean rank: scipy's rankdata, several times as fast for many rows."""
    order = np.argsort(rows, 1)
    values = np.take_along_axis(rows, order, 1)
    place = np.broadcast_to(np.arange(rows.shape[1]), rows.shape)
    differs = values[:, 1:] != values[:, :-1]
    edge = np.ones((len(rows), 1), dtype=bool)
    first = np.maximum.accumulate(np.where(np.concatenate([edge, differs], 1), place, 0), 1)
    last = np.where(np.concatenate([differs, edge], 1), place, rows.shape[1])
    last = np.minimum.accumulate(last[:, ::-1], 1)[:, ::-1]
    found = np.empty(rows.shape)
    np.put_along_axis(found, order, (first + last) / 2 + 1, 1)
    return found


# ------------------------------------------------------------------------------------------------------ how varied and far


def rows_alike(connectivity: Connectivity, picture: int = 0) -> tuple[float, float]:
    """Mean Jaccard index of the keys of two patches of one head, and its mean for random rows of the mean size.

    1: every patch chooses the same keys, so the prediction does not look at the query.

    Raises:
        NotMeasurable: no head has two patches with a key.
    """
    mask = _rows(connectivity, picture)
    rows = torch.from_numpy(mask).float()  # counts up to T are exact
    both, size = rows @ rows.mT, rows.sum(2)
    known = size > 0
    together = (known[:, :, None] & known[:, None]).float()
    iou = together * both / (size[:, :, None] + size[:, None] - both).clamp_min(1)
    many = known.sum(1)
    pairs = int((many * (many - 1)).sum()) // 2
    if not pairs:
        raise NotMeasurable("no two patches have a key")
    total = float((iou.sum(dtype=torch.float64) - many.sum()) / 2)
    usual = round(float(size[known].mean()))
    return total / pairs, iou_by_chance(mask.shape[2], usual, usual)[0]


def connection_distance(connectivity: Connectivity, picture: int = 0) -> tuple[float, float]:
    """(mean distance of a patch to the patches that it attends to, the same for all patches alike), in patches.

    Raises:
        NotMeasurable: no patch attends to any patch.
    """
    kept = one_connectivity(connectivity, picture).mask[0, :, 1:, 1:].numpy()
    if not kept.any():
        raise NotMeasurable("no patch attends to any patch")
    far = patch_distances(connectivity.grid)
    return float((kept * far).sum() / kept.sum()), float(far.mean())


def prototype_use(connectivities: Iterable[Connectivity]) -> np.ndarray:
    """Share of the rows (of all heads, patches and pictures) that mix each prototype, [K]; 0 for a dead one.

    Raises:
        ValueError: nothing was given, or the numbers of prototypes differ.
    """
    used, rows = None, 0
    for connectivity in connectivities:
        own = (connectivity.coefficients != 0).sum((0, 1, 2)).cpu().numpy()
        if used is not None and len(own) != len(used):
            raise ValueError(f"connections of {len(used)} and of {len(own)} prototypes are not of one layer")
        used = own if used is None else used + own
        rows += connectivity.coefficients[..., 0].numel()
    if used is None:
        raise ValueError("no connections were given")
    return used / rows


# ---------------------------------------------------------------------------------------------------------------- summary


def connection_summary(
    connectivity: Connectivity,
    attention: SparseAttention | None = None,
    *,
    picture: int = 0,
    head: int | str = "any",
    labels: Labels | None = None,
    labels_are_truth: bool = False,
    mass: Mass | None = None,
) -> list[Measure]:
    """Which pairs of tokens one layer compares in one picture.

    Args:
        attention: what was computed inside the mask, beside the dense one; without it the prediction cannot be judged.
        head: whose connections are looked at as a graph, see `Connectivity.patch_graph`.
        labels: segment of each patch, [N], negative where unknown.
        labels_are_truth: False marks the homophily in its hint as found by k-means.
        mass: `mass_covered` of both, where it is known already.

    Raises:
        ValueError: attention or labels belong to another layer, or there is no such head.
        models.structures.NonFiniteError: something holds NaN or infinity.
    """
    alone = one_connectivity(connectivity, picture)

    @cache
    def graph() -> Snapshot:
        return snapshot(alone.patch_graph(head))

    return sections(
        [
            (("attention_sparsity", "keys_guessed"), lambda: _sparsity(alone)),
            (("mass_covered", "mass_skill", "keys_recall", "attention_lost"), lambda: _mass(alone, attention, picture, mass)),
            (("estimate_rank",), lambda: _estimate(alone, attention, picture)),
            (("prototypes_dead",), lambda: _prototypes(alone)),
            (("rows_alike",), lambda: _alike(alone)),
            (("connection_distance",), lambda: _distance(alone)),
            (("connection_hubs", "connection_reciprocity"), lambda: _graph(graph())),
            (("connection_homophily",), lambda: _homophily(graph, labels, labels_are_truth)),
        ]
    )


def _sparsity(alone: OnePicture) -> list[Measure]:
    keys = alone.mask[0, :, 1:].sum(-1).double()
    guessed, kept = float(alone.guessed().sum()), float(keys.sum())
    return [
        measure("attention_sparsity", sparsity(alone), keys=float(keys.mean()), tokens=alone.mask.shape[-1]),
        measure("keys_guessed", guessed / kept if kept else float("nan"), reason="no patch has any key left"),
    ]


def _mass(connectivity: Connectivity, attention: SparseAttention | None, picture: int, known: Mass | None) -> list[Measure]:
    if attention is None:
        raise NotMeasurable("the attention itself was not recorded")
    found = known or mass_covered(connectivity, attention, picture)
    words: dict[str, Any] = {name: percent(getattr(found, name)) for name in ("oracle", "local", "random")}
    than = "better than the nearest patches" if found.predicted > found.local else "no better than the nearest patches"
    return [
        measure("mass_covered", found.predicted, **words),
        measure("mass_skill", found.skill, local=than, reason="all keys are kept, or all matter alike"),
        measure("keys_recall", found.recall, random=words["random"]),
        measure("attention_lost", found.loss, reason="a patch keeps no key that the dense attention looks at"),
    ]


def _estimate(connectivity: Connectivity, attention: SparseAttention | None, picture: int) -> list[Measure]:
    if attention is None:
        raise NotMeasurable("the attention itself was not recorded")
    return [measure("estimate_rank", estimate_correlation(connectivity, attention, picture))]


def _prototypes(alone: OnePicture) -> list[Measure]:
    dead = prototype_use([alone]) == 0
    return [measure("prototypes_dead", dead.mean(), count=int(dead.sum()), all=len(dead))]


def _alike(alone: OnePicture) -> list[Measure]:
    value, chance = rows_alike(alone)
    return [measure("rows_alike", value, chance=percent(chance))]


def _distance(alone: OnePicture) -> list[Measure]:
    value, uniform = connection_distance(alone)
    return [measure("connection_distance", value, uniform=uniform)]


def _graph(graph: Snapshot) -> list[Measure]:
    found, both = degrees(graph), reciprocity(graph)
    top = round(found.top_chance * len(found.read_by))
    ratio = found.top_share / found.top_chance
    many = f"the {top} most chosen patches" if top > 1 else "the most chosen patch"
    return [
        measure("connection_hubs", found.top_share, grade=ratio, ratio=ratio, chance=percent(found.top_chance), patches=many),
        measure("connection_reciprocity", both.share),
    ]


def _homophily(graph: Callable[[], Snapshot], labels: Labels | None, truth: bool) -> list[Measure]:
    if labels is None:
        raise NotMeasurable("no segments were given")
    found = homophily(graph(), labels)
    words: dict[str, Any] = {"what": "object" if truth else "segment", "share": percent(found.share), "chance": percent(found.chance)}
    value = measure("connection_homophily", found.adjusted, **words, reason="only one label has connections, so none can cross")
    return [value if truth else noted(value, KMEANS_NOTE)]
