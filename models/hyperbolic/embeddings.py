"""Poincaré embeddings: every node of a hierarchy gets a point, so that distances tell its ancestors from all others.

Nickel, Kiela, "Poincaré Embeddings for Learning Hierarchical Representations", NeurIPS 2017, arXiv 1705.08039. Two dimensions
are enough for a tree, because circles grow like e^r, as the number of leaves does. The same loss in flat space stands beside it.

    for frame in train(cifar100(), Settings(rate=0.3)):
        show(frame.points)                       # one frame per epoch; stop whenever you like
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from models.hyperbolic import ball
from models.hyperbolic.hierarchy import Hierarchy
from models.structures import PoincarePoints, Reconstruction

Geometry = Literal["poincare", "euclidean"]
BORDER = 1e-5  # points are kept inside 1 − BORDER


@dataclass(frozen=True)
class Settings:
    """How an embedding is trained.

    Attributes:
        dimension: of the points.
        rate: η of the Riemannian gradient descent; a tenth of it during the first `burn_in` epochs.
        epochs: passes over all pairs (node, ancestor).
        negatives: nodes drawn for each pair that are not ancestors.
        batch: pairs per step; their losses are added up.
        geometry: "euclidean" is the counterpart in flat space.
    """

    dimension: int = 2
    rate: float = 0.3
    epochs: int = 150
    negatives: int = 20
    batch: int = 32
    burn_in: int = 20
    seed: int = 0
    geometry: Geometry = "poincare"

    def __post_init__(self) -> None:
        whole = {name: getattr(self, name) for name in ("dimension", "epochs", "negatives", "batch")}
        for name, value in whole.items():
            if value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise ValueError(f"the rate is {self.rate:g}; it must be a finite number above 0")
        if self.geometry not in ("poincare", "euclidean"):
            raise ValueError(f'geometry is {self.geometry!r}; there are "poincare" and "euclidean"')


@dataclass(frozen=True)
class Frame:
    """An embedding after some epochs.

    Attributes:
        epoch: epochs done; 0 is the start.
        loss: mean loss of a pair in that epoch; NaN at the start.
        points: [N, d] float64.
        geometry: of the space that they lie in; the ball has curvature −1.
    """

    epoch: int
    loss: float
    points: Tensor
    geometry: Geometry

    def distances(self) -> Tensor:
        """Distance between every two points, [N, N] float64."""
        if self.geometry == "poincare":
            return ball.pairwise_distance(self.points, self.points, 1.0)
        return torch.cdist(self.points, self.points, compute_mode="donot_use_mm_for_euclid_dist")


def placed(points: Tensor, hierarchy: Hierarchy) -> PoincarePoints:
    """The points of a ball of curvature −1 with the names, edges and depths of their hierarchy."""
    return PoincarePoints(points, 1.0, hierarchy.names, hierarchy.edges, hierarchy.depth)


def train(hierarchy: Hierarchy, settings: Settings) -> Iterator[Frame]:
    """Embed a hierarchy; yields the start and then one frame per epoch. The same seed gives the same frames."""
    generator = torch.Generator().manual_seed(settings.seed)
    pairs = hierarchy.closure
    strangers = (~hierarchy.ancestors).double().fill_diagonal_(0)  # who may be drawn as a negative, [N, N]
    points = torch.empty(len(hierarchy), settings.dimension, dtype=torch.float64).uniform_(-1e-3, 1e-3, generator=generator)
    yield Frame(0, math.nan, points.clone(), settings.geometry)
    for epoch in range(settings.epochs):
        rate = settings.rate * (0.1 if epoch < settings.burn_in else 1)
        total = 0.0
        for batch in pairs[torch.randperm(len(pairs), generator=generator)].split(settings.batch):
            negatives, known = draw(strangers[batch[:, 0]], settings.negatives, generator)
            loss, gradient = loss_and_gradient(points, batch, negatives, known, settings.geometry)
            points = step(points, gradient, rate, settings.geometry)
            total += loss
        yield Frame(epoch + 1, total / len(pairs), points.clone(), settings.geometry)


def draw(weights: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Nodes drawn with replacement by weights [b, N]: (index [b, count], True where the row had a node to draw, [b])."""
    known = weights.any(1)
    return torch.multinomial(torch.where(known[:, None], weights, 1.0), count, True, generator=generator), known


def loss_and_gradient(points: Tensor, pairs: Tensor, negatives: Tensor, known: Tensor, geometry: Geometry) -> tuple[float, Tensor]:
    """Σ over pairs (u, v) of −log softmax(−d(u, ·))_v over v and the negatives, and its gradient, [N, d].

    Args:
        pairs: (node, ancestor), [b, 2].
        negatives: [b, m].
        known: False for pairs whose node has no negative; they add nothing.
    """
    leaf = points.detach().requires_grad_()
    u, others = leaf[pairs[:, :1]], leaf[torch.cat([pairs[:, 1:], negatives], 1)]
    d = ball.distance(u, others, 1.0) if geometry == "poincare" else torch.linalg.vector_norm(u - others, dim=-1)
    losses = F.cross_entropy(-d, torch.zeros(len(d), dtype=torch.int64), reduction="none")
    loss = (losses * known).sum()
    (gradient,) = torch.autograd.grad(loss, leaf)
    return loss.item(), gradient


def step(points: Tensor, gradient: Tensor, rate: float, geometry: Geometry) -> Tensor:
    """One step of Riemannian gradient descent: θ − η (1 − ‖θ‖²)²/4 · ∇, pulled back inside the ball (a retraction, equation 4)."""
    if geometry == "euclidean":
        return points - rate * gradient
    moved = points - rate * ball.gap(points, 1.0).square() / 4 * gradient
    return ball.project(moved, 1.0, BORDER)


# ------------------------------------------------------------------------------------------------------------- judging


def judged(frame: Frame, hierarchy: Hierarchy) -> Reconstruction:
    """Mean rank and MAP of the ancestors in an embedding."""
    return Reconstruction.of(frame.distances(), hierarchy.ancestors)


def norm_by_depth(points: Tensor, depth: Tensor) -> Tensor:
    """Mean Euclidean norm of the points of each depth, [depths]: it rises with depth where the radius tells it."""
    count = torch.bincount(depth).double()
    return torch.zeros(len(count), dtype=torch.float64).index_add_(0, depth, points.norm(dim=1).double()) / count


# ------------------------------------------------------------------------------------------------------- built, not learned


def sarkar(hierarchy: Hierarchy, step: float) -> Tensor:
    """A tree laid out in the disk without training, [N, 2] float64: every edge `step` long, children spread evenly.

    The longer the step, the smaller the distortion; step · depth is limited to 30, where float64 ends.

    Raises:
        ValueError: a node has two parents, or step · depth exceeds 30.
    Source: Sarkar, "Low Distortion Delaunay Embedding of Trees in Hyperbolic Plane", 2011.
    """
    if hierarchy.edges.shape[1] != len(hierarchy) - 1:
        raise ValueError("a node has two parents; only trees can be laid out")
    deepest = int(hierarchy.depth.max())
    if not 0 < step * deepest <= 30:
        raise ValueError(f"step · depth is {step:g} · {deepest}; it must be above 0 and at most 30")
    z = torch.zeros(len(hierarchy), dtype=torch.complex128)
    children: list[list[int]] = [[] for _ in range(len(hierarchy))]
    for parent, child in hierarchy.edges.T.tolist():
        children[parent].append(child)
    queue = [hierarchy.root]
    while queue:
        node = queue.pop()
        count, here = len(children[node]), z[node]
        if node == hierarchy.root:
            angles = 2 * math.pi * torch.arange(count) / max(count, 1)
        else:
            back = z[hierarchy.parent[node]]
            towards = torch.angle((back - here) / (1 - here.conj() * back))  # the parent, seen from the node
            angles = towards + 2 * math.pi * torch.arange(1, count + 1) / (count + 1)
        local = math.tanh(step / 2) * torch.exp(1j * angles.to(torch.complex128))
        z[children[node]] = (local + here) / (1 + here.conj() * local)
        queue += children[node]
    return torch.view_as_real(z).clone()
