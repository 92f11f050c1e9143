"""From d dimensions to the disk: three projections of points in the ball.

    horopca        keeps the Busemann functions towards k directions      Chami et al., ICML 2021, arXiv 2106.03306
    tangent_pca    principal components of log0, in an instant
    umap_disk      neighbourhoods, laid out on the hyperboloid            McInnes et al., arXiv 1802.03426

All first move the Fréchet mean to the centre, which keeps every distance, and compute in float64. How much a projection bends the
distances says `Distortion.of(points.distances(), projected.distances())`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from models.hyperbolic import ball
from models.structures import PoincarePoints

MOST_FITTED = 400  # points that horospherical PCA looks at while it searches its directions


def tangent_pca(points: PoincarePoints, k: int = 2) -> PoincarePoints:
    """exp0 of the k principal components of log0(x), [N, k]. Raises ValueError as `horopca`."""
    centred = _prepared(points, k)
    t = centred.tangents()
    basis = _principal(t, k)
    return _with(centred, ball.exp0(t @ basis.T, centred.curvature))


def horopca(points: PoincarePoints, k: int = 2, steps: int = 300, rate: float = 0.05) -> PoincarePoints:
    """Horospherical PCA: the k directions are searched that keep most of the mean squared distance, [N, k].

    Points are projected along horospheres, so distances along geodesics through the centre are kept, not shrunk as by other
    projections. Above 400 points the directions are fitted on 400 of them, evenly picked.

    Raises:
        ValueError: fewer than 3 points, k out of 1…d, or a point outside the ball.
    """
    centred = _prepared(points, k)
    x = centred.points * centred.curvature**0.5
    fitted = x[torch.linspace(0, len(x) - 1, min(len(x), MOST_FITTED)).round().long()]
    free = _principal(centred.tangents(), k).T.clone().requires_grad_()
    optimiser = torch.optim.Adam([free], lr=rate)
    best, basis = -torch.inf, _orthonormal(free.detach())
    for _ in range(steps):
        y = horospherical(fitted, _orthonormal(free))
        kept = ball.pairwise_distance(y, y, 1.0).square().mean()
        if kept.item() > best:
            best, basis = kept.item(), _orthonormal(free.detach())
        optimiser.zero_grad()
        (-kept).backward()
        optimiser.step()
    return _with(centred, horospherical(x, basis) / centred.curvature**0.5)


def horospherical(x: Tensor, basis: Tensor) -> Tensor:
    """Horospherical projection of points x [N, d] of the unit ball onto orthonormal directions, basis [k, d] → [N, k].

    In closed form: with B_i = ‖q_i − x‖²/(1 − ‖x‖²), S₁ = Σ B_i, S₂ = Σ B_i², the hyperboloid time of the image is
    t = (S₁ − √(S₁² − (k − 1)(S₂ + 1)))/(k − 1), or (S₂ + 1)/(2S₁) for k = 1, and its place y = (t − B)/(1 + t).
    """
    k = len(basis)
    square = x.square().sum(-1, keepdim=True)
    b = (1 - 2 * x @ basis.T + square) / ball.gap(x, 1.0)
    s1, s2 = b.sum(-1, keepdim=True), b.square().sum(-1, keepdim=True)
    # The form without a difference in the numerator; it is also right for k = 1.
    root = (s1.square() - (k - 1) * (s2 + 1)).clamp(min=0).sqrt()
    t = (s2 + 1) / (s1 + root)
    return (t - b) / (1 + t)


def umap_disk(points: PoincarePoints, neighbours: int = 15, seed: int = 0) -> PoincarePoints:
    """UMAP of the hyperbolic distances with the hyperboloid as target, [N, 2]. Good for clusters, poor for hierarchies.

    The first call compiles for a minute. The same seed gives the same picture.

    Raises:
        ValueError: as `horopca`, or fewer than 5 points.
    """
    if len(points.points) < 5:
        raise ValueError(f"there are {len(points.points)} points; UMAP needs at least 5")
    from umap import UMAP  # slow to import, and not needed by the rest

    centred = _prepared(points, 1)
    reducer = UMAP(
        n_neighbors=min(neighbours, len(points.points) - 1),
        metric="precomputed",
        output_metric="hyperboloid",
        random_state=seed,
        n_jobs=1,
    )
    flat = torch.from_numpy(reducer.fit_transform(centred.distances().numpy())).double()
    time = (1 + flat.square().sum(1, keepdim=True)).sqrt()
    disk = ball.from_hyperboloid(torch.cat([time, flat], 1), centred.curvature)
    return _with(centred, ball.centred(ball.project(disk, centred.curvature), centred.curvature))


def _prepared(points: PoincarePoints, k: int) -> PoincarePoints:
    points.require_inside()
    count, d = points.points.shape
    if count < 3:
        raise ValueError(f"there are {count} points; a projection needs at least 3")
    if not 1 <= k <= d:
        raise ValueError(f"the points have {d} dimensions and cannot be projected to {k}; choose 1 to {d}")
    return points.centred()


def _principal(t: Tensor, k: int) -> Tensor:
    """The k directions of most variance of t [N, d], [k, d]; the largest entry of each is positive."""
    # No second centring: the Fréchet mean is at the origin already.
    directions = torch.linalg.svd(t, full_matrices=True).Vh[:k]
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    return directions * torch.where(largest < 0, -1.0, 1.0)


def _orthonormal(free: Tensor) -> Tensor:
    """Gram–Schmidt of the columns of [d, k], as rows [k, d]."""
    q, r = torch.linalg.qr(free)
    return (q * torch.where(r.diagonal() < 0, -1.0, 1.0)).T


def _with(points: PoincarePoints, flat: Tensor) -> PoincarePoints:
    return PoincarePoints(flat.detach(), points.curvature, points.labels, points.edges, points.depth)


WAYS: Mapping[str, Callable[[PoincarePoints], PoincarePoints]] = {"horopca": horopca, "tangent": tangent_pca, "umap": umap_disk}
