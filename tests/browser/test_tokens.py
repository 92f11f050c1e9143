"""Main gestures of the tokens wing: the budget is answered in the browser, what remains is read live, patches are kept by hand."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from explorer import permalink
from explorer.exhibits import catalogue

SLUGS = [slug for slug in ("hiprune", "sparsifiner", "dtop") if slug in catalogue()[0]]
needs = pytest.mark.skipif("hiprune" not in SLUGS, reason="not on show")


def opened(page: Page, app_url: str, slug: str, query: str = "") -> Page:
    page.goto(f"{app_url}/tokens?exhibit={slug}{query}", wait_until="domcontentloaded")
    expect(page.locator(".hs-stage canvas").first).to_be_visible()
    expect(page.locator(".hs-film-thumb").first).to_be_visible()
    return page


@needs
def test_the_budget_is_answered_here_and_the_reader_follows(page: Page, app_url: str) -> None:
    opened(page, app_url, "hiprune")
    count = page.locator(".hs-count", has_text="patches kept")
    expect(count).to_have_text("65 of 196 patches kept")
    page.get_by_role("button", name="11 %", exact=True).click()
    expect(count).to_have_text("22 of 196 patches kept")
    prediction = page.get_by_role("region", name="Prediction")
    expect(prediction).to_contain_text("Thick bar: only the 22 that remain")
    slider = page.get_by_label("Patches kept", exact=True)
    slider.focus()
    slider.press("ArrowRight")
    expect(count).to_have_text("23 of 196 patches kept")
    expect(prediction).to_contain_text("Thick bar: only the 23 that remain")


@needs
def test_a_patch_is_kept_by_hand_and_travels_in_the_link(page: Page, app_url: str) -> None:
    opened(page, app_url, "hiprune")
    button = page.locator(".hs-cuts").get_by_role("button", name=re.compile("keep it|throw it away"))
    kept_before = button.text_content() == "throw it away"
    button.click()
    expect(page.locator(".hs-count", has_text="patches kept")).to_have_text(f"{64 if kept_before else 66} of 196 patches kept")
    expect(page.get_by_role("region", name="Prediction")).to_contain_text(f"only the {64 if kept_before else 66} that remain")
    expect(button).to_have_attribute("aria-pressed", "true")


@needs
def test_a_link_brings_the_budget_and_who_chooses(page: Page, app_url: str) -> None:
    link = permalink.encode(None, {}, {"layer": 3, "draw": "roles", "budget": 22, "chooser": "uniform grid"})
    opened(page, app_url, "hiprune", f"&s={link}")
    expect(page.locator(".hs-count", has_text="patches kept")).to_have_text("22 of 196 patches kept")
    expect(page.get_by_label("Chosen by")).to_have_value("even grid")
    expect(page.locator(".hs-legend")).to_contain_text("kept 22")
    page.get_by_label("Chosen by").select_option("HiPrune")
    expect(page.locator(".hs-legend")).to_contain_text("anchor 2")


@pytest.mark.parametrize("slug", SLUGS)
def test_every_linked_view_can_be_opened(page: Page, app_url: str, slug: str) -> None:
    opened(page, app_url, slug)
    tabs = page.get_by_role("tab")
    names = tabs.all_text_contents()
    assert len(names) >= 4
    for i in range(len(names)):
        tabs.nth(i).click()
        expect(tabs.nth(i)).to_have_attribute("aria-selected", "true")
        expect(page.get_by_text("cannot be drawn for this layer")).to_have_count(0)


@pytest.mark.parametrize("slug", SLUGS)
def test_it_opens_on_a_phone(new_page: Callable[..., Page], app_url: str, slug: str) -> None:
    page = opened(new_page(width=390, height=844, touch=True, dark=True), app_url, slug)
    expect(page.get_by_role("button", name="Picture and controls")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing reaches beyond the screen"
