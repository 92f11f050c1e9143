"""Arrays as the canvas reads them: base64 of little-endian bytes, with type and shape."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

TYPES = {"u8": "<u1", "u16": "<u2", "i32": "<i4", "f32": "<f4"}


def pack(array: Any, kind: str) -> dict[str, Any]:
    """{type, shape, data} of an array or tensor, converted to `kind` (u8, u16, i32 or f32)."""
    values = np.ascontiguousarray(np.asarray(array), dtype=TYPES[kind])
    return {"type": kind, "shape": list(values.shape), "data": base64.b64encode(values.tobytes()).decode("ascii")}


def unpack(packed: dict[str, Any]) -> np.ndarray:
    """The array of `pack`."""
    flat = np.frombuffer(base64.b64decode(packed["data"]), dtype=TYPES[packed["type"]])
    return flat.reshape(packed["shape"])
