"""Two crescents of points joined to their nearest neighbours: a small graph whose edges have kinds.

The edge-colouring example of Jo et al. (arXiv 2106.15845) in the plane: edges inside the first crescent, inside the second,
and across. Ours in its details; without any download.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from models.structures import AbstractGraph


def moons(num_nodes: int, rng: np.random.Generator, neighbours: int = 5, noise: float = 0.13) -> tuple[AbstractGraph, Tensor]:
    """The graph with its places named "points", and the kind of every edge in its order: 0 first, 1 second, 2 across, [m] int64.

    Args:
        neighbours: every node is joined to this many nearest ones (and to those that are joined to it).
        noise: standard deviation of the points around their crescent.

    Raises:
        ValueError: fewer nodes than two per crescent plus the neighbours.
    """
    if num_nodes < neighbours + 4:
        raise ValueError(f"{num_nodes} nodes are too few for {neighbours} neighbours each; at least {neighbours + 4} are needed")
    first = num_nodes // 2
    angle = np.concatenate([np.linspace(0, np.pi, first), np.linspace(0, np.pi, num_nodes - first)])
    second = np.arange(num_nodes) >= first
    x = np.where(second, 1 - np.cos(angle), np.cos(angle))
    y = np.where(second, 0.5 - np.sin(angle), np.sin(angle))
    points = np.stack([x, -y], 1) + noise * rng.standard_normal((num_nodes, 2))
    distance = np.linalg.norm(points[:, None] - points, axis=-1) + 1e9 * np.eye(num_nodes)
    nearest = distance.argsort(1, kind="stable")[:, :neighbours]
    pairs = {(min(u, int(v)), max(u, int(v))) for u in range(num_nodes) for v in nearest[u]}
    graph = AbstractGraph.from_edges(sorted(pairs), num_nodes, "two moons")
    low, high = points.min(0), points.max(0)
    placed = (points - (low + high) / 2) * 2 / (high - low).max()
    graph = AbstractGraph(
        graph.edge_index, num_nodes, positions={"points": torch.from_numpy(placed.astype(np.float32))}, family="two moons"
    )
    u, v = graph.edges.T
    side = torch.from_numpy(second)
    return graph, torch.where(side[u] != side[v], 2, side[u].long())
