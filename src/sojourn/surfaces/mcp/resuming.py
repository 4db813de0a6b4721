"""Resumable streams: a client can ask any process for the messages it missed."""

from __future__ import annotations

import logging
from itertools import count
from typing import TYPE_CHECKING

import anyio
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp_types import (
    INTERNAL_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)

from sojourn.errors import SojournError
from sojourn.resilience.backoff import backoff

if TYPE_CHECKING:
    from sojourn.security.user import UserStreams

log = logging.getLogger("sojourn.mcp")

_PAUSES = (0.05, 0.5)
"""Seconds between two looks for an answer: at first, and at most."""

_LOST = (
    "The server was stopped before it answered, so this may have happened or not. Repeat the call; "
    "with the same operation_id it takes effect once."
)

if TYPE_CHECKING:
    from sojourn.security.user import UserStreams


class ResumedMessage(EventStore):
    """The messages of one MCP session of one user. Nobody else's can be named.

    Args:
        streams: of the user.
        connection: which MCP session.
        resume_timeout: seconds that a client which asks again waits for an answer still to come.

    Attributes:
        answered: set when the request was answered, whether or not the client was still there.
    """

    def __init__(self, streams: UserStreams, connection: str, *, resume_timeout: float) -> None:
        self.answered = anyio.Event()
        self._streams = streams
        self._connection = connection
        self._resume_timeout = resume_timeout

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        """Keep a message; its id. Empty when it cannot be kept: it is sent all the same."""
        text = "" if message is None else message.model_dump_json(by_alias=True, exclude_unset=True)
        try:
            number = await self._streams.add(self._connection, stream_id, text)
        except SojournError as error:
            log.warning("A client cannot ask for a message again: %s", error)
            number = 0
        if isinstance(message, JSONRPCResponse | JSONRPCError):
            self.answered.set()
        return str(number) if number else ""

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> None:
        """Send what came behind a message on its stream, until the answer or the time-out.

        Then the client is told that there will be none: whoever worked on it is gone.
        """
        number, stream = int(last_event_id), ""
        with anyio.move_on_after(self._resume_timeout):
            for attempt in count():
                found = await self._streams.after(self._connection, number)
                for told in found or ():
                    stream = told.stream
                    if told.number > number and told.message:
                        message = jsonrpc_message_adapter.validate_json(told.message)
                        with anyio.CancelScope(shield=True):
                            await send_callback(EventMessage(message, str(told.number)))
                        if isinstance(message, JSONRPCResponse | JSONRPCError):
                            return
                    number = told.number
                if found is None:
                    return
                await anyio.sleep(backoff(attempt, *_PAUSES))
        request = int(stream) if stream.isdecimal() else stream
        error = ErrorData(code=INTERNAL_ERROR, message=_LOST)
        await send_callback(EventMessage(JSONRPCError(jsonrpc="2.0", id=request, error=error)))
