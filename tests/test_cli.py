"""The command line: what it prints, what it writes, and one line with status 2 for everything that cannot be used."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from explorer import service
from explorer.__main__ import _worst_first, app
from explorer.exhibit import Claim, ClaimResult
from explorer.exhibits import catalogue

ROOT = Path(__file__).resolve().parents[1]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (2, 80, 100, 3), dtype=np.uint8)
    for name, pixels in zip(("one.png", "two.jpg"), noise, strict=True):
        Image.fromarray(pixels).save(folder / name)
    (folder / "notes.txt").write_text("not a picture")
    (folder / ".hidden").write_text("not looked at")
    return folder


def test_list_names_every_exhibit() -> None:
    found = run("list")
    assert found.exit_code == 0
    for slug in catalogue()[0]:
        assert slug in found.stdout


def test_list_as_json_is_the_catalogue() -> None:
    rows = json.loads(run("list", "--json").stdout)
    assert [row["slug"] for row in rows] == list(catalogue()[0])
    assert rows[0]["controls"]


def test_list_is_light() -> None:
    code = (
        "import sys; sys.argv = ['explorer', 'list', '--json']\n"
        "import runpy\n"
        "try: runpy.run_module('explorer', run_name='__main__')\n"
        "except SystemExit as end: print(end.code, file=sys.stderr)\n"
        "print([m for m in ('gradio', 'matplotlib', 'networkx', 'captum', 'sklearn', 'transformers', 'umap') if m in sys.modules], file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert found.stderr.splitlines()[-2:] == ["0", "[]"]
    assert json.loads(found.stdout)


def test_look_writes_everything(tmp_path: Path, pictures: Path) -> None:
    out = tmp_path / "new" / "folder"
    found = run("look", "mobilevig", pictures / "one.png", "--set", "step=3", "--set", "mirror=true", "--out", out)
    assert found.exit_code == 0, found.stderr
    assert {"figures", "graphs", "interactive.html", "structures.npz", "recreate.py"} <= {p.name for p in out.iterdir()}
    prediction = json.loads((out / "prediction.json").read_text())
    assert (prediction["controls"]["step"], prediction["controls"]["mirror"]) == (3, True)
    assert prediction["picture"] == {"name": "yours"}
    assert str(out) in found.stdout.replace("\n", "")


def test_the_written_script_runs_by_itself(tmp_path: Path) -> None:
    assert run("look", "mobilevig", "dot", "--out", tmp_path).exit_code == 0
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        [sys.executable, tmp_path / "recreate.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert "edges" in found.stdout


def test_folder_lists_worst_first_and_refusals(tmp_path: Path, pictures: Path) -> None:
    table = tmp_path / "table.csv"
    found = run("folder", "greedyvig", pictures, "--out", table, "--sort", "isolated")
    assert found.exit_code == 0, found.stderr
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    layers = len({row["layer"] for row in rows if row["layer"]})
    assert len(rows) == 2 * layers + 1
    values = [float(row["isolated"]) for row in rows if row["isolated"]]
    assert values == sorted(values, reverse=True)
    assert rows[-1]["picture"] == "notes.txt"
    assert "picture" in rows[-1]["refused"]
    assert "notes.txt" in found.stderr


def test_folder_tells_how_hyperedges_are_used_over_all_pictures(tmp_path: Path, pictures: Path) -> None:
    table = tmp_path / "table.csv"
    found = run("folder", "softhgnn", pictures, "--out", table, "--set", "model=softvit_sparse")
    assert found.exit_code == 0, found.stderr
    assert "worst edges_different first" in found.stdout
    for words in ("Different hyperedges, over all pictures", "Dead hyperedges", "Load of the busiest hyperedge", "2 pictures"):
        assert words in found.stdout
    assert "(fuzzy)" not in found.stdout, "clusters of one picture are not those of the next"
    with table.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["edges_different"]]
    values = [float(row["edges_different"]) for row in rows]
    assert values == sorted(values), "fewer different hyperedges are worse"
    assert values[0] < values[-1]


def test_folder_sorts_patch_graphs_by_what_crosses_objects(tmp_path: Path, pictures: Path) -> None:
    found = run("folder", "mobilevig", pictures, "--out", tmp_path / "table.csv")
    assert "worst homophily_adjusted first" in found.stdout
    assert "over all pictures" not in found.stdout


def test_worst_is_the_bad_end_of_a_measure() -> None:
    more_is_worse, less_is_worse = _worst_first("isolated"), _worst_first("edges")
    assert sorted([0.1, None, 0.9], key=more_is_worse) == [0.9, 0.1, None]
    assert sorted([5.0, None, 900.0], key=less_is_worse) == [5.0, 900.0, None]


@pytest.fixture
def one_claim(monkeypatch: pytest.MonkeyPatch) -> list[Path | None]:
    asked: list[Path | None] = []

    def measure(data_dir: Path | None) -> ClaimResult:
        asked.append(data_dir)
        return ClaimResult("42 ± 1", len(asked) == 1, "seeds 0–2")

    exhibit = replace(catalogue()[0]["vig"], claims=(Claim("answer", "It is forty-two.", "about 40", measure),))
    monkeypatch.setattr(service, "exhibit", lambda slug: exhibit)
    return asked


def test_claims_as_table_and_json(one_claim: list[Path | None]) -> None:
    table = run("claims", "vig")
    assert table.exit_code == 0
    for word in ("forty-two", "about 40", "42 ± 1", "yes", "seeds 0–2"):
        assert word in table.stdout
    (row,) = json.loads(run("claims", "vig", "--json").stdout)
    assert (row["exhibit"], row["key"], row["our_figure"], row["holds"]) == ("vig", "answer", "42 ± 1", False)
    assert one_claim == [None, None]


def test_claims_of_all_exhibits(one_claim: list[Path | None]) -> None:
    assert len(json.loads(run("claims", "--json").stdout)) == len(catalogue()[0])


BAD = {
    "no command": ([], "Missing command"),
    "unknown command": (["stare"], "stare"),
    "unknown option": (["list", "--yaml"], "--yaml"),
    "missing slug": (["look"], "slug"),
    "missing out": (["look", "vig"], "--out"),
    "unknown slug": (["look", "vgi", "--out", "{out}"], "there are vig, mobilevig"),
    "control out of range": (["look", "vig", "--set", "k=99", "--out", "{out}"], "from 1 to 16"),
    "control that is no number": (["look", "vig", "--set", "k=many", "--out", "{out}"], "from 1 to 16"),
    "unknown control": (["look", "vig", "--set", "z=1", "--out", "{out}"], "there are "),
    "no value": (["look", "vig", "--set", "k", "--out", "{out}"], "NAME=VALUE"),
    "no such picture": (["look", "vig", "{out}/none.png", "--out", "{out}"], "neither a file nor an example"),
    "not a picture": (["look", "vig", "{pictures}/notes.txt", "--out", "{out}"], "notes.txt"),
    "a folder as picture": (["look", "vig", "{pictures}", "--out", "{out}"], "neither a file nor an example"),
    "out is a file": (["look", "vig", "--out", "{pictures}/one.png"], "cannot write to"),
    "no folder": (["folder", "vig", "{out}/none", "--out", "{out}/t.csv"], "not a folder"),
    "empty folder": (["folder", "vig", "{empty}", "--out", "{out}/t.csv"], "no file"),
    "unknown measure": (
        ["folder", "vig", "{pictures}", "--out", "{out}/t.csv", "--sort", "beauty"],
        "there is no measure named 'beauty'; there are ",
    ),
    "table is a folder": (["folder", "mobilevig", "{pictures}", "--out", "{empty}"], "cannot write to"),
    "unknown slug of claims": (["claims", "vgi"], "there are vig, mobilevig"),
    "no masks": (["claims", "vig", "--data-dir", "{pictures}"], "no pictures with masks"),
}


@pytest.mark.parametrize(("arguments", "expected"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_line_and_status_2(arguments: list[str], expected: str, tmp_path: Path, pictures: Path) -> None:
    (tmp_path / "empty").mkdir()
    places = {"out": tmp_path / "out", "pictures": pictures, "empty": tmp_path / "empty"}
    found = run(*(a.format(**places) for a in arguments))
    assert found.exit_code == 2
    (line,) = [line for line in found.stderr.splitlines() if not line.startswith("refused:")]
    assert line.startswith("hyperscope: ")
    assert expected in line
    assert not found.stdout


def test_nothing_but_refusals_is_status_2(tmp_path: Path, pictures: Path) -> None:
    (pictures / "one.png").unlink()
    (pictures / "two.jpg").unlink()
    found = run("folder", "vig", pictures, "--out", tmp_path / "t.csv")
    assert found.exit_code == 2
    assert "notes.txt" in (tmp_path / "t.csv").read_text()


def test_a_fault_of_ours_is_one_line_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(service, "compute", lambda *_: 1 / 0)
    found = run("look", "vig", "--out", tmp_path)
    assert found.exit_code == 1
    assert "please report" in found.stderr
    assert "Traceback" not in found.stderr
