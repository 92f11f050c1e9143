"""Which edges to take away for a counterfactual (D14): masks for `PatchGraph.with_kept`, to run the model again with.

    graph.with_kept(cut_between_segments(graph, labels).kept)

A patch's own entry in its list (ViG keeps it) is never removed. In a batch only the edges of `picture` change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from explorer.diagnostics.labels import pooled_labels
from explorer.diagnostics.snapshot import Labels, as_labels, batch_of
from models.structures import PatchGraph


@dataclass(frozen=True)
class Cut:
    """An edge selection.

    Attributes:
        kept: what remains, [B or 1, N, S] bool.
        removed: number of edges taken away.
    """

    kept: Tensor
    removed: int


def cut_between_segments(graph: PatchGraph, labels: Labels, picture: int = 0) -> Cut:
    """Remove all edges whose ends carry different labels; edges with an unlabelled end stay. labels [N]."""
    y = as_labels(labels, graph.grid[0] * graph.grid[1])
    own, source = (torch.from_numpy(v) for v in (y, pooled_labels(y, graph.grid, graph.key_grid)))
    far = source[_candidates(graph, picture)]
    return _without(graph, (far != own[:, None]) & (far >= 0) & (own[:, None] >= 0), picture)


def cut_patch(graph: PatchGraph, patch: int, picture: int = 0, side: Literal["both", "listens", "read"] = "both") -> Cut:
    """Remove the edges of one patch: what it listens to, what reads it, or both.

    Where sources are pooled cells, only what it listens to can be removed: its cell speaks for other patches too.
    """
    candidates = _candidates(graph, picture)
    if not 0 <= patch < len(candidates):
        raise IndexError(f"there is no patch {patch}; the grid holds {len(candidates)}")
    drop = torch.zeros(candidates.shape, dtype=torch.bool)
    if side in ("both", "listens"):
        drop[patch] = True
    if side in ("both", "read") and not graph.pooled:
        drop |= candidates == patch
    return _without(graph, drop, picture)


def cut_random(graph: PatchGraph, count: int, seed: int = 0, picture: int = 0) -> Cut:
    """Remove `count` edges at random (all when there are fewer): the control for another cut of the same size."""
    edges = _edges(graph, picture)
    where = np.flatnonzero(edges.numpy().ravel())
    chosen = np.random.default_rng(seed).choice(where, min(count, len(where)), replace=False)
    drop = torch.zeros(edges.numel(), dtype=torch.bool)
    drop[torch.from_numpy(chosen)] = True
    return _without(graph, drop.view(edges.shape), picture)


def _without(graph: PatchGraph, drop: Tensor, picture: int) -> Cut:
    """Remove the edges where `drop` [N, S] is true from one picture."""
    drop = drop & _edges(graph, picture)
    kept = graph.kept.expand(batch_of(graph), -1, -1).clone()
    kept[picture] &= ~drop.to(kept.device)
    return Cut(kept, int(drop.sum()))


def _candidates(graph: PatchGraph, picture: int) -> Tensor:
    return graph.candidates[picture if graph.candidates.shape[0] > 1 else 0].cpu()


def _edges(graph: PatchGraph, picture: int) -> Tensor:
    """Kept candidates other than the patch itself, [N, S] bool."""
    if not 0 <= picture < batch_of(graph):
        raise IndexError(f"there is no picture {picture}; the graph holds {batch_of(graph)}")
    kept, own = (t[picture if t.shape[0] > 1 else 0].cpu() for t in (graph.kept, graph.is_self()))
    return kept & ~own
