"""Calls kept until a server is back: in order, bounded, and on disk if wanted. Knows no server.

With a folder each process writes a file of its own there, and holds a lock on it. What a process
that was killed has left is taken over by the next one that opens the folder.

A file is lines: the CRC-32 of the rest in hexadecimal, a blank, `+` and JSON for an entry that was
added, `-` for the oldest that is done. A torn last line was never acknowledged and is left out.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from sojourn.errors import BufferFull, ConfigurationError, Unavailable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_SUFFIX = ".journal"


class Bounds(NamedTuple):
    """What a journal may hold: entries, their bytes together, and the age of the oldest."""

    entries: int
    bytes: int
    seconds: float


class Entry(NamedTuple):
    """Something to be done.

    Attributes:
        data: JSON text.
        added: when, seconds since the epoch.
        inherited: another process has added it, and may have done it before it died.
    """

    data: bytes
    added: float
    inherited: bool = False


class Journal:
    """Entries waiting to be done, oldest first.

    Args:
        bounds: what it may hold.
        directory: where it is kept on disk; None to keep it in memory.
        clock: seconds since the epoch.

    Raises:
        ConfigurationError: the folder cannot be used.

    With a folder, `open` comes before anything else.
    """

    def __init__(
        self,
        bounds: Bounds,
        directory: str | os.PathLike[str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._bounds = bounds
        self._clock = clock
        self._entries: deque[Entry] = deque()
        self._size = 0
        self._file = None if directory is None else _File(Path(directory))

    def open(self) -> tuple[Entry, ...]:
        """Take over what dead processes have left in the folder, and return it. Once.

        Until then nothing is locked or taken: who only looks at a store disturbs nobody.

        Raises:
            ConfigurationError: the folder cannot be used any more.
        """
        left = () if self._file is None else tuple(self._file.open())
        for entry in left:
            self._take(entry)
        return left

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def lasts(self) -> bool:
        """Whether it outlives this process."""
        return self._file is not None

    @property
    def size(self) -> int:
        """Bytes of all entries."""
        return self._size

    def check(self, size: int) -> None:
        """Make sure that an entry of so many bytes may be added.

        Raises:
            BufferFull: it may not; nothing was added.
        """
        bounds = self._bounds
        if self._entries and self._clock() - self._entries[0].added > bounds.seconds:
            reason = f"the oldest write waits for more than buffer_seconds={bounds.seconds:g}"
        elif len(self._entries) >= bounds.entries:
            reason = f"it holds buffer_calls={bounds.entries:,} writes"
        elif self._size + size > bounds.bytes:
            reason = f"it would be over buffer_bytes={bounds.bytes:,}"
        else:
            return
        raise BufferFull(
            f"The server is out of reach and the outage buffer takes no more: {reason}. What it "
            "holds is kept and written when the server is back; this write was not taken."
        )

    def add(self, data: bytes) -> None:
        """Add an entry; it is on disk once `sync` has returned.

        Raises:
            BufferFull: the journal is full, or its disk is; nothing was added.
        """
        self.check(len(data))
        entry = Entry(data, self._clock())
        if self._file is not None:
            try:
                self._file.write(_added(entry))
            except OSError as error:
                raise BufferFull(
                    f"The outage buffer cannot write to {self._file.path} ({error}). This write "
                    "was not taken."
                ) from error
        self._take(entry)

    async def sync(self) -> None:
        """Wait until what was added is on disk. Those who wait together share one fsync."""
        if self._file is None:
            await asyncio.sleep(0)  # others have their turn, as with a disk
        else:
            await asyncio.to_thread(self._file.sync, self._file.written)

    def oldest(self) -> Entry | None:
        """The entry to be done next."""
        return self._entries[0] if self._entries else None

    def entries(self) -> tuple[Entry, ...]:
        """All entries, oldest first."""
        return tuple(self._entries)

    def done(self) -> None:
        """The oldest entry has been done, or will never be."""
        entry = self._entries.popleft()
        self._size -= len(entry.data)
        if self._file is not None:
            self._file.done(empty=not self._entries)

    def keep_aside(self, data: bytes) -> None:
        """Keep on disk, for people, what will never be done.

        Raises:
            Unavailable: the disk does not take it.
        """
        if self._file is None:
            return
        try:
            self._file.keep_aside(data)
        except OSError as error:
            raise Unavailable(
                f"A buffered write was refused and cannot be kept beside {self._file.path} "
                f"({error}): it goes on waiting."
            ) from error

    def close(self) -> None:
        """Let another process take over what is left."""
        if self._file is not None:
            self._file.close(remove=not self._entries)

    def _take(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._size += len(entry.data)


class _File:
    """The file of this process, and those that dead ones have left."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor = -1
        self._syncing = threading.Lock()
        self._synced = 0
        self.path = directory / f"{secrets.token_hex(8)}{_SUFFIX}"
        self.written = 0
        with self._no_os_error():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(directory, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(directory))

    @contextmanager
    def _no_os_error(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigurationError(
                f"journal={str(self._directory)!r} cannot be used ({error}): name a folder of this "
                "application's own on a local disk."
            ) from error

    def open(self) -> list[Entry]:
        """Lock a file of our own, and take over what dead processes have left in theirs.

        It gets its name when it is locked: before, another process would take it for a dead one's.
        """
        draft = self.path.with_suffix(".new")
        with self._no_os_error():
            self._descriptor = os.open(draft, _FLAGS, 0o600)
            try:
                _lock(self._descriptor)
                draft.rename(self.path)
                _sync_folder(self._directory)
                return self._inherit()
            except BaseException:
                self.close(remove=False)  # what it took over is there for the next process
                raise

    def _inherit(self) -> list[Entry]:
        """What is left goes into our file first; then theirs are removed."""
        entries: list[Entry] = []
        for path in sorted(self._directory.glob(f"*{_SUFFIX}"), key=_age):
            if path == self.path or (descriptor := _claim(path)) is None:
                continue
            try:
                left = _read(path)
                for entry in left:
                    self.write(_added(entry))
                os.fsync(self._descriptor)
                entries += left
                path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)
        return entries

    def write(self, text: bytes) -> None:
        """Append a line, or nothing of it."""
        self._append(text)
        self.written += 1

    def _append(self, text: bytes) -> None:
        start = os.fstat(self._descriptor).st_size
        try:
            _write_all(self._descriptor, _line(text))
        except OSError:
            os.ftruncate(self._descriptor, start)
            raise

    def sync(self, line: int) -> None:
        """Make sure that so many lines are on disk. Blocks."""
        with self._syncing:
            if self._synced < line:
                upto = self.written
                os.fsync(self._descriptor)
                self._synced = upto

    def done(self, *, empty: bool) -> None:
        """Mark the oldest entry. Without a sync, and if it can: to do it again would do no harm."""
        with suppress(OSError):
            if empty:
                os.ftruncate(self._descriptor, 0)
            else:
                self._append(b"-")

    def keep_aside(self, data: bytes) -> None:
        """Append to the file of what was refused."""
        descriptor = os.open(self._directory / "refused.jsonl", _FLAGS, 0o600)
        try:
            _write_all(descriptor, data + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self, *, remove: bool) -> None:
        """Give up the lock."""
        if self._descriptor < 0:
            return
        if remove:
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = -1


_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)


def _added(entry: Entry) -> bytes:
    return b"+%d %b" % (int(entry.added * 1000), entry.data)


def _line(text: bytes) -> bytes:
    return b"%08x %b\n" % (crc32(text), text)


def _read(path: Path) -> list[Entry]:
    """The entries of a file that are not done, up to the first line that is torn."""
    entries: deque[Entry] = deque()
    for line in path.read_bytes().split(b"\n")[:-1]:
        text = line[9:]
        if line[:9] != b"%08x " % crc32(text):
            break
        if text[:1] == b"-":
            entries.popleft()
            continue
        added, _, data = text[1:].partition(b" ")
        entries.append(Entry(data, int(added) / 1000, inherited=True))
    return list(entries)


def _lock(descriptor: int) -> None:
    if fcntl is None:
        raise ConfigurationError("journal= needs file locks, which this platform lacks.")
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _claim(path: Path) -> int | None:
    """Lock a file whose process is dead; None when it lives, or another was faster."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    with suppress(OSError):
        _lock(descriptor)
        if path.exists():
            return descriptor
    os.close(descriptor)
    return None


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _sync_folder(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
