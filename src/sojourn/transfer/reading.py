"""An archive read line by line, each made sure of."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from sojourn.errors import ConfigurationError, InvalidArchive
from sojourn.transfer.frames import LineMark, LineSource, PlainLines, SealedLines
from sojourn.transfer.lines import Line
from sojourn.transfer.locking import LONGEST, ArchiveLock, ArchiveSecret, lock_of
from sojourn.transfer.model import Progress, Verified, Watch
from sojourn.transfer.passing import Passing
from sojourn.transfer.sealing import unseal
from sojourn.transfer.walk import ArchiveValidator

MiB = 1024 * 1024
MAX_LINE = 64 * MiB
"""Bytes of the longest line that is read."""
NO_SECRET = ArchiveSecret()
_OFTEN = 200
"""Lines between two reports of progress."""


class ReadMark(NamedTuple):
    """A place between two lines.

    Attributes:
        offset: bytes of the file before it; in a sealed archive, up to the end of the frame.
        line: how many lines are before it.
        sum: of the last of these.
        place: for the source of the lines.
    """

    offset: int
    line: int
    sum: str
    place: LineMark


class ArchiveReader:
    """Reads the lines of a file. Each must follow the one before: the sums are a chain.

    Args:
        path: of the file.
        max_line: bytes of the longest line that is read.
        secret: opens a sealed archive; with a passphrase it takes half a second.

    Raises:
        ConfigurationError: the file cannot be read, or the extra `crypto` is not installed.
        KeyMissing: it is sealed, and the secret is missing or another one.
        InvalidArchive: its first line was damaged.
        NewerFormat: a newer version sealed it.

    Attributes:
        at: behind the last line that was read.
        size: bytes of the file.
        lock: of a sealed archive; None of one in plain text.
    """

    def __init__(
        self, path: Path, max_line: int = MAX_LINE, secret: ArchiveSecret = NO_SECRET
    ) -> None:
        self._most = max_line
        try:
            self._file = path.open("rb")
            self.size = path.stat().st_size
            self.lock = self._locked(secret)
        except OSError as error:
            raise unusable(path, error) from error
        lines: LineSource = PlainLines(self._file)
        if self.lock is not None:
            lines = SealedLines(self._file, self.lock, max_line)
        self._lines = lines
        self.at = self._begin = ReadMark(lines.offset, 0, "", lines.mark())

    def _locked(self, secret: ArchiveSecret) -> ArchiveLock | None:
        try:
            return lock_of(self._file.readline(LONGEST), secret)
        except ValueError as error:
            self._file.close()
            raise invalid(1, error) from error
        except BaseException:
            self._file.close()
            raise

    @property
    def frames(self) -> int:
        """How many were read of a sealed archive."""
        return self._lines.frames if isinstance(self._lines, SealedLines) else 0

    def next(self, *, allow_cut_line: bool = False, passing: Passing | None = None) -> Line | None:
        """The next line; None at the end, or with `allow_cut_line` before a line cut short.

        Args:
            allow_cut_line: a line that was cut short is the end.
            passing: counts what this version does not know.

        Raises:
            InvalidArchive: it is not as it was written.
            NewerFormat: it begins an archive of a newer major format.
        """
        number = self.at.line + 1
        try:
            data = self._lines.next(self._most + 1)
        except ValueError as error:
            raise invalid(number, error) from error
        if not data:
            return None
        if len(data) > self._most:
            raise InvalidArchive(
                f"Line {number:,} has more than {self._most:,} bytes. If that is as it should be, "
                "raise max_line_bytes.",
                line=number,
            )
        if not data.endswith(b"\n"):
            if allow_cut_line:
                return None
            raise InvalidArchive(
                f"Line {number:,} is cut short: the export was stopped. Run it again, with the "
                "same file, and it goes on there.",
                line=number,
            )
        try:
            line, own = unseal(data[:-1], self.at.sum, passing)
        except ValueError as error:
            raise invalid(number, error) from error
        self.at = ReadMark(self._lines.offset, number, own, self._lines.mark())
        return line

    def seek(self, mark: ReadMark) -> None:
        """Go back to a place."""
        self._lines.seek(mark.place)
        self.at = mark

    def rewind(self) -> None:
        """Go back to the beginning."""
        self.seek(self._begin)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def check_file(reader: ArchiveReader, watch: Watch | None) -> Verified:
    """Read an archive to its end and make sure of every line. Asks no server.

    Raises:
        InvalidArchive: a line is not as it was written, or the end is missing.
        NewerFormat: it is of a newer major format.
    """
    walk, passing = ArchiveValidator(), Passing()
    while (line := reader.next(passing=passing)) is not None:
        try:
            walk.step(line)
        except (ValueError, RecursionError) as error:
            raise invalid(reader.at.line, error) from error
        if watch is not None and reader.at.line % _OFTEN == 0:
            watch(told("checking", walk, reader))
    if not walk.ended or walk.header is None:
        raise InvalidArchive(
            f"The archive has no end: after {reader.at.line:,} lines the export was stopped. Run "
            "it again, with the same file, and it goes on there.",
        )
    return Verified(
        counts=walk.counts,
        bytes=reader.at.offset,
        created=walk.header.created,
        source=walk.header.source,
        sealed=reader.lock.by if reader.lock else "",
        passed_over=passing.total,
    )


def told(step: Any, walk: ArchiveValidator, reader: ArchiveReader) -> Progress:
    """How far a reader is."""
    return Progress(step=step, counts=walk.counts, bytes=reader.at.offset, total=reader.size)


def invalid(line: int, error: Exception) -> InvalidArchive:
    """A line that is not as it should be."""
    what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    return InvalidArchive(f"Line {line:,} of the archive cannot be used: {what}.", line=line)


def changed(reader: ArchiveReader) -> InvalidArchive:
    """What was made sure of is something else now."""
    line = reader.at.line
    return InvalidArchive(f"The archive changed while it was read, at line {line:,}.", line=line)


def unusable(path: Path, error: OSError) -> ConfigurationError:
    """A file that cannot be opened, read or written."""
    return ConfigurationError(f"{path} cannot be used: {error.strerror or error}.")
