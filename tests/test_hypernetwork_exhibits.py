"""The exhibits of generated weights: every control at both ends, payloads, questions, streams, stories, and what they promise to be true."""

from __future__ import annotations

import gc
import json
import math
import pickle
import warnings
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from explorer import export, payload
from explorer.diagnostics import chunk_dependency, generated_weights, weight_field, weight_path
from explorer.diagnostics.measure import vocabulary
from explorer.exhibit import NO_PICTURE, BadRequest, Exhibit, Intervention, Scene
from explorer.exhibits.hypernetworks import continual, ghn, mip, neumeta
from explorer.views import view_of
from explorer.views.arrays import unpack
from explorer.views.computation_graph import places
from models.hypernetworks import architecture, block, initialiser, permuted, turning, walks
from models.hypernetworks.neumeta import raw_coordinates
from models.structures import ChunkDependency, GeneratedWeights, WeightField, WeightPath

CANVAS = Path(__file__).resolve().parents[1] / "explorer" / "canvas"
EXHIBITS = {module.EXHIBIT.slug: module.EXHIBIT for module in (neumeta, mip, continual, ghn)}
BUDGET = 120_000


def scene_of(exhibit: Exhibit, **values: Any) -> Scene:
    return exhibit.run(NO_PICTURE, exhibit.controls.parse(values), (), lambda grid: None)


def ends(exhibit: Exhibit) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for widget in exhibit.controls.widgets():
        if widget["kind"] == "range":
            found += [(widget["name"], widget["min"]), (widget["name"], widget["max"])]
        elif widget["kind"] == "choice":
            found += [(widget["name"], option) for option in widget["options"]]
    return found


ENDS = [(slug, name, value) for slug, exhibit in EXHIBITS.items() for name, value in ends(exhibit)]


@pytest.mark.parametrize(("slug", "name", "value"), ENDS, ids=str)
def test_each_end_of_each_control_gives_a_payload_within_the_budget(slug: str, name: str, value: Any) -> None:
    exhibit = EXHIBITS[slug]
    scene = scene_of(exhibit, **{name: value})
    text = payload.build(exhibit, scene, exhibit.controls.parse({name: value}), image="")
    found = json.loads(text, parse_constant=lambda word: pytest.fail(word))
    assert len(text) < BUDGET
    assert found["picture"] is None
    assert {layer["kind"] for layer in found["layers"]} == {view_of(scene.layers[0].structures)[0].kind}  # type: ignore[index]
    assert set(unpack(found["measures"])["words"]) <= set(vocabulary())


@pytest.mark.parametrize("slug", EXHIBITS)
def test_the_story_names_what_there_is(slug: str) -> None:
    exhibit = EXHIBITS[slug]
    steps = exhibit.story()
    scripts = "".join(path.read_text(encoding="utf-8") for folder in ("instruments", "panels") for path in (CANVAS / folder).glob("*.js"))
    assert 5 <= len(steps) <= 9
    for step in steps:
        look = step["state"]["look"]
        assert look["tab"] in exhibit.views
        assert 0 <= look.get("layer", 0) < len(scene_of(exhibit).layers)
        assert all(f'HS.lookField("{key}"' in scripts for key in look if key not in ("layer", "tab"))
        region, _, panel = step["highlight"].partition(":")
        assert region in ("canvas", "prediction", "diagnostics", "controls", "panel")
        assert not panel or panel in exhibit.views
    assert all(f'name: "{view}"' in scripts for view in exhibit.views)


@pytest.mark.parametrize("slug", EXHIBITS)
def test_everything_can_be_taken_home(slug: str) -> None:
    exhibit = EXHIBITS[slug]
    files = dict(export.contents(scene_of(exhibit), exhibit, exhibit.controls(), image=""))
    assert {"structures.npz", "diagnostics.json", "recreate.py", "interactive.html"} <= set(files)
    assert any(name.startswith("figures/") and name.endswith(".svg") for name in files)
    assert ("generated/layer_01.safetensors" in files) == (slug in ("neumeta", "ghn"))


def test_generated_weights_come_home_exactly() -> None:
    from safetensors.torch import load

    scene = scene_of(neumeta.EXHIBIT, width=5)
    files = dict(export.contents(scene, neumeta.EXHIBIT, neumeta.NeuMetaControls(width=5), image=""))
    weights = load(files["generated/layer_01.safetensors"])
    expected = neumeta.generated(5)
    assert set(weights) == set(expected)
    assert all(torch.equal(weights[name], expected[name]) for name in weights)


@pytest.mark.parametrize(
    ("slug", "question", "data"),
    [
        ("neumeta", "at", {"width": 99, "tensor": "conv_1.weight"}),
        ("neumeta", "at", {"width": True, "tensor": "conv_1.weight"}),
        ("neumeta", "at", {"width": 5, "tensor": "nothing"}),
        ("neumeta", "features", {"widths": "all"}),
        ("neumeta", "order", {"clique": 17}),
        ("mip", "gradients", {"count": 10**9}),
        ("ghn", "tensor", {"hypernetwork": "ghn3_micro", "tensor": 3}),
    ],
)
def test_wrong_questions_are_refused_with_a_sentence(slug: str, question: str, data: dict[str, Any]) -> None:
    exhibit = EXHIBITS[slug]
    with pytest.raises(BadRequest, match=r"must be"):
        exhibit.questions[question](scene_of(exhibit), exhibit.controls(), data)


@pytest.mark.parametrize(("slug", "stream"), [(slug, stream) for slug, exhibit in EXHIBITS.items() for stream in exhibit.streams])
def test_streams_begin_and_can_be_closed(slug: str, stream: str) -> None:
    exhibit = EXHIBITS[slug]
    frames = exhibit.streams[stream](scene_of(exhibit), exhibit.controls(), {"width": 4, "kind": "chunked", "steps": 20})
    first = list(islice(frames, 3))
    assert len(first) == 3
    assert all(len(json.dumps(payload.plain(frame))) < 20_000 for frame in first)
    frames.close()  # type: ignore[attr-defined]
    assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()


def living() -> int:
    """Tensors that are still held by something."""
    gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sum(isinstance(one, torch.Tensor) for one in gc.get_objects())


@pytest.mark.parametrize(("slug", "stream"), [(slug, stream) for slug, exhibit in EXHIBITS.items() for stream in exhibit.streams])
def test_a_visitor_who_leaves_leaves_nothing_behind(slug: str, stream: str) -> None:
    """A closed tab closes the generator in the middle of a training: networks, optimisers and gradients go with it."""
    exhibit = EXHIBITS[slug]
    scene, controls = scene_of(exhibit), exhibit.controls()
    alive = []
    for _ in range(4):
        frames = exhibit.streams[stream](scene, controls, {"width": 4, "kind": "chunked", "steps": 20})
        next(frames)
        next(frames)
        frames.close()  # type: ignore[attr-defined]
        del frames
        alive.append(living())
    assert alive[1] == alive[2] == alive[3]  # the first round may fill caches
    assert exhibit.stream_seconds <= 180


# ------------------------------------------------------------------------------------------------------------- NeuMeta


def field_of(scene: Scene, name: str) -> WeightField:
    found = next(layer for layer in scene.layers if layer.name == name).structures["field"]
    assert isinstance(found, WeightField)
    return found


def test_the_lattice_holds_the_weights_of_the_network_and_lies_on_the_function() -> None:
    """Told the present width, the dense function and the generated weights are one function read at different places."""
    scene = scene_of(neumeta.EXHIBIT, width=12, field="told this width")
    weights, compared = neumeta.generated(12), []
    for name, tensor in weights.items():
        field = field_of(scene, name)
        assert torch.equal(field.lattice_values, tensor.reshape(field.lattice_values.shape))
        rows, columns = (neumeta.PLACES // len(at) if len(at) > 1 else neumeta.PLACES for at in (field.lattice_rows, field.lattice_columns))
        if rows * len(field.lattice_rows) == neumeta.PLACES == columns * len(field.lattice_columns):  # 12, 24 or 48 places among 96
            torch.testing.assert_close(field.values[::rows, ::columns], field.lattice_values, atol=1e-4, rtol=1e-3)
            compared.append(name)
    assert {"conv_1.weight", "conv_2.weight", "conv_3.weight", "conv_3.bias"} <= set(compared)


def test_a_moving_slider_and_a_run_find_the_same_network() -> None:
    scene, controls = scene_of(neumeta.EXHIBIT), neumeta.NeuMetaControls()
    for width in (4, 9, 18):
        asked = neumeta.at(scene, controls, {"width": width, "tensor": "conv_2.weight"})
        run = scene_of(neumeta.EXHIBIT, width=width)
        assert (asked["accuracy"], asked["loss"]) == (run.extras["at"]["accuracy"], run.extras["at"]["loss"])
        expected = field_of(run, "conv_2.weight").lattice_values * field_of(run, "conv_2.weight").lattice_columns.numel()
        np.testing.assert_array_equal(asked["lattice"], expected.numpy())
    assert scene.extras["curve"]["accuracy"][8] == scene_of(neumeta.EXHIBIT, width=9).extras["at"]["accuracy"]


def test_a_dropped_channel_is_silent_and_others_stay() -> None:
    cut = Intervention("conv_2.weight", "channel", ((3, -1),))
    whole, after = neumeta.generated(6), neumeta.generated(6, 1, [cut])
    assert after["conv_2.weight"][3].abs().sum() == after["conv_2.bias"][3] == 0
    kept = [channel for channel in range(12) if channel != 3]
    assert torch.equal(after["conv_2.weight"][kept], whole["conv_2.weight"][kept])
    assert torch.equal(after["conv_1.weight"], whole["conv_1.weight"])
    with pytest.raises(ValueError, match="12 output channels"):
        neumeta.generated(6, 1, [Intervention("conv_2.weight", "channel", ((12, -1),))])


@torch.no_grad()
def test_walks_begin_and_end_where_they_say() -> None:
    family = neumeta.family()
    own = family.generate(6).weights
    for walk in (walks.along_sizes, walks.along_line):
        torch.testing.assert_close(dict(walk(family, 6, 12, 0.0).weights), dict(own))
    ends = [walk(family, 6, 12, 1.0).weights for walk in (walks.along_sizes, walks.along_line)]
    torch.testing.assert_close(dict(ends[0]), dict(ends[1]))
    assert walks.sizes(family, 6.5)["conv_2.weight"] == (13.0, 6.5)


@torch.no_grad()
def test_networks_of_all_widths_become_vectors_of_one_length() -> None:
    family = neumeta.family()
    vectors = [walks.resampled(family, width, 4) for width in (1, 5.5, 18)]
    assert len({vector.shape for vector in vectors}) == 1
    noisy = walks.resampled(family, 5.5, 4, torch.Generator().manual_seed(0))
    assert not torch.equal(noisy, vectors[1])
    # At places 0 and with N1 undone, the vector begins with the value of the very first kernel of the network.
    first = family.generate(4).weights["conv_1.weight"][0, 0].flatten() * 1
    torch.testing.assert_close(walks.resampled(family, 4, 4)[:9], first, atol=1e-5, rtol=1e-4)


def test_averages_over_readings_are_means() -> None:
    family = neumeta.family()
    with torch.no_grad():
        sets = list(walks.noisy(family, 4, 3))
        (count, mean), *_ = walks.averaged(family, 4, (3,))
    assert count == 3
    expected = torch.stack([one.weights["conv_1.weight"] for one in sets]).mean(0)
    torch.testing.assert_close(mean.weights["conv_1.weight"], expected)
    assert torch.equal(sets[0].weights["conv_1.weight"], family.generate(4).weights["conv_1.weight"])


def test_the_search_for_an_order_shortens_the_path_and_keeps_the_answers() -> None:
    for clique in range(3):
        found = neumeta.order(scene_of(neumeta.EXHIBIT), neumeta.NeuMetaControls(), {"clique": clique, "seed": 1})
        lengths = found["lengths"]
        assert all(b <= a + 1e-6 * a for a, b in pairwise(lengths))
        assert all(sorted(step) == list(range(found["size"])) for step in found["steps"])
        assert found["variation"][1] < found["variation"][0]
        assert found["moved"] < 1e-4


def field(values: torch.Tensor, rows: int, columns: int) -> WeightField:
    """A function on a dense grid and its lattice, from [96, 96] values."""
    lattice = values[:: len(values) // rows, :: len(values) // columns]
    at = [torch.arange(n) / n for n in (96, 96, rows, columns)]
    return WeightField("test", values[..., None], at[0], at[1], at[2], at[3], lattice[..., None], (1, 1), (rows, columns))


def test_a_smooth_field_is_told_from_a_wild_one() -> None:
    place = torch.arange(96) / 96
    smooth = torch.sin(math.pi * place)[:, None] + torch.cos(math.pi * place)[None]
    wild = torch.randn(96, 96, generator=torch.Generator().manual_seed(0))
    assert weight_field.step_ratio(field(smooth, 12, 12)) < 0.4
    assert abs(weight_field.step_ratio(field(wild, 12, 12)) - 1) < 0.15
    assert weight_field.aliasing(field(smooth, 12, 12)) < 0.02
    assert weight_field.aliasing(field(wild, 12, 12)) > 0.9
    fast = torch.sin(2 * math.pi * 20 * place)[:, None].expand(96, 96)
    assert weight_field.aliasing(field(fast, 12, 12)) > 0.95  # 20 waves on 12 places
    assert weight_field.aliasing(field(fast, 48, 12)) < 0.05  # 20 waves on 48 places
    value, most = weight_field.effective_rank(field(smooth, 12, 12))
    assert (value <= 2.0001, most) == (True, 12)
    for nothing in (field(torch.zeros(96, 96), 12, 12), field(torch.ones(96, 96), 2, 2)):
        assert weight_field.summary(nothing)[0].value is None


# ------------------------------------------------------------------------------------------ a residual block, CIFAR-10


def cifar_folder(folder: Path, form: str) -> tuple[np.ndarray, np.ndarray]:
    """Made-up test pictures in one of the three forms in which CIFAR-10 is found."""
    random = np.random.default_rng(0)
    pixels, labels = random.integers(0, 256, (12, 3, 32, 32), dtype=np.uint8), random.integers(0, 10, 12).astype(np.uint8)
    if form == "python":
        (folder / "cifar-10-batches-py").mkdir()
        whole = {b"data": pixels.reshape(12, -1), b"labels": labels.tolist()}
        (folder / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps(whole, protocol=2))
    elif form == "binary":
        (folder / "test_batch.bin").write_bytes(np.concatenate([labels[:, None], pixels.reshape(12, -1)], 1).tobytes())
    else:
        tiles = pixels.reshape(3, 4, 3, 32, 32).transpose(0, 3, 1, 4, 2).reshape(96, 128, 3)
        Image.fromarray(tiles).save(folder / "test.jpg", format="PNG")  # exact, whatever it is called
        np.savez(folder / "labels.npz", test_y=labels)
    return pixels, labels


@pytest.mark.parametrize("form", ["python", "binary", "tiles"])
def test_test_pictures_of_cifar_are_read_in_every_form(form: str, tmp_path: Path) -> None:
    pixels, labels = cifar_folder(tmp_path, form)
    found = block.pictures_of(tmp_path, 10)
    expected = (torch.from_numpy(pixels[:10]).double() / 255 - torch.tensor(block.MEAN)[:, None, None]) / torch.tensor(block.STD)[
        :, None, None
    ]
    torch.testing.assert_close(found.x.double(), expected, atol=1e-5, rtol=1e-5)
    assert found.y.tolist() == labels[:10].tolist()


def test_folders_without_readable_pictures_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected test_batch"):
        block.pictures_of(tmp_path)
    (tmp_path / "test_batch").write_bytes(pickle.dumps({"data": Path("x")}))
    with pytest.raises(ValueError, match="unexpected object"):
        block.pictures_of(tmp_path)
    (tmp_path / "test_batch").unlink()
    (tmp_path / "test_batch.bin").write_bytes(b"cut off")
    with pytest.raises(ValueError, match="cannot be read"):
        block.pictures_of(tmp_path)


def test_the_block_is_tested_where_the_pictures_are_and_says_why_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, controls = scene_of(neumeta.EXHIBIT), neumeta.NeuMetaControls()
    monkeypatch.delenv(neumeta.PICTURES, raising=False)
    assert "does not ship" in neumeta.block_at(scene, controls, {})["why"]
    monkeypatch.setenv(neumeta.PICTURES, str(tmp_path))
    assert "no test part" in neumeta.block_at(scene, controls, {})["why"]
    cifar_folder(tmp_path, "binary")
    found = neumeta.block_at(scene, controls, {"width": 24, "tensor": 2})
    pictures = block.pictures_of(tmp_path)
    family = neumeta.block_family()
    with torch.no_grad():
        logits = family(pictures.x, 24)
    assert found["live"]["accuracy"] == pytest.approx((logits.argmax(1) == pictures.y).float().mean().item())
    assert found["shape"] == [64, 24, 3, 3]
    assert found["dots"] == [64, 24]
    assert found["parameters"] == 24 * 64 * 9 * 2 + 24 + 64
    assert len(json.dumps(payload.plain(found))) < 40_000
    with pytest.raises(BadRequest, match="16 to 96"):
        neumeta.block_at(scene, controls, {"width": 8})


@torch.no_grad()
def test_what_a_width_reads_of_the_block_lies_on_its_function() -> None:
    family = neumeta.block_family()
    weights = family.generate(32).weights
    name = next(iter(weights))
    dense, dots = block.seen(family, 32, name, places=64), block.lattice(weights, name)
    torch.testing.assert_close(dense[::2], dots, atol=1e-4, rtol=1e-3)  # 32 outputs and 64 inputs among 64 places
    assert torch.equal(dots, weights[name][:, :, 1, 1] * 64)


# ----------------------------------------------------------------------------------------------------------------- MIP


def path_of(scene: Scene, name: str) -> WeightPath:
    found = next(layer for layer in scene.layers if layer.name == name).structures["path"]
    assert isinstance(found, WeightPath)
    return found


def test_default_weights_are_proportional_and_those_of_mip_are_not() -> None:
    scene = scene_of(mip.EXHIBIT)
    default, ours = path_of(scene, "default"), path_of(scene, "mip")
    torch.testing.assert_close(default.weights, default.inputs[:, None] * default.weights[-1], atol=1e-7, rtol=1e-5)
    assert weight_path.straightness(default) > 1 - 1e-6
    assert weight_path.swing(ours.weights.std(1), ours) < 1.05
    torch.testing.assert_close(ours.encoded.norm(dim=1), torch.ones(41))
    assert weight_path.straightness(ours) < 0.99
    values = {m.key: m.value for m in scene.measures["default"]}
    assert values["path_dead"] == 0
    assert abs((values["path_range"] or 0) - 10) < 1e-3


def test_turning_by_nothing_only_enlarges_and_half_a_turn_turns_round() -> None:
    x = mip.pictures(False)[0][:3]
    upright = turning.turned(x, 0.0)
    torch.testing.assert_close(turning.turned(x, 1.0), upright.flip(2, 3), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(turning.turned(x, torch.tensor([0.0, 0.0, 1.0]))[:2], upright[:2])


def test_all_variants_of_a_race_see_the_same_and_learn() -> None:
    nets = {name: turning.hypernetwork(name) for name in ("mip", "output_only")}
    rows = list(turning.race(nets, mip.pictures(True), 60, "Adam", 3e-3))
    assert [row.step for row in rows] == list(range(1, 61))
    again = list(turning.race({"mip": turning.hypernetwork("mip")}, mip.pictures(True), 3, "Adam", 3e-3))
    assert [row.loss["mip"] for row in again] == [row.loss["mip"] for row in rows[:3]]
    for name in nets:
        assert sum(row.loss[name] for row in rows[-10:]) < sum(row.loss[name] for row in rows[:10])


def test_gradients_change_nothing() -> None:
    net = turning.hypernetwork("default")
    before = [p.clone() for p in net.parameters()]
    found = turning.gradient_norms(net, [0.0, 0.5, 1.0], mip.pictures(True), 8, 0)
    assert len(found) == 3
    assert min(found) >= 0
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


# ---------------------------------------------------------------------------------------------------- task after task


def test_dependencies_are_diagonal_for_chunks_and_triangular_for_the_walk() -> None:
    scene = scene_of(continual.EXHIBIT)
    found = {layer.name: layer.structures["dependency"] for layer in scene.layers}
    for part in found.values():
        assert isinstance(part, ChunkDependency)
        assert part.matrix.triu(1).abs().max() == 0
        torch.testing.assert_close(part.by_tensor.square().sum(0), part.matrix.square().sum(0), rtol=1e-4, atol=1e-8)
    assert chunk_dependency.shares(found["chunked"]) == (0.0, 0.0)  # type: ignore[arg-type]
    below, above = chunk_dependency.shares(found["recurrent"])  # type: ignore[arg-type]
    assert below > 0.01
    assert above == 0
    sizes = scene.extras["parameters"]
    assert abs(sizes["chunked"] / sizes["recurrent"] - 1) < 0.05


def test_a_lesson_fills_the_matrix_and_growing_changes_no_old_weight() -> None:
    frames = list(
        continual.lesson(scene_of(continual.EXHIBIT), continual.ContinualControls(), {"kind": "recurrent", "steps": 20, "grow": 4})
    )
    rows = [frame["row"] for frame in frames if "row" in frame]
    assert [len(row) for row in rows] == [1, 2, 3, 4, 5]
    assert rows[0][0] > 0.15
    (grown,) = [frame["grown"] for frame in frames if "grown" in frame]
    assert (grown["change"], grown["hidden"]) == (0.0, 26)
    assert frames[-1]["finished"]
    assert len(frames[-1]["nudge"]["cost"]) == 14
    drift = [frame["drift"] for frame in frames if "drift" in frame]
    assert [len(row) for row in drift[::2]] == [0, 1, 2, 3, 4]


def test_the_first_task_is_the_digits_themselves_and_every_task_can_be_put_back() -> None:
    x, _ = permuted.task(0, False)
    y, _ = permuted.task(3, False)
    assert not torch.equal(x, y)
    assert torch.equal(x.sort(1).values, y.sort(1).values)
    for number in range(permuted.TASKS):
        assert torch.equal(permuted.on_digit(permuted.task(number, False)[0], number).flatten(1), x)


@pytest.mark.parametrize("kind", permuted.KINDS)
def test_the_ends_of_the_way_between_two_tasks_are_the_tasks(kind: str) -> None:
    net = permuted.hypernetwork(kind, 3)
    found = permuted.between(net, 1, 4, points=5)
    for side, number in enumerate((1, 4)):
        own, other = permuted.accuracy(net, number), permuted.accuracy(net, number, net.task_embeddings()[(4, 1)[side]].detach())
        ends = found.accuracy[side, [0, -1]].tolist()
        assert (ends if side == 0 else ends[::-1]) == pytest.approx([own, other], abs=0.005)
    assert permuted.accuracies(net, 5) == pytest.approx([permuted.accuracy(net, number) for number in range(5)], abs=0.005)


def test_importance_lies_where_the_digits_have_ink() -> None:
    frames = list(continual.lesson(scene_of(continual.EXHIBIT), continual.ContinualControls(), {"kind": "chunked", "steps": 40}))
    maps = [frame["importance"] for frame in frames if "importance" in frame]
    ink = permuted.task(0, True)[0].mean(0)
    empty = (ink == 0).view(8, 8).numpy()
    assert empty.any()
    for found in maps:  # every task's map, put back into the order of the digit
        assert found.shape == (8, 8)
        assert found[empty].max() == 0
        assert found[~empty].mean() > 0
    pairs = frames[-1]["between"]
    assert pairs["tasks"] == [[a, b] for a in range(5) for b in range(a + 1, 5)]
    assert np.shape(pairs["accuracy"]) == (10, 2, 21)


# ------------------------------------------------------------------------------------------------ graph hypernetworks


def test_a_typed_network_becomes_nodes_that_do_not_cover_each_other() -> None:
    for text in (ghn.DEFAULT, "conv3x3-8 cat(conv1x1-8 bn relu) res(res(conv3x3-16) relu conv3x3-16) gap fc10"):
        scene = scene_of(ghn.EXHIBIT, architecture=text)
        graph = ghn.graph_of(scene)
        columns, lanes = places(graph)
        assert len(set(zip(columns, lanes, strict=True))) == len(graph)
        weights = scene.layers[0].structures["generated"]
        assert isinstance(weights, GeneratedWeights)
        expected = {name: tuple(p.shape) for name, p in initialiser.network(text).named_parameters()}
        assert {name: tuple(tensor.shape) for name, tensor in weights.weights.items()} == expected


@pytest.mark.parametrize(
    "text",
    [
        ghn.DEFAULT,
        "conv3x3-8 cat(conv1x1-8 bn relu) res(res(conv3x3-16) relu dw3x3) avgpool cat(conv3x3-4) gap fc20 relu fc10",
        "res(conv1x1-3) res(bn) cat(conv3x3-5) gap fc10",
    ],
)
def test_every_node_knows_its_word(text: str) -> None:
    graph, words = initialiser.of(text), architecture.words_of(text)
    letters = {
        "conv": ("conv", "fc"),
        "bias": ("conv", "fc", "dw"),
        "sep_conv": ("dw",),
        "bn": ("bn",),
        "max_pool": ("pool",),
        "avg_pool": ("avgpool",),
    }
    letters |= {"sum": ("res(",), "concat": ("cat(",), "glob_avg": ("gap",)}
    found = initialiser.words_behind(text, graph)
    assert found[0] is None
    for kind, shape, number in zip(graph.kinds[1:], graph.shapes[1:], found[1:], strict=True):
        assert number is not None
        assert words[number].startswith(letters[kind])
        if kind == "conv" and shape:
            assert str(shape[0]) in words[number]
    # Words before one another in the line are nodes before one another in the graph, but for what joins a branch.
    rows = [number for kind, number in zip(graph.kinds, found, strict=True) if kind not in ("sum", "concat", "input")]
    assert rows == sorted(rows)  # type: ignore[type-var]
    joins = {number for kind, number in zip(graph.kinds, found, strict=True) if kind in ("sum", "concat")}
    assert joins == {i for i, word in enumerate(words) if word.endswith("(")}


def test_matched_random_weights_have_the_sizes_and_nothing_else() -> None:
    weights = scene_of(ghn.EXHIBIT).layers[1].structures["generated"]
    assert isinstance(weights, GeneratedWeights)
    net = initialiser.matched(ghn.DEFAULT, weights)
    for name, parameter in net.named_parameters():
        predicted = weights.weights[name].flatten()
        if parameter.numel() > 2000:
            assert parameter.square().mean().sqrt().item() == pytest.approx(predicted.square().mean().sqrt().item(), rel=0.1)
            assert abs(torch.corrcoef(torch.stack([parameter.detach().flatten(), predicted]))[0, 1]) < 0.1
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), initialiser.matched(ghn.DEFAULT, weights).parameters(), strict=True))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("conv3x3-16 banana gap fc10", "not known"),
        ("conv3x3-16 relu", "must end with a linear layer"),
        ("conv3x3-16 gap fc7", "10 classes"),
        ("conv11x11-1024 conv11x11-1024 gap fc10", "multiplications"),
        ("pool pool pool pool pool gap fc10", "pool"),
    ],
)
def test_networks_that_cannot_be_shown_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scene_of(ghn.EXHIBIT, architecture=text)


def test_tiles_are_copied_and_products_have_the_rank_they_may_have() -> None:
    text = "conv3x3-64 relu conv3x3-64 relu pool gap fc10"
    scene = scene_of(ghn.EXHIBIT, architecture=text, rank=3)
    tile, product = (layer.structures["generated"] for layer in scene.layers)
    assert isinstance(tile, GeneratedWeights)
    assert isinstance(product, GeneratedWeights)
    assert generated_weights.copies(tile.weights["conv2.weight"]) == 0.75
    assert generated_weights.copies(product.weights["conv2.weight"]) == 0
    matrix = product.weights["conv2.weight"].transpose(1, 2).reshape(192, 192).double()
    assert torch.linalg.matrix_rank(matrix, rtol=1e-4) <= 3
    assert generated_weights.stable_rank(torch.eye(4)) == pytest.approx(4)


def test_attention_sums_to_one_and_a_race_begins_at_the_predicted_weights() -> None:
    scene = scene_of(ghn.EXHIBIT)
    attention = scene.layers[1].structures["encoding"].tensors()["attention"]
    torch.testing.assert_close(attention.sum(-1), torch.ones(attention.shape[:-1]))
    net = initialiser.started(ghn.DEFAULT, scene.layers[1].structures["generated"], 0.0)  # type: ignore[arg-type]
    weights = scene.layers[1].structures["generated"]
    assert isinstance(weights, GeneratedWeights)
    assert all(torch.equal(p, weights.weights[name]) for name, p in net.named_parameters())
    laps = list(initialiser.race({"a": initialiser.network("conv3x3-8 bn relu gap fc10")}, steps=40, every=20))
    assert [lap.step for lap in laps] == [0, 20, 40]
    assert laps[-1].loss["a"] < laps[1].loss["a"]


def test_coordinates_of_the_walk_are_those_of_the_representation() -> None:
    family = neumeta.family()
    shapes = family.family.shapes(5)
    assert torch.equal(raw_coordinates(shapes, walks.sizes(family, 5)), raw_coordinates(shapes))
