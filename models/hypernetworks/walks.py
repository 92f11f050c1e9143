"""Walks over the surface of networks that a NeuMeta family spans: how good a point is, and how to get from one to another.

A point is a full set of generated tensors. Widths may be fractions: the size coordinates of the representation are
continuous, and a tensor can be read at any lattice of places.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.hypernetworks.metamorphosis import Metamorphosis
from models.hypernetworks.neumeta import between, coordinate_noise, mean_of, taps
from models.structures import GeneratedWeights

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Standing:
    """How well one network does on a fixed batch of pictures.

    Attributes:
        accuracy: share of right answers.
        loss: mean cross-entropy, in nats.
        logits: [B, classes].
    """

    accuracy: float
    loss: float
    logits: Tensor


def standing(family: Metamorphosis, weights: Weights, width: int, entered: Tensor, labels: Tensor) -> Standing:
    """Run the network of this width with these tensors on what `family.entering` made of the pictures."""
    logits = family.run(weights, width, entered)
    right = (logits.argmax(1) == labels).float().mean().item()
    return Standing(right, F.cross_entropy(logits, labels).item(), logits)


def without_channels(weights: Weights, names: Sequence[str], dropped: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """The tensors with some output channels silenced: kernels and bias of each are 0.

    Args:
        names: of all tensors; the weight `x.weight` and the bias `x.bias` belong together.
        dropped: {tensor name: output channels}.

    Raises:
        ValueError: no such tensor or channel.
    """
    changed = dict(weights)
    for name, channels in dropped.items():
        if name not in weights:
            raise ValueError(f"there is no tensor named {name[:60]!r}; there are {', '.join(names)}")
        count = len(weights[name])
        if any(not 0 <= channel < count for channel in channels):
            raise ValueError(f"{name} has {count} output channels at this width, numbered from 0 to {count - 1}")
        module = name.rpartition(".")[0]
        for both in (f"{module}.weight", f"{module}.bias"):
            if both in changed:
                changed[both] = changed[both].clone()
                changed[both][list(channels)] = 0
    return changed


# -------------------------------------------------------------------------------------------------- places of any width


def sizes(family: Metamorphosis, width: float) -> dict[str, tuple[float, float]]:
    """(N0, N1) of every generated tensor at a width that may be a fraction.

    Raises:
        ValueError: the family does not reach this width.
    """
    low, high = math.floor(width), math.ceil(width)
    below, above = family.family.shapes(low), family.family.shapes(high)
    share = width - low
    found = {}
    for name in below:
        (a, b), (c, d) = ((*shape, 1)[:2] for shape in (below[name], above[name]))
        found[name] = (a + share * (c - a), b + share * (d - b))
    return found


def resampled(family: Metamorphosis, width: float, places: int = 16, generator: torch.Generator | None = None) -> Tensor:
    """All fields of one width at the same places of every tensor, [n]: networks of different widths become comparable vectors.

    Multiplied by the number of inputs, so that a wider network is no shorter vector.

    Args:
        places: per axis, at (0, 1, …, places − 1) / places.
        generator: draws one coordinate noise of the training's width; none when None.
    """
    shapes, at = family.family.shapes(math.floor(width)), torch.arange(float(places)) / places
    parts = []
    for number, (name, (outputs, inputs)) in enumerate(sizes(family, width).items()):
        a, b = torch.meshgrid(at * outputs, (at if len(shapes[name]) > 1 else at[:1]) * inputs, indexing="ij")
        fixed = [torch.full_like(a, value) for value in (number, len(shapes), outputs, inputs)]
        parts.append(torch.stack([fixed[0], a, b, *fixed[1:]], -1).flatten(0, 1))
    counts = torch.tensor([len(part) for part in parts])
    raw, layer = torch.cat(parts), torch.repeat_interleave(torch.arange(len(parts)), counts)
    if generator is not None:
        raw = raw + coordinate_noise(len(raw), family.noise, generator)
    values = family.neumeta.values(raw, layer, torch.ones(len(raw)))
    return torch.cat([taps(part, shapes[name]).flatten() for name, part in zip(shapes, values.split(counts.tolist()), strict=True)])


# ------------------------------------------------------------------------------------------------------------- walks


def along_sizes(family: Metamorphosis, width: int, towards: float, share: float) -> GeneratedWeights:
    """A network of `width` whose size coordinates stand for a width between its own (share 0) and `towards` (share 1).

    The lattice of places stays; only what the representation is told about the size moves.
    """
    return family.neumeta(family.family.shapes(width), sizes=sizes(family, width + share * (towards - width)))


def along_line(family: Metamorphosis, width: int, towards: float, share: float) -> GeneratedWeights:
    """The straight line between the two ends of `along_sizes`."""
    first, last = (along_sizes(family, width, towards, end).weights for end in (0.0, 1.0))
    return between(first, last, share)


def noisy(family: Metamorphosis, width: int, count: int, seed: int = 0, noise: float | None = None) -> Iterator[GeneratedWeights]:
    """`count` sets of weights of one width, each with its own draw of the coordinate noise; the first has none.

    Args:
        noise: width of the uniform noise in raw coordinates; that of the training when None.
    """
    generator = torch.Generator().manual_seed(seed)
    shapes = family.family.shapes(width)
    rows = sum(math.prod((*shape, 1)[:2]) for shape in shapes.values())
    for number in range(count):
        own = coordinate_noise(rows, family.noise if noise is None else noise, generator) if number else None
        yield family.neumeta(shapes, noise=own)


def averaged(family: Metamorphosis, width: int, counts: Sequence[int], seed: int = 0) -> Iterator[tuple[int, GeneratedWeights]]:
    """(K, mean of the first K sets of `noisy`) for every K in `counts`, which must rise."""
    sets: list[GeneratedWeights] = []
    for number, drawn in enumerate(noisy(family, width, max(counts), seed), start=1):
        sets.append(drawn)
        if number in counts:
            yield number, mean_of(sets)
