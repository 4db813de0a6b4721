"""The example of the guide runs, and prints what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

GUIDE = (Path(__file__).parents[2] / "docs/guides/memory.md").read_text("utf-8")


def test_the_example_prints_what_the_guide_says() -> None:
    code, printed = re.findall(r"```(?:python|text)\n(.*?)```", GUIDE, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == printed
