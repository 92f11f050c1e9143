"""Exhibits without a picture, texts that visitors type, questions of an exhibit's own, and what is watched while it runs."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import Field
from typer.testing import CliRunner

from explorer import permalink, runtime, service, site
from explorer.__main__ import app
from explorer.exhibit import NO_PICTURE, BadRequest, Controls, Exhibit, Paper, Scene, Wing


class Typed(Controls):
    graph: str = Field("0-1", max_length=40, title="Graph", json_schema_extra={"lines": 3, "placeholder": "0-1, 1-2"})
    steps: int = Field(5, ge=1, le=1000)


CLOSED = threading.Event()


def run(picture: Any, controls: Typed, cuts: Any, labeller: Any) -> Scene:
    assert picture is NO_PICTURE
    if "-" not in controls.graph:
        raise BadRequest("the graph must be written as pairs, 0-1, 1-2")
    return Scene(NO_PICTURE, NO_PICTURE, [], extras={"edges": controls.graph.count("-")})


def count(scene: Scene, controls: Typed, data: Mapping[str, Any]) -> Mapping[str, Any]:
    if data.get("by") == 0:
        raise ValueError("by must not be 0")
    return {"edges": scene.extras["edges"] * data.get("by", 1)}


def grow(scene: Scene, controls: Typed, data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    CLOSED.clear()
    try:
        for step in range(controls.steps):
            if data.get("fails") == step:
                raise ValueError("the loss is not finite")
            yield {"step": step}
            time.sleep(0.01)
    finally:
        CLOSED.set()


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Exhibit:
    (tmp_path / "typed.yaml").write_text("- {title: One, text: First.}\n")
    paper = Paper("Title", "Authors", "Venue", "https://example.org", "theirs", "ours")
    made = Exhibit(
        "typed", "Typed", Wing.STRUCTURE, "An idea.", paper, Typed, run, (), "", tmp_path,
        pictures=False, questions={"count": count}, streams={"grow": grow},
    )  # fmt: skip
    for module in (service, site):
        monkeypatch.setattr(module, "catalogue", lambda: ({"typed": made}, []))
    monkeypatch.setattr(site, "of_wing", lambda wing: [made] if wing is Wing.STRUCTURE else [])
    return made


ABOUT = {"exhibit": "typed", "image": None, "controls": {}}

# ---------------------------------------------------------------------------------------------------- without a picture


def test_the_payload_has_no_picture_and_no_examples(typed: Exhibit) -> None:
    found = json.loads(service.opened("typed"))
    assert found["picture"] is None
    assert found["examples"] == []
    assert found["exhibit"]["slug"] == "typed"
    assert found["story"][0]["state"]["image"] is None


def test_a_link_carries_what_was_typed_and_no_picture(typed: Exhibit) -> None:
    link = permalink.encode(None, {"graph": "0-1\n1-2\t2-3"}, {})
    found = json.loads(service.opened("typed", link))
    assert found["controls"]["values"]["graph"] == "0-1\n1-2\t2-3"
    assert found["notes"] == []
    assert json.loads(service.opened("typed", permalink.encode("cat", {}, {})))["picture"] is None


def test_a_link_with_unprintable_or_endless_text_opens_as_usual(typed: Exhibit) -> None:
    for text in ("0-1\x00", "0-1 " * 11):
        found = json.loads(service.opened("typed", permalink.encode(None, {"graph": text}, {})))
        assert found["controls"]["values"]["graph"] == "0-1"
        assert len(found["notes"]) == 1


def test_a_text_has_a_field_with_its_bounds_and_a_refusal_in_words() -> None:
    graph = Typed.widgets()[0]
    expected = {"kind": "text", "max": 40, "lines": 3, "placeholder": "0-1, 1-2", "value": "0-1", "label": "Graph"}
    assert {key: graph[key] for key in expected} == expected
    with pytest.raises(BadRequest, match="it must be a text of at most 40 characters"):
        Typed.parse({"graph": "0-1, " * 9})
    with pytest.raises(BadRequest, match="it must be a text of at most 40 characters"):
        Typed.parse({"graph": 7})

    class Endless(Controls):
        words: str = ""

    with pytest.raises(TypeError, match="max_length"):
        Endless.widgets()


def test_the_api_takes_the_controls_alone(typed: Exhibit) -> None:
    found = service.answer_api("typed", None, {"graph": "0-1 1-2"})
    assert found["controls"]["graph"] == "0-1 1-2"
    with pytest.raises(BadRequest, match="written as pairs"):
        service.answer_api("typed", None, {"graph": "nothing"})


def test_the_command_line_takes_a_file_for_a_text_and_no_picture(typed: Exhibit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "graph.txt").write_text("0-1\n1-2\n")
    cli = CliRunner()
    found = cli.invoke(app, ["look", "typed", "--set", f"graph=@{tmp_path / 'graph.txt'}", "--out", str(tmp_path / "out")])
    assert found.exit_code == 0, found.output
    told = json.loads((tmp_path / "out" / "prediction.json").read_text())
    assert told["controls"]["graph"] == "0-1\n1-2\n"
    assert told["picture"] == {"name": None}
    assert not (tmp_path / "out" / "picture.png").exists()
    assert "service.NOTHING" in (tmp_path / "out" / "recreate.py").read_text()
    refused = cli.invoke(app, ["look", "typed", "cat", "--out", str(tmp_path / "out")])
    assert refused.exit_code == 2
    assert "takes no picture" in refused.output
    assert cli.invoke(app, ["folder", "typed", str(tmp_path), "--out", str(tmp_path / "t.csv")]).exit_code == 2


# --------------------------------------------------------------------------------------------- questions of an exhibit


def test_a_question_of_the_exhibit_is_answered(typed: Exhibit) -> None:
    assert service.ask({**ABOUT, "question": "count", "by": 3}) == {"question": "count", "result": {"edges": 3}}


@pytest.mark.parametrize(
    ("data", "words"),
    [({"question": "size"}, "no question named 'size'; there are count"), ({}, "no question named that"), ({"question": "count", "by": 0}, "by must not be 0")],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused_in_words(typed: Exhibit, data: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        service.ask({**ABOUT, **data})


# ------------------------------------------------------------------------------------------------------------- streams


def test_a_stream_ends_by_itself_and_tells_its_last_result_again(typed: Exhibit) -> None:
    frames = list(service.stream({**ABOUT, "question": "grow"}, lambda: False))
    assert [frame["result"]["step"] for frame in frames] == [0, 1, 2, 3, 4, 4]
    assert [frame["done"] for frame in frames] == [False] * 5 + [True]
    assert frames[-1]["reason"] == "end"
    assert CLOSED.is_set()


def test_a_stream_is_stopped_by_its_visitor_or_by_the_clock(typed: Exhibit, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = iter([False, False, True, True])
    frames = list(service.stream({**ABOUT, "question": "grow"}, lambda: next(asked)))
    assert (len(frames), frames[-1]["reason"], frames[-1]["result"]) == (4, "stopped", {"step": 2})
    object.__setattr__(typed, "stream_seconds", 0.02)
    frames = list(service.stream({**ABOUT, "controls": {"steps": 1000}, "question": "grow"}, lambda: False))
    assert frames[-1]["reason"] == "time"
    assert len(frames) < 20
    assert CLOSED.is_set()


def test_a_stream_that_breaks_says_why(typed: Exhibit) -> None:
    with pytest.raises(BadRequest, match="the loss is not finite"):
        list(service.stream({**ABOUT, "question": "grow", "fails": 2}, lambda: False))
    with pytest.raises(BadRequest, match="no stream named 'shrink'; there are grow"):
        list(service.stream({**ABOUT, "question": "shrink"}, lambda: False))


def test_bells_are_for_names_of_reasonable_length_and_forget_the_oldest() -> None:
    bells = runtime.Bells(most=2)
    for token in ("a", None, "", "x" * 65, ["a"]):
        bells.ring(token)
    assert bells.rung("a")
    assert not any(map(bells.rung, (None, "", "x" * 65, ["a"])))
    bells.ring("b")
    bells.ring("c")
    assert [bells.rung(token) for token in "abc"] == [False, True, True]


# ------------------------------------------------------------------------------------------------ through the real site


class Running:
    """The site with the one exhibit, in this process."""

    def __init__(self, demo: Any, url: str) -> None:
        self.demo, self.http = demo, httpx.Client(base_url=url, timeout=30, trust_env=False)

    def join(self, name: str, session: str, about: Mapping[str, Any]) -> None:
        number = next(d["id"] for d in self.demo.get_config_file()["dependencies"] if d["api_name"] == name)
        body = {"data": [], "fn_index": number, "session_hash": session, "event_data": about, "trigger_id": 1}
        assert self.http.post("/gradio_api/queue/join", json=body).status_code == 200

    def told(self, session: str, until: str = "process_completed") -> Iterator[dict[str, Any]]:
        """What the server sends to a session, to the end of its event."""
        with self.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as lines:
            for line in lines.iter_lines():
                message = json.loads(line[5:]) if line.startswith("data:") else {}
                yield message
                if message.get("msg") == until:
                    return


@pytest.fixture
def running(typed: Exhibit) -> Iterator[Running]:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    demo = site.build()
    site.launch(demo, prevent_thread_lock=True, server_name="127.0.0.1", server_port=port, quiet=True)
    try:
        yield Running(demo, f"http://127.0.0.1:{port}")
    finally:
        demo.close()


def test_frames_reach_the_page_while_the_stream_runs(running: Running) -> None:
    running.join("_streamed", "s1", {**ABOUT, "question": "grow", "request": 4, "token": "t1"})
    heard = list(running.told("s1"))
    letters = [m for m in heard if m.get("msg") in ("process_generating", "process_completed")]
    assert len(letters) >= 6
    assert letters[-1]["success"]
    first = json.loads(letters[0]["output"]["data"][0])
    assert (first["kind"], first["request"], first["result"], first["done"]) == ("stream", 4, {"step": 0}, False)
    assert CLOSED.wait(5)


def test_a_visitor_stops_a_stream(running: Running) -> None:
    running.join("_streamed", "s2", {**ABOUT, "controls": {"steps": 1000}, "question": "grow", "request": 1, "token": "stop me"})
    begun = time.monotonic()
    for i, _ in enumerate(running.told("s2")):
        if i == 4:
            running.join("_halted", "other", {"token": "stop me"})
    assert time.monotonic() - begun < 8  # 1000 steps take more than ten seconds
    assert CLOSED.wait(5)


def test_a_stream_whose_visitor_left_does_not_go_on(running: Running) -> None:
    running.join("_streamed", "s3", {**ABOUT, "controls": {"steps": 1000}, "question": "grow", "request": 1, "token": "gone"})
    for i, _ in enumerate(running.told("s3")):
        if i == 4:
            break  # the connection is closed
    assert CLOSED.wait(8)


def test_a_broken_stream_says_so_on_the_page(running: Running) -> None:
    running.join("_streamed", "s4", {**ABOUT, "question": "grow", "fails": 0, "request": 9, "token": "t4"})
    letters = [m for m in running.told("s4") if m.get("msg") == "process_generating"]
    told = json.loads(letters[0]["output"]["data"][0])
    assert (told["kind"], told["of"], told["request"], told["message"]) == ("refusal", "stream", 9, "The loss is not finite.")
