"""Links: what goes in comes out, hostile ones open the exhibit as usual, and old ones keep their promise."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
import tracemalloc
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer import examples, permalink, service
from explorer.exhibits import catalogue
from explorer.permalink import State, decode, encode, tidy

ROOT = Path(__file__).resolve().parents[1]
STORED = json.loads((ROOT / "tests" / "data" / "permalinks-v1.json").read_text(encoding="utf-8"))
PART = "A part of this link could not be used and stands as usual."
DAMAGED = "This link is damaged, so the exhibit opens as it always does."
OTHER = "This link was made by another version of the page, so the exhibit opens as it always does."


def packed(raw: bytes) -> str:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return base64.urlsafe_b64encode(packer.compress(raw) + packer.flush()).decode().rstrip("=")


def link(state: Any) -> str:
    return packed(json.dumps(state).encode())


# ------------------------------------------------------------------------------------------------------- there and back

word = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=20)
number = st.integers(-(2**53), 2**53) | st.floats(-(2.0**53), 2.0**53)
plain = st.none() | st.booleans() | number | word
flat = plain | st.lists(plain, max_size=26) | st.dictionaries(word, plain, max_size=4)
state = st.dictionaries(word, flat, max_size=8)


@given(st.none() | word, state, state)
def test_what_goes_in_comes_out(image: str | None, controls: dict[str, Any], look: dict[str, Any]) -> None:
    text = encode(image, controls, look)
    if len(text) <= permalink.MAX_TEXT:
        assert decode(text) == State(image, controls, look)
        assert not set(text) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_a_full_state_stays_below_the_length_of_an_address() -> None:
    for slug, exhibit in catalogue()[0].items():
        controls = {
            w["name"]: w.get("max", w.get("options", [True])[-1] if w["kind"] == "choice" else True) for w in exhibit.controls.widgets()
        }
        look = {
            "layer": 11, "pins": list(range(3130, 3000, -5)), "direction": "both", "all": True, "opacity": 0.123456, "colour": "length",
            "grid": "off", "seen": True, "heat": "some measured map of a layer", "compare": 10, "difference": True, "tab": "attribution",
            "step": 8, "rule": {"k": 12, "dilation": 3, "multiplier": 1.23456789, "quantile": 0.987654321},
        }  # fmt: skip
        text = encode("horses", controls, look)
        assert len(text) < 1_500, slug
        assert decode(text) == State("horses", controls, look)


def test_no_link_is_the_usual_state() -> None:
    assert decode(None) == decode("") == State()


# ------------------------------------------------------------------------------------------------------------- hostile

HOSTILE = {
    "not base64": "%%%",
    "a cut off base64": "A",
    "not deflated": base64.urlsafe_b64encode(b"hello world").decode(),
    "cut off": link({"v": 1, "i": "cat", "l": {"pins": list(range(20))}})[:-6],
    "not JSON": packed(b"{v: 1}"),
    "not UTF-8": packed(b'{"v": 1, "i": "\xff\xfe"}'),
    "empty": packed(b""),
    "other letters": "été" * 10,
    "lone surrogate": "\ud800" * 4,
    "zero bytes": "\0\0\0\0",
    "white space": " \n\t ",
    "too long": "A" * 4_001,
    "a very large number": packed(b'{"v": 1, "c": {"k": ' + b"9" * 6_000 + b"}}"),
    "10 000 lists deep": packed(b'{"v": 1, "l": {"a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}}"),
    "10 000 groups deep": packed(b'{"v": 1, "l": ' + b'{"a":' * 9_000 + b"1" + b"}" * 9_000 + b"}"),
    "bomb": packed(b'{"v": 1, "l": "' + b"A" * 20_000_000 + b'"}'),
    "one byte over": packed(b'{"v": 1}' + b" " * (permalink.MAX_BYTES - 7)),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_damaged_link_opens_as_usual_and_says_so(text: str) -> None:
    tracemalloc.start()
    begun = time.thread_time()
    found = decode(text)
    used, peak = time.thread_time() - begun, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == State(notices=(DAMAGED,))
    assert used < 0.5
    assert peak < 5 * 2**20


def test_the_largest_state_that_is_allowed_is_read() -> None:
    text = packed(b'{"v": 1}' + b" " * (permalink.MAX_BYTES - 8))
    assert decode(text) == State()


@pytest.mark.parametrize("found", [{"v": 2}, {"v": "1"}, {"v": None}, {}, [], [1], 1, "v", None, {"v": [1]}], ids=repr)
def test_another_version_says_so(found: Any) -> None:
    assert decode(link(found)) == State(notices=(OTHER,))


WRONG_PARTS = {
    "image is a number": ({"i": 7}, State(notices=(PART,))),
    "image is too long": ({"i": "x" * 41}, State(notices=(PART,))),
    "image is a list": ({"i": ["cat"]}, State(notices=(PART,))),
    "controls are a list": ({"c": [1, 2]}, State(notices=(PART,))),
    "look is text": ({"l": "layer"}, State(notices=(PART,))),
    "nested too deeply": ({"l": {"a": [[1]], "layer": 2}}, State(look={"layer": 2}, notices=(PART,))),
    "a long list": ({"l": {"pins": list(range(65)), "layer": 2}}, State(look={"layer": 2}, notices=(PART,))),
    "a long word": ({"l": {"tab": "x" * 61, "layer": 2}}, State(look={"layer": 2}, notices=(PART,))),
    "control characters": ({"l": {"tab": "a\nb\x00"}}, State(notices=(PART,))),
    "a lone surrogate": ({"l": {"tab": "\ud800", "\udfff": 1}, "c": {"k": "\udc00"}}, State(notices=(PART,))),
    "a name too long": ({"c": {"k" * 41: 1}}, State(notices=(PART,))),
    "too large a number": ({"c": {"k": 10**30}}, State(notices=(PART,))),
    "empty parts": ({"i": "", "c": {}, "l": {}}, State("")),
    "parts of the future": ({"x": 1, "i": "cat"}, State("cat")),
}


@pytest.mark.parametrize(("found", "expected"), WRONG_PARTS.values(), ids=WRONG_PARTS.keys())
def test_what_cannot_be_meant_is_dropped_with_a_notice(found: dict[str, Any], expected: State) -> None:
    assert decode(link({"v": 1, **found})) == expected


def test_not_a_number_does_not_pass() -> None:
    for value in (b"NaN", b"Infinity", b"-Infinity", b"1e999"):
        found = decode(packed(b'{"v": 1, "c": {"multiplier": ' + value + b'}, "l": {"opacity": ' + value + b', "layer": 1}}'))
        assert found == State(look={"layer": 1}, notices=(PART,))


def test_hundreds_of_fields_are_cut() -> None:
    assert len(tidy({f"f{i}": i for i in range(5_000)})) == 64


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(anything)
def test_whatever_stands_in_a_link_becomes_flat_and_printable(found: Any) -> None:
    state = decode(link({"v": 1, "i": found, "c": found, "l": {"a": found, "b": {"c": found}}}))
    json.dumps([state.image, state.controls, state.look], allow_nan=False, ensure_ascii=False).encode()
    for value in [*state.controls.values(), *state.look.values()]:
        inner = [*value] if isinstance(value, list) else [*value.values()] if isinstance(value, dict) else [value]
        assert not any(isinstance(item, (list, dict)) for item in inner)


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_any_text_is_answered(text: str) -> None:
    assert isinstance(decode(text), State)


# -------------------------------------------------------------------------------------------------- the other language

PACK = "const HS = loadCanvas('core', 'permalink'); for (const x of given) out.push(await HS.packState({ i: x[0], c: x[1], l: x[2] }));"
READ = "const HS = loadCanvas('core', 'permalink'); for (const x of given) out.push(await HS.readPermalink(x));"


def in_node(script: str, given: list[Any]) -> list[Any]:
    """`script` fills `out` from `given`, with the scripts of the canvas at hand."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not on this machine, so the JavaScript side of links cannot be run")
    load = (ROOT / "tests" / "canvas" / "load.mjs").as_uri()
    lines = f"import {{ loadCanvas }} from {json.dumps(load)};\nconst given = JSON.parse(process.argv[1]); const out = [];\n{script}\nconsole.log(JSON.stringify(out));"
    done = subprocess.run(
        [node, "--input-type=module", "-e", lines, json.dumps(given)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


LOOKS = [
    ("cat", {"k": 3, "mirror": True, "place": "early · 16 × 16"}, {"layer": 2, "pins": [5, 9], "direction": "both", "opacity": 0.45}),
    ("bus", {}, {"rule": {"k": 4, "multiplier": -0.5}, "heat": "heard", "compare": None, "all": True, "tab": "why", "seen": False}),
    ("yours", {"multiplier": 1.25, "features": "the network's"}, {"grid": "on", "colour": "length", "difference": False, "step": 8}),
]


def test_python_reads_what_the_page_writes() -> None:
    for text, (image, controls, look) in zip(in_node(PACK, LOOKS), LOOKS, strict=True):  # type: ignore[arg-type]
        assert decode(text) == State(image, controls, look)


def test_the_page_reads_what_python_writes() -> None:
    for found, (image, controls, look) in zip(in_node(READ, [encode(*state) for state in LOOKS]), LOOKS, strict=True):
        assert found == {"image": image, "controls": controls, "look": look, "notices": []}


def test_both_sides_refuse_the_same_links() -> None:
    read_further = ("not UTF-8", "a very large number", "10 000 lists deep", "10 000 groups deep", "one byte over")
    names = [name for name, text in HOSTILE.items() if "\0" not in text]
    for name, found in zip(
        [*names, "later", "no state"], in_node(READ, [*(HOSTILE[n] for n in names), link({"v": 2}), link([])]), strict=True
    ):
        assert (found["controls"], found["look"]) == ({}, {}), name
        assert (found["image"] is None and len(found["notices"]) == 1) or name in read_further, name


# ------------------------------------------------------------------------------------------------------------ old links


@lru_cache(maxsize=1)
def usual() -> dict[str, dict[str, Any]]:
    return {slug: exhibit.controls().model_dump() for slug, exhibit in catalogue()[0].items()}


def test_five_links_of_every_exhibit_are_kept() -> None:
    slugs = [row["exhibit"] for row in STORED]
    assert set(slugs) == set(catalogue()[0])
    assert min(slugs.count(slug) for slug in set(slugs)) >= 5
    assert all(len(row["s"]) < 1_500 for row in STORED)


@pytest.mark.parametrize("row", STORED, ids=[f"{row['exhibit']}-{i}" for i, row in enumerate(STORED)])
def test_an_old_link_opens_the_same_picture_with_the_same_settings(row: dict[str, Any]) -> None:
    assert decode(row["s"]) == State(row["image"], row["controls"], row["look"])
    found = json.loads(service.opened(row["exhibit"], row["s"]))
    own = row["image"] == "yours"
    name = catalogue()[0][row["exhibit"]].example if own else row["image"]
    assert (found["picture"] or {}).get("name") == name
    assert found["controls"]["values"] == {**usual()[row["exhibit"]], **row["controls"]}
    assert found["state"] == row["look"]
    explained = any("cannot carry your own picture" in note for note in found["notes"])
    assert explained == own
    assert not any("link" in note for note in found["notes"] if not own)


def test_a_link_with_settings_of_another_day_opens_with_the_usual_ones_and_says_so() -> None:
    found = json.loads(service.opened("mobilevig", link({"v": 1, "i": "no such", "c": {"step": 99}, "l": {"layer": 1}})))
    assert found["controls"]["values"] == usual()["mobilevig"]
    assert found["picture"]["name"] == "bus"
    assert found["state"] == {"layer": 1}
    assert any("There is no example named 'no such' any more" in note for note in found["notes"])
    assert any("step is 99; it must be a number from 1 to 7" in note for note in found["notes"])


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_link_never_keeps_a_page_from_opening(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(service, "run", lambda *args: asked.append(args) or "{}")
    assert service.opened("mobilevig", text) == "{}"
    _, source, controls, look, notices = asked[0]
    assert source.name == "bus"
    assert controls == catalogue()[0]["mobilevig"].controls()
    assert look == service.first_look(catalogue()[0]["mobilevig"])
    assert notices == [DAMAGED]


def test_every_example_can_be_linked() -> None:
    for name in examples.examples():
        assert decode(encode(name, {}, {})).image == name
