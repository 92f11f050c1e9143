"""Attention of any vision transformer of the `transformers` library, without changing a line of it.

    encoder = load_encoder("openai/clip-vit-base-patch32")      # or a local folder
    maps = encoder(encoder.prepare(pixels), opened=[6])          # AttentionMaps

The library computes attention by a function that is looked up by name. Ours calls the library's fused one (`sdpa`) and, only
while a recorder is set in the current context, recomputes the softmax in float32 beside it. So outputs are the same bit for
bit whether somebody looks or not, several threads do not see each other, and only the sum over the queries is kept: full
matrices are stored for the layers that were opened and nowhere else.

Supported are encoders in which every patch can attend to every other: CLIP, SigLIP, SigLIP 2, ViT, DeiT, DINOv2 (with and
without registers), DINOv3 and the vision towers of LLaVA and Qwen2.5-VL. Code that comes with a model is never run.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from models.image_graphs.patch_features import FAMILIES, Backbone, PlainBackbone, Preprocessing, load_backbone, quietly, read_json
from models.structures import AttentionMaps

Grid = tuple[int, int]
Watch = Callable[[int, Tensor], None]

ATTENTION = "hyperscope"
_CHUNK = 2**24  # entries of an attention matrix that are computed at once: 64 MB

_recorder: ContextVar[Recording | None] = ContextVar("recorder", default=None)


# ---------------------------------------------------------------------------------------------------------- recording


def install(model: Any) -> None:
    """Let a model of the library compute attention through our function, which is seen by `record`."""
    _register()
    model.set_attn_implementation(ATTENTION)


@functools.cache
def _register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    def attention(
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None = None,
        scaling: float | None = None,
        dropout: float = 0.0,
        **more: Any,
    ) -> tuple[Tensor, None]:
        report(module, query, key, attention_mask, scaling)
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **more)

    AttentionInterface.register(ATTENTION, attention)
    # Without a mask function of the same name the library leaves masks out, and padding would take part in attention.
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)


@dataclass
class Layer:
    """What one attention module did: one entry per call (windowed layers are called once per window).

    Attributes:
        received: attention that each key receives, summed over the queries of the call, [B, H, t] float32.
        matrices: softmax of each call, [B, H, t, t] float32; empty unless the layer was opened.
    """

    received: list[Tensor] = field(default_factory=list)
    matrices: list[Tensor] = field(default_factory=list)


class Recording:
    """The attention layers of one model, in the order of their first call.

    Attributes:
        layers: filled while the model runs.
    """

    def __init__(self, model: nn.Module, opened: Collection[int], finished: Callable[[int, Layer], None] | None) -> None:
        self.layers: list[Layer] = []
        self._number: dict[int, int] = {}
        self._inside = {id(module) for module in model.modules()}
        self._opened, self._finished = frozenset(opened), finished

    def see(self, module: nn.Module, query: Tensor, key: Tensor, mask: Tensor | None, scaling: float | None) -> None:
        """One call of an attention module: query, key [B, H, t, d]; mask as the library gives it (True or 0 lets through)."""
        if id(module) not in self._inside:
            return
        if id(module) not in self._number:
            self.close()
            self._number[id(module)] = len(self.layers)
            self.layers.append(Layer())
        number = self._number[id(module)]
        whole = self._finished is not None or number + 1 in self._opened
        received, matrix = _softmax(query, key, mask, scaling, whole)
        self.layers[number].received.append(received)
        if matrix is not None:
            self.layers[number].matrices.append(matrix)

    def close(self) -> None:
        """The layer that ran last is complete: report it, and forget its matrix unless it is among the opened."""
        if not self.layers or self._finished is None:
            return
        self._finished(len(self.layers), self.layers[-1])
        if len(self.layers) not in self._opened:
            self.layers[-1].matrices.clear()


@contextmanager
def record(model: nn.Module, opened: Collection[int] = (), finished: Callable[[int, Layer], None] | None = None) -> Iterator[Recording]:
    """Record the attention of one forward pass of `model`, which must have been given to `install`.

    Args:
        opened: layers (from 1) whose full matrices are kept.
        finished: called with the number and the matrices of each layer as soon as it has run, opened or not.

    Other models that run meanwhile, and other threads, are not seen.
    """
    recording = Recording(model, opened, finished)
    token = _recorder.set(recording)
    try:
        yield recording
        recording.close()
    finally:
        _recorder.reset(token)


def report(module: nn.Module, query: Tensor, key: Tensor, mask: Tensor | None = None, scaling: float | None = None) -> None:
    """Show one call of an attention module to whoever records it (see `record`). Nothing is computed when nobody does.

    Args:
        query, key: [B, H, t, d].
        mask: True or 0 lets through; None for no mask.
        scaling: of the products; None is d^−½.
    """
    recording = _recorder.get()
    if recording is not None:
        recording.see(module, query, key, mask, scaling)


@torch.no_grad()
def _softmax(query: Tensor, key: Tensor, mask: Tensor | None, scaling: float | None, whole: bool) -> tuple[Tensor, Tensor | None]:
    """Sum over the queries [B, H, t] and, if `whole`, the attention [B, H, q, t], both float32, a slice of queries at a time."""
    batch, heads, queries, width = query.shape
    factor = width**-0.5 if scaling is None else scaling
    keys = key.float().transpose(2, 3)
    received = torch.zeros(batch, heads, key.shape[2], device=key.device)
    rows: list[Tensor] = []
    step = max(1, _CHUNK // (batch * heads * key.shape[2]))
    for start in range(0, queries, step):
        logits = query[:, :, start : start + step].float() @ keys * factor
        if mask is not None:
            part = mask if mask.shape[-2] == 1 else mask[..., start : start + step, :]
            logits = logits.masked_fill(~part, -torch.inf) if part.dtype == torch.bool else logits + part.float()
        probabilities = logits.softmax(-1)
        received += probabilities.sum(2)
        if whole:
            rows.append(probabilities)
    return received, torch.cat(rows, 2) if whole else None


# ----------------------------------------------------------------------------------------------------------- encoders


class Encoder(nn.Module):
    """A vision transformer whose attention can be looked at.

    Attributes:
        family: its name for people, e.g. "DINOv2".
        model: the model of the library.
        n_layers: number of attention layers.
    """

    family: str
    model: Any
    n_layers: int

    def prepare(self, pixels: np.ndarray | Tensor) -> dict[str, Tensor]:
        """uint8 [H, W, 3] → what `forward` takes, preprocessed as published. Raises ValueError for anything else."""
        raise TypeError(f"{type(self).__name__} does not define prepare()")

    def seen(self, pixels: np.ndarray | Tensor) -> np.ndarray:
        """The picture that the model sees, cropped and resized as `prepare` does: uint8 [H, W, 3] → uint8 [h, w, 3]."""
        raise TypeError(f"{type(self).__name__} does not define seen()")

    def grid_of(self, inputs: Mapping[str, Tensor]) -> Grid:
        """(h, w) of the patches that these inputs give: known before the encoder runs."""
        raise TypeError(f"{type(self).__name__} does not define grid_of()")

    def look(self, inputs: Mapping[str, Tensor], opened: Collection[int], watch: Watch | None) -> AttentionMaps:
        raise TypeError(f"{type(self).__name__} does not define look()")

    @torch.no_grad()
    def forward(self, inputs: Mapping[str, Tensor], opened: Collection[int] = (), watch: Watch | None = None) -> AttentionMaps:
        """Run the encoder and return its attention.

        Args:
            inputs: what `prepare` returns; pictures of one size may be stacked along the first axis where the model allows it.
            opened: layers (from 1) whose full attention is kept.
            watch: called with (layer, attention [B, H, T, T]) after each layer; the matrix is not kept for that.

        Raises:
            ValueError: a layer does not exist, or the picture does not fit the model.
        """
        for layer in opened:
            if not 1 <= layer <= self.n_layers:
                raise ValueError(f"layer {layer} was asked for; the encoder has layers 1 to {self.n_layers}")
        weight = next(self.model.parameters())
        placed = {
            name: value.to(weight.device, weight.dtype if value.is_floating_point() else None) for name, value in dict(inputs).items()
        }
        return self.look(placed, opened, watch)


class PlainEncoder(Encoder):
    """One grid of patches, every patch sees every other: CLIP, SigLIP, ViT, DeiT, DINOv2, DINOv3, LLaVA's tower.

    Args:
        backbone: the model with its preprocessing.
        object_layer: layer that HiPrune takes for its anchors; half of the depth by default.
        passed: layers whose patch features go on to whatever reads the picture; the last one by default.
    """

    def __init__(self, backbone: Backbone, object_layer: int | None = None, passed: Sequence[int] = ()) -> None:
        super().__init__()
        self.backbone, self.family, self.model = backbone, backbone.family, backbone.model
        self.n_layers = int(backbone.config.num_hidden_layers)
        self.passed = tuple(passed) or (self.n_layers,)
        self.object_layer = object_layer or max(1, round(self.n_layers / 2))
        install(self.model)

    def prepare(self, pixels: np.ndarray | Tensor) -> dict[str, Tensor]:
        return {"pixel_values": self.backbone.preprocess(pixels)}

    def seen(self, pixels: np.ndarray | Tensor) -> np.ndarray:
        return self.backbone.preprocess.view(pixels)

    def grid_of(self, inputs: Mapping[str, Tensor]) -> Grid:
        height, width = inputs["pixel_values"].shape[-2:]
        down, across = _square(self.backbone.config.patch_size)
        return height // down, width // across

    def look(self, inputs: Mapping[str, Tensor], opened: Collection[int], watch: Watch | None) -> AttentionMaps:
        finished = None if watch is None else lambda number, layer: watch(number, layer.matrices[0])
        with record(self.model, opened, finished) as recording:
            features = self.backbone(inputs["pixel_values"])
        last = features[f"block {self.n_layers}"]
        grid = (last.shape[2], last.shape[3])
        _require_patches(grid)
        received = torch.stack([layer.received[0] for layer in recording.layers], 1)
        tokens = received.shape[-1]
        return AttentionMaps(
            received=received / tokens,
            grid=grid,
            prefix=tokens - grid[0] * grid[1],
            uniform=1 / tokens,
            suggested=(self.object_layer, self.passed[-1]),
            opened={layer: recording.layers[layer - 1].matrices[0] for layer in opened},
            features=_tokens(last),
            passed=torch.cat([_tokens(features[f"block {layer}"]) for layer in self.passed], -1),
        )


def _tokens(features: Tensor) -> Tensor:
    """[B, C, h, w] → [B, h·w, C]."""
    return features.flatten(2).transpose(1, 2)


def _require_patches(grid: Grid) -> None:
    if min(grid) < 4:
        raise ValueError(f"the picture gives {grid[0]} × {grid[1]} patches; at least 4 × 4 are needed to compare them")


class NaFlexEncoder(Encoder):
    """SigLIP 2 in its variable-resolution form: patches of any grid as a padded list. No token before the patches.

    Padding is cut off before the encoder runs, so that it neither attends nor is attended to.
    """

    def __init__(self, model: Any, processor: Mapping[str, Any]) -> None:
        super().__init__()
        self.family, self.model = "SigLIP 2", model
        self.n_layers = int(model.config.num_hidden_layers)
        self.patch_size = int(processor.get("patch_size", model.config.patch_size))
        self.max_patches = int(processor.get("max_num_patches", 256))
        self.read = _freely_sized(processor, FAMILIES["siglip"], Image.Resampling.BILINEAR)
        install(model)

    def seen(self, pixels: np.ndarray | Tensor) -> np.ndarray:
        return _resized(pixels, self.read, lambda size: fit_patches(size, self.patch_size, self.max_patches))

    def prepare(self, pixels: np.ndarray | Tensor) -> dict[str, Tensor]:
        values = self.read(self.seen(pixels))[0]
        h, w = values.shape[1] // self.patch_size, values.shape[2] // self.patch_size
        patches = values.reshape(3, h, self.patch_size, w, self.patch_size).permute(1, 3, 2, 4, 0).reshape(1, h * w, -1)
        mask = torch.ones(1, h * w, dtype=torch.int32)
        return {"pixel_values": patches, "pixel_attention_mask": mask, "spatial_shapes": torch.tensor([[h, w]])}

    def grid_of(self, inputs: Mapping[str, Tensor]) -> Grid:
        return int(inputs["spatial_shapes"][0, 0]), int(inputs["spatial_shapes"][0, 1])

    def look(self, inputs: Mapping[str, Tensor], opened: Collection[int], watch: Watch | None) -> AttentionMaps:
        shapes, mask = inputs["spatial_shapes"], inputs["pixel_attention_mask"].bool()
        if not (shapes == shapes[:1]).all():
            raise ValueError("the pictures have grids of different shapes; look at one picture at a time")
        grid = (int(shapes[0, 0]), int(shapes[0, 1]))
        _require_patches(grid)
        n = grid[0] * grid[1]
        if mask.shape[1] < n or not mask[:, :n].all() or mask[:, n:].any():
            raise ValueError(f"the attention mask does not mark the {n} patches of a grid of {grid[0]} × {grid[1]}")
        finished = None if watch is None else lambda number, layer: watch(number, layer.matrices[0])
        with record(self.model, opened, finished) as recording:
            result = self.model(
                pixel_values=inputs["pixel_values"][:, :n],
                pixel_attention_mask=mask[:, :n],
                spatial_shapes=shapes,
                output_hidden_states=True,
            )
        return AttentionMaps(
            received=torch.stack([layer.received[0] for layer in recording.layers], 1) / n,
            grid=grid,
            prefix=0,
            uniform=1 / n,
            suggested=(max(1, round(self.n_layers / 2)), self.n_layers),
            opened={layer: recording.layers[layer - 1].matrices[0] for layer in opened},
            features=result.hidden_states[-1],
            passed=result.hidden_states[-1],
        )


class QwenEncoder(Encoder):
    """The vision tower of Qwen2.5-VL: windowed and full attention layers, 2 × 2 patches merged into one token at the end.

    Tokens, scores and matrices are those of the merged grid, in raster order: a token's score is the mean of its patches'.
    """

    def __init__(self, model: Any, processor: Mapping[str, Any]) -> None:
        super().__init__()
        config = model.config
        self.family, self.model, self.n_layers = "Qwen2.5-VL", model, int(config.depth)
        self.full = tuple(sorted(int(index) + 1 for index in config.fullatt_block_indexes))
        self.merge, self.patch_size, self.frames = config.spatial_merge_size, config.patch_size, config.temporal_patch_size
        self.window = config.window_size // config.patch_size // config.spatial_merge_size
        size = processor.get("size") or {}
        self.pixels = (
            int(processor.get("min_pixels") or size.get("shortest_edge") or 56 * 56),
            int(processor.get("max_pixels") or size.get("longest_edge") or 28 * 28 * 1280),
        )
        self.read = _freely_sized(processor, FAMILIES["clip"], Image.Resampling.BICUBIC)
        install(model)

    @property
    def suggested(self) -> tuple[int, int]:
        """(16, 32) in the released tower of 32 layers; else the last full layer, and the full layer nearest to the middle."""
        before = self.full[:-1] or self.full
        return min(before, key=lambda layer: abs(layer - self.n_layers / 2)), self.full[-1]

    def seen(self, pixels: np.ndarray | Tensor) -> np.ndarray:
        return _resized(pixels, self.read, lambda size: fit_pixels(size, self.patch_size * self.merge, *self.pixels))

    def prepare(self, pixels: np.ndarray | Tensor) -> dict[str, Tensor]:
        values = self.read(self.seen(pixels))[0]
        side, merge = self.patch_size, self.merge
        h, w = values.shape[1] // side, values.shape[2] // side
        units = values.reshape(3, h // merge, merge, side, w // merge, merge, side).permute(1, 4, 2, 5, 0, 3, 6)
        frames = units[:, :, :, :, :, None].expand(-1, -1, -1, -1, -1, self.frames, -1, -1)  # a still picture fills every frame
        return {"pixel_values": frames.reshape(h * w, -1), "image_grid_thw": torch.tensor([[1, h, w]])}

    def grid_of(self, inputs: Mapping[str, Tensor]) -> Grid:
        _, h, w = inputs["image_grid_thw"][0].tolist()
        return h // self.merge, w // self.merge

    def look(self, inputs: Mapping[str, Tensor], opened: Collection[int], watch: Watch | None) -> AttentionMaps:
        shapes = inputs["image_grid_thw"]
        if shapes.shape[0] != 1:
            raise ValueError(f"{shapes.shape[0]} pictures were given; Qwen's tower is looked at one picture at a time")
        frames, h, w = shapes[0].tolist()
        if frames != 1:
            raise ValueError(f"the input is a video of {frames} steps; only still pictures are looked at")
        _require_patches((h, w))
        grid = (h // self.merge, w // self.merge)
        places = window_order(grid, self.window).argsort()
        finished = None if watch is None else lambda number, layer: watch(number, self._merged(layer.matrices, places))
        with record(self.model, opened, finished) as recording:
            result = self.model(inputs["pixel_values"], grid_thw=shapes)
        received = [torch.cat(layer.received, -1) for layer in recording.layers]
        units = torch.stack(received, 1).unflatten(-1, (-1, self.merge**2)).mean(-1)
        return AttentionMaps(
            received=units[..., places],
            grid=grid,
            prefix=0,
            uniform=1.0,
            suggested=self.suggested,
            windowed=tuple(number for number, layer in enumerate(recording.layers, 1) if len(layer.received) > 1),
            opened={layer: self._merged(recording.layers[layer - 1].matrices, places) for layer in opened},
            features=result.last_hidden_state.unflatten(0, (-1, self.merge**2)).mean(1)[places][None],
            passed=result.pooler_output[None],
        )

    def _merged(self, windows: Sequence[Tensor], places: Tensor) -> Tensor:
        """Attention between merged tokens in raster order, [1, H, N, N]: keys of a token summed, its queries averaged."""
        unit = self.merge**2
        sides = torch.tensor([matrix.shape[-1] // unit for matrix in windows])
        merged = torch.zeros(*windows[0].shape[:2], int(sides.sum()), int(sides.sum()), device=windows[0].device)
        for matrix, end, side in zip(windows, sides.cumsum(0).tolist(), sides.tolist(), strict=True):
            block = matrix.unflatten(2, (side, unit)).unflatten(4, (side, unit)).sum(5).mean(3)
            merged[..., end - side : end, end - side : end] = block
        return merged[:, :, places][..., places]


def window_order(grid: Grid, window: int) -> Tensor:
    """Raster indices of merged tokens in the order in which Qwen's tower keeps them, window after window, [N] int64.

    Args:
        grid: (h, w) of the merged tokens; windows at the right and lower edge are smaller.
        window: side of a window in merged tokens.
    """
    index = torch.arange(grid[0] * grid[1]).view(grid)
    return torch.cat([part.flatten() for row in index.split(window) for part in row.split(window, 1)])


# ------------------------------------------------------------------------------------------------------------- sizes


def fit_patches(size: Grid, patch: int, most: int) -> Grid:
    """(height, width) of the largest picture of about the same shape with at most `most` patches, in multiples of `patch`.

    Both sides are scaled by the same factor and rounded up; the factor is found by halving, as SigLIP 2's processor does.
    """

    def scaled(factor: float) -> Grid:
        height, width = (max(patch, math.ceil(side * factor / patch) * patch) for side in size)
        return height, width

    low, high = 1e-6, 100.0
    while high - low >= 1e-5:
        middle = (low + high) / 2
        height, width = scaled(middle)
        low, high = (middle, high) if height * width <= most * patch**2 else (low, middle)
    return scaled(low)


def fit_pixels(size: Grid, unit: int, least: int, most: int) -> Grid:
    """(height, width) in multiples of `unit` with `least` to `most` pixels and about the same shape, as Qwen's processor does.

    Raises:
        ValueError: one side is more than 200 times the other.
    """
    height, width = size
    if max(size) > 200 * min(size):
        raise ValueError(f"the picture is {height} × {width} pixels; one side may be at most 200 times the other")
    near = round(height / unit) * unit, round(width / unit) * unit
    if near[0] * near[1] > most:
        shrink = math.sqrt(height * width / most)
        return max(unit, math.floor(height / shrink / unit) * unit), max(unit, math.floor(width / shrink / unit) * unit)
    if near[0] * near[1] < least:
        grow = math.sqrt(least / (height * width))
        return math.ceil(height * grow / unit) * unit, math.ceil(width * grow / unit) * unit
    return near


def _freely_sized(processor: Mapping[str, Any], family: Any, resample: int) -> Preprocessing:
    """Preprocessing without a size of its own: the caller resizes."""
    told = {"resample": int(resample), **processor, "do_resize": False, "do_center_crop": False, "size": None}
    return Preprocessing.read(told, family, (1, 1))


def _resized(pixels: np.ndarray | Tensor, read: Preprocessing, fit: Callable[[Grid], Grid]) -> np.ndarray:
    picture = read.view(pixels)
    height, width = fit((picture.shape[0], picture.shape[1]))
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling(read.resample)))


# ------------------------------------------------------------------------------------------------------------ loading

_DINOV3 = replace(FAMILIES["dinov2"], title="DINOv3", resample=int(Image.Resampling.BILINEAR), enlarge=None, square=True)
_PLAIN = ("vit", "deit", "dinov2", "dinov2_with_registers", "clip", "clip_vision_model", "siglip", "siglip_vision_model")
_TITLES = ("ViT", "DeiT", "DINOv2", "DINOv2 with registers", "DINOv3", "CLIP", "SigLIP", "SigLIP 2", "LLaVA", "Qwen2.5-VL")
_LOCAL = {
    "swin": "Swin attends inside windows",
    "swinv2": "Swin attends inside windows",
    "pvt": "PVT attends to a coarser copy of the patches",
    "pvt_v2": "PVT attends to a coarser copy of the patches",
}


def load_encoder(name_or_folder: str | Path, *, local_files_only: bool = False) -> Encoder:
    """Load a vision encoder of the `transformers` library by its hub id or from a local folder, in float32, on the CPU.

    Of models of pictures and text the vision tower alone is loaded.

    Args:
        local_files_only: never ask the network: a hub id must already lie in the cache.

    Raises:
        ValueError: nothing is found, weights are missing, or the model has no attention between all patches.
    """
    name = str(name_or_folder)
    kind = (read_json(name, "config.json", local_files_only) or {}).get("model_type")
    if kind in _LOCAL:
        raise ValueError(f"HiPrune needs attention from every patch to every patch; {_LOCAL[kind]}. Supported are {', '.join(_TITLES)}")
    if kind in ("clip", "clip_vision_model"):
        backbone = load_backbone(name, local_files_only=local_files_only)
        return PlainEncoder(backbone, _object_layer(int(backbone.config.num_hidden_layers)))
    if kind is None or kind in _PLAIN:  # without a kind, the refusal of the loader says what is missing
        return PlainEncoder(load_backbone(name, local_files_only=local_files_only))
    processor = processor_settings(name, local_files_only)
    if kind == "dinov3_vit":
        model = _load_tower(name, {}, local_files_only)
        return PlainEncoder(PlainBackbone(model, _DINOV3, Preprocessing.read(processor, _DINOV3, _square(model.config.image_size))))
    if kind in ("siglip2", "siglip2_vision_model"):
        return NaFlexEncoder(_load_tower(name, {}, local_files_only), processor)
    if kind in ("llava", "llava_next"):
        model = _load_tower(name, {r"^(model\.)?vision_tower\.": ""}, local_files_only)
        return llava_encoder(model, _config(name, local_files_only), processor)
    if kind == "qwen2_5_vl":
        return QwenEncoder(_load_tower(name, {r"^(model\.)?visual\.": ""}, local_files_only), processor)
    raise ValueError(f"{name!r} is a model of type {kind!r}, which is not supported; supported are {', '.join(_TITLES)}")


def llava_encoder(tower: Any, config: Any, processor: Mapping[str, Any]) -> PlainEncoder:
    """The vision tower of a LLaVA model: the layers whose features the language model reads follow its configuration.

    Args:
        tower: the vision model of the library.
        config: configuration of the whole model.
        processor: content of the image processor's configuration.

    Raises:
        ValueError: the tower is of a family that is not supported.
    """
    kind = tower.config.model_type
    if kind not in _PLAIN:
        raise ValueError(f"the vision tower is of type {kind!r}; supported are towers of CLIP and SigLIP")
    family = replace(FAMILIES[kind], title=f"LLaVA's {FAMILIES[kind].title} tower")
    backbone = PlainBackbone(tower, family, Preprocessing.read(processor, family, _square(tower.config.image_size)))
    layers = int(tower.config.num_hidden_layers)
    told = config.vision_feature_layer
    # hidden_states[i] is the output of block i, so −1 is the last block's and −2 that of the block before.
    passed = [layer % (layers + 1) for layer in ([told] if isinstance(told, int) else told)]
    return PlainEncoder(backbone, _object_layer(layers), passed)


def _object_layer(layers: int) -> int | None:
    """The paper's object layer of CLIP-L, which has 24 layers; None for other depths."""
    return 9 if layers == 24 else None


def _square(size: int | Sequence[int]) -> Grid:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def processor_settings(name: str, local_files_only: bool) -> dict[str, Any]:
    """The image processor's configuration of a local folder or a hub model; empty where there is none."""
    told = read_json(name, "preprocessor_config.json", local_files_only)
    return told if told is not None else (read_json(name, "processor_config.json", local_files_only) or {}).get("image_processor", {})


def _config(name: str, local_files_only: bool) -> Any:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(name, local_files_only=local_files_only, trust_remote_code=False)


def _load_tower(name: str, renamed: Mapping[str, str], local_files_only: bool) -> Any:
    """The vision model of a folder, which may hold a language model beside it.

    Args:
        renamed: {pattern: replacement} from the names in the file to those of the vision model.
    """
    from transformers import AutoModel  # a second to import: only when it is needed

    where = {"local_files_only": local_files_only, "trust_remote_code": False}
    with quietly():
        try:
            config = _config(name, local_files_only)
            config = getattr(config, "vision_config", config)
            mapping = {"key_mapping": dict(renamed)} if renamed else {}
            model, info = AutoModel.from_pretrained(name, config=config, output_loading_info=True, **where, **mapping)
        except OSError as error:
            raise ValueError(f"the weights of {name!r} cannot be read: {error}") from error
    missing = sorted(info["missing_keys"])
    if missing:
        raise ValueError(f"{len(missing)} weights of the vision model are not in {name!r}, for example {missing[0]}")
    return model.float().eval().requires_grad_(False)
