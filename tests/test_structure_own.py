"""A vision model of the visitor's own in the arena: a frozen network from disk, a readout that learns, and plain words before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from explorer import payload
from explorer.exhibit import NO_PICTURE, BadRequest
from explorer.exhibits.graph_structure import contestants, graphabstract, own_eyes
from explorer.exhibits.image_graphs.backbone import backbone
from explorer.views.arrays import unpack
from models.graph_structure.rasteriser import as_input
from models.graph_structure.readout import FrozenLooker
from models.image_graphs.patch_features import load_backbone

CONTROLS = {"source": "a family", "family": "bottleneck", "nodes": 20}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny ViT with 6 × 6 patches in the published format."""
    transformers = pytest.importorskip("transformers")
    path = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    transformers.ViTModel(transformers.ViTConfig(image_size=48, patch_size=8, **sizes)).save_pretrained(path)
    (path / "preprocessor_config.json").write_text('{"size": {"height": 48, "width": 48}, "image_mean": [0.4, 0.5, 0.6]}')
    return path


@pytest.fixture
def named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(own_eyes.VARIABLE, str(folder))
    own_eyes._FITTED.clear()
    yield
    own_eyes._FITTED.clear()
    backbone.cache_clear()


def scene(**values: Any) -> Any:
    controls = graphabstract.GraphAbstractControls.parse({**CONTROLS, **values})
    return graphabstract.run(NO_PICTURE, controls, (), lambda grid: None), controls


def test_a_drawing_is_prepared_as_the_folder_tells(folder: Path) -> None:
    looker = FrozenLooker(load_backbone(folder), 3)
    picture = torch.randint(0, 256, (48, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected = looker.backbone(looker.backbone.preprocess(picture.numpy()))["output"].flatten(2)
    found = looker.features(as_input(picture[None]))
    torch.testing.assert_close(found[:, :32], expected.mean(2), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found[:, 32:], expected.std(2, unbiased=False), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("classes", [1, 3])
def test_a_readout_finds_what_the_features_hold_and_the_backbone_stays(folder: Path, classes: int) -> None:
    looker = FrozenLooker(load_backbone(folder), classes).train()
    assert not looker.backbone.training
    before = {key: value.clone() for key, value in looker.backbone.state_dict().items()}
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(120, 64, generator=generator)
    y = x[:, 0] * 2 + 5 if classes == 1 else x[:, :3].argmax(1).double()
    looker.fit(x[:90], y[:90])
    found = looker.read(x[90:]).detach()
    if classes == 1:
        assert (found[:, 0] - y[90:]).abs().mean() < 0.4 * (y[90:] - y[:90].mean()).abs().mean()
    else:
        assert (found.argmax(1) == y[90:]).double().mean() > 0.7
    again = FrozenLooker(looker.backbone, classes)
    again.fit(x[:90], y[:90])
    torch.testing.assert_close(again.read(x[90:]), looker.read(x[90:]))
    assert all(torch.equal(value, before[key]) for key, value in looker.backbone.state_dict().items())
    assert not any(parameter.requires_grad for parameter in looker.parameters())
    with pytest.raises(ValueError, match="at least 2"):
        looker.fit(x[:1], y[:1])


def test_nothing_is_there_where_no_model_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(own_eyes.VARIABLE, raising=False)
    found, controls = scene()
    assert not any("own" in one for one in found.extras["contestants"])
    with pytest.raises(BadRequest, match="no model is named"):
        next(graphabstract.fit_own(found, controls, {}))


def test_it_answers_only_once_its_readout_is_fitted(named: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_eyes, "ROUNDS", 2)
    found, controls = scene()
    (mine,) = (one for one in found.extras["contestants"] if "own" in one)
    assert not mine["trained"]
    assert own_eyes.NAME not in found.extras["answers"]
    with pytest.raises(BadRequest, match="does not look at the drawing on show"):
        graphabstract.explain(found, controls, {"contestant": "own", "method": "knock-out"})
    frames = list(graphabstract.fit_own(found, controls, {}))
    json.dumps(frames, allow_nan=False)
    assert [frame["graphs"] for frame in frames] == sorted(frame["graphs"] for frame in frames)
    assert frames[0]["scores"] is None
    assert frames[-1]["fitted"]
    assert frames[-1]["graphs"] == frames[-1]["of"] == 24
    assert set(frames[-1]["scores"]) == set(own_eyes.TESTS)
    now, _ = scene()
    (mine,) = (one for one in now.extras["contestants"] if "own" in one)
    assert mine["bands"] == frames[-1]["scores"]
    assert sum(now.extras["answers"]["own"]) == pytest.approx(1, abs=1e-5)
    assert payload.build(graphabstract.EXHIBIT, now, controls, image="")
    for method in ("knock-out", "integrated gradients", "occlusion"):
        explained = graphabstract.explain(now, controls, {"contestant": "own", "method": method})
        assert unpack(explained["edges"]).shape == (now.layers[0].structures["graph"].num_edges,)
    with pytest.raises(BadRequest, match="grad-cam"):
        graphabstract.explain(now, controls, {"contestant": "own", "method": "grad-cam"})
    other, _ = scene(task="bridges")
    assert "own" not in other.extras["answers"], "another question needs a readout of its own"


def test_a_slow_model_is_fitted_on_what_there_was_time_for(named: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_eyes, "SECONDS", 0.0)
    frames = list(graphabstract.fit_own(*scene(task="bridges"), {}))
    assert frames[-1]["graphs"] == 12 < frames[-1]["of"]
    assert own_eyes.fitted("bridges") is not None
    looked = contestants.looked("bridges", contestants.drawings(*_one()))
    assert len(looked["own"]) == 1


def _one() -> Any:
    found, _ = scene(task="bridges")
    graph = found.layers[0].structures["graph"]
    return graph, graph.positions["drawing"]


def test_stopping_early_leaves_nothing_behind(named: None) -> None:
    stream = graphabstract.fit_own(*scene(), {})
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert own_eyes.fitted("topology") is None


def test_a_model_that_cannot_be_loaded_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(own_eyes.VARIABLE, str(tmp_path))
    with pytest.raises(ValueError, match=r"neither a local folder with a config\.json"):
        list(graphabstract.fit_own(*scene(), {}))


def test_only_the_models_name_is_told_not_where_it_lies(named: None, folder: Path) -> None:
    found, _ = scene()
    assert str(folder) not in json.dumps(found.extras["contestants"])
