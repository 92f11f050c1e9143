"""How far and in which direction edges run on the picture (D3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explorer.diagnostics.measure import NotMeasurable
from explorer.diagnostics.snapshot import Snapshot, snapshot
from models.structures import PatchGraph

ROLLED_RULES = ("axial", "axial-threshold")
DIRECTIONS = ("right", "up right", "up", "up left", "left", "down left", "down", "down right")


@dataclass(frozen=True)
class Lengths:
    """D3: lengths in patches.

    Attributes:
        length: ‖p_i − p_j‖₂ of each edge, [E].
        median, ninety: median and 90 % quantile.
        local_share: share of edges to one of the eight surrounding patches (pooled: to the own or a touching cell).
        rose: share of the edges by the direction in which the source lies, seen from the patch, [8], in the order of
            `DIRECTIONS`; edges of length 0 (a pooled cell centred on the patch) are left out.
    """

    length: np.ndarray
    median: float
    ninety: float
    local_share: float
    rose: np.ndarray


def lengths(graph: PatchGraph | Snapshot, picture: int = 0) -> Lengths:
    """D3. Edge lengths, local share and the direction rose.

    Raises:
        NotMeasurable: the graph has no edge.
    """
    s = snapshot(graph, picture)
    s.require_edges()
    offset = s.source_position - s.target_position
    length = np.linalg.norm(offset, axis=1)
    own_cell = np.stack(np.divmod(s.cells[s.target], s.key_grid[1]), 1)
    cell = np.stack(np.divmod(s.source, s.key_grid[1]), 1)
    local = np.abs(cell - own_cell).max(1) <= 1
    angle = np.arctan2(-offset[:, 0], offset[:, 1])[length > 0]  # rows grow downwards
    octant = np.rint(angle / (np.pi / 4)).astype(int) % 8
    rose = np.bincount(octant, minlength=8) / max(len(octant), 1)
    return Lengths(length, float(np.median(length)), float(np.quantile(length, 0.9)), float(local.mean()), rose)


def wraps(graph: PatchGraph | Snapshot, picture: int = 0) -> np.ndarray:
    """D3. True for the edges that a roll makes only by crossing the border, [E] bool in the order of the snapshot.

    Row shift s reads row (r − s) mod H and wraps iff r < s: exactly then the source lies below (or, along the row, to
    the right of) the patch.

    Raises:
        NotMeasurable: the rule makes no roll.
    """
    s = snapshot(graph, picture)
    if s.graph.rule.name not in ROLLED_RULES:
        raise NotMeasurable("this rule does not roll the picture, so no edge runs across the border")
    return s.source > s.target


def wrap_share(graph: PatchGraph | Snapshot, picture: int = 0) -> float:
    """D3. Share of edges for which `wraps` is true. Raises NotMeasurable for other rules and for an empty graph."""
    s = snapshot(graph, picture)
    crossing = wraps(s)
    s.require_edges()
    return float(crossing.mean())
