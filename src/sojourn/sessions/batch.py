"""Batches: calls for many sessions that wait together share one round trip per node."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from sojourn.caps import CAPS, check
from sojourn.errors import CorruptRecord, Erased, InvalidInput, SojournError, Undecodable
from sojourn.ids import SessionKey, operation_id_of
from sojourn.process_bound import stays_here
from sojourn.sessions import checks
from sojourn.sessions.model import Appended, Event, Session
from sojourn.sessions.record import FIELDS
from sojourn.sessions.safe import SafeBatches

if TYPE_CHECKING:
    from sojourn.sessions.service import Sessions

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


@stays_here("its URL, and open the store there")
class Batches:
    """Calls for many sessions. Made by `sojourn.open`, as `store.batch`.

    Every method may also raise `Unavailable` and its kin when no server answers in time. The calls
    for single sessions leave together; each has the time-out of an operation.

    Args:
        sessions: the calls for one session.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    @cached_property
    def safe(self) -> SafeBatches:
        """The same calls for callers that must never see an exception."""
        return SafeBatches(self, self._sessions.safe)

    async def get(self, keys: Iterable[SessionKey], *, last: int | None = None) -> SessionBatch:
        """Several sessions, by key; those that are not there are missing. One round trip per node.

        Args:
            keys: which sessions, of any users.
            last: only this many events of each from the end; 0 for none, None for all.

        Returns:
            a dict. As in `Sessions.list`, a session that cannot be read is left out, in the
            quarantine, and named: `SessionBatch.corrupt`. So is one that only a newer version of
            Sojourn can read: `SessionBatch.newer`.

        Raises:
            InvalidInput: an invalid key, or a negative filter; nothing was sent.
            Unavailable: one of them cannot be known; then none is given.
        """
        checks.count(last, "last")
        wanted = list(dict.fromkeys(checked(each) for each in _several(keys, "get")))
        found = SessionBatch()
        reads = (self._sessions.get(key, last=last) for key in wanted)
        for key, outcome in zip(wanted, await _settled(reads), strict=True):
            if isinstance(outcome, CorruptRecord):
                found.corrupt.append(key)
            elif isinstance(outcome, Undecodable | Erased):
                found.newer.append(key)
            elif isinstance(outcome, SojournError):
                raise outcome
            elif outcome is not None:
                found[key] = outcome
        return found

    async def append(
        self, entries: Entries, *, operation_id: str | None = None
    ) -> Sequence[Appended | SojournError]:
        """Append to several sessions, each by itself all or nothing. One round trip per node.

        One round trip more when a delta touches `app:` state. Each entry is a session's key and
        its events, as `Sessions.append` takes them; no session stands in two entries.

        Args:
            entries: pairs of a key and a list of events.
            operation_id: repeat all with the same id, in the same order, and each takes effect
                once: entry n, from 0, is written under `{operation_id}.{n}`.

        Returns:
            for each entry, in order, what `Sessions.append` returns, or the error that it raises.

        Raises:
            InvalidInput: an invalid pair, or a session twice; nothing was sent.
        """
        name = operation_id_of(operation_id)
        pairs = [_entry(each) for each in _several(entries, "append")]
        operation_id_of(f"{name}.{len(pairs)}")
        if len({key for key, _ in pairs}) < len(pairs):
            raise InvalidInput(
                "batch.append() takes a session once: put its events into one entry, where they "
                "keep their order. Nothing was written."
            )
        return await _settled(
            self._sessions.append(key, *events, operation_id=f"{name}.{n}")
            for n, (key, events) in enumerate(pairs)
        )

    async def save(
        self,
        sessions: Mapping[SessionKey, Mapping[str, Any]],
        *,
        operation_id: str | None = None,
    ) -> Sequence[int | SojournError]:
        """Write several sessions as a whole, each all or nothing. One round trip per node.

        One round trip more when a user is new to this process.

        Args:
            sessions: what `Sessions.save` takes of each (events, state, title …), by its key.
            operation_id: repeat all with the same id, in the same order, and each takes effect
                once: session n, from 0, is written under `{operation_id}.{n}`.

        Returns:
            for each session, in order, what `Sessions.save` returns, or the error that it raises.

        Raises:
            InvalidInput: no such mapping, or a word that `save` does not know; nothing was sent.
        """
        name = operation_id_of(operation_id)
        if not isinstance(sessions, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInput(
                f"batch.save() takes a mapping by keys, not {type(sessions).__name__}."
            )
        wanted = [(checked(key), _arguments(options)) for key, options in sessions.items()]
        check("A call of batch.save()", len(wanted), CAPS.sessions, "sessions")
        operation_id_of(f"{name}.{len(wanted)}")
        return await _settled(
            self._sessions.save(key, **options, operation_id=f"{name}.{n}")
            for n, (key, options) in enumerate(wanted)
        )


def checked(key: object) -> SessionKey:
    """A session's key, also when it was made without `SessionKey.of`."""
    return SessionKey.of(*checks.key(key))


def _several(values: object, call: str) -> list[object]:
    if isinstance(values, str | bytes | SessionKey) or not isinstance(values, Iterable):
        raise InvalidInput(f"batch.{call}() takes several at once, not {type(values).__name__}.")
    found = list(cast("Iterable[object]", values))
    check(f"A call of batch.{call}()", len(found), CAPS.sessions, "sessions")
    return found


def _arguments(options: object) -> dict[str, Any]:
    if isinstance(options, Mapping):
        given = dict(cast("Mapping[str, Any]", options))
        if given.keys() <= _SAVED:
            return given
    raise InvalidInput(
        f"batch.save() takes a mapping of {', '.join(sorted(_SAVED))} for each session. Nothing "
        "was written."
    )


def _entry(value: object) -> tuple[SessionKey, Sequence[Event]]:
    pair = cast("Sequence[object]", value) if isinstance(value, list | tuple) else ()
    if len(pair) != 2 or not isinstance(pair[1], list | tuple):  # noqa: PLR2004 - a pair
        raise InvalidInput(
            "batch.append() takes pairs of a session's key and a list of events. Nothing was "
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
