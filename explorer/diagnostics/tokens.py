"""All diagnostics of attention and of what is done with tokens, as lists of measures.

Where an encoder looks (`attention_summary`), which patches are kept (`selection_summary`) and what that does to the answer
(`answer_summary`, `faithfulness_summary`, `cost_summary`). The measures themselves live in `attention` and `selection`.
Connections that are predicted have their summary in `sparse_attention`, patches that are dropped or leave on the way in
`early_exit`. The words of all of them are text beside the code: `tokens.json`. Rows of tables come from `folder_row`.

Every summary returns the same keys in the same order; what cannot be measured has the value None and a hint that says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from explorer.diagnostics import attention as at
from explorer.diagnostics import selection as se
from explorer.diagnostics.measure import Measure, NotMeasurable, measure, measured, percent, sections
from explorer.diagnostics.snapshot import Labels
from models.structures import AttentionMaps, Attribution, TokenSelection

NO_OBJECT = "no mask of an object was given"
ALIKE = 0.1  # a correlation between patches below each other that a grid can be recognised by


# --------------------------------------------------------------------------------------------------------------- attention


def attention_summary(
    maps: AttentionMaps,
    *,
    picture: int = 0,
    object_layer: int | None = None,
    deep_layer: int | None = None,
    objects: Labels | None = None,
    dispersion: Sequence[float] | np.ndarray | Tensor | None = None,
    profiles: Mapping[int, at.HeadProfile] | None = None,
) -> list[Measure]:
    """Where the encoder looks in one picture.

    Args:
        object_layer, deep_layer: from 1; by default those that HiPrune takes.
        objects: above 0 on the object, 0 beside it, negative where unknown, [N] (see `attention.object_patches`).
        dispersion: mean distance of the features of the top patches of every layer, [L].
        profiles: how widely and far the heads look, of the layers that count; None takes those of the opened layers.

    Raises:
        ValueError: there is no such layer, or objects or dispersion belong to another encoder.
        models.structures.NonFiniteError: the attention holds NaN or infinity.
    """
    alone = at.one_look(maps, picture)
    first = maps.suggested[0] if object_layer is None else object_layer
    second = maps.suggested[1] if deep_layer is None else deep_layer
    for layer in (first, second):
        maps.require_layer(layer)
    score = at.scores(alone)
    return sections(
        [
            (("attention_entropy", "attention_distance"), lambda: _heads(alone, profiles)),
            (("attention_effective", "sink_index", "sink_share", "prefix_share"), lambda: _concentration(alone, second)),
            (("object_iou", "object_iou_adjusted", "object_auc", "object_precision"), lambda: _centricity(score, objects, first)),
            (("layers_alike",), lambda: _alike(score, first, second)),
            (("dispersion_gap",), lambda: _dispersion(dispersion, maps.n_layers, first)),
            (("grid_stripes",), lambda: _stripes(score, maps.grid)),
        ]
    )


def _heads(maps: AttentionMaps, profiles: Mapping[int, at.HeadProfile] | None) -> list[Measure]:
    found = list((at.head_profiles(maps) if profiles is None else profiles).values())
    spread, far = (np.concatenate([getattr(p, name) for p in found]) for name in ("entropy", "distance"))
    uniform = found[0].uniform_distance
    return [
        measure("attention_entropy", spread.mean(), heads=len(spread), low=spread.min(), high=spread.max()),
        measure("attention_distance", far.mean(), uniform=uniform, low=far.min(), high=far.max()),
    ]


def _concentration(maps: AttentionMaps, layer: int) -> list[Measure]:
    found, n, i = at.concentration(maps), maps.grid[0] * maps.grid[1], layer - 1
    chance = found.top / n
    reason = "the encoder has no token before the patches"
    prefix = found.prefix_share[i] if maps.prefix else float("nan")
    return [
        measure("attention_effective", found.effective[i], grade=found.effective[i] / n, layer=layer, patches=n),
        measure("sink_index", found.sink[i], layer=layer),
        measure("sink_share", found.top_share[i], grade=found.top_share[i] / chance, layer=layer, top=found.top, chance=percent(chance)),
        measure("prefix_share", prefix, layer=layer, chance=percent(found.prefix_even), reason=reason),
    ]


def _centricity(score: np.ndarray, objects: Labels | None, layer: int) -> list[Measure]:
    if objects is None:
        raise NotMeasurable(NO_OBJECT)
    found, i = at.centricity(score, objects), layer - 1
    best = int(np.nanargmax(found.adjusted)) if not np.isnan(found.adjusted).all() else i
    return [
        measure("object_iou", found.iou[i], layer=layer, chance=percent(found.iou_chance), most=percent(found.iou_most)),
        measure(
            "object_iou_adjusted",
            found.adjusted[i],
            layer=layer,
            best=best + 1,
            highest=found.adjusted[best],
            reason="with these sizes every choice overlaps the object alike",
        ),
        measure("object_auc", found.auc[i], layer=layer),
        measure("object_precision", found.precision[i], layer=layer, chance=percent(found.share)),
    ]


def _alike(score: np.ndarray, first: int, second: int) -> list[Measure]:
    if first == second:
        raise NotMeasurable("the object layer and the deep layer are one")
    value = at.rank_correlation(score[[first - 1, second - 1]])[0, 1]
    return [measure("layers_alike", value, first=first, second=second, reason="a layer attends to all patches alike")]


def _dispersion(curve: Sequence[float] | np.ndarray | Tensor | None, layers: int, layer: int) -> list[Measure]:
    if curve is None:
        raise NotMeasurable("no curve of the dispersion was given")
    if len(curve) != layers:
        raise ValueError(f"a curve of {len(curve)} values does not belong to {layers} layers")
    elbow, rise = at.elbow(curve)
    return [measure("dispersion_gap", abs(layer - elbow), elbow=elbow, layer=layer, rise=percent(rise))]


def _stripes(score: np.ndarray, grid: tuple[int, int]) -> list[Measure]:
    found = at.stripes(score, grid)
    if max(found.own, found.best) < ALIKE:
        raise NotMeasurable("patches that lie beside each other do not resemble each other in a grid of any width")
    return [measure("grid_stripes", found.excess, width=grid[1], own=found.own, other=found.width, best=found.best)]


# --------------------------------------------------------------------------------------------------------------- selection


def selection_summary(
    selection: TokenSelection,
    *,
    picture: int = 0,
    objects: Labels | None = None,
    features: Tensor | np.ndarray | None = None,
    padding: np.ndarray | None = None,
    attribution: Attribution | Tensor | np.ndarray | None = None,
    other: TokenSelection | None = None,
) -> list[Measure]:
    """Which patches of one picture are kept.

    Args:
        objects: above 0 on the object, 0 beside it, negative where unknown, [N].
        features: of that picture's patches, [N, C].
        padding: True for patches in plain bars along the border, [N] (see `selection.padded_patches`).
        attribution: how much each place of that picture speaks for the answer.
        other: what another rule keeps of the same pictures.

    Raises:
        ValueError: what was given belongs to another grid.
        models.structures.NonFiniteError: a score is NaN or infinite.
    """
    return sections(
        [
            (("patches_kept", "budget_missed", "register_share", "buffers_misplaced"), lambda: _roles(selection, picture)),
            (("object_recall", "object_recall_near", "object_recall_register"), lambda: _coverage(selection, objects, picture)),
            (("sinks_kept",), lambda: _sinks(selection, picture)),
            (("kept_spread",), lambda: _spread(selection, features, picture)),
            (("padding_kept",), lambda: _padding(selection, padding, picture)),
            (("attribution_kept", "attribution_rank"), lambda: _attribution(selection, attribution, picture)),
            (("selection_iou",), lambda: _other(selection, other, picture)),
        ]
    )


def _roles(selection: TokenSelection, picture: int) -> list[Measure]:
    alone = se.one_selection(selection, picture)
    counts, wrong = alone.counts(), int(alone.misplaced().sum())
    n, kept = alone.role.shape[1], int(alone.mask.sum())
    buffers = counts["buffer"]
    ours = not counts["other"]
    return [
        measure("patches_kept", kept / n, kept=kept, patches=n, budget=alone.budget),
        measure("budget_missed", alone.budget - kept, budget=alone.budget),
        measure(
            "register_share",
            counts["register"] / kept if ours else float("nan"),
            anchors=counts["anchor"],
            buffers=buffers,
            reason="another rule than HiPrune chose, which knows no registers",
        ),
        measure("buffers_misplaced", wrong / buffers if buffers else float("nan"), count=wrong, all=buffers, reason="there is no buffer"),
    ]


def _coverage(selection: TokenSelection, objects: Labels | None, picture: int) -> list[Measure]:
    if objects is None:
        raise NotMeasurable(NO_OBJECT)
    found = se.coverage(selection, objects, picture)
    near = se.coverage(selection, objects, picture, ("anchor", "buffer"))
    register = se.coverage(selection, objects, picture, ("register",))
    parts = {"object_recall_near": (near, "there is no anchor"), "object_recall_register": (register, "there is no register")}
    return [
        measure("object_recall", found.recall, grade=found.recall / found.chance if found.chance else 0.0, chance=percent(found.chance)),
        *(
            measure(key, part.recall if part.chance else float("nan"), onto=percent(np.nan_to_num(part.precision)), reason=reason)
            for key, (part, reason) in parts.items()
        ),
    ]


def _sinks(selection: TokenSelection, picture: int) -> list[Measure]:
    marked = se.sinks(selection, picture)
    return [measure("sinks_kept", se.share_of_kept(selection, marked, picture)[0], all=int(marked.sum()))]


def _spread(selection: TokenSelection, features: Tensor | np.ndarray | None, picture: int) -> list[Measure]:
    if features is None:
        raise NotMeasurable("the features of the patches were not recorded")
    found = se.spread(selection, features, picture)
    return [measure("kept_spread", found.features, place=found.place)]


def _padding(selection: TokenSelection, padding: np.ndarray | None, picture: int) -> list[Measure]:
    if padding is None:
        raise NotMeasurable("it is not known where the picture is padded")
    share, chance = se.share_of_kept(selection, padding, picture)
    if chance == 0:
        raise NotMeasurable("the picture has no plain bar along its border")
    return [measure("padding_kept", share, chance=percent(chance))]


def _attribution(selection: TokenSelection, attribution: Attribution | Tensor | np.ndarray | None, picture: int) -> list[Measure]:
    if attribution is None:
        raise NotMeasurable("no attribution was given")
    found = se.kept_mass(selection, attribution, picture)
    return [
        measure("attribution_kept", found.share, grade=found.share / found.chance, chance=percent(found.chance), most=percent(found.most)),
        measure("attribution_rank", found.correlation, reason="all patches have the same score or the same attribution"),
    ]


def _other(selection: TokenSelection, other: TokenSelection | None, picture: int) -> list[Measure]:
    if other is None:
        raise NotMeasurable("there is no other selection to compare with")
    found = se.selection_agreement(selection, other, picture)
    return [measure("selection_iou", found.iou, chance=percent(found.chance), low=percent(found.low), high=percent(found.high))]


# -------------------------------------------------------------------------------------------------------- answer and cost


def answer_summary(full: Tensor | np.ndarray, pruned: Tensor | np.ndarray) -> list[Measure]:
    """Whether the answer stays the same over several pictures, from the logits [I, classes] of both runs."""

    def section() -> list[Measure]:
        found = se.answers(full, pruned)
        return [
            measure("answers_same", found.same, pictures=found.pictures, low=percent(found.low), high=percent(found.high)),
            measure("answers_divergence", found.divergence),
            measure("answers_shift", found.shift),
        ]

    return measured(("answers_same", "answers_divergence", "answers_shift"), section)


def faithfulness_summary(
    deletion: Sequence[float] | np.ndarray,
    insertion: Sequence[float] | np.ndarray,
    random_deletion: Sequence[Sequence[float]] | np.ndarray,
    random_insertion: Sequence[Sequence[float]] | np.ndarray,
) -> list[Measure]:
    """Areas under the curves of deletion and insertion beside those in random orders.

    Args:
        deletion, insertion: probability of the class after each step, equal shares of the patches (see `selection.curve_area`).
        random_deletion, random_insertion: the same in one or several random orders, [R, steps].
    """

    def section(key: str, curve: Sequence[float] | np.ndarray, others: Sequence[Sequence[float]] | np.ndarray) -> list[Measure]:
        value, random = se.curve_area(curve), float(np.mean([se.curve_area(one) for one in others]))
        if not random > 0:
            raise NotMeasurable("the probability is 0 in every random order")
        return [measure(key, value, grade=value / random, random=random)]

    return sections(
        [
            (("deletion_area",), lambda: section("deletion_area", deletion, random_deletion)),
            (("insertion_area",), lambda: section("insertion_area", insertion, random_insertion)),
        ]
    )


def cost_summary(full: float, spent: float, fixed: float = 0.0) -> list[Measure]:
    """What is saved, from counts of `models.tokens.flops` in one unit (MACs or FLOPs).

    Args:
        full, spent: with everything computed, and with what is left.
        fixed: the part of `spent` that comes before anything is dropped (the encoder of a pruned language model).

    Raises:
        ValueError: a count is negative, nothing is computed in full, or `fixed` is more than `spent`.
    """
    if full <= 0 or spent < 0 or not 0 <= fixed <= spent:
        raise ValueError(f"counts of {full} in full, {spent} spent and {fixed} fixed do not belong together")
    share = fixed / spent if fixed else float("nan")
    return [
        measure("cost_saved", 1 - spent / full, full=_engineering(full), spent=_engineering(spent)),
        measure("cost_fixed", share, reason="everything that is computed depends on what is kept"),
    ]


def _engineering(count: float) -> str:
    """1.23 G and the like, three digits."""
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= factor:
            return f"{count / factor:.3g} {letter}"
    return f"{count:.3g}"
