"""The pictures that ship with the app, their credits and (for some) their segmentation masks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from explorer.intake import Picture, read_image, square, webp_uri

FOLDER = Path(__file__).parent.parent / "assets" / "examples"
SIDE = 448  # of the square that the page shows
THUMB = 48  # of the small one in the list of examples


@dataclass(frozen=True)
class Example:
    """A shipped picture: name (also in links), label, licence and where it came from.

    `exhibits` are the only ones whose pages offer it (any page may be asked to show it); none named: all do. `segments` name what the
    numbers of the mask stand for, from 1.
    """

    name: str
    label: str
    file: str
    licence: str
    credit: str
    source: str
    mask: str | None = None
    exhibits: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def examples() -> dict[str, Example]:
    """All shipped pictures by name, in display order."""
    listed = json.loads((FOLDER / "credits.json").read_text(encoding="utf-8"))
    fields = Example.__dataclass_fields__
    rows: list[dict[str, Any]] = [{k: tuple(v) if isinstance(v, list) else v for k, v in row.items() if k in fields} for row in listed]
    return {row["name"]: Example(**row) for row in rows}


def offered(slug: str | None = None) -> list[Example]:
    """The pictures that the page of an exhibit offers, its own first; without a slug those that every page offers."""
    shared = [one for one in examples().values() if not one.exhibits]
    return [one for one in examples().values() if slug in one.exhibits] + shared


@lru_cache(maxsize=32)
def picture(name: str) -> np.ndarray:
    """The centre square that the page shows, uint8 [SIDE, SIDE, 3]."""
    return shown_square(read_image(FOLDER / examples()[name].file))


@lru_cache(maxsize=32)
def mask(name: str) -> np.ndarray | None:
    """Segment numbers of the same square, [SIDE, SIDE] int (0 = not annotated); None when the picture has no mask."""
    file = examples()[name].mask
    if file is None:
        return None
    whole = Image.open(FOLDER / file)
    side = min(whole.size)
    left, top = (whole.width - side) // 2, (whole.height - side) // 2
    crop = whole.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.NEAREST)
    return np.asarray(crop).astype(np.int64)


@lru_cache(maxsize=32)
def thumb(name: str) -> str:
    """A small data URI for the list of examples."""
    return webp_uri(np.asarray(Image.fromarray(picture(name)).resize((THUMB, THUMB), Image.Resampling.LANCZOS)), 60)


def shown_square(photo: Picture) -> np.ndarray:
    """The centre square of a visitor's picture at display size, uint8 [SIDE, SIDE, 3]."""
    return square(photo, SIDE).pixels
