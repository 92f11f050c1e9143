"""What a vision transformer looks at: how widely, how far, at few patches or many, at the object or beside it.

Notation, for one picture: A_lh [T, T] is the attention of head h in layer l (rows are queries and sum to 1), s_l [N] the
attention that each patch receives there, mean over the heads. Layers count from 1; arrays over layers start with layer 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.stats import hypergeom, rankdata
from torch import Tensor

from explorer.diagnostics.measure import NotMeasurable
from explorer.diagnostics.memberships import picture_of, row_of
from explorer.diagnostics.snapshot import Grid, Labels, as_labels, cell_of, entropy
from models.structures import AttentionMaps

TOP = 0.1  # share of the patches that is compared with the object, as in HiPrune's table 1
FUSIONS = ("mean", "max", "min")


def one_look(maps: AttentionMaps, picture: int = 0) -> AttentionMaps:
    """The attention of one picture alone, on the CPU.

    Raises:
        IndexError: there is no such picture.
        models.structures.NonFiniteError: it holds NaN or infinity.
    """
    own = {layer: row_of(matrix, picture) for layer, matrix in maps.opened.items()}
    alone = picture_of(replace(maps, opened=own), picture, len(maps.received))
    alone.require_finite(f"attention of picture {picture}")
    return alone


def scores(maps: AttentionMaps, picture: int = 0) -> np.ndarray:
    """s_l of every layer, mean over the heads, [L, N] float64."""
    return _received(maps, picture)[:, maps.prefix :]


def _received(maps: AttentionMaps, picture: int) -> np.ndarray:
    """What each token receives in each layer, mean over the heads, [L, T]; without a look at the full matrices, which are large."""
    return one_look(replace(maps, opened={}, features=None, passed=None), picture).received[0].double().mean(1).numpy()


# ------------------------------------------------------------------------------------------------- at few patches or many


@dataclass(frozen=True)
class Concentration:
    """How the attention of each layer is spread over the patches.

    Attributes:
        effective: exp(−Σ ŝ ln ŝ), ŝ = s/Σs: over how many patches it is spread as if evenly, [L], in 1 … N.
        sink: the largest s divided by what even attention gives, [L]; 1 = even.
        top_share: share of the attention to patches that the 1 % (at least one) most attended patches receive, [L].
        top: how many patches these are.
        prefix_share: share of all attention that the tokens before the patches receive, [L]; 0 without any.
        prefix_even: what even attention would give them.
    """

    effective: np.ndarray
    sink: np.ndarray
    top_share: np.ndarray
    top: int
    prefix_share: np.ndarray
    prefix_even: float


def concentration(maps: AttentionMaps, picture: int = 0) -> Concentration:
    """Effective number of patches, sink index and the share of the most attended 1 %, layer by layer.

    Raises:
        NotMeasurable: in some layer the patches receive nothing.
    Source: effective number: Hill, Ecology 54, 1973; sinks: Darcet and others, "Vision Transformers Need Registers", ICLR 2024.
    """
    every = _received(maps, picture)
    patches = every[:, maps.prefix :]
    total = patches.sum(1, keepdims=True)
    if not (total > 0).all():
        raise NotMeasurable(f"in layer {int((total[:, 0] <= 0).argmax()) + 1} the patches receive no attention")
    share, count = patches / total, -(-patches.shape[1] // 100)
    return Concentration(
        effective=np.exp(entropy(share)),
        sink=patches.max(1) / maps.uniform,
        top_share=np.sort(share, 1)[:, -count:].sum(1),
        top=count,
        prefix_share=every[:, : maps.prefix].sum(1) / every.sum(1),
        prefix_even=maps.prefix / every.shape[1],
    )


# ------------------------------------------------------------------------------------------------------ how widely and far


@dataclass(frozen=True)
class HeadProfile:
    """How widely and how far the heads of one layer look.

    Attributes:
        entropy: E_h, 0 = every query looks at one token, 1 = at all alike, [H].
        distance: D_h, how far away the patches lie that a patch looks at, in patches, [H].
        uniform_distance: D of even attention, about 0.52·g on a square grid of side g.
    """

    entropy: np.ndarray
    distance: np.ndarray
    uniform_distance: float


def head_profile(attention: Tensor | np.ndarray, grid: Grid, prefix: int = 0) -> HeadProfile:
    """E_h = −mean_q Σ_k A ln A / ln T;  D_h = mean_q Σ_k Ã(q, k)·‖p_q − p_k‖ over patches, Ã with rows that sum to 1 over them.

    Suits the `watch` of an encoder: no matrix needs to be kept.

    Args:
        attention: of one picture in one layer, [H, T, T] or [1, H, T, T].

    Raises:
        ValueError: it does not fit the grid.
        NotMeasurable: there is one token only, or some head gives the patches nothing.
    Source: mean attention distance: Dosovitskiy and others, "An Image is Worth 16x16 Words", ICLR 2021; entropy: Shannon 1948.
    """
    a = np.asarray(attention.cpu() if isinstance(attention, Tensor) else attention, dtype=np.float64)
    a = a[0] if a.ndim == 4 and len(a) == 1 else a
    tokens = prefix + grid[0] * grid[1]
    if a.ndim != 3 or a.shape[1:] != (tokens, tokens):
        raise ValueError(f"attention of shape {a.shape} does not fit {prefix} + {grid[0]} × {grid[1]} tokens")
    if tokens == 1:
        raise NotMeasurable("there is one token only")
    among = a[:, prefix:, prefix:]
    mass, far = among.sum(2), patch_distances(grid)
    if not (mass > 0).any(1).all():
        raise NotMeasurable("some head gives the patches no attention at all")
    with np.errstate(invalid="ignore"):
        distance = np.einsum("hqk,qk->hq", among, far) / mass
    return HeadProfile(entropy(a).mean(1) / np.log(tokens), np.nanmean(distance, 1), float(far.mean()))


def head_profiles(maps: AttentionMaps, picture: int = 0) -> dict[int, HeadProfile]:
    """The profile of every opened layer, by layer.

    Raises:
        NotMeasurable: no layer was opened.
    """
    alone = one_look(maps, picture)
    if not alone.opened:
        raise NotMeasurable("the full attention of no layer was kept")
    return {layer: head_profile(alone.opened[layer], maps.grid, maps.prefix) for layer in sorted(alone.opened)}


def patch_distances(grid: Grid) -> np.ndarray:
    """‖p_q − p_k‖ between the centres of all patches, in patches, [N, N]."""
    row, col = np.divmod(np.arange(grid[0] * grid[1]), grid[1])
    return np.hypot(row[:, None] - row, col[:, None] - col)


# ------------------------------------------------------------------------------------------------------------- the object


@dataclass(frozen=True)
class Centricity:
    """How well the attention of each layer finds the object; arrays over the layers (or whatever the rows of the scores are).

    Attributes:
        iou: |top ∩ object| / |top ∪ object| of the most attended tenth of the patches.
        iou_chance, iou_most: the mean of that for patches drawn at random, and the most that the two sizes allow.
        adjusted: (iou − chance)/(most − chance): 0 = chance, 1 = as good as possible.
        auc: P(s of an object patch > s of another one), ties count half; 0.5 = chance.
        precision: share of the object among the m most attended patches, m = size of the object.
        share: share of the patches that the object covers, the chance of `precision`.
    """

    iou: np.ndarray
    iou_chance: float
    iou_most: float
    adjusted: np.ndarray
    auc: np.ndarray
    precision: np.ndarray
    share: float


def centricity(score: np.ndarray | Tensor, objects: Labels, top: float = TOP) -> Centricity:
    """Scores [L, N] or [N] against the patches of an object. Ties of the top are broken by the lower index.

    Args:
        objects: above 0 on the object, 0 beside it, negative where unknown (left out), [N]. See `object_patches`.
        top: share of the patches that is compared with the object.

    Raises:
        NotMeasurable: the object covers no patch, or all of them.
    Source: HiPrune, arXiv 2508.00553, table 1 (IoU of the top 10 %); AUC: Hanley, McNeil, Radiology 143, 1982.
    """
    rows = np.atleast_2d(np.asarray(score, dtype=np.float64))
    label = as_labels(objects, rows.shape[1])
    rows, inside = rows[:, label >= 0], label[label >= 0] > 0
    n, m = len(inside), int(inside.sum())
    if not 0 < m < n:
        raise NotMeasurable("the object covers no patch" if m == 0 else "the object covers every patch")
    count = max(1, round(top * n))
    order = np.argsort(-rows, 1, kind="stable")
    hits = inside[order]
    both = hits[:, :count].sum(1)
    chance = iou_by_chance(n, count, m)[0]
    most = min(count, m) / max(count, m)
    iou = both / (count + m - both)
    rank = rankdata(rows, axis=1)
    return Centricity(
        iou=iou,
        iou_chance=chance,
        iou_most=most,
        adjusted=(iou - chance) / (most - chance) if most > chance else np.full(len(rows), np.nan),
        auc=(rank[:, inside].sum(1) - m * (m + 1) / 2) / (m * (n - m)),
        precision=hits[:, :m].mean(1),
        share=m / n,
    )


def object_patches(mask: np.ndarray | Tensor, grid: Grid, share: float = 0.5) -> np.ndarray:
    """1 where at least `share` of the pixels of a patch lie on an object (mask above 0), else 0, [N] int64.

    Raises:
        ValueError: the mask is not two-dimensional or has fewer pixels than patches along a side.
    """
    values = np.asarray(mask.cpu() if isinstance(mask, Tensor) else mask)
    if values.ndim != 2 or values.shape[0] < grid[0] or values.shape[1] < grid[1]:
        raise ValueError(f"a mask of shape {values.shape} cannot mark {grid[0]} × {grid[1]} patches")
    place, n = cell_of((values.shape[0], values.shape[1]), grid), grid[0] * grid[1]
    return (np.bincount(place, values.ravel() > 0, n) >= share * np.bincount(place, minlength=n) - 1e-9).astype(np.int64)


def iou_by_chance(n: int, one: int, other: int, band: float = 0.95) -> tuple[float, float, float]:
    """Mean, lower and upper end of the central `band` of |a ∩ b| / |a ∪ b| for random sets of these sizes out of n.

    The overlap follows the hypergeometric distribution. Two empty sets give NaN.
    """
    if one + other == 0:
        return (float("nan"),) * 3
    common = np.arange(max(0, one + other - n), min(one, other) + 1)
    chance = hypergeom.pmf(common, n, one, other)
    iou = common / (one + other - common)
    quantiles = np.array([1 - band, 1 + band]) / 2
    low, high = iou[np.searchsorted(chance.cumsum(), quantiles - 1e-12).clip(max=len(iou) - 1)]
    return float(chance @ iou), float(low), float(high)


# ------------------------------------------------------------------------------------------------------ between the layers


def rank_correlation(score: np.ndarray | Tensor) -> np.ndarray:
    """Spearman's rank correlation between the rows of [L, N], [L, L]; NaN where all entries of a row are equal."""
    rank = rankdata(np.asarray(score, dtype=np.float64), axis=1)
    rank -= rank.mean(1, keepdims=True)
    length = np.sqrt((rank**2).sum(1))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = rank @ rank.T / np.outer(length, length)
    return np.where(np.outer(length, length) > 0, found.clip(-1, 1), np.nan)


def rollout(maps: AttentionMaps, picture: int = 0, query: int | None = None, fusion: str = "mean", discard: float = 0.0) -> np.ndarray:
    """R = Â_L · … · Â_1, Â = rows of ½·(heads fused) + ½·I scaled to sum 1: how much each token's input reaches a query, [T].

    It sums to 1. The patches alone are `[maps.prefix:]`. Only one row is carried through the layers.

    Args:
        query: token whose row is followed, from 0; None is the class token, or the mean over the patches where there is none.
        fusion: how the heads are fused: "mean", "max" or "min".
        discard: share of the smallest entries of the fused attention that become 0, at least 0 and below 1.

    Raises:
        ValueError: no such token or fusion, or a share outside its range.
        NotMeasurable: a layer was not opened.
    Source: Abnar, Zuidema, "Quantifying Attention Flow in Transformers", ACL 2020; max, min and discard are common additions.
    """
    if fusion not in FUSIONS:
        raise ValueError(f"fusion is {fusion!r}; it must be one of {', '.join(FUSIONS)}")
    if not 0 <= discard < 1:
        raise ValueError(f"the share to discard is {discard}; it must be at least 0 and below 1")
    alone = one_look(maps, picture)
    closed = [layer for layer in range(1, maps.n_layers + 1) if layer not in alone.opened]
    if closed:
        raise NotMeasurable(f"rollout needs the full attention of every layer; that of {len(closed)} was not kept (first: {closed[0]})")
    tokens = alone.opened[1].shape[-1]
    if query is not None and not 0 <= query < tokens:
        raise ValueError(f"token {query} was asked for; there are tokens 0 to {tokens - 1}")
    row = np.zeros(tokens)
    if query is None and maps.prefix == 0:
        row[:] = 1 / tokens
    else:
        row[query or 0] = 1
    for layer in range(maps.n_layers, 0, -1):
        heads = alone.opened[layer][0].double().numpy()
        fused = getattr(heads, fusion)(0)
        if discard:
            place = int(discard * fused.size)
            smallest = np.partition(fused, place, axis=None)[place]
            fused = np.where(fused >= smallest, fused, 0)
        step = fused + np.eye(tokens)
        row = (row / step.sum(1)) @ step
    return row


# ------------------------------------------------------------------------------------------------------------- wrong grid


@dataclass(frozen=True)
class Stripes:
    """Does another width explain the maps better than the one that they are read with?

    Attributes:
        own: r(w), mean correlation of a patch with the one below it.
        best: the largest r of another width, if it stands out; r(w) where none does.
        width: that width.
    """

    own: float
    best: float
    width: int

    @property
    def excess(self) -> float:
        """How much better the other width does; above 0 the grid is doubtful."""
        return self.best - self.own


def stripes(score: np.ndarray | Tensor, grid: Grid) -> Stripes:
    """r(w') = mean_l corr(s_n, s_(n+w')) for every width w' that divides N: a map read with a wrong width shows slanted stripes.

    Only a w' counts whose r is above those of w' − 1 and w' + 1: patches side by side are alike in any map, the more the nearer.

    Args:
        score: [L, N] in the order of the tokens; several layers make the answer surer.

    Raises:
        ValueError: the scores do not fit the grid.
        NotMeasurable: no other grid has as many patches, or all scores are equal.
    Source: own measure.
    """
    rows = np.atleast_2d(np.asarray(score, dtype=np.float64))
    n, width = grid[0] * grid[1], grid[1]
    if rows.shape[1] != n:
        raise ValueError(f"{rows.shape[1]} scores do not fit a grid of {grid[0]} × {grid[1]}")
    others = [w for w in range(2, n // 2 + 1) if n % w == 0 and w != width]
    if not others or not 2 <= width <= n // 2:
        raise NotMeasurable(f"no other grid of {n} patches can be compared with {grid[0]} × {grid[1]}")
    rows = rows[np.ptp(rows, axis=1) > 0]
    if not len(rows):
        raise NotMeasurable("all patches receive the same attention")
    found = {w: _lagged(rows, w) for w in (width, *others)}
    standing = [w for w in others if found[w] > max(_lagged(rows, w - 1), _lagged(rows, w + 1))]
    best = max(standing, key=lambda w: found[w], default=width)
    return Stripes(found[width], found[best], best)


def _lagged(rows: np.ndarray, lag: int) -> float:
    """Mean over the rows of the correlation between an entry and the one `lag` behind it; 0 for a part without variation."""
    one, two = rows[:, :-lag], rows[:, lag:]
    one, two = one - one.mean(1, keepdims=True), two - two.mean(1, keepdims=True)
    length = np.sqrt((one**2).sum(1) * (two**2).sum(1))
    return float(np.mean(np.divide((one * two).sum(1), length, out=np.zeros_like(length), where=length > 0)))


def elbow(curve: Sequence[float] | np.ndarray | Tensor) -> tuple[int, float]:
    """(layer before the largest rise of a dispersion curve [L], that rise divided by the mean of the curve).

    Raises:
        NotMeasurable: fewer than two layers, or the curve never rises.
    Source: HiPrune's notebook: the object layer is the last one before the features of the top patches move apart.
    """
    values = np.asarray(torch.as_tensor(curve).detach().cpu(), dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise NotMeasurable("a jump between layers needs at least two of them")
    steps = np.diff(values)
    if not steps.max() > 0:
        raise NotMeasurable("the curve of the dispersion never rises")
    return int(steps.argmax()) + 1, float(steps.max() / values.mean())
