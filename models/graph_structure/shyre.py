"""Guessing the groups back from a graph of pairs, by learning from one example of the same kind (SHyRe).

Wang and Kleinberg, "From Graphs to Hypergraphs: Hypergraph Projection and its Remediation", ICLR 2024, arXiv 2401.08519. Written from
the description of the method:

    ρ(n, k)     how many of the k-subsets of maximal cliques of size n are hyperedges: alike in one domain
    sampler     spend a budget β of subsets on the cells (n, k) where they find the most new hyperedges
    candidates  all maximal cliques, and the k-subsets of n-cliques for the cells chosen
    classifier  one small network for maximal cliques, one for nested candidates, on structural features

A cell that the budget does not cover takes a share of the cliques with all their subsets. Features are standardised with the
statistics of their own candidates, also for the query, which makes a change of domain milder. Ours: subsets have at most six
members or leave out at most two, because there would be too many of the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.graph_structure import nx
from models.graph_structure.projection import Clique, Sets, maximal_cliques, project

COUNT_FEATURES = (
    "is nested",
    "size",
    "every edge lies in two or more maximal cliques",
    "maximal cliques over an edge, mean",
    "degree, mean",
    "mean degree of the neighbours, mean",
    "maximal cliques over a node, mean",
    "clustering coefficient, mean",
    "sampled parent cliques",
)
EMPTY = 1e8
LARGEST_SUBSET = 6


# ---------------------------------------------------------------------------------------------------------- statistic


@dataclass(frozen=True)
class Rho:
    """How hyperedges hide in maximal cliques.

    Attributes:
        found: found[n][k] are the hyperedges of size k that lie in some maximal clique of size n.
        subsets: how many k-subsets the maximal cliques of size n have, [N + 1, N + 1] float64; 1e8 where there is no such clique
            or no hyperedge of that size, 0 in row and column 0.
    """

    found: dict[tuple[int, int], frozenset[Clique]]
    subsets: np.ndarray

    @property
    def largest(self) -> int:
        return self.subsets.shape[0] - 1

    def counts(self) -> np.ndarray:
        """How many hyperedges each cell holds, [N + 1, N + 1] int64."""
        counts = np.zeros(self.subsets.shape, np.int64)
        for cell, members in self.found.items():
            counts[cell] = len(members)
        return counts

    def density(self) -> np.ndarray:
        """ρ(n, k), [N + 1, N + 1] float64; 0 where the cell is empty."""
        return self.counts() / np.where(self.subsets > 0, self.subsets, 1)


def rho(cliques: Sequence[Clique], sets: Sets) -> Rho:
    """The statistic of one example: maximal cliques of its projection, and its hyperedges."""
    present = sorted({len(group) for group in sets})
    sizes = [size for size in sorted({len(clique) for clique in cliques}) if size >= present[0]]
    largest = max(sizes)
    subsets = np.full((largest + 1, largest + 1), EMPTY)
    subsets[0] = subsets[:, 0] = 0
    over = _over_nodes(cliques)
    homes = {group: {len(cliques[i]) for i in set.intersection(*(over[node] for node in group))} for group in sets}
    found = {}
    for n in sizes:
        for k in (k for k in present if k <= n):
            subsets[n, k] = sum(len(clique) == n for clique in cliques) * comb(n, k)
            found[n, k] = frozenset(group for group in sets if len(group) == k and n in homes[group])
    return Rho(found, subsets)


def _over_nodes(cliques: Sequence[Clique]) -> dict[int, set[int]]:
    """Numbers of the cliques over each node."""
    over: dict[int, set[int]] = {}
    for number, clique in enumerate(cliques):
        for node in clique:
            over.setdefault(node, set()).add(number)
    return over


# ------------------------------------------------------------------------------------------------------------ sampler


@dataclass(frozen=True)
class Sampler:
    """Which cells (n, k) are sampled, in order, and the share of the n-cliques that each takes.

    Attributes:
        cells: in the order in which they were chosen.
        ratio: [N + 1, N + 1] float64.
        collected: hyperedges of the example that the choice covers.
    """

    cells: tuple[tuple[int, int], ...]
    ratio: np.ndarray
    collected: int

    @classmethod
    def fit(cls, statistic: Rho, budget: float, seed: int = 0) -> Sampler:
        """Greedy choice: always the cell with the most new hyperedges per subset, until the budget is spent or none is new.

        Raises:
            ValueError: the budget is not positive.
        """
        if budget <= 0:
            raise ValueError(f"the budget is {budget}; it must be a positive number of subsets")
        rng, largest = np.random.default_rng(seed), statistic.largest
        ratio, cells = np.zeros_like(statistic.subsets), list[tuple[int, int]]()
        covered: dict[int, set[Clique]] = {k: set() for k in range(1, largest + 1)}
        unused = {k: [n for n in range(k, largest + 1) if k <= LARGEST_SUBSET or k >= n - 2] for k in range(1, largest + 1)}
        best = {k: _best_cell(k, unused[k], covered[k], statistic) for k in unused}
        while budget > 0:
            _, k = max((gain, k) for k, (gain, _) in best.items())
            n = best[k][1]
            size, members = statistic.subsets[n, k], sorted(statistic.found.get((n, k), ()))
            cells.append((n, k))
            ratio[n, k] = min(budget, size) / size
            if ratio[n, k] < 1:
                members = [members[i] for i in rng.choice(len(members), int(ratio[n, k] * len(members)), replace=False)]
            covered[k] |= set(members)
            unused[k].remove(n)
            budget -= size
            best[k] = _best_cell(k, unused[k], covered[k], statistic)
            if max(best.values())[0] <= 0:
                break
        return cls(tuple(cells), ratio, sum(map(len, covered.values())))

    def candidates(self, cliques: Sequence[Clique]) -> dict[Clique, list[Clique]]:
        """Sampled subsets of the maximal cliques, each with the cliques that it was sampled from."""
        parents: dict[Clique, list[Clique]] = {}
        by_size: dict[int, list[Clique]] = {}
        for clique in cliques:
            by_size.setdefault(len(clique), []).append(clique)
        for n, k in self.cells:
            same = by_size.get(n, [])
            for clique in same[: int(len(same) * self.ratio[n, k])]:
                for subset in combinations(clique, k):
                    parents.setdefault(subset, []).append(clique)
        return parents


def efficiency(statistic: Rho) -> list[tuple[int, int, int, int]]:
    """All cells in the order of the greedy choice, with what each costs and brings: (n, k, subsets, new hyperedges).

    What a sampler of any budget collects is the sum over the first cells that it can pay for (and a share of the next one).
    """
    covered: set[Clique] = set()
    rows = []
    for n, k in Sampler.fit(statistic, float("inf")).cells:
        new = statistic.found.get((n, k), frozenset()) - covered
        covered |= new
        rows.append((n, k, int(statistic.subsets[n, k]), len(new)))
    return [row for row in rows if row[3]]


def _best_cell(k: int, sizes: Sequence[int], covered: set[Clique], statistic: Rho) -> tuple[float, int]:
    """The clique size with the most new hyperedges of size k per subset, the smallest among equals: (gain, size)."""
    gains = [(len(statistic.found.get((n, k), frozenset()) - covered) / statistic.subsets[n, k], -n) for n in sizes]
    gain, size = max(gains, default=(0.0, 0))
    return float(gain), -size


# ----------------------------------------------------------------------------------------------------------- features


@dataclass(frozen=True)
class Candidates:
    """Possible hyperedges of a graph: its maximal cliques in rising order, then the nested ones in rising order.

    Attributes:
        graph: the projection.
        cliques: the maximal cliques.
        nested: the sampled subsets that are none.
        parents: the cliques that a candidate was sampled from.
    """

    graph: nx.Graph
    cliques: list[Clique]
    nested: list[Clique]
    parents: dict[Clique, list[Clique]]

    @classmethod
    def of(cls, graph: nx.Graph, sampler: Sampler, cliques: list[Clique] | None = None) -> Candidates:
        cliques = maximal_cliques(graph) if cliques is None else cliques
        parents = sampler.candidates(cliques)
        return cls(graph, cliques, sorted(set(parents) - set(cliques)), parents)

    @property
    def all(self) -> list[Clique]:
        return self.cliques + self.nested

    def labels(self, truth: Sets) -> np.ndarray:
        """1 where a candidate is a hyperedge, [candidates] int64."""
        return np.array([candidate in truth for candidate in self.all], np.int64)


def standardised(raw: np.ndarray) -> np.ndarray:
    """Every column minus its mean, over its standard deviation + 1e-8."""
    return (raw - raw.mean(0, keepdims=True)) / (raw.std(0, keepdims=True) + 1e-8)


def count_features(candidates: Candidates) -> np.ndarray:
    """The nine features named in COUNT_FEATURES, [candidates, 9] float64."""
    graph, cliques = candidates.graph, candidates.cliques
    over_node = {node: len(found) for node, found in _over_nodes(cliques).items()}
    over_edge: dict[Clique, int] = {}
    for clique in cliques:
        for edge in combinations(clique, 2):
            over_edge[edge] = over_edge.get(edge, 0) + 1
    degree = dict(graph.degree)
    around = {node: float(np.mean([degree[other] for other in graph[node]])) if degree[node] else 0.0 for node in graph}
    clustering = nx.clustering(graph)
    rows = []
    for number, candidate in enumerate(candidates.all):
        edges = [over_edge[edge] for edge in combinations(candidate, 2)]
        means = [sum(table[node] for node in candidate) / len(candidate) for table in (degree, around, over_node, clustering)]
        nested, doubled = number >= len(cliques), bool(edges) and min(edges) > 1
        rows.append([nested, len(candidate), doubled, sum(edges) / max(1, len(edges)), *means, len(candidates.parents.get(candidate, ()))])
    return np.array(rows, dtype=float).reshape(-1, len(COUNT_FEATURES))


def motif_features(candidates: Candidates) -> np.ndarray:
    """Size, mean degree, and 13 counts of how maximal cliques meet around members (1–3) and pairs of members (4–13).

    Each count is summarised over the members or pairs by minimum, maximum, mean and (population) standard deviation:
    [candidates, 54] float64.
    """
    sets = [set(clique) for clique in candidates.cliques]
    over, degree = _over_nodes(candidates.cliques), dict(candidates.graph.degree)
    around: dict[int, list[int]] = {}
    between: dict[Clique, list[int]] = {}
    rows = []
    for candidate in candidates.all:
        for node in candidate:
            if node not in around:
                around[node] = _motifs_of_node(node, sorted(over[node]), sets)
        pairs = list(combinations(candidate, 2))
        for pair in pairs:
            if pair not in between:
                between[pair] = _motifs_of_pair(pair, over, sets)
        single = np.array([around[node] for node in candidate], dtype=float)
        double = np.array([between[pair] for pair in pairs] or [[0] * 10], dtype=float)
        summary = [np.stack([part.min(0), part.max(0), part.mean(0), part.std(0)], 1).ravel() for part in (single, double)]
        rows.append(np.concatenate([[len(candidate), np.mean([degree[node] for node in candidate])], *summary]))
    return np.array(rows).reshape(-1, 54)


def _motifs_of_node(node: int, cliques: list[int], sets: list[set[int]]) -> list[int]:
    """Cliques over the node; pairs of them that meet only there; pairs that meet elsewhere too."""
    meeting = sum(len(sets[a] & sets[b]) > 1 for a, b in combinations(cliques, 2))
    return [len(cliques), comb(len(cliques), 2) - meeting, meeting]


def _motifs_of_pair(pair: Clique, over: dict[int, set[int]], sets: list[set[int]]) -> list[int]:
    """Motifs 4–13. A clique holds both nodes, only the first, or only the second; pairs of cliques are counted by that and by
    whether they meet outside the pair."""
    first, second = over[pair[0]], over[pair[1]]
    kinds = {clique: (clique in first) + 2 * (clique in second) for clique in first | second}
    both = sum(kind == 3 for kind in kinds.values())
    counts = dict.fromkeys([(what, met) for what in ("opposite", "same", "one and both", "both") for met in (False, True)], 0)
    outside = {clique: sets[clique] - set(pair) for clique in kinds}
    for a, b in combinations(kinds, 2):
        ones = sorted((kinds[a], kinds[b]))
        what = "both" if ones == [3, 3] else "one and both" if ones[1] == 3 else "same" if ones[0] == ones[1] else "opposite"
        counts[what, not outside[a].isdisjoint(outside[b])] += 1
    order = [("opposite", False), ("same", False), ("opposite", True), ("one and both", False), ("same", True)]
    order += [("both", False), ("one and both", True), ("both", True)]
    return [both, len(kinds) - both, *(counts[cell] for cell in order)]


# --------------------------------------------------------------------------------------------------------- classifier


class Verdict(nn.Module):
    """Is this candidate a hyperedge? One hidden layer of 100 (the default of the reference), trained by Adam on all candidates.

    Args:
        features: width of the input; standardise it with `standardised`.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(features, 100), nn.Linear(100, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Standardised features [n, features] → logits [n]."""
        return self.out(self.hidden(x).relu())[:, 0]

    def fit(self, x: Tensor, y: Tensor, seed: int = 0, epochs: int = 2000) -> Verdict:
        """Train to the end, see `fitting`."""
        for _ in self.fitting(x, y, seed, epochs):
            pass
        return self.eval()

    def fitting(self, x: Tensor, y: Tensor, seed: int = 0, epochs: int = 2000) -> Iterator[float]:
        """Train until the loss has not fallen by 1e-4 for ten epochs (batches of 200, L2 penalty of 1e-4 over the batch); the mean
        loss after every epoch."""
        generator = torch.Generator().manual_seed(seed)
        for layer in (self.hidden, self.out):
            bound = (6 / (layer.in_features + layer.out_features)) ** 0.5
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
        weights = {"params": [self.hidden.weight, self.out.weight], "weight_decay": 1e-4 / min(200, len(x))}
        biases = {"params": [self.hidden.bias, self.out.bias], "weight_decay": 0.0}
        optimiser, lowest, stale = torch.optim.Adam([weights, biases], 1e-3, fused=True), float("inf"), 0
        for _ in range(epochs):
            total = 0.0
            for part in torch.randperm(len(x), generator=generator).split(200):
                loss = F.binary_cross_entropy_with_logits(self(x[part]), y[part])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                total += loss.item() * len(part) / len(x)
            yield total
            stale = 0 if total < lowest - 1e-4 else stale + 1
            lowest = min(lowest, total)
            if stale > 10:
                break


def contributions(verdict: Verdict, x: Tensor, steps: int = 16) -> Tensor:
    """What each feature adds to the logit against a mean candidate (all zeros): integrated gradients, [n, features].

    They add up to logit(x) − logit(0), but for the error of the midpoint rule. Source: Sundararajan et al., ICML 2017.
    """
    with torch.inference_mode(False), torch.enable_grad():
        x = x.clone()
        along = ((torch.arange(steps) + 0.5) / steps)[:, None, None] * x
        along.requires_grad_()
        (gradient,) = torch.autograd.grad(verdict(along.flatten(0, 1)).sum(), along)
    return x * gradient.mean(0)


class Verdicts(nn.Module):
    """The classifiers of a trained reconstruction, for maximal cliques and for nested candidates, as one file of weights."""

    def __init__(self, features: int = len(COUNT_FEATURES)) -> None:
        super().__init__()
        self.maximal, self.nested = Verdict(features), Verdict(features)

    def forward(self, x: Tensor, nested: Tensor) -> Tensor:
        """Standardised features [n, features], and which candidates are nested [n] bool → logits [n]."""
        return torch.where(nested, self.nested(x), self.maximal(x))


@dataclass(frozen=True)
class Reconstruction:
    """What SHyRe makes of a graph.

    Attributes:
        candidates: everything that was considered.
        raw, features: their features as counted and standardised, [n, 9] float64.
        probability: of being a hyperedge, [n] float64.
        sets: the candidates with a probability above one half.
    """

    candidates: Candidates
    raw: np.ndarray
    features: np.ndarray
    probability: np.ndarray
    sets: Sets


@dataclass(frozen=True)
class SHyRe:
    """A trained reconstruction. A verdict is None where the example had nothing to learn from; it then says the only thing seen.

    Attributes:
        statistic: of the example; None where it was learned elsewhere and only what was learned is known.
        sampler: of the example.
        verdicts: for maximal cliques and for nested candidates.
        constants: probability where the verdict is None.
    """

    statistic: Rho | None
    sampler: Sampler
    verdicts: tuple[Verdict | None, Verdict | None]
    constants: tuple[float, float]

    @classmethod
    def fit(cls, example: Sets, budget: float = 1e5, seed: int = 0) -> SHyRe:
        """Learn from one hypergraph (count features).

        Raises:
            ValueError: see `project`, `maximal_cliques` and `Sampler`.
        """
        graph = project(example)
        cliques = maximal_cliques(graph)
        statistic = rho(cliques, example)
        sampler = Sampler.fit(statistic, budget, seed)
        candidates = Candidates.of(graph, sampler, cliques)
        x, y = torch.from_numpy(standardised(count_features(candidates))).float(), torch.from_numpy(candidates.labels(example)).float()
        split = len(cliques)
        verdicts, constants = [], []
        for inputs, answers in ((x[:split], y[:split]), (x[split:], y[split:])):
            mixed = 0 < int(answers.sum()) < len(answers)
            verdicts.append(Verdict(x.shape[1]).fit(inputs, answers, seed) if mixed else None)
            constants.append(float(answers[0]) if len(answers) else 0.0)
        return cls(statistic, sampler, (verdicts[0], verdicts[1]), (constants[0], constants[1]))

    @classmethod
    def restored(cls, verdicts: Verdicts, cells: Sequence[tuple[int, int, float]], collected: int = 0) -> SHyRe:
        """What was learned elsewhere, from both classifiers and the sampler's cells (n, k, share of the n-cliques) in their order."""
        largest = max((n for n, _, _ in cells), default=0)
        ratio = np.zeros((largest + 1, largest + 1))
        for n, k, share in cells:
            ratio[n, k] = share
        sampler = Sampler(tuple((int(n), int(k)) for n, k, _ in cells), ratio, collected)
        return cls(None, sampler, (verdicts.maximal, verdicts.nested), (0.0, 0.0))

    @torch.inference_mode()
    def reconstruct(self, graph: nx.Graph) -> Reconstruction:
        """Guess the hyperedges of a graph whose nodes are whole numbers. Errors as of `maximal_cliques`."""
        candidates = Candidates.of(graph, self.sampler)
        raw = count_features(candidates)
        features = standardised(raw)
        x, split = torch.from_numpy(features).float(), len(candidates.cliques)
        parts = [self._probability(which, part) for which, part in enumerate((x[:split], x[split:]))]
        probability = torch.cat(parts).double().numpy()
        chosen = frozenset(c for c, p in zip(candidates.all, probability, strict=True) if p > 0.5)
        return Reconstruction(candidates, raw, features, probability, chosen)

    def _probability(self, which: int, x: Tensor) -> Tensor:
        verdict = self.verdicts[which]
        return x.new_full((len(x),), self.constants[which]) if verdict is None else verdict(x).sigmoid()
