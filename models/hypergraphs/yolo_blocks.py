"""Building blocks of YOLOv13 besides the hypergraph: depth-wise separable convolutions, and attention inside bands.

Lei, Li, Wu et al., "YOLOv13: Real-Time Object Detection with Hypergraph-Enhanced Adaptive Visual Perception", arXiv 2506.17733; area
attention: Tian, Ye, Doermann, "YOLOv12: Attention-Centric Real-Time Object Detectors", arXiv 2502.12524. Written from the
published equations; parameter names are those of the released checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEAD_WIDTH = 32  # channels per attention head


class Conv(nn.Module):
    """SiLU(BN(convolution)), size kept (divided by stride). `act=False` leaves the SiLU out."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, act: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.act = nn.SiLU() if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class DSConv(nn.Module):
    """SiLU(BN(1×1 (depth-wise k×k))): one normalisation for both."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.dw = nn.Conv2d(inputs, inputs, kernel, stride, kernel // 2, groups=inputs, bias=False)
        self.pw = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.pw(self.dw(x))))


class DSBottleneck(nn.Module):
    """Two DSConv, 3×3 then 7×7, and a skip."""

    def __init__(self, width: int, shortcut: bool = True) -> None:
        super().__init__()
        self.cv1, self.cv2 = DSConv(width, width, 3), DSConv(width, width, 7)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.cv2(self.cv1(x))
        return x + y if self.shortcut else y


class DSC3k(nn.Module):
    """cv3([two DSBottleneck (cv1 x) ; cv2 x]), inside with `expansion` times the width."""

    def __init__(self, width: int, expansion: float = 1.0, shortcut: bool = True) -> None:
        super().__init__()
        inner = int(width * expansion)
        self.cv1, self.cv2 = Conv(width, inner), Conv(width, inner)
        self.cv3 = Conv(2 * inner, width)
        self.m = nn.Sequential(*(DSBottleneck(inner, shortcut) for _ in range(2)))

    def forward(self, x: Tensor) -> Tensor:
        return self.cv3(torch.cat([self.m(self.cv1(x)), self.cv2(x)], 1))


class DSC3k2(nn.Module):
    """cv1 split in two halves; `repeats` blocks chained on the second; everything concatenated and mixed by cv2."""

    def __init__(self, inputs: int, outputs: int, repeats: int = 1, dsc3k: bool = False, expansion: float = 0.5) -> None:
        super().__init__()
        width = int(outputs * expansion)
        block: Callable[[int], nn.Module] = DSC3k if dsc3k else DSBottleneck
        self.cv1 = Conv(inputs, 2 * width)
        self.cv2 = Conv((2 + repeats) * width, outputs)
        self.m = nn.ModuleList(block(width) for _ in range(repeats))

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.cv1(x).chunk(2, 1))
        for block in self.m:
            parts.append(block(parts[-1]))
        return self.cv2(torch.cat(parts, 1))


class AreaAttention(nn.Module):
    """Self-attention among the cells of one horizontal band; there are `area` bands of equally many cells."""

    def __init__(self, width: int, area: int) -> None:
        super().__init__()
        self.area, self.heads = area, width // HEAD_WIDTH
        self.qk = Conv(width, 2 * width, act=False)
        self.v = Conv(width, width, act=False)
        self.proj = Conv(width, width, act=False)
        self.pe = Conv(width, width, 5, groups=width, act=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, width, height, columns = x.shape
        if height * columns % self.area:
            raise ValueError(f"a map of {height} × {columns} cells cannot be cut into {self.area} bands of equally many cells")
        v = self.v(x)
        q, k = self.qk(x).chunk(2, 1)
        # Tokens in raster order are cut into runs; a run is a batch of its own.
        q, k, tokens = (
            y.flatten(2).transpose(1, 2).reshape(batch * self.area, -1, self.heads, HEAD_WIDTH).transpose(1, 2) for y in (q, k, v)
        )
        mixed = F.scaled_dot_product_attention(q, k, tokens)
        mixed = mixed.transpose(1, 2).reshape(batch, height * columns, width).transpose(1, 2).unflatten(2, (height, columns))
        return self.proj(mixed + self.pe(v))


class ABlock(nn.Module):
    """x + attention(x), then x + mlp(x)."""

    def __init__(self, width: int, area: int, mlp_ratio: float) -> None:
        super().__init__()
        self.attn = AreaAttention(width, area)
        self.mlp = nn.Sequential(Conv(width, int(width * mlp_ratio)), Conv(int(width * mlp_ratio), width, act=False))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(x)
        return x + self.mlp(x)


class A2C2f(nn.Module):
    """cv1, `repeats` pairs of attention blocks, all stages concatenated and mixed by cv2; residual with a learned scale.

    Args:
        residual: add `gamma` times the result to the input (the larger models).
    """

    def __init__(self, inputs: int, outputs: int, repeats: int, area: int, residual: bool = False, mlp_ratio: float = 2.0) -> None:
        super().__init__()
        width = outputs // 2
        if width % HEAD_WIDTH:
            raise ValueError(f"half of {outputs} channels must be a multiple of {HEAD_WIDTH}, the width of an attention head")
        if residual and inputs != outputs:
            raise ValueError(f"a residual block cannot turn {inputs} channels into {outputs}")
        self.cv1 = Conv(inputs, width)
        self.cv2 = Conv((1 + repeats) * width, outputs)
        self.gamma = nn.Parameter(0.01 * torch.ones(outputs)) if residual else None
        self.m = nn.ModuleList(nn.Sequential(*(ABlock(width, area, mlp_ratio) for _ in range(2))) for _ in range(repeats))

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.cv1(x)]
        for pair in self.m:
            parts.append(pair(parts[-1]))
        y = self.cv2(torch.cat(parts, 1))
        return y if self.gamma is None else x + self.gamma[:, None, None] * y
