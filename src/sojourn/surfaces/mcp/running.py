"""A server that runs until it is stopped."""

from __future__ import annotations

import signal
import socket
from types import FrameType
from typing import cast

import uvicorn
from anyio import AsyncFile
from mcp.server.stdio import stdio_server
from starlette.applications import Starlette

from sojourn.surfaces.mcp.caller import RequestContext
from sojourn.surfaces.mcp.pipes import standard_pipes
from sojourn.surfaces.mcp.server import server_of

_GRACE = 3
"""Seconds that requests may go on for when the server is to end."""


async def serve_stdio(context: RequestContext) -> None:
    """Serve the client at the other end of stdin and stdout, until it closes one of them."""
    # The server's own `run_stdio_async` cannot be ended while it waits for a line, leaves requests
    # unanswered at the end of its input, and fails when its reader has left.
    outer = server_of(context)
    outer.streamable_http_app()  # makes the session manager, the public way to the server beneath
    server = outer.session_manager.app
    with standard_pipes() as pipes:
        ends = cast("AsyncFile[str]", pipes)
        async with stdio_server(ends, ends) as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())


async def serve_http(application: Starlette, listening: socket.socket) -> None:
    """Serve until SIGINT, which raises KeyboardInterrupt then, or SIGTERM, which ends quietly."""
    signal.signal(signal.SIGTERM, _end)
    config = uvicorn.Config(
        application,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=_GRACE,
    )
    await uvicorn.Server(config).serve(sockets=[listening])


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
