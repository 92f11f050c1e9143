"""The parity harness: on the golden folder when it is there, and on cases made up here to see it fail."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.capture import capture
from models.image_graphs import greedyvig, mobilevig, vig
from models.structures import Aggregation, PatchGraph
from tests.parity.__main__ import MISS, NOT_BUILT, OK, check_file, main, run
from tests.parity.adapters import adapters, system_number
from tests.parity.case import Case, CaseError, Check, KeyFile, close, equal, equal_sets, shapes_of

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT.parent / "shared" / "golden"
BUILT = [path for path in sorted(GOLDEN.glob("*")) if system_number(path.name) in adapters()]
needs_golden = pytest.mark.skipif(not BUILT, reason=f"no golden cases of built systems in {GOLDEN}")

CONFIGURATION = {
    "image": [96, 128],
    "local_blocks": [1, 1, 1],
    "local_channels": [4, 4, 4],
    "global_blocks": [1],
    "global_channels": [8],
    "emb_dims": 8,
    "K": 2,
    "distillation": False,
    "num_classes": 3,
}


# ------------------------------------------------------------------------------------------------------ golden folder


@needs_golden
@pytest.mark.parametrize("path", BUILT, ids=lambda path: path.name)
def test_golden(path: Path) -> None:
    result = check_file(path, adapters())
    missed = [check for check in result.checks if not check.ok]
    assert result.status == OK, (result.message, missed)


@needs_golden
def test_command_line_on_the_golden_folder() -> None:
    done = subprocess.run([sys.executable, "-m", "tests.parity", str(GOLDEN)], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 MISS" in done.stdout
    assert all(path.name in done.stdout for path in GOLDEN.glob("S*"))


# ------------------------------------------------------------------------------------------------------ made-up cases


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    """A run of our own small MobileViG, laid out as the stored runs of the published code."""
    torch.manual_seed(0)
    model = mobilevig.MobileViG((1, 1, 1), (4, 4, 4), (1,), (8,), 8, 2, 3, False, layer_scale=1.0).eval()
    image = (torch.randn(1, 3, 96, 128) * 64).round() / 64
    with torch.inference_mode(), capture(model) as trace:
        logits = model(image)
    found = {f"state.{name}": tensor.clone() for name, tensor in model.state_dict().items()}
    found["input.image"], found["output.logits"] = image.half(), logits
    (graph,), (aggregation,) = trace.of(PatchGraph).values(), trace.of(Aggregation).values()
    found["internal.backbone.0.0.graph_conv.neighbours"] = graph.candidates[0].to(torch.int16)
    found["internal.backbone.0.0.graph_conv.relative"] = aggregation.relative.transpose(1, 2).contiguous()
    with torch.inference_mode():
        found["output.logits64"] = model.double()(image.double())
    return found


def write_case(folder: Path, tensors: dict[str, torch.Tensor], system: str = "S39 MobileViG", **changes) -> Path:
    case = {"system": system, "configuration": {**CONFIGURATION, **changes}, "tolerance": {"logits_atol": 1e-5, "relative_atol": 1e-5}}
    path = folder / f"{system.split()[0]}-case.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, {"case": json.dumps(case)})
    return path


def write_keys(folder: Path, name: str, note: str, shapes: dict) -> Path:
    path = folder / name
    path.write_text(json.dumps({"note": note, "parameters": {k: list(v) for k, v in shapes.items()}}))
    return path


def test_a_true_case_passes(tmp_path: Path, tensors, capsys) -> None:
    write_case(tmp_path, tensors)
    assert main([str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    for name in ("output.logits ", "output.logits64", "graph_conv.neighbours", "graph_conv.relative"):
        assert name in printed
    assert "1 files: 1 ok, 0 MISS, 0 not built" in printed


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("output.logits", 1e-3),
        ("output.logits64", 1e-3),
        ("internal.backbone.0.0.graph_conv.neighbours", 1),
        ("internal.backbone.0.0.graph_conv.relative", 1e-2),
        ("state.head.bias", 1e-2),
        ("output.logits", torch.nan),
    ],
)
def test_one_changed_number_is_a_miss(tmp_path: Path, tensors, capsys, name: str, change: float) -> None:
    altered = tensors[name].clone()
    altered.view(-1)[0] += change
    write_case(tmp_path, {**tensors, name: altered})
    assert main([str(tmp_path)]) == 1
    assert "← MISS" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["internal.backbone.0.0.graph_conv.attention", "internal.nowhere.relative", "output.boxes"])
def test_a_stored_quantity_without_counterpart_is_a_miss(tmp_path: Path, tensors, capsys, name: str) -> None:
    write_case(tmp_path, {**tensors, name: torch.zeros(2)})
    assert main([str(tmp_path)]) == 1
    assert "no counterpart" in capsys.readouterr().out


def test_weights_that_do_not_fit_are_a_miss(tmp_path: Path, tensors, capsys) -> None:
    write_case(tmp_path, {name: t for name, t in tensors.items() if name != "state.head.bias"})
    assert main([str(tmp_path)]) == 1
    assert "head.bias" in capsys.readouterr().out


def test_a_file_without_description_is_a_miss_and_stops_nothing(tmp_path: Path, tensors) -> None:
    save_file({"output.logits": torch.zeros(1)}, tmp_path / "S39-bare.safetensors")
    (tmp_path / "S39-broken.safetensors").write_bytes(b"not a safetensors file")
    (tmp_path / "S39-keys-broken.json").write_text("[")
    write_case(tmp_path, tensors)
    assert [(r.file, r.status) for r in run(tmp_path)] == [
        ("S39-bare.safetensors", MISS),
        ("S39-broken.safetensors", MISS),
        ("S39-case.safetensors", OK),
        ("S39-keys-broken.json", MISS),
    ]


def test_systems_that_are_not_built_do_not_fail(tmp_path: Path, tensors, capsys) -> None:
    write_case(tmp_path, tensors, system="S99 Something new")
    write_keys(tmp_path, "S98-keys-other.json", "other", {"weight": (3,)})
    (tmp_path / "S97-statistics.json").write_text("{}")
    assert main([str(tmp_path)]) == 0
    assert "3 not built" in capsys.readouterr().out


def test_an_adapter_that_compares_nothing_is_a_miss(tmp_path: Path, tensors) -> None:
    class Silent:
        def check(self, case: Case) -> list[Check]:
            return []

        def shapes(self, keys: KeyFile) -> dict[str, tuple[int, ...]]:
            return {}

    assert check_file(write_case(tmp_path, tensors), {"S39": Silent()}).status == MISS
    assert check_file(write_case(tmp_path, tensors), {}).status == NOT_BUILT


def test_a_folder_without_cases_is_a_usage_error(tmp_path: Path, capsys) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(SystemExit) as exit_:
            main([str(folder)])
        assert exit_.value.code == 2
    assert "is not a folder" in capsys.readouterr().err


def test_a_variant_that_we_do_not_build_is_named(tmp_path: Path) -> None:
    model = vig.ViG(16, 1, 2, 3, 8, (64, 64))
    found = {f"state.{k}": v for k, v in model.state_dict().items()} | {"input.image": torch.zeros(1, 3, 64, 64)}
    path = tmp_path / "S00-edge.safetensors"
    save_file(found, path, {"case": json.dumps({"system": "S00 ViG", "configuration": {"conv": "edge"}})})
    assert "conv = 'edge'; only 'mr'" in check_file(path, adapters()).message


# ---------------------------------------------------------------------------------------------------------- key files

OFFICIAL = [("S00", vig, name) for name in vig.CONFIGURATIONS]
OFFICIAL += [("S01", greedyvig, name) for name in greedyvig.CONFIGURATIONS]
OFFICIAL += [("S39", mobilevig, name) for name in mobilevig.CONFIGURATIONS]
OFFICIAL_IDS = [name for _, _, name in OFFICIAL]


@pytest.mark.parametrize(("system", "module", "name"), OFFICIAL, ids=OFFICIAL_IDS)
@pytest.mark.parametrize("told_by", ["note", "file name"])
def test_key_files_find_their_configuration(tmp_path: Path, system: str, module, name: str, told_by: str) -> None:
    short = name.lower().removesuffix("_224_gelu")
    note, label = (f"{name}, reference commit 0123abcd", "some-file") if told_by == "note" else ("", short)
    keys = KeyFile.load(write_keys(tmp_path, f"{system}-keys-{label}.json", note, {"weight": (1,)}))
    assert keys.official_name(module.CONFIGURATIONS) == name


@pytest.mark.parametrize("name", ["pvig_b_224_gelu", "vig_s_224_gelu", "GreedyViG_M", "mobilevig_b"])
def test_shapes_are_those_of_the_official_configuration(tmp_path: Path, name: str) -> None:
    """Without help of our own builder: the widths that the papers print must appear in the tensors that carry them."""
    expected = {
        "pvig_b_224_gelu": {"pos_embed": (1, 128, 56, 56), "backbone.26.1.fc2.0.weight": (1024, 4096, 1, 1)},
        "vig_s_224_gelu": {"pos_embed": (1, 320, 14, 14), "backbone.15.0.graph_conv.gconv.nn.0.weight": (640, 160, 1, 1)},
        "GreedyViG_M": {"backbone.3.6.mixer.graph_conv.nn.0.weight": (448, 896, 1, 1), "dist_head.bias": (1000,)},
        "mobilevig_b": {"backbone.4.0.graph_conv.nn.0.weight": (928, 928, 1, 1), "prediction.1.weight": (768, 464, 1, 1)},
    }[name]
    system = next(system for system, _, official in OFFICIAL if official == name)
    shapes = adapters()[system].shapes(KeyFile.load(write_keys(tmp_path, f"{system}-keys-x.json", name, {})))
    assert {key: shapes[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("change", "quantity"),
    [
        (lambda shapes: shapes.pop("head.bias"), "names extra"),
        (lambda shapes: shapes.update({"head.scale": (3,)}), "names missing"),
        (lambda shapes: shapes.update({"head.bias": (999,)}), "shapes differ"),
    ],
)
def test_a_wrong_key_file_is_a_miss(tmp_path: Path, capsys, change, quantity: str) -> None:
    shapes = shapes_of(mobilevig.build("mobilevig_ti"))
    change(shapes)
    path = write_keys(tmp_path, "S39-keys-mobilevig_ti.json", "mobilevig_ti", shapes)
    assert [check.quantity for check in check_file(path, adapters()).checks if not check.ok] == [quantity]
    assert main([str(tmp_path)]) == 1
    assert "head." in capsys.readouterr().out


def test_settings_in_the_note_are_followed(tmp_path: Path) -> None:
    model = mobilevig.build("mobilevig_ti", num_classes=10, distillation=False)
    path = write_keys(tmp_path, "S39-keys-ten.json", "mobilevig_ti, num_classes=10, distillation=False", shapes_of(model))
    assert check_file(path, adapters()).status == OK


def test_a_key_file_of_nothing_that_we_know_says_what_we_know(tmp_path: Path) -> None:
    path = write_keys(tmp_path, "S01-keys-huge.json", "GreedyViG of another size", {"weight": (1,)})
    assert "GreedyViG_S, GreedyViG_M, GreedyViG_B" in check_file(path, adapters()).message


# ---------------------------------------------------------------------------------------------------------- comparing


def test_close_uses_absolute_and_relative_tolerance() -> None:
    stored = torch.tensor([0.0, 100.0])
    assert close("x", stored + torch.tensor([0.0, 0.009]), stored, atol=1e-4, rtol=1e-4).ok
    assert not close("x", stored + torch.tensor([0.0, 0.02]), stored, atol=1e-4, rtol=1e-4).ok
    assert not close("x", stored + torch.tensor([2e-4, 0.0]), stored, atol=1e-4, rtol=1e-4).ok
    assert not close("x", stored[None], stored, atol=1).ok


def test_sets_are_free_in_order_only() -> None:
    stored = torch.tensor([[[0, 1, 2], [3, 4, 5]]])
    assert equal_sets("knn", stored.flip(-1), stored).ok
    assert equal_sets("knn", torch.tensor([[[0, 1, 2], [3, 4, 6]]]), stored).error == 1
    assert not equal("mask", stored.flip(-1), stored).ok


def test_only_the_published_variant_of_a_setting_is_taken() -> None:
    from tests.parity.case import changed

    changed({"act": "gelu"}, act="gelu", norm="batch")
    with pytest.raises(CaseError, match="act = 'relu'; only 'gelu' is built"):
        changed({"act": "relu"}, act="gelu")
