"""What is exactly true of a graph: its symmetries, its spectral gap and its bridges.

The symmetries (automorphisms) are found by individualisation and refinement, the method of the classical tools (McKay,
"Practical graph isomorphism", Congressus Numerantium 30, 1981), in plain Python:

    refine       a node's new colour is its colour and the multiset of its neighbours' colours, until nothing splits
    chain        refine; while two nodes share a colour, single out the first node of the smallest class and refine again
    |Aut|        = product over the chain of the orbit of the node singled out, under what fixes those before it

Every symmetry that is returned was checked edge by edge, and a node that is left out of an orbit was tried in vain, so
the numbers are exact. A search that exceeds its budget is given up as undecided and never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import shortest_path
from torch import Tensor

from models.graph_structure import nx
from models.structures import AbstractGraph, GraphTruth

BUDGET = 20_000
Neighbours = list[list[int]]
Signature = tuple[int, ...]


class UndecidedError(RuntimeError):
    """The search for symmetries exceeded its budget."""


# --------------------------------------------------------------------------------------------------------- refinement


@dataclass(frozen=True)
class _Level:
    """One step of the chain: stable colours, how they came about, and the node that is singled out next.

    Attributes:
        colours: colour of every node.
        names: per round of the refinement, the colour that each signature got.
        cell: the nodes of the smallest class that is no single node, in rising order; empty when there is none.
    """

    colours: list[int]
    names: list[dict[Signature, int]]
    cell: list[int]


def _signatures(neighbours: Neighbours, colours: list[int]) -> list[Signature]:
    return [(colours[v], *sorted([colours[u] for u in around])) for v, around in enumerate(neighbours)]


def _refine(neighbours: Neighbours, colours: list[int]) -> _Level:
    """Split colour classes until they are stable; colours are ranks of sorted signatures, so they mean the same everywhere."""
    names: list[dict[Signature, int]] = []
    count = len(set(colours))
    while True:
        found = _signatures(neighbours, colours)
        names.append({signature: rank for rank, signature in enumerate(sorted(set(found)))})
        colours = [names[-1][signature] for signature in found]
        if len(names[-1]) == count:
            return _Level(colours, names, _smallest_cell(colours))
        count = len(names[-1])


def _refine_alike(neighbours: Neighbours, colours: list[int], level: _Level) -> list[int] | None:
    """Repeat a refinement with other start colours; None as soon as a node looks like none of the first one."""
    for names in level.names:
        try:
            colours = [names[signature] for signature in _signatures(neighbours, colours)]
        except KeyError:
            return None
    return colours if sorted(colours) == sorted(level.colours) else None


def _smallest_cell(colours: list[int]) -> list[int]:
    cells: dict[int, list[int]] = {}
    for node, colour in enumerate(colours):
        cells.setdefault(colour, []).append(node)
    shared = [cell for cell in cells.values() if len(cell) > 1]
    return min(shared, key=lambda cell: (len(cell), cell)) if shared else []


def _single_out(colours: list[int], node: int) -> list[int]:
    return [*colours[:node], len(colours), *colours[node + 1 :]]


# ------------------------------------------------------------------------------------------------------ automorphisms


class _Search:
    """The search for the symmetries of one graph along one chain."""

    def __init__(self, neighbours: Neighbours, budget: int) -> None:
        self.neighbours, self.left = neighbours, budget
        self.edges = {(u, v) for u, around in enumerate(neighbours) for v in around}
        self.chain = [_refine(neighbours, [0] * len(neighbours))]
        while self.chain[-1].cell:
            top = self.chain[-1]
            self.chain.append(_refine(neighbours, _single_out(top.colours, top.cell[0])))
        self.generators = _twin_swaps(neighbours)

    def first(self) -> bool:
        """True when any symmetry exists; stops at the first."""
        return bool(self.generators) or any(self._new_maps(depth, set()) for depth in reversed(range(len(self.chain) - 1)))

    def order(self) -> int:
        """How many symmetries there are; fills `generators`."""
        order = 1
        for depth in reversed(range(len(self.chain) - 1)):
            base = self.chain[depth].cell[0]
            fixed = {self.chain[above].cell[0] for above in range(depth)}
            known = [p for p in self.generators if all(p[node] == node for node in fixed)]
            orbit = _closure({base}, known)
            for found in self._new_maps(depth, orbit, known):
                self.generators.append(found)
            order *= len(orbit)
        return order

    def _new_maps(self, depth: int, orbit: set[int], known: list[list[int]] | None = None) -> Iterable[list[int]]:
        """Symmetries that fix the chain above `depth` and move its base to nodes outside `orbit`, which grows with them."""
        level, tried = self.chain[depth], set[int]()
        base, generators, maps = level.cell[0], list(known or []), list[list[int]]()
        for node in level.cell[1:]:
            if node in orbit or node in tried:
                continue
            found = self._map(depth, level.colours, node)
            if found is None:
                tried |= _closure({node}, generators)
                continue
            maps.append(found)
            if known is None:
                break
            generators.append(found)
            orbit |= _closure({base}, generators)
        return maps

    def _map(self, depth: int, colours: list[int], node: int) -> list[int] | None:
        """A symmetry that takes the base of this level to `node`, given where the levels above were taken (`colours`)."""
        self.left -= 1
        if self.left < 0:
            raise UndecidedError("too many possibilities")
        level = self.chain[depth + 1]
        right = _refine_alike(self.neighbours, _single_out(colours, node), level)
        if right is None:
            return None
        if not level.cell:
            return self._checked(level.colours, right)
        wanted = level.colours[level.cell[0]]
        for candidate in [v for v, colour in enumerate(right) if colour == wanted]:
            found = self._map(depth + 1, right, candidate)
            if found is not None:
                return found
        return None

    def _checked(self, left: list[int], right: list[int]) -> list[int] | None:
        place = {colour: node for node, colour in enumerate(right)}
        image = [place[colour] for colour in left]
        return image if all((image[u], image[v]) in self.edges for u, v in self.edges) else None


def _twin_swaps(neighbours: Neighbours) -> list[list[int]]:
    """Swaps of nodes with the same neighbours: free symmetries, and the reason why stars and complete graphs are quick."""
    swaps = []
    for closed in (False, True):
        groups: dict[tuple[int, ...], list[int]] = {}
        for node, around in enumerate(neighbours):
            groups.setdefault(tuple(sorted([*around, node])) if closed else tuple(around), []).append(node)
        for group in groups.values():
            for a, b in pairwise(group):
                swap = list(range(len(neighbours)))
                swap[a], swap[b] = b, a
                swaps.append(swap)
    return swaps


def _closure(start: set[int], generators: list[list[int]]) -> set[int]:
    """Everything that the permutations reach from `start` (their inverses are powers of them)."""
    reached, waiting = set(start), list(start)
    while waiting:
        node = waiting.pop()
        for permutation in generators:
            if permutation[node] not in reached:
                reached.add(permutation[node])
                waiting.append(permutation[node])
    return reached


def is_symmetric(graph: AbstractGraph, budget: int = BUDGET) -> bool | None:
    """True when an automorphism besides the identity exists, None when `budget` search steps did not decide it."""
    try:
        return _Search(graph.neighbours(), budget).first()
    except UndecidedError:
        return None


def automorphisms(graph: AbstractGraph, budget: int = BUDGET) -> tuple[int, list[list[int]], list[int]]:
    """Order of the automorphism group, permutations that generate it, and the smallest node of every node's orbit.

    Raises:
        UndecidedError: `budget` search steps were not enough.
    """
    search = _Search(graph.neighbours(), budget)
    order = search.order()
    orbits = [-1] * graph.num_nodes
    for node in range(graph.num_nodes):
        if orbits[node] < 0:
            for other in _closure({node}, search.generators):
                orbits[other] = node
    return order, search.generators, orbits


# -------------------------------------------------------------------------------------------------- spectrum, bridges


def laplacian(graph: AbstractGraph, normalised: bool = True) -> Tensor:
    """D^(−1/2) (D − A) D^(−1/2), or D − A, [N, N] float64. A node without edges has a row of zeros."""
    adjacency = graph.adjacency().double()
    degree = adjacency.sum(1)
    plain = torch.diag(degree) - adjacency
    if not normalised:
        return plain
    scale = torch.where(degree > 0, degree.clamp(min=1).rsqrt(), 0)
    return scale[:, None] * plain * scale


def spectral_gap(graph: AbstractGraph) -> tuple[float, Tensor]:
    """Second smallest eigenvalue of the normalised Laplacian and its eigenvector [N], largest entry positive.

    A single node has gap 0.
    """
    if graph.num_nodes == 1:
        return 0.0, torch.ones(1, dtype=torch.float64)
    values, vectors = torch.linalg.eigh(laplacian(graph))
    return max(0.0, values[1].item()), signed(vectors[:, 1:2])[:, 0]


def signed(vectors: Tensor) -> Tensor:
    """Eigenvectors [N, k] or their opposites: the entry of largest absolute value (the first of them) becomes positive."""
    size = vectors.abs()
    largest = (size >= size.amax(0) * (1 - 1e-9)).int().argmax(0, keepdim=True)
    return vectors * vectors.gather(0, largest).sign()


def algebraic_connectivity(graph: AbstractGraph) -> float:
    """Second smallest eigenvalue of D − A."""
    return torch.linalg.eigvalsh(laplacian(graph, normalised=False))[1].item() if graph.num_nodes > 1 else 0.0


def bridges(graph: AbstractGraph) -> Tensor:
    """True where removing the edge separates what it joined, [E/2] bool in the order of `graph.edges`."""
    found = {(min(edge), max(edge)) for edge in nx.bridges(to_networkx(graph))}
    return torch.tensor([tuple(edge) in found for edge in graph.edges.tolist()], dtype=torch.bool)


def edge_betweenness(graph: AbstractGraph) -> Tensor:
    """Share of all pairs of nodes whose shortest paths run over the edge, [E/2] float64 in the order of `graph.edges`, 0…1.

    All sources at once, one distance after the other: ways are counted outwards, shares of pairs gathered inwards.

    Source: Girvan, Newman, "Community structure in social and biological networks", PNAS 2002; Brandes, 2001.
    """
    n = graph.num_nodes
    adjacency = graph.adjacency().double().numpy()
    distance = shortest_path(csr_matrix(adjacency), unweighted=True)
    far = int(distance[np.isfinite(distance)].max(initial=0))
    at = [distance == d for d in range(far + 1)]
    ways = [np.eye(n)]
    for d in range(1, far + 1):
        ways.append((ways[-1] @ adjacency) * at[d])
    total, gathered = np.zeros((n, n)), np.zeros((n, n))
    for d in range(far, 0, -1):
        share = np.divide(1 + gathered, ways[d], out=np.zeros((n, n)), where=at[d])
        total += ways[d - 1].T @ share
        gathered = ways[d - 1] * (share @ adjacency)
    u, v = graph.edges.T.numpy()
    return torch.from_numpy((total[u, v] + total[v, u]) / max(1, n * (n - 1)))


def block_cut_tree(graph: AbstractGraph) -> tuple[list[list[int]], list[int]]:
    """Blocks (largest parts that no single node holds together; a bridge is a block of two), each rising, and the nodes whose loss
    parts the graph. A block and such a node in it are joined in a tree. Source: Hopcroft, Tarjan, 1973 (as networkx has it)."""
    made = to_networkx(graph)
    return sorted(sorted(block) for block in nx.biconnected_components(made)), sorted(nx.articulation_points(made))


def to_networkx(graph: AbstractGraph) -> nx.Graph:
    """The same graph for networkx, nodes 0 to N − 1 in order."""
    made = nx.empty_graph(graph.num_nodes)
    made.add_edges_from(graph.edges.tolist())
    return made


def from_networkx(graph: nx.Graph, family: str = "") -> AbstractGraph:
    """The structure of a networkx graph whose nodes are 0 to N − 1."""
    return AbstractGraph.from_edges(graph.edges, graph.number_of_nodes(), family)


def with_truth(graph: AbstractGraph, symmetries: bool = True, budget: int = BUDGET) -> AbstractGraph:
    """The graph with everything that is exactly known of it.

    Args:
        symmetries: False leaves the automorphisms undecided (they take the longest).
        budget: search steps for the automorphisms before they are left undecided.
    """
    gap, fiedler = spectral_gap(graph)
    truth = GraphTruth(gap, fiedler, bridges(graph))
    if symmetries:
        try:
            order, generators, orbits = automorphisms(graph, budget)
        except UndecidedError:
            return replace(graph, truth=truth)
        permutations = torch.tensor(generators, dtype=torch.int64).reshape(-1, graph.num_nodes)
        truth = replace(truth, order=order, orbits=torch.tensor(orbits), generators=permutations)
    return replace(graph, truth=truth)
