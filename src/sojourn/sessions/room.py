"""Sessions as a room of a store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any

from sojourn.calls.room import OpenRoom, Room, RoomContext
from sojourn.engine.engine import Engine
from sojourn.ids import SessionKey
from sojourn.options import Options
from sojourn.resilience.journal import Bounds, Journal
from sojourn.sessions.adapters import AdapterSessions
from sojourn.sessions.batch import Batches
from sojourn.sessions.buffered import BufferedSessions
from sojourn.sessions.coded import CodedSessions
from sojourn.sessions.history import History
from sojourn.sessions.inmemory import InMemorySessions, Told
from sojourn.sessions.keys import SHARDS, SessionRoomKeys
from sojourn.sessions.parts import SessionLimits, SessionParts
from sojourn.sessions.policy import Policy
from sojourn.sessions.quarantine import InMemoryQuarantine, Quarantine
from sojourn.sessions.recoding import SessionRecoding
from sojourn.sessions.redis import RedisSessions
from sojourn.sessions.redis_quarantine import RedisQuarantine
from sojourn.sessions.safe import SafeBatches, SafeSessions
from sojourn.sessions.service import Sessions
from sojourn.sessions.traces import apps_naming


def _open(at: RoomContext) -> OpenRoom:
    return _in_memory(at) if at.engine is None else _on_server(at, at.engine)


def _in_memory(at: RoomContext) -> OpenRoom:
    store, kept = _in_memory_store(at.options, at.session_changed), InMemoryQuarantine()
    quarantine = Quarantine(kept, at.hooks)
    parts = SessionParts(CodedSessions(store, at.codec), _limits(at.options, 1), quarantine)

    async def apps_of(user: str) -> set[str]:
        return store.apps_of(user) | kept.apps_of(user)

    return OpenRoom(
        service=Sessions(parts),
        store=store,
        parts=parts,
        forget={"quarantined": quarantine.forget},
        damaged=quarantine.add_damaged,
        apps_of=apps_of,
    )


def _on_server(at: RoomContext, engine: Engine) -> OpenRoom:
    options, keys = at.options, SessionRoomKeys(at.options.namespace)
    quarantine = Quarantine(RedisQuarantine(engine, keys, options.state_ttl), at.hooks)
    policy = Policy(
        options.session_ttl,
        options.state_ttl,
        options.max_state_bytes,
        options.max_events,
        options.max_sessions,
        options.notices,
    )
    store = RedisSessions(engine, keys, policy, quarantine)
    buffered = _buffered(at, engine, store) if options.on_outage == "buffer" else None
    parts = SessionParts(
        CodedSessions(buffered or store, at.codec),
        _limits(options, SHARDS),
        quarantine,
        losses=lambda: engine.tally.broken,
    )
    return OpenRoom(
        service=Sessions(parts),
        store=store,
        parts=parts,
        forget={"quarantined": quarantine.forget},
        damaged=quarantine.add_damaged,
        apps_of=partial(apps_naming, engine, keys),
        recoding=(recoding := SessionRecoding(engine, keys)),
        moved_within=recoding.moved_within,
        buffer=buffered,
    )


def _buffered(at: RoomContext, engine: Engine, store: RedisSessions) -> BufferedSessions:
    options = at.options
    buffered = BufferedSessions(
        store,
        _in_memory_store(options),
        Journal(
            Bounds(options.buffer_calls, options.buffer_bytes, options.buffer_seconds),
            options.journal,
        ),
        CodedSessions(store, at.codec),
        held_bytes=options.buffer_bytes,
        operation_timeout=options.operation_timeout,
        told=at.hooks.tell_replay,
        lasting=options.buffer_seconds,
        down_since=engine.down_since,
    )
    at.hooks.add_outage(lambda fact: None if fact.down else buffered.answered())
    return buffered


def _in_memory_store(
    options: Options, changed: Callable[[SessionKey, Told, int], None] | None = None
) -> InMemorySessions:
    return InMemorySessions(
        told=changed,
        state_ttl=options.state_ttl,
        max_state_bytes=options.max_state_bytes,
        max_events=options.max_events,
        max_sessions=options.max_sessions,
    )


def _limits(options: Options, shards: int) -> SessionLimits:
    return SessionLimits(
        options.session_ttl,
        options.max_event_bytes,
        shards,
        options.near_cache_bytes,
        options.operation_timeout,
        options.strict_ids,
    )


def _routes() -> Sequence[Any]:
    return [
        *import_module("sojourn.surfaces.http.sessions").ROUTES,
        *import_module("sojourn.surfaces.http.searching").ROUTES,
    ]


ROOM = Room(
    name="sessions",
    keys=SessionRoomKeys,
    open=_open,
    wraps=(Sessions, SafeSessions, History, AdapterSessions, Batches, SafeBatches),
    commands=lambda: import_module("sojourn.surfaces.cli.sessions"),
    tools=lambda: import_module("sojourn.surfaces.mcp.sessions").TOOLS,
    routes=_routes,
    handles={"sessions": None},
)
