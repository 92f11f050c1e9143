"""Experiments that need further runs of the model: is a graph stable, how far does it carry, what is it good for?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from explorer.diagnostics import Measure, NotMeasurable, cut_between_segments, cut_random, flipped, pooled_labels, reach, stability, unmoved
from explorer.diagnostics.measure import measure, percent, unknown
from explorer.exhibit import Intervention, Scene
from models.structures import PatchGraph

NOISE = 6.0  # deviation in grey levels of 255: about what a phone camera adds indoors
Run = Callable[[np.ndarray, Sequence[Intervention]], Scene]


def experiments(run: Run, before: Scene, layer: int, picture: np.ndarray) -> list[Measure]:
    """Mirror, noise, reach and two cuts for one layer's graph.

    Args:
        run: (picture, cuts) → Scene with the visitor's controls.
        before: the scene on show.
        layer: number of the layer.
        picture: the square that `before` was made from, uint8 [S, S, 3].
    """
    graph = _graph(before, layer)
    return [
        *_stability(run, graph, layer, picture),
        _reach(before, layer),
        *_cuts(run, before, graph, layer, picture),
    ]


def _stability(run: Run, graph: PatchGraph, layer: int, picture: np.ndarray) -> list[Measure]:
    noise = np.random.default_rng(0).normal(0, NOISE, picture.shape)
    changed = {
        "stability_mirror": (np.ascontiguousarray(picture[:, ::-1]), flipped),
        "stability_noise": (np.clip(picture + noise, 0, 255).astype(np.uint8), unmoved),
    }
    found = []
    for key, (other, moves) in changed.items():
        try:
            keys = moves(graph.key_grid) if graph.pooled else None
            found.append(measure(key, stability(graph, _graph(run(other, ()), layer), moves(graph.grid), keys).mean))
        except NotMeasurable as reason:
            found.append(unknown(key, str(reason)))
    return found


def _reach(before: Scene, layer: int) -> Measure:
    if "depth" not in before.extras:
        return unknown("reach", "these layers lie side by side in different networks, not behind each other")
    return measure("reach", reach([_graph(before, i) for i in range(layer + 1)]).share[-1])


def _cuts(run: Run, before: Scene, graph: PatchGraph, layer: int, picture: np.ndarray) -> list[Measure]:
    if before.labels is None:
        return [unknown(key, "no segments are known for this picture") for key in ("cut_between", "cut_random")]
    labels = pooled_labels(before.labels[0], _graph(before, 0).grid, graph.grid)
    between = cut_between_segments(graph, labels)
    if between.removed == 0:
        return [unknown(key, "no edge of this layer joins different segments") for key in ("cut_between", "cut_random")]
    label, probability = before.prediction_of(layer)[0]
    found = []
    for key, cut in (("cut_between", between), ("cut_random", cut_random(graph, between.removed))):
        pairs = _pairs(graph, cut.kept.numpy())
        after = run(picture, [Intervention(before.layers[layer].name, "edges", pairs)])
        changed = dict(after.prediction_of(layer)).get(label, 0.0)
        words: dict[str, Any] = {"count": between.removed, "label": label, "before": percent(probability), "after": percent(changed)}
        found.append(measure(key, 100 * (changed - probability), **words))
    return found


def _pairs(graph: PatchGraph, kept: np.ndarray) -> tuple[tuple[int, int], ...]:
    """(target, source) of the edges that are no longer kept."""
    gone = np.logical_and(graph.kept[0].numpy(), ~np.broadcast_to(kept[0], graph.candidates[0].shape))
    target, slot = np.nonzero(gone)
    source = graph.candidates[0].numpy()[target, slot]
    return tuple(zip(target.tolist(), source.tolist(), strict=True))


def _graph(scene: Scene, layer: int) -> PatchGraph:
    graph = scene.layers[layer].structures["graph"]
    assert isinstance(graph, PatchGraph)
    return graph
