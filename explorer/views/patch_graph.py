"""A PatchGraph (and what was aggregated along it) → the canvas payload of one layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from explorer.views.arrays import pack, pack_scaled
from explorer.views.space import pca
from explorer.views.view import Place, View
from models.structures import Aggregation, PatchGraph, Structure

CANDIDATES = 21  # sent per patch: k up to 16, or dilation up to 4 with 6 neighbours, and few enough for 120 kB


def layer_payload(structures: Mapping[str, Structure], shown: np.ndarray, picture: int = 0) -> dict[str, Any]:
    """The part of a layer's payload that its graph decides.

    Args:
        structures: "graph": PatchGraph and, if known, "aggregation": Aggregation.
        shown: the picture, uint8 [S, S, 3].
    """
    graph = structures["graph"]
    assert isinstance(graph, PatchGraph)
    keep = _columns(graph)
    candidates = _picture(graph.candidates, picture)[:, keep]
    payload: dict[str, Any] = {
        "grid": list(graph.grid),
        "keyGrid": list(graph.key_grid),
        "rule": rule_payload(graph, picture),
        "candidates": pack(candidates, "u8" if graph.key_grid[0] * graph.key_grid[1] <= 256 else "u16"),
        "kept": pack(_picture(graph.kept, picture)[:, keep], "u8"),
        "distance": None if graph.distance is None else _distances(graph, _picture(graph.distance, picture)[:, keep]),
        "position": None if graph.position is None else pack_scaled(_picture(graph.position, picture)[:, keep], bits=16),
        "share": None,
        "sample": None,
        "pca": None,
        "colour": pack(patch_colours(shown, graph.grid), "u8"),
    }
    aggregation = structures.get("aggregation")
    if isinstance(aggregation, Aggregation):
        payload["share"] = pack(np.rint(255 * won_share(aggregation, candidates, picture)), "u8")
    if graph.features is not None:
        points, explained = pca(graph.features[picture].flatten(1).T.float().cpu().numpy())
        payload["pca"] = {"points": pack_scaled(points, bits=12), "explained": explained.tolist()}
        if graph.rule.name == "axial-threshold":
            payload["sample"] = pack_scaled(half_roll_sample(graph, picture))
    return payload


def _distances(graph: PatchGraph, distance: np.ndarray) -> dict[str, Any]:
    """Distances in 12 bits where the edges are a prefix of a sorted list, in 16 where a threshold cuts through them."""
    if graph.rule.name in ("nearest", "predicted"):
        return pack_scaled(distance, bits=12, sorted_rows=True)
    return pack_scaled(distance, bits=16)


def rule_payload(graph: PatchGraph, picture: int = 0) -> dict[str, Any]:
    """Name, settings and the statistics of one picture, as plain numbers."""
    statistics = {k: float(v[picture if v.shape[0] > 1 else 0]) for k, v in graph.rule.statistics.items()}
    return {"name": graph.rule.name, **dict(graph.rule.settings), **statistics}


def won_share(aggregation: Aggregation, candidates: np.ndarray, picture: int = 0) -> np.ndarray:
    """Share of channels that each candidate won with a value above zero, [N, S] in 0…1."""
    winner = aggregation.winner[picture].cpu().numpy()
    positive = aggregation.relative[picture].float().cpu().numpy() > 0
    n, channels = winner.shape
    sources = int(max(candidates.max(initial=0), winner.max(initial=0))) + 1
    flat = (np.arange(n)[:, None] * sources + winner)[positive & (winner >= 0)]
    counts = np.bincount(flat, minlength=n * sources).reshape(n, sources)
    return np.take_along_axis(counts, candidates, axis=1) / channels


def half_roll_sample(graph: PatchGraph, picture: int = 0) -> np.ndarray:
    """The half-roll distances from which the threshold was estimated, [N] float32."""
    assert graph.features is not None
    x = graph.features[picture].float().cpu().numpy()
    half = (-(-x.shape[1] // 2), -(-x.shape[2] // 2))
    gap = np.abs(x - np.roll(x, half, axis=(1, 2)))
    return (gap.sum(0) if graph.rule.settings.get("p", 1) == 1 else np.sqrt((gap**2).sum(0))).reshape(-1).astype(np.float32)


def patch_colours(shown: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Mean colour of every patch, uint8 [N, 3]."""
    rows = np.linspace(0, shown.shape[0], grid[0] + 1).astype(int)
    cols = np.linspace(0, shown.shape[1], grid[1] + 1).astype(int)
    sums = np.add.reduceat(np.add.reduceat(shown.astype(np.float64), rows[:-1], axis=0), cols[:-1], axis=1)
    area = np.diff(rows)[:, None, None] * np.diff(cols)[None, :, None]
    return np.rint(sums / area).reshape(-1, 3).astype(np.uint8)


def _numbers(graph: PatchGraph) -> dict[str, Any]:
    return {"grid": graph.grid, "key_grid": graph.key_grid, "rule": rule_payload(graph), "edge_index": graph.edge_index().tolist()}


def _marks(graph: PatchGraph, look: Mapping[str, Any], colour: str, place: Place) -> str:
    """The edges that arrive at each pin."""
    source, target = graph.edge_index().tolist()
    drawn = []
    for pin in look.get("pins", []):
        x, y = place(pin, graph.grid)
        for s, t in zip(source, target, strict=True):
            if t == pin:
                u, v = place(s, graph.key_grid)
                drawn.append(f'<path d="M{u:.1f} {v:.1f}L{x:.1f} {y:.1f}"/><circle cx="{u:.1f}" cy="{v:.1f}" r="3.4" fill="{colour}"/>')
        drawn.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="#fff" stroke="{colour}" stroke-width="3"/>')
    return f'<g stroke="{colour}" stroke-width="2" fill="none">{"".join(drawn)}</g>'


VIEW = View(
    structure=PatchGraph,
    role="graph",
    kind="graph",
    payload=lambda structures, shown: layer_payload(structures, shown),
    numbers=_numbers,
    marks=_marks,
    amount=lambda graph: (int(graph.edge_index().shape[1]), "edges"),
)


def _columns(graph: PatchGraph) -> slice:
    """Which candidates travel: all of an axial rule, the nearest of a sorted list (never fewer than are kept)."""
    if graph.distance is None or graph.rule.name == "axial-threshold":
        return slice(None)
    needed = int(graph.kept.flatten(0, 1).any(0).nonzero().max().item()) + 1 if graph.kept.any() else 1
    return slice(0, max(CANDIDATES, needed))


def _picture(batch: Any, picture: int) -> np.ndarray:
    return batch[picture if batch.shape[0] > 1 else 0].cpu().numpy()
