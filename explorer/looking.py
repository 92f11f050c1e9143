"""Run a model of the zoo on a picture and keep what its parts return: what the exhibits of every wing start from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from explorer import runtime
from models.attribution import attribute
from models.capture import Adapter, Edit, Trace, alone, capture
from models.structures import Attribution, Prediction

RANDOM_WEIGHTS = "This model has random weights: its internals and its prediction mean nothing. Supply a checkpoint to see the real thing."


def run_model(
    name: str, shown: np.ndarray, edits: Mapping[str, Edit] | None = None, adapters: Mapping[str, Adapter] | None = None, copies: int = 1
) -> tuple[Trace, Prediction]:
    """The structures (in CPU memory) and the prediction of one model.

    Args:
        shown: the square picture on show, uint8 [S, S, 3].
        edits, adapters: as in `capture`, by module name.
        copies: how often the picture stands in the batch (edits may change each copy in its own way).

    Raises:
        models.structures.NonFiniteError: an internal or the prediction is not finite; the message names it.
    """
    loaded = runtime.model(name)
    image = loaded.prepare(shown).to(runtime.device()).repeat(copies, 1, 1, 1)
    with torch.inference_mode(), capture(loaded.model, edits=edits, adapters=adapters) as trace:  # type: ignore[arg-type]
        logits = loaded.model(image)
    trace.require_finite()
    prediction = Prediction(logits.cpu(), loaded.labels)
    prediction.require_finite("the prediction")
    return Trace({part: structure.cpu() for part, structure in trace.structures.items()}), prediction


def explain(name: str, shown: np.ndarray, method: str, target: int, part: str) -> Attribution:
    """Where the model looks for class number `target`; `part` is the module whose map Grad-CAM weighs."""
    loaded = runtime.model(name)
    image = loaded.prepare(shown).to(runtime.device())
    layer = loaded.model.get_submodule(part) if method == "grad-cam" else None
    with alone(loaded.model):
        return attribute(loaded.model, image, target, method, layer=layer)  # type: ignore[arg-type]
