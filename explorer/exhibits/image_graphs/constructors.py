"""Constructors side by side: the same picture, the same features, five rules, and what each of them costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from explorer import runtime
from explorer.diagnostics import pooled_labels, triangle
from explorer.exhibit import BadRequest, Controls, Exhibit, Intervention, Labeller, Layer, Paper, Scene, Wing
from explorer.exhibits.image_graphs import claims
from explorer.exhibits.image_graphs.look import constructors, explain, graph_of, measures, notes, pairs
from explorer.exhibits.image_graphs.look import run as run_model
from models.image_graphs.raw_features import raw_features
from models.image_graphs.swappable import CONSTRUCTORS
from models.structures import Attribution, PatchGraph

NAMES = {
    "knn": "Nearest neighbours (ViG)",
    "svga": "Fixed axes (MobileViG)",
    "dagc": "Greedy axes (GreedyViG)",
    "grid": "8-neighbour grid",
    "random": "Random",
}
PLACES = {"early · 16 × 16": 0, "middle · 8 × 8": 1, "late · 8 × 8": 2}


class ConstructorControls(Controls):
    place: Literal["early · 16 × 16", "middle · 8 × 8", "late · 8 × 8"] = Field(
        "early · 16 × 16", title="Where in the network", description="Which of the three graph blocks to compare."
    )
    features: Literal["each its own", "the same for all", "raw colours"] = Field(
        "each its own",
        title="Features",
        description="Each network's own features (five trained networks), those of the greedy one for every rule, or plain colours.",
    )


def run(shown: np.ndarray, controls: ConstructorControls, cuts: Sequence[Intervention] = (), segments: Labeller | None = None) -> Scene:
    """The graphs of five equally large networks that differ in nothing but the constructor."""
    place = PLACES[controls.place]
    _check(cuts, controls)
    layers, predictions = [], {}
    shared = None
    for name, label in NAMES.items():
        own = [cut for cut in cuts if cut.layer in (name, "*")]
        trace, prediction = run_model(f"swappable_{name}", shown, [replace(cut, layer=_part(f"swappable_{name}", place)) for cut in own])
        predictions[name] = prediction.top(10)
        _, graph, taken = pairs(trace)[place]
        if controls.features != "each its own":
            if shared is None:
                shared = raw_features(shown, graph.grid) if controls.features == "raw colours" else _shared_features(shown, place)
            graph, taken = _rebuilt(name, place, shared), None
        layers.append(Layer(name, label, {"graph": graph} | ({"aggregation": taken} if taken else {})))
    loaded = runtime.model("swappable_dagc")
    grid = graph_of(layers[0]).grid
    labels = segments(grid) if segments else None
    return Scene(
        shown=shown,
        seen=loaded.prepare.seen(shown),
        layers=layers,
        prediction=predictions["dagc"],
        measures=measures(layers, labels),
        labels=labels,
        notes=notes(all(runtime.model(f"swappable_{name}").trained for name in NAMES), layers, shown),
        extras={"predictions": predictions, "triangle": _triangle(layers, labels)},
    )


def _check(cuts: Sequence[Intervention], controls: ConstructorControls) -> None:
    unknown = sorted({cut.layer for cut in cuts} - {*NAMES, "*"})
    if unknown:
        raise BadRequest(f"there is no layer named {unknown[0][:60]!r} to cut; there are {', '.join(NAMES)}")
    if cuts and controls.features != "each its own":
        raise BadRequest("no network predicts with these graphs; choose the features “each its own”, then cut")


def _part(model: str, place: int) -> str:
    return constructors(runtime.model(model).model)[place]


def _shared_features(shown: np.ndarray, place: int) -> torch.Tensor:
    trace, _ = run_model("swappable_dagc", shown)
    features = pairs(trace)[place][1].features
    assert features is not None
    return features


def _rebuilt(name: str, place: int, features: torch.Tensor) -> PatchGraph:
    return CONSTRUCTORS[name](min(place, 1)).eval()(features)


def _triangle(layers: Sequence[Layer], labels) -> dict:
    """Homophily, connectivity and redundancy of each constructor on this picture."""
    if labels is None:
        return {"points": [], "labelNote": "no segments known for this picture"}
    points = []
    for i, layer in enumerate(layers):
        graph = graph_of(layer)
        found = triangle(graph, pooled_labels(labels[0].reshape(-1), graph_of(layers[0]).grid, graph.grid))
        values = {k: None if math.isnan(v) else v for k, v in found._asdict().items()}
        points.append({"name": layer.label, "layer": i, **values})
    note = "segments annotated by people" if labels[1] else "segments found by k-means, not ground truth"
    return {"points": points, "labelNote": note}


def explain_class(shown: np.ndarray, controls: ConstructorControls, method: str, target: str, layer: str) -> Attribution:
    name = f"swappable_{layer if layer in CONSTRUCTORS else 'dagc'}"
    return explain(name, shown, method, runtime.class_index(name, target), None)


EXHIBIT = Exhibit(
    slug="constructors",
    title="Constructors side by side",
    wing=Wing.IMAGE_GRAPHS,
    idea="Same network, same data, five ways to draw the edges: each buys one virtue by giving up another.",
    paper=Paper(
        title="Comparison of ViG, MobileViG and GreedyViG with two controls",
        authors="Hyperscope",
        venue="this project",
        url="https://arxiv.org/abs/2405.06849",
        theirs="The three rules: nearest neighbours (ViG), fixed axes (MobileViG), greedy axes (GreedyViG).",
        ours="One small backbone in which only the rule is exchanged, trained five times by us on CIFAR-10 at the same cost; the comparison.",
    ),
    controls=ConstructorControls,
    run=run,
    explain=explain_class,
    views=("triangle", "matrix", "degree", "length", "space", "layout", "why", "experiments", "attribution", "claims"),
    example="bus",
    folder=Path(__file__).parent,
    claims=claims.CONSTRUCTORS,
)
