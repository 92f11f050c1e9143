"""Layers of Poincaré ResNet as modules: tangent vectors at the origin in and out, channels on axis 1.

van Spengler, Berkhout, Mettes, "Poincaré ResNet", ICCV 2023, arXiv 2303.14027; gyroplane layers by Shimizu, Mukuta, Harada,
"Hyperbolic Neural Networks++", ICLR 2021, arXiv 2006.08210. Parameter names follow the released code
(maxvanspengler/poincare-resnet, Apache-2.0).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from models.hyperbolic import ball
from models.hyperbolic.closed import CLOSED, patch_squares
from models.hyperbolic.operations import Conformal, Mean, Operations, Window
from models.structures import BatchMidpoint, Gyroplanes

Initialisation = Literal["identity", "centre", "normal"]


class Ball(nn.Module):
    """The curvature −c that a layer lives in. `isp_c` is c itself, under the name that it has in the released code."""

    isp_c: Tensor

    def __init__(self, c: float) -> None:
        super().__init__()
        ball.require_curvature(c)
        self.register_buffer("isp_c", torch.tensor(float(c)))

    @property
    def c(self) -> Tensor:
        return self.isp_c

    def _save_to_state_dict(self, destination: dict[str, Tensor], prefix: str, keep_vars: bool) -> None:
        # Layers share a ball, and files of weights refuse tensors that share their memory.
        destination[f"{prefix}isp_c"] = self.isp_c.detach().clone()


def set_curvature(model: nn.Module, c: float) -> None:
    """Give every layer of a model the curvature −c. Raises ValueError unless c is a finite number above 0."""
    ball.require_curvature(c)
    for part in model.modules():
        if isinstance(part, Ball):
            part.isp_c.fill_(c)


def require_precision(t: Tensor) -> None:
    """Raise TypeError when t is in half precision, or when autocast would bring it there."""
    ball.margin(t.dtype)
    if torch.is_autocast_enabled(t.device.type):
        raise TypeError("hyperbolic layers need float32 or float64; leave autocast before them (torch.autocast(…, enabled=False))")


def initial_weights(inputs: int, outputs: int, places: int, kind: Initialisation) -> Tensor:
    """Start of a gyroplane layer, [places·inputs, outputs], rows ordered by channel, then place.

    "identity": ½·eye, as released. A linear layer then returns its input exactly. A convolution copies shifted views of its first
    channels: output o is input ⌊o/places⌋ at place o mod places.
    "centre": ½ at the central place only; a convolution copies channel o mod C_in, so features keep the rank of the picture.
    "normal": N(0, 1/(2·places·inputs·outputs)), the start of HNN++, which lets norms collapse.
    """
    if kind == "identity":
        return 0.5 * torch.eye(places * inputs, outputs)
    if kind == "normal":
        return torch.randn(places * inputs, outputs) * (2 * places * inputs * outputs) ** -0.5
    if kind == "centre":
        weights = torch.zeros(inputs, places, outputs)
        weights[torch.arange(outputs) % inputs, places // 2, torch.arange(outputs)] = 0.5
        return weights.view(places * inputs, outputs)
    raise ValueError(f'initialisation is {kind!r}; there are "identity", "centre" and "normal"')


class PoincareLinear(nn.Module):
    """Poincaré fully connected layer, [B, n] → [B, K]. With z = ½·eye and bias 0 it is the identity.

    Args:
        c: the curvature is −c.
        conformal: "released" takes the slip λ = 2(1 − c‖x‖²) of the released code instead of 2/(1 − c‖x‖²).
        operations: closed form, or `naive.NAIVE` to measure against.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        c: float = 0.1,
        initialisation: Initialisation = "identity",
        conformal: Conformal = "paper",
        operations: Operations = CLOSED,
    ) -> None:
        super().__init__()
        self.ball, self.conformal, self.operations = Ball(c), conformal, operations
        self.z = nn.Parameter(initial_weights(inputs, outputs, 1, initialisation))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, t: Tensor) -> Tensor:
        require_precision(t)
        return self.operations.linear(t, self.z, self.bias, self.ball.c, self.conformal)

    def gyroplanes(self) -> Gyroplanes:
        """The K decision boundaries of the layer."""
        size = self.z.detach().norm(dim=0)
        normals = (self.z.detach() / size.clamp(min=1e-15)).T
        return Gyroplanes(normals, self.bias.detach(), size, float(self.ball.c))


class PoincareConv2d(nn.Module):
    """Poincaré convolution, [B, C, H, W] → [B, K, ⌊(H + 2p − k)/s⌋ + 1, …], zero padding. Arguments as `PoincareLinear`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        padding: int = 0,
        c: float = 0.1,
        initialisation: Initialisation = "identity",
        conformal: Conformal = "paper",
        operations: Operations = CLOSED,
    ) -> None:
        super().__init__()
        self.window = Window(kernel, stride, padding)
        self.ball, self.conformal, self.operations = Ball(c), conformal, operations
        self.weights = nn.Parameter(initial_weights(inputs, outputs, kernel**2, initialisation))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, t: Tensor) -> Tensor:
        require_precision(t)
        return self.operations.convolution(t, self.weights, self.bias, self.ball.c, self.window, self.conformal)

    def patch_norms(self, t: Tensor) -> Tensor:
        """‖·‖ of the β-scaled patch under every output position, [B, H', W']: where on its two scalar maps the layer works."""
        return patch_squares(t, self.window).sqrt()[:, 0]


class Statistics(nn.Module):
    """Where the points of a batch lie: computed from the batch, or as remembered from the training."""

    def __init__(self, mean: Mean, operations: Operations) -> None:
        super().__init__()
        self.mean, self.operations = mean, operations

    def forward(self, t: Tensor, norm: MidpointNorm) -> BatchMidpoint:
        c = norm.ball.c
        if norm.training or norm.batch_statistics:
            if t.numel() < 2 * t.shape[1]:
                raise ValueError("statistics of a batch need at least 2 positions; use the running statistics for a single one")
            centre, variance = self.operations.statistics(t, c, self.mean)
            return BatchMidpoint(centre, variance, norm.mean, norm.var, float(c), "batch")
        return BatchMidpoint(ball.exp0(norm.running_mean[0], c), norm.running_var, norm.mean, norm.var, float(c), "running")


class MidpointNorm(nn.Module):
    """Batch normalisation around the gyromidpoint of all positions, t [B, C, …] → the same shape.

    Running statistics are kept as the released code only planned to: the running mean, stored as a tangent vector, is the gyromidpoint
    of itself and the batch's with weights 1 − momentum and momentum; so a single picture is predicted as in a batch.

    Args:
        batch_statistics: take the statistics of the batch in evaluation mode too, as the released code does.
        mean: "frechet" takes the iterative Fréchet mean instead of the midpoint.
        momentum: weight of a new batch; None averages all batches alike (see `resnet.recalibrate`).
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self, channels: int, on: Ball, batch_statistics: bool, mean: Mean, operations: Operations, momentum: float | None = 0.1
    ) -> None:
        super().__init__()
        self.ball, self.batch_statistics, self.momentum, self.operations = on, batch_statistics, momentum, operations
        self.mean = nn.Parameter(torch.zeros(channels))
        self.var = nn.Parameter(torch.tensor(1.0))
        self.register_buffer("running_mean", torch.zeros(1, channels))
        self.register_buffer("running_var", torch.tensor(1.0))
        self.seen = 0  # batches since the statistics were reset
        self.statistics = Statistics(mean, operations)

    def forward(self, t: Tensor) -> Tensor:
        require_precision(t)
        found: BatchMidpoint = self.statistics(t, self)
        if self.training:
            self._remember(found)
        return self.operations.normalise(t, found.centre, found.variance, found.target, found.spread, self.ball.c)

    def reset(self) -> None:
        """Forget the running statistics."""
        self.running_mean.zero_()
        self.running_var.fill_(1)
        self.seen = 0

    @torch.no_grad()
    def _remember(self, found: BatchMidpoint) -> None:
        self.seen += 1
        new = 1 / self.seen if self.momentum is None else self.momentum
        both = torch.stack([ball.exp0(self.running_mean[0], self.ball.c), found.centre])
        weights = both.new_tensor([1 - new, new])
        self.running_mean.copy_(ball.log0(ball.midpoint(both, self.ball.c, weights), self.ball.c)[None])
        self.running_var.lerp_(found.variance.to(self.running_var.dtype), new)


class PoincareBatchNorm2d(nn.Module):
    """`MidpointNorm` under the names of the released code (`norm.mean`, `norm.var`, …), t [B, C, H, W] → the same shape."""

    def __init__(
        self,
        channels: int,
        c: float = 0.1,
        batch_statistics: bool = False,
        mean: Mean = "midpoint",
        operations: Operations = CLOSED,
    ) -> None:
        super().__init__()
        self.ball = Ball(c)
        self.norm = MidpointNorm(channels, self.ball, batch_statistics, mean, operations)

    def forward(self, t: Tensor) -> Tensor:
        return self.norm(t)


class MobiusSkip(nn.Module):
    """log0(exp0(y) ⊕ exp0(r)), y being what the block computed and r what it skips.

    Args:
        axis: along which the vectors lie: 1, the channels. The released code takes −1, the width of the picture, by a slip.
    """

    def __init__(self, axis: int = 1, operations: Operations = CLOSED) -> None:
        super().__init__()
        self.axis, self.operations = axis, operations

    def forward(self, y: Tensor, r: Tensor, c: Tensor) -> Tensor:
        return self.operations.add(y, r, c, self.axis)
