"""GHN-3 and LoGAH: a network as a graph in, all its weights out, in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field
from torch import nn

from explorer import runtime
from explorer.diagnostics import generated_weights as diagnose
from explorer.exhibit import NO_PICTURE, Controls, Exhibit, Intervention, Labeller, Layer, Paper, Scene, Wing
from explorer.exhibits.hypernetworks import claims
from explorer.exhibits.hypernetworks.asked import one_of
from explorer.views.computation_graph import tensor_payload
from models.hypernetworks import initialiser
from models.hypernetworks.architecture import words_of
from models.hypernetworks.ghn3 import GraphHyperNetwork
from models.structures import ComputationGraph, GeneratedWeights

TITLES = {"ghn3_micro": "GHN-3: copied tiles", "logah_micro": "LoGAH: two thin factors"}
FULL_RANK = 16
SCRATCH = 500  # steps of the training that the race is measured against
DEFAULT = "conv3x3-24 bn relu | res(conv3x3-24 bn) relu | pool | conv3x3-48 bn relu | gap | fc10"
WIDTHS = [8, 16, 32, 64, 128, 256, 512, 1024, 2048]
UNTRAINED = "Both graph hypernetworks still have random weights: what they predict is no better a start than chance. The graph, the copies, the ranks and the race are real."


class GhnControls(Controls):
    architecture: str = Field(
        DEFAULT,
        max_length=600,
        title="Architecture",
        description=(
            "Words: conv3x3-16 (to 16 channels; /2: stride), dw3x3, bn, relu, gelu, pool, avgpool, res( … ), cat( … ), gap, fc10. Ctrl+Enter reads it. "
            "It must end with gap fc10."
        ),
        json_schema_extra={"lines": 4, "placeholder": "conv3x3-16 bn relu | gap | fc10"},
    )
    rank: int = Field(
        FULL_RANK, ge=1, le=FULL_RANK, title="Rank kept (LoGAH)", description="Cuts every product A·B to its strongest directions."
    )


def run(shown: np.ndarray, controls: GhnControls, cuts: Sequence[Intervention] = (), segments: Labeller | None = None) -> Scene:
    """The graph of a typed network, and the weights that both hypernetworks predict for it."""
    return _scene(controls)


@lru_cache(maxsize=8)
def _scene(controls: GhnControls) -> Scene:
    graph = initialiser.of(controls.architecture)
    layers, measures = [], {}
    for name, title in TITLES.items():
        model = _model(name)
        generated, encoding = initialiser.predicted(model, graph)
        generated = initialiser.cut(generated.cpu(), controls.rank) if name == "logah_micro" else generated.cpu()
        generated.require_finite(title)
        layers.append(Layer(name, title, {"computation": graph, "generated": generated, "encoding": encoding.cpu()}))
        measures[name] = diagnose.summary(generated)
    logah = _model("logah_micro")
    trained = all(runtime.model(name).trained for name in TITLES)
    return Scene(
        shown=NO_PICTURE,
        seen=NO_PICTURE,
        layers=layers,
        measures=measures,
        notes=() if trained else (UNTRAINED,),
        extras={
            "sizes": {"widths": WIDTHS, **initialiser.decoders(48, logah.max_shape[2], 10, FULL_RANK, WIDTHS)},
            "parameters": {name: sum(p.numel() for p in runtime.model(name).model.parameters()) for name in TITLES},
            "trained": trained,
            "words": words_of(controls.architecture),
            "behind": initialiser.words_behind(controls.architecture, graph),
        },
    )


def _model(name: str) -> GraphHyperNetwork:
    model = runtime.model(name).model
    assert isinstance(model, GraphHyperNetwork)
    return model


def _generated(scene: Scene, name: str) -> GeneratedWeights:
    found = next(layer for layer in scene.layers if layer.name == name).structures["generated"]
    assert isinstance(found, GeneratedWeights)
    return found


def tensor(scene: Scene, controls: GhnControls, data: Mapping[str, Any]) -> dict[str, Any]:
    """The tensor of one node: matrix, copied tile or factors, and how alike its rows are."""
    name = one_of(data, "hypernetwork", list(TITLES))
    generated = _generated(scene, name)
    wanted = one_of(data, "tensor", list(generated.weights))
    values = generated.weights[wanted]
    found = tensor_payload(generated, wanted)
    if values.ndim > 1:
        found |= {"copies": diagnose.copies(values), "stable": diagnose.stable_rank(values), "scale": diagnose.scale(values)}
    return {"hypernetwork": name, **found}


def activations(scene: Scene, controls: GhnControls, data: Mapping[str, Any]) -> dict[str, Any]:
    """Spread of every layer's output and share of silent values, for random and for predicted weights."""
    x = initialiser.pictures(False)[0][:200]
    rows = {}
    for name, net in _starts(scene, controls.architecture).items():
        layers, deviation, silent = initialiser.activations(net, x)
        rows[name] = {"std": deviation, "silent": silent}
    return {"layers": layers, "rows": rows}


def race(scene: Scene, controls: GhnControls, data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Train four copies of the network for 100 steps: from random weights, from random ones of LoGAH's sizes, from GHN-3's, from LoGAH's."""
    for lap in initialiser.race(_starts(scene, controls.architecture)):
        yield {"step": lap.step, "accuracy": lap.accuracy, "loss": lap.loss}


def scratch(scene: Scene, controls: GhnControls, data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Train one copy from random weights for as long as it takes: where the race would end."""
    nets = {"random": initialiser.network(controls.architecture)}
    for lap in initialiser.race(nets, steps=SCRATCH, every=25):
        yield {"step": lap.step, "steps": SCRATCH, "accuracy": lap.accuracy["random"]}


def _starts(scene: Scene, text: str) -> dict[str, nn.Module]:
    return {
        "random": initialiser.network(text),
        "matched": initialiser.matched(text, _generated(scene, "logah_micro")),
        **{name: initialiser.started(text, _generated(scene, name)) for name in TITLES},
    }


def graph_of(scene: Scene) -> ComputationGraph:
    """The computation graph of a scene."""
    found = scene.layers[0].structures["computation"]
    assert isinstance(found, ComputationGraph)
    return found


EXHIBIT = Exhibit(
    slug="ghn",
    title="GHN-3 and LoGAH",
    wing=Wing.HYPERNETWORKS,
    idea="Type an architecture. It becomes a graph, a transformer reads the graph, and out come all weights, before a single step of training.",
    paper=Paper(
        title="LoGAH: Predicting 774-Million-Parameter Transformers using Graph HyperNetworks with 1/100 Parameters",
        authors="Xinyu Zhou, Boris Knyazev, Alexia Jolicoeur-Martineau, Jie Fu",
        venue="2024",
        url="https://arxiv.org/abs/2405.16287",
        theirs="The graph with virtual edges, the Graphormer, the copied tiles of GHN-3 (Knyazev et al., ICML 2023), the low-rank product of LoGAH.",
        ours="Small twins of both, made for networks on CIFAR-10 at 16 × 16; the race runs on handwritten digits, a task they never saw.",
    ),
    controls=GhnControls,
    run=run,
    views=("ghn-edit", "ghn-race", "ghn-attention", "ghn-embeddings", "ghn-activations", "ghn-sizes", "claims"),
    example="",
    folder=Path(__file__).parent,
    cuts=(),
    claims=claims.GHN,
    pictures=False,
    stream_seconds=120,
    questions={"tensor": tensor, "activations": activations},
    streams={"race": race, "scratch": scratch},
)
