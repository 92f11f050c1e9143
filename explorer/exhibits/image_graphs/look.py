"""What the exhibits of this wing share: run a model under capture, pair graphs with what was taken along them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch

from explorer import looking, runtime
from explorer.diagnostics import DEPTH_KEYS, Measure, folder_row, pooled_labels, summary
from explorer.diagnostics.measure import catalogue
from explorer.exhibit import BadRequest, Intervention, Layer, Scene
from explorer.looking import RANDOM_WEIGHTS, run_model
from models.capture import Trace
from models.image_graphs.constructors import Constructor
from models.image_graphs.edits import without_edges, without_patches
from models.structures import Aggregation, Attribution, PatchGraph, Prediction

GraphEdit = Callable[[PatchGraph], PatchGraph]
Labels = tuple[np.ndarray, bool] | None

ALIKE = "edges between such patches say nothing about the picture."


def look_at(
    name: str,
    shown: np.ndarray,
    cuts: Sequence[Intervention] = (),
    edit: GraphEdit | None = None,
    segments: Callable[[tuple[int, int]], Labels] | None = None,
    label: Callable[[int, PatchGraph], str] | None = None,
) -> Scene:
    """Run one model of the zoo on a square picture and describe every graph that it builds.

    Args:
        shown: uint8 [S, S, 3].
        cuts: edges that the visitor removed.
        edit: applied to every graph before the network goes on with it (another k, another threshold).
        segments: grid → (segment of each patch, whether it is ground truth), or None.
        label: (index, graph) → what people call the layer.
    """
    loaded = runtime.model(name)
    trace, prediction = run(name, shown, cuts, edit)
    layers = [
        Layer(part, label(i, graph) if label else f"Layer {i + 1}", {"graph": graph} | ({"aggregation": taken} if taken else {}))
        for i, (part, graph, taken) in enumerate(pairs(trace))
    ]
    labels = segments(graph_of(layers[0]).grid) if segments and layers else None
    found = measures(layers, labels)
    return Scene(
        shown=shown,
        seen=loaded.prepare.seen(shown),
        layers=layers,
        prediction=prediction.top(10),
        measures=found,
        labels=labels,
        notes=notes(loaded.trained, layers, shown),
        extras={"depth": depth(layers, found)},
    )


def run(name: str, shown: np.ndarray, cuts: Sequence[Intervention] = (), edit: GraphEdit | None = None) -> tuple[Trace, Prediction]:
    """The structures and the prediction of one model; refuses non-finite internals with a named sentence."""
    return run_model(name, shown, _edits(runtime.model(name).model, cuts, edit))


def constructors(model: torch.nn.Module) -> list[str]:
    """Names of the parts that build graphs, in order."""
    return [name for name, part in model.named_modules() if isinstance(part, Constructor)]


def _edits(model: torch.nn.Module, cuts: Sequence[Intervention], edit: GraphEdit | None) -> dict[str, GraphEdit]:
    names = constructors(model)
    unknown = {cut.layer for cut in cuts} - {*names, "*"}
    if unknown:
        raise BadRequest(f"there is no layer named {sorted(unknown)[0][:60]!r} to cut; there are {', '.join(names)}")
    edits: dict[str, GraphEdit] = {}
    for name in names:
        mine = [cut for cut in cuts if cut.layer in (name, "*")]
        if edit or mine:
            edits[name] = partial(_edited, edit=edit, cuts=mine)
    return edits


def _edited(graph: PatchGraph, edit: GraphEdit | None, cuts: Sequence[Intervention]) -> PatchGraph:
    if edit:
        graph = edit(graph)
    patches = graph.grid[0] * graph.grid[1]
    for cut in cuts:
        pairs = [pair for pair in cut.pairs if cut.layer != "*" or pair[0] < patches]
        try:
            graph = without_edges(graph, pairs) if cut.kind == "edges" else without_patches(graph, [patch for patch, _ in pairs])
        except ValueError as error:
            raise BadRequest(str(error)) from None
    return graph


def pairs(trace: Trace) -> list[tuple[str, PatchGraph, Aggregation | None]]:
    """Every graph with the aggregation that followed it, in order of the forward pass."""
    found: list[tuple[str, PatchGraph, Aggregation | None]] = []
    for name, structure in trace.structures.items():
        if isinstance(structure, PatchGraph):
            found.append((name, structure, None))
        elif isinstance(structure, Aggregation) and found and found[-1][2] is None:
            found[-1] = (*found[-1][:2], structure)
    return found


def graph_of(layer: Layer) -> PatchGraph:
    """The graph of a layer of this wing."""
    graph = layer.structures["graph"]
    assert isinstance(graph, PatchGraph)
    return graph


def notes(trained: bool, layers: Sequence[Layer], shown: np.ndarray) -> tuple[str, ...]:
    """Plain remarks that the page must show: random weights, and graphs of patches that cannot be told apart."""
    flat = sum(_alike(graph_of(layer)) > 0.5 for layer in layers)
    remark = f"In {flat} of {len(layers)} graphs more than half of the patches look exactly alike (a flat picture or background): {ALIKE}"
    if not flat and np.ptp(shown, axis=(0, 1)).max() == 0:  # borders and position terms tell such patches apart all the same
        flat, remark = 1, f"The picture is of one colour: {ALIKE}"
    return (() if trained else (RANDOM_WEIGHTS,)) + ((remark,) if flat else ())


def _alike(graph: PatchGraph) -> float:
    """Share of the patches whose features repeat those of another."""
    if graph.features is None:
        return 0.0
    x = graph.features[0].flatten(1).T.float().numpy()
    rows = np.round(x / max(float(np.abs(x).max()), 1e-30), 5)
    return 1 - len({row.tobytes() for row in rows}) / len(rows)


def measures(layers: Sequence[Layer], labels: Labels) -> dict[str, list[Measure]]:
    """Every diagnostic of every layer."""
    finest = graph_of(layers[0]).grid if layers else (0, 0)
    found = {}
    for layer in layers:
        graph, taken = graph_of(layer), layer.structures.get("aggregation")
        own = None if labels is None else pooled_labels(labels[0].reshape(-1), finest, graph.grid)
        found[layer.name] = summary(
            graph, aggregation=taken if isinstance(taken, Aggregation) else None, labels=own, labels_are_truth=bool(labels and labels[1])
        )
    return found


def depth(layers: Sequence[Layer], found: Mapping[str, Sequence[Measure]]) -> dict[str, Mapping]:
    """The measures that tell a story from layer to layer."""
    rows = [folder_row(found[layer.name]) for layer in layers]
    titles = {key: catalogue()[key]["name"] for key in DEPTH_KEYS}
    return {"keys": titles, "values": {key: [row.get(key) for row in rows] for key in DEPTH_KEYS}}


def explain(name: str, shown: np.ndarray, method: str, target: int, layer: str | None) -> Attribution:
    """Where the model looks for class number `target`."""
    return looking.explain(name, shown, method, target, _block_of(runtime.model(name).model, layer))


def _block_of(model: torch.nn.Module, constructor: str | None) -> str:
    """The block around a constructor: the part whose output is the stage's feature map."""
    names = constructors(model)
    chosen = constructor if constructor in names else names[-1]
    parts = chosen.split(".")
    for depth_ in range(1, len(parts)):
        inside = model.get_submodule(".".join(parts[:depth_]))
        if sum(isinstance(m, type(model.get_submodule(chosen))) for m in inside.modules()) == 1:
            return ".".join(parts[:depth_])
    return parts[0]
