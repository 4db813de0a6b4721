"""The programs in the guides run as they stand, on a server of the tests."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from servers import Server

ROOT = Path(__file__).parent.parent
PROGRAM = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def programs() -> list[object]:
    """Blocks that are whole: they import what they use, and run it."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs" / "guides").glob("*.md"))]
    return [
        pytest.param(block, id=f"{page.stem}-{number}")
        for page in pages
        for number, block in enumerate(PROGRAM.findall(page.read_text("utf-8")), 1)
        if re.match(r"import |from ", block) and re.search(r"asyncio\.run\(|sync\.open\(", block)
    ]


@pytest.mark.parametrize("program", programs())
def test_a_program_of_a_guide_runs(program: str, shared_server: Server, tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(program.replace("redis://localhost:6379", shared_server.url), "utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
