"""The stored first runs are what the shipped code and weights give today; else `python -m explorer record` is due."""

from __future__ import annotations

import json

import numpy as np
import pytest

from explorer import service
from explorer.exhibits import catalogue
from explorer.views.arrays import unpack

SLUGS = list(catalogue()[0])


@pytest.mark.parametrize("slug", SLUGS)
def test_the_stored_run_is_current(slug):
    stored = json.loads(service.trace(slug) or "null")
    assert stored, f"{slug} has no stored run: python -m explorer record {slug}"
    fresh = json.loads(service.record(slug)[0])
    for part in ("version", "exhibit", "picture", "controls", "story", "views", "notes", "claims", "state"):
        assert stored[part] == fresh[part], f"{part} changed: python -m explorer record {slug}"
    assert [layer["label"] for layer in stored["layers"]] == [layer["label"] for layer in fresh["layers"]]
    for before, now in zip(stored["layers"], fresh["layers"], strict=True):
        assert before["kind"] == now["kind"]
        if now["kind"] == "graph":
            same = unpack(before["kept"]) == unpack(now["kept"])
            assert same.mean() > 0.99, f"the edges of {before['label']} changed: python -m explorer record {slug}"
    assert dict(stored["prediction"]) == pytest.approx(dict(fresh["prediction"]), abs=0.01)


@pytest.mark.parametrize("slug", SLUGS)
def test_a_page_opens_with_the_stored_run(slug):
    assert service.opened(slug) == service.trace(slug)
    assert json.loads(service.opened(slug))["run"] is None


@pytest.mark.parametrize("slug", SLUGS)
def test_claims_say_what_the_page_needs(slug):
    found = service.claims(slug)
    assert found, f"python -m explorer claims {slug} --store"
    assert len(found["rows"]) == len(catalogue()[0][slug].claims)
    for row in found["rows"]:
        assert row["claim"]
        assert row["our_figure"]
        assert row["holds"] in (True, False, None)


def test_a_stored_run_answers_questions_by_running_again():
    about = {"exhibit": "greedyvig", "run": None, "image": {"example": "bus"}, "controls": {}}
    answer = service.cut({**about, "cuts": [{"layer": "*", "kind": "patch", "pairs": [[119, -1]]}]})
    assert np.isclose(sum(p for _, p in answer["prediction"]), 1, atol=1e-3)
