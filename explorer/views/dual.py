"""A graph turned inside out → the payload of its stage: edges, places, what was kept in each layer; texts, a figure, the card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from explorer.views.abstract_graph import SHOWN, edge_list, graphml
from explorer.views.arrays import pack
from explorer.views.view import Place, View
from models.structures import AbstractGraph, EdgeSelection, Hypergraph, Structure

COLOURS = ("#56b4e9", "#e69f00", "#2bc79a", "#e694c3", "#f0e442", "#d5794a", "#9db4ff", "#b5e07a")


def layer_payload(structures: Mapping[str, Structure], shown: np.ndarray) -> dict[str, Any]:
    """What the browser needs for the morph, the messages and the replay of the dropping.

    Args:
        structures: "dual": Hypergraph whose node i is edge i of "graph": AbstractGraph with places named "drawing"; "drop 1", …:
            EdgeSelection over both directions of the edges.
    """
    graph, dual = structures["graph"], structures["dual"]
    assert isinstance(graph, AbstractGraph)
    assert isinstance(dual, Hypergraph)
    features = dual.node_features
    return {
        "nodes": graph.num_nodes,
        "edges": pack(graph.edges.numpy(), "u16"),
        "family": graph.family,
        "places": pack(graph.positions[SHOWN].numpy(), "f32"),
        "bridges": None if graph.truth is None else pack(graph.truth.is_bridge.numpy(), "u8"),
        "kinds": None if features is None or features.shape[1] < 2 else pack(features.argmax(1).numpy(), "u8"),
        "drops": [_drop(found, graph) for name, found in structures.items() if isinstance(found, EdgeSelection)],
    }


def _drop(found: EdgeSelection, graph: AbstractGraph) -> dict[str, Any]:
    """Score of every edge (−9 where it was gone before) and whether it was kept, both directions as one."""
    number = {(u, v): i for i, (u, v) in enumerate(graph.edges.tolist())}
    place = np.array([number[min(u, v), max(u, v)] for u, v in found.edge_index.T.tolist()], dtype=np.int64)
    score = np.full(graph.num_edges, -9.0)
    score[place] = found.score.numpy()
    kept = np.zeros(graph.num_edges, np.uint8)
    kept[place[found.kept.numpy()]] = 1
    return {"score": pack(score, "f32"), "kept": pack(kept, "u8")}


def numbers(dual: Hypergraph) -> dict[str, Any]:
    """What the API says of a dual hypergraph."""
    return {"nodes": dual.num_nodes, "hyperedges": dual.num_hyperedges, "members": [list(group) for group in dual.sets()]}


def files(dual: Hypergraph) -> dict[str, bytes]:
    """Graph and dual in formats of the field: an edge list, GraphML, and the hyperedges as JSON."""
    edges = [tuple(row) for row in _ends(dual)]
    graph = AbstractGraph.from_edges(edges, dual.num_hyperedges)
    texts = {"edges.txt": edge_list(graph), "graph.graphml": graphml(graph), "dual.json": json.dumps(numbers(dual), indent=1) + "\n"}
    return {name: text.encode("utf-8") for name, text in texts.items()}


def _ends(dual: Hypergraph) -> list[list[int]]:
    ends: list[list[int]] = [[] for _ in range(dual.num_nodes)]
    for edge, node in dual.incidence.T.tolist():
        ends[edge].append(node)
    return ends


def _circle(dual: Hypergraph) -> np.ndarray:
    angle = 2 * np.pi * np.arange(dual.num_hyperedges) / max(1, dual.num_hyperedges)
    return np.stack([160 + 84 * np.cos(angle), 100 + 84 * np.sin(angle)], 1)


def _marks(dual: Hypergraph, look: Mapping[str, Any], colour: str, place: Place) -> str:
    """On the card: nodes on a circle, a dot in the middle of every edge, in the colours of the groups it joins."""
    points = _circle(dual)
    drawn = []
    for u, v in _ends(dual):
        (x0, y0), (x1, y1) = points[u], points[v]
        drawn.append(f'<path d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" stroke="#e8eef5" stroke-width="0.9" opacity="0.45"/>')
        drawn.append(f'<circle cx="{(x0 + x1) / 2:.1f}" cy="{(y0 + y1) / 2:.1f}" r="2.8" fill="#ffb000"/>')
    for node, (x, y) in enumerate(points):
        drawn.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="9" fill="{COLOURS[node % len(COLOURS)]}" opacity="0.55"/>')
    return "".join(drawn)


def figure(structures: Mapping[str, Structure], shown: np.ndarray, title: str) -> Any:
    """Left the graph, right its incidence matrix: a row per edge, a column per node, two marks in every row."""
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    graph, dual = structures["graph"], structures["dual"]
    assert isinstance(graph, AbstractGraph)
    assert isinstance(dual, Hypergraph)
    points = graph.positions[SHOWN].double().numpy()
    made = Figure(figsize=(9, 4.8), layout="constrained")
    left, right = made.subplots(1, 2)
    left.add_collection(LineCollection(list(points[graph.edges.numpy()]), colors="#9a9a9a", linewidths=0.9))
    left.scatter(*points.T, s=24, c="#0072b2", zorder=3)
    left.set_aspect("equal")
    left.invert_yaxis()
    left.set_axis_off()
    left.set_title(f"{title}: {graph.num_nodes} nodes, {graph.num_edges} edges", loc="left", fontsize=10)
    right.scatter(dual.incidence[1].numpy(), dual.incidence[0].numpy(), s=4, c="#d55e00", marker="s")
    right.invert_yaxis()
    right.set_xlabel("node = group of the dual")
    right.set_ylabel("edge = node of the dual")
    right.set_title("Incidence, read either way", loc="left", fontsize=10)
    return made


VIEW = View(
    structure=Hypergraph,
    role="dual",
    kind="dual",
    payload=layer_payload,
    numbers=numbers,
    marks=_marks,
    amount=lambda dual: (dual.num_nodes, "edges"),
    figure=figure,
    files=files,
)
