"""Operations of the sessions room, as values.

A store has one method, `store.run(operation)`. An operation defines how a server executes it, how
the in-memory store does, and what the outage buffer learns of it. It holds plain values, so that
it can be stored, repeated, recorded in a test, or sent elsewhere.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import msgspec

if TYPE_CHECKING:
    from sojourn.ids import SessionKey
    from sojourn.sessions.inmemory import InMemorySessions
    from sojourn.sessions.outage_cache import OutageCache
    from sojourn.sessions.redis import RedisSessions

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Operation(msgspec.Struct, Generic[R_co], frozen=True):
    """One operation.

    In an outage it raises, unless `BufferedSessions` knows how to go on with it.
    """

    async def on_server(self, server: RedisSessions) -> R_co:
        """Do it on a server. The docstring of each says how many round trips it takes."""
        raise NotImplementedError

    async def in_memory(self, memory: InMemorySessions) -> R_co:
        """Do it in this process. It waits for nothing: it is one step of the event loop."""
        raise NotImplementedError


class SessionWrite(Operation[R_co], frozen=True):
    """An operation that changes a session, and waits for what is buffered of it.

    Attributes:
        key: which session.
    """

    key: SessionKey

    def hold(self, held: OutageCache, result: Any) -> None:  # noqa: ARG002 - of some
        """Tell what is held for outages what the change has done; by default, to forget it."""
        held.drop(self.key)


class SessionStore(Protocol):
    """Where sessions are kept. Each operation but `Forget` is one atomic step.

    All raise `Unavailable` and its kin when the truth cannot be known; none returns "nothing" then.
    """

    def run(self, operation: Operation[R]) -> Coroutine[Any, Any, R]:
        """Do it."""
        ...
