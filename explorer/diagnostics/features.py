"""What the features say: over-smoothing and repeating neighbours (D7, D8)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import sparse

from explorer.diagnostics.snapshot import Grid, Snapshot, entropy, known_mean, snapshot, unit_rows
from models.structures import PatchGraph

_SLICE = 1 << 22  # numbers held at once


@dataclass(frozen=True)
class Smoothness:
    """D7: how alike the patches are.

    Attributes:
        own: Dirichlet energy on the block's own graph, in [0, 2]; NaN without an edge or with pooled sources.
        grid: the same on the fixed 4-neighbour grid (comparable between blocks); NaN for a single patch.
        effective_rank: number of independent directions that the features use.
        full_rank: the most it could be, min(N − 1, C).
        mean_cosine: mean cosine over all pairs of patches, in [−1, 1].
        smv: mean ½‖x_i/‖x_i‖ − x_j/‖x_j‖‖ over all pairs, in [0, 1]; small = smooth.
    """

    own: float
    grid: float
    effective_rank: float
    full_rank: int
    mean_cosine: float
    smv: float


def smoothness(graph: PatchGraph | Snapshot, picture: int = 0) -> Smoothness:
    """D7. Over-smoothing shows as energy → 0 together with rank → 1.

    Raises:
        NotMeasurable: no features, or all patches are the same.
    Source: Dirichlet energy as in Cai, Wang, "A Note on Over-Smoothing for Graph Neural Networks", 2020; effective rank:
        Roy, Vetterli, EUSIPCO 2007; SMV: Liu, Gao, Ji, "Towards Deeper Graph Neural Networks", KDD 2020.
    """
    s = snapshot(graph, picture)
    x = s.centred
    own = float("nan") if s.graph.pooled else dirichlet(x, s.symmetric)
    cosine, smv = _pair_similarity(s.features)
    return Smoothness(own, dirichlet(x, grid_neighbours(s.grid)), effective_rank(x), min(s.n - 1, x.shape[1]), cosine, smv)


def dirichlet(centred: np.ndarray, symmetric: sparse.csr_matrix) -> float:
    """E = ½ Σ_ij S_ij ‖y_i/√d_i − y_j/√d_j‖² / Σ_i ‖y_i‖² for centred features y [N, C]; NaN without an edge."""
    degree = np.asarray(symmetric.sum(1)).ravel()
    if not degree.any():
        return float("nan")
    scaled = centred / np.sqrt(np.maximum(degree, 1))[:, None]
    linked = np.square(centred[degree > 0]).sum()
    return float(np.clip((linked - np.sum(scaled * (symmetric @ scaled))) / np.square(centred).sum(), 0, 2))


@lru_cache(maxsize=32)
def grid_neighbours(grid: Grid) -> sparse.csr_matrix:
    """S of the grid in which every patch is linked to the one above, below, left and right, [N, N]."""
    rows, cols = (sparse.diags([np.ones(side - 1)] * 2, [-1, 1], shape=(side, side)) for side in grid)
    return (sparse.kron(rows, sparse.identity(grid[1])) + sparse.kron(sparse.identity(grid[0]), cols)).tocsr()


def effective_rank(centred: np.ndarray) -> float:
    """exp(−Σ p ln p), p = singular values of centred features [N, C] divided by their sum; in [1, min(N, C)]."""
    gram = centred @ centred.T if centred.shape[0] < centred.shape[1] else centred.T @ centred
    singular = np.sqrt(np.clip(np.linalg.eigvalsh(gram), 0, None))
    return float(np.exp(entropy(singular / singular.sum())))


def _pair_similarity(x: np.ndarray) -> tuple[float, float]:
    """Mean cosine and mean ½‖u_i − u_j‖ over all pairs i ≠ j of the unit rows u of x."""
    u = unit_rows(x)
    n = len(u)
    if n < 2:
        return float("nan"), float("nan")
    cosine = distance = 0.0
    length = np.square(u).sum(1)
    step = max(1, _SLICE // n)
    for start in range(0, n, step):
        inner = u[start : start + step] @ u.T
        cosine += inner.sum()
        squared = np.clip(length[start : start + step, None] + length - 2 * inner, 0, None)
        squared[np.arange(len(squared)), np.arange(start, start + len(squared))] = 0
        distance += 0.5 * np.sqrt(squared).sum()
    pairs = n * (n - 1)
    return float((cosine - length.sum()) / pairs), float(distance / pairs)


@dataclass(frozen=True)
class Redundancy:
    """D8: do neighbours repeat each other?

    Attributes:
        cosine: R_i, mean cosine between two different neighbours of patch i, [N]; NaN with fewer than two.
        effective: V_i, effective number of different neighbours, 1 ≤ V_i ≤ k_i, [N]; NaN without a neighbour.
    """

    cosine: np.ndarray
    effective: np.ndarray

    @property
    def mean(self) -> float:
        return known_mean(self.cosine)

    @property
    def mean_effective(self) -> float:
        return known_mean(self.effective)


def redundancy(graph: PatchGraph | Snapshot, picture: int = 0) -> Redundancy:
    """D8. R_i = mean cos(x_j − x̄, x_k − x̄) over j ≠ k in N(i);  V_i = exp(−Σ μ ln μ), μ = eigenvalues of cos/k_i.

    The features of a pooled source are the average of its patches. A source that equals the mean has no direction and
    counts as different from all others.

    Raises:
        NotMeasurable: no features, all patches the same, or no edge.
    Source: own measure; V is the Vendi score (Friedman, Dieng, TMLR 2023) of a neighbourhood.
    """
    s = snapshot(graph, picture)
    direction = s.source_directions
    s.require_edges()
    total = s.adjacency @ direction
    own = s.adjacency @ np.square(direction).sum(1)
    count = s.listens.astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.where(count > 1, (np.square(total).sum(1) - own) / (count * (count - 1)), np.nan)
    return Redundancy(cosine, _effective_neighbours(s, direction))


def _effective_neighbours(s: Snapshot, direction: np.ndarray) -> np.ndarray:
    widest, channels = int(s.listens.max()), direction.shape[1]
    padded = np.vstack([direction, np.zeros(channels)])
    slot = np.arange(s.edges) - np.repeat(np.cumsum(s.listens) - s.listens, s.listens)
    index = np.full((s.n, widest), s.m)
    index[s.target, slot] = s.source
    result = np.full(s.n, np.nan)
    step = max(1, _SLICE // (widest * channels))
    for start in range(0, s.n, step):
        near = padded[index[start : start + step]]
        swapped = near.transpose(0, 2, 1)
        gram = near @ swapped if widest <= channels else swapped @ near  # both have the same non-zero eigenvalues
        mu = np.clip(np.linalg.eigvalsh(gram), 0, None)
        size = mu.sum(1, keepdims=True)
        heard = size[:, 0] > 0
        result[start : start + step][heard] = np.exp(entropy(mu[heard] / size[heard]))
    return result
