"""Features between two Poincaré layers → a map of their hyperbolic radius over the picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from explorer.views.arrays import pack, pack_scaled
from explorer.views.patch_graph import patch_colours
from explorer.views.view import Place, Structures, View
from models.structures import TangentField


def layer_payload(structures: Structures, shown: np.ndarray, picture: int = 0) -> dict[str, Any]:
    """The part of a layer's payload that its features decide: the map `radius` (2‖t‖ of every position), the clip, the share that is at it."""
    found = structures["field"]
    assert isinstance(found, TangentField)
    radius = found.radius[picture].detach().double().cpu().numpy().reshape(-1)
    return {
        "grid": list(found.grid),
        "colour": pack(patch_colours(shown, found.grid), "u8"),
        "maps": {"radius": pack_scaled(radius, bits=8)},
        "field": {
            "curvature": found.curvature,
            "limit": 2 * found.limit,
            "median": float(np.median(radius)),
            "clipped": float(found.saturated()[picture].double().mean()),
            "channels": found.tangents.shape[1],
        },
    }


def _numbers(found: TangentField) -> dict[str, Any]:
    return {
        "grid": found.grid,
        "curvature": found.curvature,
        "limit": 2 * found.limit,
        "radius": [[float(f"{value:.4g}") for value in row] for row in found.radius[0].tolist()],
    }


def _marks(found: TangentField, look: Mapping[str, Any], colour: str, place: Place) -> str:
    """Cells that lie farther out than most, the brighter the farther."""
    radius = found.radius[0].detach().reshape(-1).tolist()
    most = max(radius) or 1.0
    (x0, y0), (x1, y1) = place(0, found.grid), place(len(radius) - 1, found.grid)
    width, height = (x1 - x0) / max(found.grid[1] - 1, 1), (y1 - y0) / max(found.grid[0] - 1, 1)
    cells = []
    for patch, value in enumerate(radius):
        x, y = place(patch, found.grid)
        box = f'x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height:.1f}"'
        cells.append(f'<rect {box} fill="{colour}" opacity="{0.75 * value / most:.2f}"/>')
    return "".join(cells)


VIEW = View(
    structure=TangentField,
    role="field",
    kind="field",
    payload=lambda structures, shown: layer_payload(structures, shown),
    numbers=_numbers,
    marks=_marks,
    amount=lambda found: (found.grid[0] * found.grid[1], "positions"),
)
