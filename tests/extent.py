"""How much runs: a part that stands for all by default, and all of it with FULL=1."""

from __future__ import annotations

import os

FULL = os.environ.get("FULL") == "1"
"""Whether all rows, all servers and many examples run: `make test-all` (docs/testing.md)."""


def examples(usual: int) -> int:
    """How many examples Hypothesis looks for: a third, or three times as many as are usual."""
    return usual * 3 if FULL else max(5, usual // 3)
