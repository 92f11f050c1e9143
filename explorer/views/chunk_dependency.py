"""A ChunkDependency → the canvas payload of one hypernetwork, the API's numbers, the card's marks, a figure to take home."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from explorer.views.arrays import pack
from explorer.views.space import pca
from explorer.views.view import Place, Structures, View
from models.structures import ChunkDependency


def layer_payload(structures: Structures, shown: np.ndarray) -> dict[str, Any]:
    """The part of a layer's payload that its dependencies decide."""
    found = structures["dependency"]
    assert isinstance(found, ChunkDependency)
    return {"maps": {}, "chunks": chunks_payload(found)}


def chunks_payload(found: ChunkDependency) -> dict[str, Any]:
    """The matrix, the walks of the hidden state and the embeddings of the tasks, each in its plane of two principal components."""
    tasks, count, units = found.states.shape
    walks = None
    if units:
        points, explained = pca(_array(found.states.flatten(0, 1)))
        walks = {"points": pack(points.reshape(tasks, count, 2), "f32"), "explained": explained.tolist()}
    embedded, share = pca(_array(found.embeddings))
    return {
        "matrix": pack(_array(found.matrix), "f32"),
        "names": list(found.names),
        "chunkOf": pack(found.chunk_of.numpy(), "u8"),
        "walks": walks,
        "embeddings": pack(embedded, "f32"),
        "explained": share.tolist(),
        "distance": pack(_array((found.embeddings[:, None] - found.embeddings).norm(dim=2)), "f32"),
    }


def _numbers(found: ChunkDependency) -> dict[str, Any]:
    return {
        "chunks": len(found.matrix),
        "dependency": [[float(f"{v:.4g}") for v in row] for row in found.matrix.tolist()],
        "tensors": list(found.names),
    }


def _marks(found: ChunkDependency, look: Mapping[str, Any], colour: str, place: Place) -> str:
    """The matrix as squares whose side is the square root of the entry."""
    matrix = _array(found.matrix)
    side = 180 / len(matrix)
    most = float(matrix.max()) or 1.0
    cells = []
    for row in range(len(matrix)):
        for column in range(len(matrix)):
            size = side * float(np.sqrt(matrix[row, column] / most))
            if size > 0.2:
                x, y = 70 + (column + 0.5) * side - size / 2, 10 + (row + 0.5) * side - size / 2
                cells.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{size:.1f}" height="{size:.1f}" fill="{colour}"/>')
    return "".join(cells)


def _figure(structures: Structures, shown: np.ndarray, title: str) -> Any:
    """The dependency matrix."""
    from matplotlib.figure import Figure

    found = structures["dependency"]
    assert isinstance(found, ChunkDependency)
    figure = Figure(figsize=(5.6, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=10)
    picture = axes.imshow(_array(found.matrix), cmap="viridis", vmin=0)
    axes.set_xlabel("embedding of chunk k")
    axes.set_ylabel("chunk l of the weights")
    figure.colorbar(picture, ax=axes, label="‖∂W_l / ∂c_k‖")
    return figure


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()


VIEW = View(
    structure=ChunkDependency,
    role="dependency",
    kind="task-weights",
    payload=layer_payload,
    numbers=_numbers,
    marks=_marks,
    amount=lambda found: (len(found.matrix), "chunks"),
    figure=_figure,
)
