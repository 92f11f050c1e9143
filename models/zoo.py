"""Models by name: how each is built, which weights it has, how a picture is prepared for it.

    loaded = zoo.load("swappable_dagc")
    logits = loaded.model(loaded.prepare(pixels))

Small models ship with weights trained by `training/`. The published configurations carry their official names and load
the official checkpoints from a file that the user supplies; without one they have random weights and say so.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from models.checkpoints import CheckpointError, load_strict, read_state
from models.image_graphs import greedyvig, mobilevig, vig
from models.image_graphs.swappable import CONSTRUCTORS

WEIGHTS = Path(__file__).parent / "weights"
LABELS = Path(__file__).parent / "labels"
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class Preparation:
    """How a square RGB picture becomes an input.

    Attributes:
        side: input size in pixels.
        mean, std: per channel, of values in 0…1.
        native: if smaller than `side`, the picture is first reduced to this size: the model was trained on pictures of
            `native` pixels shown enlarged, and sharper ones would be foreign to it.
    """

    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    native: int | None = None

    def seen(self, pixels: np.ndarray) -> np.ndarray:
        """The pixels that the model sees, uint8 [side, side, 3], from a square uint8 [s, s, 3]."""
        image = Image.fromarray(pixels)
        if self.native:
            image = image.resize((self.native, self.native), Image.Resampling.BICUBIC)
            return np.asarray(image.resize((self.side, self.side), Image.Resampling.BILINEAR))
        return np.asarray(image.resize((self.side, self.side), Image.Resampling.BICUBIC))

    def __call__(self, pixels: np.ndarray) -> Tensor:
        """Square uint8 [s, s, 3] → float [1, 3, side, side]."""
        x = torch.tensor(self.seen(pixels), dtype=torch.float32).permute(2, 0, 1)[None] / 255
        return (x - torch.tensor(self.mean)[:, None, None]) / torch.tensor(self.std)[:, None, None]


class NoPicture(Preparation):
    """Of a network that does not look at pictures: it is given a structure (its wing says which)."""

    def __init__(self) -> None:
        super().__init__(0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

    def seen(self, pixels: np.ndarray) -> np.ndarray:
        raise TypeError("this network reads a structure, not a picture; there is nothing to prepare")


@dataclass(frozen=True)
class Entry:
    """One name of the zoo: a builder with its arguments and the way pictures are prepared.

    Attributes:
        builder: where the class or function stands, "models.<wing>.<module>.<name>". It is imported when a model is built: who only
            reads the list does not pay for the libraries of six wings.
    """

    builder: str
    arguments: Mapping[str, Any]
    preparation: Preparation
    published: bool = False

    def describe(self) -> dict[str, Any]:
        return {"builder": self.builder, "arguments": dict(self.arguments)}

    def build(self, **changes: Any) -> nn.Module:
        """A new model with random weights; `changes` replace arguments."""
        module, _, name = self.builder.rpartition(".")
        return getattr(importlib.import_module(module), name)(**{**self.arguments, **changes})


@dataclass(frozen=True)
class Loaded:
    """A model ready to run (evaluation mode) and what is known of it.

    Attributes:
        trained: False when the weights are random; a page must then say so.
        card: the model card (empty without one).
    """

    name: str
    model: nn.Module
    prepare: Preparation
    labels: tuple[str, ...] = ()
    trained: bool = False
    card: Mapping[str, Any] = field(default_factory=dict)


def _micro(builder: str, **arguments: Any) -> Entry:
    cifar = Preparation(64, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616), native=32)
    return Entry(builder, {"num_classes": 10, **arguments}, cifar)


def _tokens() -> dict[str, Entry]:
    """The small transformers of the tokens wing."""

    def cifar(side: int, builder: str, **arguments: Any) -> Entry:
        prepared = Preparation(side, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616), native=32)
        return Entry(builder, {"image_size": side, **arguments}, prepared)

    small = {"num_classes": 10, "dim": 96, "depth": 6, "heads": 3}
    sparse = {"keep_rate": 0.25, "coefficients": 8, "basis_threshold": 0.003}
    segmenter = {"num_classes": 8, "image_size": 128, "dim": 64, "depth": 6, "heads": 2, "stages": (1, 3, 5), "threshold": 0.9}
    return {
        "token_encoder": cifar(56, "models.tokens.micro.token_encoder", num_classes=17, dim=64, depth=8, heads=4, reader_depth=1),
        "sparsifiner_dense": cifar(48, "models.tokens.micro.MicroViT", **small),
        "sparsifiner_micro": cifar(48, "models.tokens.micro.sparsifiner", **small, **sparse),
        "dtop_micro": Entry("models.tokens.micro.dtop", segmenter, Preparation(128, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))),
    }


def _official() -> dict[str, Entry]:
    entries = {}
    for package, statistics in ((vig, HALF), (mobilevig, IMAGENET), (greedyvig, IMAGENET)):
        for name in package.CONFIGURATIONS:
            entries[name] = Entry(f"{package.__name__}.build", {"name": name}, Preparation(224, *statistics), published=True)
    plain = Preparation(640, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    for name in ("yolov13n", "yolov13s", "yolov13l", "yolov13x"):
        entries[name] = Entry("models.hypergraphs.yolov13.build", {"name": name}, plain, published=True)
    return entries


def _structure() -> dict[str, Entry]:
    """The contestants of the four graph tasks (those that look at a drawing, and those that read the adjacency), a node classifier, and
    the judge of possible hyperedges."""
    answers = {"topology": 6, "symmetry": 2, "gap": 1, "bridges": 1}  # classes of models.graph_structure.generators.TASKS; 1: a number
    drawing = Preparation(64, (0.25, 0.25, 0.25), (0.3, 0.3, 0.3))  # models.graph_structure.rasteriser.as_input

    def reads(task: str, builder: str, **arguments: Any) -> Entry:
        return Entry(builder, {"classes": answers[task], **arguments}, NoPicture())

    entries = {
        f"{task}_cnn": Entry("models.graph_structure.vision.SmallResNet", {"classes": count}, drawing) for task, count in answers.items()
    }
    for name in ("topology_cnn_paper", "topology_cnn_spectral", "topology_cnn_forceatlas2", "topology_cnn_circular", "symmetry_cnn_paper"):
        entries[name] = Entry("models.graph_structure.vision.SmallResNet", {"classes": answers[name.split("_")[0]]}, drawing)
    small = {"image_size": 64, "patch_size": 8, "dim": 64, "depth": 4, "heads": 4, "dim_head": 16, "mlp_dim": 128, "pool": "mean"}
    entries["topology_vit"] = Entry(
        "models.hypergraphs.vit.ViT", {"num_classes": answers["topology"], **small, "dropout": 0.0, "emb_dropout": 0.0}, drawing
    )
    entries |= {f"{task}_gin": reads(task, "models.graph_structure.gnn.GIN") for task in answers}
    entries |= {f"{task}_gin_laplacian": reads(task, "models.graph_structure.gnn.GIN", encoding="laplacian") for task in answers}
    entries |= {
        f"{task}_gat_signnet": reads(task, "models.graph_structure.gnn.GAT", encoding="signnet") for task in ("topology", "gap", "bridges")
    }
    return entries | {
        "topology_gin_constant": reads("topology", "models.graph_structure.gnn.GIN", features="constant"),
        "topology_gcn": reads("topology", "models.graph_structure.gnn.GCN"),
        "topology_gat": reads("topology", "models.graph_structure.gnn.GAT"),
        "topology_gps": reads("topology", "models.graph_structure.gnn.GPS", hidden=64),
        "topology_mpnn_vn": reads("topology", "models.graph_structure.gnn.VirtualNodeGIN"),
        "topology_hyperdrop": reads(
            "topology", "models.graph_structure.dht.HyperDrop", features=101, edge_features=1, hidden=64, ratio=0.8
        ),
        "topology_hyperdrop_all": reads(
            "topology", "models.graph_structure.dht.HyperDrop", features=101, edge_features=1, hidden=64, ratio=1.0
        ),
        "dagnn_cora": Entry(
            "models.graph_structure.dagnn.DAGNN", {"features": 1433, "classes": 7, "steps": 10, "dropout": 0.8}, NoPicture()
        ),
        "shyre_enron": Entry("models.graph_structure.shyre.Verdicts", {"features": 9}, NoPicture()),
    }


def _generators() -> dict[str, Entry]:
    """Hypernetworks. Pictures are prepared for the networks whose weights they generate."""
    cifar = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
    graphormer = {"num_classes": 10, "hid": 48, "heads": 4, "layers": 3}
    return {
        "neumeta_digits": Entry(
            "models.hypernetworks.metamorphosis.digits",
            {"widths": (4, 12), "held_out": (7, 10), "hidden_dim": 64, "num_layers": 4, "num_freqs": 5},
            Preparation(8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),  # three equal channels, of which the networks read one
        ),
        "neumeta_cifar": Entry(
            "models.hypernetworks.metamorphosis.cifar",
            {"widths": (32, 64), "held_out": (36, 44, 52, 60), "hidden_dim": 128, "num_layers": 5, "num_freqs": 5},
            Preparation(32, *cifar),
        ),
        "ghn3_micro": Entry("models.hypernetworks.ghn3.GHN3", {"max_shape": (16, 16, 11, 11), **graphormer}, Preparation(16, *cifar)),
        "logah_micro": Entry(
            "models.hypernetworks.logah.LoGAH",
            {"max_shape": (256, 256, 11, 11), **graphormer, "lora_r": 16, "max_ck_lora": 512},
            Preparation(16, *cifar),
        ),
    }


def _hyperbolic() -> dict[str, Entry]:
    """Small residual networks in the ball and in flat space, and pictures in the disk of the CIFAR-100 classes."""
    small = {"channels": (16, 32, 64), "depths": (1, 1, 1)}
    return {
        "poincare_resnet_micro": Entry("models.hyperbolic.resnet.PoincareResNet", {"num_classes": 10, **small}, Preparation(32, *HALF)),
        "euclidean_resnet_micro": Entry("models.hyperbolic.resnet.EuclideanResNet", {"num_classes": 10, **small}, Preparation(32, *HALF)),
        "poincare_cifar100": Entry(
            "models.hyperbolic.disk.ClassDisk", {"channels": (32, 64, 128), "depths": (1, 1, 1)}, Preparation(32, *HALF)
        ),
    }


ENTRIES: dict[str, Entry] = {
    **{f"swappable_{name}": _micro("models.image_graphs.swappable.SwappableViG", constructor=name) for name in CONSTRUCTORS},
    "pvig_micro": _micro(
        "models.image_graphs.vig.PyramidViG", blocks=(2, 2, 2), channels=(32, 64, 128), k=6, head_dim=128, image_size=(64, 64), pools=(2, 1, 1)
    ),
    "greedyvig_micro": _micro(
        "models.image_graphs.greedyvig.GreedyViG", blocks=((1, 1), (1, 1), (1, 1)), channels=(32, 64, 128), emb_dims=128, steps=(4, 2, 1),
        distillation=False, drop_path=0.0, layer_scale=0.1,
    ),
    "mobilevig_micro": _micro(
        "models.image_graphs.mobilevig.MobileViG", local_blocks=(1,), local_channels=(16,), global_blocks=(1, 2), global_channels=(64, 128), emb_dims=128,
        distillation=False, drop_path=0.0, layer_scale=0.1, stem_strides=(2, 1),
    ),
    "softvit_plain": _micro("models.hypergraphs.conv_vit.plain"),
    "softvit_dense": _micro("models.hypergraphs.conv_vit.dense", num_hyperedges=8, num_heads=4),
    "softvit_sparse": _micro("models.hypergraphs.conv_vit.sparse", num_dyn_hyperedges=16, top_k=4, num_fixed_hyperedges=4, num_heads=8),
    "softvit_diverse": _micro("models.hypergraphs.conv_vit.dense", num_hyperedges=8, num_heads=1),
    "yolov13_micro": Entry(
        "models.hypergraphs.yolov13.YOLOv13", {"width": 0.125, "depth": 0.5, "max_channels": 1024, "num_hyperedges": 4, "large": False, "nc": 7},
        Preparation(192, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    ),
    **_structure(),
    **_generators(),
    **_hyperbolic(),
    **_tokens(),
    **_official(),
}  # fmt: skip


def build(name: str, **changes: Any) -> nn.Module:
    """A new model with random weights.

    Raises:
        KeyError: no such name; the message lists what there is.
    """
    entry = _entry(name)
    return entry.build(**changes)


def load(name: str, weights: str | Path | None = None, *, trusted: bool = False) -> Loaded:
    """A model in evaluation mode with the weights that ship, or with a checkpoint file of the user's.

    Args:
        weights: a checkpoint in the published format. `trusted` allows .pt/.pth files beside .safetensors. Without it
            the shipped weights are taken, or for a published configuration the file of this name in the folder that the
            environment variable HYPERSCOPE_WEIGHTS names (its owner is trusted). The classes of a checkpoint are named by
            `<name>.labels.json` or `labels.json` beside it (a list, or a mapping from number to name); those with 1000 (80)
            classes and neither file are named as in ImageNet-1k (COCO).

    Raises:
        KeyError: no such name.
        models.checkpoints.CheckpointError: the file is not acceptable or does not fit; the message says why.
    """
    entry = _entry(name)
    shipped = WEIGHTS / f"{name}.safetensors"
    if weights is None and entry.published:
        weights, trusted = _own_checkpoint(name), True
    path = Path(weights) if weights is not None else shipped if shipped.exists() else None
    card = json.loads(shipped.with_suffix(".json").read_text()) if path == shipped else {}
    changes: dict[str, Any] = {}
    state = None
    if path is not None:
        state = read_state(path, trusted=trusted)
        if entry.published:
            changes = _as_in(state, name)
    with torch.random.fork_rng(devices=[]):  # random weights, where there are no others, are the same everywhere
        torch.manual_seed(0)
        model = build(name, **changes)
    if state is not None:
        load_strict(model, state)
    model.eval().requires_grad_(False)
    labels = tuple(card.get("labels", ()))
    if path is not None and (count := changes.get("num_classes", changes.get("nc"))):
        labels = _labels(path.parent, name, count)
    return Loaded(name, model, entry.preparation, labels, path is not None, card)


def _labels(folder: Path, name: str, count: int) -> tuple[str, ...]:
    """Names of the classes of a checkpoint that the user supplies; empty when nobody tells them."""
    own = next((path for path in (folder / f"{name}.labels.json", folder / "labels.json") if path.exists()), None)
    if own is None:
        usual = {1000: "imagenet1k.json", 80: "coco80.json"}.get(count)
        return tuple(json.loads((LABELS / usual).read_text(encoding="utf-8"))["labels"]) if usual else ()
    try:
        found = json.loads(own.read_text(encoding="utf-8"))
        listed = found if isinstance(found, list) else [found[str(i)] for i in range(len(found))]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{own.name} must be a list of names, or a mapping from the numbers 0, 1, … to names") from error
    if len(listed) != count:
        raise CheckpointError(f"{own.name} names {len(listed)} classes, but the checkpoint of {name} has {count}")
    texts = [str(label) for label in listed]
    return tuple(f"{text} ({i})" if texts.count(text) > 1 else text for i, text in enumerate(texts))


def _own_checkpoint(name: str) -> Path | None:
    """A published checkpoint in the folder that HYPERSCOPE_WEIGHTS names: `<name>.safetensors`, `.pth`, `.pt` or `.pth.tar`."""
    folder = os.environ.get("HYPERSCOPE_WEIGHTS")
    found = (Path(folder) / f"{name}{end}" for end in (".safetensors", ".pth", ".pt", ".pth.tar")) if folder else ()
    return next((path for path in found if path.exists()), None)


def _as_in(state: Mapping[str, Tensor], name: str) -> dict[str, Any]:
    """Settings that a checkpoint shows by itself: the number of classes, and whether a distillation head is there."""
    if name.startswith("yolov13"):
        head = "model.32.cv3.0.2.weight"  # the last class layer of the finest scale
        return {"nc": state[head].shape[0]} if head in state else {}
    last = "prediction.4.weight" if "vig_" in name and name.split("_")[0] in ("vig", "pvig") else "head.weight"
    changes: dict[str, Any] = {"num_classes": state[last].shape[0]} if last in state else {}
    if last == "head.weight":
        changes["distillation"] = "dist_head.weight" in state
    return changes


def _entry(name: str) -> Entry:
    if name not in ENTRIES:
        raise KeyError(f"no model named {name!r}; there are {', '.join(ENTRIES)}")
    return ENTRIES[name]
