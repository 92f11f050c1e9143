"""One picture of a PatchGraph as numpy arrays; what several diagnostics need is derived once and kept.

Conventions of all diagnostics: patch n = row·W + col; an edge runs from a source to the target that receives its
features; the patch itself is never its own neighbour; A_ij = 1 iff target i receives from source j.
Where sources are pooled cells, a cell lies at its centre (in patch units) and stands for all patches inside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from explorer.diagnostics.measure import NotMeasurable
from models.structures import PatchGraph

Grid = tuple[int, int]
Labels = np.ndarray | Tensor | Sequence[int]

UNIT_RULES = ("nearest", "mutual-nearest", "radius")  # compare features after dividing each patch by its length
COMPARING_RULES = (*UNIT_RULES, "axial-threshold")
_SAME = 1e-6  # relative spread below which float32 features carry no difference between patches


@dataclass(frozen=True)
class Snapshot:
    """One picture of a patch graph.

    Attributes:
        graph: the same graph with that picture alone, on the CPU.
        picture: which picture of the batch it was.
        source, target: edges, [E] int64 each, without self loops and duplicates, ordered by target, then source.
    """

    graph: PatchGraph
    picture: int
    source: np.ndarray
    target: np.ndarray

    @property
    def grid(self) -> Grid:
        return self.graph.grid

    @property
    def key_grid(self) -> Grid:
        return self.graph.key_grid

    @property
    def n(self) -> int:
        """Number of patches."""
        return self.grid[0] * self.grid[1]

    @property
    def m(self) -> int:
        """Number of sources; equals `n` unless keys are pooled."""
        return self.key_grid[0] * self.key_grid[1]

    @property
    def edges(self) -> int:
        return len(self.source)

    @cached_property
    def listens(self) -> np.ndarray:
        """k_i = Σ_j A_ij, how many sources patch i receives from (in-degree), [N]."""
        return np.bincount(self.target, minlength=self.n)

    @cached_property
    def read_by(self) -> np.ndarray:
        """b_j = Σ_i A_ij, how many patches receive from source j (out-degree), [M]."""
        return np.bincount(self.source, minlength=self.m)

    @cached_property
    def adjacency(self) -> sparse.csr_matrix:
        """A, [N, M]."""
        return sparse.csr_matrix((np.ones(self.edges), (self.target, self.source)), shape=(self.n, self.m))

    @cached_property
    def patch_adjacency(self) -> sparse.csr_matrix:
        """A between patches, [N, N]: a pooled source is replaced by the patches that it averages."""
        if not self.graph.pooled:
            return self.adjacency
        members = sparse.csr_matrix((np.ones(self.n), (self.cells, np.arange(self.n))), shape=(self.m, self.n))
        return (self.adjacency @ members).sign()

    @cached_property
    def symmetric(self) -> sparse.csr_matrix:
        """S = max(A, Aᵀ) between patches, [N, N], no diagonal."""
        both = self.patch_adjacency.maximum(self.patch_adjacency.T)
        both = both - sparse.diags(both.diagonal())
        both.eliminate_zeros()
        return both.tocsr()

    @cached_property
    def degree(self) -> np.ndarray:
        """d_i = Σ_j S_ij, [N]."""
        return np.asarray(self.symmetric.sum(1)).ravel()

    @cached_property
    def cells(self) -> np.ndarray:
        """The pooled cell that each patch lies in, [N]."""
        return cell_of(self.grid, self.key_grid)

    @cached_property
    def isolated(self) -> np.ndarray:
        """True where a patch neither listens nor is listened to (pooled: does not listen), [N] bool."""
        return self.listens == 0 if self.graph.pooled else (self.listens == 0) & (self.read_by == 0)

    @cached_property
    def features(self) -> np.ndarray:
        """X, [N, C] float64."""
        if self.graph.features is None:
            raise NotMeasurable("the graph does not carry the features that it was built from")
        return self.graph.features[0].flatten(1).T.double().numpy()

    @cached_property
    def spread(self) -> float:
        """√(Σ‖x_i − x̄‖² / Σ‖x_i‖²) of the features as the rule compares them; 0 when all patches are the same."""
        x = unit_rows(self.features) if self.graph.rule.name in UNIT_RULES else self.features
        size = np.square(x).sum()
        return float(np.sqrt(np.square(x - x.mean(0)).sum() / size)) if size > 0 else 0.0

    @cached_property
    def collapsed(self) -> bool:
        """True when all patches look the same: equal features, or (without features) equal distances."""
        if self.graph.features is not None:
            return self.spread <= _SAME
        if self.graph.distance is None or self.graph.distance.numel() == 0:
            return False
        distance = self.graph.distance[0][~self.graph.is_self()[0]]
        return distance.numel() > 0 and float(distance.max() - distance.min()) <= _SAME * float(distance.abs().max())

    @cached_property
    def centred(self) -> np.ndarray:
        """x_i − x̄, [N, C]. Raises NotMeasurable when all patches are the same."""
        if self.collapsed:
            raise NotMeasurable("all patches look the same to this layer")
        return self.features - self.features.mean(0)

    @cached_property
    def source_directions(self) -> np.ndarray:
        """(x_j − x̄)/‖x_j − x̄‖ of every source, [M, C]; a pooled source is the average of its patches."""
        x = self.centred
        if self.graph.pooled:
            x = np.stack([np.bincount(self.cells, channel, self.m) for channel in x.T], 1)  # the sum points the same way
        return unit_rows(x)

    @cached_property
    def target_position(self) -> np.ndarray:
        """(row, col) of each edge's target in patches, [E, 2]."""
        return np.stack(np.divmod(self.target, self.grid[1]), 1).astype(float)

    @cached_property
    def source_position(self) -> np.ndarray:
        """(row, col) of each edge's source in patches, [E, 2]; the centre of the cell where sources are pooled."""
        cell = np.stack(np.divmod(self.source, self.key_grid[1]), 1)
        return (cell + 0.5) * np.divide(self.grid, self.key_grid) - 0.5

    def require_edges(self) -> None:
        """Raise NotMeasurable for an empty graph."""
        if self.edges == 0:
            raise NotMeasurable("the graph has no edge")

    def require_patches(self) -> None:
        """Raise NotMeasurable where sources are pooled cells, so that no edge can be compared with its reverse."""
        if self.graph.pooled:
            raise NotMeasurable("the sources are pooled cells, not patches")


def snapshot(graph: PatchGraph | Snapshot, picture: int = 0) -> Snapshot:
    """One picture of `graph`, measured once. A Snapshot is returned as it is.

    Raises:
        models.structures.NonFiniteError: features, distances or statistics of that picture hold NaN or infinity.
        IndexError: the graph has no such picture.
    """
    if isinstance(graph, Snapshot):
        return graph
    alone = one_picture(graph, picture)
    alone.require_finite(f"picture {picture}")
    source, target = alone.edge_index()
    m = alone.key_grid[0] * alone.key_grid[1]
    code = np.unique((target * m + source).numpy())
    return Snapshot(alone, picture, code % m, code // m)


def batch_of(graph: PatchGraph) -> int:
    """Number of pictures that a graph speaks of (1 when all share it)."""
    tensors = (graph.candidates, graph.kept, graph.distance, graph.features, *graph.rule.statistics.values())
    return max(t.shape[0] for t in tensors if t is not None)


def one_picture(graph: PatchGraph, picture: int) -> PatchGraph:
    """The same graph with one picture alone, detached, in CPU memory."""
    if not 0 <= picture < batch_of(graph):
        raise IndexError(f"there is no picture {picture}; the graph holds {batch_of(graph)}")

    def pick(tensor: Tensor) -> Tensor:
        first = picture if tensor.shape[0] > 1 else 0
        return tensor[first : first + 1].detach().cpu()

    return replace(
        graph,
        candidates=pick(graph.candidates),
        kept=pick(graph.kept),
        rule=replace(graph.rule, statistics={name: pick(value) for name, value in graph.rule.statistics.items()}),
        distance=None if graph.distance is None else pick(graph.distance),
        position=None if graph.position is None else pick(graph.position),
        features=None if graph.features is None else pick(graph.features),
    )


def unit_rows(x: np.ndarray) -> np.ndarray:
    """Each row divided by its Euclidean length; a zero row stays zero."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def entropy(p: np.ndarray) -> np.ndarray:
    """−Σ p ln p along the last axis, with 0·ln 0 = 0."""
    return -(p * np.log(np.where(p > 0, p, 1))).sum(-1)


def known_mean(values: np.ndarray) -> float:
    """Mean of the entries that are not NaN; NaN when there is none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def known_median(values: np.ndarray) -> float:
    """Median of the entries that are not NaN; NaN when there is none."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")


@lru_cache(maxsize=32)
def cell_of(grid: Grid, coarse: Grid) -> np.ndarray:
    """The cell of a coarser grid that each patch of a grid lies in, [H·W] int64.

    Raises:
        ValueError: the coarse grid is larger than the grid.
    """
    if coarse[0] > grid[0] or coarse[1] > grid[1]:
        raise ValueError(f"a grid of {grid[0]} × {grid[1]} patches cannot be pooled to {coarse[0]} × {coarse[1]} cells")
    row, col = (np.arange(side) * cells // side for side, cells in zip(grid, coarse, strict=True))
    return (row[:, None] * coarse[1] + col).ravel()


def as_labels(labels: Labels, n: int) -> np.ndarray:
    """Labels as [N] int64; −1 and below mean "no label".

    Raises:
        ValueError: there is not one label for each patch.
    """
    values = np.asarray(labels.cpu() if isinstance(labels, torch.Tensor) else labels).reshape(-1).astype(np.int64)
    if len(values) != n:
        raise ValueError(f"{len(values)} labels were given for {n} patches")
    return values
