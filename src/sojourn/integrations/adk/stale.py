"""ADK's StaleSessionError; google-adk 2.0 has none and raises a plain ValueError."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.adk.errors import StaleSessionError
else:
    StaleSessionError = getattr(import_module("google.adk.errors"), "StaleSessionError", ValueError)

__all__ = ["StaleSessionError"]
