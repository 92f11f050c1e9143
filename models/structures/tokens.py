"""How much attention the tokens of a picture receive, and which of them are kept.

Shapes: B pictures (or tiles), L layers, H heads, T tokens of which the first `prefix` are no patches (class, distillation,
registers), N = T − prefix patches in raster order. Layers count from 1, as in the papers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from models.structures.base import Structure
from models.structures.patch_graph import PatchGraph, Rule

PRUNED, ANCHOR, BUFFER, REGISTER, PROMPT, OTHER = range(6)
ROLES = ("pruned", "anchor", "buffer", "register", "prompt", "other")


@dataclass(frozen=True)
class AttentionMaps(Structure):
    """What the layers of a vision transformer look at.

    Attributes:
        received: attention that each token receives in each layer and head, over all query tokens, [B, L, H, T] float32:
            the mean over the queries, so that its sum over T is 1; in Qwen's tower their sum, so that its mean is 1.
        grid: (h, w) of the patches; N = h·w.
        prefix: tokens before the patches.
        uniform: the value of `received` when every token attends to all tokens alike.
        suggested: (object layer, deep layer) that HiPrune takes for this encoder.
        windowed: layers in which a patch sees its own window only (the matrix is block-diagonal).
        opened: full attention of the layers that were opened, {layer: [B, H, T, T]}; rows are queries and sum to 1.
        features: patch features after the last layer, before any last normalisation, [B, N, C].
        passed: patch features that go on to whatever reads the picture, [B, N, C'].
    """

    received: Tensor
    grid: tuple[int, int]
    prefix: int
    uniform: float
    suggested: tuple[int, int]
    windowed: tuple[int, ...] = ()
    opened: Mapping[int, Tensor] = field(default_factory=dict)
    features: Tensor | None = None
    passed: Tensor | None = None

    @property
    def n_layers(self) -> int:
        return self.received.shape[1]

    def score(self, layer: int, head: int | None = None) -> Tensor:
        """Attention that each patch receives, [B, N]: the mean over the heads, or one head (from 0) alone.

        Every query counts, also the class token's; only the columns of the prefix are left out.

        Raises:
            ValueError: there is no such layer or head.
        """
        self.require_layer(layer)
        heads = self.received[:, layer - 1]
        if head is not None and not 0 <= head < heads.shape[1]:
            raise ValueError(f"head {head} was asked for; the encoder has heads 0 to {heads.shape[1] - 1}")
        return (heads.mean(1) if head is None else heads[:, head])[:, self.prefix :]

    def require_layer(self, layer: int) -> None:
        """Raise ValueError when the encoder has no layer of this number (they count from 1)."""
        if not 1 <= layer <= self.n_layers:
            raise ValueError(f"layer {layer} was asked for; the encoder has layers 1 to {self.n_layers}")

    def at(self, layer: int, fused: Tensor | None = None) -> LayerAttention:
        """One layer alone. `fused` is its attention, mean over the heads, [B, T, T]; by default that of an opened layer.

        Raises:
            ValueError: there is no such layer.
        """
        self.require_layer(layer)
        if fused is None and layer in self.opened:
            fused = self.opened[layer].mean(1)
        return LayerAttention(self.received[:, layer - 1], fused, layer, self.grid, self.prefix, self.uniform, layer in self.windowed)


@dataclass(frozen=True)
class LayerAttention(Structure):
    """What one layer of a vision transformer looks at.

    Attributes:
        received: attention that each token receives from all query tokens, per head, [B, H, T] (see `AttentionMaps.received`).
        fused: attention from each token (row) to each (column), mean over the heads, [B, T, T]; None when it was not kept.
        layer: its number, from 1.
        grid: (h, w) of the patches.
        prefix: tokens before the patches.
        uniform: the value of `received` when every token attends to all tokens alike.
        windowed: a patch sees its own window only.
    """

    received: Tensor
    fused: Tensor | None
    layer: int
    grid: tuple[int, int]
    prefix: int
    uniform: float
    windowed: bool = False

    @property
    def heads(self) -> Tensor:
        """Attention that each patch receives, per head, [B, H, N]."""
        return self.received[:, :, self.prefix :]

    @property
    def score(self) -> Tensor:
        """Attention that each patch receives, mean over the heads, [B, N]."""
        return self.received.mean(1)[:, self.prefix :]


@dataclass(frozen=True)
class TokenSelection(Structure):
    """Which patches of B pictures (or tiles) are kept, in which role, and in which order they were chosen.

    Attributes:
        role: 0 pruned, 1 anchor, 2 buffer, 3 register, 4 close to the prompt, 5 kept by another rule than HiPrune (see
            `ROLES`), [B, N] int8.
        order: kept patches in the order of their choice, role by role as numbered, each by falling score, [B, K] int64;
            −1 at the end of a row that keeps fewer.
        object_score: score in the object layer, by which anchors and buffers are ranked, [B, N].
        deep_score: score in the deep layer, by which registers are ranked, [B, N].
        grid: (h, w); N = h·w.
        budget: how many patches were to be kept per picture.
        layers: (object layer, deep layer), from 1; None when the scores came without layers.
        settings: the plain numbers and words of the choice (alpha, edge, exact, asked, anchors; or rule, seed, …).
        prompt_score: likeness to the prompt, by which patches close to it are ranked, [B, N]; None without a prompt.
    """

    role: Tensor
    order: Tensor
    object_score: Tensor
    deep_score: Tensor
    grid: tuple[int, int]
    budget: int
    layers: tuple[int, int] | None = None
    settings: Mapping[str, float | str | bool] = field(default_factory=dict)
    prompt_score: Tensor | None = None

    @property
    def mask(self) -> Tensor:
        """True where a patch is kept, [B, N] bool."""
        return self.role != PRUNED

    def kept(self, picture: int = 0) -> Tensor:
        """Kept patches of one picture in raster order, [K] int64."""
        return torch.nonzero(self.mask[picture])[:, 0]

    def of(self, role: int, picture: int = 0) -> Tensor:
        """Patches of one role (e.g. `ANCHOR`) in raster order, [k] int64."""
        return torch.nonzero(self.role[picture] == role)[:, 0]

    def steps(self, picture: int = 0) -> dict[str, Tensor]:
        """The choice step by step, {"anchor": …, "buffer": …, …, "other": …}, each in order of choice, [k] int64."""
        order = self.order[picture]
        order = order[order >= 0]
        roles = self.role[picture][order]
        return {name: order[roles == role] for role, name in enumerate(ROLES) if role != PRUNED}

    def counts(self, picture: int = 0) -> dict[str, int]:
        """How many patches have each role, {"pruned": …, "anchor": …, …, "other": …}."""
        return dict(zip(ROLES, torch.bincount(self.role[picture].long(), minlength=len(ROLES)).tolist(), strict=True))

    def ranks(self) -> tuple[Tensor, Tensor]:
        """Place of each patch by object score and by deep score, two [B, N] int64; 0 is the highest, ties by lower index."""
        return _rank(self.object_score), _rank(self.deep_score)

    def misplaced(self) -> Tensor:
        """True for a buffer that touches no anchor, [B, N] bool: it came in around the end of a row or by clamping."""
        anchors = (self.role == ANCHOR).view(-1, *self.grid)
        touched = torch.zeros_like(anchors)
        touched[:, 1:] |= anchors[:, :-1]
        touched[:, :-1] |= anchors[:, 1:]
        touched[:, :, 1:] |= anchors[:, :, :-1]
        touched[:, :, :-1] |= anchors[:, :, 1:]
        return (self.role == BUFFER) & ~touched.flatten(1)


def _rank(score: Tensor) -> Tensor:
    return score.sort(dim=-1, descending=True, stable=True).indices.argsort(-1)


@dataclass(frozen=True)
class Connectivity(Structure):
    """Which keys each query may attend to, as predicted before attention is computed.

    T = 1 + N tokens, the class token first; K prototypes.

    Attributes:
        coefficients: share of each prototype in the row of a patch, [B, H, N, K]; 0 where it was dropped.
        basis: the prototypes, rows of attention over all tokens, [K, T].
        estimate: coefficients · basis, the estimated attention rows of the patches, [B, H, N, T].
        mask: True where a query (row) attends to a key (column), [B, H, T, T] bool; the class token's row is all True.
        grid: (h, w); N = h·w.
        settings: the plain numbers of the rule (keep_rate, coefficients, …).
    """

    coefficients: Tensor
    basis: Tensor
    estimate: Tensor
    mask: Tensor
    grid: tuple[int, int]
    settings: Mapping[str, float | bool | None] = field(default_factory=dict)

    def guessed(self) -> Tensor:
        """How many keys each patch kept although their estimate is 0, [B, H, N] int64: it has fewer informative keys than
        it was to keep, and the rest was taken by lower index."""
        return (self.mask[:, :, 1:] & (self.estimate == 0)).sum(-1)

    def patch_graph(self, head: int | str = "any") -> PatchGraph:
        """The edges between patches: from each key patch that was kept to the query patch that reads it.

        Candidates are all patches by falling estimate (ties by lower index). The class token is no patch and left out.

        Args:
            head: number of a head; "any" for edges of at least one head, "all" for those that all heads share (the
                estimate is then the largest or the smallest of the heads).

        Raises:
            ValueError: there is no such head.
        """
        kept, estimate = self.mask[:, :, 1:, 1:], self.estimate[..., 1:]
        heads = kept.shape[1]
        if head == "any":
            kept, estimate = kept.any(1), estimate.amax(1)
        elif head == "all":
            kept, estimate = kept.all(1), estimate.amin(1)
        elif isinstance(head, int) and 0 <= head < heads:
            kept, estimate = kept[:, head], estimate[:, head]
        else:
            raise ValueError(f"head is {head!r}; it must be a number from 0 to {heads - 1}, 'any' or 'all'")
        order = estimate.sort(dim=-1, descending=True, stable=True).indices
        rule = Rule("predicted", {"head": head, **self.settings})
        return PatchGraph(order, kept.gather(-1, order), self.grid, self.grid, rule, distance=-estimate.gather(-1, order))


@dataclass(frozen=True)
class SparseAttention(Structure):
    """Attention that a mask allowed, beside the attention that it would have been.

    Attributes:
        attention: softmax over the allowed keys, [B, H, T, T]; 0 elsewhere, and in rows without any key.
        dense: softmax over all keys, [B, H, T, T].
    """

    attention: Tensor
    dense: Tensor


@dataclass(frozen=True)
class TokenDrop(Structure):
    """Which patches a layer passes on.

    Attributes:
        score: what was compared (attention of the class token, mean over the heads), [B, N]; −1 for a patch that had left.
        before: patches that entered, [B, N] bool.
        alive: patches that go on, [B, N] bool.
        grid: (h, w); N = h·w.
    """

    score: Tensor
    before: Tensor
    alive: Tensor
    grid: tuple[int, int]


@dataclass(frozen=True)
class ExitStage(Structure):
    """What a head predicts for the patches that are still computed, and which of them leave with that prediction.

    Attributes:
        before: patches that had left before this stage, [B, N] bool.
        exited: patches that have left after it, [B, N] bool.
        mask_logits: how well each patch fits each class, [B, classes, N]; patches that left keep the value of their stage.
        class_logits: class is in the picture (0) or not (1), [B, classes, 2].
        prediction: p(class in the picture) · sigmoid(mask_logits), [B, classes, N].
        confidence: largest prediction of each patch, [B, N].
        label: class of the largest prediction, [B, N] int64.
        context: confident patches that stay, the best few of each class, [B, N] bool.
        threshold: confidence above which a patch leaves; 1 lets none leave.
        grid: (h, w); N = h·w.
    """

    before: Tensor
    exited: Tensor
    mask_logits: Tensor
    class_logits: Tensor
    prediction: Tensor
    confidence: Tensor
    label: Tensor
    context: Tensor
    threshold: float
    grid: tuple[int, int]
