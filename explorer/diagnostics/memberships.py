"""One picture of a SoftHypergraph as numpy arrays; what several diagnostics need is derived once and kept.

Notation of all formulas, for one picture: A [N, M] is the participation of N patches (special tokens left out) in M
hyperedges, w = A with columns scaled to sum 1 (how a hyperedge divides itself), r = A with rows scaled to sum 1 (how a patch
divides itself). Hyperedges that are off, or have no member, are NaN in what is listed per hyperedge and count nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
from torch import Tensor

from explorer.diagnostics.measure import NotMeasurable
from explorer.diagnostics.snapshot import Grid
from models.structures import HypergraphMessages, SoftHypergraph, Structure

T = TypeVar("T", bound=Structure)


@dataclass(frozen=True)
class Memberships:
    """One picture of a soft hypergraph.

    Attributes:
        hypergraph: that picture alone, on the CPU, participation in float64.
        picture: which of the batch it was.
    """

    hypergraph: SoftHypergraph
    picture: int

    @property
    def grid(self) -> Grid:
        return self.hypergraph.grid

    @property
    def n(self) -> int:
        """Number of patches."""
        return self.degree.shape[0]

    @property
    def m(self) -> int:
        """Number of hyperedges, those that are off included."""
        return self.degree.shape[1]

    @cached_property
    def degree(self) -> np.ndarray:
        """A of the patches, [N, M]; 0 where a hyperedge is off."""
        return self.hypergraph.patches()[0].numpy()

    @cached_property
    def on(self) -> np.ndarray:
        """Which hyperedges are on and have a member, [M] bool."""
        return self.hypergraph.active()[0].numpy() & (self.degree.sum(0) > 0)

    @cached_property
    def count(self) -> int:
        """How many hyperedges are on and have a member."""
        return int(self.on.sum())

    @cached_property
    def weights(self) -> np.ndarray:
        """w, [N, M]; 0 where a hyperedge is off."""
        return self.hypergraph.weights()[0].numpy() * self.on

    @cached_property
    def maps(self) -> tuple[np.ndarray, np.ndarray]:
        """w − 1/N scaled to length 1, [N, M], and which hyperedges are not uniform (std/mean ≥ 0.1), [M] bool; others are 0."""
        centred, different = self.hypergraph.centred_columns()
        return centred[0].numpy(), different[0].numpy()

    def per_hyperedge(self, values: np.ndarray) -> np.ndarray:
        """The values with NaN where a hyperedge is off, [M]."""
        return np.where(self.on, values, np.nan)

    def require(self, hyperedges: int = 1, patches: int = 1) -> None:
        """Raise NotMeasurable when fewer hyperedges are on, or there are fewer patches."""
        if self.count < hyperedges:
            raise NotMeasurable("no hyperedge is on" if self.count == 0 else "there is only one hyperedge, so none can be compared with it")
        if self.n < patches:
            raise NotMeasurable("there is only one patch")


def memberships(hypergraph: SoftHypergraph | Memberships, picture: int = 0) -> Memberships:
    """One picture of a hypergraph, prepared once for all measures. Memberships are returned as they are.

    Raises:
        models.structures.NonFiniteError: a tensor of that picture holds NaN or infinity.
        ValueError: a negative participation.
        IndexError: the hypergraph has no such picture.
    """
    if isinstance(hypergraph, Memberships):
        return hypergraph
    alone = picture_of(hypergraph, picture, len(hypergraph.participation), shared=("static",))
    statistics = {name: row_of(value, picture) for name, value in alone.rule.statistics.items()}
    alone = replace(alone, rule=replace(alone.rule, statistics=statistics))
    alone.require_finite(f"picture {picture}")
    if (alone.participation < 0).any():
        raise ValueError("a participation is negative; it must be 0 (no member) or more")
    return Memberships(replace(alone, participation=alone.participation.double() * alone.active()[:, None]), picture)


def picture_of(structure: T, picture: int, batch: int, shared: Sequence[str] = ()) -> T:
    """One picture of a structure whose tensors begin with the batch (except those that are shared), detached, in CPU memory."""
    if not 0 <= picture < batch:
        raise IndexError(f"there is no picture {picture}; there are {batch}")
    own = {k: row_of(v, picture) for k, v in vars(structure).items() if isinstance(v, Tensor) and k not in shared}
    return replace(structure, **own).cpu()


def row_of(tensor: Tensor, picture: int) -> Tensor:
    first = picture if tensor.ndim and tensor.shape[0] > 1 else 0
    return tensor[first : first + 1] if tensor.ndim else tensor


def messages_of(messages: HypergraphMessages, s: Memberships) -> HypergraphMessages:
    alone = picture_of(messages, s.picture if len(messages.update) > 1 else 0, len(messages.update))
    alone.require_finite(f"messages of picture {s.picture}")
    tokens, edges = s.n + s.hypergraph.special, alone.hyperedges.shape[1]
    if alone.update.shape[1] != tokens or edges != s.m:
        raise ValueError(f"messages of {alone.update.shape[1]} tokens and {edges} hyperedges do not belong to {tokens} tokens and {s.m}")
    return alone


def pairs_of(matrix: np.ndarray) -> np.ndarray:
    """The entries of a symmetric [M, M] above the diagonal that are not NaN."""
    above = matrix[np.triu_indices(len(matrix), 1)]
    return above[~np.isnan(above)]


def only(matrix: np.ndarray, known: np.ndarray) -> np.ndarray:
    """[M, M] with NaN in the rows and columns that are not known."""
    return np.where(known[:, None] & known, matrix, np.nan)
