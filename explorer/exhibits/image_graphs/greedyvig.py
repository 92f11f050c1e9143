"""GreedyViG: of the patches in its row and column, a patch keeps the ones that are unusually similar for this picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from explorer import runtime
from explorer.exhibit import Controls, Exhibit, Intervention, Labeller, Paper, Scene, Wing
from explorer.exhibits.image_graphs import claims
from explorer.exhibits.image_graphs.look import explain, look_at
from models.image_graphs.constructors import AxialDynamic
from models.image_graphs.edits import rebuilt
from models.image_graphs.raw_features import raw_features
from models.structures import Attribution, PatchGraph

MODEL = "greedyvig_micro"


class GreedyViGControls(Controls):
    model: Literal["greedyvig_micro", "GreedyViG_S"] = Field(
        "greedyvig_micro",
        title="Model",
        description="Ours, trained on CIFAR-10; or a published configuration, which needs its checkpoint (see the README).",
        json_schema_extra={"advanced": True},
    )
    multiplier: float = Field(
        1.0, ge=-1.0, le=2.5, title="Strictness λ", description="An edge is kept when its distance is below mean − λ · deviation.",
        json_schema_extra={"step": 0.05},
    )  # fmt: skip
    distance: Literal["L1", "L2"] = Field(
        "L1", title="Distance", description="L1 as in the released code, L2 (Euclidean) as written in the paper."
    )
    features: Literal["the network's", "raw colours"] = Field(
        "the network's",
        title="Features",
        description="What distances are measured on: the network's own features, or plain colour and slope of each patch.",
    )
    exact: bool = Field(
        False,
        title="Exact mean and deviation",
        description="Over all pairs of patches, instead of the cheap sample of pairs half a picture apart.",
        json_schema_extra={"advanced": True},
    )


def label(index: int, graph: PatchGraph) -> str:
    return f"Stage {index + 1} · {graph.grid[0]} × {graph.grid[1]} · step {graph.rule.settings['step']}"


def run(shown: np.ndarray, controls: GreedyViGControls, cuts: Sequence[Intervention] = (), segments: Labeller | None = None) -> Scene:
    """One picture through GreedyViG, with the visitor's λ, distance, statistics and cuts."""

    def edit(graph: PatchGraph) -> PatchGraph:
        step = graph.rule.settings["step"]
        constructor = AxialDynamic(step, controls.multiplier, 1 if controls.distance == "L1" else 2, controls.exact).eval()
        if controls.features == "raw colours":
            return constructor(raw_features(shown, graph.grid).to(graph.candidates.device))
        return rebuilt(graph, constructor)

    return look_at(
        controls.model, shown, cuts, None if controls.model_copy(update={"model": MODEL}) == GreedyViGControls() else edit, segments, label
    )


def explain_class(shown: np.ndarray, controls: GreedyViGControls, method: str, target: str, layer: str) -> Attribution:
    return explain(controls.model, shown, method, runtime.class_index(controls.model, target), layer)


EXHIBIT = Exhibit(
    slug="greedyvig",
    title="GreedyViG",
    wing=Wing.IMAGE_GRAPHS,
    idea="Connect only what is unusually similar for this picture: closer than the mean distance minus one deviation.",
    paper=Paper(
        title="GreedyViG: Dynamic Axial Graph Construction for Efficient Vision GNNs",
        authors="Munir, Avery, Rahman, Marculescu",
        venue="CVPR 2024",
        url="https://arxiv.org/abs/2405.06849",
        theirs="The network and its rule (dynamic axial graph construction, DAGC).",
        ours="A GreedyViG of 0.6 million parameters trained by us on CIFAR-10; the empty-graph finding; every picture and number here.",
    ),
    controls=GreedyViGControls,
    run=run,
    explain=explain_class,
    views=("threshold", "why", "matrix", "degree", "length", "space", "layout", "depth", "experiments", "attribution", "claims"),
    example="bus",
    folder=Path(__file__).parent,
    claims=claims.GREEDYVIG,
)
