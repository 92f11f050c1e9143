"""Which adapter checks which system.

An adapter is a module `tests/parity/s<number>_<name>.py`; its number is the system's ("s00_vig" checks every case whose
system begins with "S00"). It defines

    check(case: Case) -> Iterable[Check]           build our model from the case's configuration, load the stored
                                                   weights, run it, compare every stored internal and output
    shapes(keys: KeyFile) -> {name: shape}         of our model of the configuration that the file speaks of, under the
                                                   published names (translate them here if ours differ)

and, where a system has a file of statistics instead of weights, `statistics(content) -> Iterable[Check]`.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Protocol, cast

import tests.parity
from tests.parity.case import Case, Check, KeyFile


class Adapter(Protocol):
    def check(self, case: Case) -> Iterable[Check]: ...

    def shapes(self, keys: KeyFile) -> Mapping[str, tuple[int, ...]]: ...


def adapters() -> dict[str, Adapter]:
    """{"S00": module, …}: every adapter that exists."""
    found: dict[str, Adapter] = {}
    for entry in pkgutil.iter_modules(tests.parity.__path__):
        number = re.fullmatch(r"s(\d+)_\w+", entry.name)
        if number:
            module: ModuleType = import_module(f"tests.parity.{entry.name}")
            found[f"S{number[1]}"] = cast(Adapter, module)
    return found


def system_number(text: str) -> str:
    """The beginning of "S00 ViG isotropic" or "S00-keys-vig_ti.json": "S00"; "" when the text does not begin so."""
    match = re.match(r"S\d+", text)
    return match[0] if match else ""
