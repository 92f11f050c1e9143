"""Every screen: the gallery and its search, phones, dark and light, reduced motion, keys alone, no jumping layout."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.exhibit_page import EXHIBITS, WING, ExhibitPage

# Texts of the page whose contrast with what lies behind them is too low (WCAG 2.2, 1.4.3), as "ratio text".
_FAINT = """
(selector) => {
  const parse = (text) => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 1, height: 1 });
    const ctx = canvas.getContext('2d', { willReadFrequently: true });
    ctx.fillStyle = text;
    ctx.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = ctx.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const light = ([r, g, b]) => {
    const line = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * line(r) + 0.7152 * line(g) + 0.0722 * line(b);
  };
  const behind = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const style = getComputedStyle(e);
      if (style.backgroundImage !== 'none') return null;
      layers.push(parse(style.backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    return layers.reverse().reduce((below, colour) => over(colour, below), [255, 255, 255, 1]);
  };
  const faint = [];
  let texts = 0;
  const walker = document.createTreeWalker(document.querySelector(selector), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const words = walker.currentNode.textContent.trim();
    if (!words || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    if (element.closest(':disabled, [inert], svg, script, style, footer, .hs-hidden')) continue; // the footer is Gradio's
    if (element.getBoundingClientRect().width < 3) continue;
    const background = behind(element);
    if (!background) continue;
    texts++;
    const style = getComputedStyle(element);
    const [a, b] = [light(over(parse(style.color), background)), light(background)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) faint.push(`${ratio.toFixed(2)} ${words.slice(0, 40)}`);
  }
  return [texts, faint];
}
"""

# Every control that should be reached by Tab: one of a group of radio buttons, the chosen one of a list of tabs.
_CONTROLS = """
() => {
  const usable = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.disabled && !e.closest('[inert]') && e.tabIndex >= 0;
  const all = [...document.querySelectorAll('.hs button, .hs input, .hs select, .hs summary, .hs a[href], .hs [tabindex], .hs-top a, .hs-top button')];
  const wanted = all.filter(usable).filter((e) => e.type !== 'radio' || e.checked).filter((e) => e.type !== 'file');
  wanted.forEach((e, i) => (e.dataset.stop = i));
  const name = (e) => `${e.tagName.toLowerCase()} ${e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.title || e.textContent}`.slice(0, 60);
  return wanted.map(name);
}
"""

# Shifts of what the page shows. Gradio's own loading screen, which moves before anything of ours is there, is left out
# here; `python -m benchmarks.interaction` counts it too.
_LAYOUT_SHIFT = """
window.shifted = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    const names = (entry.sources || []).map((s) => String((s.node && (s.node.className || s.node.nodeName)) || 'gone'));
    const ours = names.filter((name) => !/translucent|eta-bar/.test(name));
    if (!entry.hadRecentInput && ours.length) window.shifted.push([entry.value, ours.join(', ')]);
  }
}).observe({ type: 'layout-shift', buffered: true });
"""


def wide(page: Page) -> int:
    """How far the page reaches to the right; more than the window means that it scrolls sideways."""
    return page.evaluate("() => Math.max(document.documentElement.scrollWidth, document.body.scrollWidth, window.innerWidth)")


def corners(part: Locator) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a part of the page in the window."""
    box = part.bounding_box()
    assert box, f"{part} is not visible"
    return box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]


# ------------------------------------------------------------------------------------------------------------ the gallery


def test_gallery_lists_finds_and_opens(page: Page, app_url: str) -> None:
    page.goto(app_url)
    cards = page.locator("#hs-gallery a[href*='exhibit=']")
    expect(cards.first).to_be_visible()
    assert {card.get_attribute("href") for card in cards.all()} >= {f"/{WING}?exhibit={slug}" for slug in EXHIBITS}
    search = page.get_by_role("searchbox", name="Find an exhibit")
    nothing = page.get_by_text("Nothing here has these words")
    visible = cards.and_(page.locator(":visible"))
    search.fill("greedyvig")
    assert 1 <= visible.count() < cards.count()
    assert any("exhibit=greedyvig" in (card.get_attribute("href") or "") for card in visible.all())
    suggested = [words.strip(" …") for words in (search.get_attribute("placeholder") or "").split(",")]
    for words in ("", *suggested):
        search.fill(words)
        assert visible.count() >= 1, f"the field suggests {words!r}, which finds nothing"
        expect(nothing).to_be_hidden()
    search.fill("zzz ${1}")
    expect(visible).to_have_count(0)
    expect(nothing).to_be_visible()
    search.fill("mobilevig")
    visible.first.click()
    ExhibitPage(page, "mobilevig").ready()
    assert page.get_by_role("heading", level=2).first.text_content() == "MobileViG"


# ------------------------------------------------------------------------------------------------------------ small screens


def test_phones_do_not_scroll_sideways(new_page: Callable[..., Page], app_url: str) -> None:
    page = new_page(width=390, height=844, touch=True)
    page.goto(app_url)
    expect(page.get_by_role("searchbox")).to_be_visible()
    for width in (390, 360):
        page.set_viewport_size({"width": width, "height": 800})
        ExhibitPage(page, "").drawn()
        assert wide(page) <= width, "the gallery scrolls sideways"
    for slug in EXHIBITS:
        exhibit = ExhibitPage(page, slug).open(app_url)
        for width in (360, 390):
            page.set_viewport_size({"width": width, "height": 800})
            exhibit.drawn()
            assert wide(page) <= width, f"{slug} scrolls sideways at {width}"
        left, top, right, _ = corners(exhibit.picture)
        assert top < 500, "the picture comes first on a phone"
        assert right - left > 300


def test_on_a_phone_a_tap_hovers_and_a_second_tap_pins(new_page: Callable[..., Page], app_url: str) -> None:
    page = new_page(width=390, height=844, touch=True)
    exhibit = ExhibitPage(page, "mobilevig").open(app_url)
    exhibit.tidy()
    exhibit.picture.scroll_into_view_if_needed()
    frame, pins = exhibit.frame(), exhibit.pins()
    target = frame.patch(4, 5)
    page.touchscreen.tap(*target)
    exhibit.drawn()
    assert exhibit.place() == (4, 5)
    assert exhibit.pins() == pins, "the first tap only shows"
    page.touchscreen.tap(*target)
    exhibit.drawn()
    assert exhibit.pins() == pins + 1, "the second tap keeps"
    page.touchscreen.tap(*frame.patch(6, 7))
    assert exhibit.place() == (6, 7)
    assert exhibit.pins() == pins + 1

    # The controls wait in a sheet.
    sheet = page.get_by_role("button", name="Picture and controls")
    expect(sheet).to_have_attribute("aria-expanded", "false")
    sheet.tap()
    expect(exhibit.examples.first).to_be_in_viewport()
    assert wide(page) <= 390
    page.get_by_role("button", name="Close", exact=True).tap()
    expect(exhibit.examples.first).not_to_be_in_viewport()


# ------------------------------------------------------------------------------------------------------ light, dark, motion


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_stand_out(new_page: Callable[..., Page], app_url: str, theme: str) -> None:
    page = new_page(dark=theme == "dark")
    page.goto(f"{app_url}/?__theme={theme}")
    expect(page.get_by_role("searchbox")).to_be_visible()
    texts, faint = page.evaluate(_FAINT, "body")
    assert texts > 10
    assert not faint, f"the gallery in {theme}"
    exhibit = ExhibitPage(page, "vig").open(app_url, f"&__theme={theme}")
    assert exhibit.root.get_attribute("data-theme") == theme
    for tab in range(exhibit.tabs.count()):
        exhibit.tabs.nth(tab).click()
        exhibit.drawn()
        texts, faint = page.evaluate(_FAINT, "body")
        assert texts > 60
        assert not faint, f"{exhibit.tabs.nth(tab).text_content()} in {theme}"
    page.get_by_role("button", name="Dark theme").click()
    exhibit.drawn()
    assert exhibit.root.get_attribute("data-theme") != theme
    assert not page.evaluate(_FAINT, "body")[1], "after switching"


def test_reduced_motion_gets_stills(new_page: Callable[..., Page], app_url: str) -> None:
    page = new_page(still=True)
    exhibit = ExhibitPage(page, "mobilevig").open(app_url)
    moving = "() => document.getAnimations().filter((a) => a.playState === 'running' && a.effect.target?.closest('.hs')).length"
    for act in (exhibit.next.click, exhibit.layers.last.click, exhibit.tabs.last.click, lambda: exhibit.point(2, 2)):
        act()
        exhibit.settle()
        assert page.evaluate(moving) == 0
    layout = exhibit.tabs.filter(has_text="Graph layout")
    layout.click()
    panel = exhibit.region("panels").get_by_role("tabpanel")
    expect(panel).to_contain_text("axes have no unit")
    exhibit.drawn()
    stills = [panel.locator("canvas").first.evaluate("(c) => c.toDataURL()")]
    for _ in range(5):
        exhibit.drawn()
    stills.append(panel.locator("canvas").first.evaluate("(c) => c.toDataURL()"))
    assert stills[0] == stills[1], "the patches fly although the visitor wants no motion"


# ------------------------------------------------------------------------------------------------------ keys, steadiness, room


def test_every_control_is_reached_by_tab(page: Page, app_url: str) -> None:
    exhibit = ExhibitPage(page, "greedyvig").open(app_url)
    for more in exhibit.region("controls").locator("summary").all():
        more.click()
    exhibit.drawn()
    names = page.evaluate(_CONTROLS)
    assert len(names) > 40
    page.evaluate("() => { document.activeElement.blur(); window.getSelection().removeAllRanges(); window.scrollTo(0, 0); }")
    page.locator("body").focus()
    reached: set[int] = set()
    unseen: set[str] = set()
    for _ in range(3 * len(names)):
        page.keyboard.press("Tab")
        stop, ring = page.evaluate(
            """() => {
              const e = document.activeElement;
              const style = getComputedStyle(e);
              const around = [e, e.parentElement, e.nextElementSibling].filter(Boolean).map((x) => getComputedStyle(x));
              const ring = around.some((s) => (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0) || s.boxShadow !== 'none');
              return [e.dataset.stop ?? null, ring];
            }"""
        )
        if stop is None:
            continue
        if int(stop) in reached and len(reached) == len(names):
            break
        reached.add(int(stop))
        if not ring:
            unseen.add(names[int(stop)])
    assert not [name for i, name in enumerate(names) if i not in reached], "not reached by Tab"
    assert not unseen, "no ring shows where the focus is"


@pytest.mark.parametrize("slug", ["vig", "constructors"])
def test_nothing_jumps_and_the_main_act_fits_the_window(page: Page, app_url: str, slug: str) -> None:
    page.add_init_script(_LAYOUT_SHIFT)
    exhibit = ExhibitPage(page, slug).open(app_url)
    expect(exhibit.region("controls").locator("#hs-intake")).to_be_visible()  # the last part to find its place
    exhibit.drawn()
    shifts = page.evaluate("() => window.shifted")
    assert sum(value for value, _ in shifts) <= 0.1, shifts
    for name in ("canvas", "film-bar", "story", "prediction", "controls"):
        left, top, right, bottom = corners(exhibit.region(name))
        assert min(left, top) >= 0, name
        assert right <= 1400, name
        assert bottom <= 900, f"{name} ends at {bottom:.0f}"
    left, top, right, bottom = corners(exhibit.picture)
    assert min(right - left, bottom - top) > 380, "the picture is the hero"
    assert wide(page) <= 1400
