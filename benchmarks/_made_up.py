"""A payload that no model made: a drawn scene and graphs over its patch colours, for any grid and number of layers.

It shows the canvas at sizes and with texts that the shipped exhibits do not have.
"""

from __future__ import annotations

import base64
import io
import math
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from explorer.views.arrays import pack, pack_json, pack_scaled, unpack

VIEWS = ("why", "matrix", "degree", "length", "threshold", "space", "layout", "depth", "attribution")


def payload(grid: int = 14, layers: int = 12, k: int = 9, width: int = 18) -> dict[str, Any]:
    """Layers of nearest neighbours on `grid` × `grid` patches, then one with pooled keys and one with a threshold.

    Args:
        k: edges per patch; `width` candidates are sent, so that the sliders have room.
    """
    scene = _scene(448)
    shown = Image.fromarray(scene)
    size = (grid, grid)
    colours = _features(shown, size)
    found = [_nearest(f"block {i + 1}", colours, size, size, k, width, i) for i in range(layers)]
    if grid >= 4:
        half = (grid // 2, grid // 2)
        found.append(_nearest("pooled keys", colours, size, half, min(k, half[0] * half[1] // 2), width, 1, _features(shown, half)))
    found.append(_threshold("greedy axes", colours, size, 2))
    middle = grid * (grid // 2) + grid // 2
    thumb = _uri(shown.resize((48, 48)))
    return {
        "version": 1,
        "run": None,
        "exhibit": {
            "slug": "made-up",
            "title": "Made up",
            "idea": "Graphs over the patch colours of a drawn scene.",
            "wing": {"slug": "none", "title": "No wing"},
            "paper": {"title": "No paper", "authors": "Nobody", "venue": "Nowhere 2024", "url": "", "theirs": "nothing", "ours": "all"},
        },
        "picture": {"name": "scene", "shown": _uri(shown), "seen": _uri(shown.resize((64, 64))), "side": 448},
        "examples": [{"name": name, "label": name, "thumb": thumb} for name in ("scene", "other")],
        "controls": {
            "widgets": [
                {"name": "way", "label": "Way", "hint": "A choice.", "kind": "choice", "options": ["one", "two"], "value": "one"},
                {"name": "much", "label": "Much", "hint": "A number.", "kind": "range", "min": 0, "max": 9, "step": 1, "value": 3},
                {"name": "exact", "label": "Exact", "hint": "On or off.", "kind": "switch", "value": False, "advanced": True},
            ],
            "values": {"way": "one", "much": 3, "exact": False},
        },
        "layers": found,
        "measures": pack_json(
            {
                "words": {
                    "edges": {"name": "Edges", "unit": "edges", "formula": "Σ A", "source": "own"},
                    "hubs": {"name": "Hubs", "unit": "share", "formula": "max / Σ", "source": "own"},
                },
                "layers": {layer["name"]: _measures(layer) for layer in found},
            }
        ),
        "prediction": [["disc", 0.6], ["meadow", 0.2], ["sky", 0.1], ["tower", 0.06], ["dog", 0.04]],
        "segments": {"grid": list(size), "labels": pack((colours[:, 0] > 0.5).astype(int), "u8"), "truth": False},
        "depth": None,
        "notes": ["Nobody trained this."],
        "story": [
            {"title": "One patch", "text": "It listens to patches of its colour.", "highlight": "canvas", "state": _look(0, middle)},
            {"title": "All edges", "text": "Every edge of this layer at once.", "highlight": "film", "state": _look(0, middle, all=True)},
        ],
        "views": list(VIEWS),
        "cuts": ["edges", "patch"],
        "extras": {},
        "state": None,
    }


def _look(layer: int, pin: int, **more: Any) -> dict[str, Any]:
    return {"look": {"layer": layer, "pins": [pin], "direction": "in", **more}}


def _scene(side: int) -> np.ndarray:
    """Sky, ground, a disc and a tower, uint8 [side, side, 3]."""
    sky = np.linspace((79, 134, 198), (207, 227, 242), int(side * 0.6))
    ground = np.linspace((92, 122, 58), (51, 73, 31), side - len(sky))
    image = Image.fromarray(np.repeat(np.concatenate([sky, ground])[:, None], side, axis=1).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    draw.ellipse([side * f for f in (0.22, 0.32, 0.62, 0.72)], fill="#d9482b")
    draw.rectangle([side * f for f in (0.66, 0.3, 0.82, 0.66)], fill="#f4d35e")
    return np.asarray(image)


def _uri(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _features(image: Image.Image, grid: tuple[int, int]) -> np.ndarray:
    """Mean colour of every patch, [N, 3] in 0..1."""
    small = image.resize((grid[1], grid[0]), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32).reshape(-1, 3) / 255


def _nearest(
    name: str,
    targets: np.ndarray,
    grid: tuple[int, int],
    key_grid: tuple[int, int],
    k: int,
    width: int,
    seed: int,
    sources: np.ndarray | None = None,
) -> dict[str, Any]:
    """Candidates by colour, disturbed a little so that no two layers are alike."""
    noise = np.random.default_rng(seed).normal(0, 0.04, (2, max(len(targets), 1), 3)).astype(np.float32)
    x = targets + noise[0]
    y = x if sources is None else sources + noise[1, : len(sources)]
    distance = ((x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T).clip(0)
    order = np.argsort(distance, axis=1, kind="stable")[:, : min(width, len(y))]
    kept = np.zeros(order.shape, int)
    kept[:, :k] = 1
    rule = {"name": "nearest", "k": k, "dilation": 1}
    share = np.random.default_rng(seed).integers(1, 80, order.shape) * kept  # only an edge wins channels
    return _layer(name, grid, key_grid, rule, order, kept, np.take_along_axis(distance, order, 1), targets, share)


def _threshold(name: str, colours: np.ndarray, grid: tuple[int, int], step: int) -> dict[str, Any]:
    """Every `step`-th patch of the own column and row, rolled over the border; kept when closer than usual."""
    rows, cols = np.divmod(np.arange(grid[0] * grid[1]), grid[1])
    down = [((rows - s) % grid[0]) * grid[1] + cols for s in range(step, grid[0], step)]
    right = [rows * grid[1] + (cols - s) % grid[1] for s in range(step, grid[1], step)]
    order = np.stack(down + right, axis=1)
    distance = np.abs(colours[:, None] - colours[order]).sum(-1)
    mean, deviation = float(distance.mean()), float(distance.std())
    rule = {"name": "axial-threshold", "step": step, "multiplier": 0.5, "mean": mean, "std": deviation, "p": 1}
    kept = distance.astype(np.float32) < np.float32(mean - 0.5 * deviation)
    layer = _layer(name, grid, grid, rule, order, kept, distance, colours, None)
    return {**layer, "sample": pack_scaled(distance.ravel()[:2048])}


def _layer(
    name: str,
    grid: tuple[int, int],
    key_grid: tuple[int, int],
    rule: dict[str, Any],
    candidates: np.ndarray,
    kept: np.ndarray,
    distance: np.ndarray,
    colours: np.ndarray,
    share: np.ndarray | None,
) -> dict[str, Any]:
    centred = colours - colours.mean(0)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    explained = (values**2 / max(1e-12, float((values**2).sum())))[:2]
    return {
        "name": name,
        "label": f"{name[0].upper()}{name[1:]} · {grid[0]} × {grid[1]}",
        "group": name,
        "grid": list(grid),
        "keyGrid": list(key_grid),
        "rule": rule,
        "candidates": pack(candidates, "u8" if key_grid[0] * key_grid[1] <= 256 else "u16"),
        "kept": pack(kept, "u8"),
        "distance": pack_scaled(distance, bits=12, sorted_rows=True) if rule["name"] == "nearest" else pack_scaled(distance),
        "position": None,
        "share": None if share is None else pack(share, "u8"),
        "sample": None,
        "pca": {"points": pack_scaled(centred @ axes[:2].T, bits=12), "explained": [float(v) for v in explained]},
        "colour": pack((colours * 255).round(), "u8"),
        "maps": {"brightness": pack(colours.mean(1), "f32")},
    }


def _measures(layer: dict[str, Any]) -> list[dict[str, Any]]:
    kept = unpack(layer["kept"])
    return [
        {"key": "edges", "value": float(kept.sum()), "hint": "So many edges.", "level": "good"},
        {"key": "hubs", "value": 1 / math.sqrt(len(kept)), "hint": "Somebody is read often.", "level": "watch"},
    ]
