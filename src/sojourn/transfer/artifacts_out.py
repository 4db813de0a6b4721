"""Artifacts into an archive, piece by piece."""

from __future__ import annotations

from collections.abc import Callable

from sojourn.artifacts.archive import ArchivedArtifact
from sojourn.artifacts.model import ArtifactPlace, Owner
from sojourn.artifacts.operations.archive import ReadArchivedArtifact, ReadChunk
from sojourn.artifacts.operations.find import FindArtifact
from sojourn.artifacts.operations.lists import EveryOwner, ListArtifacts
from sojourn.artifacts.records import chunks_of
from sojourn.codecs.growth import is_json
from sojourn.errors import CorruptRecord
from sojourn.ids import SessionKey, UserKey
from sojourn.transfer.growing import more_of
from sojourn.transfer.lines import ArtifactLine, DataLine, Selection, VoidLine
from sojourn.transfer.logs import LeftOut
from sojourn.transfer.model import NOT_READ
from sojourn.transfer.plan import plan
from sojourn.transfer.resuming import artifact_place
from sojourn.transfer.values import in_ms, version_record
from sojourn.transfer.writing import Writer
from sojourn.wiring import Stores


class Picks:
    """Which things an export wants."""

    def __init__(self, wanted: Selection) -> None:
        self._wanted = wanted

    def whose(self, owner: Owner) -> bool:
        """Whether those of an owner are."""
        wanted = self._wanted
        return wanted.app in (None, owner.app) and wanted.user in (None, owner.user)

    def in_time(self, instant: float) -> bool:
        """Whether what was changed then is."""
        since, until = self._wanted.since, self._wanted.until
        return (since is None or instant >= since) and (until is None or instant < until)


class ArtifactsOut:
    """Writes artifacts.

    Args:
        stores: where they are.
        writer: writes them.
        picks: which are wanted.
        left_out: told what cannot be read.
    """

    def __init__(self, stores: Stores, writer: Writer, picks: Picks, left_out: LeftOut) -> None:
        self._stores = stores
        self._writer = writer
        self._picks = picks
        self._left_out = left_out

    async def run(self, report: Callable[[], None]) -> None:
        """Write those that are wanted and not there yet."""
        store = self._stores.artifacts
        with plan() as owners:
            async for owner in await store.run(EveryOwner()):
                if self._picks.whose(owner):
                    owners.add(*owner)
            for app, user, session in owners:
                owner = SessionKey.of(app, user, session) if session else UserKey.of(app, user)
                try:
                    names = await store.run(ListArtifacts(owner))
                except NOT_READ as error:
                    self._left_out(f"the artifacts of user {user!r} of app {app!r}", error)
                    continue
                for name in names:
                    if not self._writer.done.has_whole(artifact_place(app, user, session, name)):
                        await self._one(ArtifactPlace(owner, name))
                report()

    async def _one(self, place: ArtifactPlace) -> None:
        store = self._stores.artifacts
        try:
            archived = await store.run(ReadArchivedArtifact(place))
            if archived is None:
                await store.run(FindArtifact(place, None))  # raises if it was lost
                return
            if self._picks.in_time(archived.versions[-1].created):
                await self._write(place, archived)
        except NOT_READ as error:
            if self._writer.walk.artifact is not None:
                self._writer.write(VoidLine())
            self._left_out(f"artifact {place.name!r}", error)

    async def _write(self, place: ArtifactPlace, archived: ArchivedArtifact) -> None:
        owner = place.owner
        for version in archived.versions:
            if not is_json(version.metadata, an_object=True):
                key = version.data
                raise CorruptRecord("The metadata of a version are no JSON.", key=key, raw=b"")
        self._writer.write(
            ArtifactLine(
                app=owner.app,
                user=owner.user,
                session=owner.session if isinstance(owner, SessionKey) else None,
                name=place.name,
                expires=in_ms(archived.expires),
                versions=[version_record(version) for version in archived.versions],
                more=more_of(archived.more),
            )
        )
        store = self._stores.artifacts
        for number, version in enumerate(archived.versions):
            for chunk in range(chunks_of(version.size)):
                data = await store.run(ReadChunk(place, version, chunk))
                try:
                    self._writer.write(DataLine(version=number, chunk=chunk, data=data))
                except ValueError as error:
                    message = f"Version {number} is not as it was written."
                    raise CorruptRecord(message, key=version.data, raw=data) from error
