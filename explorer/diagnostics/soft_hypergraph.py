"""All diagnostics of one soft hypergraph as a list of measures, and the use of its hyperedges over many pictures.

The measures themselves live in `hyperedges`; what a detector owes to them in `detector`. The words of all of them are text
beside the code: `soft_hypergraph.json`. Rows of tables come from `folder_row`, as for patch graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from explorer.diagnostics import hyperedges as he
from explorer.diagnostics.labels import KMEANS_NOTE
from explorer.diagnostics.measure import Measure, NotMeasurable, measure, measured, noted, percent
from explorer.diagnostics.memberships import Memberships, memberships, messages_of, pairs_of
from explorer.diagnostics.snapshot import Labels, known_mean, known_median
from models.structures import HypergraphMessages, SoftHypergraph

UNREACHED = 0.1  # a patch with less than this share of the mean participation is hardly updated
DEAD = 0.1  # a hyperedge chosen less often than this share of an even choice is dead
ENOUGH_PICTURES = 200  # below, a hyperedge may only seem dead


def summary(
    hypergraph: SoftHypergraph | Memberships,
    *,
    picture: int = 0,
    messages: HypergraphMessages | None = None,
    tokens: Tensor | None = None,
    labels: Labels | None = None,
    labels_are_truth: bool = False,
) -> list[Measure]:
    """Every measure of one picture's hypergraph, always the same keys in the same order.

    What cannot be measured has the value None and a hint that says why.

    Args:
        messages: what the layer sent along the hyperedges; without it the measures of messages are None.
        tokens: what the layer received, [B, N, D]; without it the strength of the message is None.
        labels: segment of each patch, [N], negative where unknown; without it the measures of segments are None.
        labels_are_truth: False marks these in the hints as found by k-means.

    Raises:
        models.structures.NonFiniteError: the hypergraph, the messages or the tokens hold NaN or infinity.
        ValueError: messages, tokens or labels belong to another hypergraph, or a participation is negative.
    """
    s = memberships(hypergraph, picture)
    if messages is not None:
        messages_of(messages, s)  # refuse what does not belong together before anything is said
    sections: list[tuple[tuple[str, ...], Callable[[], list[Measure]]]] = [
        (("hyperedges_on",), lambda: [measure("hyperedges_on", s.count, grade=min(s.count, 1), all=s.m)]),
        (("edge_entropy", "edge_members", "uniform_edges"), lambda: _sizes(s)),
        (("contrast_low", "contrast_high", "contrast_flat"), lambda: _contrast(s)),
        (("edges_different",), lambda: _different(s)),
        (("map_correlation", "twin_edges"), lambda: _likeness(s)),
        (("edge_overlap",), lambda: _overlap(s)),
        (("prototype_cosine", "prototype_offset"), lambda: _prototypes(s)),
        (("head_agreement",), lambda: _heads(s)),
        (("patch_entropy",), lambda: [measure("patch_entropy", known_mean(he.patch_entropy(s)), reason="no patch is in a hyperedge")]),
        (("load_most", "load_variation", "load_gap"), lambda: _load(s)),
        (("patches_unreached",), lambda: _unreached(s)),
        (("special_mass",), lambda: _special(s)),
        (("choice_margin",), lambda: [measure("choice_margin", he.selection_margin(s))]),
        (("edge_compactness", "edge_moran"), lambda: _compactness(s)),
        (("edge_purity", "purity_gain", "purity_lift", "segment_information"), lambda: _purity(s, labels, labels_are_truth)),
        (("clique_homophily", "clique_homophily_adjusted"), lambda: _clique(s, labels, labels_are_truth)),
        (("message_contrast", "message_strength"), lambda: _message(s, messages, tokens)),
        (("edges_saying_different",), lambda: _functional(s, messages)),
        (("hard_lost", "hard_empty"), lambda: _hard(s)),
        (("hard_message",), lambda: _hard_message(s, messages)),
    ]
    return [found for keys, section in sections for found in measured(keys, section)]


def _sizes(s: Memberships) -> list[Measure]:
    found = he.sizes(s)
    flat, count = int(found.flat.sum()), int(found.uniform.sum())
    noise = f" (the maps of {flat} vary by less than 10 %, which is as good as noise)" if flat else ""
    return [
        measure("edge_entropy", known_mean(found.entropy)),
        measure("edge_members", known_median(found.members), patches=s.n),
        measure("uniform_edges", count / s.count, flat=noise, count=count, all=s.count),
    ]


def _contrast(s: Memberships) -> list[Measure]:
    found = he.contrast(s)
    least = "not at all" if found.low <= he.FAINTEST else f"{2**found.low:.2g} times"
    return [
        measure("contrast_low", found.low, times=least),
        measure("contrast_high", found.high, times=2**found.high),
        measure("contrast_flat", found.flat),
    ]


def _different(s: Memberships) -> list[Measure]:
    s.require(hyperedges=2)
    value = he.effective_number(s)
    return [measure("edges_different", value, grade=value / s.count, all=s.count)]


def _likeness(s: Memberships) -> list[Measure]:
    s.require(hyperedges=2)
    pairs = pairs_of(he.correlation(s))
    if not len(pairs):
        raise NotMeasurable("at most one hyperedge is not uniform, so there are no two maps to compare")
    found = he.twins(s)
    return [
        measure("map_correlation", float(pairs.mean())),
        measure("twin_edges", found.sum() / s.count, count=int(found.sum()), all=s.count),
    ]


def _overlap(s: Memberships) -> list[Measure]:
    s.require(hyperedges=2)
    return [measure("edge_overlap", known_mean(pairs_of(he.overlap(s))))]


def _prototypes(s: Memberships) -> list[Measure]:
    found = he.prototypes(s)
    return [
        measure("prototype_cosine", found.mean, largest=found.largest),
        measure("prototype_offset", found.offset, reason="these prototypes are not made of a learned part and an offset"),
    ]


def _heads(s: Memberships) -> list[Measure]:
    value = known_mean(he.head_agreement(s))
    return [measure("head_agreement", value, heads=s.hypergraph.heads, reason="no two heads draw anything but uniform maps")]


def _load(s: Memberships) -> list[Measure]:
    s.require(hyperedges=2)
    found = he.load(s)
    shares = np.nan_to_num(found.share)
    return [
        measure(
            "load_most", found.most, share=percent(float(shares.max())), index=int(shares.argmax()) + 1, all=s.count
        ),  # counted from 1, as on the page
        measure("load_variation", found.variation),
        measure("load_gap", found.gap),
    ]


def _unreached(s: Memberships) -> list[Measure]:
    s.require()
    heard = he.loudness(s)
    return [measure("patches_unreached", float((heard < UNREACHED * heard.mean()).mean()))]


def _special(s: Memberships) -> list[Measure]:
    special = s.hypergraph.special
    if not special:
        raise NotMeasurable("every token is a patch")
    s.require()
    mass = s.hypergraph.participation[0].numpy()[:, s.on]
    count = f"{special} special token" + ("s" if special > 1 else "")
    return [measure("special_mass", mass[:special].sum() / mass.sum(), tokens=count, even=percent(special / len(mass)))]


def _compactness(s: Memberships) -> list[Measure]:
    found = he.compactness(s)
    return [
        measure("edge_compactness", known_mean(found.value), chance=known_mean(found.chance)),
        measure("edge_moran", known_mean(found.moran), reason="the weights of every hyperedge are equal"),
    ]


def _purity(s: Memberships, labels: Labels | None, truth: bool) -> list[Measure]:
    if labels is None:
        raise NotMeasurable("no segments were given")
    found = he.purity(s, labels)
    what, told = "object" if truth else "segment", float(np.nan_to_num(found.nmi_adjusted))
    value = [
        measure("edge_purity", known_mean(found.purity), what=what, base=percent(float(found.base.max()))),
        measure("purity_gain", known_mean(found.gain), what=what, reason="there is only one label"),
        measure("purity_lift", known_mean(found.lift), what=what),
        measure("segment_information", found.nmi, grade=told, what=what, chance=found.nmi_chance, reason="hyperedges meet only one label"),
    ]
    return _marked(value, truth)


def _clique(s: Memberships, labels: Labels | None, truth: bool) -> list[Measure]:
    if labels is None:
        raise NotMeasurable("no segments were given")
    found = he.clique_homophily(s, labels)
    what = "object" if truth else "segment"
    value = [
        measure("clique_homophily", found.share, what=what, chance=percent(found.chance)),
        measure("clique_homophily_adjusted", found.adjusted, what=what, reason="there is only one label, so no pair can cross"),
    ]
    return _marked(value, truth)


def _marked(found: Sequence[Measure], truth: bool) -> list[Measure]:
    return list(found) if truth else [noted(m, KMEANS_NOTE) for m in found]


_NO_MESSAGES = "nothing was recorded of what travelled along the hyperedges"


def _message(s: Memberships, messages: HypergraphMessages | None, tokens: Tensor | None) -> list[Measure]:
    if messages is None:
        raise NotMeasurable(_NO_MESSAGES)
    found = he.message(s, messages, tokens)
    return [
        measure("message_contrast", found.contrast),
        measure("message_strength", found.strength, reason="what the layer received was not recorded"),
    ]


def _functional(s: Memberships, messages: HypergraphMessages | None) -> list[Measure]:
    if messages is None:
        raise NotMeasurable(_NO_MESSAGES)
    s.require(hyperedges=2)
    value = he.functional_number(s, messages)
    return [measure("edges_saying_different", value, grade=value / s.count, all=s.count)]


def _hard(s: Memberships) -> list[Measure]:
    found = he.hardening(s)
    return [measure("hard_lost", found.lost), measure("hard_empty", found.empty, count=round(found.empty * s.count), all=s.count)]


def _hard_message(s: Memberships, messages: HypergraphMessages | None) -> list[Measure]:
    if messages is None:
        raise NotMeasurable(_NO_MESSAGES)
    return [measure("hard_message", he.hardening(s, messages).message)]


def importance(drops: Sequence[float] | np.ndarray, hypergraph: SoftHypergraph | Memberships, picture: int = 0) -> Measure:
    """The measure "importance_load": whether busy hyperedges are those that the answer hangs on (see `importance_agreement`)."""
    return measured(("importance_load",), lambda: [measure("importance_load", he.importance_agreement(drops, hypergraph, picture))])[0]


# ------------------------------------------------------------------------------------------------------- many pictures


@dataclass(frozen=True)
class Usage:
    """How the hyperedges of one layer are used over a set of pictures.

    Attributes:
        pictures: how many.
        on: share of the pictures in which a hyperedge is on, [M].
        drawn: share of the pictures in which it is on and not uniform (std/mean ≥ 0.1), [M].
        load: mean share of the patches that it carries (0 where it is off), [M].
        different: how many different hyperedges each picture has (`hyperedges.effective_number`; NaN where none is on), [pictures].
        input_dependence: Σ_img ‖P − P̄‖² / Σ_img ‖P‖²; 0 = the same prototypes for every picture; NaN without prototypes.
        k, fixed: how many of the dynamic hyperedges are chosen and how many others are always on; None where all are.
    """

    pictures: int
    on: np.ndarray
    drawn: np.ndarray
    load: np.ndarray
    different: np.ndarray
    input_dependence: float
    k: int | None = None
    fixed: int | None = None

    @property
    def dynamic(self) -> np.ndarray:
        """Which hyperedges are chosen by a score, [M] bool."""
        return np.arange(len(self.on)) >= (len(self.on) if self.fixed is None else self.fixed)

    @property
    def dead(self) -> np.ndarray:
        """Dynamic hyperedges that are on in less than a tenth of the pictures that an even choice would give, [M] bool."""
        even = (self.k or 0) / max(int(self.dynamic.sum()), 1)
        return self.dynamic & (self.on < DEAD * even)

    @property
    def always(self) -> np.ndarray:
        """Dynamic hyperedges that are on in every picture, although some are left out, [M] bool."""
        return self.dynamic & (self.on == 1) & ((self.k or 0) < self.dynamic.sum())


def usage(hypergraphs: Iterable[SoftHypergraph]) -> Usage:
    """Which hyperedges a layer uses over many pictures. Each hypergraph may hold several; grids may differ.

    Raises:
        ValueError: no hypergraph, or they differ in their hyperedges or in how these are chosen.
        models.structures.NonFiniteError: one of them holds NaN or infinity.
    Source: dead if f_m < 0.1·k/M_dyn (own criterion); the load of a mixture of experts: Shazeer and others, ICLR 2017.
    """
    rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    different: list[float] = []
    centre: np.ndarray | None = None
    squared, first, complete = 0.0, None, True
    for s in _each(hypergraphs):
        made = (s.m, s.hypergraph.rule.settings.get("k"), s.hypergraph.rule.settings.get("fixed"))
        first = made if first is None else first
        if made != first:
            raise ValueError(f"hypergraphs of {made[0]} hyperedges (k = {made[1]}) and of {first[0]} (k = {first[1]}) are not of one layer")
        rows.append((s.hypergraph.active()[0].numpy(), s.maps[1], np.nan_to_num(s.hypergraph.load()[0].numpy() * s.on)))
        different.append(he.effective_number(s) if s.count else float("nan"))
        centres = s.hypergraph.prototypes
        complete = complete and centres is not None
        if centres is not None and complete:
            own = centres[0].double().numpy()
            centre = own if centre is None else centre + own
            squared += float(np.square(own).sum())
    if first is None:
        raise ValueError("no hypergraph was given")
    on, drawn, carried = (np.stack(column).mean(0) for column in zip(*rows, strict=True))
    dependence = float("nan")
    if complete and centre is not None and squared > 0:
        dependence = float(np.clip(1 - np.square(centre).sum() / len(rows) / squared, 0, 1))
    chosen = first[1:] if first[2] is not None else (None, None)  # kNN hyperedges have a k, too, but none is left out
    return Usage(len(rows), on, drawn, carried, np.array(different), dependence, *chosen)


def _each(hypergraphs: Iterable[SoftHypergraph]) -> Iterable[Memberships]:
    for hypergraph in hypergraphs:
        for picture in range(len(hypergraph.participation)):
            yield memberships(hypergraph, picture)


def usage_summary(found: Usage) -> list[Measure]:
    """The measures of a layer over many pictures, always the same keys in the same order."""
    sections: list[tuple[tuple[str, ...], Callable[[], list[Measure]]]] = [
        (("usage_different",), lambda: _usage_different(found)),
        (("usage_drawn",), lambda: _drawn(found)),
        (("usage_dead", "usage_always"), lambda: _chosen(found)),
        (("usage_load_most", "usage_load_variation"), lambda: _usage_load(found)),
        (("input_dependence",), lambda: _dependence(found)),
    ]
    return [m for keys, section in sections for m in measured(keys, section)]


def _usage_different(found: Usage) -> list[Measure]:
    known = found.different[~np.isnan(found.different)]
    if not len(known):
        raise NotMeasurable("no hyperedge is on")
    of = float(found.on.sum())  # how many are on in a picture, on average
    if of < 2:
        raise NotMeasurable("there is only one hyperedge, so none can be compared with it")
    value, sd = float(known.mean()), float(known.std(ddof=1)) if len(known) > 1 else 0.0
    return [measure("usage_different", value, grade=value / of, pictures=found.pictures, of=of, sd=sd)]


def _drawn(found: Usage) -> list[Measure]:
    if not found.on.any():
        raise NotMeasurable("no hyperedge is on")
    return [measure("usage_drawn", float(found.drawn.sum() / found.on.sum()), pictures=found.pictures)]


def _chosen(found: Usage) -> list[Measure]:
    dynamic = int(found.dynamic.sum())
    if not dynamic:
        raise NotMeasurable("all hyperedges are always on here, none is chosen")
    few = f" ({found.pictures} pictures are few to tell)" if found.pictures < ENOUGH_PICTURES else ""
    dead, always = int(found.dead.sum()), int(found.always.sum())
    return [
        measure("usage_dead", dead / dynamic, count=dead, all=dynamic, few=few),
        measure("usage_always", always / dynamic, count=always, all=dynamic, few=few),
    ]


def _usage_load(found: Usage) -> list[Measure]:
    among = np.flatnonzero(found.dynamic) if found.dynamic.any() else np.arange(len(found.load))  # fixed ones carry more by design
    shares = found.load[among]
    if len(shares) < 2:
        raise NotMeasurable("there is only one hyperedge, so none can be compared with it")
    if not shares.sum() > 0:
        raise NotMeasurable("no hyperedge carries any patch")
    carried, top = he.Load(shares), int(shares.argmax())
    return [
        measure("usage_load_most", carried.most, index=int(among[top]) + 1, share=percent(float(shares[top])), all=len(shares)),
        measure("usage_load_variation", carried.variation),
    ]


def _dependence(found: Usage) -> list[Measure]:
    if found.pictures < 2:
        raise NotMeasurable("one picture cannot tell what changes from picture to picture")
    return [measure("input_dependence", found.input_dependence, reason="these hyperedges are not made from prototypes")]
