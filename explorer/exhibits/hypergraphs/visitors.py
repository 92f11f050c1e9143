"""What a visitor's further pictures tell: how hyperedges are used over many, and what another picture's prototypes make of this one."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from torch import Tensor

from explorer import examples
from explorer.diagnostics.soft_hypergraph import Usage, usage, usage_summary
from explorer.exhibit import BadRequest
from explorer.intake import IntakeError, read_image
from models.structures import SoftHypergraph

MOST_PICTURES = 24
MOST_TEXT = 400_000  # characters of one picture; the page sends squares of some 200 pixels
Hypergraphs = Callable[[np.ndarray], Mapping[str, SoftHypergraph]]


def pictures_of(asked: Any, exhibit: str) -> list[np.ndarray]:
    """The squares on show of the pictures in a question, uint8 [S, S, 3] each; those that ship where none is given.

    Args:
        asked: a list of pictures as data URIs, or None.

    Raises:
        BadRequest: no list, too many, or one that is no picture; the message says which.
    """
    if asked is None:
        return [examples.picture(one.name) for one in examples.offered(exhibit)]
    if not isinstance(asked, Sequence) or isinstance(asked, str) or not 1 <= len(asked) <= MOST_PICTURES:
        raise BadRequest(f"there must be a list of 1 to {MOST_PICTURES} pictures")
    return [picture_of(one, f"picture {number}") for number, one in enumerate(asked, 1)]


def picture_of(uri: Any, name: str = "the picture") -> np.ndarray:
    """The square on show of a picture that came as a data URI, uint8 [S, S, 3]. Raises BadRequest."""
    if not isinstance(uri, str) or len(uri) > MOST_TEXT or not uri.startswith("data:image/"):
        raise BadRequest(f"{name} must be a data URI of at most {MOST_TEXT} characters")
    try:
        return examples.shown_square(read_image(base64.b64decode(uri.partition(",")[2], validate=True)))
    except (IntakeError, binascii.Error, ValueError) as error:
        raise BadRequest(f"{name}: {error}") from None


def over_pictures(shown: Sequence[np.ndarray], hypergraphs: Hypergraphs, own: bool) -> Iterator[dict[str, Any]]:
    """How each layer uses its hyperedges, told anew after every picture.

    Args:
        shown: the pictures.
        hypergraphs: a picture → the hypergraphs of one picture by layer name.
        own: these are the visitor's.
    """
    held: dict[str, list[SoftHypergraph]] = {}
    for number, picture in enumerate(shown, 1):
        for name, found in hypergraphs(picture).items():
            held.setdefault(name, []).append(found)
        yield {"own": own, "pictures": number, "of": len(shown), "layers": {name: _told(usage(each)) for name, each in held.items()}}


def _told(found: Usage) -> dict[str, Any]:
    """Plain numbers (NaN becomes null on the way): lists per hyperedge and per picture, and the measures."""
    return {
        "on": found.on.tolist(),
        "drawn": found.drawn.tolist(),
        "load": found.load.tolist(),
        "different": found.different.tolist(),
        "fixed": found.fixed,
        "measures": [asdict(m) for m in usage_summary(found) if m.value is not None],
    }


def likeness(one: SoftHypergraph, other: SoftHypergraph) -> list[float | None]:
    """Correlation of each hyperedge's map with that of the same number in another hypergraph of the grid; None where one is flat."""
    (a, known_a), (b, known_b) = one.centred_columns(), other.centred_columns()
    both: Tensor = (a * b).sum(1)[0]
    return [float(value) if known else None for value, known in zip(both, known_a[0] & known_b[0], strict=True)]
