"""Soft and hard hyperedges, the layers and networks around them, and what an intervention on them does."""

from __future__ import annotations

import json
import math
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.capture import capture
from models.checkpoints import CheckpointError
from models.hypergraphs import convert, detection, hyperace, vit, yolo_blocks, yolov13
from models.hypergraphs.hard import FuzzyCMeans, HardMembers, HGNNLayer, NearestHyperedges, ViHGNNLayer
from models.hypergraphs.softhgnn import (
    SoftHGNN,
    SoftHyperedges,
    SparseSoftHGNN,
    diversity_penalty,
    layer_sizes,
    load_balance,
    selection_variance,
)
from models.structures import Detections, HypergraphMessages, NonFiniteError, PatchGraph, Rule, SoftHypergraph, Tunnel
from models.structures.hypergraph import participation_of
from tests.models.helpers import picture
from tests.parity.__main__ import MISS, OK, check_file
from tests.parity.adapters import adapters
from tests.parity.case import KeyFile, observed

D, N, M = 8, 6, 3


def layer(seed: int = 0, **settings) -> SoftHGNN:
    """A small dense layer in float64 whose hyperedges differ clearly."""
    torch.manual_seed(seed)
    made = SoftHGNN(D, M, **{"num_heads": 2, **settings})
    with torch.no_grad():
        made.edge_generator.prototype_base.mul_(3)
    return made.double().eval()


def sparse(seed: int = 0, **settings) -> SparseSoftHGNN:
    torch.manual_seed(seed)
    made = SparseSoftHGNN(D, **{"num_dyn_hyperedges": 5, "top_k": 2, "num_fixed_hyperedges": 1, "num_heads": 2, **settings})
    return made.double().eval()


def tokens(batch: int = 2, n: int = N, seed: int = 0) -> Tensor:
    return picture(batch, n, D, seed=seed).double()


def seen(model: nn.Module, x: Tensor, **edits) -> tuple[Tensor, SoftHypergraph, HypergraphMessages]:
    with torch.no_grad(), capture(model, edits=edits.get("edits")) as trace:
        result = model(x)
    return result, *trace.of(SoftHypergraph).values(), *trace.of(HypergraphMessages).values()


def hand_made(participation: Tensor, **settings) -> SoftHypergraph:
    """[N, M] or [B, N, M] as a hypergraph of one row of patches."""
    participation = participation if participation.ndim == 3 else participation[None]
    n = participation.shape[1] - settings.get("special", 0)
    return SoftHypergraph(participation, **{"grid": (1, n), "rule": Rule("hand-made"), **settings})


# ------------------------------------------------------------------------------------------------------- one layer, naively


def naive_logits(generator: SoftHyperedges, x: Tensor, heads: int, context: str) -> tuple[Tensor, Tensor]:
    """[B, N, M] and the prototypes [B, M, D], one number at a time, heads compared one by one and averaged."""
    batch, n, d = x.shape
    m, width = generator.prototype_base.shape[0], d // heads
    logits, prototypes = torch.zeros(batch, n, m).double(), torch.zeros(batch, m, d).double()
    for b in range(batch):
        pooled = {"mean": [sum(x[b, :, c]) / n for c in range(d)], "max": [max(x[b, :, c]) for c in range(d)]}
        c = torch.stack([v for name in ("mean", "max") if context in (name, "both") for v in pooled[name]])
        for j in range(m):
            for i in range(d):
                row = generator.context_net.weight[j * d + i]
                prototypes[b, j, i] = generator.prototype_base[j, i] + row @ c + generator.context_net.bias[j * d + i]
        for i in range(n):
            query = generator.pre_head_proj(x[b, i])
            for j in range(m):
                parts = [query[h * width : (h + 1) * width] @ prototypes[b, j, h * width : (h + 1) * width] for h in range(heads)]
                logits[b, i, j] = sum(parts) / math.sqrt(width) / heads
    return logits, prototypes


def naive_messages(module: SoftHGNN, x: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
    """E [B, M, D] and U [B, N, D] by sums over members."""
    edges = torch.stack(
        [torch.stack([sum(a[b, i, j] * x[b, i] for i in range(x.shape[1])) for j in range(a.shape[2])]) for b in range(len(x))]
    )
    edges = F.gelu(module.edge_proj[0](edges))
    back = torch.stack(
        [torch.stack([sum(a[b, i, j] * edges[b, j] for j in range(a.shape[2])) for i in range(x.shape[1])]) for b in range(len(x))]
    )
    return edges, F.gelu(module.node_proj[0](back))


@pytest.mark.parametrize("normalise", ["vertices", "hyperedges"])
@pytest.mark.parametrize(("heads", "context"), [(1, "both"), (2, "mean"), (4, "max")])
@pytest.mark.parametrize("gate", [False, True])
@torch.no_grad()
def test_the_layer_is_the_naive_layer(heads: int, context: str, normalise: str, gate: bool) -> None:
    module, x = layer(num_heads=heads, context=context, normalise=normalise, gate=gate), tokens()
    if module.gate is not None:
        module.gate.fill_(0.5)
    result, hypergraph, messages = seen(module, x)
    logits, prototypes = naive_logits(module.edge_generator, x, heads, context)
    a = logits.exp() / logits.exp().sum(1 if normalise == "vertices" else 2, keepdim=True)
    edges, update = naive_messages(module, x, a)
    for ours, expected in [
        (hypergraph.prototypes, prototypes),
        (hypergraph.logits, logits),
        (hypergraph.participation, a),
        (messages.hyperedges, edges),
        (messages.update, update),
        (result, x + (0.5 if gate else 1) * update),
    ]:
        assert torch.allclose(ours, expected, atol=1e-12)
    assert torch.allclose(hypergraph.static + hypergraph.offset, hypergraph.prototypes)
    assert hypergraph.grid == (1, N)


@torch.no_grad()
def test_heads_are_a_temperature_and_can_be_looked_at_one_by_one() -> None:
    x = tokens()
    _, four, _ = seen(layer(num_heads=4), x)
    _, one, _ = seen(layer(num_heads=1), x)
    assert torch.allclose(four.participation, one.at_temperature(2 * one.temperature).participation)
    assert four.head_logits().shape == (2, 4, N, M)
    assert torch.allclose(four.head_logits().mean(1), four.logits)
    assert torch.allclose(four.per_head().sum(2), torch.ones(2, 4, M).double())
    assert torch.allclose(one.per_head()[:, 0], one.participation)
    assert not torch.allclose(four.per_head()[:, 0], four.participation)
    hotter = four.at_temperature(3.0)
    assert torch.allclose(hotter.head_logits().mean(1), hotter.logits)


@torch.no_grad()
def test_a_shift_of_all_queries_matters_only_to_the_scores() -> None:
    dense, chosen, x = layer(), sparse(), tokens()
    before, scores = seen(dense, x)[1], seen(chosen, x)[1].scores
    for module in (dense, chosen):
        module.edge_generator.pre_head_proj.bias.add_(1)
    assert torch.allclose(seen(dense, x)[1].participation, before.participation)
    assert not torch.allclose(seen(chosen, x)[1].scores, scores)


@torch.no_grad()
def test_four_times_the_tokens_give_a_quarter_of_the_message() -> None:
    x = tokens()
    once = seen(layer(), x)[2].received
    four = seen(layer(), x.repeat(1, 4, 1))[2].received
    assert torch.allclose(four[:, :N], once / 4)


@pytest.mark.parametrize("make", [layer, sparse])
def test_gradients_are_those_of_finite_differences(make) -> None:
    module, x = make(), tokens().requires_grad_()
    parameters = [p for name, p in module.named_parameters() if "gate" not in name]
    assert torch.autograd.gradcheck(lambda x, *_: module(x), (x, *parameters))


@pytest.mark.parametrize(("module", "used"), [(layer(gate=True), True), (sparse(), False)])
def test_the_gate_learns_only_in_the_dense_layer(module: SoftHGNN, used: bool) -> None:
    module(tokens()).sum().backward()
    assert (module.gate.grad is not None) is used
    assert all(p.grad is not None for name, p in module.named_parameters() if name != "gate")


def test_dropout_is_on_the_logits_and_in_training_only() -> None:
    module, x = layer(dropout=0.5).train(), tokens()
    _, hypergraph, _ = seen(module, x)
    assert (hypergraph.logits == 0).any()
    assert torch.allclose(hypergraph.participation.sum(1), torch.ones(2, M).double())
    assert not (seen(module.eval(), x)[1].logits == 0).any()


def test_half_precision_does_not_underflow_over_many_vertices() -> None:
    module = layer().bfloat16()
    x = picture(1, 4096, D).bfloat16()
    _, hypergraph, _ = seen(module, x)
    assert hypergraph.participation.dtype == torch.bfloat16
    assert torch.allclose(hypergraph.participation.float().sum(1), torch.ones(1, M), atol=2e-2)
    inside = participation_of(torch.linspace(-12, 0, 4096).half().view(1, -1, 1), "vertices")
    assert inside.dtype == torch.float32
    assert inside.min() > 0  # in half precision the smallest would be 0


# ----------------------------------------------------------------------------------------------------------------- sparse


@torch.no_grad()
def test_the_sparse_layer_is_the_masked_dense_one() -> None:
    module, x = sparse(), tokens(batch=4)
    result, hypergraph, messages = seen(module, x)
    logits, _ = naive_logits(module.edge_generator, x, 2, "both")
    a, expected = logits.softmax(1), torch.zeros(4, 6, dtype=torch.bool)
    for b in range(4):
        ranked = sorted(range(1, 6), key=lambda j: -sum(logits[b, :, j]).item())
        expected[b, [0, *ranked[:2]]] = True
    assert torch.equal(hypergraph.selected, expected)
    assert len(expected.unique(dim=0)) > 1  # the choice follows the picture
    assert torch.allclose(hypergraph.participation, a * expected[:, None])
    edges, update = naive_messages(module, x, a * expected[:, None])
    assert torch.allclose(result, x + update)
    assert torch.allclose(messages.hyperedges, edges * expected[..., None])


@torch.no_grad()
def test_hyperedges_that_are_off_are_not_computed() -> None:
    module, x = sparse(num_dyn_hyperedges=40, top_k=2), tokens()
    entering: list[Tensor] = []
    module.edge_proj.register_forward_pre_hook(lambda _, given: entering.append(given[0]))
    module(x)
    assert entering[0].shape == (2, 3, D)


@torch.no_grad()
def test_pictures_may_have_different_numbers_of_hyperedges() -> None:
    module, x = layer(), tokens()
    on = torch.tensor([[True, True, True], [False, True, False]])
    result, cut, messages = seen(
        module, x, edits={"edge_generator": lambda h: replace(h, selected=on, participation=h.participation * on[:, None])}
    )
    _, update = naive_messages(module, x, cut.participation)
    assert torch.allclose(result, x + update)
    assert not messages.hyperedges[1, [0, 2]].any()
    assert messages.hyperedges[0].abs().amin(1).gt(0).all()


@torch.no_grad()
def test_the_choice_follows_the_pooled_picture() -> None:
    module, x = sparse(), tokens()
    generator, hypergraph = module.edge_generator, seen(module, x)[1]
    pooled = generator.pre_head_proj(x.mean(1))[:, None] @ hypergraph.prototypes.transpose(1, 2)
    assert torch.allclose(hypergraph.scores, N * pooled[:, 0] / math.sqrt(2 * D))


@torch.no_grad()
@pytest.mark.parametrize("k", [0, 1, 5])
def test_another_k_is_the_layer_that_was_built_with_it(k: int) -> None:
    x = tokens(batch=3)
    wanted, hypergraph, _ = seen(sparse(top_k=k), x)
    edited, _, _ = seen(sparse(), x, edits={"edge_generator": lambda h: h.with_top_k(k)})
    assert torch.allclose(edited, wanted)
    changed = seen(sparse(), x)[1].with_top_k(k)
    assert torch.allclose(changed.participation, hypergraph.participation)
    assert changed.rule.settings["k"] == k


def chosen(selected: list[list[int]], scores: Tensor | None = None, k: int = 1, fixed: int = 1) -> SoftHypergraph:
    on = torch.tensor(selected, dtype=torch.bool)
    rule = Rule("soft-sparse", {"k": k, "fixed": fixed})
    scores = torch.zeros(on.shape) if scores is None else scores
    return hand_made(torch.rand(len(on), 4, on.shape[1]), rule=rule, selected=on, scores=scores)


def test_load_losses() -> None:
    even = chosen([[1, 1, 0], [1, 0, 1]])
    lopsided = chosen([[1, 1, 0], [1, 1, 0]], torch.tensor([[0.0, 20.0, 0.0]]).expand(2, 3))
    assert selection_variance(even).item() == 0
    assert selection_variance(lopsided).item() == pytest.approx(0.25)
    assert selection_variance(chosen([[1, 1, 0]])).item() == pytest.approx((1 / 2) * (1 - 1 / 2))  # one picture: a constant
    assert load_balance(even).item() == pytest.approx(1)
    assert load_balance(chosen([[1, 1, 1, 0, 0], [1, 0, 0, 1, 1]], k=2)).item() == pytest.approx(1)
    assert load_balance(lopsided).item() == pytest.approx(2)
    assert load_balance(lopsided, temperature=1e6).item() == pytest.approx(1, abs=1e-4)


def test_only_our_load_loss_has_a_gradient() -> None:
    module, x = sparse().train(), tokens(batch=4)
    with capture(module) as trace:
        module(x)
    (hypergraph,) = trace.of(SoftHypergraph).values()
    assert not selection_variance(hypergraph).requires_grad
    load_balance(hypergraph).backward()
    assert module.edge_generator.prototype_base.grad.abs().sum() > 0


def test_the_diversity_penalty_counts_twins() -> None:
    column = torch.rand(6, generator=torch.Generator().manual_seed(0))
    other = torch.tensor([0.5, 0.5, 0, 0, 0, 0])
    apart = torch.tensor([0, 0, 0.5, 0.5, 0, 0])
    assert diversity_penalty(hand_made(torch.stack([column, 2 * column], 1))).item() == pytest.approx(1, abs=1e-5)
    expected = (F.normalize(other - other.mean(), dim=0) @ F.normalize(apart - apart.mean(), dim=0)) ** 2
    assert diversity_penalty(hand_made(torch.stack([other, apart], 1))).item() == pytest.approx(expected.item(), abs=1e-6)
    three = diversity_penalty(hand_made(torch.stack([column, column, column], 1)))
    assert three.item() == pytest.approx(1, abs=1e-5)
    assert diversity_penalty(hand_made(column[:, None])).item() == 0
    module = layer()
    with capture(module) as trace:
        module(tokens())
    diversity_penalty(*trace.of(SoftHypergraph).values()).backward()
    assert module.edge_generator.prototype_base.grad.abs().sum() > 0


# ---------------------------------------------------------------------------------------------------------- interventions


@torch.no_grad()
@pytest.mark.parametrize("make", [layer, sparse])
def test_a_dropped_hyperedge_sends_nothing(make) -> None:
    module, x = make(), tokens()
    before, whole, _ = seen(module, x)
    gone = int(whole.active()[0].nonzero()[-1])
    after, cut, messages = seen(module, x, edits={"edge_generator": lambda h: h.without_hyperedges([gone])})
    assert not torch.allclose(after, before)
    assert not cut.participation[..., gone].any()
    assert not cut.active()[:, gone].any()
    assert not messages.hyperedges[:, gone].any()
    others = [j for j in range(whole.hyperedges) if j != gone]
    assert torch.equal(cut.participation[..., others], whole.participation[..., others])
    _, expected = naive_messages(module, x, cut.participation)
    assert torch.allclose(after, x + expected)


@torch.no_grad()
def test_without_any_hyperedge_all_tokens_get_the_same() -> None:
    module, x = layer(), tokens()
    after, cut, messages = seen(module, x, edits={"edge_generator": lambda h: h.without_hyperedges(range(M))})
    assert not messages.received.any()
    assert torch.allclose(after - x, F.gelu(module.node_proj[0].bias).expand_as(x))
    assert cut.effective_number().tolist() == [0, 0]
    assert cut.assignment().unique().tolist() == [-1]


@torch.no_grad()
def test_a_dropped_patch_neither_speaks_nor_hears() -> None:
    module, x = layer(), tokens()
    before, whole, messages = seen(module, x)
    after, cut, changed = seen(module, x, edits={"edge_generator": lambda h: h.without_patches([2, 4])})
    assert not cut.participation[:, [2, 4]].any()
    assert not changed.received[:, [2, 4]].any()
    assert not torch.allclose(changed.hyperedges, messages.hyperedges)
    assert not torch.allclose(after[:, 0], before[:, 0])
    silenced = x.clone()
    silenced[:, [2, 4]] = 100.0
    same = seen(module, silenced, edits={"edge_generator": lambda _: cut})[2]
    assert torch.allclose(same.hyperedges, changed.hyperedges)  # what they held reached nobody
    assert torch.equal(whole.without_patches([2]).without_patches([4]).participation, cut.participation)


@torch.no_grad()
def test_switched_off_stays_off_under_every_other_change() -> None:
    _, hypergraph, _ = seen(layer(), tokens())
    cut = hypergraph.without_hyperedges([1]).without_patches([0])
    for changed in (cut.at_temperature(9.0), cut.normalised_over("hyperedges"), cut.with_prototypes(cut.prototypes + 1), cut.hardened(0.5)):
        assert not changed.participation[..., 1].any()
        assert not changed.participation[:, 0].any()
        assert changed.participation.any()


@torch.no_grad()
def test_special_tokens_are_vertices_but_no_patches() -> None:
    module, x = layer(), tokens(n=7)
    with capture(module) as trace:
        module(x, (2, 3), 1)
    (hypergraph,) = trace.of(SoftHypergraph).values()
    assert torch.equal(hypergraph.patches(), hypergraph.participation[:, 1:])
    assert torch.allclose(hypergraph.weights().sum(1), torch.ones(2, M).double())
    assert hypergraph.assignment().shape == (2, 6)
    cut = hypergraph.without_patches([0])
    assert not cut.participation[:, 1].any()
    assert torch.equal(cut.participation[:, 0], hypergraph.participation[:, 0])
    assert cut.clique_expansion().grid == (2, 3)


@torch.no_grad()
def test_prototypes_can_be_moved_and_swapped() -> None:
    module, x = layer(), tokens()
    _, hypergraph, _ = seen(module, x)
    again = hypergraph.with_prototypes(hypergraph.static + 1.0 * hypergraph.offset)
    assert torch.allclose(again.participation, hypergraph.participation)
    static = hypergraph.with_prototypes(hypergraph.static.expand_as(hypergraph.prototypes))
    expected = (hypergraph.queries @ hypergraph.static.T / math.sqrt(2 * D)).softmax(1)
    assert torch.allclose(static.participation, expected)
    swapped = hypergraph.with_prototypes(hypergraph.prototypes.flip(0))
    assert not torch.allclose(swapped.participation, hypergraph.participation)


@torch.no_grad()
def test_the_axis_can_be_switched_and_back() -> None:
    x = tokens()
    released, paper = seen(layer(), x)[1], seen(layer(normalise="hyperedges"), x)[1]
    assert torch.allclose(released.normalised_over("hyperedges").participation, paper.participation)
    assert torch.allclose(paper.normalised_over("vertices").participation, released.participation)


def test_from_soft_to_hard() -> None:
    soft = hand_made(torch.tensor([[0.1, 0.3], [0.6, 0.2], [0.3, 0.5]]).double())
    assert soft.assignment().tolist() == [[1, 0, 1]]
    assert soft.hardened().participation.tolist() == [[[0, 0.5], [1, 0], [0, 0.5]]]
    assert torch.equal(soft.hardened(0).participation, soft.participation)
    assert soft.hardened(0.5).participation[0, 1].tolist() == pytest.approx([0.8, 0.1])
    rows = replace(soft, normalise="hyperedges").hardened()
    assert rows.participation.tolist() == [[[0, 1], [1, 0], [0, 1]]]


def test_impossible_interventions_are_refused() -> None:
    soft = seen(layer(), tokens())[1]
    bare = hand_made(torch.rand(4, 2))
    for call, message in [
        (lambda: soft.without_hyperedges([3]), "no hyperedge 3; they are numbered 0 to 2"),
        (lambda: soft.without_patches([-1]), "no patch -1; they are numbered 0 to 5"),
        (lambda: soft.with_top_k(2), "only the sparse variant chooses"),
        (lambda: seen(sparse(), tokens())[1].with_top_k(6), "6 hyperedges cannot be chosen from 5"),
        (lambda: soft.at_temperature(0), "must be above 0"),
        (lambda: soft.normalised_over("none"), "must run over 'vertices' or 'hyperedges'"),
        (lambda: soft.hardened(1.5), "between 0 .soft. and 1 .hard."),
        (lambda: soft.with_prototypes(torch.zeros(1, M, D)), r"must have shape \(2, 3, 8\)"),
        (lambda: bare.at_temperature(2.0), "rule 'hand-made' have no logits"),
        (lambda: bare.with_prototypes(torch.zeros(1, 2, D)), "not made by comparing queries with prototypes"),
        (lambda: bare.per_head(), "not made by comparing queries with prototypes"),
        (lambda: selection_variance(soft), "only where the sparse variant chooses"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


# -------------------------------------------------------------------------------------------------------------- its numbers


def test_loads_are_shares_of_the_patches() -> None:
    soft = hand_made(torch.tensor([[0.1, 0.3], [0.0, 0.2], [0.0, 0.0], [0.9, 0.5]]))
    expected = [(0.25 + 0 + 0 + 0.9 / 1.4) / 4, (0.75 + 1 + 0 + 0.5 / 1.4) / 4]
    assert soft.load()[0].tolist() == pytest.approx(expected)
    assert soft.without_hyperedges([0]).load()[0].tolist() == pytest.approx([0, 0.75])


def naive_effective_number(a: np.ndarray) -> float:
    columns = []
    for w in (a / a.sum(0)).T:
        if w.std() / w.mean() >= 0.1:
            columns.append((w - w.mean()) / np.linalg.norm(w - w.mean()))
    if not columns:
        return 0.0
    p = np.linalg.eigvalsh(np.array(columns) @ np.array(columns).T) / len(columns)
    return float(np.exp(-sum(x * np.log(x) for x in p if x > 1e-12)))


def test_effective_number() -> None:
    generator = torch.Generator().manual_seed(0)
    several = torch.rand(10, 4, generator=generator).double()
    uniform = torch.full((10, 1), 0.1).double() + 1e-4 * several[:, :1]
    twins = several[:, :1].expand(10, 4)
    apart = torch.eye(10).double()[:, :4]
    for a in (several, twins, apart, torch.cat([several, uniform], 1)):
        assert hand_made(a).effective_number().item() == pytest.approx(naive_effective_number(a.numpy()), rel=1e-6)
    assert hand_made(twins).effective_number().item() == pytest.approx(1, abs=1e-5)
    assert hand_made(torch.cat([twins, uniform], 1)).effective_number().item() == pytest.approx(1, abs=1e-5)
    assert 3.5 < hand_made(apart).effective_number().item() <= 4
    assert hand_made(uniform).effective_number().item() == 0
    both = hand_made(torch.stack([several, twins])).effective_number()
    assert both[0] > 2 > both[1]


@torch.no_grad()
@pytest.mark.parametrize("limit", [None, 3])
def test_the_clique_expansion_is_symmetric(limit: int | None) -> None:
    module, x = layer(), tokens(n=12)
    hypergraph = replace(seen(module, x)[1], grid=(3, 4))
    graph = hypergraph.clique_expansion(threshold=1.0, limit=limit)
    assert isinstance(graph, PatchGraph)
    shared = hypergraph.shared_membership()
    assert torch.allclose(shared, shared.transpose(1, 2))
    for b in range(2):
        a = hypergraph.participation[b].tolist()
        k = [[sum(p * q for p, q in zip(one, two, strict=True)) for two in a] for one in a]
        mean = sum(map(sum, k)) / 144
        listed = [sorted((j for j in range(12) if j != i), key=lambda j, i=i: -k[i][j])[:limit] for i in range(12)]
        expected = {(j, i) for i in range(12) for j in listed[i] if k[i][j] >= mean and i in listed[j]}
        edges = set(map(tuple, graph.edge_index(b).T.tolist()))
        assert edges == expected
        assert edges == {(i, j) for j, i in edges}
        assert 0 < len(edges) < 132
        assert torch.equal(graph.adjacency(b), graph.adjacency(b).T)
    assert graph.distance[0, 0, 0].item() == pytest.approx(-math.log2(shared[0, 0, graph.candidates[0, 0, 0]] / shared[0].mean()))
    assert (graph.distance.diff(dim=2) >= 0).all()  # strongest first


def test_patches_that_share_nothing_have_a_finite_distance() -> None:
    graph = hand_made(torch.eye(4)).clique_expansion()
    graph.require_finite("expansion")
    assert graph.edge_index().shape == (2, 0)
    hand_made(torch.zeros(4, 2)).clique_expansion().require_finite("expansion")


# --------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SoftHGNN(10, 4, 4), "embed_dim = 10 cannot be divided into 4 heads"),
        (lambda: SoftHGNN(8, 4, 0), "num_heads must be a divisor of 8"),
        (lambda: SoftHGNN(8, 0), "0 hyperedges; at least 1"),
        (lambda: SoftHGNN(8, 4, context="sum"), "'sum'; it must be one of mean, max, both"),
        (lambda: SoftHGNN(8, 4, normalise="rows"), "must be 'vertices' .* or 'hyperedges'"),
        (lambda: SparseSoftHGNN(8, 4, 5), "top_k is 5; it must lie between 0 and the 4 dynamic"),
        (lambda: SparseSoftHGNN(8, 4, -1), "top_k is -1"),
        (lambda: SparseSoftHGNN(8, 4, 0, 0), "no hyperedge would ever be on"),
        (lambda: SparseSoftHGNN(8, -1, 0, 1), "both must be at least 0"),
        (lambda: vit.vit(image_size=30, patch_size=4), "30 pixels cannot be cut into patches of 4"),
        (lambda: vit.vit(pool="max"), "must be 'cls' .* or 'mean'"),
        (lambda: hyperace.C3AH(8, 24, 1.0, 4), "24 channels .* multiple of 16"),
        (lambda: yolo_blocks.A2C2f(32, 32, 1, 1), "half of 32 channels must be a multiple of 32"),
        (lambda: yolo_blocks.A2C2f(32, 64, 1, 1, residual=True), "cannot turn 32 channels into 64"),
        (lambda: yolov13.YOLOv13(0.125, nc=0), "0 classes"),
        (lambda: FuzzyCMeans(fuzzifier=1.0), "must be above 1"),
        (lambda: FuzzyCMeans(0), "at least 1"),
        (lambda: NearestHyperedges(0), "at least 1 member"),
        (lambda: ViHGNNLayer(10), "multiple of 4"),
    ],
)
def test_settings_without_meaning_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("x", "kwargs", "message"),
    [
        (torch.zeros(2, D, 3, 3), {}, r"\[pictures, tokens, 8\] is expected \(a map"),
        (torch.zeros(2, 5, 7), {}, r"shape \(2, 5, 7\)"),
        (torch.zeros(2, 1, D), {}, "at least 2 vertices"),
        (torch.zeros(2, 6, D), {"grid": (2, 2), "special": 1}, "6 tokens do not fill a grid of 2 × 2 patches and 1 special"),
        (torch.full((2, 6, D), torch.nan), {}, r"100\.0 % of the tokens"),
    ],
)
def test_tokens_without_meaning_are_refused(x: Tensor, kwargs, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer()(x.double(), **kwargs)


def test_a_state_dict_that_contradicts_itself_is_named() -> None:
    good = {f"soft_hgnn.{name}": tensor for name, tensor in layer().state_dict().items()}
    assert layer_sizes(good) == {"embed_dim": D, "num_hyperedges": M, "context": "both"}
    short = {**good, "soft_hgnn.edge_generator.context_net.weight": torch.zeros(20, 2 * D)}
    with pytest.raises(CheckpointError, match=r"context_net\.weight has 20 rows .*prototype_base of 3 × 8 needs 24"):
        layer_sizes(short)
    both = {"soft_hgnn.edge_generator.context_net.bias": torch.zeros(20)}
    with pytest.raises(CheckpointError, match=r"has 20 rows and .* 20 entries"):
        layer_sizes({**short, **both})
    with pytest.raises(CheckpointError, match=r"has 5 columns; 8 .* or 16"):
        layer_sizes({**good, "soft_hgnn.edge_generator.context_net.weight": torch.zeros(24, 5)})
    with pytest.raises(CheckpointError, match=r"no soft-hyperedge layer under 'soft_hgnn\.'"):
        layer_sizes({})


# -------------------------------------------------------------------------------------------------------------------- ViT

SMALL = {"image_size": 16, "patch_size": 4, "num_classes": 5, "dim": 24, "depth": 2, "heads": 2, "dim_head": 12, "mlp_dim": 32}
HOSTS = {
    "plain": vit.vit,
    "soft": lambda **s: vit.vit_softhgnn(num_hyperedges=4, num_edge_head=4, **s),
    "sparse": lambda **s: vit.vit_softhgnn_ses(num_dyn_hyperedges=4, top_k=2, num_fixed_hyperedges=1, num_edge_head=4, **s),
    "nearest": lambda **s: vit.vit_hgnn(k=3, **s),
    "clusters": lambda **s: vit.vit_vihgnn(clusters=4, **s),
}


def host(kind: str, **changes) -> vit.ViT:
    torch.manual_seed(0)
    return HOSTS[kind](**{**SMALL, **changes}).eval()


def test_patches_are_cut_row_by_row_with_channels_last() -> None:
    x, p = picture(2, 5, 8, 12), 4
    ours = vit._Patches(p)(x)
    for row in range(2):
        for column in range(3):
            cell = x[:, :, row * p : row * p + p, column * p : column * p + p]
            assert torch.equal(ours[:, row * 3 + column], cell.permute(0, 2, 3, 1).flatten(1))


@torch.no_grad()
def test_attention_leaves_out_the_token_itself() -> None:
    torch.manual_seed(0)
    attention, x = vit.LocalitySelfAttention(8, 2, 4, 0.0).eval(), picture(1, 5, 8)
    q, k, v = attention.to_qkv(x)[0].chunk(3, 1)
    assert attention.temperature.exp().item() == pytest.approx(4**-0.5)
    mixed = torch.zeros(5, 8)
    for h in (slice(0, 4), slice(4, 8)):
        for i in range(5):
            others = [j for j in range(5) if j != i]
            weight = torch.stack([q[i, h] @ k[j, h] * 0.5 for j in others]).softmax(0)
            mixed[i, h] = sum(w * v[j, h] for w, j in zip(weight, others, strict=True))
    assert torch.allclose(attention(x)[0], attention.to_out(mixed), atol=1e-6)


@pytest.mark.parametrize("kind", HOSTS)
def test_every_host_learns_and_shows_its_hyperedges(kind: str) -> None:
    model = host(kind, dropout=0.0, emb_dropout=0.0)
    with capture(model) as trace:
        logits = model(picture(2, 3, 16, 16))
    assert logits.shape == (2, 5)
    assert {h.grid for h in trace.of(SoftHypergraph).values()} == (set() if kind == "plain" else {(4, 4)})
    assert all(h.special == 1 and h.participation.shape[1] == 17 for h in trace.of(SoftHypergraph).values())
    assert len(trace.of(HypergraphMessages)) == (kind != "plain")
    logits.square().sum().backward()
    unused = {name for name, p in model.named_parameters() if p.grad is None}
    assert unused == ({"soft_hgnn.gate"} if kind == "sparse" else set())


@pytest.mark.parametrize("pool", ["cls", "mean"])
@torch.no_grad()
def test_a_dropped_hyperedge_moves_the_prediction(pool: str) -> None:
    model, image = host("soft", pool=pool), picture(1, 3, 16, 16)
    with capture(model, edits={"soft_hgnn.edge_generator": lambda h: h.without_hyperedges([0])}):
        cut = model(image)
    assert not torch.allclose(cut, model(image))
    with capture(model, edits={"soft_hgnn.edge_generator": lambda h: h.without_patches([5])}):
        assert not torch.allclose(model(image), cut)


@pytest.mark.parametrize("pool", ["cls", "mean"])
@torch.no_grad()
def test_the_head_reads_the_class_token_or_all(pool: str) -> None:
    model, image = host("soft", pool=pool), picture(2, 3, 16, 16)
    with observed(model, outputs=["soft_hgnn"]) as left:
        logits = model(image)
    after = left["soft_hgnn"]
    assert torch.allclose(logits, model.mlp_head(after[:, 0] if pool == "cls" else after.mean(1)))


@torch.no_grad()
def test_other_sizes_stretch_the_position_table() -> None:
    model = host("soft")
    with capture(model) as trace:
        assert model(picture(1, 3, 24, 32)).shape == (1, 5)
    assert trace.of(SoftHypergraph)["soft_hgnn.edge_generator"].grid == (6, 8)
    assert model._position((4, 4)) is model.pos_embedding
    model.pos_embedding[:, 1:] = 7.0
    assert torch.allclose(model._position((6, 8))[:, 1:], torch.tensor(7.0))
    assert torch.equal(model._position((6, 8))[:, :1], model.pos_embedding[:, :1])


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 18, 16), "18 × 16 pixels cannot be cut into patches of 4"),
        ((1, 1, 16, 16), r"\[pictures, 3, height, width\]"),
        ((3, 16, 16), "shape"),
    ],
)
def test_the_host_refuses_what_is_no_picture(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        host("plain")(torch.zeros(shape))


@pytest.mark.parametrize(("name", "millions"), [("vit_softhgnn_cifar10", 18.8), ("vit_softhgnn_ses_cifar100", 35.7), (None, 9.6)])
def test_sizes_of_the_released_hosts(name: str | None, millions: float) -> None:
    with torch.device("meta"):
        model = vit.build(name) if name else vit.vit()
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 1) == millions


def test_most_of_a_layer_is_its_context() -> None:
    with torch.device("meta"):
        module = SoftHGNN(512, 16, 8)
    d, m = 512, 16
    assert sum(p.numel() for p in module.parameters()) == 2 * d * m * d + m * d + m * d + 3 * (d * d + d)


# ------------------------------------------------------------------------------------------------------------------- hard


def blobs(per: int = 8, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Three far groups in two dimensions: [1, 3·per, 2] and which group each belongs to."""
    group = torch.arange(3).repeat_interleave(per)
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    return (centres[group] + 0.3 * picture(3 * per, 2, seed=seed))[None], group


def test_fuzzy_c_means_finds_groups_and_stands_still_there() -> None:
    x, group = blobs()
    found = FuzzyCMeans(3, tolerance=1e-7)(x)
    u, c = found.participation[0], found.prototypes[0]
    assert torch.allclose(u.sum(1), torch.ones(24))
    assert [len(set(u.argmax(1)[group == g].tolist())) for g in range(3)] == [1, 1, 1]
    assert len(set(u.argmax(1).tolist())) == 3
    for n in range(24):
        for k in range(3):
            ratios = [(torch.dist(x[0, n], c[k]) / torch.dist(x[0, n], c[j])) ** 2 for j in range(3)]
            assert u[n, k].item() == pytest.approx(1 / sum(ratios).item(), abs=1e-4)
    moved = (u**2).T @ x[0] / (u**2).sum(0)[:, None]
    assert torch.allclose(moved, c, atol=1e-3)


def test_fuzzy_c_means_is_the_same_every_time_and_in_every_batch() -> None:
    x = picture(3, 20, 4)
    together = FuzzyCMeans(5, iterations=10, tolerance=0)(x).participation
    assert torch.equal(FuzzyCMeans(5, iterations=10, tolerance=0)(x).participation, together)
    assert torch.allclose(FuzzyCMeans(5, iterations=10, tolerance=0)(x[1:2]).participation[0], together[1], atol=1e-5)
    assert not torch.allclose(FuzzyCMeans(5, iterations=10, tolerance=0, seed=3)(x).participation, together)


def test_fuzzy_c_means_of_equal_tokens_is_finite() -> None:
    found = FuzzyCMeans(3)(torch.ones(1, 10, 4))
    found.require_finite("clusters")
    assert torch.allclose(found.participation, torch.full((1, 10, 3), 1 / 3))
    with pytest.raises(ValueError, match="2 tokens cannot be divided into 3 clusters"):
        FuzzyCMeans(3)(torch.ones(1, 2, 4))


def test_another_temperature_of_fuzzy_clusters_is_another_fuzzifier() -> None:
    x, _ = blobs()
    found = FuzzyCMeans(3)(x)
    sharper = found.at_temperature(0.5).participation
    distance = torch.cdist(x, found.prototypes)
    assert torch.allclose(sharper, (-4 * distance.log()).softmax(2), atol=1e-4)


def test_members_are_cut_at_a_level_and_nobody_is_left_alone() -> None:
    fuzzy = hand_made(torch.tensor([[0.7, 0.2, 0.1], [0.45, 0.45, 0.1], [0.4, 0.3, 0.3], [0.0, 0.0, 0.0]]), normalise="hyperedges")
    assert HardMembers(1.2)(fuzzy).participation[0].tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 0]]
    assert HardMembers(3.0)(fuzzy).participation[0].tolist() == [[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert HardMembers(0.0)(fuzzy).participation[0].tolist() == [[1, 1, 1], [1, 1, 1], [1, 1, 1], [0, 0, 0]]


@pytest.mark.parametrize("weighted", [True, False])
def test_nearest_hyperedges_naively(weighted: bool) -> None:
    x, k = picture(2, 7, 3), 3
    found = NearestHyperedges(k, weighted, m_prob=0.8)(x).participation
    for b in range(2):
        distance = torch.cdist(x[b], x[b])
        for j in range(7):
            members = sorted(range(7), key=lambda n, j=j, d=distance: d[n, j].item())[:k]
            assert j in members
            for n in range(7):
                value = math.exp(-((distance[n, j] / (0.8 * distance[:, j].mean())) ** 2)) if weighted else 1.0
                assert found[b, n, j].item() == pytest.approx(value if n in members else 0, abs=1e-4)
    with pytest.raises(ValueError, match="k = 8 exceeds the 7 tokens"):
        NearestHyperedges(8)(x)


@torch.no_grad()
def test_hgnn_is_the_published_matrix() -> None:
    torch.manual_seed(0)
    module, x = HGNNLayer(D, k=3), picture(1, N, D)
    result, hypergraph, _ = seen(module, x)
    h = hypergraph.participation[0]
    v, e = torch.diag(h.sum(1) ** -0.5), torch.diag(1 / h.sum(0))
    assert torch.allclose(result[0], x[0] + F.gelu(v @ h @ e @ h.T @ v @ module.theta(x[0])), atol=1e-6)


@torch.no_grad()
def test_vihgnn_naively() -> None:
    torch.manual_seed(0)
    module, x = ViHGNNLayer(D, clusters=3, level=1.0).eval(), picture(2, 10, D)
    module.epsilon.fill_(0.5)
    with capture(module) as trace:
        result = module(x)
    fuzzy, hard = trace.of(SoftHypergraph).values()
    (messages,) = trace.of(HypergraphMessages).values()
    assert set(hard.participation.unique().tolist()) == {0.0, 1.0}
    assert fuzzy.normalise == "hyperedges"
    edges = torch.stack([torch.stack([x[b][hard.participation[b, :, m] > 0].mean(0) for m in range(3)]) for b in range(2)])
    edges = module.edge_proj(edges)
    own = torch.stack([torch.stack([edges[b][hard.participation[b, n] > 0].mean(0) for n in range(10)]) for b in range(2)])
    assert torch.allclose(messages.received, own, atol=1e-6)
    assert torch.allclose(result, x + module.node_proj(1.5 * x + own), atol=1e-6)


# --------------------------------------------------------------------------------------------------------------- detector

MICRO = {"width": 0.125, "depth": 0.5, "max_channels": 1024, "num_hyperedges": 4, "nc": 6}
RELEASED = {
    "yolov13n": (2_494_151, 273_536, 66_048, 898),
    "yolov13s": (9_055_527, 1_343_744, 526_336, 898),
    "yolov13l": (27_627_783, 5_424_128, 2_101_248, 1568),
    "yolov13x": (64_057_511, 14_532_096, 7_087_104, 1568),
}


@pytest.fixture(scope="module")
def detector() -> yolov13.YOLOv13:
    """The smallest one, its gates open. Restored by every test that changes it."""
    torch.manual_seed(0)
    model = yolov13.YOLOv13(**MICRO)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        for number in yolov13.TUNNELS:
            model.model[number].gate.fill_(0.5)
        for norm in norms:
            norm.momentum = 1.0  # statistics of these pictures, so that signals are as loud at the end as at the start
        model.train()(picture(4, 3, 128, 128))
        for norm in norms:
            norm.momentum = 0.03
    return model.eval()


@pytest.mark.parametrize("name", RELEASED)
def test_sizes_of_the_released_detectors(name: str) -> None:
    with torch.device("meta"):
        model = yolov13.build(name)
    contexts = [p.numel() for key, p in model.named_parameters() if "context_net" in key]
    assert (_count(model), _count(model.model[9]), sum(contexts), len(model.state_dict())) == RELEASED[name]


def test_the_trainable_size(detector: yolov13.YOLOv13) -> None:
    assert (_count(detector), _count(detector.model[9])) == (796_929, 70_208)


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@torch.no_grad()
def test_closed_gates_shut_the_hypergraph_out(detector: yolov13.YOLOv13) -> None:
    image = picture(1, 3, 64, 64)
    heard = detector(image)
    shut = {f"model.{number}.blend": lambda tunnel: tunnel.scaled(0) for number in yolov13.TUNNELS}
    spoiled = {"model.9": lambda x: x * 3}
    with capture(detector, edits=shut) as trace:
        alone = detector(image)
    with capture(detector, edits={**shut, **spoiled}):
        assert torch.equal(detector(image), alone)
    with capture(detector, edits=spoiled):
        assert not torch.allclose(detector(image), heard)
    assert not torch.allclose(alone, heard)
    assert list(trace.of(Tunnel)) == [f"model.{number}.blend" for number in yolov13.TUNNELS]
    assert all(tunnel.loudness().item() == 0 for tunnel in trace.of(Tunnel).values())


def test_every_gate_learns_from_zero() -> None:
    torch.manual_seed(0)
    model = yolov13.YOLOv13(**MICRO)
    raw = model(picture(2, 3, 64, 64))
    assert [tuple(x.shape) for x in raw] == [(2, 70, 8, 8), (2, 70, 4, 4), (2, 70, 2, 2)]
    sum(x.square().sum() for x in raw).backward()
    gates = [model.model[number].gate for number in yolov13.TUNNELS]
    assert all(gate.item() == 0 and gate.grad.abs().item() > 0 for gate in gates)
    assert model.model[9].cv2.conv.weight.grad.abs().sum() == 0  # nothing comes through a closed gate, backwards either
    assert model.model[32].dfl.conv.weight.grad is None


@torch.no_grad()
def test_what_meets_in_every_tunnel(detector: yolov13.YOLOv13) -> None:
    with capture(detector) as trace, observed(detector, outputs=[f"model.{i}" for i in range(32)]) as left:
        detector(picture(1, 3, 64, 64))
    tunnels = trace.of(Tunnel)
    meeting = {12: (6, 9), 13: (4, 10), 14: (8, 11), 18: (17, 9), 23: (21, 22), 27: (26, 9), 31: (30, 11)}
    for number, (feature, enhanced) in meeting.items():
        tunnel = tunnels[f"model.{number}.blend"]
        assert torch.equal(tunnel.feature, left[f"model.{feature}"])
        assert torch.equal(tunnel.enhanced, left[f"model.{enhanced}"])
        assert torch.allclose(left[f"model.{number}"], tunnel.feature + 0.5 * tunnel.enhanced)
    # What goes on from the neck's tunnels 18 and 27 leaves from before them.
    assert torch.equal(left["model.19"], F.interpolate(left["model.17"], scale_factor=2, mode="nearest"))
    assert torch.equal(left["model.28"], detector.model[28](left["model.26"]))


@torch.no_grad()
def test_hyperedges_of_the_detector_are_seen_and_cut(detector: yolov13.YOLOv13) -> None:
    image = picture(1, 3, 96, 64)
    with capture(detector) as trace:
        before = detector(image)
    names = [f"model.9.branch{i}.m.hgnn.edge_generator" for i in (1, 2)]
    assert list(trace.of(SoftHypergraph)) == names
    for hypergraph in trace.of(SoftHypergraph).values():
        assert hypergraph.grid == (6, 4)
        assert hypergraph.temperature == pytest.approx(32 / 4)
        assert torch.allclose(hypergraph.participation.sum(1), torch.ones(1, 4), atol=1e-6)
    with capture(detector, edits={names[0]: lambda h: h.without_hyperedges([1])}) as cut:
        after = detector(image)
    assert not torch.allclose(after, before)
    assert not cut.of(SoftHypergraph)[names[0]].participation[..., 1].any()
    tunnel = trace.of(Tunnel)["model.23.blend"]
    loudness = 0.5 * tunnel.enhanced.square().sum().sqrt() / tunnel.feature.square().sum().sqrt()
    assert tunnel.loudness().item() == pytest.approx(loudness.item(), rel=1e-5)


@torch.no_grad()
def test_half_the_side_gives_four_times_the_message() -> None:
    """At equal features, of course: every cell is repeated 2 × 2 times."""
    torch.manual_seed(0)
    module, x = hyperace.AdaHGComputation(16, 3).eval(), picture(1, 16, 3, 4)
    messages = []
    for map_ in (x, F.interpolate(x, scale_factor=2, mode="nearest")):
        with capture(module) as trace:
            module(map_)
        messages.append(trace.of(HypergraphMessages)["hgnn.messages"].received.mean(1))
    assert torch.allclose(messages[0], 4 * messages[1], atol=1e-7)


@torch.no_grad()
@pytest.mark.parametrize("area", [1, 2, 4])
def test_area_attention_stays_inside_its_band(area: int) -> None:
    torch.manual_seed(0)
    module, x = yolo_blocks.AreaAttention(64, area).eval(), picture(1, 64, 4, 3)
    v = module.v(x)
    q, k = (y.flatten(2)[0] for y in module.qk(x).split(64, 1))  # [C, N]
    values, mixed, run = v.flatten(2)[0], torch.zeros(64, 12), 12 // area
    for n in range(12):
        band = range(n // run * run, n // run * run + run)
        for head in (slice(0, 32), slice(32, 64)):
            weight = torch.stack([q[head, n] @ k[head, j] / math.sqrt(32) for j in band]).softmax(0)
            mixed[head, n] = sum(w * values[head, j] for w, j in zip(weight, band, strict=True))
    assert torch.allclose(module(x), module.proj(mixed.view(1, 64, 4, 3) + module.pe(v)), atol=1e-5)
    with pytest.raises(ValueError, match="5 × 5 cells cannot be cut into 2 bands"):
        yolo_blocks.AreaAttention(64, 2)(torch.zeros(1, 64, 5, 5))


@torch.no_grad()
def test_decoding_naively() -> None:
    torch.manual_seed(0)
    head = detection.Detect(2, (16, 16, 16)).eval()
    grids = [(4, 6), (2, 3), (1, 2)]
    raw = [picture(1, 66, *grid, seed=i) * 3 for i, grid in enumerate(grids)]
    ours, column = head.decode(raw)[0], 0
    for stride, map_ in zip((8, 16, 32), raw, strict=True):
        for row in range(map_.shape[2]):
            for col in range(map_.shape[3]):
                sides = [sum(p * i for i, p in enumerate(map_[0, 16 * s : 16 * s + 16, row, col].softmax(0).tolist())) for s in range(4)]
                left, top, right, bottom = (side * stride for side in sides)
                x, y = (col + 0.5) * stride, (row + 0.5) * stride
                expected = [x + (right - left) / 2, y + (bottom - top) / 2, left + right, top + bottom]
                assert ours[:4, column].tolist() == pytest.approx(expected, abs=1e-3)
                assert ours[4:, column].tolist() == pytest.approx(map_[0, 64:, row, col].sigmoid().tolist())
                column += 1
    assert column == ours.shape[1]


def naive_suppression(boxes: Tensor, scores: Tensor, classes: Tensor, overlap: float) -> list[int]:
    def union(a: list[float], b: list[float]) -> float:
        w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        shared = max(w, 0) * max(h, 0)
        return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)

    kept: list[int] = []
    for i in scores.argsort(descending=True).tolist():
        if all(classes[i] != classes[j] or union(boxes[i].tolist(), boxes[j].tolist()) <= overlap for j in kept):
            kept.append(i)
    return kept


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.7])
def test_suppression_naively(overlap: float) -> None:
    generator = torch.Generator().manual_seed(0)
    centre, side = 40 * torch.rand(200, 2, generator=generator), 15 + 15 * torch.rand(200, 2, generator=generator)
    scores = torch.rand(3, 200, generator=generator)
    prediction = torch.cat([centre.T, side.T, scores])
    best, classes = scores.max(0)
    expected = naive_suppression(detection.corners(torch.cat([centre, side], 1)), best, classes, overlap)
    found = detection.find(prediction, (64, 64), confidence=0, overlap=overlap)
    assert found.anchors.tolist() == expected
    assert 2 < len(expected) < 200
    assert torch.equal(found.scores, best[expected])
    assert detection.find(prediction, (64, 64), confidence=0, overlap=overlap, limit=3).anchors.tolist() == expected[:3]
    confident = detection.find(prediction, (64, 64), confidence=0.9, overlap=overlap)
    assert 0 < len(confident.scores) < len(expected)
    assert confident.scores.min() >= 0.9
    assert not len(detection.find(prediction, (64, 64), confidence=1.0).scores)


def test_equal_boxes_of_two_classes_both_stay() -> None:
    prediction = torch.tensor([[10.0, 10, 10], [10, 10, 10], [8, 8, 8], [8, 8, 8], [0.9, 0.1, 0.8], [0.2, 0.7, 0.1]])
    found = detection.find(prediction, (32, 32), labels=("cat", "dog"))
    assert found.anchors.tolist() == [0, 1]
    assert [found.label(i) for i in range(2)] == ["cat", "dog"]
    assert found.boxes[0].tolist() == [6, 6, 14, 14]
    assert replace(found, labels=()).label(1) == "class 1"


@pytest.mark.parametrize("shape", [(100, 200), (200, 100), (64, 64), (33, 640), (5, 3)])
def test_letterboxing_there_and_back(shape: tuple[int, int]) -> None:
    pixels = np.full((*shape, 3), 255, np.uint8)
    image, fitted = detection.letterbox(pixels, 128)
    assert image.shape[2] % 32 == 0 == image.shape[3] % 32
    assert max(image.shape[2:]) == 128
    rows, columns = torch.nonzero(image[0].amin(0) == 1, as_tuple=True)
    inside = torch.tensor([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]]).float()
    assert (image[0][:, image[0].amin(0) < 1] == 114 / 255).all()
    found = Detections(inside, torch.ones(1), torch.zeros(1).long(), torch.zeros(1).long(), fitted.inside)
    back = fitted.back(found)
    assert back.size == shape
    assert torch.allclose(back.boxes[0], torch.tensor([0.0, 0, shape[1], shape[0]]), atol=0.5 / fitted.scale)


def test_a_photo_goes_through(detector: yolov13.YOLOv13) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 90, 3), dtype=np.uint8)
    found = detector.detect(pixels, 96, labels=tuple("abcdef"), confidence=0.0)
    assert found.size == (50, 90)
    assert 0 < len(found.scores) <= 300
    assert found.boxes.min() >= 0
    assert (found.boxes[:, 2] <= 90).all()
    assert (found.boxes[:, 3] <= 50).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m(torch.zeros(1, 3, 48, 64)), "48 × 64 pixels; both sides must be multiples of 32"),
        (lambda m: m(torch.zeros(1, 1, 64, 64)), "convert grey or RGBA first"),
        (lambda m: m(torch.full((1, 3, 64, 64), torch.nan)), "not finite"),
        (lambda m: m.detect(np.zeros((8, 8, 4), np.uint8)), "convert grey or RGBA first"),
        (lambda m: m.detect(np.zeros((8, 8), np.uint8)), "convert grey or RGBA first"),
        (lambda m: m.detect(np.zeros((8, 8, 3), np.float32)), "float32"),
        (lambda m: m.detect(np.zeros((8, 8, 3), np.uint8), 100), "must be a multiple of 32"),
        (lambda m: m.detect(np.zeros((8, 8, 3), np.uint8), 64, overlap=1.5), "must lie between 0 and 1"),
        (lambda m: detection.find(torch.full((6, 3), torch.nan), (32, 32)), "NaN or infinity"),
        (lambda m: m.model[9].fuse(*(torch.zeros(1, 64, s, s) for s in (4, 3, 1))), "must halve .* 4 × 4, 3 × 3, 1 × 1"),
    ],
)
def test_the_detector_refuses_with_a_sentence(detector: yolov13.YOLOv13, call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(detector)


# ------------------------------------------------------------------------------------------------------------ checkpoints


@pytest.fixture(scope="module")
def nano() -> yolov13.YOLOv13:
    torch.manual_seed(1)
    return yolov13.build("yolov13n", nc=3).eval()


@torch.no_grad()
def test_a_state_dict_tells_its_configuration(nano: yolov13.YOLOv13) -> None:
    state = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in nano.state_dict().items()}
    assert yolov13.recognise(state) == ("yolov13n", 3)
    loaded, image = yolov13.from_state(state, nc=3), picture(1, 3, 64, 64)
    assert torch.allclose(loaded(image), nano(image), atol=0.5)
    assert not loaded.training


@pytest.mark.parametrize(
    ("change", "nc", "message"),
    [
        (
            lambda s: s | {"model.0.conv.bias": torch.zeros(16)},
            None,
            r"fused with their batch normalisation \(1 biases such as model.0.conv.bias",
        ),
        (lambda s: s, 80, "3 classes apart and 80 are expected"),
        (lambda s: s | {"model.0.conv.weight": torch.zeros(20, 3, 3, 3)}, None, "has 20 channels; N, S, L and X have 16, 32, 64, 96"),
        (
            lambda s: {k: v for k, v in s.items() if not k.startswith("model.32")},
            None,
            r"no YOLOv13 state dict: model.32.cv3.0.2.weight missing",
        ),
        (lambda s: {k: v for k, v in s.items() if not k.endswith("gate")}, None, r"7 missing from the file: model.12.gate, model.13.gate"),
        (lambda s: s | {f"extra.{i}": torch.zeros(1) for i in range(12)}, None, r"12 unknown to the model: extra.0, .*extra.9 and 2 more"),
    ],
)
def test_checkpoints_that_do_not_fit_are_refused(nano: yolov13.YOLOv13, change, nc: int | None, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        yolov13.from_state(change(dict(nano.state_dict())), nc)


def test_a_pickled_module_becomes_safetensors(nano: yolov13.YOLOv13, tmp_path: Path, capsys) -> None:
    source, target = tmp_path / "yolov13n.pt", tmp_path / "yolov13n.safetensors"
    half = yolov13.build("yolov13n", nc=3)
    half.load_state_dict(nano.state_dict())
    half.model[0].register_buffer("scratch", torch.zeros(2), persistent=False)
    torch.save({"epoch": 3, "ema": None, "model": half.half(), "train_args": {"path": Path("x")}, "date": {1, 2}}, source)
    assert convert.main([str(source), str(target)]) == 0
    assert "yolov13n. Licence of the weights: AGPL-3.0" in capsys.readouterr().out
    state = load_file(target)
    expected = half.state_dict()
    assert set(state) == set(expected)
    assert all(torch.equal(state[name], value.float() if value.is_floating_point() else value) for name, value in expected.items())
    assert yolov13.recognise(state) == ("yolov13n", 3)


class Evil:
    """Its pickle calls a function when it is read in the usual way."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def test_nothing_in_a_pickle_is_run(nano: yolov13.YOLOv13, tmp_path: Path) -> None:
    source, marker = tmp_path / "evil.pt", tmp_path / "was-run"
    torch.save({"model": nano, "hook": Evil(marker)}, source)
    with zipfile.ZipFile(source) as archive:
        content = archive.read("evil/data.pkl")
    assert b"touch" in content
    state = convert.read_modules(source)
    assert not marker.exists()
    assert set(state) == set(nano.state_dict())
    torch.load(source, weights_only=False)  # in the usual way it is
    assert marker.exists()


def rewritten(source: Path, target: Path, change=lambda name, data: data, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return target


def test_broken_files_are_refused(tmp_path: Path, capsys) -> None:
    good, bad = tmp_path / "good.pt", tmp_path / "bad.pt"
    torch.save({"model": nn.Linear(2, 3)}, good)
    assert set(convert.read_modules(good)) == {"weight", "bias"}
    cut = rewritten(good, tmp_path / "cut.pt", lambda name, data: data[:-4] if name.endswith("data/0") else data)
    with pytest.raises(CheckpointError, match="fewer or more numbers than it says"):
        convert.read_modules(cut)
    with pytest.raises(CheckpointError, match="compressed, which"):
        convert.read_modules(rewritten(good, tmp_path / "small.pt", compression=zipfile.ZIP_DEFLATED))
    with pytest.raises(CheckpointError, match="highest byte first"):
        convert.read_modules(rewritten(good, tmp_path / "big.pt", lambda name, data: b"big" if name.endswith("byteorder") else data))
    with pytest.raises(CheckpointError, match="damaged"):
        convert.read_modules(rewritten(good, tmp_path / "half.pt", lambda name, data: data[:50] if name.endswith("data.pkl") else data))
    bad.write_bytes(pickle.dumps({"model": 1}))
    with pytest.raises(CheckpointError, match=r"no file of torch\.save"):
        convert.read_modules(bad)
    torch.save({"model": {"weight": torch.zeros(2)}}, bad)
    with pytest.raises(CheckpointError, match="no module, neither at the top"):
        convert.read_modules(bad)
    assert convert.main([str(good), str(tmp_path / "out.safetensors")]) == 1
    assert "no YOLOv13 state dict" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()


def test_tensors_that_would_grow_are_refused(tmp_path: Path) -> None:
    module = nn.Module()
    module.register_buffer("many", torch.zeros(1).expand(1 << 20))
    torch.save({"model": module}, tmp_path / "grow.pt")
    with pytest.raises(CheckpointError, match="reaches beyond its numbers"):
        convert.read_modules(tmp_path / "grow.pt")
    loop = nn.Module()
    loop._modules["self"] = loop
    torch.save({"model": loop}, tmp_path / "loop.pt")
    with pytest.raises(CheckpointError, match="nested more than 64 deep"):
        convert.read_modules(tmp_path / "loop.pt")


def test_non_finite_tokens_are_named_as_such() -> None:
    with pytest.raises(NonFiniteError):
        layer()(torch.full((1, 4, D), torch.inf).double())


# ----------------------------------------------------------------------------------------------------------------- parity


def stored_case(path: Path, system: str, config: dict, tensors: dict[str, Tensor], **about) -> Path:
    case = {"system": system, "config": config, "tolerance": {"atol": 1e-5, "rtol": 1e-5}, **about}
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path, {"case": json.dumps(case)})
    return path


def randomised(module: nn.Module) -> nn.Module:
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module.eval()


def as_stored(module: nn.Module, inputs: dict[str, Tensor], **named: Tensor) -> dict[str, Tensor]:
    return {
        **{f"state.{name}": tensor for name, tensor in module.state_dict().items()},
        **{f"input.{name}": tensor for name, tensor in inputs.items()},
        **{name.replace("__", ".", 1): tensor for name, tensor in named.items()},
    }


@torch.no_grad()
def unseen_cases(folder: Path) -> dict[str, Path]:
    """Runs of our own variants, laid out as the stored runs of the published code: a check of the adapters, not of the models."""
    written = {}
    gated, x = randomised(SoftHGNN(D, M, 2, gate=True)), picture(2, N, D)
    result, hypergraph, _ = seen(gated, x)
    config = {"embed_dim": D, "num_hyperedges": M, "num_heads": 2, "gate": True, "normalise": "over vertices (dim=1)"}
    tensors = as_stored(gated, {"X": x}, output__Y=result, internal__A=hypergraph.participation)
    written["gate"] = stored_case(folder / "S02-gate.safetensors", "S02 SoftHGNN dense", config, tensors)

    ses = {"num_dyn_hyperedges": 5, "top_k": 2, "num_fixed_hyperedges": 1, "num_edge_head": 2}
    model, image = randomised(vit.vit_softhgnn_ses(**ses, **SMALL)), picture(2, 3, 16, 16)
    result, hypergraph, _ = seen(model, image)
    tensors = as_stored(
        model, {"image": image}, output__logits=result, internal__A=hypergraph.participation, internal__mask=hypergraph.active().float()
    )
    written["sparse host"] = stored_case(folder / "S02-ses.safetensors", "S02 ViT + SoftHGNN-SeS", {**SMALL, **ses}, tensors)

    mean = randomised(SoftHGNN(D, M, 2, context="mean"))
    config = {"embed_dim": D, "num_hyperedges": M, "num_heads": 2, "context": "mean"}
    written["mean"] = stored_case(folder / "S21-mean.safetensors", "S21 AdaHGConv", config, as_stored(mean, {"X": x}, output__Y=mean(x)))

    config = {
        "c1": 8,
        "c2": 32,
        "n": 2,
        "num_hyperedges": 3,
        "shortcut": False,
        "e1": 0.5,
        "e2": 2,
        "context": "max",
        "channel_adjust": False,
    }
    ace, maps = randomised(hyperace.HyperACE(**config)), [picture(1, 8, *s, seed=i) for i, s in enumerate([(8, 4), (4, 2), (2, 1)])]
    tensors = as_stored(ace, {f"x{i}": x for i, x in enumerate(maps)}, output__y=ace(*maps), internal__fused=ace.fuse(*maps))
    written["no widening"] = stored_case(folder / "S21-hyperace.safetensors", "S21 HyperACE", {**config, "dsc3k": True}, tensors)
    return written


@pytest.mark.parametrize("name", ["gate", "sparse host", "mean", "no widening"])
def test_variants_of_the_stored_cases_are_understood(tmp_path: Path, name: str) -> None:
    path = unseen_cases(tmp_path)[name]
    result = check_file(path, adapters())
    assert result.status == OK, (result.message, result.checks)
    with safe_open(path, "pt") as stored:
        tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 (no mapping)
        about = stored.metadata()
    for key in [key for key in tensors if key.startswith(("output.", "internal."))]:
        altered = tensors[key].clone()
        altered.view(-1)[0] += 1
        save_file({**tensors, key: altered}, path, about)
        assert check_file(path, adapters()).status == MISS, key


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("S02-keys-vit_softhgnn_ses-cifar100.json", {"soft_hgnn.edge_generator.prototype_base": (48, 512), "mlp_head.1.bias": (100,)}),
        ("S02-keys-vit_softhgnn-cifar10.json", {"soft_hgnn.edge_generator.prototype_base": (16, 512), "mlp_head.1.bias": (10,)}),
        ("S21-keys-yolov13l.json", {"model.6.gamma": (512,), "model.9.fuse.conv_out.conv.weight": (512, 1536, 1, 1)}),
        ("S21-keys-yolov13x.json", {"model.9.branch1.m.hgnn.edge_generator.prototype_base": (12, 384)}),
    ],
)
def test_key_files_find_their_configuration(tmp_path: Path, name: str, shape: dict[str, tuple[int, ...]]) -> None:
    path = tmp_path / name
    path.write_text(json.dumps(shape))
    ours = adapters()[name[:3]].shapes(KeyFile.load(path))
    assert {key: ours[key] for key in shape} == shape
