"""TLS: certificates, read once per server off the event loop, and detection of missing TLS."""

from __future__ import annotations

import asyncio
import ssl
import threading
from pathlib import Path
from typing import Any, cast

from redis.asyncio.connection import AbstractConnection, SSLConnection

from sojourn.errors import ConfigurationError
from sojourn.resilience.deadline import from_now, until

_LOOK = 1.0
"""Seconds that finding out what a port speaks may take."""
_PING = b"*1\r\n$4\r\nPING\r\n"


class Certificates:
    """Certificates that all connections to a server, its Sentinels or its Cluster use.

    redis-py would read them again for each connection: mostly all CAs of the system, while every
    other task waits. Here they are read again only when a file that the URL names has changed, and
    after TLS has failed.
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


async def connect(connection: AbstractConnection, where: str, *, delay: float) -> None:
    """Connect, and look into a TLS handshake that nobody answers.

    A server that speaks no TLS waits for the rest of what it takes for a command.

    Args:
        connection: what to connect.
        where: its address for messages.
        delay: seconds after which the cause is looked for.

    Raises:
        ConfigurationError: there is no TLS.
        Exception: whatever redis-py raises.
    """
    if not isinstance(connection, SSLConnection):
        await connection.connect()  # type: ignore[no-untyped-call]
        return
    connecting = asyncio.ensure_future(cast("Any", connection).connect())
    try:
        done, _ = await asyncio.wait([connecting], timeout=delay)
        if not done:
            await check_sides(connection, where)
        await connecting
    finally:
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)


async def check_sides(connection: AbstractConnection, where: str) -> None:
    """Find out whether only one side speaks TLS, after neither has understood the other.

    Raises:
        ConfigurationError: so it is.
    """
    there: Any = connection
    if not hasattr(there, "port"):
        return  # a socket of this machine
    look, told = (
        (_answers_plainly, "does not speak TLS: start the URL with redis, not rediss")
        if isinstance(there, SSLConnection)
        else (_answers_by_tls, "speaks TLS only: start the URL with rediss, not redis")
    )
    try:
        async with until(from_now(_LOOK)):
            found = await look(there.host, there.port)
    except (OSError, TimeoutError):
        return
    if found:
        raise ConfigurationError(f"The server at {where} {told} (of a lent client: ssl=…).")


async def _answers_by_tls(host: str, port: int) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is said to it
    try:
        _, writer = await asyncio.open_connection(host, port, ssl=context)
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    writer.transport.abort()
    return True


async def _answers_plainly(host: str, port: int) -> bool:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(_PING)
        return await reader.read(1) in (b"+", b"-")
    finally:
        writer.transport.abort()
