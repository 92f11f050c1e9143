"""Patch features of transformers models: tiny random models of every family, written to disk as they are published."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.image_graphs.constructors import (
    AxialDynamic,
    AxialStatic,
    DilatedKNN,
    Grid8,
    MutualKNN,
    Radius,
    RandomRegular,
)
from models.image_graphs.patch_features import FAMILIES, Backbone, Preprocessing, load_backbone, patch_graph
from models.structures import NonFiniteError

transformers = pytest.importorskip("transformers")

PLAIN = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "patch_size": 8}
VISION = {**PLAIN, "image_size": 48}
TEXT = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 32,
    "max_position_embeddings": 8,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
SWIN = {"patch_size": 4, "embed_dim": 8, "depths": [1, 2], "num_heads": [1, 2], "window_size": 3}
PVT = {
    "image_size": 64,
    "depths": [1, 2, 1, 1],
    "hidden_sizes": [8, 8, 16, 16],
    "num_attention_heads": [1, 1, 2, 2],
    "sequence_reduction_ratios": [4, 2, 1, 1],
    "mlp_ratios": [2, 2, 2, 2],
}
BLOCKS = ("embedding", "block 1", "block 2", "output")
SWIN_LAYERS = ("embedding", "stage 1 block 1", "stage 2 block 1", "stage 2 block 2", "output")
PVT_LAYERS = ("stage 1 block 1", "stage 2 block 1", "stage 2 block 2", "stage 3 block 1", "stage 4 block 1", "output")


@dataclass(frozen=True)
class Published:
    """A model as a hub folder holds it, and what we expect of it."""

    model: str
    config: str
    settings: dict[str, Any]
    size: tuple[int, int]
    special: int = 0
    layers: tuple[str, ...] = BLOCKS
    grids: tuple[tuple[int, int], ...] = ((6, 6),) * 4


def square(model: str, config: str, special: int, **more: Any) -> Published:
    return Published(model, config, {**VISION, **more}, (48, 48), special)


def two_towers(model: str, config: str, special: int) -> Published:
    return Published(model, config, {"vision_config": VISION, "text_config": TEXT, "projection_dim": 8}, (48, 48), special)


PUBLISHED = {
    "vit": square("ViTForImageClassification", "ViTConfig", 1),
    "vit wide": Published("ViTModel", "ViTConfig", {**PLAIN, "image_size": [32, 48]}, (32, 48), 1, grids=((4, 6),) * 4),
    "deit": square("DeiTModel", "DeiTConfig", 2),
    "dinov2": square("Dinov2Model", "Dinov2Config", 1, mlp_ratio=2),
    "dinov2 with registers": square("Dinov2WithRegistersModel", "Dinov2WithRegistersConfig", 4, num_register_tokens=3, mlp_ratio=2),
    "clip tower": square("CLIPVisionModel", "CLIPVisionConfig", 1),
    "clip": two_towers("CLIPModel", "CLIPConfig", 1),
    "siglip tower": square("SiglipVisionModel", "SiglipVisionConfig", 0),
    "siglip": two_towers("SiglipModel", "SiglipConfig", 0),
    "swin": Published(
        "SwinForImageClassification", "SwinConfig", {**SWIN, "image_size": 48}, (48, 48), 0, SWIN_LAYERS, ((12, 12),) * 2 + ((6, 6),) * 3
    ),
    "swin wide": Published(
        "SwinModel",
        "SwinConfig",
        {**SWIN, "image_size": [36, 60], "use_absolute_embeddings": True},
        (36, 60),
        0,
        SWIN_LAYERS,
        ((9, 15),) * 2 + ((5, 8),) * 3,
    ),
    "pvt": Published("PvtModel", "PvtConfig", PVT, (64, 64), 1, PVT_LAYERS, ((16, 16), (8, 8), (8, 8), (4, 4), (2, 2), (2, 2))),
}
PREPROCESSOR = {
    "do_resize": True,
    "resample": 3,
    "do_center_crop": False,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.4, 0.5, 0.6],
    "image_std": [0.2, 0.25, 0.3],
}


def library(name: str) -> Any:
    return getattr(transformers, name)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Writes a family's tiny model once: config.json, model.safetensors, preprocessor_config.json."""
    written: dict[str, Path] = {}

    def write(name: str) -> Path:
        if name not in written:
            published = PUBLISHED[name]
            torch.manual_seed(0)
            model = library(published.model)(library(published.config)(**published.settings))
            for parameter in model.parameters():
                nn.init.normal_(parameter, std=0.3)  # released tables and scales that start at 0 or 1 are told apart
            folder = tmp_path_factory.mktemp(name.replace(" ", "-"))
            model.save_pretrained(folder)
            size = {"height": published.size[0], "width": published.size[1]}
            (folder / "preprocessor_config.json").write_text(json.dumps({**PREPROCESSOR, "size": size}))
            written[name] = folder
        return written[name]

    return write


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a test asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def whole_model(folder: Path, published: Published) -> nn.Module:
    """The same weights through the library's own class, or the vision tower of a model of two towers."""
    model = library(published.model).from_pretrained(folder).eval()
    if "vision_config" in published.settings:
        return model.vision_model
    return getattr(model, model.base_model_prefix, model)


def as_grid(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    return torch.stack([tokens[:, r * grid[1] : (r + 1) * grid[1]] for r in range(grid[0])], 1).permute(0, 3, 1, 2)


# -------------------------------------------------------------------------------------------------------------- grids


@pytest.mark.parametrize("name", PUBLISHED)
def test_layers_and_grids_of_every_family(folders, name: str) -> None:
    published = PUBLISHED[name]
    backbone = load_backbone(folders(name), local_files_only=True)
    image = torch.randn(2, 3, *published.size)
    features = backbone(image)
    assert tuple(features) == backbone.layers == published.layers
    assert tuple(tuple(f.shape[2:]) for f in features.values()) == published.grids
    assert all(f.shape[0] == 2 and f.is_floating_point() for f in features.values())
    assert not any(p.requires_grad for p in backbone.parameters())
    assert not backbone.model.training


@pytest.mark.parametrize("name", [name for name in PUBLISHED if not name.startswith(("swin", "pvt"))])
def test_special_tokens_are_removed(folders, name: str) -> None:
    published = PUBLISHED[name]
    image = torch.randn(2, 3, *published.size)
    with torch.no_grad():
        features = load_backbone(folders(name))(image)
        result = whole_model(folders(name), published)(pixel_values=image, output_hidden_states=True)
    n = published.grids[0][0] * published.grids[0][1]
    assert result.last_hidden_state.shape[1] == published.special + n
    for state, layer in zip([*result.hidden_states, result.last_hidden_state], published.layers, strict=True):
        assert torch.equal(features[layer], as_grid(state[:, -n:], published.grids[0]))


@pytest.mark.parametrize("name", ["swin", "swin wide"])
def test_swin_blocks_stay_on_the_grid_of_their_stage(folders, name: str) -> None:
    published = PUBLISHED[name]
    image = torch.randn(2, 3, *published.size)
    model = whole_model(folders(name), published)
    with torch.no_grad():
        features = load_backbone(folders(name))(image)
        result = model(pixel_values=image, output_hidden_states=True)
        fine, coarse = published.grids[0], published.grids[-1]
        first = features["stage 1 block 1"].flatten(2).transpose(1, 2)
        halved = model.encoder.layers[0].downsample(first, fine)
    assert torch.equal(features["embedding"], as_grid(result.hidden_states[0], fine))
    assert torch.equal(halved, result.hidden_states[1])  # the library's state of stage 1 comes after the halving
    assert torch.equal(features["stage 2 block 2"], as_grid(result.hidden_states[2], coarse))
    assert torch.equal(features["output"], as_grid(result.last_hidden_state, coarse))


def test_pvt_drops_its_class_token_in_the_last_stage_only(folders) -> None:
    published = PUBLISHED["pvt"]
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        features = load_backbone(folders("pvt"))(image)
        result = whole_model(folders("pvt"), published)(pixel_values=image, output_hidden_states=True)
    assert [state.shape[1] for state in result.hidden_states] == [256, 64, 64, 16, 5, 5]
    for state, layer, grid in zip(result.hidden_states, published.layers, published.grids, strict=True):
        assert torch.equal(features[layer], as_grid(state[:, -grid[0] * grid[1] :], grid))


@pytest.mark.parametrize("name", ["vit", "deit", "dinov2", "dinov2 with registers", "clip", "siglip"])
def test_other_picture_sizes_give_other_grids(folders, name: str) -> None:
    backbone = load_backbone(folders(name))
    features = backbone(torch.randn(1, 3, 32, 83))
    assert {tuple(f.shape[2:]) for f in features.values()} == {(4, 10)}
    with pytest.raises(ValueError, match="at least one patch of 8 × 8"):
        backbone(torch.randn(1, 3, 32, 7))


@pytest.mark.parametrize(("name", "only"), [("swin", "48 × 48"), ("pvt", "64 × 64"), ("vit wide", "32 × 48")])
def test_models_of_one_size_say_so(folders, name: str, only: str) -> None:
    with pytest.raises(ValueError, match=f"model takes {only} only"):
        load_backbone(folders(name))(torch.randn(1, 3, 96, 96))


@pytest.mark.parametrize("image", [torch.zeros(3, 48, 48), torch.zeros(1, 1, 48, 48), torch.zeros(1, 3, 48, 48, dtype=torch.uint8)])
def test_images_of_another_shape_or_type_are_refused(folders, image: Tensor) -> None:
    with pytest.raises(ValueError, match=r"must be floating and of shape \(B, 3, H, W\)"):
        load_backbone(folders("vit"))(image)


def test_half_precision_files_are_read_in_float32(folders, tmp_path: Path) -> None:
    model = library("ViTModel").from_pretrained(folders("vit")).half()
    model.save_pretrained(tmp_path)
    features = load_backbone(tmp_path)(torch.randn(1, 3, 48, 48))
    assert features["output"].dtype == torch.float32


# ------------------------------------------------------------------------------------------------------ preprocessing


def pixels(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


PROCESSORS = {
    "ViTImageProcessorPil": ("vit", {"size": {"height": 40, "width": 56}}),
    "ViTImageProcessorPil, other filter": ("vit", {"size": {"height": 40, "width": 40}, "resample": 3}),
    "ViTImageProcessorPil, legacy size": ("vit", {"size": 32}),
    "CLIPImageProcessorPil": ("clip", {"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}}),
    "CLIPImageProcessorPil, legacy size": ("clip", {"size": 33, "crop_size": 32}),
    "CLIPImageProcessorPil, crop beyond the picture": ("clip", {"size": {"shortest_edge": 20}, "crop_size": {"height": 31, "width": 48}}),
    "BitImageProcessorPil": ("dinov2", {"size": {"shortest_edge": 36}, "crop_size": {"height": 28, "width": 28}}),
    "DeiTImageProcessorPil": ("deit", {"size": {"height": 36, "width": 36}, "crop_size": {"height": 32, "width": 32}}),
    "SiglipImageProcessorPil": ("siglip", {"size": {"height": 32, "width": 32}}),
    "PvtImageProcessorPil": ("pvt", {"size": {"height": 32, "width": 32}}),
    "ViTImageProcessorPil, nothing switched on": ("vit", {"do_resize": False, "do_rescale": False, "do_normalize": False}),
}


@pytest.mark.parametrize("case", PROCESSORS)
@pytest.mark.parametrize("size", [(37, 61), (64, 48), (50, 50)])
def test_preprocessing_is_the_librarys(case: str, size: tuple[int, int]) -> None:
    family, told = PROCESSORS[case]
    theirs = getattr(transformers, case.split(",")[0], None)
    if theirs is None:
        pytest.skip("this version of transformers has no preprocessing without torchvision")
    processor = theirs(**told)
    stored = {key: value for key, value in json.loads(processor.to_json_string()).items() if value is not None}
    if "legacy" in case:
        stored |= told  # as old folders on the hub write it
    picture = pixels(*size)
    ours = Preprocessing.read(stored, FAMILIES[family], (32, 32))
    expected = processor(images=[picture], return_tensors="pt")["pixel_values"]
    assert torch.allclose(ours(picture), expected.float(), atol=1e-5)
    view = torch.from_numpy(ours.view(picture).copy())
    assert view.shape[:2] == expected.shape[2:]
    assert torch.equal(ours(torch.from_numpy(picture)), ours(picture))


@pytest.mark.parametrize("name", PUBLISHED)
def test_preprocessed_pictures_fit_the_model(folders, name: str) -> None:
    backbone = load_backbone(folders(name))
    image = backbone.preprocess(pixels(70, 90))
    assert image.shape == (1, 3, *PUBLISHED[name].size)
    assert image.dtype == torch.float32
    back = image[0].permute(1, 2, 0) * torch.tensor(PREPROCESSOR["image_std"]) + torch.tensor(PREPROCESSOR["image_mean"])
    assert np.abs(back.numpy() * 255 - backbone.preprocess.view(pixels(70, 90))).max() < 1e-3
    assert set(backbone(image)) == set(backbone.layers)


def test_folders_without_preprocessing_use_the_familys(folders, tmp_path: Path) -> None:
    expected = {
        "vit": ((48, 48), None, 2, (0.5,) * 3),
        "deit": ((55, 55), (48, 48), 3, (0.485, 0.456, 0.406)),
        "dinov2": (55, (48, 48), 3, (0.485, 0.456, 0.406)),
        "clip": (48, (48, 48), 3, (0.48145466, 0.4578275, 0.40821073)),
        "siglip": ((48, 48), None, 3, (0.5,) * 3),
        "swin": ((48, 48), None, 3, (0.485, 0.456, 0.406)),
        "pvt": ((64, 64), None, 3, (0.485, 0.456, 0.406)),
    }
    for name, (resize, crop, resample, mean) in expected.items():
        told = folders(name) / "preprocessor_config.json"
        away = told.rename(tmp_path / "away.json")
        try:
            found = load_backbone(folders(name)).preprocess
        finally:
            away.rename(told)
        assert (found.resize, found.crop, found.resample, found.mean) == (resize, crop, resample, mean), name
        assert found.scale == pytest.approx(1 / 255)


def test_preprocessing_inside_processor_config_is_found(folders) -> None:
    told = folders("clip") / "preprocessor_config.json"
    content = told.read_text()
    told.unlink()
    (folders("clip") / "processor_config.json").write_text(json.dumps({"image_processor": {**json.loads(content), "resample": 0}}))
    try:
        assert load_backbone(folders("clip")).preprocess.resample == 0
    finally:
        told.write_text(content)
        (folders("clip") / "processor_config.json").unlink()


@pytest.mark.parametrize("size", [{"longest_edge": 30}, "large", {"shortest_edge": 30, "longest_edge": 60}, [1, 2, 3]])
def test_a_size_that_no_family_uses_is_refused(size: Any) -> None:
    with pytest.raises(ValueError, match="is not understood; it must be a number"):
        Preprocessing.read({"size": size}, FAMILIES["vit"], (32, 32))


@pytest.mark.parametrize(
    "picture", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_pixels_of_another_shape_or_type_are_refused(picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"must be uint8 of shape \(height, width, 3\)"):
        Preprocessing.read({}, FAMILIES["vit"], (32, 32))(picture)


# ------------------------------------------------------------------------------------------------------------ loading


def test_the_two_towers_and_the_tower_alone_agree(folders, tmp_path: Path) -> None:
    for name in ("clip", "siglip"):
        whole = load_backbone(folders(name))
        whole.model.save_pretrained(tmp_path / name)
        image = torch.randn(1, 3, 48, 48)
        assert torch.equal(load_backbone(tmp_path / name)(image)["output"], whole(image)["output"])


@pytest.mark.parametrize("kind", ["resnet", "bert", None])
def test_an_unsupported_type_names_the_supported_ones(tmp_path: Path, kind: str | None) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind} if kind else {"architecture": "resnet50"}))
    supported = "ViT, DeiT, DINOv2, DINOv2 with registers, CLIP, SigLIP, Swin, PVT"
    with pytest.raises(ValueError, match=f"of type {kind!r}, which is not supported; supported are {supported}"):
        load_backbone(tmp_path)


def test_code_that_comes_with_a_model_is_not_run(folders, tmp_path: Path) -> None:
    for file in folders("vit").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "evil.py").write_text("raise SystemExit('this must not run')")
    assert type(load_backbone(tmp_path).model).__name__ == "ViTModel"


@pytest.mark.parametrize("name", ["no/such-model", "/no/such/folder"])
def test_nothing_there_is_said_in_one_sentence(name: str) -> None:
    with pytest.raises(ValueError, match=r"neither a local folder with a config\.json nor a model that can be fetched"):
        load_backbone(name, local_files_only=True)


def test_missing_weights_and_broken_files_are_refused(folders, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for file in folders("vit").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    dropped = next(key for key in weights if "position_embeddings" in key)
    save_file({key: value for key, value in weights.items() if key != dropped}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"1 weights of the ViT model are not in .*position_embeddings"):
        load_backbone(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"the weights of .* cannot be read"):
        load_backbone(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json of .* is not JSON"):
        load_backbone(tmp_path)


def test_the_library_is_imported_only_when_it_is_needed() -> None:
    code = "import sys, models.image_graphs.patch_features; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], timeout=60).returncode == 0


# ------------------------------------------------------------------------------------------------------------- graphs

CONSTRUCTORS = {
    "knn": lambda: DilatedKNN(4),
    "dilated knn": lambda: DilatedKNN(3, 3),
    "svga": lambda: AxialStatic(2),
    "dagc": lambda: AxialDynamic(2),
    "radius": lambda: Radius(0.8),
    "mutual": lambda: MutualKNN(4),
    "grid": lambda: Grid8(),
    "random": lambda: RandomRegular(4),
}


@pytest.mark.parametrize("make", CONSTRUCTORS.values(), ids=CONSTRUCTORS)
@pytest.mark.parametrize("name", ["dinov2 with registers", "vit wide", "swin wide"])
def test_every_constructor_builds_on_every_grid(folders, name: str, make: Callable) -> None:
    backbone = load_backbone(folders(name))
    for layer, grid in zip(PUBLISHED[name].layers, PUBLISHED[name].grids, strict=True):
        graph = patch_graph(backbone, pixels(50, 50), layer, make())
        n = grid[0] * grid[1]
        assert graph.grid == graph.key_grid == grid
        assert graph.candidates.shape[1] == n
        assert graph.adjacency().shape == (n, n)


def test_the_graph_is_that_of_the_layers_features(folders) -> None:
    backbone = load_backbone(folders("dinov2"))
    picture = pixels(50, 50)
    features = backbone(backbone.preprocess(picture))["block 2"]
    nodes = F.normalize(features.flatten(2).transpose(1, 2)[0].double(), dim=-1)
    nearest = torch.cdist(nodes, nodes).argsort(-1)[:, :4]
    for image in (picture, torch.from_numpy(picture), backbone.preprocess(picture)):
        graph = patch_graph(backbone, image, "block 2", DilatedKNN(4))
        assert torch.equal(graph.neighbours()[0][0].sort(-1).values, nearest.sort(-1).values)
        assert graph.candidates.shape[2] == 36  # the list goes on beyond k, for sliders
    other = patch_graph(backbone, picture, "embedding", DilatedKNN(4))
    assert not torch.equal(other.candidates, graph.candidates)


def test_an_unknown_layer_lists_the_layers(folders) -> None:
    with pytest.raises(ValueError, match="no layer 'block 3'; it has embedding, block 1, block 2, output"):
        patch_graph(load_backbone(folders("vit")), pixels(50, 50), "block 3", Grid8())


def test_weights_that_are_not_finite_are_named(folders) -> None:
    backbone = load_backbone(folders("vit"))
    with torch.no_grad():
        next(backbone.model.parameters()).fill_(torch.nan)
    with pytest.raises(NonFiniteError, match="block 1: "):
        patch_graph(backbone, pixels(50, 50), "block 1", DilatedKNN(4))


def test_a_graph_that_needs_more_patches_than_there_are_is_refused(folders) -> None:
    with pytest.raises(ValueError, match="exceeds the number of patches to choose from"):
        patch_graph(load_backbone(folders("pvt")), pixels(64, 64), "stage 4 block 1", DilatedKNN(5))


def test_the_base_class_says_that_it_is_abstract(folders) -> None:
    backbone = load_backbone(folders("vit"))
    base = Backbone(backbone.model, FAMILIES["vit"], backbone.preprocess)
    with pytest.raises(TypeError, match="does not define features"):
        base(torch.zeros(1, 3, 48, 48))
