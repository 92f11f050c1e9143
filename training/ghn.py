"""Train the graph hypernetworks that ship: they read a network's graph and predict all its weights, for CIFAR-10 at 16 × 16 pixels.

python -m training.ghn --data-dir DIR                       both, with further seeds
python -m training.ghn --data-dir DIR logah_micro …         some of them

ghn3_micro     tiles of 16 × 16 channels, copied where a network is wider
logah_micro    products of two thin matrices of rank 16

Both learn from the same 1000 small networks (models.hypernetworks.architecture.drawn) and the same pictures in the same order. What
they predict is measured on networks that were never trained on, untouched and after 100 steps of plain training, against random
initial weights. ghn3_micro_s1, logah_micro_s1, … repeat with the next seeds: they do not ship, their figures stand in the card.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from models import zoo
from models.hypernetworks.architecture import build, drawn, parse, text_of
from models.hypernetworks.computation_graph import graph_of
from models.hypernetworks.ghn3 import GraphHyperNetwork, initialise
from models.structures import ComputationGraph
from training.command import arguments, pictures
from training.data import CIFAR10_CLASSES, MEAN, STD, Pictures, augmented, normalised
from training.hypernetworks import ClippedOptimiser, note, tell
from training.loop import Recipe, fit, ship

SHIPPED = ("ghn3_micro", "logah_micro")
SEEDS = (1,)
NAMES = (*SHIPPED, *(f"{name}_s{seed}" for seed in SEEDS for name in SHIPPED))

SIDE = 16
KNOWN, KNOWN_SEED = 1000, 1  # networks of the training
NETWORKS, STEPS = 2, 800  # networks of a step, steps of an epoch


@dataclass(frozen=True)
class Unseen:
    """Networks that are never trained on: how many of which kind, drawn with which seed."""

    count: int
    seed: int
    layers: tuple[int, int] = (2, 6)
    widths: tuple[int, int] = (8, 48)


UNSEEN = {
    "unseen": Unseen(32, 2),
    "wider": Unseen(16, 3, widths=(56, 64)),  # than any network of the training
    "deeper": Unseen(16, 4, layers=(7, 9)),
}
RACERS, RACE, RATES = 12, (0, 25, 50, 100), (0.01, 0.05)  # of "unseen": how many are trained on, looked at after which steps


@dataclass(frozen=True)
class Candidate:
    """A network without memory for its parameters, and its graph."""

    text: str
    network: nn.Module
    graph: ComputationGraph


def main() -> None:
    args = arguments(__doc__, NAMES, epochs=20)
    train_set, test_set = pictures(args)
    for name in args.names:
        base, offset = split(name)
        recipe = Recipe(
            epochs=args.epochs, batch=64, side=SIDE, matrix_rate=0.0, other_rate=2e-3, weight_decay=0.01, label_smoothing=0.0,
            seed=args.seed + offset,
        )  # fmt: skip
        torch.manual_seed(recipe.seed)
        model = zoo.build(base)
        assert isinstance(model, GraphHyperNetwork)
        steps = max(1, args.limit // recipe.batch) if args.limit else STEPS
        result = learn(name, model, train_set, test_set, recipe, args.runs, steps)
        scale = 20 if args.limit else 1  # a rehearsal looks at fewer
        found = {"seed": recipe.seed, **measured(model, train_set, test_set, scale)}
        print(f"{name}: {100 * found['test_accuracy']:.2f} % on average over networks never seen; {found}", flush=True)
        if args.limit:
            continue
        note(args.runs, name, recipe, found)
        if name == base:
            ship(name, model, _card(name, recipe, result, found), args.out)
        tell(base, args.runs, args.out, [f"{base}_s{seed}" for seed in SEEDS])


def split(name: str) -> tuple[str, int]:
    """ "logah_micro_s1" → ("logah_micro", 1): a hypernetwork of the zoo, and what is added to the seed."""
    if name in SHIPPED:
        return name, 0
    base, _, seed = name.rpartition("_s")
    return base, int(seed)


# ----------------------------------------------------------------------------------------------------------- the networks


@lru_cache(maxsize=1)
def known() -> tuple[str, ...]:
    """The networks of the training, as lines of text, no two alike."""
    return _distinct(KNOWN, KNOWN_SEED, (2, 6), (8, 48), frozenset())


def unseen(kind: str) -> tuple[str, ...]:
    """Networks of UNSEEN, none of which is among the known."""
    about = UNSEEN[kind]
    return _distinct(about.count, about.seed, about.layers, about.widths, frozenset(known()))


def _distinct(count: int, seed: int, layers: tuple[int, int], widths: tuple[int, int], but: frozenset[str]) -> tuple[str, ...]:
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        text = text_of(drawn(generator, len(CIFAR10_CLASSES), SIDE, layers, widths))
        if text not in but:
            found[text] = None
    return tuple(found)


@cache
def candidate(text: str) -> Candidate:
    with torch.device("meta"):
        network = build(parse(text), channels=3, side=SIDE)
    return Candidate(text, network, graph_of(network))


# --------------------------------------------------------------------------------------------------------------- training


def learn(
    name: str, model: GraphHyperNetwork, train_set: Pictures, test_set: Pictures, recipe: Recipe, runs: Path, steps: int
) -> dict[str, Any]:
    """Each step predicts the weights of two known networks and asks how well they classify one batch of pictures."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    few = Pictures(test_set.pixels[:1000], test_set.labels[:1000])

    def losses(generator: torch.Generator) -> Iterator[Tensor]:
        for _ in range(steps):
            chosen = torch.randint(len(train_set.labels), (recipe.batch,), generator=generator)
            x = normalised(augmented(train_set.pixels[chosen], generator), SIDE).to(device)
            y = train_set.labels[chosen].to(device)
            texts = [known()[i] for i in torch.randint(KNOWN, (NETWORKS,), generator=generator).tolist()]
            yield torch.stack([F.cross_entropy(predicted(model, candidate(text), x), y) for text in texts]).mean()

    def assess() -> dict[str, float]:
        return {"test_accuracy": statistics.fmean(untouched(model, text, few) for text in unseen("unseen")[:8])}

    return fit(name, model, losses, steps, assess, recipe, runs, ClippedOptimiser)


def predicted(model: GraphHyperNetwork, of: Candidate, x: Tensor) -> Tensor:
    """Logits of a network with predicted weights."""
    weights = dict(model(of.graph).weights)
    with torch.autocast(x.device.type, torch.bfloat16):
        return functional_call(of.network, weights, (x,)).float()


# ------------------------------------------------------------------------------------------------------- what is measured


@torch.no_grad()
def measured(model: GraphHyperNetwork, train_set: Pictures, test_set: Pictures, scale: int = 1) -> dict[str, Any]:
    """Of networks that were never trained on, in float32, batches of 250 pictures (batch normalisation reads each batch):

    test_accuracy                      mean of "unseen" with predicted weights, on the whole test split
    unseen, wider, deeper              for each kind: mean, standard error, lowest and highest of that, and the same for random
                                       initial weights (torch's own) on the first 2000 pictures
    copied_rows                        in "wider": share of a kernel's outputs that equal an earlier one, mean over convolutions
    race                               accuracy on the first 2000 test pictures after 0, 25, 50 and 100 steps of SGD (momentum 0.9,
                                       batch 64, the same pictures in the same order): mean and standard error, by learning rate,
                                       from random, predicted weights and, paired, the difference after the last step
    scale divides the numbers of networks and pictures.
    """
    model.eval()
    few = Pictures(test_set.pixels[: 2000 // scale], test_set.labels[: 2000 // scale])
    whole = few if scale > 1 else test_set
    found: dict[str, Any] = {}
    for kind in UNSEEN:
        texts = unseen(kind)[:: min(scale, 8)]
        found[kind] = {
            "networks": len(texts),
            "predicted": _summary([untouched(model, text, whole) for text in texts]),
            "random": _summary([share(_random(text, number), few) for number, text in enumerate(texts)]),
        }
    copies = [row for text in unseen("wider")[:: min(scale, 8)] for row in copied_rows(model(candidate(text).graph).weights)]
    race = {str(rate): _race(model, rate, train_set, few, scale) for rate in RATES}
    return {"test_accuracy": found["unseen"]["predicted"]["mean"], **found, "copied_rows": round(statistics.fmean(copies), 4), "race": race}


def untouched(model: GraphHyperNetwork, text: str, test_set: Pictures) -> float:
    """Test accuracy of a network with predicted weights, nothing trained after."""
    of = candidate(text)
    with torch.no_grad():
        return share(of.network, test_set, dict(model(of.graph).weights))


@torch.no_grad()
def share(network: nn.Module, test_set: Pictures, weights: Mapping[str, Tensor] | None = None) -> float:
    """Share of right answers of a network, with these weights in place of its own."""
    weights = dict(network.named_parameters()) if weights is None else dict(weights)
    device = next(iter(weights.values())).device
    right = 0
    for pixels, labels in zip(test_set.pixels.split(250), test_set.labels.split(250), strict=True):
        logits = functional_call(network, weights, (normalised(pixels, SIDE).to(device),))
        right += (logits.argmax(1).cpu() == labels).sum().item()
    return right / len(test_set.labels)


def copied_rows(weights: Mapping[str, Tensor]) -> list[float]:
    """For each convolution: the share of outputs whose kernels equal those of an earlier output, number by number."""
    kernels = [tensor.flatten(1) for tensor in weights.values() if tensor.ndim == 4]
    return [1 - len(torch.unique(rows, dim=0)) / len(rows) for rows in kernels]


def _random(text: str, seed: int) -> nn.Module:
    """The network with torch's own initial weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build(parse(text), channels=3, side=SIDE)


def _race(model: GraphHyperNetwork, rate: float, train_set: Pictures, test_set: Pictures, scale: int) -> dict[str, Any]:
    """Random against predicted initial weights on the same networks, pictures and order."""
    curves: dict[str, list[list[float]]] = {"random": [], "predicted": []}
    for number, text in enumerate(unseen("unseen")[: max(2, RACERS // scale)]):
        for start, rows in curves.items():
            network = _random(text, number)
            if start == "predicted":
                initialise(network, model.cpu()(candidate(text).graph), generator=torch.Generator().manual_seed(number))
            rows.append(_trained_on(network, rate, train_set, test_set, number))
    gains = [after[-1] - before[-1] for before, after in zip(curves["random"], curves["predicted"], strict=True)]
    told = {start: [_summary(column) for column in zip(*rows, strict=True)] for start, rows in curves.items()}
    return {"steps": list(RACE), **told, "gain": _summary(gains)}


@torch.enable_grad()
def _trained_on(network: nn.Module, rate: float, train_set: Pictures, test_set: Pictures, seed: int) -> list[float]:
    """Test accuracy after each number of steps of RACE."""
    generator = torch.Generator().manual_seed(seed)
    sgd = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9)
    found = []
    for step in range(RACE[-1] + 1):
        if step in RACE:
            found.append(share(network, test_set))
        chosen = torch.randint(len(train_set.labels), (64,), generator=generator)
        x = normalised(augmented(train_set.pixels[chosen], generator), SIDE)
        F.cross_entropy(network(x), train_set.labels[chosen]).backward()
        sgd.step()
        sgd.zero_grad()
    return found


def _summary(values: Sequence[float]) -> dict[str, float]:
    """Mean, standard error of the mean, lowest and highest."""
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    told = {"mean": statistics.fmean(values), "standard_error": error, "lowest": min(values), "highest": max(values)}
    return {key: round(value, 4) for key, value in told.items()}


# ---------------------------------------------------------------------------------------------------------- what is told


def _card(name: str, recipe: Recipe, result: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": zoo.ENTRIES[name].describe(),
        "labels": list(CIFAR10_CLASSES),
        "input": {"side": SIDE, "native": SIDE, "mean": MEAN, "std": STD},
        "data": f"CIFAR-10, official training split (50 000 pictures, reduced to {SIDE} × {SIDE} pixels), and {KNOWN} networks drawn by chance",
        "data_licence": "none given by its authors; cite A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        "licence": "Apache-2.0 (weights trained for this project; no code or weights of Blackzxy/LoGAH or SamsungSAILMontreal/ghn3)",
        "test_accuracy": found["test_accuracy"],
        "test_split": f"mean over {found['unseen']['networks']} networks never trained on, predicted weights untouched; "
        "whole official test split, 10 000 pictures, float32",
        "seeds": [recipe.seed],
        "recipe": {**{k: getattr(recipe, k) for k in recipe.__dataclass_fields__}, "steps": STEPS, "networks_per_step": NETWORKS},
        "cpu_seconds": result["cpu_seconds"],
        "history": result["history"],
        "command": f"python -m training.ghn --data-dir DIR --epochs {recipe.epochs} --seed {recipe.seed} {name}",
    }


if __name__ == "__main__":
    main()
