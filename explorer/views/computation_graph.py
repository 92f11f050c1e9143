"""A ComputationGraph with what was predicted for it → the canvas payload of one hypernetwork, the API's numbers, the card's marks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from explorer.views.arrays import pack, pack_scaled
from explorer.views.space import pca
from explorer.views.view import Place, Structures, View
from models.structures import ComputationGraph, GeneratedWeights, GraphEncoding

MOST_VIRTUAL = 600
MANY = 48  # nodes; of larger graphs the heads' mean travels
COLOURS = {"conv": "#56B4E9", "bias": "#B5B5B5", "bn": "#2BC79A", "sum": "#FFB000", "input": "#FFFFFF", "glob_avg": "#E694C3"}


def layer_payload(structures: Structures, shown: np.ndarray) -> dict[str, Any]:
    """Nodes with their places in a layered drawing, edges, attention, embeddings, and what was predicted for each node."""
    graph = structures["computation"]
    assert isinstance(graph, ComputationGraph)
    generated, encoding = structures.get("generated"), structures.get("encoding")
    virtual, lengths = graph.virtual_edges()
    nodes = []
    columns, lanes = places(graph)
    for i, (name, kind, shape) in enumerate(zip(graph.names, graph.kinds, graph.shapes, strict=True)):
        tensor = generated.weights.get(name) if isinstance(generated, GeneratedWeights) else None
        node: dict[str, Any] = {
            "name": name,
            "kind": kind,
            "shape": shape,
            "x": columns[i],
            "y": lanes[i],
            "count": 0 if tensor is None else tensor.numel(),
        }
        if tensor is not None and isinstance(generated, GeneratedWeights):
            node |= {
                "std": float(tensor.std(correction=0)) if tensor.numel() > 1 else 0.0,
                "tile": generated.tiles.get(name),
                "factors": name in generated.left,
            }
        nodes.append(node)
    body: dict[str, Any] = {
        "nodes": nodes,
        "edges": graph.edge_index().T.tolist(),
        "virtual": [[*pair, length] for pair, length in zip(virtual.T.tolist(), lengths.tolist(), strict=True)][:MOST_VIRTUAL],
    }
    if isinstance(encoding, GraphEncoding):
        attention = encoding.attention if len(graph) <= MANY else encoding.attention.mean(1, keepdim=True)
        body["attention"] = pack_scaled(_array(attention), bits=8)
        body["embeddings"] = [pack(pca(_array(states))[0], "f32") for states in encoding.embeddings]
    return {"maps": {}, "computation": body}


def places(graph: ComputationGraph) -> tuple[list[int], list[int]]:
    """Column and lane of every node: columns by longest path, a free lane among those that share a column."""
    columns = graph.depth().tolist()
    lanes: list[int] = []
    taken: set[tuple[int, int]] = set()
    for node, column in enumerate(columns):
        sources = [s for s in range(node) if graph.distance[s, node] == 1]
        wanted = lanes[sources[0]] if sources else 0
        if len(sources) > 1:
            wanted = 0
        while (column, wanted) in taken:
            wanted += 1
        taken.add((column, wanted))
        lanes.append(wanted)
    return columns, lanes


def tensor_payload(generated: GeneratedWeights, name: str, most: int = 128) -> dict[str, Any]:
    """One predicted tensor as a matrix [outputs·height, inputs·width] (its first rows and columns), with its tile or its factors."""
    tensor = generated.weights[name]
    matrix = _matrix(tensor)
    found: dict[str, Any] = {
        "name": name,
        "shape": list(tensor.shape),
        "matrix": pack_scaled(matrix[:most, :most], bits=8),
        "whole": list(matrix.shape),
        "tile": None,
    }
    if name in generated.tiles:
        height, width = tensor.shape[2:] if tensor.ndim == 4 else (1, 1)
        tile = generated.tiles[name]
        found["tile"] = [1, tile[0]] if tensor.ndim == 1 else [tile[0] * height, tile[1] * width]  # a vector is drawn as one row
    if name in generated.left:
        found["left"] = pack_scaled(_array(generated.left[name])[:most], bits=8)
        found["right"] = pack_scaled(_array(generated.right[name])[:, :most], bits=8)
    return found


def _matrix(tensor: Tensor) -> np.ndarray:
    values = _array(tensor)
    if values.ndim == 4:
        out, inn, height, width = values.shape
        return values.transpose(0, 2, 1, 3).reshape(out * height, inn * width)
    return values.reshape(len(values), -1) if values.ndim > 1 else values[None]


def _numbers(graph: ComputationGraph) -> dict[str, Any]:
    virtual, lengths = graph.virtual_edges()
    return {
        "nodes": [{"name": n, "kind": k, "shape": s} for n, k, s in zip(graph.names, graph.kinds, graph.shapes, strict=True)],
        "edges": graph.edge_index().T.tolist(),
        "virtual_edges": [[*pair, length] for pair, length in zip(virtual.T.tolist(), lengths.tolist(), strict=True)],
    }


def _marks(graph: ComputationGraph, look: Mapping[str, Any], colour: str, place: Place) -> str:
    columns, lanes = places(graph)
    wide, tall = max(columns) or 1, max(lanes) + 1
    at = [(20 + 280 * x / wide, 110 + 50 * (y - (tall - 1) / 2)) for x, y in zip(columns, lanes, strict=True)]
    lines = []
    for source, target in graph.edge_index().T.tolist():
        (x1, y1), (x2, y2) = at[source], at[target]
        bend = -10 * (columns[target] - columns[source] - 1)
        lines.append(
            f'<path d="M{x1:.0f} {y1:.0f}Q{(x1 + x2) / 2:.0f} {(y1 + y2) / 2 + bend:.0f} {x2:.0f} {y2:.0f}" fill="none" stroke="#9fb3c8" stroke-width="2"/>'
        )
    dots = [
        f'<circle cx="{x:.0f}" cy="{y:.0f}" r="7" fill="{COLOURS.get(kind, "#CC79A7")}"/>'
        for (x, y), kind in zip(at, graph.kinds, strict=True)
    ]
    return "".join(lines + dots)


def _figure(structures: Structures, shown: np.ndarray, title: str) -> Any:
    from matplotlib.figure import Figure

    graph = structures["computation"]
    assert isinstance(graph, ComputationGraph)
    columns, lanes = places(graph)
    figure = Figure(figsize=(max(6.0, 0.5 * max(columns) + 1), 3), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=10)
    for source, target in graph.edge_index().T.tolist():
        bend = 0.25 if columns[target] - columns[source] > 1 else 0
        arrow = {"arrowstyle": "-|>", "color": "#666666", "connectionstyle": f"arc3,rad={bend}"}
        axes.annotate("", (columns[target], -lanes[target]), (columns[source], -lanes[source]), arrowprops=arrow)
    for x, y, name, kind in zip(columns, lanes, graph.names, graph.kinds, strict=True):
        axes.plot(x, -y, "o", markersize=10, color="#0072b2" if kind == "conv" else "#999999")
        axes.text(x, -y - 0.25, f"{kind}\n{name}", fontsize=5, ha="center", va="top")
    axes.set_axis_off()
    axes.margins(0.1, 0.6)
    return figure


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()


VIEW = View(
    structure=ComputationGraph,
    role="computation",
    kind="computation-graph",
    payload=layer_payload,
    numbers=_numbers,
    marks=_marks,
    amount=lambda graph: (len(graph), "nodes"),
    figure=_figure,
)
