"""CIFAR-10 and CIFAR-100 from disk, in either of two forms, and their augmentation.

the standard archive     cifar-10-batches-py/ (or cifar-10-python.tar.gz), cifar-100-python/ (or .tar.gz), as published by A. Krizhevsky
a mosaic pack            train_0.jpg … train_4.jpg, test.jpg (tiles of 32 × 32 pixels) and labels.npz
"""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


@dataclass(frozen=True)
class Pictures:
    """A labelled set: pixels uint8 [n, 3, 32, 32], labels int64 [n]."""

    pixels: Tensor
    labels: Tensor


def cifar10(folder: str | Path) -> tuple[Pictures, Pictures]:
    """The official training and test split.

    Raises:
        FileNotFoundError: neither form lies in `folder`; the message says what was looked for.
    """
    folder = Path(folder).expanduser()
    if (folder / "labels.npz").exists():
        return _from_mosaic(folder)
    archive = folder / "cifar-10-python.tar.gz"
    batches = folder if (folder / "data_batch_1").exists() else folder / "cifar-10-batches-py"
    if batches.exists():
        return _from_batches(lambda name: (batches / name).read_bytes())
    if archive.exists():
        with tarfile.open(archive) as tar:
            return _from_batches(lambda name: tar.extractfile(f"cifar-10-batches-py/{name}").read())  # type: ignore[union-attr]
    raise FileNotFoundError(
        f"no CIFAR-10 in {folder}: expected cifar-10-batches-py/, cifar-10-python.tar.gz, or train_0.jpg … test.jpg with labels.npz"
    )


def cifar100(folder: str | Path) -> tuple[Pictures, Pictures]:
    """The official training and test split of CIFAR-100; classes in alphabetical order.

    Raises:
        FileNotFoundError: neither form lies in `folder`; the message says what was looked for.
        ValueError: the pack has other than 100 classes.
    """
    folder = Path(folder).expanduser()
    if (folder / "labels.npz").exists():
        count = len(np.load(folder / "labels.npz")["classes"])
        if count != 100:
            raise ValueError(f"the pack in {folder} has {count} classes; CIFAR-100 has 100")
        return _from_mosaic(folder)

    def split(read: Callable[[str], bytes]) -> tuple[Pictures, Pictures]:
        return _batches(read, ["train"], b"fine_labels"), _batches(read, ["test"], b"fine_labels")

    archive = folder / "cifar-100-python.tar.gz"
    batches = folder if (folder / "train").is_file() else folder / "cifar-100-python"
    if batches.exists():
        return split(lambda name: (batches / name).read_bytes())
    if archive.exists():
        with tarfile.open(archive) as tar:
            return split(lambda name: tar.extractfile(f"cifar-100-python/{name}").read())  # type: ignore[union-attr]
    raise FileNotFoundError(
        f"no CIFAR-100 in {folder}: expected cifar-100-python/, cifar-100-python.tar.gz, or train_0.jpg … test.jpg with labels.npz"
    )


class _ArraysOnly(pickle.Unpickler):
    """The published batches are pickles of plain arrays; nothing else is allowed to load."""

    def find_class(self, module: str, name: str):
        if (module.split(".")[0], name) in {("numpy", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"unexpected object {module}.{name} in a CIFAR-10 batch")


def _from_batches(read) -> tuple[Pictures, Pictures]:
    return _batches(read, [f"data_batch_{i}" for i in range(1, 6)]), _batches(read, ["test_batch"])


def _batches(read: Callable[[str], bytes], names: list[str], key: bytes = b"labels") -> Pictures:
    parts = [_ArraysOnly(io.BytesIO(read(name)), encoding="bytes").load() for name in names]
    pixels = np.concatenate([part[b"data"] for part in parts]).reshape(-1, 3, 32, 32)
    labels = np.concatenate([part[key] for part in parts])
    return Pictures(torch.from_numpy(pixels.copy()), torch.from_numpy(labels).long())


def _from_mosaic(folder: Path) -> tuple[Pictures, Pictures]:
    def tiles(path: Path) -> np.ndarray:
        mosaic = np.asarray(Image.open(path))
        rows, cols = mosaic.shape[0] // 32, mosaic.shape[1] // 32
        return mosaic.reshape(rows, 32, cols, 32, 3).transpose(0, 2, 4, 1, 3).reshape(-1, 3, 32, 32)

    labels = np.load(folder / "labels.npz")
    train = np.concatenate([tiles(folder / f"train_{i}.jpg") for i in range(5)])
    return (
        Pictures(torch.from_numpy(train), torch.from_numpy(labels["train_y"]).long()),
        Pictures(torch.from_numpy(tiles(folder / "test.jpg")), torch.from_numpy(labels["test_y"]).long()),
    )


def normalised(pixels: Tensor, side: int) -> Tensor:
    """uint8 [n, 3, h, w] → float [n, 3, side, side], bilinear, zero mean and unit deviation per channel."""
    x = pixels.float().div_(255)
    x = (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    x = x.contiguous(memory_format=torch.channels_last)
    return F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False) if x.shape[-1] != side else x


def augmented(pixels: Tensor, generator: torch.Generator, pad: int = 4) -> Tensor:
    """Random shift by up to `pad` pixels (mirrored border) and random left–right flip, per picture. uint8 in and out."""
    n, _, side, _ = pixels.shape
    padded = F.pad(pixels.float(), (pad,) * 4, mode="reflect").to(torch.uint8)
    shift = torch.randint(0, 2 * pad + 1, (2, n, 1), generator=generator)
    rows = shift[0] + torch.arange(side)
    cols = shift[1] + torch.arange(side)
    flip = torch.rand(n, 1, generator=generator) < 0.5
    cols = torch.where(flip, cols.flip(1), cols)
    return padded[torch.arange(n)[:, None, None], :, rows[:, :, None], cols[:, None, :]].permute(0, 3, 1, 2)
