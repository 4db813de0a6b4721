"""Batches: calls for many sessions that wait together share one round trip per node."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar, cast

from sojourn.caps import CAPS, check
from sojourn.errors import CorruptRecord, InvalidInput, NewerFormat, SojournError
from sojourn.ids import SessionKey, new_operation_id, operation_id_of
from sojourn.sessions import checks
from sojourn.sessions.model import Appended, Event, Session
from sojourn.sessions.record import FIELDS

T = TypeVar("T")

_SAVED = frozenset({*FIELDS, "events", "state", "ttl", "until", "incarnation", "expected_version"})
"""Arguments of a save for one of several sessions."""

Entries: TypeAlias = Iterable[tuple[SessionKey, Sequence[Event]]]
"""Sessions, each with the events to append to it."""


class SessionBatch(dict[SessionKey, Session[Event]]):
    """Sessions by their keys; those that are not there are not in it.

    Attributes:
        corrupt: sessions that cannot be read; their records are in the quarantine.
        newer: sessions that only a newer version of Sojourn can read.
    """

    corrupt: list[SessionKey]
    newer: list[SessionKey]

    def __init__(self) -> None:
        super().__init__()
        self.corrupt = []
        self.newer = []


async def get_many(
    get: Callable[[SessionKey], Awaitable[Session[Event] | None]], keys: object
) -> SessionBatch:
    """The sessions that are there, in the order of the keys.

    Args:
        get: reads one.
        keys: an iterable of their keys.

    Raises:
        SojournError: of one of them, but for CorruptRecord and NewerFormat.
    """
    wanted = list(dict.fromkeys(checked(each) for each in _several(keys, "get_many")))
    found = SessionBatch()
    for key, outcome in zip(wanted, await _settled(map(get, wanted)), strict=True):
        if isinstance(outcome, CorruptRecord):
            found.corrupt.append(key)
        elif isinstance(outcome, NewerFormat):
            found.newer.append(key)
        elif isinstance(outcome, SojournError):
            raise outcome
        elif outcome is not None:
            found[key] = outcome
    return found


async def append_many(
    append: Callable[..., Coroutine[Any, Any, Appended]], entries: object, operation_id: str | None
) -> list[Appended | SojournError]:
    """The outcome of each entry, in order.

    Args:
        append: appends to one session.
        entries: as `Entries`.
        operation_id: entry n is written under this id, a dot, and n.
    """
    name = new_operation_id() if operation_id is None else operation_id_of(operation_id)
    pairs = [_entry(each) for each in _several(entries, "append_many")]
    operation_id_of(f"{name}.{len(pairs)}")
    if len({key for key, _ in pairs}) < len(pairs):
        raise InvalidInput(
            "append_many() takes a session once: put its events into one entry, where they keep "
            "their order. Nothing was written."
        )
    return await _settled(
        append(key, *events, operation_id=f"{name}.{n}") for n, (key, events) in enumerate(pairs)
    )


async def save_many(
    save: Callable[..., Coroutine[Any, Any, int]], sessions: object, operation_id: str | None
) -> list[int | SojournError]:
    """The outcome of each session, in order.

    Args:
        save: writes one session as a whole.
        sessions: the arguments of `save` by the sessions' keys.
        operation_id: session n is written under this id, a dot, and n.
    """
    name = new_operation_id() if operation_id is None else operation_id_of(operation_id)
    if not isinstance(sessions, Mapping):
        raise InvalidInput(f"save_many() takes a mapping by keys, not {type(sessions).__name__}.")
    wanted = [
        (checked(key), _arguments(options))
        for key, options in cast("Mapping[object, object]", sessions).items()
    ]
    check("A call of save_many()", len(wanted), CAPS.sessions, "sessions")
    operation_id_of(f"{name}.{len(wanted)}")
    return await _settled(
        save(key, **options, operation_id=f"{name}.{n}") for n, (key, options) in enumerate(wanted)
    )


def checked(key: object) -> SessionKey:
    """A session's key, also when it was made without `SessionKey.of`."""
    return SessionKey.of(*checks.key(key))


def _several(values: object, call: str) -> list[object]:
    if isinstance(values, str | bytes | SessionKey) or not isinstance(values, Iterable):
        raise InvalidInput(f"{call}() takes several at once, not {type(values).__name__}.")
    found = list(cast("Iterable[object]", values))
    check(f"A call of {call}()", len(found), CAPS.sessions, "sessions")
    return found


def _arguments(options: object) -> dict[str, Any]:
    if isinstance(options, Mapping):
        given = dict(cast("Mapping[str, Any]", options))
        if given.keys() <= _SAVED:
            return given
    raise InvalidInput(
        f"save_many() takes a mapping of {', '.join(sorted(_SAVED))} for each session. Nothing was "
        "written."
    )


def _entry(value: object) -> tuple[SessionKey, Sequence[Event]]:
    pair = cast("Sequence[object]", value) if isinstance(value, list | tuple) else ()
    if len(pair) != 2 or not isinstance(pair[1], list | tuple):  # noqa: PLR2004 - a pair
        raise InvalidInput(
            "append_many() takes pairs of a session's key and a list of events. Nothing was "
            "written."
        )
    return checked(pair[0]), cast("Sequence[Event]", pair[1])


async def _settled(calls: Iterable[Awaitable[T]]) -> list[T | SojournError]:
    """What each call gives or raises; all have run their course."""
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, SojournError):
            raise outcome
    return cast("list[T | SojournError]", outcomes)
