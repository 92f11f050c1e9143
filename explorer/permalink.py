"""Page states as text in an address: JSON → raw deflate → base64url, with a version and hard limits.

{"v": 1, "i": image name, "c": changed controls, "l": changed look}
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_TEXT = 4_000
MAX_BYTES = 64_000
VERSION = 1


@dataclass(frozen=True)
class State:
    """What a link asks for. `notices` say in plain words what could not be honoured."""

    image: str | None = None
    controls: Mapping[str, Any] = field(default_factory=dict)
    look: Mapping[str, Any] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


def encode(image: str | None, controls: Mapping[str, Any], look: Mapping[str, Any]) -> str:
    """The text of a state, without padding."""
    text = json.dumps({"v": VERSION, "i": image, "c": dict(controls), "l": dict(look)}, separators=(",", ":"))
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return base64.urlsafe_b64encode(packer.compress(text.encode()) + packer.flush()).decode().rstrip("=")


def decode(text: str | None) -> State:
    """The state of a link. Never raises: what is unreadable becomes the default with a notice."""
    if not text:
        return State()
    try:
        if len(text) > MAX_TEXT:
            raise ValueError("too long")
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        unpacker = zlib.decompressobj(-15)
        raw = unpacker.decompress(packed, MAX_BYTES)
        if unpacker.unconsumed_tail or not unpacker.eof:
            raise ValueError("too large or cut off")
        found = json.loads(raw)
    except (ValueError, binascii.Error, zlib.error, RecursionError, UnicodeDecodeError):
        return State(notices=("This link is damaged, so the exhibit opens as it always does.",))
    if not isinstance(found, dict) or found.get("v") != VERSION:
        return State(notices=("This link was made by another version of the page, so the exhibit opens as it always does.",))

    image, controls, look = found.get("i"), tidy(found.get("c"), texts=True), tidy(found.get("l"))
    image = image if isinstance(image, str) and len(image) <= 40 else None
    dropped = [found.get(key) for key, kept in (("i", image), ("c", controls), ("l", look)) if found.get(key) and kept != found[key]]
    notices = ("A part of this link could not be used and stands as usual.",) if dropped else ()
    return State(image, controls, look, notices)


def tidy(found: Any, texts: bool = False) -> dict[str, Any]:
    """The part of a state that came from outside which can be meant: names with numbers, words, or short flat groups of these.

    Args:
        texts: longer texts of several lines may stand there too (what people typed into a control).
    """

    def plain(value: Any) -> bool:
        if texts and isinstance(value, str):
            return len(value) <= MAX_BYTES and all(part.isprintable() for part in re.split("[\n\t]", value))
        if isinstance(value, (int, float)):
            return abs(value) <= 2**53 and math.isfinite(value)
        return value is None or (isinstance(value, str) and len(value) <= 60 and value.isprintable())

    def fits(value: Any) -> bool:
        if isinstance(value, list):
            return len(value) <= 64 and all(map(plain, value))
        if isinstance(value, Mapping):
            return len(value) <= 16 and all(isinstance(k, str) and plain(k) and plain(v) for k, v in value.items())
        return plain(value)

    listed = list(found.items())[:64] if isinstance(found, Mapping) else []
    return {key: value for key, value in listed if isinstance(key, str) and len(key) <= 40 and plain(key) and fits(value)}
