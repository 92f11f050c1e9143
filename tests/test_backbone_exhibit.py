"""A model of the visitor's own: on show only where it is named, every rule on every layer, plain words when it cannot be loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from explorer import exhibits, payload, service
from explorer.exhibit import BadRequest
from explorer.exhibits.image_graphs import backbone as own
from models.structures import PatchGraph


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny ViT with 6 × 6 patches in the published format."""
    transformers = pytest.importorskip("transformers")
    path = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 48}
    transformers.ViTModel(transformers.ViTConfig(image_size=48, patch_size=8, **sizes)).save_pretrained(path)
    (path / "preprocessor_config.json").write_text('{"size": {"height": 64, "width": 64}, "do_center_crop": true, "crop_size": 48}')
    return path


@pytest.fixture
def named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(own.VARIABLE, str(folder))
    exhibits.catalogue.cache_clear()
    yield
    monkeypatch.undo()
    exhibits.catalogue.cache_clear()
    own.backbone.cache_clear()


def test_it_is_on_show_only_where_a_model_is_named(named: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "backbone" in exhibits.catalogue()[0]
    monkeypatch.delenv(own.VARIABLE)
    exhibits.catalogue.cache_clear()
    assert "backbone" not in exhibits.catalogue()[0]
    with pytest.raises(BadRequest, match="there is no exhibit named 'backbone'"):
        service.exhibit("backbone")


@pytest.mark.parametrize("rule", list(own.RULES))
def test_every_rule_on_every_layer(named: None, rule: str) -> None:
    controls = own.BackboneControls.parse({"rule": rule})
    scene = service.compute("backbone", service.example("bus"), controls)
    assert [layer.name for layer in scene.layers] == ["embedding", "block 1", "block 2", "block 3", "output"]
    graphs = [layer.structures["graph"] for layer in scene.layers]
    assert all(isinstance(graph, PatchGraph) and graph.grid == (6, 6) for graph in graphs)
    assert payload.build(own.EXHIBIT, scene, controls, image="bus")


def test_the_grid_lies_over_what_the_model_saw(named: None) -> None:
    scene = service.compute("backbone", service.example("bus"), own.BackboneControls())
    whole = service.example("bus").shown
    assert scene.seen.shape == (48, 48, 3)
    assert abs(scene.shown.shape[0] / whole.shape[0] - 48 / 64) < 0.01  # the crop, at display resolution
    small = torch.nn.functional.interpolate(torch.from_numpy(scene.shown).permute(2, 0, 1)[None].float(), (48, 48), mode="area")
    assert (small[0].permute(1, 2, 0) - torch.from_numpy(scene.seen).float()).abs().mean() < 6


def test_what_cannot_be_loaded_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(own.VARIABLE, str(tmp_path))
    with pytest.raises(ValueError, match=r"neither a local folder with a config\.json"):
        own.run(service.example("bus").shown, own.BackboneControls())


def test_the_deepest_layer_is_always_shown() -> None:
    names = [f"block {i}" for i in range(40)]
    found = own.chosen(names)
    assert len(found) == own.MOST_LAYERS
    assert (found[0], found[-1]) == ("block 0", "block 39")
    assert own.chosen(names[:3]) == names[:3]
