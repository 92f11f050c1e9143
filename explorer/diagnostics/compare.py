"""Two graphs of the same patches: do they agree, and does a graph survive a change of the picture (D9, D10)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from explorer.diagnostics.measure import NotMeasurable
from explorer.diagnostics.snapshot import Grid, Snapshot, snapshot
from models.structures import PatchGraph


@dataclass(frozen=True)
class Agreement:
    """D9, D10: overlap of neighbourhoods.

    Attributes:
        per_patch: J_i, [N]; NaN where both neighbourhoods are empty.
        mean: mean of J_i.
        chance: mean of the same for random neighbourhoods of the same sizes, about m/(a + b − m), m = ab/(N − 1).
    """

    per_patch: np.ndarray
    mean: float
    chance: float


def agreement(one: PatchGraph | Snapshot, other: PatchGraph | Snapshot, picture: int = 0) -> Agreement:
    """D9. J_i = |N_a(i) ∩ N_b(i)| / |N_a(i) ∪ N_b(i)| (Jaccard 1901).

    Raises:
        ValueError: the grids differ.
        NotMeasurable: neither graph has an edge.
    """
    a, b = snapshot(one, picture), snapshot(other, picture)
    if (a.grid, a.key_grid) != (b.grid, b.key_grid):
        raise ValueError(f"the graphs lie on different grids: {a.grid} with sources {a.key_grid}, {b.grid} with {b.key_grid}")
    return _overlap(a.adjacency, b.adjacency, a.m - (0 if a.graph.pooled else 1))


def stability(
    graph: PatchGraph | Snapshot,
    moved: PatchGraph | Snapshot,
    permutation: np.ndarray,
    key_permutation: np.ndarray | None = None,
    picture: int = 0,
) -> Agreement:
    """D10. mean_i J(π(N_x(i)), N_Tx(π(i))) for a change T of the picture that moves patch n to π(n).

    Args:
        graph, moved: the graph of the picture and of the changed picture, on the same grid.
        permutation: π, [N] int; −1 where a patch left the picture. Such patches are left out on both sides. See
            `unmoved` (colour jitter, noise, JPEG), `flipped`, `shifted`.
        key_permutation: the same for pooled sources, [M].

    Returns:
        The agreement by the numbering of the unchanged picture.

    Raises:
        ValueError: grids or lengths do not fit.
        NotMeasurable: neither graph has an edge on the overlap.
    """
    a, b = snapshot(graph, picture), snapshot(moved, picture)
    if (a.grid, a.key_grid) != (b.grid, b.key_grid):
        raise ValueError(f"the graphs lie on different grids: {a.grid} with sources {a.key_grid}, {b.grid} with {b.key_grid}")
    if a.graph.pooled and key_permutation is None:
        raise ValueError("the sources are pooled: say with key_permutation where each cell moves")
    rows = _moving(permutation, a.n)
    columns = rows if key_permutation is None else _moving(key_permutation, a.m)
    before = rows @ rows.T @ a.adjacency @ columns @ columns.T  # only what both pictures show
    after = rows @ b.adjacency @ columns.T
    return _overlap(before, after, int(columns.sum()) - (0 if a.graph.pooled else 1))


def _moving(permutation: np.ndarray, n: int) -> sparse.csr_matrix:
    """Π[i, π(i)] = 1, an empty row where patch i left the picture, [N, N]."""
    to = np.asarray(permutation)
    stays = np.flatnonzero(to >= 0)
    if len(to) != n or len(np.unique(to[stays])) != len(stays) or (to >= n).any():
        raise ValueError(f"a patch permutation holds {n} different numbers below {n} (−1 for a patch that left)")
    return sparse.csr_matrix((np.ones(len(stays)), (stays, to[stays])), shape=(n, n))


def _overlap(one: sparse.csr_matrix, other: sparse.csr_matrix, others: int) -> Agreement:
    a, b, both = (np.asarray(m.sum(1)).ravel() for m in (one, other, one.multiply(other)))
    known = a + b > 0
    if not known.any():
        raise NotMeasurable("neither graph has an edge")
    per_patch = np.full(len(a), np.nan)
    per_patch[known] = both[known] / (a + b - both)[known]
    expected = (a * b / max(others, 1))[known]
    return Agreement(per_patch, float(per_patch[known].mean()), float((expected / ((a + b)[known] - expected)).mean()))


# ------------------------------------------------------------------------------------------------- where patches move


def unmoved(grid: Grid) -> np.ndarray:
    """π of a change that moves nothing (colour jitter, noise, JPEG), [N]."""
    return np.arange(grid[0] * grid[1])


def flipped(grid: Grid) -> np.ndarray:
    """π of a left–right flip, [N]."""
    row, col = np.divmod(unmoved(grid), grid[1])
    return row * grid[1] + grid[1] - 1 - col


def shifted(grid: Grid, rows: int, cols: int) -> np.ndarray:
    """π of a shift by whole patches (down and right positive), [N]; −1 for the patches that leave the picture."""
    row, col = np.divmod(unmoved(grid), grid[1])
    row, col = row + rows, col + cols
    inside = (row >= 0) & (row < grid[0]) & (col >= 0) & (col < grid[1])
    return np.where(inside, row * grid[1] + col, -1)
