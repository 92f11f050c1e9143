"""The page that a person takes home: one file, opened from the disk, without network and without server."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from benchmarks._made_up import payload
from explorer.canvas import standalone
from tests.browser.exhibit_page import ExhibitPage, no_questions


@pytest.fixture
def kept(page: Page, tmp_path: Path) -> ExhibitPage:
    """A made-up exhibit as a file, in a browser that is offline."""
    file = tmp_path / "kept.html"
    file.write_text(standalone(json.dumps(payload(grid=14, layers=3)), title="Kept & shown"), encoding="utf-8")
    page.context.set_offline(True)
    page.goto(file.as_uri())
    return ExhibitPage(page, "made-up").ready()


def test_shows_and_answers_without_a_server(kept: ExhibitPage) -> None:
    assert kept.page.title() == "Kept & shown"
    assert kept.pins() == 1
    with no_questions(kept.page):
        frame = kept.frame()
        before = kept.pixels(1)
        kept.point(3, 4, frame)
        assert kept.place() == (3, 4)
        assert (kept.pixels(1) != before).any()
        kept.page.mouse.click(*frame.patch(3, 4))
        assert kept.pins() == 2
        edges = kept.edges()
        kept.slide(kept.group("Graph").get_by_label("Neighbours k"), "ArrowLeft", 3)
        assert kept.edges() < edges
        for index in range(kept.layers.count()):
            kept.layers.nth(index).click()
            assert kept.layer() == index
        kept.next.click()
        assert kept.step()[0] == 2
    expect(kept.refusal).to_be_hidden()


def test_says_what_needs_a_server(kept: ExhibitPage) -> None:
    for example in kept.examples.all():
        expect(example).to_be_disabled()
    expect(kept.region("controls").get_by_text("need the live app")).to_be_visible()
    assert kept.group("Model").evaluate("(e) => e.inert")
    prediction = kept.region("prediction")
    prediction.get_by_role("button", name="cut its edges").first.click()
    expect(prediction.get_by_role("button", name="Predict again")).to_be_disabled()
    expect(prediction.get_by_text("Needs the live app")).to_be_visible()
    panel = kept.region("panels").get_by_role("tabpanel")
    for tab in kept.tabs.all():
        tab.click()
        kept.drawn()
        assert "cannot be drawn" not in (panel.text_content() or ""), tab.text_content()
        assert "computing" not in (panel.text_content() or ""), f"{tab.text_content()} waits for a server"
    kept.tabs.filter(has_text="Graph layout").click()
    expect(panel).to_contain_text(re.compile("server|live"))
    kept.tabs.filter(has_text="Feature space").click()
    expect(panel.get_by_role("radio", name="UMAP")).to_be_disabled()
    kept.group("Look").get_by_label("Map", exact=True).select_option(label="Distance to the chosen patch")
    kept.point(2, 2)
    expect(kept.refusal).to_be_hidden()


@pytest.mark.parametrize(
    ("label", "ending", "holds"),
    [
        ("Picture with edges (SVG)", "svg", b"<path "),
        ("Edges (CSV)", "csv", b"source,target,"),
        ("Edges (JSON)", "json", b'"edges"'),
        ("Picture (PNG)", "png", b"\x89PNG"),
    ],
)
def test_gives_files_to_take_home(kept: ExhibitPage, label: str, ending: str, holds: bytes) -> None:
    kept.page.get_by_text("Take home", exact=True).click()
    with kept.page.expect_download() as waiting:
        kept.page.get_by_role("button", name=label).click()
    file = waiting.value
    assert file.suggested_filename.endswith(f".{ending}")
    content = Path(file.path()).read_bytes()
    assert holds in content
    assert len(content) > 1000


def taken(kept: ExhibitPage, label: str) -> bytes:
    kept.page.get_by_text("Take home", exact=True).click()
    with kept.page.expect_download() as waiting:
        kept.page.get_by_role("button", name=label).click()
    return Path(waiting.value.path()).read_bytes()


@pytest.mark.parametrize("seen", ["one patch", "all edges", "two layers and a map", "difference"])
def test_the_vector_file_shows_what_is_seen(kept: ExhibitPage, tmp_path: Path, seen: str) -> None:
    """The file of lines against the file of pixels: the same picture, edges, map and legend."""
    look = kept.group("Look")
    if seen == "all edges":
        look.get_by_label("All edges").check()
    if seen in ("two layers and a map", "difference"):
        look.get_by_label("Compare").select_option(index=2)
    if seen == "two layers and a map":
        look.get_by_label("Map").select_option(index=2)
    if seen == "difference":
        look.get_by_label("Difference in one").check()
    kept.page.wait_for_timeout(300)
    lines = taken(kept, "Picture with edges (SVG)").decode()
    pixels = np.asarray(Image.open(io.BytesIO(taken(kept, "Picture (PNG)"))).convert("RGB")).astype(float)
    root = ElementTree.fromstring(lines)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert pixels.shape == (2 * math.ceil(height), 2 * width, 3)
    assert lines.count("<image ") == (2 if seen == "two layers and a map" else 1), "lines are lines, not an image of them"
    words = " ".join(kept.page.locator(".hs-legend > .hs-key").all_inner_texts()).split()
    assert set(words) <= set(" ".join("".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")).split())
    other = kept.page.context.new_page()
    other.set_viewport_size({"width": int(width), "height": math.ceil(height)})
    file = tmp_path / "seen.html"
    file.write_text(f"<body style='margin:0'>{lines}", encoding="utf-8")
    other.goto(file.as_uri())
    drawn = np.asarray(Image.open(io.BytesIO(other.screenshot())).convert("RGB")).astype(float)
    small = np.asarray(Image.fromarray(pixels.astype(np.uint8)).resize(drawn.shape[1::-1], Image.Resampling.BOX)).astype(float)
    apart = np.abs(drawn - small).mean(axis=2)
    other.close()
    assert apart.mean() < 3, "of 255"
    assert (apart > 60).mean() < 0.01


def test_broken_payloads_are_refused_in_words(page: Page, tmp_path: Path) -> None:
    whole = payload(grid=6, layers=1)
    broken = {
        "not json": ("{", "could not be read"),
        "another version": (json.dumps({**whole, "version": 99}), "different versions"),
        "no layer": (json.dumps({**whole, "layers": []}), "nothing to look at"),
    }
    short = json.loads(json.dumps(whole))
    whole_data = short["layers"][0]["kept"]["data"]
    short["layers"][0]["kept"]["data"] = whole_data[: len(whole_data) // 8 * 4]
    broken["cut off"] = (json.dumps(short), "damaged|does not fit")
    for name, (text, words) in broken.items():
        file = tmp_path / "broken.html"
        file.write_text(standalone(text), encoding="utf-8")
        page.goto(file.as_uri())
        expect(page.get_by_role("alert").first, name).to_contain_text(re.compile(words))


def test_the_largest_grid_opens_and_answers(new_page: Callable[..., Page], tmp_path: Path) -> None:
    """The largest grid of the wing (56 × 56) in one file: it opens, and pointing answers."""
    page = new_page()
    file = tmp_path / "large.html"
    file.write_text(standalone(json.dumps(payload(grid=56, layers=1))), encoding="utf-8")
    page.goto(file.as_uri())
    exhibit = ExhibitPage(page, "made-up").ready()
    with no_questions(page):
        exhibit.point(20, 30, exhibit.frame())
    assert exhibit.place() == (20, 30)
