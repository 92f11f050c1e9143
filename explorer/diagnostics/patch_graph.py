"""All diagnostics of one patch graph as a list of measures, their run through the layers, and rows for tables.

The measures themselves live beside this file, labelled D1–D16 in their docstrings: `degree` (D1, D2), `geometry` (D3),
`connectivity` (D4, D6, D13), `labels` (D5), `features` (D7, D8), `compare` (D9, D10), `choice` (D11, D12, D15, D16),
`cuts` (D14).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from explorer.diagnostics.choice import bias_share, fragility, gauge, utilisation
from explorer.diagnostics.connectivity import Components, axial_pieces, components, spectrum
from explorer.diagnostics.degree import Degrees, degrees, reciprocity
from explorer.diagnostics.features import redundancy, smoothness
from explorer.diagnostics.geometry import ROLLED_RULES, lengths, wrap_share
from explorer.diagnostics.labels import KMEANS_NOTE, homophily, pooled_labels
from explorer.diagnostics.measure import Measure, NotMeasurable, measure, measured, noted, percent, unknown
from explorer.diagnostics.snapshot import COMPARING_RULES, Grid, Labels, Snapshot, known_median, snapshot
from models.structures import Aggregation, PatchGraph

COLLAPSED = "all patches look the same to this layer, so its graph means nothing"
DEPTH_KEYS = (
    "homophily_adjusted",
    "effective_rank",
    "dirichlet_own",
    "dirichlet_grid",
    "mean_cosine",
    "smv",
    "length_median",
    "edges",
    "cv",
)
_Section = tuple[tuple[str, ...], Callable[[], list[Measure]]]


def summary(
    graph: PatchGraph | Snapshot,
    *,
    picture: int = 0,
    aggregation: Aggregation | None = None,
    labels: Labels | None = None,
    labels_are_truth: bool = False,
) -> list[Measure]:
    """Every measure of one picture's graph, always the same keys in the same order.

    What cannot be measured has the value None and a hint that says why. When all patches look the same to a rule that
    compares them, "difference" says so and everything else is None.

    Args:
        aggregation: what the layer took along the edges; without it the measures of work done are None.
        labels: segment of each patch, [N], negative where unknown; without it the homophily measures are None.
        labels_are_truth: False marks them in the hints as found by k-means.

    Raises:
        models.structures.NonFiniteError: the graph or the aggregation holds NaN or infinity.
    """
    s = snapshot(graph, picture)
    sections: list[_Section] = [
        (("difference",), lambda: _difference(s)),
        (("edges", "degree_mean", "isolated"), lambda: _counts(s)),
        (("hub_skew", "hub_share", "corner_share", "border_share"), lambda: _popularity(s)),
        (("reciprocity",), lambda: [measure("reciprocity", reciprocity(s).share)]),
        (("length_median", "length_ninety", "local_share"), lambda: _lengths(s)),
        (("wrap_share",), lambda: [measure("wrap_share", wrap_share(s))]),
        (("pieces", "largest_piece", "spectral_gap"), lambda: _pieces(s)),
        (("homophily", "homophily_adjusted"), lambda: _homophily(s, labels, labels_are_truth)),
        (("dirichlet_own", "dirichlet_grid", "effective_rank", "mean_cosine", "smv"), lambda: _smoothness(s)),
        (("redundancy", "effective_neighbours"), lambda: _redundancy(s)),
        (("edges_used", "channels_silent", "effective_sources"), lambda: _work(s, aggregation)),
        (("margin", "fragile_share"), lambda: _fragility(s)),
        (("bias_share",), lambda: _bias(s)),
        (("cv",), lambda: _gauge(s)),
    ]
    meaningless = s.collapsed and s.graph.rule.name in COMPARING_RULES
    found = []
    for keys, section in sections:
        if meaningless and keys != ("difference",):
            found += [unknown(key, COLLAPSED) for key in keys]
            continue
        found += measured(keys, section)
    return found


def _difference(s: Snapshot) -> list[Measure]:
    compares = s.graph.rule.name in COMPARING_RULES
    consequence = "the graph means nothing" if compares else "its edges carry nothing that the patch does not have"
    return [measure("difference", 0.0 if s.collapsed else s.spread, consequence=consequence)]


def _counts(s: Snapshot) -> list[Measure]:
    found = degrees(s)
    return [
        measure("edges", s.edges, grade=s.edges / s.n, patches=s.n),
        measure("degree_mean", found.mean, low=int(found.listens.min()), high=int(found.listens.max())),
        measure("isolated", found.isolated_share),
    ]


def _popularity(s: Snapshot) -> list[Measure]:
    s.require_edges()
    found = degrees(s)
    top = round(found.top_chance * s.m)
    one, several = ("cell", "cells") if s.graph.pooled else ("patch", "patches")
    many = f"the {top} most popular {several}" if top > 1 else f"the most popular {one}"
    return [
        measure("hub_skew", found.skew),
        _against_chance("hub_share", found, "top", patches=many),
        _against_chance("corner_share", found, "corner"),
        _against_chance("border_share", found, "border"),
    ]


def _against_chance(key: str, found: Degrees, what: str, **words: str) -> Measure:
    share, chance = getattr(found, f"{what}_share"), getattr(found, f"{what}_chance")
    return measure(key, share, grade=share / chance, chance=percent(chance), ratio=share / chance, **words)


def _lengths(s: Snapshot) -> list[Measure]:
    found = lengths(s)
    where = "go to the pooled cell around the patch or one beside it" if s.graph.pooled else "stay where a 3 × 3 convolution looks anyway"
    return [
        measure("length_median", found.median, height=s.grid[0], width=s.grid[1]),
        measure("length_ninety", found.ninety),
        measure("local_share", found.local_share, where=where),
    ]


def _pieces(s: Snapshot) -> list[Measure]:
    parts = components(s)
    candidates = ""
    if s.graph.rule.name in ROLLED_RULES:
        least = axial_pieces(s.grid, s.graph.rule.settings["step"])
        candidates = f" At this grid and step it cannot be fewer than {least}." if least > 1 else ""
    return [
        measure("pieces", parts.count, candidates=candidates, single=int((parts.sizes == 1).sum())),
        measure("largest_piece", parts.largest_share),
        *measured(("spectral_gap",), lambda: _gap(s, parts)),
    ]


def _gap(s: Snapshot, parts: Components) -> list[Measure]:
    found = spectrum(s, parts=parts)
    return [measure("spectral_gap", found.gap, steps=1 / max(found.gap, 1e-9), patches=found.patches)]


def _homophily(s: Snapshot, labels: Labels | None, truth: bool) -> list[Measure]:
    if labels is None:
        raise NotMeasurable("no segments were given")
    found = homophily(s, labels)
    what = "object" if truth else "segment"
    pair = [
        measure("homophily", found.share, what=what, chance=percent(found.chance)),
        measure("homophily_adjusted", found.adjusted, what=what, reason="only one label has edges, so none can cross"),
    ]
    return pair if truth else [noted(m, KMEANS_NOTE) for m in pair]


def _smoothness(s: Snapshot) -> list[Measure]:
    found = smoothness(s)
    reason = "the sources are pooled cells, not patches" if s.graph.pooled else "the graph has no edge"
    return [
        measure("dirichlet_own", found.own, reason=reason),
        measure("dirichlet_grid", found.grid),
        measure("effective_rank", found.effective_rank, grade=found.effective_rank / found.full_rank, most=found.full_rank),
        measure("mean_cosine", found.mean_cosine),
        measure("smv", found.smv),
    ]


def _redundancy(s: Snapshot) -> list[Measure]:
    found = redundancy(s)
    heard = s.listens[s.listens > 0].mean()
    return [
        measure("redundancy", found.mean, reason="no patch has two neighbours to compare"),
        measure("effective_neighbours", found.mean_effective, degree=heard),
    ]


def _work(s: Snapshot, aggregation: Aggregation | None) -> list[Measure]:
    if aggregation is None:
        raise NotMeasurable("nothing was recorded of what travelled along the edges")
    used, silent, effective = utilisation(s, aggregation).means
    return [
        measure("edges_used", used),
        measure("channels_silent", silent),
        measure("effective_sources", effective, reason="no neighbour won a channel"),
    ]


def _fragility(s: Snapshot) -> list[Measure]:
    found = fragility(s)
    return [measure("margin", found.median), measure("fragile_share", found.near_share, reason="the graph has no edge")]


def _bias(s: Snapshot) -> list[Measure]:
    value, listed = known_median(bias_share(s)), s.graph.candidates.shape[2]
    # Picking the nearest makes position and features trade off, so a short list alone cannot convict the position term.
    grade = value if listed == s.m else min(value, 0.99)
    return [measure("bias_share", value, grade=grade, listed=listed, sources=s.m)]


def _gauge(s: Snapshot) -> list[Measure]:
    found = gauge(s)
    return [measure("cv", found.cv, grade=found.multiplier * found.cv, multiplier=found.multiplier)]


# ---------------------------------------------------------------------------------------------- several graphs, tables


def depth_profile(
    graphs: Mapping[str, PatchGraph], labels: Labels | Mapping[str, Labels] | None = None, picture: int = 0
) -> dict[str, list[float | None]]:
    """The measures of `DEPTH_KEYS` from layer to layer, in the order of `graphs`; None where there is no value.

    Args:
        labels: one per patch of the first graph; coarser grids take the majority. Or {name of a graph: its labels}.
    """
    profile: dict[str, list[float | None]] = {key: [] for key in DEPTH_KEYS}
    first: Grid | None = None
    for name, graph in graphs.items():
        s = snapshot(graph, picture)
        first = first or s.grid
        own = labels.get(name) if isinstance(labels, Mapping) else None if labels is None else pooled_labels(labels, first, s.grid)
        values = _depth_values(s, own)
        for key in DEPTH_KEYS:
            profile[key].append(values.get(key))
    return profile


def _depth_values(s: Snapshot, labels: Labels | None) -> dict[str, float | None]:
    if s.collapsed and s.graph.rule.name in COMPARING_RULES:
        return {}
    sections: list[Callable[[], list[Measure]]] = [
        lambda: _homophily(s, labels, True),
        lambda: _smoothness(s),
        lambda: _lengths(s),
        lambda: _counts(s),
        lambda: _gauge(s),
    ]
    return folder_row(m for section in sections for m in measured((), section))


def folder_row(measures: Iterable[Measure]) -> dict[str, float | None]:
    """{key: value} of a summary: one row of a table over a folder of pictures."""
    return {m.key: m.value for m in measures}


class Triangle(NamedTuple):
    """What a constructor pays: few crossings, one piece, neighbours that differ. NaN where undefined."""

    homophily: float
    connectivity: float
    redundancy: float


def triangle(graph: PatchGraph | Snapshot, labels: Labels, picture: int = 0) -> Triangle:
    """Adjusted homophily, share of the patches in the largest piece, mean redundancy R of the neighbours."""
    s = snapshot(graph, picture)

    def value(read: Callable[[], float]) -> float:
        try:
            return read()
        except NotMeasurable:
            return float("nan")

    return Triangle(
        value(lambda: homophily(s, labels).adjusted),
        components(s).largest_share,
        value(lambda: redundancy(s).mean),
    )
