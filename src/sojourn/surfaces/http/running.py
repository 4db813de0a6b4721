"""Running: the application on uvicorn, until it is stopped."""

from __future__ import annotations

import signal
import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI

_GRACE = 3
"""Seconds that requests may go on for when the server is to end."""


async def serve(application: FastAPI, listening: socket.socket) -> None:
    """Serve until SIGINT, which raises KeyboardInterrupt then, or SIGTERM, which ends quietly."""
    signal.signal(signal.SIGTERM, _end)
    config = uvicorn.Config(
        application,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
    )
    await uvicorn.Server(config).serve(sockets=[listening])


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
