"""The guide's example runs as it stands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from servers import Server

GUIDE = Path(__file__).parents[2] / "docs/guides/artifacts.md"


def test_the_first_example_runs(shared_server: Server) -> None:
    code = GUIDE.read_text("utf-8").split("```python\n")[1].split("```")[0]
    code = code.replace("redis://localhost:6379", shared_server.url)
    paths = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert done.stdout == ("0 application/pdf 12 {'pages': 1}\n['offer.pdf'] ['portrait.png']\n")
