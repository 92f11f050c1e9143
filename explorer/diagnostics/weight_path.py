"""Numbers about a WeightPath: do the weights grow with the input, is the network dead somewhere, how straight is the path."""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.diagnostics.measure import Measure, NotMeasurable, measure, sections
from models.structures import WeightPath

KEYS = ("path_growth", "path_range", "path_dead", "path_straight", "path_signal")
FROM = 0.1  # smallest γ for ratios: at 0 the weights may be nothing at all


def growth(path: WeightPath) -> float:
    """Correlation of |γ| and ‖θ(γ)‖.

    Raises:
        NotMeasurable: all θ have the same length.
    """
    both = torch.stack([path.inputs.abs().double(), path.norm().double()])
    if both.std(1).min() < 1e-12:
        raise NotMeasurable("all sets of weights have the same length")
    return float(torch.corrcoef(both)[0, 1])


def straightness(path: WeightPath) -> float:
    """Share of ‖θ(γ) − θ₀‖² along its first singular direction.

    Raises:
        NotMeasurable: γ changes nothing.
    """
    power = torch.linalg.svdvals((path.weights - path.base).double()).square()
    if power.sum() == 0:
        raise NotMeasurable("γ changes nothing in the weights")
    return float(power[0] / power.sum())


def swing(values: Tensor, path: WeightPath) -> float:
    """Largest of the values [G] over γ ≥ 0.1 ÷ smallest.

    Raises:
        NotMeasurable: the smallest is 0.
    """
    known = values[path.inputs >= FROM].double()
    if known.min() == 0:
        raise NotMeasurable("at some γ there is nothing at all")
    return float(known.max() / known.min())


def summary(path: WeightPath) -> list[Measure]:
    """All measures of one hypernetwork."""
    size = path.weights.double().std(1, correction=0)

    def grows() -> list[Measure]:
        value = growth(path)
        words = "the weights are as large as the input" if value > 0.999 else "the size of the weights follows other things too"
        return [measure("path_growth", value, words=words)]

    def dead() -> list[Measure]:
        if size[-1] == 0:
            raise NotMeasurable("at γ = 1 all weights are 0")
        return [measure("path_dead", float(size[0] / size[-1]))]

    def straight() -> list[Measure]:
        value = straightness(path)
        return [measure("path_straight", value, words="a straight ray" if value > 0.9999 else "a bent path")]

    return sections(
        [
            (KEYS[0:1], grows),
            (KEYS[1:2], lambda: [measure("path_range", swing(size, path))]),
            (KEYS[2:3], dead),
            (KEYS[3:4], straight),
            (KEYS[4:5], lambda: [measure("path_signal", swing(path.activation[:, -1], path))]),
        ]
    )
