"""A graph turned inside out: edges become nodes (DHT), the best of them are kept (HyperDrop) or gathered (HyperCluster).

Jo, Baek, Lee, Kim, Kang, Hwang, "Edge Representation Learning with Hypergraphs", NeurIPS 2021, arXiv 2106.15845. Written from the
equations; names of the weights are those of the released code (harryjo97/EHGNN).

    DHT        G = (X, M, E) → G* = (E, Mᵀ, X): the dual of the dual is the graph again, nothing is lost
    HyperConv  E' = D⁻¹ H B⁻¹ Hᵀ (E Θ) + b: mean inside every hyperedge, then mean over the hyperedges of each dual node
    HyperDrop  score = tanh(HyperConv(e)), keep the best ⌈ratio·m⌉ edges of each graph; nodes are never dropped
    HyperCluster  k seeds attend to the edges; every edge gives itself away to the seeds, and is rebuilt from them

Undirected edges are listed in both directions, and each direction is a dual node of its own.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import shortest_path
from torch import Tensor, nn

from models.capture import capture
from models.graph_structure.links import GraphConv, Links, normalised_links
from models.structures import EdgeClusters, EdgeSelection, Hypergraph, NodeStates

MOST_EDGES = 200_000


# ---------------------------------------------------------------------------------------------------------------- DHT


def dual(edge_index: Tensor, num_nodes: int, node_features: Tensor | None = None, edge_features: Tensor | None = None) -> Hypergraph:
    """The dual hypergraph: one node per column of edge_index [2, E], one hyperedge per node of the graph.

    The members of `incidence` stand as (edge 0, its source), (edge 0, its target), (edge 1, its source), …
    An isolated node is an empty hyperedge. Direction is not kept by an incidence matrix.

    Raises:
        ValueError: no edge, a loop (it would have one end), an unknown node, or more than 200 000 edges.
    """
    _check(edge_index, num_nodes)
    count = edge_index.shape[1]
    edges = torch.arange(count, device=edge_index.device).repeat_interleave(2)
    incidence = torch.stack([edges, edge_index.T.reshape(-1)])
    return Hypergraph(incidence, count, num_nodes, edge_features, node_features)


def graph_of(hypergraph: Hypergraph) -> Tensor:
    """The edges [2, E] of a graph given as its dual: `graph_of(dual(edge_index, n))` is edge_index.

    Raises:
        ValueError: a node of the hypergraph is not in exactly two hyperedges.
    """
    if not bool((hypergraph.degrees() == 2).all()):
        raise ValueError("this is no dual of a graph: in one, every node (an edge of the graph) lies in exactly two hyperedges")
    order = torch.argsort(hypergraph.incidence[0], stable=True)
    return hypergraph.incidence[1, order].view(-1, 2).T


def with_loops(hypergraph: Hypergraph) -> Hypergraph:
    """For message passing: drop hyperedges of one member, and give every node a hyperedge of its own.

    The new hyperedges are numbered from one more than the largest number that has a member (before anything is dropped).
    """
    nodes, hyperedges = hypergraph.incidence
    kept = hypergraph.incidence[:, hypergraph.sizes()[hyperedges] != 1]
    own = torch.arange(hypergraph.num_nodes, device=nodes.device)
    first = int(hyperedges.max()) + 1
    incidence = torch.cat([kept, torch.stack([own, own + first])], 1)
    return Hypergraph(incidence, hypergraph.num_nodes, first + hypergraph.num_nodes, hypergraph.node_features)


def edge_steps(edge_index: Tensor, num_nodes: int, start: int) -> Tensor:
    """Steps over shared nodes from edge `start` to every edge [E] int64, −1 where there is no way.

    An edge hears after L convolutions of those within L steps (the distance in the line graph, which is never built).
    Errors as of `dual`.
    """
    _check(edge_index, num_nodes)
    source, target = edge_index.cpu().numpy()
    links = csr_matrix((np.ones(len(source)), (source, target)), shape=(num_nodes, num_nodes))
    hops = shortest_path(links, directed=False, unweighted=True, indices=edge_index[:, start].tolist()).min(0)
    steps = np.minimum(hops[source], hops[target]) + 1
    steps[start] = 0
    return torch.from_numpy(np.where(np.isfinite(steps), steps, -1)).long()


def _check(edge_index: Tensor, num_nodes: int) -> None:
    if edge_index.ndim != 2 or edge_index.shape[0] != 2 or edge_index.dtype != torch.int64:
        raise ValueError(f"edges must be [2, E] int64; they are {list(edge_index.shape)} {edge_index.dtype}")
    if not edge_index.shape[1]:
        raise ValueError("the graph has no edge; turning it inside out needs at least one")
    if edge_index.shape[1] > MOST_EDGES:
        raise ValueError(f"{edge_index.shape[1]} edges are too many; up to {MOST_EDGES} can be turned inside out")
    if edge_index.min() < 0 or edge_index.max() >= num_nodes:
        raise ValueError(f"an edge names a node that does not exist; the nodes are 0 to {num_nodes - 1}")
    if (edge_index[0] == edge_index[1]).any():
        raise ValueError("a node is joined to itself; such a loop has one end only and no dual, please leave it out")


class HyperConv(nn.Module):
    """D⁻¹ H B⁻¹ Hᵀ (E Θ) + b, 1/0 := 0. The weight is stored as [inputs, outputs]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(inputs, outputs)), nn.Parameter(torch.zeros(outputs))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Tensor, members: Links) -> Tensor:
        """x [nodes, inputs], `members` links nodes → hyperedges (see `membership`) → [nodes, outputs]."""
        inside = members.mean(x @ self.weight)
        return members.turned[0].mean(inside) + self.bias


def membership(hypergraph: Hypergraph) -> Links:
    """Nodes as sources, hyperedges as targets."""
    nodes, hyperedges = hypergraph.incidence
    return Links.of(nodes, hyperedges, hypergraph.num_nodes, hypergraph.num_hyperedges)[0]


def convolution_links(edge_index: Tensor, num_nodes: int) -> Links:
    """The dual with loops of its own, as the networks below use it. Errors as of `dual`."""
    return membership(with_loops(dual(edge_index, num_nodes)))


# ---------------------------------------------------------------------------------------------------------- HyperDrop


class KeepBest(nn.Module):
    """Keep the best ⌈ratio·m⌉ edges of every graph.

    Args:
        ratio: share of the edges that stays, 0 < ratio ≤ 1.
        pairs: choose among undirected edges, so that both directions stay or go together. False chooses among the directions
            as released: an odd count then keeps one direction of the last edge.
    """

    def __init__(self, ratio: float, pairs: bool = True) -> None:
        super().__init__()
        if not 0 < ratio <= 1:
            raise ValueError(f"ratio is {ratio}; it must lie between 0 (excluded) and 1")
        self.ratio, self.pairs = ratio, pairs

    def forward(self, score: Tensor, edge_index: Tensor, edge_graph: Tensor) -> EdgeSelection:
        """Scores [E], edges [2, E] and the graph of each edge [E] → which are kept."""
        kept = self._pairs(score, edge_index, edge_graph) if self.pairs else best(score, edge_graph, self.ratio)
        return EdgeSelection(edge_index, score, kept, score[kept].clamp(0, 1))

    def _pairs(self, score: Tensor, edge_index: Tensor, edge_graph: Tensor) -> Tensor:
        ends = edge_index.sort(0).values
        _, pair = torch.unique(ends, dim=1, return_inverse=True)
        count = torch.bincount(pair)
        mean = score.new_zeros(len(count)).index_add(0, pair, score) / count
        graph = torch.zeros_like(count).scatter(0, pair, edge_graph)
        order = torch.argsort(graph, stable=True)
        rank = torch.full_like(count, len(count))
        chosen = order[best(mean[order], graph[order], self.ratio)]
        rank[chosen] = torch.arange(len(chosen), device=rank.device)
        by_rank = torch.argsort(rank[pair], stable=True)
        return by_rank[: int((rank[pair] < len(count)).sum())]


def best(score: Tensor, graph: Tensor, ratio: float) -> Tensor:
    """Numbers of the ⌈ratio·m⌉ largest scores of every graph, graph by graph, best first; `graph` [E] need not be sorted.

    The product is rounded to float32 before it is rounded up, as released: 0.6 · 25 makes 16 there and 15 in float64.
    """
    by_score = torch.argsort(score, descending=True, stable=True)
    order = by_score[torch.argsort(graph[by_score], stable=True)]
    count = torch.bincount(graph)
    quota = (ratio * count.float()).ceil().long()
    within = torch.arange(len(order), device=order.device) - (count.cumsum(0) - count)[graph[order]]
    return order[within < quota[graph[order]]]


class HyperDrop(nn.Module):
    """Graph classifier whose edges become fewer from layer to layer.

    Args:
        features, edge_features, classes: widths; edge_features is 1 where edges have none (they are all 1 then).
        hidden, layers: h and L.
        ratio: of the edges of each graph that survive a layer.
        edge_hidden: width of the edges, h where not given.
        pairs: see KeepBest. The released behaviour is False.
    """

    def __init__(
        self,
        features: int,
        edge_features: int,
        classes: int,
        hidden: int = 128,
        layers: int = 3,
        ratio: float = 0.8,
        edge_hidden: int | None = None,
        dropout: float = 0.5,
        pairs: bool = True,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers is {layers}; it must be at least 1")
        edge_hidden = edge_hidden or hidden
        self.convs = nn.ModuleList(GraphConv(hidden if number else features, hidden) for number in range(layers))
        self.hyperconvs = nn.ModuleList(HyperConv(edge_hidden if number else edge_features, edge_hidden) for number in range(layers - 1))
        self.scoreconvs = nn.ModuleList(HyperConv(edge_hidden, 1) for _ in range(layers - 1))
        self.drops = nn.ModuleList(KeepBest(ratio, pairs) for _ in range(layers - 1))
        self.classifier = nn.Sequential(
            nn.Linear(3 * hidden, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden // 2),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden // 2, classes),
        )

    def forward(self, x: Tensor, edge_index: Tensor, graph: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """Log-probabilities [G, classes].

        Args:
            x: [N, features]; graph: of each node [N], rising; edge_index: [2, E]; edge_attr: [E, edge_features].

        Raises:
            ValueError: see `dual`.
        """
        nodes = torch.arange(len(graph), device=graph.device)
        pool = Links(nodes, graph, len(graph), int(graph.max()) + 1)
        e = x.new_ones(edge_index.shape[1], 1) if edge_attr is None else edge_attr
        weight: Tensor | None = None
        total = x.new_zeros(())
        for number, conv in enumerate(self.convs):
            every = x.new_ones(edge_index.shape[1]) if weight is None else weight
            x = conv(x, *normalised_links(edge_index, len(graph), every)).relu()
            if number < len(self.drops):
                members = convolution_links(edge_index, len(graph))
                e = self.hyperconvs[number](e, members).relu()
                score = self.scoreconvs[number](e, members)[:, 0].tanh()
                chosen = self.drops[number](score, edge_index, graph[edge_index[0]])
                edge_index, e, weight = edge_index[:, chosen.kept], e[chosen.kept], chosen.weight
            total = total + torch.cat([pool.largest(x), pool.mean(x), pool.sum(x)], 1)
        return F.log_softmax(self.classifier(total), -1)


def dirichlet_energy(x: Tensor, edge_index: Tensor) -> float:
    """tr(Xᵀ L̃ X) / ‖X‖² with L̃ = I − Â of the graph with loops: 0 where neighbours say the same, at most 2; NaN where X is 0.

    Args:
        x: [N, C]. edge_index: [2, E], both directions.
    """
    x = x.double()
    norm = x.square().sum()
    if norm == 0:
        return float("nan")
    links, weight = normalised_links(edge_index, len(x), x.new_ones(edge_index.shape[1]))
    return float((x * (x - links.sum(x, weight))).sum() / norm)


def energies(model: HyperDrop, x: Tensor, edge_index: Tensor) -> list[float]:
    """Dirichlet energy of the nodes of one graph on that whole graph, before the first and after every layer, [L + 1]."""

    def seen(module: nn.Module, inputs: object, output: Tensor) -> NodeStates:
        return NodeStates(output.relu(), torch.zeros(len(output), dtype=torch.int64))

    names = [f"convs.{number}" for number in range(len(model.convs))]
    with torch.inference_mode(), capture(model, adapters=dict.fromkeys(names, seen)) as trace:
        model(x, edge_index, torch.zeros(len(x), dtype=torch.int64))
    found = trace.of(NodeStates)
    return [dirichlet_energy(state, edge_index) for state in (x, *(found[name].values for name in names))]


# ------------------------------------------------------------------------------------------------------- HyperCluster


class SeedAttention(nn.Module):
    """k learned seeds gather the edges of each graph.

    A = softmax(Q Kᵀ/√h) over the seeds (each edge divides itself among them) or over the edges; O = Q + A V;
    O + ReLU(W O), with layer norms if asked.
    """

    def __init__(self, width: int, norm: bool, over_seeds: bool) -> None:
        super().__init__()
        self.fc_q, self.fc_k, self.fc_v = nn.Linear(width, width), HyperConv(width, width), HyperConv(width, width)
        self.fc_o = nn.Linear(width, width)
        self.ln0 = nn.LayerNorm(width) if norm else None
        self.ln1 = nn.LayerNorm(width) if norm else None
        self.over_seeds = over_seeds

    def forward(self, seeds: Tensor, e: Tensor, members: Links, padded: Padding) -> EdgeClusters:
        query = self.fc_q(seeds).expand(padded.graphs, -1, -1)
        key, value = padded.pad(self.fc_k(e, members)), padded.pad(self.fc_v(e, members))
        score = query @ key.transpose(1, 2) / sqrt(query.shape[-1]) + torch.where(padded.mask, 0.0, -1e9)[:, None]
        share = score.softmax(1 if self.over_seeds else 2)
        out = query + share @ value
        out = out if self.ln0 is None else self.ln0(out)
        out = out + self.fc_o(out).relu()
        return EdgeClusters(share, out if self.ln1 is None else self.ln1(out), padded.mask)


class Padding:
    """Edges of several graphs, [E, C] ↔ [G, largest number of edges, C]; `edge_graph` [E] need not be sorted."""

    def __init__(self, edge_graph: Tensor, graphs: int) -> None:
        order = torch.argsort(edge_graph, stable=True)
        count = torch.bincount(edge_graph, minlength=graphs)
        self.graphs, self.longest = graphs, int(count.max())
        within = torch.empty_like(order)
        within[order] = torch.arange(len(order), device=order.device) - (count.cumsum(0) - count)[edge_graph[order]]
        self.places = edge_graph * self.longest + within
        self.mask = torch.arange(self.longest, device=count.device) < count[:, None]

    def pad(self, x: Tensor) -> Tensor:
        flat = x.new_zeros(self.graphs * self.longest, x.shape[1]).index_copy(0, self.places, x)
        return flat.view(self.graphs, self.longest, -1)

    def unpad(self, x: Tensor) -> Tensor:
        return x.flatten(0, 1)[self.places]


class SeedPool(nn.Module):
    """The seeds S [1, k, width] and their attention."""

    def __init__(self, width: int, seeds: int, norm: bool, over_seeds: bool) -> None:
        super().__init__()
        self.S = nn.Parameter(torch.empty(1, seeds, width))
        nn.init.xavier_uniform_(self.S)
        self.mab = SeedAttention(width, norm, over_seeds)

    def forward(self, e: Tensor, members: Links, padded: Padding) -> EdgeClusters:
        return self.mab(self.S, e, members, padded)


class HyperCluster(nn.Module):
    """Auto-encoder of edges: into k clusters per graph and back.

    Args:
        edge_features: width of the edges, and of the logits that come out.
        clusters: k; the paper takes ⌈ratio · mean number of directed edges⌉.
        layers: hypergraph convolutions before pooling and again after unpooling.
        norm: layer norms around the attention.
        over_seeds: each edge divides itself among the clusters (True), or each cluster its attention among the edges.
    """

    def __init__(
        self, edge_features: int, clusters: int, hidden: int = 32, layers: int = 2, norm: bool = False, over_seeds: bool = True
    ) -> None:
        super().__init__()
        if clusters < 1 or layers < 1:
            raise ValueError(f"clusters is {clusters} and layers is {layers}; both must be at least 1")
        self.convs = nn.ModuleList(HyperConv(hidden if number else edge_features, hidden) for number in range(layers))
        self.pool = SeedPool(hidden, clusters, norm, over_seeds)
        self.unconvs = nn.ModuleList(HyperConv(hidden, hidden) for _ in range(layers))
        self.last = HyperConv(hidden, edge_features)

    def forward(self, edge_attr: Tensor, edge_index: Tensor, graph: Tensor) -> Tensor:
        """Logits [E, edge_features] of edges [E, edge_features] of stacked graphs; `graph` [N] is the graph of each node.

        Raises:
            ValueError: see `dual`.
        """
        members = convolution_links(edge_index, len(graph))
        padded = Padding(graph[edge_index[0]], int(graph.max()) + 1)
        e = edge_attr
        for conv in self.convs:
            e = conv(e, members).relu()
        gathered = self.pool(e, members, padded)
        e = padded.unpad(gathered.share.transpose(1, 2) @ gathered.pooled)
        for conv in self.unconvs:
            e = conv(e, members).relu()
        return self.last(e, members)
