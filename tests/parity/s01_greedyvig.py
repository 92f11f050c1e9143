"""GreedyViG: candidates, statistics, kept edges and max-relative features of every graph convolution, logits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from models.capture import Trace, capture
from models.image_graphs import greedyvig
from models.structures import Aggregation, PatchGraph
from tests.parity.case import Case, Check, KeyFile, close, equal, load_strictly, logits, on_meta, shapes_of, unknown


def build(configuration: Mapping[str, Any]) -> greedyvig.GreedyViG:
    """Our model of a case's configuration; a missing setting has its released value."""
    c = dict(configuration)
    steps = c.get("K", (8, 4, 2, 1))
    return greedyvig.GreedyViG(
        blocks=c["blocks"],
        channels=c["channels"],
        emb_dims=c.get("emb_dims", 768),
        steps=[steps] * len(c["blocks"]) if isinstance(steps, int) else steps,
        num_classes=c.get("num_classes", 1000),
        distillation=c.get("distillation", True),
    )


def shapes(keys: KeyFile) -> dict[str, tuple[int, ...]]:
    return shapes_of(on_meta(greedyvig.build, keys.official_name(greedyvig.CONFIGURATIONS), **keys.options()))


def check(case: Case) -> Iterator[Check]:
    model = load_strictly(build(case.configuration), case)
    with torch.inference_mode(), capture(model) as trace:
        ours = model(case.image())
    for name, stored in case.internals.items():
        yield _internal(case, name, stored, trace)
    with torch.inference_mode():
        in_double = model.double()(case.image().double())
    yield from logits(case, ours, in_double)


def _internal(case: Case, name: str, stored: Tensor, trace: Trace) -> Check:
    conv, _, what = name.rpartition(".")
    graph = trace.of(PatchGraph).get(f"{conv}.constructor")
    if graph is None:
        return unknown(f"internal.{name}")
    atol = case.tolerance("relative_atol", 1e-4)
    if what in ("mean", "std"):
        return close(f"internal.{name}", graph.rule.statistics[what], stored, atol)
    if what == "candidates":
        return equal(f"internal.{name}", with_own(graph, graph.candidates[0], _own(graph)), stored)
    if what == "mask":
        threshold = graph.rule.statistics["mean"] - graph.rule.statistics["std"]
        keeps_itself = (threshold > 0)[:, None, None].expand(-1, graph.kept.shape[1], 1)
        return equal(f"internal.{name}", with_own(graph, graph.kept, keeps_itself), stored)
    if what == "relative":
        return close(f"internal.{name}", trace.of(Aggregation)[f"{conv}.relative"].relative.transpose(1, 2), stored, atol)
    return unknown(f"internal.{name}")


def with_own(graph: PatchGraph, columns: Tensor, own: Tensor) -> Tensor:
    """Put the patch itself (shift 0) before the shifts of each axis, where the published code lists it and we do not.

    columns [..., N, S] in the order of our candidates, own [..., N, 1] → [..., N, S + 2].
    """
    step = graph.rule.settings["step"]
    vertical = len(range(step, graph.grid[0], step))
    return torch.cat([own, columns[..., :vertical], own, columns[..., vertical:]], -1)


def _own(graph: PatchGraph) -> Tensor:
    return torch.arange(graph.grid[0] * graph.grid[1])[:, None]
