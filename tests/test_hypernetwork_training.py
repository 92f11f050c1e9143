"""Training of hypernetworks: small families fit, runs go on where they stopped, cards tell everything, drawn networks are valid."""

from __future__ import annotations

import copy
import datetime
import hashlib
import json
import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models import zoo
from models.hypernetworks import permutation
from models.hypernetworks.architecture import build, parse
from models.hypernetworks.digits import TRAINING, digits
from models.hypernetworks.metamorphosis import Metamorphosis
from models.hypernetworks.targets import CifarResNet, Family, Perceptron, SmallConvNet
from tests.test_training import BATCHES, archive_folder, batch, random_pictures
from training import ghn, neumeta
from training.data import Pictures
from training.hypernetworks import Averaged, ClippedOptimiser
from training.loop import Recipe
from training.neumeta import Setting, Task

FIELDS = (
    "model", "labels", "input", "data", "data_licence", "licence", "test_accuracy", "test_split", "seeds", "command", "parameters",
    "sha256", "date", "recipe", "measured", "history",
)  # fmt: skip


class PowerCut(Exception):
    pass


def cut_after(calls: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which fails at the call after so many."""
    left = [calls]

    def cut(*arguments: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise PowerCut
        return function(*arguments)

    return cut


def assert_equal(one: nn.Module, other: nn.Module) -> None:
    for (name, value), same in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(value, same), name


# ------------------------------------------------------------------------------------------------------- steps and averages


def test_a_step_that_is_not_finite_is_left_out_and_a_large_one_is_clipped() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimiser = ClippedOptimiser(model, Recipe(epochs=1, other_rate=0.1, weight_decay=0.0))
    before = copy.deepcopy(model)
    (model.weight.sum() * float("nan")).backward()
    optimiser.step(1.0)
    assert_equal(model, before)
    assert model.weight.grad is None
    (model.weight.sum() * 1e6).backward()
    optimiser.step(1.0)
    (moments,) = (optimiser.part.state[p]["exp_avg"] for p in [model.weight])
    assert moments.norm().item() == pytest.approx(0.1, rel=1e-3), "a tenth of a gradient of norm 1"
    assert not torch.equal(model.weight, before.weight)


def test_the_average_follows_the_weights_and_asks_for_no_gradient() -> None:
    model = Averaged(nn.Linear(2, 2), keep=0.75)
    start = model.network.weight.detach().clone()
    with torch.no_grad():
        model.network.weight += 4
    model.update()
    model.update()
    torch.testing.assert_close(model.average.weight.detach(), start + 4 * (1 - 0.75**2))
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["network.weight", "network.bias"]


# ---------------------------------------------------------------------------------------------------------------- NeuMeta


def points(count: int, seed: int) -> Pictures:
    """Two classes that a plane in twelve dimensions tells apart."""
    x = torch.randn(count, 12, generator=torch.Generator().manual_seed(seed))
    return Pictures(x, (x[:, 0] + x[:, 1] > 0).long())


def unchanged(pixels: Tensor, generator: torch.Generator | None) -> Tensor:
    return pixels


TASK = Task(points(300, 0), points(200, 1), unchanged)
TINY = Setting(32, 10, 400, 2e-3, 1e-2, 4, 4, (2,), (1, 2, 3, 4, 5, 6))
RECIPE = Recipe(epochs=2, batch=32, side=1, matrix_rate=2e-3, other_rate=2e-3, weight_decay=0.0, label_smoothing=0.0)


def tiny(**changes: Any) -> Metamorphosis:
    torch.manual_seed(0)
    family = Family(lambda width: Perceptron((12, width, 2)), (2, 4))
    settings = {"held_out": (3,), "hidden_dim": 16, "num_layers": 3, "num_freqs": 3, **changes}
    made = Metamorphosis(family, **settings)
    made.full.requires_grad_(False)
    return made


def test_a_tiny_representation_fits_the_weights_of_a_net_of_two_layers(tmp_path: Path) -> None:
    family = tiny(noise=0.0, hidden_dim=48)
    reference = family.reference()
    neumeta.learn_weights(family, "tiny", TINY, RECIPE, tmp_path, TINY.start)
    generated = family.generate(4).weights
    assert neumeta.misfit(generated, reference) < 0.03
    for name, wanted in reference.items():
        assert (generated[name] - wanted).norm() < 0.25 * wanted.norm(), name
    x = points(50, 2).pixels
    assert (family(x).argmax(1) == family.full(x).argmax(1)).float().mean() > 0.9
    assert torch.equal(family(x), family(x, 4))


def test_a_family_learns_its_task_at_widths_of_the_band(tmp_path: Path) -> None:
    family = tiny(hidden_dim=24)
    seen = neumeta.entered(family, TASK)
    network, _ = neumeta._individual(family, "full", 4, TASK, seen, 10, RECIPE, tmp_path)
    family.full.load_state_dict(network.state_dict())
    family.full.requires_grad_(False)
    facts = neumeta.order_channels(family, TASK, permuted=True)
    assert facts["logits_moved"] < 1e-5
    assert facts["path_length"][1] <= facts["path_length"][0]
    neumeta.learn_weights(family, "tiny", TINY, RECIPE, tmp_path, 200)
    neumeta.learn_task(family, "tiny", TASK, seen, RECIPE, tmp_path, 100)
    found = neumeta.measured(family, seen, TINY.looked_at, {2: 0.5})
    assert found["widths"] == [1, 2, 3, 4, 5, 6]
    assert (found["band"], found["held_out"], family.widths) == ([2, 4], [3], (2, 4))
    assert found["full_network"] > 0.8
    assert found["test_accuracy"] == found["accuracy"][3] > 0.75
    assert found["accuracy"][1] > 0.75
    assert set(found["pruned"]) == {"1", "2", "3"}
    assert found["alone"] == {"2": 0.5}


def test_a_family_goes_on_exactly_where_it_stopped(tmp_path: Path) -> None:
    def trained(task: Task, runs: Path) -> Metamorphosis:
        family = tiny()
        seen = neumeta.entered(family, TASK)
        neumeta.learn_weights(family, "tiny", TINY, RECIPE, runs, 8)
        neumeta.learn_task(family, "tiny", task, seen, RECIPE, runs, 3)
        return family

    whole = trained(TASK, tmp_path / "whole")
    with pytest.raises(PowerCut):
        trained(Task(TASK.train, TASK.test, cut_after(4, unchanged)), tmp_path / "cut")
    assert torch.load(tmp_path / "cut" / "tiny.pt", weights_only=True)["epoch"] == 1
    assert_equal(trained(TASK, tmp_path / "cut"), whole)
    assert any(not torch.equal(a, b) for a, b in zip(whole.parameters(), tiny().parameters(), strict=True))


def test_only_the_last_block_of_a_residual_net_is_trained_alone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    family = Metamorphosis(
        Family(lambda width: CifarResNet(width, (1, 1, 2)), (4, 8), lambda net: net.generated()),  # type: ignore[attr-defined, operator]
        hidden_dim=8,
        num_layers=2,
        num_freqs=1,
    )
    pictures = random_pictures(8)
    task = Task(pictures, pictures, lambda pixels, generator: pixels.float() / 255)
    seen = neumeta.entered(family, task)
    assert seen[0].shape == (8, 64, 8, 8)
    network, _ = neumeta._individual(family, "alone", 4, task, seen, 1, RECIPE, tmp_path)
    full, moved = dict(family.full.named_parameters()), 0
    for name, parameter in network.named_parameters():
        if not name.startswith("layer3.1.conv"):
            assert torch.equal(parameter, full[name]), name
        moved += parameter.requires_grad
    assert moved == 4
    x = task.prepare(pictures.pixels, None)
    torch.testing.assert_close(family.run(dict(network.named_parameters()), 4, seen[0]), network(x), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(family.run({}, 8, seen[0]), family.full(x), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("network", [SmallConvNet(3), CifarResNet(8, (1, 1, 1))])
def test_batch_normalisation_for_training_folds_away(network: nn.Module) -> None:
    torch.manual_seed(0)
    with_norms = neumeta.normed(network)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len([m for m in with_norms.modules() if isinstance(m, nn.BatchNorm2d)]) == len(convolutions)
    x = torch.randn(8, convolutions[0].in_channels, 16, 16)
    for module in with_norms.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
    for _ in range(3):
        with_norms(x)
    plain = neumeta.folded(with_norms.eval(), network)
    assert {k: v.shape for k, v in plain.state_dict().items()} == {k: v.shape for k, v in network.state_dict().items()}
    torch.testing.assert_close(plain(x), with_norms(x), atol=1e-4, rtol=1e-4)


def test_the_digits_are_split_once_for_all() -> None:
    (train_x, train_y), (test_x, test_y) = digits(True), digits(False)
    assert train_x.shape == (TRAINING, 1, 8, 8)
    assert test_x.shape == (497, 1, 8, 8)
    assert (train_x.min(), train_x.max()) == (0, 1)
    assert len(train_y) + len(test_y) == 1797
    assert test_y.bincount().min() >= 30
    assert torch.equal(digits(False)[0], test_x)


def test_the_digits_that_ship_are_those_of_scikit_learn() -> None:
    found = pytest.importorskip("sklearn.datasets").load_digits()
    order = torch.randperm(1797, generator=torch.Generator().manual_seed(0))
    for training, chosen in ((True, order[:TRAINING]), (False, order[TRAINING:])):
        x, y = digits(training)
        assert torch.equal(x[:, 0], torch.from_numpy(found.images).float().div(16)[chosen])
        assert torch.equal(y, torch.from_numpy(found.target).long()[chosen])


def test_names_of_families_say_what_is_trained() -> None:
    assert neumeta.split("neumeta_cifar") == ("neumeta_cifar", 0, {})
    assert neumeta.split("neumeta_digits_quiet") == ("neumeta_digits", 0, {"noise": 0.0})
    assert neumeta.split("neumeta_digits_s2") == ("neumeta_digits", 2, {})
    even: Any = zoo.build("neumeta_digits", **neumeta.CONTROLS["neumeta_digits_even"])
    assert even.widths == (4, 6, 8, 10, 12)
    shipped: Any = zoo.build("neumeta_digits")
    assert shipped.widths == (4, 5, 6, 8, 9, 11, 12)


def ran(module: Any, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    """`python -m training.… …` in this process."""
    monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, arguments)])
    module.main()


def test_a_family_ships_with_a_card_that_tells_its_controls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"widths": (2, 4), "held_out": (3,), "hidden_dim": 16, "num_layers": 2, "num_freqs": 2}
    monkeypatch.setitem(zoo.ENTRIES, "neumeta_digits", replace(zoo.ENTRIES["neumeta_digits"], arguments=small))
    monkeypatch.setitem(neumeta.SETTINGS, "neumeta_digits", Setting(64, 2, 8, 1e-3, 2e-3, 1, 1, (2,), (1, 2, 4, 6)))
    monkeypatch.setattr(neumeta, "SAMPLES", 2)
    monkeypatch.setattr(permutation, "EXACT", 8)
    places = ("--data-dir", tmp_path, "--epochs", 1, "--out", tmp_path / "out", "--runs", tmp_path / "runs")
    ran(neumeta, monkeypatch, *places, "--limit", 64, "neumeta_digits_unpermuted")
    assert not (tmp_path / "out").exists(), "a rehearsal leaves no weights"
    ran(neumeta, monkeypatch, *places, "neumeta_digits_unpermuted", "neumeta_digits", "neumeta_digits_s1")
    assert "neumeta_digits epoch 1/1: test accuracy" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["neumeta_digits.json", "neumeta_digits.safetensors"]
    card = json.loads((tmp_path / "out" / "neumeta_digits.json").read_text(encoding="utf-8"))
    assert [field for field in FIELDS if field not in card] == []
    assert card["model"] == json.loads(json.dumps(zoo.ENTRIES["neumeta_digits"].describe()))
    assert card["command"] == "python -m training.neumeta --data-dir DIR --epochs 1 --seed 0 neumeta_digits"
    assert card["measured"]["widths"] == [1, 2, 3, 4, 6]
    assert card["measured"]["alone"].keys() == {"2"}
    assert card["seeds"] == [0, 1]
    assert card["spread"][0] == card["measured"]
    (control,) = card["controls"].values()
    assert control["path_length"][0] == control["path_length"][1], "its channels were left as they were"
    assert card["measured"]["path_length"][1] < card["measured"]["path_length"][0]
    assert card["measured"]["logits_moved"] < 1e-4
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path / "out")
    loaded = zoo.load("neumeta_digits")
    assert loaded.trained
    assert loaded.model(digits(False)[0][:3], width=3).shape == (3, 10)


# -------------------------------------------------------------------------------------------------- graph hypernetworks

IMAGES = random_pictures(4).pixels[:, :, ::2, ::2].float() / 255


@pytest.mark.parametrize("name", ghn.SHIPPED)
def test_drawn_networks_are_valid_and_get_all_their_weights(name: str) -> None:
    torch.manual_seed(0)
    model: Any = zoo.build(name)
    for text in (*ghn.known()[:8], *(text for kind in ghn.UNSEEN for text in ghn.unseen(kind)[:4])):
        of = ghn.candidate(text)
        network = build(parse(text), channels=3, side=ghn.SIDE)
        weights = model(of.graph).weights
        assert {k: v.shape for k, v in weights.items()} == {k: v.shape for k, v in network.named_parameters()}, text
        logits = ghn.predicted(model, of, IMAGES)
        assert logits.shape == (4, 10)
        assert torch.isfinite(logits).all(), text


def test_no_network_is_both_known_and_unseen() -> None:
    known = ghn.known()
    assert len(set(known)) == len(known) == ghn.KNOWN
    kinds = {kind: ghn.unseen(kind) for kind in ghn.UNSEEN}
    for kind, texts in kinds.items():
        assert len(set(texts)) == ghn.UNSEEN[kind].count
        assert set(texts).isdisjoint(known)
        assert texts == ghn.unseen(kind), "the same every time"

    def widest(text: str) -> int:
        return max(p.shape[0] for p in ghn.candidate(text).network.parameters() if p.ndim == 4)

    def layers(text: str) -> int:
        return sum(p.ndim == 4 for p in ghn.candidate(text).network.parameters())

    assert max(map(widest, known[:100])) == 48
    assert min(map(widest, kinds["wider"])) > 48
    assert max(map(layers, known[:100])) == 6
    assert min(map(layers, kinds["deeper"])) > 6


def test_tiles_are_copied_where_a_network_is_wider_and_products_are_not() -> None:
    torch.manual_seed(0)
    graph = ghn.candidate("conv3x3-32 bn relu conv3x3-64 bn relu gap fc10").graph
    copied: dict[str, list[float]] = {name: ghn.copied_rows(zoo.build(name)(graph).weights) for name in ghn.SHIPPED}
    assert copied == {"ghn3_micro": [1 - 16 / 32, 1 - 16 / 64], "logah_micro": [0.0, 0.0]}


@pytest.mark.parametrize("name", ghn.SHIPPED)
def test_a_graph_hypernetwork_goes_on_exactly_where_it_stopped(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ghn, "UNSEEN", {"unseen": ghn.Unseen(1, 2)})
    pictures = random_pictures(64)
    recipe = Recipe(epochs=2, batch=16, side=16, matrix_rate=0.0, other_rate=3e-3, weight_decay=0.01)

    def trained(runs: str) -> Any:
        torch.manual_seed(0)
        model: Any = zoo.build(name)
        ghn.learn(name, model, pictures, random_pictures(16), recipe, tmp_path / runs, 2)
        return model

    whole = trained("whole")
    with monkeypatch.context() as during:
        during.setattr(ghn, "augmented", cut_after(3, ghn.augmented))
        with pytest.raises(PowerCut):
            trained("cut")
    assert_equal(trained("cut"), whole)


def test_a_graph_hypernetwork_ships_with_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive_folder(tmp_path / "cifar-10-batches-py", **{name: pickle.dumps(batch(name, 32), protocol=2) for name in BATCHES})
    few = {kind: ghn.Unseen(2, about.seed, about.layers, about.widths) for kind, about in ghn.UNSEEN.items()}
    for key, value in (("UNSEEN", few), ("STEPS", 1), ("RACERS", 2), ("RACE", (0, 1)), ("RATES", (0.01,))):
        monkeypatch.setattr(ghn, key, value)
    places = ("--data-dir", tmp_path, "--epochs", 1, "--out", tmp_path / "out", "--runs", tmp_path / "runs")
    ran(ghn, monkeypatch, *places, "logah_micro_s1", "logah_micro")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["logah_micro.json", "logah_micro.safetensors"]
    card = json.loads((tmp_path / "out" / "logah_micro.json").read_text(encoding="utf-8"))
    assert [field for field in FIELDS if field not in card] == []
    assert card["command"] == "python -m training.ghn --data-dir DIR --epochs 1 --seed 0 logah_micro"
    assert card["seeds"] == [0, 1]
    found = card["measured"]
    assert found["test_accuracy"] == card["test_accuracy"] == found["unseen"]["predicted"]["mean"]
    assert found["copied_rows"] == 0
    race = found["race"]["0.01"]
    assert race["steps"] == [0, 1]
    assert len(race["random"]) == len(race["predicted"]) == 2
    gain = race["predicted"][1]["mean"] - race["random"][1]["mean"]
    assert race["gain"]["mean"] == pytest.approx(gain, abs=2e-4)


@pytest.mark.parametrize("module", [neumeta, ghn])
def test_the_command_explains_itself(module: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        ran(module, monkeypatch, "--help")
    assert end.value.code == 0
    told = capsys.readouterr().out
    for word in ("--data-dir", "--epochs", "--seed", "--runs", "--out", "--limit", "--threads", *module.NAMES):
        assert word in told


# ------------------------------------------------------------------------------------------------------------ what ships

LEAST = {"neumeta_digits": 0.85, "neumeta_cifar": 0.8, "ghn3_micro": 0.3, "logah_micro": 0.3}  # three times chance for untrained nets


def shipped(name: str) -> Any:
    absent = not (zoo.WEIGHTS / f"{name}.safetensors").exists()
    return pytest.param(name, marks=pytest.mark.xfail(absent, reason="not trained yet", strict=False))


@pytest.mark.parametrize("name", [shipped(name) for name in LEAST])
def test_hypernetworks_ship_with_a_card_that_says_where_they_come_from(name: str) -> None:
    path = zoo.WEIGHTS / f"{name}.safetensors"
    card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert [field for field in FIELDS if not card.get(field)] == []
    assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert card["bytes"] == path.stat().st_size < 10 * 2**20
    assert LEAST[name] <= card["test_accuracy"] <= 1
    assert card["model"] == json.loads(json.dumps(zoo.ENTRIES[name].describe()))
    assert card["command"].startswith(f"python -m training.{'neumeta' if 'neumeta' in name else 'ghn'} ")
    assert datetime.date.fromisoformat(card["date"]) <= datetime.date.today()
    loaded = zoo.load(name)
    assert loaded.trained
    assert sum(p.numel() for p in loaded.model.parameters()) == card["parameters"]


@pytest.mark.parametrize("name", [shipped("neumeta_digits")])
def test_what_the_card_of_the_digits_says_is_what_the_family_does(name: str) -> None:
    card = json.loads((zoo.WEIGHTS / f"{name}.json").read_text(encoding="utf-8"))
    family: Any = zoo.load(name).model
    x, y = digits(False)
    for width, told in zip(card["measured"]["widths"], card["measured"]["one_sample"], strict=True):
        assert (family(x, width).argmax(1) == y).float().mean().item() == pytest.approx(told, abs=0.005), width
