"""Tasks for learning one after another: the same digits, their pixels shuffled in another way for every task; the first as they are.

The generated network is a perceptron 64-32-32-10. Both hypernetworks have about as many parameters (9.6 to 9.8 thousand), far more
than the 3466 weights of one task and fewer than those of three.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from models.hypernetworks.continual import ChunkedHyperNet, RecurrentHyperNet, TaskHyperNet, beside, dependency, first_embeddings
from models.hypernetworks.digits import digits
from models.hypernetworks.targets import Perceptron, shape_table
from models.structures import ChunkDependency

TASKS = 5
RATE = 6e-3  # of Adam; a lesson of 200 steps then learns what 400 learn at half of it
KINDS = ("chunked", "recurrent")
Data = tuple[Tensor, Tensor]


def hypernetwork(kind: str, seed: int = 0) -> TaskHyperNet:
    """The baseline ("chunked") or the RNN hypernetwork ("recurrent"), untrained.

    Raises:
        ValueError: no such kind.
    """
    shapes = shape_table(Perceptron())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind == "chunked":
            return ChunkedHyperNet(shapes, TASKS, layers=(24, 32), he_scale=True)
        if kind == "recurrent":
            return RecurrentHyperNet(shapes, TASKS, hidden=22)
    raise ValueError(f"there is no hypernetwork {kind!r}; there are {', '.join(KINDS)}")


@lru_cache(maxsize=2 * TASKS)
def task(number: int, training: bool) -> Data:
    """Pictures [n, 64] of a task and their labels [n]."""
    x, y = digits(training)
    return x.flatten(1)[:, order(number)], y


def order(number: int) -> Tensor:
    """Which pixel of the digit every input of a task is, [64]."""
    return torch.randperm(64, generator=torch.Generator().manual_seed(number)) if number else torch.arange(64)


def answers(weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """The generated perceptron: [B, 64] → logits [B, 10]. Written out: nothing shared is touched, so threads may call it at once."""
    count = len(weights) // 2
    for number in range(count):
        x = F.linear(x, weights[f"layers.{number}.weight"], weights[f"layers.{number}.bias"])
        x = x if number == count - 1 else F.relu(x)
    return x


def loss(weights: Mapping[str, Tensor], batch: Data) -> Tensor:
    """Mean cross-entropy, a scalar."""
    return F.cross_entropy(answers(weights, batch[0]), batch[1])


def batches(number: int, count: int, size: int = 64, seed: int = 0) -> Iterator[Data]:
    """`count` batches of a task, drawn by chance."""
    x, y = task(number, True)
    generator = torch.Generator().manual_seed(1000 * seed + number)
    for _ in range(count):
        chosen = torch.randint(len(y), (size,), generator=generator)
        yield x[chosen], y[chosen]


def on_digit(inputs: Tensor, number: int) -> Tensor:
    """One value per input of a task, [..., 64], put back to where its pixel lies in the digit: [..., 8, 8]."""
    placed = torch.empty_like(inputs)
    placed[..., order(number)] = inputs
    return placed.unflatten(-1, (8, 8))


@torch.no_grad()
def accuracies(hypernet: TaskHyperNet, tasks: int) -> list[float]:
    """Share of right answers on the test pictures of each of the first tasks."""
    weights = hypernet(first_embeddings(hypernet, tasks)).weights
    return [_right({name: tensor[t] for name, tensor in weights.items()}, t) for t in range(tasks)]


def _right(weights: Mapping[str, Tensor], number: int) -> float:
    x, y = task(number, False)
    return (answers(weights, x).argmax(1) == y).float().mean().item()


@dataclass(frozen=True)
class Between:
    """What lies between the embeddings of two tasks.

    Attributes:
        tasks: the two.
        shares: of the way from the first to the second, [S].
        accuracy: on the test pictures of either task, [2, S].
    """

    tasks: tuple[int, int]
    shares: Tensor
    accuracy: Tensor


@torch.no_grad()
def between(hypernet: TaskHyperNet, first: int, second: int, points: int = 21) -> Between:
    """Networks of embeddings on the straight line between those of two tasks, tested on both."""
    shares = torch.linspace(0, 1, points)
    a, b = (hypernet.task_embeddings()[number].detach() for number in (first, second))
    weights = dict(hypernet(torch.lerp(a, b, shares[:, None])).weights)
    found = []
    for number in (first, second):
        x, y = task(number, False)
        found.append((torch.vmap(answers, (0, None))(weights, x).argmax(2) == y).float().mean(1))
    return Between((first, second), shares, torch.stack(found))


@torch.no_grad()
def accuracy(hypernet: TaskHyperNet, number: int, embedding: Tensor | None = None, chunk_embeddings: Tensor | None = None) -> float:
    """Share of right answers on a task's test pictures, with this task's embedding or another one."""
    return _right(hypernet(number if embedding is None else embedding, chunk_embeddings).weights, number)


def described(hypernet: TaskHyperNet, number: int = 0) -> ChunkDependency:
    """Dependencies of one task's chunks, and what every task's embedding makes, as a structure."""
    with torch.no_grad():
        weights = torch.stack([torch.cat([t.flatten() for t in hypernet(n).weights.values()]) for n in range(hypernet.num_tasks)])
        embeddings = torch.stack([embedding.detach() for embedding in hypernet.task_embeddings()])
        states = torch.stack([_states(hypernet, embedding) for embedding in embeddings])
    owner = torch.repeat_interleave(torch.arange(len(hypernet.sizes)), torch.tensor(hypernet.sizes))
    chunk_of = torch.stack([part.mode().values for part in owner.split(hypernet.chunk_dim)])
    return ChunkDependency(
        dependency(hypernet, number),
        dependency(hypernet, number, by="tensor"),
        tuple(hypernet.target_shapes),
        chunk_of,
        embeddings,
        states,
        weights,
    )


def _states(hypernet: TaskHyperNet, embedding: Tensor) -> Tensor:
    own = hypernet.chunk_embeddings
    if not isinstance(hypernet, RecurrentHyperNet):
        return own.new_zeros(len(own), 0)
    return torch.cat(hypernet.states(beside(embedding, own)), 1)
