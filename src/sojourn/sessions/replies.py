"""Conversion of the room's values to script arguments, and of script replies to values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sojourn.calls.call import Argument, Command
from sojourn.codecs import encode, encode_object
from sojourn.codecs.growth import MARK as MARK_BYTE
from sojourn.codecs.growth import to_member
from sojourn.sessions.store import IndexPlace, Pairs, SessionHeader, WriteOptions

DONE = (b"ok", b"duplicate")
"""What a script says that has written, or had."""


def guarded(write: WriteOptions) -> tuple[Argument, ...]:
    """The first arguments of every script that changes a session."""
    expected = "" if write.expected is None else write.expected
    return write.operation_id, write.incarnation, expected


def counted(state: Pairs) -> list[Argument]:
    """Pairs as arguments, after their number."""
    arguments: list[Argument] = [len(state)]
    for pair in state.items():
        arguments += pair
    return arguments


def as_object(state: Pairs) -> bytes:
    """An app delta for the outbox: values stay JSON text, in strings, as no script re-encodes."""
    if not state:
        return b""
    members = {
        name: to_member(value) if value[:1] == MARK_BYTE else encode(value.decode(), "")
        for name, value in state.items()
    }
    return encode_object(members)


def ms(lifetime: float | None) -> str:
    """A lifetime as scripts take it: milliseconds, empty for ever."""
    return "" if lifetime is None else str(max(1, round(lifetime * 1000)))


def seconds(given: bytes | int) -> float | None:
    """A lifetime or an instant as scripts give it."""
    return int(given) / 1000 if given else None


def pairs(flat: Sequence[bytes]) -> Iterable[tuple[bytes, bytes]]:
    """The fields and values of a hash."""
    return zip(flat[::2], flat[1::2], strict=True)


MARK = ("incarnation", "epoch", "dropped", "seq")
"""Fields that say where the rows of a log stand."""


class LogPosition(NamedTuple):
    """Where the rows of a log stood at some moment."""

    incarnation: str
    epoch: int
    dropped: int
    seq: int

    def same_places_as(self, other: LogPosition | None) -> bool:
        """Whether a row had the same place in the list at both moments."""
        return other is not None and self[:3] == other[:3]


def mark_of(found: SessionHeader) -> LogPosition:
    """The mark of a head."""
    return LogPosition(found.incarnation, found.epoch, found.dropped, found.seq)


def parse_mark(fields: Sequence[bytes | None] | Exception) -> LogPosition | None:
    """The mark that a server gave; None when the session had gone by then, or is unreadable."""
    if isinstance(fields, Exception):
        return None
    try:
        incarnation, *numbers = (field or b"" for field in fields)
        return LogPosition(incarnation.decode(), *map(int, numbers))
    except (ValueError, TypeError):
        return None


class Snapshot(NamedTuple):
    """What one read brought: not yet of one moment, since other writers run between commands.

    In place of what a key of another type should have given stands an exception.
    """

    fields: list[bytes] | Exception
    user: list[bytes] | Exception
    waiting: int | Exception
    rows: list[bytes] | Exception
    mark: list[bytes | None] | Exception

    @classmethod
    def of(cls, replies: list[Any]) -> Snapshot:
        """From the replies; the last two are missing when no rows were asked for."""
        fields, user, waiting, *rest = replies
        return cls(fields, user, waiting, *(rest or ([], [])))

    @classmethod
    def of_transaction(cls, replies: list[Any]) -> Snapshot:
        """From the replies between MULTI and EXEC: of one moment."""
        return cls.of(replies[-1])


def size_of(limit: int, after: IndexPlace | None) -> int:
    """How many entries a page reads: one more tells of others, and its place is met again."""
    return limit + (1 if after is None else 2)


def range_of(
    index: str, after: IndexPlace | None, size: int, *, newest_first: bool = False
) -> Command:
    """Read some entries of a sorted set, from the score of a place on."""
    ends = ("+inf", "-inf") if newest_first else ("-inf", "+inf")
    start = ends[0] if after is None else after.score
    word = "ZREVRANGEBYSCORE" if newest_first else "ZRANGEBYSCORE"
    return (word, index, start, ends[1], "WITHSCORES", "LIMIT", 0, size)
