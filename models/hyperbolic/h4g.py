"""H4G-style zero-shot node classification: embeddings at large hyperbolic radii are pulled inwards by a learned scaling.

After "H4G" (arXiv 2510.12094), of which only the abstract was at hand and no code is public: this is a minimal re-creation. The
paper's: over-abstraction at large radii, and its remedy, block-diagonal scaling by Möbius matrix multiplication. Ours: the encoder
without parameters, one scalar per block, the training, the data.

    Z = [x | P x | P² x] / mean‖·‖,   z = exp0(κ Z),   z′ = M ⊗ z = exp0(M log0 z),   M = blockdiag(e^{s_1} I, …),   score −4 e^τ d(z′, t′)

Half radii are kept as lengths of tangent vectors and distances computed from these, so nothing clips; the ball has curvature −1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.hyperbolic import ball
from models.hyperbolic.text_graphs import UNKNOWN, TextGraph
from models.structures import PoincarePoints

Form = Literal["scalar", "full"]
HOPS = 3  # ego, one hop, two hops
FARTHEST = 40.0  # half radius beyond which sinh overflows in float32
FLOAT32_RADIUS = 2 * ball.cap(torch.float32)  # 6.21: farther out float32 coordinates of the ball are clipped


def encode(texts: Tensor, edges: Tensor) -> Tensor:
    """[x | P x | P² x] with P the mean over a node's neighbours (a node without any: itself), [N, 3·width].

    Args:
        texts: [N, width].
        edges: source → target, [2, E].
    Raises:
        ValueError: a node's text is all zeros or not finite, or an edge names a node that is not there.
    """
    _require_texts(texts, "node")
    if edges.numel() and (int(edges.min()) < 0 or int(edges.max()) >= len(texts)):
        raise ValueError(f"an edge names a node outside 0…{len(texts) - 1}")
    scales = [texts]
    for _ in range(HOPS - 1):
        scales.append(_neighbour_mean(scales[-1], edges))
    return torch.cat(scales, 1)


def encode_classes(texts: Tensor) -> Tensor:
    """The class texts [K, width] at every scale, [K, 3·width]. Raises ValueError for fewer than 2 classes or an empty text."""
    if len(texts) < 2:
        raise ValueError(f"there are {len(texts)} classes; at least 2 are needed to choose between")
    _require_texts(texts, "class")
    return texts.repeat(1, HOPS)


def _neighbour_mean(x: Tensor, edges: Tensor) -> Tensor:
    source, target = edges
    count = torch.bincount(target, minlength=len(x)).to(x.dtype)[:, None]
    mean = torch.zeros_like(x).index_add_(0, target, x[source]) / count.clamp(min=1)
    return torch.where(count > 0, mean, x)


def _require_texts(texts: Tensor, what: str) -> None:
    bad = ~texts.isfinite().all(1) | (texts == 0).all(1)
    if bad.any():
        raise ValueError(f"{what} {int(bad.nonzero()[0])} has no text (its vector is zero or not finite); give it one, or leave it out")


def unit_mean(z: Tensor) -> Tensor:
    """The rows divided by their mean length."""
    return z / z.norm(dim=1).mean()


class H4G(nn.Module):
    """Block-diagonal scaling by Möbius matrix multiplication, and nearest class by hyperbolic distance.

    Args:
        width: of an encoded text; blocks must divide it.
        kappa: half radius at which the points start.
        form: "scalar", one factor e^s per block, or "full" blocks that start as identities (these overfit the source classes).
    """

    def __init__(self, width: int = 96, blocks: int = 12, kappa: float = 3.0, form: Form = "scalar") -> None:
        super().__init__()
        if blocks < 1 or width % blocks:
            raise ValueError(f"{blocks} blocks do not divide a width of {width}")
        if form not in ("scalar", "full"):
            raise ValueError(f'form is {form!r}; there are "scalar" and "full"')
        self.size, self.kappa = width // blocks, kappa
        self.log_scale = nn.Parameter(torch.zeros(blocks)) if form == "scalar" else None
        self.blocks = nn.Parameter(torch.eye(self.size).repeat(blocks, 1, 1)) if form == "full" else None
        self.log_tau = nn.Parameter(torch.tensor(0.0))

    @property
    def matrix(self) -> Tensor:
        """M, [width, width]."""
        if self.blocks is not None:
            return torch.block_diag(*self.blocks)
        return torch.diag(self.factors.repeat_interleave(self.size))

    @property
    def factors(self) -> Tensor:
        """By how much each block is scaled, [blocks]: e^s, or the root mean square singular value of a full block."""
        if self.log_scale is not None:
            return self.log_scale.clamp(-5, 3).exp()
        return self.blocks.square().sum((1, 2)).div(self.size).sqrt()  # type: ignore[union-attr]

    def tangents(self, z: Tensor) -> Tensor:
        """M κ z: tangent vectors of the moved points, half their radius long, [N, width], from z of mean length 1."""
        if self.blocks is None:
            return self.kappa * (z * self.factors.repeat_interleave(self.size))
        return self.kappa * (z @ self.matrix.T)

    def forward(self, nodes: Tensor, classes: Tensor) -> Tensor:
        """Hyperbolic distance of every node to every class, [N, K], from encoded texts of mean length 1."""
        return pair_distances(self.tangents(nodes), self.tangents(classes))

    def scores(self, distances: Tensor) -> Tensor:
        """Logits −4 e^τ d."""
        return -4 * self.log_tau.exp() * distances

    def points(self, z: Tensor, labels: tuple[str, ...] = ()) -> PoincarePoints:
        """Where the points lie in the ball after the operator (float64; radii above 12.2 are clipped)."""
        return PoincarePoints.from_tangents(self.tangents(z).detach(), 1.0, labels)


def pair_distances(s: Tensor, t: Tensor) -> Tensor:
    """d(exp0 s_i, exp0 t_j), [N, K], in polar form: sinh²(d/2) = sinh²(h₁ − h₂) + sinh 2h₁ · sinh 2h₂ · (chord/2)².

    The formula of `ball.tangent_distance`, but no difference of two vectors is kept: many times faster, and a distance far below the
    rounding step of the half radii comes out as 0. Half radii beyond 40 count as that.
    """
    long_s, long_t = (x.norm(dim=1).clamp(max=FARTHEST) for x in (s, t))
    chord = torch.cdist(F.normalize(s), F.normalize(t), compute_mode="donot_use_mm_for_euclid_dist")
    # 1e-30: roots and hypotenuse have no slope at 0.
    across = (torch.sinh(2 * long_s)[:, None] + 1e-30).sqrt() * (torch.sinh(2 * long_t) + 1e-30).sqrt() * chord / 2
    return 2 * torch.asinh(torch.hypot(torch.sinh(long_s[:, None] - long_t), across + 1e-30))


def prepared(graph: TextGraph) -> tuple[Tensor, Tensor]:
    """Encoded nodes [N, 96] and classes [K, 96] of a graph, each of mean length 1."""
    return unit_mean(encode(graph.texts, graph.edges)), unit_mean(encode_classes(graph.classes))


# ------------------------------------------------------------------------------------------------------------- training


@dataclass(frozen=True)
class Step:
    """One step of training.

    Attributes:
        step: steps done, from 0.
        loss: on the source graph of this step, before it; NaN after the last.
        factors: scale of each block, [blocks].
        radius: mean hyperbolic radius of the nodes of the first source graph.
    """

    step: int
    loss: float
    factors: Tensor
    radius: float


def train(model: H4G, graphs: Sequence[TextGraph], steps: int = 300, rate: float = 0.02, penalty: float = 0.0) -> Iterator[Step]:
    """Train on source graphs in turn, Adam on whole graphs; yields the state before every step and after the last.

    Args:
        penalty: weight of the mean radius in the loss (0.05 pulls further inwards).
    Raises:
        ValueError: a node of unknown class.
    """
    if any((graph.label == UNKNOWN).any() for graph in graphs):
        raise ValueError("a source graph has nodes of unknown class; training needs the class of every node")
    data = [(*prepared(graph), graph.label) for graph in graphs]
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    for number in range(steps):
        nodes, classes, label = data[number % len(data)]
        loss = F.cross_entropy(model.scores(model(nodes, classes)), label)
        loss = loss + penalty * 2 * model.tangents(nodes).norm(dim=1).mean()
        yield _state(model, data[0][0], number, loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    yield _state(model, data[0][0], steps, float("nan"))


def _state(model: H4G, nodes: Tensor, number: int, loss: float) -> Step:
    with torch.no_grad():
        return Step(number, loss, model.factors.detach().clone(), 2 * model.tangents(nodes).norm(dim=1).mean().item())


# -------------------------------------------------------------------------------------------------------------- judging


@dataclass(frozen=True)
class Judgement:
    """Zero-shot result over target graphs, each number a mean over them.

    Attributes:
        accuracy: share of nodes whose nearest class is their own, of those whose class is known; NaN where none is.
        cosine_accuracy: the same with the cosine of the moved vectors instead of the hyperbolic distance: always to be shown beside.
        radius: mean hyperbolic radius of the nodes.
        contrast: standard deviation of the distances between nodes, divided by their mean.
        clipped: share of nodes farther out than float32 coordinates of the ball reach (6.21).
    """

    accuracy: float
    cosine_accuracy: float
    radius: float
    contrast: float
    clipped: float


@torch.no_grad()
def judge(model: H4G, graphs: Sequence[TextGraph], clip: bool = False) -> Judgement:
    """Zero-shot classification of target graphs.

    Args:
        clip: limit radii to 6.21 as float32 ball coordinates do. Once all points are clipped, distance is cosine similarity.
    """
    rows = []
    for graph in graphs:
        nodes, classes = (model.tangents(z) for z in prepared(graph))
        outside = (2 * nodes.norm(dim=1) > FLOAT32_RADIUS).float().mean().item()
        cosine = F.normalize(nodes) @ F.normalize(classes).T
        if clip:
            nodes, classes = (t * (FLOAT32_RADIUS / 2 / t.norm(dim=1, keepdim=True)).clamp(max=1) for t in (nodes, classes))
        near = pair_distances(nodes, classes).argmin(1)
        between = pair_distances(nodes, nodes)[tuple(torch.triu_indices(len(nodes), len(nodes), 1))]
        known = graph.label != UNKNOWN
        right = [(found == graph.label)[known].float().mean().item() for found in (near, cosine.argmax(1))]
        rows.append([*right, 2 * nodes.norm(dim=1).mean().item(), (between.std() / between.mean()).item(), outside])
    return Judgement(*torch.tensor(rows, dtype=torch.float64).mean(0).tolist())


def along_radius(graphs: Sequence[TextGraph], radii: Sequence[float], clip: bool = False) -> list[Judgement]:
    """What becomes of zero-shot accuracy when all points are put at growing mean radii, without any training."""
    width = HOPS * graphs[0].texts.shape[1]
    return [judge(H4G(width, 1, radius / 2), graphs, clip) for radius in radii]


# -------------------------------------------------------------------------------------------------------------- merging


@dataclass(frozen=True)
class Merging:
    """What becomes of the neighbourhoods of N nodes at one mean radius.

    Attributes:
        radius: mean hyperbolic radius.
        nearest: the node nearest to every node, [N] int64.
        hub: share of the other nodes that have one and the same node, the most popular one, among their nearest; 1: all the same.
        alike: share of the nearest nodes that are of the node's own class, of those whose classes are known; NaN where none is.
        within, across: how the distances between nodes of one class and of different classes, divided by the mean distance, are spread
            over equal bins from 0 to 2, [bins] each; zeros where there are no such pairs.
    """

    radius: float
    nearest: Tensor
    hub: float
    alike: float
    within: Tensor
    across: Tensor

    @property
    def overlap(self) -> float:
        """Share of the two distributions that they have in common; 1: distance does not tell the classes apart."""
        return torch.minimum(self.within, self.across).sum().item()


@torch.no_grad()
def merging(nodes: Tensor, label: Tensor, radii: Sequence[float], neighbours: int = 5, bins: int = 40) -> list[Merging]:
    """Neighbourhoods of nodes [N, D], their tangent vectors stretched to each of the mean radii.

    Args:
        label: class of each node, [N]; −1 where it is unknown.
        neighbours: so many are called nearest (all others, where there are fewer).
    Raises:
        ValueError: fewer than 2 nodes.
    """
    count = len(nodes)
    if count < 2:
        raise ValueError(f"there are {count} nodes; neighbours need at least 2")
    u, v = torch.triu_indices(count, count, 1)
    known = (label[u] != UNKNOWN) & (label[v] != UNKNOWN)
    same = label[u] == label[v]
    own, found = 2 * nodes.norm(dim=1).mean(), []
    for radius in radii:
        distances = pair_distances(nodes * (radius / own), nodes * (radius / own))
        between = distances[u, v] / distances[u, v].mean().clamp(min=1e-30)
        spreads = [torch.histc(between[known & part].clamp(max=2), bins, 0, 2) for part in (same, ~same)]
        near = distances.fill_diagonal_(torch.inf).topk(min(neighbours, count - 1), largest=False, sorted=True).indices
        judged = (label[near] != UNKNOWN) & (label != UNKNOWN)[:, None]
        found.append(
            Merging(
                radius=float(radius),
                nearest=near[:, 0],
                hub=torch.bincount(near.flatten(), minlength=count).max().item() / (count - 1),
                alike=(label[near] == label[:, None])[judged].float().mean().item(),
                within=spreads[0] / spreads[0].sum().clamp(min=1),
                across=spreads[1] / spreads[1].sum().clamp(min=1),
            )
        )
    return found
