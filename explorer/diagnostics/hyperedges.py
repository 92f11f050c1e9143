"""Soft hyperedges in numbers: how large, how loaded, how different, where they lie, what they carry.

Notation of all formulas, for one picture: A [N, M] is the participation of N patches (special tokens left out) in M
hyperedges, w = A with columns scaled to sum 1 (how a hyperedge divides itself), r = A with rows scaled to sum 1 (how a patch
divides itself). Hyperedges that are off, or have no member, are NaN in what is listed per hyperedge and count nowhere.

Unless a docstring names another source, a measure is our own, built from standard statistics for the hyperedges of SoftHGNN (Lei,
Wu, Gao et al., arXiv 2505.15325) and YOLOv13 (arXiv 2506.17733).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from explorer.diagnostics.features import grid_neighbours
from explorer.diagnostics.measure import NotMeasurable
from explorer.diagnostics.memberships import Memberships, memberships, messages_of, only, pairs_of, row_of
from explorer.diagnostics.snapshot import Labels, as_labels, entropy, known_mean, unit_rows
from models.structures import HypergraphMessages, NonFiniteError, SoftHypergraph
from models.structures.hypergraph import UNIFORM

NEARLY_UNIFORM = 0.99  # normalised entropy above which a hyperedge joins everything alike
TWINS = 0.8  # correlation of two maps above which one repeats the other
FLAT = 0.1  # |log₂| below which a patch takes part as if hyperedges were uniform
FAINTEST = -30.0  # log₂ of a participation of 0
_SHUFFLES = 256  # how many random orders of the patches stand for chance
_SAME_MESSAGE = 1e-2  # relative; above the rounding of half precision
_SLICE = 1 << 22  # numbers held at once


# ------------------------------------------------------------------------------------------------- size, load, contrast


@dataclass(frozen=True)
class Sizes:
    """How many patches a hyperedge lives on.

    Attributes:
        entropy: −Σ_n w ln w / ln N, [M]; 1 = all patches alike, 0 = one patch.
        members: exp(−Σ_n w ln w), the number of patches that it would have if it were even, [M].
        variation: std_n(w)/mean_n(w), [M].
    """

    entropy: np.ndarray
    members: np.ndarray
    variation: np.ndarray

    @property
    def uniform(self) -> np.ndarray:
        """True for hyperedges whose entropy exceeds 0.99, [M] bool."""
        return np.asarray(self.entropy > NEARLY_UNIFORM)  # NaN compares as False

    @property
    def flat(self) -> np.ndarray:
        """True for hyperedges that vary by less than 10 % of their mean, [M] bool: nothing but noise is left to look at."""
        return self.variation < UNIFORM


def sizes(hypergraph: SoftHypergraph | Memberships, picture: int = 0) -> Sizes:
    """Entropy h_m = −Σ_n w ln w / ln N, effective members exp(−Σ_n w ln w) and variation of every hyperedge.

    Raises:
        NotMeasurable: no hyperedge is on, or there is one patch only.
    Source: Shannon 1948; the effective number is Hill's of order 1 (Hill, Ecology 54, 1973).
    """
    s = memberships(hypergraph, picture)
    s.require(patches=2)
    bits = entropy(s.weights.T)
    return Sizes(
        s.per_hyperedge(bits / math.log(s.n)),
        s.per_hyperedge(np.exp(bits)),
        s.per_hyperedge(s.weights.std(0) * s.n),
    )


def patch_entropy(hypergraph: SoftHypergraph | Memberships, picture: int = 0) -> np.ndarray:
    """−Σ_m r ln r / ln(number of hyperedges that are on), [N]; 1 = in all alike, 0 = in one only, NaN = in none.

    Raises:
        NotMeasurable: fewer than two hyperedges are on.
    """
    s = memberships(hypergraph, picture)
    s.require(hyperedges=2)
    heard = loudness(s)
    rows = s.degree / np.where(heard > 0, heard, 1)[:, None]
    return np.where(heard > 0, entropy(rows) / math.log(s.count), np.nan)


def loudness(hypergraph: SoftHypergraph | Memberships, picture: int = 0) -> np.ndarray:
    """ρ_n = Σ_m A_nm, how much patch n takes part at all, [N]."""
    return memberships(hypergraph, picture).degree.sum(1)


@dataclass(frozen=True)
class Load:
    """How the patches are divided among the hyperedges.

    Attributes:
        share: mean_n r_nm, [M]; sums to 1 where every patch is in a hyperedge.
    """

    share: np.ndarray

    @property
    def _known(self) -> np.ndarray:
        return self.share[~np.isnan(self.share)]

    @property
    def most(self) -> float:
        """max/mean: 1 = even, M = one hyperedge carries all."""
        return float(self._known.max() / self._known.mean())

    @property
    def variation(self) -> float:
        """Coefficient of variation, std/mean."""
        return float(self._known.std() / self._known.mean())

    @property
    def gap(self) -> float:
        """1 − H(load)/ln M, the Kullback–Leibler divergence from an even load, scaled to 0…1."""
        shares = self._known / self._known.sum()
        return float(1 - entropy(shares) / math.log(len(shares))) if len(shares) > 1 else 0.0


def load(hypergraph: SoftHypergraph | Memberships, picture: int = 0) -> Load:
    """load_m = mean_n r_nm. Under a softmax over the vertices all columns of A sum to 1, so rows are compared.

    Raises:
        NotMeasurable: no hyperedge is on.
    """
    s = memberships(hypergraph, picture)
    s.require()
    return Load(s.per_hyperedge(s.hypergraph.load()[0].numpy()))


@dataclass(frozen=True)
class Contrast:
    """How far participations are from those of uniform hyperedges.

    Attributes:
        low, high: 5 % and 95 % quantile of log₂(N·w) over all patches and hyperedges; 0 is uniform, ±1 half or twice.
        flat: share of them within ±0.1.
    """

    low: float
    high: float
    flat: float


def contrast(hypergraph: SoftHypergraph | Memberships, picture: int = 0) -> Contrast:
    """Quantiles of log₂(N·w); a participation of 0 counts as −30.

    Raises:
        NotMeasurable: no hyperedge is on, or there is one patch only.
    """
    s = memberships(hypergraph, picture)
    s.require(patches=2)
    value = np.log2(np.maximum(s.n * s.weights[:, s.on], 2.0**FAINTEST))
    low, high = np.quantile(value, [0.05, 0.95])
    return Contrast(float(low), float(high), float((np.abs(value) < FLAT).mean()))


def mass_sets(hypergraph: SoftHypergraph | Memberships, share: float = 0.5, picture: int = 0) -> np.ndarray:
    """The fewest patches that hold at least `share` of a hyperedge, [N, M] bool; all False where it is off.

    Patches enter strongest first, of equals the first in the picture.

    Raises:
        ValueError: a share outside 0…1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"the share is {share}; it must be above 0 and at most 1")
    s = memberships(hypergraph, picture)
    order = np.argsort(-s.weights, axis=0, kind="stable")
    ranked = np.take_along_axis(s.weights, order, 0)
    before = ranked.cumsum(0) - ranked
    inside = np.zeros(s.weights.shape, dtype=bool)
    np.put_along_axis(inside, order, (before < share - 1e-9) & (ranked > 0), 0)
    return inside


# ------------------------------------------------------------------------------------------------------ do they differ?


def correlation(hypergraph: SoftHypergraph | Memberships, picture: int = 0) -> np.ndarray:
    """Pearson's correlation of the maps of every two hyperedges, [M, M]; NaN where one is off or uniform (std/mean < 0.1)."""
    s = memberships(hypergraph, picture)
    maps, different = s.maps
    return only(np.clip(maps.T @ maps, -1, 1), different)


def twins(hypergraph: SoftHypergraph | Memberships, picture: int = 0) -> np.ndarray:
    """True for hyperedges whose map correlates above 0.8 with another one's, [M] bool."""
    found = correlation(hypergraph, picture)
    np.fill_diagonal(found, np.nan)
    return np.any(found > TWINS, axis=1)


def overlap(hypergraph: SoftHypergraph | Memberships, picture: int = 0) -> np.ndarray:
    """Fuzzy Jaccard index Σ_n min(w_m, w_m') / Σ_n max(w_m, w_m') of every two hyperedges, [M, M]; NaN where one is off.

    Source: Jaccard 1912, with the minimum and maximum of fuzzy sets (Zadeh 1965). Uniform hyperedges overlap wholly.
    """
    s = memberships(hypergraph, picture)
    w = np.ascontiguousarray(s.weights.T)
    both = np.empty((s.m, s.m))
    step = max(1, _SLICE // w.size)
    for start in range(0, s.m, step):
        both[start : start + step] = np.minimum(w[start : start + step, None], w).sum(2)
    return only(both / np.maximum(2 - both, 1e-12), s.on)  # Σ max = Σ w + Σ w' − Σ min, and both sum to 1


def effective_number(hypergraph: SoftHypergraph | Memberships, picture: int = 0) -> float:
    """exp(−Σ p ln p), p the eigenvalues of the correlation matrix of the maps divided by their number; 0 when all are uniform.

    Raises:
        NotMeasurable: no hyperedge is on.
    Source: Vendi score (Friedman, Dieng, TMLR 2023).
    """
    s = memberships(hypergraph, picture)
    s.require()
    return float(s.hypergraph.effective_number()[0])


def functional_number(hypergraph: SoftHypergraph | Memberships, messages: HypergraphMessages, picture: int = 0) -> float:
    """The same for the features E [M, D] that the hyperedges send, each centred over its channels: what they say, not where.

    Raises:
        NotMeasurable: no hyperedge is on, or the features of all are constant.
    """
    s = memberships(hypergraph, picture)
    s.require()
    sent = messages_of(messages, s).hyperedges[0].double().numpy()[s.on]
    centred = sent - sent.mean(1, keepdims=True)
    length = np.linalg.norm(centred, axis=1)
    speaking = length > 1e-6 * np.linalg.norm(sent, axis=1)
    if not speaking.any():
        raise NotMeasurable("the hyperedges send nothing that differs between channels")
    unit = centred[speaking] / length[speaking, None]
    gram = unit @ unit.T if len(unit) < unit.shape[1] else unit.T @ unit
    return float(np.exp(entropy(np.clip(np.linalg.eigvalsh(gram), 0, None) / len(unit))))


@dataclass(frozen=True)
class Prototypes:
    """Whether the centres of the hyperedges differ, and how much the picture moves them.

    Attributes:
        cosine: of the prototypes P of this picture, [M, M].
        static: of the learned part P₀, [M, M]; None where it is not known.
        offset: ‖ΔP‖_F / ‖P₀‖_F; NaN where it is not known.
    """

    cosine: np.ndarray
    static: np.ndarray | None
    offset: float

    @property
    def mean(self) -> float:
        """Mean cosine over the pairs of hyperedges that are on."""
        return known_mean(pairs_of(self.cosine))

    @property
    def largest(self) -> float:
        """Largest cosine of a pair."""
        return float(pairs_of(self.cosine).max())


def prototypes(hypergraph: SoftHypergraph | Memberships, picture: int = 0) -> Prototypes:
    """Cosines of the prototypes of the hyperedges that are on, and ‖ΔP‖_F/‖P₀‖_F.

    Raises:
        NotMeasurable: the hyperedges have no prototypes, or fewer than two are on.
    """
    s = memberships(hypergraph, picture)
    if s.hypergraph.prototypes is None:
        raise NotMeasurable("these hyperedges are not made from prototypes")
    s.require(hyperedges=2)

    def cosine(vectors: Tensor) -> np.ndarray:
        unit = unit_rows(vectors.double().numpy())
        return only(np.clip(unit @ unit.T, -1, 1), s.on)

    base, moved = s.hypergraph.static, s.hypergraph.offset
    share = float("nan")
    if base is not None and moved is not None and base.norm() > 0:
        share = float(moved[0].double().norm() / base.double().norm())
    return Prototypes(cosine(s.hypergraph.prototypes[0]), None if base is None else cosine(base), share)


def head_agreement(hypergraph: SoftHypergraph | Memberships, picture: int = 0) -> np.ndarray:
    """Mean correlation of the maps that any two heads alone would have given, [M]; NaN where no two of them are not uniform.

    The released layer averages the logits of its heads, so heads act as a temperature only; this tells whether they would
    have drawn the same hyperedge.

    Raises:
        NotMeasurable: there is one head, or the hyperedges were not made by comparing queries with prototypes.
    """
    s = memberships(hypergraph, picture)
    if s.hypergraph.heads < 2:
        raise NotMeasurable("there is only one head")
    if s.hypergraph.queries is None or s.hypergraph.prototypes is None:
        raise NotMeasurable("these hyperedges were not made by comparing queries with prototypes")
    s.require()
    heads = [replace(s.hypergraph, participation=a) for a in s.hypergraph.per_head().unbind(1)]
    drawn = [h.centred_columns() for h in heads]
    maps, different = (torch.stack([d[i][0] for d in drawn]).numpy() for i in (0, 1))
    alike = np.einsum("hnm,gnm->mhg", maps, maps)
    pair = np.einsum("hm,gm->mhg", different, different) & ~np.eye(len(maps), dtype=bool)
    with np.errstate(invalid="ignore"):
        return s.per_hyperedge((alike * pair).sum((1, 2)) / pair.sum((1, 2)))


# ------------------------------------------------------------------------------------------------------ where they lie


@dataclass(frozen=True)
class Compactness:
    """Whether a hyperedge is a blob.

    Attributes:
        value: κ_m = 1 − σ_m²/σ_0², [M]; 1 = one patch, 0 = everywhere, below 0 = the rim.
        chance: mean of κ_m over all ways to give the same weights to other patches, [M].
        moran: Moran's I on the 4-neighbour grid, [M]: near 1 = blobs, 0 = salt and pepper; NaN where all weights are equal.
    """

    value: np.ndarray
    chance: np.ndarray
    moran: np.ndarray


def compactness(hypergraph: SoftHypergraph | Memberships, picture: int = 0) -> Compactness:
    """κ_m = 1 − σ_m²/σ_0² with σ_m² = Σ_n w‖c_n − μ_m‖², μ_m = Σ_n w c_n, and σ_0² the same for uniform weights.

    Weights on patches in random order have σ² = σ_0² (1 − (N·Σw² − 1)/(N − 1)) on average (sampling without replacement), so
    chance is (N·Σw² − 1)/(N − 1). Moran's I = N/Σ_ij S_ij · Σ_ij S_ij (w_i − 1/N)(w_j − 1/N) / Σ_i (w_i − 1/N)².

    Raises:
        NotMeasurable: no hyperedge is on, or there is one patch only.
    Source: Moran, Biometrika 37, 1950; κ is our own measure.
    """
    s = memberships(hypergraph, picture)
    s.require(patches=2)
    place = np.stack(np.divmod(np.arange(s.n), s.grid[1]), 1).astype(float)
    place -= place.mean(0)
    squared = np.square(place).sum(1)
    spread = squared @ s.weights - np.square(place.T @ s.weights).sum(0)
    chance = (s.n * np.square(s.weights).sum(0) - 1) / (s.n - 1)
    maps = s.weights - 1 / s.n
    size = np.square(maps).sum(0)
    neighbours = grid_neighbours(s.grid)
    shared = (maps * (neighbours @ maps)).sum(0) * s.n / neighbours.sum()
    moran = np.where(size > 1e-12 / s.n, shared / np.maximum(size, 1e-300), np.nan)  # w of rounding errors alone has no pattern
    return Compactness(s.per_hyperedge(1 - spread / squared.mean()), s.per_hyperedge(chance), s.per_hyperedge(moran))


@dataclass(frozen=True)
class Purity:
    """Whether hyperedges follow segments. Patches without a label are left out.

    Attributes:
        names: the labels, [K].
        shares: p_mk = Σ_n w_nm [y_n = k], [M, K]; rows sum to 1.
        base: share of each label among the patches, [K].
        nmi: I(m; k)/H(k) of the joint shares p_mk/M; NaN with one label only.
        nmi_chance: mean of the same over random orders of the patches.
        chance: mean purity of each hyperedge over the same orders, [M]; above the base where few patches carry it.
    """

    names: np.ndarray
    shares: np.ndarray
    base: np.ndarray
    nmi: float
    nmi_chance: float
    chance: np.ndarray

    @property
    def purity(self) -> np.ndarray:
        """max_k p_mk, [M]."""
        return self.shares.max(1)

    @property
    def label(self) -> np.ndarray:
        """The label that a hyperedge holds most of compared with the picture, [M] int64; -1 where it is off."""
        known = ~np.isnan(self.shares[:, 0])
        return np.where(known, self.names[np.nan_to_num(self.shares / self.base).argmax(1)], -1)

    @property
    def lift(self) -> np.ndarray:
        """max_k p_mk / base_k, [M]; 1 = as everywhere."""
        return (self.shares / self.base).max(1)

    @property
    def gain(self) -> np.ndarray:
        """(purity − max base)/(1 − max base), [M]; 0 = a uniform map, 1 = one label only; NaN with one label only."""
        most = self.base.max()
        return (self.purity - most) / (1 - most) if most < 1 else np.full(len(self.shares), np.nan)

    @property
    def nmi_adjusted(self) -> float:
        """(nmi − nmi_chance)/(1 − nmi_chance): 0 = as in random order (and where chance is 1 already), 1 = they tell the label."""
        return (self.nmi - self.nmi_chance) / (1 - self.nmi_chance) if not self.nmi_chance > 1 - 1e-12 else 0.0


def purity(hypergraph: SoftHypergraph | Memberships, labels: Labels, picture: int = 0) -> Purity:
    """p_mk = Σ_n w [y_n = k], purity max_k p_mk, and the mutual information of hyperedge and label.

    Hyperedges of few patches are pure by chance; so both are averaged over (up to 256) random orders of the patches, too, always
    the same ones. That chance knows no neighbourhood: smooth maps on smooth segments exceed it a little by themselves.

    Args:
        labels: one whole number per patch, [N]; negative = unknown.

    Raises:
        NotMeasurable: no hyperedge is on, no patch has a label, or no labelled patch is in a hyperedge.
    Source: purity and normalised mutual information: Manning, Raghavan, Schütze, "Introduction to Information Retrieval", 16.3;
        chance by permutation: Vinh, Epps, Bailey, JMLR 11, 2010, sampled.
    """
    s = memberships(hypergraph, picture)
    y = as_labels(labels, s.n)
    s.require()
    if not (y >= 0).any():
        raise NotMeasurable("no patch has a label")
    names, index = np.unique(y[y >= 0], return_inverse=True)
    member = np.zeros((s.n, len(names)))
    member[np.flatnonzero(y >= 0), index] = 1
    shares = s.weights.T @ member
    shares = shares / np.where(shares.sum(1) > 0, shares.sum(1), np.nan)[:, None]
    if np.isnan(shares).all():
        raise NotMeasurable("no labelled patch is in a hyperedge")
    shuffled = _shuffled_shares(s, member)
    expected = float(_known_means(_mutual(shuffled)[:, None])[0])
    chance = s.per_hyperedge(_known_means(shuffled.max(2)))
    return Purity(names, shares, member.sum(0) / member.sum(), float(_mutual(shares[None])[0]), expected, chance)


def _shuffled_shares(s: Memberships, member: np.ndarray) -> np.ndarray:
    """p_mk with the labels in random orders, [orders, M, K]; NaN where a hyperedge meets no labelled patch."""
    orders = int(np.clip(_SLICE // member.size, 8, _SHUFFLES))
    source = np.random.default_rng(0).permuted(np.tile(np.arange(s.n), (orders, 1)), axis=1)
    met = np.einsum("nm,tnk->tmk", s.weights, member[source], optimize=True)
    total = met.sum(2, keepdims=True)
    return met / np.where(total > 1e-12, total, np.nan)


def _mutual(shares: np.ndarray) -> np.ndarray:
    """I(m; k)/H(k) of p_mk/M, [..., M, K] → [...]; hyperedges that are NaN are left out, NaN where one label is met only."""
    known = ~np.isnan(shares[..., :1])
    count = np.maximum(known.sum(-2), 1)
    joint = np.where(known, shares, 0) / count[..., None]
    marginal = joint.sum(-2)
    told = entropy(joint.reshape(*joint.shape[:-2], -1))
    information = entropy(marginal) + np.log(count[..., 0]) - told
    label = entropy(marginal)
    return np.where(label > 1e-12, np.clip(information, 0, None) / np.maximum(label, 1e-12), np.nan)


def _known_means(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0).sum(0) / np.where(known.any(0), known.sum(0), np.nan)


@dataclass(frozen=True)
class CliqueHomophily:
    """Whether patches that share hyperedges belong to one segment.

    Attributes:
        share: share of the weight between two patches that stays inside a segment.
        chance: what it would be if the ends were shuffled, each patch keeping its weight.
        adjusted: (share − chance)/(1 − chance); NaN with one label only.
    """

    share: float
    chance: float
    adjusted: float


def clique_homophily(hypergraph: SoftHypergraph | Memberships, labels: Labels, picture: int = 0) -> CliqueHomophily:
    """h = Σ_{i≠j} K_ij [y_i = y_j] / Σ_{i≠j} K_ij over the pairs of labelled patches, K = A Aᵀ (the weighted clique expansion).

    Chance is Σ_c q_c² with q_c the share of the weights d_i = Σ_{j≠i} K_ij on label c. Computed from A alone: no N × N matrix.

    Raises:
        NotMeasurable: fewer than two labelled patches share a hyperedge.
    Source: clique expansion: Zhou, Huang, Schölkopf, NeurIPS 2006; adjustment: Newman, Phys. Rev. E 67, 2003 (weighted).
    """
    s = memberships(hypergraph, picture)
    y = as_labels(labels, s.n)
    known = s.degree[y >= 0]
    names, index = np.unique(y[y >= 0], return_inverse=True)
    own = np.square(known).sum(1)
    column = known.sum(0)
    strength = known @ column - own
    total = strength.sum()
    if not total > 1e-12 * max(float(own.sum()), 1e-300):
        raise NotMeasurable("no two labelled patches share a hyperedge")
    inside = sum(np.square(known[index == c].sum(0)).sum() for c in range(len(names))) - own.sum()
    q = np.bincount(index, strength, len(names)) / total
    share, chance = float(np.clip(inside / total, 0, 1)), float(q @ q)
    return CliqueHomophily(share, chance, (share - chance) / (1 - chance) if chance < 1 - 1e-12 else float("nan"))


# ------------------------------------------------------------------------------------------------------- what they carry


@dataclass(frozen=True)
class Message:
    """What the layer adds to the patches.

    Attributes:
        contrast: γ = ‖U − mean_n U‖_F / ‖U‖_F over the patches; 0 = every patch is told the same.
        strength: β = mean‖U_n‖ / mean‖X_n‖; NaN without the tokens X.
    """

    contrast: float
    strength: float


def message(
    hypergraph: SoftHypergraph | Memberships, messages: HypergraphMessages, tokens: Tensor | None = None, picture: int = 0
) -> Message:
    """Contrast γ and strength β of the update U over the patches.

    Args:
        tokens: what the layer received, X [B, N, D].

    Raises:
        ValueError: the messages or the tokens belong to another hypergraph.
        models.structures.NonFiniteError: the messages or the tokens hold NaN or infinity.
        NotMeasurable: the layer adds nothing at all.
    """
    s = memberships(hypergraph, picture)
    update = messages_of(messages, s).update[0, s.hypergraph.special :].double().numpy()
    size = float(np.linalg.norm(update))
    if not size > 0:
        raise NotMeasurable("the layer adds nothing to any patch")
    strength = float("nan")
    if tokens is not None:
        if tokens.shape[1:] != messages.update.shape[1:]:
            raise ValueError(f"tokens of shape {tuple(tokens.shape)} do not belong to an update of {tuple(messages.update.shape)}")
        x = row_of(tokens, s.picture)[0, s.hypergraph.special :].detach().cpu().double().numpy()
        if not np.isfinite(x).all():
            raise NonFiniteError(f"picture {s.picture}: the tokens hold values that are not finite numbers")
        strength = float(np.linalg.norm(update, axis=1).mean() / max(float(np.linalg.norm(x, axis=1).mean()), 1e-300))
    return Message(float(np.linalg.norm(update - update.mean(0))) / size, strength)


@dataclass(frozen=True)
class Hardening:
    """What would be lost if every patch were in its strongest hyperedge only.

    Attributes:
        lost: share of all participation that is not in the strongest hyperedge of its patch.
        empty: share of the hyperedges that are no patch's strongest.
        message: ‖(A − Â) E‖_F / ‖A E‖_F over the patches, Â the hard participation, E as it is; NaN without messages.
    """

    lost: float
    empty: float
    message: float


def hardening(hypergraph: SoftHypergraph | Memberships, messages: HypergraphMessages | None = None, picture: int = 0) -> Hardening:
    """1 − Σ_n max_m A_nm / Σ A, hyperedges without a patch, and the change of the message by `SoftHypergraph.hardened`.

    Raises:
        NotMeasurable: no hyperedge is on, or (with messages) the layer does not send A·E.
        ValueError, models.structures.NonFiniteError: as `message`.
    """
    s = memberships(hypergraph, picture)
    s.require()
    strongest = s.degree.max(1)
    lost = 1 - strongest.sum() / s.degree.sum()
    preferred = np.bincount(s.degree.argmax(1)[strongest > 0], minlength=s.m)
    empty = float((preferred[s.on] == 0).mean())
    return Hardening(float(max(lost, 0)), empty, float("nan") if messages is None else _hard_change(s, messages))


def _hard_change(s: Memberships, messages: HypergraphMessages) -> float:
    alone = messages_of(messages, s)
    sent, special = alone.hyperedges[0].double().numpy(), s.hypergraph.special
    soft = s.degree @ sent
    size = np.linalg.norm(soft)
    if np.linalg.norm(soft - alone.received[0, special:].double().numpy()) > _SAME_MESSAGE * size:
        raise NotMeasurable("this layer divides its messages by degrees, so participation alone does not give them")
    if not size > 0:
        raise NotMeasurable("nothing is sent")
    hard = s.hypergraph.hardened().patches()[0].numpy() @ sent
    return float(np.linalg.norm(soft - hard) / size)


def selection_margin(hypergraph: SoftHypergraph | Memberships, picture: int = 0) -> float:
    """(s₍ₖ₎ − s₍ₖ₊₁₎)/std(s): how clearly the last chosen dynamic hyperedge beats the first that was left out.

    Raises:
        NotMeasurable: hyperedges are not chosen by a score, none or all are, or all scores are equal.
    """
    s = memberships(hypergraph, picture)
    chosen = s.hypergraph.rule.settings
    if s.hypergraph.scores is None or "fixed" not in chosen:
        raise NotMeasurable("all hyperedges are always on here, none is chosen")
    scores = s.hypergraph.scores[0, chosen["fixed"] :].double().numpy()
    k = chosen["k"]
    if not 0 < k < len(scores):
        raise NotMeasurable("none or all of the hyperedges are chosen, so nothing competes")
    if not scores.std() > 0:
        raise NotMeasurable("all hyperedges have the same score")
    ranked = np.sort(scores)[::-1]
    return float((ranked[k - 1] - ranked[k]) / scores.std())


def importance_agreement(drops: Sequence[float] | np.ndarray, hypergraph: SoftHypergraph | Memberships, picture: int = 0) -> float:
    """Spearman's rank correlation between the load of the hyperedges and what switching each off costs.

    Args:
        drops: by how much the logit of the winning class falls when hyperedge m is switched off, [M]; NaN = not tried.

    Raises:
        ValueError: there is not one number for each hyperedge.
        NotMeasurable: fewer than three hyperedges to compare, or all of them are equal.
    Source: Spearman 1904.
    """
    s = memberships(hypergraph, picture)
    fall = np.asarray(drops, dtype=float)
    if fall.shape != (s.m,):
        raise ValueError(f"{fall.size} drops were given for {s.m} hyperedges")
    carried = load(s).share
    known = ~np.isnan(fall) & ~np.isnan(carried)
    if known.sum() < 3:
        raise NotMeasurable("fewer than three hyperedges can be compared")
    ranks = np.stack([rankdata(fall[known]), rankdata(carried[known])])
    ranks -= ranks.mean(1, keepdims=True)
    size = np.linalg.norm(ranks, axis=1)
    if not size.all():
        raise NotMeasurable("all hyperedges cost, or carry, the same")
    return float(ranks[0] @ ranks[1] / size.prod())
