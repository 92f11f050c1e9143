"""YOLOv13: a detector whose far-apart regions talk through hyperedges, and seven gates that say how loudly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field

from explorer import runtime
from explorer.diagnostics.detector import box_sharing, detector_summary, matched
from explorer.exhibit import BadRequest, Controls, Exhibit, Intervention, Labeller, Layer, Paper, Scene, Wing
from explorer.exhibits.hypergraphs import claims
from explorer.exhibits.hypergraphs.look import CUTS, Tokens, edited, known_layers, measures, notes, received
from explorer.exhibits.hypergraphs.visitors import over_pictures, pictures_of
from models.attribution import attribute
from models.capture import alone, capture
from models.hypergraphs.detection import find, letterbox
from models.structures import Attribution, Detections, HypergraphMessages, NonFiniteError, SoftHypergraph, Tunnel

GATES = {  # number of the tunnel's layer → control, and what it joins
    13: ("gate_13", "stride 8, backbone → neck"),
    12: ("gate_12", "stride 16, backbone → neck"),
    14: ("gate_14", "stride 32, backbone → neck"),
    18: ("gate_18", "stride 16, inside the neck"),
    23: ("gate_23", "stride 8, inside the neck, and to its head"),
    27: ("gate_27", "stride 16, neck → head"),
    31: ("gate_31", "stride 32, neck → head"),
}
HYPERACE = "model.9"
BRANCHES = {
    "model.9.branch1.m.hgnn.edge_generator": "First branch",
    "model.9.branch2.m.hgnn.edge_generator": "Second branch",
}
COVERS, MOST_OCCLUDED = 16, 256  # occlusion covers a sixteenth of the side at a time
GREY = 114 / 255  # what a detector's picture is padded with stands for "nothing there"
FINEST = 20  # cells along a side of the small maps of what each tunnel sends


def _gate(layer: int) -> Any:
    return Field(
        1.0,
        ge=0,
        le=2,
        title=f"Gate {layer} ×",
        description=f"{GATES[layer][1]}: 0 shuts the tunnel, 1 is as trained.",
        json_schema_extra={"step": 0.1, "advanced": True},
    )


class YOLOv13Controls(Controls):
    model: Literal["yolov13_micro", "yolov13n", "yolov13s", "yolov13l", "yolov13x"] = Field(
        "yolov13_micro",
        title="Model",
        description="Ours, trained on composed scenes with garments; or a published size, which needs its checkpoint (see the README).",
        json_schema_extra={
            "advanced": True,
            "words": {"yolov13_micro": "ours, small", **{f"yolov13{size}": f"YOLOv13-{size.upper()}" for size in "nslx"}},
        },
    )
    hyperace: bool = Field(
        True, title="HyperACE on", description="Off: all seven gates are shut and nothing comes back from the hyperedges."
    )
    confidence: float = Field(
        0.25,
        ge=0.05,
        le=0.95,
        title="Least confidence",
        description="Boxes with a lower score are not shown.",
        json_schema_extra={"step": 0.05},
    )
    side: Literal[128, 160, 192, 256, 320, 480, 640] = Field(
        160,
        title="Side of the input, pixels",
        description="The more cells there are, the quieter each hyperedge speaks: the message shrinks as 1/N.",
    )
    gate_13: float = _gate(13)
    gate_12: float = _gate(12)
    gate_14: float = _gate(14)
    gate_18: float = _gate(18)
    gate_23: float = _gate(23)
    gate_27: float = _gate(27)
    gate_31: float = _gate(31)


def run(shown: np.ndarray, controls: YOLOv13Controls, cuts: Sequence[Intervention] = (), segments: Labeller | None = None) -> Scene:
    """One picture through the detector, and once more with every gate shut."""
    known_layers(cuts, list(BRANCHES))
    seen = detect(controls, shown, factors_of(controls), cuts)
    found, hypergraphs, tunnels = seen.found, seen.hypergraphs, seen.tunnels
    without = detect(controls, shown, dict.fromkeys(GATES, 0.0)).found
    loaded = runtime.model(controls.model)
    labels = segments(next(iter(hypergraphs.values())).grid) if segments else None
    layers = [Layer(name, BRANCHES[name], {"hypergraph": one, "messages": seen.messages[name]}) for name, one in hypergraphs.items()]
    named = {f"layer {layer}: {GATES[layer][1]}": tunnel for layer, tunnel in tunnels.items()}
    whole = detector_summary({BRANCHES[name]: one for name, one in hypergraphs.items()}, named, found, without)
    return Scene(
        shown=shown,
        seen=_pixels(shown, controls.side) if controls.side < shown.shape[0] else shown,
        layers=layers,
        prediction=best(found),
        measures={
            layer.name: [*whole, *measures(hypergraphs[layer.name], labels, seen.messages[layer.name], seen.tokens[layer.name])]
            for layer in layers
        },
        labels=labels,
        notes=notes(loaded.trained, list(hypergraphs.values()), shown),
        extras={
            "detections": listed(found) | {"sharing": _sharing(hypergraphs, found)},
            "without": listed(without) | {"matched": _matching(found, without)},
            "tunnels": [
                {"layer": layer, "place": GATES[layer][1], "gate": t.gate.item(), "loudness": t.loudness()[0].item(), "map": sent(t)}
                for layer, t in tunnels.items()
            ],
        },
    )


def factors_of(controls: YOLOv13Controls) -> dict[int, float]:
    """What each gate is multiplied with, by layer."""
    return {layer: getattr(controls, name) if controls.hyperace else 0.0 for layer, (name, _) in GATES.items()}


@dataclass(frozen=True)
class Seen:
    """One picture through the detector.

    Attributes:
        found: detections in pixels of the input.
        hypergraphs, messages, tokens: of both branches, by the names of BRANCHES.
        tunnels: all seven, by layer.
    """

    found: Detections
    hypergraphs: dict[str, SoftHypergraph]
    messages: dict[str, HypergraphMessages]
    tokens: dict[str, torch.Tensor]
    tunnels: dict[int, Tunnel]


def detect(controls: YOLOv13Controls, shown: np.ndarray, factors: Mapping[int, float], cuts: Sequence[Intervention] = ()) -> Seen:
    """Run the detector with its gates multiplied and the visitor's cuts."""
    loaded = runtime.model(controls.model)
    edits: dict[str, Any] = {f"model.{layer}.blend": partial(_scaled, factor=factor) for layer, factor in factors.items() if factor != 1}
    edits |= {name: edited(None, own) for name in BRANCHES if (own := [cut for cut in cuts if cut.layer in (name, "*")])}
    image, fitted = letterbox(shown, controls.side)
    adapters: dict[Any, Any] = {_layer(name): received for name in BRANCHES}
    with torch.inference_mode(), capture(loaded.model, edits=edits, adapters=adapters) as trace:
        answer = loaded.model(image.to(runtime.device()))
    trace.require_finite()
    if not torch.isfinite(answer).all():
        share = 100 * (1 - torch.isfinite(answer).float().mean().item())
        raise NonFiniteError(f"the detections: {share:.1f} % of boxes and scores is not a finite number")
    found = find(answer[0].cpu(), fitted.inside, controls.confidence, labels=loaded.labels)
    kept = {name: structure.cpu() for name, structure in trace.structures.items()}
    return Seen(
        found,
        {name: kept[name] for name in BRANCHES},  # type: ignore[misc]
        {name: kept[f"{_layer(name)}.messages"] for name in BRANCHES},  # type: ignore[misc]
        {name: of.tokens for name in BRANCHES if isinstance(of := kept[_layer(name)], Tokens)},
        {layer: kept[f"model.{layer}.blend"] for layer in GATES},  # type: ignore[misc]
    )


def _layer(maker: str) -> str:
    """The layer whose part makes the hyperedges."""
    return maker.rpartition(".")[0]


def caused(shown: np.ndarray, controls: YOLOv13Controls, edges: Mapping[str, Sequence[int]]) -> dict[int, Tunnel]:
    """The tunnels, each with the part of what it sends that vanishes without these hyperedges (by layer; {}: without all of them)."""
    seen = detect(controls, shown, factors_of(controls))
    off = edges or {name: range(one.hyperedges) for name, one in seen.hypergraphs.items()}
    cuts = [Intervention(kind="hyperedge", layer=name, pairs=tuple((m, -1) for m in numbers)) for name, numbers in off.items()]
    without = detect(controls, shown, factors_of(controls), cuts).tunnels
    return {place: replace(t, enhanced=t.enhanced - without[place].enhanced) for place, t in seen.tunnels.items()}


def loudness_of_hyperedges(shown: np.ndarray, controls: YOLOv13Controls) -> list[float]:
    """How loud the hyperedges themselves are in each tunnel, in the order of the layers: ‖g · what vanishes without them‖ / ‖feature‖."""
    return [tunnel.loudness()[0].item() for _, tunnel in sorted(caused(shown, controls, {}).items())]


def sent_by_hyperedges(scene: Scene, controls: Controls, data: Mapping[str, Any]) -> dict[str, Any]:
    """What hyperedges contribute to what every tunnel sends, on all three scales: the difference that switching them off makes.

    The tunnels join maps that went through further convolutions, so that the parts of all hyperedges need not add up to the whole.

    Args:
        data: `layer`, a name of BRANCHES, and `edge`, the number of one of its hyperedges; without an edge, all of both branches.
    """
    assert isinstance(controls, YOLOv13Controls)
    layer, edge = data.get("layer"), data.get("edge")
    if edge is not None and (layer not in BRANCHES or type(edge) is not int):
        raise BadRequest(f"there must be a layer ({', '.join(BRANCHES)}) and the number of one of its hyperedges, or none for all")
    parts = caused(scene.shown, controls, {} if edge is None else {str(layer): [edge]})
    return {
        "layer": None if edge is None else layer,
        "edge": edge,
        "places": [{"layer": place, "loudness": part.loudness()[0].item(), "map": sent(part)} for place, part in parts.items()],
    }


def _scaled(tunnel: Tunnel, factor: float) -> Tunnel:
    return tunnel.scaled(factor)


def sent(tunnel: Tunnel) -> np.ndarray:
    """How loud a tunnel is in each cell, ‖g · enhanced‖ over the channels in units of the mean ‖feature‖ of a cell: [h, w], at most 20 × 20."""
    loud = (tunnel.gate * tunnel.enhanced[:1]).norm(dim=1) / tunnel.feature[:1].norm(dim=1).mean().clamp_min(1e-12)
    height, width = (min(side, FINEST) for side in loud.shape[1:])
    return F.adaptive_avg_pool2d(loud[None], (height, width))[0, 0].numpy()


def _pixels(shown: np.ndarray, side: int) -> np.ndarray:
    image, _ = letterbox(shown, side)
    return (255 * image[0]).round().byte().permute(1, 2, 0).numpy()


def best(found: Detections) -> list[tuple[str, float]]:
    """The best score of every class that was found, best first."""
    scores: dict[str, float] = {}
    for i, score in enumerate(found.scores.tolist()):
        scores.setdefault(found.label(i), score)
    return list(scores.items())


def listed(found: Detections) -> dict[str, Any]:
    """Detections as the page draws them: boxes as shares of the picture's side, cut off at its border."""
    height, width = found.size
    shares = (found.boxes / found.boxes.new_tensor([width, height, width, height])).clamp(0, 1)
    return {"boxes": shares.tolist(), "scores": found.scores.tolist(), "labels": [found.label(i) for i in range(len(found.scores))]}


def _sharing(hypergraphs: Mapping[str, SoftHypergraph], found: Detections) -> dict[str, list]:
    """How much two boxes share hyperedges, [n, n] for each branch."""
    if not len(found.scores):
        return {}
    return {name: np.asarray(box_sharing(one, found)).round(4).tolist() for name, one in hypergraphs.items()}


def _matching(found: Detections, without: Detections) -> dict[str, Any]:
    pairs = matched(found, without)
    return {name: np.asarray(getattr(pairs, name)).tolist() for name in pairs.__dataclass_fields__}


def over_many(scene: Scene, controls: Controls, data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """How both branches use their hyperedges over a visitor's own set of pictures, or over those that ship."""
    assert isinstance(controls, YOLOv13Controls)
    factors, shown = factors_of(controls), pictures_of(data.get("pictures"), EXHIBIT.slug)
    return over_pictures(shown, lambda picture: detect(controls, picture, factors).hypergraphs, data.get("pictures") is not None)


class BestScores(torch.nn.Module):
    """A detector as a classifier: the surest score of every class, [B, 3, H, W] around grey → [B, classes]."""

    def __init__(self, detector: torch.nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.detector(image + GREY)[:, 4:].amax(2)


def explain_class(shown: np.ndarray, controls: YOLOv13Controls, method: str, target: str, layer: str) -> Attribution:
    """Where the surest box of a class gets its score from; Grad-CAM weighs the map that HyperACE returns."""
    loaded = runtime.model(controls.model)
    if method == "occlusion" and controls.side > MOST_OCCLUDED:
        raise BadRequest(
            f"occlusion looks {COVERS**2} times, too often for a side of {controls.side} pixels; choose at most {MOST_OCCLUDED}"
        )
    image, _ = letterbox(shown, controls.side)
    number = runtime.class_index(controls.model, target)
    part = loaded.model.get_submodule(HYPERACE) if method == "grad-cam" else None
    with alone(loaded.model):
        scores, centred = BestScores(loaded.model).eval(), image.to(runtime.device()) - GREY
        return attribute(scores, centred, number, method, patch=controls.side // COVERS, layer=part)  # type: ignore[arg-type]


EXHIBIT = Exhibit(
    slug="yolov13",
    title="YOLOv13: who is seen together",
    wing=Wing.HYPERGRAPHS,
    idea="A detector lets far-apart regions talk through a few hyperedges, and seven learned gates decide how loudly it listens.",
    paper=Paper(
        title="YOLOv13: Real-Time Object Detection with Hypergraph-Enhanced Adaptive Visual Perception",
        authors="Lei, Li, Wu, Hu, Zhou, Zheng, Ding, Du, Wu, Gao",
        venue="arXiv 2506.17733",
        url="https://arxiv.org/abs/2506.17733",
        theirs="The network: HyperACE gathers three scales, FullPAD sends the result to seven places through learned gates.",
        ours="Everything is written anew from its description. A version of 0.8 million parameters, trained by us on composed scenes.",
    ),
    controls=YOLOv13Controls,
    run=run,
    explain=explain_class,
    views=("tunnels", "hyperedges", "participation", "overlap", "bipartite", "prototypes", "incidence", "many", "attribution", "claims"),
    example="cup",
    folder=Path(__file__).parent,
    cuts=CUTS,
    questions={"sent": sent_by_hyperedges},
    streams={"many": over_many},
    claims=claims.YOLOV13,
)
