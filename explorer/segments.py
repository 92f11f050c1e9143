"""Which patches belong together: annotated by people where a mask ships with the picture, else found by k-means."""

from __future__ import annotations

import numpy as np

from explorer import examples
from explorer.diagnostics import patch_labels, segments
from explorer.exhibit import Labeller


def by_colour(shown: np.ndarray) -> Labeller:
    """Segments of a picture without a mask: k-means on patch colour and position."""

    def labels(grid: tuple[int, int]) -> tuple[np.ndarray, bool]:
        return np.asarray(segments(shown, grid)).reshape(-1), False

    return labels


def by_mask(mask: np.ndarray) -> Labeller:
    """Segments from a mask of segment numbers [h, w], 0 = not annotated."""

    def labels(grid: tuple[int, int]) -> tuple[np.ndarray, bool]:
        return np.asarray(patch_labels(mask, grid, void=0)).reshape(-1), True

    return labels


def for_example(name: str) -> Labeller:
    """The best that is known about a shipped picture."""
    mask = examples.mask(name)
    return by_colour(examples.picture(name)) if mask is None else by_mask(mask)
