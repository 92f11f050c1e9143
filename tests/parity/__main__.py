"""`python -m tests.parity DIR`: check every golden case and key file of a folder. Exit 0 or, on a miss, 1."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from tests.parity.adapters import Adapter, adapters, system_number
from tests.parity.case import Case, CaseError, Check, KeyFile

OK, MISS, NOT_BUILT = "ok", "MISS", "not built"


@dataclass(frozen=True)
class Result:
    """What one file gave: `status` is "ok", "MISS" or "not built"."""

    file: str
    system: str
    status: str
    checks: list[Check] = field(default_factory=list)
    message: str = ""


def run(folder: Path, known: Mapping[str, Adapter] | None = None) -> list[Result]:
    """Check every case and key file of a folder, in the order of their names."""
    known = adapters() if known is None else known
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*.json")])
    return [check_file(path, known) for path in files]


def check_file(path: Path, known: Mapping[str, Adapter]) -> Result:
    """Check one file. Whatever goes wrong in an adapter is a miss of that file and does not stop the others."""
    system = system_number(path.name)
    try:
        if path.suffix == ".safetensors":
            case = Case.load(path)
            system = system_number(case.system) or system
            adapter = known.get(system)
            checks = list(adapter.check(case)) if adapter else []
            system = case.system or system
        else:
            adapter = known.get(system)
            checks = _check_json(path, adapter) if adapter else []
    except Exception as error:
        return Result(path.name, system, MISS, message=f"{type(error).__name__}: {error}")
    if adapter is None:
        return Result(path.name, system, NOT_BUILT)
    if not checks:
        return Result(path.name, system, MISS, message="nothing was compared")
    return Result(path.name, system, OK if all(check.ok for check in checks) else MISS, checks)


def _check_json(path: Path, adapter: Adapter) -> list[Check]:
    if "-keys-" not in path.name and hasattr(adapter, "statistics"):
        return list(adapter.statistics(json.loads(path.read_text(encoding="utf-8"))))
    if "-keys-" not in path.name:
        raise CaseError("only key files (…-keys-….json) are understood for this system")
    keys = KeyFile.load(path)
    return keys.compare(adapter.shapes(keys))


def report(results: list[Result]) -> str:
    """A row per file, under it a row per compared quantity, at the end the count."""
    lines: list[str] = []
    width = max(len(result.file) for result in results)
    for result in results:
        worst = max((check.error for check in result.checks if check.limit > 0), default=None)
        summary = f"largest error {worst:.1e}" if worst is not None else ""
        lines.append(f"{result.status:<10}{result.file:<{width}}  {result.system:<24}  {summary}{result.message}".rstrip())
        lines += [_row(check) for check in result.checks]
    counts = [f"{sum(r.status == status for r in results)} {status}" for status in (OK, MISS, NOT_BUILT)]
    return "\n".join([*lines, "", f"{len(results)} files: {', '.join(counts)}"])


def _row(check: Check) -> str:
    error = f"{check.error:.1e}" if check.limit > 0 else f"{check.error:g}"
    limit = f"≤ {check.limit:.0e}" if check.limit > 0 else "exact"
    mark = "" if check.ok else "  ← MISS"
    return f"          {check.quantity:<60}{error:>9}  {limit:<8}  {check.note}{mark}".rstrip()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.parity", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of golden cases and key files")
    folder: Path = parser.parse_args(arguments).folder
    if not folder.is_dir():
        parser.error(f"{folder} is not a folder")
    torch.manual_seed(0)
    results = run(folder)
    if not results:
        parser.error(f"{folder} holds no golden case (.safetensors) and no key file (.json)")
    print(report(results))
    return 1 if any(result.status == MISS for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
