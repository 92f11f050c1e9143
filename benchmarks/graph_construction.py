"""Time and memory of the graph constructors from 14 × 14 to 112 × 112 patches, with the fitted growth exponents.

    python -m benchmarks.graph_construction [--quick]

Rules: the 9 nearest of all patches with dilation 2 (ViG, all pairs); SVGA and DAGC with every side/7-th patch of the row
and column as released (12 candidates everywhere), and with every second patch (as many candidates as the side is long).
Each cell is measured in a process of its own on one thread. The time is CPU time, the best of several runs, so that other
programs on the machine hardly matter; the memory is what the process grew by.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from explorer.measuring import best_seconds
from models.image_graphs.constructors import AxialDynamic, AxialStatic, Constructor, DilatedKNN

SIDES, BATCHES, CHANNELS = (14, 28, 56, 112), (1, 16), 48
RULES: dict[str, Callable[[int], Constructor]] = {
    "KNN 9, d 2": lambda side: DilatedKNN(9, 2, horizon=0),
    "SVGA, side/7": lambda side: AxialStatic(side // 7),
    "DAGC, side/7": lambda side: AxialDynamic(side // 7),
    "SVGA, 2": lambda side: AxialStatic(2),
    "DAGC, 2": lambda side: AxialDynamic(2),
}
Cell = tuple[str, int, int]  # rule, batch, side
LIMIT, TOLERANCE = 1.5, 0.1  # patches × axis length grows with patches^1.5; small grids pay fixed costs, large ones leave the cache


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="leave out 112 × 112 patches with 16 pictures")
    args = parser.parse_args()
    cells = [(rule, batch, side) for rule in RULES for batch in BATCHES for side in SIDES]
    if args.quick:
        cells = [cell for cell in cells if cell[1:] != (16, 112)]
    console = Console() if sys.stdout.isatty() else Console(width=150)
    found: dict[Cell, tuple[float, float]] = {}
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        for cell in bar.track(cells, description="graph construction"):
            found[cell] = alone(cell)
    console.print(table(found))
    missed = [line for line, holds in verdicts(found) if not say(console, line, holds)]
    sys.exit(1 if missed else 0)


# ---------------------------------------------------------------------------------------------------------- measuring


def alone(cell: Cell) -> tuple[float, float]:
    """(seconds, MiB) of one cell, in a forked process: what others allocated does not count. The parent never runs torch."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(there, cell))
    process.start()
    there.close()
    try:
        return here.recv()
    except EOFError:
        return math.nan, math.nan
    finally:
        process.join()


def _measure(out: Connection, cell: Cell) -> None:
    torch.set_num_threads(1)
    rule, batch, side = cell
    constructor = RULES[rule](side)
    constructor(torch.randn(1, CHANNELS, 28, 28))  # loads the kernels
    x = torch.randn(batch, CHANNELS, side, side, generator=torch.Generator().manual_seed(0))
    before = _peak()
    constructor(x)
    grown = _peak() - before
    out.send((best_seconds(lambda: constructor(x), budget=1.0, clock=time.process_time), grown))


def _peak() -> float:
    """Largest memory that this process has held so far, MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


# ----------------------------------------------------------------------------------------------------------- verdicts


def exponent(found: dict[Cell, tuple[float, float]], rule: str, batch: int, least: int = 0) -> float:
    """Slope of log time over log patches, by least squares over the sides from `least` on."""
    sides = [side for r, b, side in found if (r, b) == (rule, batch) and side >= least and found[r, b, side][0] > 0]
    if len(sides) < 2:
        return math.nan
    seconds = [found[rule, batch, side][0] for side in sides]
    return float(np.polyfit(np.log([side**2 for side in sides]), np.log(seconds), 1)[0])


def table(found: dict[Cell, tuple[float, float]]) -> Table:
    shown = Table("rule", "pictures", *(f"{side}²" for side in SIDES), "grows with patches^", box=None, pad_edge=False)
    for rule in RULES:
        for batch in BATCHES:
            row = [_cell(found.get((rule, batch, side))) for side in SIDES]
            shown.add_row(rule, str(batch), *row, f"{exponent(found, rule, batch):.2f} (from 28²: {exponent(found, rule, batch, 28):.2f})")
    return shown


def _cell(value: tuple[float, float] | None) -> str:
    return "–" if value is None else f"{1e3 * value[0]:.2f} ms, {value[1]:.0f} MiB"


def verdicts(found: dict[Cell, tuple[float, float]]) -> list[tuple[str, bool]]:
    """Each requirement in a sentence with its figure, and whether it is met."""
    lines = []
    for rule in ("SVGA, side/7", "DAGC, side/7", "SVGA, 2", "DAGC, 2"):
        for batch in BATCHES:
            slope = exponent(found, rule, batch)
            text = f"{rule}, batch {batch}: time grows with patches^{slope:.2f}; patches × axis length is {LIMIT}"
            lines.append((text, slope <= LIMIT + TOLERANCE))
    for rule in ("DAGC, side/7", "DAGC, 2"):
        for batch in BATCHES:
            for side in SIDES:
                if side > 28 and (rule, batch, side) in found:
                    ratio = found["KNN 9, d 2", batch, side][0] / found[rule, batch, side][0]
                    lines.append((f"{rule}, batch {batch}, {side}²: {ratio:.1f}× faster than KNN; at least 1×", ratio >= 1))
    return lines


def say(console: Console, line: str, holds: bool) -> bool:
    console.print(f"{'PASS' if holds else 'MISS'}  {line}", highlight=False)
    return holds


if __name__ == "__main__":
    main()
