"""Train the image-graph models that ship, on CIFAR-10 shown at 64 × 64 pixels.

python -m training.image_graphs --data-dir DIR                    all of them
python -m training.image_graphs --data-dir DIR swappable_dagc …   some of them
"""

from __future__ import annotations

import torch

from models import zoo
from training.command import arguments, card, pictures
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
    args = arguments(__doc__, NAMES, epochs=8)
    train_set, test_set = pictures(args)
    for name in args.names:
        recipe = Recipe(epochs=args.epochs, seed=args.seed)
        torch.manual_seed(args.seed)
        model = zoo.build(name)
        result = train(name, model, train_set, test_set, recipe, args.runs)
        print(f"{name}: {100 * result['test_accuracy']:.2f} % of the 10 000 test pictures", flush=True)
        if not args.limit:
            ship(name, model, card("image_graphs", name, recipe, result), args.out)


if __name__ == "__main__":
    main()
