"""One small adapter per peer, each used as its own documentation says, with its defaults.

``fill`` brings a session to a length before anything is timed. Peers that would take minutes for
it (they rewrite the whole session on every append) get the very form that they would have stored,
written once; ``filled`` says how, and the report prints it.
"""

import contextlib
import importlib
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import redis.asyncio
from google.adk.sessions.base_session_service import GetSessionConfig

from . import events as shapes

APP, USER = "bench", "ada"
CHUNK = 1000


class Peer:
    """A session service under ADK's API. ``place`` is (url of the server, scratch folder)."""

    label = ""
    source = ""  # module:class, imported only when this peer is asked for
    packages = ("google-adk",)
    redis = True
    appends_only = False
    at_once = 1  # sessions filled at the same time
    filled = "through its own API, event by event"

    def __init__(self, place):
        self.place = place
        self.url, self.folder = place
        self.service = self.make()

    @classmethod
    def imported(cls):
        module, name = cls.source.split(":")
        return getattr(importlib.import_module(module), name)

    def make(self):
        return self.imported()(self.url)

    def fresh(self):
        """A service with empty caches over the same data, as in a process just started."""
        return type(self)(self.place)

    async def close(self):
        close = getattr(self.service, "close", None)
        if close:
            await close()

    async def create(self, sid, state=None):
        return await self.service.create_session(
            app_name=APP, user_id=USER, session_id=sid, state=state
        )

    async def load(self, sid, recent=None):
        config = GetSessionConfig(num_recent_events=recent) if recent else None
        return await self.service.get_session(
            app_name=APP, user_id=USER, session_id=sid, config=config
        )

    async def listed(self):
        return (await self.service.list_sessions(app_name=APP, user_id=USER)).sessions

    def prepare(self, events):
        """What ``append`` takes; work that is not the peer's is done here, untimed."""
        return events

    async def append(self, session, event):
        await self.service.append_event(session, event)

    async def fill(self, sid, events):
        session = await self.create(sid)
        for event in events:
            await self.append(session, event)


class Sojourn(Peer):
    label = "Sojourn"
    source = "sojourn.integrations.adk:SessionService"
    packages = ("sojourn",)
    at_once = 32


class AdkMemory(Peer):
    label = "ADK in-memory"
    source = "google.adk.sessions:InMemorySessionService"
    redis = False

    def make(self):
        return self.imported()()

    def fresh(self):
        return self  # a new one would be empty


class AdkSqlite(Peer):
    label = "ADK SQLite"
    source = "google.adk.sessions.sqlite_session_service:SqliteSessionService"
    redis = False
    filled = "rows of its own form in one transaction, the last event through its API"

    def make(self):
        self.path = Path(self.folder) / "adk.db"
        return self.imported()(str(self.path))

    async def fill(self, sid, events):
        await self.create(sid, shapes.state_of(events))
        rows = [
            (e.id, APP, USER, sid, e.invocation_id, e.timestamp, shapes.dump(e).decode())
            for e in events[:-1]
        ]
        with contextlib.closing(sqlite3.connect(self.path)) as base, base:
            base.executemany(
                "INSERT INTO events (id, app_name, user_id, session_id, invocation_id,"
                " timestamp, event_data) VALUES (?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            base.execute("UPDATE sessions SET update_time = 0 WHERE id = ?", (sid,))
        for event in events[-1:]:
            await self.append(await self.load(sid, 1), event)


class AdkRedis(Peer):
    label = "ADK Redis"
    source = "google.adk.integrations.redis:RedisSessionService"
    filled = "one SET of the JSON that it stores, under its key"

    def make(self):
        module = importlib.import_module("google.adk.integrations.redis")
        self.config = module.RedisSessionServiceConfig(uri=self.url)
        return self.imported()(self.config)

    async def close(self):
        await self.service._get_redis().aclose()  # noqa: SLF001  it has no close of its own

    async def fill(self, sid, events):
        session = await self.create(sid, shapes.state_of(events))
        session.events = list(events)
        key = f"{self.config.key_prefix}{APP}:{USER}:{sid}"
        async with redis.asyncio.from_url(self.url) as client:
            await client.set(key, session.model_dump_json(), ex=self.config.ttl_seconds)


class Community(Peer):
    label = "adk-community Redis"
    source = "google.adk_community.sessions:RedisSessionService"
    packages = ("google-adk-community",)
    filled = "its API once: one append of a session object that holds the events before it"

    def make(self):
        return self.imported()(uri=self.url)

    async def close(self):
        await self.service.cache.aclose()

    async def fill(self, sid, events):
        session = await self.create(sid, shapes.state_of(events))
        session.events = list(events[:-1])
        for event in events[-1:]:
            await self.append(session, event)


class SessionServices(Peer):
    label = "adk-session-services"
    source = "adk_session_services.redis_session:RedisSessionService"
    packages = ("adk-session-services",)
    filled = "its RPUSH of the same JSON, pipelined; the last event through its API"

    async def close(self):
        await self.service.client.aclose()

    async def fill(self, sid, events):
        session = await self.create(sid, shapes.state_of(events))
        key = f"{self.service.prefix}:sessions:{APP}:{USER}:{sid}:events"
        head = [event.model_dump_json() for event in events[:-1]]
        for start in range(0, len(head), CHUNK):
            await self.service.client.rpush(key, *head[start : start + CHUNK])
        for event in events[-1:]:
            await self.append(session, event)


class BareSet(Peer):
    """No session at all: ``SET key <the event's JSON>``, the floor for an append."""

    label = "bare SET"
    source = "redis.asyncio:Redis"
    packages = ("redis",)
    appends_only = True
    filled = "nothing to fill: it writes one key an event"

    def make(self):
        return self.imported().from_url(self.url)

    async def close(self):
        await self.service.aclose()

    def prepare(self, events):
        return [(event.id, shapes.dump(event)) for event in events]

    async def load(self, sid, recent=None):
        await self.service.ping()
        return SimpleNamespace(id=sid, events=range(recent or 0))

    async def append(self, session, event):
        name, body = event
        await self.service.set(f"event:{session.id}:{name}", body)

    async def fill(self, sid, events):
        """Nothing."""


class BareEvalsha(Peer):
    """The bytes of an append through Sojourn's own engine; the script only does the RPUSH.

    What an append costs more is its checks on the server, and encoding and ADK's part here.
    """

    label = "bare EVALSHA"
    source = "bench.floor:Floor"
    packages = ("sojourn",)
    appends_only = True
    filled = "nothing to fill: its script only appends to a list"

    def make(self):
        return self.imported()(self.url)

    def prepare(self, events):
        return self.service.calls(events)

    async def load(self, sid, recent=None):
        return SimpleNamespace(keys=await self.service.keys(sid), events=range(recent or 0))

    async def append(self, session, event):
        await self.service.run(event, session.keys)

    async def fill(self, sid, events):
        """Nothing."""


TABLE = {
    "sojourn": Sojourn,
    "adk-memory": AdkMemory,
    "adk-sqlite": AdkSqlite,
    "adk-redis": AdkRedis,
    "community": Community,
    "session-services": SessionServices,
    "bare-set": BareSet,
    "bare-evalsha": BareEvalsha,
}

LEFT_OUT = {
    "google-adk-redis": "0.1.5 wants redis-py >= 6, google-adk-community 0.5 wants < 6",
}


def select(names):
    """The classes to run, and those that cannot run here with the reason."""
    chosen, absent = {}, dict(LEFT_OUT)
    for name in names or TABLE:
        try:
            TABLE[name].imported()
            chosen[name] = TABLE[name]
        except (ImportError, AttributeError) as error:
            # Not the message itself: it may name folders, and this is published.
            absent[name] = f"cannot be imported: {type(error).__name__}, {error.name}"
    return chosen, absent
