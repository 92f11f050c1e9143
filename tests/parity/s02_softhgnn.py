"""SoftHGNN: prototypes, logits, participation, selection and messages of the layer, dense and sparse; the ViT that hosts it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from models.capture import Trace, capture
from models.hypergraphs import vit
from models.hypergraphs.softhgnn import SoftHGNN, SparseSoftHGNN, selection_variance
from models.structures import HypergraphMessages, SoftHypergraph
from models.structures.hypergraph import Normalisation
from tests.parity.case import Case, CaseError, Check, KeyFile, close, equal, load_strictly, observed, on_meta, shapes_of, unknown

HOST = ("image_size", "patch_size", "num_classes", "dim", "depth", "heads", "dim_head", "mlp_dim", "dropout", "emb_dropout", "pool")
SPARSE = ("num_dyn_hyperedges", "top_k", "num_fixed_hyperedges")


@dataclass(frozen=True)
class Run:
    """What one forward pass of ours gave."""

    output: Tensor
    hypergraph: SoftHypergraph
    messages: HypergraphMessages
    seen: Mapping[str, Tensor]


def check(case: Case) -> Iterator[Check]:
    yield from _check_vit(case) if "input.image" in case.tensors else _check_layer(case)


def shapes(keys: KeyFile) -> dict[str, tuple[int, ...]]:
    """Of the ViT whose kind and number of classes the note or the file name tells ("vit_softhgnn-cifar10")."""
    label = f"{keys.note} {keys.label}".lower()
    if "vit" not in label or "softhgnn" not in label:
        raise CaseError(f"neither {keys.note!r} nor {keys.label!r} speaks of a ViT with SoftHGNN")
    kind = "vit_softhgnn_ses" if re.search(r"ses|sparse", label) else "vit_softhgnn"
    classes = re.search(r"cifar-?(\d+)", label)
    changes = {name: value for name, value in keys.options().items() if name != "num_classes"}
    number = keys.options().get("num_classes", int(classes[1]) if classes else 10)
    return shapes_of(on_meta(vit.BUILDERS[kind], num_classes=number, **changes))


# ------------------------------------------------------------------------------------------------------------------ layer


def build_layer(configuration: Mapping[str, Any], normalise: Normalisation) -> SoftHGNN:
    """Our layer of a case's configuration; a missing setting has its released value."""
    c = dict(configuration)
    settings: dict[str, Any] = {name: c[name] for name in ("num_heads", "dropout", "context") if name in c}
    if "num_dyn_hyperedges" in c:
        settings |= {name: c[name] for name in SPARSE if name in c}
        return SparseSoftHGNN(c["embed_dim"], normalise=normalise, **settings)
    return SoftHGNN(c["embed_dim"], c.get("num_hyperedges", 16), gate=c.get("gate", False), normalise=normalise, **settings)


def axis(words: str) -> Normalisation:
    """Over what a softmax runs, in our words, from words such as "over vertices (dim=1)"."""
    return "hyperedges" if re.search(r"over.hyperedges|dim=-1|dim=2|^hyperedges", words) else "vertices"


def _check_layer(case: Case) -> Iterator[Check]:
    own = axis(str(case.configuration.get("normalise", "vertices")))
    axes: tuple[Normalisation, ...] = ("vertices", "hyperedges")
    runs = {normalise: _run(_loaded(case, normalise), case.tensors["input.X"]) for normalise in axes}
    for name, stored in [*_named("internal", case.internals), *_named("output", case.outputs)]:
        quantity, normalise = _without_axis(name, own)
        if quantity.endswith("_float64"):
            in_double = _run(_loaded(case, normalise).double(), case.tensors["input.X"].double())
            yield from _compared(case, quantity.removesuffix("_float64"), name, in_double, stored)
            yield from _compared(case, quantity.removesuffix("_float64"), f"{name} (ours in float32)", runs[normalise], stored)
        else:
            yield from _compared(case, quantity, name, runs[normalise], stored)


def _loaded(case: Case, normalise: Normalisation) -> SoftHGNN:
    layer = build_layer({**case.configuration, "gate": "gate" in case.state}, normalise)
    load_strictly(layer, case)
    return layer


def _named(kind: str, tensors: Mapping[str, Tensor]) -> list[tuple[str, Tensor]]:
    return [(f"{kind}.{name}", tensor) for name, tensor in tensors.items()]


def _without_axis(name: str, own: Normalisation) -> tuple[str, Normalisation]:
    """From output.Y_softmax_over_hyperedges: "Y" and "hyperedges"."""
    found = re.fullmatch(r"\w+\.(\w+?)(?:_softmax_over_(vertices|hyperedges))?(_float64)?", name)
    if found is None:
        return name, own
    return found[1] + (found[3] or ""), axis(found[2]) if found[2] else own


def _run(layer: SoftHGNN, tokens: Tensor) -> Run:
    with torch.inference_mode(), capture(layer) as trace, observed(layer, inputs=["edge_generator.context_net"]) as seen:
        output = layer(tokens)
    hypergraph, messages = _of(trace)
    return Run(output, hypergraph, _with_silent(layer, hypergraph, messages), seen)


def _with_silent(layer: nn.Module, hypergraph: SoftHypergraph, messages: HypergraphMessages) -> HypergraphMessages:
    """Features of hyperedges that are off, as the published code has them: it computes them, and multiplies them by 0."""
    if hypergraph.selected is None:
        return messages
    with torch.inference_mode():
        silent = layer.get_submodule("edge_proj")(torch.zeros_like(messages.hyperedges))
    return replace(messages, hyperedges=torch.where(hypergraph.selected[..., None], messages.hyperedges, silent))


def _of(trace: Trace) -> tuple[SoftHypergraph, HypergraphMessages]:
    (hypergraph,), (messages,) = trace.of(SoftHypergraph).values(), trace.of(HypergraphMessages).values()
    return hypergraph, messages


def _compared(case: Case, quantity: str, name: str, run: Run, stored: Tensor) -> Iterator[Check]:
    """`quantity` is the name without kind, axis and precision; `name` is what the report prints."""
    hypergraph, atol = run.hypergraph, case.tolerance("atol", 2e-5)
    rtol = case.tolerance("rtol", 1e-4)
    exact = {
        "mask": lambda: hypergraph.active(),
        "selected_dynamic_index_sorted": lambda: _chosen(hypergraph, stored.shape[-1]),
    }
    numbers = {
        "A": lambda: hypergraph.participation,
        "P": lambda: hypergraph.prototypes,
        "Q": lambda: hypergraph.queries,
        "S": lambda: hypergraph.logits,
        "E": lambda: run.messages.hyperedges,
        "U": lambda: run.messages.update,
        "Y": lambda: run.output,
        "y": lambda: run.output,
        "context": lambda: run.seen["edge_generator.context_net"],
        "prototypes": lambda: hypergraph.prototypes,
        "prototype_offsets": lambda: hypergraph.offset,
        "offset": lambda: hypergraph.offset,
        "queries": lambda: hypergraph.queries,
        "logits": lambda: hypergraph.logits,
        "logits_per_head": hypergraph.head_logits,
        "selection_score": lambda: hypergraph.scores,
        "load_balance_loss_unweighted": lambda: selection_variance(hypergraph),
        "row_sum": lambda: hypergraph.participation.sum(2),
        "hyperedge_raw": lambda: run.messages.collected,
        "hyperedge": lambda: run.messages.hyperedges,
        "message": lambda: run.messages.received,
        "update": lambda: run.messages.update,
    }
    if quantity in exact:
        yield equal(name, exact[quantity](), stored)
    elif quantity in numbers:
        ours = numbers[quantity]()
        assert isinstance(ours, Tensor)
        yield close(name, ours, stored, atol, rtol)
    else:
        yield unknown(name)


def _chosen(hypergraph: SoftHypergraph, k: int) -> Tensor:
    """Columns of the chosen dynamic hyperedges, in rising order, counted over all hyperedges, [B, k]."""
    fixed = hypergraph.rule.settings["fixed"]
    dynamic = hypergraph.active()[:, fixed:].long()
    return dynamic.topk(k, dim=1).indices.sort(1).values + fixed


# -------------------------------------------------------------------------------------------------------------------- ViT


def build_vit(configuration: Mapping[str, Any]) -> vit.ViT:
    """Our ViT of a case's configuration; a missing setting has its released value."""
    c = dict(configuration)
    common = {name: c[name] for name in (*HOST, "num_edge_head") if name in c}
    if "num_dyn_hyperedges" in c:
        return vit.vit_softhgnn_ses(**common, **{name: c[name] for name in SPARSE if name in c})
    common |= {name: c[name] for name in ("num_hyperedges", "context") if name in c}
    return vit.vit_softhgnn(**common, normalise=axis(str(c.get("normalise", "vertices"))))


def _check_vit(case: Case) -> Iterator[Check]:
    model = build_vit(case.configuration)
    load_strictly(model, case)
    assert model.soft_hgnn is not None
    atol, rtol = case.tolerance("atol", 5e-5), case.tolerance("rtol", 1e-4)
    context = "soft_hgnn.edge_generator.context_net"
    after: dict[str, Tensor] = {}
    handle = model.soft_hgnn.register_forward_hook(lambda _m, _i, result: after.update(tokens_after=result))
    with torch.inference_mode(), capture(model) as trace, observed(model, ["soft_hgnn", context], ["to_patch_embedding"]) as seen:
        logits = model(case.image())
    handle.remove()
    hypergraph, messages = _of(trace)
    pooled = {"edge_generator.context_net": seen[context]}
    run = Run(after["tokens_after"], hypergraph, _with_silent(model.soft_hgnn, hypergraph, messages), pooled)
    own = {"patch_embedding": seen["to_patch_embedding"], "tokens_before": seen["soft_hgnn"], **after}
    for name, stored in case.internals.items():
        if name in own:
            yield close(f"internal.{name}", own[name], stored, atol, rtol)
        else:
            yield from _compared(case, name, f"internal.{name}", run, stored)
    in_double = None
    for name, stored in case.outputs.items():
        if name == "logits":
            yield close("output.logits", logits, stored, atol, rtol)
        elif name in ("logits64", "logits_float64"):
            if in_double is None:
                with torch.inference_mode():
                    in_double = model.double()(case.image().double())
            yield close(f"output.{name}", logits, stored, atol, rtol)
            yield close(f"output.{name} (ours in float64)", in_double, stored, atol, rtol)
        else:
            yield from _compared(case, name, f"output.{name}", run, stored)
