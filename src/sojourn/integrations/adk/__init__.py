"""Sojourn for Google's Agent Development Kit (google-adk ≥ 2.0).

from sojourn.integrations.adk import ArtifactService, SessionService

sessions = SessionService("redis://localhost:6379")
artifacts = ArtifactService(sessions.store)
runner = Runner(..., session_service=sessions, artifact_service=artifacts)
"""

from sojourn.integrations.adk.artifacts import ArtifactService
from sojourn.integrations.adk.registry import artifact_service, register, session_service
from sojourn.integrations.adk.sessions import SessionService

__all__ = ["ArtifactService", "SessionService", "artifact_service", "register", "session_service"]
