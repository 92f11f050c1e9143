"""SoftHGNN: every hyperedge is a heat map over the whole picture, made anew for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from explorer import examples, looking, runtime
from explorer.diagnostics.patch_graph import summary as graph_summary
from explorer.exhibit import BadRequest, Controls, Exhibit, Intervention, Labeller, Layer, Paper, Scene, Wing
from explorer.exhibits.hypergraphs import claims
from explorer.exhibits.hypergraphs.look import CUTS, HypergraphEdit, Look, heads, known_layers, layer_of, look, measures, notes, only
from explorer.exhibits.hypergraphs.visitors import likeness, over_pictures, picture_of, pictures_of
from explorer.intake import webp_uri
from explorer.views.arrays import pack_scaled
from models.hypergraphs.hard import FuzzyCMeans, HardMembers
from models.structures import Attribution, Prediction, SoftHypergraph

MODEL: Final = "softvit_diverse"
LAYER: Final = "soft_hgnn"
OWN: Final = "of this picture"
STAGE = "to_patch_embedding.body"  # the last map [C, h, w] before the tokens
CLIQUE_LIMIT = 24  # candidates per patch in the clique expansion: as many as a patch graph sends to the browser


class SoftHGNNControls(Controls):
    model: Literal["softvit_diverse", "softvit_dense", "softvit_sparse"] = Field(
        MODEL,
        title="Model",
        description="Trained with a penalty on look-alike hyperedges (ours); as released; or with a choice among many hyperedges (sparse).",
        json_schema_extra={"words": {MODEL: "one head, penalty", "softvit_dense": "as released", "softvit_sparse": "sparse"}},
    )
    normalise: Literal["as trained", "vertices", "hyperedges"] = Field(
        "as trained",
        title="What sums to\u00a01",
        description="The released code divides each hyperedge among the patches; the paper's formula divides each patch among the hyperedges.",
        json_schema_extra={"advanced": True},
    )
    temperature: float = Field(
        0.0,
        ge=-3,
        le=3,
        title="Temperature, doublings",
        description="+1 is twice the temperature: softer hyperedges. It is all that more heads do: four times the heads is +1.",
        json_schema_extra={"step": 0.25},
    )
    hard: float = Field(
        0.0,
        ge=0,
        le=1,
        title="Soft to hard",
        description="1 leaves every patch in its strongest hyperedge only.",
        json_schema_extra={"step": 0.05},
    )
    k: int = Field(
        4,
        ge=0,
        le=16,
        title="Hyperedges chosen, k",
        description="How many of the 16 dynamic hyperedges this picture may choose; 4 more are always on.",
        json_schema_extra={"when": {"model": "softvit_sparse"}},
    )
    context: float = Field(
        1.0,
        ge=0,
        le=2,
        title="How much the picture moves the prototypes",
        description="0 compares every picture with the same learned prototypes, 1 is the model, 2 goes twice as far.",
        json_schema_extra={"step": 0.1, "advanced": True},
    )
    prototypes: Literal["of this picture", "bear", "bus", "cat", "coffee", "coins", "dot", "horses", "rocket", "shoe"] = Field(
        OWN,
        title="Prototypes",
        description="Compare the patches of this picture with what another picture made of the prototypes: which hyperedges are the same?",
        json_schema_extra={"advanced": True},
    )


def edit_of(controls: SoftHGNNControls) -> HypergraphEdit:
    """The visitor's settings as a change of the hypergraph; it changes nothing where they are the model's own."""

    return with_offset(controls, None if controls.prototypes == OWN else offset_of(controls.model, controls.prototypes))


def with_offset(controls: SoftHGNNControls, lent: Tensor | None) -> HypergraphEdit:
    """The same with what another picture adds to the prototypes, ΔP [1, M, D]."""

    def edit(found: SoftHypergraph) -> SoftHypergraph:
        if found.static is not None and found.offset is not None and (controls.context != 1 or lent is not None):
            offset = found.offset if lent is None else lent.to(found.offset).expand_as(found.offset)
            found = replace(found.with_prototypes(found.static + controls.context * offset), offset=offset)
        if controls.normalise not in ("as trained", found.normalise):
            found = found.normalised_over("vertices" if controls.normalise == "vertices" else "hyperedges")
        if controls.temperature:
            found = found.at_temperature(found.temperature * 2**controls.temperature)
        if controls.model == "softvit_sparse" and controls.k != found.rule.settings["k"]:
            found = found.with_top_k(controls.k)
        return found.hardened(controls.hard) if controls.hard else found

    return edit


@lru_cache(maxsize=64)
def offset_of(model: str, picture: str) -> Tensor:
    """What another picture adds to the prototypes, ΔP [1, M, D]: one that ships, by name."""
    return offset_in(model, examples.picture(picture))


def offset_in(model: str, shown: np.ndarray) -> Tensor:
    """What a picture adds to the prototypes of a model, ΔP [1, M, D]."""
    trace, _ = looking.run_model(model, shown)
    offset = only(trace, SoftHypergraph).offset
    assert isinstance(offset, Tensor)
    return offset


def lend(scene: Scene, controls: Controls, data: Mapping[str, Any]) -> dict[str, Any]:
    """This picture with the prototypes of another one: its maps, how much they are like the own ones, the prediction.

    Args:
        data: `picture`, another picture as a data URI; or `example`, the name of one that ships.
    """
    assert isinstance(controls, SoftHGNNControls)
    name = data.get("example")
    if name is not None and name not in examples.examples():
        raise BadRequest(f"there is no example of that name; there are {', '.join(examples.examples())}")
    lender = examples.picture(name) if name is not None else picture_of(data.get("picture"))
    own = look_once(scene.shown, controls, edit_of(controls.model_copy(update={"prototypes": OWN})))
    lent = look_once(scene.shown, controls, with_offset(controls, offset_in(controls.model, lender)))
    return {
        "lender": webp_uri(lender),
        "own": _lift(own[0]),
        "lent": _lift(lent[0]),
        "on": own[0].active()[0].tolist(),
        "likeness": likeness(own[0], lent[0]),
        "before": own[1].top(5),
        "after": lent[1].top(5),
        "different": [found.effective_number()[0].item() for found, _ in (own, lent)],
    }


def look_once(shown: np.ndarray, controls: SoftHGNNControls, edit: HypergraphEdit) -> tuple[SoftHypergraph, Prediction]:
    """The changed hypergraph of one picture and the prediction that follows from it."""
    trace, prediction = looking.run_model(controls.model, shown, {layer_of(runtime.model(controls.model).model): edit})
    return only(trace, SoftHypergraph), prediction


def _lift(found: SoftHypergraph) -> dict[str, Any]:
    """log₂(N·w), cut off at ±4, [H·W, M]."""
    weights = found.weights()[0]
    return pack_scaled((weights * len(weights)).clamp(2.0**-4, 2.0**4).log2().numpy(), bits=8)


def over_many(scene: Scene, controls: Controls, data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """How the hyperedges are used over a visitor's own set of pictures (`pictures`, data URIs), or over those that ship."""
    assert isinstance(controls, SoftHGNNControls)
    edit = edit_of(controls)
    shown = pictures_of(data.get("pictures"), EXHIBIT.slug)
    return over_pictures(shown, lambda picture: {LAYER: look_once(picture, controls, edit)[0]}, data.get("pictures") is not None)


def by_choice(controls: SoftHGNNControls, shown: np.ndarray, found: Look) -> dict[str, Any]:
    """What the number of chosen hyperedges does: the first class's probability at every k, and how often pictures choose each.

    `used` is from the model card: the share of `pictures` test pictures that choose each of those that can be chosen.
    """
    change = edit_of(controls.model_copy(update={"hard": 0.0}))
    count = found.hypergraph.hyperedges - found.hypergraph.rule.settings["fixed"] + 1
    maker = layer_of(runtime.model(controls.model).model)
    _, answers = looking.run_model(controls.model, shown, {maker: lambda one: change(one).each_choice()}, copies=count)
    top = int(found.prediction.logits[0].argmax())
    card = runtime.model(controls.model).card.get("measured", {})
    by_k = answers.logits.float().softmax(1)[:, top].tolist()
    return {"label": found.prediction.top(1)[0][0], "by_k": by_k, "used": card.get("used"), "pictures": card.get("pictures")}


def run(shown: np.ndarray, controls: SoftHGNNControls, cuts: Sequence[Intervention] = (), segments: Labeller | None = None) -> Scene:
    """One picture through the host with soft hyperedges, and three other readings of the same tokens."""
    known_layers(cuts, [LAYER])
    found = look(controls.model, shown, edit_of(controls), cuts)
    grid, loaded = found.hypergraph.grid, runtime.model(controls.model)
    extras: dict[str, Any] = {"worth": {LAYER: found.worth.tolist()}}
    if found.hypergraph.scores is not None and not cuts:
        extras["choice"] = {LAYER: by_choice(controls, shown, found)}
    labels = segments(grid) if segments else None
    layers = [Layer(LAYER, "Soft hyperedges", {"hypergraph": found.hypergraph, "messages": found.messages}), *others(found)]
    measured = {
        layer.name: measures(layer.structures["hypergraph"], labels, *_sent(layer, found))  # type: ignore[arg-type]
        for layer in layers
        if isinstance(layer.structures.get("hypergraph"), SoftHypergraph)
    }
    return Scene(
        shown=shown,
        seen=loaded.prepare.seen(shown),
        layers=layers,
        prediction=found.prediction.top(10),
        measures=measured | {"clique": _clique_measures(layers[1], labels)},
        labels=labels,
        notes=notes(loaded.trained, [found.hypergraph], shown),
        extras=extras,
    )


def others(found: Look) -> list[Layer]:
    """The clique expansion, and fuzzy and hard clusters of the same tokens (the way of Vision HGNN), to compare with."""
    special = found.hypergraph.special
    with torch.inference_mode():
        patches = found.tokens[:, special:]
        fuzzy = FuzzyCMeans(min(found.hypergraph.hyperedges, 8))(patches, found.hypergraph.grid)
        hard = HardMembers()(fuzzy)
    return [
        Layer("clique", "Who shares a hyperedge with whom", {"graph": found.hypergraph.clique_expansion(limit=CLIQUE_LIMIT)}),
        Layer("fuzzy", "Fuzzy clusters of the same tokens", {"hypergraph": fuzzy}),
        Layer("hard", "Fuzzy clusters, cut to members", {"hypergraph": hard}),
    ]


def _sent(layer: Layer, found: Look) -> tuple:
    return (found.messages, found.tokens) if layer.name == LAYER else (None, None)


def _clique_measures(layer: Layer, labels) -> list:
    graph = layer.structures["graph"]
    return graph_summary(graph, labels=None if labels is None else labels[0].reshape(-1), labels_are_truth=bool(labels and labels[1]))  # type: ignore[arg-type]


def explain_class(shown: np.ndarray, controls: SoftHGNNControls, method: str, target: str, layer: str) -> Attribution:
    return looking.explain(controls.model, shown, method, runtime.class_index(controls.model, target), STAGE)


EXHIBIT = Exhibit(
    slug="softhgnn",
    title="Soft hyperedges",
    wing=Wing.HYPERGRAPHS,
    idea="A hyperedge joins all patches at once, each to a degree: eight heat maps through which the patches talk to each other.",
    paper=Paper(
        title="SoftHGNN: Soft Hypergraph Neural Networks for General Visual Recognition",
        authors="Lei, Wu, Gao, Du",
        venue="IJCV 2026",
        url="https://arxiv.org/abs/2505.15325",
        theirs="The layer: prototypes that move with the picture, a softmax of similarities, messages patch → hyperedge → patch.",
        ours="A small host with a convolutional stem, trained by us on CIFAR-10 (10 classes, 64 × 64 pixels) in three forms; the diversity penalty.",
    ),
    controls=SoftHGNNControls,
    run=run,
    explain=explain_class,
    views=(
        "hyperedges", "participation", "overlap", "bipartite", "prototypes", "swap", "incidence", "heads", "choice", "many",
        "why", "matrix", "degree", "length", "layout", "attribution", "claims",
    ),
    example="bus",
    folder=Path(__file__).parent,
    cuts=CUTS,
    questions={"lend": lend, "heads": heads},
    streams={"many": over_many},
    claims=claims.SOFTHGNN,
)  # fmt: skip
