"""Average precision of a detector: the area under precision over recall, class by class.

Everingham, Van Gool, Williams and others, "The PASCAL Visual Object Classes (VOC) Challenge", 2010: the area under the whole curve, made
monotonous (the form since VOC 2010). A found box is right when it overlaps an object of its class that no better box has taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from models.hypergraphs.detection import overlaps
from models.structures import Detections


@dataclass(frozen=True)
class Precision:
    """How well a detector found objects.

    Attributes:
        mean: over the classes that occur.
        per_class: average precision of each class, NaN where the class does not occur.
        objects: how many there are of each class.
    """

    mean: float
    per_class: tuple[float, ...]
    objects: tuple[int, ...]


def average_precision(
    found: Sequence[Detections], boxes: Sequence[Tensor], labels: Sequence[Tensor], classes: int, overlap: float = 0.5
) -> Precision:
    """Compare what was found in each picture with what is there.

    Args:
        found: one per picture, boxes by their corners.
        boxes: the objects of each picture by their corners, [n, 4], in the same pixels.
        labels: their classes, [n] int64.
        classes: number of classes.
        overlap: least intersection over union of a right box.

    Raises:
        ValueError: the sequences differ in length, or no picture holds an object.
    """
    if not len(found) == len(boxes) == len(labels):
        raise ValueError(f"there are {len(found)} results, {len(boxes)} sets of boxes and {len(labels)} of labels; one of each per picture")
    objects = [sum(int((label == c).sum()) for label in labels) for c in range(classes)]
    if not any(objects):
        raise ValueError("the pictures hold no object, so nothing could be found")
    per_class = []
    for c in range(classes):
        rows = [_judged(d, b[label == c], c, overlap) for d, b, label in zip(found, boxes, labels, strict=True)]
        scores, right = (np.concatenate([row[i] for row in rows]) for i in (0, 1))
        per_class.append(area(right[np.argsort(-scores, kind="stable")], objects[c]))
    return Precision(float(np.nanmean(per_class)), tuple(per_class), tuple(objects))


def _judged(found: Detections, boxes: Tensor, label: int, overlap: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores of a picture's boxes of one class, best first, and which of them are right."""
    own = found.classes == label
    shared = overlaps(found.boxes[own], boxes).cpu().numpy()
    scores = found.scores[own].cpu().numpy()
    order = np.argsort(-scores, kind="stable")
    right, free = np.zeros(len(scores), dtype=bool), np.ones(len(boxes), dtype=bool)
    for place, i in enumerate(order):
        rest = np.where(free, shared[i], -1)
        if len(rest) and rest.max() >= overlap:
            right[place] = True
            free[rest.argmax()] = False
    return scores[order], right


def area(right: np.ndarray, objects: int) -> float:
    """Area under precision over recall of boxes listed from the most certain one; NaN when there is no object."""
    if not objects:
        return float("nan")
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(right) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float((best_from_here * right).sum() / objects)
