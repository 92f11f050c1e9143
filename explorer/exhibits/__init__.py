"""The catalogue: every exhibit that can be shown, and why one cannot."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from functools import lru_cache

from explorer.exhibit import Exhibit, Wing

MODULES = (
    "image_graphs.vig",
    "image_graphs.mobilevig",
    "image_graphs.greedyvig",
    "image_graphs.constructors",
    "hypergraphs.softhgnn",
    "hypergraphs.forms",
    "hypergraphs.yolov13",
    "tokens.hiprune",
    "tokens.dtop",
    "hyperbolic.embeddings",
    "hyperbolic.h4g",
    "hypernetworks.mip",
    "hypernetworks.continual",
    "graph_structure.graphabstract",
    "graph_structure.dht",
    "graph_structure.projection",
    "graph_structure.oversmoothing",
)


OPTIONAL = {  # environment variable → what it brings on show
    "HYPERSCOPE_BACKBONE": ("image_graphs.backbone", "tokens.encoder"),
    "HYPERSCOPE_VLM": ("tokens.dialogue",),
}


@dataclass(frozen=True)
class Unavailable:
    """An exhibit whose module does not import; its card says so instead of taking the site down."""

    slug: str
    reason: str


@lru_cache(maxsize=1)
def catalogue() -> tuple[dict[str, Exhibit], list[Unavailable]]:
    """All exhibits by slug, in display order, and those that cannot be shown."""
    found: dict[str, Exhibit] = {}
    missing: list[Unavailable] = []
    for module in (*MODULES, *(module for variable, modules in OPTIONAL.items() if os.environ.get(variable) for module in modules)):
        try:
            exhibit: Exhibit = importlib.import_module(f"explorer.exhibits.{module}").EXHIBIT
            found[exhibit.slug] = exhibit
        except Exception as error:  # one broken exhibit must not close the house
            missing.append(Unavailable(module.split(".")[-1], _as_text(f"{type(error).__name__}: {error}")))
    return found, missing


def _as_text(message: str) -> str:
    """A message that may stand in a template: what Gradio would evaluate is taken apart."""
    return message.replace("${", "$ {").replace("{{", "{ {")[:300]


def of_wing(wing: Wing) -> list[Exhibit]:
    """The exhibits of one wing, in display order."""
    return [exhibit for exhibit in catalogue()[0].values() if exhibit.wing is wing]
