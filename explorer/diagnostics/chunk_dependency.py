"""Numbers about a ChunkDependency: which parts of generated weights depend on which, and how alike tasks are."""

from __future__ import annotations

import torch

from explorer.diagnostics.measure import Measure, NotMeasurable, measure, sections
from models.structures import ChunkDependency

KEYS = ("chunks_below", "chunks_above", "chunks_reach", "tasks_alike")


def shares(found: ChunkDependency) -> tuple[float, float]:
    """Shares of ΣD² below the diagonal (later parts, earlier embeddings) and above it.

    Raises:
        NotMeasurable: nothing depends on any embedding.
    """
    power = found.matrix.double().square()
    total = power.sum()
    if total == 0:
        raise NotMeasurable("no weight depends on an embedding")
    return float(power.tril(-1).sum() / total), float(power.triu(1).sum() / total)


def reach(found: ChunkDependency) -> float:
    """Mean distance (chunks) between an embedding and what it moves, weighted by D².

    Raises:
        NotMeasurable: nothing depends on any embedding.
    """
    power = found.matrix.double().square()
    if power.sum() == 0:
        raise NotMeasurable("no weight depends on an embedding")
    place = torch.arange(len(power), dtype=torch.float64)
    return float(((place[:, None] - place) * power).sum() / power.sum())


def likeness(found: ChunkDependency) -> float:
    """Mean cosine of the weights of two different tasks.

    Raises:
        NotMeasurable: there is one task only, or a task's weights are all 0.
    """
    rows = found.weights.double()
    if len(rows) < 2 or rows.norm(dim=1).min() == 0:
        raise NotMeasurable("there are no two tasks with weights")
    rows = rows / rows.norm(dim=1, keepdim=True)
    cosines = rows @ rows.T
    return float((cosines.sum() - cosines.trace()) / (len(rows) * (len(rows) - 1)))


def summary(found: ChunkDependency) -> list[Measure]:
    """All measures of one hypernetwork."""

    def below() -> list[Measure]:
        value = shares(found)[0]
        words = ": each chunk stands alone" if value < 1e-12 else ""
        return [measure("chunks_below", value, words=words)]

    return sections(
        [
            (KEYS[0:1], below),
            (KEYS[1:2], lambda: [measure("chunks_above", shares(found)[1])]),
            (KEYS[2:3], lambda: [measure("chunks_reach", reach(found))]),
            (KEYS[3:4], lambda: [measure("tasks_alike", likeness(found), tasks=len(found.weights))]),
        ]
    )
