"""Structures → pictures: payloads for the canvas, coordinates, and vector figures to take home. Knows no model."""

from __future__ import annotations

from explorer.views import hypergraph, patch_graph
from explorer.views.view import Structures, View
from models.structures import Structure

VIEWS: tuple[View, ...] = (hypergraph.VIEW, patch_graph.VIEW)


def view_of(structures: Structures) -> tuple[View, Structure] | None:
    """The view of a layer and the structure that it shows: the first of VIEWS whose structure the layer holds."""
    for view in VIEWS:
        found = structures.get(view.role)
        if isinstance(found, view.structure):
            return view, found
    return None


__all__ = ["VIEWS", "View", "view_of"]
