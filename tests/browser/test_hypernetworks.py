"""The main gesture of every exhibit of generated weights: drag the width, drag the input, learn and stop, type a network."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

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
