"""A vision model that was never trained on graphs as a contestant: its weights stay, and only a linear readout is fitted.

    z        mean and standard deviation over the patches of the last layer, each feature a standard score of the fitted graphs
    classes  logistic regression with an L2 penalty;    a number: ridge regression

What such a readout can tell is what the frozen features already hold (linear probing: Alain and Bengio, ICLR 2017 workshop).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.image_graphs.patch_features import Backbone

MEAN, STD = 0.25, 0.3  # of models.graph_structure.rasteriser.as_input
_PENALTY, _RIDGE = 1e-2, 0.1  # on squared weights, per example


class FrozenLooker(nn.Module):
    """A frozen vision model and a readout: answers drawings as the networks do that were trained on them.

    Args:
        backbone: any that `models.image_graphs.patch_features.load_backbone` gives.
        classes: answers, or 1 for a number.
    """

    def __init__(self, backbone: Backbone, classes: int) -> None:
        super().__init__()
        self.backbone, self.classes = backbone.eval().requires_grad_(False), classes
        shape = backbone.preprocess
        asked = shape.crop or (shape.resize if isinstance(shape.resize, tuple) else None)
        self.size = asked or backbone.image_size
        self.head: nn.Linear = nn.LazyLinear(classes)  # as wide as the features, once they are known
        self.register_buffer("shift", torch.zeros(1))
        self.register_buffer("scale", torch.ones(1))

    def train(self, mode: bool = True) -> FrozenLooker:
        """The backbone stays as it is."""
        super().train(mode)
        self.backbone.eval()
        return self

    def features(self, image: Tensor) -> Tensor:
        """Drawings [B, 3, S, S] (rasteriser.as_input), enlarged to what the model takes → [B, 2·C]."""
        told, colour = self.backbone.preprocess, image * STD + MEAN
        grown = F.interpolate(colour, self.size, mode="bilinear", align_corners=False)
        values = grown * (255 * told.scale) if told.scale is not None else grown * 255
        if told.mean is not None and told.std is not None:
            values = (values - values.new_tensor(told.mean)[:, None, None]) / values.new_tensor(told.std)[:, None, None]
        found = self.backbone(values)["output"].flatten(2).float()
        return torch.cat([found.mean(2), found.std(2, unbiased=False)], 1)

    def forward(self, image: Tensor) -> Tensor:
        """Drawings [B, 3, S, S] → [B, classes], before any softmax; a number in its own unit."""
        return self.read(self.features(image))

    def read(self, features: Tensor) -> Tensor:
        """[B, 2·C] → [B, classes]."""
        return self.head((features - self.shift) / self.scale)

    def fit(self, features: Tensor, targets: Tensor) -> None:
        """Fit the readout on features [n, 2·C] and targets [n]: numbers of classes, or values. The same data give the same readout.

        Raises:
            ValueError: fewer than two examples.
        """
        if len(features) < 2:
            raise ValueError(f"{len(features)} examples are too few to fit a readout; at least 2 are needed")
        x = features.detach().double()
        shift, scale = x.mean(0), x.std(0).clamp(min=1e-6)
        x = (x - shift) / scale
        weight, bias = _logistic(x, targets.long(), self.classes) if self.classes > 1 else _ridge(x, targets.double())
        self.shift, self.scale = shift.float(), scale.float()
        self.head = nn.Linear(x.shape[1], self.classes).to(features.device).requires_grad_(False)
        with torch.no_grad():
            self.head.weight.copy_(weight)
            self.head.bias.copy_(bias)


def _ridge(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Solved over the examples, which are fewer than the features: w = Xᵀ (X Xᵀ + λ n I)⁻¹ (y − ȳ)."""
    gram = x @ x.T
    ridge = _RIDGE * len(x) * torch.eye(len(x), dtype=x.dtype, device=x.device)
    return (x.T @ torch.linalg.solve(gram + ridge, y - y.mean()))[None], y.mean()[None]


def _logistic(x: Tensor, label: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy + λ ‖W‖²/2, by L-BFGS from zero."""
    weight = x.new_zeros(classes, x.shape[1], requires_grad=True)
    bias = x.new_zeros(classes, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = F.cross_entropy(x @ weight.T + bias, label) + _PENALTY / 2 * weight.square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        optimiser.step(loss)
    return weight.detach(), bias.detach()
