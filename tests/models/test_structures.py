"""Structures: their tensors, their edges, and the refusal of numbers that are not finite."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass

import pytest
import torch
from torch import Tensor

from models.structures import Aggregation, NonFiniteError, PatchGraph, Prediction, Rule, Structure


def graph(**changes) -> PatchGraph:
    """2 pictures of 2 × 2 patches, three candidates each; candidate 0 is the patch itself."""
    own = torch.arange(4)
    settings = {
        "candidates": torch.stack([own, (own + 1) % 4, (own + 2) % 4], -1)[None],
        "kept": torch.tensor([[[True, True, False]] * 4, [[True, False, True]] * 4]),
        "grid": (2, 2),
        "key_grid": (2, 2),
        "rule": Rule("nearest", {"k": 2}, {"mean": torch.tensor([1.0, 2.0])}),
        "distance": torch.arange(24.0).view(2, 4, 3),
    }
    return PatchGraph(**{**settings, **changes})


def test_tensors_walk_through_mappings_and_nested_structures() -> None:
    @dataclass(frozen=True)
    class Pair(Structure):
        graph: PatchGraph
        scale: Tensor

    found = Pair(graph(), torch.ones(2)).tensors()
    assert set(found) == {"graph.candidates", "graph.kept", "graph.distance", "graph.rule.statistics.mean", "scale"}
    assert torch.equal(found["graph.rule.statistics.mean"], torch.tensor([1.0, 2.0]))


def test_structures_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        graph().grid = (4, 1)  # type: ignore[misc]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_require_finite_names_place_and_share(bad: float) -> None:
    distance = torch.zeros(2, 4, 3)
    distance[0, 0] = bad
    with pytest.raises(NonFiniteError, match=r"block 7: 12\.5 % of distance is not a finite number"):
        graph(distance=distance).require_finite("block 7")


def test_require_finite_sees_statistics_and_passes_the_rest() -> None:
    graph().require_finite("block 7")
    with pytest.raises(NonFiniteError, match=r"50\.0 % of rule\.statistics\.std"):
        graph(rule=Rule("axial", {}, {"std": torch.tensor([1.0, torch.nan])})).require_finite("block 7")


def test_edges_run_from_source_to_target_without_self() -> None:
    assert graph().edge_index(0).tolist() == [[1, 2, 3, 0], [0, 1, 2, 3]]
    assert graph().edge_index(1).tolist() == [[2, 3, 0, 1], [0, 1, 2, 3]]
    assert graph().edge_index(0, self_loops=True).shape == (2, 8)


def test_edge_distance_follows_edge_index() -> None:
    assert graph().edge_distance(1).tolist() == [14, 17, 20, 23]
    assert graph().edge_distance(1, self_loops=True).tolist() == [12, 14, 15, 17, 18, 20, 21, 23]
    assert graph(distance=None).edge_distance() is None


def test_adjacency_has_the_target_in_the_row() -> None:
    expected = torch.zeros(4, 4)
    expected[[0, 1, 2, 3], [1, 2, 3, 0]] = 1
    assert torch.equal(graph().adjacency(0), expected)


def test_adjacency_of_pooled_keys_is_rectangular_and_has_no_self() -> None:
    pooled = graph(key_grid=(1, 3), candidates=torch.tensor([[[0, 1, 2]] * 4]))
    assert pooled.pooled
    assert not pooled.is_self().any()
    assert torch.equal(pooled.adjacency(0), torch.tensor([[1.0, 1.0, 0.0]] * 4))


def test_neighbours_are_the_shared_columns_or_a_mask() -> None:
    index, mask = graph().neighbours()
    assert index.shape == (1, 4, 3)
    assert torch.equal(mask, graph().kept)
    index, mask = graph(columns=slice(0, 3, 2)).neighbours()
    assert torch.equal(index, graph().candidates[..., [0, 2]])
    assert mask is None


def test_with_kept_chooses_other_edges_and_leaves_the_first_graph() -> None:
    first = graph(columns=slice(0, 2))
    other = first.with_kept(torch.zeros_like(first.kept))
    assert other.columns is None
    assert other.edge_index(0).shape == (2, 0)
    assert first.edge_index(0).shape == (2, 4)
    assert other.rule == first.rule


def test_prediction_lists_the_most_probable_classes() -> None:
    prediction = Prediction(torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]]), ("cat", "dog", "owl"))
    best = prediction.top(2)
    assert [label for label, _ in best] == ["dog", "owl"]
    assert best[0][1] == pytest.approx(torch.tensor([0.0, 2.0, 1.0]).softmax(0)[1].item())
    assert prediction.top(5, picture=1)[0][0] == "cat"
    assert len(prediction.top(5)) == 3
    assert Prediction(torch.tensor([[0.0, 1.0]])).top(1)[0][0] == "class 1"


def test_aggregation_walks_over_both_tensors() -> None:
    assert set(Aggregation(torch.zeros(1, 4, 2), torch.zeros(1, 4, 2, dtype=torch.int32)).tensors()) == {"relative", "winner"}
