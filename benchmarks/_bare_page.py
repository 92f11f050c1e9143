"""A page of Gradio with nothing on it but one component that says how long its value is: what an update costs before we draw anything.

python -m benchmarks._bare_page PORT SLUG   (started by benchmarks.interaction)
"""

from __future__ import annotations

import itertools
import sys
from typing import Any

import gradio as gr

from explorer import service

_CONNECT = """
element.querySelector('button').addEventListener('click', () => trigger('run', {}));
const said = element.querySelector('p');
watch('value', () => {
  said.dataset.count = Number(said.dataset.count || 0) + 1;
  said.textContent = `${props.value.length} characters`;
});
"""


class Said(gr.HTML):
    """Receives a payload as the stage does, and only counts its characters."""

    def __init__(self, value: str | None = None, **kwargs: Any) -> None:
        super().__init__(value=value, html_template="<button>run</button><p></p>", js_on_load=_CONNECT, apply_default_css=False, **kwargs)

    def get_block_name(self) -> str:
        return "html"


def main(port: int, slug: str) -> None:
    text = service.trace(slug) or ""
    blanks = itertools.count(1)  # Gradio hands on a value only when it is another one
    with gr.Blocks(analytics_enabled=False) as demo:
        said = Said()
        said.run(lambda: text + " " * next(blanks), None, [said], show_progress="hidden", trigger_mode="multiple")
    demo.launch(server_name="127.0.0.1", server_port=port, ssr_mode=False, quiet=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
