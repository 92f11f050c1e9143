"""Arrays and texts as the canvas reads them: base64 of little-endian bytes, deflated where that is shorter."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import numpy as np

TYPES = {"u8": "<u1", "u16": "<u2", "i32": "<i4", "f32": "<f4"}
_CODES = {8: "u8", 12: "u16", 16: "u16"}  # what carries a float in so many bits


def pack(array: Any, kind: str) -> dict[str, Any]:
    """{type, shape, data} of an array or tensor, converted to `kind` (u8, u16, i32 or f32)."""
    values = np.ascontiguousarray(np.asarray(array), dtype=TYPES[kind])
    return {"type": kind, "shape": list(values.shape), **_shortest(values.tobytes())}


def pack_scaled(array: Any, bits: int = 16, *, sorted_rows: bool = False) -> dict[str, Any]:
    """A float array in 8, 12 or 16 bits: {type: "q8", "q12" or "q16", low, high, …}, value = low + (high − low) · code / (2^bits − 1).

    The error is at most (high − low) / (2^(bits+1) − 2); the order of two values is never turned round.

    Args:
        sorted_rows: the values grow along the last axis, so that the steps between them say the same in fewer bytes.

    At most 256 different values travel as a number each, and a list of them behind.
    """
    values = np.asarray(array, dtype=np.float64)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    code = np.rint((values - low) / ((high - low) or 1) * (2**bits - 1)).astype(TYPES[_CODES[bits]])
    if bits > 8 and sorted_rows and code.size:
        body = {"coding": "steps", "data": _base64(_deflated(_steps(code)))}
    elif bits > 8 and code.size > 1024 and len(levels := np.unique(code)) <= 256:
        numbers = np.searchsorted(levels, code).astype("u1").tobytes()
        body = {"coding": "levels", "data": _base64(_deflated(numbers + levels.tobytes()))}
    else:
        body = _shortest(np.ascontiguousarray(code).tobytes())
    return {"type": f"q{bits}", "shape": list(code.shape), **body, "low": low, "high": high}


def pack_json(value: Any) -> dict[str, Any]:
    """{type: "json", data} of anything that JSON can hold: sentences that resemble each other become short."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return {"type": "json", "coding": "deflate", "data": _base64(_deflated(text.encode("utf-8")))}


def unpack(packed: dict[str, Any]) -> Any:
    """The array of `pack` or `pack_scaled`, or the value of `pack_json`."""
    data, kind = base64.b64decode(packed["data"]), packed["type"]
    if "coding" in packed:
        data = zlib.decompress(data, -15)
    if kind == "json":
        return json.loads(data)
    bits = int(kind[1:]) if kind[0] == "q" else 0
    count = int(np.prod(packed["shape"]))
    if packed.get("coding") == "levels":
        flat = np.frombuffer(data[count:], "<u2")[np.frombuffer(data[:count], "u1")]
    elif packed.get("coding") == "steps":
        flat = _summed(data, packed["shape"])
    else:
        flat = np.frombuffer(data, dtype=TYPES[_CODES[bits] if bits else kind])
    if bits:
        flat = (packed["low"] + (packed["high"] - packed["low"]) * (flat / (2**bits - 1))).astype(np.float32)
    return flat.reshape(packed["shape"])


def _steps(code: np.ndarray) -> bytes:
    """Differences along the last axis modulo 2^16: first all their low bytes, then all their high bytes."""
    return np.diff(code, axis=-1, prepend=np.zeros_like(code[..., :1])).astype("<u2").view("u1").reshape(-1, 2).T.tobytes()


def _summed(data: bytes, shape: list[int]) -> np.ndarray:
    steps = np.ascontiguousarray(np.frombuffer(data, "u1").reshape(2, -1).T).view("<u2").reshape(shape)
    return np.cumsum(steps, axis=-1, dtype=np.uint16)


def _shortest(raw: bytes) -> dict[str, str]:
    short = _deflated(raw) if len(raw) > 64 else raw
    return {"coding": "deflate", "data": _base64(short)} if len(short) < len(raw) else {"data": _base64(raw)}


def _deflated(raw: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(raw) + packer.flush()


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
