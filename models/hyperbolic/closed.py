"""The layers in closed form: ordinary convolutions and a few scalars per position.

With h = √c‖t‖ the factors of the ball are λ = 2cosh²h and λ − 1 = cosh 2h, so exponential map and gyroplanes merge:

    arg_k = ⟨t, z_k/‖z_k‖⟩ · sinh(2h)/‖t‖ · cosh(2√c r_k) − cosh(2h) · sinh(2√c r_k)
    w_k = sinh(2‖z_k‖ asinh(arg_k)),   N = ‖w‖,   out = w · asinh(N)/(2√c N)

A Poincaré convolution is an ordinary convolution and two scalar maps. Normalisation and skip only ever combine the vectors
t, μ and β, with coefficients that follow from ‖t‖², ⟨t, μ⟩ and ⟨t, β⟩. Nothing is unfolded, no inverse hyperbolic tangent is
taken near the border, and the scalar maps are computed again in the backward pass instead of being kept.

Finite for |t| ≤ 1e15. Vectors inside this file are in units of the ball's radius (multiplied by √c).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from models.hyperbolic import ball
from models.hyperbolic.operations import SPREAD_FLOOR, VARIANCE_FLOOR, Conformal, Mean, Operations, Window, beta_ratio

_TINY = 1e-30  # under roots, which have no slope at 0
_IN_CACHE = 1 << 16  # numbers that a core keeps close

# ----------------------------------------------------------------------------------------------- linear and convolution


def linear(t: Tensor, z: Tensor, r: Tensor, c: Tensor, conformal: Conformal = "paper") -> Tensor:
    normal, tilt, order = _gyroplanes(z, r, c)
    return _respond(t @ normal, _squared(t), tilt, order, c, conformal)


def convolution(t: Tensor, z: Tensor, r: Tensor, c: Tensor, window: Window, conformal: Conformal = "paper") -> Tensor:
    k, channels = window.kernel, t.shape[1]
    beta = beta_ratio(channels, k * k)
    normal, tilt, order = _gyroplanes(z, r, c)
    p = F.conv2d(t, beta * normal.T.reshape(-1, channels, k, k), stride=window.stride, padding=window.padding)
    return _respond(p, patch_squares(t, window), tilt, order, c, conformal)


def patch_squares(t: Tensor, window: Window) -> Tensor:
    """Squared length of the β-scaled patch under every output position, [B, 1, H', W'], from t [B, C, H, W]."""
    beta = beta_ratio(t.shape[1], window.kernel**2)
    padded = F.pad(_squared(t), [window.padding] * 4)  # pooling itself pads by half a kernel at most
    return beta**2 * F.avg_pool2d(padded, window.kernel, window.stride, divisor_override=1)


def response_maps(squared: Tensor, c: Tensor, conformal: Conformal = "paper") -> tuple[Tensor, Tensor]:
    """The two scalar maps of a layer: gain sinh(2a)/ρ and offset cosh(2a), ρ² = squared, a = min(√c ρ, cap)."""
    rho = (squared + _TINY).sqrt()
    a = (c.sqrt() * rho).clamp(max=ball.cap(rho.dtype))
    if conformal == "paper":
        return torch.sinh(2 * a) / rho, torch.cosh(2 * a)
    gap = 1 / torch.cosh(a).square()
    return 2 * gap * torch.tanh(a) / rho, 2 * gap - 1


def _gyroplanes(z: Tensor, r: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Unit normals times cosh(2√c r) [n, K], sinh(2√c r) [K], 2‖z‖ [K]."""
    size = torch.linalg.vector_norm(z, dim=0)
    turn = (2 * c.sqrt() * r).clamp(-40, 40)
    return z / size.clamp(min=1e-15) * torch.cosh(turn), torch.sinh(turn), 2 * size


def _respond(p: Tensor, squared: Tensor, tilt: Tensor, order: Tensor, c: Tensor, conformal: Conformal) -> Tensor:
    gain, offset = _recomputed(partial(response_maps, c=c, conformal=conformal), squared)
    out = _Response.apply(_flat(p), _flat(gain), _flat(offset), tilt, order, c.sqrt())
    return out.view(p.shape)


class _Response(torch.autograd.Function):
    """w = sinh(order · asinh(gain·p − offset·tilt)), out = w · min(asinh(‖w‖)/2, cap)/(√c‖w‖); p [B, K, N], maps [B, 1, N].

    Keeps p and the maps; a plain chain of operations would keep five more tensors of the size of p. A few pictures at a time, so
    that what lies between stays in the cache.
    """

    @staticmethod
    def forward(ctx: Any, p: Tensor, gain: Tensor, offset: Tensor, tilt: Tensor, order: Tensor, root_c: Tensor) -> Tensor:
        ctx.save_for_backward(p, gain, offset, tilt, order, root_c)
        out = torch.empty_like(p)
        for some in _slices(p):
            *_, w = _bent(p[some], gain[some], offset[some], tilt, order)
            torch.mul(w, _shrink(_length(w)) / root_c, out=out[some])
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        p, gain, offset, tilt, order, root_c = ctx.saved_tensors
        grad_p, grad_gain, grad_offset = (torch.empty_like(x) for x in (p, gain, offset))
        grad_tilt, grad_order = torch.zeros_like(tilt), torch.zeros_like(order)
        for some in _slices(p):
            arg, bend, w = _bent(p[some], gain[some], offset[some], tilt, order)
            size, grad = _length(w), grads[0][some]
            grad_exponent = grad * (_shrink(size) / root_c)
            grad_exponent.addcmul_(w, (grad * w).sum(1, keepdim=True) * (_shrink_slope(size) / root_c))
            grad_exponent.mul_(w.square_().add_(1).sqrt_())  # cosh of the exponent
            grad_order += (grad_exponent * bend).sum((0, 2))
            grad_arg = grad_exponent.mul_(order[:, None]).div_(arg.square_().add_(1).sqrt_())
            grad_tilt -= torch.bmm(grad_arg, offset[some].mT).sum((0, 2))
            torch.bmm(-tilt.expand(len(arg), 1, -1), grad_arg, out=grad_offset[some])
            torch.sum(grad_arg * p[some], 1, keepdim=True, out=grad_gain[some])
            torch.mul(grad_arg, gain[some], out=grad_p[some])
        return grad_p, grad_gain, grad_offset, grad_tilt, grad_order, None


def _bent(p: Tensor, gain: Tensor, offset: Tensor, tilt: Tensor, order: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(arg, asinh(arg), w) of `_Response`. Exponents stop where the square of sinh still is a number."""
    arg = (p * gain).addcmul_(offset, tilt[:, None], value=-1)
    bend = _asinh(arg)
    most = 300.0 if p.dtype == torch.float64 else 40.0
    return arg, bend, (bend * order[:, None]).clamp_(-most, most).sinh_()


def _length(w: Tensor) -> Tensor:
    return w.square().sum(1, keepdim=True).sqrt_()


def _shrink(size: Tensor) -> Tensor:
    """min(asinh(N)/2, cap)/N; ½ at 0."""
    half = (_asinh(size) / 2).clamp(max=ball.cap(size.dtype))
    return torch.where(size > 1e-15, half / size.clamp(min=1e-15), 0.5)


def _shrink_slope(size: Tensor) -> Tensor:
    """Slope of `_shrink`, divided by N; −1/6 + 3N²/20 near 0, where the difference below has no digits left."""
    half = _asinh(size) / 2
    far = half > ball.cap(size.dtype)
    safe = size.clamp(min=1e-3)
    change = torch.where(far, 0, 0.5 * safe / (1 + safe.square()).sqrt()) - half.clamp(max=ball.cap(size.dtype))
    return torch.where(size < 1e-3, -1 / 6 + 0.15 * size.square(), change / safe**3)


# ------------------------------------------------------------------------------------------------------- normalisation


def statistics(t: Tensor, c: Tensor, mean: Mean = "midpoint") -> tuple[Tensor, Tensor]:
    flat, squared = _flat(t), _flat(_squared(t))
    if mean == "frechet":
        centre = c.sqrt() * ball.frechet_mean(ball.exp0(flat.mT.reshape(-1, t.shape[1]), c), c)
    else:
        space, time = _recomputed(partial(_lift, c=c), squared)
        klein = torch.bmm(flat, space.mT).sum((0, 2)) / time.sum()
        centre = klein / (1 + ball.gap(klein, 1.0).sqrt())
    inner = torch.bmm(centre.expand(len(flat), 1, -1), flat)
    variance = _recomputed(partial(_distance_squared, c=c), squared, inner, centre.square().sum()).mean()
    return centre / c.sqrt(), variance


def normalise(t: Tensor, centre: Tensor, variance: Tensor, target: Tensor, spread: Tensor, c: Tensor) -> Tensor:
    m, b = c.sqrt() * centre, c.sqrt() * ball.exp0(target, c)
    scale = (spread.clamp(min=SPREAD_FLOOR) / (variance + VARIANCE_FLOOR)).sqrt()
    out = _Span.apply(partial(_move_maps, c=c), _flat(t), torch.stack([m, b]), m @ m, b @ b, m @ b, scale)
    return out.view(t.shape)


class _Span(torch.autograd.Function):
    """out = f·t + Σ_k g_k v_k for t [B, C, N] and vectors v [K, C]; the coefficients f [B, 1, N] and g [B, K, N] are
    maps(‖t‖², ⟨t, v_k⟩, scalars…). The maps are computed again in the backward pass."""

    @staticmethod
    def forward(ctx: Any, maps: Callable[..., tuple[Tensor, Tensor]], t: Tensor, v: Tensor, *scalars: Tensor) -> Tensor:
        ctx.maps = maps
        ctx.save_for_backward(t, v, *scalars)
        every = v.expand(len(t), -1, -1)
        f, g = maps(_squared(t), torch.bmm(every, t), *scalars)
        return torch.baddbmm(f * t, every.mT, g)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,), (t, v, *scalars) = grads, ctx.saved_tensors
        every = v.expand(len(t), -1, -1)
        given = [x.detach().requires_grad_() for x in (_squared(t), torch.bmm(every, t), *scalars)]
        with torch.enable_grad():
            f, g = ctx.maps(*given)
        for_f, for_g = (grad * t).sum(1, keepdim=True), torch.bmm(every, grad)
        grad_squared, grad_inner, *grad_scalars = torch.autograd.grad((f, g), given, (for_f, for_g))
        grad_t = torch.baddbmm(f.detach() * grad + (2 * grad_squared) * t, every.mT, grad_inner)
        grad_v = (torch.bmm(g.detach(), grad.mT) + torch.bmm(grad_inner, t.mT)).sum(0)
        return None, grad_t, grad_v, *grad_scalars


def _distance_squared(squared: Tensor, inner: Tensor, m2: Tensor, c: Tensor) -> Tensor:
    """d(exp0(t), μ)² from ‖t‖², ⟨t, μ⟩ and ‖μ‖²."""
    space, time = _lift(squared, c)
    boost = 2 / _gap(m2)
    u = ((boost - 1) * time - boost * space * inner - 1).clamp(min=_TINY)
    return torch.log1p(u + (u * (u + 2)).sqrt()).square() / c


def _move_maps(squared: Tensor, inner: Tensor, m2: Tensor, b2: Tensor, mb: Tensor, scale: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Coefficients of t and of (μ, β) in log0(β ⊕ (scale ⊗ gyr[β, −μ]((−μ) ⊕ exp0(t)))), in hyperboloid coordinates.

    Adding −μ is the boost (X₀, X) → (M₀X₀ − M₁⟨μ, X⟩, X + M₁(⟨μ, X⟩ − X₀)μ) with M₁ = 2/(1 − ‖μ‖²), M₀ = M₁ − 1.
    """
    boost_m, boost_b, turn = 2 / _gap(m2), 2 / _gap(b2), 2 / (1 - 2 * mb + b2 * m2)
    space, time = _lift(squared, c)
    mx, bx = (space * inner).split(1, 1)
    y_m = boost_m * (mx - time)  # y = space · t + y_m μ
    my, by = mx + m2 * y_m, bx + mb * y_m
    turn_m, turn_b = turn * (by - b2 * my), turn * ((2 * mb - 1) * my - m2 * by)  # gyr y − y = turn_m μ + turn_b β
    stretch, time = _Scale.apply((boost_m - 1) * time - boost_m * mx, scale)
    bz = stretch * (by + mb * turn_m + b2 * turn_b)
    w_b = boost_b * (bz + time)
    out = _Drop.apply(w_b - time, c, True)
    along = out * stretch
    return along * space, torch.cat([along * (y_m + turn_m), along * turn_b + out * w_b], 1)


# ---------------------------------------------------------------------------------------------------------------- skip


def add(y: Tensor, r: Tensor, c: Tensor, axis: int = 1) -> Tensor:
    inner = (y * r).sum(axis, keepdim=True)
    for_y, for_r = _recomputed(partial(_add_maps, c=c), _squared(y, axis), _squared(r, axis), inner)
    return torch.addcmul(for_y * y, for_r, r)


def _add_maps(squared_y: Tensor, squared_r: Tensor, inner: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Coefficients of y and r in log0(exp0(y) ⊕ exp0(r))."""
    space_y, time_y = _lift(squared_y, c)
    space_r, time_r = _lift(squared_r, c)
    inner = space_y * space_r * inner
    out = _Drop.apply(time_y * time_r + inner, c, False)
    return out * space_y * (time_r + inner / (1 + time_y)), out * space_r


# ---------------------------------------------------------------------------------------------- hyperboloid coordinates


def _lift(squared: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    return _Lift.apply(squared, c)


class _Lift(torch.autograd.Function):
    """‖t‖² → (sinh(2h)/‖t‖, cosh 2h): the point exp0(t) on the hyperboloid is (time, space · t), time² − ‖space · t‖² = 1."""

    @staticmethod
    def forward(ctx: Any, squared: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        h = (c * squared + _TINY).sqrt_()
        double = 2 * h.clamp(max=ball.cap(h.dtype))
        space, time = torch.sinh(double).div_(h).mul_(c.sqrt()), torch.cosh(double)
        ctx.save_for_backward(h, space, time, c)
        return space, time

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        h, space, time, c = ctx.saved_tensors
        grad_space, grad_time = grads
        inside = h < ball.cap(h.dtype)
        h2, small = h.square(), 1e-2 if h.dtype == torch.float64 else 1e-1
        series = 4 / 3 + h2 * (8 / 15 + h2 * (8 / 105))  # the difference below has no digits left near 0
        slope = torch.where(h < small, series, (time * inside - space / (2 * c.sqrt())) / h2)
        return grad_space * slope * c**1.5 + grad_time * space * inside * c.sqrt(), None


class _Scale(torch.autograd.Function):
    """Y₀ = cosh d, s → (sinh(s·d)/sinh d, cosh(s·d)): the distance from the centre times s."""

    @staticmethod
    def forward(ctx: Any, y0: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        u, size, d = _acosh_parts(y0)
        far = 4 * ball.cap(y0.dtype) + 2  # beyond it nothing changes behind the clip
        scaled = (s * d).clamp_(max=far)
        stretch, time = torch.sinh(scaled).div_(size), torch.cosh(scaled)
        ctx.save_for_backward(u, size, d, s, stretch, time, scaled < far)
        return stretch, time

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        u, size, d, s, stretch, time, inside = ctx.saved_tensors
        grad_stretch, grad_time = grads
        small = 1e-6 if u.dtype == torch.float64 else 1e-3
        series = s * (s**2 - 1) * (1 / 3 + u * ((s**2 - 4) / 15))
        slope = torch.where(u < small, series, (s * time * inside - stretch * (u + 1)) / size.square())
        grad_y0 = grad_stretch * slope + grad_time * (s * stretch * inside)
        grad_s = ((grad_stretch * time / size + grad_time * stretch * size) * d * inside).sum()
        return grad_y0, grad_s


class _Drop(torch.autograd.Function):
    """W₀ = cosh 2h → h/(√c sinh 2h), which turns the space part of a hyperboloid point into log0 of the point."""

    @staticmethod
    def forward(ctx: Any, w0: Tensor, c: Tensor, clip: bool) -> Tensor:
        u, size, d = _acosh_parts(w0)
        half = d.div_(2)
        inside = half < (ball.cap(w0.dtype) if clip else torch.inf)
        if clip:
            half.clamp_(max=ball.cap(w0.dtype))
        out = half / (size * c.sqrt())
        ctx.save_for_backward(u, size, out, inside, c)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        u, size, out, inside, c = ctx.saved_tensors
        small = 1e-6 if u.dtype == torch.float64 else 1e-3
        slope = torch.where(u < small, (2 / 15 * u - 1 / 6) / c.sqrt(), (inside / (2 * c.sqrt()) - out * (u + 1)) / size.square())
        return grads[0] * slope, None, None


def _acosh_parts(x0: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x₀ − 1, √(x₀² − 1) and acosh x₀."""
    u = (x0 - 1).clamp_(min=_TINY)
    size = (u * (u + 2)).sqrt_()
    return u, size, torch.log1p(u + size)


# --------------------------------------------------------------------------------------------------------- small parts


def _gap(squared: Tensor) -> Tensor:
    return (1 - squared).clamp(min=torch.finfo(squared.dtype).eps)


def _asinh(x: Tensor) -> Tensor:
    """torch.asinh for |x| ≤ 1e18, three times faster on a CPU: the built-in one is not vectorised. Not differentiable."""
    square = x.square()
    below = (square + 1).sqrt_().add_(1)
    return square.div_(below).add_(x.abs()).log1p_().copysign_(x)


def _squared(t: Tensor, axis: int = 1) -> Tensor:
    return t.square().sum(axis, keepdim=True)


def _flat(t: Tensor) -> Tensor:
    """[B, C, …] → [B, C, N]."""
    return t.reshape(*t.shape[:2], -1)


def _slices(p: Tensor) -> list[slice]:
    """Pictures of [B, K, N] that are worked on together: all, or on a CPU as many as its cache holds."""
    step = len(p) if p.is_cuda else max(1, _IN_CACHE // p[0].numel())
    return [slice(start, start + step) for start in range(0, len(p), step)]


def _recomputed(maps: Callable[..., Any], *given: Tensor) -> Any:
    """maps(*given), computed again in the backward pass: dozens of scalars per position would outweigh the features."""
    if not torch.is_grad_enabled():
        return maps(*given)
    return checkpoint(maps, *given, use_reentrant=False, preserve_rng_state=False)


CLOSED = Operations(linear, convolution, statistics, normalise, add)
