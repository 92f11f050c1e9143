"""DToP: who leaves at each stage, mask and class logits, predictions, features, the map of the picture."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from models.capture import Trace, capture
from models.structures import ExitStage
from models.tokens import dtop
from tests.parity.case import Case, Check, KeyFile, changed, close, equal, observed, on_meta, shapes_of, unknown

TOLERANCE = 2e-5


def build(configuration: Mapping[str, Any]) -> dtop.DToP:
    """Our model of a case's configuration."""
    c = dict(configuration)
    changed(c, ln_eps_backbone=1e-6, with_cls_token=False)
    return dtop.DToP(
        image_size=_pair(c["img"]),
        patch_size=c["patch"],
        channels=c["dim"],
        depth=c["depth"],
        heads=c["heads"],
        mlp_ratio=c.get("mlp_ratio", 4),
        num_classes=c["ncls"],
        stages=c["out"],
        head_width=c["hdim"],
        head_heads=c["hheads"],
        head_depth=c["hlayers"],
        threshold=c["thr"],
        context=c.get("keep_per_class", 5),
    )


def shapes(keys: KeyFile) -> dict[str, tuple[int, ...]]:
    return shapes_of(on_meta(dtop.build, keys.official_name(dtop.CONFIGURATIONS), **keys.options()))


def check(case: Case) -> Iterator[Check]:
    model = build(case.configuration)
    model.load_state_dict(dtop.official_state(case.state), strict=True)
    model.eval()
    layers = [f"backbone.layers.{number}" for number in model.stages]
    with torch.inference_mode(), capture(model) as trace, observed(model, outputs=layers) as seen:
        prediction = model(case.image())
    for name, stored in case.internals.items():
        yield _internal(name, stored, trace, [seen[layer] for layer in layers])
    for name, stored in case.outputs.items():
        yield close(f"output.{name}", prediction, stored, TOLERANCE, 0) if name == "pred" else unknown(f"output.{name}")
    yield from _fractions(case, trace)


def _internal(name: str, stored: Tensor, trace: Trace, features: list[Tensor]) -> Check:
    quantity = f"internal.{name}"
    if where := re.fullmatch(r"features(\d+)", name):
        stage = int(where[1])
        if stage >= len(features):
            return unknown(quantity)
        ours = features[stage].transpose(1, 2).unflatten(2, list(trace.of(ExitStage).values())[stage].grid)
        return close(quantity, ours, stored, TOLERANCE, 0)
    head, _, what = name.rpartition(".")
    part = "decode_head" if head == "final" else head.replace("aux", "auxiliary_head.")
    found = trace.of(ExitStage).get(part)
    if found is None:
        return unknown(quantity)
    if what in ("exited_before", "exited_after"):
        return equal(quantity, found.before if what == "exited_before" else found.exited, stored)
    numbers = {"mask_logits": found.mask_logits, "class_logits": found.class_logits, "pred": found.prediction}
    return close(quantity, numbers[what], stored, TOLERANCE, 0) if what in numbers else unknown(quantity)


def _fractions(case: Case, trace: Trace) -> Iterator[Check]:
    """Share of patches that have left after each stage, where the case lists it."""
    listed = case.about.get("exit_fraction_after_stage")
    if listed is not None:
        ours = torch.stack([stage.exited.double().mean() for stage in trace.of(ExitStage).values()])
        yield close("exit_fraction_after_stage", ours, torch.tensor(listed, dtype=torch.float64), 1e-9, 0)


def _pair(size: int | list[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])
