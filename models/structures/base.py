"""What all structures share: a frozen dataclass of tensors that can walk over its own tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
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
