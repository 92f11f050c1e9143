"""Diagnostics of soft hypergraphs: by hand, against scipy, networkx and plain loops, and by properties that must always hold."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.stats import entropy as scipy_entropy
from scipy.stats import spearmanr

import explorer.diagnostics as package
from explorer.diagnostics import detector, folder_row
from explorer.diagnostics import hyperedges as he
from explorer.diagnostics import soft_hypergraph as sh
from explorer.diagnostics.labels import KMEANS_NOTE
from explorer.diagnostics.measure import NotMeasurable, catalogue, vocabulary
from explorer.diagnostics.memberships import memberships
from models.capture import capture
from models.hypergraphs import detection
from models.hypergraphs.hard import FuzzyCMeans, HardMembers, HGNNLayer, NearestHyperedges
from models.hypergraphs.softhgnn import SoftHGNN, SparseSoftHGNN
from models.structures import Detections, HypergraphMessages, NonFiniteError, Rule, SoftHypergraph, Tunnel

torch.set_num_threads(1)
GRID = (4, 5)
N = GRID[0] * GRID[1]


# ------------------------------------------------------------------------------------------------------------ helpers


def made(a, grid=None, **fields) -> SoftHypergraph:
    """Participation [N, M] of one picture as a hypergraph; one row of patches unless a grid is given."""
    x = torch.as_tensor(np.asarray(a, dtype=float))[None]
    grid = grid or (1, x.shape[1] - fields.get("special", 0))
    return SoftHypergraph(x, grid, **{"rule": Rule("hand-made"), "normalise": "none", **fields})


def random_hypergraph(seed=0, m=4, grid=GRID, sharp=2.0, **fields) -> SoftHypergraph:
    logits = np.random.default_rng(seed).standard_normal((grid[0] * grid[1], m)) * sharp
    return made(np.exp(logits) / np.exp(logits).sum(0), grid, **{"normalise": "vertices", **fields})


def seen(module, x, *place) -> tuple[SoftHypergraph, HypergraphMessages]:
    with torch.no_grad(), capture(module) as trace:
        module(x, *place)
    (hypergraph,), (messages,) = trace.of(SoftHypergraph).values(), trace.of(HypergraphMessages).values()
    return hypergraph, messages


def tokens(batch=1, n=N, width=16, seed=0) -> torch.Tensor:
    return torch.randn(batch, n, width, generator=torch.Generator().manual_seed(seed))


def layer(seed=0, sharp=8.0, **settings) -> SoftHGNN:
    torch.manual_seed(seed)
    module = SoftHGNN(16, 4, 2, **settings).eval()
    with torch.no_grad():
        module.edge_generator.prototype_base.mul_(sharp)
    return module


def sparse_layer(seed=0, **settings) -> SparseSoftHGNN:
    torch.manual_seed(seed)
    return SparseSoftHGNN(16, **{"num_dyn_hyperedges": 6, "top_k": 2, "num_fixed_hyperedges": 1, "num_heads": 2, **settings}).eval()


def messages_of(edges, update, received=None) -> HypergraphMessages:
    edges, update = (torch.as_tensor(np.asarray(x, dtype=float))[None] for x in (edges, update))
    received = update if received is None else torch.as_tensor(np.asarray(received, dtype=float))[None]
    return HypergraphMessages(edges, edges, received, update)


def found_boxes(boxes, scores=None, classes=None, size=(64, 80)) -> Detections:
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    n = len(boxes)
    scores = torch.linspace(0.9, 0.5, n) if scores is None else torch.tensor(scores, dtype=torch.float32)
    classes = torch.zeros(n, dtype=torch.int64) if classes is None else torch.tensor(classes)
    return Detections(boxes, scores, classes, torch.arange(n), size)


def by_key(measures) -> dict:
    return {m.key: m for m in measures}


ONE_HOT = np.eye(4)[[0, 0, 1, 2, 3, 3]]
UNIFORM = np.full((6, 3), 1 / 6)
SEEDS = range(4)


# -------------------------------------------------------------------------------------------------- one picture of many


def test_a_picture_of_a_batch_is_taken_alone_without_special_tokens_and_what_is_off():
    a = torch.rand(3, 7, 4, generator=torch.Generator().manual_seed(0))
    on = torch.tensor([[True] * 4, [True, False, True, True], [False] * 4])
    hypergraph = SoftHypergraph(a, (2, 3), Rule("x", statistics={"s": torch.arange(3.0)}), special=1, selected=on, static=torch.zeros(4, 2))
    s = memberships(hypergraph, 1)
    assert (s.n, s.m, s.count, s.on.tolist()) == (6, 4, 3, [True, False, True, True])
    assert s.degree.dtype == np.float64
    assert np.allclose(s.degree, a[1, 1:].numpy() * [1, 0, 1, 1])
    assert s.hypergraph.rule.statistics["s"].tolist() == [1]
    assert s.hypergraph.static.shape == (4, 2)
    assert memberships(s) is s
    for picture in (-1, 3):
        with pytest.raises(IndexError, match="no picture"):
            memberships(hypergraph, picture)


@pytest.mark.parametrize("poison", [math.nan, math.inf])
@pytest.mark.parametrize("field", ["participation", "logits", "prototypes"])
def test_values_that_are_not_finite_are_named(field, poison):
    hypergraph, messages = seen(layer(), tokens(2), GRID)
    spoilt = getattr(hypergraph, field).clone()
    spoilt[1, 0, 0] = poison
    bad = replace(hypergraph, **{field: spoilt})
    with pytest.raises(NonFiniteError, match=rf"picture 1: .* of {field}"):
        sh.summary(bad, picture=1)
    assert by_key(sh.summary(bad))["edge_entropy"].value > 0  # the other picture is sound
    with pytest.raises(NonFiniteError):
        sh.usage([bad])
    update = messages.update.clone()
    update[1, 0, 0] = poison
    with pytest.raises(NonFiniteError, match="messages of picture 1"):
        sh.summary(hypergraph, picture=1, messages=replace(messages, update=update))
    x = tokens(2)
    x[1, 3, 3] = poison
    with pytest.raises(NonFiniteError, match="tokens"):
        sh.summary(hypergraph, picture=1, messages=messages, tokens=x)


def test_what_does_not_belong_together_is_refused():
    hypergraph, messages = seen(layer(), tokens(), GRID)
    with pytest.raises(ValueError, match="negative"):
        sh.summary(made([[0.5], [-0.1]]))
    with pytest.raises(ValueError, match="do not belong"):
        sh.summary(random_hypergraph(m=3), messages=messages)
    with pytest.raises(ValueError, match="do not belong"):
        sh.summary(random_hypergraph(grid=(4, 4)), messages=messages)
    with pytest.raises(ValueError, match="tokens of shape"):
        sh.summary(hypergraph, messages=messages, tokens=tokens(width=8))
    with pytest.raises(ValueError, match="3 labels were given for 20 patches"):
        sh.summary(hypergraph, labels=[0, 1, 2])


# ------------------------------------------------------------------------------------------------- size, load, contrast


def test_sizes_by_hand():
    a = np.array([[1, 0.5, 1, 0], [0, 0.5, 1, 0], [0, 0, 1, 0], [0, 0, 1, 0]])
    found = he.sizes(made(a))
    assert found.entropy[:3] == pytest.approx([0, 0.5, 1])
    assert found.members[:3] == pytest.approx([1, 2, 4])
    assert found.variation[:3] == pytest.approx([math.sqrt(3), 1, 0])
    assert np.isnan([found.entropy[3], found.members[3], found.variation[3]]).all()  # a hyperedge without a member
    assert found.uniform.tolist() == found.flat.tolist() == [False, False, True, False]


@pytest.mark.parametrize("seed", SEEDS)
def test_entropies_agree_with_scipy(seed):
    hypergraph = random_hypergraph(seed)
    a = hypergraph.participation[0].numpy()
    assert he.sizes(hypergraph).entropy == pytest.approx(scipy_entropy(a, axis=0) / np.log(N))
    assert he.patch_entropy(hypergraph) == pytest.approx(scipy_entropy(a, axis=1) / np.log(4))
    share = (a / a.sum(1, keepdims=True)).mean(0)
    found = he.load(hypergraph)
    assert found.share == pytest.approx(share)
    assert found.gap == pytest.approx(scipy_entropy(share, np.full(4, 0.25)) / np.log(4))  # Kullback and Leibler against an even load
    assert found.most == pytest.approx(4 * share.max())
    assert found.variation == pytest.approx(share.std() / share.mean())


def test_patch_entropy_counts_only_hyperedges_that_are_on():
    a = np.array([[1, 1, 5], [1, 0, 5], [0, 0, 5]])
    found = he.patch_entropy(made(a, selected=torch.tensor([[True, True, False]])))
    assert found[:2] == pytest.approx([1, 0])
    assert np.isnan(found[2])  # in no hyperedge that is on


def test_load_of_one_hot_patches_is_their_share_and_of_uniform_ones_even():
    assert he.load(made(ONE_HOT)).share == pytest.approx([2 / 6, 1 / 6, 1 / 6, 2 / 6])
    even = he.load(made(UNIFORM))
    assert (even.most, even.variation, even.gap) == pytest.approx((1, 0, 0))
    everything = he.load(made(np.eye(3)[[0, 0, 0, 0]] + 0.0))
    assert everything.share[0] == 1
    assert np.isnan(everything.share[1:]).all()


def test_loudness_is_the_row_sum_and_unreached_patches_are_counted():
    a = np.array([[0.5, 0.4], [0.49, 0.5], [0.01, 0.04], [0.0, 0.06]])
    assert he.loudness(made(a)) == pytest.approx([0.9, 0.99, 0.05, 0.06])
    assert by_key(sh.summary(made(a)))["patches_unreached"].value == 0  # the mean is 0.5: both are just above a tenth
    assert by_key(sh.summary(made(a * [[1], [1], [0.5], [0.1]])))["patches_unreached"].value == 0.5


def test_contrast_by_hand_and_zero_counts_as_the_faintest():
    flat = he.contrast(made(UNIFORM))
    assert (flat.low, flat.high, flat.flat) == pytest.approx((0, 0, 1))
    a = np.array([[0.5], [0.25], [0.25], [0.0]])
    found = he.contrast(made(a))
    assert found.low == pytest.approx(np.quantile([1, 0, 0, -30], 0.05))
    assert found.high == pytest.approx(np.quantile([1, 0, 0, -30], 0.95))
    assert found.flat == 0.5
    hint = by_key(sh.summary(made(np.eye(6))))["contrast_low"].hint
    assert "not at all" in hint


def test_mass_sets_hold_their_share_with_the_fewest_patches():
    a = np.array([[0.1, 0.25], [0.6, 0.25], [0.3, 0.25], [0.0, 0.25]])
    assert he.mass_sets(made(a), 0.5).T.tolist() == [[False, True, False, False], [True, True, False, False]]
    assert he.mass_sets(made(a), 0.7)[:, 0].tolist() == [False, True, True, False]
    assert he.mass_sets(made(a), 1.0)[:, 0].tolist() == [True, True, True, False]
    for share in (0.0, 1.1):
        with pytest.raises(ValueError, match="share"):
            he.mass_sets(made(a), share)


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), share=st.floats(0.05, 0.99))
def test_mass_sets_are_minimal(seed, share):
    hypergraph = random_hypergraph(seed)
    inside, w = he.mass_sets(hypergraph, share), memberships(hypergraph).weights
    held = (w * inside).sum(0)
    assert (held >= share - 1e-6).all()
    assert (held - np.where(inside, w, np.inf).min(0) < share).all()  # without its weakest patch it would not do


# ------------------------------------------------------------------------------------------------------ do they differ?


@pytest.mark.parametrize("seed", SEEDS)
def test_correlation_and_overlap_agree_with_plain_definitions(seed):
    hypergraph = random_hypergraph(seed, m=5)
    w = hypergraph.participation[0].numpy()
    assert he.correlation(hypergraph) == pytest.approx(np.corrcoef(w.T))
    for i, j in itertools.product(range(5), repeat=2):
        expected = np.minimum(w[:, i], w[:, j]).sum() / np.maximum(w[:, i], w[:, j]).sum()
        assert he.overlap(hypergraph)[i, j] == pytest.approx(expected)


def test_overlap_in_slices_is_the_same(monkeypatch):
    hypergraph = random_hypergraph(m=7)
    whole = he.overlap(hypergraph)
    monkeypatch.setattr(he, "_SLICE", 200)
    assert np.array_equal(he.overlap(hypergraph), whole)


@pytest.mark.parametrize("seed", SEEDS)
def test_effective_number_is_the_exponential_of_the_entropy_of_the_eigenvalues(seed):
    hypergraph = random_hypergraph(seed)
    p = np.linalg.eigvalsh(np.corrcoef(hypergraph.participation[0].numpy().T)) / 4
    assert he.effective_number(hypergraph) == pytest.approx(np.exp(scipy_entropy(np.clip(p, 0, None))))


def test_copies_collapse_and_uniform_hyperedges_count_nothing():
    one = np.random.default_rng(0).random((8, 1))
    copies = made(np.repeat(one, 5, 1))
    assert he.effective_number(copies) == pytest.approx(1)
    assert he.twins(copies).all()
    assert he.overlap(copies) == pytest.approx(np.ones((5, 5)))
    assert he.effective_number(made(UNIFORM)) == 0
    assert not he.twins(made(UNIFORM)).any()
    assert np.isnan(he.correlation(made(UNIFORM))).all()
    apart = made(np.kron(np.eye(4), np.ones((2, 1))))
    assert he.overlap(apart) == pytest.approx(np.eye(4))
    assert 2.9 < he.effective_number(apart) < 3.1  # four indicator columns, centred, span three directions


def test_twins_are_named_one_by_one():
    random = np.random.default_rng(1)
    one, other = random.random((2, 30))
    a = np.stack([one, one + 0.05 * random.random(30), other, np.ones(30)], 1)
    assert he.twins(made(a)).tolist() == [True, True, False, False]


def test_functional_number_tells_what_is_said_from_where():
    hypergraph = random_hypergraph(m=3)
    update = np.zeros((N, 4)) + 1.0
    basis = np.array([[1.0, -1, 0, 0], [0, 0, 1, -1], [1, 1, -1, -1]])
    assert he.functional_number(hypergraph, messages_of(basis, update)) == pytest.approx(3)
    assert he.functional_number(hypergraph, messages_of(basis[[0, 0, 0]] * [[1], [2], [5]] + 7, update)) == pytest.approx(1)
    assert he.functional_number(hypergraph, messages_of(basis[[0, 0, 1]], update)) == pytest.approx(np.exp(scipy_entropy([2 / 3, 1 / 3])))
    with pytest.raises(NotMeasurable, match="send nothing"):
        he.functional_number(hypergraph, messages_of(np.ones((3, 4)), update))


def test_prototypes_by_hand():
    p = torch.tensor([[[1.0, 0], [0, 2], [3, 3], [9, 9]]])
    static = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 5]])
    on = torch.tensor([[True, True, True, False]])
    found = he.prototypes(random_hypergraph(prototypes=p, static=static, offset=p - static, selected=on))
    half = math.sqrt(0.5)
    assert found.cosine[:3, :3] == pytest.approx(np.array([[1, 0, half], [0, 1, half], [half, half, 1]]))
    assert found.static[0, 1] == 1
    assert np.isnan(found.cosine[3]).all()
    assert found.mean == pytest.approx(2 * half / 3)
    assert found.largest == pytest.approx(half)
    assert found.offset == pytest.approx(float((p[0] - static).norm() / static.norm()))
    with pytest.raises(NotMeasurable, match="prototypes"):
        he.prototypes(random_hypergraph())


@pytest.mark.parametrize("seed", SEEDS)
def test_head_agreement_is_the_mean_correlation_of_the_maps_of_two_heads(seed):
    torch.manual_seed(seed)
    module = SoftHGNN(16, 3, 4).eval()
    with torch.no_grad():
        module.edge_generator.prototype_base.mul_(8)
    hypergraph, _ = seen(module, tokens(seed=seed), GRID)
    heads = hypergraph.per_head()[0].double().numpy()
    expected = [np.corrcoef(heads[:, :, m])[np.triu_indices(4, 1)].mean() for m in range(3)]
    assert he.head_agreement(hypergraph) == pytest.approx(expected, abs=1e-5)


def test_heads_that_compare_the_same_agree_wholly():
    q, p = tokens(width=4).repeat(1, 1, 2), tokens(n=3, width=4, seed=1).repeat(1, 1, 2)
    both = SoftHypergraph((q @ p.mT).softmax(1), GRID, Rule("soft"), logits=q @ p.mT, queries=q, prototypes=p, heads=2)
    assert he.head_agreement(both) == pytest.approx(np.ones(3), abs=1e-6)
    assert he.head_agreement(replace(both, queries=torch.cat([q[..., :4], -q[..., :4]], -1)))[0] < 0
    for other, reason in ((replace(both, heads=1), "one head"), (replace(both, queries=None), "comparing")):
        with pytest.raises(NotMeasurable, match=reason):
            he.head_agreement(other)


# ------------------------------------------------------------------------------------------------------ where they lie


def naive_compactness(w, grid):
    place = np.array(list(itertools.product(range(grid[0]), range(grid[1]))), float)

    def spread(v):
        centre = (v[:, None] * place).sum(0)
        return sum(v[n] * ((place[n] - centre) ** 2).sum() for n in range(len(v)))

    return 1 - spread(w) / spread(np.full(len(w), 1 / len(w)))


@pytest.mark.parametrize("seed", SEEDS)
def test_compactness_and_its_chance_over_all_permutations(seed):
    hypergraph = random_hypergraph(seed, m=2, grid=(2, 3))
    found, w = he.compactness(hypergraph), memberships(hypergraph).weights
    for m in range(2):
        assert found.value[m] == pytest.approx(naive_compactness(w[:, m], (2, 3)))
        anywhere = [naive_compactness(w[list(order), m], (2, 3)) for order in itertools.permutations(range(6))]
        assert found.chance[m] == pytest.approx(np.mean(anywhere))


def test_compactness_of_a_point_of_everywhere_and_of_the_rim():
    a = np.zeros((25, 3))
    a[12, 0] = 1
    a[:, 1] = 1
    a[[0, 4, 20, 24], 2] = 1
    found = he.compactness(made(a, (5, 5)))
    assert found.value[:2] == pytest.approx([1, 0])
    assert found.value[2] == pytest.approx(-1)
    assert found.chance[:2] == pytest.approx([1, 0])
    assert np.isnan(found.moran[1])


def test_moran_is_plain_and_a_chessboard_is_its_least():
    hypergraph = random_hypergraph(3, m=2)
    w = memberships(hypergraph).weights
    g = nx.grid_2d_graph(*GRID)
    number = {cell: cell[0] * GRID[1] + cell[1] for cell in g}
    for m in range(2):
        z = w[:, m] - w[:, m].mean()
        expected = N / (2 * g.number_of_edges()) * sum(2 * z[number[a]] * z[number[b]] for a, b in g.edges) / (z**2).sum()
        assert he.compactness(hypergraph).moran[m] == pytest.approx(expected)
    row, col = np.divmod(np.arange(36), 6)
    found = he.compactness(made(np.stack([(row + col) % 2, row >= 3], 1), (6, 6)))
    assert found.moran[0] == pytest.approx(-1)
    assert found.moran[1] > 0.7


# ------------------------------------------------------------------------------------------------- against the segments


def naive_information(p):
    joint = p / len(p)
    info = sum(
        joint[m, k] * np.log(joint[m, k] / joint[m].sum() / joint[:, k].sum())
        for m, k in itertools.product(*map(range, p.shape))
        if joint[m, k] > 0
    )
    return info / scipy_entropy(joint.sum(0))


@pytest.mark.parametrize("seed", SEEDS)
def test_purity_and_information_agree_with_plain_definitions(seed):
    hypergraph, labels = random_hypergraph(seed), np.random.default_rng(seed).integers(-1, 3, N)
    found, w = he.purity(hypergraph, labels), memberships(hypergraph).weights
    known = labels >= 0
    inside = np.array([[w[labels == k, m].sum() / w[known, m].sum() for k in range(3)] for m in range(4)])
    base = np.array([(labels == k).sum() for k in range(3)]) / known.sum()
    assert found.shares == pytest.approx(inside)
    assert found.base == pytest.approx(base)
    assert found.purity == pytest.approx(inside.max(1))
    assert found.gain == pytest.approx((inside.max(1) - base.max()) / (1 - base.max()))
    assert found.lift == pytest.approx((inside / base).max(1))
    assert found.label.tolist() == (inside / base).argmax(1).tolist()
    assert found.nmi == pytest.approx(naive_information(inside))


@pytest.mark.parametrize("seed", SEEDS)
def test_chance_is_close_to_the_mean_over_all_orders_of_the_patches(seed, monkeypatch):
    hypergraph, labels = random_hypergraph(seed, m=2, grid=(2, 3)), np.array([0, 1, 1, 0, 2, -1])
    w = memberships(hypergraph).weights
    pure, told = [], []
    for order in itertools.permutations(range(6)):
        y = labels[list(order)]
        p = np.array([[w[y == k, m].sum() / w[y >= 0, m].sum() for k in range(3)] for m in range(2)])
        pure.append(p.max(1))
        told.append(naive_information(p))
    found = he.purity(hypergraph, labels)
    assert found.chance == pytest.approx(np.mean(pure, 0), abs=0.06)
    assert found.nmi_chance == pytest.approx(np.mean(told), rel=0.15)
    assert found.nmi_adjusted == pytest.approx((found.nmi - found.nmi_chance) / (1 - found.nmi_chance))
    monkeypatch.setattr(he, "_SHUFFLES", 20_000)
    many = he.purity(hypergraph, labels)
    assert many.chance == pytest.approx(np.mean(pure, 0), abs=0.003)
    assert many.nmi_chance == pytest.approx(np.mean(told), rel=0.02)


def test_chance_is_always_the_same():
    hypergraph, labels = random_hypergraph(), np.arange(N) % 3
    assert he.purity(hypergraph, labels).nmi_chance == he.purity(hypergraph, labels).nmi_chance


def test_hyperedges_that_are_the_segments_tell_all_and_uniform_ones_nothing():
    labels = np.arange(N) // 5
    perfect = he.purity(made(np.eye(4)[labels], GRID), labels)
    assert perfect.purity == pytest.approx(np.ones(4))
    assert perfect.gain == pytest.approx(np.ones(4))
    assert perfect.lift == pytest.approx(np.full(4, 4))
    assert perfect.nmi == pytest.approx(1)
    assert perfect.nmi_adjusted == pytest.approx(1)
    assert perfect.nmi_chance < 0.3
    assert perfect.label.tolist() == [0, 1, 2, 3]
    nothing = he.purity(made(np.ones((N, 3)), GRID), labels)
    assert nothing.gain == pytest.approx(np.zeros(3), abs=1e-12)
    assert nothing.lift == pytest.approx(np.ones(3))
    assert nothing.nmi == pytest.approx(0, abs=1e-12)


def test_single_patches_are_pure_but_tell_no_more_than_they_would_anywhere():
    labels = np.arange(N) // 5
    a = np.zeros((N, 4))
    a[[0, 1, 10, 17], range(4)] = 1
    found = he.purity(made(a, GRID), labels)
    assert found.purity == pytest.approx(np.ones(4))
    assert found.chance == pytest.approx(np.ones(4))
    assert (found.nmi, found.nmi_chance, found.nmi_adjusted) == pytest.approx((1, 1, 0))
    assert by_key(sh.summary(made(a, GRID), labels=labels))["segment_information"].level == "bad"


def test_one_label_and_no_label_have_their_reasons():
    found = by_key(sh.summary(random_hypergraph(), labels=np.zeros(N, int)))
    assert found["edge_purity"].value == 1
    for key in ("purity_gain", "segment_information", "clique_homophily_adjusted"):
        assert found[key].value is None
        assert "only one label" in found[key].hint
    assert "no patch has a label" in by_key(sh.summary(random_hypergraph(), labels=np.full(N, -1)))["edge_purity"].hint
    alone = np.zeros((4, 1))
    alone[0] = 1
    assert "no labelled patch is in a hyperedge" in by_key(sh.summary(made(alone), labels=[-1, 0, 1, 1]))["edge_purity"].hint


@pytest.mark.parametrize("seed", SEEDS)
def test_clique_homophily_agrees_with_the_dense_matrix(seed):
    hypergraph, labels = random_hypergraph(seed), np.random.default_rng(seed).integers(-1, 3, N)
    k = hypergraph.shared_membership()[0].numpy()[np.ix_(labels >= 0, labels >= 0)]
    y = labels[labels >= 0]
    np.fill_diagonal(k, 0)
    share = (k * (y[:, None] == y)).sum() / k.sum()
    q = np.array([k[y == c].sum() for c in range(3)]) / k.sum()
    found = he.clique_homophily(hypergraph, labels)
    assert (found.share, found.chance, found.adjusted) == pytest.approx((share, q @ q, (share - q @ q) / (1 - q @ q)))


@pytest.mark.parametrize("seed", SEEDS)
def test_adjusted_clique_homophily_of_hard_hyperedges_is_networkx_assortativity(seed):
    random = np.random.default_rng(seed)
    a, labels = (random.random((12, 4)) < 0.4).astype(int), random.integers(0, 3, 12)
    g = nx.MultiGraph()
    g.add_nodes_from((n, {"y": int(labels[n])}) for n in range(12))
    for i, j in itertools.combinations(range(12), 2):
        g.add_edges_from([(i, j)] * int(a[i] @ a[j]))
    assert he.clique_homophily(made(a), labels).adjusted == pytest.approx(nx.attribute_assortativity_coefficient(g, "y"))


def test_patches_that_share_nothing_have_no_clique_homophily():
    with pytest.raises(NotMeasurable, match="share a hyperedge"):
        he.clique_homophily(made(np.eye(4)), [0, 0, 1, 1])


# ------------------------------------------------------------------------------------------------------- what they carry


def test_contrast_and_strength_of_the_message_by_hand():
    hypergraph = made(np.ones((2, 1)))
    same = he.message(hypergraph, messages_of([[1.0, 0]], [[3, 4], [3, 4]]), torch.tensor([[[10.0, 0], [0, 10]]]))
    assert (same.contrast, same.strength) == pytest.approx((0, 0.5))
    opposite = he.message(hypergraph, messages_of([[1.0, 0]], [[3, 4], [-3, -4]]))
    assert opposite.contrast == pytest.approx(1)
    assert math.isnan(opposite.strength)
    with pytest.raises(NotMeasurable, match="adds nothing"):
        he.message(hypergraph, messages_of([[1.0, 0]], np.zeros((2, 2))))


def test_uniform_hyperedges_tell_every_patch_the_same():
    module = layer(sharp=0)
    with torch.no_grad():
        module.edge_generator.context_net.weight.zero_()
        module.edge_generator.context_net.bias.zero_()
    hypergraph, messages = seen(module, tokens(), GRID)
    found = by_key(sh.summary(hypergraph, messages=messages))
    assert found["message_contrast"].value < 1e-6
    assert found["message_contrast"].level == found["uniform_edges"].level == found["edges_different"].level == "bad"
    assert found["contrast_flat"].value == 1
    assert found["map_correlation"].value is None


def test_hardening_by_hand():
    a = np.array([[0.75, 0.25], [0.5, 0.1], [0.2, 0.2]])
    found = he.hardening(made(a))
    assert found.lost == pytest.approx(1 - (0.75 + 0.5 + 0.2) / 2.0)
    assert found.empty == 0.5  # a tie goes to the first
    assert math.isnan(found.message)
    sent = np.array([[1.0, 0], [0, 1]])
    hard = np.array([[1, 0], [1, 0], [1, 0]])  # where nothing is normalised, a member counts 1
    changed = he.hardening(made(a), messages_of(sent, a @ sent)).message
    assert changed == pytest.approx(np.linalg.norm((a - hard) @ sent) / np.linalg.norm(a @ sent))


def test_one_hot_patches_lose_nothing_by_being_hard():
    sent = np.random.default_rng(0).standard_normal((4, 3))
    found = he.hardening(made(ONE_HOT), messages_of(sent, ONE_HOT @ sent))
    assert (found.lost, found.empty, found.message) == pytest.approx((0, 0, 0))


def test_hardening_of_a_layer_is_what_its_message_passing_gives():
    module = layer()
    hypergraph, messages = seen(module, tokens(), GRID)
    received = hypergraph.hardened().participation @ messages.hyperedges
    expected = float((messages.received - received).norm() / messages.received.norm())
    assert he.hardening(hypergraph, messages).message == pytest.approx(expected, rel=1e-4)


def test_a_layer_that_divides_by_degrees_is_not_hardened_by_a_formula_of_another():
    torch.manual_seed(0)
    hypergraph, messages = seen(HGNNLayer(16, 4).eval(), tokens(), GRID)
    found = by_key(sh.summary(hypergraph, messages=messages))
    assert found["hard_message"].value is None
    assert "degrees" in found["hard_message"].hint
    assert found["message_contrast"].value > 0


def test_margin_of_the_choice_by_hand():
    scores = torch.tensor([[99.0, 5, 1, 4, 2]])
    rule = Rule("soft-sparse", {"k": 2, "fixed": 1})
    found = he.selection_margin(random_hypergraph(m=5, scores=scores, rule=rule))
    assert found == pytest.approx((4 - 2) / np.std([5, 1, 4, 2]))
    for k, other, reason in ((0, scores, "none or all"), (4, scores, "none or all"), (2, torch.ones(1, 5), "same score")):
        with pytest.raises(NotMeasurable, match=reason):
            he.selection_margin(random_hypergraph(m=5, scores=other, rule=Rule("soft-sparse", {"k": k, "fixed": 1})))
    with pytest.raises(NotMeasurable, match="always on"):
        he.selection_margin(random_hypergraph())


@pytest.mark.parametrize("seed", SEEDS)
def test_importance_is_spearmans_correlation_with_the_load(seed):
    hypergraph = random_hypergraph(seed, m=6)
    drops = np.random.default_rng(seed).integers(0, 4, 6).astype(float)
    drops[0] = np.nan
    expected = spearmanr(drops[1:], he.load(hypergraph).share[1:]).statistic
    assert sh.importance(drops, hypergraph).value == pytest.approx(expected)
    assert sh.importance(np.zeros(6), hypergraph).value is None
    assert "fewer than three" in sh.importance([np.nan] * 4 + [1, 2], hypergraph).hint
    with pytest.raises(ValueError, match="3 drops were given for 6"):
        sh.importance(np.zeros(3), hypergraph)


# ---------------------------------------------------------------------------------------------------------- the summary


def everything() -> dict[str, list]:
    """One summary of each kind, each with all that can be given."""
    dense, messages = seen(layer(), tokens(n=N + 1), GRID, 1)
    chosen, sent = seen(sparse_layer(), tokens(), GRID)
    labels = np.arange(N) // 5
    boxes = found_boxes([[0, 0, 20, 20], [40, 30, 70, 60]])
    torch.manual_seed(0)
    tunnel = Tunnel(torch.randn(1, 4, 4, 5), torch.randn(1, 4, 4, 5), torch.tensor(0.3))
    return {
        "dense": sh.summary(dense, messages=messages, tokens=tokens(n=N + 1), labels=labels),
        "sparse": sh.summary(chosen, messages=sent, tokens=tokens(), labels=labels, labels_are_truth=True),
        "usage": sh.usage_summary(sh.usage([seen(sparse_layer(), tokens(4, seed=s), GRID)[0] for s in range(3)])),
        "detector": detector.detector_summary(
            {"branch 1": random_hypergraph(0), "branch 2": random_hypergraph(1)}, {"12": tunnel}, boxes, boxes
        ),
        "importance": [sh.importance(np.arange(4.0), random_hypergraph())],
    }


def test_summaries_together_have_every_key_of_the_catalogue_in_order():
    found = everything()
    keys = [m.key for part in ("dense", "usage", "detector", "importance") for m in found[part]]
    words = list(catalogue("soft_hypergraph"))
    assert sorted(keys) == sorted(words)
    assert [m.key for m in found["dense"]] == [m.key for m in found["sparse"]] == [k for k in words if k in {m.key for m in found["dense"]}]
    assert {m.key for part in found.values() for m in part if m.value is not None} == set(words)
    for m in itertools.chain(*found.values()):
        assert m.hint.endswith(".")
        assert m.name
        assert m.formula
        assert m.source
        assert (m.value is None) == m.hint.startswith("Not measured: ")


def test_a_key_stands_in_one_file_only():
    files = sorted(Path(package.__file__).parent.glob("*.json"))
    keys = [key for file in files for key in json.loads(file.read_text(encoding="utf-8"))]
    assert len(keys) == len(set(keys)) == len(vocabulary())
    assert {"edges", "delta_hyperbolicity", "edge_entropy"} <= set(vocabulary())


@pytest.mark.parametrize(("level", "watch", "bad"), [("good", np.inf, np.inf), ("watch", -np.inf, np.inf), ("bad", -np.inf, -np.inf)])
def test_every_sentence_can_be_said_at_every_level(level, watch, bad, monkeypatch):
    forced = {k: {**v, "watch": watch, "bad": bad} if "watch" in v else v for k, v in catalogue("soft_hypergraph").items()}
    monkeypatch.setattr("explorer.diagnostics.measure.vocabulary", lambda: forced)
    said = {m.key for part in everything().values() for m in part if m.level in (level, "info") and m.value is not None}
    assert said == set(catalogue("soft_hypergraph"))


def test_k_means_segments_are_never_called_truth():
    labels = np.arange(N) // 5
    keys = ("edge_purity", "purity_gain", "purity_lift", "segment_information", "clique_homophily", "clique_homophily_adjusted")
    for truth in (True, False):
        found = by_key(sh.summary(random_hypergraph(), labels=labels, labels_are_truth=truth))
        for key in keys:
            assert (KMEANS_NOTE in found[key].hint) == (not truth)
            assert ("object" in found[key].hint) == truth


def test_what_was_not_given_is_said():
    found = by_key(sh.summary(random_hypergraph()))
    for key, reason in {
        "edge_purity": "no segments",
        "clique_homophily": "no segments",
        "message_contrast": "nothing was recorded",
        "hard_message": "nothing was recorded",
        "edges_saying_different": "nothing was recorded",
        "prototype_cosine": "not made from prototypes",
        "head_agreement": "one head",
        "choice_margin": "always on",
        "special_mass": "every token is a patch",
    }.items():
        assert found[key].value is None
        assert reason in found[key].hint
    hypergraph, messages = seen(layer(), tokens(), GRID)
    strength = by_key(sh.summary(hypergraph, messages=messages))["message_strength"]
    assert strength.value is None
    assert "was not recorded" in strength.hint


def test_nothing_on_one_hyperedge_and_one_patch_have_sentences_not_crashes():
    off = sh.summary(random_hypergraph(selected=torch.zeros(1, 4, dtype=torch.bool)), labels=np.arange(N) % 2)
    assert off[0].value == 0
    assert off[0].level == "bad"
    assert all(m.value is None for m in off[1:])
    assert sum("no hyperedge is on" in m.hint for m in off) > 10
    single = by_key(sh.summary(random_hypergraph(m=1)))
    assert single["edge_entropy"].value > 0
    for key in ("edges_different", "map_correlation", "edge_overlap", "patch_entropy", "load_most"):
        assert "only one hyperedge" in single[key].hint
    assert "only one patch" in by_key(sh.summary(made([[0.3, 0.7]]), labels=[1]))["edge_entropy"].hint


@pytest.mark.parametrize(
    "make",
    [lambda x: NearestHyperedges(4)(x, GRID), lambda x: FuzzyCMeans(3)(x, GRID), lambda x: HardMembers()(FuzzyCMeans(3)(x, GRID))],
)
def test_hard_and_fuzzy_hyperedges_are_measured_too(make):
    found = by_key(sh.summary(make(tokens()), labels=np.arange(N) // 5))
    for key in ("edge_entropy", "edge_overlap", "load_most", "edge_purity", "clique_homophily", "hard_lost", "edge_compactness"):
        assert found[key].value is not None
        assert math.isfinite(found[key].value)


def test_pictures_of_a_batch_are_measured_one_by_one():
    x = tokens(3, n=N + 1)
    module = layer()
    hypergraph, messages = seen(module, x, GRID, 1)
    for picture in range(3):
        alone, sent = seen(module, x[[picture]], GRID, 1)
        one = folder_row(sh.summary(alone, messages=sent, tokens=x[[picture]], labels=np.arange(N) // 5))
        many = folder_row(sh.summary(hypergraph, picture=picture, messages=messages, tokens=x, labels=np.arange(N) // 5))
        assert list(one) == list(many)
        for key in one:
            assert (one[key] is None) == (many[key] is None), key
            assert one[key] is None or one[key] == pytest.approx(many[key], rel=1e-3, abs=1e-5), key


def test_half_precision_is_measured():
    hypergraph, _ = seen(layer(), tokens(), GRID)
    half = replace(hypergraph, participation=hypergraph.participation.to(torch.bfloat16))
    whole, rough = (folder_row(sh.summary(h)) for h in (hypergraph, half))
    assert rough["edge_entropy"] == pytest.approx(whole["edge_entropy"], abs=0.01)


def test_the_class_token_is_a_number_and_not_a_patch():
    a = np.array([[0.4, 0.6], [0.3, 0.2], [0.3, 0.2]])
    found = by_key(sh.summary(made(a, special=1)))
    assert found["special_mass"].value == pytest.approx(0.5)
    assert "1 special token " in found["special_mass"].hint
    assert found["edge_entropy"].value == pytest.approx(1)


POSITION_KEYS = {"edge_compactness", "edge_moran"}


def permuted(hypergraph, messages, patches, edges):
    """The same hypergraph and messages with patches and hyperedges in another order."""
    p, e = torch.as_tensor(np.asarray(patches)), torch.as_tensor(np.asarray(edges))
    pick = {
        "participation": hypergraph.participation[:, p][:, :, e],
        "logits": hypergraph.logits[:, p][:, :, e],
        "queries": hypergraph.queries[:, p],
        "prototypes": hypergraph.prototypes[:, e],
        "static": hypergraph.static[e],
        "offset": hypergraph.offset[:, e],
    }
    sent = HypergraphMessages(messages.collected[:, e], messages.hyperedges[:, e], messages.received[:, p], messages.update[:, p])
    return replace(hypergraph, **pick), sent


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), patches=st.permutations(range(N)), edges=st.permutations(range(4)), sharp=st.floats(0.1, 20))
def test_numbering_does_not_matter_and_values_stay_in_range(seed, patches, edges, sharp):
    x, labels = tokens(seed=seed), np.random.default_rng(seed).integers(-1, 3, N)
    hypergraph, messages = seen(layer(seed % 100, sharp), x, GRID)
    one = folder_row(sh.summary(hypergraph, messages=messages, tokens=x, labels=labels))
    other, sent = permuted(hypergraph, messages, patches, edges)
    two = folder_row(sh.summary(other, messages=sent, tokens=x[:, list(patches)], labels=labels[list(patches)]))
    same, _ = permuted(hypergraph, messages, range(N), edges)
    three = folder_row(sh.summary(same, labels=labels))
    for key in one:
        if key in POSITION_KEYS:
            assert one[key] == pytest.approx(three[key], rel=1e-6, abs=1e-9), key
        else:
            assert (one[key] is None) == (two[key] is None), key
            assert one[key] is None or one[key] == pytest.approx(two[key], rel=1e-4, abs=1e-6), key
    words = catalogue("soft_hypergraph")
    unit = [k for k, v in words.items() if v["unit"] == "share"] + ["edge_entropy", "patch_entropy", "load_gap", "edge_overlap"]
    unit += ["segment_information", "message_contrast"]
    for key in unit:
        assert one.get(key) is None or -1e-9 <= one[key] <= 1 + 1e-9, key
    for key in ("map_correlation", "prototype_cosine", "head_agreement"):
        assert one[key] is None or -1 <= one[key] <= 1, key
    assert 1 - 1e-9 <= one["edge_members"] <= N + 1e-6
    assert one["edges_different"] == 0 or 1 - 1e-9 <= one["edges_different"] <= 4 + 1e-9
    assert 1 - 1e-9 <= one["edges_saying_different"] <= 4 + 1e-9
    assert 1 - 1e-9 <= one["load_most"] <= 4 + 1e-9


DOUBLING_KEYS = (
    "edge_entropy",
    "edge_members",
    "contrast_low",
    "contrast_high",
    "contrast_flat",
    "edges_different",
    "uniform_edges",
    "load_most",
    "edge_compactness",
    "edge_moran",
    "edge_purity",
    "purity_gain",
    "purity_lift",
    "segment_information",
    "clique_homophily",
    "clique_homophily_adjusted",
)


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), sharp=st.floats(1, 5))
def test_drawing_every_hyperedge_twice_adds_nothing_but_twins(seed, sharp):
    once, labels = random_hypergraph(seed, sharp=sharp), np.random.default_rng(seed).integers(0, 3, N)
    twice = replace(once, participation=once.participation.repeat(1, 1, 2))
    one, two = (folder_row(sh.summary(h, labels=labels)) for h in (once, twice))
    for key in DOUBLING_KEYS:
        assert one[key] == pytest.approx(two[key], rel=1e-6, abs=1e-9), key
    assert two["twin_edges"] == 1
    assert two["map_correlation"] > one["map_correlation"]
    assert two["hard_empty"] >= 0.5


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), scale=st.floats(1e-3, 1e3))
def test_the_size_of_the_participation_does_not_matter_to_shares(seed, scale):
    once, labels = random_hypergraph(seed), np.random.default_rng(seed).integers(0, 3, N)
    one, two = (folder_row(sh.summary(h, labels=labels)) for h in (once, replace(once, participation=once.participation * scale)))
    for key in one:
        assert (one[key] is None) == (two[key] is None), key
        assert one[key] is None or one[key] == pytest.approx(two[key], rel=1e-6, abs=1e-9), key


# ------------------------------------------------------------------------------------------------------- many pictures


def choosing(on, k, fixed, load=None, **fields) -> SoftHypergraph:
    on = torch.tensor(on)[None].bool()
    a = torch.rand(1, 6, on.shape[1], generator=torch.Generator().manual_seed(0)) if load is None else load
    return SoftHypergraph(a * on[:, None], (2, 3), Rule("soft-sparse", {"k": k, "fixed": fixed}), normalise="none", selected=on, **fields)


def test_usage_by_hand():
    shown = [choosing([1, 1, 0, 0, 1, 0], 2, 1)] * 15 + [choosing([1, 1, 0, 1, 0, 0], 2, 1)]
    found = sh.usage(shown)
    assert found.pictures == 16
    assert found.on == pytest.approx([1, 1, 0, 1 / 16, 15 / 16, 0])
    assert found.dynamic.tolist() == [False] + [True] * 5
    assert found.dead.tolist() == [False, False, True, False, False, True]  # an even choice is 2/5, so dead is below 1/25 of the pictures
    assert found.always.tolist() == [False, True, False, False, False, False]
    assert found.load.sum() == pytest.approx(1)
    assert found.load[[2, 5]].tolist() == [0, 0]
    measures = by_key(sh.usage_summary(found))
    assert measures["usage_dead"].value == pytest.approx(2 / 5)
    assert "16 pictures are few" in measures["usage_dead"].hint
    assert measures["usage_always"].value == pytest.approx(1 / 5)
    assert measures["usage_drawn"].value == 1
    assert measures["usage_load_most"].value == pytest.approx(5 * found.load[1:].max() / found.load[1:].sum())


def test_usage_tells_the_mean_number_of_different_hyperedges():
    pictures = [random_hypergraph(seed) for seed in range(3)]
    found = sh.usage(pictures)
    alone = [he.effective_number(picture) for picture in pictures]
    assert found.different == pytest.approx(alone)
    told = by_key(sh.usage_summary(found))["usage_different"]
    assert told.value == pytest.approx(np.mean(alone))
    assert f"{np.std(alone, ddof=1):.1f}" in told.hint
    nothing = sh.usage([choosing([0, 0, 0], 0, 0)])
    assert np.isnan(nothing.different).all()
    assert by_key(sh.usage_summary(nothing))["usage_different"].value is None


def test_busiest_hyperedge_is_counted_from_one_as_on_the_page():
    load = torch.tensor([[[0.1, 0.9, 0.2]] * 6])
    found = SoftHypergraph(load, (2, 3), Rule("soft"), normalise="none")
    assert "(number 2)" in by_key(sh.summary(found))["load_most"].hint
    assert "(number 2)" in by_key(sh.usage_summary(sh.usage([found])))["usage_load_most"].hint


def test_usage_of_dense_hyperedges_counts_those_that_draw():
    flat = random_hypergraph(sharp=1e-4)
    found = sh.usage([random_hypergraph(0), flat, random_hypergraph(1), flat])
    assert found.on.tolist() == [1] * 4
    assert found.drawn.tolist() == [0.5] * 4
    assert not found.dynamic.any()
    measures = by_key(sh.usage_summary(found))
    assert measures["usage_drawn"].value == 0.5
    assert "always on" in measures["usage_dead"].hint
    assert "prototypes" in measures["input_dependence"].hint
    nearest = sh.usage([NearestHyperedges(4)(tokens(), GRID)])
    assert nearest.k is None


def test_input_dependence_agrees_with_its_definition_and_one_picture_has_none():
    p = torch.randn(5, 4, 3, generator=torch.Generator().manual_seed(0)).double()
    hypergraph = SoftHypergraph(torch.rand(5, N, 4), GRID, Rule("soft"), prototypes=p)
    expected = float((p - p.mean(0)).square().sum() / p.square().sum())
    assert sh.usage([hypergraph]).input_dependence == pytest.approx(expected)
    assert sh.usage([replace(hypergraph, prototypes=p[:1].expand(5, -1, -1))]).input_dependence == pytest.approx(0, abs=1e-12)
    one = by_key(sh.usage_summary(sh.usage([random_hypergraph(prototypes=p[:1])])))["input_dependence"]
    assert one.value is None
    assert "one picture" in one.hint


def test_usage_refuses_nothing_and_what_is_not_of_one_layer():
    with pytest.raises(ValueError, match="no hypergraph"):
        sh.usage([])
    with pytest.raises(ValueError, match="not of one layer"):
        sh.usage([random_hypergraph(m=3), random_hypergraph(m=4)])
    assert sh.usage([random_hypergraph(), random_hypergraph(grid=(7, 3))]).pictures == 2


# ------------------------------------------------------------------------------------------------------------- detector


def test_equal_branches_are_copies_and_others_are_not():
    one = random_hypergraph(0)
    shuffled = replace(one, participation=one.participation[:, :, [2, 0, 3, 1]])
    for found in detector.branch_likeness(one, shuffled):
        assert found == pytest.approx(np.ones(4))
    a, b = one.participation[0].numpy(), random_hypergraph(1, m=3).participation[0].numpy()
    alike = np.corrcoef(a.T, b.T)[:4, 4:]
    left, right = detector.branch_likeness(one, random_hypergraph(1, m=3))
    assert left == pytest.approx(alike.max(1))
    assert right == pytest.approx(alike.max(0))
    with pytest.raises(NotMeasurable, match="uniform"):
        detector.branch_likeness(one, made(np.ones((N, 2)), GRID))
    with pytest.raises(ValueError, match="different grids"):
        detector.branch_likeness(one, random_hypergraph(grid=(2, 10)))


def test_cells_of_boxes():
    found = detector.cells_of(found_boxes([[0, 0, 32, 16], [17, 17, 20, 20], [0, 0, 80, 64], [70, 60, 200, 100]]), GRID)
    assert np.flatnonzero(found[0]).tolist() == [0, 1]
    assert np.flatnonzero(found[1]).tolist() == [6]  # smaller than a cell: the one that it lies in
    assert found[2].all()
    assert np.flatnonzero(found[3]).tolist() == [19]
    assert detector.cells_of(found_boxes([]), GRID).shape == (0, N)
    with pytest.raises(ValueError, match="network's input"):
        detector.cells_of(found_boxes([[0, 0, 1, 1]], size=(64, 64)), GRID)
    with pytest.raises(NonFiniteError):
        detector.cells_of(found_boxes([[0, 0, math.nan, 1]]), GRID)


def test_boxes_share_hyperedges():
    a = np.zeros((N, 2))
    a[[0, 19], 0] = 0.5
    a[7, 1] = 1
    boxes = found_boxes([[0, 0, 16, 16], [64, 48, 80, 64], [32, 16, 48, 32], [0, 48, 16, 64]])
    found = detector.box_sharing(made(a, GRID), boxes)
    expected = np.zeros((4, 4))
    expected[:2, :2] = 1
    expected[2, 2] = 1  # the last box is in no hyperedge
    assert found == pytest.approx(expected)
    hypergraph = random_hypergraph(0)
    cells = detector.cells_of(boxes, GRID)
    mean = np.stack([hypergraph.participation[0].numpy()[c].mean(0) for c in cells])
    cosine = mean @ mean.T / np.outer(np.linalg.norm(mean, axis=1), np.linalg.norm(mean, axis=1))
    assert detector.box_sharing(hypergraph, boxes) == pytest.approx(cosine)


def test_share_of_a_hyperedge_in_boxes():
    a = np.zeros((N, 3))
    a[0, 0] = 1
    a[:, 1] = 1 / N
    a[19, 2] = 1
    found = detector.box_share(made(a, GRID), found_boxes([[0, 0, 32, 16], [0, 0, 16, 16]]))
    assert found.area == 2 / N
    assert found.inside == pytest.approx([1, 2 / N, 0])
    assert found.lift == pytest.approx([10, 1, 0])
    assert found.per_box == pytest.approx(np.array([[10, 1, 0], [20, 1, 0]]))
    with pytest.raises(NotMeasurable, match="no box"):
        detector.box_share(made(a, GRID), found_boxes([]))


def test_tunnels_by_hand():
    feature = torch.zeros(2, 1, 2, 2)
    feature[0, 0, 0] = torch.tensor([3.0, 4])
    places = {
        "repeat": Tunnel(feature, feature, torch.tensor(-0.5)),
        "shut": Tunnel(feature, feature, torch.tensor(0.0)),
        "other": Tunnel(feature, feature.flip(2), torch.tensor(2.0)),
    }
    found = detector.tunnels(places)
    assert found.names == ("repeat", "shut", "other")
    assert found.gate.tolist() == [-0.5, 0, 2]
    assert found.loudness == pytest.approx([0.5, 0, 2])
    assert found.loudness == pytest.approx([float(t.loudness()[0]) for t in places.values()])
    assert found.agreement[[0, 2]] == pytest.approx([-1, 0])
    assert np.isnan(found.agreement[1])
    measures = by_key(detector.detector_summary({}, places))
    assert measures["tunnel_loudest"].value == 2
    assert "other" in measures["tunnel_loudest"].hint
    assert measures["tunnels_shut"].value == 1
    shut = by_key(detector.detector_summary({}, {"a": places["shut"]}))
    assert shut["tunnel_loudest"].level == shut["tunnels_shut"].level == "bad"
    with pytest.raises(NonFiniteError, match="repeat"):
        detector.tunnels({"repeat": Tunnel(feature, feature * math.inf, torch.tensor(1.0))})
    with pytest.raises(IndexError):
        detector.tunnels(places, 2)


def test_detections_are_matched_by_class_and_overlap():
    with_it = found_boxes([[0, 0, 10, 10], [20, 20, 40, 40], [50, 50, 60, 60]], [0.9, 0.8, 0.7], [0, 1, 1])
    without = found_boxes([[20, 20, 40, 38], [0, 0, 10, 9], [50, 50, 60, 60]], [0.6, 0.5, 0.4], [1, 0, 0])
    found = detector.matched(with_it, without)
    assert found.kept.tolist() == [[0, 1], [1, 0]]
    assert found.gained.tolist() == found.suppressed.tolist() == [2]  # the same place, another class
    assert found.overlap == pytest.approx([0.9, 0.9])
    assert found.change == pytest.approx([0.4, 0.2])
    measures = folder_row(detector.detector_summary({}, {}, with_it, without))
    assert (measures["boxes_kept"], measures["boxes_gained"], measures["boxes_suppressed"]) == (2, 1, 1)
    assert measures["score_change"] == pytest.approx(30)
    nothing = detector.matched(with_it, found_boxes([]))
    assert (len(nothing.kept), len(nothing.gained), len(nothing.suppressed)) == (0, 3, 0)
    assert folder_row(detector.detector_summary({}, {}, with_it, found_boxes([])))["score_change"] is None
    with pytest.raises(ValueError, match="cannot be compared"):
        detector.matched(with_it, found_boxes([], size=(32, 32)))
    with pytest.raises(ValueError, match="overlap"):
        detector.matched(with_it, without, 0)
    with pytest.raises(NonFiniteError):
        detector.matched(with_it, found_boxes([[0, 0, math.inf, 1]]))


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), one=st.integers(0, 6), other=st.integers(0, 6))
def test_matching_is_symmetric_and_its_overlaps_are_those_of_the_detector(seed, one, other):
    random = np.random.default_rng(seed)

    def some(n):
        corner = random.uniform(0, 20, (n, 2))
        return found_boxes(np.hstack([corner, corner + random.uniform(10, 30, (n, 2))]).tolist(), None, random.integers(0, 2, n).tolist())

    a, b = some(one), some(other)
    found, back = detector.matched(a, b, 0.3), detector.matched(b, a, 0.3)
    assert found.overlap.sum() == pytest.approx(back.overlap.sum())
    assert len(found.kept) + len(found.gained) == one
    assert len(found.kept) + len(found.suppressed) == other
    shared = detection.overlaps(a.boxes, b.boxes).numpy()
    for (i, j), overlap in zip(found.kept, found.overlap, strict=True):
        assert overlap == pytest.approx(shared[i, j], rel=1e-4)
        assert overlap >= 0.3
        assert a.classes[i] == b.classes[j]
    allowed = np.where((a.classes[:, None] == b.classes).numpy() & (shared >= 0.3), shared, 0)
    best = allowed[linear_sum_assignment(-allowed)].sum()
    assert found.overlap.sum() == pytest.approx(best, rel=1e-4)


def test_a_detector_without_records_says_what_is_missing():
    found = by_key(detector.detector_summary({"one": random_hypergraph()}, {}))
    assert all(m.value is None for m in found.values())
    for key, reason in {
        "tunnel_loudest": "nothing was recorded",
        "branch_likeness": "two branches",
        "box_lift": "no detections",
        "boxes_kept": "were not given",
    }.items():
        assert reason in found[key].hint
    none = by_key(detector.detector_summary({"one": random_hypergraph()}, {}, found_boxes([]), found_boxes([])))
    assert "no box" in none["box_lift"].hint
    assert none["boxes_kept"].value == 0
