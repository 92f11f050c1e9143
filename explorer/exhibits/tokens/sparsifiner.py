"""Sparsifiner: a transformer that guesses, for each picture, which patches are worth comparing, and compares only these."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from pydantic import Field

from explorer import looking, runtime
from explorer.diagnostics.measure import NotMeasurable
from explorer.diagnostics.sparse_attention import Mass, connection_summary, mass_covered, prototype_use
from explorer.diagnostics.tokens import cost_summary
from explorer.exhibit import BadRequest, Controls, Exhibit, Intervention, Labeller, Layer, Paper, Scene, Wing
from explorer.exhibits.tokens import claims
from explorer.looking import RANDOM_WEIGHTS
from explorer.views.arrays import pack_scaled
from models.capture import Edit, Trace
from models.structures import Attribution, Connectivity, NonFiniteError, Prediction, SparseAttention
from models.tokens.connectivity import (
    attend,
    keep,
    nearest_keys,
    random_keys,
    simplified,
    truly_largest,
    without_edges,
    without_patches,
)
from models.tokens.flops import AttentionMacs, sparse_attention_macs
from models.tokens.sparsifiner import Sparsifiner

MODEL: Final = "sparsifiner_micro"
STAGE: Final = "patch_embed.body"  # the last map [C, h, w] before the tokens
CUTS = ("edges", "patch")
RATES = (0.02, 0.05, 0.1, 0.15, 0.25, 0.35, 0.5, 0.75, 1.0)


class SparsifinerControls(Controls):
    keep_rate: float = Field(
        0.25,
        ge=0.01,
        le=1,
        title="Share of keys kept",
        description="How many of the 145 tokens each patch may attend to. The model was trained with a quarter.",
        json_schema_extra={"step": 0.01},
    )
    keys: Literal["predicted", "truly largest", "nearest", "random"] = Field(
        "predicted",
        title="Which keys",
        description="Those that the predictor guesses; as many with the truly largest attention (what a perfect guess would keep); the nearest; any.",
    )
    head: Literal["1", "2", "3", "any", "all"] = Field(
        "1", title="Head on show", description="Each head has a graph of its own; any joins them, all shows what they share."
    )
    coefficients: int = Field(
        8,
        ge=1,
        le=8,
        title="Prototypes mixed per patch",
        description="The guess of a row of attention is a mixture of so many learned prototypes.",
        json_schema_extra={"advanced": True},
    )
    threshold: float = Field(
        0.003,
        ge=0.003,
        le=0.05,
        title="Smallest entry of a prototype",
        description="Smaller entries count as 0. Even attention over the 145 tokens would give each 0.007.",
        json_schema_extra={"advanced": True, "step": 0.001},
    )

    def on_show(self) -> int | str:
        """The head as `Connectivity.patch_graph` takes it."""
        return int(self.head) - 1 if self.head.isdigit() else self.head


@dataclass
class Block:
    """The visitor's settings and cuts in one block: edits of what its predictor and its softmax return."""

    controls: SparsifinerControls
    cuts: Sequence[Intervention]
    number: int
    made: list[Connectivity] = field(default_factory=list)

    def connect(self, found: Connectivity) -> Connectivity:
        c = self.controls
        usual = SparsifinerControls()
        if (c.coefficients, c.threshold) != (usual.coefficients, usual.threshold):
            found = simplified(found, c.coefficients, c.threshold)
            found = keep(found, c.keep_rate)
        elif c.keep_rate != found.settings["keep_rate"]:
            found = keep(found, c.keep_rate)
        count = self._count(found)
        if c.keys == "nearest":
            found = nearest_keys(found, count)
        elif c.keys == "random":
            found = random_keys(found, count, seed=self.number)
        self.made.append(self._cut(found))
        return self.made[-1]

    def attend(self, found: SparseAttention) -> SparseAttention:
        """Only the truly largest keys need the attention first: the mask is made anew from it."""
        if self.controls.keys != "truly largest":
            return found
        self.made[-1] = self._cut(truly_largest(self.made[-1], found, self._count(self.made[-1])))
        return attend(found, self.made[-1].mask)

    def _count(self, found: Connectivity) -> int:
        return math.ceil(self.controls.keep_rate * found.mask.shape[-1])

    def _cut(self, found: Connectivity) -> Connectivity:
        for cut in self.cuts:
            change = without_edges(found, cut.pairs) if cut.kind == "edges" else without_patches(found, [patch for patch, _ in cut.pairs])
            found = change
        return found


def look(
    shown: np.ndarray, controls: SparsifinerControls, cuts: Sequence[Intervention] = ()
) -> tuple[list[Connectivity], Trace, Prediction]:
    """One run: the connections of every block as they were used, everything that was seen, the prediction."""
    names = predictors()
    unknown = sorted({cut.layer for cut in cuts} - {*names, "*"})
    if unknown:
        raise BadRequest(f"there is no layer named {unknown[0][:60]!r} to cut; there are {', '.join(names)}")
    blocks = [Block(controls, [cut for cut in cuts if cut.layer in (name, "*")], i) for i, name in enumerate(names)]
    edits: dict[str, Edit] = {}
    for name, block in zip(names, blocks, strict=True):
        edits[name] = block.connect
        edits[name.replace("mask_predictor", "softmax")] = block.attend
    try:
        trace, prediction = looking.run_model(MODEL, shown, edits)
    except NonFiniteError:
        raise
    except ValueError as error:
        raise BadRequest(str(error)) from None
    return [block.made[-1].cpu() for block in blocks], trace, prediction


def predictors() -> list[str]:
    """Names of the parts that predict connections, in order."""
    model = runtime.model(MODEL).model
    assert isinstance(model, Sparsifiner)
    return [f"blocks.{i}.attn.mask_predictor" for i in range(len(model.blocks))]


def run(shown: np.ndarray, controls: SparsifinerControls, cuts: Sequence[Intervention] = (), segments: Labeller | None = None) -> Scene:
    """One picture with sparse attention, and once more with attention between all tokens."""
    loaded = runtime.model(MODEL)
    connections, trace, prediction = look(shown, controls, cuts)
    _, _, dense = look(shown, SparsifinerControls(keep_rate=1))
    attention = list(trace.of(SparseAttention).values())
    head, grid = controls.on_show(), connections[0].grid
    labels = segments(grid) if segments else None
    flat = None if labels is None else labels[0].reshape(-1)
    width = _width()
    layers, measured, told = [], {}, []
    for name, connectivity, seen in zip(predictors(), connections, attention, strict=True):
        number = int(name.split(".")[1]) + 1
        layers.append(
            Layer(
                name,
                f"Block {number} · {grid[0]} × {grid[1]}",
                {"graph": connectivity.patch_graph(head), "connectivity": connectivity, "sparse": seen},
            )
        )
        macs = sparse_attention_macs(connectivity, width)[0]
        mass = _covered(connectivity, seen)
        found = connection_summary(connectivity, seen, head=head, labels=flat, labels_are_truth=bool(labels and labels[1]), mass=mass)
        measured[name] = [*found, *cost_summary(macs.dense, macs.sparse, macs.predictor + macs.estimate)]
        told.append(_block(connectivity, mass, macs))
    return Scene(
        shown=shown,
        seen=loaded.prepare.seen(shown),
        layers=layers,
        prediction=prediction.top(10),
        measures=measured,
        labels=labels,
        notes=() if loaded.trained else (RANDOM_WEIGHTS,),
        extras={
            "beside": {
                "before": dense.top(10),
                "title": "Prediction, all pairs compared and only the chosen ones",
                "note": "Thin bar: every token attends to every token. Thick bar: only to the keys that are kept.",
            },
            "sparse": {"blocks": told, "head": head, "rates": _measured(loaded.card)},
        },
    )


def _width() -> int:
    """Channels of a head."""
    model = runtime.model(MODEL).model
    assert isinstance(model, Sparsifiner)
    first = model.blocks[0].attn
    return int(model.head.in_features) // int(first.heads)  # type: ignore[union-attr, arg-type]


def _covered(connectivity: Connectivity, attention: SparseAttention) -> Mass | None:
    """Attention on the kept keys; None where no patch has any key left (all were cut)."""
    try:
        return mass_covered(connectivity, attention)
    except NotMeasurable:
        return None


def _block(connectivity: Connectivity, mass: Mass | None, macs: AttentionMacs) -> dict[str, Any]:
    """What the page needs of one block beside its graph: prototypes and their use, attention covered, multiply–adds."""
    use = prototype_use([connectivity])
    order = np.argsort(-use, kind="stable")
    return {
        "basis": pack_scaled(connectivity.basis.abs().numpy()[order][:, 1:], bits=8),
        "use": use[order].tolist(),
        "numbers": order.tolist(),
        "covered": pack_scaled(np.nan_to_num(mass.per_patch), bits=8) if mass else None,
        "mass": {name: getattr(mass, name) for name in ("predicted", "oracle", "local", "random", "recall")} if mass else None,
        "macs": {name: getattr(macs, name) for name in ("dense", "masked", "predictor", "estimate")},
    }


def _measured(card: Mapping[str, Any]) -> dict[str, Any] | None:
    """Accuracy and agreement with dense attention at other shares of keys, from the model card; None until it was trained."""
    return dict(card["measured"]["keep_rates"]) if "measured" in card and "keep_rates" in card["measured"] else None


# ------------------------------------------------------------------------------------------------------------ questions


def sweep(scene: Scene, controls: SparsifinerControls, question: Mapping[str, Any]) -> dict[str, Any]:
    """{layer} → attention that each rule covers at nine shares of keys, in one block; and how sure the whole network stays.

    Raises:
        BadRequest: there is no such layer.
    """
    names = [layer.name for layer in scene.layers]
    if question.get("layer") not in names:
        raise BadRequest(f"layer must be one of {', '.join(names)}")
    held = scene.layers[names.index(question["layer"])].structures
    connectivity, attention = held["connectivity"], held["sparse"]
    assert isinstance(connectivity, Connectivity)
    assert isinstance(attention, SparseAttention)
    masses = [mass_covered(keep(connectivity, rate), attention) for rate in RATES]
    label = scene.extras["beside"]["before"][0][0]
    sure = []
    for rate in RATES:
        _, _, prediction = look(scene.shown, controls.model_copy(update={"keep_rate": rate}))
        sure.append(dict(prediction.top(10_000)).get(label, 0.0))
    return {
        "layer": question["layer"],
        "rates": RATES,
        "covered": {name: [getattr(mass, name) for mass in masses] for name in ("predicted", "oracle", "local", "random")},
        "label": label,
        "sure": sure,
    }


def row(scene: Scene, controls: SparsifinerControls, question: Mapping[str, Any]) -> dict[str, Any]:
    """{layer, patch} → of one patch: its estimated and its true row of attention over the patches, and which prototypes it mixes.

    Rows are means over the heads on show; `mixture` is [[number of the prototype in order of use, share], …], largest first.

    Raises:
        BadRequest: there is no such layer or patch.
    """
    names, patch = [layer.name for layer in scene.layers], question.get("patch")
    if question.get("layer") not in names:
        raise BadRequest(f"layer must be one of {', '.join(names)}")
    held = scene.layers[names.index(question["layer"])].structures
    connectivity, attention = held["connectivity"], held["sparse"]
    assert isinstance(connectivity, Connectivity)
    assert isinstance(attention, SparseAttention)
    if type(patch) is not int or not 0 <= patch < connectivity.estimate.shape[2]:
        raise BadRequest(f"patch must be a number from 0 to {connectivity.estimate.shape[2] - 1}")
    head = controls.on_show()
    heads = [head] if isinstance(head, int) else list(range(connectivity.mask.shape[1]))
    estimate = connectivity.estimate[0, heads, patch, 1:].mean(0)
    dense = attention.dense[0, heads, 1 + patch, 1:].mean(0)
    mixed = connectivity.coefficients[0, heads, patch].mean(0).numpy()
    use = np.argsort(np.argsort(-prototype_use([connectivity]), kind="stable"), kind="stable")
    largest = [int(k) for k in np.argsort(-mixed, kind="stable") if mixed[k] > 0]
    return {
        "layer": question["layer"],
        "patch": patch,
        "estimate": pack_scaled(estimate.numpy()),
        "dense": pack_scaled(dense.numpy()),
        "kept": connectivity.mask[0, heads, 1 + patch, 1:].any(0).nonzero()[:, 0].tolist(),
        "mixture": [[int(use[k]), float(mixed[k])] for k in largest],
    }


def explain_class(shown: np.ndarray, controls: SparsifinerControls, method: str, target: str, layer: str) -> Attribution:
    return looking.explain(MODEL, shown, method, runtime.class_index(MODEL, target), STAGE)


EXHIBIT = Exhibit(
    slug="sparsifiner",
    title="Sparsifiner: which patches are worth comparing",
    wing=Wing.TOKENS,
    idea="A tiny predictor guesses which pairs of patches matter, and only these are compared: a graph for every picture and head.",
    paper=Paper(
        title="Sparsifiner: Learning Sparse Instance-Dependent Attention for Efficient Vision Transformers",
        authors="Wei and others",
        venue="CVPR 2023",
        url="https://arxiv.org/abs/2303.13755",
        theirs="The predictor: queries and keys compared with a few prototypes; low rank says where, the exact product says how much.",
        ours="A transformer of 6 blocks behind a convolutional stem, trained by us on CIFAR-10 (10 classes, 48 × 48 pixels) with its dense teacher.",
    ),
    controls=SparsifinerControls,
    run=run,
    explain=explain_class,
    views=("estimate", "basis", "keep-rate", "why", "matrix", "degree", "length", "layout", "attribution", "claims"),
    example="bus",
    folder=Path(__file__).parent,
    cuts=CUTS,
    questions={"sweep": sweep, "row": row},
    claims=claims.SPARSIFINER,
)
