"""Every exhibit: each control at both ends, a payload that the browser can read, a story that fits, cuts that cut."""

from __future__ import annotations

import base64
import datetime
import hashlib
import io
import json
import math
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import explorer.exhibits.image_graphs
from explorer import examples, exhibits, gallery, payload, runtime, service
from explorer.diagnostics.measure import vocabulary as words
from explorer.exhibit import NO_PICTURE, BadRequest, Controls, Exhibit, Intervention, Layer, Scene, Wing
from explorer.exhibits import catalogue
from explorer.exhibits.image_graphs.look import constructors
from explorer.looking import RANDOM_WEIGHTS
from explorer.views import view_of
from explorer.views.arrays import unpack
from models import zoo
from models.image_graphs.edits import without_edges, without_patches
from models.structures import Aggregation, ExitStage, LayerAttention, PatchGraph, Prediction, Rule, SoftHypergraph, TokenSelection
from training import (
    deep_graphs,
    detection,
    disk,
    ghn,
    graph_structure,
    hyperbolic,
    neumeta,
    reconstruction,
    segmentation,
    soft_hyperedges,
    tokens,
)
from training import hierarchy as embedding
from training.image_graphs import NAMES
from training.loop import ship

CANVAS = Path(__file__).resolve().parents[1] / "explorer" / "canvas"
INSTRUMENTS = {
    kind
    for path in (CANVAS / "instruments").glob("*.js")
    for kind in re.findall(r'HS\.instrument\(\{\s*(?:\.\.\.[\w.]+,\s*)?kind: "([\w-]+)"', path.read_text(encoding="utf-8"))
}
ALL = catalogue()[0]
SLUGS = list(ALL)
PICTURED = [slug for slug in SLUGS if ALL[slug].pictures]
GRAPHS = [slug for slug in SLUGS if ALL[slug].wing is Wing.IMAGE_GRAPHS]  # whose layers are patch graphs, all of them
FIELDS = {
    "version", "exhibit", "run", "request", "picture", "examples", "controls", "layers", "measures", "prediction", "segments", "depth",
    "notes", "story", "views", "claims", "cuts", "extras", "state",
}  # fmt: skip


SHOWN = (  # small networks on show
    *NAMES,
    *(name for name in soft_hyperedges.SHIPPED if name != "softvit_plain"),
    detection.NAME,
    tokens.ENCODER,
    tokens.SPARSE,
    segmentation.NAME,
)
CLASSES = {detection.NAME: 7, tokens.ENCODER: 17, segmentation.NAME: 8}  # of the others 10


# Two texts for each field in which visitors write, as they would write them.
TEXTS: dict[tuple[str, str], tuple[str, str]] = {
    ("poincare-embeddings", "tree"): ("dog, animal\ncat, animal\npug, dog", "a, b\nb, c\nd, c\ne, c"),
    ("h4g", "nodes"): (
        "name, text, class\nv1, spoons and forks, kitchen\nv2, forks, kitchen\nv3, ships at sea, harbour\n",
        "name, text, class\nv1, ships, harbour\nv2, forks, kitchen\nv3, ships at sea, harbour\n",
    ),
    ("h4g", "edges"): ("source, target\nv1, v2\n", "source, target\nv1, v2\nv2, v3\n"),
    ("h4g", "classes"): ("name, text\nkitchen, forks\nharbour, ships\n", "name, text\nkitchen, spoons and forks\nharbour, sea\n"),
    ("inside-out", "graph"): ("0 1\n1 2\n2 0\n2 3\n3 4\n4 5\n5 3", "ann bob\nbob cid\ncid dan\ndan ann"),
    ("lost-groups", "sets"): ("ann bob cid\nbob cid\ncid dan\ndan ann", "a b c\nc d\nb d"),
    ("ghn", "architecture"): ("conv3x3-8 relu gap fc10", "conv3x3-16 bn relu\nres(conv3x3-16 bn) relu pool gap fc10"),
    ("graphabstract", "graph"): ("0 1\n1 2\n2 0\n2 3\n3 4\n4 5\n5 3", "ann bob\nbob cid\ncid dan\ndan ann"),
    ("graphabstract", "places"): (  # of the first graph, as the page writes them, with ten nodes moved
        "",
        "1snBDAh4hjgliXbTgfi5eEereDnfgVmujMp_gyp7e6Ykb5ing8KTXcX6hraxlETymSSiqPKLeBnegUYcmvW"
        "Dd0zFcmUjjpR5kojsbLHAeCO3W_t_hnLaaPdthH3PX0LEcJghWzh5c1z4kOOJfiP1cC3LoFxZmNWao-QlaC",
    ),
}


def controls_of(slug: str, **values: Any) -> Controls:
    return ALL[slug].controls.parse(values)


def written(slug: str, values: dict[str, Any]) -> dict[str, Any]:
    """The settings, with a text in every field that they bring on the page ("my own" means nothing without one)."""
    asked = controls_of(slug).model_dump() | values
    for widget in ALL[slug].controls.widgets():
        when = {name: wanted if isinstance(wanted, list) else [wanted] for name, wanted in widget.get("when", {}).items()}
        if (
            widget["kind"] == "text"
            and widget["name"] not in values
            and when
            and all(asked[name] in wanted for name, wanted in when.items())
        ):
            values = {**values, widget["name"]: TEXTS[slug, widget["name"]][0]}
    return values


def meaning(widget: dict[str, Any]) -> dict[str, Any]:
    """The settings under which a control means something."""
    return {name: wanted[0] if isinstance(wanted, list) else wanted for name, wanted in widget.get("when", {}).items() if wanted != []}


def source_of(slug: str, image: str | None = None) -> service.Source:
    """A picture by name (else the exhibit's own), or nothing where an exhibit takes none."""
    return service.example(image or ALL[slug].example) if ALL[slug].pictures else service.first(ALL[slug])


@lru_cache(maxsize=64)
def _scene(slug: str, image: str | None, settings: str) -> Scene:
    return service.compute(slug, source_of(slug, image), controls_of(slug, **json.loads(settings)))


def scene_of(slug: str, image: str | None = None, **values: Any) -> Scene:
    """One run of an exhibit; equal questions share it."""
    return _scene(slug, image or ALL[slug].example or None, json.dumps(controls_of(slug, **values).model_dump()))


def graph_of(layer: Layer) -> PatchGraph:
    graph = layer.structures["graph"]
    assert isinstance(graph, PatchGraph)
    return graph


def edges_of(graph: PatchGraph) -> set[tuple[int, int]]:
    """(target, source) of every edge."""
    source, target = graph.edge_index().tolist()
    return set(zip(target, source, strict=True))


def ends(slug: str) -> Iterator[tuple[str, Any]]:
    """(control, value): both ends of a range, every choice, both positions of a switch, two texts."""
    for widget in ALL[slug].controls.widgets():
        values = {
            "range": lambda w: [w["min"], w["max"]],
            "choice": lambda w: w["options"],
            "switch": lambda w: [False, True],
            "text": lambda w: TEXTS[slug, w["name"]],
        }
        yield from ((widget["name"], value) for value in values[widget["kind"]](widget))


ENDS = [(slug, name, value) for slug in SLUGS for name, value in ends(slug)]


# --------------------------------------------------------------------------------------------------- a payload is valid


def strictly(text: str) -> dict[str, Any]:
    """JSON without the NaN and Infinity that Python would let through."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} in the payload")

    found = json.loads(text, parse_constant=refuse)
    assert isinstance(found, dict)
    return found


def assert_valid(text: str, exhibit: Exhibit, scene: Scene, controls: Controls) -> dict[str, Any]:
    """Everything that the canvas relies on."""
    found = strictly(text)
    assert set(found) == FIELDS
    assert found["version"] == 1
    assert found["exhibit"]["slug"] == exhibit.slug
    assert found["controls"]["values"] == json.loads(json.dumps(controls.model_dump()))
    assert [w["name"] for w in found["controls"]["widgets"]] == list(exhibit.controls.model_fields)
    assert found["views"] == list(exhibit.views)
    if exhibit.pictures:
        shown = Image.open(io.BytesIO(base64.b64decode(found["picture"]["shown"].split(",")[1])))
        assert shown.size == (found["picture"]["side"],) * 2 == scene.shown.shape[:2]
    else:
        assert found["picture"] is None
        assert found["examples"] == []
        assert scene.shown is scene.seen is NO_PICTURE
        assert scene.labels is None
    assert len(found["layers"]) == len(scene.layers) > 0
    assert len({layer["name"] for layer in found["layers"]}) == len(found["layers"])
    measures = unpack(found["measures"])
    assert list(measures["layers"]) == [layer.name for layer in scene.layers]
    grids = set()
    for layer, source in zip(found["layers"], scene.layers, strict=True):
        assert_layer(layer, source)
        assert {m["key"] for m in measures["layers"][source.name]} <= set(measures["words"])
        if exhibit.pictures:
            assert (layer["colour"] is None) == (tuple(layer["grid"]) in grids), "the colours stand with the first layer of a grid"
            grids.add(tuple(layer["grid"]))
    assert set(measures["words"]) <= set(words())
    if exhibit.pictures and "detections" not in found["extras"]:
        assert_prediction(found["prediction"])
    elif found["prediction"] and "detections" not in found["extras"]:
        assert_prediction(found["prediction"], least=2)
    for prediction in found["extras"].get("predictions", {}).values():
        assert_prediction(prediction)
    if found["segments"]:
        assert unpack(found["segments"]["labels"]).shape == (np.prod(found["segments"]["grid"]),)
    if found["depth"]:
        assert found["depth"]["keys"].keys() == found["depth"]["values"].keys()
        assert {len(row) for row in found["depth"]["values"].values()} == {len(scene.layers)}
    return found


def assert_layer(layer: dict[str, Any], source: Layer) -> None:
    assert (layer["name"], layer["label"]) == (source.name, source.label)
    view, structure = view_of(source.structures) or pytest.fail(f"nothing draws {source.name}")
    assert layer["kind"] == view.kind
    CHECKS.get(view.kind, assert_drawn)(layer, source)
    strictly(json.dumps(payload.plain(view.numbers(structure))))


def assert_drawn(layer: dict[str, Any], source: Layer) -> None:
    """Of a kind with a stage of its own: an instrument draws it, and every array in it can be unpacked and has a place on the page."""
    assert layer["kind"] in INSTRUMENTS
    own = {name: value for name, value in layer.items() if name not in ("name", "label", "group", "kind")}
    arrays = list(packed(own))
    assert arrays or any(own.values()), "there is something to draw"
    for array in arrays:
        assert np.isfinite(array).all()


def packed(value: Any) -> Iterator[np.ndarray]:
    """Every packed array in a part of a payload."""
    if isinstance(value, dict) and {"type", "shape"} <= value.keys():
        yield np.asarray(unpack(value))
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from packed(part)


def assert_hypergraph(layer: dict[str, Any], source: Layer) -> None:
    """What the browser draws is the participation of the structure, to the precision of 16 bits (8 where it is large)."""
    found, sent = source.structures["hypergraph"], layer["hypergraph"]
    assert isinstance(found, SoftHypergraph)
    shape = tuple(found.participation.shape[1:])
    assert tuple(layer["grid"]) == found.grid
    assert (sent["special"] + found.grid[0] * found.grid[1], sent["hyperedges"]) == shape
    assert sent["rule"]["name"] == found.rule.name
    assert sent["normalise"] == found.normalise
    for name in ("logits", "drift", "participation"):
        if sent[name] is not None:
            assert unpack(sent[name]).shape == shape
            assert np.isfinite(unpack(sent[name])).all()
    assert (sent["logits"] is None) == (found.logits is None)
    assert sent["logits"] is not None or sent["participation"] is not None
    np.testing.assert_array_equal(unpack(sent["selected"]), found.active()[0].numpy())
    assert layer["colour"] is None or unpack(layer["colour"]).shape == (found.grid[0] * found.grid[1], 3)
    for values in layer["maps"].values():
        assert unpack(values).shape == (found.grid[0] * found.grid[1],)


def assert_graph(layer: dict[str, Any], source: Layer) -> None:
    graph = graph_of(source)
    patches, keys = graph.grid[0] * graph.grid[1], graph.key_grid[0] * graph.key_grid[1]
    assert (tuple(layer["grid"]), tuple(layer["keyGrid"])) == (graph.grid, graph.key_grid)
    assert layer["rule"]["name"] == graph.rule.name
    candidates, kept = unpack(layer["candidates"]), unpack(layer["kept"])
    assert candidates.shape == kept.shape == (patches, candidates.shape[1])
    assert candidates.shape[1] > 0
    assert candidates.max() < keys
    assert set(np.unique(kept)) <= {0, 1}
    for name in ("distance", "position", "share"):
        if layer[name] is not None:
            assert unpack(layer[name]).shape == candidates.shape
            assert np.isfinite(unpack(layer[name])).all()
    assert (layer["distance"] is None) == (graph.distance is None)
    assert (layer["share"] is None) == (not isinstance(source.structures.get("aggregation"), Aggregation))
    assert layer["colour"] is None or unpack(layer["colour"]).shape == (patches, 3)
    if layer["pca"] is not None:
        assert unpack(layer["pca"]["points"]).shape == (patches, 2)
        assert 0 <= sum(layer["pca"]["explained"]) <= 1 + 1e-5
    for values in layer["maps"].values():
        assert unpack(values).shape in ((patches,), (keys,))
    shown = {(int(t), int(s)) for t, column in zip(*np.nonzero(kept), strict=True) if (s := candidates[t, column]) != t or graph.pooled}
    assert shown == edges_of(graph)


def assert_tokens(layer: dict[str, Any], source: Layer) -> None:
    """The browser chooses patches from the very scores that Python had."""
    selection, seen, sent = source.structures["selection"], source.structures["attention"], layer["tokens"]
    assert isinstance(selection, TokenSelection)
    assert isinstance(seen, LayerAttention)
    assert tuple(layer["grid"]) == seen.grid == selection.grid
    np.testing.assert_array_equal(unpack(sent["score"]), seen.score[0].numpy())
    if sent["heads"] is not None:
        np.testing.assert_array_equal(unpack(sent["heads"]), seen.heads[0].numpy())
    assert sent["headCount"] == seen.received.shape[1]
    assert (sent["own"]["object_layer"], sent["own"]["deep_layer"]) == selection.layers
    assert min(sent["own"]["budget"], selection.role.shape[1]) == selection.budget


def assert_exits(layer: dict[str, Any], source: Layer) -> None:
    """Who has left, and what is said of whom, as the stage has it."""
    stage, sent = source.structures["stage"], layer["exits"]
    assert isinstance(stage, ExitStage)
    assert tuple(layer["grid"]) == stage.grid
    for name in ("before", "exited", "context", "label"):
        np.testing.assert_array_equal(unpack(sent[name]), getattr(stage, name)[0].numpy())
    assert len(sent["present"]) == stage.prediction.shape[1]
    np.testing.assert_allclose(unpack(sent["prediction"]), stage.prediction[0].numpy(), atol=0.002)


CHECKS: dict[str, Callable[[dict[str, Any], Layer], None]] = {
    "graph": assert_graph,
    "hypergraph": assert_hypergraph,
    "tokens": assert_tokens,
    "exits": assert_exits,
}


def assert_prediction(prediction: list[tuple[str, float]], least: int = 5) -> None:
    values = [p for _, p in prediction]
    assert least <= len(values) == len({name for name, _ in prediction})
    assert values == sorted(values, reverse=True)
    assert min(values) >= 0
    assert sum(values) <= 1 + 1e-4


@pytest.mark.parametrize(("slug", "name", "value"), ENDS, ids=lambda v: str(v))
def test_each_end_of_each_control_gives_a_valid_payload(slug: str, name: str, value: Any) -> None:
    widget = next(w for w in ALL[slug].controls.widgets() if w["name"] == name)
    values = written(slug, {**(meaning(widget) if widget["kind"] == "text" else {}), name: value})
    exhibit, controls = ALL[slug], controls_of(slug, **values)
    scene = scene_of(slug, **values)
    text = payload.build(exhibit, scene, controls, image=exhibit.example, run="id", state=None, notes=("a remark",))
    found = assert_valid(text, exhibit, scene, controls)
    assert "a remark" in found["notes"]


@pytest.mark.parametrize("slug", SLUGS)
@pytest.mark.parametrize("end", ["low", "high"])
def test_all_controls_at_the_same_end_fit_together(slug: str, end: str) -> None:
    values = {}
    for widget in ALL[slug].controls.widgets():
        if widget["name"] != "model" and widget["kind"] != "text":
            low_high = {"range": ("min", "max"), "choice": None, "switch": None}[widget["kind"]]
            options = [widget[key] for key in low_high] if low_high else widget.get("options", [False, True])
            values[widget["name"]] = options[0 if end == "low" else -1]
    values = written(slug, values)
    scene = scene_of(slug, **values)
    controls = controls_of(slug, **values)
    assert_valid(payload.build(ALL[slug], scene, controls, image="bus"), ALL[slug], scene, controls)


@pytest.mark.parametrize("slug", SLUGS)
def test_controls_reach_what_is_shown(slug: str) -> None:
    """A control that changes nothing at any of its values would be a lie."""
    usual = _told(scene_of(slug))
    for widget in ALL[slug].controls.widgets():
        values = [value for name, value in ends(slug) if name == widget["name"]]
        meant = written(slug, meaning(widget))
        before = _told(scene_of(slug, **meant)) if meant else usual
        assert any(_told(scene_of(slug, **written(slug, {**meant, widget["name"]: value}))) != before for value in values), widget["name"]


def _told(scene: Scene) -> str:
    """Everything that the layers hold, and what was found."""
    held = [
        (layer.name, role, name, hashlib.sha256(np.ascontiguousarray(tensor.numpy()).tobytes()).hexdigest())
        for layer in scene.layers
        for role, structure in layer.structures.items()
        for name, tensor in structure.tensors().items()
    ]
    rules = [
        dict(s.rule.settings) for layer in scene.layers for s in layer.structures.values() if isinstance(s, PatchGraph | SoftHypergraph)
    ]
    shown = {name: scene.extras.get(name) for name in ("detections", "tunnels")}
    if not scene.shown.size:  # what panels and texts tell is the answer too
        shown = {"extras": strictly(json.dumps(payload.plain(scene.extras))), "labels": [layer.label for layer in scene.layers]}
    return repr((held, rules, shown))


@pytest.mark.parametrize("slug", SLUGS)
def test_the_same_question_has_the_same_answer_to_the_last_bit(slug: str) -> None:
    before, after = scene_of(slug), service.compute(slug, source_of(slug), controls_of(slug))
    for one, two in zip(before.layers, after.layers, strict=True):
        assert all(
            torch.equal(a, b)
            for role, structure in one.structures.items()
            for a, b in zip(structure.tensors().values(), two.structures[role].tensors().values(), strict=True)
        )
    assert before.prediction == after.prediction
    assert payload.build(ALL[slug], before, controls_of(slug), image="bus") == payload.build(
        ALL[slug], after, controls_of(slug), image="bus"
    )


@pytest.mark.parametrize("slug", PICTURED)
def test_every_example_can_be_shown(slug: str) -> None:
    if slug == "constructors":
        pytest.skip("the same networks stand behind the other exhibits, five times as slow here")
    for name in examples.examples():
        scene = scene_of(slug, name)
        assert scene.labels is not None
        assert scene.labels[0].shape == (np.prod(scene.grid),)
        assert scene.labels[1] == (examples.examples()[name].mask is not None)


# ------------------------------------------------------------------------------------------------------- edges: truth


@pytest.mark.parametrize("slug", GRAPHS)
def test_the_rule_that_is_sent_draws_the_edges_that_are_sent(slug: str) -> None:
    """The browser answers its sliders from the rule; at the model's own setting that must give the model's own edges."""
    scene = scene_of(slug)
    found = strictly(payload.build(ALL[slug], scene, controls_of(slug), image="bus"))
    for layer in found["layers"]:
        rule, kept = layer["rule"], unpack(layer["kept"]).astype(bool)
        if rule["name"] == "nearest":
            expected = np.zeros_like(kept)
            expected[:, : rule["k"] * rule["dilation"] : rule["dilation"]] = True
            np.testing.assert_array_equal(kept, expected)
        elif rule["name"] == "axial-threshold":
            distance, threshold = unpack(layer["distance"]), rule["mean"] - rule["multiplier"] * rule["std"]
            step = (layer["distance"]["high"] - layer["distance"]["low"]) / 65535
            clear = np.abs(distance - threshold) > step
            np.testing.assert_array_equal(kept[clear], (distance < threshold)[clear])
        elif rule["name"] in ("axial", "random"):
            assert kept.all()


def test_k_and_dilation_are_what_was_asked() -> None:
    for k, dilation in ((1, 1), (16, 4), (3, 2)):
        for layer in scene_of("vig", k=k, dilation=dilation).layers:
            graph = graph_of(layer)
            keys = graph.key_grid[0] * graph.key_grid[1]
            assert graph.rule.settings["dilation"] == min(dilation, keys)
            assert graph.kept.sum(-1).unique().tolist() == [min(k, keys // dilation)]


def test_a_stricter_threshold_keeps_fewer_edges_and_a_loose_one_nearly_all() -> None:
    kept = [len(edges_of(graph_of(scene_of("greedyvig", multiplier=m).layers[0]))) for m in (-1.0, 1.0, 2.5)]
    assert kept[0] > kept[1] >= kept[2]


def test_a_mirrored_picture_meets_the_same_fixed_graph() -> None:
    plain, mirrored = scene_of("mobilevig"), scene_of("mobilevig", mirror=True)
    np.testing.assert_array_equal(plain.shown[:, ::-1], mirrored.shown)
    for one, two in zip(plain.layers, mirrored.layers, strict=True):
        assert edges_of(graph_of(one)) == edges_of(graph_of(two))
    assert plain.labels is not None
    assert mirrored.labels is not None
    grid = graph_of(plain.layers[0]).grid
    np.testing.assert_array_equal(plain.labels[0].reshape(grid)[:, ::-1], mirrored.labels[0].reshape(grid))


def test_the_wheel_of_a_fixed_graph_can_be_too_large() -> None:
    """A step that the coarsest grid cannot take is refused by name, or the graph has neighbours everywhere."""
    for step in range(1, 8):
        for layer in scene_of("mobilevig", step=step).layers:
            assert graph_of(layer).kept.any()


def test_constructors_share_features_when_asked() -> None:
    for features in ("the same for all", "raw colours"):
        first, *others = [graph_of(layer).features for layer in scene_of("constructors", features=features).layers]
        assert first is not None
        assert all(other is not None and torch.equal(first, other) for other in others)
    own = [graph_of(layer).features for layer in scene_of("constructors").layers]
    assert own[0] is not None
    assert not any(torch.equal(own[0], other) for other in own[1:] if other is not None)


# ----------------------------------------------------------------------------------------------------------- the story


def names_in(script: str, pattern: str) -> set[str]:
    return set(re.findall(pattern, (CANVAS / script).read_text(encoding="utf-8"), re.MULTILINE))


def panels() -> set[str]:
    return {
        name for path in (CANVAS / "panels").glob("*.js") for name in names_in(f"panels/{path.name}", r'HS\.panel\(\{\s*name: "([\w-]+)"')
    }


def block(script: str, start: str) -> str:
    text = (CANVAS / script).read_text(encoding="utf-8")
    return text[text.index(start) : text.index("};", text.index(start))]


LOOK: dict[str, Callable[[Any], bool]] = {
    "layer": lambda v: type(v) is int and v >= 0,
    "pins": lambda v: isinstance(v, list) and len(v) <= 26 and all(type(p) is int and p >= 0 for p in v),
    "direction": lambda v: v in ("in", "out", "both"),
    "all": lambda v: type(v) is bool,
    "opacity": lambda v: 0 <= v <= 1,
    "colour": lambda v: v in ("strength", "length"),
    "grid": lambda v: v in ("auto", "on", "off"),
    "seen": lambda v: type(v) is bool,
    "heat": lambda v: isinstance(v, str),
    "compare": lambda v: v is None or (type(v) is int and v >= 0),
    "difference": lambda v: type(v) is bool,
    "tab": lambda v: isinstance(v, str),
    "step": lambda v: type(v) is int,
    "rule": lambda v: isinstance(v, dict) and v.keys() <= {"k", "dilation", "multiplier", "quantile"},
}
# Fields of the look that an instrument adds (`HS.lookField` in instruments/<kind>.js).
LOOK_OF: dict[str, dict[str, Callable[[Any], bool]]] = {
    "hypergraph": {
        "edges": lambda v: isinstance(v, list) and all(type(m) is int and 0 <= m < 4096 for m in v),
        "style": lambda v: v in ("lift", "mass", "contours"),
        "mass": lambda v: v in (0.3, 0.5, 0.8),
        "sort": lambda v: v in ("load", "number"),
        "boxes": lambda v: v in ("with", "without", "both"),
        "sent": lambda v: v in ("all", "edges", "edge"),
        "temperature": lambda v: v is None or -3 <= v <= 3,
        "hard": lambda v: v is None or 0 <= v <= 1,
        "k": lambda v: v is None or (type(v) is int and 0 <= v <= 4096),
        "context": lambda v: v is None or 0 <= v <= 2,
    },
    "tokens": {
        "draw": lambda v: v in ("both", "roles", "attention"),
        "until": lambda v: v is None or (type(v) is int and v >= 0),
        "keeps": lambda v: isinstance(v, list) and all(type(p) is int and p >= 0 for p in v),
        "drops": lambda v: isinstance(v, list) and all(type(p) is int and p >= 0 for p in v),
        "object": lambda v: v is None or (type(v) is int and 0 <= v < 255),
        "fusion": lambda v: v in ("mean", "max", "min"),
        "discard": lambda v: type(v) is bool,
        "chooser": lambda v: isinstance(v, str) and v != "",
        "budget": lambda v: v is None or (type(v) is int and v >= 1),
        "alpha": lambda v: v is None or 0 <= v <= 1,
        "edge": lambda v: v in (None, "clamp", "drop", "grid"),
        "object_layer": lambda v: v is None or (type(v) is int and v >= 1),
        "deep_layer": lambda v: v is None or (type(v) is int and v >= 1),
        "head": lambda v: v is None or (type(v) is int and v >= 0),
        "release": lambda v: v in (None, "paper", "Qwen code"),
    },
    "exits": {"paint": lambda v: v in ("stages", "classes", "pixels", "changed")},
    "disk": {
        "diskView": lambda v: v == [] or (len(v) == 4 and all(math.isfinite(x) for x in v)),
        "diskView2": lambda v: v == [] or (len(v) == 4 and all(math.isfinite(x) for x in v)),
        "diskColour": lambda v: v in ("branch", "depth", "radius"),
        "diskNames": lambda v: type(v) is bool,
    },
    "textdisk": {
        "textRadius": lambda v: v is None or 0 < v <= 20,
        "textLines": lambda v: v in ("graph", "nearest", "named"),
        "textParts": lambda v: isinstance(v, list) and len(v) <= 4 and all(0 <= x <= 4 for x in v),
    },
    "abstract-graph": {
        "reveal": lambda v: type(v) is bool,
        "tint": lambda v: v in ("plain", "exact", "rests"),
        "who": lambda v: isinstance(v, str),
    },
    "dual": {
        "turned": lambda v: 0 <= v <= 1,
        "lens": lambda v: v in ("groups", "messages", "kept", "clusters"),
        "rounds": lambda v: type(v) is int and 0 <= v <= 8,
        "drop": lambda v: type(v) is int and 1 <= v <= 9,
        "picked": lambda v: isinstance(v, list) and all(type(e) is int and e >= 0 for e in v),
    },
    "groups": {
        "shutter": lambda v: 0 <= v <= 1,
        "hulls": lambda v: v in ("truth", "fate", "cliques", "guess", "mine"),
        "club": lambda v: v is None or (type(v) is int and 0 <= v <= 9999),
    },
    "deep-nodes": {"depth": lambda v: type(v) is int and 0 <= v <= 999, "lines": lambda v: type(v) is bool},
    "weight-field": {
        "width": lambda v: v is None or (type(v) is int and 1 <= v <= 64),
        "tap": lambda v: v is None or (type(v) is int and 0 <= v <= 24),
        "channel": lambda v: v is None or (type(v) is int and 0 <= v <= 4095),
    },
    "weight-path": {"gamma": lambda v: 0 <= v <= 1, "trained": lambda v: type(v) is bool},
    "task-weights": {
        "keep": lambda v: v in ("L2", "importance", "none"),
        "beta": lambda v: 0 <= v <= 10,
        "grow": lambda v: type(v) is int and 0 <= v <= 32,
        "steps": lambda v: type(v) is int and 20 <= v <= 400,
    },
    "computation-graph": {
        "node": lambda v: v is None or (type(v) is int and 0 <= v <= 400),
        "virtual": lambda v: type(v) is bool,
        "attentionLayer": lambda v: type(v) is int and 0 <= v <= 31,
        "attentionHead": lambda v: type(v) is int and -1 <= v <= 31,
    },
}
STEPS = [(slug, i) for slug in SLUGS for i in range(len(ALL[slug].story()))]


def test_this_file_knows_the_look_of_the_canvas() -> None:
    fields = set(re.findall(r"^ {4}(\w+): \[", block("core.js", "const LOOK_FIELDS = {"), re.MULTILINE))
    assert fields == set(LOOK)
    assert set(re.findall(r"(\w+): number", block("core.js", "const RULE_FIELDS = {"))) == {"k", "dilation", "multiplier", "quantile"}
    added = {path.stem: names_in(f"instruments/{path.name}", r'HS\.lookField\("(\w+)"') for path in (CANVAS / "instruments").glob("*.js")}
    assert {script: names for script, names in added.items() if names} == {script: set(known) for script, known in LOOK_OF.items()}
    assert sum(map(len, (LOOK, *LOOK_OF.values()))) == len({name for known in (LOOK, *LOOK_OF.values()) for name in known})


@pytest.mark.parametrize("slug", SLUGS)
def test_every_panel_of_an_exhibit_exists(slug: str) -> None:
    assert set(ALL[slug].views) <= panels()
    assert len(set(ALL[slug].views)) == len(ALL[slug].views)


@pytest.mark.parametrize("slug", SLUGS)
def test_a_story_has_five_to_nine_steps_and_ends_with_the_visitor(slug: str) -> None:
    story = ALL[slug].story()
    assert 5 <= len(story) <= 9
    assert len({step["title"] for step in story}) == len(story)
    assert story[0]["state"]["controls"] == controls_of(slug).model_dump()
    assert story[0]["state"]["image"] == (ALL[slug].example if ALL[slug].pictures else None)
    look = story[0]["state"]["look"]
    assert look.get("pins") or look.get("edges") or not ALL[slug].pictures, (
        "the first paint shows a pinned, telling patch, or a chosen hyperedge"
    )


@pytest.mark.parametrize(("slug", "index"), STEPS)
def test_a_step_is_short_and_its_state_exists(slug: str, index: int) -> None:
    step = ALL[slug].story()[index]
    assert set(step) == {"title", "text", "highlight", "state"}
    assert 1 <= len(re.findall(r"[.!?](?:\s|$)", step["text"])) <= 3
    assert len(step["text"]) <= 330
    assert len(step["title"]) <= 60
    regions = set(re.findall(r"^ {6}(\w+): part\(", block("mount.js", "function regions()"), re.MULTILINE)) - {"panel"}
    assert regions >= {"controls", "canvas", "film", "story", "prediction", "diagnostics"}
    assert step["highlight"] in regions | {f"panel:{name}" for name in ALL[slug].views}
    state = step["state"]
    assert state["image"] in examples.examples() if ALL[slug].pictures else state["image"] is None
    known = dict(LOOK, **{name: check for of_kind in LOOK_OF.values() for name, check in of_kind.items()})
    for name, value in state["look"].items():
        assert name in known, name
        assert known[name](value), (name, value)
    assert state["look"].get("tab", ALL[slug].views[0]) in ALL[slug].views


@pytest.mark.parametrize(("slug", "index"), STEPS)
def test_a_step_shows_what_is_there(slug: str, index: int) -> None:
    state = ALL[slug].story()[index]["state"]
    look = state["look"]
    scene = scene_of(slug, state["image"], **state["controls"])
    layer = scene.layers[look.get("layer", 0)]
    view, structure = view_of(layer.structures) or pytest.fail(f"nothing draws {layer.name}")
    sent = strictly(payload.build(ALL[slug], scene, controls_of(slug), image=state["image"] or ""))["layers"]
    shown = sent[look.get("layer", 0)]
    grid = shown.get("grid")
    assert grid or not ALL[slug].pictures
    assert all(pin < grid[0] * grid[1] for pin in look.get("pins", []))
    if look.get("compare") is not None:
        assert look["compare"] < len(scene.layers)
        assert look["compare"] != look.get("layer", 0)
        assert sent[look["compare"]]["grid"] == grid
    assert look.get("difference", False) <= (look.get("compare") is not None)
    rule = look.get("rule", {})
    assert not {"k", "dilation"} & rule.keys() or structure.rule.name == "nearest"  # type: ignore[attr-defined]
    assert "multiplier" not in rule or structure.rule.name == "axial-threshold"  # type: ignore[attr-defined]
    assert not set(LOOK_OF.get("hypergraph", {})) & look.keys() or view.kind == "hypergraph"
    for edge in look.get("edges", []):
        assert structure.active()[0][edge], f"hyperedge {edge} is off"  # type: ignore[attr-defined]
    if "heat" in look:
        built_in = names_in(f"instruments/{view.kind}.js", r"^ {4}(\w+): map\(")
        assert built_in
        assert look["heat"] in built_in | set(shown["maps"])


def test_the_story_of_the_empty_graph_is_true() -> None:
    """A dot on a flat ground, on plain colours: no edge survives, because the deviation exceeds the mean."""
    graph = graph_of(scene_of("greedyvig", "dot", features="raw colours").layers[0])
    assert edges_of(graph) == set()
    assert graph.rule.statistics["std"].item() >= graph.rule.statistics["mean"].item()


def test_the_story_of_the_islands_is_true() -> None:
    """Steps of two on an even grid: four pieces, and half of the edges run across the border."""
    layer = scene_of("mobilevig").layers[0]
    measured = {m.key: m.value for m in scene_of("mobilevig").measures[layer.name]}
    assert graph_of(layer).grid == (16, 16)
    assert measured["pieces"] == 4
    assert measured["wrap_share"] == pytest.approx(0.5)


def test_the_story_of_the_pooled_keys_is_true() -> None:
    """Pyramid ViG: keys pooled in the first two blocks, dilation 2 in the last stage, 16 × 16 patches at first."""
    graphs = [graph_of(layer) for layer in scene_of("vig").layers]
    assert graphs[0].grid == (16, 16)
    assert [g.pooled for g in graphs] == [True, True, False, False, False, False]
    assert [g.rule.settings["dilation"] for g in graphs] == [1, 1, 1, 1, 2, 2]


def test_the_story_of_the_steps_is_true() -> None:
    """GreedyViG: step 4, then 2, then 1, with the same number of candidates."""
    graphs = [graph_of(layer) for layer in scene_of("greedyvig").layers]
    assert [g.rule.settings["step"] for g in graphs] == [4, 2, 1]
    assert {g.candidates.shape[2] for g in graphs} == {6} or len({g.candidates.shape[2] for g in graphs}) == 1


# ---------------------------------------------------------------------------------------------------------------- cuts


def cut(slug: str, *cuts: Intervention) -> Scene:
    return service.compute(slug, source_of(slug), controls_of(slug), cuts)


def logits(slug: str, *cuts: Intervention) -> list[list[float]]:
    """What the networks of an exhibit answer, before the softmax (which hides small differences of random networks)."""
    found: list[list[float]] = []
    answer = Prediction.top

    def note(prediction: Prediction, *args: Any) -> list[tuple[str, float]]:
        found.append(prediction.logits[0].tolist())
        return answer(prediction, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Prediction, "top", note)
        cut(slug, *cuts)
    return found


def busy_patch(graph: PatchGraph) -> int:
    """A patch that listens to others."""
    return int(graph.kept.expand(1, graph.grid[0] * graph.grid[1], -1)[0].sum(-1).argmax())


@pytest.mark.parametrize("slug", GRAPHS)
def test_cutting_a_patch_off_removes_its_edges_and_moves_the_prediction(slug: str) -> None:
    before = scene_of(slug)
    layer = before.layers[0]
    patch = busy_patch(graph_of(layer))
    after = cut(slug, Intervention(layer.name, "patch", ((patch, -1),)))
    graph = graph_of(after.layers[0])
    touched = {edge for edge in edges_of(graph_of(layer)) if patch == edge[0] or (patch == edge[1] and not graph.pooled)}
    assert touched
    assert edges_of(graph) == edges_of(graph_of(layer)) - touched
    mine = Intervention(layer.name, "patch", ((patch, -1),))
    changed = [one != two for one, two in zip(logits(slug), logits(slug, mine), strict=True)]
    assert changed == [True, False, False, False, False][: len(changed)]  # side by side, only the network that was cut


@pytest.mark.parametrize("slug", GRAPHS)
def test_cutting_a_patch_off_everywhere_reaches_every_layer_that_has_it(slug: str) -> None:
    patch = 3
    after = cut(slug, Intervention("*", "patch", ((patch, -1),)))
    for layer in after.layers:
        graph = graph_of(layer)
        assert not [e for e in edges_of(graph) if e[0] == patch or (e[1] == patch and not graph.pooled)]


@pytest.mark.parametrize("slug", GRAPHS)
def test_cutting_edges_removes_exactly_these(slug: str) -> None:
    layer = scene_of(slug).layers[0]
    all_edges = edges_of(graph_of(layer))
    patch = busy_patch(graph_of(layer))
    mine = tuple(edge for edge in sorted(all_edges) if edge[0] == patch)[:2]
    after = cut(slug, Intervention(layer.name, "edges", mine))
    assert edges_of(graph_of(after.layers[0])) == all_edges - set(mine)


@pytest.mark.parametrize("slug", GRAPHS)
def test_without_any_edge_a_network_still_answers(slug: str) -> None:
    everything = tuple((patch, -1) for patch in range(256))
    after = cut(slug, Intervention("*", "patch", everything))
    assert all(not edges_of(graph_of(layer)) for layer in after.layers)
    assert_prediction([list(p) for p in after.prediction])
    assert_valid(payload.build(ALL[slug], after, controls_of(slug), image="bus"), ALL[slug], after, controls_of(slug))


@pytest.mark.parametrize("slug", GRAPHS)
def test_an_edge_that_is_not_there_cannot_be_missed(slug: str) -> None:
    graph = graph_of(scene_of(slug).layers[0])
    keys = graph.key_grid[0] * graph.key_grid[1]
    absent = next((0, source) for source in range(1, keys) if (0, source) not in edges_of(graph))
    after = cut(slug, Intervention(scene_of(slug).layers[0].name, "edges", (absent, (1, -1), (2, 10**6))))
    assert after.prediction == scene_of(slug).prediction
    assert after.extras.get("predictions") == scene_of(slug).extras.get("predictions")


@pytest.mark.parametrize("slug", GRAPHS)
def test_a_cut_that_means_nothing_is_refused(slug: str) -> None:
    layer = scene_of(slug).layers[0].name
    with pytest.raises(BadRequest, match="no layer named 'nowhere'"):
        cut(slug, Intervention("nowhere", "patch", ((3, -1),)))
    for kind in ("patch", "edges"):
        with pytest.raises(BadRequest, match="no patch 256"):
            cut(slug, Intervention(layer, kind, ((256, 0),)))  # type: ignore[arg-type]


def test_graphs_that_no_network_predicts_with_cannot_be_cut() -> None:
    for features in ("the same for all", "raw colours"):
        with pytest.raises(BadRequest, match="choose the features"):
            service.compute(
                "constructors",
                service.example("bus"),
                controls_of("constructors", features=features),
                [Intervention("*", "patch", ((3, -1),))],
            )


@pytest.mark.parametrize("pooled", [False, True])
def test_a_cut_agrees_with_counting_by_hand(pooled: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    keys = (2, 2) if pooled else (4, 4)
    candidates = torch.rand(2, 16, keys[0] * keys[1], generator=generator).argsort(-1)[..., :3]
    graph = PatchGraph(candidates, torch.ones(1, 16, 3, dtype=torch.bool), (4, 4), keys, Rule("nearest", {"k": 3, "dilation": 1}))
    pairs = [(0, int(candidates[0, 0, 1])), (5, 2), (5, 2), (5, 999), (7, -1), (9, 10**6)]
    patches = [0, 2, 2, 15]
    cut_edges, cut_patches = without_edges(graph, pairs), without_patches(graph, patches)
    for picture in (0, 1):
        for target in range(16):
            for column in range(3):
                source = int(candidates[picture, target, column])
                assert bool(cut_edges.kept.expand(2, -1, -1)[picture, target, column]) == ((target, source) not in pairs)
                silent = target in patches or (source in patches and not pooled)
                assert bool(cut_patches.kept.expand(2, -1, -1)[picture, target, column]) == (not silent)
    for nothing in (without_edges(graph, []), without_patches(graph, [])):
        assert nothing.kept.all()


def test_many_cuts_are_quick() -> None:
    graph = graph_of(scene_of("vig").layers[2])
    begun = time.thread_time()
    without_edges(graph, [(i % 64, i // 64) for i in range(20_000)])
    without_patches(graph, [i % 64 for i in range(20_000)])
    assert time.thread_time() - begun < 0.5


def test_a_visitor_leaves_no_trace_in_the_shared_networks() -> None:
    def state() -> str:
        digest = hashlib.sha256()
        for name in SHOWN:
            for key, tensor in runtime.model(name).model.state_dict().items():
                digest.update(key.encode() + tensor.numpy().tobytes())
        return digest.hexdigest()

    fresh = {slug: service.compute(slug, source_of(slug, "cat"), controls_of(slug)) for slug in SLUGS}
    before = state()
    for slug in SLUGS:
        layer = fresh[slug].layers[0].name
        others = [Intervention("*", kind, ((1, 2),)) for kind in ALL[slug].cuts if kind != "patch"]
        own = [Intervention(layer, "patch", ((7, -1),))] if ALL[slug].pictures else []
        cut(slug, *own, *others)
        for kind in ("patch",) if ALL[slug].pictures else ALL[slug].cuts:
            with pytest.raises(BadRequest):
                cut(slug, Intervention(layer, kind, ((99_999, -1),)))
    scene_of("vig", k=1, dilation=4, position="off")
    scene_of("mobilevig", step=7)
    scene_of("greedyvig", distance="L2", exact=True)
    assert state() == before
    for slug in SLUGS:
        assert service.compute(slug, source_of(slug, "cat"), controls_of(slug)).prediction == fresh[slug].prediction
    for name in SHOWN:
        model = runtime.model(name).model
        assert not model.training
        assert not any(p.requires_grad for p in model.parameters())
        for part in model.modules():
            hooks = (part._forward_hooks, part._forward_pre_hooks, part._backward_hooks)
            assert not any(hooks), f"a hook stayed in {name}"


# ------------------------------------------------------------------------------------------------ what may be missing


@pytest.fixture
def fresh_catalogue() -> Iterator[None]:
    exhibits.catalogue.cache_clear()
    yield
    exhibits.catalogue.cache_clear()


@pytest.mark.usefixtures("fresh_catalogue")
def test_a_broken_exhibit_closes_its_own_door_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "torn.py").write_text("raise RuntimeError('<b>no</b> ${alert(1)} {{value}} weights')\n")
    (tmp_path / "bent.py").write_text("def (:\n")
    (tmp_path / "empty.py").write_text("")
    monkeypatch.setattr(explorer.exhibits.image_graphs, "__path__", [*explorer.exhibits.image_graphs.__path__, str(tmp_path)])
    broken = ("torn", "bent", "empty", "missing")
    monkeypatch.setattr(exhibits, "MODULES", (*exhibits.MODULES[:2], *(f"image_graphs.{name}" for name in broken), *exhibits.MODULES[2:]))
    found, missing = exhibits.catalogue()
    assert list(found) == SLUGS
    assert [m.slug for m in missing] == list(broken)
    for absent in missing:
        with pytest.raises(BadRequest, match=f"{absent.slug}' is unavailable here, because"):
            service.exhibit(absent.slug)
    page = gallery._page()
    for slug in broken:
        assert f"<b>{slug}</b> is unavailable, because" in page
        sys.modules.pop(f"explorer.exhibits.image_graphs.{slug}", None)
    assert "<b>no</b>" not in page
    assert "${" not in page
    assert "{{" not in page


@pytest.fixture
def own_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with weights and cards of every small model, in place of the shipped ones."""
    for name in SHOWN:
        torch.manual_seed(len(name))
        ship(name, zoo.build(name), {"labels": [f"label {i}" for i in range(CLASSES.get(name, 10))]}, tmp_path)
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    monkeypatch.setattr(runtime, "model", lru_cache(maxsize=None)(zoo.load))
    return tmp_path


OWN = {  # exhibit → a network that it runs and no other exhibit does
    "vig": "pvig_micro",
    "mobilevig": "mobilevig_micro",
    "greedyvig": "greedyvig_micro",
    "constructors": "swappable_grid",
    "hyperedge-forms": "softvit_sparse",
    "yolov13": detection.NAME,
    "hiprune": tokens.ENCODER,
    "sparsifiner": tokens.SPARSE,
    "dtop": segmentation.NAME,
}


@pytest.mark.parametrize(("slug", "name"), [(slug, name) for slug, name in OWN.items() if slug in SLUGS])
def test_without_its_weight_file_a_page_says_that_its_numbers_mean_nothing(slug: str, name: str, own_weights: Path) -> None:
    complete = service.compute(slug, service.example("cat"), controls_of(slug))
    assert RANDOM_WEIGHTS not in complete.notes
    assert all(label.startswith("label ") for label, _ in complete.prediction)
    (own_weights / f"{name}.safetensors").unlink()
    runtime.model.cache_clear()
    without = service.compute(slug, service.example("cat"), controls_of(slug))
    assert without.notes == (RANDOM_WEIGHTS, *complete.notes)
    assert RANDOM_WEIGHTS in strictly(payload.build(ALL[slug], without, controls_of(slug), image="cat"))["notes"]
    for other in set(PICTURED) - {slug}:
        assert RANDOM_WEIGHTS not in service.compute(other, service.example("cat"), controls_of(other)).notes


@pytest.mark.usefixtures("own_weights")
def test_every_small_network_that_an_exhibit_runs_can_have_weights() -> None:
    asked = []
    original = runtime.model
    runtime.model = lambda name: asked.append(name) or original(name)  # type: ignore[func-returns-value, assignment]
    try:
        for slug in PICTURED:
            service.compute(slug, service.example("cat"), controls_of(slug))
    finally:
        runtime.model = original
    assert set(NAMES) <= set(asked) <= set(SHOWN)


def test_a_constructor_of_each_network_is_known() -> None:
    for name in NAMES:
        assert constructors(runtime.model(name).model)


# -------------------------------------------------------------------------------------------------------- the weights

CARD = (
    "model",
    "labels",
    "input",
    "data",
    "data_licence",
    "licence",
    "test_accuracy",
    "test_split",
    "seeds",
    "command",
    "parameters",
    "sha256",
    "date",
)
TRAINED = (
    *NAMES,
    *soft_hyperedges.SHIPPED,
    detection.NAME,
    *tokens.NAMES,
    segmentation.NAME,
    *graph_structure.SHIPPED,
    *deep_graphs.SHIPPED,
    *reconstruction.SHIPPED,
    *neumeta.SHIPPED,
    *ghn.SHIPPED,
    *hyperbolic.SHIPPED,
    disk.NAME,
)
EMBEDDED = embedding.NAMES  # points, no networks of the zoo
FLOOR = dict.fromkeys(NAMES, 0.86)  # what two CPU cores reach on CIFAR-10


def shipped(name: str) -> Any:
    """One network's test, which may fail only while its weight file is not there."""
    absent = not (zoo.WEIGHTS / f"{name}.safetensors").exists()
    return pytest.param(name, marks=pytest.mark.xfail(absent, reason="not trained yet", strict=False))


def test_the_networks_of_the_zoo_that_need_training_are_trained() -> None:
    assert set(TRAINED) == {name for name, entry in zoo.ENTRIES.items() if not entry.published}


@pytest.mark.parametrize("name", [shipped(name) for name in (*NAMES, *soft_hyperedges.SHIPPED)])
def test_weights_ship_with_a_card_that_says_where_they_come_from(name: str) -> None:
    path = zoo.WEIGHTS / f"{name}.safetensors"
    card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert [field for field in CARD if not card.get(field)] == []
    assert card["name"] == name
    assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert card["bytes"] == path.stat().st_size < 10 * 2**20
    assert FLOOR.get(name, 0.75) <= card["test_accuracy"] <= 1
    assert all(type(seed) is int for seed in card["seeds"])
    assert card["command"].startswith(f"python -m training.{'image_graphs' if name in NAMES else 'soft_hyperedges'} ")
    assert card["command"].endswith(name)
    assert datetime.date.fromisoformat(card["date"]) <= datetime.date.today()
    assert card["model"] == json.loads(json.dumps(zoo.ENTRIES[name].describe()))
    loaded = zoo.load(name)
    assert loaded.trained
    assert loaded.labels == tuple(card["labels"])
    assert len(loaded.labels) == 10
    assert sum(p.numel() for p in loaded.model.parameters()) == card["parameters"] <= 2_000_000


@pytest.mark.parametrize("name", [shipped(detection.NAME)])
def test_the_detector_ships_with_a_card_that_says_what_it_finds(name: str) -> None:
    path = zoo.WEIGHTS / f"{name}.safetensors"
    card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert [field for field in CARD if field != "test_accuracy" and not card.get(field)] == []
    assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert card["bytes"] == path.stat().st_size < 10 * 2**20
    assert 0.5 <= card["test_ap50"] <= 1
    assert max(map(abs, card["measured"]["loudness"])) > 0.02, "the hypergraph is heard in at least one place"
    assert card["command"].startswith("python -m training.detection ")
    assert card["model"] == json.loads(json.dumps(zoo.ENTRIES[name].describe()))
    loaded = zoo.load(name)
    assert loaded.trained
    assert loaded.labels == tuple(card["labels"])
    assert sum(p.numel() for p in loaded.model.parameters()) == card["parameters"] <= 3_000_000


def test_all_weights_together_are_small_and_nothing_else_lies_there() -> None:
    files = [path for path in zoo.WEIGHTS.rglob("*") if path.is_file() and path.name not in (".gitkeep", "README.md")]
    assert sum(path.stat().st_size for path in files) < 100 * 2**20
    assert {path.stem for path in files} <= {*TRAINED, *EMBEDDED}
    assert {path.suffix for path in files} <= {".safetensors", ".json"}
    for name in (*TRAINED, *EMBEDDED):
        assert (zoo.WEIGHTS / f"{name}.safetensors").exists() == (zoo.WEIGHTS / f"{name}.json").exists()


# --------------------------------------------------------------------------------------------------- the stored traces


@pytest.mark.parametrize("slug", SLUGS)
def test_the_stored_first_run_is_what_the_network_answers_today(slug: str) -> None:
    text = service.trace(slug)
    if text is None:
        pytest.skip("no stored run of this exhibit yet")
    scene = scene_of(slug)
    found = assert_valid(text, ALL[slug], scene, controls_of(slug))
    assert found["run"] is None
    assert found["notes"] == list(scene.notes)
    assert found["state"] == service.first_look(ALL[slug])
    assert found["story"] == json.loads(json.dumps(ALL[slug].story()))
    assert [name for name, _ in found["prediction"]] == [name for name, _ in scene.prediction]
    np.testing.assert_allclose([p for _, p in found["prediction"]], [p for _, p in scene.prediction], atol=1e-3)


def test_a_recorded_run_is_a_valid_payload_without_an_id() -> None:
    text, drawing = service.record("mobilevig")
    found = assert_valid(text, ALL["mobilevig"], scene_of("mobilevig"), controls_of("mobilevig"))
    assert found["run"] is None
    assert found["state"] == service.first_look(ALL["mobilevig"])
    assert drawing.startswith("<svg ")
    assert "${" not in drawing
    assert "{{" not in drawing


def test_a_copy_of_the_weights_is_read_from_where_the_zoo_points(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if not any(zoo.WEIGHTS.glob("*.safetensors")):
        pytest.skip("no weights yet")
    for path in zoo.WEIGHTS.glob("*"):
        shutil.copy(path, tmp_path)
    first = next(path for path in sorted(tmp_path.glob("*.safetensors")) if path.stem in zoo.ENTRIES)
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    assert zoo.load(first.stem).trained
    first.unlink()
    assert not zoo.load(first.stem).trained
