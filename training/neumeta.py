"""Train the NeuMeta families that ship: one representation that generates a network at every width.

python -m training.neumeta --data-dir DIR                      both, with the controls and further seeds of the first
python -m training.neumeta --data-dir DIR neumeta_digits …     some of them

neumeta_digits    all tensors of a small convolutional net for 8 × 8 digits (they ship; DIR is not read)
neumeta_cifar     the last residual block of a ResNet-20 on CIFAR-10, the paper's setting with a smaller representation

In four steps, each of which goes on where it stopped: the full network is trained, its channels are put in smooth order; the
representation learns the full network's weights; then it is trained on the task at widths drawn from the band, a few of them held
out. Networks that are trained alone, or cut from the full one, are what the generated ones are measured against.

neumeta_digits_unpermuted (channels in the order of training), neumeta_digits_quiet (no coordinate noise) and neumeta_digits_even (no
odd width in training) are controls; neumeta_digits_s1, … repeat with the next seeds. They do not ship: what was measured on them
stands in the model card of neumeta_digits.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import zoo
from models.hypernetworks.digits import digits
from models.hypernetworks.metamorphosis import Metamorphosis
from models.hypernetworks.neumeta import coordinate_noise, raw_coordinates, reconstruction_loss, weight_norm
from models.hypernetworks.permutation import city, cliques, path_length, pruned, smoothed, total_variation
from models.hypernetworks.targets import BEYOND, fold
from training.command import arguments, pictures
from training.data import CIFAR10_CLASSES, MEAN, STD, Pictures, augmented, normalised
from training.hypernetworks import Averaged, ClippedOptimiser, note, tell
from training.loop import Recipe, fit, ship, train

SHIPPED = ("neumeta_digits", "neumeta_cifar")
CONTROLS: dict[str, dict[str, Any]] = {
    "neumeta_digits_unpermuted": {},
    "neumeta_digits_quiet": {"noise": 0.0},
    "neumeta_digits_even": {"held_out": (5, 7, 9, 11)},
}
SEEDS = (1, 2)
REPEATED = tuple(f"neumeta_digits_s{seed}" for seed in SEEDS)
NAMES = (*SHIPPED, *CONTROLS, *REPEATED)

SAMPLES = 32  # draws of the coordinate noise that are averaged
FULL_WIDTH = 0.25  # share of the steps at the full width, the only one whose weights are known
NORM = 1e-4  # of the weights' norms in the loss, as released

Seen = tuple[Tensor, Tensor]  # what enters the varying part, and the labels


@dataclass(frozen=True)
class Setting:
    """How one family is trained.

    Attributes:
        batch, steps: of the joint training, steps per epoch. start: steps on the weights alone.
        rate: learning rate of the joint training; the start has `start_rate`.
        full_epochs: of the full network. alone_epochs: of a network trained alone.
        alone, looked_at: widths that are trained alone, and that are measured.
    """

    batch: int
    steps: int
    start: int
    rate: float
    start_rate: float
    full_epochs: int
    alone_epochs: int
    alone: tuple[int, ...]
    looked_at: tuple[int, ...]


SETTINGS = {
    "neumeta_digits": Setting(128, 800, 1000, 1e-3, 2e-3, 80, 60, (4, 5, 6, 7, 8, 9, 10, 11), tuple(range(1, 19))),
    "neumeta_cifar": Setting(
        64, 250, 1500, 1e-3, 2e-3, 10, 3, (16, 32, 48), (4, 8, 12, 16, 20, 24, 28, *range(32, 66, 2), 68, 72, 80, 88, 96)
    ),
}


@dataclass(frozen=True)
class Task:
    """Pictures, and how they become inputs: `prepare(pixels, generator)` augments when it gets a generator."""

    train: Pictures
    test: Pictures
    prepare: Callable[[Tensor, torch.Generator | None], Tensor]

    def batch(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Inputs and labels of training pictures drawn by chance."""
        chosen = torch.randint(len(self.train.labels), (count,), generator=generator)
        return self.prepare(self.train.pixels[chosen], generator), self.train.labels[chosen]


def split(name: str) -> tuple[str, int, dict[str, Any]]:
    """ "neumeta_digits_s2" → ("neumeta_digits", 2, {}): a family of the zoo, what is added to the seed, changed settings."""
    if name in SHIPPED:
        return name, 0, {}
    if name in CONTROLS:
        return "neumeta_digits", 0, CONTROLS[name]
    base, _, seed = name.rpartition("_s")
    return base, int(seed), {}


def main() -> None:
    args = arguments(__doc__, NAMES, epochs=25)
    for name in args.names:
        base, offset, changes = split(name)
        setting, task = SETTINGS[base], _task(base, args)
        recipe = Recipe(
            epochs=args.epochs, batch=setting.batch, side=task.test.pixels.shape[-1], matrix_rate=0.0, other_rate=setting.rate,
            weight_decay=0.0, label_smoothing=0.0, warm_up=0.02, seed=args.seed + offset,
        )  # fmt: skip
        torch.manual_seed(recipe.seed)
        family: Metamorphosis = zoo.build(base, **changes)  # type: ignore[assignment]
        family.to("cuda" if torch.cuda.is_available() else "cpu")
        steps = max(1, args.limit // setting.batch) if args.limit else 0
        seconds = train_full(family, base, task, setting, recipe, args.runs)
        ordered = order_channels(family, task, permuted=not name.endswith("_unpermuted"))
        seen = entered(family, task)
        seconds += learn_weights(family, name, setting, recipe, args.runs, steps or setting.start)
        result = learn_task(family, name, task, seen, recipe, args.runs, steps or setting.steps)
        alone = {} if name in CONTROLS else trained_alone(family, base, task, seen, setting, recipe, args.runs)
        found = {"seed": recipe.seed, **measured(family, seen, setting.looked_at, alone), **ordered}
        print(f"{name}: {100 * found['test_accuracy']:.2f} % of the test pictures at the full width; {found}", flush=True)
        if args.limit:
            continue
        note(args.runs, name, recipe, found)
        if name == base:
            result["cpu_seconds"] += seconds
            ship(name, family, _card(name, setting, recipe, result, found, len(task.test.labels)), args.out)
        tell(base, args.runs, args.out, *((REPEATED, tuple(CONTROLS)) if base == "neumeta_digits" else ()))


def _task(base: str, args: argparse.Namespace) -> Task:
    if base == "neumeta_digits":
        train_set, test_set = Pictures(*digits(True)), Pictures(*digits(False))
        if args.limit:
            train_set = Pictures(train_set.pixels[: args.limit], train_set.labels[: args.limit])
        return Task(train_set, test_set, lambda pixels, generator: pixels)
    side = 32
    return Task(*pictures(args), lambda pixels, generator: normalised(pixels if generator is None else augmented(pixels, generator), side))


# ------------------------------------------------------------------------------------------------------- the full network


def train_full(family: Metamorphosis, base: str, task: Task, setting: Setting, recipe: Recipe, runs: Path) -> int:
    """Train the family's full network; returns the seconds of CPU that it took."""
    name, widest = f"{base}.full_{recipe.seed}", family.family.trained[1]
    if base == "neumeta_digits":
        network, result = _individual(family, name, widest, task, entered(family, task), setting.full_epochs, recipe, runs)
    else:
        torch.manual_seed(recipe.seed)
        network = family.family.network(widest)
        with_norms = normed(network)
        result = train(
            name, with_norms, task.train, task.test, Recipe(epochs=setting.full_epochs, side=recipe.side, seed=recipe.seed), runs
        )
        network = folded(with_norms.cpu(), network)
    family.full.load_state_dict(network.state_dict())
    family.full.requires_grad_(False)
    return result["cpu_seconds"]


@torch.no_grad()
def order_channels(family: Metamorphosis, task: Task, permuted: bool) -> dict[str, Any]:
    """Put the channels of the full network in smooth order (if `permuted`); returns what that did.

    total_variation    before and after, of the generated tensors;  path_length: over all cliques of channels
    logits_moved       largest change of an output on 200 test pictures, which should be rounding only
    """
    x = task.prepare(task.test.pixels[:200], None).to(next(family.parameters()).device)
    before, variation, length = family.full(x), total_variation(family.reference()), _lengths(family.full)
    if permuted:
        family.full.load_state_dict(smoothed(family.full)[0])
    return {
        "total_variation": [round(variation, 3), round(total_variation(family.reference()), 3)],
        "path_length": [round(length, 3), round(_lengths(family.full), 3)],
        "logits_moved": (family.full(x) - before).abs().max().item(),
    }


def _lengths(network: nn.Module) -> float:
    state = network.state_dict()
    return sum(path_length(city(state, clique)) for clique in cliques(network) if clique.free)


def normed(network: nn.Module) -> nn.Module:
    """The network with a batch normalisation behind every convolution, which then needs no bias."""
    result = copy.deepcopy(network)
    for name, module in list(result.named_modules()):
        if isinstance(module, nn.Conv2d):
            parent, _, child = name.rpartition(".")
            module.bias = None
            setattr(result.get_submodule(parent), child, nn.Sequential(module, nn.BatchNorm2d(module.out_channels)))
    return result


@torch.no_grad()
def folded(with_norms: nn.Module, network: nn.Module) -> nn.Module:
    """A copy of `network` that does what `normed(network)` does in evaluation mode."""
    result = copy.deepcopy(network)
    for name, module in result.named_modules():
        if isinstance(module, nn.Conv2d):
            pair = with_norms.get_submodule(name)
            assert isinstance(pair, nn.Sequential)
            module.load_state_dict(fold(pair[0], pair[1]).state_dict())  # type: ignore[arg-type]
        elif isinstance(module, nn.Linear):
            module.load_state_dict(with_norms.get_submodule(name).state_dict())
    return result


def _individual(
    family: Metamorphosis, name: str, width: int, task: Task, seen: Seen, epochs: int, recipe: Recipe, runs: Path
) -> tuple[nn.Module, dict[str, Any]]:
    """A network of one width, of which the tensors that would be generated are trained from random values on the task alone."""
    own = Recipe(epochs=epochs, batch=recipe.batch, side=recipe.side, label_smoothing=0.0, seed=recipe.seed)
    torch.manual_seed(recipe.seed)
    network = family.family.network(width)
    varying, shared = set(family.family.shapes(width)), dict(family.full.named_parameters())
    for key, parameter in network.named_parameters():
        if key not in varying:
            parameter.data.copy_(shared[key])
            parameter.requires_grad_(False)
    steps = max(1, min(len(task.train.labels) // own.batch, 200))

    def losses(generator: torch.Generator) -> Iterator[Tensor]:
        for _ in range(steps):
            x, y = _batch(family, task, own.batch, generator)
            yield F.cross_entropy(family.run(dict(network.named_parameters()), width, x), y)

    def assess() -> dict[str, float]:
        return {"test_accuracy": accuracy(family, dict(network.named_parameters()), width, seen)}

    return network, fit(name, network, losses, steps, assess, own, runs)


def trained_alone(
    family: Metamorphosis, base: str, task: Task, seen: Seen, setting: Setting, recipe: Recipe, runs: Path
) -> dict[int, float]:
    """Test accuracy of networks trained alone: what generated ones of their width are measured against."""
    found = {}
    for width in setting.alone:
        name = f"{base}.alone_{width}_{recipe.seed}"
        network, _ = _individual(family, name, width, task, seen, setting.alone_epochs, recipe, runs)
        found[width] = accuracy(family, dict(network.named_parameters()), width, seen)
    return found


# ------------------------------------------------------------------------------------------------------ the representation


def learn_weights(family: Metamorphosis, name: str, setting: Setting, recipe: Recipe, runs: Path, steps: int) -> int:
    """Fit the full network's weights, from a start of the right spread; returns the seconds of CPU that it took.

    Ours: without it the target starts dead, and joint training hardly leaves chance.
    """
    reference, widest = family.reference(), family.family.trained[1]
    family.neumeta.start_like(reference)
    epochs = 4
    own = Recipe(
        epochs=epochs, batch=0, side=0, matrix_rate=0.0, other_rate=setting.start_rate, weight_decay=0.0, label_smoothing=0.0, warm_up=0.05,
        seed=recipe.seed,
    )  # fmt: skip

    def losses(generator: torch.Generator) -> Iterator[Tensor]:
        for _ in range(max(1, steps // epochs)):
            yield misfit(drawn_weights(family, widest, generator), reference)

    @torch.no_grad()
    def assess() -> dict[str, float]:
        return {"misfit": misfit(family.generate(widest).weights, reference).item()}

    result = fit(f"{name}.start", family.neumeta, losses, max(1, steps // epochs), assess, own, runs, ClippedOptimiser)
    return result["cpu_seconds"]


def learn_task(family: Metamorphosis, name: str, task: Task, seen: Seen, recipe: Recipe, runs: Path, steps: int) -> dict[str, Any]:
    """Train the representation on the task at widths of the band; leaves its averaged weights in the family.

    loss = cross-entropy + KL divergence to the full network's answers (ours) + 1e-4 · norms + misfit of the weights, the
    last at the full width only.
    """
    model = Averaged(family.neumeta)
    reference, widest, widths = family.reference(), family.family.trained[1], family.widths

    def losses(generator: torch.Generator) -> Iterator[Tensor]:
        for _ in range(steps):
            x, y = _batch(family, task, recipe.batch, generator)
            with torch.no_grad():
                soft = family.run({}, widest, x).softmax(1)
            drawn = widths[int(torch.randint(len(widths), (), generator=generator))]
            width = widest if torch.rand((), generator=generator) < FULL_WIDTH else drawn
            weights = drawn_weights(family, width, generator)
            answer = family.run(weights, width, x).log_softmax(1)
            loss = F.nll_loss(answer, y) + F.kl_div(answer, soft, reduction="batchmean") + NORM * weight_norm(weights)
            yield loss + misfit(weights, reference) if width == widest else loss
            model.update()

    @torch.no_grad()
    def assess() -> dict[str, float]:
        found = {}
        for key, width in (("test_accuracy", widest), ("at_the_narrowest_width", widths[0])):
            found[key] = accuracy(family, model.average(family.family.shapes(width)).weights, width, seen)
        return found

    result = fit(name, model, losses, steps, assess, recipe, runs, ClippedOptimiser)
    family.neumeta.load_state_dict(model.average.state_dict())
    return result


def drawn_weights(family: Metamorphosis, width: int, generator: torch.Generator) -> Mapping[str, Tensor]:
    """Weights of one width, with one draw of the family's coordinate noise."""
    shapes = family.family.shapes(width)
    noise = coordinate_noise(len(raw_coordinates(shapes)), family.noise, generator) if family.noise else None
    return family.neumeta(shapes, noise=noise).weights


def misfit(weights: Mapping[str, Tensor], reference: Mapping[str, Tensor]) -> Tensor:
    """The paper's reconstruction loss with every tensor in units of its own spread (ours), so that no tensor is forgotten. []"""
    spread = {name: tensor.std(correction=0).clamp_min(1e-6) for name, tensor in reference.items()}
    return reconstruction_loss(
        {name: tensor / spread[name] for name, tensor in weights.items()},
        {name: tensor / spread[name] for name, tensor in reference.items()},
    )


# ------------------------------------------------------------------------------------------------------- what is measured


@torch.no_grad()
def measured(family: Metamorphosis, seen: Seen, looked_at: Sequence[int], alone: Mapping[int, float]) -> dict[str, Any]:
    """On the whole test split, in float32:

    widths                 that were generated; `band` are its ends, `held_out` the ones in it that training never generated
    accuracy               of each, weights averaged over 32 draws of the coordinate noise; one_sample: without averaging
    test_accuracy          the same at the full width
    alone, pruned          of networks trained alone, and cut from the full one by the L1 norms of their kernels (nothing trained
                           after), by width; full_network: of the full one itself
    parameters             of the representation, and of the tensors that it generates at the full width
    """
    narrow, widest = family.family.trained
    widths = sorted({*looked_at, *family.held_out, narrow, widest} & set(range(1, int(BEYOND * widest) + 1)))
    averaged, once, cut = [], [], {}
    for width in widths:
        draws = torch.Generator().manual_seed(0)
        samples = SAMPLES if family.noise else 1
        averaged.append(accuracy(family, family.generate(width, samples, draws).weights, width, seen))
        once.append(accuracy(family, family.generate(width).weights, width, seen))
        if width < widest:
            cut[width] = accuracy(family, pruned(family.full, family.family.shapes(width)), width, seen)
    return {
        "test_accuracy": averaged[widths.index(widest)],
        "full_network": accuracy(family, {}, widest, seen),
        "band": [narrow, widest],
        "held_out": list(family.held_out),
        "widths": widths,
        "accuracy": averaged,
        "one_sample": once,
        "samples": SAMPLES,
        "alone": {str(width): share for width, share in alone.items()},
        "pruned": {str(width): share for width, share in cut.items()},
        "parameters": [sum(p.numel() for p in family.neumeta.parameters()), sum(t.numel() for t in family.reference().values())],
    }


@torch.no_grad()
def accuracy(family: Metamorphosis, weights: Mapping[str, Tensor], width: int, seen: Seen) -> float:
    """Share of right answers of the network of this width with these weights."""
    parts = zip(seen[0].split(500), seen[1].split(500), strict=True)
    return round(sum((family.run(weights, width, x).argmax(1) == y).sum().item() for x, y in parts) / len(seen[1]), 4)


@torch.no_grad()
def entered(family: Metamorphosis, task: Task) -> Seen:
    """What the varying part gets for the test pictures, and their labels: the same for all widths."""
    device = next(family.parameters()).device
    parts = [family.entering(task.prepare(part, None).to(device)) for part in task.test.pixels.split(500)]
    return torch.cat(parts), task.test.labels.to(device)


@torch.no_grad()
def _batch(family: Metamorphosis, task: Task, count: int, generator: torch.Generator) -> Seen:
    """The same for training pictures drawn by chance."""
    device = next(family.parameters()).device
    x, y = task.batch(count, generator)
    with torch.autocast(device.type, torch.bfloat16):
        x = family.entering(x.to(device))
    return x.float(), y.to(device)


# ---------------------------------------------------------------------------------------------------------- what is told


def _card(name: str, setting: Setting, recipe: Recipe, result: dict[str, Any], found: dict[str, Any], tested: int) -> dict[str, Any]:
    about = {
        "neumeta_digits": {
            "labels": [str(digit) for digit in range(10)],
            "input": {"side": 8, "native": 8, "mean": [0], "std": [1]},
            "data": "Optical Recognition of Handwritten Digits as scikit-learn ships it, 1797 pictures of 8 × 8, of which 1300 drawn by chance",
            "data_licence": "CC BY 4.0; E. Alpaydin, C. Kaynak, UCI Machine Learning Repository, 1998",
            "test_split": f"the other {tested} pictures, full width, weights averaged over {SAMPLES} draws, float32",
        },
        "neumeta_cifar": {
            "labels": list(CIFAR10_CLASSES),
            "input": {"side": 32, "native": 32, "mean": MEAN, "std": STD},
            "data": "CIFAR-10, official training split (50 000 pictures of 32 × 32 pixels)",
            "data_licence": "none given by its authors; cite A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
            "test_split": f"whole official test split, {tested} pictures, full width, weights averaged over {SAMPLES} draws, float32",
        },
    }[name]
    return {
        "model": zoo.ENTRIES[name].describe(),
        **about,
        "licence": "Apache-2.0 (weights trained for this project; no code or weights of Adamdad/neumeta)",
        "test_accuracy": found["test_accuracy"],
        "seeds": [recipe.seed],
        "recipe": {**{k: getattr(recipe, k) for k in recipe.__dataclass_fields__}, **{k: getattr(setting, k) for k in ("steps", "start")}},
        "cpu_seconds": result["cpu_seconds"],
        "history": result["history"],
        "command": f"python -m training.neumeta --data-dir DIR --epochs {recipe.epochs} --seed {recipe.seed} {name}",
    }


if __name__ == "__main__":
    main()
