"""Networks that read a graph from its adjacency: GCN, GIN, GAT, a GPS-like transformer, and one with a virtual node.

The rivals of the vision models in Zhao et al. (GraphAbstract, NeurIPS 2025, arXiv 2510.24788): encode the nodes, L layers, mean over
the nodes, a head of two layers.

    GCN   x' = Â x W                                                     Kipf and Welling, ICLR 2017
    GIN   x' = MLP((1 + ε) x + Σ_neighbours x)                            Xu et al., ICLR 2019
    GAT   x' = Σ share·W x over neighbours and itself                     Veličković et al., ICLR 2018
    GPS   x' = x_l + x_g + MLP(x_l + x_g), x_l a GIN layer, x_g attention  Rampášek et al., NeurIPS 2022
    MPNN with virtual node: see models.graph_structure.virtual_node        Cai et al., ICML 2023

Weights of edges scale their messages, so that the gradient with respect to `GraphBatch.edge_weight` says what a model uses.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.graph_structure.encodings import NodeEncoder
from models.graph_structure.links import GraphBatch, GraphConv, Links, self_looped
from models.graph_structure.virtual_node import SetMixer, VirtualNode
from models.structures import EdgeShares, NodeStates


class Stage(nn.Module):
    """Nothing but a window: what a layer made of the nodes."""

    def forward(self, x: Tensor, batch: GraphBatch) -> NodeStates:
        return NodeStates(x, batch.graph)


class GraphNetwork(nn.Module):
    """Base of the networks: encoder, layers, mean, head.

    Args:
        classes: answers, or 1 for a number.
        layers, hidden, dropout: as in the paper 2–4, 128 and 0.5.
        features, encoding, encoding_size: see models.graph_structure.encodings.NodeEncoder.
    """

    def __init__(
        self,
        classes: int,
        layers: int = 3,
        hidden: int = 128,
        dropout: float = 0.5,
        features: str = "degree",
        encoding: str | None = None,
        encoding_size: int = 16,
    ) -> None:
        super().__init__()
        self.encoder = NodeEncoder(features, encoding, encoding_size)
        self.widths = [self.encoder.width, *[hidden] * layers]
        self.dropout = nn.Dropout(dropout)
        self.stages = nn.ModuleList(Stage() for _ in range(layers))
        self.build()
        self.head = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, classes))

    def build(self) -> None:
        """Make the layers; `widths` [L + 1] are known."""
        raise TypeError(f"{type(self).__name__} does not define build()")

    def layer(self, number: int, x: Tensor, batch: GraphBatch) -> Tensor:
        """Layer `number`: [N, widths[number]] → [N, widths[number + 1]]."""
        raise TypeError(f"{type(self).__name__} does not define layer()")

    def forward(self, batch: GraphBatch) -> Tensor:
        """G stacked graphs → [G, classes], before any softmax."""
        x = self.encoder(batch)
        for number, stage in enumerate(self.stages):
            if number:
                x = self.dropout(x)
            x = stage(self.layer(number, x, batch), batch).values
        return self.head(batch.members.mean(x))


class GCN(GraphNetwork):
    """Graph convolutional network, batch normalisation and ReLU after every layer."""

    def build(self) -> None:
        self.convs = nn.ModuleList(GraphConv(a, b) for a, b in pairwise(self.widths))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in self.widths[1:])

    def layer(self, number: int, x: Tensor, batch: GraphBatch) -> Tensor:
        return F.relu(self.norms[number](self.convs[number](x, *batch.normalised)))


def gin_mlp(inputs: int, outputs: int) -> nn.Sequential:
    """The network inside a GIN layer."""
    return nn.Sequential(nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(), nn.Linear(outputs, outputs), nn.ReLU())


class GIN(GraphNetwork):
    """Graph isomorphism network: as strong as the colour refinement test, and no stronger; ε is learned."""

    def build(self) -> None:
        self.mlps = nn.ModuleList(gin_mlp(a, b) for a, b in pairwise(self.widths))
        self.eps = nn.Parameter(torch.zeros(len(self.mlps)))

    def layer(self, number: int, x: Tensor, batch: GraphBatch) -> Tensor:
        return self.mlps[number]((1 + self.eps[number]) * x + batch.links.sum(x, batch.weight))


class Shares(nn.Module):
    """softmax over neighbours and itself of LeakyReLU(a·W x_target + b·W x_source), per head."""

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        self.target, self.source = nn.Parameter(torch.empty(heads, width)), nn.Parameter(torch.empty(heads, width))
        nn.init.xavier_uniform_(self.target)
        nn.init.xavier_uniform_(self.source)

    def forward(self, x: Tensor, links: Links) -> EdgeShares:
        """x [N, heads, width] → shares of every link."""
        of_target, of_source = (x * self.target).sum(-1), (x * self.source).sum(-1)
        score = F.leaky_relu(of_target[links.target] + of_source[links.source], 0.2)
        return EdgeShares(torch.stack([links.source, links.target]), links.softmax(score))


class GAT(GraphNetwork):
    """Graph attention network with four heads side by side, batch normalisation and ELU after every layer."""

    heads = 4

    def build(self) -> None:
        pairs = list(pairwise(self.widths))
        if any(width % self.heads for width in self.widths[1:]):
            raise ValueError(f"hidden is {self.widths[1]}; it must be a multiple of the {self.heads} heads")
        self.linears = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairs)
        self.shares = nn.ModuleList(Shares(self.heads, b // self.heads) for _, b in pairs)
        self.norms = nn.ModuleList(nn.BatchNorm1d(b) for _, b in pairs)

    def layer(self, number: int, x: Tensor, batch: GraphBatch) -> Tensor:
        links, weight = looped(batch)
        values = self.linears[number](x).view(len(x), self.heads, -1)
        share = self.shares[number](values, links).share * weight[:, None]
        mixed = [links.sum(values[:, head].contiguous(), share[:, head].contiguous()) for head in range(self.heads)]
        return F.elu(self.norms[number](torch.cat(mixed, 1)))


def looped(batch: GraphBatch) -> tuple[Links, Tensor]:
    """The links of a batch with a loop of weight 1 at every node, and the weights [E + N]."""
    nodes = len(batch.graph)
    edges, weight = self_looped(torch.stack([batch.links.source, batch.links.target]), nodes, batch.weight)
    links, order = Links.of(edges[0], edges[1], nodes, nodes)
    return links, weight[order]


class GlobalAttention(nn.Module):
    """Every node attends to every node of its graph."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor, batch: GraphBatch) -> Tensor:
        graphs, largest = batch.mask.shape
        q, k, v = batch.padded(self.qkv(x)).view(graphs, largest, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=batch.mask[:, None, None])
        return self.out(batch.stacked(mixed.transpose(1, 2).flatten(2)))


class GPSLayer(nn.Module):
    """A GIN layer and a global part side by side, each with its skip and norm, then a feed-forward network.

    Args:
        everywhere: "attention", or "set" for the mean over the graph that a virtual node can pass on.
    """

    def __init__(self, width: int, heads: int, dropout: float, everywhere: str) -> None:
        super().__init__()
        if everywhere not in ("attention", "set"):
            raise ValueError(f"everywhere is {everywhere!r}; choose 'attention' or 'set'")
        self.local, self.eps = gin_mlp(width, width), nn.Parameter(torch.zeros(()))
        self.everywhere = GlobalAttention(width, heads) if everywhere == "attention" else SetMixer(width)
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(2 * width, width))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, batch: GraphBatch) -> Tensor:
        local = self.local((1 + self.eps) * x + batch.links.sum(x, batch.weight))
        local = self.norms[0](x + self.dropout(local))
        everywhere = self.norms[1](x + self.dropout(self.everywhere(x, batch)))
        both = local + everywhere
        return self.norms[2](both + self.dropout(self.feed(both)))


class GPS(GraphNetwork):
    """General, powerful, scalable transformer: messages along edges and attention everywhere.

    Args:
        everywhere: see GPSLayer.
    """

    def __init__(self, classes: int, *args: Any, everywhere: str = "attention", heads: int = 4, **settings: Any) -> None:
        self._everywhere, self._heads = everywhere, heads
        super().__init__(classes, *args, **settings)

    def build(self) -> None:
        self.start = nn.Linear(self.widths[0], self.widths[1])
        rate = self.dropout.p
        self.blocks = nn.ModuleList(GPSLayer(width, self._heads, rate, self._everywhere) for width in self.widths[1:])

    def layer(self, number: int, x: Tensor, batch: GraphBatch) -> Tensor:
        return self.blocks[number](x if number else self.start(x), batch)


class VirtualNodeGIN(GraphNetwork):
    """GIN with one more node per graph that is joined to all others.

    Args:
        pool: "sum" as published, or "mean", which does not grow with the graph.
        residual: add the old state of the virtual node to the new one.
    """

    def __init__(self, classes: int, *args: Any, pool: str = "sum", residual: bool = False, **settings: Any) -> None:
        self._pool, self._residual = pool, residual
        super().__init__(classes, *args, **settings)

    def build(self) -> None:
        hidden, layers = self.widths[1], len(self.widths) - 1
        self.start = nn.Linear(self.widths[0], hidden)
        self.mlps = nn.ModuleList(gin_mlp(hidden, hidden) for _ in range(layers))
        self.eps = nn.Parameter(torch.zeros(layers))
        self.virtual = VirtualNode(hidden, layers - 1, self.dropout.p, self._pool, self._residual)

    def forward(self, batch: GraphBatch) -> Tensor:
        x, state = self.start(self.encoder(batch)), self.virtual.first(batch)
        for number, stage in enumerate(self.stages):
            x = stage(self.dropout(self.layer(number, x + state[batch.graph], batch)), batch).values
            if number < len(self.stages) - 1:
                state = self.virtual(number, x, state, batch)
        return self.head(batch.members.mean(x))

    def layer(self, number: int, x: Tensor, batch: GraphBatch) -> Tensor:
        return self.mlps[number]((1 + self.eps[number]) * x + batch.links.sum(x, batch.weight))


NETWORKS: dict[str, type[GraphNetwork]] = {"gcn": GCN, "gin": GIN, "gat": GAT, "gps": GPS, "mpnn-vn": VirtualNodeGIN}
