"""Which patches belong together: annotated by people where a mask ships with the picture, else found by k-means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explorer import examples
from explorer.diagnostics import patch_labels, segments
from explorer.exhibit import Labeller

Grid = tuple[int, int]


@dataclass(frozen=True, eq=False)
class ByColour:
    """Segments of a picture without a mask: k-means on patch colour and position. (A class, so that it can be pickled.)"""

    shown: np.ndarray

    def __call__(self, grid: Grid) -> tuple[np.ndarray, bool]:
        return np.asarray(segments(self.shown, grid)).reshape(-1), False


@dataclass(frozen=True, eq=False)
class ByMask:
    """Segments from a mask of segment numbers [h, w], 0 = not annotated. `names` say what the numbers stand for, from 1."""

    mask: np.ndarray
    names: tuple[str, ...] = ()

    def __call__(self, grid: Grid) -> tuple[np.ndarray, bool]:
        return np.asarray(patch_labels(self.mask, grid, void=0)).reshape(-1), True

    def classes(self, labels: Sequence[str]) -> np.ndarray | None:
        """Index into `labels` of each pixel, [h, w] int64, with 0 for what is no named object; None where an object has another name."""
        if not self.names or not set(self.names) <= set(labels):
            return None
        return np.array([0, *(labels.index(name) for name in self.names)], dtype=np.int64)[self.mask]


def for_example(name: str) -> Labeller:
    """The best that is known about a shipped picture."""
    mask = examples.mask(name)
    return ByColour(examples.picture(name)) if mask is None else ByMask(mask, examples.examples()[name].segments)
