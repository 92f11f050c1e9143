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


def pack_scaled(array: Any) -> dict[str, Any]:
    """A float array in 16 bits: {type: "q16", low, high, …}, value = low + (high − low) · code / 65535.

    Half the size of float32; the error is at most (high − low) / 131070.
    """
    values = np.asarray(array, dtype=np.float64)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    code = np.rint((values - low) / ((high - low) or 1) * 65535)
    return {**pack(code, "u16"), "type": "q16", "low": low, "high": high}


def unpack(packed: dict[str, Any]) -> np.ndarray:
    """The array of `pack` or `pack_scaled`."""
    scaled = packed["type"] == "q16"
    flat = np.frombuffer(base64.b64decode(packed["data"]), dtype=TYPES["u16" if scaled else packed["type"]])
    if scaled:
        flat = (packed["low"] + (packed["high"] - packed["low"]) * (flat / 65535)).astype(np.float32)
    return flat.reshape(packed["shape"])
