"""Train Poincaré ResNet and its Euclidean twin on CIFAR-10, and watch the norms of the features layer by layer.

python -m training.hyperbolic --data-dir DIR                                               all of them
python -m training.hyperbolic --data-dir DIR poincare_resnet_micro euclidean_resnet_micro  those that ship

poincare_resnet_micro                       identity start, normalisation around the gyromidpoint, running statistics
euclidean_resnet_micro                      the twin: as many layers, channels and blocks in flat space
poincare_resnet_micro_normal                the start of HNN++ instead of the identity
poincare_resnet_micro_without_norm          no batch normalisation, identity start: nothing brings shrunken norms back
poincare_resnet_micro_normal_without_norm   no batch normalisation, start of HNN++: norms collapse at once

Data, number of steps, optimiser and learning rates are the same for all. The last three do not ship: their curves stand in the model
card of the first. Networks learn from random crops of 24 × 24 pixels, which halves the price of a step, and answer for the whole
picture of 32 × 32: every layer takes any size.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import zoo
from models.capture import capture
from models.hyperbolic.resnet import PoincareResNet, adapters
from models.structures import NormProfile, PoincarePoints, TangentField
from training.command import arguments, card, pictures
from training.data import Pictures
from training.loop import Recipe, evaluate, fit, ship

SHIPPED = ("poincare_resnet_micro", "euclidean_resnet_micro")
CONTROLS: dict[str, dict[str, Any]] = {
    "poincare_resnet_micro_normal": {"initialisation": "normal"},
    "poincare_resnet_micro_without_norm": {"norm": False},
    "poincare_resnet_micro_normal_without_norm": {"initialisation": "normal", "norm": False},
}
NAMES = (*SHIPPED, *CONTROLS)
CROP = 24  # pixels a side that a step sees
LOOKED_AT = 2000  # test pictures after each epoch
PROFILED = 100  # test pictures whose norms are noted


def main() -> None:
    args = arguments(__doc__, NAMES, epochs=10)
    train_set, test_set = pictures(args)
    for name in args.names:
        recipe = Recipe(epochs=args.epochs, side=32, seed=args.seed)
        model = network(name, args.seed)
        start = profile(model, test_set)
        result = trained(name, model, train_set, test_set, recipe, args.runs)
        found = {"seed": args.seed, "test_accuracy": round(result["test_accuracy"], 4), "start": start, **measured(model, test_set)}
        print(f"{name}: {100 * result['test_accuracy']:.2f} % of the {len(test_set.labels)} test pictures; {found}", flush=True)
        if args.limit:
            continue
        told = {"recipe": _settings(recipe), "found": found, "cpu_seconds": result["cpu_seconds"], "history": result["history"]}
        _write(args.runs / f"{name}.measured.json", told)
        if name in SHIPPED:
            ship(name, model, _card(name, recipe, result, found), args.out)
        _tell(args.runs, args.out)


def network(name: str, seed: int) -> nn.Module:
    """A new network of `NAMES`."""
    torch.manual_seed(seed)
    return zoo.build("poincare_resnet_micro", **CONTROLS[name]) if name in CONTROLS else zoo.build(name)


# ------------------------------------------------------------------------------------------------------------ training


def trained(name: str, model: nn.Module, train_set: Pictures, test_set: Pictures, recipe: Recipe, runs: Path) -> dict[str, Any]:
    """Train, or go on from the last finished epoch in `runs`, in float32 throughout; as `training.loop.train`."""
    steps = len(train_set.labels) // recipe.batch
    few = Pictures(test_set.pixels[:LOOKED_AT], test_set.labels[:LOOKED_AT])

    def losses(generator: torch.Generator) -> Iterator[Tensor]:
        device = next(model.parameters()).device
        for chosen in torch.randperm(len(train_set.labels), generator=generator)[: steps * recipe.batch].split(recipe.batch):
            x = plain(cropped(train_set.pixels[chosen], generator), CROP).to(device)
            y = train_set.labels[chosen].to(device)
            yield F.cross_entropy(model(x), y, label_smoothing=recipe.label_smoothing)

    def assess() -> dict[str, Any]:
        return {"test_accuracy": evaluate(model, few, recipe, plain, precise=True), **profile(model, test_set)}

    result = fit(name, model, losses, steps, assess, recipe, runs)
    return {"test_accuracy": evaluate(model, test_set, recipe, plain, precise=True), **result}


def plain(pixels: Tensor, side: int) -> Tensor:
    """uint8 [n, 3, side, side] → float from −1 to 1, which the networks take as tangent vectors. Raises ValueError at another size."""
    if pixels.shape[-1] != side:
        raise ValueError(f"the pictures are {pixels.shape[-1]} pixels wide; {side} are needed")
    return pixels.contiguous().float() / 127.5 - 1


def cropped(pixels: Tensor, generator: torch.Generator, side: int = CROP) -> Tensor:
    """A random window of `side` pixels and a random left–right flip, per picture. uint8 in and out."""
    n, whole = len(pixels), pixels.shape[-1]
    corner = torch.randint(0, whole - side + 1, (2, n, 1), generator=generator)
    rows, cols = corner[0] + torch.arange(side), corner[1] + torch.arange(side)
    cols = torch.where(torch.rand(n, 1, generator=generator) < 0.5, cols.flip(1), cols)
    return pixels[torch.arange(n)[:, None, None], :, rows[:, :, None], cols[:, None, :]].permute(0, 3, 1, 2)


# ------------------------------------------------------------------------------------------------------- what is measured


@torch.no_grad()
def profile(model: nn.Module, test_set: Pictures) -> dict[str, Any]:
    """Over the first 100 test pictures, as the network answers for them; nothing for the twin:

    norms        median ‖t‖ after every layer, in order; half the median hyperbolic radius
    saturated    largest share, over the layers, of positions at the clip
    """
    if not isinstance(model, PoincareResNet):
        return {}
    model.eval()
    device = next(model.parameters()).device
    with capture(model, adapters=_adapters(model)) as trace:
        model(plain(test_set.pixels[:PROFILED], 32).to(device))
    found = NormProfile.of(trace.of(TangentField))
    return {
        "norms": [float(f"{value:.3g}") for value in found.quantiles[:, 2].tolist()],
        "saturated": round(found.saturated.max().item(), 4),
    }


def _adapters(model: PoincareResNet) -> dict[Any, Any]:
    present = {type(part) for part in model.modules()}
    return {key: value for key, value in adapters(model).items() if isinstance(key, str) or key in present}


@torch.no_grad()
def measured(model: nn.Module, test_set: Pictures) -> dict[str, Any]:
    """Of a Poincaré network, over the first 2000 test pictures (nothing for the twin):

    pictures           how many these are
    layers             names behind the norms of `profile`
    radius             mean hyperbolic radius of the pooled features
    radius_tells       chance that a rightly named picture lies farther out than a wrongly named one; ½: the radius says nothing
    alone_or_together  largest change of a logit when a picture is shown alone instead of in a batch, over 8 pictures
    """
    if not isinstance(model, PoincareResNet):
        return {}
    model.eval()
    device = next(model.parameters()).device
    few = Pictures(test_set.pixels[:LOOKED_AT], test_set.labels[:LOOKED_AT])
    radii, right = [], []
    for begin in range(0, len(few.labels), 250):
        x, y = plain(few.pixels[begin : begin + 250], 32).to(device), few.labels[begin : begin + 250]
        with capture(model, adapters=_adapters(model)) as trace:
            logits = model(x)
        right.append(logits.argmax(1).cpu() == y)
        radii.append(trace.of(PoincarePoints)["avg_pool"].radius().cpu())
    together = logits[:8]
    alone = torch.cat([model(picture[None]) for picture in x[:8]])
    return {
        "pictures": len(few.labels),
        "layers": list(trace.of(TangentField)),
        "radius": round(torch.cat(radii).mean().item(), 3),
        "radius_tells": separation(torch.cat(radii), torch.cat(right)),
        "alone_or_together": float(f"{(alone - together).abs().max().item():.1e}"),
    }


def separation(values: Tensor, right: Tensor) -> float | None:
    """Chance that a value where `right` is above one where it is not (area under the ROC curve); None when all are alike.

    Values that are equal to the last bit count in the order in which they stand.
    """
    wins, ranks = right.sum().item(), values.argsort().argsort().double() + 1
    losses = len(right) - wins
    if not wins or not losses:
        return None
    return round(((ranks[right].sum().item() - wins * (wins + 1) / 2) / (wins * losses)), 4)


# ---------------------------------------------------------------------------------------------------------- what is told


def _card(name: str, recipe: Recipe, result: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    return {
        **card("hyperbolic", name, recipe, result),
        "recipe": {**asdict(recipe), "crop": CROP},
        "measured": found,
        "history_note": f"test accuracy after each epoch: of the first {LOOKED_AT} test pictures",
    }


def _tell(runs: Path, out: Path) -> None:
    """Write the curves of the twin and of the controls into the card of the Poincaré network, where the recipe is the same."""
    path, own = out / f"{SHIPPED[0]}.json", runs / f"{SHIPPED[0]}.measured.json"
    if not (path.exists() and own.exists()):
        return
    first = json.loads(own.read_text(encoding="utf-8"))
    others = {name: runs / f"{name}.measured.json" for name in NAMES[1:]}
    told = {name: json.loads(file.read_text(encoding="utf-8")) for name, file in others.items() if file.exists()}
    compared = {
        name: {**one["found"], "cpu_seconds": one["cpu_seconds"], "history": one["history"]}
        for name, one in told.items()
        if one["recipe"] == first["recipe"]
    }
    _write(path, json.loads(path.read_text(encoding="utf-8")) | {"compared": compared})


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {**asdict(recipe), "crop": CROP}


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
