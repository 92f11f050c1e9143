"""Magnitude invariant parametrisations: encoded inputs, flat and split weights, the main network's prediction, per variant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from models.hypernetworks.mip import HyperNet, MainNet
from tests.parity.case import Case, CaseError, Check, KeyFile, close, shapes_of, unknown

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "leaky relu": F.leaky_relu,
    "leakyrelu": F.leaky_relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "relu": F.relu,
    "tanh": torch.tanh,
}
ROW = 2  # of the stored inputs, for which the split tensors are stored


def build(configuration: Mapping[str, Any], variant: str) -> HyperNet:
    c = dict(configuration)
    settings = {name: c["variants"][variant][name] for name in c["variants"][variant]}
    nonlinearity = settings.pop("nonlinearity", c.get("nonlinearity", "LeakyReLU"))
    return HyperNet(c["input_shapes"], c["output_shapes"], c["hidden_sizes"], nonlinearity=nonlinearity, **settings)


def shapes(keys: KeyFile) -> dict[str, tuple[int, ...]]:
    raise CaseError("the library has no released configuration, so no key file is understood")


def check(case: Case) -> Iterator[Check]:
    c, atol, rtol = case.configuration, case.tolerance("atol", 1e-5), case.tolerance("rtol", 1e-4)
    for variant in c["variants"]:
        net = build(c, variant)
        net.load_state_dict(_part(case.state, variant), strict=True)
        gamma = {name: case.tensors[f"input.{name}"] for name in c["input_shapes"]}
        one = {name: tensor[ROW] for name, tensor in gamma.items()}
        with torch.inference_mode():
            weights = dict(net(one).weights)
            ours = {
                "encoded": net.encoding(net.flatten(gamma)),
                "flat": net.generate(gamma),
                "prediction": functional_call(main_network(c), weights, (case.image(),)),
                **{f"param.{name}": tensor for name, tensor in weights.items()},
            }
            yield close(f"{variant}: all rows, split", _flattened(net(gamma).weights), ours["flat"], 0, 0)
        for kind, stored in (("internal", case.internals), ("output", case.outputs)):
            for name, tensor in _part(stored, variant).items():
                quantity = f"{kind}.{variant}.{name}"
                yield close(quantity, ours[name], tensor, atol, rtol) if name in ours else unknown(quantity)
    known = tuple(f"{variant}." for variant in c["variants"])
    yield from (unknown(f"output.{name}") for name in case.outputs if not name.startswith(known))


def main_network(configuration: Mapping[str, Any]) -> nn.Module:
    """The generated network, in the shapes of the case."""
    shapes = configuration["output_shapes"]
    kernels = [tuple(shape) for shape in shapes.values() if len(shape) == 4]
    channels = [kernels[0][1], *(kernel[0] for kernel in kernels)]
    written = configuration.get("target", "leaky ReLU").lower()
    activation = next((ACTIVATIONS[word] for word in ACTIVATIONS if word in written), F.leaky_relu)
    network = MainNet(channels, shapes["fc.weight"][0], kernels[0][2], activation)
    if shapes_of(network) != {name: tuple(shape) for name, shape in shapes.items()}:
        raise CaseError(f"the main network {configuration.get('target')!r} is not built; convolutions c1, c2, … and a linear layer fc are")
    return network


def _part(tensors: Mapping[str, Tensor], variant: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{variant}."): tensor for name, tensor in tensors.items() if name.startswith(f"{variant}.")}


def _flattened(weights: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([tensor.flatten(1) for tensor in weights.values()], 1)
