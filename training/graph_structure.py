"""Train the contestants of the four graph tasks: networks that look at a drawing, and networks that read the adjacency.

python -m training.graph_structure                         all of them, with the further seeds of the headline
python -m training.graph_structure --task symmetry         those of one task
python -m training.graph_structure topology_cnn …          some of them

topology_cnn, _gin, _gin_laplacian   the headline: which of six organisations? drawing, degrees, degrees with eigenvectors
symmetry_…, gap_…, bridges_…         the same three for the other tasks (symmetry is drawn by its spectral layout)
…_gat_signnet                        the encoding with which a network of the adjacency comes level
…_cnn_paper                          the same drawings with the pen of the paper, as wide for every graph
topology_cnn_spectral, _forceatlas2, _circular   other layouts
topology_vit, _gcn, _gat, _gps, _mpnn_vn, _gin_constant          other networks
topology_hyperdrop, _hyperdrop_all   edges dropped by their scores, and all of them kept

All contestants of a task learn from the same graphs, in batches of 64, with AdamW, linear warm-up and linear decay, for a number of
steps that only depends on their kind; nothing is chosen on a test split. A run can be stopped at any time: the next one goes on after
the last finished epoch, and leaves out what is already trained, measured and written. topology_cnn_s1, topology_gin_s2, … repeat a training with
the next seeds: they do not ship, what was measured on them stands in the model card of the first seed.
Graphs come from the generators of models.graph_structure; their layouts take longest and are kept in RUNS/graphs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import zoo
from models.graph_structure.dht import HyperConv, HyperDrop
from models.graph_structure.encodings import LARGEST_DEGREE, encode
from models.graph_structure.generators import TASKS
from models.graph_structure.gnn import GraphNetwork
from models.graph_structure.links import GraphBatch
from models.graph_structure.rasteriser import EVEN, PAPER, Pen, as_input
from models.hypergraphs.vit import ViT
from models.structures import AbstractGraph
from training.graphs import TURNED_FREELY, Split, drawings, mirrored, places, split, varied_drawings
from training.loop import Recipe, VectorOptimiser, fit, ship

SIDE, BATCH = 64, 64
TESTS = ("id", "near", "far")
BANDS = ("train", "val", *TESTS)
UNITS = {"gap": "second smallest eigenvalue of the normalised Laplacian, 0 to 2", "bridges": "bridges"}


@dataclass(frozen=True)
class Kind:
    """How a kind of network is trained.

    Attributes:
        passes: over 3000 graphs; smaller training splits are gone through more often, so that all tasks take as many steps.
        rate, weight_decay: of AdamW.
    """

    passes: int
    rate: float
    weight_decay: float


# Few passes at a high rate, so that a network takes about a minute of one core. Tried on the headline (in / near / far): 10 passes of
# looking reached 94 / 96 / 89 %, 12 of reading 82 / 64 / 40 %, with eigenvectors 90 / 76 / 48 %.
LOOKS = Kind(14, 3e-3, 1e-2)
LOOKS_BY_PATCHES = Kind(24, 1e-3, 5e-2)  # a transformer needs longer to find out what convolutions are told
READS = Kind(16, 2e-3, 1e-4)
READS_EDGES = Kind(10, 2e-3, 1e-4)


@dataclass(frozen=True)
class Contestant:
    """What a network is trained for.

    Attributes:
        task: see models.graph_structure.generators.TASKS.
        layout, pen: of the drawing that it looks at; None for a network that reads the adjacency.
    """

    task: str
    kind: Kind
    layout: str | None = None
    pen: Pen = EVEN


def _contestants() -> dict[str, Contestant]:
    """By name, the most telling first."""
    best = {"topology": "kamada-kawai", "bridges": "kamada-kawai", "gap": "kamada-kawai", "symmetry": "spectral"}
    found = {}
    for task, layout in best.items():
        found[f"{task}_cnn"] = Contestant(task, LOOKS, layout)
        found |= {f"{task}_{name}": Contestant(task, READS) for name in ("gin", "gin_laplacian")}
    found["topology_cnn_paper"] = Contestant("topology", LOOKS, best["topology"], PAPER)
    found |= {f"topology_{name}": Contestant("topology", READS_EDGES) for name in ("hyperdrop", "hyperdrop_all")}
    found |= {f"{task}_gat_signnet": Contestant(task, READS) for task in ("gap", "bridges", "topology")}
    found |= {f"topology_cnn_{layout}": Contestant("topology", LOOKS, layout) for layout in ("spectral", "circular", "forceatlas2")}
    found |= {f"topology_{name}": Contestant("topology", READS) for name in ("mpnn_vn", "gps", "gcn", "gat", "gin_constant")}
    found["topology_vit"] = Contestant("topology", LOOKS_BY_PATCHES, "kamada-kawai")
    found["symmetry_cnn_paper"] = Contestant("symmetry", LOOKS, best["symmetry"], PAPER)
    return found


CONTESTANTS = _contestants()
SHIPPED = tuple(CONTESTANTS)
REPEATED = ("topology_cnn", "topology_gin", "topology_gin_laplacian")
SEEDS = (1, 2)
NAMES = (*SHIPPED, *(f"{name}_s{seed}" for seed in SEEDS for name in REPEATED))


def base_of(name: str) -> tuple[str, int]:
    """ "topology_gin_s2" → ("topology_gin", 2): a network of the zoo, and what is added to the seed."""
    base, _, seed = name.rpartition("_s")
    return (base, int(seed)) if name not in SHIPPED else (name, 0)


def main() -> None:
    args = _arguments()
    for name in args.names:
        contest(name, args)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="all by default; see above")
    parser.add_argument("--task", choices=list(TASKS), help="only the networks of one task")
    parser.add_argument("--epochs", type=int, default=0, help="passes over 3000 graphs; 0 takes those of the recipe")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="checkpoints to resume from, and the graphs")
    parser.add_argument("--out", type=Path, default=zoo.WEIGHTS)
    parser.add_argument("--threads", type=int, default=0, help="0 takes what torch takes")
    parser.add_argument("--limit", type=int, default=0, help="only the first LIMIT training graphs and a few of each test (a rehearsal)")
    args = parser.parse_args()
    unknown = sorted(set(args.names) - set(NAMES))
    if unknown:
        parser.error(f"unknown model {', '.join(unknown)}; there are {', '.join(NAMES)}")
    args.names = [name for name in args.names or NAMES if args.task in (None, CONTESTANTS[base_of(name)[0]].task)]
    if not args.names:
        parser.error(f"none of the networks named belongs to the task {args.task}")
    if args.threads:
        torch.set_num_threads(args.threads)
    return args


def contest(name: str, args: argparse.Namespace) -> None:
    """Train one contestant, measure it, and write its weights and card (a rehearsal writes neither)."""
    base, offset = base_of(name)
    asked = CONTESTANTS[base]
    graphs = _count(asked.task, "train", args.limit) or TASKS[asked.task].bands["train"].count
    recipe = recipe_of(asked, graphs, args.epochs, args.seed + offset)
    if not args.limit and _finished(name, recipe, args):
        print(f"{name}: already trained", flush=True)
        return
    splits = _splits(asked.task, args.runs, args.limit)
    source = seen(base, splits, args.runs)
    torch.manual_seed(recipe.seed)
    model = zoo.build(base)
    if isinstance(model, ViT):  # tables as large as its default (1) would drown the patches
        for table in (model.pos_embedding, model.cls_token):
            nn.init.trunc_normal_(table, std=0.02)
    if isinstance(model, HyperDrop):  # a score below 0 is clamped and learns nothing; from there all edges stayed silent for good
        for score in model.scoreconvs:
            assert isinstance(score, HyperConv)
            nn.init.constant_(score.bias, 0.5)
    result = learn(f"{name}_of_{args.limit}" if args.limit else name, model, source, splits, recipe, args.runs)
    found = {"seed": recipe.seed, **measured(model, source, splits)}
    print(f"{name}: {_told(found)}", flush=True)
    if args.limit:
        return
    _write(args.runs / f"{name}.measured.json", {"recipe": _comparable(recipe), "found": found})
    if name == base:
        ship(name, model, _card(name, recipe, result, found, splits), args.out)
    _tell(asked.task, args.runs, args.out)


def _finished(name: str, recipe: Recipe, args: argparse.Namespace) -> bool:
    """Whether this training was measured, and its weights stand with a card of the same recipe."""
    measured_, card, wanted = args.runs / f"{name}.measured.json", args.out / f"{name}.json", _comparable(recipe)
    if not measured_.exists():
        return False
    kept = json.loads(measured_.read_text(encoding="utf-8"))
    if kept["recipe"] != wanted or kept["found"]["seed"] != recipe.seed:
        return False
    if base_of(name)[0] != name:
        return True
    if not card.exists() or not card.with_suffix(".safetensors").exists():
        return False
    return json.loads(card.read_text(encoding="utf-8"))["recipe"] == {**wanted, "seed": recipe.seed}


@lru_cache(maxsize=1)
def _splits(task: str, runs: Path, limit: int) -> dict[str, Split]:
    """Kept for the next network of the task."""
    return {band: split(task, band, runs, _count(task, band, limit)) for band in BANDS}


def _count(task: str, band: str, limit: int) -> int | None:
    if not limit:
        return None
    return min(limit if band == "train" else max(8, limit // 8), TASKS[task].bands[band].count)


def recipe_of(asked: Contestant, graphs: int, passes: int = 0, seed: int = 0) -> Recipe:
    """The recipe of a contestant; a batch is no larger than the `graphs` that there are."""
    passes = passes or asked.kind.passes
    return Recipe(
        epochs=round(passes * 3000 / TASKS[asked.task].bands["train"].count),
        batch=min(BATCH, graphs),
        side=SIDE if asked.layout else 0,
        matrix_rate=0.0,
        other_rate=asked.kind.rate,
        weight_decay=asked.kind.weight_decay,
        label_smoothing=0.0,
        warm_up=0.15,
        seed=seed,
    )


# ---------------------------------------------------------------------------------------------------- what a network gets


@dataclass(frozen=True)
class Drawn:
    """Drawings of the graphs.

    Attributes:
        varied: of the training graphs, [copies, n, S, S, 3] uint8.
        plain: of the other splits, [n, S, S, 3] uint8.
    """

    varied: Tensor
    plain: Mapping[str, Tensor]

    def lesson(self, chosen: Tensor, generator: torch.Generator) -> Tensor:
        """One of the drawings of each training graph `chosen` [B], flipped and turned by quarters, [B, 3, S, S]."""
        copy = torch.randint(len(self.varied), chosen.shape, generator=generator)
        return _input(mirrored(self.varied[copy, chosen], generator))

    def exam(self, band: str) -> Iterator[Tensor]:
        """The other splits as a visitor sees them, in order."""
        return map(_input, self.plain[band].split(4 * BATCH))


def _input(pictures: Tensor) -> Tensor:
    return as_input(pictures).contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Read:
    """Adjacencies, and encodings for networks that need them.

    Attributes:
        graphs, encodings: by split; the encodings are empty where the network has none.
    """

    graphs: Mapping[str, Sequence[AbstractGraph]]
    encodings: Mapping[str, Sequence[dict[str, Tensor]]]

    def lesson(self, chosen: Tensor, generator: torch.Generator) -> GraphBatch:
        """The training graphs `chosen` [B]. The signs of eigenvectors are flipped by the network itself."""
        return self._batch("train", chosen.tolist())

    def exam(self, band: str) -> Iterator[GraphBatch]:
        """The other splits, in order."""
        count, size = len(self.graphs[band]), BATCH // 8  # far graphs have up to thousands of edges each
        return (self._batch(band, range(begin, min(begin + size, count))) for begin in range(0, count, size))

    def _batch(self, band: str, chosen: Sequence[int]) -> GraphBatch:
        encodings = [self.encodings[band][i] for i in chosen] if self.encodings else None
        return GraphBatch.of([self.graphs[band][i] for i in chosen], encodings)


Source = Drawn | Read


def seen(name: str, splits: Mapping[str, Split], runs: Path) -> Source:
    """What the network of this name gets of the graphs."""
    asked = CONTESTANTS[name]
    if asked.layout is not None:
        known = (asked.task, asked.layout, asked.pen, len(splits["train"].graphs), runs)
        if known not in _DRAWN:
            _DRAWN.clear()
            _DRAWN[known] = _drawn(asked.layout, asked.pen, splits, runs)
        return _DRAWN[known]
    encoded = "encoding" in zoo.ENTRIES[name].arguments
    return Read(
        {band: found.graphs for band, found in splits.items()},
        {band: [encode(graph) for graph in found.graphs] for band, found in splits.items()} if encoded else {},
    )


_DRAWN: dict[tuple[str, str, Pen, int, Path], Drawn] = {}  # the last drawings (150 MB): the next network often looks at the same


def _drawn(layout: str, pen: Pen, splits: Mapping[str, Split], runs: Path) -> Drawn:
    where = {band: places(found, layout, runs) for band, found in splits.items()}
    varied = varied_drawings(splits["train"], where["train"], pen, SIDE, turn=layout in TURNED_FREELY)
    others = (band for band in splits if band != "train")
    return Drawn(varied, {band: drawings(splits[band], where[band], pen, SIDE) for band in others})


def answers(model: nn.Module, inputs: Tensor | GraphBatch) -> Tensor:
    """Answers of a contestant to what its source gives, [B, classes] before any softmax, or [B, 1]."""
    device = next(model.parameters()).device
    if isinstance(inputs, Tensor):
        return model(inputs.to(device))
    batch = _moved(inputs, device)
    if isinstance(model, GraphNetwork):
        return model(batch)
    assert isinstance(model, HyperDrop)
    degree = F.one_hot(batch.links.counts.clamp(max=LARGEST_DEGREE), LARGEST_DEGREE + 1).float()
    return model(degree, torch.stack([batch.links.source, batch.links.target]), batch.graph)


def _moved(batch: GraphBatch, device: torch.device) -> GraphBatch:
    if device.type == "cpu":
        return batch
    links = replace(batch.links, source=batch.links.source.to(device), target=batch.links.target.to(device))
    encodings = {key: value.to(device) for key, value in batch.encodings.items()}
    return replace(
        batch, links=links, edge=batch.edge.to(device), graph=batch.graph.to(device), sizes=batch.sizes.to(device), encodings=encodings
    )


# ---------------------------------------------------------------------------------------------------------------- training


def learn(name: str, model: nn.Module, source: Source, splits: Mapping[str, Split], recipe: Recipe, runs: Path) -> dict:
    """Train, or go on from the last finished epoch in `runs`; afterwards a number is answered in its own unit.

    Numbers are learned as standard scores (mean and deviation of the training split, squared error).
    """
    train = splits["train"]
    classes = bool(TASKS[train.task].classes)
    mean, std = (0.0, 1.0) if classes else (train.targets.mean().item(), train.targets.std().item())
    targets = train.labels() if classes else ((train.targets - mean) / std).float()
    steps = len(train.graphs) // recipe.batch
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def losses(generator: torch.Generator) -> Iterator[Tensor]:
        order = torch.randperm(len(targets), generator=generator)
        for chosen in order[: steps * recipe.batch].split(recipe.batch):
            found, right = answers(model, source.lesson(chosen, generator)), targets[chosen].to(device)
            yield F.cross_entropy(found, right) if classes else F.mse_loss(found[:, 0], right)

    def assess() -> dict[str, float]:
        """On the validation split: share of right answers, or the mean error as a share of the standard deviation."""
        model.eval()
        found, right = outputs(model, source, "val"), splits["val"].targets
        if classes:
            return {"val_accuracy": (found.argmax(1) == right).double().mean().item()}
        return {"val_error": (found[:, 0] - (right - mean) / std).abs().mean().item()}

    result = fit(name, model, losses, steps, assess, recipe, runs, VectorOptimiser)
    if not classes:
        in_own_unit(model, mean, std)
    return result


@torch.no_grad()
def outputs(model: nn.Module, source: Source, band: str) -> Tensor:
    """What the network says of a split, [n, classes] or [n, 1] float64."""
    return torch.cat([answers(model, inputs).double().cpu() for inputs in source.exam(band)])


@torch.no_grad()
def in_own_unit(model: nn.Module, mean: float, std: float) -> None:
    """Put mean and deviation of a standard score into the last layer."""
    *_, last = (module for module in model.modules() if isinstance(module, nn.Linear))
    last.weight.mul_(std)
    last.bias.mul_(std).add_(mean)


# ------------------------------------------------------------------------------------------------------- what is measured


def measured(model: nn.Module, source: Source, splits: Mapping[str, Split]) -> dict[str, Any]:
    """On each of the three test splits, in float32:

    graphs, nodes     how many, and the least and most nodes
    accuracy          share of right answers; or
    error, guess      mean absolute error, and that of always answering with the mean of the training split
    by_nodes          the same per ten nodes: [least, most, graphs, accuracy or error]
    confusion         right class × answer, numbers of graphs
    right             "1" where the answer is right, graph by graph in the order of the split
    """
    model.eval()
    typical = splits["train"].targets.mean()
    return {band: _examined(outputs(model, source, band), splits[band], typical) for band in TESTS}


def _examined(found: Tensor, asked: Split, typical: Tensor) -> dict[str, Any]:
    nodes = torch.tensor([graph.num_nodes for graph in asked.graphs])
    classes = len(TASKS[asked.task].classes)
    common = {"graphs": len(nodes), "nodes": [int(nodes.min()), int(nodes.max())]}
    if not classes:
        error, guess = (found[:, 0] - asked.targets).abs(), (typical - asked.targets).abs()
        return {**common, "error": _rounded(error.mean()), "guess": _rounded(guess.mean()), "by_nodes": _by_tens(error, nodes)}
    right = found.argmax(1) == asked.labels()
    confusion = torch.bincount(asked.labels() * classes + found.argmax(1), minlength=classes**2).view(classes, classes)
    return {
        **common,
        "accuracy": _rounded(right.double().mean()),
        "by_nodes": _by_tens(right.double(), nodes),
        "confusion": confusion.tolist(),
        "right": "".join(map(str, right.int().tolist())),
    }


def _by_tens(values: Tensor, nodes: Tensor) -> list[list[float]]:
    tens = sorted(set((nodes // 10).tolist()))
    rows = ((ten, values[nodes // 10 == ten]) for ten in tens)
    return [[10 * ten, 10 * ten + 9, len(row), _rounded(row.mean())] for ten, row in rows]


def _rounded(value: Tensor) -> float:
    return round(value.item(), 5)


def _told(found: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{band} {100 * found[band]['accuracy']:.2f} %" if "accuracy" in found[band] else f"{band} mean error {found[band]['error']:.4f}"
        for band in TESTS
    )


# ---------------------------------------------------------------------------------------------------------- what is told


def _card(name: str, recipe: Recipe, result: dict, found: dict[str, Any], splits: Mapping[str, Split]) -> dict[str, Any]:
    asked = CONTESTANTS[name]
    task, bands = asked.task, TASKS[asked.task].bands
    score = {"test_accuracy": found["id"]["accuracy"]} if "accuracy" in found["id"] else {"test_error": found["id"]["error"]}
    return {
        "model": zoo.ENTRIES[name].describe(),
        "task": task,
        "labels": list(TASKS[task].classes),
        "answer": "class" if TASKS[task].classes else UNITS[task],
        "input": _sees(name),
        "data": f"{bands['train'].count} graphs of {bands['train'].least} to {bands['train'].most} nodes, drawn by the generators of "
        "models.graph_structure (seed 0) after Zhao et al., GraphAbstract, NeurIPS 2025, arXiv 2510.24788; nothing was downloaded",
        "data_licence": "none needed: the graphs are made by this repository",
        "licence": "Apache-2.0 (weights trained for this project)",
        **score,
        "test_split": "; ".join(f"{band}: {bands[band].count} graphs of {bands[band].least} to {bands[band].most} nodes" for band in TESTS),
        "seeds": [recipe.seed],
        "recipe": {**_comparable(recipe), "seed": recipe.seed},
        "cpu_seconds": result["cpu_seconds"],
        "history": result["history"],
        "command": f"python -m training.graph_structure --epochs {round(recipe.epochs * len(splits['train'].graphs) / 3000)} "
        f"--seed {recipe.seed} {name}",
        "measured": found,
    }


def _sees(name: str) -> dict[str, Any]:
    asked = CONTESTANTS[name]
    if asked.layout is not None:
        pen = "even" if asked.pen.even else "paper"
        return {"sees": "drawing", "layout": asked.layout, "pen": pen, "side": SIDE, "mean": [0.25] * 3, "std": [0.3] * 3}
    chosen = zoo.ENTRIES[name].arguments
    return {"sees": "adjacency", "features": chosen.get("features", "degree"), "encoding": chosen.get("encoding")}


def _comparable(recipe: Recipe) -> dict[str, Any]:
    kept = {key: value for key, value in asdict(recipe).items() if key not in ("seed", "matrix_rate", "extra_weight")}
    return {"optimiser": "AdamW", **kept}


def _tell(task: str, runs: Path, out: Path) -> None:
    """Write into each card the figures of all seeds of its recipe, and into that of the drawing network those of its rivals."""
    known = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in _measured(task, runs).items()}
    for name in (name for name in known if name in SHIPPED):
        path = out / f"{name}.json"
        if not path.exists():
            continue
        family = [known[other] for other in known if base_of(other)[0] == name and known[other]["recipe"] == known[name]["recipe"]]
        found = sorted((_short(one["found"]) for one in family), key=lambda row: row["seed"])
        told: dict[str, Any] = {"seeds": [row["seed"] for row in found]}
        if len(found) > 1:
            told["spread"] = found
        if name == f"{task}_cnn":
            told["contestants"] = {other: {**_sees(other), **_short(known[other]["found"])} for other in known if other in SHIPPED}
        _write(path, json.loads(path.read_text(encoding="utf-8")) | told)


def _measured(task: str, runs: Path) -> dict[str, Path]:
    paths = {name: runs / f"{name}.measured.json" for name in NAMES if CONTESTANTS[base_of(name)[0]].task == task}
    return {name: path for name, path in paths.items() if path.exists()}


def _short(found: Mapping[str, Any]) -> dict[str, Any]:
    return {"seed": found["seed"], **{band: found[band].get("accuracy", found[band].get("error")) for band in TESTS}}


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
