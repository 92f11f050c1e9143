"""The contract of an exhibit: one object per paper, from which everything else follows.

Its page and its address, its gallery card, its permalink, its API endpoint, its command-line run and its smoke test are
all made from an `Exhibit`. A paper costs one file in `models/`, one in `explorer/exhibits/<wing>/`, a story beside it
and a weight file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from models.structures import Attribution, Structure

YAML: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # a story is read with every run; libyaml does it in a fifth of the time


class BadRequest(ValueError):
    """What a visitor asked for cannot be done. The message says why and what would be accepted."""


NO_PICTURE = np.zeros((0, 0, 3), dtype=np.uint8)
"""Stands for the picture in exhibits that look at something else (`Exhibit.pictures`)."""


class Controls(BaseModel):
    """Base of the typed, bounded settings of an exhibit; page, API and command line validate by the same class.

    A field is a bool, an int or float with `ge` and `le`, a `Literal` of words, or a str with `max_length`. Its `title` is the
    label, its `description` the hint; `json_schema_extra={"advanced": True}` hides it behind "more", of a text `lines` is the
    height of its field and `placeholder` what stands there while it is empty.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)

    @classmethod
    def parse(cls, values: Mapping[str, Any] | None) -> Controls:
        """Validated controls. Raises BadRequest with one sentence per wrong value."""
        if values is not None and not isinstance(values, Mapping):
            raise BadRequest(f"the settings must be names and values; there are {', '.join(cls.model_fields)}")
        try:
            return cls.model_validate(dict(values or {}))
        except ValidationError as error:
            raise BadRequest("; ".join(_sentence(cls, item) for item in error.errors()[:5])) from None

    @classmethod
    def widgets(cls) -> list[dict[str, Any]]:
        """How a page draws each field: name, label, hint, kind (choice, range or switch), bounds, default."""
        return [_widget(name, info) for name, info in cls.model_fields.items()]


def _widget(name: str, info: Any) -> dict[str, Any]:
    extra = info.json_schema_extra or {}
    if info.is_required():
        raise TypeError(f"control {name!r} must have a default")
    widget = {"name": name, "label": info.title or name.replace("_", " "), "hint": info.description or "", "value": info.default, **extra}
    kind = info.annotation
    if get_origin(kind) is Literal:
        return {**widget, "kind": "choice", "options": list(get_args(kind))}
    if kind is bool:
        return {**widget, "kind": "switch"}
    bounds = {name: getattr(m, name) for m in info.metadata for name in ("ge", "le", "max_length") if hasattr(m, name)}
    if kind is str and "max_length" in bounds:
        return {"lines": 1, "placeholder": "", **widget, "kind": "text", "max": bounds["max_length"]}
    if get_origin(kind) in (Union, UnionType) or kind not in (int, float) or not {"ge", "le"} <= set(bounds):
        raise TypeError(f"control {name!r} must be a bool, a Literal, an int or float with ge and le, or a str with max_length")
    step = extra.get("step", 1 if kind is int else (bounds["le"] - bounds["ge"]) / 100)
    return {**widget, "kind": "range", "min": bounds["ge"], "max": bounds["le"], "step": step}


def _sentence(cls: type[Controls], error: Mapping[str, Any]) -> str:
    name = str(error["loc"][0]) if error["loc"] else "?"
    if error["type"] == "extra_forbidden":
        return f"there is no control named {name[:40]!r}; there are {', '.join(cls.model_fields)}"
    given = _brief(error.get("input"))
    widget = next((w for w in cls.widgets() if w["name"] == name), None)
    if widget is None:
        return f"{name}: {error['msg']}"
    wanted = {
        "choice": lambda: "one of " + ", ".join(map(str, widget["options"])),
        "switch": lambda: "true or false",
        "range": lambda: f"a number from {widget['min']} to {widget['max']}",
        "text": lambda: f"a text of at most {widget['max']} characters",
    }[widget["kind"]]()
    return f"{name} is {given}; it must be {wanted}"


def _brief(value: Any) -> str:
    """A value as a few words, however large or deeply nested it is."""
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, Mapping):
        return "a group of values"
    if isinstance(value, int) and abs(value) >= 10**20:
        return "a very large number"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "…"


# ---------------------------------------------------------------------------------------------------------- the scene


@dataclass(frozen=True)
class Layer:
    """One place in the network that is worth a picture: a name, a label for people, and its structures by role."""

    name: str
    label: str
    structures: Mapping[str, Structure]


@dataclass(frozen=True)
class Scene:
    """What one run of an exhibit produced: everything that views, diagnostics and exports need, and nothing of drawing.

    Attributes:
        shown: the part of the visitor's picture that the model looked at, at display resolution, uint8 [S, S, 3]; NO_PICTURE
            where there is none.
        seen: the pixels that went into the model, uint8 [s, s, 3].
        layers: in order of the forward pass.
        prediction: class probabilities, best first, as (label, probability).
        measures: per layer name, what the diagnostics say (explorer.diagnostics.Measure).
        labels: segment of each patch of the first layer's grid, [N] int (negative: unknown), and whether it is ground
            truth; None when there is none.
        notes: plain remarks that the page must show (random weights, a rotated photo, …).
        extras: further small results by name, ready for JSON (curves, tables).
    """

    shown: np.ndarray
    seen: np.ndarray
    layers: Sequence[Layer]
    prediction: Sequence[tuple[str, float]] = ()
    measures: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    labels: tuple[np.ndarray, bool] | None = None
    notes: tuple[str, ...] = ()
    extras: Mapping[str, Any] = field(default_factory=dict)

    @property
    def grid(self) -> tuple[int, int]:
        """(H, W) of the first layer that lies on patches: the grid of `labels`."""
        grids = (getattr(structure, "grid", None) for layer in self.layers for structure in layer.structures.values())
        return next((grid for grid in grids if grid is not None), (0, 0))

    def prediction_of(self, layer: int) -> Sequence[tuple[str, float]]:
        """The prediction of the network that a layer belongs to (side by side, each layer has a network of its own)."""
        return self.extras.get("predictions", {}).get(self.layers[layer].name, self.prediction)

    def with_extras(self, **extras: Any) -> Scene:
        """The same scene with further small results."""
        return replace(self, extras={**self.extras, **extras})


# -------------------------------------------------------------------------------------------------------- the exhibit

Labeller = Callable[[tuple[int, int]], tuple[np.ndarray, bool] | None]  # grid → (segment of each patch, ground truth?)


class Wing(Enum):
    """A group of exhibits that share structures, with the slug of its page and its title."""

    IMAGE_GRAPHS = ("image-graphs", "Image graphs", "The graph that an image becomes")
    HYPERGRAPHS = ("hypergraphs", "Hypergraphs", "Soft groups of patches, and what travels through them")
    TOKENS = ("tokens", "Tokens", "Which patches a transformer looks at, keeps and drops")
    HYPERBOLIC = ("hyperbolic", "Hyperbolic", "Hierarchies in a space that has room for them")
    HYPERNETWORKS = ("hypernetworks", "Hypernetworks", "Networks whose weights another network writes")
    STRUCTURE = ("structure", "Structure", "What eyes and message passing see in a graph")

    def __init__(self, slug: str, title: str, subtitle: str) -> None:
        self.slug, self.title, self.subtitle = slug, title, subtitle


@dataclass(frozen=True)
class Paper:
    """What is cited, and in one line each what is the paper's and what is ours."""

    title: str
    authors: str
    venue: str
    url: str
    theirs: str
    ours: str


@dataclass(frozen=True)
class Claim:
    """A headline result and our measured counterpart.

    Attributes:
        text: the claim in plain words.
        paper_figure: what the paper (or its released code) reports, as printed; "" for a finding of ours.
        measure: runs our counterpart on the pictures with masks that lie in a folder (None: the ones that ship).
    """

    key: str
    text: str
    paper_figure: str
    measure: Callable[[Path | None], ClaimResult]


@dataclass(frozen=True)
class ClaimResult:
    """Our figure, whether it agrees in direction, how it was found (seeds, spread, sample size)."""

    figure: str
    holds: bool | None
    detail: str


@dataclass(frozen=True)
class Exhibit:
    """One paper on show.

    Attributes:
        slug: address, API name and command-line name.
        idea: the one idea in a sentence, for the gallery card.
        controls: the class of its settings.
        run: (square picture at display resolution, uint8 [S, S, 3]; controls; the visitor's cuts; who knows the segments) → Scene.
        cuts: the kinds of interventions that `run` takes.
        explain: (picture, controls, method, label, layer) → Attribution, or None when the exhibit has no attribution.
        views: names of the panels beside the canvas, in order.
        example: name of the example picture that opens first; "" without pictures.
        folder: where the story (`<slug>.yaml`) lies.
        pictures: False for an exhibit that looks at something else, which its controls describe: `run` is then given NO_PICTURE.
        questions: what the page may ask beside a run, by name: (scene, controls, the question) → answer, within a second.
        streams: the same for what takes long and is watched meanwhile: a generator of answers, the next one within a third of a
            second. It is closed when the visitor stops it or leaves, or after `stream_seconds`.
    """

    slug: str
    title: str
    wing: Wing
    idea: str
    paper: Paper
    controls: type[Controls]
    run: Callable[[np.ndarray, Any, Sequence[Intervention], Labeller], Scene]
    views: tuple[str, ...]
    example: str
    folder: Path
    explain: Callable[[np.ndarray, Any, str, str, str], Attribution] | None = None
    claims: tuple[Claim, ...] = ()
    cuts: tuple[str, ...] = ("edges", "patch")
    pictures: bool = True
    questions: Mapping[str, Callable[[Scene, Any, Mapping[str, Any]], Mapping[str, Any]]] = field(default_factory=dict)
    streams: Mapping[str, Callable[[Scene, Any, Mapping[str, Any]], Iterator[Mapping[str, Any]]]] = field(default_factory=dict)
    stream_seconds: float = 60

    def story(self) -> list[dict[str, Any]]:
        """The steps: title, two sentences, one highlight and the whole state each shows (picture, controls, look)."""
        steps = yaml.load((self.folder / f"{self.slug}.yaml").read_text(encoding="utf-8"), Loader=YAML)
        return [{**step, "state": self._whole(step.get("state") or {})} for step in steps]

    def _whole(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """A step's state with the defaults filled in, so that steps can be taken in any order."""
        controls = self.controls.parse(state.get("controls")).model_dump()
        return {"image": state.get("image", self.example) or None, "controls": controls, "look": dict(state.get("look", {}))}

    def describe(self) -> dict[str, Any]:
        """The public description, as `list --json` prints it and the gallery shows it."""
        return {
            "slug": self.slug,
            "title": self.title,
            "wing": self.wing.slug,
            "idea": self.idea,
            "address": f"/{self.wing.slug}?exhibit={self.slug}",
            "pictures": self.pictures,
            "paper": {k: getattr(self.paper, k) for k in Paper.__dataclass_fields__},
            "controls": json.loads(json.dumps(self.controls.widgets())),
        }


@dataclass(frozen=True)
class Intervention:
    """What the visitor changed in one layer: edges, patches or whole hyperedges taken out.

    Attributes:
        layer: the layer's name; "*" means every layer whose grid holds the patch.
        kind: "edges" removes the listed (target, source) pairs; "patch" removes all that goes from and to each listed patch;
            an exhibit may know further kinds (`Exhibit.cuts`).
        pairs: the pairs, or (number, -1) for a whole patch or hyperedge.
    """

    layer: str
    kind: str
    pairs: tuple[tuple[int, int], ...]
