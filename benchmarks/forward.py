"""Pictures per second of every released configuration at 224 × 224 pixels, with random weights.

python -m benchmarks.forward [NAME …] [--threads 2] [--batch 1 4]
"""

from __future__ import annotations

import argparse
import sys

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from explorer.measuring import images_per_second, threads
from models import zoo


def main() -> None:
    released = [name for name, entry in zoo.ENTRIES.items() if entry.published]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(released)}")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4])
    args = parser.parse_args()
    unknown = sorted(set(args.names) - set(released))
    if unknown:
        parser.error(f"unknown model {', '.join(unknown)}; there are {', '.join(released)}")
    shown = Table("model", "parameters", *(f"batch {b}" for b in args.batch), box=None, pad_edge=False)
    names = args.names or released
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar, threads(args.threads):
        for name in bar.track(names, description="forward"):
            shown.add_row(name, *row(name, args.batch))
    console = Console() if sys.stdout.isatty() else Console(width=120)
    console.print(shown)
    console.print(f"224 × 224 pixels, float32, {args.threads} threads, torch {torch.__version__}; best of several runs")


def row(name: str, batches: list[int]) -> list[str]:
    """Parameters that are trained, then milliseconds and pictures per second for each batch size."""
    model = zoo.build(name).eval()
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    cells = [f"{trained / 1e6:.2f} M"]
    for batch in batches:
        rate = images_per_second(model, (batch, 3, 224, 224))
        cells.append(f"{1e3 * batch / rate:.0f} ms, {rate:.1f} pictures/s")
    return cells


if __name__ == "__main__":
    main()
