"""Families of graphs by the way they are organised, and by how well they are connected.

Parameters are those of Zhao et al. (GraphAbstract, NeurIPS 2025, arXiv 2510.24788, appendix D); where its text is silent, the
docstring says "ours". Each function takes the number of nodes, a numpy Generator and its parameters, and returns a connected
networkx graph on the nodes 0 to N − 1, still in the order of its groups.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import combinations, pairwise

import numpy as np

from models.graph_structure import nx

Rng = np.random.Generator


def integer(rng: Rng) -> int:
    """A seed for a function of networkx."""
    return int(rng.integers(2**31))


# ----------------------------------------------------------------------------------------------------- shared pieces


def joined(graph: nx.Graph, rng: Rng, points: np.ndarray | None = None) -> nx.Graph:
    """Add edges from the first component to the rest until the graph is connected (ours): the nearest pair when the nodes
    have places `points` [N, 2], else a random pair. Changes and returns `graph`."""
    components = [sorted(component) for component in nx.connected_components(graph)]
    while len(components) > 1:
        here, rest = components[0], sorted(node for component in components[1:] for node in component)
        if points is None:
            u, v = here[rng.integers(len(here))], rest[rng.integers(len(rest))]
        else:
            distance = np.linalg.norm(points[here][:, None] - points[rest], axis=-1)
            a, b = np.unravel_index(int(distance.argmin()), distance.shape)
            u, v = here[a], rest[b]
        graph.add_edge(u, v)
        met = next(component for component in components[1:] if v in component)
        components = [here + met, *(component for component in components[1:] if component is not met)]
    return graph


def near_pairs(points: np.ndarray, radius: float) -> nx.Graph:
    """The graph that joins points closer than `radius`."""
    close = np.linalg.norm(points[:, None] - points, axis=-1) <= radius
    graph = nx.empty_graph(len(points))
    graph.add_edges_from(np.argwhere(np.triu(close, 1)).tolist())
    return graph


def split_evenly(nodes: list[int], groups: int) -> list[list[int]]:
    """Consecutive groups whose sizes differ by at most one."""
    return [part.tolist() for part in np.array_split(np.array(nodes), groups)]


def add_random(graph: nx.Graph, nodes: list[int], share: float, rng: Rng) -> None:
    """Join each pair of `nodes` with probability `share` (Erdős–Rényi)."""
    pairs = list(combinations(nodes, 2))
    graph.add_edges_from(pair for pair, taken in zip(pairs, rng.random(len(pairs)) < share, strict=True) if taken)


def blocks(num_nodes: int, groups: int, within: float, between: float, rng: Rng) -> nx.Graph:
    """Stochastic block model with groups of equal size, connected afterwards."""
    sizes = [len(part) for part in split_evenly(list(range(num_nodes)), groups)]
    shares = [[within if a == b else between for b in range(groups)] for a in range(groups)]
    return joined(nx.Graph(nx.stochastic_block_model(sizes, shares, seed=integer(rng))), rng)


# ------------------------------------------------------------------------------------------------------- organisation


def cyclic(num_nodes: int, rng: Rng, inner: float, thickness: float, radius: float) -> nx.Graph:
    """Points in a ring of radii `inner` to `inner + thickness`, joined when closer than `radius`.

    Ours: points lie evenly by area and are drawn again, up to 60 times, until no neighbour by angle is farther than
    `radius`; if that never happens, neighbours by angle are joined. Otherwise most small rings would be open.
    """
    for _ in range(60):
        angle = np.sort(rng.uniform(0, 2 * np.pi, num_nodes))
        distance = np.sqrt(rng.uniform(inner**2, (inner + thickness) ** 2, num_nodes))
        points = distance[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
        if (np.linalg.norm(points - np.roll(points, 1, 0), axis=1) < radius).all():
            return near_pairs(points, radius)
    graph = near_pairs(points, radius)
    nx.add_cycle(graph, range(num_nodes))
    return graph


def geometric(num_nodes: int, rng: Rng, radius: float) -> nx.Graph:
    """Points spread evenly over the unit square, joined when closer than `radius`; pieces are joined where they are nearest."""
    points = rng.random((num_nodes, 2))
    return joined(near_pairs(points, radius), rng, points)


def hierarchical(num_nodes: int, rng: Rng, levels: int) -> nx.Graph:
    """Few hubs on top, many nodes at the bottom: level l of L is dense with .7·(L − l)/L, and every node below knows 1–3 nodes
    one level up. Ours: level sizes ∝ 0.4^(L−1−l), at least 1, what is left goes to the bottom."""
    weights = 0.4 ** np.arange(levels - 1, -1, -1)
    sizes = np.maximum(1, np.round(num_nodes * weights / weights.sum())).astype(int)
    ends = [0, *np.cumsum(sizes[:-1]).tolist(), num_nodes]
    graph = nx.empty_graph(num_nodes)
    for level in range(levels):
        members = list(range(ends[level], ends[level + 1]))
        add_random(graph, members, 0.7 * (levels - level) / levels, rng)
        above = ends[level] - ends[level - 1] if level else 0
        for node in members if level else []:
            count = min(above, int(rng.integers(1, 4)))
            graph.add_edges_from((node, int(hub) + ends[level - 1]) for hub in rng.choice(above, count, replace=False))
    return joined(graph, rng)


def community(num_nodes: int, rng: Rng, groups: int, within: float, between: float) -> nx.Graph:
    """Equal groups, dense inside and sparse between. Ours: at least six nodes to a group."""
    return blocks(num_nodes, max(2, min(groups, num_nodes // 6)), within, between, rng)


def bottleneck(num_nodes: int, rng: Rng, groups: int, within: float, width: int | None = None) -> nx.Graph:
    """A row of groups; each is joined to the next by `width` edges, or by 1–3 drawn anew at every passage.

    Ours: the edges of a passage have no node in common, and groups are connected first.
    """
    graph = nx.empty_graph(num_nodes)
    parts = split_evenly(list(range(num_nodes)), groups)
    for part in parts:
        add_random(graph, part, within, rng)
        graph.add_edges_from(joined(graph.subgraph(part).copy(), rng).edges)
    for left, right in pairwise(parts):
        count = min(len(left), len(right), int(rng.integers(1, 4)) if width is None else width)
        ends = rng.choice(left, count, replace=False), rng.choice(right, count, replace=False)
        graph.add_edges_from(zip(ends[0].tolist(), ends[1].tolist(), strict=True))
    return graph


def multicore(num_nodes: int, rng: Rng, cores: int, within: float, core_share: float) -> nx.Graph:
    """Dense cores, 1–2 edges between every two of them, and a periphery whose nodes know 1–2 nodes of one core."""
    graph = nx.empty_graph(num_nodes)
    inside = max(4 * cores, round(core_share * num_nodes))
    parts = split_evenly(list(range(inside)), cores)
    for part in parts:
        add_random(graph, part, within, rng)
        graph.add_edges_from(joined(graph.subgraph(part).copy(), rng).edges)
    for left, right in combinations(parts, 2):
        for _ in range(rng.integers(1, 3)):
            graph.add_edge(int(rng.choice(left)), int(rng.choice(right)))
    for node in range(inside, num_nodes):
        core = parts[rng.integers(cores)]
        graph.add_edges_from((node, int(hub)) for hub in rng.choice(core, rng.integers(1, 3), replace=False))
    return graph


# ------------------------------------------------------------------------------------------------------- spectral gap


def _between(mixing: float, rng: Rng) -> float:
    """Density between the blocks for a degree of mixing."""
    if mixing < 0.1:
        return float(rng.uniform(0.001, 0.02))
    if mixing < 0.3:
        return float(rng.uniform(0.02, 0.1))
    return float(rng.uniform(0.1, 0.3) if mixing < 0.7 else rng.uniform(0.3, mixing))


def dumbbell(num_nodes: int, rng: Rng, mixing: float, within: float) -> nx.Graph:
    """Two equal blocks."""
    return blocks(num_nodes, 2, within, _between(mixing, rng), rng)


def mixed_blocks(num_nodes: int, rng: Rng, mixing: float, within: float, groups: int) -> nx.Graph:
    """Three to five equal blocks."""
    return blocks(num_nodes, groups, within, _between(mixing, rng), rng)


def mixed_geometric(num_nodes: int, rng: Rng, mixing: float) -> nx.Graph:
    """Points joined within √((ln n + 1)/πn), where such graphs become connected, and about mixing·0.1·n·ln n random edges."""
    points = rng.random((num_nodes, 2))
    graph = joined(near_pairs(points, float(np.sqrt((np.log(num_nodes) + 1) / (np.pi * num_nodes)))), rng, points)
    free = list(nx.non_edges(graph))
    count = min(len(free), round(mixing * 0.1 * num_nodes * np.log(num_nodes)))
    graph.add_edges_from(free[i] for i in rng.choice(len(free), count, replace=False))
    return graph


def rewired(num_nodes: int, rng: Rng, mixing: float, share: float) -> nx.Graph:
    """A block or geometric graph of which `share` of the edges were swapped, degrees kept (configuration model)."""
    if rng.random() < 0.5:
        graph = mixed_blocks(num_nodes, rng, mixing, float(rng.uniform(0.6, 0.8)), int(rng.integers(3, 6)))
    else:
        graph = mixed_geometric(num_nodes, rng, mixing)
    swaps = max(1, round(share * graph.number_of_edges() / 2))
    with suppress(nx.NetworkXAlgorithmError):  # a graph that is nearly complete has no further swap; what was swapped stays
        nx.double_edge_swap(graph, swaps, 100 * swaps, seed=integer(rng))
    return joined(graph, rng)
