"""Training of the tokens wing: scenes with known masks, losses, phases that go on where they stopped, and what the cards say."""

from __future__ import annotations

import datetime
import hashlib
import json
import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models import zoo
from models.capture import capture
from models.structures import AttentionMaps, Connectivity, ExitStage, SparseAttention
from models.tokens import micro
from models.tokens.dtop import DToP
from models.tokens.hiprune import HiPrune
from models.tokens.sparsifiner import Rules, Sparsifiner
from tests.test_detection_training import garment, material
from tests.test_exhibits import CARD, shipped
from tests.test_training import BATCHES, PowerCut, archive_folder, batch
from training import segmentation, tokens
from training.composed import CLASSES, Stock, compose
from training.data import CIFAR10_CLASSES, Pictures
from training.loop import Recipe


@pytest.fixture(scope="module")
def stock() -> Stock:
    generator = np.random.default_rng(0)
    labels = np.arange(len(CLASSES)).repeat(3)
    photos = [generator.integers(0, 256, (60 + 10 * i, 90, 3), dtype=np.uint8) for i in range(3)]
    return Stock(np.stack([garment(label) for label in labels]), labels, photos)


@pytest.fixture(scope="module")
def black() -> Stock:
    """Garments on a black ground: what is bright is an object."""
    return Stock(np.stack([garment(c) for c in range(len(CLASSES))]), np.arange(len(CLASSES)), [np.zeros((64, 64, 3), np.uint8)])


SMALL: dict[str, dict[str, Any]] = {
    tokens.ENCODER: {"image_size": 32, "dim": 16, "depth": 2, "heads": 2},
    tokens.DENSE: {"image_size": 32, "dim": 16, "depth": 2, "heads": 2},
    tokens.SPARSE: {"image_size": 32, "dim": 16, "depth": 2, "heads": 2},
    segmentation.NAME: {"image_size": 32, "dim": 16, "depth": 3, "heads": 2, "stages": (0, 1, 2), "head_width": 16},
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The four networks in sizes that a test can train."""
    for name, sizes in SMALL.items():
        entry = zoo.ENTRIES[name]
        preparation = zoo.Preparation(32, entry.preparation.mean, entry.preparation.std, entry.preparation.native)
        monkeypatch.setitem(zoo.ENTRIES, name, zoo.Entry(entry.builder, {**entry.arguments, **sizes}, preparation))
    monkeypatch.setattr(tokens, "LOOKED_AT", 50)
    monkeypatch.setattr(tokens, "TEST_SCENES", 50)
    monkeypatch.setattr(tokens, "SEEDS", 2)
    monkeypatch.setattr(tokens, "STEPS", 1)
    monkeypatch.setattr(tokens, "CONNECTING", 2)
    monkeypatch.setattr(segmentation, "SIDE", 32)
    monkeypatch.setattr(segmentation, "SCENES", 64)
    monkeypatch.setattr(segmentation, "TEST_SCENES", 20)
    monkeypatch.setattr(segmentation, "THRESHOLDS", (0.01, 0.5))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    archive_folder(tmp_path / "cifar-10-batches-py", **{name: pickle.dumps(batch(name, 52), protocol=2) for name in BATCHES})
    return material(tmp_path / "fashion", "mosaic").parent


def asked(monkeypatch: pytest.MonkeyPatch, script: ModuleType, data: Path, runs: Path, *words: object) -> None:
    """`python -m training.<script> …` in this process."""
    fashion = data / "fashion"
    given: tuple[object, ...] = ("--data-dir", fashion, "--photos", fashion / "photos")
    if script is tokens:
        given = ("--data-dir", data, "--garments", fashion, "--photos", fashion / "photos")
    more = ("--threads", 1, "--runs", runs, "--out", runs / "out", *words)
    monkeypatch.setattr(sys, "argv", [script.__name__, *map(str, (*given, *more))])
    script.main()


# -------------------------------------------------------------------------------------------------------------- scenes


def test_a_scene_holds_one_object_that_is_large_enough_and_where_its_mask_says(black: Stock) -> None:
    scenes = tokens.single_objects(black, 0, 0, 24)
    assert scenes.pixels.shape == (24, 3, 32, 32)
    assert scenes.pixels.dtype == torch.uint8
    assert scenes.masks.shape == (24, 64, 64)
    assert scenes.masks.float().mean((1, 2)).min() >= tokens.LEAST_COVERED
    assert len(set(scenes.labels.tolist())) > 3
    covered = F.avg_pool2d(scenes.masks.float(), 2)
    checked = 0
    for pixels, share in zip(scenes.pixels, covered, strict=True):
        bright = pixels.amax(0) > pixels.amax(0).min() + 60
        checked += int(bright.any())
        assert (bright & (share == 0)).sum() <= 0.05 * bright.sum()
    assert checked > 12


def test_a_part_of_a_series_is_the_same_alone(stock: Stock) -> None:
    whole, part = tokens.single_objects(stock, 3, 0, 8), tokens.single_objects(stock, 3, 5, 3)
    assert torch.equal(whole.pixels[5:], part.pixels)
    assert torch.equal(whole.masks[5:], part.masks)
    assert whole.labels[5:].tolist() == part.labels.tolist()
    assert not torch.equal(part.pixels, tokens.single_objects(stock, 4, 5, 3).pixels)


def test_the_label_map_is_the_masks(stock: Stock) -> None:
    several = 0
    for number in range(12):
        scene = compose(stock, 1, number, 64, segmentation.MOST)
        labels = segmentation.label_map(scene)
        several += len(scene.labels) > 1
        assert ((labels > 0) == scene.masks.any(0)).all()
        for mask, label in zip(scene.masks, scene.labels, strict=True):
            assert (labels[mask] == label + 1).all()
    assert several > 3


# -------------------------------------------------------------------------------------------------------------- losses


def stage(mask_logits: Tensor, present: Tensor, grid: tuple[int, int]) -> ExitStage:
    """Mask logits [B, C, N] and present [B, C] bool as a head returns them."""
    nobody = torch.zeros(mask_logits.shape[0], mask_logits.shape[2], dtype=torch.bool)
    classes = torch.where(present[..., None], torch.tensor([9.0, -9.0]), torch.tensor([-9.0, 9.0]))
    prediction = classes.softmax(-1)[..., :1] * mask_logits.sigmoid()
    confidence, label = prediction.max(1)
    return ExitStage(nobody, nobody, mask_logits, classes, prediction, confidence, label, nobody, 1.0, grid)


def test_the_loss_of_a_segmentation_falls_towards_the_truth() -> None:
    labels = torch.zeros(2, 8, 8, dtype=torch.int64)
    labels[0, :4, :4], labels[1, 4:] = 3, 1
    truth = F.one_hot(labels, 5).permute(0, 3, 1, 2).flatten(2)
    present = truth.any(2)
    right = stage(40.0 * truth - 20, present, (8, 8))
    doubtful = stage(torch.zeros(2, 5, 64), present, (8, 8))
    wrong = stage(20 - 40.0 * truth, present, (8, 8))
    losses = [segmentation.segmentation_loss([one], labels).item() for one in (right, doubtful, wrong)]
    assert losses[0] < 1e-3
    assert losses[0] < losses[1] < losses[2]
    unseen = stage(40.0 * truth - 20, ~present, (8, 8))
    assert segmentation.segmentation_loss([unseen], labels) > 10
    both = segmentation.segmentation_loss([right, doubtful], labels).item()
    assert both == pytest.approx(losses[0] + losses[1], rel=1e-5)


def test_the_loss_agrees_with_its_formula_on_one_mask() -> None:
    logits, wanted = torch.tensor([[[0.3, -1.2], [2.0, 0.0]]]), torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    p = torch.sigmoid(logits)
    right = torch.where(wanted > 0, p, 1 - p)
    alpha = torch.where(wanted > 0, 0.25, 0.75)
    assert segmentation._focal(logits, wanted).item() == pytest.approx((-alpha * (1 - right) ** 2 * right.log()).mean().item(), rel=1e-5)
    dice = 1 - (2 * (p * wanted).sum() + 1) / (p.sum() + wanted.sum() + 1)
    assert segmentation._dice(logits, wanted).item() == pytest.approx(dice.item(), rel=1e-5)


def test_the_mean_overlap_counts_classes_that_occur() -> None:
    confusion = np.zeros((8, 8), dtype=np.int64)
    confusion[0, 0], confusion[0, 2], confusion[2, 2] = 6, 2, 4
    assert segmentation.ious(confusion)[[0, 2]].tolist() == pytest.approx([6 / 8, 4 / 6])
    assert segmentation.mean_iou(confusion) == pytest.approx((6 / 8 + 4 / 6) / 2)


def test_the_reconstruction_is_the_squared_difference_of_the_rows() -> None:
    torch.manual_seed(0)
    model = micro.sparsifiner(image_size=16, dim=16, depth=2, heads=2, coefficients=2)
    model.reconstruct(True)
    model.set_rules(Rules(basis_threshold=0.0, coefficients=2, keep_rate=None))
    with capture(model) as trace:
        model(torch.randn(3, 3, 16, 16))
    connections, attention = list(trace.of(Connectivity).values()), list(trace.of(SparseAttention).values())
    loss = tokens.reconstruction(connections, attention)
    by_hand = [
        ((c.estimate[b, h, n] - a.dense[b, h, n + 1]) ** 2).sum()
        for c, a in zip(connections, attention, strict=True)
        for b in range(3)
        for h in range(2)
        for n in range(16)
    ]
    assert loss.item() == pytest.approx(torch.stack(by_hand).mean().item(), rel=1e-5)
    loss.backward()
    for predictor in model.predictors:
        for name, parameter in predictor.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name


# ------------------------------------------------------------------------------------------------------------ networks


def test_the_encoder_shows_its_attention_and_computes_the_same_when_nobody_looks() -> None:
    torch.manual_seed(0)
    model = micro.token_encoder(image_size=32, dim=16, depth=4, heads=2).eval()
    vit = model.encoder.model
    for parameter in vit.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    x = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        maps = model.encoder({"pixel_values": x}, opened=[2, 4])
        plain = vit.tokens(x)
        normed = vit.blocks[1].norm1(vit.blocks[0](torch.cat([vit.cls_token.expand(3, -1, -1), vit.patch_embed(x)], 1) + vit.pos_embed))
        q, k, _ = vit.blocks[1].attn.qkv(normed).unflatten(2, (3, 2, 8)).permute(2, 0, 3, 1, 4)
    assert maps.passed is not None
    assert torch.equal(maps.passed, plain[:, 1:])
    assert (maps.grid, maps.prefix, maps.n_layers, maps.suggested) == ((8, 8), 1, 4, (2, 4))
    torch.testing.assert_close(maps.opened[2], (q @ k.transpose(2, 3) / 8**0.5).softmax(-1))
    for layer in (2, 4):
        torch.testing.assert_close(maps.received[:, layer - 1], maps.opened[layer].mean(2))
    torch.testing.assert_close(maps.received.sum(-1), torch.ones(3, 4, 2))


def test_the_reader_reads_what_is_kept_and_nothing_else() -> None:
    torch.manual_seed(0)
    model = micro.token_encoder(image_size=32, dim=16, depth=2, heads=2).eval()
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        whole = model(x)
        torch.testing.assert_close(whole, tokens.both_answers(model, x)[0])
        model.prune = HiPrune(tokens=9, alpha=0.5)
        with capture(model) as trace:
            pruned = model(x)
        (maps,) = trace.of(AttentionMaps).values()
        assert maps.passed is not None
        mask = model.prune(maps).mask
        assert mask.sum(1).tolist() == [9, 9]
        alone = torch.cat([model.reader(rows[kept][None]) for rows, kept in zip(maps.passed, mask, strict=True)])
        torch.testing.assert_close(pruned, alone)
        torch.testing.assert_close(model.read(maps.passed + 5 * ~mask[..., None], mask), pruned)
        ragged = mask.clone()
        ragged[0, mask[0].nonzero()[0]] = False
        assert torch.allclose(model.read(maps.passed, ragged)[1], pruned[1], atol=1e-6)
        assert not torch.allclose(model.read(maps.passed, ragged)[0], pruned[0], atol=1e-6)
    assert not torch.allclose(pruned, whole, atol=1e-4)
    with pytest.raises(ValueError, match="at least one"):
        model.read(maps.passed, torch.zeros_like(mask))


@pytest.mark.usefixtures("small")
def test_with_every_key_kept_the_student_is_its_teacher() -> None:
    torch.manual_seed(0)
    teacher = zoo.build(tokens.DENSE).eval()
    assert isinstance(teacher, micro.MicroViT)
    for parameter in teacher.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    student = tokens.student_of(teacher).eval()
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert not torch.allclose(student(x), teacher(x), atol=1e-4, rtol=0)
        student.set_rules(Rules(keep_rate=1.0))
        torch.testing.assert_close(student(x), teacher(x), atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="does not fit"):
        tokens.student_of(micro.MicroViT(image_size=32, dim=16, depth=3, heads=2))


def test_a_picture_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="48 × 48 only"):
        micro.MicroViT()(torch.zeros(1, 3, 32, 32))
    with pytest.raises(ValueError, match="must divide"):
        micro.MicroViT(image_size=50)


def test_what_ships_is_small_and_as_fine_as_promised() -> None:
    grids = {tokens.ENCODER: (14, 14), tokens.DENSE: (12, 12), tokens.SPARSE: (12, 12), segmentation.NAME: (16, 16)}
    for name, grid in grids.items():
        model = zoo.build(name).eval()
        assert 4 * sum(p.numel() for p in model.parameters()) < 10 * 2**20
        side = zoo.ENTRIES[name].preparation.side
        with torch.inference_mode(), capture(model) as trace:
            model(torch.zeros(1, 3, side, side))
        shown = [*trace.of(AttentionMaps).values(), *trace.of(Connectivity).values(), *trace.of(ExitStage).values()]
        assert {one.grid for one in shown} <= {grid}
        assert shown or name == tokens.DENSE


# ------------------------------------------------------------------------------------------------------------ training


def state(runs: Path, name: str) -> dict[str, Tensor]:
    return torch.load(runs / f"{name}.pt", weights_only=True)["model"]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("script", "name"), [(tokens, tokens.ENCODER), (segmentation, segmentation.NAME)])
def test_a_run_on_scenes_goes_on_exactly_where_it_stopped(
    script: ModuleType, name: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_steps = 2 * (128 - tokens.SCENES) if script is tokens else 64
    words = ("--epochs", 2, "--limit", two_steps, *([name] if script is tokens else []))
    asked(monkeypatch, script, data, tmp_path / "whole", *words)
    assert not (tmp_path / "whole" / "out").exists(), "a rehearsal ships nothing"
    monkeypatch.setattr(script, "LOOKED_AT", 40)
    source = "single_objects" if script is tokens else "scenes_of"
    compose_scenes, left = getattr(script, source), [4]  # the test scenes, two steps of the first epoch, one of the second

    def failing(*arguments: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise PowerCut
        return compose_scenes(*arguments)

    monkeypatch.setattr(script, source, failing)
    with pytest.raises(PowerCut):
        asked(monkeypatch, script, data, tmp_path / "cut", *words)
    monkeypatch.setattr(script, source, compose_scenes)
    asked(monkeypatch, script, data, tmp_path / "cut", *words)
    for (key, one), two in zip(state(tmp_path / "whole", name).items(), state(tmp_path / "cut", name).values(), strict=True):
        assert torch.equal(one, two), key


@pytest.mark.usefixtures("small")
def test_each_phase_trains_its_own_part(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(monkeypatch, tokens, data, tmp_path / "runs", "--epochs", 1, "--limit", 128, tokens.SPARSE)
    teacher, connected, last = (state(tmp_path / "runs", name) for name in (tokens.TEACHER, tokens.PREDICTORS, tokens.SPARSE))
    predictors = {key for key in last if ".mask_predictor." in key}
    assert set(last) - predictors == set(teacher)
    assert all(torch.equal(connected[key], teacher[key]) for key in teacher), "statistics of the stem included"
    assert all(torch.equal(connected[key], last[key]) for key in predictors)
    torch.manual_seed(0)
    fresh = zoo.build(tokens.SPARSE).state_dict()
    assert not any(torch.equal(connected[key], fresh[key]) for key in predictors)
    moved = [key for key in teacher if not torch.equal(last[key], teacher[key])]
    assert len(moved) == len(teacher)


@pytest.mark.usefixtures("small")
def test_a_phase_is_repeated_after_a_new_teacher_and_only_then(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "runs"
    asked(monkeypatch, tokens, data, runs, "--epochs", 1, "--limit", 128, tokens.DENSE)
    first, when = state(runs, tokens.DENSE), (runs / f"{tokens.DENSE}.pt").stat().st_mtime_ns
    asked(monkeypatch, tokens, data, runs, "--epochs", 1, "--limit", 128, tokens.DENSE)
    assert (runs / f"{tokens.DENSE}.pt").stat().st_mtime_ns == when
    asked(monkeypatch, tokens, data, runs, "--epochs", 2, "--limit", 128, tokens.DENSE)
    assert not torch.equal(state(runs, tokens.DENSE)["head.weight"], first["head.weight"])


# ---------------------------------------------------------------------------------------------------------------- cards


def test_the_encoder_says_what_else_it_needs(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["tokens", "--data-dir", str(data), "--runs", str(tmp_path), tokens.ENCODER])
    with pytest.raises(SystemExit, match="--garments"):
        tokens.main()


@pytest.mark.usefixtures("small")
def test_every_network_leaves_with_a_complete_card(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(monkeypatch, tokens, data, tmp_path, "--epochs", 1, "--seed", 3, *tokens.NAMES)
    asked(monkeypatch, segmentation, data, tmp_path, "--epochs", 1, "--seed", 3)
    assert {path.stem for path in (tmp_path / "out").iterdir()} == {*tokens.NAMES, segmentation.NAME}
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path / "out")
    cards = {
        name: json.loads((tmp_path / "out" / f"{name}.json").read_text(encoding="utf-8")) for name in (*tokens.NAMES, segmentation.NAME)
    }
    for name, card in cards.items():
        needed = [field for field in CARD if field != "test_accuracy" or name in tokens.NAMES]
        assert [field for field in needed if field not in card or card[field] in ("", [], {}, None)] == []
        assert card["seeds"] == [3]
        assert "--epochs 1 --seed 3" in card["command"]
        assert card["model"] == json.loads(json.dumps(zoo.ENTRIES[name].describe()))
        loaded = zoo.load(name)
        assert loaded.trained
        assert loaded.labels == tuple(card["labels"])
    encoder = cards[tokens.ENCODER]["measured"]
    assert [len(encoder["layers"][key]) for key in ("iou", "auc", "iou_adjusted", "dispersion")] == [2] * 4
    assert set(encoder["budgets"]) == {"all", "21", "14", "7"}
    assert {"hiprune", "random", "class token", "registers only"} <= set(encoder["budgets"]["21"])
    assert cards[tokens.ENCODER]["labels"] == [*CIFAR10_CLASSES, *CLASSES]
    sparse = cards[tokens.SPARSE]
    assert sparse["dense_twin"]["test_accuracy"] == cards[tokens.DENSE]["test_accuracy"]
    assert len(sparse["measured"]["layers"]) == 2
    assert all(row["predicted"] <= row["oracle"] + 1e-4 for row in sparse["measured"]["layers"])
    assert sparse["measured"]["multiply_adds"]["masked"] < sparse["measured"]["multiply_adds"]["dense"]
    exits = cards[segmentation.NAME]["measured"]["exits"]
    assert set(exits) == {"1.0", "0.01", "0.5"}
    assert exits["0.01"]["saving"] > 0.1, "almost any confidence is enough"
    assert exits["0.01"]["saving"] >= exits["0.5"]["saving"] >= 0


def test_a_rule_that_keeps_everything_agrees_with_itself() -> None:
    torch.manual_seed(0)
    model = micro.token_encoder(image_size=32, dim=16, depth=2, heads=2).eval()
    maps = [model.encoder({"pixel_values": torch.randn(4, 3, 32, 32)}, opened=[2])]
    labels = torch.zeros(4, dtype=torch.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens, "RATIOS", (1.0,))
        found = tokens._budgets(model, maps, labels)
    assert all(row["agreement"] == 1 and row["accuracy"] == found["all"] for row in found["64"].values())


def test_agreement_counts_equal_answers() -> None:
    class Says(torch.nn.Module):
        def __init__(self, shift: int) -> None:
            super().__init__()
            self.shift, self.unused = shift, torch.nn.Parameter(torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            return F.one_hot((x[:, 0, 0, 0] > 0).long() * self.shift, 10).float()

    pixels = torch.zeros(8, 3, 32, 32, dtype=torch.uint8)
    pixels[6:] = 255
    test_set = Pictures(pixels, torch.tensor([0, 0, 0, 1, 1, 1, 2, 2]))
    found = tokens._agreement(Says(2), Says(3), test_set, 32, 100)
    assert found == {"accuracy": 5 / 8, "agreement_with_dense": 6 / 8}


@pytest.mark.parametrize("name", [shipped(name) for name in tokens.NAMES])
def test_what_ships_from_cifar_answers_well(name: str) -> None:
    path = zoo.WEIGHTS / f"{name}.safetensors"
    card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert [field for field in CARD if not card.get(field)] == []
    assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert card["bytes"] == path.stat().st_size < 10 * 2**20
    assert 0.7 <= card["test_accuracy"] <= 1
    assert card["command"].startswith("python -m training.tokens ")
    assert name in card["command"].split()
    assert datetime.date.fromisoformat(card["date"]) <= datetime.date.today()
    assert card["model"] == json.loads(json.dumps(zoo.ENTRIES[name].describe()))
    loaded = zoo.load(name)
    assert loaded.labels == tuple(card["labels"])
    assert sum(p.numel() for p in loaded.model.parameters()) == card["parameters"]


@pytest.mark.parametrize("name", [shipped(tokens.SPARSE)])
def test_the_predicted_keys_that_ship_are_better_than_any_and_the_nearest(name: str) -> None:
    layers = json.loads((zoo.WEIGHTS / f"{name}.json").read_text(encoding="utf-8"))["measured"]["layers"]
    mean = {key: np.mean([row[key] for row in layers]) for key in ("predicted", "oracle", "local", "random")}
    assert mean["random"] < mean["predicted"] <= mean["oracle"]
    assert mean["local"] < mean["predicted"]
    assert isinstance(zoo.load(name).model, Sparsifiner)


@pytest.mark.parametrize("name", [shipped(segmentation.NAME)])
def test_the_segmenter_ships_with_a_card_that_says_what_it_saves(name: str) -> None:
    path = zoo.WEIGHTS / f"{name}.safetensors"
    card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert [field for field in CARD if field != "test_accuracy" and not card.get(field)] == []
    assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert card["bytes"] == path.stat().st_size < 10 * 2**20
    assert 0.4 <= card["test_miou"] <= 1
    assert card["command"].startswith("python -m training.segmentation ")
    assert card["model"] == json.loads(json.dumps(zoo.ENTRIES[name].describe()))
    exits = card["measured"]["exits"]
    whole = exits.pop("1.0")["miou"]
    assert any(row["saving"] >= 0.2 and row["miou"] >= whole - 0.01 for row in exits.values()), "the paper's claim, in small"
    assert isinstance(zoo.load(name).model, DToP)


def test_recipes_of_the_phases_are_told_apart() -> None:
    assert set(tokens.EPOCHS) == set(tokens.NAMES)
    assert tokens._settings(Recipe(epochs=3))["epochs"] == 3
