"""The view of soft hypergraphs: what the browser gets, what the API says, the marks of the card, the look-up of heads."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from explorer import runtime, service
from explorer.examples import examples
from explorer.exhibit import Layer, Scene
from explorer.views import view_of
from explorer.views.arrays import unpack
from explorer.views.hypergraph import DEEPEST, VIEW, head_maps, hypergraph_payload, layer_payload, mass_cells, space
from explorer.views.space import pca, principal_axes, projected
from models.hypergraphs.hard import FuzzyCMeans, HardMembers, NearestHyperedges
from models.hypergraphs.softhgnn import SoftHGNN, SoftHyperedges, SparseSoftHyperedges
from models.structures import HypergraphMessages, SoftHypergraph
from models.structures.hypergraph import participation_of
from tests.canvas import hypergraph_numbers as fixture

GRID = (4, 6)
SHOWN = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)


def tokens(special: int = 1, width: int = 8) -> torch.Tensor:
    return torch.randn(1, special + GRID[0] * GRID[1], width, generator=torch.Generator().manual_seed(4))


@torch.no_grad()
def dense(special: int = 1, **settings) -> SoftHypergraph:
    torch.manual_seed(1)
    made = SoftHyperedges(8, 5, 2, **settings).eval()
    made.prototype_base.mul_(4)
    return made(tokens(special), GRID, special).cpu()


@torch.no_grad()
def sparse() -> SoftHypergraph:
    torch.manual_seed(2)
    return SparseSoftHyperedges(8, 6, 2, 1, 2).eval()(tokens(), GRID, 1).cpu()


def decoded(payload: dict) -> torch.Tensor:
    """The participation as the browser makes it from a payload, without any setting."""
    if payload["participation"] is not None:
        assert payload["own"]["hard"] == 0
        return torch.tensor(unpack(payload["participation"]))
    logits = torch.tensor(unpack(payload["logits"]))[None]
    selected = torch.tensor(unpack(payload["selected"])).bool()[None]
    present = None if payload["present"] is None else torch.tensor(unpack(payload["present"])).bool()[None]
    soft = SoftHypergraph(participation_of(logits, payload["normalise"], selected, present), GRID, FuzzyCMeans(2)(tokens(0)).rule)
    return replace(soft, normalise=payload["normalise"]).hardened(payload["own"]["hard"]).participation[0]


HYPERGRAPHS = {
    "dense": dense,
    "no special token": lambda: dense(0),
    "paper's softmax": lambda: dense(normalise="hyperedges"),
    "sparse": sparse,
    "colder, chosen anew, parts out": lambda: sparse().at_temperature(1.5).with_top_k(3).without_hyperedges([0]).without_patches([2, 9]),
    "half hard": lambda: dense().hardened(0.5),
    "hard": lambda: sparse().hardened(1),
    "fuzzy c-means": lambda: FuzzyCMeans(4)(tokens(0), GRID),
    "its hard members": lambda: HardMembers()(FuzzyCMeans(4)(tokens(0), GRID)),
    "nearest neighbours": lambda: NearestHyperedges(5)(tokens(0), GRID),
}


@pytest.mark.parametrize("name", HYPERGRAPHS)
def test_the_browser_gets_the_participation_that_the_model_had(name):
    h = HYPERGRAPHS[name]()
    payload = json.loads(json.dumps(hypergraph_payload(h)))
    assert payload["hyperedges"] == h.hyperedges
    assert payload["special"] == h.special
    assert (payload["logits"] is None) == (h.logits is None)
    found, wanted = decoded(payload), h.participation[0]
    assert (found - wanted).abs().max() <= 1e-3 * wanted.max()


def test_a_participation_travels_only_when_the_logits_do_not_tell_it():
    assert hypergraph_payload(dense())["participation"] is None
    assert hypergraph_payload(dense().at_temperature(9.0))["participation"] is None
    assert hypergraph_payload(dense().hardened(0.5))["participation"] is None
    assert hypergraph_payload(dense().hardened(0.5).without_patches([3]))["participation"] is not None, "the cut came after the hardening"
    assert hypergraph_payload(NearestHyperedges(5)(tokens(0), GRID))["logits"] is None


def test_drift_turns_the_logits_into_those_of_any_context():
    h = dense()
    payload = hypergraph_payload(h)
    logits, drift = (torch.tensor(unpack(payload[key])) for key in ("logits", "drift"))
    for t in (0.0, 0.5, 2.0):
        expected = h.with_prototypes(h.static + t * h.offset).logits[0]
        assert torch.allclose(logits + (t - 1) * drift, expected, atol=1e-3)
    softer = h.at_temperature(2 * h.temperature)
    assert torch.allclose(torch.tensor(unpack(hypergraph_payload(softer)["drift"])), drift / 2, atol=1e-4), (
        "in units of its own temperature"
    )


def test_the_choice_of_the_sparse_form_can_be_made_anew():
    h = sparse()
    payload = hypergraph_payload(h)
    assert (payload["own"]["k"], payload["fixed"]) == (2, 1)
    scores = unpack(payload["scores"])
    best = set(1 + np.argsort(-scores[1:])[:2]) | {0}
    assert best == set(np.nonzero(unpack(payload["selected"]))[0])
    assert hypergraph_payload(dense())["own"]["k"] is None


@pytest.mark.parametrize(("temperature", "hard", "context"), [(0, 0, 1), (1, 0, 1), (-2.5, 0.35, 0), (0.75, 1, 1.7)])
def test_the_settings_of_a_hypergraph_are_read_off_itself(temperature, hard, context):
    h = dense()
    h = h.with_prototypes(h.static + context * h.offset).at_temperature(h.temperature * 2**temperature).hardened(hard)
    own = hypergraph_payload(h)["own"]
    assert (own["temperature"], own["hard"], own["context"]) == pytest.approx((temperature, hard, context), abs=1e-3)


def test_patches_and_prototypes_lie_in_one_plane():
    h = dense()
    plane = space(h)
    together = np.concatenate([h.queries[0, 1:].numpy(), h.prototypes[0].numpy()])
    points, explained = pca(together)
    found = np.concatenate([unpack(plane["tokens"]), unpack(plane["prototypes"])])
    assert np.allclose(found, points, atol=np.ptp(points) / (2**12 - 1))  # patches travel in 12 bits
    assert plane["explained"] == pytest.approx(explained.tolist())
    moved = unpack(plane["prototypes"]) - unpack(plane["static"])
    axes = principal_axes(together)[1]
    assert np.allclose(moved, h.offset[0].numpy() @ axes.T, atol=1e-4), "an arrow is ΔP in the same plane"
    assert space(NearestHyperedges(5)(tokens(0), GRID)) is None


@pytest.mark.parametrize("features", [np.ones((5, 3)), np.arange(4.0)[:, None], np.zeros((1, 2))])
def test_a_plane_exists_for_features_that_do_not_fill_one(features):
    mean, axes, explained = principal_axes(features)
    assert projected(features, mean, axes).shape == (len(features), 2)
    assert explained.shape == (2,)
    assert np.isfinite(explained).all()


def test_the_layer_carries_colours_and_the_size_of_the_message():
    torch.manual_seed(1)
    layer = SoftHGNN(8, 5, 2).eval()
    with torch.no_grad():
        h = layer.edge_generator(tokens(), GRID, 1)
        messages = layer.messages(tokens(), h, layer.edge_proj, layer.node_proj)
    payload = layer_payload({"hypergraph": h, "messages": messages}, SHOWN)
    assert payload["grid"] == list(GRID)
    assert unpack(payload["colour"]).shape == (24, 3)
    assert np.allclose(unpack(payload["maps"]["message_size"]), messages.update[0, 1:].norm(dim=1).numpy())
    assert layer_payload({"hypergraph": h}, SHOWN)["maps"] == {}


def test_hyperedges_of_every_patch_travel_in_eight_bits():
    many = SoftHypergraph(torch.rand(1, 256, 256), (16, 16), NearestHyperedges(3)(torch.randn(1, 9, 4)).rule, "none")
    packed = hypergraph_payload(many)["participation"]
    assert packed["type"] == "q8"
    assert np.abs(unpack(packed) - many.participation[0].numpy()).max() <= 1 / 500


def test_a_layer_with_a_hypergraph_is_drawn_as_one():
    h = dense()
    assert view_of({"hypergraph": h}) == (VIEW, h)
    assert view_of({"messages": HypergraphMessages(*[torch.zeros(1, 1, 1)] * 4)}) is None


def test_numbers_for_the_api():
    h = sparse()
    numbers = json.loads(json.dumps(VIEW.numbers(h)))
    assert numbers["selected"] == h.active()[0].nonzero().flatten().tolist()
    assert numbers["load"] == pytest.approx(h.load()[0].tolist())
    assert np.allclose(numbers["participation"], h.participation[0].numpy(), rtol=1e-3)
    assert VIEW.amount(h) == (3, "hyperedges")
    assert VIEW.amount(h.without_hyperedges([numbers["selected"][0]])) == (2, "hyperedges")


def test_the_card_shows_half_of_the_two_hyperedges_that_are_chosen():
    h = dense(0)

    def place(patch: int, grid: tuple[int, int]) -> tuple[float, float]:
        return 10 * (patch % grid[1] + 0.5), 10 * (patch // grid[1] + 0.5)

    weights = h.weights()[0].numpy()
    for look, edges in (({"edges": [3, 1]}, [3, 1]), ({}, h.load()[0].argsort(descending=True)[:2].tolist())):
        drawn = VIEW.marks(h, look, "#ffb000", place)
        cells = re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" width="10.0" height="10.0" fill="(#\w+)"', drawn)
        sets = [mass_cells(weights[:, m]) for m in edges]
        assert len(cells) == sum(map(len, sets))
        assert [fill for *_, fill in cells] == ["#ffb000"] * len(sets[0]) + ["#56b4e9"] * len(sets[1])
        first = sets[0][0]
        assert (float(cells[0][0]), float(cells[0][1])) == (10 * (first % GRID[1]), 10 * (first // GRID[1]))


def test_half_of_the_mass_is_held_by_no_fewer_cells():
    weights = np.array([0.1, 0.4, 0.3, 0.2])
    assert mass_cells(weights).tolist() == [1, 2]
    assert mass_cells(weights, 0.4).tolist() == [1]
    assert mass_cells(np.zeros(3)).tolist() == []


def test_maps_of_single_heads():
    h = dense()
    packed = head_maps(h)
    maps = unpack(packed)
    assert maps.shape == (2, 24, 5)
    for head, logits in enumerate(h.head_logits()[0]):
        degree = logits.softmax(0)[1:]
        expected = (24 * degree / degree.sum(0)).log2().clamp(-DEEPEST, DEEPEST)
        assert np.allclose(maps[head], expected.numpy(), atol=2 * DEEPEST / 255)
    assert head_maps(replace(h, heads=1)) is None
    assert head_maps(NearestHyperedges(5)(tokens(0), GRID)) is None


def test_the_look_up_of_heads_answers_for_a_hypergraph_layer_only():
    h = dense()
    scene = Scene(SHOWN, SHOWN, [Layer("soft", "Soft", {"hypergraph": h}), Layer("empty", "Empty", {})])
    run = runtime.RUNS.put(runtime.Run("soft", service.example(next(iter(examples()))), None, scene, 1))
    answer = service.look_up({"question": "heads", "run": run, "layer": "soft"})
    assert unpack(answer["values"]).shape == (2, 24, 5)
    assert service.look_up({"question": "heads", "run": run, "layer": 0}) == answer
    for layer in ("empty", "nowhere", 9, None, [0]):
        assert service.look_up({"question": "heads", "run": run, "layer": layer}) is None
    assert service.look_up({"question": "row", "run": run, "layer": "soft", "patch": 0}) is None
    assert service.look_up({"question": ["heads"], "run": run, "layer": "soft"}) is None


def test_the_numbers_that_the_canvas_is_held_to_are_those_of_today():
    def compare(found, stored, where):
        if isinstance(found, dict):
            assert found.keys() == stored.keys(), where
            for key in found:
                compare(found[key], stored[key], f"{where} {key}")
        elif isinstance(found, (list, tuple)):
            assert len(found) == len(stored), where
            for i, pair in enumerate(zip(found, stored, strict=True)):
                compare(*pair, f"{where} {i}")
        elif isinstance(found, float) and stored is not None:
            assert math.isclose(found, stored, rel_tol=1e-4, abs_tol=1e-6), where
        else:
            assert found == stored, where

    strip = [{**case, "payload": {k: v for k, v in case["payload"].items() if not isinstance(v, dict)}} for case in fixture.cases()]
    stored = json.loads(fixture.FILE.read_text(encoding="utf-8"))
    compare(strip, [{**case, "payload": {k: v for k, v in case["payload"].items() if not isinstance(v, dict)}} for case in stored], "case")
