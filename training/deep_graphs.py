"""How deep may a node classifier be? DAGNN and plain GCNs of many depths on the citation network Cora.

python -m training.deep_graphs --data-dir DIR              everything: three seeds of dagnn_cora, then the race over depths
python -m training.deep_graphs --data-dir DIR --depths 2 16

DIR holds the files of Planetoid (ind.cora.x, ind.cora.graph, …; Yang, Cohen, Salakhutdinov, ICML 2016), or the same in one
cora_graph.npz: edges, features and labels of Cora with the public split.
dagnn_cora ships; the figures of the other seeds and of the race stand in its model card. On the block model of
models.graph_structure.node_problems both kinds of network train within seconds, so the page trains them live.

Settings are those of the released code for Cora (mengliu1998/DeeperGNN): Adam, rate 0.01 (there for up to 1000 epochs); after half of them
training stops when the validation loss exceeds the mean of the last hundred. The weights of the lowest validation loss are kept.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import zoo
from models.capture import capture
from models.graph_structure.dagnn import DAGNN, DeepGCN
from models.graph_structure.node_problems import NodeProblem
from models.structures import Propagation
from training.loop import ship
from training.planetoid import found_in, planetoid

NAME = "dagnn_cora"
SHIPPED = (NAME,)
CLASSES = 7
DEPTHS = (2, 4, 8, 16, 32)
SEEDS = 3
RATE = 0.01
PENALTY = {"dagnn": 5e-3, "gcn": 5e-4}  # L2, in the gradient


def cora(folder: Path) -> NodeProblem:
    """Cora with the public split: 140 nodes for training, 500 for validation, 1000 for the test; rows of x add up to 1.

    Raises:
        FileNotFoundError: neither cora_graph.npz nor the files of Planetoid are in `folder`.
    """
    if found_in(folder, "cora"):
        return planetoid(folder, "cora")
    path = folder.expanduser() / "cora_graph.npz"
    if not path.exists():
        raise FileNotFoundError(f"no cora_graph.npz in {folder}, and no ind.cora.graph either")
    with np.load(path) as stored:
        edges, label = torch.from_numpy(stored["edges"]).long().T, torch.from_numpy(stored["y"]).long()
        rows = np.repeat(np.arange(len(label)), np.diff(stored["x_indptr"]))
        x = torch.zeros(*stored["x_shape"].tolist())
        x[rows, stored["x_indices"]] = torch.from_numpy(stored["x_data"])
        parts = torch.zeros(3, len(label), dtype=torch.bool)
        for part, name in zip(parts, ("train", "val", "test"), strict=True):
            part[stored[name]] = True
    return NodeProblem(x / x.sum(1, keepdim=True).clamp(min=1), torch.cat([edges, edges.flip(0)], 1), label, *parts)


@dataclass(frozen=True)
class Attempt:
    """One training: `kind` is "dagnn" or "gcn", `depth` its hops or layers."""

    kind: str
    depth: int
    seed: int

    @property
    def file(self) -> str:
        return f"cora_{self.kind}_{self.depth}_s{self.seed}"

    def build(self, features: int, classes: int) -> nn.Module:
        torch.manual_seed(self.seed)
        if self.kind == "dagnn":
            return DAGNN(features, classes, steps=self.depth, dropout=0.8)
        return DeepGCN(features, classes, layers=self.depth)


def main() -> None:
    args = _arguments()
    problem = cora(args.data_dir)
    shipped = [Attempt("dagnn", 10, args.seed + offset) for offset in range(SEEDS)]
    race = [Attempt(kind, depth, args.seed) for depth in args.depths for kind in ("dagnn", "gcn")]
    found: dict[Attempt, dict[str, Any]] = {}
    for attempt in dict.fromkeys([*shipped, *race]):
        found[attempt] = row = tried(attempt, problem, args.epochs, args.runs)
        print(
            f"{attempt.kind}, depth {attempt.depth}, seed {attempt.seed}: {100 * row['test_accuracy']:.1f} % of the test nodes", flush=True
        )
    model = shipped[0].build(problem.x.shape[1], CLASSES)
    model.load_state_dict(_kept(shipped[0], args.runs)["model"])
    ship(NAME, model, _card(args, problem, model.eval(), [found[a] for a in shipped], [found[a] for a in race]), args.out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of the files ind.cora.*, or of cora_graph.npz")
    parser.add_argument("--depths", type=int, nargs="*", default=list(DEPTHS), help="hops and layers of the race")
    parser.add_argument("--epochs", type=int, default=300, help="at most; training stops earlier")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="finished trainings, which are not repeated")
    parser.add_argument("--out", type=Path, default=zoo.WEIGHTS)
    parser.add_argument("--threads", type=int, default=0, help="0 takes what torch takes")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    return args


# ------------------------------------------------------------------------------------------------------------ training


def tried(attempt: Attempt, problem: NodeProblem, epochs: int, runs: Path) -> dict[str, Any]:
    """What came of an attempt; trained if `runs` has none of so many epochs."""
    path = runs / f"{attempt.file}.pt"
    if not path.exists() or torch.load(path, weights_only=True)["epochs"] != epochs:
        model = attempt.build(problem.x.shape[1], CLASSES)
        begun = time.process_time()
        taken = learn(model, problem, epochs, PENALTY[attempt.kind])
        row = {
            "kind": attempt.kind,
            "depth": attempt.depth,
            "seed": attempt.seed,
            "epochs_taken": taken,
            "cpu_seconds": round(time.process_time() - begun),
            **{f"{part}_accuracy": accuracy(model, problem, getattr(problem, part)) for part in ("val", "test")},
        }
        runs.mkdir(parents=True, exist_ok=True)
        torch.save({"epochs": epochs, "row": row, "model": model.state_dict()}, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)
    return _kept(attempt, runs)["row"]


def _kept(attempt: Attempt, runs: Path) -> dict[str, Any]:
    return torch.load(runs / f"{attempt.file}.pt", weights_only=True)


def learn(model: nn.Module, problem: NodeProblem, epochs: int, penalty: float) -> int:
    """Train on the nodes for training and leave the weights of the lowest validation loss; returns the number of epochs taken."""
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE, weight_decay=penalty)
    history: list[float] = []
    best: dict[str, Tensor] = {}
    for epoch in range(epochs):
        model.train()
        optimiser.zero_grad()
        F.nll_loss(model(problem.x, problem.edge_index)[problem.train], problem.label[problem.train]).backward()
        optimiser.step()
        model.eval()
        with torch.no_grad():
            loss = F.nll_loss(model(problem.x, problem.edge_index)[problem.val], problem.label[problem.val]).item()
        if not history or loss < min(history):
            best = {key: value.clone() for key, value in model.state_dict().items()}
        history.append(loss)
        if epoch > epochs // 2 and loss > sum(history[-101:-1]) / len(history[-101:-1]):
            break
    model.load_state_dict(best)
    return len(history)


@torch.no_grad()
def accuracy(model: nn.Module, problem: NodeProblem, part: Tensor) -> float:
    """Share of right answers on some nodes, [N] bool."""
    found = model.eval()(problem.x, problem.edge_index).argmax(1) == problem.label
    return found[part].double().mean().item()


# ---------------------------------------------------------------------------------------------------------- what is told


@torch.no_grad()
def measured(model: nn.Module, problem: NodeProblem) -> dict[str, Any]:
    """Of a trained DAGNN on all nodes:

    gate           least, mean and largest gate, and their standard deviation
    gate_by_hop    mean over the nodes
    hop_accuracy   on the test nodes, of every hop alone
    roughness      after every hop (Propagation.roughness)
    """
    with capture(model) as trace:
        model(problem.x, problem.edge_index)
    (found,) = trace.of(Propagation).values()
    right = found.hops.argmax(2) == problem.label[:, None]
    return {
        "gate": _rounded([found.gate.min(), found.gate.mean(), found.gate.max(), found.gate.std()]),
        "gate_by_hop": _rounded(found.gate.mean(0)),
        "hop_accuracy": _rounded(right[problem.test].double().mean(0)),
        "roughness": _rounded(found.roughness()),
    }


def _rounded(values: Sequence[Tensor] | Tensor) -> list[float]:
    return [round(float(value), 4) for value in values]


def _card(args: argparse.Namespace, problem: NodeProblem, model: nn.Module, seeds: list[dict], race: list[dict]) -> dict[str, Any]:
    depths = "" if tuple(args.depths) == DEPTHS else f" --depths {' '.join(map(str, args.depths))}"
    return {
        "model": zoo.ENTRIES[NAME].describe(),
        "labels": [f"class {i}" for i in range(CLASSES)],
        "input": {"sees": "adjacency and words", "features": problem.x.shape[1], "rows": "add up to 1"},
        "data": "Cora with the public split of Planetoid: 2708 papers, 5278 citations, 1433 words; 140 papers for training",
        "data_licence": "MIT (kimiyoung/planetoid); cite Yang, Cohen, Salakhutdinov, ICML 2016; the data are not in the weights",
        "licence": "Apache-2.0 (weights trained for this project)",
        "test_accuracy": round(seeds[0]["test_accuracy"], 4),
        "test_split": f"{int(problem.test.sum())} test nodes of the public split",
        "seeds": [row["seed"] for row in seeds],
        "spread": seeds,
        "race": race,
        "recipe": {
            "optimiser": "Adam",
            "rate": RATE,
            "weight_decay": PENALTY["dagnn"],
            "epochs": args.epochs,
            "gcn_weight_decay": PENALTY["gcn"],
        },
        "cpu_seconds": seeds[0]["cpu_seconds"],
        "command": f"python -m training.deep_graphs --data-dir DIR --epochs {args.epochs} --seed {args.seed}{depths}",
        "measured": measured(model, problem),
    }


if __name__ == "__main__":
    main()
