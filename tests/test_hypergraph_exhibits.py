"""The exhibits of soft hypergraphs: what a visitor changes reaches the network, what is said of it is true."""

from __future__ import annotations

import base64
import io
import json
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from explorer import examples, payload, runtime, service
from explorer.diagnostics import NotMeasurable
from explorer.exhibit import BadRequest, Controls, Exhibit, Intervention, Scene
from explorer.exhibits.hypergraphs import claims, forms, softhgnn, visitors, yolov13
from explorer.exhibits.hypergraphs.look import ALIKE, layer_of
from explorer.views.arrays import unpack
from models import zoo
from models.structures import SoftHypergraph, Tunnel
from models.structures.hypergraph import best_scored

EXHIBITS: dict[str, Exhibit] = {one.slug: one for one in (softhgnn.EXHIBIT, forms.EXHIBIT, yolov13.EXHIBIT)}
OWN = {
    "softhgnn": softhgnn.LAYER,
    "hyperedge-forms": "softvit_dense",
    "yolov13": next(iter(yolov13.BRANCHES)),
}  # a layer that can be changed
NIGHT = examples.picture("night")
HEARD = pytest.mark.skipif(not (zoo.WEIGHTS / "yolov13_micro.safetensors").exists(), reason="the gates of an untrained detector are shut")
SLUGS = [pytest.param(slug, marks=HEARD if slug == "yolov13" else ()) for slug in EXHIBITS]


@pytest.fixture(autouse=True)
def on_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "catalogue", lambda: (EXHIBITS, []))


def controls_of(slug: str, **values: Any) -> Controls:
    return EXHIBITS[slug].controls.parse(values)


def run(slug: str, *cuts: Intervention, **values: Any) -> Scene:
    return service.compute(slug, service.example(EXHIBITS[slug].example), controls_of(slug, **values), cuts)


@lru_cache(maxsize=32)
def _usual(slug: str, settings: str) -> Scene:
    return run(slug, **json.loads(settings))


def usual(slug: str, **values: Any) -> Scene:
    return _usual(slug, json.dumps(values))


def hypergraph(scene: Scene, name: str) -> SoftHypergraph:
    (found,) = (layer.structures["hypergraph"] for layer in scene.layers if layer.name == name)
    assert isinstance(found, SoftHypergraph)
    return found


def answers(scene: Scene) -> Any:
    """What the network said, however finely."""
    found = scene.extras.get("detections", {})
    return scene.prediction, scene.extras.get("predictions"), found.get("boxes"), scene.extras.get("tunnels")


# ---------------------------------------------------------------------------------------------------------------- cuts


@pytest.mark.parametrize("slug", SLUGS)
def test_a_hyperedge_that_is_switched_off_says_nothing_and_the_others_stay(slug: str) -> None:
    name = OWN[slug]
    before = hypergraph(usual(slug), name)
    edge = int(before.load()[0].argmax())
    after = run(slug, Intervention(name, "hyperedge", ((edge, -1),)))
    cut = hypergraph(after, name)
    kept = [m for m in range(before.hyperedges) if m != edge]
    assert not cut.participation[0, :, edge].any()
    assert not cut.active()[0, edge]
    torch.testing.assert_close(cut.participation[..., kept], before.participation[..., kept])
    assert repr(answers(after)) != repr(answers(usual(slug))), "the network is told something else"


@pytest.mark.parametrize("slug", SLUGS)
def test_a_patch_that_is_taken_out_is_in_no_hyperedge(slug: str) -> None:
    name = OWN[slug]
    before = hypergraph(usual(slug), name)
    patch = int(before.patches()[0].sum(1).argmax())
    after = run(slug, Intervention("*", "patch", ((patch, -1),)))
    for layer in after.layers:
        found = layer.structures.get("hypergraph")
        if isinstance(found, SoftHypergraph) and found.queries is not None:
            assert not found.patches()[0, patch].any()
    assert repr(answers(after)) != repr(answers(usual(slug)))


@pytest.mark.parametrize("slug", EXHIBITS)
def test_cuts_that_mean_nothing_are_refused(slug: str) -> None:
    with pytest.raises(BadRequest, match="no layer named 'nowhere'"):
        run(slug, Intervention("nowhere", "patch", ((3, -1),)))
    count = hypergraph(usual(slug), OWN[slug]).hyperedges
    with pytest.raises(BadRequest, match=f"no hyperedge {count}"):
        run(slug, Intervention(OWN[slug], "hyperedge", ((count, -1),)))
    patches = int(np.prod(usual(slug).layers[0].structures["hypergraph"].grid))  # type: ignore[attr-defined]
    with pytest.raises(BadRequest, match=f"no patch {patches}"):
        run(slug, Intervention(OWN[slug], "patch", ((patches, -1),)))


@pytest.mark.parametrize("slug", EXHIBITS)
def test_without_any_hyperedge_a_network_still_answers(slug: str) -> None:
    everything = tuple((m, -1) for m in range(hypergraph(usual(slug), OWN[slug]).hyperedges))
    after = run(slug, Intervention(OWN[slug], "hyperedge", everything))
    text = payload.build(EXHIBITS[slug], after, controls_of(slug), image=EXHIBITS[slug].example)
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} in the payload"))
    assert not hypergraph(after, OWN[slug]).participation.any()


def test_what_a_hyperedge_is_worth_is_what_its_cut_costs() -> None:
    before = usual("softhgnn")
    label, probability = before.prediction[0]
    for edge in (0, 5):
        after = dict(run("softhgnn", Intervention(softhgnn.LAYER, "hyperedge", ((edge, -1),))).prediction)
        assert before.extras["worth"][softhgnn.LAYER][edge] == pytest.approx(probability - after[label], abs=1e-5)


# ------------------------------------------------------------------------------------------------------------- settings


def test_prototypes_of_another_picture_are_those_that_it_has_itself() -> None:
    bear = service.compute("softhgnn", service.example("bear"), controls_of("softhgnn"))
    lent = hypergraph(usual("softhgnn", prototypes="bear"), softhgnn.LAYER)
    torch.testing.assert_close(lent.prototypes, hypergraph(bear, softhgnn.LAYER).prototypes)
    torch.testing.assert_close(lent.queries, hypergraph(usual("softhgnn"), softhgnn.LAYER).queries)
    own = hypergraph(usual("softhgnn", prototypes="bus"), softhgnn.LAYER)
    torch.testing.assert_close(own.participation, hypergraph(usual("softhgnn"), softhgnn.LAYER).participation)


def test_prototypes_can_be_lent_by_pictures_that_ship() -> None:
    options = next(widget for widget in softhgnn.SoftHGNNControls.widgets() if widget["name"] == "prototypes")["options"]
    assert set(options) - {softhgnn.OWN} <= set(examples.examples())


def test_the_words_of_a_choice_name_its_options() -> None:
    for exhibit in EXHIBITS.values():
        for widget in exhibit.controls.widgets():
            assert set(widget.get("words", {})) in (set(), set(widget.get("options", [])))


def test_every_number_of_choices_is_what_a_run_with_it_gives() -> None:
    scene = usual("softhgnn", model="softvit_sparse")
    found = scene.extras["choice"][softhgnn.LAYER]
    assert len(found["by_k"]) == 17
    for k in (0, 4, 16):
        at_k = dict(usual("softhgnn", model="softvit_sparse", k=k).prediction)
        assert at_k[found["label"]] == pytest.approx(found["by_k"][k], abs=1e-4)


def test_each_choice_switches_on_the_best_scored() -> None:
    h = hypergraph(usual("softhgnn", model="softvit_sparse"), softhgnn.LAYER)
    with pytest.raises(ValueError, match="1 pictures for 17 choices"):
        h.each_choice()
    with pytest.raises(ValueError, match="always on"):
        hypergraph(usual("softhgnn"), softhgnn.LAYER).each_choice()
    maker = layer_of(runtime.model("softvit_sparse").model)
    seen: list[SoftHypergraph] = []

    def change(found: SoftHypergraph) -> SoftHypergraph:
        seen.append(found.each_choice())
        return seen[-1]

    softhgnn.looking.run_model("softvit_sparse", examples.picture("bus"), {maker: change}, copies=17)
    assert seen[0].selected is not None
    assert h.scores is not None
    for k in range(17):
        assert torch.equal(seen[0].selected[k], best_scored(h.scores, k, 4)[0])


def test_a_picture_of_one_colour_is_called_so() -> None:
    flat = service.visitors(np.full((448, 448, 3), 120, np.uint8))
    for slug in EXHIBITS:
        assert any(ALIKE in note for note in service.compute(slug, flat, controls_of(slug)).notes)


def test_uniform_hyperedges_are_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(name: str) -> Any:
        loaded = zoo.load(name)
        for part in (parameter for key, parameter in loaded.model.named_parameters() if "pre_head_proj" in key):
            part.data.zero_()
        return loaded

    monkeypatch.setattr(runtime, "model", lru_cache(maxsize=None)(silent))
    scene = run("softhgnn")
    assert any("every hyperedge joins all patches alike" in note for note in scene.notes)
    measured = {m.key: m for m in scene.measures[softhgnn.LAYER]}
    assert measured["uniform_edges"].value == 1
    assert measured["uniform_edges"].level == "bad"


def test_segments_that_cannot_be_measured_say_why() -> None:
    scene = EXHIBITS["softhgnn"].run(examples.picture("cat"), controls_of("softhgnn"), (), None)  # type: ignore[arg-type]
    measured = {m.key: m for m in scene.measures[softhgnn.LAYER]}
    assert measured["edge_purity"].value is None
    assert measured["edge_purity"].hint == f"Not measured: {NotMeasurable('no segments were given')}."


# ------------------------------------------------------------------------------------------------------------- detector


def test_with_every_gate_at_zero_nothing_of_the_hyperedges_arrives() -> None:
    shut = {name: 0.0 for name, _ in yolov13.GATES.values()}
    scene = usual("yolov13", **shut)
    assert scene.extras["detections"]["boxes"] == scene.extras["without"]["boxes"]
    assert scene.extras["detections"]["scores"] == usual("yolov13", hyperace=False).extras["detections"]["scores"]
    assert all(tunnel["loudness"] == 0 for tunnel in scene.extras["tunnels"])


def test_the_small_maps_of_a_tunnel_say_where_it_is_loud() -> None:
    enhanced = torch.zeros(1, 8, 40, 40)
    enhanced[:, :, :20, 20:] = 3.0
    tunnel = Tunnel(torch.ones(1, 8, 40, 40), enhanced, torch.tensor(-0.5))
    found = yolov13.sent(tunnel)
    assert found.shape == (20, 20)
    np.testing.assert_allclose(found[:10, 10:], 1.5, rtol=1e-5)
    assert not found[10:].any()
    assert not found[:, :10].any()


@HEARD
def test_boxes_lie_inside_the_picture_and_share_what_they_share() -> None:
    found = usual("yolov13", confidence=0.05).extras["detections"]
    boxes = np.array(found["boxes"]).reshape(-1, 4)
    assert len(boxes), "the least confidence finds something"
    assert (boxes >= 0).all()
    assert (boxes <= 1).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    for table in found["sharing"].values():
        table = np.array(table, dtype=float)
        assert table.shape == (len(boxes), len(boxes))
        np.testing.assert_allclose(table, table.T)


def test_a_large_input_travels_in_a_payload_of_the_usual_size() -> None:
    scene = usual("yolov13", side=640)
    text = payload.build(EXHIBITS["yolov13"], scene, controls_of("yolov13", side=640), image="night")
    assert len(text) < 120_000
    layer = json.loads(text)["layers"][0]["hypergraph"]
    h = hypergraph(scene, OWN["yolov13"])
    assert h.logits is not None
    step = (layer["logits"]["high"] - layer["logits"]["low"]) / 255
    np.testing.assert_allclose(unpack(layer["logits"]), h.logits[0].numpy(), atol=0.51 * step)


@pytest.mark.parametrize("method", ["integrated gradients", "occlusion", "grad-cam"])
def test_a_box_gets_its_score_from_somewhere(method: str) -> None:
    label = runtime.model("yolov13_micro").labels or tuple(f"class {i}" for i in range(7))
    found = yolov13.explain_class(NIGHT, yolov13.YOLOv13Controls(side=128), method, label[0], "")
    assert found.map.ndim == 2
    assert torch.isfinite(found.map).all()


def test_occlusion_of_a_large_input_is_refused() -> None:
    with pytest.raises(BadRequest, match="choose at most 256"):
        yolov13.explain_class(NIGHT, yolov13.YOLOv13Controls(side=320), "occlusion", "dress", "")


# ------------------------------------------------------------------------------------------------------------ questions


def opened(slug: str, **values: Any) -> str:
    source = service.example(EXHIBITS[slug].example)
    return str(json.loads(service.run(slug, source, controls_of(slug, **values)))["run"])


def test_umap_places_patches_and_prototypes_in_one_plane() -> None:
    key = opened("softhgnn")
    answer = service.lay_out({"run": key, "layer": softhgnn.LAYER, "method": "umap"})
    points = unpack(answer["points"])
    assert points.shape == (256 + 8 + 8, 2)
    assert np.isfinite(points).all()
    for layer, method in ((softhgnn.LAYER, "spring"), ("fuzzy", "umap")):
        with pytest.raises(BadRequest, match="the layout must be umap"):
            service.lay_out({"run": key, "layer": layer, "method": method})
    assert unpack(service.lay_out({"run": key, "layer": "clique", "method": "spectral"})["points"]).shape == (256, 2)


def test_a_cut_of_the_detector_answers_with_the_boxes_after_it() -> None:
    key = opened("yolov13", confidence=0.05)
    cuts = [{"layer": OWN["yolov13"], "kind": "hyperedge", "pairs": [[m, -1] for m in range(4)]}]
    answer = service.cut({"run": key, "cuts": cuts})
    json.dumps(answer, allow_nan=False)
    after = run("yolov13", Intervention(OWN["yolov13"], "hyperedge", tuple((m, -1) for m in range(4))), confidence=0.05)
    assert np.array(answer["detections"]["boxes"]).shape == np.array(after.extras["detections"]["boxes"]).shape
    assert "hyperedges fewer" in answer["note"]


# ------------------------------------------------------------------------------------------ a visitor's further pictures


def as_uri(name: str, side: int = 192, kind: str = "JPEG") -> str:
    """A shipped picture as a visitor's browser would send it."""
    made = io.BytesIO()
    Image.fromarray(examples.picture(name)).resize((side, side)).save(made, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(made.getvalue()).decode()}"


def asked(slug: str, question: str, **data: Any) -> Any:
    return EXHIBITS[slug].questions[question](usual(slug), EXHIBITS[slug].controls(), data)


def test_a_picture_that_lends_to_itself_changes_nothing() -> None:
    answer = asked("softhgnn", "lend", example=EXHIBITS["softhgnn"].example)
    assert answer["likeness"] == pytest.approx([1.0] * 8, abs=1e-5)
    assert answer["after"] == answer["before"]
    assert unpack(answer["own"]) == pytest.approx(unpack(answer["lent"]))


def test_a_lent_offset_is_the_choice_of_prototypes_of_a_run() -> None:
    answer = asked("softhgnn", "lend", example="cat")
    run_with = hypergraph(usual("softhgnn", prototypes="cat"), softhgnn.LAYER)
    lift = (run_with.weights()[0] * 256).clamp(2**-4, 2**4).log2().numpy()
    assert unpack(answer["lent"]) == pytest.approx(lift, abs=0.04)  # 8 bits over 8 doublings
    assert min(answer["likeness"]) < 0.99
    assert dict(answer["after"])["automobile"] == pytest.approx(
        dict(usual("softhgnn", prototypes="cat").prediction)["automobile"], abs=1e-5
    )


def test_a_visitors_own_picture_lends_its_offset() -> None:
    own, shipped = asked("softhgnn", "lend", picture=as_uri("cat", 256, "PNG")), asked("softhgnn", "lend", example="cat")
    assert own["likeness"] == pytest.approx(shipped["likeness"], abs=0.05)
    assert own["lender"].startswith("data:image/webp")


BAD_PICTURES = {
    "no picture": None,
    "no data URI": "https://example.org/cat.jpg",
    "not base64": "data:image/png;base64,@@@",
    "not an image": "data:image/png;base64," + base64.b64encode(b"not a picture at all").decode(),
    "too long": "data:image/png;base64," + "A" * visitors.MOST_TEXT,
}


@pytest.mark.parametrize("picture", BAD_PICTURES.values(), ids=BAD_PICTURES)
def test_what_is_no_picture_is_refused_in_words(picture: Any) -> None:
    with pytest.raises(BadRequest, match="the picture"):
        asked("softhgnn", "lend", picture=picture)
    with pytest.raises(BadRequest, match="picture 2"):
        visitors.pictures_of([as_uri("dot", 32), picture], "softhgnn")


def test_an_unknown_lender_and_too_many_pictures_are_refused() -> None:
    with pytest.raises(BadRequest, match="no example of that name"):
        asked("softhgnn", "lend", example="unicorn")
    for wrong in ([], "cat", [as_uri("dot", 32)] * (visitors.MOST_PICTURES + 1)):
        with pytest.raises(BadRequest, match="1 to 24"):
            visitors.pictures_of(wrong, "softhgnn")


@pytest.mark.parametrize("slug", SLUGS)
def test_many_pictures_are_told_one_after_the_other(slug: str) -> None:
    frames = list(EXHIBITS[slug].streams["many"](usual(slug), EXHIBITS[slug].controls(), {"pictures": [as_uri("cat"), as_uri("coffee")]}))
    assert [(frame["pictures"], frame["of"], frame["own"]) for frame in frames] == [(1, 2, True), (2, 2, True)]
    assert OWN[slug] in frames[-1]["layers"]
    for told in frames[-1]["layers"].values():
        assert len(told["different"]) == 2
        assert sum(told["load"]) == pytest.approx(1, abs=1e-4)
        assert {m["key"] for m in told["measures"]} >= {"usage_different", "usage_load_most", "input_dependence"}
    json.dumps(payload.plain(frames[-1]), allow_nan=False)


def test_many_sparse_pictures_tell_how_often_each_is_chosen() -> None:
    controls = controls_of("softhgnn", model="softvit_sparse")
    *_, last = softhgnn.over_many(usual("softhgnn"), controls, {"pictures": [as_uri(name) for name in ("cat", "bus", "rocket")]})
    told = last["layers"][softhgnn.LAYER]
    assert told["fixed"] == 4
    assert told["on"][:4] == [1, 1, 1, 1]
    assert sum(told["on"]) == pytest.approx(8)
    assert {m["key"] for m in told["measures"]} >= {"usage_dead", "usage_always"}


def test_without_pictures_of_ones_own_those_that_ship_are_looked_at() -> None:
    first = next(softhgnn.over_many(usual("softhgnn"), softhgnn.SoftHGNNControls(), {}))
    assert not first["own"]
    assert first["of"] == len(examples.offered("softhgnn"))


@HEARD
def test_what_hyperedges_cause_is_what_switching_them_off_takes_away() -> None:
    scene = usual("yolov13")
    whole = {tunnel["layer"]: tunnel["loudness"] for tunnel in scene.extras["tunnels"]}
    every = {place["layer"]: place for place in asked("yolov13", "sent")["places"]}
    assert set(every) == set(whole)
    assert all(0 <= place["loudness"] < whole[layer] for layer, place in every.items())
    assert {every[layer]["map"].shape for layer in (13, 12, 14)} == {(20, 20), (10, 10), (5, 5)}, "three scales"
    one = asked("yolov13", "sent", layer=OWN["yolov13"], edge=2)
    assert 0 < max(place["loudness"] for place in one["places"]) < max(place["loudness"] for place in every.values())
    controls = yolov13.YOLOv13Controls()
    assert yolov13.loudness_of_hyperedges(scene.shown, controls) == pytest.approx(
        [every[layer]["loudness"] for layer in sorted(every)], rel=1e-4
    )
    shut = yolov13.sent_by_hyperedges(scene, yolov13.YOLOv13Controls(hyperace=False), {})
    assert all(place["loudness"] == 0 for place in shut["places"])


@HEARD
def test_the_hyperedges_of_a_detector_that_are_not_there_are_refused() -> None:
    for wrong in ({"layer": "model.3", "edge": 0}, {"layer": OWN["yolov13"], "edge": "1"}, {"layer": OWN["yolov13"], "edge": True}):
        with pytest.raises(BadRequest, match="number of one of its hyperedges"):
            asked("yolov13", "sent", **wrong)
    with pytest.raises(BadRequest, match="no hyperedge 99"):
        asked("yolov13", "sent", layer=OWN["yolov13"], edge=99)


@HEARD
def test_the_message_of_the_detector_becomes_a_constant_as_cells_grow() -> None:
    def contrast(side: int) -> float:
        scene = usual("yolov13", side=side)
        return next(m.value for m in scene.measures[OWN["yolov13"]] if m.key == "message_contrast")

    assert contrast(160) > contrast(320)
    row_sum = hypergraph(usual("yolov13", side=320), OWN["yolov13"]).patches()[0].sum(1).mean() / (
        hypergraph(usual("yolov13"), OWN["yolov13"]).patches()[0].sum(1).mean()
    )
    assert float(row_sum) == pytest.approx(1 / 4)


@pytest.mark.parametrize("slug", ["softhgnn", "hyperedge-forms"])
def test_heads_are_told_where_there_are_several(slug: str) -> None:
    scene = usual(slug) if slug == "hyperedge-forms" else usual(slug, model="softvit_dense")
    name = OWN[slug]
    found = EXHIBITS[slug].questions["heads"](scene, EXHIBITS[slug].controls(), {"layer": name})
    assert unpack(found["values"]).shape == (4, 256, 8)
    for wrong in ({"layer": "softvit_diverse" if slug == "hyperedge-forms" else "clique"}, {}):
        with pytest.raises(BadRequest, match="no heads"):
            EXHIBITS[slug].questions["heads"](scene, EXHIBITS[slug].controls(), wrong)


# -------------------------------------------------------------------------------------------------------------- claims


def test_differences_within_two_standard_errors_are_not_decided() -> None:
    gain, error = claims._gain(np.array([86.57]), np.array([86.1]))
    assert error == pytest.approx(100 * np.sqrt((0.8657 * 0.1343 + 0.861 * 0.139) / 10_000))
    assert claims._beyond_chance(gain, error) is None
    assert claims._beyond_chance(1.2, 0.5) is True
    assert claims._beyond_chance(-1.2, 0.5) is False
    assert claims._percents(np.array([86.0])) == "86.0"
    assert claims._percents(np.array([86.0, 87.0, 85.0])) == "86.0 ± 1.0"


def rows(effective: list[float], accuracy: float) -> dict[str, Any]:
    one = {"pair_correlation": 0.1, "test_accuracy": accuracy}
    return {"spread": [{"effective_number": value, **one} for value in effective], "test_accuracy": accuracy, "measured": {}}


@pytest.mark.parametrize(
    ("dense", "diverse", "accuracy", "holds"),
    [
        ([1.2, 1.3, 1.1], [7.9, 7.8, 7.9], 0.86, True),
        ([1.2, 1.3, 3.5], [7.9, 7.8, 7.9], 0.86, False),  # one training that does not collapse is enough
        ([1.2, 1.3, 1.1], [7.9, 7.8, 7.9], 0.84, False),  # it costs more than a point
        ([1.2, 1.3], [7.9, 7.8, 7.9], 0.86, None),  # not yet three
    ],
)
def test_the_collapse_is_judged_over_all_trainings(
    dense: list[float], diverse: list[float], accuracy: float, holds: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards = {"softvit_dense": rows(dense, 0.865), "softvit_diverse": rows(diverse, accuracy)}
    monkeypatch.setattr(claims.runtime, "model", lambda name: SimpleNamespace(card=cards[name], trained=True))
    found = claims.collapse(None)
    assert found.holds is holds
    assert f"{len(dense)} and {len(diverse)} of 3 trainings" in found.detail
