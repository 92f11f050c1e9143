"""Your encoder: HiPrune's anchors, buffers and registers in any vision transformer of yours.

On show where `HYPERSCOPE_BACKBONE` names a model of the `transformers` library (a folder or a hub id) with attention between all patches.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import Field

from explorer import runtime
from explorer.exhibit import BadRequest, Controls, Exhibit, Intervention, Labeller, Paper, Scene, Wing
from explorer.exhibits.tokens.look import CUTS, chosen, curves, described, edited, layers_of, look_at, measures
from models.tokens.attention_capture import Encoder, load_encoder
from models.tokens.hiprune import tokens_of_ratio

VARIABLE = "HYPERSCOPE_BACKBONE"
RATIOS = (1 / 3, 2 / 9, 1 / 9)
SIDE = 448  # pixels of what is shown


class EncoderControls(Controls):
    budget: int = Field(
        192,
        ge=1,
        le=2880,
        title="Patches kept",
        description="How many patches remain; more than there are keeps all. LLaVA-1.5 keeps 192, 128 or 64 of 576.",
    )
    alpha: float = Field(
        0.1,
        ge=0,
        le=1,
        title="Share for the object, α",
        description="Share of the budget for anchors and their neighbours; the paper takes 0.1.",
        json_schema_extra={"step": 0.05},
    )
    object_layer: int = Field(
        0, ge=0, le=64, title="Object layer", description="0 takes what the paper takes: layer 9 of CLIP-L, else the middle one."
    )
    deep_layer: int = Field(0, ge=0, le=64, title="Deep layer", description="0 takes the last layer whose features are used.")
    edge: Literal["clamp", "drop", "grid"] = Field(
        "clamp",
        title="Neighbours at a border",
        description="As released, as in the paper's formula, or true neighbours only.",
        json_schema_extra={"advanced": True},
    )
    head: int = Field(
        0, ge=0, le=64, title="Head of the object layer", description="0 is the mean over the heads.", json_schema_extra={"advanced": True}
    )
    release: Literal["paper", "Qwen code"] = Field(
        "paper",
        title="Choosing registers",
        description="The code released for Qwen2.5-VL may choose a patch twice and keeps fewer then.",
        json_schema_extra={"advanced": True},
    )


@lru_cache(maxsize=1)
def encoder(name: str) -> Encoder:
    """The visitor's encoder, loaded once. Raises BadRequest when it cannot be."""
    try:
        found = load_encoder(name)
    except ImportError as error:
        raise BadRequest(f"an encoder needs the package {error.name}, which is missing here") from None
    found.model.to(runtime.device())
    return found


def run(shown: np.ndarray, controls: EncoderControls, cuts: Sequence[Intervention] = (), segments: Labeller | None = None) -> Scene:
    """One picture through the encoder, layer by layer; nothing reads the patches afterwards, so nothing is predicted."""
    model = encoder(os.environ.get(VARIABLE, ""))
    sight = look_at(model, model.prepare(shown), runtime.reached)
    layers = (min(controls.object_layer, model.n_layers), min(controls.deep_layer, model.n_layers))
    heads = sight.maps.received.shape[2]
    selection = chosen(sight.maps, controls.budget, controls.alpha, controls.edge, layers, min(controls.head, heads), controls.release)
    selection = edited(selection, cuts)
    seen = model.seen(shown)
    labels = segments(sight.maps.grid) if segments and seen.shape[0] == seen.shape[1] else None
    n, spread = sight.maps.grid[0] * sight.maps.grid[1], curves(sight.maps)
    remarks = []
    if controls.budget > n:
        remarks.append(f"{controls.budget} patches were to be kept; the picture gives {n}, so all are.")
    return Scene(
        shown=square(seen),
        seen=square(seen),
        layers=layers_of(sight, selection),
        measures=measures(sight, selection, labels, seen, spread),
        labels=labels,
        notes=tuple(remarks),
        extras={
            "change": f"{int(selection.mask.sum())} of {n} patches remain.",
            "tokens": described(sight, selection, labels, spread, [tokens_of_ratio(n, ratio) for ratio in RATIOS]),
        },
    )


def square(pixels: np.ndarray) -> np.ndarray:
    """What the model sees, at display resolution: the page shows squares, and every encoder here sees one of a square picture."""
    return np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


EXHIBIT = Exhibit(
    slug="encoder",
    title="Your encoder",
    wing=Wing.TOKENS,
    idea="HiPrune's anchors, buffers and registers in a vision transformer of yours: where does it look, layer by layer, and what would remain?",
    paper=Paper(
        title="HiPrune: Training-Free Visual Token Pruning via Hierarchical Attention in Vision-Language Models",
        authors="Liu and others",
        venue="ACL 2026 Findings",
        url="https://arxiv.org/abs/2508.00553",
        theirs="The rule and the layers that it takes for CLIP and Qwen2.5-VL.",
        ours=f"That it looks at any encoder with attention between all patches. The model is yours ({VARIABLE}).",
    ),
    controls=EncoderControls,
    run=run,
    views=("budget", "layers", "centricity", "token-heads", "reach", "dispersion", "flow"),
    example="bus",
    folder=Path(__file__).parent,
    cuts=CUTS,
)
