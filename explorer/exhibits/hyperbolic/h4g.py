"""H4G, a minimal re-creation: points far out in hyperbolic space cannot be told apart, and a learned scaling pulls them in."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from explorer.diagnostics.hyperbolic import text_summary
from explorer.exhibit import NO_PICTURE, BadRequest, Controls, Exhibit, Intervention, Labeller, Layer, Paper, Scene, Wing
from explorer.exhibits.hyperbolic import claims
from explorer.views.arrays import pack
from models.hyperbolic import h4g, text_graphs
from models.hyperbolic.h4g import H4G, HOPS, Step, along_radius, prepared, train
from models.hyperbolic.text_graphs import TextGraph
from models.structures import TextPoints

RADII = (0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 11.5)
STEPS = 300
JUDGED = 4  # target graphs behind each point of the curve
FRAME_SECONDS, FRAME_STEPS = 0.1, 6
NODES = """name,text,class
p1,graph networks pass messages along edges,graphs
p2,message passing over nodes and edges of a graph,graphs
p3,stars and galaxies seen through a telescope,astronomy
p4,a telescope finds a planet around a distant star,astronomy
p5,edges of a graph of galaxies,astronomy"""
EDGES = """source,target
p1,p2
p3,p4
p4,p5"""
CLASSES = """name,text
graphs,graph nodes edges message
astronomy,star planet galaxies telescope"""


class H4GControls(Controls):
    graph: Literal["made up", "yours"] = Field(
        "made up",
        title="Graph",
        description="A graph of 240 nodes whose texts are made of random word vectors, with five classes never trained on; or your own tables.",
    )
    nodes: str = Field(
        NODES,
        max_length=1800,
        title="Nodes: name, text, class",
        description="A table with a line of column names. The class may be left empty.",
        json_schema_extra={"lines": 6, "when": {"graph": "yours"}},
    )
    edges: str = Field(
        EDGES,
        max_length=900,
        title="Edges: source, target",
        description="Names of nodes.",
        json_schema_extra={"lines": 4, "when": {"graph": "yours"}},
    )
    classes: str = Field(
        CLASSES,
        max_length=600,
        title="Classes: name, text",
        description="At least two. The nearest class text names a node.",
        json_schema_extra={"lines": 3, "when": {"graph": "yours"}},
    )
    homophily: float = Field(
        0.85,
        ge=0,
        le=1,
        title="Edges inside a class",
        description="Share of neighbours that are of the node's own class, in the graphs it learns from and in the one it is shown.",
        json_schema_extra={"step": 0.05},
    )
    radius: float = Field(
        6.0,
        ge=0.5,
        le=12,
        title="Radius before the scaling",
        description="How far out the points lie on average before anything is learned. The learning starts there.",
        json_schema_extra={"step": 0.5},
    )
    penalty: float = Field(
        0.0,
        ge=0,
        le=0.1,
        title="Price of the radius",
        description="Weight of the mean radius in the loss; 0.05 pulls the points further in.",
        json_schema_extra={"step": 0.01, "advanced": True},
    )
    seed: int = Field(0, ge=0, le=9, title="Seed", description="Of words, texts and graphs.", json_schema_extra={"advanced": True})


@dataclass(frozen=True)
class Made:
    """Graphs to learn from, and graphs of other classes to be judged on."""

    source: tuple[TextGraph, ...]
    target: tuple[TextGraph, ...]


@lru_cache(maxsize=12)
def graphs(homophily: float, seed: int) -> Made:
    source, target = text_graphs.text_graphs(target=8, homophily=homophily, seed=seed)
    return Made(tuple(source), tuple(target))


@lru_cache(maxsize=8)
def own(nodes: str, edges: str, classes: str) -> TextGraph:
    """The visitor's tables. Raises TextGraphError, which says what is wrong with them."""
    found = text_graphs.parse(nodes, edges, classes)
    h4g.encode(found.texts, found.edges)
    return found


@lru_cache(maxsize=24)
def learned(homophily: float, seed: int, radius: float, penalty: float) -> tuple[H4G, tuple[Step, ...]]:
    """The operator after its training, and every state on the way."""
    model = H4G(kappa=radius / 2)
    steps = tuple(train(model, graphs(homophily, seed).source, STEPS, penalty=penalty))
    return model.eval().requires_grad_(False), steps


def shown_graph(controls: H4GControls) -> TextGraph:
    return (
        own(controls.nodes, controls.edges, controls.classes)
        if controls.graph == "yours"
        else graphs(controls.homophily, controls.seed).target[0]
    )


def placed(model: H4G, graph: TextGraph, plane: Tensor) -> TextPoints:
    nodes, classes = (model.tangents(z).detach() for z in prepared(graph))
    return TextPoints(nodes, classes, graph.label, graph.edges, plane, HOPS, graph.names, graph.class_names)


def plane_of(model: H4G, graph: TextGraph) -> Tensor:
    """The two directions in which the class texts and the nodes of the learned state spread most, [2, D]: the same before and after."""
    nodes, classes = (model.tangents(z).detach() for z in prepared(graph))
    directions = torch.linalg.svd(torch.cat([nodes, classes.repeat(max(1, len(nodes) // len(classes)), 1)]), full_matrices=True).Vh[:2]
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    return directions * torch.where(largest < 0, -1.0, 1.0)


@lru_cache(maxsize=12)
def curve(homophily: float, seed: int) -> dict[str, Any]:
    """Accuracy, cosine accuracy and contrast of the target graphs at growing radii, with and without the clip of float32 coordinates."""
    target = graphs(homophily, seed).target[:JUDGED]
    free, clipped = along_radius(target, RADII), along_radius(target, RADII, clip=True)
    return {
        "radius": list(RADII),
        "accuracy": [found.accuracy for found in free],
        "cosine": [found.cosine_accuracy for found in free],
        "contrast": [found.contrast for found in free],
        "clipped_accuracy": [found.accuracy for found in clipped],
        "clipped": [found.clipped for found in free],
        "graphs": JUDGED,
        "nodes": len(target[0].label),
    }


def merged(points: TextPoints) -> dict[str, Any]:
    """The neighbourhoods of the nodes on show at growing radii, for the lines of the disk and the panel beside it."""
    found = h4g.merging(points.nodes.float(), points.label, RADII)
    return {
        "radius": list(RADII),
        "nearest": pack(np.stack([one.nearest.numpy() for one in found]), "u16"),
        "hub": [one.hub for one in found],
        "alike": [None if math.isnan(one.alike) else one.alike for one in found],
        "overlap": [one.overlap for one in found],
        "within": pack(np.stack([one.within.numpy() for one in found]), "f32"),
        "across": pack(np.stack([one.across.numpy() for one in found]), "f32"),
    }


def run(shown: np.ndarray, controls: H4GControls, cuts: Sequence[Intervention] = (), segments: Labeller | None = None) -> Scene:
    """One graph before and after the learned scaling."""
    if cuts:
        raise BadRequest("there are no edges to cut here; move the radius instead")
    graph = shown_graph(controls)
    model, steps = learned(controls.homophily, controls.seed, controls.radius, controls.penalty)
    plane = plane_of(model, graph)
    found = {
        "before": (f"Before · all at radius {controls.radius:g}", placed(H4G(kappa=controls.radius / 2), graph, plane)),
        "after": ("After scaling", placed(model, graph, plane)),
    }
    return Scene(
        shown=NO_PICTURE,
        seen=NO_PICTURE,
        layers=[Layer(name, label, {"points": points}) for name, (label, points) in found.items()],
        measures={name: text_summary(points) for name, (_, points) in found.items()},
        extras={
            "curve": curve(controls.homophily, controls.seed),
            "merging": {name: merged(points) for name, (_, points) in found.items()},
            "factors": steps[-1].factors.tolist(),
            "landed": steps[-1].radius,
            "started": controls.radius,
            "hops": HOPS,
            "loss": [step.loss for step in steps[:-1:10]],
        },
    )


def watch(scene: Scene, controls: H4GControls, data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The training, about ten frames a second: the factors, and where the points of the graph on show are."""
    graph = shown_graph(controls)
    plane = plane_of(learned(controls.homophily, controls.seed, controls.radius, controls.penalty)[0], graph)
    model = H4G(kappa=controls.radius / 2)
    told = 0.0
    for step in train(model, graphs(controls.homophily, controls.seed).source, STEPS, penalty=controls.penalty):
        if step.step % FRAME_STEPS:
            continue
        time.sleep(max(0.0, told + FRAME_SECONDS - time.monotonic()))
        told = time.monotonic()
        points = placed(model, graph, plane)
        named = {found.key: found.value for found in text_summary_of(points)}
        yield {"step": step.step, "steps": STEPS, "factors": step.factors.tolist(), "points": pack(points.drawn().numpy(), "f32"), **named}


def text_summary_of(points: TextPoints) -> list[Any]:
    """The measures that cost little enough for every frame."""
    return [found for found in text_summary(points) if found.key in ("zero_shot_accuracy", "cosine_accuracy", "mean_radius")]


EXHIBIT = Exhibit(
    slug="h4g",
    title="H4G, a minimal re-creation",
    wing=Wing.HYPERBOLIC,
    idea="Far out in hyperbolic space every point is about as far from every other one; a learned scaling pulls them in until they differ.",
    paper=Paper(
        title="H4G: Unlocking Faithful Inference for Zero-Shot Graph Learning in Hyperbolic Space",
        authors="Zhang, Zhang, Liu, Shi, Shen, You, Hu, Gan, Huang",
        venue="arXiv 2510.12094",
        url="https://arxiv.org/abs/2510.12094",
        theirs="The diagnosis (over-abstraction at large radii) and the remedy: block-diagonal scaling by Möbius matrix multiplication.",
        ours="A minimal re-creation from the abstract, for no code is public: the encoder without parameters, the training, the small graphs.",
    ),
    controls=H4GControls,
    run=run,
    views=("radius-curve", "merging", "hop-scaling", "text-distance", "claims"),
    example="",
    folder=Path(__file__).parent,
    cuts=(),
    claims=claims.H4G,
    pictures=False,
    streams={"watch": watch},
)
