"""Training: the data as its authors wrote it, runs that go on where they stopped, weights that say where they come from."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import math
import os
import pickle
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from models import zoo
from models.capture import Trace, capture
from models.structures import HypergraphMessages, PatchGraph, Rule, SoftHypergraph
from training import image_graphs, soft_hyperedges
from training.data import CIFAR10_CLASSES, MEAN, STD, Pictures, augmented, cifar10, normalised
from training.image_graphs import NAMES
from training.loop import MatrixOptimiser, Recipe, evaluate, ship, train

ROOT = Path(__file__).resolve().parents[1]


def random_pictures(count: int, seed: int = 0) -> Pictures:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return Pictures(pixels, torch.randint(0, 10, (count,), generator=generator))


# ----------------------------------------------------------------------------------------------------------- the data

BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")


def batch(name: str, count: int = 4) -> dict[bytes, Any]:
    """As published: rows of 3072 bytes (red, green, blue planes) and a list of labels, keys in bytes."""
    generator = np.random.default_rng(BATCHES.index(name))
    return {
        b"batch_label": name.encode(),
        b"labels": generator.integers(0, 10, count).tolist(),
        b"data": generator.integers(0, 256, (count, 3072), dtype=np.uint8),
        b"filenames": [b"a.png"] * count,
    }


def archive_folder(folder: Path, **replaced: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in BATCHES:
        (folder / name).write_bytes(replaced.get(name, pickle.dumps(batch(name), protocol=2)))
    return folder


def as_tar(folder: Path, target: Path) -> None:
    with tarfile.open(target / "cifar-10-python.tar.gz", "w:gz") as tar:
        tar.add(folder, "cifar-10-batches-py")


@pytest.mark.parametrize("form", ["the folder itself", "a folder around it", "the archive"])
def test_the_published_archive_is_read_in_order(form: str, tmp_path: Path) -> None:
    inner = archive_folder(tmp_path / "cifar-10-batches-py")
    place = inner if form == "the folder itself" else tmp_path
    if form == "the archive":
        place = tmp_path / "packed"
        place.mkdir()
        as_tar(inner, place)
    train_set, test_set = cifar10(place)
    assert train_set.pixels.shape == (20, 3, 32, 32)
    assert test_set.pixels.shape == (4, 3, 32, 32)
    assert train_set.pixels.dtype == torch.uint8
    assert train_set.labels.dtype == torch.int64
    expected = np.concatenate([batch(name)[b"data"] for name in BATCHES[:5]])
    np.testing.assert_array_equal(train_set.pixels.numpy().reshape(20, -1), expected)
    assert train_set.labels.tolist() == [label for name in BATCHES[:5] for label in batch(name)[b"labels"]]
    np.testing.assert_array_equal(test_set.pixels.numpy().reshape(4, -1), batch("test_batch")[b"data"])


def mosaic(colours: np.ndarray, rows: int) -> Image.Image:
    """Flat tiles of 32 × 32 pixels in raster order."""
    tiles = colours.reshape(rows, -1, 1, 1, 3).repeat(32, 2).repeat(32, 3)
    return Image.fromarray(tiles.transpose(0, 2, 1, 3, 4).reshape(rows * 32, -1, 3).astype(np.uint8))


def test_a_pack_of_mosaics_is_read_in_order(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    colours = generator.integers(0, 256, (36, 3))
    for i in range(5):
        mosaic(colours[i * 6 : i * 6 + 6], 2).save(tmp_path / f"train_{i}.jpg", quality=100, subsampling=0)
    mosaic(colours[30:], 3).save(tmp_path / "test.jpg", quality=100, subsampling=0)
    labels = generator.integers(0, 10, 36).astype(np.uint8)
    np.savez(tmp_path / "labels.npz", train_y=labels[:30], test_y=labels[30:])
    train_set, test_set = cifar10(tmp_path)
    assert train_set.pixels.shape == (30, 3, 32, 32)
    assert test_set.pixels.shape == (6, 3, 32, 32)
    assert train_set.pixels.dtype == torch.uint8
    found = torch.cat([train_set.pixels, test_set.pixels]).float()
    assert found.std((2, 3)).max() < 2, "each picture is one tile"
    assert (found.mean((2, 3)).numpy() - colours).__abs__().max() < 4
    assert torch.cat([train_set.labels, test_set.labels]).tolist() == labels.tolist()


class Calls:
    """Pickles to a call: loading it would leave a file behind."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.function, self.arguments


@pytest.mark.parametrize("form", ["folder", "archive"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_does_more_than_hold_arrays_is_refused(form: str, protocol: int, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    evil = [
        Calls(os.system, f"touch {canary}"),
        Calls(open, str(canary), "w"),
        Calls(eval, f"open({str(canary)!r}, 'w')"),
        Calls(np.savetxt, str(canary), [1]),
        Calls(np.fromfile, "/etc/passwd"),
    ]
    for number, call in enumerate(evil):
        place = tmp_path / str(number)
        poisoned = pickle.dumps({**batch("data_batch_3"), b"extra": call}, protocol=protocol)
        folder = archive_folder(place / "cifar-10-batches-py", data_batch_3=poisoned)
        if form == "archive":
            as_tar(folder, place)
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()
        with pytest.raises(pickle.UnpicklingError, match="unexpected object"):
            cifar10(place)
    assert not canary.exists()


def test_a_folder_without_the_data_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"cifar-10-batches-py/, cifar-10-python.tar.gz, or train_0.jpg"):
        cifar10(tmp_path)


# --------------------------------------------------------------------------------------------------------- augmentation


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_augmentation_keeps_form_and_follows_its_seed() -> None:
    pixels = random_pictures(16).pixels
    before = pixels.clone()
    found = augmented(pixels, generator(3))
    assert found.dtype == torch.uint8
    assert found.shape == pixels.shape
    assert torch.equal(found, augmented(pixels, generator(3)))
    assert not torch.equal(found, augmented(pixels, generator(4)))
    assert torch.equal(pixels, before)


def test_augmentation_does_not_touch_the_global_numbers() -> None:
    state = torch.get_rng_state()
    augmented(random_pictures(4).pixels, generator(0))
    assert torch.equal(torch.get_rng_state(), state)


def test_every_augmented_picture_is_a_shift_and_perhaps_a_flip() -> None:
    pixels = random_pictures(24).pixels
    padded = np.pad(pixels.numpy(), ((0, 0), (0, 0), (4, 4), (4, 4)), mode="reflect")
    seen = set()
    for i, one in enumerate(augmented(pixels, generator(0)).numpy()):
        fits = [
            (down, right, flip)
            for down in range(9)
            for right in range(9)
            for flip in (False, True)
            if np.array_equal(padded[i, :, down : down + 32, right : right + 32][:, :, :: -1 if flip else 1], one)
        ]
        assert len(fits) == 1
        seen.add(fits[0])
    assert {flip for _, _, flip in seen} == {False, True}
    assert len({(down, right) for down, right, _ in seen}) > 8


# ---------------------------------------------------------------------------------------------- the same as on the page


def test_a_picture_is_prepared_as_on_the_page() -> None:
    pixels = random_pictures(3).pixels
    for name in NAMES:
        prepare = zoo.ENTRIES[name].preparation
        assert (prepare.side, prepare.native) == (64, 32)
        np.testing.assert_allclose(prepare.mean, MEAN, atol=1e-6)
        np.testing.assert_allclose(prepare.std, STD, atol=1e-6)
    trained = normalised(pixels, 64)
    assert trained.shape == (3, 3, 64, 64)
    shown = torch.cat([prepare(one.permute(1, 2, 0).contiguous().numpy()) for one in pixels])
    assert (trained - shown).abs().max() < 1.01 / 255 / min(STD), "one grey level at most: the page rounds to whole ones"


def test_normalised_pictures_have_the_statistics_that_were_taken_out() -> None:
    grey = torch.tensor(MEAN).mul(255).round().to(torch.uint8)[None, :, None, None].expand(2, 3, 32, 32)
    assert normalised(grey, 32).abs().max() < 0.01
    assert normalised(grey, 32).shape == (2, 3, 32, 32)


# ---------------------------------------------------------------------------------------------------------- the training

SMALL = {"channels": (16, 32), "blocks": (1, 1)}
TRAIN, TEST = random_pictures(256), random_pictures(64, seed=1)


def network() -> nn.Module:
    torch.manual_seed(0)
    return zoo.build("swappable_dagc", **SMALL)


class PowerCut(Exception):
    pass


def cut_after(calls: int) -> Callable[[Tensor, int], Tensor]:
    """`prepare` that fails at some later call."""
    left = [calls]

    def prepare(pixels: Tensor, side: int) -> Tensor:
        left[0] -= 1
        if left[0] < 0:
            raise PowerCut
        return normalised(pixels, side)

    return prepare


def test_a_run_goes_on_exactly_where_it_stopped(tmp_path: Path) -> None:
    recipe = Recipe(epochs=2, side=32)
    whole = network()
    result = train("small", whole, TRAIN, TEST, recipe, tmp_path / "whole")
    assert (tmp_path / "whole" / "small.pt").exists()

    with pytest.raises(PowerCut):  # two steps, one look at the test set, and one step of the second epoch
        train("small", network(), TRAIN, TEST, recipe, tmp_path / "cut", prepare=cut_after(4))
    torch.manual_seed(99)
    resumed = zoo.build("swappable_dagc", **SMALL)
    second = train("small", resumed, TRAIN, TEST, recipe, tmp_path / "cut")

    for (name, one), two in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, two), name
    assert second["history"] == result["history"]
    assert second["test_accuracy"] == result["test_accuracy"]
    assert [row["epoch"] for row in result["history"]] == [1, 2]
    assert not (tmp_path / "cut" / "small.part").exists()


def test_an_extra_loss_sees_the_structures_of_the_step_and_moves_the_weights(tmp_path: Path) -> None:
    """A price on sharp hyperedges makes them softer than they would be; at a weight of 0 it changes nothing."""
    seen: list[int] = []

    def sharpness(trace: Trace) -> Tensor:
        (hypergraph,) = trace.of(SoftHypergraph).values()
        seen.append(hypergraph.participation.shape[0])
        assert hypergraph.logits is not None
        return hypergraph.logits.square().mean()

    found, states = {}, {}
    for name, weight, extra in (("none", 0.0, None), ("zero", 0.0, sharpness), ("strong", 100.0, sharpness)):
        torch.manual_seed(0)
        model = zoo.build("softvit_diverse")
        recipe = Recipe(epochs=2, side=32, warm_up=0.01, extra_weight=weight)
        train(name, model, TRAIN, TEST, recipe, tmp_path, extra=extra)
        states[name] = model.state_dict()
        with torch.no_grad(), capture(model) as trace:
            model(normalised(TEST.pixels, 32))
        found[name] = sharpness(trace).item()
    assert seen == [64, *[128] * 4, 64, *[128] * 4, 64], "once per step, and once by this test"
    assert all(torch.equal(states["none"][key], states["zero"][key]) for key in states["none"])
    assert found["strong"] < 0.7 * found["none"]


def test_a_run_with_an_extra_loss_goes_on_exactly_where_it_stopped(tmp_path: Path) -> None:
    recipe = Recipe(epochs=2, side=32, extra_weight=0.3)

    def sparse() -> nn.Module:
        torch.manual_seed(0)
        return zoo.build("softvit_sparse")

    whole, resumed = sparse(), sparse()
    train("soft", whole, TRAIN, TEST, recipe, tmp_path / "whole", extra=soft_hyperedges.balance)
    with pytest.raises(PowerCut):
        train("soft", sparse(), TRAIN, TEST, recipe, tmp_path / "cut", prepare=cut_after(4), extra=soft_hyperedges.balance)
    train("soft", resumed, TRAIN, TEST, recipe, tmp_path / "cut", extra=soft_hyperedges.balance)
    for (name, one), two in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, two), name


def test_a_checkpoint_from_before_a_setting_existed_is_gone_on_from(tmp_path: Path) -> None:
    recipe = Recipe(epochs=1, side=32)
    train("small", network(), TRAIN, TEST, recipe, tmp_path)
    saved = torch.load(tmp_path / "small.pt", weights_only=True)
    del saved["recipe"]["extra_weight"]
    torch.save(saved, tmp_path / "small.pt")
    calls: list[int] = []

    def counting(pixels: Tensor, side: int) -> Tensor:
        calls.append(len(pixels))
        return normalised(pixels, side)

    train("small", network(), TRAIN, TEST, recipe, tmp_path, prepare=counting)
    assert calls == [64]


def test_a_finished_run_is_not_trained_again_and_another_recipe_starts_anew(tmp_path: Path) -> None:
    recipe = Recipe(epochs=1, side=32)
    train("small", network(), TRAIN, TEST, recipe, tmp_path)
    calls: list[int] = []

    def counting(pixels: Tensor, side: int) -> Tensor:
        calls.append(len(pixels))
        return normalised(pixels, side)

    train("small", network(), TRAIN, TEST, recipe, tmp_path, prepare=counting)
    assert calls == [64], "only the test set was looked at"
    found = train("small", network(), TRAIN, TEST, Recipe(epochs=1, side=32, seed=1), tmp_path, prepare=counting)
    assert calls[1:3] == [128, 128]
    assert len(found["history"]) == 1


def test_training_moves_every_parameter_and_leaves_the_network_ready(tmp_path: Path) -> None:
    model, before = network(), network()
    train("small", model, TRAIN, TEST, Recipe(epochs=1, side=32, warm_up=0.01), tmp_path)
    same = [n for (n, p), q in zip(model.named_parameters(), before.parameters(), strict=True) if torch.equal(p, q)]
    assert same == []
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert not model.training


def test_two_seeds_differ_and_one_seed_does_not(tmp_path: Path) -> None:
    found = []
    for number, seed in enumerate((0, 0, 1)):
        model = network()
        train("small", model, TRAIN, TEST, Recipe(epochs=1, side=32, seed=seed), tmp_path / str(number))
        found.append(torch.cat([p.flatten() for p in model.parameters()]))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_every_parameter_belongs_to_one_optimiser() -> None:
    model = network()
    parts = MatrixOptimiser(model, Recipe(epochs=1))
    vectors = {id(p) for group in parts.parts[1].param_groups for p in group["params"]}
    assert vectors.isdisjoint(id(p) for p in parts.matrices)
    assert len(vectors) + len(parts.matrices) == len(list(model.parameters()))
    assert all(flat.data_ptr() == p.data_ptr() for flat, p in zip(parts.flat, parts.matrices, strict=True))


def test_accuracy_counts_right_answers() -> None:
    class Knows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.one_hot((x.mean((1, 2, 3)) > 0).long(), 10).float()

    pixels = torch.zeros(700, 3, 32, 32, dtype=torch.uint8)
    pixels[350:] = 255
    labels = torch.cat([torch.zeros(350), torch.ones(250), torch.full((100,), 7)]).long()
    for precise in (False, True):
        found = evaluate(Knows(), Pictures(pixels, labels), Recipe(epochs=1, side=32), precise=precise)
        assert found == pytest.approx(600 / 700)


# ------------------------------------------------------------------------------------------------------ what is shipped


def test_weights_leave_with_a_card_that_knows_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = zoo.build("swappable_dagc")
    ship("swappable_dagc", model, {"labels": list(CIFAR10_CLASSES), "test_accuracy": 0.5}, tmp_path / "new")
    path = tmp_path / "new" / "swappable_dagc.safetensors"
    card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert card["name"] == "swappable_dagc"
    assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert card["bytes"] == path.stat().st_size
    assert path.stat().st_mode & 0o044 == 0o044, "everybody may read it"
    assert card["parameters"] == sum(p.numel() for p in model.parameters())
    assert datetime.date.fromisoformat(card["date"]) == datetime.date.today()
    assert card["test_accuracy"] == 0.5
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path / "new")
    loaded = zoo.load("swappable_dagc")
    assert loaded.trained
    assert loaded.labels == CIFAR10_CLASSES
    for (name, one), two in zip(model.state_dict().items(), loaded.model.state_dict().values(), strict=True):
        assert torch.equal(one, two), name


def test_a_trained_network_sees_graphs_on_a_grid_of_sixteen() -> None:
    """The finest graph of every network that ships has at least 16 × 16 patches, at 64 pixels a side."""
    for name in NAMES:
        model = zoo.build(name).eval()
        with torch.inference_mode(), capture(model) as trace:
            model(torch.zeros(1, 3, 64, 64))
        assert max(graph.grid for graph in trace.of(PatchGraph).values()) >= (16, 16), name
        assert sum(p.numel() for p in model.parameters()) <= 2_000_000


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("image_graphs", ("--limit", *NAMES)),
        ("soft_hyperedges", ("--limit", *soft_hyperedges.NAMES)),
        ("detection", ("--photos", "--without-hyperace")),
    ],
)
def test_the_command_explains_itself(script: str, words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", f"training.{script}", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    for word in ("--data-dir", "--epochs", "--seed", "--runs", "--out", *words):
        assert word in done.stdout


def asked(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    """`python -m training.image_graphs …` in this process."""
    monkeypatch.setattr(sys, "argv", ["image_graphs", *map(str, arguments)])
    image_graphs.main()


def test_the_command_refuses_a_name_that_it_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        asked(monkeypatch, "--data-dir", tmp_path, "resnet50")
    assert end.value.code == 2
    assert "unknown model resnet50; there are swappable_dagc" in capsys.readouterr().err


def test_a_rehearsal_leaves_no_weights_and_a_run_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    archive_folder(tmp_path / "cifar-10-batches-py", **{name: pickle.dumps(batch(name, 32), protocol=2) for name in BATCHES})
    places = ("--data-dir", tmp_path, "--epochs", 1, "--threads", 1, "--out", tmp_path / "out")
    asked(monkeypatch, *places, "--limit", 128, "--runs", tmp_path / "rehearsal", "mobilevig_micro")
    assert "mobilevig_micro epoch 1/1: test accuracy" in capsys.readouterr().out
    assert (tmp_path / "rehearsal" / "mobilevig_micro.pt").exists()
    assert not (tmp_path / "out").exists()
    asked(monkeypatch, *places, "--runs", tmp_path / "runs", "--seed", 3, "mobilevig_micro")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["mobilevig_micro.json", "mobilevig_micro.safetensors"]
    card = json.loads((tmp_path / "out" / "mobilevig_micro.json").read_text(encoding="utf-8"))
    assert card["seeds"] == [3]
    assert card["command"] == "python -m training.image_graphs --data-dir DIR --epochs 1 --seed 3 mobilevig_micro"
    assert card["labels"] == list(CIFAR10_CLASSES)
    assert "CIFAR-10" in card["data"]
    assert 0 <= card["test_accuracy"] <= 1


def test_a_checkpoint_holds_no_code(tmp_path: Path) -> None:
    train("small", network(), TRAIN, TEST, Recipe(epochs=1, side=32), tmp_path)
    saved = torch.load(io.BytesIO((tmp_path / "small.pt").read_bytes()), weights_only=True)
    assert set(saved) == {"recipe", "model", "optimiser", "epoch", "history", "cpu_seconds"}
    poisoned = tmp_path / "small.pt"
    canary = tmp_path / "canary"
    torch.save({"recipe": Calls(os.system, f"touch {canary}")}, poisoned)
    with pytest.raises(pickle.UnpicklingError):
        train("small", network(), TRAIN, TEST, Recipe(epochs=1, side=32), tmp_path)
    assert not canary.exists()


# ------------------------------------------------------------------------------------------------------- soft hyperedges


def test_the_variants_differ_in_their_hyperedges_alone() -> None:
    """Host weights of one seed are the same numbers in every variant, the plain one included."""
    states = []
    for name in soft_hyperedges.SHIPPED:
        torch.manual_seed(0)
        states.append({key: value for key, value in zoo.build(name).state_dict().items() if not key.startswith("soft_hgnn.")})
    assert all(state.keys() == states[0].keys() for state in states)
    shapes = [{key: value.shape for key, value in state.items()} for state in states]
    assert all(shape == shapes[0] for shape in shapes)


def test_soft_hyperedges_lie_on_sixteen_by_sixteen_patches_and_reach_the_prediction() -> None:
    pixels = random_pictures(2).pixels
    for name in soft_hyperedges.SHIPPED[1:]:
        torch.manual_seed(0)
        model = zoo.build(name).eval()
        with torch.inference_mode(), capture(model) as trace:
            whole = model(normalised(pixels, 64))
        hypergraph = trace.of(SoftHypergraph)[soft_hyperedges.LAYER]
        assert hypergraph.grid == (16, 16)
        assert hypergraph.active().sum(1).tolist() == [8, 8]
        edits = {soft_hyperedges.LAYER: lambda found: found.without_hyperedges(range(found.hyperedges))}
        with torch.inference_mode(), capture(model, edits=edits):
            without = model(normalised(pixels, 64))
        assert (whole - without).abs().max() > 1e-3, name


def test_what_is_measured_tells_alike_hyperedges_from_different_ones() -> None:
    n, m = 64, 4
    alike = torch.rand(2, n, 1).expand(-1, -1, m)
    apart = torch.eye(m).repeat_interleave(n // m, 0).expand(2, -1, -1)
    for participation, pairs, number in ((alike, 1.0, 1.0), (apart, -1 / 3, 3.0)):
        hypergraph = SoftHypergraph(participation, (8, 8), Rule("soft", {}), prototypes=torch.eye(m).expand(2, -1, -1))
        update = torch.ones(2, n, 3)
        rows = soft_hyperedges._rows(hypergraph, HypergraphMessages(update, update, update, update))
        assert rows["pair_correlation"].tolist() == pytest.approx([pairs] * 2, abs=1e-5)
        assert rows["effective_number"].tolist() == pytest.approx([number] * 2, abs=1e-3)
        assert rows["prototype_cosine"].tolist() == [0, 0]
        assert rows["message_contrast"].tolist() == [0, 0]
    assert rows["peak"].tolist() == [m, m]
    assert rows["contrast"].tolist() == pytest.approx([math.sqrt(m - 1)] * 2)
    assert rows["entropy"].tolist() == pytest.approx([math.log(n // m) / math.log(n)] * 2)


def test_a_repeated_seed_is_told_in_the_card_of_the_first_and_does_not_ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive_folder(tmp_path / "cifar-10-batches-py", **{name: pickle.dumps(batch(name, 32), protocol=2) for name in BATCHES})
    places = ("--data-dir", tmp_path, "--epochs", 1, "--threads", 1, "--out", tmp_path / "out", "--runs", tmp_path / "runs")
    names = ("softvit_diverse_s1", "softvit_diverse")  # in whatever order they finish
    monkeypatch.setattr(sys, "argv", ["soft_hyperedges", *map(str, places), *names])
    soft_hyperedges.main()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["softvit_diverse.json", "softvit_diverse.safetensors"]
    card = json.loads((tmp_path / "out" / "softvit_diverse.json").read_text(encoding="utf-8"))
    assert card["seeds"] == [0, 1]
    assert [row["seed"] for row in card["spread"]] == [0, 1]
    assert card["measured"] == card["spread"][0]
    assert card["measured"]["pictures"] == 32
    assert card["recipe"]["extra_weight"] == 0.3
    assert card["command"] == "python -m training.soft_hyperedges --data-dir DIR --epochs 1 --seed 0 softvit_diverse"
    assert soft_hyperedges.split("softvit_dense_s2") == ("softvit_dense", 2)


def test_the_matrices_of_a_gentle_module_are_left_to_adamw() -> None:
    """Muon's steps are as long whatever the gradient; a vanishing gradient shows which of the two takes a matrix further."""
    torch.manual_seed(0)
    for gentle in ("", "1"):
        model = nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 16))
        first, second = (layer.weight.detach().clone() for layer in model)
        optimiser = MatrixOptimiser(model, Recipe(epochs=1, gentle=gentle, gentle_rate=1e-4))
        (1e-3 * model(torch.randn(4, 16)).square().mean()).backward()
        optimiser.step(1.0)
        assert all(p.grad is None for p in model.parameters())
        steps = [(layer.weight - before).norm().item() for layer, before in zip(model, (first, second), strict=True)]
        assert steps[0] > 0.02
        assert (steps[1] < 0.002) == (gentle == "1")
        optimiser.restore(optimiser.state())
