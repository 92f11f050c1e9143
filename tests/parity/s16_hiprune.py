"""HiPrune: scores, anchors, buffers, registers and kept patches, rebuilt from the stored queries and keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from models.structures import TokenSelection
from models.structures.tokens import ANCHOR, BUFFER, REGISTER
from models.tokens import hiprune
from tests.parity.case import Case, CaseError, Check, KeyFile, close, equal, unknown

ROLES = {"anchors": ANCHOR, "buffers": BUFFER, "registers": REGISTER}


def shapes(keys: KeyFile) -> dict[str, tuple[int, ...]]:
    raise CaseError("HiPrune has no weights")


def check(case: Case) -> Iterator[Check]:
    qwen = any(name.endswith(".window_index") for name in case.tensors)
    found: dict[str, Tensor] = {}
    for entry in case.about["cases"]:
        scores = {layer: _score(case, entry["inputs"], layer, qwen) for layer in ("mid", "deep")}
        found |= {f"internal.{entry['inputs']}.{layer}_score": score for layer, score in scores.items()}
        exact = _select(entry, scores, exact=True)
        found |= _stored(entry["name"], exact)
        if qwen:
            found[f"output.{entry['name']}.kept_exact"] = exact.kept()
            found[f"output.{entry['name']}.kept_reference"] = _select(entry, scores, exact=False).kept()
            yield from _counts(entry, found)
    for name, stored in case.tensors.items():
        if name.startswith("input."):
            continue
        if name not in found:
            yield unknown(name)
        elif stored.is_floating_point():
            yield close(name, found[name].view(stored.shape), stored, 1e-5 if qwen else 1e-7, 0)
        else:
            yield equal(name, found[name], stored)


def _select(entry: Mapping[str, Any], scores: Mapping[str, Tensor], exact: bool) -> TokenSelection:
    """Our selection of one stored case; LLaVA-NeXT gives a budget over all tiles, Qwen2.5-VL a share."""
    grid = tuple(entry["grid"] if "grid" in entry else entry["merged_grid"])
    if "retain" in entry:
        budget = hiprune.tokens_of_ratio(grid[0] * grid[1], entry["retain"])
    elif "budget_total" in entry:
        budget = hiprune.tokens_per_tile(entry["budget_total"], entry["tiles"])
    else:
        budget = entry["budget"]
    return hiprune.select(scores["mid"], scores["deep"], (grid[0], grid[1]), budget, entry["alpha"], entry.get("edge", "clamp"), exact)


def _stored(name: str, selection: TokenSelection) -> dict[str, Tensor]:
    """What a case may store of a selection, by its name in the file."""
    roles = {f"internal.{name}.{role}": selection.of(code) for role, code in ROLES.items()}
    return {**roles, f"output.{name}.kept": selection.kept(), f"output.{name}.keep_mask": selection.mask}


def _counts(entry: Mapping[str, Any], found: Mapping[str, Tensor]) -> Iterator[Check]:
    """The numbers that a case of Qwen2.5-VL lists beside its tensors."""
    name = entry["name"]
    listed = {
        "budget": len(found[f"output.{name}.kept_exact"]),
        "anchors": len(found[f"internal.{name}.anchors"]),
        "kept_by_reference": len(found[f"output.{name}.kept_reference"]),
    }
    for what, ours in listed.items():
        if what in entry:
            yield equal(f"{name}: {what}", torch.tensor([ours]), torch.tensor([entry[what]]), note=str(entry[what]))


def _score(case: Case, inputs: str, layer: str, qwen: bool) -> Tensor:
    """Scores of one layer [B, N] from what the case stores of it: queries and keys, or the row that all queries share."""
    tensors = {name.rpartition(".")[2]: tensor.float() for name, tensor in case.tensors.items() if name.startswith(f"input.{inputs}.")}
    if f"{layer}_row" in tensors:
        row = tensors[f"{layer}_row"]
        return hiprune.received_attention(row.expand(1, 1, len(row), -1))
    q, k = tensors[f"q_{layer}"], tensors[f"k_{layer}"]
    attention = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
    if qwen:
        return hiprune.received_in_windows([attention[None]], tensors["window_index"].long())
    return hiprune.received_attention(attention)
