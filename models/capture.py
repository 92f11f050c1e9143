"""Run any module and keep the structures that its named parts return.

    with capture(model) as trace:
        model(picture)
    for name, graph in trace.of(PatchGraph).items(): ...

Capture is a forward hook and nothing more: the model's code does not change. An *edit* is the same hook used in the
other direction: it receives a structure and returns the one that the network goes on with (cut an edge, swap a graph).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from torch import nn

from models.structures import Structure

S = TypeVar("S", bound=Structure)
Edit = Callable[[Any], Any]
Adapter = Callable[[nn.Module, tuple[Any, ...], Any], Structure | None]

_locks: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()
_locks_guard = threading.Lock()


@dataclass
class Trace:
    """Structures by the name of the module that returned them, in order of the forward pass."""

    structures: dict[str, Structure] = field(default_factory=dict)

    def of(self, kind: type[S]) -> dict[str, S]:
        """All structures of one kind, by name."""
        return {name: s for name, s in self.structures.items() if isinstance(s, kind)}

    def require_finite(self) -> None:
        """Raise models.structures.NonFiniteError for the first structure that is not finite."""
        for name, structure in self.structures.items():
            structure.require_finite(name)


@contextmanager
def capture(
    model: nn.Module,
    *,
    edits: Mapping[str, Edit] | None = None,
    adapters: Mapping[str | type[nn.Module], Adapter] | None = None,
) -> Iterator[Trace]:
    """Collect the structures of one or more forward passes of `model`.

    Args:
        model: any module. Parts that return a Structure are seen by themselves.
        edits: {module name: function}. The function receives what the module returned and returns its replacement.
        adapters: {module name or type: function(module, inputs, output)} for parts that return plain tensors; the
            function returns a Structure to record, or None.

    Raises:
        KeyError: an edit or adapter names a module that the model does not have.

    Hooks are removed on exit whatever happens. Captures of the same model from several threads take turns.
    A module that runs several times in one capture gets the names `name`, `name#2`, `name#3`, ….
    """
    edits, adapters = dict(edits or {}), dict(adapters or {})
    modules = dict(model.named_modules())
    unknown = [name for name in [*edits, *(a for a in adapters if isinstance(a, str))] if name not in modules]
    if unknown:
        raise KeyError(f"the model has no part named {', '.join(map(repr, unknown))}")

    trace, owner = Trace(), threading.get_ident()

    def hook_for(name: str, module: nn.Module) -> Callable[..., Any]:
        edit = edits.get(name)
        adapter = adapters.get(name) or next((f for t, f in adapters.items() if not isinstance(t, str) and isinstance(module, t)), None)

        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
            if threading.get_ident() != owner:
                return None
            if edit is not None:
                output = edit(output)
            seen = adapter(module, inputs, output) if adapter else output
            if isinstance(seen, Structure):
                key, n = name, 1
                while key in trace.structures:
                    n += 1
                    key = f"{name}#{n}"
                trace.structures[key] = seen
            return output if edit is not None else None

        return hook

    with _lock_of(model):
        handles = [module.register_forward_hook(hook_for(name, module)) for name, module in modules.items()]
        try:
            yield trace
        finally:
            for handle in handles:
                handle.remove()


@contextmanager
def alone(model: nn.Module) -> Iterator[None]:
    """Captures of other threads wait: for tools that put hooks of their own into the model (Captum)."""
    with _lock_of(model):
        yield


def _lock_of(model: nn.Module) -> threading.RLock:
    with _locks_guard:
        return _locks.setdefault(model, threading.RLock())
