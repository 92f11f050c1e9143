"""What the trainings of hypernetworks have in common: careful steps, averaged weights, and runs beside the one that ships.

Further seeds and controls do not ship: what was measured on them stands in the model card of the first.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from training.loop import Recipe, VectorOptimiser


class ClippedOptimiser(VectorOptimiser):
    """AdamW with gradients clipped to a norm of 1.

    One step of a hypernetwork changes all weights of another network: a step whose gradient is not finite is left out.
    """

    def step(self, factor: float) -> None:
        """One step with the learning rate multiplied by `factor`; gradients are cleared."""
        norm = nn.utils.clip_grad_norm_([p for group in self.part.param_groups for p in group["params"]], 1.0)
        if torch.isfinite(norm):
            super().step(factor)
        self.part.zero_grad()


class Averaged(nn.Module):
    """A network in training and the exponential moving average of its parameters, which is what counts in the end."""

    def __init__(self, network: nn.Module, keep: float = 0.995) -> None:
        super().__init__()
        self.network = network
        self.average = copy.deepcopy(network).requires_grad_(False)
        self.keep = keep

    @torch.no_grad()
    def update(self) -> None:
        """To be called after every step."""
        for mean, now in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(now, 1 - self.keep)


def note(runs: Path, name: str, recipe: Recipe, found: dict[str, Any]) -> None:
    """Keep what was measured on a finished run."""
    _write(runs / f"{name}.measured.json", {"recipe": _comparable(recipe), "found": found})


def tell(base: str, runs: Path, out: Path, seeds: Sequence[str] = (), controls: Sequence[str] = ()) -> None:
    """Write into the card of `base` what was measured on it and on every finished run of the same recipe (but for the seed).

    Args:
        seeds: names of runs that differ from `base` in their seed only. controls: of runs that differ in one thing.
    """
    path, own = out / f"{base}.json", runs / f"{base}.measured.json"
    if not path.exists() or not own.exists():
        return
    first = _read(own)
    comparable = {name: told["found"] for name in (*seeds, *controls) if (told := _told(runs, name, first["recipe"]))}
    repeated = [first["found"], *(comparable[name] for name in seeds if name in comparable)]
    card = _read(path) | {"measured": first["found"], "seeds": [found["seed"] for found in repeated]}
    if len(repeated) > 1:
        card["spread"] = repeated
    if told := {name: comparable[name] for name in controls if name in comparable}:
        card["controls"] = told
    _write(path, card)


def _told(runs: Path, name: str, recipe: dict[str, Any]) -> dict[str, Any]:
    file = runs / f"{name}.measured.json"
    told = _read(file) if file.exists() else {}
    return told if told.get("recipe") == recipe else {}


def _comparable(recipe: Recipe) -> dict[str, Any]:
    return {key: getattr(recipe, key) for key in recipe.__dataclass_fields__ if key != "seed"}


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
