"""A small residual network that looks at drawings of graphs."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions beside a skip: ReLU(BN(Conv(ReLU(BN(Conv(x))))) + skip(x))."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.c1, self.b1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.c2, self.b2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        plain = inputs == outputs and stride == 1
        self.sk = nn.Identity() if plain else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.b2(self.c2(F.relu(self.b1(self.c1(x))))) + self.sk(x))


class SmallResNet(nn.Module):
    """Stem of stride 2, four residual blocks, mean over the places, linear head: 309 078 weights for six classes.

    Args:
        classes: answers, or 1 for a number.
    """

    def __init__(self, classes: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 5, 2, 2, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.body = nn.Sequential(ResidualBlock(16, 16, 1), ResidualBlock(16, 32, 2), ResidualBlock(32, 64, 2), ResidualBlock(64, 128, 2))
        self.dropout, self.head = nn.Dropout(dropout), nn.Linear(128, classes)

    def forward(self, image: Tensor) -> Tensor:
        """Drawings [B, 3, S, S] (models.graph_structure.rasteriser.as_input) → [B, classes], before any softmax.

        Raises:
            ValueError: the drawings have less than 16 pixels per side.
        """
        if min(image.shape[-2:]) < 16:
            raise ValueError(f"the drawings are {image.shape[-2]} × {image.shape[-1]} pixels; at least 16 per side are needed")
        return self.head(self.dropout(self.body(self.stem(image)).mean((2, 3))))
