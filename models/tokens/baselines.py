"""Simpler rules that HiPrune is compared with. Each takes the attention of an encoder and a budget, and keeps exactly that many.

The role of a patch is the one of HiPrune where the rule is a part of it, else "other". Ties are broken by the lower index.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from models.structures import AttentionMaps, TokenSelection
from models.structures.tokens import ANCHOR, BUFFER, OTHER
from models.tokens.hiprune import HiPrune, neighbours, ranked_by

Grid = tuple[int, int]
Rule = Callable[[AttentionMaps, int], TokenSelection]


def random_patches(maps: AttentionMaps, budget: int, seed: int = 0) -> TokenSelection:
    """Any patches, other ones for each picture. Equal seed, equal choice."""
    generator = torch.Generator().manual_seed(seed)
    shape = maps.score(maps.suggested[1]).shape
    order = ranked_by(torch.rand(shape, generator=generator)).to(maps.received.device)
    return _kept(maps, order, budget, "random", seed=seed)


def uniform_grid(maps: AttentionMaps, budget: int) -> TokenSelection:
    """Patches spread evenly: rows at equal distances, in each of them columns at equal distances, in raster order."""
    n = maps.grid[0] * maps.grid[1]
    places = evenly_spaced(maps.grid, min(_at_least_one(budget), n))
    return _kept(maps, places.to(maps.received.device).expand(len(maps.received), -1), budget, "uniform grid")


def evenly_spaced(grid: Grid, count: int) -> Tensor:
    """Raster indices of exactly `count` patches that are spread over a grid, [count] int64, rising.

    Raises:
        ValueError: there are not so many patches.
    """
    h, w = grid
    if not 1 <= count <= h * w:
        raise ValueError(f"{count} patches were to be spread over a grid of {h} × {w}; it must be 1 to {h * w}")
    rows = min(h, max(round((count * h / w) ** 0.5), -(-count // w)))
    ends = [(i + 1) * count // rows for i in range(rows)]
    places = []
    for i, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        row = (2 * i + 1) * h // (2 * rows)
        places += [row * w + (2 * j + 1) * w // (2 * (end - start)) for j in range(end - start)]
    return torch.tensor(places)


def class_row(maps: AttentionMaps, budget: int, layer: int | None = None) -> TokenSelection:
    """The patches that the class token attends to most, mean over the heads (as FasterVLM and others).

    Args:
        layer: from 1; the deep layer of HiPrune by default. It must be among the opened layers.

    Raises:
        ValueError: the encoder has no class token, or the layer was not opened.
    """
    layer = maps.suggested[1] if layer is None else layer
    maps.require_layer(layer)
    if maps.prefix == 0:
        raise ValueError("the encoder has no class token, so there is no row of it to read")
    if layer not in maps.opened:
        raise ValueError(f"the full attention of layer {layer} was not kept; look at the picture with opened=[{layer}]")
    row = maps.opened[layer][:, :, 0, maps.prefix :].mean(1)
    found = _kept(maps, ranked_by(row), budget, "class token")
    return replace(found, deep_score=row, layers=(maps.suggested[0], layer))


def registers_only(maps: AttentionMaps, budget: int) -> TokenSelection:
    """The highest of the deep layer: HiPrune with alpha 0."""
    return HiPrune(tokens=budget, alpha=0.0)(maps)


def object_only(maps: AttentionMaps, budget: int) -> TokenSelection:
    """The highest of the object layer, all of them anchors without neighbours."""
    order = ranked_by(maps.score(maps.suggested[0]))
    return _kept(maps, order, budget, "object layer", ANCHOR)


def anchors_and_buffers(maps: AttentionMaps, budget: int, edge: str = "grid") -> TokenSelection:
    """Anchors and their neighbours without registers: as few anchors as fill the budget together with their buffers."""
    mid, deep = maps.score(maps.suggested[0]), maps.score(maps.suggested[1])
    limit = min(_at_least_one(budget), mid.shape[1])
    parts = [_crosses(score, maps.grid, limit, edge) for score in mid]
    role, order = (torch.stack(part) for part in zip(*parts, strict=True))
    settings: dict[str, float | str | bool] = {"rule": "anchors and buffers", "edge": edge, "asked": budget}
    return TokenSelection(role, order, mid, deep, maps.grid, limit, maps.suggested, settings)


def _crosses(score: Tensor, grid: Grid, budget: int, edge: str) -> tuple[Tensor, Tensor]:
    """(role [N], order [budget]) of one picture; buffers that do not fit are left out."""
    ranked = ranked_by(score)
    covered = torch.zeros(len(score), dtype=torch.bool, device=score.device)
    count = 0
    while int(covered.sum()) < budget:
        anchor = ranked[count : count + 1]
        covered[anchor] = True
        covered[neighbours(anchor, grid, edge)] = True
        count += 1
    covered[ranked[:count]] = False
    order = torch.cat([ranked[:count], ranked[covered[ranked]]])[:budget]
    role = torch.zeros(len(score), dtype=torch.int8, device=score.device)
    role[order] = BUFFER
    role[ranked[:count]] = ANCHOR
    return role, order


def _kept(maps: AttentionMaps, order: Tensor, budget: int, rule: str, role: int = OTHER, **settings: int) -> TokenSelection:
    """The first `budget` patches of each row of `order` [B, ≥ budget], all in one role."""
    mid, deep = maps.score(maps.suggested[0]), maps.score(maps.suggested[1])
    kept = order[:, : min(_at_least_one(budget), mid.shape[1])]
    roles = torch.zeros(mid.shape, dtype=torch.int8, device=mid.device).scatter(1, kept, role)
    told: dict[str, float | str | bool] = {"rule": rule, "asked": budget, **settings}
    return TokenSelection(roles, kept.contiguous(), mid, deep, maps.grid, kept.shape[1], maps.suggested, told)


def _at_least_one(budget: int) -> int:
    if budget < 1:
        raise ValueError(f"{budget} tokens were to be kept; it must be at least 1")
    return budget


BASELINES: Mapping[str, Rule] = {
    "random": random_patches,
    "uniform grid": uniform_grid,
    "class token": class_row,
    "registers only": registers_only,
    "object layer only": object_only,
    "anchors and buffers only": anchors_and_buffers,
}
