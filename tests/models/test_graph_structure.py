"""Abstract graphs, their exact answers and pictures; networks on adjacency; duals; projections. Against brute force and networkx."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import combinations, pairwise, permutations
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from torch import Tensor

from models.attribution import Method, attribute
from models.capture import capture
from models.graph_structure import families, symmetry
from models.graph_structure import projection as proj
from models.graph_structure.attribution import along_edges, answer, knock_out_of_drawing, knock_out_of_network, weight_gradients
from models.graph_structure.dagnn import DAGNN, DeepGCN, normalised
from models.graph_structure.dht import (
    HyperCluster,
    HyperConv,
    HyperDrop,
    KeepBest,
    convolution_links,
    dual,
    edge_steps,
    graph_of,
    with_loops,
)
from models.graph_structure.encodings import ENCODINGS, NodeEncoder, SignInvariant, StableEncoding, encode
from models.graph_structure.generators import FAMILIES, TASKS, Range, generate, sample, split_seed
from models.graph_structure.gnn import GIN, GPS, NETWORKS, VirtualNodeGIN
from models.graph_structure.layouts import LAYOUTS, layout, with_layouts
from models.graph_structure.links import GraphBatch, Links
from models.graph_structure.node_problems import block_model
from models.graph_structure.rasteriser import EVEN, PAPER, Pen, as_input, draw, edge_coverage, to_pixels
from models.graph_structure.shyre import Candidates, Sampler, SHyRe, Verdict, count_features, rho, standardised
from models.graph_structure.truth import (
    UndecidedError,
    algebraic_connectivity,
    automorphisms,
    bridges,
    edge_betweenness,
    from_networkx,
    is_symmetric,
    laplacian,
    signed,
    spectral_gap,
    to_networkx,
    with_truth,
)
from models.graph_structure.virtual_node import (
    SetMixer,
    VirtualNode,
    attention_in_rounds,
    elu_features,
    gather,
    random_features,
    scatter,
)
from models.graph_structure.vision import SmallResNet
from models.structures import AbstractGraph, EdgeClusters, EdgeSelection, EdgeShares, Hypergraph, NodeStates, Propagation
from tests.parity import s07_graphabstract

ROOT = Path(__file__).parents[2]


def random_graph(n: int, p: float, seed: int) -> AbstractGraph:
    return from_networkx(nx.gnp_random_graph(n, p, seed=seed))


def renumbered(graph: AbstractGraph, seed: int = 0) -> tuple[AbstractGraph, Tensor]:
    """The same graph with node i called order[i]."""
    order = torch.randperm(graph.num_nodes, generator=torch.Generator().manual_seed(seed))
    return AbstractGraph.from_edges(order[graph.edges].tolist(), graph.num_nodes), order


# ------------------------------------------------------------------------------------------------------------ structures


def test_a_graph_lists_both_directions_and_every_edge_once() -> None:
    graph = AbstractGraph.from_edges([(2, 0), (1, 2), (3, 1)], 5)
    assert graph.edges.tolist() == [[0, 2], [1, 2], [1, 3]]
    assert graph.edge_index.tolist() == [[0, 1, 1, 2, 2, 3], [2, 2, 3, 0, 1, 1]]
    assert graph.degrees().tolist() == [1, 2, 2, 1, 0]
    assert graph.neighbours() == [[2], [2, 3], [0, 1], [1], []]
    assert torch.equal(graph.adjacency(), graph.adjacency().T)
    assert graph.adjacency().sum() == 6


@pytest.mark.parametrize(
    ("edges", "nodes", "said"),
    [
        ([(0, 1)], 0, "at least one node"),
        ([(0, 3)], 3, "nodes are 0 to 2"),
        ([(1, 1)], 3, "joined to itself"),
        ([(0, 1), (1, 0)], 3, "listed more than once"),
    ],
)
def test_graphs_that_are_refused(edges: list, nodes: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        AbstractGraph.from_edges(edges, nodes)


def test_pasted_names_become_numbers() -> None:
    graph, names = AbstractGraph.from_pairs([("b", "a"), ("a", 7)])
    assert names == ["b", "a", 7]
    assert graph.edges.tolist() == [[0, 1], [1, 2]]


def test_cutting_an_edge_keeps_the_rest_in_place() -> None:
    graph = with_truth(with_layouts(from_networkx(nx.cycle_graph(5)), ["circular"]))
    graph = replace(graph, edge_features=torch.arange(10.0)[:, None])
    cut = graph.without_edge(1)
    assert cut.edges.tolist() == [edge for number, edge in enumerate(graph.edges.tolist()) if number != 1]
    assert cut.edge_features is not None
    assert cut.edge_features[:, 0].tolist() == [0, 2, 3, 4, 5, 7, 8, 9]
    assert cut.truth is None
    assert torch.equal(cut.positions["circular"], graph.positions["circular"])


def test_the_dual_of_the_dual_is_the_hypergraph() -> None:
    hypergraph = Hypergraph.from_sets([(2, 0), (1,), (0, 1, 3)], 5)
    assert hypergraph.sizes().tolist() == [2, 1, 3]
    assert hypergraph.degrees().tolist() == [2, 2, 1, 1, 0]
    assert hypergraph.sets() == [(0, 2), (1,), (0, 1, 3)]
    assert torch.equal(hypergraph.dual().dense(), hypergraph.dense().T)
    assert torch.equal(hypergraph.dual().dual().incidence, hypergraph.incidence)
    with pytest.raises(ValueError, match="nodes are 0 to 1"):
        Hypergraph.from_sets([(0, 2)], 2)


# ----------------------------------------------------------------------------------------------------------------- truth


def all_symmetries(graph: AbstractGraph) -> set[tuple[int, ...]]:
    """Every permutation that keeps the edges, by trying all."""
    edges = {frozenset(edge) for edge in graph.edges.tolist()}
    return {p for p in permutations(range(graph.num_nodes)) if all(frozenset(p[v] for v in edge) in edges for edge in edges)}


def group_of(generators: list[list[int]], n: int) -> set[tuple[int, ...]]:
    """Everything that the permutations generate, by multiplying until nothing is new."""
    reached, waiting = {tuple(range(n))}, [tuple(range(n))]
    while waiting:
        p = waiting.pop()
        for q in generators:
            made = tuple(q[v] for v in p)
            if made not in reached:
                reached.add(made)
                waiting.append(made)
    return reached


@pytest.mark.parametrize("seed", range(6))
def test_automorphisms_against_all_permutations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(12):
        n = int(rng.integers(1, 7))
        graph = random_graph(n, float(rng.uniform(0.1, 0.9)), int(rng.integers(1000)))
        expected = all_symmetries(graph)
        order, generators, orbits = automorphisms(graph)
        assert order == len(expected)
        assert group_of(generators, n) == expected
        assert orbits == [min(p[v] for p in expected) for v in range(n)]
        assert is_symmetric(graph) == (order > 1)


@pytest.mark.parametrize(
    ("graph", "order"),
    [
        (nx.star_graph(30), math.factorial(30)),
        (nx.complete_bipartite_graph(4, 4), 2 * math.factorial(4) ** 2),
        (nx.disjoint_union_all([nx.cycle_graph(3)] * 5), math.factorial(5) * 6**5),
        (nx.hypercube_graph(4), 384),
        (nx.petersen_graph(), 120),
        (nx.frucht_graph(), 1),
        (nx.cycle_graph(60), 120),
        (nx.balanced_tree(2, 4), 2**15),
        (nx.line_graph(nx.complete_bipartite_graph(4, 4)), 1152),
    ],
)
def test_automorphisms_of_known_graphs(graph: nx.Graph, order: int) -> None:
    found = renumbered(from_networkx(nx.convert_node_labels_to_integers(graph)), 3)[0]
    assert automorphisms(found)[0] == order


def test_a_search_that_is_given_up_is_undecided() -> None:
    graph = from_networkx(nx.petersen_graph())
    with pytest.raises(UndecidedError):
        automorphisms(graph, budget=2)
    assert is_symmetric(graph, budget=0) is None
    truth = with_truth(graph, budget=2).truth
    assert truth is not None
    assert (truth.order, truth.orbits, truth.is_symmetric) == (None, None, None)


def test_truth_of_a_graph() -> None:
    graph = with_truth(from_networkx(nx.barbell_graph(4, 1)))
    truth = graph.truth
    assert truth is not None
    assert (truth.order, truth.is_symmetric, truth.bridges) == (72, True, 2)
    assert [edge for edge, mark in zip(graph.edges.tolist(), truth.is_bridge, strict=True) if mark] == [[3, 4], [4, 5]]
    assert truth.orbits is not None
    assert truth.orbits.tolist() == [0, 0, 0, 3, 4, 3, 0, 0, 0]
    assert truth.generators is not None
    for p in truth.generators:
        assert torch.equal(graph.adjacency()[p][:, p], graph.adjacency())
    assert torch.allclose(laplacian(graph) @ truth.fiedler, truth.spectral_gap * truth.fiedler)


@pytest.mark.parametrize("seed", range(8))
def test_spectrum_and_bridges_against_networkx(seed: int) -> None:
    graph = random_graph(14, 0.16, seed)
    made = to_networkx(graph)
    assert spectral_gap(graph)[0] == pytest.approx(sorted(nx.normalized_laplacian_spectrum(made))[1], abs=1e-9)
    assert algebraic_connectivity(graph) == pytest.approx(sorted(nx.laplacian_spectrum(made))[1], abs=1e-9)
    pieces = nx.number_connected_components(made)
    for number, edge in enumerate(graph.edges.tolist()):
        cut = made.copy()
        cut.remove_edge(*edge)
        assert bool(bridges(graph)[number]) == (nx.number_connected_components(cut) > pieces)


def test_betweenness_counts_pairs_of_nodes() -> None:
    graph = from_networkx(nx.path_graph(5))
    assert edge_betweenness(graph).tolist() == pytest.approx([4 / 10, 6 / 10, 6 / 10, 4 / 10])  # of ten pairs


@pytest.mark.parametrize("made", [nx.karate_club_graph(), nx.disjoint_union(nx.grid_2d_graph(4, 5), nx.star_graph(4)), nx.empty_graph(3)])
def test_betweenness_agrees_with_networkx(made: nx.Graph) -> None:
    made = nx.convert_node_labels_to_integers(made)
    expected = {frozenset(edge): value for edge, value in nx.edge_betweenness_centrality(made).items()}
    graph = from_networkx(made)
    assert edge_betweenness(graph).tolist() == pytest.approx([expected[frozenset(edge)] for edge in graph.edges.tolist()])


def test_a_graph_in_pieces_has_no_gap() -> None:
    assert spectral_gap(AbstractGraph.from_edges([(0, 1)], 3))[0] == pytest.approx(0, abs=1e-12)
    assert spectral_gap(AbstractGraph.from_edges([], 1))[0] == 0


def test_eigenvectors_get_one_sign() -> None:
    vectors = torch.tensor([[0.5, -0.9], [-0.7, 0.1], [0.7, 0.9]])
    assert torch.equal(signed(vectors), vectors * -1)
    assert torch.equal(signed(-vectors), signed(vectors))


# ------------------------------------------------------------------------------------------------------------ generators


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("nodes", [36, 90])
def test_every_family_is_connected_and_about_as_large_as_asked(family: str, nodes: int) -> None:
    for seed in range(3):
        graph = generate(family, nodes, np.random.default_rng(seed))
        assert nx.is_connected(to_networkx(graph))
        assert abs(graph.num_nodes - nodes) <= (0 if family in TASKS["topology"].classes else nodes // 5)
        assert graph.family == family


@pytest.mark.parametrize("task", TASKS)
def test_a_sample_depends_on_its_place_alone(task: str) -> None:
    first = [sample(task, "near", index) for index in range(4)]
    again = [sample(task, "near", index) for index in reversed(range(4))][::-1]
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a.graph.edge_index, b.graph.edge_index)
        assert a.target == b.target
    other = sample(task, "near", 0, seed=1)
    assert not torch.equal(other.graph.edge_index, first[0].graph.edge_index)


def test_no_two_splits_share_a_seed() -> None:
    seeds = [split_seed(task, split, seed) for task in TASKS for split in TASKS[task].bands for seed in range(3)]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("split", ["train", "far"])
def test_answers_are_exact(split: str) -> None:
    for index in range(6):
        drawn = sample("topology", split, index)
        assert drawn.graph.family == TASKS["topology"].classes[int(drawn.target)] == TASKS["topology"].classes[index]
    for index in range(10):
        drawn = sample("symmetry", split, index)
        assert drawn.target == index % 2 == int(automorphisms(drawn.graph)[0] > 1)
    for index in range(5):
        drawn = sample("bridges", split, index)
        assert drawn.target == len(list(nx.bridges(to_networkx(drawn.graph))))
        drawn = sample("gap", split, index)
        assert drawn.target == pytest.approx(sorted(nx.normalized_laplacian_spectrum(to_networkx(drawn.graph)))[1], abs=1e-9)


@pytest.mark.parametrize("task", TASKS)
def test_sizes_of_the_bands(task: str) -> None:
    for split, band in TASKS[task].bands.items():
        for index in range(6):
            assert band.least <= sample(task, split, index).graph.num_nodes <= band.most
    assert TASKS["symmetry"].bands["far"].most == 150
    assert (TASKS["symmetry"].bands["train"].least, TASKS["topology"].bands["train"].least) == (30, 20)


def golden_statistics(folder: Path) -> dict:
    """The stored ranges, for samples of a third of the size."""
    content = json.loads((folder / "S07-generator-stats.json").read_text())
    for cell in content["stats"].values():
        cell["count"] //= 3
    return content


def test_generators_against_another_implementation(golden_dir: Path) -> None:
    content = golden_statistics(golden_dir)
    missed = [check for check in s07_graphabstract.statistics(content) if not check.ok]
    assert missed == []


def test_a_generator_that_is_off_would_be_noticed(golden_dir: Path) -> None:
    content = golden_statistics(golden_dir)
    content["stats"] = {"train/community": content["stats"]["train/community"]}
    for quantity in ("mean_degree", "clustering", "spectral_gap"):
        content["stats"]["train/community"][quantity][0] *= 1.8
    missed = {check.quantity.split()[-1] for check in s07_graphabstract.statistics(content) if not check.ok}
    assert missed == {"mean_degree", "clustering", "spectral_gap"}


def test_predicting_the_mean_is_as_bad_as_it_should_be() -> None:
    gaps = np.array([sample("gap", "train", index).target for index in range(160)])
    assert np.abs(gaps - gaps.mean()).mean() == pytest.approx(0.18, abs=0.03)


def test_node_numbers_say_nothing_about_the_group() -> None:
    graph = generate("community", 48, np.random.default_rng(0), groups=4, within=0.8, between=0.01)
    apart = (graph.edges[:, 1] - graph.edges[:, 0]).float()
    assert apart.mean() == pytest.approx(49 / 3, abs=3)  # of two random numbers below 48; in groups of 12 it would be 4


def test_parameters_are_followed() -> None:
    rng = np.random.default_rng(1)
    for _ in range(5):
        assert bridges(generate("bottleneck", 40, rng, groups=4, within=0.6, width=1)).sum() >= 3
        assert bridges(generate("bottleneck", 40, rng, groups=2, within=0.6, width=3)).sum() <= 2
        assert bridges(generate("cyclic", 20, rng)).sum() == 0
    levels = families.hierarchical(40, rng, 4)
    assert max(dict(levels.degree).values()) >= 6
    widths = {int(bridges(generate("bottleneck", 60, rng, groups=4, within=0.6)).sum()) for _ in range(12)}
    assert len(widths) > 1  # the width of each passage is drawn anew


def test_ranges_hold_what_they_promise() -> None:
    rng = np.random.default_rng(0)
    assert {Range(1, 3).draw(rng) for _ in range(50)} == {1, 2, 3}
    pieces = [Range(0.0, 0.8, ((0.4, 0.0, 0.2), (0.6, 0.5, 0.8))).draw(rng) for _ in range(400)]
    assert all(value is not None and (value <= 0.2 or value >= 0.5) for value in pieces)
    assert np.mean([value is not None and value <= 0.2 for value in pieces]) == pytest.approx(0.4, abs=0.08)
    assert Range(1, 3, anew=True).draw(rng) is None


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: generate("ring", 30, np.random.default_rng(0)), "no family 'ring'; choose one of cyclic"),
        (lambda: generate("cyclic", 5, np.random.default_rng(0)), "at least 12"),
        (lambda: generate("cyclic", 30, np.random.default_rng(0), width=2), "it has inner, thickness, radius"),
        (lambda: generate("bottleneck", 30, np.random.default_rng(0), groups=9), "between 2 and 4"),
        (lambda: sample("colour", "train", 0), "no task 'colour'; choose one of topology"),
        (lambda: sample("gap", "test", 0), "no split 'test'; choose one of train"),
        (lambda: sample("gap", "train", -1), "must not be negative"),
    ],
)
def test_generators_refuse(call, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()


@pytest.mark.parametrize("name", symmetry.SYMMETRIC)
def test_symmetric_by_construction(name: str) -> None:
    for seed in range(4):
        assert symmetry.symmetric(symmetry.SYMMETRIC[name](40, np.random.default_rng(seed)))


@pytest.mark.parametrize("name", symmetry.ASYMMETRIC)
def test_asymmetric_by_construction(name: str) -> None:
    for seed in range(3):
        assert symmetry.symmetric(symmetry.ASYMMETRIC[name](48, np.random.default_rng(seed))) is False


def test_a_swap_keeps_every_degree_and_the_connection() -> None:
    rng, graph = np.random.default_rng(0), nx.circulant_graph(20, [1, 3])
    before = [graph.degree[node] for node in range(20)]
    edges = set(map(frozenset, graph.edges))
    assert sum(symmetry.swap_edges(graph, rng) for _ in range(20)) > 5
    assert [graph.degree[node] for node in range(20)] == before
    assert set(map(frozenset, graph.edges)) != edges
    assert nx.is_connected(graph)


def test_stand_ins_for_real_graphs() -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        for size in (5, 13, 30):
            molecule, citation = symmetry.molecule_like(size, rng), symmetry.citation_like(size, rng)
            assert len(molecule) == len(citation) == size
            assert nx.is_connected(molecule)
            assert nx.is_connected(citation)
            assert max(dict(molecule.degree).values()) <= 4


def test_covers_are_the_known_graphs() -> None:
    assert nx.is_isomorphic(symmetry.tensor_cover(nx.complete_graph(4), 2), nx.hypercube_graph(3))
    assert nx.is_isomorphic(symmetry.tensor_cover(nx.petersen_graph(), 2), nx.desargues_graph())
    assert nx.is_isomorphic(symmetry.tensor_cover(nx.path_graph(3), 3), nx.tensor_product(nx.path_graph(3), nx.cycle_graph(3)))


# --------------------------------------------------------------------------------------------------- layouts and pictures


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_are_centred_scaled_and_repeatable(name: str) -> None:
    graph = sample("topology", "train", 1).graph
    places = layout(graph, name)
    assert places.shape == (graph.num_nodes, 2)
    assert torch.allclose(places.amax(0), -places.amin(0), atol=1e-5)
    assert (places.amax(0) - places.amin(0)).max().item() == pytest.approx(2, abs=1e-5)
    assert torch.equal(places, layout(graph, name))
    for small in (1, 2):
        assert torch.isfinite(layout(from_networkx(nx.path_graph(small)), name)).all()


def test_kamada_kawai_is_that_of_networkx() -> None:
    graph = sample("topology", "train", 4).graph
    found = nx.kamada_kawai_layout(to_networkx(graph))
    theirs = np.stack([found[node] for node in range(graph.num_nodes)])
    theirs = theirs - (theirs.max(0) + theirs.min(0)) / 2
    assert np.allclose(layout(graph, "kamada-kawai").numpy(), theirs * 2 / (theirs.max(0) - theirs.min(0)).max(), atol=1e-3)


def test_the_spectral_layout_shows_eigenvectors() -> None:
    graph = from_networkx(nx.lollipop_graph(5, 4))
    for axis in layout(graph, "spectral").double().T:
        centred = axis - axis.mean()  # the layout is shifted; eigenvectors have mean 0
        image = laplacian(graph, normalised=False) @ centred
        assert torch.allclose(image, centred * (image @ centred) / (centred @ centred), atol=1e-5)


@pytest.mark.parametrize("name", ["kamada-kawai", "spectral"])
def test_graphs_in_pieces_are_not_laid_out(name: str) -> None:
    with pytest.raises(ValueError, match=r"2 pieces.*please connect"):
        layout(AbstractGraph.from_edges([(0, 1), (2, 3)], 4), name)


def test_layouts_refuse() -> None:
    with pytest.raises(ValueError, match="choose one of kamada-kawai"):
        layout(from_networkx(nx.path_graph(3)), "planar")
    with pytest.raises(ValueError, match="up to 300 and 12000"):
        layout(from_networkx(nx.path_graph(301)), "circular")
    with pytest.raises(ValueError, match="up to 300 and 12000"):
        layout(from_networkx(nx.complete_graph(156)), "circular")


def test_coverage_is_the_length_of_the_edges() -> None:
    graph = sample("topology", "near", 3).graph
    pixels = to_pixels(layout(graph, "circular").numpy(), 64)
    ends = pixels[graph.edges.numpy()]
    assert edge_coverage(pixels, graph.edges.numpy(), 64).sum() == pytest.approx(
        np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1).sum(), rel=1e-4
    )
    line = edge_coverage(np.array([[3.0, 5.5], [9.0, 5.5]]), np.array([[0, 1]]), 16)  # along the centres of row 5
    assert np.allclose(line[5, 4:8], 1, atol=0.1)
    assert np.allclose(np.delete(line, 5, 0), 0)


def test_the_picture_fills_the_frame_and_its_colours_are_known() -> None:
    drawing = draw(from_networkx(nx.path_graph(2)), np.array([[-1.0, 0.0], [1.0, 0.0]]), 64)
    assert drawing.positions.tolist() == pytest.approx(np.array([[4.48, 32.0], [59.52, 32.0]]), abs=1e-4)
    assert drawing.image.dtype == torch.uint8
    assert drawing.image[0, 0].tolist() == [13, 15, 23]
    assert drawing.image[32, 4].tolist() == pytest.approx([135, 206, 235], abs=8)
    line = drawing.image[31:33, 20:40].float().mean(2)
    assert line.min() > 80  # half of the line in each of two rows


def test_the_even_pen_makes_large_graphs_as_dark_as_small_ones() -> None:
    inks: dict[bool, list[float]] = {True: [], False: []}
    for nodes in (20, 120):
        graph = generate("cyclic", nodes, np.random.default_rng(0))
        places = layout(graph, "kamada-kawai")
        for even in inks:
            drawing = draw(graph, places, 64, Pen(even=even))
            ink = 1 - torch.exp(-drawing.gain * drawing.coverage)
            inks[even].append(ink[drawing.coverage > 0.05].mean().item())
    assert max(inks[True]) < 1.3 * min(inks[True])
    assert max(inks[False]) > 1.3 * min(inks[False])


def test_gain_and_radius_follow_their_formulas() -> None:
    graph = generate("geometric", 60, np.random.default_rng(0))
    places = layout(graph, "circular")
    drawing = draw(graph, places, 64)
    inked = drawing.coverage[drawing.coverage > 0.05].mean().item()
    assert drawing.gain == pytest.approx(0.9 / max(inked, 0.45), rel=1e-5)
    assert drawing.radius == pytest.approx(64 * 0.16 / math.sqrt(60))
    assert draw(graph, places, 64, Pen(disc=0.01)).radius == 0.6
    assert draw(graph, places, 64, PAPER).radius == pytest.approx(1.92)
    assert draw(graph, places, 64, replace(EVEN, gain=2.0)).gain == pytest.approx(2 * drawing.gain)


def test_discs_have_the_area_of_their_radius() -> None:
    lone = AbstractGraph.from_edges([], 1)
    drawing = draw(lone, np.zeros((1, 2)), 64)
    light = drawing.image[..., 0].float() - 13
    assert (light.sum() / (135 - 13)).item() == pytest.approx(math.pi * drawing.radius**2, rel=0.1)


def test_the_picture_does_not_know_the_node_numbers() -> None:
    graph = generate("multicore", 40, np.random.default_rng(2))
    places = layout(graph, "spectral")
    other, order = renumbered(graph)
    moved = torch.empty_like(places)
    moved[order] = places
    off = draw(graph, places).image.int() - draw(other, moved).image.int()
    assert off.abs().max() <= 1  # sums in another order


def test_a_quarter_turn_turns_the_picture() -> None:
    graph = generate("bottleneck", 30, np.random.default_rng(2))
    places = layout(graph, "kamada-kawai")
    turned = draw(graph, places, 64, Pen(turn=math.pi / 2)).image.float()
    assert (turned - draw(graph, places).image.rot90(-1, (0, 1)).float()).abs().mean() < 2


@pytest.mark.parametrize(
    ("places", "side", "said"), [(np.zeros((2, 2)), 64, "finite"), (np.full((3, 2), np.nan), 64, "finite"), (np.zeros((3, 2)), 8, "16")]
)
def test_drawings_that_are_refused(places: np.ndarray, side: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        draw(from_networkx(nx.path_graph(3)), places, side)


@torch.no_grad()
def test_the_small_resnet_has_the_published_size_and_sees_what_the_visitor_sees() -> None:
    model = SmallResNet(6).eval()
    assert sum(p.numel() for p in model.parameters()) == 309_078
    assert {name.split(".")[0] for name in model.state_dict()} == {"stem", "body", "head"}
    assert {name.split(".")[2] for name in model.state_dict() if name.startswith("body.1.")} == {"c1", "b1", "c2", "b2", "sk"}
    graph = generate("cyclic", 30, np.random.default_rng(0))
    picture = draw(graph, layout(graph, "circular")).image
    x = as_input(picture[None])
    assert x.shape == (1, 3, 64, 64)
    assert torch.allclose(x[0, :, 0, 0], torch.tensor([(13 / 255 - 0.25) / 0.3, (15 / 255 - 0.25) / 0.3, (23 / 255 - 0.25) / 0.3]))
    with capture(model) as trace:
        assert model(x).shape == (1, 6)
    assert not trace.structures
    assert model.body(model.stem(x)).shape == (1, 128, 4, 4)
    with pytest.raises(ValueError, match="at least 16"):
        model(x[..., :8, :8])


# ------------------------------------------------------------------------------------------------------- message passing


def test_links_against_a_dense_matrix() -> None:
    torch.manual_seed(0)
    source, target, weight = torch.randint(6, (15,)), torch.randint(4, (15,)), torch.rand(15, dtype=torch.float64)
    links, order = Links.of(source, target, 6, 5)  # target 4 gets nothing
    dense = torch.zeros(5, 6, dtype=torch.float64).index_put((target, source), weight, accumulate=True)
    x = torch.randn(6, 3, dtype=torch.float64)
    assert torch.allclose(links.sum(x, weight[order]), dense @ x)
    count = torch.zeros(5, 6, dtype=torch.float64).index_put((target, source), torch.ones(15, dtype=torch.float64), accumulate=True)
    assert torch.allclose(links.sum(x), count @ x)
    assert torch.allclose(links.mean(x)[:4], (count @ x)[:4] / count[:4].sum(1, keepdim=True))
    assert links.mean(x)[4].eq(0).all()
    assert links.largest(x)[4].eq(0).all()
    assert torch.equal(links.largest(x)[0], x[source[target == 0]].amax(0))
    shares = links.softmax(50 * torch.randn(15, 2, dtype=torch.float64))
    assert torch.allclose(
        torch.zeros(5, 2, dtype=torch.float64).index_add(0, links.target, shares)[:4], torch.ones(4, 2, dtype=torch.float64)
    )


def test_gradients_of_links() -> None:
    torch.manual_seed(0)
    links, _ = Links.of(torch.randint(5, (6,)), torch.randint(4, (6,)), 5, 4)
    x = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: links.sum(a, b), (x, weight))
    assert torch.autograd.gradcheck(lambda a: links.sum(a), (x,))


GRAPHS = [generate(family, 14 + 5 * i, np.random.default_rng(i)) for i, family in enumerate(("cyclic", "multicore", "bottleneck"))]


def network(name: str, **settings) -> torch.nn.Module:
    """A network with weights and running statistics that are not those of the start."""
    torch.manual_seed(0)
    made = NETWORKS[name](4, hidden=16, **settings)
    batch = batch_of(GRAPHS)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for _ in range(3):
            made.train()(batch)
    return made.eval()


def batch_of(graphs: list[AbstractGraph], size: int = 16) -> GraphBatch:
    return GraphBatch.of(graphs, [encode(graph, size) for graph in graphs])


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("encoding", [None, *ENCODINGS])
@torch.no_grad()
def test_a_graph_gets_the_same_answer_in_any_company(name: str, encoding: str | None) -> None:
    made = network(name, encoding=encoding)
    together = made(batch_of(GRAPHS))
    assert together.shape == (3, 4)
    alone = torch.cat([made(batch_of([graph])) for graph in GRAPHS])
    assert torch.allclose(together, alone, atol=1e-4)
    assert (together[0] - together[1]).abs().max() > 1e-4


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("encoding", [None, "random-walk", "signnet", "spe"])
@torch.no_grad()
def test_networks_do_not_know_the_node_numbers(name: str, encoding: str | None) -> None:
    made = network(name, encoding=encoding)
    graph = from_networkx(nx.gnp_random_graph(18, 0.3, seed=2))
    if encoding == "signnet":  # which is free of signs, not of the basis of a repeated eigenvalue
        assert encode(graph, 17)["eigenvalues"].diff().min() > 1e-3
    other = renumbered(graph, 5)[0]
    assert torch.allclose(made(batch_of([graph])), made(batch_of([other])), atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_of_edges(name: str) -> None:
    made = network(name)
    batch = batch_of(GRAPHS)
    weight = torch.ones(sum(graph.num_edges for graph in GRAPHS), requires_grad=True)
    weighted = made(replace(batch, edge_weight=weight))
    assert torch.allclose(weighted, made(batch), atol=1e-5)
    (gradient,) = torch.autograd.grad(weighted[0].square().sum(), weight)
    own = torch.arange(len(weight)) < GRAPHS[0].num_edges
    assert (gradient[own] != 0).any()
    assert (gradient[~own] == 0).all()  # another graph's edges do not count


@torch.no_grad()
def test_an_edge_of_weight_zero_is_no_edge() -> None:
    made = network("gin", features="constant")
    graph = GRAPHS[0]
    weight = torch.ones(graph.num_edges)
    weight[3] = 0
    silent = made(replace(batch_of([graph]), edge_weight=weight))
    assert torch.allclose(silent, made(batch_of([graph.without_edge(3)])), atol=1e-5)
    assert not torch.allclose(silent, made(batch_of([graph])), atol=1e-5)


def test_gin_has_the_published_size() -> None:
    assert sum(p.numel() for p in GIN(6).parameters()) == 113_673
    assert {name.split(".")[0] for name in GIN(6).state_dict()} == {"mlps", "eps", "head"}
    assert sum(p.numel() for p in GIN(6, encoding="laplacian").parameters()) == 113_673 + 16 * 128


@torch.no_grad()
def test_gin_is_its_formula() -> None:
    graph, made = GRAPHS[0], network("gin", layers=2, features="constant")
    x = torch.ones(graph.num_nodes, 1)
    for layer, mlp in enumerate(made.mlps):
        x = mlp((1 + made.eps[layer]) * x + graph.adjacency() @ x)
    assert torch.allclose(made(batch_of([graph])), made.head(x.mean(0, keepdim=True)), atol=1e-5)


@torch.no_grad()
def test_gcn_is_its_formula() -> None:
    graph, made = GRAPHS[1], network("gcn", layers=2)
    a = graph.adjacency() + torch.eye(graph.num_nodes)
    a = a / a.sum(0).sqrt() / a.sum(1, keepdim=True).sqrt()
    x = made.encoder(batch_of([graph]))
    for conv, norm in zip(made.convs, made.norms, strict=True):
        x = norm(a @ conv.lin(x) + conv.bias).relu()
    assert torch.allclose(made(batch_of([graph])), made.head(x.mean(0, keepdim=True)), atol=1e-4)


@torch.no_grad()
def test_what_a_network_shows() -> None:
    with capture(network("gat")) as trace:
        network("gat")(batch_of(GRAPHS))
    assert not trace.structures  # another instance
    made = network("gat")
    with capture(made) as trace:
        made(batch_of(GRAPHS))
    states = trace.of(NodeStates)
    assert list(states) == ["stages.0", "stages.1", "stages.2"]
    nodes = sum(graph.num_nodes for graph in GRAPHS)
    assert states["stages.2"].values.shape == (nodes, 16)
    for seen in trace.of(EdgeShares).values():
        total = torch.zeros(nodes, 4).index_add(0, seen.edge_index[1], seen.share)
        assert torch.allclose(total, torch.ones(nodes, 4))
        assert seen.edge_index.shape[1] == 2 * sum(graph.num_edges for graph in GRAPHS) + nodes


@torch.no_grad()
def test_attention_stays_inside_its_graph_and_the_set_mixer_is_rank_one() -> None:
    made = network("gps")
    far = batch_of([GRAPHS[0], GRAPHS[2]])
    assert torch.allclose(made(far)[0], made(batch_of([GRAPHS[0]]))[0], atol=1e-4)
    mixer = SetMixer(6).eval()
    x = torch.randn(len(far.graph), 6)
    added = x @ mixer.common.weight.T
    expected = torch.cat([added[far.graph == g].mean(0).expand(int(far.sizes[g]), -1) for g in range(2)])
    assert torch.allclose(mixer(x, far), mixer.norm((mixer.own(x) + expected).relu()), atol=1e-5)
    assert GPS(2, everywhere="set", hidden=16)(far).shape == (2, 2)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: GIN(2, encoding="cosine"), "choose None or one of laplacian"),
        (lambda: GIN(2, features="colour"), "'degree' or 'constant'"),
        (lambda: NETWORKS["gat"](2, hidden=10), "multiple of the 4 heads"),
        (lambda: GPS(2, everywhere="nowhere"), "'attention' or 'set'"),
        (lambda: VirtualNodeGIN(2, pool="max"), "'sum' or 'mean'"),
        (lambda: GIN(2, encoding="laplacian")(GraphBatch.of(GRAPHS)), r"needs GraphBatch.of"),
        (lambda: GraphBatch.of([]), "at least one graph"),
        (lambda: VirtualNodeGIN(2, hidden=8).train()(GraphBatch.of(GRAPHS[:1])), "at least two graphs"),
    ],
)
def test_networks_refuse(call, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()


# ----------------------------------------------------------------------------------------------------------- attribution


@torch.no_grad()
def outspoken(name: str, **settings) -> torch.nn.Module:
    """A network whose answers to three graphs differ: logits of mean 0 and spread 1."""
    made = network(name, **settings)
    spread, mean = torch.std_mean(made(batch_of(GRAPHS)), 0)
    made.head[-1].weight.div_(spread[:, None])
    made.head[-1].bias.sub_(mean).div_(spread)
    return made


@pytest.mark.parametrize("encoding", [None, "laplacian"])
@torch.no_grad()
def test_knocking_out_an_edge_is_the_answer_without_it(encoding: str | None) -> None:
    made, graph = outspoken("gin", encoding=encoding), GRAPHS[2]
    found = knock_out_of_network(made.train(), graph, 1)
    assert made.training  # as it was before
    made.eval()

    def asked(one: AbstractGraph) -> Tensor:
        return made(batch_of([one])).softmax(1)[0, 1]

    expected = torch.stack([asked(graph) - asked(graph.without_edge(edge)) for edge in range(graph.num_edges)])
    assert torch.allclose(found.values, expected, atol=1e-5)
    assert expected.abs().max() > 1e-3
    some = knock_out_of_network(made, graph, 1, [3, 0])
    assert some.values.isfinite().nonzero()[:, 0].tolist() == [0, 3]
    assert torch.allclose(some.values[[0, 3]], expected[[0, 3]], atol=1e-5)
    with pytest.raises(ValueError, match="does not exist"):
        knock_out_of_network(made, graph, 1, [graph.num_edges])


@torch.no_grad()
def test_knocking_out_an_edge_of_a_drawing_draws_the_rest_again() -> None:
    torch.manual_seed(0)
    graph, model = GRAPHS[0], SmallResNet(6).eval()
    places = layout(graph, "kamada-kawai")
    found = knock_out_of_drawing(model, graph, places, 2, edges=[1, 4])

    def asked(one: AbstractGraph) -> Tensor:
        return model(as_input(draw(one, places).image[None])).softmax(1)[0, 2]

    for edge in (1, 4):
        assert found.values[edge].item() == pytest.approx((asked(graph) - asked(graph.without_edge(edge))).item(), abs=1e-5)
    assert found.values.isnan().sum() == graph.num_edges - 2
    number = SmallResNet(1).eval()
    assert answer(number(as_input(draw(graph, places).image[None])), 0).shape == (1,)


@pytest.mark.parametrize("name", ["gin", "gcn", "gat"])
def test_integrated_gradients_add_up_to_the_change_of_the_answer(name: str) -> None:
    made, graph = outspoken(name), GRAPHS[1]
    found = weight_gradients(made, graph, 3, steps=256)
    batch = batch_of([graph])
    with torch.no_grad():
        silent, whole = (answer(made(replace(batch, edge_weight=torch.full((graph.num_edges,), w))), 3).item() for w in (0.0, 1.0))
    assert found.values.sum().item() == pytest.approx(whole - silent, rel=0.02)
    assert abs(whole - silent) > 0.05
    with pytest.raises(ValueError, match="at least 1"):
        weight_gradients(made, graph, 2, steps=0)


@pytest.mark.parametrize("method", ["grad-cam", "integrated gradients"])
def test_maps_of_the_vision_model_can_be_read_along_the_edges(method: Method) -> None:
    torch.manual_seed(0)
    graph, model = GRAPHS[1], SmallResNet(6).eval()
    drawing = draw(graph, layout(graph, "circular"))
    found = attribute(model, as_input(drawing.image[None]), 2, method, layer=model.body[2])
    assert found.map.shape == ((8, 8) if method == "grad-cam" else (64, 64))
    on_edges = along_edges(found.map, drawing, graph)
    assert on_edges.shape == (graph.num_edges,)
    assert on_edges.min() >= 0
    assert on_edges.max() > 0


def test_a_map_is_read_along_the_edges() -> None:
    graph = AbstractGraph.from_edges([(0, 1), (2, 3)], 4)
    drawing = draw(graph, np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), 64)
    rows = torch.zeros(64, 64)
    rows[:32] = -2  # the upper half
    assert along_edges(rows, drawing, graph).tolist() == pytest.approx([2, 0])
    coarse = torch.tensor([[1.0, 3.0], [5.0, 5.0]])
    upper, lower = along_edges(coarse, drawing, graph).tolist()
    assert upper == pytest.approx(2, abs=0.35)
    assert lower == pytest.approx(5, abs=0.35)
    columns = torch.arange(64.0).expand(64, 64)  # rises from left to right: the mean is at the middle
    assert along_edges(columns, drawing, graph).tolist() == pytest.approx([31.5, 31.5], abs=0.5)


# ------------------------------------------------------------------------------------------------------------- encodings


def test_encodings_of_a_graph() -> None:
    graph = generate("community", 20, np.random.default_rng(0))
    found = encode(graph, 16)
    values, vectors = found["eigenvalues"].double(), found["eigenvectors"].double()
    assert torch.allclose(laplacian(graph) @ vectors, vectors * values, atol=1e-5)
    assert torch.allclose(vectors.T @ vectors, torch.eye(16, dtype=torch.float64), atol=1e-5)
    walk, power = graph.adjacency() / graph.degrees()[:, None], torch.eye(20)
    for step in range(16):
        power = power @ walk
        assert torch.allclose(found["returns"][:, step], power.diagonal(), atol=1e-5)


def test_small_graphs_are_padded() -> None:
    found = encode(from_networkx(nx.path_graph(3)), 16)
    assert found["eigenvectors"].shape == (3, 16)
    assert found["eigenvectors"][:, 2:].eq(0).all()
    assert encode(AbstractGraph.from_edges([], 1), 4)["returns"].eq(0).all()


@torch.no_grad()
def test_signs_are_flipped_in_training_only_and_signnet_ignores_them() -> None:
    batch = batch_of(GRAPHS)
    encoder = NodeEncoder("constant", "laplacian")
    assert torch.equal(encoder.eval()(batch)[:, 1:], batch.encodings["eigenvectors"])
    torch.manual_seed(0)
    flipped = encoder.train()(batch)[:, 1:]
    assert torch.equal(flipped.abs(), batch.encodings["eigenvectors"].abs())
    ratio = flipped / batch.encodings["eigenvectors"].where(batch.encodings["eigenvectors"] != 0, torch.nan)
    for graph in range(3):
        signs = ratio[batch.graph == graph]
        assert torch.equal(signs.nanmean(0).abs().nan_to_num(1), torch.ones(16))  # one sign per graph and vector
    assert (ratio == -1).any()
    assert (ratio == 1).any()
    other = replace(batch, encodings={**batch.encodings, "eigenvectors": flipped})
    module = SignInvariant(16)
    assert torch.allclose(module(batch), module(other), atol=1e-5)


@torch.no_grad()
def test_the_stable_encoding_does_not_depend_on_the_basis() -> None:
    graph = from_networkx(nx.cycle_graph(12))  # every eigenvalue but two is double
    found = encode(graph, 4)
    angle = torch.tensor(0.7)
    turn = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    turned = torch.cat([found["eigenvectors"][:, :2] @ turn, found["eigenvectors"][:, 2:]], 1)
    module = StableEncoding(4)
    plain, other = (module(GraphBatch.of([graph], [{**found, "eigenvectors": v}])) for v in (found["eigenvectors"], turned))
    assert torch.allclose(plain, other, atol=1e-5)
    assert not torch.allclose(plain, module(GraphBatch.of([graph], [{**found, "eigenvectors": 2 * turned}])), atol=1e-5)


# ---------------------------------------------------------------------------------------------------------- virtual node


def qkv(n: int = 40, d: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(n, d, dtype=torch.float64, generator=generator) for _ in range(3))  # type: ignore[return-value]


@pytest.mark.parametrize("features", [elu_features, random_features(8, 64, torch.Generator().manual_seed(0))])
def test_linear_attention_is_one_round_through_the_virtual_node(features) -> None:
    q, k, v = qkv()
    kernel = features(q) @ features(k).T
    expected = kernel / kernel.sum(1, keepdim=True) @ v
    assert torch.allclose(scatter(q, *gather(k, v, features), features), expected, atol=1e-12)


def test_softmax_attention_takes_all_rounds() -> None:
    q, k, v = qkv()
    expected = (q @ k.T / 8**0.5).softmax(1) @ v
    errors = [((out - expected).norm() / expected.norm()).item() for out in attention_in_rounds(q, k, v)]
    assert len(errors) == 40
    assert errors[-1] < 1e-12
    assert min(errors[:-1]) > 1e-3
    assert errors[9] > errors[29]


def test_rounds_do_not_overflow() -> None:
    q, k, v = (x.float() for x in qkv())
    *_, last = attention_in_rounds(100 * q, 100 * k, v)
    assert torch.allclose(last, (1e4 * q @ k.T / 8**0.5).softmax(1) @ v, atol=1e-4)


def test_random_features_approach_softmax_for_short_keys() -> None:
    q, k, v = (0.3 * x for x in qkv())
    expected = (q @ k.T / 8**0.5).softmax(1) @ v
    few, many = (random_features(8, m, torch.Generator().manual_seed(0)) for m in (16, 4096))
    error = [(scatter(q, *gather(k, v, f), f) - expected).norm().item() for f in (few, many)]
    assert error[1] < error[0] / 4


@torch.no_grad()
def test_the_virtual_node_gathers_once_per_graph() -> None:
    batch = GraphBatch.of(GRAPHS)
    node = VirtualNode(5, 1, 0.5, residual=True).eval()
    x, state = torch.randn(len(batch.graph), 5), torch.randn(3, 5)
    expected = torch.stack([node.mlps[0]((x[batch.graph == g].sum(0) + state[g])[None])[0] + state[g] for g in range(3)])
    assert torch.allclose(node(0, x, state, batch), expected, atol=1e-5)
    assert node.first(batch).eq(0).all()
    mean = VirtualNode(5, 1, 0.5, pool="mean").eval()
    mean.load_state_dict(node.state_dict())
    assert not torch.allclose(mean(0, x, state, batch) + state, expected, atol=1e-3)


# ----------------------------------------------------------------------------------------------------------------- dagnn


@torch.no_grad()
def test_dagnn_is_its_formula() -> None:
    torch.manual_seed(0)
    graph, model = GRAPHS[2], DAGNN(6, 3, hidden=8, steps=4).eval()
    x = torch.randn(graph.num_nodes, 6)
    a = graph.adjacency() + torch.eye(graph.num_nodes)
    a = a / a.sum(0).sqrt() / a.sum(1, keepdim=True).sqrt()
    hops = [model.lin2(model.lin1(x).relu())]
    for _ in range(4):
        hops.append(a @ hops[-1])
    out = sum(hop * (hop @ model.prop.proj.weight.T + model.prop.proj.bias).sigmoid() for hop in hops)
    with capture(model) as trace:
        assert torch.allclose(model(x, graph.edge_index), out.log_softmax(1), atol=1e-5)
    (seen,) = trace.of(Propagation).values()
    assert torch.allclose(seen.hops, torch.stack(hops, 1), atol=1e-5)


def test_loops_are_kept_and_not_doubled_and_lone_nodes_stand() -> None:
    x = torch.eye(3)
    edges = torch.tensor([[0, 1, 0], [1, 0, 0]])
    links, weight = normalised(x, edges)
    dense = torch.zeros(3, 3).index_put((links.target, links.source), weight, accumulate=True)
    assert torch.allclose(dense, torch.tensor([[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1.0]]))


@torch.no_grad()
def test_deep_propagation_ends_in_one_direction() -> None:
    """Â^k → ψψᵀ with ψ_i = √(d_i / Σd)."""
    graph = GRAPHS[1]
    links, weight = normalised(torch.eye(graph.num_nodes), graph.edge_index)
    x = torch.eye(graph.num_nodes, dtype=torch.float64)
    for _ in range(3000):
        x = links.sum(x, weight.double())
    psi = ((graph.degrees() + 1) / (graph.degrees() + 1).sum()).double().sqrt()
    assert torch.allclose(x, torch.outer(psi, psi), atol=1e-4)


def test_roughness_is_the_mean_distance_of_directions_and_falls_with_the_hops() -> None:
    rows = torch.tensor([[3.0, 0.0], [0.0, 0.5], [-1.0, 0.0]])
    found = Propagation(torch.stack([rows, rows.abs(), torch.ones(3, 2)], 1), torch.ones(3, 3)).roughness()
    assert found.tolist() == pytest.approx([(2**0.5 + 2 + 2**0.5) / 6, 2 * 2**0.5 / 6, 0])
    graph = GRAPHS[1]
    links, weight = normalised(torch.eye(graph.num_nodes), graph.edge_index)
    hops = [torch.eye(graph.num_nodes)]
    for _ in range(200):
        hops.append(links.sum(hops[-1], weight))
    falling = Propagation(torch.stack(hops[::20], 1), torch.ones(graph.num_nodes, 11)).roughness()
    assert (falling.diff() < 0).all()
    with pytest.raises(ValueError, match="one node"):
        Propagation(torch.ones(1, 2, 3), torch.ones(1, 2)).roughness()


def test_small_and_wrong_node_problems() -> None:
    assert DAGNN(4, 1, steps=2)(torch.randn(1, 4), torch.empty(2, 0, dtype=torch.int64)).shape == (1, 1)
    assert DeepGCN(4, 3, layers=1)(torch.randn(2, 4), torch.tensor([[0], [1]])).shape == (2, 3)
    with pytest.raises(ValueError, match="nodes are 0 to 1"):
        DAGNN(4, 2)(torch.randn(2, 4), torch.tensor([[0], [2]]))
    with pytest.raises(ValueError, match="at least one node"):
        DAGNN(4, 2)(torch.randn(0, 4), torch.empty(2, 0, dtype=torch.int64))
    with pytest.raises(ValueError, match="exceed 1 GiB"):
        DAGNN(1, 100, steps=10_000)(torch.randn(1000, 1), torch.tensor([[0], [1]]))
    with pytest.raises(ValueError, match="at least 1"):
        DeepGCN(4, 2, layers=0)


@pytest.mark.parametrize("homophily", [0.1, 0.8])
def test_a_block_model_has_the_asked_homophily_degree_and_parts(homophily: float) -> None:
    found = block_model(300, 3, 6.0, homophily, labelled=10)
    assert found.homophily() == pytest.approx(homophily, abs=0.005)
    assert found.edge_index.shape == (2, 1800)
    assert set(map(tuple, found.edge_index.T.tolist())) == set(map(tuple, found.edge_index.flip(0).T.tolist()))
    assert torch.equal(found.train.int() + found.val.int() + found.test.int(), torch.ones(300, dtype=torch.int32))
    assert torch.bincount(found.label[found.train]).tolist() == [10, 10, 10]
    assert torch.equal(block_model(300, 3, 6.0, homophily, labelled=10).x, found.x)
    assert not torch.equal(block_model(300, 3, 6.0, homophily, labelled=10, seed=1).x, found.x)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"classes": 1}, "2 classes or more"),
        ({"labelled": 200}, "202 nodes"),
        ({"homophily": 1.2}, "0…1"),
        ({"degree": 90.0}, "0 to 60 fits"),
    ],
)
def test_block_models_that_are_refused(given: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        block_model(**given)


def test_hops_average_the_noise_away_where_neighbours_are_alike() -> None:
    problem, right = block_model(400, 4, labelled=10, seed=1), []
    for steps in (0, 8):
        torch.manual_seed(0)
        model = DAGNN(32, 4, hidden=16, steps=steps)
        optimiser = torch.optim.Adam(model.parameters(), lr=0.02, weight_decay=5e-3)
        for _ in range(60):
            loss = torch.nn.functional.nll_loss(model(problem.x, problem.edge_index)[problem.train], problem.label[problem.train])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        found = model.eval()(problem.x, problem.edge_index).argmax(1)
        right.append((found == problem.label)[problem.test].float().mean().item())
    assert right[1] > right[0] + 0.1


def test_a_deep_gcn_shows_every_layer() -> None:
    model = DeepGCN(4, 2, hidden=8, layers=5)
    with capture(model) as trace:
        model(torch.randn(GRAPHS[0].num_nodes, 4), GRAPHS[0].edge_index)
    assert [seen.values.shape[1] for seen in trace.of(NodeStates).values()] == [8, 8, 8, 8, 2]


# ------------------------------------------------------------------------------------------------------------------- dht


def test_turning_inside_out_twice_is_the_identity() -> None:
    rng = np.random.default_rng(0)
    for seed in range(200):
        graph = random_graph(int(rng.integers(2, 30)), float(rng.uniform(0.05, 0.9)), seed)
        if not graph.num_edges:
            continue
        shuffled = graph.edge_index[:, torch.from_numpy(rng.permutation(2 * graph.num_edges))]
        x, e = torch.randn(graph.num_nodes, 3), torch.randn(2 * graph.num_edges, 2)
        turned = dual(shuffled, graph.num_nodes, x, e)
        assert torch.equal(graph_of(turned), shuffled)
        assert torch.equal(turned.dense(), turned.dual().dense().T)
        assert torch.equal(turned.dual().dual().incidence, turned.incidence)
        assert (turned.node_features is e, turned.hyperedge_features is x) == (True, True)
        assert torch.equal(turned.sizes(), 2 * graph.degrees())
        assert turned.incidence.shape[1] == 4 * graph.num_edges  # linear, where the line graph grows with Σ degree²


@pytest.mark.parametrize("seed", range(3))
def test_steps_between_edges_are_those_of_the_line_graph(seed: int) -> None:
    graph = random_graph(16, 0.12, seed)
    edges = graph.edge_index[:, : graph.num_edges]
    line = nx.line_graph(to_networkx(graph))
    found = edge_steps(edges, graph.num_nodes, 2)
    expected = nx.single_source_shortest_path_length(line, tuple(edges[:, 2].tolist()))
    assert found.tolist() == [expected.get(tuple(edge), -1) for edge in edges.T.tolist()]
    both = edge_steps(graph.edge_index, graph.num_nodes, 2)
    assert both[graph.num_edges + 2] == 1  # the other direction shares both nodes


def test_loops_of_the_dual() -> None:
    path = torch.tensor([[0, 1, 2], [1, 2, 4]])  # node 3 is isolated, 0 and 4 have one edge
    found = with_loops(dual(path, 6))
    assert found.incidence.tolist() == [[0, 1, 1, 2, 0, 1, 2], [1, 1, 2, 2, 5, 6, 7]]
    assert found.num_hyperedges == 8


@torch.no_grad()
def test_hypergraph_convolution_is_its_formula() -> None:
    torch.manual_seed(0)
    graph = random_graph(9, 0.3, 1)
    h = with_loops(dual(graph.edge_index, 9)).dense()
    conv, x = HyperConv(4, 3), torch.randn(len(h), 4)
    nn_bias = torch.randn(3)
    conv.bias.copy_(nn_bias)
    inverse = torch.where(h.sum(0) > 0, 1 / h.sum(0), 0)
    expected = (h / h.sum(1, keepdim=True)) @ (inverse[:, None] * (h.T @ x @ conv.weight)) + nn_bias
    assert torch.allclose(conv(x, convolution_links(graph.edge_index, 9)), expected, atol=1e-5)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.55, 1.0])
@pytest.mark.parametrize("pairs", [True, False])
def test_the_best_edges_are_kept(ratio: float, pairs: bool) -> None:
    batch = GraphBatch.of(GRAPHS)
    edges = torch.stack([batch.links.source, batch.links.target])
    graph = batch.graph[edges[0]]
    score = torch.rand(graph.numel(), generator=torch.Generator().manual_seed(0)) * 2 - 1
    chosen = KeepBest(ratio, pairs)(score, edges, graph)
    kept = torch.zeros(len(score), dtype=torch.bool).index_fill(0, chosen.kept, True)
    assert torch.equal(chosen.weight, score[chosen.kept].clamp(0, 1))
    for g, one in enumerate(GRAPHS):
        own = graph == g
        if pairs:
            mean = torch.zeros(one.num_edges).index_add(0, batch.edge[own] - batch.edge[own].min(), score[own]) / 2
            best = set(mean.topk(math.ceil(ratio * one.num_edges - 1e-6)).indices.tolist())
            assert set((batch.edge[own & kept] - batch.edge[own].min()).tolist()) == best
            assert int((own & kept).sum()) == 2 * len(best)
        else:
            count = math.ceil(ratio * int(own.sum()) - 1e-6)
            assert int((own & kept).sum()) == count
            assert score[own & kept].min() >= score[own].topk(count).values.min()


def test_rounding_is_that_of_float32() -> None:
    edges = torch.stack([torch.zeros(25, dtype=torch.int64), torch.arange(1, 26)])
    chosen = KeepBest(0.6, pairs=False)(torch.rand(25), edges, torch.zeros(25, dtype=torch.int64))
    assert len(chosen.kept) == 16
    assert math.ceil(0.6 * 25) == 15


def test_hyperdrop_shrinks_the_graph_and_learns() -> None:
    torch.manual_seed(0)
    batch = GraphBatch.of(GRAPHS)
    edges = torch.stack([batch.links.source, batch.links.target])
    model = HyperDrop(3, 1, 4, hidden=8, ratio=0.5)
    with capture(model) as trace:
        out = model(torch.randn(len(batch.graph), 3), edges, batch.graph)
    assert torch.allclose(out.exp().sum(1), torch.ones(3), atol=1e-5)
    first, second = trace.of(EdgeSelection).values()
    assert second.edge_index.shape[1] == len(first.kept) < edges.shape[1]
    reverse = {(v, u) for u, v in second.edge_index.T.tolist()}
    assert reverse == set(map(tuple, second.edge_index.T.tolist()))  # directions stay together
    out[:, 0].sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("over_seeds", [True, False])
@torch.no_grad()
def test_hypercluster_shares_out_every_edge(over_seeds: bool) -> None:
    torch.manual_seed(0)
    batch = GraphBatch.of(GRAPHS)
    edges = torch.stack([batch.links.source, batch.links.target])
    attributes = torch.randn(edges.shape[1], 3)
    model = HyperCluster(3, 5, hidden=8, norm=True, over_seeds=over_seeds).eval()
    with capture(model) as trace:
        out = model(attributes, edges, batch.graph)
    assert out.shape == attributes.shape
    seen = next(iter(trace.of(EdgeClusters).values()))
    assert seen.pooled.shape == (3, 5, 8)
    assert seen.mask.sum(1).tolist() == [2 * graph.num_edges for graph in GRAPHS]
    total = seen.share.sum(1 if over_seeds else 2)
    assert torch.allclose(total, torch.ones_like(total), atol=1e-5)
    # The order in which edges are listed does not matter.
    order = torch.randperm(edges.shape[1])
    assert torch.allclose(model(attributes[order], edges[:, order], batch.graph), out[order], atol=1e-4)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: dual(torch.empty(2, 0, dtype=torch.int64), 3), "no edge; .*at least one"),
        (lambda: dual(torch.tensor([[0, 1], [1, 1]]), 3), "joined to itself"),
        (lambda: dual(torch.tensor([[0], [3]]), 3), "nodes are 0 to 2"),
        (lambda: dual(torch.tensor([0, 1]), 3), r"\[2, E\] int64"),
        (lambda: dual(torch.tensor([[0], [1]]).expand(2, 200_001), 3), "up to 200000"),
        (lambda: graph_of(Hypergraph.from_sets([(0, 1), (1, 2)])), "exactly two hyperedges"),
        (lambda: KeepBest(0.0), "between 0"),
        (lambda: HyperCluster(3, 0), "at least 1"),
        (lambda: HyperDrop(3, 1, 2, layers=0), "at least 1"),
    ],
)
def test_duals_that_are_refused(call, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()


# ------------------------------------------------------------------------------------------------------------ projection


def test_the_two_patterns() -> None:
    found = proj.damage(proj.as_sets([(0, 1, 2, 3), (1, 2), (3, 4), (4, 5), (3, 5), (6,)]))
    assert found.nested == {(1, 2)}
    assert found.fake == {(3, 4, 5)}
    assert found.covered == {(3, 4), (4, 5), (3, 5)}
    assert found.intact == {(0, 1, 2, 3), (6,)}
    assert found.nested_share == pytest.approx(1 / 6)
    assert found.fake_share == pytest.approx(1 / 3)
    assert not found.lossless
    assert sorted(proj.conspirators((3, 4, 5), found.covered | found.intact) or ()) == [(3, 4), (3, 5), (4, 5)]


def test_nothing_is_lost_exactly_when_the_cliques_are_the_hyperedges() -> None:
    """Over all hypergraphs on four nodes with hyperedges of two and more, by Gilmore's criterion."""
    groups = [group for size in (2, 3, 4) for group in combinations(range(4), size)]
    lossless = 0
    for chosen in range(1, 2 ** len(groups)):
        sets = frozenset(group for i, group in enumerate(groups) if chosen >> i & 1)
        nested = any(set(a) < set(b) for a in sets for b in sets)
        faked = any(
            not any((set(a) & set(b)) | (set(b) & set(c)) | (set(a) & set(c)) <= set(whole) for whole in sets)
            for a, b, c in combinations(sets, 3)
        )
        found = proj.damage(sets)
        assert found.lossless == (not nested and not faked)
        assert found.lossless == (frozenset(proj.maximal_cliques(proj.project(sets))) == sets)
        lossless += found.lossless
    assert 0 < lossless < 100


@pytest.mark.parametrize("size", [2, 3, 4])
def test_ambiguity_by_counting(size: int) -> None:
    whole = tuple(range(size))
    parts = [group for k in range(2, size) for group in combinations(whole, k)]
    same = 0
    for chosen in range(2 ** len(parts)):
        sets = frozenset([whole, *(group for i, group in enumerate(parts) if chosen >> i & 1)])
        same += set(proj.project(sets).edges) == set(combinations(whole, 2))
    assert proj.ambiguity(size) == same
    assert proj.ambiguity(5) == 33_554_432
    with pytest.raises(ValueError, match="between 2 and 20"):
        proj.ambiguity(21)


@pytest.mark.parametrize("seed", range(3))
def test_three_hyperedges_conspire_in_every_fake_group(seed: int) -> None:
    sets = proj.clubs(30, 3, 30, 0.1, 0.4, np.random.default_rng(seed))
    found = proj.damage(sets)
    assert found.fake
    for clique in found.fake:
        three = proj.conspirators(clique, sets)
        assert three is not None
        assert set(three) <= sets
        a, b, c = map(set, three)
        assert not any(((a & b) | (b & c) | (a & c)) & set(clique) <= set(group) for group in sets)
    for group in found.intact:
        assert proj.conspirators(group, sets) is None


def test_clubs_lose_what_they_are_told_to_lose() -> None:
    def rng() -> np.random.Generator:
        return np.random.default_rng(3)

    assert proj.damage(proj.clubs(60, 4, 40, 0.0, 0.0, rng())).lossless
    hidden = proj.damage(proj.clubs(60, 4, 40, 0.4, 0.0, rng()))
    assert hidden.nested
    assert not hidden.fake
    assert proj.damage(proj.clubs(60, 4, 40, 0.0, 0.4, rng())).fake
    with pytest.raises(ValueError, match="add up to at most 1"):
        proj.clubs(60, 4, 40, 0.6, 0.6, rng())
    with pytest.raises(ValueError, match="at least 6 per community"):
        proj.clubs(10, 4, 40, 0.1, 0.1, rng())


def test_projection_of_a_structure() -> None:
    hypergraph = Hypergraph.from_sets([(0, 1, 2), (2, 3), (2, 3), (4,)], 6)
    assert proj.hyperedges(hypergraph) == {(0, 1, 2), (2, 3), (4,)}
    graph = proj.projection(hypergraph)
    assert graph.num_nodes == 6
    assert graph.edges.tolist() == [[0, 1], [0, 2], [1, 2], [2, 3]]
    assert proj.compacted([(7, 3), (9,)]) == ({(0, 1), (2,)}, [3, 7, 9])


def test_projections_that_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        proj.project(frozenset())
    with pytest.raises(ValueError, match="up to 2000"):
        proj.project(proj.as_sets([i, i + 1] for i in range(2001)))
    with pytest.raises(ValueError, match="more than 10 maximal cliques"):
        proj.maximal_cliques(nx.cycle_graph(12), most=10)
    with pytest.raises(ValueError, match="positive number"):
        SHyRe.fit(frozenset({(0, 1)}), budget=0)


def test_scores() -> None:
    truth = frozenset({(0, 1), (1, 2), (0, 1, 2)})
    score = proj.compare(frozenset({(0, 1), (0, 2)}), truth)
    assert (score.precision, score.recall, score.f1, score.jaccard) == pytest.approx((0.5, 1 / 3, 0.4, 0.25))
    assert proj.compare(frozenset(), truth) == proj.Score(0, 0, 0, 0)
    assert proj.compare(truth, truth) == proj.Score(1, 1, 1, 1)


@pytest.mark.parametrize("seed", range(4))
def test_baselines_return_what_they_should(seed: int) -> None:
    graph = nx.gnp_random_graph(14, 0.4, seed=seed)
    cover = proj.edge_clique_cover(graph)
    assert {pair for clique in cover for pair in combinations(clique, 2)} == {tuple(sorted(edge)) for edge in graph.edges}
    assert proj.percolation(graph, 3) == proj.as_sets(nx.community.k_clique_communities(graph, 3))
    found = proj.demon(graph)
    assert not any(set(a) < set(b) for a in found for b in found)
    assert {node for group in found for node in group} == set(graph)


def test_baselines_on_separate_cliques() -> None:
    truth = proj.as_sets([range(4), range(4, 9), range(9, 12)])
    graph = proj.project(truth)
    assert proj.edge_clique_cover(graph) == truth
    assert proj.demon(graph) == truth
    assert proj.tuned_percolation(graph, truth)[0] == truth


# ----------------------------------------------------------------------------------------------------------------- shyre


def test_rho_by_counting() -> None:
    sets = proj.clubs(40, 3, 30, 0.3, 0.1, np.random.default_rng(0))
    cliques = proj.maximal_cliques(proj.project(sets))
    found = rho(cliques, sets)
    for n in {len(clique) for clique in cliques}:
        for k in range(1, n + 1):
            held = {group for group in sets if len(group) == k and any(len(c) == n and set(group) <= set(c) for c in cliques)}
            assert found.found.get((n, k), frozenset()) == held
            if any(len(group) == k for group in sets):
                subsets = [s for c in cliques if len(c) == n for s in combinations(c, k)]
                assert found.subsets[n, k] == len(subsets)
            else:
                assert found.subsets[n, k] == 1e8
    assert found.density().max() <= 1


def test_the_sampler_spends_its_budget_where_it_finds_most() -> None:
    sets = proj.clubs(60, 4, 60, 0.4, 0.1, np.random.default_rng(1))
    cliques = proj.maximal_cliques(proj.project(sets))
    statistic = rho(cliques, sets)
    whole, half = Sampler.fit(statistic, 1e6), Sampler.fit(statistic, 120, seed=1)
    inside = [group for group in sets if any(set(group) <= set(clique) for clique in cliques)]
    assert whole.collected == len(inside)  # all hyperedges lie in some maximal clique
    assert set(whole.ratio[tuple(zip(*whole.cells, strict=True))]) == {1.0}
    assert half.collected < whole.collected
    assert half.cells == whole.cells[: len(half.cells)]
    assert 0 < half.ratio[half.cells[-1]] < 1
    assert sum(map(len, half.candidates(cliques).values())) <= 120
    gains = [len(statistic.found[cell]) / statistic.subsets[cell] for cell in whole.cells]
    assert gains[0] == max(gains)
    again = Sampler.fit(statistic, 120, seed=1)
    assert (again.cells, again.collected) == (half.cells, half.collected)


def test_features_by_counting() -> None:
    sets = proj.clubs(40, 3, 30, 0.3, 0.2, np.random.default_rng(0))
    graph = proj.project(sets)
    found = Candidates.of(graph, Sampler.fit(rho(proj.maximal_cliques(graph), sets), 300))
    raw = count_features(found)
    assert raw.shape == (len(found.all), 9)
    for row, candidate in zip(raw, found.all, strict=True):
        over = [sum(node in clique for clique in found.cliques) for node in candidate]
        edges = [sum(set(edge) <= set(clique) for clique in found.cliques) for edge in combinations(candidate, 2)]
        assert row[0] == (candidate not in found.cliques)
        assert row[1] == len(candidate)
        assert row[2] == (bool(edges) and all(count > 1 for count in edges))
        assert row[3] == pytest.approx(np.mean(edges) if edges else 0)
        assert row[4] == pytest.approx(np.mean([graph.degree[node] for node in candidate]))
        assert row[6] == pytest.approx(np.mean(over))
        assert row[8] == len(found.parents.get(candidate, []))
    z = standardised(raw)
    assert np.abs(z.mean(0)).max() < 1e-9


def test_a_habit_is_learned_and_a_hypergraph_without_one_is_not_spoiled() -> None:
    """Groups of four whose first pair, and no other, also meets in many other groups: that pair meets on its own too."""

    def habit(seed: int) -> proj.Sets:
        rng = np.random.default_rng(seed)
        sets: set[tuple[int, ...]] = set()
        for pair in range(12):
            busy = (2 * pair, 2 * pair + 1)
            sets.add(busy)
            for _ in range(int(rng.integers(3, 6))):
                fresh = 24 + 2 * len(sets)
                sets.add((*busy, fresh, fresh + 1))
        return proj.compacted(sets)[0]

    train, query = habit(0), habit(1)
    graph = proj.project(query)
    assert proj.damage(query).nested
    found = SHyRe.fit(train, 1e4).reconstruct(graph)
    cliques = proj.compare(frozenset(found.candidates.cliques), query).jaccard
    assert proj.compare(found.sets, query).jaccard > cliques + 0.1
    assert np.all((found.probability > 0.5) == [candidate in found.sets for candidate in found.candidates.all])
    lossless = proj.clubs(60, 4, 40, 0.0, 0.0, np.random.default_rng(0))
    model = SHyRe.fit(lossless)
    assert model.verdicts == (None, None)  # nothing to tell apart: every maximal clique is a hyperedge
    assert model.reconstruct(proj.project(lossless)).sets == lossless


def test_a_verdict_learns_and_is_repeatable() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 3, generator=generator)
    y = (x[:, 0] * x[:, 1] > 0).float()
    first, second = Verdict(3).fit(x, y, seed=1, epochs=200), Verdict(3).fit(x, y, seed=1, epochs=200)
    assert ((first(x) > 0) == (y > 0.5)).float().mean() > 0.9
    assert torch.equal(first(x), second(x))


def test_learning_helps_on_a_real_hypergraph() -> None:
    path = ROOT.parent / "shared" / "data" / "hypergraphs" / "email-Enron.npz"
    if not path.exists():
        pytest.skip("the small real hypergraphs (shared/data, beside the repository) are not on this machine")
    with np.load(path) as stored:
        nodes, offset = stored["nodes"], stored["offset"]
    mails = [set(nodes[a:b].tolist()) for a, b in pairwise(offset.tolist())]
    halves = mails[: len(mails) // 2], mails[len(mails) // 2 :]
    train, query = (proj.as_sets(mail for mail in half if 1 < len(mail) < 9) for half in halves)
    graph = proj.project(query)
    cliques = proj.compare(frozenset(proj.maximal_cliques(graph)), query).jaccard
    assert proj.compare(SHyRe.fit(train, 1e3).reconstruct(graph).sets, query).jaccard >= 1.5 * cliques
