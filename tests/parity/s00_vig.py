"""ViG and Pyramid ViG: neighbours, distances, the tensor that enters the graph convolution, grapher means, logits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.capture import Trace, capture
from models.image_graphs import vig
from models.structures import PatchGraph
from tests.parity.case import (
    Case,
    Check,
    KeyFile,
    changed,
    close,
    equal,
    equal_sets,
    load_strictly,
    logits,
    observed,
    on_meta,
    shapes_of,
    unknown,
)


def build(configuration: Mapping[str, Any]) -> vig.ViG | vig.PyramidViG:
    """Our model of a case's configuration; a missing setting has its released value."""
    c = dict(configuration)
    changed(c, conv="mr", act="gelu", norm="batch", bias=True)
    common = {
        "k": c.get("k", 9),
        "num_classes": c.get("num_classes", 1000),
        "head_dim": c.get("head_dim", 1024),
        "image_size": _pair(c.get("image", (224, 224))),
    }
    if "blocks" in c:
        return vig.PyramidViG(c["blocks"], c["channels"], **common)
    return vig.ViG(c.get("channels", 192), c.get("n_blocks", 12), use_dilation=c.get("use_dilation", True), **common)


def shapes(keys: KeyFile) -> dict[str, tuple[int, ...]]:
    return shapes_of(on_meta(vig.build, keys.official_name(vig.CONFIGURATIONS), **keys.options()))


def check(case: Case) -> Iterator[Check]:
    model = build(case.configuration)
    computed = {name: term.clone() for name, term in model.state_dict().items() if name.endswith("relative_pos")}
    load_strictly(model, case)
    image = case.image()
    graphers = [name for name, module in model.named_modules() if isinstance(module, vig.Grapher)]
    for module in model.modules():
        if isinstance(module, vig.DilatedKNN):
            module.horizon = image.shape[2] * image.shape[3]  # list every candidate: the whole distance row is stored
    mixed = [f"{name}.graph_conv.gconv.nn" for name in graphers]
    with torch.inference_mode(), capture(model) as trace, observed(model, inputs=mixed, outputs=graphers) as seen:
        ours = model(image)
    yield from _schedule(case, model, graphers)
    for name, term in computed.items():
        if term.shape == case.state[name].shape:
            yield close(f"state.{name} (computed)", term, case.state[name], 1e-5)
    for name, stored in case.internals.items():
        yield _internal(case, name, stored, trace, seen)
    with torch.inference_mode():
        in_double = model.double()(image.double())
    yield from logits(case, ours, in_double)


def _internal(case: Case, name: str, stored: Tensor, trace: Trace, seen: Mapping[str, Tensor]) -> Check:
    quantity, where = f"internal.{name}", re.fullmatch(r"block(\d+)\.(\w+)", name)
    grapher = f"backbone.{where[1]}.0" if where else ""
    if where is None or grapher not in seen:
        return unknown(quantity)
    graph = trace.of(PatchGraph)[f"{grapher}.graph_conv.constructor"]
    if where[2] == "knn":
        return equal_sets(quantity, graph.neighbours()[0], stored)
    if where[2] == "dist":
        return close(quantity, _dense_distance(graph), stored, case.tolerance("aggregated_atol", 1e-4))
    if where[2] == "aggregated":
        entering = seen[f"{grapher}.graph_conv.gconv.nn"].flatten(2)[..., None]
        return close(quantity, entering, stored, case.tolerance("aggregated_atol", 1e-4))
    if where[2] == "grapher_out_mean":
        return close(quantity, seen[grapher].mean((2, 3)), stored, case.tolerance("aggregated_atol", 1e-4))
    return unknown(quantity)


def _dense_distance(graph: PatchGraph) -> Tensor:
    """[B, N, M]: the sorted candidate distances put back to their keys; NaN where a key was not listed."""
    assert graph.distance is not None
    keys = graph.key_grid[0] * graph.key_grid[1]
    dense = graph.distance.new_full((*graph.distance.shape[:2], keys), torch.nan)
    return dense.scatter(2, graph.candidates, graph.distance)


def _schedule(case: Case, model: nn.Module, graphers: list[str]) -> Iterator[Check]:
    """k, dilation and pooling of every block, where the case lists them."""
    listed = case.configuration.get("schedule")
    if listed is None:
        return
    ours = []
    for name in graphers:
        conv = model.get_submodule(name).graph_conv
        ours.append((int(name.split(".")[1]), conv.constructor.k, conv.constructor.dilation, conv.pool))
    stored = [(entry["backbone_index"], entry["k"], entry["dilation"], entry["r"]) for entry in listed]
    yield equal("schedule (block, k, dilation, pooling)", torch.tensor(ours), torch.tensor(stored))


def _pair(size: int | tuple[int, int] | list[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])
