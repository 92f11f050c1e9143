"""A scene → the one JSON string that the canvas reads (version 1, described in `explorer/canvas/README.md`)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np

from explorer import examples
from explorer.exhibit import Controls, Exhibit, Layer, Scene
from explorer.intake import data_uri, webp_uri
from explorer.views import view_of
from explorer.views.arrays import pack, pack_json, pack_scaled

VERSION = 1
YOURS = "yours"


def build(
    exhibit: Exhibit,
    scene: Scene,
    controls: Controls,
    *,
    image: str,
    run: str | None = None,
    state: Mapping[str, Any] | None = None,
    notes: tuple[str, ...] = (),
    request: int | None = None,
    claims: Mapping[str, Any] | None = None,
) -> str:
    """The payload as text.

    Args:
        image: name of the example, "yours", or "" where the exhibit takes no picture.
        run: id for follow-up questions; None for a stored trace.
        state: the look to open with; None keeps the look that the page has.
        request: number of the page's question that this answers, so that a late answer cannot replace a newer one.
        claims: the measured claims, {command, date, rows: [{claim, paper_figure, our_figure, holds, detail}]}.
        notes: further plain remarks (about the picture, the link) to show beside the scene's own.
    """
    extras = {k: v for k, v in scene.extras.items() if k != "depth"}
    payload = {
        "version": VERSION,
        "exhibit": {k: v for k, v in exhibit.describe().items() if k in ("slug", "title", "idea", "paper")}
        | {"wing": {"slug": exhibit.wing.slug, "title": exhibit.wing.title}},
        "run": run,
        "request": request,
        "picture": _picture(scene, image) if exhibit.pictures else None,
        "examples": [
            {"name": e.name, "label": e.label, "thumb": examples.thumb(e.name)} for e in examples.offered(exhibit.slug) if exhibit.pictures
        ],
        "controls": {"widgets": exhibit.controls.widgets(), "values": controls.model_dump()},
        "layers": _nodes_once(_colours_once([_layer(layer, scene) for layer in scene.layers])),
        "measures": pack_json(plain(_measures(scene))),
        "prediction": [[name, round(p, 6)] for name, p in scene.prediction],
        "segments": _segments(scene),
        "depth": scene.extras.get("depth"),
        "notes": [*scene.notes, *notes],
        "claims": claims,
        "story": exhibit.story(),
        "views": list(exhibit.views),
        "cuts": list(exhibit.cuts),
        "extras": extras,
        "state": state,
    }
    return json.dumps(plain(payload), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _picture(scene: Scene, name: str) -> dict[str, Any]:
    shown, seen = webp_uri(scene.shown), _seen(scene.seen)
    return {"name": name, "shown": shown, "seen": None if seen == shown else seen, "side": scene.shown.shape[0]}


def _seen(pixels: np.ndarray) -> str:
    """What the model saw: of a small picture every pixel counts, its colour too; a large one looks like the picture that is shown."""
    return data_uri(pixels, 95) if pixels.shape[0] <= 128 else webp_uri(pixels)


def _layer(layer: Layer, scene: Scene) -> dict[str, Any]:
    group = layer.name
    body: dict[str, Any] = {"name": layer.name, "label": layer.label, "group": group, "maps": {}}
    found = view_of(layer.structures)
    if found is not None:
        body |= {"kind": found[0].kind} | found[0].payload(layer.structures, scene.shown)
    return body


def _colours_once(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The colours of the patches are the same on every layer of a grid: only the first of them carries them."""
    seen = set()
    for body in layers:
        grid = tuple(body.get("grid") or ())
        if grid in seen:
            body["colour"] = None
        elif body.get("colour") is not None:
            seen.add(grid)
    return layers


def _nodes_once(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Points of one tree have the same nodes on every layer: only the first of them carries them."""
    told: list[Any] = []
    for disk in (body["disk"] for body in layers if "disk" in body):
        if disk["nodes"] in told:
            disk["nodes"] = None
        else:
            told.append(disk["nodes"])
    return layers


def _measures(scene: Scene) -> dict[str, Any]:
    """What the measures of all layers have in common (name, unit, formula and source by key), and what each layer measured."""
    found = {m.key: m for measures in scene.measures.values() for m in measures}
    return {
        "words": {key: {"name": m.name, "unit": m.unit, "formula": m.formula, "source": m.source} for key, m in found.items()},
        "layers": {
            layer.name: [{"key": m.key, "value": m.value, "hint": m.hint, "level": m.level} for m in scene.measures.get(layer.name, ())]
            for layer in scene.layers
        },
    }


def _segments(scene: Scene) -> dict[str, Any] | None:
    if scene.labels is None:
        return None
    labels, truth = scene.labels
    return {"grid": list(scene.grid), "labels": pack(np.where(labels < 0, 255, labels).reshape(-1), "u8"), "truth": truth}


def plain(value: Any) -> Any:
    """JSON-ready: floats to six digits, arrays packed in 8 bits (they are for looking at), numpy numbers unwrapped, NaN and infinity as null."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return pack_scaled(value, bits=8)
    if isinstance(value, np.generic):
        return plain(value.item())
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, float):  # six digits are more than anybody reads, and the same on every thread and machine
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
