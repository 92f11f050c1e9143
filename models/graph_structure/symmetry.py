"""Graphs with a symmetry by construction, and graphs that look alike but have none.

The methods of Zhao et al. (GraphAbstract, NeurIPS 2025, arXiv 2510.24788, appendix D.1.2). Its real graphs (molecules and pieces
of a citation network) are replaced by made ones of the same look, so that nothing needs to be downloaded. Whether a graph
is symmetric is never taken from its construction alone: the caller computes it.

A product of graphs is symmetric as soon as one factor is, because a symmetry of one factor moves whole copies of the other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import gcd

import numpy as np

from models.graph_structure import nx
from models.graph_structure.families import Rng, add_random, blocks, bottleneck, joined
from models.graph_structure.truth import from_networkx, is_symmetric

_TRIES = 500
_POOL = 30
_SMALLEST_ASYMMETRIC = 6


def _until(draw: Callable[[], nx.Graph | None], what: str) -> nx.Graph:
    for _ in range(_TRIES):
        graph = draw()
        if graph is not None:
            return nx.convert_node_labels_to_integers(graph)
    raise RuntimeError(f"no {what} was found in {_TRIES} tries")


def _if_connected(graph: nx.Graph) -> nx.Graph | None:
    return graph if nx.is_connected(graph) else None


def symmetric(graph: nx.Graph) -> bool | None:
    """True when the graph has a symmetry; None when the search was given up."""
    return is_symmetric(from_networkx(nx.convert_node_labels_to_integers(graph)))


# ----------------------------------------------------------------------------------------- stand-ins for real graphs


def molecule_like(num_nodes: int, rng: Rng) -> nx.Graph:
    """Rings of 5 or 6, alone or fused along an edge, and branches; no node has more than 4 neighbours."""
    first = int(rng.integers(5, 7))
    graph = nx.cycle_graph(first) if num_nodes >= first else nx.path_graph(min(2, num_nodes))
    while (count := graph.number_of_nodes()) < num_nodes:
        left, ring, kind = num_nodes - count, int(rng.integers(5, 7)), rng.random()
        fusible = [edge for edge in graph.edges if max(graph.degree[edge[0]], graph.degree[edge[1]]) < 3 and count > 4]
        if kind < 0.25 and left >= ring - 2 and fusible:
            u, v = fusible[rng.integers(len(fusible))]
            nx.add_path(graph, [u, *range(count, count + ring - 2), v])
            continue
        free = [node for node in graph if graph.degree[node] < 4]
        anchor = free[rng.integers(len(free))]
        if kind < 0.4 and left >= ring:
            nx.add_cycle(graph, range(count, count + ring))
        graph.add_edge(anchor, count)
    return graph


@lru_cache(maxsize=1)
def _network() -> nx.Graph:
    """The network that takes the place of Cora: 2 700 nodes, clustered, with a heavy tail of degrees."""
    return nx.powerlaw_cluster_graph(2700, 2, 0.35, seed=7)


def citation_like(num_nodes: int, rng: Rng) -> nx.Graph:
    """A connected piece of a clustered network with hubs, taken by breadth, by a random walk or by sampled neighbours."""
    network = _network()
    sampler = (_by_breadth, _by_walk, _by_sampling)[rng.integers(3)]
    return nx.convert_node_labels_to_integers(network.subgraph(sampler(network, num_nodes, int(rng.integers(len(network))), rng)))


def _by_breadth(network: nx.Graph, count: int, start: int, rng: Rng) -> list[int]:
    return [start, *(node for _, node in nx.bfs_edges(network, start))][:count]


def _by_walk(network: nx.Graph, count: int, start: int, rng: Rng) -> list[int]:
    """Random walk that returns to its start with probability 0.2."""
    here, seen = start, {start}
    while len(seen) < count:
        around = list(network[here])
        here = start if rng.random() < 0.2 else around[rng.integers(len(around))]
        seen.add(here)
    return sorted(seen)


def _by_sampling(network: nx.Graph, count: int, start: int, rng: Rng) -> list[int]:
    """Up to three sampled neighbours of every node, layer by layer (as GraphSAGE samples)."""
    seen, layer = {start}, [start]
    while len(seen) < count:
        around = [list(network[node]) for node in layer]
        picked = [others[i] for others in around for i in rng.permutation(len(others))[:3].tolist()]
        layer = list(dict.fromkeys(picked)) or [start]
        for node in layer:
            if len(seen) < count:
                seen.add(node)
    return sorted(seen)


def real_like(num_nodes: int, rng: Rng) -> nx.Graph:
    """A molecule-like or a citation-like graph, equally often."""
    return (molecule_like if rng.random() < 0.5 else citation_like)(num_nodes, rng)


@lru_cache(maxsize=64)
def _asymmetric_pool(num_nodes: int) -> tuple[nx.Graph, ...]:
    """30 real-like graphs of one size without symmetry, the same whoever asks."""
    rng = np.random.default_rng([7, num_nodes])
    pool: list[nx.Graph] = []
    while len(pool) < _POOL:
        graph = real_like(num_nodes, rng)
        if symmetric(graph) is False:
            pool.append(graph)
    return tuple(pool)


# ---------------------------------------------------------------------------------------------------------- symmetric


def circulant(num_nodes: int, rng: Rng) -> nx.Graph:
    """Cayley graph of the cyclic group: node i knows i ± s for one to three steps s coprime to N."""
    units = [step for step in range(1, num_nodes // 2 + 1) if gcd(step, num_nodes) == 1]
    count = min(len(units), int(rng.integers(1, 4)))
    return nx.circulant_graph(num_nodes, [int(step) for step in rng.choice(units, count, replace=False)])


def tensor_cover(graph: nx.Graph, folds: int) -> nx.Graph:
    """`folds` copies of a graph in a ring; every edge u–v becomes (u, i)–(v, i+1) and (v, i)–(u, i+1). Loops are left out.

    Two copies make the bipartite double cover.
    """
    cover = nx.empty_graph([(node, copy) for copy in range(folds) for node in graph])
    for u, v in graph.edges:
        if u != v:
            cover.add_edges_from(((u, i), (v, (i + 1) % folds)) for i in range(folds))
            cover.add_edges_from(((v, i), (u, (i + 1) % folds)) for i in range(folds))
    return cover


def double_cover(num_nodes: int, rng: Rng) -> nx.Graph:
    """Bipartite double cover of a random, grouped, bottleneck or real-like base of half the size, when it is connected."""

    def base(size: int) -> nx.Graph:
        kind = rng.integers(4)
        if kind == 0:
            graph = nx.empty_graph(size)
            add_random(graph, list(range(size)), float(rng.uniform(0.15, 0.3)), rng)
            return joined(graph, rng)
        if kind == 1:
            return blocks(size, int(rng.integers(2, 5)), float(rng.uniform(0.3, 0.7)), float(rng.uniform(0.05, 0.15)), rng)
        if kind == 2:
            return bottleneck(size, rng, int(rng.integers(2, 4)), float(rng.uniform(0.3, 0.6)))
        return real_like(size, rng)

    return _until(lambda: _if_connected(tensor_cover(base(num_nodes // 2), 2)), "connected double cover")


def _factors(num_nodes: int, least: int, rng: Rng) -> tuple[int, int]:
    """Two sizes of at least `least` whose product is about N."""
    first = int(rng.integers(least, max(least, num_nodes // least) + 1))
    return first, max(least, round(num_nodes / first))


def product(num_nodes: int, rng: Rng) -> nx.Graph:
    """Cartesian product of a cycle and a path, of two cycles, or of a path and a star."""
    a, b = _factors(num_nodes, 3, rng)
    kind = rng.integers(3)
    left = nx.path_graph(a) if kind == 2 else nx.cycle_graph(a)
    right = (nx.path_graph(b), nx.cycle_graph(b), nx.star_graph(b - 1))[kind]
    return nx.convert_node_labels_to_integers(nx.cartesian_product(left, right))


def real_product(num_nodes: int, rng: Rng) -> nx.Graph:
    """Cartesian product of two real-like graphs that proves symmetric."""

    def draw() -> nx.Graph | None:
        a, b = _factors(num_nodes, 5, rng)
        graph = nx.cartesian_product(real_like(a, rng), real_like(b, rng))
        return graph if symmetric(graph) else None

    return _until(draw, "symmetric product of real-like graphs")


def cyclic_cover(num_nodes: int, rng: Rng) -> nx.Graph:
    """Cover of two to five copies of a real-like graph, when it is connected."""

    def draw() -> nx.Graph | None:
        folds = int(rng.integers(2, 6))
        return _if_connected(tensor_cover(real_like(max(3, round(num_nodes / folds)), rng), folds))

    return _until(draw, "connected cyclic cover")


SYMMETRIC: dict[str, Callable[[int, Rng], nx.Graph]] = {
    "circulant": circulant,
    "double cover": double_cover,
    "product": product,
    "real product": real_product,
    "cyclic cover": cyclic_cover,
}


# --------------------------------------------------------------------------------------------------------- asymmetric


def swapped(num_nodes: int, rng: Rng) -> nx.Graph:
    """A symmetric graph after the first of at most 20 swaps of two edges that leaves it connected and without symmetry.

    Every node keeps its degree, so nothing but the arrangement can tell it from a symmetric graph.
    """

    def draw() -> nx.Graph | None:
        method = list(SYMMETRIC.values())[rng.integers(len(SYMMETRIC))]
        graph = method(num_nodes, rng)
        for _ in range(20):
            if swap_edges(graph, rng) and symmetric(graph) is False:
                return graph
        return None

    return _until(draw, "asymmetric graph by swapping edges")


def swap_edges(graph: nx.Graph, rng: Rng) -> bool:
    """Replace edges a–b, c–d by a–d, c–b in place when that makes no loop, no double edge and no second component."""
    edges = list(graph.edges)
    if len(edges) < 2:
        return False
    first, second = rng.choice(len(edges), 2, replace=False)
    (a, b), (c, d) = edges[first], edges[second]
    if rng.random() < 0.5:
        c, d = d, c
    if len({a, b, c, d}) < 4 or graph.has_edge(a, d) or graph.has_edge(c, b):
        return False
    graph.remove_edges_from([(a, b), (c, d)])
    graph.add_edges_from([(a, d), (c, b)])
    if nx.is_connected(graph):
        return True
    graph.remove_edges_from([(a, d), (c, b)])
    graph.add_edges_from([(a, b), (c, d)])
    return False


def asymmetric_product(num_nodes: int, rng: Rng) -> nx.Graph:
    """Cartesian product of two real-like graphs that has no symmetry; 36 nodes is the smallest."""

    def draw() -> nx.Graph | None:
        a, b = _factors(num_nodes, _SMALLEST_ASYMMETRIC, rng)
        left, right = (_asymmetric_pool(size)[rng.integers(_POOL)] for size in (a, b))
        graph = nx.cartesian_product(left, right)
        return graph if symmetric(graph) is False else None

    return _until(draw, "asymmetric product of real-like graphs")


ASYMMETRIC: dict[str, Callable[[int, Rng], nx.Graph]] = {"swapped": swapped, "asymmetric product": asymmetric_product}
