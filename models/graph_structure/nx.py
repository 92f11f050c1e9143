"""NetworkX, imported when its first name is asked for: a list of the exhibits need not wait for it (`from models.graph_structure import nx`)."""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    """A name of NetworkX. Raises AttributeError where NetworkX has none of that name."""
    return getattr(importlib.import_module("networkx"), name)
