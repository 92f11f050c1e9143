"""A graph turned inside out, and the edges that a network kept of it.

The words (names, formulas, thresholds, hints) are text beside the code: `dual.json`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from explorer.diagnostics.measure import Measure, NotMeasurable, measure, sections
from models.structures import AbstractGraph, EdgeSelection, Hypergraph


def line_graph_edges(graph: AbstractGraph) -> int:
    """How many pairs of edges share a node: Σ_v d_v (d_v − 1) / 2."""
    degree = graph.degrees()
    return int((degree * (degree - 1) // 2).sum())


def rank_correlation(one: Tensor, two: Tensor) -> float:
    """Spearman's rank correlation of two lists, ties at their mean rank.

    Raises:
        NotMeasurable: fewer than three values, or all of one list are equal.
    """
    if len(one) < 3 or one.unique().numel() < 2 or two.unique().numel() < 2:
        raise NotMeasurable("three different values are needed to compare two orders")
    return float(np.corrcoef(_ranks(one.numpy()), _ranks(two.numpy()))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2)[inverse]


def per_edge(selection: EdgeSelection, graph: AbstractGraph) -> tuple[Tensor, Tensor]:
    """Score of every edge of the graph [m] (NaN where the selection no longer had it) and whether it was kept [m] bool.

    Both directions of an edge count as one: their mean score, kept when either is.
    """
    number = {(u, v): i for i, (u, v) in enumerate(graph.edges.tolist())}
    place = torch.tensor([number[min(u, v), max(u, v)] for u, v in selection.edge_index.T.tolist()], dtype=torch.int64)
    count = torch.zeros(graph.num_edges).index_add(0, place, torch.ones(len(place)))
    score = torch.zeros(graph.num_edges).index_add(0, place, selection.score.float()) / count  # 0/0 is NaN: gone before
    kept = torch.zeros(graph.num_edges, dtype=torch.bool)
    kept[place[selection.kept]] = True
    return score, kept


def summary(graph: AbstractGraph, dual: Hypergraph, selections: list[EdgeSelection], betweenness: Tensor) -> list[Measure]:
    """What is measured of the dual, and of the edges that HyperDrop kept.

    Args:
        dual: of the edges, each listed once.
        betweenness: of every edge, [m].
    """
    sizes = dual.sizes()
    line = line_graph_edges(graph)
    found = [
        measure(
            "dual_size",
            dual.incidence.shape[1],
            edges=graph.num_edges,
            groups=int((sizes > 0).sum()),
            line=line,
            ratio=line / graph.num_edges,
        ),
        measure("dual_group", float(sizes[sizes > 0].double().mean()), most=int(sizes.max())),
    ]
    if not selections:
        return found
    last = selections[-1]

    def silent() -> list[Measure]:
        return [measure("drop_silent", float((last.weight <= 0).double().mean()))]

    def bridges() -> list[Measure]:
        is_bridge = graph.truth.is_bridge if graph.truth is not None else None
        if is_bridge is None or not is_bridge.any():
            raise NotMeasurable("this graph has no bridge")
        kept = per_edge(last, graph)[1]
        others = "none" if is_bridge.all() else f"{100 * float(kept[~is_bridge].double().mean()):.0f} %"
        return [measure("drop_bridges", float(kept[is_bridge].double().mean()), count=int(is_bridge.sum()), others=others)]

    def order() -> list[Measure]:
        return [measure("drop_betweenness", rank_correlation(per_edge(selections[0], graph)[0], betweenness))]

    return found + sections([(["drop_silent"], silent), (["drop_bridges"], bridges), (["drop_betweenness"], order)])
