"""The page of one exhibit as a visitor sees and handles it: what stands there, and where to point.

Everything here goes by roles, labels and texts of the page; nothing knows how the canvas draws.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page, Request, expect

PATIENCE = 60_000  # milliseconds; the machine may be busy. Every wait is for a condition, and this long at most
WING = "image-graphs"
EXHIBITS = ("vig", "mobilevig", "greedyvig", "constructors")

# Where the picture lies, in CSS pixels of the window, and how many patches it has: pointed out along two lines. The words
# follow a fast pointer a little behind, so every answer is waited for, and borders between patches are found by halving.
_FRAME = """
async (canvas) => {
  const box = canvas.getBoundingClientRect();
  const words = canvas.closest('.hs').querySelector('.hs-readout');
  const at = async (x, y) => {
    canvas.dispatchEvent(new PointerEvent('pointermove', { clientX: x, clientY: y, pointerType: 'mouse', bubbles: true }));
    await new Promise((done) => setTimeout(done, 90));
    const found = /row (\\d+), column (\\d+)/.exec(words.textContent);
    return found ? [Number(found[1]), Number(found[2])] : null;
  };
  const along = async (from, to, point, axis) => {
    // Outside of the picture the words speak of the pin, so the search goes from its middle outwards.
    const number = async (v) => ((await point(v)) || [])[axis];
    const border = async (low, high, last) => {
      while (high - low > 0.2) {
        const middle = (low + high) / 2;
        if ((await number(middle)) <= last) low = middle;
        else high = middle;
      }
      return high;
    };
    const [centre, reach] = [(from + to) / 2, (to - from) / 4];
    const here = await number(centre);
    const after = await border(centre, centre + reach, here);
    const pitch = after - (await border(centre - reach, centre, here - 1));
    let [most, beyond] = [here, 65];
    while (beyond - most > 1) {
      const tried = Math.floor((most + beyond) / 2);
      const at = after + (tried - here - 0.5) * pitch;
      if (at < to && (await number(at)) === tried) most = tried;
      else beyond = tried;
    }
    // The first and the last border between two patches lie one patch inside of the picture's edges.
    const near = (v, last) => border(v - 0.4 * pitch, v + 0.4 * pitch, last);
    return [await near(after - (here - 1) * pitch, 1), await near(after + (most - 1 - here) * pitch, most - 1), most];
  };
  const middle = box.top + box.height / 2 + 9;
  const [left, right, cols] = await along(box.left + 0.5, box.right, (x) => at(x, middle), 1);
  const [top, bottom, rows] = await along(box.top + 0.5, box.bottom, (y) => at((left + right) / 2, y), 0);
  canvas.dispatchEvent(new PointerEvent('pointerleave', { pointerType: 'mouse' }));
  await null;
  return { left, right, top, bottom, rows, cols };
}
"""


@dataclass(frozen=True)
class Frame:
    """The picture inside the window: where the first inner and the last inner grid line lie, and the grid."""

    left: float
    right: float
    top: float
    bottom: float
    rows: int
    cols: int

    def patch(self, row: int, col: int) -> tuple[float, float]:
        """Middle of a patch (counted from 1) in CSS pixels of the window."""
        wide, high = (self.right - self.left) / max(1, self.cols - 2), (self.bottom - self.top) / max(1, self.rows - 2)
        return self.left + (col - 1.5) * wide, self.top + (row - 1.5) * high


@dataclass
class ExhibitPage:
    """One open exhibit."""

    page: Page
    slug: str

    # ------------------------------------------------------------------------------------------------- coming and going

    def open(self, url: str, query: str = "") -> ExhibitPage:
        """Go to the exhibit's address and wait for its first picture."""
        self.page.goto(f"{url}/{WING}?exhibit={self.slug}{query}")
        return self.ready()

    def ready(self) -> ExhibitPage:
        expect(self.readout).to_be_visible()
        self.settle()
        return self

    def settle(self) -> None:
        """Wait until nothing is asked of the model any more and the last frame is drawn."""
        expect(self.page.locator(".hs[aria-busy=false]")).to_be_attached()
        self.drawn()

    def drawn(self) -> None:
        """Two frames later: what the last event changed is on the screen, with the words and views that follow the pointer."""
        self.page.wait_for_timeout(70)
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))")

    def tidy(self) -> None:
        """A known state without a question to the model: first layer, one picture, the model's own edges, one pin."""
        self.page.mouse.move(2, 2)
        self.compare_with("nothing")
        own = self.group("Graph").get_by_role("button", name="as the model had it")
        if own.is_visible():
            own.click()
        self.layers.first.click()
        self.tabs.filter(has_text="Matrix").click()  # a view that asks the server for nothing
        for key in ("Escape", "Escape", "ArrowRight", "Enter", "Escape"):  # let go of everything, then pin a patch near the middle
            self.picture.press(key)
        self.drawn()

    def compare_with(self, label: str) -> None:
        """Choose the layer beside the present one by its label."""
        select = self.group("Look").get_by_label("Compare", exact=True)
        if select.is_visible() and select.evaluate("(s) => s.options[s.selectedIndex].text") != label:
            select.select_option(label=label)

    # ----------------------------------------------------------------------------------------------- what stands there

    @property
    def root(self) -> Locator:
        return self.page.locator(".hs")

    @property
    def picture(self) -> Locator:
        """The canvas that takes pointer and keys; the one below it holds the picture."""
        return self.page.get_by_role("application", name=re.compile("patches", re.I))

    @property
    def readout(self) -> Locator:
        return self.page.locator(".hs-readout")

    @property
    def spoken(self) -> Locator:
        """What a screen reader hears of the focused patch."""
        return self.region("canvas").locator("[aria-live=polite]")

    @property
    def refusal(self) -> Locator:
        return self.root.get_by_role("alert")

    @property
    def layers(self) -> Locator:
        strip = self.page.get_by_role("group", name=re.compile("^Layers"))
        return strip.get_by_role("button")

    @property
    def film(self) -> Locator:
        """The canvas under all thumbnails."""
        return self.page.get_by_role("group", name=re.compile("^Layers")).locator("canvas")

    @property
    def back(self) -> Locator:
        return self.page.get_by_role("button", name="Previous step")

    @property
    def next(self) -> Locator:
        return self.page.get_by_role("button", name="Next step")

    @property
    def tabs(self) -> Locator:
        return self.page.get_by_role("tablist", name="Linked views").get_by_role("tab")

    @property
    def examples(self) -> Locator:
        return self.page.get_by_role("group", name="Example pictures").get_by_role("button")

    @property
    def count(self) -> Locator:
        """ "1,536 edges · 6 per patch"."""
        return self.page.locator(".hs-count")

    def region(self, name: str) -> Locator:
        """A part of the page by the name that the story uses."""
        return self.page.locator(f"[data-region='{name}']")

    def group(self, title: str) -> Locator:
        """A group of controls by its heading."""
        return self.region("controls").locator("section").filter(has=self.page.get_by_role("heading", name=title, exact=True))

    def words(self) -> str:
        """What stands below the picture about the focused patch."""
        return self.readout.text_content() or ""

    def place(self) -> tuple[int, int]:
        """Row and column of the focused patch, counted from 1; (0, 0) without one."""
        found = re.search(r"row (\d+), column (\d+)", self.words())
        return (int(found[1]), int(found[2])) if found else (0, 0)

    def edges(self) -> int:
        found = re.match(r"([\d,]+) edge", self.count.text_content() or "")
        assert found, f"no number of edges in {self.count.text_content()!r}"
        return int(found[1].replace(",", ""))

    def pins(self) -> int:
        """How many of the pins (at most four are listed) stand beside the prediction."""
        return self.region("prediction").locator(".hs-pin").count()

    def layer(self) -> int:
        return [self.layers.nth(i).get_attribute("aria-current") for i in range(self.layers.count())].index("true")

    def step(self) -> tuple[int, int]:
        """The step of the story and how many there are."""
        found = re.search(r"(\d+) of (\d+)", self.region("story").text_content() or "")
        assert found, "the story has no number"
        return int(found[1]), int(found[2])

    def image(self) -> str | None:
        """Name of the chosen example; None for a picture of the visitor."""
        chosen = self.region("controls").locator("[aria-label='Example pictures'] [aria-pressed=true]")
        return chosen.get_attribute("title") if chosen.count() else None

    def state(self) -> dict[str, object]:
        """All that a link should carry, as it can be seen."""
        return {
            "exhibit": self.page.get_by_role("heading", level=2).first.text_content(),
            "image": self.image(),
            "layer": self.layer(),
            "pins": self.pins(),
            "focus": self.words(),
            "edges": self.count.text_content(),
            "step": self.step(),
            "tab": self.region("panels").locator("[role=tab][aria-selected=true]").text_content(),
        }

    # ------------------------------------------------------------------------------------------------ pointing, looking

    def frame(self) -> Frame:
        """Where the picture lies now. One picture must be shown, not two side by side."""
        self.page.mouse.move(2, 2)
        self.drawn()
        return Frame(**self.picture.evaluate(_FRAME))

    def point(self, row: int, col: int, frame: Frame | None = None) -> None:
        """Move the mouse to a patch (counted from 1)."""
        self.page.mouse.move(*(frame or self.frame()).patch(row, col))
        self.drawn()

    def pixels(self, which: int = 0) -> np.ndarray:
        """RGBA values of one of the two canvases of the picture: 0 what is drawn once, 1 what follows the pointer."""
        self.drawn()
        data = self.page.evaluate("(n) => document.querySelectorAll('[data-region=canvas] canvas')[n].toDataURL('image/png')", which)
        return png(data)

    def slide(self, slider: Locator, key: str = "ArrowRight", times: int = 1) -> None:
        """Move a slider by its keys, as the visitor does, event by event."""
        slider.focus()
        for _ in range(times):
            slider.press(key)
        self.drawn()


def png(data_uri: str) -> np.ndarray:
    """Pixels of a data URI, uint8 [H, W, 4]."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data_uri.partition(",")[2]))).convert("RGBA"))


def is_question(request: Request) -> bool:
    """True for a request that asks the server for something; a heartbeat keeps the connection and nothing more."""
    return request.url.startswith("http") and "heartbeat" not in request.url


@contextmanager
def no_questions(page: Page) -> Iterator[list[str]]:
    """What happens inside must be answered by the page alone."""
    asked: list[str] = []

    def note(request: Request) -> None:
        if is_question(request):
            asked.append(f"{request.method} {request.url}")

    page.on("request", note)
    try:
        yield asked
        page.wait_for_timeout(400)  # a question that a pause holds back would be on its way by now
    finally:
        page.remove_listener("request", note)
    assert not asked, f"the page asked the server: {asked}"
