"""Export, verify and import: what users call."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import get_args

import sojourn
from sojourn.client import Sojourn
from sojourn.codecs import is_whole, shown
from sojourn.errors import InvalidInput
from sojourn.ids import parse_app, parse_user
from sojourn.transfer.exporting import Export
from sojourn.transfer.importing import Import
from sojourn.transfer.lines import FORMAT, Header, Selection
from sojourn.transfer.model import Existing, Exported, Imported, Progress, Told, Verified, Watch
from sojourn.transfer.reading import MAX_LINE, ArchiveReader, check_file
from sojourn.transfer.tally import ImportStats
from sojourn.transfer.writing import Writer
from sojourn.wiring import Stores


def _nobody(_: str | Progress) -> None:
    pass


async def export(
    store: Sojourn,
    path: str | PathLike[str],
    *,
    app: str | None = None,
    user: str | None = None,
    since: float | None = None,
    until: float | None = None,
    cache: bool = False,
    told: Told = _nobody,
    watch: Watch = _nobody,
) -> Exported:
    """Write what a store holds into a file that only its owner may read.

    Sessions with their logs, state and lifetimes; the state of users and apps; memories; artifacts.
    Reading lengthens no lifetime. Each session is as it stood at one moment, all together are not:
    who writes meanwhile may be in the archive or not. To find artifacts and memories it goes
    through all keys of the server, so it takes minutes on a large one; agents do not wait for it.
    Memory does not grow with the content, only with the number of names.

    A file that holds the beginning of such an archive is gone on with: run it again after a crash.

    Args:
        store: what to export; it may not buffer outages.
        path: the file.
        app: only this app's.
        user: only this user's.
        since: only sessions, memories and artifacts changed at this time or later, in seconds since
            the epoch.
        until: only those changed before it.
        cache: cached values, too; with neither app nor user, as those are nobody's.
        told: gets a line for each record that could not be read, or by a newer version only. It is
            counted and left out; of a log it leaves a gap, so that the other events keep their
            numbers.
        watch: gets the progress.

    Raises:
        InvalidInput: an argument; or the file is complete, or an archive of something else.
        InvalidArchive: the file was an archive and is damaged.
        NewerFormat: the file is an archive of a newer format.
        ConfigurationError: the file cannot be written.
        Unavailable: no server answers. The file can be gone on with.
    """
    began = time.monotonic()
    stores = _stores_of(store)
    if cache and (app, user) != (None, None):
        raise InvalidInput("Cached values belong to no app or user: export them without these.")
    wanted = Selection(
        app=None if app is None else parse_app(app),
        user=None if user is None else parse_user(user),
        since=_instant(since),
        until=_instant(until),
        cache=cache,
    )
    header = Header(
        format=FORMAT,
        created=time.time(),
        sojourn=sojourn.__version__,
        source=store.where,
        namespace=stores.options.namespace,
        wanted=wanted,
    )
    writer = await asyncio.to_thread(Writer, Path(path), header)
    with writer:
        await Export(stores, writer, wanted, told, watch).run()
        counts = writer.end()
        return Exported(
            counts=counts,
            bytes=writer.bytes,
            seconds=time.monotonic() - began,
            resumed=writer.resumed,
        )


async def verify(
    path: str | PathLike[str], *, max_line_bytes: int = MAX_LINE, watch: Watch = _nobody
) -> Verified:
    """Read an archive to its end and make sure of every line. Asks no server.

    Args:
        path: the file.
        max_line_bytes: the longest line that is read.
        watch: gets the progress, from another thread.

    Raises:
        InvalidArchive: it is damaged or cut short; `line` says where.
        NewerFormat: a newer version wrote it, in a way that this one cannot read.
        ConfigurationError: the file cannot be read.
    """
    with ArchiveReader(Path(path), _bytes(max_line_bytes)) as reader:
        return await asyncio.to_thread(check_file, reader, watch)


async def import_(
    store: Sojourn,
    path: str | PathLike[str],
    *,
    existing: Existing = "skip",
    max_line_bytes: int = MAX_LINE,
    told: Told = _nobody,
    watch: Watch = _nobody,
) -> Imported:
    """Write what an archive holds into a store, each thing as it was.

    Events keep their order and numbers, all keep their times, versions and what is left of their
    lifetimes; sessions get a new incarnation. Before anything is written the whole archive is made
    sure of. Each session is written in one step; of a long one the events wait in a place that
    nobody reads, until an hour after the last of them, or until all are there. Run it again after a
    crash: what is there is found by a small read each, and a long session goes on where it stopped.

    What this version does not know of an archive that a newer one wrote is passed over and counted.
    What a newer one wrote into the store, so that this one cannot read it, stays.

    Args:
        store: where to write; it may not buffer outages.
        path: the file.
        existing: what to do with what is there already and is something else: `skip` leaves it,
            `fail` stops there, `replace` puts what the archive has in its place.
        max_line_bytes: the longest line that is read.
        told: gets a line for each conflict.
        watch: gets the progress; while the archive is made sure of, from another thread.

    Raises:
        InvalidArchive: it is damaged or cut short, or holds what this store does not take; nothing
            was written.
        NewerFormat: a newer version wrote it, in a way that this one cannot read; nothing was
            written.
        InvalidInput: an argument.
        ConfigurationError: the file cannot be read.
        Conflict: with `fail`, at the first thing that is something else; what stands before it in
            the archive was written.
        TooManySessions: a user has as many sessions as one may have; as above.
        Unavailable: no server answers. Run it again.
    """
    began = time.monotonic()
    stores = _stores_of(store)
    if existing not in get_args(Existing):
        raise InvalidInput(
            f"existing is one of {', '.join(get_args(Existing))}, not {shown(existing)}."
        )
    with ArchiveReader(Path(path), _bytes(max_line_bytes)) as reader:
        sure = await asyncio.to_thread(check_file, reader, watch)
        reader.rewind()
        tally = ImportStats(existing, told)
        await Import(stores, reader, tally, watch).run()
        return Imported(
            counts=tally.counts,
            identical=tally.identical,
            conflicts=tally.conflicts,
            newer=tally.newer,
            expired=tally.expired,
            bytes=sure.bytes,
            seconds=time.monotonic() - began,
            passed_over=sure.passed_over,
        )


def _stores_of(store: Sojourn) -> Stores:
    if store.stores.options.on_outage == "buffer":
        raise InvalidInput(
            "A store that buffers outages may hold what its server has not: open another one, "
            "without on_outage='buffer', to export from or to import into."
        )
    return store.stores


def _instant(value: object) -> float | None:
    if value is None:
        return None
    with suppress(OverflowError):  # a whole number of any length
        if isinstance(value, int | float) and math.isfinite(value):
            return float(value)
    raise InvalidInput(f"since and until are seconds since the epoch, not {shown(value)}.")


def _bytes(value: object) -> int:
    if is_whole(value) and value > 0:
        return value
    raise InvalidInput(f"max_line_bytes is a number of bytes, not {shown(value)}.")
