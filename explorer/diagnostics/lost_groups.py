"""What is lost when groups are replaced by the pairs in them, and how well they were guessed back.

The words (names, formulas, thresholds, hints) are text beside the code: `lost_groups.json`.
"""

from __future__ import annotations

import math

from explorer.diagnostics.measure import Measure, measure


def log_worlds(size: int) -> float:
    """log₁₀ of 2^(2^n − n − 2), for 2 ≤ n ≤ 20: so many collections of groups share the pairs of one group of n."""
    n = min(size, 20)
    return (2**n - n - 2) * math.log10(2) if n >= 2 else 0.0


def summary(groups: int, nested: int, readable: int, cliques: int, fake: int, largest: int, guess: float, baseline: float) -> list[Measure]:
    """All measures, from counts.

    Args:
        groups, nested, readable: hyperedges, those inside another, those that are maximal cliques.
        cliques, fake: maximal cliques of the projection, those that are no hyperedge.
        largest: members of the largest hyperedge.
        guess, baseline: Jaccard of the learned guess and of all maximal cliques.
    """
    worlds = log_worlds(largest)
    return [
        measure("groups_readable", readable / groups),
        measure("groups_nested", nested / groups),
        measure("groups_fake", fake / cliques),
        measure("groups_ambiguity", worlds, size=largest, exponent=int(worlds)),
        measure("groups_guess", guess, cliques=baseline),
    ]
