"""Handwritten digits: 1797 pictures of 8 × 8, split once for all.

E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998, CC BY 4.0: the
pictures of its test part, unchanged and in their order, in `digits.npz` (`pictures` uint8 [1797, 8, 8] from 0 to 16, `labels`
uint8 [1797]). They are the ones that scikit-learn calls `load_digits`; reading them here spares the import. The split is drawn by
chance: 1300 to train with, 497 to test.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

TRAINING = 1300
PACK = Path(__file__).with_name("digits.npz")


def digits(training: bool) -> tuple[Tensor, Tensor]:
    """Pictures [n, 1, 8, 8] float from 0 (paper) to 1 (ink) and their labels [n] int64."""
    with np.load(PACK) as pack:
        pictures, labels = torch.from_numpy(pack["pictures"]), torch.from_numpy(pack["labels"])
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    chosen = order[:TRAINING] if training else order[TRAINING:]
    return pictures[chosen].float().div(16)[:, None], labels[chosen].long()
