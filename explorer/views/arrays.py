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


def pack_scaled(array: Any, bits: int = 16) -> dict[str, Any]:
    """A float array in 8 or 16 bits: {type: "q8" or "q16", low, high, …}, value = low + (high − low) · code / (2^bits − 1).

    The error is at most (high − low) / (2^(bits+1) − 2).
    """
    values = np.asarray(array, dtype=np.float64)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    code = np.rint((values - low) / ((high - low) or 1) * (2**bits - 1))
    return {**pack(code, f"u{bits}"), "type": f"q{bits}", "low": low, "high": high}


def unpack(packed: dict[str, Any]) -> np.ndarray:
    """The array of `pack` or `pack_scaled`."""
    bits = {"q8": 8, "q16": 16}.get(packed["type"])
    flat = np.frombuffer(base64.b64decode(packed["data"]), dtype=TYPES[f"u{bits}" if bits else packed["type"]])
    if bits:
        flat = (packed["low"] + (packed["high"] - packed["low"]) * (flat / (2**bits - 1))).astype(np.float32)
    return flat.reshape(packed["shape"])
