"""The hierarchies on show and their embeddings: those that ship, those that are trained while the visitor waits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from torch import Tensor

from explorer.exhibit import BadRequest
from models.hyperbolic import embeddings, projections
from models.hyperbolic.embeddings import Geometry, Settings, placed, sarkar
from models.hyperbolic.hierarchy import Hierarchy, balanced, cifar100, parse
from models.hyperbolic.stored import StoredEmbeddings, stored
from models.structures import PlanePoints, PoincarePoints

MOST_LIVE = 150  # nodes that are embedded while somebody waits
DEEPEST = 30.0  # step · depth of a constructed tree, where float64 ends
LONGEST = 3.0  # step of a constructed tree
SHIPPED = {"mammals": "mammals_embeddings", "classes": "cifar100_embeddings"}


@dataclass(frozen=True)
class Asked:
    """Which hierarchy: "mammals", "classes", "balanced" or "yours", and what the last two need."""

    kind: str
    text: str = ""
    branching: int = 2
    depth: int = 4


@lru_cache(maxsize=4)
def shipped(kind: str) -> StoredEmbeddings | None:
    """The embeddings of a hierarchy that ship, or None."""
    try:
        return stored(SHIPPED[kind]) if kind in SHIPPED else None
    except FileNotFoundError:
        return None


@lru_cache(maxsize=32)
def hierarchy(asked: Asked) -> Hierarchy:
    """The hierarchy that was asked for. Raises BadRequest where it cannot be embedded at once, HierarchyError where it is none."""
    found = shipped(asked.kind)
    if found is not None:
        return found.hierarchy
    if asked.kind == "mammals":
        raise BadRequest("the embeddings of the mammals do not ship with this copy; `python -m training.hierarchy` trains them")
    tree = {"classes": cifar100, "balanced": lambda: balanced(asked.branching, asked.depth), "yours": lambda: parse(asked.text)}[
        asked.kind
    ]()
    if len(tree) > MOST_LIVE:
        raise BadRequest(f"the tree has {len(tree)} nodes; up to {MOST_LIVE} are embedded while you wait")
    return tree


def is_tree(found: Hierarchy) -> bool:
    """True where every node but the root has one parent."""
    return found.edges.shape[1] == len(found) - 1


@lru_cache(maxsize=96)
def points(asked: Asked, geometry: Geometry, dimension: int, rate: float, epochs: int) -> Tensor:
    """An embedding, [N, dimension] float64: the one that ships, else trained now (rate and epochs are of that training)."""
    found = shipped(asked.kind)
    if found is not None:
        return found.points[geometry, dimension]
    *_, last = embeddings.train(hierarchy(asked), Settings(dimension, rate, epochs, geometry=geometry))
    return last.points


def in_ball(asked: Asked, dimension: int, rate: float, epochs: int) -> PoincarePoints:
    return placed(points(asked, "poincare", dimension, rate, epochs), hierarchy(asked))


def in_plane(asked: Asked, rate: float, epochs: int) -> PlanePoints:
    found = hierarchy(asked)
    return PlanePoints(points(asked, "euclidean", 2, rate, epochs), found.names, found.edges, found.depth)


@lru_cache(maxsize=32)
def projected(asked: Asked, way: str, dimension: int, rate: float, epochs: int) -> PoincarePoints:
    """An embedding of more dimensions brought to the disk by one of `projections.WAYS`: a map that ships, else computed now."""
    found = shipped(asked.kind)
    if found is not None and (way, dimension) in found.maps:
        return found.on_a_map(way, dimension)
    return projections.WAYS[way](in_ball(asked, dimension, rate, epochs))


def ways(asked: Asked, dimension: int) -> tuple[str, ...]:
    """The projections that the page shows at once. UMAP is slow: of trees that do not ship it is left out."""
    found = shipped(asked.kind)
    return tuple(way for way in projections.WAYS if way != "umap" or (found is not None and (way, dimension) in found.maps))


def constructed(asked: Asked) -> PoincarePoints:
    """The tree laid out without training (Sarkar), edges as long as float64 and the screen allow."""
    found = hierarchy(asked)
    step = min(LONGEST, DEEPEST / max(int(found.depth.max()), 1))
    return placed(sarkar(found, step), found)
