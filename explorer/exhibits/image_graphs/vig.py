"""Vision GNN: every patch listens to the patches that look most like it, anywhere in the picture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from explorer import runtime
from explorer.exhibit import Controls, Exhibit, Intervention, Labeller, Paper, Scene, Wing
from explorer.exhibits.image_graphs import claims
from explorer.exhibits.image_graphs.look import GraphEdit, explain, graph_of, look_at
from models.image_graphs.constructors import DilatedKNN
from models.image_graphs.edits import nearest, rebuilt
from models.image_graphs.vig import relative_position
from models.structures import Attribution, PatchGraph

MODEL = "pvig_micro"


class ViGControls(Controls):
    model: Literal["pvig_micro", "pvig_ti_224_gelu", "vig_ti_224_gelu"] = Field(
        "pvig_micro",
        title="Model",
        description="Ours, trained on CIFAR-10; or a published configuration, which needs its checkpoint (see the README).",
        json_schema_extra={"advanced": True},
    )
    k: int = Field(
        6, ge=1, le=16, title="Neighbours k", description="How many patches each patch listens to. The model was trained with 6."
    )
    dilation: int = Field(
        0,
        ge=0,
        le=4,
        title="Dilation",
        description="Take every d-th of the nearest. 0 keeps what the model was trained with (1, in stage 3: 2).",
    )
    position: Literal["reference", "aligned", "off"] = Field(
        "reference",
        title="Position term",
        description="What is added to feature distances: as released (columns scrambled where keys are pooled), aligned, or nothing.",
    )


def _edit(controls: ViGControls) -> GraphEdit | None:
    """The visitor's settings as a change of every graph; None when they are the model's own."""
    if controls.model_copy(update={"model": MODEL}) == ViGControls():
        return None

    def edit(graph: PatchGraph) -> PatchGraph:
        available = graph.key_grid[0] * graph.key_grid[1]
        own = graph.rule.settings
        dilation = min(controls.dilation or own["dilation"], available)
        k = min(controls.k or own["k"], available // dilation)
        form = "off" if graph.position is None else controls.position
        if (graph.position is None or form == "reference") and k * dilation <= graph.candidates.shape[2]:
            return nearest(graph, k, dilation)
        pool, channels = graph.grid[0] // graph.key_grid[0], graph.features.shape[1] if graph.features is not None else 0
        return rebuilt(graph, DilatedKNN(k, dilation), None if form == "off" else relative_position(graph.grid, channels, pool, form))

    return edit


def label(index: int, graph: PatchGraph) -> str:
    pooled = f", keys pooled to {graph.key_grid[0]} × {graph.key_grid[1]}" if graph.pooled else ""
    return f"Block {index + 1} · {graph.grid[0]} × {graph.grid[1]}{pooled}"


def run(shown: np.ndarray, controls: ViGControls, cuts: Sequence[Intervention] = (), segments: Labeller | None = None) -> Scene:
    """One picture through Pyramid ViG, with the visitor's k, dilation, position term and cuts."""
    scene = look_at(controls.model, shown, cuts, _edit(controls), segments, label)
    first = graph_of(scene.layers[0])
    if first.features is None or not first.pooled:
        return scene
    return scene.with_extras(relpos=position_terms(first.grid, first.key_grid, first.features.shape[1]))


@lru_cache(maxsize=4)
def position_terms(grid: tuple[int, int], key_grid: tuple[int, int], channels: int) -> dict:
    """Both forms of the position term of the first block, [N, M] each, as the panel draws them."""
    terms = {form: relative_position(grid, channels, grid[0] // key_grid[0], form)[0].numpy() for form in ("reference", "aligned")}
    return {"layer": 0, "grid": list(grid), "keyGrid": list(key_grid), **terms}


def explain_class(shown: np.ndarray, controls: ViGControls, method: str, target: str, layer: str) -> Attribution:
    return explain(controls.model, shown, method, runtime.class_index(controls.model, target), layer)


EXHIBIT = Exhibit(
    slug="vig",
    title="Vision GNN",
    wing=Wing.IMAGE_GRAPHS,
    idea="Every patch listens to the patches that look most like it, wherever they are; the graph is built anew in every block.",
    paper=Paper(
        title="Vision GNN: An Image is Worth Graph of Nodes",
        authors="Han, Wang, Guo, Tang, Wu",
        venue="NeurIPS 2022",
        url="https://arxiv.org/abs/2206.00272",
        theirs="The network and its rules: dilated nearest neighbours, pooled keys, the position term, max-relative aggregation.",
        ours="A Pyramid ViG of 0.7 million parameters trained by us on CIFAR-10 (10 classes, 64 × 64 pixels); every picture and number here.",
    ),
    controls=ViGControls,
    run=run,
    explain=explain_class,
    views=("why", "matrix", "degree", "length", "space", "layout", "depth", "relpos", "experiments", "attribution", "claims"),
    example="bus",
    folder=Path(__file__).parent,
    claims=claims.VIG,
)
