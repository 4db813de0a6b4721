"""Tasks and connections of an event loop that may end, or never run again, at any moment.

Scripts, notebooks and test runners abandon loops, closed or not, without cancelling their tasks.
Then nothing waits for a background task, so its end need not be reported.
"""

from __future__ import annotations

import asyncio
import os
import socket
from asyncio.trsock import TransportSocket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import cache
from typing import Any, TypeVar, cast

from redis.asyncio.connection import AbstractConnection

T = TypeVar("T")


def start(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], name: str | None = None
) -> asyncio.Task[T]:
    """Start a background task that prints nothing when its loop is thrown away."""
    task = loop.create_task(work, name=name)
    with suppress(AttributeError):  # a task factory may make others
        cast("Any", task)._log_destroy_pending = False  # noqa: SLF001 - as asyncio.gather does
    return task


@cache
def quiet(kind: Callable[..., AbstractConnection]) -> Callable[..., AbstractConnection]:
    """The same class of connections, which print nothing when collected with their loop.

    redis-py's own would be closed there by a loop that is closed: before 5.3 that is printed.
    """
    ours = cast("type[AbstractConnection]", kind)
    return type(ours.__name__, (ours,), {"__del__": _collected})


def _collected(connection: Any) -> None:
    writer = getattr(connection, "_writer", None)
    if writer is not None:
        with suppress(AttributeError):  # of the interpreter at its end, too
            hang_up(connection, writer.transport._loop)  # noqa: SLF001 - it has no other name


def is_interrupt(outcome: object) -> bool:
    """Whether a task was ended by an exception that a signal handler threw into it.

    It says nothing of a connection. (asyncio itself passes on KeyboardInterrupt and SystemExit.)
    """
    return isinstance(outcome, BaseException) and not isinstance(
        outcome, (Exception, asyncio.CancelledError, KeyboardInterrupt, SystemExit)
    )


def hang_up(connection: AbstractConnection, loop: asyncio.AbstractEventLoop) -> None:
    """Close a connection of a stopped loop, where nothing can be awaited."""
    ours = cast("Any", connection)
    writer = ours._writer  # noqa: SLF001 - disconnect() needs the loop
    if writer is None:
        return
    transport = writer.transport
    with suppress(OSError, AttributeError):
        _shut(transport, loop)
    with suppress(RuntimeError):  # the loop is closed
        transport.abort()
    with suppress(OSError, AttributeError):  # asyncio's own would close it in the loop's next turn
        transport._sock.close()  # noqa: SLF001 - there is no public way to it
        if loop.is_closed():
            transport._sock = None  # noqa: SLF001 - there will be no next turn
    ours._writer = ours._reader = None  # noqa: SLF001 - so redis-py knows that it is closed


def _shut(transport: Any, loop: asyncio.AbstractEventLoop) -> None:
    """Shut the socket down, so that the server notices."""
    ours = transport.get_extra_info("socket")
    if isinstance(ours, TransportSocket):  # asyncio's
        ours.shutdown(socket.SHUT_RDWR)
    elif not (loop.is_closed() or transport.is_closing()):
        # uvloop's has nothing but the number. When its loop was closed, so was the connection, and
        # the number is somebody else's by now.
        with socket.socket(fileno=os.dup(ours.fileno())) as duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)
