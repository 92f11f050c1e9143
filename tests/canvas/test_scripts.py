"""Runs the unit tests of the canvas scripts, where there is a Node.js of version 20 or later."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def test_the_scripts_of_the_canvas():
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node.js on this machine: the scripts of the canvas are tested in the browser only")
    done = subprocess.run([node, "--test", str(HERE)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert int(re.search(r"# pass (\d+)", done.stdout).group(1)) > 20
