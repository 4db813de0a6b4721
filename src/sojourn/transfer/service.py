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
from sojourn.keys.ring import KeyRing
from sojourn.transfer.exporting import Export
from sojourn.transfer.importing import Import
from sojourn.transfer.lines import FORMAT, Header, Selection
from sojourn.transfer.locking import ArchiveSecret, check_passphrase, ring_of
from sojourn.transfer.model import Existing, Exported, Imported, Progress, Told, Verified, Watch
from sojourn.transfer.reading import MAX_LINE, NO_SECRET, ArchiveReader, check_file
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
    passphrase: str | None = None,
    keys: KeyRing | str | None = None,
    plain: bool = False,
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

    An archive of a store with keys is sealed: with a key of its own, which the store's master key
    wraps, or a passphrase. What is sealed in the store is opened before, so that another store with
    other keys can import it; keys of the store are not in it.

    Args:
        store: what to export; it may not buffer outages.
        path: the file.
        app: only this app's.
        user: only this user's.
        since: only sessions, memories and artifacts changed at this time or later, in seconds since
            the epoch.
        until: only those changed before it.
        cache: cached values, too; with neither app nor user, as those are nobody's.
        passphrase: seals the archive, in place of the store's master key.
        keys: the ring whose active key seals the archive, or the path of its file; that of the
            store if not given.
        plain: write plain text, though the store has keys.
        told: gets a line for each record that could not be read, or only by a newer version or with
            another key. It is counted and left out; of a log it leaves a gap, so that the other
            events keep their numbers.
        watch: gets the progress.

    Raises:
        InvalidInput: an argument; or the file is complete, or an archive of something else.
        KeyMissing: the file was begun with another passphrase or master key.
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
    if plain and (passphrase, keys) != (None, None):
        raise InvalidInput("plain writes plain text: give neither passphrase nor keys with it.")
    secret = None if plain else await _secret(stores, passphrase, keys)
    writer = await asyncio.to_thread(Writer, Path(path), header, secret)
    with writer:
        await Export(stores, writer, wanted, told, watch).run()
        counts = writer.end()
        return Exported(
            counts=counts,
            bytes=writer.bytes,
            seconds=time.monotonic() - began,
            resumed=writer.resumed,
            sealed=writer.lock.by if writer.lock else "",
        )


async def verify(
    path: str | PathLike[str],
    *,
    passphrase: str | None = None,
    keys: KeyRing | str | None = None,
    max_line_bytes: int = MAX_LINE,
    watch: Watch = _nobody,
) -> Verified:
    """Read an archive to its end and make sure of every line. Asks no server.

    Args:
        path: the file.
        passphrase: of a sealed archive.
        keys: a ring with the master key of a sealed archive, or the path of its file.
        max_line_bytes: the longest line that is read.
        watch: gets the progress, from another thread.

    Raises:
        KeyMissing: it is sealed, and the passphrase or master key is missing or another one.
        InvalidArchive: it is damaged or cut short; `line` says where.
        NewerFormat: a newer version wrote it, in a way that this one cannot read.
        ConfigurationError: the file cannot be read.
    """
    secret = await _secret(None, passphrase, keys) or NO_SECRET
    with await asyncio.to_thread(
        ArchiveReader, Path(path), _bytes(max_line_bytes), secret
    ) as reader:
        return await asyncio.to_thread(check_file, reader, watch)


async def import_(
    store: Sojourn,
    path: str | PathLike[str],
    *,
    existing: Existing = "skip",
    passphrase: str | None = None,
    keys: KeyRing | str | None = None,
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
        passphrase: of a sealed archive.
        keys: a ring with the master key of a sealed archive, or the path of its file; that of the
            store if not given.
        max_line_bytes: the longest line that is read.
        told: gets a line for each conflict.
        watch: gets the progress; while the archive is made sure of, from another thread.

    Raises:
        InvalidArchive: it is damaged or cut short, or holds what this store does not take; nothing
            was written.
        NewerFormat: a newer version wrote it, in a way that this one cannot read; nothing was
            written.
        KeyMissing: it is sealed, and the passphrase or master key is missing or another one;
            nothing was written.
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
    secret = await _secret(stores, passphrase, keys) or NO_SECRET
    with await asyncio.to_thread(
        ArchiveReader, Path(path), _bytes(max_line_bytes), secret
    ) as reader:
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


async def _secret(
    stores: Stores | None, passphrase: str | None, keys: KeyRing | str | None
) -> ArchiveSecret | None:
    """What locks and opens an archive; None when there is nothing of the kind."""
    words = None if passphrase is None else check_passphrase(passphrase)
    ring = None if keys is None else await asyncio.to_thread(ring_of, keys)
    if ring is None and stores is not None:
        find = stores.rooms["keys"].parts
        ring = None if find is None else await find()
    return None if words is None and ring is None else ArchiveSecret(words, ring)


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
