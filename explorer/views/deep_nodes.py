"""Features carried along the edges → places of the nodes after every step, for a stage with a slider of depth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from explorer.views.arrays import pack, pack_scaled
from explorer.views.space import principal_axes, projected
from explorer.views.view import Place, View
from models.structures import AbstractGraph, Propagation, Structure

COLOURS = ("#56b4e9", "#e69f00", "#2bc79a", "#e694c3", "#f0e442", "#d5794a", "#9db4ff", "#b5e07a")


def places(hops: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Directions of the features [N, S, C] on the two principal axes of all steps together: [S, N, 2] float32, and what share of the
    variance they explain [2]. The same axes and scale for every step, so that nodes which become alike come together."""
    directions = F.normalize(hops.detach().double(), dim=2).transpose(0, 1)  # [S, N, C]
    flat = directions.reshape(-1, directions.shape[2]).numpy()
    if flat.shape[1] < 2:
        flat = np.concatenate([flat, np.zeros((len(flat), 2 - flat.shape[1]))], 1)
    mean, axes, explained = principal_axes(flat)
    found = projected(flat, mean, axes).reshape(directions.shape[0], directions.shape[1], 2)
    return found.astype(np.float32), explained


def shown_steps(last: int) -> list[int]:
    """The steps that travel to the browser: all up to 16, then ever fewer, and the last one."""
    found = list(range(min(last, 16) + 1))
    while found[-1] < last:
        found.append(min(last, found[-1] + max(1, found[-1] // 8)))
    return found


def layer_payload(structures: Mapping[str, Structure], shown: np.ndarray) -> dict[str, Any]:
    """What the browser needs.

    Args:
        structures: "hops": Propagation; "graph": AbstractGraph whose node_features [N, 2] hold the class and whether it was told.
    """
    hops, graph = structures["hops"], structures["graph"]
    assert isinstance(hops, Propagation)
    assert isinstance(graph, AbstractGraph)
    assert graph.node_features is not None
    sent = shown_steps(hops.hops.shape[1] - 1)
    found, explained = places(hops.hops[:, sent])
    return {
        "at": sent,
        "nodes": graph.num_nodes,
        "edges": pack(graph.edges.numpy(), "u16"),
        "steps": pack_scaled(found, 16),
        "explained": explained.tolist(),
        "rough": hops.roughness().tolist(),
        "classes": pack(graph.node_features[:, 0].numpy(), "u8"),
        "told": pack(graph.node_features[:, 1].numpy(), "u8"),
    }


def numbers(hops: Propagation) -> dict[str, Any]:
    """What the API says."""
    return {"nodes": hops.hops.shape[0], "steps": hops.hops.shape[1] - 1, "roughness": hops.roughness().tolist()}


def files(hops: Propagation) -> dict[str, bytes]:
    """The smoothness after every step."""
    return {"roughness.json": (json.dumps(numbers(hops), indent=1) + "\n").encode()}


def _marks(hops: Propagation, look: Mapping[str, Any], colour: str, place: Place) -> str:
    """Three steps side by side: at first, in the middle, at the end."""
    found, _ = places(hops.hops)
    most = max(float(np.abs(found).max()), 1e-9)
    drawn = []
    for i, step in enumerate((0, len(found) // 4, len(found) - 1)):
        for x, y in found[step][:: max(1, len(found[step]) // 80)] / most * 46:
            drawn.append(f'<circle cx="{58 + 102 * i + x:.1f}" cy="{100 + y:.1f}" r="2.4" fill="{COLOURS[i]}"/>')
    return "".join(drawn)


def figure(structures: Mapping[str, Structure], shown: np.ndarray, title: str) -> Any:
    """Nodes after 0, a quarter, half and all of the steps, on the same axes, and the smoothness by step."""
    from matplotlib.figure import Figure

    hops, graph = structures["hops"], structures["graph"]
    assert isinstance(hops, Propagation)
    assert isinstance(graph, AbstractGraph)
    assert graph.node_features is not None
    found, _ = places(hops.hops)
    made = Figure(figsize=(12, 3), layout="constrained")
    panes = made.subplots(1, 5)
    last = len(found) - 1
    colours = [COLOURS[int(kind) % len(COLOURS)] for kind in graph.node_features[:, 0]]
    for axes, step in zip(panes[:4], sorted({0, last // 4, last // 2, last} | {min(last, 1)})[:4], strict=False):
        axes.scatter(*found[step].T, s=6, c=colours)
        axes.set_xlim(found[..., 0].min(), found[..., 0].max())
        axes.set_ylim(found[..., 1].min(), found[..., 1].max())
        axes.set_title(f"step {step}", fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
    panes[4].plot(hops.roughness().tolist(), color="#0072b2")
    panes[4].set_ylim(bottom=0)
    panes[4].set_xlabel("step")
    panes[4].set_title("mean difference", fontsize=9)
    made.suptitle(title, fontsize=10, x=0.01, ha="left")
    return made


VIEW = View(
    structure=Propagation,
    role="hops",
    kind="deep-nodes",
    payload=layer_payload,
    numbers=numbers,
    marks=_marks,
    amount=lambda hops: (int(hops.hops.shape[1]) - 1, "steps"),
    figure=figure,
    files=files,
)
