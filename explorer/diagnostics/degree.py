"""Who is read how often, where the popular patches lie, and who answers (D1, D2)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from explorer.diagnostics.snapshot import Grid, Snapshot, snapshot
from models.structures import PatchGraph


@dataclass(frozen=True)
class Degrees:
    """D1: how edges are spread over patches.

    Attributes:
        listens: k_i, sources that patch i receives from (in-degree), [N] int.
        read_by: b_j, patches that receive from source j (out-degree), [M] int.
        isolated: True where a patch has no edge at all, [N] bool.
        mean: mean of k_i.
        skew: mean((b − b̄)³) / std(b)³; 0 when every source is read equally often.
        top_share, corner_share, border_share: share of the edges whose source is among the top 1 % of sources (at least
            one), is a corner, lies on the border; NaN without an edge.
        top_chance, corner_chance, border_chance: the same shares if all sources were read equally often.
    """

    listens: np.ndarray
    read_by: np.ndarray
    isolated: np.ndarray
    mean: float
    skew: float
    top_share: float
    corner_share: float
    border_share: float
    top_chance: float
    corner_chance: float
    border_chance: float

    @property
    def isolated_share(self) -> float:
        return float(self.isolated.mean())


def degrees(graph: PatchGraph | Snapshot, picture: int = 0) -> Degrees:
    """D1. Degree, hubness, isolated patches, and the share of edges that read corners and borders.

    Source: Radovanović, Nanopoulos, Ivanović, "Hubs in Space", JMLR 2010 (skewness of the k-occurrence).
    """
    s = snapshot(graph, picture)
    read = s.read_by
    top = math.ceil(s.m / 100)
    corner, border = corners(s.key_grid), borders(s.key_grid)

    def share(count: float) -> float:
        return float(count / s.edges) if s.edges else float("nan")

    return Degrees(
        listens=s.listens,
        read_by=read,
        isolated=s.isolated,
        mean=float(s.listens.mean()),
        skew=_skew(read.astype(float)),
        top_share=share(np.sort(read)[-top:].sum()),
        corner_share=share(read[corner].sum()),
        border_share=share(read[border].sum()),
        top_chance=top / s.m,
        corner_chance=float(corner.mean()),
        border_chance=float(border.mean()),
    )


def _skew(values: np.ndarray) -> float:
    deviation = values - values.mean()
    std = values.std()
    return float(np.mean(deviation**3) / std**3) if std > 1e-12 else 0.0


def corners(grid: Grid) -> np.ndarray:
    """True for the four corner patches (fewer where a side is 1), [N] bool."""
    row, col = np.divmod(np.arange(grid[0] * grid[1]), grid[1])
    return np.isin(row, (0, grid[0] - 1)) & np.isin(col, (0, grid[1] - 1))


def borders(grid: Grid) -> np.ndarray:
    """True for the patches of the outermost ring, [N] bool."""
    row, col = np.divmod(np.arange(grid[0] * grid[1]), grid[1])
    return np.isin(row, (0, grid[0] - 1)) | np.isin(col, (0, grid[1] - 1))


@dataclass(frozen=True)
class Reciprocity:
    """D2: how many edges are answered.

    Attributes:
        share: Σ A_ij·A_ji / Σ A_ij.
        per_patch: the same among the edges that end in patch i, [N]; NaN where it listens to nobody.
    """

    share: float
    per_patch: np.ndarray


def reciprocity(graph: PatchGraph | Snapshot, picture: int = 0) -> Reciprocity:
    """D2. Share of edges j → i for which i → j exists too.

    Raises:
        NotMeasurable: no edge, or pooled sources.
    Source: standard for directed graphs (Newman, Forrest, Balthrop, Phys. Rev. E 66, 2002).
    """
    s = snapshot(graph, picture)
    s.require_patches()
    s.require_edges()
    answered = np.isin(s.target * s.n + s.source, s.source * s.n + s.target)
    count = np.bincount(s.target, answered, s.n)
    with np.errstate(invalid="ignore"):
        return Reciprocity(float(answered.mean()), count / s.listens)
