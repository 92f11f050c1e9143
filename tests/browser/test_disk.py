"""The Poincaré disk under the pointer, the keys and a finger: drags keep distances, home is home, two nodes are measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from playwright.sync_api import Page, expect

from explorer import payload
from explorer.canvas import standalone
from explorer.exhibit import NO_PICTURE, Layer, Scene
from explorer.exhibits.hyperbolic.embeddings import EXHIBIT
from explorer.views.disk import unit_disk
from models.hyperbolic.embeddings import placed, sarkar
from models.hyperbolic.hierarchy import balanced
from models.structures import PlanePoints
from tests.browser.exhibit_page import ExhibitPage

TITLE = 18  # pixels above the disk


def tree_page() -> str:
    """A tree of 31 nodes in the disk, and some points of the plane beside it, as a file."""
    tree = balanced(2, 4)
    disk = placed(sarkar(tree, 1.0), tree)
    plane = PlanePoints(torch.randn(31, 2, generator=torch.Generator().manual_seed(0)), tree.names, tree.edges, tree.depth)
    layers = [Layer("learned", "In the disk", {"points": disk}), Layer("flat", "In the plane", {"points": plane})]
    extras = {"hierarchy": {"nodes": 31, "pairs": 98, "levels": 4, "ends": 16, "watch": True, "each": [1, 2, 4, 8, 16]}}
    return standalone(
        payload.build(EXHIBIT, Scene(NO_PICTURE, NO_PICTURE, layers, extras=extras), EXHIBIT.controls(), image="", state={"pins": []})
    )


@dataclass
class DiskPage:
    """One open disk."""

    page: Page

    def __post_init__(self) -> None:
        self.canvas = self.page.locator(".hs-overlay.hs-disk")
        self.words = self.page.locator(".hs-readout")
        tree = balanced(2, 4)
        self.units = unit_disk(placed(sarkar(tree, 1.0), tree))

    def place(self, node: int) -> tuple[float, float]:
        """Where a node lies in the window, at home."""
        box = self.canvas.bounding_box()
        assert box is not None
        radius = min(box["width"], box["height"] - TITLE) / 2 - 6
        x, y = self.units[node] * radius
        return box["x"] + box["width"] / 2 + x, box["y"] + TITLE + (box["height"] - TITLE) / 2 + y

    def pixels(self) -> np.ndarray:
        return ExhibitPage(self.page, "disk").pixels(0)

    def drawn(self) -> None:
        ExhibitPage(self.page, "disk").drawn()

    def drag(self, start: tuple[float, float], by: tuple[float, float]) -> None:
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move(start[0] + by[0] / 2, start[1] + by[1] / 2)
        self.page.mouse.move(start[0] + by[0], start[1] + by[1])
        self.page.mouse.up()
        self.page.mouse.move(2, 2)
        self.drawn()


@pytest.fixture
def disk(new_page: Callable[..., Page], tmp_path: Path) -> DiskPage:
    page = new_page(still=True)
    file = tmp_path / "disk.html"
    file.write_text(tree_page(), encoding="utf-8")
    page.goto(file.as_uri())
    found = DiskPage(page)
    expect(found.words).to_be_visible()
    found.drawn()
    return found


def test_two_nodes_are_measured_and_a_drag_keeps_their_distance(disk: DiskPage) -> None:
    disk.page.mouse.click(*disk.place(1))
    disk.page.mouse.click(*disk.place(5))
    disk.page.mouse.move(2, 2)
    expect(disk.words).to_contain_text("apart; 3 steps along the tree")
    words, before = disk.words.text_content(), disk.pixels()
    disk.drag(disk.place(0), (140, 60))
    assert (disk.pixels() != before).any()
    assert disk.words.text_content() == words


def test_a_drag_takes_the_node_under_the_pointer_along_and_home_undoes_it(disk: DiskPage) -> None:
    before = disk.pixels()
    start = disk.place(0)
    disk.drag(start, (120, -40))
    disk.page.mouse.move(start[0] + 120, start[1] - 40)
    expect(disk.words).to_contain_text("depth 0")
    disk.page.mouse.wheel(0, -400)
    expect(disk.words).to_contain_text("depth 0")
    disk.page.get_by_role("button", name="As the embedding has it").click()
    disk.page.mouse.move(2, 2)
    disk.drawn()
    np.testing.assert_array_equal(disk.pixels(), before)


def test_keys_walk_the_tree_pin_and_centre(disk: DiskPage) -> None:
    disk.canvas.focus()
    for key, depth in (("ArrowDown", 0), ("ArrowDown", 1), ("ArrowRight", 1), ("ArrowDown", 2), ("ArrowUp", 1)):
        disk.canvas.press(key)
        expect(disk.words).to_contain_text(f"depth {depth}")
    disk.canvas.press("Enter")
    before = disk.pixels()
    disk.canvas.press("c")
    disk.drawn()
    assert (disk.pixels() != before).any()
    disk.page.mouse.move(*disk.place(0))
    expect(disk.words).to_contain_text("depth 1")
    disk.canvas.press("0")
    disk.drawn()
    np.testing.assert_array_equal(disk.pixels(), before)


def test_the_neighbours_of_a_pin_are_listed_with_their_kinship(disk: DiskPage) -> None:
    disk.page.mouse.click(*disk.place(1))
    rows = disk.page.locator(".hs-near-row")
    expect(rows).to_have_count(12)
    expect(rows.first).to_contain_text("1.00")
    assert {"parent", "child"} <= set(" ".join(rows.all_text_contents()).replace("parent", " parent ").replace("child", " child ").split())


def test_every_linked_view_opens(disk: DiskPage) -> None:
    for tab in disk.page.get_by_role("tab").all():
        tab.click()
        expect(disk.page.get_by_role("tabpanel").locator("p").last).not_to_be_empty()
    expect(disk.page.get_by_text("cannot be drawn for this layer")).to_have_count(0)


def test_the_plane_stands_beside_the_disk(disk: DiskPage) -> None:
    disk.page.get_by_label("Beside it").select_option(label="In the plane")
    disk.drawn()
    pixels = disk.pixels()
    half = pixels.shape[1] // 2
    for side in (pixels[:, :half], pixels[:, half:]):
        assert len(np.unique(side[side[..., 3] > 0][:, :3], axis=0)) > 10


def test_the_drawing_goes_home_as_a_vector_file(disk: DiskPage) -> None:
    disk.page.get_by_text("Take home").click()
    with disk.page.expect_download() as waiting:
        disk.page.get_by_role("button", name="(SVG)").click()
    root = ElementTree.parse(waiting.value.path()).getroot()
    assert not [e for e in root.iter() if e.tag.endswith("image")], "lines became pixels"
    arcs = [e for e in root.iter() if e.tag.endswith("path") and "A" in (e.get("d") or "")]
    assert len(arcs) > 3


def test_a_finger_points_first_and_pins_then(new_page: Callable[..., Page], tmp_path: Path) -> None:
    page = new_page(width=390, height=844, touch=True, dark=True)
    file = tmp_path / "disk.html"
    file.write_text(tree_page(), encoding="utf-8")
    page.goto(file.as_uri())
    disk = DiskPage(page)
    expect(disk.words).to_be_visible()
    disk.drawn()
    page.touchscreen.tap(*disk.place(1))
    expect(disk.words).to_contain_text("depth 1")
    expect(page.locator(".hs-near-row").first).to_be_attached()
    page.touchscreen.tap(*disk.place(1))
    page.touchscreen.tap(*disk.place(2))
    expect(disk.words).to_contain_text("apart; 2 steps")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
