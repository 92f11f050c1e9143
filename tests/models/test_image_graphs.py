"""Max-relative aggregation and the three networks: values, gradients, refusals, sizes, and the position term of the pyramid."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn

from models.capture import capture
from models.image_graphs import greedyvig, mobilevig, vig
from models.image_graphs.aggregate import MaxRelative, to_grid, to_nodes
from models.image_graphs.constructors import AxialDynamic, AxialStatic, DilatedKNN
from models.image_graphs.vig import relative_position
from models.structures import Aggregation, NonFiniteError, PatchGraph, Rule
from tests.models.helpers import LargestTensor, picture


def hand_made(kind: str, batch: int = 2, n: int = 6, m: int = 6, width: int = 3, seed: int = 0) -> PatchGraph:
    """A graph of random candidates: every column kept, some candidates kept, or none for patch 0."""
    generator = torch.Generator().manual_seed(seed)
    candidates = torch.rand(batch if kind != "shared" else 1, n, m, generator=generator).argsort(-1)[..., :width]
    kept = torch.rand(batch, n, width, generator=generator) < 0.6
    kept[..., 0] = True
    if kind == "lonely":
        kept[:, 0] = False
    dense = kind in ("dense", "shared")
    if dense:
        kept = torch.ones(1, 1, 1, dtype=torch.bool).expand(candidates.shape)
    return PatchGraph(candidates, kept, (1, n), (1, m), Rule("hand-made"), columns=slice(None) if dense else None)


def naive(nodes: Tensor, keys: Tensor, graph: PatchGraph, sign: int, floor: bool) -> tuple[Tensor, Tensor]:
    """One patch and one channel at a time; the lower source wins a tie."""
    relative, winner = torch.zeros_like(nodes), torch.full(nodes.shape, -1)
    for b in range(nodes.shape[0]):
        candidates, kept = graph.candidates[b % len(graph.candidates)], graph.kept[b % len(graph.kept)]
        for n in range(nodes.shape[1]):
            sources = sorted(candidates[n][kept[n]].tolist())
            for c in range(nodes.shape[2]):
                best = [(sign * (keys[b, j, c] - nodes[b, n, c]).item(), -j) for j in sources]
                if best and (not floor or max(best)[0] > 0):
                    relative[b, n, c], winner[b, n, c] = max(best)[0], -max(best)[1]
    return relative, winner


KINDS = ["dense", "shared", "masked", "lonely"]
MODES = [(1, True), (1, False), (-1, True), (-1, False)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("sign", "floor"), MODES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_aggregation_is_the_naive_maximum(kind: str, sign: int, floor: bool, dtype: torch.dtype) -> None:
    nodes, graph = picture(2, 6, 4).to(dtype), hand_made(kind)
    found = MaxRelative(sign, floor)(nodes, nodes, graph)
    relative, winner = naive(nodes, nodes, graph, sign, floor)
    assert found.relative.dtype == dtype
    assert torch.allclose(found.relative, relative, atol=0, rtol=1e-2 if dtype.itemsize == 2 else 0)
    assert torch.equal(found.winner.long(), winner)
    assert found.winner.dtype == torch.int32


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_aggregation_of_pooled_keys(dtype: torch.dtype) -> None:
    nodes, keys, graph = picture(2, 6, 4).to(dtype), picture(2, 3, 4, seed=1).to(dtype), hand_made("dense", m=3, width=2)
    found = MaxRelative(1, floor=False)(nodes, keys, graph)
    relative, winner = naive(nodes, keys, graph, 1, False)
    assert torch.equal(found.relative, relative)
    assert torch.equal(found.winner.long(), winner)
    assert (found.relative < 0).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_equal_values_negative_values_and_zeros(dtype: torch.dtype) -> None:
    """Bit patterns that a careless integer comparison would put in the wrong order."""
    column = torch.tensor([-3.0, -1.0, -1e-4, 0.0, 1e-4, 1.0, 1.0, 65504.0, -65504.0, -0.5], dtype=dtype)
    nodes = column.view(1, -1, 1)
    everyone = torch.arange(10).expand(1, 10, 10)
    graph = PatchGraph(everyone, torch.ones_like(everyone, dtype=torch.bool), (1, 10), (1, 10), Rule("all"), columns=slice(0, 7))
    found = MaxRelative(1, floor=False)(nodes, nodes, graph)
    assert torch.equal(found.relative[0, :, 0], 1 - column)
    assert found.winner.unique().tolist() == [5]
    found = MaxRelative(-1, floor=False)(nodes, nodes, graph)
    assert torch.equal(found.relative[0, :, 0], column + 3)
    assert found.winner.unique().tolist() == [0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("sign", "floor"), MODES)
def test_gradients_are_those_of_finite_differences(kind: str, sign: int, floor: bool) -> None:
    graph, module = hand_made(kind, m=4, width=3), MaxRelative(sign, floor)
    nodes, keys = picture(2, 6, 3).double().requires_grad_(), picture(2, 4, 3, seed=1).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: module(a, b, graph).relative, (nodes, keys))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("sign", "floor"), MODES)
def test_gradients_in_float32_are_those_of_float64(kind: str, sign: int, floor: bool) -> None:
    graph, weight = hand_made(kind), picture(2, 6, 3, seed=2)
    gradients = []
    for dtype in (torch.float32, torch.float64):
        nodes = picture(2, 6, 3).to(dtype).requires_grad_()
        (MaxRelative(sign, floor)(nodes, nodes, graph).relative * weight.to(dtype)).sum().backward()
        gradients.append(nodes.grad)
    assert torch.allclose(gradients[0], gradients[1].float(), atol=1e-6)
    assert gradients[0].abs().sum() > 0


def test_a_graph_without_candidates_gives_nothing() -> None:
    graph = PatchGraph(torch.zeros(1, 6, 0, dtype=torch.int64), torch.zeros(1, 6, 0, dtype=torch.bool), (1, 6), (1, 6), Rule("none"))
    found = MaxRelative()(picture(2, 6, 3), picture(2, 6, 3), graph)
    assert not found.relative.any()
    assert found.winner.unique().tolist() == [-1]


def test_aggregation_never_holds_all_neighbours_at_once() -> None:
    n, k, channels = 32 * 32, 48, 16
    x = picture(1, channels, 32, 32)
    graph = DilatedKNN(k)(x)
    nodes = to_nodes(x)
    with LargestTensor() as seen:
        MaxRelative()(nodes, nodes, graph)
    assert seen.entries < 2 * n * k < n * k * channels


def test_a_sign_without_meaning_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be \+1 .* or −1"):
        MaxRelative(sign=0)


def test_nodes_and_grid_are_inverse() -> None:
    x = picture(2, 3, 4, 5)
    assert torch.equal(to_grid(to_nodes(x), (4, 5)), x)
    assert torch.equal(to_nodes(x)[1, 7], x[1, :, 1, 2])


# ----------------------------------------------------------------------------------- the operators inside the networks


def svga(x: Tensor, step: int) -> Tensor:
    """The operator of MobileViG as its paper's code walks it: roll, subtract, maximum."""
    most = torch.zeros_like(x)
    for axis in (2, 3):
        for s in range(step, x.shape[axis], step):
            most = torch.maximum(most, x - torch.roll(x, s, axis))
    return most


def dagc(x: Tensor, step: int) -> Tensor:
    """The operator of GreedyViG as its paper's code walks it, shift 0 included."""
    half = torch.roll(x, (-(-x.shape[2] // 2), -(-x.shape[3] // 2)), (2, 3))
    sample = (x - half).abs().sum(1, keepdim=True)
    threshold = sample.mean((2, 3), keepdim=True) - sample.std((2, 3), keepdim=True)
    most = torch.zeros_like(x)
    for axis in (2, 3):
        for s in range(0, x.shape[axis], step):
            rolled = torch.roll(x, s, axis)
            keep = (x - rolled).abs().sum(1, keepdim=True) < threshold
            most = torch.maximum(most, (rolled - x) * keep)
    return most


def seen_by_networks(model: nn.Module, *size: int) -> list[tuple[PatchGraph, Aggregation]]:
    torch.manual_seed(1)
    with torch.inference_mode(), capture(model.eval()) as trace:
        model(torch.randn(2, 3, *size))
    graphs, results = trace.of(PatchGraph).values(), trace.of(Aggregation).values()
    return list(zip(graphs, results, strict=True))


@pytest.mark.parametrize("size", [(96, 96), (97, 131), (160, 224), (128, 200)])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_mobilevig_aggregates_as_its_rolls(size: tuple[int, int], step: int) -> None:
    model = mobilevig.MobileViG((1, 1, 1), (4, 6, 8), (1, 1), (12, 16), 8, step, 5, distillation=False)
    for graph, found in seen_by_networks(model, 4 * size[0], 4 * size[1]):
        assert torch.allclose(to_grid(found.relative, graph.grid), svga(graph.features, step), atol=1e-6)
        assert found.relative.any()


@pytest.mark.parametrize("size", [(64, 64), (65, 97), (96, 128), (40, 200), (33, 33)])
@pytest.mark.parametrize("steps", [(8, 4, 2, 1), (3, 3, 3, 3), (20, 1, 2, 4)])
def test_greedyvig_aggregates_as_its_rolls(size: tuple[int, int], steps: tuple[int, ...]) -> None:
    model = greedyvig.GreedyViG(((1, 1),) * 4, (4, 6, 8, 10), 8, steps, 5, distillation=False, layer_scale=1.0)
    found_any = False
    for step, (graph, found) in zip(steps, seen_by_networks(model, *size), strict=True):
        assert torch.allclose(to_grid(found.relative, graph.grid), dagc(graph.features, step), atol=1e-6)
        found_any |= bool(found.relative.any())
    assert found_any


@pytest.mark.parametrize("size", [(64, 64), (96, 128)])
def test_vig_takes_the_largest_difference_to_its_neighbours(size: tuple[int, int]) -> None:
    model = vig.ViG(16, 5, 3, 5, 8, size)
    for graph, found in seen_by_networks(model, *size):
        nodes = to_nodes(graph.features)
        index = graph.neighbours()[0]
        differences = torch.stack([nodes[b][index[b]] for b in range(2)]) - nodes[:, :, None]
        assert torch.allclose(found.relative, differences.amax(2), atol=1e-6)
        assert (graph.neighbours()[0] == torch.arange(nodes.shape[1])[:, None]).any(-1).all()  # self is always among them
        assert found.relative.min() >= 0


def test_vig_mixes_pairs_of_own_value_and_difference() -> None:
    """With four groups each group must see (h_c, r_c) side by side; a plain concatenation gives other logits."""
    model, entering = vig.ViG(16, 1, 3, 5, 8, (64, 64)), []
    model.backbone[0][0].graph_conv.gconv.nn.register_forward_pre_hook(lambda module, given: entering.append(given[0]))
    (graph, found), *_ = seen_by_networks(model, 64, 64)
    assert torch.equal(entering[0][:, 0::2], graph.features)
    assert torch.equal(entering[0][:, 1::2], to_grid(found.relative, graph.grid))


def test_the_winner_is_where_the_value_comes_from() -> None:
    for model in (greedyvig.GreedyViG(((1, 1),) * 4, (4, 6, 8, 10), 8), mobilevig.MobileViG((1,) * 3, (4, 6, 8), (2,), (12,), 8)):
        for graph, found in seen_by_networks(model, 192, 192):
            nodes = to_nodes(graph.features)
            source = nodes.gather(1, found.winner.clamp(min=0).long())
            difference = (source - nodes).abs() * (found.winner >= 0)
            assert torch.allclose(difference, found.relative, atol=1e-6)
            assert torch.equal(found.winner >= 0, found.relative > 0)


# ------------------------------------------------------------------------------------------- official configurations


def count(model: nn.Module) -> int:
    return sum(p.numel() for name, p in model.named_parameters() if "relative_pos" not in name)


@pytest.mark.parametrize(
    ("name", "millions", "fixed"),
    [
        ("vig_ti_224_gelu", 7.18, 0),
        ("vig_s_224_gelu", 22.75, 0),
        ("vig_b_224_gelu", 86.84, 0),
        ("pvig_ti_224_gelu", 10.71, 1.77),
        ("pvig_s_224_gelu", 27.25, 1.77),
        ("pvig_m_224_gelu", 49.53, 2.16),
        ("pvig_b_224_gelu", 92.98, 2.23),
    ],
)
def test_sizes_of_vig(name: str, millions: float, fixed: float) -> None:
    with torch.device("meta"):
        model = vig.build(name)
    assert round(count(model) / 1e6, 2) == millions
    assert round((sum(p.numel() for p in model.parameters()) - count(model)) / 1e6, 2) == fixed
    assert all(p.requires_grad != ("relative_pos" in key) for key, p in model.named_parameters())


@pytest.mark.parametrize(
    ("module", "name", "parameters"),
    [
        (greedyvig, "GreedyViG_S", 11_983_376),
        (greedyvig, "GreedyViG_M", 21_928_112),
        (greedyvig, "GreedyViG_B", 30_905_296),
        (mobilevig, "mobilevig_ti", 5_271_074),
        (mobilevig, "mobilevig_s", 7_276_538),
        (mobilevig, "mobilevig_m", 14_075_786),
        (mobilevig, "mobilevig_b", 26_868_506),
    ],
)
def test_sizes_of_greedyvig_and_mobilevig(module, name: str, parameters: int) -> None:
    with torch.device("meta"):
        model = module.build(name)
    assert count(model) == parameters
    assert model.dist_head is not None


def test_schedule_of_the_isotropic_networks() -> None:
    with torch.device("meta"):
        tiny, small, undilated = vig.build("vig_ti_224_gelu"), vig.build("vig_s_224_gelu"), vig.ViG(use_dilation=False)

    def schedule(model: vig.ViG) -> tuple[list[int], list[int]]:
        convs = [block[0].graph_conv.constructor for block in model.backbone]
        return [c.k for c in convs], [c.dilation for c in convs]

    assert schedule(tiny) == ([9, 9, 10, 11, 12, 13, 13, 14, 15, 16, 17, 18], [1] * 4 + [2] * 4 + [3] * 4)
    assert schedule(small) == (
        [9, 9, 10, 10, 11, 12, 12, 13, 13, 14, 15, 15, 16, 16, 17, 18],
        [1] * 4 + [2] * 4 + [3] * 4 + [4] * 4,
    )
    assert schedule(undilated) == (schedule(tiny)[0], [1] * 12)


def test_schedule_of_the_pyramid() -> None:
    with torch.device("meta"):
        model = vig.build("pvig_b_224_gelu")
    graphers = [m for m in model.modules() if isinstance(m, vig.Grapher)]
    assert [g.graph_conv.constructor.k for g in graphers] == [9] * 24
    assert [g.graph_conv.constructor.dilation for g in graphers] == [min(b // 4 + 1, 5) for b in range(24)]
    assert [g.graph_conv.pool for g in graphers] == [4] * 2 + [2] * 2 + [1] * 20


def test_graphs_of_released_greedyvig_have_twelve_candidates() -> None:
    with torch.device("meta"):
        model = greedyvig.build("GreedyViG_S")
    steps = [m.step for m in model.modules() if isinstance(m, AxialDynamic)]
    assert steps == [8, 8, 4, 4, 2, 2, 1, 1]


@pytest.mark.parametrize("build", [vig.build, greedyvig.build, mobilevig.build])
def test_an_unknown_name_is_refused(build) -> None:
    with pytest.raises(KeyError):
        build("resnet50")


# ------------------------------------------------------------------------------------------------------------- heads


def test_several_graph_stages_and_heads() -> None:
    model = mobilevig.MobileViG((1, 1, 1), (4, 6, 8), (1, 2), (12, 16), 8, num_classes=5, distillation=False)
    names = set(model.state_dict())
    assert {"backbone.1.conv.0.weight", "backbone.3.0.graph_conv.nn.0.weight"} <= names
    assert not any("dist_head" in name for name in names)
    assert model.train()(torch.randn(2, 3, 192, 192)).shape == (2, 5)


@pytest.mark.parametrize(
    "model",
    [
        mobilevig.MobileViG((1, 1, 1), (4, 6, 8), (1,), (12,), 8, num_classes=5),
        greedyvig.GreedyViG(((1, 1),) * 4, (4, 6, 8, 10), 8, num_classes=5),
    ],
    ids=["mobilevig", "greedyvig"],
)
def test_distillation_returns_a_pair_in_training_and_the_mean_in_evaluation(model: nn.Module) -> None:
    image = picture(2, 3, 128, 128)
    pair = model.train()(image)
    assert [logits.shape for logits in pair] == [(2, 5), (2, 5)]
    model.eval()
    seen: list[Tensor] = []
    hooks = [getattr(model, head).register_forward_hook(lambda m, i, o: seen.append(o.flatten(1))) for head in ("head", "dist_head")]
    assert torch.allclose(model(image), (seen[0] + seen[1]) / 2)
    assert not torch.allclose(seen[0], seen[1])
    for hook in hooks:
        hook.remove()


def test_training_updates_every_learned_parameter() -> None:
    for model in (
        vig.ViG(16, 2, 3, 5, 8, (64, 64)),
        vig.PyramidViG((1, 1, 1, 1), (8, 8, 8, 8), 4, 5, 8, (128, 128)),
        greedyvig.GreedyViG(((1, 1),) * 4, (4, 6, 8, 10), 8, num_classes=5, distillation=False, drop_path=0.0),
        mobilevig.MobileViG((1, 1, 1), (4, 6, 8), (1,), (12,), 8, num_classes=5, distillation=False, drop_path=0.0),
    ):
        model.train()(picture(2, 3, 128, 128)).square().sum().backward()
        without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
        assert without == []


# ---------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("model", "size", "told"),
    [
        (vig.ViG(16, 1, 3, 5, 8, (64, 64)), (64, 72), "64 × 72 pixels; both sides must be multiples of 16"),
        (vig.PyramidViG((1,) * 4, (8,) * 4, 2, 5, 8, (64, 64)), (64, 80), "both sides must be multiples of 32"),
        (vig.ViG(16, 1, 17, 5, 8, (64, 64)), (64, 64), "17·1 = 17 exceeds the number of patches to choose from (16)"),
        (vig.PyramidViG((1,) * 4, (8,) * 4, 9, 5, 8, (64, 64)), (64, 64), "9·1 = 9 exceeds the number of patches to choose from (4)"),
        (mobilevig.MobileViG((1,) * 3, (4,) * 3, (1,), (8,), 8), (64, 64), "at least 3 × 3 are needed (96 pixels"),
        (mobilevig.MobileViG((1,) * 3, (4,) * 3, (1,), (8,), 8), (32, 32), "leaves a graph of 1 × 1 patches"),
        (greedyvig.GreedyViG(((1, 1),) * 4, (4,) * 4, 8), (32, 64), "At least 64 pixels per side are needed"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(model: nn.Module, size: tuple[int, int], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        model.eval()(torch.zeros(1, 3, *size))


def test_the_smallest_pictures_that_are_told_do_run() -> None:
    assert mobilevig.MobileViG((1,) * 3, (4,) * 3, (1,), (8,), 8).eval()(torch.zeros(1, 3, 96, 96)).shape == (1, 1000)
    assert greedyvig.GreedyViG(((1, 1),) * 4, (4,) * 4, 8).eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_picture_that_is_not_finite_is_named_by_its_first_graph(bad: float) -> None:
    for model in (
        vig.ViG(16, 1, 3, 5, 8, (128, 128)),
        greedyvig.GreedyViG(((1, 1),) * 4, (4,) * 4, 8, num_classes=5),
        mobilevig.MobileViG((1,) * 3, (4,) * 3, (1,), (8,), 8, num_classes=5),
    ):
        image = torch.zeros(1, 3, 128, 128)
        image[0, 0, 5, 5] = bad
        with torch.inference_mode(), capture(model.eval()) as trace:
            model(image)
        with pytest.raises(NonFiniteError, match=r"constructor: \d+\.\d % of .* is not a finite number"):
            trace.require_finite()


def test_vig_takes_another_size_by_resizing_its_position() -> None:
    model = vig.ViG(16, 1, 3, 5, 8, (64, 64)).eval()
    nn.init.normal_(model.pos_embed)
    assert model(torch.zeros(1, 3, 64, 96)).shape == (1, 5)
    pyramid = vig.PyramidViG((1,) * 4, (8,) * 4, 4, 5, 8, (64, 64)).eval()
    with torch.inference_mode(), capture(pyramid) as trace:
        pyramid(torch.randn(1, 3, 64, 128))
    assert [graph.grid for graph in trace.of(PatchGraph).values()] == [(16, 32), (8, 16), (4, 8), (2, 4)]
    assert [graph.key_grid for graph in trace.of(PatchGraph).values()] == [(4, 8), (4, 8), (4, 8), (2, 4)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_keeps_the_graph_in_float32(dtype: torch.dtype) -> None:
    models = [
        vig.ViG(16, 2, 3, 5, 8, (128, 128)),
        greedyvig.GreedyViG(((1, 1),) * 4, (4, 6, 8, 10), 8, num_classes=5),
        mobilevig.MobileViG((1,) * 3, (4, 6, 8), (1,), (12,), 8, num_classes=5),
    ]
    for model in models:
        with torch.inference_mode(), torch.autocast("cpu", dtype=dtype), capture(model.eval()) as trace:
            logits = model(picture(1, 3, 128, 128))
        assert logits.dtype == dtype  # autocast was at work
        for graph in trace.of(PatchGraph).values():
            assert graph.features.dtype == torch.float32
            assert graph.distance is None or graph.distance.dtype == torch.float32
        trace.require_finite()


# -------------------------------------------------------------------------------------- position term of the pyramid


def favoured(grid: tuple[int, int], channels: int, pool: int, form: str) -> tuple[float, float, float]:
    """Share of patches whose most favoured key is their own pooled cell, and the mean row and column error in cells."""
    term = relative_position(grid, channels, pool, form)[0]
    width = grid[1] // pool
    row, col = torch.arange(grid[0] * grid[1]) // grid[1] // pool, torch.arange(grid[0] * grid[1]) % grid[1] // pool
    best = term.argmin(1)
    right = best == row * width + col
    off = [(best // width - row).abs(), (best % width - col).abs()]
    return right.float().mean().item(), off[0].float().mean().item(), off[1].float().mean().item()


@pytest.mark.parametrize(("grid", "channels", "pool", "percent", "columns"), [(56, 48, 4, 7.2, 4.0), (28, 96, 2, 7.1, 3.5)])
def test_the_released_position_term_has_scrambled_columns(grid: int, channels: int, pool: int, percent: float, columns: float) -> None:
    share, row_error, column_error = favoured((grid, grid), channels, pool, "reference")
    assert round(100 * share, 1) == percent
    assert row_error < 0.1
    assert round(column_error, 1) == columns
    assert favoured((grid, grid), channels, pool, "aligned") == (1.0, 0.0, 0.0)


def test_without_pooling_the_two_forms_agree() -> None:
    assert torch.equal(relative_position((6, 6), 16, 1), relative_position((6, 6), 16, 1, "aligned"))
    term = relative_position((6, 6), 16, 1)[0]
    assert torch.allclose(term.diagonal(), torch.full((36,), -1.0), atol=1e-6)
    assert torch.allclose(term, term.T, atol=1e-6)


def test_the_form_of_the_position_term_can_be_switched() -> None:
    model = vig.PyramidViG((1,) * 4, (8,) * 4, 4, 5, 8, (64, 64)).eval()
    nn.init.normal_(model.pos_embed)
    image = picture(1, 3, 64, 64)
    with torch.inference_mode():
        reference = model(image)
        model.set_relative_position("aligned")
        aligned = model(image)
        built = [p for name, p in model.named_parameters() if name.endswith("relative_pos")]
        model.set_relative_position("reference")
        again = model(image)
    assert torch.equal(reference, again)
    assert not torch.equal(reference, aligned)
    assert [tuple(p.shape) for p in built] == [(1, 256, 16), (1, 64, 16), (1, 16, 16), (1, 4, 4)]
    direct = vig.PyramidViG((1,) * 4, (8,) * 4, 4, 5, 8, (64, 64), relpos="aligned")
    assert torch.equal(direct.backbone[0][0].relative_pos, relative_position((16, 16), 8, 4, "aligned"))
    with pytest.raises(ValueError, match="must be 'reference' or 'aligned'"):
        model.set_relative_position("straight")


def test_static_graph_of_mobilevig_hears_the_mirror_differently() -> None:
    """A flipped picture does not give a flipped aggregation: the graph has a direction."""
    x = picture(1, 4, 7, 7)
    graph, module = AxialStatic(2)(x), MaxRelative(-1)
    own = to_grid(module(to_nodes(x), to_nodes(x), graph).relative, (7, 7))
    mirrored = to_grid(module(to_nodes(x.flip(3)), to_nodes(x.flip(3)), graph).relative, (7, 7))
    assert not torch.allclose(own, mirrored.flip(3))
