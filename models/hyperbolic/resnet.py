"""Poincaré ResNet: a CIFAR-style residual network whose layers live in the Poincaré ball, and its Euclidean twin.

van Spengler, Berkhout, Mettes, "Poincaré ResNet", ICCV 2023, arXiv 2303.14027. State-dict names follow the released code
(maxvanspengler/poincare-resnet, Apache-2.0; no weights were published).

Between layers features are tangent vectors at the origin, t = log0(x), so ReLU and pooling act on ordinary tensors; the picture
(values in −1…1) is used as tangent vectors. Where the released code differs from the paper we follow the paper; `variant="released"`
brings back its slips: the conformal factor 2(1 − c‖x‖²), skips along the width of the picture, and statistics of the batch in
evaluation mode.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from models.hyperbolic.closed import CLOSED
from models.hyperbolic.layers import Initialisation, MidpointNorm, MobiusSkip, PoincareBatchNorm2d, PoincareConv2d, PoincareLinear
from models.hyperbolic.operations import Conformal, Mean, Operations
from models.structures import PoincarePoints, TangentField

Variant = Literal["paper", "released"]


class _Build:
    """The settings that all layers of one network share."""

    def __init__(self, c: float, initialisation: Initialisation, variant: Variant, mean: Mean, norm: bool, operations: Operations) -> None:
        if variant not in ("paper", "released"):
            raise ValueError(f'variant is {variant!r}; there are "paper" and "released"')
        self.c, self.initialisation, self.mean, self.norm, self.operations = c, initialisation, mean, norm, operations
        self.released = variant == "released"
        self.conformal: Conformal = "released" if self.released else "paper"

    def conv(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> PoincareConv2d:
        return PoincareConv2d(inputs, outputs, kernel, stride, kernel // 2, self.c, self.initialisation, self.conformal, self.operations)

    def batch_norm(self, channels: int) -> nn.Module:
        return PoincareBatchNorm2d(channels, self.c, self.released, self.mean, self.operations) if self.norm else nn.Identity()

    def linear(self, inputs: int, outputs: int) -> PoincareLinear:
        return PoincareLinear(inputs, outputs, self.c, self.initialisation, self.conformal, self.operations)

    def skip(self) -> MobiusSkip:
        return MobiusSkip(-1 if self.released else 1, self.operations)


class ResidualBlock(nn.Module):
    """ReLU(BN(conv(ReLU(BN(conv(t))))) ⊕ r), with r = t or its 1×1 convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int, build: _Build) -> None:
        super().__init__()
        self.conv1, self.bn1, self.act1 = build.conv(inputs, outputs, stride=stride), build.batch_norm(outputs), nn.ReLU()
        self.conv2, self.bn2, self.act2 = build.conv(outputs, outputs), build.batch_norm(outputs), nn.ReLU()
        self.downsample = build.conv(inputs, outputs, 1, stride) if stride != 1 else None
        self.skip = build.skip()

    def forward(self, t: Tensor) -> Tensor:
        y = self.act1(self.bn1(self.conv1(t)))
        y = self.bn2(self.conv2(y))
        r = t if self.downsample is None else self.downsample(t)
        return self.act2(self.skip(y, r, self.conv1.ball.c))


class GlobalMean(nn.Module):
    """Mean tangent vector of all positions, [B, C, H, W] → [B, C, 1, 1]."""

    def forward(self, t: Tensor) -> Tensor:
        return t.mean((2, 3), keepdim=True)


class PoincareResNet(nn.Module):
    """Poincaré ResNet for small pictures, 3 groups of residual blocks.

    Args:
        channels: of the three groups.
        depths: blocks per group; depth D of a published name means (D − 2)/6.
        c: the curvature is −c.
        initialisation: of all gyroplane layers, see `layers.initial_weights`.
        variant: "released" brings back the slips of the released code.
        mean: what batch normalisation centres on; "frechet" is the iterative mean.
        norm: False leaves all batch normalisation out.
        operations: closed form, or `naive.NAIVE` to measure against.
    """

    def __init__(
        self,
        channels: Sequence[int] = (8, 16, 32),
        depths: Sequence[int] = (3, 3, 3),
        num_classes: int = 10,
        c: float = 0.1,
        initialisation: Initialisation = "identity",
        variant: Variant = "paper",
        mean: Mean = "midpoint",
        norm: bool = True,
        operations: Operations = CLOSED,
    ) -> None:
        super().__init__()
        build = _Build(c, initialisation, variant, mean, norm, operations)
        self.conv, self.bn, self.act = build.conv(3, channels[0]), build.batch_norm(channels[0]), nn.ReLU()
        self.group1 = _group(channels[0], channels[0], depths[0], 1, build)
        self.group2 = _group(channels[0], channels[1], depths[1], 2, build)
        self.group3 = _group(channels[1], channels[2], depths[2], 2, build)
        self.avg_pool = GlobalMean()
        self.fc = build.linear(channels[2], num_classes)
        # The released state dict holds the curvature under these names too.
        self.conv_ball, self.linear_ball = self.conv.ball, self.fc.ball
        if isinstance(self.bn, PoincareBatchNorm2d):
            self.bn_ball = self.bn.ball

    def forward(self, image: Tensor) -> Tensor:
        """image [B, 3, H, W], values in −1…1, H and W at least 8 and divisible by 4 → logits [B, classes].

        Logits are log0 of the last layer; none exceeds cap/√c (9.8 at c = 0.1 in float32).

        Raises:
            ValueError: another shape, or a value that is not finite.
        """
        require_picture(image)
        t = self.act(self.bn(self.conv(image)))
        t = self.group3(self.group2(self.group1(t)))
        return self.fc(self.avg_pool(t).flatten(1))

    def use_batch_statistics(self, use: bool) -> None:
        """Normalise by the statistics of the batch in evaluation mode too: predictions then depend on the neighbours in the batch."""
        for part in self.modules():
            if isinstance(part, MidpointNorm):
                part.batch_statistics = use


def _group(inputs: int, outputs: int, depth: int, stride: int, build: _Build) -> nn.Sequential:
    first = ResidualBlock(inputs, outputs, stride, build)
    return nn.Sequential(first, *(ResidualBlock(outputs, outputs, 1, build) for _ in range(depth - 1)))


def require_picture(image: Tensor) -> None:
    """Raise ValueError unless image is a finite [B, 3, H, W] with H and W at least 8 and divisible by 4."""
    if image.ndim != 4 or image.shape[1] != 3:
        raise ValueError(f"the input has the shape {tuple(image.shape)}; colour pictures are needed, [B, 3, H, W]")
    height, width = image.shape[2:]
    if min(height, width) < 8 or height % 4 or width % 4:
        raise ValueError(f"the picture is {height} × {width} pixels; both sides must be at least 8 and divisible by 4")
    if not torch.isfinite(image).all():
        raise ValueError("the picture holds values that are not finite")


@torch.no_grad()
def recalibrate(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace the running statistics by the average over `batches` of pictures [B, 3, H, W], all batches counting alike."""
    norms = [part for part in model.modules() if isinstance(part, MidpointNorm)]
    before, momenta = model.training, [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset()
        norm.momentum = None
    model.train()
    try:
        for batch in batches:
            model(batch)
    finally:
        model.train(before)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


# ------------------------------------------------------------------------------------------------------- what is seen


def field_of(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> TangentField:
    """Adapter for `capture`: the features that leave a layer or block."""
    home = module.conv1 if isinstance(module, ResidualBlock) else module
    return TangentField(output, float(home.ball.c))  # type: ignore[union-attr, arg-type]


def points_of(c: float) -> Any:
    """Adapter for `capture` of `avg_pool`: where the pictures of the batch lie among the classes."""
    return lambda module, inputs, output: PoincarePoints.from_tangents(output.detach().flatten(1), c)


def adapters(model: PoincareResNet) -> Mapping[str | type[nn.Module], Any]:
    """Adapters for `capture(model, adapters=adapters(model))`: a TangentField after every layer and block, and the PoincarePoints
    that the classifier sees. (The statistics of batch normalisation are structures already.)"""
    kinds = (PoincareConv2d, PoincareBatchNorm2d, ResidualBlock)
    return {**dict.fromkeys(kinds, field_of), "avg_pool": points_of(float(model.fc.ball.c))}


# -------------------------------------------------------------------------------------------------------------- twin


class EuclideanBlock(nn.Module):
    """ReLU(BN(conv(ReLU(BN(conv(x))))) + r), with r = x or its 1×1 convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1), nn.BatchNorm2d(outputs)
        self.act1, self.act2 = nn.ReLU(), nn.ReLU()
        self.downsample = nn.Conv2d(inputs, outputs, 1, stride) if stride != 1 else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.act1(self.bn1(self.conv1(x)))))
        return self.act2(y + (x if self.downsample is None else self.downsample(x)))


class EuclideanResNet(nn.Module):
    """The same network in flat space, with as many layers, channels and blocks. Arguments as `PoincareResNet`."""

    def __init__(self, channels: Sequence[int] = (8, 16, 32), depths: Sequence[int] = (3, 3, 3), num_classes: int = 10) -> None:
        super().__init__()
        self.conv, self.bn, self.act = nn.Conv2d(3, channels[0], 3, 1, 1), nn.BatchNorm2d(channels[0]), nn.ReLU()
        groups = []
        for inputs, outputs, depth, stride in zip((channels[0], *channels), channels, depths, (1, 2, 2), strict=False):
            first = EuclideanBlock(inputs, outputs, stride)
            groups.append(nn.Sequential(first, *(EuclideanBlock(outputs, outputs, 1) for _ in range(depth - 1))))
        self.group1, self.group2, self.group3 = groups
        self.avg_pool = GlobalMean()
        self.fc = nn.Linear(channels[2], num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """image [B, 3, H, W] → logits [B, classes]. Raises ValueError as `PoincareResNet`."""
        require_picture(image)
        x = self.act(self.bn(self.conv(image)))
        x = self.group3(self.group2(self.group1(x)))
        return self.fc(self.avg_pool(x).flatten(1))


# ------------------------------------------------------------------------------------------------------ configurations

CLASSES = {"cifar10": 10, "cifar100": 100}
CONFIGURATIONS = (
    "hyperbolic-4-8-16-resnet-20",
    "hyperbolic-8-16-32-resnet-20",
    "hyperbolic-8-16-32-resnet-32",
    "hyperbolic-16-32-64-resnet-20",
    "hyperbolic-16-32-64-resnet-32",
)


def settings(name: str) -> dict[str, Any]:
    """Arguments of a published name, e.g. "hyperbolic-8-16-32-resnet-20-cifar100"; without a data set there are 10 classes.

    Raises:
        ValueError: the name is not of that form, or the data set is unknown.
    """
    match = re.fullmatch(r"(?:hyperbolic|euclidean)-(\d+)-(\d+)-(\d+)-resnet-(\d+)(?:-(\w+))?", name)
    if not match:
        raise ValueError(f'{name!r} is no name of a Poincaré ResNet; one is "hyperbolic-8-16-32-resnet-20-cifar10"')
    *channels, depth = (int(number) for number in match.groups()[:4])
    data = match[5] or "cifar10"
    if data not in CLASSES:
        raise ValueError(f"the data set {data!r} is unknown; there are {', '.join(CLASSES)}")
    return {"channels": channels, "depths": [(depth - 2) // 6] * 3, "num_classes": CLASSES[data]}


def build(name: str, **changes: Any) -> PoincareResNet | EuclideanResNet:
    """A published configuration by its name (hyperbolic-… or its Euclidean twin euclidean-…); keyword arguments replace settings."""
    kind = EuclideanResNet if name.startswith("euclidean") else PoincareResNet
    return kind(**{**settings(name), **changes})
