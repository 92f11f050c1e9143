"""Text of a visitor is shown as text: file names, links, addresses and payload fields full of markup and templates.

Every text tries to set `window.marker`; a page on which it is set, or that opens a dialog, has run a visitor's text.
"""

from __future__ import annotations

import base64
import io
import json
import re
import urllib.parse
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Page, expect

from benchmarks._made_up import payload
from explorer.canvas import standalone
from tests.browser.exhibit_page import WING, ExhibitPage

TEMPLATE = "${window.marker=1}"
IMAGE = "<img src=x onerror=window.marker=1>"
SVG = '"><svg onload=window.marker=1>'
CURLY = "{{window.marker=1}}"
SCRIPT = "</script><script>window.marker=1</script>"
HOSTILE = (TEMPLATE, IMAGE, SVG, CURLY, SCRIPT)


@pytest.fixture
def hostile_page(page: Page) -> Iterator[Page]:
    """A page on which nothing of the visitor's may run."""
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    yield page
    assert page.evaluate("() => window.marker") is None, "text of a visitor was executed"
    assert not dialogs


def link(**state: Any) -> str:
    """The `s` of a permalink that carries anything at all."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    raw = packer.compress(json.dumps({"v": 1, **state}).encode()) + packer.flush()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def encoded(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def unmarked(page: Page) -> None:
    page.wait_for_timeout(150)  # a broken image reports its error a moment later
    assert page.evaluate("() => window.marker") is None, "text of a visitor was executed"


def literal(page: Page, text: str) -> None:
    """The words stand on the page as they were typed."""
    expect(page.locator(".hs").get_by_text(text, exact=False).first).to_be_visible()


def test_file_names_are_never_read_as_markup(hostile_page: Page, app_url: str) -> None:
    exhibit = ExhibitPage(hostile_page, "mobilevig").open(app_url)
    good, small = (encoded(Image.effect_noise((side, side), 60)) for side in (200, 5))
    door = exhibit.region("controls").locator("input[type=file]")
    for text, content, refused in zip(HOSTILE, (good, b"no picture", good, small, good), (False, True, False, True, False), strict=True):
        name = f"{text.replace('/', '')}.png"
        door.first.set_input_files(files=[FilePayload(name=name, mimeType="image/png", buffer=content)])
        if refused:
            expect(exhibit.refusal).to_be_visible()
        else:
            hostile_page.wait_for_function("() => !document.querySelector('[aria-label=\"Example pictures\"] [aria-pressed=true]')")
            expect(exhibit.refusal).to_be_hidden()
        exhibit.settle()
        unmarked(hostile_page)
    hostile_page.get_by_role("button", name="Copy link").click()
    exhibit.drawn()
    unmarked(hostile_page)


def test_links_full_of_markup_open_the_usual_page(hostile_page: Page, app_url: str) -> None:
    exhibit = ExhibitPage(hostile_page, "greedyvig")
    states = [
        {"i": IMAGE, "c": {}, "l": {}},
        {"i": "bus", "c": {"distance": IMAGE}, "l": {"heat": IMAGE, "tab": SVG, "direction": TEMPLATE, "layer": 1}},
        {
            "i": CURLY,
            "c": {SVG: TEMPLATE, "features": CURLY},
            "l": {IMAGE: 1, "pins": [IMAGE], "rule": {TEMPLATE: 1, "multiplier": SCRIPT}},
        },
    ]
    for state in states:
        exhibit.open(app_url, f"&s={link(**state)}")
        unmarked(hostile_page)
        if state["i"] != "bus":
            literal(hostile_page, state["i"][:40])
        else:
            literal(hostile_page, IMAGE)
        assert exhibit.image() is not None
        for tab in exhibit.tabs.all()[:3]:
            tab.click()
        unmarked(hostile_page)


def test_unknown_exhibits_are_named_literally(hostile_page: Page, app_url: str) -> None:
    for text in (IMAGE, TEMPLATE):
        hostile_page.goto(f"{app_url}/{WING}?exhibit={urllib.parse.quote(text)}")
        ExhibitPage(hostile_page, "vig").ready()
        literal(hostile_page, text)
        unmarked(hostile_page)
    hostile_page.goto(f"{app_url}/?__theme={urllib.parse.quote(SVG)}&exhibit={urllib.parse.quote(IMAGE)}#{urllib.parse.quote(SCRIPT)}")
    search = hostile_page.get_by_role("searchbox")
    for text in HOSTILE:
        search.fill(text)
        unmarked(hostile_page)
    expect(hostile_page.get_by_text("Nothing here has these words")).to_be_visible()


def test_every_text_of_a_payload_is_drawn_as_text(hostile_page: Page, tmp_path: Path) -> None:
    """Labels of a visitor's checkpoint, notes, names: each string of the payload is hostile, on a page without a server."""
    kept = re.compile(
        r"^(version|kind|type|coding|data|shape|key|name|shown|seen|thumb|rule|views|tab|heat|direction|colour|grid|highlight|value|options)$"
    )

    def poison(value: Any, text: str, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: poison(v, text, k) for k, v in value.items()}
        if isinstance(value, list) and key not in ("options", "views"):
            return [poison(v, text, key) for v in value]
        return f"{text} {value}" if isinstance(value, str) and not kept.match(key) else value

    for i, text in enumerate(HOSTILE):
        body = poison(payload(grid=6, layers=2), text)
        body["prediction"] = [[f"{text} {n}", 0.2] for n in range(5)]
        body["picture"]["name"] = text
        file = tmp_path / f"{i}.html"
        file.write_text(standalone(json.dumps(body), title=text), encoding="utf-8")
        hostile_page.goto(file.as_uri())
        exhibit = ExhibitPage(hostile_page, "made-up").ready()
        unmarked(hostile_page)
        assert hostile_page.title() == text
        literal(hostile_page, f"{text} 0")  # a class label
        expect(hostile_page.get_by_role("heading", level=2).first).to_contain_text(text)
        for tab in exhibit.tabs.all():
            tab.click()
            exhibit.drawn()
        exhibit.point(2, 2)
        exhibit.next.click()
        unmarked(hostile_page)


def test_no_text_of_ours_looks_like_a_template(hostile_page: Page, app_url: str) -> None:
    """Gradio renders our own templates as template literals, so none of our texts may look like one."""
    hostile_page.goto(app_url)
    gallery = hostile_page.locator("#hs-gallery")
    expect(gallery.get_by_role("heading").first).to_be_visible()
    text = gallery.inner_text() + hostile_page.locator("header").first.inner_text()
    assert "${" not in text
    assert "{{" not in text
    assert "undefined" not in text
