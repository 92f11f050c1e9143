"""Graphs on demand: families with sliders, and the four tasks whose answer is known exactly.

The tasks of Zhao et al., "The Underappreciated Power of Vision Models for Graph Structural Understanding" (GraphAbstract),
NeurIPS 2025, arXiv 2510.24788: which organisation, is there a symmetry, how large is the spectral gap, how many bridges.
Models learn from graphs of one size and are asked about larger ones (near and far).

    graph = generate("bottleneck", 40, rng, width=1)        one graph, any parameter given or drawn
    drawn = sample("topology", "far", 17)                   graph 17 of a split, always the same one

Every draw comes from one numpy Generator; graph i of a split starts its own, so any graph can be made alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from models.graph_structure import families, nx
from models.graph_structure.families import Rng
from models.graph_structure.symmetry import ASYMMETRIC, SYMMETRIC
from models.graph_structure.truth import bridges, from_networkx, is_symmetric, spectral_gap
from models.structures import AbstractGraph

LEAST_NODES = 12


@dataclass(frozen=True)
class Range:
    """The values that a parameter is drawn from, evenly; two whole numbers are both included.

    Attributes:
        low, high: ends; two whole numbers make a whole parameter.
        pieces: (share, low, high) when the parts of the range are not drawn equally often.
        anew: True when the family itself draws a value for every place where it is used, unless one is given.
    """

    low: float
    high: float
    pieces: tuple[tuple[float, float, float], ...] = ()
    anew: bool = False

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    def draw(self, rng: Rng) -> float | None:
        if self.anew:
            return None
        if self.whole:
            return int(rng.integers(int(self.low), int(self.high) + 1))
        low, high = self.low, self.high
        if self.pieces:
            _, low, high = self.pieces[rng.choice(len(self.pieces), p=[piece[0] for piece in self.pieces])]
        return float(rng.uniform(low, high))


@dataclass(frozen=True)
class Family:
    """A kind of graph: how it is built from a number of nodes, a Generator and its parameters, and their usual ranges."""

    build: Callable[..., nx.Graph]
    parameters: Mapping[str, Range] = field(default_factory=dict)


_MIXING = Range(0.0, 0.8, ((0.4, 0.0, 0.2), (0.3, 0.2, 0.5), (0.3, 0.5, 0.8)))
_DENSE = Range(0.6, 0.8)
_PASSAGE = Range(1, 3, anew=True)
FAMILIES: dict[str, Family] = {
    "cyclic": Family(families.cyclic, {"inner": Range(0.7, 1.2), "thickness": Range(0.05, 0.3), "radius": Range(0.5, 0.8)}),
    "geometric": Family(families.geometric, {"radius": Range(0.15, 0.25)}),
    "hierarchical": Family(families.hierarchical, {"levels": Range(2, 4)}),
    "community": Family(families.community, {"groups": Range(3, 5), "within": _DENSE, "between": Range(0.01, 0.05)}),
    "bottleneck": Family(families.bottleneck, {"groups": Range(2, 4), "within": Range(0.4, 0.6), "width": _PASSAGE}),
    "multicore": Family(families.multicore, {"cores": Range(2, 3), "within": _DENSE, "core_share": Range(0.5, 0.6)}),
    "dumbbell": Family(families.dumbbell, {"mixing": _MIXING, "within": _DENSE}),
    "mixed blocks": Family(families.mixed_blocks, {"mixing": _MIXING, "within": _DENSE, "groups": Range(3, 5)}),
    "mixed geometric": Family(families.mixed_geometric, {"mixing": _MIXING}),
    "rewired": Family(families.rewired, {"mixing": _MIXING, "share": Range(0.3, 0.8)}),
    **{name: Family(build) for name, build in {**SYMMETRIC, **ASYMMETRIC}.items()},
}


def generate(family: str, num_nodes: int, rng: Rng, **given: float) -> AbstractGraph:
    """One connected graph with shuffled node numbers (unshuffled ones would give away the groups).

    Args:
        family: a name of FAMILIES. Products and covers have about, not exactly, `num_nodes` nodes.
        given: parameters of the family, inside their ranges; the others are drawn.

    Raises:
        ValueError: an unknown family or parameter, a value outside its range, or fewer than 12 nodes.
    """
    if family not in FAMILIES:
        raise ValueError(f"there is no family {family!r}; choose one of {', '.join(FAMILIES)}")
    if num_nodes < LEAST_NODES:
        raise ValueError(f"{num_nodes} nodes are too few for these families; at least {LEAST_NODES} are needed")
    found = FAMILIES[family]
    unknown = [name for name in given if name not in found.parameters]
    if unknown:
        raise ValueError(f"{family} has no parameter {unknown[0]!r}; it has {', '.join(found.parameters) or 'none'}")
    for name, value in given.items():
        low, high = found.parameters[name].low, found.parameters[name].high
        if not low <= value <= high:
            raise ValueError(f"{name} is {value}; in the family {family} it lies between {low} and {high}")
    settings = {name: given[name] if name in given else usual.draw(rng) for name, usual in found.parameters.items()}
    graph = found.build(num_nodes, rng, **settings)
    numbers = dict(zip(graph.nodes, rng.permutation(graph.number_of_nodes()).tolist(), strict=True))
    return from_networkx(nx.relabel_nodes(graph, numbers), family)


# -------------------------------------------------------------------------------------------------------------- tasks


@dataclass(frozen=True)
class Band:
    """One split of a task: how many graphs, and between how many nodes (both ends included)."""

    count: int
    least: int
    most: int


@dataclass(frozen=True)
class Task:
    """A question about graphs.

    Attributes:
        families: the families in the order in which a split goes through them; for classes, a tuple of them per class.
        bands: the splits.
        classes: names of the answers; empty when the answer is a number.
        fixed: parameters that the task does not leave to chance, by family.
    """

    families: tuple[tuple[str, ...], ...]
    bands: Mapping[str, Band]
    classes: tuple[str, ...] = ()
    fixed: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """One graph of a split and the answer: the number of the class, or the value asked for."""

    graph: AbstractGraph
    target: float


def _bands(train: int, held_out: int, test: int, least: int, most: int, near: tuple[int, int], far: tuple[int, int]) -> dict[str, Band]:
    return {
        "train": Band(train, least, most),
        "val": Band(held_out, least, most),
        "id": Band(test, least, most),
        "near": Band(test, *near),
        "far": Band(test, *far),
    }


ORGANISATIONS = ("cyclic", "geometric", "hierarchical", "community", "bottleneck", "multicore")
TASKS: dict[str, Task] = {
    "topology": Task(
        families=tuple((name,) for name in ORGANISATIONS),
        bands=_bands(3000, 300, 300, 20, 50, (40, 100), (60, 150)),
        classes=ORGANISATIONS,
    ),
    "symmetry": Task(
        families=(tuple(ASYMMETRIC), tuple(SYMMETRIC)),
        bands=_bands(2000, 200, 600, 30, 60, (50, 100), (70, 150)),
        classes=("asymmetric", "symmetric"),
    ),
    "gap": Task(
        families=(("dumbbell",), ("mixed blocks",), ("mixed geometric",), ("rewired",)),
        bands=_bands(3000, 300, 300, 20, 50, (40, 100), (60, 150)),
    ),
    "bridges": Task(
        families=(("geometric",), ("community",), ("hierarchical",), ("bottleneck",), ("multicore",)),
        bands=_bands(2500, 250, 250, 20, 50, (40, 100), (60, 150)),
        fixed={"bottleneck": {"width": 1}},
    ),
}


def split_seed(task: str, split: str, seed: int = 0) -> int:
    """The number from which all graphs of a split follow; no two splits share it."""
    return 100 * seed + 10 * list(TASKS).index(task) + list(TASKS[task].bands).index(split)


def sample(task: str, split: str, index: int, seed: int = 0) -> Sample:
    """Graph `index` of a split, drawn by `default_rng([split_seed, index])`.

    The class is index mod classes. In the symmetry task its methods take turns, every graph is checked, and one whose
    symmetry cannot be decided, or whose size is off the band, is drawn again.

    Raises:
        ValueError: there is no such task, split or index.
    """
    asked = _asked(task, split, index, seed)
    band, rng = asked.bands[split], np.random.default_rng([split_seed(task, split, seed), index])
    group, turn = index % len(asked.families), index // len(asked.families)
    methods = asked.families[group]
    family = methods[turn % len(methods)]
    while True:
        graph = generate(family, int(rng.integers(band.least, band.most + 1)), rng, **asked.fixed.get(family, {}))
        fits = band.least <= graph.num_nodes <= band.most
        if fits and (task != "symmetry" or is_symmetric(graph) is bool(group)):
            return Sample(graph, target(task, graph, group))


def target(task: str, graph: AbstractGraph, group: int = 0) -> float:
    """The answer to a task: the class that the graph was drawn for, or the value computed exactly."""
    if task == "gap":
        return spectral_gap(graph)[0]
    if task == "bridges":
        return int(bridges(graph).sum())
    return group


def _asked(task: str, split: str, index: int, seed: int) -> Task:
    if task not in TASKS:
        raise ValueError(f"there is no task {task!r}; choose one of {', '.join(TASKS)}")
    if split not in TASKS[task].bands:
        raise ValueError(f"there is no split {split!r}; choose one of {', '.join(TASKS[task].bands)}")
    if index < 0 or seed < 0:
        raise ValueError(f"index {index} and seed {seed} must not be negative")
    return TASKS[task]
