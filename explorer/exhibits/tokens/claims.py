"""The headline results of this wing and how our counterpart of each is measured.

Figures over test pictures (agreement, accuracy, object-centricity) are read from the model cards, which the training command wrote;
counts, cost and time are measured here.
"""

from __future__ import annotations

import time
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import torch

from explorer import examples, runtime
from explorer.diagnostics.selection import wilson
from explorer.exhibit import Claim, ClaimResult
from explorer.measuring import best_seconds, threads
from models.tokens.flops import LLAVA_TEXT_TOKENS, llava_flops
from models.tokens.hiprune import EDGES, select, tokens_of_ratio
from models.tokens.micro import PrunedReader

ENCODER = "token_encoder"
UNTRAINED = "the weights are not trained yet, so this says nothing"
PAPER_TERA = {576: 8.63, 192: 3.56, 128: 2.71, 64: 1.87}  # HiPrune, table 5
READ = (196, 131, 98, 65, 44, 22)  # patches whose reading is timed
SURE, THIRD, NINTH = 0.95, 1 / 3, 1 / 9


def _card(name: str) -> dict[str, Any] | None:
    """What was measured when the network was trained; None when it was not."""
    loaded = runtime.model(name)
    return dict(loaded.card["measured"]) if loaded.trained and "measured" in loaded.card else None


# ------------------------------------------------------------------------------------------------------------- HiPrune


def kept_exactly(_: Path | None) -> ClaimResult:
    """Kept patches against the budget, over pictures, budgets, shares for the object and rules at the border."""
    model = runtime.model(ENCODER)
    assert isinstance(model.model, PrunedReader)
    encoder = model.model.encoder
    alphas, budgets, wrong, tried = (0.0, 0.1, 0.5, 1.0), (1, 2, 5, 22, 44, 65, 131, 195, 196), 0, 0
    with torch.inference_mode():
        for name in examples.examples():
            maps = encoder({"pixel_values": model.prepare(examples.picture(name)).to(runtime.device())}).cpu()
            for budget, alpha, edge in product(budgets, alphas, EDGES):
                found = select(maps.score(4), maps.score(8), maps.grid, budget, alpha, edge)
                wrong += int(found.mask.sum()) != budget
                tried += 1
    return ClaimResult(
        f"{tried - wrong} of {tried} choices keep exactly the budget",
        wrong == 0,
        f"{len(examples.examples())} pictures that ship, budgets {', '.join(map(str, budgets))} of 196, α {', '.join(map(str, alphas))}, "
        f"neighbours {', '.join(EDGES)}",
    )


def agreement(_: Path | None) -> ClaimResult:
    """Share of test pictures whose answer stays, at a third and at a ninth of the patches, beside random patches."""
    found = _card(ENCODER)
    if found is None:
        return ClaimResult("not trained", None, UNTRAINED)
    count = found["looked_at"]
    third, ninth = (found["budgets"][str(tokens_of_ratio(196, share))] for share in (THIRD, NINTH))
    holds = third["hiprune, alpha 0.5"]["agreement"] >= SURE and ninth["hiprune, alpha 0.5"]["agreement"] > ninth["random"]["agreement"]
    return ClaimResult(
        f"1/3: {_share(third['hiprune, alpha 0.5']['agreement'], count)}, random {_random(third)}; "
        f"1/9: {_share(ninth['hiprune, alpha 0.5']['agreement'], count)}, random {_random(ninth)}",
        holds,
        f"the same most probable class as from all patches, {count} test pictures and scenes, α 0.5, 95 % interval (Wilson); random: mean and "
        f"deviation of 10 seeds. With the paper's α 0.1: {_share(third['hiprune']['agreement'], count)} and "
        f"{_share(ninth['hiprune']['agreement'], count)}. Holds: at least {100 * SURE:.0f} % at 1/3 and above random at 1/9",
    )


def ablation(_: Path | None) -> ClaimResult:
    """What remains without registers, and without anchors and buffers, at the three shares of the paper."""
    found = _card(ENCODER)
    if found is None:
        return ClaimResult("not trained", None, UNTRAINED)
    rows = []
    gaps = []
    for budget, table in found["budgets"].items():
        if budget == "all":
            continue
        parts = {
            name: 100 * table[name]["agreement"]
            for name in ("hiprune, alpha 0.5", "registers only", "anchors and buffers only", "class token", "uniform grid")
        }
        rows.append(f"{budget} patches: " + ", ".join(f"{name} {value:.1f} %" for name, value in parts.items()))
        gaps.append(parts["registers only"] - parts["anchors and buffers only"])
    return ClaimResult(
        f"registers only are {min(gaps):+.1f} to {max(gaps):+.1f} points of agreement above anchors and buffers only",
        min(gaps) > 0,
        f"{found['looked_at']} test pictures and scenes. " + "; ".join(rows),
    )


def object_layers(_: Path | None) -> ClaimResult:
    """Overlap of the most attended tenth with the object, layer by layer."""
    found = _card(ENCODER)
    if found is None:
        return ClaimResult("not trained", None, UNTRAINED)
    layers = found["layers"]
    iou, auc = layers["iou"], layers["auc"]
    middle = range(1, len(iou) - 1)
    best = max(middle, key=lambda layer: iou[layer])
    return ClaimResult(
        f"layer {best + 1}: IoU {iou[best]:.2f}; first {iou[0]:.2f}, last {iou[-1]:.2f}",
        iou[best] > iou[0] and iou[best] > iou[-1],
        f"most attended tenth of the patches against the garment's mask, held-out scenes; chance {layers['iou_chance']:.2f}, the object covers "
        f"{100 * layers['object_share']:.0f} %. IoU: {_listed(iou)}; AUC: {_listed(auc)}; holds when the best middle layer is above both ends",
    )


def cost(_: Path | None) -> ClaimResult:
    """FLOPs of LLaVA-1.5-7B counted from shapes, beside those that the paper prints."""
    ours = {kept: llava_flops(kept) / 1e12 for kept in PAPER_TERA}
    worst = max(abs(ours[kept] - printed) for kept, printed in PAPER_TERA.items())
    return ClaimResult(
        ", ".join(f"{kept}: {value:.2f} T" for kept, value in ours.items()),
        worst <= 0.005,
        f"2·(32·(4d² + 3·d·d_ff) + d·V) per token of the language model, {LLAVA_TEXT_TOKENS} text tokens (our fit) and 0.40 T for the encoder, "
        f"which always runs whole; largest difference {worst:.4f} T",
    )


def reading_time(_: Path | None) -> ClaimResult:
    """CPU time of the reader alone on fewer and fewer patches."""
    model = runtime.model(ENCODER).model
    assert isinstance(model, PrunedReader)
    width = model.reader.head.in_features
    patches = torch.randn(16, READ[0], width, generator=torch.Generator().manual_seed(0), device=runtime.device())
    seconds = []
    with threads(1), torch.inference_mode():
        for count in READ:
            part = patches[:, :count].contiguous()
            seconds.append(best_seconds(lambda part=part: model.reader(part), 0.8, clock=time.process_time) / len(patches))  # type: ignore[misc]
    falls = all(b < a for a, b in pairwise(seconds))
    third = seconds[READ.index(65)] / seconds[0]
    return ClaimResult(
        f"65 of 196 patches: {100 * third:.0f} % of the time of all",
        falls,
        "one thread, 16 pictures at once, best of several runs in CPU time; "
        + ", ".join(f"{count}: {1e3 * value:.2f} ms" for count, value in zip(READ, seconds, strict=True))
        + ". The encoder before it costs the same whatever is kept",
    )


def _share(value: float, count: int) -> str:
    low, high = wilson(round(value * count), count)
    return f"{100 * value:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def _random(table: dict[str, Any]) -> str:
    return f"{100 * table['random']['agreement']:.1f} ± {100 * table['random']['agreement_deviation']:.1f} %"


def _listed(values: list[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


HIPRUNE = (
    Claim("kept-exactly", "Exactly as many patches are kept as were asked for.", "by construction (algorithm 1); the code released for Qwen2.5-VL keeps fewer", kept_exactly),
    Claim(
        "agreement",
        "With a third of the patches the answer hardly changes; with a ninth it is still better than with random patches.",
        "LLaVA-1.5-7B, mean of 9 benchmarks relative to all 576: 192 → 99.3 %, 128 → 97.5 %, 64 → 92.7 % (table 2)",
        agreement,
    ),
    Claim(
        "ablation",
        "The scattered registers of the deep layer carry the answer; the object's anchors alone do not.",
        "192 of 576: without anchors and buffers 99.7 %, without registers 97.9 % (table 6b)",
        ablation,
    ),
    Claim(
        "object-layers",
        "Attention is on the object in the middle of the encoder, not at its ends.",
        "IoU with COCO masks relative to the middle layer, first/last: CLIP-L .58/.80, DeiT .27/.59 (table 1)",
        object_layers,
    ),
    Claim("cost", "Fewer patches cost the language model proportionally fewer operations.", "8.63 → 3.56 / 2.71 / 1.87 TFLOPs for 192 / 128 / 64 patches (table 5)", cost),
    Claim("reading-time", "The reader's time falls with the number of patches.", "prefill 54.3 → 28.6 / 25.6 / 22.0 ms on an A100 (table 5)", reading_time),
)  # fmt: skip


# --------------------------------------------------------------------------------------------------------- Sparsifiner

SPARSE, DENSE = "sparsifiner_micro", "sparsifiner_dense"


def coverage(_: Path | None) -> ClaimResult:
    """Share of the dense attention on the predicted keys, beside as many of the largest, nearest and any keys."""
    found = _card(SPARSE)
    if found is None:
        return ClaimResult("not trained", None, UNTRAINED)
    layers = found["layers"]
    mean = {key: sum(layer[key] for layer in layers) / len(layers) for key in ("predicted", "oracle", "local", "random", "recall")}
    return ClaimResult(
        f"{100 * mean['predicted']:.0f} % of the attention on a quarter of the keys; best possible {100 * mean['oracle']:.0f} %, nearest "
        f"{100 * mean['local']:.0f} %, random {100 * mean['random']:.0f} %",
        mean["predicted"] > mean["local"] and mean["predicted"] > mean["random"],
        f"32 test pictures, mean over patches, heads and {len(layers)} blocks; of the truly largest keys {100 * mean['recall']:.0f} % are found. By "
        "block: "
        + ", ".join(f"{100 * layer['predicted']:.0f} of {100 * layer['oracle']:.0f} %" for layer in layers)
        + ". Holds: above nearest and random",
    )


def sparse_agreement(_: Path | None) -> ClaimResult:
    """Answers that are those of dense attention, at four shares of keys; accuracy against the dense control."""
    found = _card(SPARSE)
    if found is None:
        return ClaimResult("not trained", None, UNTRAINED)
    card, count = runtime.model(SPARSE).card, 500
    rates, own = found["keep_rates"], found["keep_rates"]["0.25"]
    twin = card.get("dense_twin")
    beside = (
        f"; dense control {100 * twin['test_accuracy']:.1f} %, this {100 * card['test_accuracy']:.1f} % (whole test split)" if twin else ""
    )
    return ClaimResult(
        f"{_share(own['agreement_with_dense'], count)} of the answers are the dense teacher's",
        own["agreement_with_dense"] >= 0.97,
        f"{count} test pictures, a quarter of the keys, seed 0, one training{beside}. Other shares without training again: "
        + ", ".join(
            f"{rate}: {100 * row['agreement_with_dense']:.1f} % (accuracy {100 * row['accuracy']:.1f} %)" for rate, row in rates.items()
        )
        + ". Holds: at least 97 %",
    )


def sparse_cost(_: Path | None) -> ClaimResult:
    """Multiply–adds of the attention products, counted from the masks, with what the predictors cost."""
    found = _card(SPARSE)
    if found is None:
        return ClaimResult("not trained", None, UNTRAINED)
    macs = found["multiply_adds"]
    saved = 1 - macs["sparse"] / macs["dense"]
    return ClaimResult(
        f"{100 * saved:.0f} % fewer multiply–adds in the attention products, predictors included",
        saved > 0,
        f"mean of 32 test pictures, all blocks: dense {macs['dense'] / 1e6:.2f} M, masked {macs['masked'] / 1e6:.2f} M, predictor "
        f"{macs['predictor'] / 1e6:.2f} M, prototypes {macs['estimate'] / 1e6:.2f} M. A count is no time: like the released code ours masks dense "
        "attention, which is not faster",
    )


SPARSIFINER = (
    Claim("coverage", "The predicted keys hold more of the attention than the nearest or random ones.", "", coverage),
    Claim(
        "sparse-agreement",
        "With a quarter of the keys the answers stay those of dense attention.",
        "at most 0.4 points of accuracy lost on ImageNet (abstract)",
        sparse_agreement,
    ),
    Claim("sparse-cost", "Attention costs fewer operations although guessing costs some.", "48 to 69 % fewer FLOPs of attention (abstract)", sparse_cost),
)  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------- DToP

EXITS = "dtop_micro"
EXIT_SCENES = 200  # of the test scenes, on which each threshold was measured (training.segmentation.LOOKED_AT)


def saving(_: Path | None) -> ClaimResult:
    """Multiply–adds saved and mean IoU lost at several thresholds, over held-out scenes."""
    found = _card(EXITS)
    if found is None:
        return ClaimResult("not trained", None, UNTRAINED)
    dense = found["exits"]["1.0"]["miou"]  # of the same scenes
    rows = {p0: row for p0, row in found["exits"].items() if "saving" in row}
    good = {p0: row for p0, row in rows.items() if 100 * (dense - row["miou"]) <= 1}
    best = max(good.items(), key=lambda item: item[1]["saving"], default=None)
    table = "; ".join(
        f"p₀ {p0}: {100 * row['miou']:.1f} % mIoU, {100 * row['saving']:.0f} ± {100 * row['saving_deviation']:.0f} % saved"
        for p0, row in rows.items()
    )
    if best is None:
        return ClaimResult(
            "no threshold keeps the mIoU within 1 point", False, f"{EXIT_SCENES} held-out scenes; dense {100 * dense:.1f} %. {table}"
        )
    p0, row = best
    return ClaimResult(
        f"p₀ = {p0}: {100 * row['saving']:.0f} % saved ({100 * row['saving_least']:.0f} to {100 * row['saving_most']:.0f} %), mIoU "
        f"{100 * row['miou']:.1f} instead of {100 * dense:.1f} %",
        row["saving"] >= 0.2,
        f"multiply–adds of blocks and heads as counted, on {EXIT_SCENES} scenes that no training saw; one seed; no fine-tuning with exits. {table}. Holds: at least 20 % saved within 1 point",
    )


def easy_first(_: Path | None) -> ClaimResult:
    """Share of patches that left early, near class boundaries and elsewhere."""
    found = _card(EXITS)
    if found is None:
        return ClaimResult("not trained", None, UNTRAINED)
    rows = {p0: row for p0, row in found["exits"].items() if "saving" in row}
    usual = rows.get("0.9") or next(iter(rows.values()))
    return ClaimResult(
        f"{100 * usual['left_elsewhere']:.0f} % of the patches away from a boundary leave early, {100 * usual['left_near_edges']:.0f} % of those at one",
        usual["left_elsewhere"] > usual["left_near_edges"],
        f"{EXIT_SCENES} held-out scenes, one seed, p₀ 0.9; at a boundary: at most one patch away from another true class. "
        + "; ".join(f"p₀ {p0}: {100 * row['left_elsewhere']:.0f} against {100 * row['left_near_edges']:.0f} %" for p0, row in rows.items()),
    )


DTOP = (
    Claim(
        "saving",
        "Letting sure patches leave saves a fifth or more of the computation at hardly any loss.",
        "ADE20K, ViT-B: 109.9 → 86.8 GMACs at 49.6 → 49.8 mIoU; ViT-L 617 → 413 at 53.3 → 52.8 (README); 20 to 35 % (abstract)",
        saving,
    ),
    Claim("easy-first", "What lies inside an area leaves early; boundaries stay to the end.", "shown in pictures, no figure", easy_first),
)  # fmt: skip
