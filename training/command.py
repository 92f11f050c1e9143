"""What the training commands on CIFAR-10 have in common: their arguments and the words of their model cards."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from models import zoo
from training.data import CIFAR10_CLASSES, Pictures, cifar10
from training.loop import Recipe


def arguments(
    description: str | None,
    names: Sequence[str],
    epochs: int,
    extend: Callable[[argparse.ArgumentParser], object] | None = None,
    data: str = "CIFAR-10",
) -> argparse.Namespace:
    """The command line, checked. Sets the number of threads. `extend` adds arguments of one command alone."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if extend is not None:
        extend(parser)
    parser.add_argument("names", nargs="*", default=list(names), help=f"any of {', '.join(names)}")
    parser.add_argument("--data-dir", type=Path, required=True, help=f"folder of {data} (standard archive or mosaic pack)")
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="checkpoints to resume from")
    parser.add_argument("--out", type=Path, default=zoo.WEIGHTS)
    parser.add_argument("--threads", type=int, default=0, help="0 takes what torch takes")
    parser.add_argument("--limit", type=int, default=0, help="use only the first LIMIT training pictures (a rehearsal)")
    args = parser.parse_args()
    unknown = sorted(set(args.names) - set(names))
    if unknown:
        parser.error(f"unknown model {', '.join(unknown)}; there are {', '.join(names)}")
    if args.threads:
        torch.set_num_threads(args.threads)
    return args


def pictures(args: argparse.Namespace, read: Callable[[Path], tuple[Pictures, Pictures]] = cifar10) -> tuple[Pictures, Pictures]:
    """The training split (its first pictures in a rehearsal) and the test split."""
    train_set, test_set = read(args.data_dir)
    if args.limit:
        train_set = replace(train_set, pixels=train_set.pixels[: args.limit], labels=train_set.labels[: args.limit])
    return train_set, test_set


def card(script: str, name: str, recipe: Recipe, result: dict) -> dict:
    """What a model card says of a network trained on CIFAR-10 by `python -m training.<script>`."""
    prepared = zoo.ENTRIES[name].preparation
    enlarged = f", enlarged to {recipe.side} × {recipe.side}" if recipe.side != 32 else ""
    return {
        "model": zoo.ENTRIES[name].describe(),
        "labels": list(CIFAR10_CLASSES),
        "input": {"side": recipe.side, "native": 32, "mean": prepared.mean, "std": prepared.std},
        "data": f"CIFAR-10, official training split (50 000 pictures of 32 × 32 pixels{enlarged})",
        "data_licence": "none given by its authors; cite A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        "licence": "Apache-2.0 (weights trained for this project)",
        "test_accuracy": round(result["test_accuracy"], 4),
        "test_split": "whole official test split, 10 000 pictures, one view each, float32",
        "seeds": [recipe.seed],
        "recipe": {k: getattr(recipe, k) for k in recipe.__dataclass_fields__},
        "cpu_seconds": result["cpu_seconds"],
        "history": result["history"],
        "command": f"python -m training.{script} --data-dir DIR --epochs {recipe.epochs} --seed {recipe.seed} {name}",
    }
