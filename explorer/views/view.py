"""What a view is: how one type of structure is shown, wherever it comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.structures import Structure

Structures = Mapping[str, Structure]
Place = Callable[[int, tuple[int, int]], tuple[float, float]]


@dataclass(frozen=True)
class View:
    """How one type of structure is shown. A new model whose parts return that type is shown without a line of its own.

    Attributes:
        structure: the type.
        role: under which name a layer holds it.
        kind: the instrument that draws it in the browser (`explorer/canvas/README.md`).
        payload: (structures of the layer by role, picture on show uint8 [S, S, 3]) → the instrument's part of the layer.
        numbers: structure → what the API says of it, ready for JSON.
        marks: (structure, look, colour, place) → SVG elements on the gallery card; `place` takes (patch, grid) to (x, y).
            Where there is no picture, the marks choose their own places on 320 × 200.
        amount: structure → how much of it there is and in what: an intervention is told as "12 of 96 edges fewer".
        figure: (structures of the layer by role, picture on show, title) → a matplotlib figure to take home; None where patch
            graphs have theirs already.
        files: structure → further files to take home, in a format of the field, by name.
    """

    structure: type[Structure]
    role: str
    kind: str
    payload: Callable[[Structures, np.ndarray], dict[str, Any]]
    numbers: Callable[[Any], dict[str, Any]]
    marks: Callable[[Any, Mapping[str, Any], str, Place], str]
    amount: Callable[[Any], tuple[int, str]]
    figure: Callable[[Structures, np.ndarray, str], Any] | None = None
    files: Callable[[Any], Mapping[str, bytes]] = lambda structure: {}
