"""The detection head of the YOLO family, and the way from a photo to boxes and back.

Boxes are learned as distributions over 16 distances per side (Li, Wang, Wu et al., "Generalized Focal Loss", arXiv 2006.04388).
Written from the published equations; parameter names are those of the released checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from models.hypergraphs.yolo_blocks import Conv
from models.structures import Detections

BINS = 16
STRIDES = (8, 16, 32)
SIDE_MULTIPLE = 32  # the coarsest stride
PADDING = 114  # grey value of the border that letterboxing adds
CANDIDATES = 3000  # predictions that are compared with each other at most
_PRIOR = 0.01  # confidence that an untrained head gives every class


class _Bins(nn.Module):
    """Expected distance of a distribution over 0, 1, …, 15 cells. The bin values are a fixed weight in the checkpoints."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(BINS, 1, 1, bias=False).requires_grad_(False)
        self.conv.weight.data = torch.arange(BINS, dtype=torch.float32).view(1, BINS, 1, 1)

    def forward(self, logits: Tensor) -> Tensor:
        """[B, 4·16, A] → [B, 4, A] in cells."""
        return (logits.unflatten(1, (4, BINS)).softmax(2) * self.conv.weight.view(BINS, 1)).sum(2)


class Detect(nn.Module):
    """Per scale a branch for the four sides and one for the classes.

    Args:
        nc: number of classes.
        channels: of the maps of strides 8, 16, 32.
    """

    def __init__(self, nc: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.nc = nc
        box, cls = max(16, channels[0] // 4, 4 * BINS), max(channels[0], min(nc, 100))
        self.cv2 = nn.ModuleList(nn.Sequential(Conv(c, box, 3), Conv(box, box, 3), nn.Conv2d(box, 4 * BINS, 1)) for c in channels)
        self.cv3 = nn.ModuleList(nn.Sequential(_separable(c, cls), _separable(cls, cls), _classifier(cls, nc)) for c in channels)
        self.dfl = _Bins()

    def forward(self, *maps: Tensor) -> Tensor | list[Tensor]:
        """Maps of strides 8, 16, 32 → predictions [B, 4 + nc, A] (see `decode`); in training the raw maps [B, 64 + nc, h, w]."""
        raw = [torch.cat([box(x), cls(x)], 1) for x, box, cls in zip(maps, self.cv2, self.cv3, strict=True)]
        return raw if self.training else self.decode(raw)

    def decode(self, raw: Sequence[Tensor]) -> Tensor:
        """Raw maps → [B, 4 + nc, A]: centre x, y, width, height in pixels and nc scores from 0 to 1.

        A runs over the scales, cells in raster order. Distances to left, top, right, bottom are counted from cell centres.
        """
        centres, strides = anchor_points([(x.shape[2], x.shape[3]) for x in raw], raw[0])
        flat = torch.cat([x.flatten(2) for x in raw], 2)
        before, after = self.dfl(flat[:, : 4 * BINS]).chunk(2, 1)
        boxes = torch.cat([centres + (after - before) / 2, before + after], 1) * strides
        return torch.cat([boxes, flat[:, 4 * BINS :].sigmoid()], 1)


def _separable(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(Conv(inputs, inputs, 3, groups=inputs), Conv(inputs, outputs))


def _classifier(inputs: int, nc: int) -> nn.Conv2d:
    """Class scores that start low: nearly all cells hold nothing."""
    last = nn.Conv2d(inputs, nc, 1)
    last.bias = nn.Parameter(torch.full((nc,), -math.log(1 / _PRIOR - 1)))
    return last


def anchor_points(grids: Sequence[tuple[int, int]], like: Tensor) -> tuple[Tensor, Tensor]:
    """Cell centres (x, y) in cells, [2, A], and the stride of each in pixels, [A], for the grids of strides 8, 16, 32."""
    centres, strides = [], []
    for (height, width), stride in zip(grids, STRIDES, strict=True):
        y, x = torch.meshgrid(torch.arange(height, device=like.device), torch.arange(width, device=like.device), indexing="ij")
        centres.append(torch.stack([x.flatten(), y.flatten()]).to(like.dtype) + 0.5)
        strides.append(like.new_full((height * width,), stride))
    return torch.cat(centres, 1), torch.cat(strides)


# -------------------------------------------------------------------------------------------------------- what is found


def find(
    prediction: Tensor, size: tuple[int, int], confidence: float = 0.25, overlap: float = 0.7, limit: int = 300, labels: Sequence[str] = ()
) -> Detections:
    """The objects in one picture's predictions: confident ones, without those that a better one of its class covers.

    Args:
        prediction: [4 + nc, A] as `Detect.decode` gives it.
        size: (height, width) of the network's input in pixels.
        confidence: least score.
        overlap: of two boxes of a class whose intersection over union is larger, the better one stays.
        limit: most objects.

    Raises:
        ValueError: a threshold outside 0…1, or a prediction that is not finite.
    """
    if not (0 <= confidence <= 1 and 0 <= overlap <= 1):
        raise ValueError(f"confidence is {confidence} and overlap {overlap}; both must lie between 0 and 1")
    if not torch.isfinite(prediction).all():
        raise ValueError("the predictions hold NaN or infinity, so no box can be trusted")
    scores, classes = prediction[4:].max(0)
    anchors = torch.nonzero(scores >= confidence)[:, 0]
    anchors = anchors[scores[anchors].argsort(descending=True, stable=True)][:CANDIDATES]
    boxes = corners(prediction[:4, anchors].T)
    kept = suppress(boxes, classes[anchors], overlap)[:limit]
    chosen = anchors[kept]
    return Detections(boxes[kept], scores[chosen], classes[chosen], chosen, size, tuple(labels))


def suppress(boxes: Tensor, classes: Tensor, overlap: float) -> Tensor:
    """Greedy non-maximum suppression, class by class: indices of the boxes [n, 4] (best first) that stay, int64."""
    rivals = (overlaps(boxes, boxes) > overlap) & (classes[:, None] == classes)
    out = torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    kept = []
    for i in range(len(boxes)):
        if not out[i]:
            kept.append(i)
            out |= rivals[i]
    return torch.tensor(kept, dtype=torch.int64, device=boxes.device)


def overlaps(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes given by their corners, [n, 4] and [m, 4] → [n, m]; 0 for boxes without area."""
    sides = (torch.minimum(a[:, None, 2:], b[:, 2:]) - torch.maximum(a[:, None, :2], b[:, :2])).clamp_min(0)
    shared = sides.prod(2)
    area_a, area_b = ((x[:, 2:] - x[:, :2]).clamp_min(0).prod(1) for x in (a, b))
    union = area_a[:, None] + area_b - shared
    return shared / torch.where(union > 0, union, 1)


def corners(boxes: Tensor) -> Tensor:
    """(centre x, centre y, width, height) → (left, top, right, bottom), [n, 4]."""
    return torch.cat([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)


# ------------------------------------------------------------------------------------------------------------ the photo


@dataclass(frozen=True)
class Letterbox:
    """How a picture was fitted into the network's input.

    Attributes:
        size: (height, width) of the picture.
        inside: (height, width) of the input.
        scale: input pixels per picture pixel.
        left, top: width of the border before the picture, in input pixels.
    """

    size: tuple[int, int]
    inside: tuple[int, int]
    scale: float
    left: int
    top: int

    def back(self, found: Detections) -> Detections:
        """Detections in the input → the same in the picture, cut at its border."""
        offset = found.boxes.new_tensor([self.left, self.top, self.left, self.top])
        height, width = self.size
        most = found.boxes.new_tensor([width, height, width, height])
        return replace(found, boxes=((found.boxes - offset) / self.scale).clamp_min(0).minimum(most), size=self.size)


def letterbox(pixels: np.ndarray, side: int = 640) -> tuple[Tensor, Letterbox]:
    """Fit a photo into an input whose longer side is `side`: scaled, bordered with grey to multiples of 32, values 0…1.

    Args:
        pixels: RGB, uint8 [height, width, 3].
        side: in pixels, a multiple of 32.

    Returns:
        float [1, 3, height, width] and the way back.

    Raises:
        ValueError: not RGB of 8 bits, or a side that is no multiple of 32.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise ValueError(
            f"pixels are {pixels.dtype} of shape {pixels.shape}; RGB as uint8 [height, width, 3] is expected (convert grey or RGBA first)"
        )
    if side < SIDE_MULTIPLE or side % SIDE_MULTIPLE:
        raise ValueError(f"the side is {side} pixels; it must be a multiple of {SIDE_MULTIPLE}")
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    inside = (_up(rows), _up(columns))
    top, left = (inside[0] - rows) // 2, (inside[1] - columns) // 2
    canvas = np.full((*inside, 3), PADDING, dtype=np.uint8)
    canvas[top : top + rows, left : left + columns] = np.asarray(Image.fromarray(pixels).resize((columns, rows), Image.Resampling.BILINEAR))
    tensor = torch.from_numpy(canvas).permute(2, 0, 1)[None].float() / 255
    return tensor, Letterbox((height, width), inside, scale, left, top)


def _up(length: int) -> int:
    return -(-length // SIDE_MULTIPLE) * SIDE_MULTIPLE
