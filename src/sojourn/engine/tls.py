"""The certificates of connections: read apart from the event loop, and once for a server."""

from __future__ import annotations

import asyncio
import ssl
import threading
from pathlib import Path
from typing import Any, cast

from redis.asyncio.connection import AbstractConnection, SSLConnection

from sojourn.errors import ConfigurationError


class Certificates:
    """What all connections to a server, its Sentinels or its Cluster trust and show.

    redis-py would read it while it connects, for each connection anew: mostly all CAs of the
    system, while every other task stands still. They are read again when a file that the URL names
    has changed, and after TLS has failed.
    """

    def __init__(self) -> None:
        self._context: ssl.SSLContext | None = None
        self._files: list[object] = []
        self._lock = threading.Lock()

    async def give(self, connection: AbstractConnection) -> None:
        """Prepare a connection, if it speaks TLS.

        Raises:
            ConfigurationError: a file is not there, or is not what it should be.
        """
        if not isinstance(connection, SSLConnection):
            return
        try:
            await asyncio.to_thread(self._give, cast("Any", connection).ssl_context)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise ConfigurationError(
                f"The files of TLS cannot be used ({error}). Check those that the URL names by "
                "ssl_ca_certs, ssl_certfile and ssl_keyfile."
            ) from error

    def forget(self) -> None:
        """Read them again for the next connection."""
        self._context = None

    def _give(self, maker: Any) -> None:
        with self._lock:  # connections that are made at the same time wait for one to read
            named = (maker.keyfile, maker.certfile, maker.ca_certs, getattr(maker, "ca_path", None))
            files = [_version_of(path) for path in named if path]
            if self._context is None or files != self._files:
                self._context = maker.get()
                self._files = files
            maker.context = self._context


def _version_of(path: str) -> object:
    found = Path(path).stat()
    return found.st_mtime_ns, found.st_size, found.st_ino
