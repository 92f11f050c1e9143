"""Whether news can travel: pieces, bottlenecks, reach over several blocks (D4, D6, D13)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from explorer.diagnostics.measure import NotMeasurable
from explorer.diagnostics.snapshot import Grid, Snapshot, cell_of, snapshot
from models.structures import PatchGraph

_DENSE = 640  # up to here a dense eigenproblem is faster than an iterative one


@dataclass(frozen=True)
class Components:
    """D4: weakly connected pieces.

    Attributes:
        piece: number of the piece of each patch, [N] int, largest piece first (ties: the one with the earlier patch).
        sizes: patches in each piece, [count] int, descending.
    """

    piece: np.ndarray
    sizes: np.ndarray

    @property
    def count(self) -> int:
        return len(self.sizes)

    @property
    def largest_share(self) -> float:
        return float(self.sizes[0] / len(self.piece))


def components(graph: PatchGraph | Snapshot, picture: int = 0) -> Components:
    """D4. Pieces that no edge joins; a patch without an edge is a piece. A pooled source joins all its patches."""
    s = snapshot(graph, picture)
    _, piece = connected_components(s.patch_adjacency, directed=True, connection="weak")
    sizes = np.bincount(piece)
    first = np.full(len(sizes), s.n)
    np.minimum.at(first, piece, np.arange(s.n))
    order = np.lexsort((first, -sizes))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return Components(rank[piece], sizes[order])


def axial_pieces(grid: Grid, step: int) -> int:
    """D4. Pieces of all axial candidates on an H × W torus: gcd(K, H)·gcd(K, W).

    A side that is not longer than the step has no candidate at all and counts with its own length.
    """
    return math.prod(math.gcd(step, side) if step < side else side for side in grid)


@dataclass(frozen=True)
class Spectrum:
    """D6: the largest piece as a random walk sees it.

    Attributes:
        gap: λ₂ of L = I − D^{−1/2} S D^{−1/2}, in [0, 2]; mixing takes about 1/λ₂ steps.
        fiedler: D^{−1/2} v₂, [N], scaled to a largest magnitude of 1; its sign splits the piece at its bottleneck. NaN
            outside the piece. The sign is chosen so that the earliest extreme patch is positive; where λ₂ is a multiple
            eigenvalue (very regular graphs) the vector is one of many.
        patches: size of the piece.
    """

    gap: float
    fiedler: np.ndarray
    patches: int

    @property
    def cheeger(self) -> tuple[float, float]:
        """λ₂/2 ≤ φ ≤ √(2λ₂): bounds of the conductance φ of the narrowest cut."""
        return self.gap / 2, math.sqrt(2 * self.gap)


def spectrum(graph: PatchGraph | Snapshot, picture: int = 0, parts: Components | None = None) -> Spectrum:
    """D6. Spectral gap and Fiedler vector of the largest piece.

    Raises:
        NotMeasurable: no two patches are linked, pooled sources, or no convergence on a very large graph.
    Source: Fiedler, Czech. Math. J. 23, 1973; Chung, "Spectral Graph Theory", 1997 (normalised form, Cheeger bounds).
    """
    s = snapshot(graph, picture)
    s.require_patches()
    s.require_edges()
    inside = np.flatnonzero((parts or components(s)).piece == 0)
    part = s.symmetric[inside][:, inside]
    root = np.sqrt(s.degree[inside])
    walk = sparse.diags(1 / root) @ part @ sparse.diags(1 / root)
    gap, vector = _dense_second(walk) if len(inside) <= _DENSE else _sparse_second(walk, root)
    shape = vector / root
    shape = shape / shape[np.argmax(np.abs(shape) > np.abs(shape).max() - 1e-9)]
    fiedler = np.full(s.n, np.nan)
    fiedler[inside] = shape
    return Spectrum(float(np.clip(gap, 0, 2)), fiedler, len(inside))


def _dense_second(walk: sparse.spmatrix) -> tuple[float, np.ndarray]:
    """λ₂ of I − walk and its vector."""
    # torch, not scipy: its threads do not fight with those of the running models (fifteen times faster on a busy machine)
    values, vectors = torch.linalg.eigh(torch.from_numpy(np.eye(walk.shape[0]) - walk.toarray()))
    return float(values[1]), vectors[:, 1].numpy()


def _sparse_second(walk: sparse.spmatrix, root: np.ndarray) -> tuple[float, np.ndarray]:
    """The same by Lanczos iteration; the known first vector √d is moved to the far end of the spectrum."""
    first = root / np.linalg.norm(root)
    operator = LinearOperator(walk.shape, matvec=lambda v: walk @ v - 3 * first * (first @ v), dtype=float)
    start = np.random.default_rng(0).standard_normal(len(root))
    try:
        values, vectors = eigsh(operator, k=1, which="LA", v0=start, tol=1e-5, ncv=min(40, len(root) - 1), maxiter=200)
    except ArpackNoConvergence:
        raise NotMeasurable(f"the bottleneck of {len(root)} patches could not be found in reasonable time") from None
    return float(1 - values[0]), vectors[:, 0]


@dataclass(frozen=True)
class Reach:
    """D13: how much of the picture a patch has heard of.

    Attributes:
        share: mean share of the first grid's patches that a patch can depend on after block 1, …, b.
        maps: the share per patch after each block, [N_b] each.
    """

    share: tuple[float, ...]
    maps: tuple[np.ndarray, ...]


def reach(graphs: Sequence[PatchGraph | Snapshot], picture: int = 0) -> Reach:
    """D13. Reach through the graphs of consecutive blocks alone (convolutions widen it further).

    heard_0(i) = {i};  heard_b(i) = heard_{b−1}(i) ∪ ⋃_{j ∈ N_b(i)} heard_{b−1}(j). A pooled source passes on what all
    its patches have heard; where the grid shrinks between blocks, a cell has heard what its patches had.

    Raises:
        ValueError: no graph, or a grid that grows.
    """
    steps = _hops(graphs, picture)
    heard = np.eye(steps[0].shape[1], dtype=np.float32)
    maps = []
    for step in steps:
        heard = np.minimum(step @ heard, 1)
        maps.append(heard.mean(1))
    return Reach(tuple(float(m.mean()) for m in maps), tuple(maps))


def heard_by(graphs: Sequence[PatchGraph | Snapshot], patch: int, picture: int = 0) -> np.ndarray:
    """D13. The patches of the first grid that one patch has heard of after each block, [blocks, N_0] bool.

    `patch` counts in the grid of the last block; on larger grids before it stands for the patches it was pooled from.
    """
    steps = _hops(graphs, picture)
    last, rows = snapshot(graphs[-1], picture).grid, []
    for count in range(1, len(steps) + 1):
        row = np.asarray(cell_of(snapshot(graphs[count - 1], picture).grid, last) == patch, dtype=np.float32)
        for step in reversed(steps[:count]):
            row = np.minimum(step.T @ row, 1)
        rows.append(row > 0)
    return np.stack(rows)


def _hops(graphs: Sequence[PatchGraph | Snapshot], picture: int) -> list[sparse.csr_matrix]:
    """For each block (A_b + I)·P_b, where P_b gathers the patches of the grid before; [N_b, N_{b−1}]."""
    if not graphs:
        raise ValueError("reach needs the graph of at least one block")
    shots = [snapshot(graph, picture) for graph in graphs]
    hops, before = [], shots[0].grid
    for s in shots:
        step = s.patch_adjacency + sparse.identity(s.n, format="csr")
        if s.grid != before:
            fine = before[0] * before[1]
            step = step @ sparse.csr_matrix((np.ones(fine), (cell_of(before, s.grid), np.arange(fine))), shape=(s.n, fine))
        hops.append(step.astype(np.float32).tocsr())
        before = s.grid
    return hops
