"""MobileViG: every patch listens to every second patch of its own row and column, whatever the picture shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from explorer import runtime
from explorer.exhibit import BadRequest, Controls, Exhibit, Intervention, Labeller, Paper, Scene, Wing
from explorer.exhibits.image_graphs import claims
from explorer.exhibits.image_graphs.look import explain, look_at
from models.image_graphs.constructors import AxialStatic
from models.image_graphs.edits import rebuilt
from models.structures import Attribution, PatchGraph

MODEL = "mobilevig_micro"


class MobileViGControls(Controls):
    model: Literal["mobilevig_micro", "mobilevig_ti", "mobilevig_s"] = Field(
        "mobilevig_micro",
        title="Model",
        description="Ours, trained on CIFAR-10; or a published configuration, which needs its checkpoint (see the README).",
        json_schema_extra={"advanced": True},
    )
    step: int = Field(2, ge=1, le=7, title="Step K", description="Every K-th patch of the row and column. The model was trained with 2.")
    mirror: bool = Field(
        False,
        title="Mirror the picture",
        description="The graph is not mirrored with it: on a grid with an odd side this changes who listens to whom.",
    )


def label(index: int, graph: PatchGraph) -> str:
    return f"Graph block {index + 1} · {graph.grid[0]} × {graph.grid[1]}"


def run(shown: np.ndarray, controls: MobileViGControls, cuts: Sequence[Intervention] = (), segments: Labeller | None = None) -> Scene:
    """One picture through MobileViG, with the visitor's step, mirror and cuts."""

    def edit(graph: PatchGraph) -> PatchGraph:
        try:
            return rebuilt(graph, AxialStatic(controls.step))
        except ValueError as error:
            raise BadRequest(str(error)) from None

    if controls.mirror:
        shown = np.ascontiguousarray(shown[:, ::-1])
        segments = _mirrored(segments)
    scene = look_at(controls.model, shown, cuts, edit if controls.step != 2 else None, segments, label)
    return scene.with_extras(svgaLab=True)


def _mirrored(segments: Labeller | None) -> Labeller | None:
    if segments is None:
        return None

    def labels(grid: tuple[int, int]):
        found = segments(grid)
        return None if found is None else (found[0].reshape(grid)[:, ::-1].reshape(-1), found[1])

    return labels


def explain_class(shown: np.ndarray, controls: MobileViGControls, method: str, target: str, layer: str) -> Attribution:
    return explain(
        controls.model, shown[:, ::-1].copy() if controls.mirror else shown, method, runtime.class_index(controls.model, target), layer
    )


EXHIBIT = Exhibit(
    slug="mobilevig",
    title="MobileViG",
    wing=Wing.IMAGE_GRAPHS,
    idea="The cheapest graph there is: every second patch of the own row and column, the same for every picture.",
    paper=Paper(
        title="MobileViG: Graph-Based Sparse Attention for Mobile Vision Applications",
        authors="Munir, Avery, Marculescu",
        venue="CVPR Workshops 2023",
        url="https://arxiv.org/abs/2307.00395",
        theirs="The network and its rule (sparse vision graph attention, SVGA): a fixed axial graph, rolled across the border.",
        ours="A MobileViG of 0.7 million parameters trained by us on CIFAR-10; the facts about odd and even grids; every picture and number here.",
    ),
    controls=MobileViGControls,
    run=run,
    explain=explain_class,
    views=("lab", "matrix", "why", "degree", "length", "space", "layout", "depth", "experiments", "attribution", "claims"),
    example="bus",
    folder=Path(__file__).parent,
    claims=claims.MOBILEVIG,
)
