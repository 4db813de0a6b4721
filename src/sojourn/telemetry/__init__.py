"""Telemetry: frozen facts about events, and the hooks that receive them.

Code reports facts; sinks decide what to do with them. No fact holds a key, an id or content. Sinks
for Prometheus and OpenTelemetry are the modules `prometheus` and `opentelemetry` beside this one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import msgspec

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
    "TraceHook",
]

log = logging.getLogger("sojourn")


class CallFact(msgspec.Struct, frozen=True, gc=False):
    """One call to a server, told when it ended, in the context of the caller.

    Attributes:
        name: what was called, as `room.operation`.
        outcome: `ok`, `cancelled`, or the name of the error's class.
        seconds: from the moment it was handed over until it ended.
        attempts: how often it was sent; 0 when no connection could be had.
        sent_bytes: size of the request.
        where: the address of the server that it was sent to last, without secrets; empty when it
            was not sent.
    """

    name: str
    outcome: str
    seconds: float
    attempts: int
    sent_bytes: int
    where: str = ""


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
        part: what it is part of: `session`, `events`, `user state`, `app state`, `outbox`, `index`,
            `thread`.
        size: bytes that it has; 0 when it is missing.
    """

    part: str
    size: int


CallHook = Callable[[CallFact], None]
TraceHook = Callable[[CallFact, Any], None]
"""Gets the `Call` as well, which has keys and content: for sinks that hash or leave them out."""
OutageHook = Callable[[OutageFact], None]
ReplayHook = Callable[[ReplayReport], None]
CorruptHook = Callable[[CorruptFact], None]


class Hooks:
    """Who wants to know. A hook that raises is logged and does not disturb the call.

    Attributes:
        listens: whether anyone is told of calls, so that facts which nobody reads are never made.
    """

    def __init__(self) -> None:
        self.listens = False
        self._calls: tuple[CallHook, ...] = ()
        self._traces: tuple[TraceHook, ...] = ()
        self._outages: tuple[OutageHook, ...] = ()
        self._replays: tuple[ReplayHook, ...] = ()
        self._corrupt: tuple[CorruptHook, ...] = ()

    def add(self, hook: CallHook) -> Callable[[], None]:
        """Tell `hook` every call from now on; the returned callable takes it off again."""
        self._calls, self.listens = (*self._calls, hook), True

        def remove() -> None:
            self._calls = tuple(each for each in self._calls if each is not hook)
            self.listens = bool(self._calls or self._traces)

        return remove

    def add_trace(self, hook: TraceHook) -> Callable[[], None]:
        """Tell `hook` every call and its fact; the returned callable takes it off again."""
        self._traces, self.listens = (*self._traces, hook), True

        def remove() -> None:
            self._traces = tuple(each for each in self._traces if each is not hook)
            self.listens = bool(self._calls or self._traces)

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

    def tell(self, fact: CallFact, call: Any) -> None:
        """Hand a fact to the debug log and to every hook."""
        if log.isEnabledFor(logging.DEBUG):
            log.debug(
                "%s %s in %.2f ms, sent %d x, %d bytes",
                fact.name,
                fact.outcome,
                fact.seconds * 1000,
                fact.attempts,
                fact.sent_bytes,
            )
        for hook in self._calls:  # not by `_tell`: it is told of every call
            try:
                hook(fact)
            except Exception:
                log.exception("A hook failed")
        for trace in self._traces:
            try:
                trace(fact, call)
            except Exception:
                log.exception("A hook failed")

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
