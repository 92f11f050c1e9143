"""The edges of one picture as plain arrays: what figures and graph files are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from explorer.diagnostics.geometry import ROLLED_RULES
from explorer.views.patch_graph import won_share
from models.structures import Aggregation, PatchGraph, Structure


@dataclass(frozen=True)
class Edges:
    """Edges source → target (the target listens to the source), without self loops, ordered by target.

    Attributes:
        source, target: patch numbers in raster order, [E] int64; a source counts in the key grid.
        distance: what the rule compared, [E] float; None when it compared nothing.
        share: share of the channels that the edge won in 0…1, [E] float; None when nothing was recorded.
        wraps: True where the edge runs across the border of the picture, [E] bool.
    """

    source: np.ndarray
    target: np.ndarray
    distance: np.ndarray | None
    share: np.ndarray | None
    wraps: np.ndarray

    def __len__(self) -> int:
        return len(self.source)

    def strongest(self, most: int) -> np.ndarray:
        """Numbers of at most `most` edges, the strongest last: most channels won, else the closest, else spread evenly."""
        if self.share is not None:
            order = np.argsort(self.share, kind="stable")
        elif self.distance is not None:
            order = np.argsort(-self.distance, kind="stable")
        else:
            return np.unique(np.linspace(0, len(self) - 1, min(most, len(self))).round().astype(int)) if len(self) else np.zeros(0, int)
        return order[-most:] if most else order[:0]


def edges(structures: Mapping[str, Structure], picture: int = 0) -> Edges:
    """The edges of one picture.

    Args:
        structures: "graph": PatchGraph and, if known, "aggregation": Aggregation.
    """
    graph, taken = structures["graph"], structures.get("aggregation")
    assert isinstance(graph, PatchGraph)
    source, target = graph.edge_index(picture).cpu().numpy()
    distance = graph.edge_distance(picture)
    share = None
    if isinstance(taken, Aggregation):
        row = picture if graph.candidates.shape[0] > 1 else 0
        candidates = graph.candidates[row].cpu().numpy()
        kept = graph.kept[picture if graph.kept.shape[0] > 1 else 0] & ~graph.is_self()[row]
        share = won_share(taken, candidates, picture)[kept.cpu().numpy()]
    wraps = source > target if graph.rule.name in ROLLED_RULES else np.zeros(len(source), dtype=bool)
    return Edges(source, target, None if distance is None else distance.float().cpu().numpy(), share, wraps)


def positions(grid: tuple[int, int]) -> np.ndarray:
    """Centre of every patch as (x, y) in shares of the picture, [N, 2]."""
    row, col = np.divmod(np.arange(grid[0] * grid[1]), grid[1])
    return np.stack([(col + 0.5) / grid[1], (row + 0.5) / grid[0]], 1)
