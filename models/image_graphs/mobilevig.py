"""MobileViG: inverted residual blocks, then a fixed axial graph on the coarsest grid.

Munir, Avery, Marculescu, "MobileViG: Graph-Based Sparse Attention for Mobile Vision Applications", CVPR Workshops 2023,
arXiv 2307.00395. Module names follow the released code (SLDGroup/MobileViG, Apache-2.0), so that its checkpoints load.

Sparse vision graph attention (SVGA):  m_i = max(0, max_j (x_i − x_j));  y = GELU(BN(Conv([x ; m]))).
The sign is the opposite of ViG's, and patches roll across the border, both as released.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.image_graphs.aggregate import MaxRelative, to_grid, to_nodes
from models.image_graphs.constructors import AxialStatic, Constructor
from models.layers import Downsample, DropPath, conv_norm, kaiming_convolutions


class ConvStem(nn.Module):
    """Two 3×3 convolutions with BN and GELU; `strides` (2, 2) as released makes patches of 4 pixels."""

    def __init__(self, width: int, strides: tuple[int, int] = (2, 2)) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *conv_norm(3, width // 2, 3, strides[0]), nn.GELU(), *conv_norm(width // 2, width, 3, strides[1]), nn.GELU()
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.stem(x)


class _ConvMLP(nn.Module):
    """Conv1x1 C → 4C, depth-wise 3×3, Conv1x1 4C → C, each with BN."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.norm1 = conv_norm(channels, hidden)
        self.mid, self.mid_norm = conv_norm(hidden, hidden, 3, groups=hidden)
        self.fc2, self.norm2 = conv_norm(hidden, channels)
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm1(self.fc1(x)))
        x = self.act(self.mid_norm(self.mid(x)))
        return self.norm2(self.fc2(x))


class InvertedResidual(nn.Module):
    """x + DropPath(ls · ConvMLP(x)) with one learned scale ls per channel."""

    def __init__(self, channels: int, drop_path: float, layer_scale: float) -> None:
        super().__init__()
        self.mlp = _ConvMLP(channels, 4 * channels)
        self.drop_path = DropPath(drop_path)
        self.layer_scale_2 = nn.Parameter(layer_scale * torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.layer_scale_2 * self.mlp(x))


class _AxialGraphConv(nn.Module):
    """Fixed graph, max-relative with the released sign, plain concatenation [x ; m] → 2C."""

    def __init__(self, channels: int, constructor: Constructor) -> None:
        super().__init__()
        self.constructor = constructor
        self.relative = MaxRelative(sign=-1, floor=True)
        self.nn = nn.Sequential(*conv_norm(2 * channels, 2 * channels), nn.GELU())

    def forward(self, x: Tensor) -> Tensor:
        nodes = to_nodes(x)
        found = self.relative(nodes, nodes, self.constructor(x))
        return self.nn(to_grid(torch.cat([nodes, found.relative], -1), (x.shape[2], x.shape[3])))


class Grapher(nn.Module):
    """x + DropPath(BN(Conv(SVGA(BN(Conv(x))))))."""

    def __init__(self, channels: int, step: int, drop_path: float) -> None:
        super().__init__()
        self.fc1 = nn.Sequential(*conv_norm(channels, channels))
        self.graph_conv = _AxialGraphConv(channels, AxialStatic(step))
        self.fc2 = nn.Sequential(*conv_norm(2 * channels, channels))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.fc2(self.graph_conv(self.fc1(x))))


class FFN(nn.Module):
    """x + DropPath(BN(Conv(GELU(BN(Conv(x))))))."""

    def __init__(self, channels: int, drop_path: float) -> None:
        super().__init__()
        self.fc1 = nn.Sequential(*conv_norm(channels, 4 * channels))
        self.act = nn.GELU()
        self.fc2 = nn.Sequential(*conv_norm(4 * channels, channels))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.fc2(self.act(self.fc1(x))))


class DistilledHead(nn.Module):
    """Base of both Munir et al. nets: a class head and, with distillation, a second one; evaluation averages them."""

    head: nn.Conv2d
    dist_head: nn.Conv2d | None

    def classify(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        if self.dist_head is None:
            return self.head(x).flatten(1)
        both = self.head(x).flatten(1), self.dist_head(x).flatten(1)
        return both if self.training else (both[0] + both[1]) / 2


class MobileViG(DistilledHead):
    """MobileViG. In training with distillation the pair (class head, distillation head) is returned.

    Args:
        local_blocks, local_channels: inverted residual blocks per convolutional stage.
        global_blocks, global_channels: graph blocks per graph stage.
        step: K of SVGA (2 in every released configuration).
        layer_scale: start value of the learned residual scale (1e-5 as released).
    """

    def __init__(
        self,
        local_blocks: Sequence[int] = (2, 2, 6),
        local_channels: Sequence[int] = (42, 84, 168),
        global_blocks: Sequence[int] = (2,),
        global_channels: Sequence[int] = (256,),
        emb_dims: int = 512,
        step: int = 2,
        num_classes: int = 1000,
        distillation: bool = True,
        dropout: float = 0.0,
        drop_path: float = 0.1,
        layer_scale: float = 1e-5,
        stem_strides: tuple[int, int] = (2, 2),
    ) -> None:
        super().__init__()
        rates = iter(torch.linspace(0, drop_path, sum(local_blocks) + sum(global_blocks), device="cpu").tolist())
        self.stem = ConvStem(local_channels[0], stem_strides)
        local: list[nn.Module] = []
        for stage, depth in enumerate(local_blocks):
            if stage > 0:
                local.append(Downsample(local_channels[stage - 1], local_channels[stage]))
            local += [InvertedResidual(local_channels[stage], next(rates), layer_scale) for _ in range(depth)]
        local.append(Downsample(local_channels[-1], global_channels[0]))
        self.local_backbone = nn.ModuleList(local)
        backbone: list[nn.Module] = []
        for stage, depth in enumerate(global_blocks):
            if stage > 0:
                backbone.append(Downsample(global_channels[stage - 1], global_channels[stage]))
            width = global_channels[stage]
            for _ in range(depth):
                rate = next(rates)
                backbone.append(nn.Sequential(Grapher(width, step, rate), FFN(width, rate)))
        self.backbone = nn.ModuleList(backbone)
        self.prediction = nn.Sequential(nn.AdaptiveAvgPool2d(1), *conv_norm(global_channels[-1], emb_dims), nn.GELU(), nn.Dropout(dropout))
        self.head = nn.Conv2d(emb_dims, num_classes, 1)
        self.dist_head = nn.Conv2d(emb_dims, num_classes, 1) if distillation else None
        kaiming_convolutions(self)

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """image [B, 3, H, W], normalised → logits [B, classes]."""
        x = self.stem(image)
        for layer in self.local_backbone:
            x = layer(x)
        if min(x.shape[2:]) < 3:
            raise ValueError(
                f"a picture of {image.shape[2]} × {image.shape[3]} pixels leaves a graph of {x.shape[2]} × {x.shape[3]} patches; "
                "at least 3 × 3 are needed (96 pixels with the released configurations)"
            )
        for layer in self.backbone:
            x = layer(x)
        return self.classify(self.prediction(x))


CONFIGURATIONS: dict[str, dict] = {
    "mobilevig_ti": {
        "local_blocks": (2, 2, 6),
        "local_channels": (42, 84, 168),
        "global_blocks": (2,),
        "global_channels": (256,),
        "emb_dims": 512,
    },
    "mobilevig_s": {
        "local_blocks": (3, 3, 9),
        "local_channels": (42, 84, 176),
        "global_blocks": (3,),
        "global_channels": (256,),
        "emb_dims": 512,
    },
    "mobilevig_m": {
        "local_blocks": (3, 3, 9),
        "local_channels": (42, 84, 224),
        "global_blocks": (3,),
        "global_channels": (400,),
        "emb_dims": 768,
    },
    "mobilevig_b": {
        "local_blocks": (5, 5, 15),
        "local_channels": (42, 84, 240),
        "global_blocks": (5,),
        "global_channels": (464,),
        "emb_dims": 768,
    },
}


def build(name: str, **changes) -> MobileViG:
    """A released configuration by its name, e.g. "mobilevig_ti"; keyword arguments replace settings."""
    return MobileViG(**{**CONFIGURATIONS[name], **changes})
