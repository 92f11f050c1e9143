"""The contract of an exhibit: what its controls accept, and in which words they refuse."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from explorer.exhibit import BadRequest, Controls, Exhibit, Intervention, Paper, Scene, Wing


class Some(Controls):
    """One control of each kind."""

    count: int = Field(6, ge=1, le=16, title="Neighbours", description="How many.")
    share: float = Field(0.5, ge=0, le=1, json_schema_extra={"step": 0.05})
    rule: Literal["near", "far"] = Field("near", title="Rule")
    mirror: bool = Field(False, json_schema_extra={"advanced": True})


# -------------------------------------------------------------------------------------------------------------- widgets


def test_a_page_draws_each_kind_from_the_same_definition() -> None:
    count, share, rule, mirror = Some.widgets()
    assert count == {
        "name": "count", "label": "Neighbours", "hint": "How many.", "value": 6, "kind": "range", "min": 1, "max": 16, "step": 1,
    }  # fmt: skip
    assert share == {"name": "share", "label": "share", "hint": "", "value": 0.5, "kind": "range", "min": 0, "max": 1, "step": 0.05}
    assert rule == {"name": "rule", "label": "Rule", "hint": "", "value": "near", "kind": "choice", "options": ["near", "far"]}
    assert mirror == {"name": "mirror", "label": "mirror", "hint": "", "value": False, "kind": "switch", "advanced": True}
    json.dumps(Some.widgets())


def test_a_float_without_a_step_gets_a_hundredth_of_its_range() -> None:
    class Fine(Controls):
        level: float = Field(0.0, ge=-1, le=4)

    assert Fine.widgets()[0]["step"] == pytest.approx(0.05)


def test_underscores_of_a_name_without_a_title_become_spaces() -> None:
    class Named(Controls):
        how_many: int = Field(1, ge=0, le=2)

    assert Named.widgets()[0]["label"] == "how many"


UNBOUNDED = {
    "int without bounds": (int, Field(1)),
    "float without bounds": (float, Field(1.0)),
    "no upper bound": (int, Field(1, ge=0)),
    "no lower bound": (float, Field(1.0, le=2)),
    "open bounds": (float, Field(0.5, gt=0, lt=1)),
    "free text": (str, Field("")),
    "list": (list[int], Field([])),
    "perhaps nothing": (int | None, Field(None, ge=0, le=3)),
    "no default": (int, Field(ge=0, le=3)),
}


@pytest.mark.parametrize(("kind", "info"), UNBOUNDED.values(), ids=UNBOUNDED.keys())
def test_a_control_that_no_page_can_draw_or_bound_is_refused(kind: Any, info: Any) -> None:
    wild = type("Wild", (Controls,), {"__annotations__": {"value": kind}, "value": info})
    with pytest.raises(TypeError, match="control 'value' must"):
        wild.widgets()


# ---------------------------------------------------------------------------------------------------------------- parse


def test_nothing_given_is_the_default() -> None:
    assert Some.parse(None) == Some.parse({}) == Some()


def test_values_in_reach_are_taken_and_the_bounds_belong_to_it() -> None:
    for count in (1, 16):
        assert Some.parse({"count": count}).count == count
    for share in (0, 1, 0.25):
        assert Some.parse({"share": share}).share == share
    assert Some.parse({"rule": "far", "mirror": True}) == Some(rule="far", mirror=True)


def test_text_of_the_command_line_is_read_as_what_it_means() -> None:
    assert Some.parse({"count": "7", "share": "0.25", "mirror": "true"}) == Some(count=7, share=0.25, mirror=True)


def test_controls_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError):
        Some().count = 3  # type: ignore[misc]


WRONG = {
    "too small": ({"count": 0}, "count is 0; it must be a number from 1 to 16"),
    "too large": ({"count": 17}, "count is 17; it must be a number from 1 to 16"),
    "no whole number": ({"count": 2.5}, "count is 2.5; it must be a number from 1 to 16"),
    "a word for a number": ({"count": "many"}, "count is 'many'; it must be a number from 1 to 16"),
    "nothing for a number": ({"count": None}, "count is None; it must be a number from 1 to 16"),
    "a list for a number": ({"count": [1]}, "count is a list; it must be a number from 1 to 16"),
    "a mapping for a number": ({"share": {"a": 1}}, "share is a group of values; it must be a number from 0 to 1"),
    "not a number": ({"share": math.nan}, "share is nan; it must be a number from 0 to 1"),
    "infinite": ({"share": math.inf}, "share is inf; it must be a number from 0 to 1"),
    "minus infinite": ({"share": -math.inf}, "share is -inf; it must be a number from 0 to 1"),
    "nan for a whole number": ({"count": math.nan}, "count is nan; it must be a number from 1 to 16"),
    "another word": ({"rule": "Near"}, "rule is 'Near'; it must be one of near, far"),
    "a number for a word": ({"rule": 0}, "rule is 0; it must be one of near, far"),
    "a list for a word": ({"rule": ["near"]}, "rule is a list; it must be one of near, far"),
    "a word for a switch": ({"mirror": "maybe"}, "mirror is 'maybe'; it must be true or false"),
    "a number for a switch": ({"mirror": 2}, "mirror is 2; it must be true or false"),
    "unknown name": ({"cuont": 3}, "there is no control named 'cuont'; there are count, share, rule, mirror"),
    "two at once": (
        {"count": 99, "rule": "odd"},
        "count is 99; it must be a number from 1 to 16; rule is 'odd'; it must be one of near, far",
    ),
}


@pytest.mark.parametrize(("values", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_value_is_refused_in_a_sentence_that_says_what_is_accepted(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        Some.parse(values)
    assert str(refusal.value) == sentence


NOT_A_MAPPING = {"text": "count=3", "list": [1, 2], "pairs": [["count", 3]], "number": 7, "true": True}


@pytest.mark.parametrize("values", NOT_A_MAPPING.values(), ids=NOT_A_MAPPING.keys())
def test_what_is_no_set_of_names_and_values_is_refused(values: Any) -> None:
    with pytest.raises(BadRequest, match="names and values"):
        Some.parse(values)


def test_a_refusal_stays_short_whatever_was_sent() -> None:
    nested: Any = []
    for _ in range(5_000):
        nested = [nested]
    hostile = {"count": "x" * 1_000_000, "share": nested, "rule": 10**5_000, "mirror": b"\0" * 10**6}
    for values in (hostile, {"n" * 100_000: 1}, {f"name{i}": i for i in range(1_000)}):
        with pytest.raises(BadRequest) as refusal:
            Some.parse(values)
        assert len(str(refusal.value)) < 700


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*Some.model_fields, "other", ""]), anything, max_size=5))
def test_whatever_is_sent_is_in_bounds_or_refused_in_words(values: dict[str, Any]) -> None:
    found = parsed(values)
    if isinstance(found, BadRequest):
        assert "must be" in str(found) or "there is no control" in str(found)
        assert "pydantic" not in str(found)
        assert "\n" not in str(found)
    else:
        assert 1 <= found.count <= 16
        assert type(found.count) is int
        assert 0 <= found.share <= 1
        assert found.rule in ("near", "far")
        assert type(found.mirror) is bool


def parsed(values: dict[str, Any]) -> Some | BadRequest:
    try:
        return Some.parse(values)  # type: ignore[return-value]
    except BadRequest as refusal:
        return refusal


# ---------------------------------------------------------------------------------------------------------- the exhibit


def exhibit(folder: Path) -> Exhibit:
    return Exhibit(
        slug="some",
        title="Some",
        wing=Wing.IMAGE_GRAPHS,
        idea="An idea.",
        paper=Paper("Title", "Authors", "Venue", "https://example.org", "theirs", "ours"),
        controls=Some,
        run=lambda *_: None,  # type: ignore[arg-type, return-value]
        views=("matrix",),
        example="bus",
        folder=folder,
    )


def test_a_step_of_the_story_is_a_whole_state(tmp_path: Path) -> None:
    (tmp_path / "some.yaml").write_text(
        "- {title: One, text: First.}\n- {title: Two, text: Second., highlight: film, "
        "state: {image: cat, controls: {count: 3}, look: {layer: 1, pins: [5]}}}\n"
    )
    one, two = exhibit(tmp_path).story()
    assert one["state"] == {"image": "bus", "controls": Some().model_dump(), "look": {}}
    assert two["state"] == {"image": "cat", "controls": {**Some().model_dump(), "count": 3}, "look": {"layer": 1, "pins": [5]}}
    assert two["highlight"] == "film"


def test_a_story_that_asks_for_what_the_controls_refuse_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "some.yaml").write_text("- {title: One, text: First., state: {controls: {count: 99}}}\n")
    with pytest.raises(BadRequest, match="count is 99"):
        exhibit(tmp_path).story()


def test_the_description_is_plain_json_with_address_and_controls(tmp_path: Path) -> None:
    found = exhibit(tmp_path).describe()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["address"] == "/image-graphs?exhibit=some"
    assert [widget["name"] for widget in found["controls"]] == ["count", "share", "rule", "mirror"]
    assert found["paper"]["venue"] == "Venue"


def test_extras_are_added_to_a_copy_of_the_scene() -> None:
    scene = Scene(shown=None, seen=None, layers=(), extras={"a": 1})  # type: ignore[arg-type]
    assert scene.with_extras(b=2).extras == {"a": 1, "b": 2}
    assert scene.extras == {"a": 1}


def test_an_intervention_is_a_value() -> None:
    assert Intervention("*", "patch", ((3, -1),)) == Intervention("*", "patch", ((3, -1),))
