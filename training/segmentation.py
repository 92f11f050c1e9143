"""Train the small DToP that ships, on scenes composed of Fashion-MNIST garments and photographs, and measure what leaves early.

python -m training.segmentation --data-dir DIR --photos DIR …

All heads are trained and no patch leaves; patches leave afterwards, at whatever confidence is asked for ("direct", without the
fine-tuning of the paper).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.diagnostics.early_exit import boundary_distance
from models import zoo
from models.structures import ExitStage
from models.tokens.dtop import DToP
from models.tokens.flops import dtop_macs
from training.composed import CLASSES, ComposedScene, Stock, compose, stocks
from training.loop import Recipe, fit, ship

NAME = "dtop_micro"
LABELS = ("background", *CLASSES)
SIDE, MOST = 128, 5  # pixels and objects of a scene
SCENES = 8_000  # of an epoch
TEST_SERIES, TEST_SCENES = 2026, 1_000
LOOKED_AT = 200  # test scenes after each epoch and for each threshold
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
ABSENT, FOCAL, DICE = 0.1, 20.0, 1.0  # weights of the released loss
ALPHA, GAMMA = 0.25, 2.0
FINENESS = 2  # the loss is taken on every second pixel


def main() -> None:
    args = _arguments()
    train_stock, test_stock = stocks(args.data_dir, args.photos)
    recipe = Recipe(epochs=args.epochs, batch=32, side=SIDE, label_smoothing=0.0, seed=args.seed)
    torch.manual_seed(args.seed)
    model = zoo.build(NAME)
    assert isinstance(model, DToP)
    threshold = model.auxiliary_head[0].threshold
    assert isinstance(threshold, float)
    model.set_exit(1.0)
    test = scenes_of(test_stock, TEST_SERIES, 0, LOOKED_AT if args.limit else TEST_SCENES)
    steps = (args.limit or SCENES) // recipe.batch

    def losses(generator: torch.Generator) -> Iterator[Tensor]:
        device = next(model.parameters()).device
        series = int(torch.randint(2**31, (), generator=generator))
        for step in range(steps):
            pixels, labels = pictures_of(scenes_of(train_stock, series, step * recipe.batch, recipe.batch))
            with torch.autocast(device.type, torch.bfloat16):
                stages = model.stages_of(pixels.to(device))
            yield segmentation_loss(stages, labels[:, 1::FINENESS, 1::FINENESS].to(device))

    def assess() -> dict[str, float]:
        return {"test_miou": mean_iou(_confusion(model, test[:LOOKED_AT]))}

    result = fit(NAME, model, losses, steps, assess, recipe, args.runs)
    found = measured(model, test, threshold)
    print(f"{NAME}: mean IoU {100 * found['test_miou']:.2f} % on {found['scenes']} held-out scenes; {found}", flush=True)
    if not args.limit:
        ship(NAME, model, _card(recipe, result, found, args.photos), args.out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of Fashion-MNIST (idx files or mosaic pack)")
    parser.add_argument("--photos", type=Path, required=True, nargs="+", help="folders or .npz packs of photographs for the grounds")
    parser.add_argument("--epochs", type=int, default=11, help=f"of {SCENES} scenes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="checkpoints to resume from")
    parser.add_argument("--out", type=Path, default=zoo.WEIGHTS)
    parser.add_argument("--threads", type=int, default=0, help="0 takes what torch takes")
    parser.add_argument("--limit", type=int, default=0, help="only so many scenes in an epoch (a rehearsal)")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    return args


# ------------------------------------------------------------------------------------------------------------- scenes


def scenes_of(stock: Stock, series: int, first: int, count: int) -> list[ComposedScene]:
    """Scenes `first`, `first` + 1, … of a series."""
    return [compose(stock, series, number, SIDE, MOST) for number in range(first, first + count)]


def label_map(scene: ComposedScene) -> Tensor:
    """What each pixel shows: index into LABELS, [side, side] int64; 0 where no object is."""
    labels = torch.zeros(scene.masks.shape[1:], dtype=torch.int64)
    for mask, label in zip(scene.masks, scene.labels, strict=True):
        labels[mask] = label + 1
    return labels


def pictures_of(scenes: Sequence[ComposedScene]) -> tuple[Tensor, Tensor]:
    """The network's input [B, 3, side, side] from 0 to 1, and the labels of the pixels [B, side, side]."""
    pixels = torch.stack([scene.pixels for scene in scenes]).contiguous(memory_format=torch.channels_last)
    return pixels.float() / 255, torch.stack([label_map(scene) for scene in scenes])


# --------------------------------------------------------------------------------------------------------------- loss


def segmentation_loss(stages: Sequence[ExitStage], labels: Tensor) -> Tensor:
    """Sum of the loss of every head, [].

    Query c stands for class c. Cross-entropy tells whether it is in the picture (a class that is absent weighs 0.1); focal and dice loss
    compare its mask, enlarged to the size of the labels, with its pixels, for the classes in the picture (SegViT's ATM loss).

    Args:
        labels: class of each pixel, [B, h, w] int64.
    """
    classes = stages[0].mask_logits.shape[1]
    masks = F.one_hot(labels, classes).permute(0, 3, 1, 2).float()
    present = masks.flatten(2).any(2)
    wanted = masks[present]  # [M, h, w]: the masks of all classes in all pictures
    weight = torch.tensor([1.0, ABSENT], device=labels.device)
    total = labels.new_zeros((), dtype=torch.float32)
    for stage in stages:
        logits = F.interpolate(stage.mask_logits.float().unflatten(2, stage.grid), labels.shape[1:], mode="bilinear", align_corners=False)
        logits = logits[present]
        answer = F.cross_entropy(stage.class_logits.float().flatten(0, 1), (~present).long().flatten(), weight)
        total = total + answer + FOCAL * _focal(logits, wanted) + DICE * _dice(logits, wanted)
    return total


def _focal(logits: Tensor, wanted: Tensor) -> Tensor:
    """α_t (1 − p_t)^γ · (−log p_t), mean over all pixels (Lin and others, "Focal Loss for Dense Object Detection", 2017)."""
    plain = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    right = torch.exp(-plain)
    alpha = ALPHA * wanted + (1 - ALPHA) * (1 - wanted)
    return (alpha * (1 - right) ** GAMMA * plain).mean()


def _dice(logits: Tensor, wanted: Tensor) -> Tensor:
    """1 − (2·Σ p·t + 1)/(Σ p + Σ t + 1), mean over the masks (Milletari and others, "V-Net", 2016)."""
    p, t = logits.sigmoid().flatten(1), wanted.flatten(1)
    return (1 - (2 * (p * t).sum(1) + 1) / (p.sum(1) + t.sum(1) + 1)).mean()


# ------------------------------------------------------------------------------------------------------- what is measured


@torch.no_grad()
def _confusion(model: DToP, scenes: Sequence[ComposedScene]) -> np.ndarray:
    """Pixels by true (row) and predicted (column) class, in float32."""
    model.eval()
    device = next(model.parameters()).device
    count = np.zeros((len(LABELS), len(LABELS)), dtype=np.int64)
    for begin in range(0, len(scenes), 50):
        pixels, labels = pictures_of(scenes[begin : begin + 50])
        answer = model(pixels.to(device)).argmax(1).cpu()
        count += np.bincount((labels * len(LABELS) + answer).flatten().numpy(), minlength=count.size).reshape(count.shape)
    return count


def ious(confusion: np.ndarray) -> np.ndarray:
    """|predicted ∩ true| / |predicted ∪ true| of each class, NaN for one that occurs in neither."""
    both, union = np.diag(confusion), confusion.sum(0) + confusion.sum(1) - np.diag(confusion)
    return np.where(union > 0, both / np.maximum(union, 1), np.nan)


def mean_iou(confusion: np.ndarray) -> float:
    """Mean of `ious` over the classes that occur."""
    return float(np.nanmean(ious(confusion)))


@torch.no_grad()
def measured(model: DToP, scenes: Sequence[ComposedScene], threshold: float) -> dict[str, Any]:
    """On the test scenes, in float32:

    test_miou, per_class        intersection over union of the pixels, no patch leaves
    exits                       for each p0, on the first scenes: the same figure; saving in multiply–adds of blocks and heads against no
                                exit, mean, deviation, least and most over the pictures; share of patches that leave before the last head,
                                of those at most one patch away from an edge between labels and of the others
    """
    model.set_exit(1.0)
    confusion = _confusion(model, scenes)
    per_class = ious(confusion)
    few = scenes[:LOOKED_AT]
    exits = {"1.0": {"miou": round(mean_iou(_confusion(model, few)), 4)}}
    for p0 in THRESHOLDS:
        model.set_exit(p0)
        exits[str(p0)] = {"miou": round(mean_iou(_confusion(model, few)), 4), **_saving(model, few)}
    model.set_exit(threshold)
    return {
        "scenes": len(scenes),
        "test_miou": round(float(np.nanmean(per_class)), 4),
        "per_class": {label: round(float(value), 4) for label, value in zip(LABELS, per_class, strict=True) if value == value},
        "pixel_accuracy": round(float(np.diag(confusion).sum() / confusion.sum()), 4),
        "exits": exits,
    }


def _saving(model: DToP, scenes: Sequence[ComposedScene]) -> dict[str, float]:
    depth, channels = len(model.backbone.layers), model.backbone.pos_embed.shape[2]
    width, layers = model.decode_head.q.embedding_dim, len(model.decode_head.decoder.layers)
    device = next(model.parameters()).device
    spent: list[int] = []
    near: list[np.ndarray] = []
    far: list[np.ndarray] = []
    whole = 0
    for begin in range(0, len(scenes), 50):
        pixels, labels = pictures_of(scenes[begin : begin + 50])
        stages = model.stages_of(pixels.to(device))
        spent += dtop_macs(stages, model.stages, depth, channels, width, layers)
        whole = whole or dtop_macs([_nobody(stage) for stage in stages], model.stages, depth, channels, width, layers)[0]
        gone, side = stages[-1].before.cpu().numpy(), model.backbone.patch_size
        for left, truth in zip(gone, labels[:, side // 2 :: side, side // 2 :: side], strict=True):
            if len(truth.unique()) > 1:  # without two classes there is no edge
                close = boundary_distance(truth.flatten(), stages[0].grid) <= 1
                near.append(left[close])
                far.append(left[~close])
    saving = 1 - np.array(spent) / whole
    return {
        "saving": round(float(saving.mean()), 4),
        "saving_deviation": round(float(saving.std(ddof=1)), 4),
        "saving_least": round(float(saving.min()), 4),
        "saving_most": round(float(saving.max()), 4),
        "left_near_edges": round(float(np.concatenate(near).mean()), 4),
        "left_elsewhere": round(float(np.concatenate(far).mean()), 4),
    }


def _nobody(stage: ExitStage) -> ExitStage:
    """The stage as if no patch had left."""
    nobody = torch.zeros_like(stage.exited)
    return replace(stage, before=nobody, exited=nobody)


# ---------------------------------------------------------------------------------------------------------- what is told


def _card(recipe: Recipe, result: dict, found: dict[str, Any], photos: Sequence[Path]) -> dict[str, Any]:
    return {
        "model": zoo.ENTRIES[NAME].describe(),
        "labels": list(LABELS),
        "input": {"side": SIDE, "mean": [0, 0, 0], "std": [1, 1, 1]},
        "data": "scenes composed on the fly: garments of Fashion-MNIST (official training split, 60 000, ten classes merged to seven), "
        f"coloured and textured, on photographs ({', '.join(path.name for path in photos)}), of which every fifth serves the test scenes only",
        "data_licence": "Fashion-MNIST: MIT, Zalando SE 2017; the photographs' own licences, none of them is in the weights",
        "licence": "Apache-2.0 (weights trained for this project; no code or weights of zbwxp/Dynamic-Token-Pruning)",
        "test_miou": found["test_miou"],
        "test_split": f"{found['scenes']} scenes of {SIDE} pixels from held-out garments and photographs, every pixel, float32",
        "seeds": [recipe.seed],
        "recipe": {**{k: getattr(recipe, k) for k in recipe.__dataclass_fields__}, "scenes_per_epoch": SCENES},
        "cpu_seconds": result["cpu_seconds"],
        "history": result["history"],
        "command": f"python -m training.segmentation --data-dir DIR --photos DIR --epochs {recipe.epochs} --seed {recipe.seed}",
        "measured": found,
    }


if __name__ == "__main__":
    main()
