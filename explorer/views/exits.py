"""An ExitStage → the canvas payload of one stage, the API's numbers, the card's marks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from explorer.views.arrays import pack, pack_scaled
from explorer.views.patch_graph import patch_colours
from explorer.views.view import Place, Structures, View
from models.structures import ExitStage

COLOURS = ("#56B4E9", "#E69F00", "#CC79A7", "#009E73", "#F0E442")  # of the stages at which patches leave


def layer_payload(structures: Structures, shown: np.ndarray, picture: int = 0) -> dict[str, Any]:
    """The part of a layer's payload that its stage decides.

    Args:
        structures: "stage": ExitStage.
        shown: the picture, uint8 [S, S, 3].
    """
    stage = structures["stage"]
    assert isinstance(stage, ExitStage)
    present = stage.class_logits[picture].float().softmax(-1)[:, 0].cpu().numpy()
    return {
        "grid": list(stage.grid),
        "colour": pack(patch_colours(shown, stage.grid), "u8"),
        "maps": {},
        "exits": {
            "threshold": stage.threshold,
            "before": pack(stage.before[picture].cpu().numpy(), "u8"),
            "exited": pack(stage.exited[picture].cpu().numpy(), "u8"),
            "context": pack(stage.context[picture].cpu().numpy(), "u8"),
            "label": pack(stage.label[picture].cpu().numpy(), "u8"),
            "prediction": pack_scaled(stage.prediction[picture].float().cpu().numpy(), bits=8),
            "present": present.tolist(),
        },
    }


def _numbers(stage: ExitStage) -> dict[str, Any]:
    return {
        "grid": stage.grid,
        "threshold": stage.threshold,
        "left_before": stage.before[0].nonzero()[:, 0].tolist(),
        "left": stage.exited[0].nonzero()[:, 0].tolist(),
        "context": stage.context[0].nonzero()[:, 0].tolist(),
        "label": stage.label[0].tolist(),
        "confidence": [float(f"{value:.4g}") for value in stage.confidence[0].tolist()],
    }


def _marks(stage: ExitStage, look: Mapping[str, Any], colour: str, place: Place) -> str:
    """The patches that have left, those of earlier stages in another colour."""
    n = stage.grid[0] * stage.grid[1]
    (x0, y0), (x1, y1) = place(0, stage.grid), place(n - 1, stage.grid)
    width, height = (x1 - x0) / max(stage.grid[1] - 1, 1), (y1 - y0) / max(stage.grid[0] - 1, 1)
    drawn = []
    for patch in stage.exited[0].nonzero()[:, 0].tolist():
        x, y = place(patch, stage.grid)
        fill = COLOURS[0] if stage.before[0, patch] else COLOURS[1]
        drawn.append(
            f'<rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}" opacity="0.6"/>'
        )
    return "".join(drawn)


def figure(structures: Structures, shown: np.ndarray, title: str) -> Any:
    """Which patches have left by this stage, beside how confident it is of each, as a matplotlib figure."""
    from matplotlib.figure import Figure

    stage = structures["stage"]
    assert isinstance(stage, ExitStage)
    made = Figure(figsize=(9.6, 4.8), layout="constrained")
    left, right = made.subplots(1, 2)
    gone = np.full(stage.grid, np.nan)
    gone[stage.exited[0].reshape(stage.grid).numpy()] = 1
    gone[stage.before[0].reshape(stage.grid).numpy()] = 0
    left.imshow(shown, extent=(0, 1, 1, 0))
    left.imshow(gone, extent=(0, 1, 1, 0), cmap="winter", vmin=0, vmax=1, alpha=0.6, interpolation="nearest")
    left.set_title(
        f"{int(stage.exited[0].sum())} of {stage.exited.shape[1]} patches have left (blue before, green at this stage)", fontsize=8
    )
    right.imshow(shown, extent=(0, 1, 1, 0))
    sure = right.imshow(
        stage.confidence[0].reshape(stage.grid).numpy(), extent=(0, 1, 1, 0), vmin=0, vmax=1, alpha=0.75, interpolation="nearest"
    )
    made.colorbar(sure, ax=right, label="confidence", shrink=0.75)
    for axes in (left, right):
        axes.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[])
    made.suptitle(title, fontsize=11)
    return made


VIEW = View(
    structure=ExitStage,
    role="stage",
    kind="exits",
    payload=lambda structures, shown: layer_payload(structures, shown),
    numbers=_numbers,
    marks=_marks,
    amount=lambda stage: (int((~stage.exited).sum()), "patches that are still computed"),
    figure=figure,
)
