"""A pointed patch is the same patch in every view: on every layer, pooled ones too, after sorting and resizing.

The page under test is the real one; on its way to the browser its script gets one line more, which hands out the store,
and `linked.js` points, looks and compares inside the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.browser.conftest import Watched
from tests.browser.exhibit_page import EXHIBITS, PATIENCE, ExhibitPage

INSIDE = (Path(__file__).parent / "linked.js").read_text(encoding="utf-8")
LAST_LINE = "globalThis.Hyperscope = {"
HAND_OUT = (
    "const make = HS.createStore; HS.createStore = (...given) => (globalThis.testStore = make(...given)); "
    "const place = HS.points.place; HS.points.place = (...given) => (globalThis.testPlaces = place(...given)); "
)
# (view, order of the matrix or None, patches per layer)
VIEWS = (("Matrix", None, 6), ("Matrix", "Community", 6), ("Matrix", "Segment", 6), ("Degree", None, 4), ("Feature space", None, 5))


@pytest.fixture(scope="module", params=EXHIBITS)
def opened(request: pytest.FixtureRequest, browser: Browser, app_url: str) -> Iterator[tuple[ExhibitPage, Watched]]:
    """An exhibit whose page hands out its store, and the watch over it."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    watch = Watched()
    watch.watch(context)
    page = context.new_page()

    def hand_out(route: Route) -> None:
        answer = route.fetch()
        body = answer.text()
        assert body.count(LAST_LINE) == 1, "the end of the canvas script is another one now"
        route.fulfill(status=answer.status, content_type="text/javascript", body=body.replace(LAST_LINE, HAND_OUT + LAST_LINE))

    page.route("**/canvas-*.js", hand_out)
    exhibit = ExhibitPage(page, request.param).open(app_url)
    page.evaluate(INSIDE)
    yield exhibit, watch
    context.close()


@pytest.fixture
def exhibit(opened: tuple[ExhibitPage, Watched]) -> Iterator[ExhibitPage]:
    page, watch = opened
    yield page
    faults = watch.faults()
    watch.errors.clear()
    watch.outside.clear()
    assert not faults, "\n".join(faults)


@pytest.fixture
def follow(exhibit: ExhibitPage) -> Callable[..., int]:
    """Run one function of `linked.js`; all its checks must hold. Returns how many there were."""

    def run(name: str, **settings: Any) -> int:
        found = exhibit.page.evaluate(f"(settings) => window.linked.{name}(settings)", settings)
        assert not found["faults"], "\n".join([f"{settings}:", *found["faults"][:10]])
        assert found["checks"]
        return found["checks"]

    return run


def layers(exhibit: ExhibitPage) -> list[dict[str, Any]]:
    return exhibit.page.evaluate("() => window.linked.layers()")


def telling(exhibit: ExhibitPage) -> list[int]:
    """The first and the last layer of every kind: equal grids of patches and keys are drawn by the same arithmetic."""
    kinds: dict[str, list[int]] = {}
    for index, layer in enumerate(layers(exhibit)):
        kinds.setdefault(f"{layer['grid']} {layer['keyGrid']}", []).append(index)
    return sorted({index for found in kinds.values() for index in (found[0], found[-1])})


def view(exhibit: ExhibitPage, name: str, order: str | None = None) -> bool:
    """Open a linked view and choose its order; False where this layer does not offer the order."""
    tab = exhibit.tabs.filter(has_text=name)
    if tab.count() == 0:
        return False
    tab.click()
    if order is None:
        return True
    button = exhibit.region("panels").get_by_role("radio", name=order)
    if button.is_disabled():
        return False
    button.check(force=True)
    return True


@pytest.mark.parametrize(("name", "order", "count"), VIEWS, ids=lambda v: str(v).lower().replace(" ", "-"))
def test_a_patch_is_itself_in_every_view(
    exhibit: ExhibitPage, follow: Callable[..., int], name: str, order: str | None, count: int
) -> None:
    done = 0
    for index in telling(exhibit):
        exhibit.layers.nth(index).click()
        if view(exhibit, name, order):
            done += follow("follow", view=name, layer=index, count=count, seed=7 * index + 1)
    if order == "Segment" and not done:
        pytest.skip("this picture has no segments")
    assert done or order == "Community"  # pooled sources form no communities
    view(exhibit, "Matrix", "As in the picture")


def test_a_patch_is_itself_where_an_edge_is_explained(exhibit: ExhibitPage, follow: Callable[..., int]) -> None:
    for index in telling(exhibit):
        follow("follow", view="Why this edge", layer=index, count=4, seed=11 + index)


def test_a_patch_is_itself_in_the_drawn_graph(exhibit: ExhibitPage, follow: Callable[..., int]) -> None:
    whole = [i for i, layer in enumerate(layers(exhibit)) if layer["grid"] == layer["keyGrid"]]  # pooled sides have no common layout
    for index in {whole[0], whole[-1]}:
        exhibit.layers.nth(index).click()
        assert view(exhibit, "Graph layout")
        expect(exhibit.region("panels").get_by_role("tabpanel")).to_contain_text("axes have no unit")
        follow("follow", view="Graph layout", layer=index, count=5, seed=31 + index)


def test_a_patch_is_itself_after_the_window_changed(exhibit: ExhibitPage, follow: Callable[..., int]) -> None:
    try:
        for width, height in ((1000, 760), (720, 900), (390, 800)):
            exhibit.page.set_viewport_size({"width": width, "height": height})
            exhibit.drawn()
            for name in ("Matrix", "Feature space"):
                follow("follow", view=name, layer=0, count=3, seed=width)
    finally:
        exhibit.page.set_viewport_size({"width": 1400, "height": 900})
        exhibit.drawn()


def test_pins_stay_at_their_place_through_all_layers(exhibit: ExhibitPage, follow: Callable[..., int]) -> None:
    follow("pinsAcross", count=12, seed=3)


def test_two_pictures_share_the_pointer(exhibit: ExhibitPage, follow: Callable[..., int]) -> None:
    for second in {1, *telling(exhibit)} - {0}:
        follow("besideEachOther", first=0, second=second, count=4, seed=second)


def test_there_is_a_layer_whose_sources_are_pooled(opened: tuple[ExhibitPage, Watched]) -> None:
    """The hardest case of the tests above must really be among them."""
    exhibit, _ = opened
    if exhibit.slug == "vig":
        assert any(layer["grid"] != layer["keyGrid"] for layer in layers(exhibit))
