"""What a hypergraph loses when every group is replaced by the pairs in it, and ways to guess the groups back.

Wang and Kleinberg, "From Graphs to Hypergraphs: Hypergraph Projection and its Remediation", ICLR 2024, arXiv 2401.08519. The
projection joins any two nodes that share a hyperedge. Two patterns destroy information:

    nested     a hyperedge inside a larger one leaves no trace of its own
    fake       a clique that no hyperedge fills, the smallest from three pairwise overlaps; it looks like a group

Nothing is lost exactly when the maximal cliques of the projection are the hyperedges (Gilmore: no hyperedge is nested, and of any
three the pairwise intersections lie together in one).

A hypergraph is written as a set of hyperedges here, each a rising tuple of node numbers, because sets of sets are what is
compared. The learned reconstruction is in models.graph_structure.shyre.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from models.graph_structure import nx
from models.structures import AbstractGraph, Hypergraph

Clique = tuple[int, ...]
Sets = frozenset[Clique]
MOST_NODES, MOST_CLIQUES = 2_000, 200_000


def hyperedges(hypergraph: Hypergraph) -> Sets:
    """The distinct, non-empty hyperedges; duplicates are merged."""
    return as_sets(hypergraph.sets())


def as_sets(groups: Iterable[Iterable[int]]) -> Sets:
    """Groups in any order and with repetitions → distinct, non-empty hyperedges."""
    return frozenset(tuple(sorted(set(group))) for group in groups) - {()}


def compacted(groups: Iterable[Iterable[int]]) -> tuple[Sets, list[int]]:
    """The same groups with nodes renumbered 0, 1, 2, … in rising order, and the old number of each."""
    sets = as_sets(groups)
    old = sorted({node for group in sets for node in group})
    number = {node: i for i, node in enumerate(old)}
    return frozenset(tuple(number[node] for node in group) for group in sets), old


def project(sets: Sets) -> nx.Graph:
    """The clique expansion: u and v are joined when a hyperedge holds both. A hyperedge of one is an isolated node.

    Raises:
        ValueError: no hyperedge, or more than 2 000 nodes.
    """
    if not sets:
        raise ValueError("there is no hyperedge to project; at least one is needed")
    graph = nx.Graph()
    for group in sorted(sets):
        graph.add_nodes_from(group)
        graph.add_edges_from(combinations(group, 2))
    if len(graph) > MOST_NODES:
        raise ValueError(f"{len(graph)} nodes are too many for maximal cliques; up to {MOST_NODES} are taken")
    return graph


def projection(hypergraph: Hypergraph) -> AbstractGraph:
    """The clique expansion as a structure; nodes keep their numbers and features."""
    pairs = {pair for group in hyperedges(hypergraph) for pair in combinations(group, 2)}
    graph = AbstractGraph.from_edges(sorted(pairs), hypergraph.num_nodes, "projection")
    return AbstractGraph(graph.edge_index, graph.num_nodes, hypergraph.node_features, family="projection")


def maximal_cliques(graph: nx.Graph, most: int = MOST_CLIQUES) -> list[Clique]:
    """All maximal cliques in rising order; an isolated node is one.

    Raises:
        ValueError: there are more than `most`.
    """
    found: list[Clique] = []
    for clique in nx.find_cliques(graph):
        found.append(tuple(sorted(clique)))
        if len(found) > most:
            raise ValueError(f"the graph has more than {most} maximal cliques; please take a smaller or sparser one")
    return sorted(found)


# ------------------------------------------------------------------------------------------------------------- damage


@dataclass(frozen=True)
class Damage:
    """What a projection hides and what it invents.

    Attributes:
        intact: hyperedges that are maximal cliques of the projection; they can be read off.
        nested: hyperedges inside a larger one, hidden.
        covered: the other hidden ones: inside no hyperedge, but inside a larger clique.
        fake: maximal cliques that are no hyperedge, invented.
    """

    intact: Sets
    nested: Sets
    covered: Sets
    fake: Sets

    @property
    def nested_share(self) -> float:
        """Share of hyperedges that lie in another (error I)."""
        return len(self.nested) / (len(self.intact) + len(self.nested) + len(self.covered))

    @property
    def fake_share(self) -> float:
        """Share of maximal cliques that are no hyperedge (error II)."""
        return len(self.fake) / (len(self.fake) + len(self.intact))

    @property
    def lossless(self) -> bool:
        return not (self.nested or self.covered or self.fake)


def damage(sets: Sets) -> Damage:
    """Sort hyperedges and maximal cliques by what the projection does to them. Errors as of `project` and `maximal_cliques`."""
    cliques = frozenset(maximal_cliques(project(sets)))
    of_node: dict[int, set[Clique]] = {}
    for group in sets:
        for node in group:
            of_node.setdefault(node, set()).add(group)
    nested = frozenset(group for group in sets if len(set.intersection(*(of_node[node] for node in group))) > 1)
    return Damage(sets & cliques, nested, sets - cliques - nested, cliques - sets)


def conspirators(clique: Clique, sets: Sets) -> tuple[Clique, Clique, Clique] | None:
    """Three hyperedges that fake a group inside the clique: their pairwise overlaps there lie in no single hyperedge.

    None when a hyperedge holds the whole clique. By Gilmore's theorem there are three whenever none does.
    """
    inside = sorted({tuple(sorted(set(group) & set(clique))) for group in sets} - {()}, key=lambda part: (-len(part), part))
    whole = {part: min(group for group in sets if set(group) & set(clique) == set(part)) for part in inside}
    largest = [part for part in inside if len(part) > 1 and not any(set(part) < set(other) for other in inside)]
    for a, b, c in combinations(largest, 3):
        meeting = (set(a) & set(b)) | (set(b) & set(c)) | (set(a) & set(c))
        if not any(meeting <= set(other) for other in largest):
            return whole[a], whole[b], whole[c]
    return None


def ambiguity(size: int) -> int:
    """At least so many hypergraphs share a projection in which a clique of `size` nodes is a hyperedge: 2^(2^n − n − 2).

    Any of its proper subsets of two or more nodes may be a hyperedge or not. A whole number of any size.

    Raises:
        ValueError: fewer than 2 nodes, or more than 20 (the number would have a million binary digits).
    """
    if not 2 <= size <= 20:
        raise ValueError(f"a clique of {size} nodes is asked for; between 2 and 20 are counted")
    return 2 ** (2**size - size - 2)


# --------------------------------------------------------------------------------------------------------- comparison


@dataclass(frozen=True)
class Score:
    """How well a reconstruction meets the truth; a hyperedge counts only when all its members are right."""

    precision: float
    recall: float
    f1: float
    jaccard: float


def compare(found: Sets, truth: Sets) -> Score:
    """Precision, recall, F1 and Jaccard |found ∩ truth| / |found ∪ truth|; 0 where nothing was found."""
    right = len(found & truth)
    precision, recall = right / max(1, len(found)), right / max(1, len(truth))
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return Score(precision, recall, f1, right / max(1, len(found | truth)))


# ---------------------------------------------------------------------------------------------------------- baselines


def edge_clique_cover(graph: nx.Graph) -> Sets:
    """A greedy cover of all edges by few cliques (Conte, Grossi, Marino, "Clique covering of large real-world networks", 2016).

    From the first uncovered edge on, a clique grows by the common neighbour that covers the most uncovered edges, the
    smallest number first among equals, until none covers one.
    """
    uncovered = {tuple(sorted(edge)) for edge in graph.edges}
    cover: set[Clique] = set()
    for edge in sorted(uncovered):
        if edge not in uncovered:
            continue
        clique, common = set(edge), set(graph[edge[0]]) & set(graph[edge[1]])
        uncovered.discard(edge)
        while common:
            gains = {node: sum(tuple(sorted((node, member))) in uncovered for member in clique) for node in common}
            node = min(common, key=lambda candidate: (-gains[candidate], candidate))
            if not gains[node]:
                break
            clique.add(node)
            common &= set(graph[node])
        uncovered -= set(combinations(sorted(clique), 2))
        cover.add(tuple(sorted(clique)))
    return frozenset(cover)


def percolation(graph: nx.Graph, k: int) -> Sets:
    """Communities of overlapping k-cliques (Palla et al., Nature 2005)."""
    return as_sets(nx.community.k_clique_communities(graph, k))


def tuned_percolation(graph: nx.Graph, train: Sets) -> tuple[Sets, int]:
    """Percolation with the k, from 2 to the largest hyperedge, that does best on a training hypergraph; and that k."""
    trial = project(train)
    sizes = range(2, max(3, max(len(group) for group in train) + 1))
    best = max(sizes, key=lambda k: (compare(percolation(trial, k), train).jaccard, -k))
    return percolation(graph, best), best


def demon(graph: nx.Graph) -> Sets:
    """Communities by a vote of neighbours inside every node's surroundings (Coscia et al., DEMON, KDD 2012); a community
    inside another is dropped, overlapping ones are not merged.

    Each node's neighbours, without the node, are split by label propagation, and the node joins every part.
    """
    found: set[Clique] = set()
    for node in sorted(graph):
        around = graph.subgraph(graph[node])
        for part in _label_propagation(around):
            found.add(tuple(sorted({node, *part})))
    return frozenset(group for group in found if not any(set(group) < set(other) for other in found))


def _label_propagation(graph: nx.Graph) -> list[set[int]]:
    """Every node takes the label of most of its neighbours (the smallest among equals), in rising order, until none changes."""
    label = {node: node for node in sorted(graph)}
    for _ in range(100):
        changed = False
        for node in label:
            votes: dict[int, int] = {}
            for other in graph[node]:
                votes[label[other]] = votes.get(label[other], 0) + 1
            if votes:
                winner = min(votes, key=lambda name: (-votes[name], name))
                changed |= winner != label[node]
                label[node] = winner
        if not changed:
            break
    return [{node for node in label if label[node] == name} for name in sorted(set(label.values()))]


# ------------------------------------------------------------------------------------------------------- made examples


def clubs(num_nodes: int, communities: int, count: int, nested: float, triangles: float, rng: np.random.Generator) -> Sets:
    """A hypergraph of groups inside communities, with the two patterns put in on purpose; two draws make a pair to learn from.

    Args:
        count: how often something is added: with probability `nested` a random part of a group that is there, with probability
            `triangles` three groups that overlap in pairs, else a new group of 2 to 6. New groups that would by themselves
            hide or fake something are not taken, so that nothing is lost when both probabilities are 0. Random parts follow
            no habit that could be learned: what learning gains here is small, unlike on real groups.

    Raises:
        ValueError: probabilities that are negative or exceed 1 together, or fewer than six nodes per community.
    """
    if min(nested, triangles) < 0 or nested + triangles > 1:
        raise ValueError(f"nested is {nested} and triangles is {triangles}; they must be 0 or more and add up to at most 1")
    if num_nodes < 6 * communities:
        raise ValueError(f"{num_nodes} nodes in {communities} communities are too few; at least 6 per community are needed")
    homes = [part.tolist() for part in np.array_split(np.arange(num_nodes), communities)]
    plain: Sets = frozenset()
    added: set[Clique] = set()
    for _ in range(count):
        home, kind = homes[rng.integers(communities)], rng.random()
        large = sorted(group for group in plain if len(group) > 2)
        if kind < nested and large:
            added.add(_part(large[rng.integers(len(large))], rng))
        elif nested <= kind < nested + triangles:
            added |= _triangle(home, plain | added, rng)
        else:
            plain = _with_group(plain, home, rng)
    return plain | added


def _part(group: Clique, rng: np.random.Generator) -> Clique:
    size = int(rng.integers(2, len(group)))
    return tuple(sorted(rng.choice(group, size, replace=False).tolist()))


def _triangle(home: list[int], sets: Sets, rng: np.random.Generator) -> set[Clique]:
    """Three pairs of three nodes that share no group, each with up to one further member; nothing when all share one."""
    for _ in range(20):
        a, b, c, *more = rng.choice(home, min(6, len(home)), replace=False).tolist()
        groups = {tuple(sorted({*pair, *more[i : i + int(rng.integers(2))]})) for i, pair in enumerate([(a, b), (b, c), (a, c)])}
        if not any({a, b, c} <= set(group) for group in sets):
            return groups
    return set()


def _with_group(sets: Sets, home: list[int], rng: np.random.Generator) -> Sets:
    for _ in range(50):
        group = tuple(sorted(rng.choice(home, int(rng.integers(2, 7)), replace=False).tolist()))
        if group not in sets and damage(sets | {group}).lossless:
            return sets | {group}
    return sets
