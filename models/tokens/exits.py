"""Changes of early exits: another confidence, another number of patches that stay as context, patches sent away or held back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from models.structures import ExitStage
from models.tokens.dtop import best_of_each_class


def leave(stage: ExitStage, threshold: float, context: int, away: Sequence[int] = (), stay: Sequence[int] = ()) -> ExitStage:
    """The same prediction with other patches leaving.

    Args:
        threshold: p0, the confidence above which a patch leaves; 1 lets none leave.
        context: how many of the most confident patches of each class stay.
        away: patches that leave whatever their confidence.
        stay: patches that never leave (unless they had left before).

    Raises:
        ValueError: the threshold is not in (0, 1], the context is negative, or there is no such patch.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"the threshold is {threshold}; it must be above 0 and at most 1, where no patch leaves")
    if context < 0:
        raise ValueError(f"{context} confident patches of each class were to stay; it must be at least 0")
    n = stage.before.shape[1]
    for patch in (*away, *stay):
        if not 0 <= patch < n:
            raise ValueError(f"there is no patch {patch}; the grid of {stage.grid[0]} × {stage.grid[1]} has patches 0 to {n - 1}")
    confident = (stage.confidence > threshold) & ~stage.before
    stays = confident & best_of_each_class(stage.confidence.detach(), stage.label, confident, context)
    exited = stage.before | (confident & ~stays)
    if away:
        exited[:, list(away)] = True
    if stay:
        held = torch.zeros_like(exited)
        held[:, list(stay)] = True
        exited = stage.before | (exited & ~held)
    return replace(stage, exited=exited, context=stays & ~exited, threshold=threshold)
