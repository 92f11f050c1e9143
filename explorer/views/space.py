"""Patch features and patch graphs as points in the plane."""

from __future__ import annotations

import numpy as np
import torch

from models.structures import PatchGraph

LAYOUTS = ("spring", "spectral", "kamada-kawai")
MOST_PATCHES = {"spring": 1024, "kamada-kawai": 400, "umap": 1024}  # more take longer than anybody waits


def pca(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First two principal components of [N, C]: points [N, 2] and the share of variance each explains [2].

    The sign is fixed (the largest loading is positive), so that the same features give the same picture.
    """
    mean, axes, explained = principal_axes(features)
    return projected(features, mean, axes), explained


def principal_axes(features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean [C], first two principal directions [at most 2, C] and the share of variance each explains [2] of features [N, C]."""
    mean = features.mean(0)
    _, scale, axes = np.linalg.svd(features - mean, full_matrices=False)
    axes = axes[:2]
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])[:, None]
    total = float((scale**2).sum())
    explained = scale[:2] ** 2 / total if total else np.zeros(2)
    return mean, axes, np.pad(explained, (0, 2 - len(explained))).astype(np.float32)


def projected(features: np.ndarray, mean: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Features [N, C] in the plane of two principal directions: points [N, 2]."""
    points = (features - mean) @ axes.T
    return np.pad(points, ((0, 0), (0, 2 - points.shape[1]))).astype(np.float32)


def umap(features: np.ndarray, seed: int = 0) -> np.ndarray:
    """UMAP of [N, C] → [N, 2] (cosine, 15 neighbours or fewer), reproducible.

    Raises:
        ValueError: too many patches.
    """
    count = _quick_enough("umap", len(features))
    from umap import UMAP  # imported when first needed: several seconds

    reducer = UMAP(
        n_neighbors=min(15, count - 1), metric="cosine", random_state=seed, init="spectral" if count > 20 else "random", n_jobs=1
    )
    threads = torch.get_num_threads()
    try:
        return np.asarray(reducer.fit_transform(features), dtype=np.float32)
    finally:
        torch.set_num_threads(threads)  # UMAP's own library resets what torch uses in this thread, and with it the last bits


def layout(graph: PatchGraph, method: str, picture: int = 0, seed: int = 0) -> np.ndarray:
    """Positions [N, 2] of the patches by a networkx layout of the undirected graph.

    Raises:
        ValueError: unknown method, a pooled graph, or too many patches.
    """
    import networkx as nx

    if method not in LAYOUTS:
        raise ValueError(f"layout is {method!r}; it must be one of {', '.join(LAYOUTS)}")
    if graph.pooled:
        raise ValueError("this layer compares patches with pooled cells: its two sides have no common layout")
    count = _quick_enough(method, graph.grid[0] * graph.grid[1])
    net: nx.Graph = nx.Graph()
    net.add_nodes_from(range(count))
    net.add_edges_from(graph.edge_index(picture).T.tolist())
    if method == "spring":
        found = nx.spring_layout(net, seed=seed, iterations=60)
    elif method == "spectral":
        found = nx.spectral_layout(net)
    else:
        found = nx.kamada_kawai_layout(net, pos=nx.circular_layout(net))
    return np.array([found[i] for i in range(count)], dtype=np.float32)


def _quick_enough(method: str, count: int) -> int:
    most = MOST_PATCHES.get(method, count)
    if count > most:
        raise ValueError(f"{method} is too slow for {count} patches; it takes up to {most}")
    return count
