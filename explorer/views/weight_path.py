"""A WeightPath → the canvas payload of one hypernetwork, the API's numbers, the card's marks, a figure to take home."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer.views.arrays import pack, pack_scaled
from explorer.views.view import Place, Structures, View
from models.structures import WeightPath

BINS = 48


def layer_payload(structures: Structures, shown: np.ndarray) -> dict[str, Any]:
    """The part of a layer's payload that its path decides."""
    path = structures["path"]
    assert isinstance(path, WeightPath)
    return {"maps": {}, "path": path_payload(path)}


def path_payload(path: WeightPath) -> dict[str, Any]:
    """What the browser draws: sizes, a histogram of the weights, and the path in the plane, all along γ.

    `plane` holds θ(γ) − θ₀ in the two directions in which it is longest; θ₀ lies in the origin. `low`, `high`: ends of the histogram.
    """
    points, explained = plane(path)
    spread = 3.5 * float(path.weights.std(1, correction=0).max()) or 1.0
    counts = np.stack([np.histogram(row, BINS, (-spread, spread))[0] for row in _array(path.weights)])
    return {
        "inputs": pack(_array(path.inputs), "f32"),
        "encoded": pack(_array(path.encoded), "f32"),
        "size": pack(_array(path.weights.std(1, correction=0)), "f32"),
        "tensors": list(path.names),
        "std": pack(_array(path.std()), "f32"),
        "counts": pack(counts, "u16"),
        "range": [-spread, spread],
        "weights": int(path.weights.shape[1]),
        "plane": pack_scaled(points),
        "explained": explained,
        "base": float(path.base.std(correction=0)),
        "layers": list(path.layers),
        "activation": pack(_array(path.activation), "f32"),
    }


def plane(path: WeightPath) -> tuple[np.ndarray, list[float]]:
    """θ(γ) − θ₀ along its two longest directions, [G, 2], and the share of its squared length that each holds."""
    change = (path.weights - path.base).double()
    _, sigma, directions = torch.linalg.svd(change, full_matrices=False)
    directions = directions[:2]
    directions = directions * directions.gather(1, directions.abs().argmax(1, keepdim=True)).sign()
    power = sigma.square()
    share = (power[:2] / power.sum()).tolist() if power.sum() > 0 else [0.0, 0.0]
    return _array(change @ directions.T), share


def _numbers(path: WeightPath) -> dict[str, Any]:
    return {
        "inputs": path.inputs.tolist(),
        "norm_of_encoded": torch.linalg.vector_norm(path.encoded, dim=1).tolist(),
        "std": dict(zip(path.names, path.std().T.tolist(), strict=True)),
        "activation_std": dict(zip(path.layers, path.activation.T.tolist(), strict=True)),
    }


def _marks(path: WeightPath, look: Mapping[str, Any], colour: str, place: Place) -> str:
    """The path in its plane, and θ₀ as a cross."""
    points, _ = plane(path)
    most = float(np.abs(points).max()) or 1.0
    at = [(160 + 130 * x / most, 100 - 85 * y / most) for x, y in points]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in at[::4])
    return f'<path d="M152 100h16M160 92v16" stroke="#fff" stroke-width="2"/><polyline points="{line}" fill="none" stroke="{colour}" stroke-width="3"/>{dots}'


def _figure(structures: Structures, shown: np.ndarray, title: str) -> Any:
    """Size of every generated tensor along γ, and the path in its plane."""
    from matplotlib.figure import Figure

    path = structures["path"]
    assert isinstance(path, WeightPath)
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    figure.suptitle(title, fontsize=10)
    left, right = figure.subplots(1, 2)
    for name, column in zip(path.names, _array(path.std()).T, strict=True):
        left.plot(_array(path.inputs), column, label=name)
    left.set_xlabel("γ")
    left.set_ylabel("standard deviation of the generated tensor")
    left.legend(fontsize=7)
    points, share = plane(path)
    right.plot(points[:, 0], points[:, 1], "-o", markersize=3)
    right.plot(0, 0, "k+", markersize=10)
    right.set_aspect("equal")
    right.set_xlabel(f"θ(γ) − θ₀, first direction ({share[0]:.1%} of the squared length)")
    right.set_ylabel(f"second ({share[1]:.1%})")
    return figure


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()


VIEW = View(
    structure=WeightPath,
    role="path",
    kind="weight-path",
    payload=layer_payload,
    numbers=_numbers,
    marks=_marks,
    amount=lambda path: (path.weights.shape[1], "weights"),
    figure=_figure,
)
