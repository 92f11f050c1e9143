"""Operations of the Poincaré ball, as pure functions.

c > 0 stands for the sectional curvature −c: the ball has radius 1/√c and the conformal factor λ_x = 2/(1 − c‖x‖²). Vectors
lie along the last axis, everything else broadcasts. c is a number or a tensor without axes, and every function can be
differentiated by it.

Points must lie inside the ball; `project` puts them there and `require_inside` refuses the others. Tangent vectors may be of
any finite length: none of them gives NaN.

Where a textbook formula loses its digits near the border, an equal one is used here. With w = x + y

    x ⊕ y = (c‖w‖² x + (1 − c‖x‖²) w) / (c‖w‖² + (1 − c‖x‖²)(1 − c‖y‖²))
    d(x, y) = (2/√c) asinh(√c‖x − y‖ / √((1 − c‖x‖²)(1 − c‖y‖²)))

so nearby points keep their small difference and no inverse hyperbolic tangent is taken next to 1.

Sources: Ungar, "A Gyrovector Space Approach to Hyperbolic Geometry", 2009; Ganea, Bécigneul, Hofmann, "Hyperbolic Neural
Networks", NeurIPS 2018, arXiv 1805.09112.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

Curvature = float | Tensor

_BOUND = 1e15  # tanh is 1 to the last bit long before, and squares of longer vectors would overflow float32
_TINY = 1e-15  # below this, tanh(q)/q and its relatives are 1 in every precision


class OutsideBallError(ValueError):
    """A point is not inside the ball, or is not a finite number. The message names the row."""


# ----------------------------------------------------------------------------------------------------- border and refusals


def margin(dtype: torch.dtype) -> float:
    """ε of the clip that the released networks use: no point lies farther out than (1 − ε)/√c. 1e-5 in float64, else 4e-3.

    Raises:
        TypeError: half precision, which cannot tell the radii of a network apart.
    """
    if dtype not in (torch.float32, torch.float64):
        raise TypeError(
            f"hyperbolic layers need float32 or float64; {str(dtype).removeprefix('torch.')} cannot resolve radii near the border"
        )
    return 1e-5 if dtype == torch.float64 else 4e-3


def cap(dtype: torch.dtype) -> float:
    """Largest half radius √c·‖log0 x‖ that the clip leaves: atanh(1 − ε) = 3.106 in float32, 6.103 in float64."""
    return math.atanh(1 - margin(dtype))


def require_curvature(c: Curvature) -> None:
    """Raise ValueError unless c is a finite number above 0."""
    value = _number(c)
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"the curvature c is {value:g}; it must be a finite number above 0 (the space then has curvature −c)")


def require_inside(x: Tensor, c: Curvature) -> None:
    """Raise OutsideBallError for the first row of x [..., d] that is not finite or not inside the ball of radius 1/√c."""
    require_curvature(c)
    rows = x.detach().reshape(-1, x.shape[-1]).double()
    broken = ~rows.isfinite().all(-1)
    if broken.any():
        raise OutsideBallError(f"row {int(broken.nonzero()[0])} is not a finite number everywhere")
    size = rows.norm(dim=-1) * _number(c) ** 0.5
    if (size >= 1).any():
        row = int((size >= 1).nonzero()[0])
        raise OutsideBallError(f"row {row} has norm {size[row]:.6g}/√c; points of the ball have a norm below 1/√c")


def project(x: Tensor, c: Curvature, eps: float | None = None) -> Tensor:
    """Pull points [..., d] that lie beyond (1 − ε)/√c back to that radius. ε defaults to `margin` of the type."""
    return _shortened(x, (1 - (margin(x.dtype) if eps is None else eps)) / _root(c))


# ------------------------------------------------------------------------------------------------------------ small parts


def norm(v: Tensor) -> Tensor:
    """Euclidean length, [..., 1]; finite for every finite v, with gradient 0 at 0."""
    scale, _, size = _in_reach(v)
    return (scale * size).clamp(max=torch.finfo(v.dtype).max)


def gap(x: Tensor, c: Curvature) -> Tensor:
    """1 − c‖x‖², [..., 1], at least one rounding step."""
    return (1 - c * x.square().sum(-1, keepdim=True)).clamp(min=torch.finfo(x.dtype).eps)


def conformal_factor(x: Tensor, c: Curvature) -> Tensor:
    """λ_x = 2/(1 − c‖x‖²), [..., 1]."""
    return 2 / gap(x, c)


def ratio(a: Tensor, b: Tensor) -> Tensor:
    """a/b for a = f(b) with f(b) ≈ b near 0 (tanh, atanh, sinh, asinh): 1 there."""
    small = b.abs() < _TINY
    return torch.where(small, torch.ones_like(b), a / torch.where(small, torch.ones_like(b), b))


def _root(c: Curvature) -> Any:
    return c**0.5


def _number(c: Curvature) -> float:
    return c.item() if isinstance(c, Tensor) else float(c)


def _shortened(v: Tensor, limit: Curvature) -> Tensor:
    """v where its length is at most `limit`, else the vector of that length in its direction."""
    scale, u, size = _in_reach(v)
    # The direction comes first: the slope of limit/‖v‖ would need ‖v‖², which overflows.
    return torch.where(size > limit / scale, u / size.clamp(min=_TINY) * limit, v)


def _in_reach(v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A scale s ≥ 1 [..., 1], v/s, whose squares do not overflow, and the length of v/s [..., 1]."""
    scale = v.detach().abs().amax(-1, keepdim=True).clamp(min=1)
    u = v / scale
    return scale, u, torch.linalg.vector_norm(u, dim=-1, keepdim=True)


def _bounded(v: Tensor) -> Tensor:
    return _shortened(v, _BOUND)


def _atanh(q: Tensor) -> Tensor:
    return torch.atanh(q.clamp(max=1 - torch.finfo(q.dtype).eps))


# ------------------------------------------------------------------------------------------------------- gyrovector space


def mobius_add(x: Tensor, y: Tensor, c: Curvature) -> Tensor:
    """x ⊕ y, [..., d]. −x is the inverse of x."""
    w = x + y
    apart, gap_x = c * w.square().sum(-1, keepdim=True), gap(x, c)
    return (apart * x + gap_x * w) / (apart + gap_x * gap(y, c))


def mobius_scalar(r: Curvature, x: Tensor, c: Curvature) -> Tensor:
    """r ⊗ x = tanh(r·atanh(√c‖x‖)) x/(√c‖x‖): the radius is multiplied by r. r is a number or [..., 1]."""
    size = _root(c) * norm(x)
    half = _atanh(size)
    return x * (r * ratio(torch.tanh(r * half), r * half) * ratio(half, size))


def mobius_matvec(m: Tensor, x: Tensor, c: Curvature) -> Tensor:
    """M ⊗ x = exp0(M log0 x) for m [n, d] and points x [..., d] → [..., n]; 0 where Mx = 0."""
    return exp0(log0(x, c) @ m.mT, c)


def gyration(u: Tensor, v: Tensor, w: Tensor, c: Curvature) -> Tensor:
    """gyr[u, v] w: the rotation by which ⊕ fails to be associative, u ⊕ (v ⊕ w) = (u ⊕ v) ⊕ gyr[u, v] w."""
    from_u, from_v = _gyration_rows(u, v, c)
    return w + 2 * (u * (from_u * w).sum(-1, keepdim=True) + v * (from_v * w).sum(-1, keepdim=True))


def gyration_matrix(u: Tensor, v: Tensor, c: Curvature) -> Tensor:
    """The orthogonal matrix of gyr[u, v], [..., d, d]."""
    from_u, from_v = _gyration_rows(u, v, c)
    identity = torch.eye(u.shape[-1], dtype=u.dtype, device=u.device)
    return identity + 2 * (u[..., None] * from_u[..., None, :] + v[..., None] * from_v[..., None, :])


def _gyration_rows(u: Tensor, v: Tensor, c: Curvature) -> tuple[Tensor, Tensor]:
    """a/D and b/D of gyr[u, v] = I + 2(u aᵀ + v bᵀ)/D."""
    u2, v2, uv = u.square().sum(-1, keepdim=True), v.square().sum(-1, keepdim=True), (u * v).sum(-1, keepdim=True)
    d = c * (u + v).square().sum(-1, keepdim=True) + gap(u, c) * gap(v, c)
    a = -(c**2) * v2 * u + (c + 2 * c**2 * uv) * v
    b = -(c**2) * u2 * v - c * u
    return a / d, b / d


# ----------------------------------------------------------------------------------------------------- exponential and log


def exp0(v: Tensor, c: Curvature) -> Tensor:
    """The point reached from the origin along the tangent vector v: tanh(√c‖v‖) v/(√c‖v‖), clipped as `project` does."""
    v = _bounded(v)
    q = _root(c) * norm(v)
    return project(v * ratio(torch.tanh(q), q), c)


def log0(x: Tensor, c: Curvature) -> Tensor:
    """The tangent vector at the origin that leads to x: atanh(√c‖x‖) x/(√c‖x‖). Its length is half the radius d(0, x)."""
    q = _root(c) * norm(x)
    return x * ratio(_atanh(q), q)


def exp(x: Tensor, v: Tensor, c: Curvature) -> Tensor:
    """The point reached from x along the tangent vector v: x ⊕ tanh(√c λ_x‖v‖/2) v/(√c‖v‖), clipped as `project` does."""
    v = _bounded(v)
    half_factor = 1 / gap(x, c)
    q = _root(c) * half_factor * norm(v)
    return project(mobius_add(x, v * half_factor * ratio(torch.tanh(q), q), c), c)


def log(x: Tensor, y: Tensor, c: Curvature) -> Tensor:
    """The tangent vector at x that leads to y, so that exp(x, log(x, y)) = y."""
    step = mobius_add(-x, y, c)
    half = _half_distance(x, y, c)
    return step * gap(x, c) * ratio(half, torch.tanh(half))


def transport(x: Tensor, y: Tensor, v: Tensor, c: Curvature) -> Tensor:
    """Parallel transport of the tangent vector v from x to y: gyr[y, −x] v · λ_x/λ_y. It keeps λ‖v‖."""
    return gyration(y, -x, v, c) * (gap(y, c) / gap(x, c))


def geodesic(x: Tensor, y: Tensor, t: Curvature, c: Curvature) -> Tensor:
    """γ(t) = x ⊕ (t ⊗ ((−x) ⊕ y)): x at t = 0, y at t = 1, equal hyperbolic steps between. t is a number or [..., 1]."""
    return mobius_add(x, mobius_scalar(t, mobius_add(-x, y, c), c), c)


# -------------------------------------------------------------------------------------------------------------- distances


def distance(x: Tensor, y: Tensor, c: Curvature) -> Tensor:
    """d(x, y), [...]."""
    return (2 / _root(c)) * _half_distance(x, y, c)[..., 0]


def distance0(x: Tensor, c: Curvature) -> Tensor:
    """d(0, x), the hyperbolic radius of x, [...]."""
    return (2 / _root(c)) * _atanh(_root(c) * norm(x))[..., 0]


def pairwise_distance(x: Tensor, y: Tensor, c: Curvature) -> Tensor:
    """d(x_i, y_j) for x [..., N, d] and y [..., M, d] → [..., N, M], without holding [N, M, d]."""
    # The matrix form of cdist subtracts squares, which would lose exactly the small distances.
    apart = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    return (2 / _root(c)) * torch.asinh(_root(c) * apart * (gap(x, c) * gap(y, c).mT).rsqrt())


def tangent_distance(s: Tensor, t: Tensor, c: Curvature) -> Tensor:
    """d(exp0 s, exp0 t) from the tangent vectors, [...]: nothing is clipped, so any radius keeps its digits.

    With half radii h₁, h₂ and the angle θ between the directions,
    sinh²(√c d/2) = sinh²(h₁ − h₂) + sinh 2h₁ · sinh 2h₂ · sin²(θ/2). Half radii beyond 40 (float64: 350) count as that.
    """
    limit = (350.0 if s.dtype == torch.float64 else 40.0) / _root(c)
    s, t = _shortened(s, limit), _shortened(t, limit)
    size_s, size_t = norm(s), norm(t)
    # Lengths and directions may differ by less than a rounding step of each: both differences are taken from s − t.
    apart = s - t
    longer = (apart * (s + t)).sum(-1, keepdim=True) / (size_s + size_t).clamp(min=_TINY)
    turned = (apart - s * (longer / size_s.clamp(min=_TINY))) / size_t.clamp(min=_TINY)
    half_chord = torch.linalg.vector_norm(turned, dim=-1, keepdim=True) / 2
    # 1e-30: roots and hypotenuse have no slope at 0, where one of the two is the origin, or both are the same.
    across = (torch.sinh(2 * _root(c) * size_s) + 1e-30).sqrt() * (torch.sinh(2 * _root(c) * size_t) + 1e-30).sqrt() * half_chord
    return (2 / _root(c)) * torch.asinh(torch.hypot(torch.sinh(_root(c) * longer), across + 1e-30))[..., 0]


def plane_distance(x: Tensor, p: Tensor, a: Tensor, c: Curvature) -> Tensor:
    """Signed distance of x to the gyroplane through p with normal a, [...]; positive on the side that a points to."""
    w = x - p
    apart, gap_p = c * w.square().sum(-1, keepdim=True), gap(p, c)
    normal = a / norm(a).clamp(min=_TINY)
    along = ((gap_p * w - apart * p) * normal).sum(-1, keepdim=True)  # ⟨(−p) ⊕ x, a/‖a‖⟩ times the denominator of ⊕
    sine = 2 * _root(c) * along / (gap_p * gap(x, c))
    return torch.asinh(sine)[..., 0] / _root(c)


def _half_distance(x: Tensor, y: Tensor, c: Curvature) -> Tensor:
    """√c·d(x, y)/2, [..., 1]."""
    return torch.asinh(_root(c) * norm(x - y) * (gap(x, c) * gap(y, c)).rsqrt())


# ------------------------------------------------------------------------------------------------------------------ means


def midpoint(x: Tensor, c: Curvature, weights: Tensor | None = None) -> Tensor:
    """Weighted gyromidpoint of x [..., N, d] → [..., d], in closed form.

    q = Σ w λ x / Σ w (λ − 1), m = q/(1 + √(1 − c‖q‖²)): the normalised centroid on the hyperboloid.

    Args:
        weights: [..., N], not negative; None counts all points alike.
    Source: van Spengler, Berkhout, Mettes, "Poincaré ResNet", ICCV 2023, section 3.3.
    """
    factor = conformal_factor(x, c)
    w = torch.ones_like(factor) if weights is None else weights[..., None]
    q = (w * factor * x).sum(-2) / (w * (factor - 1)).sum(-2)
    return q / (1 + gap(q, c).sqrt())


def frechet_mean(x: Tensor, c: Curvature, steps: int = 100) -> Tensor:
    """The point with the least mean squared distance to x [..., N, d] → [..., d], by iteration.

    Each step takes the gyromidpoint with the weights √c·d/sinh(√c·d): d² is concave in cosh(√c·d), so no step can raise the sum.

    Args:
        steps: at most so many; it stops when the mean moves by less than 1e-13 (float32: 1e-6) of the ball's radius.
    """
    mean = midpoint(x, c)
    enough = (1e-13 if x.dtype == torch.float64 else 1e-6) / _number(c) ** 0.5
    for _ in range(steps):
        d = _root(c) * distance(x, mean[..., None, :], c)
        before, mean = mean, midpoint(x, c, 1 / ratio(torch.sinh(d), d))
        if (mean.detach() - before.detach()).abs().amax().item() < enough:
            break
    return mean


def centred(x: Tensor, c: Curvature) -> Tensor:
    """The same points [N, d] seen from their Fréchet mean: x ← (−m) ⊕ x, which keeps every distance."""
    return mobius_add(-frechet_mean(x, c), x, c)


# ------------------------------------------------------------------------------------------------------------ other models


def to_klein(x: Tensor, c: Curvature) -> Tensor:
    """Klein coordinates 2x/(1 + c‖x‖²), in which geodesics are straight."""
    return 2 * x / (1 + c * x.square().sum(-1, keepdim=True))


def from_klein(k: Tensor, c: Curvature) -> Tensor:
    """The point of the ball with Klein coordinates k."""
    return k / (1 + gap(k, c).sqrt())


def to_hyperboloid(x: Tensor, c: Curvature) -> Tensor:
    """(X₀, X₁…X_d) on X₀² − ‖X₁…X_d‖² = 1: (1 + c‖x‖², 2√c x)/(1 − c‖x‖²), [..., d + 1]."""
    u = _root(c) * x
    return torch.cat([1 + u.square().sum(-1, keepdim=True), 2 * u], -1) / gap(x, c)


def from_hyperboloid(points: Tensor, c: Curvature) -> Tensor:
    """The points of the ball [..., d] for hyperboloid coordinates [..., d + 1], time first."""
    return points[..., 1:] / (1 + points[..., :1]) / _root(c)
