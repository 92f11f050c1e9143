"""Training of the detector: composed scenes, assignment, losses, average precision, and what its card says."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from models import zoo
from models.hypergraphs.detection import BINS
from models.hypergraphs.yolov13 import TUNNELS
from models.structures import Detections
from training import detection
from training.average_precision import area, average_precision
from training.composed import CLASSES, OF_FASHION, Stock, compose, read_photos, stocks
from training.detector_loss import assign, complete_iou, detector_loss, distance_loss, intersection_over_union

# -------------------------------------------------------------------------------------------------------------- scenes


def garment(label: int) -> np.ndarray:
    """A grey block whose size tells its class."""
    tile = np.zeros((28, 28), dtype=np.uint8)
    tile[2:26, 2 : 10 + 2 * label] = 180
    return tile


@pytest.fixture(scope="module")
def stock() -> Stock:
    generator = np.random.default_rng(0)
    labels = np.arange(len(CLASSES)).repeat(3)
    photos = [generator.integers(0, 256, (60 + 10 * i, 90, 3), dtype=np.uint8) for i in range(3)]
    return Stock(np.stack([garment(label) for label in labels]), labels, photos)


def test_boxes_enclose_the_pixels_of_their_objects(stock: Stock) -> None:
    several = 0
    for number in range(40):
        scene = compose(stock, 0, number, 96)
        several += len(scene.labels) > 1
        assert scene.pixels.shape == (3, 96, 96)
        assert scene.pixels.dtype == torch.uint8
        assert len(scene.boxes) == len(scene.labels) == len(scene.masks)
        assert (scene.masks.sum(0) <= 1).all(), "the pixel of a hidden object is the one of the object in front"
        for box, mask in zip(scene.boxes.int().tolist(), scene.masks, strict=True):
            left, top, right, bottom = box
            inside = torch.zeros_like(mask)
            inside[top:bottom, left:right] = True
            assert mask.any()
            assert not (mask & ~inside).any()
            assert 0 <= left < right <= 96
            assert 0 <= top < bottom <= 96
    assert several > 10


def test_the_box_of_an_object_that_nothing_covers_is_tight(stock: Stock) -> None:
    for number in range(20):
        scene = compose(stock, 1, number, 96, most=1)
        for box, mask in zip(scene.boxes.int().tolist(), scene.masks, strict=True):
            rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
            assert box == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def test_a_scene_is_painted_where_its_masks_say() -> None:
    """On a black photograph, with garments that no texture darkens to black, what is bright is an object."""
    black = Stock(np.stack([garment(c) for c in range(len(CLASSES))]), np.arange(len(CLASSES)), [np.zeros((64, 64, 3), np.uint8)])
    checked = 0
    for number in range(30):
        scene = compose(black, 2, number, 96)
        bright = scene.pixels.amax(0) > scene.pixels.amax(0).min() + 60
        if bright.any():
            checked += 1
            assert (bright & scene.masks.any(0)).sum() > 0.9 * bright.sum()
    assert checked > 10


def test_a_scene_follows_from_its_numbers(stock: Stock) -> None:
    one, again, other = compose(stock, 3, 5, 64), compose(stock, 3, 5, 64), compose(stock, 3, 6, 64)
    assert torch.equal(one.pixels, again.pixels)
    assert torch.equal(one.boxes, again.boxes)
    assert not torch.equal(one.pixels, other.pixels)


def material(folder: Path, form: str) -> Path:
    """Fashion-MNIST of 14 training and 7 test garments, in either form, and a folder of six photographs."""
    generator = np.random.default_rng(1)
    fashion = np.array([OF_FASHION.index(label) for label in range(len(CLASSES))])
    labels = {"train": fashion.repeat(2), "test": fashion}
    tiles = {split: np.stack([garment(OF_FASHION[label]) for label in chosen]) for split, chosen in labels.items()}
    folder.mkdir(exist_ok=True)
    if form == "mosaic":
        for split, pictures in tiles.items():
            rows = pictures.reshape(-1, 7, 28, 28).swapaxes(1, 2).reshape(-1, 7 * 28)
            Image.fromarray(rows).save(folder / f"{split}.png")
        np.savez(folder / "labels.npz", train_y=labels["train"], test_y=labels["test"])
    else:
        for split, stem in (("train", "train"), ("test", "t10k")):
            (folder / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(16) + tiles[split].tobytes()))
            (folder / f"{stem}-labels-idx1-ubyte").write_bytes(bytes(8) + labels[split].astype(np.uint8).tobytes())
    (folder / "photos" / "inner").mkdir(parents=True, exist_ok=True)
    for i in range(6):
        Image.fromarray(generator.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(folder / "photos" / "inner" / f"{i}.png")
    return folder


@pytest.mark.parametrize("form", ["mosaic", "idx"])
def test_material_is_read_and_parted(form: str, tmp_path: Path) -> None:
    folder = material(tmp_path / "data", form)
    train, test = stocks(folder, [folder / "photos"])
    assert train.tiles.shape == (14, 28, 28)
    assert train.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]
    assert test.labels.tolist() == list(range(7))
    assert (test.tiles[3] == garment(3)).all()
    assert len(train.photos) == 4
    assert len(test.photos) == 2
    assert not any((a == b).all() for a in train.photos for b in test.photos)


def test_photographs_in_a_pack_are_read_in_order(tmp_path: Path) -> None:
    files = []
    for value in (10, 200):
        Image.new("RGB", (40, 30), (value, 0, 0)).save(tmp_path / "one.png")
        files.append((tmp_path / "one.png").read_bytes())
    offset = np.cumsum([0, *map(len, files)])
    np.savez(tmp_path / "pack.npz", image=np.frombuffer(b"".join(files), np.uint8), image_offset=offset)
    assert [photo[0, 0, 0] for photo in read_photos(tmp_path / "pack.npz")] == [10, 200]


def test_missing_material_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"train.png and test.png with labels.npz, or train-images-idx3-ubyte"):
        stocks(tmp_path, [tmp_path])
    with pytest.raises(FileNotFoundError, match="no photographs"):
        read_photos(tmp_path)


# ---------------------------------------------------------------------------------------------------------- assignment


def test_the_cell_that_fits_class_and_box_answers_most() -> None:
    """One object of class 1, two cells inside it, one outside. Overlaps 1, 0.5 and 1; scores 0.25, 1 and 1.

    t = √0.25 · 1 = 0.5 and √1 · 0.5⁶ = 1/64; the largest becomes the largest overlap, 1: targets 1 and 1/32.
    """
    centres = torch.tensor([[4.0, 4.0], [6.0, 6.0], [20.0, 20.0]])
    box = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    predicted = torch.stack([box[0], torch.tensor([0.0, 0.0, 10.0, 5.0]), box[0]])[None]
    scores = torch.tensor([[[0.9, 0.25], [0.9, 1.0], [0.9, 1.0]]])
    found = assign(scores, predicted, centres, box[None], torch.tensor([[1]]), torch.tensor([[True]]))
    assert found.answers.tolist() == [[True, True, False]]
    assert found.targets[0, :, 0].tolist() == [0, 0, 0]
    assert found.targets[0, :, 1].tolist() == pytest.approx([1, 1 / 32, 0])


def test_a_cell_in_two_objects_answers_for_the_one_that_it_meets_best() -> None:
    centres = torch.tensor([[5.0, 5.0]])
    boxes = torch.tensor([[[0.0, 0.0, 10.0, 10.0], [4.0, 4.0, 8.0, 8.0]]])
    found = assign(
        torch.full((1, 1, 3), 0.5),
        torch.tensor([[[4.0, 4.0, 8.0, 7.0]]]),
        centres,
        boxes,
        torch.tensor([[0, 2]]),
        torch.tensor([[True, True]]),
    )
    assert found.owner.tolist() == [[1]]
    assert found.targets[0, 0].tolist() == pytest.approx([0, 0, 0.75])


def test_at_most_ten_cells_answer_for_an_object_and_filling_gets_none() -> None:
    centres = torch.rand(40, 2) * 8 + 1
    boxes = torch.tensor([[[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 10.0]]])
    predicted = torch.tensor([0.0, 0.0, 10.0, 9.0]).expand(1, 40, 4) + torch.rand(1, 40, 4)
    found = assign(torch.rand(1, 40, 3), predicted, centres, boxes, torch.tensor([[1, 2]]), torch.tensor([[True, False]]))
    assert found.answers.sum() == 10
    assert (found.owner[found.answers] == 0).all()
    assert found.targets[..., 2].sum() == 0
    assert found.targets.amax() <= 1


def test_without_an_object_no_cell_answers() -> None:
    found = assign(
        torch.rand(2, 5, 3), torch.rand(2, 5, 4), torch.rand(5, 2), torch.zeros(2, 0, 4), torch.zeros(2, 0).long(), torch.zeros(2, 0).bool()
    )
    assert not found.answers.any()
    assert found.targets.sum() == 0


# -------------------------------------------------------------------------------------------------------------- losses


def test_overlap_of_two_squares_by_hand() -> None:
    a, b = torch.tensor([0.0, 0.0, 2.0, 2.0]), torch.tensor([1.0, 1.0, 3.0, 3.0])
    assert intersection_over_union(a, b) == pytest.approx(1 / 7)
    # Centres √2 apart, the hull's diagonal √18, aspect ratios alike.
    assert complete_iou(a, b) == pytest.approx(1 / 7 - 2 / 18)
    assert complete_iou(a, a) == pytest.approx(1)
    wide, tall = torch.tensor([0.0, 1.0, 4.0, 3.0]), torch.tensor([1.0, 0.0, 3.0, 4.0])
    v = 4 / np.pi**2 * (np.arctan(2) - np.arctan(0.5)) ** 2
    assert complete_iou(wide, tall) == pytest.approx(1 / 3 - v / (2 / 3 + v) * v)


def test_the_distance_loss_is_the_cross_entropy_with_two_bins() -> None:
    bins = torch.randn(1, 4, BINS)
    log = bins.log_softmax(2)[0]
    wanted = torch.tensor([[2.25, 0.0, 7.0, 40.0]])  # the last is beyond the bins and counts as the farthest
    by_hand = [0.75 * log[0, 2] + 0.25 * log[0, 3], log[1, 0], log[2, 7], 0.01 * log[3, 14] + 0.99 * log[3, 15]]
    assert distance_loss(bins, wanted).item() == pytest.approx(-sum(by_hand).item() / 4, rel=1e-5)


def answer(boxes: Tensor, labels: Tensor, side: int, classes: int) -> list[Tensor]:
    """Raw maps that are right: in every cell inside an object its class and its distances, elsewhere nothing."""
    maps = []
    for stride in (8, 16, 32):
        n = side // stride
        raw = torch.full((1, 4 * BINS + classes, n, n), -12.0)
        for y in range(n):
            for x in range(n):
                centre = torch.tensor([(x + 0.5) * stride, (y + 0.5) * stride])
                for box, label in zip(boxes, labels, strict=True):
                    sides = torch.cat([centre - box[:2], box[2:] - centre]) / stride
                    if sides.min() > 0 and sides.max() < BINS - 1:
                        low = sides.floor().long()
                        for i in range(4):
                            raw[0, i * BINS + low[i], y, x] = torch.log(1 - (sides[i] - low[i]) + 1e-6)
                            raw[0, i * BINS + low[i] + 1, y, x] = torch.log(sides[i] - low[i] + 1e-6)
                        raw[0, 4 * BINS + label, y, x] = 12.0
        maps.append(raw)
    return maps


def test_right_answers_cost_less_than_wrong_ones_and_the_loss_can_be_learned_from() -> None:
    boxes, labels = torch.tensor([[8.0, 8.0, 56.0, 40.0]]), torch.tensor([2])
    given = (boxes[None], labels[None], torch.tensor([[True]]))
    right = answer(boxes, labels, 64, 3)
    wrong_class = answer(boxes, torch.tensor([0]), 64, 3)
    wrong_box = answer(boxes + torch.tensor([8.0, 8.0, 8.0, 8.0]), labels, 64, 3)
    costs = [detector_loss(raw, *given).item() for raw in (right, wrong_class, wrong_box)]
    assert costs[0] < 0.5 * min(costs[1:])
    raw = [(0.1 * torch.randn_like(x)).requires_grad_() for x in right]
    optimiser = torch.optim.Adam(raw, lr=0.1)
    first = detector_loss(raw, *given)
    for _ in range(60):
        optimiser.zero_grad()
        loss = detector_loss(raw, *given)
        loss.backward()
        optimiser.step()
    assert loss < 0.3 * first


def test_a_batch_without_objects_teaches_silence() -> None:
    raw = [torch.zeros(1, 4 * BINS + 3, n, n, requires_grad=True) for n in (8, 4, 2)]
    loss = detector_loss(raw, torch.zeros(1, 0, 4), torch.zeros(1, 0).long(), torch.zeros(1, 0).bool())
    loss.backward()
    assert torch.isfinite(loss)
    assert all((x.grad[:, 4 * BINS :] > 0).all() for x in raw if x.grad is not None)
    assert raw[0].grad is not None


# ---------------------------------------------------------------------------------------------------- average precision


def detections(boxes: list[list[float]], scores: list[float], classes: list[int]) -> Detections:
    n = len(boxes)
    return Detections(torch.tensor(boxes).reshape(n, 4), torch.tensor(scores), torch.tensor(classes).long(), torch.arange(n), (100, 100))


def test_average_precision_by_hand() -> None:
    """Class 0: right, wrong, right of 3 objects: precision 1 at recall 1/3, 2/3 at 2/3; area (1 + 2/3) / 3. Class 1: all found."""
    here, there, far = [0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 40.0, 40.0], [60.0, 60.0, 80.0, 80.0]
    found = [
        detections([here, here, there], [0.9, 0.8, 0.3], [0, 0, 1]),  # the second is a double, and so wrong
        detections([there], [0.5], [0]),
    ]
    boxes = [torch.tensor([here, there]), torch.tensor([there, far])]
    labels = [torch.tensor([0, 1]), torch.tensor([0, 0])]
    result = average_precision(found, boxes, labels, 3)
    assert result.per_class[:2] == pytest.approx((5 / 9, 1))
    assert np.isnan(result.per_class[2])
    assert result.mean == pytest.approx(7 / 9)
    assert result.objects == (3, 1, 0)


def test_a_box_that_overlaps_too_little_is_wrong() -> None:
    boxes, labels = [torch.tensor([[0.0, 0.0, 10.0, 10.0]])], [torch.tensor([0])]
    for right, expected in ((10.0, 1.0), (5.1, 1.0), (4.9, 0.0)):
        found = [detections([[0.0, 0.0, right, 10.0]], [0.5], [0])]
        assert average_precision(found, boxes, labels, 1).mean == expected


def test_average_precision_at_its_ends() -> None:
    boxes, labels = [torch.tensor([[0.0, 0.0, 10.0, 10.0]])], [torch.tensor([0])]
    assert average_precision([detections([], [], [])], boxes, labels, 1).mean == 0
    assert average_precision([detections([], [], []), detections([[0.0, 0.0, 1.0, 1.0]], [0.1], [0])], boxes * 2, labels * 2, 1).mean == 0
    with pytest.raises(ValueError, match="no object"):
        average_precision([detections([], [], [])], [torch.zeros(0, 4)], [torch.zeros(0).long()], 1)
    with pytest.raises(ValueError, match="one of each per picture"):
        average_precision([], boxes, labels, 1)


def test_the_area_agrees_with_an_independent_library() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(0)
    right = generator.random(200) < np.linspace(0.9, 0.1, 200)
    plain = metrics.average_precision_score(right, -np.arange(200))
    assert area(right, int(right.sum())) >= plain  # the curve is made monotonous from above
    assert area(right, int(right.sum())) == pytest.approx(plain, abs=0.02)
    assert area(right, 2 * int(right.sum())) == pytest.approx(area(right, int(right.sum())) / 2)


# ----------------------------------------------------------------------------------------------------------- the command


def asked(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["detection", *map(str, arguments)])
    detection.main()


def test_the_detector_of_the_zoo_knows_the_classes_of_the_scenes() -> None:
    model = zoo.build(detection.NAME)
    assert model.model[-1].nc == len(CLASSES)
    assert sum(p.numel() for p in model.parameters()) < 3_000_000


def test_in_the_control_the_hypergraph_stays_shut(stock: Stock) -> None:
    torch.manual_seed(0)
    model = zoo.build(detection.NAME)
    detection.shut(model)
    generator = torch.Generator().manual_seed(0)
    (loss,) = detection._epoch(model.train(), stock, 1, 2, generator)
    loss.backward()
    taught = {name.split(".")[1] for name, p in model.named_parameters() if p.grad is not None}
    assert taught.isdisjoint({"9", "10", "11", "22", *map(str, TUNNELS)})
    assert {"0", "8", "30", "32"} <= taught


def test_a_run_of_the_detector_leaves_weights_and_a_card_that_knows_the_control(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = material(tmp_path / "data", "idx")
    for name, value in (("SCENES", 96), ("TEST_SCENES", 4), ("LOOKED_AT", 2), ("SIDES", (64,)), ("TEST_SIDE", 64)):
        monkeypatch.setattr(detection, name, value)
    out = tmp_path / "out"
    places = ("--data-dir", folder, "--photos", folder / "photos", "--epochs", 1, "--threads", 1, "--out", out, "--runs", tmp_path / "runs")
    asked(monkeypatch, *places, "--without-hyperace")
    assert not out.exists()
    asked(monkeypatch, *places)
    assert "yolov13_micro epoch 1/1: test ap50" in capsys.readouterr().out
    card = json.loads((out / "yolov13_micro.json").read_text(encoding="utf-8"))
    assert card["labels"] == list(CLASSES)
    assert card["command"] == "python -m training.detection --data-dir DIR --photos DIR --epochs 1 --seed 0"
    assert card["measured"]["scenes"] == 4
    assert len(card["measured"]["gates"]) == len(card["measured"]["loudness"]) == 7
    assert any(card["measured"]["gates"])
    assert card["without_hyperace"]["gates"] == [0] * 7
    assert card["without_hyperace"]["test_ap50"] == card["without_hyperace"]["ap50_gates_shut"]
    monkeypatch.setattr(zoo, "WEIGHTS", out)
    loaded = zoo.load(detection.NAME)
    assert loaded.trained
    assert loaded.labels == CLASSES


def test_a_rehearsal_of_the_detector_leaves_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = material(tmp_path / "data", "mosaic")
    for name, value in (("LOOKED_AT", 2), ("SIDES", (64,)), ("TEST_SIDE", 64)):
        monkeypatch.setattr(detection, name, value)
    places = ("--data-dir", folder, "--photos", folder / "photos", "--epochs", 1, "--threads", 1)
    asked(monkeypatch, *places, "--limit", 32, "--out", tmp_path / "out", "--runs", tmp_path / "runs")
    assert not (tmp_path / "out").exists()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["yolov13_micro.pt"]
