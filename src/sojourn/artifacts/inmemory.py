"""The in-memory artifact store."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from zlib import crc32

from sojourn.artifacts import refusals
from sojourn.artifacts.archive import ArchivedArtifact, ArchivedVersion, Outcome
from sojourn.artifacts.records import CHUNK
from sojourn.artifacts.store import ArtifactDraft, ArtifactPlace, Owner, StoredArtifact
from sojourn.codecs import decode
from sojourn.errors import CorruptRecord
from sojourn.ids import UserKey
from sojourn.resilience.atomic import atomic

_OPERATIONS = 100_000
"""How many operation ids are remembered."""


@dataclass(slots=True)
class _ArtifactInMemory:
    expires: float | None
    versions: list[ArtifactDraft] = field(default_factory=list[ArtifactDraft])
    operations: list[str] = field(default_factory=list[str])


@atomic
class InMemoryArtifacts:
    """An `ArtifactStore` in this process.

    Args:
        ttl: seconds that an artifact lives after its last touch; None for ever.
        clock: seconds since the epoch.
    """

    def __init__(self, ttl: float | None, clock: Callable[[], float] = time.time) -> None:
        self._ttl = ttl
        self._clock = clock
        self._kept: dict[ArtifactPlace, _ArtifactInMemory] = {}
        self._done: OrderedDict[tuple[str, ArtifactPlace, str], int] = OrderedDict()
        self._uploads: dict[tuple[ArtifactPlace, str], dict[int, bytes]] = {}

    async def save(self, place: ArtifactPlace, draft: ArtifactDraft, operation_id: str) -> int:
        """Add a version."""
        operation = ("save", place, operation_id)
        if operation in self._done:
            return self._done[operation]
        kept = self._alive(place)
        if kept is None:
            kept = self._kept[place] = _ArtifactInMemory(None)
        kept.expires = self._later()
        version = len(kept.versions)
        kept.versions.append(
            draft._replace(created=self._clock()) if draft.created is None else draft
        )
        kept.operations.append(operation_id)
        return self._remember(operation, version)

    async def load(
        self, place: ArtifactPlace, version: int | None
    ) -> tuple[StoredArtifact, bytes] | None:
        """A version with its data."""
        kept = self._alive(place)
        if kept is None or not (version is None or version < len(kept.versions)):
            return None
        kept.expires = self._later()
        number = len(kept.versions) - 1 if version is None else version
        return _stored(number, kept.versions[number]), kept.versions[number].data

    async def find(self, place: ArtifactPlace, version: int | None) -> StoredArtifact | None:
        """A version without its data."""
        versions = await self.versions(place)
        if not versions or not (version is None or version < len(versions)):
            return None
        return versions[-1 if version is None else version]

    async def versions(self, place: ArtifactPlace) -> list[StoredArtifact]:
        """All versions, oldest first."""
        kept = self._alive(place)
        return [] if kept is None else [_stored(*each) for each in enumerate(kept.versions)]

    async def names(self, owner: Owner) -> list[str]:
        """The names of the artifacts of an owner."""
        places = [place for place in self._kept if place.owner == owner]
        return sorted(place.name for place in places if self._alive(place))

    async def move(self, place: ArtifactPlace, to: Owner) -> bool:
        """Give an artifact to another owner."""
        new, kept = ArtifactPlace(to, place.name), self._alive(place)
        if kept is None:
            return False
        if self._alive(new) is not None:
            raise refusals.exists(place.name)
        self._kept[new] = self._kept.pop(place)
        for version, operation_id in enumerate(kept.operations):
            self._remember(("save", new, operation_id), version)
        return True

    async def delete(self, place: ArtifactPlace, operation_id: str) -> bool:
        """Delete all versions."""
        operation = ("delete", place, operation_id)
        if operation not in self._done:
            found = self._alive(place) is not None
            self._kept.pop(place, None)
            self._remember(operation, found)
        return bool(self._done[operation])

    async def owners(self, user: UserKey) -> list[Owner]:
        """The user, and those of the user's sessions, that have artifacts."""
        places = [place for place in list(self._kept) if self._alive(place) is not None]
        owners = {place.owner for place in places if place.owner[:2] == user}
        return sorted(owners, key=lambda owner: owner[2:])

    async def forget(self, user: UserKey) -> int:
        """Delete all that is kept of a user and the user's sessions."""
        ours = [place for place in self._kept if place.owner[:2] == user]
        alive = sum(self._alive(place) is not None for place in ours)
        for place in ours:
            self._kept.pop(place, None)
        for operation in [each for each in self._done if each[1].owner[:2] == user]:
            del self._done[operation]
        return alive

    def apps_of(self, user: str) -> set[str]:
        """The apps in which something is kept of a user."""
        places = [*self._kept, *(place for _, place, _ in self._done)]
        return {place.owner.app for place in places if place.owner.user == user}

    async def every_owner(self) -> AsyncIterator[Owner]:
        """Those who have artifacts."""
        for place in list(self._kept):
            yield place.owner

    async def kept(self, place: ArtifactPlace) -> ArchivedArtifact | None:
        """An artifact without its data."""
        kept = self._alive(place)
        if kept is None:
            return None
        return ArchivedArtifact(
            kept.expires,
            [
                ArchivedVersion(
                    *(each.created or 0.0, len(each.data), f"{crc32(each.data):08x}"),
                    *(each.mime_type, each.metadata, str(number)),
                )
                for number, each in enumerate(kept.versions)
            ],
        )

    async def chunk(self, place: ArtifactPlace, version: ArchivedVersion, number: int) -> bytes:
        """A piece of the data of a version."""
        kept = self._alive(place)
        if kept is None:
            raise CorruptRecord(f"{place.name!r} has expired.", key=place.name, raw=b"")
        return kept.versions[int(version.data)].data[number * CHUNK : (number + 1) * CHUNK]

    async def upload(self, place: ArtifactPlace, name: str, number: int, chunk: bytes) -> None:
        """Send a piece of the data."""
        self._uploads.setdefault((place, name), {})[number] = chunk

    async def restore(self, place: ArtifactPlace, kept: ArchivedArtifact) -> Outcome:
        """Make an artifact of what was uploaded."""
        if kept.expires is not None and kept.expires <= self._clock():
            return "expired"
        if self._alive(place) is not None:
            return "exists"
        drafts: list[ArtifactDraft] = []
        for each in kept.versions:
            chunks = self._uploads.pop((place, each.data), {})
            data = b"".join(chunks[number] for number in sorted(chunks))
            drafts.append(ArtifactDraft(data, each.mime_type, each.metadata, each.created))
        self._kept[place] = _ArtifactInMemory(kept.expires, drafts)
        return "restored"

    def _alive(self, place: ArtifactPlace) -> _ArtifactInMemory | None:
        kept = self._kept.get(place)
        if kept is not None and kept.expires is not None and kept.expires <= self._clock():
            del self._kept[place]
            return None
        return kept

    def _later(self) -> float | None:
        return None if self._ttl is None else self._clock() + self._ttl

    def _remember(self, operation: tuple[str, ArtifactPlace, str], result: int) -> int:
        self._done[operation] = result
        if len(self._done) > _OPERATIONS:
            self._done.popitem(last=False)
        return result


def _stored(number: int, draft: ArtifactDraft) -> StoredArtifact:
    metadata = decode(draft.metadata)
    return StoredArtifact(number, len(draft.data), draft.mime_type, metadata, draft.created or 0.0)
