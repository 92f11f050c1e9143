"""What a golden folder holds, and how a tensor of ours is compared with a stored one."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn


class CaseError(ValueError):
    """A file is not a golden case, or asks for something that its adapter does not know. The message says what."""


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        quantity: what was compared, e.g. "internal.block3.knn".
        error: the largest absolute error, or the number of entries that differ where equality is asked.
        limit: the tolerance: absolute part for numbers, 0 for exact quantities.
        ok: whether it holds (numbers: |ours − stored| ≤ limit + relative·|stored| everywhere).
        note: what a reader needs to know besides, e.g. how many sets differ.
    """

    quantity: str
    error: float
    limit: float
    ok: bool
    note: str = ""


@dataclass(frozen=True)
class Case:
    """One stored run of the published code.

    Attributes:
        path: the file.
        about: the JSON of the metadata key `case`: system, configuration, tolerance, notes.
        tensors: `input.*`, `state.*`, `internal.*` and `output.*`.
    """

    path: Path
    about: Mapping[str, Any]
    tensors: Mapping[str, Tensor] = field(repr=False)

    @classmethod
    def load(cls, path: Path) -> Case:
        """Read a case. Raises CaseError when the file is no safetensors file or has no description."""
        try:
            with safe_open(path, "pt") as stored:
                about = json.loads((stored.metadata() or {})["case"])
                names = list(stored.keys())
                return cls(path, about, {name: stored.get_tensor(name) for name in names})
        except KeyError:
            raise CaseError("the file has no JSON under the metadata key `case`") from None
        except Exception as error:
            raise CaseError(f"the file cannot be read: {error}") from error

    @property
    def system(self) -> str:
        return str(self.about.get("system", ""))

    @property
    def configuration(self) -> dict[str, Any]:
        return dict(self.about.get("configuration") or self.about.get("config") or {})

    def tolerance(self, name: str, default: float) -> float:
        """A number of the case's tolerance, e.g. tolerance("logits_atol", 2e-4)."""
        value = self.about.get("tolerance", {}).get(name, default)
        return float(value) if isinstance(value, (int, float)) else default

    @cached_property
    def state(self) -> dict[str, Tensor]:
        """The stored weights by the name that they have in the published code."""
        return self._part("state.")

    @cached_property
    def internals(self) -> dict[str, Tensor]:
        return self._part("internal.")

    @cached_property
    def outputs(self) -> dict[str, Tensor]:
        return self._part("output.")

    def image(self) -> Tensor:
        """The stored picture [B, 3, H, W] as float32 (files keep it as float16)."""
        return self.tensors["input.image"].float()

    def _part(self, prefix: str) -> dict[str, Tensor]:
        return {name[len(prefix) :]: tensor for name, tensor in self.tensors.items() if name.startswith(prefix)}


# ---------------------------------------------------------------------------------------------------------- comparing


def close(quantity: str, ours: Tensor, stored: Tensor, atol: float, rtol: float = 1e-4) -> Check:
    """Numbers: |ours − stored| ≤ atol + rtol·|stored| everywhere. Another shape or a NaN is a miss."""
    if ours.shape != stored.shape:
        return Check(quantity, math.inf, atol, False, f"shape {tuple(ours.shape)}, stored {tuple(stored.shape)}")
    ours, stored = ours.detach().double(), stored.double()
    off = (ours - stored).abs()
    ok = bool((off <= atol + rtol * stored.abs()).all())
    return Check(quantity, off.max().item() if off.numel() else 0.0, atol, ok)


def equal(quantity: str, ours: Tensor, stored: Tensor, note: str = "") -> Check:
    """Whole numbers and masks: no entry may differ."""
    if ours.shape != stored.shape:
        return Check(quantity, math.inf, 0, False, f"shape {tuple(ours.shape)}, stored {tuple(stored.shape)}")
    differing = int((ours.long() != stored.long()).sum())
    return Check(quantity, differing, 0, differing == 0, note or f"{ours.numel()} entries")


def equal_sets(quantity: str, ours: Tensor, stored: Tensor) -> Check:
    """Neighbours [B, N, k]: the set of each patch must be the same, the order is free."""
    if ours.shape != stored.shape:
        return Check(quantity, math.inf, 0, False, f"shape {tuple(ours.shape)}, stored {tuple(stored.shape)}")
    differing = int((ours.long().sort(-1).values != stored.long().sort(-1).values).any(-1).sum())
    return Check(quantity, differing, 0, differing == 0, f"{ours.shape[:-1].numel()} sets")


def unknown(quantity: str) -> Check:
    """Something is stored that we do not compute: a miss, so that nothing goes unchecked in silence."""
    return Check(quantity, math.inf, 0, False, "the adapter has no counterpart of this quantity")


def logits(case: Case, ours: Tensor, in_double: Tensor) -> Iterator[Check]:
    """`output.logits` and `output.logits64`: the float32 run against both, and our float64 run against the second."""
    atol, rtol = case.tolerance("logits_atol", 2e-4), case.tolerance("logits_rtol", 1e-4)
    for name, stored in case.outputs.items():
        if name not in ("logits", "logits64"):
            yield unknown(f"output.{name}")
            continue
        yield close(f"output.{name}", ours, stored, atol, rtol)
        if name == "logits64":
            yield close("output.logits64 (ours in float64)", in_double, stored, atol, rtol)


def load_strictly(model: nn.Module, case: Case) -> nn.Module:
    """The model in evaluation mode with the stored weights; names and shapes must be exactly those of the model."""
    model.load_state_dict(case.state, strict=True)
    return model.eval()


def changed(configuration: Mapping[str, Any], **expected: Any) -> None:
    """Raise CaseError when the case asks for a variant that we do not build."""
    for name, value in expected.items():
        if configuration.get(name, value) != value:
            raise CaseError(f"the case has {name} = {configuration[name]!r}; only {value!r} is built")


@contextmanager
def observed(model: nn.Module, inputs: Iterable[str] = (), outputs: Iterable[str] = ()) -> Iterator[dict[str, Tensor]]:
    """Collect what enters the modules named in `inputs` and what leaves those named in `outputs`, by module name."""
    seen: dict[str, Tensor] = {}

    def keep_input(name: str):
        return lambda _module, given: seen.__setitem__(name, given[0])

    def keep_output(name: str):
        return lambda _module, _given, result: seen.__setitem__(name, result)

    handles = [model.get_submodule(name).register_forward_pre_hook(keep_input(name)) for name in inputs]
    handles += [model.get_submodule(name).register_forward_hook(keep_output(name)) for name in outputs]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


# ---------------------------------------------------------------------------------------------------------- key files


@dataclass(frozen=True)
class KeyFile:
    """Names and shapes of the state dict of a released configuration.

    Attributes:
        path: the file, e.g. `S00-keys-vig_ti.json`.
        note: what it is of, e.g. "vig_ti_224_gelu, reference commit …".
        shapes: {name: shape}.
    """

    path: Path
    note: str
    shapes: Mapping[str, tuple[int, ...]]

    @classmethod
    def load(cls, path: Path) -> KeyFile:
        """Read a key file. Raises CaseError when it does not map names to shapes."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            shapes = content.get("parameters", content.get("shapes", content))
            note = str(content.get("note", "")) if "parameters" in content else ""
            return cls(path, note, {str(name): tuple(int(n) for n in shape) for name, shape in shapes.items()})
        except Exception as error:
            raise CaseError(f"the file does not map names to shapes: {error}") from error

    @property
    def label(self) -> str:
        """What the file name calls the configuration, e.g. "vig_ti"."""
        return self.path.stem.partition("-keys-")[2]

    def official_name(self, names: Iterable[str]) -> str:
        """Which of our official names the note, or else the file name, speaks of.

        A word of the note or the file name counts when it is a name, or the beginning of exactly one of them
        ("vig_ti" → "vig_ti_224_gelu"). Raises CaseError when no word fits.
        """
        names = list(names)
        for word in [*re.findall(r"\w+", self.note), self.label]:
            exact = [name for name in names if name.lower() == word.lower()]
            begun = [name for name in names if name.lower().startswith(word.lower() + "_")]
            for found in (exact, begun):
                if len(found) == 1:
                    return found[0]
        raise CaseError(f"neither the note {self.note!r} nor the file name speaks of one of: {', '.join(names)}")

    def options(self) -> dict[str, Any]:
        """Settings that the note spells out, e.g. "mobilevig_ti, num_classes=10" → {"num_classes": 10}."""
        found = re.findall(r"(\w+)\s*=\s*(True|False|None|-?\d+(?:\.\d+)?(?:e-?\d+)?)\b", self.note, re.IGNORECASE)
        words = {"true": True, "false": False, "none": None}
        return {name: words[value.lower()] if value.lower() in words else json.loads(value) for name, value in found}

    def compare(self, ours: Mapping[str, tuple[int, ...]]) -> list[Check]:
        """Missing names, extra names, and shapes that differ; the order of names is free."""
        missing = [name for name in self.shapes if name not in ours]
        extra = [name for name in ours if name not in self.shapes]
        other = [name for name in self.shapes if name in ours and tuple(ours[name]) != self.shapes[name]]
        return [
            _count("names missing", missing, f"of {len(self.shapes)}"),
            _count("names extra", extra, f"of {len(ours)}"),
            _count("shapes differ", other, f"of {len(self.shapes)}"),
        ]


def _count(what: str, names: list[str], total: str) -> Check:
    shown = f": {', '.join(names[:3])}{' …' if len(names) > 3 else ''}" if names else ""
    return Check(what, len(names), 0, not names, total + shown)


def shapes_of(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """{name: shape} of a model's state dict."""
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def on_meta(build, *args: Any, **settings: Any) -> nn.Module:
    """Build a model without allocating its weights."""
    with torch.device("meta"):
        return build(*args, **settings)
