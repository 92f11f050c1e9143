"""Groups and the pairs that are left of them → the payload of their stage; texts to take home, a figure, the card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from explorer.views.abstract_graph import SHOWN, edge_list, graphml
from explorer.views.arrays import pack
from explorer.views.view import Place, View
from models.structures import AbstractGraph, Hypergraph, Structure

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")


def layer_payload(structures: Mapping[str, Structure], shown: np.ndarray) -> dict[str, Any]:
    """Groups, pairs and places.

    Args:
        structures: "groups": Hypergraph; "graph": AbstractGraph, its projection, with places named "drawing".
    """
    groups, graph = structures["groups"], structures["graph"]
    assert isinstance(groups, Hypergraph)
    assert isinstance(graph, AbstractGraph)
    return {
        "nodes": graph.num_nodes,
        "edges": pack(graph.edges.numpy(), "u16"),
        "places": pack(graph.positions[SHOWN].numpy(), "f32"),
        "groups": [list(group) for group in groups.sets()],
    }


def numbers(groups: Hypergraph) -> dict[str, Any]:
    """What the API says of the groups."""
    return {"nodes": groups.num_nodes, "hyperedges": [list(group) for group in groups.sets()]}


def files(groups: Hypergraph) -> dict[str, bytes]:
    """The groups (one per line, and as JSON) and their projection (edge list, GraphML)."""
    pairs = sorted({(u, v) for group in groups.sets() for i, u in enumerate(group) for v in group[i + 1 :]})
    graph = AbstractGraph.from_edges(pairs, groups.num_nodes, "projection")
    lines = "\n".join(" ".join(map(str, group)) for group in groups.sets()) + "\n"
    texts = {
        "groups.csv": lines.replace(" ", ","),
        "groups.json": json.dumps(numbers(groups), indent=1) + "\n",
        "projection.txt": edge_list(graph),
        "projection.graphml": graphml(graph),
    }
    return {name: text.encode("utf-8") for name, text in texts.items()}


def _marks(groups: Hypergraph, look: Mapping[str, Any], colour: str, place: Place) -> str:
    """On the card: nodes on a circle, the six largest groups as translucent outlines."""
    angle = 2 * np.pi * np.arange(groups.num_nodes) / max(1, groups.num_nodes)
    points = np.stack([160 + 84 * np.cos(angle), 100 + 84 * np.sin(angle)], 1)
    drawn = []
    for number, group in enumerate(sorted(groups.sets(), key=lambda one: (-len(one), one))[:6]):
        path = "L".join(f"{points[node][0]:.1f} {points[node][1]:.1f}" for node in group)
        fill = COLOURS[number]
        drawn.append(f'<path d="M{path}Z" fill="{fill}" stroke="{fill}" stroke-width="14" stroke-linejoin="round" opacity="0.3"/>')
    drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#e8eef5"/>' for x, y in points]
    return "".join(drawn)


def figure(structures: Mapping[str, Structure], shown: np.ndarray, title: str) -> Any:
    """Left the pairs that are left, right who is in which group."""
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    groups, graph = structures["groups"], structures["graph"]
    assert isinstance(groups, Hypergraph)
    assert isinstance(graph, AbstractGraph)
    points = graph.positions[SHOWN].double().numpy()
    made = Figure(figsize=(9, 4.8), layout="constrained")
    left, right = made.subplots(1, 2)
    left.add_collection(LineCollection(list(points[graph.edges.numpy()]), colors="#9a9a9a", linewidths=0.8))
    left.scatter(*points.T, s=22, c="#0072b2", zorder=3)
    left.set_aspect("equal")
    left.invert_yaxis()
    left.set_axis_off()
    left.set_title(f"{title}: {graph.num_edges} pairs", loc="left", fontsize=10)
    right.scatter(groups.incidence[1].numpy(), groups.incidence[0].numpy(), s=6, c="#d55e00", marker="s")
    right.set_xlabel("group")
    right.set_ylabel("node")
    right.set_title(f"{groups.num_hyperedges} groups", loc="left", fontsize=10)
    return made


VIEW = View(
    structure=Hypergraph,
    role="groups",
    kind="groups",
    payload=layer_payload,
    numbers=numbers,
    marks=_marks,
    amount=lambda groups: (groups.num_hyperedges, "groups"),
    figure=figure,
    files=files,
)
