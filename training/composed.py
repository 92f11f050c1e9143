"""Pictures for a detector, composed as they are needed: garments with real outlines, painted onto photographs.

A garment is a picture of Fashion-MNIST, whose black ground gives its outline. It is enlarged, turned, coloured, given a photograph's
texture, and painted over the scene, so that boxes and masks are known to the pixel. Every scene follows from (seed, number)
alone; nothing is stored.

garments   train.png, test.png (mosaics of 28 × 28 pixels) with labels.npz, or the four published idx files (….gz or unpacked)
photos     a folder of JPEG, PNG or WebP files, or an .npz of such files (`data` or `image`, with `offset` or `image_offset`)
"""

from __future__ import annotations

import gzip
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

CLASSES = ("top", "trousers", "dress", "sandal", "sneaker", "boot", "bag")
OF_FASHION = (0, 1, 0, 2, 0, 3, 0, 4, 6, 5)  # T-shirt, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle boot
TILE, MARGIN = 28, 8
PHOTO_ENDS = (".jpg", ".jpeg", ".png", ".webp")
HELD_OUT = 5  # every fifth photograph serves the test scenes
FAINTEST = 15  # grey value that still belongs to a garment
LENGTHS = (math.log(0.17), math.log(0.75))  # logarithm of a garment's size as a share of the scene's
LEAST_SHOWN = 0.6  # share of an object inside the picture, and of it that no later object covers
TRIES = 8


@dataclass(frozen=True)
class Stock:
    """What scenes are made of.

    Attributes:
        tiles: grey garments on black, uint8 [n, 28, 28].
        labels: index into CLASSES, [n].
        photos: uint8 [h, w, 3] each.
    """

    tiles: np.ndarray
    labels: np.ndarray
    photos: Sequence[np.ndarray]

    @cached_property
    def of_class(self) -> list[np.ndarray]:
        """Numbers of the garments of each class."""
        return [np.flatnonzero(self.labels == label) for label in range(len(CLASSES))]


@dataclass(frozen=True)
class ComposedScene:
    """A picture and what is in it.

    Attributes:
        pixels: uint8 [3, side, side].
        boxes: left, top, right, bottom in pixels, [n, 4]; the part of each object inside the picture, covered or not.
        labels: index into CLASSES, [n] int64.
        masks: the pixels where each object is seen, [n, side, side] bool; no two overlap.
    """

    pixels: Tensor
    boxes: Tensor
    labels: Tensor
    masks: Tensor


def stocks(garments: str | Path, photos: Sequence[str | Path]) -> tuple[Stock, Stock]:
    """Material of the training and of the test scenes: official splits of the garments, and photographs of which each serves one.

    Raises:
        FileNotFoundError: the garments or the photographs are not there; the message says what was looked for.
    """
    train, test = (tiles_of(Path(garments).expanduser(), split) for split in ("train", "test"))
    pictures = [picture for place in photos for picture in read_photos(place)]
    held_out = pictures[::HELD_OUT]
    seen = [picture for i, picture in enumerate(pictures) if i % HELD_OUT] or held_out
    return Stock(*train, seen), Stock(*test, held_out)


def read_photos(place: str | Path) -> list[np.ndarray]:
    """The photographs of a folder (by name) or of an .npz, as RGB uint8 [h, w, 3], the shorter side at most 256 pixels."""
    place = Path(place).expanduser()
    if place.is_file() and place.suffix == ".npz":
        pack = np.load(place)
        data, offset = (pack[next(key for key in keys if key in pack)] for keys in (("data", "image"), ("offset", "image_offset")))
        files = [io.BytesIO(data[a:b].tobytes()) for a, b in pairwise(offset)]
        return [_rgb(file) for file in files]
    found = sorted(path for path in place.rglob("*") if path.suffix.lower() in PHOTO_ENDS) if place.is_dir() else []
    if not found:
        raise FileNotFoundError(f"no photographs in {place}: expected a folder of {', '.join(PHOTO_ENDS)} files, or an .npz of them")
    return [_rgb(path) for path in found]


def _rgb(file: Path | io.BytesIO) -> np.ndarray:
    image = Image.open(file).convert("RGB")
    scale = 256 / min(image.size)
    return np.asarray(image if scale >= 1 else image.resize((round(image.width * scale), round(image.height * scale))))


def tiles_of(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Garments of Fashion-MNIST's "train" or "test" split, uint8 [n, 28, 28], and their index into CLASSES, [n]."""
    merged = np.array(OF_FASHION)
    if (folder / "labels.npz").exists():
        mosaic = np.asarray(Image.open(folder / f"{split}.png").convert("L"))
        rows = mosaic.shape[0] // TILE
        tiles = mosaic.reshape(rows, TILE, -1, TILE).swapaxes(1, 2).reshape(-1, TILE, TILE)
        labels = np.load(folder / "labels.npz")[f"{split}_y"]
        return tiles[: len(labels)], merged[labels]
    stem = "train" if split == "train" else "t10k"
    pixels, labels = (_idx(folder, f"{stem}-{part}-ubyte") for part in ("images-idx3", "labels-idx1"))
    return np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, TILE, TILE), merged[np.frombuffer(labels, np.uint8, offset=8)]


def _idx(folder: Path, name: str) -> bytes:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists():
            return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    raise FileNotFoundError(f"no Fashion-MNIST in {folder}: expected train.png and test.png with labels.npz, or {name}(.gz)")


# ------------------------------------------------------------------------------------------------------------- a scene


def compose(stock: Stock, seed: int, number: int, side: int = 160, most: int = 6) -> ComposedScene:
    """Scene `number` of the series `seed`: a square picture of `side` pixels with one to `most` objects."""
    random = np.random.default_rng((seed, number))
    canvas = _background(stock, random, side)
    boxes: list[tuple[int, int, int, int]] = []
    masks: list[np.ndarray] = []
    labels: list[int] = []
    for _ in range(random.integers(1, most + 1)):
        label = int(random.integers(len(CLASSES)))
        grey, opacity = _cut_out(stock.tiles[random.choice(stock.of_class[label])], random, side)
        if not grey.size:
            continue
        place = _place(opacity > 0.5, masks, random, side)
        if place is None:
            continue
        (left, top), shown = place
        _paint(canvas, _coloured(grey, stock, random), opacity, left, top)
        for mask in masks:
            mask &= ~shown
        rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
        boxes.append((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
        masks.append(shown)
        labels.append(label)
    pixels = np.rint(canvas.clip(0, 1) * 255).astype(np.uint8)
    return ComposedScene(
        pixels=torch.from_numpy(pixels).permute(2, 0, 1).contiguous(),
        boxes=torch.tensor(np.array(boxes, dtype=np.float32).reshape(-1, 4)),
        labels=torch.tensor(labels, dtype=torch.int64),
        masks=torch.from_numpy(np.array(masks, dtype=bool).reshape(-1, side, side)),
    )


def _background(stock: Stock, random: np.random.Generator, side: int) -> np.ndarray:
    """Part of a photograph, perhaps mirrored, its light changed a little: float [side, side, 3] from 0 to 1."""
    crop = _crop(stock, random, (side, side), least=0.5)
    return crop * random.uniform(0.7, 1.2) + random.uniform(-0.08, 0.08)


def _crop(stock: Stock, random: np.random.Generator, size: tuple[int, int], least: float) -> np.ndarray:
    """A part of a random photograph, at least `least` of its shorter side, as float [*size, 3]."""
    photo = stock.photos[int(random.integers(len(stock.photos)))]
    height, width = photo.shape[:2]
    length = random.uniform(least, 1) * min(height, width)
    left, top = random.uniform(0, width - length), random.uniform(0, height - length)
    image = Image.fromarray(photo).resize(size[::-1], Image.Resampling.BILINEAR, box=(left, top, left + length, top + length))
    crop = np.asarray(image, dtype=np.float32) / 255
    return crop[:, ::-1] if random.random() < 0.5 else crop


def _cut_out(tile: np.ndarray, random: np.random.Generator, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The garment enlarged and turned: grey value and opacity, both [h, w] from 0 to 1, without empty rows and columns."""
    padded = np.pad(tile, MARGIN)
    grey, solid = Image.fromarray(padded), Image.fromarray(np.where(padded > FAINTEST, 255, 0).astype(np.uint8))
    # Closed by one pixel: dark seams inside a garment belong to it.
    outline = solid.filter(ImageFilter.MaxFilter(3)).filter(ImageFilter.MinFilter(3))
    length = side * math.exp(random.uniform(*LENGTHS))  # of the garment's 28 pixels
    stretch = math.exp(random.normal(0, 0.1))
    height, width = (max(8, round(length * grey.width / TILE * s)) for s in (stretch, 1 / stretch))
    angle, mirror = math.radians(random.normal(0, 12)), random.choice((-1, 1))
    along, across, half = grey.width / width, grey.width / height, grey.width / 2
    a, b, d, e = math.cos(angle) * mirror * along, -math.sin(angle) * across, math.sin(angle) * mirror * along, math.cos(angle) * across
    turn = (a, b, half - (a * width + b * height) / 2, d, e, half - (d * width + e * height) / 2)
    both = Image.merge("RGB", (grey, outline, outline)).transform((width, height), Image.Transform.AFFINE, turn, Image.Resampling.BILINEAR)
    values = np.asarray(both, dtype=np.float32) / 255
    opacity = ((values[..., 1] - 0.3) / 0.4).clip(0, 1)
    rows, columns = np.flatnonzero(opacity.any(1)), np.flatnonzero(opacity.any(0))
    if not len(rows):
        return values[:0, :0, 0], opacity[:0, :0]
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    return values[(*box, 0)] / max(values[..., 0].max(), 1e-6), opacity[box]


def _coloured(grey: np.ndarray, stock: Stock, random: np.random.Generator) -> np.ndarray:
    """A garment in a colour, with the texture of some photograph (faint, strong, or all its colours): [h, w, 3] from 0 to 1."""
    shade = 0.35 + 0.65 * (1 - grey if random.random() < 0.3 else grey)
    texture = _crop(stock, random, grey.shape, least=0.15)
    if random.random() < 0.2:
        return texture * shade[..., None]
    pattern = texture.mean(2) - texture.mean()
    colour = random.uniform(0.05, 1, 3)
    return (shade * (1 + random.uniform(0, 1.2) * pattern))[..., None] * colour


def _place(
    solid: np.ndarray, masks: Sequence[np.ndarray], random: np.random.Generator, side: int
) -> tuple[tuple[int, int], np.ndarray] | None:
    """Where a new object hides none too much, and the pixels that it covers there, [side, side] bool; None if no try found a place."""
    height, width = solid.shape
    whole = [mask.sum() for mask in masks]
    for _ in range(TRIES):
        left = int(random.integers(round(-0.2 * width), max(round(side - 0.8 * width), 0) + 1))
        top = int(random.integers(round(-0.2 * height), max(round(side - 0.8 * height), 0) + 1))
        shown = np.zeros((side, side), dtype=bool)
        canvas, part = _window(height, width, left, top, side)
        shown[canvas] = solid[part]
        if shown.sum() < max(LEAST_SHOWN * solid.sum(), 1):
            continue
        if all((mask & ~shown).sum() >= LEAST_SHOWN * area for mask, area in zip(masks, whole, strict=True)):
            return (left, top), shown
    return None


def _paint(canvas: np.ndarray, colours: np.ndarray, opacity: np.ndarray, left: int, top: int) -> None:
    window, part = _window(opacity.shape[0], opacity.shape[1], left, top, len(canvas))
    alpha = opacity[part][..., None]
    canvas[window] = canvas[window] * (1 - alpha) + colours[part] * alpha


def _window(height: int, width: int, left: int, top: int, side: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The part of a canvas that a patch at (left, top) covers, and the part of the patch that lies on it."""
    a, b, c, d = max(top, 0), min(top + height, side), max(left, 0), min(left + width, side)
    return (slice(a, b), slice(c, d)), (slice(a - top, b - top), slice(c - left, d - left))
