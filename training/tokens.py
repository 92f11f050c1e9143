"""Train the small transformers of the tokens wing that ship, on CIFAR-10, and measure what they look at.

python -m training.tokens token_encoder --data-dir DIR --garments DIR --photos DIR …
python -m training.tokens --data-dir DIR sparsifiner_dense sparsifiner_micro

token_encoder       a ViT and a reader of its patches, for HiPrune: the ten classes of CIFAR-10 and seven of garments in scenes that are
                    composed as they are needed, so that their masks are known. Nothing is pruned in training
sparsifiner_dense   a ViT with dense attention: the teacher of the next, trained on as long and in the same way (its control)
sparsifiner_micro   the same ViT with predicted sparse attention, 25 % of the keys per query: first the predictors alone learn to
                    reconstruct the teacher's attention, then the rest learns to live inside their masks

Both Sparsifiner networks start from one teacher, whose run is kept in RUNS. `--epochs` is the number of times that CIFAR-10 is seen
by the encoder, or by the teacher; without it each takes its own.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.diagnostics.attention import centricity, object_patches
from explorer.diagnostics.sparse_attention import mass_covered
from models import zoo
from models.capture import capture
from models.structures import AttentionMaps, Connectivity, SparseAttention, TokenSelection
from models.tokens.baselines import BASELINES, Rule, random_patches
from models.tokens.flops import sparse_attention_macs
from models.tokens.hiprune import HiPrune, dispersion, tokens_of_ratio
from models.tokens.micro import MicroViT, PrunedReader
from models.tokens.sparsifiner import Sparsifiner
from training.command import arguments, card, pictures
from training.composed import CLASSES, Stock, compose, stocks
from training.data import CIFAR10_CLASSES, Pictures, augmented, normalised
from training.loop import Recipe, VectorOptimiser, evaluate, fit, ship, train

ENCODER, DENSE, SPARSE = NAMES = ("token_encoder", "sparsifiner_dense", "sparsifiner_micro")
TEACHER, PREDICTORS = "sparsifiner_teacher", "sparsifiner_predictors"  # runs that do not ship
EPOCHS = {ENCODER: 3, DENSE: 4, SPARSE: 4}

COMPOSED, NATIVE = 64, 32  # pixels at which a scene is composed, and to which it is reduced: no sharper than CIFAR-10
SCENES = 14  # of a batch
LEAST_COVERED = 0.06  # share of a scene that its object covers at least
TEST_SERIES, TEST_SCENES = 2026, 1_000
LOOKED_AT = 500  # pictures and scenes for what is measured besides accuracy
RATIOS = (1 / 3, 2 / 9, 1 / 9)  # budgets of HiPrune's tables
SEEDS = 10  # of random selections

STEPS = 100  # of an epoch after the teacher's
CONNECTING, LAST = 6, 2  # such epochs: predictors alone, and the rest inside their masks
KEEP_RATES = (0.5, 0.25, 0.1, 0.05)


def main() -> None:
    args = arguments(__doc__, NAMES, epochs=0, extend=_more)
    if ENCODER in args.names and not (args.garments and args.photos):
        raise SystemExit(f"{ENCODER} needs scenes: give --garments (a folder of Fashion-MNIST) and --photos (for their grounds)")
    train_set, test_set = pictures(args)
    for name in args.names:
        recipe = Recipe(epochs=args.epochs or EPOCHS[name], seed=args.seed, side=zoo.ENTRIES[name].preparation.side)
        made = _encoder(args, recipe, train_set, test_set) if name == ENCODER else _sparsifiner(name, args, recipe, train_set, test_set)
        model, result, told = made
        print(f"{name}: {100 * result['test_accuracy']:.2f} % of the 10 000 test pictures; {told['measured']}", flush=True)
        if not args.limit:
            ship(name, model, card("tokens", name, recipe, result) | told, args.out)
            _compare(args.out)


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--garments", type=Path, help=f"folder of Fashion-MNIST, for {ENCODER}")
    parser.add_argument("--photos", type=Path, nargs="+", help=f"folders or .npz packs of photographs, for {ENCODER}")


Made = tuple[nn.Module, dict[str, Any], dict[str, Any]]  # a network, what `card` reads, what the model card says besides


# ------------------------------------------------------------------------------------------------------------- scenes


@dataclass(frozen=True)
class Scenes:
    """Photographs with one garment each, no sharper than CIFAR-10.

    Attributes:
        pixels: uint8 [n, 3, 32, 32].
        labels: index into composed.CLASSES, [n] int64.
        masks: where the garment is seen, [n, 64, 64] bool.
    """

    pixels: Tensor
    labels: Tensor
    masks: Tensor


def single_objects(stock: Stock, series: int, first: int, count: int) -> Scenes:
    """Scenes `first`, `first` + 1, … of a series: of each number the first scene in which one object is large enough to be told."""
    found = []
    for number in range(first, first + count):
        tried = (compose(stock, series, variant, COMPOSED, most=1) for variant in itertools.count(1000 * number))
        found.append(next(s for s in tried if len(s.labels) == 1 and s.masks.float().mean() >= LEAST_COVERED))
    pixels = torch.stack([scene.pixels for scene in found]).float()
    return Scenes(
        F.avg_pool2d(pixels, COMPOSED // NATIVE).round().to(torch.uint8),
        torch.cat([scene.labels for scene in found]),
        torch.cat([scene.masks for scene in found]),
    )


# ------------------------------------------------------------------------------------------------- encoder and its reader


def _encoder(args: argparse.Namespace, recipe: Recipe, train_set: Pictures, test_set: Pictures) -> Made:
    train_stock, test_stock = stocks(args.garments, args.photos)
    scenes = single_objects(test_stock, TEST_SERIES, 0, 50 if args.limit else TEST_SCENES)
    torch.manual_seed(recipe.seed)
    model = zoo.build(ENCODER)
    assert isinstance(model, PrunedReader)
    pictures_per_step = recipe.batch - SCENES
    steps = len(train_set.labels) // pictures_per_step

    def losses(generator: torch.Generator) -> Iterator[Tensor]:
        device = next(model.parameters()).device
        series = int(torch.randint(2**31, (), generator=generator))
        order = torch.randperm(len(train_set.labels), generator=generator)
        for step in range(steps):
            chosen = order[step * pictures_per_step : (step + 1) * pictures_per_step]
            composed = single_objects(train_stock, series, step * SCENES, SCENES)
            pixels = torch.cat([augmented(train_set.pixels[chosen], generator), composed.pixels])
            labels = torch.cat([train_set.labels[chosen], composed.labels + len(CIFAR10_CLASSES)]).to(device)
            with torch.autocast(device.type, torch.bfloat16):
                answers = both_answers(model, normalised(pixels, recipe.side).to(device))
            yield sum((F.cross_entropy(a.float(), labels, label_smoothing=recipe.label_smoothing) for a in answers), torch.zeros(()))

    def assess() -> dict[str, float]:
        read, said = accuracies(model, test_set.pixels[:2000], test_set.labels[:2000], recipe.side)
        on_scenes = accuracies(model, scenes.pixels, scenes.labels + len(CIFAR10_CLASSES), recipe.side)[0]
        return {"test_accuracy": read, "class_token_accuracy": said, "scene_accuracy": on_scenes}

    result = fit(ENCODER, model, losses, steps, assess, recipe, args.runs)
    accuracy, said = accuracies(model, test_set.pixels, test_set.labels, recipe.side)
    found = {"class_token_accuracy": round(said, 4), **measured_encoder(model, test_set, scenes, recipe.side)}
    told = {
        "labels": [*CIFAR10_CLASSES, *CLASSES],
        "data": "CIFAR-10, official training split (50 000 pictures of 32 × 32 pixels, enlarged to 56 × 56); and scenes composed on the fly, "
        f"{SCENES} of each batch of {recipe.batch}: one garment of Fashion-MNIST (official training split, ten classes merged to seven) on a "
        f"photograph ({', '.join(path.name for path in args.photos)}; every fifth serves the test scenes only), reduced to 32 × 32 pixels",
        "data_licence": "CIFAR-10: none given by its authors, cite A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, "
        "2009; Fashion-MNIST: MIT, Zalando SE 2017; the photographs' own licences, none of them is in the weights",
        "command": f"python -m training.tokens {ENCODER} --data-dir DIR --garments DIR --photos DIR --epochs {recipe.epochs} --seed {recipe.seed}",
        "measured": found,
    }
    return model, {"test_accuracy": accuracy, **result}, told


def both_answers(model: PrunedReader, x: Tensor) -> tuple[Tensor, Tensor]:
    """What the reader of all patches and the head of the class token say, two [B, classes], with gradients for the encoder."""
    vit = model.encoder.model
    tokens = vit.tokens(x)
    return model.reader(tokens[:, 1:]), vit.classify(tokens)


@torch.no_grad()
def accuracies(model: PrunedReader, pixels: Tensor, labels: Tensor, side: int) -> tuple[float, float]:
    """Share of right answers of the reader of all patches, and of the class token's head, in float32."""
    model.eval()
    device = next(model.parameters()).device
    right = torch.zeros(2)
    for begin in range(0, len(labels), 250):
        answers = both_answers(model, normalised(pixels[begin : begin + 250], side).to(device))
        right += torch.stack([(a.argmax(1).cpu() == labels[begin : begin + 250]).sum() for a in answers])
    return right[0].item() / len(labels), right[1].item() / len(labels)


@torch.no_grad()
def measured_encoder(model: PrunedReader, test_set: Pictures, scenes: Scenes, side: int) -> dict[str, Any]:
    """In float32, per layer from the first to the last, and per budget:

    scene_accuracy       share of right answers of the reader on the test scenes, all patches read
    iou, iou_adjusted    of the most attended tenth of the patches with the object, and scaled so that chance is 0 (`centricity`)
    auc                  chance that an object patch is attended more than another one
    dispersion           mean distance in feature space of the most attended patches (`hiprune.dispersion`), of CIFAR-10 pictures
    agreement            of each rule: share of pictures and scenes whose answer stays the one of all patches
    accuracy             of each rule: share of right answers on them; "all" is without pruning
    """
    maps, labels = _looks(model, test_set, scenes, side)
    half = len(maps) - (len(scenes.labels[:LOOKED_AT]) + 49) // 50
    tables = [
        centricity(np.stack([part.score(layer)[row].numpy() for layer in range(1, part.n_layers + 1)]), inside)
        for part, masks in zip(maps[half:], scenes.masks[:LOOKED_AT].split(50), strict=True)
        for row, inside in enumerate(object_patches(mask, part.grid) for mask in masks)
        if inside.any() and not inside.all()
    ]
    spread = torch.cat([dispersion(part) for part in maps[: min(half, 4)]]).mean(0)
    right = scenes.labels + len(CIFAR10_CLASSES)
    return {
        "scene_accuracy": round(accuracies(model, scenes.pixels, right, side)[0], 4),
        "scenes": len(right),
        "looked_at": len(labels),
        "layers": {
            **{key: _rounded(np.mean([getattr(table, key) for table in tables], 0)) for key in ("iou", "auc", "precision")},
            "iou_adjusted": _rounded(np.nanmean([table.adjusted for table in tables], 0)),
            "iou_chance": round(float(np.mean([table.iou_chance for table in tables])), 4),
            "object_share": round(float(np.mean([table.share for table in tables])), 4),
            "dispersion": _rounded(spread),
        },
        "budgets": _budgets(model, maps, labels),
    }


def _looks(model: PrunedReader, test_set: Pictures, scenes: Scenes, side: int) -> tuple[list[AttentionMaps], Tensor]:
    """Attention on the first pictures, then on the first scenes, 50 at a time and on the CPU; and all their labels."""
    model.eval().cpu()
    last = model.encoder.n_layers
    pixels = [*test_set.pixels[:LOOKED_AT].split(50), *scenes.pixels[:LOOKED_AT].split(50)]
    labels = torch.cat([test_set.labels[:LOOKED_AT], scenes.labels[:LOOKED_AT] + len(CIFAR10_CLASSES)])
    return [model.encoder({"pixel_values": normalised(part, side)}, opened=[last]) for part in pixels], labels


def _budgets(model: PrunedReader, maps: list[AttentionMaps], labels: Tensor) -> dict[str, Any]:
    """{"all": accuracy, budget: {rule: {"agreement", "accuracy"}}}; of random patches the mean over the seeds and their deviation."""

    def answers(rule: Callable[[AttentionMaps], TokenSelection]) -> Tensor:
        return torch.cat([model.read(part.passed, rule(part).mask).argmax(1) for part in maps if part.passed is not None])

    whole = answers(HiPrune(ratio=1.0))
    found: dict[str, Any] = {"all": round((whole == labels).float().mean().item(), 4)}
    for ratio in RATIOS:
        budget = tokens_of_ratio(maps[0].grid[0] * maps[0].grid[1], ratio)
        rules: dict[str, Callable[[AttentionMaps], TokenSelection]] = {
            "hiprune": HiPrune(tokens=budget),
            "hiprune, alpha 0.5": HiPrune(tokens=budget, alpha=0.5),
            **{name: _of(rule, budget) for name, rule in BASELINES.items() if name != "random"},
        }
        table = {name: _judged(answers(rule), whole, labels) for name, rule in rules.items()}
        drawn = [_judged(answers(partial(random_patches, budget=budget, seed=seed)), whole, labels) for seed in range(SEEDS)]
        means = {key: np.array([one[key] for one in drawn]) for key in drawn[0]}
        table["random"] = {key: round(float(values.mean()), 4) for key, values in means.items()}
        table["random"]["agreement_deviation"] = round(float(means["agreement"].std(ddof=1)), 4)
        found[str(budget)] = table
    return found


def _of(rule: Rule, budget: int) -> Callable[[AttentionMaps], TokenSelection]:
    return lambda maps: rule(maps, budget)


def _judged(answer: Tensor, whole: Tensor, labels: Tensor) -> dict[str, float]:
    return {"agreement": round((answer == whole).float().mean().item(), 4), "accuracy": round((answer == labels).float().mean().item(), 4)}


# --------------------------------------------------------------------------------------------------------- Sparsifiner


def _sparsifiner(name: str, args: argparse.Namespace, recipe: Recipe, train_set: Pictures, test_set: Pictures) -> Made:
    torch.manual_seed(recipe.seed)
    teacher = zoo.build(DENSE)
    assert isinstance(teacher, MicroViT)
    taught = train(TEACHER, teacher, train_set, test_set, recipe, args.runs)
    teacher.eval().requires_grad_(False)
    steps = min(STEPS, len(train_set.labels) // recipe.batch)
    parts, found = [taught], {"teacher_accuracy": round(taught["test_accuracy"], 4)}
    first = replace(recipe, epochs=CONNECTING, other_rate=3e-3, weight_decay=0.0)
    second = replace(recipe, epochs=LAST, other_rate=5e-4)
    model: nn.Module = copy.deepcopy(teacher).requires_grad_(True)
    if name == SPARSE:
        torch.manual_seed(recipe.seed)
        model = student_of(teacher)
        _forget_if_older(args.runs, PREDICTORS, than=TEACHER)
        parts.append(learn_to_connect(model, train_set, test_set, first, steps, args.runs))
        found |= {"before_the_last_phase": _agreement(model, teacher, test_set, recipe.side, LOOKED_AT)}

    def assess() -> dict[str, float]:
        return _agreement(model, teacher, test_set, recipe.side, LOOKED_AT)

    def losses(generator: torch.Generator) -> Iterator[Tensor]:
        return _distilled(model, teacher, train_set, second, steps, generator)

    _forget_if_older(args.runs, name, than=PREDICTORS if name == SPARSE else TEACHER)
    parts.append(fit(name, model, losses, steps, assess, second, args.runs, VectorOptimiser))
    if isinstance(model, Sparsifiner):
        found |= measured_sparse(model, teacher, test_set, recipe.side)
    told = {
        "data": f"CIFAR-10, official training split (50 000 pictures of 32 × 32 pixels, enlarged to {recipe.side} × {recipe.side})",
        "recipe": {
            "teacher": _settings(recipe),
            **({"predictors": _settings(first)} if name == SPARSE else {}),
            "last": _settings(second),
            "steps_per_epoch_after_the_teacher": steps,
        },
        "history": [row for part in parts for row in part["history"]],
        "measured": found | assess(),
    }
    result = {
        "test_accuracy": evaluate(model, test_set, recipe, precise=True),
        "cpu_seconds": sum(part["cpu_seconds"] for part in parts),
        "history": [],
    }
    return model, result, told


def _forget_if_older(runs: Path, name: str, than: str) -> None:
    """Remove the checkpoint of a phase that went on from weights which have been trained anew since."""
    own, earlier = runs / f"{name}.pt", runs / f"{than}.pt"
    if own.exists() and own.stat().st_mtime_ns < earlier.stat().st_mtime_ns:
        own.unlink()


def student_of(teacher: MicroViT) -> Sparsifiner:
    """A Sparsifiner with the teacher's weights and new predictors.

    Raises:
        ValueError: the teacher is of another shape.
    """
    model = zoo.build(SPARSE)
    assert isinstance(model, Sparsifiner)
    missing, unexpected = model.load_state_dict(teacher.state_dict(), strict=False)
    if unexpected or not all(".mask_predictor." in key for key in missing):
        raise ValueError(f"the teacher does not fit: {[*unexpected, *missing][0]}")
    return model


def learn_to_connect(model: nn.Module, train_set: Pictures, test_set: Pictures, recipe: Recipe, steps: int, runs: Path) -> dict[str, Any]:
    """The first phase: predictors alone learn to reconstruct the dense attention, Σ_keys (estimate − attention)², mean over queries,
    heads and layers. Afterwards they are fixed: no gradient passes a mask."""
    assert isinstance(model, Sparsifiner)
    for key, parameter in model.named_parameters():
        parameter.requires_grad_(".mask_predictor." in key)
    rules = model.predictors[0].rules

    def losses(generator: torch.Generator) -> Iterator[Tensor]:
        device = next(model.parameters()).device
        model.eval()  # statistics of the stem stay the teacher's
        model.reconstruct(True)
        model.set_rules(replace(rules, keep_rate=None))  # masks are not used here, and those by threshold cost nothing
        for x, _ in _batches(train_set, recipe, steps, generator, device):
            with torch.autocast(device.type, torch.bfloat16), capture(model) as trace:
                model(x)
            yield reconstruction(list(trace.of(Connectivity).values()), list(trace.of(SparseAttention).values()))
        model.reconstruct(False)
        model.set_rules(rules)

    def assess() -> dict[str, float]:
        masses = [found["predicted"] for found in _masses(model, test_set, recipe.side, 8)]
        return {"attention_covered": sum(masses) / len(masses)}

    result = fit(PREDICTORS, model, losses, steps, assess, recipe, runs, VectorOptimiser)
    for key, parameter in model.named_parameters():
        parameter.requires_grad_(".mask_predictor." not in key)
    return result


def reconstruction(connections: list[Connectivity], attention: list[SparseAttention]) -> Tensor:
    """Σ_keys (estimate − dense attention)² of the patches' rows, mean over pictures, heads, queries and layers, []."""
    errors = [(c.estimate.float() - a.dense[:, :, 1:].float()).square().sum(-1).mean() for c, a in zip(connections, attention, strict=True)]
    return torch.stack(errors).mean()


def _distilled(
    model: nn.Module, teacher: MicroViT, train_set: Pictures, recipe: Recipe, steps: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """The last phase, as published: labels + ½ KL(teacher ‖ model) + ½ mean squared difference of the last tokens."""
    device = next(model.parameters()).device
    teacher.to(device)
    for x, labels in _batches(train_set, recipe, steps, generator, device):
        with torch.autocast(device.type, torch.bfloat16):
            with torch.no_grad():
                wanted = teacher.tokens(x)
                target = teacher.classify(wanted).float().log_softmax(1)
            tokens = model.tokens(x)  # type: ignore[operator]
            logits = answer_of(model, tokens).float()
        divergence = F.kl_div(logits.log_softmax(1), target, reduction="batchmean", log_target=True)
        difference = F.mse_loss(tokens.float(), wanted.float())
        yield F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing) + 0.5 * divergence + 0.5 * difference


def answer_of(model: nn.Module, tokens: Tensor) -> Tensor:
    """Logits [B, classes] of the last tokens [B, T, C] of either network."""
    return model.head(model.norm(tokens)[:, 0])  # type: ignore[operator]


def _batches(
    train_set: Pictures, recipe: Recipe, steps: int, generator: torch.Generator, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    order = torch.randperm(len(train_set.labels), generator=generator)
    for step in range(steps):
        chosen = order[step * recipe.batch : (step + 1) * recipe.batch]
        x = normalised(augmented(train_set.pixels[chosen], generator), recipe.side).to(device)
        yield x, train_set.labels[chosen].to(device)


@torch.no_grad()
def _agreement(model: nn.Module, teacher: nn.Module, test_set: Pictures, side: int, count: int) -> dict[str, float]:
    """On the first `count` test pictures: right answers, and answers that are the dense teacher's."""
    model.eval()
    device = next(model.parameters()).device
    teacher.to(device)
    right = same = 0
    for begin in range(0, min(count, len(test_set.labels)), 100):
        x = normalised(test_set.pixels[begin : min(begin + 100, count)], side).to(device)
        answer = model(x).argmax(1)
        right += int((answer.cpu() == test_set.labels[begin : begin + len(x)]).sum())
        same += int((answer == teacher(x).argmax(1)).sum())
    number = min(count, len(test_set.labels))
    return {"accuracy": round(right / number, 4), "agreement_with_dense": round(same / number, 4)}


@torch.no_grad()
def measured_sparse(model: Sparsifiner, teacher: nn.Module, test_set: Pictures, side: int) -> dict[str, Any]:
    """In float32 on the first test pictures:

    layers                 per layer: share of the dense attention on the keys that are kept (predicted), on as many of the largest (oracle),
                           nearest (local) and any (random) ones, and how many of the largest were found (recall)
    multiply_adds          of the attention products of all layers, mean per picture (`flops.sparse_attention_macs`)
    guessed                share of the kept keys whose estimate is 0, taken by lower index
    basis_zero             share of the prototypes' entries below the threshold
    keep_rates             accuracy and agreement with the dense teacher at other shares of kept keys, nothing trained again
    """
    model.eval().cpu()
    x = normalised(test_set.pixels[:32], side)
    with capture(model) as trace:
        model(x)
    connections = list(trace.of(Connectivity).values())
    width = model.head.in_features // connections[0].mask.shape[1]
    counts = [count for layer in connections for count in sparse_attention_macs(layer, width)]
    rules = model.predictors[0].rules
    rates = {}
    for rate in KEEP_RATES:
        model.set_rules(replace(rules, keep_rate=rate))
        rates[str(rate)] = _agreement(model, teacher, test_set, side, LOOKED_AT)
    model.set_rules(rules)
    return {
        "layers": _masses(model, test_set, side, 32),
        "multiply_adds": {
            key: round(sum(getattr(count, key) for count in counts) / len(x))
            for key in ("dense", "sparse", "masked", "predictor", "estimate")
        },
        "guessed": _rounded([layer.guessed().sum() / layer.mask[:, :, 1:].sum() for layer in connections]),
        "basis_zero": _rounded([(layer.basis == 0).float().mean() for layer in connections]),
        "keep_rates": rates,
    }


@torch.no_grad()
def _masses(model: Sparsifiner, test_set: Pictures, side: int, count: int) -> list[dict[str, float]]:
    """`mass_covered` of each layer, mean over the first `count` test pictures."""
    model.eval()
    with capture(model) as trace:
        model(normalised(test_set.pixels[:count], side).to(next(model.parameters()).device))
    layers = zip(trace.of(Connectivity).values(), trace.of(SparseAttention).values(), strict=True)
    tables = [[mass_covered(c, a, picture) for picture in range(len(c.mask))] for c, a in layers]
    keys = ("predicted", "oracle", "local", "random", "recall")
    return [{key: round(float(np.mean([getattr(one, key) for one in table])), 4) for key in keys} for table in tables]


# ---------------------------------------------------------------------------------------------------------- what is told


def _compare(out: Path) -> None:
    """Write the figure of the dense control into the card of the sparse network, if both were trained by one recipe."""
    paths = [out / f"{name}.json" for name in (DENSE, SPARSE)]
    if not all(path.exists() for path in paths):
        return
    dense, sparse = (json.loads(path.read_text(encoding="utf-8")) for path in paths)
    if all(dense["recipe"][part] == sparse["recipe"][part] for part in ("teacher", "last")):
        sparse["dense_twin"] = {"name": DENSE, "test_accuracy": dense["test_accuracy"], "cpu_seconds": dense["cpu_seconds"]}
        paths[1].write_text(json.dumps(sparse, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {key: getattr(recipe, key) for key in recipe.__dataclass_fields__}


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 4) for value in values]


if __name__ == "__main__":
    main()
