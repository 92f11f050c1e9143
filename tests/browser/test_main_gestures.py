"""The main gesture of every exhibit, by pointer and by keys, on one page per exhibit.

An exhibit opens once; each test brings it to a known state without asking the model, and ends without a console error
and without a request to another machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Watched
from tests.browser.exhibit_page import EXHIBITS, PATIENCE, WING, ExhibitPage, no_questions

# The setting of the graph that the page answers by itself. MobileViG's graph has none: it never changes.
RULES = {"vig": "Neighbours k", "greedyvig": "Strictness λ", "constructors": "Neighbours k"}


@pytest.fixture(scope="module", params=EXHIBITS)
def opened(request: pytest.FixtureRequest, browser: Browser, app_url: str) -> Iterator[tuple[ExhibitPage, Watched]]:
    """One page per exhibit for all tests of this file, and the watch over it."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, permissions=["clipboard-read", "clipboard-write"])
    context.set_default_timeout(PATIENCE)
    watch = Watched()
    watch.watch(context)
    yield ExhibitPage(context.new_page(), request.param).open(app_url), watch
    context.close()


@pytest.fixture
def exhibit(opened: tuple[ExhibitPage, Watched]) -> Iterator[ExhibitPage]:
    """The open exhibit; what its page did wrong during the test fails the test."""
    page, watch = opened
    yield page
    faults = watch.faults()
    watch.errors.clear()
    watch.outside.clear()
    assert not faults, "\n".join(faults)


# Runs first: the other tests change what the page shows.
def test_opens_at_its_own_address_with_a_telling_patch(exhibit: ExhibitPage) -> None:
    page = exhibit.page
    assert f"exhibit={exhibit.slug}" in page.url
    title = page.get_by_role("heading", level=2).first.text_content()
    assert page.get_by_role("navigation", name="Exhibits").get_by_role("link", name=title or "?").get_attribute("aria-current") == "page"
    assert exhibit.pins() == 1
    assert exhibit.place() != (0, 0)
    assert exhibit.step()[0] == 1
    picture = exhibit.pixels(0)
    assert len(np.unique(picture[picture[..., 3] > 0][:, :3], axis=0)) > 100, "the picture is not drawn"
    assert (exhibit.pixels(1)[..., 3] > 0).any(), "the pinned patch is not drawn"
    assert exhibit.region("prediction").get_by_role("listitem").count() >= 5
    expect(exhibit.region("diagnostics").get_by_role("listitem").first).to_be_visible()
    expect(exhibit.refusal).to_be_hidden()


def test_hover_shows_neighbours_and_leaving_brings_the_pin_back(exhibit: ExhibitPage) -> None:
    exhibit.tidy()
    frame, before, pinned = exhibit.frame(), exhibit.pixels(1), exhibit.words()
    with no_questions(exhibit.page):
        exhibit.point(2, 3, frame)
        assert exhibit.place() == (2, 3)
        assert re.search(r"listens to \d+ (patch|pooled cell).*heard by \d+", exhibit.words())
        assert (exhibit.pixels(1) != before).any(), "the overlay did not change"
        expect(exhibit.spoken).to_have_text(exhibit.words())
        exhibit.page.mouse.move(2, 2)
        exhibit.drawn()
    assert exhibit.words() == pinned
    assert (exhibit.pixels(1) == before).all(), "something of the hover stayed behind"
    assert exhibit.pins() == 1


def test_click_pins_click_again_lets_go_escape_clears(exhibit: ExhibitPage) -> None:
    exhibit.tidy()
    frame = exhibit.frame()
    for row, col, pins in ((1, 1, 2), (3, 2, 3), (3, 2, 2)):
        exhibit.page.mouse.click(*frame.patch(row, col))
        assert exhibit.pins() == pins
    exhibit.page.mouse.move(2, 2)
    exhibit.drawn()
    assert exhibit.place() == (1, 1), "the newest pin is the focus"
    exhibit.picture.press("Escape")
    assert exhibit.pins() == 0
    assert "Point at a patch" in exhibit.words()
    assert not (exhibit.pixels(1)[..., 3] > 0).any(), "something is still lit"


def test_keys_move_pin_clear_and_change_the_layer(exhibit: ExhibitPage) -> None:
    exhibit.tidy()
    row, col = exhibit.place()
    with no_questions(exhibit.page):
        for key, place in (("ArrowLeft", (row, col - 1)), ("ArrowUp", (row - 1, col - 1)), ("ArrowDown", (row, col - 1))):
            exhibit.picture.press(key)
            assert exhibit.place() == place
        exhibit.picture.press("Enter")
        assert exhibit.pins() == 2
        for _ in range(40):
            exhibit.picture.press("ArrowUp")
        assert exhibit.place() == (1, col - 1), "the border holds"
        exhibit.picture.press("Escape")
        assert exhibit.place() == (row, col - 1), "the first Escape lets go of the hover"
        exhibit.picture.press("Escape")
        assert exhibit.pins() == 0
        exhibit.picture.press("]")
        assert exhibit.layer() == 1
        exhibit.picture.press("[")
        exhibit.picture.press("[")
        assert exhibit.layer() == 0


def test_film_strip_changes_the_layer(exhibit: ExhibitPage) -> None:
    exhibit.tidy()
    diagnostics = exhibit.region("diagnostics").get_by_role("heading")
    with no_questions(exhibit.page):
        pictures = []
        for index in range(exhibit.layers.count()):
            exhibit.layers.nth(index).click()
            assert exhibit.layer() == index
            assert exhibit.place() != (0, 0), "the pin is lost between the grids"
            name = (exhibit.layers.nth(index).get_attribute("title") or "?").split(" · ")[0]
            expect(diagnostics).to_have_text(re.compile(re.escape(name)))
            pictures.append(exhibit.pixels(1).tobytes())
        exhibit.page.get_by_role("button", name="Next layer").click()
        assert exhibit.layer() == exhibit.layers.count() - 1, "there is nothing after the last layer"
        exhibit.page.get_by_role("button", name="Previous layer").click()
        assert exhibit.layer() == exhibit.layers.count() - 2
    assert len(set(pictures)) > 1, "all layers look the same"


def test_rule_slider_changes_the_edges_without_the_server(exhibit: ExhibitPage) -> None:
    exhibit.tidy()
    if exhibit.slug not in RULES:
        assert exhibit.group("Graph").get_by_role("slider").and_(exhibit.page.locator(":visible")).count() == 0
        return
    slider = exhibit.group("Graph").get_by_label(RULES[exhibit.slug], exact=True)
    everything = exhibit.group("Look").get_by_label("All edges")
    everything.check()
    before, drawn = exhibit.edges(), exhibit.pixels(0)
    with no_questions(exhibit.page):
        exhibit.slide(slider, "ArrowLeft", 4)
        after = exhibit.edges()
        assert after != before
        assert (exhibit.pixels(0) != drawn).any()
        # Fewer neighbours, fewer edges; a smaller λ is less strict.
        assert (after < before) == (exhibit.slug != "greedyvig")
        for end in ("Home", "End"):
            slider.press(end)
            assert exhibit.edges() >= 0
        exhibit.group("Graph").get_by_role("button", name="as the model had it").click()
    assert exhibit.edges() == before
    assert (exhibit.pixels(0) == drawn).all(), "the way back does not lead back"
    everything.uncheck()


def test_compare_two_layers_and_their_difference(exhibit: ExhibitPage) -> None:
    exhibit.tidy()
    single = exhibit.pixels(0)
    first, second = (exhibit.layers.nth(i).get_attribute("title") or "?" for i in (0, 1))
    with no_questions(exhibit.page):
        exhibit.compare_with(second)
        assert (exhibit.pixels(0) != single).any(), "still one picture"
        assert re.search(r"· in 2: listens to \d+", exhibit.words())
        exhibit.group("Look").get_by_label("Difference in one").check()
        exhibit.drawn()
        legend = exhibit.region("canvas").locator(".hs-legend").text_content() or ""
        if sizes(first) == sizes(second):
            numbers = dict(re.findall(r"(in both|only [^(]+) \((\d+)\)", legend.replace(" (MobileViG)", "").replace(" (ViG)", "")))
            assert len(numbers) == 3
            assert "Jaccard" in legend
            assert sum(map(int, numbers.values())) > 0
        else:
            assert "different grids" in legend
        exhibit.compare_with("nothing")
        assert exhibit.pixels(0).shape == single.shape
    assert "in 2:" not in exhibit.words()
    expect(exhibit.group("Look").get_by_label("Difference in one")).to_be_hidden()


def sizes(label: str) -> list[str]:
    """Every "16 × 16" of a layer's label."""
    return re.findall(r"\d+ × \d+", label)


def test_linked_views_open_one_after_the_other(exhibit: ExhibitPage) -> None:
    exhibit.tidy()
    titles = [tab.text_content() for tab in exhibit.tabs.all()]
    assert len(titles) >= 4
    panel = exhibit.region("panels").get_by_role("tabpanel")
    exhibit.tabs.first.click()
    for title in titles:
        expect(exhibit.region("panels").locator("[role=tab][aria-selected=true]")).to_have_text(title or "")
        exhibit.drawn()
        assert panel.get_attribute("aria-label") == title
        assert "cannot be drawn" not in (panel.text_content() or "")
        assert (panel.text_content() or "").strip() or panel.locator("canvas").count(), f"{title} is empty"
        exhibit.page.keyboard.press("ArrowRight")
    exhibit.settle()
    exhibit.tabs.first.click()


def test_cut_edges_and_predict_again(exhibit: ExhibitPage) -> None:
    exhibit.tidy()
    prediction = exhibit.region("prediction")
    heading = prediction.get_by_role("heading")
    expect(heading).to_have_text("Prediction")
    prediction.get_by_role("button", name="cut its edges").first.click()
    prediction.get_by_role("button", name="Predict again").click()
    expect(heading).to_have_text(re.compile("before and after"))
    assert re.search(r"\d+ of \d+ edges fewer", prediction.text_content() or "")
    assert prediction.locator(".hs-bar-before").count() >= 5
    assert prediction.locator(".hs-bar-now").count() >= 5
    prediction.get_by_role("button", name="Clear cuts").click()
    expect(heading).to_have_text("Prediction")
    prediction.get_by_role("button", name="remove the patch").first.click()
    expect(prediction.get_by_role("button", name="Predict again")).to_be_enabled()
    prediction.get_by_role("button", name="Clear cuts").click()
    expect(exhibit.refusal).to_be_hidden()


def test_link_opens_the_same_state_elsewhere(exhibit: ExhibitPage, app_url: str) -> None:
    exhibit.tidy()
    frame = exhibit.frame()
    exhibit.page.mouse.click(*frame.patch(3, 2))
    exhibit.page.mouse.move(2, 2)
    exhibit.layers.nth(1).click()
    if exhibit.slug in RULES:
        exhibit.slide(exhibit.group("Graph").get_by_label(RULES[exhibit.slug], exact=True), "ArrowLeft", 2)
    exhibit.tabs.nth(2).click()
    exhibit.page.get_by_role("button", name="Copy link").click()
    expect(exhibit.root.get_by_text("Link copied")).to_be_visible()
    link = exhibit.page.evaluate("() => navigator.clipboard.readText()")
    assert link.startswith(f"{app_url}/{WING}?exhibit={exhibit.slug}&s=")
    assert len(link) < 1500
    other = exhibit.page.context.new_page()
    other.goto(link)
    try:
        copy = ExhibitPage(other, exhibit.slug).ready()
        assert copy.state() == exhibit.state()
        # A stored run against a live one: strengths may differ in their last digits, pins and edges may not.
        here = exhibit.pixels(1).astype(int)
        # The fresh page may still be finding its height.
        other.wait_for_function("(height) => document.querySelector('[data-region=canvas] canvas').height === height", arg=here.shape[0])
        there = copy.pixels(1).astype(int)
        lit, other_pixels = (here + there)[..., 3] > 0, np.abs(here - there).max(-1) > 32
        assert other_pixels.sum() <= 0.02 * lit.sum(), "the same pins and edges, drawn the same way"
    finally:
        other.close()


# Runs last: it asks the model most often.
def test_story_goes_to_its_end_and_back(exhibit: ExhibitPage) -> None:
    step, steps = exhibit.step()
    assert steps >= 5
    told: dict[int, str] = {}
    for forward in (True, False):
        for wanted in range(step + 1, steps + 1) if forward else range(steps - 1, 0, -1):
            exhibit.page.keyboard.press("PageDown" if forward else "PageUp")
            expect(exhibit.region("story")).to_contain_text(f"{wanted} of {steps}")
            exhibit.settle()
            assert exhibit.step() == (wanted, steps)
            expect(exhibit.refusal).to_be_hidden()
            text = exhibit.region("story").text_content() or ""
            assert len(text) > 40
            told.setdefault(wanted, text)
            assert told[wanted] == text
            assert "cannot be drawn" not in (exhibit.region("panels").text_content() or "")
            assert exhibit.root.locator(".hs-lit").count() == 1, "one part of the page is marked"
    assert len(set(told.values())) == steps
    expect(exhibit.back).to_be_disabled()
    assert exhibit.image() is not None
