"""The headline results of this wing and how our counterpart of each is measured.

Figures of training (accuracy of networks trained alone, further seeds) are read from the model cards, which the training command
wrote; everything else is measured here.
"""

from __future__ import annotations

import statistics
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from explorer import runtime
from explorer.diagnostics.chunk_dependency import shares
from explorer.diagnostics.generated_weights import copies
from explorer.exhibit import Claim, ClaimResult
from explorer.measuring import spread
from models.hypernetworks import initialiser, permuted, turning
from models.hypernetworks.continual import learn
from models.hypernetworks.digits import digits
from models.hypernetworks.ghn3 import GraphHyperNetwork
from models.structures import TaskAccuracy

UNTRAINED = ClaimResult("not trained", None, "the weights are not trained yet, so this says nothing")

# ------------------------------------------------------------------------------------------------------------- NeuMeta


def _neumeta_runs() -> list[dict[str, Any]]:
    """What was measured on every trained seed of the digits family."""
    card = runtime.model("neumeta_digits").card
    return list(card.get("spread") or ([card["measured"]] if "measured" in card else []))


def _by_width(found: dict[str, Any], key: str = "accuracy") -> dict[int, float]:
    return dict(zip(found["widths"], found[key], strict=True))


def all_widths(_: Path | None) -> ClaimResult:
    """Generated accuracy at every trained width from 5/12 of the full one up, against the generated full width."""
    runs = _neumeta_runs()
    if not runs:
        return UNTRAINED
    worst, beyond = [], []
    for found in runs:
        accuracy, full = _by_width(found), found["band"][1]
        trained = [w for w in accuracy if 5 * full / 12 <= w <= full and w not in found["held_out"]]
        worst.append(100 * min(accuracy[w] - accuracy[full] for w in trained))
        beyond.append(100 * (max(accuracy[w] for w in accuracy if w > full) - accuracy[full]))
    return ClaimResult(
        f"at worst {spread(worst)} points from the full width",
        max(-w for w in worst) <= 5,
        f"generated accuracy on the 497 test digits, widths 5 to 12 that were trained, weights averaged over {runs[0]['samples']} readings; mean ± sd of "
        f"the worst width over {len(runs)} seeds; the best width beyond the band lies {spread(beyond)} points from the full width",
    )


def beats_pruning(_: Path | None) -> ClaimResult:
    """Generated at half the width against the full network with its weakest channels cut off, nothing trained after."""
    runs = _neumeta_runs()
    if not runs:
        return UNTRAINED
    half = [found["band"][1] // 2 for found in runs]
    gains = [100 * (_by_width(found)[h] - found["pruned"][str(h)]) for found, h in zip(runs, half, strict=True)]
    return ClaimResult(
        f"{spread(gains)} points ahead",
        min(gains) >= 40,
        f"width {half[0]} of {runs[0]['band'][1]}, L1-pruned without fine-tuning; mean ± sd over {len(runs)} seeds; the claim asks for 40 points or more",
    )


def unseen_widths(_: Path | None) -> ClaimResult:
    """Widths inside the band that training left out, against the trained widths beside them."""
    runs = _neumeta_runs()
    if not runs:
        return UNTRAINED
    gaps = []
    for found in runs:
        accuracy = _by_width(found)
        gaps += [100 * ((accuracy[w - 1] + accuracy[w + 1]) / 2 - accuracy[w]) for w in found["held_out"]]
    return ClaimResult(
        f"{spread(gaps)} points behind their neighbours",
        max(gaps) <= 25,
        f"widths {', '.join(map(str, runs[0]['held_out']))} were never generated in training; each against the mean of the two trained widths beside it, "
        f"{len(runs)} seeds; the released recipe trains every width, so it does not show this",
    )


def smoothing(_: Path | None) -> ClaimResult:
    """What permutation and noise are each worth: the same training without one of them."""
    card = runtime.model("neumeta_digits").card
    controls = card.get("controls", {})
    if "measured" not in card or not controls:
        return UNTRAINED

    def mean(found: dict[str, Any]) -> float:
        accuracy = _by_width(found)
        return (
            100
            * sum(accuracy[w] for w in accuracy if found["band"][0] <= w <= found["band"][1])
            / sum(found["band"][0] <= w <= found["band"][1] for w in accuracy)
        )

    own = mean(card["measured"])
    names = {"neumeta_digits_unpermuted": "without permutation", "neumeta_digits_quiet": "without noise"}
    parts = {words: own - mean(controls[name]) for name, words in names.items() if name in controls}
    return ClaimResult(
        "; ".join(f"{words} {-gain:+.1f} points" for words, gain in parts.items()),
        all(gain > 0 for gain in parts.values()),
        f"mean accuracy over all widths of the band against the full recipe ({own:.1f} %), one seed each, same steps",
    )


NEUMETA = (
    Claim(
        "all_widths",
        "One representation serves every width of its band nearly as well as the full one",
        "full-size performance kept at a 75 % compression rate (abstract)",
        all_widths,
    ),
    Claim(
        "beats_pruning",
        "At half the width it beats cutting channels from the trained network by far",
        "ahead of pruning (no figure at hand)",
        beats_pruning,
    ),
    Claim(
        "smoothing",
        "Both ways to smoothness are needed: the order of the channels and the noise on the coordinates",
        "both help (no figure at hand)",
        smoothing,
    ),
    Claim("unseen_widths", "Widths that training left out work too", "", unseen_widths),
)


# ----------------------------------------------------------------------------------------------------------------- MIP

MIP_SEEDS = (0, 1, 2)
RACE_STEPS = 200


def proportional(_: Path | None) -> ClaimResult:
    """std θ(γ) ÷ std θ(1) against γ before any training, default against MIP."""
    default: list[float] = []
    mip: list[float] = []
    for seed in MIP_SEEDS:
        gammas = [i / 20 for i in range(21)]
        for name, found in (("default", default), ("mip", mip)):
            with torch.no_grad():
                size = turning.hypernetwork(name, seed).generate(torch.tensor(gammas)[:, None]).std(1, correction=0)
            found.append(float((size / size[-1] - (torch.tensor(gammas) if name == "default" else 1)).abs().max()))
    return ClaimResult(
        f"default: γ within {max(default):.0e}; MIP: constant within {100 * max(mip):.1f} %",
        max(default) < 1e-5 and max(mip) < 0.05,
        f"largest deviation over 21 values of γ and {len(MIP_SEEDS)} seeds; for MIP most of the weights are θ₀, which does not depend on γ",
    )


def faster(_: Path | None) -> ClaimResult:
    """Mean loss over the first 200 steps, MIP against default, with Adam and with SGD."""
    gains: dict[str, list[float]] = {"Adam": [], "SGD": []}
    last: dict[str, list[float]] = {"Adam": [], "SGD": []}
    for optimiser, rate in (("Adam", 1e-3), ("SGD", 1e-2)):
        for seed in MIP_SEEDS:
            nets = {name: turning.hypernetwork(name, seed) for name in ("default", "mip")}
            rows = list(turning.race(nets, digits(True), RACE_STEPS, optimiser, rate, seed=seed))
            mean = {name: sum(row.loss[name] for row in rows) / len(rows) for name in nets}
            right = {
                name: statistics.fmean(turning.accuracy_along(net, (0, 0.25, 0.5, 0.75, 1), digits(False))) for name, net in nets.items()
            }
            gains[optimiser].append(mean["default"] - mean["mip"])
            last[optimiser].append(100 * (right["mip"] - right["default"]))
    return ClaimResult(
        "; ".join(f"{name}: mean loss {spread(gain)} lower" for name, gain in gains.items()),
        min(min(gain) for gain in gains.values()) > 0,
        f"{RACE_STEPS} steps of batches of 64 on turned digits, same pictures and γ for both, mean ± sd over "
        f"{len(MIP_SEEDS)} seeds; accuracy after them: "
        + "; ".join(f"{name} {spread(points)} points higher" for name, points in last.items()),
    )


MIP = (
    Claim(
        "proportional",
        "At the start a usual hypernetwork makes weights proportional to its input; MIP keeps their size",
        "θ(γ) = γ · θ(1) (derived)",
        proportional,
    ),
    Claim("faster", "MIP trains faster and more steadily, whatever the optimiser", "faster in every ablation (abstract)", faster),
)


# ----------------------------------------------------------------------------------------------------- continual learning

LESSON_SEEDS = (0, 1, 2)
LESSON_STEPS = 200  # as the page suggests
KEPT = 0.3  # β of the page


@lru_cache(maxsize=16)  # two claims look at the same lessons
def lesson(kind: str, seed: int, beta: float, steps: int) -> TaskAccuracy:
    """Accuracies while the five tasks are learned one after another."""
    net = permuted.hypernetwork(kind, seed)
    matrix = torch.full((permuted.TASKS, permuted.TASKS), float("nan"))
    for task in range(permuted.TASKS):
        for _ in learn(net, task, permuted.loss, permuted.batches(task, steps, seed=seed), beta, permuted.RATE):
            pass
        matrix[task, : task + 1] = torch.tensor(permuted.accuracies(net, task + 1))
    return TaskAccuracy(matrix)


def keeps(_: Path | None) -> ClaimResult:
    """Forgetting with and without the regulariser, chunked baseline."""
    runs = {beta: [lesson("chunked", seed, beta, LESSON_STEPS) for seed in LESSON_SEEDS] for beta in (0.0, KEPT)}
    kept, free = ([100 * run.forgetting for run in runs[beta]] for beta in (KEPT, 0.0))
    price = [100 * (b.immediate - a.immediate) for a, b in zip(runs[KEPT], runs[0.0], strict=True)]
    return ClaimResult(
        f"forgetting {spread(kept)} points with, {spread(free)} without",
        spread(kept).mean <= 5 and min(b - a for a, b in zip(kept, free, strict=True)) >= 20,
        f"5 tasks of shuffled digits, {LESSON_STEPS} steps each, β = {KEPT} against 0, chunked baseline; mean ± sd over {len(LESSON_SEEDS)} seeds, the worst "
        f"forgets {max(kept):.1f}; asked for are 5 points on average and at least 20 fewer for every seed. The price: a new task is learned {spread(price)} "
        "points worse",
    )


def recurrence(_: Path | None) -> ClaimResult:
    """Final accuracy of the RNN hypernetwork against the chunked baseline at matched parameters."""
    runs = {kind: [lesson(kind, seed, KEPT, LESSON_STEPS) for seed in LESSON_SEEDS] for kind in permuted.KINDS}
    found = {kind: [100 * run.final for run in rows] for kind, rows in runs.items()}
    lost = {kind: spread(100 * run.forgetting for run in rows) for kind, rows in runs.items()}
    gains = [b - a for a, b in zip(found["chunked"], found["recurrent"], strict=True)]
    sizes = {kind: sum(p.numel() for p in permuted.hypernetwork(kind).parameters()) for kind in permuted.KINDS}
    return ClaimResult(
        f"{spread(gains)} points ahead",
        min(gains) > 0,
        f"mean accuracy on all 5 tasks at the end, β = {KEPT}, {LESSON_STEPS} steps per task, {len(LESSON_SEEDS)} seeds: RNN {spread(found['recurrent'])}, chunked "
        f"{spread(found['chunked'])} %; {sizes['recurrent']} against {sizes['chunked']} parameters; forgotten {lost['recurrent']} and "
        f"{lost['chunked']} points. Rate and length of the lessons decide who is ahead. The RNN is one after the paper, whose code is not published",
    )


def triangular(_: Path | None) -> ClaimResult:
    """What each part of the weights depends on, by exact Jacobian."""
    below, above = {}, {}
    for kind in permuted.KINDS:
        pairs = [shares(permuted.described(permuted.hypernetwork(kind, seed))) for seed in LESSON_SEEDS]
        below[kind], above[kind] = [a for a, _ in pairs], max(b for _, b in pairs)
    return ClaimResult(
        f"RNN: {spread(below['recurrent'])} of the dependency on earlier chunks; chunked: {max(below['chunked']):.0e}",
        above["recurrent"] == 0 and max(below["chunked"]) == 0 and min(below["recurrent"]) > 0,
        f"share of Σ‖∂W_l/∂c_k‖² with k < l, untrained, {len(LESSON_SEEDS)} seeds; on later chunks (k > l): RNN {above['recurrent']:.0e}, chunked {above['chunked']:.0e}",
    )


CONTINUAL = (
    Claim("keeps", "Keeping the weights of old tasks keeps what was learned", "", keeps),
    Claim(
        "triangular",
        "An RNN makes later layers depend on earlier ones; chunks do not know each other",
        "dependencies across layers are preserved (abstract)",
        triangular,
    ),
    Claim(
        "recurrence",
        "At the same number of parameters the RNN is ahead of independent chunks",
        "outperformed the baselines in all settings (abstract)",
        recurrence,
    ),
)


# ------------------------------------------------------------------------------------------------- graph hypernetworks

GHN_NAMES = {"ghn3_micro": "GHN-3", "logah_micro": "LoGAH"}


def _ghn_runs(name: str) -> list[dict[str, Any]]:
    card = runtime.model(name).card
    return list(card.get("spread") or ([card["measured"]] if "measured" in card else []))


def untouched(_: Path | None) -> ClaimResult:
    """Accuracy of networks never seen, with predicted weights and no training, against chance."""
    runs = {name: _ghn_runs(name) for name in GHN_NAMES}
    if not all(runs.values()):
        return UNTRAINED
    mean = {name: spread(100 * found["unseen"]["predicted"]["mean"] for found in rows) for name, rows in runs.items()}
    chance = spread(100 * found["unseen"]["random"]["mean"] for found in runs["logah_micro"])
    return ClaimResult(
        "; ".join(f"{GHN_NAMES[name]} {value} %" for name, value in mean.items()),
        min(value.mean for value in mean.values()) >= 3 * 10,
        f"{runs['logah_micro'][0]['unseen']['networks']} networks never trained on, whole CIFAR-10 test split at 16 × 16; mean ± sd over {len(runs['logah_micro'])} "
        f"seeds; random weights {chance} %; the claim asks for three times chance",
    )


def copied(_: Path | None) -> ClaimResult:
    """Output channels of a 64-channel convolution that repeat an earlier one, number by number."""
    graph = initialiser.of("conv3x3-64 relu | conv3x3-64 relu | pool | gap | fc10")
    found = {}
    for name in GHN_NAMES:
        model = runtime.model(name).model
        assert isinstance(model, GraphHyperNetwork)
        weights = initialiser.predicted(model, graph)[0].weights
        found[name] = max(copies(tensor) for tensor in weights.values() if tensor.ndim == 4 and tensor.shape[1] == 64)
    return ClaimResult(
        "; ".join(f"{GHN_NAMES[name]} {100 * share:.0f} %" for name, share in found.items()),
        found["logah_micro"] == 0 and abs(found["ghn3_micro"] - 0.75) < 1e-9,
        "64 × 64 channels from a tile of 16 × 16: 1 − 16/64 = 75 % must be copies; a fact of the two forms, trained or not",
    )


def better_start(_: Path | None) -> ClaimResult:
    """Accuracy after 100 steps from predicted weights against random ones, same pictures in the same order."""
    runs = {name: _ghn_runs(name) for name in GHN_NAMES}
    if not all(runs.values()):
        return UNTRAINED
    rate = next(iter(runs["logah_micro"][0]["race"]))
    gains = {name: [100 * found["race"][rate]["gain"]["mean"] for found in rows] for name, rows in runs.items()}
    errors = {name: 100 * rows[0]["race"][rate]["gain"]["standard_error"] for name, rows in runs.items()}
    return ClaimResult(
        "; ".join(f"{GHN_NAMES[name]} {spread(gain)} points" for name, gain in gains.items()),
        all(statistics.fmean(gain) > 0 for gain in gains.values()),
        f"100 steps of SGD at {rate} on CIFAR-10, 12 networks never trained on; mean ± sd over {len(gains['logah_micro'])} seeds; standard error over networks "
        + ", ".join(f"{GHN_NAMES[name]} {error:.1f}" for name, error in errors.items()),
    )


GHN = (
    Claim(
        "untouched",
        "Networks that were never seen work with predicted weights, untouched",
        "ResNet-50 at 20.0 % of ImageNet without training (GHN-3 XL, released results)",
        untouched,
    ),
    Claim("copied", "Tiles are copied, low-rank products are not", "", copied),
    Claim(
        "better_start",
        "Training from predicted weights starts ahead",
        "better initialisation than random and than GHN-3 (abstract of LoGAH)",
        better_start,
    ),
)
