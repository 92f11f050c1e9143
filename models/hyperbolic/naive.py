"""The layers as compositions of operations of the ball, one after the other, with plain automatic differentiation.

Slow and large on purpose of clarity: it says what the closed form must equal, and is what the benchmark measures it against.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from models.hyperbolic import ball
from models.hyperbolic.operations import SPREAD_FLOOR, VARIANCE_FLOOR, Conformal, Mean, Operations, Window, beta_ratio


def gyroplane_scores(x: Tensor, z: Tensor, r: Tensor, c: Tensor, conformal: Conformal = "paper") -> Tensor:
    """Signed distances of points x [..., n] to the gyroplanes (z [n, K], r [K]), times 2‖z_k‖ each, [..., K].

    v_k = (2‖z_k‖/√c) asinh(√c λ ⟨x, z_k/‖z_k‖⟩ cosh(2√c r_k) − (λ − 1) sinh(2√c r_k)).

    Source: Shimizu, Mukuta, Harada, "Hyperbolic Neural Networks++", ICLR 2021, arXiv 2006.08210, equation 6.
    """
    factor = ball.conformal_factor(x, c) if conformal == "paper" else 2 * ball.gap(x, c)
    size = torch.linalg.vector_norm(z, dim=0)
    turn = 2 * c.sqrt() * r
    sine = c.sqrt() * factor * (x @ (z / size.clamp(min=1e-15))) * torch.cosh(turn) - (factor - 1) * torch.sinh(turn)
    return (2 * size / c.sqrt()) * torch.asinh(sine)


def fully_connected(x: Tensor, z: Tensor, r: Tensor, c: Tensor, conformal: Conformal = "paper") -> Tensor:
    """The point y [..., K] whose signed distances to the coordinate gyroplanes are the scores: y = w/(1 + √(1 + c‖w‖²)),
    w = sinh(√c v)/√c. Source: the same paper, equation 7."""
    w = torch.sinh(c.sqrt() * gyroplane_scores(x, z, r, c, conformal)) / c.sqrt()
    return w / (1 + (1 + c * w.square().sum(-1, keepdim=True)).sqrt())


def linear(t: Tensor, z: Tensor, r: Tensor, c: Tensor, conformal: Conformal = "paper") -> Tensor:
    return ball.log0(ball.project(fully_connected(ball.exp0(t, c), z, r, c, conformal), c), c)


def convolution(t: Tensor, z: Tensor, r: Tensor, c: Tensor, window: Window, conformal: Conformal = "paper") -> Tensor:
    beta = beta_ratio(t.shape[1], window.kernel**2)
    patches = F.unfold(beta * t, window.kernel, padding=window.padding, stride=window.stride).transpose(1, 2)
    out = linear(patches, z, r, c, conformal).transpose(1, 2)
    height, width = ((side + 2 * window.padding - window.kernel) // window.stride + 1 for side in t.shape[2:])
    return out.reshape(t.shape[0], -1, height, width)


def statistics(t: Tensor, c: Tensor, mean: Mean = "midpoint") -> tuple[Tensor, Tensor]:
    x = ball.exp0(t.movedim(1, -1).reshape(-1, t.shape[1]), c)
    centre = ball.midpoint(x, c) if mean == "midpoint" else ball.frechet_mean(x, c)
    return centre, ball.distance(x, centre, c).square().mean()


def normalise(t: Tensor, centre: Tensor, variance: Tensor, target: Tensor, spread: Tensor, c: Tensor) -> Tensor:
    x, beta = ball.exp0(t.movedim(1, -1), c), ball.exp0(target, c)
    scale = (spread.clamp(min=SPREAD_FLOOR) / (variance + VARIANCE_FLOOR)).sqrt()
    moved = ball.transport(centre, beta, ball.log(centre, x, c), c)
    return ball.log0(ball.exp(beta, scale * moved, c), c).movedim(-1, 1)


def add(y: Tensor, r: Tensor, c: Tensor, axis: int = 1) -> Tensor:
    p, q = (ball.exp0(t.movedim(axis, -1), c) for t in (y, r))
    return ball.log0(ball.mobius_add(p, q, c), c).movedim(-1, axis)


NAIVE = Operations(linear, convolution, statistics, normalise, add)
