"""Calls kept until a server is back: in order, bounded, and on disk if wanted. Knows no server.

With a folder each process writes a file of its own there, and holds a lock on it. What a process
that was killed has left is taken over by the next one that opens the folder.

A file is lines: the CRC-32 of the rest in hexadecimal, a blank, then a sign. `+` adds an entry: the
time, a blank, and JSON. `-` marks the oldest one done. A line of another sign adds none, whatever a
newer version means by it, and is passed over. A torn last line was never acknowledged and is left
out; a line that is damaged is kept aside, and what follows is read. docs/storage-format.md has it
all: another version may read the file.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import secrets
import threading
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from sojourn.errors import BufferFull, ConfigurationError, Unavailable
from sojourn.process_bound import tell_after_fork

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_SUFFIX = ".journal"
_LINE = re.compile(rb"[0-9a-f]{8} ")
_OLD = 3600.0
"""Seconds after which nobody goes on with a file that has not got its name yet."""


class Bounds(NamedTuple):
    """What a journal may hold: entries, their bytes together, and the age of the oldest."""

    entries: int
    bytes: int
    seconds: float


class JournalEntry(NamedTuple):
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

    With a folder, `open` comes before anything else. A forked child begins with an empty one, and
    with a file of its own as soon as it adds something: what waits is its parent's to do.

    Attributes:
        damaged: how many lines `open` found that were damaged, and that may each have been a write.
    """

    def __init__(
        self,
        bounds: Bounds,
        directory: str | os.PathLike[str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._bounds = bounds
        self._clock = clock
        self._entries: deque[JournalEntry] = deque()
        self._size = 0
        self._file = None if directory is None else _File(Path(directory))
        self.damaged = 0
        tell_after_fork(self)

    def open(self) -> tuple[JournalEntry, ...]:
        """Take over what dead processes have left in the folder, and return it. Once.

        Until then nothing is locked or taken: who only looks at a store disturbs nobody.

        Raises:
            ConfigurationError: the folder cannot be used any more.
        """
        if self._file is None:
            return ()
        entries, self.damaged = self._file.open()
        for entry in entries:
            self._take(entry)
        return tuple(entries)

    def after_fork(self) -> None:
        """Leave to the parent, in a forked child, what is the parent's."""
        self._entries.clear()
        self._size = 0
        if self._file is not None:
            self._file.after_fork()

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
        entry = JournalEntry(data, self._clock())
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

    def oldest(self) -> JournalEntry | None:
        """The entry to be done next."""
        return self._entries[0] if self._entries else None

    def entries(self) -> tuple[JournalEntry, ...]:
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

    def discard(self, unwanted: Callable[[bytes], bool], damaged: Callable[[bytes], bool]) -> int:
        """Forget entries, and what was kept aside, that are not wanted; how many.

        What was kept aside and is `damaged` goes as well, uncounted: it may be theirs.
        On disk as well, where entries that are done may stand until the last one is. Blocks.

        Raises:
            Unavailable: the disk does not take it; what waits still does.
        """
        kept = [entry for entry in self._entries if not unwanted(entry.data)]
        count = len(self._entries) - len(kept)
        if self._file is not None:
            try:
                count += self._file.drop_aside(unwanted, damaged)
                self._file.replace([_added(entry) for entry in kept])
            except OSError as error:
                raise Unavailable(
                    f"The journal at {self._file.path} cannot be written anew ({error}), so what "
                    "it holds is not all forgotten. Check the disk and do it again."
                ) from error
        self._entries = deque(kept)
        self._size = sum(len(entry.data) for entry in kept)
        return count

    def close(self) -> None:
        """Let another process take over what is left."""
        if self._file is not None:
            self._file.close(remove=not self._entries)

    def _take(self, entry: JournalEntry) -> None:
        self._entries.append(entry)
        self._size += len(entry.data)


class _File:
    """The file of this process, and those that dead ones have left."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor = -1
        self._syncing = threading.Lock()
        self._synced = 0
        self._refused = directory / "refused.jsonl"
        self._name()
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

    def open(self) -> tuple[list[JournalEntry], int]:
        """Lock a file of our own, and take over what dead processes have left in theirs.

        Also says how many lines of that were damaged. It gets its name when it is locked: before,
        another process would take it for a dead one's.
        """
        with self._no_os_error():
            try:
                self._descriptor = self._begin([])
                return self._inherit()
            except BaseException:
                self.close(remove=False)  # what it took over is there for the next process
                raise

    def after_fork(self) -> None:
        """Leave the parent's file alone; its lock stays with the parent's own descriptor."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        self._syncing = threading.Lock()
        self._name()

    def _name(self) -> None:
        self.path = self._directory / f"{secrets.token_hex(8)}{_SUFFIX}"

    def _begin(self, texts: list[bytes]) -> int:
        """A file at our path with these lines, locked, and on disk."""
        draft = self.path.with_suffix(".new")
        descriptor = os.open(draft, _FLAGS, 0o600)
        try:
            _lock(descriptor)
            _write_all(descriptor, b"".join(map(_line, texts)))
            os.fsync(descriptor)
            draft.rename(self.path)
            _sync_folder(self._directory)
        except BaseException:
            os.close(descriptor)
            draft.unlink(missing_ok=True)
            raise
        return descriptor

    def replace(self, texts: list[bytes]) -> None:
        """Go on in a new file with these lines only.

        It is there before the old one goes: a process that dies in between leaves both, and what is
        done twice takes effect once.
        """
        if self._descriptor < 0:
            return
        with self._syncing:
            old, before = self.path, self._descriptor
            self._name()
            try:
                self._descriptor = self._begin(texts)
            except BaseException:
                self.path = old
                raise
            old.unlink(missing_ok=True)
            os.ftruncate(before, 0)
            os.close(before)
            self._synced = self.written

    def drop_aside(
        self, unwanted: Callable[[bytes], bool], damaged: Callable[[bytes], bool]
    ) -> int:
        """Take out of the file of what was refused; how many."""
        if not self._refused.exists():
            return 0
        with self._aside() as descriptor:
            lines = _read_all(descriptor).split(b"\n")[:-1]
            ours = [line for line in lines if not unwanted(line)]
            kept = [line for line in ours if not damaged(line)]
            if len(kept) == len(lines):
                return 0
            draft = self._refused.with_suffix(".new")
            copy = os.open(draft, _FLAGS | os.O_TRUNC, 0o600)
            try:
                _write_all(copy, b"".join(line + b"\n" for line in kept))
                os.fsync(copy)
            finally:
                os.close(copy)
            draft.replace(self._refused)
            _sync_folder(self._directory)
            return len(lines) - len(ours)

    @contextmanager
    def _aside(self) -> Generator[int]:
        """The file of what was refused, which all processes share: locked, and not replaced."""
        while True:
            descriptor = os.open(self._refused, _FLAGS, 0o600)
            try:
                if fcntl is not None:
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                if _is_at(descriptor, self._refused):
                    yield descriptor
                    return
            finally:
                os.close(descriptor)

    def _inherit(self) -> tuple[list[JournalEntry], int]:
        """What is left goes into our file, what is damaged aside; then theirs are removed."""
        entries: list[JournalEntry] = []
        damaged = 0
        self._clear_drafts()
        for path in sorted(self._directory.glob(f"*{_SUFFIX}"), key=_age):
            if path == self.path or (descriptor := _claim(path)) is None:
                continue
            try:
                left, bad = _read(path)
                for line in bad:
                    self.keep_aside(_DAMAGED % b64encode(line))
                damaged += len(bad)
                for entry in left:
                    self.write(_added(entry))
                os.fsync(self._descriptor)
                entries += left
                path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)
        return entries, damaged

    def _clear_drafts(self) -> None:
        """What a process left that died while it wrote a file anew: the old one is there still."""
        for path in self._directory.glob("*.new"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _OLD:
                    path.unlink()

    def write(self, text: bytes) -> None:
        """Append a line, or nothing of it."""
        if self._descriptor < 0:  # of a forked child
            self._descriptor = self._begin([])
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
        with self._aside() as descriptor:
            _write_all(descriptor, data + b"\n")
            os.fsync(descriptor)

    def close(self, *, remove: bool) -> None:
        """Give up the lock."""
        if self._descriptor < 0:
            return
        if remove:
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = -1


_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)


def _added(entry: JournalEntry) -> bytes:
    return b"+%d %b" % (int(entry.added * 1000), entry.data)


def _line(text: bytes) -> bytes:
    return b"%08x %b\n" % (crc32(text), text)


_DAMAGED = b'{"reason":"a line of a journal is damaged","write":{"$bytes":"%b"}}'


def _read(path: Path) -> tuple[list[JournalEntry], list[bytes]]:
    """The entries of a file that are not done, and the lines of it that cannot be read.

    Any of these may have been an entry, so it stands for one when others are marked done: rather is
    one done again, which has no effect, than one not at all. What stands behind the last newline
    was torn.
    """
    entries: deque[JournalEntry | None] = deque()
    bad: list[bytes] = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        for text in _texts(line):
            if text is None:
                bad.append(line)
                entries.append(None)
            elif text[:1] == b"+":
                entries.append(_entry(text[1:]))
            elif text[:1] == b"-" and entries:
                entries.popleft()
    return [entry for entry in entries if entry is not None], bad


def _texts(line: bytes) -> list[bytes | None]:
    """What a line holds; None for what is damaged. It is two where the newline was damaged."""
    if _is_sound(line):
        return [line[9:]]
    for found in _LINE.finditer(line, 1):
        if _is_sound(line[found.start() :]):
            before = line[: found.start() - 1]
            return [before[9:] if _is_sound(before) else None, line[found.start() + 9 :]]
    return [None]


def _is_sound(line: bytes) -> bool:
    return line[:9] == b"%08x " % crc32(line[9:])


def _entry(text: bytes) -> JournalEntry:
    added, _, data = text.partition(b" ")
    if added.isdigit():
        return JournalEntry(data, int(added) / 1000, inherited=True)
    return JournalEntry(
        text, time.time(), inherited=True
    )  # in a newer form: who replays it will say so


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


def _read_all(descriptor: int) -> bytes:
    os.lseek(descriptor, 0, os.SEEK_SET)
    parts: list[bytes] = []
    while part := os.read(descriptor, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _sync_folder(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
