"""The drawing on a gallery card: the picture and the marks of one layer, as a small SVG."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from explorer.exhibit import Scene
from explorer.intake import data_uri
from explorer.views import view_of

WIDTH, HEIGHT = 320, 200


def card(scene: Scene, look: Mapping[str, Any]) -> str:
    """SVG text. `look` names the layer, the pinned patch and, to show two graphs at once, the layer to compare with."""
    if not scene.shown.size:
        return _svg(f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#0b1320"/>{_drawing(scene, look)}')
    wide = scene.shown.shape[0] * HEIGHT // WIDTH
    top = (scene.shown.shape[0] - wide) // 2
    crop = Image.fromarray(scene.shown[top : top + wide]).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    layers = [look.get("layer", 0), look.get("compare")]
    colours = ("#ffb000", "#4da3ff")
    marks = "".join(_marks(scene, layer, look, colour, top) for layer, colour in zip(layers, colours, strict=True) if layer is not None)
    return _svg(
        f'<image href="{data_uri(np.asarray(crop), 80)}" width="{WIDTH}" height="{HEIGHT}"/>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#0b1320" opacity="0.45"/>{marks}'
    )


def _svg(inside: str) -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="xMidYMid slice">{inside}</svg>'


def _drawing(scene: Scene, look: Mapping[str, Any]) -> str:
    """The marks of a layer that lies on no picture; its view takes places 0…WIDTH, 0…HEIGHT as they are."""
    found = view_of(scene.layers[look.get("layer", 0)].structures)
    return found[0].marks(found[1], look, "#ffb000", lambda patch, grid: (0.0, 0.0)) if found else ""


def _marks(scene: Scene, layer: int, look: Mapping[str, Any], colour: str, top: int) -> str:
    found = view_of(scene.layers[layer].structures)
    if found is None:
        return ""
    view, structure = found
    side, scale = scene.shown.shape[0], WIDTH / scene.shown.shape[0]

    def place(patch: int, grid: tuple[int, int]) -> tuple[float, float]:
        row, col = divmod(patch, grid[1])
        return (col + 0.5) * side / grid[1] * scale, ((row + 0.5) * side / grid[0] - top) * scale

    return view.marks(structure, look, colour, place)
