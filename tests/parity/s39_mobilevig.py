"""MobileViG: the fixed neighbours and the max-relative features of every graph convolution, logits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from models.capture import Trace, capture
from models.image_graphs import mobilevig
from models.structures import Aggregation, PatchGraph
from tests.parity.case import Case, Check, KeyFile, close, equal, load_strictly, logits, on_meta, shapes_of, unknown


def build(configuration: Mapping[str, Any]) -> mobilevig.MobileViG:
    """Our model of a case's configuration; a missing setting has its released value."""
    c = dict(configuration)
    return mobilevig.MobileViG(
        local_blocks=c["local_blocks"],
        local_channels=c["local_channels"],
        global_blocks=c["global_blocks"],
        global_channels=c["global_channels"],
        emb_dims=c.get("emb_dims", 512),
        step=c.get("K", 2),
        num_classes=c.get("num_classes", 1000),
        distillation=c.get("distillation", True),
    )


def shapes(keys: KeyFile) -> dict[str, tuple[int, ...]]:
    return shapes_of(on_meta(mobilevig.build, keys.official_name(mobilevig.CONFIGURATIONS), **keys.options()))


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
    if graph is not None and what == "neighbours":
        return equal(f"internal.{name}", graph.neighbours()[0][0], stored)
    if graph is not None and what == "relative":
        ours = trace.of(Aggregation)[f"{conv}.relative"].relative.transpose(1, 2)
        return close(f"internal.{name}", ours, stored, case.tolerance("relative_atol", 1e-4))
    return unknown(f"internal.{name}")
