"""A server that runs until it is stopped."""

from __future__ import annotations

import signal
import socket
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from sojourn.surfaces.mcp.caller import Desk
from sojourn.surfaces.mcp.server import server_of

_GRACE = 3
"""Seconds that requests may go on for when the server is to end."""


async def serve_stdio(desk: Desk) -> None:
    """Serve the client at the other end of stdin and stdout, until it closes them."""
    await server_of(desk).run_stdio_async()


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
