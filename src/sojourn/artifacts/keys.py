"""Keys of artifacts, of their data, and of the indexes of their names."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from sojourn.calls.keys import ID, REMEMBERED, USER_TAG, Endless, KeyKind, Keys, parent
from sojourn.ids import SessionKey, UserKey, escape


def _head(key: str) -> str:
    return parent(parent(key))


_ARTIFACT = rf"artifact:{USER_TAG}:{ID}:{ID}"

KINDS = (
    KeyKind("artifact", _ARTIFACT, Endless.EXPIRES_FIELD, record="hash"),
    KeyKind(
        "artifactdata",
        rf"{_ARTIFACT}:data:{ID}",
        Endless.EXPIRES_FIELD,
        _head,
    ),
    KeyKind("artifactops", rf"{_ARTIFACT}:(?:saved|deleted):{ID}"),
    KeyKind("artifacts", rf"artifacts:{USER_TAG}(?::{ID})?", Endless.INFINITE_SCORE),
)


class ArtifactKeys(NamedTuple):
    """The keys of one artifact; the last three go on with `:` and an operation id, escaped."""

    head: str
    names: str
    data: str
    saved: str
    deleted: str


class ArtifactRoomKeys(Keys):
    """Builds the keys of this room."""

    kinds = KINDS

    def __init__(self, namespace: str = "") -> None:
        super().__init__(namespace)
        self._of = lru_cache(REMEMBERED)(self._of_owner)

    def _of_owner(self, owner: UserKey | SessionKey) -> tuple[str, str]:
        """The index of an owner, and the start of the keys of its artifacts."""
        session = f":{escape(owner.session)}" if isinstance(owner, SessionKey) else ""
        start = f"{self.of_user('artifact', owner)}{session or ':'}:"
        return f"{self.of_user('artifacts', owner)}{session}", start

    def artifact(self, owner: UserKey | SessionKey, name: str) -> ArtifactKeys:
        """The keys of an artifact, in the slot of its user. No session has an empty id."""
        index, start = self._of(owner)
        head = f"{start}{escape(name)}"
        return ArtifactKeys(head, index, f"{head}:data", f"{head}:saved", f"{head}:deleted")

    def artifacts(self, owner: UserKey | SessionKey) -> str:
        """The index of the artifacts of a session, or of those of a user."""
        return self._of(owner)[0]

    def artifacts_by(self, owner: UserKey) -> str:
        """A glob of all keys of the artifacts of a user and of the user's sessions."""
        return f"{self.of_user('artifact*', owner)}*"
