"""Where the nodes of a drawing lie.

    kamada-kawai   distances on paper follow distances in the graph (Kamada, Kawai 1989)
    forceatlas2    springs and repulsion (Jacomy et al. 2014)
    spectral       the second and third eigenvector of D − A as coordinates (Koren 2003)
    circular       on a circle, in the order of the node numbers

Positions are relative: only their shape counts, a drawing scales them. Equivalent nodes may coincide in the spectral layout,
and where eigenvalues repeat, the plane that is shown is one of many.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from scipy.sparse.csgraph import shortest_path
from threadpoolctl import ThreadpoolController

from models.graph_structure import nx
from models.graph_structure.truth import laplacian, signed, to_networkx
from models.structures import AbstractGraph

LAYOUTS = ("kamada-kawai", "forceatlas2", "spectral", "circular")
MOST_NODES, MOST_EDGES = 300, 12_000  # all edges of a graph of 150 nodes
_NEEDS_ONE_PIECE = ("kamada-kawai", "spectral")


def layout(graph: AbstractGraph, name: str, seed: int = 0) -> torch.Tensor:
    """Places of the nodes, [N, 2] float32, centred, the larger side of their box 2 long (all 0 when they coincide).

    Args:
        name: one of LAYOUTS.
        seed: of forceatlas2; the others do not depend on chance.

    Raises:
        ValueError: an unknown name; more than 300 nodes or 12 000 edges; a graph in pieces, where the layout needs one.
    """
    if name not in LAYOUTS:
        raise ValueError(f"there is no layout {name!r}; choose one of {', '.join(LAYOUTS)}")
    if graph.num_nodes > MOST_NODES or graph.num_edges > MOST_EDGES:
        raise ValueError(
            f"{graph.num_nodes} nodes and {graph.num_edges} edges are too many to lay out; up to {MOST_NODES} and {MOST_EDGES} are drawn"
        )
    made = to_networkx(graph)
    if name in _NEEDS_ONE_PIECE and not nx.is_connected(made):
        pieces = nx.number_connected_components(made)
        raise ValueError(f"the graph falls into {pieces} pieces, and the {name} layout needs it in one: please connect them")
    return torch.from_numpy(_centred(_places(graph, made, name, seed)).astype(np.float32))


def with_layouts(graph: AbstractGraph, names: Iterable[str] = LAYOUTS, seed: int = 0) -> AbstractGraph:
    """The graph with its places under several layouts, besides those that it has."""
    return replace(graph, positions={**graph.positions, **{name: layout(graph, name, seed) for name in names}})


def _places(graph: AbstractGraph, made: nx.Graph, name: str, seed: int) -> np.ndarray:
    if name == "spectral":
        return _spectral(graph)
    if name == "circular":
        angle = 2 * np.pi * np.arange(graph.num_nodes) / graph.num_nodes
        return np.stack([np.cos(angle), np.sin(angle)], 1)
    if graph.num_nodes < 3:
        return _line(graph.num_nodes)
    found = _kamada_kawai(graph, made) if name == "kamada-kawai" else nx.forceatlas2_layout(made, seed=seed)
    return np.stack([found[node] for node in range(graph.num_nodes)])


def _kamada_kawai(graph: AbstractGraph, made: nx.Graph) -> dict[int, np.ndarray]:
    hops = shortest_path(graph.adjacency().numpy(), unweighted=True).tolist()
    # The minimiser calls BLAS on tiny vectors: with more than one thread it spends most of its time waiting for them.
    with _blas().limit(limits=1, user_api="blas"):
        return nx.kamada_kawai_layout(made, dist={node: dict(enumerate(row)) for node, row in enumerate(hops)})


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


def _spectral(graph: AbstractGraph) -> np.ndarray:
    if graph.num_nodes < 3:
        return _line(graph.num_nodes)
    return signed(torch.linalg.eigh(laplacian(graph, normalised=False))[1][:, 1:3]).numpy()


def _line(num_nodes: int) -> np.ndarray:
    return np.stack([np.arange(num_nodes), np.zeros(num_nodes)], 1)


def _centred(places: np.ndarray) -> np.ndarray:
    low, high = places.min(0), places.max(0)
    extent = (high - low).max()
    return (places - (low + high) / 2) * (2 / extent if extent > 1e-9 else 0)
