"""Nodes with texts among the texts of classes → the canvas payload of one layer: drawn in the disk, scaled and classified by the browser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from explorer.views.arrays import pack, pack_json, pack_scaled
from explorer.views.disk import CARD, CARD_COLOURS, MOST_BRANCHES
from explorer.views.view import Place, Structures, View
from models.structures import TextPoints

NONE = 255  # class of a node that is unknown


def layer_payload(structures: Structures) -> dict[str, Any]:
    """The part of a layer's payload that its points decide.

    `disk` as of other points, nodes first, then classes. `text` is what the browser needs to scale the parts of the vectors and to
    classify anew, without the vectors themselves: with factors m, a point is drawn at Σ m·parts, its squared length is Σ m²·norms, its
    inner product with a class Σ m²·products.
    """
    found = structures["points"]
    assert isinstance(found, TextPoints)
    found.require_finite("the points")
    count = len(found.nodes) + len(found.classes)
    disk = {"geometry": "poincare", "curvature": 1.0, "points": pack(found.drawn().cpu().numpy(), "f32"), "nodes": nodes_payload(found)}
    text = {
        "count": len(found.nodes),
        "group": pack(np.where(found.label.cpu().numpy() < 0, NONE, found.label.cpu().numpy()), "u8"),
        "parts": pack(found.drawn_parts().cpu().numpy(), "f32"),
        "norms": pack(found.part_norms().cpu().numpy(), "f32"),
        "products": pack_scaled(found.part_products().cpu().numpy(), bits=16),
    }
    return {"grid": [count, 1], "colour": None, "maps": {}, "disk": disk, "text": text}


def nodes_payload(found: TextPoints) -> dict[str, Any]:
    nodes, classes = len(found.nodes), len(found.classes)
    names = [*(found.names or [f"node {i + 1}" for i in range(nodes)]), *class_names(found)]
    once = found.edges[:, found.edges[0] < found.edges[1]]
    label = torch.where(found.label < 0, NONE, found.label)
    return {
        "names": pack_json(names),
        "edges": pack(once.cpu().numpy(), "u16"),
        "depth": None,
        "branch": pack(torch.cat([label, torch.arange(classes)]).cpu().numpy(), "u8"),
        "branches": list(range(nodes, nodes + classes)),
        "tree": False,
    }


def class_names(found: TextPoints) -> list[str]:
    return list(found.class_names) or [f"class {chr(ord('A') + k)}" for k in range(len(found.classes))]


def _numbers(found: TextPoints) -> dict[str, Any]:
    distances = found.distances()
    nearest = distances.argmin(1)
    names = class_names(found)
    return {
        "classes": names,
        "radius": [float(f"{value:.6g}") for value in found.radius().tolist()],
        "answer": [names[k] for k in nearest.tolist()],
        "distance": [[float(f"{value:.6g}") for value in row] for row in distances.tolist()],
    }


def _marks(found: TextPoints, look: Mapping[str, Any], colour: str, place: Place) -> str:
    """The disk with its nodes by class; classes are squares."""
    cx, cy, radius = CARD
    flat = found.drawn().double()
    size = flat.norm(dim=1, keepdim=True).clamp(min=1e-12)
    at = (flat * torch.tanh(size) / size).numpy() * radius + (cx, cy)
    hue = [*found.label.tolist(), *range(len(found.classes))]
    drawn = []
    for i, ((x, y), k) in enumerate(zip(at, hue, strict=True)):
        fill = CARD_COLOURS[k % MOST_BRANCHES] if k >= 0 else "#fff"
        if i < len(found.nodes):
            drawn.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2" fill="{fill}"/>')
        else:
            drawn.append(f'<rect x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10" fill="{fill}" stroke="#fff" stroke-width="1.5"/>')
    rim = f'<circle cx="{cx}" cy="{cy}" r="{radius}" fill="#111a28" stroke="#8fa3bd" stroke-width="1.5"/>'
    return rim + "".join(drawn)


VIEW = View(
    structure=TextPoints,
    role="points",
    kind="textdisk",
    payload=lambda structures, shown: layer_payload(structures),
    numbers=_numbers,
    marks=_marks,
    amount=lambda found: (len(found.nodes), "nodes"),
)
