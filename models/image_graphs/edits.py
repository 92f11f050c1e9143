"""Interventions on a patch graph: pure functions PatchGraph → PatchGraph, to be used as edits of `models.capture`.

with capture(model, edits={"backbone.0.0.graph_conv.constructor": lambda g: nearest(g, k=4, dilation=1)}) as trace: ...
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from models.image_graphs.constructors import Constructor
from models.structures import PatchGraph


def nearest(graph: PatchGraph, k: int, dilation: int) -> PatchGraph:
    """Another k and dilation for a nearest-neighbour graph, as far as its candidate list reaches.

    Raises:
        ValueError: the graph has no sorted candidates, or k·dilation exceeds them.
    """
    available = graph.candidates.shape[2]
    if graph.rule.name != "nearest":
        raise ValueError(f"k and dilation belong to nearest-neighbour graphs; this one is built by the rule {graph.rule.name!r}")
    if k * dilation > available:
        raise ValueError(f"k·dilation = {k}·{dilation} = {k * dilation} exceeds the {available} patches that can be chosen from")
    columns = slice(0, k * dilation, dilation)
    kept = torch.zeros_like(graph.kept)
    kept[..., columns] = True
    rule = replace(graph.rule, settings={**graph.rule.settings, "k": k, "dilation": dilation})
    return replace(graph, kept=kept, columns=columns, rule=rule)


def rebuilt(graph: PatchGraph, constructor: Constructor, position: Tensor | None = None) -> PatchGraph:
    """The graph that another constructor makes of the features that this one saw, keys pooled as they were.

    Args:
        position: a position term [1, N, M] to add to the distances.
    """
    if graph.features is None:
        raise ValueError("this graph does not carry the features that it was built from")
    keys = F.avg_pool2d(graph.features, graph.grid[0] // graph.key_grid[0]) if graph.pooled else None
    return constructor.eval()(graph.features, keys, position)


def without_edges(graph: PatchGraph, pairs: Iterable[tuple[int, int]]) -> PatchGraph:
    """Remove the edges source → target for every (target, source) pair, in all pictures.

    Raises:
        ValueError: a target is no patch of the grid. A source that is no candidate has no edge to remove.
    """
    sources, device = graph.key_grid[0] * graph.key_grid[1], graph.candidates.device
    listed = [(_patch(graph, target), source) for target, source in pairs]
    codes = [target * sources + source for target, source in listed if 0 <= source < sources]
    gone = torch.tensor(codes, dtype=torch.int64, device=device)
    here = torch.arange(graph.candidates.shape[1], device=device)[None, :, None]
    return graph.with_kept(graph.kept & ~torch.isin(here * sources + graph.candidates, gone))


def without_patches(graph: PatchGraph, patches: Iterable[int]) -> PatchGraph:
    """Remove every edge from and to these patches. Where sources are pooled cells, only what the patches listen to.

    Raises:
        ValueError: there is no such patch in the grid.
    """
    chosen = torch.zeros(graph.candidates.shape[1], dtype=torch.bool, device=graph.candidates.device)
    chosen[torch.tensor([_patch(graph, patch) for patch in patches], dtype=torch.int64)] = True
    drop = chosen[None, :, None]
    return graph.with_kept(graph.kept & ~(drop if graph.pooled else drop | chosen[graph.candidates]))


def _patch(graph: PatchGraph, patch: int) -> int:
    n = graph.candidates.shape[1]
    if not 0 <= patch < n:
        raise ValueError(f"there is no patch {patch}; the grid holds {n}")
    return patch
