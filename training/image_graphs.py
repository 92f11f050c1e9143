"""Train the image-graph models that ship, on CIFAR-10 shown at 64 × 64 pixels.

python -m training.image_graphs --data-dir DIR                    all of them
python -m training.image_graphs --data-dir DIR swappable_dagc …   some of them
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from models import zoo
from training.data import CIFAR10_CLASSES, MEAN, STD, cifar10
from training.loop import Recipe, ship, train

NAMES = (
    "swappable_dagc",
    "swappable_knn",
    "swappable_svga",
    "swappable_grid",
    "swappable_random",
    "greedyvig_micro",
    "pvig_micro",
    "mobilevig_micro",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(NAMES), help=f"any of {', '.join(NAMES)}")
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of CIFAR-10 (standard archive or mosaic pack)")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="checkpoints to resume from")
    parser.add_argument("--out", type=Path, default=zoo.WEIGHTS)
    parser.add_argument("--threads", type=int, default=0, help="0 takes what torch takes")
    parser.add_argument("--limit", type=int, default=0, help="use only the first LIMIT training pictures (a rehearsal)")
    args = parser.parse_args()
    unknown = sorted(set(args.names) - set(NAMES))
    if unknown:
        parser.error(f"unknown model {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if args.threads:
        torch.set_num_threads(args.threads)
    train_set, test_set = cifar10(args.data_dir)
    if args.limit:
        train_set = type(train_set)(train_set.pixels[: args.limit], train_set.labels[: args.limit])

    for name in args.names:
        recipe = Recipe(epochs=args.epochs, seed=args.seed)
        torch.manual_seed(args.seed)
        model = zoo.build(name)
        result = train(name, model, train_set, test_set, recipe, args.runs)
        print(f"{name}: {100 * result['test_accuracy']:.2f} % of the 10 000 test pictures", flush=True)
        if not args.limit:
            ship(name, model, _card(name, recipe, result), args.out)


def _card(name: str, recipe: Recipe, result: dict) -> dict:
    return {
        "model": zoo.ENTRIES[name].describe(),
        "labels": list(CIFAR10_CLASSES),
        "input": {"side": recipe.side, "native": 32, "mean": MEAN, "std": STD},
        "data": "CIFAR-10, official training split (50 000 pictures of 32 × 32 pixels, enlarged to 64 × 64)",
        "data_licence": "none given by its authors; cite A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        "licence": "Apache-2.0 (weights trained for this project)",
        "test_accuracy": round(result["test_accuracy"], 4),
        "test_split": "whole official test split, 10 000 pictures, one view each, float32",
        "seeds": [recipe.seed],
        "recipe": {k: getattr(recipe, k) for k in recipe.__dataclass_fields__},
        "cpu_seconds": result["cpu_seconds"],
        "history": result["history"],
        "command": f"python -m training.image_graphs --data-dir DIR --epochs {recipe.epochs} --seed {recipe.seed} {name}",
    }


if __name__ == "__main__":
    main()
