"""The typed internals that are worth seeing.

A structure is a frozen dataclass of tensors. It says what a part of a network decided (which patch listens to which,
which channel was won by whom) and knows nothing of drawing. Whatever module returns one is seen by `models.capture`.

Shapes use B pictures, N = H·W patches in raster order (n = row·W + col), C channels, S candidates per patch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

S = TypeVar("S", bound="Structure")


class NonFiniteError(ValueError):
    """A structure holds NaN or infinity. The message names it and says how much of it is affected."""


@dataclass(frozen=True)
class Structure:
    """Base of all structures: walks over its own tensors."""

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the structure by field name, one level of mappings included (`rule.mean`)."""
        found: dict[str, Tensor] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Tensor):
                found[item.name] = value
            elif isinstance(value, Structure):
                found |= {f"{item.name}.{name}": tensor for name, tensor in value.tensors().items()}
            elif isinstance(value, Mapping):
                found |= {f"{item.name}.{k}": v for k, v in value.items() if isinstance(v, Tensor)}
        return found

    def cpu(self: S) -> S:
        """The same structure with every tensor detached and in CPU memory."""
        moved = {item.name: _to_cpu(getattr(self, item.name)) for item in fields(self)}
        return replace(self, **moved)

    def require_finite(self, name: str) -> None:
        """Raise NonFiniteError when a floating tensor holds NaN or infinity.

        Args:
            name: what the reader should see in the message, e.g. "block 7".
        """
        for part, tensor in self.tensors().items():
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                share = 100 * (1 - torch.isfinite(tensor).float().mean().item())
                raise NonFiniteError(f"{name}: {share:.1f} % of {part} is not a finite number")


def _to_cpu(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, Structure):
        return value.cpu()
    if isinstance(value, Mapping):
        return {key: _to_cpu(item) for key, item in value.items()}
    return value


@dataclass(frozen=True)
class Rule(Structure):
    """How a constructor turned candidates into edges.

    Attributes:
        name: "nearest", "axial", "axial-threshold", "radius", "mutual-nearest", "grid" or "random".
        settings: the plain numbers and words of the rule (k, dilation, step, multiplier, p, …).
        statistics: what the rule measured on each picture, [B] each (DAGC: mean, std of the half-roll distances).
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    statistics: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class PatchGraph(Structure):
    """The directed graph that a constructor laid over the patches of B pictures.

    An edge runs from a source (key) patch to the target patch that receives its features. Candidates are everything
    that the rule looked at; `kept` says which became edges. Nearest-neighbour rules list candidates by growing
    distance, so a smaller k is a prefix.

    Attributes:
        candidates: source patch of each candidate, [B or 1, N, S] int64, an index into the key grid.
        kept: True where the candidate became an edge, [B or 1, N, S] bool.
        grid: (H, W) of the targets.
        key_grid: (h, w) of the sources; smaller than `grid` where keys are pooled.
        rule: how the edges were chosen.
        distance: the score that the rule compared (smaller is closer), [B, N, S]; None when it compared nothing.
        position: the part of `distance` that is a fixed position term, [B, N, S]; None without one.
        features: the tensor that the constructor saw, [B, C, H, W]; not copied.
        columns: the kept columns of `candidates` when they are the same for every patch, else None.
    """

    candidates: Tensor
    kept: Tensor
    grid: tuple[int, int]
    key_grid: tuple[int, int]
    rule: Rule
    distance: Tensor | None = None
    position: Tensor | None = None
    features: Tensor | None = None
    columns: slice | None = None

    @property
    def pooled(self) -> bool:
        return self.grid != self.key_grid

    def neighbours(self) -> tuple[Tensor, Tensor | None]:
        """Sources of every patch: ([B or 1, N, K] int64, mask of the same shape, or None when all K are edges)."""
        if self.columns is not None:
            return self.candidates[..., self.columns], None
        return self.candidates, self.kept

    def is_self(self) -> Tensor:
        """True where a candidate is the patch itself, [B or 1, N, S] bool (never in a pooled graph)."""
        if self.pooled:
            return torch.zeros_like(self.candidates, dtype=torch.bool)
        here = torch.arange(self.candidates.shape[1], device=self.candidates.device)
        return self.candidates == here[None, :, None]

    def edge_index(self, picture: int = 0, self_loops: bool = False) -> Tensor:
        """Edges of one picture as [2, E] int64, source → target (the convention of PyTorch Geometric)."""
        edges = self._edges(picture, self_loops)
        target = torch.nonzero(edges)[:, 0]
        return torch.stack([_one(self.candidates, picture)[edges], target])

    def edge_distance(self, picture: int = 0, self_loops: bool = False) -> Tensor | None:
        """Distance of each edge in the order of `edge_index`, [E]; None when the rule compared nothing."""
        if self.distance is None:
            return None
        return _one(self.distance, picture)[self._edges(picture, self_loops)]

    def adjacency(self, picture: int = 0) -> Tensor:
        """A[i, j] = 1 iff patch i receives features of key j, self removed, [N, M] float32."""
        source, target = self.edge_index(picture)
        matrix = torch.zeros(self.grid[0] * self.grid[1], self.key_grid[0] * self.key_grid[1])
        matrix[target, source] = 1
        return matrix

    def with_kept(self, kept: Tensor) -> PatchGraph:
        """The same graph with other edges chosen from the same candidates (an intervention)."""
        return replace(self, kept=kept, columns=None)

    def _edges(self, picture: int, self_loops: bool) -> Tensor:
        kept = _one(self.kept, picture)
        return kept if self_loops else kept & ~_one(self.is_self(), picture)


def _one(batch: Tensor, picture: int) -> Tensor:
    """Picture `picture` of a tensor whose first axis may be 1 because all pictures share it."""
    return batch[picture if batch.shape[0] > 1 else 0]


@dataclass(frozen=True)
class Aggregation(Structure):
    """What max-relative aggregation took from the neighbours.

    Attributes:
        relative: the largest feature difference to a neighbour, per channel, [B, N, C].
        winner: which source patch gave it, [B, N, C] int32; -1 where no neighbour won (value 0).
    """

    relative: Tensor
    winner: Tensor


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
