"""Files of an agent: bytes with a MIME type, in versions, of a session or of a user."""

from sojourn.artifacts.model import Artifact, ArtifactVersion
from sojourn.artifacts.service import Artifacts

__all__ = ["Artifact", "ArtifactVersion", "Artifacts"]
