"""The rows of a log: events as JSON objects, numbered by their places in it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sojourn.errors import CorruptRecord
from sojourn.sessions.store import Head, Window

NO_DELTA = msgspec.Raw(b"{}")


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event as it is stored; its payload and delta are still JSON text."""

    id: str
    time: float
    author: str
    kind: str
    payload: msgspec.Raw
    state_delta: msgspec.Raw = NO_DELTA


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


def wanted(head: Head, window: Window) -> range:
    """The places in the list that a window means, as of a head."""
    kept = head.seq - head.dropped
    if window.start is not None:
        return range(min(window.start, kept), kept)
    return range(0 if window.last is None else max(0, kept - window.last), kept)


def first_seq(head: Head, rows: Sequence[bytes]) -> int:
    """The number of the first of some rows that end where the log ends."""
    return head.seq - len(rows) + 1
