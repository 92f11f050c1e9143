"""Which object a patch belongs to, and whether edges respect it (D5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from explorer.diagnostics.measure import NotMeasurable
from explorer.diagnostics.snapshot import Grid, Labels, Snapshot, as_labels, cell_of, snapshot
from models.structures import PatchGraph

KMEANS_NOTE = "segments found by k-means, not ground truth"
PURITY = 0.6  # a patch is labelled when at least this share of it agrees
_COLOUR_UNIT = 20.0  # ΔE that weighs as much as the height of the picture
_SAME_COLOUR = 5.0  # ΔE below which two segments are one


# ----------------------------------------------------------------------------------------------------- from a mask


def patch_labels(mask: np.ndarray | Tensor, grid: Grid, purity: float = PURITY, void: int | None = None) -> np.ndarray:
    """Majority label of each patch, [H·W] int64; −1 where its share is below `purity` or the majority is `void`.

    Args:
        mask: one whole number per pixel, [h, w].
        void: the number that means "no label", e.g. 0.

    Raises:
        ValueError: the mask is not two-dimensional or has fewer pixels than patches along a side.
    """
    values = np.asarray(mask.cpu() if isinstance(mask, Tensor) else mask)
    if values.ndim != 2 or values.shape[0] < grid[0] or values.shape[1] < grid[1]:
        raise ValueError(f"a mask of shape {values.shape} cannot label {grid[0]} × {grid[1]} patches")
    return _majority(values.ravel(), cell_of(values.shape, grid), grid[0] * grid[1], purity, void)


def pooled_labels(labels: Labels, grid: Grid, coarse: Grid, purity: float = PURITY) -> np.ndarray:
    """Majority label of the patches inside each cell of a coarser grid, [h·w] int64; −1 where none is clear."""
    values = as_labels(labels, grid[0] * grid[1])
    if grid == coarse:
        return values
    return _majority(np.maximum(values, -1), cell_of(grid, coarse), coarse[0] * coarse[1], purity, -1)


def _majority(values: np.ndarray, place: np.ndarray, places: int, purity: float, void: int | None) -> np.ndarray:
    names, index = np.unique(values, return_inverse=True)
    votes = np.bincount(place * len(names) + index.ravel(), minlength=places * len(names)).reshape(places, -1)
    winner = votes.argmax(1)
    clear = votes.max(1) >= purity * votes.sum(1) - 1e-9
    label = names[winner].astype(np.int64)
    return np.where(clear & (label != void) if void is not None else clear, label, -1)


# -------------------------------------------------------------------------------------------------- from the picture


def segments(pixels: np.ndarray, grid: Grid, count: int = 6, seed: int = 0) -> np.ndarray:
    """At most `count` segments of a picture, one label per patch, [H·W] int64: found by k-means, not ground truth.

    k-means over the mean CIELAB colour and the position of each patch; segments of nearly the same colour are merged,
    so that a plain background is one segment. Labels are numbered in reading order. Equal input, equal output.

    Args:
        pixels: [h, w, 3] uint8 sRGB.

    Raises:
        ValueError: another shape or type, or fewer pixels than patches along a side.
    """
    pixels = np.asarray(pixels)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"segments need uint8 pixels of shape [h, w, 3], not {pixels.dtype} of shape {pixels.shape}")
    if pixels.shape[0] < grid[0] or pixels.shape[1] < grid[1]:
        raise ValueError(f"a picture of {pixels.shape[0]} × {pixels.shape[1]} pixels has no {grid[0]} × {grid[1]} patches")
    colour = _lab(_patch_means(pixels, grid))
    row, col = np.divmod(np.arange(len(colour)), grid[1])
    place = np.stack([row, col], 1) / max(grid)
    label = _kmeans(np.hstack([colour / _COLOUR_UNIT, place]), min(count, len(colour)), np.random.default_rng(seed))
    label = _merge_alike(label, colour)
    names, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    order = np.empty(len(names), dtype=np.int64)
    order[np.argsort(first)] = np.arange(len(names))
    return order[inverse]


def _patch_means(pixels: np.ndarray, grid: Grid) -> np.ndarray:
    """Mean colour of each patch, [H·W, 3] in 0…255; the pixels of a patch are those that `cell_of` assigns."""
    starts = [-(-np.arange(cells) * side // cells) for side, cells in zip(pixels.shape[:2], grid, strict=True)]
    total = np.add.reduceat(np.add.reduceat(pixels.astype(np.float64), starts[0], 0), starts[1], 1)
    size = np.outer(*(np.diff([*start, side]) for start, side in zip(starts, pixels.shape[:2], strict=True)))
    return (total / size[..., None]).reshape(-1, 3)


def _lab(rgb: np.ndarray) -> np.ndarray:
    """sRGB 0…255 → CIELAB (D65), [N, 3]. Formulas: IEC 61966-2-1, CIE 15."""
    value = rgb / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
    xyz = linear @ to_xyz.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)


def _kmeans(points: np.ndarray, count: int, random: np.random.Generator, rounds: int = 30) -> np.ndarray:
    """Lloyd's k-means with k-means++ seeds (Arthur, Vassilvitskii 2007), [N] int64."""
    centres = points[[random.integers(len(points))]]
    for _ in range(count - 1):
        far = _squared(points, centres).min(1)
        if far.sum() <= 0:
            break
        centres = np.vstack([centres, points[random.choice(len(points), p=far / far.sum())]])
    label = _squared(points, centres).argmin(1)
    for _ in range(rounds):
        held = np.bincount(label, minlength=len(centres))[:, None]
        sums = np.stack([np.bincount(label, column, len(centres)) for column in points.T], 1)
        centres = np.where(held > 0, sums / np.maximum(held, 1), centres)
        before, label = label, _squared(points, centres).argmin(1)
        if np.array_equal(before, label):
            break
    return label


def _squared(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return np.square(points[:, None] - centres[None]).sum(-1)


def _merge_alike(label: np.ndarray, colour: np.ndarray) -> np.ndarray:
    names, index = np.unique(label, return_inverse=True)
    mean = np.stack([colour[index == i].mean(0) for i in range(len(names))])
    close = np.sqrt(_squared(mean, mean)) < _SAME_COLOUR
    return connected_components(sparse.csr_matrix(close), directed=False)[1][index]


# --------------------------------------------------------------------------------------------------------- homophily


@dataclass(frozen=True)
class Homophily:
    """D5: edges that stay inside one segment.

    Attributes:
        share: h, among the edges with a label at both ends.
        chance: what h_S would be if edge ends were shuffled.
        adjusted: (h_S − chance)/(1 − chance); 0 = chance, 1 = no edge crosses a boundary; NaN when only one label is
            linked.
        per_patch: share among the edges that end in patch i, [N]; NaN where there is none.
        edges: number of edges that were counted.
    """

    share: float
    chance: float
    adjusted: float
    per_patch: np.ndarray
    edges: int


def homophily(graph: PatchGraph | Snapshot, labels: Labels, picture: int = 0) -> Homophily:
    """D5. h = Σ A_ij [y_i = y_j] / Σ A_ij;  h_adj = (h_S − Σ q_c²)/(1 − Σ q_c²),  q_c = Σ_{y_i = c} d_i / Σ d_i.

    h_S and d belong to the undirected graph S. Patches without a label (negative) are left out. Where sources are
    pooled, a cell has the majority label of its patches and chance is Σ a_c·b_c over targets and sources.

    Args:
        labels: one whole number per patch, [N].

    Raises:
        NotMeasurable: no edge has a label at both ends.
    Source: Newman, Phys. Rev. E 67, 2003 (assortative mixing); Platonov et al., NeurIPS 2023 (adjusted homophily).
    """
    s = snapshot(graph, picture)
    y = as_labels(labels, s.n)
    ends = y[s.target], pooled_labels(y, s.grid, s.key_grid)[s.source]
    known = (ends[0] >= 0) & (ends[1] >= 0)
    if not known.any():
        raise NotMeasurable("no edge has a labelled patch at both ends" if s.edges else "the graph has no edge")
    same = (ends[0] == ends[1]) & known
    both, chance = _mixing(ends[0][known], ends[1][known]) if s.graph.pooled else _undirected_mixing(s, y)
    with np.errstate(invalid="ignore"):
        per_patch = np.bincount(s.target, same, s.n) / np.bincount(s.target, known, s.n)
    adjusted = (both - chance) / (1 - chance) if chance < 1 - 1e-12 else float("nan")
    return Homophily(float(same.sum() / known.sum()), float(chance), float(adjusted), per_patch, int(known.sum()))


def _undirected_mixing(s: Snapshot, y: np.ndarray) -> tuple[float, float]:
    pair = s.symmetric.tocoo()
    known = (y[pair.row] >= 0) & (y[pair.col] >= 0)
    return _mixing(y[pair.row[known]], y[pair.col[known]])


def _mixing(left: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Share of equal ends, and the same by chance: Σ_c a_c·b_c with the shares of label c among left and right ends."""
    names = np.unique(np.concatenate([left, right]))
    a, b = (np.bincount(np.searchsorted(names, ends), minlength=len(names)) / len(ends) for ends in (left, right))
    return float((left == right).mean()), float(a @ b)
