"""Diagnostics of patch graphs: against networkx, by hand, and by properties that must hold for every graph."""

from __future__ import annotations

import ast
import itertools
import math
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import explorer.diagnostics as package
from explorer.diagnostics import connectivity
from explorer.diagnostics.choice import bias_share, fragility, gauge, threshold_error, utilisation
from explorer.diagnostics.compare import agreement, flipped, shifted, stability, unmoved
from explorer.diagnostics.connectivity import axial_pieces, components, heard_by, reach, spectrum
from explorer.diagnostics.cuts import cut_between_segments, cut_patch, cut_random
from explorer.diagnostics.degree import degrees, reciprocity
from explorer.diagnostics.features import dirichlet, effective_rank, grid_neighbours, redundancy, smoothness
from explorer.diagnostics.geometry import DIRECTIONS, lengths, wrap_share, wraps
from explorer.diagnostics.labels import KMEANS_NOTE, _lab, homophily, patch_labels, pooled_labels, segments
from explorer.diagnostics.measure import NotMeasurable, catalogue, level_of, measure, percent
from explorer.diagnostics.patch_graph import DEPTH_KEYS, depth_profile, folder_row, summary, triangle
from explorer.diagnostics.snapshot import cell_of, snapshot
from models.image_graphs.aggregate import MaxRelative, to_nodes
from models.image_graphs.constructors import AxialDynamic, AxialStatic, DilatedKNN, Grid8, MutualKNN, Radius, RandomRegular
from models.structures import Aggregation, NonFiniteError, PatchGraph, Rule

torch.set_num_threads(1)


# ------------------------------------------------------------------------------------------------------------ helpers


def graph_of(adjacency, grid, features=None, rule="random") -> PatchGraph:
    """The graph with A[i, j] = 1 iff i receives from j. features [N, C]."""
    a = torch.as_tensor(np.asarray(adjacency)).bool()
    candidates = torch.arange(a.shape[1]).expand(a.shape)[None]
    x = None if features is None else torch.as_tensor(np.asarray(features)).float().T.reshape(1, -1, *grid)
    return PatchGraph(candidates, a[None], grid, grid, Rule(rule), features=x)


def random_graph(seed, grid=(4, 5), p=0.12, channels=6) -> PatchGraph:
    random = np.random.default_rng(seed)
    n = grid[0] * grid[1]
    a = random.random((n, n)) < p
    np.fill_diagonal(a, True)  # a self loop is never an edge of its own
    return graph_of(a, grid, random.standard_normal((n, channels)))


def digraph(graph: PatchGraph) -> nx.DiGraph:
    g = nx.DiGraph()
    g.add_nodes_from(range(graph.grid[0] * graph.grid[1]))
    g.add_edges_from(graph.edge_index().T.tolist())
    return g


def relabelled(graph: PatchGraph, order: np.ndarray) -> PatchGraph:
    """Patch order[i] of the old graph is patch i of the new one."""
    x = graph.features[0].flatten(1).T[order]
    return graph_of(graph.adjacency()[order][:, order], graph.grid, x)


def values(measures) -> dict[str, float | None]:
    return folder_row(measures)


def close(one: float | None, two: float | None, rel: float) -> bool:
    """Equal up to rounding, or both without a value."""
    return one is two if one is None or two is None else math.isclose(one, two, rel_tol=rel, abs_tol=1e-9)


def scene(seed, size=112):
    """A plain, softly shaded background with three flat objects: pixels uint8 and mask."""
    random = np.random.default_rng(seed)
    row, col = np.mgrid[:size, :size] / size
    image = random.uniform(40, 210, 3) + (row + col)[..., None] * random.uniform(-25, 25, 3)
    mask = np.zeros((size, size), int)
    for number in (1, 2, 3):
        y, x, r = *random.uniform(0.2, 0.8, 2), random.uniform(0.15, 0.28)
        inside = (np.hypot(row - y, col - x) < r) if number % 2 else (np.maximum(abs(row - y), abs(col - x)) < r)
        image[inside] = random.uniform(0, 255, 3)
        mask[inside] = number
    return np.clip(image + random.normal(0, 6, image.shape), 0, 255).astype(np.uint8), mask


def raw_features(pixels, cells=14) -> torch.Tensor:
    """Mean colour, deviation of colour and gradient of each patch, standardised per channel, [1, 8, 14, 14]."""
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    side = x.shape[2] // cells
    patch = x.unfold(2, side, side).unfold(3, side, side).flatten(4)
    grey = patch.mean(1).unflatten(-1, (side, side))
    steps = [grey.diff(dim=d).abs().mean((-2, -1)) for d in (-1, -2)]
    found = torch.cat([patch.mean(-1)[0], patch.std(-1)[0], *steps])
    return ((found - found.mean((1, 2), keepdim=True)) / found.std((1, 2), keepdim=True))[None]


def rule_graphs(channels=12, side=8, batch=1, seed=0) -> dict[str, PatchGraph]:
    x = torch.randn(batch, channels, side, side, generator=torch.Generator().manual_seed(seed))
    x = torch.nn.functional.avg_pool2d(x, 3, 1, 1)
    makers = (
        DilatedKNN(6),
        DilatedKNN(5, 2),
        AxialStatic(2),
        AxialDynamic(1, 0.5),
        MutualKNN(5),
        Radius(0.9),
        Grid8(),
        RandomRegular(5),
    )
    names = ("nearest", "dilated", "axial", "axial-threshold", "mutual-nearest", "radius", "grid", "random")
    return {name: maker.eval()(x) for name, maker in zip(names, makers, strict=True)}


def pooled_graph(seed=0, grid=(8, 8), pool=2, k=3, channels=5) -> PatchGraph:
    x = torch.randn(1, channels, *grid, generator=torch.Generator().manual_seed(seed))
    return DilatedKNN(k).eval()(x, torch.nn.functional.avg_pool2d(x, pool))


SEEDS = range(6)


# --------------------------------------------------------------------------------------------------- D1, D2: degrees


@pytest.mark.parametrize("seed", SEEDS)
def test_degrees_and_reciprocity_agree_with_networkx(seed):
    graph = random_graph(seed)
    reference, found = digraph(graph), degrees(graph)
    assert found.listens.tolist() == [d for _, d in sorted(reference.in_degree)]
    assert found.read_by.tolist() == [d for _, d in sorted(reference.out_degree)]
    assert found.isolated.tolist() == [node in set(nx.isolates(reference)) for node in range(20)]
    assert reciprocity(graph).share == pytest.approx(nx.overall_reciprocity(reference))


def test_hubs_corners_and_borders_by_hand():
    a = np.zeros((16, 16))
    a[1:, 0] = 1  # everybody reads corner 0
    a[0, 5] = 1  # which reads an inner patch
    found = degrees(graph_of(a, (4, 4)))
    assert found.top_share == found.corner_share == found.border_share == 15 / 16
    assert (found.top_chance, found.corner_chance, found.border_chance) == (1 / 16, 4 / 16, 12 / 16)
    read = np.array([15, 1] + [0] * 14)
    assert found.skew == pytest.approx(((read - 1) ** 3).mean() / read.std() ** 3)


def test_even_popularity_has_no_skew_and_no_hub():
    found = degrees(AxialStatic(2)(torch.zeros(1, 1, 8, 8)))
    assert found.skew == 0
    assert found.top_share == pytest.approx(found.top_chance)


def test_reciprocity_per_patch_by_hand():
    a = np.zeros((4, 4))
    a[0, 1] = a[1, 0] = a[0, 2] = 1
    found = reciprocity(graph_of(a, (2, 2)))
    assert found.share == pytest.approx(2 / 3)
    assert found.per_patch[:2].tolist() == [0.5, 1]
    assert np.isnan(found.per_patch[2:]).all()


@pytest.mark.parametrize("side", [5, 6, 7, 8, 9, 14])
def test_static_axial_graph_of_step_two_is_one_way_on_odd_and_mutual_on_even_sides(side):
    assert reciprocity(AxialStatic(2)(torch.zeros(1, 1, side, side))).share == (1 if side % 2 == 0 else 0)


def test_static_axial_graph_of_a_detection_input():
    graph = AxialStatic(2)(torch.zeros(1, 1, 25, 42))
    assert reciprocity(graph).share == pytest.approx(0.625, abs=0.01)
    assert components(graph).count == 2
    assert set(degrees(graph).listens) == {32}


# ------------------------------------------------------------------------------------------------------- D3: lengths


def test_lengths_and_rose_by_hand():
    a = np.zeros((12, 12))  # 3 × 4
    a[0, 3] = a[0, 8] = a[5, 4] = a[5, 2] = 1  # 3 right; 2 down; 1 left; 1 up and 1 right
    found = lengths(graph_of(a, (3, 4)))
    assert sorted(found.length) == pytest.approx([1, math.sqrt(2), 2, 3])
    assert found.median == pytest.approx((math.sqrt(2) + 2) / 2)
    assert found.local_share == 0.5
    assert dict(zip(DIRECTIONS, found.rose, strict=True)) == {
        d: 0.25 if d in ("right", "down", "left", "up right") else 0 for d in DIRECTIONS
    }


def test_pooled_cells_lie_at_their_centre():
    graph = PatchGraph(torch.tensor([[[0], [3]] + [[0]] * 14]), torch.ones(1, 16, 1).bool(), (4, 4), (2, 2), Rule("nearest"))
    found = lengths(graph)
    assert found.length[0] == pytest.approx(math.hypot(0.5, 0.5))  # patch (0, 0), cell around (0.5, 0.5)
    assert found.length[1] == pytest.approx(math.hypot(2.5, 1.5))  # patch (0, 1), cell around (2.5, 2.5)
    assert found.local_share == 1  # all four cells touch


def test_wrapped_edges_are_those_whose_shift_exceeds_the_row():
    graph = AxialStatic(2)(torch.zeros(1, 1, 5, 6))
    s = snapshot(graph)
    expected = []
    for source, target in zip(s.source, s.target, strict=True):
        (r, c), (y, x) = divmod(target, 6), divmod(source, 6)
        shift, at = ((r - y) % 5, r) if c == x else ((c - x) % 6, c)
        expected.append(at < shift)
    assert wraps(s).tolist() == expected
    assert 0 < wrap_share(graph) < 1


def test_only_rolling_rules_wrap():
    with pytest.raises(NotMeasurable, match="does not roll"):
        wrap_share(rule_graphs()["nearest"])


# ------------------------------------------------------------------------------------------- D4, D6, D13: connectivity


@pytest.mark.parametrize("p", [0.0, 0.02, 0.05, 0.2])
@pytest.mark.parametrize("seed", SEEDS)
def test_components_agree_with_networkx(seed, p):
    graph = random_graph(seed, p=p)
    reference = sorted(map(len, nx.weakly_connected_components(digraph(graph))), reverse=True)
    found = components(graph)
    assert found.sizes.tolist() == reference
    assert found.largest_share == reference[0] / 20
    for part in nx.weakly_connected_components(digraph(graph)):
        assert len({found.piece[node] for node in part}) == 1


@settings(max_examples=40, deadline=None)
@given(height=st.integers(2, 10), width=st.integers(2, 10), step=st.integers(1, 11))
def test_axial_candidates_fall_into_gcd_many_pieces(height, width, step):
    x = torch.rand(1, 2, height, width)
    dynamic = AxialDynamic(step)(x)
    all_of_them = dynamic.with_kept(torch.ones_like(dynamic.kept))
    assert components(all_of_them).count == axial_pieces((height, width), step)
    if step < max(height, width):
        assert components(AxialStatic(step)(x)).count == axial_pieces((height, width), step)


def test_the_gcd_rule_by_hand():
    assert [axial_pieces((side, side), step) for side, step in ((56, 8), (28, 4), (14, 2), (7, 1), (7, 2), (8, 2))] == [64, 16, 4, 1, 1, 4]
    assert axial_pieces((5, 5), 8) == 25  # no candidate at all: every patch alone


@pytest.mark.parametrize("seed", SEEDS)
def test_spectral_gap_agrees_with_networkx_and_its_vector_solves_the_equation(seed):
    graph = random_graph(seed, p=0.08)
    undirected = digraph(graph).to_undirected()
    part = sorted(max(nx.connected_components(undirected), key=len))
    laplacian = nx.normalized_laplacian_matrix(undirected.subgraph(part), nodelist=part).toarray()
    found = spectrum(graph)
    assert found.gap == pytest.approx(np.linalg.eigvalsh(laplacian)[1], abs=1e-9)
    assert found.patches == len(part)
    assert np.flatnonzero(~np.isnan(found.fiedler)).tolist() == part
    root = np.sqrt([undirected.degree(node) for node in part])
    vector = found.fiedler[part] * root
    assert laplacian @ vector == pytest.approx(found.gap * vector, abs=1e-8)
    assert np.nanmax(np.abs(found.fiedler)) == pytest.approx(1)
    assert np.nanmax(found.fiedler) == pytest.approx(1)


def test_iterative_solver_agrees_with_the_dense_one(monkeypatch):
    graph = random_graph(3, grid=(9, 9), p=0.05)
    dense = spectrum(graph)
    monkeypatch.setattr(connectivity, "_DENSE", 0)
    sparse = spectrum(graph)
    assert sparse.gap == pytest.approx(dense.gap, abs=1e-4)
    assert sparse.fiedler == pytest.approx(dense.fiedler, abs=1e-2, nan_ok=True)


@pytest.mark.parametrize("seed", range(3))
def test_cheeger_bounds_hold_for_the_narrowest_of_all_cuts(seed):
    graph = random_graph(seed, grid=(3, 3), p=0.5)
    undirected = digraph(graph).to_undirected()
    assert nx.is_connected(undirected)
    cuts = itertools.chain.from_iterable(itertools.combinations(range(9), size) for size in range(1, 5))
    narrowest = min(nx.conductance(undirected, cut) for cut in cuts)
    low, high = spectrum(graph).cheeger
    assert low <= narrowest <= high
    assert low > 0.05


def test_fiedler_vector_splits_two_cliques_at_their_bridge():
    a = np.zeros((12, 12))
    a[:6, :6] = a[6:, 6:] = 1
    a[5, 6] = 1
    sign = spectrum(graph_of(a, (3, 4))).fiedler > 0
    assert len(set(sign[:6])) == 1
    assert sign[0] != sign[-1]


def test_reach_of_the_static_axial_graph_on_seven_by_seven():
    graph = AxialStatic(2)(torch.zeros(1, 1, 7, 7))
    assert [round(100 * share) for share in reach([graph] * 4).share] == [14, 45, 82, 100]


@pytest.mark.parametrize("seed", range(3))
def test_reach_agrees_with_paths_through_the_blocks(seed):
    graphs = [random_graph(10 * seed + block, p=0.05) for block in range(3)]
    found = reach(graphs)
    for patch in (0, 7, 19):
        for count in (1, 2, 3):
            heard = {patch}
            for graph in reversed(graphs[:count]):
                a = graph.adjacency().numpy()
                heard |= {int(j) for i in heard for j in np.flatnonzero(a[i])}
            assert found.maps[count - 1][patch] == pytest.approx(len(heard) / 20)
            assert set(np.flatnonzero(heard_by(graphs, patch)[count - 1])) == heard


def test_reach_follows_a_pyramid_and_pooled_sources():
    nothing = graph_of(np.zeros((16, 16)), (4, 4))
    coarse = graph_of([[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], (2, 2))
    found = reach([nothing, coarse])
    assert found.share == (1 / 16, pytest.approx((8 + 4 + 4 + 4) / 64))
    assert heard_by([nothing, coarse], 0)[1].reshape(4, 4).tolist() == [[True] * 4, [True] * 4, [False] * 4, [False] * 4]
    pooled = PatchGraph(torch.zeros(1, 16, 1).long(), torch.ones(1, 16, 1).bool(), (4, 4), (2, 2), Rule("nearest"))
    assert reach([pooled]).maps[0].tolist() == [(4 if cell_of((4, 4), (2, 2))[i] == 0 else 5) / 16 for i in range(16)]
    with pytest.raises(ValueError, match="cannot be pooled"):
        reach([coarse, nothing])


# ----------------------------------------------------------------------------------------------------- D5: homophily


@pytest.mark.parametrize("seed", SEEDS)
def test_adjusted_homophily_is_newmans_assortativity(seed):
    graph = random_graph(seed)
    labels = np.random.default_rng(seed).integers(0, 3, 20)
    undirected = digraph(graph).to_undirected()
    nx.set_node_attributes(undirected, dict(enumerate(labels.tolist())), "label")
    found = homophily(graph, labels)
    assert found.adjusted == pytest.approx(nx.attribute_assortativity_coefficient(undirected, "label"))
    directed = digraph(graph)
    assert found.share == pytest.approx(np.mean([labels[a] == labels[b] for a, b in directed.edges]))


def test_homophily_by_hand_with_an_unlabelled_patch():
    a = np.zeros((4, 4))
    a[0, 1] = a[1, 0] = a[1, 2] = a[2, 3] = 1
    found = homophily(graph_of(a, (2, 2)), [5, 5, 7, -1])
    assert found.edges == 3
    assert found.share == pytest.approx(2 / 3)
    # undirected, without patch 3: 0–1, 1–2; degrees 1, 2, 1; q₅ = 3/4, q₇ = 1/4
    assert found.chance == pytest.approx(10 / 16)
    assert found.adjusted == pytest.approx((0.5 - 0.625) / 0.375)
    assert found.per_patch[:2].tolist() == [1, 0.5]
    assert np.isnan(found.per_patch[2:]).all()


def test_homophily_extremes():
    labels = np.repeat([0, 1], 8)
    inside = labels[:, None] == labels
    assert homophily(graph_of(inside, (4, 4)), labels).adjusted == pytest.approx(1)
    assert homophily(graph_of(~inside, (4, 4)), labels).adjusted == pytest.approx(-1)
    assert np.isnan(homophily(graph_of(inside, (4, 4)), np.zeros(16)).adjusted)
    with pytest.raises(NotMeasurable, match="labelled"):
        homophily(graph_of(inside, (4, 4)), -np.ones(16))
    with pytest.raises(ValueError, match="9 labels"):
        homophily(graph_of(inside, (4, 4)), np.zeros(9))


def test_homophily_of_pooled_sources_uses_the_majority_of_each_cell():
    labels = np.repeat([0, 0, 1, 1], 4)  # upper and lower half of 4 × 4
    own_cell = torch.from_numpy(cell_of((4, 4), (2, 2)))[None, :, None]
    graph = PatchGraph(own_cell, torch.ones(1, 16, 1).bool(), (4, 4), (2, 2), Rule("nearest"))
    found = homophily(graph, labels)
    assert (found.share, found.chance, found.adjusted) == (1, 0.5, 1)
    with pytest.raises(NotMeasurable):  # stripes: no cell has a clear majority
        homophily(graph, np.tile([0, 1], 8))


# ------------------------------------------------------------------------------------------- labels of patches


def test_patch_labels_take_the_majority_where_it_is_clear():
    mask = np.zeros((4, 8), int)
    mask[:, 4:] = 3
    mask[:2, 2] = 9  # a quarter of the patch around columns 2 and 3 … in the upper half
    assert patch_labels(mask, (2, 4)).tolist() == [0, -1, 3, 3, 0, 0, 3, 3]
    assert patch_labels(mask, (2, 4), purity=0.5).tolist() == [0, 0, 3, 3, 0, 0, 3, 3]
    assert patch_labels(torch.from_numpy(mask), (2, 4), void=0).tolist() == [-1, -1, 3, 3, -1, -1, 3, 3]
    assert patch_labels(mask, (1, 1), purity=0.6).tolist() == [-1]


def test_patch_labels_of_a_mask_that_the_grid_does_not_divide():
    mask = np.arange(7 * 5).reshape(7, 5)
    place = cell_of((7, 5), (3, 2))
    for patch, label in enumerate(patch_labels(mask, (3, 2), purity=0)):
        assert label in mask.ravel()[place == patch]
    with pytest.raises(ValueError, match="cannot label"):
        patch_labels(mask, (8, 2))


def test_pooled_labels_leave_out_mixed_cells():
    labels = np.array([[1, 1, 2, 2], [1, 2, 2, 1]])
    assert pooled_labels(labels, (2, 4), (1, 2)).tolist() == [1, 2]
    assert pooled_labels(labels, (2, 4), (1, 2), purity=0.8).tolist() == [-1, -1]
    assert pooled_labels(labels, (2, 4), (2, 4)).tolist() == labels.ravel().tolist()


def test_segments_find_flat_regions_in_reading_order():
    pixels = np.zeros((30, 40, 3), np.uint8)
    pixels[:, 20:] = (250, 30, 30)
    pixels[15:, :20] = (20, 200, 40)
    found = segments(pixels, (6, 8)).reshape(6, 8)
    expected = np.zeros((6, 8), int)
    expected[:, 4:] = 1
    expected[3:, :4] = 2
    assert found.tolist() == expected.tolist()


def test_colours_are_compared_in_cielab():
    white, black, (red, green, blue) = np.full(3, 255.0), np.zeros(3), np.eye(3) * 255
    expected = [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86]]
    assert _lab(np.stack([white, black, red, green, blue])) == pytest.approx(np.array(expected), abs=0.05)


def test_segments_of_a_plain_picture_are_one_and_of_any_picture_repeatable():
    plain = np.full((28, 28, 3), 128, np.uint8)
    assert set(segments(plain, (7, 7))) == {0}
    pixels, mask = scene(0)
    one, two = segments(pixels, (14, 14)), segments(pixels, (14, 14))
    assert one.tolist() == two.tolist()
    assert 2 <= len(set(one)) <= 6
    truth = patch_labels(mask, (14, 14))
    pairs = [(a, b) for a, b in zip(one, truth, strict=True) if b >= 0]
    pure = sum(max(sum(1 for p in pairs if p == (a, b)) for b in set(truth)) for a in set(one)) / len(pairs)
    assert pure > 0.9


@pytest.mark.parametrize("pixels", [np.zeros((8, 8, 3)), np.zeros((8, 8), np.uint8), np.zeros((2, 8, 3), np.uint8)])
def test_segments_refuse_other_pictures(pixels):
    with pytest.raises(ValueError, match="pixels"):
        segments(pixels, (4, 4))


# ------------------------------------------------------------------------------------- D7, D8: smoothness, redundancy


@pytest.mark.parametrize("seed", SEEDS)
def test_dirichlet_energy_is_the_laplacian_form(seed):
    graph = random_graph(seed, p=0.2)
    x = snapshot(graph).features
    y = x - x.mean(0)
    laplacian = nx.normalized_laplacian_matrix(digraph(graph).to_undirected(), nodelist=range(20)).toarray()
    found = smoothness(graph)
    assert found.own == pytest.approx(np.trace(y.T @ laplacian @ y) / np.trace(y.T @ y))
    grid = nx.normalized_laplacian_matrix(nx.convert_node_labels_to_integers(nx.grid_2d_graph(4, 5), ordering="sorted")).toarray()
    assert found.grid == pytest.approx(np.trace(y.T @ grid @ y) / np.trace(y.T @ y))


def test_dirichlet_energy_of_a_chessboard_is_two_and_of_a_ramp_small():
    board = (np.indices((6, 6)).sum(0) % 2 * 2 - 1).reshape(-1, 1).astype(float)
    ring = nx.to_scipy_sparse_array(nx.cycle_graph(36), dtype=float).tocsr()
    assert dirichlet(np.tile([[1.0], [-1.0]], (18, 1)), ring) == pytest.approx(2)
    assert dirichlet(board, grid_neighbours((6, 6))) > 1.9
    ramp = np.arange(36.0)[:, None] - 17.5
    assert dirichlet(ramp, grid_neighbours((36, 1))) < 0.03


def test_effective_rank_by_hand():
    assert effective_rank(np.array([[1, 0], [-1, 0], [0, 1], [0, -1.0]])) == pytest.approx(2)
    assert effective_rank(np.outer([1, -2, 1.0], [3, 1, 4, 1])) == pytest.approx(1)
    singular = np.array([3, 1]) / 4
    expected = math.exp(-(singular * np.log(singular)).sum())
    assert effective_rank(np.diag([3.0, 1.0])) == pytest.approx(expected)
    tall = np.random.default_rng(0).standard_normal((20, 5))
    assert effective_rank(tall) == pytest.approx(effective_rank(tall.T))


def test_cosine_and_smv_by_hand():
    found = smoothness(graph_of(np.zeros((4, 4)), (2, 2), [[2, 0], [0, 3], [-1, 0], [0, -5]]))
    assert found.mean_cosine == pytest.approx(-4 / 12)  # of 6 pairs, 4 are orthogonal and 2 opposite
    assert found.smv == pytest.approx((4 * math.sqrt(2) / 2 + 2 * 1) / 6)
    assert np.isnan(found.own)


@pytest.mark.parametrize("seed", range(3))
def test_pair_measures_agree_with_all_pairs(seed):
    graph = random_graph(seed)
    x = snapshot(graph).features
    u = x / np.linalg.norm(x, axis=1, keepdims=True)
    pairs = list(itertools.permutations(range(20), 2))
    found = smoothness(graph)
    assert found.mean_cosine == pytest.approx(np.mean([u[i] @ u[j] for i, j in pairs]))
    assert found.smv == pytest.approx(np.mean([np.linalg.norm(u[i] - u[j]) / 2 for i, j in pairs]))


def test_redundancy_of_copies_and_of_opposites():
    x = np.array([[1, 0], [1, 0], [-1, 0], [0, 1], [0, -1], [-1, 0]])  # mean 0
    a = np.zeros((6, 6))
    a[2, [0, 1]] = 1  # twice the same
    a[3, [0, 4]] = 1  # orthogonal
    a[4, [0, 2]] = 1  # opposite: one direction
    a[5, 0] = 1
    found = redundancy(graph_of(a, (2, 3), x))
    assert found.cosine[2:5] == pytest.approx([1, 0, -1])
    assert found.effective[2:] == pytest.approx([1, 2, 1, 1])
    assert np.isnan(found.cosine[[0, 1, 5]]).all()
    assert np.isnan(found.effective[:2]).all()
    assert found.mean == pytest.approx(0)


@pytest.mark.parametrize("channels", [2, 6])  # fewer and more channels than neighbours
def test_redundancy_agrees_with_the_definition(channels):
    graph = random_graph(1, p=0.3, channels=channels)
    y = snapshot(graph).features
    y = y - y.mean(0)
    found = redundancy(graph)
    for i, row in enumerate(graph.adjacency().numpy()):
        near = y[row > 0] / np.linalg.norm(y[row > 0], axis=1, keepdims=True)
        cosine = near @ near.T
        k = len(near)
        mu = np.clip(np.linalg.eigvalsh(cosine / k), 1e-300, None)
        assert found.effective[i] == pytest.approx(np.exp(-(mu * np.log(mu)).sum()))
        assert found.cosine[i] == pytest.approx((cosine.sum() - k) / (k * (k - 1)))


def test_redundancy_of_pooled_sources_uses_cell_averages():
    graph = pooled_graph()
    x = graph.features[0]
    cells = torch.nn.functional.avg_pool2d(x - x.mean((1, 2), keepdim=True), 2).flatten(1).T
    cells = torch.nn.functional.normalize(cells, dim=1)
    near = cells[graph.candidates[0, 0, graph.columns]]
    assert redundancy(graph).cosine[0] == pytest.approx(float(((near @ near.T).sum() - 3) / 6), abs=1e-5)


# -------------------------------------------------------------------------------------- D9, D10: agreement, stability


def test_agreement_by_hand():
    a, b = np.zeros((4, 4)), np.zeros((4, 4))
    a[0, [1, 2]] = b[0, [2, 3]] = 1
    a[1, 0] = 1
    found = agreement(graph_of(a, (2, 2)), graph_of(b, (2, 2)))
    assert found.per_patch[:2] == pytest.approx([1 / 3, 0])
    assert np.isnan(found.per_patch[2:]).all()
    assert found.mean == pytest.approx(1 / 6)
    m = 2 * 2 / 3
    assert found.chance == pytest.approx((m / (4 - m) + 0) / 2)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_graph_agrees_with_itself_and_the_order_does_not_matter(seed):
    one, two = random_graph(seed), random_graph(seed + 100)
    assert agreement(one, one).mean == 1
    assert agreement(one, two).mean == agreement(two, one).mean < 0.5


def test_chance_agreement_is_met_by_random_graphs():
    x = torch.zeros(1, 1, 14, 14)
    found = [agreement(RandomRegular(12, seed)(x), RandomRegular(8, seed + 50)(x)) for seed in range(4)]
    assert np.mean([f.mean for f in found]) == pytest.approx(found[0].chance, abs=0.005)


def test_agreement_refuses_other_grids_and_two_empty_graphs():
    with pytest.raises(ValueError, match="different grids"):
        agreement(random_graph(0, (4, 5)), random_graph(0, (5, 4)))
    empty = graph_of(np.zeros((4, 4)), (2, 2))
    with pytest.raises(NotMeasurable):
        agreement(empty, empty)


def test_static_graph_does_not_survive_a_flip_on_an_odd_side():
    graph = AxialStatic(2)(torch.zeros(1, 1, 7, 7))
    assert stability(graph, graph, unmoved((7, 7))).mean == 1
    assert stability(graph, graph, flipped((7, 7))).mean == pytest.approx(1 / 3)
    even = AxialStatic(2)(torch.zeros(1, 1, 8, 8))
    assert stability(even, even, flipped((8, 8))).mean == 1


def test_nearest_neighbours_move_with_the_picture():
    x = torch.randn(1, 6, 5, 6, generator=torch.Generator().manual_seed(0))
    knn = DilatedKNN(5).eval()
    graph, mirrored = knn(x), knn(x.flip(3))
    assert stability(graph, mirrored, flipped((5, 6))).mean == 1
    assert stability(graph, mirrored, unmoved((5, 6))).mean < 0.5


def test_a_shift_compares_the_overlap_alone():
    x = torch.randn(1, 6, 5, 6, generator=torch.Generator().manual_seed(1))
    other = torch.randn(1, 6, 5, 6, generator=torch.Generator().manual_seed(2))
    moved = torch.cat([other[..., :2], x[..., :-2]], 3)  # two columns to the right
    radius = Radius(1.0, limit=29)
    found = stability(radius(x), radius(moved), shifted((5, 6), 0, 2))
    assert found.mean == 1
    assert np.isnan(found.per_patch.reshape(5, 6)[:, 4:]).all()  # they left the picture
    assert stability(radius(x), radius(moved), shifted((5, 6), 0, 1)).mean < 0.9


def test_stability_refuses_what_is_no_permutation():
    graph = random_graph(0)
    with pytest.raises(ValueError, match="permutation"):
        stability(graph, graph, np.zeros(20, int))
    with pytest.raises(ValueError, match="pooled"):
        stability(pooled_graph(), pooled_graph(), np.arange(64))
    assert stability(pooled_graph(), pooled_graph(), np.arange(64), np.arange(16)).mean == 1


# ---------------------------------------------------------------------------- D11, D12, D15, D16: how edges were chosen


def test_utilisation_by_hand():
    a = np.zeros((4, 4))
    a[0, [1, 2, 3]] = 1
    a[1, 0] = 1
    winner = torch.full((1, 4, 4), -1, dtype=torch.int32)
    relative = torch.zeros(1, 4, 4)
    winner[0, 0] = torch.tensor([1, 1, 1, 3])
    relative[0, 0] = torch.tensor([0.5, 2.0, 0.1, -0.5])  # a negative value is no win
    found = utilisation(graph_of(a, (2, 2)), Aggregation(relative, winner))
    weight = {(s, t): w for s, t, w in zip(found.source, found.target, found.weight, strict=True)}
    assert weight == {(1, 0): 0.75, (2, 0): 0, (3, 0): 0, (0, 1): 0}
    assert found.silent.tolist() == [0.25, 1, 1, 1]
    assert found.used[:2] == pytest.approx([1 / 3, 0])
    assert found.effective[0] == pytest.approx(1)
    assert np.isnan(found.effective[1:]).all()
    assert np.isnan(found.used[2:]).all()


@pytest.mark.parametrize("name", ["nearest", "axial", "axial-threshold", "radius"])
def test_utilisation_accounts_for_every_channel(name):
    graph = rule_graphs(batch=2)[name]
    nodes = to_nodes(graph.features)
    aggregation = MaxRelative()(nodes, nodes, graph)
    found = utilisation(graph, aggregation, picture=1)
    total = np.bincount(found.target, found.weight, 64)
    assert total + found.silent == pytest.approx(np.ones(64))
    assert found.silent == pytest.approx((aggregation.relative[1] <= 0).float().mean(1).numpy())
    assert np.nanmin(found.effective) >= 1 - 1e-9
    assert (np.nan_to_num(found.effective) <= np.maximum(snapshot(graph, 1).listens, 1) + 1e-9).all()


def test_utilisation_refuses_an_aggregation_of_another_graph():
    graph = random_graph(0)
    with pytest.raises(ValueError, match="does not belong"):
        utilisation(graph, Aggregation(torch.ones(1, 9, 2), torch.zeros(1, 9, 2, dtype=torch.int32)))
    lonely = graph_of(np.eye(20, k=1), (4, 5))
    with pytest.raises(ValueError, match="no edge"):
        utilisation(lonely, Aggregation(torch.ones(1, 20, 2), torch.zeros(1, 20, 2, dtype=torch.int32)))
    with pytest.raises(NonFiniteError):
        utilisation(graph, Aggregation(torch.full((1, 20, 2), torch.nan), torch.zeros(1, 20, 2, dtype=torch.int32)))


def test_margin_of_nearest_neighbours_by_hand():
    def of(distances, kept):
        d = torch.tensor(distances).expand(1, 4, -1)
        order = torch.tensor([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])[None]
        return fragility(PatchGraph(order, torch.tensor(kept).bool().expand(1, 4, -1), (2, 2), (2, 2), Rule("nearest"), d))

    found = of([1.0, 2.0, 2.5], [1, 1, 0])
    assert found.margin == pytest.approx([0.25] * 4)  # (2.5 − 2) / 2
    assert found.near_share == 0
    assert of([1.0, 2.0, 2.05], [1, 1, 0]).near_share == 0.5
    assert of([1.0, 1.1, 2.0], [1, 0, 1]).margin == pytest.approx([0.05] * 4)  # dilated: rank 2 lies between
    assert of([0.0, 0.0, 1.0], [1, 0, 0]).margin.tolist() == [0] * 4  # a tie at distance 0
    with pytest.raises(NotMeasurable, match="nothing to compare"):
        of([1.0, 2.0, 2.5], [1, 1, 1])


def test_a_patch_in_its_own_list_is_no_edge_that_hangs_by_a_thread():
    graph = rule_graphs()["nearest"]  # rank 0 is the patch itself
    first_left = graph.distance[0, :, 6:7]
    margin = (first_left - graph.distance[0, :, 1:6]) / graph.distance[0, :, 5:6]
    expected = float((margin < 0.05).float().mean())
    assert 0 < expected < 1
    assert fragility(graph).near_share == pytest.approx(expected)


def test_margin_of_an_edited_list_is_refused():
    graph = rule_graphs()["nearest"]
    assert fragility(graph).median > 0
    with pytest.raises(NotMeasurable, match="edited"):
        fragility(graph.with_kept(cut_patch(graph, 3).kept))


def test_margin_of_thresholds():
    graph = rule_graphs()["axial-threshold"]
    mean, std = (float(graph.rule.statistics[key]) for key in ("mean", "std"))
    expected = (graph.distance[0] - (mean - 0.5 * std)).abs() / std
    found = fragility(graph)
    assert found.margin == pytest.approx(expected.min(1).values.numpy(), rel=1e-4)
    assert found.near_share == pytest.approx(float((expected[graph.kept[0]] < 0.05).float().mean()))
    radius = rule_graphs()["radius"]
    assert fragility(radius).margin == pytest.approx(((0.81 - radius.distance[0]).abs() / 0.81).min(1).values.numpy(), rel=1e-4)


@pytest.mark.parametrize("name", ["axial", "grid", "random"])
def test_a_rule_that_compares_nothing_has_no_margin(name):
    with pytest.raises(NotMeasurable, match="compares no distances"):
        fragility(rule_graphs()[name])


def test_bias_share_is_the_share_of_the_position_term():
    x = torch.randn(1, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    position = torch.randn(1, 16, 16, generator=torch.Generator().manual_seed(1))
    graph = DilatedKNN(3).eval()(x, None, position)
    nodes = torch.nn.functional.normalize(to_nodes(x)[0], dim=1)
    total = 2 - 2 * nodes @ nodes.T + position[0]
    found = bias_share(graph)  # the horizon covers all 16 patches
    for i in range(16):
        others = torch.arange(16) != i
        assert found[i] == pytest.approx(float(position[0, i, others].var() / total[i, others].var()), rel=1e-3)
    weak = DilatedKNN(3).eval()(x, None, 1e-3 * position)
    assert bias_share(weak).max() < 1e-4
    short = DilatedKNN(3, horizon=6).eval()(x, None, 50 * position)
    whole = DilatedKNN(3).eval()(x, None, 50 * position)
    level = {name: {m.key: m for m in summary(g)}["bias_share"].level for name, g in (("short", short), ("whole", whole))}
    assert level["short"] == "watch"  # six of sixteen sources cannot convict
    assert np.median(bias_share(whole)) == pytest.approx(1, abs=0.1)
    with pytest.raises(NotMeasurable, match="position"):
        bias_share(rule_graphs()["nearest"])


def flat_with_small_object() -> torch.Tensor:
    x = torch.zeros(1, 3, 14, 14)
    x[..., 2:5, 3:7] = 1
    return x


def test_flat_picture_with_a_small_object_has_no_edge_under_the_threshold_rule():
    graph = AxialDynamic(2)(flat_with_small_object())
    found = gauge(graph)
    assert found.cv >= 1
    assert found.hopeless
    assert not graph.kept.any()
    by_key = {m.key: m for m in summary(graph)}
    assert by_key["edges"].value == 0
    assert by_key["edges"].level == by_key["cv"].level == by_key["isolated"].level == "bad"
    assert "no edge can survive" in by_key["cv"].hint
    assert by_key["redundancy"].value is None
    assert by_key["length_median"].value is None


def test_gauge_counts_the_multiplier():
    x = flat_with_small_object()
    assert not gauge(AxialDynamic(2, 0.1)(x)).hopeless
    assert gauge(AxialDynamic(2, 0.1)(x)).cv == gauge(AxialDynamic(2)(x)).cv
    judged = {m.key: m.level for m in summary(AxialDynamic(2, 0.1)(x))}
    assert judged["cv"] == "good"
    with pytest.raises(NotMeasurable):
        gauge(rule_graphs()["axial"])


def test_threshold_error_vanishes_when_the_estimate_is_exact():
    x = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    assert threshold_error(AxialDynamic(1, exact=True)(x)) == pytest.approx({"mean": 0, "std": 0, "threshold": 0}, abs=1e-5)
    assert threshold_error(AxialDynamic(1)(x))["std"] > 1e-3


# -------------------------------------------------------------------------------------------------- D14: edge cuts


@pytest.mark.parametrize("name", ["nearest", "axial", "axial-threshold"])
def test_cutting_between_segments_leaves_perfect_homophily(name):
    graph = rule_graphs()[name]
    labels = np.repeat([0, 1, -1, 1], 16)
    cut = cut_between_segments(graph, labels)
    after = graph.with_kept(cut.kept)
    assert snapshot(graph).edges - snapshot(after).edges == cut.removed > 0
    assert homophily(after, labels).share == 1
    for end in ("source", "target"):  # an edge without a label is not judged
        unlabelled = [(labels[getattr(snapshot(g), end)] < 0).sum() for g in (graph, after)]
        assert unlabelled[0] == unlabelled[1] > 0


def test_cutting_one_patch():
    graph = rule_graphs()["nearest"]
    s = snapshot(graph)
    into, out = int(s.listens[5]), int(s.read_by[5])
    for side, count in (("both", into + out), ("listens", into), ("read", out)):
        cut = cut_patch(graph, 5, side=side)
        after = snapshot(graph.with_kept(cut.kept))
        assert cut.removed == count == s.edges - after.edges
        assert (after.listens[5] == 0) == (side != "read")
        assert (after.read_by[5] == 0) == (side != "listens")
    own = graph.is_self() & graph.kept
    assert own.any()
    assert cut.kept[own].all()  # a patch keeps itself
    with pytest.raises(IndexError, match="no patch 64"):
        cut_patch(graph, 64)


def test_a_random_cut_has_the_asked_size_and_depends_on_the_seed():
    graph = rule_graphs()["nearest"]
    cut = cut_random(graph, 40)
    assert cut.removed == 40 == snapshot(graph).edges - snapshot(graph.with_kept(cut.kept)).edges
    assert torch.equal(cut.kept, cut_random(graph, 40).kept)
    assert not torch.equal(cut.kept, cut_random(graph, 40, seed=1).kept)
    assert cut_random(graph, 10**6).removed == snapshot(graph).edges


@pytest.mark.parametrize("name", ["nearest", "axial"])  # lists per picture, and one list for all
def test_a_cut_touches_one_picture_of_a_batch(name):
    graph = rule_graphs(batch=3)[name]
    after = graph.with_kept(cut_random(graph, 30, picture=1).kept)
    assert [snapshot(graph, p).edges - snapshot(after, p).edges for p in range(3)] == [0, 30, 0]
    nodes = to_nodes(graph.features)
    full, less = (MaxRelative()(nodes, nodes, g).relative for g in (graph, after))
    assert torch.equal(full[[0, 2]], less[[0, 2]])
    assert not torch.equal(full[1], less[1])
    with pytest.raises(IndexError, match="no picture 3"):
        cut_random(graph, 1, picture=3)


def test_cuts_of_a_pooled_graph():
    graph = pooled_graph()
    labels = np.repeat([0, 1], 32)
    after = graph.with_kept(cut_between_segments(graph, labels).kept)
    assert homophily(after, labels).share == 1
    assert cut_patch(graph, 0).removed == 3


# ------------------------------------------------------------------------------------------------------ the summary


@pytest.mark.parametrize("name", list(rule_graphs()))
def test_summary_has_every_key_of_the_catalogue_in_order(name):
    graph = rule_graphs()[name]
    found = summary(graph, labels=np.arange(64) // 16)
    assert [m.key for m in found] == list(catalogue())
    assert all(m.hint.endswith(".") and m.name and m.formula and m.source for m in found)
    assert values(found)["edges"] == snapshot(graph).edges
    assert all(m.hint.startswith("Not measured: ") for m in found if m.value is None)


@pytest.mark.parametrize(("level", "watch", "bad"), [("good", np.inf, np.inf), ("watch", -np.inf, np.inf), ("bad", -np.inf, -np.inf)])
def test_every_sentence_can_be_said_at_every_level(level, watch, bad, monkeypatch):
    forced = {k: {**v, "watch": watch, "bad": bad} if "watch" in v else v for k, v in catalogue().items()}
    monkeypatch.setattr("explorer.diagnostics.measure.vocabulary", lambda: forced)
    x = torch.randn(1, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    knn = DilatedKNN(4).eval()(x, None, torch.randn(1, 64, 64, generator=torch.Generator().manual_seed(0)))
    nodes, said = to_nodes(x), set()
    for graph in (knn, AxialDynamic(2, 0.3)(x), pooled_graph()):
        aggregation = None if graph.pooled else MaxRelative()(nodes, nodes, graph)
        said |= {
            m.key
            for m in summary(graph, aggregation=aggregation, labels=np.arange(64) // 16)
            if m.level in (level, "info") and m.value is not None
        }
    assert said == set(catalogue())


def test_levels_look_in_the_right_direction():
    assert [level_of(v, 1, 2) for v in (0, 1, 2)] == ["good", "watch", "bad"]
    assert [level_of(v, 2, 1) for v in (3, 2, 1)] == ["good", "watch", "bad"]
    assert level_of(5, None, None) == "info"
    assert measure("cv", 0.9, grade=1.8, multiplier=2.0).level == "bad"


def test_percent_never_rounds_to_nothing_or_everything():
    assert [percent(v) for v in (0, 1e-5, 0.004, 0.373, 0.996, 0.99999, 1)] == [
        "0 %",
        "less than 0.1 %",
        "0.4 %",
        "37 %",
        "99.6 %",
        "over 99.9 %",
        "100 %",
    ]


def test_k_means_segments_are_never_called_truth():
    graph, labels = rule_graphs()["nearest"], np.arange(64) // 16
    for truth in (True, False):
        pair = [m for m in summary(graph, labels=labels, labels_are_truth=truth) if m.key.startswith("homophily")]
        assert len(pair) == 2
        for m in pair:
            assert (KMEANS_NOTE in m.hint) == (not truth)
            assert ("object" in m.hint) == truth


def test_hub_in_a_corner_is_called_out():
    a = np.zeros((64, 64))
    a[1:, 0] = 1
    by_key = {m.key: m for m in summary(graph_of(a, (8, 8), np.random.default_rng(0).standard_normal((64, 4))))}
    for key in ("hub_share", "corner_share", "hub_skew"):
        assert by_key[key].level == "bad"
    assert "padding" in by_key["corner_share"].hint


@pytest.mark.parametrize("value", [0.0, 3.0])
@pytest.mark.parametrize("maker", [DilatedKNN(5), AxialDynamic(2), MutualKNN(4), Radius(0.5)])
def test_a_constant_picture_has_no_numbers_but_one_clear_sentence(maker, value):
    graph = maker.eval()(torch.full((1, 6, 8, 8), value))
    first, *rest = summary(graph, labels=np.arange(64) // 16)
    assert (first.key, first.value, first.level) == ("difference", 0, "bad")
    assert first.hint == "All patches look the same to this layer: the graph means nothing."
    assert [m.value for m in rest] == [None] * len(rest)
    assert all("look the same" in m.hint for m in rest)
    assert all(v == [None] for v in depth_profile({"block": graph}).values())


def test_patches_that_differ_only_in_length_are_the_same_to_a_rule_that_divides_by_it():
    x = torch.rand(1, 1, 6, 6, generator=torch.Generator().manual_seed(0)) + 0.5
    x = x * torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)
    assert values(summary(DilatedKNN(4).eval()(x)))["edges"] is None
    assert values(summary(Grid8()(x)))["difference"] > 0.1


def test_equal_distances_give_a_collapse_away_without_features():
    candidates = torch.tensor([[[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]])
    kept = torch.tensor([True, True, False]).expand(1, 4, 3)
    graph = PatchGraph(candidates, kept, (2, 2), (2, 2), Rule("nearest"), torch.full((1, 4, 3), 0.7))
    assert summary(graph)[0].level == "bad"
    assert summary(graph)[1].value is None


def test_a_fixed_graph_over_constant_features_keeps_its_shape_but_not_its_features():
    found = values(summary(AxialStatic(2)(torch.ones(1, 4, 7, 7))))
    assert found["edges"] == 49 * 6
    assert found["reciprocity"] == 0
    assert found["difference"] == 0
    assert [found[key] for key in ("smv", "redundancy", "dirichlet_grid", "effective_rank")] == [None] * 4


def test_a_graph_without_features_is_measured_as_far_as_possible():
    found = {m.key: m for m in summary(graph_of(np.eye(16, k=1), (4, 4)))}
    assert found["pieces"].value == 1
    assert found["smv"].value is found["difference"].value is None
    assert "does not carry the features" in found["smv"].hint


@pytest.mark.parametrize("poison", [torch.nan, torch.inf])
def test_values_that_are_not_finite_are_named(poison):
    x = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    x[1, 0, 2, 2] = poison
    graph = RandomRegular(4)(x)
    with pytest.raises(NonFiniteError, match=r"picture 1: 0\.7 % of features"):
        summary(graph, picture=1)
    assert values(summary(graph))["edges"] == 36 * 4  # the other picture is sound
    with pytest.raises(IndexError, match="no picture 2"):
        summary(graph, picture=2)


def test_pictures_of_a_batch_are_measured_one_by_one():
    x = torch.randn(3, 6, 7, 7, generator=torch.Generator().manual_seed(0))
    labels = np.arange(49) % 3
    for maker in (DilatedKNN(4).eval(), AxialDynamic(2), AxialStatic(2)):
        together = maker(x)
        nodes = to_nodes(x)
        aggregation = MaxRelative()(nodes, nodes, together)
        for picture in range(3):
            alone = maker(x[picture : picture + 1])
            one = MaxRelative()(nodes[[picture]], nodes[[picture]], alone)
            expected = values(summary(alone, aggregation=one, labels=labels))
            found = values(summary(together, picture=picture, aggregation=aggregation, labels=labels))
            assert [key for key in expected if not close(found[key], expected[key], 1e-4)] == []


def test_a_pooled_graph_says_what_it_cannot_measure():
    found = {m.key: m for m in summary(pooled_graph(), labels=np.arange(64) // 16)}
    for key in ("reciprocity", "spectral_gap", "dirichlet_own"):
        assert found[key].value is None
        assert "pooled" in found[key].hint
    for key in ("length_median", "homophily", "redundancy", "pieces", "margin"):
        assert found[key].value is not None


POSITION_KEYS = {"corner_share", "border_share", "length_median", "length_ninety", "local_share", "dirichlet_grid"}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), p=st.floats(0, 0.5), order=st.permutations(range(20)))
def test_numbering_does_not_matter_and_values_stay_in_range(seed, p, order):
    graph, order = random_graph(seed, p=p), np.array(order)
    labels = np.random.default_rng(seed).integers(-1, 3, 20)
    one = values(summary(graph, labels=labels))
    two = values(summary(relabelled(graph, order), labels=labels[order]))
    sizes = components(graph).sizes
    unsure = {"spectral_gap"} if len(sizes) > 1 and sizes[0] == sizes[1] else set()  # two largest pieces: either may be taken
    for key in set(one) - POSITION_KEYS - unsure:
        assert close(one[key], two[key], 1e-6), key
    shares = [k for k, v in catalogue().items() if v["unit"] == "share"] + ["smv"]
    assert all(one[key] is None or 0 <= one[key] <= 1 for key in shares)
    ranges = {"dirichlet_own": (0, 2), "dirichlet_grid": (0, 2), "spectral_gap": (0, 2), "mean_cosine": (-1, 1), "redundancy": (-1, 1)}
    for key, (low, high) in ranges.items():
        assert one[key] is None or low - 1e-9 <= one[key] <= high + 1e-9, key
    assert one["homophily_adjusted"] is None or one["homophily_adjusted"] <= 1 + 1e-9
    found = redundancy(graph) if one["edges"] else None
    if found is not None:
        known = ~np.isnan(found.effective)
        assert (found.effective[known] >= 1 - 1e-9).all()
        assert (found.effective[known] <= snapshot(graph).listens[known] + 1e-9).all()


# ------------------------------------------------------------------------------------------- several graphs at once


def test_depth_profile_lists_each_layer_and_pools_the_labels():
    x = torch.randn(1, 6, 8, 8, generator=torch.Generator().manual_seed(0))
    coarse = torch.nn.functional.avg_pool2d(x, 2)
    graphs = {"a": DilatedKNN(4).eval()(x), "b": AxialDynamic(1)(coarse), "c": AxialStatic(2)(coarse)}
    labels = np.arange(64) // 32
    found = depth_profile(graphs, labels)
    assert list(found) == list(DEPTH_KEYS)
    assert all(len(row) == 3 for row in found.values())
    for i, (graph, own) in enumerate(zip(graphs.values(), (labels, np.arange(16) // 8, np.arange(16) // 8), strict=True)):
        expected = values(summary(graph, labels=own, labels_are_truth=True))
        assert {key: row[i] for key, row in found.items()} == {key: expected[key] for key in DEPTH_KEYS}
    assert [v is None for v in found["cv"]] == [True, False, True]
    by_name = depth_profile(graphs, {"a": labels})["homophily_adjusted"]
    assert by_name == [found["homophily_adjusted"][0], None, None]
    assert depth_profile(graphs)["homophily_adjusted"] == [None] * 3


def test_smoothing_shows_in_the_profile():
    x = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(0)) + 0.5
    layers = {}
    for depth in range(4):
        layers[str(depth)] = Grid8()(x)
        x = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    found = depth_profile(layers)
    for key, sign in (("smv", -1), ("dirichlet_grid", -1), ("dirichlet_own", -1), ("effective_rank", -1), ("mean_cosine", 1)):
        assert (sign * np.diff(found[key]) > 0).all(), key


def test_the_three_constructors_pay_in_different_coin():
    """Nearest neighbours repeat each other, the static cross ignores objects, the threshold leaves patches alone."""
    makers = {"knn": DilatedKNN(9).eval(), "svga": AxialStatic(2), "dagc": AxialDynamic(2)}
    rows = {name: [] for name in makers}
    corners: dict[str, list] = {name: [] for name in makers}
    for seed in range(6):
        pixels, mask = scene(seed)
        labels = patch_labels(mask, (14, 14))
        graphs = {name: maker(raw_features(pixels)) for name, maker in makers.items()}
        for name, graph in graphs.items():
            rows[name].append(values(summary(graph, labels=labels, labels_are_truth=True)))
            corners[name].append(triangle(graph, labels))
    mean = {
        name: {key: np.mean([row[key] for row in rows[name]]) for key in rows[name][0] if rows[name][0][key] is not None} for name in makers
    }
    assert mean["knn"]["degree_mean"] == 8
    assert mean["svga"]["degree_mean"] == 12
    assert mean["dagc"]["degree_mean"] < 8
    assert mean["knn"]["redundancy"] > mean["dagc"]["redundancy"] > mean["svga"]["redundancy"] + 0.2
    assert mean["dagc"]["homophily_adjusted"] > mean["knn"]["homophily_adjusted"] > mean["svga"]["homophily_adjusted"] + 0.2
    assert mean["dagc"]["dirichlet_own"] < mean["svga"]["dirichlet_own"]
    assert mean["knn"]["dirichlet_own"] < mean["svga"]["dirichlet_own"]
    assert mean["svga"]["pieces"] == 4
    assert mean["dagc"]["pieces"] > 4 > mean["knn"]["pieces"]
    assert 0.5 < mean["knn"]["reciprocity"] < 1 == mean["svga"]["reciprocity"] == mean["dagc"]["reciprocity"]
    best = {axis: max(makers, key=lambda n: np.mean([getattr(c, axis) for c in corners[n]])) for axis in corners["knn"][0]._fields}
    assert best == {"homophily": "dagc", "connectivity": "knn", "redundancy": "knn"}


def test_triangle_of_an_empty_graph():
    found = triangle(graph_of(np.zeros((4, 4)), (2, 2), np.eye(4)), [0, 0, 1, 1])
    assert np.isnan(found.homophily)
    assert np.isnan(found.redundancy)
    assert found.connectivity == 0.25


# ---------------------------------------------------------------------------------------------------- who knows whom


def test_diagnostics_know_structures_alone():
    allowed = ("explorer.diagnostics", "models.structures")
    for file in Path(package.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [a.name for a in getattr(node, "names", [])]
                if isinstance(node, ast.Import)
                else []
            )
            for name in names:
                assert not name.startswith(("models", "explorer", "gradio", "plotly", "matplotlib")) or name.startswith(allowed), (
                    file,
                    name,
                )


def test_everything_that_is_exported_exists_and_is_documented():
    for name in package.__all__:
        thing = getattr(package, name)
        assert not callable(thing) or (thing.__doc__ and not thing.__doc__.startswith(f"{name}(")), name
