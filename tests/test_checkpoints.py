"""Hostile, broken and foreign weight files: refused in a clear sentence, cheaply, and without running anything."""

from __future__ import annotations

import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file
from torch import nn

from models import zoo
from models.checkpoints import CheckpointError, load_strict, read_state, unwrap


def small_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def raw(header: Any, data: bytes = b"") -> bytes:
    """A safetensors file of any header, honest or not."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(shape: list[Any], begin: Any, end: Any, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def deflated(path: Path) -> Path:
    """A .pt file zipped again with compression: zeros shrink a thousandfold."""
    inflated, squeezed = path.with_suffix(".stored"), path
    torch.save({"weight": torch.zeros(2**22)}, inflated)
    with zipfile.ZipFile(inflated) as source, zipfile.ZipFile(squeezed, "w", zipfile.ZIP_DEFLATED) as target:
        for part in source.infolist():
            target.writestr(part.filename, source.read(part))
    inflated.unlink()
    return squeezed


class Canary:
    """Unpickling this writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.system, (f"touch '{self.path}'",)


# ------------------------------------------------------------------------------------------------------------ reading


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.uint8, torch.bool]
)
def test_what_was_saved_is_read(dtype: torch.dtype, tmp_path: Path):
    state = {"a": torch.arange(6).reshape(2, 3).to(dtype), "empty": torch.zeros(0, 3, dtype=dtype), "one": torch.ones((), dtype=dtype)}
    save_file(state, tmp_path / "w", metadata={"made": "by hand"})
    found = read_state(tmp_path / "w")
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        assert found[name].dtype == dtype
        assert torch.equal(found[name], tensor)


@pytest.mark.parametrize("old_format", [False, True])
def test_pytorch_files_are_read_when_trusted(old_format: bool, tmp_path: Path):
    model = small_model()
    container = {"epoch": 3, "state_dict": {f"module.{name}": value for name, value in model.state_dict().items()}, "args": {"lr": 0.1}}
    torch.save(container, tmp_path / "w.safetensors", _use_new_zipfile_serialization=not old_format)
    state = read_state(tmp_path / "w.safetensors", trusted=True)
    other = small_model()
    nn.init.zeros_(other[0].weight)
    load_strict(other, state)
    assert torch.equal(other[0].weight, model[0].weight)
    with pytest.raises(CheckpointError, match="can run code"):
        read_state(tmp_path / "w.safetensors")


def test_a_trusted_file_may_be_large(tmp_path: Path):
    save_file({"w": torch.zeros(17 * 2**20)}, tmp_path / "w")
    assert read_state(tmp_path / "w", trusted=True)["w"].shape == (17 * 2**20,)
    with pytest.raises(CheckpointError, match="at most 64 MB"):
        read_state(tmp_path / "w")


# ----------------------------------------------------------------------------------------------------- hostile headers

GOOD = {"a": entry([2], 0, 8), "b": entry([1], 8, 12)}
HOSTILE = {
    "empty": (b"", "empty"),
    "eight bytes": (bytes(8), "not a safetensors file"),
    "random bytes": (bytes(range(255, -1, -1)), "not a safetensors file"),
    "text": (b"hello, these are my weights", "not a safetensors file"),
    "header of 2⁶² bytes": (struct.pack("<Q", 2**62) + b"{}", "cut off"),
    "header of 0 bytes": (struct.pack("<Q", 0) + b"{}", "damaged"),
    "header longer than the file": (raw(GOOD)[:30], "cut off"),
    "300 000 tensors": (raw({f"t{i}": entry([0], 0, 0) for i in range(300_000)}), "at most 1 MB"),
    "5 000 tensors": (raw({f"t{i}": entry([0], 0, 0) for i in range(5_000)}), "at most 4096"),
    "no JSON": (raw(b"{'a': 1}"), "damaged"),
    "no UTF-8": (raw(b'{"\xff": 1}'), "damaged"),
    "nested": (raw(b'{"a":' + b"[" * 500_000), "damaged"),
    "a million digits": (raw(b'{"a":' + b"1" * 900_000 + b"}"), "does not give|damaged"),
    "a name twice": (raw(b'{"a":%s,"a":%s}' % ((json.dumps(GOOD["a"]).encode(),) * 2), bytes(8)), "damaged"),
    "not an object": (raw({"a": [1]}, bytes(8)), "does not give"),
    "more than the format says": (raw({"a": GOOD["a"] | {"code": "x"}}, bytes(8)), "does not give"),
    "unknown type": (raw({"a": entry([2], 0, 8, "F8_E4M3")}, bytes(8)), "these are: F64, F32"),
    "type that is a list": (raw({"a": entry([2], 0, 8, ["F32"])}, bytes(8)), "these are: F64, F32"),
    "negative side": (raw({"a": entry([-2], 0, 8)}, bytes(8)), "whole numbers"),
    "broken side": (raw({"a": entry([2.0], 0, 8)}, bytes(8)), "whole numbers"),
    "true as a side": (raw({"a": entry([True], 0, 4)}, bytes(4)), "whole numbers"),
    "shape that overflows": (raw({"a": entry([2**32, 2**32], 0, 8)}, bytes(8)), "does not fit"),
    "empty shape that overflows": (raw({"a": entry([0, 2**47, 2**47], 0, 0)}), "does not fit"),
    "shape against bytes": (raw({"a": entry([3], 0, 8)}, bytes(8)), "does not fit"),
    "backward offsets": (raw({"a": entry([2], 8, 0)}, bytes(8)), "does not fit"),
    "overlap": (raw({"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, bytes(12)), "overlaps"),
    "same place": (raw({"a": entry([2], 0, 8), "b": entry([2], 0, 8)}, bytes(8)), "overlaps"),
    "gap": (raw({"a": entry([2], 0, 8), "b": entry([1], 12, 16)}, bytes(16)), "gap"),
    "data cut off": (raw(GOOD, bytes(11)), "promises 12 bytes of data and the file holds 11"),
    "data behind": (raw(GOOD, bytes(13)), "promises 12 bytes"),
    "1 GB claimed": (raw({"a": entry([2**28], 0, 2**30)}, bytes(64)), "promises 1073741824 bytes"),
    "no tensors": (raw({}), "no weights"),
    "NaN": (save({"fine": torch.ones(2), "broken": torch.tensor([1.0, float("nan")])}), r"1 with NaN or infinity: broken\."),
    "infinity in half precision": (save({"h": torch.tensor([float("inf")]).half()}), "infinity: h"),
    "script as a name": (
        save({"<img src=x onerror=alert(1)>": torch.tensor(float("nan"))}),
        r"infinity: \?img\?src\?x\?onerror\?alert\?1\?\?",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("trusted", [False, True])
def test_hostile_files_are_refused(name: str, trusted: bool, tmp_path: Path):
    data, reason = HOSTILE[name]
    path = tmp_path / "secret-name.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=reason) as refusal:
        read_state(path, trusted=trusted)
    assert "secret-name" not in str(refusal.value)
    assert str(refusal.value).endswith(".")
    assert len(str(refusal.value)) < 400


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_pickles_run_nothing(tmp_path: Path):
    canary = tmp_path / "canary"
    files = {
        "bare.safetensors": pickle.dumps(Canary(canary)),
        "old.safetensors": pickle.dumps({"state_dict": Canary(canary)}, protocol=2),
        "brace.safetensors": b"\x80\x04\x95\x00\x00\x00\x00\x00{" + pickle.dumps(Canary(canary)),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    torch.save({"w": Canary(canary)}, tmp_path / "zip.safetensors")
    for path in tmp_path.glob("*.safetensors"):
        for trusted in (False, True):
            with pytest.raises(CheckpointError):
                read_state(path, trusted=trusted)
    assert not canary.exists()
    pickle.loads(files["bare.safetensors"])
    assert canary.exists()  # the trap itself works


def test_trusted_pytorch_files_are_still_checked(tmp_path: Path):
    path = tmp_path / "w.pt"
    with pytest.raises(CheckpointError, match="compressed"):
        read_state(deflated(path), trusted=True)
    with pytest.raises(CheckpointError, match="can run code"):
        read_state(path)
    cases: list[tuple[Any, str]] = [
        ({"w": torch.ones(1), "args": Namespace(lr=1)}, "more than tensors"),
        (torch.ones(2), "no state dict"),
        ({"epoch": 1}, "no weights"),
        ({0: torch.ones(2)}, "must have names"),
        ({"w": torch.ones(1).expand(10**12)}, "1 other: w"),
        ({"w": torch.eye(3).to_sparse()}, "1 other: w"),
        ({"w": torch.ones(2, dtype=torch.complex64)}, "1 other: w"),
        ({"w": torch.ones(2, device="meta")}, "1 other: w"),
        ({"w": torch.tensor([float("-inf")])}, "infinity: w"),
    ]
    for content, reason in cases:
        torch.save(content, path)
        with pytest.raises(CheckpointError, match=reason):
            read_state(path, trusted=True)
    torch.save({"w": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(CheckpointError, match="damaged"):
        read_state(path, trusted=True)


def test_what_is_no_file_is_refused(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "absent", tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(CheckpointError, match="cannot be read") as refusal:
            read_state(path)
        assert str(tmp_path) not in str(refusal.value)


# Linux keeps the peak of each process; writing 5 to clear_refs starts it anew.
MEASURE = """
import sys, time
from pathlib import Path
from models.checkpoints import CheckpointError, read_state

def status(field):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(field))

for path in sorted(Path(sys.argv[1]).iterdir()):
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    try:
        read_state(path)
    except CheckpointError:
        print(path.name, (status("VmHWM") - before) // 1024)
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs the peak memory as Linux keeps it")
def test_hostile_files_take_little_memory(tmp_path: Path):
    for number, (data, _) in enumerate(HOSTILE.values()):
        (tmp_path / f"{number}").write_bytes(data)
    deflated(tmp_path / "deflated")
    with (tmp_path / "sparse").open("wb") as file:
        file.write(raw({"a": entry([2**34], 0, 2**36)}))
        file.truncate(2**36)
    lines = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    ).stdout.splitlines()
    assert len(lines) == len(HOSTILE) + 2
    for line in lines:
        name, growth = line.split()
        assert int(growth) <= 50, f"{name} took {growth} MB"


SEED = save({"conv.weight": torch.arange(8.0).reshape(2, 4), "steps": torch.tensor(3)})


@given(st.binary(max_size=200), st.booleans(), st.booleans())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_bytes_raise_nothing_but_a_refusal(tmp_path: Path, data: bytes, framed: bool, trusted: bool):
    (tmp_path / "w").write_bytes(raw(b"{" + data) if framed else data)
    with pytest.raises(CheckpointError):
        read_state(tmp_path / "w", trusted=trusted)


@given(st.lists(st.tuples(st.integers(0, len(SEED) - 1), st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_files_are_read_or_refused(tmp_path: Path, changes: list[tuple[int, int]]):
    data = bytearray(SEED)
    for at, value in changes:
        data[at] = value
    (tmp_path / "w").write_bytes(data)
    try:
        state = read_state(tmp_path / "w")
    except CheckpointError:
        return
    assert all(tensor.isfinite().all() for tensor in state.values())


# -------------------------------------------------------------------------------------------------- unwrap, load_strict


def test_unwrap_finds_the_weights():
    plain, averaged = {"a.w": torch.zeros(1)}, {"a.w": torch.ones(1)}
    assert unwrap(plain) == plain
    assert unwrap({"state_dict": plain, "epoch": 3}) == plain
    assert unwrap({"model": plain, "optimizer": {"state": {}}}) == plain
    assert unwrap({"state_dict": plain, "state_dict_ema": averaged}) == averaged
    assert unwrap({"model": {"state_dict": plain}}) == plain
    assert unwrap({"state_dict": {"module.a.w": plain["a.w"]}}) == plain
    assert unwrap({"module._orig_mod.a.w": plain["a.w"]}) == plain
    assert unwrap({**plain, "epoch": 3, "name": "x"}) == plain
    assert list(unwrap({"module.a": torch.zeros(1), "b": torch.zeros(1)})) == ["module.a", "b"]
    assert unwrap({"model": torch.zeros(1)}).keys() == {"model"}
    assert not unwrap({"w": nn.Parameter(torch.zeros(1))})["w"].requires_grad


def test_unwrap_survives_a_container_that_holds_itself():
    container: dict[str, Any] = {}
    container["model"] = container
    with pytest.raises(CheckpointError, match="no weights"):
        unwrap(container)


def test_weights_that_fit_are_loaded_and_converted():
    model, source = small_model(), {name: value.clone() for name, value in small_model().state_dict().items()}
    source["3.weight"] = torch.full((2, 4), 0.5, dtype=torch.float16)
    load_strict(model, source)
    assert model[3].weight.dtype == torch.float32
    assert (model[3].weight == 0.5).all()


def test_weights_that_do_not_fit_are_named_and_nothing_is_changed():
    model = small_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = {name: torch.ones_like(value) for name, value in before.items()}
    del state["0.bias"]
    state["head.<b>"] = torch.zeros(1)
    state["0.weight"] = torch.zeros(4, 3, 5, 5)
    state["1.num_batches_tracked"] = torch.tensor(1.0)
    state["3.bias"] = torch.tensor([1.0, 1e300], dtype=torch.float64)
    with pytest.raises(CheckpointError) as refusal:
        load_strict(model, state)
    assert str(refusal.value) == (
        "The weights do not fit this model. 1 missing from the file: 0.bias. 1 unknown to the model: head.?b?. "
        "3 different: 0.weight is 4 × 3 × 5 × 5 and should be 4 × 3 × 3 × 3, "
        "1.num_batches_tracked holds float32 and should hold int64, 3.bias holds values too large for float32."
    )
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_long_lists_are_cut_after_ten():
    model = small_model()
    state = {**model.state_dict(), **{f"extra{i}": torch.zeros(1) for i in range(25)}}
    with pytest.raises(CheckpointError, match=r"25 unknown to the model: extra0, .*extra9 and 15 more\.$"):
        load_strict(model, state)


# ------------------------------------------------------------------------------------------------- names of the classes


@pytest.fixture
def supplied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Path]:
    """A checkpoint of a published configuration with so many classes, in the folder of the user's own weights."""

    def make(classes: int) -> Path:
        model = zoo.build("mobilevig_ti", num_classes=classes)
        save_file(model.state_dict(), tmp_path / "mobilevig_ti.safetensors")
        monkeypatch.setenv("HYPERSCOPE_WEIGHTS", str(tmp_path))
        return tmp_path

    return make


def test_a_thousand_classes_have_the_names_of_imagenet(supplied: Callable[[int], Path]) -> None:
    supplied(1000)
    labels = zoo.load("mobilevig_ti").labels
    assert len(set(labels)) == 1000
    assert [labels[i] for i in (0, 281, 779, 999)] == ["tench", "tabby cat", "school bus", "toilet paper"]


def test_a_file_beside_the_checkpoint_names_its_classes(supplied: Callable[[int], Path]) -> None:
    folder = supplied(3)
    assert zoo.load("mobilevig_ti").labels == (), "nobody knows their names"
    (folder / "labels.json").write_text(json.dumps({"0": "oak", "2": "elm", "1": "oak"}))
    assert zoo.load("mobilevig_ti").labels == ("oak (0)", "oak (1)", "elm")
    (folder / "mobilevig_ti.labels.json").write_text(json.dumps(["a", "b", "c"]))
    assert zoo.load("mobilevig_ti").labels == ("a", "b", "c"), "the model's own file comes first"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('["a", "b"]', "labels.json names 2 classes, but the checkpoint of mobilevig_ti has 3"),
        ('{"a": 0, "b": 1, "c": 2}', "labels.json must be a list of names"),
        ("7", "labels.json must be a list of names"),
        ("{", "labels.json must be a list of names"),
        ('{"0": "a", "1": "b", "3": "c"}', "labels.json must be a list of names"),
    ],
)
def test_a_file_of_names_that_does_not_fit_is_refused(supplied: Callable[[int], Path], text: str, reason: str) -> None:
    (supplied(3) / "labels.json").write_text(text)
    with pytest.raises(CheckpointError, match=reason):
        zoo.load("mobilevig_ti")
