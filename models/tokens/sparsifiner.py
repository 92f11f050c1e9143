"""Sparsifiner: a vision transformer that predicts, for each picture, which pairs of tokens are worth comparing.

Wei et al., "Sparsifiner: Learning Sparse Instance-Dependent Attention for Efficient Vision Transformers", CVPR 2023, arXiv
2303.13755. Module names follow the released code (lim142857/Sparsifiner, MIT), so that its weights load; those of DeiT load
into everything but the predictors.

In each block, with q, k [B, H, T, d] of the T = 1 + N tokens (class token first), before attention is computed:

    coefficients = top_c softmax_K((W_q q) (W_k k)ᵀ P · H^−½)         [B, H, N, K]   which prototypes a patch mixes
    basis = threshold(|P'|ᵀ)                                           [K, T]         the prototypes, rows of attention
    estimate = coefficients · basis;   mask = its m largest per row    [B, H, N, T]   low rank says where,
    attention = softmax(q kᵀ / √d) inside the mask                     [B, H, T, T]   the exact product says how much

The scale H^−½ (number of heads, not their width) is the released one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import DropPath
from models.structures import Connectivity, SparseAttention, TokenDrop

Grid = tuple[int, int]


@dataclass(frozen=True)
class Rules:
    """How coefficients, prototypes and connections are thinned out.

    Attributes:
        basis_threshold: entries of the prototypes up to this value become 0.
        coefficients: how many prototypes a row keeps; None keeps those above `coefficient_threshold`.
        coefficient_threshold: used without `coefficients`; 0 keeps all.
        keep_rate: share of the T keys that a query keeps, rounded up; None keeps those above `score_threshold`.
        score_threshold: used without `keep_rate`.
        prune_rows: patches that have left also lose their queries.

    Raises:
        ValueError: the keep rate is not in (0, 1], or nothing would be kept.
    """

    basis_threshold: float = 0.02
    coefficients: int | None = 8
    coefficient_threshold: float = 0.05
    keep_rate: float | None = 0.25
    score_threshold: float = 1e-4
    prune_rows: bool = False

    def __post_init__(self) -> None:
        if self.keep_rate is not None and not 0 < self.keep_rate <= 1:
            raise ValueError(f"the keep rate is {self.keep_rate}; it must be above 0 and at most 1")
        if self.coefficients is not None and self.coefficients < 1:
            raise ValueError(f"{self.coefficients} coefficients were to be kept; at least 1 is needed")


class MaskPredictor(nn.Module):
    """q, k → which keys each query may attend to.

    Args:
        width: channels of a head.
        tokens: number of tokens T, which the learned projections along the tokens are made for.
        reduce_tokens: K = T // reduce_tokens prototypes.
        reduce_width: the comparison uses width // reduce_width channels.
        shared: one projection to the prototypes and back.

    Raises:
        ValueError: there would be no prototype, or fewer than a row is to keep.
    """

    def __init__(
        self, width: int, tokens: int, grid: Grid, rules: Rules, reduce_tokens: int = 6, reduce_width: int = 2, shared: bool = False
    ) -> None:
        super().__init__()
        prototypes = tokens // reduce_tokens
        if prototypes < 1:
            raise ValueError(f"{tokens} tokens reduced {reduce_tokens} times leave no prototype; reduce them by at most {tokens}")
        self.grid, self.rules = grid, rules
        self.check(rules, prototypes)
        self.proj_c_q = nn.Linear(width, width // reduce_width)
        self.proj_c_k = nn.Linear(width, width // reduce_width)
        self.proj_n = nn.Parameter(torch.empty(tokens, prototypes))
        self.proj_back_n = self.proj_n if shared else nn.Parameter(torch.empty(tokens, prototypes))
        nn.init.trunc_normal_(self.proj_n, std=0.02)
        nn.init.trunc_normal_(self.proj_back_n, std=0.02)
        self.reconstructs = False

    @staticmethod
    def check(rules: Rules, prototypes: int) -> None:
        """Raise ValueError when a row is to keep more coefficients than there are prototypes."""
        if rules.coefficients is not None and rules.coefficients > prototypes:
            raise ValueError(f"{rules.coefficients} coefficients were to be kept; there are only {prototypes} prototypes")

    def forward(self, q: Tensor, k: Tensor, alive: Tensor | None = None) -> Connectivity:
        """q, k [B, H, T, d], unscaled; alive [B, N] bool, patches that are still computed, or None for all.

        Keys of equal estimate (often 0, where the prototypes were thinned out) are taken by the lower index.
        """
        rules, heads = self.rules, q.shape[1]
        self.check(rules, self.proj_n.shape[1])
        q, k = self.proj_c_q(q), self.proj_c_k(k)
        if alive is not None:
            # Zeros went in, but the projection has a bias.
            present = F.pad(alive, (1, 0), value=True)[:, None, :, None]
            q, k = q.masked_fill(~present, 0), k.masked_fill(~present, 0)
        similarity = q @ (k.transpose(2, 3) @ self.proj_n) * heads**-0.5
        coefficients = similarity.softmax(-1)[:, :, 1:]
        basis = self.proj_back_n.T
        if not self.reconstructs:
            basis = F.threshold(basis.abs(), rules.basis_threshold, 0.0)
            coefficients = self._thinned(coefficients)
        estimate = coefficients @ basis
        settings = {"keep_rate": rules.keep_rate, "coefficients": rules.coefficients}
        return Connectivity(coefficients, basis, estimate, self._connected(estimate.detach(), alive), self.grid, settings)

    def _thinned(self, coefficients: Tensor) -> Tensor:
        rules = self.rules
        if rules.coefficients is not None:
            # The row of a patch that left is all ties; `topk` chooses among them as in the released code.
            chosen = coefficients.topk(rules.coefficients, sorted=False)
            return torch.zeros_like(coefficients).scatter(-1, chosen.indices, chosen.values)
        return F.threshold(coefficients, rules.coefficient_threshold, 0.0) if rules.coefficient_threshold > 0 else coefficients

    def _connected(self, score: Tensor, alive: Tensor | None) -> Tensor:
        """[B, H, T, T] bool from the estimate [B, H, N, T]. A picture with fewer patches than a row keeps, keeps that many."""
        batch, heads, n, tokens = score.shape
        if alive is not None:
            score = score.masked_fill(~F.pad(alive, (1, 0), value=True)[:, None, None], -torch.inf)
        if self.rules.keep_rate is None:
            mask = score > self.rules.score_threshold
        else:
            budget = torch.tensor(math.ceil(self.rules.keep_rate * tokens), device=score.device)
            if alive is not None:
                budget = alive.sum(1).clamp(max=int(budget))[:, None, None, None]
            mask = _largest(score, budget)
        if alive is not None and self.rules.prune_rows:
            mask = mask & alive[:, None, :, None]
        return torch.cat([mask.new_ones(batch, heads, 1, tokens), mask], 2)


def _largest(values: Tensor, count: Tensor | int) -> Tensor:
    """True for the `count` largest entries of each row, ties by lower index, [..., M] bool."""
    order = values.sort(dim=-1, descending=True, stable=True).indices
    place = torch.arange(values.shape[-1], device=values.device)
    return torch.zeros_like(values, dtype=torch.bool).scatter(-1, order, (place < count).expand_as(order))


class MaskedSoftmax(nn.Module):
    """Softmax over the keys that the mask allows; the dense one beside it."""

    def forward(self, logits: Tensor, mask: Tensor) -> SparseAttention:
        """logits, mask [B, H, T, T]."""
        masked = logits.masked_fill(~mask, -torch.inf).softmax(-1)
        return SparseAttention(torch.nan_to_num(masked), logits.softmax(-1))


class TokenPruning(nn.Module):
    """Keep the patches that the class token attends to most.

    Args:
        rate: share of all N patches that go on, rounded up.
    """

    def __init__(self, rate: float, grid: Grid) -> None:
        super().__init__()
        if not 0 < rate <= 1:
            raise ValueError(f"the share of tokens to keep is {rate}; it must be above 0 and at most 1")
        self.count, self.grid = math.ceil(rate * grid[0] * grid[1]), grid

    def forward(self, attention: Tensor, alive: Tensor | None) -> TokenDrop:
        """attention [B, H, T, T]; alive [B, N] bool or None for all."""
        score = attention[:, :, 0, 1:].mean(1)
        before = torch.ones_like(score, dtype=torch.bool) if alive is None else alive
        score = score.masked_fill(~before, -1.0)
        return TokenDrop(score, before, _largest(score, self.count), self.grid)


class Attention(nn.Module):
    """Multi-head attention inside a predicted mask; `prune`, where it exists, decides which patches go on."""

    def __init__(self, channels: int, heads: int, qkv_bias: bool, predictor: MaskPredictor, prune: TokenPruning | None) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels, bias=qkv_bias)
        self.proj = nn.Linear(channels, channels)
        self.mask_predictor = predictor
        self.softmax = MaskedSoftmax()
        self.prune = prune

    def forward(self, x: Tensor, alive: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """x [B, T, C], alive [B, N] bool or None → (attended [B, T, C], alive for what follows)."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if alive is not None:
            gone = ~F.pad(alive, (1, 0), value=True)[:, None, :, None]
            q, k, v = (part.masked_fill(gone, 0) for part in (q, k, v))
        logits = q @ k.transpose(2, 3) * q.shape[-1] ** -0.5
        connectivity = self.mask_predictor(q, k, alive)
        found = self.softmax(logits, connectivity.mask)
        attention = found.dense if self.mask_predictor.reconstructs else found.attention
        mixed = self.proj((attention @ v).transpose(1, 2).flatten(2))
        if self.prune is None or self.mask_predictor.reconstructs:
            return mixed, alive
        return mixed, self.prune(attention, alive).alive


class MLP(nn.Module):
    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """x + Attention(LN(x)), then x + MLP(LN(x)); patches that left are zero from here on."""

    def __init__(self, channels: int, hidden: int, attention: Attention, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=1e-6)
        self.attn = attention
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = MLP(channels, hidden)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, alive: Tensor | None) -> tuple[Tensor, Tensor | None]:
        attended, alive = self.attn(self.norm1(x), alive)
        x = x + self.drop_path(attended)
        x = x + self.drop_path(self.mlp(self.norm2(x)))
        return x if alive is None else x.masked_fill(~F.pad(alive, (1, 0), value=True)[..., None], 0), alive


class PatchEmbed(nn.Module):
    def __init__(self, channels: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, patch, patch)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image).flatten(2).transpose(1, 2)


class Sparsifiner(nn.Module):
    """DeiT with predicted sparse attention, and optionally fewer patches from layer to layer.

    Args:
        image_size: (height, width) in pixels. The predictors are made for this size.
        rules: see `Rules`.
        token_keep_rates: {block (from 0): share of all patches that go on after it}.
        reduce_tokens, reduce_width, shared: see `MaskPredictor`.
        drop_path: largest rate of stochastic depth, growing with depth.
    """

    def __init__(
        self,
        image_size: Grid = (224, 224),
        patch_size: int = 16,
        channels: int = 384,
        depth: int = 12,
        heads: int = 6,
        mlp_ratio: float = 4.0,
        num_classes: int = 1000,
        qkv_bias: bool = True,
        rules: Rules = Rules(),
        token_keep_rates: dict[int, float] | None = None,
        reduce_tokens: int = 6,
        reduce_width: int = 2,
        shared: bool = False,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.image_size, self.patch_size = image_size, patch_size
        self.grid = (image_size[0] // patch_size, image_size[1] // patch_size)
        tokens = 1 + self.grid[0] * self.grid[1]
        pruned = token_keep_rates or {}
        unknown = [block for block in pruned if not 0 <= block < depth]
        if unknown:
            raise ValueError(f"tokens were to be pruned in block {unknown[0]}; there are blocks 0 to {depth - 1}")
        self.patch_embed = PatchEmbed(channels, patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, channels))
        rates = torch.linspace(0, drop_path, depth, device="cpu").tolist()
        self.blocks = nn.ModuleList(
            Block(
                channels,
                int(channels * mlp_ratio),
                Attention(
                    channels,
                    heads,
                    qkv_bias,
                    MaskPredictor(channels // heads, tokens, self.grid, rules, reduce_tokens, reduce_width, shared),
                    TokenPruning(pruned[block], self.grid) if block in pruned else None,
                ),
                rates[block],
            )
            for block in range(depth)
        )
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.head = nn.Linear(channels, num_classes)
        self._start()

    def _start(self) -> None:
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    @property
    def predictors(self) -> list[MaskPredictor]:
        return [module for module in self.modules() if isinstance(module, MaskPredictor)]

    def set_rules(self, rules: Rules) -> None:
        """Other rules in every block. Raises ValueError when they ask for more prototypes than there are."""
        for predictor in self.predictors:
            predictor.check(rules, predictor.proj_n.shape[1])
            predictor.rules = rules

    def reconstruct(self, on: bool = True) -> None:
        """The first phase of training: attention stays dense, and `Connectivity.estimate` (nothing thinned out, prototypes
        with their sign) is what is fitted to the attention of a dense teacher."""
        for predictor in self.predictors:
            predictor.reconstructs = on

    def forward(self, image: Tensor) -> Tensor:
        """image [B, 3, H, W], normalised → logits [B, classes].

        Raises:
            ValueError: the picture has another size than the predictors are made for.
        """
        return self.head(self.norm(self.tokens(image))[:, 0])

    def tokens(self, image: Tensor) -> Tensor:
        """All tokens after the last block, [B, T, C]; zero where a patch has left."""
        size = (image.shape[2], image.shape[3])
        if size != self.image_size:
            only = f"{self.image_size[0]} × {self.image_size[1]}"
            raise ValueError(f"the picture is {size[0]} × {size[1]} pixels; the predictors are made for {only} only")
        patches = self.patch_embed(image)
        x = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], 1) + self.pos_embed
        alive: Tensor | None = None
        for block in self.blocks:
            x, alive = block(x, alive)
        return x


def pruning_schedule(blocks: Sequence[int], rate: float) -> dict[int, float]:
    """The paper's rates r, r², r³, … of all patches that go on after each of `blocks`."""
    return {block: rate ** (i + 1) for i, block in enumerate(blocks)}


CONFIGURATIONS: dict[str, dict] = {
    "deit_s_224": {"channels": 384, "heads": 6},
    "deit_b_224": {"channels": 768, "heads": 12},
}


def build(name: str, **changes) -> Sparsifiner:
    """A released configuration: "deit_s_224" or "deit_b_224"; keyword arguments replace settings."""
    return Sparsifiner(**{**CONFIGURATIONS[name], **changes})
