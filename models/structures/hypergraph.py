"""Hypergraphs over the patches of a picture, what travels along them, and the boxes of a detector that uses one.

A hyperedge joins any number of patches at once. A soft hyperedge joins all of them, each to a degree: it is a heat map.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from models.structures.base import Structure
from models.structures.patch_graph import PatchGraph, Rule

Normalisation = Literal["vertices", "hyperedges", "none"]
UNIFORM = 0.1  # a column that varies by less than this share of its mean says nothing about the picture
_FAINTEST = 2.0**-30  # floor of a pair's strength, so that its logarithm stays finite


def participation_of(logits: Tensor, normalise: Normalisation, selected: Tensor | None = None, present: Tensor | None = None) -> Tensor:
    """Softmax of the logits [B, N, M] over the vertices or the hyperedges; what is switched off becomes 0 afterwards.

    In float32 at least (a softmax over thousands of vertices underflows in half precision). Nothing is normalised again
    after switching off: the other entries keep their values.

    Args:
        selected: False for hyperedges that are off, [B, M] bool.
        present: False for vertices that are off, [B, N] bool.
    """
    wide = torch.promote_types(logits.dtype, torch.float32)
    degree = logits if normalise == "none" else logits.softmax(1 if normalise == "vertices" else 2, dtype=wide)
    if selected is not None:
        degree = degree * selected[:, None, :]
    if present is not None:
        degree = degree * present[:, :, None]
    return degree


@dataclass(frozen=True)
class SoftHypergraph(Structure):
    """To what degree each vertex takes part in each of M hyperedges: the incidence matrix A of B pictures.

    The vertices are N tokens: `special` leading ones that are no patch (a class token), then the patches in raster order.
    Only `participation` and `selected` matter to the network; the rest says where they came from.

    Attributes:
        participation: A, [B, N, M], from 0 (no member). Continuous, or 0 and 1 for hard hyperedges.
        grid: (H, W) of the patches.
        rule: how the hyperedges were made; its settings hold `k` and `fixed` where only some of them are chosen.
        normalise: what sums to 1: "vertices" (every column), "hyperedges" (every row) or "none".
        special: number of leading tokens that are no patch.
        logits: S, the similarities before the softmax (after dropout in training), [B, N, M].
        queries: Q, the projected tokens, [B, N, D].
        prototypes: P, one centre per hyperedge, [B, M, D].
        static: P₀, the learned part of P, the same for every picture, [M, D].
        offset: ΔP, the part of P that follows from this picture, [B, M, D].
        temperature: what ⟨Q, P⟩ was divided by: √(heads · D).
        heads: in how many groups the channels of Q and P were compared; the released form averages their logits.
        selected: False where a hyperedge is off (not among the chosen, or removed by hand), [B, M] bool; None: all are on.
        scores: by which hyperedges are chosen: logits summed over the vertices, [B, M].
        present: False where a vertex was removed by hand, [B, N] bool; None: all are there.
    """

    participation: Tensor
    grid: tuple[int, int]
    rule: Rule
    normalise: Normalisation = "vertices"
    special: int = 0
    logits: Tensor | None = None
    queries: Tensor | None = None
    prototypes: Tensor | None = None
    static: Tensor | None = None
    offset: Tensor | None = None
    temperature: float = 1.0
    heads: int = 1
    selected: Tensor | None = None
    scores: Tensor | None = None
    present: Tensor | None = None

    # ---------------------------------------------------------------------------------------------------- looking at it

    @property
    def hyperedges(self) -> int:
        """M."""
        return self.participation.shape[2]

    def active(self) -> Tensor:
        """Which hyperedges are on, [B, M] bool."""
        if self.selected is not None:
            return self.selected
        return self.participation.new_ones(self.participation.shape[0], self.hyperedges, dtype=torch.bool)

    def patches(self) -> Tensor:
        """The rows of A that are patches, [B, H·W, M]."""
        return self.participation[:, self.special :]

    def weights(self) -> Tensor:
        """w: how a hyperedge divides itself among the patches, [B, H·W, M]; columns sum to 1 (to 0 where it is off)."""
        return _shares(self.patches(), 1)

    def load(self) -> Tensor:
        """Share of all patches that a hyperedge carries: the mean of A with rows scaled to sum 1, [B, M]."""
        return _shares(self.patches(), 2).mean(1)

    def assignment(self) -> Tensor:
        """The hyperedge in which each patch takes part most, [B, H·W] int64; -1 for a patch that is in none."""
        strongest = self.patches().max(2)
        return strongest.indices.masked_fill(strongest.values <= 0, -1)

    def effective_number(self) -> Tensor:
        """How many different hyperedges there are, from 1 (all alike) to M; 0 when all are uniform. [B].

        exp(−Σ p ln p), p the eigenvalues of the Gram matrix of the centred and normalised columns of w, divided by
        their number. Columns with std/mean < 0.1 are left out: what noise remains in them would count as variety.
        """
        centred, different = self.centred_columns()
        gram = centred.transpose(1, 2) @ centred
        p = torch.linalg.eigvalsh(gram.double()).clamp_min(0) / different.sum(1).clamp_min(1)[:, None]
        number = torch.exp(torch.special.entr(p).sum(1))
        return torch.where(different.any(1), number, 0).to(self.participation.dtype)

    def centred_columns(self) -> tuple[Tensor, Tensor]:
        """(w − 1/N) / ‖w − 1/N‖ per hyperedge, [B, H·W, M], and which are not uniform (std/mean ≥ 0.1), [B, M] bool.

        Uniform columns and those that are off are 0.
        """
        weights = self.weights()
        n = weights.shape[1]
        on = self.active() & (weights.sum(1) > 0)
        centred = (weights - 1 / n) * on[:, None]
        length = centred.norm(dim=1)
        different = on & (length * math.sqrt(n) >= UNIFORM)  # std/mean = (length/√n) / (1/n)
        return centred / length.clamp_min(1e-30)[:, None] * different[:, None], different

    def head_logits(self) -> Tensor:
        """The logits of each head alone, [B, heads, N, M]; their mean over heads is `logits` (without dropout).

        Raises:
            ValueError: the hypergraph was not made by comparing queries with prototypes.
        """
        queries, prototypes = self._compared()
        split = [x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (queries, prototypes)]
        return split[0] @ split[1].transpose(2, 3) * (self.heads / self.temperature)

    def per_head(self) -> Tensor:
        """The participation that each head alone would have given, [B, heads, N, M]."""
        return torch.stack([self._of(logits) for logits in self.head_logits().unbind(1)], 1)

    def shared_membership(self) -> Tensor:
        """K = A Aᵀ over the patches: how much of what a patch sends reaches another one, [B, H·W, H·W], symmetric."""
        patches = self.patches()
        return patches @ patches.transpose(1, 2)

    def clique_expansion(self, threshold: float = 2.0, limit: int | None = None) -> PatchGraph:
        """The graph in which two patches are joined when they share enough membership.

        The strength of a pair is K / mean(K), K = A Aᵀ: 1 is the average pair of the picture. Candidates are all other
        patches, strongest first, with distance −log₂(strength) (bits below the average pair; at most 30). The graph is
        undirected.

        Args:
            threshold: pairs of at least this strength are edges.
            limit: list at most so many candidates per patch; then an edge must be in the list of both its ends.
        """
        shared = self.shared_membership()
        mean = shared.mean((1, 2), keepdim=True)
        strength = shared / mean.clamp_min(torch.finfo(shared.dtype).tiny)
        own = torch.eye(shared.shape[1], dtype=torch.bool, device=shared.device)
        ranked = strength.masked_fill(own, -1).sort(dim=2, descending=True, stable=True)
        count = shared.shape[1] - 1 if limit is None else min(limit, shared.shape[1] - 1)
        index, listed = ranked.indices[..., :count], ranked.values[..., :count]
        kept = listed >= threshold
        if limit is not None:
            chosen = torch.zeros_like(shared, dtype=torch.bool).scatter(2, index, True)
            kept = kept & chosen.transpose(1, 2).gather(2, index)
        rule = Rule("clique", {"threshold": threshold, "limit": limit}, {"mean": mean.flatten()})
        return PatchGraph(index, kept, self.grid, self.grid, rule, distance=-listed.clamp_min(_FAINTEST).log2())

    # ----------------------------------------------------------------------------------------------------- interventions

    def without_hyperedges(self, indices: Iterable[int]) -> SoftHypergraph:
        """Switch hyperedges off in all pictures: their columns become 0, the others keep their values.

        Raises:
            ValueError: there is no such hyperedge.
        """
        selected = self.active().clone()
        selected[:, _listed(indices, self.hyperedges, "hyperedge", selected.device)] = False
        return replace(self, selected=selected, participation=self.participation * selected[:, None, :])

    def each_without_one(self) -> SoftHypergraph:
        """In picture m of the batch hyperedge m is off: with M copies of one picture, what each of its hyperedges is worth.

        Raises:
            ValueError: there are not as many pictures as hyperedges.
        """
        if self.participation.shape[0] != self.hyperedges:
            raise ValueError(f"there are {self.participation.shape[0]} pictures for {self.hyperedges} hyperedges; there must be one each")
        selected = self.active() & ~torch.eye(self.hyperedges, dtype=torch.bool, device=self.participation.device)
        return replace(self, selected=selected, participation=self.participation * selected[:, None, :])

    def each_choice(self) -> SoftHypergraph:
        """In picture k of the batch the k dynamic hyperedges of the highest score are on: with copies of one picture, what k does.

        Raises:
            ValueError: hyperedges are not chosen by a score here, or there are not as many pictures as choices (0 … M − fixed).
        """
        fixed = self.rule.settings.get("fixed")
        if self.scores is None or fixed is None:
            raise ValueError("all hyperedges are always on here; only the sparse variant chooses the k best")
        choices = self.hyperedges - fixed + 1
        if self.participation.shape[0] != choices:
            raise ValueError(f"there are {self.participation.shape[0]} pictures for {choices} choices; there must be one each")
        selected = torch.cat([best_scored(self.scores[k : k + 1], k, fixed) for k in range(choices)])
        return self._renewed(selected=selected)

    def without_patches(self, indices: Iterable[int]) -> SoftHypergraph:
        """Take patches out of every hyperedge in all pictures: their rows become 0, the others keep their values.

        Raises:
            ValueError: there is no such patch in the grid.
        """
        batch, n, _ = self.participation.shape
        present = self.participation.new_ones(batch, n, dtype=torch.bool) if self.present is None else self.present.clone()
        present[:, self.special + _listed(indices, n - self.special, "patch", present.device)] = False
        return replace(self, present=present, participation=self.participation * present[:, :, None])

    def with_top_k(self, k: int) -> SoftHypergraph:
        """Choose the k dynamic hyperedges of the highest score instead; the fixed ones stay on.

        Raises:
            ValueError: hyperedges are not chosen by a score here, or k exceeds the dynamic ones.
        """
        fixed = self.rule.settings.get("fixed")
        if self.scores is None or fixed is None:
            raise ValueError("all hyperedges are always on here; only the sparse variant chooses the k best")
        selected = best_scored(self.scores, k, fixed)
        return self._renewed(selected=selected, rule=replace(self.rule, settings={**self.rule.settings, "k": k}))

    def at_temperature(self, temperature: float) -> SoftHypergraph:
        """The participation at another temperature: higher is softer. Multiplying it by 2 is having 4 times the heads.

        Raises:
            ValueError: the temperature is not positive, or there are no logits.
        """
        if not temperature > 0:
            raise ValueError(f"the temperature is {temperature}; it must be above 0")
        return self._renewed(logits=self._logits() * (self.temperature / temperature), temperature=temperature)

    def normalised_over(self, axis: Normalisation) -> SoftHypergraph:
        """The participation with the softmax over "vertices" (as released) or over "hyperedges" (as the paper writes).

        Raises:
            ValueError: another word, or there are no logits.
        """
        if axis not in ("vertices", "hyperedges"):
            raise ValueError(f"the softmax must run over 'vertices' or 'hyperedges', not {axis!r}")
        return self._renewed(normalise=axis)

    def with_prototypes(self, prototypes: Tensor) -> SoftHypergraph:
        """The participation that other prototypes [B, M, D] would give: of another picture, or P₀ + t·ΔP.

        The choice of the sparse variant stays as it was.

        Raises:
            ValueError: there are no queries to compare with, or the shape is another one.
        """
        queries, own = self._compared()
        if prototypes.shape != own.shape:
            raise ValueError(f"prototypes must have shape {tuple(own.shape)}, not {tuple(prototypes.shape)}")
        return self._renewed(prototypes=prototypes, logits=queries @ prototypes.transpose(1, 2) / self.temperature)

    def hardened(self, amount: float = 1.0) -> SoftHypergraph:
        """Between the soft participation (amount 0) and one hyperedge per vertex, its strongest (amount 1).

        A hard hyperedge divides itself equally among its members where columns sum to 1; else a member counts 1.
        """
        if not 0 <= amount <= 1:
            raise ValueError(f"the amount is {amount}; it must lie between 0 (soft) and 1 (hard)")
        strongest = self.participation.max(2, keepdim=True)
        hard = torch.zeros_like(self.participation).scatter(2, strongest.indices, (strongest.values > 0).to(self.participation.dtype))
        if self.normalise == "vertices":
            hard = _shares(hard, 1)
        return replace(self, participation=torch.lerp(self.participation, hard, amount))

    # -------------------------------------------------------------------------------------------------------------------

    def _renewed(self, **changes: Any) -> SoftHypergraph:
        self._logits()
        changed = replace(self, **changes)
        return replace(changed, participation=changed._of(changed._logits()))

    def _of(self, logits: Tensor) -> Tensor:
        return participation_of(logits, self.normalise, self.selected, self.present).to(self.participation.dtype)

    def _logits(self) -> Tensor:
        if self.logits is None:
            raise ValueError(f"hyperedges of the rule {self.rule.name!r} have no logits, so no softmax of them can be changed")
        return self.logits

    def _compared(self) -> tuple[Tensor, Tensor]:
        if self.queries is None or self.prototypes is None:
            raise ValueError(f"hyperedges of the rule {self.rule.name!r} were not made by comparing queries with prototypes")
        return self.queries, self.prototypes


def best_scored(scores: Tensor, k: int, fixed: int) -> Tensor:
    """True for the first `fixed` hyperedges and the k best scored of the others: scores [B, M] → [B, M] bool.

    Raises:
        ValueError: k is negative or exceeds the number of hyperedges that can be chosen.
    """
    dynamic = scores.shape[1] - fixed
    if not 0 <= k <= dynamic:
        raise ValueError(f"{k} hyperedges cannot be chosen from {dynamic}; k must lie between 0 and {dynamic}")
    selected = torch.zeros_like(scores, dtype=torch.bool)
    selected[:, :fixed] = True
    return selected.scatter(1, scores[:, fixed:].topk(k, dim=1).indices + fixed, True)


def _shares(x: Tensor, axis: int) -> Tensor:
    """x divided by its sum along an axis; 0 where that sum is 0."""
    total = x.sum(axis, keepdim=True)
    return x / torch.where(total > 0, total, 1)


def _listed(indices: Iterable[int], count: int, what: str, device: torch.device) -> Tensor:
    chosen = list(indices)
    for index in chosen:
        if not 0 <= index < count:
            raise ValueError(f"there is no {what} {index}; they are numbered 0 to {count - 1}")
    return torch.tensor(chosen, dtype=torch.int64, device=device)


# ------------------------------------------------------------------------------------------------------------ what travels


@dataclass(frozen=True)
class HypergraphMessages(Structure):
    """What went from the vertices to the hyperedges and back.

    Attributes:
        collected: what each hyperedge gathers from its members, Aᵀ X, [B, M, D]; 0 where it is off.
        hyperedges: E, the features that it makes of it, [B, M, D]; 0 where it is off.
        received: what each vertex gathers from its hyperedges, A E, [B, N, D].
        update: U, the features that it makes of it, [B, N, D]; the layer adds them to its input.
    """

    collected: Tensor
    hyperedges: Tensor
    received: Tensor
    update: Tensor


@dataclass(frozen=True)
class Tunnel(Structure):
    """One place where a detector adds the hypergraph's features to its own, through a learned gate.

    Attributes:
        feature: what arrives without the hypergraph, [B, C, H, W].
        enhanced: what the hypergraph sends, [B, C, H, W].
        gate: g, a learned number (shape []), 0 before training.
    """

    feature: Tensor
    enhanced: Tensor
    gate: Tensor

    def output(self) -> Tensor:
        """feature + g · enhanced, [B, C, H, W]."""
        return self.feature + self.gate * self.enhanced

    def loudness(self) -> Tensor:
        """ρ = ‖g · enhanced‖ / ‖feature‖ (Frobenius), [B]: 0 means that the hypergraph is not heard here."""
        sent = (self.gate * self.enhanced).flatten(1).norm(dim=1)
        return sent / self.feature.flatten(1).norm(dim=1).clamp_min(torch.finfo(sent.dtype).tiny)

    def scaled(self, factor: float) -> Tunnel:
        """The same tunnel with its gate multiplied (0 shuts it)."""
        return replace(self, gate=self.gate * factor)


@dataclass(frozen=True)
class Detections(Structure):
    """The objects that a detector found in one picture, best first.

    Attributes:
        boxes: left, top, right, bottom in pixels of a picture of `size`, [n, 4].
        scores: confidence from 0 to 1, [n].
        classes: index of the class, [n] int64.
        anchors: which prediction of the detector each came from, [n] int64 (scale by scale, cells in raster order).
        size: (height, width) of the picture in pixels.
        labels: names of the classes; empty when unknown.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    anchors: Tensor
    size: tuple[int, int]
    labels: tuple[str, ...] = ()

    def label(self, index: int) -> str:
        """The name of the class of detection `index`."""
        number = int(self.classes[index])
        return self.labels[number] if self.labels else f"class {number}"
