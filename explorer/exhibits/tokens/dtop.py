"""DToP: a segmentation transformer whose easy patches leave early, and whose hard ones are looked at to the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from pydantic import Field

from explorer import runtime
from explorer.diagnostics.early_exit import boundary_distance, exit_summary, exits, mean_iou
from explorer.diagnostics.measure import NotMeasurable
from explorer.diagnostics.tokens import cost_summary
from explorer.exhibit import BadRequest, Controls, Exhibit, Intervention, Labeller, Layer, Paper, Scene, Wing
from explorer.exhibits.tokens import claims
from explorer.looking import RANDOM_WEIGHTS
from explorer.segments import ByMask
from explorer.views.arrays import pack
from models.capture import Edit, capture
from models.structures import ExitStage, NonFiniteError
from models.tokens.dtop import DToP
from models.tokens.exits import leave
from models.tokens.flops import alive_per_block, dtop_macs, head_macs, vit_block_macs

MODEL: Final = "dtop_micro"
LABELS = ("background", "top", "trousers", "dress", "sandal", "sneaker", "boot", "bag")
CUTS = ("patch", "stay")
MLP_RATIO = 4.0


class DToPControls(Controls):
    threshold: float = Field(
        0.9,
        ge=0.3,
        le=1,
        title="Confidence to leave, p₀",
        description="A patch whose prediction is surer than this leaves and is computed no further. 1 keeps every patch to the end.",
        json_schema_extra={"step": 0.01},
    )
    context: int = Field(
        5,
        ge=0,
        le=20,
        title="Patches that stay per class, k",
        description="Of each class the few surest patches stay all the same, as context for the rest.",
    )


def look(shown: np.ndarray, threshold: float, context: int, cuts: Sequence[Intervention] = ()) -> list[ExitStage]:
    """What every head predicts of one picture, and who leaves, in order and in CPU memory.

    Raises:
        BadRequest: a cut names a stage or a patch that does not exist.
        models.structures.NonFiniteError: a stage holds NaN or infinity.
    """
    loaded, names = runtime.model(MODEL), heads()
    unknown = sorted({cut.layer for cut in cuts} - {*names, "*"})
    if unknown:
        raise BadRequest(f"there is no layer named {unknown[0][:60]!r} to change; there are {', '.join(names)}")
    away, stay = ([patch for cut in cuts if cut.kind == kind for patch, _ in cut.pairs] for kind in CUTS)

    def edit(last: bool) -> Edit:
        def change(stage: ExitStage) -> ExitStage:
            return leave(stage, 1.0 if last else threshold, context, () if last else away, stay)

        return change

    try:
        with torch.inference_mode(), capture(loaded.model, edits={name: edit(name == names[-1]) for name in names}) as trace:
            loaded.model(loaded.prepare(shown).to(runtime.device()))
    except NonFiniteError:
        raise
    except ValueError as error:
        raise BadRequest(str(error)) from None
    trace.require_finite()
    return [stage.cpu() for stage in trace.of(ExitStage).values()]


def heads() -> list[str]:
    """Names of the parts that predict and decide, in order."""
    model = _model()
    return [*(f"auxiliary_head.{i}" for i in range(len(model.auxiliary_head))), "decode_head"]


def _model() -> DToP:
    model = runtime.model(MODEL).model
    assert isinstance(model, DToP)
    return model


def run(shown: np.ndarray, controls: DToPControls, cuts: Sequence[Intervention] = (), segments: Labeller | None = None) -> Scene:
    """One picture with early exits, and once more with none."""
    loaded, model = runtime.model(MODEL), _model()
    stages = look(shown, controls.threshold, controls.context, cuts)
    dense = look(shown, 1.0, controls.context)
    grid, side = stages[0].grid, loaded.prepare.seen(shown).shape[0]
    pixels, whole = (_pixels(run_, side) for run_ in (stages, dense))
    truth = truth_of(segments, side)
    of_patches = None if truth is None else _patches(truth, grid)
    labels = segments(grid) if segments else None
    macs, full = (_macs(run_) for run_ in (stages, dense))
    summary = exit_summary(stages, truth=of_patches, dense=dense)
    summary += cost_summary(full, macs, _before_exits(grid))
    layers = [Layer(name, _label(i, stage, model), {"stage": stage}) for i, (name, stage) in enumerate(zip(heads(), stages, strict=True))]
    return Scene(
        shown=shown,
        seen=loaded.prepare.seen(shown),
        layers=layers,
        prediction=_areas(pixels),
        measures={layer.name: summary for layer in layers},
        labels=labels,
        notes=() if loaded.trained else (RANDOM_WEIGHTS,),
        extras={
            "beside": {
                "before": _areas(whole),
                "title": "Share of the picture, every patch computed to the end and with early exits",
                "note": "Thin bar: no patch leaves early. Thick bar: as set on the left.",
            },
            "change": f"{int(stages[-1].before.sum())} of {grid[0] * grid[1]} patches leave before the last stage; {100 * (1 - macs / full):.0f} % of the multiplications are saved.",
            "exits": {
                "labels": list(loaded.labels or LABELS),
                "blocks": len(model.backbone.layers),
                "after": [block + 1 for block in model.stages],
                "alive": alive_per_block(stages, model.stages, len(model.backbone.layers))[0],
                "macs": {
                    "full": full,
                    "spent": macs,
                    "block": [vit_block_macs(n, _channels(model), MLP_RATIO) for n in _alive(stages, model)],
                },
                "pixels": pack(pixels, "u8"),
                "dense": pack(whole, "u8"),
                "truth": None if truth is None else pack(truth, "u8"),
                "miou": None if truth is None else {"pruned": mean_iou(pixels, truth), "dense": mean_iou(whole, truth)},
                "boundary": _boundary(stages, of_patches),
                "measured": _measured(loaded.card),
            },
        },
    )


def _label(index: int, stage: ExitStage, model: DToP) -> str:
    left = int(stage.exited.sum()) - int(stage.before.sum())
    what = "the rest is decided" if index == len(model.stages) - 1 else f"{left} leave"
    return f"Stage {index + 1} · after block {model.stages[index] + 1} · {what}"


def _pixels(stages: Sequence[ExitStage], side: int) -> np.ndarray:
    """Class of each pixel after the last stage (bilinear between the patches), uint8 [side, side]."""
    maps = stages[-1].prediction.unflatten(2, stages[-1].grid)
    return F.interpolate(maps, size=(side, side), mode="bilinear", align_corners=False).argmax(1)[0].byte().numpy()


def _areas(pixels: np.ndarray) -> list[tuple[str, float]]:
    """Share of the picture that each class covers, largest first."""
    labels = runtime.model(MODEL).labels or LABELS
    share = np.bincount(pixels.ravel(), minlength=len(labels)) / pixels.size
    return [(labels[i], float(share[i])) for i in np.argsort(-share, kind="stable")]


def truth_of(segments: Labeller | None, side: int) -> np.ndarray | None:
    """True class of each pixel, uint8 [side, side]; None where the picture's objects are not of these classes."""
    found = segments.classes(LABELS) if isinstance(segments, ByMask) else None
    if found is None:
        return None
    return np.asarray(Image.fromarray(found.astype(np.uint8)).resize((side, side), Image.Resampling.NEAREST))


def _patches(truth: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """True class in the middle of each patch, [N] int64."""
    rows, columns = ((2 * np.arange(count) + 1) * size // (2 * count) for count, size in zip(grid, truth.shape, strict=True))
    return truth[np.ix_(rows, columns)].reshape(-1).astype(np.int64)


# ----------------------------------------------------------------------------------------------------------------- cost


def _channels(model: DToP) -> int:
    return int(model.backbone.pos_embed.shape[2])


def _alive(stages: Sequence[ExitStage], model: DToP) -> list[int]:
    return alive_per_block(stages, model.stages, len(model.backbone.layers))[0]


def _macs(stages: Sequence[ExitStage]) -> int:
    model = _model()
    head = model.decode_head
    return dtop_macs(
        stages, model.stages, len(model.backbone.layers), _channels(model), head.q.embedding_dim, len(head.decoder.layers), MLP_RATIO
    )[0]


def _before_exits(grid: tuple[int, int]) -> int:
    """What is computed before any patch can leave: the blocks up to the first head, and that head."""
    model, n = _model(), grid[0] * grid[1]
    head = model.decode_head
    blocks = (model.stages[0] + 1) * vit_block_macs(n, _channels(model), MLP_RATIO)
    return blocks + head_macs(n, _channels(model), head.q.embedding_dim, head.q.num_embeddings, len(head.decoder.layers))


def _boundary(stages: Sequence[ExitStage], truth: np.ndarray | None) -> dict[str, Any] | None:
    """Distance of each patch to a boundary between classes, [N]: the true ones, else those of the final prediction; None without any."""
    found = exits(stages)
    try:
        distance = boundary_distance(found.final if truth is None else truth, found.grid)
    except NotMeasurable:
        return None
    return {"distance": np.round(distance, 3).tolist(), "true": truth is not None}


def _measured(card: Any) -> dict[str, Any] | None:
    """Mean IoU and saving at several thresholds over held-out scenes, from the model card; None until it was trained."""
    return dict(card["measured"]["exits"]) if "measured" in card and "exits" in card["measured"] else None


EXHIBIT = Exhibit(
    slug="dtop",
    title="DToP: easy patches leave early",
    wing=Wing.TOKENS,
    idea="After a third of the network most of the sky is sky: patches that are sure of their class leave, and only boundaries are computed to the end.",
    paper=Paper(
        title="Dynamic Token Pruning in Plain Vision Transformers for Semantic Segmentation",
        authors="Tang and others",
        venue="ICCV 2023",
        url="https://arxiv.org/abs/2308.01045",
        theirs="The rule: heads after some blocks, a confidence above which a patch leaves, a few sure patches of each class that stay.",
        ours="A transformer of 6 blocks behind a convolutional stem, trained by us on garments before photographs (8 classes, 128 × 128 pixels).",
    ),
    controls=DToPControls,
    run=run,
    views=("staircase", "biography", "queries", "leavers", "claims"),
    example="kitten",
    folder=Path(__file__).parent,
    cuts=CUTS,
    claims=claims.DTOP,
)
