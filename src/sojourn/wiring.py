"""The rooms of a store, wired to what they stand on. It decides nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from sojourn.artifacts import Artifacts
from sojourn.artifacts.inmemory import InMemoryArtifacts
from sojourn.artifacts.keys import ArtifactRoomKeys
from sojourn.artifacts.redis import RedisArtifacts
from sojourn.cache import Cache
from sojourn.cache.inmemory import InMemoryCache
from sojourn.cache.keys import CacheRoomKeys
from sojourn.cache.redis import RedisCache
from sojourn.cache.store import CacheStore
from sojourn.calls.operation import RoomStore
from sojourn.doctor import Doctor
from sojourn.engine.credentials import Provider
from sojourn.engine.engine import Engine
from sojourn.engine.multiplexer import Timeouts
from sojourn.engine.server import Server
from sojourn.errors import InvalidInput
from sojourn.ids import tenant_of
from sojourn.memory import Lives, Memory
from sojourn.memory.inmemory import InMemoryMemory
from sojourn.memory.keys import SHARDS as MEMORY_SHARDS
from sojourn.memory.keys import MemoryRoomKeys
from sojourn.memory.redis import RedisMemory
from sojourn.notices import Notices
from sojourn.notices.inmemory import InMemoryNotices
from sojourn.notices.keys import NoticeRoomKeys
from sojourn.notices.operations import ForgetNotices
from sojourn.notices.redis import RedisNotices
from sojourn.notices.store import NoticeStore
from sojourn.options import Options
from sojourn.resilience.journal import Bounds, Journal
from sojourn.rooms import StoreKeys
from sojourn.security.counters import Counters, InMemoryCounters, RedisCounters
from sojourn.security.forgetting import Eraser, Forget
from sojourn.security.inmemory import InMemorySecurity
from sojourn.security.keys import SecurityRoomKeys
from sojourn.security.redis import RedisSecurity
from sojourn.security.store import SecurityStore
from sojourn.security.traces import RedisTraces, TwinTraces
from sojourn.sessions import SessionLimits, SessionParts
from sojourn.sessions.buffered import BufferedSessions
from sojourn.sessions.inmemory import InMemorySessions
from sojourn.sessions.keys import SHARDS, SessionRoomKeys
from sojourn.sessions.policy import Policy
from sojourn.sessions.quarantine import InMemoryQuarantine, Quarantine
from sojourn.sessions.redis import RedisSessions
from sojourn.sessions.redis_quarantine import RedisQuarantine
from sojourn.streams import Streams
from sojourn.streams.inmemory import InMemoryStreams
from sojourn.streams.keys import StreamRoomKeys
from sojourn.streams.operations.connections import ForgetConnections
from sojourn.streams.redis import RedisStreams
from sojourn.telemetry import Hooks

if TYPE_CHECKING:
    import redis
    import redis.asyncio

    Lent: TypeAlias = redis.Redis | redis.asyncio.Redis


class Stores(NamedTuple):
    """Where things are kept, beneath the rooms: for export, import and `Enumeration`."""

    sessions: RoomStore
    memory: RoomStore
    artifacts: RoomStore
    cache: CacheStore
    counters: Counters
    options: Options
    shards: int


class Rooms(NamedTuple):
    """What a store consists of.

    Attributes:
        sessions: what the session calls share.
        stores: what is beneath the rooms.
        engine: what they share; None in memory.
        buffered: what goes on in an outage, where that is wanted.
        forgetter: forgets users in all of them.
    """

    sessions: SessionParts
    cache: Cache
    memory: Memory
    artifacts: Artifacts
    notices: Notices
    doctor: Doctor
    security: SecurityStore
    forgetter: Eraser
    streams: Streams
    stores: Stores
    engine: Engine | None = None
    buffered: BufferedSessions | None = None


def rooms_in_memory(options: Options, hooks: Hooks) -> Rooms:
    """The rooms of a store in this process."""
    if options.durability == "replicas":
        raise InvalidInput("memory:// has no replicas that could confirm a write.")
    told = InMemoryNotices(options.state_ttl)
    twin = _twin(options, told if options.notices else None)
    kept, records = InMemoryQuarantine(), InMemoryCache()
    entries, files = InMemoryMemory(), InMemoryArtifacts(options.artifact_ttl)
    quarantine, cache = Quarantine(kept, hooks), Cache(records, options.max_event_bytes)
    memory = _memory(entries, options, shards=1)
    artifacts = Artifacts(files, options.max_artifact_bytes)
    sessions = SessionParts(twin, _limits(options, shards=1), quarantine)
    streams, security = InMemoryStreams(), InMemorySecurity(options.state_ttl)
    traces = TwinTraces((twin, told, kept, files, streams), entries, records)
    others: dict[str, Forget] = {
        **_forgets(memory, artifacts, cache),
        "notices": lambda owner: told.run(ForgetNotices(owner)),
        "quarantined": quarantine.forget,
        "connections": lambda owner: streams.run(ForgetConnections(owner)),
        "claims": security.forget,
    }
    return Rooms(
        sessions=sessions,
        cache=cache,
        memory=memory,
        artifacts=artifacts,
        notices=_notices(told, options),
        doctor=Doctor(None, "memory://", StoreKeys(), endless_state=False),
        security=security,
        forgetter=Eraser(sessions, others, traces.apps),
        streams=Streams(streams),
        stores=Stores(
            *(twin, entries, files, records),
            InMemoryCounters(),
            options,
            shards=1,
        ),
    )


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
    engine, space = Engine(server, timeouts=timeouts, hooks=hooks), options.namespace
    all_keys = StoreKeys(space)
    keys, securing = SessionRoomKeys(space), SecurityRoomKeys(space)
    caching, remembering = CacheRoomKeys(space), MemoryRoomKeys(space)
    filing = ArtifactRoomKeys(space)
    quarantine = Quarantine(RedisQuarantine(engine, keys, options.state_ttl), hooks)
    policy = Policy(
        options.session_ttl,
        options.state_ttl,
        options.max_state_bytes,
        options.max_events,
        options.max_sessions,
        options.notices,
    )
    rows = RedisSessions(engine, keys, policy, quarantine)
    buffered = (
        _buffered(rows, options, hooks, engine.down_since)
        if options.on_outage == "buffer"
        else None
    )
    records, entries = RedisCache(engine, caching), RedisMemory(engine, remembering)
    cache = Cache(records, options.max_event_bytes)
    memory = _memory(entries, options, shards=MEMORY_SHARDS)
    files = RedisArtifacts(engine, filing, options.artifact_ttl)
    artifacts = Artifacts(files, options.max_artifact_bytes, options.operation_timeout)
    told = RedisNotices(engine, NoticeRoomKeys(space))
    limits = _limits(options, shards=SHARDS)
    sessions = SessionParts(
        buffered or rows, limits, quarantine, losses=lambda: engine.tally.broken
    )
    streams = RedisStreams(engine, StreamRoomKeys(space))
    security = RedisSecurity(engine, securing, options.state_ttl)
    traces = RedisTraces(engine, all_keys)
    others: dict[str, Forget] = {
        **_forgets(memory, artifacts, cache),
        "notices": lambda owner: told.run(ForgetNotices(owner)),
        "quarantined": quarantine.forget,
        "connections": lambda owner: streams.run(ForgetConnections(owner)),
        "claims": security.forget,
    }
    return Rooms(
        sessions=sessions,
        cache=cache,
        memory=memory,
        artifacts=artifacts,
        notices=_notices(told, options),
        doctor=Doctor(
            engine.nodes, engine.where, all_keys, endless_state=options.state_ttl is None
        ),
        security=security,
        forgetter=Eraser(sessions, others, traces.apps),
        streams=Streams(streams),
        stores=Stores(
            *(rows, entries, files, records),
            RedisCounters(engine, securing),
            options,
            shards=SHARDS,
        ),
        engine=engine,
        buffered=buffered,
    )


def _forgets(memory: Memory, artifacts: Artifacts, cache: Cache) -> dict[str, Forget]:
    return {
        "memories": lambda owner: memory.forget(owner.user, app=owner.app),
        "artifacts": lambda owner: artifacts.forget(*owner),
        "cached": lambda owner: cache.forget(tenant_of(owner)),
    }


def _buffered(
    rows: RedisSessions,
    options: Options,
    hooks: Hooks,
    down_since: Callable[[], float | None],
) -> BufferedSessions:
    buffered = BufferedSessions(
        rows,
        _twin(options),
        Journal(
            Bounds(options.buffer_calls, options.buffer_bytes, options.buffer_seconds),
            options.journal,
        ),
        held_bytes=options.buffer_bytes,
        operation_timeout=options.operation_timeout,
        told=hooks.tell_replay,
        lasting=options.buffer_seconds,
        down_since=down_since,
    )
    hooks.add_outage(lambda fact: None if fact.down else buffered.answered())
    return buffered


def _twin(options: Options, told: InMemoryNotices | None = None) -> InMemorySessions:
    return InMemorySessions(
        told=None if told is None else told.tell,
        state_ttl=options.state_ttl,
        max_state_bytes=options.max_state_bytes,
        max_events=options.max_events,
        max_sessions=options.max_sessions,
    )


def _memory(store: RoomStore, options: Options, *, shards: int) -> Memory:
    return Memory(
        store,
        Lives(options.memory_ttl, options.knowledge_ttl, options.history_ttl),
        max_bytes=options.max_event_bytes,
        operation_timeout=options.operation_timeout,
        shards=shards,
    )


def _notices(store: NoticeStore, options: Options) -> Notices:
    return Notices(
        store,
        enabled=options.notices,
        poll=options.health_check_interval,
        operation_timeout=options.operation_timeout,
    )


def _limits(options: Options, *, shards: int) -> SessionLimits:
    return SessionLimits(
        options.session_ttl,
        options.max_event_bytes,
        shards,
        options.near_cache_bytes,
        options.operation_timeout,
        options.strict_ids,
    )
