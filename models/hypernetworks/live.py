"""Trainings of seconds that somebody watches: every step is yielded, so that it can be drawn and stopped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Data = tuple[Tensor, Tensor]  # pictures and labels


@dataclass(frozen=True)
class Trained:
    """One step of a training.

    Attributes:
        step: steps done, from 1.
        loss: of the step's batch, before the step.
    """

    step: int
    loss: float


def batches(data: Data, size: int, count: int, seed: int) -> Iterator[Data]:
    """`count` batches drawn by chance: the same for every network that is given the same seed."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        chosen = torch.randint(len(data[1]), (size,), generator=generator)
        yield data[0][chosen], data[1][chosen]


def trained(network: nn.Module, data: Iterator[Data], rate: float = 3e-3) -> Iterator[Trained]:
    """Adam on the cross-entropy, one step per batch; the network's own parameters change."""
    optimiser = torch.optim.Adam(network.parameters(), lr=rate)
    for step, (x, y) in enumerate(data, start=1):
        with torch.enable_grad():
            loss = F.cross_entropy(network(x), y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        yield Trained(step, loss.item())


@torch.no_grad()
def accuracy(network: nn.Module, data: Data) -> float:
    """Share of right answers."""
    return (network(data[0]).argmax(1) == data[1]).float().mean().item()
