"""Dual hypergraphs: incidences, hypergraph convolution, HyperDrop (scores, kept edges, answer), HyperCluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from models.capture import capture
from models.graph_structure.dht import HyperCluster, HyperConv, HyperDrop, convolution_links, dual, with_loops
from models.structures import EdgeClusters, EdgeSelection
from tests.parity.case import Case, CaseError, Check, KeyFile, changed, close, equal, equal_sets, unknown


def shapes(keys: KeyFile) -> dict[str, tuple[int, ...]]:
    raise CaseError("no configuration of this system is published with weights, so there are no names and shapes to compare")


@dataclass(frozen=True)
class Run:
    """What our models gave: numbers and whole numbers by the name that they have in the file."""

    numbers: Mapping[str, Tensor]
    whole: Mapping[str, Tensor]


def check(case: Case) -> Iterator[Check]:
    with torch.inference_mode():
        run = _run(case)
    for part, stored in (("internal", case.internals), ("output", case.outputs)):
        for name, tensor in stored.items():
            quantity = f"{part}.{name}"
            if name in run.numbers:
                yield close(quantity, run.numbers[name], tensor, case.tolerance("atol", 2e-5))
            elif name.startswith("drop.perm"):
                yield equal_sets(quantity, run.whole[name], tensor) if name in run.whole else unknown(quantity)
            else:
                yield equal(quantity, run.whole[name], tensor) if name in run.whole else unknown(quantity)


def _run(case: Case) -> Run:
    t = case.tensors
    x, edges, batch, attributes = t["input.x"], t["input.edge_index"], t["input.batch"], t["input.edge_attr"]
    nodes = len(x)
    whole = {"dht.edge_batch": batch[edges[0]]}
    for name, listed in (("", edges), ("_single", t.get("input.edge_index_single"))):
        if listed is not None:
            turned = dual(listed, nodes)
            whole[f"dht_noloop{name}.hyperedge_index"] = turned.incidence
            whole[f"dht_loop{name}.hyperedge_index"] = with_loops(turned).incidence
    numbers: dict[str, Tensor] = {}
    if "conv.weight" in case.state:
        conv = HyperConv(*case.state["conv.weight"].shape)
        conv.load_state_dict(_state(case, "conv."))
        numbers["conv"] = conv(attributes, convolution_links(edges, nodes))
    if _state(case, "drop."):
        _drop(case, x, edges, batch, attributes, numbers, whole)
    if _state(case, "cluster."):
        _cluster(case, edges, batch, attributes, numbers)
    return Run(numbers, whole)


def _drop(case: Case, x: Tensor, edges: Tensor, batch: Tensor, attributes: Tensor, numbers: dict, whole: dict) -> None:
    c, state = case.configuration, _state(case, "drop.")
    model = HyperDrop(
        features=x.shape[1],
        edge_features=attributes.shape[1],
        classes=len(state[max(name for name in state if name.startswith("classifier.") and name.endswith(".bias"))]),
        hidden=c["num_hidden"],
        layers=c["num_convs"],
        ratio=c["edge_ratio_drop"],
        edge_hidden=c.get("num_edge_hidden"),
        pairs=False,
    )
    model.load_state_dict(state, strict=True)
    with capture(model.eval()) as trace:
        numbers["drop.logprob"] = model(x, edges, batch, attributes)
    for number, chosen in enumerate(trace.of(EdgeSelection).values()):
        numbers[f"drop.score{number}"] = chosen.score
        whole[f"drop.perm{number}"] = chosen.kept


def _cluster(case: Case, edges: Tensor, batch: Tensor, attributes: Tensor, numbers: dict) -> None:
    c, state = case.configuration, _state(case, "cluster.")
    changed(c, num_heads=1)
    model = HyperCluster(
        edge_features=attributes.shape[1],
        clusters=c.get("num_seeds", state["pool.S"].shape[1]),
        hidden=c["num_hidden"],
        layers=sum(name.startswith("convs.") and name.endswith(".weight") for name in state),
        norm=c.get("ln", False),
        over_seeds=c.get("cluster", True),
    )
    model.load_state_dict(state, strict=True)
    with capture(model.eval()) as trace:
        numbers["cluster.edge_logits"] = model(attributes, edges, batch)
    (gathered,) = {id(found): found for found in trace.of(EdgeClusters).values()}.values()
    numbers["cluster.attn"], numbers["cluster.pooled"] = gathered.share, gathered.pooled


def _state(case: Case, prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in case.state.items() if name.startswith(prefix)}
