"""A graph on its own → the payload of the drawing board, texts to take home (GraphML, graph6, edge list), a figure, the card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import torch

from explorer.views.arrays import pack
from explorer.views.view import Place, View
from models.structures import AbstractGraph, GraphDrawing, Structure

SHOWN = "drawing"
"""Name of the places that are on show, in `AbstractGraph.positions`."""

MOST_GENERATORS = 4
INK, NODE, BRIDGE, GROUND = "#e8eef5", "#87ceeb", "#ff6b4a", "#0b1320"


# -------------------------------------------------------------------------------------------------------------- payload


def layer_payload(structures: Mapping[str, Structure], shown: np.ndarray) -> dict[str, Any]:
    """What the browser needs to draw the graph, to edit it, and to show what is exactly true of it.

    Args:
        structures: "graph": AbstractGraph with places named "drawing"; "drawing": GraphDrawing, where a model looks at one.
    """
    graph, drawing = structures["graph"], structures.get("drawing")
    assert isinstance(graph, AbstractGraph)
    return {
        "nodes": graph.num_nodes,
        "edges": pack(graph.edges.numpy(), "u16"),
        "family": graph.family,
        "places": pack(graph.positions[SHOWN].numpy(), "f32"),
        "layouts": {name: pack(places.numpy(), "f32") for name, places in graph.positions.items() if name != SHOWN},
        "truth": _truth(graph),
        "picture": None if not isinstance(drawing, GraphDrawing) else pack(drawing.image.numpy(), "u8"),
    }


def _truth(graph: AbstractGraph) -> dict[str, Any] | None:
    truth = graph.truth
    if truth is None:
        return None
    decided = truth.orbits is not None and truth.generators is not None
    return {
        "gap": truth.spectral_gap,
        "fiedler": pack(truth.fiedler.float().numpy(), "f32"),
        "bridges": pack(truth.is_bridge.numpy(), "u8"),
        "order": None if truth.order is None else str(truth.order),
        "orbits": pack(truth.orbits.numpy(), "u16") if decided and truth.orbits is not None else None,
        "moves": pack(_moves(truth.generators), "u16") if decided and truth.generators is not None else None,
    }


def _moves(generators: torch.Tensor) -> np.ndarray:
    """The symmetries that move the most nodes: those that are worth watching, [≤ 4, N]."""
    moved = (generators != torch.arange(generators.shape[1])).sum(1)
    return generators[moved.argsort(descending=True, stable=True)[:MOST_GENERATORS]].numpy()


# ------------------------------------------------------------------------------------------------------ texts to take home


def graph6(graph: AbstractGraph) -> str:
    """One line of text that any graph library reads: n, then the upper triangle of the adjacency column by column, 6 bits each.

    Source: McKay, "Description of graph6, sparse6 and digraph6 encodings".
    """
    n = graph.num_nodes
    head = [n] if n < 63 else [63, n >> 12 & 63, n >> 6 & 63, n & 63]
    column, row = np.tril_indices(n, -1)
    bits = graph.adjacency().numpy().astype(bool)[row, column]
    padded = np.concatenate([bits, np.zeros(-len(bits) % 6, bool)]).reshape(-1, 6)
    codes = [*head, *(padded @ (1 << np.arange(5, -1, -1))).tolist()]
    return "".join(chr(63 + code) for code in codes)


def edge_list(graph: AbstractGraph) -> str:
    """A pair of node numbers per line; nodes without edges stand alone."""
    alone = [str(node) for node in (graph.degrees() == 0).nonzero().flatten().tolist()]
    return "\n".join([*(f"{u} {v}" for u, v in graph.edges.tolist()), *alone]) + "\n"


def graphml(graph: AbstractGraph, places: torch.Tensor | None = None, notes: Mapping[str, str] | None = None) -> str:
    """GraphML with the places of the nodes as the attributes x and y, and `notes` as attributes of the graph."""
    notes = notes or {}
    rows = ['<?xml version="1.0" encoding="UTF-8"?>', '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">']
    if places is not None:
        rows += [f'<key id="{axis}" for="node" attr.name="{axis}" attr.type="double"/>' for axis in "xy"]
    rows += [f'<key id="note{i}" for="graph" attr.name={quoteattr(name)} attr.type="string"/>' for i, name in enumerate(notes)]
    rows.append('<graph edgedefault="undirected">')
    rows += [f'<data key="note{i}">{escape(text)}</data>' for i, text in enumerate(notes.values())]
    rows += [_node(node, None if places is None else places[node].tolist()) for node in range(graph.num_nodes)]
    rows += [f'<edge source="n{u}" target="n{v}"/>' for u, v in graph.edges.tolist()]
    return "\n".join([*rows, "</graph>", "</graphml>"]) + "\n"


def _node(node: int, place: list[float] | None) -> str:
    if place is None:
        return f'<node id="n{node}"/>'
    return f'<node id="n{node}"><data key="x">{place[0]:.6g}</data><data key="y">{place[1]:.6g}</data></node>'


def files(graph: AbstractGraph) -> dict[str, bytes]:
    """The graph in the formats of the field, and all that is exactly true of it."""
    found = {
        "graph.graphml": graphml(graph, graph.positions.get(SHOWN), {"family": graph.family} if graph.family else None),
        "graph.g6": graph6(graph) + "\n",
        "edges.txt": edge_list(graph),
        "graph.json": json.dumps(numbers(graph), indent=1) + "\n",
    }
    return {name: text.encode("utf-8") for name, text in found.items()}


def numbers(graph: AbstractGraph) -> dict[str, Any]:
    """What the API says of a graph."""
    found: dict[str, Any] = {
        "nodes": graph.num_nodes,
        "family": graph.family,
        "graph6": graph6(graph),
        "edge_index": graph.edge_index.tolist(),
        "places": [[round(x, 4), round(y, 4)] for x, y in graph.positions[SHOWN].tolist()] if SHOWN in graph.positions else None,
    }
    if graph.truth is not None:
        truth = graph.truth
        found["truth"] = {
            "spectral_gap": truth.spectral_gap,
            "bridges": [edge for edge, bridge in zip(graph.edges.tolist(), truth.is_bridge.tolist(), strict=True) if bridge],
            "automorphisms": None if truth.order is None else str(truth.order),
            "orbits": None if truth.orbits is None else truth.orbits.tolist(),
        }
    return found


# ------------------------------------------------------------------------------------------------------ card and figure


def _marks(graph: AbstractGraph, look: Mapping[str, Any], colour: str, place: Place) -> str:
    """The whole graph on the gallery card, its bridges in red."""
    points = _inside(graph.positions[SHOWN].double().numpy(), 320, 200, 24)
    bridge = graph.truth.is_bridge.tolist() if graph.truth is not None else [False] * graph.num_edges
    lines = "".join(
        f'<path d="M{points[u][0]:.1f} {points[u][1]:.1f}L{points[v][0]:.1f} {points[v][1]:.1f}"{_red(red)}/>'
        for (u, v), red in zip(graph.edges.tolist(), bridge, strict=True)
    )
    discs = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6"/>' for x, y in points)
    return f'<g stroke="{INK}" stroke-width="1.1" opacity="0.75">{lines}</g><g fill="{NODE}" stroke="{GROUND}">{discs}</g>'


def _red(bridge: bool) -> str:
    return f' stroke="{BRIDGE}" stroke-width="2.6"' if bridge else ""


def _inside(points: np.ndarray, width: float, height: float, margin: float) -> list[list[float]]:
    """Places [N, 2] centred and scaled into a box."""
    low, high = points.min(0), points.max(0)
    extent = np.maximum(high - low, 1e-9)
    scale = min((width - 2 * margin) / extent[0], (height - 2 * margin) / extent[1])
    return ((points - (low + high) / 2) * scale + [width / 2, height / 2]).tolist()


def figure(structures: Mapping[str, Structure], shown: np.ndarray, title: str) -> Any:
    """The graph as a vector figure: edges grey, bridges red, nodes coloured by the Fiedler vector around zero."""
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    graph = structures["graph"]
    assert isinstance(graph, AbstractGraph)
    points, truth = graph.positions[SHOWN].double().numpy(), graph.truth
    made = Figure(figsize=(6.4, 6.4))
    axes = made.add_axes((0.02, 0.08, 0.96, 0.86))
    segments = points[graph.edges.numpy()]
    bridge = np.zeros(len(segments), bool) if truth is None else truth.is_bridge.numpy()
    for chosen, colour, width in ((~bridge, "#9a9a9a", 0.9), (bridge, "#d55e00", 2.2)):
        axes.add_collection(LineCollection(list(segments[chosen]), colors=colour, linewidths=width))
    if truth is None:
        axes.scatter(points[:, 0], points[:, 1], s=28, c="#0072b2", zorder=3)
    else:
        fiedler = truth.fiedler.numpy()
        most = max(float(np.abs(fiedler).max()), 1e-9)
        axes.scatter(
            points[:, 0],
            points[:, 1],
            s=28,
            c=fiedler,
            cmap="PuOr_r",
            vmin=-most,
            vmax=most,
            edgecolors="#1a1a1a",
            linewidths=0.5,
            zorder=3,
        )
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.set_axis_off()
    axes.set_title(title, loc="left", fontsize=12)
    told = f"{graph.num_nodes} nodes, {graph.num_edges} edges" + (
        "" if truth is None else f", {truth.bridges} bridges (orange), λ₂ = {truth.spectral_gap:.3f}; colours: Fiedler vector"
    )
    made.text(0.03, 0.03, told, fontsize=8)
    return made


VIEW = View(
    structure=AbstractGraph,
    role="graph",
    kind="abstract-graph",
    payload=layer_payload,
    numbers=numbers,
    marks=_marks,
    amount=lambda graph: (graph.num_edges, "edges"),
    figure=figure,
    files=files,
)
