"""The guide's programs run as pasted, on a server of the tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from warm_python import run

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "adk.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_a_block_of_the_guide_runs_as_pasted(block, shared_server):
    done = run("-c", block.replace("redis://localhost:6379", shared_server.url))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["adk web", "adk run", "adk api_server"])
def test_options_that_the_guide_names_are_adks(command):
    done = run(*command.split(), "--help")
    assert done.returncode == 0
    for option in ("--session_service_uri", "--memory_service_uri", "--artifact_service_uri"):
        assert option in GUIDE.read_text("utf-8")
        assert option in done.stdout
