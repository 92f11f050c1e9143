"""Learning task after task with a hypernetwork: an independent chunk for every part, or a recurrent walk through the layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from explorer.diagnostics import chunk_dependency as diagnose
from explorer.exhibit import NO_PICTURE, Controls, Exhibit, Intervention, Labeller, Layer, Paper, Scene, Wing
from explorer.exhibits.hypernetworks import claims
from explorer.exhibits.hypernetworks.asked import number, one_of, whole
from explorer.views.chunk_dependency import chunks_payload
from models.hypernetworks import permuted
from models.hypernetworks.continual import RecurrentHyperNet, TaskHyperNet, importance_of, learn, stored_weights
from models.structures import TaskAccuracy

TITLES = {"chunked": "Chunked baseline", "recurrent": "RNN hypernetwork"}
KEEPING = ("L2", "importance", "none")
STEPS = 200  # of a lesson
LOOKED = 10  # steps between two looks at all tasks
NUDGE = 1.0  # of a chunk's embedding


class ContinualControls(Controls):
    seed: int = Field(0, ge=0, le=99, title="Start", description="Random numbers that both hypernetworks start from.")
    task: int = Field(1, ge=1, le=permuted.TASKS, title="Task", description="The task whose weights the dependency matrix is about.")


def run(shown: np.ndarray, controls: ContinualControls, cuts: Sequence[Intervention] = (), segments: Labeller | None = None) -> Scene:
    """Both hypernetworks before they learn anything: what each part of the weights depends on is decided by their form."""
    return _scene(controls)


@lru_cache(maxsize=8)
def _scene(controls: ContinualControls) -> Scene:
    nets = {kind: permuted.hypernetwork(kind, controls.seed) for kind in TITLES}
    found = {kind: permuted.described(net, controls.task - 1).cpu() for kind, net in nets.items()}
    return Scene(
        shown=NO_PICTURE,
        seen=NO_PICTURE,
        layers=[Layer(kind, TITLES[kind], {"dependency": found[kind]}) for kind in TITLES],
        measures={kind: diagnose.summary(found[kind]) for kind in TITLES},
        extras={
            "tasks": permuted.TASKS,
            "parameters": {kind: sum(p.numel() for p in net.parameters()) for kind, net in nets.items()},
            "generated": sum(nets["chunked"].sizes),
        },
    )


def lesson(scene: Scene, controls: ContinualControls, data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Learn all tasks one after another, with one hypernetwork, and look at every task that was learned now and then."""
    kind = one_of(data, "kind", permuted.KINDS)
    keep = one_of(data, "keep", KEEPING, "L2")
    beta = 0.0 if keep == "none" else number(data, "beta", 0.0, 10.0, 0.3)
    steps, grow = whole(data, "steps", 20, 400, STEPS), whole(data, "grow", 0, 32, 0)
    net = permuted.hypernetwork(kind, controls.seed)
    matrix = torch.full((permuted.TASKS, permuted.TASKS), float("nan"))
    importance: list[dict[str, torch.Tensor]] = []
    learned: list[dict[str, torch.Tensor]] = []  # weights of every task right after it was learned
    for task in range(permuted.TASKS):
        if grow and task == 3 and isinstance(net, RecurrentHyperNet):
            yield {"kind": kind, "grown": _grown(net, grow, task)}
        weigh = importance if keep == "importance" else None
        lessons = permuted.batches(task, steps, seed=controls.seed)
        for done in learn(net, task, permuted.loss, lessons, beta, permuted.RATE, weigh):
            if done.step % LOOKED == LOOKED - 1:
                yield {
                    "kind": kind, "task": task, "step": task * steps + done.step + 1, "steps": permuted.TASKS * steps, "loss": done.loss,
                    "accuracy": permuted.accuracies(net, task + 1), "drift": _drift(net, learned),
                }  # fmt: skip
        learned.append(stored_weights(net, task + 1)[task])
        importance.append(importance_of(learned[-1], permuted.loss, permuted.batches(task, 10, seed=99)))
        matrix[task, : task + 1] = torch.tensor(permuted.accuracies(net, task + 1))
        yield {
            "kind": kind, "task": task, "row": matrix[task, : task + 1].tolist(), "score": _score(matrix[: task + 1, : task + 1]),
            "importance": permuted.on_digit(importance[-1]["layers.0.weight"].mean(0), task).numpy(),
        }  # fmt: skip
    yield {
        "kind": kind,
        "finished": True,
        "chunks": chunks_payload(permuted.described(net, controls.task - 1)),
        **_examined(net, controls.task - 1),
    }


@torch.no_grad()
def _grown(net: RecurrentHyperNet, units: int, learned: int) -> dict[str, Any]:
    """Add units, and say by how much the weights of the learned tasks changed (they must not)."""
    before = stored_weights(net, learned)
    net.grow(units)
    after = stored_weights(net, learned)
    change = max((old[name] - new[name]).abs().max().item() for old, new in zip(before, after, strict=True) for name in old)
    return {"units": units, "hidden": net.hidden, "change": change, "parameters": sum(p.numel() for p in net.parameters())}


@torch.no_grad()
def _drift(net: TaskHyperNet, learned: Sequence[Mapping[str, torch.Tensor]]) -> list[list[float]]:
    """‖W now − W then‖ ÷ ‖W then‖ of every learned task, tensor by tensor."""
    rows = []
    for task, then in enumerate(learned):
        now = net(task).weights
        rows.append([((now[name] - then[name]).norm() / then[name].norm().clamp_min(1e-12)).item() for name in then])
    return rows


def _score(matrix: torch.Tensor) -> dict[str, float]:
    found = TaskAccuracy(matrix)
    return {"final": found.final, "immediate": found.immediate, "forgetting": found.forgetting, "backward": found.backward_transfer}


@torch.no_grad()
def _examined(net: TaskHyperNet, task: int) -> dict[str, Any]:
    """What a nudge of every chunk's embedding costs, and how every two tasks fare between their embeddings."""
    own, generator = net.chunk_embeddings.detach(), torch.Generator().manual_seed(0)
    whole_ = permuted.accuracy(net, task)
    costs = []
    for chunk in range(len(own)):
        moved = own.clone()
        step = torch.randn(own.shape[1], generator=generator)
        moved[chunk] += NUDGE * step / step.norm()
        costs.append(whole_ - permuted.accuracy(net, task, chunk_embeddings=moved))
    pairs = [permuted.between(net, a, b) for a, b in combinations(range(net.num_tasks), 2)]
    return {
        "nudge": {"size": NUDGE, "cost": costs},
        "between": {
            "tasks": [list(pair.tasks) for pair in pairs],
            "share": pairs[0].shares.tolist(),
            "accuracy": [pair.accuracy.tolist() for pair in pairs],
        },
    }


EXHIBIT = Exhibit(
    slug="continual",
    title="Task after task",
    wing=Wing.HYPERNETWORKS,
    idea="One small vector per task, one network that writes every task's weights: what it learned stays if the old weights stay.",
    paper=Paper(
        title="Continual Learning with Dependency Preserving Hypernetworks",
        authors="Dupati Srikar Chandra, Sakshi Varshney, P. K. Srijith, Sunil Gupta",
        venue="WACV 2023",
        url="https://arxiv.org/abs/2209.07712",
        theirs="That a recurrent network writes layer after layer, so that later layers depend on earlier ones, that it can grow, and that old weights are kept.",
        ours=(
            "No code of the paper is published: the RNN hypernetwork here is one after it, its regulariser weighted by importance is ours. The chunked "
            "baseline is von Oswald et al., ICLR 2020. Tasks: shuffled 8 × 8 digits, learned here while you look on."
        ),
    ),
    controls=ContinualControls,
    run=run,
    views=("drift", "task-runs", "between-tasks", "importance", "task-states", "claims"),
    example="",
    folder=Path(__file__).parent,
    cuts=(),
    claims=claims.CONTINUAL,
    pictures=False,
    stream_seconds=180,
    streams={"lesson": lesson},
)
