"""Pictures and answers: examples, uploads and their refusals, hasty visitors, two visitors at once, damaged links."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Page, Route, expect

from tests.browser.conftest import Watched
from tests.browser.exhibit_page import PATIENCE, ExhibitPage

QUESTIONS = "**/gradio_api/queue/join**"
RED, BLUE = (200, 30, 30), (30, 60, 200)


@pytest.fixture
def exhibit(page: Page, app_url: str) -> ExhibitPage:
    return ExhibitPage(page, "mobilevig").open(app_url)


def photo(colour: tuple[int, int, int], size: tuple[int, int] = (320, 240), name: str = "photo.png") -> FilePayload:
    """A picture of one colour with a darker stripe, as a file to upload."""
    picture = Image.new("RGB", size, colour)
    picture.paste(tuple(c // 2 for c in colour), (0, 0, size[0], size[1] // 4))
    return FilePayload(name=name, mimeType="image/png", buffer=encoded(picture))


def encoded(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def upload(exhibit: ExhibitPage, file: FilePayload) -> None:
    exhibit.region("controls").locator("input[type=file]").first.set_input_files(files=[file])


def colour_of(exhibit: ExhibitPage) -> np.ndarray:
    """The commonest colour of the shown picture: what a visitor would call its colour."""
    pixels = exhibit.pixels(0)
    opaque = pixels[pixels[..., 3] == 255][:, :3]
    values, counts = np.unique(opaque // 16, axis=0, return_counts=True)
    return values[counts.argmax()] * 16.0 + 8


def shows(exhibit: ExhibitPage, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(colour_of(exhibit) - np.array(colour)).max() < 24)


def eventually(check: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE / 1000
    while not check():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def test_an_example_changes_the_picture(exhibit: ExhibitPage) -> None:
    picture, thumbs = exhibit.pixels(0), exhibit.film.evaluate("(c) => c.toDataURL()")
    chosen = exhibit.image()
    other = next(e for e in exhibit.examples.all() if e.get_attribute("title") != chosen)
    name = other.get_attribute("title")
    other.click()
    expect(exhibit.page.get_by_role("button", name=name, exact=True)).to_have_attribute("aria-pressed", "true")
    exhibit.settle()
    assert (exhibit.pixels(0) != picture).any()
    expect(exhibit.refusal).to_be_hidden()
    assert exhibit.pins() == 1, "the pin stays when the picture changes"
    eventually(lambda: exhibit.film.evaluate("(c) => c.toDataURL()") != thumbs, "the film strip is an old one")


def test_uploads_good_broken_and_far_too_large(exhibit: ExhibitPage, watched: Watched) -> None:
    upload(exhibit, photo(RED))
    eventually(lambda: shows(exhibit, RED), "the uploaded picture is not shown")
    expect(exhibit.refusal).to_be_hidden()
    assert exhibit.image() is None
    kept = exhibit.pixels(0)

    # What is no picture is refused in words, and the picture before stays.
    for name, content, words in (
        ("notes.png", b"these are no pixels", r"picture"),
        ("cut.png", encoded(Image.effect_noise((300, 300), 90))[:9000], r"picture|file"),
        ("bomb.png", encoded(Image.new("1", (13_000, 13_000))), r"too large"),
        ("dot.png", encoded(Image.new("RGB", (3, 3))), r"small|pixels"),
    ):
        upload(exhibit, FilePayload(name=name, mimeType="image/png", buffer=content))
        expect(exhibit.refusal).to_have_text(re.compile(words))
        sentence = exhibit.refusal.locator("span").text_content() or ""
        assert sentence.endswith("."), sentence
        assert len(sentence.split()) > 5, sentence
        assert "Traceback" not in sentence
        exhibit.settle()
        exhibit.refusal.get_by_role("button", name="Dismiss").click()
        assert exhibit.pixels(0).shape == kept.shape
        assert shows(exhibit, RED), f"{name} replaced the picture"

    watched.allow_errors = True  # Gradio asks how far an upload came that it has just refused itself
    upload(exhibit, FilePayload(name="huge.png", mimeType="image/png", buffer=b"\x89PNG" + bytes(9_000_000)))
    expect(exhibit.page.get_by_text(re.compile(r"8(\.0)? ?MB", re.I)).first).to_be_visible()
    assert shows(exhibit, RED)

    # The door still works afterwards, and the visitor's picture goes on through the model.
    upload(exhibit, photo(BLUE))
    eventually(lambda: shows(exhibit, BLUE), "a good picture after bad ones is not shown")
    mirror = exhibit.group("Model").get_by_label("Mirror the picture")
    mirror.check()
    exhibit.settle()
    expect(mirror).to_be_checked()
    assert shows(exhibit, BLUE), "a control brought another picture"
    expect(exhibit.refusal).to_be_hidden()


def saved(picture: Image.Image, kind: str, **settings: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **settings)
    return file.getvalue()


def odd_pictures() -> dict[str, tuple[bytes, tuple[int, int, int] | str]]:
    """Files that people do drop, and what comes of each: the commonest colour that is then shown, or words of the refusal."""
    grey = Image.fromarray(np.full((64, 64), 40_000, np.uint16))  # 156 of 255
    frames = [Image.new("RGB", (64, 64), colour) for colour in (RED, BLUE)]
    palette = Image.new("P", (64, 64), 1)
    palette.putpalette([0, 0, 0, *BLUE])
    palette.paste(0, (0, 0, 64, 16))  # the first colour is transparent: white
    upright = Image.new("RGB", (40, 80), BLUE)
    upright.paste(RED, (0, 0, 40, 60))  # after a quarter turn, three quarters of the width
    turned = Image.Exif()
    turned[0x0112] = 6
    return {
        "grey16.png": (saved(grey, "PNG"), (156, 156, 156)),
        "moving.gif": (saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100), RED),
        "print.jpg": (saved(Image.new("CMYK", (64, 64), (0, 255, 255, 0)), "JPEG"), (254, 0, 0)),
        "palette.png": (saved(palette, "PNG", transparency=0), BLUE),
        "camera.jpg": (saved(upright, "JPEG", exif=turned.tobytes(), quality=95), RED),
        "point.png": (saved(Image.new("RGB", (1, 1), RED), "PNG"), "small|pixels"),
        "text.png": (b"A text that somebody has given the name of a picture.\n" * 20, "picture"),
        "sixty.png": (saved(Image.new("1", (7746, 7746)), "PNG"), "too large|megapixels|million"),
    }


def test_odd_pictures_are_shown_rightly_or_refused_in_one_sentence(exhibit: ExhibitPage) -> None:
    pins, layer = exhibit.pins(), exhibit.layer()
    upload(exhibit, photo((30, 150, 60)))
    eventually(lambda: shows(exhibit, (30, 150, 60)), "the first picture is not shown")
    last = (30, 150, 60)
    for name, (content, wanted) in odd_pictures().items():
        upload(exhibit, FilePayload(name=name, mimeType="image/gif" if name.endswith("gif") else "image/png", buffer=content))
        if isinstance(wanted, tuple):
            eventually(lambda w=wanted: shows(exhibit, w), f"{name} is not shown rightly: {colour_of(exhibit)}")  # type: ignore[misc]
            exhibit.settle()
            expect(exhibit.refusal).to_be_hidden()
            last = wanted
        else:
            expect(exhibit.refusal).to_have_text(re.compile(wanted))
            sentence = exhibit.refusal.locator("span").text_content() or ""
            assert len(sentence.split()) > 5, sentence
            assert sentence.endswith("."), sentence
            exhibit.settle()
            assert shows(exhibit, last), f"{name} replaced the picture"
            exhibit.refusal.get_by_role("button", name="Dismiss").click()
        assert (exhibit.pins(), exhibit.layer()) == (pins, layer), f"{name} lost what was on the page"


def test_the_same_refusal_is_told_again(exhibit: ExhibitPage) -> None:
    for name in ("first.png", "second.png"):
        upload(exhibit, FilePayload(name=name, mimeType="image/png", buffer=b"these are no pixels"))
        expect(exhibit.refusal).to_be_visible()
        exhibit.refusal.get_by_role("button", name="Dismiss").click()
        expect(exhibit.refusal).to_be_hidden()


def test_of_quick_requests_the_newest_wins(exhibit: ExhibitPage) -> None:
    """The first question is held up on its way; meanwhile the others wait, and only the last of them is asked."""
    held: list[Route] = []
    asked: list[str] = []

    def hold_the_first(route: Route) -> None:
        image = (route.request.post_data_json.get("event_data") or {}).get("image")
        if image:
            asked.append(image["example"])
        if image and not held:
            held.append(route)
        else:
            route.continue_()

    exhibit.page.route(QUESTIONS, hold_the_first)
    with exhibit.page.expect_request(QUESTIONS):
        exhibit.page.get_by_role("button", name="bear", exact=True).click()
    for name in ("apples", "cat"):
        exhibit.page.get_by_role("button", name=name, exact=True).click()
    assert exhibit.image() not in ("bear", "apples", "cat")
    eventually(lambda: bool(held), "nothing was asked")
    held[0].continue_()
    expect(exhibit.page.get_by_role("button", name="cat", exact=True)).to_have_attribute("aria-pressed", "true")
    exhibit.settle()
    assert exhibit.image() == "cat", "an older answer came last and was shown"
    assert asked == ["bear", "cat"], "the model ran for a picture that nobody waited for any more"
    expect(exhibit.refusal).to_be_hidden()


def test_a_lost_question_is_told_and_the_next_is_answered(exhibit: ExhibitPage, watched: Watched) -> None:
    watched.allow_errors = True  # Chromium writes every refused request to its console
    bear = exhibit.page.get_by_role("button", name="bear", exact=True)
    exhibit.page.route(QUESTIONS, lambda route: route.fulfill(status=503, json={"detail": "Queue is full."}))
    bear.click()
    expect(exhibit.refusal).to_contain_text("Try again")
    exhibit.settle()
    assert exhibit.image() != "bear"
    exhibit.page.unroute(QUESTIONS)
    bear.click()
    expect(bear).to_have_attribute("aria-pressed", "true")
    exhibit.settle()
    expect(exhibit.refusal).to_be_hidden()


def test_a_hasty_reader_ends_where_the_story_says(exhibit: ExhibitPage) -> None:
    """The second step wants another picture; the reader is back at the first before that picture has come."""
    first = exhibit.state()
    held: list[Route] = []
    exhibit.page.route(QUESTIONS, lambda route: route.continue_() if held else held.append(route))
    with exhibit.page.expect_request(QUESTIONS):
        exhibit.next.click()
    exhibit.back.click()
    assert exhibit.step() == first["step"]
    eventually(lambda: bool(held), "nothing was asked")
    held[0].continue_()
    exhibit.settle()
    assert exhibit.step() == first["step"]
    assert exhibit.image() == first["image"]
    assert exhibit.words() == first["focus"]


def test_two_visitors_do_not_see_each_other(new_page: Callable[..., Page], app_url: str) -> None:
    visitors = [ExhibitPage(new_page(width=1100, height=800), "mobilevig").open(app_url) for _ in range(2)]
    for visitor, colour in zip(visitors, (RED, BLUE), strict=True):
        upload(visitor, photo(colour))
    for visitor, colour in zip(visitors, (RED, BLUE), strict=True):
        eventually(lambda v=visitor, c=colour: shows(v, c), "an upload is not shown")  # type: ignore[misc]
    for visitor in visitors:
        visitor.group("Model").get_by_label("Mirror the picture").check()
    visitors[0].layers.nth(1).click()
    for visitor, colour in zip(visitors, (RED, BLUE), strict=True):
        visitor.settle()
        assert shows(visitor, colour), "a visitor sees the picture of another"
    assert [visitor.layer() for visitor in visitors] == [1, 0]


def test_damaged_and_foreign_links_open_with_a_notice(exhibit: ExhibitPage, app_url: str) -> None:
    for query, words in (
        ("&s=%25%25not-a-link", "damaged"),
        ("&s=" + "A" * 3000, "damaged|too long"),
        ("&s=eyJ2Ijo5fQ", "damaged|version"),
    ):
        exhibit.open(app_url, query)
        expect(exhibit.root.get_by_text(re.compile(words)).first).to_be_visible()
        assert exhibit.pins() == 1, "the exhibit opens as it always does"
    exhibit.page.goto(f"{app_url}/image-graphs?exhibit=no-such-paper")
    exhibit.ready()
    expect(exhibit.root.get_by_text(re.compile("no exhibit named 'no-such-paper'"))).to_be_visible()
