"""The scripts and styles that draw in the browser, and the two Gradio components that carry them.

`Stage` shows a payload and asks questions; `Mailbox` brings the small answers back without touching the stage.
The same bundle makes a self-contained HTML page (`standalone`).
"""

from __future__ import annotations

import json
import secrets
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import gradio as gr

HERE = Path(__file__).parent


@cache
def script(wing: str | None = None) -> str:
    """The scripts in one closure that leaves the global `Hyperscope`: core first, mount last, the rest in any order.

    Args:
        wing: the slug of a wing. Files that begin with `// @wing SLUG` belong to one wing alone, and those of others are left out;
            None, or a wing that has no files of its own, joins all.
    """
    first, last = HERE / "core.js", HERE / "mount.js"
    parts = [path for folder in (HERE, HERE / "instruments", HERE / "panels") for path in sorted(folder.glob("*.js"))]
    files = [first, *(path for path in parts if path not in (first, last)), last]
    texts = [path.read_text(encoding="utf-8") for path in files]
    wanted = {None, wing} if wing in map(_wing_of, texts) and wing else {*map(_wing_of, texts)}
    return "(() => {\n" + "\n".join(text for text in texts if _wing_of(text) in wanted) + "\n})();"


def _wing_of(text: str) -> str | None:
    """The one wing that a script belongs to, if it does."""
    head = text.partition("\n")[0]
    return head.removeprefix("// @wing ").strip() if head.startswith("// @wing ") else None


@lru_cache(maxsize=1)
def style() -> str:
    """All styles of the canvas."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(HERE.glob("*.css")))


class Stage(gr.HTML):
    """The canvas. Its value is one payload string (`explorer.payload`); its events are the questions of the contract."""

    def __init__(self, value: str | None = None, **kwargs: Any) -> None:
        template = '<div class="hs-host" role="region" aria-label="Hyperscope"></div>'
        super().__init__(value=value, html_template=template, js_on_load=_CONNECT, apply_default_css=False, **kwargs)

    def get_block_name(self) -> str:
        return "html"

    def api_info(self) -> dict[str, Any]:
        return {"type": "string", "description": "a Hyperscope payload, version 1"}


class Mailbox(gr.HTML):
    """Carries one answer (a JSON string) to the stage of the page; draws nothing."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(value="", html_template="<span></span>", js_on_load=_DELIVER, visible="hidden", **kwargs)

    def get_block_name(self) -> str:
        return "html"


# The names of the events must stand quoted in the script, or Gradio does not let them through.
_CONNECT = """
const listeners = [];
const deliver = (event) => { for (const listener of listeners) listener(event.detail); };
window.addEventListener('hyperscope:answer', deliver);
const questions = ['run', 'cut', 'layout', 'attribution', 'bundle', 'experiment', 'ask'];
const others = { stream: 'live', stop: 'halt' }; // Gradio has a meaning of its own for the plain words
const sent = {};
window.addEventListener('hyperscope:lost', ({ detail: name }) => {
  const message = 'The server could not take this up: too many ask at once, or it is out of reach. Try again in a moment.';
  deliver({ detail: { kind: 'refusal', request: sent[name], of: name, message } });
});
const view = window.Hyperscope.mount(element.querySelector('.hs-host'), {
  live: true,
  ask: (name, data) => {
    if (!questions.includes(name) && !others[name]) return;
    sent[name] = data.request;
    trigger(others[name] || name, data);
  },
  lookup: (question) => server.look_up(question),
  onAnswer: (listener) => { listeners.push(listener); },
});
window.addEventListener('hyperscope:upload', () => view.uploading());
const show = () => { if (props.value) view.show(props.value); };
watch('value', show);
show();
const place = () => {
  const intake = document.getElementById('hs-intake');
  const slot = element.querySelector('[data-slot="intake"]');
  if (slot && intake && intake.parentElement !== slot) slot.append(intake);
  return Boolean(slot && intake);
};
new MutationObserver(place).observe(element, { childList: true, subtree: true });
const waiting = setInterval(() => { if (place()) clearInterval(waiting); }, 100);
"""

_DELIVER = """
watch('value', () => {
  if (props.value) window.dispatchEvent(new CustomEvent('hyperscope:answer', { detail: props.value }));
});
"""


UPLOADING = "(picture) => { if (picture) window.dispatchEvent(new CustomEvent('hyperscope:upload')); }"


def lost(name: str) -> str:
    """Script that tells the stage that a question failed before any code of ours could answer it."""
    return f"() => {{ window.dispatchEvent(new CustomEvent('hyperscope:lost', {{ detail: {json.dumps(name)} }})); }}"


def standalone(payload: str, title: str = "Hyperscope") -> str:
    """One HTML file that shows a payload without any server or network."""
    safe = payload.replace("<", "\\u003c")
    try:
        wing = json.loads(payload)["exhibit"]["wing"]["slug"]
    except (ValueError, TypeError, KeyError):  # the page says in words what is wrong with it
        wing = None
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_escape(title)}</title><style>body{{margin:0;padding:12px}}{style()}</style></head>
<body><div class="hs-host"></div><script type="application/json" id="payload">{safe}</script>
<script>{script(wing)}</script>
<script>
Hyperscope.mount(document.querySelector('.hs-host'), {{ live: false, ask() {{}}, lookup: () => null, onAnswer() {{}} }})
  .show(document.getElementById('payload').textContent);
</script></body></html>
"""


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def answer(kind: str, **fields: Any) -> str:
    """The text of one answer for the mailbox, never the same twice: Gradio hands on a value only when it is another one."""
    return json.dumps({"kind": kind, "id": secrets.token_hex(4), **fields}, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
