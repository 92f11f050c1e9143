"""A small host for soft hyperedges that learns from little: convolutions up to the patches, then the ViT of `vit.py`.

A plain ViT needs long training on small pictures; a few convolutions before its first token spare it most of that (Xiao, Singh,
Mintun and others, "Early Convolutions Help Transformers See Better", arXiv 2106.14881). The stem is the same in every variant,
so that variants differ in the hypergraph layer alone, which stands where it stands in SoftHGNN's ViT: after the last block.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.hypergraphs.softhgnn import SoftHGNN, SparseSoftHGNN
from models.hypergraphs.vit import ViT

STRIDE = 4  # pixels per patch of the stem
HOST: dict[str, Any] = {"image_size": 64, "dim": 96, "depth": 1, "heads": 2, "dim_head": 48, "mlp_dim": 192}


class Residual(nn.Module):
    """GELU(x + two 3×3 convolutions of x)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_convolution(width, width), nn.GELU(), *_convolution(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x + self.body(x))


class ConvStem(nn.Module):
    """Two strided convolutions with residual blocks behind them; one token per 4 × 4 pixels, [B, 3, H, W] → [B, H·W/16, dim]."""

    def __init__(self, dim: int, width: int = 32, blocks: tuple[int, int] = (1, 2)) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_convolution(3, width, stride=2),
            nn.GELU(),
            *(Residual(width) for _ in range(blocks[0])),
            *_convolution(width, 2 * width, stride=2),
            nn.GELU(),
            *(Residual(2 * width) for _ in range(blocks[1])),
        )
        self.proj = nn.Conv2d(2 * width, dim, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(self.body(image)).flatten(2).transpose(1, 2)


def _convolution(inputs: int, outputs: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)


class ConvViT(ViT):
    """The ViT with a convolutional stem and a norm after the last block. The head reads the mean of all tokens, so that every patch's message counts.

    Args:
        hypergraph: as in ViT; None for the plain host.
        host: what replaces a setting of HOST.
    """

    def __init__(self, num_classes: int = 10, hypergraph: nn.Module | None = None, **host: Any) -> None:
        settings = {**HOST, "patch_size": STRIDE, "dropout": 0.0, "emb_dropout": 0.0, "pool": "mean", **host}
        super().__init__(num_classes=num_classes, hypergraph=hypergraph, **settings)
        self.to_patch_embedding = ConvStem(settings["dim"])
        # pre-norm blocks leave long tokens; their products with the prototypes would make a needle of every softmax
        self.transformer.layers.append(nn.LayerNorm(settings["dim"]))
        for table in (self.pos_embedding, self.cls_token):  # as large as released (1), they would drown the first tokens
            nn.init.trunc_normal_(table, std=0.02)


def plain(num_classes: int = 10) -> ConvViT:
    """The host alone: the control of the others."""
    return ConvViT(num_classes)


def dense(num_classes: int = 10, num_hyperedges: int = 8, num_heads: int = 4) -> ConvViT:
    """The host with a dense SoftHGNN layer in its released form: softmax over the vertices, learned gate."""
    layer = SoftHGNN(HOST["dim"], num_hyperedges, num_heads, gate=True, dropout=0.0)
    return ConvViT(num_classes, _audible(layer, num_hyperedges))


def sparse(
    num_classes: int = 10, num_dyn_hyperedges: int = 16, top_k: int = 4, num_fixed_hyperedges: int = 4, num_heads: int = 8
) -> ConvViT:
    """The host with sparse hyperedge selection (SeS): as many hyperedges on as `dense` has, chosen from 16 and 4 that stay."""
    layer = SparseSoftHGNN(HOST["dim"], num_dyn_hyperedges, top_k, num_fixed_hyperedges, num_heads, dropout=0.0)
    return ConvViT(num_classes, _audible(layer, top_k + num_fixed_hyperedges))


def _audible(layer: SoftHGNN, active: int) -> SoftHGNN:
    """Start with messages of the tokens' own size.

    A column of A sums to 1, so each of N vertices receives about active/N of the hyperedges' features: 1/8 in the 64 patches of the
    published CIFAR network, 1/32 in the 256 here, too quiet to be learned from in a few epochs.
    """
    vertices = (HOST["image_size"] // STRIDE) ** 2
    with torch.no_grad():
        layer.node_proj.get_parameter("0.weight").mul_(vertices / active)
    return layer
