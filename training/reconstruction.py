"""Learn where hyperedges hide in a graph of pairs, from the first half of the Enron e-mails, and guess those of the second half.

python -m training.reconstruction --data-dir DIR

DIR holds email-Enron.npz: `nodes` and `offset` of all e-mails in their order (143 people; each e-mail is the set of its sender and
receivers; Benson, Abebe, Schaub, Jadbabaie, Kleinberg, PNAS 2018). Sets of 2 to 8 people count, each once per half.
shyre_enron ships: two small classifiers; where to look for candidates stands in its model card. Other seeds are told there too. It takes
seconds, so on the generator models.graph_structure.projection.clubs the page learns live.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models import zoo
from models.graph_structure.projection import Sets, as_sets, compare, damage, edge_clique_cover, maximal_cliques, project
from models.graph_structure.shyre import COUNT_FEATURES, SHyRe, Verdicts, rho
from training.loop import ship

NAME = "shyre_enron"
SHIPPED = (NAME,)
BUDGET = 3000.0  # subsets
LARGEST = 8
SEEDS = 3


def halves(folder: Path) -> tuple[Sets, Sets]:
    """The hyperedges of the first and of the second half of the e-mails; many are in both.

    Raises:
        FileNotFoundError: email-Enron.npz is not in `folder`.
    """
    path = folder.expanduser() / "email-Enron.npz"
    if not path.exists():
        raise FileNotFoundError(f"no email-Enron.npz in {folder}")
    with np.load(path) as stored:
        mails = [set(stored["nodes"][a:b].tolist()) for a, b in pairwise(stored["offset"].tolist())]
    middle = len(mails) // 2
    first, second = (as_sets(mail for mail in half if 1 < len(mail) <= LARGEST) for half in (mails[:middle], mails[middle:]))
    return first, second


def main() -> None:
    args = _arguments()
    example, query = halves(args.data_dir)
    begun = time.process_time()
    learned = [SHyRe.fit(example, BUDGET, seed) for seed in range(args.seed, args.seed + SEEDS)]
    spent = round((time.process_time() - begun) / SEEDS, 1)
    rows = [{"seed": args.seed + i, **figures(one, query)} for i, one in enumerate(learned)]
    told = ", ".join(f"{row['jaccard']:.3f}" for row in rows)
    print(f"{NAME}: Jaccard {told} on the second half ({len(query)} hyperedges), {baselines(query)}", flush=True)
    ship(NAME, weights(learned[0]), _card(args.seed, learned[0], rows, spent, example, query), args.out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of email-Enron.npz")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=zoo.WEIGHTS)
    parser.add_argument("--threads", type=int, default=0, help="0 takes what torch takes")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    return args


def weights(learned: SHyRe) -> Verdicts:
    """Both classifiers as one module.

    Raises:
        ValueError: the example had nothing to learn from in one of the two kinds of candidates.
    """
    maximal, nested = learned.verdicts
    if maximal is None or nested is None:
        raise ValueError(
            "all maximal cliques of the example, or all its nested candidates, are hyperedges, or none is: there is nothing to learn"
        )
    both = Verdicts(len(COUNT_FEATURES))
    both.maximal, both.nested = maximal, nested
    return both


def figures(learned: SHyRe, query: Sets) -> dict[str, float]:
    """Precision, recall, F1 and Jaccard of what is guessed from the pairs of `query` alone; how many candidates, and how many guessed."""
    found = learned.reconstruct(project(query))
    score = compare(found.sets, query)
    return {
        **{name: round(getattr(score, name), 4) for name in ("jaccard", "precision", "recall", "f1")},
        "candidates": len(found.candidates.all),
        "guessed": len(found.sets),
    }


def baselines(query: Sets) -> dict[str, float]:
    """Jaccard of two guesses that learn nothing."""
    graph = project(query)
    guesses = {"maximal cliques": frozenset(maximal_cliques(graph)), "edge clique cover": edge_clique_cover(graph)}
    return {name: round(compare(guess, query).jaccard, 4) for name, guess in guesses.items()}


def _card(seed: int, learned: SHyRe, rows: list[dict[str, float]], spent: float, example: Sets, query: Sets) -> dict[str, Any]:
    sampler = learned.sampler
    return {
        "model": zoo.ENTRIES[NAME].describe(),
        "labels": ["no hyperedge", "hyperedge"],
        "input": {"sees": "candidates", "features": list(COUNT_FEATURES), "standardised": "over the candidates of the same graph"},
        "data": f"e-mails of Enron, first half: {len(example)} sets of 2 to {LARGEST} people; tested on the second half: {len(query)} sets, "
        f"{len(example & query)} of which occur in both",
        "data_licence": "no licence file (arbenson/ScHoLP-Data); cite Benson et al., PNAS 2018; the data are not in the weights",
        "licence": "Apache-2.0 (weights trained for this project)",
        "test_jaccard": rows[0]["jaccard"],
        "test_split": f"hyperedges of the second half, {len(query)}; a guess counts when all its members are right",
        "seeds": [row["seed"] for row in rows],
        "spread": rows,
        "baselines": baselines(query),
        "sampler": {
            "budget": BUDGET,
            "cells": [[n, k, round(float(sampler.ratio[n, k]), 12)] for n, k in sampler.cells],
            "collected": sampler.collected,
        },
        "rho": {"example": _cells(example), "query": _cells(query)},
        "damage": {"example": _harm(example), "query": _harm(query)},
        "recipe": {"optimiser": "Adam", "rate": 1e-3, "batch": 200, "l2": 1e-4, "epochs": "until the loss stands still"},
        "cpu_seconds": spent,
        "command": f"python -m training.reconstruction --data-dir DIR --seed {seed}",
    }


def _cells(sets: Sets) -> list[list[int]]:
    """[n, k, hyperedges of size k in a maximal clique of size n, k-subsets of such cliques] wherever there are any."""
    found = rho(maximal_cliques(project(sets)), sets)
    counts = found.counts()
    return [[int(n), int(k), int(counts[n, k]), int(found.subsets[n, k])] for n, k in np.argwhere(counts > 0)]


def _harm(sets: Sets) -> dict[str, float]:
    found = damage(sets)
    return {"nested_share": round(found.nested_share, 4), "fake_share": round(found.fake_share, 4)}


if __name__ == "__main__":
    main()
