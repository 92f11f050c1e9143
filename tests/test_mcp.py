"""The exhibits as tools of the Model Context Protocol: the app started as the README says, asked by a client as any other would."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from explorer.exhibits import catalogue

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 180

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mcp") is None, reason='the package mcp is not installed here: pip install "gradio[mcp]"'
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of the tools of a running `GRADIO_MCP_SERVER=True python app.py`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "GRADIO_MCP_SERVER": "True",
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
            deadline = time.monotonic() + START_SECONDS
            while not _answers(f"http://127.0.0.1:{port}/"):
                log.seek(0)
                assert process.poll() is None, log.read()[-3000:]
                assert time.monotonic() < deadline, log.read()[-3000:]
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}/gradio_api/mcp/"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=20)


def _answers(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5):
            return True
    except urllib.error.URLError:
        return False


def conversation(address: str, *calls: tuple[str, dict[str, Any]]) -> tuple[dict[str, Any], list[Any]]:
    """The tools by name, and the answers to some calls of them, in one session."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def talk() -> tuple[dict[str, Any], list[Any]]:
        async with streamablehttp_client(address) as (receive, send, _), ClientSession(receive, send) as session:
            await session.initialize()
            tools = {tool.name: tool for tool in (await session.list_tools()).tools}
            return tools, [await session.call_tool(name, arguments) for name, arguments in calls]

    return asyncio.run(talk())


def tool_of(slug: str, tools: dict[str, Any]) -> str:
    """The tool of an exhibit: Gradio writes its own prefix before the name and underscores for dashes."""
    found = [name for name in tools if name == slug.replace("-", "_") or name.endswith("_" + slug.replace("-", "_"))]
    assert found, f"no tool for {slug} among {sorted(tools)}"
    return min(found, key=len)


def test_every_exhibit_is_a_tool_that_says_what_it_takes(address: str) -> None:
    tools, _ = conversation(address)
    for slug, exhibit in catalogue()[0].items():
        tool = tools[tool_of(slug, tools)]
        assert exhibit.title in (tool.description or "")
        properties = tool.inputSchema["properties"]
        wanted = {"image"} if exhibit.pictures else set()
        assert wanted | set(exhibit.controls.model_fields) <= set(properties)


def test_a_tool_answers_with_a_prediction_and_refuses_in_words(address: str) -> None:
    tools, _ = conversation(address)
    name = tool_of("vig", tools)
    _, (good, bad) = conversation(address, (name, {"image": "cat"}), (name, {"image": "no-such-picture"}))
    assert not good.isError, good
    answer = ast.literal_eval(good.content[0].text)  # Gradio writes a result as Python would print it
    probabilities = [probability for _, probability in answer["prediction"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert 0 < sum(probabilities) <= 1 + 1e-4
    assert bad.isError
    words = bad.content[0].text
    assert "Traceback" not in words
    assert len(words.split()) > 4, words
