"""The rows of a log: JSON objects that begin with their `seq`, so that a log checks itself."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sojourn.errors import CorruptRecord
from sojourn.sessions.store import Stored, Window

_START = b'{"seq":'


class Row(msgspec.Struct, frozen=True):
    """An event as it is stored; its payload is still JSON text."""

    seq: int
    id: str
    time: float
    author: str
    kind: str
    payload: msgspec.Raw
    state_delta: msgspec.Raw = msgspec.Raw(b"{}")


class NewRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event on its way to the store, which gives it its `seq`."""

    id: str
    time: float
    author: str
    kind: str
    payload: msgspec.Raw
    state_delta: msgspec.Raw | None = None


encode_row = msgspec.json.Encoder().encode
_decode_row = msgspec.json.Decoder(Row).decode


def decode_row(data: bytes, key: str) -> Row:
    """Read a row.

    Raises:
        CorruptRecord: it is not one; its bytes are in `raw`.
    """
    try:
        return _decode_row(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        message = f"An event of {key!r} cannot be read: {error}. Its bytes are in `raw`."
        raise CorruptRecord(message, key=key, raw=data) from error


def numbered(row: bytes, seq: int) -> bytes:
    """The row with its place in the log, as the append script writes it."""
    return b"%s%d,%s" % (_START, seq, row[1:])


def sequence(row: bytes) -> int:
    """The place of a stored row, read without decoding it; 0 when it is not a row."""
    comma = row.find(b",", len(_START), 32)
    digits = row[len(_START) : comma]
    return int(digits) if row.startswith(_START) and digits.isdigit() else 0


def as_of(stored: Stored, window: Window) -> Stored:
    """The rows of a window as they stood when the head was read.

    Rows that came later are cut off; `complete` is False when some are missing.
    """
    head, rows = stored.head, stored.rows
    kept = head.seq - head.dropped
    if window.start is not None:
        wanted = max(0, kept - window.start)
    else:
        wanted = kept if window.last is None else min(kept, window.last)
    newer = sequence(rows[-1]) - head.seq if rows else 0
    if newer > 0:
        rows = rows[: max(0, len(rows) - newer)]
    complete = len(rows) == wanted and _is_run(rows, head.seq)
    first = sequence(rows[0]) if rows else head.seq + 1
    return stored._replace(rows=rows, first=first, complete=complete)


def _is_run(rows: Sequence[bytes], last: int) -> bool:
    return not rows or (sequence(rows[-1]) == last and sequence(rows[0]) == last - len(rows) + 1)
