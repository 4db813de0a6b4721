"""The next version: this one with one more field, member and kind in every record."""

from __future__ import annotations

from pathlib import Path


def patch(tree: Path) -> None:
    """Patch a tree of this code."""
