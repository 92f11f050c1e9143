"""Node classification without a download: groups of nodes with noisy features, whose edges keep to the group more or less.

Ours; it takes the place of a citation network where none is at hand. With high homophily propagation averages the noise away,
with low homophily it mixes the groups: what a deep propagation may do to a graph is one number here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class NodeProblem:
    """A graph of N nodes with a class each, some of which are known.

    Attributes:
        x: features, [N, F].
        edge_index: [2, E] int64, both directions of every edge.
        label: [N] int64.
        train, val, test: True where a node belongs to the part, [N] bool; every node belongs to one.
    """

    x: Tensor
    edge_index: Tensor
    label: Tensor
    train: Tensor
    val: Tensor
    test: Tensor

    def homophily(self) -> float:
        """Share of edges inside a class; NaN without edges."""
        source, target = self.label[self.edge_index]
        return (source == target).float().mean().item()


def block_model(
    num_nodes: int = 600,
    classes: int = 5,
    degree: float = 5.0,
    homophily: float = 0.8,
    signal: float = 1.5,
    features: int = 32,
    labelled: int = 20,
    seed: int = 0,
) -> NodeProblem:
    """Equal groups, N·degree/2 edges of which a share `homophily` stays inside a group; the same seed gives the same problem.

    Args:
        signal: length of a group's mean feature vector; each feature has noise of standard deviation 1.
        labelled: nodes of each class for training; of the rest a third is for validation.

    Raises:
        ValueError: fewer than 2 classes, classes too small for `labelled`, homophily outside 0…1, a degree that is negative
            or leaves no free pair.
    """
    if classes < 2 or num_nodes < classes * (labelled + 2) or labelled < 1:
        raise ValueError(f"{num_nodes} nodes in {classes} classes; 2 classes or more of at least {labelled + 2} nodes each are needed")
    if not 0 <= homophily <= 1:
        raise ValueError(f"homophily is {homophily:g}; it is the share of edges inside a class and must lie in 0…1")
    if not 0 <= degree <= num_nodes / (2 * classes):
        raise ValueError(f"a mean degree of {degree:g} is asked for; 0 to {num_nodes / (2 * classes):g} fits into classes of this size")
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(num_nodes) % classes
    means = signal * F.normalize(torch.randn(classes, features, generator=generator))
    x = means[label] + torch.randn(num_nodes, features, generator=generator)
    order = torch.randperm(num_nodes, generator=generator)
    train, val = torch.zeros(2, num_nodes, dtype=torch.bool)
    for own in (order[label[order] == kind] for kind in range(classes)):
        train[own[:labelled]] = True
        val[own[labelled::3]] = True
    return NodeProblem(x, _edges(label, classes, degree, homophily, generator), label, train, val, ~train & ~val)


def problem_from(x: Tensor, edge_index: Tensor, label: Tensor, labelled: int = 10, seed: int = 0) -> NodeProblem:
    """A graph that is there already, with some nodes of every class told: at most `labelled`, and no more than half of a class.

    Args:
        x: [N, F]. label: [N] int64, 0 to C − 1. edge_index: [2, E], any direction, any order; it is made undirected, without loops.

    Raises:
        ValueError: fewer than two classes, or a class of a single node.
    """
    counts = torch.bincount(label)
    if len(counts) < 2 or int(counts.min()) < 2:
        raise ValueError(f"the classes have {counts.tolist()} nodes; two classes or more of at least two nodes each are needed")
    pairs = edge_index[:, edge_index[0] != edge_index[1]].sort(0).values.unique(dim=1)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(label), generator=generator)
    train, val = torch.zeros(2, len(label), dtype=torch.bool)
    for kind in range(len(counts)):
        own = order[label[order] == kind]
        told = min(labelled, len(own) // 2)
        train[own[:told]] = True
        val[own[told::3]] = True
    return NodeProblem(x, torch.cat([pairs, pairs.flip(0)], 1), label, train, val, ~train & ~val)


def _edges(label: Tensor, classes: int, degree: float, homophily: float, generator: torch.Generator) -> Tensor:
    """Pairs are drawn until enough different ones inside and between the groups are there."""
    count = round(len(label) * degree / 2)
    inside = round(homophily * count)
    return torch.cat([_pairs(label, classes, inside, True, generator), _pairs(label, classes, count - inside, False, generator)], 1)


def _pairs(label: Tensor, classes: int, count: int, same: bool, generator: torch.Generator) -> Tensor:
    found: set[tuple[int, int]] = set()
    while len(found) < count:
        pairs = torch.randint(len(label), (2, 4 * classes * (count - len(found))), generator=generator)
        fits = (label[pairs[0]] == label[pairs[1]]) == same
        for u, v in pairs[:, fits & (pairs[0] != pairs[1])].T.tolist():
            if len(found) < count:
                found.add((min(u, v), max(u, v)))
    half = torch.tensor(sorted(found), dtype=torch.int64).reshape(-1, 2).T
    return torch.cat([half, half.flip(0)], 1)
