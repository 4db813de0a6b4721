"""The guide's code runs as it stands there, on a plain server."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from servers import Server

GUIDE = Path(__file__).parents[3] / "docs/guides/langchain.md"
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
PRINTED = [
    ["content='Sun in Lima?'", "'name': 'weather'"],
    ["content='Hello!'"],
    ["Hello, Ada."],
    ["first first", "hits=1, misses=1"],
    ["[{'title': 'Tea'}, b'\\x00\\xff', None] ['a/1', 'a/2']"],
]


@pytest.mark.parametrize(("code", "printed"), list(zip(BLOCKS, PRINTED, strict=True)))
def test_the_guides_code_runs(shared_server: Server, code: str, printed: list[str]) -> None:
    assert "redis://localhost:6379" in code
    done = subprocess.run(
        [sys.executable, "-c", code.replace("redis://localhost:6379", shared_server.url)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    for text in printed:
        assert text in done.stdout
