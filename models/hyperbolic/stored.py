"""The embeddings that ship: points of a hierarchy in the ball and in flat space, and their card.

found = stored("mammals_embeddings")
found.in_ball(2)            # PoincarePoints, with names, edges and depths
found.on_a_map("umap", 10)  # the ten dimensions brought to the disk
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from models import zoo
from models.checkpoints import CheckpointError, read_state
from models.hyperbolic import ball
from models.hyperbolic.embeddings import Geometry, placed
from models.hyperbolic.hierarchy import Hierarchy, from_edges
from models.hyperbolic.projections import WAYS
from models.structures import PoincarePoints


@dataclass(frozen=True)
class StoredEmbeddings:
    """Points of one hierarchy.

    Attributes:
        hierarchy: what was embedded.
        points: by geometry and dimension, [N, d] float64; the ball has curvature −1.
        maps: by way (`models.hyperbolic.projections.WAYS`) and dimension, [N, 2] float32: points of the ball of that dimension brought to
            the disk, as tangent vectors at its centre.
        card: the model card, with mean rank and MAP of every seed.
    """

    hierarchy: Hierarchy
    points: Mapping[tuple[Geometry, int], Tensor]
    maps: Mapping[tuple[str, int], Tensor]
    card: Mapping[str, Any]

    def in_ball(self, dimension: int) -> PoincarePoints:
        """The points in the ball of that dimension. Raises KeyError where there are none."""
        return placed(self.points["poincare", dimension], self.hierarchy)

    def on_a_map(self, way: str, dimension: int) -> PoincarePoints:
        """The points of the ball of that dimension, brought to the disk. Raises KeyError where there is no such map."""
        return placed(ball.exp0(self.maps[way, dimension].double(), 1.0), self.hierarchy)


def stored(name: str, folder: str | Path | None = None) -> StoredEmbeddings:
    """`<name>.safetensors` and `<name>.json` of the folder of weights.

    Raises:
        FileNotFoundError: it does not ship, or not yet.
        CheckpointError: card and points do not belong together.
    """
    path = Path(folder or zoo.WEIGHTS) / f"{name}.safetensors"
    if not path.exists():
        raise FileNotFoundError(f"no embeddings named {name!r} ship; `python -m training.hierarchy` trains them")
    card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    edges = [(child, parent) for parent, child in card["input"]["edges"]]
    hierarchy = from_edges(card["labels"], edges)
    points: dict[tuple[Geometry, int], Tensor] = {}
    maps: dict[tuple[str, int], Tensor] = {}
    for key, tensor in read_state(path).items():
        kind, _, dimension = key.rpartition("_")
        if kind in ("poincare", "euclidean") and tensor.shape == (len(hierarchy), int(dimension)):
            points[kind, int(dimension)] = tensor  # type: ignore[index]
        elif kind.removeprefix("map_") in WAYS and tensor.shape == (len(hierarchy), 2):
            maps[kind.removeprefix("map_"), int(dimension)] = tensor
        else:
            raise CheckpointError(f"{path.name} holds {key!r} of shape {tuple(tensor.shape)}, which does not fit its card")
    return StoredEmbeddings(hierarchy, points, maps, card)
