"""A vision model of the visitor's own in the arena: frozen, with a readout that is fitted on a few hundred drawings before their eyes.

On show where `HYPERSCOPE_BACKBONE` names a model of the `transformers` library (a folder or a hub id).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from explorer import runtime
from explorer.exhibits.image_graphs.backbone import VARIABLE, backbone
from models.graph_structure.generators import TASKS, sample
from models.graph_structure.layouts import layout
from models.graph_structure.rasteriser import EVEN, as_input, draw
from models.graph_structure.readout import FrozenLooker

NAME = "own"
AT_ONCE, ROUNDS = 4, 16  # drawings per step; a round draws 12 graphs to learn from and 3 of each test
TESTS = ("id", "far")
SECONDS = 45.0
"""After so many seconds the readout is fitted on what has been drawn until then."""

_FITTED: dict[tuple[str, str], tuple[FrozenLooker, dict[str, Any]]] = {}


def named() -> str:
    """The model that the visitor named; "" for none."""
    return os.environ.get(VARIABLE, "")


def short(name: str) -> str:
    """The last part of a folder or hub id."""
    return name.rstrip("/").split("/")[-1][:40]


def fitted(task: str) -> FrozenLooker | None:
    """The model with its readout for a task; None until it is fitted here."""
    found = _FITTED.get((named(), task))
    return None if found is None else found[0]


def scores(task: str) -> dict[str, Any]:
    """What was measured when the readout was fitted: {"id", "far": score, "graphs", "tests"}; empty before."""
    found = _FITTED.get((named(), task))
    return {} if found is None else found[1]


def fit(task: str, layout_name: str) -> Iterator[dict[str, Any]]:
    """Draw graphs of the training split, read them with the frozen model, fit the readout anew after every round, and test it.

    Raises:
        BadRequest: the model cannot be loaded.
    """
    name = named()
    looker = FrozenLooker(backbone(name), max(1, len(TASKS[task].classes)))
    known: dict[str, tuple[list[Tensor], list[float]]] = {band: ([], []) for band in ("train", *TESTS)}
    begun, told = time.monotonic(), None
    for turn in range(ROUNDS):
        for band, count in (("train", 12), *((band, 3) for band in TESTS)):
            for first in range(count * turn, count * (turn + 1), AT_ONCE):
                _read(looker, task, layout_name, band, range(first, min(first + AT_ONCE, count * (turn + 1))), known[band])
                yield {"graphs": len(known["train"][1]), "of": 12 * ROUNDS, "scores": told}
        features, targets = known["train"]
        looker.fit(torch.cat(features), torch.tensor(targets, dtype=torch.float64))
        told = {band: _score(looker, task, *known[band]) for band in TESTS}
        if time.monotonic() - begun > SECONDS:
            break
    found = {**(told or {}), "graphs": len(known["train"][1]), "tests": len(known["far"][1])}
    for other in [key for key in _FITTED if key[0] != name]:  # one model at a time
        del _FITTED[other]
    _FITTED[name, task] = looker, found
    yield {"graphs": found["graphs"], "of": 12 * ROUNDS, "scores": told, "fitted": True}


@torch.inference_mode()
def _read(looker: FrozenLooker, task: str, layout_name: str, band: str, which: range, into: tuple[list[Tensor], list[float]]) -> None:
    drawn = [sample(task, band, number) for number in which]
    pictures = torch.stack([draw(one.graph, layout(one.graph, layout_name), pen=EVEN).image for one in drawn])
    into[0].append(looker.features(as_input(pictures).to(runtime.device())).clone())
    into[1].extend(one.target for one in drawn)


@torch.inference_mode()
def _score(looker: FrozenLooker, task: str, features: list[Tensor], targets: list[float]) -> float:
    """Share of right answers, or the mean error."""
    found, right = looker.read(torch.cat(features)).cpu(), torch.tensor(targets)
    if TASKS[task].classes:
        return float((found.argmax(1) == right.long()).double().mean())
    return float((found[:, 0] - right).abs().double().mean())
