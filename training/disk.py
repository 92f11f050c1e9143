"""Train the network that puts pictures into the Poincaré disk of the CIFAR-100 classes.

python -m training.disk --data-dir DIR                      both
python -m training.disk --data-dir DIR poincare_cifar100    the one that ships

poincare_cifar100     distances of the disk
euclidean_cifar100    the same drawing of the classes, encoder and recipe, measured with the ruler of the plane

The second does not ship; its figures stand in the model card of the first.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models import zoo
from models.hyperbolic.disk import ClassDisk
from training.command import arguments, card, pictures
from training.data import Pictures, cifar100
from training.hyperbolic import plain, separation
from training.loop import Recipe, ship, train

NAME = "poincare_cifar100"
CONTROL = "euclidean_cifar100"
NAMES = (NAME, CONTROL)


def main() -> None:
    args = arguments(__doc__, NAMES, epochs=15, data="CIFAR-100")
    train_set, test_set = pictures(args, cifar100)
    for name in args.names:
        # Without label smoothing: a right answer at the class point itself is meant to be a sure one.
        recipe = Recipe(epochs=args.epochs, side=32, seed=args.seed, label_smoothing=0.0)
        model = network(name, args.seed)
        result = train(name, model, train_set, test_set, recipe, args.runs, prepare=prepared)
        found = {"seed": args.seed, **measured(model, test_set)}
        print(f"{name}: {100 * result['test_accuracy']:.2f} % of the {len(test_set.labels)} test pictures; {found}", flush=True)
        if args.limit:
            continue
        _write(args.runs / f"{name}.measured.json", {"recipe": asdict(recipe), "found": found, "history": result["history"]})
        if name == NAME:
            ship(NAME, model, _card(model, recipe, result, found), args.out)
        _tell(args.runs, args.out)


def network(name: str, seed: int) -> ClassDisk:
    """A new network of `NAMES`."""
    torch.manual_seed(seed)
    model = zoo.build(NAME, geometry="euclidean") if name == CONTROL else zoo.build(NAME)
    assert isinstance(model, ClassDisk)
    return model


def prepared(pixels: Tensor, side: int) -> Tensor:
    """uint8 [n, 3, side, side] → float from −1 to 1, in the layout that convolutions like best."""
    return plain(pixels, side).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def measured(model: nn.Module, test_set: Pictures) -> dict[str, Any]:
    """Over all test pictures, in float32:

    test_accuracy          share whose nearest class is the right one
    superclass_accuracy    share whose nearest class is at least of the right superclass
    mistakes_in_superclass share of the wrong answers that stay in the superclass; 4 in 99 by chance
    radius                 hyperbolic radius of the pictures (in the plane: twice the length) at 10, 50 and 90 %
    radius_tells           chance that a rightly named picture lies farther out than a wrongly named one; ½: the radius says nothing
    scale                  e^s, by which distances become scores
    """
    assert isinstance(model, ClassDisk)
    model.eval()
    device = next(model.parameters()).device
    parts = [model.encoder(prepared(pixels, 32).to(device)).cpu() for pixels in test_set.pixels.split(500)]
    tangents = torch.cat(parts)
    answer = model.cpu().scores(tangents).argmax(1)
    model.to(device)
    right = answer == test_set.labels
    kin = model.superclass[answer] == model.superclass[test_set.labels]
    radius = 2 * tangents.norm(dim=1)
    return {
        "test_accuracy": round(right.double().mean().item(), 4),
        "superclass_accuracy": round(kin.double().mean().item(), 4),
        "mistakes_in_superclass": round(kin[~right].double().mean().item(), 4) if not right.all() else None,
        "radius": [round(value, 3) for value in radius.quantile(torch.tensor([0.1, 0.5, 0.9])).tolist()],
        "radius_tells": separation(radius, right),
        "scale": round(model.log_scale.exp().item(), 4),
    }


def _card(model: ClassDisk, recipe: Recipe, result: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    return {
        **card("disk", NAME, recipe, result),
        "labels": list(model.labels),
        "data": "CIFAR-100, official training split (50 000 pictures of 32 × 32 pixels), with its 20 superclasses",
        "measured": found,
    }


def _tell(runs: Path, out: Path) -> None:
    """Write the figures of the plane into the card of the disk, where the recipe is the same."""
    path, own, other = out / f"{NAME}.json", runs / f"{NAME}.measured.json", runs / f"{CONTROL}.measured.json"
    if not (path.exists() and own.exists() and other.exists()):
        return
    disk, plane = (json.loads(file.read_text(encoding="utf-8")) for file in (own, other))
    if disk["recipe"] == plane["recipe"]:
        _write(path, json.loads(path.read_text(encoding="utf-8")) | {"in_the_plane": {**plane["found"], "history": plane["history"]}})


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
