"""Numbers about a WeightField: is the tensor smooth, can the lattice see the function, how gently does the function change."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from explorer.diagnostics.measure import Measure, NotMeasurable, measure, measured, sections, unknown
from models.structures import WeightField

KEYS = ("field_step", "field_aliasing", "field_rank", "field_sensitivity", "field_shift")


def step_ratio(field: WeightField) -> float:
    """Mean L1 distance of neighbouring channels along the lattice ÷ that of any two channels; both axes together.

    Raises:
        NotMeasurable: fewer than three channels on every axis, or all channels are the same.
    """
    near, far = [], []
    for axis in (0, 1):
        cities = field.lattice_values.movedim(axis, 0).flatten(1).double()
        if len(cities) > 2:
            near.append(cities.diff(dim=0).abs().sum(1).mean())
            apart = torch.cdist(cities, cities, p=1)
            far.append(apart.sum() / (len(cities) * (len(cities) - 1)))
    if not near or sum(far) == 0:
        raise NotMeasurable("there are fewer than three different channels")
    return float(sum(near) / sum(far))


def aliasing(field: WeightField) -> float:
    """Share of the dense field's energy (mean taken out, Hann window) above half the lattice's rate on either axis.

    Raises:
        NotMeasurable: the dense grid is no finer than the lattice, or the field is constant.
    """
    values = field.values.double().numpy()
    values = values - values.mean((0, 1), keepdims=True)
    over = np.zeros(values.shape[:2], dtype=bool)
    for axis, count in ((0, len(field.lattice_rows)), (1, len(field.lattice_columns))):
        places = values.shape[axis]
        if places == 1:
            continue
        if places < 2 * count:
            raise NotMeasurable("the dense grid is too coarse beside this lattice")
        shape = [-1 if a == axis else 1 for a in (0, 1)]
        values = values * np.hanning(places).reshape(*shape, 1)
        over |= (np.abs(np.fft.fftfreq(places, 1 / places)) > count / 2).reshape(shape)
    energy = (np.abs(np.fft.fft2(values, axes=(0, 1))) ** 2).sum(2)
    energy[0, 0] = 0
    if energy.sum() == 0:
        raise NotMeasurable("the field is constant")
    return float(energy[over].sum() / energy.sum())


def effective_rank(field: WeightField) -> tuple[float, int]:
    """Effective rank of the lattice's weights as the matrix [N0, N1·T], and the largest that is possible.

    Raises:
        NotMeasurable: all weights are 0.
    """
    matrix = field.lattice_values.flatten(1).double()
    sigma = torch.linalg.svdvals(matrix)
    if sigma.sum() == 0:
        raise NotMeasurable("all weights are 0")
    p = sigma / sigma.sum()
    return float(torch.exp(-(p * p.clamp_min(1e-30).log()).sum())), min(matrix.shape)


def in_spreads(change: Tensor, field: WeightField) -> float:
    """Mean size of a change of the lattice's weights, in standard deviations of the weights.

    Raises:
        NotMeasurable: the weights do not differ.
    """
    spread = field.lattice_values.double().std(correction=0)
    if spread == 0:
        raise NotMeasurable("the weights of this tensor do not differ")
    return float(change.double().abs().mean() / spread)


def summary(field: WeightField, nudged: Tensor | None = None, told_full: Tensor | None = None) -> list[Measure]:
    """All measures of one tensor.

    Args:
        nudged: the lattice's weights read with coordinate noise, [N0, N1, T].
        told_full: the same places with the size coordinates of the full width, [N0, N1, T].
    """

    def rank() -> list[Measure]:
        value, most = effective_rank(field)
        return [measure("field_rank", value, outputs=len(field.lattice_rows), most=most)]

    found = sections(
        [
            (KEYS[0:1], lambda: [measure("field_step", step_ratio(field))]),
            (KEYS[1:2], lambda: [measure("field_aliasing", aliasing(field))]),
            (KEYS[2:3], rank),
        ]
    )
    for key, other in (("field_sensitivity", nudged), ("field_shift", told_full)):
        if other is not None:
            found += measured([key], partial(_change, key, other, field))
    return found


def _change(key: str, other: Tensor, field: WeightField) -> list[Measure]:
    return [measure(key, in_spreads(other - field.lattice_values, field))]


def network(accuracy: float, count: int, where: str, alone: float | None) -> list[Measure]:
    """What the whole generated network is worth.

    Args:
        accuracy: share of `count` test pictures.
        where: in words, e.g. "inside the trained band".
        alone: accuracy of a network trained alone at this width, if one was.
    """
    first = measure("generated_accuracy", accuracy, count=count, where=where)
    if alone is None:
        return [first, unknown("generated_gap", "no network of this width was trained alone")]
    return [first, measure("generated_gap", 100 * (alone - accuracy))]
