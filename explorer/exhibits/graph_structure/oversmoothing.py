"""DAGNN against GCN: what becomes of node features that are carried along the edges again and again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from explorer import examples, runtime, segments
from explorer.diagnostics import deep_nodes
from explorer.diagnostics.abstract_graph import pieces
from explorer.exhibit import NO_PICTURE, BadRequest, Controls, Exhibit, Intervention, Labeller, Layer, Paper, Scene, Wing
from explorer.exhibits.graph_structure.claims import DAGNN as DAGNN_CLAIMS
from explorer.views.arrays import pack, pack_scaled
from explorer.views.deep_nodes import places
from models.capture import capture
from models.graph_structure.dagnn import DAGNN, DeepGCN, normalised
from models.graph_structure.node_problems import NodeProblem, block_model, problem_from
from models.image_graphs.constructors import AxialStatic, DilatedKNN
from models.image_graphs.raw_features import raw_features
from models.structures import AbstractGraph, NodeStates, Propagation

EPOCHS, PER_FRAME = 120, 4
DEPTHS = (2, 4, 8, 16, 32)
PENALTY = {"dagnn": 5e-3, "gcn": 5e-4}


GRID = (14, 14)
ORDERED: dict[str, Any] = {"when": {"source": "made to order"}}
PATCHES: dict[str, Any] = {"when": {"source": "patches of a picture"}}


class DepthControls(Controls):
    """A made-up network of nodes in classes, and how often features are carried on."""

    source: Literal["made to order", "patches of a picture"] = Field(
        "made to order", title="Network", description="Nodes in classes as you like them, or the patches of a picture; their classes are what they show"
    )  # fmt: skip
    picture: Literal["bus", "bear", "horses", "apples", "kitten", "cup"] = Field(
        "bus", title="Picture", description="14 × 14 patches; a patch knows its colours and slopes", json_schema_extra=PATCHES
    )
    rule: Literal["grid", "nearest", "fixed axes"] = Field(
        "nearest",
        title="Patches are joined",
        description="To the four beside them; to the most alike (as ViG does); to every second of their row and column (as MobileViG does)",
        json_schema_extra=PATCHES,
    )
    k: int = Field(
        6,
        ge=1,
        le=16,
        title="Neighbours k",
        description="How many of the most alike",
        json_schema_extra={"when": {"source": "patches of a picture", "rule": "nearest"}},
    )
    homophily: float = Field(
        0.8,
        ge=0,
        le=1,
        title="Edges inside a class",
        description="1: every edge joins two nodes of a class; 1/classes: edges know nothing of classes",
        json_schema_extra={"step": 0.05, **ORDERED},
    )
    degree: float = Field(
        5.0, ge=2, le=12, title="Neighbours per node", description="On average", json_schema_extra={"step": 0.5, **ORDERED}
    )
    signal: float = Field(
        1.5,
        ge=0.5,
        le=4,
        title="Signal",
        description="How far the classes lie apart in their features; the noise of each feature is 1",
        json_schema_extra={"step": 0.25, **ORDERED},
    )
    classes: int = Field(4, ge=2, le=6, title="Classes", description="Groups of equal size", json_schema_extra=ORDERED)
    nodes: Literal[120, 240, 360] = Field(
        240, title="Nodes", description="10 of each class are told in training", json_schema_extra=ORDERED
    )
    steps: int = Field(64, ge=8, le=200, title="Steps", description="How often the features are carried along the edges")
    seed: int = Field(0, ge=0, le=999, title="Dice", description="Another network of the same kind")


def problem_of(controls: DepthControls) -> NodeProblem:
    if controls.source == "patches of a picture":
        return patches_of(controls)
    return block_model(
        num_nodes=controls.nodes, classes=controls.classes, degree=controls.degree, homophily=controls.homophily, signal=controls.signal,
        labelled=10, seed=controls.seed,
    )  # fmt: skip


def patches_of(controls: DepthControls) -> NodeProblem:
    """The patches of a picture, joined by a rule; the class of a patch is the annotated segment that it shows most of."""
    features = raw_features(examples.picture(controls.picture), GRID)
    if controls.rule == "grid":
        number = torch.arange(GRID[0] * GRID[1]).view(GRID)
        edges = torch.cat([torch.stack([number[:, 1:], number[:, :-1]]).flatten(1), torch.stack([number[1:], number[:-1]]).flatten(1)], 1)
    else:
        rule = DilatedKNN(controls.k, include_self=False) if controls.rule == "nearest" else AxialStatic(2)
        edges = rule.eval()(features).edge_index()
    found = segments.for_example(controls.picture)(GRID)
    assert found is not None  # these pictures are annotated
    shown = torch.from_numpy(found[0]).long()
    label = shown.unique(return_inverse=True)[1]
    rare = torch.bincount(label)[label] < 4
    label = torch.where(rare, label.mode().values, label).unique(return_inverse=True)[
        1
    ]  # a class needs nodes to learn from and to be asked
    return problem_from(features[0].flatten(1).T.contiguous(), edges, label, seed=controls.seed)


def run(shown: np.ndarray, controls: DepthControls, cuts: Sequence[Intervention], labeller: Labeller) -> Scene:
    """The features of the nodes after every step of plain propagation: no weights, nothing learned."""
    problem = problem_of(controls)
    classes = int(problem.label.max()) + 1
    hops = propagated(problem, controls.steps)
    features = torch.stack([problem.label.float(), problem.train.float()], 1)
    graph = AbstractGraph(problem.edge_index, len(problem.label), node_features=features, family="block model")
    return Scene(
        shown=NO_PICTURE,
        seen=NO_PICTURE,
        layers=[
            Layer(
                "hops",
                f"{graph.num_nodes} {'nodes' if controls.source == 'made to order' else 'patches'}, {graph.num_edges} edges · features carried {controls.steps} times",
                {"hops": hops, "graph": graph},
            )
        ],
        measures={"hops": deep_nodes.summary(hops, problem.label, problem.edge_index)},
        extras={"depths": list(DEPTHS), "cora": _cora(), "classes": classes, "pieces": pieces(graph)},
    )


def propagated(problem: NodeProblem, steps: int) -> Propagation:
    """X, ÂX, Â²X, …, [N, steps + 1, F]; the gates are all 1."""
    links, weight = normalised(problem.x, problem.edge_index)
    hops = [problem.x]
    for _ in range(steps):
        hops.append(links.sum(hops[-1], weight))
    return Propagation(torch.stack(hops, 1), torch.ones(len(problem.x), steps + 1))


def _cora() -> dict[str, Any] | None:
    """What the model card of the network trained on the citation network Cora tells; None before it is trained."""
    loaded = runtime.model("dagnn_cora")
    return (
        {key: loaded.card[key] for key in ("measured", "race", "spread", "test_accuracy") if key in loaded.card} if loaded.trained else None
    )


# -------------------------------------------------------------------------------------------------------- learned live


def train(scene: Scene, controls: DepthControls, data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One network learns the classes of the nodes that were told, from scratch.

    data: kind ("gcn" or "dagnn"), depth (one of 2, 4, 8, 16, 32: layers of a GCN, steps of DAGNN).
    """
    kind, depth = data.get("kind"), data.get("depth")
    if kind not in PENALTY:
        raise BadRequest(f"the network must be one of {', '.join(PENALTY)}")
    if type(depth) is not int or depth not in DEPTHS:
        raise BadRequest(f"the depth must be one of {', '.join(map(str, DEPTHS))}")
    problem = problem_of(controls)
    model = _built(kind, depth, problem, controls.seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=PENALTY[kind])
    generator_state = torch.random.get_rng_state()
    for epoch in range(EPOCHS):
        model.train()
        loss = F.nll_loss(model(problem.x, problem.edge_index)[problem.train], problem.label[problem.train])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if epoch % PER_FRAME == 0 or epoch == EPOCHS - 1:
            yield {
                "kind": kind,
                "depth": depth,
                "epoch": epoch,
                "epochs": EPOCHS,
                "loss": float(loss.detach()),
                **_seen(model, problem, epoch == EPOCHS - 1),
            }
    torch.random.set_rng_state(generator_state)


def _built(kind: str, depth: int, problem: NodeProblem, seed: int) -> nn.Module:
    features, classes = problem.x.shape[1], int(problem.label.max()) + 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind == "dagnn":
            return DAGNN(features, classes, hidden=32, steps=depth, dropout=0.5)
        return DeepGCN(features, classes, hidden=32, layers=depth, dropout=0.5)


@torch.no_grad()
def _seen(model: nn.Module, problem: NodeProblem, last: bool) -> dict[str, Any]:
    """Accuracies now; at the end also where the nodes lie after every layer or hop, their smoothness, and DAGNN's gates."""
    model.eval()
    with capture(model) as trace:
        answer = model(problem.x, problem.edge_index).argmax(1)
    right = answer == problem.label
    found: dict[str, Any] = {"test": float(right[problem.test].double().mean()), "told": float(right[problem.train].double().mean())}
    if not last:
        return found
    structures = list(trace.structures.values())
    own = next((s for s in structures if isinstance(s, Propagation)), None)
    if own is not None:
        steps, rough = places(own.hops)[0], own.roughness().tolist()
        alone = [
            float((own.hops[problem.test, k].argmax(1) == problem.label[problem.test]).double().mean()) for k in range(own.hops.shape[1])
        ]
        found |= {"gate": pack_scaled(own.gate.numpy(), 8), "alone": alone}
        # what each hop says, so that the page can close hops and answer anew by itself
        found |= {"says": pack_scaled(own.hops.numpy(), 8), "asked": pack(problem.test.numpy(), "u8")}
    else:
        states = [s.values for s in structures if isinstance(s, NodeStates)]
        steps, rough = _by_layer(states)
    return {**found, "steps": pack_scaled(steps, 16), "rough": rough, "right": pack(right.numpy(), "u8")}


def _by_layer(states: Sequence[Tensor]) -> tuple[np.ndarray, list[float]]:
    """Places and smoothness of the layers of a GCN; the last layer has another width, so it gets axes of its own."""
    hidden = torch.stack(list(states[:-1]), 1)
    whole = torch.ones(len(hidden), hidden.shape[1])
    ends = states[-1][:, None]
    steps = np.concatenate([places(hidden)[0], places(ends)[0]])
    rough = [*Propagation(hidden, whole).roughness().tolist(), *Propagation(ends, whole[:, :1]).roughness().tolist()]
    return steps, rough


EXHIBIT = Exhibit(
    slug="over-smoothing",
    title="How deep may it be?",
    wing=Wing.STRUCTURE,
    idea="Averaging over neighbours again and again makes all nodes alike; a network that weighs its own hops can still go deep.",
    paper=Paper(
        title="Towards Deeper Graph Neural Networks",
        authors="Meng Liu, Hongyang Gao, Shuiwang Ji",
        venue="KDD 2020, arXiv 2007.09296",
        url="https://arxiv.org/abs/2007.09296",
        theirs="DAGNN: features are transformed once, carried along the edges K times, and every node gates its own hops; the measure of smoothness",
        ours="a network of classes made to order, on which GCN and DAGNN learn live; on the citation network Cora the figures come from the model card",
    ),
    controls=DepthControls,
    run=run,
    views=("depth-smooth", "depth-race", "depth-gates", "claims"),
    example="",
    folder=Path(__file__).parent,
    cuts=(),
    pictures=False,
    claims=DAGNN_CLAIMS,
    streams={"train": train},
)
