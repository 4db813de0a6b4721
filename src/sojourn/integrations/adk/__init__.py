"""Sojourn for Google's Agent Development Kit (google-adk ≥ 2.0).

from sojourn.integrations.adk import MemoryService, SessionService

sessions = SessionService("redis://localhost:6379")
memory = MemoryService(sessions.store)
runner = Runner(..., session_service=sessions, memory_service=memory)
"""

from sojourn.integrations.adk.memory import MemoryService
from sojourn.integrations.adk.registry import memory_service, register, session_service
from sojourn.integrations.adk.sessions import SessionService

__all__ = ["MemoryService", "SessionService", "memory_service", "register", "session_service"]
