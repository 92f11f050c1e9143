"""The layers of Poincaré ResNet as functions: what each takes and gives, whichever way it is computed.

All exchange tangent vectors at the origin, t = log0(x), with the channels on axis 1. ‖t‖ is half the hyperbolic radius.

    closed.py    per-position scalars and ordinary convolutions; what the networks run
    naive.py     the same formulas spelled out in operations of the ball; what the closed form is measured against
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import exp, lgamma
from typing import Literal

from torch import Tensor

Conformal = Literal["paper", "released"]  # λ = 2/(1 − c‖x‖²), or the slip 2(1 − c‖x‖²) of the released layers
Mean = Literal["midpoint", "frechet"]


@dataclass(frozen=True)
class Window:
    """The patches of a convolution: kernel × kernel, zero padding."""

    kernel: int
    stride: int = 1
    padding: int = 0


@dataclass(frozen=True)
class Operations:
    """One way to compute the layers.

    Attributes:
        linear: (t [B, n], z [n, K], r [K], c, conformal) → [B, K].
        convolution: (t [B, C, H, W], z [k²C, K], r [K], c, window, conformal) → [B, K, H', W'].
        statistics: (t [B, C, …], c, mean) → centre [C] in the ball, variance [] in squared distance.
        normalise: (t [B, C, …], centre [C], variance [], target [C] tangent, spread [], c) → [B, C, …].
        add: (y, r, c, axis) → log0(exp0(y) ⊕ exp0(r)), the vectors lying along `axis`.
    """

    linear: Callable[[Tensor, Tensor, Tensor, Tensor, Conformal], Tensor]
    convolution: Callable[[Tensor, Tensor, Tensor, Tensor, Window, Conformal], Tensor]
    statistics: Callable[[Tensor, Tensor, Mean], tuple[Tensor, Tensor]]
    normalise: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
    add: Callable[[Tensor, Tensor, Tensor, int], Tensor]


VARIANCE_FLOOR = 1e-6  # added to the variance of a batch, as released
SPREAD_FLOOR = 1e-4  # the learned variance is a free number and may not fall below


@lru_cache
def beta_ratio(channels: int, places: int) -> float:
    """B(n/2, ½)/B(nᵢ/2, ½), n = places·channels, nᵢ = channels: keeps the expected norm when vectors are concatenated.

    Source: Shimizu, Mukuta, Harada, "Hyperbolic Neural Networks++", ICLR 2021, section 3.3 (β-concatenation).
    """
    n, part = places * channels, channels
    return exp(lgamma(n / 2) - lgamma((n + 1) / 2) - lgamma(part / 2) + lgamma((part + 1) / 2))
