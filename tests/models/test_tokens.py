"""Tokens: selection, attention capture on tiny models written to disk, pruned runs, predicted masks, early exits, counts."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.capture import capture
from models.structures import (
    AttentionMaps,
    Connectivity,
    ExitStage,
    NonFiniteError,
    SparseAttention,
    TokenDrop,
    TokenSelection,
)
from models.structures.tokens import ANCHOR, BUFFER, PROMPT, REGISTER
from models.tokens import attention_capture, baselines, dtop, flops, hiprune, sparsifiner
from models.tokens.attention_capture import Encoder, fit_patches, fit_pixels, load_encoder, record, window_order
from models.tokens.hiprune import HiPrune, neighbours, select
from models.tokens.prompt import load_prompt
from models.tokens.pruned_run import PrunedLlava, PrunedQwen, load_llava, load_qwen
from tests.models.helpers import LargestTensor, picture

transformers = pytest.importorskip("transformers")
ROOT = Path(__file__).parents[2]


# ---------------------------------------------------------------------------------------------------------- selection


def naive(mid: list[float], deep: list[float], grid: tuple[int, int], budget: int, alpha: float, edge: str) -> dict[str, list[int]]:
    """HiPrune written out with lists: {role: patches in order of choice}."""
    h, w = grid
    n = h * w
    budget = min(budget, n)
    by_mid = sorted(range(n), key=lambda i: (-mid[i], i))
    anchors = by_mid[: round(budget * alpha / 5)]
    near: set[int] = set()
    for a in anchors:
        for step in (-1, 1, -w, w):
            b = a + step
            if edge == "clamp":
                near.add(min(max(b, 0), n - 1))
            elif 0 <= b < n and (edge == "drop" or abs(step) == w or b // w == a // w):
                near.add(b)
    buffers = [i for i in by_mid if i in near - set(anchors)][: budget - len(anchors)]
    chosen = {*anchors, *buffers}
    registers = [i for i in sorted(range(n), key=lambda i: (-deep[i], i)) if i not in chosen][: budget - len(chosen)]
    return {"anchor": anchors, "buffer": buffers, "register": registers, "prompt": [], "other": []}


def scores(n: int, seed: int, values: int = 10**6) -> Tensor:
    """Scores in (0, 1); few `values` make many ties."""
    return torch.randint(1, values, (n,), generator=torch.Generator().manual_seed(seed)) / values


@given(
    h=st.integers(4, 9),
    w=st.integers(4, 9),
    share=st.floats(0.01, 1.2),
    alpha=st.sampled_from([0.0, 0.1, 0.3, 0.5, 1.0]),
    edge=st.sampled_from(hiprune.EDGES),
    ties=st.sampled_from([5, 10**6]),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=150)
def test_selection_is_the_naive_one(h: int, w: int, share: float, alpha: float, edge: str, ties: int, seed: int) -> None:
    budget = max(1, round(share * h * w))
    mid, deep = scores(h * w, seed, ties), scores(h * w, seed + 1, ties)
    found = select(mid, deep, (h, w), budget, alpha, edge)
    expected = naive(mid.tolist(), deep.tolist(), (h, w), budget, alpha, edge)
    assert {name: part.tolist() for name, part in found.steps().items()} == expected
    assert found.kept().tolist() == sorted(i for part in expected.values() for i in part)
    assert len(found.kept()) == min(budget, h * w)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("edge", hiprune.EDGES)
def test_every_budget_is_met_exactly(edge: str, alpha: float) -> None:
    mid, deep = scores(576, 0).view(1, -1).repeat(2, 1), scores(1152, 1).view(2, -1)
    for budget in [*range(1, 577, 7), 64, 128, 192, 576]:
        selection = select(mid, deep, (24, 24), budget, alpha, edge)
        assert selection.mask.sum(1).tolist() == [budget, budget]
        assert (selection.order >= 0).all()


def test_the_published_budgets_split_as_the_paper_says() -> None:
    assert [hiprune.anchor_count(n, 0.1) for n in (192, 128, 64, 20, 25, 26)] == [4, 3, 1, 0, 0, 1]  # halves to even
    for budget, anchors in zip(hiprune.LLAVA_BUDGETS, (4, 3, 1), strict=True):
        counts = select(scores(576, 3), scores(576, 4), (24, 24), budget).counts()
        assert counts["anchor"] == anchors
        assert counts["buffer"] <= 4 * anchors
        assert counts["register"] == budget - anchors - counts["buffer"] >= {192: 172, 128: 113, 64: 59}[budget]
        assert counts["pruned"] == 576 - budget
    assert [hiprune.tokens_of_ratio(77, ratio) for ratio in hiprune.QWEN_RATIOS] == [26, 17, 9]  # rounded, not cut off
    assert [hiprune.tokens_per_tile(640, tiles) for tiles in (5, 3)] == [128, 213]


def test_edges_of_the_grid() -> None:
    corner, right, last = torch.tensor([0]), torch.tensor([9]), torch.tensor([19])  # a grid of 4 × 5
    assert sorted(neighbours(corner, (4, 5), "clamp").tolist()) == [0, 0, 1, 5]
    assert sorted(neighbours(corner, (4, 5), "drop").tolist()) == [1, 5]
    assert sorted(neighbours(right, (4, 5), "clamp").tolist()) == [4, 8, 10, 14]  # 10 begins the next row
    assert sorted(neighbours(right, (4, 5), "drop").tolist()) == [4, 8, 10, 14]
    assert sorted(neighbours(right, (4, 5), "grid").tolist()) == [4, 8, 14]
    assert sorted(neighbours(last, (4, 5), "clamp").tolist()) == [14, 18, 19, 19]
    assert sorted(neighbours(last, (4, 5), "grid").tolist()) == [14, 18]
    with pytest.raises(ValueError, match="'wrap'; it must be one of clamp, drop, grid"):
        neighbours(corner, (4, 5), "wrap")


@pytest.mark.parametrize(("edge", "misplaced"), [("clamp", [0, 10]), ("drop", [10]), ("grid", [])])
def test_buffers_that_touch_no_anchor_are_named(edge: str, misplaced: list[int]) -> None:
    mid = torch.zeros(20)
    mid[9], mid[2] = 1.0, 0.9  # right border, and upper border: 2 − 5 is clamped to 0
    selection = select(mid, torch.rand(20), (4, 5), 20, 0.5, edge)
    assert selection.of(ANCHOR).tolist() == [2, 9]
    assert torch.nonzero(selection.misplaced()[0])[:, 0].tolist() == misplaced


def test_more_anchors_and_buffers_than_the_budget() -> None:
    mid = torch.zeros(576)
    spread = torch.tensor([r * 24 + c for r in range(2, 23, 5) for c in range(2, 23, 5)])[:13]
    mid[spread] = torch.linspace(2, 1, 13)
    mid[spread + 1] = 0.5
    selection = select(mid, torch.rand(576), (24, 24), 64, 1.0)
    assert selection.counts() == {"pruned": 512, "anchor": 13, "buffer": 51, "register": 0, "prompt": 0, "other": 0}
    assert set((spread + 1).tolist()) <= set(selection.of(BUFFER).tolist())


def test_scores_are_left_as_they_are_and_pictures_are_chosen_alone() -> None:
    mid, deep = scores(120, 0).view(3, 40), scores(120, 1).view(3, 40)
    before = (mid.clone(), deep.clone())
    together = select(mid, deep, (5, 8), 12, 0.5)
    assert torch.equal(mid, before[0])
    assert torch.equal(deep, before[1])
    for row in range(3):
        alone = select(mid[row], deep[row], (5, 8), 12, 0.5)
        assert torch.equal(alone.order[0], together.order[row])
    assert not torch.equal(together.order[0], together.order[1])


def test_half_precision_is_averaged_and_compared_in_float32() -> None:
    attention = softmax_attention(1, 2, 65, 65).half()
    found = hiprune.received_attention(attention)
    assert torch.equal(found, hiprune.received_attention(attention.float()))
    assert len(found.unique()) > len(found.half().unique())  # in half precision some would be ties
    selection = select(found.half(), found.half(), (8, 8), 10)
    assert selection.object_score.dtype == selection.deep_score.dtype == torch.float32


def test_the_released_qwen_code_chooses_sinks_again() -> None:
    mid, deep = scores(40, 5), scores(40, 6)
    mid[7] = deep[7] = 5.0  # a sink: after subtracting 1 it is still the largest
    deep[39] = 3.0
    exact, released = select(mid, deep, (5, 8), 10, 0.5), select(mid, deep, (5, 8), 10, 0.5, exact=False)
    assert len(exact.kept()) == 10
    assert len(released.kept()) == 9
    assert released.order[0].tolist()[-1] == -1
    assert set(released.kept().tolist()) < set(exact.kept().tolist())
    assert 39 in released.steps()["register"].tolist()
    assert torch.cat(list(released.steps().values())).sort().values.tolist() == released.kept().tolist()
    means = (mid / mid.sum(), deep / deep.sum())  # as in LLaVA: at most 1, so 1 less is below all others
    assert torch.equal(select(*means, (5, 8), 10, 0.5).order, select(*means, (5, 8), 10, 0.5, exact=False).order)


def test_steps_ranks_and_counts_agree() -> None:
    mid, deep = scores(64, 8), scores(64, 9)
    selection = select(mid, deep, (8, 8), 20, 0.5)
    steps = selection.steps()
    assert torch.cat(list(steps.values())).sort().values.tolist() == selection.kept().tolist()
    assert {name: len(part) for name, part in steps.items()}.items() <= selection.counts().items()
    for role, name, score in ((ANCHOR, "anchor", mid), (BUFFER, "buffer", mid), (REGISTER, "register", deep)):
        assert steps[name].sort().values.tolist() == selection.of(role).tolist()
        assert score[steps[name]].tolist() == sorted(score[steps[name]].tolist(), reverse=True)
    object_rank, deep_rank = selection.ranks()
    assert object_rank[0][steps["anchor"]].tolist() == [0, 1]
    assert deep_rank[0].tolist() == [sorted(deep.tolist(), reverse=True).index(v) for v in deep.tolist()]


def test_a_budget_above_all_tokens_keeps_all_and_says_so() -> None:
    selection = select(scores(64, 0), scores(64, 1), (8, 8), 100)
    assert selection.budget == 64
    assert selection.settings["asked"] == 100
    assert selection.mask.all()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"budget": 0}, "0 tokens were to be kept; it must be at least 1"),
        ({"alpha": -0.1}, "alpha, .* is -0.1; it must be between 0 and 1"),
        ({"alpha": 1.5}, "must be between 0 and 1"),
        ({"alpha": float("nan")}, "must be between 0 and 1"),
        ({"grid": (8, 9)}, r"shape \(64,\); the grid of 8 × 9 has 72 patches"),
        ({"edge": "wrap"}, "must be one of clamp, drop, grid"),
    ],
)
def test_refused_selections(change: dict[str, Any], sentence: str) -> None:
    arguments = {"object_score": scores(64, 0), "deep_score": scores(64, 1), "grid": (8, 8), "budget": 30, **change}
    with pytest.raises(ValueError, match=sentence):
        select(**arguments)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("which", ["object", "deep"])
def test_scores_that_are_not_finite_are_refused(which: str, value: float) -> None:
    both = {"object": scores(64, 0), "deep": scores(64, 1)}
    both[which][3] = value
    with pytest.raises(NonFiniteError, match=f"the {which} score: 1.6 % of it is not a finite number"):
        select(both["object"], both["deep"], (8, 8), 10)


@pytest.mark.parametrize("ratio", [0.0, 1.01, float("nan")])
def test_refused_shares(ratio: float) -> None:
    with pytest.raises(ValueError, match="must be above 0 and at most 1"):
        hiprune.tokens_of_ratio(64, ratio)


def test_the_order_of_tiles_is_that_of_the_whole_picture() -> None:
    tiles, grid = (2, 3), (4, 5)
    mask = torch.rand(7, 20, generator=torch.Generator().manual_seed(0)) < 0.4
    expected = [patch for patch in range(20) if mask[0, patch]]
    for row in range(2 * 4):
        for column in range(3 * 5):
            tile, patch = 1 + (row // 4) * 3 + column // 5, (row % 4) * 5 + column % 5
            if mask[tile, patch]:
                expected.append(tile * 20 + patch)
    assert hiprune.mosaic_order(mask, tiles, grid).tolist() == expected
    with pytest.raises(ValueError, match="6 tiles were given; 2 × 3 tiles and the overview are 7"):
        hiprune.mosaic_order(mask[1:], tiles, grid)


# ------------------------------------------------------------------------------------------------- scores of attention


def softmax_attention(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).softmax(-1)


def test_every_query_counts_and_only_prefix_columns_go() -> None:
    attention = softmax_attention(2, 3, 10, 10)
    expected = [[sum(attention[b, h, q, k] for h in range(3) for q in range(10)) / 30 for k in range(1, 10)] for b in range(2)]
    assert torch.allclose(hiprune.received_attention(attention), torch.tensor(expected), atol=1e-6)
    assert not torch.allclose(hiprune.received_attention(attention), attention.mean(1)[:, 0, 1:], atol=1e-3)  # not the class token's row


def test_windows_are_summed_merged_and_put_back_in_raster_order() -> None:
    grid, window = (3, 5), 2
    order = window_order(grid, window)
    assert order.tolist() == [0, 1, 5, 6, 2, 3, 7, 8, 4, 9, 10, 11, 12, 13, 14]
    sides = [4, 4, 2, 2, 2, 1]
    windows = [softmax_attention(1, 2, 4 * side, 4 * side, seed=side) for side in sides]
    found = hiprune.received_in_windows(windows, order)
    expected, place = torch.zeros(15), 0
    for side, attention in zip(sides, windows, strict=True):
        for token in range(side):
            expected[order[place]] = attention[0].mean(0)[:, 4 * token : 4 * token + 4].sum() / 4
            place += 1
    assert torch.allclose(found[0], expected, atol=1e-6)
    assert found.mean().item() == pytest.approx(1)


def maps_of(layers: int = 6, grid: tuple[int, int] = (5, 6), prefix: int = 1, **more: Any) -> AttentionMaps:
    tokens = prefix + grid[0] * grid[1]
    received = softmax_attention(2, layers, 3, tokens)
    return AttentionMaps(received, grid, prefix, 1 / tokens, (3, layers), **more)


def test_the_rule_reads_the_layers_and_the_head_that_it_is_told() -> None:
    maps = maps_of()
    for arguments, mid, deep in (
        ({}, maps.received[:, 2].mean(1), maps.received[:, 5].mean(1)),
        ({"object_layer": 1, "deep_layer": 4}, maps.received[:, 0].mean(1), maps.received[:, 3].mean(1)),
        ({"head": 2}, maps.received[:, 2, 2], maps.received[:, 5].mean(1)),
    ):
        found = HiPrune(tokens=9, alpha=0.6, **arguments)(maps)
        assert torch.equal(found.order, select(mid[:, 1:], deep[:, 1:], (5, 6), 9, 0.6).order)
        assert found.layers == (arguments.get("object_layer", 3), arguments.get("deep_layer", 6))
    assert HiPrune(ratio=0.334)(maps).budget == 10


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"object_layer": 0}, "layer 0 was asked for; the encoder has layers 1 to 6"),
        ({"deep_layer": 7}, "layer 7 was asked for; the encoder has layers 1 to 6"),
        ({"object_layer": 2}, r"layer 2 attends inside windows .*; full attention have layers 1, 3, 4, 6"),
        ({"head": 3}, "head 3 was asked for; the encoder has heads 0 to 2"),
    ],
)
def test_refused_layers(arguments: dict[str, int], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        HiPrune(tokens=9, **arguments)(maps_of(windowed=(2, 5)))


@pytest.mark.parametrize("both", [{}, {"tokens": 9, "ratio": 0.3}])
def test_one_kind_of_budget_is_needed(both: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="either the number of tokens to keep or the share"):
        HiPrune(**both)


def test_dispersion_is_the_mean_distance_of_the_features_of_the_top_patches() -> None:
    maps = maps_of(grid=(8, 10), features=picture(2, 80, 4))
    curve = hiprune.dispersion(maps, 0.1)
    for layer in range(1, 7):
        top = sorted(range(80), key=lambda i: -maps.score(layer)[1, i].item())[:8]
        points = [maps.features[1, i] for i in top]
        pairs = [(a - b).norm() for i, a in enumerate(points) for b in points[:i]]
        assert curve[1, layer - 1].item() == pytest.approx(torch.stack(pairs).mean().item(), rel=1e-5)
    assert hiprune.layer_before_jump(torch.tensor([26.0, 27, 26, 30, 58, 60])) == 4
    with pytest.raises(ValueError, match="no features of the last layer"):
        hiprune.dispersion(maps_of())


# ------------------------------------------------------------------------------------------- tiny models, as published

PLAIN = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24, "patch_size": 8}
VISION = {**PLAIN, "image_size": 48}
TEXT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 32}
LANGUAGE = {**TEXT, "model_type": "llama", "num_hidden_layers": 2, "num_key_value_heads": 2, "max_position_embeddings": 256}
IMAGE_TOKEN = 31
SIZE = {"size": {"height": 48, "width": 48}}
NORM = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.25, 0.3]}


@dataclass(frozen=True)
class Published:
    """A model as a hub folder holds it, and what we expect of it."""

    model: str
    config: str
    settings: dict[str, Any]
    prefix: int
    family: str
    processor: dict[str, Any]
    renamed: tuple[str, str] = ("", "")


def square(model: str, config: str, prefix: int, family: str, **more: Any) -> Published:
    return Published(model, config, {**VISION, **more}, prefix, family, SIZE)


def llava(model: str = "LlavaForConditionalGeneration", config: str = "LlavaConfig", depth: int = 3, **more: Any) -> Published:
    vision = {"model_type": "clip_vision_model", **VISION, "num_hidden_layers": depth}
    whole = {"vision_config": vision, "text_config": LANGUAGE, "image_token_id": IMAGE_TOKEN, **more}
    # Released files name the tower's parts below "vision_model".
    return Published(model, config, whole, 1, "LLaVA's CLIP tower", SIZE, ("vision_tower.", "vision_tower.vision_model."))


QWEN = {
    "depth": 5,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_heads": 2,
    "patch_size": 4,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "window_size": 16,
    "fullatt_block_indexes": [1, 4],
    "out_hidden_size": 16,
}
QWEN_TEXT = {**TEXT, "num_key_value_heads": 2, "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}}
IDS = {"image_token_id": 31, "video_token_id": 30, "vision_start_token_id": 29, "vision_end_token_id": 28}

PUBLISHED = {
    "vit": square("ViTForImageClassification", "ViTConfig", 1, "ViT"),
    "deit": square("DeiTModel", "DeiTConfig", 2, "DeiT"),
    "dinov2": square("Dinov2Model", "Dinov2Config", 1, "DINOv2", mlp_ratio=2),
    "dinov2 with registers": square(
        "Dinov2WithRegistersModel", "Dinov2WithRegistersConfig", 5, "DINOv2 with registers", num_register_tokens=4, mlp_ratio=2
    ),
    "dinov3": square("DINOv3ViTModel", "DINOv3ViTConfig", 5, "DINOv3", num_register_tokens=4),
    "clip tower": square("CLIPVisionModel", "CLIPVisionConfig", 1, "CLIP"),
    "clip": Published("CLIPModel", "CLIPConfig", {"vision_config": VISION, "text_config": TEXT, "projection_dim": 8}, 1, "CLIP", SIZE),
    "siglip": Published("SiglipModel", "SiglipConfig", {"vision_config": VISION, "text_config": TEXT}, 0, "SigLIP", SIZE),
    "siglip2": Published(
        "Siglip2VisionModel", "Siglip2VisionConfig", {**PLAIN, "num_patches": 36}, 0, "SigLIP 2", {"max_num_patches": 36, "patch_size": 8}
    ),
    "llava": llava(),
    "llava next": llava("LlavaNextForConditionalGeneration", "LlavaNextConfig", image_grid_pinpoints=[[48, 96], [96, 48], [96, 96]]),
    "qwen": Published(
        "Qwen2_5_VLForConditionalGeneration",
        "Qwen2_5_VLConfig",
        {"vision_config": QWEN, "text_config": QWEN_TEXT, **IDS},
        0,
        "Qwen2.5-VL",
        {"min_pixels": 16 * 64, "max_pixels": 100 * 64},
    ),
}
GLOBAL = [name for name in PUBLISHED if name != "qwen"]
SQUARE = [name for name in GLOBAL if name != "siglip2"]


def library(name: str) -> Any:
    return getattr(transformers, name)


def write(published: Published, folder: Path) -> Path:
    torch.manual_seed(0)
    model = library(published.model)(library(published.config)(**published.settings))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)  # released tables and scales that start at 0 or 1 are told apart
    model.save_pretrained(folder)
    if published.renamed[0]:
        file = folder / "model.safetensors"
        state = {name.replace(*published.renamed): tensor for name, tensor in load_file(file).items()}
        save_file(state, file, {"format": "pt"})
    (folder / "preprocessor_config.json").write_text(json.dumps({**NORM, "do_center_crop": False, **published.processor}))
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Writes a tiny model once: config.json, model.safetensors, preprocessor_config.json."""
    written: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in written:
            written[name] = write(PUBLISHED[name], tmp_path_factory.mktemp(name.replace(" ", "-")))
        return written[name]

    return folder


@pytest.fixture(scope="module")
def encoders(folders) -> Callable[[str], Encoder]:
    loaded: dict[str, Encoder] = {}

    def encoder(name: str) -> Encoder:
        if name not in loaded:
            loaded[name] = load_encoder(folders(name), local_files_only=True)
        return loaded[name]

    return encoder


def pixels(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def as_eager(folder: Path, name: str) -> Any:
    """The library's own model with its own slow attention, or its vision tower."""
    model = library(PUBLISHED[name].model).from_pretrained(folder, attn_implementation="eager").eval()
    for part in ("model", "vision_tower", "vision_model"):
        if name.startswith(("llava", "clip", "siglip")) and isinstance(getattr(model, part, None), nn.Module):
            model = getattr(model, part)
    return getattr(model, model.base_model_prefix, model) if name in ("vit", "deit") else model


@torch.no_grad()
def eager_attention(folder: Path, name: str, inputs: dict[str, Tensor]) -> list[Tensor]:
    return list(as_eager(folder, name)(**inputs, output_attentions=True).attentions)


# ------------------------------------------------------------------------------------------------------------ capture


@pytest.mark.parametrize("name", GLOBAL)
def test_attention_is_the_librarys_slow_one(folders, encoders, name: str) -> None:
    encoder, published = encoders(name), PUBLISHED[name]
    inputs = encoder.prepare(pixels(48, 48))
    maps = encoder(inputs, opened=[2])
    expected = eager_attention(folders(name), name, inputs)
    assert encoder.family == published.family
    assert maps.n_layers == encoder.n_layers == len(expected) == 3  # the pooling head of SigLIP is no layer
    assert (maps.grid, maps.prefix) == ((6, 6), published.prefix)
    assert maps.uniform == 1 / (36 + published.prefix)
    for layer, attention in enumerate(expected, 1):
        assert torch.allclose(maps.received[:, layer - 1], attention.mean(2), atol=1e-6)
        assert torch.allclose(maps.score(layer), hiprune.received_attention(attention, published.prefix), atol=1e-6)
    assert list(maps.opened) == [2]
    assert torch.allclose(maps.opened[2], expected[1], atol=1e-6)
    assert maps.windowed == ()


@pytest.mark.parametrize("name", PUBLISHED)
def test_features_and_suggested_layers(folders, encoders, name: str) -> None:
    encoder = encoders(name)
    inputs = encoder.prepare(pixels(48, 48))
    maps = encoder(inputs)
    n = maps.grid[0] * maps.grid[1]
    assert maps.features.shape[:2] == maps.passed.shape[:2] == (1, n)
    if name == "qwen":
        assert maps.suggested == (2, 5)
        return
    with torch.no_grad():
        states = as_eager(folders(name), name)(**inputs, output_hidden_states=True).hidden_states
    used = -2 if name.startswith("llava") else -1
    assert maps.suggested == (2, 2 if name.startswith("llava") else 3)
    assert torch.allclose(maps.features, states[-1][:, -n:], atol=1e-5)
    assert torch.allclose(maps.passed, states[used][:, -n:], atol=1e-5)


def test_the_tower_of_llava_is_read_in_layers_9_and_23(tmp_path: Path) -> None:
    folder = write(llava(depth=24), tmp_path)
    encoder = load_encoder(folder)
    inputs = encoder.prepare(pixels(48, 48))
    maps = encoder(inputs)
    attentions = eager_attention(folder, "llava", inputs)
    assert maps.suggested == (9, 23)
    selection = HiPrune(tokens=12, alpha=0.5)(maps)
    mid, deep = (hiprune.received_attention(attentions[index]) for index in (8, -2))  # not [9], and not [-1]
    assert torch.equal(selection.order, select(mid, deep, (6, 6), 12, 0.5).order)
    wrong = [
        select(attentions[a].mean(1).mean(1)[:, 1:], attentions[b].mean(1).mean(1)[:, 1:], (6, 6), 12, 0.5) for a, b in ((9, -2), (8, -1))
    ]
    assert all(not torch.equal(selection.order, other.order) for other in wrong)


@pytest.mark.parametrize("name", PUBLISHED)
def test_looking_changes_nothing(folders, encoders, name: str) -> None:
    encoder = encoders(name)
    inputs = encoder.prepare(pixels(48, 64))
    if name == "qwen":
        inputs = {"hidden_states": inputs["pixel_values"], "grid_thw": inputs["image_grid_thw"]}
    elif name in ("vit", "deit", "clip", "clip tower", "siglip") or name.startswith("llava"):
        inputs["interpolate_pos_encoding"] = True  # type: ignore[assignment]
    with torch.no_grad():
        unseen = encoder.model(**inputs).last_hidden_state
        with record(encoder.model, opened=[1]) as recording:
            seen = encoder.model(**inputs).last_hidden_state
        encoder.model.set_attn_implementation("sdpa")
        fused = encoder.model(**inputs).last_hidden_state
        attention_capture.install(encoder.model)
    assert len(recording.layers) == encoder.n_layers
    assert torch.equal(seen, unseen)
    assert torch.equal(fused, unseen)


def test_nothing_is_computed_when_nobody_looks(encoders, monkeypatch) -> None:
    encoder = encoders("clip tower")
    calls: list[int] = []
    real = attention_capture._softmax
    monkeypatch.setattr(attention_capture, "_softmax", lambda *a: calls.append(1) or real(*a))
    with torch.no_grad():
        encoder.model(pixel_values=picture(1, 3, 48, 48))
        assert calls == []
        with record(encoders("vit").model):  # somebody looks at another model
            encoder.model(pixel_values=picture(1, 3, 48, 48))
    assert calls == []
    encoder(encoder.prepare(pixels(48, 48)))
    assert len(calls) == 3


def test_the_librarys_fused_attention_gives_no_weights(encoders) -> None:
    encoder = encoders("vit")
    with torch.no_grad():
        encoder.model.set_attn_implementation("sdpa")
        attentions = encoder.model(pixel_values=picture(1, 3, 48, 48), output_attentions=True).attentions
        attention_capture.install(encoder.model)
    assert not any(isinstance(attention, Tensor) for attention in attentions or ())  # an empty tuple, with a line in the log
    assert encoder(encoder.prepare(pixels(48, 48))).n_layers == 3


def test_full_matrices_are_kept_of_opened_layers_only(encoders, monkeypatch) -> None:
    encoder = encoders("clip tower")
    inputs = encoder.prepare(pixels(48, 48))
    whole = encoder(inputs, opened=[1, 3])
    assert list(whole.opened) == [1, 3]
    assert encoder(inputs).opened == {}
    monkeypatch.setattr(attention_capture, "_CHUNK", 2 * 37 * 5)  # five queries of two heads at a time
    with LargestTensor() as seen, record(encoder.model) as recording:
        encoder.model(**inputs)
    assert seen.entries < 2 * 37 * 37
    assert all(layer.matrices == [] for layer in recording.layers)
    assert torch.allclose(recording.layers[1].received[0] / 37, whole.received[:, 1], atol=1e-6)
    assert torch.allclose(encoder(inputs, opened=[3]).opened[3], whole.opened[3], atol=1e-6)
    shown: list[int] = []
    with torch.no_grad(), record(encoder.model, opened=[2], finished=lambda layer, calls: shown.append(len(calls.matrices))) as recording:
        encoder.model(**inputs)
    assert shown == [1, 1, 1]
    assert [len(layer.matrices) for layer in recording.layers] == [0, 1, 0]


@pytest.mark.parametrize("name", ["dinov2", "siglip2", "qwen"])
def test_a_watcher_sees_every_layer_and_nothing_stays(encoders, name: str) -> None:
    encoder = encoders(name)
    inputs = encoder.prepare(pixels(48, 64))
    seen: list[tuple[int, Tensor]] = []
    maps = encoder(inputs, opened=[2], watch=lambda layer, attention: seen.append((layer, attention)))
    assert [layer for layer, _ in seen] == list(range(1, encoder.n_layers + 1))
    assert list(maps.opened) == [2]
    assert torch.equal(seen[1][1], maps.opened[2])
    for layer, attention in seen:
        assert torch.allclose(attention.sum(-1), torch.ones(()), atol=1e-5)
        total = attention.mean(2) if name != "qwen" else attention.sum(2)
        assert torch.allclose(total, maps.received[:, layer - 1], atol=1e-5)


@pytest.mark.parametrize("name", SQUARE)
def test_pictures_of_another_shape(folders, encoders, name: str) -> None:
    encoder = encoders(name)
    image = picture(2, 3, 43, 75)  # what is left over of a patch is cut off
    maps = encoder({"pixel_values": image}, opened=[1])
    more = {} if name.startswith("dino") else {"interpolate_pos_encoding": True}
    expected = eager_attention(folders(name), name, {"pixel_values": image, **more})
    assert maps.grid == (5, 9)
    assert maps.prefix == PUBLISHED[name].prefix
    assert maps.received.shape == (2, 3, 2, 45 + maps.prefix)
    assert torch.allclose(maps.opened[1], expected[0], atol=1e-6)


def test_siglip_does_not_take_another_grid_with_the_same_number_of_patches(folders, encoders) -> None:
    image = {"pixel_values": picture(1, 3, 32, 72)}  # 4 · 9 = 6 · 6: the library accepts it with the wrong positions
    silent = eager_attention(folders("siglip"), "siglip", image)
    right = eager_attention(folders("siglip"), "siglip", {**image, "interpolate_pos_encoding": True})
    maps = encoders("siglip")(image, opened=[1])
    assert maps.grid == (4, 9)
    assert torch.allclose(maps.opened[1], right[0], atol=1e-6)
    assert not torch.allclose(maps.opened[1], silent[0], atol=1e-3)


# --------------------------------------------------------------------------------------------------- SigLIP 2 and Qwen


def padded(inputs: dict[str, Tensor], length: int) -> dict[str, Tensor]:
    more = length - inputs["pixel_values"].shape[1]
    return {
        "pixel_values": F.pad(inputs["pixel_values"], (0, 0, 0, more), value=3.0),
        "pixel_attention_mask": F.pad(inputs["pixel_attention_mask"], (0, more)),
        "spatial_shapes": inputs["spatial_shapes"],
    }


def test_padding_neither_attends_nor_is_attended_to(folders, encoders) -> None:
    encoder = encoders("siglip2")
    inputs = encoder.prepare(pixels(40, 60))
    n = inputs["pixel_values"].shape[1]
    assert n < 36
    longer = padded(inputs, 36)
    maps, alone = encoder(longer, opened=[1, 2, 3]), encoder(inputs)
    expected = eager_attention(folders("siglip2"), "siglip2", longer)
    assert maps.received.shape[-1] == maps.grid[0] * maps.grid[1] == n
    assert torch.allclose(maps.received, alone.received, atol=1e-6)
    for layer in (1, 2, 3):
        assert torch.allclose(maps.opened[layer], expected[layer - 1][:, :, :n, :n], atol=1e-5)
    with torch.no_grad(), record(encoder.model) as recording:  # the mask arrives also where padding was left in
        encoder.model(**longer)
    assert not any(layer.received[0][..., n:].any() for layer in recording.layers)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"spatial_shapes": torch.tensor([[6, 7]])}, "does not mark the 42 patches of a grid of 6 × 7"),
        ({"pixel_attention_mask": torch.ones(1, 36)}, "does not mark the .* patches"),
        ({"spatial_shapes": torch.tensor([[4, 7], [7, 4]])}, "grids of different shapes"),
        ({"spatial_shapes": torch.tensor([[3, 9]])}, "3 × 9 patches; at least 4 × 4"),
    ],
)
def test_refused_grids_of_siglip2(encoders, change: dict[str, Tensor], sentence: str) -> None:
    encoder = encoders("siglip2")
    with pytest.raises(ValueError, match=sentence):
        encoder({**padded(encoder.prepare(pixels(40, 60)), 36), **change})


@pytest.mark.parametrize("shape", [(48, 48), (40, 60), (33, 190), (300, 20)])
def test_siglip2_prepares_as_its_processor(encoders, shape: tuple[int, int]) -> None:
    encoder, image = encoders("siglip2"), pixels(*shape)
    theirs = library("Siglip2ImageProcessorPil")(**NORM, patch_size=8, max_num_patches=36)(image, return_tensors="pt")
    ours = encoder.prepare(image)
    n = ours["pixel_values"].shape[1]
    assert ours["spatial_shapes"].tolist() == theirs["spatial_shapes"].tolist()
    assert torch.allclose(ours["pixel_values"], theirs["pixel_values"][:, :n], atol=1e-5)
    h, w = ours["spatial_shapes"][0].tolist()
    assert encoder.seen(image).shape == (8 * h, 8 * w, 3)
    assert fit_patches(shape, 8, 36) == (8 * h, 8 * w)


@pytest.mark.parametrize("shape", [(48, 48), (20, 12), (400, 130), (97, 301)])
def test_qwen_prepares_as_its_processor(encoders, shape: tuple[int, int]) -> None:
    encoder, image = encoders("qwen"), pixels(*shape)
    processor = library("Qwen2VLImageProcessorPil")(
        **NORM, patch_size=4, temporal_patch_size=2, merge_size=2, size={"shortest_edge": 16 * 64, "longest_edge": 100 * 64}
    )
    theirs, ours = processor(image, return_tensors="pt"), encoder.prepare(image)
    assert ours["image_grid_thw"].tolist() == theirs["image_grid_thw"].tolist()
    assert torch.allclose(ours["pixel_values"], theirs["pixel_values"], atol=1e-5)
    _, h, w = ours["image_grid_thw"][0].tolist()
    assert encoder.seen(image).shape == (4 * h, 4 * w, 3)
    with pytest.raises(ValueError, match="at most 200 times the other"):
        fit_pixels((2, 402), 8, 64, 6400)


def qwen_weights(model: Any, inputs: dict[str, Tensor]) -> list[list[Tensor]]:
    """Weights of each call of each layer by the library's slow attention, [1, H, t, t]."""
    from transformers import AttentionInterface
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import eager_attention_forward

    calls: dict[int, list[Tensor]] = {}

    def probe(module: nn.Module, *arguments: Any, **more: Any) -> tuple[Tensor, Tensor]:
        output, weights = eager_attention_forward(module, *arguments, **more)
        calls.setdefault(id(module), []).append(weights)
        return output, weights

    AttentionInterface.register("probe", probe)
    model.set_attn_implementation("probe")
    with torch.no_grad():
        model(inputs["pixel_values"], grid_thw=inputs["image_grid_thw"])
    attention_capture.install(model)
    return list(calls.values())


@pytest.mark.parametrize("shape", [(56, 88), (48, 40), (72, 72)])
def test_qwens_windows_come_back_in_raster_order(encoders, shape: tuple[int, int]) -> None:
    encoder = encoders("qwen")
    inputs = encoder.prepare(pixels(*shape))
    maps = encoder(inputs, opened=[1, 2])
    calls = qwen_weights(encoder.model, inputs)
    _, h, w = inputs["image_grid_thw"][0].tolist()
    order = window_order((h // 2, w // 2), 2)
    assert maps.grid == (h // 2, w // 2) == (shape[0] // 8, shape[1] // 8)
    assert maps.windowed == (1, 3, 4)
    for layer in range(1, 6):
        expected = hiprune.received_in_windows(calls[layer - 1], order)
        assert torch.allclose(maps.score(layer), expected, atol=1e-4)
        assert expected.mean().item() == pytest.approx(1, abs=1e-5)
    full = torch.block_diag(*[call[0, 1] for call in calls[0]])
    merged = full.view(len(order), 4, len(order), 4).sum(3).mean(1)
    raster = torch.zeros_like(merged)
    raster[order[:, None], order[None]] = merged
    assert torch.allclose(maps.opened[1][0, 1], raster, atol=1e-5)
    assert torch.allclose(maps.opened[2].sum(-1), torch.ones(()), atol=1e-5)


def test_qwens_window_order_is_the_librarys(encoders) -> None:
    vision_utils = pytest.importorskip("transformers.vision_utils")
    for h, w in ((6, 8), (14, 22), (8, 8), (10, 34)):
        theirs, _ = vision_utils.get_vision_window_index(torch.tensor([[1, h, w]]), 2, 16, 4)
        assert torch.equal(window_order((h // 2, w // 2), 2), theirs)


def test_what_the_library_calls_attentions_of_qwen_are_none(encoders) -> None:
    encoder = encoders("qwen")
    inputs = encoder.prepare(pixels(48, 64))
    with torch.no_grad():
        result = encoder.model(inputs["pixel_values"], grid_thw=inputs["image_grid_thw"], output_attentions=True)
    n = inputs["pixel_values"].shape[0]
    assert all(a.shape[-2:] != (n, n) for a in result.attentions or () if isinstance(a, Tensor))
    assert encoder(inputs, opened=[2]).opened[2].shape == (1, 2, n // 4, n // 4)


def test_the_layers_of_qwens_released_tower() -> None:
    class Released(attention_capture.QwenEncoder):
        def __init__(self) -> None:
            nn.Module.__init__(self)
            self.n_layers, self.full = 32, (8, 16, 24, 32)

    assert Released().suggested == (16, 32)


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        ([[2, 8, 8]], "a video of 2 steps; only still pictures"),
        ([[1, 8, 8], [1, 8, 8]], "2 pictures were given; Qwen's tower is looked at one picture at a time"),
        ([[1, 2, 8]], "2 × 8 patches; at least 4 × 4"),
    ],
)
def test_refused_inputs_of_qwen(encoders, grid: list[list[int]], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        encoders("qwen")({"pixel_values": torch.zeros(64, 96), "image_grid_thw": torch.tensor(grid)})


# ------------------------------------------------------------------------------------------------- threads and loading


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    results: list[Any] = [None] * count
    failures: list[BaseException] = []
    start = threading.Barrier(count)

    def call(i: int) -> None:
        try:
            start.wait()
            results[i] = work(i)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=call, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if failures:
        raise failures[0]
    return results


@pytest.mark.parametrize("name", ["dinov2 with registers", "qwen"])
def test_eight_threads_give_bit_for_bit_what_one_gives(encoders, name: str) -> None:
    encoder = encoders(name)
    inputs = [encoder.prepare(pixels(48, 48 + 8 * (i % 3), seed=i)) for i in range(8)]

    def look(i: int) -> dict[str, Tensor]:
        if i % 4 == 3:  # one of them does not look
            key = "hidden_states" if name == "qwen" else "pixel_values"
            shape = {"grid_thw": inputs[i]["image_grid_thw"]} if name == "qwen" else {}
            with torch.no_grad():
                return {"output": encoder.model(**{key: inputs[i]["pixel_values"]}, **shape).last_hidden_state}
        return encoder(inputs[i], opened=[1 + i % 3]).tensors()

    alone = [look(i) for i in range(8)]
    for _ in range(3):
        for found, expected in zip(in_threads(8, look), alone, strict=True):
            assert found.keys() == expected.keys()
            assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_another_threads_run_is_not_recorded(encoders) -> None:
    encoder = encoders("vit")
    with record(encoder.model) as recording:
        in_threads(1, lambda _: encoder.model(pixel_values=picture(1, 3, 48, 48)))
        assert recording.layers == []
        encoder.model(pixel_values=picture(1, 3, 48, 48))
    assert len(recording.layers) == 3


def test_the_recorder_is_removed_after_an_exception(encoders) -> None:
    encoder = encoders("vit")
    with pytest.raises(ZeroDivisionError), record(encoder.model) as recording:
        raise ZeroDivisionError
    encoder.model(pixel_values=picture(1, 3, 48, 48))
    assert recording.layers == []


def test_attention_and_selection_are_seen_by_capture_and_can_be_edited(encoders) -> None:
    encoder = encoders("dinov3")
    chain = nn.Sequential(encoder, HiPrune(tokens=9))
    with capture(chain) as trace:
        selection = chain(encoder.prepare(pixels(48, 48)))
    assert isinstance(trace.structures["0"], AttentionMaps)
    assert trace.of(TokenSelection)["1"] is selection
    swapped = {"0": lambda maps: replace(maps, received=maps.received.flip(1))}
    with capture(chain, edits=swapped):
        assert not torch.equal(chain(encoder.prepare(pixels(48, 48))).order, selection.order)


@pytest.mark.parametrize(("kind", "why"), [("swin", "Swin attends inside windows"), ("pvt", "PVT attends to a coarser copy")])
def test_encoders_without_global_attention_are_refused(tmp_path: Path, kind: str, why: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(ValueError, match=f"every patch to every patch; {why}.*Supported are ViT, DeiT"):
        load_encoder(tmp_path)


def test_other_refusals_of_loading(tmp_path: Path, folders) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "resnet"}))
    with pytest.raises(ValueError, match=r"of type 'resnet', which is not supported; supported are .*Qwen2\.5-VL"):
        load_encoder(tmp_path)
    with pytest.raises(ValueError, match="neither a local folder"):
        load_encoder(tmp_path / "nowhere", local_files_only=True)
    folder = write(PUBLISHED["llava"], tmp_path / "cut")
    state = load_file(folder / "model.safetensors")
    state.pop("vision_tower.vision_model.embeddings.class_embedding")
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"1 weights of the vision model are not in .*class_embedding"):
        load_encoder(folder)


@pytest.mark.parametrize("layer", [0, 4])
def test_an_opened_layer_must_exist(encoders, layer: int) -> None:
    encoder = encoders("vit")
    with pytest.raises(ValueError, match=f"layer {layer} was asked for; the encoder has layers 1 to 3"):
        encoder(encoder.prepare(pixels(48, 48)), opened=[layer])


def test_small_pictures_and_other_bytes_are_refused(encoders) -> None:
    encoder = encoders("dinov2")
    with pytest.raises(ValueError, match="3 × 6 patches; at least 4 × 4"):
        encoder({"pixel_values": picture(1, 3, 24, 48)})
    for name in ("dinov2", "siglip2", "qwen"):
        with pytest.raises(ValueError, match=r"must be uint8 of shape \(height, width, 3\)"):
            encoders(name).prepare(np.zeros((48, 48), np.uint8))


def test_attention_that_is_not_finite_is_refused(folders) -> None:
    encoder = load_encoder(folders("vit"))
    with torch.no_grad():
        next(encoder.model.parameters()).fill_(torch.nan)
    with pytest.raises(NonFiniteError, match=r"the object score: 100\.0 %"):
        HiPrune(tokens=9)(encoder(encoder.prepare(pixels(48, 48))))


def test_the_library_is_imported_only_when_it_is_needed() -> None:
    code = "import sys, models.tokens.hiprune, models.tokens.flops; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0


# --------------------------------------------------------------------------------------------------------- pruned run


def prompt(*pictures: int) -> Tensor:
    """Text, and as many image tokens in each picture's place as told, [1, S]."""
    ids = [1, 5]
    for count in pictures:
        ids += [IMAGE_TOKEN] * count + [7, 9]
    return torch.tensor([ids])


@pytest.fixture(scope="module")
def pruned(folders) -> PrunedLlava:
    return load_llava(folders("llava"), HiPrune(tokens=36), local_files_only=True)


@pytest.mark.parametrize("images", [1, 2])
def test_with_every_token_kept_it_is_the_model_itself(pruned: PrunedLlava, images: int) -> None:
    pruned.prune = HiPrune(tokens=36)
    values = picture(images, 3, 48, 48)
    with torch.no_grad():
        whole = pruned.model(input_ids=prompt(*[36] * images), pixel_values=values).logits
    assert torch.allclose(pruned(prompt(*[36] * images), values), whole, atol=1e-5)
    assert torch.allclose(pruned(prompt(*[1] * images), values), whole, atol=1e-5)


def test_the_language_model_reads_the_kept_patches_only(pruned: PrunedLlava) -> None:
    pruned.prune = HiPrune(tokens=8, alpha=0.7)
    values = picture(2, 3, 48, 48)
    inner = pruned.model.model
    with torch.no_grad(), capture(pruned) as trace:
        logits = pruned(prompt(36, 36), values)
        selection = trace.of(TokenSelection)["prune"]
        patches = inner.vision_tower(values, output_hidden_states=True).hidden_states[-2][:, 1:]
        text = inner.get_input_embeddings()(torch.tensor([1, 5, 7, 9, 7, 9]))
        first, second = (inner.multi_modal_projector(patches[i, selection.kept(i)]) for i in (0, 1))
        embeddings = torch.cat([text[:2], first, text[2:4], second, text[4:]])[None]
        expected = pruned.model(inputs_embeds=embeddings).logits
    assert logits.shape == (1, 6 + 16, 32)
    assert torch.allclose(logits, expected, atol=1e-5)
    assert selection.counts(0)["anchor"] == 1
    assert "encoder" in trace.of(AttentionMaps)


def test_another_selection_gives_another_answer(pruned: PrunedLlava) -> None:
    pruned.prune = HiPrune(tokens=8)
    values = picture(1, 3, 48, 48)

    def flipped(selection: TokenSelection) -> TokenSelection:
        return replace(selection, role=selection.role.flip(1))

    plain = pruned(prompt(1), values)
    with capture(pruned, edits={"prune": flipped}):
        other = pruned(prompt(1), values)
    assert plain.shape == other.shape
    assert not torch.allclose(plain, other, atol=1e-3)


def test_generated_tokens_follow_the_logits(pruned: PrunedLlava) -> None:
    pruned.prune = HiPrune(tokens=8)
    values = picture(1, 3, 48, 48)
    answer = pruned.generate(prompt(36), values, max_new_tokens=3, do_sample=False)
    assert answer.shape == (1, 3)
    assert answer[0, 0] == pruned(prompt(36), values)[0, -1].argmax()


def test_tiles_of_llava_next(folders) -> None:
    model = load_llava(folders("llava next"), HiPrune(tokens=hiprune.tokens_per_tile(20, 3)), local_files_only=True)
    tiles, inner = picture(3, 3, 48, 48), model.model.model
    with torch.no_grad(), capture(model) as trace:
        logits = model(prompt(1), tiles, tiles=(1, 2))
        mask = trace.of(TokenSelection)["prune"].mask
        patches = inner.vision_tower(tiles, output_hidden_states=True).hidden_states[-2][:, 1:]
        rows = [patches[0, i] for i in range(36) if mask[0, i]]
        for row in range(6):
            rows += [patches[1 + column // 6, row * 6 + column % 6] for column in range(12) if mask[1 + column // 6, row * 6 + column % 6]]
        text = inner.get_input_embeddings()(torch.tensor([1, 5, 7, 9]))
        embeddings = torch.cat([text[:2], inner.multi_modal_projector(torch.stack(rows)), text[2:]])[None]
        expected = model.model(inputs_embeds=embeddings).logits
    assert mask.sum(1).tolist() == [6, 6, 6]  # the budget of each tile, rounded down
    assert torch.allclose(logits, expected, atol=1e-5)
    assert torch.equal(model(prompt(50), tiles, tiles=(1, 2)), logits)  # whatever room the processor left


@pytest.mark.parametrize(
    ("ids", "images", "sentence"),
    [
        (prompt(35), 1, "has 35 image tokens; expected one per picture or per patch of 1 pictures"),
        (prompt(1, 1), 1, "has 2 image tokens"),
        (prompt(), 1, "has 0 image tokens"),
        (prompt(36).repeat(2, 1), 2, "2 prompts were given; the pruned model takes one at a time"),
    ],
)
def test_refused_prompts(pruned: PrunedLlava, ids: Tensor, images: int, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        pruned(ids, picture(images, 3, 48, 48))


def test_refused_models(tmp_path: Path, folders) -> None:
    with pytest.raises(ValueError, match="cannot be read as a model of pictures and text"):
        load_llava(folders("vit"), HiPrune(tokens=9))
    with pytest.raises(ValueError, match="of type 'qwen2_5_vl'; a pruned run takes LLaVA"):
        load_llava(folders("qwen"), HiPrune(tokens=9))
    folder = write(llava(vision_feature_select_strategy="full"), tmp_path)
    with pytest.raises(ValueError, match=r"passes on the class token too \('full'\)"):
        load_llava(folder, HiPrune(tokens=9))


# -------------------------------------------------------------------------------------------- pruned run of Qwen2.5-VL


@pytest.fixture(scope="module")
def pruned_qwen(folders) -> PrunedQwen:
    return load_qwen(folders("qwen"), HiPrune(ratio=1.0), local_files_only=True)


def question(count: int) -> Tensor:
    """Text around `count` image tokens of the tiny Qwen model, [1, S]."""
    return torch.tensor([[1, 5, IDS["vision_start_token_id"], *[IDS["image_token_id"]] * count, IDS["vision_end_token_id"], 7, 9, 3]])


def whole_answer(model: Any, inputs: dict[str, Tensor], count: int) -> Tensor:
    ids = question(count)
    with torch.no_grad():
        return model(input_ids=ids, mm_token_type_ids=(ids == IDS["image_token_id"]).int(), **inputs).logits


def test_qwen_with_every_token_kept_is_the_model_itself(pruned_qwen: PrunedQwen) -> None:
    pruned_qwen.prune = HiPrune(ratio=1.0)
    inputs = pruned_qwen.encoder.prepare(pixels(56, 88))  # 7 × 11 merged tokens, in windows
    expected = whole_answer(pruned_qwen.model, inputs, 77)
    assert torch.allclose(pruned_qwen(question(77), **inputs), expected, atol=1e-4)
    assert torch.allclose(pruned_qwen(question(1), **inputs), expected, atol=1e-4)


def test_qwen_keeps_the_places_of_what_stays(pruned_qwen: PrunedQwen) -> None:
    pruned_qwen.prune = HiPrune(tokens=12, alpha=0.5)
    inputs = pruned_qwen.encoder.prepare(pixels(56, 88))
    with capture(pruned_qwen) as trace:
        embeddings, positions = pruned_qwen.embed(question(77), **inputs)
        logits = pruned_qwen(question(77), **inputs)
    kept = trace.of(TokenSelection)["prune"].kept()
    assert len(kept) == 12
    # Three text tokens come before; the picture of 7 × 11 takes as many numbers as its longer side; the text goes on behind.
    text_before, text_behind = [0, 1, 2], [14, 15, 16, 17]
    assert positions[0, 0].tolist() == text_before + [3] * 12 + text_behind
    assert positions[1, 0].tolist() == text_before + (3 + kept // 11).tolist() + text_behind
    assert positions[2, 0].tolist() == text_before + (3 + kept % 11).tolist() + text_behind
    with torch.no_grad():
        patches = pruned_qwen.model.model.get_image_features(**inputs).pooler_output[0]
        assert torch.allclose(embeddings[0, 3:15], patches[kept], atol=1e-5)
        closed_up = pruned_qwen.model(inputs_embeds=embeddings, position_ids=torch.arange(19).expand(3, 1, -1)).logits
    assert logits.shape == (1, 19, 32)
    assert not torch.allclose(logits, closed_up, atol=1e-3)  # positions matter


def test_qwen_answers_token_by_token_as_the_model_would(pruned_qwen: PrunedQwen) -> None:
    pruned_qwen.model.generation_config.eos_token_id = None
    inputs = pruned_qwen.encoder.prepare(pixels(56, 88))
    for rule in (HiPrune(ratio=1.0), HiPrune(tokens=9)):
        pruned_qwen.prune = rule
        answer = pruned_qwen.generate(question(77), **inputs, max_new_tokens=4)
        assert answer.shape == (1, 4)
        told = question(77)
        for token in answer[0]:  # without a cache, one longer prompt after the other
            assert pruned_qwen(told, **inputs)[0, -1].argmax() == token
            told = torch.cat([told, token.view(1, 1)], 1)
    pruned_qwen.prune = HiPrune(ratio=1.0)
    first = int(pruned_qwen.generate(question(77), **inputs, max_new_tokens=1))
    pruned_qwen.model.generation_config.eos_token_id = [first, 30]
    assert pruned_qwen.generate(question(77), **inputs, max_new_tokens=9).tolist() == [[first]]


def test_refusals_of_the_pruned_qwen(pruned_qwen: PrunedQwen, folders) -> None:
    inputs = pruned_qwen.encoder.prepare(pixels(48, 48))
    with pytest.raises(ValueError, match="has 35 image tokens; expected one per picture or per patch"):
        pruned_qwen(question(35), **inputs)
    with pytest.raises(ValueError, match="2 prompts were given"):
        pruned_qwen(question(36).repeat(2, 1), **inputs)
    with pytest.raises(ValueError, match=r"of type 'llava'; expected is one of Qwen2\.5-VL"):
        load_qwen(folders("llava"), HiPrune(tokens=9))


# ---------------------------------------------------------------------------------------------------------- HiPrune++


@given(
    share=st.floats(0.02, 1),
    alpha=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    beta=st.sampled_from([0.0, 0.1, 0.3, 1.0]),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=80)
def test_the_prompt_takes_the_last_places_of_the_registers(share: float, alpha: float, beta: float, seed: int) -> None:
    budget = max(1, round(share * 48))
    mid, deep, prompt = (scores(48, seed + i) for i in range(3))
    plain = select(mid, deep, (6, 8), budget, alpha)
    found = select(mid, deep, (6, 8), budget, alpha, prompt_score=prompt, beta=beta)
    parts, before = found.steps(), plain.steps()
    assert int(found.mask.sum()) == budget
    assert torch.equal(parts["anchor"], before["anchor"])
    assert torch.equal(parts["buffer"], before["buffer"])
    close = min(round(budget * beta), len(before["register"]))
    assert torch.equal(parts["register"], before["register"][: len(before["register"]) - close])
    chosen = {*parts["anchor"].tolist(), *parts["buffer"].tolist(), *parts["register"].tolist()}
    rest = sorted((i for i in range(48) if i not in chosen), key=lambda i: (-prompt[i], i))
    assert parts["prompt"].tolist() == rest[:close]
    assert torch.equal(found.prompt_score[0], prompt)


def test_refusals_of_the_prompt() -> None:
    mid = scores(48, 0)
    with pytest.raises(ValueError, match=r"beta, .* is 1\.5; it must be between 0 and 1"):
        select(mid, mid, (6, 8), 9, prompt_score=mid, beta=1.5)
    with pytest.raises(ValueError, match=r"the prompt score is of shape \(47,\)"):
        select(mid, mid, (6, 8), 9, prompt_score=mid[1:])
    with pytest.raises(ValueError, match="speak of 1 and 1 and 2 pictures"):
        select(mid, mid, (6, 8), 9, prompt_score=mid.repeat(2, 1))
    with pytest.raises(ValueError, match="patches of 8 and text of 7 channels"):
        hiprune.likeness(torch.rand(1, 4, 8), torch.rand(3, 7))
    with pytest.raises(ValueError, match="the prompt is empty"):
        hiprune.likeness(torch.rand(1, 4, 8), torch.rand(0, 8))


def test_likeness_is_the_cosine_with_the_mean_of_the_text() -> None:
    patches, text = torch.randn(2, 5, 8), torch.randn(3, 8)
    found = hiprune.likeness(patches, text)
    mean = text.mean(0)
    expected = [[float(v @ mean / (v.norm() * mean.norm())) for v in picture] for picture in patches]
    assert torch.allclose(found, torch.tensor(expected), atol=1e-6)
    each = torch.stack([text, -text])
    assert torch.allclose(hiprune.likeness(patches, each), found * torch.tensor([[1.0], [-1.0]]), atol=1e-6)


def test_the_prompt_of_clip_is_compared_in_the_space_of_both_towers(folders, encoders) -> None:
    relevance, encoder = load_prompt(folders("clip"), local_files_only=True), encoders("clip")
    inputs = encoder.prepare(pixels(48, 48))
    maps, ids = encoder(inputs), torch.tensor([[1, 4, 9, 2]])
    found = relevance(maps, ids)
    model = library("CLIPModel").from_pretrained(folders("clip")).eval()
    with torch.no_grad():
        states = model.vision_model(**inputs).last_hidden_state[0, 1:]
        patches = model.visual_projection(model.vision_model.post_layernorm(states))
        words = model.text_projection(model.text_model(ids).last_hidden_state[0])
    assert torch.allclose(found[0], F.cosine_similarity(patches, words.mean(0)[None]), atol=1e-5)
    padded_ids = torch.cat([ids, torch.tensor([[0, 0]])], 1)
    assert torch.allclose(relevance(maps, padded_ids, torch.tensor([[1, 1, 1, 1, 0, 0]])), found, atol=1e-5)
    selection = HiPrune(tokens=10, beta=0.3)(maps, found)
    assert selection.counts()["prompt"] == 3
    with pytest.raises(ValueError, match="2 prompts were given"):
        relevance(maps, ids.repeat(2, 1))
    with pytest.raises(ValueError, match="hold no features"):
        relevance(replace(maps, features=None), ids)
    with pytest.raises(ValueError, match="of type 'siglip'; patches and words share a space in CLIP models"):
        load_prompt(folders("siglip"), local_files_only=True)


def test_a_prompt_changes_what_llava_reads(pruned: PrunedLlava) -> None:
    pruned.prune = HiPrune(tokens=10, beta=0.5)
    values, wanted = picture(1, 3, 48, 48), torch.zeros(1, 36)
    with capture(pruned) as trace:
        pruned(prompt(1), values)
    last = trace.of(TokenSelection)["prune"]
    wanted[0, torch.nonzero(last.role[0] == 0)[:5, 0]] = 1
    with capture(pruned) as trace:
        pruned(prompt(1), values, prompt_score=wanted)
    assert trace.of(TokenSelection)["prune"].of(PROMPT).tolist() == torch.nonzero(wanted[0])[:, 0].tolist()


# ---------------------------------------------------------------------------------------------------------- baselines


@pytest.mark.parametrize("name", baselines.BASELINES)
@pytest.mark.parametrize("budget", [1, 7, 13, 30, 99])
def test_every_rule_keeps_its_budget(name: str, budget: int) -> None:
    attention = softmax_attention(2, 3, 31, 31)
    maps = replace(maps_of(), opened={6: attention})
    found = baselines.BASELINES[name](maps, budget)
    assert found.mask.sum(1).tolist() == [min(budget, 30)] * 2
    for row in range(2):
        assert found.order[row].sort().values.tolist() == found.kept(row).tolist()
    assert found.settings["asked"] == budget
    with pytest.raises(ValueError, match="0 tokens were to be kept; it must be at least 1"):
        baselines.BASELINES[name](maps, 0)


def test_the_rules_take_what_they_say() -> None:
    attention = softmax_attention(2, 3, 31, 31)
    maps = replace(maps_of(), opened={6: attention, 2: attention.flip(-1)})
    mid, deep = maps.score(maps.suggested[0]), maps.score(maps.suggested[1])

    def best(score: Tensor, count: int) -> list[list[int]]:
        return score.topk(count).indices.tolist()

    assert baselines.registers_only(maps, 6).order.tolist() == best(deep, 6)
    assert baselines.object_only(maps, 6).order.tolist() == best(mid, 6)
    assert baselines.object_only(maps, 6).counts()["anchor"] == 6
    assert baselines.class_row(maps, 6).order.tolist() == best(attention[:, :, 0, 1:].mean(1), 6)
    other = baselines.class_row(maps, 6, layer=2)
    assert other.order.tolist() == best(attention.flip(-1)[:, :, 0, 1:].mean(1), 6)
    assert other.layers == (maps.suggested[0], 2)
    with pytest.raises(ValueError, match="layer 3 was not kept"):
        baselines.class_row(maps, 6, layer=3)
    with pytest.raises(ValueError, match="has no class token"):
        baselines.class_row(replace(maps, prefix=0), 6)
    one, two, again = (baselines.random_patches(maps, 10, seed).order for seed in (0, 1, 0))
    assert torch.equal(one, again)
    assert not torch.equal(one, two)
    assert not torch.equal(one[0], one[1])


def test_random_patches_are_drawn_evenly() -> None:
    maps = maps_of()
    counts = sum(baselines.random_patches(maps, 10, seed).mask.sum(0) for seed in range(300))
    assert ((counts - 200).abs() < 5 * (600 * (1 / 3) * (2 / 3)) ** 0.5).all()  # within five deviations of a third


@given(h=st.integers(1, 12), w=st.integers(1, 12), data=st.data())
def test_evenly_spaced_patches_are_distinct_and_spread(h: int, w: int, data: Any) -> None:
    count = data.draw(st.integers(1, h * w))
    places = baselines.evenly_spaced((h, w), count)
    assert len(places.unique()) == count
    assert places.tolist() == sorted(places.tolist())
    assert int(places.min()) >= 0
    assert int(places.max()) < h * w
    per_row = torch.bincount(places // w, minlength=h)
    assert int(per_row[per_row > 0].max() - per_row[per_row > 0].min()) <= 1


def test_evenly_spaced_patches_of_a_square() -> None:
    assert baselines.evenly_spaced((8, 8), 4).tolist() == [18, 22, 50, 54]
    assert baselines.evenly_spaced((8, 8), 64).tolist() == list(range(64))
    assert baselines.evenly_spaced((2, 8), 4).tolist() == [9, 11, 13, 15]
    with pytest.raises(ValueError, match="it must be 1 to 64"):
        baselines.evenly_spaced((8, 8), 65)


def test_anchors_and_buffers_are_crosses() -> None:
    maps = maps_of(grid=(6, 6))
    found = baselines.anchors_and_buffers(maps, 12)
    for row in range(2):
        anchors, buffers = found.of(ANCHOR, row), found.of(BUFFER, row)
        ranked = maps.score(maps.suggested[0])[row].sort(descending=True).indices
        assert set(anchors.tolist()) == set(ranked[: len(anchors)].tolist())
        near = set(neighbours(anchors, (6, 6), "grid").tolist())
        assert set(buffers.tolist()) <= near
        fewer = ranked[: len(anchors) - 1]
        assert len({*fewer.tolist(), *neighbours(fewer, (6, 6), "grid").tolist()}) < 12  # one anchor less would not fill it
        assert found.counts(row)["register"] == 0
    assert not found.misplaced().any()


# -------------------------------------------------------------------------------------------------------- Sparsifiner


def sparse(seed: int = 0, **changes: Any) -> sparsifiner.Sparsifiner:
    settings = {"image_size": (32, 40), "patch_size": 8, "channels": 24, "depth": 3, "heads": 3, "mlp_ratio": 2, "num_classes": 5}
    torch.manual_seed(seed)
    model = sparsifiner.Sparsifiner(**{**settings, "rules": sparsifiner.Rules(coefficients=3), "reduce_tokens": 3, **changes})
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


IMAGE = picture(2, 3, 32, 40)


def connections(model: sparsifiner.Sparsifiner, image: Tensor = IMAGE) -> list[Connectivity]:
    with torch.inference_mode(), capture(model) as trace:
        model(image)
    return list(trace.of(Connectivity).values())


def test_a_row_keeps_its_share_of_the_largest_estimates() -> None:
    for found in connections(sparse()):
        assert found.mask.shape == (2, 3, 21, 21)
        assert found.mask[:, :, 0].all()
        assert (found.mask[:, :, 1:].sum(-1) == 6).all()  # ⌈0.25 · 21⌉
        row, chosen = found.estimate[1, 2, 7], found.mask[1, 2, 8]
        assert row[chosen].min() >= row[~chosen].max()
        assert (found.coefficients != 0).sum(-1).max() == 3
        assert torch.allclose(found.estimate, found.coefficients @ found.basis)
    model = sparse()
    magnitude = model.predictors[1].proj_back_n.detach().abs().T
    assert torch.equal(connections(model)[1].basis, magnitude * (magnitude > 0.02))


@pytest.mark.parametrize("head", [0, 2, "any", "all"])
def test_the_mask_as_a_graph_over_patches(head: int | str) -> None:
    found = connections(sparse())[1]
    graph = found.patch_graph(head)
    patches = found.mask[:, :, 1:, 1:]
    merged = patches[:, head] if isinstance(head, int) else patches.any(1) if head == "any" else patches.all(1)
    assert graph.grid == graph.key_grid == (4, 5)
    for image in (0, 1):
        expected = merged[image].float() * (1 - torch.eye(20))
        assert torch.equal(graph.adjacency(image), expected)  # row: query patch, column: key patch that it reads
    assert (graph.distance.diff(dim=-1) >= 0).all()
    assert graph.candidates.sort(-1).values.equal(torch.arange(20).expand(2, 20, 20))
    if isinstance(head, int):  # edges are a prefix of the candidates, so a smaller share needs no second run
        assert (graph.kept.int().diff(dim=-1) <= 0).all()


@pytest.mark.parametrize("head", [3, -1, "most"])
def test_a_head_that_does_not_exist(head: int | str) -> None:
    with pytest.raises(ValueError, match="must be a number from 0 to 2, 'any' or 'all'"):
        connections(sparse())[0].patch_graph(head)


def test_with_every_key_kept_attention_is_dense() -> None:
    model = sparse()
    cut = model(IMAGE)
    model.set_rules(sparsifiner.Rules(coefficients=3, keep_rate=1.0))
    with torch.inference_mode(), capture(model) as trace:
        full = model(IMAGE)
    for found in trace.of(SparseAttention).values():
        assert torch.allclose(found.attention, found.dense)
    assert not torch.allclose(cut, full, atol=1e-3)


def test_attention_stays_inside_the_mask() -> None:
    model = sparse()
    with torch.inference_mode(), capture(model) as trace:
        model(IMAGE)
    for name, found in trace.of(SparseAttention).items():
        mask = trace.of(Connectivity)[name.replace("softmax", "mask_predictor")].mask
        assert not found.attention[~mask].any()
        assert torch.allclose(found.attention.sum(-1), torch.ones(()), atol=1e-6)
        assert torch.allclose(found.attention, found.dense * mask / (found.dense * mask).sum(-1, keepdim=True), atol=1e-5)


def test_an_edge_can_be_cut_by_hand() -> None:
    model = sparse()

    def blind(found: Connectivity) -> Connectivity:
        mask = found.mask.clone()
        mask[..., 3] = False
        return replace(found, mask=mask)

    with torch.inference_mode():
        plain = model(IMAGE)
        with capture(model, edits={"blocks.1.attn.mask_predictor": blind}) as trace:
            cut = model(IMAGE)
    assert not trace.of(SparseAttention)["blocks.1.attn.softmax"].attention[..., 3].any()
    assert not torch.allclose(plain, cut, atol=1e-4)


def test_equal_estimates_are_taken_by_lower_index() -> None:
    values = torch.tensor([[0.0, 0, 2, 0, 1, 0]])
    assert sparsifiner._largest(values, 4).tolist() == [[True, True, True, False, True, False]]
    model = sparse()
    with torch.no_grad():
        for predictor in model.predictors:
            predictor.proj_back_n.zero_()
    found = connections(model)[0]
    assert found.mask[:, :, 1:, :6].all()
    assert (found.guessed() == 6).all()
    assert not connections(sparse())[0].guessed().any()


@pytest.mark.parametrize("prune_rows", [False, True])
def test_patches_that_leave_are_zero_and_unseen(prune_rows: bool) -> None:
    rules = sparsifiner.Rules(coefficients=3, prune_rows=prune_rows, keep_rate=0.6)
    rates = sparsifiner.pruning_schedule([0, 1], 0.5)
    assert rates == {0: 0.5, 1: 0.25}
    model = sparse(rules=rules, token_keep_rates=rates)
    with torch.inference_mode(), capture(model) as trace:
        tokens = model.tokens(IMAGE)
    first, second = trace.of(TokenDrop).values()
    assert first.alive.sum(1).tolist() == [10, 10]  # of 20
    assert second.alive.sum(1).tolist() == [5, 5]
    assert not (second.alive & ~first.alive).any()
    assert torch.equal(second.before, first.alive)
    assert (second.score[~first.alive] == -1).all()
    assert not tokens[:, 1:][~second.alive].any()
    assert tokens[:, 1:][second.alive].any(-1).all()
    masks = [found.mask for found in trace.of(Connectivity).values()]
    assert (masks[1][:, :, 1:].sum(-1)[first.alive[:, None].expand(2, 3, 20)] == 10).all()  # not 13: only as many as are left
    for picture_, alive in enumerate(first.alive):
        gone = torch.nonzero(~alive)[:, 0] + 1
        rows = masks[1][picture_][:, 1:] if not prune_rows else masks[1][picture_][:, 1:][:, alive]
        assert not rows[..., gone].any()
        assert bool(masks[1][picture_][:, gone].any()) is not prune_rows
    one = [model(IMAGE[i : i + 1]) for i in (1, 0)]  # nothing is remembered from picture to picture
    assert torch.allclose(torch.cat(one[::-1]), model(IMAGE), atol=1e-5)


def test_thresholds_instead_of_counts() -> None:
    rules = sparsifiner.Rules(coefficients=None, coefficient_threshold=0.1, keep_rate=None, score_threshold=0.05)
    for found in connections(sparse(rules=rules)):
        assert torch.equal(found.mask[:, :, 1:], found.estimate > 0.05)
        assert ((found.coefficients > 0.1) | (found.coefficients == 0)).all()
        assert (found.coefficients == 0).any()


def test_the_first_phase_of_training_fits_the_estimate() -> None:
    model = sparse(token_keep_rates={1: 0.5}).train()
    model.reconstruct()
    with capture(model) as trace:
        model(IMAGE)
    found, attention = (next(iter(trace.of(kind).values())) for kind in (Connectivity, SparseAttention))
    assert torch.equal(found.basis, model.predictors[0].proj_back_n.T)
    assert (found.coefficients != 0).all()
    assert trace.of(TokenDrop) == {}
    loss = (found.estimate - attention.dense[:, :, 1:].detach()).pow(2).sum()
    loss.backward()
    assert all(p.grad is not None and p.grad.any() for p in model.predictors[0].parameters())
    dense = sparse(rules=sparsifiner.Rules(coefficients=3, keep_rate=1.0))
    with torch.no_grad():  # the mask is predicted and not used
        assert torch.allclose(model(IMAGE), dense(IMAGE), atol=1e-5)
    model.reconstruct(False)
    with torch.no_grad():
        assert torch.equal(model.eval()(IMAGE), sparse(token_keep_rates={1: 0.5})(IMAGE))


def test_no_gradient_flows_through_the_mask() -> None:
    model = sparse().train()
    model(IMAGE).sum().backward()
    assert all(p.grad is None for predictor in model.predictors for p in predictor.parameters())
    assert model.blocks[0].attn.qkv.weight.grad.any()


def test_shared_projections_are_one_parameter_under_two_names() -> None:
    predictor = sparse(shared=True).predictors[0]
    assert predictor.proj_n is predictor.proj_back_n
    assert {"proj_n", "proj_back_n"} <= set(predictor.state_dict())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda: sparsifiner.Rules(keep_rate=0.0), "keep rate is 0.0; it must be above 0 and at most 1"),
        (lambda: sparsifiner.Rules(keep_rate=1.1), "keep rate is 1.1"),
        (lambda: sparsifiner.Rules(coefficients=0), "0 coefficients were to be kept"),
        (lambda: sparse(reduce_tokens=22), "21 tokens reduced 22 times leave no prototype"),
        (lambda: sparse(rules=sparsifiner.Rules(coefficients=8)), "8 coefficients were to be kept; there are only 7 prototypes"),
        (lambda: sparse().set_rules(sparsifiner.Rules(coefficients=8)), "there are only 7 prototypes"),
        (lambda: sparse(token_keep_rates={3: 0.5}), "block 3; there are blocks 0 to 2"),
        (lambda: sparse(token_keep_rates={1: 0.0}), "share of tokens to keep is 0.0"),
        (lambda: sparse()(picture(1, 3, 40, 40)), "40 × 40 pixels; the predictors are made for 32 × 40 only"),
    ],
)
def test_refusals_of_sparsifiner(change: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        change()


# --------------------------------------------------------------------------------------------------------------- DToP


def segmenter(seed: int = 5, **changes: Any) -> dtop.DToP:
    settings = {
        "image_size": (32, 40),
        "patch_size": 8,
        "channels": 24,
        "depth": 4,
        "heads": 3,
        "mlp_ratio": 2,
        "num_classes": 5,
        "stages": (0, 1, 3),
        "head_width": 12,
        "head_heads": 2,
        "head_depth": 1,
        "threshold": 0.6,
        "context": 2,
    }
    model = dtop.DToP(**{**settings, **changes})
    torch.manual_seed(seed)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.7)
    return model.eval()


def exits(model: dtop.DToP, image: Tensor = IMAGE) -> list[ExitStage]:
    with torch.inference_mode(), capture(model) as trace:
        model(image)
    return list(trace.of(ExitStage).values())


def test_the_stages_are_seen_in_order() -> None:
    model = segmenter()
    with torch.inference_mode(), capture(model) as trace:
        result = model(IMAGE)
    assert list(trace.of(ExitStage)) == ["auxiliary_head.0", "auxiliary_head.1", "decode_head"]
    assert result.shape == (2, 5, 32, 40)
    first, second, last = trace.of(ExitStage).values()
    assert 0 < first.exited.sum() < second.exited.sum() < 40
    assert torch.equal(last.exited, second.exited)
    assert all(torch.equal(a.exited, b.before) for a, b in ((first, second), (second, last)))


def test_confident_patches_leave_but_the_best_of_each_class_stay() -> None:
    for stage in exits(segmenter())[:2]:
        for image in range(2):
            confidence = stage.prediction[image].max(0)
            expected = stage.before[image].clone()
            for label in range(5):
                members = [
                    i
                    for i in range(20)
                    if not stage.before[image, i] and confidence.values[i] > stage.threshold and confidence.indices[i] == label
                ]
                members.sort(key=lambda i: -confidence.values[i].item())
                assert stage.context[image][members[:2]].all()
                expected[members[2:]] = True
            assert torch.equal(stage.exited[image], expected)
            assert not (stage.context[image] & stage.exited[image]).any()


def test_what_left_keeps_its_mask_logits_and_is_not_computed() -> None:
    model = segmenter()
    with torch.inference_mode():
        first, second, last = exits(model)
        for before, after in ((first, second), (second, last)):
            frozen = before.exited[:, None].expand_as(before.mask_logits)
            assert torch.equal(after.mask_logits[frozen], before.mask_logits[frozen])
            assert not torch.allclose(after.mask_logits[~frozen], before.mask_logits[~frozen])
            assert not torch.equal(after.class_logits, before.class_logits)  # presence is judged anew
        x, grid = model.backbone.embed(IMAGE)
        assert grid == (4, 5)
        layer = model.backbone.layers[1]
        result = layer(x, first.exited)
        assert not result[first.exited].any()
        for image in range(2):
            alive = ~first.exited[image]
            assert torch.allclose(result[image, alive], layer(x[image : image + 1, alive], first.exited[:1, :0])[0], atol=1e-6)


def test_pictures_are_computed_alone() -> None:
    model = segmenter()
    with torch.inference_mode():
        together, alone = model(IMAGE), torch.cat([model(IMAGE[i : i + 1]) for i in (0, 1)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_a_threshold_of_one_lets_none_leave() -> None:
    dense = segmenter(threshold=1.0)
    assert not any(stage.exited.any() or stage.context.any() for stage in exits(dense))
    pruned_, cut = segmenter(), segmenter()
    with torch.inference_mode():
        assert not torch.allclose(pruned_(IMAGE), dense(IMAGE), atol=1e-4)
        cut.set_exit(1.0)
        assert torch.equal(cut(IMAGE), dense(IMAGE))
        final = dense.stages_of(IMAGE)[-1]
        expected = (final.class_logits.softmax(-1)[..., :1] * final.mask_logits.sigmoid()).view(2, 5, 4, 5)
        assert torch.allclose(dense(IMAGE), F.interpolate(expected, size=(32, 40), mode="bilinear"))


def test_a_picture_that_is_done_keeps_its_last_prediction() -> None:
    model = segmenter(threshold=[1e-6, 1e-6, 1.0], context=0)
    first, second, last = exits(model)
    assert first.exited.all()
    assert torch.equal(last.mask_logits, first.mask_logits)
    assert torch.equal(last.class_logits, first.class_logits)
    assert torch.isfinite(last.prediction).all()
    assert not second.context.any()


def test_other_picture_sizes_and_odd_numbers_of_patches() -> None:
    model = segmenter()
    with torch.inference_mode():
        assert model(picture(1, 3, 24, 56)).shape == (1, 5, 24, 56)  # 21 patches
    x, grid = model.backbone.embed(IMAGE)
    assert torch.allclose(x, (model.backbone.patch_embed(IMAGE).flatten(2).transpose(1, 2) + model.backbone.pos_embed[:, 1:]), atol=1e-6)


def test_a_patch_can_be_held_back_by_hand() -> None:
    model = segmenter()

    def nobody(stage: ExitStage) -> ExitStage:
        return replace(stage, exited=torch.zeros_like(stage.exited))

    with torch.inference_mode():
        with capture(model, edits={"auxiliary_head.0": nobody, "auxiliary_head.1": nobody}):
            held = model(IMAGE)
        model.set_exit(1.0)
        assert torch.allclose(held, model(IMAGE), atol=1e-6)


def test_gradients_reach_the_first_block_while_patches_leave() -> None:
    model = segmenter().train()
    model(IMAGE).sum().backward()
    assert model.backbone.patch_embed.projection.weight.grad.any()
    assert model.decode_head.q.weight.grad.any()


def test_what_belongs_to_a_loss_is_left_out_of_a_checkpoint() -> None:
    model = segmenter()
    state = {**model.state_dict(), "decode_head.loss_decode.criterion.empty_weight": torch.ones(2), "data_preprocessor.mean": torch.ones(3)}
    assert dtop.official_state(state).keys() == model.state_dict().keys()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda: segmenter(threshold=0.0), "must be above 0 and at most 1"),
        (lambda: segmenter(threshold=1.2), "must be above 0 and at most 1"),
        (lambda: segmenter(threshold=[0.5, 0.5]), "2 thresholds were given for 3 heads"),
        (lambda: segmenter(context=-1), "-1 confident patches of each class were to stay"),
        (lambda: segmenter(stages=(1, 4)), r"stages are \[1, 4\]; they must rise and lie between 0 and 3"),
        (lambda: segmenter(stages=(2, 1)), "they must rise"),
        (lambda: segmenter()(picture(1, 3, 32, 36)), "32 × 36 pixels; both sides must be multiples of 8"),
    ],
)
def test_refusals_of_dtop(change: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        change()


# -------------------------------------------------------------------------------------------------------------- counts


def test_flops_of_llava_are_those_of_the_papers_table() -> None:
    for kept, published in ((576, 8.63), (192, 3.56), (128, 2.71), (64, 1.87)):
        assert flops.llava_flops(kept) / 1e12 == pytest.approx(published, abs=0.005)
    assert flops.LLAMA_7B.flops_per_token() / 1e9 == pytest.approx(13.21, abs=0.005)
    assert flops.llava_flops(0, text=0) == 0.40e12  # the encoder always runs
    assert flops.vit_block_flops(10, 8, 32) == 2 * flops.vit_block_macs(10, 8)


def test_macs_of_sparse_attention_are_counted_from_the_mask() -> None:
    found = connections(sparse(rules=sparsifiner.Rules(coefficients=3, basis_threshold=0.3)))[0]
    for image, counted in enumerate(flops.sparse_attention_macs(found, width=8)):
        assert counted.dense == 2 * 3 * 21 * 21 * 8
        assert counted.masked == 2 * int(found.mask[image].sum()) * 8 == 2 * 8 * 3 * (21 + 20 * 6)
        assert counted.predictor == 2 * 3 * 21 * 8 * 4 + 2 * 3 * 21 * 4 * 7
        products = [
            1
            for row in found.coefficients[image].flatten(0, 1)
            for k in torch.nonzero(row)[:, 0]
            for _ in range(int(found.basis[k].count_nonzero()))
        ]
        assert counted.estimate == len(products) > 0
        assert counted.sparse == counted.masked + counted.predictor + counted.estimate


def test_macs_of_early_exits_follow_the_patches_that_are_left() -> None:
    assert 12 * flops.vit_block_macs(1024, 768) / 1e9 == pytest.approx(106.3, abs=0.05)
    model = segmenter()
    stages = exits(model)
    alive = flops.alive_per_block(stages, model.stages, 4)
    for image in range(2):
        a, b = (20 - int(stages[s].exited[image].sum()) for s in (0, 1))
        assert alive[image] == [20, a, b, b]
        blocks = sum(flops.vit_block_macs(n, 24, 2) for n in (20, a, b, b))
        heads = sum(flops.head_macs(n, 24, 12, 5, 1) for n in (20, a, b))
        assert flops.dtop_macs(stages, model.stages, 4, 24, 12, 1, 2)[image] == blocks + heads
    model.set_exit(1.0)
    dense = flops.dtop_macs(exits(model), model.stages, 4, 24, 12, 1, 2)
    assert dense[0] == dense[1] > max(flops.dtop_macs(stages, model.stages, 4, 24, 12, 1, 2))


class Macs(torch.utils._python_dispatch.TorchDispatchMode):
    """Counts the products of every matrix multiplication."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = func.overloadpacket.__name__
        if name in ("mm", "bmm", "addmm"):
            a, b = args[-2:] if name != "addmm" else args[1:3]
            self.total += a.numel() * b.shape[-1]
        return func(*args, **(kwargs or {}))


def test_macs_of_a_head_are_what_it_multiplies() -> None:
    head = segmenter().decode_head.train()  # in evaluation, attention is one fused operation
    with torch.no_grad(), torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH), Macs() as counted:
        head(picture(1, 20, 24), (4, 5))
    assert counted.total == flops.head_macs(20, 24, 12, 5, 1)
