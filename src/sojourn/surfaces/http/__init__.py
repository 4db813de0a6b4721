"""HTTP: the API of a store (extra `server`), and middleware for web applications of any framework.

app = sojourn.surfaces.http.application("redis://localhost:6379", tokens=tokens_from("keys.toml"))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sojourn.surfaces.http.csrf import CSRF

if TYPE_CHECKING:
    from sojourn.surfaces.http.app import application

__all__ = ["CSRF", "application"]


def __getattr__(name: str) -> Any:
    if name == "application":  # needs the extra
        return import_module("sojourn.surfaces.http.app").application
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
