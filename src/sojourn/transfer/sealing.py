"""The lines of an archive as they are written: each ends with a sum, and the sums are a chain."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec

from sojourn.codecs.growth import major_of
from sojourn.errors import NewerFormat
from sojourn.transfer.growing import KINDS, adopted, count_unknown
from sojourn.transfer.lines import FORMAT, Known, Line, UnknownLine
from sojourn.transfer.passing import Passing

_TAIL = b',"sum":"%b"}'
_TAIL_BYTES = 42
"""Of `_TAIL` with 32 hexadecimal digits."""


class _First(msgspec.Struct):
    """Of the first line, in whatever version of the format, what it says of that."""

    kind: Any = None
    format: Any = 1
    sojourn: Any = ""


class _LineKind(msgspec.Struct):
    """Of a line of whatever kind, that."""

    kind: str


_encode = msgspec.json.Encoder().encode
_first = msgspec.json.Decoder(_First).decode
_kind = msgspec.json.Decoder(_LineKind).decode
_decode = msgspec.json.Decoder(Known).decode


def seal(line: Known, before: str) -> tuple[bytes, str]:
    """A line as it is written, without the newline, and its sum.

    Args:
        line: what it holds.
        before: the sum of the line before; empty for the first.
    """
    return sealed(_encode(line)[:-1], before)


def sealed(body: bytes, before: str) -> tuple[bytes, str]:
    """The same of a line's JSON object without its closing brace."""
    own = _sum(body, before)
    return body + _TAIL % own.encode(), own


def unseal(data: bytes, before: str, passing: Passing | None = None) -> tuple[Line, str]:
    """A line that was written, and its sum.

    Args:
        data: the line, without the newline.
        before: the sum of the line before; empty for the first.
        passing: counts what of it this version does not know; None when nobody asks.

    Raises:
        NewerFormat: it begins an archive of a newer major format.
        ValueError: it is not as it was written, not in its place, or lacks what it has to have. The
            message quotes nothing of it.
    """
    body = data[:-_TAIL_BYTES]
    own = _sum(body, before)
    if data[-_TAIL_BYTES:] != _TAIL % own.encode():
        if not before and not body.startswith(b"{"):
            raise ValueError("it begins no archive of Sojourn")
        raise ValueError("its sum is wrong: it was damaged or changed, or lines before it are gone")
    try:
        return _read(body + b"}", passing, first=not before), own
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except msgspec.ValidationError as error:
        raise ValueError(f"it lacks what a line of its kind has to have ({error})") from None
    except msgspec.DecodeError:
        raise ValueError("it is no JSON object of a line") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None


def _read(text: bytes, passing: Passing | None, *, first: bool) -> Line:
    if first:
        _check_format(_first(text))
    try:
        line = _decode(text)
    except msgspec.ValidationError:
        kind = _kind(text).kind
        if kind in KINDS:
            raise
        if passing is not None:
            passing.add("lines", kind)
        return UnknownLine(kind)
    line = adopted(line)
    if passing is not None:
        count_unknown(text, line, passing)
    return line


def _check_format(line: _First) -> None:
    """Refuse an archive of a newer format."""
    if line.kind != "archive":
        raise ValueError("it begins no archive of Sojourn")
    try:
        major = major_of(str(line.format))
    except ValueError:
        raise ValueError("its format is none") from None
    if major > FORMAT:
        by = f", written by Sojourn {line.sojourn[:40]!r}" if isinstance(line.sojourn, str) else ""
        raise NewerFormat(
            f"The archive has the format {major}{by}; this version of Sojourn reads {FORMAT}. "
            "Upgrade it; nothing was written.",
            found=str(major),
            known=str(FORMAT),
        )


def _sum(body: bytes, before: str) -> str:
    digest = blake2b(before.encode(), digest_size=16)
    digest.update(body)
    return digest.hexdigest()
