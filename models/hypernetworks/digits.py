"""The handwritten digits that come with scikit-learn: 1797 pictures of 8 × 8, split once for all.

E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998, CC BY 4.0; these
are the pictures of its test part. The split is drawn by chance: 1300 to train with, 497 to test.
"""

from __future__ import annotations

import torch
from torch import Tensor

TRAINING = 1300


def digits(training: bool) -> tuple[Tensor, Tensor]:
    """Pictures [n, 1, 8, 8] float from 0 (paper) to 1 (ink) and their labels [n] int64."""
    from sklearn.datasets import load_digits  # slow to import

    found = load_digits()
    order = torch.randperm(len(found.target), generator=torch.Generator().manual_seed(0))
    chosen = order[:TRAINING] if training else order[TRAINING:]
    pixels = torch.from_numpy(found.images).float().div(16)[:, None]
    return pixels[chosen], torch.from_numpy(found.target).long()[chosen]
