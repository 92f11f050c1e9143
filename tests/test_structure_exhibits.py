"""The exhibits of graphs on their own: valid payloads at both ends of each control, true stories, questions and streams that answer."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch

from explorer import export, payload, service
from explorer.diagnostics import abstract_graph
from explorer.diagnostics import dual as dual_measures
from explorer.diagnostics.measure import catalogue as words
from explorer.exhibit import NO_PICTURE, BadRequest, Exhibit, Intervention, Scene
from explorer.exhibits.graph_structure import contestants, dht, graphabstract, oversmoothing
from explorer.exhibits.graph_structure import projection as lost
from explorer.views import view_of
from explorer.views.abstract_graph import SHOWN, graph6
from explorer.views.arrays import unpack
from explorer.views.deep_nodes import shown_steps
from models.graph_structure.dht import dual, graph_of
from models.graph_structure.formats import read_graph, write_places
from models.graph_structure.generators import FAMILIES, TASKS, generate
from models.graph_structure.moons import moons
from models.graph_structure.projection import as_sets, compare, damage
from models.graph_structure.rasteriser import draw
from models.graph_structure.truth import to_networkx, with_truth
from models.structures import AbstractGraph, EdgeSelection

CANVAS = Path(__file__).resolve().parents[1] / "explorer" / "canvas"
FOLDER = Path(graphabstract.__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if "\nEXHIBIT = Exhibit(" in path.read_text(encoding="utf-8"))
EXHIBITS: dict[str, Exhibit] = {
    found.slug: found for found in (importlib.import_module(f"explorer.exhibits.graph_structure.{name}").EXHIBIT for name in NAMES)
}
SLUGS = list(EXHIBITS)
OWN = "0 1\n1 2\n2 0\n2 3\n3 4\n4 5\n5 3"
TEXTS = {"graph": OWN, "sets": "a b c\nb c\nc d\nd a\n", "places": ""}


@lru_cache(maxsize=64)
def _scene(slug: str, settings: str) -> Scene:
    shown = EXHIBITS[slug]
    return shown.run(NO_PICTURE, shown.controls.parse(json.loads(settings)), (), lambda grid: None)


def scene_of(slug: str, **values: Any) -> Scene:
    """One run; equal questions share it."""
    return _scene(slug, json.dumps(EXHIBITS[slug].controls.parse(values).model_dump()))


def built(slug: str, scene: Scene, **values: Any) -> dict[str, Any]:
    shown = EXHIBITS[slug]
    text = payload.build(shown, scene, shown.controls.parse(values), image="", run="id")

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} in the payload")

    found = json.loads(text, parse_constant=refuse)
    assert len(text) < 120_000, "the budget of a payload"
    assert isinstance(found, dict)
    return found


def ends(slug: str) -> Iterator[tuple[str, str, Any, dict[str, Any]]]:
    """(slug, control, value, the controls that give it a meaning) at both ends of every control."""
    for widget in EXHIBITS[slug].controls.widgets():
        when = {name: wanted[0] if isinstance(wanted, list) else wanted for name, wanted in widget.get("when", {}).items() if wanted}
        if when.get("source") == "my own":
            when |= {name: TEXTS[name] for name in ("graph", "sets") if name in EXHIBITS[slug].controls.model_fields}
        values = {
            "range": lambda w: [w["min"], w["max"]],
            "choice": lambda w: w["options"],
            "switch": lambda w: [False, True],
            "text": lambda w: [TEXTS[w["name"]]],
        }[widget["kind"]](widget)
        for value in values:
            extra = {"graph": OWN} if value == "my own" and "graph" in EXHIBITS[slug].controls.model_fields else {}
            extra |= {"sets": TEXTS["sets"]} if value == "my own" and "sets" in EXHIBITS[slug].controls.model_fields else {}
            yield slug, widget["name"], value, {**when, **extra}


ENDS = [end for slug in SLUGS for end in ends(slug)]


@pytest.mark.parametrize(("slug", "name", "value", "when"), ENDS, ids=lambda v: str(v)[:24])
def test_each_end_of_each_control_gives_a_payload_that_the_page_can_draw(slug: str, name: str, value: Any, when: dict[str, Any]) -> None:
    values = {**when, name: value}
    scene = scene_of(slug, **values)
    found = built(slug, scene, **values)
    assert found["picture"] is None
    assert found["examples"] == []
    assert len(found["layers"]) == len(scene.layers) > 0
    for layer, source in zip(found["layers"], scene.layers, strict=True):
        view = view_of(source.structures)
        assert view is not None
        assert layer["kind"] == view[0].kind
        assert (CANVAS / "instruments" / f"{layer['kind']}.js").exists()
        view[0].numbers(view[1])
    measures = unpack(found["measures"])
    assert set(measures["words"]) <= _vocabulary()
    for rows in measures["layers"].values():
        assert all(row["value"] is None or np.isfinite(row["value"]) for row in rows)
        assert all(row["hint"] and "{" not in row["hint"] for row in rows)


def _vocabulary() -> set[str]:
    return {key for path in (CANVAS.parent / "diagnostics").glob("*.json") for key in words(path.stem)}


@pytest.mark.parametrize("slug", SLUGS)
def test_the_same_question_has_the_same_answer(slug: str) -> None:
    shown = EXHIBITS[slug]
    one = built(slug, scene_of(slug))
    two = built(slug, shown.run(NO_PICTURE, shown.controls(), (), lambda grid: None))
    assert one == two


@pytest.mark.parametrize("slug", SLUGS)
def test_the_story_is_short_and_its_states_exist(slug: str) -> None:
    shown = EXHIBITS[slug]
    story = shown.story()
    panels = set(
        re.findall(r'HS\.panel\(\{\s*name: "([\w-]+)"', "".join(p.read_text(encoding="utf-8") for p in (CANVAS / "panels").glob("*.js")))
    )
    fields = set(
        re.findall(r'HS\.lookField\("(\w+)"', "".join(p.read_text(encoding="utf-8") for p in (CANVAS / "instruments").glob("*.js")))
    )
    assert set(shown.views) <= panels
    assert 5 <= len(story) <= 9
    assert len({step["title"] for step in story}) == len(story)
    assert story[0]["state"]["controls"] == shown.controls().model_dump()
    for step in story:
        assert set(step) == {"title", "text", "highlight", "state"}
        assert 1 <= len(re.findall(r"[.!?](?:\s|$)", step["text"])) <= 3
        assert len(step["text"]) <= 330
        assert len(step["title"]) <= 60
        assert step["highlight"] in {"controls", "canvas", "film", "prediction", "diagnostics"} | {f"panel:{name}" for name in shown.views}
        assert set(step["state"]["look"]) <= fields | {"tab", "layer", "step"}
        assert step["state"]["look"].get("tab", shown.views[0]) in shown.views
        built(slug, scene_of(slug, **step["state"]["controls"]), **step["state"]["controls"])


@pytest.mark.parametrize("slug", SLUGS)
def test_what_is_taken_home_can_be_read(slug: str) -> None:
    scene = scene_of(slug)
    for layer in scene.layers:
        view = view_of(layer.structures)
        assert view is not None
        for name, data in view[0].files(view[1]).items():
            assert data
            if name.endswith((".graphml", ".g6", ".txt")):
                read_graph(data.decode())
            if name.endswith(".json"):
                json.loads(data)
        assert view[0].figure is not None
        made = view[0].figure(layer.structures, NO_PICTURE, "a title")
        assert made.get_axes()
        assert "<" in view[0].marks(view[1], {}, "#fff", lambda patch, grid: (0.0, 0.0))
    zipped = export.bundle(scene, EXHIBITS[slug], EXHIBITS[slug].controls(), image="", picture=NO_PICTURE, cuts=[])
    assert len(zipped) > 1000


# ------------------------------------------------------------------------------------------------------ the arena


def test_every_family_has_its_sliders_and_no_other() -> None:
    fields = graphabstract.GraphAbstractControls.model_fields
    for name, families in graphabstract.SLIDERS.items():
        widget = next(w for w in graphabstract.GraphAbstractControls.widgets() if w["name"] == name)
        assert widget["when"] == {"source": "a family", "family": list(families)}
        for family, parameter in families.items():
            span = FAMILIES[family].parameters[parameter]
            assert (widget["min"], widget["max"]) == (span.low, span.high), (family, parameter)
    assert set(FAMILIES) == set(next(w for w in graphabstract.GraphAbstractControls.widgets() if w["name"] == "family")["options"])
    assert fields["number"].metadata[1].le < min(task.bands["near"].count for task in TASKS.values())


def test_a_test_graph_is_the_one_of_the_split_and_its_class_is_known() -> None:
    for number in range(6):
        scene = scene_of("graphabstract", number=number)
        assert scene.extras["right"] == number
    assert scene_of("graphabstract", task="gap").extras["right"] == pytest.approx(
        scene_of("graphabstract", task="gap").layers[0].structures["graph"].truth.spectral_gap
    )  # type: ignore[attr-defined]


def test_the_answers_are_those_of_the_networks_themselves() -> None:
    scene = scene_of("graphabstract", task="symmetry")
    graph = scene.layers[0].structures["graph"]
    assert isinstance(graph, AbstractGraph)
    model = contestants.runtime.model("symmetry_gin").model
    expected = contestants.logits_of(model, graph).softmax(1)[0].tolist()
    assert scene.extras["answers"]["symmetry_gin"] == pytest.approx(expected, abs=1e-6)
    assert all(sum(answer) == pytest.approx(1, abs=1e-5) for answer in scene.extras["answers"].values())
    assert {one["name"] for one in scene.extras["contestants"] if not one["layout"]} == set(scene.extras["answers"])


def test_moving_a_node_changes_the_picture_and_the_lookers_only() -> None:
    controls = graphabstract.GraphAbstractControls()
    scene = scene_of("graphabstract")
    graph = scene.layers[0].structures["graph"]
    assert isinstance(graph, AbstractGraph)
    places = graph.positions[SHOWN].clone()
    places[0] += 0.7
    text = write_places(places, graphabstract.tied_to(graph, controls))
    found = graphabstract.look(scene, controls, {"places": text})
    lookers = {one.name for one in contestants.contestants("topology") if one.sees == "drawing" and one.layout is None}
    assert set(found["answers"]) == lookers
    assert any(found["answers"][name] != scene.extras["answers"][name] for name in lookers)
    assert not np.array_equal(unpack(found["picture"]), unpack(built("graphabstract", scene)["layers"][0]["picture"]))
    moved = scene_of("graphabstract", places=text)
    for name, answer in moved.extras["answers"].items():
        if name in lookers:
            assert answer == pytest.approx(found["answers"][name], abs=1e-6), "a run says what the drag has said"
        else:
            assert answer == scene.extras["answers"][name], "the edges are the same"


def test_places_of_another_graph_are_refused_or_passed_over() -> None:
    controls = graphabstract.GraphAbstractControls()
    scene = scene_of("graphabstract")
    with pytest.raises(BadRequest, match="another graph"):
        graphabstract.look(scene, controls, {"places": "AAAAAA"})
    with pytest.raises(BadRequest, match="another graph"):
        graphabstract.look(scene, controls, {"places": 3})
    assert scene_of("graphabstract", places="AAAAAAAA").extras["answers"] == scene.extras["answers"]


def test_the_picture_that_is_sent_is_the_one_that_the_networks_get() -> None:
    scene = scene_of("graphabstract", task="bridges")
    graph = scene.layers[0].structures["graph"]
    assert isinstance(graph, AbstractGraph)
    expected = draw(graph, graph.positions[SHOWN], contestants.SIDE).image.numpy()
    np.testing.assert_array_equal(unpack(built("graphabstract", scene, task="bridges")["layers"][0]["picture"]), expected)


def test_a_graph_in_pieces_is_drawn_and_said_so() -> None:
    scene = scene_of("graphabstract", source="my own", graph="0 1\n2 3\n4 5")
    assert any("pieces" in note for note in scene.notes)
    assert scene.extras["right"] is None
    assert {m.key: m.value for m in scene.measures["graph"]}["abstract_pieces"] == 3


@pytest.mark.parametrize(("graph", "said"), [("", "no graph yet"), ("0 0", "joined to itself"), ("0 1\n1 0", "more than once")])
def test_a_graph_that_cannot_be_taken_is_refused_in_words(graph: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        scene_of("graphabstract", source="my own", graph=graph)


@pytest.mark.parametrize("graph", ["0", "0 1", "0 1\n1 2"])
def test_tiny_graphs_are_answered_too(graph: str) -> None:
    for task in TASKS:
        built("graphabstract", scene_of("graphabstract", task=task, source="my own", graph=graph), task=task, source="my own", graph=graph)


@pytest.mark.parametrize(
    ("who", "method"),
    [
        ("cnn", "knock-out"),
        ("cnn", "integrated gradients"),
        ("cnn", "occlusion"),
        ("cnn", "grad-cam"),
        ("gin", "knock-out"),
        ("gin", "gradients"),
    ],
)
def test_the_edges_of_an_answer_can_be_asked_for(who: str, method: str) -> None:
    values = {"task": "bridges", "source": "a family", "nodes": 24}
    controls, scene = graphabstract.GraphAbstractControls.parse(values), scene_of("graphabstract", **values)
    graph = scene.layers[0].structures["graph"]
    assert isinstance(graph, AbstractGraph)
    found = graphabstract.explain(scene, controls, {"contestant": f"bridges_{who}", "method": method})
    edges = unpack(found["edges"])
    assert edges.shape == (graph.num_edges,)
    assert np.isfinite(edges).all()
    assert found["agreement"]["what"] == "bridges"
    assert 0 <= found["agreement"]["auc"] <= 1
    if who == "gin" and method == "knock-out":
        number = 3
        model = contestants.runtime.model("bridges_gin").model
        cut = contestants.logits_of(model, graph.without_edge(number))[0, 0]
        assert edges[number] == pytest.approx(float(contestants.logits_of(model, graph)[0, 0] - cut), abs=1e-5)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"contestant": "nobody", "method": "knock-out"}, "no network named"),
        ({"contestant": "topology_cnn", "method": "gradients"}, "integrated gradients"),
        ({"contestant": "topology_gin", "method": "grad-cam"}, "knock-out or gradients"),
        ({"contestant": "topology_vit", "method": "grad-cam"}, "a CNN"),
        ({"contestant": "topology_cnn_circular", "method": "knock-out"}, "does not look at the drawing"),
        ({"contestant": "topology_cnn", "method": "knock-out", "target": 6}, "from 0 to 5"),
        ({"contestant": "topology_cnn", "method": "knock-out", "target": True}, "from 0 to 5"),
        ({"contestant": "topology_hyperdrop", "method": "knock-out"}, "Inside out"),
    ],
)
def test_questions_that_mean_nothing_are_refused(data: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        graphabstract.explain(scene_of("graphabstract"), graphabstract.GraphAbstractControls(), data)


def test_untrained_networks_are_called_so() -> None:
    scene = scene_of("graphabstract")
    random = [one for one in scene.extras["contestants"] if not one["trained"]]
    assert any("without trained weights" in note for note in scene.notes) == bool(random)
    assert all(one["curve"] == [] for one in random)


# ------------------------------------------------------------------------------------------------- measures of graphs


def test_measures_of_graphs_agree_with_networkx() -> None:
    rng = np.random.default_rng(0)
    for family in ("geometric", "bottleneck", "product"):
        graph = with_truth(generate(family, 24, rng))
        other = to_networkx(graph)
        assert abstract_graph.clustering(graph) == pytest.approx(nx.average_clustering(other))
        assert abstract_graph.pieces(graph) == nx.number_connected_components(other)
        found = {m.key: m.value for m in abstract_graph.summary(graph)}
        assert found["abstract_distance"] == pytest.approx(nx.average_shortest_path_length(other))
        assert found["abstract_bridges"] == len(list(nx.bridges(other)))
        assert dual_measures.line_graph_edges(graph) == nx.line_graph(other).number_of_edges()


def test_crossings_of_drawings_that_are_known() -> None:
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]])
    assert abstract_graph.crossings(square, np.array([[0, 2], [1, 3]])) == 1
    assert abstract_graph.crossings(square, np.array([[0, 1], [1, 2], [2, 3]])) == 0
    angle = 2 * np.pi * np.arange(6) / 6 + 0.1
    complete = np.array([(i, j) for i in range(6) for j in range(i + 1, 6)])
    assert abstract_graph.crossings(np.stack([np.cos(angle), np.sin(angle) * 0.9], 1), complete) == 15  # C(6, 4)


def test_stress_is_zero_for_a_line_and_one_way_of_measuring_saturation() -> None:
    steps = np.abs(np.arange(5)[:, None] - np.arange(5)).astype(float)
    assert abstract_graph.stress(np.stack([np.arange(5.0), np.zeros(5)], 1), steps) == pytest.approx(0)
    with pytest.raises(ValueError, match="different places"):
        abstract_graph.stress(np.zeros((5, 2)), steps)
    graph = AbstractGraph.from_edges([(0, 1)], 2)
    assert 0 <= abstract_graph.saturation(draw(graph, np.array([[0, 0], [1, 1.0]]))) <= 1
    assert abstract_graph.coincident(draw(graph, np.zeros((2, 2)))) == 1


def test_the_rank_correlation_is_that_of_scipy() -> None:
    from scipy.stats import spearmanr

    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        one, two = torch.randint(0, 6, (2, 20), generator=generator).float()
        assert dual_measures.rank_correlation(one, two) == pytest.approx(spearmanr(one, two)[0])


# ------------------------------------------------------------------------------------------------------- inside out


def test_the_dual_that_is_shown_gives_the_graph_back() -> None:
    for source in ("bottleneck", "two moons"):
        scene = scene_of("inside-out", source=source)
        shown, graph = scene.layers[0].structures["dual"], scene.layers[0].structures["graph"]
        assert isinstance(graph, AbstractGraph)
        assert torch.equal(graph_of(shown), graph.edges.T)  # type: ignore[arg-type]
        assert dual(graph.edges.T.contiguous(), graph.num_nodes).dual().num_nodes == graph.num_nodes


def test_hyperdrop_keeps_what_was_asked_and_never_a_node() -> None:
    for ratio in (0.1, 0.5, 1.0):
        scene = scene_of("inside-out", ratio=ratio)
        graph = scene.layers[0].structures["graph"]
        assert isinstance(graph, AbstractGraph)
        left = graph.num_edges
        for found in (s for s in scene.layers[0].structures.values() if isinstance(s, EdgeSelection)):
            score, kept = dual_measures.per_edge(found, graph)
            left = int(np.ceil(np.float32(ratio) * np.float32(left)))
            assert int(kept.sum()) == left
            assert int(torch.isfinite(score).sum()) >= left
            assert not torch.isnan(score[kept]).any()
    assert sum(p for _, p in scene_of("inside-out").prediction) == pytest.approx(1, abs=1e-4)


def test_cutting_an_edge_takes_it_away_and_moves_the_answer() -> None:
    shown, controls = dht.EXHIBIT, dht.DualControls()
    before = scene_of("inside-out")
    after = shown.run(NO_PICTURE, controls, [Intervention("dual", "edge", ((0, -1),))], lambda grid: None)
    one, two = (s.layers[0].structures["graph"] for s in (before, after))
    assert isinstance(one, AbstractGraph)
    assert isinstance(two, AbstractGraph)
    assert two.num_edges == one.num_edges - 1
    assert one.edges[0].tolist() not in two.edges.tolist()
    assert dict(before.prediction) != dict(after.prediction)
    with pytest.raises(BadRequest, match="does not exist"):
        shown.run(NO_PICTURE, controls, [Intervention("dual", "edge", ((999, -1),))], lambda grid: None)


def test_a_graph_without_edges_cannot_be_turned() -> None:
    with pytest.raises(BadRequest, match="no edge"):
        scene_of("inside-out", source="my own", graph="0\n1")


def test_clusters_are_learned_and_every_edge_gives_itself_away() -> None:
    controls = dht.DualControls.parse({"source": "two moons", "nodes": 40})
    scene = scene_of("inside-out", source="two moons", nodes=40)
    graph = scene.layers[0].structures["graph"]
    assert isinstance(graph, AbstractGraph)
    frames = list(dht.gather(scene, controls, {"clusters": 4}))
    assert [frame["step"] for frame in frames[:3]] == [0, 10, 20]
    assert frames[-1]["loss"] < frames[0]["loss"]
    assert frames[-1]["accuracy"] >= 0.95
    assert unpack(frames[-1]["cluster"]).shape == unpack(frames[-1]["right"]).shape == (graph.num_edges,)
    assert unpack(frames[-1]["cluster"]).max() < 4
    for wrong in (0, 13, "4", None, True):
        with pytest.raises(BadRequest, match="clusters"):
            next(dht.gather(scene, controls, {"clusters": wrong}))


def test_two_moons_have_edges_of_three_kinds() -> None:
    graph, kinds = moons(60, np.random.default_rng(0))
    assert set(kinds.tolist()) == {0, 1, 2}
    first = torch.arange(60) < 30
    u, v = graph.edges.T
    assert torch.equal(kinds == 2, first[u] != first[v])
    assert graph.degrees().min() >= 5
    with pytest.raises(ValueError, match="too few"):
        moons(8, np.random.default_rng(0))


# ----------------------------------------------------------------------------------------------------------- stories


def test_the_story_of_the_clumps_is_true() -> None:
    """Four clumps in a row, held together by a few edges: test graph 4 is a bottleneck of four groups."""
    graph = scene_of("graphabstract").layers[0].structures["graph"]
    assert isinstance(graph, AbstractGraph)
    assert graph.family == "bottleneck"
    assert len(nx.community.greedy_modularity_communities(to_networkx(graph))) == 4
    story = EXHIBITS["graphabstract"].story()
    far = scene_of("graphabstract", **story[3]["state"]["controls"]).layers[0].structures["graph"]
    assert isinstance(far, AbstractGraph)
    assert 60 <= far.num_nodes <= 150
    red = scene_of("graphabstract", **story[5]["state"]["controls"])
    assert red.extras["right"] >= 2
    moving = scene_of("graphabstract", **story[6]["state"]["controls"]).layers[0].structures["graph"]
    assert isinstance(moving, AbstractGraph)
    assert moving.truth is not None
    assert moving.truth.is_symmetric


def test_the_story_inside_out_is_true() -> None:
    graph = scene_of("inside-out").layers[0].structures["graph"]
    assert isinstance(graph, AbstractGraph)
    assert graph.truth is not None
    assert graph.truth.bridges == 2
    assert len(nx.community.greedy_modularity_communities(to_networkx(graph))) == 3
    assert graph6(graph) == scene_of("inside-out").extras["graph6"]


def test_the_service_answers_for_exhibits_without_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "exhibit", lambda slug: EXHIBITS[slug])
    found = service.answer_api("graphabstract", None, {"task": "bridges"})
    assert found["layers"][0]["kind"] == "abstract-graph"
    assert found["layers"][0]["graph6"]
    scene, controls = scene_of("inside-out"), dht.DualControls()
    run = service.runtime.RUNS.put(service.runtime.Run("inside-out", service.NOTHING, controls, scene, 0))
    told = service.cut({"run": run, "cuts": [{"layer": "dual", "kind": "edge", "pairs": [[0, -1]]}]})
    assert len(told["prediction"]) == 6


# -------------------------------------------------------------------------------------------------------- lost groups


def test_the_fate_of_every_group_is_that_of_the_model() -> None:
    scene = scene_of("lost-groups")
    shown = scene.layers[0].structures["groups"]
    sets = as_sets(shown.sets())  # type: ignore[attr-defined]
    found = damage(sets)
    fates = dict(zip(sorted(sets), scene.extras["fate"], strict=True))
    assert {group for group, fate in fates.items() if fate == "nested"} == found.nested
    assert {group for group, fate in fates.items() if fate == "intact"} == found.intact
    assert [tuple(fake["members"]) for fake in scene.extras["fakes"]] == sorted(found.fake)
    assert found.fake, "the story shows a group that never met"
    for fake in scene.extras["fakes"]:
        a, b, c = (set(one) for one in fake["by"])
        assert (a & b) | (b & c) | (a & c) <= a | b | c
        assert not any((a & b) | (b & c) | (a & c) <= set(group) for group in sets)
    for name, score in scene.extras["scores"].items():
        assert score["jaccard"] == compare(as_sets(scene.extras["guesses"][name]), sets).jaccard


def test_groups_as_people_write_them() -> None:
    sets, names = lost._read("ann, bob cid\n\nbob;cid\n")
    assert names == ["ann", "bob", "cid"]
    assert sets == {(0, 1, 2), (1, 2)}
    with pytest.raises(BadRequest, match="no group yet"):
        scene_of("lost-groups", source="my own", sets=" \n")
    with pytest.raises(BadRequest, match="up to"):
        scene_of("lost-groups", source="my own", sets=" ".join(f"m{i}" for i in range(21)))


def test_taking_a_group_away_takes_its_own_pairs_away() -> None:
    before = scene_of("lost-groups", source="my own", sets="a b\nb c d")
    controls = lost.ProjectionControls.parse({"source": "my own", "sets": "a b\nb c d"})
    after = lost.EXHIBIT.run(NO_PICTURE, controls, [Intervention("groups", "group", ((0, -1),))], lambda grid: None)
    assert before.layers[0].structures["graph"].num_edges == 4  # type: ignore[attr-defined]
    assert after.layers[0].structures["graph"].num_edges == 3  # type: ignore[attr-defined]
    with pytest.raises(BadRequest, match="does not exist"):
        lost.EXHIBIT.run(NO_PICTURE, controls, [Intervention("groups", "group", ((2, -1),))], lambda grid: None)


def test_the_story_of_the_women_is_true() -> None:
    scene = scene_of("lost-groups", source="Southern women")
    assert len(scene.extras["names"]) == 18
    assert "intact" not in scene.extras["fate"]


def test_a_judge_learns_live_and_says_how_well() -> None:
    scene, controls = scene_of("lost-groups"), lost.ProjectionControls()
    frames = list(lost.learn(scene, controls, {}))
    assert len(frames) > 3
    assert all(0 <= frame["jaccard"] <= 1 for frame in frames)
    assert frames[-1]["rho"]
    with pytest.raises(BadRequest, match="choose the clubs"):
        next(lost.learn(scene, lost.ProjectionControls.parse({"source": "Southern women"}), {}))


# ------------------------------------------------------------------------------------------------------ over-smoothing


def test_plain_steps_are_powers_of_the_normalised_adjacency() -> None:
    problem = oversmoothing.problem_of(oversmoothing.DepthControls())
    hops = oversmoothing.propagated(problem, 8).hops
    nodes = len(problem.label)
    a = torch.eye(nodes, dtype=torch.float64)
    a[problem.edge_index[1], problem.edge_index[0]] = 1
    scale = a.sum(1).rsqrt()
    power = problem.x.double()
    for step in range(9):
        torch.testing.assert_close(hops[:, step].double(), power, atol=1e-4, rtol=1e-4)
        power = scale[:, None] * a * scale @ power
    measures = {m.key: m.value for m in scene_of("over-smoothing").measures["hops"]}
    assert measures["deep_rough_end"] < 0.05 < measures["deep_rough_start"]
    assert measures["deep_homophily"] == pytest.approx(0.8, abs=0.01)


def test_the_steps_that_travel_are_all_at_first_and_the_last() -> None:
    for last in (1, 8, 64, 200):
        sent = shown_steps(last)
        assert sent[0] == 0
        assert sent[-1] == last
        assert sent == sorted(set(sent))
        assert sent[: min(last, 16) + 1] == list(range(min(last, 16) + 1))
        assert len(sent) < 45


@pytest.mark.parametrize(("kind", "depth", "pictures"), [("gcn", 2, 2), ("dagnn", 8, 9)])
def test_networks_learn_live_and_show_what_they_made_of_the_nodes(kind: str, depth: int, pictures: int) -> None:
    controls = oversmoothing.DepthControls.parse({"nodes": 120})
    scene = scene_of("over-smoothing", nodes=120)
    *frames, last = oversmoothing.train(scene, controls, {"kind": kind, "depth": depth})
    assert "steps" not in frames[0]
    assert unpack(last["steps"]).shape == (pictures, 120, 2)
    assert len(last["rough"]) == pictures
    assert last["test"] > 0.6
    assert last["loss"] < frames[0]["loss"]
    if kind == "dagnn":
        assert unpack(last["gate"]).shape == (120, depth + 1)
        assert len(last["alone"]) == depth + 1


@pytest.mark.parametrize("data", [{}, {"kind": "gin", "depth": 2}, {"kind": "gcn", "depth": 3}, {"kind": "gcn", "depth": True}])
def test_a_race_that_does_not_exist_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match="must be one of"):
        next(oversmoothing.train(scene_of("over-smoothing"), oversmoothing.DepthControls(), data))


# -------------------------------------------------------------------------------------------------------------- claims


@pytest.mark.parametrize(("slug", "key"), [("inside-out", "lossless"), ("lost-groups", "patterns"), ("lost-groups", "enron")])
def test_claims_are_measured(slug: str, key: str) -> None:
    claim = next(claim for claim in EXHIBITS[slug].claims if claim.key == key)
    found = claim.measure(None)
    assert found.figure
    assert found.holds in (True, None)


def test_claims_on_networks_without_weights_stay_open() -> None:
    for claim in EXHIBITS["graphabstract"].claims:
        found = claim.measure(None)
        assert found.figure == "not trained here yet" or found.holds is not None
