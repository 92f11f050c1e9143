"""GraphAbstract: the same question to networks that look at a drawing of a graph and to networks that read its edges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field

from explorer import runtime
from explorer.diagnostics import abstract_graph
from explorer.exhibit import NO_PICTURE, BadRequest, Controls, Exhibit, Intervention, Labeller, Layer, Paper, Scene, Wing
from explorer.exhibits.graph_structure import own_eyes
from explorer.exhibits.graph_structure.claims import GRAPHABSTRACT
from explorer.exhibits.graph_structure.contestants import (
    SIDE,
    USUAL_LAYOUT,
    Contestant,
    agreement,
    contestant,
    contestants,
    described,
    drawings,
    layouts_read,
    logits_of,
    looked,
    network,
    read,
)
from explorer.views.abstract_graph import SHOWN, graph6
from explorer.views.arrays import pack
from models import attribution as pixels
from models.capture import alone, capture
from models.graph_structure.attribution import along_edges, knock_out_of_drawing, knock_out_of_network, weight_gradients
from models.graph_structure.formats import read_graph, read_places
from models.graph_structure.generators import LEAST_NODES, TASKS, generate, sample
from models.graph_structure.gnn import GraphNetwork, VirtualNodeGIN
from models.graph_structure.layouts import LAYOUTS, MOST_EDGES, layout
from models.graph_structure.rasteriser import as_input
from models.graph_structure.truth import block_cut_tree, edge_betweenness, with_truth
from models.graph_structure.virtual_node import attention_in_rounds, elu_features, gather, random_features, scatter
from models.structures import AbstractGraph, NodeStates

UNTRAINED = (
    "Networks without trained weights here: {count} of {all}. They answer at random; python -m training.graph_structure trains them."
)
MOST_TEXT = 20_000
MOST_KNOCKED_OUT, MOST_EDGES_READ = 250, 200_000  # edges that are left out in turn, and edges of all the graphs that this makes
MOST_COMPARED = 150  # nodes; of larger graphs only the layouts that take no time stand beside the one on show
QUICK = ("spectral", "circular")
MOST_OF_OWN = 32  # edges knocked out of a model of the visitor's, which may be large
BANDS = {"as trained": "id", "near": "near", "far": "far"}
SLIDERS = {  # control → family → its parameter
    "ring": {"cyclic": "radius"},
    "reach": {"geometric": "radius"},
    "levels": {"hierarchical": "levels"},
    "groups": {"community": "groups", "mixed blocks": "groups"},
    "between": {"community": "between"},
    "blocks": {"bottleneck": "groups"},
    "width": {"bottleneck": "width"},
    "cores": {"multicore": "cores"},
    "mixing": dict.fromkeys(("dumbbell", "mixed blocks", "mixed geometric", "rewired"), "mixing"),
}


def _of(*families: str) -> dict[str, Any]:
    return {"when": {"source": "a family", "family": list(families)}}


class GraphAbstractControls(Controls):
    """Which question, about which graph, drawn how."""

    task: Literal["topology", "symmetry", "gap", "bridges"] = Field(
        "topology",
        title="Question",
        description="Which of six organisations; is there a symmetry; how large is the spectral gap; how many bridges?",
    )
    source: Literal["a test graph", "a family", "my own"] = Field(
        "a test graph", title="Graph", description="One that no network was trained on, one made to order, or yours (drawn or pasted)"
    )
    band: Literal["as trained", "near", "far"] = Field(
        "near", title="Size", description="As trained: 20–50 nodes (symmetry: 30–60); near: up to 100; far: up to 150, larger than any in training",
        json_schema_extra={"when": {"source": "a test graph"}},
    )  # fmt: skip
    number: int = Field(
        4,
        ge=0,
        le=249,
        title="Test graph",
        description="Always the same graph for the same number",
        json_schema_extra={"when": {"source": "a test graph"}},
    )
    family: Literal[
        "cyclic", "geometric", "hierarchical", "community", "bottleneck", "multicore", "dumbbell", "mixed blocks", "mixed geometric", "rewired",
        "circulant", "double cover", "product", "real product", "cyclic cover", "swapped", "asymmetric product",
    ] = Field("bottleneck", title="Family", description="How the graph is organised", json_schema_extra={"when": {"source": "a family"}})  # fmt: skip
    nodes: int = Field(
        40,
        ge=LEAST_NODES,
        le=300,
        title="Nodes",
        description="Products and covers have about this many; no network was trained beyond 60",
        json_schema_extra={"when": {"source": "a family"}},
    )
    ring: float = Field(
        0.65, ge=0.5, le=0.8, title="Reach along the ring", description="Nodes closer than this are joined", json_schema_extra=_of("cyclic")
    )
    reach: float = Field(
        0.2, ge=0.15, le=0.25, title="Reach", description="Nodes closer than this are joined", json_schema_extra=_of("geometric")
    )
    levels: int = Field(3, ge=2, le=4, title="Levels", description="From the top to the bottom", json_schema_extra=_of("hierarchical"))
    groups: int = Field(
        4, ge=3, le=5, title="Groups", description="Nodes of a group know each other", json_schema_extra=_of("community", "mixed blocks")
    )
    between: float = Field(
        0.03, ge=0.01, le=0.05, title="Edges between groups", description="Probability of each", json_schema_extra=_of("community")
    )
    blocks: int = Field(
        3, ge=2, le=4, title="Groups in a row", description="Joined by narrow passages", json_schema_extra=_of("bottleneck")
    )
    width: int = Field(
        1,
        ge=1,
        le=3,
        title="Width of a passage",
        description="Edges; with 1, each passage is a bridge",
        json_schema_extra=_of("bottleneck"),
    )
    cores: int = Field(2, ge=2, le=3, title="Cores", description="Dense groups that the others hang on", json_schema_extra=_of("multicore"))
    mixing: float = Field(
        0.2,
        ge=0,
        le=0.8,
        title="Mixing",
        description="How much groups are mixed: 0 is a bottleneck, 0.8 nearly none",
        json_schema_extra=_of(*SLIDERS["mixing"]),
    )
    seed: int = Field(
        0, ge=0, le=999, title="Dice", description="Another graph of the same family", json_schema_extra={"when": {"source": "a family"}}
    )
    layout: Literal["usual", "kamada-kawai", "forceatlas2", "spectral", "circular"] = Field(
        "usual", title="Layout", description="Where the nodes go; “usual” is the one that the looking networks were trained on"
    )
    graph: str = Field(
        "", max_length=MOST_TEXT, title="Edge list, GraphML or graph6", description="One pair of names per line, or a graph in a format of the field",
        json_schema_extra={"lines": 4, "placeholder": "0 1\n1 2\n2 0", "when": {"source": "my own"}},
    )  # fmt: skip
    places: str = Field(
        "",
        max_length=1_300,
        title="Places",
        description="Where you put the nodes, as the page writes it",
        json_schema_extra={"when": {"task": []}},
    )


# ------------------------------------------------------------------------------------------------------------ the graph


def chosen_graph(controls: GraphAbstractControls) -> tuple[AbstractGraph, float | None, list[str]]:
    """The graph that the controls ask for, the class that a generator was told to make (topology only), and remarks."""
    if controls.source == "my own":
        if not controls.graph.strip():
            raise BadRequest("there is no graph yet: paste one, or take another graph and change it by hand")
        graph, names = read_graph(controls.graph)
        named = (
            [f"Nodes are numbered in the order of your names: 0 is {names[0][:30]}."]
            if names != [str(i) for i in range(len(names))]
            else []
        )
        return graph, None, named
    if controls.source == "a test graph":
        drawn = sample(controls.task, BANDS[controls.band], controls.number)
        return drawn.graph, drawn.target if controls.task == "topology" else None, []
    rng = np.random.default_rng([7, controls.seed])
    given = {
        parameter: getattr(controls, name)
        for name, families in SLIDERS.items()
        for family, parameter in families.items()
        if family == controls.family
    }
    graph = generate(controls.family, controls.nodes, rng, **given)
    classes = TASKS["topology"].classes
    intended = float(classes.index(controls.family)) if controls.task == "topology" and controls.family in classes else None
    return graph, intended, []


def layout_name(controls: GraphAbstractControls) -> str:
    return USUAL_LAYOUT[controls.task] if controls.layout == "usual" else controls.layout


def placed(graph: AbstractGraph, controls: GraphAbstractControls) -> tuple[AbstractGraph, list[str]]:
    """The graph with its places under every layout that can be made, and under "drawing" the ones on show; remarks."""
    if graph.num_edges > MOST_EDGES:
        raise BadRequest(
            f"this graph of {graph.num_nodes} nodes has {graph.num_edges} edges; up to {MOST_EDGES} are drawn, so take fewer nodes"
        )
    name, remarks, found = layout_name(controls), [], {}
    for one in LAYOUTS if graph.num_nodes <= MOST_COMPARED else dict.fromkeys((*QUICK, name)):
        try:
            found[one] = layout(graph, one)
        except ValueError as error:
            if one == name:
                remarks.append(f"{str(error)[0].upper()}{str(error)[1:]}. ForceAtlas2 is shown instead.")
    if name not in found:
        found[name := "forceatlas2"] = layout(graph, "forceatlas2")
    base = found[name]
    own = read_places(controls.places, graph.num_nodes, tied_to(graph, controls))
    return replace(graph, positions={SHOWN: base if own is None else own, **found}), remarks


def tied_to(graph: AbstractGraph, controls: GraphAbstractControls) -> str:
    """What places set by hand belong to: this graph in this layout."""
    return f"{graph6(graph)}|{layout_name(controls)}"


def run(shown: np.ndarray, controls: GraphAbstractControls, cuts: Sequence[Intervention], labeller: Labeller) -> Scene:
    """One graph, its truth, and what every network of the task says of it."""
    plain, intended, remarks = chosen_graph(controls)
    graph, moved = placed(with_truth(plain), controls)
    seen = drawings(graph, graph.positions[SHOWN])
    answers = {**looked(controls.task, seen), **read(controls.task, graph)}
    known = described(controls.task)
    random = sum(not one["trained"] for one in known if "own" not in one)
    notes = [UNTRAINED.format(count=random, all=sum("own" not in one for one in known))] if random else []
    return Scene(
        shown=NO_PICTURE,
        seen=NO_PICTURE,
        layers=[Layer("graph", _label(graph, controls), {"graph": graph, "drawing": seen[True]})],
        measures={"graph": abstract_graph.summary(graph, seen[True])},
        notes=(*notes, *remarks, *moved),
        extras={
            "task": controls.task,
            "classes": list(TASKS[controls.task].classes),
            "intended": intended,
            "right": truth_of(controls.task, graph, intended),
            "answers": answers,
            "contestants": known,
            "layouts": {name: {**one, "picture": pack(one["picture"], "u8")} for name, one in layouts_read(controls.task, graph).items()},
            "layout": layout_name(controls),
            "tied": graph6(graph),
            "bands": {band: [found.least, found.most] for band, found in TASKS[controls.task].bands.items()},
            "agreement": agreement(controls.task),
            "blocks": list(block_cut_tree(graph)),
            "betweenness": edge_betweenness(graph).float().numpy() if graph.num_edges else None,
        },
    )


def virtual(scene: Scene, controls: GraphAbstractControls, data: Mapping[str, Any]) -> dict[str, Any]:
    """What one node that is joined to all others can do for attention on this graph (Cai et al., ICML 2023).

    data: features (of the random feature map, 4 to 1024), scale (length of queries and keys, 0.1 to 2).
    Queries, keys and values are random, 8 wide, the same for the same number of nodes.
    """
    features, scale = data.get("features", 64), data.get("scale", 1.0)
    if type(features) is not int or not 4 <= features <= 1024:
        raise BadRequest("features must be a whole number from 4 to 1024")
    if type(scale) not in (int, float) or not 0.1 <= scale <= 2:
        raise BadRequest("scale must be a number from 0.1 to 2")
    n = _graph(scene).num_nodes
    generator = torch.Generator().manual_seed(0)
    queries, keys, values = torch.randn(3, n, 8, generator=generator, dtype=torch.float64)
    queries, keys = queries * scale, keys * scale
    exact = (queries @ keys.T / 8**0.5).softmax(1) @ values
    rounds = [_off(out, exact) for out in attention_in_rounds(queries, keys, values)]
    feature_map = random_features(8, features, generator)
    guessed = scatter(queries, *gather(keys, values, feature_map), feature_map)
    kernel = elu_features(queries) @ elu_features(keys).T
    linear = (kernel / kernel.sum(1, keepdim=True)) @ values
    passed = scatter(queries, *gather(keys, values, elu_features), elu_features)
    return {
        "nodes": n,
        "rounds": [float(f"{value:.4g}") for value in rounds],
        "linear": _off(passed, linear),
        "random": _off(guessed, exact),
        "memory": [features, 8],
        "dominance": _dominance(_graph(scene), controls.task),
    }


def _off(found: torch.Tensor, right: torch.Tensor) -> float:
    return float((found - right).norm() / right.norm())


def _dominance(graph: AbstractGraph, task: str) -> list[float] | None:
    """‖state of the virtual node‖ over the mean ‖node‖, after each layer but the last; None where no trained network has one."""
    name = f"{task}_mpnn_vn"
    if all(one.name != name for one in contestants(task)) or not runtime.model(name).trained:
        return None
    model = runtime.model(name).model
    assert isinstance(model, VirtualNodeGIN)

    def seen(module: Any, inputs: Any, output: torch.Tensor) -> NodeStates:
        return NodeStates(output, torch.zeros(len(output), dtype=torch.int64))

    with capture(model, adapters={"virtual.dropout": seen}) as trace:
        logits_of(model, graph)
    states = [found.values.norm(dim=1).mean() for key, found in trace.of(NodeStates).items() if key.startswith("virtual.dropout")]
    nodes = [found.values.norm(dim=1).mean() for key, found in trace.of(NodeStates).items() if key.startswith("stages")]
    return [round(float(state / node), 3) for state, node in zip(states, nodes, strict=False)]


def truth_of(task: str, graph: AbstractGraph, intended: float | None) -> float | None:
    """The right answer: the number of the class, or the number asked for; None where there is none (or none was found)."""
    truth = graph.truth
    assert truth is not None
    if task == "symmetry":
        return None if truth.is_symmetric is None else float(truth.is_symmetric)
    return {"gap": truth.spectral_gap, "bridges": float(truth.bridges)}.get(task, intended)


def _label(graph: AbstractGraph, controls: GraphAbstractControls) -> str:
    size = f"{graph.num_nodes} nodes, {graph.num_edges} edges"
    if controls.source == "a test graph":
        return f"Test graph {controls.number} · {size}"
    return f"{'Your graph' if controls.source == 'my own' else controls.family.capitalize()} · {size}"


# ---------------------------------------------------------------------------------------------- questions of the page


def look(scene: Scene, controls: GraphAbstractControls, data: Mapping[str, Any]) -> dict[str, Any]:
    """What the looking networks say while nodes are being moved. The others are not asked: they do not get the places."""
    graph = _graph(scene)
    seen = drawings(graph, _places(graph, controls, data))
    return {"answers": looked(controls.task, seen), "picture": pack(seen[True].image.numpy(), "u8")}


def explain(scene: Scene, controls: GraphAbstractControls, data: Mapping[str, Any]) -> dict[str, Any]:
    """Which edges the answer of one network rests on.

    data: contestant, method ("knock-out", "gradients", "integrated gradients", "occlusion", "grad-cam"), target (number of a class).
    """
    graph, one = _graph(scene), contestant(controls.task, data.get("contestant", ""))
    answer = scene.extras["answers"].get(one.name)
    if answer is None or one.layout is not None:
        raise BadRequest("this network does not look at the drawing on show, so it cannot be asked about it")
    if not graph.num_edges:
        raise BadRequest("the graph has no edge to ask about; draw one")
    target = data.get("target")
    if target is None:
        target = int(np.argmax(answer))
    if type(target) is not int or not 0 <= target < len(answer):
        raise BadRequest(f"the class must be a number from 0 to {len(answer) - 1}")
    values, picture = _explained(one, graph, _places(graph, controls, data), controls.task, data.get("method"), target)
    return {
        "contestant": one.name,
        "method": data.get("method"),
        "target": target,
        "edges": pack(np.nan_to_num(values, nan=-9e9), "f32"),
        "picture": None if picture is None else pack(picture, "f32"),
        "agreement": _agreement(values, graph, controls.task),
    }


def _explained(
    one: Contestant, graph: AbstractGraph, places: torch.Tensor, task: str, method: Any, target: int
) -> tuple[np.ndarray, np.ndarray | None]:
    model = network(one.name, task)
    most = min(MOST_KNOCKED_OUT, MOST_EDGES_READ // max(1, graph.num_edges)) if one.name != own_eyes.NAME else MOST_OF_OWN
    tried = None
    if graph.num_edges > most:  # the ones that most ways run over
        tried = edge_betweenness(graph).argsort(descending=True)[:most].sort().values.tolist()
    if one.sees == "adjacency":
        if not isinstance(model, GraphNetwork):
            raise BadRequest("the edges of this network are scored by itself; see the exhibit “Inside out”")
        if method == "knock-out":
            return knock_out_of_network(model, graph, target, tried).values.numpy(), None
        if method == "gradients":
            return weight_gradients(model, graph, target).values.numpy(), None
        raise BadRequest("a network that reads the adjacency can be asked by knock-out or gradients")
    if method == "knock-out":
        return knock_out_of_drawing(model, graph, places, target, SIDE, one.pen, tried).values.numpy(), None
    if method not in pixels.METHODS or (method == "grad-cam" and not hasattr(model, "body")):
        raise BadRequest("a network that looks can be asked by knock-out, integrated gradients, occlusion or, a CNN, grad-cam")
    drawing = drawings(graph, places)[one.pen.even]
    part = model.get_submodule("body.2") if method == "grad-cam" else None
    image = as_input(drawing.image[None]).to(runtime.device())
    with alone(model):
        found = pixels.attribute(model, image, target, method, layer=part)
    return along_edges(found.map, drawing, graph).numpy(), found.map.numpy()


def _agreement(values: np.ndarray, graph: AbstractGraph, task: str) -> dict[str, Any] | None:
    """How often an edge that matters by the truth is ranked above one that does not (AUC): bridges, else the 5 % that most ways run over."""
    assert graph.truth is not None
    asked = np.isfinite(values)
    matters = graph.truth.is_bridge.numpy()
    what = "bridges"
    if task != "bridges" or not matters.any() or matters.all():
        between = edge_betweenness(graph).numpy()
        matters = between >= np.quantile(between, 0.95)
        what = "the 5 % of edges that most ways run over"
    high, low = values[asked & matters], values[asked & ~matters]
    if not high.size or not low.size:
        return None
    above = (high[:, None] > low).mean() + (high[:, None] == low).mean() / 2
    return {"auc": float(above), "what": what, "edges": int(high.size), "of": int(asked.sum())}


def fit_own(scene: Scene, controls: GraphAbstractControls, data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A readout for the question on show is fitted on the visitor's own model."""
    if not own_eyes.named():
        raise BadRequest(f"no model is named; start the app with {own_eyes.VARIABLE} set to a folder or hub id")
    yield from own_eyes.fit(controls.task, USUAL_LAYOUT[controls.task])


def _graph(scene: Scene) -> AbstractGraph:
    graph = scene.layers[0].structures["graph"]
    assert isinstance(graph, AbstractGraph)
    return graph


def _places(graph: AbstractGraph, controls: GraphAbstractControls, data: Mapping[str, Any]) -> torch.Tensor:
    text = data.get("places")
    if text is None:
        return graph.positions[SHOWN]
    found = read_places(text, graph.num_nodes, tied_to(graph, controls)) if isinstance(text, str) else None
    if found is None:
        raise BadRequest("these places belong to another graph or layout; please move the nodes again")
    return found


EXHIBIT = Exhibit(
    slug="graphabstract",
    title="Eyes against messages",
    wing=Wing.STRUCTURE,
    idea="A network that looks at a drawing of a graph keeps seeing its shape when graphs grow; one that reads the edges does not.",
    paper=Paper(
        title="The Underappreciated Power of Vision Models for Graph Structural Understanding",
        authors="Xinjian Zhao, Wei Pang, Zhongkai Xue, Xiangru Jian, Lei Zhang, Yaoyao Xu, Xiaozhuang Song, Shu Wu, Tianshu Yu",
        venue="NeurIPS 2025, arXiv 2510.24788",
        url="https://arxiv.org/abs/2510.24788",
        theirs="four questions about graphs with exact answers, tested on graphs larger than any in training; drawings for image classifiers, adjacency for graph networks",
        ours="the generators from the text of the paper, exact symmetries without extra packages, the even pen, and small networks (64 × 64 pixels) that answer live",
    ),
    controls=GraphAbstractControls,
    run=run,
    views=("drawing", "scale", "agree", "edges", "exact", "virtual", "rounds", "own-eyes", "claims"),
    example="",
    folder=Path(__file__).parent,
    cuts=(),
    pictures=False,
    claims=GRAPHABSTRACT,
    questions={"look": look, "explain": explain, "virtual": virtual},
    streams={"readout": fit_own},
)
