"""Abstract graphs: automorphisms, orbits, spectral gap and bridges of stored graphs; plausibility of the generators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import networkx as nx
import torch
from torch import Tensor

from models.graph_structure.generators import ORGANISATIONS, sample
from models.graph_structure.truth import algebraic_connectivity, bridges, spectral_gap, to_networkx, with_truth
from models.structures import AbstractGraph, GraphTruth
from tests.parity.case import Case, CaseError, Check, KeyFile, close, equal, unknown


def shapes(keys: KeyFile) -> dict[str, tuple[int, ...]]:
    raise CaseError("no weights are published for this system, so there are no names and shapes to compare")


def check(case: Case) -> Iterator[Check]:
    edges, offsets = case.tensors["input.edges"], case.tensors["input.edge_offsets"].tolist()
    numbers = case.tensors["input.num_nodes"].tolist()
    parts = [edges[a:b] for a, b in pairwise(offsets)]
    graphs = [with_truth(AbstractGraph.from_edges(part.tolist(), n)) for part, n in zip(parts, numbers, strict=True)]
    truths = [graph.truth for graph in graphs if graph.truth is not None]
    if "automorphism_order" in case.about:
        yield _orders(case, truths)
    for name, stored in case.outputs.items():
        yield _output(name, stored, graphs, truths, parts)


def statistics(content: Mapping[str, Any]) -> Iterator[Check]:
    """Ranges that another implementation of the generators gave: the mean of each quantity per split and family.

    A mean may differ by 15 %, or by what two samples of these sizes differ by chance (three standard errors); the number of
    bridges by a half.
    """
    for cell, stored in content["stats"].items():
        split, _, family = cell.partition("/")
        first = ORGANISATIONS.index(family)
        indices = range(first, first + len(ORGANISATIONS) * stored["count"], len(ORGANISATIONS))
        ours = [measured(sample("topology", split, index).graph) for index in indices]
        for quantity, (mean, spread, *_) in ((name, value) for name, value in stored.items() if name != "count"):
            limit = max(0.15 * abs(mean), 3 * spread * (2 / stored["count"]) ** 0.5, 0.5 if quantity == "bridges" else 0)
            error = abs(sum(each[quantity] for each in ours) / len(ours) - mean)
            yield Check(f"{cell} {quantity}", error, limit, error <= limit, f"mean {mean} ± {spread}")


def measured(graph: AbstractGraph) -> dict[str, float]:
    """The quantities of the stored statistics for one graph."""
    return {
        "nodes": graph.num_nodes,
        "mean_degree": 2 * graph.num_edges / graph.num_nodes,
        "bridges": int(bridges(graph).sum()),
        "spectral_gap": spectral_gap(graph)[0],
        "clustering": nx.average_clustering(to_networkx(graph)),
    }


def _orders(case: Case, truths: list[GraphTruth]) -> Check:
    names, stored = case.about["names"], case.about["automorphism_order"]
    wrong = [name for name, truth, order in zip(names, truths, stored, strict=True) if str(truth.order) != order]
    return Check("automorphism_order", len(wrong), 0, not wrong, ", ".join(wrong[:3]) or f"{len(stored)} graphs")


def _output(name: str, stored: Tensor, graphs: list[AbstractGraph], truths: list[GraphTruth], parts: list[Tensor]) -> Check:
    quantity = f"output.{name}"
    if name == "algebraic_connectivity":
        return close(quantity, torch.tensor([algebraic_connectivity(graph) for graph in graphs], dtype=torch.float64), stored, 1e-9, 0)
    if name == "spectral_gap":
        return close(quantity, torch.tensor([truth.spectral_gap for truth in truths], dtype=torch.float64), stored, 1e-9, 0)
    if name == "num_bridges":
        return equal(quantity, torch.tensor([truth.bridges for truth in truths]), stored)
    if name == "is_symmetric":
        return equal(quantity, torch.tensor([truth.is_symmetric is True for truth in truths]), stored)
    if name == "num_orbits":
        counts = [-1 if truth.orbits is None else truth.orbits.unique().numel() for truth in truths]
        return equal(quantity, torch.tensor(counts), stored)
    if name == "is_bridge_edge":
        both = zip(graphs, truths, parts, strict=True)
        return equal(quantity, torch.cat([_as_listed(graph, truth.is_bridge, part) for graph, truth, part in both]), stored)
    return unknown(quantity)


def _as_listed(graph: AbstractGraph, mask: Tensor, part: Tensor) -> Tensor:
    """A mask over `graph.edges` in the order in which the file lists the edges."""
    ours = {(u, v): value for (u, v), value in zip(graph.edges.tolist(), mask.tolist(), strict=True)}
    return torch.tensor([ours[min(u, v), max(u, v)] for u, v in part.tolist()], dtype=torch.bool)
