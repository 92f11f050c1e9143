"""How edges were chosen and which did the work: utilisation, fragility, position bias, DAGC gauge (D11, D12, D15, D16)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from explorer.diagnostics.measure import NotMeasurable
from explorer.diagnostics.snapshot import Snapshot, known_mean, known_median, snapshot
from models.structures import Aggregation, PatchGraph


@dataclass(frozen=True)
class Utilisation:
    """D11: which edges did the work.

    Attributes:
        source, target: the edges, [E] int64 each.
        weight: w_ij, share of the channels that the edge won with a positive value, [E].
        silent: 1 − Σ_j w_ij, share of the channels that patch i took from nobody, [N].
        used: share of its neighbours that won at least one channel, [N]; NaN without a neighbour.
        effective: exp(−Σ ŵ ln ŵ), ŵ = w/Σw, [N]; NaN where nobody won.
    """

    source: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    silent: np.ndarray
    used: np.ndarray
    effective: np.ndarray

    @property
    def means(self) -> tuple[float, float, float]:
        """Means of `used`, `silent`, `effective` over the patches where they are defined."""
        return known_mean(self.used), known_mean(self.silent), known_mean(self.effective)


def utilisation(graph: PatchGraph | Snapshot, aggregation: Aggregation, picture: int = 0) -> Utilisation:
    """D11. Turns the unweighted graph into a weighted one: an edge counts by the channels it won.

    Raises:
        ValueError: the aggregation does not belong to this graph.
        models.structures.NonFiniteError: the aggregation holds NaN or infinity.
        NotMeasurable: the graph has no edge.
    Source: own measure; max-relative aggregation: Li et al., "DeepGCNs", ICCV 2019.
    """
    s = snapshot(graph, picture)
    row = s.picture if aggregation.relative.shape[0] > 1 else 0
    alone = Aggregation(aggregation.relative[row].detach().cpu(), aggregation.winner[row].detach().cpu())
    alone.require_finite(f"picture {s.picture}")
    relative, winner = alone.relative.numpy(), alone.winner.numpy().astype(np.int64)
    if len(relative) != s.n or winner.max(initial=-1) >= s.m:
        raise ValueError(f"an aggregation over {len(relative)} patches does not belong to a graph of {s.n}")
    s.require_edges()
    patch, channel = np.nonzero((winner >= 0) & (relative > 0))
    code, won = s.target * s.m + s.source, patch * s.m + winner[patch, channel]
    edge = np.searchsorted(code, won).clip(max=s.edges - 1)
    if not np.array_equal(code[edge], won):
        raise ValueError("the aggregation names a neighbour that is no edge of this graph")
    weight = np.bincount(edge, minlength=s.edges) / relative.shape[1]
    return _per_patch(s, weight)


def _per_patch(s: Snapshot, weight: np.ndarray) -> Utilisation:
    total = np.bincount(s.target, weight, s.n)
    with np.errstate(invalid="ignore", divide="ignore"):
        used = np.bincount(s.target, weight > 0, s.n) / s.listens
        part = weight / total[s.target]
        entropy = np.bincount(s.target, -part * np.log(np.where(weight > 0, part, 1)), s.n)
    effective = np.where(total > 0, np.exp(entropy), np.nan)
    return Utilisation(s.source, s.target, weight, 1 - total, used, effective)


@dataclass(frozen=True)
class Fragility:
    """D12: how close the choice was.

    Attributes:
        margin: the relative change of a distance that would swap an edge of patch i, [N]; NaN where nothing can swap.
        near_share: share of the edges that lie within `near` of being dropped; NaN without an edge.
    """

    margin: np.ndarray
    near_share: float

    @property
    def median(self) -> float:
        return known_median(self.margin)


def fragility(graph: PatchGraph | Snapshot, picture: int = 0, near: float = 0.05) -> Fragility:
    """D12. Nearest neighbours: (d_(k+1) − d_(k))/|d_(k)|; DAGC: |μ − λσ − d|/σ; radius: |ε² − d|/ε².

    For a dilated list every chosen rank is compared with the closest rank that was not chosen. The margin of a nearest
    neighbour that is not the last is its distance to the first one that was left out, by the same |d_(k)|.

    Raises:
        NotMeasurable: the rule compares nothing, or the list ends with the last neighbour, or the edges were edited.
    Source: own measure.
    """
    s = snapshot(graph, picture)
    if s.graph.distance is None:
        raise NotMeasurable("this rule compares no distances, so no edge can flip")
    if s.collapsed:
        raise NotMeasurable("all patches look the same to this layer")
    distance = s.graph.distance[0].double().numpy()
    kept = s.graph.kept[0].numpy() & ~s.graph.is_self()[0].numpy()
    name, settings = s.graph.rule.name, s.graph.rule.settings
    if name == "nearest":
        margin = _rank_margins(distance, s.graph.kept[0].numpy())
        watched = kept
    elif name in ("axial-threshold", "radius"):
        level, scale = _threshold(s) if name == "axial-threshold" else (settings["epsilon"] ** 2,) * 2
        if not scale > 0:
            raise NotMeasurable("the threshold has no scale to compare with")
        margin, watched = np.abs(level - distance) / scale, np.ones_like(kept)
    else:
        raise NotMeasurable("the rule looks at both ends of an edge, so one distance does not decide it")
    lowest = np.where(watched, margin, np.inf).min(1, initial=np.inf)
    lowest[~watched.any(1)] = np.nan
    return Fragility(lowest, float((margin[kept] < near).mean()) if kept.any() else float("nan"))


def _rank_margins(distance: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Distance of every chosen rank to the closest rank not chosen, by the last chosen distance, [N, S]."""
    pattern = kept[0]
    if not (kept == pattern).all():
        raise NotMeasurable("the edges were edited by hand, so the list of distances does not explain them")
    if pattern.all():
        raise NotMeasurable("the list of candidates ends with the last neighbour, so there is nothing to compare with")
    chosen, left = np.flatnonzero(pattern), np.flatnonzero(~pattern)
    if len(chosen) == 0:
        raise NotMeasurable("the graph has no edge")
    after = np.searchsorted(left, chosen)
    gap = np.full(distance.shape, np.inf)
    for side, valid in ((after - 1, after > 0), (after, after < len(left))):
        ranks = chosen[valid]
        gap[:, ranks] = np.minimum(gap[:, ranks], np.abs(distance[:, left[side[valid]]] - distance[:, ranks]))
    scale = np.abs(distance[:, chosen[-1:]])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(gap == 0, 0, gap / scale)  # a tie is a tie, even at distance 0


def bias_share(graph: PatchGraph | Snapshot, picture: int = 0) -> np.ndarray:
    """D15. Var(position term)/Var(distance) over the listed candidates of each patch, self removed, [N].

    Above 1 the fixed position term varies more than what came out: feature and position work against each other. NaN
    where all distances of a patch are equal. The list holds the nearest candidates only, unless it holds all.

    Raises:
        NotMeasurable: the rule has no position term.
    Source: own measure.
    """
    s = snapshot(graph, picture)
    if s.graph.position is None or s.graph.distance is None:
        raise NotMeasurable("the rule has no position term")
    own = s.graph.is_self()[0].numpy()
    position, distance = (
        np.ma.masked_array(t[0].double().numpy(), own).var(1).filled(np.nan) for t in (s.graph.position, s.graph.distance)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(distance > 0, position / distance, np.nan)


@dataclass(frozen=True)
class Gauge:
    """D16: can the threshold rule keep any edge?

    Attributes:
        mean, std: μ and σ of the half-roll distances of the picture.
        multiplier: λ of the threshold μ − λσ.
    """

    mean: float
    std: float
    multiplier: float

    @property
    def cv(self) -> float:
        """σ/μ."""
        return self.std / self.mean

    @property
    def threshold(self) -> float:
        return self.mean - self.multiplier * self.std

    @property
    def hopeless(self) -> bool:
        """True when the threshold is not positive, λ·cv ≥ 1: no distance lies below it."""
        return self.threshold <= 0


def gauge(graph: PatchGraph | Snapshot, picture: int = 0) -> Gauge:
    """D16. cv = σ/μ of the threshold rule (DAGC); with λ·cv ≥ 1 no edge can survive.

    Raises:
        NotMeasurable: another rule, or all half-roll distances are 0.
    Source: own measure; coefficient of variation (Pearson 1896) of the statistics of Munir et al., GreedyViG, CVPR 2024.
    """
    s = snapshot(graph, picture)
    statistics = s.graph.rule.statistics
    if "mean" not in statistics or "std" not in statistics:
        raise NotMeasurable("only the threshold rule estimates a mean and a deviation")
    mean, std = float(statistics["mean"]), float(statistics["std"])
    if mean <= 0:
        raise NotMeasurable("all patches look the same to this layer")
    return Gauge(mean, std, float(s.graph.rule.settings.get("multiplier", 1.0)))


def _threshold(s: Snapshot) -> tuple[float, float]:
    found = gauge(s)
    return found.threshold, found.std


def threshold_error(graph: PatchGraph | Snapshot, picture: int = 0) -> dict[str, float]:
    """How well the cheap half-roll statistics of DAGC estimate all N(N − 1)/2 pairs: |estimate − exact|/|exact|.

    Returns:
        {"mean": …, "std": …, "threshold": …}. Costs N²·C/2 operations; not part of the summary.
    """
    s = snapshot(graph, picture)
    found = gauge(s)
    nodes = torch.from_numpy(s.features).float()
    pairs = torch.pdist(nodes, p=s.graph.rule.settings.get("p", 1)).double()
    mean, std = float(pairs.mean()), float(pairs.std())
    exact = {"mean": mean, "std": std, "threshold": mean - found.multiplier * std}
    return {key: abs(getattr(found, key) - value) / abs(value) for key, value in exact.items()}
