"""GHN-3 and LoGAH: node embeddings before and after the Graphormer, every predicted parameter, the low-rank decoder alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from models.hypernetworks.ghn3 import GHN3, GraphHyperNetwork
from models.hypernetworks.logah import LoGAH, LowRankDecoder, as_kernels
from models.structures import ComputationGraph
from tests.parity.case import Case, Check, KeyFile, changed, close, equal, load_strictly, on_meta, shapes_of, unknown

SETTINGS = ("max_shape", "num_classes", "hid", "heads", "layers", "weight_norm", "ve", "layernorm")
LOW_RANK = ("lora_r", "max_ck_lora", "use_1d_decoder")


def build(configuration: Mapping[str, Any]) -> GraphHyperNetwork:
    """Our network of a configuration; "lora" tells LoGAH from GHN-3."""
    changed(configuration, is_ghn2=False)
    given = {name: configuration[name] for name in SETTINGS if name in configuration}
    if not configuration.get("lora", False):
        return GHN3(**given)
    return LoGAH(**given, **{name: configuration[name] for name in LOW_RANK if name in configuration})


def shapes(keys: KeyFile) -> dict[str, tuple[int, ...]]:
    return shapes_of(on_meta(build, json.loads(keys.path.read_text(encoding="utf-8"))["config"]))


def check(case: Case) -> Iterator[Check]:
    yield from _decoder(case) if "calls" in case.about else _prediction(case)


# --------------------------------------------------------------------------------------------------------- prediction


def graph(case: Case) -> ComputationGraph:
    """The stored graph: nodes from the description, distances as they are."""
    nodes = sorted(case.about["nodes"], key=lambda node: node["i"])
    sizes = [None if node["size"] is None else tuple(node["size"]) for node in nodes]
    return ComputationGraph(
        case.tensors["input.primitive"].flatten(),
        case.tensors["input.adjacency"],
        tuple(node["param_name"] for node in nodes),
        tuple(sizes),
    )


def _prediction(case: Case) -> Iterator[Check]:
    net, seen = build(case.configuration), graph(case)
    assert isinstance(load_strictly(net, case), GraphHyperNetwork)
    atol, rtol = case.tolerance("atol", 2e-5), case.tolerance("rtol", 1e-4)
    with torch.inference_mode():
        features, embeddings = net.node_features(seen), net.encode(seen)
        generated = net(seen)
    yield equal("primitive", torch.tensor([node["primitive"] for node in case.about["nodes"]]), seen.primitive)
    ours = {"nodes_after_shape_encoding": features, "node_embeddings": embeddings}
    for name, stored in case.internals.items():
        yield close(f"internal.{name}", ours[name], stored, atol, rtol) if name in ours else unknown(f"internal.{name}")
    predicted = {f"param.{name}": tensor for name, tensor in generated.weights.items()}
    for name, stored in case.outputs.items():
        yield close(f"output.{name}", predicted[name], stored, atol, rtol) if name in predicted else unknown(f"output.{name}")
    beyond = sorted(set(predicted) - set(case.outputs))
    yield Check("parameters that are not stored", len(beyond), 0, not beyond, ", ".join(beyond) or f"{len(predicted)} tensors")


# ------------------------------------------------------------------------------------------------------------ decoder


def _decoder(case: Case) -> Iterator[Check]:
    c, x = case.configuration, case.tensors["input.x"]
    decoder = LowRankDecoder(c["in_features"], c["ck"], c["r"], c["hid"])
    load_strictly(decoder, case)
    atol, rtol = case.tolerance("atol", 1e-5), case.tolerance("rtol", 1e-4)
    with torch.inference_mode():
        ours = {"mlp": decoder.mlp(x), "factors": decoder.factors(x)}
        for i, call in enumerate(case.about["calls"]):
            out, inn, height, width = call["max_shape"]
            left, right = decoder(x, out * height, inn * width)
            products = torch.stack([as_kernels(product, (out, inn, height, width)) for product in left @ right])
            ours[str(i)] = products.reshape(call["out"])
    for kind, part in (("internal", case.internals), ("output", case.outputs)):
        for name, stored in part.items():
            yield close(f"{kind}.{name}", ours[name], stored, atol, rtol) if name in ours else unknown(f"{kind}.{name}")
