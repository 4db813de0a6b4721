"""Where a server is, and how a connection to it is made. redis-py does AUTH, HELLO and TLS."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

import redis
import redis.asyncio
from redis import exceptions as driver
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)

from sojourn.engine.embedded import EmbeddedServer
from sojourn.errors import AccessDenied, ConfigurationError, Unavailable, UnsupportedServer

SCHEMES = ("redis", "rediss", "unix", "embedded")
"""The URL schemes that lead to a server."""

_HINT = "Use redis://host:6379/0, rediss://…, unix:///path/to.sock, embedded:DIR or memory://."

_KEPT = frozenset(
    {"client_name", "credential_provider", "db", "host", "password", "path", "port", "username"}
    | {"socket_keepalive", "socket_keepalive_options"}
)
"""What a URL or a lent client says about reaching the server. The rest is how redis-py would use
it: decoding, retries, timeouts, pools. Those are Sojourn's own."""

_TLS = frozenset(
    f"ssl_{name}"
    for name in ("keyfile", "certfile", "cert_reqs", "ca_certs", "ca_data", "check_hostname")
)
"""What every redis-py's TLS connection, blocking or not, takes."""

_KINDS: dict[object, type[AbstractConnection]] = {
    redis.Connection: Connection,
    redis.SSLConnection: SSLConnection,
    redis.UnixDomainSocketConnection: UnixDomainSocketConnection,
    Connection: Connection,
    SSLConnection: SSLConnection,
    UnixDomainSocketConnection: UnixDomainSocketConnection,
}
"""By how a lent client connects, how we do."""

_OLDEST = {"redis": (6, 2), "valkey": (7, 2)}


class Server:
    """One server: its address and credentials, and the making of connections to it.

    Attributes:
        where: the address for messages; never holds a password.
    """

    def __init__(
        self,
        where: str,
        kind: Callable[..., AbstractConnection],
        options: Mapping[str, Any],
        *,
        connect_timeout: float,
        embedded: EmbeddedServer | None = None,
    ) -> None:
        self.where = where
        self._kind = kind
        self._options = dict(options)
        self._timeout = connect_timeout
        self._embedded = embedded

    @classmethod
    def at(cls, url: str, *, connect_timeout: float) -> Server:
        """The server that a URL names. Nothing is sent.

        Raises:
            ConfigurationError: the URL is malformed or asks for what Sojourn does not have.
        """
        if url.startswith("embedded:"):
            directory = url.removeprefix("embedded:").removeprefix("//") or ".sojourn"
            return cls(
                f"embedded:{directory}",
                UnixDomainSocketConnection,
                {},
                connect_timeout=connect_timeout,
                embedded=EmbeddedServer(directory),
            )
        options: dict[str, Any] = dict(_parsed(url))
        kind = options.pop("connection_class", Connection)
        return cls(_where(kind, options), kind, _kept(options), connect_timeout=connect_timeout)

    @classmethod
    def of(cls, client: redis.Redis | redis.asyncio.Redis, *, connect_timeout: float) -> Server:
        """The server of a lent client: its address, credentials and TLS, never its sockets.

        Raises:
            ConfigurationError: the client is not of one plain server.
        """
        pool: Any = getattr(client, "connection_pool", None)
        options: dict[str, Any] | None = getattr(pool, "connection_kwargs", None)
        kind = _KINDS.get(getattr(pool, "connection_class", None))
        if options is None or kind is None:
            raise ConfigurationError(
                f"This {type(client).__name__} cannot be lent: lend a redis.Redis or "
                "redis.asyncio.Redis of one server, or give a URL."
            )
        kept = {name: value for name, value in options.items() if name in _KEPT | _TLS}
        return cls(_where(kind, kept), kind, kept, connect_timeout=connect_timeout)

    async def connect(self) -> AbstractConnection:
        """A connection that is ready for commands. Two round trips and the handshake.

        Raises:
            UnsupportedServer: the server is too old.
            Exception: whatever redis-py raises; the engine translates it.
        """
        options = self._options
        if self._embedded is not None:
            options = {"path": await asyncio.to_thread(self._embedded.ensure)}
        connection = self._kind(
            **options,
            protocol=2,
            decode_responses=False,
            socket_timeout=None,
            socket_connect_timeout=self._timeout,
        )
        try:
            async with asyncio.timeout(self._timeout):
                await connection.connect()  # type: ignore[no-untyped-call]
                await self._check_version(connection)
        except TimeoutError as error:
            await connection.disconnect(nowait=True)
            raise Unavailable(
                f"{self.where} did not answer within {self._timeout:g} s of connecting. Check that "
                "the server runs and can be reached."
            ) from error
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

    async def _check_version(self, connection: AbstractConnection) -> None:
        await connection.send_command("INFO", "server", check_health=False)
        try:
            info = cast("Any", await connection.read_response(disable_decoding=True))
        except driver.NoPermissionError:
            return  # this user may not ask; the first script will tell
        except driver.AuthenticationError as error:
            raise AccessDenied(
                f"The server at {self.where} wants a password: put it into the URL, as in "
                "redis://user:password@host:6379/0."
            ) from error
        name, version = _version_of(info.decode() if isinstance(info, bytes) else str(info))
        if version and version < _OLDEST[name]:
            raise UnsupportedServer(
                f"The server at {self.where} is {name} {'.'.join(map(str, version))}; Sojourn "
                "needs Redis 6.2 or Valkey 7.2 at least. embedded:DIR brings a server of its own."
            )

    async def release(self) -> None:
        """Leave an embedded server; the last one out shuts it down."""
        if self._embedded is not None:
            await asyncio.to_thread(self._embedded.release)


def _parsed(url: str) -> Mapping[str, Any]:
    try:
        parts = urlsplit(url)
        port_is_a_number = parts.port is None or parts.port > 0
    except ValueError:
        port_is_a_number = False
        parts = urlsplit("")
    scheme = parts.scheme or url.partition(":")[0]
    if scheme not in SCHEMES:
        raise ConfigurationError(f"Sojourn does not know the URL scheme {scheme!r}. {_HINT}")
    if not port_is_a_number:
        raise ConfigurationError(f"The port in the {scheme} URL is not a port number. {_HINT}")
    if scheme == "unix" and not parts.path:
        raise ConfigurationError("The unix URL names no socket: write unix:///path/to/redis.sock.")
    if scheme != "unix":
        if not url.startswith(f"{scheme}://"):
            raise ConfigurationError(f"The {scheme} URL lacks its two slashes. {_HINT}")
        if not re.fullmatch(r"/?\d*", parts.path):
            raise ConfigurationError("The database in the URL must be a number, as in /0.")
    try:
        return parse_url(url)
    except ValueError as error:
        raise ConfigurationError(f"The {scheme} URL has a wrong option: {error}") from error


def _kept(options: dict[str, Any]) -> dict[str, Any]:
    if refused := sorted(name for name in options if not _is_kept(name)):
        raise ConfigurationError(
            f"The URL has options that Sojourn does not take: {', '.join(refused)}. Time-outs, "
            "TTLs and caps are arguments of sojourn.open(); TLS options (ssl_…) and db may stay."
        )
    return options


def _is_kept(name: str) -> bool:
    return name in _KEPT or name.startswith("ssl_")


def _where(kind: Callable[..., AbstractConnection], options: Mapping[str, Any]) -> str:
    db = int(options.get("db") or 0)
    if kind is UnixDomainSocketConnection:
        return f"unix://{options.get('path', '')}" + (f"?db={db}" if db else "")
    scheme = "rediss" if kind is SSLConnection else "redis"
    at = f"{scheme}://{options.get('host', 'localhost')}:{options.get('port', 6379)}"
    return f"{at}/{db}" if db else at


def _version_of(info: str) -> tuple[str, tuple[int, ...]]:
    for name in ("valkey", "redis"):
        if found := re.search(rf"^{name}_version:(\d+)\.(\d+)", info, re.MULTILINE):
            return name, (int(found[1]), int(found[2]))
    return "redis", ()
