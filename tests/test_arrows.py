"""Who may know whom: app → explorer.site → exhibits → {views, diagnostics, models}; views, diagnostics → models.structures.

Every import counts, also inside a function, under TYPE_CHECKING, relative, or by `importlib.import_module("…")`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("app", "models", "explorer", "training", "benchmarks", "tests")
STRUCTURES = ("models.structures", "models.labels")


@dataclass(frozen=True)
class Arrow:
    """What the modules under `who` must not import, and what of it they may all the same."""

    who: str
    never: tuple[str, ...]
    but: tuple[str, ...] = ()
    because: str = ""

    def forbids(self, importer: str, imported: str) -> bool:
        return within(importer, (self.who,)) and within(imported, self.never) and not within(imported, self.but)


ARROWS = [
    Arrow("models", ("explorer", "app"), because="the networks know nothing above them"),
    Arrow("models", ("gradio", "plotly", "matplotlib"), because="the networks know nothing of pages and figures"),
    Arrow("explorer", ("app",), because="app.py starts the explorer"),
    Arrow("explorer.views", ("models",), STRUCTURES, "a view draws a structure, whatever model returned it"),
    Arrow("explorer.canvas", ("models",), STRUCTURES, "a canvas draws a structure, whatever model returned it"),
    Arrow("explorer.diagnostics", ("models",), STRUCTURES, "a diagnostic reads a structure, whatever model returned it"),
    Arrow("explorer.diagnostics", ("explorer.views", "explorer.canvas"), because="numbers do not need pictures"),
    *(
        Arrow(f"explorer.{room}", ("explorer.exhibits", "explorer.exhibit", "explorer.site"), because="exhibits and pages stand above it")
        for room in ("views", "canvas", "diagnostics")
    ),
    Arrow("explorer.exhibits", ("plotly", "matplotlib"), because="figures are made by views"),
    Arrow("explorer.exhibits", ("explorer.site",), because="pages stand above exhibits"),
    *(
        Arrow(room, ("training", "benchmarks"), because="training and benchmarks are run by people, never by the app")
        for room in ("app", "models", "explorer")
    ),
    *(Arrow(room, ("tests",), because="tests know the rest, not the other way round") for room in ROOMS if room != "tests"),
]


def within(module: str, packages: tuple[str, ...]) -> bool:
    """True when `module` is one of the packages or lies inside one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything that a module imports; `from a import b` is a.b, which may be a module or a name."""
    home = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = home[: len(home) - node.level + 1] if node.level else []
            package = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{package}.{alias.name}" if alias.name != "*" else package) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                yield node.lineno, node.args[0].value


def violations(arrow: Arrow, root: Path) -> list[str]:
    """One line per import under `root` that the arrow forbids."""
    found = []
    for path in source_files(root):
        module = module_name(path, root)
        for line, name in imports(path.read_text(encoding="utf-8"), module, path.name == "__init__.py"):
            if arrow.forbids(module, name):
                found.append(f"{path.relative_to(root).as_posix()}:{line} imports {name}: {arrow.because}")
    return found


def source_files(root: Path) -> list[Path]:
    files = [path for room in ROOMS for path in (root / room).rglob("*.py")]
    return sorted([*files, *(path for path in [root / "app.py"] if path.exists())])


def name_of(arrow: Arrow) -> str:
    return f"{arrow.who}-not-{'-'.join(arrow.never)}"


@pytest.mark.parametrize("arrow", ARROWS, ids=name_of)
def test_arrow_holds(arrow: Arrow) -> None:
    assert violations(arrow, ROOT) == []


def test_the_rooms_are_seen() -> None:
    modules = {module_name(path, ROOT) for path in source_files(ROOT)}
    assert {"models.structures", "models.capture", "tests.test_arrows"} <= modules


FORMS = {
    "plain": "import {name}",
    "from": "from {package} import {last}",
    "renamed": "import {name} as other",
    "late": "def f():\n    import {name}",
    "typing": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import {name}",
    "dynamic": "import importlib\nimportlib.import_module('{name}')",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("arrow", ARROWS, ids=name_of)
def test_a_violation_is_caught(arrow: Arrow, form: str, tmp_path: Path) -> None:
    for forbidden in arrow.never:
        name = f"{forbidden}.part"
        package, _, last = name.rpartition(".")
        plant(tmp_path, arrow.who, form.format(name=name, package=package, last=last))
        (found,) = violations(arrow, tmp_path)
        assert f"imports {name}" in found


def test_a_relative_import_is_resolved() -> None:
    names = [
        name
        for _, name in imports("from ..exhibits import vig\nfrom . import graph\nfrom .graph import draw", "explorer.views.matrix", False)
    ]
    assert names == ["explorer.exhibits.vig", "explorer.views.graph", "explorer.views.graph.draw"]
    assert [name for _, name in imports("from .graph import *", "explorer.views", True)] == ["explorer.views.graph"]


def test_structures_are_free_to_all(tmp_path: Path) -> None:
    plant(tmp_path, "explorer.views", "from models.structures import PatchGraph\nfrom models import structures")
    assert not any(violations(arrow, tmp_path) for arrow in ARROWS)


def test_a_longer_name_is_another_module() -> None:
    assert not within("models_extra.vig", ("models",))
    assert not within("explorer.exhibits.vig", ("explorer.exhibit",))


def plant(root: Path, who: str, source: str) -> None:
    """Write a module that belongs to `who`."""
    path = root / "app.py" if who == "app" else root.joinpath(*who.split("."), "planted.py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
