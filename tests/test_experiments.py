"""Experiments: each run gets exactly the change that it names, and the measures say what came of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from explorer.exhibit import Layer, Scene
from explorer.experiments import experiments
from models.image_graphs.constructors import DilatedKNN, Grid8

GRID = (6, 6)


def scene_of(picture: np.ndarray, constructor, cuts=()) -> Scene:
    """A stand-in network: its features are the patch colours, its prediction counts the edges that are left."""
    x = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    graph = constructor.eval()(torch.nn.functional.adaptive_avg_pool2d(x, GRID))
    for cut in cuts:
        drop = torch.zeros(graph.candidates.shape, dtype=torch.bool)
        for target, source in cut.pairs:
            drop[:, target] |= graph.candidates[:, target] == source
        graph = graph.with_kept(graph.kept & ~drop)
    edges = graph.edge_index().shape[1]
    labels = (np.arange(36) % 6 >= 3).astype(int)
    return Scene(
        picture, picture, [Layer("only", "Only", {"graph": graph})], [("many", edges / 1000)], labels=(labels, True), extras={"depth": {}}
    )


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (48, 48, 3)).astype(np.uint8)


def run_all(picture: np.ndarray, constructor) -> tuple[dict, list]:
    seen = []

    def run(other, cuts):
        seen.append((other, cuts))
        return scene_of(other, constructor, cuts)

    return {m.key: m for m in experiments(run, scene_of(picture, constructor), 0, picture)}, seen


def test_four_runs_each_with_its_own_change(picture):
    _, seen = run_all(picture, DilatedKNN(4, include_self=False))
    (mirrored, none), (noisy, nothing), (same, between), (again, random) = seen
    assert np.array_equal(mirrored, picture[:, ::-1])
    assert 0 < np.abs(noisy.astype(int) - picture).mean() < 10
    assert np.array_equal(same, picture)
    assert np.array_equal(again, picture)
    assert not none
    assert not nothing
    assert len(between[0].pairs) == len(random[0].pairs) > 0


def test_the_grid_is_stable_and_its_crossing_edges_are_counted(picture):
    found, seen = run_all(picture, Grid8())
    assert found["stability_mirror"].value == found["stability_noise"].value == 1
    # between column 2 and column 3: 6 straight and 10 diagonal pairs, in both directions
    assert len(seen[2][1][0].pairs) == 32
    assert found["cut_between"].value == pytest.approx(-3.2)
    assert "32 edges" in found["cut_between"].hint


def test_noise_moves_some_nearest_neighbours(picture):
    found, _ = run_all(picture, DilatedKNN(4, include_self=False))
    assert 0 < found["stability_noise"].value < 1
    assert 0 < found["reach"].value < 1
