"""Nodes whose features are carried along the edges again and again: how alike they become.

The words (names, formulas, thresholds, hints) are text beside the code: `deep_nodes.json`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.diagnostics.measure import Measure, NotMeasurable, measure, measured
from models.structures import Propagation


def class_contrast(x: Tensor, label: Tensor) -> float:
    """Mean difference of directions over pairs of two classes, divided by that over pairs of one class; x [N, C], label [N].

    Raises:
        NotMeasurable: only one class, or all nodes of every class point one way.
    """
    directions = F.normalize(x.double(), dim=1)
    apart = torch.cdist(directions, directions) / 2
    same = label[:, None] == label
    pairs = ~torch.eye(len(x), dtype=torch.bool)
    inside, across = apart[same & pairs], apart[~same]
    if not across.numel() or not inside.numel() or float(inside.mean()) < 1e-12:
        raise NotMeasurable("there is nothing to compare: one class, or nodes that are all alike")
    return float(across.mean() / inside.mean())


def summary(hops: Propagation, label: Tensor, edge_index: Tensor) -> list[Measure]:
    """Measures of features [N, K + 1, C] carried over K steps, for nodes with classes [N] and edges [2, E]."""
    rough = hops.roughness()
    source, target = label[edge_index]
    chance = torch.bincount(label).double() / len(label)
    found = [
        measure("deep_homophily", float((source == target).double().mean()), chance=f"{100 * float(chance.square().sum()):.0f} %"),
        measure("deep_rough_start", float(rough[0])),
        measure("deep_rough_end", float(rough[-1]), steps=len(rough) - 1),
    ]
    return found + measured(["deep_classes"], lambda: [measure("deep_classes", class_contrast(hops.hops[:, -1], label))])
