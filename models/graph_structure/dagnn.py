"""Node classifiers for the question how deep a graph network can be: DAGNN, and the plain GCN that it races against.

Liu, Gao, Ji, "Towards Deeper Graph Neural Networks", KDD 2020, arXiv 2007.09296. Written from the equations:

    Z = MLP(X);   H_0 = Z, H_k = Â H_(k−1);   gate_k = sigmoid(H_k s + b);   out = Σ_k gate_k H_k
    Â = D^(−1/2) (A + I) D^(−1/2), D counts the loop

Features are transformed once and then only carried along the edges; every node weighs its own hops. The gates are not normalised
over k. Names of the weights are those of the released code (mengliu1998/DeeperGNN).
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.graph_structure.links import GraphConv, Links, normalised_links
from models.structures import NodeStates, Propagation

_MOST_ENTRIES = 1 << 28  # of the stack of hops: 1 GiB of float32


class AdaptivePropagation(nn.Module):
    """K steps along the edges, and a gate for every node and step.

    Args:
        width: C, channels.
        steps: K.
    """

    def __init__(self, width: int, steps: int) -> None:
        super().__init__()
        if steps < 0:
            raise ValueError(f"steps is {steps}; it must not be negative")
        self.steps, self.proj = steps, nn.Linear(width, 1)

    def forward(self, z: Tensor, links: Links, weight: Tensor) -> Propagation:
        """z [N, C] and Â as links with their weights → hops [N, K + 1, C] and gates [N, K + 1].

        Raises:
            ValueError: the hops would take more than 1 GiB.
        """
        if z.numel() * (self.steps + 1) > _MOST_ENTRIES:
            raise ValueError(f"{self.steps + 1} hops of {z.shape[0]} nodes × {z.shape[1]} channels exceed 1 GiB; use fewer steps")
        hops = [z]
        for _ in range(self.steps):
            hops.append(links.sum(hops[-1], weight))
        stack = torch.stack(hops, 1)
        return Propagation(stack, self.proj(stack).squeeze(-1).sigmoid())


class DAGNN(nn.Module):
    """Deep adaptive graph neural network.

    Args:
        features: F, width of the node features.
        classes: C.
        hidden: width of the transformation (64 as published).
        steps: K, hops (10 for Cora and CiteSeer, 20 for PubMed).
        dropout: before each of the two linear layers (0.8 for Cora).
    """

    def __init__(self, features: int, classes: int, hidden: int = 64, steps: int = 10, dropout: float = 0.5) -> None:
        super().__init__()
        self.lin1, self.lin2 = nn.Linear(features, hidden), nn.Linear(hidden, classes)
        self.prop = AdaptivePropagation(classes, steps)
        self.dropout = nn.Dropout(dropout)

    def transform(self, x: Tensor) -> Tensor:
        """x [N, F] → Z [N, C], every node for itself."""
        return self.lin2(self.dropout(self.lin1(self.dropout(x)).relu()))

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Log-probabilities [N, C] from features [N, F] and edges [2, E], both directions of each (none is added).

        Raises:
            ValueError: no node, or an edge names a node that does not exist.
        """
        links, weight = normalised(x, edge_index)
        return F.log_softmax(self.prop(self.transform(x), links, weight).mixed(), -1)


class DeepGCN(nn.Module):
    """Plain GCN of any depth: x' = ReLU(Â x W + b), the last layer without ReLU. What smooths away when it is deep.

    Args:
        features, classes: widths at both ends.
        layers: L, at least 1.
    """

    def __init__(self, features: int, classes: int, hidden: int = 64, layers: int = 2, dropout: float = 0.5) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers is {layers}; it must be at least 1")
        widths = [features, *[hidden] * (layers - 1), classes]
        self.convs = nn.ModuleList(GraphConv(a, b) for a, b in pairwise(widths))
        self.stages = nn.ModuleList(NodeStage() for _ in range(layers))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Log-probabilities [N, classes]; arguments and errors as of DAGNN."""
        links, weight = normalised(x, edge_index)
        for conv, stage in zip(self.convs, self.stages, strict=True):
            x = conv(self.dropout(x), links, weight)
            x = stage(x if conv is self.convs[-1] else x.relu()).values
        return F.log_softmax(x, -1)


class NodeStage(nn.Module):
    """Nothing but a window: what a layer made of the nodes of one graph."""

    def forward(self, x: Tensor) -> NodeStates:
        return NodeStates(x, torch.zeros(len(x), dtype=torch.int64, device=x.device))


def normalised(x: Tensor, edge_index: Tensor) -> tuple[Links, Tensor]:
    """Â for the nodes of x [N, F], in the precision of x. Raises ValueError as DAGNN does."""
    if x.ndim != 2 or not len(x):
        raise ValueError(f"the features are {list(x.shape)}; they must be [nodes, features] with at least one node")
    links, weight = normalised_links(edge_index, len(x), x.new_ones(edge_index.shape[1]))
    return links, weight
