"""Server settings, and connections made from them. redis-py does AUTH, HELLO and TLS."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from typing import Any, Self, cast
from urllib.parse import parse_qsl

import redis
import redis.asyncio
from redis import exceptions as driver
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)

from sojourn.engine import sentinel, tls
from sojourn.engine.address import KEPT, TLS, Address, Kind, Target, check, parse, where_of
from sojourn.engine.credentials import Credentials, Deferred, Provider, is_provider
from sojourn.engine.embedded import EmbeddedServer
from sojourn.engine.faults import advice, is_certificate, is_dropped, is_misheard, translate
from sojourn.engine.product import NEWEST, Product, fields_of
from sojourn.engine.tasks import hang_up, quiet
from sojourn.engine.tls import Certificates
from sojourn.errors import (
    AccessDenied,
    ConfigurationError,
    ServerReadOnly,
    Unavailable,
    UnsupportedServer,
)
from sojourn.resilience.deadline import from_now, until

_KINDS: dict[object, type[AbstractConnection]] = {
    redis.Connection: Connection,
    redis.SSLConnection: SSLConnection,
    redis.UnixDomainSocketConnection: UnixDomainSocketConnection,
    Connection: Connection,
    SSLConnection: SSLConnection,
    UnixDomainSocketConnection: UnixDomainSocketConnection,
}
"""By how a lent client connects, how we do."""

_WORDLESS: dict[str, None] = dict.fromkeys(
    ("client_name", "driver_info")
    if "driver_info" in inspect.signature(cast("Any", AbstractConnection).__init__).parameters
    else ("client_name", "lib_name", "lib_version")
)
"""What a connection is made with that is not to say CLIENT."""


class Server:
    """Where a server is and how to reach it: one server, a primary under Sentinel, or a Cluster.

    Attributes:
        where: the address for messages; never holds a password.
        addresses: of the Sentinels, or of nodes of a Cluster to start from.
        is_cluster: whether slots decide which node answers.
    """

    def __init__(
        self,
        target: Target,
        *,
        connect_timeout: float,
        embedded: EmbeddedServer | None = None,
        certificates: Certificates | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        self.where = target.where
        self.addresses = target.addresses
        self.is_cluster = bool(target.addresses) and not target.master
        self._target = target
        self._timeout = connect_timeout
        self._embedded = embedded
        self._certificates = certificates or Certificates()
        provider = target.options.get("credential_provider")
        if provider is not None:
            credentials = Credentials(provider, target.where)
        self._has_answered = False
        self._credentials = credentials

    @classmethod
    def at(
        cls, url: str, *, connect_timeout: float, credential_provider: Provider | None = None
    ) -> Self:
        """The server that a URL names. Nothing is sent.

        Raises:
            ConfigurationError: the URL is malformed or asks for what Sojourn does not have.
        """
        if not url.startswith("embedded:"):
            target = _with_provider(parse(url), credential_provider)
            return cls(target, connect_timeout=connect_timeout)
        if credential_provider is not None:
            raise ConfigurationError("An embedded server wants no credentials: none are provided.")
        directory, group = _folder_of(url)
        return cls(
            Target(f"embedded:{directory}", UnixDomainSocketConnection, {}),
            connect_timeout=connect_timeout,
            embedded=EmbeddedServer(directory, group=group),
        )

    @classmethod
    def of(
        cls,
        client: redis.Redis | redis.asyncio.Redis,
        *,
        connect_timeout: float,
        credential_provider: Provider | None = None,
    ) -> Self:
        """The server of a lent client: its address, credentials and TLS, never its sockets.

        Raises:
            ConfigurationError: the client is not of one plain server, or connects in a way that
                connections of asyncio cannot.
        """
        pool: Any = getattr(client, "connection_pool", None)
        options: dict[str, Any] | None = getattr(pool, "connection_kwargs", None)
        kind = _KINDS.get(getattr(pool, "connection_class", None))
        if pool is None:
            raise ConfigurationError(
                "sojourn.open() takes a URL as text, or a redis-py client that lends its address, "
                f"not {type(client).__name__}."
            )
        if options is None or kind is None:
            raise ConfigurationError(
                f"This {type(client).__name__} cannot be lent: lend a redis.Redis or "
                "redis.asyncio.Redis of one server, or give a URL."
            )
        if options.get("redis_connect_func") and pool.connection_class is not kind:
            raise ConfigurationError(
                f"This {type(client).__name__} cannot be lent: its redis_connect_func speaks to "
                "connections without an event loop. Lend a redis.asyncio.Redis with one of its "
                "own, or give a URL and credential_provider=."
            )
        kept = {name: value for name, value in options.items() if name in KEPT | TLS}
        wanted = (name for name, value in options.items() if name.startswith("ssl_") and value)
        if unmet := sorted(set(wanted) - TLS):
            raise ConfigurationError(
                f"This {type(client).__name__} cannot be lent: connections of asyncio do not take "
                f"its {', '.join(unmet)}, and TLS would be weaker without."
            )
        check(kind, kept)
        target = _with_provider(Target(where_of(kind, kept), kind, kept), credential_provider)
        return cls(target, connect_timeout=connect_timeout)

    def at_node(self, address: Address) -> Server:
        """A node of this Cluster, reached with the same credentials and TLS."""
        kind: Kind = self._target.kind
        options = {**self._target.options, **address._asdict()}
        options.pop("credential_provider", None)  # who gives them to one node gives them to all
        target = Target(where_of(kind, options), kind, options)
        return Server(
            target,
            connect_timeout=self._timeout,
            certificates=self._certificates,
            credentials=self._credentials,
        )

    async def connect(self) -> AbstractConnection:
        """A connection that is ready for commands. Two round trips and the handshake.

        Under Sentinel three, after the Sentinels were asked which server is the primary.

        Raises:
            UnsupportedServer: the server is too old.
            ConfigurationError: a file of TLS cannot be read.
            Deferred: the credential provider has none yet, or none that the server takes.
            Exception: whatever redis-py raises; the engine translates it.
        """
        try:
            return await self._connect()
        except Exception as error:
            if is_certificate(error):
                self._certificates.forget()
            denied = translate(error, self.where)
            if self._credentials is None or not isinstance(denied, AccessDenied):
                raise
            self._credentials.forget()  # those of before a rotation, perhaps
            raise Deferred(denied) from error

    async def _connect(self) -> AbstractConnection:
        target = self._target
        options: Mapping[str, Any] = target.options
        if self._credentials is not None:
            options = {**options, **await self._credentials.get(), "credential_provider": None}
        if self._embedded is not None:
            options = {"path": await asyncio.to_thread(self._embedded.ensure)}
        if target.master:
            primary = await sentinel.find_primary(target, self._timeout, self._certificates)
            options = {**options, **primary._asdict()}
        deadline = from_now(self._timeout)
        try:
            return await self._greeted(options, deadline)
        except (driver.RedisError, OSError) as error:
            if not _may_mind_words(error):
                raise
        # The greeting is a courtesy. A proxy (twemproxy) hangs up on what it does not know.
        return await self._greeted({**options, **_WORDLESS}, deadline, wordless=True)

    async def _greeted(
        self, options: Mapping[str, Any], deadline: float, *, wordless: bool = False
    ) -> AbstractConnection:
        """Connect, and ask what kind of server it is, or only whether it is there."""
        target = self._target
        connection = quiet(target.kind)(
            **options,
            protocol=2,
            decode_responses=False,
            socket_timeout=None,
            socket_connect_timeout=None,  # it would measure this process
        )
        await self._certificates.give(connection)
        loop = asyncio.get_running_loop()
        try:
            async with until(deadline):
                await tls.connect(connection, self.where, delay=self._timeout / 4)
                if wordless:
                    await self._ask(connection, "PING")
                    cast("Any", connection).is_wordless = True
                else:
                    await self._check_commands(connection)
                    if target.master:
                        await self._check_role(connection)
        except TimeoutError as error:
            await connection.disconnect(nowait=True)
            raise Unavailable(
                f"{self.where} did not answer within {self._timeout:g} s of connecting"
                f"{_looked_up(options)}. {advice(self.where)}"
            ) from error
        except GeneratorExit:  # the loop was thrown away
            hang_up(connection, loop)
            raise
        except BaseException as error:
            await connection.disconnect(nowait=True)
            mishears = wordless or not _may_mind_words(error)
            if is_misheard(error) and mishears and not self._has_answered:
                await tls.check_sides(connection, self.where)  # a server may take a second for it
            raise
        self._has_answered = True
        return connection

    async def _check_commands(self, connection: AbstractConnection) -> None:
        """Refuse a server that lacks commands. Its number alone says nothing: products differ."""
        product = Product.of(fields_of(await self._ask(connection, "INFO", "server")))
        if not product.is_old:
            return
        known = await self._ask(connection, "COMMAND", "INFO", *NEWEST)
        if not isinstance(known, list):
            return  # it does not tell; the first call that it cannot serve will
        each = zip(NEWEST, cast("list[object]", known), strict=False)
        if lacking := [name for name, found in each if not found]:
            raise UnsupportedServer(
                f"The server at {self.where} is {product}; Sojourn needs Redis 6.2 or Valkey 7.2 "
                f"at least, or a server with their commands: it lacks {', '.join(lacking)}. "
                "embedded:DIR brings a server of its own."
            )

    async def _check_role(self, connection: AbstractConnection) -> None:
        """Sentinels may still name the primary of before."""
        info = await self._ask(connection, "INFO", "replication")
        # Who may not ask for INFO may perhaps ask for this.
        role = "" if info else await self._ask(connection, "ROLE")
        if (info and "role:master" not in info) or (role and role[0] != b"master"):
            raise ServerReadOnly(
                f"The primary that the Sentinels of {self.where} name is a replica now. A failover "
                "may be under way: try again shortly."
            )

    async def _ask(self, connection: AbstractConnection, *words: str) -> Any:
        """A reply, text as `str`; empty when the server refuses: it owes no answer to this."""
        await connection.send_command(*words, check_health=False)
        try:
            reply = cast("Any", await connection.read_response(disable_decoding=True))
        except driver.ResponseError:
            return ""
        except driver.AuthenticationError as error:
            raise AccessDenied(
                f"The server at {self.where} wants a password: put it into the URL, as in "
                "redis://user:password@host:6379/0."
            ) from error
        return reply.decode(errors="replace") if isinstance(reply, bytes) else reply

    async def release(self) -> None:
        """Leave an embedded server; the last one out shuts it down."""
        if self._embedded is not None:
            await asyncio.to_thread(self._embedded.release)


def _may_mind_words(error: BaseException) -> bool:
    """Whether the greeting may be what the other side does not like."""
    return is_dropped(error) or isinstance(error, driver.ResponseError)


def _looked_up(options: Mapping[str, Any]) -> str:
    """A reminder that part of the time may have gone to a slow name service."""
    host = str(options.get("host", ""))
    if not host or host == "localhost" or ":" in host or host.replace(".", "").isdigit():
        return ""
    return f" (the look-up of the name {host} included)"


def _with_provider(target: Target, provider: Provider | None) -> Target:
    if provider is None:
        return target
    if target.options.get("username") or target.options.get("password"):
        raise ConfigurationError(
            "The URL has a user or password, and credential_provider= gives them as well: leave "
            "one of them out."
        )
    if not is_provider(provider):
        raise ConfigurationError(
            "credential_provider= has a method get_credentials() or get_credentials_async(), as "
            f"redis-py's CredentialProvider; this {type(provider).__name__} has neither."
        )
    return target._replace(options={**target.options, "credential_provider": provider})


def _folder_of(url: str) -> tuple[str, str | None]:
    """The folder of an embedded server, and the group that shares it: `embedded:DIR?group=NAME`."""
    folder = url.removeprefix("embedded:").removeprefix("//")
    before, mark, query = folder.partition("?")
    asked = dict(parse_qsl(query, keep_blank_values=True))
    if mark and asked.keys() == {"group"}:
        return before or ".sojourn", asked["group"]
    return folder or ".sojourn", None
