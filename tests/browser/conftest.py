"""Browser tests: the real app in a process of its own, and a Chromium that watches every page it opens.

    def test_title(page, app_url):
        page.goto(app_url)

A page that logs an error to its console, throws, or asks another machine for anything fails its test at the end.
A test that provokes one on purpose takes the fixture `watched` and sets `watched.allow_errors` or
`watched.allow_outside` to True.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, expect, sync_playwright

from tests.browser.exhibit_page import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 180
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LOCAL = ("127.0.0.1", "localhost")

# Nothing that Chromium does of its own accord, and no name that resolves to another machine.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND," + ",".join(f"EXCLUDE {host}" for host in LOCAL),
]

expect.set_options(timeout=PATIENCE)  # Playwright's own five seconds are short on a busy machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, and keep them in one worker of pytest-xdist: one server, one browser."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="package")
def app_url() -> Iterator[str]:
    """Address of a running `python app.py`, without a slash at the end; the process ends with the tests."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
    }
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env=os.environ | settings, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            _wait_until_it_answers(url, process, log)
            yield url
        finally:
            _stop(process)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A headless Chromium: one found on the machine, else Playwright's own.

    It ends with the tests of this folder: while Playwright lives, `asyncio.run` fails in the tests beside it.
    """
    found = next((path for path in map(shutil.which, BROWSERS) if path), None)
    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        except Error as error:
            pytest.fail(f"no Chromium starts; `make chromium` installs one\n{error}", pytrace=False)
        yield chromium
        chromium.close()


@dataclass
class Watched:
    """What the pages of one test did wrong, and what of it the test allows."""

    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    allow_errors: bool = False
    allow_outside: bool = False

    def watch(self, context: BrowserContext) -> None:
        """Watch all pages of a profile, pop-ups included."""
        context.on("console", self._console)
        context.on("weberror", lambda error: self.errors.append(f"uncaught: {error.error}"))
        context.on("request", lambda request: self._address(request.url))
        context.on("page", lambda page: page.on("websocket", lambda channel: self._address(channel.url)))

    def faults(self) -> list[str]:
        """One line per fault that the test does not allow."""
        errors = [] if self.allow_errors else [f"console: {text}" for text in self.errors]
        outside = [] if self.allow_outside else [f"left the machine: {url}" for url in self.outside]
        return errors + outside

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def _address(self, url: str) -> None:
        host = urlsplit(url).hostname
        if host and host not in LOCAL:  # data: and blob: have no host
            self.outside.append(url)


@pytest.fixture
def watched() -> Iterator[Watched]:
    """The watch over all pages of the test; fails the test at its end when one of them did wrong."""
    watch = Watched()
    yield watch
    if faults := watch.faults():
        pytest.fail("\n".join(faults), pytrace=False)


@pytest.fixture
def new_page(browser: Browser, watched: Watched) -> Iterator[Callable[..., Page]]:
    """Opens watched pages, each in a fresh profile: `new_page(width=390, height=844, touch=True, dark=True)`."""
    contexts = []

    def open_page(width: int = 1400, height: int = 900, *, dark: bool = False, touch: bool = False, still: bool = False) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce" if still else "no-preference",
            has_touch=touch,
            is_mobile=touch,
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        watched.watch(context)
        return context.new_page()

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    """One watched page of 1400 × 900 pixels."""
    return new_page()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_it_answers(url: str, process: subprocess.Popen, log: IO[str]) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with direct.open(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    state = f"ended with status {process.returncode}" if process.poll() is not None else f"did not answer within {START_SECONDS} s"
    log.seek(0)
    pytest.fail(f"app.py {state}\n{log.read()[-3000:]}", pytrace=False)


def _stop(process: subprocess.Popen) -> None:
    """End the app and whatever it started."""
    for ending in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, ending)
            process.wait(timeout=10)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
