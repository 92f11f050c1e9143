"""Your backbone: any constructor on the patch features of a vision model of yours.

On show where `HYPERSCOPE_BACKBONE` names a model of the `transformers` library (a folder or a hub id).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from explorer import runtime
from explorer.exhibit import BadRequest, Controls, Exhibit, Intervention, Labeller, Layer, Paper, Scene, Wing
from explorer.exhibits.image_graphs.look import depth, graph_of, measures, notes
from models.image_graphs.constructors import AxialDynamic, AxialStatic, Constructor, DilatedKNN, MutualKNN, Radius
from models.image_graphs.patch_features import Backbone, load_backbone

VARIABLE = "HYPERSCOPE_BACKBONE"
MOST_LAYERS = 12  # of a deep model every second or third block is shown


class BackboneControls(Controls):
    rule: Literal["nearest", "mutual nearest", "radius", "fixed axes", "greedy axes"] = Field(
        "nearest",
        title="Rule",
        description="Nearest neighbours (ViG), those that choose each other, all within a distance, fixed axes (MobileViG), greedy axes (GreedyViG).",
    )
    k: int = Field(
        9,
        ge=1,
        le=16,
        title="Neighbours k",
        description="How many patches each patch listens to.",
        json_schema_extra={"when": {"rule": ["nearest", "mutual nearest"]}},
    )
    dilation: int = Field(
        1, ge=1, le=4, title="Dilation", description="Take every d-th of the nearest.", json_schema_extra={"when": {"rule": "nearest"}}
    )
    epsilon: float = Field(
        0.8,
        ge=0.05,
        le=1.5,
        title="Radius ε",
        description="Distance of unit-length features below which two patches are joined; √2 is a right angle.",
        json_schema_extra={"when": {"rule": "radius"}, "step": 0.05},
    )
    step: int = Field(
        2,
        ge=1,
        le=8,
        title="Axis step K",
        description="Every K-th patch of the own row and column.",
        json_schema_extra={"when": {"rule": ["fixed axes", "greedy axes"]}},
    )
    multiplier: float = Field(
        1.0,
        ge=-1,
        le=2.5,
        title="Strictness λ",
        description="An edge is kept when its distance is below mean − λ · deviation.",
        json_schema_extra={"when": {"rule": "greedy axes"}, "step": 0.05},
    )


RULES: dict[str, Callable[[BackboneControls], Constructor]] = {
    "nearest": lambda c: DilatedKNN(c.k, c.dilation, include_self=False),
    "mutual nearest": lambda c: MutualKNN(c.k),
    "radius": lambda c: Radius(c.epsilon),
    "fixed axes": lambda c: AxialStatic(c.step),
    "greedy axes": lambda c: AxialDynamic(c.step, c.multiplier),
}


@lru_cache(maxsize=2)
def backbone(name: str) -> Backbone:
    """The visitor's model, loaded once. Raises BadRequest when it cannot be."""
    try:
        return load_backbone(name).to(runtime.device())
    except ImportError as error:
        raise BadRequest(f"a backbone needs the package {error.name}, which is missing here") from None


def chosen(names: Sequence[str]) -> list[str]:
    """The layers on show: evenly spread, the last one among them."""
    index = np.unique(np.linspace(0, len(names) - 1, min(MOST_LAYERS, len(names))).round().astype(int))
    return [names[i] for i in index]


def run(shown: np.ndarray, controls: BackboneControls, cuts: Sequence[Intervention] = (), segments: Labeller | None = None) -> Scene:
    """The graph that the rule lays over the patches in each block of the model."""
    model = backbone(os.environ.get(VARIABLE, ""))
    rule = RULES[controls.rule](controls).eval()
    with torch.inference_mode():
        features = model(model.preprocess(shown).to(runtime.device()))
        graphs = {name: rule(features[name].float()).cpu() for name in chosen([n for n in model.layers if _wide(features[n])])}
    for name, graph in graphs.items():
        graph.require_finite(name)
    layers = [Layer(name, f"{name} · {g.grid[0]} × {g.grid[1]}".capitalize(), {"graph": g}) for name, g in graphs.items()]
    if not layers:
        raise BadRequest("no layer of this model holds more than one patch")
    visible = _visible(shown, model)
    labels = segments(graph_of(layers[0]).grid) if segments and visible.shape == shown.shape else None
    found = measures(layers, labels)
    return Scene(
        shown=visible,
        seen=model.preprocess.view(shown),
        layers=layers,
        measures=found,
        labels=labels,
        notes=notes(True, layers, visible),
        extras={"depth": depth(layers, found)},
    )


def _wide(features: torch.Tensor) -> bool:
    return min(features.shape[2:]) > 1


def _visible(shown: np.ndarray, model: Backbone) -> np.ndarray:
    """The part of the square that the model's preprocessing keeps, at display resolution."""
    resize, crop = model.preprocess.resize, model.preprocess.crop
    if resize is None or crop is None:
        return shown
    share = min(crop) / (min(resize) if isinstance(resize, tuple) else resize)
    margin = round(shown.shape[0] * max(0.0, 1 - share) / 2)
    return np.ascontiguousarray(shown[margin : shown.shape[0] - margin, margin : shown.shape[1] - margin])


EXHIBIT = Exhibit(
    slug="backbone",
    title="Your backbone",
    wing=Wing.IMAGE_GRAPHS,
    idea="The same rules on the patch features of a model of yours: which patches belong together, block by block?",
    paper=Paper(
        title="Patch graphs of any vision transformer",
        authors="Hyperscope",
        venue="this project",
        url="https://arxiv.org/abs/2206.00272",
        theirs="The rules of ViG, MobileViG and GreedyViG; the plain baselines mutual nearest neighbours and ε-radius.",
        ours=f"That they run on features which were never trained for a graph. The model is yours ({VARIABLE}).",
    ),
    controls=BackboneControls,
    run=run,
    views=("why", "matrix", "degree", "length", "space", "layout", "depth"),
    example="bus",
    folder=Path(__file__).parent,
    cuts=(),
)
