"""YOLOv13: the hypergraph layer, C3AH, HyperACE, and the whole detector with its tunnels and decoded boxes."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.capture import Trace, capture
from models.hypergraphs import yolov13
from models.hypergraphs.hyperace import C3AH, HyperACE
from models.hypergraphs.softhgnn import SoftHGNN
from models.structures import HypergraphMessages, SoftHypergraph
from tests.parity.case import Case, CaseError, Check, KeyFile, changed, close, load_strictly, observed, on_meta, shapes_of, unknown

Values = Mapping[str, Callable[[], Tensor]]


def check(case: Case) -> Iterator[Check]:
    kinds = {"full model": _check_detector, "AdaHGConv": _check_layer, "C3AH": _check_c3ah, "HyperACE": _check_hyperace}
    for kind, checked in kinds.items():
        if kind.lower() in case.system.lower():
            yield from checked(case)
            return
    raise CaseError(f"the case is of {case.system!r}; known are {', '.join(kinds)}")


def shapes(keys: KeyFile) -> dict[str, tuple[int, ...]]:
    return shapes_of(on_meta(yolov13.build, keys.official_name(yolov13.CONFIGURATIONS), **keys.options()))


# ---------------------------------------------------------------------------------------------------------------- modules


def _check_layer(case: Case) -> Iterator[Check]:
    c = case.configuration
    settings = {name: c[name] for name in ("num_hyperedges", "num_heads", "dropout", "context") if name in c}
    layer = load_strictly(SoftHGNN(c["embed_dim"], **settings), case)
    tokens = case.tensors["input.X"]
    with torch.inference_mode(), capture(layer) as trace, observed(layer, inputs=["edge_generator.context_net"]) as seen:
        output = layer(tokens)
    with torch.inference_mode():
        in_double = layer.double()(tokens.double())
    (hypergraph,), (messages,) = trace.of(SoftHypergraph).values(), trace.of(HypergraphMessages).values()
    yield from _compare(
        case,
        {
            "A": lambda: hypergraph.participation,
            "logits": lambda: _given(hypergraph.logits),
            "logits_per_head": hypergraph.head_logits,
            "prototypes": lambda: _given(hypergraph.prototypes),
            "context": lambda: seen["edge_generator.context_net"],
            "row_sum": lambda: hypergraph.participation.sum(2),
            "hyperedge_raw": lambda: messages.collected,
            "hyperedge": lambda: messages.hyperedges,
            "message": lambda: messages.received,
            "update": lambda: messages.update,
            "Y": lambda: output,
            "Y_float64": lambda: in_double,
        },
        2e-5,
    )


def _check_c3ah(case: Case) -> Iterator[Check]:
    c = case.configuration
    settings = {name: c[name] for name in ("e", "num_hyperedges", "context") if name in c}
    module = load_strictly(C3AH(c["c1"], c["c2"], **settings), case)
    with torch.inference_mode(), capture(module) as trace, observed(module, inputs=["m.hgnn"], outputs=["m.hgnn"]) as seen:
        output = module(case.tensors["input.x"])
    (hypergraph,) = trace.of(SoftHypergraph).values()
    with torch.inference_mode():
        entering = module.get_submodule("cv1")(case.tensors["input.x"]).flatten(2).transpose(1, 2)
        in_double = module.double()(case.tensors["input.x"].double())
    both = {"tokens": lambda: entering, "tokens_in": lambda: entering, "tokens_out": lambda: seen["m.hgnn"]}
    yield from _compare(case, {**both, "A": lambda: hypergraph.participation, "y": lambda: output, "y_float64": lambda: in_double}, 5e-5)


def _check_hyperace(case: Case) -> Iterator[Check]:
    c = case.configuration
    changed(c, dsc3k=True)
    names = ("n", "num_hyperedges", "shortcut", "e1", "e2", "context", "channel_adjust")
    module = load_strictly(HyperACE(c["c1"], c["c2"], **{name: c[name] for name in names if name in c}), case)
    maps = [case.tensors[f"input.x{i}"] for i in range(3)]
    outputs = ["fuse", "branch1", "branch2", "cv1", *(f"m.{i}" for i in range(c.get("n", 1)))]
    with torch.inference_mode(), capture(module) as trace, observed(module, inputs=["cv2"], outputs=outputs) as seen:
        output = module(*maps)
    with torch.inference_mode():
        in_double = module.double()(*(x.double() for x in maps))
    values: dict[str, Callable[[], Tensor]] = {
        "fused": lambda: seen["fuse"],
        "split": lambda: seen["cv1"],
        "concat": lambda: seen["cv2"],
        "y": lambda: output,
        "y_float64": lambda: in_double,
    }
    for branch in (1, 2):
        values[f"A_branch{branch}"] = partial(_branch, trace, branch)
        values[f"branch{branch}_out"] = partial(seen.__getitem__, f"branch{branch}")
    for i in range(c.get("n", 1)):
        values[f"m{i}_out"] = partial(seen.__getitem__, f"m.{i}")
    yield from _compare(case, values, 5e-5)


def _compare(case: Case, values: Values, atol: float) -> Iterator[Check]:
    atol, rtol = case.tolerance("atol", atol), case.tolerance("rtol", 1e-4)
    for kind, tensors in (("internal", case.internals), ("output", case.outputs)):
        for name, stored in tensors.items():
            yield close(f"{kind}.{name}", values[name](), stored, atol, rtol) if name in values else unknown(f"{kind}.{name}")


def _branch(trace: Trace, number: int) -> Tensor:
    found = [graph for name, graph in trace.of(SoftHypergraph).items() if f"branch{number}." in name]
    return found[0].participation


def _given(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    return tensor


# --------------------------------------------------------------------------------------------------------------- detector


def _check_detector(case: Case) -> Iterator[Check]:
    c = case.configuration
    model = yolov13.build(f"yolov13{c['scale']}", nc=c.get("nc", 80))
    model.load_state_dict(state_of(case, model), strict=True)
    model.eval()
    eps = {module.eps for module in model.modules() if isinstance(module, nn.BatchNorm2d)}
    if eps != {case.about.get("bn_eps", 1e-3)}:
        raise CaseError(f"the case normalises with eps = {case.about['bn_eps']}; ours with {eps}")
    layers = [f"model.{i}" for i in range(32)]
    with torch.inference_mode(), capture(model) as trace, observed(model, outputs=layers) as seen:
        prediction = model(case.image())
    atol, rtol = case.tolerance("internal_atol", 2e-3), case.tolerance("internal_rtol", 1e-3)
    for name, stored in case.internals.items():
        tap, branch = re.fullmatch(r"(?:layer|tunnel)(\d+)(?:_first(\d+)ch)?", name), re.fullmatch(r"A_branch([12])", name)
        if tap:
            channels = int(tap[2]) if tap[2] else None
            yield close(f"internal.{name}", seen[f"model.{tap[1]}"][:, :channels], stored, atol, rtol)
        elif branch:
            yield close(f"internal.{name}", _branch(trace, int(branch[1])), stored, atol, rtol)
        else:
            yield unknown(f"internal.{name}")
    for name, stored in case.outputs.items():
        if name == "pred":
            ours = prediction[..., case.outputs["anchor_index"]] if "anchor_index" in case.outputs else prediction
            yield close("output.pred (boxes)", ours[:, :4], stored[:, :4], case.tolerance("atol_box_px", 5e-3), 0)
            yield close("output.pred (classes)", ours[:, 4:], stored[:, 4:], case.tolerance("atol_cls", 2e-4), 0)
        elif name != "anchor_index":
            yield unknown(f"output.{name}")


def state_of(case: Case, model: nn.Module) -> dict[str, Tensor]:
    """The case's weights: stored statistics as they are, everything else rebuilt by the recipe that the case describes."""
    recipe, salt = case.about["recipe"], case.about["salt"]
    if recipe["name"] != "crc32-v2":
        raise CaseError(f"weights are rebuilt by the recipe {recipe['name']!r}; only 'crc32-v2' is known")
    scales = _scales(recipe["rules"])
    stored = case.state
    unexpected = set(stored) - set(model.state_dict())
    if unexpected:
        raise CaseError(f"stored but unknown to the model: {', '.join(sorted(unexpected)[:3])}")
    return {key: stored[key].float() if key in stored else _rebuilt(key, value, salt, scales) for key, value in model.state_dict().items()}


def _scales(rules: list[str]) -> dict[str, tuple[float, float]]:
    """{kind: (offset, scale)} of the normal numbers, read from the sentences of the recipe."""
    text = "\n".join(rules)
    number = r"(\d+(?:\.\d+)?)"
    found: dict[str, tuple[float, float]] = {}
    for kind, pattern in {
        "gate": rf"gate \(0-d\) -> {number} \+ {number} n",
        "gamma": rf"gamma -> {number} \+ {number} n",
        "prototype_base": rf"prototype_base -> (){number} n",
        "bias": rf"^bias -> (){number} n",
        "scale": rf"weight with 1 dim.* -> {number} \+ {number} n",
        "weight": rf"gain = {number} \({number} if \"context_net\"",
    }.items():
        match = re.search(pattern, text, re.MULTILINE)
        if match is None:
            raise CaseError(f"the recipe does not say how {kind} is drawn")
        found[kind] = (float(match[1] or 0), float(match[2]))
    return found


def _rebuilt(key: str, value: Tensor, salt: int, scales: Mapping[str, Any]) -> Tensor:
    last = key.rpartition(".")[2]
    if last == "num_batches_tracked":
        return torch.zeros_like(value)
    if last in ("running_mean", "running_var"):
        raise CaseError(f"{key} must be stored")
    if key.endswith("dfl.conv.weight"):
        return value
    seed = (zlib.crc32(key.encode()) ^ salt) & 0xFFFFFFFF
    normal = np.random.RandomState(seed).standard_normal(tuple(value.shape))
    if last == "weight" and value.ndim > 1:
        gain = scales["weight"]["context_net" in key]
        drawn = gain * normal / np.sqrt(np.prod(value.shape[1:]))
    else:
        offset, scale = scales[last if last in scales and last != "weight" else "scale"]
        drawn = offset + scale * normal
    return torch.from_numpy(np.asarray(drawn)).float()
