"""The certificates of a connection: read apart from the event loop."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from redis.asyncio.connection import AbstractConnection, SSLConnection

from sojourn.errors import ConfigurationError


async def read_certificates(connection: AbstractConnection) -> None:
    """Read what a connection will trust and show, if it speaks TLS.

    redis-py would do it while it connects, for each connection anew: mostly for all CAs of the
    system, while every other task stands still. So a new certificate is seen by the next
    connection.

    Raises:
        ConfigurationError: a file is not there, or is not what it should be.
    """
    if not isinstance(connection, SSLConnection):
        return
    try:
        await asyncio.to_thread(cast("Any", connection).ssl_context.get)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigurationError(
            f"The files of TLS cannot be used ({error}). Check those that the URL names by "
            "ssl_ca_certs, ssl_certfile and ssl_keyfile."
        ) from error
