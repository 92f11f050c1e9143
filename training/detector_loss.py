"""What a detector with one prediction per cell is taught: which cells answer for an object, and how wrong their answers are.

    assignment   t = s^α · u^β, s the score of the object's class, u the overlap of the predicted box; of the cells inside an object
                 the ten of largest t answer for it (Feng, Zhong, Gao and others, "TOOD", arXiv 2108.07755, section 3.2)
    class        binary cross-entropy with the target t, scaled per object so that its largest is the object's largest overlap
    box          1 − CIoU (Zheng, Wang, Liu and others, "Distance-IoU Loss", arXiv 1911.08287)
    distances    cross-entropy with the two bins around each side's distance (Li, Wang, Wu and others, "Generalized Focal Loss",
                 arXiv 2006.04388)

Terms are weighted 0.5, 7.5 and 1.5, divided by the sum of the targets. Written from the published equations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.hypergraphs.detection import BINS, anchor_points

SCORE_POWER, OVERLAP_POWER, ANSWERING = 0.5, 6.0, 10
CLASS_WEIGHT, BOX_WEIGHT, DISTANCE_WEIGHT = 0.5, 7.5, 1.5
_TINY = 1e-9


@dataclass(frozen=True)
class Assignment:
    """Which object each of A cells answers for.

    Attributes:
        owner: number of the object, [B, A] int64; where `answers` is False it means nothing.
        answers: cells that answer for an object, [B, A] bool.
        targets: score that each cell should give each class, [B, A, C].
    """

    owner: Tensor
    answers: Tensor
    targets: Tensor


@torch.no_grad()
def assign(scores: Tensor, predicted: Tensor, centres: Tensor, boxes: Tensor, labels: Tensor, present: Tensor) -> Assignment:
    """Task-aligned assignment.

    Args:
        scores: of every class, from 0 to 1, [B, A, C].
        predicted: boxes by their corners, [B, A, 4].
        centres: of the cells, in the same pixels, [A, 2].
        boxes, labels, present: the objects, [B, G, 4], [B, G] int64 and [B, G] bool (False for filling).
    """
    if not boxes.shape[1]:
        nothing = scores.new_zeros(scores.shape[:2])
        return Assignment(nothing.long(), nothing.bool(), torch.zeros_like(scores))
    offsets = torch.cat([centres - boxes[:, :, None, :2], boxes[:, :, None, 2:] - centres], 3)  # [B, G, A, 4]
    inside = (offsets.amin(3) > 0) & present[..., None]
    shared = intersection_over_union(boxes[:, :, None], predicted[:, None]) * inside
    of_class = scores.transpose(1, 2).gather(1, labels[..., None].expand(-1, -1, scores.shape[1]))
    aligned = of_class**SCORE_POWER * shared**OVERLAP_POWER  # [B, G, A]
    best = aligned.masked_fill(~inside, -1).topk(min(ANSWERING, aligned.shape[2]), dim=2).indices
    candidate = torch.zeros_like(inside).scatter(2, best, True) & inside
    owner = shared.masked_fill(~candidate, -1).argmax(1)  # a cell that several objects want answers for the one that it meets best
    candidate = candidate & F.one_hot(owner, boxes.shape[1]).transpose(1, 2).bool()
    aligned = aligned * candidate
    most = (shared * candidate).amax(2, keepdim=True)
    degree = (aligned * most / aligned.amax(2, keepdim=True).clamp_min(_TINY)).amax(1)
    answers = candidate.any(1)
    classes = F.one_hot(labels.gather(1, owner), scores.shape[2])
    return Assignment(owner, answers, classes * (degree * answers)[..., None])


def detector_loss(raw: Sequence[Tensor], boxes: Tensor, labels: Tensor, present: Tensor) -> Tensor:
    """The weighted sum of the three terms, [].

    Args:
        raw: what `Detect` returns in training, [B, 64 + nc, h, w] per scale.
        boxes, labels, present: as in `assign`, in pixels of the input.
    """
    centres, strides = anchor_points([(x.shape[2], x.shape[3]) for x in raw], raw[0])
    flat = torch.cat([x.flatten(2) for x in raw], 2).transpose(1, 2)  # [B, A, 64 + nc]
    bins, logits = flat[..., : 4 * BINS].unflatten(2, (4, BINS)), flat[..., 4 * BINS :]
    distances = bins.softmax(3) @ torch.arange(BINS, dtype=bins.dtype, device=bins.device)  # [B, A, 4] in cells
    points = (centres * strides).T
    sides = distances * strides[:, None]
    predicted = torch.cat([points - sides[..., :2], points + sides[..., 2:]], 2)

    given = assign(logits.sigmoid(), predicted, points, boxes, labels, present)
    total = given.targets.sum().clamp_min(1)
    loss = CLASS_WEIGHT * F.binary_cross_entropy_with_logits(logits, given.targets, reduction="sum") / total
    if given.answers.any():
        weight = given.targets.sum(2)[given.answers]
        wanted = boxes.gather(1, given.owner[..., None].expand(-1, -1, 4))
        reached = torch.cat([points - wanted[..., :2], wanted[..., 2:] - points], 2) / strides[:, None]
        box = 1 - complete_iou(predicted[given.answers], wanted[given.answers])
        distance = distance_loss(bins[given.answers], reached[given.answers])
        loss = loss + ((BOX_WEIGHT * box + DISTANCE_WEIGHT * distance) * weight).sum() / total
    return loss


def intersection_over_union(a: Tensor, b: Tensor) -> Tensor:
    """Of boxes by their corners, [..., 4] and [..., 4] → [...]; 0 for boxes without area."""
    shared = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp_min(0).prod(-1)
    areas = [(x[..., 2:] - x[..., :2]).clamp_min(0).prod(-1) for x in (a, b)]
    return shared / (areas[0] + areas[1] - shared).clamp_min(_TINY)


def complete_iou(a: Tensor, b: Tensor) -> Tensor:
    """CIoU [...]: overlap − (distance of the centres / diagonal of the hull)² − α v, v the difference of the aspect ratios."""
    overlap = intersection_over_union(a, b)
    hull = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    between = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
    apart = between.square().sum(-1) / hull.square().sum(-1).clamp_min(_TINY)
    angle_a, angle_b = (torch.atan2(x[..., 2] - x[..., 0], (x[..., 3] - x[..., 1]).clamp_min(_TINY)) for x in (a, b))
    v = 4 / math.pi**2 * (angle_a - angle_b).square()
    with torch.no_grad():  # as the authors have it: α weighs, and is not learned
        alpha = v / (1 - overlap + v).clamp_min(_TINY)
    return overlap - apart - alpha * v


def distance_loss(bins: Tensor, distances: Tensor) -> Tensor:
    """Mean over the four sides of the cross-entropy with the two bins that enclose each distance: [n, 4, 16], [n, 4] in cells → [n]."""
    wanted = distances.clamp(0, BINS - 1 - 0.01)
    low = wanted.long()
    share = wanted - low
    log = bins.log_softmax(2)
    below, above = (log.gather(2, bin_[..., None])[..., 0] for bin_ in (low, low + 1))
    return -(below * (1 - share) + above * share).mean(1)
