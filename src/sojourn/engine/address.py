"""Server addresses: a URL is parsed once, and a wrong one is refused with a clear message."""

from __future__ import annotations

import inspect
import re
import ssl
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qsl, urlsplit

from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)
from redis.exceptions import RedisError

from sojourn.errors import ConfigurationError

Kind = Callable[..., AbstractConnection]

_ESCAPES = "A password's / ? # are written %2F %3F %23."
_SETS = {"sentinel": 26379, "cluster": 6379}
"""What may stand behind the plus of a scheme, and the port where none is given."""

SCHEMES = (
    *("redis", "rediss", "unix", "embedded"),
    *(f"{plain}+{several}" for several in _SETS for plain in ("redis", "rediss")),
)
"""The URL schemes that lead to a server."""

_HINT = (
    "Use redis://host:6379/0, rediss://…, redis+sentinel://host:26379,host:26379/mymaster/0, "
    "redis+cluster://host:6379,host:6379, unix:///path/to.sock, embedded:DIR or memory://."
)

_SCHEMES_ELSEWHERE = {
    **dict.fromkeys(("valkey", "keydb", "dragonfly", "garnet", "kvrocks", "tcp"), "redis"),
    **dict.fromkeys(("valkeys", "redis+ssl", "redis+tls", "redis-ssl", "valkey+ssl"), "rediss"),
    **dict.fromkeys(("sentinel", "redis-sentinel", "redis_sentinel"), "redis+sentinel"),
    **dict.fromkeys(("rediss-sentinel", "redis-sentinel-ssl", "sentinels"), "rediss+sentinel"),
    **dict.fromkeys(("rediscluster", "redis-cluster", "redis_cluster"), "redis+cluster"),
    **dict.fromkeys(("valkey+sentinel", "valkey-sentinel"), "redis+sentinel"),
    **dict.fromkeys(("valkey+cluster", "valkey-cluster"), "redis+cluster"),
    **dict.fromkeys(("redis+socket", "redis-socket", "redis+unix", "valkey+unix"), "unix"),
}
"""The schemes of other programs, and what is written here."""

_IN_URL = frozenset(
    {"client_name", "db", "host", "password", "path", "port", "socket_keepalive", "username"}
)
"""What a URL says about reaching the server. The rest is how redis-py would use it: decoding,
retries, time-outs, pools. Those are Sojourn's own."""

KEPT = (
    _IN_URL
    | {"credential_provider", "socket_keepalive_options", "socket_type"}
    | {"driver_info", "lib_name", "lib_version"}
    | {"encoding", "encoding_errors", "redis_connect_func"}
)
"""The same of a lent client, which has objects as well. Its encoding is that of the password."""

TLS = frozenset(
    name
    for name in inspect.signature(cast("Any", SSLConnection).__init__).parameters
    if name.startswith("ssl_")
)
"""What TLS connections of the redis-py that is installed take."""

_TLS_BY_SCHEME = "start the URL with rediss:// for TLS"
_ELSEWHERE = {
    **dict.fromkeys(("ssl", "tls", "sslmode", "use_ssl", "use_tls", "secure"), _TLS_BY_SCHEME),
    **dict.fromkeys(
        ("skip_verify", "insecure", "tls_insecure", "ssl_insecure", "sslVerify"),
        "ssl_cert_reqs=none checks no certificate",
    ),
    **dict.fromkeys(
        ("socket_timeout", "timeout", "read_timeout", "write_timeout", "command_timeout"),
        "operation_timeout=SECONDS",
    ),
    **dict.fromkeys(
        ("socket_connect_timeout", "dial_timeout", "connection_timeout"),
        "connect_timeout=SECONDS",
    ),
    **dict.fromkeys(("database", "virtual_host"), "the database is db=NUMBER"),
    **dict.fromkeys(("prefix", "key_prefix", "global_keyprefix"), "namespace=NAME"),
    **dict.fromkeys(("user", "pass", "auth"), "redis://user:password@host"),
    **dict.fromkeys(
        ("protocol", "decode_responses", "encoding", "encoding_errors", "charset"),
        "leave it out: Sojourn speaks RESP2 and reads bytes itself",
    ),
    **dict.fromkeys(
        ("max_connections", "pool_size", "min_idle_conns", "pool_timeout", "pool_fifo"),
        "leave it out: all tasks of an event loop share two connections",
    ),
    **dict.fromkeys(
        ("retry_on_timeout", "retry_on_error", "retry", "max_retries", "retries"),
        "leave it out: calls are repeated until operation_timeout",
    ),
    **dict.fromkeys(("sentinelMasterId", "master_name", "service_name"), "redis+sentinel://"),
}
"""What other programs call it, and what is written here."""

_SENTINEL = ("sentinel_username", "sentinel_password")


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Target(NamedTuple):
    """A parsed URL.

    Attributes:
        where: the address for messages; never holds a password.
        kind: how redis-py connects.
        options: what it connects with.
        addresses: of Sentinels or nodes; empty for one plain server.
        master: the name by which Sentinels know the primary; empty without Sentinels.
        sentinel: credentials for the Sentinels themselves.
    """

    where: str
    kind: Kind
    options: dict[str, Any]
    addresses: tuple[Address, ...] = ()
    master: str = ""
    sentinel: Mapping[str, str] = {}


def parse(url: str) -> Target:
    """Read a URL of one of `SCHEMES`, other than `embedded:`.

    Raises:
        ConfigurationError: it is malformed, or asks for what Sojourn does not have.
    """
    scheme = url.partition(":")[0]
    if "#" in url and scheme in SCHEMES:  # a host before it may be the middle of a password
        raise ConfigurationError(f"A # ends the {scheme} URL. {_ESCAPES}")
    plain, _, several = scheme.partition("+")
    if several in _SETS and plain in ("redis", "rediss"):
        return _parse_several(url, plain, several)
    options: dict[str, Any] = dict(_parsed(url))
    kind = options.pop("connection_class", Connection)
    return Target(where_of(kind, options), kind, _checked(kind, options))


def _parse_several(url: str, plain: str, several: str) -> Target:
    scheme = f"{plain}+{several}"
    if not url.startswith(f"{scheme}://"):
        raise ConfigurationError(f"The {scheme} URL lacks its two slashes. {_HINT}")
    rest, _, query = url.removeprefix(f"{scheme}://").partition("?")
    netloc, _, path = rest.partition("/")
    credentials, at, hosts = netloc.rpartition("@")
    addresses = tuple(_address(host, scheme, _SETS[several]) for host in hosts.split(","))
    master, db = "", path
    if several == "sentinel":
        master, _, db = path.partition("/")
        if not master:
            raise ConfigurationError(
                f"The {scheme} URL names no primary: write the name that the Sentinels know it by, "
                f"as in {scheme}://host:26379/mymaster/0."
            )
    elif db not in ("", "0"):
        raise ConfigurationError("A Redis Cluster has no databases but 0: leave it out of the URL.")
    inner = f"{plain}://{credentials}{at}{addresses[0]}/{db}" + (f"?{query}" if query else "")
    options: dict[str, Any] = dict(_parsed(inner))
    sentinel = {
        name.removeprefix("sentinel_"): options.pop(name) for name in _SENTINEL if name in options
    }
    kind = options.pop("connection_class", Connection)
    listed = ",".join(map(str, addresses))
    where = f"{scheme}://{listed}" + (f"/{master}/{int(db or 0)}" if master else "")
    return Target(where, kind, _checked(kind, options), addresses, master, sentinel)


def _address(text: str, scheme: str, default_port: int) -> Address:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port == 0:
        # It is not shown: it is part of a password that has a / or ? in it.
        raise ConfigurationError(
            f"The {scheme} URL has no host:port in one of its places. {_ESCAPES} {_HINT}"
        )
    return Address(host, port or default_port)


def _check_scheme(scheme: str, url: str) -> None:
    if scheme in SCHEMES:
        return
    if ours := _SCHEMES_ELSEWHERE.get(scheme):
        raise ConfigurationError(f"The URL scheme {scheme} is written {ours} here. {_HINT}")
    if not url:
        raise ConfigurationError(f"The URL is empty, so it has no scheme. {_HINT}")
    if "://" not in url:
        raise ConfigurationError(f"The URL begins with no scheme. {_HINT}")
    raise ConfigurationError(f"Sojourn does not know the URL scheme {scheme!r}. {_HINT}")


def _parsed(url: str) -> Mapping[str, Any]:
    try:
        parts = urlsplit(url)
        port_is_a_number = parts.port is None or parts.port > 0
    except ValueError:
        port_is_a_number = False
        parts = urlsplit("")
    scheme = parts.scheme or url.partition(":")[0]
    _check_scheme(scheme, url)
    if not port_is_a_number:
        raise ConfigurationError(
            f"The port in the {scheme} URL is not a port number. {_ESCAPES} {_HINT}"
        )
    if any("@" in name for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise ConfigurationError(f"The {scheme} URL has an @ in its options. {_ESCAPES}")
    if scheme == "unix" and not parts.path:
        raise ConfigurationError("The unix URL names no socket: write unix:///path/to/redis.sock.")
    if scheme != "unix":
        if not url.startswith(f"{scheme}://"):
            lacks = "colon" if scheme == "embedded" else "two slashes"
            raise ConfigurationError(f"The {scheme} URL lacks its {lacks}. {_HINT}")
        if not re.fullmatch(r"/?\d*", parts.path):
            raise ConfigurationError("The database in the URL must be a number, as in /0.")
    try:
        options: dict[str, Any] = dict(parse_url(url))
    except ValueError as error:
        raise ConfigurationError(f"The {scheme} URL has a wrong option: {error}") from error
    return _with_requirement(options) if scheme == "rediss" else options


def _with_requirement(options: dict[str, Any]) -> dict[str, Any]:
    """How strictly certificates are checked, also as Celery, Heroku and Python's ssl write it."""
    told = options.get("ssl_cert_reqs", "required")
    required = told.lower().removeprefix("cert_")
    if required not in ("none", "optional", "required"):
        raise ConfigurationError(
            f"ssl_cert_reqs in the URL must be none, optional or required, not {told!r}."
        )
    # redis-py before 6 does not check the name of the host unless told to.
    checks = {} if required == "none" else {"ssl_check_hostname": True}
    return {**checks, **options, "ssl_cert_reqs": required}


def _checked(kind: Kind, options: dict[str, Any]) -> dict[str, Any]:
    """The options of a URL, after redis-py has taken them."""
    allowed = _IN_URL | TLS
    if refused := sorted(options.keys() - allowed):
        if any("@" in str(options[name]) for name in refused):
            raise ConfigurationError(f"The URL has an @ in its options. {_ESCAPES}")
        listed = (
            f"{name} ({_ELSEWHERE[name]})" if name in _ELSEWHERE else name for name in refused
        )
        raise ConfigurationError(
            f"The URL has options that Sojourn does not take: {', '.join(listed)}. Those "
            "of Sojourn have the names of sojourn.open()'s arguments, as in ?session_ttl=3600; "
            "TLS options (ssl_…) and db may stand there, too."
        )
    if kind is not SSLConnection and (tls := sorted(options.keys() & TLS)):
        raise ConfigurationError(
            f"{', '.join(tls)} in the URL says how to use TLS, and the URL asks for none: "
            f"{_TLS_BY_SCHEME}."
        )
    check(kind, options)
    return options


def check(kind: Kind, options: Mapping[str, Any]) -> None:
    """Refuse what no connection can be made with. Nothing is sent and no file is read.

    Raises:
        ConfigurationError: an option has a wrong name or a wrong value.
    """
    try:
        kind(**options)
        if kind is SSLConnection:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            if (version := options.get("ssl_min_version")) is not None:
                context.minimum_version = version
            if ciphers := options.get("ssl_ciphers"):
                context.set_ciphers(ciphers)
    except (TypeError, ValueError, RedisError, ssl.SSLError) as error:
        named = ", ".join(sorted(options.keys() - {"password"}))
        raise ConfigurationError(
            f"No connection can be made with these options ({error}). Check {named}."
        ) from error


def where_of(kind: Kind, options: Mapping[str, Any]) -> str:
    """The address of one server for messages."""
    db = int(options.get("db") or 0)
    if kind is UnixDomainSocketConnection:
        return f"unix://{options.get('path', '')}" + (f"?db={db}" if db else "")
    scheme = "rediss" if kind is SSLConnection else "redis"
    at = f"{scheme}://{Address(options.get('host', 'localhost'), options.get('port', 6379))}"
    return f"{at}/{db}" if db else at
