"""The main gesture of every exhibit of generated weights: drag the width, drag the input, learn and stop, type a network."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from explorer import permalink
from explorer.exhibits import catalogue
from tests.browser.exhibit_page import no_questions

WING = "hypernetworks"
SLUGS = [slug for slug in ("neumeta", "mip", "continual", "ghn") if slug in catalogue()[0]]


def opened(page: Page, url: str, slug: str) -> Page:
    if slug not in SLUGS:
        pytest.skip("not on show")
    page.goto(f"{url}/{WING}?exhibit={slug}")
    expect(page.locator(".hs-overlay")).to_be_visible()
    expect(page.locator(".hs-readout")).not_to_be_empty()
    return page


def drag(page: Page, start: float, end: float, above_bottom: int = 62) -> None:
    """Along the curve below the stage, in shares of its width."""
    box = page.locator(".hs-overlay").bounding_box()
    assert box is not None
    y = box["y"] + box["height"] - above_bottom
    page.mouse.move(box["x"] + start * box["width"], y)
    page.mouse.down()
    for i in range(1, 9):
        page.mouse.move(box["x"] + (start + (end - start) * i / 8) * box["width"], y)
    page.mouse.up()


def test_dragging_the_curve_changes_the_width_and_the_run_follows(page: Page, app_url: str) -> None:
    opened(page, app_url, "neumeta")
    slider = page.get_by_label("Width h")
    before = int(slider.input_value())
    drag(page, 0.5, 0.9)
    after = int(slider.input_value())
    assert after > before
    link = page.get_by_role("button", name="Copy link")
    expect(link).to_be_visible()
    expect(page.locator(".hs-diagnostics")).to_contain_text("test pictures")
    expect(page.locator(".hs-readout")).to_contain_text(re.compile(r"of \d+ lies at", re.IGNORECASE))


def test_the_input_moves_without_the_server(page: Page, app_url: str) -> None:
    opened(page, app_url, "mip")
    with no_questions(page):
        drag(page, 0.6, 0.2, above_bottom=75)
        expect(page.locator(".hs-readout")).to_contain_text("of that at γ = 1")
        assert float(page.get_by_label("Input γ").input_value()) < 0.4


def test_a_lesson_runs_live_and_stops(page: Page, app_url: str) -> None:
    opened(page, app_url, "continual")
    page.get_by_role("button", name="Learn five tasks").click()
    expect(page.get_by_text("‖W now − W when learned‖")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Learn five tasks")).to_be_visible()


def test_two_races_stand_side_by_side(page: Page, app_url: str) -> None:
    opened(page, app_url, "mip")
    words = page.locator(".hs-panel-note", has_text="lowest loss")
    for optimiser in ("Adam", "SGD"):
        page.get_by_role("radio", name=optimiser, exact=True).check()
        page.get_by_role("button", name="Train all four").click()
        expect(words).to_be_visible()
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("button", name="Train all four")).to_be_visible()
    expect(words).to_contain_text("Dashed: race 1, Adam")
    page.get_by_label("Beside it (dashed)").select_option("nothing")
    expect(words).not_to_contain_text("Dashed")


def learned(page: Page) -> None:
    """One short lesson from the button to its end."""
    page.get_by_role("button", name="Learn five tasks").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    expect(page.get_by_role("button", name="Learn five tasks")).to_be_visible(timeout=180_000)


def test_lessons_stand_side_by_side_and_a_vector_is_pulled_between_tasks(page: Page, app_url: str) -> None:
    opened(page, app_url, "continual")
    page.get_by_label("Steps per lesson").fill("50")
    learned(page)
    page.get_by_label("Keep").select_option("nothing")
    learned(page)
    page.get_by_role("tab", name="Two lessons").click()
    words = page.locator(".hs-panel-note", has_text="Right minus left")
    expect(words).to_contain_text("Lesson 1: Chunked baseline, start 0, old weights kept, β 0.300, 50 steps")
    expect(words).to_contain_text("Lesson 2: Chunked baseline, start 0, nothing kept, 50 steps")
    page.get_by_role("tab", name="Between tasks").click()
    share = page.get_by_label("Share of the way")
    plane = page.get_by_label("The vectors of the tasks in a plane")
    plane.scroll_into_view_if_needed()
    first = ring_of(page)
    share.fill("1")
    last = ring_of(page)
    assert first != last
    share.fill("0")
    page.mouse.move(*first)
    page.mouse.down()
    for i in range(1, 9):
        page.mouse.move(*(a + (b - a) * i / 8 for a, b in zip(first, last, strict=True)))
    page.mouse.up()
    assert share.input_value() == "1"


def ring_of(page: Page) -> tuple[float, float]:
    """Where the ring on the plane of the task vectors is: the centre of what is drawn on the upper canvas in the ink of the theme."""
    found = page.evaluate(
        """() => {
          const canvas = document.querySelector('canvas[aria-label^="The vectors of the tasks"]');
          const box = canvas.getBoundingClientRect();
          const { data, width, height } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
          const rows = [];
          const columns = [];
          // The ring is the only closed shape: its paper-coloured middle is opaque and at least nine pixels wide.
          for (let y = 0; y < height; y++) {
            let run = 0;
            for (let x = 0; x <= width; x++) {
              const opaque = x < width && data[4 * (y * width + x) + 3] > 250;
              if (opaque) run++;
              else {
                if (run >= 9 * (width / box.width)) { rows.push(y); columns.push(x - run / 2); }
                run = 0;
              }
            }
          }
          const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;
          return [box.left + (mean(columns) * box.width) / width, box.top + (mean(rows) * box.height) / height];
        }"""
    )
    return round(found[0], 1), round(found[1], 1)


@pytest.mark.parametrize("slug", SLUGS)
def test_a_link_of_this_wing_opens_with_its_settings(page: Page, app_url: str, slug: str) -> None:
    """Every field of the look that this wing brought goes into a link and comes out of it."""
    looks: dict[str, dict[str, object]] = {
        "neumeta": {"layer": 2, "width": 11, "tap": 2, "channel": 4, "tab": "manifold"},
        "mip": {"layer": 1, "gamma": 0.25, "tab": "path-scales"},
        "continual": {"layer": 1, "keep": "importance", "beta": 0.1, "grow": 8, "steps": 300, "tab": "task-states"},
        "ghn": {"layer": 1, "node": 5, "virtual": True, "attentionLayer": 1, "attentionHead": 2, "tab": "ghn-attention"},
    }
    look = looks[slug]
    page.goto(f"{app_url}/{WING}?exhibit={slug}&s={permalink.encode(None, {}, look)}")
    expect(page.locator(".hs-overlay")).to_be_visible()
    expect(page.locator('[role="tab"][aria-selected="true"]')).to_be_visible()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_text("Link copied")).to_be_visible()
    copied = page.evaluate("() => navigator.clipboard.readText()")
    state = permalink.decode(copied.partition("&s=")[2])
    kept = {name: state.look[name] for name in look if name in state.look}
    assert kept == look


def test_a_network_is_edited_by_its_words_and_nodes_and_taken_back(page: Page, app_url: str) -> None:
    opened(page, app_url, "ghn")
    field = page.get_by_label("Architecture")
    before = field.input_value()
    page.get_by_role("tab", name="Edit").click()
    words = page.get_by_role("group", name="Words of the network")
    words.get_by_role("button", name="pool").click()
    page.get_by_role("button", name="Remove").click()
    expect(words.get_by_role("button", name="pool")).to_have_count(0)
    assert "pool" not in field.input_value()
    page.get_by_role("button", name="Undo").click()
    expect(words.get_by_role("button", name="pool")).to_have_count(1)
    assert field.input_value().split() == before.replace("|", "").split()
    page.get_by_role("button", name="Redo").click()
    expect(words.get_by_role("button", name="pool")).to_have_count(0)


def test_a_typed_network_is_read_or_refused(page: Page, app_url: str) -> None:
    opened(page, app_url, "ghn")
    field = page.get_by_label("Architecture")
    field.fill("conv3x3-16 banana gap fc10")
    field.press("Control+Enter")
    expect(page.locator(".hs-refusal")).to_contain_text("banana")
    field.fill("conv3x3-8 relu gap fc10")
    field.press("Control+Enter")
    expect(page.locator(".hs-refusal")).to_be_hidden()
    expect(page.locator(".hs-diagnostics")).to_contain_text("tensors, all from one pass")


@pytest.mark.parametrize("slug", SLUGS)
def test_a_phone_shows_the_stage_first(new_page: Callable[..., Page], app_url: str, slug: str) -> None:
    page = opened(new_page(390, 844, touch=True, dark=True), app_url, slug)
    box = page.locator(".hs-overlay").bounding_box()
    assert box is not None
    assert box["y"] < 300
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
