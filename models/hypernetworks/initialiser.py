"""Predicted weights as a start: what a graph hypernetwork makes of an architecture, seen from inside, and a race against random weights.

The race is on handwritten digits in three equal channels of 16 × 16. The hypernetworks that ship learned on CIFAR-10, so what is
measured is how well their prediction serves as a start for another task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.hypernetworks import ghn3, logah
from models.hypernetworks.architecture import build, named, parse, words_of
from models.hypernetworks.computation_graph import graph_of
from models.hypernetworks.digits import digits
from models.hypernetworks.ghn3 import GraphHyperNetwork, initialise
from models.structures import ComputationGraph, GeneratedWeights, GraphEncoding

SIDE, CHANNELS = 16, 3
MOST_OPERATIONS = 25_000_000  # multiplications of one picture: a race of 100 steps stays a matter of seconds


@lru_cache(maxsize=2)
def pictures(training: bool) -> tuple[Tensor, Tensor]:
    """Digits [n, 3, 16, 16], of mean 0 and standard deviation 1, and labels [n]."""
    x, y = digits(training)
    x = F.interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=False)
    return ((x - 0.306) / 0.376).expand(-1, CHANNELS, -1, -1).contiguous(), y  # statistics of the training part


def network(text: str) -> nn.Sequential:
    """The network of a line of text, with random weights (always the same).

    Raises:
        ValueError: as `architecture.parse` and `architecture.build` say, or the network is too slow to be trained while one looks on.
    """
    steps = parse(text)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = build(steps, CHANNELS, SIDE)
    operations = _operations(made)
    if operations > MOST_OPERATIONS:
        raise ValueError(
            f"this network needs {operations / 1e6:.0f} million multiplications per picture; at most {MOST_OPERATIONS / 1e6:.0f} million are taken, "
            "so use fewer channels, or pool earlier"
        )
    return made


def _operations(made: nn.Module) -> int:
    total = 0

    def count(module: nn.Module, _: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal total
        weight = module.weight
        assert isinstance(weight, Tensor)
        total += weight[0].numel() * out[0].numel()

    hooks = [m.register_forward_hook(count) for m in made.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    with torch.no_grad():
        made(torch.zeros(2, CHANNELS, SIDE, SIDE))
    for hook in hooks:
        hook.remove()
    return total


@torch.no_grad()
def predicted(model: GraphHyperNetwork, graph: ComputationGraph) -> tuple[GeneratedWeights, GraphEncoding]:
    """All parameters of the network behind a graph, and how the transformer saw its nodes."""
    states, attention = [], []
    hooks = [layer.register_forward_hook(lambda _, __, out: states.append(out)) for layer in model.gnn]
    hooks += [
        m.register_forward_hook(lambda _, __, out: attention.append(out)) for m in model.modules() if type(m).__name__ == "AttentionWeights"
    ]
    try:
        generated = model(graph)
    finally:
        for hook in hooks:
            hook.remove()
    return generated, GraphEncoding(torch.stack([model.node_features(graph), *states]), torch.stack(attention))


def of(text: str) -> ComputationGraph:
    """The computation graph of a line of text. Raises ValueError as `network` and `graph_of` do."""
    return graph_of(network(text))


def words_behind(text: str, graph: ComputationGraph) -> list[int | None]:
    """For each node of the graph of a line of text the number of the word that it comes from; None for the input.

    Sums and concatenations come from the opening of their branch.
    """
    modules, opened = named(text), words_of(text)
    joined: dict[str, list[int]] = {"sum": [], "concat": []}
    stack: list[int] = []
    for number, word in enumerate(opened):
        if word.endswith("("):
            stack.append(number)
        elif word == ")":
            opening = stack.pop()
            joined["sum" if opened[opening] == "res(" else "concat"].append(opening)  # branches are joined in the order of their ends
    gap = iter(number for number, word in enumerate(opened) if word == "gap")
    # The tracer numbers what it meets: add, add_1, add_2, …
    order = sorted(range(len(graph)), key=lambda node: _serial(graph.names[node]))
    ends = {kind: iter(numbers) for kind, numbers in joined.items()}
    found: list[int | None] = [None] * len(graph)
    for node in order:
        kind, name = graph.kinds[node], graph.names[node]
        if kind in ends:
            found[node] = next(ends[kind])
        elif kind == "glob_avg":
            found[node] = next(gap)
        elif kind != "input":
            found[node] = modules[name if name in modules else name.rpartition(".")[0]]
    return found


def _serial(name: str) -> int:
    """0 of "add", 1 of "add_1"."""
    number = name.rpartition("_")[2]
    return int(number) if number.isdigit() else 0


def cut(generated: GeneratedWeights, rank: int) -> GeneratedWeights:
    """Products of two factors, cut to a rank; weights that are no products stay."""
    return logah.truncated(generated, rank) if generated.left else generated


def decoders(hid: int, side: int, classes: int, rank: int, widths: list[int]) -> dict[str, list[int]]:
    """Parameters of both decoders, if they had to make tensors of these widths without copies."""
    return {
        "ghn3": [ghn3.decoder_size(hid, width, side, classes) for width in widths],
        "logah": [logah.decoder_size(hid, width * side, rank) for width in widths],
    }


@torch.no_grad()
def activations(made: nn.Module, x: Tensor) -> tuple[list[str], list[float], list[float]]:
    """Of every convolution and linear layer: name, standard deviation of its output, share of values that a ReLU would silence."""
    names, deviation, silent = [], [], []

    def look(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(_: nn.Module, __: tuple[Tensor, ...], out: Tensor) -> None:
            names.append(name)
            deviation.append(out.std(correction=0).item())
            silent.append((out <= 0).float().mean().item())

        return hook

    hooks = [m.register_forward_hook(look(n)) for n, m in made.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    made(x)
    for hook in hooks:
        hook.remove()
    return names, deviation, silent


def started(text: str, weights: GeneratedWeights | None, noise: float = 1e-5) -> nn.Sequential:
    """The network with its random weights, or with predicted ones."""
    made = network(text)
    if weights is not None:
        initialise(made, weights, noise, torch.Generator().manual_seed(0))
    return made


def matched(text: str, weights: GeneratedWeights) -> nn.Sequential:
    """The network with random weights of mean zero, each tensor as large as the predicted one: is it the numbers or only their size?

    A tensor of one number keeps its size and loses its sign.
    """
    made, draws = network(text), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            size = weights.weights[name].square().mean().sqrt().to(parameter)
            # What multiplies a normalised value lies around 1, not around 0: its deviation from 1 is what is matched.
            scale = parameter.ndim == 1 and name.endswith("weight")
            if scale:
                size = (weights.weights[name].to(parameter) - 1).square().mean().sqrt()
            parameter.copy_(torch.randn(parameter.shape, generator=draws) * size + (1.0 if scale else 0.0))
    return made


@dataclass(frozen=True)
class Lap:
    """Where all starts stand.

    Attributes:
        step: steps done. accuracy: share of right answers on the test digits. loss: mean over the steps since the last lap.
    """

    step: int
    accuracy: dict[str, float]
    loss: dict[str, float]


def race(
    nets: Mapping[str, nn.Module], steps: int = 100, every: int = 10, rate: float = 0.02, batch: int = 64, seed: int = 0
) -> Iterator[Lap]:
    """Plain SGD (momentum 0.9) on the same pictures in the same order; the networks change."""
    train, generator = pictures(True), torch.Generator().manual_seed(seed)
    made = {name: torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9) for name, net in nets.items()}
    losses: dict[str, list[float]] = {name: [] for name in nets}
    yield Lap(0, {name: share(net) for name, net in nets.items()}, {})
    for step in range(1, steps + 1):
        chosen = torch.randint(len(train[1]), (batch,), generator=generator)
        x, y = train[0][chosen], train[1][chosen]
        for name, net in nets.items():
            with torch.enable_grad():
                loss = F.cross_entropy(net(x), y)
                made[name].zero_grad()
                loss.backward()
                made[name].step()
            losses[name].append(loss.item())
        if step % every == 0:
            yield Lap(step, {name: share(net) for name, net in nets.items()}, {name: sum(v) / len(v) for name, v in losses.items()})
            losses = {name: [] for name in nets}


@torch.no_grad()
def share(net: nn.Module) -> float:
    """Share of right answers on the test digits, in batches of 100 (batch normalisation reads each batch)."""
    x, y = pictures(False)
    right = sum((net(part).argmax(1) == label).sum().item() for part, label in zip(x.split(100), y.split(100), strict=True))
    return right / len(y)
