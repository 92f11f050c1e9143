"""The headline results of this wing and how our counterpart of each is measured.

A claim holds (True), does not (False), or cannot be judged (None) because weights are not trained yet or no picture
gave a value. Thresholds stand in the text of the claim.
"""

from __future__ import annotations

import math
import time
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from explorer import runtime
from explorer.diagnostics import agreement, axial_pieces, components, flipped, reach, reciprocity, stability, triangle
from explorer.diagnostics.features import effective_rank
from explorer.exhibit import Claim, ClaimResult
from explorer.measuring import (
    Masked,
    accuracy,
    graphs,
    homophily_adjusted,
    homophily_share,
    images_per_second,
    masked_pictures,
    operator_seconds,
    over_blocks,
    raw_features,
    spread,
    threads,
    together,
    without_mixing,
)
from models import zoo
from models.image_graphs.constructors import AxialDynamic, AxialStatic, DilatedKNN
from models.structures import PatchGraph

RULES = ("knn", "svga", "dagc")
NET = {"knn": "KNN", "svga": "SVGA", "dagc": "DAGC", "grid": "8-neighbour grid", "random": "random"}
UNTRAINED = "the weights are not trained yet, so this says nothing"


def _pictures(data_dir: Path | None, used: int | None = None) -> str:
    total = len(masked_pictures(data_dir))
    return f"{total if used is None else used} of {total} pictures with masks ({'shipped' if data_dir is None else data_dir.name})"


def _judged(holds: bool, *models: str) -> bool | None:
    return holds if all(runtime.model(name).trained for name in models) else None


def _remark(*models: str) -> str:
    return "" if all(runtime.model(name).trained for name in models) else f"; {UNTRAINED}"


# ---------------------------------------------------------------------------------------------------------------- ViG


def depth_follows_objects(data_dir: Path | None) -> ClaimResult:
    """Adjusted homophily: last block on a grid of at least 8 × 8 against the first block and against random weights."""
    pictures = masked_pictures(data_dir)
    loaded = runtime.model("pvig_micro")
    grids = [graph.grid for graph in graphs(loaded.model, loaded.prepare, pictures[0].pixels)]
    last = max(i for i, grid in enumerate(grids) if min(grid) >= 8)
    trained = over_blocks(loaded.model, loaded.prepare, pictures, homophily_adjusted)
    random = np.stack([_random_blocks("pvig_micro", seed, pictures) for seed in range(3)])
    columns = together(np.column_stack([trained[:, last], trained[:, 0], random[:, :, last].mean(0)]))
    if not len(columns):
        return ClaimResult("not measurable", None, "no picture has a labelled edge in all three graphs")
    deep, first, chance = (spread(column) for column in columns.T)
    gains = spread(columns[:, 0] - columns[:, 1]), spread(columns[:, 0] - columns[:, 2])
    holds = min(gain.mean for gain in gains) >= 0.05
    all_blocks = ", ".join(f"{np.nanmean(column):.2f}" if np.isfinite(column).any() else "–" for column in trained.T)
    return ClaimResult(
        f"block {last + 1} {deep}; block 1 {first}; random weights {chance}",
        _judged(holds, "pvig_micro"),
        f"adjusted homophily, mean ± sd over {_pictures(data_dir, len(columns))}; block {last + 1} is the last on {grids[last][0]} × "
        f"{grids[last][1]} patches (coarser grids have too few); differences {gains[0]} and {gains[1]}; random weights: seeds 0–2; "
        f"trained blocks 1–{len(grids)}: {all_blocks}{_remark('pvig_micro')}",
    )


def _random_blocks(name: str, seed: int, pictures: list[Masked]) -> np.ndarray:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = zoo.build(name).eval()
    return over_blocks(model, zoo.ENTRIES[name].preparation, pictures, homophily_adjusted)


def mixing_prevents_smoothing(data_dir: Path | None) -> ClaimResult:
    """Effective rank of what the last block sees, with the network as trained and with its mixing layers removed."""
    pictures = masked_pictures(data_dir)
    loaded = runtime.model("pvig_micro")
    bare = without_mixing(loaded.model)
    full, stripped = (over_blocks(model, loaded.prepare, pictures, _rank) for model in (loaded.model, bare))
    ratio = spread(stripped[:, -1] / full[:, -1])
    return ClaimResult(
        f"{spread(stripped[:, -1])} instead of {spread(full[:, -1])}",
        _judged(ratio.mean < 0.5, "pvig_micro"),
        f"effective rank of the features at the last graph, mean ± sd over {_pictures(data_dir)}; ratio {ratio}; fc1, fc2 and FFN of the "
        f"trained network removed without training anew, so a block is x + max-relative(x); downsampling stays; blocks with: "
        f"{_means(full)}, without: {_means(stripped)}{_remark('pvig_micro')}",
    )


def _rank(graph: PatchGraph, _: Masked) -> float:
    assert graph.features is not None
    x = graph.features[0].flatten(1).T.double().cpu().numpy()
    return effective_rank(x - x.mean(0))


def _means(blocks: np.ndarray) -> str:
    return ", ".join(f"{value:.1f}" for value in blocks.mean(0))


VIG = (
    Claim(
        "depth-follows-objects",
        "With depth the graph joins patches of the same object: adjusted homophily of the last block is at least 0.05 above the first "
        "block's and above random weights'.",
        "qualitative, no figure",
        depth_follows_objects,
    ),
    Claim(
        "mixing-prevents-smoothing",
        "Without the layers that mix channels (fc1, fc2, FFN) all patches become alike: effective rank at the last block below half.",
        "qualitative, no figure",
        mixing_prevents_smoothing,
    ),
)

# ---------------------------------------------------------------------------------------------------------- MobileViG


def fixed_and_free(data_dir: Path | None) -> ClaimResult:
    """The graph of different pictures is the same, and building it costs next to nothing."""
    pictures = masked_pictures(data_dir)
    loaded = runtime.model("mobilevig_micro")
    first, *others = [graphs(loaded.model, loaded.prepare, picture.pixels) for picture in pictures]
    overlap = [agreement(a, b).mean for other in others for a, b in zip(first, other, strict=True)]
    same = min(overlap, default=1.0) == 1
    whole, alone = (_ratios("svga", part) for part in (0, 1))
    return ClaimResult(
        f"identical for {len(pictures)} pictures; construction {alone['dagc']:.0f}× faster than DAGC, {alone['knn']:.0f}× than KNN"
        if same
        else f"smallest overlap {min(overlap):.2f}",
        same and alone["dagc"] >= 5 and alone["knn"] >= 50,
        f"CPU time on one thread, 56 × 56 patches, 48 channels, best of several; with the max-relative step, which costs the same for all: "
        f"{whole['dagc']:.1f}× and {whole['knn']:.0f}×; {_milliseconds()}",
    )


def _ratios(fast: str, part: int) -> dict[str, float]:
    seconds = operator_seconds()
    return {name: seconds[name][part] / seconds[fast][part] for name in RULES if name != fast}


def _milliseconds() -> str:
    return ", ".join(
        f"{NET[name]} {1e3 * whole:.1f} ms ({1e3 * alone:.2f} to build)" for name, (whole, alone) in operator_seconds().items()
    )


# (height, width): pieces, reciprocity, neighbours of step 2; counted by hand from the rule
AXIAL_TABLE = {(7, 7): (1, 0.0, 6), (8, 8): (4, 1.0, 6), (14, 14): (4, 1.0, 12), (25, 42): (2, 0.625, 32)}
REACH_7 = (0.14, 0.45, 0.82, 1.0)


def axial_facts(data_dir: Path | None) -> ClaimResult:
    """Pieces, reciprocity and neighbours at step 2, reach and flip overlap at 7 × 7: no picture is needed."""
    found = {grid: _axial_row(grid) for grid in AXIAL_TABLE}
    wheel = _axial(7, 7)
    heard = tuple(round(share, 2) for share in reach([wheel] * 4).share)
    overlap = stability(wheel, wheel, flipped((7, 7))).mean
    holds = found == AXIAL_TABLE and heard == REACH_7 and math.isclose(overlap, 1 / 3)
    rows = "; ".join(f"{h}×{w}: {n} piece{'s' * (n > 1)}, reciprocity {r:g}, {k} neighbours" for (h, w), (n, r, k) in found.items())
    heard_text = ", ".join(f"{100 * share:.0f} %" for share in heard)
    return ClaimResult(rows, holds, f"exact; heard of on 7×7 after 1–4 blocks: {heard_text}; overlap with the mirrored graph {overlap:.3f}")


def _axial(height: int, width: int) -> PatchGraph:
    return AxialStatic(2)(torch.zeros(1, 1, height, width))


def _axial_row(grid: tuple[int, int]) -> tuple[int, float, int]:
    graph = _axial(*grid)
    pieces = components(graph).count
    assert pieces == axial_pieces(grid, 2)
    return pieces, reciprocity(graph).share, graph.candidates.shape[2]


def accuracy_and_speed(data_dir: Path | None) -> ClaimResult:
    """Test accuracy (model cards) and pictures per second of the small MobileViG and the small ViG."""
    names = ("mobilevig_micro", "pvig_micro")
    right = [accuracy(runtime.model(name)) for name in names]
    with threads(1):
        speed = [images_per_second(runtime.model(name).model, (32, 3, 64, 64), 2.0, time.process_time) for name in names]
    ratio = speed[0] / speed[1]
    holds = right[0] >= right[1] - 0.02 and ratio >= 1.5
    return ClaimResult(
        f"{_percent(right[0])} against {_percent(right[1])} at {ratio:.1f}× the speed",
        None if any(map(math.isnan, right)) else holds,
        f"CIFAR-10, 10 000 test pictures, one seed each (model cards); {speed[0]:.0f} and {speed[1]:.0f} pictures per CPU second on one thread, batch 32, "
        f"64 × 64 pixels{_remark(*names)}",
    )


def _percent(share: float) -> str:
    return "not trained" if math.isnan(share) else f"{100 * share:.1f} %"


MOBILEVIG = (
    Claim(
        "fixed-and-free",
        "The graph is the same for every picture and building it costs no distance: at least 5× faster than DAGC and 50× than all-pairs KNN.",
        "0.78 ms for the whole Ti network on an iPhone 13 Mini (a phone figure, not comparable)",
        fixed_and_free,
    ),
    Claim(
        "odd-and-even-grids",
        "On an odd grid the fixed graph is one directed piece, on an even one it falls into four islands (step 2).",
        "",
        axial_facts,
    ),
    Claim(
        "accuracy-at-speed",
        "Close to ViG at higher speed: within 2 points of accuracy at 1.5× its pictures per second or more. (Whether a connected 7 × 7 "
        "beats a split 8 × 8 graph stage was not trained and is not claimed.)",
        "Ti 75.7 % top-1 on ImageNet, against 73.9 % of ViG-Ti",
        accuracy_and_speed,
    ),
)

# ---------------------------------------------------------------------------------------------------------- GreedyViG


def semantics_trained(data_dir: Path | None) -> ClaimResult:
    """Homophily of three rules on the features that a trained GreedyViG gives its first graph block."""
    loaded = runtime.model("greedyvig_micro")

    def features(picture: Masked) -> tuple[torch.Tensor, int]:
        graph = graphs(loaded.model, loaded.prepare, picture.pixels)[0]
        assert graph.features is not None
        return graph.features.cpu(), graph.rule.settings["step"]

    return _semantics(data_dir, features, "features of the first graph block (the finest grid)", "greedyvig_micro")


def semantics_raw(data_dir: Path | None) -> ClaimResult:
    """The same on eight raw numbers per patch: mean and deviation of the colours, gradients."""
    return _semantics(data_dir, lambda picture: (raw_features(picture.pixels, (14, 14)), 2), "raw colour and gradient of 14 × 14 patches")


def _semantics(data_dir: Path | None, features, what: str, *models: str) -> ClaimResult:
    rows = []
    for picture in masked_pictures(data_dir):
        x, step = features(picture)
        rules = {"knn": DilatedKNN(9), "svga": AxialStatic(step), "dagc": AxialDynamic(step)}
        rows.append([homophily_share(rules[name](x), picture) for name in RULES])
    columns = together(np.array(rows))
    if not len(columns):
        return ClaimResult("not measurable", None, "no picture has a labelled edge in all three graphs")
    knn, svga, dagc = (spread(column) for column in columns.T)
    gain, lead = spread(columns[:, 2] - columns[:, 1]), spread(columns[:, 2] - columns[:, 0])
    return ClaimResult(
        f"DAGC {dagc}, SVGA {svga}, KNN {knn}",
        _judged(gain.mean >= 0.1 and lead.mean >= 0, *models),
        f"homophily h on {what}, mean ± sd over {_pictures(data_dir, len(columns))} (a picture whose DAGC graph is empty has none); "
        f"DAGC − SVGA {gain}, DAGC − KNN {lead}{_remark(*models)}",
    )


def cheaper_than_knn(data_dir: Path | None) -> ClaimResult:
    """Time of the whole operator: construction and max-relative features."""
    seconds = operator_seconds()
    ratio = seconds["knn"][0] / seconds["dagc"][0]
    return ClaimResult(
        f"{ratio:.1f}× faster", ratio >= 4, f"CPU time on one thread, 56 × 56 patches, 48 channels, best of several; {_milliseconds()}"
    )


def dynamic_beats_static(data_dir: Path | None) -> ClaimResult:
    """Test accuracy of the swappable network with DAGC and with SVGA."""
    names = ("swappable_dagc", "swappable_svga")
    dagc, svga = (accuracy(runtime.model(name)) for name in names)
    return ClaimResult(
        f"DAGC {_percent(dagc)}, SVGA {_percent(svga)}",
        None if math.isnan(dagc + svga) else dagc >= svga - 0.01,
        f"CIFAR-10, 10 000 test pictures, one seed each, same parameters, data and budget (model cards); one standard error of such an "
        f"accuracy is about 0.3 points{_remark(*names)}",
    )


GREEDYVIG = (
    Claim(
        "semantics",
        "On trained features a greedy axial graph joins patches of the same object: h(DAGC) is at least 0.1 above h(SVGA) and not below h(KNN).",
        "",
        semantics_trained,
    ),
    Claim("semantics-raw", "The same on raw colours and gradients, without any network.", "", semantics_raw),
    Claim(
        "cost",
        "DAGC with max-relative features is at least 4× faster than all-pairs KNN with them at 56 × 56 patches.",
        "69 % fewer GMACs than Pyramid ViG-B (whole network)",
        cheaper_than_knn,
    ),
    Claim(
        "accuracy",
        "A graph that follows the picture is worth it: accuracy with DAGC within 1 point of, or above, SVGA at equal cost.",
        "GreedyViG-S 81.1 % against MobileViG-M 80.7 % top-1 on ImageNet",
        dynamic_beats_static,
    ),
)

# ------------------------------------------------------------------------------------------------------- side by side


def five_accuracies(data_dir: Path | None) -> ClaimResult:
    """Test accuracies of the five equally large networks; every graph rule against the random graph."""
    right = {name: accuracy(runtime.model(f"swappable_{name}")) for name in NET}
    known = not any(map(math.isnan, right.values()))
    return ClaimResult(
        ", ".join(f"{NET[name]} {_percent(share)}" for name, share in right.items()),
        min(right[name] for name in RULES) > right["random"] if known else None,
        f"CIFAR-10, 10 000 test pictures, one seed each (model cards): differences below about 0.6 points may be chance"
        f"{'' if known else '; ' + UNTRAINED}",
    )


@lru_cache(maxsize=2)
def _triangles(data_dir: Path | None) -> np.ndarray:
    """Adjusted homophily, connectivity, redundancy of the first graph of each network, [pictures, rules, 3]."""
    found = []
    for picture in masked_pictures(data_dir):
        row = []
        for name in RULES:
            loaded = runtime.model(f"swappable_{name}")
            graph = graphs(loaded.model, loaded.prepare, picture.pixels)[0]
            row.append(triangle(graph, picture.labels(graph.grid)))
        found.append(row)
    return np.array(found, dtype=float)


def trade_off(data_dir: Path | None) -> ClaimResult:
    """The triangle homophily – connectivity – redundancy, averaged over pictures."""
    table = _triangles(data_dir)
    cells = {name: [spread(table[:, i, j]) for j in range(3)] for i, name in enumerate(RULES)}
    mean = {name: [cell.mean for cell in row] for name, row in cells.items()}
    holds = (
        min(mean["knn"][0], mean["dagc"][0]) > mean["svga"][0]
        and mean["dagc"][1] < min(mean["knn"][1], mean["svga"][1])
        and mean["svga"][2] < min(mean["knn"][2], mean["dagc"][2])
    )
    models = [f"swappable_{name}" for name in RULES]
    return ClaimResult(
        "; ".join(f"{NET[name]} {row[0].mean:.2f} / {row[1].mean:.2f} / {row[2].mean:.2f}" for name, row in cells.items()),
        _judged(bool(holds), *models),
        "adjusted homophily / share of patches in the largest piece / redundancy of the neighbours; first graph block, each network's own "
        f"features, {_pictures(data_dir)}; mean ± sd: "
        + "; ".join(f"{NET[name]} {' / '.join(map(str, row))}" for name, row in cells.items())
        + _remark(*models),
    )


CONSTRUCTORS = (
    Claim("five-accuracies", "At equal cost each of the three rules beats a random graph of the same backbone.", "", five_accuracies),
    Claim(
        "trade-off",
        "Each rule pays in another coin: fixed axes have the lowest homophily, greedy axes the lowest connectivity, and fixed axes the "
        "least redundant neighbours.",
        "",
        trade_off,
    ),
)
