"""A SoftHypergraph (and what travelled along it) → the canvas payload of one layer, the API's numbers, the card's marks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from explorer.views.arrays import pack, pack_scaled
from explorer.views.patch_graph import patch_colours
from explorer.views.space import principal_axes, projected
from explorer.views.view import Place, View
from models.structures import HypergraphMessages, SoftHypergraph, Structure
from models.structures.hypergraph import participation_of

MANY = 1 << 15  # numbers; a larger incidence matrix travels in 8 bits (nearest-neighbour hyperedges: one per patch)
SAME = 1e-6  # a participation is told by its logits, up to rounding
DEEPEST = 4.0  # |log₂| beyond which maps of single heads are cut off
CARD_COLOURS = ("#ffb000", "#56b4e9")


def layer_payload(structures: Mapping[str, Structure], shown: np.ndarray, picture: int = 0) -> dict[str, Any]:
    """The part of a layer's payload that its hypergraph decides.

    Args:
        structures: "hypergraph": SoftHypergraph and, if known, "messages": HypergraphMessages.
        shown: the picture, uint8 [S, S, 3].
    """
    found = structures["hypergraph"]
    assert isinstance(found, SoftHypergraph)
    messages = structures.get("messages")
    maps = {}
    if isinstance(messages, HypergraphMessages):
        maps["message_size"] = pack(_array(messages.update[picture, found.special :].norm(dim=1)), "f32")
    return {
        "grid": list(found.grid),
        "colour": pack(patch_colours(shown, found.grid), "u8"),
        "maps": maps,
        "hypergraph": hypergraph_payload(found, picture),
    }


def hypergraph_payload(found: SoftHypergraph, picture: int = 0) -> dict[str, Any]:
    """All that the browser needs to draw the hyperedges, and to change temperature, hardness, choice and context by itself.

    The participation itself travels where logits and hardness do not tell it. `drift` is ⟨Q, ΔP⟩ divided by the temperature: what
    the logits gain per unit of the offset, so that the part of the picture in the prototypes can be scaled. `own` are the settings
    of this hypergraph, on the scales of the sliders that change them.
    """
    logits, settings = found.logits, found.rule.settings
    fixed = settings.get("fixed")
    hard = _hardness(found, picture)
    drift = None
    if logits is not None and found.queries is not None and found.offset is not None:
        drift = found.queries[picture] @ found.offset[picture].T / found.temperature
    return {
        "rule": {"name": found.rule.name, **settings},
        "normalise": found.normalise,
        "special": found.special,
        "temperature": found.temperature,
        "heads": found.heads if found.queries is not None else 1,
        "hyperedges": found.hyperedges,
        "logits": None if logits is None else pack_scaled(_array(logits[picture])),
        "drift": None if drift is None else pack_scaled(_array(drift)),
        "participation": _incidence(found.participation[picture]) if hard is None else None,
        "selected": pack(_array(found.active()[picture]), "u8"),
        "present": None if found.present is None else pack(_array(found.present[picture]), "u8"),
        "scores": None if found.scores is None else pack(_array(found.scores[picture]), "f32"),
        "fixed": fixed,
        "own": {
            "temperature": _doublings(found),
            "hard": hard or 0.0,
            "context": _context(found, picture),
            "k": settings.get("k") if found.scores is not None else None,
        },
        "space": space(found, picture),
    }


def space(found: SoftHypergraph, picture: int = 0) -> dict[str, Any] | None:
    """Patches and prototypes in the plane: principal components fitted on queries and prototypes together.

    None where hyperedges were not made by comparing queries with prototypes.
    """
    if found.queries is None or found.prototypes is None:
        return None
    queries, prototypes = _array(found.queries[picture, found.special :]), _array(found.prototypes[picture])
    mean, axes, explained = principal_axes(np.concatenate([queries, prototypes]))
    still = None if found.static is None else projected(_array(found.static), mean, axes)
    return {
        "tokens": pack(projected(queries, mean, axes), "f32"),
        "prototypes": pack(projected(prototypes, mean, axes), "f32"),
        "static": None if still is None else pack(still, "f32"),
        "explained": explained.tolist(),
    }


def head_maps(found: SoftHypergraph, picture: int = 0) -> dict[str, Any] | None:
    """log₂(N·w) of the maps that each head alone would have drawn, cut off at ±4, q8 [heads, H·W, M]; None without heads.

    w: columns of the head's participation over the patches, scaled to sum 1.
    """
    if found.queries is None or found.prototypes is None or found.heads < 2:
        return None
    degree = _array(found.per_head()[picture, :, found.special :])
    weights = degree / np.maximum(degree.sum(1, keepdims=True), 1e-30)
    lift = np.log2(np.maximum(weights * degree.shape[1], 2.0**-DEEPEST))
    return pack_scaled(np.minimum(lift, DEEPEST), bits=8)


def _hardness(found: SoftHypergraph, picture: int) -> float | None:
    """How hard the participation is (0 = the softmax of the logits, 1 = one hyperedge per vertex); None where the logits do not tell."""
    if found.logits is None or found.normalise == "none":
        return None
    one = slice(picture, picture + 1)
    selected = None if found.selected is None else found.selected[one]
    present = None if found.present is None else found.present[one]
    seen, soft = found.participation[one], participation_of(found.logits[one], found.normalise, selected, present)
    way = replace(found, participation=soft).hardened(1.0).participation - soft
    amount = float(((seen - soft) * way).sum() / way.square().sum().clamp_min(1e-30))
    amount = round(min(max(amount, 0.0), 1.0), 4)
    return amount if float((soft + amount * way - seen).abs().max()) <= SAME else None


def _doublings(found: SoftHypergraph) -> float:
    """log₂ of the temperature in units of √(heads · D), what queries and prototypes are compared at; 0 where nothing was compared."""
    if found.queries is None:
        return 0.0
    return round(math.log2(found.temperature / math.sqrt(found.heads * found.queries.shape[2])), 6)


def _context(found: SoftHypergraph, picture: int) -> float:
    """t of P = P₀ + t · ΔP: how much of the picture the prototypes hold; 1 where that is not known."""
    if found.prototypes is None or found.static is None or found.offset is None:
        return 1.0
    offset = found.offset[picture].double()
    moved = found.prototypes[picture].double() - found.static.detach().double()
    length = float(offset.square().sum())
    return round(float((moved * offset).sum()) / length, 4) if length > 0 else 1.0


def _incidence(participation: Tensor) -> dict[str, Any]:
    return pack_scaled(_array(participation), bits=16 if participation.numel() <= MANY else 8)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()


def mass_cells(weights: np.ndarray, share: float = 0.5) -> np.ndarray:
    """The fewest patches, strongest first, that hold at least `share` of one hyperedge's weights [N]: their numbers."""
    order = np.argsort(-weights, kind="stable")
    before = np.cumsum(weights[order]) - weights[order]
    return order[(before < share - 1e-9) & (weights[order] > 0)]


def _numbers(found: SoftHypergraph) -> dict[str, Any]:
    return {
        "grid": found.grid,
        "rule": {"name": found.rule.name, **found.rule.settings},
        "normalise": found.normalise,
        "hyperedges": found.hyperedges,
        "special": found.special,
        "selected": found.active()[0].nonzero().flatten().tolist(),
        "load": found.load()[0].tolist(),
        "effective_number": float(found.effective_number()[0]),
        "participation": [[float(f"{value:.4g}") for value in row] for row in found.participation[0].tolist()],
    }


def _marks(found: SoftHypergraph, look: Mapping[str, Any], colour: str, place: Place) -> str:
    """The cells that hold half of the two hyperedges in `look.edges`, else of the two most loaded; opaque where they weigh most."""
    asked = [m for m in look.get("edges", []) if 0 <= m < found.hyperedges] or found.load()[0].argsort(descending=True).tolist()
    x0, y0 = place(0, found.grid)
    x1, y1 = place(found.grid[0] * found.grid[1] - 1, found.grid)
    width = (x1 - x0) / max(found.grid[1] - 1, 1)
    height = (y1 - y0) / max(found.grid[0] - 1, 1)
    weights = _array(found.weights()[0])
    drawn = []
    for m, fill in zip(asked[:2], dict.fromkeys((colour, *CARD_COLOURS[::-1])), strict=False):
        most = weights[:, m].max(initial=0)
        for patch in mass_cells(weights[:, m]).tolist():
            x, y = place(patch, found.grid)
            strength = 0.25 + 0.6 * weights[patch, m] / most
            cell = f'x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height:.1f}"'
            drawn.append(f'<rect {cell} fill="{fill}" opacity="{strength:.2f}"/>')
    return "".join(drawn)


VIEW = View(
    structure=SoftHypergraph,
    role="hypergraph",
    kind="hypergraph",
    payload=lambda structures, shown: layer_payload(structures, shown),
    numbers=_numbers,
    marks=_marks,
    amount=lambda found: (int(found.active()[0].sum()), "hyperedges"),
)
