"""Points of the Poincaré disk (or of the plane) with their tree → the canvas payload of one layer, the API's numbers, the card's marks.

A point travels as its tangent vector at the centre, in units of the curvature radius: near the rim, coordinates of the disk would
need more digits than the browser gets.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer.views.arrays import pack, pack_json
from explorer.views.view import Place, Structures, View
from models.structures import PlanePoints, PoincarePoints

MOST_BRANCHES = 7  # as many as there are colours; further ones repeat them
CARD = (160.0, 100.0, 92.0)  # centre and radius of the disk on a gallery card
CARD_COLOURS = ("#56b4e9", "#e69f00", "#2bc79a", "#e694c3", "#f0e442", "#d55e00", "#74a9f7")
CARD_EDGES, CARD_POINTS = 400, 500

Points = PoincarePoints | PlanePoints


def layer_payload(structures: Structures) -> dict[str, Any]:
    """The part of a layer's payload that its points decide. Raises ValueError unless they have two dimensions."""
    found = structures["points"]
    assert isinstance(found, (PoincarePoints, PlanePoints))
    return {"grid": [len(found.points), 1], "colour": None, "maps": {}, "disk": disk_payload(found)}


def disk_payload(found: Points) -> dict[str, Any]:
    """Geometry, curvature, where the points lie (f32 [N, 2], see above; in the plane: their coordinates), and the tree that they are."""
    return {
        "geometry": "poincare" if isinstance(found, PoincarePoints) else "euclidean",
        "curvature": found.curvature if isinstance(found, PoincarePoints) else 0.0,
        "points": pack(drawn(found), "f32"),
        "nodes": nodes_payload(found),
    }


def drawn(found: Points) -> np.ndarray:
    """Tangent vectors at the centre in units of the curvature radius, √c·log0(x); in the plane: the points. [N, 2] float64.

    Raises:
        ValueError: the points do not have two dimensions.
        models.structures.NonFiniteError: a coordinate is NaN or infinite.
    """
    if found.points.shape[1] != 2:
        raise ValueError(f"points of {found.points.shape[1]} dimensions cannot be drawn in a disk; project them to 2 first")
    found.require_finite("the embedding")
    if isinstance(found, PlanePoints):
        return found.points.detach().double().cpu().numpy()
    return (found.tangents() * found.curvature**0.5).detach().cpu().numpy()


def nodes_payload(found: Points) -> dict[str, Any]:
    """Names, tree edges (parent, child), depth and branch of every point. The same for every layer of one tree: see `explorer.payload`."""
    n = len(found.points)
    edges = torch.zeros(2, 0, dtype=torch.int64) if found.edges is None else found.edges
    branch, named = branches(edges, n)
    return {
        "names": pack_json(list(found.labels)),
        "edges": pack(edges.cpu().numpy(), "u16"),
        "depth": None if found.depth is None else pack(found.depth.cpu().numpy(), "u8"),
        "branch": pack(np.where(branch < 0, 255, branch), "u8"),
        "branches": named,
    }


def branches(edges: Tensor, count: int) -> tuple[np.ndarray, list[int]]:
    """The tree in large branches, as a person would colour it: (branch of every node [N], −1 where it has none; top node of each).

    Branches are the largest subtrees of at most s nodes, s chosen so that their sizes say most about a node (highest entropy); there
    are as many as colours, or three times as many where these would leave half of the nodes out.

    Args:
        edges: parent → child, [2, E]; a node with two parents counts below the first.
    """
    children: list[list[int]] = [[] for _ in range(count)]
    parent = np.full(count, -1)
    for above, below in edges.T.tolist():
        if parent[below] < 0:
            parent[below] = above
            children[above].append(below)
    size = np.ones(count, dtype=int)
    for node in reversed(_from_the_top(children, np.flatnonzero(parent < 0).tolist())):
        if parent[node] >= 0:
            size[parent[node]] += size[node]
    tops = _largest(parent, size, MOST_BRANCHES)
    if size[tops].sum() < count / 2:
        tops = _largest(parent, size, 3 * MOST_BRANCHES)
    branch = np.full(count, -1)
    for number, top in enumerate(tops):
        branch[_from_the_top(children, [top])] = number
    return branch, tops


def _largest(parent: np.ndarray, size: np.ndarray, most: int) -> list[int]:
    """The `most` largest of the maximal subtrees of at most s nodes, for the s at which their sizes have the highest entropy."""
    best: tuple[float, list[int]] = (-1.0, [])
    above = np.where(parent >= 0, size[parent], len(size) + 1)
    for s in np.unique(size[size < len(size)]):
        tops = np.flatnonzero((size <= s) & (above > s))
        tops = tops[np.argsort(-size[tops], kind="stable")][:most]
        share = np.append(size[tops], len(size) - size[tops].sum()) / len(size)
        entropy = float(-(share[share > 0] * np.log(share[share > 0])).sum())
        if entropy > best[0]:
            best = (entropy, tops.tolist())
    return best[1]


def _from_the_top(children: list[list[int]], tops: list[int]) -> list[int]:
    order, waiting = [], list(reversed(tops))
    while waiting:
        node = waiting.pop()
        order.append(node)
        waiting += reversed(children[node])
    return order


def unit_disk(found: Points) -> np.ndarray:
    """Where the points are drawn in a disk of radius 1, [N, 2]; the plane is scaled so that 98 % of the points are inside of 0.9."""
    flat = drawn(found)
    size = np.linalg.norm(flat, axis=1, keepdims=True)
    if isinstance(found, PlanePoints):
        return flat * (0.9 / max(float(np.quantile(size, 0.98)), 1e-12))
    return flat * np.divide(np.tanh(size), size, out=np.ones_like(size), where=size > 1e-12)


def _numbers(found: Points) -> dict[str, Any]:
    numbers: dict[str, Any] = {"names": list(found.labels), "points": [[float(f"{v:.9g}") for v in row] for row in found.points.tolist()]}
    if found.edges is not None:
        numbers["edges"] = found.edges.T.tolist()
    if isinstance(found, PoincarePoints):
        numbers |= {"curvature": found.curvature, "radius": [float(f"{v:.6g}") for v in found.radius().tolist()]}
    return numbers


def _marks(found: Points, look: Mapping[str, Any], colour: str, place: Place) -> str:
    """The disk with its tree: straight edges, points by branch."""
    cx, cy, radius = CARD
    at = unit_disk(found) * radius + (cx, cy)
    edges = torch.zeros(2, 0, dtype=torch.int64) if found.edges is None else found.edges
    branch, _ = branches(edges, len(at))
    lines = "".join(f"M{at[a][0]:.1f} {at[a][1]:.1f}L{at[b][0]:.1f} {at[b][1]:.1f}" for a, b in edges.T.tolist()[:CARD_EDGES])
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4" fill="{CARD_COLOURS[b % MOST_BRANCHES] if b >= 0 else "#fff"}"/>'
        for (x, y), b in list(zip(at, branch, strict=True))[:CARD_POINTS]
    )
    rim = f'<circle cx="{cx}" cy="{cy}" r="{radius}" fill="#111a28" stroke="#8fa3bd" stroke-width="1.5"/>'
    return f'{rim}<path d="{lines}" stroke="#8fa3bd" stroke-width="0.6" fill="none" opacity="0.7"/>{dots}'


def _figure(structures: Structures, shown: np.ndarray, title: str) -> Any:
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle

    found = structures["points"]
    assert isinstance(found, (PoincarePoints, PlanePoints))
    at = unit_disk(found)
    figure = Figure(figsize=(6.4, 6.8))
    axes = figure.add_subplot()
    edges = torch.zeros(2, 0, dtype=torch.int64) if found.edges is None else found.edges
    branch, _ = branches(edges, len(at))
    hyperbolic = isinstance(found, PoincarePoints)
    lines = [geodesic(at[a], at[b]) if hyperbolic else np.stack([at[a], at[b]]) for a, b in edges.T.tolist()]
    axes.add_collection(LineCollection(lines, colors="#8b95a3", linewidths=0.5))
    axes.scatter(at[:, 0], at[:, 1], s=9, c=[CARD_COLOURS[b % MOST_BRANCHES] if b >= 0 else "#333333" for b in branch], zorder=2)
    if hyperbolic:
        axes.add_patch(Circle((0, 0), 1, fill=False, color="#333333", linewidth=1))
        axes.set(xlim=(-1.02, 1.02), ylim=(-1.02, 1.02))
    # On a page y grows downwards.
    axes.invert_yaxis()
    axes.set_aspect("equal")
    axes.axis("off")
    axes.set_title(title)
    return figure


def geodesic(x: np.ndarray, y: np.ndarray, steps: int = 24) -> np.ndarray:
    """Points of the geodesic from x to y in the unit disk, [steps, 2]: γ(t) = x ⊕ (t ⊗ ((−x) ⊕ y)), in complex numbers."""
    z, w = complex(*x), complex(*y)
    step = (w - z) / (1 - z.conjugate() * w)
    size = min(abs(step), 1 - 1e-15)
    if size < 1e-15:
        return np.repeat(x[None], steps, 0)
    way = np.tanh(np.linspace(0, 1, steps) * math.atanh(size)) * (step / size)
    found = (z + way) / (1 + z.conjugate() * way)
    return np.stack([found.real, found.imag], 1)


def _files(found: Points) -> Mapping[str, bytes]:
    """The points as a table that every program reads."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["name", *(f"x{i + 1}" for i in range(found.points.shape[1])), "depth"])
    depth = [""] * len(found.points) if found.depth is None else found.depth.tolist()
    for name, row, level in zip(found.labels or range(len(found.points)), found.points.tolist(), depth, strict=True):
        writer.writerow([name, *(f"{value:.17g}" for value in row), level])
    return {"points.csv": table.getvalue().encode()}


def _view(structure: type[Points]) -> View:
    return View(
        structure=structure,
        role="points",
        kind="disk",
        payload=lambda structures, shown: layer_payload(structures),
        numbers=_numbers,
        marks=_marks,
        amount=lambda found: (len(found.points), "points"),
        figure=_figure,
        files=_files,
    )


VIEW, PLANE_VIEW = _view(PoincarePoints), _view(PlanePoints)
