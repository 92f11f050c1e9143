"""Graphs and hypergraphs on their own, without a picture behind them, and what is known of them exactly."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from models.structures.base import Structure


@dataclass(frozen=True)
class GraphTruth(Structure):
    """What is exactly known of a graph, computed and not predicted.

    Attributes:
        spectral_gap: second smallest eigenvalue of I − D^(−1/2) A D^(−1/2), 0…2; 0 when the graph falls into pieces.
        fiedler: its eigenvector, [N] float64, largest entry positive.
        is_bridge: True where removing the edge separates the graph, [E/2] bool in the order of `AbstractGraph.edges`.
        order: how many automorphisms there are, as a whole number of any size; None when the search was given up.
        orbits: the smallest node that an automorphism takes to this one, [N] int64; None when undecided.
        generators: permutations p (node i goes to p[i]) that generate all automorphisms, [g, N] int64; None when undecided.
    """

    spectral_gap: float
    fiedler: Tensor
    is_bridge: Tensor
    order: int | None = None
    orbits: Tensor | None = None
    generators: Tensor | None = None

    @property
    def bridges(self) -> int:
        return int(self.is_bridge.sum())

    @property
    def is_symmetric(self) -> bool | None:
        """True when an automorphism besides the identity exists; None when undecided."""
        return None if self.order is None else self.order > 1


@dataclass(frozen=True)
class AbstractGraph(Structure):
    """One undirected graph without loops and multiple edges.

    Attributes:
        edge_index: [2, E] int64, source → target, both directions of every edge (the convention of PyTorch Geometric):
            first all edges u < v in rising order, then the same edges turned round.
        num_nodes: N.
        node_features: [N, C]; None without any.
        edge_features: [E, C'] in the order of `edge_index`; None without any.
        positions: places of the nodes by the name of the layout, [N, 2] each, x to the right and y down, any unit.
        family: name of the generator that drew it, "" when unknown.
        truth: what is exactly known of it; None when not computed.
    """

    edge_index: Tensor
    num_nodes: int
    node_features: Tensor | None = None
    edge_features: Tensor | None = None
    positions: Mapping[str, Tensor] = field(default_factory=dict)
    family: str = ""
    truth: GraphTruth | None = None

    @classmethod
    def from_edges(cls, edges: Iterable[Sequence[int]], num_nodes: int, family: str = "") -> AbstractGraph:
        """The graph of a list of pairs (u, v), in any order and direction.

        Raises:
            ValueError: no node, a node out of range, a loop, or the same edge twice.
        """
        pairs = [(int(edge[0]), int(edge[1])) for edge in edges]
        if num_nodes < 1:
            raise ValueError("the graph is empty; it needs at least one node")
        for u, v in pairs:
            if not (0 <= u < num_nodes and 0 <= v < num_nodes):
                raise ValueError(f"edge {u}–{v} names a node that does not exist; the nodes are 0 to {num_nodes - 1}")
            if u == v:
                raise ValueError(f"node {u} is joined to itself; loops cannot be drawn here, please leave them out")
        once = sorted({(min(pair), max(pair)) for pair in pairs})
        if len(once) < len(pairs):
            raise ValueError(f"{len(pairs) - len(once)} of {len(pairs)} edges are listed more than once; please list each edge one time")
        half = torch.tensor(once, dtype=torch.int64).reshape(-1, 2).T
        return cls(torch.cat([half, half.flip(0)], 1), num_nodes, family=family)

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[Hashable, Hashable]]) -> tuple[AbstractGraph, list[Hashable]]:
        """The graph of pairs of any names (a pasted edge list), and the names by node number, in order of appearance."""
        listed = list(pairs)
        names = list(dict.fromkeys(name for pair in listed for name in pair))
        number = {name: i for i, name in enumerate(names)}
        return cls.from_edges([(number[u], number[v]) for u, v in listed], len(names)), names

    @property
    def num_edges(self) -> int:
        return self.edge_index.shape[1] // 2

    @property
    def edges(self) -> Tensor:
        """Every edge once, u < v in rising order, [E/2, 2] int64."""
        return self.edge_index[:, : self.num_edges].T

    def degrees(self) -> Tensor:
        """Number of neighbours of each node, [N] int64."""
        return torch.bincount(self.edge_index[1], minlength=self.num_nodes)

    def adjacency(self) -> Tensor:
        """[N, N] float32, 1 where two nodes are joined."""
        matrix = torch.zeros(self.num_nodes, self.num_nodes)
        matrix[self.edge_index[1], self.edge_index[0]] = 1
        return matrix

    def neighbours(self) -> list[list[int]]:
        """The neighbours of every node, in rising order."""
        found: list[list[int]] = [[] for _ in range(self.num_nodes)]
        for u, v in sorted(zip(*self.edge_index.tolist(), strict=True)):
            found[u].append(v)
        return found

    def without_edge(self, edge: int) -> AbstractGraph:
        """The graph with edge number `edge` (of `edges`) cut; the nodes stay where they are, what was known is forgotten."""
        kept = torch.arange(self.num_edges) != edge
        both = torch.cat([kept, kept])
        features = None if self.edge_features is None else self.edge_features[both]
        return replace(self, edge_index=self.edge_index[:, both], edge_features=features, truth=None)


@dataclass(frozen=True)
class GraphDrawing(Structure):
    """A graph as a picture, and how it came about.

    Attributes:
        image: the pixels that a person and a model see, [S, S, 3] uint8.
        coverage: length of the edges inside each pixel, [S, S] float32, in pixels.
        positions: centre of every node in pixels, [N, 2] float32, x to the right and y down.
        radius: of a node, in pixels.
        gain: how much ink a unit of coverage gives; ink = 1 − exp(−gain · coverage).
    """

    image: Tensor
    coverage: Tensor
    positions: Tensor
    radius: float
    gain: float


@dataclass(frozen=True)
class NodeStates(Structure):
    """What a layer made of the nodes of several stacked graphs.

    Attributes:
        values: [N, C].
        graph: which graph each node belongs to, [N] int64.
    """

    values: Tensor
    graph: Tensor


@dataclass(frozen=True)
class EdgeShares(Structure):
    """How a node divides its attention among its neighbours and itself.

    Attributes:
        edge_index: [2, E] int64, source → target, loops included.
        share: [E, heads]; adds up to 1 over the links of each target.
    """

    edge_index: Tensor
    share: Tensor


@dataclass(frozen=True)
class EdgeAttribution(Structure):
    """How much each edge of a graph speaks for an answer.

    Attributes:
        values: [E/2] in the order of `AbstractGraph.edges`; positive speaks for the answer, NaN where it was not asked for.
        target: index of the class; 0 where the answer is a number.
        method: name of the method.
    """

    values: Tensor
    target: int
    method: str


@dataclass(frozen=True)
class Propagation(Structure):
    """Features after 0 … K steps along the edges, and how much a node takes of each.

    Attributes:
        hops: [N, K + 1, C].
        gate: [N, K + 1], each 0…1; they need not add up to 1.
    """

    hops: Tensor
    gate: Tensor

    def mixed(self) -> Tensor:
        """Σ_k gate_k · hop_k, [N, C]."""
        return (self.gate[..., None] * self.hops).sum(1)

    def roughness(self) -> Tensor:
        """Mean over all pairs of nodes of ½‖x_i/‖x_i‖ − x_j/‖x_j‖‖ after each step, [K + 1], 0…1: 0 where all point one way.

        Raises:
            ValueError: a single node.
        Source: the smoothness metric (SMV) of Liu, Gao, Ji, "Towards Deeper Graph Neural Networks", KDD 2020, section 3.
        """
        nodes = self.hops.shape[0]
        if nodes < 2:
            raise ValueError("one node has no other to be compared with")
        directions = F.normalize(self.hops.detach().double(), dim=2).unbind(1)
        return torch.stack([F.pdist(rows).mean() / 2 for rows in directions])


@dataclass(frozen=True)
class EdgeSelection(Structure):
    """Which edges of one or more stacked graphs a pooling layer kept.

    Attributes:
        edge_index: the edges that it chose from, [2, E] int64.
        score: of each of them, [E], −1…1.
        kept: numbers of those that it kept, [K] int64, graph by graph, best first.
        weight: what the kept ones weigh from here on, score cut to 0…1, [K]; 0 is kept but silent.
    """

    edge_index: Tensor
    score: Tensor
    kept: Tensor
    weight: Tensor


@dataclass(frozen=True)
class EdgeClusters(Structure):
    """How the edges of G graphs were gathered into k clusters each.

    Attributes:
        share: how much of each edge goes to each cluster, [G, k, largest number of edges].
        pooled: features of the clusters, [G, k, C].
        mask: True where `share` speaks of an edge and not of padding, [G, largest number of edges] bool.
    """

    share: Tensor
    pooled: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Hypergraph(Structure):
    """Nodes and the sets of nodes (hyperedges) that they form, as a sparse incidence matrix.

    Attributes:
        incidence: [2, I] int64: node (row 0) is a member of hyperedge (row 1); each pair once.
        num_nodes: N.
        num_hyperedges: M; a hyperedge may be empty.
        node_features: [N, C]; None without any.
        hyperedge_features: [M, C']; None without any.
    """

    incidence: Tensor
    num_nodes: int
    num_hyperedges: int
    node_features: Tensor | None = None
    hyperedge_features: Tensor | None = None

    @classmethod
    def from_sets(cls, sets: Iterable[Iterable[int]], num_nodes: int | None = None) -> Hypergraph:
        """The hypergraph of a list of sets of node numbers; the members of each are sorted, the list keeps its order.

        Raises:
            ValueError: a node is negative or not below `num_nodes` (by default one more than the largest that occurs).
        """
        listed = [sorted(set(members)) for members in sets]
        largest = max((members[-1] for members in listed if members), default=-1)
        count = largest + 1 if num_nodes is None else num_nodes
        if largest >= count or any(members and members[0] < 0 for members in listed):
            raise ValueError(f"a hyperedge names a node that does not exist; the nodes are 0 to {count - 1}")
        pairs = [(node, number) for number, members in enumerate(listed) for node in members]
        return cls(torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T, count, len(listed))

    def sets(self) -> list[tuple[int, ...]]:
        """Members of every hyperedge, in the order of `incidence`."""
        found: list[list[int]] = [[] for _ in range(self.num_hyperedges)]
        for node, hyperedge in zip(*self.incidence.tolist(), strict=True):
            found[hyperedge].append(node)
        return [tuple(members) for members in found]

    def sizes(self) -> Tensor:
        """Number of members of each hyperedge (B in the papers), [M] int64."""
        return torch.bincount(self.incidence[1], minlength=self.num_hyperedges)

    def degrees(self) -> Tensor:
        """Number of hyperedges of each node (D in the papers), [N] int64."""
        return torch.bincount(self.incidence[0], minlength=self.num_nodes)

    def dense(self) -> Tensor:
        """Incidence matrix H [N, M] float32."""
        matrix = torch.zeros(self.num_nodes, self.num_hyperedges)
        matrix[self.incidence[0], self.incidence[1]] = 1
        return matrix

    def dual(self) -> Hypergraph:
        """Turned inside out: hyperedges become nodes and nodes become hyperedges. Its dual is this hypergraph again."""
        return Hypergraph(self.incidence.flip(0), self.num_hyperedges, self.num_nodes, self.hyperedge_features, self.node_features)
