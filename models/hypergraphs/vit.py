"""The vision transformer that hosts a hypergraph layer: transformer blocks, then one SoftHGNN, then the head.

Lei, Wu, Gao et al., "SoftHGNN: Soft Hypergraph Neural Networks for General Visual Recognition", arXiv 2505.15325; the
host is a ViT for small pictures after Lee, Lee, Song, "Vision Transformer for Small-Size Datasets", arXiv 2112.13492: shifted
patch tokenisation, and attention with a learned temperature in which no token attends to itself. Module names follow
the released code (Mengqi-Lei/SoftHGNN, MIT).

With the class token as the only output, the hypergraph reaches the prediction through one row of A. Pooling over all tokens
(`pool="mean"`) lets every patch speak.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.hypergraphs.hard import HGNNLayer, ViHGNNLayer
from models.hypergraphs.softhgnn import SoftHGNN, SparseSoftHGNN
from models.structures.hypergraph import Normalisation

Grid = tuple[int, int]
SHIFTS = ((1, -1, 0, 0), (-1, 1, 0, 0), (0, 0, 1, -1), (0, 0, -1, 1))  # left, right, top, bottom padding of each shifted copy


class _Patches(nn.Module):
    """[B, C, H, W] → [B, N, p·p·C]: patches in raster order, inside each (row, column, channel)."""

    def __init__(self, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size

    def forward(self, x: Tensor) -> Tensor:
        p = self.patch_size
        cells = x.unflatten(3, (-1, p)).unflatten(2, (-1, p))  # [B, C, h, p, w, p]
        return cells.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


class ShiftedPatchEmbedding(nn.Module):
    """The picture and four copies of it shifted by one pixel, cut into patches, normalised and projected to `dim`."""

    def __init__(self, patch_size: int, dim: int) -> None:
        super().__init__()
        size = 3 * (1 + len(SHIFTS)) * patch_size**2
        self.to_patch_tokens = nn.Sequential(_Patches(patch_size), nn.LayerNorm(size), nn.Linear(size, dim))

    def forward(self, image: Tensor) -> Tensor:
        return self.to_patch_tokens(torch.cat([image, *(F.pad(image, shift) for shift in SHIFTS)], 1))


class LocalitySelfAttention(nn.Module):
    """Self-attention with a learned temperature (its logarithm is the parameter) that leaves out the token itself."""

    def __init__(self, dim: int, heads: int, dim_head: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.tensor(math.log(dim_head**-0.5)))
        self.to_qkv = nn.Linear(dim, 3 * heads * dim_head, bias=False)
        self.to_out = nn.Sequential(nn.Linear(heads * dim_head, dim), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.to_qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        others = ~torch.eye(x.shape[1], dtype=torch.bool, device=x.device)
        mixed = F.scaled_dot_product_attention(q * self.temperature.exp(), k, v, attn_mask=others, scale=1.0)
        return self.to_out(mixed.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Linear, GELU, linear."""

    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, dim), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class PreNorm(nn.Module):
    """x + fn(LayerNorm(x))."""

    def __init__(self, dim: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        return x + self.fn(self.norm(x))


class Block(nn.ModuleList):
    """Attention, then feed-forward. A list, because the released names count its two parts."""

    def __init__(self, dim: int, heads: int, dim_head: int, mlp_dim: int, dropout: float) -> None:
        attention, mlp = LocalitySelfAttention(dim, heads, dim_head, dropout), FeedForward(dim, mlp_dim, dropout)
        super().__init__([PreNorm(dim, attention), PreNorm(dim, mlp)])

    def forward(self, x: Tensor) -> Tensor:
        for part in self:
            x = part(x)
        return x


class Transformer(nn.Module):
    """`depth` blocks."""

    def __init__(self, dim: int, depth: int, heads: int, dim_head: int, mlp_dim: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(Block(dim, heads, dim_head, mlp_dim, dropout) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class ViT(nn.Module):
    """Shifted patches, class token, transformer, hypergraph layer, head.

    Args:
        image_size, patch_size: in pixels, square.
        dim, depth, heads, dim_head, mlp_dim: of the transformer.
        hypergraph: a layer that is called with (tokens, grid, number of special tokens); None for the plain host.
        pool: what the head reads, the class token ("cls") or the mean of all tokens ("mean").
    """

    def __init__(
        self,
        image_size: int = 32,
        patch_size: int = 4,
        num_classes: int = 10,
        dim: int = 512,
        depth: int = 6,
        heads: int = 8,
        dim_head: int = 64,
        mlp_dim: int = 512,
        hypergraph: nn.Module | None = None,
        dropout: float = 0.1,
        emb_dropout: float = 0.1,
        pool: str = "cls",
    ) -> None:
        super().__init__()
        if image_size % patch_size:
            raise ValueError(f"a picture of {image_size} pixels cannot be cut into patches of {patch_size}; one must divide the other")
        if pool not in ("cls", "mean"):
            raise ValueError(f"pool is {pool!r}; it must be 'cls' (the class token) or 'mean' (all tokens)")
        self.patch_size, self.pool, self.side = patch_size, pool, image_size // patch_size
        self.to_patch_embedding: nn.Module = ShiftedPatchEmbedding(patch_size, dim)
        self.pos_embedding = nn.Parameter(torch.randn(1, self.side**2 + 1, dim))
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.dropout = nn.Dropout(emb_dropout)
        self.transformer = Transformer(dim, depth, heads, dim_head, mlp_dim, dropout)
        self.soft_hgnn = hypergraph
        self.mlp_head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, num_classes))

    def forward(self, image: Tensor) -> Tensor:
        """image [B, 3, H, W], normalised → logits [B, classes]. Another size than `image_size` stretches the position table."""
        grid = self._grid(image)
        x = self.to_patch_embedding(image)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self._position(grid)
        x = self.transformer(self.dropout(x))
        if self.soft_hgnn is not None:
            x = self.soft_hgnn(x, grid, 1)
        return self.mlp_head(x[:, 0] if self.pool == "cls" else x.mean(1))

    def _grid(self, image: Tensor) -> Grid:
        if image.ndim != 4 or image.shape[1] != 3:
            raise ValueError(f"the picture has shape {tuple(image.shape)}; [pictures, 3, height, width] is expected")
        height, width = image.shape[2:]
        if height % self.patch_size or width % self.patch_size or not height * width:
            raise ValueError(
                f"a picture of {height} × {width} pixels cannot be cut into patches of {self.patch_size}; both sides must be multiples of it"
            )
        return height // self.patch_size, width // self.patch_size

    def _position(self, grid: Grid) -> Tensor:
        if grid == (self.side, self.side):
            return self.pos_embedding
        table = self.pos_embedding[:, 1:].transpose(1, 2).unflatten(2, (self.side, self.side))
        stretched = F.interpolate(table, grid, mode="bicubic", align_corners=False)
        return torch.cat([self.pos_embedding[:, :1], stretched.flatten(2).transpose(1, 2)], 1)


def vit(**host: Any) -> ViT:
    """The plain host, the control of all others."""
    return ViT(**host)


def vit_softhgnn(
    dim: int = 512,
    num_hyperedges: int = 16,
    num_edge_head: int = 8,
    normalise: Normalisation = "vertices",
    context: str = "both",
    dropout: float = 0.1,
    **host: Any,
) -> ViT:
    """ViT + dense SoftHGNN with a learned gate."""
    layer = SoftHGNN(dim, num_hyperedges, num_edge_head, gate=True, dropout=dropout, normalise=normalise, context=context)
    return ViT(dim=dim, hypergraph=layer, dropout=dropout, **host)


def vit_softhgnn_ses(
    dim: int = 512,
    num_dyn_hyperedges: int = 32,
    top_k: int = 16,
    num_fixed_hyperedges: int = 16,
    num_edge_head: int = 8,
    dropout: float = 0.1,
    **host: Any,
) -> ViT:
    """ViT + sparse SoftHGNN (SeS)."""
    layer = SparseSoftHGNN(dim, num_dyn_hyperedges, top_k, num_fixed_hyperedges, num_edge_head, dropout=dropout)
    return ViT(dim=dim, hypergraph=layer, dropout=dropout, **host)


def vit_hgnn(dim: int = 512, k: int = 10, **host: Any) -> ViT:
    """ViT + HGNN with one hyperedge per token, its k nearest: the hard baseline without clusters."""
    return ViT(dim=dim, hypergraph=HGNNLayer(dim, k), **host)


def vit_vihgnn(dim: int = 512, clusters: int = 25, **host: Any) -> ViT:
    """ViT + hypergraph convolution of Vision HGNN over fuzzy c-means clusters: the hard baseline with clusters."""
    return ViT(dim=dim, hypergraph=ViHGNNLayer(dim, clusters), **host)


BUILDERS: dict[str, Callable[..., ViT]] = {"vit_softhgnn_ses": vit_softhgnn_ses, "vit_softhgnn": vit_softhgnn}
CONFIGURATIONS: dict[str, dict[str, Any]] = {f"{kind}_cifar{n}": {"num_classes": n} for kind in BUILDERS for n in (10, 100)}


def build(name: str, **changes: Any) -> ViT:
    """A released configuration by its name, e.g. "vit_softhgnn_cifar10"; keyword arguments replace settings."""
    return BUILDERS[name.rpartition("_")[0]](**{**CONFIGURATIONS[name], **changes})
