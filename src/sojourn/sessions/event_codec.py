"""The rows of a log: events as JSON objects, numbered by their places in it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from zlib import crc32

import msgspec

from sojourn.caps import CEILING
from sojourn.codecs import growth
from sojourn.codecs.codec import Coder, Place, bound
from sojourn.errors import CorruptRecord, Tampered
from sojourn.ids import SessionKey
from sojourn.sessions.store import EventWindow, SessionHeader

NO_DELTA = msgspec.Raw(b"{}")


class EventRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event as it is stored; its payload and delta are still JSON text."""

    id: str
    time: float
    author: str
    kind: str
    payload: msgspec.Raw
    state_delta: msgspec.Raw = NO_DELTA


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(EventRow).decode
_id = msgspec.json.Decoder(str).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

_ID = b'{"id":"'
_ID_BYTES = len(_ID)
_BEHIND_ID = b',"time":'
"""Not in an id: a quotation mark there has a backslash before it."""
_TAIL = b',"crc":"%08x"}'
_TAIL_BYTES = 18


def encode_row(row: EventRow) -> bytes:
    """A row as it is stored: JSON whose last member is the checksum of the bytes before it."""
    body = _encode(row)[:-1]
    return body + _TAIL % crc32(body)


class OpenedRow(growth.DecodedValue):
    """A row that was decoded, with the checksum of its stored bytes: a log's sum is of those."""


def chained(chain: int | None, rows: Sequence[bytes]) -> int:
    """The sum of a log after rows that were appended (`append.lua`)."""
    total = chain or 0
    for row in rows:
        crc = row[-8:] if row[:1] == growth.MARK else row[-10:-2]
        try:
            total = (total * 1_000_003 + int(crc, 16)) % 2**32
        except ValueError:  # of another version
            total = total * 1_000_003 % 2**32
    return total


GAP = b"null"
"""Stands in an archive for an event that could not be read, so that others keep their numbers."""


def in_parts(row: bytes) -> tuple[bytes, bytes]:
    """The id of a row, and the rest of it but for the checksum, each as JSON."""
    end = row.find(b'"', _ID_BYTES) + 1
    if row.startswith(_ID) and row.startswith(_BEHIND_ID, end):
        return row[_ID_BYTES - 1 : end], b"{%b}" % row[end + 1 : -_TAIL_BYTES]
    if type(row) is not OpenedRow:
        decode_row(row)
    members = _members(row)
    del members["crc"]
    return bytes(members.pop("id")), _encode(members)


def encoded_row(coder: Coder, log: bytes, row: bytes) -> bytes:
    """A row as it is stored: its id in clear, for scripts, and the rest of it encoded.

    Args:
        coder: encodes.
        log: in which it stands (`place_of_log`).
        row: as `encode_row` or `decoded_row` gives it.
    """
    if row[:1] == growth.MARK or row == GAP:
        return row
    name, body = in_parts(row)
    stored = coder.encode(body, log, lead=name + b"\n")
    return archived_row(row) if stored is body else stored


def decoded_row(coder: Coder, log: bytes, stored: bytes) -> bytes:
    """The inverse; what was damaged or tampered with is given as `Unopened`.

    Raises:
        Undecodable: this process has not what it needs to decode it.
        Erased: its key was destroyed.
    """
    try:
        body = coder.decode(stored, log, CEILING.event, leads=True)
    except (ValueError, Tampered) as error:
        return growth.Unopened.of(stored, error)
    if body is stored:
        return stored
    start = stored.find(b"\n") + 1
    name = stored[start : stored.find(b"\n", start)]
    row = b'{"id":%b,%b,"crc":"%b"}' % (name, body[1:-1], stored[-8:])
    return OpenedRow.of(row, stored)


def archived_row(row: bytes) -> bytes:
    """A row in plain text: one that was decoded gets a checksum of its own."""
    if type(row) is not OpenedRow:
        return row
    body = row[:-_TAIL_BYTES]
    return body + _TAIL % crc32(body)


def place_of_log(key: SessionKey, log_id: str) -> bytes:
    """Where the rows of a log stand. The id of each is bound with it: it stands in front."""
    return bound(Place("sessions", "event", key.app, key.user, log_id))


class NotARow(ValueError):
    """Bytes that are no row, or not as they were written. It quotes none of them."""


def decode_row(data: bytes) -> EventRow:
    """Read a row. Members that this version does not know are passed over.

    Raises:
        NotARow: it is none.
        NewerFormat: it is encoded in a way that this version does not know.
        RecursionError: it is nested too deeply.
    """
    if type(data) is not OpenedRow:
        if data[:1] == growth.MARK:
            try:
                growth.plain(data, "An event")
            except (ValueError, CorruptRecord) as error:
                raise NotARow(str(error)) from error
        if not data.endswith(_TAIL % crc32(data[:-_TAIL_BYTES])):
            raise NotARow("its checksum is missing or wrong")
    try:
        row = _decode(data)
    except ValueError as error:
        raise NotARow(str(error)) from error
    if row.state_delta is not NO_DELTA and memoryview(row.state_delta)[0] != ord("{"):
        raise NotARow("its state_delta is not a JSON object")
    return row


def event_id(data: bytes) -> str:
    """The id of the event in a row that is sound, whatever encoding the row has."""
    found = growth.parse(data)
    if found is None:
        return decode_row(data).id
    return _id(found.body.partition(b"\n")[0])


def wanted(head: SessionHeader, window: EventWindow) -> range:
    """The places in the list that a window means, as of a head."""
    kept = head.seq - head.dropped
    if window.start is not None:
        return range(min(window.start, kept), kept)
    return range(0 if window.last is None else max(0, kept - window.last), kept)


def first_seq(head: SessionHeader, rows: Sequence[bytes]) -> int:
    """The number of the first of some rows that end where the log ends."""
    return head.seq - len(rows) + 1


def ids_of(rows: Sequence[bytes], seq: int) -> dict[str, int]:
    """Where the events of some rows stand, by their ids; the first is number `seq`."""
    found: dict[str, int] = {}
    for place, row in enumerate(rows, seq):
        with suppress(ValueError):  # one that cannot be read has none
            found[event_id(row)] = place
    return found
