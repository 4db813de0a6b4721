"""What importing the integration costs, and what is said without langchain-core."""

from __future__ import annotations

import subprocess
import sys


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )


def test_sojourn_does_without_langchain() -> None:
    code = (
        "import sys, sojourn; sojourn.open('memory://'); sojourn.sync.open('memory://'); "
        "print([name for name in sys.modules if name.startswith('lang')])"
    )
    assert python(code).stdout == "[]\n"


def test_a_missing_extra_is_named() -> None:
    code = "import sys; sys.modules['langchain_core'] = None; import sojourn.integrations.langchain"
    last = python(code).stderr.splitlines()[-1]
    assert last.startswith("ModuleNotFoundError")
    assert "pip install '.[langchain]'" in last
