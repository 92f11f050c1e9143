"""The embeddings that ship: points of a hierarchy in the ball and in flat space, and their card.

found = stored("mammals_embeddings")
found.in_ball(2)            # PoincarePoints, with names, edges and depths
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
from models.hyperbolic.embeddings import Geometry, placed
from models.hyperbolic.hierarchy import Hierarchy, from_edges
from models.structures import PoincarePoints


@dataclass(frozen=True)
class StoredEmbeddings:
    """Points of one hierarchy.

    Attributes:
        hierarchy: what was embedded.
        points: by geometry and dimension, [N, d] float64; the ball has curvature −1.
        card: the model card, with mean rank and MAP of every seed.
    """

    hierarchy: Hierarchy
    points: Mapping[tuple[Geometry, int], Tensor]
    card: Mapping[str, Any]

    def in_ball(self, dimension: int) -> PoincarePoints:
        """The points in the ball of that dimension. Raises KeyError where there are none."""
        return placed(self.points["poincare", dimension], self.hierarchy)


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
    for key, tensor in read_state(path).items():
        geometry, _, dimension = key.partition("_")
        if geometry not in ("poincare", "euclidean") or tensor.shape != (len(hierarchy), int(dimension or -1)):
            raise CheckpointError(f"{path.name} holds {key!r} of shape {tuple(tensor.shape)}, which does not fit its card")
        points[geometry, int(dimension)] = tensor  # type: ignore[index]
    return StoredEmbeddings(hierarchy, points, card)
