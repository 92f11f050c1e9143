"""A graph on its own and its drawing: how it hangs together, what is exactly true of it, what the picture of it hides.

The words (names, formulas, thresholds, hints) are text beside the code: `abstract_graph.json`.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, shortest_path

from explorer.diagnostics.measure import Measure, NotMeasurable, measure, sections, unknown
from models.structures import AbstractGraph, GraphDrawing

INKED, FULL = 0.05, 0.95
MOST_CROSSED = 4_000  # edges whose pairs are all tried
ROUNDS = 3  # layers of the networks that read the adjacency


def steps(graph: AbstractGraph) -> np.ndarray:
    """Steps between all pairs of nodes, [N, N] float64; infinity between pieces."""
    return shortest_path(csr_matrix(graph.adjacency().numpy()), unweighted=True)


def pieces(graph: AbstractGraph) -> int:
    """How many parts hang together."""
    return int(connected_components(csr_matrix(graph.adjacency().numpy()), directed=False)[0])


def clustering(graph: AbstractGraph) -> float:
    """Mean over nodes of the share of pairs of neighbours that are joined; a node with fewer than two counts as 0."""
    a = graph.adjacency().double()
    degree = a.sum(1)
    closed = torch.diagonal(a @ a @ a)
    pairs = degree * (degree - 1)
    return float(torch.where(pairs > 0, closed / pairs.clamp(min=1), 0).mean())


def crossings(places: np.ndarray, edges: np.ndarray) -> int:
    """How often straight edges [m, 2] between places [N, 2] cross inside both; edges that share a node do not count."""
    if len(edges) < 2:
        return 0
    start, end = places[edges[:, 0]], places[edges[:, 1]]
    total = 0
    for i in range(len(edges) - 1):  # one row at a time: all pairs of 4 000 edges at once would take 130 MB
        later = slice(i + 1, None)
        p, q, a, b = start[i], end[i], start[later], end[later]
        apart = (_side(p, q, a) * _side(p, q, b) < 0) & (_side(a, b, p) * _side(a, b, q) < 0)
        shared = (edges[later] == edges[i, 0]).any(1) | (edges[later] == edges[i, 1]).any(1)
        total += int((apart & ~shared).sum())
    return total


def _side(a: np.ndarray, b: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Which side of the line a–b the point p lies on: sign of the cross product."""
    return (b[..., 0] - a[..., 0]) * (p[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (p[..., 0] - a[..., 0])


def stress(places: np.ndarray, distance: np.ndarray) -> float:
    """Kruskal's stress-1 of places [N, 2] against steps [N, N], over the pairs that are joined, at the best scale; 0…1.

    Raises:
        NotMeasurable: no pair is joined, or all nodes lie in one place.
    """
    u, v = np.triu_indices(len(places), 1)
    on_paper, in_graph = np.linalg.norm(places[u] - places[v], axis=1), distance[u, v]
    joined = np.isfinite(in_graph)
    on_paper, in_graph = on_paper[joined], in_graph[joined]
    if not (on_paper > 0).any():
        raise NotMeasurable("the drawing has no two joined nodes in different places")
    scale = (on_paper @ in_graph) / (in_graph @ in_graph)
    return float(np.sqrt(((on_paper - scale * in_graph) ** 2).sum() / (on_paper**2).sum()))


def saturation(drawing: GraphDrawing) -> float:
    """Share of the inked pixels whose ink is full. Raises NotMeasurable without ink."""
    ink = -torch.expm1(-drawing.gain * drawing.coverage.double())
    inked = ink > INKED
    if not inked.any():
        raise NotMeasurable("nothing is drawn between the nodes")
    return float((ink[inked] > FULL).double().mean())


def coincident(drawing: GraphDrawing) -> float:
    """Share of the nodes that another node covers: their centres are less than a radius apart."""
    distance = torch.cdist(drawing.positions.double(), drawing.positions.double())
    distance.fill_diagonal_(torch.inf)
    return float((distance.min(1).values < drawing.radius).double().mean()) if len(distance) > 1 else 0.0


def summary(graph: AbstractGraph, drawing: GraphDrawing | None = None) -> list[Measure]:
    """Everything that is measured of a graph (with its truth, where it is known) and of its drawing."""
    distance = steps(graph)
    found = [
        _degree(graph),
        measure("abstract_pieces", pieces(graph)),
        _distance(distance),
        measure("abstract_clustering", clustering(graph)),
    ]
    found += _truth(graph)
    return found if drawing is None else [*found, *_drawn(graph, drawing, distance)]


def _degree(graph: AbstractGraph) -> Measure:
    degree = graph.degrees()
    words = {"nodes": graph.num_nodes, "edges": graph.num_edges, "least": int(degree.min()), "most": int(degree.max())}
    return measure("abstract_degree", 2 * graph.num_edges / graph.num_nodes, **words)


def _distance(distance: np.ndarray) -> Measure:
    upper = distance[np.triu_indices(len(distance), 1)]
    joined = upper[np.isfinite(upper)]
    if not joined.size:
        return unknown("abstract_distance", "no two nodes are joined")
    reached = f"{100 * float((joined <= ROUNDS).mean()):.0f} %"
    return measure("abstract_distance", float(joined.mean()), longest=int(joined.max()), percent_reached=reached)


def _truth(graph: AbstractGraph) -> list[Measure]:
    truth = graph.truth
    if truth is None:
        return [unknown(key, "the exact answers were not computed") for key in ("abstract_bridges", "abstract_gap", "abstract_symmetry")]
    found = [
        measure("abstract_bridges", truth.bridges, edges=graph.num_edges),
        measure("abstract_gap", truth.spectral_gap, mixing=max(0.0, 1 - truth.spectral_gap / 2)),
    ]
    if truth.orbits is None or truth.order is None:
        return [*found, unknown("abstract_symmetry", "the search for symmetries was given up after 20 000 steps")]
    size = torch.bincount(truth.orbits, minlength=graph.num_nodes)[truth.orbits]
    order = f"{truth.order:,}".replace(",", " ") if truth.order < 10**9 else f"about 10^{len(str(truth.order)) - 1}"
    return [*found, measure("abstract_symmetry", float((size > 1).double().mean()), order=order)]


def _drawn(graph: AbstractGraph, drawing: GraphDrawing, distance: np.ndarray) -> list[Measure]:
    places, edges = drawing.positions.double().numpy(), graph.edges.numpy()

    def crossed() -> list[Measure]:
        if not len(edges):
            raise NotMeasurable("there is no edge")
        if len(edges) > MOST_CROSSED:
            raise NotMeasurable(f"{len(edges)} edges are too many to try all pairs of them")
        return [measure("drawing_crossings", 2 * crossings(places, edges) / len(edges))]

    return sections(
        [
            (["drawing_crossings"], crossed),
            (["drawing_saturation"], lambda: [measure("drawing_saturation", saturation(drawing))]),
            (["drawing_coincident"], lambda: [measure("drawing_coincident", coincident(drawing))]),
            (["drawing_stress"], lambda: [measure("drawing_stress", stress(places, distance))]),
        ]
    )
