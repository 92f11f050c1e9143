"""What Python computes in the Poincaré disk, for the tests of the canvas: `python -m tests.canvas.poincare_numbers` writes it anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from explorer.payload import plain
from explorer.views import disk, text_points
from models.hyperbolic import ball
from models.hyperbolic.embeddings import placed, sarkar
from models.hyperbolic.h4g import H4G, prepared
from models.hyperbolic.hierarchy import balanced
from models.hyperbolic.text_graphs import text_graphs
from models.structures import Gyroplanes, TextPoints

FILE = Path(__file__).with_name("poincare.json")
STEPS = (0.0, 0.25, 0.5, 1.0)
FACTORS = ((1.0, 1.0, 1.0), (0.2, 0.2, 0.2), (2.0, 0.5, 0.1), (0.0, 1.0, 1.5))


def cases() -> dict[str, Any]:
    """Tangent vectors of half radii up to 6, and what the ball makes of every pair of neighbours in the list."""
    generator = torch.Generator().manual_seed(5)
    direction = torch.randn(12, 2, dtype=torch.float64, generator=generator)
    half = torch.tensor([0, 1e-9, 0.01, 0.2, 0.7, 1, 1.5, 2, 3, 4, 5, 6], dtype=torch.float64)
    tangents = half[:, None] * direction / direction.norm(dim=1, keepdim=True)
    points = ball.exp0(tangents, 1.0)
    after = points.roll(-1, 0)
    normals = direction / direction.norm(dim=1, keepdim=True)
    offsets = torch.linspace(-2, 2, 12, dtype=torch.float64)
    planes = Gyroplanes(normals, offsets, torch.ones(12, dtype=torch.float64), 1.0)
    return {
        "tangents": tangents.tolist(),
        "points": points.tolist(),
        "log0": ball.log0(points, 1.0).tolist(),
        "add": ball.mobius_add(points, after, 1.0).tolist(),
        "distance": ball.distance(points, after, 1.0).tolist(),
        "tangent_distance": ball.tangent_distance(tangents, tangents.roll(-1, 0), 1.0).tolist(),
        "pairwise": ball.pairwise_distance(points, points, 1.0).tolist(),
        "steps": list(STEPS),
        "geodesic": [ball.geodesic(points, after, t, 1.0).tolist() for t in STEPS],
        "seen_from": {"origin": 6, "points": ball.mobius_add(-points[6], points, 1.0).tolist()},
        "tree": tree(),
        "texts": texts(),
        "means": {
            "midpoint": ball.midpoint(points[:11], 1.0).tolist(),
            "weighted": ball.midpoint(points[:11], 1.0, torch.arange(1.0, 12.0, dtype=torch.float64)).tolist(),
            "frechet": ball.frechet_mean(points[:11], 1.0).tolist(),
        },
        "planes": {"normals": normals.tolist(), "offsets": offsets.tolist(), "nearest": planes.nearest().tolist()},
    }


def tree() -> dict[str, Any]:
    """A small tree as it travels, and its distances."""
    found = balanced(2, 3)
    points = placed(sarkar(found, 1.2), found)
    return {
        "payload": plain(disk.layer_payload({"points": points})),
        "distance": points.distances().tolist(),
        "radius": points.radius().tolist(),
    }


def texts() -> dict[str, Any]:
    """A small graph with texts as it travels, and what becomes of it under other factors."""
    graph = text_graphs(source=1, target=1, nodes=24, seed=4)[1][0]
    nodes, classes = (H4G(kappa=3.0).tangents(z).detach() for z in prepared(graph))
    plane = torch.linalg.svd(torch.cat([nodes, classes]), full_matrices=True).Vh[:2]
    points = TextPoints(nodes, classes, graph.label, graph.edges, plane, 3)
    return {"payload": plain(text_points.layer_payload({"points": points})), "changed": [scaled(points, m) for m in FACTORS]}


def scaled(points: TextPoints, factors: tuple[float, ...]) -> dict[str, Any]:
    """What Python makes of the points when each part is multiplied by its factor."""
    m = torch.tensor(factors).repeat_interleave(points.nodes.shape[1] // points.hops)
    after = TextPoints(points.nodes * m, points.classes * m, points.label, points.edges, points.plane, points.hops)
    distances = after.distances()
    cosine = F.normalize(after.nodes) @ F.normalize(after.classes).T
    return {
        "factors": list(factors),
        "radius": after.radius().mean().item(),
        "drawn": after.drawn().flatten().tolist(),
        "distance": distances.tolist(),
        "accuracy": (distances.argmin(1) == points.label).float().mean().item(),
        "cosine": (cosine.argmax(1) == points.label).float().mean().item(),
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(cases(), separators=(",", ":")) + "\n", encoding="utf-8")
