"""Changes of predicted connections and of early exits, sweeps of a reader, and Grad-CAM on tokens: against counting by hand."""

from __future__ import annotations

import math

import pytest
import torch

from models.attribution import grad_cam_of_tokens
from models.structures import AttentionMaps, Connectivity, ExitStage, NonFiniteError, SparseAttention
from models.tokens import connectivity as co
from models.tokens.baselines import BASELINES
from models.tokens.exits import leave
from models.tokens.hiprune import HiPrune
from models.tokens.micro import token_encoder
from models.tokens.sweeps import RANDOM, answers_at, budgets_of, removals, rules_for

GRID = (3, 4)
TOKENS = 13


def connections(heads: int = 2, seed: int = 0) -> tuple[Connectivity, SparseAttention]:
    generator = torch.Generator().manual_seed(seed)
    coefficients = torch.rand(1, heads, 12, 5, generator=generator)
    basis = torch.rand(5, TOKENS, generator=generator)
    estimate = coefficients @ basis
    mask = torch.cat([torch.ones(1, heads, 1, TOKENS, dtype=torch.bool), co.largest(estimate, 4)], 2)
    dense = torch.rand(1, heads, TOKENS, TOKENS, generator=generator).softmax(-1)
    found = Connectivity(coefficients, basis, estimate, mask, GRID, {"keep_rate": 4 / TOKENS, "coefficients": 5})
    return found, co.attend(SparseAttention(dense, dense), mask)


def test_the_largest_entries_ties_by_lower_index() -> None:
    values = torch.tensor([[1.0, 3.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0]])
    assert co.largest(values, 2).tolist() == [[False, True, True, False], [True, True, False, False]]


@pytest.mark.parametrize("rate", [0.01, 0.25, 0.5, 1.0])
def test_a_keep_rate_keeps_that_many_keys_and_the_class_token_sees_all(rate: float) -> None:
    found = co.keep(connections()[0], rate)
    assert found.mask[:, :, 1:].sum(-1).unique().tolist() == [math.ceil(rate * TOKENS)]
    assert found.mask[:, :, 0].all()
    assert found.settings["keep_rate"] == rate
    kept, left = found.estimate.masked_fill(~found.mask[:, :, 1:], torch.inf), found.estimate.masked_fill(found.mask[:, :, 1:], -torch.inf)
    assert (kept.amin(-1) >= left.amax(-1)).all()


def test_a_keep_rate_that_is_none_is_refused() -> None:
    for rate in (0, -0.1, 1.01):
        with pytest.raises(ValueError, match="keep rate"):
            co.keep(connections()[0], rate)


def test_fewer_prototypes_change_the_estimate_and_nothing_else() -> None:
    before, _ = connections()
    after = co.simplified(before, coefficients=2, threshold=0.3)
    assert ((after.coefficients != 0).sum(-1) == 2).all()
    assert after.basis[after.basis != 0].min() > 0.3
    torch.testing.assert_close(after.estimate, after.coefficients @ after.basis)
    assert torch.equal(after.mask, before.mask)
    assert torch.equal(co.simplified(before).estimate, before.coefficients @ before.basis)
    for wrong in ({"coefficients": 0}, {"threshold": -1.0}):
        with pytest.raises(ValueError, match=r"at least"):
            co.simplified(before, **wrong)  # type: ignore[arg-type]


def test_the_nearest_keys_are_the_patch_itself_and_what_lies_around_it() -> None:
    found = co.nearest_keys(connections()[0], 5)
    for patch in range(12):
        row, column = divmod(patch, 4)
        kept = (found.mask[0, 0, 1 + patch, 1:]).nonzero()[:, 0].tolist()
        assert patch in kept
        far = sorted(math.hypot(row - p // 4, column - p % 4) for p in range(12))
        assert max(math.hypot(row - p // 4, column - p % 4) for p in kept) <= far[4]
    assert not found.mask[:, :, 1:, 0].any()


def test_random_keys_are_the_same_for_the_same_seed() -> None:
    one, two, other = (co.random_keys(connections()[0], 6, seed).mask for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert one[:, :, 1:].sum(-1).unique().tolist() == [6]


def test_attention_inside_a_mask_is_the_softmax_over_the_allowed_keys() -> None:
    found, _ = connections()
    logits = torch.randn(1, 2, TOKENS, TOKENS, generator=torch.Generator().manual_seed(4))
    expected = logits.masked_fill(~found.mask, -torch.inf).softmax(-1)
    seen = co.attend(SparseAttention(logits.softmax(-1), logits.softmax(-1)), found.mask)
    torch.testing.assert_close(seen.attention, expected)
    empty = found.mask.clone()
    empty[:, :, 3] = False
    assert (co.attend(seen, empty).attention[:, :, 3] == 0).all()


def test_the_truly_largest_keys_hold_the_most_attention() -> None:
    found, seen = connections()
    best = co.truly_largest(found, seen, 4)
    assert ((seen.dense * best.mask)[:, :, 1:].sum(-1) >= (seen.dense * found.mask)[:, :, 1:].sum(-1)).all()
    assert best.mask[:, :, 1:].sum(-1).unique().tolist() == [4]


def test_edges_and_patches_are_taken_out_and_nothing_else() -> None:
    found, _ = connections()
    full = co.keep(found, 1.0)
    cut = co.without_edges(full, [(2, 5), (2, 5), (0, 99), (1, -1)])
    gone = (full.mask & ~cut.mask).nonzero()[:, 2:].unique(dim=0)
    assert gone.tolist() == [[3, 6]]
    out = co.without_patches(full, [4])
    assert not out.mask[:, :, 5].any()
    assert not out.mask[:, :, 1:, 5].any()
    assert out.mask[:, :, 0].all(), "the class token still sees it"
    for change in (lambda: co.without_edges(full, [(12, 0)]), lambda: co.without_patches(full, [-1])):
        with pytest.raises(ValueError, match="no patch"):
            change()


# ------------------------------------------------------------------------------------------------------------- exits


def stage(confidence: list[float], label: list[int], before: list[bool] | None = None) -> ExitStage:
    n = len(confidence)
    prediction = torch.zeros(1, 3, n)
    for p, (value, c) in enumerate(zip(confidence, label, strict=True)):
        prediction[0, c, p] = value
    left = torch.tensor([before or [False] * n])
    return ExitStage(
        left, left, prediction, torch.zeros(1, 3, 2), prediction, torch.tensor([confidence]), torch.tensor([label]), left, 0.9, (1, n)
    )


def test_sure_patches_leave_but_the_best_of_each_class() -> None:
    found = stage([0.95, 0.92, 0.99, 0.5, 0.97], [0, 0, 0, 1, 1])
    assert leave(found, 0.9, 0).exited[0].tolist() == [True, True, True, False, True]
    one = leave(found, 0.9, 1)
    assert one.exited[0].tolist() == [True, True, False, False, False]
    assert one.context[0].tolist() == [False, False, True, False, True]
    assert not leave(found, 1.0, 0).exited.any()
    assert leave(found, 0.4, 0).exited.all()


def test_patches_are_sent_away_and_held_back() -> None:
    found = stage([0.95, 0.1, 0.99], [0, 1, 0], [False, False, True])
    moved = leave(found, 0.9, 0, away=[1], stay=[0, 2])
    assert moved.exited[0].tolist() == [False, True, True], "what had left stays away"
    assert moved.threshold == 0.9
    for wrong in ({"threshold": 0.0}, {"threshold": 1.1}, {"context": -1}, {"away": [3]}, {"stay": [-1]}):
        with pytest.raises(ValueError, match=r"threshold|context|confident|patch"):
            leave(found, **{"threshold": 0.9, "context": 1, **wrong})  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------------ sweeps


@pytest.fixture(scope="module")
def read() -> tuple:
    torch.manual_seed(0)
    model = token_encoder(5, image_size=24, dim=16, depth=3, heads=2).eval()
    with torch.inference_mode():
        maps = model.encoder({"pixel_values": torch.randn(1, 3, 24, 24)}, opened=[3])
    return model, maps


def test_every_rule_is_read_at_every_budget(read: tuple) -> None:
    model, maps = read
    budgets = budgets_of(36)
    assert budgets == sorted(set(budgets))
    assert budgets[-1] == 36
    rules = rules_for(maps, lambda found, budget: HiPrune(tokens=budget, alpha=0.5)(found))
    assert set(rules) == {"HiPrune", *BASELINES} - {RANDOM}
    answers = answers_at(model, maps, budgets, rules, seeds=3)
    assert answers[RANDOM].shape == (3, len(budgets), 5)
    with torch.inference_mode():
        for name, rule in rules.items():
            assert answers[name].shape == (len(budgets), 5)
            for i, budget in enumerate(budgets):
                torch.testing.assert_close(answers[name][i], model.read(maps.passed, rule(maps, budget).mask)[0], rtol=1e-4, atol=1e-5)
    everything = [found[-1] if found.ndim == 2 else found[0, -1] for found in answers.values()]
    for one in everything[1:]:
        torch.testing.assert_close(one, everything[0], rtol=1e-4, atol=1e-5)


def test_without_a_class_token_there_is_no_row_of_it(read: tuple) -> None:
    _, maps = read
    closed = AttentionMaps(maps.received, maps.grid, maps.prefix, maps.uniform, maps.suggested)
    assert "class token" not in rules_for(closed, BASELINES["registers only"])


def test_deletion_ends_where_insertion_begins(read: tuple) -> None:
    model, maps = read
    orders = torch.stack([torch.arange(36), torch.arange(36).flip(0)])
    deletion, insertion = removals(model, maps.passed, orders, points=5)
    assert deletion.shape == insertion.shape == (2, 5, 5)
    with torch.inference_mode():
        whole, alone = model.reader(maps.passed)[0], model.reader(maps.passed[:, :0])[0]
        half = model.reader(maps.passed[:, 18:])[0]
    for found, place in (
        (deletion[0, 0], whole),
        (insertion[1, -1], whole),
        (deletion[1, -1], alone),
        (insertion[0, 0], alone),
        (deletion[0, 2], half),
    ):
        torch.testing.assert_close(found, place, rtol=1e-4, atol=1e-5)


# --------------------------------------------------------------------------------------------------------- attention


def test_one_layer_of_the_maps_is_that_layer(read: tuple) -> None:
    _, maps = read
    one = maps.at(3)
    assert torch.equal(one.score, maps.score(3))
    assert torch.equal(one.heads[:, 1], maps.score(3, 1))
    torch.testing.assert_close(one.fused, maps.opened[3].mean(1))
    assert maps.at(1).fused is None
    with pytest.raises(ValueError, match="layers 1 to 3"):
        maps.at(4)


class _Linear(torch.nn.Module):
    """Logits that are linear in the tokens, so that Grad-CAM can be told by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = torch.nn.Flatten(2)
        self.weight = torch.tensor([[1.0, -2.0, 0.5], [0.0, 1.0, 0.0]])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return (self.swapped(self.tokens(image)) @ self.weight.T).sum(1)

    def swapped(self, x: torch.Tensor) -> torch.Tensor:
        return x.transpose(1, 2)


def test_grad_cam_of_tokens_is_the_formula() -> None:
    model = _Linear()
    model.out = torch.nn.Identity()  # type: ignore[assignment]
    model.swapped = lambda x: model.out(x.transpose(1, 2))  # type: ignore[method-assign, operator]
    image = torch.randn(1, 3, 2, 3, generator=torch.Generator().manual_seed(1))
    found = grad_cam_of_tokens(model, image, 0, model.out, (2, 3))  # type: ignore[arg-type]
    expected = (image[0].flatten(1).T @ model.weight[0]).relu().view(2, 3)
    torch.testing.assert_close(found.map, expected)
    with pytest.raises(ValueError, match="expected 0"):
        grad_cam_of_tokens(model, image, 0, model.out, (3, 3))  # type: ignore[arg-type]


def test_attention_that_is_no_number_is_named() -> None:
    from explorer.exhibits.tokens.look import look_at

    torch.manual_seed(0)
    model = token_encoder(5, image_size=24, dim=16, depth=3, heads=2).eval()
    with torch.no_grad():
        model.encoder.model.blocks[1].attn.qkv.weight.fill_(float("nan"))
    with pytest.raises(NonFiniteError, match="layer 2"):
        look_at(model.encoder, {"pixel_values": torch.randn(1, 3, 24, 24)})
