"""Numbers about GeneratedWeights: copies, rank, size."""

from __future__ import annotations

import math
import statistics

import torch
from torch import Tensor

from explorer.diagnostics.measure import Measure, NotMeasurable, measure, sections
from models.structures import GeneratedWeights

KEYS = ("generated_count", "generated_copies", "generated_rank", "generated_scale")


def copies(tensor: Tensor) -> float:
    """Share of output channels whose numbers all equal those of an earlier one."""
    rows = tensor.flatten(1)
    return 1 - len(torch.unique(rows, dim=0)) / len(rows)


def stable_rank(tensor: Tensor) -> float:
    """‖W‖²_F ÷ ‖W‖²₂ of a kernel as the matrix [outputs·height, inputs·width]; NaN of zeros."""
    matrix = tensor if tensor.ndim == 2 else tensor.transpose(1, 2).reshape(tensor.shape[0] * tensor.shape[2], -1)
    power = torch.linalg.svdvals(matrix.double()).square()
    return float(power.sum() / power[0]) if power[0] > 0 else math.nan


def scale(tensor: Tensor) -> float:
    """Standard deviation in units of √(2 / fan-in)."""
    return float(tensor.double().std(correction=0) / math.sqrt(2 / tensor[0].numel()))


def summary(found: GeneratedWeights) -> list[Measure]:
    """All measures of one set of weights."""
    matrices = [tensor for tensor in found.weights.values() if tensor.ndim > 1]

    def mean(values: list[float]) -> float:
        if not values:
            raise NotMeasurable("there is no matrix among the weights")
        return statistics.fmean(values)

    return sections(
        [
            (KEYS[0:1], lambda: [measure("generated_count", found.count(), tensors=len(found.weights))]),
            (KEYS[1:2], lambda: [measure("generated_copies", mean([copies(t) for t in matrices if t.ndim == 4]))]),
            (KEYS[2:3], lambda: [measure("generated_rank", mean([stable_rank(t) for t in matrices]))]),
            (KEYS[3:4], lambda: [measure("generated_scale", statistics.median([scale(t) for t in matrices]))]),
        ]
    )
