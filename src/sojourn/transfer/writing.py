"""An archive that is written: a new one, or one that goes on where it stopped."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from sojourn.errors import ConfigurationError, InvalidInput, KeyMissing
from sojourn.transfer.frames import FRAME, FrameWriter
from sojourn.transfer.lines import Counts, Header, Known, Trailer
from sojourn.transfer.locking import ArchiveLock, ArchiveSecret, new_lock
from sojourn.transfer.passing import Passing
from sojourn.transfer.reading import NO_SECRET, ArchiveReader, invalid, unusable
from sojourn.transfer.resuming import ExportProgress
from sojourn.transfer.sealing import seal
from sojourn.transfer.walk import ArchiveValidator

_SIGN = b'{"kind":"archive",'
"""What every archive begins with."""


class Writer:
    """Writes the lines of a file that only its owner may read.

    What stands in the file already is read and made sure of; a half line at its end is cut off.

    Args:
        path: of the file.
        header: what it begins with; that of a file that goes on has to say the same.
        secret: what its key is wrapped by; None for an archive in plain text.

    Attributes:
        walk: through what was written, in this run and before.
        done: what that was.
        resumed: whether anything was there.
        bytes: size of the file.
        lock: of a sealed archive.
    """

    def __init__(self, path: Path, header: Header, secret: ArchiveSecret | None = None) -> None:
        self._path = path
        self._secret = secret
        self.lock: ArchiveLock | None = None
        self._frames: FrameWriter | None = None
        self.walk = ArchiveValidator()
        self.done = ExportProgress()
        self.bytes = 0
        self._sum = ""
        self._unflushed = 0
        try:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            self._file = os.fdopen(os.open(path, flags, 0o600), "r+b", buffering=FRAME)
        except OSError as error:
            raise unusable(path, error) from error
        try:
            _lock(self._file.fileno(), path)
            self.resumed = os.fstat(self._file.fileno()).st_size > 0
            if self.resumed:
                self._resume(header)
            path.chmod(0o600)
        except BaseException:
            self._file.close()
            raise
        self.walk.trusted = True  # what is written from now on was looked at
        if secret is not None and self.lock is None:
            self._begin_sealed(new_lock(secret))
        if self.walk.header is None:
            self.write(header)

    def _resume(self, header: Header) -> None:
        passing = Passing()
        with self._reader() as reader:
            while (line := reader.next(allow_cut_line=True, passing=passing)) is not None:
                try:
                    self.walk.step(line)
                except (ValueError, RecursionError) as error:
                    raise invalid(reader.at.line, error) from error
                self.done.step(line)
            self._sum, self.bytes = reader.at.sum, reader.at.offset
            if reader.lock is not None:
                self.lock, self._frames = reader.lock, FrameWriter(reader.lock, reader.frames)
        self._check_begun(header, passing)
        if self.walk.ended:
            raise InvalidInput(f"{self._path} is complete: name another file, or remove this one.")
        self._file.seek(self.bytes)
        self._file.truncate()

    def _check_begun(self, header: Header, passing: Passing) -> None:
        """Refuse to go on with something else."""
        before = self.walk.header
        if before is not None and self._secret is not None and self.lock is None:
            raise self._begun_otherwise("in plain text")
        if before is not None:
            for name in ("source", "namespace", "wanted"):
                if getattr(before, name) != getattr(header, name):
                    raise InvalidInput(
                        f"{self._path} is an archive of something else ({name} differs): name "
                        "another file, or remove this one."
                    )
        elif self.lock is None and not _is_beginning(self._file.read(_longest(header) + 1), header):
            raise InvalidInput(
                f"{self._path} is no archive: name another file, or remove this one."
            )
        passed = passing.total
        if passed.lines or passed.members:  # its filters, or its counts, may be others than ours
            raise InvalidInput(
                f"{self._path} was begun by a version of Sojourn that knows more: let that one go "
                "on with it, or name another file."
            )

    def _reader(self) -> ArchiveReader:
        try:
            return ArchiveReader(self._path, secret=self._secret or NO_SECRET)
        except KeyMissing:
            if self._secret is None:
                raise self._begun_otherwise("sealed") from None
            raise

    def _begun_otherwise(self, how: str) -> InvalidInput:
        return InvalidInput(
            f"{self._path} was begun {how}: go on with it in the same way, name another file, or "
            "remove this one."
        )

    def _begin_sealed(self, lock: ArchiveLock) -> None:
        self.lock, self._frames = lock, FrameWriter(lock)
        try:
            self._file.write(lock.first)
            self._file.flush()
        except OSError as error:
            raise unusable(self._path, error) from error
        self.bytes += len(lock.first)

    def write(self, line: Known) -> None:
        """Add a line."""
        self.walk.step(line)
        self.done.step(line)
        data, self._sum = seal(line, self._sum)
        try:
            if self._frames is not None:
                self._frames.add(data + b"\n")
            else:
                self._file.write(data + b"\n")
                self.bytes += len(data) + 1
            self._unflushed += len(data) + 1
            if self._unflushed >= FRAME:
                self.flush()
        except OSError as error:
            raise unusable(self._path, error) from error

    def flush(self) -> None:
        """Hand what was written to the system: a process that is killed then has not lost it."""
        if self._frames is not None:
            self.bytes += self._frames.flush(self._file.write)
        self._file.flush()
        self._unflushed = 0

    def end(self) -> Counts:
        """Write the end, and have all of it on the disk."""
        counts = self.walk.counts
        self.write(Trailer(lines=self.walk.lines, counts=counts))
        try:
            self.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise unusable(self._path, error) from error
        return counts

    def close(self) -> None:
        """Close the file."""
        try:
            self._file.close()
        except OSError as error:
            raise unusable(self._path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _is_beginning(data: bytes, header: Header) -> bool:
    """Whether a file without a whole line is a header that was cut off, and nobody's note."""
    ours = data.startswith(_SIGN) or _SIGN.startswith(data)
    return ours and len(data) <= _longest(header)


def _longest(header: Header) -> int:
    """Bytes that a header has: a file without a whole line may be its beginning."""
    return 2 * len(seal(header, "")[0])


def _lock(file: int, path: Path) -> None:
    """Let no two exports write the same file."""
    try:
        import fcntl  # noqa: PLC0415 - not everywhere
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ConfigurationError(f"{path} is being written by another export.") from error
