"""Neural Metamorphosis (NeuMeta): one function from the place of a kernel to its values stores a family of networks.

Yang and Wang, "Neural Metamorphosis", ECCV 2024, arXiv 2410.11878. Module names follow the released code
(Adamdad/neumeta), so that its checkpoints load.

Kernel (a, b) of tensor l of L, with N0 outputs and N1 inputs, has the coordinate
    v = (l/L, a/N0, b/N1, L/N, N0/N, N1/N)
and the values  W_l[a, b] = f_l(φ(v)) / N1,  φ(v) = [v, sin(2^i π v_j), cos(2^i π v_j)], one small network f_l per tensor.
The division by N1 makes every layer a Riemann sum of a field over [0, 1): of a smooth field every width reads the same sum.

A "shape table" is {parameter name: shape} in the order of the target's parameters; weight and bias are two tensors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.structures import GeneratedWeights, WeightField

Shapes = Mapping[str, Sequence[int]]

COORDINATES = 6  # tensor, output, input, number of tensors, outputs, inputs


class FourierFeatures(nn.Module):
    """φ(v) = [v, sin(2^i π v_j), cos(2^i π v_j)]; i runs outside, j inside, the sine first. Fixed, not learned."""

    def __init__(self, frequencies: int) -> None:
        super().__init__()
        self.frequencies = frequencies

    @property
    def length(self) -> int:
        return COORDINATES * (1 + 2 * self.frequencies)

    def forward(self, v: Tensor) -> Tensor:
        """v [M, 6] → [M, 6 + 12·frequencies]."""
        octaves = math.pi * 2.0 ** torch.arange(self.frequencies, dtype=v.dtype, device=v.device)
        angle = v[:, None, :] * octaves[:, None]  # [M, i, j]
        waves = torch.stack([angle.sin(), angle.cos()], -1)
        return torch.cat([v, waves.flatten(1)], 1)


class ResMLP(nn.Module):
    """h = relu(W_in φ);  h ← s_i · relu(W_i h) + h;  W_out h. The scales s_i are learned."""

    def __init__(self, inputs: int, hidden: int, outputs: int, layers: int, scalar: float) -> None:
        super().__init__()
        self.initial_layer = nn.Linear(inputs, hidden)
        self.residual_blocks = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(layers - 1))
        self.scalars = nn.ParameterList(nn.Parameter(torch.tensor(float(scalar))) for _ in range(layers - 1))
        self.output_layer = nn.Linear(hidden, outputs)

    def forward(self, features: Tensor) -> Tensor:
        h = F.relu(self.initial_layer(features))
        for scale, block in zip(self.scalars, self.residual_blocks, strict=True):
            h = scale * F.relu(block(h)) + h
        return self.output_layer(h)


class NeuMeta(nn.Module):
    """The implicit neural representation: one ResMLP per tensor of the target.

    Args:
        num_compose: number of tensors of the target (L).
        hidden_dim, num_layers: width and depth of each ResMLP.
        output_dim: area of the largest kernel.
        num_freqs: number of octaves of the Fourier features.
        norm: N of the coordinates, a fixed number near the full width (32 for LeNet, 64 for CIFAR).
        scalar: start value of the residual scales.
    """

    def __init__(
        self,
        num_compose: int,
        hidden_dim: int = 256,
        output_dim: int = 25,
        num_freqs: int = 16,
        num_layers: int = 4,
        norm: float = 32,
        scalar: float = 0.1,
    ) -> None:
        super().__init__()
        self.output_dim = output_dim
        self.norm = norm
        self.features = FourierFeatures(num_freqs)
        length = self.features.length
        self.model = nn.ModuleList(ResMLP(length, hidden_dim, output_dim, num_layers, scalar) for _ in range(num_compose))

    def forward(
        self,
        shapes: Shapes,
        *,
        noise: Tensor | None = None,
        released: bool = False,
        sizes: Mapping[str, tuple[float, float]] | None = None,
    ) -> GeneratedWeights:
        """All tensors of a network of these shapes.

        Args:
            shapes: the shape table of the wanted network.
            noise: added to the raw coordinates, [M, 6]; M and the order of rows are those of `raw_coordinates`.
            released: with noise, route and divide as the released code does: by the truncated noisy l and the noisy N1.
                The default follows the paper's intent: noise moves the coordinates only.
            sizes: {name: (N0, N1)} to write into the size coordinates while the lattice stays; fractions are allowed.

        Raises:
            ValueError: another number of tensors, a size below 1, a kernel larger than output_dim, a tensor that is
                neither a convolution, a matrix nor a vector.
        """
        self.require(shapes)
        raw = raw_coordinates(shapes, sizes).to(self._like())
        counts = [_rows(shape) for shape in shapes.values()]
        layer = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)).to(raw.device)
        inputs = raw_coordinates(shapes).to(raw)[:, 5]
        if noise is not None:
            raw = raw + noise.to(raw)
        if noise is not None and released:
            layer, inputs = raw[:, 0].long().clamp(0, len(self.model) - 1), raw[:, 5]
        values = self.values(raw, layer, inputs)
        parts = values.split(counts)
        return GeneratedWeights({name: _assemble(part, shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)})

    def encode(self, raw: Tensor) -> Tensor:
        """Raw coordinates (l, a, b, L, N0, N1) [M, 6] → v = (l/L, a/N0, b/N1, L/N, N0/N, N1/N) [M, 6]."""
        unit = raw / self.norm  # in this order as released: 2^15 π magnifies a different rounding
        return torch.cat([unit[:, :3] / unit[:, 3:], unit[:, 3:]], 1)

    def values(self, raw: Tensor, layer: Tensor, inputs: Tensor) -> Tensor:
        """Values of kernels, [M, output_dim], from raw coordinates [M, 6], tensor numbers [M] and divisors N1 [M]."""
        features = self.features(self.encode(raw))
        order = layer.argsort(stable=True)
        counts = torch.bincount(layer, minlength=len(self.model)).tolist()
        parts = [mlp(part) for mlp, part in zip(self.model, features[order].split(counts), strict=True) if len(part)]
        return torch.cat(parts)[order.argsort()] / inputs[:, None]

    def field(
        self,
        shapes: Shapes,
        layer: str,
        resolution: int = 96,
        size: tuple[float, float] | None = None,
    ) -> WeightField:
        """The function behind one tensor on a dense grid, and the lattice that these shapes read.

        Args:
            layer: name of the tensor in the shape table.
            resolution: places per axis of the dense grid.
            size: (N0, N1) of the size coordinates of the dense grid; the tensor's own when None.

        Raises:
            ValueError: see forward. KeyError: no such tensor.
        """
        self.require(shapes)
        if layer not in shapes:
            raise KeyError(f"no tensor named {layer!r}; there are {', '.join(shapes)}")
        shape = tuple(shapes[layer])
        outputs, inputs, height, width = _four(shape)
        wanted = (float(outputs), float(inputs)) if size is None else size
        rows, columns, dense = (torch.arange(n, device=self._like().device) / n for n in (outputs, inputs, resolution))
        across = columns if len(shape) == 1 else dense  # a vector has one column
        everywhere = self.read(shapes, layer, dense, across, wanted)
        at_lattice = self.read(shapes, layer, rows, columns, wanted)
        return WeightField(layer, everywhere, dense, across, rows, columns, at_lattice, (height, width), wanted)

    def read(self, shapes: Shapes, layer: str, rows: Tensor, columns: Tensor, size: tuple[float, float] | None = None) -> Tensor:
        """The function behind one tensor at every (row, column) of places in [0, 1), [R, C, taps].

        Args:
            shapes, layer, size: as in `field`.
        """
        shape = tuple(shapes[layer])
        outputs, inputs = _four(shape)[:2]
        wanted = (float(outputs), float(inputs)) if size is None else size
        number, layers = list(shapes).index(layer), len(shapes)
        like = self._like()
        return taps(self._read(number, layers, rows.to(like), columns.to(like), wanted, inputs), shape)

    def _read(self, layer: int, layers: int, rows: Tensor, columns: Tensor, size: tuple[float, float], inputs: int) -> Tensor:
        """Values at every (row, column) of places in [0, 1), [R, C, output_dim]."""
        a, b = torch.meshgrid(rows * size[0], columns * size[1], indexing="ij")
        fixed = [torch.full_like(a, value) for value in (layer, layers, size[0], size[1])]
        raw = torch.stack([fixed[0], a, b, *fixed[1:]], -1).flatten(0, 1)
        numbers = torch.full((len(raw),), layer, device=raw.device)
        return self.values(raw, numbers, torch.full_like(raw[:, 0], inputs)).unflatten(0, a.shape)

    def average(
        self,
        shapes: Shapes,
        samples: int = 50,
        noise: float = 1.0,
        generator: torch.Generator | None = None,
        released: bool = False,
    ) -> GeneratedWeights:
        """Mean of the weights over `samples` draws of the coordinate noise; the first draw has none.

        Args:
            noise: width of the uniform noise in raw coordinates: U(−noise/2, noise/2).
        """
        rows = sum(_rows(shape) for shape in shapes.values())
        draws: list[Tensor | None] = [None]
        draws += [coordinate_noise(rows, noise, generator) for _ in range(samples - 1)]
        return mean_of([self(shapes, noise=draw, released=released) for draw in draws])

    @torch.no_grad()
    def start_like(self, reference: Mapping[str, Tensor]) -> None:
        """Scale every output layer so that each generated tensor has the spread of a trained network's tensor.

        Ours: with plain initial values the target starts dead (about 0.1/N1) and joint training hardly leaves chance.
        """
        generated = self({name: tensor.shape for name, tensor in reference.items()}).weights
        for mlp, (name, wanted) in zip(self.model, reference.items(), strict=True):
            now = generated[name].std(correction=0)
            if now > 0 and wanted.numel() > 1:
                gain = (wanted.std(correction=0) / now).item()
                mlp.output_layer.weight.mul_(gain)  # type: ignore[union-attr, operator]
                mlp.output_layer.bias.mul_(gain)  # type: ignore[union-attr, operator]

    def require(self, shapes: Shapes) -> None:
        """Raise ValueError when a network of these shapes cannot be generated; the message says what could."""
        if len(shapes) != len(self.model):
            raise ValueError(
                f"the target has {len(shapes)} tensors and this representation {len(self.model)}: every tensor has its own network and its "
                "own coordinate l/L, so only the width may change, not the number of layers"
            )
        for name, shape in shapes.items():
            if len(shape) not in (1, 2, 4):
                raise ValueError(f"{name} has {len(shape)} axes; convolutions (4), matrices (2) and vectors (1) can be generated")
            if min(shape) < 1:
                raise ValueError(f"{name} would have the shape {tuple(shape)}; every width must be at least 1")
            if math.prod(shape[2:]) > self.output_dim:
                raise ValueError(
                    f"{name} has kernels of {math.prod(shape[2:])} values; at most {self.output_dim} come out of one coordinate"
                )

    def _like(self) -> Tensor:
        return next(self.parameters())


# ------------------------------------------------------------------------------------------------------- coordinates


def raw_coordinates(shapes: Shapes, sizes: Mapping[str, tuple[float, float]] | None = None) -> Tensor:
    """(l, a, b, L, N0, N1) of every kernel, [M, 6] float32: tensor after tensor, outputs outside, inputs inside.

    Args:
        sizes: {name: (N0, N1)} to write instead of the tensor's own; a and b are stretched with them, so that the
            places a/N0 and b/N1 stay.
    """
    rows = []
    for number, (name, shape) in enumerate(shapes.items()):
        outputs, inputs = _four(shape)[:2]
        size = (sizes or {}).get(name, (outputs, inputs))
        a, b = torch.meshgrid(torch.arange(float(outputs)), torch.arange(float(inputs)), indexing="ij")
        a, b = a.flatten() * (size[0] / outputs), b.flatten() * (size[1] / inputs)
        fixed = [torch.full_like(a, value) for value in (number, len(shapes), *size)]
        rows.append(torch.stack([fixed[0], a, b, *fixed[1:]], 1))
    return torch.cat(rows)


def coordinate_noise(rows: int, width: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """U(−width/2, width/2) for all six raw coordinates of `rows` kernels, [rows, 6]."""
    return (torch.rand(rows, COORDINATES, generator=generator) - 0.5) * width


def mean_of(sets: Sequence[GeneratedWeights]) -> GeneratedWeights:
    """Tensor-wise mean of several sets of weights.

    Raises:
        ValueError: there is no set.
    """
    if not sets:
        raise ValueError("at least one set of weights is needed for a mean")
    return GeneratedWeights({name: torch.stack([s.weights[name] for s in sets]).mean(0) for name in sets[0].weights})


def between(a: Mapping[str, Tensor], b: Mapping[str, Tensor], share: float) -> GeneratedWeights:
    """A network on the straight line between two of the same shapes: a at share 0, b at share 1.

    Raises:
        ValueError: the two have other names or shapes.
    """
    if {name: tensor.shape for name, tensor in a.items()} != {name: tensor.shape for name, tensor in b.items()}:
        raise ValueError("the two networks differ in names or shapes; a straight line joins networks of one width only")
    return GeneratedWeights({name: torch.lerp(tensor, b[name], share) for name, tensor in a.items()})


def _four(shape: Sequence[int]) -> tuple[int, int, int, int]:
    """(N0, N1, height, width) of a tensor; a vector has one input."""
    outputs, inputs, height, width = (*shape, 1, 1, 1)[:4]
    return outputs, inputs, height, width


def _rows(shape: Sequence[int]) -> int:
    return math.prod(_four(shape)[:2])


def taps(values: Tensor, shape: Sequence[int]) -> Tensor:
    """The part of the flat output [..., output_dim] that a tensor of this shape uses, [..., T].

    As released: a convolution takes the middle of the flat vector (a 3×3 kernel entries 8…16 of 25, which is not the
    centre of a 5×5 picture; a 1×1 kernel entry 12), a matrix or vector takes the first entry.
    """
    if len(shape) < 4:
        return values[..., :1]
    area = math.prod(shape[2:])
    start = values.shape[-1] // 2 - area // 2
    return values[..., start : start + area]


def _assemble(values: Tensor, shape: Sequence[int]) -> Tensor:
    return taps(values, shape).reshape(*shape)


# ----------------------------------------------------------------------------------------------- training's mathematics


def reconstruction_loss(generated: Mapping[str, Tensor], reference: Mapping[str, Tensor]) -> Tensor:
    """R = mean over tensors of mean((W − W*)² · (|W*| + 1e-6) / max): large weights count more. A scalar."""
    terms = []
    for name, wanted in reference.items():
        importance = wanted.abs() + 1e-6
        terms.append(((generated[name] - wanted).square() * importance / importance.max()).mean())
    return torch.stack(terms).mean()


def weight_norm(generated: Mapping[str, Tensor]) -> Tensor:
    """Σ_t ‖W_t‖₂, not squared: the released regulariser. A scalar."""
    return torch.stack([tensor.norm() for tensor in generated.values()]).sum()


def released_state(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights of a released checkpoint: the averaged ones (`ema_shadow`), with which the paper evaluates."""
    state = checkpoint.get("ema_shadow") or checkpoint.get("model_state_dict") or checkpoint
    return {name: tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}
