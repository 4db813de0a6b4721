"""Values of the artifacts room: frozen, and independent of the store."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import msgspec

from sojourn.codecs.codec import Sealed
from sojourn.ids import SessionKey, UserKey

Owner: TypeAlias = SessionKey | UserKey
"""Whose artifacts: a session's, or those of a user, which all sessions of the user share."""


class ArtifactPlace(NamedTuple):
    """The identity of an artifact."""

    owner: Owner
    name: str


class ArtifactVersion(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one version of an artifact.

    Attributes:
        version: counts the saves under a name, from 0.
        size: bytes of its data.
        mime_type: what its data are.
        metadata: JSON of the application's.
        created: when it was saved, seconds since the epoch; 0 when that is not known.
        newer: this process cannot decode its data, or its record: a newer version of Sojourn wrote
            it, or it is sealed with a key that is not here. It cannot be loaded. Of such a record
            only the version is known, and perhaps `created` and `sealed`.
        sealed: with which key it is sealed, where that is why.
    """

    version: int
    size: int
    mime_type: str
    metadata: dict[str, Any]
    created: float
    newer: bool = False
    sealed: Sealed | None = None


class Artifact(ArtifactVersion, frozen=True, kw_only=True):
    """One version of an artifact.

    Attributes:
        data: its bytes, all of them.
    """

    data: bytes
