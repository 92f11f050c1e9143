"""What the exhibits of graphs compute beside their first run: judged candidates, deep energies, virtual nodes, mistakes, patches."""

from __future__ import annotations

import json
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch

from explorer.exhibit import NO_PICTURE, BadRequest
from explorer.exhibits.graph_structure import contestants, dht, graphabstract, oversmoothing
from explorer.exhibits.graph_structure import projection as lost
from explorer.views.arrays import unpack
from models.graph_structure.dht import HyperDrop, dirichlet_energy, energies
from models.graph_structure.generators import generate, sample
from models.graph_structure.layouts import MOST_EDGES, layout
from models.graph_structure.node_problems import problem_from
from models.graph_structure.projection import maximal_cliques, project
from models.graph_structure.rasteriser import EVEN, PAPER, draw, draw_without
from models.graph_structure.shyre import Sampler, Verdict, contributions, efficiency, rho
from models.graph_structure.truth import block_cut_tree, from_networkx, to_networkx


def scene(module: Any, controls: Any) -> Any:
    return module.run(NO_PICTURE, controls, (), lambda grid: None)


# ---------------------------------------------------------------------------------------------------------- the arena


@pytest.mark.parametrize("pen", [EVEN, PAPER])
def test_an_edge_taken_off_a_drawing_leaves_the_drawing_without_it(pen: Any) -> None:
    graph = sample("topology", "id", 4).graph
    places = layout(graph, "circular")
    found = draw_without(graph, places, [0, 3, graph.num_edges - 1], pen=pen)
    for edge, image in zip((0, 3, graph.num_edges - 1), found, strict=True):
        expected = draw(graph.without_edge(edge), places, 64, pen).image
        assert (image.int() - expected.int()).abs().max() <= 1, "float32 sums in another order"
        assert not torch.equal(image, draw(graph, places, 64, pen).image)
    assert draw_without(graph, places, []).shape == (0, 64, 64, 3)


def test_more_edges_than_can_be_drawn_are_refused_in_words() -> None:
    controls = graphabstract.GraphAbstractControls.parse({"source": "a family", "family": "dumbbell", "nodes": 300, "mixing": 0.0})
    with pytest.raises(BadRequest, match=f"up to {MOST_EDGES} are drawn"):
        scene(graphabstract, controls)


def test_of_large_graphs_only_quick_layouts_stand_beside_the_one_on_show() -> None:
    controls = graphabstract.GraphAbstractControls.parse({"source": "a family", "family": "hierarchical", "nodes": 160})
    found = scene(graphabstract, controls)
    assert set(found.extras["layouts"]) == {"kamada-kawai", "spectral", "circular"}


def test_blocks_hang_together_at_single_nodes() -> None:
    graph = generate("bottleneck", 24, np.random.default_rng(0), width=1, groups=3)
    blocks, cuts = block_cut_tree(graph)
    made = to_networkx(graph)
    assert sum(len(block) == 2 for block in blocks) == len(list(nx.bridges(made)))
    tree = nx.Graph((("block", i), node) for i, block in enumerate(blocks) for node in block if node in cuts)
    assert nx.is_tree(tree)
    assert all(nx.number_connected_components(nx.restricted_view(made, [node], [])) > 1 for node in cuts)


def test_a_virtual_node_passes_linear_attention_on_exactly_and_softmax_after_all_rounds() -> None:
    controls = graphabstract.GraphAbstractControls.parse({"source": "a family", "family": "cyclic", "nodes": 24})
    found = scene(graphabstract, controls)
    told = graphabstract.virtual(found, controls, {"features": 1024, "scale": 0.2})
    assert told["linear"] < 1e-12
    assert len(told["rounds"]) == told["nodes"] == 24
    assert told["rounds"][-1] < 1e-12 < told["rounds"][-2]
    assert told["random"] < graphabstract.virtual(found, controls, {"features": 1024, "scale": 2.0})["random"]
    json.dumps(told, allow_nan=False)
    for wrong in ({"features": 3}, {"features": True}, {"scale": 3}, {"scale": "1"}):
        with pytest.raises(BadRequest):
            graphabstract.virtual(found, controls, wrong)


def test_mistakes_are_those_of_the_model_cards() -> None:
    assert contestants.agreement("gap") is None, "numbers have no classes to confuse"
    found = contestants.agreement("topology")
    if found is None:
        pytest.skip("no network of the task is trained here")
    for name in found["names"]:
        measured = contestants.runtime.model(name).card["measured"]
        matrix = np.array(found["confusion"][name]["far"])
        assert matrix.trace() / matrix.sum() == pytest.approx(measured["far"]["accuracy"], abs=1e-4)
    for band in ("id", "near", "far"):
        overlap = np.array(found["overlap"][band])
        assert np.allclose(overlap, overlap.T)
        assert np.allclose(np.diag(overlap), 1)


# --------------------------------------------------------------------------------------------------------- lost groups


def test_what_features_add_explains_the_whole_verdict() -> None:
    torch.manual_seed(0)
    verdict, x = Verdict(9), torch.randn(6, 9)
    found = contributions(verdict, x, 400).sum(1)
    expected = (verdict(x) - verdict(torch.zeros(1, 9))).detach()
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=5e-2)


def test_every_budget_buys_the_first_cells_of_the_whole_order() -> None:
    sets = lost.chosen_sets(lost.ProjectionControls())[0]
    statistic = rho(maximal_cliques(project(sets)), sets)
    rows = efficiency(statistic)
    assert sum(new for *_, new in rows) == Sampler.fit(statistic, float("inf")).collected
    for budget in (3, 10, 40):
        cells = Sampler.fit(statistic, budget).cells
        assert [(n, k) for n, k, *_ in rows][: len(cells)] == list(cells)


def test_candidates_are_told_with_what_was_counted() -> None:
    found = scene(lost, lost.ProjectionControls()).extras
    truth = set(map(tuple, lost.chosen_sets(lost.ProjectionControls())[0]))
    for one in found["candidates"]:
        assert one["right"] == (tuple(one["members"]) in truth)
        assert one["raw"][1] == len(one["members"])
        assert len(one["pushes"]) == len(found["features"]) == 9
    taken = [one["p"] for one in found["candidates"]]
    assert taken == sorted(taken, reverse=True)


# ---------------------------------------------------------------------------------------------------------- inside out


def test_energy_is_nothing_where_neighbours_agree_and_that_of_the_laplacian_elsewhere() -> None:
    graph = from_networkx(nx.cycle_graph(6))
    assert dirichlet_energy(torch.ones(6, 2), graph.edge_index) == pytest.approx(0, abs=1e-9)
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)).double()
    laplacian = torch.eye(6) - (graph.adjacency() + torch.eye(6)) / 3
    assert dirichlet_energy(x, graph.edge_index) == pytest.approx(float((x.T @ laplacian.double() @ x).trace() / x.square().sum()))
    assert np.isnan(dirichlet_energy(torch.zeros(6, 2), graph.edge_index))


def test_energies_with_and_without_dropping() -> None:
    controls = dht.DualControls(ratio=0.5)
    found = scene(dht, controls)
    told = dht.energy(found, controls, {"layers": 12})
    assert len(told["dropping"]) == len(told["keeping"]) == 13
    assert told["dropping"][:2] == told["keeping"][:2], "the first layer still has all edges"
    assert told["dropping"][-1] > told["keeping"][-1]
    same = dht.energy(found, dht.DualControls(ratio=1.0), {"layers": 4})
    assert same["dropping"] == same["keeping"]
    for wrong in (1, 33, 4.0, True):
        with pytest.raises(BadRequest, match="from 2 to 32"):
            dht.energy(found, controls, {"layers": wrong})
    model = HyperDrop(4, 1, 6, hidden=8, layers=3).eval()
    assert len(energies(model, torch.ones(5, 4), from_networkx(nx.path_graph(5)).edge_index)) == 4


# ------------------------------------------------------------------------------------------------------ over-smoothing


def test_patches_joined_along_axes_fall_into_four_islands() -> None:
    controls = oversmoothing.DepthControls.parse({"source": "patches of a picture", "rule": "fixed axes"})
    found = scene(oversmoothing, controls)
    assert found.extras["pieces"] == 4
    assert scene(oversmoothing, controls.model_copy(update={"rule": "grid"})).extras["pieces"] == 1
    problem = oversmoothing.problem_of(controls)
    assert problem.x.shape == (196, 8)
    assert (problem.train.int() + problem.val.int() + problem.test.int() == 1).all()
    assert all(problem.test[problem.label == kind].any() for kind in range(found.extras["classes"]))


def test_closed_hops_can_be_answered_by_the_page() -> None:
    controls = oversmoothing.DepthControls(nodes=120)
    *_, last = oversmoothing.train(scene(oversmoothing, controls), controls, {"kind": "dagnn", "depth": 4})
    gate, says = torch.from_numpy(unpack(last["gate"])), torch.from_numpy(unpack(last["says"]))
    problem = oversmoothing.problem_of(controls)
    asked = torch.from_numpy(unpack(last["asked"])).bool()
    assert torch.equal(asked, problem.test)
    answer = (gate[:, :, None] * says).sum(1).argmax(1)
    assert float((answer == problem.label)[asked].double().mean()) == pytest.approx(last["test"], abs=0.03), "8 bits are enough"


def test_a_graph_that_is_there_is_made_undirected_and_some_of_each_class_are_told() -> None:
    edges = torch.tensor([[0, 1, 2, 3, 3, 4], [1, 0, 2, 4, 5, 5]])
    problem = problem_from(torch.zeros(6, 1), edges, torch.tensor([0, 0, 0, 1, 1, 1]), labelled=1)
    assert {tuple(e) for e in problem.edge_index.T.tolist()} == {(0, 1), (1, 0), (3, 4), (4, 3), (3, 5), (5, 3), (4, 5), (5, 4)}
    assert problem.train.sum() == 2
    with pytest.raises(ValueError, match="two classes or more"):
        problem_from(torch.zeros(3, 1), edges[:, :2], torch.tensor([0, 0, 1]))
