"""What the exhibits of HiPrune share: look at an encoder layer by layer, choose patches, and describe both for the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer.diagnostics import Measure
from explorer.diagnostics.attention import FUSIONS, HeadProfile, head_profile, patch_distances, rollout
from explorer.diagnostics.selection import padded_patches
from explorer.diagnostics.tokens import attention_summary, selection_summary
from explorer.exhibit import BadRequest, Intervention, Layer
from explorer.views.arrays import pack
from models.structures import AttentionMaps, LayerAttention, NonFiniteError, Structure, TokenSelection
from models.structures.tokens import OTHER, PRUNED
from models.tokens.attention_capture import Encoder
from models.tokens.baselines import random_patches
from models.tokens.hiprune import dispersion, select

Grid = tuple[int, int]
Labels = tuple[np.ndarray, bool] | None
Progress = Callable[[int, int], None]

SHARES = (0.05, 0.1, 0.25)  # of the patches, for the curves of the dispersion
DISCARDED = (0.0, 0.9)  # of the smallest attention of each layer, for rollout
CUTS = ("patch", "keep")
MIDDLE = 1 / 6  # of a side: how far from the middle a patch still counts for what the picture shows


# ---------------------------------------------------------------------------------------------------------- the encoder


@dataclass(frozen=True)
class Sight:
    """What an encoder looks at in one picture, in CPU memory.

    Attributes:
        maps: attention received in every layer; no full matrix is kept.
        layers: one by one, each with its attention as the mean over the heads.
        profiles: how widely and how far the heads of each layer look, by layer.
        flows: attention followed through all layers to the patches, [N], by how heads are fused and which share is discarded; empty
            where a layer attends inside windows.
    """

    maps: AttentionMaps
    layers: tuple[LayerAttention, ...]
    profiles: Mapping[int, HeadProfile]
    flows: Mapping[tuple[str, float], np.ndarray]

    def fused(self) -> AttentionMaps:
        """The maps with every layer opened, its heads already averaged ("one head")."""
        return replace(self.maps, opened={layer.layer: layer.fused[:, None] for layer in self.layers if layer.fused is not None})


@torch.inference_mode()
def look_at(encoder: Encoder, inputs: Mapping[str, Tensor], progress: Progress | None = None) -> Sight:
    """Run an encoder on one picture. Only one layer's full matrix is in memory at a time, whatever the depth.

    Args:
        progress: called with (layers that are done, all layers).

    Raises:
        models.structures.NonFiniteError: attention or features hold NaN or infinity.
    """
    grid = encoder.grid_of(inputs)
    fused: dict[str, dict[int, Tensor]] = {fusion: {} for fusion in FUSIONS}
    profiles: dict[int, HeadProfile] = {}

    def watch(layer: int, attention: Tensor) -> None:
        one = attention[:1].cpu()
        if not torch.isfinite(one).all():
            share = 100 * (1 - torch.isfinite(one).float().mean().item())
            raise NonFiniteError(f"layer {layer}: {share:.1f} % of its attention is not a finite number")
        for fusion, joined in zip(FUSIONS, (one.mean(1), one.amax(1), one.amin(1)), strict=True):
            fused[fusion][layer] = joined
        profiles[layer] = head_profile(one, grid, one.shape[-1] - grid[0] * grid[1])
        if progress:
            progress(layer, encoder.n_layers)

    maps = encoder(inputs, watch=watch).cpu()
    maps.require_finite("the attention of the encoder")
    layers = tuple(maps.at(layer, fused["mean"][layer]) for layer in range(1, maps.n_layers + 1))
    return Sight(maps, layers, profiles, {} if maps.windowed else _flows(maps, fused))


def _flows(maps: AttentionMaps, fused: Mapping[str, Mapping[int, Tensor]]) -> dict[tuple[str, float], np.ndarray]:
    bare = replace(maps, features=None, passed=None)
    opened = {fusion: replace(bare, opened={layer: one[:, None] for layer, one in found.items()}) for fusion, found in fused.items()}
    return {(fusion, share): rollout(opened[fusion], discard=share)[maps.prefix :] for fusion in FUSIONS for share in DISCARDED}


# --------------------------------------------------------------------------------------------------------- the selection


def chosen(
    maps: AttentionMaps, budget: int, alpha: float, edge: str, layers: tuple[int, int], head: int = 0, release: str = "paper"
) -> TokenSelection:
    """HiPrune under the visitor's settings.

    Args:
        layers: (object layer, deep layer), from 1; 0 takes what the paper takes for the encoder.
        head: one head of the object layer alone, from 1; 0 is the mean over the heads.
        release: "paper", or "Qwen code": scores are summed over the queries and what was chosen is lowered by 1 only, so a patch
            that draws much attention is chosen again and fewer remain.

    Raises:
        ValueError: a layer or head does not exist, or a layer attends inside windows; and as `models.tokens.hiprune.select`.
    """
    first, second = (asked or usual for asked, usual in zip(layers, maps.suggested, strict=True))
    for layer in (first, second):
        maps.require_layer(layer)
        if layer in maps.windowed:
            raise ValueError(f"layer {layer} attends inside windows (its matrix is block-diagonal); choose a layer with full attention")
    middle, deep = maps.score(first, head - 1 if head else None), maps.score(second)
    if release == "Qwen code":
        middle, deep = (score * round(1 / maps.uniform) for score in (middle, deep))
    found = select(middle, deep, maps.grid, budget, alpha, edge, release == "paper", (first, second))
    return replace(found, settings={**found.settings, "head": head, "release": release})


def edited(selection: TokenSelection, cuts: Sequence[Intervention]) -> TokenSelection:
    """The selection as the visitor changed it: "keep" keeps exactly the listed patches, "patch" drops the listed ones.

    Raises:
        BadRequest: there is no such patch.
    """
    n = selection.role.shape[1]
    role = selection.role.clone()
    for cut in cuts:
        patches = [patch for patch, _ in cut.pairs]
        wrong = [patch for patch in patches if not 0 <= patch < n]
        if wrong:
            raise BadRequest(
                f"there is no patch {wrong[0]}; the grid of {selection.grid[0]} × {selection.grid[1]} has patches 0 to {n - 1}"
            )
        if cut.kind == "patch":
            role[:, patches] = PRUNED
            continue
        stays = torch.zeros(n, dtype=torch.bool)
        stays[patches] = True
        role = torch.where(stays, torch.where(role == PRUNED, OTHER, role), PRUNED).to(role.dtype)
    if torch.equal(role, selection.role):
        return selection
    kept = torch.nonzero(role[0] != PRUNED)[:, 0]
    earlier = selection.order[0][torch.isin(selection.order[0], kept)]
    order = torch.cat([earlier, kept[~torch.isin(kept, earlier)]])
    return replace(selection, role=role, order=order[None], settings={**selection.settings, "edited": True})


def marked(maps: AttentionMaps, patches: Any) -> Tensor:
    """A visitor's list of patches as a mask, [1, N] bool.

    Raises:
        BadRequest: it is no list of patches that exist.
    """
    n = maps.grid[0] * maps.grid[1]
    if not isinstance(patches, list) or not all(type(patch) is int and 0 <= patch < n for patch in patches):
        raise BadRequest(f"patches must be a list of numbers from 0 to {n - 1}")
    mask = torch.zeros(1, n, dtype=torch.bool)
    mask[0, patches] = True
    return mask


# ----------------------------------------------------------------------------------------------------------- the object


def object_of(labels: np.ndarray, grid: Grid) -> int | None:
    """The segment that the picture is of, as far as places tell: of those that do not reach all four borders the one with most
    weight near the middle. None without any known segment. (Ours; the page lets the visitor choose another one.)"""
    flat = np.asarray(labels).reshape(grid)
    names = [int(name) for name in np.unique(flat) if name >= 0]
    row, column = np.meshgrid(*(np.linspace(-0.5, 0.5, side) for side in grid), indexing="ij")
    weight = np.exp(-(row**2 + column**2) / (2 * MIDDLE**2))

    def bordered(name: int) -> bool:
        return all((side == name).any() for side in (flat[0], flat[-1], flat[:, 0], flat[:, -1]))

    inside = [name for name in names if not bordered(name)] or names
    return max(inside, key=lambda name: float(weight[flat == name].sum()), default=None)


def object_mask(labels: Labels, grid: Grid) -> np.ndarray | None:
    """1 on the object, 0 beside it, −1 where unknown, [N]; None where it is not known (segments found by colour do not count)."""
    if labels is None or not labels[1]:
        return None
    flat = labels[0].reshape(-1)
    name = object_of(flat, grid)
    return None if name is None else np.where(flat < 0, -1, flat == name).astype(np.int64)


# ------------------------------------------------------------------------------------------------------------- the page


def layers_of(sight: Sight, selection: TokenSelection) -> list[Layer]:
    """One layer of the scene per layer of the encoder."""
    h, w = sight.maps.grid
    names = {selection.layers[1]: "deep", selection.layers[0]: "object"} if selection.layers else {}
    found = []
    for one in sight.layers:
        parts = [f"Layer {one.layer}", names.get(one.layer, ""), f"{h} × {w}", "windows" if one.windowed else ""]
        held: dict[str, Structure] = {"selection": selection, "attention": one}
        if one.layer == sight.maps.n_layers:
            held["maps"] = sight.maps  # with the features that go on to a reader
        found.append(Layer(f"layer {one.layer}", " · ".join(filter(None, parts)), held))
    return found


def curves(maps: AttentionMaps) -> list[np.ndarray]:
    """The dispersion of each layer for each of SHARES, [3][L]."""
    return [dispersion(maps, share)[0].numpy() for share in SHARES] if maps.features is not None else []


def measures(
    sight: Sight, selection: TokenSelection, labels: Labels, seen: np.ndarray, spread: Sequence[np.ndarray], more: Sequence[Measure] = ()
) -> dict[str, list[Measure]]:
    """What the diagnostics say: of the selection, then of each layer on its own."""
    maps, objects = sight.maps, object_mask(labels, sight.maps.grid)
    features = None if maps.features is None else maps.features[0]
    ours = selection_summary(selection, objects=objects, features=features, padding=padded_patches(seen, maps.grid))
    found = {}
    for one in sight.layers:
        own = attention_summary(
            replace(maps, features=None, passed=None),
            object_layer=one.layer,
            deep_layer=one.layer,
            objects=objects,
            dispersion=spread[1] if len(spread) else None,
            profiles={one.layer: sight.profiles[one.layer]},
        )
        found[f"layer {one.layer}"] = [*ours, *more, *(m for m in own if m.key != "layers_alike")]
    return found


def described(
    sight: Sight, selection: TokenSelection, labels: Labels, spread: Sequence[np.ndarray], presets: Sequence[int]
) -> dict[str, Any]:
    """What the page needs of the whole encoder, beside its layers (`extras.tokens`)."""
    maps = sight.maps
    row = sight.layers[(selection.layers or maps.suggested)[1] - 1].fused
    return {
        "prefix": maps.prefix,
        "uniform": maps.uniform,
        "suggested": list(maps.suggested),
        "windowed": list(maps.windowed),
        "presets": list(presets),
        "profiles": [
            {"entropy": p.entropy.tolist(), "distance": p.distance.tolist()}
            for p in map(sight.profiles.__getitem__, sorted(sight.profiles))
        ],
        "uniformDistance": float(patch_distances(maps.grid).mean()),
        "dispersion": {"shares": SHARES, "values": [curve.tolist() for curve in spread]} if len(spread) else None,
        "rollouts": [{"fusion": fusion, "discard": share, "values": pack(flow, "f32")} for (fusion, share), flow in sight.flows.items()],
        "random": pack(random_patches(maps, maps.grid[0] * maps.grid[1]).order[0], "u16"),
        "classRow": pack(row[0, 0, maps.prefix :].numpy(), "f32") if maps.prefix and row is not None else None,
        "object": None if labels is None else object_of(labels[0].reshape(-1), maps.grid),
    }
