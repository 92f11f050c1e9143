"""A task for hypernetworks: digits that are turned by γ · 180°, and a network for every γ.

Pictures are 12 × 12, the generated network is `mip.MainNet` (convolutions 1 → 8 → 16, global mean, linear layer); the task is ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.hypernetworks.mip import HyperNet, MainNet, variant
from models.hypernetworks.targets import shape_table
from models.structures import WeightPath

SIDE = 12
NAMES = ("default", "input_only", "output_only", "mip")
OPTIMISERS = ("Adam", "SGD")


@lru_cache(maxsize=1)
def main_network() -> MainNet:
    """The network whose weights are generated; its own are never used."""
    return MainNet().eval().requires_grad_(False)


def hypernetwork(name: str, seed: int = 0, nonlinearity: str = "LeakyReLU") -> HyperNet:
    """One of mip.VARIANTS with hidden layers of 16 and 64; variants of one seed start from the same random numbers.

    Raises:
        KeyError: no such variant.
    """
    shapes = shape_table(main_network())  # before the seed: a network that is made draws numbers of its own
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return variant(name, {"gamma": (1,)}, shapes, hidden_sizes=(16, 64), nonlinearity=nonlinearity)


def turned(pixels: Tensor, gamma: Tensor | float) -> Tensor:
    """Pictures [B, 1, H, W] enlarged to 12 × 12 and turned anticlockwise by γ · 180°; γ is a number or [B]."""
    angle = torch.as_tensor(gamma, dtype=pixels.dtype, device=pixels.device).expand(len(pixels)) * math.pi
    zero = torch.zeros_like(angle)
    rows = [torch.stack([angle.cos(), -angle.sin(), zero], 1), torch.stack([angle.sin(), angle.cos(), zero], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), [len(pixels), 1, SIDE, SIDE], align_corners=False)
    return F.grid_sample(pixels, grid, align_corners=False)


def logits(net: HyperNet, gamma: float, pictures: Tensor) -> Tensor:
    """[B, classes] of the network that is made for γ."""
    return answers(net(pictures.new_tensor([[gamma]])).weights, pictures)


def answers(weights: Mapping[str, Tensor], pictures: Tensor) -> Tensor:
    """`mip.MainNet` with these weights, [B, classes].

    Written out, because calling one shared module with other weights is not safe while another thread does the same.
    """
    return _layers(weights, pictures)[-1]


def _layers(weights: Mapping[str, Tensor], x: Tensor) -> list[Tensor]:
    """Outputs of both convolutions, [B, C, H, W], and of the classifier, [B, classes]."""
    found = []
    for name in main_network().convolutions:
        x = F.leaky_relu(F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"]))
        found.append(x)
    return [*found, F.linear(x.mean((2, 3)), weights["fc.weight"], weights["fc.bias"])]


@torch.no_grad()
def along(net: HyperNet, gammas: Sequence[float], pixels: Tensor) -> WeightPath:
    """The weights at every γ, and what they do to pictures turned accordingly. `pixels` [B, 1, 8, 8]."""
    inputs = torch.tensor(gammas)[:, None]
    flat = net.generate(inputs)
    names = tuple(net.output_shapes)
    base = net.backbone.last.bias.detach().clone()
    layers, activation = ("c1", "c2", "fc"), []
    for gamma, row in zip(gammas, flat, strict=True):
        parts = zip(net.output_shapes.items(), row.split(net.sizes), strict=True)
        activation.append(_activations({name: part.view(shape) for (name, shape), part in parts}, turned(pixels, gamma)))
    return WeightPath(inputs[:, 0], net.encoding(inputs), flat, base, names, tuple(net.sizes), torch.tensor(activation), layers)


def _activations(weights: Mapping[str, Tensor], pictures: Tensor) -> list[float]:
    """Standard deviation over pictures and places of both convolutions' and the classifier's outputs, mean over channels."""
    return [x.movedim(1, 0).flatten(1).std(1, correction=0).mean().item() for x in _layers(weights, pictures)]


def gradient_norms(net: HyperNet, draws: Sequence[float], data: tuple[Tensor, Tensor], batch: int, seed: int) -> list[float]:
    """‖∇ω loss‖₂ for every drawn γ, each on a batch of its own; nothing is changed."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    parameters = list(net.parameters())
    for gamma in draws:
        chosen = torch.randint(len(data[1]), (batch,), generator=generator)
        with torch.enable_grad():
            loss = F.cross_entropy(logits(net, gamma, turned(data[0][chosen], gamma)), data[1][chosen])
            gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        found.append(torch.stack([g.square().sum() for g in gradients if g is not None]).sum().sqrt().item())
    return found


@dataclass(frozen=True)
class Race:
    """One step of several variants that are trained side by side.

    Attributes:
        step: steps done, from 1.
        gamma: of this step, the same for all variants.
        loss, gradient: of every variant, before the step.
    """

    step: int
    gamma: float
    loss: dict[str, float]
    gradient: dict[str, float]


def race(
    nets: Mapping[str, HyperNet],
    data: tuple[Tensor, Tensor],
    steps: int,
    optimiser: str = "Adam",
    rate: float = 1e-3,
    batch: int = 64,
    seed: int = 0,
) -> Iterator[Race]:
    """Train every variant on the same γ, pictures and order; the networks change.

    Args:
        optimiser: "Adam" or "SGD" (momentum 0.9).
    """
    generator = torch.Generator().manual_seed(seed)
    made: dict[str, torch.optim.Optimizer] = {}
    for name, net in nets.items():
        own = list(net.parameters())
        made[name] = torch.optim.Adam(own, lr=rate) if optimiser == "Adam" else torch.optim.SGD(own, lr=rate, momentum=0.9)
    for step in range(1, steps + 1):
        gamma = torch.rand((), generator=generator).item()
        chosen = torch.randint(len(data[1]), (batch,), generator=generator)
        x, y = turned(data[0][chosen], gamma), data[1][chosen]
        losses, norms = {}, {}
        for name, net in nets.items():
            with torch.enable_grad():
                loss = F.cross_entropy(logits(net, gamma, x), y)
                made[name].zero_grad()
                loss.backward()
            norms[name] = _norm(net)
            losses[name] = loss.item()
            made[name].step()
        yield Race(step, gamma, losses, norms)


def _norm(net: nn.Module) -> float:
    return torch.stack([p.grad.square().sum() for p in net.parameters() if p.grad is not None]).sum().sqrt().item()


@torch.no_grad()
def accuracy_along(net: HyperNet, gammas: Sequence[float], data: tuple[Tensor, Tensor]) -> list[float]:
    """Share of right answers on pictures turned by each γ."""
    return [(logits(net, gamma, turned(data[0], gamma)).argmax(1) == data[1]).float().mean().item() for gamma in gammas]
