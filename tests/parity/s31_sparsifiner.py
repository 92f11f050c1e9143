"""Sparsifiner: coefficients, estimates, masks and attention of every block, patches that go on, features, logits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from models.capture import Trace, capture
from models.structures import Connectivity, SparseAttention, TokenDrop
from models.tokens import sparsifiner
from tests.parity.case import Case, CaseError, Check, KeyFile, changed, close, equal, load_strictly, observed, on_meta, shapes_of, unknown

TOLERANCE = 1e-5


def build(configuration: Mapping[str, Any]) -> sparsifiner.Sparsifiner:
    """Our model of a case's configuration."""
    c = dict(configuration)
    changed(c, ln_eps=1e-6)
    spar = c.get("spar", {})
    coefficients, score = spar.get("BASIS_COEF", {}), spar.get("ATTN_SCORE", {})
    rules = sparsifiner.Rules(
        basis_threshold=spar.get("BASIS_THRESHOLD", 0.02),
        coefficients=coefficients.get("TOPK", 8) if coefficients.get("USE_TOPK", True) else None,
        coefficient_threshold=coefficients.get("THRESHOLD", 0.05),
        keep_rate=c.get("keep", 0.25) if score.get("USE_TOPK", True) else None,
        score_threshold=score.get("THRESHOLD", 1e-4),
        prune_rows=spar.get("PRUNE_ATTN_MATRIX_ROW", False),
    )
    return sparsifiner.Sparsifiner(
        image_size=_pair(c["img"]),
        patch_size=c["patch"],
        channels=c["dim"],
        depth=c["depth"],
        heads=c["heads"],
        mlp_ratio=c.get("mlp_ratio", 4),
        num_classes=c["ncls"],
        qkv_bias=c.get("qkv_bias", True),
        rules=rules,
        token_keep_rates={block: c["tok_keep"][block] for block in c.get("tok_loc", [])},
        reduce_tokens=c.get("rn", 6),
        reduce_width=c.get("rc", 2),
        shared=c.get("share", False),
    )


def shapes(keys: KeyFile) -> dict[str, tuple[int, ...]]:
    return shapes_of(on_meta(sparsifiner.build, keys.official_name(sparsifiner.CONFIGURATIONS), **keys.options()))


def check(case: Case) -> Iterator[Check]:
    model = load_strictly(build(case.configuration), case)
    with torch.inference_mode(), capture(model) as trace, observed(model, outputs=["norm"]) as seen:
        logits = model(case.image())
    for name, stored in case.internals.items():
        yield _internal(name, stored, trace)
    for name, stored in case.outputs.items():
        ours = {"logits": logits, "features": seen["norm"][:, 1:]}.get(name)
        yield unknown(f"output.{name}") if ours is None else close(f"output.{name}", ours, stored, TOLERANCE, 0)
    yield from _sparsity(case, trace)


def _internal(name: str, stored: Tensor, trace: Trace) -> Check:
    quantity, where = f"internal.{name}", re.fullmatch(r"(\d+)\.(\w+)", name)
    attn = f"blocks.{where[1]}.attn" if where else ""
    if where is None or f"{attn}.mask_predictor" not in trace.structures:
        return unknown(quantity)
    connectivity = trace.of(Connectivity)[f"{attn}.mask_predictor"]
    if where[2] == "basis_coef":
        return close(quantity, connectivity.coefficients, stored, TOLERANCE, 0)
    if where[2] == "approx_attn":
        return close(quantity, connectivity.estimate, stored, TOLERANCE, 0)
    if where[2] == "attn_mask":
        return equal(quantity, connectivity.mask, stored)
    if where[2] in ("masked_attn", "unmasked_attn"):
        found = trace.of(SparseAttention)[f"{attn}.softmax"]
        return close(quantity, found.attention if where[2] == "masked_attn" else found.dense, stored, TOLERANCE, 0)
    if where[2] == "token_mask":
        return equal(quantity, _alive_after(int(where[1]), trace), stored)
    return unknown(quantity)


def _alive_after(block: int, trace: Trace) -> Tensor:
    """Patches that go on after a block: what the last pruning up to it decided."""
    drops = {int(name.split(".")[1]): drop.alive for name, drop in trace.of(TokenDrop).items()}
    before = [number for number in drops if number <= block]
    if not before:
        raise CaseError(f"a token mask is stored of block {block}, before any token is pruned")
    return drops[max(before)]


def _sparsity(case: Case, trace: Trace) -> Iterator[Check]:
    """Shares of zeros, averaged over the blocks, where the case lists them."""
    found = list(trace.of(Connectivity).values())
    parts = {
        "basis_sparsity": [c.basis for c in found],
        "basis_coef_sparsity": [c.coefficients for c in found],
        "attn_mask_sparsity": [c.mask for c in found],
    }
    for name, stored in case.about.get("sparsity", {}).items():
        if name not in parts:
            yield unknown(f"sparsity.{name}")
            continue
        ours = torch.stack([(part == 0).double().mean() for part in parts[name]]).mean()
        yield close(f"sparsity.{name}", ours, torch.tensor(stored, dtype=torch.float64), 1e-6, 0)


def _pair(size: int | list[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])
