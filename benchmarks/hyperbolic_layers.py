"""Forward and backward pass of Poincaré ResNet-20 (8-16-32, 32 × 32 pixels): closed form against naive composition.

    python -m benchmarks.hyperbolic_layers [--batch 128]

The naive composition unfolds every patch, maps it to the ball, applies the gyroplane layer and maps back, with plain automatic
differentiation. Both compute the same numbers. The Fréchet mean, found by iteration, takes the place of the midpoint in every
batch normalisation and is nearly the same point. Each network runs in a process of its own on one thread; the time is CPU time, the
best of several runs, so that other programs on the machine hardly matter; the memory is what the process grew by.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from models.hyperbolic.naive import NAIVE
from models.hyperbolic.resnet import EuclideanResNet, PoincareResNet

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "closed form": PoincareResNet,
    "closed form, Fréchet mean": lambda: PoincareResNet(mean="frechet"),
    "naive composition": lambda: PoincareResNet(operations=NAIVE),
    "Euclidean twin": EuclideanResNet,
}
FASTER, SMALLER, FASTER_MEAN = 5.0, 2.5, 1.5


@dataclass(frozen=True)
class Cost:
    """Seconds of a forward pass and of forward and backward together, MiB that the process grew by."""

    forward: float
    both: float
    memory: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--runs", type=int, default=3, help="runs of which the best counts")
    args = parser.parse_args()
    console = Console() if sys.stdout.isatty() else Console(width=120)
    costs = {name: alone(name, args.batch, args.runs) for name in NETWORKS}
    shown = Table("network", "forward", "forward + backward", "memory", box=None, pad_edge=False)
    for name, cost in costs.items():
        shown.add_row(name, f"{cost.forward:.2f} s", f"{cost.both:.2f} s", f"{cost.memory:.0f} MiB")
    console.print(shown)
    closed, frechet, naive = (costs[name] for name in ("closed form", "closed form, Fréchet mean", "naive composition"))
    holds = [
        say(console, "faster, forward + backward", naive.both / closed.both, FASTER),
        say(console, "smaller in memory", naive.memory / closed.memory, SMALLER),
        say(console, "faster than with the Fréchet mean", frechet.both / closed.both, FASTER_MEAN),
    ]
    console.print(f"batch {args.batch}, float32, one thread, torch {torch.__version__}; best of {args.runs} runs", highlight=False)
    sys.exit(0 if all(holds) else 1)


def say(console: Console, what: str, ratio: float, least: float) -> bool:
    console.print(f"{'PASS' if ratio >= least else 'MISS'}  {ratio:.1f} times {what}; at least {least:g} times", highlight=False)
    return ratio >= least


def alone(name: str, batch: int, runs: int) -> Cost:
    """The cost of one network, in a forked process: what others allocated does not count. The parent never runs torch."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(there, name, batch, runs))
    process.start()
    there.close()
    try:
        return here.recv()
    except EOFError:
        return Cost(math.nan, math.nan, math.nan)
    finally:
        process.join()


def _measure(out: Connection, name: str, batch: int, runs: int) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = NETWORKS[name]()
    image = torch.rand(batch, 3, 32, 32) * 2 - 1
    model(image[:2]).sum().backward()  # loads the kernels
    before = _peak()
    forward, both = math.inf, math.inf
    for _ in range(runs):
        start = time.process_time()
        logits = model(image)
        forward = min(forward, time.process_time() - start)
        logits.square().sum().backward()
        both = min(both, time.process_time() - start)
    out.send(Cost(forward, both, _peak() - before))


def _peak() -> float:
    """Largest memory that this process has held so far, MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


if __name__ == "__main__":
    main()
