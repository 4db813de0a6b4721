"""Telemetry: frozen facts about events, and the hooks that receive them.

Code reports facts; sinks decide what to do with them. No fact holds a key, an id or content.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple, TypeVar

__all__ = [
    "CallFact",
    "CallHook",
    "CorruptFact",
    "CorruptHook",
    "Hooks",
    "OutageFact",
    "OutageHook",
    "RefusedWrite",
    "ReplayHook",
    "ReplayReport",
]

log = logging.getLogger("sojourn")


class CallFact(NamedTuple):
    """One call to a server, told when it ended.

    Attributes:
        name: what was called, as `room.operation`.
        outcome: `ok`, `cancelled`, or the name of the error's class.
        seconds: from the moment it was handed over until it ended.
        attempts: how often it was sent; 0 when no connection could be had.
        sent_bytes: size of the request.
    """

    name: str
    outcome: str
    seconds: float
    attempts: int
    sent_bytes: int


class OutageFact(NamedTuple):
    """A server can be reached no more, or again.

    Attributes:
        where: its address, without secrets.
        down: True when it has been out of reach for longer than a call may wait.
    """

    where: str
    down: bool


class RefusedWrite(NamedTuple):
    """A buffered write that the server would not take when it was back.

    Attributes:
        operation_id: of the write.
        reason: why, as an error's class and message.
        data: the write as JSON, so that nothing of it is lost.
    """

    operation_id: str
    reason: str
    data: bytes


class ReplayReport(NamedTuple):
    """What became of the writes that were buffered in an outage.

    Attributes:
        applied: how many took effect now.
        duplicates: how many had taken effect before the outage was noticed.
        refused: those that the server would not take, such as events of a session that was deleted
            meanwhile: it is not revived.
        lost: how many were given up because the store was closed and nothing kept them, or because
            their line in a journal that another process had left was damaged.
    """

    applied: int
    duplicates: int
    refused: tuple[RefusedWrite, ...]
    lost: int = 0


class CorruptFact(NamedTuple):
    """A stored record cannot be read, told once for each.

    Attributes:
        part: what it is part of: `session`, `events`, `user state`, `app state`, `outbox`, `index`.
        size: bytes that it has; 0 when it is missing.
    """

    part: str
    size: int


CallHook = Callable[[CallFact], None]
OutageHook = Callable[[OutageFact], None]
ReplayHook = Callable[[ReplayReport], None]
CorruptHook = Callable[[CorruptFact], None]


class Hooks:
    """Who wants to know. A hook that raises is logged and does not disturb the call."""

    def __init__(self) -> None:
        self._calls: tuple[CallHook, ...] = ()
        self._outages: tuple[OutageHook, ...] = ()
        self._replays: tuple[ReplayHook, ...] = ()
        self._corrupt: tuple[CorruptHook, ...] = ()

    def add(self, hook: CallHook) -> Callable[[], None]:
        """Tell `hook` every call from now on; the returned callable takes it off again."""
        self._calls = (*self._calls, hook)

        def remove() -> None:
            self._calls = tuple(each for each in self._calls if each is not hook)

        return remove

    def add_outage(self, hook: OutageHook) -> Callable[[], None]:
        """Tell `hook` every outage and its end; the returned callable takes it off again."""
        self._outages = (*self._outages, hook)

        def remove() -> None:
            self._outages = tuple(each for each in self._outages if each is not hook)

        return remove

    def add_replay(self, hook: ReplayHook) -> Callable[[], None]:
        """Tell `hook` what became of buffered writes; the returned callable takes it off again."""
        self._replays = (*self._replays, hook)

        def remove() -> None:
            self._replays = tuple(each for each in self._replays if each is not hook)

        return remove

    def add_corrupt(self, hook: CorruptHook) -> Callable[[], None]:
        """Tell `hook` every record that cannot be read; the returned callable takes it off."""
        self._corrupt = (*self._corrupt, hook)

        def remove() -> None:
            self._corrupt = tuple(each for each in self._corrupt if each is not hook)

        return remove

    @property
    def wanted(self) -> bool:
        """Whether anyone listens, so that facts which nobody reads are never made."""
        return bool(self._calls) or log.isEnabledFor(logging.DEBUG)

    def tell(self, fact: CallFact) -> None:
        """Hand a fact to the debug log and to every hook."""
        log.debug(
            "%s %s in %.2f ms, sent %d x, %d bytes",
            fact.name,
            fact.outcome,
            fact.seconds * 1000,
            fact.attempts,
            fact.sent_bytes,
        )
        _tell(self._calls, fact)

    def tell_outage(self, fact: OutageFact) -> None:
        """Hand a fact to the log and to every hook."""
        if fact.down:
            log.warning("%s is out of reach; calls fail at once until it is back", fact.where)
        else:
            log.warning("%s is back", fact.where)
        _tell(self._outages, fact)

    def tell_replay(self, report: ReplayReport) -> None:
        """Hand a report to the log and to every hook."""
        refused = len(report.refused)
        level = logging.ERROR if refused or report.lost else logging.WARNING
        text = "Buffered writes: %d applied, %d had been applied before, %d refused, %d lost"
        log.log(level, text, report.applied, report.duplicates, refused, report.lost)
        _tell(self._replays, report)

    def tell_corrupt(self, fact: CorruptFact) -> None:
        """Hand a fact to every hook; who found it writes the log."""
        _tell(self._corrupt, fact)


F = TypeVar("F")


def _tell(hooks: tuple[Callable[[F], None], ...], fact: F) -> None:
    for hook in hooks:
        try:
            hook(fact)
        except Exception:
            log.exception("A hook failed")
