"""What goes over the wire: answers compressed, the scripts of the canvas as one file that browsers keep, a first paint that holds still.

Gradio compresses its own assets and sends all else as it is; the page and its payloads are text of a hundred kilobytes and more.
"""

from __future__ import annotations

import hashlib
import zlib
from functools import cache, lru_cache
from pathlib import Path

import brotli
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from explorer.canvas import script
from explorer.exhibit import Wing

TEXT = ("text/html", "application/json", "text/event-stream", "image/svg+xml")
WORTH = 800  # bytes; below, the header costs more than compression saves
HEAD_WITHIN = 4096  # bytes; Gradio's page opens its <head> in the first lines

FIRST = Path(__file__).parent.parent / "assets" / "first.css"


@cache
def script_address(wing: str) -> str:
    """Where the canvas scripts of a wing lie, relative to a page; another text has another address, so that browsers may keep the file."""
    return f"canvas-{wing}-{hashlib.sha256(script(wing).encode()).hexdigest()[:16]}.js"


@lru_cache(maxsize=1)
def _addresses() -> dict[str, str]:
    """The wing of every address."""
    return {script_address(wing.slug): wing.slug for wing in Wing}


@cache
def _script_packed(wing: str) -> bytes:
    """Compressed once and thoroughly: a sixth smaller than what Gradio makes of its files, at every request anew."""
    return brotli.compress(script(wing).encode(), mode=brotli.MODE_TEXT, quality=9)


def _script_file(wing: str, accepted: str) -> Response:
    kept = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    if "br" in accepted:
        return Response(_script_packed(wing), media_type="text/javascript", headers=kept | {"Content-Encoding": "br"})
    return Response(script(wing), media_type="text/javascript", headers=kept)  # Gradio compresses it with gzip where that is accepted


class Wire:
    """Serves the canvas scripts, puts what the first paint needs into the head of each page, and compresses text."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["method"] in ("GET", "HEAD") and (wing := _addresses().get(scope["path"].rpartition("/")[2])):
            await _script_file(wing, Headers(scope=scope).get("accept-encoding", ""))(scope, receive, send)
        elif "heartbeat" in scope["path"]:  # as long as a visit, and a few bytes at a time
            await self.app(scope, receive, send)
        else:
            await self.app(scope, receive, _Answer(send, zipped="gzip" in Headers(scope=scope).get("accept-encoding", "")))


class _Answer:
    """One answer on its way out; a stream is flushed with every piece, so that events arrive when they happen."""

    def __init__(self, send: Send, zipped: bool) -> None:
        self.send = send
        self.zipped = zipped
        self.start: Message | None = None
        self.packer: zlib._Compress | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and self._ours(message):
            self.start = message  # waits for the body, which decides on the headers
            return
        if message["type"] == "http.response.body" and self.start is not None:
            start, self.start = self.start, None
            await self._first(start, message)
            return
        if self.start is not None:  # a file that the server sends by itself
            await self.send(self.start)
            self.start = None
        if message["type"] == "http.response.body" and self.packer is not None:
            message = {**message, "body": self._packed(message)}
        await self.send(message)

    @staticmethod
    def _ours(message: Message) -> bool:
        headers = Headers(raw=message.get("headers", []))
        kind = headers.get("content-type", "").partition(";")[0].strip()
        fixed = "content-encoding" in headers or "no-transform" in headers.get("cache-control", "")
        return message["status"] == 200 and kind in TEXT and not fixed

    async def _first(self, start: Message, message: Message) -> None:
        headers = MutableHeaders(raw=start["headers"])
        page, more = headers["content-type"].startswith("text/html"), message.get("more_body", False)
        body = _with_first_paint(message.get("body", b"")) if page else message.get("body", b"")
        message = {**message, "body": body}
        headers.add_vary_header("Accept-Encoding")
        if self.zipped and (more or len(body) >= WORTH):
            self.packer = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
            message["body"] = self._packed(message)
            headers["Content-Encoding"] = "gzip"
        if "content-length" in headers:
            if more:
                del headers["content-length"]
            else:
                headers["content-length"] = str(len(message["body"]))
        await self.send(start)
        await self.send(message)

    def _packed(self, message: Message) -> bytes:
        assert self.packer is not None
        last = zlib.Z_SYNC_FLUSH if message.get("more_body", False) else zlib.Z_FINISH
        return self.packer.compress(message.get("body", b"")) + self.packer.flush(last)


def _with_first_paint(page: bytes) -> bytes:
    """A page of Gradio with our lines at the start of its head; pages that use the canvas load it beside Gradio's own scripts."""
    at = page.find(b"<head>", 0, HEAD_WITHIN)
    if at < 0:
        return page
    at += len(b"<head>")
    asked = next((address for address in _addresses() if address.encode() in page), None)
    canvas = f'<script defer src="./{asked}"></script>' if asked else ""
    return page[:at] + _first_styles() + canvas.encode() + page[at:]


@lru_cache(maxsize=1)
def _first_styles() -> bytes:
    return b"<style>" + FIRST.read_bytes() + b"</style>"
