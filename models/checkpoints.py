"""Reading a weight file that somebody else made.

    state = read_state(path)                 # safetensors, checked before the library sees it
    load_strict(model, state)                # all or nothing

A safetensors file holds no code, but its header can claim anything. A pickle can run code: PyTorch files are read only
when the caller trusts them, and then with `weights_only=True`.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

import safetensors.torch
import torch
from torch import Tensor, nn

MAX_BYTES = 64 * 2**20  # of a file that is not trusted
MAX_HEADER_BYTES = 2**20
MAX_TENSORS = 4096
MAX_NAMED = 10  # tensors that a message lists

# The types of the safetensors format that a network here can use, and their bytes per value.
DTYPE_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}
DTYPES = frozenset({torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.uint8, torch.bool})

# Where published files keep the weights, best first: papers report the averaged (EMA) weights where they have them.
CONTAINERS = ("state_dict_ema", "model_ema", "state_dict", "model")
PREFIXES = ("module.", "_orig_mod.")  # DataParallel, torch.compile

SAVE_AS_SAFETENSORS = "Save the weights with safetensors.torch.save_file and send that .safetensors file."


class CheckpointError(ValueError):
    """A weight file is refused. The message says in plain words what is wrong and what would be accepted."""


def read_state(path: str | os.PathLike[str], *, trusted: bool = False) -> dict[str, Tensor]:
    """The tensors of a weight file by name, on the CPU, unwrapped, finite.

    Args:
        path: of a safetensors file; of a PyTorch file (.pt, .pth, .bin) only when `trusted`. The name plays no part.
        trusted: the file is the caller's own. Lifts the limit of 64 MB and lets PyTorch files in; still nothing of
            them is executed.

    Raises:
        CheckpointError: another format, a header that does not fit the data, more than 4096 tensors, an unusual
            type, a value that is NaN or infinite, or no tensor at all.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # opening a pipe or a device could wait for ever
            raise OSError("not a regular file")
        with open(path, "rb") as file:
            is_pytorch = _is_pytorch(file.read(9))
            if is_pytorch and not trusted:
                raise CheckpointError(f"This is a PyTorch or pickle file, which can run code when it is opened. {SAVE_AS_SAFETENSORS}")
            if status.st_size > MAX_BYTES and not trusted:
                raise CheckpointError(f"The file has {status.st_size / 2**20:.0f} MB; at most {MAX_BYTES // 2**20} MB are read.")
            file.seek(0)
            state = unwrap(_load_pytorch(file, status.st_size) if is_pytorch else _load_safetensors(file, status.st_size))
    except (OSError, safetensors.SafetensorError):
        # Without the cause, which would carry the path of the file into the log.
        raise CheckpointError(f"The weight file cannot be read. {SAVE_AS_SAFETENSORS}") from None
    _check_values(state)
    return state


def unwrap(container: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights inside what a training script saved.

    Goes into `state_dict_ema`, `model_ema`, `state_dict` or `model` (in this order) while one of them holds a mapping,
    keeps the tensors and drops the book-keeping around them (epoch, optimiser), and strips `module.` and `_orig_mod.`
    where every name begins so.

    Raises:
        CheckpointError: nothing in it is a tensor, or a name is no text.
    """
    found: Mapping[str, Any] = container
    seen: list[Mapping[str, Any]] = []
    while inner := next((found[key] for key in CONTAINERS if isinstance(found.get(key), Mapping)), None):
        if any(inner is mapping for mapping in seen):  # a pickle can hold itself
            break
        seen.append(inner)
        found = inner
    state = {name: value.detach() for name, value in found.items() if isinstance(value, Tensor)}
    if not state:
        raise CheckpointError(f"The file holds no weights where they are looked for: at the top, or in {' or '.join(CONTAINERS)}.")
    if not all(isinstance(name, str) for name in state):
        raise CheckpointError("The weights must have names, as in the state_dict() of a module.")
    while prefix := next((p for p in PREFIXES if all(name.startswith(p) for name in state)), None):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def load_strict(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy `state` into `model`: every tensor, or none.

    Floating-point types are converted to the model's own; the model's buffers count like its parameters.

    Raises:
        CheckpointError: names up to ten tensors each that are missing, unexpected, of another shape or kind of
            number, or too large for the model's precision. The model is unchanged.
    """
    wanted = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    problems = [
        _listed("missing from the file", [_plain(name) for name in wanted if name not in state]),
        _listed("unknown to the model", [_plain(name) for name in state if name not in wanted]),
        _listed("different", [text for name in wanted if name in state and (text := _difference(name, wanted[name], state[name]))]),
    ]
    if any(problems):
        raise CheckpointError("The weights do not fit this model. " + " ".join(filter(None, problems)))
    model.load_state_dict(dict(state), strict=True)


def _difference(name: str, wanted: Tensor, given: Tensor) -> str:
    if wanted.shape != given.shape:
        return f"{_plain(name)} is {_shape(given)} and should be {_shape(wanted)}"
    if wanted.dtype == given.dtype:
        return ""
    if not (wanted.is_floating_point() and given.is_floating_point()):
        return f"{_plain(name)} holds {_kind(given)} and should hold {_kind(wanted)}"
    return "" if given.to(wanted.dtype).isfinite().all() else f"{_plain(name)} holds values too large for {_kind(wanted)}"


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f"{len(names)} {what}: {', '.join(names[:MAX_NAMED])}{more}."


def _plain(name: object) -> str:
    """A name out of a foreign file, safe to show: letters, digits and `. _ - / :` only, at most 80 characters."""
    return re.sub(r"[^\w./:-]", "?", str(name)[:80], flags=re.ASCII) or "(no name)"


def _shape(tensor: Tensor) -> str:
    return " × ".join(map(str, tensor.shape)) or "a single number"


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _check_values(state: Mapping[str, Tensor]) -> None:
    unusual = [
        name
        for name, tensor in state.items()
        if tensor.layout != torch.strided
        or tensor.device.type != "cpu"
        or tensor.dtype not in DTYPES
        # A view that repeats a few stored numbers: it would grow to any size when it is copied.
        or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes()
    ]
    if unusual:
        raise CheckpointError(
            f"Only dense tensors of floating-point, whole or true-or-false numbers are read. {_listed('other', list(map(_plain, unusual)))}"
        )
    broken = [name for name, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if broken:
        raise CheckpointError(f"All weights must be finite numbers. {_listed('with NaN or infinity', list(map(_plain, broken)))}")


# ------------------------------------------------------------------------------------------------------- safetensors


def _load_safetensors(file: BinaryIO, size: int) -> dict[str, Tensor]:
    """The tensors of an open file of `size` bytes (eight bytes of header length, header in JSON, data)."""
    if size == 0:
        raise CheckpointError(f"The file is empty. {SAVE_AS_SAFETENSORS}")
    start = file.read(9)
    length = int.from_bytes(start[:8], "little")
    if start[8:] != b"{":
        raise CheckpointError(f"This is not a safetensors file. {SAVE_AS_SAFETENSORS}")
    if length > size - 8:
        raise CheckpointError(f"The file is cut off, or its header lies about its own length. {SAVE_AS_SAFETENSORS}")
    if length > MAX_HEADER_BYTES:
        raise CheckpointError(f"The header has {length / 2**20:.1f} MB; at most 1 MB, enough for {MAX_TENSORS} tensors, is read.")
    file.seek(8)
    _check_header(_parse_header(file.read(length)), size - 8 - length)
    file.seek(0)
    return safetensors.torch.load(file.read())


def _check_header(header: dict[str, Any], data_bytes: int) -> None:
    """Raise CheckpointError unless the header describes the data exactly: in order, without a gap or an overlap."""
    entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    if len(entries) > MAX_TENSORS:
        raise CheckpointError(f"The file holds {len(entries)} tensors; at most {MAX_TENSORS} are read.")
    expected = 0
    for begin, end, name in sorted(_span(name, entry) for name, entry in entries.items()):
        if begin != expected:
            raise CheckpointError(f"The data of {_plain(name)} overlaps another tensor's or leaves a gap. {SAVE_AS_SAFETENSORS}")
        expected = end
    if expected != data_bytes:
        raise CheckpointError(f"The header promises {expected} bytes of data and the file holds {data_bytes}. {SAVE_AS_SAFETENSORS}")


def _parse_header(text: bytes) -> dict[str, Any]:
    def unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        pairs = list(pairs)
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a name occurs twice")
        return dict(pairs)

    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError):  # no JSON, no UTF-8, a number of a million digits, a name twice, nested too deep
        header = None
    if not isinstance(header, dict):
        raise CheckpointError(f"The header of the file is damaged. {SAVE_AS_SAFETENSORS}")
    return header


def _span(name: str, entry: Any) -> tuple[int, int, str]:
    """(first byte, byte after the last, name) of a tensor, its type and shape checked against them."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"The header does not give type, shape and place of {_plain(name)}. {SAVE_AS_SAFETENSORS}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BYTES:
        raise CheckpointError(f"The type of {_plain(name)} is not read here; these are: {', '.join(DTYPE_BYTES)}.")
    if not _whole_numbers(shape) or len(shape) > 8 or not _whole_numbers(offsets) or len(offsets) != 2:
        raise CheckpointError(f"The shape or the place of {_plain(name)} is not a list of whole numbers. {SAVE_AS_SAFETENSORS}")
    # A side of 0 hides how large the others are, and torch overflows on them: bound the shape without its zeros too.
    fits = offsets[1] - offsets[0] == math.prod(shape) * DTYPE_BYTES[dtype] and math.prod(max(1, n) for n in shape) < 2**48
    if not fits:
        raise CheckpointError(f"The shape of {_plain(name)} does not fit its number of bytes. {SAVE_AS_SAFETENSORS}")
    return offsets[0], offsets[1], name


def _whole_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**48 for value in values)


# ----------------------------------------------------------------------------------------------------------- PyTorch


def _is_pytorch(start: bytes) -> bool:
    """A zip archive (torch.save since 1.6) or a bare pickle (protocols 2 to 5)."""
    return start.startswith(b"PK\x03\x04") or (start[:1] == b"\x80" and start[1:2] in (b"\2", b"\3", b"\4", b"\5") and start[8:9] != b"{")


def _load_pytorch(file: BinaryIO, size: int) -> Mapping[str, Any]:
    """What torch.save wrote to an open file of `size` bytes. (By its name, torch.load would judge the format.)"""
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                parts = archive.infolist()
            # Parts that are compressed, or that share their bytes, grow without limit when they are loaded.
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts) or sum(part.file_size for part in parts) > size:
                raise CheckpointError("The parts of this file are compressed, which torch.save never does. Save it again with torch.save.")
        file.seek(0)
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except Exception:  # the unpickler and the archive reader raise nearly anything on a broken or forbidden file
        raise CheckpointError(
            f"This PyTorch file is damaged or holds more than tensors, and is not opened for that reason. {SAVE_AS_SAFETENSORS}"
        ) from None
    if not isinstance(loaded, Mapping):
        raise CheckpointError("The file holds no state dict. Save model.state_dict() and send that.")
    return loaded
