"""A TokenSelection (and the attention of one layer that it was made from) → the canvas payload of a layer, the API's numbers, the card's marks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from explorer.views.arrays import pack
from explorer.views.patch_graph import patch_colours
from explorer.views.view import Place, Structures, View
from models.structures import LayerAttention, Structure, TokenSelection
from models.structures.tokens import ANCHOR, BUFFER, OTHER, PROMPT, PRUNED, REGISTER, ROLES

MANY = 1 << 12  # numbers: the heads of a layer travel with it up to so many, else when somebody asks
COLOURS = {ANCHOR: "#F0E442", BUFFER: "#E69F00", REGISTER: "#2BC79A", PROMPT: "#CC79A7", OTHER: "#56B4E9"}


def layer_payload(structures: Mapping[str, Structure], shown: np.ndarray, picture: int = 0) -> dict[str, Any]:
    """The part of a layer's payload that its attention and the selection decide.

    The scores travel exactly (float32), so that the browser chooses the very patches that Python chooses.

    Args:
        structures: "selection": TokenSelection, "attention": LayerAttention.
        shown: the picture, uint8 [S, S, 3].
    """
    selection, attention = structures["selection"], structures["attention"]
    assert isinstance(selection, TokenSelection)
    assert isinstance(attention, LayerAttention)
    heads = attention.heads[picture].float().cpu().numpy()
    needed = heads.size <= MANY or (selection.layers or (0,))[0] == attention.layer
    return {
        "grid": list(attention.grid),
        "colour": pack(patch_colours(shown, attention.grid), "u8"),
        "maps": {},
        "tokens": {
            "layer": attention.layer,
            "prefix": attention.prefix,
            "uniform": attention.uniform,
            "windowed": attention.windowed,
            "score": pack(attention.score[picture].float().cpu().numpy(), "f32"),
            "heads": pack(heads, "f32") if needed else None,
            "headCount": heads.shape[0],
            "own": own_settings(selection),
        },
    }


def own_settings(selection: TokenSelection) -> dict[str, Any]:
    """How the selection was made, on the scales of the page's sliders."""
    first, second = selection.layers or (1, 1)
    told = selection.settings
    return {
        "budget": int(told.get("asked", selection.budget)),
        "alpha": told.get("alpha", 0.1),
        "edge": told.get("edge", "clamp"),
        "object_layer": first,
        "deep_layer": second,
        "head": told.get("head", 0),
        "release": told.get("release", "paper"),
    }


def _numbers(selection: TokenSelection) -> dict[str, Any]:
    return {
        "grid": selection.grid,
        "layers": selection.layers,
        "settings": dict(selection.settings),
        "counts": selection.counts(),
        "kept": selection.kept().tolist(),
        "order": [patch for patch in selection.order[0].tolist() if patch >= 0],
        "roles": [ROLES[role] for role in selection.role[0].tolist()],
    }


def _marks(selection: TokenSelection, look: Mapping[str, Any], colour: str, place: Place) -> str:
    """The kept patches in the colours of their roles."""
    (x0, y0), (x1, y1) = place(0, selection.grid), place(selection.role.shape[1] - 1, selection.grid)
    width, height = (x1 - x0) / max(selection.grid[1] - 1, 1), (y1 - y0) / max(selection.grid[0] - 1, 1)
    drawn = []
    for patch in selection.kept().tolist():
        x, y = place(patch, selection.grid)
        fill = COLOURS[int(selection.role[0, patch])]
        cell = f'x="{x - width / 2 + 1:.1f}" y="{y - height / 2 + 1:.1f}" width="{width - 2:.1f}" height="{height - 2:.1f}"'
        drawn.append(f'<rect {cell} fill="{fill}" fill-opacity="0.45" stroke="{fill}" stroke-width="1.5"/>')
    return "".join(drawn)


def figure(structures: Structures, shown: np.ndarray, title: str) -> Any:
    """Attention of the layer beside the kept patches, as a matplotlib figure."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    selection, attention = structures["selection"], structures["attention"]
    assert isinstance(selection, TokenSelection)
    assert isinstance(attention, LayerAttention)
    made = Figure(figsize=(9.6, 5.2), layout="constrained")
    left, right = made.subplots(1, 2)
    h, w = attention.grid
    lift = np.log2(np.maximum(attention.score[0].float().numpy() / attention.uniform, 2.0**-10)).reshape(h, w)
    left.imshow(shown, extent=(0, 1, 1, 0))
    drawn = left.imshow(lift, extent=(0, 1, 1, 0), cmap="PuOr_r", vmin=-3, vmax=3, alpha=0.75, interpolation="nearest")
    made.colorbar(drawn, ax=left, label="log₂ of attention received ÷ even share", shrink=0.75)
    right.imshow(shown, extent=(0, 1, 1, 0))
    right.imshow(np.array([[[0, 0, 0, 0.55]]]), extent=(0, 1, 1, 0))
    for patch in selection.kept().tolist():
        row, column = divmod(patch, w)
        role = int(selection.role[0, patch])
        frame = {"facecolor": "none", "edgecolor": COLOURS[role], "linewidth": 1.4}
        piece = shown[
            row * shown.shape[0] // h : (row + 1) * shown.shape[0] // h, column * shown.shape[1] // w : (column + 1) * shown.shape[1] // w
        ]
        right.imshow(piece, extent=(column / w, (column + 1) / w, (row + 1) / h, row / h))
        right.fill([column / w, (column + 1) / w, (column + 1) / w, column / w], [row / h, row / h, (row + 1) / h, (row + 1) / h], **frame)
        right.text((column + 0.5) / w, (row + 0.5) / h, ROLES[role][0].upper(), color=COLOURS[role], fontsize=7, ha="center", va="center")
    counts = selection.counts()
    handles = [
        Patch(edgecolor=COLOURS[code], facecolor="none", label=f"{ROLES[code][0].upper()}  {ROLES[code]} ({counts[ROLES[code]]})")
        for code in COLOURS
        if counts[ROLES[code]]
    ]
    right.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=3, fontsize=8, frameon=False)
    for axes in (left, right):
        axes.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[])
    made.suptitle(title, fontsize=11)
    return made


def files(selection: TokenSelection) -> dict[str, bytes]:
    """`selection.csv`: a row per patch with role, place in the order of choice (from 1) and both scores."""
    place = {patch: i for i, patch in enumerate(selection.order[0].tolist(), 1) if patch >= 0}
    rows = ["patch,row,column,role,chosen,object_score,deep_score"]
    width = selection.grid[1]
    for patch, role in enumerate(selection.role[0].tolist()):
        scores = (float(score[0, patch]) for score in (selection.object_score, selection.deep_score))
        rows.append(
            ",".join(
                [
                    str(patch),
                    str(patch // width + 1),
                    str(patch % width + 1),
                    ROLES[role],
                    str(place.get(patch, "")),
                    *(f"{s:.6g}" for s in scores),
                ]
            )
        )
    return {"selection.csv": ("\n".join(rows) + "\n").encode()}


VIEW = View(
    structure=TokenSelection,
    role="selection",
    kind="tokens",
    payload=lambda structures, shown: layer_payload(structures, shown),
    numbers=_numbers,
    marks=_marks,
    amount=lambda selection: (int((selection.role != PRUNED).sum()), "kept patches"),
    figure=figure,
    files=files,
)
