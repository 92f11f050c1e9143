"""Graphs on their own in the browser: draw a graph, drag a node, play a round, turn a graph inside out, press the shutter, slide the depth."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from explorer.exhibits import catalogue

SLUGS = [slug for slug in ("graphabstract", "inside-out", "lost-groups", "over-smoothing") if slug in catalogue()[0]]
LONG = 30_000


def opened(page: Page, app_url: str, slug: str) -> Page:
    if slug not in SLUGS:
        pytest.skip("not on show")
    page.goto(f"{app_url}/structure?exhibit={slug}")
    expect(page.locator(".hs-story-title strong")).not_to_be_empty(timeout=LONG)
    expect(page.locator(".hs-easel")).to_be_visible()
    return page


def a_node(page: Page) -> tuple[float, float]:
    """Where a node lies, found as a visitor finds it: by moving the pointer until the line below the board names one."""
    box = page.locator(".hs-easel").bounding_box()
    assert box is not None
    for dy in range(0, int(box["height"]), 14):
        for dx in range(0, int(box["width"]), 14):
            page.mouse.move(box["x"] + dx, box["y"] + dy)
            if dx % 70 == 0 and "Node" in page.locator(".hs-readout").inner_text():
                for back in range(0, dx + 1, 7):  # the words come up to 60 ms after the pointer: the node lies somewhat behind
                    page.mouse.move(box["x"] + dx - back, box["y"] + dy)
                    page.wait_for_timeout(100)
                    if "Node" in page.locator(".hs-readout").inner_text():
                        return box["x"] + dx - back, box["y"] + dy
    raise AssertionError("no node on the board")


def answers(page: Page) -> dict[str, str]:
    rows = page.locator(".hs-arena-row")
    return {row.get_attribute("data-who") or "": row.inner_text() for row in rows.all()}


def size(page: Page) -> tuple[int, int]:
    """Nodes and edges, as the legend says."""
    found = re.search(r"(\d+) nodes?, (\d+) edges?", page.locator(".hs-legend").inner_text())
    assert found
    return int(found[1]), int(found[2])


def test_a_dragged_node_is_looked_at_again_and_the_edges_stay(page: Page, app_url: str) -> None:
    opened(page, app_url, "graphabstract")
    before, counts = answers(page), size(page)
    x, y = a_node(page)
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 7):
        page.mouse.move(x + 25 * step, y + 12 * step)
    expect(page.get_by_text("Those that read the edges were not even asked")).to_be_visible(timeout=LONG)
    page.mouse.up()
    expect(page.locator(".hs")).not_to_have_attribute("aria-busy", "true", timeout=LONG)
    after = answers(page)
    readers = [name for name in before if "cnn" not in name and "vit" not in name]
    assert readers
    assert all(after[name] == before[name] for name in readers)
    assert size(page) == counts


def test_a_graph_is_drawn_by_hand_and_taken_back(page: Page, app_url: str) -> None:
    opened(page, app_url, "graphabstract")
    page.click("[data-act=clear]")
    expect(page.locator(".hs-legend")).to_contain_text("1 node, 0 edges", timeout=LONG)
    box = page.locator(".hs-easel").bounding_box()
    assert box is not None
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 60, middle[1] - 60)
    page.mouse.move(middle[0] + 120, middle[1] - 80)
    page.mouse.up()
    expect(page.locator(".hs-legend")).to_contain_text("2 nodes, 1 edge", timeout=LONG)
    page.mouse.click(middle[0] - 120, middle[1] + 60)
    expect(page.locator(".hs-legend")).to_contain_text("3 nodes, 1 edge", timeout=LONG)
    page.click("[data-act=undo]")
    expect(page.locator(".hs-legend")).to_contain_text("2 nodes, 1 edge", timeout=LONG)
    expect(page.get_by_text("Nobody knows")).to_be_visible(timeout=LONG)


def test_a_round_is_played_before_anything_is_told(page: Page, app_url: str) -> None:
    opened(page, app_url, "graphabstract")
    page.click("[data-act=play]")
    expect(page.locator("[data-guess]").first).to_be_visible(timeout=LONG)
    assert all("?" in text for text in answers(page).values()), "the networks answer after the visitor"
    expect(page.locator(".hs-diagnostics")).to_be_hidden()
    page.click('[data-guess="2"]')
    expect(page.locator(".hs-outcome")).to_contain_text(re.compile(r"You (are right|said)"))
    expect(page.locator(".hs-outcome")).to_contain_text("of 1")
    assert not any("?" in text for text in answers(page).values())
    page.get_by_role("tab", name="You").click()
    expect(page.locator(".hs-table")).to_contain_text("You")


def test_a_graph_is_turned_inside_out_and_an_edge_is_cut(new_page: Callable[..., Page], app_url: str) -> None:
    page = opened(new_page(still=True), app_url, "inside-out")
    page.click("[data-act=turn]")
    expect(page.locator("[data-act=turn]")).to_have_text("Dual of the dual")
    page.locator(".hs-easel").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="cut this edge").click()
    page.get_by_role("button", name="Predict again").click()
    expect(page.locator(".hs-prediction")).to_contain_text("before and after the cut", timeout=LONG)


def test_the_shutter_leaves_only_pairs(new_page: Callable[..., Page], app_url: str) -> None:
    page = opened(new_page(still=True), app_url, "lost-groups")
    page.click("[data-act=click]")
    expect(page.locator("[data-act=click]")).to_have_text("Show the groups")
    page.click("[data-hulls=mine]")
    expect(page.locator("[data-act=add]")).to_be_disabled()


def test_the_depth_slides_and_a_network_learns_live(new_page: Callable[..., Page], app_url: str) -> None:
    page = opened(new_page(still=True), app_url, "over-smoothing")
    page.locator(".hs-easel").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(page.locator(".hs-toolbar")).to_contain_text("step 3")
    page.get_by_role("tab", name="Race").click()
    page.click("[data-act=train]")
    expect(page.locator(".hs-panel")).to_contain_text("right on the test nodes", timeout=60_000)
    expect(page.locator(".hs-toolbar")).to_contain_text("layer 2")


@pytest.mark.parametrize("slug", SLUGS)
def test_a_phone_shows_every_board_without_a_sideways_scroll(new_page: Callable[..., Page], app_url: str, slug: str) -> None:
    page = opened(new_page(width=390, height=844, touch=True, dark=True), app_url, slug)
    assert page.evaluate("document.documentElement.scrollWidth") <= 391
