"""DAGNN: normalised adjacency, transformed features, hops, gates, mixture, log-probabilities."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from models.capture import capture
from models.graph_structure.dagnn import DAGNN, normalised
from models.structures import Propagation
from tests.parity.case import Case, CaseError, Check, KeyFile, close, load_strictly, unknown


def shapes(keys: KeyFile) -> dict[str, tuple[int, ...]]:
    raise CaseError("no configuration of this system is published with weights, so there are no names and shapes to compare")


def check(case: Case) -> Iterator[Check]:
    c = case.configuration
    model = load_strictly(DAGNN(c["num_features"], c["num_classes"], c.get("hidden", 64), c["K"]), case)
    x, edges = case.tensors["input.x"], case.tensors["input.edge_index"]
    with torch.inference_mode(), capture(model) as trace:
        ours = {"log_probs": model(x, edges)}
        z = model.transform(x)
        ours["log_probs64"] = model.double()(x.double(), edges)
    (seen, _) = trace.of(Propagation).values()
    found = {"adj_norm": dense(x, edges), "z": z, "hops": seen.hops, "retain": seen.gate, "prop": seen.mixed()}
    atol, rtol = case.tolerance("atol", 1e-5), case.tolerance("rtol", 1e-5)
    for part, stored, computed in (("internal", case.internals, found), ("output", case.outputs, ours)):
        for name, tensor in stored.items():
            yield close(f"{part}.{name}", computed[name], tensor, atol, rtol) if name in computed else unknown(f"{part}.{name}")


def dense(x: Tensor, edge_index: Tensor) -> Tensor:
    """Â [N, N], row = receiving node."""
    links, weight = normalised(x, edge_index)
    return torch.zeros(len(x), len(x)).index_put((links.target, links.source), weight, accumulate=True)
