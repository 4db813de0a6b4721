"""Sojourn for Google's Agent Development Kit (google-adk ≥ 2.0).

from sojourn.integrations.adk import ArtifactService, MemoryService, SessionService

sessions = SessionService("redis://localhost:6379")
memory = MemoryService(sessions.store)
artifacts = ArtifactService(sessions.store)
runner = Runner(
    ..., session_service=sessions, memory_service=memory, artifact_service=artifacts
)
"""

from sojourn.extras import how_to_install

try:
    import google.adk as _  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"sojourn.integrations.adk needs google-adk ({error}): {how_to_install('adk')}",
        name=error.name,
    ) from error

from sojourn.integrations.adk.artifacts import ArtifactService
from sojourn.integrations.adk.memory import MemoryService
from sojourn.integrations.adk.registry import (
    artifact_service,
    memory_service,
    register,
    session_service,
)
from sojourn.integrations.adk.sessions import SessionService

__all__ = [
    "ArtifactService",
    "MemoryService",
    "SessionService",
    "artifact_service",
    "memory_service",
    "register",
    "session_service",
]
