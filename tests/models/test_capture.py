"""Capture: what is seen, in which order, edits, and that nothing of it stays behind."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.capture import capture
from models.image_graphs import vig
from models.structures import Aggregation, NonFiniteError, PatchGraph, Structure


@dataclass(frozen=True)
class Heat(Structure):
    value: Tensor


class Scale(nn.Module):
    """Returns a structure, as a part that is worth seeing does."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Heat:
        return Heat(x * self.factor)


class Chain(nn.Module):
    """Two parts that run in the other order than they are registered, and one that runs three times."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.first, self.again = Scale(3.0), Scale(2.0), Scale(1.0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.last(self.first(x).value).value
        for _ in range(3):
            x = self.again(x + 1).value
        return x


class Plain(nn.Module):
    """A user's own module: plain tensors everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


@pytest.fixture
def small_vig() -> vig.ViG:
    torch.manual_seed(0)
    return vig.ViG(16, 2, 3, 5, 8, (64, 64)).eval()


def test_names_follow_the_forward_pass_and_repeats_are_numbered() -> None:
    with capture(Chain()) as trace:
        Chain()(torch.ones(1))  # another model: not seen
    assert trace.structures == {}
    model = Chain()
    with capture(model) as trace:
        result = model(torch.ones(1))
    assert list(trace.structures) == ["first", "last", "again", "again#2", "again#3"]
    assert [heat.value.item() for heat in trace.of(Heat).values()] == [2, 6, 7, 8, 9]
    assert result.item() == 9


def test_a_second_pass_in_one_capture_is_numbered_too() -> None:
    model = Chain()
    with capture(model) as trace:
        model(torch.ones(1))
        model(torch.ones(1))
    assert list(trace.structures)[5:] == ["first#2", "last#2", "again#4", "again#5", "again#6"]


def test_graphs_and_aggregations_of_a_real_network(small_vig: vig.ViG) -> None:
    with torch.inference_mode(), capture(small_vig) as trace:
        small_vig(torch.randn(1, 3, 64, 64))
    assert list(trace.of(PatchGraph)) == [f"backbone.{b}.0.graph_conv.constructor" for b in (0, 1)]
    assert list(trace.of(Aggregation)) == [f"backbone.{b}.0.graph_conv.gconv.relative" for b in (0, 1)]
    assert list(trace.structures)[0::2] == list(trace.of(PatchGraph))


def test_an_edit_changes_what_the_network_goes_on_with(small_vig: vig.ViG) -> None:
    image, name = torch.randn(1, 3, 64, 64), "backbone.0.0.graph_conv.constructor"
    with torch.inference_mode():
        before = small_vig(image)
        with capture(small_vig, edits={name: lambda graph: graph.with_kept(torch.zeros_like(graph.kept))}) as trace:
            cut = small_vig(image)
        with capture(small_vig, edits={name: lambda graph: graph}):
            same = small_vig(image)
        after = small_vig(image)
    assert not torch.allclose(cut, before)
    assert not trace.of(PatchGraph)[name].kept.any()
    relative = trace.of(Aggregation)["backbone.0.0.graph_conv.gconv.relative"]
    assert not relative.relative.any()
    assert torch.equal(same, before)
    assert torch.equal(after, before)


def test_an_edit_of_a_part_that_returns_a_tensor() -> None:
    model, x = Plain(), torch.randn(3, 4)
    with capture(model, edits={"body.1": torch.zeros_like}) as trace:
        edited = model(x)
    assert torch.allclose(edited, model.body[2].bias.expand(3, 2))
    assert trace.structures == {}


def test_adapters_look_at_a_users_own_module_by_name_and_by_type() -> None:
    model, x = Plain(), torch.randn(3, 4)

    def heat(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Heat:
        assert isinstance(module, nn.Linear)
        assert inputs[0].shape[1] == module.in_features
        return Heat(output)

    expected = model(x)
    with capture(model, adapters={"body.2": heat}) as by_name:
        assert torch.equal(model(x), expected)
    with capture(model, adapters={nn.Linear: heat}) as by_type:
        model(x)
    assert list(by_name.structures) == ["body.2"]
    assert torch.equal(by_name.of(Heat)["body.2"].value, expected)
    assert list(by_type.structures) == ["body.0", "body.2"]


def test_an_adapter_by_name_goes_before_one_by_type_and_may_pass() -> None:
    model = Plain()
    with capture(model, adapters={nn.Linear: lambda m, i, o: Heat(o), "body.0": lambda m, i, o: None}) as trace:
        model(torch.randn(3, 4))
    assert list(trace.structures) == ["body.2"]


def test_adapter_and_edit_of_one_part_see_the_edited_value() -> None:
    model, x = Plain(), torch.randn(3, 4)
    with capture(model, adapters={"body.2": lambda m, i, o: Heat(o)}, edits={"body.2": lambda y: y + 1}) as trace:
        result = model(x)
    assert torch.equal(trace.of(Heat)["body.2"].value, result)


@pytest.mark.parametrize("kind", ["edits", "adapters"])
def test_a_name_that_does_not_exist_is_refused(kind: str) -> None:
    model = Plain()
    with pytest.raises(KeyError, match=r"no part named 'body\.9'"), capture(model, **{kind: {"body.9": lambda *a: None}}):
        pass
    assert hooks(model) == 0


def test_hooks_are_removed_also_after_an_exception() -> None:
    model = Plain()
    with capture(model):
        assert hooks(model) == len(list(model.modules()))
    assert hooks(model) == 0
    with pytest.raises(RuntimeError, match="on purpose"), capture(model):
        raise RuntimeError("on purpose")
    assert hooks(model) == 0

    def fail(_: Tensor) -> Tensor:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), capture(model, edits={"body.0": fail}):
        model(torch.randn(1, 4))
    assert hooks(model) == 0
    with capture(model, adapters={nn.Linear: lambda m, i, o: Heat(o)}) as trace:  # the lock was given back as well
        model(torch.randn(1, 4))
    assert len(trace.structures) == 2


def test_captures_of_one_thread_may_nest() -> None:
    model = Chain()
    with capture(model) as outer:
        with capture(model) as inner:
            model(torch.ones(1))
        model(torch.ones(1))
    assert len(inner.structures) == 5
    assert len(outer.structures) == 10
    assert hooks(model) == 0


def test_require_finite_names_the_part(small_vig: vig.ViG) -> None:
    image = torch.zeros(1, 3, 64, 64)
    image[0, 0, 0, 0] = torch.nan
    with torch.inference_mode(), capture(small_vig) as trace:
        small_vig(image)
    with pytest.raises(NonFiniteError, match=r"backbone\.0\.0\.graph_conv\.constructor: .* % of (features|distance)"):
        trace.require_finite()


def in_threads(count: int, work) -> list[Any]:
    """work(i) in `count` threads that start together; the first exception is raised here."""
    results: list[Any] = [None] * count
    failures: list[BaseException] = []
    start = threading.Barrier(count)

    def call(i: int) -> None:
        try:
            start.wait()
            results[i] = work(i)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=call, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if failures:
        raise failures[0]
    return results


def test_eight_threads_give_bit_for_bit_what_one_gives(small_vig: vig.ViG) -> None:
    images = torch.randn(8, 1, 3, 64, 64)
    name = "backbone.1.0.graph_conv.constructor"

    def look(i: int) -> tuple[Tensor, dict[str, Tensor], list[str]]:
        edits = {name: lambda graph: graph.with_kept(torch.zeros_like(graph.kept))} if i % 2 else {}
        with torch.inference_mode(), capture(small_vig, edits=edits) as trace:
            logits = small_vig(images[i])
        tensors = {f"{key}.{part}": t for key, s in trace.structures.items() for part, t in s.tensors().items()}
        return logits, tensors, list(trace.structures)

    alone = [look(i) for i in range(8)]
    for _ in range(3):
        together = in_threads(8, look)
        for (logits, tensors, names), (expected, expected_tensors, expected_names) in zip(together, alone, strict=True):
            assert torch.equal(logits, expected)
            assert names == expected_names
            assert all(torch.equal(t, expected_tensors[key]) for key, t in tensors.items())
    assert hooks(small_vig) == 0
    assert not torch.equal(alone[0][0], alone[1][0])


def test_another_threads_pass_is_neither_seen_nor_edited() -> None:
    model, x = Chain(), torch.ones(1)
    results: list[float] = []
    with capture(model, edits={"first": lambda heat: replace(heat, value=heat.value * 100)}) as trace:
        thread = threading.Thread(target=lambda: results.append(model(x).item()))
        thread.start()
        thread.join(30)
        assert results == [9]
        assert trace.structures == {}
        assert model(x).item() == 603
    assert len(trace.structures) == 5
