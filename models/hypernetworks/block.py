"""The last residual block of a ResNet-20 at any width: its function, its path, and its test when somebody has the pictures.

CIFAR-10 (A. Krizhevsky, 2009) does not ship. A folder that holds its test part, in any of the three usual forms, is enough.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.hypernetworks import walks
from models.hypernetworks.metamorphosis import Metamorphosis
from models.hypernetworks.neumeta import taps

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # of the training part, per channel
RECORD = 1 + 3 * 32 * 32  # bytes of a picture with its label in the binary form
COUNT = 500


@dataclass(frozen=True)
class Pictures:
    """Test pictures: x float [n, 3, 32, 32], zero mean and unit deviation per channel; y int64 [n], 0…9."""

    x: Tensor
    y: Tensor


class _ArraysOnly(pickle.Unpickler):
    """The published batches are pickles of plain arrays; nothing else is allowed to load."""

    def find_class(self, module: str, name: str) -> Any:
        if (module.split(".")[0], name) in {("numpy", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"unexpected object {module}.{name} in a CIFAR-10 batch")


def pictures_of(folder: str | Path, count: int = COUNT) -> Pictures:
    """The first pictures of the test part of CIFAR-10.

    Args:
        folder: holds `test_batch` (the Python form) or `test_batch.bin` (the binary form), itself or in the folder that the archive
            unpacks to, or `test.jpg` with `labels.npz` (tiles of 32 × 32 pixels in rows; `test_y`).

    Raises:
        ValueError: none of them is there, or it cannot be read; the message says what was looked for.
    """
    folder = Path(folder).expanduser()
    for where in (folder, folder / "cifar-10-batches-py", folder / "cifar-10-batches-bin"):
        for name, read in (("test_batch", _from_pickle), ("test_batch.bin", _from_records), ("test.jpg", _from_tiles)):
            if (where / name).is_file():
                try:
                    pixels, labels = read(where / name)
                    return _prepared(pixels[:count], labels[:count])
                except (OSError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
                    raise ValueError(f"{where / name} cannot be read as the test part of CIFAR-10 ({error})") from None
    raise ValueError(f"no test part of CIFAR-10 in {folder}: expected test_batch, test_batch.bin, or test.jpg with labels.npz")


def _from_pickle(path: Path) -> tuple[np.ndarray, np.ndarray]:
    found = _ArraysOnly(io.BytesIO(path.read_bytes()), encoding="bytes").load()
    return np.asarray(found[b"data"]).reshape(-1, 3, 32, 32), np.asarray(found[b"labels"])


def _from_records(path: Path) -> tuple[np.ndarray, np.ndarray]:
    records = np.fromfile(path, np.uint8).reshape(-1, RECORD)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]


def _from_tiles(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with Image.open(path) as image:
        mosaic = np.asarray(image.convert("RGB"))
    rows, cols = mosaic.shape[0] // 32, mosaic.shape[1] // 32
    with np.load(path.with_name("labels.npz")) as labels:
        return mosaic.reshape(rows, 32, cols, 32, 3).transpose(0, 2, 4, 1, 3).reshape(-1, 3, 32, 32), labels["test_y"]


def _prepared(pixels: np.ndarray, labels: np.ndarray) -> Pictures:
    if len(pixels) == 0 or len(pixels) != len(labels) or labels.min() < 0 or labels.max() > 9:
        raise ValueError("pictures and labels do not fit together")
    x = torch.from_numpy(pixels.copy()).float().div(255)
    x = (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    return Pictures(x, torch.from_numpy(labels.astype(np.int64)))


@torch.no_grad()
def entered(family: Metamorphosis, pictures: Pictures) -> Tensor:
    """What enters the block, [n, 64, 8, 8]: the same for all widths, so it is computed once."""
    return torch.cat([family.entering(part) for part in pictures.x.split(100)])


@torch.no_grad()
def seen(family: Metamorphosis, width: int, tensor: str, places: int = 96) -> Tensor:
    """The middle entry of one tensor's kernels as the function gives it when told this width, times its inputs: [places, places] (a vector: [places, 1]).

    Raises:
        KeyError: no such tensor. ValueError: the width cannot be generated.
    """
    shapes = family.family.shapes(width)
    shape = shapes[tensor]
    at = torch.arange(places) / places
    values = family.neumeta.read(shapes, tensor, at, at if len(shape) > 1 else at[:1])
    return values[..., values.shape[-1] // 2] * (*shape, 1)[1]


@torch.no_grad()
def lattice(weights: Mapping[str, Tensor], tensor: str) -> Tensor:
    """The middle entry of every generated kernel of one tensor, times its inputs: [N0, N1]."""
    values = weights[tensor]
    outputs, inputs = (*values.shape, 1)[:2]
    middle = taps(values.reshape(outputs, inputs, -1), values.shape)
    return middle[..., middle.shape[-1] // 2] * inputs


@torch.no_grad()
def path(family: Metamorphosis, widths: list[int], places: int = 8) -> Tensor:
    """All functions of the block read at the same places, a vector per width: [widths, n]."""
    return torch.stack([walks.resampled(family, width, places) for width in widths])


def size(family: Metamorphosis, width: int) -> int:
    """Numbers in the block."""
    return sum(math.prod(shape) for shape in family.family.shapes(width).values())
