"""One small backbone with a swappable graph constructor, so that constructors are compared at equal cost.

Ours, not a paper's: convolution and graph blocks alternate as in GreedyViG; everything but the constructor is the same
(parameters, data, budget, aggregation). The constructor can also be exchanged after training (an intervention).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.image_graphs.aggregate import MaxRelative, to_grid, to_nodes
from models.image_graphs.constructors import AxialDynamic, AxialStatic, Constructor, DilatedKNN, Grid8, RandomRegular
from models.layers import Downsample, conv_norm, kaiming_convolutions

# stage index → constructor. Axial steps (2, 1) give 14 candidates on the 16 × 16 and on the 8 × 8 grid; the others have degree 8.
CONSTRUCTORS: dict[str, Callable[[int], Constructor]] = {
    "knn": lambda stage: DilatedKNN(8, dilation=(1, 2)[stage], include_self=False),
    "svga": lambda stage: AxialStatic((2, 1)[stage]),
    "dagc": lambda stage: AxialDynamic((2, 1)[stage]),
    "grid": lambda stage: Grid8(),
    "random": lambda stage: RandomRegular(8, seed=stage),
}


class ResidualConv(nn.Module):
    """ReLU(x + BN(Conv3x3(ReLU(BN(Conv3x3(x))))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*conv_norm(channels, channels, 3), nn.ReLU(), *conv_norm(channels, channels, 3))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


class GraphBlock(nn.Module):
    """x + Mix([h ; r]) with h = BN(Conv(x)) and its max-relative r along the graph."""

    def __init__(self, channels: int, constructor: Constructor) -> None:
        super().__init__()
        self.fc1 = nn.Sequential(*conv_norm(channels, channels))
        self.constructor = constructor
        self.relative = MaxRelative(sign=1, floor=True)
        self.mix = nn.Sequential(*conv_norm(2 * channels, channels), nn.ReLU(), *conv_norm(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        h = self.fc1(x)
        nodes = to_nodes(h)
        found = self.relative(nodes, nodes, self.constructor(h))
        return x + self.mix(torch.cat([h, to_grid(found.relative, (x.shape[2], x.shape[3]))], 1))


class SwappableViG(nn.Module):
    """Stem to a quarter of the side, two stages in which convolution and graph blocks alternate, linear head.

    Args:
        constructor: a key of CONSTRUCTORS.
        channels: width of each stage (two).
        blocks: pairs of (residual convolution, graph block) of each stage.
    """

    def __init__(
        self, constructor: str = "dagc", channels: Sequence[int] = (64, 128), blocks: Sequence[int] = (1, 2), num_classes: int = 10
    ) -> None:
        super().__init__()
        if constructor not in CONSTRUCTORS:
            raise ValueError(f"constructor is {constructor!r}; it must be one of {', '.join(CONSTRUCTORS)}")
        width = channels[0]
        self.stem = nn.Sequential(*conv_norm(3, width // 2, 3, 2), nn.ReLU(), *conv_norm(width // 2, width, 3, 2), nn.ReLU())
        layers: list[nn.Module] = []
        for stage, width in enumerate(channels):
            if stage > 0:
                layers.append(Downsample(channels[stage - 1], width))
            for _ in range(blocks[stage]):
                layers += [ResidualConv(width), GraphBlock(width, CONSTRUCTORS[constructor](stage))]
        self.backbone = nn.Sequential(*layers)
        self.head = nn.Linear(channels[-1], num_classes)
        kaiming_convolutions(self)

    def forward(self, image: Tensor) -> Tensor:
        """image [B, 3, H, W], normalised → logits [B, classes]."""
        return self.head(self.backbone(self.stem(image)).mean((2, 3)))

    def swap(self, constructor: str) -> None:
        """Exchange every graph constructor; the weights stay."""
        stage = 0
        for layer in self.backbone:
            stage += isinstance(layer, Downsample)
            if isinstance(layer, GraphBlock):
                layer.constructor = CONSTRUCTORS[constructor](stage)
