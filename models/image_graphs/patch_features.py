"""Patch features of any vision model of the `transformers` library, so that any constructor can build its graph on them.

    backbone = load_backbone("facebook/dinov2-small")            # or a local folder
    graph = patch_graph(backbone, pixels, "block 11", DilatedKNN(9))

Supported are ViT, DeiT, DINOv2 (with and without registers), the vision towers of CLIP and SigLIP, Swin and PVT: files in
the published format, loaded by the library's own classes. Code that comes with a model is never run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from models.capture import capture
from models.image_graphs.constructors import Constructor
from models.structures import PatchGraph, Structure

Grid = tuple[int, int]
_HALF = (0.5, 0.5, 0.5)
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_BILINEAR, _BICUBIC = int(Image.Resampling.BILINEAR), int(Image.Resampling.BICUBIC)


@dataclass(frozen=True)
class _Family:
    """What differs between families of models.

    Attributes:
        title: its name for people.
        special: tokens before the patches (class, distillation); registers are added from the configuration.
        options: arguments of the model class that leave out what patch features do not need.
        resizes: "asked" where another picture size needs an argument, "itself" where not, "never" where it is not possible.
        mean, std, resample: preprocessing where the model's folder does not tell.
        enlarge: the picture is resized to this multiple of the model's size, then cropped; None resizes without cropping.
        square: whether a bare number as size means a square (else the shorter side).
    """

    title: str
    special: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    resizes: str = "asked"
    mean: Sequence[float] = _HALF
    std: Sequence[float] = _HALF
    resample: int = _BICUBIC
    enlarge: float | None = None
    square: bool = True


_NO_POOLER = {"add_pooling_layer": False}
_CLIP_TOWER = _Family("CLIP", 1, mean=_CLIP[0], std=_CLIP[1], enlarge=1.0, square=False)
_SIGLIP_TOWER = _Family("SigLIP", square=False)
FAMILIES: dict[str, _Family] = {
    "vit": _Family("ViT", 1, _NO_POOLER, resample=_BILINEAR),
    "deit": _Family("DeiT", 2, _NO_POOLER, mean=_IMAGENET[0], std=_IMAGENET[1], enlarge=256 / 224),
    "dinov2": _Family("DINOv2", 1, resizes="itself", mean=_IMAGENET[0], std=_IMAGENET[1], enlarge=256 / 224, square=False),
    "dinov2_with_registers": _Family(
        "DINOv2 with registers", 1, resizes="itself", mean=_IMAGENET[0], std=_IMAGENET[1], enlarge=256 / 224, square=False
    ),
    "clip": _CLIP_TOWER,
    "clip_vision_model": _CLIP_TOWER,
    "siglip": _SIGLIP_TOWER,
    "siglip_vision_model": _SIGLIP_TOWER,
    "swin": _Family("Swin", 0, _NO_POOLER, "never", *_IMAGENET),
    "pvt": _Family("PVT", 1, {}, "never", *_IMAGENET),
}


# ------------------------------------------------------------------------------------------------------ preprocessing


@dataclass(frozen=True)
class Preprocessing:
    """From a picture to what the model sees, as `preprocessor_config.json` tells.

    Attributes:
        resize: (height, width), the length of the shorter side, or None.
        crop: (height, width) cut from the middle (zeros around a smaller picture), or None.
        resample: filter of Pillow (2 bilinear, 3 bicubic).
        scale: factor on the 0…255 values, or None.
        mean, std: per channel, after scaling; None leaves the values.
    """

    resize: Grid | int | None
    crop: Grid | None
    resample: int
    scale: float | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None

    @classmethod
    def read(cls, told: Mapping[str, Any], family: _Family, image_size: Grid) -> Preprocessing:
        """From the content of `preprocessor_config.json`; what it leaves out is as published for the family.

        Raises:
            ValueError: a size is given in a way that none of the families uses.
        """
        enlarged: Any = {"height": image_size[0], "width": image_size[1]}
        if family.enlarge is not None:
            sides = [round(side * family.enlarge) for side in image_size]
            enlarged = {"height": sides[0], "width": sides[1]} if family.square else min(sides)
        crops = told.get("do_center_crop", family.enlarge is not None)
        mean, std = told.get("image_mean", family.mean), told.get("image_std", family.std)
        normalizes = told.get("do_normalize", True)
        crop = _size(told.get("crop_size") or list(image_size), square=True) if crops else None
        assert not isinstance(crop, int)
        return cls(
            resize=_size(told.get("size") or enlarged, family.square) if told.get("do_resize", True) else None,
            crop=crop,
            resample=int(told.get("resample", family.resample)),
            scale=float(told.get("rescale_factor", 1 / 255)) if told.get("do_rescale", True) else None,
            mean=tuple(map(float, mean)) if normalizes else None,
            std=tuple(map(float, std)) if normalizes else None,
        )

    def view(self, pixels: np.ndarray | Tensor) -> np.ndarray:
        """The part of the picture that the model sees, at its resolution: uint8 [H, W, 3] → uint8 [h, w, 3].

        Raises:
            ValueError: the pixels are not uint8 [H, W, 3].
        """
        picture = np.asarray(pixels)
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
            raise ValueError(f"the picture is {picture.dtype} of shape {picture.shape}; it must be uint8 of shape (height, width, 3)")
        if self.resize is not None:
            height, width = self.resize if isinstance(self.resize, tuple) else _by_shorter_side(picture.shape[:2], self.resize)
            picture = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling(self.resample)))
        return picture if self.crop is None else _from_the_middle(picture, self.crop)

    def __call__(self, pixels: np.ndarray | Tensor) -> Tensor:
        """uint8 [H, W, 3] → float32 [1, 3, h, w], normalised. Raises ValueError as `view`."""
        values: np.ndarray = self.view(pixels).astype(np.float32)
        if self.scale is not None:
            values = values * np.float32(self.scale)
        if self.mean is not None and self.std is not None:
            values = (values - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))[None]


def _size(told: Any, square: bool) -> Grid | int:
    """A size as `preprocessor_config.json` writes it: a number, a pair, {height, width} or {shortest_edge}."""
    if isinstance(told, int):
        return (told, told) if square else told
    if isinstance(told, (list, tuple)) and len(told) == 2:
        return int(told[0]), int(told[1])
    if isinstance(told, Mapping):
        given = {name: int(value) for name, value in told.items() if value is not None}
        if given.keys() == {"height", "width"}:
            return given["height"], given["width"]
        if given.keys() == {"shortest_edge"}:
            return given["shortest_edge"]
    raise ValueError(f"the size {told!r} is not understood; it must be a number, (height, width) or the shortest edge")


def _by_shorter_side(size: Sequence[int], side: int) -> Grid:
    height, width = size
    if width <= height:
        return int(side * height / width), side
    return side, int(side * width / height)


def _from_the_middle(picture: np.ndarray, size: Grid) -> np.ndarray:
    """Cut `size` from the middle; a smaller picture gets zeros around it first, the odd row or column at its top left."""
    missing = [max(0, want - have) for want, have in zip(size, picture.shape[:2], strict=True)]
    before = [-(-n // 2) for n in missing]
    padded = np.pad(picture, [(b, n - b) for b, n in zip(before, missing, strict=True)] + [(0, 0)])
    top, left = ((have - want) // 2 + b for have, want, b in zip(picture.shape[:2], size, before, strict=True))
    return padded[top : top + size[0], left : left + size[1]]


# ----------------------------------------------------------------------------------------------------------- backbone


class Backbone(nn.Module):
    """A vision model that gives the features of its patches layer by layer.

    Attributes:
        layers: names of the layers in order: "embedding", "block 1", … (Swin, PVT: "stage 1 block 1", …) and "output",
            which is the model's result, after its last normalisation where it has one.
        family: name of the family for people, e.g. "DINOv2".
        model, config: the model of the library and its configuration.
        preprocess: from uint8 [H, W, 3] to what `forward` takes; `preprocess.view` gives the picture that it sees.
    """

    layers: tuple[str, ...]
    config: Any

    def __init__(self, model: nn.Module, family: _Family, preprocess: Preprocessing) -> None:
        super().__init__()
        self.model, self.family, self.preprocess = model.eval().requires_grad_(False), family.title, preprocess
        self.config, self._resizes = model.config, family.resizes
        self.image_size = _pair(self.config.image_size)
        self.patch_size = _pair(getattr(self.config, "patch_size", None) or self.config.patch_sizes[0])

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """image [B, 3, H, W], preprocessed → {layer: features [B, C, h, w]} with every layer's own grid of patches.

        Class, distillation and register tokens are left out.

        Raises:
            ValueError: the picture has another size than the model can take, or less than one patch.
        """
        if image.ndim != 4 or image.shape[1] != 3 or not image.is_floating_point():
            raise ValueError(f"the image is {image.dtype} of shape {tuple(image.shape)}; it must be floating and of shape (B, 3, H, W)")
        self._check_size((image.shape[2], image.shape[3]))
        return self.features(image)

    def features(self, image: Tensor) -> dict[str, Tensor]:
        raise TypeError(f"{type(self).__name__} does not define features()")

    def _check_size(self, size: Grid) -> None:
        if size == self.image_size:
            return
        if self._resizes == "never" or self.image_size[0] != self.image_size[1]:
            only = f"{self.image_size[0]} × {self.image_size[1]}"
            raise ValueError(f"the picture is {size[0]} × {size[1]} pixels; this {self.family} model takes {only} only")
        if size[0] < self.patch_size[0] or size[1] < self.patch_size[1]:
            one = f"{self.patch_size[0]} × {self.patch_size[1]}"
            raise ValueError(f"the picture is {size[0]} × {size[1]} pixels; it must hold at least one patch of {one}")


class PlainBackbone(Backbone):
    """One grid from beginning to end, special tokens in front: ViT, DeiT, DINOv2, CLIP, SigLIP."""

    def __init__(self, model: nn.Module, family: _Family, preprocess: Preprocessing) -> None:
        super().__init__(model, family, preprocess)
        self.special = family.special + getattr(self.config, "num_register_tokens", 0)
        self.layers = ("embedding", *(f"block {i + 1}" for i in range(self.config.num_hidden_layers)), "output")

    def features(self, image: Tensor) -> dict[str, Tensor]:
        size = (image.shape[2], image.shape[3])
        grid = (size[0] // self.patch_size[0], size[1] // self.patch_size[1])
        asked = {"interpolate_pos_encoding": True} if self._resizes == "asked" and size != self.image_size else {}
        result = self.model(pixel_values=image, output_hidden_states=True, **asked)
        states = [*result.hidden_states, result.last_hidden_state]
        return {name: _grid_of(state[:, self.special :], grid) for name, state in zip(self.layers, states, strict=True)}


class _Pvt(Backbone):
    """Grids that shrink by each stage's stride; a class token joins in the last stage."""

    def __init__(self, model: nn.Module, family: _Family, preprocess: Preprocessing) -> None:
        super().__init__(model, family, preprocess)
        self.layers = (*_stage_names(self.config.depths), "output")
        self.special = family.special

    def features(self, image: Tensor) -> dict[str, Tensor]:
        config = self.config
        states = self.model(pixel_values=image, output_hidden_states=True).hidden_states  # the last one is normalised
        grids: list[Grid] = []
        grid = (image.shape[2], image.shape[3])
        for stride, depth in zip(config.strides, config.depths, strict=True):
            grid = (grid[0] // stride, grid[1] // stride)
            grids += [grid] * depth
        last = len(states) - config.depths[-1] - 1
        tokens = [state[:, self.special if i >= last else 0 :] for i, state in enumerate(states)]
        return {name: _grid_of(t, g) for name, t, g in zip(self.layers, tokens, [*grids, grids[-1]], strict=True)}


@dataclass(frozen=True)
class _Tokens(Structure):
    tokens: Tensor


class _Swin(Backbone):
    """Grids that halve from stage to stage, no special token.

    The library reports hidden states after the halving that ends a stage; here every block is seen on the stage's own
    grid, which takes a hook.
    """

    def __init__(self, model: nn.Module, family: _Family, preprocess: Preprocessing) -> None:
        super().__init__(model, family, preprocess)
        self.layers = ("embedding", *_stage_names(self.config.depths), "output")

    def features(self, image: Tensor) -> dict[str, Tensor]:
        depths = self.config.depths
        grid = (-(-image.shape[2] // self.patch_size[0]), -(-image.shape[3] // self.patch_size[1]))
        parts, grids = ["embeddings"], [grid]
        for stage, depth in enumerate(depths):
            grid = grid if stage == 0 else ((grid[0] + 1) // 2, (grid[1] + 1) // 2)
            parts += [f"encoder.layers.{stage}.blocks.{block}" for block in range(depth)]
            grids += [grid] * depth
        with capture(self.model, adapters=dict.fromkeys(parts, lambda module, inputs, output: _Tokens(output[0]))) as trace:
            result = self.model(pixel_values=image)
        tokens = [trace.of(_Tokens)[part].tokens for part in parts] + [result.last_hidden_state]
        return {name: _grid_of(t, g) for name, t, g in zip(self.layers, tokens, [*grids, grid], strict=True)}


def _stage_names(depths: Sequence[int]) -> list[str]:
    return [f"stage {stage + 1} block {block + 1}" for stage, depth in enumerate(depths) for block in range(depth)]


def _grid_of(tokens: Tensor, grid: Grid) -> Tensor:
    """[B, h·w, C] → [B, C, h, w]."""
    if tokens.shape[1] != grid[0] * grid[1]:
        raise ValueError(f"the model gave {tokens.shape[1]} patch tokens where a grid of {grid[0]} × {grid[1]} was expected")
    return tokens.transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2], *grid)


def _pair(size: int | Sequence[int]) -> Grid:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


# ------------------------------------------------------------------------------------------------------------ loading


def load_backbone(name_or_folder: str | Path, *, local_files_only: bool = False) -> Backbone:
    """Load a vision model of the `transformers` library by its hub id or from a local folder, in float32, on the CPU.

    A folder holds config.json, the weights (model.safetensors) and preprocessor_config.json. Of CLIP and SigLIP, full
    models and vision towers are both taken. Code that comes with a model is never run.

    Args:
        local_files_only: never ask the network: a hub id must already lie in the cache.

    Raises:
        ValueError: nothing is found, the type of the model is not supported, or weights are missing.
    """
    name = str(name_or_folder)
    told = read_json(name, "config.json", local_files_only)
    if told is None:
        raise ValueError(f"{name!r} is neither a local folder with a config.json nor a model that can be fetched from the hub")
    kind = told.get("model_type")
    if kind not in FAMILIES:
        titles = ", ".join(dict.fromkeys(family.title for family in FAMILIES.values()))
        raise ValueError(f"{name!r} is a model of type {kind!r}, which is not supported; supported are {titles}")
    processor = read_json(name, "preprocessor_config.json", local_files_only)
    if processor is None:
        processor = (read_json(name, "processor_config.json", local_files_only) or {}).get("image_processor", {})
    family = FAMILIES[kind]
    model = _load_model(name, family, local_files_only)
    shape: type[Backbone] = {"swin": _Swin, "pvt": _Pvt}.get(kind, PlainBackbone)
    return shape(model, family, Preprocessing.read(processor, family, _pair(model.config.image_size)))


def _load_model(name: str, family: _Family, local_files_only: bool) -> Any:
    from transformers import AutoConfig, AutoModel  # a second to import: only when it is needed

    where = {"local_files_only": local_files_only, "trust_remote_code": False}
    with quietly():
        try:
            config = AutoConfig.from_pretrained(name, **where)
            config = getattr(config, "vision_config", config)  # the tower of a model of pictures and text
            model, info = AutoModel.from_pretrained(name, config=config, output_loading_info=True, **where, **family.options)
        except OSError as error:
            raise ValueError(f"the weights of {name!r} cannot be read: {error}") from error
    missing = sorted(key for key in info["missing_keys"] if key.split(".")[0] not in ("head", "pooler"))
    if missing:
        raise ValueError(f"{len(missing)} weights of the {family.title} model are not in {name!r}, for example {missing[0]}")
    return model.float()


def read_json(name: str, file: str, local_files_only: bool) -> dict[str, Any] | None:
    """A JSON file of a local folder or of a hub model; None where there is none."""
    from transformers.utils import cached_file

    try:
        path = cached_file(name, file, local_files_only=local_files_only, _raise_exceptions_for_missing_entries=False)
    except OSError:
        return None
    if path is None:
        return None
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} of {name!r} is not JSON: {error}") from error
    return content if isinstance(content, dict) else {}


@contextmanager
def quietly() -> Iterator[None]:
    """The library's reports of unused weights (a text tower, a class head) and its progress bars are switched off."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


# ------------------------------------------------------------------------------------------------------------- graphs


@torch.no_grad()
def patch_graph(backbone: Backbone, image: np.ndarray | Tensor, layer: str, constructor: Constructor) -> PatchGraph:
    """The graph that a constructor lays over the patches of a picture, from the features of one layer.

    Args:
        image: uint8 [H, W, 3], preprocessed here; or preprocessed, floating [B, 3, H, W].
        layer: one of `backbone.layers`.
        constructor: any of `models.image_graphs.constructors`; it is put into evaluation mode.

    Raises:
        ValueError: the layer does not exist, or the picture or the grid does not fit.
        models.structures.NonFiniteError: the features hold NaN or infinity.
    """
    if layer not in backbone.layers:
        raise ValueError(f"the model has no layer {layer!r}; it has {', '.join(backbone.layers)}")
    pixels = torch.as_tensor(image)
    if pixels.dtype == torch.uint8:
        pixels = backbone.preprocess(pixels)
    weight = next(backbone.model.parameters())
    features = backbone(pixels.to(weight.device, weight.dtype))[layer]
    graph = constructor.eval()(features)
    graph.require_finite(layer)
    return graph
