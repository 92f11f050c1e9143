"""Pictures in the Poincaré disk of their classes: a small encoder puts every picture among the leaves of a drawn class tree.

The tree is laid out once and for all: leaves on a circle, those of one branch side by side, inner nodes between the centre and their
leaves. In hyperbolic distance such a ring is a tree: neighbours are near, cousins farther, strangers farthest, whatever the angle
between them. A class scores −e^s d(x, class), so a picture that could be two classes lies best between them, towards the centre.

Khrulkov and others, "Hyperbolic Image Embeddings", CVPR 2020, arXiv 1904.02239, put pictures into the ball by exp0; fixed class points
after Long and others, "Searching for Actions on the Hyperbole", CVPR 2020. Layout, encoder and the flat counterpart are ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from models.hyperbolic import ball
from models.hyperbolic.hierarchy import Hierarchy, cifar100
from models.hyperbolic.resnet import EuclideanResNet, points_of
from models.structures import PoincarePoints

Geometry = Literal["poincare", "euclidean"]


def fan(hierarchy: Hierarchy, radius: float) -> Tensor:
    """A tree drawn in the disk, as tangent vectors at the origin [N, 2] float64.

    Every leaf gets an equal share of the circle, with one share left empty between leaves of different parents; an inner node stands
    in the middle of its children. A node of depth k lies at hyperbolic radius `radius`·k/(greatest depth).

    Raises:
        ValueError: a node has two parents, or the radius is not a finite number above 0.
    """
    if hierarchy.edges.shape[1] != len(hierarchy) - 1:
        raise ValueError("a node has two parents; only trees can be drawn as a fan")
    if not (math.isfinite(radius) and radius > 0):
        raise ValueError(f"the radius is {radius:g}; it must be a finite number above 0")
    children: list[list[int]] = [[] for _ in range(len(hierarchy))]
    for parent, child in hierarchy.edges.T.tolist():
        children[parent].append(child)
    place, order, waiting, shares, last = torch.zeros(len(hierarchy), dtype=torch.float64), [], [hierarchy.root], 0, -1
    while waiting:
        node = waiting.pop()
        order.append(node)
        waiting += reversed(children[node])
        if not children[node]:
            parent = int(hierarchy.parent[node])
            shares += 1 if parent == last else 2
            place[node], last = shares, parent
    for node in reversed(order):
        if children[node]:
            place[node] = place[children[node]].mean()
    angle = 2 * math.pi * place / shares
    return radius / 2 * (hierarchy.depth / hierarchy.depth.max())[:, None] * torch.stack([angle.cos(), angle.sin()], 1)


class ClassDisk(nn.Module):
    """Encoder → tangent vector [2] at the origin of the disk → a score per class, by distance to the class points.

    Args:
        channels, depths: of the encoder, a small residual network.
        radius: hyperbolic radius of the ring of classes.
        geometry: "euclidean" measures the same drawing with the ruler of the plane; the counterpart.

    Attributes:
        hierarchy: all classes → superclasses → the 100 classes of CIFAR-100; class k is the k-th leaf in alphabetical order.
        nodes: tangent vectors of the 121 nodes, [121, 2].
        leaf: index of the node of every class, [100].
    """

    nodes: Tensor
    leaf: Tensor

    def __init__(
        self,
        channels: Sequence[int] = (32, 64, 128),
        depths: Sequence[int] = (1, 1, 1),
        radius: float = 5.0,
        geometry: Geometry = "poincare",
    ) -> None:
        super().__init__()
        if geometry not in ("poincare", "euclidean"):
            raise ValueError(f'geometry is {geometry!r}; there are "poincare" and "euclidean"')
        self.geometry, self.hierarchy = geometry, cifar100()
        self.encoder = EuclideanResNet(channels, depths, num_classes=2)
        self.log_scale = nn.Parameter(torch.tensor(0.0))
        leaves = sorted(torch.nonzero(self.hierarchy.depth == 2)[:, 0].tolist(), key=lambda node: self.hierarchy.names[node])
        self.register_buffer("nodes", fan(self.hierarchy, radius).float())
        self.register_buffer("leaf", torch.tensor(leaves), persistent=False)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, alphabetical."""
        return tuple(self.hierarchy.names[node] for node in self.leaf.tolist())

    @property
    def superclass(self) -> Tensor:
        """Node of the superclass of every class, [100]."""
        return self.hierarchy.parent[self.leaf.cpu()]

    def forward(self, image: Tensor) -> Tensor:
        """image [B, 3, H, W], values in −1…1 → logits [B, 100]. Raises ValueError as `EuclideanResNet`."""
        return self.scores(self.encoder(image))

    def scores(self, tangents: Tensor) -> Tensor:
        """Logits [B, 100] of pictures at exp0 of tangents [B, 2]."""
        with torch.autocast(tangents.device.type, enabled=False):
            return -self.log_scale.exp() * self.distances(tangents.float())[:, self.leaf]

    def distances(self, tangents: Tensor) -> Tensor:
        """Distance of pictures [B, 2] to all nodes, [B, 121]. Euclidean lengths count double, so both agree near the centre."""
        if self.geometry == "euclidean":
            return 2 * torch.cdist(tangents, self.nodes, compute_mode="donot_use_mm_for_euclid_dist")
        return ball.tangent_distance(tangents[:, None], self.nodes[None], 1.0)

    def tree(self) -> PoincarePoints:
        """The drawn class tree, 121 points with names, edges and depths."""
        points = ball.exp0(self.nodes.double(), 1.0)
        return PoincarePoints(points, 1.0, self.hierarchy.names, self.hierarchy.edges, self.hierarchy.depth)


def adapters() -> Mapping[str, Any]:
    """Adapters for `capture(model, adapters=adapters())`: where the pictures lie in the disk, as PoincarePoints of `encoder`."""
    return {"encoder": points_of(1.0)}
