"""How long a full set of generated weights takes, with its test on 500 pictures: what one step of the width slider costs.

python -m benchmarks.generated_weights [--threads 2] [--repeats 15]

Trained or not, the arithmetic is the same; pictures of the residual block are made up here. Milliseconds of the wall and of the processor,
medians; the budget is 200 ms of the wall on two free cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table

from explorer.measuring import threads
from models import zoo
from models.hypernetworks import walks
from models.hypernetworks.digits import digits
from models.hypernetworks.metamorphosis import Metamorphosis

BUDGET = 200.0
COUNT = 500
WIDTHS = {"neumeta_digits": (4, 8, 12, 18), "neumeta_cifar": (16, 32, 64, 96)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    shown = Table("network", "width", "numbers", "generate", "test", "both", "processor", "", box=None, pad_edge=False)
    with threads(args.threads), torch.inference_mode():
        for name, widths in WIDTHS.items():
            family = zoo.load(name).model
            assert isinstance(family, Metamorphosis)
            entered, labels = _pictures(name, family)
            for width in widths:
                shown.add_row(name, str(width), *row(family, width, entered, labels, args.repeats))
    console = Console() if sys.stdout.isatty() else Console(width=120)
    console.print(shown)
    console.print(
        f"{COUNT} pictures (497 digits), {args.threads} threads, float32, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}"
    )


def _pictures(name: str, family: Metamorphosis) -> tuple[torch.Tensor, torch.Tensor]:
    if name == "neumeta_digits":
        return digits(False)
    x = torch.randn(COUNT, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return torch.cat([family.entering(part) for part in x.split(100)]), torch.zeros(COUNT, dtype=torch.long)


def row(family: Metamorphosis, width: int, entered: torch.Tensor, labels: torch.Tensor, repeats: int) -> list[str]:
    """Numbers in the network, milliseconds of its generation, of its test, of both, of the processor, and the verdict."""
    weights = family.generate(width).weights
    made, used_made = _milliseconds(lambda: family.generate(width), repeats)
    tested, used_tested = _milliseconds(lambda: walks.standing(family, weights, width, entered, labels), repeats)
    both, used = made + tested, used_made + used_tested
    free = os.getloadavg()[0] <= (os.cpu_count() or 1)
    verdict = "ok" if both <= BUDGET else ("MISS" if free else "busy")
    count = sum(tensor.numel() for tensor in weights.values())
    return [f"{count:,}", *(f"{value:.0f} ms" for value in (made, tested, both, used)), verdict]


def _milliseconds(act: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Medians of the wall and of the processor, after two rounds that warm up."""
    wall, processor = [], []
    for number in range(repeats + 2):
        started, used = time.perf_counter(), time.process_time()
        act()
        if number > 1:
            wall.append(1e3 * (time.perf_counter() - started))
            processor.append(1e3 * (time.process_time() - used))
    return statistics.median(wall), statistics.median(processor)


if __name__ == "__main__":
    main()
