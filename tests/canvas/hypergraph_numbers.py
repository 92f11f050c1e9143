"""What Python computes of a small hypergraph, for the tests of the canvas: `python -m tests.canvas.hypergraph_numbers` writes it anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from explorer.diagnostics import hyperedges as he
from explorer.payload import plain
from explorer.views.hypergraph import hypergraph_payload
from models.hypergraphs.hard import NearestHyperedges
from models.hypergraphs.softhgnn import SparseSoftHyperedges
from models.structures import SoftHypergraph

FILE = Path(__file__).with_name("hypergraph.json")
GRID = (4, 5)
SHARES = (0.3, 0.5, 0.8)
SCALE = 8  # how many times finer the canvas makes the field of a contour on this grid

WHOLLY = ("as the model had it", "all at once")  # under other settings only who takes part is compared
Change = Callable[[SoftHypergraph], SoftHypergraph]


def sparse(normalise: str) -> SoftHypergraph:
    """One picture's hypergraph: 4 × 5 patches and a class token, 2 fixed hyperedges and the 2 best of 4."""
    torch.manual_seed(11)
    tokens = torch.randn(1, 21, 8)
    made = SparseSoftHyperedges(8, 4, 2, 2, 2, normalise=normalise).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        made.prototype_base.mul_(3)
        made.context_net.weight.mul_(2)
        return made(tokens, GRID, 1)


def at_context(t: float) -> Change:
    """Prototypes P₀ + t·ΔP."""

    def change(h: SoftHypergraph) -> SoftHypergraph:
        assert h.static is not None
        assert h.offset is not None
        return h.with_prototypes(h.static + t * h.offset)

    return change


CHANGES: dict[str, tuple[dict[str, float], Change]] = {
    "as the model had it": ({}, lambda h: h),
    "colder": ({"temperature": -1.5}, lambda h: h.at_temperature(h.temperature * 2**-1.5)),
    "softer": ({"temperature": 3}, lambda h: h.at_temperature(h.temperature * 8)),
    "half hard": ({"hard": 0.5}, lambda h: h.hardened(0.5)),
    "hard": ({"hard": 1}, lambda h: h.hardened(1)),
    "one chosen": ({"k": 1}, lambda h: h.with_top_k(1)),
    "all chosen": ({"k": 4}, lambda h: h.with_top_k(4)),
    "no context": ({"context": 0}, at_context(0)),
    "all at once": (
        {"context": 1.5, "temperature": -1, "k": 3, "hard": 0.25},
        lambda h: at_context(1.5)(h).at_temperature(h.temperature / 2).with_top_k(3).hardened(0.25),
    ),
}


def numbers(h: SoftHypergraph) -> dict[str, Any]:
    """What the browser is held to."""
    sizes = he.sizes(h)
    shared = h.shared_membership()[0]
    return {
        "participation": h.participation[0].flatten().tolist(),
        "load": h.load()[0].tolist(),
        "members": sizes.members.tolist(),
        "entropy": sizes.entropy.tolist(),
        "variation": sizes.variation.tolist(),
        "loudness": he.loudness(h).tolist(),
        "jaccard": he.overlap(h).tolist(),
        "correlation": he.correlation(h).tolist(),
        "effective": float(h.effective_number()[0]),
        "sets": {str(share): [column.nonzero()[0].tolist() for column in he.mass_sets(h, share).T] for share in SHARES},
        "levels": levels(h),
        "sharing": (shared[7] / shared.mean()).clamp_min(2.0**-30).log2().tolist(),
        "assignment": h.assignment()[0].tolist(),
    }


def participation(h: SoftHypergraph) -> dict[str, Any]:
    return {"participation": h.participation[0].flatten().tolist()}


def levels(h: SoftHypergraph) -> dict[str, list[float]]:
    """Above which value of the bilinearly upsampled weights each share of a hyperedge's mass lies."""
    maps = h.weights()[0].T.unflatten(1, h.grid)
    fine = F.interpolate(maps[None], scale_factor=SCALE, mode="bilinear", align_corners=False)[0].flatten(1)
    ranked = fine.double().sort(1, descending=True).values
    inside = ranked.cumsum(1) / ranked.sum(1, keepdim=True).clamp_min(1e-30)
    return {str(s): [float(r[int((i < s).sum())]) if r[0] > 0 else 0.0 for r, i in zip(ranked, inside, strict=True)] for s in SHARES}


@torch.no_grad()
def cases() -> list[dict[str, Any]]:
    """Every hypergraph with what each setting makes of it: [{name, grid, payload, changed: [{name, settings, numbers}]}]."""
    found = []
    for normalise in ("vertices", "hyperedges"):
        h = sparse(normalise)
        changed = [
            {"name": k, "settings": settings, "numbers": numbers(change(h)) if k in WHOLLY else participation(change(h))}
            for k, (settings, change) in CHANGES.items()
        ]
        found.append({"name": f"softmax over {normalise}", "payload": hypergraph_payload(h), "changed": changed})
    removed = sparse("vertices").without_hyperedges([1]).without_patches([3, 4])
    found.append(one("parts taken out", removed))
    found.append(one("half hard already", sparse("vertices").hardened(0.5)))
    found.append(one("hard, then a part taken out", sparse("vertices").hardened(0.5).without_patches([6])))
    torch.manual_seed(3)
    found.append(one("nearest neighbours", NearestHyperedges(4)(torch.randn(1, 20, 6), GRID)))
    return [{"grid": list(GRID), **plain(case)} for case in found]


def one(name: str, h: SoftHypergraph) -> dict[str, Any]:
    return {"name": name, "payload": hypergraph_payload(h), "changed": [{"name": "as it is", "settings": {}, "numbers": numbers(h)}]}


if __name__ == "__main__":
    FILE.write_text(json.dumps(cases(), separators=(",", ":")) + "\n", encoding="utf-8")
