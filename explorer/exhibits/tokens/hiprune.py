"""HiPrune: which patches a vision encoder itself attends to, and whether a reader still answers the same from these alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from explorer import runtime
from explorer.diagnostics.selection import budget_order
from explorer.diagnostics.tokens import cost_summary, faithfulness_summary
from explorer.exhibit import Controls, Exhibit, Intervention, Labeller, Paper, Scene, Wing
from explorer.exhibits.tokens import claims
from explorer.exhibits.tokens.look import CUTS, chosen, curves, described, edited, layers_of, look_at, marked, measures
from explorer.looking import RANDOM_WEIGHTS
from models.attribution import attribute, grad_cam_of_tokens
from models.capture import alone
from models.structures import AttentionMaps, Attribution, Prediction, TokenSelection
from models.tokens.flops import vit_block_flops
from models.tokens.hiprune import tokens_of_ratio
from models.tokens.micro import PrunedReader
from models.tokens.sweeps import RANDOM, answers_at, budgets_of, removals, rules_for

MODEL: Final = "token_encoder"
PATCHES: Final = 196
RATIOS = (1 / 3, 2 / 9, 1 / 9)
ORDERS = 5  # random orders beside the deletion and insertion curves


class HiPruneControls(Controls):
    budget: int = Field(
        65,
        ge=1,
        le=PATCHES,
        title="Patches kept",
        description="How many of the 196 patches the reader may see. The paper keeps 1/3, 2/9 and 1/9.",
    )
    alpha: float = Field(
        0.5,
        ge=0,
        le=1,
        title="Share for the object, α",
        description="Share of the budget for anchors and their neighbours. The paper's 0.1 leaves one anchor of 65 patches here.",
        json_schema_extra={"step": 0.05},
    )
    object_layer: int = Field(
        4,
        ge=1,
        le=8,
        title="Object layer",
        description="Anchors are the most attended patches of this layer; the paper takes the middle one.",
    )
    deep_layer: int = Field(
        8, ge=1, le=8, title="Deep layer", description="Registers are the most attended patches of this layer among the rest."
    )
    edge: Literal["clamp", "drop", "grid"] = Field(
        "clamp",
        title="Neighbours at a border",
        description="As released, they run on around the end of a row and are clamped to the picture; the paper's formula drops what leaves it; true neighbours only.",
        json_schema_extra={"advanced": True},
    )
    head: int = Field(
        0,
        ge=0,
        le=4,
        title="Head of the object layer",
        description="0 is the mean over the heads, as in the paper; 1 to 4 take one head alone.",
        json_schema_extra={"advanced": True},
    )
    release: Literal["paper", "Qwen code"] = Field(
        "paper",
        title="Choosing registers",
        description="The paper leaves out what was chosen. The code released for Qwen2.5-VL lowers it by 1 only, so a patch that draws much attention is chosen twice.",
        json_schema_extra={"advanced": True},
    )


def selection_of(controls: HiPruneControls, maps: AttentionMaps, budget: int | None = None) -> TokenSelection:
    layers = (controls.object_layer, controls.deep_layer)
    return chosen(maps, budget or controls.budget, controls.alpha, controls.edge, layers, controls.head, controls.release)


def run(shown: np.ndarray, controls: HiPruneControls, cuts: Sequence[Intervention] = (), segments: Labeller | None = None) -> Scene:
    """One picture through the encoder; the kept patches alone through the reader, and beside it all of them."""
    loaded = runtime.model(MODEL)
    model = loaded.model
    assert isinstance(model, PrunedReader)
    inputs = {"pixel_values": loaded.prepare(shown).to(runtime.device())}
    sight = look_at(model.encoder, inputs)
    maps = sight.maps
    selection = edited(selection_of(controls, maps), cuts)
    full, pruned = _answers(model, maps, selection)
    labels = segments(maps.grid) if segments else None
    seen, spread = loaded.prepare.seen(shown), curves(maps)
    answers = [Prediction(logits, loaded.labels) for logits in (pruned, full, _class_token(model, inputs["pixel_values"]))]
    for answer in answers:
        answer.require_finite("the prediction")
    kept = int(selection.mask.sum())
    reading = _reading(model, sight.fused(), selection, controls, full) if not cuts else {}
    found = measures(sight, selection, labels, seen, spread, [*_faithful(reading), *_cost(model, kept)])
    presets = [tokens_of_ratio(maps.grid[0] * maps.grid[1], ratio) for ratio in RATIOS]
    return Scene(
        shown=shown,
        seen=seen,
        layers=layers_of(sight, selection),
        prediction=answers[0].top(10),
        measures=found,
        labels=labels,
        notes=() if loaded.trained else (RANDOM_WEIGHTS,),
        extras={
            "change": f"The reader sees {kept} of {maps.grid[0] * maps.grid[1]} patches.",
            "tokens": described(sight, selection, labels, spread, presets)
            | {"full": answers[1].top(10), "classToken": answers[2].top(3), "reading": reading, "budgets": _measured(loaded.card)},
        },
    )


def answer(scene: Scene, controls: HiPruneControls, question: Mapping[str, Any]) -> dict[str, Any]:
    """What the reader says of any set of patches: {patches: [number, …]} → {prediction}. The encoder does not run again.

    Raises:
        BadRequest: a patch does not exist.
    """
    loaded = runtime.model(MODEL)
    model, held = loaded.model, scene.layers[-1].structures["maps"]
    assert isinstance(model, PrunedReader)
    assert isinstance(held, AttentionMaps)
    found = Prediction(_read(model, held, marked(held, question.get("patches"))), loaded.labels)
    found.require_finite("the prediction")
    return {"prediction": found.top(10)}


def _answers(model: PrunedReader, maps: AttentionMaps, selection: TokenSelection) -> tuple[Tensor, Tensor]:
    """Logits [1, classes] of all patches and of the kept ones."""
    return _read(model, maps, torch.ones_like(selection.mask)), _read(model, maps, selection.mask)


@torch.inference_mode()
def _read(model: PrunedReader, maps: AttentionMaps, mask: Tensor) -> Tensor:
    """Logits [1, classes] of the marked patches; of none, what the reader's query answers alone."""
    assert maps.passed is not None
    passed = maps.passed.to(runtime.device())
    return (model.read(passed, mask.to(passed.device)) if mask.any() else model.reader(passed[:, :0])).cpu()


@torch.inference_mode()
def _class_token(model: PrunedReader, image: Tensor) -> Tensor:
    return model.encoder.model.classify(model.encoder.model.tokens(image)).cpu()


# ------------------------------------------------------------------------------------------------------- more and less


def _reading(
    model: PrunedReader, maps: AttentionMaps, selection: TokenSelection, controls: HiPruneControls, full: Tensor
) -> dict[str, Any]:
    """How sure the reader is of its full answer at every budget of every rule, and while patches are taken away or come."""
    assert maps.passed is not None
    target, n = int(full.argmax()), maps.grid[0] * maps.grid[1]
    budgets = budgets_of(n)
    answers = answers_at(model, maps, budgets, rules_for(maps, partial(_rule, controls=controls)))
    drawn = answers.pop(RANDOM).softmax(-1)[..., target]
    orders = torch.stack([torch.as_tensor(budget_order(selection)), *_random_orders(n)])
    deletion, insertion = (logits.softmax(-1)[..., target] for logits in removals(model, maps.passed, orders))
    return {
        "label": Prediction(full, runtime.model(MODEL).labels).top(1)[0][0],
        "whole": float(full.softmax(-1)[0, target]),
        "budgets": budgets,
        "rules": {name: logits.softmax(-1)[:, target].tolist() for name, logits in answers.items()},
        "same": {name: (logits.argmax(-1) == target).tolist() for name, logits in answers.items()},
        "random": {
            "seeds": len(drawn),
            "mean": drawn.mean(0).clamp(drawn.amin(0), drawn.amax(0)).tolist(),  # of equal numbers it may lie a last digit beside them
            "low": drawn.amin(0).tolist(),
            "high": drawn.amax(0).tolist(),
        },
        "deletion": {"own": deletion[0].tolist(), "random": deletion[1:].tolist()},
        "insertion": {"own": insertion[0].tolist(), "random": insertion[1:].tolist()},
    }


def _rule(maps: AttentionMaps, budget: int, controls: HiPruneControls) -> TokenSelection:
    return selection_of(controls, maps, budget)


def _random_orders(n: int) -> list[Tensor]:
    return [torch.randperm(n, generator=torch.Generator().manual_seed(seed)) for seed in range(ORDERS)]


def _faithful(reading: dict[str, Any]) -> list:
    if not reading:
        return []
    deletion, insertion = reading["deletion"], reading["insertion"]
    return faithfulness_summary(deletion["own"], insertion["own"], deletion["random"], insertion["random"])


def _cost(model: PrunedReader, kept: int) -> list:
    """Multiplications of blocks, those of the stem left out: the encoder always computes every patch."""
    width, hidden = model.reader.head.in_features, 4 * model.reader.head.in_features
    encoder = model.encoder.n_layers * vit_block_flops(PATCHES + 1, width, hidden)
    full, spent = (encoder + len(model.reader.blocks) * vit_block_flops(1 + count, width, hidden) for count in (PATCHES, kept))
    return cost_summary(full, spent, encoder)


def _measured(card: Any) -> dict[str, Any] | None:
    """Agreement and accuracy at the paper's three shares over test pictures, from the model card; None until it was trained."""
    return dict(card["measured"]["budgets"]) if "measured" in card and "budgets" in card["measured"] else None


# ---------------------------------------------------------------------------------------------------------- attribution


class _Reading(nn.Module):
    """Picture → logits of the reader from all patches, with gradients (the encoder's own call gives none)."""

    def __init__(self, model: PrunedReader) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        return self.model.reader(self.model.encoder.model.tokens(image)[:, 1:])


def explain_class(shown: np.ndarray, controls: HiPruneControls, method: str, target: str, layer: str) -> Attribution:
    """Where the reader looks for a class when it sees every patch. Grad-CAM weighs the tokens of the chosen layer."""
    loaded = runtime.model(MODEL)
    model = loaded.model
    assert isinstance(model, PrunedReader)
    image, reading = loaded.prepare(shown).to(runtime.device()), _Reading(model)
    number = runtime.class_index(MODEL, target)
    with alone(model):
        if method == "grad-cam":
            block = model.encoder.model.blocks[int(layer.split()[-1]) - 1]
            return grad_cam_of_tokens(reading, image, number, block, model.encoder.model.grid, prefix=1)
        return attribute(reading, image, number, method)  # type: ignore[arg-type]


EXHIBIT = Exhibit(
    slug="hiprune",
    title="HiPrune: the patches that remain",
    wing=Wing.TOKENS,
    idea="An encoder's own attention says which patches matter: a few on the object, their neighbours, and a scattered rest. All others are thrown away.",
    paper=Paper(
        title="HiPrune: Training-Free Visual Token Pruning via Hierarchical Attention in Vision-Language Models",
        authors="Liu and others",
        venue="ACL 2026 Findings",
        url="https://arxiv.org/abs/2508.00553",
        theirs="The rule: anchors of a middle layer, their neighbours, registers of a deep layer; nothing is trained for it.",
        ours="An encoder of 8 layers and a one-block reader in the place of a language model, trained by us on CIFAR-10 and scenes with garments.",
    ),
    controls=HiPruneControls,
    run=run,
    explain=explain_class,
    views=("budget", "layers", "centricity", "token-heads", "reach", "dispersion", "flow", "faithful", "attribution", "claims"),
    example="bus",
    folder=Path(__file__).parent,
    cuts=CUTS,
    questions={"answer": answer},
    claims=claims.HIPRUNE,
)
