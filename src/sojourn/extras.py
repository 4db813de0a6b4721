"""Install hints for optional dependencies."""

from __future__ import annotations


def how_to_install(extras: str) -> str:
    """The command that installs extras, as `cli,mcp`; it works from a clone and asks no index."""
    return f"in Sojourn's clone, run pip install '.[{extras}]'"
