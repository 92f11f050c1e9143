"""Embed hierarchies in the Poincaré ball and in flat space, in 2, 5 and 10 dimensions, and judge both.

python -m training.hierarchy --data-dir DIR                         both hierarchies; DIR holds WordNet (see training.wordnet)
python -m training.hierarchy --data-dir DIR cifar100_embeddings     the classes of CIFAR-100 alone (nothing is read from DIR)

mammals_embeddings    the mammals of WordNet
cifar100_embeddings   all classes → 20 superclasses → 100 classes

Nickel, Kiela, "Poincaré Embeddings", NeurIPS 2017. Both geometries get the same loss, number of epochs and choice of learning rates:
the rate with the higher MAP at the first seed is kept for the other seeds. What ships are the points of the first seed, and maps of
those of more dimensions in the disk (models.hyperbolic.projections).
"""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress
from torch import Tensor, nn

from models import zoo
from models.hyperbolic.embeddings import BORDER, Frame, Geometry, Settings, judged, norm_by_depth, placed, train
from models.hyperbolic.hierarchy import Hierarchy, cifar100, from_edges
from models.hyperbolic.projections import WAYS
from training.loop import ship
from training.wordnet import LICENCE, mammals

DIMENSIONS = (2, 5, 10)
GEOMETRIES: tuple[Geometry, ...] = ("poincare", "euclidean")
RATES = (0.05, 0.3)
SEEDS = 3
EPOCHS = {"mammals_embeddings": 150, "cifar100_embeddings": 150}
NAMES = tuple(EPOCHS)
CURVE = 30  # at most so many points of a loss curve are kept


def main() -> None:
    args = _arguments()
    for name in args.names:
        hierarchy = cifar100() if name == "cifar100_embeddings" else mammals(args.data_dir)
        if args.limit:
            hierarchy = top(hierarchy, args.limit)
        epochs = args.epochs or EPOCHS[name]
        rows, points = compared(name, hierarchy, epochs, args.seed, args.runs)
        for row in rows:
            print(f"{name}: {row}", flush=True)
        if not args.limit:
            shipped = nn.ParameterDict(points)
            for key, tensor in mapped(hierarchy, points).items():
                shipped.register_buffer(key, tensor)
            ship(name, shipped, _card(name, hierarchy, epochs, args.seed, rows, points), args.out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(NAMES), help=f"any of {', '.join(NAMES)}")
    parser.add_argument("--data-dir", type=Path, required=True, help="file or folder of WordNet (pack, closure or data.noun)")
    parser.add_argument("--epochs", type=int, default=0, help=f"passes over all pairs; 0 takes {EPOCHS}")
    parser.add_argument("--seed", type=int, default=0, help=f"the first of {SEEDS} seeds in a row")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="finished embeddings to go on from")
    parser.add_argument("--out", type=Path, default=zoo.WEIGHTS)
    parser.add_argument("--threads", type=int, default=0, help="0 takes what torch takes")
    parser.add_argument("--limit", type=int, default=0, help="only the LIMIT nodes nearest to the root (a rehearsal)")
    args = parser.parse_args()
    unknown = sorted(set(args.names) - set(NAMES))
    if unknown:
        parser.error(f"unknown hierarchy {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if args.threads:
        torch.set_num_threads(args.threads)
    return args


def top(hierarchy: Hierarchy, count: int) -> Hierarchy:
    """The `count` nodes nearest to the root, and the edges between them."""
    kept = hierarchy.depth.argsort(stable=True)[:count].tolist()
    number = {node: i for i, node in enumerate(kept)}
    pairs = [(number[child], number[parent]) for parent, child in hierarchy.edges.T.tolist() if child in number and parent in number]
    return from_edges([hierarchy.names[node] for node in kept], pairs)


# ------------------------------------------------------------------------------------------------------------ training


def compared(name: str, hierarchy: Hierarchy, epochs: int, seed: int, runs: Path) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """All embeddings of a hierarchy: (what was found for each, the points of the first seed by "<geometry>_<dimension>")."""
    rows, points = [], {}
    for geometry in GEOMETRIES:
        for dimension in DIMENSIONS:

            def embed(rate: float, number: int, geometry: Geometry = geometry, dimension: int = dimension) -> tuple[dict[str, Any], Tensor]:
                return embedded(name, hierarchy, Settings(dimension, rate, epochs, seed=number, geometry=geometry), runs)

            first = [embed(rate, seed) for rate in RATES]
            best = max(range(len(RATES)), key=lambda i: first[i][0]["map"])
            points[f"{geometry}_{dimension}"] = first[best][1]
            others = [embed(RATES[best], number) for number in range(seed + 1, seed + SEEDS)]
            rows += [{**row, "kept": row["rate"] == RATES[best]} for row, _ in (*first, *others)]
    return rows, points


def embedded(name: str, hierarchy: Hierarchy, settings: Settings, runs: Path) -> tuple[dict[str, Any], Tensor]:
    """One embedding: (what was found, points [N, d] float64). One that is finished in `runs` is taken from there."""
    path = runs / f"{name}_{settings.geometry}_{settings.dimension}d_{settings.rate:g}_s{settings.seed}.pt"
    asked = {**asdict(settings), "hierarchy": _digest(hierarchy)}
    if path.exists():
        saved = torch.load(path, weights_only=True)
        if saved["asked"] == asked:
            return saved["found"], saved["points"]
    begun, losses = time.process_time(), []
    for frame in _told(path.stem, settings.epochs, lambda: train(hierarchy, settings)):
        losses.append(frame.loss)
    found = {**described(frame, hierarchy, settings), "cpu_seconds": round(time.process_time() - begun, 1), "losses": _thinned(losses[1:])}
    runs.mkdir(parents=True, exist_ok=True)
    torch.save({"asked": asked, "found": found, "points": frame.points}, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)
    return found, frame.points


def described(frame: Frame, hierarchy: Hierarchy, settings: Settings) -> dict[str, Any]:
    """What is found of an embedding:

    mean_rank, map    of the ancestors among all nodes by distance (models.structures.Reconstruction)
    norm_by_depth     mean Euclidean norm of the nodes of each depth; in the ball it should rise
    at_the_border     share of points at the border, where norms no longer tell anything (0 in flat space)
    """
    judgement = judged(frame, hierarchy)
    border = (frame.points.norm(dim=1) >= 1 - 1.01 * BORDER).double().mean().item() if settings.geometry == "poincare" else 0.0
    return {
        "geometry": settings.geometry,
        "dimension": settings.dimension,
        "rate": settings.rate,
        "seed": settings.seed,
        "mean_rank": round(judgement.mean_rank, 3),
        "map": round(judgement.average_precision, 4),
        "loss": round(frame.loss, 4),
        "norm_by_depth": [round(value, 5) for value in norm_by_depth(frame.points, hierarchy.depth).tolist()],
        "at_the_border": round(border, 4),
    }


def mapped(hierarchy: Hierarchy, points: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every ball of more than 2 dimensions brought to the disk in every way: "map_<way>_<dimension>" → tangent vectors [N, 2] float32."""
    found = {}
    for key, tensor in points.items():
        if key.startswith("poincare") and tensor.shape[1] > 2:
            for way, project in WAYS.items():
                found[f"map_{way}_{tensor.shape[1]}"] = project(placed(tensor, hierarchy)).tangents().float()
    return found


def _told(name: str, epochs: int, frames: Callable[[], Iterator[Frame]]) -> Iterator[Frame]:
    with Progress(transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(name, total=epochs)
        for frame in frames():
            yield frame
            bar.update(task, completed=frame.epoch)


def _thinned(losses: list[float]) -> list[float]:
    """At most `CURVE` of them, the last one always among them."""
    every = math.ceil(len(losses) / CURVE)
    return [round(value, 4) for value in losses[::-1][::every][::-1]]


def _digest(hierarchy: Hierarchy) -> str:
    return hashlib.sha256("\n".join(hierarchy.names).encode() + hierarchy.edges.numpy().tobytes()).hexdigest()


# ---------------------------------------------------------------------------------------------------------- what is told


def _card(name: str, hierarchy: Hierarchy, epochs: int, seed: int, rows: list[dict[str, Any]], points: dict[str, Tensor]) -> dict[str, Any]:
    chosen = {
        f"{row['geometry']}_{row['dimension']}": asdict(Settings(row["dimension"], row["rate"], epochs, geometry=row["geometry"]))
        for row in rows
        if row["kept"]
    }
    of_wordnet = name == "mammals_embeddings"
    return {
        "model": {"builder": "models.hyperbolic.embeddings.train", "arguments": chosen},
        "labels": list(hierarchy.names),
        "input": {"edges": hierarchy.edges.T.tolist(), "edge_order": "parent, child", "pairs": len(hierarchy.closure)},
        "tensors": {key: f"{len(hierarchy)} points of seed {seed}, {tensor.shape[1]} dimensions, float64" for key, tensor in points.items()}
        | {"map_<way>_<d>": f"poincare_<d> brought to the disk, tangent vectors at its centre, float32; ways: {', '.join(WAYS)}"},
        "data": "mammals of WordNet" if of_wordnet else "CIFAR-100, names of the classes and superclasses",
        "data_licence": LICENCE if of_wordnet else "names only; cite A. Krizhevsky, Learning Multiple Layers of Features, 2009",
        "licence": "Apache-2.0 (points trained for this project; no code or data of facebookresearch/poincare-embeddings)",
        "test_map": {key: _mean(rows, key, "map") for key in points},
        "test_mean_rank": {key: _mean(rows, key, "mean_rank") for key in points},
        "test_split": "none: as in the paper, embeddings are judged by the pairs that they were trained on (reconstruction); means over the seeds",
        "seeds": list(range(seed, seed + SEEDS)),
        "cpu_seconds": round(sum(row["cpu_seconds"] for row in rows)),
        "measured": rows,
        "command": f"python -m training.hierarchy --data-dir DIR --epochs {epochs} --seed {seed} {name}",
    }


def _mean(rows: list[dict[str, Any]], key: str, what: str) -> float:
    found = [row[what] for row in rows if row["kept"] and f"{row['geometry']}_{row['dimension']}" == key]
    return round(sum(found) / len(found), 4)


if __name__ == "__main__":
    main()
