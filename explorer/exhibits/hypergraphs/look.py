"""What the exhibits of this wing share: run a network with one layer of soft hyperedges, change them, say what they are worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from explorer import runtime
from explorer.diagnostics import Measure
from explorer.diagnostics.snapshot import Labels as PatchLabels
from explorer.diagnostics.soft_hypergraph import summary
from explorer.exhibit import BadRequest, Intervention, Scene
from explorer.looking import RANDOM_WEIGHTS, run_model
from explorer.views.hypergraph import head_maps
from models.capture import Trace
from models.structures import HypergraphMessages, Prediction, SoftHypergraph, Structure

HypergraphEdit = Callable[[SoftHypergraph], SoftHypergraph]
Labels = tuple[np.ndarray, bool] | None
CUTS = ("hyperedge", "patch")
ALIKE = "maps of such hyperedges say nothing about the picture."
UNIFORM = 0.99  # entropy of a hyperedge's weights, as a share of the largest possible, above which it joins all patches alike


@dataclass(frozen=True)
class Tokens(Structure):
    """What a layer received.

    Attributes:
        tokens: [B, N, D].
    """

    tokens: Tensor


@dataclass(frozen=True)
class Look:
    """One run of a network with soft hyperedges.

    Attributes:
        hypergraph, messages: of the layer.
        tokens: what the layer received, [1, N, D].
        prediction: of the network.
        worth: by how much the first class loses probability when one hyperedge is switched off, [M] (in points of 1).
    """

    hypergraph: SoftHypergraph
    messages: HypergraphMessages
    tokens: Tensor
    prediction: Prediction
    worth: np.ndarray


def look(name: str, shown: np.ndarray, edit: HypergraphEdit | None = None, cuts: Sequence[Intervention] = ()) -> Look:
    """Run one network of the zoo, with the visitor's settings and cuts, and switch each of its hyperedges off in turn."""
    maker = layer_of(runtime.model(name).model)
    change = edited(edit, cuts)
    trace, prediction = run_model(name, shown, {maker: change}, {maker.rpartition(".")[0]: received})
    hypergraph = only(trace, SoftHypergraph)
    _, others = run_model(name, shown, {maker: lambda found: change(found).each_without_one()}, copies=hypergraph.hyperedges)
    top = int(prediction.logits[0].argmax())
    before, after = (answer.logits.float().softmax(1)[:, top] for answer in (prediction, others))
    return Look(hypergraph, only(trace, HypergraphMessages), only(trace, Tokens).tokens, prediction, (before - after).numpy())


def known_layers(cuts: Sequence[Intervention], names: Sequence[str]) -> None:
    """Raise BadRequest when a cut is meant for a layer that cannot be changed."""
    unknown = sorted({cut.layer for cut in cuts} - {*names, "*"})
    if unknown:
        raise BadRequest(f"there is no layer named {unknown[0][:60]!r} to change; there are {', '.join(names)}")


def notes(trained: bool, hypergraphs: Sequence[SoftHypergraph], shown: np.ndarray) -> tuple[str, ...]:
    """Plain remarks that the page must show: random weights, and maps that cannot tell the patches of the picture apart."""
    flat = sum(_uniform(found) for found in hypergraphs)
    remark = f"In {flat} of {len(hypergraphs)} layers every hyperedge joins all patches alike: {ALIKE}"
    if not flat and np.ptp(shown, axis=(0, 1)).max() == 0:  # borders tell such patches apart all the same
        flat, remark = 1, f"The picture is of one colour: {ALIKE}"
    return (() if trained else (RANDOM_WEIGHTS,)) + ((remark,) if flat else ())


def _uniform(found: SoftHypergraph) -> bool:
    weights = found.weights()[0][:, found.active()[0]]
    entropy = torch.special.entr(weights).sum(0) / np.log(max(weights.shape[0], 2))
    return bool((entropy > UNIFORM).all() and weights.shape[1])


def layer_of(model: nn.Module) -> str:
    """The name of the part of a network that makes its hyperedges."""
    from models.hypergraphs.softhgnn import SoftHyperedges

    return next(name for name, part in model.named_modules() if isinstance(part, SoftHyperedges))


def only(trace: Trace, kind: type[Any]) -> Any:
    """The structure of this kind in a trace that holds one."""
    (found,) = trace.of(kind).values()
    return found


def received(_: nn.Module, inputs: tuple[Any, ...], __: Any) -> Tokens:
    """What a layer was given, as an adapter of `capture`."""
    return Tokens(inputs[0])


def heads(scene: Scene, controls: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    """log₂ of the maps that each head of a layer alone would have drawn, [heads, H·W, M]. Raises BadRequest where there are no heads."""
    found = next((layer.structures.get("hypergraph") for layer in scene.layers if layer.name == data.get("layer")), None)
    maps = head_maps(found) if isinstance(found, SoftHypergraph) else None
    if maps is None:
        raise BadRequest("this layer has no heads to look at one by one")
    return {"values": maps}


def edited(edit: HypergraphEdit | None, cuts: Sequence[Intervention]) -> HypergraphEdit:
    """The visitor's settings, then what the visitor took out, as one change of the hypergraph."""
    edges = [number for cut in cuts if cut.kind == "hyperedge" for number, _ in cut.pairs]
    patches = [number for cut in cuts if cut.kind == "patch" for number, _ in cut.pairs]

    def change(hypergraph: SoftHypergraph) -> SoftHypergraph:
        try:
            found = edit(hypergraph) if edit else hypergraph
            found = found.without_hyperedges(edges) if edges else found
            return found.without_patches(patches) if patches else found
        except ValueError as error:
            raise BadRequest(str(error)) from None

    return change


def measures(hypergraph: SoftHypergraph, labels: Labels, messages: HypergraphMessages | None, tokens: Tensor | None) -> list[Measure]:
    """Every diagnostic of one layer."""
    own: PatchLabels | None = None if labels is None else labels[0].reshape(-1)
    return summary(hypergraph, messages=messages, tokens=tokens, labels=own, labels_are_truth=bool(labels and labels[1]))
