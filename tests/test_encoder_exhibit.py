"""An encoder of the visitor's own in the tokens wing: on show only where it is named, chosen as HiPrune chooses, refused in plain words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from explorer import exhibits, payload, runtime, service
from explorer.exhibit import BadRequest
from explorer.exhibits.tokens import encoder as own
from models.structures import TokenSelection


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny ViT with 6 × 6 patches in the published format."""
    transformers = pytest.importorskip("transformers")
    path = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 48}
    transformers.ViTModel(transformers.ViTConfig(image_size=48, patch_size=8, **sizes)).save_pretrained(path)
    (path / "preprocessor_config.json").write_text('{"size": {"height": 48, "width": 48}}')
    return path


@pytest.fixture
def named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(own.VARIABLE, str(folder))
    exhibits.catalogue.cache_clear()
    yield
    monkeypatch.undo()
    exhibits.catalogue.cache_clear()
    own.encoder.cache_clear()


def test_it_is_on_show_only_where_a_model_is_named(named: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"backbone", "encoder"} <= set(exhibits.catalogue()[0])
    monkeypatch.delenv(own.VARIABLE)
    exhibits.catalogue.cache_clear()
    assert "encoder" not in exhibits.catalogue()[0]


@pytest.mark.parametrize("settings", [{}, {"budget": 12, "alpha": 0.5}, {"object_layer": 1, "deep_layer": 64, "head": 64, "budget": 9}])
def test_it_keeps_what_was_asked(named: None, settings: dict) -> None:
    controls = own.EncoderControls(**settings)
    scene = service.compute("encoder", service.example("bus"), controls)
    assert [layer.name for layer in scene.layers] == ["layer 1", "layer 2", "layer 3"]
    selection = scene.layers[0].structures["selection"]
    assert isinstance(selection, TokenSelection)
    assert int(selection.mask.sum()) == min(controls.budget, 36)
    assert bool(scene.notes) == (controls.budget > 36)
    assert scene.prediction == ()
    text = payload.build(own.EXHIBIT, scene, controls, image="bus")
    assert [layer["kind"] for layer in json.loads(text)["layers"]] == ["tokens"] * 3


def test_whoever_waits_is_told_layer_by_layer(named: None) -> None:
    seen: list[dict | None] = []
    ask = {"question": "progress", "token": "a page"}
    assert service.look_up(ask) is None
    told = runtime.reached

    def counted(done: int, of: int) -> None:
        told(done, of)
        seen.append(service.look_up(ask))

    with pytest.MonkeyPatch.context() as patch, runtime.STEPS.kept("a page"):
        patch.setattr(runtime, "reached", counted)
        service.compute("encoder", service.example("bus"), own.EncoderControls())
    assert seen == [{"done": layer, "of": 3} for layer in (1, 2, 3)]
    assert service.look_up(ask) is None, "what is over is forgotten"


def test_runs_without_a_name_are_not_counted(named: None) -> None:
    for name in (None, "", 7, "x" * 129):
        with runtime.STEPS.kept(name):
            runtime.reached(1, 2)
            assert runtime.STEPS.get(name) is None
    steps = runtime.Steps(most=2)
    with steps.kept("a"), steps.kept("b"), steps.kept("c"):
        runtime.reached(1, 2)
        assert (steps.get("a"), steps.get("c")) == (None, (1, 2)), "the innermost name is told"
    runtime.reached(1, 2)


def test_its_story_can_be_told(named: None) -> None:
    assert 5 <= len(own.EXHIBIT.story()) <= 9
    assert {step["highlight"].partition(":")[2] or own.EXHIBIT.views[0] for step in own.EXHIBIT.story()} <= set(own.EXHIBIT.views)


def test_what_cannot_be_looked_at_is_refused(named: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "swin"}')
    monkeypatch.setenv(own.VARIABLE, str(tmp_path))
    with pytest.raises(BadRequest, match="every patch to every patch"):
        service.compute("encoder", service.example("bus"), own.EncoderControls())
