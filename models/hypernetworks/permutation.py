"""Smoothing a trained network: an order of its channels in which neighbours look alike, without changing its function.

Yang and Wang, "Neural Metamorphosis", ECCV 2024, arXiv 2410.11878: hidden channels are exchangeable. A clique is every
axis of every tensor that must follow when the channels of one layer change places. Channel c is a city: all weights and
biases tied to c, one after another. The order is the shortest Hamiltonian path under the L1 distance, which minimises
the sum of the total variations of the clique's tensors along the moved axes.

    state = network.state_dict()
    for clique in cliques(network):
        if clique.free:
            state = permuted(state, clique, shortest_path(city(state, clique)))
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

OUT, IN = 0, 1  # axis of the channel that a tensor produces and of the channel that it reads
EXACT = 16  # cities up to which the path is provably the shortest

Distances = np.ndarray
Order = np.ndarray


@dataclass(frozen=True)
class Clique:
    """Tensor axes that one permutation must move together.

    Attributes:
        members: (tensor name, axis): axis 0 are the outputs of the tensor, axis 1 its inputs.
        size: number of channels.
        free: False where the channels are the network's own inputs or outputs, whose order has a meaning.
    """

    members: tuple[tuple[str, int], ...]
    size: int
    free: bool


# ------------------------------------------------------------------------------------------------------ which axes


def cliques(network: nn.Module) -> list[Clique]:
    """The cliques of a network of convolutions, linear layers, batch normalisations and residual sums.

    In the order of the forward pass, the network's input channels first.

    Raises:
        ValueError: the network cannot be traced, or holds a part of which it is not known what it does to channels.
    """
    try:
        graph = fx.symbolic_trace(network).graph
    except Exception as error:
        raise ValueError(f"the network cannot be traced without running it ({error}); its forward must not branch on values") from error
    return _ChannelGroups(network).walk(graph)


class _ChannelGroups:
    """Walks a traced network and joins the tensor axes that carry the same channels (union-find over group numbers)."""

    SAME_CHANNELS = (
        nn.ReLU, nn.GELU, nn.SiLU, nn.LeakyReLU, nn.Identity, nn.Dropout, nn.AvgPool2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.Flatten,
    )  # fmt: skip
    SAME_FUNCTIONS = (
        F.relu, torch.relu, F.gelu, F.silu, F.leaky_relu, F.avg_pool2d, F.max_pool2d, F.adaptive_avg_pool2d, F.dropout,
        torch.flatten, operator.getitem, torch.mean,
    )  # fmt: skip
    SAME_METHODS = ("relu", "flatten", "mean", "view", "reshape", "contiguous")
    SUMS: tuple[Any, ...] = (operator.add, operator.iadd, torch.add)

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.parent: list[int] = []
        self.members: list[list[tuple[str, int]]] = []
        self.sizes: list[int | None] = []
        self.fixed: set[int] = set()
        self.at: dict[fx.Node, int] = {}

    def walk(self, graph: fx.Graph) -> list[Clique]:
        for node in graph.nodes:
            if node.op == "placeholder":
                self.at[node] = self._new()
                self.fixed.add(self.at[node])
            elif node.op == "call_module":
                self.at[node] = self._module(str(node.target), self.network.get_submodule(str(node.target)), node)
            elif node.op in ("call_function", "call_method"):
                self._call(node)
            elif node.op == "output":
                self.fixed.update(self.at[source] for source in node.all_input_nodes)
        return self._result()

    def _module(self, name: str, module: nn.Module, node: fx.Node) -> int:
        group = self._input(node)
        if isinstance(module, nn.BatchNorm2d):
            for part in ("weight", "bias", "running_mean", "running_var"):
                if getattr(module, part) is not None:
                    self._join(group, f"{name}.{part}", OUT, module.num_features)
            return group
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            if not module.groups == module.in_channels == module.out_channels:
                raise ValueError(f"{name} is a convolution in {module.groups} groups; ungrouped and depth-wise ones can be permuted")
            self._outputs(group, name, module, module.out_channels)
            return group
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            outputs, inputs = module.weight.shape[:2]
            self._join(group, f"{name}.weight", IN, inputs)
            fresh = self._new()
            self._outputs(fresh, name, module, outputs)
            return fresh
        if isinstance(module, self.SAME_CHANNELS):
            return group
        raise ValueError(f"{name} is a {type(module).__name__}; it is not known what it does to the order of channels")

    def _call(self, node: fx.Node) -> None:
        groups = [self.at[source] for source in node.all_input_nodes if source in self.at]
        if node.target in self.SUMS or node.target in ("add", "add_"):
            for other in groups[1:]:
                self._union(groups[0], other)
        elif node.target in ("size", "dim", getattr):
            return  # a number, not a picture
        elif not groups:
            return  # a computation with such numbers
        elif node.target not in self.SAME_FUNCTIONS and node.target not in self.SAME_METHODS:
            name = getattr(node.target, "__name__", str(node.target))
            raise ValueError(f"the network calls {name}; it is not known what it does to the order of channels")
        elif node.target is operator.getitem and not _keeps_channels(node.args[1]):
            raise ValueError(f"the network picks single channels ({node}); their order cannot be changed")
        self.at[node] = groups[0]

    def _outputs(self, group: int, name: str, module: nn.Module, size: int) -> None:
        self._join(group, f"{name}.weight", OUT, size)
        if module.bias is not None:
            self._join(group, f"{name}.bias", OUT, size)

    def _join(self, group: int, name: str, axis: int, size: int) -> None:
        root = self._find(group)
        known = self.sizes[root]
        if known not in (None, size):
            raise ValueError(
                f"{name} reads {size} values where {known} channels arrive: positions were flattened into channels; pool first"
            )
        self.sizes[root] = size
        if (name, axis) not in self.members[root]:
            self.members[root].append((name, axis))

    def _union(self, a: int, b: int) -> None:
        a, b = sorted((self._find(a), self._find(b)))
        if a == b:
            return
        self.parent[b] = a
        self.sizes[a] = self.sizes[a] if self.sizes[a] is not None else self.sizes[b]
        self.members[a] += self.members[b]

    def _new(self) -> int:
        self.parent.append(len(self.parent))
        self.members.append([])
        self.sizes.append(None)
        return len(self.parent) - 1

    def _find(self, group: int) -> int:
        while self.parent[group] != group:
            group = self.parent[group]
        return group

    def _input(self, node: fx.Node) -> int:
        return self.at[node.all_input_nodes[0]]

    def _result(self) -> list[Clique]:
        fixed = {self._find(group) for group in self.fixed}
        roots = [group for group in range(len(self.parent)) if self._find(group) == group and self.members[group]]
        return [Clique(tuple(self.members[root]), self.sizes[root] or 0, root not in fixed) for root in roots]


def _keeps_channels(index: Any) -> bool:
    """True when x[index] leaves the second axis of x whole."""
    return not isinstance(index, tuple) or len(index) < 2 or index[1] == slice(None)


# ---------------------------------------------------------------------------------------------------- what to measure


def city(state: Mapping[str, Tensor], clique: Clique) -> Tensor:
    """Everything tied to each channel, [channels, features]: the members' slices one after another."""
    return torch.cat([_slices(state[name], axis) for name, axis in clique.members], 1)


def _slices(tensor: Tensor, axis: int) -> Tensor:
    return tensor.movedim(axis, 0).reshape(tensor.shape[axis], -1)


def path_length(cities: Tensor, order: Tensor | Sequence[int] | None = None) -> float:
    """Sum of the L1 distances of neighbours along an order of the cities [n, features]; their own order when None."""
    visited = cities if order is None else cities[torch.as_tensor(order)]
    return visited.double().diff(dim=0).abs().sum().item()


def total_variation(tensors: Mapping[str, Tensor]) -> float:
    """Mean over tensors of Σ|w[1:] − w[:-1]| + Σ|w[:, 1:] − w[:, :-1]|; a vector has the first term only."""
    total = 0.0
    for tensor in tensors.values():
        total += sum(tensor.diff(dim=axis).abs().sum().item() for axis in range(min(tensor.ndim, 2)))
    return total / len(tensors)


def permuted(state: Mapping[str, Tensor], clique: Clique, order: Tensor | Sequence[int]) -> dict[str, Tensor]:
    """The same network with the channels of a clique in another order.

    Args:
        order: which present channel comes at each new place, [channels].

    Raises:
        ValueError: the clique is not free (its order has a meaning outside), or `order` is no permutation of it.
    """
    index = torch.as_tensor(order)
    if not clique.free:
        raise ValueError(f"the channels of {clique.members[0][0]} are inputs or outputs of the network; their order must stay")
    if sorted(index.tolist()) != list(range(clique.size)):
        raise ValueError(f"the order must name each of the {clique.size} channels once")
    moved = dict(state)
    for name, axis in clique.members:
        moved[name] = moved[name].index_select(axis, index.to(moved[name].device))
    return moved


def pruned(network: nn.Module, shapes: Mapping[str, Sequence[int]], state: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The state dict of a smaller network of the same architecture: of every free clique the strongest channels stay, in order.

    What a generated network of that width has to beat: no fine-tuning follows. A channel is as strong as the L1 norm of the
    kernels that make it (Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017), measured before anything is cut.

    Args:
        shapes: shape table of the smaller network (see targets.Family.shapes).

    Raises:
        ValueError: a clique would have to grow, or channels would be cut whose order has a meaning.
    """
    full = dict(network.state_dict() if state is None else state)
    result = dict(full)
    for clique in cliques(network):
        wanted = next((shapes[name][axis] for name, axis in clique.members if name in shapes), clique.size)
        if wanted == clique.size:
            continue
        if wanted > clique.size or not clique.free:
            raise ValueError(f"{clique.members[0][0]} has {clique.size} channels that cannot become {wanted}; only hidden ones can be cut")
        kernels = [_slices(full[name], axis) for name, axis in clique.members if axis == OUT and full[name].ndim > 1]
        strongest = torch.cat(kernels, 1).abs().sum(1).topk(wanted).indices.sort().values
        for name, axis in clique.members:
            result[name] = result[name].index_select(axis, strongest)
    return result


def smoothed(network: nn.Module, state: Mapping[str, Tensor] | None = None) -> tuple[dict[str, Tensor], dict[Clique, Tensor]]:
    """The network's state dict with every free clique in its best order, and these orders.

    The cliques are taken one after another, each on what the previous ones left.
    """
    result = dict(network.state_dict() if state is None else state)
    orders = {}
    for clique in cliques(network):
        if clique.free:
            orders[clique] = shortest_path(city(result, clique))
            result = permuted(result, clique, orders[clique])
    return result, orders


# ------------------------------------------------------------------------------------------------- the shortest path


def shortest_path(cities: Tensor, effort: int = 1000) -> Tensor:
    """An order of the cities [n, features] of small path length, [n] int64.

    Exact for n ≤ 16 (Held–Karp); above, local search from several starts and `effort` random kicks, always the same.
    """
    distances = l1_distances(cities)
    if len(distances) <= EXACT:
        order = _held_karp(distances)
    else:
        *_, order = search(distances, effort)
    return torch.from_numpy(order.astype(np.int64))


def l1_distances(cities: Tensor) -> Distances:
    """[n, features] → [n, n] float64."""
    flat = cities.detach().double()
    return torch.cdist(flat, flat, p=1).cpu().numpy()


def search(distances: Distances, effort: int = 1000) -> Iterator[Order]:
    """Every order that improves on the one before, from the given order on: the steps that a page can show.

    Nearest neighbour from several starts, 2-opt and or-opt, then `effort` double-bridge kicks with the same local search.
    A dummy city at distance 0 from all turns the open path into a closed tour.
    """
    n = len(distances)
    closed = np.zeros((n + 1, n + 1))
    closed[:n, :n] = distances
    random = np.random.default_rng(0)
    best, length = np.arange(n + 1), _tour_length(closed, np.arange(n + 1))
    yield best[:n]

    def better(tours: Iterator[np.ndarray]) -> Iterator[Order]:
        nonlocal best, length
        for tour in tours:
            new = _tour_length(closed, tour)
            if new < length - 1e-12 * max(1.0, length):
                best, length = tour.copy(), new
                yield _cut(best, n)

    yield from better(_descend(closed, best.copy()))
    for start in np.linspace(0, n - 1, min(n, 8)).astype(int):
        yield from better(_descend(closed, _nearest_neighbour(closed, int(start))))
    for _ in range(effort if n > 4 else 0):
        yield from better(_descend(closed, _kick(best, random)))


def _cut(tour: np.ndarray, dummy: int) -> Order:
    """The closed tour, opened at the dummy city."""
    place = int(np.flatnonzero(tour == dummy)[0])
    return np.concatenate([tour[place + 1 :], tour[:place]])


def _tour_length(closed: Distances, tour: np.ndarray) -> float:
    return float(closed[tour, np.roll(tour, -1)].sum())


def _nearest_neighbour(closed: Distances, start: int) -> np.ndarray:
    n = len(closed) - 1
    tour, left = [n, start], set(range(n)) - {start}
    while left:
        here = np.fromiter(left, dtype=int)
        nearest = int(here[closed[tour[-1], here].argmin()])
        tour.append(nearest)
        left.remove(nearest)
    return np.array(tour)


def _kick(tour: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Double bridge: exchange two neighbouring short segments, which no 2-opt move can undo."""
    n = len(tour)
    start = int(random.integers(n))
    turned = np.roll(tour, -start)
    a, b = sorted(random.choice(np.arange(1, min(n, 50)), 2, replace=False).tolist())
    c = int(random.integers(b, min(n, 50))) + 1
    return np.concatenate([turned[:a], turned[b:c], turned[a:b], turned[c:]])


def _descend(closed: Distances, tour: np.ndarray) -> Iterator[np.ndarray]:
    """Best 2-opt or or-opt move again and again until none helps; yields the tour after every move."""
    moved = True
    while moved:
        yield tour
        reversal, gain_2 = _best_reversal(closed, tour)
        transfer, gain_or = _best_transfer(closed, tour)
        moved = max(gain_2, gain_or) > 1e-12
        if moved:
            tour = reversal() if gain_2 >= gain_or else transfer()


def _best_reversal(closed: Distances, tour: np.ndarray) -> tuple[Callable[[], np.ndarray], float]:
    """2-opt: turn round the segment i+1…j that shortens the tour most."""
    following = np.roll(tour, -1)
    step = closed[tour, following]
    gain = step[:, None] + step[None, :] - closed[np.ix_(tour, tour)] - closed[np.ix_(following, following)]
    gain[np.tril_indices(len(tour))] = -np.inf
    i, j = divmod(int(gain.argmax()), len(tour))
    return (lambda: np.concatenate([tour[: i + 1], tour[i + 1 : j + 1][::-1], tour[j + 1 :]])), float(gain[i, j])


def _best_transfer(closed: Distances, tour: np.ndarray) -> tuple[Callable[[], np.ndarray], float]:
    """Or-opt: take out a segment of 1 to 3 cities and put it, either way round, where it costs least."""
    n = len(tour)
    best: tuple[float, int, int, int, bool] = (-np.inf, 0, 1, 0, False)
    following, step = np.roll(tour, -1), closed[tour, np.roll(tour, -1)]
    for size in range(1, min(3, n - 3) + 1):
        first, last = tour, np.roll(tour, 1 - size)  # segment at place i
        before, after = np.roll(tour, 1), np.roll(tour, -size)
        freed = closed[before, first] + closed[last, after] - closed[before, after]
        for backwards in (False, True):
            head, tail = (last, first) if backwards else (first, last)
            cost = closed[np.ix_(tour, head)].T + closed[np.ix_(following, tail)].T - step[None, :]  # [segment, gap after place]
            gain = freed[:, None] - cost
            places = np.arange(n)
            for shift in range(-1, size):  # gaps beside or inside the segment itself
                gain[places, (places + shift) % n] = -np.inf
            i, gap = divmod(int(gain.argmax()), n)
            best = max(best, (float(gain[i, gap]), i, size, gap, backwards))
    gained, i, size, gap, backwards = best

    def move() -> np.ndarray:
        turned = np.roll(tour, -i)
        segment, rest = turned[:size], turned[size:]
        place = (gap - i) % n - size + 1
        return np.concatenate([rest[:place], segment[::-1] if backwards else segment, rest[place:]])

    return move, gained


def _held_karp(distances: Distances) -> Order:
    """The shortest Hamiltonian path by dynamic programming over (set of visited cities, last city)."""
    n = len(distances)
    if n < 2:
        return np.arange(n)
    masks = np.arange(2**n)
    sizes = (masks[:, None] >> np.arange(n) & 1).sum(1)
    cost = np.full((2**n, n), np.inf)
    before = np.zeros((2**n, n), dtype=np.int8)
    cost[1 << np.arange(n), np.arange(n)] = 0
    for size in range(1, n):
        sets = masks[sizes == size]
        for city_ in range(n):
            without = sets[(sets >> city_ & 1) == 0]
            reached = cost[without] + distances[:, city_]
            chosen = reached.argmin(1)
            grown = without | 1 << city_
            cost[grown, city_] = reached[np.arange(len(without)), chosen]
            before[grown, city_] = chosen
    mask, last = 2**n - 1, int(cost[-1].argmin())
    order = []
    while mask:
        order.append(last)
        mask, last = mask ^ (1 << last), int(before[mask, last])
    return np.array(order[::-1])
