"""Trees and hierarchies: named nodes, each below its parents."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, shortest_path
from torch import Tensor

MOST_NODES = 3000  # everything here holds [N, N]
ROOT = "(root)"


class HierarchyError(ValueError):
    """Names and edges are no hierarchy. The message says which, and what would be accepted."""


@dataclass(frozen=True)
class Hierarchy:
    """A directed acyclic graph in which every node reaches one root.

    Attributes:
        names: of the nodes, all different.
        edges: parent → child, [2, E] int64.
        virtual_root: True when the given graph had several tops and one root was put above them (the last node).
    """

    names: tuple[str, ...]
    edges: Tensor
    virtual_root: bool = False

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def ancestors(self) -> Tensor:
        """True at [u, v] where v is a proper ancestor of u, [N, N] bool."""
        above = torch.from_numpy(np.isfinite(shortest_path(self._links.T, unweighted=True)))
        return above & ~torch.eye(len(self), dtype=torch.bool)

    @cached_property
    def closure(self) -> Tensor:
        """Every pair (descendant, proper ancestor), [P, 2] int64."""
        return self.ancestors.nonzero()

    @cached_property
    def root(self) -> int:
        """Index of the node without a parent."""
        return int((~self.ancestors.any(1)).nonzero()[0])

    @cached_property
    def depth(self) -> Tensor:
        """Fewest steps from the root, [N] int64."""
        return torch.from_numpy(shortest_path(self._links, unweighted=True, indices=self.root)).long()

    @cached_property
    def parent(self) -> Tensor:
        """The parent of every node that is nearest to the root, −1 for the root itself, [N] int64."""
        found = torch.full((len(self),), -1)
        for parent, child in self.edges.T.tolist():
            if found[child] < 0 or self.depth[parent] < self.depth[found[child]]:
                found[child] = parent
        return found

    @cached_property
    def branch(self) -> Tensor:
        """The child of the root that every node lies below (the root: itself), [N] int64: a colour for each branch."""
        found = torch.arange(len(self))
        for node in self.depth.argsort(stable=True).tolist():
            if self.depth[node] > 1:
                found[node] = found[self.parent[node]]
        return found

    def distances(self) -> Tensor:
        """Fewest edges between every two nodes, whatever their direction, [N, N] float64."""
        return torch.from_numpy(shortest_path(self._links, directed=False, unweighted=True))

    @property
    def _links(self) -> csr_matrix:
        parent, child = self.edges.numpy()
        return csr_matrix((np.ones(len(parent)), (parent, child)), shape=(len(self), len(self)))


def from_edges(names: Sequence[str], pairs: Iterable[tuple[int, int]]) -> Hierarchy:
    """The hierarchy of named nodes and (child, parent) pairs of their indices; several tops get a virtual root above them.

    Raises:
        HierarchyError: fewer than 2 or more than 3000 nodes, a name that is empty or occurs twice, a pair out of range, or a cycle.
    """
    names, pairs = [str(name).strip() for name in names], sorted({(int(child), int(parent)) for child, parent in pairs})
    if "" in names:
        raise HierarchyError("a node has no name")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise HierarchyError(f"every node needs a name of its own; {twice[0]!r} occurs twice")
    if any(not (0 <= a < len(names) and 0 <= b < len(names)) for a, b in pairs):
        raise HierarchyError(f"an edge names a node outside 0…{len(names) - 1}")
    tops = sorted(set(range(len(names))) - {child for child, _ in pairs})
    _refuse_cycles(names, pairs)
    if not 2 <= len(names) <= MOST_NODES:
        raise HierarchyError(f"the hierarchy has {len(names)} nodes; between 2 and {MOST_NODES} can be embedded")
    if len(tops) > 1:
        pairs += [(top, len(names)) for top in tops]
        names.append(ROOT if ROOT not in names else f"{ROOT} {len(names)}")
    edges = torch.tensor([(parent, child) for child, parent in pairs], dtype=torch.int64).T.contiguous()
    return Hierarchy(tuple(names), edges, len(tops) > 1)


def _refuse_cycles(names: Sequence[str], pairs: Sequence[tuple[int, int]]) -> None:
    child, parent = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    graph = csr_matrix((np.ones(len(child)), (child, parent)), shape=(len(names), len(names)))
    if any(child == parent):
        raise HierarchyError(f"{names[int(child[child == parent][0])]!r} is its own parent")
    _, piece = connected_components(graph, connection="strong")
    turning = np.flatnonzero(np.bincount(piece)[piece] > 1)
    if len(turning):
        shown = ", ".join(repr(names[i]) for i in turning[:3])
        raise HierarchyError(f"the edges run in a circle through {shown}{' …' if len(turning) > 3 else ''}; a hierarchy only leads upwards")


def parse(text: str) -> Hierarchy:
    """The hierarchy of lines "child, parent", as a person types it; empty lines and lines after # do not count.

    Raises:
        HierarchyError: a line is no pair, or the edges are no hierarchy.
    """
    index: dict[str, int] = {}
    pairs = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.split("#")[0].strip():
            continue
        parts = [part.strip() for part in line.split("#")[0].split(",")]
        if len(parts) != 2 or not all(parts):
            raise HierarchyError(f'line {number} is {line.strip()[:40]!r}; each line should read "child, parent"')
        child, parent = (index.setdefault(part, len(index)) for part in parts)
        pairs.append((child, parent))
    return from_edges(list(index), pairs)


def balanced(branching: int, depth: int) -> Hierarchy:
    """The tree in which every node above the leaves has `branching` children; nodes in order of depth, named by their path."""
    if branching < 1 or depth < 1:
        raise HierarchyError(f"a tree with {branching} children per node and {depth} levels has no edge; both must be at least 1")
    count = sum(branching**level for level in range(depth + 1))
    if count > MOST_NODES:
        raise HierarchyError(f"the tree would have {count} nodes; at most {MOST_NODES} can be embedded")
    parents = [(child, (child - 1) // branching) for child in range(1, count)]
    names = ["•"]
    for child, parent in parents:
        names.append(f"{names[parent]}{(child - 1) % branching + 1}")
    return from_edges(names, parents)


def cifar100() -> Hierarchy:
    """Root → 20 superclasses → 100 classes, 121 nodes. Source: Krizhevsky, "Learning Multiple Layers of Features", 2009."""
    groups = json.loads(Path(__file__).with_name("cifar100.json").read_text(encoding="utf-8"))
    names = ["all classes", *groups, *(name for classes in groups.values() for name in classes)]
    pairs = [(names.index(group), 0) for group in groups]
    pairs += [(names.index(name), names.index(group)) for group, classes in groups.items() for name in classes]
    return from_edges(names, pairs)
