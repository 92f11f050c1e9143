"""DHT, HyperDrop and HyperCluster: a graph turned inside out, its edges scored, dropped and gathered."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from explorer import runtime
from explorer.diagnostics import dual as measures
from explorer.exhibit import NO_PICTURE, BadRequest, Controls, Exhibit, Intervention, Labeller, Layer, Paper, Scene, Wing
from explorer.exhibits.graph_structure.claims import DHT
from explorer.looking import RANDOM_WEIGHTS
from explorer.views.abstract_graph import SHOWN, graph6
from explorer.views.arrays import pack
from models.capture import capture
from models.graph_structure.dht import HyperCluster, HyperDrop, KeepBest, dual, energies
from models.graph_structure.encodings import LARGEST_DEGREE
from models.graph_structure.formats import read_graph
from models.graph_structure.generators import ORGANISATIONS, generate
from models.graph_structure.layouts import layout
from models.graph_structure.moons import moons
from models.graph_structure.truth import edge_betweenness, with_truth
from models.structures import AbstractGraph, EdgeClusters, EdgeSelection

MOST_EDGES = 600
STEPS, PER_FRAME = 600, 10
STARTS = 3


class DualControls(Controls):
    """Which graph is turned inside out, and how many of its edges a network may keep."""

    source: Literal["cyclic", "geometric", "hierarchical", "community", "bottleneck", "multicore", "two moons", "my own"] = Field(
        "bottleneck", title="Graph", description="A family of the arena, points of two crescents joined to their neighbours, or yours"
    )
    nodes: int = Field(
        24,
        ge=12,
        le=60,
        title="Nodes",
        description="Few, so that every edge can be followed",
        json_schema_extra={"when": {"source": [*ORGANISATIONS, "two moons"]}},
    )
    seed: int = Field(
        3,
        ge=0,
        le=999,
        title="Dice",
        description="Another graph of the same kind",
        json_schema_extra={"when": {"source": [*ORGANISATIONS, "two moons"]}},
    )
    graph: str = Field(
        "", max_length=20_000, title="Edge list, GraphML or graph6", description="One pair of names per line, or a graph in a format of the field",
        json_schema_extra={"lines": 4, "placeholder": "0 1\n1 2\n2 0", "when": {"source": "my own"}},
    )  # fmt: skip
    ratio: float = Field(
        0.8,
        ge=0.1,
        le=1,
        title="Edges kept per layer",
        description="HyperDrop keeps this share of the edges, by score; the network was trained with 0.8",
        json_schema_extra={"step": 0.05},
    )
    directions: Literal["both together", "each for itself"] = Field(
        "both together", title="Directions of an edge", description="As released, each direction is chosen for itself, so an odd count keeps one direction of an edge",
        json_schema_extra={"advanced": True},
    )  # fmt: skip


def chosen_graph(controls: DualControls) -> tuple[AbstractGraph, Tensor | None]:
    """The graph, and for the two moons the kind of every edge (inside the first crescent, inside the second, across), [m]."""
    if controls.source == "my own":
        if not controls.graph.strip():
            raise BadRequest("there is no graph yet: paste an edge list, or choose another kind")
        graph = read_graph(controls.graph)[0]
        return replace(graph, positions={SHOWN: _places(graph)}), None
    rng = np.random.default_rng([11, controls.seed])
    if controls.source == "two moons":
        graph, kinds = moons(controls.nodes, rng)
        return replace(graph, positions={SHOWN: graph.positions["points"]}), kinds
    graph = generate(controls.source, controls.nodes, rng, **({"width": 1, "groups": 3} if controls.source == "bottleneck" else {}))
    return replace(graph, positions={SHOWN: _places(graph)}), None


def _places(graph: AbstractGraph) -> Tensor:
    try:
        return layout(graph, "kamada-kawai")
    except ValueError:
        return layout(graph, "forceatlas2")


def run(shown: np.ndarray, controls: DualControls, cuts: Sequence[Intervention], labeller: Labeller) -> Scene:
    """The dual of a graph, and what HyperDrop keeps of its edges on the way to its answer."""
    graph, kinds = chosen_graph(controls)
    graph = _without(graph, cuts)
    if not graph.num_edges:
        raise BadRequest("the graph has no edge; turning it inside out needs at least one")
    if graph.num_edges > MOST_EDGES:
        raise BadRequest(f"the graph has {graph.num_edges} edges; up to {MOST_EDGES} can be followed here")
    graph = with_truth(graph, symmetries=False)
    inside_out = dual(graph.edges.T.contiguous(), graph.num_nodes, edge_features=None if kinds is None else F.one_hot(kinds, 3).float())
    selections, log_probability, trained = dropped(graph, controls)
    labels = ORGANISATIONS
    order = log_probability.argsort(descending=True).tolist()
    between = edge_betweenness(graph)
    return Scene(
        shown=NO_PICTURE,
        seen=NO_PICTURE,
        layers=[
            Layer(
                "dual",
                f"{controls.source.capitalize()} · {graph.num_nodes} nodes, {graph.num_edges} edges",
                {"dual": inside_out, "graph": graph, **{f"drop {i}": found for i, found in enumerate(selections, 1)}},
            )
        ],
        prediction=[(labels[i], float(log_probability[i].exp())) for i in order],
        measures={"dual": measures.summary(graph, inside_out, selections, between)},
        notes=() if trained else (RANDOM_WEIGHTS,),
        extras={
            "graph6": graph6(graph),
            "betweenness": between.float().numpy(),
            "line": measures.line_graph_edges(graph),
            "kinds": ["inside the first crescent", "inside the second", "across"] if kinds is not None else None,
        },
    )


def _without(graph: AbstractGraph, cuts: Sequence[Intervention]) -> AbstractGraph:
    """The graph without the edges that the visitor cut, by their numbers."""
    gone = {number for cut in cuts for number, _ in cut.pairs}
    if any(not 0 <= number < graph.num_edges for number in gone):
        raise BadRequest(f"an edge to cut does not exist; the edges are 0 to {graph.num_edges - 1}")
    kept = [edge for number, edge in enumerate(graph.edges.tolist()) if number not in gone]
    return replace(AbstractGraph.from_edges(kept, graph.num_nodes, graph.family), positions=graph.positions) if gone else graph


def dropped(graph: AbstractGraph, controls: DualControls) -> tuple[list[EdgeSelection], Tensor, bool]:
    """The selections of HyperDrop, its log-probabilities [6], and whether its weights are trained."""
    loaded = runtime.model("topology_hyperdrop")
    model = copy.deepcopy(loaded.model).cpu()  # another visitor may ask for another share at the same time
    assert isinstance(model, HyperDrop)
    for number in range(len(model.drops)):
        model.drops[number] = KeepBest(controls.ratio, controls.directions == "both together")
    degree = F.one_hot(graph.degrees().clamp(max=LARGEST_DEGREE), LARGEST_DEGREE + 1).float()
    with torch.inference_mode(), capture(model) as trace:
        found = model(degree, graph.edge_index, torch.zeros(graph.num_nodes, dtype=torch.int64))
    trace.require_finite()
    return [s.cpu() for s in trace.structures.values() if isinstance(s, EdgeSelection)], found[0], loaded.trained


def energy(scene: Scene, controls: DualControls, data: Mapping[str, Any]) -> dict[str, Any]:
    """How alike the nodes become in a deep network with random weights, when edges are dropped on the way and when all are kept.

    data: layers, 2 to 32. Means over three starts; weights are the same with and without dropping.
    """
    layers = data.get("layers", 16)
    if type(layers) is not int or not 2 <= layers <= 32:
        raise BadRequest("layers must be a whole number from 2 to 32")
    graph = scene.layers[0].structures["graph"]
    assert isinstance(graph, AbstractGraph)
    degree = F.one_hot(graph.degrees().clamp(max=LARGEST_DEGREE), LARGEST_DEGREE + 1).float()
    found: dict[str, list[list[float]]] = {"dropping": [], "keeping": []}
    for start in range(STARTS):
        for name, ratio in (("dropping", controls.ratio), ("keeping", 1.0)):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(start)
                model = HyperDrop(LARGEST_DEGREE + 1, 1, len(ORGANISATIONS), hidden=32, layers=layers, ratio=ratio).eval()
            found[name].append(energies(model, degree, graph.edge_index))
    return {"layers": layers, "ratio": controls.ratio, **{name: _means(rows) for name, rows in found.items()}}


def _means(rows: list[list[float]]) -> list[float | None]:
    """By layer, over the starts whose features have not died out; None where all have."""
    known = [[value for value in column if np.isfinite(value)] for column in zip(*rows, strict=True)]
    return [round(float(np.mean(values)), 6) if values else None for values in known]


# -------------------------------------------------------------------------------------------------------- learned live


def gather(scene: Scene, controls: DualControls, data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """HyperCluster learns to rebuild the kind of every edge from a few clusters, before the visitor's eyes.

    data: clusters, 1 to 12. The kinds are those of the two moons; of other graphs, bridges, edges of triangles and the rest.
    """
    clusters = data.get("clusters", 4)
    if type(clusters) is not int or not 1 <= clusters <= 12:
        raise BadRequest("clusters must be a whole number from 1 to 12")
    graph = scene.layers[0].structures["graph"]
    assert isinstance(graph, AbstractGraph)
    kinds, names = _kinds(scene, graph)
    features = F.one_hot(torch.cat([kinds, kinds]), 3).float()
    stacked = torch.zeros(graph.num_nodes, dtype=torch.int64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(controls.seed)
        model = HyperCluster(3, clusters, hidden=32)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    target = features.argmax(1)
    for step in range(STEPS):
        with capture(model) as trace:
            logits = model(features, graph.edge_index, stacked)
        loss = F.cross_entropy(logits, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % PER_FRAME == 0 or step == STEPS - 1:
            yield _frame(step, loss, logits, target, trace.structures, graph, names)


def _frame(
    step: int, loss: Tensor, logits: Tensor, target: Tensor, found: Mapping[str, Any], graph: AbstractGraph, names: Sequence[str]
) -> dict[str, Any]:
    shares = next(s for s in found.values() if isinstance(s, EdgeClusters)).share[0].detach()
    half = graph.num_edges
    share = (shares[:, :half] + shares[:, half : 2 * half]) / 2  # both directions of an edge see the same
    right = (logits.detach().argmax(1) == target)[:half]
    return {
        "step": step,
        "steps": STEPS,
        "loss": float(loss.detach()),
        "accuracy": float(right.double().mean()),
        "cluster": pack(share.argmax(0).numpy(), "u8"),
        "sure": pack(share.max(0).values.numpy(), "f32"),
        "right": pack(right.numpy(), "u8"),
        "kinds": list(names),
    }


def _kinds(scene: Scene, graph: AbstractGraph) -> tuple[Tensor, Sequence[str]]:
    dual_features = getattr(scene.layers[0].structures["dual"], "node_features", None)
    if dual_features is not None:
        return dual_features.argmax(1), scene.extras["kinds"]
    assert graph.truth is not None
    u, v = graph.edges.T
    adjacency = graph.adjacency()
    closed = (adjacency[u] * adjacency[v]).sum(1) > 0
    return torch.where(graph.truth.is_bridge, 0, torch.where(closed, 1, 2)), ("bridge", "side of a triangle", "other")


EXHIBIT = Exhibit(
    slug="inside-out",
    title="A graph inside out",
    wing=Wing.STRUCTURE,
    idea="Every edge becomes a node and every node a group: nothing is lost, and edges can be learned, scored and dropped like nodes.",
    paper=Paper(
        title="Edge Representation Learning with Hypergraphs",
        authors="Jaehyeong Jo, Jinheon Baek, Seul Lee, Dongki Kim, Minki Kang, Sung Ju Hwang",
        venue="NeurIPS 2021, arXiv 2106.15845",
        url="https://arxiv.org/abs/2106.15845",
        theirs="the dual hypergraph transformation, HyperDrop and HyperCluster; names and arithmetic of the released code",
        ours="the morph, the choice among undirected edges (the released one is a switch), a network trained on the six organisations of the arena, clusters learned live",
    ),
    controls=DualControls,
    run=run,
    views=("dual-incidence", "dual-kept", "dual-energy", "dual-clusters", "claims"),
    example="",
    folder=Path(__file__).parent,
    cuts=("edge",),
    pictures=False,
    claims=DHT,
    questions={"energy": energy},
    streams={"gather": gather},
)
