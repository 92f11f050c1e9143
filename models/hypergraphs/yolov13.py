"""YOLOv13: a real-time detector whose three scales exchange what they saw through soft hyperedges.

Lei, Li, Wu et al., "YOLOv13: Real-Time Object Detection with Hypergraph-Enhanced Adaptive Visual Perception", arXiv 2506.17733. Written from
the published equations. Module names and numbers are those of the released checkpoints (iMoonLab/yolov13, AGPL-3.0), so that a
user's own file loads; none ships here, and no code of that project is used.

Layer 9 (HyperACE) makes the hyperedges on the grid of stride 16. Its map, in three sizes (9, 10, 11), is added to the
network at seven places (12, 13, 14, 18, 23, 27, 31) through learned gates: FullPAD.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.checkpoints import MAX_NAMED, CheckpointError, load_strict
from models.hypergraphs.detection import SIDE_MULTIPLE, Detect, find, letterbox
from models.hypergraphs.hyperace import DownsampleConv, FullPADTunnel, HyperACE
from models.hypergraphs.yolo_blocks import A2C2f, Conv, DSC3k2, DSConv
from models.structures import Detections, NonFiniteError

# Which layers a layer reads; those that are not listed read the one before. 19 and 28 read what enters a tunnel, not what leaves it.
SOURCES: dict[int, tuple[int, ...]] = {
    9: (4, 6, 8),
    10: (9,),
    11: (9,),
    12: (6, 9),
    13: (4, 10),
    14: (8, 11),
    16: (15, 12),
    18: (17, 9),
    19: (17,),
    20: (19, 13),
    22: (10,),
    23: (21, 22),
    25: (24, 18),
    27: (26, 9),
    28: (26,),
    29: (28, 14),
    31: (30, 11),
    32: (23, 27, 31),
}
TUNNELS = (12, 13, 14, 18, 23, 27, 31)
LICENCE = "AGPL-3.0 (weights of iMoonLab/yolov13)"


class Concat(nn.Module):
    """Maps of one size, channels behind each other."""

    def forward(self, *maps: Tensor) -> Tensor:
        return torch.cat(maps, 1)


class YOLOv13(nn.Module):
    """The detector.

    Args:
        width, depth: multiples of channels and of block repeats.
        max_channels: bound of the channels before `width`.
        num_hyperedges: M of both HyperACE branches.
        large: the form of L and X (residual attention, deeper early blocks, no widening of the coarsest map).
        nc: number of classes.
    """

    def __init__(
        self, width: float = 0.25, depth: float = 0.5, max_channels: int = 1024, num_hyperedges: int = 4, large: bool = False, nc: int = 80
    ) -> None:
        super().__init__()
        if nc < 1:
            raise ValueError(f"there are {nc} classes; at least 1 is needed")

        def ch(channels: int) -> int:
            return int(-(-min(channels, max_channels) * width // 8)) * 8

        def times(repeats: int) -> int:
            return max(round(repeats * depth), 1)

        c64, c128, c256, c512, c1024 = (ch(c) for c in (64, 128, 256, 512, 1024))
        attention: dict[str, Any] = {"repeats": times(4), "residual": large, "mlp_ratio": 1.5 if large else 2.0}
        self.model = nn.ModuleList(
            [
                Conv(3, c64, 3, 2),
                Conv(c64, c128, 3, 2, groups=2),
                DSC3k2(c128, c256, times(2), large, 0.25),
                Conv(c256, c256, 3, 2, groups=4),
                DSC3k2(c256, c512, times(2), large, 0.25),
                DSConv(c512, c512, 3, 2),
                A2C2f(c512, c512, area=4, **attention),
                DSConv(c512, c1024, 3, 2),
                A2C2f(c1024, c1024, area=1, **attention),
                HyperACE(c512, c512, times(2), num_hyperedges, channel_adjust=not large),
                nn.Upsample(scale_factor=2, mode="nearest"),
                DownsampleConv(c512, channel_adjust=not large),
                FullPADTunnel(),
                FullPADTunnel(),
                FullPADTunnel(),
                nn.Upsample(scale_factor=2, mode="nearest"),
                Concat(),
                DSC3k2(c1024 + c512, c512, times(2), True),
                FullPADTunnel(),
                nn.Upsample(scale_factor=2, mode="nearest"),
                Concat(),
                DSC3k2(2 * c512, c256, times(2), True),
                Conv(c512, c256),
                FullPADTunnel(),
                Conv(c256, c256, 3, 2),
                Concat(),
                DSC3k2(c256 + c512, c512, times(2), True),
                FullPADTunnel(),
                Conv(c512, c512, 3, 2),
                Concat(),
                DSC3k2(c512 + c1024, c1024, times(2), True),
                FullPADTunnel(),
                Detect(nc, (c256, c512, c1024)),
            ]
        )
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps, module.momentum = 1e-3, 0.03

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """image [B, 3, H, W], RGB from 0 to 1, sides multiples of 32 → what `Detect.forward` returns.

        Raises:
            ValueError: another shape or size.
            NonFiniteError: (in evaluation) the picture holds NaN or infinity.
        """
        self._check(image)
        outputs: list[Any] = []
        for index, layer in enumerate(self.model):
            sources = SOURCES.get(index, (index - 1,))
            outputs.append(layer(*(outputs[s] for s in sources)) if index else layer(image))
        return outputs[-1]

    @torch.no_grad()
    def detect(self, pixels: np.ndarray, side: int = 640, labels: Sequence[str] = (), **thresholds: Any) -> Detections:
        """The objects in a photo: uint8 RGB [height, width, 3] → Detections in its pixels. Thresholds as in `detection.find`."""
        if self.training:
            raise ValueError("the detector is in training mode; call eval() first")
        image, fitted = letterbox(pixels, side)
        first = next(self.parameters())
        prediction = self(image.to(first.device, first.dtype))
        return fitted.back(find(prediction[0], fitted.inside, labels=labels, **thresholds))

    def _check(self, image: Tensor) -> None:
        if image.ndim != 4 or image.shape[1] != 3:
            raise ValueError(
                f"the picture has shape {tuple(image.shape)}; RGB [pictures, 3, height, width] is expected (convert grey or RGBA first)"
            )
        height, width = image.shape[2:]
        if height % SIDE_MULTIPLE or width % SIDE_MULTIPLE or not height * width:
            raise ValueError(f"the picture is {height} × {width} pixels; both sides must be multiples of {SIDE_MULTIPLE} (letterbox it)")
        if not self.training and not torch.isfinite(image).all():
            raise NonFiniteError("the picture holds values that are not finite numbers")


CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "yolov13n": {"width": 0.25, "depth": 0.5, "max_channels": 1024, "num_hyperedges": 4, "large": False},
    "yolov13s": {"width": 0.5, "depth": 0.5, "max_channels": 1024, "num_hyperedges": 8, "large": False},
    "yolov13l": {"width": 1.0, "depth": 1.0, "max_channels": 512, "num_hyperedges": 8, "large": True},
    "yolov13x": {"width": 1.5, "depth": 1.0, "max_channels": 512, "num_hyperedges": 12, "large": True},
}
_STEM_WIDTHS = {16: "yolov13n", 32: "yolov13s", 64: "yolov13l", 96: "yolov13x"}


def build(name: str, **changes: Any) -> YOLOv13:
    """A released configuration by its name, e.g. "yolov13n"; keyword arguments replace settings."""
    return YOLOv13(**{**CONFIGURATIONS[name], **changes})


# ---------------------------------------------------------------------------------------------------------- checkpoints


def recognise(state: Mapping[str, Tensor]) -> tuple[str, int]:
    """Name of the released configuration and number of classes that a state dict is of.

    Raises:
        CheckpointError: convolutions were fused with their normalisation, tensors are missing that tell, or the width is none
            of the released.
    """
    fused = [name for name in state if re.search(r"\.conv\.bias$", name)]
    if fused:
        raise CheckpointError(
            f"In this file convolutions are fused with their batch normalisation ({len(fused)} biases such as {fused[0][:80]}). "
            "Save the weights before calling fuse()."
        )
    stem, head = "model.0.conv.weight", "model.32.cv3.0.2.weight"
    missing = [name for name in (stem, head) if name not in state]
    if missing:
        shown = ", ".join(str(name)[:80] for name in list(state)[:MAX_NAMED])
        raise CheckpointError(f"This is no YOLOv13 state dict: {' and '.join(missing)} missing. It begins with {shown}.")
    name = _STEM_WIDTHS.get(state[stem].shape[0])
    if name is None:
        raise CheckpointError(
            f"The first layer has {state[stem].shape[0]} channels; N, S, L and X have {', '.join(map(str, _STEM_WIDTHS))}."
        )
    return name, state[head].shape[0]


def from_state(state: Mapping[str, Tensor], nc: int | None = None) -> YOLOv13:
    """The released configuration that a state dict is of, with its weights, in evaluation mode.

    Args:
        nc: number of classes that is expected, if any.

    Raises:
        CheckpointError: as `recognise`; the number of classes is another; or up to ten names each of what is missing, unknown or
            of another shape.
    """
    name, classes = recognise(state)
    if nc is not None and nc != classes:
        raise CheckpointError(f"The file tells {classes} classes apart and {nc} are expected.")
    model = build(name, nc=classes)
    load_strict(model, state)
    return model.eval()
