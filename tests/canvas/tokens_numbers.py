"""What Python chooses and measures of small attention maps, for the tests of the canvas: `python -m tests.canvas.tokens_numbers` writes it anew."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from explorer.diagnostics import attention as at
from explorer.exhibits.tokens.look import chosen
from explorer.payload import plain
from explorer.views.arrays import pack
from explorer.views.tokens import layer_payload
from models.structures import AttentionMaps, TokenSelection
from models.tokens.baselines import BASELINES, random_patches
from models.tokens.hiprune import anchor_count, dispersion

FILE = Path(__file__).with_name("tokens.json")
MAPS = (((6, 6), False), ((6, 6), True), ((4, 9), False), ((5, 5), True))  # grid, with ties
BUDGETS = (1, 2, 7, 12, 24, 10_000)
SETTINGS = [
    {"budget": budget, "alpha": alpha, "edge": edge, "object_layer": first, "deep_layer": 4, "head": head, "release": release}
    for budget, alpha, edge, (first, head), release in product(
        BUDGETS, (0.0, 0.5, 1.0), ("clamp", "drop", "grid"), ((2, 0), (3, 1)), ("paper", "Qwen code")
    )
]


def look(grid: tuple[int, int], ties: bool) -> AttentionMaps:
    """Attention of 4 layers and 3 heads with one token before the patches; scores with ties, or with a few strong sinks."""
    generator = torch.Generator().manual_seed(grid[0] * 100 + grid[1])
    n = grid[0] * grid[1]
    raw = torch.rand(1, 4, 3, n + 1, generator=generator)
    raw = (raw * 4).floor() + 1 if ties else raw**4 + 0.01
    received = raw / raw.sum(-1, keepdim=True)
    features = torch.randn(1, n, 8, generator=generator)
    rows = torch.rand(1, 1, n + 1, n + 1, generator=generator)
    opened = {4: rows / rows.sum(-1, keepdim=True)}
    return AttentionMaps(received, grid, 1, 1 / (n + 1), (2, 4), opened=opened, features=features, passed=features)


def told(selection: TokenSelection) -> dict[str, Any]:
    return {
        "role": "".join(map(str, selection.role[0].tolist())),
        "order": [patch for patch in selection.order[0].tolist() if patch >= 0],
        "misplaced": selection.misplaced()[0].nonzero()[:, 0].tolist(),
    }


def cases() -> list[dict[str, Any]]:
    """Every map with what each setting keeps, and what is measured of it."""
    found = []
    for grid, ties in MAPS:
        maps = look(grid, ties)
        first = chosen(maps, 12, 0.5, "clamp", (2, 4))
        shown = np.zeros((48, 48, 3), dtype=np.uint8)
        layers = [layer_payload({"selection": first, "attention": maps.at(layer)}, shown) for layer in range(1, 5)]
        selections = [
            {
                "settings": s,
                **told(chosen(maps, s["budget"], s["alpha"], s["edge"], (s["object_layer"], s["deep_layer"]), s["head"], s["release"])),
            }  # type: ignore[arg-type]
            for s in SETTINGS
        ]
        simpler = [
            {"chooser": name, "budget": budget, **told(rule(maps, budget))} for name, rule in BASELINES.items() for budget in BUDGETS
        ]
        objects = np.zeros(grid, dtype=np.int64)
        objects[1:3, 1:4] = 1
        objects[0, 0] = -1
        scores = torch.cat([maps.score(layer) for layer in range(1, 5)]).numpy()  # as they travel
        centric = at.centricity(scores, objects.ravel())
        found.append(
            {
                "name": f"{grid[0]} × {grid[1]}{' with ties' if ties else ''}",
                "grid": list(grid),
                "layers": [{**layer, "colour": None} for layer in layers],
                "selections": selections,
                "simpler": simpler,
                "classRow": pack(maps.opened[4][0, 0, 0, 1:], "f32"),
                "random": pack(random_patches(maps, grid[0] * grid[1]).order[0], "u16"),
                "objects": objects.ravel().tolist(),
                "centricity": {name: getattr(centric, name).tolist() for name in ("iou", "auc", "precision")}
                | {"chance": centric.iou_chance, "most": centric.iou_most},
                "likeness": at.rank_correlation(scores).tolist(),
                "elbow": at.elbow(dispersion(maps, 0.25)[0])[0],
                "curve": dispersion(maps, 0.25)[0].tolist(),
            }
        )
    anchors = [[budget, alpha, anchor_count(budget, alpha)] for budget in range(1, 60) for alpha in (0.1, 0.25, 0.5, 1.0)]
    return [{"anchors": anchors}, *(plain(case) for case in found)]


if __name__ == "__main__":
    FILE.write_text(json.dumps(cases(), separators=(",", ":")) + "\n", encoding="utf-8")
