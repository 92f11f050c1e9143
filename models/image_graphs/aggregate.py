"""Max-relative aggregation: each patch takes, per channel, the largest feature difference to a neighbour.

    ViG          r_i = max_j (x_j − x_i)                    (card S00, eq. in §2)
    GreedyViG    r_i = max(0, max_j (x_j − x_i))
    MobileViG    r_i = max(0, max_j (x_i − x_j))            the opposite sign; official weights need it
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.structures import Aggregation, PatchGraph


class _BestNeighbour(torch.autograd.Function):
    """Per channel the largest of `sign · key[j]` over the neighbours j, without ever holding [B, N, K, C]."""

    @staticmethod
    def forward(ctx, keys: Tensor, index: Tensor, mask: Tensor | None, sign: int) -> tuple[Tensor, Tensor]:
        batch, m, channels = keys.shape
        flat = (keys if sign > 0 else -keys).reshape(batch * m, channels)
        offset = torch.arange(batch, device=keys.device)[:, None] * m
        best = winner = None
        for slot in range(index.shape[2]):
            source = index[..., slot].expand(batch, -1)
            value = flat.index_select(0, (source + offset).reshape(-1)).view(batch, -1, channels)
            if mask is not None:
                value = value.masked_fill(~mask[..., slot, None], -torch.inf)
            column = source.to(torch.int32)[..., None]
            if best is None:
                best = value
                winner = column.expand(-1, -1, channels)
                if mask is not None:
                    winner = winner.masked_fill(~mask[..., slot, None], -1)
            else:
                better = value > best
                best = torch.maximum(best, value)
                winner = torch.where(better, column, winner)
        ctx.save_for_backward(winner)
        ctx.keys_shape, ctx.sign = keys.shape, sign
        ctx.mark_non_differentiable(winner)
        return best, winner

    @staticmethod
    def backward(ctx, grad: Tensor, _: Tensor) -> tuple[Tensor, None, None, None]:
        (winner,) = ctx.saved_tensors
        won = winner >= 0
        grad = torch.where(won, grad, 0) * ctx.sign
        out = torch.zeros(ctx.keys_shape, dtype=grad.dtype, device=grad.device)
        return out.scatter_add_(1, winner.clamp(min=0).long(), grad), None, None, None


class MaxRelative(nn.Module):
    """Max-relative aggregation along the edges of a PatchGraph.

    Args:
        sign: +1 for x_j − x_i, −1 for x_i − x_j.
        floor: take at least 0 (a patch may keep itself). Without it a patch that has no edge still gets 0.
    """

    def __init__(self, sign: int = 1, floor: bool = True) -> None:
        super().__init__()
        if sign not in (1, -1):
            raise ValueError(f"sign is {sign}; it must be +1 (x_j − x_i) or −1 (x_i − x_j)")
        self.sign, self.floor = sign, floor

    def forward(self, nodes: Tensor, keys: Tensor, graph: PatchGraph) -> Aggregation:
        """nodes [B, N, C], keys [B, M, C] (the same tensor unless keys are pooled) → Aggregation."""
        index, mask = graph.neighbours()
        if index.shape[2] == 0:
            nothing = torch.full(nodes.shape, -1, dtype=torch.int32, device=nodes.device)
            return Aggregation(torch.zeros_like(nodes), nothing)
        best, winner = _BestNeighbour.apply(keys, index, mask, self.sign)
        relative = best - nodes * self.sign
        lost = (winner < 0) | (relative <= 0) if self.floor else winner < 0
        return Aggregation(relative.masked_fill(lost, 0), winner.masked_fill(lost, -1))


def to_nodes(x: Tensor) -> Tensor:
    """[B, C, H, W] → [B, N, C], contiguous."""
    return x.flatten(2).transpose(1, 2).contiguous()


def to_grid(nodes: Tensor, grid: tuple[int, int]) -> Tensor:
    """[B, N, C] → [B, C, H, W]."""
    return nodes.transpose(1, 2).reshape(nodes.shape[0], nodes.shape[2], *grid)
