"""Projection and SHyRe: maximal cliques, ρ, sampler, candidates, features, labels, the maximal-clique baseline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from models.graph_structure.projection import Clique, Sets, as_sets, compare, maximal_cliques, project
from models.graph_structure.shyre import Candidates, Sampler, count_features, motif_features, rho, standardised
from tests.parity.case import Case, CaseError, Check, KeyFile, close, equal, unknown


def shapes(keys: KeyFile) -> dict[str, tuple[int, ...]]:
    raise CaseError("this system has no network with published weights, so there are no names and shapes to compare")


def check(case: Case) -> Iterator[Check]:
    train, test = as_sets(stored_sets(case, "input.train_hyperedges")), as_sets(stored_sets(case, "input.test_hyperedges"))
    numbers, whole, lists = _ours(train, test, float(case.configuration["beta"]))
    for name, stored in case.outputs.items():
        quantity, (plain, _, part) = f"output.{name}", name.rpartition(".")
        if part == "offsets" and plain in lists:
            continue
        if part == "members" and plain in lists:
            yield _equal_lists(f"output.{plain}", lists[plain], stored_sets(case, f"output.{plain}"))
        elif name in numbers:
            atol, rtol = (1e-9, 0) if stored.dtype == torch.float64 else (1e-6, 1e-6)
            yield close(quantity, numbers[name], stored, atol, rtol)
        elif name in whole:
            yield equal(quantity, whole[name], stored)
        else:
            yield unknown(quantity)


def _ours(train: Sets, test: Sets, budget: float) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Sequence[Clique]]]:
    """Everything that a file may hold, by its name there: numbers, whole numbers, lists of sets."""
    graphs = {"train": project(train), "test": project(test)}
    cliques = {which: maximal_cliques(graph) for which, graph in graphs.items()}
    statistic = rho(cliques["train"], train)
    sampler = Sampler.fit(statistic, budget)
    found = Candidates.of(graphs["test"], sampler, cliques["test"])
    raw = count_features(found)
    score = compare(frozenset(cliques["test"]), test)
    numbers = {
        "rho.num_subcliques": statistic.subsets,
        "sampler.ratio": sampler.ratio,
        "features_count.raw": raw,
        "features_count.normalised": standardised(raw),
        "features_motif": motif_features(found),
        "maxclique_baseline.prf1j": [score.precision, score.recall, score.f1, score.jaccard],
    }
    whole = {
        "rho.unique_hyperedges": statistic.counts(),
        "sampler.seq_nk": sampler.cells,
        "sampler.n_collected": sampler.collected,
        "features_count.labels": found.labels(test),
    }
    lists: dict[str, Sequence[Clique]] = {f"max_cliques_{which}": listed for which, listed in cliques.items()}
    lists |= {f"candidates_{which}": sorted(sampler.candidates(listed)) for which, listed in cliques.items()}
    lists["features_count.candidates"] = found.all
    as_double = {name: torch.as_tensor(value, dtype=torch.float64) for name, value in numbers.items()}
    return as_double, {name: torch.as_tensor(value) for name, value in whole.items()}, lists


def stored_sets(case: Case, name: str) -> list[Clique]:
    members, offsets = case.tensors[f"{name}.members"].tolist(), case.tensors[f"{name}.offsets"].tolist()
    return [tuple(members[a:b]) for a, b in pairwise(offsets)]


def _equal_lists(quantity: str, ours: Sequence[Clique], stored: Sequence[Clique]) -> Check:
    wrong = sum(a != b for a, b in zip(ours, stored, strict=False)) + abs(len(ours) - len(stored))
    return Check(quantity, wrong, 0, not wrong, f"{len(stored)} sets")
