"""Hypernetworks against naive arithmetic: NeuMeta and its permutation, computation graphs, GHN-3, LoGAH, MIP, continual learning."""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Callable

import networkx as nx
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from models.capture import capture
from models.hypernetworks import continual, ghn3, graphormer, logah, mip, neumeta, permutation, targets
from models.hypernetworks.architecture import Step, build, drawn, parse, text_of
from models.hypernetworks.computation_graph import build_graph, graph_of, shortest_paths
from models.hypernetworks.continual import ChunkedHyperNet, RecurrentHyperNet, dependency
from models.hypernetworks.ghn3 import GHN3
from models.hypernetworks.logah import LoGAH
from models.hypernetworks.mip import HyperNet, MainNet, variant
from models.hypernetworks.neumeta import NeuMeta
from models.hypernetworks.permutation import cliques, path_length, permuted, search, shortest_path
from models.structures import PRIMITIVES, ComputationGraph, GeneratedWeights, TaskAccuracy
from tests.models.helpers import picture


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def parameters(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach() for name, tensor in network.named_parameters()}


# ==================================================================================================== Neural Metamorphosis

TABLE = {"conv.weight": (4, 3, 3, 3), "conv.bias": (4,), "point.weight": (2, 4, 1, 1), "linear.weight": (5, 4), "linear.bias": (5,)}


@pytest.fixture
def field() -> NeuMeta:
    return NeuMeta(len(TABLE), hidden_dim=8, output_dim=25, num_freqs=3, num_layers=3, norm=7)


def naive_kernel(net: NeuMeta, layer: int, place: tuple[float, ...], inputs: float) -> Tensor:
    """The formula of the paper for one kernel, number by number, in float64."""
    number, a, b, layers, n0, n1 = place
    v = [number / layers, a / n0, b / n1, layers / net.norm, n0 / net.norm, n1 / net.norm]
    features = list(v)
    for i in range(net.features.frequencies):
        for x in v:
            features += [math.sin(2**i * math.pi * x), math.cos(2**i * math.pi * x)]
    mlp = net.model[layer].double()
    h = F.relu(mlp.initial_layer(torch.tensor(features, dtype=torch.float64)))
    for scale, block in zip(mlp.scalars, mlp.residual_blocks, strict=True):
        h = scale * F.relu(block(h)) + h
    value = mlp.output_layer(h) / inputs
    mlp.float()
    return value


def test_every_generated_value_is_the_formula(field: NeuMeta) -> None:
    generated = field(TABLE).weights
    for number, (name, shape) in enumerate(TABLE.items()):
        inputs = shape[1] if len(shape) > 1 else 1
        for a, b in itertools.product(range(shape[0]), range(inputs)):
            value = naive_kernel(field, number, (number, a, b, len(TABLE), shape[0], inputs), inputs)
            wanted = {4: value[8:17].view(3, 3) if shape[2:] == (3, 3) else value[12].view(1, 1), 2: value[0], 1: value[0]}[len(shape)]
            ours = generated[name][a, b] if len(shape) > 1 else generated[name][a]
            assert torch.allclose(ours.double(), wanted, atol=1e-6), (name, a, b)


def test_noise_moves_coordinates_and_in_the_released_variant_also_routes_and_divides(field: NeuMeta) -> None:
    rows = len(neumeta.raw_coordinates(TABLE))
    noise = neumeta.coordinate_noise(rows, 1.0, torch.Generator().manual_seed(3))
    assert -0.5 <= noise.min() < -0.45
    assert 0.45 < noise.max() <= 0.5
    raw = neumeta.raw_coordinates(TABLE)
    clean, released = field(TABLE, noise=noise).weights, field(TABLE, noise=noise, released=True).weights
    start, rerouted = 12, 0  # rows of conv.bias
    for a in range(4):
        place = tuple((raw[start + a] + noise[start + a]).tolist())
        assert torch.allclose(clean["conv.bias"][a].double(), naive_kernel(field, 1, place, 1)[0], atol=1e-5)
        assert torch.allclose(released["conv.bias"][a].double(), naive_kernel(field, int(place[0]), place, place[5])[0], atol=1e-5)
        rerouted += int(place[0]) != 1
    assert rerouted > 0


def test_average_is_the_mean_of_draws_and_its_first_draw_is_clean(field: NeuMeta) -> None:
    assert all(torch.equal(a, b) for a, b in zip(field.average(TABLE, 1).weights.values(), field(TABLE).weights.values(), strict=True))
    generator, rows = torch.Generator().manual_seed(5), len(neumeta.raw_coordinates(TABLE))
    draws = [torch.zeros(rows, 6), *((torch.rand(rows, 6, generator=generator) - 0.5) * 0.8 for _ in range(2))]
    ours = field.average(TABLE, 3, 0.8, torch.Generator().manual_seed(5)).weights["conv.weight"]
    wanted = sum(field(TABLE, noise=draw).weights["conv.weight"] for draw in draws) / 3
    assert torch.allclose(ours, wanted, atol=1e-7)
    with pytest.raises(ValueError, match="at least one set"):
        neumeta.mean_of([])


def test_the_dots_of_a_field_lie_on_the_field(field: NeuMeta) -> None:
    """Values at the lattice are the generated tensor; the dense grid of the same places holds the same numbers."""
    generated = field(TABLE).weights
    for name, shape in TABLE.items():
        seen = field.field(TABLE, name, resolution=shape[0])
        assert torch.allclose(seen.lattice_values.reshape(shape), generated[name], atol=1e-6)
        assert torch.allclose(seen.rows, seen.lattice_rows)
        if len(shape) == 1 or shape[1] == shape[0]:
            assert torch.allclose(seen.values, seen.lattice_values, atol=1e-6)
        assert seen.values.shape == (shape[0], shape[0] if len(shape) > 1 else 1, math.prod(shape[2:]))
        assert seen.kernel == (tuple(shape[2:]) or (1, 1))
    with pytest.raises(KeyError, match=r"no tensor named 'conv2'; there are conv\.weight"):
        field.field(TABLE, "conv2")


def test_a_smaller_network_reads_the_same_field_at_fewer_places(field: NeuMeta) -> None:
    """Half the width at the size coordinates of the full width is every second kernel, twice as strong (division by N1)."""
    small = {**TABLE, "linear.weight": (5, 2)}
    full, half = field(TABLE).weights, field(small, sizes={"linear.weight": (5, 4)}).weights
    assert torch.allclose(half["linear.weight"], 2 * full["linear.weight"][:, ::2], atol=1e-6)
    assert not torch.allclose(field(small).weights["linear.weight"], half["linear.weight"], atol=1e-4)
    assert torch.allclose(field(TABLE, sizes={"conv.weight": (4, 3)}).weights["conv.weight"], full["conv.weight"])


def test_every_part_of_the_representation_learns(field: NeuMeta) -> None:
    sum(tensor.square().sum() for tensor in field(TABLE).weights.values()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in field.parameters())


def test_start_like_gives_each_tensor_the_spread_of_the_reference(field: NeuMeta) -> None:
    reference = {name: picture(*shape, seed=i) * (i + 1) for i, (name, shape) in enumerate(TABLE.items())}
    field.start_like(reference)
    for name, tensor in field(TABLE).weights.items():
        assert tensor.std(correction=0).item() == pytest.approx(reference[name].std(correction=0).item(), rel=1e-3)


def test_reconstruction_loss_weighs_large_weights_more() -> None:
    reference = {"a": torch.tensor([2.0, 1.0]), "b": torch.tensor([[4.0]])}
    off = {"a": torch.tensor([2.0, 4.0]), "b": torch.tensor([[3.0]])}
    assert neumeta.reconstruction_loss(off, reference).item() == pytest.approx(((9 * 0.5) / 2 + 1) / 2, rel=1e-5)
    assert neumeta.weight_norm({"a": torch.tensor([3.0, 4.0]), "b": torch.tensor([1.0])}).item() == pytest.approx(6)


def test_the_averaged_weights_of_a_checkpoint_are_taken() -> None:
    shadow, last = {"w": torch.ones(1)}, {"w": torch.zeros(1)}
    assert neumeta.released_state({"ema_shadow": shadow, "model_state_dict": last, "epoch": 3}) == shadow
    assert neumeta.released_state({"model_state_dict": last}) == last


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extra": (2,)}, r"6 tensors and this representation 5.*only the width may change"),
        ({"linear.bias": (0,)}, "every width must be at least 1"),
        ({"conv.weight": (4, 3, 7, 7)}, "kernels of 49 values; at most 25"),
        ({"linear.bias": (5, 1, 1)}, "has 3 axes"),
    ],
)
def test_shapes_that_cannot_be_generated_are_refused(field: NeuMeta, change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        field({**TABLE, **change})


def test_families_know_their_widths() -> None:
    family = targets.Family(targets.CifarResNet, (32, 64), lambda net: net.generated())
    assert family.shapes(16) == {
        "layer3.2.conv1.weight": (16, 64, 3, 3),
        "layer3.2.conv1.bias": (16,),
        "layer3.2.conv2.weight": (64, 16, 3, 3),
        "layer3.2.conv2.bias": (64,),
    }
    assert list(targets.Family(targets.MnistNet, (8, 32)).shapes(3).values())[4] == (12, 6, 5, 5)
    for width in (0, 97):
        with pytest.raises(ValueError, match=rf"width {width} .* from 1 to 96 can \(32 to 64 were trained\)"):
            family.network(width)
    with pytest.raises(ValueError, match="in 4 groups"):
        targets.shape_table(nn.Sequential(nn.Conv2d(4, 4, 3, groups=4)))


def test_published_sizes_of_the_representation() -> None:
    """Parameters of the two released configurations and of the paper's CIFAR block."""
    with torch.device("meta"):
        lenet, cifar = NeuMeta(8, 256, 25, 16, 4), NeuMeta(4, 512, 9, 32, 8)
        block = targets.Family(targets.CifarResNet, (32, 64), lambda net: net.generated()).shapes(64)
    assert sum(p.numel() for p in lenet.parameters()) == 2_037_984
    assert sum(p.numel() for p in cifar.parameters()) == 8_173_632
    assert sum(math.prod(shape) for shape in block.values()) == 73_856


def test_the_frozen_part_of_the_residual_net_can_be_computed_once() -> None:
    net, image = targets.CifarResNet(8, (1, 1, 2)), picture(2, 3, 16, 16)
    assert torch.allclose(net(image), net.after(net.before(image)))
    other = targets.CifarResNet(24, (1, 1, 2))
    same = {name: tensor for name, tensor in net.state_dict().items() if name not in net.generated()}
    assert not other.load_state_dict(same, strict=False).unexpected_keys
    assert torch.equal(net.before(image), other.before(image))


def test_folding_keeps_the_function() -> None:
    for bias in (True, False):
        convolution, norm = nn.Conv2d(3, 5, 3, bias=bias), nn.BatchNorm2d(5)
        norm(convolution(picture(8, 3, 9, 9)))  # statistics
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        x, norm = picture(2, 3, 9, 9, seed=1), norm.eval()
        assert torch.allclose(targets.fold(convolution, norm)(x), norm(convolution(x)), atol=1e-5)
    with pytest.raises(ValueError, match="without running statistics"):
        targets.fold(convolution, nn.BatchNorm2d(5, track_running_stats=False))


# ============================================================================================================= permutation


class Normalised(nn.Module):
    """Batch norms with statistics, a depth-wise convolution, a sum over three."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.a, self.b = nn.Conv2d(6, 4, 1), nn.Conv2d(6, 4, 1)
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x)))
        x = self.a(x) + self.b(x + self.depthwise(x))
        return self.head(self.pool(x).view(x.size(0), -1))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "MnistNet": (lambda: targets.MnistNet(3), (2, 1, 28, 28)),
    "SmallConvNet": (lambda: targets.SmallConvNet(3), (2, 1, 8, 8)),
    "MnistResNet": (lambda: targets.MnistResNet((1, 2), 3), (2, 1, 28, 28)),
    "CifarResNet": (lambda: targets.CifarResNet(5, (1, 2, 1)), (2, 3, 16, 16)),
    "Normalised": (Normalised, (2, 3, 8, 8)),
}


def network_of(name: str) -> tuple[nn.Module, Tensor]:
    make, shape = NETWORKS[name]
    network = make()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                nn.init.uniform_(tensor, 0.5, 2)
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.normal_(module.bias, std=0.3)
    return network.eval(), picture(*shape)


def shuffled(clique: permutation.Clique) -> list[int]:
    """An order that no other clique shares (cliques that belong together must not match by chance) and that moves someone."""
    seed = zlib.crc32(clique.members[0][0].encode())
    orders = (np.random.default_rng(seed + i).permutation(clique.size).tolist() for i in itertools.count())
    return next(order for order in orders if order != list(range(clique.size)))


@torch.inference_mode()
@pytest.mark.parametrize("name", NETWORKS)
def test_permuting_whole_cliques_keeps_the_function(name: str) -> None:
    network, image = network_of(name)
    wanted, state = network(image), dict(network.state_dict())
    free = [clique for clique in cliques(network) if clique.free]
    for clique in free:
        state = permuted(state, clique, shuffled(clique))
    ours = functional_call(network, state, (image,))
    assert torch.allclose(ours, wanted, atol=1e-5)
    moved = [key for key, tensor in network.state_dict().items() if not torch.equal(tensor, state[key])]
    assert {key for key, _ in network.named_parameters()} - set(moved) <= {
        key for key in state if key.endswith(("linear.bias", "fc.bias", "head.bias"))
    }


@torch.inference_mode()
@pytest.mark.parametrize("name", NETWORKS)
def test_every_member_of_a_clique_is_needed(name: str) -> None:
    network, image = network_of(name)
    wanted = network(image)
    for clique in cliques(network):
        for left_out in clique.members if clique.free else ():
            others = tuple(member for member in clique.members if member != left_out)
            partial = permutation.Clique(others, clique.size, True)
            broken = functional_call(network, permuted(network.state_dict(), partial, shuffled(clique)), (image,))
            assert (broken - wanted).abs().max() > 1e-5, left_out


@torch.inference_mode()
def test_smoothing_keeps_the_function_and_shortens_every_path() -> None:
    network, image = network_of("SmallConvNet")
    state, orders = permutation.smoothed(network)
    assert torch.allclose(functional_call(network, state, (image,)), network(image), atol=1e-5)
    assert [clique.size for clique in orders] == [3, 6, 12]
    original = parameters(network)
    assert permutation.total_variation({k: state[k] for k in original}) < permutation.total_variation(original)
    for clique in orders:
        after, before = permutation.city(state, clique), permutation.city(network.state_dict(), clique)
        assert path_length(after) <= path_length(before) + 1e-4


@torch.inference_mode()
def test_pruning_keeps_the_strongest_channels_in_order() -> None:
    """Channels that were silenced are cut without a trace, and the widths are those asked for."""
    family = targets.Family(targets.SmallConvNet, (2, 6))
    network, image = targets.SmallConvNet(6), picture(2, 1, 8, 8)
    silent = {"conv_1": [1, 4], "conv_2": [0, 3, 7, 11], "conv_3": [2, 5, 6, 8, 13, 17, 20, 22]}
    for name, channels in silent.items():
        layer = network.get_submodule(name)
        layer.weight[channels] *= 1e-9
        layer.bias[channels] = 0
    small = family.network(4)
    small.load_state_dict(permutation.pruned(network, family.shapes(4)))
    assert torch.allclose(small(image), network(image), atol=1e-6)
    kept = [i for i in range(6) if i not in silent["conv_1"]]
    assert torch.equal(small.get_submodule("conv_1").weight, network.get_submodule("conv_1").weight[kept])
    assert not torch.allclose(functional_call(family.network(2), permutation.pruned(network, family.shapes(2)), (image,)), network(image))
    unchanged = permutation.pruned(network, family.shapes(6))
    assert all(torch.equal(unchanged[name], tensor) for name, tensor in network.state_dict().items())
    with pytest.raises(ValueError, match="cannot become 7"):
        permutation.pruned(network, family.shapes(7))
    with pytest.raises(ValueError, match="only hidden ones"):
        permutation.pruned(network, {"linear.weight": (5, 24)})


def test_a_straight_line_joins_networks_of_one_width() -> None:
    a, b = {"w": torch.tensor([0.0, 4.0])}, {"w": torch.tensor([2.0, 0.0])}
    assert neumeta.between(a, b, 0.25).weights["w"].tolist() == [0.5, 3.0]
    with pytest.raises(ValueError, match="of one width only"):
        neumeta.between(a, {"w": torch.zeros(3)}, 0.5)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 7])
def test_small_paths_are_the_shortest_of_all(n: int) -> None:
    cities = picture(n, 3, seed=n)
    best = min(path_length(cities, order) for order in itertools.permutations(range(n)))
    order = shortest_path(cities)
    assert sorted(order.tolist()) == list(range(n))
    assert path_length(cities, order) == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_local_search_shortens_step_by_step_to_near_the_shortest(seed: int) -> None:
    cities = picture(10, 4, seed=seed)
    lengths = [path_length(cities, order) for order in search(permutation.l1_distances(cities), effort=60)]
    assert lengths[0] == pytest.approx(path_length(cities))
    assert all(b < a for a, b in itertools.pairwise(lengths))
    assert lengths[-1] <= 1.02 * path_length(cities, shortest_path(cities))


def test_long_paths_find_an_order_that_is_known() -> None:
    """Cities on a line: their order along it is the shortest path."""
    place = torch.randperm(40).float()
    order = shortest_path(place[:, None] * torch.tensor([[1.0, 2.0]]), effort=20)
    assert place[order].diff().abs().unique().tolist() == [1.0]


def test_total_variation_is_the_sum_of_neighbours() -> None:
    kernels, vector = picture(3, 2, 2, 2), picture(4, seed=1)
    naive = sum((kernels[i + 1] - kernels[i]).abs().sum() for i in range(2)) + (kernels[:, 1] - kernels[:, 0]).abs().sum()
    wanted = (naive + (vector[1:] - vector[:-1]).abs().sum()) / 2
    assert permutation.total_variation({"a": kernels, "b": vector}) == pytest.approx(wanted.item(), rel=1e-5)


class Flattening(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x).flatten(1))


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Picking(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)[:, :2]


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Flattening(), "positions were flattened into channels; pool first"),
        (Branching(), "must not branch on values"),
        (Picking(), "picks single channels"),
        (nn.Sequential(nn.Conv2d(4, 4, 3, groups=2)), "in 2 groups"),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.PixelShuffle(2)), "is a PixelShuffle"),
    ],
)
def test_networks_whose_channels_are_not_understood_are_refused(network: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cliques(network)


def test_orders_that_would_change_the_function_are_refused() -> None:
    network = targets.SmallConvNet(3)
    first, *_, last = cliques(network)
    for clique in (first, last):
        with pytest.raises(ValueError, match="inputs or outputs of the network"):
            permuted(network.state_dict(), clique, list(range(clique.size)))
    hidden = cliques(network)[1]
    with pytest.raises(ValueError, match="each of the 3 channels once"):
        permuted(network.state_dict(), hidden, [0, 0, 1])


# ====================================================================================================== computation graphs

LINE = "conv5x5-8/2 bn relu | res(dw3x3 conv1x1-8 relu) | cat(conv3x3-4 gelu) pool | conv1x1-24 avgpool gap | fc16 relu fc10"


@pytest.fixture
def graph() -> ComputationGraph:
    return graph_of(build(parse(LINE), channels=3, side=32))


def edges_of(graph: ComputationGraph) -> set[tuple[str, str]]:
    return {(graph.names[a], graph.names[b]) for a, b in graph.edge_index().T.tolist()}


def test_the_graph_of_a_line_of_text(graph: ComputationGraph) -> None:
    assert edges_of(graph) == {
        ("input", "conv1.weight"),
        ("conv1.weight", "bn1.weight"),
        ("bn1.weight", "res1.dw1.weight"),
        ("res1.dw1.weight", "res1.dw1.bias"),
        ("res1.dw1.bias", "res1.conv2.weight"),
        ("res1.conv2.weight", "res1.conv2.bias"),
        ("res1.conv2.bias", "add"),
        ("bn1.weight", "add"),
        ("add", "cat1.conv3.weight"),
        ("cat1.conv3.weight", "cat1.conv3.bias"),
        ("cat1.conv3.bias", "cat"),
        ("add", "cat"),
        ("cat", "pool1"),
        ("pool1", "conv4.weight"),
        ("conv4.weight", "conv4.bias"),
        ("conv4.bias", "avgpool1"),
        ("avgpool1", "mean"),
        ("mean", "fc1.weight"),
        ("fc1.weight", "fc1.bias"),
        ("fc1.bias", "fc2.weight"),
        ("fc2.weight", "fc2.bias"),
    }
    kinds = dict(zip(graph.names, graph.kinds, strict=True))
    assert (kinds["input"], kinds["res1.dw1.weight"], kinds["add"], kinds["cat"], kinds["pool1"], kinds["avgpool1"], kinds["mean"]) == (
        "input", "sep_conv", "sum", "concat", "max_pool", "avg_pool", "glob_avg",
    )  # fmt: skip
    sizes = dict(zip(graph.names, graph.shapes, strict=True))
    assert (sizes["conv1.weight"], sizes["pool1"], sizes["add"]) == ((8, 3, 5, 5), (1, 1, 2, 2), None)


def test_distances_depths_and_order_are_those_of_networkx(graph: ComputationGraph) -> None:
    other = nx.DiGraph(graph.edge_index().T.tolist())
    lengths = dict(nx.all_pairs_shortest_path_length(other))
    wanted = [[lengths[a].get(b, 0) for b in range(len(graph))] for a in range(len(graph))]
    assert graph.distance.tolist() == wanted
    assert graph.distance.tril().sum() == 0
    index, length = graph.virtual_edges()
    assert (length > 1).all()
    assert index.shape[1] + graph.edge_index().shape[1] == sum(map(bool, itertools.chain(*wanted)))
    longest = [max((len(path) - 1 for path in nx.all_simple_paths(other, 0, node)), default=0) for node in range(len(graph))]
    assert graph.depth().tolist() == longest
    short = shortest_paths(graph.distance == 1, cutoff=3)
    assert torch.equal(short, torch.where(graph.distance <= 3, graph.distance, 0))


class SelfAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ln, self.qkv, self.out = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.ln(x)).chunk(3, -1)
        return x + self.out((q @ k.transpose(1, 2)).softmax(-1) @ v)


class SmallViT(nn.Module):
    def __init__(self, tokens: int = 17) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, 4)
        self.cls, self.position = nn.Parameter(torch.zeros(1, 1, 8)), nn.Parameter(torch.zeros(1, tokens, 8))
        self.block, self.attention, self.head = SelfAttention(), nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = self.patch(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], 1) + self.position
        x = self.block(x)
        return self.head((x + self.attention(x, x, x, need_weights=False)[0]).mean(1))


def test_the_graph_of_a_transformer() -> None:
    found = edges_of(graph_of(SmallViT()))
    assert {("position", "add"), ("patch.bias", "add"), ("block.qkv.bias", "softmax"), ("softmax", "block.out.weight")} <= found
    assert {("attention.in_proj_bias", "attention"), ("attention", "attention.out_proj.weight")} <= found
    assert ("block.qkv.bias", "block.out.weight") not in found


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.conv(x))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Branching(), "must not branch on values"),
        (Twice(), r"conv\.weight is used twice"),
        (nn.Sequential(nn.Conv2d(1, 4, 1), nn.GroupNorm(2, 4)), "is a GroupNorm, whose parameters cannot be predicted; known are conv"),
        (nn.Sequential(nn.LayerNorm(4, bias=False), nn.Linear(4, 2)), "0 has a scale but no bias"),
        (nn.Sequential(*(nn.Linear(2, 2) for _ in range(100))), "201 nodes; at most 200"),
    ],
)
def test_networks_without_a_graph_are_refused(network: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        graph_of(network)


@pytest.mark.parametrize(
    ("kinds", "edges", "message"),
    [
        (["input", "conv", "bias"], [(0, 1), (1, 2), (2, 1)], "cycle through b, c"),
        (["input", "conv", "bias"], [(0, 2)], "b does not reach the output.*path to c"),
        (["input", "warp", "bias"], [(0, 1), (1, 2)], "'warp' is no kind of node; the kinds are max_pool, "),
    ],
)
def test_graphs_that_are_no_networks_are_refused(kinds: list[str], edges: list[tuple[int, int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_graph(kinds, edges, ["a", "b", "c"], [None] * 3)


steps_inside = st.one_of(
    st.builds(Step, st.just("conv"), st.integers(1, 99), st.sampled_from([1, 3, 11]), st.integers(1, 4)),
    st.builds(Step, st.just("dw"), st.just(0), st.sampled_from([1, 3]), st.integers(1, 4)),
    st.builds(Step, st.sampled_from(["pool", "avgpool"]), st.just(0), st.integers(2, 11)),
    st.builds(Step, st.just("fc"), st.integers(1, 99)),
    st.builds(Step, st.sampled_from(["bn", "relu", "gelu", "gap"])),
)
steps = st.recursive(
    steps_inside,
    lambda inner: st.builds(Step, st.sampled_from(["res", "cat"]), branch=st.lists(inner, min_size=1, max_size=3).map(tuple)),
    max_leaves=8,
)


def test_drawn_architectures_can_be_built_and_differ() -> None:
    lines = set()
    for seed in range(40):
        line = drawn(torch.Generator().manual_seed(seed), classes=7)
        assert line == drawn(torch.Generator().manual_seed(seed), classes=7)
        assert build(line)(picture(2, 1, 8, 8)).shape == (2, 7)
        assert parse(text_of(line)) == line
        convolutions = [step for outer in line for step in (outer.branch or (outer,)) if step.kind == "conv"]
        assert 2 <= len(convolutions) <= 6
        assert all(step.channels in range(8, 49, 8) for step in convolutions)
        lines.add(text_of(line))
    assert len(lines) > 35
    assert {word for word in ("res(", "bn", "pool", "avgpool", "conv5x5") if any(word in line for line in lines)} == {
        "res(", "bn", "pool", "avgpool", "conv5x5",
    }  # fmt: skip
    assert any("bn" not in line for line in lines)
    assert {step.channels for step in drawn(torch.Generator(), widths=(48, 48)) if step.kind == "conv"} == {48}
    with pytest.raises(ValueError, match="cannot be drawn"):
        drawn(torch.Generator(), widths=(9, 15))


@settings(max_examples=60)
@given(st.lists(steps, min_size=1, max_size=5))
def test_what_is_written_is_read_again(line: list[Step]) -> None:
    assert parse(text_of(line)) == tuple(line)
    assert parse(" | ".join(map(str, line)).upper()) == tuple(line)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "is empty; write for example"),
        ("conv3x3-16 swish gap fc10", "'swish' is not known; the words are conv3x3-16,"),
        ("conv3x3-123456 gap fc10", "'conv3x3-123456' is not known"),
        ("conv3x3-2000 gap fc10", "between 1 and 1024 channels"),
        ("conv3x5-2 gap fc10", "kernels are square"),
        ("conv2x2-2 gap fc10", "must be odd and at most 11×11"),
        ("conv3x3-2/9 gap fc10", "stride is 1 to 4"),
        ("pool12 gap fc10", "2×2 to 11×11"),
        ("res(conv3x3-1 gap fc10", r"res\( is not closed"),
        ("conv3x3-4) gap fc10", r"a \) without its partner"),
        ("(conv3x3-4) gap fc10", r"a \( without its partner"),
        ("res() gap fc10", "is empty"),
        ("relu " * 101, "101 words; at most 100"),
        ("conv3x3-4 gap", "must end with a linear layer"),
        ("conv3x3-4 fc10", "picture of 8×8; put gap"),
        ("gap conv3x3-4 fc10", "stands after gap"),
        ("pool pool pool pool gap fc10", "less than one pixel of a picture of 1×1"),
        ("res(conv3x3-4) gap fc10", "gives 4 channels and gets 1; end the branch with conv1x1-1"),
        ("res(conv3x3-1/2) gap fc10", "leaves 4×4 of 8×8 places"),
        ("cat(gap) gap fc10", "must keep the size"),
    ],
)
def test_architectures_that_cannot_be_built_are_refused(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(parse(line), channels=1, side=8)


def test_a_line_becomes_the_network_that_it_says() -> None:
    network, x = build(parse("conv3x3-2 relu | res(conv1x1-2) | cat(relu) pool gap fc3")), picture(2, 1, 8, 8)
    state = network.state_dict()
    y = F.relu(F.conv2d(x, state["conv1.weight"], state["conv1.bias"], padding=1))
    y = y + F.conv2d(y, state["res1.conv2.weight"], state["res1.conv2.bias"])
    y = F.max_pool2d(torch.cat([y, F.relu(y)], 1), 2).mean((2, 3))
    assert torch.allclose(network(x), F.linear(y, state["fc1.weight"], state["fc1.bias"]), atol=1e-6)
    norm = build(parse("conv3x3-2 bn gap fc3"))
    assert norm.conv1.bias is None
    assert set(norm.state_dict()) == {"conv1.weight", "bn1.weight", "bn1.bias", "fc1.weight", "fc1.bias"}


# ========================================================================================================= GHN-3 and LoGAH

GHNS: dict[str, Callable[..., ghn3.GraphHyperNetwork]] = {
    "GHN-3": lambda **changes: GHN3(**{"max_shape": (8, 8, 11, 11), "num_classes": 10, "hid": 16, "heads": 4, "layers": 2, **changes}),
    "LoGAH": lambda **changes: LoGAH(
        **{"max_shape": (64, 64, 11, 11), "num_classes": 10, "hid": 16, "heads": 4, "layers": 2, "lora_r": 4, "max_ck_lora": 160, **changes}
    ),
    "LoGAH with vectors apart": lambda **changes: LoGAH((64, 64, 11, 11), 10, 16, 4, 2, 4, 160, use_1d_decoder=True, **changes),
}


@pytest.mark.parametrize("name", GHNS)
def test_every_parameter_is_predicted_in_its_shape_and_the_network_runs(name: str, graph: ComputationGraph) -> None:
    network = build(parse(LINE), channels=3, side=32)
    generated = GHNS[name]()(graph)
    assert {key: tensor.shape for key, tensor in generated.weights.items()} == {
        key: tensor.shape for key, tensor in network.named_parameters()
    }
    assert generated.count() == sum(p.numel() for p in network.parameters())
    logits = functional_call(network, dict(generated.weights), (picture(4, 3, 32, 32),))
    assert torch.isfinite(logits).all()
    assert logits.std() > 0


@pytest.mark.parametrize("name", GHNS)
def test_prediction_does_not_depend_on_the_order_of_nodes(name: str, graph: ComputationGraph) -> None:
    """Any order that keeps the input first and the classifier last gives the same weights."""
    middle = torch.randperm(len(graph) - 3, generator=torch.Generator().manual_seed(1)) + 1
    order = torch.cat([torch.tensor([0]), middle, torch.tensor([len(graph) - 2, len(graph) - 1])]).tolist()
    other = ComputationGraph(
        graph.primitive[order], graph.distance[order][:, order], tuple(graph.names[i] for i in order), tuple(graph.shapes[i] for i in order)
    )
    assert other.names != graph.names
    net = GHNS[name]().eval()
    ours, wanted = net(other).weights, net(graph).weights
    assert all(torch.allclose(ours[key], wanted[key], atol=1e-5) for key in wanted)


def test_prediction_depends_on_the_graph(graph: ComputationGraph) -> None:
    """A skip less, or virtual edges switched off, changes what is predicted."""
    net = GHNS["GHN-3"]()
    plain = graph_of(build(parse(LINE.replace("res(dw3x3 conv1x1-8 relu)", "dw3x3 conv1x1-8 relu")), channels=3, side=32))
    a, b = net(graph).weights, net(plain).weights
    assert not torch.allclose(a["fc2.weight"], b["fc2.weight"])
    net.ve = False
    assert not torch.allclose(a["fc2.weight"], net(graph).weights["fc2.weight"])


def naive_graphormer(net: ghn3.GraphHyperNetwork, x: Tensor, graph: ComputationGraph) -> Tensor:
    """Node by node and head by head."""
    state, n, heads = net.state_dict(), len(graph), 4
    edges = [(a, b) for a in range(n) for b in range(n) if graph.distance[a, b] == 1]
    x = x.clone()
    for node in range(n):
        x[node] += state["gnn.0.centrality_embed_in.weight"][sum(b == node for _, b in edges)]
        x[node] += state["gnn.0.centrality_embed_out.weight"][sum(a == node for a, _ in edges)]
        x[node] += state["gnn.0.input_dist_embed.weight"][graph.distance[0, node]]
    table, bias = state["gnn.0.attn.edge_embed.embed.weight"], torch.zeros(heads, n, n)
    for i, j in itertools.product(range(n), range(n)):
        both = torch.cat([table[graph.distance[i, j] + 2], table[graph.distance[j, i] + 2]])
        bias[:, i, j] = net.gnn[0].attn.proj_e(both)
    for layer in net.gnn:
        y = layer.ln1(x)
        q, k, v = (part.unflatten(1, (heads, -1)) for part in (y @ layer.attn.to_qkv.weight.T).chunk(3, 1))
        out = torch.zeros(n, heads, v.shape[2])
        for i, head in itertools.product(range(n), range(heads)):
            scores = torch.stack([q[i, head] @ k[j, head] / math.sqrt(q.shape[2]) + bias[head, i, j] for j in range(n)])
            out[i, head] = (scores.softmax(0)[:, None] * v[:, head]).sum(0)
        x = x + layer.attn.to_out(out.flatten(1))
        x = x + layer.ff.net[3](F.gelu(layer.ff.net[0](layer.ln2(x))))
    return net.ln(x)


@torch.inference_mode()
def test_the_encoder_is_the_naive_graphormer(graph: ComputationGraph) -> None:
    net = GHNS["GHN-3"]()
    ours = net.encode(graph)
    assert torch.allclose(ours, naive_graphormer(net, net.node_features(graph), graph), atol=1e-5)


def test_attention_is_seen_and_sums_to_one(graph: ComputationGraph) -> None:
    kept: dict[int, Tensor] = {}

    def keep(_module: nn.Module, _inputs: tuple, output: Tensor) -> None:
        kept[len(kept)] = output

    net = GHNS["LoGAH"]()
    with torch.inference_mode(), capture(net, adapters={graphormer.AttentionWeights: keep}) as trace:
        net(graph)
    assert [attention.shape for attention in kept.values()] == [(4, len(graph), len(graph))] * 2
    assert all(torch.allclose(attention.sum(-1), torch.ones(4, len(graph))) for attention in kept.values())
    assert len(trace.of(GeneratedWeights)) == 1


@pytest.mark.parametrize("name", ["GHN-3", "LoGAH"])
def test_every_used_weight_of_the_hypernetwork_learns(name: str, graph: ComputationGraph) -> None:
    net = GHNS[name]()
    sum(tensor.square().sum() for tensor in net(graph).weights.values()).backward()
    idle = {key for key, p in net.named_parameters() if p.grad is None or not p.grad.any()}
    assert idle <= {
        "decoder.l1.weight",
        "decoder.l1.bias",
        "decoder_1d.0.weight",
        "decoder_1d.0.bias",
        "bias_class.1.weight",
        "bias_class.1.bias",
    }


def test_shapes_are_read_with_the_released_vocabulary() -> None:
    encoder = graphormer.ShapeEncoder(8, 10, 11)
    assert encoder.spatial == [1, 3, 5, 7, 9, 11, 14, 16]
    assert len(encoder.channels) + 1 == 392
    channels, spatial = np.array(encoder.channels), np.array(encoder.spatial)
    for c, s in [(1, 1), (2, 3), (3, 5), (11, 4), (12, 12), (68, 6), (72, 13), (100, 15), (3000, 16), (9000, 30), (5000, 8)]:
        wanted = (abs(channels - c).argmin(), abs(channels - 10).argmin(), abs(spatial - s).argmin(), abs(spatial - 1).argmin())
        assert encoder.indices((c, 10, s, 1)) == wanted
    assert [encoder.channels[encoder.indices((c,))[0]] for c in (4, 5, 6, 7, 8, 9, 10)] == [8, 8, 8, 8, 8, 8, 10]
    assert encoder.spatial[encoder.indices((1, 1, 2, 2))[2]] == 3
    assert encoder.indices(None) == (391, 391, 8, 8)
    assert encoder.indices((1, 197, 64)) == encoder.indices((1, 64, 14, 14))
    assert encoder.indices((24,)) == encoder.indices((24, 1, 1, 1))
    rows = encoder([(8, 3, 5, 1), None])
    assert torch.equal(rows[0, 2:4], encoder.embed_channel.weight[encoder.channels.index(3)])
    assert torch.equal(rows[1, 6:], encoder.embed_spatial.weight[-1])


def duplicates(matrix: Tensor) -> float:
    """Share of rows that are equal to an earlier row."""
    return 1 - len({tuple(row) for row in matrix.flatten(1).tolist()}) / len(matrix)


def test_wide_layers_are_copies_in_ghn3_and_none_in_logah() -> None:
    wide = graph_of(build(parse("conv3x3-40 relu | conv3x3-24 gap fc10"), 3, 16))
    tiled, low_rank = GHNS["GHN-3"]()(wide), GHNS["LoGAH"]()(wide)
    assert duplicates(tiled.weights["conv1.weight"]) == pytest.approx(1 - 8 / 40)
    assert duplicates(low_rank.weights["conv1.weight"]) == 0
    assert dict(tiled.tiles) == {
        "conv1.weight": (8, 3),
        "conv1.bias": (8, 1),
        "conv2.weight": (8, 8),
        "conv2.bias": (8, 1),
        "fc1.weight": (10, 8),
    }
    kernels = tiled.weights["conv2.weight"]
    for out, inn in [(9, 0), (0, 8), (23, 39)]:
        assert torch.equal(kernels[out, inn], kernels[out % 8, inn % 8])
    assert not torch.equal(kernels[0, 0], kernels[1, 0])


def test_a_tile_is_the_centre_of_the_picture_position_by_position() -> None:
    net = GHNS["GHN-3"]()
    decoder, x = net.decoder, picture(2, 16)
    hidden = F.relu(F.linear(x, decoder.fc[0].weight, decoder.fc[0].bias)).view(2, 64, 11, 11)
    for kernel, (top, left) in {(3, 3): (4, 4), (1, 7): (5, 2), (2, 2): (4, 4), (11, 11): (0, 0)}.items():
        tile = decoder(x, kernel)
        assert tile.shape == (2, 8, 8, *kernel)
        for i, j in itertools.product(range(kernel[0]), range(kernel[1])):
            place = decoder.conv(hidden[:, :, top + i, left + j]).view(2, 8, 8)
            assert torch.allclose(tile[..., i, j], place, atol=1e-5)
    assert decoder(x, (13, 13)).shape == (2, 8, 8, 13, 13)
    classes = decoder.classes(x)
    middle = decoder(x, (1, 1))[..., 0, 0]
    linear = decoder.class_layer_predictor[1]
    naive = torch.stack([linear(F.relu(middle[:, :, i])) for i in range(8)], 2)
    assert torch.allclose(classes, naive, atol=1e-6)


@torch.inference_mode()
def test_vectors_are_rows_of_pairs() -> None:
    """Row 0 is the scale of a norm layer, row 1 its bias and every other bias; LoGAH decodes a rounded number of rows."""
    seen = graph_of(build(parse("conv3x3-9 bn relu conv3x3-24 gap fc10"), 3, 16))
    place = {name: i for i, name in enumerate(seen.names)}
    tiled, low_rank = GHNS["GHN-3"](), GHNS["LoGAH"]()
    x, found = tiled.encode(seen), tiled(seen).weights
    pairs = tiled.decoder_1d(x).view(len(seen), 2, 8)
    nine = torch.arange(9) % 8
    assert torch.allclose(found["bn1.weight"], 2 * torch.sigmoid(pairs[place["bn1.weight"], 0, nine] / 2), atol=1e-6)
    assert torch.allclose(found["bn1.bias"], torch.tanh(pairs[place["bn1.weight"], 1, nine] / 5), atol=1e-6)
    assert torch.allclose(found["conv2.bias"], torch.tanh(pairs[place["conv2.bias"], 1].repeat(3) / 5), atol=1e-6)
    assert torch.allclose(found["fc1.bias"], torch.tanh(tiled.bias_class(pairs[place["fc1.bias"], 1]) / 5), atol=1e-6)
    x, found = low_rank.encode(seen), low_rank(seen).weights
    for name, bias, row, rounded in [
        ("bn1.weight", False, 0, 12),
        ("bn1.weight", True, 1, 12),
        ("conv2.bias", True, 1, 64),
        ("fc1.bias", True, 1, 10),
    ]:
        factors = low_rank.decoder.factors(x[place[name], None])[0]
        column = (factors[: 2 * rounded] @ factors[160]).view(2, rounded)[row]
        ours = found[name.replace("weight", "bias") if bias else name]
        wanted = torch.tanh(column / 5) if bias else 2 * torch.sigmoid(column / 2)
        assert torch.allclose(ours, wanted[: len(ours)], atol=1e-6), (name, bias)


def test_weights_get_the_scale_of_their_fan_in() -> None:
    kernels, depthwise, flat, wide = picture(4, 3, 5, 5), picture(4, 1, 3, 3), picture(6, 7), picture(4, 3, 1, 3)
    assert torch.allclose(ghn3.normalised("a.weight", kernels), kernels * math.sqrt(2 / 75))
    assert torch.allclose(ghn3.normalised("a.weight", depthwise), depthwise * math.sqrt(1 / 9))
    assert torch.allclose(ghn3.normalised("a.weight", wide), wide * math.sqrt(1 / 9))
    assert torch.allclose(ghn3.normalised("a.weight", flat), flat * math.sqrt(2 / 7))
    assert torch.allclose(ghn3.normalised("n.weight", flat[0]), 2 / (1 + torch.exp(-flat[0] / 2)))
    assert torch.allclose(ghn3.normalised("n.bias", flat[0]), torch.tanh(flat[0] / 5))
    table = picture(1, 16, 12)
    assert ghn3.normalised("position", table) is table
    assert [ghn3.rounded(n, 64) for n in (1, 3, 5, 9, 24, 25, 32, 64, 100)] == [1, 4, 5, 12, 64, 25, 64, 64, 64]


@torch.inference_mode()
def test_low_rank_tensors_are_their_factors() -> None:
    net, seen = GHNS["LoGAH"](), graph_of(build(parse("conv3x3-16 bn relu conv5x5-12 gap fc10"), 3, 16))
    generated = net(seen)
    for name in ("conv1.weight", "conv2.weight", "fc1.weight"):
        weight = generated.weights[name]
        matrix = logah.as_matrix(weight)
        assert torch.linalg.matrix_rank(matrix.double(), rtol=1e-5) <= 4
        product = (generated.left[name] @ generated.right[name]) * math.sqrt(2 / weight[0].numel())
        assert torch.allclose(matrix, product, atol=1e-6)
    weight, matrix = generated.weights["conv2.weight"], logah.as_matrix(generated.weights["conv2.weight"])
    for out, inn, y, x in [(3, 7, 1, 4), (11, 15, 4, 0)]:
        assert matrix[out * 5 + y, inn * 5 + x] == weight[out, inn, y, x]
    assert torch.equal(logah.as_kernels(matrix, weight.shape), weight)


def test_the_reading_of_the_factors_is_no_transpose() -> None:
    decoder, x = logah.LowRankDecoder(8, 20, 3, (16, 16)), picture(2, 8)
    wide = decoder.l2(F.relu(decoder.mlp(x).view(2, 6, 3)))  # [2, 2r, K]
    left, right = decoder(x, 7, 5)
    for row, column in itertools.product(range(7), range(3)):
        place = row * 3 + column
        assert left[1, row, column] == wide[1, place // 20, place % 20]
    for row, column in itertools.product(range(3), range(5)):
        place = (20 + column) * 3 + row
        assert right[1, row, column] == wide[1, place // 20, place % 20]
    assert decoder.seq[1].weight is decoder.l2.weight
    with pytest.raises(ValueError, match=r"21 × 1 was asked for; at most 20 × 20"):
        decoder(x, 21, 1)


@torch.inference_mode()
def test_a_network_starts_from_predicted_weights() -> None:
    network = build(parse("conv3x3-8 bn relu gap fc10"))
    generated = GHN3((4, 4, 11, 11), 10, 8, 2, 1)(graph_of(network))
    ghn3.initialise(network, generated, noise=0)
    found = parameters(network)
    assert all(torch.equal(found[name], tensor) for name, tensor in generated.weights.items())
    kernels = found["conv1.weight"]
    assert torch.equal(kernels[:4], kernels[4:])  # copies of one tile
    ghn3.initialise(network, generated, generator=torch.Generator().manual_seed(0))
    moved = parameters(network)["conv1.weight"]
    assert not torch.equal(moved[:4], moved[4:])
    assert (moved - generated.weights["conv1.weight"]).std().item() == pytest.approx(1e-5, rel=0.3)
    with pytest.raises(ValueError, match="no parameter of this network"):
        ghn3.initialise(build(parse("conv3x3-4 gap fc10")), generated)


@torch.inference_mode()
def test_cutting_the_rank_gives_the_nearest_product() -> None:
    generated = GHNS["LoGAH"]()(graph_of(build(parse("conv3x3-16 relu conv3x3-12 gap fc10"), 3, 16)))
    cut = logah.truncated(generated, 2)
    for name in generated.left:
        u, s, v = np.linalg.svd(logah.as_matrix(generated.weights[name]).double().numpy(), full_matrices=False)
        best = torch.from_numpy(u[:, :2] * s[:2] @ v[:2]).float()
        assert torch.allclose(logah.as_matrix(cut.weights[name]), best, atol=1e-5)
        assert cut.left[name].shape[1] == 2
    assert torch.equal(cut.weights["conv1.bias"], generated.weights["conv1.bias"])
    whole = logah.truncated(generated, 4)
    assert all(torch.allclose(whole.weights[name], generated.weights[name], atol=1e-5) for name in generated.weights)
    with pytest.raises(ValueError, match="rank 0 leaves nothing"):
        logah.truncated(generated, 0)
    with pytest.raises(ValueError, match="no products"):
        logah.truncated(GeneratedWeights({}), 1)


@pytest.mark.parametrize(
    ("build_net", "count"),
    [
        (lambda: ghn3.build("ghn3tm8"), 6_906_632),
        (lambda: ghn3.build("ghn3sm8"), 35_810_368),
        (lambda: logah.build("logah-tiny"), 2_540_348),
        (lambda: logah.build("logah-small"), 21_412_730),
        (lambda: logah.build("logah-base"), 78_200_000),
        (lambda: logah.build("logah-large"), 289_400_000),
    ],
    ids=["GHN-3 T", "GHN-3 S", "LoGAH tiny", "small", "base", "large"],
)
def test_published_sizes(build_net: Callable[[], nn.Module], count: int) -> None:
    with torch.device("meta"):
        ours = sum(p.numel() for p in build_net().parameters())
    assert ours == count if count % 100_000 else abs(ours - count) < 100_000


def test_sizes_of_the_decoders() -> None:
    net = GHNS["GHN-3"]()
    assert ghn3.decoder_size(16, 8, 11, 10) == sum(p.numel() for p in net.decoder.parameters())
    decoder = GHNS["LoGAH"]().decoder
    assert logah.decoder_size(16, 160, 4) == sum(p.numel() for p in decoder.parameters())
    assert ghn3.decoder_size(64, 2048, 11, 10) == pytest.approx(2.16e9, rel=0.01)
    assert logah.decoder_size(64, 32768, 32) == pytest.approx(2.28e6, rel=0.01)


def test_released_files_of_both_layouts_load() -> None:
    net = GHNS["GHN-3"]()
    old = {}
    for name, tensor in net.state_dict().items():
        moved = (
            name.removeprefix("gnn.0.")
            if name.split(".")[2:3] in (["centrality_embed_in"], ["centrality_embed_out"], ["input_dist_embed"])
            else name
        )
        old[moved] = tensor[..., None, None] if name == "decoder.conv.0.weight" else tensor
    assert "centrality_embed_in.weight" in old
    for container in (old, {"state_dict": old, "config": {}}):
        other = GHNS["GHN-3"]()
        other.load_state_dict(ghn3.released_state(container), strict=True)
        assert torch.equal(other.decoder.conv[0].weight, net.decoder.conv[0].weight)
        assert torch.equal(other.gnn[0].centrality_embed_in.weight, net.gnn[0].centrality_embed_in.weight)


def test_tables_of_positions_are_predicted_and_a_class_token_is_random() -> None:
    for name in ("GHN-3", "LoGAH"):
        net = GHNS[name]()
        seen = graph_of(SmallViT(17))
        first, second = (net(seen).weights["position"] for _ in range(2))
        assert first.shape == (1, 17, 8)
        assert torch.equal(first[:, 1:], second[:, 1:])
        assert not torch.equal(first[:, 0], second[:, 0])
        assert net(graph_of(SmallViT(16))).weights["position"].shape == (1, 16, 8)
        with pytest.raises(ValueError, match="18 positions; a square number, or one more"):
            net(graph_of(SmallViT(18)))


@pytest.mark.parametrize(
    ("line", "name", "message"),
    [
        ("conv3x3-4 gap fc7", "GHN-3", r"ends in fc1\.bias of 7 outputs; parameters are predicted for 10 classes"),
        ("conv3x3-60 gap fc10", "LoGAH", r"conv1\.weight is a matrix of 180 × 9 values .* at most 160 × 160"),
        ("conv3x3-4 relu conv3x3-200 gap fc10", "LoGAH", r"conv2\.weight is a matrix of 600 × 12"),
    ],
)
def test_networks_that_cannot_be_predicted_are_refused(line: str, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GHNS[name]()(graph_of(build(parse(line), 3, 16)))


def test_a_classifier_may_be_a_convolution_or_have_no_bias() -> None:
    convolution = nn.Sequential(nn.Conv2d(3, 12, 3), nn.Conv2d(12, 10, 1))
    plain = nn.Sequential(nn.Conv2d(3, 12, 3), nn.Linear(12, 10, bias=False))
    large = nn.Sequential(nn.Conv2d(3, 12, 3), nn.Conv2d(12, 10, 3))
    for network in (convolution, plain, large):
        for net in GHNS.values():
            generated = net()(graph_of(network)).weights
            assert {name: tensor.shape for name, tensor in generated.items()} == {name: p.shape for name, p in network.named_parameters()}
    net = GHNS["GHN-3"]()
    assert dict(net(graph_of(convolution)).tiles)["1.weight"] == (10, 8)  # through the map to the classes
    assert dict(net(graph_of(plain)).tiles)["1.weight"] == (8, 8)  # as released: only the last but one node is a classifier


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="hid = 18 must be a multiple of 4 and of the 4 heads"):
        GHNS["GHN-3"](hid=18)
    with pytest.raises(ValueError, match="no parameters to predict"):
        GHNS["GHN-3"]()(build_graph(["input", "glob_avg"], [(0, 1)], ["a", "b"], [None, None]))
    bare = ComputationGraph(torch.tensor([9, 4]), torch.tensor([[0, 1], [0, 0]]), ("input", "w"), (None, (10, 3, 3)))
    with pytest.raises(ValueError, match=r"w has the shape \(10, 3, 3\)"):
        GHNS["GHN-3"]()(bare)


def test_kinds_of_nodes_have_the_published_numbers() -> None:
    published = "max_pool avg_pool sep_conv dil_conv conv msa cse sum concat input bias bn ln pos_enc glob_avg"
    assert tuple(published.split()) == PRIMITIVES


# ======================================================================================= magnitude invariant parametrisations

MAIN = {name: tuple(p.shape) for name, p in MainNet((1, 3, 4)).named_parameters()}


def hypernet(name: str, **changes) -> HyperNet:
    return variant(name, changes.pop("inputs", {"h": (1,)}), MAIN, hidden_sizes=(16, 64), **changes)


@torch.inference_mode()
def test_default_weights_are_proportional_to_the_input_and_dead_at_zero() -> None:
    net = hypernet("default")
    at_one = net.generate(torch.ones(1, 1))
    for gamma in (0.0, 0.1, 0.5, 0.75):
        assert torch.allclose(net.generate(torch.full((1, 1), gamma)), gamma * at_one, atol=1e-6)
    assert at_one.std() > 0


@torch.inference_mode()
def test_magnitude_invariant_weights_keep_their_scale() -> None:
    main = {name: tuple(p.shape) for name, p in MainNet((1, 8, 16)).named_parameters()}
    net = variant("mip", {"h": (1,)}, main)
    stds = torch.stack([net.generate(torch.full((1, 1), gamma)).std() for gamma in (0.0, 0.1, 0.5, 1.0)])
    assert stds.max() / stds.min() < 1.05
    assert not torch.allclose(net.generate(torch.zeros(1, 1)), net.generate(torch.ones(1, 1)))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_the_encoded_input_has_a_constant_norm(values: list[float]) -> None:
    gamma = torch.tensor([values], dtype=torch.float64)
    encoded = mip.Encoding("cos|sin")(gamma)
    d = len(values)
    assert encoded.norm().item() == pytest.approx(math.sqrt(d), abs=1e-9)
    assert encoded[0, :d].tolist() == pytest.approx([math.cos(math.pi * g / 2) for g in values])
    assert encoded[0, d:].tolist() == pytest.approx([math.sin(math.pi * g / 2) for g in values])
    affine = mip.Encoding("z|1-z")(gamma)
    assert math.sqrt(d / 2) - 1e-9 <= affine.norm().item() <= math.sqrt(d) + 1e-9
    assert torch.equal(mip.Encoding(None)(gamma), gamma)


@torch.inference_mode()
@pytest.mark.parametrize("name", mip.VARIANTS)
def test_weights_are_the_naive_formula(name: str) -> None:
    net = hypernet(name, inputs={"b": (2,), "a": (1,)})
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.bias)
    a, b = torch.tensor([[0.3], [0.8]]), torch.tensor([[0.1, 0.9], [0.0, 1.0]])
    gamma = torch.cat([a, b], 1)  # sorted names
    z = {
        "cos|sin": torch.cat([(math.pi / 2 * gamma).cos(), (math.pi / 2 * gamma).sin()], 1),
        "z|1-z": torch.cat([gamma, 1 - gamma], 1),
    }.get(net.encoding.mode or "", gamma)
    state = net.state_dict()
    for i in range(2):
        z = F.leaky_relu(z @ state[f"backbone.block{i}_lin.weight"].T + state[f"backbone.block{i}_lin.bias"])
    flat = z @ state["backbone.output.weight"].T + state["backbone.output.bias"]
    generated = net({"b": b, "a": a}).weights
    assert list(generated) == list(MAIN)
    assert torch.allclose(torch.cat([tensor.flatten(1) for tensor in generated.values()], 1), flat, atol=1e-5)
    single = net({"b": b[1], "a": a[1]}).weights
    assert {key: tensor.shape for key, tensor in single.items()} == {key: torch.Size(shape) for key, shape in MAIN.items()}
    assert torch.allclose(single["c2.weight"], generated["c2.weight"][1], atol=1e-6)


def test_independent_weights_are_the_bias_of_the_last_layer() -> None:
    net, trained = hypernet("mip"), MainNet((1, 3, 4))
    assert not any(tensor.any() for name, tensor in net.independent_weights().items() if name.endswith("bias"))
    assert all(tensor.std() > 0.1 for name, tensor in net.independent_weights().items() if name.endswith("weight"))
    assert not hypernet("input_only").backbone.last.bias.any()
    net.set_independent_weights(parameters(trained))
    nn.init.zeros_(net.backbone.last.weight)
    image = picture(2, 1, 12, 12)
    assert torch.allclose(functional_call(trained, dict(net(torch.rand(1)).weights), (image,)), trained(image), atol=1e-6)
    with pytest.raises(ValueError, match=r"fc\.bias must have the shape \(10,\); given was nothing"):
        net.set_independent_weights({name: tensor for name, tensor in parameters(trained).items() if name != "fc.bias"})


def test_each_tensor_gets_a_correction_of_its_own_size() -> None:
    net = variant("mip", {"h": (1,)}, {"large.weight": (40, 50), "small.weight": (5, 4)}, hidden_sizes=(8, 400))
    large, small = net.backbone.last.weight.split([2000, 20])
    assert large.std().item() == pytest.approx(1 / math.sqrt(2000), rel=0.05)
    assert small.std().item() == pytest.approx(1 / math.sqrt(20), rel=0.05)
    generic = variant(
        "default", {"h": (1,)}, {"large.weight": (40, 50), "small.weight": (5, 4)}, hidden_sizes=(8, 400)
    ).backbone.last.weight
    assert generic[2000:].std().item() == pytest.approx(1 / math.sqrt(2020), rel=0.05)
    assert hypernet("mip").backbone.get_submodule("block1_lin").bias.abs().sum() == 0


@pytest.mark.parametrize(
    ("gamma", "message"),
    [
        (torch.tensor([[1.2]]), r"reaches from 1\.2 to 1\.2; values must lie in \[0, 1\]"),
        (torch.tensor([[-0.1]]), r"reaches from -0\.1"),
        (torch.tensor([[torch.nan]]), "not a finite number"),
        (torch.rand(2, 3), r"has the shape \(2, 3\); \(1,\) or \(B, 1\) is expected"),
        ({"g": torch.rand(1)}, "the inputs are h; given were g"),
    ],
)
def test_inputs_that_cannot_be_encoded_are_refused(gamma, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hypernet("mip")(gamma)


def test_settings_of_the_hypernetwork_that_do_not_exist_are_refused() -> None:
    two = hypernet("mip", inputs={"a": (1,), "b": (1,)})
    with pytest.raises(ValueError, match="different numbers of rows: 2, 3"):
        two({"a": torch.rand(2, 1), "b": torch.rand(3, 1)})
    with pytest.raises(ValueError, match="encoding is 'fourier'; it must be one of None"):
        mip.Encoding("fourier")
    with pytest.raises(ValueError, match="nonlinearity is 'Softmax'; it must be one of LeakyReLU"):
        hypernet("mip", nonlinearity="Softmax")
    with pytest.raises(KeyError, match="no variant named 'mp'; there are default"):
        hypernet("mp")
    hypernet("mip")(torch.tensor([1 + 1e-7]))  # rounding is no error


# ======================================================================================================= continual learning

SHAPES = {"layers.0.weight": (5, 7), "layers.0.bias": (5,), "layers.1.weight": (3, 5), "layers.1.bias": (3,)}  # 58 values

MAKERS: dict[str, Callable[..., continual.TaskHyperNet]] = {
    "chunked": lambda **changes: ChunkedHyperNet(SHAPES, 3, 8, (6, 9), 4, 3, **changes),
    "recurrent": lambda **changes: RecurrentHyperNet(SHAPES, 3, 8, 6, 4, 3, **changes),
}


@torch.inference_mode()
def test_every_chunk_of_the_baseline_is_made_alone() -> None:
    net = MAKERS["chunked"]()
    theta = list(net._hypernet._theta)
    flat = []
    for k in range(8):
        x = torch.cat([net.task_embeddings()[1], net.chunk_embeddings[k]])
        x = F.relu(theta[0] @ x + theta[1])
        x = F.relu(theta[2] @ x + theta[3])
        flat.append(theta[4] @ x + theta[5])
    ours = torch.cat([tensor.flatten() for tensor in net(1).weights.values()])
    assert torch.allclose(ours, torch.cat(flat)[:58], atol=1e-6)
    assert not torch.allclose(ours, torch.cat([tensor.flatten() for tensor in net(2).weights.values()]))


@torch.inference_mode()
def test_the_recurrent_one_is_an_lstm_with_a_linear_readout() -> None:
    net = MAKERS["recurrent"](he_scale=False)
    assert isinstance(net, RecurrentHyperNet)
    (block,) = net.states.each()
    lstm = nn.LSTM(7, 6)
    lstm.load_state_dict({f"{name}_l0": tensor for name, tensor in block.cell.state_dict().items()})
    states, _ = lstm(torch.cat([net.task_embeddings()[2].expand(8, -1), net.chunk_embeddings], 1))
    flat = (states @ block.readout.weight.T + block.readout.bias).flatten()[:58]
    assert torch.allclose(torch.cat([tensor.flatten() for tensor in net(2).weights.values()]), flat, atol=1e-6)


def test_parameter_counts_are_the_formulas() -> None:
    table = {name: tuple(p.shape) for name, p in targets.Perceptron((64, 32, 32, 10)).named_parameters()}
    chunked, recurrent = ChunkedHyperNet(table, 5, 256, (24, 32)), RecurrentHyperNet(table, 5, 256, 22)
    assert sum(math.prod(shape) for shape in table.values()) == 3466
    assert chunked.num_chunks == 14
    assert sum(p.numel() for p in chunked.parameters()) == 9808
    h, e, c = 22, 8, 8
    assert sum(p.numel() for p in recurrent.parameters()) == 4 * h * (h + e + c + 2) + 256 * (h + 1) + 14 * c + 5 * e == 9560


def test_scaled_weights_start_with_the_usual_sizes() -> None:
    plain, scaled = MAKERS["chunked"](), MAKERS["chunked"](he_scale=True)
    scaled.load_state_dict(plain.state_dict())
    for name, factor in {"layers.0.weight": math.sqrt(2 / 7), "layers.0.bias": 0.1, "layers.1.weight": math.sqrt(2 / 5)}.items():
        assert torch.allclose(scaled(0).weights[name], factor * plain(0).weights[name])


@pytest.mark.parametrize("kind", MAKERS)
def test_the_regulariser_is_the_mean_drift_of_old_tasks(kind: str) -> None:
    net = MAKERS[kind]()
    stored = continual.stored_weights(net, 2)
    assert continual.output_regulariser(net, stored).item() == 0
    step = {name: 0.1 * torch.randn_like(p) for name, p in net.shared().items()}
    ahead = continual.output_regulariser(net, stored, step)
    importance = [{name: torch.rand_like(tensor) for name, tensor in task.items()} for task in stored]
    weighted = continual.output_regulariser(net, stored, step, importance)
    with torch.no_grad():
        for name, parameter in net.shared().items():
            parameter += step[name]
        drift = [[(net(t).weights[name] - stored[t][name]).square() for name in SHAPES] for t in range(2)]
    assert ahead.item() == pytest.approx(sum(d.sum().item() for task in drift for d in task) / 2, rel=1e-4)
    naive = sum((importance[t][name] * drift[t][i]).sum().item() for t in range(2) for i, name in enumerate(SHAPES)) / 2
    assert weighted.item() == pytest.approx(naive, rel=1e-4)
    assert continual.output_regulariser(net, stored).item() == pytest.approx(ahead.item(), rel=1e-4)
    with pytest.raises(ValueError, match="no old task"):
        continual.output_regulariser(net, [])


@pytest.mark.parametrize("kind", MAKERS)
def test_learning_a_task_leaves_old_embeddings_alone(kind: str) -> None:
    net = MAKERS[kind]()
    before = [embedding.clone() for embedding in net.task_embeddings()]
    optimiser = torch.optim.AdamW(net.trainable_for(2), lr=0.1, weight_decay=0.1)
    stored = continual.stored_weights(net, 2)
    for _ in range(2):
        optimiser.zero_grad()
        loss = sum(tensor.square().sum() for tensor in net(2).weights.values()) + continual.output_regulariser(net, stored)
        loss.backward()
        optimiser.step()
    assert [torch.equal(a, b) for a, b in zip(before, net.task_embeddings(), strict=True)] == [True, True, False]
    assert set(net.shared()) == {name for name, _ in net.named_parameters() if "_task_embs" not in name}


@pytest.mark.parametrize("kind", MAKERS)
def test_dependency_is_the_jacobian(kind: str) -> None:
    net = MAKERS[kind]().double()
    embeddings = net.chunk_embeddings.detach()

    def flat(chunks: Tensor) -> Tensor:
        return torch.cat([tensor.flatten() for tensor in net(1, chunks).weights.values()])

    jacobian = torch.autograd.functional.jacobian(flat, embeddings)  # backward, one output at a time
    naive = torch.stack([torch.stack([rows[:, k].norm() for k in range(8)]) for rows in jacobian.split(8)])
    assert torch.allclose(dependency(net, 1), naive, atol=1e-10)
    by_tensor = torch.stack([torch.stack([rows[:, k].norm() for k in range(8)]) for rows in jacobian.split([35, 5, 15, 3])])
    assert torch.allclose(dependency(net, 1, by="tensor"), by_tensor, atol=1e-10)


def test_chunks_of_the_baseline_are_independent_and_those_of_the_recurrent_one_follow_each_other() -> None:
    alone, walking = dependency(MAKERS["chunked"]()), dependency(MAKERS["recurrent"]())
    assert alone.fill_diagonal_(0).max() <= 1e-12
    assert walking.triu(1).max() == 0
    assert (walking[walking.tril().bool()] > 0).all()
    assert (walking.tril(-1)[1:].sum(1) > 0).all()
    with pytest.raises(ValueError, match="must be 'chunk' or 'tensor'"):
        dependency(MAKERS["chunked"](), by="layer")


@torch.inference_mode()
@pytest.mark.parametrize("kind", MAKERS)
def test_disturbing_one_chunk_moves_later_chunks_only_where_there_is_memory(kind: str) -> None:
    net = MAKERS[kind]()
    disturbed = net.chunk_embeddings.clone()
    disturbed[3] += 0.5
    before, after = (torch.cat([t.flatten() for t in net(0, c).weights.values()]) for c in (net.chunk_embeddings, disturbed))
    moved = [bool((a != b).any()) for a, b in zip(before.split(8), after.split(8), strict=True)]
    assert moved == [False] * 3 + [True] + [kind == "recurrent"] * 4


@pytest.mark.parametrize("freeze", [False, True])
def test_growth_changes_nothing_until_something_is_learned(freeze: bool) -> None:
    net = MAKERS["recurrent"]()
    assert isinstance(net, RecurrentHyperNet)
    before = continual.stored_weights(net, 3)
    for units in (4, 3):
        net.grow(units, freeze=freeze)
    assert net.hidden == 13
    after = continual.stored_weights(net, 3)
    for task in range(3):
        assert all(torch.equal(tensor, before[task][name]) for name, tensor in after[task].items())
        assert all(torch.allclose(tensor, before[task][name], atol=1e-6) for name, tensor in net(task).weights.items())
    assert continual.output_regulariser(net, before).item() == 0
    old, new = net.states.each()[0], net.states.each()[-1]
    for _ in range(2):  # the first step wakes the read-out, the second reaches the new gates
        optimiser = torch.optim.SGD([p for p in net.trainable_for(2) if p.requires_grad], lr=0.5)
        optimiser.zero_grad()
        sum(tensor.square().sum() for tensor in net(2).weights.values()).backward()
        optimiser.step()
    assert new.feedback is not None
    assert new.cell.weight_ih.grad.any()
    assert new.feedback.weight.grad.any()
    assert (old.cell.weight_hh.grad is None) == freeze
    assert not torch.equal(net(2).weights["layers.0.weight"], before[2]["layers.0.weight"])
    with pytest.raises(ValueError, match="0 units cannot be added"):
        net.grow(0)


def test_a_grown_network_is_one_larger_lstm() -> None:
    """Once feedback and read-out have learned, blocks together are the usual LSTM with all units."""
    net = MAKERS["recurrent"](he_scale=False)
    assert isinstance(net, RecurrentHyperNet)
    net.grow(2)
    old, new = net.states.each()
    assert new.feedback is not None
    nn.init.normal_(new.feedback.weight)
    nn.init.normal_(new.readout.weight)
    x = torch.cat([net.task_embeddings()[0].expand(8, -1), net.chunk_embeddings], 1)
    lstm = nn.LSTM(7, 8)
    with torch.no_grad():
        for gate in range(4):
            rows, own, added = slice(8 * gate, 8 * gate + 8), slice(6 * gate, 6 * gate + 6), slice(2 * gate, 2 * gate + 2)
            lstm.weight_ih_l0[rows] = torch.cat([old.cell.weight_ih[own], new.cell.weight_ih[added, :7]])
            upper = torch.cat([old.cell.weight_hh[own], new.feedback.weight[own]], 1)
            lower = torch.cat([new.cell.weight_ih[added, 7:], new.cell.weight_hh[added]], 1)
            lstm.weight_hh_l0[rows] = torch.cat([upper, lower])
            for bias in ("bias_ih", "bias_hh"):
                getattr(lstm, f"{bias}_l0")[rows] = torch.cat([getattr(old.cell, bias)[own], getattr(new.cell, bias)[added]])
    states = lstm(x)[0]
    chunks = states @ torch.cat([old.readout.weight, new.readout.weight], 1).T + old.readout.bias
    assert torch.allclose(torch.cat([t.flatten() for t in net(0).weights.values()]), chunks.flatten()[:58], atol=1e-5)


def test_importance_is_the_mean_squared_gradient() -> None:
    weights = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([[3.0]]), "idle": torch.zeros(1)}
    found = continual.importance_of(
        weights, lambda w, batch: (w["a"] * batch).sum() + 2 * w["b"].sum(), [torch.tensor([1.0, 0.0]), torch.tensor([3.0, 1.0])]
    )
    squares = torch.tensor([10.0, 1.0, 8.0, 0.0])  # summed over two batches
    wanted = squares / squares.mean()
    assert torch.allclose(torch.cat([found["a"], found["b"][0], found["idle"]]), wanted)
    peak = continual.importance_of({"a": torch.zeros(1000)}, lambda w, batch: w["a"][0] * batch, [1.0])
    assert peak["a"].max().item() == 50
    with pytest.raises(ValueError, match="no data"):
        continual.importance_of(weights, lambda w, batch: w["a"].sum(), [])


def test_a_point_between_two_tasks_is_between_them() -> None:
    net = MAKERS["chunked"]()
    first, second = net.task_embeddings()[0], net.task_embeddings()[1]
    assert torch.equal(net(first.detach()).weights["layers.0.bias"], net(0).weights["layers.0.bias"])
    between = net(0.5 * (first + second)).weights["layers.0.bias"]
    assert not torch.equal(between, net(0).weights["layers.0.bias"])
    assert not torch.equal(between, net(1).weights["layers.0.bias"])


@pytest.mark.parametrize("kind", MAKERS)
def test_tasks_that_do_not_exist_are_refused(kind: str) -> None:
    net = MAKERS[kind]()
    for task in (3, -1):
        with pytest.raises(ValueError, match=rf"no task {task}; this hypernetwork has embeddings for the tasks 0 to 2"):
            net(task)
    with pytest.raises(ValueError, match=r"shape \(5,\); \(4,\) is expected"):
        net(torch.zeros(5))


def test_too_long_a_chain_is_refused() -> None:
    with pytest.raises(ValueError, match=r"in chunks of 2 are 129 steps; at most 64 .* chunks of 5 or more"):
        RecurrentHyperNet({"w": (257,)}, 2, 2)
    with pytest.raises(ValueError, match="at least one generated tensor"):
        ChunkedHyperNet({}, 2)


def quadratic(weights, goal: float) -> Tensor:
    """A task: all weights shall be one number."""
    return sum((tensor - goal).square().mean() for tensor in weights.values())


@pytest.mark.parametrize("look_ahead", [False, True])
@pytest.mark.parametrize("kind", MAKERS)
def test_a_second_task_is_learned_and_the_first_one_kept(kind: str, look_ahead: bool) -> None:
    fallen = {}
    for beta in (0.0, 1.0):
        torch.manual_seed(0)
        net = MAKERS[kind]()
        first = list(continual.learn(net, 0, quadratic, [0.3] * 80, beta, 0.02))
        assert first[-1].loss < 0.5 * first[0].loss
        assert all(step.drift == 0 for step in first)
        before = quadratic(net(0).weights, 0.3).item()
        second = list(continual.learn(net, 1, quadratic, [-0.3] * 80, beta, 0.02, look_ahead=look_ahead))
        assert second[-1].loss < 0.5 * second[0].loss
        assert [step.step for step in second] == list(range(80))
        assert (second[0].drift > 0) == (look_ahead and beta > 0)  # before the first step nothing has moved
        fallen[beta] = quadratic(net(0).weights, 0.3).item() - before
    assert fallen[1.0] < 0.2 * fallen[0.0]


def test_a_candidate_step_is_the_step_that_would_be_taken() -> None:
    net = MAKERS["chunked"]()
    optimiser = torch.optim.Adam(net.trainable_for(0), lr=0.01)
    for _ in range(3):  # with momenta
        optimiser.zero_grad()
        quadratic(net(0).weights, 1.0).backward()
        optimiser.step()
    before = {name: tensor.detach().clone() for name, tensor in net.shared().items()}
    found = continual.candidate_step(net, optimiser)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.shared().items())
    optimiser.step()
    for name, tensor in net.shared().items():
        assert torch.allclose(before[name] + found[name], tensor, atol=1e-7), name


def test_a_task_without_data_is_refused() -> None:
    with pytest.raises(ValueError, match="task 1 has no data"):
        list(continual.learn(MAKERS["chunked"](), 1, quadratic, []))


def test_accuracies_of_tasks_by_hand() -> None:
    nan = torch.nan
    found = TaskAccuracy(torch.tensor([[0.9, nan, nan], [0.95, 0.8, nan], [0.5, 0.7, 0.6]]))
    assert found.final == pytest.approx(0.6)
    assert found.immediate == pytest.approx((0.9 + 0.8 + 0.6) / 3)
    assert found.forgetting == pytest.approx((0.45 + 0.1) / 2)
    assert found.backward_transfer == pytest.approx((-0.4 - 0.1) / 2)
    one = TaskAccuracy(torch.tensor([[0.7]]))
    assert (one.forgetting, one.backward_transfer) == (0, 0)
    with pytest.raises(ValueError, match=r"\[N, N\]"):
        TaskAccuracy(torch.zeros(2, 3))
