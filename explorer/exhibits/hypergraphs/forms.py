"""Forms side by side: the same host, the same data, three ways to make hyperedges, and how many different ones come out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from explorer import looking, runtime
from explorer.exhibit import Controls, Exhibit, Intervention, Labeller, Layer, Paper, Scene, Wing
from explorer.exhibits.hypergraphs import claims
from explorer.exhibits.hypergraphs.look import CUTS, HypergraphEdit, heads, known_layers, layer_of, look, measures, notes, only
from explorer.exhibits.hypergraphs.softhgnn import STAGE
from explorer.exhibits.hypergraphs.visitors import over_pictures, pictures_of
from models.structures import Attribution, SoftHypergraph

NAMES = {
    "softvit_dense": "As released: four heads",
    "softvit_diverse": "One head, look-alikes penalised",
    "softvit_sparse": "Sparse: 4 always on, 4 of 16 chosen",
}


class FormsControls(Controls):
    normalise: Literal["as trained", "vertices", "hyperedges"] = Field(
        "as trained",
        title="What sums to\u00a01",
        description="All three were trained with hyperedges that divide themselves among the patches (vertices), as the released code does.",
    )
    temperature: float = Field(
        0.0,
        ge=-3,
        le=3,
        title="Temperature, doublings",
        description="Four heads are one head at twice the temperature: −1 undoes them.",
        json_schema_extra={"step": 0.25},
    )


def edit_of(controls: FormsControls) -> HypergraphEdit:
    def edit(found: SoftHypergraph) -> SoftHypergraph:
        if controls.normalise not in ("as trained", found.normalise):
            found = found.normalised_over("vertices" if controls.normalise == "vertices" else "hyperedges")
        return found.at_temperature(found.temperature * 2**controls.temperature) if controls.temperature else found

    return edit


def run(shown: np.ndarray, controls: FormsControls, cuts: Sequence[Intervention] = (), segments: Labeller | None = None) -> Scene:
    """One picture through the three networks."""
    known_layers(cuts, list(NAMES))
    layers, predictions, measured, worth, hypergraphs = [], {}, {}, {}, []
    labels = None
    for name, label in NAMES.items():
        own = [replace(cut, layer=name) for cut in cuts if cut.layer in (name, "*")]
        found = look(name, shown, edit_of(controls), own)
        labels = segments(found.hypergraph.grid) if segments and labels is None else labels
        layers.append(Layer(name, label, {"hypergraph": found.hypergraph, "messages": found.messages}))
        predictions[name] = found.prediction.top(10)
        measured[name] = measures(found.hypergraph, labels, found.messages, found.tokens)
        worth[name] = found.worth.tolist()
        hypergraphs.append(found.hypergraph)
    loaded = runtime.model("softvit_diverse")
    return Scene(
        shown=shown,
        seen=loaded.prepare.seen(shown),
        layers=layers,
        prediction=predictions["softvit_diverse"],
        measures=measured,
        labels=labels,
        notes=notes(all(runtime.model(name).trained for name in NAMES), hypergraphs, shown),
        extras={"predictions": predictions, "worth": worth},
    )


def explain_class(shown: np.ndarray, controls: FormsControls, method: str, target: str, layer: str) -> Attribution:
    name = layer if layer in NAMES else "softvit_diverse"
    return looking.explain(name, shown, method, runtime.class_index(name, target), STAGE)


def over_many(scene: Scene, controls: Controls, data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """How each of the three networks uses its hyperedges over a visitor's own set of pictures, or over those that ship."""
    assert isinstance(controls, FormsControls)
    edit = edit_of(controls)

    def seen(picture: np.ndarray) -> dict[str, SoftHypergraph]:
        traces = {name: looking.run_model(name, picture, {layer_of(runtime.model(name).model): edit})[0] for name in NAMES}
        return {name: only(trace, SoftHypergraph) for name, trace in traces.items()}

    return over_pictures(pictures_of(data.get("pictures"), EXHIBIT.slug), seen, data.get("pictures") is not None)


EXHIBIT = Exhibit(
    slug="hyperedge-forms",
    title="One hyperedge, drawn eight times?",
    wing=Wing.HYPERGRAPHS,
    idea="Three networks that predict equally well, and very different insides: in one of them all hyperedges are nearly the same.",
    paper=Paper(
        title="Forms of SoftHGNN, compared",
        authors="Hyperscope",
        venue="this project",
        url="https://arxiv.org/abs/2505.15325",
        theirs="The dense and the sparse layer, as released.",
        ours="The same host trained three times at the same cost; the penalty on look-alike hyperedges; what is measured on them.",
    ),
    controls=FormsControls,
    run=run,
    explain=explain_class,
    views=("hyperedges", "participation", "overlap", "prototypes", "incidence", "heads", "many", "attribution", "claims"),
    example="bus",
    folder=Path(__file__).parent,
    cuts=CUTS,
    questions={"heads": heads},
    streams={"many": over_many},
    claims=claims.FORMS_COMPARED,
)
