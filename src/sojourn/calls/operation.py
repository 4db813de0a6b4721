"""Operations of rooms, as values, and the store that runs them.

An operation defines how a server executes it and how the in-memory store does. It holds plain
values, so that it can be stored, repeated, recorded in a test, or sent elsewhere.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Generic, Protocol, Self, TypeVar, cast

import msgspec

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Operation(msgspec.Struct, Generic[R_co], frozen=True):
    """One operation. Those of a room name its own stores as the types of the arguments."""

    async def on_server(self, server: Any) -> R_co:
        """Do it on a server. The docstring of each says how many round trips it takes."""
        raise NotImplementedError

    async def in_memory(self, memory: Any) -> R_co:
        """Do it in this process. It waits for nothing: it is one step of the event loop."""
        raise NotImplementedError

    async def encoded(self, coded: Any) -> Self:  # noqa: ARG002 - of those that bring content
        """The same with its content as it is stored: `coded.codec` says how. It may be repeated."""
        return self

    async def decoded(self, result: Any, coded: Any) -> R_co:  # noqa: ARG002
        """A result, of which the content was as it is stored."""
        return cast("R_co", result)


class RoomStore(Protocol):
    """The records of a room.

    All operations raise `Unavailable` or a subclass when no server answers in time; none returns
    "nothing" then.
    """

    def run(self, operation: Operation[R]) -> Coroutine[Any, Any, R]:
        """Do it."""
        ...
