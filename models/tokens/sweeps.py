"""What a reader answers when it is given more and more patches, chosen by several rules; and when patches are taken away one by one.

All choices of one size are read in one batch, so that a whole sweep takes some tens of milliseconds on a small reader.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from models.structures import AttentionMaps, TokenSelection
from models.tokens.baselines import BASELINES, Rule, class_row, random_patches
from models.tokens.micro import PrunedReader

SHARES = (0.02, 0.04, 1 / 16, 1 / 9, 1 / 6, 2 / 9, 1 / 3, 0.5, 2 / 3, 1.0)
RANDOM = "random"


def budgets_of(n: int) -> list[int]:
    """The budgets of a sweep over n patches, rising; the shares of HiPrune's tables (1/9, 2/9, 1/3) are among them."""
    return sorted({max(1, round(n * share)) for share in SHARES})


def rules_for(maps: AttentionMaps, own: Rule) -> dict[str, Rule]:
    """HiPrune as `own` has it, and what it is compared with. The class token's row needs one and the full attention of the deep layer."""
    found = {"HiPrune": own, **{name: rule for name, rule in BASELINES.items() if name != RANDOM}}
    if not maps.prefix or maps.suggested[1] not in maps.opened:
        found = {name: rule for name, rule in found.items() if rule is not class_row}
    return found


@torch.inference_mode()
def answers_at(
    model: PrunedReader, maps: AttentionMaps, budgets: Sequence[int], rules: Mapping[str, Rule], seeds: int = 10
) -> dict[str, Tensor]:
    """Logits of one picture for each rule and budget.

    Args:
        maps: attention of one picture, with its patch features.
        rules: (maps, budget) → selection, by name.
        seeds: how many random choices.

    Returns:
        {name: [budgets, classes]}, and under "random" [seeds, budgets, classes].
    """
    assert maps.passed is not None
    patches = maps.passed[:1].to(next(model.parameters()).device)
    found: dict[str, list[Tensor]] = {name: [] for name in (*rules, RANDOM)}
    for budget in budgets:
        if budget >= patches.shape[1]:  # every rule keeps all
            whole = model.read(patches, torch.ones(patches.shape[:2], dtype=torch.bool, device=patches.device)).float().cpu()
            for name in rules:
                found[name].append(whole[0])
            found[RANDOM].append(whole.expand(seeds, -1))
            continue
        selections: list[TokenSelection] = [rule(maps, budget) for rule in rules.values()]
        selections += [random_patches(maps, budget, seed) for seed in range(seeds)]
        masks = torch.cat([selection.mask[:1] for selection in selections]).to(patches.device)
        logits = model.read(patches.expand(len(masks), -1, -1), masks).float().cpu()
        for i, name in enumerate(rules):
            found[name].append(logits[i])
        found[RANDOM].append(logits[len(rules) :])
    return {name: torch.stack(rows, -2) for name, rows in found.items()}


@torch.inference_mode()
def removals(model: PrunedReader, patches: Tensor, orders: Tensor, points: int = 9) -> tuple[Tensor, Tensor]:
    """Logits while patches are taken away in an order (deletion), and while they come in it (insertion).

    At the end of a deletion, and at the start of an insertion, the reader sees no patch at all: its query answers alone.

    Args:
        patches: of one picture, [1, N, d].
        orders: each a permutation of the N patches, [R, N] int64.
        points: equal shares of the patches, from none to all.

    Returns:
        deletion, insertion [R, points, classes].

    Source: Petsiuk, Das, Saenko, "RISE", BMVC 2018, with patches of the reader in the place of pixels.
    """
    n, device = patches.shape[1], next(model.parameters()).device
    rows, orders = patches.to(device).expand(len(orders), -1, -1), orders.to(device)
    found: tuple[list[Tensor], list[Tensor]] = ([], [])
    for point in range(points):
        cut = round(point * n / (points - 1))
        for logits, part in zip(found, (orders[:, cut:], orders[:, :cut]), strict=True):
            logits.append(model.reader(rows.gather(1, part[..., None].expand(-1, -1, patches.shape[2]))).float().cpu())
    return torch.stack(found[0], 1), torch.stack(found[1], 1)
