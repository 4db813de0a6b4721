"""ADK's StaleSessionError, which google-adk before 2.1 does not have."""

from __future__ import annotations

try:
    from google.adk.errors import StaleSessionError
except ImportError:

    class StaleSessionError(ValueError):  # type: ignore[no-redef]
        """The session has changed since it was loaded; ADK raised a plain ValueError then."""


__all__ = ["StaleSessionError"]
