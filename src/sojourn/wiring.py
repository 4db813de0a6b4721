"""The rooms of a store, wired to what they stand on. It decides nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from sojourn.calls.keys import Keys as RoomKeys
from sojourn.calls.room import OpenRoom, RoomContext
from sojourn.codecs.codec import Codec
from sojourn.codecs.compression import compressor
from sojourn.codecs.serializers import MessagePack, serializer_of
from sojourn.dictionaries.examining import missing_dictionaries
from sojourn.dictionaries.service import DictionarySource
from sojourn.doctor import Doctor
from sojourn.doctor.reading import DictionariesReading, KeysReading
from sojourn.engine.credentials import Provider
from sojourn.engine.engine import Engine
from sojourn.engine.multiplexer import Timeouts
from sojourn.engine.server import Server
from sojourn.errors import ConfigurationError, InvalidInput
from sojourn.ids import SessionKey
from sojourn.jobs.service import Jobs
from sojourn.keys import KeyAdmin
from sojourn.options import Options
from sojourn.rooms import ROOMS, StoreKeys
from sojourn.security.forgetting import Eraser
from sojourn.security.traces import find_apps
from sojourn.sessions.keys import SHARDS
from sojourn.telemetry import Hooks

if TYPE_CHECKING:
    import redis
    import redis.asyncio

    from sojourn.calls.coded import CodedStore
    from sojourn.security.counters import Counters

    Keys: TypeAlias = str | Any
    """A path, `env:VARIABLE`, a ring of master keys, or a function that gives one."""
    Lent: TypeAlias = redis.Redis | redis.asyncio.Redis


class Stores(NamedTuple):
    """Where things are kept, beneath the rooms: for export, import and `GuessLimiter`.

    They decode what they give, and encode what they are given.
    """

    sessions: CodedStore
    memory: CodedStore
    artifacts: CodedStore
    cache: CodedStore
    counters: Counters
    options: Options
    shards: int
    rooms: Mapping[str, OpenRoom]


class Rooms(NamedTuple):
    """What a store consists of.

    Attributes:
        opened: the rooms, by name.
        session_ended: deletes what they keep of a session that was revoked.
        doctor: examines the server.
        forgetter: forgets users in all of them.
        stores: what is beneath the rooms.
        jobs: rewrites records of all of them.
        engine: what they share; None in memory.
    """

    opened: dict[str, OpenRoom]
    session_ended: Callable[[SessionKey], Awaitable[int]]
    doctor: Doctor
    forgetter: Eraser
    stores: Stores
    jobs: Jobs
    engine: Engine | None


def rooms_in_memory(options: Options, hooks: Hooks) -> Rooms:
    """The rooms of a store in this process."""
    if options.durability == "replicas":
        raise InvalidInput("memory:// has no replicas that could confirm a write.")
    doctor = Doctor(None, "memory://", StoreKeys(), endless_state=False)
    return _open(options, hooks, None, doctor)


def rooms_at(
    url: str | Lent, options: Options, hooks: Hooks, credential_provider: Provider | None = None
) -> Rooms:
    """The rooms of a store on a server."""
    timeout = options.connect_timeout
    if isinstance(url, str):
        server = Server.at(url, connect_timeout=timeout, credential_provider=credential_provider)
    else:
        server = Server.of(url, connect_timeout=timeout, credential_provider=credential_provider)
    timeouts = Timeouts(
        options.operation_timeout,
        options.health_check_interval,
        options.replicas if options.durability == "replicas" else 0,
        options.transfer_timeout,
    )
    engine, keys = Engine(server, timeouts=timeouts, hooks=hooks), StoreKeys(options.namespace)
    endless = options.state_ttl is None
    doctor = Doctor(engine.nodes, engine.where, keys, endless_state=endless)
    return _open(options, hooks, engine, doctor)


def _open(options: Options, hooks: Hooks, engine: Engine | None, doctor: Doctor) -> Rooms:
    serializer = serializer_of(options.serializer)
    compressing = options.compression is not None
    codec = Codec(
        serializer,
        compressor(writes=compressing),
        compressing=compressing,
        serializers=[MessagePack()],
    )
    context = RoomContext(options, hooks, engine, {}, codec)
    rooms = context.rooms
    for room in ROOMS:
        rooms[room.name] = room.open(context)
    keys = {room.name: room.keys(options.namespace) for room in ROOMS}
    if options.keys is not None:
        doctor.read_keys = partial(_read_keys, rooms["keys"].admin, options)
    if options.compression is not None and engine is not None:
        source = rooms["dictionaries"].service
        doctor.read_dictionaries = partial(_read_dictionaries, engine, doctor.keys, source)
    forgetter = Eraser(
        rooms["sessions"].parts,
        {kind: forget for room in rooms.values() for kind, forget in room.forget.items()},
        partial(find_apps, rooms=list(rooms.values()), keys=[*keys.values()], engine=engine),
        "server" if options.key_store is None else "key_store",
        sealing=options.keys is not None,
        trained_on=rooms["dictionaries"].admin.trained_on,
    )
    stores = Stores(
        sessions=rooms["sessions"].parts.store,
        memory=rooms["memory"].store,
        artifacts=rooms["artifacts"].store,
        cache=rooms["cache"].store,
        counters=rooms["security"].store,
        options=options,
        shards=1 if engine is None else SHARDS,
        rooms=rooms,
    )
    jobs = Jobs(engine, keys, rooms, codec, options)
    return Rooms(rooms, context.session_ended, doctor, forgetter, stores, jobs, engine)


async def _read_dictionaries(
    engine: Engine, keys: RoomKeys, source: DictionarySource, most: int
) -> DictionariesReading:
    """What the doctor wants to know of dictionaries."""
    return DictionariesReading(*await missing_dictionaries(engine, keys, source, most))


async def _read_keys(admin: KeyAdmin, options: Options, most: int) -> KeysReading:
    """What the doctor wants to know of the keys that seal the store."""
    apart = options.key_store is not None
    try:
        usage = await admin.usage(limit=most)
    except ConfigurationError as error:
        return KeysReading(str(error), apart=apart)
    others = usage.wraps.keys() - usage.missing - {usage.active}
    return KeysReading(
        active=usage.active,
        missing=usage.missing,
        old=sum(usage.wraps[name] for name in others),
        unreadable=usage.unreadable,
        looked=usage.owners,
        migrating=usage.migrating,
        apart=apart,
    )
