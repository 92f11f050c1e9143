"""A NeuMeta family that is ready to run: the trained full network, and the representation that generates it at every width.

    family = zoo.load("neumeta_digits").model
    logits = family(image, width=7)  # a network of width 7 that was never trained by itself

See `models.hypernetworks.neumeta` for the mathematics and the paper.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from models.hypernetworks.neumeta import NeuMeta
from models.hypernetworks.targets import CifarResNet, Family, SmallConvNet
from models.structures import GeneratedWeights


class Metamorphosis(nn.Module):
    """Networks of one architecture and any width, generated; what is not generated comes from the full network.

    State: `full.*`, the trained full network with its channels in smooth order, and `neumeta.*`.

    Args:
        family: the architecture and the band of widths.
        held_out: widths inside the band that training never generated.
        noise: width of the coordinate noise in training, with which samples are averaged; 0 for a family trained without.
        settings: of NeuMeta: hidden_dim, num_layers, num_freqs.
    """

    def __init__(self, family: Family, held_out: Sequence[int] = (), noise: float = 1.0, **settings: Any) -> None:
        super().__init__()
        widest = family.trained[1]
        shapes = family.shapes(widest)
        self.family, self.held_out, self.noise = family, tuple(held_out), noise
        self.full = family.network(widest)
        largest = max(math.prod(shape[2:]) for shape in shapes.values())
        self.neumeta = NeuMeta(len(shapes), output_dim=largest, norm=widest, **settings)

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths that training generated."""
        narrow, wide = self.family.trained
        return tuple(width for width in range(narrow, wide + 1) if width not in self.held_out)

    def reference(self) -> dict[str, Tensor]:
        """The full network's own values of the tensors that are generated."""
        parameters = dict(self.full.named_parameters())
        return {name: parameters[name].detach() for name in self.family.shapes(self.family.trained[1])}

    def generate(self, width: int, samples: int = 1, generator: torch.Generator | None = None) -> GeneratedWeights:
        """The generated tensors of this width, averaged over `samples` draws of the coordinate noise (the first has none).

        Raises:
            ValueError: the width is below 1 or more than 1.5 times the widest trained one.
        """
        return self.neumeta.average(self.family.shapes(width), samples, self.noise, generator)

    def entering(self, image: Tensor) -> Tensor:
        """What all widths share: the picture, or for a `CifarResNet` what enters its last block."""
        return self.full.before(image) if isinstance(self.full, CifarResNet) else image

    def run(self, weights: Mapping[str, Tensor], width: int, entered: Tensor) -> Tensor:
        """Logits of the network of this width with these tensors (the rest from the full network), from `entering`'s output."""
        names = {f"network.{name}": tensor for name, tensor in {**dict(self.full.named_parameters()), **weights}.items()}
        return functional_call(_empty(self.family, width, threading.get_ident()), names, (entered,))

    def forward(self, image: Tensor, width: int | None = None) -> Tensor:
        """image [B, C, H, W] → logits [B, classes] of the generated network; the full width when None."""
        width = self.family.trained[1] if width is None else width
        return self.run(self.generate(width).weights, width, self.entering(image))


class _AfterShared(nn.Module):
    """The part of a network whose width varies."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, entered: Tensor) -> Tensor:
        return self.network.after(entered) if isinstance(self.network, CifarResNet) else self.network(entered)


@lru_cache(maxsize=512)
def _empty(family: Family, width: int, thread: int) -> nn.Module:
    """The varying part at one width, without memory for its parameters; one per thread, because a call with other weights changes it."""
    with torch.device("meta"):
        return _AfterShared(family.network(width))


# ---------------------------------------------------------------------------------------------------------- families


def digits(widths: tuple[int, int] = (4, 12), **settings: Any) -> Metamorphosis:
    """All tensors of a `SmallConvNet` for 8 × 8 digits. Arguments: see Metamorphosis."""
    return Metamorphosis(Family(SmallConvNet, (widths[0], widths[1])), **settings)


def cifar(widths: tuple[int, int] = (32, 64), **settings: Any) -> Metamorphosis:
    """The last residual block of a ResNet-20, as in the paper. Arguments: see Metamorphosis."""
    return Metamorphosis(Family(CifarResNet, (widths[0], widths[1]), _last_block), **settings)


def _last_block(network: nn.Module) -> Sequence[str]:
    assert isinstance(network, CifarResNet)
    return network.generated()
