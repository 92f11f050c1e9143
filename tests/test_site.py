"""The running site: pages, API endpoints, and a server that gives strangers nothing that is not public."""

from __future__ import annotations

import base64
import html
import io
import json
import logging
import os
import re
import socket
import threading
import time
import traceback
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from gradio.route_utils import delete_files_created_by_app
from gradio_client import Client
from gradio_client.exceptions import AppError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from explorer import gallery, permalink, runtime, service, site
from explorer.exhibit import Exhibit, Wing
from explorer.exhibits import catalogue, of_wing
from tests.conftest import is_loopback

ROOT = Path(__file__).resolve().parents[1]
EXHIBITS = catalogue()[0]
SLUGS = list(EXHIBITS)
QUICK = "mobilevig"


@dataclass
class Site:
    """The app in this process, as a visitor meets it."""

    demo: Any
    url: str
    cache: Path
    log: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=self.url, timeout=120, trust_env=False)

    def get(self, path: str) -> httpx.Response:
        return self.http.get(path)

    def post(self, path: str, body: Any) -> httpx.Response:
        """`body` as JSON; bytes and text go as they are."""
        content = body if isinstance(body, (bytes, str)) else json.dumps(body)
        return self.http.post(path, content=content, headers={"content-type": "application/json"})

    def call(self, slug: str, data: Any) -> tuple[int, str]:
        """(status, answer) of a named endpoint: the text of its event, or of the refusal of the request."""
        asked = self.post(f"/gradio_api/call/{slug}", {"data": data} if not isinstance(data, (bytes, str)) else data)
        if asked.status_code != 200:
            return asked.status_code, asked.text
        found = self.get(f"/gradio_api/call/{slug}/{asked.json()['event_id']}").text
        kind, text = re.fullmatch(r"event: (\w+)\ndata: (.*)\n\n", found, re.DOTALL).groups()  # type: ignore[union-attr]
        return (200 if kind == "complete" else 400), text

    def event(self, name: str, data: list[Any], about: Any = None) -> Any:
        """What the page's own event `name` answers: its outputs, or {"error": …}."""
        session = f"s{time.monotonic_ns()}"
        body = {"data": data, "fn_index": self.number(name), "session_hash": session, "event_data": about, "trigger_id": 1}
        asked = self.post("/gradio_api/queue/join", body)
        if asked.status_code != 200:
            return {"error": asked.text, "status": asked.status_code}
        with self.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as stream:
            for line in stream.iter_lines():
                message = json.loads(line[5:]) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed":
                    output = message["output"]
                    return output["data"] if message["success"] else output
        raise AssertionError("the stream ended without an answer")

    def opened(self, query: str = "") -> Any:
        """The payload that the page of the wing opens with."""
        answer = self.post(f"/gradio_api/run/predict{query}", {"data": [], "fn_index": self.number("open_page"), "session_hash": "s"})
        return json.loads(answer.json()["data"][0]) if answer.status_code == 200 else answer

    def number(self, name: str) -> int:
        config = self.demo.get_config_file()
        return next(d["id"] for d in config["dependencies"] if d["api_name"] == name)

    def stage(self) -> int:
        return next(c["id"] for c in self.demo.get_config_file()["components"] if c["props"].get("elem_id") == "hs-stage")


class _Collector(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.ERROR)
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


LOGGERS = ("", "uvicorn.error", "hyperscope", "asyncio", "gradio")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Starts the site once, and keeps what it logs and whom it calls."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        cache = tmp_path_factory.mktemp("uploads")
        patch.setenv("GRADIO_TEMP_DIR", str(cache))
        log: list[str] = []
        outside: list[str] = []
        look_up = socket.getaddrinfo

        def watched(host: Any, *rest: Any, **named: Any) -> Any:
            if not is_loopback(host):
                outside.append(str(host))
                raise OSError(f"tests stay on this machine, but something called {host!r}")
            return look_up(host, *rest, **named)

        patch.setattr(socket, "getaddrinfo", watched)
        patch.setattr(traceback, "print_exc", lambda *_, **__: log.append(traceback.format_exc()))
        demo = site.build()
        site.launch(demo, prevent_thread_lock=True, server_name="127.0.0.1", server_port=port, quiet=True)
        collector = _Collector(log)
        for name in LOGGERS:
            logging.getLogger(name).addHandler(collector)
        try:
            yield Site(demo, f"http://127.0.0.1:{port}", cache, log, outside)
        finally:
            for name in LOGGERS:
                logging.getLogger(name).removeHandler(collector)
            demo.close()


@pytest.fixture
def app(running: Site) -> Iterator[Site]:
    """The running site; a test during which it logs an error or a traceback fails."""
    running.log.clear()
    yield running
    assert running.log == []
    assert running.outside == []


# ----------------------------------------------------------------------------------------------------------- the pages


def test_the_first_page_shows_every_exhibit(app: Site) -> None:
    page = app.get("/")
    assert page.status_code == 200
    for slug, exhibit in EXHIBITS.items():
        assert f"/{exhibit.wing.slug}?exhibit={slug}" in page.text
        assert exhibit.title in page.text


@pytest.mark.parametrize("wing", [wing for wing in Wing if of_wing(wing)], ids=lambda wing: wing.slug)
def test_every_wing_has_a_page(app: Site, wing: Wing) -> None:
    for address in (f"/{wing.slug}", f"/{wing.slug}?exhibit={QUICK}", f"/{wing.slug}?exhibit=nothing&s=%%%"):
        page = app.get(address)
        assert page.status_code == 200
        assert "hs-stage" in page.text


def test_an_address_opens_its_exhibit(app: Site) -> None:
    assert app.opened()["exhibit"]["slug"] == SLUGS[0]
    assert app.opened(f"?exhibit={QUICK}")["exhibit"]["slug"] == QUICK


def test_a_link_opens_its_state(app: Site) -> None:
    s = permalink.encode("cat", {"step": 3}, {"layer": 1, "pins": [9]})
    found = app.opened(f"?exhibit={QUICK}&s={s}")
    assert found["picture"]["name"] == "cat"
    assert found["controls"]["values"]["step"] == 3
    assert found["state"] == {"layer": 1, "pins": [9]}


def test_an_unknown_exhibit_says_so_and_opens_another(app: Site) -> None:
    for name in ("nope", "<img onerror=x>", "../../etc/passwd", "x" * 3_000, "%00", "${alert()}"):
        found = app.opened(f"?exhibit={quote(name)}")
        assert found["exhibit"]["slug"] == SLUGS[0]
        notice = next(note for note in found["notes"] if "There is no exhibit named" in note)
        assert len(notice) < 120


def test_a_hostile_link_opens_the_page_as_usual(app: Site) -> None:
    packed = [
        b'{"v": 1, "l": {"a": ' + b"[" * 900 + b"]" * 900 + b"}}",
        b'{"v": 1, "l": {"tab": "\\ud800"}, "i": "\\udfff"}',
        b'{"v": 1, "c": {"step": NaN}, "l": {"opacity": -Infinity}}',
    ]
    for raw in packed:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        link = base64.urlsafe_b64encode(packer.compress(raw) + packer.flush()).decode().rstrip("=")
        found = app.opened(f"?exhibit={QUICK}&s={link}")
        assert found["exhibit"]["slug"] == QUICK
        assert any("link" in note for note in found["notes"])


def test_other_addresses_are_not_found(app: Site) -> None:
    for address in ("/nope", "/image-graphs/vig", "/docs", "/redoc", "/explorer/site.py", "/app.py"):
        assert app.get(address).status_code == 404


# ------------------------------------------------------------------------------------------------------------ the page


def test_the_page_of_an_exhibit_runs_cuts_and_looks_up(app: Site) -> None:
    text, mail = app.event(
        "_asked_run", [], {"exhibit": QUICK, "image": {"example": "bear"}, "controls": {"step": 1}, "look": {"layer": 1}, "request": 4}
    )
    found = json.loads(text)
    assert (found["picture"]["name"], found["controls"]["values"]["step"], found["request"]) == ("bear", 1, 4)
    assert found["state"] == {"layer": 1}
    assert mail == {"props": {"__type__": "update"}, "__type__": "update"} or "refusal" not in json.dumps(mail)
    name = found["layers"][0]["name"]
    (answer,) = app.event(
        "asked_cut", [], {"run": found["run"], "request": 5, "cuts": [{"layer": name, "kind": "patch", "pairs": [[9, -1]]}]}
    )
    answer = json.loads(answer)
    assert (answer["kind"], answer["request"], answer["run"]) == ("cut", 5, found["run"])
    assert len(answer["prediction"]) == 10
    (answer,) = app.event("asked_layout", [], {"run": found["run"], "request": 6, "layer": 1, "method": "spectral"})
    assert json.loads(answer)["points"]["shape"] == [64, 2]
    body = {
        "session_hash": "s",
        "component_id": app.stage(),
        "fn_name": "look_up",
        "data": {"question": "row", "run": found["run"], "layer": 0, "patch": 3},
    }
    assert app.post("/gradio_api/component_server", body).json()["values"]["shape"] == [256]


def test_a_visitors_picture_goes_through_the_upload(app: Site) -> None:
    present = json.dumps(app.opened(f"?exhibit={QUICK}"))
    stored = app.http.post("/gradio_api/upload", files={"files": ("mine.png", png(64), "image/png")}).json()[0]
    text, mail, door = app.event("uploaded", [{"path": stored, "meta": {"_type": "gradio.FileData"}}, present])
    found = json.loads(text)
    assert found["picture"]["name"] == "yours"
    assert found["exhibit"]["slug"] == QUICK
    assert door is None or "path" not in json.dumps(door)
    assert "refusal" not in json.dumps(mail)


def test_a_broken_upload_is_refused_in_words(app: Site) -> None:
    for name, data in (
        ("mine.png", b"no picture"),
        ("a.svg", b"<svg onload='alert()'/>"),
        ("big.png", png(64)[:-30]),
        ("app.exe", b"MZ" * 50),
    ):
        stored = app.http.post("/gradio_api/upload", files={"files": (name, data)}).json()[0]
        _, mail, _ = app.event("uploaded", [{"path": stored, "meta": {"_type": "gradio.FileData"}}, None])
        refusal = json.loads(mail)
        assert refusal["kind"] == "refusal"
        assert len(refusal["message"]) > 30
        assert str(app.cache) not in refusal["message"]


def png(side: int) -> bytes:
    data = io.BytesIO()
    Image.fromarray(np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)).save(data, "PNG")
    return data.getvalue()


EVENTS = {"_asked_run": 2, "asked_cut": 1, "asked_layout": 1, "asked_attribution": 1, "asked_bundle": 1, "asked_experiment": 1}
ODD: list[Any] = [
    None, {}, [], "run", 5, True, {"exhibit": None}, {"exhibit": ["vig"], "run": {}}, {"exhibit": QUICK}, {"run": "nobody", "request": 1},
    {"exhibit": QUICK, "image": {"example": "cat"}, "controls": "step=1"}, {"exhibit": QUICK, "image": {"example": ["cat"]}},
    {"exhibit": QUICK, "image": "cat", "request": "\ud800", "run": "\ud800"}, {"exhibit": "\ud800", "request": 10**400},
    {"exhibit": QUICK, "image": {"example": "cat"}, "controls": {"step": 10**30}, "request": -1},
    {"exhibit": QUICK, "image": {"example": "cat"}, "layer": {}, "method": [], "cuts": "all", "label": {}, "controls": {"step": 99}},
]  # fmt: skip


@pytest.mark.parametrize("name", EVENTS)
def test_questions_that_no_page_asks_are_refused_in_words(app: Site, name: str) -> None:
    for about in ODD:
        found = app.event(name, [], about)
        assert isinstance(found, list), found
        assert len(found) == EVENTS[name]
        refusal = json.loads(found[-1])
        assert refusal["kind"] == "refusal"
        assert len(refusal["message"]) > 20
        assert refusal["message"] != site.TOO_LONG
        assert refusal["request"] in (None, 1, -1)


def test_uploads_that_were_none_are_refused(app: Site) -> None:
    for path in (
        "/etc/passwd",
        str(ROOT / "app.py"),
        "app.py",
        "../app.py",
        "/proc/self/environ",
        5,
        [],
        {"path": None},
        "http://127.0.0.1:9/x.png",
    ):
        for data in ([{"path": path, "meta": {"_type": "gradio.FileData"}}, "x"], [path, "x"], [path]):
            found = app.event("uploaded", data)
            if isinstance(found, list):
                assert "yours" not in json.dumps(found)
            else:
                assert found["error"] in (site.UNREADABLE, "Pictures are not fetched from addresses: please upload yours.")


# ------------------------------------------------------------------------------------------------------------- the API


def parameters(exhibit: Exhibit) -> dict[str, tuple[str, Any]]:
    """name → (type, default), from the controls."""
    kinds = {"switch": "boolean", "choice": "string", "text": "string"}
    found: dict[str, tuple[str, Any]] = {"image": ("string", exhibit.example)} if exhibit.pictures else {}
    for widget in exhibit.controls.widgets():
        kind = kinds.get(widget["kind"]) or ("integer" if exhibit.controls.model_fields[widget["name"]].annotation is int else "number")
        found[widget["name"]] = (kind, widget["value"])
    return found


def test_every_exhibit_is_an_endpoint_with_typed_parameters(app: Site) -> None:
    info = app.get("/gradio_api/info").json()["named_endpoints"]
    assert set(info) == {f"/{slug}" for slug in SLUGS}, "the page's own events are not advertised"
    for slug, exhibit in EXHIBITS.items():
        listed = info[f"/{slug}"]
        found = {p["parameter_name"]: (p["type"]["type"], p["parameter_default"]) for p in listed["parameters"]}
        assert found == parameters(exhibit)
        assert list(found) == [*(["image"] if exhibit.pictures else []), *exhibit.controls.model_fields]
        assert all(p["parameter_has_default"] for p in listed["parameters"])
        assert [r["type"]["type"] for r in listed["returns"]] == ["object"]
        assert exhibit.idea in listed["description"]
        for name, control in exhibit.controls.model_fields.items():
            assert f"{name}: {control.description}" in listed["description"]


@pytest.fixture(scope="module")
def client(running: Site) -> Iterator[Client]:
    found = Client(running.url, verbose=False, httpx_kwargs={"trust_env": False}, download_files=False, analytics_enabled=False)
    yield found
    found.close()


def test_a_python_client_sees_names_types_and_defaults(app: Site, client: Client) -> None:
    info = client.view_api(print_info=False, return_format="dict")
    assert info is not None
    for slug, exhibit in EXHIBITS.items():
        found = {p["parameter_name"]: p["python_type"]["type"] for p in info["named_endpoints"][f"/{slug}"]["parameters"]}
        words = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}
        assert found == {name: words[kind] for name, (kind, _) in parameters(exhibit).items()}


@pytest.mark.parametrize("slug", SLUGS)
def test_a_python_client_gets_the_answer_of_the_service(app: Site, client: Client, slug: str) -> None:
    image = {"image": "cat"} if EXHIBITS[slug].pictures else {}
    found = client.predict(**image, api_name=f"/{slug}")
    expected = json.loads(json.dumps(service.answer_api(slug, image.get("image"), {})))
    assert set(found) == {"exhibit", "controls", "prediction", "layers", "notes"}
    assert found["controls"] == expected["controls"]
    assert [name for name, _ in found["prediction"]] == [name for name, _ in expected["prediction"]]
    for one, two in zip(found["layers"], expected["layers"], strict=True):
        assert (one["name"], one["kind"]) == (two["name"], two["kind"])
        assert one["kind"] not in ("graph", "hypergraph") or one["rule"]["name"] == two["rule"]["name"]


def test_a_python_client_sends_a_picture_and_settings(app: Site, client: Client) -> None:
    picture = base64.b64encode(png(80)).decode()
    found = client.predict(picture, "mobilevig_micro", 3, True, api_name=f"/{QUICK}")
    assert found["controls"] == {"model": "mobilevig_micro", "step": 3, "mirror": True}


def test_a_python_client_reads_the_refusal(app: Site, client: Client) -> None:
    with pytest.raises(AppError, match="Step is 99; it must be a number from 1 to 7"):
        client.predict(step=99, api_name=f"/{QUICK}")
    with pytest.raises(AppError, match="neither the name of an example"):
        client.predict(image="no such", api_name=f"/{QUICK}")


GOOD = ["cat", "mobilevig_micro", 2, False]


def but(place: int, value: Any) -> list[Any]:
    return [*GOOD[:place], value, *GOOD[place + 1 :]]


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


ABUSE: dict[str, Any] = {
    "no parameters": [],
    "one parameter": ["cat"],
    "a list for a picture": but(0, ["cat"]),
    "a mapping for a picture": but(0, {"a": 1}),
    "a file for a picture": but(0, {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}),
    "an address for a picture": but(0, "http://127.0.0.1:9/x.png"),
    "a path for a picture": but(0, "/etc/passwd"),
    "nothing for a picture": but(0, None),
    "a lone surrogate": '{"data": ["\\ud800", "mobilevig_micro", 2, false]}',
    "a zero byte": but(0, "\0"),
    "2 MB of letters": but(0, "x" * 2_000_000),
    "13 MB of letters": but(0, "A" * 13_000_000),
    "another model": but(1, "resnet50"),
    "a number for a model": but(1, 7),
    "out of range": but(2, 8),
    "far out of range": but(2, 10**30),
    "half a step": but(2, 1.5),
    "a word for a step": but(2, "many"),
    "a list for a step": but(2, [1]),
    "nothing for a step": but(2, None),
    "not a number": '{"data": ["cat", "mobilevig_micro", NaN, false]}',
    "infinite": '{"data": ["cat", "mobilevig_micro", 1e999, false]}',
    "6000 digits": '{"data": ["cat", "mobilevig_micro", ' + "9" * 6_000 + ", false]}",
    "a word for a switch": but(3, "perhaps"),
    "300 deep": f'{{"data": ["cat", "mobilevig_micro", {nested(300)}, false]}}',
    "900 deep": f'{{"data": ["cat", {nested(900)}, 2, false]}}',
    "10 000 deep": f'{{"data": [{nested(10_000)}, "mobilevig_micro", 2, false]}}',
    "a mapping of data": '{"data": {"image": "cat"}}',
    "text for data": '{"data": "cat"}',
    "no data": "{}",
    "a list for a body": "[]",
    "half a body": '{"data": [',
    "no text at all": b"\xff\xfe\x00",
    "an empty body": b"",
}  # fmt: skip


@pytest.mark.parametrize("data", ABUSE.values(), ids=ABUSE.keys())
def test_a_call_that_makes_no_sense_is_refused_in_words(app: Site, data: Any) -> None:
    status, text = app.call(QUICK, data)
    assert 400 <= status < 500
    assert len(text) > 25
    assert '"error": null' not in text
    assert "Traceback" not in text
    assert str(ROOT) not in text


def test_as_many_neighbours_as_there_are_patches_are_refused_or_given(app: Site) -> None:
    exhibit = EXHIBITS["vig"]
    status, text = app.call("vig", ["cat", *[10**6 if name == "k" else w["value"] for name, w in _widgets(exhibit)]])
    assert status == 400
    assert "K is 1000000; it must be a number from 1 to" in text


def _widgets(exhibit: Exhibit) -> list[tuple[str, dict[str, Any]]]:
    return [(widget["name"], widget) for widget in exhibit.controls.widgets()]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(SLUGS), st.lists(anything, max_size=7))
def test_whatever_is_sent_to_an_endpoint_is_answered(app: Site, slug: str, data: list[Any]) -> None:
    status, text = app.call(slug, json.dumps({"data": data}))
    assert status < 500
    assert '"error": null' not in text
    assert app.log == []


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(list(EVENTS)),
    anything
    | st.fixed_dictionaries(
        {"exhibit": st.sampled_from(SLUGS)}, optional={"image": anything, "controls": anything, "cuts": anything, "layer": anything}
    ),
)
def test_whatever_the_page_is_made_to_ask_is_answered(app: Site, name: str, about: Any) -> None:
    found = app.event(name, [], about)
    assert isinstance(found, list)
    assert site.TOO_LONG not in json.dumps(found)
    assert app.log == []


ODD_REQUESTS: list[tuple[str, str, Any, int]] = [
    ("POST", "/gradio_api/call/nope", {"data": []}, 404),
    ("POST", "/gradio_api/call/v2/nope", {}, 404),
    ("POST", f"/gradio_api/call/v2/{QUICK}", {"imag": "cat"}, 400),
    ("POST", f"/gradio_api/run/{QUICK}", {"data": GOOD}, 404),  # nobody passes the queue by
    ("POST", "/gradio_api/run/predict", {"data": [], "fn_index": 999}, 404),
    ("POST", "/gradio_api/run/predict", {"data": [], "fn_index": "x"}, 422),
    ("POST", "/gradio_api/queue/join", {"data": [], "fn_index": 0}, 400),
    ("POST", "/gradio_api/queue/join", {"data": [], "fn_index": 999, "session_hash": "s"}, 404),
    ("POST", "/gradio_api/component_server", {}, 400),
    ("POST", "/gradio_api/component_server", {"session_hash": "s", "component_id": 999, "fn_name": "look_up", "data": 1}, 404),
    ("POST", "/gradio_api/component_server", {"session_hash": "s", "component_id": 0, "fn_name": "__init__", "data": 1}, 404),
    ("POST", "/gradio_api/component_server", {"session_hash": "s", "component_id": 0, "fn_name": "postprocess", "data": 1}, 404),
    (
        "POST",
        "/gradio_api/component_server",
        f'{{"session_hash": "s", "component_id": 0, "fn_name": "look_up", "data": {nested(10_000)}}}',
        400,
    ),
    ("POST", "/gradio_api/vibe-edit", {"prompt": "x"}, 403),
    ("POST", "/gradio_api/process_recording", {}, 400),
    ("GET", "/gradio_api/vibe-code", None, 403),
    ("GET", "/gradio_api/runs", None, 404),
    ("GET", "/gradio_api/run-history/records", None, 404),
    ("GET", "/gradio_api/profiling/traces", None, 404),
    ("GET", "/monitoring", None, 403),
    ("GET", "/monitoring/summary", None, 403),
    ("GET", "/monitoring/x", None, 403),
    ("GET", "/gradio_api/upload_progress?upload_id=x", None, 404),
    ("GET", "/gradio_api/stream/x/1/2/playlist.m3u8", None, 404),
    ("GET", "/gradio_api/custom_component/x/client/component/..%2f..%2fapp.py", None, 404),
    ("GET", "/theme.css/../../app.py", None, 404),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), ODD_REQUESTS, ids=[f"{m} {p}" for m, p, _, _ in ODD_REQUESTS])
def test_requests_that_no_page_makes_are_refused(app: Site, method: str, path: str, body: Any, status: int) -> None:
    answer = app.get(path) if method == "GET" else app.post(path, body)
    assert answer.status_code == status
    assert "Traceback" not in answer.text


# -------------------------------------------------------------------------------------------- files that are not public

SECRET = "a-secret-that-nobody-may-read"


def _paths(cache: Path, symlink: Path, canary: Path) -> list[str]:
    """Addresses that try to read a file of this machine, in many spellings."""
    source, weights = ROOT / "app.py", next(iter(sorted((ROOT / "models" / "weights").glob("*.json"))), ROOT / "pyproject.toml")
    files = [
        source,
        weights,
        ROOT / "explorer" / "site.py",
        canary,
        "/etc/passwd",
        "/proc/self/environ",
        "/proc/self/cmdline",
        "/proc/self/maps",
    ]
    up = "../" * 12
    spellings = [
        *(str(file) for file in files),
        *(f"file://{file}" for file in files[:5]),
        *(quote(str(file), safe="") for file in files[:5]),
        *(quote(quote(str(file), safe=""), safe="") for file in files[:3]),
        *(f"{up}{str(file).lstrip('/')}" for file in files[:5]),
        *(f"{cache}/{up}{str(file).lstrip('/')}" for file in files[:5]),
        *(quote(f"{cache}/{up}etc/passwd", safe="").replace("..", dots) for dots in ("..", "%2e%2e", "%252e%252e", "..%c0%af", ".%00.")),
        "app.py", "./app.py", "explorer/site.py", "models/weights/", ".git/config", ".", "..", "/", "//etc/passwd", "\\etc\\passwd",
        "/etc/passwd%00.png", "/etc/./passwd", "/etc//passwd", "/etc/passwd/.", "~/.bashrc", "．．/．．/etc/passwd", str(symlink),
        "http://127.0.0.1:9/x", "//127.0.0.1:9/x", "data:text/plain,hello", "C:\\Windows\\win.ini",
    ]  # fmt: skip
    return spellings


DOORS = ("/gradio_api/file=", "/gradio_api/file/", "/file=", "/static/", "/assets/", "/svelte/", "/gradio_api/stream/")


def test_no_byte_of_a_file_that_is_not_public(app: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERSCOPE_SECRET", SECRET)
    canary = tmp_path / "canary.txt"
    canary.write_text(SECRET)
    symlink = tmp_path / "link.png"
    symlink.symlink_to(canary)
    paths = _paths(app.cache, symlink, canary)
    assert len(paths) >= 55
    read = []
    with socket.create_connection(("127.0.0.1", int(app.url.rsplit(":", 1)[1]))):
        pass
    for path in paths:
        for door in DOORS if path in paths[::6] else DOORS[:1]:
            answer = _raw(app, f"{door}{path}")
            body = answer.partition(b"\r\n\r\n")[2]
            served = answer.startswith(b"HTTP/1.1 200") and body
            if served or any(secret in answer for secret in (SECRET.encode(), b"root:", b"import gradio")):
                read.append((door + path, body[:80]))
    assert read == []


def _raw(app: Site, target: str) -> bytes:
    """The answer to a request whose path is sent exactly as it is spelled."""
    host = app.url.removeprefix("http://")
    with socket.create_connection(("127.0.0.1", int(host.rsplit(":", 1)[1])), timeout=30) as connection:
        spelled = "".join(c if 32 < ord(c) < 127 else quote(c) for c in target)
        connection.sendall(f"GET {spelled} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        parts = []
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def test_a_link_that_lies_among_the_uploads_leads_nowhere(app: Site, tmp_path: Path) -> None:
    stored = Path(app.http.post("/gradio_api/upload", files={"files": ("a.png", png(32), "image/png")}).json()[0])
    assert app.get(f"/gradio_api/file={stored}").content == png(32), "what was uploaded may be seen by who knows its name"
    elsewhere = stored.parent / "other.png"
    elsewhere.write_bytes(SECRET.encode())
    try:
        listing = app.get(f"/gradio_api/file={stored.parent}")
        assert listing.status_code != 200
    finally:
        elsewhere.unlink()


NAMES = [
    "../../evil.png",
    "/etc/cron.d/evil",
    "..\\..\\evil.png",
    "a/b/c.png",
    "%2e%2e%2fevil.png",
    "x" * 400 + ".png",
    ".png",
    "con.png",
    "${x}.png",
    "<img>.png",
]


@pytest.mark.parametrize("name", NAMES)
def test_an_upload_stays_in_the_cache_whatever_its_name(app: Site, name: str) -> None:
    answer = app.http.post("/gradio_api/upload", files={"files": (name, png(32), "image/png")})
    if answer.status_code == 200:
        (stored,) = answer.json()
        assert Path(stored).resolve().is_relative_to(app.cache.resolve())
        assert Path(stored).read_bytes() == png(32)
    else:
        assert 400 <= answer.status_code < 500


def test_an_upload_that_is_too_large_is_refused(app: Site) -> None:
    before = sum(path.stat().st_size for path in app.cache.rglob("*") if path.is_file())
    answer = app.http.post("/gradio_api/upload", files={"files": ("big.png", os.urandom(9 * 2**20), "image/png")})
    assert answer.status_code == 413
    after = sum(path.stat().st_size for path in app.cache.rglob("*") if path.is_file())
    assert after - before < 2**20
    fits = app.http.post("/gradio_api/upload", files={"files": ("fits.png", os.urandom(7 * 2**20), "image/png")})
    assert fits.status_code == 200


def test_many_uploads_do_not_fill_the_disk(app: Site) -> None:
    assert app.demo.delete_cache == (600, 1800)
    small = png(24)
    for number in range(200):
        answer = app.http.post("/gradio_api/upload", files={"files": (f"{number}.png", small + bytes([number]), "image/png")})
        assert answer.status_code == 200
    assert sum(1 for path in app.cache.rglob("*.png")) >= 200
    delete_files_created_by_app(app.demo, -1)  # what happens every ten minutes, with an age at which all have to go
    assert sum(path.stat().st_size for path in app.cache.rglob("*.png")) == 0


# ------------------------------------------------------------------------------------- nothing goes out, nothing is run


def test_the_server_fetches_nothing_for_a_visitor(app: Site) -> None:
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        stop = threading.Event()

        def listen() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                with connection:
                    requests.append(connection.recv(1_000))

        thread = threading.Thread(target=listen)
        thread.start()
        port = listener.getsockname()[1]
        try:
            for host in ("127.0.0.1", "localhost", "0.0.0.0", "[::1]", "2130706433", "127.0.0.1.nip.io"):
                address = f"http://{host}:{port}/x.png"
                for file in ({"path": address}, {"path": "x.png", "url": address}, {"url": address, "path": address, "is_stream": True}):
                    app.event("uploaded", [{**file, "meta": {"_type": "gradio.FileData"}}, "x"])
                    app.call(QUICK, but(0, {**file, "meta": {"_type": "gradio.FileData"}}))
                app.event("uploaded", [address, "x"])
                app.call(QUICK, but(0, address))
                for door in ("/gradio_api/proxy=", "/gradio_api/file=", "/file=", "/proxy="):
                    answer = app.get(f"{door}{address}")
                    assert answer.status_code in (400, 403, 404)
                app.opened(f"?exhibit={quote(address)}&s={quote(address)}&__theme={quote(address)}")
            _, text = app.event("_asked_run", [], {"exhibit": QUICK, "image": {"example": address, "url": address}})
            assert json.loads(text)["kind"] == "refusal"
        finally:
            stop.set()
            thread.join()
    assert requests == []


def test_starting_calls_nobody(running: Site) -> None:
    assert running.demo.analytics_enabled is False
    assert running.demo.get_config_file()["analytics_enabled"] is False
    assert [host for host in running.outside if "gradio" in host or "huggingface" in host] == []


KNOWN = {
    "www.w3.org",
    "gradio.app",
    "raw.githubusercontent.com",
    *(re.sub(r"https?://([^/]+).*", r"\1", e.paper.url) for e in EXHIBITS.values()),
}


@pytest.mark.parametrize(
    "path", ["/", *(f"/{wing.slug}" for wing in Wing), "/config", "/theme.css", "/manifest.json", "/gradio_api/info", "/robots.txt"]
)
def test_a_page_names_no_other_machine_that_a_browser_would_ask(app: Site, path: str) -> None:
    text = html.unescape(app.get(path).text).replace("\\/", "/").replace('\\"', '"').replace("\\u0022", '"')
    hosts = set(re.findall(r"https?://([\w.-]+(?::\d+)?)", text)) - {
        app.url.removeprefix("http://"),
        app.url.removeprefix("http://").split(":")[0],
    }
    assert hosts <= KNOWN, hosts - KNOWN
    asked = r"""(?:\b(?:src|href|action|srcset|poster|data|formaction)\s*=\s*|url\(\s*|@import\s*|fetch\(\s*)["']?(?:https?:)?//([\w.-]+)"""
    assert set(re.findall(asked, text)) <= {"127.0.0.1"}
    for word in ("googleapis", "gstatic", "cdnjs", "jsdelivr", "unpkg", "google-analytics", "googletagmanager"):
        assert word not in text


def test_no_text_of_ours_is_run_by_the_template(app: Site) -> None:
    for part in app.demo.blocks.values():
        for name in ("html_template", "css_template"):
            template = getattr(part, name, None) or ""
            if "hs-" in template:
                assert "${" not in template, template[:80]
                assert "{{" not in template, template[:80]
    for exhibit in EXHIBITS.values():
        words = json.dumps([exhibit.describe(), exhibit.story()], ensure_ascii=False)
        assert "${" not in words
        assert "{{" not in words
        assert "`" not in words, "it would end the template"
        card = gallery._card(exhibit)
        assert html.escape(exhibit.idea) in card
        assert "<script" not in card


def test_what_the_search_field_suggests_is_found() -> None:
    suggested = re.search(r'type="search" placeholder="([^"]+) …"', gallery._page())
    assert suggested
    words = [html.unescape(card) for card in re.findall(r'data-words="([^"]+)"', gallery._page())]
    for suggestion in [*suggested[1].lower().split(", "), *(exhibit.title.lower() for exhibit in EXHIBITS.values())]:
        assert any(all(word in card for word in suggestion.split()) for card in words), suggestion


def test_markup_in_a_text_of_ours_would_be_shown_not_run() -> None:
    evil = '"><img src=x onerror=alert(1)><script>alert(1)</script>'
    exhibit = next(iter(EXHIBITS.values()))
    paper = replace(exhibit.paper, title=evil, authors=evil, venue=evil, theirs=evil)
    card = gallery._card(replace(exhibit, title=evil, idea=evil, paper=paper))
    assert "<img" not in card
    assert "<script" not in card
    assert card.count("<a ") == 1


def test_the_limits_of_a_public_page_are_set(app: Site) -> None:
    config = app.get("/config").json()
    assert config["max_file_size"] == 8 * 2**20
    assert config["show_error"] is False
    assert config["run_history"] is False
    assert config["vibe_mode"] is False
    assert config["dev_mode"] is False
    assert app.demo.allowed_paths == []
    assert app.demo._queue.max_size == 32
    model = {app.demo.fns[d["id"]].concurrency_id for d in config["dependencies"] if d["queue"]}
    assert model == {runtime.MODEL_QUEUE, runtime.STREAM_QUEUE}
    assert Image.MAX_IMAGE_PIXELS == 25_000_000


# ------------------------------------------------------------------------------------------------- visitors who leave


def test_a_visitor_who_leaves_does_not_keep_the_next_one_waiting(app: Site) -> None:
    """Nothing can stop a run, so it ends by itself: soon after, the model is free for the next visitor."""
    for number in range(3):
        session = f"gone{number}"
        body = {
            "data": [],
            "fn_index": app.number("_asked_run"),
            "session_hash": session,
            "event_data": {"exhibit": "vig", "image": {"example": "cat"}},
        }
        assert app.post("/gradio_api/queue/join", body).status_code == 200
        with app.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as stream:
            next(stream.iter_lines())
    begun = time.monotonic()
    status, _ = app.call(QUICK, GOOD)
    assert status == 200
    assert time.monotonic() - begun < 30, "some seconds even on a machine that is busy with other things"
    deadline = time.monotonic() + 60
    while any(app.demo._queue.active_jobs) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(app.demo._queue.active_jobs)
    assert len(app.demo._queue) == 0
    assert not runtime._loading.locked()


def test_two_visitors_at_once_get_their_own_answers(app: Site) -> None:
    pictures = [base64.b64encode(png(side)).decode() for side in (70, 71, 72, 73)]
    expected = [json.loads(json.dumps(service.answer_api(QUICK, picture, {})))["layers"] for picture in pictures]
    found: dict[int, Any] = {}

    def visit(number: int) -> None:
        found[number] = app.call(QUICK, but(0, pictures[number]))

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, (status, text) in found.items():
        assert status == 200
        measured = [{m["key"]: m["value"] for m in layer["diagnostics"]} for layer in json.loads(text)[0]["layers"]]
        wanted = [{m["key"]: m["value"] for m in layer["diagnostics"]} for layer in expected[number]]
        for one, two in zip(measured, wanted, strict=True):
            assert one["difference"] == pytest.approx(two["difference"], abs=1e-4)
    first = [json.loads(text)[0]["layers"][0]["diagnostics"][0]["value"] for _, text in found.values()]
    assert len(set(first)) == 4, "four pictures, four answers"
