"""An encoder of the visitor's own in the tokens wing: on show only where it is named, chosen as HiPrune chooses, refused in plain words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from explorer import exhibits, payload, runtime, service
from explorer.exhibit import BadRequest
from explorer.exhibits.tokens import encoder as own
from explorer.views.arrays import unpack
from models.structures import TokenSelection
from tests.models.test_tokens import PUBLISHED, write


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


@pytest.fixture
def shown_as(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., dict]]:
    """Puts a tiny published model on show and gives what its page draws: {grid, layers, extras, measures, notes}."""

    def show(name: str, picture: np.ndarray | None = None, processor: dict | None = None, **controls: Any) -> dict:
        published = PUBLISHED[name] if processor is None else replace(PUBLISHED[name], processor=processor)
        own.encoder.cache_clear()
        monkeypatch.setenv(own.VARIABLE, str(write(published, tmp_path / str(len(list(tmp_path.iterdir()))))))
        source = service.example("bus") if picture is None else service.visitors(picture)
        scene = service.compute("encoder", source, own.EncoderControls(**controls))
        found = json.loads(payload.build(own.EXHIBIT, scene, own.EncoderControls(**controls), image="bus"))
        kept = scene.layers[0].structures["selection"]
        assert isinstance(kept, TokenSelection)
        return {"layers": found["layers"], "extras": found["extras"]["tokens"], "measures": scene.measures["layer 1"], "kept": kept}

    exhibits.catalogue.cache_clear()
    monkeypatch.setenv(own.VARIABLE, "set below")
    yield show
    monkeypatch.undo()
    exhibits.catalogue.cache_clear()
    own.encoder.cache_clear()


@pytest.mark.parametrize("most", [36, 47])
def test_the_page_shows_no_padding_of_a_picture_of_free_size(shown_as: Callable[..., dict], most: int) -> None:
    found = shown_as("siglip2", processor={"max_num_patches": most, "patch_size": 8}, budget=12)  # the processor pads to `most`
    for layer in found["layers"]:
        assert layer["grid"] == [6, 6]
        assert layer["tokens"]["prefix"] == 0
        assert layer["tokens"]["uniform"] == pytest.approx(1 / 36)
        assert unpack(layer["tokens"]["score"]).sum() == pytest.approx(1, abs=1e-5), "no attention is lost to padding"
    assert found["extras"]["classRow"] is None, "there is no class token, so none is drawn or compared"
    assert sorted(unpack(found["extras"]["random"]).tolist()) == list(range(36))
    assert int(found["kept"].mask.sum()) == 12


@pytest.mark.parametrize("name", ["siglip", "dinov2 with registers", "deit"])
def test_tokens_before_the_patches_are_never_patches(shown_as: Callable[..., dict], name: str) -> None:
    found = shown_as(name, budget=36)
    assert found["layers"][0]["grid"] == [6, 6]
    assert found["layers"][0]["tokens"]["prefix"] == PUBLISHED[name].prefix
    assert found["kept"].kept().tolist() == list(range(36))
    assert (found["extras"]["classRow"] is None) == (PUBLISHED[name].prefix == 0)
    assert len(found["extras"]["rollouts"]) == 6


def test_bars_around_a_picture_that_are_kept_are_named(shown_as: Callable[..., dict]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (448, 448, 3), dtype=np.uint8)
    picture[:165] = picture[-165:] = 0
    found = shown_as("vit", picture, budget=36)
    padding = next(m for m in found["measures"] if m.key == "padding_kept")
    assert padding.value == pytest.approx(24 / 36)
    assert padding.level in ("watch", "bad")
    plain = shown_as("vit", np.random.default_rng(0).integers(0, 256, (448, 448, 3), dtype=np.uint8), budget=36)
    assert next(m for m in plain["measures"] if m.key == "padding_kept").value in (0, None)


def test_windows_are_said_and_not_chosen_from(shown_as: Callable[..., dict]) -> None:
    found = shown_as("qwen", budget=9)
    assert [layer["tokens"]["windowed"] for layer in found["layers"]] == [True, False, True, True, False]
    assert [("windows" in layer["label"]) for layer in found["layers"]] == [True, False, True, True, False]
    assert found["extras"]["rollouts"] == []
    assert found["kept"].layers == (2, 5)
    with pytest.raises(BadRequest, match="inside windows"):
        shown_as("qwen", object_layer=3)


def test_its_story_can_be_told(named: None) -> None:
    assert 5 <= len(own.EXHIBIT.story()) <= 9
    assert {step["highlight"].partition(":")[2] or own.EXHIBIT.views[0] for step in own.EXHIBIT.story()} <= set(own.EXHIBIT.views)


def test_what_cannot_be_looked_at_is_refused(named: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "swin"}')
    monkeypatch.setenv(own.VARIABLE, str(tmp_path))
    with pytest.raises(BadRequest, match="every patch to every patch"):
        service.compute("encoder", service.example("bus"), own.EncoderControls())
