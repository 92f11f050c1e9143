"""A WeightField → the canvas payload of one tensor, the API's numbers, the card's marks, a figure to take home."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from explorer.views.arrays import pack_scaled
from explorer.views.view import Place, Structures, View
from models.structures import WeightField


def middle_tap(field: WeightField) -> int:
    """Number of the middle value of a kernel."""
    height, width = field.kernel
    return (height // 2) * width + width // 2


def layer_payload(structures: Structures, shown: np.ndarray) -> dict[str, Any]:
    """The part of a layer's payload that its field decides.

    Values are multiplied by the number of inputs: the function itself, which is the same for all widths up to the size
    coordinates, while weights shrink as inputs grow. `dense` is one tap, [R, C]; `lattice` holds all of them, [N0, N1, T].
    """
    field = structures["field"]
    assert isinstance(field, WeightField)
    inputs = len(field.lattice_columns)
    tap = middle_tap(field)
    return {
        "maps": {},
        "field": {
            "tensor": field.layer,
            "kernel": list(field.kernel),
            "size": list(field.size),
            "tap": tap,
            "dense": dense(field, tap),
            "lattice": pack_scaled(_array(field.lattice_values) * inputs, bits=8),
        },
    }


def dense(field: WeightField, tap: int) -> dict[str, Any]:
    """One tap of the function on the dense grid, q8 [R, C], times the number of inputs."""
    return pack_scaled(_array(field.values[:, :, tap]) * len(field.lattice_columns), bits=8)


def _numbers(field: WeightField) -> dict[str, Any]:
    values = field.lattice_values
    return {
        "tensor": field.layer,
        "shape": [len(field.lattice_rows), len(field.lattice_columns), *field.kernel],
        "size": list(field.size),
        "mean": float(values.mean()),
        "std": float(values.std(correction=0)),
        "largest": float(values.abs().max()),
    }


def _marks(field: WeightField, look: Mapping[str, Any], colour: str, place: Place) -> str:
    """The field as a heat map that fills the card, and the lattice on it."""
    from matplotlib import colormaps  # slow to import, and a card is drawn once
    from PIL import Image

    values = _array(field.values[:, :, middle_tap(field)])
    most = float(np.abs(values).max()) or 1.0
    shades = (255 * colormaps["PuOr_r"](0.5 + values / (2 * most))[..., :3]).round().astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(shades).save(stream, "PNG")
    picture = f'<image href="data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}" width="320" height="200" preserveAspectRatio="none"/>'
    dots = [
        f'<circle cx="{320 * b:.1f}" cy="{200 * a:.1f}" r="2.4" fill="#fff" stroke="#111"/>'
        for a in field.lattice_rows.tolist()
        for b in field.lattice_columns.tolist()
    ]
    return picture + "".join(dots)


def _figure(structures: Structures, shown: np.ndarray, title: str) -> Any:
    """The field and its lattice as a vector figure."""
    from matplotlib.figure import Figure

    field = structures["field"]
    assert isinstance(field, WeightField)
    inputs, tap = len(field.lattice_columns), middle_tap(field)
    values = _array(field.values[:, :, tap]) * inputs
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=10)
    if values.shape[1] == 1:
        axes.plot(_array(field.rows), values[:, 0], color="#0072b2")
        axes.plot(_array(field.lattice_rows), _array(field.lattice_values[:, 0, tap]) * inputs, "o", color="#d55e00")
        axes.set_xlabel("place of the output channel, a / N₀")
        axes.set_ylabel("weight × inputs")
        return figure
    most = float(np.abs(values).max()) or 1.0
    picture = axes.imshow(values, cmap="PuOr_r", vmin=-most, vmax=most, extent=(0, 1, 1, 0), aspect="equal", interpolation="bilinear")
    x, y = np.meshgrid(_array(field.lattice_columns), _array(field.lattice_rows))
    axes.plot(x.ravel(), y.ravel(), "o", markersize=2.5, color="white", markeredgecolor="black", markeredgewidth=0.5)
    axes.set_xlabel("place of the input channel, b / N₁")
    axes.set_ylabel("place of the output channel, a / N₀")
    figure.colorbar(picture, ax=axes, label="weight × inputs, middle of the kernel")
    return figure


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()


VIEW = View(
    structure=WeightField,
    role="field",
    kind="weight-field",
    payload=layer_payload,
    numbers=_numbers,
    marks=_marks,
    amount=lambda field: (int(field.lattice_values.flatten(1).abs().sum(1).count_nonzero()), "channels"),
    figure=_figure,
)
