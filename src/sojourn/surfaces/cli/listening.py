"""Options of servers: where they listen, and where their access log goes."""

from __future__ import annotations

import socket
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from ipaddress import ip_address
from pathlib import Path

from sojourn.errors import ConfigurationError, InvalidInput
from sojourn.security import AccessLog, JsonLines

_LOOPBACK = "localhost"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    try:
        return host == _LOOPBACK or ip_address(host).is_loopback
    except ValueError:
        return False


def listening_on(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ConfigurationError: there is none to be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"{host}:{port} cannot be listened on: {error}") from error
    # Connections inherit it: asyncio sets it only where a socket says that it is TCP, and without
    # it answers in several parts wait 40 ms for the client's acknowledgement.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


@contextmanager
def log_to(file: Path | None) -> Generator[AccessLog]:
    """An access log that writes lines of JSON to a file; to stderr if none is given."""
    if file is None:
        yield AccessLog(JsonLines(sys.stderr))
        return
    try:
        lines = JsonLines(file)
    except OSError as error:
        raise InvalidInput(f"The access log {file} cannot be written: {error}") from error
    with closing(lines):
        yield AccessLog(lines)
