"""One named number with a plain sentence about it.

The words (name, unit, formula, source, thresholds and hints) are text beside the code, one file per kind of structure
(`patch_graph.json`, …); a key stands in one of them only. A hint is a template, picked by the level of the value, so the
sentence speaks about this value and not about the measure at large.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

Level = Literal["good", "watch", "bad", "info"]


class NotMeasurable(ValueError):
    """A diagnostic has no value for this graph. The message says why, in words that can stand on a page."""


@dataclass(frozen=True)
class Measure:
    """A diagnostic of one structure.

    Attributes:
        name: plain words for the page.
        key: machine name, the column of a table.
        value: the number, None when it cannot be computed (then `hint` is the reason).
        unit: "patches", "edges", "share", …; a share lies in [0, 1].
        hint: one sentence that interprets this value.
        formula: compact Unicode text.
        source: where the measure comes from.
        level: "good", "watch", "bad", or "info" where no judgement is due.
    """

    name: str
    key: str
    value: float | None
    unit: str
    hint: str
    formula: str
    source: str
    level: Level


@cache
def catalogue(kind: str = "patch_graph") -> dict[str, dict[str, Any]]:
    """The words of every measure of one kind of structure by key, from the file of that name in this folder."""
    return json.loads(Path(__file__).with_name(f"{kind}.json").read_text(encoding="utf-8"))


@cache
def vocabulary() -> dict[str, dict[str, Any]]:
    """The words of all measures, whatever file of this folder they stand in, by key."""
    files = sorted(Path(__file__).parent.glob("*.json"))
    return {key: entry for file in files for key, entry in catalogue(file.stem).items()}


def percent(share: float) -> str:
    """A share as readable text: "37 %", "0.4 %", "99.6 %" (never a rounded 0 or 100 that is not one)."""
    value = 100 * share
    if 0 < value < 0.05:
        return "less than 0.1 %"
    if 99.95 <= value < 100:
        return "over 99.9 %"
    return f"{value:.1f} %" if 0 < value < 1 or 99 < value < 100 else f"{value:.0f} %"


def level_of(grade: float, watch: float | None, bad: float | None) -> Level:
    """Compare a grade with two thresholds; `bad` above `watch` means that more is worse, below it that less is worse."""
    if watch is None or bad is None:
        return "info"
    sign = 1 if bad >= watch else -1
    if sign * (grade - bad) >= 0:
        return "bad"
    return "watch" if sign * (grade - watch) >= 0 else "good"


def measure(key: str, value: float, *, grade: float | None = None, **words: Any) -> Measure:
    """The measure `key` with its sentence.

    Args:
        value: the number. NaN and infinity become None with the reason in `words["reason"]`.
        grade: what is compared with the thresholds when it is not the value itself (e.g. value ÷ chance).
        words: what the hint template names besides {value} and {percent}.
    """
    entry = vocabulary()[key]
    if not math.isfinite(value):
        return unknown(key, words.get("reason", "it is not defined for this graph"))
    level = level_of(value if grade is None else grade, entry.get("watch"), entry.get("bad"))
    hint = entry["hints"][level].format(value=value, percent=percent(value), **words)
    return Measure(entry["name"], key, float(value), entry["unit"], hint, entry["formula"], entry["source"], level)


def unknown(key: str, reason: str) -> Measure:
    """The measure `key` without a value; the hint says why."""
    entry = vocabulary()[key]
    sentence = f"Not measured: {reason}."
    return Measure(entry["name"], key, None, entry["unit"], sentence, entry["formula"], entry["source"], "info")


def measured(keys: Sequence[str], section: Callable[[], list[Measure]]) -> list[Measure]:
    """What `section` finds; where it raises NotMeasurable, every key without a value and with that reason."""
    try:
        return section()
    except NotMeasurable as reason:
        return [unknown(key, str(reason)) for key in keys]


def sections(parts: Sequence[tuple[Sequence[str], Callable[[], list[Measure]]]]) -> list[Measure]:
    """What the sections (keys, function) of a summary find, in order; see `measured`."""
    return [found for keys, section in parts for found in measured(keys, section)]


def noted(found: Measure, note: str) -> Measure:
    """The measure with a remark in brackets at the end of its sentence; unchanged where it has no value."""
    return found if found.value is None else replace(found, hint=f"{found.hint.removesuffix('.')} ({note}).")
