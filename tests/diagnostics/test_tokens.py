"""Diagnostics of attention and tokens: by hand, against scipy and scikit-learn, by plain loops, and by properties that must hold."""

from __future__ import annotations

import json
import math
import string
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scipy.stats import entropy as scipy_entropy
from scipy.stats import spearmanr
from sklearn.metrics import jaccard_score, roc_auc_score

import explorer.diagnostics as package
from explorer.diagnostics import attention as at
from explorer.diagnostics import early_exit as ee
from explorer.diagnostics import folder_row
from explorer.diagnostics import selection as se
from explorer.diagnostics import sparse_attention as sa
from explorer.diagnostics import tokens as tk
from explorer.diagnostics.labels import KMEANS_NOTE
from explorer.diagnostics.measure import NotMeasurable, catalogue
from models.capture import capture
from models.structures import (
    AttentionMaps,
    Attribution,
    Connectivity,
    ExitStage,
    NonFiniteError,
    SparseAttention,
    TokenDrop,
    TokenSelection,
)
from models.tokens import baselines, dtop, hiprune, sparsifiner

torch.set_num_threads(1)
GRID = (5, 6)
N = 30


# ------------------------------------------------------------------------------------------------------------ helpers


def softmax(*shape, seed=0, sharp=1.5) -> torch.Tensor:
    return (torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * sharp).softmax(-1)


def looked(layers=4, grid=GRID, prefix=1, heads=2, batch=2, opened=True, seed=0, **more) -> AttentionMaps:
    """Maps whose `received` is what their full attention gives."""
    tokens = prefix + grid[0] * grid[1]
    full = {layer: softmax(batch, heads, tokens, tokens, seed=seed + layer) for layer in range(1, layers + 1)}
    received = torch.stack([matrix.mean(2) for matrix in full.values()], 1)
    return AttentionMaps(received, grid, prefix, 1 / tokens, (2, layers), opened=full if opened else {}, **more)


def received(score, grid, prefix=0) -> AttentionMaps:
    """One picture, one head, without full attention: scores [L, T] as they are."""
    rows = torch.as_tensor(np.asarray(score, dtype=np.float32))[None, :, None]
    return AttentionMaps(rows, grid, prefix, 1 / rows.shape[-1], (1, rows.shape[1]))


def selected(mid, deep=None, grid=(4, 5), budget=6, alpha=0.0, **more) -> TokenSelection:
    mid = torch.as_tensor(np.asarray(mid, dtype=np.float32))
    return hiprune.select(mid, mid if deep is None else torch.as_tensor(np.asarray(deep, dtype=np.float32)), grid, budget, alpha, **more)


def keeping(patches, n=20, grid=(4, 5)) -> TokenSelection:
    """Exactly these patches, as registers."""
    score = np.zeros(n)
    score[list(patches)] = np.linspace(2, 1, len(patches))
    return selected(score, grid=grid, budget=len(patches))


def connected(seed=0, image=None, **changes) -> tuple[Connectivity, SparseAttention]:
    """What the second block of a tiny Sparsifiner does with two pictures of 4 × 5 patches."""
    torch.manual_seed(seed)
    rules = sparsifiner.Rules(coefficients=3, **changes)
    model = sparsifiner.Sparsifiner((32, 40), 8, 24, 2, 3, 2, 5, rules=rules, reduce_tokens=3)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    image = torch.randn(2, 3, 32, 40, generator=torch.Generator().manual_seed(seed)) if image is None else image
    with torch.no_grad(), capture(model.eval()) as trace:
        model(image)
    return list(trace.of(Connectivity).values())[1], list(trace.of(SparseAttention).values())[1]


def left_early(threshold=0.6, seed=5) -> list[ExitStage]:
    """Three stages of a tiny DToP over two pictures of 4 × 5 patches."""
    model = dtop.DToP((32, 40), 8, 24, 4, 3, 2, 5, (0, 1, 3), 12, 2, 1, threshold=threshold, context=2)
    torch.manual_seed(seed)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    with torch.no_grad():
        return model.eval().stages_of(torch.randn(2, 3, 32, 40, generator=torch.Generator().manual_seed(0)))


def by_key(measures) -> dict:
    return {m.key: m for m in measures}


def staged(exited, label, confidence=None, grid=None, classes=3) -> list[ExitStage]:
    """Stages [S][N] of one picture as told; predictions put the confidence on the label."""
    stages, before = [], torch.zeros(1, len(exited[0]), dtype=torch.bool)
    for number, (gone, names) in enumerate(zip(exited, label, strict=True)):
        after, y = torch.tensor(gone).bool()[None], torch.tensor(names)[None]
        sure = torch.full(y.shape, 0.9) if confidence is None else torch.tensor(confidence[number])[None]
        prediction = torch.full((1, classes, y.shape[1]), 0.05).scatter(1, y[:, None], sure[:, None])
        logits = torch.zeros(1, classes, 2)
        stages.append(
            ExitStage(before, after, prediction, logits, prediction, sure, y, torch.zeros_like(after), 0.8, grid or (1, y.shape[1]))
        )
        before = after
    return stages


# ------------------------------------------------------------------------------------------------------------ the words


def test_every_measure_has_its_words_and_every_word_its_measure():
    words = catalogue("tokens")
    found = [
        *tk.attention_summary(looked()),
        *tk.selection_summary(keeping([1, 2])),
        *tk.answer_summary(np.eye(3), np.eye(3)),
        *tk.faithfulness_summary([1, 0.5], [0.5, 1], [[1, 1]], [[1, 1]]),
        *tk.cost_summary(2, 1),
        *sa.connection_summary(*connected()),
        *ee.drop_summary([TokenDrop(torch.zeros(1, 4), torch.ones(1, 4).bool(), torch.ones(1, 4).bool(), (2, 2))]),
        *ee.exit_summary(left_early()),
    ]
    assert sorted(m.key for m in found) == sorted(words)
    for key, entry in words.items():
        levels = {"good", "watch", "bad"} if "watch" in entry else {"info"}
        assert set(entry["hints"]) == levels, key
        assert set(entry) - {"watch", "bad"} == {"name", "unit", "formula", "source", "hints"}, key
        for hint in entry["hints"].values():
            assert all(name is None or name.isidentifier() for _, name, _, _ in string.Formatter().parse(hint)), key
            assert hint.endswith((".", ")")), key


def test_no_key_stands_in_two_files():
    folder = Path(package.__file__).parent
    keys = [key for file in folder.glob("*.json") for key in json.loads(file.read_text(encoding="utf-8"))]
    assert len(keys) == len(set(keys))


def test_every_hint_can_be_filled_in(monkeypatch):
    """Whatever level a value falls into, its sentence names nothing that is missing."""
    real = catalogue("tokens")
    objects, labels = np.arange(N) % 4 == 0, (np.arange(20) % 5 > 2).astype(int)
    maps = looked(features=torch.randn(2, N, 3))
    maps = replace(maps, received=maps.received + torch.linspace(0, 0.1, N + 1))  # lower patches receive more
    selection = hiprune.HiPrune(tokens=12, alpha=0.9)(maps)
    stages = left_early()
    for low, high in ((-1e9, -2e9), (1e9, 2e9), (-1e9, 2e9), (2e9, -1e9)):
        bent = {k: {**v, "watch": low, "bad": high} if "watch" in v else v for k, v in real.items()}
        monkeypatch.setattr("explorer.diagnostics.measure.vocabulary", lambda bent=bent: bent)
        found = [
            *tk.attention_summary(maps, objects=objects, dispersion=[1, 1, 3, 4]),
            *tk.selection_summary(
                selection,
                objects=objects,
                features=maps.features[0],
                padding=np.arange(N) < 6,
                attribution=np.arange(N),
                other=baselines.random_patches(maps, 9),
            ),
            *tk.answer_summary(np.eye(3), np.ones((3, 3))),
            *tk.faithfulness_summary([1, 0.5], [0.5, 1], [[1, 1]], [[1, 1]]),
            *tk.cost_summary(2e9, 1.5e9, 1e9),
            *sa.connection_summary(*connected(), labels=labels),
            *ee.drop_summary([TokenDrop(torch.zeros(1, 20), torch.ones(1, 20).bool(), torch.arange(20)[None] < 9, (4, 5))], objects=labels),
            *ee.exit_summary(stages, truth=labels, dense=left_early(1.0)),
        ]
        assert [m.key for m in found if m.value is None] == []
        assert all("{" not in m.hint for m in found)


# ------------------------------------------------------------------------------------------------------------ attention


def test_concentration_by_hand():
    even, one = np.full(10, 0.1), np.array([0, 0.82, *[0.02] * 8, 0.02][:10])
    one /= one.sum()
    found = at.concentration(received([even, one], (2, 5)))
    assert found.effective[0] == pytest.approx(10)
    assert found.effective[1] == pytest.approx(math.exp(scipy_entropy(one)), rel=1e-5)
    assert found.sink == pytest.approx([1, one.max() * 10], rel=1e-5)
    assert found.top == 1
    assert found.top_share == pytest.approx([0.1, one.max()], rel=1e-5)
    assert found.prefix_share.tolist() == [0, 0]
    with_prefix = at.concentration(received([[0.5, *[0.05] * 10]], (2, 5), prefix=1))
    assert with_prefix.prefix_share == pytest.approx([0.5])
    assert with_prefix.prefix_even == pytest.approx(1 / 11)
    assert with_prefix.effective == pytest.approx([10])  # among the patches alone
    with pytest.raises(NotMeasurable, match="in layer 2 the patches receive no attention"):
        at.concentration(received([[0.5, *[0.05] * 10], [1, *[0] * 10]], (2, 5), prefix=1))


def test_qwens_sums_are_measured_like_means():
    maps = looked(prefix=0)
    sums = replace(maps, received=maps.received * N, uniform=1.0)
    one, two = at.concentration(maps), at.concentration(sums)
    for name in ("effective", "sink", "top_share"):
        assert getattr(one, name) == pytest.approx(getattr(two, name), rel=1e-5)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), sharp=st.floats(0, 6))
def test_concentration_stays_in_range(seed, sharp):
    score = softmax(3, 20, seed=seed, sharp=sharp)
    found = at.concentration(received(score, (4, 5)))
    assert (found.effective >= 1 - 1e-9).all()
    assert (found.effective <= 20 + 1e-6).all()
    assert (found.sink >= 1 - 1e-5).all()
    assert (found.top_share >= 1 / 20 - 1e-6).all()


@pytest.mark.parametrize("prefix", [0, 1, 5])
def test_head_profile_is_the_plain_loop(prefix):
    grid, tokens = (3, 4), 12 + prefix
    a = softmax(2, tokens, tokens).double().numpy()
    found = at.head_profile(a, grid, prefix)
    for head in range(2):
        entropies = [scipy_entropy(row) / math.log(tokens) for row in a[head]]
        assert found.entropy[head] == pytest.approx(np.mean(entropies))
        far = []
        for q in range(12):
            row = a[head, prefix + q, prefix:]
            steps = [math.dist(divmod(q, 4), divmod(k, 4)) for k in range(12)]
            far.append(float(row @ steps) / row.sum())
        assert found.distance[head] == pytest.approx(np.mean(far))


@pytest.mark.parametrize(("side", "distance"), [(14, 7.28), (16, 8.33), (24, 12.50)])
def test_even_attention_looks_half_a_side_away(side, distance):
    tokens = side * side
    found = at.head_profile(torch.full((1, tokens, tokens), 1 / tokens), (side, side))
    assert found.uniform_distance == pytest.approx(distance, abs=0.01)
    assert found.distance == pytest.approx([found.uniform_distance], rel=1e-5)
    assert found.entropy == pytest.approx([1], abs=1e-5)


def test_a_head_that_looks_at_itself_looks_nowhere():
    found = at.head_profile(torch.eye(13)[None], (3, 4), 1)
    assert (found.entropy[0], found.distance[0]) == (0, 0)
    with pytest.raises(ValueError, match="does not fit 0"):
        at.head_profile(torch.eye(13)[None], (3, 4))
    blind = torch.zeros(1, 13, 13)
    blind[..., 0] = 1
    with pytest.raises(NotMeasurable, match="gives the patches no attention"):
        at.head_profile(blind, (3, 4), 1)


def test_only_opened_layers_have_profiles():
    maps = looked()
    assert list(at.head_profiles(maps)) == [1, 2, 3, 4]
    one = at.head_profiles(replace(maps, opened={3: maps.opened[3]}), 1)
    assert one[3].entropy == pytest.approx(at.head_profile(maps.opened[3][1], GRID, 1).entropy)
    with pytest.raises(NotMeasurable, match="no layer was kept"):
        at.head_profiles(looked(opened=False))


# ------------------------------------------------------------------------------------------------------------ the object


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), covered=st.integers(1, 19), ties=st.booleans(), unknown=st.integers(0, 3))
def test_centricity_agrees_with_other_libraries(seed, covered, ties, unknown):
    random = np.random.default_rng(seed)
    score = random.integers(0, 4, (2, 20)).astype(float) if ties else random.random((2, 20))
    objects = random.permutation(np.arange(20) < covered).astype(int)
    objects[random.permutation(20)[:unknown]] = -1
    known = objects >= 0
    if not 0 < objects[known].sum() < known.sum():
        with pytest.raises(NotMeasurable, match="the object covers"):
            at.centricity(score, objects)
        return
    found = at.centricity(score, objects, top=0.25)
    for row in range(2):
        assert found.auc[row] == pytest.approx(roc_auc_score(objects[known], score[row, known]))
        top = np.zeros(known.sum(), dtype=bool)
        top[sorted(range(known.sum()), key=lambda i: (-score[row, known][i], i))[: max(1, round(0.25 * known.sum()))]] = True
        assert found.iou[row] == pytest.approx(jaccard_score(objects[known], top))
    assert (found.adjusted <= 1 + 1e-9).all() or np.isnan(found.adjusted).all()
    assert at.centricity(-score, objects).auc == pytest.approx(1 - at.centricity(score, objects).auc)


def test_chance_is_what_random_scores_reach():
    random = np.random.default_rng(0)
    objects = np.arange(40) < 7
    found = at.centricity(random.random((6000, 40)), objects)
    assert found.iou.mean() == pytest.approx(found.iou_chance, abs=4e-3)
    assert found.adjusted.mean() == pytest.approx(0, abs=1e-2)
    assert found.auc.mean() == pytest.approx(0.5, abs=4e-3)
    assert found.precision.mean() == pytest.approx(found.share, abs=5e-3)
    perfect = at.centricity(objects.astype(float), objects)
    assert (perfect.auc, perfect.precision, perfect.adjusted) == (1, 1, 1)
    assert perfect.iou == found.iou_most == 4 / 7


def test_iou_by_chance_counts_every_case():
    mean, low, high = at.iou_by_chance(4, 2, 2)
    assert mean == pytest.approx(1 / 6 * 0 + 4 / 6 * 1 / 3 + 1 / 6 * 1)
    assert (low, high) == (0, 1)
    assert at.iou_by_chance(5, 5, 2) == pytest.approx((0.4, 0.4, 0.4))
    assert math.isnan(at.iou_by_chance(4, 0, 0)[0])
    random = np.random.default_rng(1)
    drawn = []
    for _ in range(4000):
        a, b = (set(random.permutation(60)[:20]) for _ in range(2))
        drawn.append(len(a & b) / len(a | b))
    mean, low, high = at.iou_by_chance(60, 20, 20)
    assert np.mean(drawn) == pytest.approx(mean, abs=4e-3)
    assert np.mean([low <= iou <= high for iou in drawn]) >= 0.95 - 0.01
    assert np.mean([iou < low for iou in drawn]) <= 0.025 + 0.01


def test_object_patches_need_half_of_their_pixels():
    mask = np.zeros((8, 12), int)
    mask[:4, :4] = 7
    mask[:2, 4:8] = 1  # half of a patch
    mask[4:, 8] = 1  # a quarter of a patch
    assert at.object_patches(mask, (2, 3)).tolist() == [1, 1, 0, 0, 0, 0]
    with pytest.raises(ValueError, match="cannot mark"):
        at.object_patches(mask, (9, 3))


# ------------------------------------------------------------------------------------------------------ between the layers


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), values=st.sampled_from([3, 1000]))
def test_rank_correlation_is_spearmans(seed, values):
    score = np.random.default_rng(seed).integers(0, values, (3, 25)).astype(float)
    found = at.rank_correlation(score)
    assert found == pytest.approx(spearmanr(score, axis=1).statistic, abs=1e-9)
    assert at.rank_correlation(np.exp(score / values)) == pytest.approx(found, abs=1e-9)  # ranks alone count
    score[1] = 4
    assert np.isnan(at.rank_correlation(score)[1]).all()


@pytest.mark.parametrize("prefix", [0, 1, 5])
@pytest.mark.parametrize("fusion", at.FUSIONS)
@pytest.mark.parametrize("discard", [0.0, 0.9])
def test_rollout_is_the_product_of_all_layers(prefix, fusion, discard):
    maps = looked(prefix=prefix)
    tokens = N + prefix
    product = np.eye(tokens)
    for layer in range(1, 5):
        fused = getattr(maps.opened[layer][1].double().numpy(), fusion)(0)
        if discard:
            fused = np.where(fused >= np.sort(fused.ravel())[int(discard * tokens**2)], fused, 0)
        step = 0.5 * fused + 0.5 * np.eye(tokens)
        product = (step / step.sum(1, keepdims=True)) @ product
    expected = product[0] if prefix else product.mean(0)
    found = at.rollout(maps, 1, fusion=fusion, discard=discard)
    assert found == pytest.approx(expected, abs=1e-9)
    assert found.sum() == pytest.approx(1)
    assert at.rollout(maps, 1, query=7, fusion=fusion, discard=discard) == pytest.approx(product[7], abs=1e-9)


def test_refusals_of_rollout():
    maps = looked()
    with pytest.raises(NotMeasurable, match=r"that of 2 was not kept \(first: 2\)"):
        at.rollout(replace(maps, opened={1: maps.opened[1], 3: maps.opened[3]}))
    with pytest.raises(ValueError, match="must be one of mean, max, min"):
        at.rollout(maps, fusion="median")
    with pytest.raises(ValueError, match="at least 0 and below 1"):
        at.rollout(maps, discard=1.0)
    with pytest.raises(ValueError, match="there are tokens 0 to 30"):
        at.rollout(maps, query=31)


@pytest.mark.parametrize("seed", range(4))
def test_a_map_that_is_read_with_a_wrong_width_is_noticed(seed):
    noise = np.random.default_rng(seed).standard_normal((6, 1, 8 + 4, 24 + 4))
    smooth = torch.nn.functional.avg_pool2d(torch.from_numpy(noise), 5, 1).numpy().reshape(6, -1)
    right, wrong = at.stripes(smooth, (8, 24)), at.stripes(smooth, (12, 16))
    assert right.excess < 0.05
    assert wrong.excess > 0.2
    assert wrong.width == 24
    assert right.own == wrong.best
    with pytest.raises(ValueError, match="do not fit a grid"):
        at.stripes(smooth, (8, 23))


def test_patches_side_by_side_are_alike_and_no_sign_of_a_wrong_width():
    noise = np.random.default_rng(0).standard_normal((6, 1, 14, 14 + 4))
    wide = torch.nn.functional.avg_pool2d(torch.from_numpy(noise), (1, 5), 1).numpy().reshape(6, -1)  # alike along the rows only
    found = at.stripes(wide, (14, 14))
    assert found.own < 0.3 < np.mean([np.corrcoef(row[:-2], row[2:])[0, 1] for row in wide])
    assert found.excess < 0.2


def test_stripes_by_hand():
    score = np.tile([0.0, 1, 2], 4)  # columns of a grid of 4 × 3
    found = at.stripes(score, (4, 3))
    assert found.own == pytest.approx(1)
    assert found.best == pytest.approx(1)  # a lag of 6 = two rows
    assert found.width == 6
    assert at.stripes(score, (3, 4)).own == pytest.approx(np.corrcoef(score[:-4], score[4:])[0, 1])
    with pytest.raises(NotMeasurable, match="same attention"):
        at.stripes(np.ones(12), (4, 3))
    with pytest.raises(NotMeasurable, match="no other grid of 9 patches"):
        at.stripes(np.arange(9.0), (3, 3))


def test_the_elbow_is_the_layer_before_the_jump():
    assert at.elbow([26, 27, 28, 58, 57]) == (3, pytest.approx(30 / 39.2))
    maps = looked(features=torch.randn(2, N, 3, generator=torch.Generator().manual_seed(0)))
    curve = hiprune.dispersion(maps, 0.2)[1]
    assert at.elbow(curve)[0] == hiprune.layer_before_jump(curve)
    with pytest.raises(NotMeasurable, match="never rises"):
        at.elbow([3, 2, 1])
    with pytest.raises(NotMeasurable, match="at least two"):
        at.elbow([3])


def test_a_layer_that_finds_the_object_is_said_so():
    objects = (np.arange(N) % 6 < 2).astype(int)
    maps = looked()
    better = maps.received.clone()
    better[:, 1, :, 1:][..., torch.from_numpy(objects).bool()] += 1
    found = by_key(tk.attention_summary(replace(maps, received=better), objects=objects, dispersion=torch.tensor([1, 1, 3, 4.0])))
    assert found["object_auc"].value == found["object_precision"].value == 1
    assert found["object_iou_adjusted"].value == 1
    assert found["object_iou_adjusted"].level == "good"
    assert "layer 2" in found["object_iou_adjusted"].hint
    assert found["dispersion_gap"].value == 0
    other = by_key(tk.attention_summary(replace(maps, received=better), objects=objects, object_layer=1))
    assert "Most of all does layer 2 (1.00)" in other["object_iou_adjusted"].hint
    assert "no curve of the dispersion" in other["dispersion_gap"].hint


def test_what_attention_cannot_tell_is_said():
    found = by_key(tk.attention_summary(looked(prefix=0, opened=False), deep_layer=2))
    reasons = {
        "attention_entropy": "the full attention of no layer was kept",
        "prefix_share": "no token before the patches",
        "object_iou": "no mask of an object was given",
        "layers_alike": "are one",
    }
    for key, reason in reasons.items():
        assert found[key].value is None
        assert reason in found[key].hint
    assert found["sink_index"].value is not None
    with pytest.raises(ValueError, match="layer 9 was asked for"):
        tk.attention_summary(looked(), object_layer=9)
    with pytest.raises(ValueError, match="3 values does not belong to 4 layers"):
        tk.attention_summary(looked(), dispersion=[1, 2, 3])
    with pytest.raises(IndexError, match="no picture 2"):
        tk.attention_summary(looked(), picture=2)
    noise = torch.rand(40, 900, generator=torch.Generator().manual_seed(0))
    assert "do not resemble each other" in by_key(tk.attention_summary(received(noise, (30, 30))))["grid_stripes"].hint
    broken = looked()
    broken.received[1, 0, 0, 0] = math.nan
    with pytest.raises(NonFiniteError, match="attention of picture 1"):
        tk.attention_summary(broken, picture=1)
    assert by_key(tk.attention_summary(broken))["sink_index"].value is not None  # the other picture is sound


@pytest.mark.parametrize("picture", [0, 1])
def test_pictures_of_attention_are_measured_one_by_one(picture):
    maps = looked()
    own = {layer: matrix[[picture]] for layer, matrix in maps.opened.items()}
    alone = replace(maps, received=maps.received[[picture]], opened=own)
    assert folder_row(tk.attention_summary(maps, picture=picture)) == folder_row(tk.attention_summary(alone))


# ------------------------------------------------------------------------------------------------------------ selection


def test_coverage_by_hand():
    mid, deep = np.zeros(20), np.zeros(20)
    mid[7], deep[[0, 19]] = 1, [2, 1]
    selection = selected(mid, deep, budget=7, alpha=1.0)  # anchor 7, buffers 6 8 2 12, registers 0 19
    assert selection.counts() == {"pruned": 13, "anchor": 1, "buffer": 4, "register": 2, "prompt": 0, "other": 0}
    objects = np.isin(np.arange(20), [6, 7, 8, 9, 19]).astype(int)
    found = se.coverage(selection, objects)
    assert (found.recall, found.chance) == (4 / 5, 7 / 20)
    assert (found.precision, found.base) == (4 / 7, 5 / 20)
    near = se.coverage(selection, objects, roles=("anchor", "buffer"))
    assert (near.recall, near.precision) == (3 / 5, 3 / 5)
    assert math.isnan(se.coverage(selection, objects, roles=("prompt",)).precision)
    objects[7] = -1  # unknown
    assert se.coverage(selection, objects).recall == 3 / 4
    measures = by_key(tk.selection_summary(selection, objects=objects))
    assert measures["object_recall_near"].value == 2 / 4
    assert measures["object_recall_register"].value == 1 / 4
    assert measures["register_share"].value == 2 / 7
    assert measures["buffers_misplaced"].value == 0
    for objects in (np.zeros(20), np.ones(20)):
        with pytest.raises(NotMeasurable, match="the object covers"):
            se.coverage(selection, objects)


def test_buffers_around_the_end_of_a_row_are_counted():
    score = np.zeros(20)
    score[4] = 1  # last of the first row: 3 and 9 touch it, 5 begins the next row, and the place above is clamped to 0
    found = by_key(tk.selection_summary(selected(score, budget=5, alpha=1.0)))
    assert found["buffers_misplaced"].value == 0.5
    assert found["buffers_misplaced"].level == "bad"


def test_the_released_quirk_leaves_places_empty():
    random = np.random.default_rng(0)
    mid, deep = random.random(20), random.random(20)
    mid[3] = deep[3] = 5
    exact, released = (by_key(tk.selection_summary(selected(mid, deep, budget=10, alpha=0.5, exact=e))) for e in (True, False))
    assert (exact["budget_missed"].value, exact["budget_missed"].level) == (0, "good")
    assert (released["budget_missed"].value, released["budget_missed"].level) == (1, "bad")


def test_spread_is_the_ratio_of_mean_distances():
    features = np.random.default_rng(0).standard_normal((20, 4))
    selection = keeping([0, 3, 11, 12])
    found = se.spread(selection, features)
    place = np.stack(np.divmod(np.arange(20), 5), 1)
    kept = [0, 3, 11, 12]
    assert found.features == pytest.approx(pdist(features[kept]).mean() / pdist(features).mean())
    assert found.place == pytest.approx(pdist(place[kept]).mean() / pdist(place).mean())
    everything = se.spread(keeping(range(20)), features)
    assert (everything.features, everything.place) == pytest.approx((1, 1))
    with pytest.raises(NotMeasurable, match="fewer than two"):
        se.spread(keeping([3]), features)
    with pytest.raises(NotMeasurable, match="the same features"):
        se.spread(selection, np.ones((20, 4)))
    with pytest.raises(ValueError, match="do not belong to 20 patches"):
        se.spread(selection, features[1:])


def test_sinks_that_swallow_the_budget():
    deep = np.full(20, 0.1)
    deep[[2, 9]] = 5
    selection = selected(np.arange(20.0), deep, budget=4)
    assert np.flatnonzero(se.sinks(selection)).tolist() == [2, 9]
    found = by_key(tk.selection_summary(selection))["sinks_kept"]
    assert (found.value, found.level) == (0.5, "bad")
    with pytest.raises(NotMeasurable, match="not positive"):
        se.sinks(selected(np.arange(20.0), -deep, budget=4))


def test_padding_bars_are_found():
    picture = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    assert not se.padded_patches(picture, (5, 5)).any()
    letterbox = picture.copy()
    letterbox[:10], letterbox[30:] = 127, 0  # rows 8 and 9 of the upper bar do not fill a patch
    assert se.padded_patches(letterbox, (5, 5)).reshape(5, 5)[:, 0].tolist() == [True, False, False, False, True]
    both = se.padded_patches(letterbox.transpose(1, 0, 2), (5, 5)).reshape(5, 5)
    assert (both == se.padded_patches(letterbox, (5, 5)).reshape(5, 5).T).all()
    assert not se.padded_patches(np.full((40, 40, 3), 9, np.uint8), (5, 5)).any()
    inside = picture.copy()
    inside[16:24] = 5  # a plain band in the middle is no padding
    assert not se.padded_patches(inside, (5, 5)).any()
    with pytest.raises(ValueError, match="has no 50"):
        se.padded_patches(picture, (50, 5))
    bars = se.padded_patches(letterbox, (4, 5))
    found = by_key(tk.selection_summary(keeping([0, 1, 7, 12]), padding=bars))["padding_kept"]
    assert (found.value, found.level) == (0.5, "bad")
    none = by_key(tk.selection_summary(keeping([0]), padding=np.zeros(20, bool)))["padding_kept"]
    assert "no plain bar" in none.hint


def test_selections_agree_by_what_they_share():
    one, other = keeping([0, 1, 2, 3]), keeping([2, 3, 4, 5, 6, 7])
    found = se.selection_agreement(one, other)
    assert found.iou == 2 / 8
    assert found.chance == pytest.approx(at.iou_by_chance(20, 4, 6)[0])
    assert found.low <= found.chance <= found.high
    assert se.selection_agreement(one, one).iou == 1
    assert se.selection_agreement(other, one) == found
    with pytest.raises(ValueError, match="cannot be compared"):
        se.selection_agreement(one, keeping([1], grid=(5, 4)))


def test_random_selections_agree_as_chance_says():
    maps = looked(batch=1)
    found = [
        se.selection_agreement(baselines.random_patches(maps, 10, 2 * s), baselines.random_patches(maps, 10, 2 * s + 1)) for s in range(300)
    ]
    assert np.mean([f.iou for f in found]) == pytest.approx(found[0].chance, abs=0.015)
    assert np.mean([f.low <= f.iou <= f.high for f in found]) > 0.93


def test_attribution_mass_by_hand():
    selection = keeping([0, 1, 5])
    pixels = torch.zeros(8, 10)  # patches of 2 × 2
    pixels[0, 0], pixels[3, 1], pixels[7, 9] = 2, -1, 3
    found = se.kept_mass(selection, Attribution(pixels, 0, "hand-made"))
    assert (found.share, found.chance, found.most) == (3 / 6, 3 / 20, 1)
    assert se.patch_mass(pixels, (4, 5)).tolist() == [2, 0, 0, 0, 0, 1, *[0] * 13, 3]
    flat = se.patch_mass(pixels, (4, 5))
    assert se.kept_mass(selection, flat) == found
    assert found.correlation == pytest.approx(spearmanr(selection.deep_score[0], flat).statistic)
    with pytest.raises(NotMeasurable, match="0 everywhere"):
        se.kept_mass(selection, np.zeros(20))
    with pytest.raises(ValueError, match="does not fit"):
        se.kept_mass(selection, np.zeros((3, 5)))


def test_the_order_of_a_growing_budget_is_that_of_the_choice():
    random = np.random.default_rng(3)
    mid, deep = random.random(20), random.random(20)
    selection = selected(mid, deep, budget=8, alpha=0.6)
    order = se.budget_order(selection)
    assert sorted(order) == list(range(20))
    assert order[:8].tolist() == selection.order[0].tolist()
    assert (np.diff(deep[order[8:]]) <= 0).all()


def test_curve_areas_by_hand():
    assert se.curve_area([1, 1, 1]) == 1
    assert se.curve_area([1, 0]) == 0.5
    assert se.curve_area([1, 0, 0], [0, 0.2, 1]) == pytest.approx(0.1)
    with pytest.raises(NotMeasurable, match="two points"):
        se.curve_area([1])
    with pytest.raises(ValueError, match="probabilities"):
        se.curve_area([1, 1.5])
    for shares in ([0, 0.5], [0, 0.5, 0.9], [0, 0, 1], [0.1, 0.5, 1]):
        with pytest.raises(ValueError, match="must rise from 0 to 1"):
            se.curve_area([1, 1, 1], shares)
    found = by_key(tk.faithfulness_summary([1, 0.2, 0], [0, 0.9, 1], [[1, 0.6, 0], [1, 0.4, 0]], [[0, 0.5, 1]]))
    assert (found["deletion_area"].value, found["deletion_area"].level) == (pytest.approx(0.35), "good")
    assert (found["insertion_area"].value, found["insertion_area"].level) == (pytest.approx(0.7), "good")
    swapped = by_key(tk.faithfulness_summary([1, 0.9, 0], [0, 0.2, 1], [[1, 0.5, 0]], [[0, 0.5, 1]]))
    assert swapped["deletion_area"].level == swapped["insertion_area"].level == "bad"


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 12))
def test_answers_against_plain_formulas(seed, n):
    random = np.random.default_rng(seed)
    full, pruned = random.standard_normal((2, n, 4)) * 3
    found = se.answers(torch.from_numpy(full), pruned)
    p, q = (np.exp(x) / np.exp(x).sum(1, keepdims=True) for x in (full, pruned))
    assert found.same == np.mean([a.argmax() == b.argmax() for a, b in zip(full, pruned, strict=True)])
    assert found.divergence == pytest.approx(np.mean([scipy_entropy(a, b) for a, b in zip(p, q, strict=True)]))
    assert 0 <= found.low <= found.same <= found.high <= 1
    shifted = se.answers(full + random.standard_normal((n, 1)), pruned - 5)  # a constant moves no probability
    assert (shifted.same, shifted.divergence, shifted.shift) == pytest.approx((found.same, found.divergence, found.shift))
    same = se.answers(full, full)
    assert (same.same, same.divergence, same.shift) == (1, 0, 0)


def test_wilson_and_refusals_of_answers():
    assert se.wilson(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-5)
    assert se.wilson(0, 10)[0] == 0
    assert se.wilson(10, 10)[1] == 1
    with pytest.raises(ValueError, match="cannot be compared"):
        se.answers(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(NotMeasurable, match="no picture"):
        se.answers(np.zeros((0, 3)), np.zeros((0, 3)))
    with pytest.raises(NotMeasurable, match="not a finite"):
        se.answers(np.full((1, 3), np.nan), np.zeros((1, 3)))
    assert all(m.value is None for m in tk.answer_summary(np.zeros((0, 3)), np.zeros((0, 3))))


def test_costs_by_hand():
    found = by_key(tk.cost_summary(8.63e12, 3.56e12, 0.4e12))
    assert found["cost_saved"].value == pytest.approx(1 - 3.56 / 8.63)
    assert "3.56 T instead of 8.63 T" in found["cost_saved"].hint
    assert found["cost_fixed"].value == pytest.approx(0.4 / 3.56)
    more = by_key(tk.cost_summary(1000, 1100))
    assert (more["cost_saved"].value, more["cost_saved"].level) == (pytest.approx(-0.1), "bad")
    assert "1.1 k instead of 1 k" in more["cost_saved"].hint
    assert more["cost_fixed"].value is None
    for wrong in ((0, 1, 0), (2, 1, 2), (2, -1, 0)):
        with pytest.raises(ValueError, match="do not belong together"):
            tk.cost_summary(*wrong)


def test_what_a_selection_cannot_tell_is_said():
    maps = looked()
    found = by_key(tk.selection_summary(baselines.random_patches(maps, 9)))
    reasons = {
        "register_share": "another rule than HiPrune",
        "buffers_misplaced": "there is no buffer",
        "object_recall": "no mask of an object",
        "kept_spread": "features of the patches",
        "padding_kept": "where the picture is padded",
        "attribution_kept": "no attribution",
        "selection_iou": "no other selection",
    }
    for key, reason in reasons.items():
        assert found[key].value is None
        assert reason in found[key].hint
    assert found["patches_kept"].value == 0.3
    broken = keeping([1, 2])
    broken.deep_score[0, 0] = math.inf
    with pytest.raises(NonFiniteError, match="selection of picture 0"):
        tk.selection_summary(broken)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), budget=st.integers(1, 30))
def test_everything_kept_of_the_object_when_everything_is_kept(seed, budget):
    maps = looked(seed=seed % 97)
    objects = (np.random.default_rng(seed).random(N) < 0.4).astype(int)
    objects[0], objects[1] = 1, 0
    smaller, whole = (se.coverage(baselines.registers_only(maps, b), objects) for b in (budget, N))
    assert whole.recall == whole.chance == 1
    assert smaller.recall <= se.coverage(baselines.registers_only(maps, min(N, budget + 3)), objects).recall
    assert smaller.recall * objects.sum() == pytest.approx(smaller.precision * budget)


# ------------------------------------------------------------------------------------------------------------ connections


@pytest.mark.parametrize("picture", [0, 1])
def test_mass_covered_is_the_plain_loop(picture):
    connectivity, attention = connected()
    found = sa.mass_covered(connectivity, attention, picture)
    mask, dense = connectivity.mask[picture].numpy(), attention.dense[picture].double().numpy()
    rows: dict[str, list[float]] = {name: [] for name in ("predicted", "oracle", "local", "random", "recall", "loss")}
    for head in range(3):
        for patch in range(20):
            kept, row = mask[head, patch + 1], dense[head, patch + 1]
            m = int(kept.sum())
            best = sorted(range(21), key=lambda k: (-row[k], k))[:m]
            near = sorted(range(20), key=lambda k: (math.dist(divmod(patch, 5), divmod(k, 5)), k))[:m]
            rows["predicted"].append(row[kept].sum())
            rows["oracle"].append(row[best].sum())
            rows["local"].append(row[[1 + k for k in near]].sum())
            rows["random"].append(m / 21)
            rows["recall"].append(np.mean([kept[k] for k in best]))
            sparse = attention.attention[picture, head, patch + 1].double().numpy()
            rows["loss"].append(scipy_entropy(sparse, row))  # KL(sparse ‖ dense)
    for name, values in rows.items():
        assert getattr(found, name) == pytest.approx(np.mean(values), rel=1e-4), name
    assert found.per_patch.mean() == pytest.approx(found.predicted)
    assert found.predicted <= found.oracle + 1e-9
    assert found.skill == pytest.approx((found.predicted - found.random) / (found.oracle - found.random))


def test_with_the_true_keys_nothing_is_missed_and_with_all_nothing_is_lost():
    connectivity, attention = connected()
    place = attention.dense[:, :, 1:].sort(dim=-1, descending=True, stable=True).indices.argsort(-1)
    best = torch.cat([connectivity.mask[:, :, :1], place < 6], 2)
    found = sa.mass_covered(replace(connectivity, mask=best), attention)
    assert found.recall == found.skill == 1
    everything = sa.mass_covered(replace(connectivity, mask=torch.ones_like(best)), attention)
    assert everything.predicted == pytest.approx(1)
    assert everything.loss == pytest.approx(0, abs=1e-6)
    assert math.isnan(everything.skill)


def test_sparsity_and_rows_of_patches_that_left():
    connectivity, attention = connected()
    assert sa.sparsity(connectivity) == pytest.approx(1 - (21 + 20 * 6) / 441)
    gone = connectivity.mask.clone()
    gone[:, :, 5:9] = False
    found = sa.mass_covered(replace(connectivity, mask=gone), attention)
    assert np.isnan(found.per_patch[4:8]).all()
    whole = sa.mass_covered(connectivity, attention)
    assert found.predicted == pytest.approx(np.delete(whole.per_patch, range(4, 8)).mean())
    nothing = connectivity.mask.clone()
    nothing[:, :, 1:] = False
    measures = by_key(sa.connection_summary(replace(connectivity, mask=nothing), attention))
    for key in ("mass_covered", "rows_alike", "connection_distance", "connection_hubs", "keys_guessed"):
        assert measures[key].value is None, key


def test_estimate_correlation_is_spearmans_mean():
    connectivity, attention = connected()
    rows = [
        spearmanr(connectivity.estimate[0, h, p], attention.dense[0, h, p + 1]).statistic
        for h in range(3)
        for p in range(20)
        if connectivity.estimate[0, h, p].unique().numel() > 1
    ]
    assert sa.estimate_correlation(connectivity, attention) == pytest.approx(np.mean(rows), abs=1e-6)
    perfect = replace(connectivity, estimate=attention.dense[:, :, 1:])
    assert sa.estimate_correlation(perfect, attention) == pytest.approx(1)
    with pytest.raises(NotMeasurable, match="is constant"):
        sa.estimate_correlation(replace(connectivity, estimate=torch.zeros_like(connectivity.estimate)), attention)


def test_rows_that_choose_the_same_keys():
    connectivity, _ = connected()
    same = torch.zeros_like(connectivity.mask)
    same[..., :6] = True
    value, chance = sa.rows_alike(replace(connectivity, mask=same))
    assert value == 1
    assert chance == pytest.approx(at.iou_by_chance(21, 6, 6)[0])
    found = sa.rows_alike(connectivity)[0]
    pairs = []
    for head in connectivity.mask[0, :, 1:].numpy():
        pairs += [(a & b).sum() / (a | b).sum() for i, a in enumerate(head) for b in head[:i]]
    assert found == pytest.approx(np.mean(pairs))
    measures = by_key(sa.connection_summary(replace(connectivity, mask=same)))
    assert measures["rows_alike"].level == "bad"
    assert "not recorded" in measures["mass_covered"].hint


def test_distance_of_connections_by_hand():
    connectivity, _ = connected()
    own = torch.zeros_like(connectivity.mask)
    own[:, :, range(1, 21), range(1, 21)] = True
    value, uniform = sa.connection_distance(replace(connectivity, mask=own))
    assert value == 0
    assert uniform == pytest.approx(np.mean([math.dist(divmod(a, 5), divmod(b, 5)) for a in range(20) for b in range(20)]))
    assert sa.connection_distance(replace(connectivity, mask=torch.ones_like(own)))[0] == pytest.approx(uniform)


def test_prototypes_that_nobody_uses():
    connectivity, _ = connected()
    use = sa.prototype_use([connectivity])
    assert use.sum() == pytest.approx(3)  # each row mixes three
    silent = connectivity.coefficients.clone()
    silent[..., 2] = 0
    assert sa.prototype_use([replace(connectivity, coefficients=silent)])[2] == 0
    assert sa.prototype_use([connectivity, connectivity]) == pytest.approx(use)
    dead = by_key(sa.connection_summary(replace(connectivity, coefficients=silent)))["prototypes_dead"]
    assert dead.value >= 1 / 7
    with pytest.raises(ValueError, match="no connections"):
        sa.prototype_use([])


def test_connections_inside_segments():
    connectivity, attention = connected()
    labels = np.arange(20) // 10
    inside = torch.from_numpy(labels[:, None] == labels)
    mask = connectivity.mask.clone()
    mask[:, :, 1:, 1:] = inside
    found = by_key(sa.connection_summary(replace(connectivity, mask=mask), attention, labels=labels, labels_are_truth=True))
    assert found["connection_homophily"].value == pytest.approx(1)
    assert found["connection_reciprocity"].value == 1
    marked = by_key(sa.connection_summary(connectivity, labels=labels))["connection_homophily"]
    assert KMEANS_NOTE in marked.hint
    for head in (0, "any", "all"):
        assert len(sa.connection_summary(connectivity, attention, head=head, labels=labels)) == len(found)
    with pytest.raises(ValueError, match="must be a number from 0 to 2"):
        sa.connection_summary(connectivity, head=3)
    with pytest.raises(ValueError, match="does not belong to a mask"):
        sa.connection_summary(connectivity, SparseAttention(attention.attention[:, :2], attention.dense[:, :2]))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**4), rate=st.sampled_from([0.1, 0.25, 0.6, 1.0]))
def test_shares_of_connections_stay_in_range(seed, rate):
    connectivity, attention = connected(seed, keep_rate=rate)
    for m in sa.connection_summary(connectivity, attention, labels=np.arange(20) % 3):
        assert m.value is None or m.unit != "share" or -1e-9 <= m.value <= 1 + 1e-6, m.key
    found = sa.mass_covered(connectivity, attention)
    assert found.random <= found.oracle + 1e-6
    assert found.local <= found.oracle + 1e-6


# ---------------------------------------------------------------------------------------------------------- early exits


def test_exits_by_hand():
    stages = staged(
        exited=[[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]],
        label=[[2, 0, 0, 1], [1, 1, 0, 0], [2, 0, 0, 1]],
        confidence=[[0.9, 0.3, 0.2, 0.1], [0.9, 0.75, 0.2, 0.4], [0.9, 0.7, 0.6, 0.5]],
    )
    found = ee.exits(stages)
    assert found.stage.tolist() == [1, 2, 3, 3]
    assert found.gone.tolist() == [0.25, 0.5, 0.5]
    assert found.label.tolist() == [2, 1, 0, 1]
    assert found.confidence == pytest.approx([0.9, 0.75, 0.6, 0.5])
    assert found.early.tolist() == [True, True, False, False]
    assert ee.kept_label(found) == 0.5  # the second one is 0 at the end
    for patch, sure in enumerate([0.9, 0.3, 0.2, 0.1]):
        p = np.array([sure, 0.05, 0.05])
        assert found.doubt[patch] == pytest.approx(scipy_entropy(p / p.sum()) / math.log(3), rel=1e-5)
    value = ee.calibration(found, [2, 0, 1, 1])
    assert (value.accuracy, value.patches) == (0.5, 2)
    assert value.error == pytest.approx((abs(1 - 0.9) + abs(0 - 0.75)) / 2)
    assert ee.calibration(found, [2, -1, 1, 1]).accuracy == 1
    with pytest.raises(NotMeasurable, match="known class"):
        ee.calibration(found, [-1, -1, 0, 0])


def test_ten_bins_of_calibration():
    random = np.random.default_rng(0)
    sure, n = random.random(400), 400
    truth = (random.random(n) < sure).astype(int)
    stages = staged([[1] * n, [1] * n], [[1] * n] * 2, [sure.tolist()] * 2)
    found = ee.calibration(ee.exits(stages), truth)
    expected = 0.0
    for low in np.arange(10) / 10:
        inside = (sure >= low) & (sure < low + 0.1)
        expected += abs(truth[inside].mean() - sure[inside].mean()) * inside.mean()
    assert found.error == pytest.approx(expected, abs=1e-6)


def test_easy_patches_leave_first():
    stages = staged([[1, 0, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0]], [[0] * 5] * 3)
    found = ee.exits(stages)
    hardness = np.array([0.1, 0.3, 0.2, 0.9, 0.4])
    assert ee.easy_first(found, hardness) == pytest.approx(spearmanr([1, 2, 2, 3, 3], hardness).statistic)
    assert ee.easy_first(found, -hardness) == pytest.approx(-ee.easy_first(found, hardness))
    with pytest.raises(NotMeasurable, match="equally hard"):
        ee.easy_first(found, np.ones(5))
    together = ee.exits(staged([[1] * 5] * 2, [[0] * 5] * 2))
    with pytest.raises(NotMeasurable, match="at the same stage"):
        ee.easy_first(together, hardness)


def test_distance_to_a_boundary_by_hand():
    labels = np.zeros((4, 6), int)
    labels[:, 4:] = 1
    found = ee.boundary_distance(labels.ravel(), (4, 6)).reshape(4, 6)
    assert found.tolist() == [[3, 2, 1, 0, 0, 1]] * 4
    labels[0] = -1  # unknown forms no boundary
    assert ee.boundary_distance(labels.ravel(), (4, 6)).reshape(4, 6)[1:].tolist() == [[3, 2, 1, 0, 0, 1]] * 3
    with pytest.raises(NotMeasurable, match="no boundary"):
        ee.boundary_distance(np.zeros(24), (4, 6))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(1, 5))
def test_mean_iou_agrees_with_scikit_learn(seed, classes):
    random = np.random.default_rng(seed)
    prediction, truth = random.integers(0, classes, (2, 40))
    truth[random.random(40) < 0.2] = -1
    if (truth < 0).all():
        return
    known = truth >= 0
    assert ee.mean_iou(prediction, truth) == pytest.approx(jaccard_score(truth[known], prediction[known], average="macro"))
    names = random.permutation(classes) + 7
    renamed = np.where(known, names[truth], -1)
    assert ee.mean_iou(names[prediction], renamed) == pytest.approx(ee.mean_iou(prediction, truth))
    assert ee.mean_iou(truth, truth) == 1


def test_early_exits_of_the_model():
    stages, dense = left_early(), left_early(1.0)
    truth = ee.exits(dense, 1).final
    found = by_key(ee.exit_summary(stages, picture=1, truth=truth, dense=dense))
    assert 0 < found["exited_early"].value < 1
    assert found["exited_early"].value == pytest.approx(float(stages[1].exited[1].float().mean()))
    assert found["miou_lost"].value == pytest.approx(100 * (1 - ee.mean_iou(ee.exits(stages, 1).final, truth)))
    assert found["exit_context"].value == int(stages[0].context[1].sum() + stages[1].context[1].sum())
    alone = [replace(s, **{k: v[1:] for k, v in vars(s).items() if isinstance(v, torch.Tensor)}) for s in stages]
    assert folder_row(ee.exit_summary(alone)) == folder_row(ee.exit_summary(stages, picture=1))


def test_a_run_without_exits_says_so():
    found = by_key(ee.exit_summary(left_early(1.0), truth=np.arange(20) % 3))
    assert (found["exited_early"].value, found["exited_early"].level) == (0, "bad")
    for key, reason in {
        "exit_unchanged": "no patch left early",
        "exit_accuracy": "no patch left early",
        "easy_first_doubt": "at the same stage",
        "miou_lost": "without early exits",
    }.items():
        assert found[key].value is None
        assert reason in found[key].hint
    assert "true classes" in by_key(ee.exit_summary(left_early()))["exit_accuracy"].hint


def test_refusals_of_exits():
    with pytest.raises(ValueError, match="no stage"):
        ee.exits([])
    with pytest.raises(ValueError, match="comes back at a later stage"):
        ee.exits(staged([[1, 0], [0, 0]], [[0, 0]] * 2))
    with pytest.raises(ValueError, match="not of one run"):
        ee.exits([*staged([[0, 0]], [[0, 0]]), *staged([[0, 0]], [[0, 0]], grid=(2, 1))])
    with pytest.raises(ValueError, match="cannot be compared"):
        ee.mean_iou(np.zeros(3), np.zeros(4))
    with pytest.raises(NotMeasurable, match="nothing has a known class"):
        ee.mean_iou(np.zeros(3), np.full(3, -1))
    broken = staged([[0, 0]], [[0, 0]])
    broken[0].confidence[0, 0] = math.nan
    with pytest.raises(NonFiniteError, match="stage 1"):
        ee.exit_summary(broken)


def test_drops_by_hand():
    ones = torch.ones(1, 6).bool()
    first, second = (torch.tensor([row]).bool() for row in ([1, 1, 1, 0, 1, 0], [1, 0, 1, 0, 0, 0]))
    steps = [TokenDrop(torch.zeros(1, 6), ones, first, (2, 3)), TokenDrop(torch.zeros(1, 6), first, second, (2, 3))]
    objects = [1, 1, 0, 1, 0, 0]
    found = ee.drops(steps, objects)
    assert found.alive == pytest.approx([4 / 6, 2 / 6])
    assert found.recall == pytest.approx([2 / 3, 1 / 3])
    measures = by_key(ee.drop_summary(steps, objects=objects))
    assert measures["tokens_left"].value == pytest.approx(1 / 3)
    assert "67 % → 33 %" in measures["tokens_left"].hint
    assert (measures["object_left"].value, measures["object_left"].level) == (pytest.approx(1 / 3), "good")
    assert "no mask" in by_key(ee.drop_summary(steps))["object_left"].hint
    assert "covers no patch" in by_key(ee.drop_summary(steps, objects=[0] * 6))["object_left"].hint
    with pytest.raises(ValueError, match="no drop"):
        ee.drop_summary([])
