"""The keys of another program on a server: walked through with SCAN, read, never written."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from copy import copy
from typing import Any, NamedTuple, cast

from sojourn.calls.call import Call, Command
from sojourn.engine.engine import Engine
from sojourn.engine.multiplexer import Timeouts
from sojourn.engine.server import Server
from sojourn.errors import ConfigurationError, InvalidId
from sojourn.options import Options, from_query
from sojourn.rooms import StoreKeys
from sojourn.telemetry import Hooks

_BATCH = 500
"""Keys of one SCAN: a fraction of a millisecond of the server's time."""
_CONNECT, _PATIENCE = 5.0, 60.0
"""Seconds: nobody waits for a migration, and a value may have megabytes."""

_READ: dict[str, tuple[str, ...]] = {
    "string": ("GET",),
    "list": ("LRANGE", "0", "-1"),
    "hash": ("HGETALL",),
    "set": ("SMEMBERS",),
    "zset": ("ZRANGE", "0", "-1"),
}


class NamedKey(NamedTuple):
    """A key: its name and its type, as TYPE says it."""

    name: str
    kind: str


class FoundKey(NamedTuple):
    """What a key holds.

    Attributes:
        name: the key.
        kind: its type.
        value: bytes, a list of bytes, or a dict of bytes, by its type.
        expires: seconds since the epoch, by this machine's clock; None is never. Not later than
            it is.
        late: seconds by which it may be later: so long did the answer take.
    """

    name: str
    kind: str
    value: Any
    expires: float | None
    late: float

    def fields(self) -> dict[str, bytes]:
        """A hash, with names as text; those that are none are left out."""
        fields = cast("dict[bytes, bytes]", self.value)
        return {name.decode(): value for name, value in fields.items() if _is_text(name)}


class Keyspace:
    """Another program's keys on a server, or on all nodes of a Cluster.

    Args:
        url: as `sojourn.open` takes it.

    Raises:
        ConfigurationError: the URL.

    Attributes:
        where: its address, without secrets.
        unnamed: names that are no text, found on the way.
        ours: whether keys of Sojourn's own were passed over on the way.
        wanted: which keys it finds; None for all.
    """

    def __init__(self, url: str) -> None:
        address, _ = from_query(url, Options())
        if address.partition(":")[0] == "memory":
            raise ConfigurationError(
                "memory:// is the memory of this process: give migrate() the object that holds the "
                "sessions instead of a URL."
            )
        server = Server.at(address, connect_timeout=_CONNECT)
        self._engine = Engine(server, timeouts=Timeouts(_PATIENCE), hooks=Hooks())
        self.where = self._engine.where
        self.unnamed: set[bytes] = set()
        self.ours = False
        self.wanted: Callable[[NamedKey], Awaitable[bool]] | None = None

    def only(self, wanted: Callable[[NamedKey], Awaitable[bool]]) -> Keyspace:
        """The same with fewer keys, over the same connections."""
        narrowed = copy(self)
        narrowed.wanted = wanted
        return narrowed

    async def ping(self) -> None:
        """Make sure that the server answers, soon. One round trip.

        Raises:
            Unavailable: it does not.
        """
        ping = Call("migration.ping", (), bool, commands=[("PING",)])
        await self._engine.run(ping, timeout=_CONNECT)

    async def names(self, *patterns: str) -> AsyncIterator[Sequence[NamedKey]]:
        """The keys that match one of some patterns, each once. Sojourn's own are passed over.

        Two round trips for each 500 keys of the server.
        """
        seen = set[str]()
        for pattern in patterns or ("*",):
            for node in await self._engine.nodes():
                cursor = -1
                while cursor:
                    reply = await node.run(_scan(max(cursor, 0), pattern))
                    cursor = int(reply[0])
                    fresh = [name for name in self._decoded(reply[1]) if name not in seen]
                    seen.update(fresh)
                    if fresh:
                        kinds = await node.run(_each("TYPE", fresh))
                        found = [
                            NamedKey(name, kind.decode())
                            for name, kind in zip(fresh, kinds, strict=True)
                            if not _is_ours(name)
                        ]
                        self.ours = self.ours or len(found) < len(fresh)
                        if self.wanted is not None:
                            found = [each for each in found if await self.wanted(each)]
                        yield found

    async def read(self, key: NamedKey) -> FoundKey | None:
        """What a key holds now; None when it is gone, or of a type that nobody asked for."""
        words = _READ.get(key.kind)
        if words is None:
            return None
        commands: list[Command] = [(words[0], key.name, *words[1:]), ("PTTL", key.name)]
        call = Call(
            "migration.read",
            (key.name,),
            list,
            commands=commands,
            separate_connection=True,
            allow_wrong_type=True,
        )
        began = time.time()
        value, left = await self._engine.run(call)
        late = time.time() - began
        if left == _GONE or isinstance(value, Exception) or value is None:
            return None
        if key.kind == "hash" and isinstance(value, list):
            each = iter(cast("list[bytes]", value))
            value = dict(zip(each, each, strict=True))
        expires = None if left < 0 else began + left / 1000
        return FoundKey(key.name, key.kind, value, expires, late)

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.close()

    def _decoded(self, names: Sequence[bytes]) -> list[str]:
        self.unnamed.update(name for name in names if not _is_text(name))
        return [name.decode() for name in names if _is_text(name)]


_GONE = -2
"""What PTTL says of a key that is not there."""


def _scan(cursor: int, pattern: str) -> Call[Any]:
    command: Command = ("SCAN", cursor, "MATCH", pattern, "COUNT", _BATCH)
    return Call("migration.scan", (), _first, commands=[command])


def _each(word: str, names: Sequence[str]) -> Call[list[Any]]:
    return Call("migration.type", names, list, commands=[(word, name) for name in names])


def _first(replies: list[Any]) -> Any:
    return replies[0]


def _is_text(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


_BEFORE = re.compile(r"([^:]+):")


def _is_ours(name: str) -> bool:
    """Whether a key is Sojourn's own, of any namespace: both may stand on one server."""
    if StoreKeys().kind_of(name) is not None:
        return True
    start = _BEFORE.match(name)
    try:
        return start is not None and StoreKeys(start[1]).kind_of(name) is not None
    except InvalidId:
        return False
