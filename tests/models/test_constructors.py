"""Graph constructors against brute force, and the facts about them that the papers' code implies."""

from __future__ import annotations

from math import ceil, gcd

import networkx as nx
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.image_graphs import constructors
from models.image_graphs.constructors import (
    AxialDynamic,
    AxialStatic,
    Constructor,
    DilatedKNN,
    Grid8,
    MutualKNN,
    Radius,
    RandomRegular,
    axial_candidates,
    half_roll_distance,
)
from models.structures import PatchGraph
from tests.models.helpers import LargestTensor, picture

ALL = {
    "knn": lambda: DilatedKNN(5, 2),
    "knn without self": lambda: DilatedKNN(5, include_self=False),
    "mutual": lambda: MutualKNN(5),
    "radius": lambda: Radius(0.7),
    "axial": lambda: AxialStatic(2),
    "dynamic": lambda: AxialDynamic(2),
    "grid": lambda: Grid8(),
    "random": lambda: RandomRegular(5),
}


def whole(*shape: int, seed: int = 0) -> Tensor:
    """Small whole numbers: float32 sums of them are exact, whatever the order."""
    return torch.randint(-8, 9, shape, generator=torch.Generator().manual_seed(seed)).float()


def sets(graph: PatchGraph, picture: int = 0) -> list[set[int]]:
    """Sources of every patch, self included where the rule keeps it."""
    found: list[set[int]] = [set() for _ in range(graph.grid[0] * graph.grid[1])]
    for source, target in graph.edge_index(picture, self_loops=True).T.tolist():
        found[target].add(source)
    return found


def all_distances(x: Tensor, keys: Tensor | None = None) -> Tensor:
    """Squared Euclidean distances of unit-normalised nodes in float64, one pair at a time, [B, N, M]."""
    a = F.normalize(x.flatten(2).transpose(1, 2).double(), dim=-1)
    b = a if keys is None else F.normalize(keys.flatten(2).transpose(1, 2).double(), dim=-1)
    return (a[:, :, None] - b[:, None]).square().sum(-1)


def pieces(graph: PatchGraph) -> int:
    directed = nx.from_numpy_array(graph.adjacency().numpy(), create_using=nx.DiGraph)
    return nx.number_weakly_connected_components(directed)


def reciprocity(graph: PatchGraph) -> float:
    a = graph.adjacency()
    return ((a * a.T).sum() / a.sum()).item()


# ---------------------------------------------------------------------------------------------------------------- KNN


@pytest.mark.parametrize(("k", "dilation"), [(1, 1), (4, 1), (3, 2), (2, 5)])
def test_knn_keeps_every_dth_of_the_nearest(k: int, dilation: int) -> None:
    x = picture(2, 6, 5, 4)
    graph = DilatedKNN(k, dilation)(x)
    ranked = all_distances(x).sort(-1).indices
    for image in range(2):
        expected = [set(row[0 : k * dilation : dilation].tolist()) for row in ranked[image]]
        assert sets(graph, image) == expected
        assert all(n in neighbours for n, neighbours in enumerate(sets(graph, image)))


def test_knn_distance_is_the_squared_distance_of_unit_vectors() -> None:
    x = picture(2, 6, 5, 4)
    expected = all_distances(x).sort(-1).values.float()
    assert torch.allclose(DilatedKNN(3).eval()(x).distance, expected, atol=1e-5)
    assert torch.allclose(DilatedKNN(3).eval()(7 * x).distance, expected, atol=1e-5)  # length does not count
    zero = torch.zeros(1, 3, 3, 3)
    assert torch.isfinite(DilatedKNN(3)(zero).distance).all()


def test_a_smaller_k_is_a_prefix_and_the_horizon_bounds_the_list() -> None:
    x = picture(1, 6, 8, 8)
    small, large = DilatedKNN(3).eval()(x), DilatedKNN(9).eval()(x)
    assert torch.equal(small.candidates, large.candidates)
    assert small.candidates.shape[2] == 48
    assert torch.equal(small.neighbours()[0], large.neighbours()[0][..., :3])
    assert DilatedKNN(3, horizon=0).eval()(x).candidates.shape[2] == 3
    assert DilatedKNN(3, 2).train()(x).candidates.shape[2] == 6
    assert DilatedKNN(60).eval()(x).candidates.shape[2] == 60


def test_knn_without_self_is_brute_force_without_self() -> None:
    x = picture(2, 6, 5, 4)
    ranked = (all_distances(x) + 9 * torch.eye(20)).sort(-1).indices
    for module in (DilatedKNN(4, 2, include_self=False).eval(), DilatedKNN(4, 2, include_self=False).train()):
        graph = module(x)
        assert not graph.is_self().any()
        assert sets(graph, 1) == [set(row[0:8:2].tolist()) for row in ranked[1]]


def test_equal_patches_do_not_let_self_back_in() -> None:
    """On a constant picture every distance is 0, so a patch need not come first in its own list."""
    graph = DilatedKNN(5, include_self=False, horizon=0)(torch.ones(1, 3, 6, 6))
    assert not graph.is_self().any()
    assert all(len(neighbours) == 5 for neighbours in sets(graph))


def test_pooled_keys() -> None:
    x = picture(2, 6, 8, 12)
    keys = F.avg_pool2d(x, 2)
    graph = DilatedKNN(3, 2)(x, keys)
    assert (graph.grid, graph.key_grid, graph.pooled) == ((8, 12), (4, 6), True)
    ranked = all_distances(x, keys).sort(-1).indices
    assert sets(graph, 1) == [set(row[0:6:2].tolist()) for row in ranked[1]]
    assert graph.adjacency(0).shape == (96, 24)


def test_position_term_is_added_to_the_squared_distance() -> None:
    x, position = picture(2, 6, 5, 4), picture(1, 20, 20, seed=1)
    graph = DilatedKNN(4).eval()(x, position=position)
    total = all_distances(x) + position.double()
    ranked = total.sort(-1)
    assert sets(graph, 1) == [set(row[:4].tolist()) for row in ranked.indices[1]]
    assert torch.allclose(graph.distance, ranked.values.float(), atol=1e-5)
    assert torch.equal(graph.position, position.expand(2, -1, -1).gather(2, graph.candidates))
    assert sets(graph, 1) != sets(DilatedKNN(4)(x), 1)


def test_slices_of_the_distance_matrix_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, position = whole(2, 6, 7, 5), whole(1, 35, 35, seed=1)
    once = DilatedKNN(4)(x, position=position)
    monkeypatch.setattr(constructors, "_SLICE", 35 * 2 * 3)
    sliced = DilatedKNN(4)(x, position=position)
    assert torch.allclose(once.distance, sliced.distance, atol=1e-6)
    assert sets(once, 1) == sets(sliced, 1)


@pytest.mark.parametrize("module", [DilatedKNN(5, 4), DilatedKNN(16, include_self=False), MutualKNN(16)])
def test_more_neighbours_than_patches_is_refused(module: Constructor) -> None:
    with pytest.raises(ValueError, match=r"exceeds the number of patches to choose from \(1[56]\)"):
        module(picture(1, 3, 4, 4))


def test_more_neighbours_than_pooled_keys_is_refused() -> None:
    x = picture(1, 3, 8, 8)
    with pytest.raises(ValueError, match=r"3·2 = 6 exceeds .* \(4\)"):
        DilatedKNN(3, 2)(x, F.avg_pool2d(x, 4))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: DilatedKNN(0), "both must be at least 1"),
        (lambda: DilatedKNN(3, 0), "both must be at least 1"),
        (lambda: AxialStatic(0), "at least 1"),
        (lambda: AxialDynamic(0), "at least 1"),
        (lambda: AxialDynamic(2, p=3), r"L1 \(p = 1\) or L2 \(p = 2\)"),
    ],
)
def test_settings_without_meaning_are_refused(make, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        make()


def test_mutual_neighbours_are_those_that_choose_each_other() -> None:
    x = picture(2, 6, 5, 6)
    graph = MutualKNN(5)(x)
    ranked = (all_distances(x) + 9 * torch.eye(30)).sort(-1).indices[..., :5]
    chosen = torch.zeros(2, 30, 30).scatter_(2, ranked, 1)
    for image in range(2):
        a = graph.adjacency(image)
        assert torch.equal(a, chosen[image] * chosen[image].T)
        assert torch.equal(a, a.T)
        assert 0 < a.sum() < 150


def test_radius_takes_everything_within_epsilon() -> None:
    x = picture(2, 6, 5, 6)
    graph = Radius(0.9)(x)
    expected = (all_distances(x) <= 0.81) & ~torch.eye(30, dtype=torch.bool)
    assert torch.equal(graph.adjacency(1), expected[1].float())
    assert 0 < expected[1].sum() < 870
    assert Radius(2.0, limit=4)(x).adjacency().sum(1).tolist() == [4] * 30
    assert Radius(0.0)(x).adjacency().sum() == 0


# -------------------------------------------------------------------------------------------------------------- axial


def walked(grid: tuple[int, int], step: int) -> list[list[int]]:
    """Sources of every patch by walking the shifts, rows first."""
    height, width = grid
    found = []
    for r in range(height):
        for c in range(width):
            down = [((r - s) % height) * width + c for s in range(step, height, step)]
            across = [r * width + (c - s) % width for s in range(step, width, step)]
            found.append(down + across)
    return found


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_axial_candidates_walk_row_and_column(height: int, width: int, step: int) -> None:
    index = axial_candidates((height, width), step)
    assert index.tolist() == walked((height, width), step)
    assert index.shape == (height * width, ceil(height / step) + ceil(width / step) - 2)


@pytest.mark.parametrize(("grid", "step"), [((7, 7), 2), ((8, 8), 2), ((5, 6), 2), ((6, 9), 4)])
def test_candidates_are_where_a_roll_brings_the_features(grid: tuple[int, int], step: int) -> None:
    number = torch.arange(grid[0] * grid[1]).view(1, 1, *grid)
    rolled = [torch.roll(number, s, 2) for s in range(step, grid[0], step)]
    rolled += [torch.roll(number, s, 3) for s in range(step, grid[1], step)]
    assert torch.equal(AxialStatic(step)(number.float()).candidates[0], torch.stack(rolled, -1).view(grid[0] * grid[1], -1))


def test_the_static_graph_never_changes_with_the_picture() -> None:
    first, second = AxialStatic(2)(picture(1, 3, 7, 6)), AxialStatic(2)(100 * picture(4, 9, 7, 6, seed=3))
    assert torch.equal(first.candidates, second.candidates)
    assert first.distance is None
    assert first.candidates.shape[0] == 1


def test_an_odd_side_gives_a_one_way_tournament() -> None:
    graph = AxialStatic(2)(torch.zeros(1, 1, 7, 7))
    assert graph.adjacency().sum(1).tolist() == [6] * 49
    assert reciprocity(graph) == 0
    assert pieces(graph) == 1
    a = graph.adjacency()
    joined = a + a.T
    row, col = torch.arange(49) // 7, torch.arange(49) % 7
    aligned = ((row[:, None] == row) ^ (col[:, None] == col)).float()
    assert torch.equal(joined, aligned)  # every pair of a row or column exactly once


def test_an_even_side_falls_into_four_islands() -> None:
    for side in (8, 14):
        graph = AxialStatic(2)(torch.zeros(1, 1, side, side))
        assert reciprocity(graph) == 1
        assert pieces(graph) == 4


@given(st.integers(3, 9), st.integers(3, 9), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_number_of_pieces_and_symmetry_follow_from_divisors(height: int, width: int, step: int) -> None:
    if step >= max(height, width):
        return
    graph = AxialStatic(step)(torch.zeros(1, 1, height, width))
    if step < height and step < width:
        assert pieces(graph) == gcd(step, height) * gcd(step, width)
    closed = all(side % step == 0 or step >= side for side in (height, width))
    assert (reciprocity(graph) == 1) == closed


def test_a_detection_input_has_two_pieces() -> None:
    graph = AxialStatic(2)(torch.zeros(1, 1, 25, 42))
    assert (pieces(graph), round(reciprocity(graph), 3)) == (2, 0.625)
    assert graph.adjacency().sum(1).unique().tolist() == [32]


def test_reach_through_graph_blocks_alone() -> None:
    step = AxialStatic(2)(torch.zeros(1, 1, 7, 7)).adjacency() + torch.eye(49)
    heard, shares = torch.eye(49), []
    for _ in range(4):
        heard = (step @ heard > 0).float()
        shares.append(round(100 * heard.mean().item()))
    assert shares == [14, 45, 82, 100]


def test_a_flipped_picture_has_other_neighbourhoods() -> None:
    own = sets(AxialStatic(2)(torch.zeros(1, 1, 7, 7)))
    flip = [row * 7 + 6 - col for row in range(7) for col in range(7)]
    overlaps = []
    for n, neighbours in enumerate(own):
        mirrored = {flip[m] for m in neighbours}
        overlaps.append(len(mirrored & own[flip[n]]) / len(mirrored | own[flip[n]]))
    assert sum(overlaps) / 49 == pytest.approx(1 / 3)


def test_candidate_islands_of_the_released_dynamic_stages() -> None:
    found = []
    for side, step in ((56, 8), (28, 4), (14, 2), (7, 1)):
        index = axial_candidates((side, side), step)
        assert index.shape[1] == 12
        edges = torch.stack([index.flatten(), torch.arange(side * side).repeat_interleave(12)], -1)
        found.append(nx.number_connected_components(nx.from_edgelist(edges.tolist())))
    assert found == [64, 16, 4, 1]


def dynamic_by_hand(x: Tensor, step: int, p: int, multiplier: float = 1.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Distances, kept edges, mean and std of one picture [C, H, W], one pair of patches at a time, in float64."""
    _, height, width = x.shape
    nodes = x.double()

    def distance(a: tuple[int, int], b: tuple[int, int]) -> float:
        return (nodes[:, a[0], a[1]] - nodes[:, b[0], b[1]]).abs().pow(p).sum().pow(1 / p).item()

    half = (ceil(height / 2), ceil(width / 2))
    grid = [(r, c) for r in range(height) for c in range(width)]
    sample = torch.tensor([distance((r, c), ((r - half[0]) % height, (c - half[1]) % width)) for r, c in grid])
    candidates = walked((height, width), step)
    found = torch.tensor([[distance(grid[n], divmod(m, width)) for m in row] for n, row in enumerate(candidates)])
    mean, std = sample.mean(), sample.std(unbiased=True)
    return found, found < mean - multiplier * std, mean, std


@pytest.mark.parametrize("grid", [(6, 8), (7, 7), (5, 6), (9, 4)])
@pytest.mark.parametrize("step", [1, 2, 4])
@pytest.mark.parametrize("p", [1, 2])
def test_dynamic_is_the_loop_over_pairs(grid: tuple[int, int], step: int, p: int) -> None:
    x = picture(2, 3, *grid)
    graph = AxialDynamic(step, p=p)(x)
    for image in range(2):
        distance, kept, mean, std = dynamic_by_hand(x[image], step, p)
        assert torch.allclose(graph.distance[image].double(), distance.double(), atol=1e-5)
        assert torch.equal(graph.kept[image], kept)
        assert graph.rule.statistics["mean"][image].item() == pytest.approx(mean.item(), rel=1e-5)
        assert graph.rule.statistics["std"][image].item() == pytest.approx(std.item(), rel=1e-5)
        assert kept.any()


@pytest.mark.parametrize("multiplier", [-1.0, 0.0, 0.5, 1.5])
def test_the_multiplier_moves_the_threshold(multiplier: float) -> None:
    x = picture(1, 3, 8, 8)
    expected = dynamic_by_hand(x[0], 2, 1, multiplier)[1]
    assert torch.equal(AxialDynamic(2, multiplier)(x).kept[0], expected)
    assert 0 < expected.sum() < expected.numel()


@pytest.mark.parametrize("p", [1, 2])
def test_exact_statistics_are_those_of_all_pairs(p: int) -> None:
    x = picture(2, 3, 5, 6)
    nodes = x.flatten(2).transpose(1, 2).double()
    pairs = torch.tensor([[(one[i] - one[j]).norm(p) for i in range(30) for j in range(i)] for one in nodes])
    statistics = AxialDynamic(2, p=p, exact=True)(x).rule.statistics
    assert torch.allclose(statistics["mean"].double(), pairs.mean(1).double(), rtol=1e-5)
    assert torch.allclose(statistics["std"].double(), pairs.std(1).double(), rtol=1e-4)
    assert not torch.allclose(statistics["mean"], AxialDynamic(2, p=p)(x).rule.statistics["mean"], rtol=1e-3)


def test_the_half_roll_swaps_quadrants() -> None:
    x = torch.arange(24.0).view(1, 1, 4, 6)
    quadrants = x.clone()
    quadrants[..., :2, :3], quadrants[..., 2:, 3:] = x[..., 2:, 3:].clone(), x[..., :2, :3].clone()
    quadrants[..., :2, 3:], quadrants[..., 2:, :3] = x[..., 2:, :3].clone(), x[..., :2, 3:].clone()
    assert torch.equal(half_roll_distance(x), (x - quadrants).abs()[:, 0])
    odd = torch.arange(3.0).view(1, 1, 3, 1).expand(1, 1, 3, 3)
    assert half_roll_distance(odd)[0, :, 0].tolist() == [1, 1, 2]  # rolled by ceil(3/2) = 2: rows 1, 2, 0


@given(st.integers(0, 10_000), st.sampled_from([(4, 6), (5, 7), (6, 6)]), st.sampled_from([1, 2]))
@settings(max_examples=25, deadline=None)
def test_dynamic_ignores_scale_offset_and_order_of_channels(seed: int, grid: tuple[int, int], step: int) -> None:
    x = whole(1, 6, *grid, seed=seed)
    graph = AxialDynamic(step)(x)
    offset, order = whole(1, 6, 1, 1, seed=seed + 1), torch.randperm(6, generator=torch.Generator().manual_seed(seed))
    for changed in (4 * x + offset, -0.5 * x + offset, x[:, order]):
        assert torch.equal(AxialDynamic(step)(changed).kept, graph.kept)


@given(st.integers(0, 10_000), st.integers(0, 6), st.integers(0, 6))
@settings(max_examples=25, deadline=None)
def test_dynamic_moves_with_a_cyclic_shift(seed: int, down: int, across: int) -> None:
    x = whole(1, 4, 6, 7, seed=seed)
    kept = AxialDynamic(2)(x).kept.view(6, 7, -1)
    shifted = AxialDynamic(2)(torch.roll(x, (down, across), (2, 3))).kept.view(6, 7, -1)
    assert torch.equal(shifted, torch.roll(kept, (down, across), (0, 1)))


@pytest.mark.parametrize("grid", [(4, 4), (4, 6), (6, 6), (8, 4), (5, 6), (7, 7), (4, 5)])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_dynamic_is_undirected_iff_the_step_divides_both_sides(grid: tuple[int, int], step: int) -> None:
    x = picture(1, 3, *grid)
    a = AxialDynamic(step, multiplier=0.5)(x).adjacency()
    if grid[0] % step == 0 and grid[1] % step == 0:
        assert torch.equal(a, a.T)
    every = AxialDynamic(step, multiplier=-100)(x).adjacency()
    assert torch.equal(every, every.T) == (grid[0] % step == 0 and grid[1] % step == 0)
    assert a.sum() > 0


def test_a_constant_picture_has_no_edge() -> None:
    graph = AxialDynamic(2)(torch.full((1, 3, 8, 8), 0.7))
    assert not graph.kept.any()  # 0 < 0 is false
    assert graph.rule.statistics["std"].item() == 0


def test_a_small_object_before_a_flat_background_has_no_edge() -> None:
    x = torch.zeros(1, 3, 14, 14)
    x[..., 2:6, 3:6] = 1
    graph = AxialDynamic(2)(x)
    cv = graph.rule.statistics["std"] / graph.rule.statistics["mean"]
    assert cv > 1
    assert graph.edge_index().shape[1] == 0
    assert AxialDynamic(2, multiplier=0)(x).edge_index().shape[1] > 0


def test_each_picture_of_a_batch_has_its_own_statistics() -> None:
    x = torch.cat([picture(1, 3, 6, 6), 5 * picture(1, 3, 6, 6, seed=1) + 3])
    graph = AxialDynamic(2)(x)
    for image in range(2):
        alone = AxialDynamic(2)(x[image : image + 1])
        assert torch.equal(alone.kept[0], graph.kept[image])
        assert alone.rule.statistics["mean"][0].item() == pytest.approx(graph.rule.statistics["mean"][image].item())


@pytest.mark.parametrize("grid", [(1, 1), (1, 5), (5, 1)])
def test_dynamic_refuses_a_grid_without_deviation(grid: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least 2 × 2 patches"):
        AxialDynamic(1)(picture(1, 3, *grid))


def test_static_refuses_a_grid_without_neighbours() -> None:
    with pytest.raises(ValueError, match="needs a side longer than 2"):
        AxialStatic(2)(picture(1, 3, 2, 2))
    assert AxialStatic(2)(picture(1, 3, 2, 3)).candidates.shape[2] == 1


def test_dynamic_without_any_candidate_is_an_empty_graph() -> None:
    graph = AxialDynamic(8)(picture(2, 3, 4, 4))
    assert graph.candidates.shape == (1, 16, 0)
    assert graph.kept.shape == (2, 16, 0)


# ----------------------------------------------------------------------------------------------------------- controls


def test_grid8_joins_the_patches_around() -> None:
    graph = Grid8()(picture(3, 2, 4, 5))
    a = graph.adjacency()
    row, col = torch.arange(20) // 5, torch.arange(20) % 5
    near = ((row[:, None] - row).abs() <= 1) & ((col[:, None] - col).abs() <= 1) & ~torch.eye(20, dtype=torch.bool)
    assert torch.equal(a, near.float())
    assert sorted(a.sum(1).tolist()) == [3] * 4 + [5] * 10 + [8] * 6


@given(st.integers(2, 7), st.integers(2, 7), st.data())
@settings(max_examples=25, deadline=None)
def test_random_graphs_are_regular_without_self_and_repeatable(height: int, width: int, data: st.DataObject) -> None:
    degree = data.draw(st.integers(1, height * width - 1))
    graph = RandomRegular(degree, seed=3)(torch.zeros(2, 1, height, width))
    a = graph.adjacency(1)
    assert a.sum(1).tolist() == [degree] * (height * width)
    assert a.diagonal().sum() == 0
    again = RandomRegular(degree, seed=3)(torch.ones(1, 1, height, width))
    assert torch.equal(again.candidates, graph.candidates)


def test_random_graphs_differ_by_seed_and_refuse_too_many() -> None:
    x = torch.zeros(1, 1, 6, 6)
    assert not torch.equal(RandomRegular(8, seed=0)(x).adjacency(), RandomRegular(8, seed=1)(x).adjacency())
    with pytest.raises(ValueError, match="exceeds the 35 other patches"):
        RandomRegular(36)(x)


# -------------------------------------------------------------------------------------------------- what all must hold


@pytest.mark.parametrize("name", ALL)
def test_shapes_of_every_constructor(name: str) -> None:
    x = picture(2, 6, 6, 7)
    graph = ALL[name]()(x)
    batch, n, width = graph.candidates.shape
    assert (batch in (1, 2), n) == (True, 42)
    assert graph.candidates.dtype == torch.int64
    assert 0 <= graph.candidates.min() <= graph.candidates.max() < 42
    assert graph.kept.shape[1:] == (n, width)
    assert graph.kept.dtype == torch.bool
    assert graph.grid == graph.key_grid == (6, 7)
    assert graph.edge_index(1).shape[1] > 0
    if graph.distance is not None:
        assert graph.distance.shape == (2, n, width)
    for image in range(2):
        source, target = graph.edge_index(image)
        assert len({*zip(source.tolist(), target.tolist(), strict=True)}) == len(source)  # no edge twice


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_builds_the_graph_in_float32(name: str, dtype: torch.dtype) -> None:
    x = picture(1, 6, 6, 6).to(dtype)
    expected = ALL[name]()(x.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        graph = ALL[name]()(x)
    assert torch.equal(graph.candidates, expected.candidates)
    assert torch.equal(graph.kept, expected.kept)
    if expected.distance is not None:
        assert graph.distance.dtype == torch.float32
        assert torch.equal(graph.distance, expected.distance)


@pytest.mark.parametrize("name", ALL)
def test_no_gradient_flows_through_the_choice(name: str) -> None:
    graph = ALL[name]()(picture(1, 6, 6, 6).requires_grad_())
    assert not any(tensor.requires_grad for key, tensor in graph.tensors().items() if key != "features")


@pytest.mark.parametrize("name", ["axial", "dynamic", "grid"])
def test_axial_and_grid_rules_never_hold_all_pairs(name: str) -> None:
    side, channels = 64, 4
    x = picture(1, channels, side, side)
    with LargestTensor() as seen:
        graph = ALL[name]()(x)
    n = side * side
    assert n <= seen.entries <= n * max(channels, graph.candidates.shape[2])
    assert seen.entries < n * n / 60


def test_nearest_neighbours_hold_a_slice_of_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constructors, "_SLICE", 1 << 16)
    x = picture(1, 4, 40, 40)
    with LargestTensor() as seen:
        DilatedKNN(5, horizon=16)(x)
    assert seen.entries <= 1 << 16
    monkeypatch.setattr(constructors, "_SLICE", 1 << 24)
    with LargestTensor() as seen:
        DilatedKNN(5, horizon=16)(x)
    assert seen.entries == 1600**2  # the measure does see the full matrix when there is one


def test_the_base_class_says_that_it_is_abstract() -> None:
    with pytest.raises(TypeError, match="does not define build"):
        Constructor()(picture(1, 1, 2, 2))
