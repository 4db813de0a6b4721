"""Protocol of an artifact store, as the artifacts room calls it."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypeAlias

from sojourn.ids import SessionKey, UserKey

Owner: TypeAlias = SessionKey | UserKey
"""Whose artifacts: a session's, or those of a user, which all sessions of the user share."""


class ArtifactPlace(NamedTuple):
    """The identity of an artifact."""

    owner: Owner
    name: str


class ArtifactDraft(NamedTuple):
    """What is to be saved.

    Attributes:
        data: the bytes.
        mime_type: what they are.
        metadata: a JSON object, encoded.
        created: seconds since the epoch; None for the store's own clock.
    """

    data: bytes
    mime_type: str
    metadata: bytes
    created: float | None


class StoredArtifact(NamedTuple):
    """What a store knows of a version.

    Attributes:
        version: its number.
        size: bytes of its data.
        mime_type: what they are.
        metadata: a JSON object.
        created: seconds since the epoch.
        newer: this version of Sojourn cannot read its data, or its record.
    """

    version: int
    size: int
    mime_type: str
    metadata: dict[str, Any]
    created: float
    newer: bool = False


class ArtifactStore(Protocol):
    """Where artifacts are kept. Versions count from 0; only the whole of an artifact is deleted.

    All raise `Unavailable` and its kin when no server answers in time, and `CorruptRecord` when
    what is kept cannot be read or has been lost. What a newer version wrote, in a way that this one
    cannot read, is `NewerFormat` for `save`, `load`, `find` and `versions`; `versions` and `find`
    mark a version of which only the data are.
    """

    async def save(self, place: ArtifactPlace, draft: ArtifactDraft, operation_id: str) -> int:
        """Add a version, which is visible when all of it is there; repeated, it is the same one."""
        ...

    async def load(
        self, place: ArtifactPlace, version: int | None
    ) -> tuple[StoredArtifact, bytes] | None:
        """A version with its data, None for the last; the artifact lives on for its lifetime."""
        ...

    async def find(self, place: ArtifactPlace, version: int | None) -> StoredArtifact | None:
        """A version without its data, None for the last."""
        ...

    async def versions(self, place: ArtifactPlace) -> list[StoredArtifact]:
        """All versions, oldest first."""
        ...

    async def names(self, owner: Owner) -> list[str]:
        """The names of the artifacts of an owner, in order."""
        ...

    async def move(self, place: ArtifactPlace, to: Owner) -> bool:
        """Give an artifact to another owner of the same user; whether there was one.

        Raises Conflict.
        """
        ...

    async def owners(self, user: UserKey) -> list[Owner]:
        """The user, and those of the user's sessions, that have artifacts. Looks at every key."""
        ...

    async def forget(self, user: UserKey) -> int:
        """Delete all that is kept of a user and the user's sessions; how many artifacts."""
        ...

    async def delete(self, place: ArtifactPlace, operation_id: str) -> bool:
        """Delete all versions; whether there were any."""
        ...
