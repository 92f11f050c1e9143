"""A released YOLOv13 file (.pt) → safetensors, without running anything that is in it.

    python -m models.hypergraphs.convert yolov13n.pt yolov13n.safetensors

A .pt file of that project is a pickle of whole module objects; to unpickle one in the usual way is to run code that its author
chose. Here every class and function that the file names is replaced by an inert stand-in that remembers what it was given; only
tensors, sets and ordered dictionaries are made. The tree of stand-ins is then walked for parameters and buffers, and the result must
fit one of the released configurations. To be run by the owner of a file, never by the app.
"""

from __future__ import annotations

import argparse
import io
import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors.torch import save_file
from torch import Tensor

from models.checkpoints import CheckpointError
from models.hypergraphs.yolov13 import LICENCE, from_state, recognise

MAX_PICKLE_BYTES = 64 * 2**20  # of the pickle itself; the numbers lie beside it
MAX_DEPTH = 64  # of modules in modules
MAX_MODULES = 1 << 14
WHERE = ("ema", "model")  # the averaged weights, where a training checkpoint has them, are the ones that were reported
STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def read_modules(path: Path) -> dict[str, Tensor]:
    """The state dict of the module that a PyTorch file holds as an object, floating-point tensors in float32.

    Raises:
        CheckpointError: another format, a damaged or compressed archive, a tensor outside its storage, or no module in it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = _Inert(archive, path.stat().st_size).load()
    except CheckpointError:
        raise
    except zipfile.BadZipFile:
        raise CheckpointError("This is no file of torch.save (1.6 or later), which is a zip archive.") from None
    except Exception:  # unpicklers and archive readers raise nearly anything on a broken file
        raise CheckpointError("The file is damaged or cannot be read.") from None
    state = dict(_tensors(_module(found)))
    if not state:
        raise CheckpointError("The module in this file has no parameters.")
    return state


def convert(source: Path, target: Path) -> str:
    """Write the weights of a .pt file as safetensors; returns the name of the configuration that they fit.

    Raises:
        CheckpointError: as `read_modules`, or the weights fit none of the released configurations.
    """
    state = read_modules(source)
    from_state(state)
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, target, {"source": source.name, "licence": LICENCE})
    return recognise(state)[0]


# ----------------------------------------------------------------------------------------------------- the unpickler


class _StandIn:
    """Stands for an object of a class that is not made. Takes whatever a pickle does to an object, and does nothing."""

    state: Any = None

    def __new__(cls, *_: Any, **__: Any) -> _StandIn:
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> _StandIn:
        return _StandIn()

    def __setstate__(self, state: Any) -> None:
        self.__dict__["state"] = state

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        pass

    def extend(self, values: Any) -> None:
        pass

    def add(self, value: Any) -> None:
        pass


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: torch.dtype
    numel: int


class _Inert(pickle.Unpickler):
    """Reads `data.pkl` of an open archive of `size` bytes. Nothing that it names is imported."""

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        parts = archive.infolist()
        # Parts that are compressed, or that share their bytes, would grow without limit.
        if any(part.compress_type != zipfile.ZIP_STORED for part in parts) or sum(part.file_size for part in parts) > size:
            raise CheckpointError("The parts of this file are compressed, which torch.save never does.")
        names = [part.filename for part in parts if part.filename.rpartition("/")[2] == "data.pkl"]
        if len(names) != 1:
            raise CheckpointError("The archive holds no single data.pkl; it was not written by torch.save.")
        self.archive, self.folder = archive, names[0].removesuffix("data.pkl")
        if archive.getinfo(names[0]).file_size > MAX_PICKLE_BYTES:
            raise CheckpointError(f"The description of the module is larger than {MAX_PICKLE_BYTES // 2**20} MB.")
        if f"{self.folder}byteorder" in archive.namelist() and archive.read(f"{self.folder}byteorder") != b"little":
            raise CheckpointError("The numbers are stored with the highest byte first; save the file on a usual machine.")
        self.storages: dict[str, Tensor] = {}
        super().__init__(io.BytesIO(archive.read(names[0])))

    def find_class(self, module: str, name: str) -> Any:
        known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("builtins", "set"): set,
            ("__builtin__", "set"): set,
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("torch._utils", "_rebuild_parameter"): self._parameter,
        }
        if (module, name) in known:
            return known[module, name]
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        return type("StandIn", (_StandIn,), {})

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, numel = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype) or not isinstance(key, str) or type(numel) is not int:
            self._refuse("a tensor of a kind that is not read")
        return _Storage(key, dtype, numel)

    def _parameter(self, data: Any, *_: Any) -> Any:
        return data

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
        whole = [offset, *size, *stride]
        if not isinstance(storage, _Storage) or any(type(n) is not int or n < 0 for n in whole) or len(size) != len(stride):
            self._refuse("a tensor without a proper shape")
        values = self._values(storage)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if 0 in size:
            return values.new_zeros(size)
        # A stride of 0 repeats a number: a small file could grow to any size.
        if last >= values.numel() or torch.Size(size).numel() > values.numel():
            self._refuse("a tensor that reaches beyond its numbers")
        return values.as_strided(size, stride, offset).clone()

    def _values(self, storage: _Storage) -> Tensor:
        if storage.key not in self.storages:
            data = bytearray(self.archive.read(f"{self.folder}data/{storage.key}"))
            if len(data) != storage.numel * storage.dtype.itemsize:
                self._refuse("a tensor with fewer or more numbers than it says")
            self.storages[storage.key] = torch.frombuffer(data, dtype=storage.dtype) if data else torch.zeros(0, dtype=storage.dtype)
        values = self.storages[storage.key]
        if values.dtype != storage.dtype:
            self._refuse("one set of numbers read as two types")
        return values

    def _refuse(self, what: str) -> NoReturn:
        raise CheckpointError(f"The file holds {what}, and is not read for that reason.")


# -------------------------------------------------------------------------------------------------- the tree of stand-ins


def _attributes(found: Any) -> Mapping[str, Any]:
    """What an object that was a module remembers: its __dict__; empty for anything else."""
    state = found.state if isinstance(found, _StandIn) else None
    return state if isinstance(state, dict) and "_modules" in state else {}


def _module(found: Any) -> Any:
    candidates = [found, *(found.get(name) for name in WHERE)] if isinstance(found, dict) else [found]
    module = next((candidate for candidate in candidates if _attributes(candidate)), None)
    if module is None:
        raise CheckpointError(
            "The file holds no module, neither at the top nor under 'ema' or 'model'. A plain state dict needs no conversion."
        )
    return module


def _tensors(module: Any) -> Iterator[tuple[str, Tensor]]:
    """Parameters and persistent buffers by the name that state_dict() would give them."""
    waiting, visited = [("", module)], 0
    while waiting:
        prefix, found = waiting.pop()
        visited += 1
        if prefix.count(".") > MAX_DEPTH or visited > MAX_MODULES:  # a pickle can hold itself
            raise CheckpointError(f"The file holds more than {MAX_MODULES} modules, or modules nested more than {MAX_DEPTH} deep.")
        attributes = _attributes(found)
        transient = attributes.get("_non_persistent_buffers_set")
        hidden = transient if isinstance(transient, set) else set()
        buffers = [(name, tensor) for name, tensor in _items(attributes.get("_buffers")) if name not in hidden]
        for name, tensor in [*_items(attributes.get("_parameters")), *buffers]:
            if isinstance(tensor, Tensor):
                yield prefix + name, tensor.float() if tensor.is_floating_point() else tensor
        waiting += [(f"{prefix}{name}.", part) for name, part in _items(attributes.get("_modules"))]


def _items(mapping: Any) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in mapping.items() if isinstance(name, str)] if isinstance(mapping, dict) else []


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m models.hypergraphs.convert", description="A released YOLOv13 .pt file → safetensors.")
    parser.add_argument("source", type=Path, help="the .pt file; nothing in it is run")
    parser.add_argument("target", type=Path, help="the .safetensors file to write")
    given = parser.parse_args(arguments)
    try:
        name = convert(given.source, given.target)
    except (CheckpointError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{given.target}: {name}. Licence of the weights: {LICENCE}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
