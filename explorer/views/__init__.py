"""Structures → pictures: payloads for the canvas, coordinates, and vector figures to take home. Knows no model."""

from __future__ import annotations

from explorer.views import (
    abstract_graph,
    chunk_dependency,
    computation_graph,
    deep_nodes,
    disk,
    dual,
    exits,
    groups,
    hypergraph,
    patch_graph,
    tangent_field,
    text_points,
    tokens,
    weight_field,
    weight_path,
)
from explorer.views.view import Structures, View
from models.structures import Structure

VIEWS: tuple[View, ...] = (
    hypergraph.VIEW,
    patch_graph.VIEW,
    tokens.VIEW,
    exits.VIEW,
    disk.VIEW,
    disk.PLANE_VIEW,
    text_points.VIEW,
    tangent_field.VIEW,
    dual.VIEW,
    groups.VIEW,
    deep_nodes.VIEW,
    abstract_graph.VIEW,
    weight_field.VIEW,
    weight_path.VIEW,
    chunk_dependency.VIEW,
    computation_graph.VIEW,
)


def view_of(structures: Structures) -> tuple[View, Structure] | None:
    """The view of a layer and the structure that it shows: the first of VIEWS whose structure the layer holds."""
    for view in VIEWS:
        found = structures.get(view.role)
        if isinstance(found, view.structure):
            return view, found
    return None


__all__ = ["VIEWS", "View", "view_of"]
