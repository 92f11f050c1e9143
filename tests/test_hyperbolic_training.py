"""Training of the hyperbolic wing: data as published, runs that go on where they stopped, cards that say what was found."""

from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models import zoo
from models.capture import capture
from models.checkpoints import CheckpointError
from models.hyperbolic import ball, embeddings, hierarchy, projections
from models.hyperbolic.disk import ClassDisk, adapters, fan
from models.hyperbolic.stored import stored
from models.structures import PoincarePoints
from training import disk, hyperbolic, wordnet
from training import hierarchy as embedding
from training.data import Pictures, cifar100
from training.loop import Recipe

ROOT = Path(__file__).resolve().parents[1]
REQUIRED = (
    "name",
    "model",
    "labels",
    "input",
    "data",
    "data_licence",
    "licence",
    "test_split",
    "seeds",
    "command",
    "parameters",
    "sha256",
    "date",
)


def random_pictures(count: int, classes: int = 10, seed: int = 0) -> Pictures:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return Pictures(pixels, torch.randint(0, classes, (count,), generator=generator))


def asked(monkeypatch: pytest.MonkeyPatch, module: ModuleType, *arguments: object) -> None:
    """`python -m training.… …` in this process."""
    monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, arguments)])
    module.main()


# ------------------------------------------------------------------------------------------------------------ pictures


def archive(folder: Path, names: dict[str, int], key: bytes, classes: int) -> Path:
    """Batches as A. Krizhevsky wrote them: {file name: number of pictures}."""
    folder.mkdir(parents=True)
    for number, (name, count) in enumerate(names.items()):
        generator = np.random.default_rng(number)
        content = {key: generator.integers(0, classes, count).tolist(), b"data": generator.integers(0, 256, (count, 3072), dtype=np.uint8)}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    return folder


def cifar10_folder(place: Path) -> Path:
    archive(place / "cifar-10-batches-py", {**{f"data_batch_{i}": 32 for i in range(1, 6)}, "test_batch": 40}, b"labels", 10)
    return place


def cifar100_folder(place: Path) -> Path:
    archive(place / "cifar-100-python", {"train": 160, "test": 40}, b"fine_labels", 100)
    return place


@pytest.mark.parametrize("form", ["the folder itself", "a folder around it", "the archive"])
def test_the_published_cifar100_is_read_in_order(form: str, tmp_path: Path) -> None:
    place = inner = archive(tmp_path / "cifar-100-python", {"train": 6, "test": 3}, b"fine_labels", 100)
    if form == "a folder around it":
        place = tmp_path
    if form == "the archive":
        place = tmp_path / "packed"
        place.mkdir()
        with tarfile.open(place / "cifar-100-python.tar.gz", "w:gz") as tar:
            tar.add(inner, "cifar-100-python")
    for found, name in zip(cifar100(place), ("train", "test"), strict=True):
        written = pickle.loads((inner / name).read_bytes())
        np.testing.assert_array_equal(found.pixels.numpy().reshape(len(found.labels), -1), written[b"data"])
        assert found.labels.tolist() == written[b"fine_labels"]


def test_a_pack_of_other_classes_is_refused(tmp_path: Path) -> None:
    for i in range(5):
        Image.new("RGB", (64, 32), (i, 0, 0)).save(tmp_path / f"train_{i}.jpg")
    Image.new("RGB", (64, 64)).save(tmp_path / "test.jpg")
    labels = {"train_y": np.arange(10, dtype=np.uint8), "test_y": np.array([99, 0, 5, 7], dtype=np.uint8)}
    np.savez(tmp_path / "labels.npz", classes=[f"c{i}" for i in range(100)], **labels)
    train_set, test_set = cifar100(tmp_path)
    assert train_set.labels.tolist() == list(range(10))
    assert test_set.pixels.shape == (4, 3, 32, 32)
    np.savez(tmp_path / "labels.npz", classes=[f"c{i}" for i in range(10)], **labels)
    with pytest.raises(ValueError, match="10 classes; CIFAR-100 has 100"):
        cifar100(tmp_path)
    with pytest.raises(FileNotFoundError, match="expected cifar-100-python/"):
        cifar100(tmp_path / "nowhere")


def test_a_crop_is_a_window_of_its_own_picture_maybe_mirrored() -> None:
    row, column = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    pixels = torch.stack([torch.stack([row, column, torch.full_like(row, i)]) for i in range(40)]).to(torch.uint8)
    found = hyperbolic.cropped(pixels, torch.Generator().manual_seed(0))
    assert found.shape == (40, 3, 24, 24)
    assert found.dtype == torch.uint8
    step = found.int()[..., 1:] - found.int()[..., :-1]
    assert (found.int()[:, 0, 1:] - found.int()[:, 0, :-1] == 1).all()
    assert set(step[:, 1].flatten().tolist()) == {-1, 1}
    assert all(len(set(step[i, 1].flatten().tolist())) == 1 for i in range(40))
    assert found[:, 2].float().mean((1, 2)).tolist() == list(range(40))
    assert len({tuple(corner) for corner in found[:, :2, 0, 0].tolist()}) > 20
    values = hyperbolic.plain(pixels, 32)
    assert values.min() == -1
    torch.testing.assert_close((values + 1) * 127.5, pixels.float())
    with pytest.raises(ValueError, match="32 pixels wide; 24 are needed"):
        hyperbolic.plain(pixels, 24)


# ------------------------------------------------------------------------------------------------------ residual nets


class PowerCut(Exception):
    pass


def small(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return zoo.build("poincare_resnet_micro", channels=(4, 4, 8))


def test_a_run_goes_on_exactly_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_set, test_set = random_pictures(64), random_pictures(20, seed=1)
    recipe = Recipe(epochs=2, batch=32, side=32)
    whole, resumed = small(), small(seed=7)
    first = hyperbolic.trained("small", whole, train_set, test_set, recipe, tmp_path / "whole")

    original, left = hyperbolic.cropped, [3]

    def failing(pixels: Tensor, generator: torch.Generator) -> Tensor:
        left[0] -= 1
        if left[0] < 0:
            raise PowerCut
        return original(pixels, generator)

    with monkeypatch.context() as patch:
        patch.setattr(hyperbolic, "cropped", failing)
        with pytest.raises(PowerCut):  # in the second epoch
            hyperbolic.trained("small", small(), train_set, test_set, recipe, tmp_path / "cut")
    second = hyperbolic.trained("small", resumed, train_set, test_set, recipe, tmp_path / "cut")
    assert first["history"] == second["history"]
    assert [row["epoch"] for row in second["history"]] == [1, 2]
    for (name, one), two in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, two), name
    started = small().state_dict()
    assert any("running_mean" in name for name in started), "running statistics are part of the run"
    moved = [name for name, value in whole.state_dict().items() if not torch.equal(value, started[name])]
    assert set(started) - set(moved) == {name for name in started if name.endswith("isp_c")}


def test_norms_are_noted_after_every_layer_and_tell_the_two_starts_apart() -> None:
    test_set = random_pictures(4)
    found = {}
    for name in ("poincare_resnet_micro", *hyperbolic.CONTROLS):
        model = hyperbolic.network(name, 0)
        found[name] = hyperbolic.profile(model, test_set)
        layers = hyperbolic.measured(model, test_set)["layers"]
        assert len(found[name]["norms"]) == len(layers) == len(set(layers))
        assert layers[0] == "conv"
        assert layers[-1] == "group3.0"
    identity, normal = (found[f"poincare_resnet_micro{kind}_without_norm"]["norms"] for kind in ("", "_normal"))
    assert len(identity) == len(normal)
    assert normal[-1] < 0.1 * identity[-1], "the start of HNN++ loses the norms faster"
    assert hyperbolic.profile(hyperbolic.network("euclidean_resnet_micro", 0), test_set) == {}


def test_twin_and_network_are_of_one_size() -> None:
    ball_, flat = (zoo.build(name) for name in hyperbolic.SHIPPED)
    counts = [sum(p.numel() for p in model.parameters()) for model in (ball_, flat)]
    assert abs(counts[0] - counts[1]) < 0.01 * counts[1]
    assert counts[0] < 100_000
    arguments = [{**zoo.ENTRIES[name].arguments} for name in hyperbolic.SHIPPED]
    assert arguments[0] == arguments[1]


def test_a_picture_alone_is_named_as_in_a_batch() -> None:
    found = hyperbolic.measured(small(), random_pictures(12))
    assert found["pictures"] == 12
    assert found["alone_or_together"] < 1e-4
    assert found["radius"] > 0


@pytest.mark.parametrize("seed", range(3))
def test_separation_counts_pairs(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    values, right = torch.rand(40, generator=generator), torch.rand(40, generator=generator) < 0.6
    expected = (values[right][:, None] > values[~right]).double().mean().item()
    assert hyperbolic.separation(values, right) == pytest.approx(expected, abs=1e-4)
    assert hyperbolic.separation(values, torch.ones(40, dtype=torch.bool)) is None


def test_the_card_of_the_ball_tells_of_its_twin_and_its_controls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(zoo.ENTRIES, "poincare_resnet_micro", _smaller("poincare_resnet_micro"))
    monkeypatch.setitem(zoo.ENTRIES, "euclidean_resnet_micro", _smaller("euclidean_resnet_micro"))
    places = ("--data-dir", cifar10_folder(tmp_path), "--epochs", 1, "--runs", tmp_path / "runs", "--out", tmp_path / "out")
    asked(monkeypatch, hyperbolic, *places, "--limit", 128, "--runs", tmp_path / "rehearsal", "euclidean_resnet_micro")
    assert not (tmp_path / "out").exists()
    names = ("poincare_resnet_micro_normal", "poincare_resnet_micro", "euclidean_resnet_micro")  # in whatever order they finish
    asked(monkeypatch, hyperbolic, *places, *names)
    assert sorted(path.stem for path in (tmp_path / "out").glob("*.safetensors")) == sorted(hyperbolic.SHIPPED)
    for name in hyperbolic.SHIPPED:
        card = complete(tmp_path / "out" / f"{name}.json")
        assert card["command"] == f"python -m training.hyperbolic --data-dir DIR --epochs 1 --seed 0 {name}"
        assert card["input"] == {"side": 32, "native": 32, "mean": [0.5] * 3, "std": [0.5] * 3}
        assert "enlarged" not in card["data"]
        assert card["recipe"]["crop"] == 24
    card = json.loads((tmp_path / "out" / "poincare_resnet_micro.json").read_text(encoding="utf-8"))
    assert set(card["compared"]) == {"poincare_resnet_micro_normal", "euclidean_resnet_micro"}
    assert len(card["compared"]["poincare_resnet_micro_normal"]["history"][0]["norms"]) == len(card["measured"]["layers"])
    assert len(card["measured"]["start"]["norms"]) == len(card["measured"]["layers"])
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path / "out")
    assert zoo.load("poincare_resnet_micro").trained


def _smaller(name: str) -> zoo.Entry:
    entry = zoo.ENTRIES[name]
    return zoo.Entry(entry.builder, {**entry.arguments, "channels": (4, 4, 8)}, entry.preparation)


def complete(path: Path) -> dict[str, Any]:
    """A card, after its fields were looked at."""
    card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert [key for key in REQUIRED if not card.get(key)] == []
    weights = path.with_suffix(".safetensors").read_bytes()
    assert card["sha256"] == hashlib.sha256(weights).hexdigest()
    assert card["bytes"] == len(weights) < 10 * 2**20
    assert card["command"].endswith(card["name"])
    return card


# ------------------------------------------------------------------------------------------------- pictures in the disk


def test_a_fan_is_a_tree_in_the_ruler_of_the_disk() -> None:
    tree = hierarchy.cifar100()
    points = PoincarePoints(ball.exp0(fan(tree, 5.0), 1.0), 1.0, tree.names, tree.edges, tree.depth)
    assert points.radius().tolist() == pytest.approx((2.5 * tree.depth).tolist(), abs=1e-9)
    d, leaves = points.distances(), (tree.depth == 2).nonzero()[:, 0]
    kin = tree.parent[leaves][:, None] == tree.parent[leaves]
    among = d[leaves][:, leaves]
    nearest_stranger = torch.where(kin, torch.inf, among).amin(1)
    nearest_kin = torch.where(kin & ~torch.eye(100, dtype=torch.bool), among, torch.inf).amin(1)
    assert (nearest_kin < nearest_stranger).all()
    apart = nearest_kin.max() - nearest_kin.min()
    assert apart < 1e-9, "leaves are evenly spread"
    assert torch.equal(d[leaves][:, (tree.depth == 1).nonzero()[:, 0]].argmin(1) + 1, tree.parent[leaves]), "nearest to its own superclass"


def test_only_trees_become_fans() -> None:
    diamond = hierarchy.parse("a, top\nb, top\nleaf, a\nleaf, b")
    with pytest.raises(ValueError, match="two parents"):
        fan(diamond, 5.0)
    with pytest.raises(ValueError, match="radius is nan"):
        fan(hierarchy.balanced(2, 2), float("nan"))


@pytest.mark.parametrize("geometry", ["poincare", "euclidean"])
def test_a_picture_at_a_class_is_named_so(geometry: str) -> None:
    model = ClassDisk((4, 4, 8), geometry=geometry)  # type: ignore[arg-type]
    assert model.scores(model.nodes[model.leaf]).argmax(1).tolist() == list(range(100))
    assert list(model.labels) == sorted(model.labels)
    assert model.labels[:3] == ("apple", "aquarium fish", "baby")
    assert model.hierarchy.names[int(model.superclass[1])] == "fish"
    scores = model(torch.zeros(2, 3, 32, 32).bfloat16().float())
    scores.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    near = 1e-3 * torch.randn(5, 2)
    ruler = ClassDisk((4, 4, 8), radius=2e-3, geometry=geometry)  # type: ignore[arg-type]
    torch.testing.assert_close(ruler.distances(near), 2 * (near[:, None] - ruler.nodes).norm(dim=-1), rtol=1e-3, atol=1e-7)
    with pytest.raises(ValueError, match='there are "poincare" and "euclidean"'):
        ClassDisk(geometry="flat")  # type: ignore[arg-type]


def test_capture_sees_where_the_pictures_lie() -> None:
    model = ClassDisk((4, 4, 8)).eval()
    with torch.inference_mode(), capture(model, adapters=adapters()) as trace:
        logits = model(torch.rand(3, 3, 32, 32) * 2 - 1)
    (points,) = trace.of(PoincarePoints).values()
    to_classes = ball.pairwise_distance(points.points, model.tree().points[model.leaf], 1.0)
    torch.testing.assert_close(-to_classes.float(), logits, rtol=1e-4, atol=1e-4)
    assert model.tree().labels[0] == "all classes"


def test_the_disk_ships_with_the_figures_of_the_plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(zoo.ENTRIES, disk.NAME, _smaller(disk.NAME))
    places = ("--data-dir", cifar100_folder(tmp_path), "--epochs", 1, "--runs", tmp_path / "runs", "--out", tmp_path / "out")
    asked(monkeypatch, disk, *places)
    card = complete(tmp_path / "out" / f"{disk.NAME}.json")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{disk.NAME}.json", f"{disk.NAME}.safetensors"]
    assert len(card["labels"]) == 100
    assert 0 <= card["test_accuracy"] == card["measured"]["test_accuracy"] <= card["measured"]["superclass_accuracy"] <= 1
    assert card["in_the_plane"]["test_accuracy"] >= 0
    assert "CIFAR-100" in card["data"]
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path / "out")
    loaded = zoo.load(disk.NAME)
    assert loaded.trained
    assert loaded.labels == loaded.model.labels


# ---------------------------------------------------------------------------------------------------------- hierarchies

TAXONOMY = {"mammal": (), "dog": ("mammal",), "cat": ("mammal",), "puppy": ("dog", "pet"), "pet": ("mammal",), "seal": ("mammal",)}


def written(form: str, folder: Path) -> Path:
    """The taxonomy in one of the forms that people have."""
    names = list(TAXONOMY)
    pairs = [(child, parent) for child, parents in TAXONOMY.items() for parent in parents]
    if form == "mammals.npz":
        np.savez(folder / form, name=names, edges=[(names.index(child), names.index(parent)) for child, parent in pairs])
    elif form == "mammal_closure.csv":
        closure = [*pairs, ("puppy", "mammal"), ("mammal", "mammal")]
        (folder / form).write_text("id1,id2,weight\n" + "\n".join(f"{a},{b},1" for a, b in closure))
    else:
        lines = ["  1 This software and database is being provided to you, the LICENSEE", "00000001 03 n 01 entity 0 000 | all there is"]
        for number, (name, parents) in enumerate(TAXONOMY.items(), 2):
            above = [f"@ {names.index(parent) + 2:08d} n 0000" for parent in parents] or ["@ 00000001 n 0000"]
            lines.append(
                f"{number:08d} 05 n 02 {name} 0 synonym_of_{name} 1 {len(above) + 1:03d} {' '.join(above)} ~ 00000099 n 0000 | a {name}"
            )
        lines.append("00000050 06 n 01 rock 0 001 @ 00000001 n 0000 | no mammal")
        (folder / form).parent.mkdir(exist_ok=True)
        (folder / form).write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize("form", ["mammals.npz", "mammal_closure.csv", "data.noun", "dict/data.noun"])
def test_the_mammals_are_read_from_every_usual_file(form: str, tmp_path: Path) -> None:
    place = written(form, tmp_path)
    for given in (place, place / form):
        found = wordnet.mammals(given)
        pairs = {(found.names[child], found.names[parent]) for parent, child in found.edges.T.tolist()}
        assert pairs == {(child, parent) for child, parents in TAXONOMY.items() for parent in parents}
        assert found.names[found.root] == "mammal"
        assert len(found.closure) == 7
        assert not found.virtual_root


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected one of mammals\.npz"):
        wordnet.mammals(tmp_path)
    with pytest.raises(hierarchy.HierarchyError, match="id1"):
        wordnet.from_closure("child,parent\na,b\n")
    with pytest.raises(hierarchy.HierarchyError, match="'mammal'"):
        wordnet.below("00000001 03 n 01 entity 0 000 | all there is", "mammal")


def test_senses_of_one_name_are_numbered() -> None:
    lines = ["00000001 05 n 01 mammal 0 000 | a", "00000002 05 n 01 seal 0 001 @ 00000001 n 0000 | b"]
    lines.append("00000003 05 n 02 seal 1 sea_dog 0 001 @ 00000002 n 0000 | c")
    assert wordnet.below("\n".join(lines), "mammal").names == ("mammal", "seal", "seal (2)")


TREE = hierarchy.balanced(2, 3)


def test_training_embeds_a_tree_of_fifteen_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = embeddings.Settings(dimension=2, rate=0.3, epochs=60, seed=0)
    start = next(embeddings.train(TREE, settings))
    found, points = embedding.embedded("tree", TREE, settings, tmp_path)
    assert len(TREE) == 15
    assert embeddings.judged(start, TREE).average_precision < 0.6
    assert found["map"] > 0.9
    assert found["mean_rank"] < 1.5
    assert found["norm_by_depth"] == sorted(found["norm_by_depth"])
    assert found["losses"][-1] == found["loss"]
    assert len(found["losses"]) <= embedding.CURVE
    assert points.dtype == torch.float64

    def again(*_: object) -> None:
        raise AssertionError("a finished embedding was trained again")

    with monkeypatch.context() as patch:
        patch.setattr(embedding, "train", again)
        kept, same = embedding.embedded("tree", TREE, settings, tmp_path)
        assert kept == found
        assert torch.equal(points, same)
        with pytest.raises(AssertionError, match="trained again"):
            embedding.embedded("tree", hierarchy.balanced(3, 2), settings, tmp_path)
    fresh, repeated = embedding.embedded("tree", TREE, settings, tmp_path / "elsewhere")
    assert torch.equal(points, repeated)
    assert fresh["map"] == found["map"]


def test_only_the_nodes_near_the_root_are_rehearsed() -> None:
    few = embedding.top(TREE, 7)
    assert len(few) == 7
    assert few.depth.max() == 2
    assert few.edges.shape[1] == 6


def test_the_points_ship_with_names_edges_and_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "DIMENSIONS", (2, 3))
    monkeypatch.setattr(embedding, "WAYS", {way: projections.WAYS[way] for way in ("horopca", "tangent")})  # UMAP compiles for a minute
    places = ("--data-dir", written("mammals.npz", tmp_path), "--epochs", 4, "--out", tmp_path / "out", "--runs", tmp_path / "runs")
    asked(monkeypatch, embedding, *places, "--limit", 4, "mammals_embeddings")
    assert not (tmp_path / "out").exists()
    asked(monkeypatch, embedding, *places, "mammals_embeddings")
    card = complete(tmp_path / "out" / "mammals_embeddings.json")
    assert len(card["measured"]) == 2 * 2 * (2 + 2), "geometries × dimensions × (rates at the first seed + further seeds)"
    for key in ("poincare_2", "poincare_3", "euclidean_2", "euclidean_3"):
        rows = [row for row in card["measured"] if f"{row['geometry']}_{row['dimension']}" == key]
        kept = [row for row in rows if row["kept"]]
        assert sorted(row["seed"] for row in kept) == [0, 1, 2]
        assert len({row["rate"] for row in kept}) == 1
        assert max(row["map"] for row in rows if row["seed"] == 0) == next(row["map"] for row in kept if row["seed"] == 0)
        assert card["test_map"][key] == pytest.approx(sum(row["map"] for row in kept) / 3, abs=1e-4)
    found = stored("mammals_embeddings", tmp_path / "out")
    assert found.hierarchy.names == tuple(card["labels"])
    assert torch.equal(found.hierarchy.closure, wordnet.mammals(tmp_path).closure)
    assert set(found.points) == {("poincare", 2), ("poincare", 3), ("euclidean", 2), ("euclidean", 3)}
    assert set(found.maps) == {("horopca", 3), ("tangent", 3)}
    flat = projections.tangent_pca(found.in_ball(3))
    torch.testing.assert_close(found.on_a_map("tangent", 3).tangents(), flat.tangents(), atol=1e-5, rtol=1e-5)
    points = found.in_ball(2)
    points.require_inside()
    frame = embeddings.Frame(4, 0.0, points.points, "poincare")
    row = next(row for row in card["measured"] if (row["geometry"], row["dimension"], row["seed"], row["kept"]) == ("poincare", 2, 0, True))
    assert embeddings.judged(frame, found.hierarchy).average_precision == pytest.approx(row["map"], abs=1e-4), (
        "the shipped points are the judged"
    )


def test_points_of_another_hierarchy_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"python -m training\.hierarchy"):
        stored("mammals_embeddings", tmp_path)
    save_file({"poincare_2": torch.zeros(4, 2, dtype=torch.float64)}, tmp_path / "x.safetensors")
    (tmp_path / "x.json").write_text(json.dumps({"labels": ["a", "b"], "input": {"edges": [[0, 1]]}}))
    with pytest.raises(CheckpointError, match="does not fit its card"):
        stored("x", tmp_path)


# ------------------------------------------------------------------------------------------------------ what is shipped


@pytest.mark.parametrize(("script", "names"), [("hyperbolic", hyperbolic.NAMES), ("disk", disk.NAMES), ("hierarchy", embedding.NAMES)])
def test_the_commands_explain_themselves(script: str, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"training.{script}", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    for word in ("--data-dir", "--epochs", "--seed", "--runs", "--out", "--threads", "--limit", *names):
        assert word in done.stdout


def shipped(name: str) -> Any:
    """One weight file's test, which may fail only while it is not there."""
    absent = not (zoo.WEIGHTS / f"{name}.safetensors").exists()
    return pytest.param(name, marks=pytest.mark.xfail(absent, reason="not trained yet", strict=False))


@pytest.mark.parametrize("name", [shipped(name) for name in (*hyperbolic.SHIPPED, disk.NAME)])
def test_networks_ship_with_a_card_that_says_where_they_come_from(name: str) -> None:
    card = complete(zoo.WEIGHTS / f"{name}.json")
    assert card["model"] == json.loads(json.dumps(zoo.ENTRIES[name].describe()))
    loaded = zoo.load(name)
    assert loaded.trained
    assert loaded.labels == tuple(card["labels"])
    assert sum(p.numel() for p in loaded.model.parameters()) == card["parameters"] <= 500_000
    floor: dict[str, float] = {"poincare_resnet_micro": 0.6, "euclidean_resnet_micro": 0.7, disk.NAME: 0.15}
    assert floor[name] <= card["test_accuracy"] <= 1


@pytest.mark.parametrize("name", [shipped(name) for name in embedding.NAMES])
def test_embeddings_ship_and_the_ball_wins_in_every_dimension(name: str) -> None:
    card = complete(zoo.WEIGHTS / f"{name}.json")
    for dimension in embedding.DIMENSIONS:
        assert card["test_map"][f"poincare_{dimension}"] > card["test_map"][f"euclidean_{dimension}"]
    assert card["test_map"]["poincare_2"] >= (0.85 if name == "cifar100_embeddings" else 0.3)
    assert len(card["seeds"]) == 3
    points = load_file(zoo.WEIGHTS / f"{name}.safetensors")
    assert {key: tensor.shape for key, tensor in points.items()} == {
        f"{geometry}_{dimension}": (len(card["labels"]), dimension)
        for geometry in embedding.GEOMETRIES
        for dimension in embedding.DIMENSIONS
    } | {f"map_{way}_{dimension}": (len(card["labels"]), 2) for way in projections.WAYS for dimension in embedding.DIMENSIONS[1:]}
    stored(name).in_ball(2).require_inside()
    stored(name).on_a_map("umap", 10).require_inside()
