"""How much is computed, counted from shapes: with all tokens, with the kept ones, inside a mask.

A multiply–add counts as one MAC or two FLOPs; what a function returns is said by its name. Softmax, normalisation and biases
are left out. A count is no time: masked attention that is computed densely is as slow as dense attention.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.structures import Connectivity, ExitStage


@dataclass(frozen=True)
class LanguageModel:
    """Sizes of a language model of the LLaMA kind.

    Attributes:
        layers: number of blocks.
        width: channels d.
        hidden: channels d_ff of the gated feed-forward part, which has three matrices.
        vocabulary: number of tokens V of the output matrix.
    """

    layers: int = 32
    width: int = 4096
    hidden: int = 11008
    vocabulary: int = 32000

    def flops_per_token(self) -> int:
        """2·(L·(4d² + 3·d·d_ff) + d·V): matrices only, without the part of attention that grows with n²."""
        return 2 * (self.layers * (4 * self.width**2 + 3 * self.width * self.hidden) + self.width * self.vocabulary)


LLAMA_7B = LanguageModel()
LLAVA_7B_ENCODER_FLOPS = 0.40e12
"""Vision tower and projector of LLaVA-1.5-7B. Together with 47 text tokens it was fitted by us to HiPrune's table 5."""
LLAVA_TEXT_TOKENS = 47


def llava_flops(
    kept: int, text: int = LLAVA_TEXT_TOKENS, model: LanguageModel = LLAMA_7B, encoder: float = LLAVA_7B_ENCODER_FLOPS
) -> float:
    """FLOPs until the first answer token of a LLaVA model that reads `kept` patches and `text` tokens.

    The encoder always runs on the whole picture: pruning saves only what comes after it. With the defaults 8.63, 3.56, 2.71
    and 1.87 · 10¹² for 576, 192, 128 and 64 patches, as HiPrune's table 5 prints (within 0.005).
    """
    return encoder + (kept + text) * model.flops_per_token()


def vit_block_flops(n: int, width: int, hidden: int) -> int:
    """One transformer block on n tokens: 2n·(4d² + 2·d·d_mlp) + 4n²·d."""
    return 2 * n * (4 * width**2 + 2 * width * hidden) + 4 * n**2 * width


# -------------------------------------------------------------------------------------------------------- Sparsifiner


@dataclass(frozen=True)
class AttentionMacs:
    """MACs of the attention products of one layer of one picture, all heads together.

    Attributes:
        dense: q·kᵀ and attention·v over all pairs.
        masked: the same over the pairs that the mask allows.
        predictor: the reduced comparison with the prototypes.
        estimate: coefficients times prototypes, over what is not 0.
    """

    dense: int
    masked: int
    predictor: int
    estimate: int

    @property
    def sparse(self) -> int:
        """All that sparse attention costs."""
        return self.masked + self.predictor + self.estimate


def sparse_attention_macs(connectivity: Connectivity, width: int, reduce_width: int = 2) -> list[AttentionMacs]:
    """Of each picture, counted from what its predictor kept.

    With H heads of d channels, T tokens, K prototypes and r = d // reduce_width: dense 2·H·T²·d; masked 2·nnz(mask)·d;
    predictor 2·H·T·d·r + 2·H·T·r·K; estimate: for each coefficient that is not 0, the entries of its prototype that are not.

    Args:
        width: channels d of a head.
    """
    batch, heads, tokens, _ = connectivity.mask.shape
    prototypes, reduced = connectivity.basis.shape[0], width // reduce_width
    used = connectivity.basis.count_nonzero(1)
    counts = []
    for picture in range(batch):
        mixed = ((connectivity.coefficients[picture] != 0).sum((0, 1)) * used).sum()
        counts.append(
            AttentionMacs(
                dense=2 * heads * tokens**2 * width,
                masked=2 * int(connectivity.mask[picture].sum()) * width,
                predictor=2 * heads * tokens * width * reduced + 2 * heads * tokens * reduced * prototypes,
                estimate=int(mixed),
            )
        )
    return counts


# --------------------------------------------------------------------------------------------------------------- DToP


def vit_block_macs(n: int, width: int, mlp_ratio: float = 4.0) -> int:
    """One transformer block on n tokens: n·(4 + 2·ratio)·C² + 2·n²·C, which is n·12·C² + 2·n²·C for the usual ratio of 4."""
    return round(n * (4 + 2 * mlp_ratio) * width**2) + 2 * n**2 * width


def head_macs(n: int, channels: int, width: int, classes: int, depth: int) -> int:
    """One head of DToP on n patches: projection, and per layer self-attention, cross-attention and feed-forward (ours, from shapes)."""
    among_classes = 4 * classes * width**2 + 2 * classes**2 * width
    across = 2 * (n + classes) * width**2 + 2 * classes * n * width
    return n * channels * width + depth * (among_classes + across + 8 * classes * width**2) + 2 * classes * width


def alive_per_block(stages: Sequence[ExitStage], after: Sequence[int], depth: int) -> list[list[int]]:
    """Patches that each block computes, [B][depth].

    Args:
        after: block (from 0) after which each stage ran.
    """
    n, pictures = stages[0].before.shape[1], stages[0].before.shape[0]
    alive = [[n] * depth for _ in range(pictures)]
    for stage, block in zip(stages, after, strict=True):
        for picture, left in enumerate((~stage.exited).sum(1).tolist()):
            alive[picture][block + 1 :] = [left] * (depth - block - 1)
    return alive


def dtop_macs(
    stages: Sequence[ExitStage], after: Sequence[int], depth: int, channels: int, head_width: int, head_depth: int, mlp_ratio: float = 4.0
) -> list[int]:
    """MACs of blocks and heads for each picture, with the patches that each of them really computed."""
    alive = alive_per_block(stages, after, depth)
    classes = stages[0].mask_logits.shape[1]
    totals = []
    for counts in alive:
        blocks = sum(vit_block_macs(n, channels, mlp_ratio) for n in counts)
        heads = sum(head_macs(counts[block], channels, head_width, classes, head_depth) for block in after)
        totals.append(blocks + heads)
    return totals
