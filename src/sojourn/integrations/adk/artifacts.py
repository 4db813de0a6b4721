"""ADK's artifact service over the artifacts room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING, Any

from google.adk.artifacts import artifact_util
from google.adk.artifacts.base_artifact_service import (
    ArtifactVersion,
    BaseArtifactService,
    ensure_part,
)
from google.adk.errors.input_validation_error import InputValidationError
from google.adk.platform import time as platform_time
from google.genai import types

from sojourn import artifacts, errors
from sojourn.ids import SessionKey, UserKey
from sojourn.integrations.adk import parts
from sojourn.integrations.adk.answers import answers
from sojourn.integrations.adk.opening import open_store
from sojourn.integrations.opened import StoreUser
from sojourn.process_bound import stays_here

if TYPE_CHECKING:
    from sojourn.integrations.opened import Where

_USER = "user:"
_REFERENCES = 5
"""How many references one load follows."""


def _accept(_value: str, _field: str) -> None:
    """google-adk 2.0 has no checks; here no id can leave its place in any case."""


_check: Callable[[str, str], None] = getattr(artifact_util, "validate_path_segment", _accept)


@stays_here("its URL, and make one there")
class ArtifactService(StoreUser, BaseArtifactService):
    """ADK's artifacts in Redis or Valkey.

    The semantics are those of ADK's `InMemoryArtifactService` 2.13; the differences are that data
    survive, that many processes may share them, that an outage raises `sojourn.Unavailable` instead
    of looking like a missing file, and that a session may be called `user`. The canonical URI of a
    version is `artifact://…`: saved as the `file_uri` of another, it is followed.

    An artifact lives `artifact_ttl` after it was last saved or loaded, 30 days if not given.

    Args:
        url_or_store: a URL or redis-py client as `sojourn.open` takes them, or an open store, which
            `close()` then leaves open, as that of a `SessionService`. Objects of this process with
            the same URL and options share one store.
        uri: the same by the name that ADK's `services.yaml` has for it.
        options: further arguments of `sojourn.open`.

    Raises:
        sojourn.ConfigurationError: the URL; nothing is sent yet.
        sojourn.InvalidInput: one of the other arguments.

    Every method raises ADK's InputValidationError for names that ADK does not take, and may raise
    `sojourn.Unavailable`, `sojourn.AccessDenied` and their kin; `sojourn.CorruptRecord` when a
    version is damaged or a part of it was evicted.
    """

    def __init__(
        self, url_or_store: Where | None = None, *, uri: str | None = None, **options: Any
    ) -> None:
        self._opened = open_store("ArtifactService", url_or_store, uri, options)

    @answers
    async def save_artifact(
        self,
        *,
        app_name: str,
        user_id: str,
        filename: str,
        artifact: types.Part | dict[str, Any],
        session_id: str | None = None,
        custom_metadata: dict[str, Any] | None = None,
    ) -> int:
        """Save a new version; its number, from 0. One round trip, one more for each 512 KiB more.

        Args:
            app_name: the app.
            user_id: the user.
            filename: `user:…` is the user's, and not of this session alone.
            artifact: bytes, a text, or a reference to a file.
            session_id: the session; None for a name with `user:`.
            custom_metadata: JSON, kept beside it.

        Raises:
            sojourn.InvalidInput: metadata that JSON cannot hold.
            sojourn.TooLarge: over `max_artifact_bytes`; nothing was sent.
        """
        owner, name = _place(app_name, user_id, filename, session_id)
        part = ensure_part(artifact)
        data, mime, rest = parts.to_bytes(part)
        if part.inline_data is None and part.text is None and artifact_util.is_artifact_ref(part):
            _target(part.file_data, app_name, user_id, session_id)
        return await self.store.artifacts.save(
            owner,
            name,
            data,
            mime_type=mime,
            metadata={**parts.custom(custom_metadata), **rest},
            created=platform_time.get_time(),
        )

    @answers
    async def load_artifact(
        self,
        *,
        app_name: str,
        user_id: str,
        filename: str,
        session_id: str | None = None,
        version: int | None = None,
    ) -> types.Part | None:
        """A version, the last if not given; None when there is none, or a rewind has removed it.

        Two round trips for each reference and for the data, one more for each 512 KiB more.
        """
        scope = app_name, user_id, session_id
        for _ in range(_REFERENCES + 1):
            place = _place_of(*scope[:2], filename, scope[2])
            if place is None:
                return None
            owner, name = place
            found = await self.store.artifacts.load(owner, name, version=version)
            if found is None:
                return None
            part = parts.to_part(found)
            if not artifact_util.is_artifact_ref(part):
                return None if parts.is_removed(part) else part
            target = _target(part.file_data, *scope)
            scope = target.app_name, target.user_id, target.session_id
            filename, version = target.filename, target.version
        raise InputValidationError(
            f"Exceeded maximum recursion depth: {filename!r} is behind more than {_REFERENCES} "
            "artifact references."
        )

    @answers
    async def list_artifact_keys(
        self, *, app_name: str, user_id: str, session_id: str | None = None
    ) -> list[str]:
        """The names of a session's artifacts and of the user's, with `user:`. One round trip."""
        _check(app_name, "app_name")
        _check(user_id, "user_id")
        if session_id is not None:
            _check(session_id, "session_id")
        try:
            owners: list[SessionKey | UserKey] = [UserKey.of(app_name, user_id)]
            if session_id is not None:
                owners.append(SessionKey.of(app_name, user_id, session_id))
        except errors.InvalidId:
            return []
        shared, *own = await asyncio.gather(*map(self.store.artifacts.names, owners))
        return sorted([*(_USER + name for name in shared), *chain(*own)])

    @answers
    async def delete_artifact(
        self, *, app_name: str, user_id: str, filename: str, session_id: str | None = None
    ) -> None:
        """Delete all versions; that there are none is no error. Two round trips."""
        if (place := _place_of(app_name, user_id, filename, session_id)) is None:
            return
        await self.store.artifacts.delete(*place)

    @answers
    async def list_versions(
        self, *, app_name: str, user_id: str, filename: str, session_id: str | None = None
    ) -> list[int]:
        """The numbers of all versions. One round trip."""
        if (place := _place_of(app_name, user_id, filename, session_id)) is None:
            return []
        last = await self.store.artifacts.find(*place)
        return [] if last is None else list(range(last.version + 1))

    @answers
    async def list_artifact_versions(
        self, *, app_name: str, user_id: str, filename: str, session_id: str | None = None
    ) -> list[ArtifactVersion]:
        """All versions without their data. One round trip."""
        if (place := _place_of(app_name, user_id, filename, session_id)) is None:
            return []
        found = await self.store.artifacts.versions(*place)
        return [_described(place[0], filename, each) for each in found]

    @answers
    async def get_artifact_version(
        self,
        *,
        app_name: str,
        user_id: str,
        filename: str,
        session_id: str | None = None,
        version: int | None = None,
    ) -> ArtifactVersion | None:
        """A version without its data, the last if not given; None when there is none."""
        if (place := _place_of(app_name, user_id, filename, session_id)) is None:
            return None
        found = await self.store.artifacts.find(*place, version=version)
        return None if found is None else _described(place[0], filename, found)

    async def close(self) -> None:
        """Close the store, unless it was lent or other objects use it."""
        await self._opened.close()


def _place(
    app: str, user: str, filename: str, session: str | None
) -> tuple[SessionKey | UserKey, str]:
    """Whose artifact a name is, and what it is called there."""
    _check(app, "app_name")
    _check(user, "user_id")
    if filename.startswith(_USER):
        return UserKey.of(app, user), filename.removeprefix(_USER)
    if session is None:
        raise InputValidationError("Session ID must be provided for session-scoped artifacts.")
    _check(session, "session_id")
    return SessionKey.of(app, user, session), filename


def _place_of(
    app: str, user: str, filename: str, session: str | None
) -> tuple[SessionKey | UserKey, str] | None:
    """The same, or None for ids that no session can have: there is nothing under them."""
    try:
        return _place(app, user, filename, session)
    except errors.InvalidId:
        return None


def _target(
    file: types.FileData | None, app: str, user: str, session: str | None
) -> artifact_util.ParsedArtifactUri:
    """Where a reference leads; it must stay with the user, and in the session if it names one."""
    uri = (file.file_uri if file else None) or ""
    target = artifact_util.parse_artifact_uri(uri)
    if target is None:
        raise InputValidationError(f"Invalid artifact reference URI: {uri}")
    if (target.app_name, target.user_id) != (app, user):
        raise InputValidationError(
            "Artifact references must stay within the same app and user scope."
        )
    if target.session_id not in (None, session):
        raise InputValidationError(
            "Session-scoped artifact references must stay within the same session scope."
        )
    return target


def _described(
    owner: SessionKey | UserKey, filename: str, known: artifacts.ArtifactVersion
) -> ArtifactVersion:
    session = owner.session if isinstance(owner, SessionKey) else None
    uri = artifact_util.get_artifact_uri(
        owner.app, owner.user, filename, known.version, session_id=session
    )
    reference = (parts.file_uri(known) or "").startswith("artifact://")
    return ArtifactVersion(
        version=known.version,
        canonical_uri=uri,
        custom_metadata={k: v for k, v in known.metadata.items() if k != parts.PART},
        create_time=known.created,
        mime_type=parts.mime_type(known, is_reference=reference),
    )
