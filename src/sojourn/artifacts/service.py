"""Public API of the artifacts room: files of an agent, in versions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

from sojourn.access import for_operators
from sojourn.artifacts.model import Artifact, ArtifactPlace, ArtifactVersion, Owner
from sojourn.artifacts.operations.delete import DeleteArtifact
from sojourn.artifacts.operations.find import FindArtifact, LoadArtifact, artifact_of
from sojourn.artifacts.operations.lists import ListArtifacts, ListVersions
from sojourn.artifacts.operations.move import MoveArtifact
from sojourn.artifacts.operations.save import SaveArtifact
from sojourn.artifacts.records import BINARY, crc_of
from sojourn.calls.operation import RoomStore
from sojourn.caps import CAPS, check
from sojourn.codecs import encode, is_whole, shown, text
from sojourn.errors import InvalidId, InvalidInput, InvalidValue, TooLarge
from sojourn.ids import SessionKey, UserKey, operation_id_of, parse_artifact
from sojourn.process_bound import stays_here
from sojourn.resilience.deadline import gather_in_time, in_time


@stays_here("its URL, and open the store there")
class Artifacts:
    """The artifacts of a store. Made by `sojourn.open`, as `store.artifacts`.

    An artifact belongs to a session (`SessionKey`), or to a user and so to all sessions of the user
    (`UserKey`); the same name of two owners is two artifacts. It has versions, counted from 0, and
    lives `artifact_ttl` after it was last saved or loaded, with all of its versions. That a session
    ends or is deleted does not delete its artifacts.

    Every method may raise `Unavailable` and its kin when no server answers in time; an outage
    buffer holds no artifacts. Data over 512 KiB travel in pieces, four at a time, and the store's
    `operation_timeout` stands while they do, up to `transfer_timeout`.

    Args:
        store: where artifacts are kept.
        max_artifact_bytes: the largest version, with its metadata.
        operation_timeout: seconds that a call may take.
    """

    def __init__(
        self, store: RoomStore, max_artifact_bytes: int, operation_timeout: float = math.inf
    ) -> None:
        self._operation_timeout = operation_timeout
        self._store = store
        self._cap = max_artifact_bytes

    @in_time
    async def save(
        self,
        owner: SessionKey | UserKey,
        name: str,
        data: bytes | bytearray | memoryview,
        *,
        mime_type: str = BINARY,
        metadata: Mapping[str, Any] | None = None,
        created: float | None = None,
        operation_id: str | None = None,
    ) -> int:
        """Save a new version. One round trip up to 512 KiB, and one more for each 512 KiB of more.

        Once in a hundredth of `artifact_ttl` there is one more, for the lifetime of the versions
        before. Nobody sees a version before all of it is there; what was sent of one whose writer
        has died is gone after ten minutes.

        Args:
            owner: the session or the user.
            name: of the artifact; any text of up to 512 bytes.
            data: its bytes.
            mime_type: what they are.
            metadata: JSON, kept beside it.
            created: when it was made, seconds since the epoch; the server's time if not given.
            operation_id: repeat a save with the same id and there is one version.

        Returns:
            the number of the version: 0 for the first.

        Raises:
            InvalidInput: a name, a type, or metadata that JSON cannot hold.
            TooLarge: the data and metadata are over their cap; nothing was sent.
            OutcomeUnknown: whether it was saved is not known; repeat it with that id.
            CorruptRecord: what is kept under this name cannot be read; deleting it removes it.
            NewerFormat: a newer version of Sojourn keeps it in a way that this one cannot read.
            KeyMissing: the version before is sealed, and this process would write plain text.
        """
        place = _place(owner, name)
        extra, mime = _object(metadata), _text(mime_type)
        size = _size(data) + len(extra)
        if size > self._cap:
            raise TooLarge("The artifact", size, self._cap, "max_artifact_bytes")
        made, named, sent = _instant(created), operation_id_of(operation_id), bytes(data)
        crc = await crc_of(sent)
        return await self._store.run(SaveArtifact(place, sent, crc, mime, extra, made, named))

    @in_time
    async def load(
        self, owner: SessionKey | UserKey, name: str, *, version: int | None = None
    ) -> Artifact | None:
        """A version with its data, None when there is none. The artifact's lifetime starts anew.

        Two round trips up to 512 KiB, and one more for each 512 KiB of more.

        Args:
            owner: the session or the user.
            name: of the artifact.
            version: which; the last if not given.

        Raises:
            CorruptRecord: it was there, and a part of it cannot be read or was evicted.
            Tampered: it is sealed, and was changed, moved or replaced.
            Undecodable: this process cannot decode it: a newer version of Sojourn wrote it, or it
                is sealed with a key that is not here.
        """
        if _is_none(version):
            return None
        found = await self._store.run(LoadArtifact(_place(owner, name), version))
        return None if found is None else artifact_of(found)

    async def find(
        self, owner: SessionKey | UserKey, name: str, *, version: int | None = None
    ) -> ArtifactVersion | None:
        """A version without its data, None when there is none. One round trip.

        Args:
            owner: the session or the user.
            name: of the artifact.
            version: which; the last if not given.

        Raises:
            CorruptRecord: it was there, and cannot be read or was evicted.
            Undecodable: this process cannot decode its record: a newer version of Sojourn wrote it,
                or it is sealed with a key that is not here. Where only its data are so, `newer`
                says it.
        """
        if _is_none(version):
            return None
        found = await self._store.run(FindArtifact(_place(owner, name), version))
        return None if found is None else found.version()

    async def versions(
        self, owner: SessionKey | UserKey, name: str, *, newest_first: bool = False
    ) -> list[ArtifactVersion]:
        """All versions without their data, oldest first; none when there is none. One round trip.

        `newer` marks those that cannot be loaded: a newer version of Sojourn wrote them, or they
        are sealed with a key that is not here.

        Args:
            owner: the session or the user that has it.
            name: of the artifact.
            newest_first: the other way round.

        Raises:
            CorruptRecord: one of them cannot be read, or all were evicted.
            NewerFormat: a newer version keeps the artifact in a way that this one cannot read.
        """
        stored = await self._store.run(ListVersions(_place(owner, name)))
        found = [each.version(mark=True) for each in stored]
        return found[::-1] if newest_first else found

    async def names(self, owner: SessionKey | UserKey) -> list[str]:
        """The names of all artifacts of a session, or of a user's own, in order. One round trip."""
        return await self._store.run(ListArtifacts(_owner(owner)))

    @for_operators
    @in_time
    async def move(self, owner: SessionKey | UserKey, to: SessionKey | UserKey) -> list[str]:
        """Give all artifacts of an owner to another one of the same user, each all or nothing.

        Versions, their numbers and their lifetime stay. Repeat it after an error: what was moved
        stays moved. Three round trips, whatever their number.

        Args:
            owner: the session or the user that has them.
            to: who shall have them.

        Returns:
            the names of those that were moved by this call, in order.

        Raises:
            InvalidInput: the two are of different users, or the same; nothing was sent.
            Conflict: the new owner has an artifact of the same name; all others were moved.
            NewerFormat: a newer version of Sojourn keeps one in a way that this one cannot move;
                all others were moved.
        """
        here, there = _owner(owner), _owner(to)
        if here == there or here[:2] != there[:2]:
            raise InvalidInput("Artifacts move from one owner to another one of the same user.")
        names = await self._store.run(ListArtifacts(here))
        moved = await gather_in_time(
            *(self._store.run(MoveArtifact(ArtifactPlace(here, name), there)) for name in names)
        )
        return [name for name, done in zip(names, moved, strict=True) if done]

    async def delete(
        self, owner: SessionKey | UserKey, name: str, *, operation_id: str | None = None
    ) -> bool:
        """Delete all versions; whether there were any. Two round trips, one if there are none.

        Args:
            owner: the session or the user.
            name: of the artifact.
            operation_id: repeat a delete with the same id and it takes effect once.

        Raises:
            OutcomeUnknown: whether it was deleted is not known; repeat it with that id.
        """
        place, name = _place(owner, name), operation_id_of(operation_id)
        return await self._store.run(DeleteArtifact(place, name))

    @in_time
    async def clear(self, owner: SessionKey | UserKey) -> int:
        """Delete all artifacts of a session, or of a user's own; how many.

        Three round trips, whatever their number. What others save meanwhile may stay.
        """
        whose = _owner(owner)
        names = await self._store.run(ListArtifacts(whose))
        deleted = await gather_in_time(
            *(
                self._store.run(DeleteArtifact(ArtifactPlace(whose, name), operation_id_of(None)))
                for name in names
            )
        )
        return sum(deleted)


def _owner(value: object) -> Owner:
    if isinstance(value, SessionKey):
        return value
    if isinstance(value, UserKey):
        return UserKey.of(*value)
    raise InvalidId(
        "Artifacts belong to SessionKey.of(app, user, session) or to UserKey.of(app, user), not to "
        f"{type(value).__name__}."
    )


def _place(owner: object, name: object) -> ArtifactPlace:
    return ArtifactPlace(_owner(owner), parse_artifact(name))


def _is_none(version: object) -> bool:
    """Whether a number is one that no version has."""
    if version is None:
        return False
    if not is_whole(version):
        raise InvalidInput(f"version is a whole number, not {shown(version)}.")
    return not 0 <= version < 2**53


def _size(data: object) -> int:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InvalidValue(f"data is bytes, not {type(data).__name__}: encode text.")
    return data.nbytes if isinstance(data, memoryview) else len(data)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise InvalidValue(f"mime_type is text, not {type(value).__name__}.")
    return text(value, "mime_type", CAPS.mime_type)


def _object(metadata: object) -> bytes:
    if metadata is None:
        return b"{}"
    if not isinstance(metadata, Mapping):
        raise InvalidValue(f"metadata must be a mapping, not {type(metadata).__name__}.")
    made = encode(dict(cast("Mapping[str, Any]", metadata)), "metadata")
    check("The metadata", len(made), CAPS.metadata)
    return made


def _instant(value: object) -> float | None:
    if value is None:
        return None
    with suppress(OverflowError):  # a whole number of any length
        if isinstance(value, int | float) and math.isfinite(value):
            return float(value)
    raise InvalidInput(f"created is a number of seconds, not {shown(value)}.")
