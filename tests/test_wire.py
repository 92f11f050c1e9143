"""What goes over the wire: compression, the scripts as a file, the head of a page."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import brotli
import pytest
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from explorer import wire
from explorer.canvas import script
from explorer.exhibit import Wing
from explorer.exhibits import catalogue

LONG = {"text": "patch " * 1000}
PAGE = "<!doctype html><html><head><title>t</title></head><body>" + "words " * 500 + "</body></html>"


def asked(
    answer: Callable[[Scope, Receive, Send], Awaitable[None]], path: str = "/", accepts: str = "gzip", method: str = "GET"
) -> tuple[int, dict[str, str], list[bytes]]:
    """Status, headers and the pieces of the body that a client gets."""
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.Event().wait()  # the client says no more and stays
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(dict(message))

    headers = [(b"accept-encoding", accepts.encode())] if accepts else []
    scope = {"type": "http", "method": method, "path": path, "headers": headers, "query_string": b"", "http_version": "1.1"}
    asyncio.run(wire.Wire(answer)(scope, receive, send))
    start = sent[0]
    assert start["type"] == "http.response.start"
    pieces = [m.get("body", b"") for m in sent[1:] if m["type"] == "http.response.body"]
    return start["status"], {k.decode(): v.decode() for k, v in start["headers"]}, pieces


def test_text_is_compressed_for_who_accepts_it() -> None:
    status, headers, pieces = asked(JSONResponse(LONG))
    body = b"".join(pieces)
    assert status == 200
    assert headers["content-encoding"] == "gzip"
    assert int(headers["content-length"]) == len(body) < 500
    assert gzip.decompress(body) == JSONResponse(LONG).body
    assert "accept-encoding" in headers["vary"].lower()


def test_others_get_it_as_it_is() -> None:
    _, headers, pieces = asked(JSONResponse(LONG), accepts="")
    assert "content-encoding" not in headers
    assert b"".join(pieces) == JSONResponse(LONG).body
    assert "accept-encoding" in headers["vary"].lower()


@pytest.mark.parametrize(
    "answer",
    [
        JSONResponse({"short": 1}),
        JSONResponse(LONG, status_code=404),
        Response(b"\x89PNG" + bytes(5000), media_type="image/png"),
        PlainTextResponse("words " * 1000, headers={"content-encoding": "br"}),
        JSONResponse(LONG, headers={"content-encoding": "br"}),
        JSONResponse(LONG, headers={"cache-control": "no-cache, no-transform"}),
    ],
    ids=["short", "refused", "picture", "other kind", "compressed before", "not to be changed"],
)
def test_the_rest_is_left_alone(answer: Response) -> None:
    status, headers, pieces = asked(answer)
    assert (status, b"".join(pieces)) == (answer.status_code, answer.body)
    assert headers.get("content-encoding") != "gzip"


def test_each_event_of_a_stream_can_be_read_when_it_comes() -> None:
    events = [b"data: one\n\n", b"data: " + b"two " * 2000 + b"\n\n", b"data: three\n\n"]

    async def stream() -> Any:
        for event in events:
            yield event

    _, headers, pieces = asked(StreamingResponse(stream(), media_type="text/event-stream"), "/gradio_api/queue/data")
    assert headers["content-encoding"] == "gzip"
    assert "content-length" not in headers
    reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert [reader.decompress(piece) for piece in pieces][: len(events)] == events
    assert reader.eof


def test_heartbeats_are_not_held_up() -> None:
    async def stream() -> Any:
        yield b"data: ALIVE\n\n"

    _, headers, pieces = asked(StreamingResponse(stream(), media_type="text/event-stream"), "/gradio_api/heartbeat/abc")
    assert "content-encoding" not in headers
    assert pieces[0] == b"data: ALIVE\n\n"


def test_files_pass(tmp_path: Any) -> None:
    file = tmp_path / "numbers.json"
    file.write_text('{"a": 1}' * 500)
    status, headers, pieces = asked(FileResponse(file, media_type="application/json"))
    assert status == 200
    assert gzip.decompress(b"".join(pieces)).decode() == file.read_text()
    assert headers["content-encoding"] == "gzip"


def test_the_scripts_are_a_file_that_browsers_keep() -> None:
    never = JSONResponse({})
    status, headers, pieces = asked(never, f"/somewhere/{wire.script_address('image-graphs')}")
    assert status == 200
    assert b"".join(pieces).decode() == script("image-graphs")
    assert headers["content-type"].startswith("text/javascript")
    assert "immutable" in headers["cache-control"]
    assert asked(never, "/canvas-0000000000000000.js")[2] == [b"{}"]
    _, headers, pieces = asked(never, f"/{wire.script_address('image-graphs')}", accepts="gzip, deflate, br")
    assert headers["content-encoding"] == "br"
    assert brotli.decompress(b"".join(pieces)).decode() == script("image-graphs")


def test_pages_hold_still_from_the_first_paint() -> None:
    page = b"".join(asked(HTMLResponse(PAGE), accepts="")[2]).decode()
    assert page.startswith("<!doctype html><html><head><style>")
    assert ".nav-holder" in page
    assert page.endswith(PAGE.partition("<head>")[2])
    assert "canvas-" not in page  # a page without a canvas loads no scripts of it
    with_canvas = PAGE.replace("words", wire.script_address("image-graphs"), 1)
    page = b"".join(asked(HTMLResponse(with_canvas), accepts="")[2]).decode()
    assert f'<script defer src="./{wire.script_address("image-graphs")}"></script>' in page.partition("<title>")[0]
    plain = "<p>no head</p>" * 100
    assert b"".join(asked(HTMLResponse(plain), accepts="")[2]).decode() == plain


def test_every_wing_has_the_scripts_of_its_exhibits_and_not_those_of_others() -> None:
    texts = {wing: script(wing.slug) for wing in Wing}
    for exhibit in catalogue()[0].values():
        for name in exhibit.views:
            assert f'name: "{name}"' in texts[exhibit.wing], f"{exhibit.slug} offers {name}"
    for wing, text in texts.items():
        assert "// @wing " in text, "a wing has something of its own"
        assert {line for line in text.splitlines() if line.startswith("// @wing ")} == {f"// @wing {wing.slug}"}
        assert len(text) < len(script()) * 0.6
    assert script().count("// @wing ") == sum(text.count("// @wing ") for text in texts.values())
