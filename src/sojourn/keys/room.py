"""Data keys as a room of a store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from importlib import import_module

from sojourn.calls.operation import RoomStore
from sojourn.calls.room import OpenRoom, Room, RoomContext, at_once, nobodys
from sojourn.codecs.encryption import KEY_BYTES, aead
from sojourn.engine.engine import Engine
from sojourn.engine.multiplexer import Timeouts
from sojourn.engine.scan import scan
from sojourn.engine.server import Server
from sojourn.errors import ConfigurationError
from sojourn.keys.admin import KeyAdmin
from sojourn.keys.files import named_file
from sojourn.keys.inmemory import InMemoryDataKeys
from sojourn.keys.keyfile import FileDataKeys
from sojourn.keys.keys import DataKeyRoomKeys
from sojourn.keys.operations.reads import ListKeyOwners
from sojourn.keys.provider import RingProvider
from sojourn.keys.redis import RedisDataKeys
from sojourn.keys.ring import KeyRing
from sojourn.keys.service import DataKeySource
from sojourn.options import DAY, Options, from_query
from sojourn.telemetry import Hooks

_FILE = "file:"


def _open(at: RoomContext) -> OpenRoom:
    options = at.options
    store, apps_of, close = _store_of(at)
    source, ring = None, _no_ring
    if options.keys is not None:
        aead(bytes(KEY_BYTES))  # what is missing is said when the store is opened
        provider = RingProvider(options.keys, options.key_cache_seconds, options.operation_timeout)
        ring = provider.ring
        source = DataKeySource(store, ring, options.key_cache_seconds)
        at.codec.seal_with(source)
    admin = KeyAdmin(
        store,
        source,
        ring,
        settled=2 * options.key_cache_seconds,
        names=partial(_records, at),
        longest=_longest(options),
    )
    return OpenRoom(
        service=source,
        admin=admin,
        store=store,
        parts=None if source is None else ring,
        forget={"data_keys": lambda owner: admin.destroy(owner.app, owner.user)},
        apps_of=apps_of,
        close=close,
    )


async def _no_ring() -> KeyRing:
    raise ConfigurationError(
        "The store was opened without keys: name the file of its master keys with keys=, as "
        "SOJOURN_KEYS, or with --keys of a command."
    )


AppsOf = Callable[[str], Awaitable[set[str]]]


def _store_of(at: RoomContext) -> tuple[RoomStore, AppsOf, Callable[[], Awaitable[None]]]:
    """Where wrapped keys are, in which apps a user has some, and how to close it."""
    where = at.options.key_store
    if where is None and at.engine is not None:
        store = RedisDataKeys(at.engine, DataKeyRoomKeys(at.options.namespace))
        return store, nobodys, _nothing
    if where in ("memory:", "memory://") and at.engine is not None:
        raise ConfigurationError(
            f"key_store={where} would lose the data keys with this process, and what they sealed: "
            "name a server or a file, or leave it out."
        )
    if where is None or where in ("memory:", "memory://"):
        memory = InMemoryDataKeys()
        return memory, at_once(memory.apps_of), _nothing
    if where.startswith(_FILE):
        path = where.removeprefix(_FILE)
        file = FileDataKeys(named_file(path[2:] if path.startswith("///") else path))
        return file, partial(_apps_in, file), _nothing
    url, options = from_query(where, at.options)
    engine = _engine(url, options, at.hooks)
    store = RedisDataKeys(engine, DataKeyRoomKeys(options.namespace))
    return store, partial(_apps_in, store), engine.close


def _engine(url: str, options: Options, hooks: Hooks) -> Engine:
    replicas = options.replicas if options.durability == "replicas" else 0
    timeouts = Timeouts(
        options.operation_timeout,
        options.health_check_interval,
        replicas,
        options.transfer_timeout,
    )
    server = Server.at(url, connect_timeout=options.connect_timeout)
    return Engine(server, timeouts=timeouts, hooks=hooks)


async def _apps_in(store: RoomStore, user: str) -> set[str]:
    owners = await store.run(ListKeyOwners())
    return {each.app for each in owners if each.user == user}


async def _nothing() -> None:
    pass


async def _records(at: RoomContext) -> AsyncIterator[str]:
    """The names of all keys that hold records, of any room but this one."""
    if at.engine is None:
        raise ConfigurationError("memory:// is not swept: its keys are gone with the process.")
    ours = DataKeyRoomKeys(at.options.namespace)
    async for name in scan(at.engine, f"{ours.start}*"):
        if ours.kind_of(name) is None:
            yield name


def _longest(options: Options) -> float:
    """Seconds that the longest-lived record lives after it was last touched."""
    lives = (
        *(options.session_ttl, options.state_ttl, options.memory_ttl, options.knowledge_ttl),
        *(options.history_ttl, options.artifact_ttl, 30 * DAY),
    )
    return max(float("inf") if each is None else each for each in lives)


ROOM = Room(
    name="keys",
    keys=DataKeyRoomKeys,
    open=_open,
    public=False,
    wraps=(KeyAdmin,),
    commands=lambda: import_module("sojourn.surfaces.cli.keys"),
)
