"""Poincaré embeddings: a hierarchy in two dimensions, because the hyperbolic plane has as much room as a tree has leaves."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from explorer.diagnostics import Measure
from explorer.diagnostics.hyperbolic import map_summary, plane_summary, points_summary
from explorer.exhibit import NO_PICTURE, BadRequest, Controls, Exhibit, Intervention, Labeller, Layer, Paper, Scene, Wing
from explorer.exhibits.hyperbolic import claims, trees
from explorer.exhibits.hyperbolic.trees import MOST_LIVE, Asked
from explorer.views.arrays import pack
from explorer.views.disk import drawn
from models.hyperbolic.embeddings import Frame, Settings, judged, placed, train
from models.hyperbolic.hierarchy import Hierarchy
from models.structures import PlanePoints, PoincarePoints

FRAME_SECONDS = 0.1
FRAMES = 50  # of a training that is watched
LEARNED, FLAT = "learned", "flat"
WAYS = {"horopca": "Horospherical PCA", "tangent": "Tangent PCA", "umap": "UMAP"}
TREE = """dog, carnivore
wolf, carnivore
cat, carnivore
seal, carnivore
carnivore, mammal
whale, mammal
bat, mammal
mouse, mammal
mammal, animal
sparrow, bird
eagle, bird
penguin, bird
bird, animal
salmon, fish
shark, fish
fish, animal"""
WATCHED: dict[str, Any] = {"hierarchy": ["balanced", "yours"]}


class EmbeddingControls(Controls):
    hierarchy: Literal["classes", "mammals", "balanced", "yours"] = Field(
        "classes",
        title="Hierarchy",
        description="The classes of CIFAR-100 in their groups, the mammals of WordNet, a tree in which all nodes branch alike, or your own.",
    )
    tree: str = Field(
        TREE,
        max_length=2000,
        title="Your tree: child, parent",
        description=f"A line for each edge, upwards; at most {MOST_LIVE} nodes. A node may have two parents, but there must be no circle.",
        json_schema_extra={"lines": 9, "placeholder": "dog, carnivore", "when": {"hierarchy": "yours"}},
    )
    branching: int = Field(
        2, ge=2, le=4, title="Children per node", description="Of the balanced tree.", json_schema_extra={"when": {"hierarchy": "balanced"}}
    )
    depth: int = Field(
        4, ge=1, le=6, title="Levels", description="Of the balanced tree.", json_schema_extra={"when": {"hierarchy": "balanced"}}
    )
    dimension: Literal[5, 10] = Field(
        10,
        title="Dimensions brought to the disk",
        description="Embeddings of more dimensions are more exact and cannot be drawn: two projections bring them to the disk.",
    )
    rate: float = Field(
        0.3,
        ge=0.05,
        le=1,
        title="Learning rate η",
        description="Of the training that runs now. Too large a step throws the points to the rim, where the radius says nothing more.",
        json_schema_extra={"step": 0.05, "advanced": True, "when": WATCHED},
    )
    epochs: int = Field(
        150,
        ge=20,
        le=200,
        title="Epochs",
        description="Passes over all pairs (node, ancestor). The first 20 go slowly, so that the branches sort themselves out near the centre.",
        json_schema_extra={"step": 10, "advanced": True, "when": WATCHED},
    )


def asked(controls: EmbeddingControls) -> Asked:
    if controls.hierarchy == "balanced":
        depth = controls.depth
        while depth > 1 and sum(controls.branching**level for level in range(depth + 1)) > MOST_LIVE:
            depth -= 1
        return Asked("balanced", branching=controls.branching, depth=depth)
    return Asked(controls.hierarchy, controls.tree if controls.hierarchy == "yours" else "")


@lru_cache(maxsize=24)
def _layers(wanted: Asked, dimension: int, rate: float, epochs: int) -> tuple[list[Layer], dict[str, list[Measure]]]:
    """Every way to see a hierarchy in two dimensions, and what the diagnostics say of each."""
    tree = trees.hierarchy(wanted)
    higher = trees.in_ball(wanted, dimension, rate, epochs)
    found: dict[str, tuple[str, PoincarePoints | PlanePoints]] = {
        LEARNED: ("Learned in the disk", trees.in_ball(wanted, 2, rate, epochs)),
        FLAT: ("Learned in the plane", trees.in_plane(wanted, rate, epochs)),
    }
    if len(tree) > 2:
        for way in trees.ways(wanted, dimension):
            found[way] = (f"{WAYS[way]} · of {dimension} dimensions", trees.projected(wanted, way, dimension, rate, epochs))
    if trees.is_tree(tree):
        found["constructed"] = ("Constructed · not learned", trees.constructed(wanted))
    layers = [Layer(name, label, {"points": points}) for name, (label, points) in found.items()]
    measures = {name: measured(points, tree, higher if name in WAYS else None) for name, (_, points) in found.items()}
    return layers, measures


def measured(points: PoincarePoints | PlanePoints, tree: Hierarchy, higher: PoincarePoints | None) -> list[Measure]:
    """Every diagnostic of one map: ancestors first, then how it bends the distances of the embedding (or the steps along the tree)."""
    own = points_summary(points, tree.ancestors) if isinstance(points, PoincarePoints) else plane_summary(points, tree.ancestors)
    bent = map_summary(tree.distances() if higher is None else higher.distances(), points.distances())
    # Steps along the tree and lengths have no common unit, so how much of one the other keeps means nothing.
    return [*own, *(found for found in bent if higher is not None or found.key != "variance_kept")]


def run(shown: np.ndarray, controls: EmbeddingControls, cuts: Sequence[Intervention] = (), segments: Labeller | None = None) -> Scene:
    """One hierarchy, in the disk and in the plane."""
    if cuts:
        raise BadRequest("an embedding has no edges to cut; change the tree instead")
    wanted = asked(controls)
    layers, measures = _layers(wanted, controls.dimension, controls.rate, controls.epochs)
    tree = trees.hierarchy(wanted)
    notes = []
    if tree.virtual_root:
        notes.append(f"Your lines have several tops, so one root, {tree.names[tree.root]}, was put above them.")
    if controls.hierarchy == "balanced" and wanted.depth != controls.depth:
        notes.append(
            f"{controls.branching} children and {controls.depth} levels are too many to embed while you wait: {wanted.depth} levels are shown."
        )
    return Scene(
        shown=NO_PICTURE,
        seen=NO_PICTURE,
        layers=layers,
        measures=measures,
        notes=tuple(notes),
        extras={"hierarchy": about(wanted, tree), "dimensions": by_dimension(wanted)},
    )


def about(wanted: Asked, tree: Hierarchy) -> dict[str, Any]:
    """What the panels say of the hierarchy: how large it is, and whether its training can be watched."""
    return {
        "nodes": len(tree),
        "pairs": len(tree.closure),
        "levels": int(tree.depth.max()),
        "ends": int((~tree.ancestors.any(0)).sum()),
        "watch": len(tree) <= MOST_LIVE,
        "each": [int((tree.depth == level).sum()) for level in range(int(tree.depth.max()) + 1)],
    }


def by_dimension(wanted: Asked) -> dict[str, Any] | None:
    """Mean rank and MAP of every embedding that ships, by geometry, dimension and seed, from its card."""
    found = trees.shipped(wanted.kind)
    if found is None:
        return None
    rows = [row for row in found.card["measured"] if row["kept"]]
    return {"rows": [{key: row[key] for key in ("geometry", "dimension", "seed", "map", "mean_rank")} for row in rows]}


# -------------------------------------------------------------------------------------------------------- watched training


def watch(scene: Scene, controls: EmbeddingControls, data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The training of the disk and of the plane side by side, about ten frames a second."""
    tree = trees.hierarchy(asked(controls))
    if len(tree) > MOST_LIVE:
        raise BadRequest(
            f"the training of {len(tree)} nodes takes minutes; up to {MOST_LIVE} can be watched: choose the classes or your own tree"
        )
    rate, epochs = (0.3, 150) if controls.hierarchy == "classes" else (controls.rate, controls.epochs)
    both = zip(train(tree, Settings(2, rate, epochs)), train(tree, Settings(2, rate, epochs, geometry="euclidean")), strict=True)
    every = max(1, epochs // FRAMES)
    told = 0.0
    for disk, plane in both:
        if disk.epoch % every and disk.epoch != epochs:
            continue
        # A frame that comes too early waits: the eye needs the time, and the page cannot draw faster.
        time.sleep(max(0.0, told + FRAME_SECONDS - time.monotonic()))
        told = time.monotonic()
        yield {"epoch": disk.epoch, "epochs": epochs, LEARNED: _told(disk, tree), FLAT: _told(plane, tree)}


def _told(frame: Frame, tree: Hierarchy) -> dict[str, Any]:
    hyperbolic = frame.geometry == "poincare"
    points = placed(frame.points, tree) if hyperbolic else PlanePoints(frame.points, tree.names, tree.edges, tree.depth)
    found = judged(frame, tree)
    return {"points": pack(drawn(points), "f32"), "loss": frame.loss, "map": found.average_precision, "rank": found.mean_rank}


EXHIBIT = Exhibit(
    slug="poincare-embeddings",
    title="Poincaré embeddings",
    wing=Wing.HYPERBOLIC,
    idea="A tree needs more room the deeper it gets; the hyperbolic disk has it. Drag it: the map moves, no distance changes.",
    paper=Paper(
        title="Poincaré Embeddings for Learning Hierarchical Representations",
        authors="Nickel, Kiela",
        venue="NeurIPS 2017",
        url="https://arxiv.org/abs/1705.08039",
        theirs="The loss (a node's ancestors nearer than strangers), Riemannian gradient descent in the ball, mean rank and MAP.",
        ours="Our own code and training; the same loss in flat space beside it; the ways from more dimensions to the disk; the live training.",
    ),
    controls=EmbeddingControls,
    run=run,
    views=("nearest", "watch-training", "map-by-dimension", "room", "flat-limit", "claims"),
    example="",
    folder=Path(__file__).parent,
    cuts=(),
    claims=claims.EMBEDDINGS,
    pictures=False,
    streams={"watch": watch},
)
