"""Train the small YOLOv13 that ships, on scenes composed of Fashion-MNIST garments and photographs.

python -m training.detection --data-dir DIR --photos DIR …                      the detector
python -m training.detection --data-dir DIR --photos DIR … --without-hyperace   its control: all seven gates stay shut

The control has the same layers, recipe and scenes. It does not ship; its figures stand in the detector's model card.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models import zoo
from models.capture import Edit, capture
from models.hypergraphs.detection import find
from models.hypergraphs.hyperace import FullPADTunnel
from models.hypergraphs.yolov13 import TUNNELS, YOLOv13
from models.structures import HypergraphMessages, SoftHypergraph, Tunnel
from training.average_precision import Precision, average_precision
from training.composed import CLASSES, ComposedScene, Stock, compose, stocks
from training.detector_loss import detector_loss
from training.loop import Recipe, fit, ship

NAME = "yolov13_micro"
CONTROL = f"{NAME}_without_hyperace"
SIDES = (128, 160, 192)  # of a batch, by chance: what hyperedges say is quieter the more cells there are
SCENES = 8_000  # of an epoch
TEST_SERIES, TEST_SCENES, TEST_SIDE = 2026, 1_000, 160
LOOKED_AT = 200  # test scenes after each epoch
CONFIDENCE = 0.01  # least score that counts for the precision; the page asks for 0.25


def main() -> None:
    args = _arguments()
    train_stock, test_stock = stocks(args.data_dir, args.photos)
    name = CONTROL if args.without_hyperace else NAME
    recipe = Recipe(epochs=args.epochs, batch=32, side=TEST_SIDE, label_smoothing=0.0, seed=args.seed)
    torch.manual_seed(args.seed)
    model = zoo.build(NAME)
    if args.without_hyperace:
        shut(model)
    test = [compose(test_stock, TEST_SERIES, number, TEST_SIDE) for number in range(LOOKED_AT if args.limit else TEST_SCENES)]
    steps = (args.limit or SCENES) // recipe.batch

    def losses(generator: torch.Generator) -> Iterator[Tensor]:
        return _epoch(model, train_stock, steps, recipe.batch, generator)

    def assess() -> dict[str, float]:
        return {"test_ap50": precision(model, test[:LOOKED_AT]).mean}

    result = fit(name, model, losses, steps, assess, recipe, args.runs)
    found = {"seed": args.seed, **measured(model, test)}
    print(f"{name}: AP50 {100 * found['test_ap50']:.2f} % on {found['scenes']} held-out scenes; {found}", flush=True)
    if args.limit:
        return
    _write(args.runs / f"{name}.measured.json", {"recipe": _comparable(recipe), "found": found})
    if name == NAME:
        ship(NAME, model, _card(recipe, result, found, args.photos), args.out)
    _tell(args.runs, args.out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of Fashion-MNIST (idx files or mosaic pack)")
    parser.add_argument("--photos", type=Path, required=True, nargs="+", help="folders or .npz packs of photographs for the grounds")
    parser.add_argument("--without-hyperace", action="store_true", help="train the control, whose gates stay at 0")
    parser.add_argument("--epochs", type=int, default=12, help=f"of {SCENES} scenes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="checkpoints to resume from")
    parser.add_argument("--out", type=Path, default=zoo.WEIGHTS)
    parser.add_argument("--threads", type=int, default=0, help="0 takes what torch takes")
    parser.add_argument("--limit", type=int, default=0, help="only so many scenes in an epoch (a rehearsal)")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    return args


def shut(model: nn.Module) -> None:
    """Keep the hypergraph out of a new detector: the gates stay at 0, and what only they could teach is not trained."""
    assert isinstance(model, YOLOv13)
    for index in (9, 10, 11, 22, *TUNNELS):  # HyperACE, its map in other sizes, the seven gates
        model.model[index].requires_grad_(False)


# ------------------------------------------------------------------------------------------------------------ training


def _epoch(model: nn.Module, stock: Stock, steps: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """The loss of each batch of new scenes."""
    device = next(model.parameters()).device
    series = int(torch.randint(2**31, (), generator=generator))
    for step in range(steps):
        side = SIDES[int(torch.randint(len(SIDES), (), generator=generator))]
        scenes = [compose(stock, series, step * batch + i, side) for i in range(batch)]
        raw = model(images(scenes).to(device))
        yield detector_loss(raw, *(x.to(device) for x in objects(scenes)))


def images(scenes: Sequence[ComposedScene]) -> Tensor:
    """The network's input, [B, 3, side, side] from 0 to 1."""
    return torch.stack([scene.pixels for scene in scenes]).contiguous(memory_format=torch.channels_last).float() / 255


def objects(scenes: Sequence[ComposedScene]) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes [B, G, 4] and classes [B, G] filled up to the most objects of a scene, and which are there, [B, G] bool."""
    most = max(len(scene.labels) for scene in scenes)
    boxes, labels = torch.zeros(len(scenes), most, 4), torch.zeros(len(scenes), most, dtype=torch.int64)
    for i, scene in enumerate(scenes):
        boxes[i, : len(scene.labels)], labels[i, : len(scene.labels)] = scene.boxes, scene.labels
    present = torch.arange(most) < torch.tensor([len(scene.labels) for scene in scenes])[:, None]
    return boxes, labels, present


# ------------------------------------------------------------------------------------------------------- what is measured


@torch.no_grad()
def precision(model: nn.Module, scenes: Sequence[ComposedScene], edits: Mapping[str, Edit] | None = None) -> Precision:
    """Average precision at an overlap of 0.5 on scenes of one size."""
    model.eval()
    device = next(model.parameters()).device
    found = []
    for begin in range(0, len(scenes), 50):
        with capture(model, edits=edits):
            predictions = model(images(scenes[begin : begin + 50]).to(device)).cpu()
        found += [find(prediction, (scenes[0].pixels.shape[1], scenes[0].pixels.shape[2]), CONFIDENCE) for prediction in predictions]
    return average_precision(found, [scene.boxes for scene in scenes], [scene.labels for scene in scenes], len(CLASSES))


@torch.no_grad()
def measured(model: nn.Module, scenes: Sequence[ComposedScene]) -> dict[str, Any]:
    """On the test scenes:

    test_ap50             mean over the classes of the average precision at an overlap of 0.5, and of each class
    ap50_gates_shut       the same with all seven gates at 0, nothing trained again
    gates, loudness       g of each tunnel, and ‖g · enhanced‖ / ‖feature‖, mean over the first 200 scenes
    effective_number      of the hyperedges of both branches (SoftHypergraph.effective_number), mean over these scenes
    message_contrast      ‖U − mean U‖ / ‖U‖ over the cells, of both branches; 0: every cell is told the same
    """
    open_, shut_ = precision(model, scenes), precision(model, scenes, {f"{name}.blend": _silent for name in _tunnels(model)})
    with capture(model) as trace:
        model(images(scenes[:LOOKED_AT]).to(next(model.parameters()).device))
    tunnels, layers = trace.of(Tunnel).values(), trace.of(SoftHypergraph).values()
    updates = [found.update for found in trace.of(HypergraphMessages).values()]
    return {
        "scenes": len(scenes),
        "objects": sum(open_.objects),
        "test_ap50": round(open_.mean, 4),
        "per_class": {label: round(value, 4) for label, value in zip(CLASSES, open_.per_class, strict=True)},
        "ap50_gates_shut": round(shut_.mean, 4),
        "gates": [round(tunnel.gate.item(), 4) for tunnel in tunnels],
        "loudness": [round(tunnel.loudness().mean().item(), 4) for tunnel in tunnels],
        "effective_number": [round(layer.effective_number().mean().item(), 3) for layer in layers],
        "message_contrast": [
            round(((u - u.mean(1, keepdim=True)).norm(dim=(1, 2)) / u.norm(dim=(1, 2)).clamp_min(1e-12)).mean().item(), 4) for u in updates
        ],
    }


def _tunnels(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, FullPADTunnel)]


def _silent(tunnel: Tunnel) -> Tunnel:
    return tunnel.scaled(0)


# ---------------------------------------------------------------------------------------------------------- what is told


def _card(recipe: Recipe, result: dict, found: dict[str, Any], photos: Sequence[Path]) -> dict[str, Any]:
    return {
        "model": zoo.ENTRIES[NAME].describe(),
        "labels": list(CLASSES),
        "input": {"sides": list(SIDES), "mean": [0, 0, 0], "std": [1, 1, 1]},
        "data": "scenes composed on the fly: garments of Fashion-MNIST (official training split, 60 000, ten classes merged to seven), "
        f"coloured and textured, on photographs ({', '.join(path.name for path in photos)}), of which every fifth serves the test scenes only",
        "data_licence": "Fashion-MNIST: MIT, Zalando SE 2017; the photographs' own licences, none of them is in the weights",
        "licence": "Apache-2.0 (weights trained for this project; no code or weights of iMoonLab/yolov13)",
        "test_ap50": found["test_ap50"],
        "test_split": f"{found['scenes']} scenes of {TEST_SIDE} pixels from held-out garments and photographs, {found['objects']} objects",
        "seeds": [recipe.seed],
        "recipe": {**{k: getattr(recipe, k) for k in recipe.__dataclass_fields__}, "scenes_per_epoch": SCENES},
        "cpu_seconds": result["cpu_seconds"],
        "history": result["history"],
        "command": f"python -m training.detection --data-dir DIR --photos DIR --epochs {recipe.epochs} --seed {recipe.seed}",
        "measured": found,
    }


def _tell(runs: Path, out: Path) -> None:
    """Write the figures of the control into the detector's model card, if both were trained by one recipe."""
    path, own, other = out / f"{NAME}.json", runs / f"{NAME}.measured.json", runs / f"{CONTROL}.measured.json"
    if not (path.exists() and own.exists() and other.exists()):
        return
    detector, control = (json.loads(file.read_text(encoding="utf-8")) for file in (own, other))
    if detector["recipe"] == control["recipe"]:
        _write(path, json.loads(path.read_text(encoding="utf-8")) | {"without_hyperace": control["found"]})


def _comparable(recipe: Recipe) -> dict[str, Any]:
    return {key: getattr(recipe, key) for key in recipe.__dataclass_fields__ if key != "seed"}


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
