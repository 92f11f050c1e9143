"""Hyperbolic space: the ball against exact arithmetic and its own laws, closed form against naive composition, networks, trees."""

from __future__ import annotations

import itertools
import math
import sys
from types import SimpleNamespace

import mpmath
import networkx as nx
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.capture import capture
from models.hyperbolic import ball, embeddings, h4g, hierarchy, layers, projections, resnet
from models.hyperbolic.closed import CLOSED
from models.hyperbolic.hierarchy import Hierarchy, HierarchyError
from models.hyperbolic.layers import PoincareBatchNorm2d, PoincareConv2d, PoincareLinear
from models.hyperbolic.naive import NAIVE, gyroplane_scores
from models.hyperbolic.operations import Operations, Window, beta_ratio
from models.hyperbolic.text_graphs import TextGraphError, hashed, parse, text_graphs
from models.structures import BatchMidpoint, Distortion, NormProfile, PoincarePoints, Reconstruction, TangentField
from tests.models.helpers import picture

DTYPES = (torch.float32, torch.float64)
seeds = st.integers(0, 2**32 - 1)
curvatures = st.sampled_from([0.01, 0.1, 1.0, 2.0])


def points(seed: int, c: float = 1.0, n: int = 32, d: int = 4, most: float = 2.0, dtype: torch.dtype = torch.float64) -> Tensor:
    """n points in all directions, half radii √c·‖log0 x‖ evenly in 0…most."""
    generator = torch.Generator().manual_seed(seed)
    direction = F.normalize(torch.randn(n, d, generator=generator, dtype=torch.float64))
    half = most * torch.rand(n, 1, generator=generator, dtype=torch.float64)
    return ball.project((torch.tanh(half) * direction / c**0.5).to(dtype), c)


def unit(x: Tensor, c: float) -> Tensor:
    """Length in units of the ball's radius, [N]."""
    return x.double().norm(dim=-1) * c**0.5


# --------------------------------------------------------------------------------------------------- the ball: its laws


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=10)
@given(seed=seeds, c=curvatures)
def test_adding_the_inverse_from_the_left_takes_a_sum_back(dtype: torch.dtype, seed: int, c: float) -> None:
    most = 0.99 * ball.cap(dtype)
    x, y = points(seed, c, most=most, dtype=dtype), points(seed + 1, c, most=most, dtype=dtype)
    error = unit(ball.mobius_add(-x, ball.mobius_add(x, y, c), c) - y, c)
    assert (error <= 16 * torch.finfo(dtype).eps / ball.gap(x, c)[:, 0].double()).all()


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=10)
@given(seed=seeds, c=curvatures)
def test_addition_is_associative_up_to_the_gyration(dtype: torch.dtype, seed: int, c: float) -> None:
    most = 0.99 * ball.cap(dtype)
    u, v, w = (points(seed + i, c, most=most, dtype=dtype) for i in range(3))
    left = ball.mobius_add(u, ball.mobius_add(v, w, c), c)
    right = ball.mobius_add(ball.mobius_add(u, v, c), ball.gyration(u, v, w, c), c)
    assert (unit(left - right, c) <= 32 * torch.finfo(dtype).eps / (ball.gap(u, c) * ball.gap(v, c))[:, 0].double()).all()
    plain = ball.mobius_add(ball.mobius_add(u, v, c), w, c)
    assert (unit(left - plain, c) > 1e-3).any()  # without the gyration it is not


@settings(max_examples=10)
@given(seed=seeds, c=curvatures)
def test_gyrations_are_rotations(seed: int, c: float) -> None:
    u, v, w = (points(seed + i, c, most=3.0) for i in range(3))
    matrix = ball.gyration_matrix(u, v, c)
    bound = 1e-12 / (ball.gap(u, c) * ball.gap(v, c))
    assert ((matrix @ matrix.mT - torch.eye(4)).abs().amax((1, 2)) <= bound[:, 0]).all()
    assert ((matrix @ w[..., None])[..., 0] - ball.gyration(u, v, w, c)).abs().max() < 1e-9


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=10)
@given(seed=seeds, c=curvatures)
def test_exp_and_log_are_inverse(dtype: torch.dtype, seed: int, c: float) -> None:
    most, eps = 0.99 * ball.cap(dtype), torch.finfo(dtype).eps
    x, y = points(seed, c, most=most, dtype=dtype), points(seed + 1, c, most=most, dtype=dtype)
    assert (unit(ball.exp(x, ball.log(x, y, c), c) - y, c) <= 24 * eps / ball.gap(x, c)[:, 0].double()).all()
    back = ball.exp0(ball.log0(y, c), c)
    assert (unit(back - y, c) <= 8 * eps).all()


@settings(max_examples=10)
@given(seed=seeds, c=curvatures)
def test_translations_keep_distances(seed: int, c: float) -> None:
    a, x, y = (points(seed + i, c, most=5.0) for i in range(3))
    before, after = ball.distance(x, y, c), ball.distance(ball.mobius_add(a, x, c), ball.mobius_add(a, y, c), c)
    gaps = ball.gap(a, c) * torch.minimum(ball.gap(x, c), ball.gap(y, c))
    assert ((after - before).abs() * c**0.5 <= 64 * 2.3e-16 / gaps[:, 0] + 1e-14).all()


@settings(max_examples=10)
@given(seed=seeds, c=curvatures)
def test_transport_keeps_lengths_and_comes_back(seed: int, c: float) -> None:
    x, y = points(seed, c), points(seed + 1, c)
    v = torch.randn(32, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    moved = ball.transport(x, y, v, c)
    length = ball.conformal_factor(x, c) * ball.norm(v)
    assert torch.allclose(ball.conformal_factor(y, c) * ball.norm(moved), length, rtol=1e-9)
    assert torch.allclose(ball.transport(y, x, moved, c), v, rtol=1e-7, atol=1e-9)
    own = ball.log(x, y, c)  # the tangent of a geodesic stays tangent to it
    assert torch.allclose(ball.transport(x, y, own, c), -ball.log(y, x, c), rtol=1e-7, atol=1e-9)


@settings(max_examples=10)
@given(seed=seeds, c=curvatures, t=st.floats(0, 1))
def test_geodesics_have_constant_speed(seed: int, c: float, t: float) -> None:
    x, y = points(seed, c, most=3.0), points(seed + 1, c, most=3.0)
    at, whole = ball.geodesic(x, y, t, c), ball.distance(x, y, c)
    assert torch.allclose(ball.distance(x, at, c), t * whole, rtol=1e-7, atol=1e-8)
    assert torch.allclose(ball.distance(at, y, c), (1 - t) * whole, rtol=1e-7, atol=1e-8)


def test_scalar_and_matrix_multiplication_act_on_the_radius() -> None:
    x = points(0, 0.5)
    assert torch.allclose(ball.distance0(ball.mobius_scalar(0.7, x, 0.5), 0.5), 0.7 * ball.distance0(x, 0.5))
    assert torch.allclose(ball.mobius_matvec(0.7 * torch.eye(4, dtype=torch.float64), x, 0.5), ball.mobius_scalar(0.7, x, 0.5))
    assert torch.equal(ball.mobius_matvec(torch.zeros(3, 4, dtype=torch.float64), x, 0.5), torch.zeros(32, 3, dtype=torch.float64))
    three = ball.mobius_add(x, ball.mobius_add(x, x, 0.5), 0.5)
    assert torch.allclose(ball.mobius_scalar(3.0, x, 0.5), three, atol=1e-9)


# --------------------------------------------------------------------------------------------------- the ball: distances


def exact_distance(s: list[float], t: list[float], c: float) -> float:
    """d(exp0 s, exp0 t) with 60 digits."""
    with mpmath.workdps(60):
        root = mpmath.sqrt(mpmath.mpf(c))

        def point(v: list[float]) -> list[mpmath.mpf]:
            length = mpmath.sqrt(mpmath.fsum(mpmath.mpf(a) ** 2 for a in v))
            return [mpmath.tanh(root * length) * mpmath.mpf(a) / (root * length) for a in v] if length else [mpmath.mpf(0)] * len(v)

        x, y = point(s), point(t)
        square = [mpmath.fsum(a * a for a in v) for v in (x, y, [a - b for a, b in zip(x, y, strict=True)])]
        return float(mpmath.acosh(1 + 2 * c * square[2] / ((1 - c * square[0]) * (1 - c * square[1]))) / root)


@pytest.mark.parametrize(("half", "apart"), [(1.0, 1e-4), (3.0, 1e-4), (3.0, 1.0), (20.0, 1.0)])
@settings(max_examples=10)
@given(seed=seeds)
def test_tangent_distance_keeps_its_digits_in_float32(half: float, apart: float, seed: int) -> None:
    """Nearby points at moderate radii, and any two directions at radii where float32 has no ball coordinates left."""
    generator = torch.Generator().manual_seed(seed)
    s, turn = (F.normalize(torch.randn(3, generator=generator), dim=0) * half for _ in range(2))
    t = s + apart * turn
    exact = exact_distance(s.tolist(), t.tolist(), 1.0)
    assert ball.tangent_distance(s, t, 1.0).item() == pytest.approx(exact, rel=5e-6)


@pytest.mark.parametrize(("dtype", "half", "limit"), [(torch.float32, 2.9, 3e-4), (torch.float64, 2.9, 1e-12), (torch.float64, 6.0, 1e-8)])
@settings(max_examples=10)
@given(seed=seeds, c=curvatures)
def test_distance_against_exact_arithmetic(dtype: torch.dtype, half: float, limit: float, seed: int, c: float) -> None:
    s, t = (ball.log0(points(seed + i, c, n=1, most=half, dtype=dtype), c) for i in range(2))
    exact = exact_distance(s[0].tolist(), t[0].tolist(), c)
    found = ball.distance(ball.exp0(s, c), ball.exp0(t, c), c)
    assert found.item() == pytest.approx(exact, rel=limit, abs=limit)


@settings(max_examples=10)
@given(seed=seeds, c=curvatures)
def test_every_way_to_a_distance_agrees(seed: int, c: float) -> None:
    x, y = points(seed, c, most=4.0), points(seed + 1, c, most=4.0)
    d = ball.distance(x, y, c)
    assert torch.allclose(ball.tangent_distance(ball.log0(x, c), ball.log0(y, c), c), d, rtol=1e-8)
    assert torch.allclose(ball.pairwise_distance(x, y, c).diagonal(), d, rtol=1e-8)
    a, b = ball.to_hyperboloid(x, c), ball.to_hyperboloid(y, c)
    minkowski = a[:, 0] * b[:, 0] - (a[:, 1:] * b[:, 1:]).sum(1)
    assert torch.allclose(torch.acosh(minkowski.clamp(min=1)) / c**0.5, d, atol=1e-4 / c**0.5)
    assert torch.allclose(ball.distance(torch.zeros_like(x), x, c), ball.distance0(x, c), rtol=1e-8)
    assert torch.equal(ball.distance(x, x, c), torch.zeros(32, dtype=torch.float64))
    three = ball.distance(x, y.roll(1, 0), c) + ball.distance(y.roll(1, 0), y, c)
    assert (d <= three * (1 + 1e-9)).all()


@settings(max_examples=10)
@given(seed=seeds, c=curvatures)
def test_other_models_come_back(seed: int, c: float) -> None:
    x = points(seed, c, most=4.0)
    for there, back in ((ball.to_klein, ball.from_klein), (ball.to_hyperboloid, ball.from_hyperboloid)):
        assert torch.allclose(back(there(x, c), c), x, atol=1e-9 / c**0.5)
    y, half = points(seed + 1, c, most=2.0), ball.geodesic(x, points(seed + 1, c, most=2.0), 0.5, c)
    a, b, m = (ball.to_klein(p, c) for p in (x, y, half))  # geodesics are straight in Klein coordinates
    across = (m - a) - ((m - a) * (b - a)).sum(1, keepdim=True) / (b - a).square().sum(1, keepdim=True) * (b - a)
    assert unit(across, c).max() < 1e-8


@settings(max_examples=10)
@given(seed=seeds, c=curvatures)
def test_distance_to_a_plane_is_the_least_distance_to_its_points(seed: int, c: float) -> None:
    p, normal = points(seed, c, n=1, most=1.0), points(seed + 1, c, n=1)
    for signed in (-1.3, 0.4, 2.0):  # walk straight off the plane
        x = ball.exp(p, signed * normal / ball.norm(normal) / ball.conformal_factor(p, c), c)
        assert ball.plane_distance(x, p, normal, c).item() == pytest.approx(signed, rel=1e-8)
    inside = points(seed + 2, c, n=400)
    inside = inside - (inside * normal).sum(1, keepdim=True) / normal.square().sum() * normal
    on_plane = ball.mobius_add(p, inside, c)
    assert ball.plane_distance(on_plane, p, normal, c).abs().max() < 1e-7
    x = points(seed + 3, c, n=1, most=1.5)
    assert ball.distance(x, on_plane, c).min() >= ball.plane_distance(x, p, normal, c).abs().item() - 1e-9


# -------------------------------------------------------------------------------------------------------- the ball: means


@settings(max_examples=10)
@given(seed=seeds, c=curvatures)
def test_the_midpoint_is_the_centroid_on_the_hyperboloid(seed: int, c: float) -> None:
    x, weight = points(seed, c, most=3.0), torch.rand(32, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    total = (weight[:, None] * ball.to_hyperboloid(x, c)).sum(0)
    centroid = total / (total[0] ** 2 - total[1:].square().sum()).sqrt()
    assert torch.allclose(ball.midpoint(x, c, weight), ball.from_hyperboloid(centroid, c), atol=1e-9 / c**0.5)
    pair = x[:2]
    assert torch.allclose(ball.midpoint(pair, c), ball.geodesic(pair[0], pair[1], 0.5, c), atol=1e-8 / c**0.5)


@settings(max_examples=10)
@given(seed=seeds, c=curvatures)
def test_the_frechet_mean_is_stationary_and_centring_moves_it_to_the_centre(seed: int, c: float) -> None:
    x = points(seed, c, most=3.0)
    mean = ball.frechet_mean(x, c)
    assert ball.log(mean.expand_as(x), x, c).mean(0).norm() * c**0.5 < 1e-8
    spread = ball.distance(x, mean, c).square().mean()
    assert spread <= ball.distance(x, ball.midpoint(x, c), c).square().mean() * (1 + 1e-12)
    centred = ball.centred(x, c)
    assert unit(ball.frechet_mean(centred, c), c) < 1e-8
    assert torch.allclose(ball.pairwise_distance(centred, centred, c), ball.pairwise_distance(x, x, c), rtol=1e-7, atol=1e-7 / c**0.5)


# -------------------------------------------------------------------------------------------- the ball: safety and gradients

finite32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
vectors = st.lists(finite32, min_size=3, max_size=3)


@settings(max_examples=150)
@given(a=vectors, b=vectors, w=vectors, r=st.floats(-1e6, 1e6), c=st.sampled_from([1e-4, 0.1, 1.0, 100.0]))
def test_no_finite_float32_input_gives_nan(a: list[float], b: list[float], w: list[float], r: float, c: float) -> None:
    v, u, other = (torch.tensor([x], dtype=torch.float32, requires_grad=True) for x in (a, b, w))
    x, y, z = (ball.exp0(t, c) for t in (v, u, other))
    tight = ball.project(v, c, eps=1e-7)  # as near to the rim as float32 can be
    results = {
        "exp0": x,
        "project": tight,
        "exp": ball.exp(x, u, c),
        "log": ball.log(x, y, c),
        "log0": ball.log0(tight, c),
        "add": ball.mobius_add(tight, y, c),
        "scalar": ball.mobius_scalar(r, tight, c),
        "matvec": ball.mobius_matvec(torch.tensor([[1e3, 0, 0], [0, 0, 0]]), tight, c),
        "gyration": ball.gyration(x, y, z, c),
        "transport": ball.transport(x, y, z, c),
        "geodesic": ball.geodesic(x, tight, 0.3, c),
        "distance": ball.distance(tight, y, c),
        "tangent distance": ball.tangent_distance(v, u, c),
        "pairwise": ball.pairwise_distance(tight, y, c),
        "plane": ball.plane_distance(tight, y, other, c),
        "midpoint": ball.midpoint(torch.cat([tight, y, z]), c),
        "klein": ball.to_klein(tight, c),
        "hyperboloid": ball.to_hyperboloid(tight, c),
    }
    for name, result in results.items():
        assert result.isfinite().all(), name
    for name in ("exp0", "exp", "log", "add", "distance", "tangent distance", "midpoint"):
        for gradient in torch.autograd.grad(results[name].sum(), (v, u), retain_graph=True, allow_unused=True):
            assert gradient is None or gradient.isfinite().all(), name
    assert unit(x, c).item() <= (1 - ball.margin(torch.float32)) * (1 + 1e-6)


def by_name() -> dict[str, tuple]:
    x, y, z, v = (points(i, 0.7, n=3, most=1.5).requires_grad_() for i in range(4))
    c = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    m = torch.randn(2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(5), requires_grad=True)
    weights = torch.tensor([0.2, 1.0, 0.5], dtype=torch.float64, requires_grad=True)
    return {
        "mobius_add": (ball.mobius_add, x, y, c),
        "mobius_matvec": (ball.mobius_matvec, m, x, c),
        "gyration": (ball.gyration, x, y, z, c),
        "gyration_matrix": (ball.gyration_matrix, x, y, c),
        "exp0": (ball.exp0, v, c),
        "exp0 at 0": (ball.exp0, torch.zeros_like(v).requires_grad_(), c),
        "log0": (ball.log0, x, c),
        "log0 at 0": (ball.log0, torch.zeros_like(v).requires_grad_(), c),
        "exp": (ball.exp, x, v, c),
        "log": (ball.log, x, y, c),
        "transport": (ball.transport, x, y, v, c),
        "geodesic": (lambda x, y, c: ball.geodesic(x, y, 0.3, c), x, y, c),
        "distance": (ball.distance, x, y, c),
        "pairwise_distance": (ball.pairwise_distance, x, y, c),
        "tangent_distance": (ball.tangent_distance, v, y, c),
        "plane_distance": (ball.plane_distance, x, y, v, c),
        "midpoint": (lambda x, w, c: ball.midpoint(x, c, w), x, weights, c),
        "frechet_mean": (ball.frechet_mean, x, c),
        "project": (lambda v, c: ball.project(3 * v, c), v, c),
        "klein": (lambda x, c: ball.from_klein(0.9 * ball.to_klein(x, c), c), x, c),
        "hyperboloid": (lambda x, c: ball.from_hyperboloid(ball.to_hyperboloid(x, c) + 0.1, c), x, c),
    }


@pytest.mark.parametrize("name", by_name())
def test_gradients_of_the_ball_against_differences(name: str) -> None:
    function, *inputs = by_name()[name]
    assert torch.autograd.gradcheck(function, inputs, atol=1e-6)


def test_points_that_are_none_are_refused_by_row() -> None:
    x = points(0, 4.0, n=5)
    ball.require_inside(x, 4.0)
    for bad, words in ((torch.nan, "row 3 is not a finite number"), (torch.inf, "row 3"), (0.5, r"row 3 has norm 1/√c")):
        broken = x.clone()
        broken[3] = torch.tensor([bad, 0, 0, 0])
        with pytest.raises(ball.OutsideBallError, match=words):
            ball.require_inside(broken, 4.0)
    for c in (0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="above 0"):
            ball.require_curvature(c)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64])
def test_half_precision_is_refused(dtype: torch.dtype) -> None:
    with pytest.raises(TypeError, match="float32 or float64"):
        PoincareLinear(3, 2)(torch.zeros(1, 3, dtype=dtype))
    with pytest.raises(TypeError, match="float32 or float64"):
        ball.cap(dtype)


def test_autocast_is_refused() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16), pytest.raises(TypeError, match="autocast"):
        PoincareConv2d(3, 2)(torch.zeros(1, 3, 8, 8))


# ----------------------------------------------------------------------------------------- closed form = naive composition


def layer_inputs(seed: int, scale: float, dtype: torch.dtype = torch.float64, side: tuple[int, int] = (7, 6)) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    found = {
        "t": scale * normal(3, 4, *side),
        "r": scale * normal(3, 4, *side),
        "z": 0.3 * normal(36, 5),
        "bias": 0.3 * normal(5),
        "target": 0.3 * normal(4),
        "spread": normal(()).square() + 0.2,
    }
    return {name: tensor.requires_grad_() for name, tensor in found.items()}


def run_layer(name: str, operations: Operations, given: dict[str, Tensor], c: Tensor) -> tuple[Tensor, ...]:
    if name.startswith("convolution"):
        _, conformal, stride = name.split()
        return (operations.convolution(given["t"], given["z"], given["bias"], c, Window(3, int(stride), 1), conformal),)  # type: ignore[arg-type]
    if name.startswith("linear"):
        return (operations.linear(given["t"][:, :, 0, 0], given["z"][:4], given["bias"], c, name.split()[1]),)  # type: ignore[arg-type]
    if name.startswith("normalise"):
        centre, variance = operations.statistics(given["t"], c, name.split()[1])  # type: ignore[arg-type]
        return operations.normalise(given["t"], centre, variance, given["target"], given["spread"], c), centre, variance
    return (operations.add(given["t"], given["r"], c, int(name.split()[1])),)


LAYERS = ["convolution paper 1", "convolution paper 2", "convolution released 1", "linear paper", "linear released"]
LAYERS += ["normalise midpoint", "normalise frechet", "add 1", "add -1"]


def gradients(name: str, operations: Operations, given: dict[str, Tensor], c: Tensor) -> tuple[tuple[Tensor, ...], list[Tensor | None]]:
    results = run_layer(name, operations, given, c)
    weights = [picture(result.numel(), seed=7).view(result.shape).to(result.dtype) for result in results]
    total = sum((w * result).sum() for w, result in zip(weights, results, strict=True))
    assert isinstance(total, Tensor)
    return results, list(torch.autograd.grad(total, list(given.values()), allow_unused=True))


@pytest.mark.parametrize("c", [0.1, 1.0])
@pytest.mark.parametrize("scale", [0.3, 1.5])
@pytest.mark.parametrize("name", LAYERS)
def test_the_closed_form_equals_the_naive_composition(name: str, scale: float, c: float) -> None:
    given, curvature = layer_inputs(3, scale), torch.tensor(c, dtype=torch.float64)
    limit = 1e-6 if c == 1.0 and scale == 1.5 else 1e-11  # there the naive composition itself loses digits at the rim
    (ours, our_gradients), (theirs, their_gradients) = (gradients(name, form, given, curvature) for form in (CLOSED, NAIVE))
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert torch.allclose(a, b, rtol=limit, atol=limit)
    for key, a, b in zip(given, our_gradients, their_gradients, strict=True):
        assert (a is None) == (b is None), key
        assert a is None or torch.allclose(a, b, rtol=10 * limit, atol=10 * limit), key  # type: ignore[arg-type]


@pytest.mark.parametrize("name", LAYERS)
def test_float32_is_close_to_float64(name: str) -> None:
    exact = run_layer(name, CLOSED, layer_inputs(4, 0.5), torch.tensor(0.5, dtype=torch.float64))
    found = run_layer(name, CLOSED, layer_inputs(4, 0.5, torch.float32), torch.tensor(0.5))
    for a, b in zip(found, exact, strict=True):
        assert torch.allclose(a.double(), b, rtol=1e-5, atol=1e-5)


def test_the_closed_form_is_the_more_exact_one_near_the_rim() -> None:
    t, r = (F.normalize(picture(64, 6, seed=i), dim=1) * 2.9 for i in (1, 2))
    exact = NAIVE.add(t.double(), r.double(), torch.tensor(1.0, dtype=torch.float64), 1)
    closed, naive = (form.add(t, r, torch.tensor(1.0), 1).double() for form in (CLOSED, NAIVE))
    assert (closed - exact).norm(dim=1).max() < 2e-3
    assert (closed - exact).norm(dim=1).mean() < (naive - exact).norm(dim=1).mean()


@pytest.mark.parametrize("name", [n for n in LAYERS if "frechet" not in n])
def test_gradients_of_the_closed_form_against_differences(name: str) -> None:
    given = {key: tensor.detach()[:2, ..., :3, :2] if key in "tr" else tensor.detach() for key, tensor in layer_inputs(5, 0.6).items()}
    c = torch.tensor(0.6, dtype=torch.float64)

    def function(*tensors: Tensor) -> tuple[Tensor, ...]:
        return run_layer(name, CLOSED, dict(zip(given, tensors, strict=True)), c)

    assert torch.autograd.gradcheck(function, [t.clone().requires_grad_() for t in given.values()], atol=1e-6)


@pytest.mark.parametrize("fill", [0.0, 1e-30, 1e-12, 1e15, -1e15])
@pytest.mark.parametrize("name", [n for n in LAYERS if "frechet" not in n])
def test_layers_stay_finite_for_every_size_of_input(name: str, fill: float) -> None:
    given = layer_inputs(6, 1.0, torch.float32)
    for key in ("t", "r"):
        given[key] = (torch.zeros_like(given[key]) + fill).requires_grad_()
    results, found = gradients(name, CLOSED, given, torch.tensor(0.1))
    assert all(result.isfinite().all() for result in results)
    assert all(gradient is None or gradient.isfinite().all() for gradient in found)


def test_weights_that_stretch_without_measure_stay_finite() -> None:
    t, z, bias = picture(4, 3).requires_grad_(), (100 * picture(3, 5)).requires_grad_(), 50 * picture(5)
    out = CLOSED.linear(t, z, bias, torch.tensor(1.0), "paper")
    assert out.isfinite().all()
    assert all(g.isfinite().all() for g in torch.autograd.grad(out.sum(), (t, z)))


@pytest.mark.parametrize("slices", [1, 100])
def test_working_in_slices_changes_nothing(slices: int, monkeypatch: pytest.MonkeyPatch) -> None:
    given, c = layer_inputs(8, 1.0), torch.tensor(0.3, dtype=torch.float64)
    whole = gradients("convolution paper 1", CLOSED, given, c)
    monkeypatch.setattr("models.hyperbolic.closed._IN_CACHE", slices)
    parts = gradients("convolution paper 1", CLOSED, given, c)
    for a, b in zip([*whole[0], *whole[1]], [*parts[0], *parts[1]], strict=True):
        assert a is b is None or torch.allclose(a, b, rtol=1e-12, atol=1e-12)  # type: ignore[arg-type]


def saved_bytes(operations: Operations) -> int:
    """What automatic differentiation keeps of one block, without what it keeps anyway (parameters)."""
    model = resnet.PoincareResNet((8, 8, 8), (1, 1, 1), operations=operations)
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = model(picture(4, 3, 16, 16).tanh())
    assert out.requires_grad
    return sum(kept.values())


def test_the_closed_form_keeps_a_fraction_of_the_memory() -> None:
    assert saved_bytes(NAIVE) > 6 * saved_bytes(CLOSED)


# ------------------------------------------------------------------------------------------------- gyroplane layers


def test_identity_weights_make_a_linear_layer_the_identity() -> None:
    layer = PoincareLinear(6, 6).double()
    t = 2 * picture(10, 6).double()
    assert (layer(t) - t).abs().max() < 1e-12
    released = PoincareLinear(6, 6, conformal="released").double()
    assert (released(t) - t).abs().max() > 0.1


def test_twenty_layers_keep_norms_by_identity_and_lose_them_by_a_normal_start() -> None:
    torch.manual_seed(0)
    t = picture(32, 16, seed=1)
    for kind, kept in (("identity", 1.0), ("normal", 0.0)):
        x = t.double()
        for _ in range(20):
            x = PoincareLinear(16, 16, initialisation=kind).double()(x)  # type: ignore[arg-type]
        ratio = (x.norm(dim=1) / t.double().norm(dim=1)).median().item()
        assert ratio == pytest.approx(kept, abs=1e-6 if kept else 1e-8)


@pytest.mark.parametrize(("kind", "factor"), [("identity", 0.31), ("normal", 0.117)])
def test_convolutions_shrink_norms_and_normalisation_brings_them_back(kind: layers.Initialisation, factor: float) -> None:
    """Identity keeps norms in linear layers only: β scales every patch by about 1/k."""
    torch.manual_seed(0)
    t = 0.1 * picture(4, 16, 24, 24, seed=1)  # where the space is nearly flat
    before = t.norm(dim=1).median()
    for _ in range(2):
        t = PoincareConv2d(16, 16, 3, padding=1, initialisation=kind)(t)
    assert ((t.norm(dim=1).median() / before) ** 0.5).item() == pytest.approx(factor, rel=0.15)
    restored = PoincareBatchNorm2d(16)(t)
    assert restored.norm(dim=1).square().mean().item() == pytest.approx(0.25, rel=0.2)  # variance 1 of the radius 2‖t‖


def test_an_identity_convolution_copies_shifted_channels_as_released() -> None:
    conv = PoincareConv2d(3, 12, 3, padding=1, c=1e-6).double()
    t = picture(1, 3, 6, 6).double()
    out = conv(t)[0] / beta_ratio(3, 9)
    padded = F.pad(t[0], (1, 1, 1, 1))
    for o in range(12):
        row, column = divmod(o % 9, 3)
        assert torch.allclose(out[o], padded[o // 9, row : row + 6, column : column + 6], atol=1e-4)
    central = PoincareConv2d(3, 12, 3, padding=1, c=1e-6, initialisation="centre").double()(t)[0] / beta_ratio(3, 9)
    assert torch.allclose(central, t[0].repeat(4, 1, 1), atol=1e-4)
    with pytest.raises(ValueError, match="'zeros'; there are"):
        PoincareLinear(2, 2, initialisation="zeros")  # type: ignore[arg-type]


@pytest.mark.parametrize("kernel", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1])
def test_convolutions_have_the_size_of_ordinary_ones(kernel: int, stride: int, padding: int) -> None:
    t = picture(2, 3, 9, 8)
    expected = nn.Conv2d(3, 4, kernel, stride, padding)(t).shape
    for operations in (CLOSED, NAIVE):
        layer = PoincareConv2d(3, 4, kernel, stride, padding, operations=operations)
        assert layer(t).shape == expected
        assert layer.patch_norms(t).shape == (2, *expected[2:])


def test_without_curvature_the_layers_are_ordinary_ones() -> None:
    t, z, bias = picture(2, 3, 6, 6).double(), 0.3 * picture(27, 4, seed=1).double(), 0.2 * picture(4, seed=2).double()
    kernel = beta_ratio(3, 9) * z.T.reshape(4, 3, 3, 3)
    flat = 2 * (F.conv2d(t, kernel, padding=1) - (bias * z.norm(dim=0))[:, None, None])
    errors = [
        (CLOSED.convolution(t, z, bias, torch.tensor(c, dtype=torch.float64), Window(3, 1, 1), "paper") - flat).abs().max()
        for c in (1e-2, 1e-4, 1e-6)
    ]
    assert errors[2] < 1e-4
    assert errors[0] > 50 * errors[1] > 2500 * errors[2]


def test_beta_concatenation_keeps_the_released_factor() -> None:
    assert beta_ratio(16, 9) == pytest.approx(0.329, abs=1e-3)
    assert beta_ratio(7, 1) == 1


def test_gyroplanes_of_a_layer_are_where_its_scores_vanish() -> None:
    layer = PoincareLinear(4, 6, c=0.5, initialisation="normal").double()
    with torch.no_grad():
        layer.bias.copy_(0.4 * picture(6, seed=3))
    x = points(1, 0.5)
    planes = layer.gyroplanes()
    scores = gyroplane_scores(x, layer.z, layer.bias, layer.ball.c)
    signed = planes.distances(PoincarePoints(x, 0.5))
    assert torch.allclose(2 * planes.sizes * signed, scores, atol=1e-9)
    assert (layer(ball.log0(x, 0.5)).sign() == signed.sign()).all()
    at = PoincarePoints(planes.nearest(), 0.5)
    assert planes.distances(at).diagonal().abs().max() < 1e-9
    assert torch.allclose(at.radius(), 2 * planes.offsets.abs())


# -------------------------------------------------------------------------------------------------------- normalisation


@pytest.mark.parametrize("c", [0.1, 1.0])
def test_normalised_points_lie_around_the_target_with_the_asked_spread(c: float) -> None:
    norm = PoincareBatchNorm2d(4, c).double()
    with torch.no_grad():
        norm.norm.mean.copy_(torch.tensor([0.3, -0.2, 0.1, 0.0]))
        norm.norm.var.fill_(0.5)
    t = 0.8 * picture(6, 4, 5, 5).double() + 0.4
    centre, variance = CLOSED.statistics(t, norm.ball.c, "midpoint")
    x, y = (ball.exp0(u.movedim(1, -1), norm.ball.c) for u in (t, norm(t)))
    target = ball.exp0(norm.norm.mean, norm.ball.c)
    before, after = ball.distance(x, centre, norm.ball.c), ball.distance(y, target, norm.ball.c)
    assert torch.allclose(after, before * (0.5 / (variance + 1e-6)).sqrt(), rtol=1e-6)
    assert after.square().mean().item() == pytest.approx(0.5, rel=1e-5)


def test_running_statistics_are_gyromidpoints_of_the_batches() -> None:
    norm = PoincareBatchNorm2d(3, 1.0).double()
    batches = [0.5 * picture(4, 3, 5, 5, seed=i).double() + 0.3 for i in range(3)]
    mean, variance = torch.zeros(3, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)
    for batch in batches:
        norm(batch)
        new, spread = CLOSED.statistics(batch, norm.ball.c, "midpoint")
        mean = ball.midpoint(torch.stack([mean, new]), 1.0, torch.tensor([0.9, 0.1], dtype=torch.float64))
        variance = 0.9 * variance + 0.1 * spread
    assert torch.allclose(ball.exp0(norm.norm.running_mean[0], 1.0), mean, atol=1e-7)
    assert norm.norm.running_var.item() == pytest.approx(variance.item(), rel=1e-6)
    before = norm.norm.running_var.clone()
    norm.eval()(batches[0])
    assert norm.norm.running_var == before


def test_midpoint_and_frechet_mean_agree_where_points_lie_close() -> None:
    t = picture(8, 4, 4, 4).double()
    gaps = []
    for scale in (0.1, 1.0):
        midpoint, frechet = (
            CLOSED.statistics(scale * t + 0.2, torch.tensor(1.0, dtype=torch.float64), kind)[0] for kind in ("midpoint", "frechet")
        )
        gaps.append(ball.distance(midpoint, frechet, 1.0).item())
    assert 0 < gaps[0] < 2e-3 < gaps[1]


def test_a_negative_learned_variance_does_no_harm() -> None:
    norm = PoincareBatchNorm2d(3)
    with torch.no_grad():
        norm.norm.var.fill_(-1)
    assert norm(picture(2, 3, 4, 4)).isfinite().all()


def test_a_single_position_has_no_batch_statistics() -> None:
    norm, t = PoincareBatchNorm2d(3), picture(1, 3, 1, 1)
    with pytest.raises(ValueError, match="at least 2 positions"):
        norm(t)
    assert norm.eval()(t).shape == t.shape


# -------------------------------------------------------------------------------------------------------------- networks


def small(**changes) -> resnet.PoincareResNet:
    torch.manual_seed(0)
    model = resnet.PoincareResNet(**{"channels": (4, 6, 8), "depths": (1, 1, 1), "num_classes": 5, "initialisation": "normal", **changes})
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, (PoincareConv2d, PoincareLinear)):
                part.bias.normal_(0, 0.1)
    return model


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("hyperbolic-4-8-16-resnet-20", 17_529),
        ("hyperbolic-8-16-32-resnet-20", 68_757),
        ("hyperbolic-8-16-32-resnet-32", 117_601),
        ("hyperbolic-8-16-32-resnet-32-cifar100", 120_571),
        ("hyperbolic-16-32-64-resnet-20", 272_397),
        ("hyperbolic-16-32-64-resnet-32", 466_841),
        ("euclidean-8-16-32-resnet-20", 69_082),
    ],
)
def test_published_sizes(name: str, count: int) -> None:
    assert sum(p.numel() for p in resnet.build(name).parameters()) == count


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="no name of a Poincaré ResNet"):
        resnet.build("resnet-20")
    with pytest.raises(ValueError, match="cifar10, cifar100"):
        resnet.build("hyperbolic-8-16-32-resnet-20-svhn")
    with pytest.raises(ValueError, match='"paper" and "released"'):
        small(variant="draft")


def test_the_state_can_be_stored_and_loaded(tmp_path) -> None:
    model = small(c=0.3)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    other = small(c=0.1, initialisation="identity")
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"), strict=True)
    x = picture(2, 3, 8, 8).tanh()
    assert torch.equal(other.eval()(x), model.eval()(x))
    assert float(other.fc.ball.c) == pytest.approx(0.3)


def test_a_single_picture_is_predicted_as_in_a_batch() -> None:
    model = small()
    for i in range(5):
        model(picture(8, 3, 16, 16, seed=i).tanh())
    model.eval()
    batch = picture(8, 3, 16, 16, seed=9).tanh()
    together = model(batch)
    alone = torch.cat([model(one[None]) for one in batch])
    assert (together - alone).abs().max() < 3e-5
    model.use_batch_statistics(True)
    leaking = torch.cat([model(one[None]) for one in batch])
    assert (model(batch) - leaking).abs().max() > 0.01


def test_recalibration_averages_over_all_batches_alike() -> None:
    model = small().eval()
    batches = [picture(8, 3, 16, 16, seed=i).tanh() for i in range(4)]
    resnet.recalibrate(model, batches)
    assert not model.training
    stem: PoincareBatchNorm2d = model.bn  # type: ignore[assignment]
    assert stem.norm.momentum == 0.1
    t = model.conv(torch.cat(batches))
    variances = [CLOSED.statistics(part, stem.ball.c, "midpoint")[1] for part in t.split(8)]
    assert stem.norm.running_var.item() == pytest.approx(torch.stack(variances).mean().item(), rel=1e-4)
    one = picture(8, 3, 16, 16, seed=5).tanh()
    resnet.recalibrate(model, [one])
    by_running = model(one)
    model.use_batch_statistics(True)
    assert torch.allclose(by_running, model(one), atol=1e-5)


def test_the_naive_network_computes_the_same() -> None:
    model, slow = small().double(), small(operations=NAIVE).double()
    x = picture(3, 3, 8, 12).double().tanh()
    assert torch.allclose(model(x), slow(x), atol=1e-8)
    assert torch.allclose(model.eval()(x[:1]), slow.eval()(x[:1]), atol=1e-8)


def test_less_and_less_curvature_converges() -> None:
    model, x = small().double(), picture(2, 3, 8, 8).double().tanh()
    found = []
    for c in (1e-2, 1e-4, 1e-6, 1e-8):
        layers.set_curvature(model, c)
        found.append(model(x))
    steps = [(a - b).abs().max().item() for a, b in itertools.pairwise(found)]
    assert steps[0] > 10 * steps[1] > 100 * steps[2]


def test_logits_cannot_leave_the_ball() -> None:
    model = small(c=1.0)
    with torch.no_grad():
        model.fc.z.mul_(100)
    assert model(picture(2, 3, 8, 8)).norm(dim=1).max() <= ball.cap(torch.float32) * (1 + 1e-5)


@pytest.mark.parametrize("change", [{"norm": False}, {"mean": "frechet"}, {"variant": "released"}, {"initialisation": "centre"}])
def test_every_switch_changes_the_result_and_can_be_trained(change: dict) -> None:
    model, other, x = small(), small(**change), picture(2, 3, 8, 8).tanh()
    assert not torch.allclose(model(x), other(x), atol=1e-6)
    other(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in other.parameters())


def test_training_lowers_the_loss() -> None:
    model, x, y = small(initialisation="identity"), picture(16, 3, 8, 8).tanh(), torch.arange(16) % 5
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(25):
        loss = F.cross_entropy(model(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (torch.zeros(2, 1, 8, 8), r"\[B, 3, H, W\]"),
        (torch.zeros(3, 8, 8), r"\[B, 3, H, W\]"),
        (torch.zeros(1, 3, 4, 8), "at least 8 and divisible by 4"),
        (torch.zeros(1, 3, 10, 8), "divisible by 4"),
        (torch.full((1, 3, 8, 8), torch.nan), "not finite"),
        (torch.full((1, 3, 8, 8), torch.inf), "not finite"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(image: Tensor, words: str) -> None:
    for model in (small(), resnet.EuclideanResNet((2, 2, 2), (1, 1, 1))):
        with pytest.raises(ValueError, match=words):
            model(image)


@pytest.mark.parametrize("c", [0.0, -0.1, math.nan, math.inf])
def test_curvatures_that_do_not_fit_are_refused(c: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        small(c=c)
    with pytest.raises(ValueError, match="above 0"):
        layers.set_curvature(small(), c)


# ------------------------------------------------------------------------------------------------------- what is seen


def test_capture_sees_features_points_and_statistics() -> None:
    model = small().eval()
    x = picture(2, 3, 16, 16).tanh()
    with torch.no_grad(), capture(model, adapters=resnet.adapters(model)) as trace:
        logits = model(x)
    trace.require_finite()
    fields = trace.of(TangentField)
    assert fields["conv"].norm.shape == (2, 16, 16)
    assert fields["group3.0"].norm.shape == (2, 4, 4)
    assert torch.allclose(fields["conv"].norm, fields["conv"].tangents.norm(dim=1))
    profile = NormProfile.of(fields)
    assert profile.names[:2] == ("conv", "bn")
    assert profile.limit == pytest.approx(9.82, abs=0.01)
    assert torch.allclose(profile.quantiles[0, 2], fields["conv"].norm.double().flatten().quantile(0.5))
    assert (profile.quantiles.diff(dim=1) >= 0).all()
    seen = trace.of(PoincarePoints)["avg_pool"]
    assert torch.allclose(model.fc(seen.tangents().float()), logits, atol=1e-5)
    assert len(trace.of(BatchMidpoint)) == 7
    assert all(step.source == "running" for step in trace.of(BatchMidpoint).values())


def test_an_edit_of_the_midpoint_moves_the_prediction() -> None:
    from dataclasses import replace

    model, x = small().eval(), picture(2, 3, 8, 8).tanh()
    name = "bn.norm.statistics"
    with torch.no_grad():
        before = model(x)
        with capture(model, edits={name: lambda found: replace(found, centre=found.centre + 0.3)}):
            after = model(x)
        assert not torch.allclose(before, after, atol=1e-4)
        assert torch.equal(model(x), before)


def test_points_move_without_changing_their_distances() -> None:
    x = PoincarePoints(points(0, 0.5), 0.5, tuple("abcdefgh" * 4))
    for moved in (x.recentred(3), x.centred()):
        assert torch.allclose(moved.distances(), x.distances(), atol=1e-9)
        assert moved.labels == x.labels
    assert x.recentred(3).points[3].norm() < 1e-12
    assert torch.allclose(x.radius(), 2 * x.tangents().norm(dim=1))
    rim = PoincarePoints(ball.exp0(torch.tensor([[50.0, 0.0], [0.1, 0.0]], dtype=torch.float64), 0.5), 0.5)
    assert rim.saturated().tolist() == [True, False]
    with pytest.raises(ValueError, match="3 labels were given for 2 points"):
        PoincarePoints(torch.zeros(2, 2), 1.0, ("a", "b", "c"))
    with pytest.raises(ValueError, match="one row for each point"):
        PoincarePoints(torch.zeros(2), 1.0)
    with pytest.raises(ball.OutsideBallError, match="row 1"):
        PoincarePoints(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), 1.0).require_inside()
    with pytest.raises(ValueError, match="no profile"):
        NormProfile.of({})


# ----------------------------------------------------------------------------------------------------------- hierarchies


@settings(max_examples=40)
@given(data=st.data(), count=st.integers(2, 12))
def test_hierarchies_against_networkx(data: st.DataObject, count: int) -> None:
    """Every node but the first gets one or two parents among the nodes before it."""
    parents = [data.draw(st.sets(st.integers(0, i - 1), min_size=1, max_size=2)) for i in range(1, count)]
    pairs = [(child, parent) for child, found in enumerate(parents, 1) for parent in found]
    tree = hierarchy.from_edges([f"n{i}" for i in range(count)], pairs)
    graph = nx.DiGraph([(parent, child) for child, parent in pairs])
    for node in range(count):
        assert set(tree.ancestors[node].nonzero()[:, 0].tolist()) == nx.ancestors(graph, node)
    assert dict(enumerate(tree.depth.tolist())) == dict(nx.single_source_shortest_path_length(graph, 0))
    undirected = dict(nx.all_pairs_shortest_path_length(graph.to_undirected()))
    assert all(tree.distances()[i, j] == undirected[i][j] for i in range(count) for j in range(count))
    assert len(tree.closure) == len(nx.transitive_closure(graph).edges)
    assert tree.root == 0
    assert not tree.virtual_root
    for node in range(1, count):
        assert graph.has_edge(int(tree.parent[node]), node)
        assert tree.branch[node] == node or tree.ancestors[node, tree.branch[node]]
        assert tree.depth[tree.branch[node]] == 1


def test_typed_hierarchies() -> None:
    tree = hierarchy.parse("cat, mammal\ndog, mammal  # my dog\n\nmammal, animal\ntrout, animal\n")
    assert tree.names[tree.root] == "animal"
    assert {tree.names[a] for a in tree.ancestors[tree.names.index("dog")].nonzero()[:, 0]} == {"mammal", "animal"}
    forest = hierarchy.parse("cat, mammal\ntrout, fish")
    assert forest.virtual_root
    assert forest.names[forest.root] == hierarchy.ROOT
    assert len(forest) == 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a, b\nb, c\nc, a", "in a circle through 'a', 'b', 'c'"),
        ("a, a", "'a' is its own parent"),
        ("a, b\nc", "line 2 is 'c'"),
        ("a, b, c", "line 1"),
        ("", "0 nodes"),
    ],
)
def test_texts_that_are_no_hierarchy_are_refused(text: str, words: str) -> None:
    with pytest.raises(HierarchyError, match=words):
        hierarchy.parse(text)


def test_other_refusals_of_hierarchies() -> None:
    with pytest.raises(HierarchyError, match="'a' occurs twice"):
        hierarchy.from_edges(["a", "a"], [(0, 1)])
    with pytest.raises(HierarchyError, match="no name"):
        hierarchy.from_edges(["a", " "], [(0, 1)])
    with pytest.raises(HierarchyError, match="outside 0…1"):
        hierarchy.from_edges(["a", "b"], [(0, 2)])
    with pytest.raises(HierarchyError, match="between 2 and 3000"):
        hierarchy.from_edges([str(i) for i in range(3001)], [])
    with pytest.raises(HierarchyError, match="4095 nodes"):
        hierarchy.balanced(2, 11)
    with pytest.raises(HierarchyError, match="at least 1"):
        hierarchy.balanced(0, 3)


def test_built_in_hierarchies() -> None:
    classes = hierarchy.cifar100()
    assert len(classes) == 121
    assert classes.depth.bincount().tolist() == [1, 20, 100]
    whale = classes.names.index("whale")
    assert classes.names[classes.parent[whale]] == "aquatic mammals"
    tree = hierarchy.balanced(3, 4)
    assert tree.depth.bincount().tolist() == [1, 3, 9, 27, 81]


# ------------------------------------------------------------------------------------------------------------ embeddings


@settings(max_examples=40)
@given(seed=seeds, depth=st.integers(1, 3))
def test_mean_rank_and_map_by_hand(seed: int, depth: int) -> None:
    tree = hierarchy.balanced(2, depth)
    distances = torch.rand(len(tree), len(tree), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    ranks, precisions = [], []
    for node in range(1, len(tree)):
        order = sorted((other for other in range(len(tree)) if other != node), key=lambda other: distances[node, other].item())
        above = [place for place, other in enumerate(order, 1) if tree.ancestors[node, other]]
        ranks += [place - number for number, place in enumerate(above)]
        precisions.append(sum(number / place for number, place in enumerate(above, 1)) / len(above))
    found = Reconstruction.of(distances, tree.ancestors)
    assert found.mean_rank == pytest.approx(sum(ranks) / len(ranks))
    assert found.average_precision == pytest.approx(sum(precisions) / len(precisions))


@pytest.mark.parametrize("geometry", ["poincare", "euclidean"])
def test_the_loss_is_the_one_of_the_paper_and_its_gradient_is_right(geometry: embeddings.Geometry) -> None:
    x = points(0, n=6, d=2).requires_grad_()
    pairs, negatives, known = torch.tensor([[0, 1], [2, 3]]), torch.tensor([[4, 5], [5, 0]]), torch.tensor([True, True])

    def by_hand(x: Tensor) -> Tensor:
        total = x.new_zeros(())
        for (u, v), others in zip(pairs.tolist(), negatives.tolist(), strict=True):
            d = [ball.distance(x[u], x[w], 1.0) if geometry == "poincare" else (x[u] - x[w]).norm() for w in (v, *others)]
            total = total - torch.log(torch.exp(-d[0]) / sum(torch.exp(-one) for one in d))
        return total

    loss, gradient = embeddings.loss_and_gradient(x, pairs, negatives, known, geometry)
    assert loss == pytest.approx(by_hand(x).item())
    assert torch.allclose(gradient, torch.autograd.grad(by_hand(x), x)[0])
    assert torch.autograd.gradcheck(by_hand, x)
    none, zero = embeddings.loss_and_gradient(x, pairs, negatives, torch.tensor([False, False]), geometry)
    assert none == 0
    assert not zero.any()


def test_a_riemannian_step_is_the_scaled_gradient_and_stays_inside() -> None:
    x = torch.tensor([[0.6, 0.0], [0.0, 0.999]], dtype=torch.float64)
    gradient = torch.tensor([[1.0, 2.0], [0.0, -1e6]], dtype=torch.float64)
    moved = embeddings.step(x, gradient, 0.1, "poincare")
    assert torch.allclose(moved[0], x[0] - 0.1 * (1 - 0.36) ** 2 / 4 * gradient[0])
    assert embeddings.step(x, 1e6 * gradient, 0.1, "poincare").norm(dim=1).max() <= 1 - embeddings.BORDER + 1e-12
    assert torch.equal(embeddings.step(x, gradient, 0.1, "euclidean"), x - 0.1 * gradient)


def test_negatives_are_never_ancestors_or_the_node() -> None:
    tree = hierarchy.balanced(2, 3)
    strangers = (~tree.ancestors).double().fill_diagonal_(0)
    nodes = torch.arange(len(tree))
    drawn, known = embeddings.draw(strangers[nodes], 200, torch.Generator().manual_seed(0))
    assert known.all()
    assert not tree.ancestors[nodes[:, None], drawn].any()
    assert not (drawn == nodes[:, None]).any()
    assert len(drawn[3].unique()) == len(tree) - 1 - int(tree.ancestors[3].sum())
    chain = hierarchy.parse("a, b\nb, c")  # the last node has no stranger
    *_, last = embeddings.train(chain, embeddings.Settings(epochs=3))
    assert last.points.isfinite().all()


def test_a_small_tree_is_embedded_with_little_distortion() -> None:
    tree = hierarchy.balanced(2, 3)
    frames = list(embeddings.train(tree, embeddings.Settings(rate=0.3, epochs=100, seed=1)))
    assert [frame.epoch for frame in frames] == list(range(101))
    assert frames[-1].loss < 0.3 * frames[1].loss
    found = embeddings.judged(frames[-1], tree)
    assert found.average_precision > 0.9
    assert (embeddings.norm_by_depth(frames[-1].points, tree.depth).diff() > 0).all()
    flat = embeddings.placed(embeddings.sarkar(tree, 3.0), tree)
    built = Distortion.of(tree.distances(), flat.distances())
    assert built.average < 0.02
    assert built.worst < 1.15
    coarse = Distortion.of(tree.distances(), embeddings.placed(embeddings.sarkar(tree, 0.5), tree).distances())
    assert coarse.average > built.average
    for parent, child in tree.edges.T.tolist():
        assert flat.distances()[parent, child].item() == pytest.approx(3.0, rel=1e-6)


@pytest.mark.parametrize("tree", [hierarchy.cifar100(), hierarchy.balanced(3, 4)], ids=["cifar100", "ternary"])
def test_two_hyperbolic_dimensions_beat_two_flat_ones(tree: Hierarchy) -> None:
    *_, curved = embeddings.train(tree, embeddings.Settings(rate=0.3))
    *_, flat = embeddings.train(tree, embeddings.Settings(rate=0.3, geometry="euclidean"))
    ours, theirs = embeddings.judged(curved, tree), embeddings.judged(flat, tree)
    assert ours.average_precision >= 0.85
    assert ours.average_precision >= 2 * theirs.average_precision
    assert (embeddings.norm_by_depth(curved.points, tree.depth).diff() > 0).all()


def test_training_can_be_stopped_and_repeats_by_seed() -> None:
    tree, chosen = hierarchy.balanced(2, 2), embeddings.Settings(epochs=50)
    first, second, other = (
        list(itertools.islice(embeddings.train(tree, s), 4)) for s in (chosen, chosen, embeddings.Settings(epochs=50, seed=1))
    )
    assert torch.equal(first[3].points, second[3].points)
    assert not torch.equal(first[3].points, other[3].points)
    assert not torch.equal(first[0].points, first[1].points)  # frames are copies


@pytest.mark.parametrize(
    ("change", "words"),
    [({"dimension": 0}, "dimension"), ({"rate": 0.0}, "rate"), ({"rate": math.nan}, "rate"), ({"geometry": "flat"}, "geometry")],
)
def test_settings_that_do_not_fit_are_refused(change: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        embeddings.Settings(**change)


def test_only_trees_are_laid_out() -> None:
    diamond = hierarchy.parse("b, a\nc, a\nd, b\nd, c")
    with pytest.raises(ValueError, match="two parents"):
        embeddings.sarkar(diamond, 1.0)
    with pytest.raises(ValueError, match="at most 30"):
        embeddings.sarkar(hierarchy.balanced(2, 4), 8.0)


# ----------------------------------------------------------------------------------------------------------- projections


@pytest.mark.parametrize("k", [1, 2, 3])
def test_horospherical_projection_keeps_the_busemann_functions(k: int) -> None:
    x = points(0, n=50, d=5, most=3.0)
    basis = torch.linalg.qr(torch.randn(5, k, dtype=torch.float64, generator=torch.Generator().manual_seed(1))).Q.T

    def busemann(x: Tensor, q: Tensor) -> Tensor:
        return torch.log((q - x).square().sum(-1) / (1 - x.square().sum(-1)))

    y = projections.horospherical(x, basis)
    assert (y.norm(dim=1) < 1).all()
    for i in range(k):
        assert torch.allclose(busemann(y, torch.eye(k, dtype=torch.float64)[i]), busemann(x, basis[i]), atol=1e-9)


@pytest.mark.parametrize("c", [0.3, 1.0])
@pytest.mark.parametrize("project", [projections.horopca, projections.tangent_pca])
def test_a_planar_set_is_recovered(project, c: float) -> None:
    flat = points(0, c, n=30, d=2, most=1.5)
    plane = torch.linalg.qr(torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))).Q
    shift = ball.exp0(torch.full((5,), 0.2, dtype=torch.float64), c)
    given = PoincarePoints(ball.mobius_add(shift, flat @ plane.T, c), c, tuple(map(str, range(30))))
    found = project(given)
    assert found.points.shape == (30, 2)
    assert found.labels == given.labels
    bent = Distortion.of(given.distances(), found.distances())
    assert bent.average < 1e-6
    assert bent.worst < 1 + 1e-5
    assert bent.variance_kept == pytest.approx(1, abs=1e-6)


def test_horopca_keeps_more_than_tangent_pca() -> None:
    given = PoincarePoints(points(3, n=40, d=6, most=2.5), 1.0)
    kept = [
        Distortion.of(given.distances(), project(given).distances()).variance_kept
        for project in (projections.horopca, projections.tangent_pca)
    ]
    assert kept[1] < kept[0] < 1


def test_projections_refuse_what_they_cannot_project() -> None:
    for project in (projections.horopca, projections.tangent_pca):
        with pytest.raises(ValueError, match="at least 3"):
            project(PoincarePoints(torch.zeros(2, 4), 1.0))
        with pytest.raises(ValueError, match="choose 1 to 2"):
            project(PoincarePoints(torch.zeros(5, 2), 1.0), 3)
        with pytest.raises(ball.OutsideBallError, match="row 0"):
            project(PoincarePoints(torch.ones(5, 2), 1.0))
    with pytest.raises(ValueError, match="at least 5"):
        projections.umap_disk(PoincarePoints(torch.zeros(4, 2), 1.0))


def test_umap_output_is_read_from_the_hyperboloid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the library, which takes a minute to compile: a stand-in that returns coordinates of known distances."""
    given = PoincarePoints(points(4, 0.5, n=12, d=2), 0.5)
    seen = {}

    def fake(**arguments):
        def fit_transform(distances):
            seen.update(arguments, distances=distances)
            return ball.to_hyperboloid(given.points, 0.5)[:, 1:].numpy()

        return SimpleNamespace(fit_transform=fit_transform)

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=fake))
    found = projections.umap_disk(given)
    assert torch.allclose(found.distances(), given.distances(), atol=1e-6)
    assert unit(ball.frechet_mean(found.points, 0.5), 0.5) < 1e-6
    assert seen["metric"] == "precomputed"
    assert seen["output_metric"] == "hyperboloid"
    assert torch.allclose(torch.from_numpy(seen["distances"]), given.distances(), atol=1e-9)


def test_distortion_by_hand() -> None:
    before = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 3.0, 0.0]])
    assert Distortion.of(before, 5 * before) == Distortion(pytest.approx(0, abs=1e-12), pytest.approx(1), pytest.approx(25))
    after = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    assert Distortion.of(before, after) == Distortion(pytest.approx((1 + 0 + 1 / 3) / 3), pytest.approx(3), pytest.approx(3 / 14))
    assert Distortion.of(before, torch.zeros(3, 3)).worst == math.inf
    with pytest.raises(ValueError, match="no two points"):
        Distortion.of(torch.zeros(3, 3), before)
    with pytest.raises(ValueError, match="same"):
        Distortion.of(before, before[:2])
    with pytest.raises(ValueError, match="no node has an ancestor"):
        Reconstruction.of(before, torch.zeros(3, 3, dtype=torch.bool))


# ------------------------------------------------------------------------------------------------------------------ H4G


@pytest.mark.parametrize("form", ["scalar", "full"])
def test_the_operator_is_mobius_matrix_multiplication(form: h4g.Form) -> None:
    torch.manual_seed(0)
    model = h4g.H4G(12, 3, kappa=0.7, form=form).double()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn_like(p))
    z = h4g.unit_mean(picture(10, 12).double())
    start = ball.exp0(0.7 * z, 1.0)
    assert torch.allclose(model.points(z).points, ball.mobius_matvec(model.matrix, start, 1.0), atol=1e-9)
    found = model(z[:4], z[4:])
    assert torch.allclose(found, ball.pairwise_distance(model.points(z[:4]).points, model.points(z[4:]).points, 1.0), atol=1e-7)
    blocks = [model.matrix[i : i + 4, i : i + 4] for i in range(0, 12, 4)]
    assert torch.equal(model.matrix, torch.block_diag(*blocks))


def test_one_common_scale_multiplies_every_radius() -> None:
    model, z = h4g.H4G(12, 3, kappa=0.5), h4g.unit_mean(picture(10, 12))
    before = model.points(z).radius()
    with torch.no_grad():
        model.log_scale.fill_(math.log(0.4))  # type: ignore[union-attr]
    assert torch.allclose(model.points(z).radius(), 0.4 * before, rtol=1e-6)
    with torch.no_grad():
        model.log_scale.fill_(1e9)  # type: ignore[union-attr]
    assert model.tangents(z).isfinite().all()
    assert h4g.pair_distances(model.tangents(z), model.tangents(z)).isfinite().all()


def test_the_encoder_averages_neighbours_and_keeps_lonely_nodes() -> None:
    x = torch.tensor([[1.0, 0.0], [0.0, 2.0], [4.0, 4.0]])
    edges = torch.tensor([[0, 1], [1, 0]])
    assert h4g.encode(x, edges).tolist() == [[1, 0, 0, 2, 1, 0], [0, 2, 1, 0, 0, 2], [4, 4, 4, 4, 4, 4]]
    with pytest.raises(ValueError, match="node 1 has no text"):
        h4g.encode(torch.tensor([[1.0, 0.0], [0.0, 0.0]]), edges)
    with pytest.raises(ValueError, match="outside 0…0"):
        h4g.encode(x[:1], edges)
    with pytest.raises(ValueError, match="at least 2"):
        h4g.encode_classes(x[:1])
    with pytest.raises(ValueError, match="do not divide"):
        h4g.H4G(96, 7)


@pytest.mark.parametrize("homophily", [0.1, 0.85])
def test_graphs_have_the_asked_homophily_and_unseen_classes(homophily: float) -> None:
    source, target = text_graphs(1, 2, homophily)
    for graph in (*source, *target):
        same = (graph.label[graph.edges[0]] == graph.label[graph.edges[1]]).float().mean().item()
        assert same == pytest.approx(homophily, abs=0.06)
        assert graph.edges.shape[1] / len(graph.texts) == pytest.approx(6, abs=0.4)
        assert torch.equal(torch.unique(graph.edges.flip(0), dim=1), graph.edges)
    assert not torch.equal(source[0].classes, target[0].classes)
    with pytest.raises(ValueError, match="0…1"):
        text_graphs(homophily=1.5)
    with pytest.raises(ValueError, match="at least 20"):
        text_graphs(nodes=5)


@pytest.mark.parametrize(("homophily", "kept"), [(0.85, 2), (0.1, 0)])
def test_pulling_inwards_raises_zero_shot_accuracy(homophily: float, kept: int) -> None:
    source, target = text_graphs(homophily=homophily)
    curve = [found.accuracy for found in h4g.along_radius(target, (0.5, 2, 4, 6, 8))]
    assert all(a >= b for a, b in itertools.pairwise(curve))
    model = h4g.H4G(kappa=3.0)
    before = h4g.judge(model, target)
    steps = list(h4g.train(model, source, penalty=0.05))
    after = h4g.judge(model, target)
    assert steps[0].radius == pytest.approx(6.0, rel=1e-5)
    assert steps[-1].radius < 3
    assert after.accuracy - before.accuracy > 0.3
    assert after.contrast > before.contrast
    scales = steps[-1].factors.view(3, 4).mean(1)  # ego, one hop, two hops
    assert int(scales.argmax()) == kept


def test_clipping_turns_distance_into_cosine() -> None:
    _, target = text_graphs(1, 2)
    far = h4g.H4G(kappa=20.0)
    free, clipped = h4g.judge(far, target), h4g.judge(far, target, clip=True)
    assert clipped.accuracy == clipped.cosine_accuracy
    assert clipped.accuracy > free.accuracy + 0.3
    assert free.clipped == 1


# -------------------------------------------------------------------------------------------------------- one's own texts

NODES = """name,text,class
p1,"Deep, curved spaces",geometry
p2,Trees in curved spaces,geometry
p3,"Frogs, frogs, frogs",
p4,Alone
"""
EDGES = "source, target\np1, p2\np2, p1\np3, p2\np3, p3\n"
CLASSES_TABLE = "name,text\ngeometry,curved spaces\nbiology,frogs"


def test_a_graph_is_read_from_tables() -> None:
    graph = parse(NODES, EDGES, CLASSES_TABLE)
    assert graph.names == ("p1", "p2", "p3", "p4")
    assert graph.class_names == ("geometry", "biology")
    assert graph.label.tolist() == [0, 0, -1, -1]
    assert graph.edges.T.tolist() == [[0, 1], [1, 0], [1, 2], [2, 1]]
    assert torch.equal(graph.texts[0], hashed("DEEP curved; spaces!"))
    assert parse(NODES, "source,target", CLASSES_TABLE).edges.shape == (2, 0)
    found = h4g.judge(h4g.H4G(kappa=0.5), [graph])
    assert found.accuracy == 1  # of the two whose class is known
    nodes, classes = h4g.prepared(graph)
    assert h4g.H4G(kappa=0.5)(nodes, classes)[2].argmin() == 1
    with pytest.raises(ValueError, match="unknown class"):
        next(h4g.train(h4g.H4G(), [graph]))


def test_hashed_texts_look_like_made_up_ones() -> None:
    words = [f"word{i}" for i in range(400)]
    vectors = torch.stack([hashed(word) for word in words]) * 12**0.5
    assert vectors.mean().abs() < 0.05
    assert vectors.std().item() == pytest.approx(1, abs=0.03)
    assert torch.allclose(hashed(" ".join(words[:12])), vectors[:12].mean(0), atol=1e-6)
    assert torch.equal(hashed("…"), torch.zeros(32))


@pytest.mark.parametrize(
    ("nodes", "edges", "classes", "words"),
    [
        ("name\np1", EDGES, CLASSES_TABLE, 'table of nodes has no column "text"'),
        ("", EDGES, CLASSES_TABLE, 'table of nodes has no column "name"'),
        ("name,text", EDGES, CLASSES_TABLE, "0 rows"),
        (NODES, "source,target\np1,p9", CLASSES_TABLE, "row 1 of the table of edges names 'p9'"),
        (NODES, EDGES, "name,text\ngeometry,x", "at least 2"),
        (NODES, EDGES, "name,text\nbiology,x\nart,y", "row 1 of the table of nodes names 'geometry'"),
        ("name,text\np1,--\n", EDGES, CLASSES_TABLE, "row 1 of the table of edges|text without a word"),
        ("name,text\np1,--\n", "source,target", CLASSES_TABLE, "row 1 of the table of nodes has a text without a word"),
        ("name,text\n,a\n", "source,target", CLASSES_TABLE, "row 1 of the table of nodes has no name"),
        ("name,text\na,a\na,b", "source,target", CLASSES_TABLE, "names 'a' twice"),
    ],
)
def test_tables_that_are_no_graph_are_refused(nodes: str, edges: str, classes: str, words: str) -> None:
    with pytest.raises(TextGraphError, match=words):
        parse(nodes, edges, classes)
