"""Magnitude invariant parametrisations: generated weights that do not grow with the input."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field

from explorer.diagnostics import weight_path as diagnose
from explorer.exhibit import NO_PICTURE, Controls, Exhibit, Intervention, Labeller, Layer, Paper, Scene, Wing
from explorer.exhibits.hypernetworks import claims
from explorer.exhibits.hypernetworks.asked import number, one_of, whole
from explorer.views.weight_path import path_payload
from models.hypernetworks import turning
from models.hypernetworks.digits import digits
from models.structures import WeightPath

TITLES = {
    "default": "Default: γ as it is, no θ₀",
    "input_only": "Input only: cosine and sine of γ",
    "output_only": "Output only: a correction of θ₀",
    "mip": "MIP: both",
}
GAMMAS = tuple(i / 40 for i in range(41))
TESTED = tuple(i / 10 for i in range(11))
STEPS = {"Adam": 1e-3, "SGD": 1e-2}  # usual rates


class MipControls(Controls):
    seed: int = Field(0, ge=0, le=99, title="Start", description="Random numbers that all four hypernetworks start from.")
    nonlinearity: Literal["LeakyReLU", "ReLU", "GELU", "SiLU", "Tanh"] = Field(
        "LeakyReLU",
        title="Activation",
        description="Inside the hypernetwork. The proportionality is exact for LeakyReLU and ReLU, which scale with their input.",
    )
    digit: int = Field(
        3, ge=0, le=99, title="Test digit", description="Which test digit is turned with γ.", json_schema_extra={"advanced": True}
    )


@lru_cache(maxsize=2)
def pictures(training: bool) -> tuple[torch.Tensor, torch.Tensor]:
    return digits(training)


def networks(controls: MipControls) -> dict[str, Any]:
    return {name: turning.hypernetwork(name, controls.seed, controls.nonlinearity) for name in TITLES}


def run(shown: np.ndarray, controls: MipControls, cuts: Sequence[Intervention] = (), segments: Labeller | None = None) -> Scene:
    """The weights that four untrained hypernetworks make along γ."""
    return _scene(controls)


@lru_cache(maxsize=8)
def _scene(controls: MipControls) -> Scene:
    paths = _paths(networks(controls))
    x = pictures(False)[0][controls.digit : controls.digit + 1]
    with torch.no_grad():
        turns = torch.cat([turning.turned(x, gamma) for gamma in GAMMAS])[:, 0].clamp(0, 1)
    return Scene(
        shown=NO_PICTURE,
        seen=NO_PICTURE,
        layers=[Layer(name, TITLES[name], {"path": path}) for name, path in paths.items()],
        measures={name: diagnose.summary(path) for name, path in paths.items()},
        extras={"turned": turns.numpy(), "label": int(pictures(False)[1][controls.digit])},
    )


def _paths(nets: Mapping[str, Any]) -> dict[str, WeightPath]:
    return {name: turning.along(net, GAMMAS, pictures(False)[0][:100]).cpu() for name, net in nets.items()}


def gradients(scene: Scene, controls: MipControls, data: Mapping[str, Any]) -> dict[str, Any]:
    """Length of the gradient for γ drawn at random, of every variant before any training."""
    count, seed = whole(data, "count", 8, 48, 24), whole(data, "seed", 0, 9999, 0)
    draws = torch.rand(count, generator=torch.Generator().manual_seed(seed)).tolist()
    found = {name: turning.gradient_norms(net, draws, pictures(True), 32, seed) for name, net in networks(controls).items()}
    return {"gamma": draws, "norm": found, "variation": {name: statistics.stdev(v) / statistics.fmean(v) for name, v in found.items()}}


def race(scene: Scene, controls: MipControls, data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Train all four on the same γ, pictures and order; the last answer holds their paths and how they answer along γ."""
    optimiser = one_of(data, "optimiser", turning.OPTIMISERS, "Adam")
    rate = number(data, "rate", 1e-5, 1.0, STEPS[optimiser])
    steps, seed = whole(data, "steps", 10, 600, 300), whole(data, "seed", 0, 9999, 0)
    nets = networks(controls)
    lately: list[turning.Race] = []
    for done in turning.race(nets, pictures(True), steps, optimiser, rate, seed=seed):
        lately.append(done)
        if len(lately) == 5:
            yield {
                "step": done.step,
                "steps": steps,
                "loss": {name: statistics.fmean(one.loss[name] for one in lately) for name in nets},
                "gamma": [one.gamma for one in lately],
                "gradient": {name: [one.gradient[name] for one in lately] for name in nets},
            }
            lately = []
    answers = {name: turning.accuracy_along(net, TESTED, pictures(False)) for name, net in nets.items()}
    yield {
        "step": steps,
        "steps": steps,
        "accuracy": {"gamma": TESTED, "right": answers},
        "paths": {name: path_payload(path) for name, path in _paths(nets).items()},
    }


EXHIBIT = Exhibit(
    slug="mip",
    title="Magnitude invariance",
    wing=Wing.HYPERNETWORKS,
    idea="Usual hypernetworks make weights as large as their input. Two small changes keep the size, and training no longer swings with every draw.",
    paper=Paper(
        title="Magnitude Invariant Parametrizations Improve Hypernetwork Learning",
        authors="Jose Javier Gonzalez Ortiz, John Guttag, Adrian Dalca",
        venue="ICLR 2024",
        url="https://arxiv.org/abs/2304.07645",
        theirs="The proportionality, the encoding of the input by cosine and sine, the output as a correction of ordinary weights.",
        ours="The task: digits turned by γ · 180°, a network of 1418 weights for every γ, trained here while you look on.",
    ),
    controls=MipControls,
    run=run,
    views=("race", "gradients", "path-scales", "claims"),
    example="",
    folder=Path(__file__).parent,
    cuts=(),
    claims=claims.MIP,
    pictures=False,
    stream_seconds=120,
    questions={"gradients": gradients},
    streams={"race": race},
)
