"""A SoftHypergraph (and what travelled along it) → the canvas payload of one layer, the API's numbers, the card's marks."""

from __future__ import annotations

import json
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
FINE = 6000  # numbers; more logits than this travel in 8 bits (1600 cells of a detector): a colour is at most one step off
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
        "logits": None if logits is None else pack_scaled(_array(logits[picture]), bits=16 if logits[picture].numel() <= FINE else 8),
        "drift": None if drift is None else pack_scaled(_array(drift), bits=12 if drift.numel() <= FINE else 8),
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
        "tokens": pack_scaled(projected(queries, mean, axes), bits=12),
        "prototypes": pack(projected(prototypes, mean, axes), "f32"),
        "static": None if still is None else pack(still, "f32"),
        "explained": explained.tolist(),
    }


def compared(found: SoftHypergraph, picture: int = 0) -> np.ndarray | None:
    """Queries of the patches, prototypes, and (where known) their learned part, [H·W + M (+ M), D]; None where nothing was compared."""
    if found.queries is None or found.prototypes is None:
        return None
    parts = [found.queries[picture, found.special :], found.prototypes[picture], *([] if found.static is None else [found.static])]
    return np.concatenate([_array(part) for part in parts])


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


# ------------------------------------------------------------------------------------------------------------ take home

REACH = 3.0  # |log₂| at the ends of the colours, as on the page
MOST_MAPS, ACROSS = 24, 4


def figure(structures: Mapping[str, Structure], shown: np.ndarray, title: str) -> Any:
    """Every hyperedge that is on (the 24 most loaded) as a map of log₂(N·w) beside the picture, on one scale around the even share."""
    from matplotlib.figure import Figure

    found = structures["hypergraph"]
    assert isinstance(found, SoftHypergraph)
    load, weights = found.load()[0], _array(found.weights()[0])
    listed = [m for m in load.argsort(descending=True).tolist() if found.active()[0][m]][:MOST_MAPS]
    rows = -(-(len(listed) + 1) // ACROSS)
    made = Figure(figsize=(1.9 * ACROSS + 1.2, 2.15 * rows + 0.5), layout="constrained")
    axes = made.subplots(rows, ACROSS, squeeze=False).ravel()
    for ax in axes:
        ax.set_axis_off()
    axes[0].imshow(shown)
    axes[0].set_title("picture", fontsize=9)
    even = max(float(load[listed].mean()), 1e-12) if listed else 1.0
    picture = None
    for ax, m in zip(axes[1:], listed, strict=False):
        lift = np.log2(np.maximum(weights[:, m] * len(weights), 2.0**-30)).reshape(found.grid)
        picture = ax.imshow(lift, cmap="PuOr_r", vmin=-REACH, vmax=REACH, interpolation="nearest")
        ax.set_title(f"hyperedge {m + 1}: load {float(load[m]) / even:.2g} ×", fontsize=9)
    if picture is not None:
        bar = made.colorbar(picture, ax=axes.tolist(), shrink=0.8, ticks=[-REACH, 0, REACH])
        bar.ax.set_yticklabels(["≤ ⅛ ×", "1 × (even share)", "≥ 8 ×"], fontsize=8)
    rest = f"; the {len(listed)} most loaded of {found.hyperedges}" if len(listed) < found.hyperedges else ""
    made.suptitle(f"{title}: share of each patch in units of the even share 1/N{rest}", fontsize=10, x=0.01, ha="left")
    return made


def files(found: SoftHypergraph) -> dict[str, bytes]:
    """The incidence in the Hypergraph Interchange Format (HIF, JSON): nodes are patches, edges hyperedges, weights the participation."""
    degree, (height, width) = found.patches()[0].cpu(), found.grid
    inside = degree.nonzero().tolist()
    content = {
        "network-type": "undirected",
        "metadata": {"rule": found.rule.name, "normalise": found.normalise, "grid": [height, width], "special": found.special},
        "nodes": [{"node": n, "attrs": {"row": n // width, "column": n % width}} for n in range(height * width)],
        "edges": [{"edge": m, "attrs": {"on": bool(found.active()[0][m])}} for m in range(found.hyperedges)],
        "incidences": [{"node": n, "edge": m, "weight": float(f"{degree[n, m]:.6g}")} for n, m in inside],
    }
    return {"hypergraph.hif.json": json.dumps(content).encode()}


VIEW = View(
    structure=SoftHypergraph,
    role="hypergraph",
    kind="hypergraph",
    payload=lambda structures, shown: layer_payload(structures, shown),
    numbers=_numbers,
    marks=_marks,
    amount=lambda found: (int(found.active()[0].sum()), "hyperedges"),
    figure=figure,
    files=files,
)
