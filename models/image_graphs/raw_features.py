"""Patch features without any network: what a constructor does to plain colours."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

Grid = tuple[int, int]


def raw_features(pixels: np.ndarray, grid: Grid) -> Tensor:
    """Eight plain numbers per patch: mean R, G, B, deviation of R, G, B, mean |∂x| and |∂y| of the brightness.

    Each channel has mean 0 and deviation 1 over the picture; a channel without any variation stays 0.

    Args:
        pixels: uint8 [S, S, 3].

    Returns:
        [1, 8, H, W] float32.
    """
    picture = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 255
    mean = torch.nn.functional.adaptive_avg_pool2d(picture, grid)
    square = torch.nn.functional.adaptive_avg_pool2d(picture.square(), grid)
    light = picture.mean(1, keepdim=True)
    across = torch.nn.functional.pad(light.diff(dim=3).abs(), (0, 1))
    down = torch.nn.functional.pad(light.diff(dim=2).abs(), (0, 0, 0, 1))
    slopes = torch.nn.functional.adaptive_avg_pool2d(torch.cat([across, down], 1), grid)
    features = torch.cat([mean, (square - mean.square()).clamp(min=0).sqrt(), slopes], 1)
    spread = features.std((2, 3), keepdim=True)
    return (features - features.mean((2, 3), keepdim=True)) / torch.where(spread > 1e-4, spread, torch.inf)
