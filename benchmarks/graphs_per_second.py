"""How many graphs per second one core draws, lays out and generates: `python -m benchmarks.graphs_per_second [--count 300]`.

CPU seconds of one thread (not wall time), the best of three passes over the first graphs of the topology task. Target: the
rasteriser draws 500 graphs of 20 to 50 nodes per second at 64 pixels.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from models.graph_structure.generators import sample
from models.graph_structure.layouts import LAYOUTS, layout
from models.graph_structure.rasteriser import EVEN, PAPER, draw


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300, help="graphs per pass; layouts take a tenth of them")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'':36s}{'train (20–50 nodes)':>22s}{'far (60–150 nodes)':>22s}")
    drawn: dict[str, list[float]] = {}
    for band in ("train", "far"):
        graphs = [sample("topology", band, i).graph for i in range(args.count)]
        places = [layout(graph, "circular") for graph in graphs]
        few = graphs[: max(6, args.count // 10)]
        rows: dict[str, tuple[Callable[[], object], int]] = {
            "generated": (lambda band=band: [sample("topology", band, i) for i in range(args.count)], args.count),  # type: ignore[misc]
            **{
                f"drawn at {side} px, {word} pen": (
                    lambda graphs=graphs, places=places, side=side, pen=pen: [  # type: ignore[misc]
                        draw(graph, xy, side, pen) for graph, xy in zip(graphs, places, strict=True)
                    ],
                    args.count,
                )
                for side in (64, 96)
                for word, pen in (("even", EVEN), ("paper", PAPER))
            },
            **{f"laid out, {name}": (lambda few=few, name=name: [layout(graph, name) for graph in few], len(few)) for name in LAYOUTS},  # type: ignore[misc]
        }
        for name, (work, count) in rows.items():
            drawn.setdefault(name, []).append(count / min(_seconds(work) for _ in range(3)))
    for name, (train, far) in drawn.items():
        print(f"{name:36s}{train:16.0f} per s{far:16.0f} per s")
    reached = drawn["drawn at 64 px, even pen"][0]
    print(f"target 500 drawn per second at 64 px: {'reached' if reached >= 500 else 'MISSED'} ({reached:.0f})")


def _seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


if __name__ == "__main__":
    main()
