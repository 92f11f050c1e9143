"""The first page: every exhibit as a card, by wing, with search; and the header of every page."""

from __future__ import annotations

import html

import gradio as gr

from explorer.exhibit import Exhibit, Wing
from explorer.exhibits import catalogue, of_wing
from explorer.service import TRACES

_SEARCH = """
const field = element.querySelector('.hs-search input');
const cards = [...element.querySelectorAll('[data-words]')];
const empty = element.querySelector('.hs-none');
const filter = () => {
  const words = field.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let shown = 0;
  for (const card of cards) {
    const hit = words.every((word) => card.dataset.words.includes(word));
    card.hidden = !hit;
    shown += hit;
  }
  for (const wing of element.querySelectorAll('.hs-wing')) wing.hidden = ![...wing.querySelectorAll('[data-words]')].some((c) => !c.hidden);
  empty.hidden = shown > 0;
};
field.addEventListener('input', filter);
"""

# Gradio renders templates as template literals; our texts carry neither ${ nor {{, and a test holds that.
_THEME = """
const root = document.documentElement, body = document.body;
const button = element.querySelector('.hs-theme');
const paint = () => { const dark = body.classList.contains('dark'); button.setAttribute('aria-pressed', dark); };
let kept = null;
try { kept = localStorage.getItem('hyperscope-theme'); } catch { kept = null; }
if (kept) body.classList.toggle('dark', kept === 'dark');
button.addEventListener('click', () => {
  const dark = !body.classList.contains('dark');
  body.classList.toggle('dark', dark);
  try { localStorage.setItem('hyperscope-theme', dark ? 'dark' : 'light'); } catch { /* private windows keep nothing */ }
  window.dispatchEvent(new Event('hyperscope:theme'));
  paint();
});
paint();
"""


def header(current: Wing | None) -> gr.HTML:
    """The bar on top of every page: name, wings, light or dark."""
    links = "".join(
        f'<a href="/{wing.slug}"{" aria-current=page" if wing is current else ""}>{html.escape(wing.title)}</a>'
        for wing in Wing
        if of_wing(wing)
    )
    exhibits = ""
    if current is not None:
        exhibits = "".join(
            f'<a href="/{current.slug}?exhibit={e.slug}" data-slug="{e.slug}">{html.escape(e.title)}</a>' for e in of_wing(current)
        )
        exhibits = f'<nav class="hs-exhibits" aria-label="Exhibits">{exhibits}</nav>'
    body = (
        '<header class="hs-top"><a class="hs-name" href="/">Hyperscope</a>'
        f'<nav class="hs-wings" aria-label="Wings">{links}</nav>{exhibits}'
        '<button class="hs-theme" type="button" title="Light or dark" aria-label="Dark theme">◐</button></header>'
    )
    mark = (
        "const here = new URLSearchParams(location.search).get('exhibit');"
        "const tabs = [...element.querySelectorAll('.hs-exhibits a')];"
        "const now = tabs.find((a) => a.dataset.slug === here) || tabs[0];"
        "if (now) now.setAttribute('aria-current', 'page');"
        "const shown = now || element.querySelector('.hs-wings [aria-current]');"
        "if (shown) shown.scrollIntoView({ block: 'nearest', inline: 'nearest' });"
    )
    return gr.HTML(html_template=body, js_on_load=_THEME + mark, apply_default_css=False, elem_classes=["hs-header"])


class Gallery(gr.HTML):
    """Cards of all exhibits. Every text on it is ours."""

    def __init__(self) -> None:
        super().__init__(html_template=_page(), js_on_load=_SEARCH, apply_default_css=False, elem_id="hs-gallery")

    def get_block_name(self) -> str:
        return "html"


def _page() -> str:
    wings = "".join(_wing(wing) for wing in Wing if of_wing(wing))
    absent = "".join(f"<li><b>{html.escape(m.slug)}</b> is unavailable, because {html.escape(m.reason)}</li>" for m in catalogue()[1])
    return (
        '<main class="hs-gallery"><div class="hs-hero"><h1>See what a vision model sees</h1>'
        "<p>Hyperscope runs real models on your picture and draws their insides: which patch listens to which, and what happens when you cut the line.</p>"
        '<label class="hs-search"><span>Find an exhibit</span><input type="search" placeholder="nearest neighbours, CVPR 2024, over-smoothing …"></label></div>'
        f'{wings}<p class="hs-none" hidden>Nothing here has these words. Try fewer.</p>'
        + (f'<ul class="hs-absent">{absent}</ul>' if absent else "")
        + "</main>"
    )


def _wing(wing: Wing) -> str:
    cards = "".join(_card(exhibit) for exhibit in of_wing(wing))
    return f'<section class="hs-wing"><h2>{html.escape(wing.title)}</h2><p>{html.escape(wing.subtitle)}</p><div class="hs-cards">{cards}</div></section>'


def _card(exhibit: Exhibit) -> str:
    paper = exhibit.paper
    told = [words for step in exhibit.story() for words in (step["title"], step["text"])]
    about = [exhibit.title, exhibit.idea, paper.title, paper.authors, paper.venue, paper.theirs, exhibit.slug, *exhibit.views]
    words = " ".join([*about, *told]).lower()
    drawing = TRACES / f"{exhibit.slug}.svg"
    picture = drawing.read_text(encoding="utf-8") if drawing.exists() else ""
    return (
        f'<a class="hs-card" href="/{exhibit.wing.slug}?exhibit={exhibit.slug}" data-words="{html.escape(words, quote=True)}">'
        f'<span class="hs-thumb" aria-hidden="true">{picture}</span><h3>{html.escape(exhibit.title)}</h3>'
        f"<p>{html.escape(exhibit.idea)}</p><small>{html.escape(paper.authors)} · {html.escape(paper.venue)}</small></a>"
    )
