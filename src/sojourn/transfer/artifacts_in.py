"""Artifacts out of an archive into a store, piece by piece."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence

from sojourn.artifacts.archive import UPLOADED, ArchivedArtifact, ArchivedVersion
from sojourn.artifacts.model import ArtifactPlace
from sojourn.artifacts.operations.archive import ReadArchivedArtifact, RestoreArtifact
from sojourn.artifacts.operations.delete import DeleteArtifact
from sojourn.artifacts.operations.save import UploadChunk, Uploaded
from sojourn.artifacts.records import chunks_of, encodings
from sojourn.errors import CorruptRecord, Erased
from sojourn.ids import new_operation_id
from sojourn.transfer.comparing import same_versions
from sojourn.transfer.lines import (
    ArtifactLine,
    DataLine,
    NewerLine,
    UnknownLine,
    UnreadableLine,
    VoidLine,
)
from sojourn.transfer.model import NOT_HERE
from sojourn.transfer.reading import ArchiveReader, changed
from sojourn.transfer.tally import ImportStats
from sojourn.transfer.values import place_of, version_of
from sojourn.wiring import Stores


class ArtifactsIn:
    """Writes artifacts: nobody sees one before all of it is there.

    Args:
        stores: where to.
        reader: reads their data.
        tally: counts what becomes of them.
        report: tells the progress.
    """

    def __init__(
        self, stores: Stores, reader: ArchiveReader, tally: ImportStats, report: Callable[[], None]
    ) -> None:
        self._stores = stores
        self._reader = reader
        self._tally = tally
        self._report = report

    async def take(self, line: ArtifactLine) -> None:
        """Write an artifact, or pass over its data."""
        place, store = place_of(line), self._stores.artifacts
        what = f"artifact {line.name!r} of user {line.user!r} of app {line.app!r}"
        word = secrets.token_urlsafe(12)
        versions = [
            version_of(record, f"restored-{word}-{number}")
            for number, record in enumerate(line.versions)
        ]
        gone = line.expires is not None and line.expires <= time.time()
        wanted = not gone and not await self._has(
            place, ArchivedArtifact(line.expires, versions), what
        )
        self._tally.expired += gone
        done, how = 0, [list[Uploaded]() for _ in versions]
        while done < len(versions):
            match self._reader.next():
                case DataLine() as data:
                    name, count = (
                        versions[data.version].data,
                        chunks_of(versions[data.version].size),
                    )
                    if wanted:
                        upload = UploadChunk(place, name, data.chunk, data.data, UPLOADED, count)
                        try:
                            how[data.version].append(await store.run(upload))
                        except Erased:
                            wanted = self._tally.erased(what)
                        self._report()
                    done += data.chunk + 1 == count
                case VoidLine():
                    return
                case UnreadableLine() | NewerLine() as left_out:
                    self._tally.left_out(left_out)
                case UnknownLine():
                    pass
                case _:
                    raise changed(self._reader)
        if wanted:
            if self._tally.replaces:
                await store.run(DeleteArtifact(place, new_operation_id()))
            uploaded = [_sent(*each) for each in zip(versions, how, strict=True)]
            archived = ArchivedArtifact(line.expires, uploaded)
            outcome = await store.run(RestoreArtifact(place, archived))
            self._tally.settled(outcome, what, "artifacts")

    async def _has(self, place: ArtifactPlace, archived: ArchivedArtifact, what: str) -> bool:
        try:
            found = await self._stores.artifacts.run(ReadArchivedArtifact(place))
            if found is None:
                return False
        except NOT_HERE:
            self._tally.stays_newer(what)
            return True
        except CorruptRecord:
            return self._tally.stays(what)
        if same_versions(found.versions, archived.versions):
            self._tally.identical += 1
            return True
        return self._tally.stays(what)


def _sent(version: ArchivedVersion, chunks: Sequence[Uploaded]) -> ArchivedVersion:
    """A version with what became of its data."""
    return version._replace(
        encoding=encodings([each.encoding for each in chunks]),
        stored=sum(each.size for each in chunks),
    )
