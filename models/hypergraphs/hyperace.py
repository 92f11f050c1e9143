"""HyperACE and FullPAD: soft hyperedges over the cells of a multi-scale feature map, and how the result is sent around.

Lei, Li, Wu et al., "YOLOv13: Real-Time Object Detection with Hypergraph-Enhanced Adaptive Visual Perception", arXiv 2506.17733. Written from
the published equations; parameter names are those of the released checkpoints.

    f = Conv([avgpool₂ B3 ; B4 ; up₂ B5]);  y0, y1, y2 = thirds of Conv(f)
    h1 = C3AH₁(y1), h2 = C3AH₂(y1)                 two high-order branches on the same input
    m1 = DSC3k(y2), m2 = DSC3k(m1), …              the low-order branch
    H = Conv([y0 ; h1 ; y2 ; m1 ; … ; h2])
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.hypergraphs.softhgnn import SoftHGNN
from models.hypergraphs.yolo_blocks import Conv, DSC3k
from models.structures import Tunnel

VERTEX_HEAD_WIDTH = 16  # channels per head when cells and prototypes are compared


class AdaHGComputation(nn.Module):
    """The hypergraph layer on a map: cells become vertices in raster order, and a map again."""

    def __init__(self, width: int, num_hyperedges: int, context: str = "both") -> None:
        super().__init__()
        self.hgnn = SoftHGNN(width, num_hyperedges, width // VERTEX_HEAD_WIDTH, context=context)

    def forward(self, x: Tensor) -> Tensor:
        grid = (x.shape[2], x.shape[3])
        return self.hgnn(x.flatten(2).transpose(1, 2), grid).transpose(1, 2).unflatten(2, grid)


class C3AH(nn.Module):
    """cv3([hypergraph(cv1 x) ; cv2 x])."""

    def __init__(self, c1: int, c2: int, e: float = 1.0, num_hyperedges: int = 8, context: str = "both") -> None:
        super().__init__()
        width = int(c2 * e)
        if width < 1 or width % VERTEX_HEAD_WIDTH:
            raise ValueError(f"the hypergraph has {width} channels (c2·e = {c2}·{e}); it needs a multiple of {VERTEX_HEAD_WIDTH}")
        self.cv1, self.cv2 = Conv(c1, width), Conv(c1, width)
        self.m = AdaHGComputation(width, num_hyperedges, context)
        self.cv3 = Conv(2 * width, c2)

    def forward(self, x: Tensor) -> Tensor:
        return self.cv3(torch.cat([self.m(self.cv1(x)), self.cv2(x)], 1))


class Fuse(nn.Module):
    """Three scales on the middle grid: avgpool₂ of the finer, the middle one, nearest-neighbour up₂ of the coarser."""

    def __init__(self, width: int, channel_adjust: bool) -> None:
        super().__init__()
        self.conv_out = Conv((4 if channel_adjust else 3) * width, width)

    def forward(self, fine: Tensor, middle: Tensor, coarse: Tensor) -> Tensor:
        size = middle.shape[2:]
        if fine.shape[2:] != (2 * size[0], 2 * size[1]) or size != (2 * coarse.shape[2], 2 * coarse.shape[3]):
            raise ValueError(f"the three maps must halve from one to the next, but are {_sizes(fine, middle, coarse)}")
        return self.conv_out(torch.cat([F.avg_pool2d(fine, 2), middle, F.interpolate(coarse, scale_factor=2, mode="nearest")], 1))


class HyperACE(nn.Module):
    """Hypergraph-based adaptive correlation enhancement: three scales in, one enhanced map on the middle grid out.

    Args:
        c1: channels of the fine and the middle map (and of the coarse one, unless `channel_adjust`).
        c2: channels of the result.
        n: blocks of the low-order branch.
        num_hyperedges: M of both high-order branches.
        shortcut: skips in the low-order branch.
        e1: width inside, as a share of c2.
        e2: width of the hypergraph, as a share of that.
        context: see SoftHyperedges.
        channel_adjust: the coarse map has 2·c1 channels.
    """

    def __init__(
        self,
        c1: int,
        c2: int,
        n: int = 1,
        num_hyperedges: int = 8,
        shortcut: bool = True,
        e1: float = 0.5,
        e2: float = 1.0,
        context: str = "both",
        channel_adjust: bool = True,
    ) -> None:
        super().__init__()
        width = int(c2 * e1)
        self.fuse = Fuse(c1, channel_adjust)
        self.cv1 = Conv(c1, 3 * width)
        self.branch1 = C3AH(width, width, e2, num_hyperedges, context)
        self.branch2 = C3AH(width, width, e2, num_hyperedges, context)
        self.m = nn.ModuleList(DSC3k(width, 0.5, shortcut) for _ in range(n))
        self.cv2 = Conv((4 + n) * width, c2)

    def forward(self, fine: Tensor, middle: Tensor, coarse: Tensor) -> Tensor:
        """Maps of strides 8, 16, 32 → [B, c2, H, W] on the grid of stride 16."""
        y0, y1, y2 = self.cv1(self.fuse(fine, middle, coarse)).chunk(3, 1)
        parts = [y0, self.branch1(y1), y2]
        for block in self.m:
            parts.append(block(parts[-1]))
        return self.cv2(torch.cat([*parts, self.branch2(y1)], 1))


class DownsampleConv(nn.Module):
    """Average over 2 × 2 cells; then, where the receiver is wider, a 1×1 Conv to twice the channels."""

    def __init__(self, inputs: int, channel_adjust: bool) -> None:
        super().__init__()
        self.channel_adjust = Conv(inputs, 2 * inputs) if channel_adjust else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.channel_adjust(F.avg_pool2d(x, 2))


class _Blend(nn.Module):
    """What meets in a tunnel, as a structure."""

    def forward(self, feature: Tensor, enhanced: Tensor, gate: Tensor) -> Tunnel:
        return Tunnel(feature, enhanced, gate)


class FullPADTunnel(nn.Module):
    """feature + g · enhanced, g one learned number that starts at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(()))
        self.blend = _Blend()

    def forward(self, feature: Tensor, enhanced: Tensor) -> Tensor:
        return self.blend(feature, enhanced, self.gate).output()


def _sizes(*maps: Tensor) -> str:
    return ", ".join(f"{x.shape[2]} × {x.shape[3]}" for x in maps)
