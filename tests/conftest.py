"""What every test shares: a quiet, offline process with one thread, and the golden cases where they are at hand."""

from __future__ import annotations

import os

# Read when the libraries are imported, so before anything else here.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "Agg"

import ipaddress
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

torch.set_num_threads(1)

# Property tests are about answers; a slow moment of a shared machine is no failure.
settings.register_profile("hyperscope", deadline=None)
settings.load_profile("hyperscope")


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """Folder of the golden cases (stored outputs of the published implementations), which lies beside the repository."""
    folder = ROOT.parent / "shared" / "golden"
    if not folder.is_dir():
        pytest.skip("the golden cases (shared/golden, beside the repository) are not on this machine")
    return folder


class OutsideConnectionError(OSError):
    """A test reached for another machine."""


def is_loopback(host: str | bytes | None) -> bool:
    """True for this machine: localhost, loopback addresses, and the unspecified address that a server binds to."""
    name = (host.decode() if isinstance(host, bytes) else host or "").strip("[]").partition("%")[0]
    if name in ("", "localhost") or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Refuse every connection to another machine, and fail a test that tried, even when its code caught the refusal.

    Yields the hosts that were refused; a test that provokes a refusal clears the list.
    """
    refused: list[str] = []
    connect, connect_ex, sendto, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.socket.sendto, socket.getaddrinfo

    def guard(host: str | bytes | None) -> None:
        if not is_loopback(host):
            refused.append(str(host))
            raise OutsideConnectionError(f"tests stay on this machine, but something called {host!r}")

    def guard_socket(sock: socket.socket, address: object) -> None:
        if sock.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
            guard(address[0])

    def guarded_connect(self, address):
        guard_socket(self, address)
        return connect(self, address)

    def guarded_connect_ex(self, address):
        guard_socket(self, address)
        return connect_ex(self, address)

    def guarded_sendto(self, data, *flags_and_address):
        guard_socket(self, flags_and_address[-1])
        return sendto(self, data, *flags_and_address)

    def guarded_getaddrinfo(host, *args, **kwargs):
        guard(host)
        return getaddrinfo(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    monkeypatch.setattr(socket.socket, "sendto", guarded_sendto)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
    yield refused
    if refused:
        pytest.fail(f"the test called other machines: {', '.join(sorted(set(refused)))}")
