"""GreedyViG: convolution and graph blocks in every stage; an axial edge is kept only if it is unusually short.

Munir, Avery, Rahman, Marculescu, "GreedyViG: Dynamic Axial Graph Construction for Efficient Vision GNNs", CVPR 2024,
arXiv 2405.06849. Module names follow the released code (SLDGroup/GreedyViG, Apache-2.0), so that its checkpoints load.

DAGC:  keep j iff ‖x_i − x_j‖₁ < μ − σ of this picture;  m_i = max(0, max_kept (x_j − x_i));  y = GELU(BN(Conv([x ; m]))).
The paper writes a Euclidean distance, the released code (and its weights) use L1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.image_graphs.aggregate import MaxRelative, to_grid, to_nodes
from models.image_graphs.constructors import AxialDynamic, Constructor
from models.image_graphs.mobilevig import ConvStem, DistilledHead
from models.layers import Downsample, DropPath, conv_norm, kaiming_convolutions


class _DepthwiseSeparable(nn.Module):
    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.pw1, self.norm1 = conv_norm(channels, hidden)
        self.dw, self.norm2 = conv_norm(hidden, hidden, 3, groups=hidden)
        self.pw2, self.norm3 = conv_norm(hidden, channels)
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm1(self.pw1(x)))
        x = self.act(self.norm2(self.dw(x)))
        return self.norm3(self.pw2(x))


class MBConv(nn.Module):
    """x + DropPath(ls · [1×1 to 4C, depth-wise 3×3, 1×1 to C](x))."""

    def __init__(self, channels: int, drop_path: float, layer_scale: float) -> None:
        super().__init__()
        self.dws = _DepthwiseSeparable(channels, 4 * channels)
        self.drop_path = DropPath(drop_path)
        self.layer_scale_2 = nn.Parameter(layer_scale * torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.layer_scale_2[:, None, None] * self.dws(x))


class ConditionalPosition(nn.Module):
    """x + depth-wise 7×7 of x: position that follows from the content (conditional position encoding)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pe = nn.Conv2d(channels, channels, 7, 1, 3, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.pe(x)


class DynamicGraphConv(nn.Module):
    """Build the graph, take max-relative features, mix [x ; m] → C."""

    def __init__(self, channels: int, constructor: Constructor) -> None:
        super().__init__()
        self.constructor = constructor
        self.relative = MaxRelative(sign=1, floor=True)
        self.nn = nn.Sequential(*conv_norm(2 * channels, channels), nn.GELU())

    def forward(self, x: Tensor) -> Tensor:
        nodes = to_nodes(x)
        found = self.relative(nodes, nodes, self.constructor(x))
        return self.nn(to_grid(torch.cat([nodes, found.relative], -1), (x.shape[2], x.shape[3])))


class Grapher(nn.Module):
    """BN(Conv(DAGC(BN(Conv(CPE(x)))))) without a skip of its own."""

    def __init__(self, channels: int, constructor: Constructor) -> None:
        super().__init__()
        self.cpe = ConditionalPosition(channels)
        self.fc1 = nn.Sequential(*conv_norm(channels, channels))
        self.graph_conv = DynamicGraphConv(channels, constructor)
        self.fc2 = nn.Sequential(*conv_norm(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.graph_conv(self.fc1(self.cpe(x))))


class GraphBlock(nn.Module):
    """x + DropPath(ls₁ · Grapher(x)), then x + DropPath(ls₂ · FFN(x))."""

    def __init__(self, channels: int, constructor: Constructor, drop_path: float, layer_scale: float) -> None:
        super().__init__()
        self.mixer = Grapher(channels, constructor)
        self.ffn = nn.Sequential(*conv_norm(channels, 4 * channels), nn.GELU(), *conv_norm(4 * channels, channels))
        self.drop_path = DropPath(drop_path)
        self.layer_scale_1 = nn.Parameter(layer_scale * torch.ones(channels))
        self.layer_scale_2 = nn.Parameter(layer_scale * torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.layer_scale_1[:, None, None] * self.mixer(x))
        return x + self.drop_path(self.layer_scale_2[:, None, None] * self.ffn(x))


class GreedyViG(DistilledHead):
    """GreedyViG. In training with distillation the pair (class head, distillation head) is returned.

    Args:
        blocks: (convolution blocks, graph blocks) per stage.
        channels, steps: one entry per stage; steps are K of DAGC (8, 4, 2, 1 as released).
        layer_scale: start value of the learned residual scales (1e-5 as released).
    """

    def __init__(
        self,
        blocks: Sequence[Sequence[int]] = ((2, 2), (2, 2), (6, 2), (2, 2)),
        channels: Sequence[int] = (48, 96, 192, 384),
        emb_dims: int = 768,
        steps: Sequence[int] = (8, 4, 2, 1),
        num_classes: int = 1000,
        distillation: bool = True,
        dropout: float = 0.0,
        drop_path: float = 0.1,
        layer_scale: float = 1e-5,
        stem_strides: tuple[int, int] = (2, 2),
    ) -> None:
        super().__init__()
        rates = iter(torch.linspace(0, drop_path, sum(sum(pair) for pair in blocks), device="cpu").tolist())
        self.stem = ConvStem(channels[0], stem_strides)
        stages = []
        for stage, (convolutions, graphs) in enumerate(blocks):
            width = channels[stage]
            layers: list[nn.Module] = [Downsample(channels[stage - 1], width)] if stage > 0 else []
            layers += [MBConv(width, next(rates), layer_scale) for _ in range(convolutions)]
            layers += [GraphBlock(width, AxialDynamic(steps[stage]), next(rates), layer_scale) for _ in range(graphs)]
            stages.append(nn.Sequential(*layers))
        self.backbone = nn.Sequential(*stages)
        self.prediction = nn.Sequential(nn.AdaptiveAvgPool2d(1), *conv_norm(channels[-1], emb_dims), nn.GELU(), nn.Dropout(dropout))
        self.head = nn.Conv2d(emb_dims, num_classes, 1)
        self.dist_head = nn.Conv2d(emb_dims, num_classes, 1) if distillation else None
        kaiming_convolutions(self)

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """image [B, 3, H, W], normalised → logits [B, classes]."""
        least = 2 * 2 ** (len(self.backbone) + 1)
        if min(image.shape[2:]) < least // 2 + 1:
            raise ValueError(
                f"the picture is {image.shape[2]} × {image.shape[3]} pixels; its last stage would hold less than 2 × 2 patches "
                f"(no deviation to measure). At least {least} pixels per side are needed"
            )
        return self.classify(self.prediction(self.backbone(self.stem(image))))


CONFIGURATIONS: dict[str, dict] = {
    "GreedyViG_S": {"blocks": ((2, 2), (2, 2), (6, 2), (2, 2)), "channels": (48, 96, 192, 384)},
    "GreedyViG_M": {"blocks": ((3, 3), (3, 3), (9, 3), (3, 3)), "channels": (56, 112, 224, 448)},
    "GreedyViG_B": {"blocks": ((4, 4), (4, 4), (12, 4), (3, 3)), "channels": (64, 128, 256, 512)},
}


def build(name: str, **changes) -> GreedyViG:
    """A released configuration by its name, e.g. "GreedyViG_S"; keyword arguments replace settings."""
    return GreedyViG(**{**CONFIGURATIONS[name], **changes})
