"""What the questions of this wing have in common: values from the page, checked before anything is computed with them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from explorer.exhibit import BadRequest

T = TypeVar("T")


def whole(data: Mapping[str, Any], name: str, low: int, high: int, default: int | None = None) -> int:
    """A whole number of the question. Raises BadRequest that says what is accepted."""
    value = data.get(name, default)
    if type(value) is not int or not low <= value <= high:
        raise BadRequest(f"{name} must be a whole number from {low} to {high}")
    return value


def number(data: Mapping[str, Any], name: str, low: float, high: float, default: float | None = None) -> float:
    """A number of the question. Raises BadRequest that says what is accepted."""
    value = data.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or not low <= value <= high:
        raise BadRequest(f"{name} must be a number from {low:g} to {high:g}")
    return float(value)


def one_of(data: Mapping[str, Any], name: str, options: Sequence[T], default: T | None = None) -> T:
    """One of several words. Raises BadRequest that lists them."""
    value = data.get(name, default)
    if value not in options:
        raise BadRequest(f"{name} must be one of {', '.join(map(str, options))}")
    return options[options.index(value)]
