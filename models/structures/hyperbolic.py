"""Points, planes and feature maps in the Poincaré ball of curvature −c (radius 1/√c).

A tangent vector at the origin and a point belong together by x = exp0(t); the hyperbolic radius d(0, x) is 2‖t‖.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from models.hyperbolic import ball
from models.structures.base import Structure

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class PoincarePoints(Structure):
    """N points of the Poincaré ball, maybe the nodes of a tree or graph.

    Distances are computed in float64, whatever the type of the points.

    Attributes:
        points: coordinates, [N, d], each of norm below 1/√c.
        curvature: c > 0; the space has curvature −c.
        labels: a name per point; empty when unknown.
        edges: parent → child, [2, E] int64; None without a hierarchy.
        depth: steps from the root, [N] int64; None without a hierarchy.

    Raises:
        ValueError: c is not a finite number above 0, the points are no matrix, or there is not one label for each.
    """

    points: Tensor
    curvature: float
    labels: tuple[str, ...] = ()
    edges: Tensor | None = None
    depth: Tensor | None = None

    def __post_init__(self) -> None:
        ball.require_curvature(self.curvature)
        if self.points.ndim != 2:
            raise ValueError(f"points have the shape {tuple(self.points.shape)}; one row for each point is needed, [N, d]")
        if self.labels and len(self.labels) != len(self.points):
            raise ValueError(f"{len(self.labels)} labels were given for {len(self.points)} points")

    @classmethod
    def from_tangents(cls, tangents: Tensor, curvature: float, labels: tuple[str, ...] = ()) -> PoincarePoints:
        """The points exp0(t) of tangent vectors t [N, d], in float64 (which keeps radii up to 12.2/√c apart)."""
        return cls(ball.exp0(tangents.double(), curvature), curvature, labels)

    def require_inside(self) -> None:
        """Raise models.hyperbolic.ball.OutsideBallError, naming the row, unless every point is finite and inside the ball."""
        ball.require_inside(self.points, self.curvature)

    def tangents(self) -> Tensor:
        """log0 of every point, [N, d] float64: direction from the centre, half the radius long."""
        return ball.log0(self.points.double(), self.curvature)

    def radius(self) -> Tensor:
        """Hyperbolic distance of every point from the centre, [N] float64."""
        return ball.distance0(self.points.double(), self.curvature)

    def distances(self) -> Tensor:
        """Hyperbolic distance between every two points, [N, N] float64."""
        x = self.points.double()
        return ball.pairwise_distance(x, x, self.curvature)

    def centred(self) -> PoincarePoints:
        """The same points seen from their Fréchet mean; every distance stays."""
        return replace(self, points=ball.centred(self.points.double(), self.curvature))

    def recentred(self, origin: int) -> PoincarePoints:
        """The same points seen from one of them, which moves to the centre; every distance stays."""
        x = self.points.double()
        return replace(self, points=ball.mobius_add(-x[origin], x, self.curvature))

    def saturated(self, border: float = 1e-5) -> Tensor:
        """True for points within `border` of the rim (as a share of the ball's radius), [N] bool.

        Where many points are clipped to one radius, hyperbolic distance tells no more than the cosine.
        """
        return self.points.double().norm(dim=1) * self.curvature**0.5 >= 1 - border


@dataclass(frozen=True)
class PlanePoints(Structure):
    """N points of flat space, maybe the nodes of a tree or graph: what stands beside `PoincarePoints`.

    Attributes:
        points: coordinates, [N, d].
        labels, edges, depth: as of `PoincarePoints`.

    Raises:
        ValueError: the points are no matrix, or there is not one label for each.
    """

    points: Tensor
    labels: tuple[str, ...] = ()
    edges: Tensor | None = None
    depth: Tensor | None = None

    def __post_init__(self) -> None:
        if self.points.ndim != 2:
            raise ValueError(f"points have the shape {tuple(self.points.shape)}; one row for each point is needed, [N, d]")
        if self.labels and len(self.labels) != len(self.points):
            raise ValueError(f"{len(self.labels)} labels were given for {len(self.points)} points")

    def distances(self) -> Tensor:
        """Euclidean distance between every two points, [N, N] float64."""
        x = self.points.double()
        return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")


@dataclass(frozen=True)
class Gyroplanes(Structure):
    """Decision boundaries of a Poincaré linear layer: K hyperplanes of the ball.

    Plane k passes through tanh(√c r_k)/√c · n_k, its point nearest to the centre, at right angles to n_k.

    Attributes:
        normals: n_k, unit vectors, [K, d].
        offsets: r_k, half the signed distance of the plane from the centre, [K].
        sizes: ‖z_k‖, by which the layer scales the distances, [K].
        curvature: c > 0.
    """

    normals: Tensor
    offsets: Tensor
    sizes: Tensor
    curvature: float

    def nearest(self) -> Tensor:
        """The point of each plane that is nearest to the centre, [K, d]."""
        return torch.tanh(self.curvature**0.5 * self.offsets)[:, None] / self.curvature**0.5 * self.normals

    def sliced(self, basis: Tensor) -> tuple[Tensor, Tensor]:
        """What each plane leaves in a flat slice of the ball through its centre: again a plane (there a geodesic), or nothing.

        A point x of the ball lies on plane k where 2√c⟨x, n⟩ = (1 + c‖x‖²)·tanh(2√c r). In the slice n counts with its projection only,
        so the plane keeps the form, with tanh(2√c r′) = tanh(2√c r)/‖n projected‖.

        Args:
            basis: orthonormal directions of the slice, [m, d].
        Returns:
            Unit normals in the slice [K, m], and offsets r′ [K]; ±infinity where the plane does not meet the slice (the sign of r: at +
            the slice lies on the side that the normal points away from).
        """
        root = self.curvature**0.5
        projected = self.normals.double() @ basis.double().T
        size = projected.norm(dim=1).clamp(min=1e-300)
        slope = torch.tanh(2 * root * self.offsets.double()) / size
        outside = slope.abs() >= 1
        offsets = torch.atanh(torch.where(outside, 0.0, slope)) / (2 * root)
        return projected / size[:, None], torch.where(outside, slope.sign() * torch.inf, offsets)

    def distances(self, points: PoincarePoints) -> Tensor:
        """Signed distance of every point to every plane, [N, K] float64; positive on the side of the normal."""
        x, p, n = points.points.double()[:, None], self.nearest().double(), self.normals.double()
        return ball.plane_distance(x, p, n, self.curvature)


@dataclass(frozen=True)
class TangentField(Structure):
    """Features of B pictures between two Poincaré layers: one tangent vector at the origin per position.

    Attributes:
        tangents: [B, C, H, W]; not copied.
        curvature: c > 0.
    """

    tangents: Tensor
    curvature: float

    @property
    def grid(self) -> tuple[int, int]:
        """(H, W)."""
        return self.tangents.shape[2], self.tangents.shape[3]

    @property
    def norm(self) -> Tensor:
        """‖t‖ per position, [B, H, W]."""
        return ball.norm(self.tangents.movedim(1, -1))[..., 0]

    @property
    def radius(self) -> Tensor:
        """Hyperbolic distance from the centre, 2‖t‖, [B, H, W]."""
        return 2 * self.norm

    @property
    def limit(self) -> float:
        """The norm at which layers of this precision clip, cap/√c."""
        return ball.cap(self.tangents.dtype) / self.curvature**0.5

    def saturated(self, share: float = 0.98) -> Tensor:
        """True where ‖t‖ is above `share` of the limit, [B, H, W] bool."""
        return self.norm > share * self.limit


@dataclass(frozen=True)
class NormProfile(Structure):
    """How the norms of the features run through L layers.

    Attributes:
        names: of the layers, in order of the forward pass.
        quantiles: of ‖t‖ over all pictures and positions, [L, 5], at 5, 25, 50, 75 and 95 %.
        mean: of ‖t‖, [L].
        saturated: share of positions above 98 % of the limit, [L], in [0, 1].
        limit: the norm at which layers clip.
    """

    names: tuple[str, ...]
    quantiles: Tensor
    mean: Tensor
    saturated: Tensor
    limit: float

    @classmethod
    def of(cls, fields: Mapping[str, TangentField]) -> NormProfile:
        """The profile of fields by layer name, e.g. `trace.of(TangentField)`. Raises ValueError without a layer."""
        if not fields:
            raise ValueError("no layer was recorded, so there is no profile of norms")
        norms = [field.norm.detach().double().flatten().cpu() for field in fields.values()]
        return cls(
            names=tuple(fields),
            quantiles=torch.from_numpy(np.stack([np.quantile(norm.numpy(), QUANTILES) for norm in norms])),
            mean=torch.stack([norm.mean() for norm in norms]),
            saturated=torch.stack([field.saturated().double().mean().cpu() for field in fields.values()]),
            limit=next(iter(fields.values())).limit,
        )


@dataclass(frozen=True)
class BatchMidpoint(Structure):
    """What a Poincaré batch normalisation moves and scales by.

    The points x go to β ⊕ (s ⊗ gyr[β, −μ]((−μ) ⊕ x)) with s = √(spread/variance): μ travels to the target β.

    Attributes:
        centre: μ, the gyromidpoint (or Fréchet mean) of all points of the batch, [C], in the ball.
        variance: mean squared hyperbolic distance to μ, [].
        target: tangent vector of β, learned, [C].
        spread: the variance that the points get, learned, [].
        curvature: c > 0.
        source: "batch" for statistics of this batch, "running" for those of the training.
    """

    centre: Tensor
    variance: Tensor
    target: Tensor
    spread: Tensor
    curvature: float
    source: Literal["batch", "running"]


@dataclass(frozen=True)
class TextPoints(Structure):
    """Nodes of a graph with texts, and the texts of K classes, in a ball of curvature −1: which class is nearest decides.

    A vector is made of equally wide parts, one for each distance along the graph (own text, neighbours, their neighbours). Kept as
    tangent vectors at the origin, half the radius long, so that no radius is too large.

    Attributes:
        nodes: [N, D].
        classes: [K, D].
        label: class of each node, [N] int64; −1 where it is unknown.
        edges: source → target, both directions listed, [2, E] int64.
        plane: orthonormal directions in which they are drawn, [2, D].
        hops: number of parts; it divides D.
        names, class_names: empty where there are none.
    """

    nodes: Tensor
    classes: Tensor
    label: Tensor
    edges: Tensor
    plane: Tensor
    hops: int
    names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()

    def radius(self) -> Tensor:
        """Hyperbolic radius of every node, [N]."""
        return 2 * self.nodes.norm(dim=1)

    def distances(self) -> Tensor:
        """Hyperbolic distance of every node to every class, [N, K] float64."""
        return ball.tangent_distance(self.nodes.double()[:, None], self.classes.double()[None], 1.0)

    def between(self) -> Tensor:
        """Hyperbolic distance between every two nodes, [N, N] float64."""
        x = self.nodes.double()
        return torch.cat([ball.tangent_distance(row[None], x, 1.0)[None] for row in x])

    def beyond_float32(self) -> Tensor:
        """True for nodes farther out than float32 coordinates of the ball reach (they are clipped at a radius of 6.21), [N] bool."""
        return self.radius() > 2 * ball.cap(torch.float32)

    def drawn(self) -> Tensor:
        """Tangent vectors of nodes, then classes, in the plane that is drawn, [N + K, 2]."""
        return torch.cat([self.nodes, self.classes]) @ self.plane.T

    def drawn_parts(self) -> Tensor:
        """What each part adds to `drawn`, [hops, N + K, 2]; they sum up to it."""
        both = torch.cat([self.nodes, self.classes]).unflatten(1, (self.hops, -1))
        return torch.einsum("nhd,khd->hnk", both, self.plane.unflatten(1, (self.hops, -1)))

    def part_norms(self) -> Tensor:
        """Squared length of each part, nodes, then classes, [hops, N + K]."""
        return torch.cat([self.nodes, self.classes]).unflatten(1, (self.hops, -1)).square().sum(2).T

    def part_products(self) -> Tensor:
        """Inner product of each part of every node with that of every class, [hops, N, K]."""
        nodes, classes = (t.unflatten(1, (self.hops, -1)) for t in (self.nodes, self.classes))
        return torch.einsum("nhd,khd->hnk", nodes, classes)


@dataclass(frozen=True)
class Distortion(Structure):
    """How a map bends the distances between points.

    Attributes:
        average: mean |s·d′/d − 1| with the best common scale s; 0 is best.
        worst: largest ratio d′/d divided by the smallest; 1 is best, infinite where two points fall together.
        variance_kept: Σ d′² / Σ d²; 1 where nothing shrinks.
    """

    average: float
    worst: float
    variance_kept: float

    @classmethod
    def of(cls, before: Tensor, after: Tensor) -> Distortion:
        """Compare two matrices of distances [N, N]; pairs that were 0 apart before do not count.

        Raises:
            ValueError: different shapes, or no two points apart.
        """
        if before.shape != after.shape or before.ndim != 2 or before.shape[0] != before.shape[1]:
            raise ValueError(f"distances have the shapes {tuple(before.shape)} and {tuple(after.shape)}; both must be the same [N, N]")
        pairs = torch.triu(before > 0, 1)
        if not pairs.any():
            raise ValueError("no two points lie apart, so there is no distance to keep")
        d, e = before[pairs].double(), after[pairs].double()
        ratio = e / d
        scale = (d * e).sum() / e.square().sum().clamp(min=1e-300)
        worst = (ratio.max() / ratio.min()).item() if ratio.min() > 0 else float("inf")
        return cls((scale * ratio - 1).abs().mean().item(), worst, (e.square().sum() / d.square().sum()).item())


@dataclass(frozen=True)
class Reconstruction(Structure):
    """How well distances tell the ancestors of a node from all other nodes.

    Attributes:
        mean_rank: over all pairs, 1 + the number of non-ancestors nearer to the node than its ancestor; 1 is best.
        average_precision: of the ancestors in the list of all others by distance, averaged over nodes (MAP); 1 is best.
    """

    mean_rank: float
    average_precision: float

    @classmethod
    def of(cls, distances: Tensor, ancestors: Tensor) -> Reconstruction:
        """Judge distances [N, N] against ancestors [N, N] bool (True at [u, v] where v is above u).

        Raises:
            ValueError: no node has an ancestor.
        Source: Nickel, Kiela, "Poincaré Embeddings", NeurIPS 2017, section 4.1.
        """
        rows = ancestors.any(1)
        if not rows.any():
            raise ValueError("no node has an ancestor, so there is nothing to find again")
        order = distances.clone().fill_diagonal_(torch.inf)[rows].sort(dim=1, stable=True).indices[:, :-1]
        hit = ancestors[rows].gather(1, order)
        place = torch.arange(1, order.shape[1] + 1, dtype=torch.float64)
        found = hit.cumsum(1)
        precision = (hit * found / place).sum(1) / hit.sum(1)
        return cls((place - found + 1)[hit].mean().item(), precision.mean().item())
