"""Poincaré ResNet: operations of the ball, gyroplane layers, midpoint batch normalisation, whole networks; with gradients.

Every case is run in float64 against the stored float64 run, and again in float32 where the case gives a tolerance for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from models.hyperbolic import ball, resnet
from models.hyperbolic.layers import PoincareBatchNorm2d, PoincareConv2d, PoincareLinear
from models.hyperbolic.naive import fully_connected, gyroplane_scores
from models.hyperbolic.operations import beta_ratio
from tests.parity.case import Case, CaseError, Check, KeyFile, close, observed, on_meta, shapes_of, unknown

VARIANTS = {"paper": "paper", "release": "released"}  # name in the cases: ours
Tensors = Mapping[str, Tensor]


def shapes(keys: KeyFile) -> dict[str, tuple[int, ...]]:
    name = keys.label.lower()
    for word in keys.note.split():
        name = word.strip(",") if word.startswith("hyperbolic-") else name
    return shapes_of(on_meta(resnet.build, name, **keys.options()))


def check(case: Case) -> Iterator[Check]:
    known = {"curvatures_c": _operations, "in_channels": _layers, "features": _normalisation, "channels": _network}
    kind = next((check for key, check in known.items() if key in case.configuration), None)
    if kind is None:
        raise CaseError(f"the configuration has none of {', '.join(known)}, so nothing says what was run")
    yield from kind(case)


def _tolerance(case: Case, what: str, default: tuple[float, float]) -> tuple[float, float]:
    """(atol, rtol) that the case's words give for `what`, e.g. "float64 rtol 1e-8 atol 1e-9 (…); float32 atol 5e-4"."""
    words = case.about.get("tolerance", "")
    if isinstance(words, Mapping):
        words = "; ".join(f"{name} {text}" for name, text in words.items())
    part = re.search(rf"{what}[:\s]([^;()]*)", words)
    found = {name: float(value) for name, value in re.findall(r"([ar]tol) (\S+?)(?=[\s;,)]|$)", part[1])} if part else {}
    return found.get("atol", default[0]), found.get("rtol", default[1])


# --------------------------------------------------------------------------------------------------- operations of the ball


def _table(given: Tensors) -> dict[str, tuple[Callable[..., Tensor], tuple[str, ...]]]:
    """What each stored name is: a function and the inputs that it takes, c last."""
    identity = 0.5 * torch.eye(given["x"].shape[-1], dtype=given["x"].dtype)

    def composed(x: Tensor, y: Tensor, z: Tensor, c: Tensor) -> Tensor:
        return ball.mobius_add(-ball.mobius_add(x, y, c), ball.mobius_add(x, ball.mobius_add(y, z, c), c), c)

    def by_klein(x: Tensor, c: Tensor) -> Tensor:
        k = ball.to_klein(x, c)
        weight = ball.gap(k, c).rsqrt()
        return ball.from_klein((weight * k).sum(0) / weight.sum(0), c)

    table: dict[str, tuple[Callable[..., Tensor], tuple[str, ...]]] = {
        "dist": (ball.distance, ("x", "y")),
        "dist0": (ball.distance0, ("x",)),
        "dist2plane_signed": (ball.plane_distance, ("y", "z", "v")),
        "expmap": (ball.exp, ("x", "v")),
        "expmap0": (ball.exp0, ("v",)),
        "expmap0_far": (ball.exp0, ("far",)),
        "project_far": (ball.project, ("far",)),
        "frechet_mean": (ball.frechet_mean, ("x",)),
        "gyration": (ball.gyration, ("x", "y", "z")),
        "gyration_composed": (composed, ("x", "y", "z")),
        "klein": (ball.to_klein, ("x",)),
        "lambda_x": (ball.conformal_factor, ("x",)),
        "logmap": (ball.log, ("x", "y")),
        "logmap0": (ball.log0, ("x",)),
        "midpoint": (ball.midpoint, ("x",)),
        "midpoint_klein": (by_klein, ("x",)),
        "weighted_midpoint": (lambda x, s, c: ball.midpoint(x, c, s.abs()[:, 0]), ("x", "scalar")),
        "variance_about_midpoint": (lambda x, c: ball.distance(x, ball.midpoint(x, c), c).square().mean(), ("x",)),
        "mobius_add": (ball.mobius_add, ("x", "y")),
        "mobius_matvec": (ball.mobius_matvec, ("M", "x")),
        "mobius_scalar_mul": (ball.mobius_scalar, ("scalar", "x")),
        "transp": (ball.transport, ("x", "y", "v")),
        "fc_identity_paper": (lambda x, c: fully_connected(x, identity, x.new_zeros(x.shape[-1]), c), ("x",)),
        "mlr_nobias_paper": (lambda x, z, c: gyroplane_scores(x, z, z.new_zeros(z.shape[1]), c), ("x", "fc_z")),
    }
    for stored, ours in VARIANTS.items():
        table[f"fc_{stored}"] = (lambda x, z, r, c, kind=ours: fully_connected(x, z, r, c, kind), ("x", "fc_z", "fc_r"))
        table[f"mlr_{stored}"] = (lambda x, z, r, c, kind=ours: gyroplane_scores(x, z, r, c, kind), ("x", "fc_z", "fc_r"))
    return table


def _operations(case: Case) -> Iterator[Check]:
    inputs = {name.removeprefix("input."): tensor for name, tensor in case.tensors.items() if name.startswith("input.")}
    for name, stored in case.outputs.items():
        where, _, quantity = name.partition(".")
        given = {key.removeprefix(f"{where}."): tensor for key, tensor in inputs.items() if key.startswith(f"{where}.")}
        yield _operation(case, f"output.{name}", quantity, given, stored)


def _operation(case: Case, name: str, quantity: str, given: Tensors, stored: Tensor) -> Check:
    table, default = _table(given), _tolerance(case, "default", (1e-11, 1e-9))
    gradient = re.fullmatch(r"grad\.(\w+)\.(\w+)", quantity)
    if gradient and gradient[1] in table:
        ours = _gradient(*table[gradient[1]], given, gradient[2], given[f"grad.{gradient[1]}.cotangent"])
        return unknown(name) if ours is None else close(name, ours, stored, *_tolerance(case, "grad", (1e-9, 1e-7)))
    moment = re.fullmatch(r"geodesic_t([\d.]+)", quantity)
    if moment:
        return close(name, ball.geodesic(given["x"], given["y"], float(moment[1]), given["c"]), stored, *default)
    if quantity not in table:
        return unknown(name)
    function, names = table[quantity]
    return close(name, function(*(given[n] for n in names), given["c"]), stored, *_tolerance(case, quantity, default))


def _gradient(function: Callable[..., Tensor], names: tuple[str, ...], given: Tensors, leaf: str, cotangent: Tensor) -> Tensor | None:
    leaves = {name: given[name].clone().requires_grad_() for name in (*names, "c")}
    function(*leaves.values()).backward(cotangent)
    asked = leaf if leaf in leaves else f"fc_{leaf}"
    return leaves[asked].grad if asked in leaves else None


# ----------------------------------------------------------------------------------------------------------------- layers


def _layers(case: Case) -> Iterator[Check]:
    c = case.configuration
    double, single = _tolerance(case, "float64", (1e-9, 1e-8)), _tolerance(case, "float32", (2e-4, 2e-4))
    for stored, ours in VARIANTS.items():
        conv = PoincareConv2d(c["in_channels"], c["out_channels"], c["kernel"], c["stride"], c["padding"], c["c"], conformal=ours)
        linear = PoincareLinear(c["linear_in"], c["linear_out"], c["c"], conformal=ours)
        conv.load_state_dict({name: tensor for name, tensor in case.state.items() if not name.startswith("linear.")})
        linear.load_state_dict({name.removeprefix("linear."): t for name, t in case.state.items() if name.startswith("linear.")})
        yield from _in_single(case, conv, linear, stored, single)
        conv, linear = conv.double(), linear.double()
        t = case.tensors["input.tangent"].double().requires_grad_()
        out = conv(t)
        out.backward(case.tensors["input.cotangent"])
        found = {
            stored: out,
            f"linear.{stored}": linear(case.tensors["input.linear.tangent"].double()),
            f"grad.{stored}.input": t.grad,
            f"grad.{stored}.weights": conv.weights.grad,
            f"grad.{stored}.bias": conv.bias.grad,
        }
        yield from _compare("output", found, {n: s for n, s in case.outputs.items() if stored in n.split(".")}, double)
        if stored == "paper":
            root = float(conv.ball.c) ** 0.5
            found = {
                "beta_ratio": torch.tensor(beta_ratio(c["in_channels"], c["kernel"] ** 2), dtype=torch.float64),
                "patch_ball_norm": torch.tanh((root * conv.patch_norms(t)).clamp(max=ball.cap(t.dtype))).flatten(1) / root,
                "y_ball_norm": ball.norm(ball.exp0(out.flatten(2).mT, conv.ball.c))[..., 0],
            }
            yield from _compare("internal", found, case.internals, double)


def _in_single(case: Case, conv: PoincareConv2d, linear: PoincareLinear, variant: str, tolerance: tuple[float, float]) -> Iterator[Check]:
    """float32, where its coarser clip does not yet act on what enters and what leaves."""
    root = float(conv.ball.c) ** 0.5

    def inside(points: Tensor) -> Tensor:
        return torch.tanh(root * points.double().norm(dim=1, keepdim=True)) < 0.99

    stored = case.outputs[variant]
    small = (case.internals["patch_ball_norm"] * root < 0.99).view(stored.shape[0], 1, *stored.shape[2:]) & inside(stored)
    ours = conv(case.tensors["input.tangent"].float())
    yield close(f"output.{variant} (float32)", torch.where(small, ours, 0), torch.where(small, stored, 0), *tolerance)
    t, stored = case.tensors["input.linear.tangent"].float(), case.outputs[f"linear.{variant}"]
    small = inside(t) & inside(stored)
    yield close(f"output.linear.{variant} (float32)", torch.where(small, linear(t), 0), torch.where(small, stored, 0), *tolerance)


def _normalisation(case: Case) -> Iterator[Check]:
    c = case.configuration
    double, single = _tolerance(case, "float64", (1e-9, 1e-8)), _tolerance(case, "float32", (5e-4, 1e-4))
    norm, frechet = (PoincareBatchNorm2d(c["features"], c["c"], batch_statistics=True, mean=kind) for kind in ("midpoint", "frechet"))
    for module in (norm, frechet):
        module.load_state_dict(case.state)
        module.eval()
    t = case.tensors["input.tangent"]
    yield close("output.y (float32)", norm(t.float()), case.outputs["y"], *single)
    norm, frechet, t = norm.double(), frechet.double(), t.double().requires_grad_()
    out = norm(t)
    out.backward(case.tensors["input.cotangent"])
    found = {"y": out, "grad.input": t.grad, "grad.mean": norm.norm.mean.grad, "grad.var": norm.norm.var.grad}
    yield from _compare("output", found, {name: s for name, s in case.outputs.items() if name != "y_frechet"}, double)
    if "y_frechet" in case.outputs:
        yield close("output.y_frechet", frechet(t), case.outputs["y_frechet"], _tolerance(case, "y_frechet", (1e-6, 0))[0], double[1])
    seen, after = norm.norm.statistics(t, norm.norm), norm.norm.statistics(out, norm.norm)
    found = {
        "mean_on_ball": ball.exp0(seen.target, norm.ball.c),
        "midpoint": seen.centre,
        "variance": seen.variance,
        "midpoint_of_output": after.centre,
    }
    yield from _compare("internal", found, case.internals, double)


# ---------------------------------------------------------------------------------------------------------------- network


def _network(case: Case) -> Iterator[Check]:
    c = case.configuration
    if str(c.get("skip", "fr")).split(":")[0].strip() != "fr":
        raise CaseError(f"the case has skip = {c['skip']!r}; only fr, f(x) ⊕ residual, is built")
    double, single = _tolerance(case, "float64", (1e-8, 1e-7)), _tolerance(case, "float32", (5e-3, 0))
    image = case.tensors["input.image"]
    for stored, ours in VARIANTS.items():
        model = resnet.PoincareResNet(c["channels"], c["depths"], c["classes"], c["c"], variant=ours)
        model.load_state_dict(case.state, strict=True)
        model.eval().use_batch_statistics(True)
        internals = {name: tensor for name, tensor in case.internals.items() if name.startswith(f"{stored}.")}
        places = {name: name.removeprefix(f"{stored}.").removesuffix(".channel_norm") for name in internals}
        parts = dict(model.named_modules())
        with torch.inference_mode():
            yield close(f"output.{stored}.logits (float32)", model(image.float()), case.outputs[f"{stored}.logits"], *single)
            with observed(model.double(), outputs=[place for place in places.values() if place in parts]) as seen:
                ours_in_double = model(image.double())
        for name, tensor in internals.items():
            yield _internal(name, seen.get(places[name]), tensor, double)
        yield close(f"output.{stored}.logits", ours_in_double, case.outputs[f"{stored}.logits"], *double)
    for name in case.internals.keys() | case.outputs.keys():
        if name.split(".")[0] not in VARIANTS:
            yield unknown(name)


def _internal(name: str, ours: Tensor | None, stored: Tensor, tolerance: tuple[float, float]) -> Check:
    if ours is None:
        return unknown(f"internal.{name}")
    if name.endswith(".channel_norm"):
        ours = ours.norm(dim=1)[:, ::4, ::4]
    return close(f"internal.{name}", ours, stored, *tolerance)


def _compare(part: str, ours: Mapping[str, Any], stored: Tensors, tolerance: tuple[float, float]) -> Iterator[Check]:
    for name, tensor in stored.items():
        found = ours.get(name)
        yield unknown(f"{part}.{name}") if found is None else close(f"{part}.{name}", found, tensor, *tolerance)
