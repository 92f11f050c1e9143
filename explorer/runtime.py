"""Where and how models run: device, threads, the cache of loaded models, the store of recent runs, ZeroGPU."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

import torch

from models import zoo

T = TypeVar("T")

MODEL_QUEUE = "model"  # every event that runs a model shares this concurrency_id
MODEL_WORKERS = 1
STREAM_QUEUE = "stream"  # what is watched while it runs (live training) goes beside it, so that nobody's picture waits
STREAM_WORKERS = 2
RUN_TTL_SECONDS = 15 * 60
RUN_BYTES = 200 * 2**20
_loading = threading.Lock()


def on_gpu(seconds: int = 8) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Decorator: on a ZeroGPU Space, borrow a GPU for the call and fall back to the CPU when the quota is used up.

    Elsewhere the function is returned as it is.
    """

    def decorate(function: Callable[..., T]) -> Callable[..., T]:
        if not os.environ.get("SPACES_ZERO_GPU"):
            return function
        import spaces  # only there on Spaces

        borrowed = spaces.GPU(duration=seconds)(function)

        def with_fallback(*args: Any, **kwargs: Any) -> T:
            try:
                return borrowed(*args, **kwargs)
            except Exception as error:
                if "ZeroGPU" not in f"{getattr(error, 'title', '')}{error}":
                    raise
                return function(*args, **kwargs)

        return with_fallback

    return decorate


def device() -> torch.device:
    """The device that models run on."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def model(name: str) -> zoo.Loaded:
    """A model of the zoo, loaded once and shared; its weights are never written to."""
    with _loading:  # two first visitors at once must not get two models
        return _model(name)


@lru_cache(maxsize=24)
def _model(name: str) -> zoo.Loaded:
    loaded = zoo.load(name)
    loaded.model.to(device())
    return loaded


def class_index(name: str, label: str) -> int:
    """Number of a class by its label, or by "class 7" where the classes have no names. Raises ValueError naming what there is."""
    loaded = model(name)
    labels = loaded.labels or tuple(f"class {i}" for i in range(len(list(loaded.model.parameters())[-1])))  # bias of the head
    if label not in labels:
        names = ", ".join(labels) if len(labels) <= 20 else f"{labels[0]} … {labels[-1]}"
        raise ValueError(f"there is no class {str(label)[:40]!r}; there are {names}")
    return labels.index(label)


@dataclass
class Run:
    """One finished run: what follow-up questions (a cut, a distance row, a layout) need."""

    exhibit: str
    picture: Any
    controls: Any
    scene: Any
    nbytes: int
    born: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)
    memo: dict[Any, Any] = field(default_factory=dict)


class RunStore:
    """Recent runs under unguessable ids, bounded in bytes and age; the oldest go first."""

    def __init__(self, max_bytes: int = RUN_BYTES, ttl: float = RUN_TTL_SECONDS) -> None:
        self.max_bytes, self.ttl = max_bytes, ttl
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._lock = threading.Lock()
        self._alarm: threading.Timer | None = None

    def put(self, run: Run) -> str:
        """Keep a run; returns its id."""
        key = secrets.token_urlsafe(16)
        with self._lock:
            self._runs[key] = run
            self._drop()
            self._set_alarm()
        return key

    def get(self, key: Any) -> Run | None:
        """The run of this id, or None when there is none (any more)."""
        if not isinstance(key, str) or len(key) > 64:
            return None
        with self._lock:
            self._drop()
            run = self._runs.get(key)
            if run is not None:
                self._runs.move_to_end(key)
            return run

    def __len__(self) -> int:
        return len(self._runs)

    def _set_alarm(self) -> None:
        """Old runs are forgotten in time also when nobody comes any more."""
        if self._runs and self._alarm is None:
            oldest = min(run.born for run in self._runs.values())
            self._alarm = threading.Timer(max(oldest + self.ttl - time.monotonic(), 0) + 1, self._forget)
            self._alarm.daemon = True
            self._alarm.start()

    def _forget(self) -> None:
        with self._lock:
            self._alarm = None
            self._drop()
            self._set_alarm()

    def _drop(self) -> None:
        now = time.monotonic()
        for key in [k for k, r in self._runs.items() if now - r.born > self.ttl]:
            del self._runs[key]
        while len(self._runs) > 1 and sum(r.nbytes for r in self._runs.values()) > self.max_bytes:
            self._runs.popitem(last=False)


class Bells:
    """Streams that their visitors want to end, by the unguessable names that the pages gave them. Forgets the oldest."""

    def __init__(self, most: int = 256) -> None:
        self.most = most
        self._rung: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def ring(self, token: Any) -> None:
        """The stream of this name shall end, also when it has not begun yet."""
        if not isinstance(token, str) or not 0 < len(token) <= 64:
            return
        with self._lock:
            self._rung[token] = None
            while len(self._rung) > self.most:
                self._rung.popitem(last=False)

    def rung(self, token: Any) -> bool:
        """True when somebody wants the stream of this name to end."""
        return isinstance(token, str) and token in self._rung


class Steps:
    """How far the runs under way have come, under the names that their pages gave them; what is over is forgotten."""

    def __init__(self, most: int = 256) -> None:
        self.most = most
        self._at: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def kept(self, name: Any) -> Iterator[None]:
        """While inside, what `reached` says stands under this name."""
        if not isinstance(name, str) or not 0 < len(name) <= 128:
            yield
            return

        def tell(done: int, of: int) -> None:
            with self._lock:
                self._at[name] = (done, of)
                while len(self._at) > self.most:
                    self._at.popitem(last=False)

        try:
            with followed(tell):
                yield
        finally:
            with self._lock:
                self._at.pop(name, None)

    def get(self, name: Any) -> tuple[int, int] | None:
        """(layers that are done, all layers) of the run of this name; None when there is nothing to tell."""
        return self._at.get(name) if isinstance(name, str) else None


_follower: ContextVar[Callable[[int, int], None] | None] = ContextVar("follower", default=None)


@contextmanager
def followed(tell: Callable[[int, int], None]) -> Iterator[None]:
    """While inside, `tell` is called with (layers that are done, all layers) as a large model goes on."""
    token = _follower.set(tell)
    try:
        yield
    finally:
        _follower.reset(token)


def reached(done: int, of: int) -> None:
    """A model that may take long has done so many of its layers. Whoever follows the run is told."""
    tell = _follower.get()
    if tell is not None:
        tell(done, of)


BELLS = Bells()
STEPS = Steps()
RUNS = RunStore()
