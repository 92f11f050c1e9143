"""Networks that are generated: small classifiers whose width is one number.

`MnistNet`, `MnistResNet` and `CifarResNet` are the targets of NeuMeta (names as released, Adamdad/neumeta) with batch
normalisation folded into the convolutions; `SmallConvNet` and `Perceptron` are ours.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BEYOND = 1.5  # how far past the widest trained network a family may be asked


class MnistNet(nn.Module):
    """LeNet of the paper: convolutions 1 → h (3×3) → 2h (5×5) → 4h (5×5), each with ReLU and 2×2 average pool.

    As released, the classifier reads only the top left cell of the last 3×3 map.
    """

    def __init__(self, hidden_dim: int = 8, num_classes: int = 10) -> None:
        super().__init__()
        h = hidden_dim
        self.conv_1 = nn.Conv2d(1, h, 3, padding=1, padding_mode="replicate")
        self.conv_2 = nn.Conv2d(h, 2 * h, 5, padding=2, padding_mode="replicate")
        self.conv_3 = nn.Conv2d(2 * h, 4 * h, 5, padding=2, padding_mode="replicate")
        self.pool = nn.AvgPool2d(2, 2)
        self.linear = nn.Linear(4 * h, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """image [B, 1, 28, 28] → logits [B, classes]."""
        x = self.pool(F.relu(self.conv_1(image)))
        x = self.pool(F.relu(self.conv_2(x)))
        x = self.pool(F.relu(self.conv_3(x)))
        return self.linear(x[:, :, 0, 0])


class SmallConvNet(nn.Module):
    """Ours: 3×3 convolutions c → h → 2h → 4h, each with ReLU and 2×2 average pool, global mean, linear classifier."""

    def __init__(self, hidden_dim: int = 12, num_classes: int = 10, channels: int = 1) -> None:
        super().__init__()
        h = hidden_dim
        self.conv_1 = nn.Conv2d(channels, h, 3, padding=1)
        self.conv_2 = nn.Conv2d(h, 2 * h, 3, padding=1)
        self.conv_3 = nn.Conv2d(2 * h, 4 * h, 3, padding=1)
        self.pool = nn.AvgPool2d(2, 2)
        self.linear = nn.Linear(4 * h, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """image [B, channels, H, W], sides of at least 8 → logits [B, classes]."""
        x = self.pool(F.relu(self.conv_1(image)))
        x = self.pool(F.relu(self.conv_2(x)))
        x = self.pool(F.relu(self.conv_3(x)))
        return self.linear(x.mean((2, 3)))


class _Block(nn.Module):
    """relu(x + conv2(relu(conv1(x)))) with biases in place of batch normalisation; `inner` is the width between."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, inner: int | None = None) -> None:
        super().__init__()
        inner = outputs if inner is None else inner
        self.conv1 = nn.Conv2d(inputs, inner, 3, stride, 1)
        self.conv2 = nn.Conv2d(inner, outputs, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv2(F.relu(self.conv1(x))) + self.skip(x))

    def skip(self, x: Tensor) -> Tensor:
        return x


class _MnistBlock(_Block):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(inputs, outputs, stride)
        changes = stride != 1 or inputs != outputs
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride) if changes else nn.Sequential()

    def skip(self, x: Tensor) -> Tensor:
        return self.shortcut(x)


class MnistResNet(nn.Module):
    """Residual net of the paper for MNIST: widths h and 2h, `num_blocks` blocks each, 4×4 average pool, linear."""

    def __init__(self, num_blocks: Sequence[int] = (2, 2), hidden_dim: int = 8, num_classes: int = 10) -> None:
        super().__init__()
        h = hidden_dim
        self.conv1 = nn.Conv2d(1, h, 3, 1, 1)
        self.layer1 = nn.Sequential(*(_MnistBlock(h, h, 1 if i else 2) for i in range(num_blocks[0])))
        self.layer2 = nn.Sequential(*(_MnistBlock(2 * h if i else h, 2 * h, 1 if i else 2) for i in range(num_blocks[1])))
        self.linear = nn.Linear(2 * h, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """image [B, 1, 28, 28] → logits [B, classes]."""
        x = self.layer2(self.layer1(F.relu(self.conv1(image))))
        return self.linear(F.avg_pool2d(x, 4).flatten(1))


class _CifarBlock(_Block):
    def __init__(self, inputs: int, outputs: int, stride: int = 1, inner: int | None = None) -> None:
        super().__init__(inputs, outputs, stride, inner)
        self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride)) if stride != 1 else None

    def skip(self, x: Tensor) -> Tensor:
        return x if self.downsample is None else self.downsample(x)


class CifarResNet(nn.Module):
    """ResNet-20/32/44/56 of widths 16, 32, 64 for 32 × 32 pictures; only the last block has the width `hidden_dim` inside.

    Args:
        hidden_dim: inner width h of the last block (64 is the full width); its four tensors are what NeuMeta generates.
        layers: blocks per stage: (3, 3, 3) is ResNet-20.
    """

    def __init__(self, hidden_dim: int = 64, layers: Sequence[int] = (3, 3, 3), num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1)
        self.layer1 = self._stage(16, 16, layers[0], 1)
        self.layer2 = self._stage(16, 32, layers[1], 2)
        self.layer3 = self._stage(32, 64, layers[2], 2, hidden_dim)
        self.fc = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    @staticmethod
    def _stage(inputs: int, outputs: int, blocks: int, stride: int, last_inner: int | None = None) -> nn.Sequential:
        stage = [_CifarBlock(inputs, outputs, stride)]
        stage += [_CifarBlock(outputs, outputs) for _ in range(blocks - 1)]
        if last_inner is not None:
            stage[-1] = _CifarBlock(*((outputs, outputs, 1) if blocks > 1 else (inputs, outputs, stride)), inner=last_inner)
        return nn.Sequential(*stage)

    def generated(self) -> tuple[str, ...]:
        """Names of the tensors of the last block."""
        prefix = f"layer3.{len(self.layer3) - 1}."
        return tuple(name for name, _ in self.named_parameters() if name.startswith(prefix) and ".conv" in name)

    def before(self, image: Tensor) -> Tensor:
        """What enters the last block, [B, 64, H/4, W/4]: the same for all widths, so it can be computed once."""
        x = self.layer2(self.layer1(F.relu(self.conv1(image))))
        for block in list(self.layer3)[:-1]:
            x = block(x)
        return x

    def after(self, x: Tensor) -> Tensor:
        """Last block and classifier: [B, 64, H/4, W/4] → logits [B, classes]."""
        return self.fc(self.layer3[-1](x).mean((2, 3)))

    def forward(self, image: Tensor) -> Tensor:
        """image [B, 3, H, W], normalised → logits [B, classes]."""
        return self.after(self.before(image))


class Perceptron(nn.Module):
    """Fully connected classifier with ReLU, e.g. sizes (64, 32, 32, 10)."""

    def __init__(self, sizes: Sequence[int] = (64, 32, 32, 10)) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        """x [B, …] with sizes[0] values each → [B, sizes[-1]]."""
        x = x.flatten(1)
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


# ---------------------------------------------------------------------------------------------------------- families


@dataclass(frozen=True)
class Family:
    """Networks of one architecture whose width may vary.

    Attributes:
        build: width → network.
        trained: narrowest and widest width that the generator was trained on; the widest is the full network.
        generated: names of the generated tensors of a network; all its parameters when None.
    """

    build: Callable[[int], nn.Module]
    trained: tuple[int, int]
    generated: Callable[[nn.Module], Sequence[str]] | None = None

    def network(self, width: int) -> nn.Module:
        """The network of this width, with random weights.

        Raises:
            ValueError: the width is below 1 or more than 1.5 times the widest trained one.
        """
        limit = int(BEYOND * self.trained[1])
        if not 1 <= width <= limit:
            raise ValueError(
                f"width {width} cannot be asked for; widths from 1 to {limit} can ({self.trained[0]} to {self.trained[1]} were trained)"
            )
        return self.build(width)

    def shapes(self, width: int) -> dict[str, tuple[int, ...]]:
        """The shape table of the generated tensors at this width. Raises ValueError as `network` does."""
        with torch.device("meta"):
            network = self.network(width)
        return shape_table(network, self.generated(network) if self.generated else None)


def shape_table(network: nn.Module, names: Sequence[str] | None = None) -> dict[str, tuple[int, ...]]:
    """{parameter name: shape} in the order of the network.

    Raises:
        ValueError: a grouped convolution, whose kernels have no place (output, input).
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            raise ValueError(f"{name} is a convolution in {module.groups} groups; only ungrouped convolutions can be generated")
    parameters = {name: tuple(tensor.shape) for name, tensor in network.named_parameters()}
    return parameters if names is None else {name: parameters[name] for name in names}


def fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """One convolution that does what a convolution and the batch normalisation after it do in evaluation mode.

    Raises:
        ValueError: the normalisation keeps no statistics.
    """
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("a batch normalisation without running statistics cannot be folded into the convolution before it")
    scale = (norm.running_var + norm.eps).rsqrt() * (1 if norm.weight is None else norm.weight)
    shift = norm.running_mean if convolution.bias is None else norm.running_mean - convolution.bias
    folded = copy.deepcopy(convolution)
    folded.weight = nn.Parameter((convolution.weight * scale[:, None, None, None]).detach())
    folded.bias = nn.Parameter(((0 if norm.bias is None else norm.bias) - shift * scale).detach())
    return folded
