"""The graphs of the four tasks for training: drawn by seed once, kept on disk with the places of their nodes, and their drawings.

Nothing is downloaded. Graphs follow from their numbers (see models.graph_structure.generators), so the files in `runs` only save
time: what no longer agrees with the generators, or is not there, is made anew.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.graph_structure.generators import TASKS, sample
from models.graph_structure.layouts import layout
from models.graph_structure.rasteriser import EVEN, Pen, draw
from models.structures import AbstractGraph

TURNED_FREELY = ("kamada-kawai", "forceatlas2")  # their axes mean nothing, those of the other layouts do


@dataclass(frozen=True)
class Split:
    """The first graphs of a split.

    Attributes:
        task, name: as in models.graph_structure.generators.TASKS.
        graphs: n of them.
        targets: number of the class, or the value asked for, [n] float64.
    """

    task: str
    name: str
    graphs: list[AbstractGraph]
    targets: Tensor

    def labels(self) -> Tensor:
        """[n] int64."""
        return self.targets.long()


def split(task: str, name: str, runs: Path, count: int | None = None) -> Split:
    """The first `count` graphs of a split (all of them when None), from `runs` if they are there. Errors as of `sample`."""
    count = TASKS[task].bands[name].count if count is None else count
    path = runs / "graphs" / f"{task}_{name}_{count}.pt"
    found = _read(path)
    if found is not None:
        kept = Split(task, name, *_unpacked(found))
        if all(_alike(kept.graphs[i], sample(task, name, i).graph) for i in (0, count - 1)):
            return kept
    drawn = [sample(task, name, i) for i in range(count)]
    made = Split(task, name, [one.graph for one in drawn], torch.tensor([one.target for one in drawn], dtype=torch.float64))
    _write(path, _packed(made))
    return made


def places(found: Split, name: str, runs: Path) -> list[Tensor]:
    """Where the nodes of every graph lie under a layout, [N, 2] each."""
    path = runs / "graphs" / f"{found.task}_{found.name}_{len(found.graphs)}_{name}.pt"
    sizes = [graph.num_nodes for graph in found.graphs]
    kept = _read(path)
    if kept is not None and len(kept["places"]) == sum(sizes):
        parts = list(kept["places"].split(sizes))
        if torch.allclose(parts[0], layout(found.graphs[0], name), atol=1e-4):
            return parts
    parts = [layout(graph, name) for graph in found.graphs]
    _write(path, {"places": torch.cat(parts)})
    return parts


def drawings(found: Split, where: Sequence[Tensor], pen: Pen = EVEN, side: int = 64) -> Tensor:
    """Every graph as a visitor sees it, [n, S, S, 3] uint8."""
    return torch.stack([draw(graph, xy, side, pen).image for graph, xy in zip(found.graphs, where, strict=True)])


def varied_drawings(
    found: Split, where: Sequence[Tensor], pen: Pen = EVEN, side: int = 64, copies: int = 4, turn: bool = True, seed: int = 0
) -> Tensor:
    """Several drawings of every graph, [copies, n, S, S, 3] uint8: discs 0.7 to 1.4 times as large, ink e^±0.7, and turned if asked.

    Those of graph i follow from `seed` and i.
    """
    pictures = []
    for i, (graph, xy) in enumerate(zip(found.graphs, where, strict=True)):
        rng = np.random.default_rng([seed, i])
        pens = [
            Pen(pen.even, rng.uniform(0.7, 1.4), float(np.exp(rng.uniform(-0.7, 0.7))), rng.uniform(0, 2 * np.pi) if turn else 0.0)
            for _ in range(copies)
        ]
        pictures.append(torch.stack([draw(graph, xy, side, one).image for one in pens]))
    return torch.stack(pictures, 1)


def mirrored(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Each picture of [B, S, S, C] in one of its eight positions (flips and quarter turns), by chance."""
    chance = torch.randint(0, 2, (3, len(pictures), 1, 1, 1), generator=generator).bool()
    found = torch.where(chance[0], pictures.flip(1), pictures)
    found = torch.where(chance[1], found.flip(2), found)
    return torch.where(chance[2], found.transpose(1, 2), found)


# ------------------------------------------------------------------------------------------------------------ on disk


def _packed(found: Split) -> dict[str, Any]:
    return {
        "nodes": torch.tensor([graph.num_nodes for graph in found.graphs]),
        "edges": torch.tensor([graph.num_edges for graph in found.graphs]),
        "pairs": torch.cat([graph.edges for graph in found.graphs]).to(torch.int16),
        "families": [graph.family for graph in found.graphs],
        "targets": found.targets,
    }


def _unpacked(kept: dict[str, Any]) -> tuple[list[AbstractGraph], Tensor]:
    halves = (part.T.contiguous() for part in kept["pairs"].long().split(kept["edges"].tolist()))
    rows = zip(halves, kept["nodes"].tolist(), kept["families"], strict=True)
    return [AbstractGraph(torch.cat([half, half.flip(0)], 1), nodes, family=family) for half, nodes, family in rows], kept["targets"]


def _alike(one: AbstractGraph, other: AbstractGraph) -> bool:
    return one.num_nodes == other.num_nodes and torch.equal(one.edge_index, other.edge_index)


def _read(path: Path) -> dict[str, Any] | None:
    return torch.load(path, weights_only=True) if path.exists() else None


def _write(path: Path, content: dict[str, Any]) -> None:
    """All or nothing, also while another run writes the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    torch.save(content, part)
    part.replace(path)
