"""NeuMeta: one function from the place of a kernel to its values holds networks of every width."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from explorer import runtime
from explorer.diagnostics import weight_field as diagnose
from explorer.exhibit import NO_PICTURE, BadRequest, Controls, Exhibit, Intervention, Labeller, Layer, Paper, Scene, Wing
from explorer.exhibits.hypernetworks import claims
from explorer.exhibits.hypernetworks.asked import one_of, whole
from explorer.views.space import pca, umap
from explorer.views.weight_field import dense, middle_tap
from models.hypernetworks import block, live, walks
from models.hypernetworks.digits import digits
from models.hypernetworks.metamorphosis import Metamorphosis
from models.hypernetworks.neumeta import between
from models.hypernetworks.permutation import (
    Clique,
    city,
    cliques,
    l1_distances,
    path_length,
    permuted,
    pruned,
    search,
    shortest_path,
    smoothed,
    total_variation,
)
from models.structures import GeneratedWeights, Prediction, WeightField

NAME = "neumeta_digits"
NARROWEST, WIDEST = 1, 18  # 1.5 times the full width
FULL = 12
PLACES = 96  # of the dense grid, per axis
STEPS = 24  # along a walk
CLOUD = 6  # noisy networks per width
UNTRAINED = (
    "The function still has random weights, so every network that it makes guesses. How it is read, its places, its path and the order of the "
    "channels are real; no accuracy here means anything."
)
LESSON, BATCH, RATE = 300, 128, 1e-2  # steps of a network that is trained while one looks on


class NeuMetaControls(Controls):
    width: int = Field(
        8,
        ge=NARROWEST,
        le=WIDEST,
        title="Width h",
        description="Channels of the first layer; the next two have 2h and 4h. Drag it: the network is generated and tested as you go.",
    )
    samples: int = Field(
        1,
        ge=1,
        le=16,
        title="Readings averaged",
        description="The paper reads the function K times at disturbed places and averages the weights.",
    )
    picture: int = Field(3, ge=0, le=496, title="Test digit", description="Which of the 497 test pictures the prediction is about.")
    field: Literal["told the full width", "told this width"] = Field(
        "told the full width",
        title="Function drawn",
        description="The function also hears how wide the network is. Drawn is what it answers when told the full width, or this width.",
        json_schema_extra={"advanced": True},
    )


# ------------------------------------------------------------------------------------------------------ what is fixed


def family() -> Metamorphosis:
    """The family that ships (shared: nothing here writes to it)."""
    model = runtime.model(NAME).model
    assert isinstance(model, Metamorphosis)
    return model


@lru_cache(maxsize=2)
def pictures(training: bool = False) -> live.Data:
    """Handwritten digits on the model's device: 1300 to train with, 497 to test."""
    x, y = digits(training)
    return x.to(runtime.device()), y.to(runtime.device())


@lru_cache(maxsize=4)
@torch.inference_mode()
def field_of(told: int) -> dict[str, WeightField]:
    """The function behind every tensor on the dense grid, for size coordinates of one width; values are not divided by inputs."""
    shapes = family().family.shapes(FULL)
    found = {name: family().neumeta.field(shapes, name, PLACES, walks.sizes(family(), told)[name]).cpu() for name in shapes}
    return {name: replace(field, values=field.values * len(field.lattice_columns)) for name, field in found.items()}


def standing(width: int, weights: Mapping[str, Tensor]) -> walks.Standing:
    x, y = pictures()
    return walks.standing(family(), weights, width, x, y)


@lru_cache(maxsize=1)
@torch.inference_mode()
def curve() -> dict[str, Any]:
    """Every width, read once without noise and tested; beside it the full network with its weakest channels cut off."""
    widths = list(range(NARROWEST, WIDEST + 1))
    found = [standing(width, family().generate(width).weights) for width in widths]
    state = dict(family().full.named_parameters())
    cut = {w: standing(w, pruned(family().full, family().family.shapes(w), state)).accuracy for w in widths if w < FULL}
    told = runtime.model(NAME).card.get("measured", {})
    return {
        "widths": widths,
        "accuracy": [one.accuracy for one in found],
        "loss": [one.loss for one in found],
        "parameters": [sum(int(np.prod(shape)) for shape in family().family.shapes(width).values()) for width in widths],
        "generator": sum(p.numel() for p in family().neumeta.parameters()),
        "band": list(family().family.trained),
        "held_out": list(family().held_out),
        "trained": runtime.model(NAME).trained,
        "pruned": cut,
        "full": standing(FULL, {}).accuracy,
        "alone": {int(width): share for width, share in told.get("alone", {}).items()},
        "averaged": dict(zip(told.get("widths", []), told.get("accuracy", []), strict=False)),
        "count": len(pictures()[1]),
    }


@lru_cache(maxsize=2)
@torch.inference_mode()
def manifold(clouds: bool) -> dict[str, Any]:
    """Networks of all widths, in half steps, as points: their functions at the same places, in the plane of two principal components.

    With `clouds`, also networks read with the noise of training, around every whole width of the band.
    """
    widths = [NARROWEST + i / 2 for i in range(2 * (WIDEST - NARROWEST) + 1)]
    path = torch.stack([walks.resampled(family(), width) for width in widths])
    points, explained = pca(path.numpy())
    found = {"widths": widths, "points": points, "explained": explained.tolist()}
    if clouds:
        draws = torch.Generator().manual_seed(0)
        low, high = family().family.trained
        around = [(width, walks.resampled(family(), width, generator=draws)) for width in range(low, high + 1) for _ in range(CLOUD)]
        joined = np.concatenate([path.numpy(), torch.stack([vector for _, vector in around]).numpy()])
        points, explained = pca(joined)
        found |= {"points": points[: len(path)], "explained": explained.tolist()}
        found |= {"cloud": points[len(path) :], "cloudWidths": [width for width, _ in around]}
    return found


# -------------------------------------------------------------------------------------------------------------- a run


def run(shown: np.ndarray, controls: NeuMetaControls, cuts: Sequence[Intervention] = (), segments: Labeller | None = None) -> Scene:
    """The network of one width, tensor by tensor, and what it answers."""
    return _scene(controls, tuple(cuts))


@lru_cache(maxsize=8)  # a page that opened with its stored first run asks about it by its settings, again and again
@torch.inference_mode()
def _scene(controls: NeuMetaControls, cuts: tuple[Intervention, ...]) -> Scene:
    model, width = family(), controls.width
    shapes = model.family.shapes(width)
    weights = generated(width, controls.samples, cuts)
    found = standing(width, weights)
    told = FULL if controls.field == "told the full width" else width
    places = _fields(width, weights, told)
    nudged = next(_second(walks.noisy(model, width, 2))).weights
    measures = {}
    for name, field in places.items():
        full = model.neumeta.read(shapes, name, field.lattice_rows, field.lattice_columns, walks.sizes(model, FULL)[name]).cpu()
        disturbed = nudged[name].reshape(field.lattice_values.shape).cpu() if controls.samples == 1 and not cuts else None
        measures[name] = [
            *diagnose.network(found.accuracy, len(found.logits), where(width), _alone(width)),
            *diagnose.summary(field, disturbed, full),
        ]
    prediction = Prediction(found.logits[controls.picture][None].cpu(), runtime.model(NAME).labels or tuple(map(str, range(10))))
    prediction.require_finite("the prediction")
    layers = [Layer(name, _label(name, shapes[name]), {"field": field}) for name, field in places.items()]
    first = replace(layers[0], structures={**layers[0].structures, "generated": GeneratedWeights({n: t.cpu() for n, t in weights.items()})})
    x, y = pictures()
    return Scene(
        shown=NO_PICTURE,
        seen=NO_PICTURE,
        layers=[first, *layers[1:]],
        prediction=prediction.top(10),
        measures=measures,
        notes=() if runtime.model(NAME).trained else (UNTRAINED,),
        extras={
            "curve": curve(),
            "manifold": manifold(False),
            "shapes": {name: [list(model.family.shapes(w)[name][:2]) for w in range(NARROWEST, WIDEST + 1)] for name in shapes},
            "at": {"width": width, "accuracy": found.accuracy, "loss": found.loss},
            "digit": {
                "pixels": x[controls.picture, 0].cpu().numpy(),
                "label": str(int(y[controls.picture])),
                "answer": _answer(found.logits[controls.picture]),
            },
            "cliques": [{"name": clique.members[0][0].rpartition(".")[0], "size": clique.size} for clique in _free_cliques()],
        },
    )


def generated(width: int, samples: int = 1, cuts: Sequence[Intervention] = ()) -> dict[str, Tensor]:
    """The weights of one width, averaged over readings, without the channels that the visitor dropped."""
    model = family()
    weights = model.generate(width, samples, torch.Generator().manual_seed(0)).weights
    dropped: dict[str, list[int]] = {}
    for cut in cuts:
        dropped.setdefault(cut.layer, []).extend(number for number, _ in cut.pairs)
    return walks.without_channels(weights, list(weights), dropped)


def _fields(width: int, weights: Mapping[str, Tensor], told: int) -> dict[str, WeightField]:
    """The dense function of each tensor, in the unit of this width's weights, with this width's lattice."""
    found = {}
    for name, field in field_of(told).items():
        outputs, inputs = (*weights[name].shape, 1)[:2]
        found[name] = replace(
            field,
            values=field.values / inputs,
            lattice_rows=torch.arange(outputs) / outputs,
            lattice_columns=torch.arange(inputs) / inputs,
            lattice_values=weights[name].reshape(outputs, inputs, -1).cpu(),
        )
    return found


def _second(items: Iterator[Any]) -> Iterator[Any]:
    next(items)
    return items


def _label(name: str, shape: Sequence[int]) -> str:
    words = {"conv_1": "Conv 1", "conv_2": "Conv 2", "conv_3": "Conv 3", "linear": "Classifier"}
    module, _, kind = name.rpartition(".")
    return f"{words[module]}{' bias' if kind == 'bias' else ''} · {' × '.join(map(str, shape))}"


def where(width: int) -> str:
    """In words how this width stands to those of the training."""
    if not runtime.model(NAME).trained:
        return "with random weights, so this is chance"
    low, high = family().family.trained
    if width in family().held_out:
        return "a width inside the band that training left out"
    if low <= width <= high:
        return f"one of the widths {low} to {high} that were trained together"
    return f"beyond the widths {low} to {high} of the training"


def _alone(width: int) -> float | None:
    found = curve()["alone"].get(width)
    return None if found is None else float(found)


@lru_cache(maxsize=1)
def _free_cliques() -> list[Clique]:
    return [clique for clique in cliques(family().full) if clique.free]


# ----------------------------------------------------------------------------------------------------------- questions


def _width(data: Mapping[str, Any]) -> int:
    return whole(data, "width", NARROWEST, WIDEST)


def _tensor(data: Mapping[str, Any]) -> str:
    return one_of(data, "tensor", list(family().family.shapes(FULL)))


@torch.inference_mode()
def at(scene: Scene, controls: NeuMetaControls, data: Mapping[str, Any]) -> dict[str, Any]:
    """Generate and test the network of another width: what a moving slider asks."""
    width, name, started = _width(data), _tensor(data), time.perf_counter()
    weights = generated(width, controls.samples)
    made = time.perf_counter()
    found = standing(width, weights)
    tested = time.perf_counter()
    shape = (*weights[name].shape, 1)
    return {
        "width": width,
        "accuracy": found.accuracy,
        "loss": found.loss,
        "generated": 1e3 * (made - started),
        "tested": 1e3 * (tested - made),
        "tensor": name,
        "lattice": (weights[name].reshape(*shape[:2], -1) * shape[1]).cpu().numpy(),
        "answer": _answer(found.logits[controls.picture]),
    }


def _answer(logits: Tensor) -> list[tuple[str, float]]:
    """The three most probable digits."""
    best = logits.softmax(0).topk(3)
    return [(str(digit), share) for digit, share in zip(best.indices.tolist(), best.values.tolist(), strict=True)]


def tap(scene: Scene, controls: NeuMetaControls, data: Mapping[str, Any]) -> dict[str, Any]:
    """Another entry of the kernel on the dense grid."""
    name = _tensor(data)
    layer = next(layer for layer in scene.layers if layer.name == name)
    field = layer.structures["field"]
    assert isinstance(field, WeightField)
    wanted = whole(data, "tap", 0, field.values.shape[2] - 1, middle_tap(field))
    return {"tensor": name, "tap": wanted, "dense": dense(field, wanted)}


def clouds(scene: Scene, controls: NeuMetaControls, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The manifold again, with noisy networks around it, or laid out by UMAP."""
    if one_of(data, "method", ("pca", "umap"), "pca") == "pca":
        return manifold(True)
    return _umap()


@lru_cache(maxsize=1)
def _umap() -> dict[str, Any]:
    widths = [NARROWEST + i / 2 for i in range(2 * (WIDEST - NARROWEST) + 1)]
    with torch.inference_mode():
        path = torch.stack([walks.resampled(family(), width) for width in widths]).numpy()
    try:
        return {"widths": widths, "points": umap(path), "explained": None}
    except ImportError as error:
        raise BadRequest(f"UMAP is unavailable here, because a package is missing ({error.name})") from None


@torch.inference_mode()
def order(scene: Scene, controls: NeuMetaControls, data: Mapping[str, Any]) -> dict[str, Any]:
    """Shuffle the channels of one clique of the full network, and look for the order in which neighbours are alike."""
    found = _free_cliques()
    clique = found[whole(data, "clique", 0, len(found) - 1, 0)]
    model = family()
    state = {name: tensor.cpu() for name, tensor in model.full.named_parameters()}
    shuffle = torch.randperm(clique.size, generator=torch.Generator().manual_seed(whole(data, "seed", 0, 9999, 0)))
    before = permuted(state, clique, shuffle)
    cities = city(before, clique)
    shortest = shortest_path(cities)
    steps = _few([*search(l1_distances(cities), effort=200), shortest.numpy()], 60)
    after = permuted(before, clique, shortest)
    points, explained = pca(cities.numpy())
    shown = next(name for name, axis in clique.members if axis == 0 and state[name].ndim > 1)
    x, _ = pictures()
    moved = model.run({name: tensor.to(x) for name, tensor in after.items()}, FULL, x) - model.run({}, FULL, x)
    return {
        "clique": clique.members[0][0].rpartition(".")[0],
        "members": [f"{name}, {'outputs' if axis == 0 else 'inputs'}" for name, axis in clique.members],
        "size": clique.size,
        "steps": [step.tolist() for step in steps],
        "lengths": [path_length(cities, torch.from_numpy(step)) for step in steps],
        "exact": clique.size <= 16,
        "shipped": path_length(city(state, clique)),
        "points": points,
        "explained": explained.tolist(),
        "tensor": shown,
        "matrix": before[shown].flatten(1).numpy(),
        "variation": [total_variation({n: s[n] for n, _ in clique.members}) for s in (before, after)],
        "moved": moved.abs().max().item(),
    }


def _few(items: Sequence[Any], most: int) -> list[Any]:
    """At most so many of a list, the first and the last among them."""
    chosen = np.unique(np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int))
    return [items[i] for i in chosen]


@torch.inference_mode()
def features(scene: Scene, controls: NeuMetaControls, data: Mapping[str, Any]) -> dict[str, Any]:
    """What the convolutions of three widths see of the chosen digit: channels in the order of their places."""
    model, x = family(), pictures()[0][controls.picture][None]
    part = one_of(data, "part", ("conv_1", "conv_2", "conv_3"), "conv_1")
    widths = data.get("widths", [4, 8, 16])
    if not isinstance(widths, list) or not 1 <= len(widths) <= 4:
        raise BadRequest("widths must be a list of one to four widths")
    rows = []
    for width in [whole({"width": width}, "width", NARROWEST, WIDEST) for width in widths]:
        weights = model.generate(width).weights
        h = x
        for name in ("conv_1", "conv_2", "conv_3"):
            h = torch.relu(torch.nn.functional.conv2d(h, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1))
            if name == part:
                break
            h = torch.nn.functional.avg_pool2d(h, 2)
        rows.append({"width": width, "maps": h[0].cpu().numpy()})
    return {"part": part, "rows": rows}


@torch.inference_mode()
def spread(scene: Scene, controls: NeuMetaControls, data: Mapping[str, Any]) -> dict[str, Any]:
    """How far each weight of a tensor strays when the places are disturbed as in training: standard deviation over 12 readings."""
    width, name = _width(data), _tensor(data)
    drawn = torch.stack([one.weights[name] for one in walks.noisy(family(), width, 13)][1:])
    deviation, usual = drawn.std(0, correction=0), drawn.mean(0).std(correction=0).clamp_min(1e-12)
    shape = (*deviation.shape, 1)
    return {"width": width, "tensor": name, "spread": (deviation / usual).reshape(*shape[:2], -1).mean(2).cpu().numpy()}


# ------------------------------------------------------------------------------------------ a residual block, CIFAR-10

BLOCK = "neumeta_cifar"
BLOCK_WIDTHS = tuple(range(16, 97, 4))
BLOCK_FULL = 64
PICTURES = "HYPERSCOPE_CIFAR10"  # environment variable: a folder with the test part of CIFAR-10, which does not ship


def block_family() -> Metamorphosis:
    """The family of the last block of a ResNet-20 (shared: nothing here writes to it)."""
    model = runtime.model(BLOCK).model
    assert isinstance(model, Metamorphosis)
    return model


@lru_cache(maxsize=2)
def _block_pictures(folder: str) -> tuple[Tensor, Tensor]:
    found = block.pictures_of(folder)
    device = runtime.device()
    return block.entered(block_family(), block.Pictures(found.x.to(device), found.y)), found.y.to(device)


@lru_cache(maxsize=1)
@torch.inference_mode()
def _block_path() -> dict[str, Any]:
    points, explained = pca(block.path(block_family(), list(BLOCK_WIDTHS)).numpy())
    return {"points": points, "explained": explained.tolist()}


@torch.inference_mode()
def block_at(scene: Scene, controls: NeuMetaControls, data: Mapping[str, Any]) -> dict[str, Any]:
    """The block at one width: a tensor's function with what this width reads of it, and its test, live or from the model card."""
    model, told = block_family(), runtime.model(BLOCK)
    width = whole(data, "width", BLOCK_WIDTHS[0], BLOCK_WIDTHS[-1], BLOCK_FULL)
    names = list(model.family.shapes(BLOCK_FULL))
    name = names[whole(data, "tensor", 0, len(names) - 1, 0)]
    started = time.perf_counter()
    weights = model.generate(width).weights
    made = time.perf_counter()
    dense, dots = block.seen(model, width, name).cpu(), block.lattice(weights, name).cpu()
    found: dict[str, Any] = {
        "width": width,
        "tensor": names.index(name),
        "names": [one.removeprefix("layer3.2.") for one in names],
        "shape": list(weights[name].shape),
        "dense": dense.numpy(),
        "dots": list(dots.shape),
        "parameters": block.size(model, width),
        "full": block.size(model, BLOCK_FULL),
        "band": list(model.family.trained),
        "held_out": list(model.held_out),
        "widths": list(BLOCK_WIDTHS),
        "path": _block_path(),
        "trained": told.trained,
        "card": _block_card(told.card),
        "generated": 1e3 * (made - started),
    }
    return found | _block_test(model, weights, width)


def _block_card(card: Mapping[str, Any]) -> dict[str, Any] | None:
    """What training measured on the whole test split: generated, trained alone, cut from the full network."""
    told = card.get("measured")
    if not told:
        return None
    return {
        "widths": told["widths"],
        "accuracy": told["accuracy"],
        "alone": {int(width): share for width, share in told.get("alone", {}).items()},
        "pruned": {int(width): share for width, share in told.get("pruned", {}).items()},
    }


def _block_test(model: Metamorphosis, weights: Mapping[str, Tensor], width: int) -> dict[str, Any]:
    """Accuracy on the first test pictures where a folder with them was named; else the reason why it is not measured."""
    folder = os.environ.get(PICTURES)
    if not folder:
        return {"live": None, "why": f"CIFAR-10 does not ship. Start with {PICTURES}=FOLDER to test every width while you drag."}
    try:
        x, y = _block_pictures(folder)
    except ValueError:
        return {"live": None, "why": f"{PICTURES} names a folder in which no test part of CIFAR-10 can be read."}
    started = time.perf_counter()
    found = walks.standing(model, weights, width, x, y)
    return {"live": {"accuracy": found.accuracy, "loss": found.loss, "count": len(y), "tested": 1e3 * (time.perf_counter() - started)}}


# ------------------------------------------------------------------------------------------------------------- streams


@torch.inference_mode()
def averaging(scene: Scene, controls: NeuMetaControls, data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Accuracy against the number of averaged readings K, one K after the other."""
    width = _width(data)
    for count, weights in walks.averaged(family(), width, range(1, 33)):
        found = standing(width, weights.weights)
        yield {"width": width, "samples": count, "accuracy": found.accuracy, "loss": found.loss}


def alone(scene: Scene, controls: NeuMetaControls, data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Train a network of one width by itself, from random weights, and test it now and then."""
    width, seed = _width(data), whole(data, "seed", 0, 9999, 0)
    network = _random(width, seed)
    yield {"width": width, "step": 0, "accuracy": live.accuracy(network, pictures())}
    for done in live.trained(network, live.batches(pictures(True), BATCH, LESSON, seed), RATE):
        if done.step % 10 == 0:
            yield {
                "width": width,
                "step": done.step,
                "steps": LESSON,
                "loss": done.loss,
                "accuracy": live.accuracy(network, pictures()),
            }


def paths(scene: Scene, controls: NeuMetaControls, data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Loss along three ways from one network to another of the same width, point by point.

    "sizes": the lattice stays, the size coordinates go from this width to the full one. "line": straight between the same two ends.
    "trained" and "sorted": straight between two networks that are trained alone here, as they come out of training and with the
    channels of each in smooth order.
    """
    width = _width(data)
    shares = [i / STEPS for i in range(STEPS + 1)]
    for share in shares:
        for name, walk in (("sizes", walks.along_sizes), ("line", walks.along_line)):
            yield _point(name, share, width, walk(family(), width, FULL, share).weights)
    ends = []
    for seed in (0, 1):
        network = _random(width, seed)
        for done in live.trained(network, live.batches(pictures(True), BATCH, LESSON, seed), RATE):
            if done.step % 50 == 0:
                yield {"training": seed + 1, "step": done.step, "steps": LESSON}
        ends.append(network.requires_grad_(False))
    states: dict[str, list[Mapping[str, Tensor]]] = {
        "trained": [dict(end.named_parameters()) for end in ends],
        "sorted": [smoothed(end)[0] for end in ends],
    }
    for share in shares:
        for name, (first, last) in states.items():
            yield _point(name, share, width, between(first, last, share).weights)


@torch.inference_mode()
def _point(curve_: str, share: float, width: int, weights: Mapping[str, Tensor]) -> dict[str, Any]:
    found = standing(width, weights)
    return {"curve": curve_, "share": share, "loss": found.loss, "accuracy": found.accuracy}


def _random(width: int, seed: int) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return family().family.network(width).to(runtime.device())


EXHIBIT = Exhibit(
    slug="neumeta",
    title="Neural Metamorphosis",
    wing=Wing.HYPERNETWORKS,
    idea="One function of the place of a kernel holds networks of every width: drag the width, the function stays, only the reading moves.",
    paper=Paper(
        title="Neural Metamorphosis",
        authors="Xingyi Yang, Xinchao Wang",
        venue="ECCV 2024",
        url="https://arxiv.org/abs/2410.11878",
        theirs="The representation, its coordinates, the shortest path through the channels, the noise on the coordinates, the averaging.",
        ours=(
            "A network for 8 × 8 digits of which every tensor is generated; a start from the full network's weights and its soft answers as a "
            "second target, without which this small one does not learn. Later work (arXiv 2505.05510) finds that the recipe holds well for the "
            "last layers of a large network only."
        ),
    ),
    controls=NeuMetaControls,
    run=run,
    views=("widths", "manifold", "order", "averaging", "walks", "widths-features", "block", "claims"),
    example="",
    folder=Path(__file__).parent,
    cuts=("channel",),
    claims=claims.NEUMETA,
    pictures=False,
    stream_seconds=120,
    questions={"at": at, "tap": tap, "clouds": clouds, "order": order, "features": features, "spread": spread, "block": block_at},
    streams={"averaging": averaging, "alone": alone, "paths": paths},
)
