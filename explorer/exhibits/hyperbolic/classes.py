"""Pictures in the Poincaré disk of their classes: where a picture lands says what it is, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from torch import Tensor

from explorer import examples, runtime
from explorer.diagnostics.hyperbolic import points_summary
from explorer.exhibit import BadRequest, Controls, Exhibit, Intervention, Labeller, Layer, Paper, Scene, Wing
from explorer.exhibits.hyperbolic import claims
from explorer.intake import webp_uri
from explorer.looking import RANDOM_WEIGHTS
from explorer.views.arrays import pack
from models.hyperbolic import ball
from models.hyperbolic.disk import ClassDisk
from models.structures import PoincarePoints, Prediction

MODEL = "poincare_cifar100"
TILE = 40  # side of a small picture in the disk, pixels
YOURS = "this picture"


class ClassControls(Controls):
    others: bool = Field(True, title="Example pictures", description="Also shows where the example pictures land.")
    shrink: float = Field(
        1.0,
        ge=0,
        le=1.5,
        title="Pull to the centre",
        description="Multiplies the radius of the picture before it is named: nearer to the centre it is nearly as far from every class, so the answer gets unsure.",
        json_schema_extra={"step": 0.05},
    )


@lru_cache(maxsize=1)
def others() -> dict[str, Tensor]:
    """Tangent vectors [2] of the example pictures that every page offers, by name."""
    loaded = runtime.model(MODEL)
    assert isinstance(loaded.model, ClassDisk)
    offered = examples.offered()
    with torch.inference_mode():
        batch = torch.cat([loaded.prepare(examples.picture(one.name)) for one in offered]).to(runtime.device())
        return dict(zip((one.name for one in offered), loaded.model.encoder(batch).cpu(), strict=True))


def run(shown: np.ndarray, controls: ClassControls, cuts: Sequence[Intervention] = (), segments: Labeller | None = None) -> Scene:
    """One picture in the disk of the classes, among the example pictures."""
    if cuts:
        raise BadRequest("there are no edges to cut here; pull the picture to the centre instead")
    loaded = runtime.model(MODEL)
    model = loaded.model
    assert isinstance(model, ClassDisk)
    with torch.inference_mode():
        own = model.encoder(loaded.prepare(shown).to(runtime.device())).cpu() * controls.shrink
        beside = [one for one in examples.offered() if controls.others and not np.array_equal(examples.picture(one.name), shown)]
        places = others()
        rest = torch.stack([places[one.name] for one in beside]) if beside else own[:0]
        landed = torch.cat([own, rest])
        scores = model.scores(landed.to(runtime.device())).cpu()
    prediction = Prediction(scores[:1], loaded.labels or model.labels)
    prediction.require_finite("the prediction")
    tree = model.tree()
    classes = model.leaf.cpu()
    points = hung(tree, landed, classes[scores.argmax(1)], (YOURS, *(one.label for one in beside)))
    pictures = [shown, *(examples.picture(one.name) for one in beside)]
    return Scene(
        shown=shown,
        seen=loaded.prepare.seen(shown),
        layers=[Layer("disk", "The disk of the classes", {"points": points})],
        prediction=prediction.top(10),
        measures={"disk": points_summary(tree)},
        notes=() if loaded.trained else (RANDOM_WEIGHTS,),
        extras={
            "pictures": {
                "sheet": sheet(pictures),
                "side": TILE,
                "nodes": list(range(len(tree.points), len(points.points))),
                "always": True,
            },
            "rays": pack(boundaries(model), "f32"),
            "landing": landing(model, own, tree),
        },
    )


def hung(tree: PoincarePoints, landed: Tensor, below: Tensor, names: tuple[str, ...]) -> PoincarePoints:
    """The class tree with pictures as further nodes, each below the class that it is named after."""
    assert tree.edges is not None
    assert tree.depth is not None
    count = len(tree.points)
    added = torch.stack([below, torch.arange(count, count + len(landed))])
    return PoincarePoints(
        torch.cat([tree.points, ball.exp0(landed.double(), 1.0)]),
        1.0,
        (*tree.labels, *names),
        torch.cat([tree.edges, added], 1),
        torch.cat([tree.depth, tree.depth[below] + 1]),
    )


def boundaries(model: ClassDisk) -> np.ndarray:
    """Angles of the decision boundaries: all classes lie on one circle around the centre, so every boundary is a ray between two of them."""
    places = model.nodes[model.leaf].double().cpu()
    angles = torch.atan2(places[:, 1], places[:, 0]).sort().values
    following = torch.cat([angles[1:], angles[:1] + 2 * math.pi])
    return ((angles + following) / 2).numpy()


def landing(model: ClassDisk, tangent: Tensor, tree: PoincarePoints) -> dict[str, Any]:
    """How far the picture lies from the centre, from the nearest classes and from their superclasses."""
    with torch.inference_mode():
        distances = model.distances(tangent.to(model.nodes.device))[0].cpu()
    near = [(node, float(distances[node])) for node in distances.argsort().tolist()]
    kinds = [[tree.labels[node], value] for node, value in near if tree.depth is not None and int(tree.depth[node]) == 1]
    classes = [[tree.labels[node], value] for node, value in near if tree.depth is not None and int(tree.depth[node]) == 2]
    return {
        "radius": float(2 * tangent.norm()),
        "ring": float(2 * model.nodes[model.leaf].norm(dim=1).max()),
        "classes": classes[:6],
        "superclasses": kinds[:4],
    }


def sheet(pictures: Sequence[np.ndarray]) -> str:
    """Small pictures side by side as a data URI."""
    tiles = [np.asarray(Image.fromarray(one).resize((TILE, TILE), Image.Resampling.LANCZOS)) for one in pictures]
    return webp_uri(np.concatenate(tiles, 1), 70)


EXHIBIT = Exhibit(
    slug="class-disk",
    title="Pictures in the class disk",
    wing=Wing.HYPERBOLIC,
    idea="Your picture lands somewhere among 100 classes: its direction says what it is, its distance from the centre how sure that is.",
    paper=Paper(
        title="Hyperbolic Image Embeddings",
        authors="Khrulkov, Mirvakhabova, Ustinova, Oseledets, Lempitsky",
        venue="CVPR 2020",
        url="https://arxiv.org/abs/1904.02239",
        theirs="Pictures as points of the ball, and the observation that unclear pictures lie nearer to its centre.",
        ours="The drawn class tree, the small network and its training; the counterpart measured with the ruler of the plane.",
    ),
    controls=ClassControls,
    run=run,
    views=("landing", "nearest", "claims"),
    example="bear",
    folder=Path(__file__).parent,
    cuts=(),
    claims=claims.CLASSES,
)
