"""Lines of archive files: as they are, or in frames that are sealed one by one.

A frame is four bytes with the length of the rest, then nonce, ciphertext and tag of some whole
lines. It is bound to the archive and to its number: none can be left out, doubled or put elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, NamedTuple, Protocol

from sojourn.transfer.locking import ArchiveLock

FRAME = 1024 * 1024
"""Bytes of lines after which a frame is ended."""
_LENGTH = 4
_ADDED = 64
"""More than sealing adds."""


class LineMark(NamedTuple):
    """Where a line begins.

    Attributes:
        offset: in the file, of the line or of its frame.
        frame: the number of the frame.
        inside: where in the lines of the frame.
    """

    offset: int = 0
    frame: int = 0
    inside: int = 0


class LineSource(Protocol):
    """Gives the lines of a file.

    Attributes:
        offset: bytes of the file up to there; in frames, up to the end of the frame.
    """

    offset: int

    def next(self, most: int) -> bytes:
        """The next line with its end, cut behind `most` bytes.

        Nothing at the end; a line without an end where the file was cut short.

        Raises:
            ValueError: it was changed.
        """
        ...

    def mark(self) -> LineMark:
        """Where the next line begins."""
        ...

    def seek(self, mark: LineMark) -> None:
        """Go back there."""
        ...


class PlainLines:
    """Lines as they are.

    Args:
        file: from its beginning.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.offset = 0
        file.seek(0)

    def next(self, most: int) -> bytes:
        """As `LineSource`."""
        line = self._file.readline(most)
        self.offset += len(line)
        return line

    def mark(self) -> LineMark:
        """As `LineSource`."""
        return LineMark(self.offset)

    def seek(self, mark: LineMark) -> None:
        """As `LineSource`."""
        self._file.seek(mark.offset)
        self.offset = mark.offset


class SealedLines:
    """Lines in frames. One frame is in memory.

    Args:
        file: the archive.
        lock: has its key.
        most: bytes of the longest line.

    Attributes:
        frames: how many were read.
    """

    def __init__(self, file: BinaryIO, lock: ArchiveLock, most: int) -> None:
        self._file = file
        self._lock = lock
        self._most = most + FRAME + _ADDED
        self._lines = b""
        self._at = LineMark(len(lock.first))
        self.offset = len(lock.first)
        self.frames = 0
        file.seek(self.offset)

    def next(self, most: int) -> bytes:
        """As `LineSource`."""
        if self._at.inside >= len(self._lines):
            start = self.offset
            if (lines := self._read()) is None:
                return b"" if self._file.tell() == start else b"?"
            self._lines, self._at = lines, LineMark(start, self.frames - 1)
        begin = self._at.inside
        end = self._lines.index(b"\n", begin) + 1
        self._at = self._at._replace(inside=end)
        return self._lines[begin : min(end, begin + most)]

    def _read(self) -> bytes | None:
        """The lines of the next frame; None at the end, or where the file was cut short."""
        head = self._file.read(_LENGTH)
        if len(head) < _LENGTH:
            return None
        size = int.from_bytes(head, "big")
        if size > self._most:
            raise ValueError(
                f"a frame says that it has {size:,} bytes: it was damaged or changed, or has a "
                "line of over max_line_bytes"
            )
        body = self._file.read(size)
        if len(body) < size:
            return None
        try:
            lines = self._lock.key.unseal(body, self._lock.bound(self.frames))
        except ValueError:
            raise ValueError(
                "a frame was damaged or changed, or frames before it are gone"
            ) from None
        if not lines.endswith(b"\n"):
            raise ValueError("a frame ends within a line")
        self.frames += 1
        self.offset += _LENGTH + size
        return lines

    def mark(self) -> LineMark:
        """As `LineSource`."""
        if self._at.inside >= len(self._lines):
            return LineMark(self.offset, self.frames)
        return self._at

    def seek(self, mark: LineMark) -> None:
        """As `LineSource`."""
        if self._lines and mark[:2] == self._at[:2]:
            self._at = mark
            return
        self._file.seek(mark.offset)
        self.offset, self.frames = mark.offset, mark.frame
        self._lines, self._at = b"", LineMark(mark.offset, mark.frame)
        if mark.inside:
            self._lines = self._read() or b""
            self._at = mark


class FrameWriter:
    """Writes lines in frames.

    Args:
        lock: has the key.
        number: of the first frame that is written.
    """

    def __init__(self, lock: ArchiveLock, number: int = 0) -> None:
        self._lock = lock
        self._number = number
        self._lines: list[bytes] = []

    def add(self, line: bytes) -> None:
        """Add a line, with its end."""
        self._lines.append(line)

    def flush(self, write: Callable[[bytes], object]) -> int:
        """Write a frame of what was added; how many bytes it has."""
        if not self._lines:
            return 0
        body = self._lock.key.seal(b"".join(self._lines), self._lock.bound(self._number))
        self._lines.clear()
        self._number += 1
        write(len(body).to_bytes(_LENGTH, "big"))
        write(body)
        return _LENGTH + len(body)
