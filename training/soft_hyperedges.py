"""Train the soft-hyperedge models that ship, on CIFAR-10 shown at 64 × 64 pixels, and measure their hyperedges.

python -m training.soft_hyperedges --data-dir DIR                      all of them, with the further seeds
python -m training.soft_hyperedges --data-dir DIR softvit_diverse …    some of them

softvit_plain     the host without hyperedges
softvit_dense     the released form of SoftHGNN
softvit_sparse    hyperedges chosen per picture, with a load-balancing loss
softvit_diverse   sharper hyperedges (one head), with a penalty on hyperedges that look alike

Host, data, number of steps and learning rates are the same for all. softvit_dense_s1, softvit_diverse_s2, … repeat a training with
the next seeds: they do not ship, what was measured on them stands in the model card of the first seed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models import zoo
from models.capture import Trace, capture
from models.hypergraphs.softhgnn import diversity_penalty, load_balance
from models.structures import HypergraphMessages, SoftHypergraph
from training.command import arguments, card, pictures
from training.data import Pictures, normalised
from training.loop import Recipe, ship, train

SHIPPED = ("softvit_plain", "softvit_dense", "softvit_sparse", "softvit_diverse")
REPEATED = ("softvit_dense", "softvit_diverse")
SEEDS = (1, 2)
NAMES = (*SHIPPED, *(f"{name}_s{seed}" for seed in SEEDS for name in REPEATED))
LAYER = "soft_hgnn.edge_generator"  # where the hyperedges come from, in all of them


def balance(trace: Trace) -> Tensor:
    """Load-balancing loss of the sparse variant. The temperature is the number of tokens: scores are sums over them."""
    (hypergraph,) = trace.of(SoftHypergraph).values()
    return load_balance(hypergraph, temperature=hypergraph.participation.shape[1])


def diversity(trace: Trace) -> Tensor:
    """Mean squared correlation between two hyperedges of a picture."""
    (hypergraph,) = trace.of(SoftHypergraph).values()
    return diversity_penalty(hypergraph)


EXTRA: dict[str, tuple[float, Callable[[Trace], Tensor]]] = {"softvit_sparse": (0.01, balance), "softvit_diverse": (0.3, diversity)}


def split(name: str) -> tuple[str, int]:
    """ "softvit_dense_s2" → ("softvit_dense", 2): a network of the zoo, and what is added to the seed."""
    if name in SHIPPED:
        return name, 0
    base, _, seed = name.rpartition("_s")
    return base, int(seed)


def main() -> None:
    args = arguments(__doc__, NAMES, epochs=6)
    train_set, test_set = pictures(args)
    for name in args.names:
        base, offset = split(name)
        weight, extra = EXTRA.get(base, (0.0, None))
        recipe = Recipe(
            epochs=args.epochs, seed=args.seed + offset, extra_weight=weight, gentle="" if base == "softvit_plain" else "soft_hgnn"
        )
        torch.manual_seed(recipe.seed)
        model = zoo.build(base)
        result = train(name, model, train_set, test_set, recipe, args.runs, extra=extra)
        found = {"seed": recipe.seed, "test_accuracy": round(result["test_accuracy"], 4), **measured(model, test_set, recipe.side)}
        print(f"{name}: {100 * result['test_accuracy']:.2f} % of the 10 000 test pictures; {found}", flush=True)
        if args.limit:
            continue
        _write(args.runs / f"{name}.measured.json", {"recipe": _comparable(recipe), "found": found})
        if name == base:
            ship(name, model, card("soft_hyperedges", name, recipe, result), args.out)
        _tell(base, args.runs, args.out)


# ------------------------------------------------------------------------------------------------------- what is measured


@torch.no_grad()
def measured(model: nn.Module, test_set: Pictures, side: int, count: int = 2000) -> dict[str, Any]:
    """Means over the first `count` test pictures, in float32; nothing for a network without hyperedges. Only hyperedges that are on count.

    effective_number       how many different ones there are (SoftHypergraph.effective_number)
    pair_correlation       mean Pearson correlation of two hyperedges' weights over the patches; 1: one drawn several times
    contrast               standard deviation of N·w, w the weights over the N patches of a hyperedge; 0: uniform
    peak                   largest N·w
    entropy                of w, as a share of ln N; 1: uniform
    prototype_cosine       mean cosine of two prototypes
    message_contrast       ‖U − mean U‖ / ‖U‖ over the patches; 0: every patch is told the same
    accuracy               share of right answers on these pictures
    accuracy_without       the same with all hyperedges switched off
    changed                share of the pictures that are then called something else
    used                   (sparse) share of the pictures in which each hyperedge that can be chosen is on
    """
    if not dict(model.named_modules()).get(LAYER):
        return {}
    model.eval()
    rows: list[dict[str, Tensor]] = []
    for begin in range(0, min(count, len(test_set.labels)), 250):
        x = normalised(test_set.pixels[begin : min(begin + 250, count)], side)
        y = test_set.labels[begin : begin + len(x)]
        with capture(model) as trace:
            answer = model(x).argmax(1)
        with capture(model, edits={LAYER: lambda found: found.without_hyperedges(range(found.hyperedges))}):
            without = model(x).argmax(1)
        (hypergraph,), (messages,) = trace.of(SoftHypergraph).values(), trace.of(HypergraphMessages).values()
        rows.append(_rows(hypergraph, messages) | {"accuracy": answer == y, "accuracy_without": without == y, "changed": answer != without})
    means = {key: torch.cat([row[key].float() for row in rows]).mean(0) for key in rows[0]}
    return {
        "pictures": sum(len(row["accuracy"]) for row in rows),
        **{key: round(value.item(), 4) if value.ndim == 0 else [round(v, 3) for v in value.tolist()] for key, value in means.items()},
    }


def _rows(hypergraph: SoftHypergraph, messages: HypergraphMessages) -> dict[str, Tensor]:
    """One number per picture, [B] (or [B, M_dyn])."""
    on = hypergraph.active()
    weights = hypergraph.weights()
    n = weights.shape[1]
    centred = weights - 1 / n
    columns = centred / centred.norm(dim=1, keepdim=True).clamp_min(1e-12) * on[:, None]
    assert hypergraph.prototypes is not None
    prototypes = nn.functional.normalize(hypergraph.prototypes, dim=2) * on[..., None]
    update = messages.update[:, hypergraph.special :]
    rows = {
        "effective_number": hypergraph.effective_number(),
        "pair_correlation": _pairs(columns.transpose(1, 2), on),
        "contrast": _over(on, n * weights.std(1, correction=0)),
        "peak": _over(on, n * weights.amax(1)),
        "entropy": _over(on, torch.special.entr(weights).sum(1) / torch.tensor(n).log()),
        "prototype_cosine": _pairs(prototypes, on),
        "message_contrast": (update - update.mean(1, keepdim=True)).norm(dim=(1, 2)) / update.norm(dim=(1, 2)).clamp_min(1e-12),
    }
    if hypergraph.selected is not None:
        rows["used"] = hypergraph.selected[:, hypergraph.rule.settings["fixed"] :]
    return rows


def _over(on: Tensor, values: Tensor) -> Tensor:
    """Mean of [B, M] over the hyperedges that are on, [B]."""
    return (values * on).sum(1) / on.sum(1)


def _pairs(unit: Tensor, on: Tensor) -> Tensor:
    """Mean product of two different rows of [B, M, …] (0 where off) over the pairs that are on, [B]."""
    count = on.sum(1)
    return (unit.sum(1).square().sum(1) - unit.square().sum((1, 2))) / (count * (count - 1)).clamp_min(1)


# ---------------------------------------------------------------------------------------------------------- what is told


def _tell(base: str, runs: Path, out: Path) -> None:
    """Write what was measured into the model card of `base`: its own figures, and those of every seed of the same recipe."""
    path, own = out / f"{base}.json", runs / f"{base}.measured.json"
    if not path.exists() or not own.exists():
        return
    of_card = json.loads(path.read_text(encoding="utf-8"))
    first = json.loads(own.read_text(encoding="utf-8"))
    files = [own, *(runs / f"{base}_s{seed}.measured.json" for seed in SEEDS)]
    told = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]
    found = [one["found"] for one in told if one["recipe"] == first["recipe"]]
    of_card |= {"measured": first["found"], "seeds": [one["seed"] for one in found]}
    if len(found) > 1:
        of_card["spread"] = found
    _write(path, of_card)


def _comparable(recipe: Recipe) -> dict[str, Any]:
    return {key: getattr(recipe, key) for key in recipe.__dataclass_fields__ if key != "seed"}


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
