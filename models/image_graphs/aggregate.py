"""Max-relative aggregation: each patch takes, per channel, the largest feature difference to a neighbour.

ViG          r_i = max_j (x_j − x_i)
GreedyViG    r_i = max(0, max_j (x_j − x_i))
MobileViG    r_i = max(0, max_j (x_i − x_j))            the opposite sign; official weights need it
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.structures import Aggregation, PatchGraph


class _BestNeighbour(torch.autograd.Function):
    """Per channel the largest of `sign · key[j]` over the neighbours j, without ever holding [B, N, K, C].

    Value and source travel in one integer, (value's bits in sortable order, complement of the source index), so that a
    plain integer maximum finds both: three times faster than comparing and selecting. Equal values: the lower index wins.
    """

    @staticmethod
    def forward(ctx, keys: Tensor, index: Tensor, mask: Tensor | None, sign: int) -> tuple[Tensor, Tensor]:
        signed = keys if sign > 0 else -keys
        value, winner = (_best_wide if keys.dtype == torch.float64 else _best_packed)(signed, index, mask)
        ctx.save_for_backward(winner)
        ctx.keys_shape, ctx.sign = keys.shape, sign
        ctx.mark_non_differentiable(winner)
        return value, winner

    @staticmethod
    def backward(ctx, grad: Tensor, _: Tensor) -> tuple[Tensor, None, None, None]:
        (winner,) = ctx.saved_tensors
        batch, m, channels = ctx.keys_shape
        out = grad.new_zeros(batch, m + 1, channels)  # the extra row takes what nobody won
        out.scatter_add_(1, torch.where(winner < 0, m, winner).long(), grad if ctx.sign > 0 else -grad)
        return out[:, :m], None, None, None


def _best_packed(keys: Tensor, index: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Largest value [B, N, C] and its source [B, N, C] int32, by an integer maximum over the slots of `index`."""
    batch, m, channels = keys.shape
    packed = _pack(keys)
    if mask is not None:  # candidates that are no edges point to an extra row that never wins
        lowest = packed.new_full((batch, 1, channels), torch.iinfo(packed.dtype).min)
        packed, index = torch.cat([packed, lowest], 1), torch.where(mask, index, m)
    offset = torch.arange(batch, device=keys.device)[:, None, None] * packed.shape[1]
    rows = (index + offset).permute(2, 0, 1).reshape(index.shape[2], -1)
    flat = packed.reshape(-1, channels)
    best = flat.index_select(0, rows[0])
    for slot in rows[1:]:
        torch.maximum(best, flat.index_select(0, slot), out=best)
    return _unpack(best.view(batch, -1, channels), keys.dtype)


def _best_wide(keys: Tensor, index: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """The same in float64, whose bits leave no room for the source. It holds [B, N, K, C]: meant for checks."""
    batch, _, channels = keys.shape
    index = index.expand(batch, -1, -1)
    value = keys[torch.arange(batch, device=keys.device)[:, None, None], index]
    if mask is not None:
        value = value.masked_fill(~mask[..., None], -torch.inf)
    best, slot = value.max(2)
    winner = index[..., None].expand(-1, -1, -1, channels).gather(2, slot[:, :, None])[:, :, 0].to(torch.int32)
    nobody = torch.zeros_like(winner, dtype=torch.bool) if mask is None else ~mask.any(-1, keepdim=True)
    return best, winner.masked_fill(nobody, -1)


def _pack(keys: Tensor) -> Tensor:
    """[B, M, C] of 16-bit (32-bit) floats → int32 (int64): sortable bits above, ~source below."""
    m = keys.shape[1]
    half = keys.dtype != torch.float32
    if half and m > 1 << 16:
        return _pack(keys.float())
    bits, wide, shift = (torch.int16, torch.int32, 16) if half else (torch.int32, torch.int64, 32)
    raw = keys.contiguous().view(bits)
    sortable = torch.where(raw < 0, raw ^ torch.iinfo(bits).max, raw).to(wide) << shift
    source = torch.arange(m, device=keys.device, dtype=wide)[None, :, None]
    return sortable | ((1 << shift) - 1 - source)


def _unpack(packed: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The float values and the source indices (−1 where nothing won)."""
    wide = packed.dtype == torch.int64
    bits, shift = (torch.int32, 32) if wide else (torch.int16, 16)
    raw = (packed >> shift).to(bits)
    value = torch.where(raw < 0, raw ^ torch.iinfo(bits).max, raw).view(torch.float32 if wide else dtype)
    nobody = packed == torch.iinfo(packed.dtype).min
    winner = ((1 << shift) - 1 - (packed & ((1 << shift) - 1))).to(torch.int32)
    return value.to(dtype), winner.masked_fill(nobody, -1)


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
        relative = best - nodes if self.sign > 0 else best + nodes
        lost = relative <= 0 if self.floor else winner < 0
        if self.floor and mask is not None:
            lost = lost | (winner < 0)
        return Aggregation(relative.masked_fill(lost, 0), winner.masked_fill(lost, -1))


def to_nodes(x: Tensor) -> Tensor:
    """[B, C, H, W] → [B, N, C], contiguous."""
    return x.flatten(2).transpose(1, 2).contiguous()


def to_grid(nodes: Tensor, grid: tuple[int, int]) -> Tensor:
    """[B, N, C] → [B, C, H, W]."""
    return nodes.transpose(1, 2).reshape(nodes.shape[0], nodes.shape[2], *grid)
