"""Magnitude invariant parametrisations (MIP): a hypernetwork whose weights do not grow with its input.

Ortiz, Guttag, Dalca, "Magnitude Invariant Parametrizations Improve Hypernetwork Learning", ICLR 2024, arXiv 2304.07645.
State-dict names follow the library of the paper (hyperlight 0.0.5, Apache-2.0).

Without biases and with a positively homogeneous activation h(a·γ) = a·h(γ) for a > 0: at initialisation the generated
weights are proportional to the input. MIP changes two things,

    E(γ) = [cos(πγ/2), sin(πγ/2)],  ‖E(γ)‖ = √d for every γ ∈ [0, 1]^d        (input)
    θ(γ) = θ₀ + h(E(γ)),  θ₀ ordinary learnable weights                         (output)
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.structures import GeneratedWeights

Shapes = Mapping[str, Sequence[int]]

ENCODINGS: dict[str | None, int] = {None: 1, "cos|sin": 2, "z|1-z": 2}  # how many values one input becomes
GAINS = {"LeakyReLU": math.sqrt(2), "ReLU": math.sqrt(2), "GELU": math.sqrt(2), "SiLU": math.sqrt(2), "Tanh": 5 / 3}
TOLERANCE = 1e-6  # how far outside [0, 1] counts as rounding

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {"encoding": None, "init_independent_weights": False, "output_split_init": False},
    "input_only": {"encoding": "cos|sin", "init_independent_weights": False},
    "output_only": {"encoding": None, "init_independent_weights": True},
    "mip": {"encoding": "cos|sin", "init_independent_weights": True},
    "affine": {"encoding": "z|1-z", "init_independent_weights": True},
}


class Encoding(nn.Module):
    """E(γ): γ itself (None), [cos(πγ/2), sin(πγ/2)] ("cos|sin") or [γ, 1 − γ] ("z|1-z")."""

    def __init__(self, mode: str | None) -> None:
        super().__init__()
        if mode not in ENCODINGS:
            raise ValueError(f"encoding is {mode!r}; it must be one of {', '.join(map(repr, ENCODINGS))}")
        self.mode = mode

    def forward(self, gamma: Tensor) -> Tensor:
        """[B, d] → [B, d] or [B, 2d]: all first halves, then all second halves."""
        if self.mode is None:
            return gamma
        if self.mode == "z|1-z":
            return torch.cat([gamma, 1 - gamma], -1)
        angle = math.pi * gamma / 2
        return torch.cat([angle.cos(), angle.sin()], -1)


class FullyConnected(nn.Sequential):
    """block0_lin, block0_act, block1_lin, …, output; zero biases and Kaiming-normal weights by fan-out."""

    def __init__(self, inputs: int, hidden_sizes: Sequence[int], outputs: int, nonlinearity: str) -> None:
        if nonlinearity not in GAINS:
            raise ValueError(f"nonlinearity is {nonlinearity!r}; it must be one of {', '.join(GAINS)}")
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for i, (before, after) in enumerate(zip([inputs, *hidden_sizes[:-1]], hidden_sizes, strict=True)):
            layers[f"block{i}_lin"] = nn.Linear(before, after)
            layers[f"block{i}_act"] = getattr(nn, nonlinearity)()
        layers["output"] = nn.Linear(hidden_sizes[-1], outputs)
        super().__init__(layers)
        for name, module in self.named_children():
            if isinstance(module, nn.Linear):
                gain = 1 if name == "output" else GAINS[nonlinearity]
                nn.init.normal_(module.weight, std=gain / math.sqrt(module.out_features))
                nn.init.zeros_(module.bias)

    @property
    def last(self) -> nn.Linear:
        """The layer that makes the flat vector; its bias is θ₀."""
        last = self.get_submodule("output")
        assert isinstance(last, nn.Linear)
        return last


class HyperNet(nn.Module):
    """γ → all weights of a main network.

    Args:
        input_shapes: {name: shape} of the inputs γ; several are concatenated in the order of their sorted names.
        output_shapes: {parameter name: shape} of the main network, in the order of the flat vector.
        hidden_sizes: widths of the hidden layers.
        encoding: "cos|sin" (MIP), None or "z|1-z".
        init_independent_weights: start θ₀ as a main network would start (MIP). θ₀ is the bias of the last layer.
        output_split_init: start the rows of the last layer tensor by tensor, so that the correction starts small.
        nonlinearity: "LeakyReLU", "ReLU", "GELU", "SiLU" or "Tanh".
    """

    def __init__(
        self,
        input_shapes: Shapes,
        output_shapes: Shapes,
        hidden_sizes: Sequence[int] = (16, 64),
        encoding: str | None = "cos|sin",
        init_independent_weights: bool = True,
        output_split_init: bool = True,
        nonlinearity: str = "LeakyReLU",
    ) -> None:
        super().__init__()
        self.input_shapes = {name: tuple(shape) for name, shape in input_shapes.items()}
        self.output_shapes = {name: tuple(shape) for name, shape in output_shapes.items()}
        self.encoding = Encoding(encoding)
        inputs = sum(math.prod(shape) for shape in self.input_shapes.values()) * ENCODINGS[encoding]
        self.sizes = [math.prod(shape) for shape in self.output_shapes.values()]
        self.backbone = FullyConnected(inputs, hidden_sizes, sum(self.sizes), nonlinearity)
        if output_split_init:
            self._split_init()
        if init_independent_weights:
            self._start_independent_weights()

    def forward(self, gamma: Tensor | Mapping[str, Tensor]) -> GeneratedWeights:
        """Weights of the main network at γ.

        Args:
            gamma: the inputs by name, [B, *shape] or [*shape] each; a tensor alone where there is one input.

        Returns:
            Tensors of the output shapes; with a leading axis B where B > 1.

        Raises:
            ValueError: other names, another shape, another B per input, a value outside [0, 1] or not finite.
        """
        flat = self.generate(gamma)
        batch = (len(flat),) if len(flat) > 1 else ()
        parts = zip(self.output_shapes.items(), flat.split(self.sizes, 1), strict=True)
        return GeneratedWeights({name: part.reshape(*batch, *shape) for (name, shape), part in parts})

    def generate(self, gamma: Tensor | Mapping[str, Tensor]) -> Tensor:
        """All weights at γ as flat vectors, [B, P]."""
        return self.backbone(self.encoding(self.flatten(gamma)))

    def flatten(self, gamma: Tensor | Mapping[str, Tensor]) -> Tensor:
        """The inputs by name → [B, d]; refuses as `forward` says."""
        given = {next(iter(self.input_shapes)): gamma} if isinstance(gamma, Tensor) else gamma
        if set(given) != set(self.input_shapes):
            raise ValueError(f"the inputs are {', '.join(sorted(self.input_shapes))}; given were {', '.join(sorted(given)) or 'none'}")
        rows = [self._one_input(name, given[name]) for name in sorted(self.input_shapes)]
        sizes = {len(row) for row in rows}
        if len(sizes) > 1:
            raise ValueError(f"the inputs hold different numbers of rows: {', '.join(map(str, sorted(sizes)))}")
        return torch.cat(rows, 1)

    def _one_input(self, name: str, gamma: Tensor) -> Tensor:
        shape = self.input_shapes[name]
        if tuple(gamma.shape) == shape:
            gamma = gamma[None]
        if tuple(gamma.shape[1:]) != shape or gamma.ndim == 0:
            raise ValueError(f"{name} has the shape {tuple(gamma.shape)}; {shape} or (B, {', '.join(map(str, shape))}) is expected")
        if not torch.isfinite(gamma).all():
            raise ValueError(f"{name} holds a value that is not a finite number; values lie in [0, 1]")
        low, high = gamma.min().item(), gamma.max().item()
        if low < -TOLERANCE or high > 1 + TOLERANCE:
            raise ValueError(
                f"{name} reaches from {low:g} to {high:g}; values must lie in [0, 1], so map the range of the parameter to it first"
            )
        return gamma.flatten(1)

    def independent_weights(self) -> dict[str, Tensor]:
        """θ₀ by parameter name: views of the bias of the last layer, so that changing them changes the network."""
        parts = self.backbone.last.bias.detach().split(self.sizes)
        return {name: part.view(shape) for (name, shape), part in zip(self.output_shapes.items(), parts, strict=True)}

    @torch.no_grad()
    def set_independent_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Start from a trained main network: θ₀ ← weights.

        Raises:
            ValueError: other names or shapes than those of the main network.
        """
        for name, shape in self.output_shapes.items():
            if name not in weights or tuple(weights[name].shape) != shape:
                found = tuple(weights[name].shape) if name in weights else "nothing"
                raise ValueError(f"{name} must have the shape {shape}; given was {found}")
        for name, place in self.independent_weights().items():
            place.copy_(weights[name])

    def _start_independent_weights(self) -> None:
        """θ₀ as a main network starts: Kaiming-normal weights, scales of 1, biases of 0."""
        for name, place in self.independent_weights().items():
            if name.endswith("weight") and place.ndim > 1:
                nn.init.kaiming_normal_(place, nonlinearity="leaky_relu")
            elif name.endswith("weight"):
                nn.init.ones_(place)

    @torch.no_grad()
    def _split_init(self) -> None:
        """Rows of the last layer: normal with gain² / numel of the tensor that they make."""
        for rows in self.backbone.last.weight.split(self.sizes):
            nn.init.normal_(rows, std=1 / math.sqrt(len(rows)))


def variant(name: str, input_shapes: Shapes, output_shapes: Shapes, **settings: Any) -> HyperNet:
    """One of VARIANTS: "default", "input_only", "output_only", "mip" or "affine"; keyword arguments add settings.

    Raises:
        KeyError: no such variant.
    """
    if name not in VARIANTS:
        raise KeyError(f"no variant named {name!r}; there are {', '.join(VARIANTS)}")
    return HyperNet(input_shapes, output_shapes, **{**VARIANTS[name], **settings})


class MainNet(nn.Module):
    """The generated classifier: convolutions c1, c2, …, each with an activation, global mean, linear layer fc.

    Args:
        channels: of the picture and of the convolutions, e.g. (1, 8, 16).
        kernel: side of the kernels; nothing is padded, so each convolution takes kernel − 1 pixels off the sides.
    """

    def __init__(
        self,
        channels: Sequence[int] = (1, 8, 16),
        num_classes: int = 10,
        kernel: int = 3,
        activation: Callable[[Tensor], Tensor] = F.leaky_relu,
    ) -> None:
        super().__init__()
        self.convolutions = [f"c{i}" for i in range(1, len(channels))]
        self.activation = activation
        for name, (before, after) in zip(self.convolutions, pairwise(channels), strict=True):
            self.add_module(name, nn.Conv2d(before, after, kernel))
        self.fc = nn.Linear(channels[-1], num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """image [B, channels[0], H, W] → logits [B, classes]."""
        for name in self.convolutions:
            image = self.activation(self.get_submodule(name)(image))
        return self.fc(image.mean((2, 3)))
