"""Poincaré ResNet: a network whose features live in the ball, and what keeps them from falling to its centre."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from explorer import examples, runtime
from explorer.diagnostics.hyperbolic import profile_summary
from explorer.exhibit import BadRequest, Controls, Exhibit, Intervention, Labeller, Layer, Paper, Scene, Wing
from explorer.exhibits.hyperbolic import claims
from explorer.looking import RANDOM_WEIGHTS
from models import zoo
from models.capture import Trace, capture
from models.hyperbolic.layers import PoincareLinear, set_curvature
from models.hyperbolic.resnet import PoincareResNet, adapters
from models.structures import NormProfile, PoincarePoints, Prediction, TangentField

MODEL, TWIN = "poincare_resnet_micro", "euclidean_resnet_micro"
CURVATURE = 0.1  # of the trained network
STARTS: dict[str, dict[str, Any]] = {
    "identity start": {"norm": False},
    "ordinary start": {"initialisation": "normal", "norm": False},
    "identity start, batch norm": {},
    "ordinary start, batch norm": {"initialisation": "normal"},
}
PARTS = {"conv1": "convolution 1", "bn1": "norm 1", "conv2": "convolution 2", "bn2": "norm 2", "downsample": "shortcut"}
LINEAR_LAYERS, LINEAR_WIDTH = 20, 64
MEAN_POINTS = 60  # of a layer, drawn with their two means
OTHERS = 8  # pictures of the batch in which the visitor's stands


class ResNetControls(Controls):
    weights: Literal["trained", "identity start", "ordinary start"] = Field(
        "trained",
        title="Weights",
        description="The trained network; or a new one whose layers start as identities (the paper's) or at random (the ordinary way).",
    )
    norm: bool = Field(
        True,
        title="Batch normalisation",
        description="Around the gyromidpoint. Without it nothing brings shrunken norms back.",
        json_schema_extra={"when": {"weights": ["identity start", "ordinary start"]}},
    )
    batch_statistics: bool = Field(
        False,
        title="Statistics of the batch",
        description="Normalise by the picture itself, as the released code does also when it predicts, instead of by remembered statistics.",
        json_schema_extra={"advanced": True},
    )
    curvature: float = Field(
        CURVATURE,
        ge=0.01,
        le=2,
        title="Curvature c",
        description="The space has curvature −c; the network was trained with 0.1. Near 0 it is flat space.",
        json_schema_extra={"step": 0.01, "advanced": True},
    )


@lru_cache(maxsize=8)
def started(name: str) -> PoincareResNet:
    """A network at one of `STARTS`, always the same."""
    torch.manual_seed(0)
    model = zoo.build(MODEL, **STARTS[name])
    assert isinstance(model, PoincareResNet)
    # Remembered statistics of a network that has seen nothing would be those of nothing.
    model.use_batch_statistics(True)
    return model.eval().requires_grad_(False)


def network(controls: ResNetControls) -> PoincareResNet:
    if controls.weights == "trained":
        model = runtime.model(MODEL).model
        assert isinstance(model, PoincareResNet)
        return model
    return started(controls.weights + (", batch norm" if controls.norm else ""))


def captured(model: PoincareResNet, image: Tensor, curvature: float, batch_statistics: bool | None = None) -> tuple[Trace, Tensor]:
    """The structures (on the CPU) and the logits of pictures. The model is left as it was found."""
    present = {type(part) for part in model.modules()}
    looked = {key: value for key, value in adapters(model).items() if isinstance(key, str) or key in present}
    with torch.inference_mode(), capture(model, adapters=looked) as trace:
        before = float(model.fc.ball.c)
        own = [(part, part.batch_statistics) for part in model.modules() if hasattr(part, "batch_statistics")]
        try:
            if curvature != before:
                set_curvature(model, curvature)
            if batch_statistics is not None:
                model.use_batch_statistics(batch_statistics)
            logits = model(image)
        finally:
            set_curvature(model, before)
            for part, was in own:
                part.batch_statistics = was
    trace.require_finite()
    return Trace({name: found.cpu() for name, found in trace.structures.items()}), logits.cpu()


def label(name: str) -> str:
    """A layer's name in words: "group2.0.conv1" → "Group 2 · convolution 1"."""
    first = {"conv": "First convolution", "bn": "First norm"}
    if name in first:
        return first[name]
    group, _, part = name.partition(".0")
    return f"{group.replace('group', 'Group ')} · {PARTS.get(part.removeprefix('.'), 'block')}"


def run(shown: np.ndarray, controls: ResNetControls, cuts: Sequence[Intervention] = (), segments: Labeller | None = None) -> Scene:
    """One picture through the network, and through its starts and its flat twin."""
    if cuts:
        raise BadRequest("this network has no graph to cut; change its weights, its norm or its curvature instead")
    loaded, twin = runtime.model(MODEL), runtime.model(TWIN)
    image = loaded.prepare(shown).to(runtime.device())
    model = network(controls)
    trace, logits = captured(model, image, controls.curvature, True if controls.batch_statistics else None)
    fields = trace.of(TangentField)
    profile = NormProfile.of(fields)
    prediction = Prediction(logits, loaded.labels)
    prediction.require_finite("the prediction")
    labels = segments(next(iter(fields.values())).grid) if segments else None
    measures = profile_summary(profile)
    trained = controls.weights != "trained" or loaded.trained
    return Scene(
        shown=shown,
        seen=loaded.prepare.seen(shown),
        layers=[Layer(name, label(name), {"field": field}) for name, field in fields.items()],
        prediction=prediction.top(10),
        measures=dict.fromkeys(fields, measures),
        labels=labels,
        notes=() if trained and twin.trained else (RANDOM_WEIGHTS,),
        extras={
            "profiles": [
                curve(f"shown: {controls.weights}", profile),
                *(curve(name, start_profile(name, image, controls.curvature)) for name in STARTS),
            ],
            "linear": linear_profiles(controls.curvature),
            "limit": profile.limit,
            "twin": flat_twin(image),
            "landing": landing(model, trace, controls.curvature, loaded.labels),
            "batch": batch_lesson(image),
            "mean": batch_points(next(iter(fields.values()))),
        },
    )


def start_profile(name: str, image: Tensor, curvature: float) -> NormProfile:
    """Norms after every layer of a network that has learned nothing."""
    return NormProfile.of(captured(started(name), image, curvature)[0].of(TangentField))


def curve(name: str, profile: NormProfile) -> dict[str, Any]:
    """Median norms, and at which of the layers of the whole network (a network without norms has fewer) each of them stands."""
    order = {part: place for place, part in enumerate(layer_names())}
    return {"name": name, "at": [order[part] for part in profile.names], "median": profile.quantiles[:, 2].tolist()}


@lru_cache(maxsize=1)
def layer_names() -> tuple[str, ...]:
    """Names of the layers of the whole network, in order of the forward pass."""
    trace, _ = captured(started("identity start, batch norm"), torch.zeros(1, 3, 32, 32), CURVATURE)
    return tuple(trace.of(TangentField))


@lru_cache(maxsize=8)
def linear_profiles(curvature: float) -> list[dict[str, Any]]:
    """Norm of one random vector after each of 20 Poincaré linear layers, under both starts."""
    found = []
    for name, start in (("identity start", "identity"), ("ordinary start", "normal")):
        torch.manual_seed(0)
        layers = nn.Sequential(*(PoincareLinear(LINEAR_WIDTH, LINEAR_WIDTH, curvature, start) for _ in range(LINEAR_LAYERS)))  # type: ignore[arg-type]
        t = torch.randn(1, LINEAR_WIDTH, generator=torch.Generator().manual_seed(1)) * 0.35
        norms = [float(t.norm())]
        with torch.inference_mode():
            for layer in layers:
                t = layer(t)
                norms.append(float(t.norm()))
        found.append({"name": name, "at": list(range(len(norms))), "median": norms})
    return found


def flat_twin(image: Tensor) -> dict[str, Any]:
    """What the network of the same shape in flat space says, and how both were measured."""
    loaded, own = runtime.model(TWIN), runtime.model(MODEL)
    with torch.inference_mode():
        prediction = Prediction(loaded.model(image).cpu(), loaded.labels)
    prediction.require_finite("the prediction of the twin")
    words = "As many layers, channels and blocks in flat space, trained with the same data, steps and rates."
    if loaded.trained and own.trained:
        figures = [f"{100 * card['test_accuracy']:.1f} %" for card in (own.card, loaded.card)]
        words += f" Test pictures named rightly: {figures[0]} hyperbolic, {figures[1]} flat (one seed each)."
    return {"prediction": [[name, value] for name, value in prediction.top(4)], "words": words}


def landing(model: PoincareResNet, trace: Trace, curvature: float, names: tuple[str, ...]) -> dict[str, Any]:
    """Where the picture lands among the classes: its radius, its distance to every decision boundary, and a slice of the ball with both."""
    point = trace.of(PoincarePoints)["avg_pool"]
    planes = model.fc.gyroplanes()
    planes = type(planes)(planes.normals.cpu(), planes.offsets.cpu(), planes.sizes.cpu(), curvature)
    found = planes.distances(point)[0]
    labels = [names[k] if names else f"class {k}" for k in range(len(found))]
    tangent = point.tangents()[0]
    basis = slice_through(tangent, planes.normals[found.argsort(descending=True)].double())
    normals, offsets = planes.sliced(basis)
    root = curvature**0.5
    return {
        "radius": float(point.radius()[0]),
        "planes": [[label, value] for label, value in zip(labels, found.tolist(), strict=True)],
        "slice": {
            "point": (root * basis @ tangent).tolist(),
            "normals": normals.tolist(),
            "offsets": [root * r if math.isfinite(r) else None for r in offsets.tolist()],
        },
    }


def slice_through(tangent: Tensor, directions: Tensor) -> Tensor:
    """Orthonormal directions of the slice through the centre, a point and the first direction [K, d] that does not lie on its line, [2, d]."""
    first = tangent / tangent.norm().clamp(min=1e-12) if float(tangent.norm()) > 1e-9 else directions[0] / directions[0].norm()
    for direction in directions:
        rest = direction - (direction @ first) * first
        if float(rest.norm()) > 1e-6 * float(direction.norm()):
            return torch.stack([first, rest / rest.norm()])
    raise ValueError("all directions lie on one line, so there is no slice")


def batch_points(field: TangentField) -> list[list[float]]:
    """Positions of a layer on their two principal directions, tangent vectors in units of the curvature radius: what a batch norm centres."""
    t = field.tangents[0].flatten(1).T.double()
    directions = torch.linalg.svd(t, full_matrices=False).Vh[:2]
    some = torch.linspace(0, len(t) - 1, MEAN_POINTS).round().long()
    return [[float(f"{v:.5g}") for v in row] for row in (field.curvature**0.5 * t[some] @ directions.T).tolist()]


@torch.inference_mode()
def batch_lesson(image: Tensor) -> dict[str, Any]:
    """The picture alone and among examples, with remembered statistics and with those of the batch."""
    model, names = runtime.model(MODEL).model, runtime.model(MODEL).labels
    assert isinstance(model, PoincareResNet)
    together = torch.cat([image, example_batch().to(image.device)])
    rows, change = [], []
    for name, of_batch in (("remembered statistics", False), ("statistics of the batch", True)):
        alone, crowd = (captured(model, batch, CURVATURE, of_batch)[1][:1] for batch in (image, together))
        tops = [Prediction(logits, names).top(1)[0] for logits in (alone, crowd)]
        rows.append([name, *([label, value] for label, value in tops)])
        change.append(float((alone - crowd).abs().max()))
    return {"rows": rows, "pictures": len(together), "change": change}


@lru_cache(maxsize=1)
def example_batch() -> Tensor:
    """The first example pictures as the network sees them."""
    prepare = runtime.model(MODEL).prepare
    return torch.cat([prepare(examples.picture(name)) for name in list(examples.examples())[:OTHERS]])


EXHIBIT = Exhibit(
    slug="poincare-resnet",
    title="Poincaré ResNet",
    wing=Wing.HYPERBOLIC,
    idea="A residual network in the Poincaré ball: it only learns because its layers start as identities, so that features keep their length.",
    paper=Paper(
        title="Poincaré ResNet",
        authors="van Spengler, Berkhout, Mettes",
        venue="ICCV 2023",
        url="https://arxiv.org/abs/2303.14027",
        theirs="Convolution, batch normalisation around the gyromidpoint and skips in the ball; the identity start.",
        ours="The closed form of the layers, remembered statistics, a small network trained on CIFAR-10 and its flat twin; every picture and number here.",
    ),
    controls=ResNetControls,
    run=run,
    views=("norm-profile", "gyroplanes", "flat-twin", "batch-mean", "batch-leak", "claims"),
    example="cat",
    folder=Path(__file__).parent,
    cuts=(),
    claims=claims.RESNET,
)
