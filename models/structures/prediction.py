"""What a classifier says, and where it looks."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from models.structures.base import Structure


@dataclass(frozen=True)
class Prediction(Structure):
    """Class scores of B pictures.

    Attributes:
        logits: [B, classes], before the softmax.
        labels: names of the classes; empty when unknown.
    """

    logits: Tensor
    labels: tuple[str, ...] = ()

    def top(self, k: int = 5, picture: int = 0) -> list[tuple[str, float]]:
        """The k most probable classes as (label, probability), best first."""
        probability = self.logits[picture].float().softmax(-1)
        values, index = probability.topk(min(k, probability.numel()))
        names = [self.labels[i] if self.labels else f"class {i}" for i in index.tolist()]
        return list(zip(names, values.tolist(), strict=True))


@dataclass(frozen=True)
class Attribution(Structure):
    """How much each place of a picture speaks for one class.

    Attributes:
        map: [h, w]; positive speaks for the class.
        target: index of the class.
        method: name of the method.
    """

    map: Tensor
    target: int
    method: str
