"""Claims on a tiny set of pictures: finite figures, honest verdicts; and the parts that they measure with."""

from __future__ import annotations

import io
import math
import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from explorer import measuring, runtime
from explorer.exhibit import BadRequest, Claim
from explorer.exhibits import catalogue
from explorer.exhibits.hypernetworks import claims as hypernetwork_claims
from explorer.exhibits.image_graphs import claims
from explorer.measuring import Masked, graphs, homophily_adjusted, masked_pictures, raw_features, spread, together, without_mixing
from models import zoo
from models.image_graphs.constructors import AxialDynamic, DilatedKNN

# Two exhibits may give a claim of their own the same key; one claim may stand on two cards, and is measured once.
NAMED = {f"{slug}-{claim.key}": claim for slug, exhibit in catalogue()[0].items() for claim in exhibit.claims}
NAMED = {name: claim for name, claim in NAMED.items() if name == next(n for n, c in NAMED.items() if c is claim)}
CLAIMS = {claim.key: claim for claim in NAMED.values()}


def scene(seed: int, side: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """A bright disc on a dark ramp with noise, and its mask (1 ground, 2 disc)."""
    random = np.random.default_rng(seed)
    row, col = np.mgrid[:side, :side] / side
    disc = (row - random.uniform(0.4, 0.6)) ** 2 + (col - random.uniform(0.4, 0.6)) ** 2 < 0.08
    grey = np.where(disc, 0.8, 0.1 + 0.3 * row)[..., None] + random.normal(0, 0.05, (side, side, 3))
    return (255 * grey.clip(0, 1)).astype(np.uint8), np.where(disc, 2, 1).astype(np.uint8)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("masks")
    for seed in range(2):
        pixels, mask = scene(seed)
        Image.fromarray(pixels).save(folder / f"scene{seed}.png")
        Image.fromarray(mask).save(folder / f"scene{seed}.mask.png")
    return folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One timed run instead of many, short trainings."""

    def once(function, *_, clock=time.process_time, **__) -> float:
        start = clock()
        function()
        return clock() - start

    monkeypatch.setattr(measuring, "best_seconds", once)
    monkeypatch.setattr(hypernetwork_claims, "LESSON_STEPS", 12)
    monkeypatch.setattr(hypernetwork_claims, "RACE_STEPS", 12)
    measuring.operator_seconds.cache_clear()
    yield
    measuring.operator_seconds.cache_clear()


@pytest.mark.parametrize("claim", NAMED.values(), ids=NAMED.keys())
def test_a_claim_gives_a_figure_and_a_verdict(claim: Claim, data_dir: Path, quick: None) -> None:
    found = claim.measure(data_dir)
    assert found.holds is None or isinstance(found.holds, (bool, np.bool_))
    assert re.search(r"\d|not trained", found.figure)
    assert not re.search(r"\b(nan|inf)\b", f"{found.figure} {found.detail}")
    assert found.detail


def test_what_is_exact_holds() -> None:
    assert CLAIMS["odd-and-even-grids"].measure(None).holds


def test_the_fixed_graph_is_the_same_for_every_picture(data_dir: Path, quick: None) -> None:
    assert CLAIMS["fixed-and-free"].measure(data_dir).figure.startswith("identical for 2 pictures")


def test_random_weights_judge_nothing(data_dir: Path, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    untrained = {
        name: zoo.Loaded(name, zoo.build(name).eval(), zoo.ENTRIES[name].preparation) for name in ("pvig_micro", "greedyvig_micro")
    }
    monkeypatch.setattr(runtime, "model", untrained.__getitem__)
    for key in ("depth-follows-objects", "mixing-prevents-smoothing", "semantics"):
        found = CLAIMS[key].measure(data_dir)
        assert found.holds is None
        assert claims.UNTRAINED in found.detail


# ---------------------------------------------------------------------------------------------------------- the parts


def test_shipped_pictures_have_masks() -> None:
    found = masked_pictures()
    assert len(found) >= 4
    for picture in found:
        assert picture.pixels.shape[:2] == picture.mask.shape
        assert (picture.labels((8, 8)) >= 0).any()


def test_pairs_are_read(data_dir: Path) -> None:
    found = masked_pictures(data_dir)
    assert [picture.name for picture in found] == ["scene0", "scene1"]
    assert set(np.unique(found[0].mask)) == {1, 2}


def packed(folder: Path) -> Path:
    """A panoptic pack of two wide pictures."""
    arrays: dict[str, np.ndarray] = {}
    for name, index in (("image", 0), ("mask", 1)):
        encoded = []
        for seed in range(2):
            stream = io.BytesIO()
            wide = np.concatenate([scene(seed)[index]] * 2, 1)
            Image.fromarray(wide).save(stream, "PNG")
            encoded.append(np.frombuffer(stream.getvalue(), np.uint8))
        arrays[name] = np.concatenate(encoded)
        arrays[f"{name}_offset"] = np.cumsum([0, *map(len, encoded)])
    np.savez(folder / "coco_panoptic.npz", **arrays)  # type: ignore[arg-type]
    return folder


def test_a_panoptic_pack_is_read(tmp_path: Path) -> None:
    (tmp_path / "coco_panoptic").mkdir()
    packed(tmp_path / "coco_panoptic")
    for folder in (tmp_path, tmp_path / "coco_panoptic"):
        found = masked_pictures(folder)
        assert [picture.pixels.shape for picture in found] == [(64, 64, 3)] * 2
        assert found[0].mask.shape == (64, 64)


def test_folders_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="expected coco_panoptic"):
        masked_pictures(tmp_path / "none")
    (tmp_path / "coco_panoptic.npz").write_bytes(b"damaged")
    with pytest.raises(BadRequest, match="panoptic pack"):
        masked_pictures(tmp_path)
    (tmp_path / "coco_panoptic.npz").unlink()
    Image.fromarray(scene(0)[1]).save(tmp_path / "alone.mask.png")
    with pytest.raises(BadRequest, match="no picture alone"):
        masked_pictures(tmp_path)
    Image.fromarray(scene(0)[0]).save(tmp_path / "alone.png")
    Image.fromarray(scene(0)[0]).save(tmp_path / "alone.mask.png")
    with pytest.raises(BadRequest, match="one segment number per pixel"):
        masked_pictures(tmp_path)


def test_spread_counts_what_has_a_value() -> None:
    found = spread([1.0, 3.0, float("nan")])
    assert (found.mean, found.count) == (2.0, 2)
    assert found.sd == pytest.approx(math.sqrt(2))
    assert str(found) == "2.000 ± 1.414"
    assert str(spread([1.0])) == "1.000"
    assert str(spread([])) == "not measurable"
    assert together(np.array([[1, 2], [np.nan, 3]])).tolist() == [[1, 2]]


def test_raw_features_are_standardised_and_find_the_disc() -> None:
    pixels, mask = scene(3, 98)
    x = raw_features(pixels, (14, 14))
    assert x.shape == (1, 8, 14, 14)
    assert torch.allclose(x.mean((2, 3)), torch.zeros(1, 8), atol=1e-5)
    assert torch.allclose(x.std((2, 3), correction=0), torch.ones(1, 8), atol=1e-4)
    assert homophily_adjusted(DilatedKNN(9)(x), Masked("disc", pixels, mask)) > 0.5
    flat = raw_features(np.full((28, 28, 3), 90, np.uint8), (14, 14))
    assert torch.isfinite(flat).all()
    assert math.isnan(homophily_adjusted(AxialDynamic(2)(flat), Masked("flat", pixels, mask)))


def test_without_mixing_a_block_is_the_patch_plus_its_relative() -> None:
    model = zoo.build("pvig_micro").eval()
    bare = without_mixing(model)
    x = torch.randn(1, 32, 16, 16)
    block = bare.backbone[0]
    with torch.inference_mode():
        out = block(x)
        pooled = torch.nn.functional.avg_pool2d(x, 2)
        graph = block[0].graph_conv.constructor(x, pooled, block[0].relative_pos)
        best = pooled.flatten(2)[0].T[graph.neighbours()[0][0]].amax(1)
    assert torch.allclose(out[0].flatten(1).T, best, atol=1e-5)  # x + max(key − x) = max key
    assert isinstance(model.backbone[0][0].fc1, torch.nn.Sequential), "the model itself stays as it was"


def test_graphs_come_in_order() -> None:
    loaded = runtime.model("greedyvig_micro")
    found = graphs(loaded.model, loaded.prepare, scene(0)[0])
    assert [graph.grid for graph in found] == [(16, 16), (8, 8), (4, 4)]
