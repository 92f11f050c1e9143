"""Changes of predicted connections: another share of keys, fewer prototypes, keys chosen by another rule, edges and patches taken out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from models.structures import Connectivity, SparseAttention

RULES = ("predicted", "truly largest", "nearest", "random")


def largest(values: Tensor, count: int) -> Tensor:
    """True for the `count` largest entries of each row, ties by lower index, [..., M] bool."""
    if count >= values.shape[-1]:
        return torch.ones_like(values, dtype=torch.bool)
    order = values.sort(dim=-1, descending=True, stable=True).indices
    return torch.zeros_like(values, dtype=torch.bool).scatter(-1, order[..., :count], True)


def with_rows(connectivity: Connectivity, rows: Tensor) -> Connectivity:
    """The same with other keys for the patches, [B, H, N, T] bool; the class token still sees everything."""
    return replace(connectivity, mask=torch.cat([connectivity.mask[:, :, :1], rows], 2))


def keep(connectivity: Connectivity, rate: float) -> Connectivity:
    """⌈rate·T⌉ keys per patch by falling estimate.

    Raises:
        ValueError: the rate is not in (0, 1].
    """
    if not 0 < rate <= 1:
        raise ValueError(f"the keep rate is {rate}; it must be above 0 and at most 1")
    count = math.ceil(rate * connectivity.mask.shape[-1])
    found = with_rows(connectivity, largest(connectivity.estimate.detach(), count))
    return replace(found, settings={**connectivity.settings, "keep_rate": rate})


def simplified(connectivity: Connectivity, coefficients: int | None = None, threshold: float = 0.0) -> Connectivity:
    """Fewer prototypes per patch, and prototypes without their small entries; the estimate follows, the mask does not (see `keep`).

    Args:
        coefficients: how many of the prototypes that a patch mixes stay, the largest first; None leaves them.
        threshold: entries of the prototypes up to this value become 0.

    Raises:
        ValueError: no coefficient would stay, or the threshold is negative.
    """
    if coefficients is not None and coefficients < 1:
        raise ValueError(f"{coefficients} coefficients were to be kept; at least 1 is needed")
    if threshold < 0:
        raise ValueError(f"the threshold of the prototypes is {threshold}; it must be at least 0")
    mixed = connectivity.coefficients
    if coefficients is not None:
        mixed = mixed * largest(mixed, coefficients)
    basis = F.threshold(connectivity.basis, threshold, 0.0) if threshold > 0 else connectivity.basis
    told = {
        **connectivity.settings,
        "coefficients": coefficients if coefficients is not None else connectivity.settings.get("coefficients"),
    }
    return replace(connectivity, coefficients=mixed, basis=basis, estimate=mixed @ basis, settings=told)


def nearest_keys(connectivity: Connectivity, count: int) -> Connectivity:
    """The `count` nearest patches of each patch, itself first, ties by lower index; the class token is not among them."""
    h, w = connectivity.grid
    place = torch.stack(torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij"), -1).view(-1, 2).float()
    near = largest(-torch.cdist(place, place), min(count, h * w))
    rows = F.pad(near, (1, 0)).to(connectivity.mask.device)
    return with_rows(connectivity, rows.expand(*connectivity.mask.shape[:2], -1, -1))


def random_keys(connectivity: Connectivity, count: int, seed: int = 0) -> Connectivity:
    """`count` keys of each patch and head at random. Equal seed, equal choice."""
    batch, heads, tokens, _ = connectivity.mask.shape
    drawn = torch.rand(heads, tokens - 1, tokens, generator=torch.Generator().manual_seed(seed))
    return with_rows(connectivity, largest(drawn, count).to(connectivity.mask.device).expand(batch, -1, -1, -1))


def truly_largest(connectivity: Connectivity, attention: SparseAttention, count: int) -> Connectivity:
    """The `count` keys with the largest dense attention: what a perfect prediction would keep."""
    return with_rows(connectivity, largest(attention.dense[:, :, 1:], count))


def attend(attention: SparseAttention, mask: Tensor) -> SparseAttention:
    """Dense attention cut to a mask [B, H, T, T] and scaled to sum 1 again: the softmax over the allowed keys; 0 in rows without any."""
    allowed = attention.dense * mask
    return replace(attention, attention=allowed / allowed.sum(-1, keepdim=True).clamp_min(torch.finfo(allowed.dtype).tiny))


def without_edges(connectivity: Connectivity, pairs: Sequence[tuple[int, int]]) -> Connectivity:
    """No head of the listed (target, source) patches compares them any more. A pair that is not connected changes nothing.

    Raises:
        ValueError: there is no such patch.
    """
    mask = connectivity.mask.clone()
    for target, source in pairs:
        _require(connectivity, target)
        if 0 <= source < mask.shape[-1] - 1:
            mask[:, :, 1 + target, 1 + source] = False
    return replace(connectivity, mask=mask)


def without_patches(connectivity: Connectivity, patches: Sequence[int]) -> Connectivity:
    """The listed patches attend to nothing and are attended to by no patch (the class token still sees them).

    Raises:
        ValueError: there is no such patch.
    """
    mask = connectivity.mask.clone()
    for patch in patches:
        _require(connectivity, patch)
        mask[:, :, 1 + patch] = False
        mask[:, :, 1:, 1 + patch] = False
    return replace(connectivity, mask=mask)


def _require(connectivity: Connectivity, patch: int) -> None:
    h, w = connectivity.grid
    if not 0 <= patch < h * w:
        raise ValueError(f"there is no patch {patch}; the grid of {h} × {w} has patches 0 to {h * w - 1}")
