"""NeuMeta: coordinates, encoded features, raw values, generated and averaged networks; cliques, cities, shortest paths."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from models.hypernetworks import targets
from models.hypernetworks.neumeta import NeuMeta, mean_of, raw_coordinates
from models.hypernetworks.permutation import IN, OUT, Clique, city, cliques, path_length, permuted, shortest_path, smoothed, total_variation
from tests.parity.case import Case, CaseError, Check, KeyFile, close, equal, on_meta, shapes_of, unknown

TARGETS: dict[str, Callable[..., nn.Module]] = {
    "MnistNet": targets.MnistNet,
    "MnistResNet": targets.MnistResNet,
    "CifarResNet": targets.CifarResNet,
    "cifar10_resnet20": targets.CifarResNet,
}
MODES = {"out_channels": OUT, "in_channels": IN}
PROVEN = 16  # cities up to which the case asks for the shortest path of all


def build(configuration: Mapping[str, Any], num_compose: int, norm: float = 1) -> NeuMeta:
    """Our representation of a configuration; the number of coordinates is fixed by the paper."""
    settings = {name: configuration[name] for name in ("hidden_dim", "output_dim", "num_freqs", "num_layers")}
    if configuration.get("input_dim", 6) != 6:
        raise CaseError(f"the case has {configuration['input_dim']} coordinates; 6 are built")
    return NeuMeta(num_compose, norm=norm, scalar=configuration.get("scalar", 0.1), **settings)


def shapes(keys: KeyFile) -> dict[str, tuple[int, ...]]:
    configuration = json.loads(keys.path.read_text(encoding="utf-8"))["config"]
    return shapes_of(on_meta(build, configuration, configuration["num_compose"]))


def check(case: Case) -> Iterator[Check]:
    yield from _permutation(case) if "groups" in case.about else _representation(case)


def target(call: str) -> nn.Module:
    """The network that the case writes as a call, e.g. "MnistNet(hidden_dim=3)"."""
    match = re.match(r"\s*(\w+)\s*\((.*)\)", call)
    if match is None or match[1] not in TARGETS:
        raise CaseError(f"the target {call!r} is not built; these are: {', '.join(TARGETS)}")
    called = ast.parse(f"f({match[2]})", mode="eval").body
    assert isinstance(called, ast.Call)
    settings = {word.arg: ast.literal_eval(word.value) for word in called.keywords if word.arg}
    return TARGETS[match[1]](*map(ast.literal_eval, called.args), **settings)


# ---------------------------------------------------------------------------------------------------- representation


def _representation(case: Case) -> Iterator[Check]:
    c = case.configuration
    neumeta = build(c["inr"], c["num_compose"], c["norm"])
    neumeta.load_state_dict(case.state, strict=True)
    table = {name: tuple(c["param_shapes"][name]) for name in c.get("param_order", c["param_shapes"])}
    network, atol, rtol = target(c["target"]), case.tolerance("atol", 2e-5), case.tolerance("rtol", 1e-4)
    noise = [case.tensors[f"input.noise.{k}"] for k in range(c["K"])]
    with torch.inference_mode():
        sets = {
            "param": neumeta(table).weights,
            "merged_clean_id": mean_of([neumeta(table, noise=n) for n in noise]).weights,
            "merged_released": mean_of([neumeta(table, noise=n, released=True) for n in noise]).weights,
        }
        yield from _fields(case, neumeta, table, atol)
        yield from _internals(case, neumeta, table, atol)
        for name, stored in case.outputs.items():
            kind, _, parameter = name.partition(".")
            loose = 1e-4 if "released" in name else atol  # there the divisors of vectors go down to a half
            if kind in ("raw", "raw64"):
                yield close(f"output.{name}", _raw(neumeta, table, torch.float64 if "64" in kind else torch.float32), stored, atol, rtol)
            elif kind in sets and parameter in table:
                yield close(f"output.{name}", sets[kind][parameter], stored, loose, rtol)
            elif kind.startswith("logits"):
                weights = sets[kind.removeprefix("logits").removeprefix("_") or "param"]
                generated = functional_call(network, dict(weights), (case.image(),))
                yield close(f"output.{name}", generated, stored, loose, rtol)
            else:
                yield unknown(f"output.{name}")


def _internals(case: Case, neumeta: NeuMeta, table: Mapping[str, tuple[int, ...]], atol: float) -> Iterator[Check]:
    raw = raw_coordinates(table)
    yield equal("input.coords (ours)", raw, case.tensors["input.coords"])
    ours = {"normalised": neumeta.encode(raw), "encoded": neumeta.features(neumeta.encode(raw)), "layer_id": raw[:, 0].long()}
    for name, stored in case.internals.items():
        if name not in ours:
            yield unknown(f"internal.{name}")
        elif name == "layer_id":
            yield equal(f"internal.{name}", ours[name], stored)
        else:
            yield close(f"internal.{name}", ours[name], stored, atol)


def _raw(neumeta: NeuMeta, table: Mapping[str, tuple[int, ...]], dtype: torch.dtype) -> Tensor:
    raw = raw_coordinates(table).to(dtype)
    values = neumeta.to(dtype).values(raw, raw[:, 0].long(), raw[:, 5])
    neumeta.float()
    return values


def _fields(case: Case, neumeta: NeuMeta, table: Mapping[str, tuple[int, ...]], atol: float) -> Iterator[Check]:
    """The lattice of every field is the stored tensor."""
    for name, shape in table.items():
        lattice = neumeta.field(table, name, resolution=2).lattice_values
        yield close(f"lattice of {name}", lattice.reshape(shape), case.outputs[f"param.{name}"], atol)


# -------------------------------------------------------------------------------------------------------- permutation


def _permutation(case: Case) -> Iterator[Check]:
    network = target(case.about.get("config", case.about.get("configuration")))
    network.load_state_dict(case.state, strict=True)
    ignored = {(name, MODES[mode]) for name, mode in case.about["ignored"]}
    groups = [(group, tuple((name, MODES[mode]) for name, mode in group["members"])) for group in case.about["groups"]]
    ours = {frozenset(clique.members): clique for clique in cliques(network)}
    reference = dict(case.state)
    for group, members in groups:
        clique = Clique(members, group["n"], free=ours[frozenset(members)].free if frozenset(members) in ours else False)
        yield _found(group, clique, ours, ignored)
        yield from _path(case, group, clique)
        if clique.free:
            once = Clique(tuple(dict.fromkeys(members)), clique.size, free=True)
            reference = permuted(reference, once, case.internals[f"order_reference.{group['index']}"])
    yield from _outputs(case, network, reference)


def _found(group: Mapping[str, Any], clique: Clique, ours: Mapping[frozenset, Clique], ignored: set[tuple[str, int]]) -> Check:
    """Our tracer found this clique, of this size, and holds it free exactly where the case applies it."""
    found = ours.get(frozenset(clique.members))
    right = found is not None and found.size == group["n"] and found.free != all(member in ignored for member in clique.members)
    return Check(f"clique {group['index']}", 0 if right else 1, 0, right, f"{len(clique.members)} axes of {group['n']} channels")


def _path(case: Case, group: Mapping[str, Any], clique: Clique) -> Iterator[Check]:
    index, n = group["index"], group["n"]
    cities = city(case.state, clique)
    yield close(f"internal.city.{index}", cities, case.internals[f"city.{index}"], 0)
    length, wanted = path_length(cities, shortest_path(cities)), group["length_reference"]
    yield close(f"length along the stored order {index}", _scalar(path_length(cities)), _scalar(group["length_identity"]), 1e-5)
    for name in ("reference", "optimal"):
        if f"order_{name}.{index}" in case.internals:
            stored = path_length(cities, case.internals[f"order_{name}.{index}"])
            yield close(f"internal.order_{name}.{index} (its length)", _scalar(stored), _scalar(group[f"length_{name}"]), 1e-5)
    short = length <= wanted * (1 + 1e-4)
    yield Check(f"path {index}: no longer than the reference", max(0.0, length / wanted - 1), 1e-4, short, f"{length:.4f} of {wanted:.4f}")
    if n <= PROVEN and group.get("length_optimal") is not None:
        yield close(f"path {index}: shortest of all", _scalar(length), _scalar(group["length_optimal"]), 0, 1e-4)


def _outputs(case: Case, network: nn.Module, reference: Mapping[str, Tensor]) -> Iterator[Check]:
    image, (ours, _) = case.image(), smoothed(network)
    with torch.inference_mode():
        logits = {
            "logits_before": network(image),
            "logits_after": functional_call(network, dict(reference), (image,)),
            "ours": functional_call(network, ours, (image,)),
        }
    yield close("output.logits_before (our permutation)", logits["ours"], case.outputs["logits_before"], 1e-5)
    parameters = {name for name, _ in network.named_parameters()}
    for name, stored in case.outputs.items():
        kind, _, parameter = name.partition(".")
        if kind == "permuted":
            yield close(f"output.{name}", reference[parameter], stored, 0)
        elif name in logits:
            yield close(f"output.{name}", logits[name], stored, 1e-5)
        elif kind in ("tv_before", "tv_after"):
            state = case.state if kind == "tv_before" else reference
            variation = total_variation({key: tensor for key, tensor in state.items() if key in parameters})
            yield close(f"output.{name}", _scalar(variation), stored.double(), 1e-4)
        else:
            yield unknown(f"output.{name}")


def _scalar(value: float) -> Tensor:
    return torch.tensor([value], dtype=torch.float64)
