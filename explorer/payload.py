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
from explorer.intake import data_uri
from explorer.views import view_of
from explorer.views.arrays import pack, pack_scaled

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
        image: name of the example, or "yours".
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
        "picture": {"name": image, "shown": data_uri(scene.shown, 82), "seen": data_uri(scene.seen, 95), "side": scene.shown.shape[0]},
        "examples": [{"name": e.name, "label": e.label, "thumb": examples.thumb(e.name)} for e in examples.examples().values()],
        "controls": {"widgets": exhibit.controls.widgets(), "values": controls.model_dump()},
        "layers": [_layer(layer, scene) for layer in scene.layers],
        "measures": _words(scene),
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


def _layer(layer: Layer, scene: Scene) -> dict[str, Any]:
    group = layer.name
    body: dict[str, Any] = {"name": layer.name, "label": layer.label, "group": group, "maps": {}}
    found = view_of(layer.structures)
    if found is not None:
        body |= {"kind": found[0].kind} | found[0].payload(layer.structures, scene.shown)
    measures = scene.measures.get(layer.name, ())
    body["measures"] = [{"key": m.key, "value": m.value, "hint": m.hint, "level": m.level} for m in measures]
    return body


def _words(scene: Scene) -> dict[str, dict[str, str]]:
    """What the measures of all layers have in common: name, unit, formula and source by key."""
    found = {m.key: m for measures in scene.measures.values() for m in measures}
    return {key: {"name": m.name, "unit": m.unit, "formula": m.formula, "source": m.source} for key, m in found.items()}


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
