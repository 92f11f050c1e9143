"""Hyperedges by pointer, slider and link: what the page answers by itself, and what it asks the model for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from explorer.exhibits import catalogue
from tests.browser.conftest import Watched
from tests.browser.exhibit_page import PATIENCE, ExhibitPage, no_questions

WING = "hypergraphs"
SHOWN = [slug for slug in ("softhgnn", "hyperedge-forms", "yolov13") if slug in catalogue()[0]]


def at(page: Page, slug: str, url: str, query: str = "") -> ExhibitPage:
    page.goto(f"{url}/{WING}?exhibit={slug}{query}")
    return ExhibitPage(page, slug).ready()


@pytest.fixture(scope="module", params=SHOWN)
def opened(request: pytest.FixtureRequest, browser: Browser, app_url: str) -> Iterator[tuple[ExhibitPage, Watched]]:
    """One page per exhibit for all tests of this file, and the watch over it."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, permissions=["clipboard-read", "clipboard-write"])
    context.set_default_timeout(PATIENCE)
    watch = Watched()
    watch.watch(context)
    yield at(context.new_page(), request.param, app_url), watch
    context.close()


@pytest.fixture
def exhibit(opened: tuple[ExhibitPage, Watched]) -> Iterator[ExhibitPage]:
    page, watch = opened
    yield page
    faults = watch.faults()
    watch.errors.clear()
    watch.outside.clear()
    assert not faults, "\n".join(faults)


def tidy(exhibit: ExhibitPage) -> None:
    """First layer, no chosen hyperedge, one pin, the hyperedges as the model had them; nothing is asked of the model."""
    exhibit.page.mouse.move(2, 2)
    exhibit.compare_with("nothing")
    exhibit.layers.first.click()
    own = exhibit.group("Hyperedges").get_by_role("button", name="as the model had it")
    if own.is_visible():
        own.click()
    tab(exhibit, "Patch")
    for tile in strip(exhibit).and_(exhibit.page.locator("[aria-pressed=true]")).all():
        tile.click()
    exhibit.page.mouse.move(2, 2)
    for key in ("Escape", "Escape", "ArrowRight", "Enter", "Escape"):
        exhibit.picture.press(key)
    exhibit.drawn()


def tab(exhibit: ExhibitPage, title: str) -> None:
    exhibit.tabs.filter(has_text=re.compile(f"^{title}$")).click()
    exhibit.drawn()


def strip(exhibit: ExhibitPage) -> Locator:
    """The small maps beside the picture."""
    return exhibit.page.locator(".hs-strip .hs-tile")


def panel(exhibit: ExhibitPage, which: int = 0) -> bytes:
    """The pixels of a panel's canvas: its base and what follows the pointer."""
    shots = exhibit.page.locator("[role=tabpanel]:visible canvas")
    return shots.nth(which).evaluate("(c) => c.toDataURL()").encode() + shots.nth(which + 1).evaluate("(c) => c.toDataURL()").encode()


def test_opens_with_a_telling_patch_and_every_hyperedge(exhibit: ExhibitPage) -> None:
    expect(exhibit.refusal).to_be_hidden()
    assert exhibit.pins() + exhibit.page.locator(".hs-strip .hs-tile[aria-pressed=true]").count() >= 1
    assert exhibit.step()[0] == 1
    assert strip(exhibit).count() >= 4
    assert re.search(r"\d+(\.\d+)? of \d+ hyperedges differ", exhibit.group("Hyperedges").text_content() or "")
    for tile in strip(exhibit).all():
        expect(tile).to_have_attribute("aria-label", re.compile(r"^Hyperedge \d+"))


def test_a_patch_under_the_pointer_divides_itself_among_the_hyperedges(exhibit: ExhibitPage) -> None:
    tidy(exhibit)
    frame, before, words = exhibit.frame(), panel(exhibit), exhibit.words()
    with no_questions(exhibit.page):
        exhibit.point(2, 3, frame)
        assert exhibit.place() == (2, 3)
        assert re.search(r"(\d+(\.\d+)? % in (hyperedge )?\d+|in all about alike|in no hyperedge).*loudness", exhibit.words())
        assert panel(exhibit) != before, "the bars stay those of the pinned patch"
        note = exhibit.page.locator("[role=tabpanel]:visible .hs-panel-note").text_content() or ""
        assert "Row 2, column 3" in note
        exhibit.page.mouse.move(2, 2)
        exhibit.drawn()
    assert exhibit.words() == words
    assert panel(exhibit) == before


def test_a_hyperedge_under_the_pointer_is_the_map_and_a_click_keeps_it(exhibit: ExhibitPage) -> None:
    tidy(exhibit)
    base, lit = exhibit.pixels(0), exhibit.pixels(1)
    tile = strip(exhibit).first
    with no_questions(exhibit.page):
        tile.hover()
        exhibit.drawn()
        assert re.match(r"Hyperedge \d+: load .* lives in \d+ of \d+ patches", exhibit.words())
        assert (exhibit.pixels(1) != lit).any(), "the map of the hyperedge is not drawn"
        assert (exhibit.pixels(0) == base).all(), "a hover draws on the overlay alone"
        tile.click()
        exhibit.page.mouse.move(2, 2)
        exhibit.drawn()
        assert (exhibit.pixels(0) != base).any(), "the kept map is not on the picture"
        expect(tile).to_have_attribute("aria-pressed", "true")
        exhibit.group("Look").get_by_role("radio", name="lines", exact=True).check()
        exhibit.drawn()
        lines = exhibit.pixels(0)
        assert lines.shape != base.shape or (lines != base).any()  # a longer legend takes a line from the picture
        exhibit.group("Look").get_by_role("radio", name="map", exact=True).check()
        tile.click()
        exhibit.page.mouse.move(2, 2)
        exhibit.drawn()
    assert (exhibit.pixels(0) == base).all(), "the way back does not lead back"


def test_temperature_and_hardness_are_answered_by_the_page(exhibit: ExhibitPage) -> None:
    tidy(exhibit)
    strip(exhibit).first.click()
    exhibit.page.mouse.move(2, 2)
    exhibit.drawn()
    group, drawn = exhibit.group("Hyperedges"), exhibit.pixels(0)
    with no_questions(exhibit.page):
        exhibit.slide(group.get_by_label("Temperature", exact=True), "ArrowRight", 20)
        assert (exhibit.pixels(0) != drawn).any()
        group.get_by_role("button", name="as the model had it").click()
        exhibit.drawn()
        assert (exhibit.pixels(0) == drawn).all()
        exhibit.slide(group.get_by_label("Hardness", exact=True), "End")
        assert re.search(r"\d+(\.\d+)? % of the participation thrown away", group.text_content() or "")
        group.get_by_role("button", name="as the model had it").click()
        assert "thrown away" not in (group.text_content() or "")
    strip(exhibit).first.click()


def test_a_hyperedge_is_switched_off_and_the_model_asked_again(exhibit: ExhibitPage) -> None:
    tidy(exhibit)
    strip(exhibit).first.click()
    prediction = exhibit.region("prediction")
    prediction.get_by_role("button", name=re.compile("^switch off hyperedge")).first.click()
    prediction.get_by_role("button", name="Predict again").click()
    expect(prediction.get_by_role("heading")).to_have_text(re.compile("before and after"))
    assert re.search(r"1 of \d+ hyperedges fewer", prediction.text_content() or "")
    prediction.get_by_role("button", name="Clear cuts").click()
    strip(exhibit).first.click()


def test_linked_views_open_one_after_the_other(exhibit: ExhibitPage) -> None:
    tidy(exhibit)
    for title in [tab.text_content() for tab in exhibit.tabs.all()]:
        exhibit.tabs.filter(has_text=re.compile(f"^{re.escape(title or '')}$")).click()
        exhibit.drawn()
        shown = exhibit.region("panels").get_by_role("tabpanel")
        assert "cannot be drawn" not in (shown.text_content() or "")
        assert (shown.text_content() or "").strip() or shown.locator("canvas").count(), f"{title} is empty"
    exhibit.settle()
    tab(exhibit, "Patch")


def test_a_link_carries_the_hyperedges_and_the_sliders(exhibit: ExhibitPage, app_url: str) -> None:
    tidy(exhibit)
    strip(exhibit).nth(1).click()
    exhibit.slide(exhibit.group("Hyperedges").get_by_label("Temperature", exact=True), "ArrowRight", 20)
    exhibit.page.mouse.move(2, 2)
    chosen = strip(exhibit).and_(exhibit.page.locator("[aria-pressed=true]")).first.get_attribute("aria-label")
    exhibit.page.get_by_role("button", name="Copy link").click()
    expect(exhibit.root.get_by_text("Link copied")).to_be_visible()
    link = exhibit.page.evaluate("() => navigator.clipboard.readText()")
    assert link.startswith(f"{app_url}/{WING}?exhibit={exhibit.slug}&s=")
    assert len(link) < 1500
    other = exhibit.page.context.new_page()
    other.goto(link)
    try:
        copy = ExhibitPage(other, exhibit.slug).ready()
        pressed = other.locator(".hs-strip .hs-tile[aria-pressed=true]")
        expect(pressed).to_have_count(1)
        there = pressed.get_attribute("aria-label") or ""
        assert there.split(",")[0] == (chosen or "").split(",")[0]
        assert copy.group("Hyperedges").text_content() == exhibit.group("Hyperedges").text_content()
    finally:
        other.close()
    exhibit.group("Hyperedges").get_by_role("button", name="as the model had it").click()
    strip(exhibit).nth(1).click()


@pytest.mark.skipif("yolov13" not in SHOWN, reason="the detector is not on show")
def test_the_boxes_without_hyperedges_stand_beside_the_others(page: Page, app_url: str) -> None:
    exhibit = at(page, "yolov13", app_url)
    drawn = exhibit.pixels(0)
    with no_questions(page):
        exhibit.group("Look").get_by_role("radio", name="both", exact=True).check()
        exhibit.drawn()
        assert "without hyperedges" in (exhibit.region("canvas").locator(".hs-legend").text_content() or "")
        exhibit.group("Look").get_by_role("radio", name="with hyperedges", exact=True).check()
        exhibit.drawn()
    assert (exhibit.pixels(0) == drawn).all()
    side = exhibit.group("Model").get_by_label("Side of the input, pixels", exact=True)
    side.select_option(label="192")
    exhibit.settle()
    assert side.evaluate("(s) => s.options[s.selectedIndex].text") == "192"
    assert strip(exhibit).count() == 4


@pytest.mark.skipif("softhgnn" not in SHOWN, reason="soft hyperedges are not on show")
def test_choosing_more_hyperedges_is_answered_by_the_page(page: Page, app_url: str) -> None:
    exhibit = at(page, "softhgnn", app_url)
    exhibit.group("Model").get_by_label("Model", exact=True).select_option(label="sparse")
    exhibit.settle()
    tab(exhibit, "Choice")
    assert strip(exhibit).count() == 8
    with no_questions(page):
        exhibit.slide(exhibit.group("Hyperedges").get_by_label("Chosen hyperedges k", exact=True), "ArrowRight", 3)
        expect(strip(exhibit)).to_have_count(11)
        exhibit.slide(exhibit.group("Hyperedges").get_by_label("Chosen hyperedges k", exact=True), "Home")
        expect(strip(exhibit)).to_have_count(4)


@pytest.mark.parametrize("slug", SHOWN)
def test_a_phone_shows_picture_maps_and_story_without_sliding_sideways(new_page: Callable[..., Page], app_url: str, slug: str) -> None:
    exhibit = at(new_page(390, 844, touch=True), slug, app_url)
    wide = exhibit.page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1]
    box = exhibit.picture.bounding_box()
    assert box is not None
    assert box["width"] >= 280
    strip(exhibit).first.tap()
    expect(strip(exhibit).first).to_have_attribute("aria-pressed", "true")
    exhibit.next.tap()
    exhibit.settle()
    assert exhibit.step()[0] == 2
    expect(exhibit.refusal).to_be_hidden()


# --------------------------------------------------------------------------------------- a visitor's further pictures

SHIPPED = Path(__file__).parents[2] / "assets" / "examples"


def note(exhibit: ExhibitPage) -> Locator:
    return exhibit.page.locator("[role=tabpanel]:visible .hs-panel-note")


def test_every_map_of_the_gallery_tells_its_contrast(exhibit: ExhibitPage) -> None:
    tidy(exhibit)
    tab(exhibit, "Hyperedges")
    tiles = exhibit.page.locator("[role=tabpanel]:visible .hs-tile:not(.hs-off)")
    for tile in tiles.all():
        expect(tile).to_contain_text(re.compile(r"γ [01]\.\d\d"))
    before = tiles.first.text_content() or ""
    with no_questions(exhibit.page):
        exhibit.slide(exhibit.group("Hyperedges").get_by_label("Temperature", exact=True), "End")
        assert gamma(tiles.first.text_content() or "") < gamma(before), "softer hyperedges tell all patches more nearly the same"
        exhibit.group("Hyperedges").get_by_role("button", name="as the model had it").click()


def gamma(words: str) -> float:
    found = re.search(r"γ (\d\.\d\d)", words)
    assert found, words
    return float(found[1])


def test_pictures_of_ones_own_tell_how_hyperedges_are_used(exhibit: ExhibitPage) -> None:
    tab(exhibit, "Many pictures")
    files = sorted(SHIPPED.glob("*.jpg"))[:2] or sorted(SHIPPED.glob("*.png"))[:2]
    exhibit.page.locator("[role=tabpanel]:visible input[type=file]").set_input_files(files)
    expect(note(exhibit)).to_have_text(re.compile(r"^2 pictures of yours"))
    expect(exhibit.page.locator("[role=tabpanel]:visible .hs-measures")).to_contain_text("Different hyperedges, over all pictures")


def test_another_picture_lends_its_prototypes(exhibit: ExhibitPage) -> None:
    if exhibit.slug != "softhgnn":
        pytest.skip("only one network is on show there")
    tab(exhibit, "Swap")
    exhibit.page.locator("[role=tabpanel]:visible select").select_option("cat")
    expect(note(exhibit)).to_have_text(re.compile(r"correlate by 0\.\d\d on average"))
    exhibit.page.locator("[role=tabpanel]:visible input[type=file]").set_input_files(sorted(SHIPPED.glob("*.*"))[0])
    expect(exhibit.page.locator(".hs-lender")).to_be_visible()


def test_the_tunnels_tell_what_the_hyperedges_cause(exhibit: ExhibitPage) -> None:
    if exhibit.slug != "yolov13":
        pytest.skip("no tunnels")
    tab(exhibit, "Tunnels")
    exhibit.page.get_by_role("radio", name="by hyperedges", exact=True).check()
    expect(note(exhibit)).to_have_text(re.compile(r"What the hyperedges cause .* loudest at layer \d+"))
    exhibit.page.get_by_role("radio", name="all", exact=True).check()
    expect(note(exhibit)).to_have_text(re.compile(r"^All that is sent"))
