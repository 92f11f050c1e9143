"""The drawing on a gallery card: the picture and the edges of one patch, as a small SVG."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from explorer.exhibit import Scene
from explorer.intake import data_uri
from models.structures import PatchGraph

WIDTH, HEIGHT = 320, 200


def card(scene: Scene, look: Mapping[str, Any]) -> str:
    """SVG text. `look` names the layer, the pinned patch and, to show two graphs at once, the layer to compare with."""
    wide = scene.shown.shape[0] * HEIGHT // WIDTH
    top = (scene.shown.shape[0] - wide) // 2
    crop = Image.fromarray(scene.shown[top : top + wide]).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    layers = [look.get("layer", 0), look.get("compare")]
    colours = ("#ffb000", "#4da3ff")
    lines = "".join(
        _lines(scene, layer, look.get("pins", []), colour, top) for layer, colour in zip(layers, colours, strict=True) if layer is not None
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="xMidYMid slice">'
        f'<image href="{data_uri(np.asarray(crop), 80)}" width="{WIDTH}" height="{HEIGHT}"/>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#0b1320" opacity="0.45"/>{lines}</svg>'
    )


def _lines(scene: Scene, layer: int, pins: list[int], colour: str, top: int) -> str:
    graph = scene.layers[layer].structures.get("graph")
    if not isinstance(graph, PatchGraph):
        return ""
    source, target = graph.edge_index().tolist()
    drawn = []
    for pin in pins:
        x, y = _centre(pin, graph.grid, scene, top)
        for s, t in zip(source, target, strict=True):
            if t == pin:
                u, v = _centre(s, graph.key_grid, scene, top)
                drawn.append(f'<path d="M{u:.1f} {v:.1f}L{x:.1f} {y:.1f}"/><circle cx="{u:.1f}" cy="{v:.1f}" r="3.4" fill="{colour}"/>')
        drawn.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="#fff" stroke="{colour}" stroke-width="3"/>')
    return f'<g stroke="{colour}" stroke-width="2" fill="none">{"".join(drawn)}</g>'


def _centre(patch: int, grid: tuple[int, int], scene: Scene, top: int) -> tuple[float, float]:
    side, scale = scene.shown.shape[0], WIDTH / scene.shown.shape[0]
    row, col = divmod(patch, grid[1])
    return (col + 0.5) * side / grid[1] * scale, ((row + 0.5) * side / grid[0] - top) * scale
