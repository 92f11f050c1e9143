"""Graphs over the patches of a picture, and what travelled along their edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from models.structures.base import Structure


@dataclass(frozen=True)
class Rule(Structure):
    """How a constructor turned candidates into edges.

    Attributes:
        name: "nearest", "axial", "axial-threshold", "radius", "mutual-nearest", "grid" or "random".
        settings: the plain numbers and words of the rule (k, dilation, step, multiplier, p, …).
        statistics: what the rule measured on each picture, [B] each (DAGC: mean, std of the half-roll distances).
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    statistics: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class PatchGraph(Structure):
    """The directed graph that a constructor laid over the patches of B pictures.

    An edge runs from a source (key) patch to the target patch that receives its features. Candidates are everything
    that the rule looked at; `kept` says which became edges. Nearest-neighbour rules list candidates by growing
    distance, so a smaller k is a prefix.

    Attributes:
        candidates: source patch of each candidate, [B or 1, N, S] int64, an index into the key grid.
        kept: True where the candidate became an edge, [B or 1, N, S] bool.
        grid: (H, W) of the targets.
        key_grid: (h, w) of the sources; smaller than `grid` where keys are pooled.
        rule: how the edges were chosen.
        distance: the score that the rule compared (smaller is closer), [B, N, S]; None when it compared nothing.
        position: the part of `distance` that is a fixed position term, [B, N, S]; None without one.
        features: the tensor that the constructor saw, [B, C, H, W]; not copied.
        columns: the kept columns of `candidates` when they are the same for every patch, else None.
    """

    candidates: Tensor
    kept: Tensor
    grid: tuple[int, int]
    key_grid: tuple[int, int]
    rule: Rule
    distance: Tensor | None = None
    position: Tensor | None = None
    features: Tensor | None = None
    columns: slice | None = None

    @property
    def pooled(self) -> bool:
        return self.grid != self.key_grid

    def neighbours(self) -> tuple[Tensor, Tensor | None]:
        """Sources of every patch: ([B or 1, N, K] int64, mask of the same shape, or None when all K are edges)."""
        if self.columns is not None:
            return self.candidates[..., self.columns], None
        return self.candidates, self.kept

    def is_self(self) -> Tensor:
        """True where a candidate is the patch itself, [B or 1, N, S] bool (never in a pooled graph)."""
        if self.pooled:
            return torch.zeros_like(self.candidates, dtype=torch.bool)
        here = torch.arange(self.candidates.shape[1], device=self.candidates.device)
        return self.candidates == here[None, :, None]

    def edge_index(self, picture: int = 0, self_loops: bool = False) -> Tensor:
        """Edges of one picture as [2, E] int64, source → target (the convention of PyTorch Geometric)."""
        edges = self._edges(picture, self_loops)
        target = torch.nonzero(edges)[:, 0]
        return torch.stack([_one(self.candidates, picture)[edges], target])

    def edge_distance(self, picture: int = 0, self_loops: bool = False) -> Tensor | None:
        """Distance of each edge in the order of `edge_index`, [E]; None when the rule compared nothing."""
        if self.distance is None:
            return None
        return _one(self.distance, picture)[self._edges(picture, self_loops)]

    def adjacency(self, picture: int = 0) -> Tensor:
        """A[i, j] = 1 iff patch i receives features of key j, self removed, [N, M] float32."""
        source, target = self.edge_index(picture)
        matrix = torch.zeros(self.grid[0] * self.grid[1], self.key_grid[0] * self.key_grid[1])
        matrix[target, source] = 1
        return matrix

    def with_kept(self, kept: Tensor) -> PatchGraph:
        """The same graph with other edges chosen from the same candidates (an intervention)."""
        return replace(self, kept=kept, columns=None)

    def _edges(self, picture: int, self_loops: bool) -> Tensor:
        kept = _one(self.kept, picture)
        return kept if self_loops else kept & ~_one(self.is_self(), picture)


def _one(batch: Tensor, picture: int) -> Tensor:
    """Picture `picture` of a tensor whose first axis may be 1 because all pictures share it."""
    return batch[picture if batch.shape[0] > 1 else 0]


@dataclass(frozen=True)
class Aggregation(Structure):
    """What max-relative aggregation took from the neighbours.

    Attributes:
        relative: the largest feature difference to a neighbour, per channel, [B, N, C].
        winner: which source patch gave it, [B, N, C] int32; -1 where no neighbour won (value 0).
    """

    relative: Tensor
    winner: Tensor
