"""Sojourn for Google's Agent Development Kit (google-adk ≥ 2.0).

from sojourn.integrations.adk import SessionService

runner = Runner(..., session_service=SessionService("redis://localhost:6379"))
"""

from sojourn.integrations.adk.registry import register, session_service
from sojourn.integrations.adk.sessions import SessionService

__all__ = ["SessionService", "register", "session_service"]
