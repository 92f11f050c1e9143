"""What the page, the API and the command line ask for: right answers, plain refusals, and visitors who never meet."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import pickle
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from explorer import examples, payload, runtime, service
from explorer.exhibit import BadRequest, Controls, Scene
from explorer.exhibits import catalogue
from explorer.exhibits.image_graphs import look
from explorer.intake import IntakeError, webp_uri
from explorer.runtime import Run, RunStore
from explorer.service import Source
from explorer.views import view_of
from explorer.views.arrays import unpack
from explorer.views.patch_graph import patch_colours
from models import zoo
from models.attribution import METHODS
from models.capture import capture
from models.structures import PatchGraph
from tests.test_exhibits import GRAPHS, PICTURED, assert_valid, source_of

ROOT = Path(__file__).resolve().parents[1]
SLUGS = list(catalogue()[0])
QUICK = "mobilevig"


def controls_of(slug: str, **values: Any) -> Controls:
    return service.exhibit(slug).controls.parse(values)


def noise(seed: int) -> np.ndarray:
    """A picture like no other: one colour with a little noise on it."""
    generator = np.random.default_rng(seed)
    return np.clip(generator.integers(40, 216, 3) + generator.normal(0, 12, (448, 448, 3)), 0, 255).astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG", compress_level=1)
    return data.getvalue()


def opened(slug: str = QUICK, **values: Any) -> dict[str, Any]:
    """A live run of the exhibit's own example, as the page has it."""
    source = service.first(service.exhibit(slug))
    return dict(json.loads(service.run(slug, source, controls_of(slug, **values), {"layer": 0})))


_kept: dict[str, str] = {}


def kept(slug: str) -> str:
    """The id of a run that several tests ask about."""
    if runtime.RUNS.get(_kept.get(slug)) is None:
        _kept[slug] = opened(slug)["run"]
    return _kept[slug]


@pytest.fixture(autouse=True)
def room_for_every_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime.RUNS, "max_bytes", 2**31)


# ------------------------------------------------------------------------------------------------------------- opening


@pytest.mark.parametrize("slug", SLUGS)
def test_a_run_is_a_valid_payload_that_can_be_asked_about(slug: str) -> None:
    source = source_of(slug, "bear")
    text = service.run(slug, source, controls_of(slug), {"layer": 1, "pins": [3]}, notices=("a remark",), request=7)
    run = runtime.RUNS.get(json.loads(text)["run"])
    assert run is not None
    assert run.exhibit == slug
    found = json.loads(text)
    assert found["request"] == 7
    found = assert_valid(text, service.exhibit(slug), run.scene, run.controls)
    assert found["state"] == {"layer": 1, "pins": [3]}
    assert (found["picture"] or {}).get("name") == ("bear" if slug in PICTURED else None)
    assert "a remark" in found["notes"]


@pytest.mark.parametrize("slug", SLUGS)
def test_an_exhibit_opens_with_the_first_step_of_its_story(slug: str) -> None:
    found = json.loads(service.opened(slug))
    assert found["exhibit"]["slug"] == slug
    assert (found["picture"] or {}).get("name") == (service.exhibit(slug).example or None)
    assert (found["picture"] is None) == (slug not in PICTURED)
    assert found["state"] == {**service.exhibit(slug).story()[0]["state"]["look"], "step": 0}


def test_a_stored_first_run_is_shown_only_when_nothing_special_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(service, "TRACES", tmp_path)
    (tmp_path / f"{QUICK}.json.gz").write_bytes(gzip.compress(b'{"stored": true}'))
    assert json.loads(service.opened(QUICK)) == {"stored": True}
    assert "stored" not in json.loads(service.opened(QUICK, notices=["something to say"]))
    link = service.permalink.encode(None, {}, {"layer": 1})
    assert json.loads(service.opened(QUICK, link))["state"] == {"layer": 1}
    link = service.permalink.encode("cat", {}, {})
    assert json.loads(service.opened(QUICK, link))["picture"]["name"] == "cat"


def test_a_look_from_outside_is_cleaned() -> None:
    deep: Any = 1
    for _ in range(500):
        deep = [deep]
    text = service.run(QUICK, service.example("bus"), controls_of(QUICK), {"layer": 1, "a": deep, "tab": "\ud800", "opacity": float("nan")})
    assert json.loads(text)["state"] == {"layer": 1}
    text.encode()


# ----------------------------------------------------------------------------------------------------------- questions


def test_a_cut_answers_with_the_prediction_after_it() -> None:
    first = opened()["layers"][0]["name"]
    question = {"run": kept(QUICK), "cuts": [{"layer": first, "kind": "patch", "pairs": [[119, -1]]}]}
    answer = service.cut(question)
    assert len(answer["prediction"]) == 10
    assert sum(p for _, p in answer["prediction"]) == pytest.approx(1, abs=1e-4)
    assert "edges fewer" in answer["note"]
    assert int(answer["note"].split()[0]) >= 28, "the patch listened to 14 patches and as many listened to it"
    assert service.cut({"run": kept(QUICK), "cuts": []})["note"].startswith("0 of ")
    json.dumps(answer, allow_nan=False)


def test_a_cut_side_by_side_answers_for_every_network() -> None:
    answer = service.cut({"run": kept("constructors"), "cuts": [{"layer": "knn", "kind": "edges", "pairs": [[0, 1]]}]})
    assert set(answer["predictions"]) == {layer.name for layer in _scene("constructors").layers}


@pytest.mark.parametrize("method", ["spring", "spectral", "kamada-kawai", "umap"])
def test_a_layout_has_a_place_for_every_patch(method: str) -> None:
    for layer in (1, _scene(QUICK).layers[1].name):  # by number and by name
        answer = service.lay_out({"run": kept(QUICK), "layer": layer, "method": method})
        assert (answer["layer"], answer["method"]) == (layer, method)
        points = unpack(answer["points"])
        assert points.shape == (64, 2)
        assert np.isfinite(points).all()
    run = runtime.RUNS.get(kept(QUICK))
    assert run is not None
    assert ("layout", _scene(QUICK).layers[1].name, method) in run.memo


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("slug", [slug for slug in SLUGS if service.exhibit(slug).explain])
def test_an_attribution_has_a_finite_map(slug: str, method: str) -> None:
    answer = service.attribution({"run": kept(slug), "layer": 0, "method": method})
    found = unpack(answer["map"])
    assert found.ndim == 2
    assert np.isfinite(found).all()
    assert method == "grad-cam" or np.ptp(found) > 0  # Grad-CAM keeps what speaks for the class, which may be nothing
    assert answer["label"] == _scene(slug).prediction[0][0]


@pytest.mark.parametrize("slug", GRAPHS)
def test_a_row_holds_the_distances_that_the_rule_compared(slug: str) -> None:
    for index, layer in enumerate(_scene(slug).layers):
        graph = layer.structures["graph"]
        assert isinstance(graph, PatchGraph)
        for patch in (0, 37 % (graph.grid[0] * graph.grid[1])):
            for name in (index, layer.name):
                answer = service.look_up({"question": "row", "run": kept(slug), "layer": name, "patch": patch})
                if answer is None:
                    assert graph.pooled or graph.position is not None
                    continue
                row = torch.from_numpy(unpack(answer["values"]).copy())
                assert row.shape == (graph.key_grid[0] * graph.key_grid[1],)
                if graph.distance is not None:
                    expected = graph.distance[0, patch]
                    torch.testing.assert_close(row[graph.candidates[0, patch]], expected, rtol=1e-4, atol=1e-5)
                if not graph.pooled and graph.position is None:
                    assert row[patch].item() == pytest.approx(0, abs=1e-3)


def test_a_row_knows_which_norm_was_asked_for() -> None:
    run = opened("greedyvig", distance="L2")["run"]
    graph = _scene_of(run).layers[0].structures["graph"]
    answer = service.look_up({"question": "row", "run": run, "layer": 0, "patch": 5})
    assert answer is not None
    row = torch.from_numpy(unpack(answer["values"]).copy())
    torch.testing.assert_close(row[graph.candidates[0, 5]], graph.distance[0, 5], rtol=1e-4, atol=1e-5)  # type: ignore[attr-defined]


def _scene_of(key: str) -> Scene:
    run = runtime.RUNS.get(key)
    assert run is not None
    return run.scene  # type: ignore[no-any-return]


def _scene(slug: str) -> Scene:
    return _scene_of(kept(slug))


@pytest.mark.parametrize("slug", SLUGS)
def test_the_api_answers_with_plain_json(slug: str) -> None:
    answer = service.answer_api(slug, "cat" if slug in PICTURED else None, {})
    json.dumps(answer, allow_nan=False)
    assert answer["exhibit"] == slug
    assert answer["controls"] == json.loads(json.dumps(controls_of(slug).model_dump()))
    assert answer["layers"]
    assert bool(answer["prediction"]) == bool(_scene(slug).prediction)
    assert answer["prediction"] or slug not in PICTURED
    for layer in answer["layers"]:
        if slug not in PICTURED:
            view, _ = view_of(next(one for one in _scene(slug).layers if one.name == layer["name"]).structures) or pytest.fail(
                layer["name"]
            )
            assert layer["kind"] == view.kind
            assert layer.keys() > {"name", "label", "diagnostics", "kind"}, "numbers of its own"
            assert layer["diagnostics"] == json.loads(json.dumps(payload.plain(_scene(slug).measures[layer["name"]])))
            continue
        patches = layer["grid"][0] * layer["grid"][1]
        if layer["kind"] == "hypergraph":
            assert len(layer["participation"]) == layer["special"] + patches
            assert {len(row) for row in layer["participation"]} == {layer["hyperedges"]}
            assert {m["key"] for m in layer["diagnostics"]} >= {"edges_different", "patch_entropy"}
            continue
        if layer["kind"] == "tokens":
            assert len(layer["kept"]) == len(layer["order"]) == sum(layer["counts"].values()) - layer["counts"]["pruned"]
            assert {m["key"] for m in layer["diagnostics"]} >= {"patches_kept", "attention_entropy"}
            continue
        if layer["kind"] == "exits":
            assert set(layer["left_before"]) <= set(layer["left"]) <= set(range(patches))
            assert {m["key"] for m in layer["diagnostics"]} >= {"exited_early", "cost_saved"}
            continue
        source, target = layer["edge_index"]
        assert len(source) == len(target)
        assert max([*target, 0]) < patches
        own = {"attention_sparsity", "mass_covered"} if slug == "sparsifiner" else {"edges", "difference"}
        assert {m["key"] for m in layer["diagnostics"]} >= own


def test_the_api_takes_a_picture_as_base64() -> None:
    data = base64.b64encode(png(noise(1))).decode()
    plain, uri = service.answer_api(QUICK, data, {}), service.answer_api(QUICK, f"data:image/png;base64,{data}", {})
    assert plain == uri
    assert plain["prediction"] == payload.plain(service.compute(QUICK, service.visitors(noise(1)), controls_of(QUICK)).prediction)


def test_a_question_about_a_forgotten_example_is_answered_all_the_same() -> None:
    first = opened()["layers"][0]["name"]
    cuts = [{"layer": first, "kind": "patch", "pairs": [[119, -1]]}]
    forgotten = {"exhibit": QUICK, "run": None, "image": {"example": "bus"}, "controls": {}, "cuts": cuts}
    assert service.cut(forgotten) == service.cut({"run": kept(QUICK), "cuts": cuts})
    other = {**forgotten, "controls": {"step": 3}, "run": "gone"}
    assert service.cut(other)["prediction"] != service.cut(forgotten)["prediction"] or not zoo.load("mobilevig_micro").trained


def test_a_picture_of_an_earlier_run_can_be_run_again() -> None:
    run = json.loads(service.run(QUICK, service.visitors(noise(2)), controls_of(QUICK)))["run"]
    for data in ({"image": {"run": run}}, {"run": run}, {"run": run, "image": "cat"}, {"run": run, "image": {"example": "yours"}}):
        assert service.asked_source(data).name == "yours"
        np.testing.assert_array_equal(service.asked_source(data).shown, noise(2))
    assert service.asked_source({"run": run, "image": {"example": "cat"}}).name == "cat"


# ------------------------------------------------------------------------------------------------------------ refusals

Ask = Callable[[dict[str, Any]], Any]
DEEP: Any = None
for _ in range(400):
    DEEP = [DEEP]

REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "no such exhibit": (lambda: service.exhibit("vigg"), "no exhibit named 'vigg'; there are vig, mobilevig"),
    "a list for an exhibit": (lambda: service.exhibit(["vig"]), "there is no exhibit named that; there are vig"),
    "nothing for an exhibit": (lambda: service.exhibit(None), "there is no exhibit named that; there are vig"),
    "no such example": (lambda: service.example("dog"), "no example named 'dog'; there are bus"),
    "a mapping for an example": (lambda: service.example({"a": 1}), "there is no example named that; there are bus"),
    "a path for an example": (lambda: service.example("../../etc/passwd"), "no example named '../../etc/passwd'"),
    "a long name": (lambda: service.example("x" * 10**6), "no example named '" + "x" * 40 + "'; there are"),
    "gone": (lambda: service.asked_source({"run": "nobody"}), "no longer kept here"),
    "gone, by image": (lambda: service.asked_source({"image": {"run": "nobody"}}), "no longer kept here"),
    "no run and no picture": (lambda: service.asked_source({}), "no longer kept here"),
    "odd types": (lambda: service.asked_source({"image": {"run": {"a": []}}, "run": [1]}), "no longer kept here"),
    "cut of nothing known": (lambda: service.cut({"cuts": []}), "no exhibit named that"),
    "cut of a forgotten picture": (lambda: service.cut({"exhibit": QUICK, "run": "x", "cuts": []}), "no longer kept here"),
    "controls that are text": (
        lambda: service.cut({"exhibit": QUICK, "image": {"example": "bus"}, "controls": "k=3", "cuts": []}),
        "names and values",
    ),
    "controls out of bounds": (
        lambda: service.cut({"exhibit": QUICK, "image": {"example": "bus"}, "controls": {"step": 0}, "cuts": []}),
        "step is 0; it must be a number from 1 to 7",
    ),
    "a layout of another kind": (lambda: service.lay_out({"run": kept(QUICK), "layer": 0, "method": "circle"}), "one of spring, spectral"),
    "a list for a layout": (lambda: service.lay_out({"run": kept(QUICK), "layer": 0, "method": ["spring"]}), "one of spring, spectral"),
    "a layout of pooled keys": (lambda: service.lay_out({"run": kept("vig"), "layer": 0, "method": "spring"}), "pooled cells"),
    "a layer that is not there": (lambda: service.lay_out({"run": kept(QUICK), "layer": 3, "method": "spring"}), "a number from 0 to 2"),
    "a negative layer": (lambda: service.lay_out({"run": kept(QUICK), "layer": -1, "method": "spring"}), "a number from 0 to 2"),
    "a true layer": (lambda: service.lay_out({"run": kept(QUICK), "layer": True, "method": "spring"}), "a number from 0 to 2"),
    "half a layer": (lambda: service.lay_out({"run": kept(QUICK), "layer": 0.5, "method": "spring"}), "a number from 0 to 2"),
    "another layer's name": (lambda: service.lay_out({"run": kept(QUICK), "layer": "head", "method": "spring"}), "or one of backbone."),
    "no layer": (lambda: service.lay_out({"run": kept(QUICK), "method": "spring"}), "a number from 0 to 2"),
    "an attribution of another kind": (lambda: service.attribution({"run": kept(QUICK), "layer": 0, "method": "guess"}), "one of integrated"),
    "an attribution of no class": (
        lambda: service.attribution({"run": kept(QUICK), "layer": 0, "method": "occlusion", "label": "unicorn"}),
        "no class 'unicorn'; there are ",
    ),
    "a list for a class": (
        lambda: service.attribution({"run": kept(QUICK), "layer": 0, "method": "occlusion", "label": ["cat"]}),
        "the name of a class",
    ),
    "an attribution nowhere": (lambda: service.attribution({"run": kept(QUICK), "layer": 9, "method": "occlusion"}), "a number from 0 to 2"),
    "text for a picture": (lambda: service.answer_api(QUICK, "no base64!", {}), "neither the name of an example"),
    "nothing for a picture": (lambda: service.answer_api(QUICK, None, {}), "image must be the name of an example"),  # type: ignore[arg-type]
    "a list for a picture": (lambda: service.answer_api(QUICK, ["cat"], {}), "image must be the name of an example"),  # type: ignore[arg-type]
    "a picture too large": (lambda: service.answer_api(QUICK, "A" * 12_000_001, {}), "at most 8 MB"),
    "an address for a picture": (lambda: service.answer_api(QUICK, "http://127.0.0.1/cat.png", {}), "neither the name of an example"),
    "a path for a picture": (lambda: service.answer_api(QUICK, "/etc/passwd", {}), ""),
    "settings unknown": (lambda: service.answer_api(QUICK, "cat", {"k": 3}), "no control named 'k'"),
}  # fmt: skip

CUTS = {
    "nothing": None,
    "text": "all",
    "too many": [{"layer": "*", "kind": "patch", "pairs": []}] * 65,
    "a list of text": ["patch"],
    "no kind": [{"layer": "*", "pairs": []}],
    "another kind": [{"layer": "*", "kind": "node", "pairs": []}],
    "a list for a kind": [{"layer": "*", "kind": ["patch"], "pairs": []}],
    "no layer": [{"kind": "patch", "pairs": []}],
    "a number for a layer": [{"layer": 0, "kind": "patch", "pairs": []}],
    "no pairs": [{"layer": "*", "kind": "patch"}],
    "text for pairs": [{"layer": "*", "kind": "patch", "pairs": "12"}],
    "text for a pair": [{"layer": "*", "kind": "patch", "pairs": ["12"]}],
    "a pair of one": [{"layer": "*", "kind": "patch", "pairs": [[1]]}],
    "a pair of three": [{"layer": "*", "kind": "edges", "pairs": [[1, 2, 3]]}],
    "numbers as text": [{"layer": "*", "kind": "edges", "pairs": [["1", "2"]]}],
    "halves": [{"layer": "*", "kind": "edges", "pairs": [[0.5, 2]]}],
    "not a number": [{"layer": "*", "kind": "edges", "pairs": [[float("nan"), 2]]}],
    "infinite": [{"layer": "*", "kind": "edges", "pairs": [[float("inf"), 2]]}],
    "true": [{"layer": "*", "kind": "edges", "pairs": [[True, 2]]}],
    "huge": [{"layer": "*", "kind": "edges", "pairs": [[1, 10**30]]}],
    "negative": [{"layer": "*", "kind": "edges", "pairs": [[-2, 1]]}],
    "nested": [{"layer": "*", "kind": "edges", "pairs": [[DEEP, DEEP]]}],
}


@pytest.mark.parametrize(("ask", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_done_is_refused_in_a_sentence(ask: Callable[[], Any], words: str) -> None:
    with pytest.raises((BadRequest, IntakeError)) as refusal:
        ask()
    assert words in str(refusal.value)
    assert 10 < len(str(refusal.value)) < 400
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS.keys())
def test_cuts_of_the_wrong_form_are_refused(cuts: Any) -> None:
    with pytest.raises(BadRequest, match="cuts must be a list of"):
        service.cut({"run": kept(QUICK), "cuts": cuts})


def test_cuts_of_what_is_not_there_are_refused() -> None:
    name = _scene(QUICK).layers[0].name
    for layer, pair, words in (
        ("nowhere", [1, -1], "no layer named 'nowhere'"),
        (name, [256, -1], "no patch 256"),
        (name, [-1, 0], "no patch -1"),
    ):
        for kind in ("patch", "edges"):
            with pytest.raises(BadRequest, match=words):
                service.cut({"run": kept(QUICK), "cuts": [{"layer": layer, "kind": kind, "pairs": [pair]}]})
    many = [[i % 256, 0] for i in range(service.MAX_PAIRS // 2 + 1)]
    with pytest.raises(BadRequest, match="at most 20000 edges"):
        service.cut({"run": kept(QUICK), "cuts": [{"layer": "*", "kind": "edges", "pairs": many}] * 2})


def test_as_many_cuts_as_allowed_take_no_longer_than_a_run() -> None:
    many = [[i % 256, i // 256] for i in range(service.MAX_PAIRS)]
    begun = time.thread_time()
    service.cut({"run": kept(QUICK), "cuts": [{"layer": "*", "kind": "edges", "pairs": many}]})
    assert time.thread_time() - begun < 2


LOOK_UPS = {
    "nothing": None,
    "text": "row",
    "a list": ["row"],
    "no question": {"layer": 0, "patch": 0},
    "another question": {"question": "column", "layer": 0, "patch": 0},
    "a list for a question": {"question": ["row"], "layer": 0, "patch": 0},
    "no layer": {"question": "row", "patch": 0},
    "no such layer": {"question": "row", "layer": 7, "patch": 0},
    "no patch": {"question": "row", "layer": 0},
    "half a patch": {"question": "row", "layer": 0, "patch": 1.5},
    "a true patch": {"question": "row", "layer": 0, "patch": True},
    "a negative patch": {"question": "row", "layer": 0, "patch": -1},
    "a patch outside": {"question": "row", "layer": 0, "patch": 256},
    "a huge patch": {"question": "row", "layer": 0, "patch": 10**30},
    "nested": {"question": "row", "layer": DEEP, "patch": DEEP},
}


@pytest.mark.parametrize("question", LOOK_UPS.values(), ids=LOOK_UPS.keys())
def test_a_look_up_that_means_nothing_has_no_answer(question: Any) -> None:
    assert service.look_up(question) is None
    if isinstance(question, dict):
        assert service.look_up({**question, "run": kept(QUICK)}) is None
        assert service.look_up({"question": "row", "layer": 0, "patch": 0, "run": "nobody"}) is None


# ------------------------------------------------------------------------------------------------ ids and what is kept


def a_run(size: int, born: float = 0.0) -> Run:
    return Run(QUICK, None, None, None, size, born=born)


def at(monkeypatch: pytest.MonkeyPatch, now: list[float]) -> None:
    monkeypatch.setattr(runtime, "time", SimpleNamespace(monotonic=lambda: now[0]))


@pytest.fixture
def stores() -> Iterator[list[RunStore]]:
    made: list[RunStore] = []
    yield made
    for store in made:
        if store._alarm:
            store._alarm.cancel()


def test_ids_cannot_be_guessed(stores: list[RunStore]) -> None:
    store = RunStore()
    stores.append(store)
    keys = [store.put(a_run(1, time.monotonic())) for _ in range(2_000)]
    assert len(set(keys)) == 2_000
    assert min(map(len, keys)) >= 22, "16 random bytes"
    characters = "".join(key[:4] for key in keys)
    assert len(set(characters)) == 64, "no part of an id is a counter or a clock"
    assert len({key[:4] for key in keys}) > 1_990


GARBAGE = [None, "", "a", 0, 1.5, True, [], {}, ["x"], b"x", "x" * 65, "../" * 10, "\0", "\ud800", DEEP]


def test_garbage_is_nobodys_id() -> None:
    kept(QUICK)
    assert [runtime.RUNS.get(key) for key in GARBAGE] == [None] * len(GARBAGE)
    key = kept(QUICK)
    for near in (key[:-1], key + "A", key.swapcase(), key[::-1], f" {key}"):
        assert runtime.RUNS.get(near) is None


def test_the_oldest_runs_go_when_the_room_is_used_up(monkeypatch: pytest.MonkeyPatch, stores: list[RunStore]) -> None:
    at(monkeypatch, [0.0])
    store = RunStore(max_bytes=100)
    stores.append(store)
    keys = [store.put(a_run(30)) for _ in range(3)]
    assert all(store.get(key) for key in keys)
    assert store.get(keys[0]) is not None  # asked about last, so it stays
    fourth = store.put(a_run(30))
    assert [store.get(key) is not None for key in keys] == [True, False, True]
    giant = store.put(a_run(1_000))
    assert store.get(giant) is not None
    assert store.get(fourth) is None
    assert len(store) == 1


def test_a_run_is_forgotten_after_its_time(monkeypatch: pytest.MonkeyPatch, stores: list[RunStore]) -> None:
    now = [0.0]
    at(monkeypatch, now)
    store = RunStore(ttl=900)
    stores.append(store)
    old = store.put(a_run(1, born=0.0))
    now[0] = 600
    new = store.put(a_run(1, born=600.0))
    assert store.get(old) is not None
    now[0] = 901
    assert store.get(old) is None
    assert store.get(new) is not None
    now[0] = 1_501
    assert store.get(new) is None
    assert len(store) == 0


def test_a_run_is_forgotten_also_when_nobody_comes_any_more(monkeypatch: pytest.MonkeyPatch, stores: list[RunStore]) -> None:
    alarms: list[tuple[float, Callable[[], None]]] = []

    class Alarm:
        def __init__(self, seconds: float, call: Callable[[], None]) -> None:
            alarms.append((seconds, call))

        def start(self) -> None: ...
        def cancel(self) -> None: ...

    now = [0.0]
    at(monkeypatch, now)
    monkeypatch.setattr(runtime.threading, "Timer", Alarm)
    store = RunStore(ttl=900)
    stores.append(store)
    store.put(a_run(1, born=0.0))
    now[0] = 600
    store.put(a_run(1, born=600.0))
    assert [seconds for seconds, _ in alarms] == [901], "one alarm at a time"
    now[0] = 901
    alarms[0][1]()
    assert len(store) == 1
    assert [seconds for seconds, _ in alarms] == [901, 600]
    now[0] = 1_501
    alarms[1][1]()
    assert len(store) == 0
    assert len(alarms) == 2, "an empty store sleeps"


def test_the_size_of_a_run_is_the_memory_it_holds() -> None:
    for slug in SLUGS:
        scene = _scene(slug)
        tensors = [t for layer in scene.layers for s in layer.structures.values() for t in s.tensors().values()]
        storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
        held = scene.shown.nbytes + sum(storages.values())
        assert 0.5 * held <= service._size(scene) <= 2 * held + 2**20
        run = runtime.RUNS.get(kept(slug))
        assert run is not None
        assert run.nbytes == service._size(scene)


# ----------------------------------------------------------------------------------------------- visitors do not meet


def threads(count: int) -> ThreadPoolExecutor:
    """Visitors at once, each computing on one core as the other tests do: another number of cores rounds otherwise."""
    return ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))


def fingerprint(shown: np.ndarray, grid: tuple[int, int]) -> tuple[str, str]:
    """What an answer shows of its picture: the picture itself, and the colour of its patches."""
    return hashlib.sha256(webp_uri(shown).encode()).hexdigest(), hashlib.sha256(patch_colours(shown, grid).tobytes()).hexdigest()


def test_eight_visitors_at_once_never_see_each_others_picture() -> None:
    pictures = {seed: noise(seed) for seed in range(100, 108)}
    alone = {(seed, slug): _answer(slug, picture) for seed, picture in pictures.items() for slug in _slugs_of(seed)}
    barrier = threading.Barrier(8)

    def visit(seed: int) -> int:
        torch.set_num_threads(1)  # a setting of each thread; other counts change the last bits
        barrier.wait(30)
        mixed = 0
        for slug in [slug for slug in _slugs_of(seed) for _ in range(2)]:
            text = service.run(slug, service.visitors(pictures[seed]), controls_of(slug))
            found = json.loads(text)
            grid = tuple(found["layers"][0]["grid"])
            shown = hashlib.sha256(found["picture"]["shown"].encode()).hexdigest()
            colours = hashlib.sha256(unpack(found["layers"][0]["colour"]).tobytes()).hexdigest()
            run = runtime.RUNS.get(found["run"])
            assert run is not None
            mixed += (shown, colours) != fingerprint(pictures[seed], grid)
            mixed += not np.array_equal(run.picture.shown, pictures[seed])
            mixed += _told(found) != alone[seed, slug]
        return mixed

    with threads(8) as pool:
        assert list(pool.map(visit, pictures)) == [0] * 8


def _slugs_of(seed: int) -> list[str]:
    """A random mix of three exhibits; the slowest one comes twice in all."""
    drawn = random.Random(seed).choices([slug for slug in PICTURED if slug != "constructors"], k=3)
    return [*drawn[:2], "constructors"] if seed in (100, 105) else drawn


def _answer(slug: str, picture: np.ndarray) -> Any:
    return _told(json.loads(service.run(slug, service.visitors(picture), controls_of(slug))))


def _told(found: dict[str, Any]) -> Any:
    """Everything but the id, which is new each time."""
    return {key: value for key, value in found.items() if key != "run"}


def test_a_run_belongs_to_whoever_knows_its_id() -> None:
    mine = json.loads(service.run(QUICK, service.visitors(noise(7)), controls_of(QUICK)))["run"]
    theirs = json.loads(service.run(QUICK, service.visitors(noise(8)), controls_of(QUICK)))["run"]
    assert mine != theirs
    np.testing.assert_array_equal(service.asked_source({"run": mine}).shown, noise(7))
    np.testing.assert_array_equal(service.asked_source({"run": theirs}).shown, noise(8))
    for garbage in GARBAGE:
        with pytest.raises(BadRequest, match="no longer kept"):
            service.asked_source({"run": garbage, "image": {"run": garbage}})


@pytest.mark.parametrize("slug", [slug for slug in SLUGS if slug != "constructors"])
def test_eight_threads_get_the_bits_of_one(slug: str) -> None:
    source, controls = source_of(slug, "cat"), controls_of(slug)

    def bits(_: int) -> str:
        scene = service.compute(slug, source, controls)
        digest = hashlib.sha256(json.dumps(scene.prediction).encode())
        for layer in scene.layers:
            for structure in layer.structures.values():
                for tensor in structure.tensors().values():
                    digest.update(np.ascontiguousarray(tensor.numpy()).tobytes())
        return digest.hexdigest()

    alone = bits(0)
    with threads(8) as pool:
        assert set(pool.map(bits, range(8))) == {alone}
    for name in ("pvig_micro", "mobilevig_micro", "greedyvig_micro"):
        assert not any(part._forward_hooks or part._forward_pre_hooks for part in runtime.model(name).model.modules())


def test_first_visitors_at_once_get_the_same_network(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime._model.cache_clear()
    load, loads = zoo.load, []

    def slow(name: str) -> zoo.Loaded:
        loads.append(name)
        time.sleep(0.2)
        return load(name)

    monkeypatch.setattr(zoo, "load", slow)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: runtime.model("mobilevig_micro"), range(8)))
    assert loads == ["mobilevig_micro"]
    assert len({id(one) for one in found}) == 1
    _kept.clear()  # the runs of other tests belong to the networks that are gone


def test_an_attribution_waits_for_the_runs_of_other_visitors() -> None:
    """Captum puts hooks into the shared network; a run that comes between would end up in its map."""
    source = service.example("bus")
    alone = look.explain("mobilevig_micro", source.shown, "grad-cam", 3, None).map
    with threads(1) as pool:
        with capture(runtime.model("mobilevig_micro").model):
            waiting = pool.submit(look.explain, "mobilevig_micro", source.shown, "grad-cam", 3, None)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.5)
        torch.testing.assert_close(waiting.result(timeout=60).map, alone)


def test_runs_and_attributions_of_many_visitors_mix() -> None:
    source = service.example("bus")
    methods = ["grad-cam", "occlusion", "integrated gradients"]
    alone = {method: look.explain("mobilevig_micro", source.shown, method, 3, None).map for method in methods}
    usual = service.compute(QUICK, source, controls_of(QUICK)).prediction

    def visit(number: int) -> bool:
        if number % 2:
            return service.compute(QUICK, source, controls_of(QUICK)).prediction == usual
        method = methods[number // 2 % 3]
        return torch.equal(look.explain("mobilevig_micro", source.shown, method, 3, None).map, alone[method])

    with threads(4) as pool:
        assert all(pool.map(visit, range(12)))


# ---------------------------------------------------------------------------------------- runs end, and leave nothing


@pytest.mark.parametrize("slug", SLUGS)
def test_a_run_leaves_nothing_locked(slug: str) -> None:
    """A visitor who leaves cannot stop a run, so runs are short and let go of everything."""
    controls, source = controls_of(slug), source_of(slug, "bus")
    service.compute(slug, source, controls)
    key = json.loads(service.run(slug, source, controls))["run"]
    run = runtime.RUNS.get(key)
    assert run is not None
    assert not run.lock.locked()
    assert not runtime.RUNS._lock.locked()
    assert not runtime._loading.locked()


def test_a_refused_question_leaves_nothing_locked() -> None:
    key = opened("vig")["run"]
    for layer, method in ((0, "spring"), (99, "spring"), (2, "nothing")):
        with pytest.raises(BadRequest):
            service.lay_out({"run": key, "layer": layer, "method": method})
    run = runtime.RUNS.get(key)
    assert run is not None
    assert not run.lock.locked()
    assert run.memo == {}
    assert service.lay_out({"run": key, "layer": 4, "method": "spectral"})["points"]


LEAK = """
import gc, json, os, threading
import psutil, torch
torch.set_num_threads(1)
from explorer import runtime, service
process = psutil.Process()
exhibit, runs = service.exhibit("greedyvig"), 200
controls, source = exhibit.controls(), service.example("bus")
runtime.RUNS.max_bytes = 4 * 2**20
def one():
    service.run("greedyvig", source, controls)
for _ in range(30):
    one()
gc.collect()
before, sizes = (threading.active_count(), process.num_fds()), []
for _ in range(runs):
    one()
    sizes.append(process.memory_info().rss / 2**20)
print(json.dumps({"before": before, "after": (threading.active_count(), process.num_fds()), "sizes": sizes, "kept": len(runtime.RUNS)}))
"""


def test_two_hundred_runs_leak_nothing() -> None:
    found = json.loads(_python(LEAK).splitlines()[-1])
    assert found["before"] == found["after"]
    sizes = np.array(found["sizes"])
    slope = np.polyfit(np.arange(len(sizes)), sizes, 1)[0]
    assert slope <= 0.02, f"{slope:.3f} MB per run"
    assert 1 <= found["kept"] < 10


def _python(code: str, **environment: str) -> str:
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=settings, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    return done.stdout


# ------------------------------------------------------------------------------------------- numbers that mean nothing


def with_parameters(monkeypatch: pytest.MonkeyPatch, change: Callable[[torch.nn.Module], None]) -> None:
    """Every network of the cache is a fresh one with changed weights."""

    def changed(name: str) -> zoo.Loaded:
        loaded = zoo.load(name)
        with torch.no_grad():
            change(loaded.model)
        return loaded

    monkeypatch.setattr(runtime, "model", lru_cache(maxsize=None)(changed))


UNUSED = ("backbone.cls_token", "backbone.pos_embed")  # of DToP: no patch ever sees the class token, nor its place, the first of the places


@pytest.mark.parametrize("slug", PICTURED)
@pytest.mark.parametrize("which", ["first", "last"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")], ids=str)
def test_weights_that_are_no_numbers_are_refused_by_name(monkeypatch: pytest.MonkeyPatch, slug: str, which: str, value: float) -> None:
    def change(model: torch.nn.Module) -> None:
        used = [parameter for name, parameter in model.named_parameters() if name not in UNUSED]
        used[0 if which == "first" else -1].view(-1)[0] = value

    with_parameters(monkeypatch, change)
    with pytest.raises(BadRequest, match=r"not finite \(.+ % of .+ is not a finite number\), so nothing is drawn"):
        service.run(slug, service.example("bus"), controls_of(slug))


@pytest.mark.parametrize("slug", GRAPHS)
def test_weights_of_zero_never_give_a_graph_without_a_warning(monkeypatch: pytest.MonkeyPatch, slug: str) -> None:
    with_parameters(monkeypatch, lambda model: [p.zero_() for p in model.parameters()])  # type: ignore[func-returns-value]
    assert_warned(service.compute(slug, service.example("bus"), controls_of(slug)))


@pytest.mark.parametrize("grey", [0, 120, 255])
@pytest.mark.parametrize("slug", GRAPHS)
def test_a_picture_of_one_colour_never_gives_a_graph_without_a_warning(slug: str, grey: int) -> None:
    if slug == "constructors" and grey != 120:
        pytest.skip("one grey is enough for five networks")
    scene = service.compute(slug, service.visitors(np.full((448, 448, 3), grey, np.uint8)), controls_of(slug))
    assert any(look.ALIKE in note for note in scene.notes)


@pytest.mark.parametrize("slug", ["greedyvig", "constructors"])
def test_plain_colours_of_one_colour_are_called_collapsed(slug: str) -> None:
    flat = service.visitors(np.full((448, 448, 3), 90, np.uint8))
    scene = service.compute(slug, flat, controls_of(slug, features="raw colours"))
    assert_warned(scene)
    service.run(slug, flat, controls_of(slug, features="raw colours"))


def assert_warned(scene: Scene) -> None:
    assert any(look.ALIKE in note for note in scene.notes)
    for layer in scene.layers:
        difference = next(m for m in scene.measures[layer.name] if m.key == "difference")
        assert difference.level == "bad"


def test_an_ordinary_picture_needs_no_warning() -> None:
    for slug in SLUGS:
        assert not any(look.ALIKE in note for note in _scene(slug).notes)


# ------------------------------------------------------------------------------------------------- what may be missing

WITHOUT = """
import importlib.abc, json, sys
BLOCKED = ("umap", "captum", "transformers", "spaces", "sklearn")

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.split(".")[0])

sys.meta_path.insert(0, Blocker())
import torch
torch.set_num_threads(1)
from explorer import runtime, service
from explorer.exhibit import BadRequest
from explorer.exhibits import catalogue
from explorer.site import build

build()
found = {"missing": [m.slug for m in catalogue()[1]], "shown": [], "refused": {}}
for slug, exhibit in catalogue()[0].items():
    found["shown"].append(json.loads(service.opened(slug))["exhibit"]["slug"])
run = json.loads(service.run("mobilevig", service.example("bus"), service.exhibit("mobilevig").controls()))["run"]
for name, ask, question in (
    ("umap", service.lay_out, {"method": "umap"}),
    ("captum", service.attribution, {"method": "occlusion"}),
):
    try:
        ask({"run": run, "layer": 1, **question})
    except BadRequest as error:
        found["refused"][name] = str(error)
found["layout"] = service.lay_out({"run": run, "layer": 1, "method": "spring"})["method"]
found["loaded"] = sorted({name.split(".")[0] for name in sys.modules} & set(BLOCKED))
print(json.dumps(found))
"""


def test_without_the_optional_packages_only_what_needs_them_is_missing() -> None:
    found = json.loads(_python(WITHOUT).splitlines()[-1])
    assert found["missing"] == []
    assert found["shown"] == SLUGS
    assert found["refused"]["umap"] == "umap is unavailable here, because a package is missing (umap)"
    assert found["refused"]["captum"] == "attributions are unavailable here, because a package is missing (captum)"
    assert found["layout"] == "spring"
    assert found["loaded"] == []


LAZY = """
import sys
import app
from explorer import service
service.opened("mobilevig")
print(sorted({name.split(".")[0] for name in sys.modules} & {"umap", "captum", "transformers", "sklearn", "matplotlib", "plotly", "numba"}))
"""


def test_heavy_packages_are_imported_when_first_needed() -> None:
    assert _python(LAZY).splitlines()[-1] == "[]"


# ------------------------------------------------------------------------------------------------------- a borrowed GPU


class QuotaError(Exception):
    """As `spaces` raises it: an error of Gradio's with a title."""

    def __init__(self, title: str, message: str) -> None:
        super().__init__(message)
        self.title = title


def spaces(error: Exception | None, log: list[Any]) -> ModuleType:
    """A stand-in for the package of Hugging Face: arguments and results travel by pickle, as to its forked worker."""
    module = ModuleType("spaces")

    def gpu(duration: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                args, kwargs = pickle.loads(pickle.dumps((args, kwargs)))
                log.append(duration)
                if error is not None:
                    raise error
                return pickle.loads(pickle.dumps(function(*args, **kwargs)))

            return call

        return decorate

    module.GPU = gpu  # type: ignore[attr-defined]
    return module


def borrowed(monkeypatch: pytest.MonkeyPatch, error: Exception | None, log: list[Any]) -> Callable[..., Scene]:
    monkeypatch.setitem(sys.modules, "spaces", spaces(error, log))
    monkeypatch.setenv("SPACES_ZERO_GPU", "1")
    return runtime.on_gpu(seconds=8)(service.compute)


@pytest.mark.parametrize(
    "source", [service.example("bus"), service.example("cat"), service.visitors(noise(3))], ids=["mask", "example", "own"]
)
def test_a_run_can_travel_to_a_borrowed_gpu_and_back(monkeypatch: pytest.MonkeyPatch, source: Source) -> None:
    log: list[Any] = []
    compute = borrowed(monkeypatch, None, log)
    for slug in ("greedyvig", QUICK):
        assert_same(compute(slug, source, controls_of(slug)), service.compute(slug, source, controls_of(slug)))
    assert log == [8, 8]


QUOTA = {
    "used up": QuotaError("ZeroGPU quota exceeded", "You have exceeded your free GPU quota (8s requested vs. 0s left)."),
    "no worker": QuotaError("ZeroGPU worker error", "No GPU is currently available"),
    "queue": QuotaError("Error", "ZeroGPU queue timeout"),
}


@pytest.mark.parametrize("error", QUOTA.values(), ids=QUOTA.keys())
def test_a_used_up_quota_falls_back_to_the_cpu_with_the_same_numbers(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    log: list[Any] = []
    compute = borrowed(monkeypatch, error, log)
    assert_same(compute("greedyvig", service.example("bus"), controls_of("greedyvig")), _scene("greedyvig"))
    assert log == [8]


def test_another_error_of_the_gpu_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        borrowed(monkeypatch, ZeroDivisionError("no"), [])("greedyvig", service.example("bus"), controls_of("greedyvig"))
    cuts = [look.Intervention("nowhere", "patch", ((1, -1),))]
    with pytest.raises(BadRequest, match="no layer named"):
        borrowed(monkeypatch, None, [])("greedyvig", service.example("bus"), controls_of("greedyvig"), cuts)


def test_elsewhere_nothing_is_borrowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    assert runtime.on_gpu()(service.compute) is service.compute


def assert_same(one: Scene, two: Scene) -> None:
    assert [p for _, p in one.prediction] == pytest.approx([p for _, p in two.prediction], abs=1e-4)
    for a, b in zip(one.layers, two.layers, strict=True):
        assert torch.equal(a.structures["graph"].kept, b.structures["graph"].kept)  # type: ignore[attr-defined]
    assert one.labels is not None
    assert two.labels is not None
    np.testing.assert_array_equal(one.labels[0], two.labels[0])
    assert one.labels[1] == two.labels[1]


def test_every_example_has_a_picture_of_the_same_size() -> None:
    for name in examples.examples():
        assert service.example(name).shown.shape == (448, 448, 3)
