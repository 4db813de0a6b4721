"""Operations of rooms, as values.

A store has one method, `store.run(operation)`. An operation defines how a server executes it and
how the in-memory store does. It holds plain values, so that it can be stored, repeated, recorded
in a test, or sent elsewhere.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Generic, Protocol, TypeVar

import msgspec

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Operation(msgspec.Struct, Generic[R_co], frozen=True):
    """One operation of a room, with its arguments as attributes."""

    async def on_server(self, server: Any) -> R_co:
        """Execute it on a server; `server` is the room's store there.

        The docstring of each operation says how many round trips it takes.
        """
        raise NotImplementedError

    async def in_memory(self, memory: Any) -> R_co:
        """Execute it in this process; `memory` is the room's store there.

        It waits for nothing: it is one step of the event loop.
        """
        raise NotImplementedError


class OperationStore(Protocol):
    """Executes the operations of one room.

    All raise `Unavailable` and its kin when the truth cannot be known; none returns "nothing" then.
    """

    def run(self, operation: Operation[R]) -> Coroutine[Any, Any, R]:
        """Execute an operation."""
        ...
