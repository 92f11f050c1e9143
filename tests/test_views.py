"""Structures → what is drawn: arrays that travel without loss, patches in the right place, layouts that stay the same."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from explorer import service
from explorer.exhibits import catalogue
from explorer.views import space
from explorer.views.arrays import TYPES, pack, pack_json, pack_scaled, unpack
from explorer.views.edges import edges, positions
from explorer.views.patch_graph import CANDIDATES, half_roll_sample, layer_payload, patch_colours, rule_payload, won_share
from explorer.views.space import LAYOUTS, layout, pca, umap
from models.image_graphs.aggregate import MaxRelative, to_nodes
from models.image_graphs.constructors import AxialDynamic, AxialStatic, DilatedKNN, Grid8, RandomRegular, half_roll_distance
from models.structures import Aggregation, PatchGraph, Rule


def features(channels: int = 5, height: int = 4, width: int = 6, seed: int = 0, batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, channels, height, width, generator=torch.Generator().manual_seed(seed))


def picture(side: int = 60, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


# --------------------------------------------------------------------------------------------------------------- arrays

shapes = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=6)
whole = st.sampled_from(["u8", "u16", "i32"]).flatmap(lambda kind: st.tuples(st.just(kind), hnp.arrays(TYPES[kind], shapes)))
finite = hnp.arrays(np.float32, shapes, elements=st.floats(-(2.0**100), 2.0**100, width=32))


@given(whole)
def test_whole_numbers_travel_unchanged(case: tuple[str, np.ndarray]) -> None:
    kind, values = case
    packed = json.loads(json.dumps(pack(values, kind)))
    assert (packed["type"], packed["shape"]) == (kind, list(values.shape))
    np.testing.assert_array_equal(unpack(packed), values)


@given(finite)
def test_floats_travel_unchanged(values: np.ndarray) -> None:
    np.testing.assert_array_equal(unpack(json.loads(json.dumps(pack(values, "f32")))), values)


@given(finite, st.sampled_from([8, 12, 16]), st.booleans())
def test_scaled_floats_are_as_close_as_is_said(values: np.ndarray, bits: int, sorted_rows: bool) -> None:
    packed = json.loads(json.dumps(pack_scaled(values, bits, sorted_rows=sorted_rows), allow_nan=False))
    assert packed["type"] == f"q{bits}"
    found = unpack(packed).astype(np.float64)
    assert found.shape == values.shape
    if values.size:
        low, high = float(values.min()), float(values.max())
        rounding = 2**-23 * max(abs(low), abs(high))  # the answer is a float32
        assert np.abs(found - values).max() <= (high - low) / (2 ** (bits + 1) - 2) * (1 + 1e-6) + 2 * rounding
        assert (packed["low"], packed["high"]) == (low, high)


def test_both_ends_of_a_scale_are_exact() -> None:
    values = np.array([-2.5, 0.1, 7.25], np.float32)
    for bits in (8, 12, 16):
        found = unpack(pack_scaled(values, bits))
        assert (found[0], found[2]) == (-2.5, 7.25)
    np.testing.assert_array_equal(unpack(pack_scaled(np.full((2, 3), 4.5))), np.full((2, 3), 4.5))


def test_what_repeats_becomes_short_and_comes_back() -> None:
    prefix = np.zeros((256, 21), np.uint8)
    prefix[:, :6] = 1
    random = np.random.default_rng(0)
    rows = np.sort(random.random((256, 21)), axis=1)
    few = random.choice(random.random(200), (256, 21))
    for packed, raw, share in ((pack(prefix, "u8"), prefix.nbytes, 0.05), (pack_scaled(few), 2 * few.size, 0.6)):
        assert len(packed["data"]) < share * raw * 4 / 3
    assert pack_scaled(few)["coding"] == "levels"
    np.testing.assert_array_equal(unpack(pack(prefix, "u8")), prefix)
    assert np.abs(unpack(pack_scaled(few)) - few).max() <= np.ptp(few) / 131070 * 1.01
    steps, plain = pack_scaled(rows, 12, sorted_rows=True), pack_scaled(rows, 12)
    np.testing.assert_array_equal(unpack(steps), unpack(plain))
    assert len(steps["data"]) < 0.8 * len(plain["data"])
    assert (np.diff(unpack(steps), axis=1) >= 0).all(), "rounding never turns an order round"


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_texts_travel_unchanged(value: Any) -> None:
    assert unpack(json.loads(json.dumps(pack_json(value)))) == value


def test_bytes_are_little_endian_in_raster_order() -> None:
    data = base64.b64decode(pack(np.array([[1, 2], [3, 258]]), "u16")["data"])
    assert data == bytes([1, 0, 2, 0, 3, 0, 2, 1])
    assert base64.b64decode(pack(np.arange(6).reshape(2, 3).T, "u8")["data"]) == bytes([0, 3, 1, 4, 2, 5])
    assert base64.b64decode(pack(torch.tensor([1.0]), "f32")["data"]) == b"\x00\x00\x80\x3f"


# ------------------------------------------------------------------------------------------------------------- patches


@pytest.mark.parametrize("grid", [(1, 1), (4, 4), (7, 7), (5, 9), (16, 16), (60, 60)])
def test_the_colour_of_a_patch_is_the_mean_of_its_pixels(grid: tuple[int, int]) -> None:
    shown = picture()
    found = patch_colours(shown, grid)
    assert found.shape == (grid[0] * grid[1], 3)
    rows, cols = (np.linspace(0, 60, side + 1).astype(int) for side in grid)
    for r in range(grid[0]):
        for c in range(grid[1]):
            mean = shown[rows[r] : rows[r + 1], cols[c] : cols[c + 1]].reshape(-1, 3).astype(float).mean(0)
            assert np.abs(found[r * grid[1] + c] - mean).max() <= 0.5 + 1e-9


def test_patches_count_in_raster_order() -> None:
    shown = np.zeros((40, 40, 3), np.uint8)
    shown[10:20, 30:40] = (9, 8, 7)  # row 1, column 3 of 4 × 4
    colours = patch_colours(shown, (4, 4))
    assert colours[1 * 4 + 3].tolist() == [9, 8, 7]
    assert colours.sum() == 24
    np.testing.assert_allclose(positions((4, 4))[1 * 4 + 3], [3.5 / 4, 1.5 / 4])


CONSTRUCTORS = {
    "nearest": DilatedKNN(3, dilation=2),
    "axial": AxialStatic(2),
    "threshold": AxialDynamic(1),
    "grid": Grid8(),
    "random": RandomRegular(4),
}


@pytest.mark.parametrize("constructor", CONSTRUCTORS.values(), ids=CONSTRUCTORS.keys())
@pytest.mark.parametrize("sign", [1, -1])
def test_the_share_of_an_edge_is_the_channels_it_won(constructor: torch.nn.Module, sign: int) -> None:
    x = features()
    graph = constructor.eval()(x)
    taken = MaxRelative(sign=sign)(to_nodes(x), to_nodes(x), graph)
    candidates = graph.candidates[0].numpy()
    found = won_share(taken, candidates)
    nodes, kept = to_nodes(x)[0].numpy(), graph.kept.expand(1, 24, -1)[0].numpy()
    for target in range(24):
        neighbours = [int(s) for s, edge in zip(candidates[target], kept[target], strict=True) if edge]
        for column, source in enumerate(candidates[target]):
            won = 0
            for channel in range(5):
                gains = {s: sign * (nodes[s, channel] - nodes[target, channel]) for s in sorted(set(neighbours), reverse=True)}
                best = max(gains, key=lambda s: (gains[s], -s), default=None)
                won += best == source and gains[best] > 0
            assert found[target, column] == pytest.approx(won / 5)
    assert found.max() > 0
    for target in range(24):
        unique = {int(s): found[target, column] for column, s in enumerate(candidates[target])}
        assert sum(unique.values()) <= 1 + 1e-9


def test_nobody_wins_a_channel_that_gained_nothing() -> None:
    taken = Aggregation(torch.zeros(1, 2, 3), torch.tensor([[[1, -1, 1], [0, 0, -1]]], dtype=torch.int32))
    assert won_share(taken, np.array([[1], [0]])).tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("shape", [(4, 6), (5, 7), (8, 8)])
def test_the_sample_on_the_page_is_the_sample_of_the_rule(p: int, shape: tuple[int, int]) -> None:
    x = features(8, *shape, batch=2)
    graph = AxialDynamic(1, p=p).eval()(x)
    for one in (0, 1):
        sample = half_roll_sample(graph, one)
        np.testing.assert_allclose(sample, half_roll_distance(x, p)[one].flatten().numpy(), rtol=1e-5, atol=1e-6)
        rule = rule_payload(graph, one)
        assert rule["mean"] == pytest.approx(sample.mean(), rel=1e-5)
        assert rule["std"] == pytest.approx(sample.std(ddof=1), rel=1e-5)
        assert rule["p"] == p


def test_a_layer_sends_enough_candidates_and_no_more() -> None:
    x = features(6, 8, 8)
    for k, dilation, sent in ((3, 1, CANDIDATES), (8, 4, 29), (16, 4, 61)):
        graph = DilatedKNN(k, dilation, horizon=64).eval()(x)
        found = layer_payload({"graph": graph}, picture())
        assert unpack(found["candidates"]).shape == (64, sent)
        assert unpack(found["kept"]).sum() == 64 * k
    whole_axis = layer_payload({"graph": AxialDynamic(1).eval()(features(6, 20, 20))}, picture())
    assert unpack(whole_axis["candidates"]).shape == (400, 38)


def test_a_pooled_layer_names_cells_of_the_key_grid() -> None:
    x = features(6, 8, 8)
    keys = torch.nn.functional.avg_pool2d(x, 2)
    graph = DilatedKNN(4).eval()(x, keys, torch.zeros(1, 64, 16))
    found = layer_payload({"graph": graph}, picture())
    assert (found["grid"], found["keyGrid"]) == ([8, 8], [4, 4])
    assert unpack(found["candidates"]).max() < 16
    assert unpack(found["position"]).shape == unpack(found["distance"]).shape == (64, 16)


def test_a_graph_without_edges_can_be_sent() -> None:
    x = torch.zeros(1, 3, 4, 4)
    x[0, :, 1, 1] = 9
    graph = AxialDynamic(2).eval()(x)
    assert graph.edge_index().shape == (2, 0)
    found = layer_payload({"graph": graph}, picture())
    assert unpack(found["kept"]).sum() == 0
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("constructor", CONSTRUCTORS.values(), ids=CONSTRUCTORS.keys())
def test_the_list_of_edges_is_the_graph(constructor: torch.nn.Module) -> None:
    x = features()
    graph = constructor.eval()(x)
    taken = MaxRelative()(to_nodes(x), to_nodes(x), graph)
    found = edges({"graph": graph, "aggregation": taken})
    np.testing.assert_array_equal(np.stack([found.source, found.target]), graph.edge_index().numpy())
    assert found.share is not None
    assert len(found) == len(found.share) == len(found.wraps)
    assert (found.distance is None) == (graph.distance is None)
    rolled = graph.rule.name in ("axial", "axial-threshold")
    rows, cols = np.divmod(found.source, 6), np.divmod(found.target, 6)
    across = (rows[0] > cols[0]) | (rows[1] > cols[1])
    np.testing.assert_array_equal(found.wraps, across if rolled else np.zeros(len(found), bool))
    for most in (0, 3, 10_000):
        assert len(found.strongest(most)) == min(most, len(found))


# ----------------------------------------------------------------------------------------------------- feature space


def test_principal_components_explain_what_they_say() -> None:
    x = features(5).flatten(2)[0].T.numpy().astype(np.float64) * [9, 4, 1, 0.5, 0.1]
    points, explained = pca(x)
    assert points.shape == (24, 2)
    covariance = np.cov(x.T)
    values = np.sort(np.linalg.eigvalsh(covariance))[::-1]
    np.testing.assert_allclose(explained, values[:2] / values.sum(), rtol=1e-5)
    np.testing.assert_allclose(points.var(0, ddof=1), values[:2], rtol=1e-4)
    assert np.abs(points.mean(0)).max() < 1e-5
    assert abs(np.corrcoef(points.T)[0, 1]) < 1e-5


def test_the_sign_of_a_component_does_not_flip() -> None:
    x = features(5).flatten(2)[0].T.numpy()
    points, _ = pca(x)
    axes = np.linalg.lstsq(x - x.mean(0), points, rcond=None)[0].T
    for axis in axes:
        assert axis[np.abs(axis).argmax()] > 0
    again, _ = pca(x[::-1].copy())
    np.testing.assert_allclose(again[::-1], points, atol=1e-4)


@pytest.mark.parametrize("shape", [(9, 1), (2, 7), (9, 2), (1, 4)], ids=str)
def test_few_patches_or_channels_have_components_too(shape: tuple[int, int]) -> None:
    points, explained = pca(np.random.default_rng(0).normal(size=shape))
    assert points.shape == (shape[0], 2)
    assert explained.shape == (2,)
    assert np.isfinite(points).all()
    assert explained.sum() == pytest.approx(0 if shape[0] == 1 else 1, abs=1e-5)


def test_patches_that_are_all_the_same_lie_in_one_point() -> None:
    points, explained = pca(np.ones((6, 3)))
    assert (points.tolist(), explained.tolist()) == ([[0, 0]] * 6, [0, 0])


def ring(count: int = 16) -> PatchGraph:
    """Every patch listens to the next one."""
    following = ((torch.arange(count) + 1) % count)[None, :, None]
    return PatchGraph(following, torch.ones(1, count, 1, dtype=torch.bool), (4, count // 4), (4, count // 4), Rule("random"))


@pytest.mark.parametrize("method", LAYOUTS)
def test_a_layout_is_that_of_networkx_and_stays_the_same(method: str) -> None:
    graph = ring()
    found = layout(graph, method)
    assert found.shape == (16, 2)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found, layout(graph, method))
    net = nx.cycle_graph(16)
    expected = {
        "spring": lambda: nx.spring_layout(net, seed=0, iterations=60),
        "spectral": lambda: nx.spectral_layout(net),
        "kamada-kawai": lambda: nx.kamada_kawai_layout(net, pos=nx.circular_layout(net)),
    }[method]()
    gaps = np.linalg.norm(found[:, None] - found, axis=-1)
    wanted = np.array([expected[i] for i in range(16)])
    np.testing.assert_allclose(gaps, np.linalg.norm(wanted[:, None] - wanted, axis=-1), atol=0.02 if method == "spectral" else 1e-4)


@pytest.mark.parametrize("method", LAYOUTS)
def test_neighbours_lie_closer_than_strangers(method: str) -> None:
    found = layout(ring(), method)
    gaps = np.linalg.norm(found[:, None] - found, axis=-1)
    near = gaps[np.arange(16), (np.arange(16) + 1) % 16]
    assert near.mean() < 0.5 * gaps[np.arange(16), (np.arange(16) + 8) % 16].mean()


@pytest.mark.parametrize("method", LAYOUTS)
def test_a_graph_without_edges_and_one_in_pieces_have_a_layout(method: str) -> None:
    for kept in (torch.zeros(1, 16, 1, dtype=torch.bool), (torch.arange(16) % 8 != 7)[None, :, None]):
        assert np.isfinite(layout(ring().with_kept(kept), method)).all()


def test_what_cannot_be_laid_out_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="layout is 'circle'; it must be one of spring, spectral, kamada-kawai"):
        layout(ring(), "circle")
    pooled = PatchGraph(torch.zeros(1, 16, 1, dtype=torch.int64), torch.ones(1, 16, 1, dtype=torch.bool), (4, 4), (2, 2), Rule("nearest"))
    with pytest.raises(ValueError, match="pooled cells"):
        layout(pooled, "spring")
    for method, count in (("kamada-kawai", 404), ("spring", 1028)):
        with pytest.raises(ValueError, match=f"{method} is too slow for {count} patches; it takes up to"):
            layout(ring(count), method)
    with pytest.raises(ValueError, match="umap is too slow for 1025 patches; it takes up to 1024"):
        umap(np.zeros((1025, 3)))


def test_the_largest_layouts_end_in_time() -> None:
    begun = time.thread_time()
    layout(ring(400), "kamada-kawai")
    assert time.thread_time() - begun < 15


def test_umap_is_reproducible_and_leaves_the_threads_alone() -> None:
    generator = np.random.default_rng(0)
    x = np.repeat(np.eye(6)[:2] * 3, 20, axis=0) + generator.normal(0, 0.1, (40, 6))
    threads = torch.get_num_threads()
    found = umap(x.astype(np.float32))
    assert torch.get_num_threads() == threads
    assert found.shape == (40, 2)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, umap(x.astype(np.float32)))
    one, two = found[:20], found[20:]
    within = max(np.linalg.norm(one - one.mean(0), axis=1).mean(), np.linalg.norm(two - two.mean(0), axis=1).mean())
    assert np.linalg.norm(one.mean(0) - two.mean(0)) > within, "two groups stay two groups"
    few = umap(x[:12].astype(np.float32))
    assert few.shape == (12, 2)
    assert np.isfinite(few).all()


def test_every_limit_belongs_to_a_method() -> None:
    assert set(space.MOST_PATCHES) <= {*LAYOUTS, "umap"}


@pytest.mark.parametrize("slug", list(catalogue()[0]))
def test_a_payload_of_what_ships_stays_below_its_budget(slug: str) -> None:
    size = len((service.trace(slug) or "").encode())
    assert size <= 120_000, f"{size} bytes"


def test_a_payload_of_every_constructor_is_plain_json() -> None:
    shown = picture()
    for constructor in CONSTRUCTORS.values():
        graph: Any = constructor.eval()(features(6, 6, 6))
        json.dumps(layer_payload({"graph": graph}, shown), allow_nan=False)
