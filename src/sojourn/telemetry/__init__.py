"""What happened, as frozen facts, and the hooks that are told.

Logic makes a fact; sinks decide what becomes of it. No fact holds a key, an id or content.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["CallFact", "CallHook", "Hooks"]

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


CallHook = Callable[[CallFact], None]


class Hooks:
    """Who wants to know. A hook that raises is logged and does not disturb the call."""

    def __init__(self) -> None:
        self._hooks: tuple[CallHook, ...] = ()

    def add(self, hook: CallHook) -> Callable[[], None]:
        """Tell `hook` every fact from now on; the returned callable takes it off again."""
        self._hooks = (*self._hooks, hook)
        return lambda: self._remove(hook)

    def _remove(self, hook: CallHook) -> None:
        self._hooks = tuple(each for each in self._hooks if each is not hook)

    @property
    def wanted(self) -> bool:
        """Whether anyone listens, so that facts which nobody reads are never made."""
        return bool(self._hooks) or log.isEnabledFor(logging.DEBUG)

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
        for hook in self._hooks:
            try:
                hook(fact)
            except Exception:
                log.exception("A call hook failed")
