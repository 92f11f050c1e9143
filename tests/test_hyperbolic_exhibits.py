"""The exhibits of the hyperbolic wing: what travels to the page, what the settings change, stories that are true, live training, claims."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from explorer import examples, payload, runtime
from explorer.card import card
from explorer.diagnostics import hyperbolic as diagnostics
from explorer.diagnostics.measure import vocabulary
from explorer.exhibit import NO_PICTURE, BadRequest, Exhibit, Intervention, Scene
from explorer.exhibits.hyperbolic import classes, embeddings, h4g, resnet, trees
from explorer.exhibits.hyperbolic.trees import Asked
from explorer.looking import RANDOM_WEIGHTS
from explorer.views import view_of
from explorer.views.arrays import unpack
from explorer.views.disk import branches, disk_payload, drawn, geodesic, unit_disk
from models.hyperbolic import ball
from models.hyperbolic.embeddings import placed, sarkar
from models.hyperbolic.h4g import H4G, judge, merging, pair_distances, prepared
from models.hyperbolic.hierarchy import HierarchyError, balanced, cifar100
from models.hyperbolic.text_graphs import TextGraphError, text_graphs
from models.structures import Gyroplanes, NonFiniteError, PlanePoints, PoincarePoints, TangentField, TextPoints
from tests.canvas import poincare_numbers

CANVAS = Path(__file__).resolve().parents[1] / "explorer" / "canvas"
ALL: dict[str, Exhibit] = {module.EXHIBIT.slug: module.EXHIBIT for module in (embeddings, h4g)}
QUICK = {"poincare-embeddings": {"hierarchy": "yours", "epochs": 20}, "h4g": {"graph": "yours"}}


@lru_cache(maxsize=32)
def _scene(slug: str, settings: str) -> Scene:
    exhibit = ALL[slug]
    return exhibit.run(NO_PICTURE, exhibit.controls.parse(json.loads(settings)), (), lambda grid: None)


def scene_of(slug: str, **values: Any) -> Scene:
    return _scene(slug, json.dumps(ALL[slug].controls.parse({**QUICK[slug], **values}).model_dump()))


def sent(slug: str, **values: Any) -> dict[str, Any]:
    """What travels to the page."""
    controls = ALL[slug].controls.parse({**QUICK[slug], **values})
    found: dict[str, Any] = json.loads(payload.build(ALL[slug], scene_of(slug, **values), controls, image=""))
    return found


@pytest.fixture
def short_training(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Few steps and one graph behind each figure; nothing of it stays in the caches."""
    cached = (h4g.learned, h4g.curve, _scene)
    monkeypatch.setattr(h4g, "STEPS", 12)
    monkeypatch.setattr(h4g, "JUDGED", 1)
    monkeypatch.setattr(h4g, "RADII", (1.0, 8.0))
    for one in cached:
        one.cache_clear()
    yield
    for one in cached:
        one.cache_clear()


# ------------------------------------------------------------------------------------------------------- points that travel


def tree() -> PoincarePoints:
    return placed(sarkar(balanced(3, 3), 1.5), balanced(3, 3))


def test_points_travel_as_tangent_vectors_that_keep_their_distances() -> None:
    points = tree()
    flat = torch.from_numpy(unpack(disk_payload(points)["points"]).astype(np.float64))
    found = ball.tangent_distance(flat[:, None], flat[None], 1.0)
    torch.testing.assert_close(found, points.distances(), atol=1e-4, rtol=1e-4)


def test_another_curvature_travels_in_its_own_units() -> None:
    points = PoincarePoints(tree().points / 0.25**0.5, 0.25)
    np.testing.assert_allclose(drawn(points), drawn(tree()), atol=1e-9)
    assert disk_payload(points)["curvature"] == 0.25


def test_points_of_other_dimensions_and_broken_ones_are_refused() -> None:
    with pytest.raises(ValueError, match="5 dimensions cannot be drawn"):
        drawn(PoincarePoints(torch.zeros(4, 5), 1.0))
    with pytest.raises(NonFiniteError, match="embedding"):
        drawn(PlanePoints(torch.full((3, 2), float("nan"))))


def test_branches_cover_a_tree_and_are_subtrees() -> None:
    for found, count in ((cifar100(), 20), (balanced(2, 5), 7), (balanced(3, 4), 7)):
        branch, tops = branches(found.edges, len(found))
        assert len(tops) == count
        assert (branch >= 0).mean() > 0.5
        for number, top in enumerate(tops):
            below = found.ancestors[:, top].numpy()
            np.testing.assert_array_equal(branch == number, below | (np.arange(len(found)) == top))


def test_branches_of_points_without_a_tree() -> None:
    branch, tops = branches(torch.zeros(2, 0, dtype=torch.int64), 5)
    assert set(branch) <= {-1, 0, 1, 2, 3, 4}
    assert len(tops) <= 7


def test_the_drawn_geodesic_is_that_of_the_ball() -> None:
    x, y = tree().points[5], tree().points[30]
    steps = torch.linspace(0, 1, 24, dtype=torch.float64)[:, None]
    np.testing.assert_allclose(geodesic(x.numpy(), y.numpy()), ball.geodesic(x, y, steps, 1.0).numpy(), atol=1e-12)


def test_the_plane_is_drawn_to_scale() -> None:
    points = PlanePoints(torch.randn(200, 2, generator=torch.Generator().manual_seed(0)) * 7)
    at = unit_disk(points)
    assert (np.linalg.norm(at, axis=1) <= 0.9 + 1e-9).mean() >= 0.97
    ratio = at / points.points.numpy()
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-5)


def test_the_numbers_that_the_canvas_is_held_to_are_those_of_python() -> None:
    stored = json.loads(poincare_numbers.FILE.read_text(encoding="utf-8"))
    for key, values in poincare_numbers.cases().items():
        if isinstance(values, list):
            np.testing.assert_allclose(stored[key], values, rtol=1e-12, atol=1e-12, err_msg=key)


# ------------------------------------------------------------------------------------------------------------- the payload


@pytest.mark.usefixtures("short_training")
@pytest.mark.parametrize("slug", ALL)
def test_a_payload_holds_what_the_page_needs(slug: str) -> None:
    found, scene = sent(slug), scene_of(slug)
    assert found["picture"] is None
    assert found["examples"] == []
    assert found["views"] == list(ALL[slug].views)
    kinds = {"poincare-embeddings": "disk", "h4g": "textdisk"}
    for body, layer in zip(found["layers"], scene.layers, strict=True):
        assert body["kind"] == kinds[slug]
        points = unpack(body["disk"]["points"])
        assert points.shape == (body["grid"][0], 2)
        assert np.isfinite(points).all()
        assert {m["key"] for m in unpack(found["measures"])["layers"][layer.name]} <= set(vocabulary())
    assert found["layers"][0]["disk"]["nodes"] is not None
    assert all(body["disk"]["nodes"] is None for body in found["layers"][1:]), "the nodes of one tree travel once"


@pytest.mark.usefixtures("short_training")
@pytest.mark.parametrize("slug", ALL)
def test_the_gallery_card_and_the_figure_can_be_drawn(slug: str) -> None:
    scene = scene_of(slug)
    drawing = card(scene, {"layer": 0})
    assert drawing.count("<circle") > 5
    view, points = view_of(scene.layers[0].structures) or pytest.fail("nothing draws it")
    json.dumps(payload.plain(view.numbers(points)), allow_nan=False)
    if view.figure:
        figure = view.figure(scene.layers[0].structures, NO_PICTURE, "a title")
        assert figure.axes[0].get_title() == "a title"
        assert b"name,x1,x2,depth" in next(iter(view.files(points).values()))


def ends(slug: str) -> Iterator[tuple[str, Any]]:
    """Both ends of every range and switch, every choice, except what is trained for long."""
    for widget in ALL[slug].controls.widgets():
        if widget["kind"] == "range":
            yield from ((widget["name"], widget[key]) for key in ("min", "max"))
        elif widget["kind"] == "choice":
            yield from ((widget["name"], value) for value in widget["options"])


@pytest.mark.usefixtures("short_training")
@pytest.mark.parametrize("slug", ALL)
def test_each_end_of_each_control_is_shown(slug: str) -> None:
    for name, value in ends(slug):
        if value == "mammals":
            continue  # its own test
        body = sent(slug, **{name: value})["layers"][0]
        assert unpack(body["disk"]["points"]).shape == (body["grid"][0], 2), (name, value)


def test_controls_change_what_is_shown() -> None:
    def points(**values: Any) -> list[list[float]]:
        return [layer.structures["points"].points.tolist() for layer in scene_of("poincare-embeddings", **values).layers]  # type: ignore[attr-defined]

    usual = points()
    assert points(rate=0.05)[0] != usual[0]
    assert points(epochs=40)[0] != usual[0]
    assert points(dimension=5)[2] != usual[2]
    assert len(points(tree="a, b\nb, c\nd, c")[0]) == 4
    assert len(points(hierarchy="balanced", branching=3, depth=2)[0]) == 13


# ------------------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "0 nodes"), ("a", 'each line should read "child, parent"'), ("a, b\nb, a", "run in a circle"), ("a, a", "its own parent")],
)
def test_a_tree_that_is_none_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(HierarchyError, match=re.escape(said)):
        scene_of("poincare-embeddings", tree=text)


def test_too_large_a_tree_is_refused_and_too_many_tops_get_a_root() -> None:
    many = "\n".join(f"n{i}, r" for i in range(200))[:1999].rpartition("\n")[0]
    with pytest.raises(BadRequest, match="up to 150 are embedded"):
        scene_of("poincare-embeddings", tree=many)
    scene = scene_of("poincare-embeddings", tree="a, b\nc, d")
    assert any("several tops" in note for note in scene.notes)
    assert scene.layers[0].structures["points"].points.shape == (5, 2)  # type: ignore[attr-defined]


def test_a_node_may_have_two_parents_then_nothing_is_constructed() -> None:
    names = [layer.name for layer in scene_of("poincare-embeddings", tree="a, b\na, c\nb, d\nc, d").layers]
    assert "constructed" not in names
    assert "learned" in names


@pytest.mark.usefixtures("short_training")
def test_cuts_mean_nothing_here() -> None:
    for slug, exhibit in ALL.items():
        with pytest.raises(BadRequest, match="cut"):
            exhibit.run(NO_PICTURE, exhibit.controls.parse(QUICK[slug]), [Intervention("*", "patch", ((0, -1),))], lambda grid: None)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"nodes": "name\nx"}, 'no column "text"'),
        ({"edges": "source,target\np1,nobody"}, "nobody"),
        ({"classes": "name,text\na,b"}, "at least 2"),
    ],
)
def test_tables_that_are_no_graph_are_refused_in_words(changed: dict[str, str], said: str) -> None:
    with pytest.raises(TextGraphError, match=said):
        scene_of("h4g", **changed)


# ------------------------------------------------------------------------------------------------------------- live training


def test_a_watched_training_ends_where_the_shown_one_did() -> None:
    controls = embeddings.EmbeddingControls.parse(QUICK["poincare-embeddings"])
    scene = scene_of("poincare-embeddings")
    frames = list(embeddings.watch(scene, controls, {}))  # type: ignore[arg-type]
    assert frames[0]["epoch"] == 0
    assert frames[-1]["epoch"] == controls.epochs  # type: ignore[attr-defined]
    assert len(frames) <= 62
    for name in (embeddings.LEARNED, embeddings.FLAT):
        own = next(layer for layer in scene.layers if layer.name == name).structures["points"]
        np.testing.assert_allclose(unpack(frames[-1][name]["points"]), drawn(own), rtol=1e-6)  # type: ignore[arg-type]
    assert frames[-1][embeddings.LEARNED]["map"] > frames[0][embeddings.LEARNED]["map"]


def test_a_watched_training_can_be_stopped() -> None:
    frames = embeddings.watch(scene_of("poincare-embeddings"), embeddings.EmbeddingControls.parse(QUICK["poincare-embeddings"]), {})  # type: ignore[arg-type]
    next(frames)
    frames.close()  # type: ignore[attr-defined]
    assert list(frames) == []


@pytest.mark.usefixtures("short_training")
def test_the_training_of_h4g_ends_in_the_state_on_show() -> None:
    controls = h4g.H4GControls.parse(QUICK["h4g"])
    scene = scene_of("h4g")
    *_, last = h4g.watch(scene, controls, {})  # type: ignore[arg-type]
    after = scene.layers[1].structures["points"]
    assert isinstance(after, TextPoints)
    assert last["step"] == h4g.STEPS
    np.testing.assert_allclose(unpack(last["points"]), after.drawn().numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(last["factors"], scene.extras["factors"], rtol=1e-6)


# ----------------------------------------------------------------------------------------------------------- texts in the ball


def test_the_parts_of_text_points_say_all_that_the_browser_needs() -> None:
    graph = text_graphs(source=1, target=1)[1][0]
    model = H4G(kappa=2.0)
    nodes, classes = (model.tangents(z).detach() for z in prepared(graph))
    plane = torch.eye(96)[:2]
    points = TextPoints(nodes, classes, graph.label, graph.edges, plane, 3)
    m = torch.tensor([0.5, 1.3, 0.2])
    scaled = m.repeat_interleave(32)
    norms = (m.square()[:, None] * points.part_norms()).sum(0).sqrt()
    torch.testing.assert_close(norms[: len(nodes)], (nodes * scaled).norm(dim=1))
    torch.testing.assert_close(
        (m.square()[:, None, None] * points.part_products()).sum(0), (nodes * scaled) @ (classes * scaled).T, atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(
        (m[:, None, None] * points.drawn_parts()).sum(0), torch.cat([nodes, classes]) * scaled @ plane.T, atol=1e-5, rtol=1e-4
    )
    torch.testing.assert_close(points.distances().float(), pair_distances(nodes, classes), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(points.between()[:5, :7].float(), pair_distances(nodes[:5], nodes[:7]), atol=2e-3, rtol=1e-3)


def test_the_diagnostics_of_texts_agree_with_the_judge() -> None:
    graph = text_graphs(source=1, target=1)[1][0]
    model = H4G(kappa=3.0)
    points = h4g.placed(model, graph, torch.eye(96)[:2])
    found = {m.key: m.value for m in diagnostics.text_summary(points)}
    judged = judge(model, [graph])
    assert found["zero_shot_accuracy"] == pytest.approx(judged.accuracy, abs=1e-6)
    assert found["cosine_accuracy"] == pytest.approx(judged.cosine_accuracy, abs=1e-6)
    assert found["mean_radius"] == pytest.approx(judged.radius, rel=1e-5)
    assert found["distance_contrast"] == pytest.approx(judged.contrast, rel=2e-2)
    assert found["beyond_float32"] == pytest.approx(judged.clipped, abs=1e-6)


# ----------------------------------------------------------------------------------------------------------------- diagnostics


def test_children_farther_out_than_their_parents() -> None:
    found = {m.key: m for m in diagnostics.points_summary(tree(), balanced(3, 3).ancestors)}
    assert found["outward_edges"].value == 1
    inside_out = PoincarePoints(-tree().points.flip(0), 1.0, (), balanced(3, 3).edges, balanced(3, 3).depth)
    assert diagnostics.outward(inside_out) < 0.5
    with pytest.raises(diagnostics.NotMeasurable):
        diagnostics.outward(PoincarePoints(tree().points, 1.0))


def test_the_plane_is_measured_like_the_disk_where_both_can_be() -> None:
    rough = PlanePoints(torch.randn(40, 2, generator=torch.Generator().manual_seed(1)), edges=balanced(3, 3).edges)
    keys = [m.key for m in diagnostics.plane_summary(rough, balanced(3, 3).ancestors)]
    assert keys == [k for k in (m.key for m in diagnostics.points_summary(tree(), balanced(3, 3).ancestors)) if k in keys]


# ------------------------------------------------------------------------------------------------------------------- the story


def look_fields() -> set[str]:
    own = set(re.findall(r"^ {4}(\w+): \[", (CANVAS / "core.js").read_text(encoding="utf-8"), re.MULTILINE))
    for name in ("disk", "textdisk"):
        own |= set(re.findall(r'HS\.lookField\("(\w+)"', (CANVAS / "instruments" / f"{name}.js").read_text(encoding="utf-8")))
    return own


@pytest.mark.parametrize("slug", ALL)
def test_a_story_fits_its_exhibit(slug: str) -> None:
    story = ALL[slug].story()
    assert 5 <= len(story) <= 9
    assert len({step["title"] for step in story}) == len(story)
    assert story[0]["state"]["controls"] == ALL[slug].controls().model_dump()
    panels = {
        name
        for path in (CANVAS / "panels").glob("*.js")
        for name in re.findall(r'HS\.panel\(\{\s*name: "([\w-]+)"', path.read_text(encoding="utf-8"))
    }
    assert set(ALL[slug].views) <= panels
    for step in story:
        assert 1 <= len(re.findall(r"[.!?](?:\s|$)", step["text"])) <= 3
        assert len(step["text"]) <= 330
        assert len(step["title"]) <= 60
        assert step["highlight"] in {"canvas", "film", "diagnostics", "controls"} | {f"panel:{name}" for name in ALL[slug].views}
        assert set(step["state"]["look"]) <= look_fields()
        assert step["state"]["look"].get("tab", ALL[slug].views[0]) in ALL[slug].views


@pytest.mark.skipif(trees.shipped("mammals") is None, reason="the embeddings of the mammals do not ship here")
def test_the_story_of_the_mammals_is_true() -> None:
    exhibit = ALL["poincare-embeddings"]
    controls = exhibit.controls.parse({"hierarchy": "mammals"})
    scene = exhibit.run(NO_PICTURE, controls, (), lambda grid: None)
    points = scene.layers[0].structures["points"]
    assert isinstance(points, PoincarePoints)
    assert len(points.points) == 1177
    assert points.labels[199].startswith("dog")
    view = exhibit.story()[5]["state"]["look"]["diskView"]
    np.testing.assert_allclose(view[:2], drawn(points)[199], atol=1e-5)
    measured = {layer.name: {m.key: m.value for m in scene.measures[layer.name]} for layer in scene.layers}
    assert measured["horopca"]["distortion_average"] == pytest.approx(0.09, abs=0.005)
    assert measured["tangent"]["distortion_average"] == pytest.approx(0.29, abs=0.005)
    assert measured["umap"]["distortion_average"] == pytest.approx(0.38, abs=0.005)
    assert measured["learned"]["outward_edges"] == pytest.approx(0.98, abs=0.005)
    assert measured["learned"]["clipped_points"] == pytest.approx(0.64, abs=0.005)
    text = payload.build(exhibit, scene, controls, image="")
    assert len(text) < 120_000
    rows = scene.extras["dimensions"]["rows"]
    best = {g: np.mean([row["map"] for row in rows if (row["geometry"], row["dimension"]) == (g, 10)]) for g in ("poincare", "euclidean")}
    assert best["poincare"] > 0.9 > 0.58 > best["euclidean"]


@pytest.mark.skipif(trees.shipped("classes") is None, reason="the embeddings of the classes do not ship here")
def test_the_story_of_the_classes_is_true() -> None:
    exhibit = ALL["poincare-embeddings"]
    scene = exhibit.run(NO_PICTURE, exhibit.controls(), (), lambda grid: None)
    points = scene.layers[0].structures["points"]
    assert isinstance(points, PoincarePoints)
    assert len(points.points) == 121
    assert [points.labels[node] for node in (0, 62, 33)] == ["all classes", "leopard", "rose"]
    view, leopard = np.array(exhibit.story()[1]["state"]["look"]["diskView"][:2]), drawn(points)[62]
    assert view @ leopard > 0.97 * np.linalg.norm(view) * np.linalg.norm(leopard), "dragged towards the leopard"
    measured = {layer.name: {m.key: m.value for m in scene.measures[layer.name]} for layer in scene.layers}
    assert measured["learned"]["ancestor_precision"] == pytest.approx(0.92, abs=0.005)
    assert measured["flat"]["ancestor_precision"] == pytest.approx(0.32, abs=0.005)


def test_the_story_of_h4g_is_true() -> None:
    exhibit = ALL["h4g"]
    scene = exhibit.run(NO_PICTURE, exhibit.controls(), (), lambda grid: None)
    before, after = ({m.key: m.value for m in scene.measures[name]} for name in ("before", "after"))
    assert before["zero_shot_accuracy"] == pytest.approx(0.5, abs=0.03)
    assert after["zero_shot_accuracy"] == pytest.approx(0.95, abs=0.02)
    assert after["mean_radius"] == pytest.approx(1.5, abs=0.1)
    assert after["cosine_accuracy"] > after["zero_shot_accuracy"]
    curve = scene.extras["curve"]
    assert (np.diff(curve["accuracy"]) <= 0.01).all()
    assert curve["clipped_accuracy"][-1] == pytest.approx(curve["cosine"][-1], abs=0.01)
    each = np.reshape(scene.extras["factors"], (3, -1)).mean(1)
    assert each.argmax() == 2
    other, _ = h4g.learned(0.1, 0, 6.0, 0.0)
    assert other.factors.view(3, -1).mean(1).argmax() == 0


# ----------------------------------------------------------------------------------------------------------------- embeddings


def test_what_ships_is_taken_and_what_does_not_is_trained() -> None:
    assert trees.hierarchy(Asked("balanced", branching=2, depth=2)).names == balanced(2, 2).names
    one = trees.points(Asked("balanced", branching=2, depth=2), "poincare", 2, 0.3, 30)
    assert one.shape == (7, 2)
    found = trees.shipped("mammals")
    if found is not None:
        assert torch.equal(trees.points(Asked("mammals"), "euclidean", 5, 0.3, 30), found.points["euclidean", 5])


# ----------------------------------------------------------------------------------------------------------- neighbours that merge


def test_neighbourhoods_are_those_of_all_distances() -> None:
    graph = text_graphs(source=1, target=1, nodes=30, seed=3)[1][0]
    nodes, _ = prepared(graph)
    label = graph.label.clone()
    label[:4] = -1
    for radius, found in zip((1.0, 6.0), merging(nodes, label, (1.0, 6.0), neighbours=3, bins=10), strict=True):
        assert found.radius == radius
        half = nodes.double() * radius / (2 * nodes.double().norm(dim=1).mean())
        distances = ball.tangent_distance(half[:, None], half[None], 1.0).numpy()
        mean = distances[np.triu_indices(30, 1)].mean()
        near = [sorted((j for j in range(30) if j != i), key=lambda j, i=i: distances[i, j])[:3] for i in range(30)]
        assert found.nearest.tolist() == [row[0] for row in near]
        flat = [j for row in near for j in row]
        assert found.hub == pytest.approx(max(flat.count(j) for j in range(30)) / 29)
        judged = [(i, j) for i, row in enumerate(near) for j in row if label[i] >= 0 and label[j] >= 0]
        assert found.alike == pytest.approx(np.mean([label[i] == label[j] for i, j in judged]), abs=1e-6)
        for part, spread in ((True, found.within), (False, found.across)):
            pairs = [(i, j) for i in range(4, 30) for j in range(i + 1, 30) if bool(label[i] == label[j]) is part]
            counts, _ = np.histogram([distances[i, j] / mean for i, j in pairs], bins=10, range=(0, 2))
            np.testing.assert_allclose(spread.numpy(), counts / len(pairs), atol=1.5 / len(pairs))


def test_neighbourhoods_merge_when_the_radius_grows() -> None:
    graph = text_graphs(source=1, target=1, homophily=0.85, seed=0)[1][0]
    close, far = merging(prepared(graph)[0], graph.label, (0.5, 8.0))
    assert close.overlap < far.overlap
    assert close.alike > 0.7 > 0.5 > far.alike
    assert close.hub < 0.3 < 0.9 < far.hub
    with pytest.raises(ValueError, match="at least 2"):
        merging(torch.ones(1, 4), torch.zeros(1, dtype=torch.int64), (1.0,))


def test_texts_of_unknown_class_have_neighbours_too() -> None:
    extras = scene_of("h4g", nodes="name,text,class\na,spoons forks,\nb,forks,\nc,ships sea,\n", edges="source,target\na,b\n").extras[
        "merging"
    ]["before"]
    assert extras["alike"] == [None] * len(extras["radius"])
    assert unpack(extras["nearest"]).shape == (len(extras["radius"]), 3)


# ------------------------------------------------------------------------------------------------------------ the class disk


def class_scene(**values: Any) -> Scene:
    exhibit = classes.EXHIBIT
    return exhibit.run(examples.picture(exhibit.example), exhibit.controls.parse(values), (), lambda grid: None)


def landed(scene: Scene) -> PoincarePoints:
    points = scene.layers[0].structures["points"]
    assert isinstance(points, PoincarePoints)
    return points


def test_a_picture_hangs_below_the_class_that_is_nearest() -> None:
    scene = class_scene()
    points = landed(scene)
    assert points.labels[121] == classes.YOURS
    assert len(points.points) == 121 + len(examples.offered()), "the example on show does not stand twice"
    assert points.edges is not None
    assert points.depth is not None
    leaf = points.depth[:121] == 2
    for parent, child in points.edges.T.tolist():
        if child >= 121:
            far = ball.distance(points.points[child], points.points[:121], 1.0)
            assert far[parent] == pytest.approx(float(far[leaf].min()), rel=1e-4)
    above = dict(points.edges.T.flip(1).tolist())
    assert points.labels[above[121]] == scene.prediction[0][0]
    assert scene.extras["pictures"]["nodes"] == list(range(121, len(points.points)))
    assert scene.extras["landing"]["radius"] == pytest.approx(float(points.radius()[121]), rel=1e-4)
    assert len(json.dumps(payload.build(classes.EXHIBIT, scene, classes.EXHIBIT.controls(), image="bear"))) < 120_000


def test_a_ray_between_two_classes_is_as_far_from_both() -> None:
    model = runtime.model(classes.MODEL).model
    assert isinstance(model, classes.ClassDisk)
    rays = unpack(class_scene().extras["rays"]).astype(np.float64)
    assert len(rays) == 100
    for radius in (0.3, 2.0):
        on = radius * torch.from_numpy(np.stack([np.cos(rays), np.sin(rays)], 1)).float()
        nearest = model.distances(on)[:, model.leaf].sort(dim=1).values
        torch.testing.assert_close(nearest[:, 0], nearest[:, 1], atol=1e-4, rtol=1e-4)
        assert (nearest[:, 2] - nearest[:, 1] > 1e-4).all()


def test_a_picture_pulled_to_the_centre_keeps_its_answer_and_loses_its_certainty() -> None:
    far, near, middle = (class_scene(shrink=value, others=False) for value in (1.5, 0.5, 0.0))
    assert far.prediction[0][0] == near.prediction[0][0]
    assert far.prediction[0][1] > near.prediction[0][1] > middle.prediction[0][1] - 1e-9
    assert middle.prediction[0][1] == pytest.approx(0.01, abs=1e-4)
    assert len(landed(far).points) == 122
    with pytest.raises(BadRequest, match="no edges to cut"):
        classes.run(examples.picture("bear"), classes.ClassControls(), (Intervention("patch", "disk", 0),))


def test_the_class_disk_without_weights_says_so() -> None:
    assert (RANDOM_WEIGHTS in class_scene().notes) != runtime.model(classes.MODEL).trained


# ------------------------------------------------------------------------------------------------------------ Poincaré ResNet


def test_a_slice_of_a_boundary_lies_on_the_boundary() -> None:
    generator = torch.Generator().manual_seed(2)
    normals = torch.randn(6, 5, dtype=torch.float64, generator=generator)
    normals /= normals.norm(dim=1, keepdim=True)
    offsets = torch.tensor([-0.9, -0.2, 0.0, 0.1, 0.4, 1.5], dtype=torch.float64)
    planes = Gyroplanes(normals, offsets, torch.ones(6), 0.4)
    basis = torch.linalg.qr(torch.randn(5, 2, dtype=torch.float64, generator=generator)).Q.T
    inside, cut = planes.sliced(basis)
    met = 0
    for k in range(6):
        if not cut[k].isfinite():
            side = planes.distances(PoincarePoints(torch.randn(50, 2, dtype=torch.float64, generator=generator) * 0.2 @ basis, 0.4))[:, k]
            assert (side * cut[k].sign() < 0).all(), "the slice lies on one side"
            continue
        met += 1
        slice_plane = Gyroplanes(inside[k : k + 1], cut[k : k + 1], torch.ones(1), 0.4)
        start = slice_plane.nearest()[0]
        along = torch.stack([-inside[k, 1], inside[k, 0]])
        for t in (-0.8, 0.0, 0.8):
            ideal = ball.mobius_add(start, along * t, 0.4) @ basis
            assert planes.distances(PoincarePoints(ideal[None], 0.4))[0, k].abs() < 1e-9
    assert met >= 3


@lru_cache(maxsize=16)
def _network_scene(settings: str) -> Scene:
    exhibit = resnet.EXHIBIT
    return exhibit.run(examples.picture(exhibit.example), exhibit.controls.parse(json.loads(settings)), (), lambda grid: None)


def network_scene(**values: Any) -> Scene:
    return _network_scene(json.dumps(values))


def medians(scene: Scene) -> dict[str, list[float]]:
    return {line["name"]: line["median"] for line in scene.extras["profiles"]}


def test_every_layer_of_the_network_is_a_map_of_radii() -> None:
    scene = network_scene()
    controls = resnet.EXHIBIT.controls()
    found = json.loads(payload.build(resnet.EXHIBIT, scene, controls, image="cat"))
    assert len(found["layers"]) == 19
    assert len({layer["label"] for layer in found["layers"]}) == 19
    for body, layer in zip(found["layers"], scene.layers, strict=True):
        field = layer.structures["field"]
        assert isinstance(field, TangentField)
        radius = unpack(body["maps"]["radius"])
        np.testing.assert_allclose(radius, field.radius[0].flatten(), atol=float(radius.max()) / 200 + 1e-6)
        assert body["kind"] == "field"
        assert body["field"]["limit"] == pytest.approx(2 * 9.82, abs=0.02)
    assert len(json.dumps(found)) < 120_000


def test_an_ordinary_start_collapses_and_the_identity_start_does_not() -> None:
    told = medians(network_scene())
    assert min(told["ordinary start"]) < 1e-3 < 1e-2 < min(told["identity start"])
    steps = [told[name][1] / told[name][0] for name in ("ordinary start", "identity start")]
    assert 1 / steps[0] == pytest.approx(14, abs=2)
    assert 1 / steps[1] == pytest.approx(3.4, abs=0.5)
    linear = {line["name"]: line["median"] for line in network_scene().extras["linear"]}
    assert linear["identity start"][-1] == pytest.approx(linear["identity start"][0], rel=1e-4)
    assert linear["ordinary start"][-1] < 1e-9


def test_what_is_shown_is_what_was_chosen() -> None:
    for weights, norm, name in (("ordinary start", False, "ordinary start"), ("identity start", True, "identity start, batch norm")):
        scene = network_scene(weights=weights, norm=norm)
        assert medians(scene)[f"shown: {weights}"] == pytest.approx(medians(scene)[name])
        assert len(scene.layers) == (19 if norm else 12)


def test_curvature_reaches_every_layer_and_leaves_the_shared_network_alone() -> None:
    bent = network_scene(curvature=1.0)
    assert all(layer.structures["field"].curvature == 1.0 for layer in bent.layers)  # type: ignore[attr-defined]
    usual = resnet.EXHIBIT.run(examples.picture("cat"), resnet.EXHIBIT.controls(), (), lambda grid: None)
    assert all(layer.structures["field"].curvature == pytest.approx(0.1) for layer in usual.layers)  # type: ignore[attr-defined]
    assert usual.prediction == network_scene().prediction


def test_remembered_statistics_do_not_leak_and_those_of_a_batch_do() -> None:
    still, leaky = network_scene().extras["batch"]["change"]
    assert still < 1e-3 < leaky
    changed = network_scene(batch_statistics=True)
    assert changed.prediction != network_scene().prediction
    assert (
        resnet.EXHIBIT.run(examples.picture("cat"), resnet.EXHIBIT.controls(), (), lambda grid: None).prediction
        == network_scene().prediction
    )


def test_the_slice_holds_the_picture_and_its_boundaries() -> None:
    landing = network_scene().extras["landing"]
    place, normals, offsets = (landing["slice"][key] for key in ("point", "normals", "offsets"))
    assert place[1] == pytest.approx(0, abs=1e-9)
    assert 2 * place[0] / 0.1**0.5 == pytest.approx(landing["radius"], rel=1e-6), "the picture lies in the slice"
    assert len(normals) == len(offsets) == 10
    points = network_scene().extras["mean"]
    assert len(points) == resnet.MEAN_POINTS
    assert np.isfinite(points).all()


def test_a_page_without_trained_weights_says_so() -> None:
    trained = runtime.model(resnet.MODEL).trained and runtime.model(resnet.TWIN).trained
    assert (RANDOM_WEIGHTS in network_scene().notes) != trained


def test_the_story_of_the_network_fits() -> None:
    story = resnet.EXHIBIT.story()
    assert 5 <= len(story) <= 9
    for step in story:
        assert len(step["text"]) <= 330
        scene = network_scene(**step["state"]["controls"])
        layer = scene.layers[step["state"]["look"].get("layer", 0)]
        assert isinstance(layer.structures["field"], TangentField)
        assert all(pin < np.prod(layer.structures["field"].grid) for pin in step["state"]["look"].get("pins", []))
        assert step["highlight"] in {"canvas", "film", "controls"} | {f"panel:{name}" for name in resnet.EXHIBIT.views}
