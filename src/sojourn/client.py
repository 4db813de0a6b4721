"""`open(url)`: wires the rooms together and owns their lifetimes."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self, TypeAlias

from sojourn.cache import Cache, CacheStats
from sojourn.cache.inmemory import InMemoryCache
from sojourn.cache.redis import RedisCache
from sojourn.doctor import Doctor
from sojourn.engine.call import Call
from sojourn.engine.engine import Engine
from sojourn.engine.keys import SHARDS, Keys
from sojourn.engine.server import Server
from sojourn.engine.wire import Patience
from sojourn.errors import Closed, InvalidInput
from sojourn.ids import SessionKey
from sojourn.options import DAY, Durability, MiB, OnOutage, Options, from_query
from sojourn.resilience.journal import Bounds, Journal
from sojourn.sessions import KEEP, Failures, History, Keep, NearCacheStats, Sessions
from sojourn.sessions.buffered import BufferedSessions
from sojourn.sessions.commons import Policy
from sojourn.sessions.history import history_of
from sojourn.sessions.inmemory import InMemorySessions
from sojourn.sessions.quarantine import InMemoryQuarantine, Quarantine
from sojourn.sessions.redis import RedisSessions
from sojourn.sessions.redis_quarantine import RedisQuarantine
from sojourn.sessions.service import Limits
from sojourn.telemetry import CallHook, CorruptHook, Hooks, OutageHook, ReplayHook

if TYPE_CHECKING:
    import redis
    import redis.asyncio

    Lent: TypeAlias = redis.Redis | redis.asyncio.Redis


class Stats(NamedTuple):
    """Figures of a store since it was opened.

    Attributes:
        where: the server's address, without secrets.
        available: False while the server is known to be out of reach.
        outages: how often it was out of reach for longer than a call may wait.
        lost_connections: how many connections have ended, or could not be made.
        buffered: writes that wait in this process for the server.
        near_cache: decoded events kept in this process.
        cache: what `store.cache` was asked for, and what it had.
        failures: calls of `sessions.safe` that have ended with an error.
        corrupt: stored records that were found unreadable, each counted once.
    """

    where: str
    available: bool
    outages: int
    lost_connections: int
    buffered: int
    near_cache: NearCacheStats
    cache: CacheStats
    failures: Failures
    corrupt: int


class Sojourn:
    """An open store. Use it as `async with sojourn.open(url) as store`.

    It may be used from any number of tasks, and from several event loops.

    Attributes:
        sessions: the sessions room.
        cache: results of expensive steps.
        doctor: examines the server.
    """

    def __init__(
        self,
        sessions: Sessions,
        cache: Cache,
        doctor: Doctor,
        hooks: Hooks,
        *,
        engine: Engine | None = None,
        buffered: BufferedSessions | None = None,
    ) -> None:
        self.sessions = sessions
        self.cache = cache
        self.doctor = doctor
        self._engine = engine
        self._hooks = hooks
        self._buffered = buffered
        self._closed = False

    @property
    def where(self) -> str:
        """The server's address, without secrets; `memory://` in this process."""
        return self._engine.where if self._engine is not None else "memory://"

    @property
    def closed(self) -> bool:
        """Whether `close` was called: every other call then raises `Closed`."""
        return self._closed

    async def ping(self) -> None:
        """Make sure that the server answers. One round trip.

        Raises:
            Unavailable: no answer in time.
            AccessDenied: the server refuses the credentials.
            UnsupportedServer: it is too old.
        """
        if self._closed:
            raise Closed("This store is closed: open a new one.")
        if self._engine is not None:
            await self._engine.run(Call("ping", (), bool, commands=[("PING",)]))

    def on_call(self, hook: CallHook) -> Callable[[], None]:
        """Tell `hook` a `CallFact` for every call to the server; returns how to stop that."""
        return self._hooks.add(hook)

    def on_outage(self, hook: OutageHook) -> Callable[[], None]:
        """Tell `hook` an `OutageFact` when an outage begins and when it ends.

        It begins when the server was out of reach for longer than a call may wait. Returns how to
        stop that.
        """
        return self._hooks.add_outage(hook)

    def on_replay(self, hook: ReplayHook) -> Callable[[], None]:
        """Tell `hook` a `ReplayReport` when buffered writes were replayed after an outage.

        Returns how to stop that.
        """
        return self._hooks.add_replay(hook)

    def on_corrupt(self, hook: CorruptHook) -> Callable[[], None]:
        """Tell `hook` a `CorruptFact` for every stored record that cannot be read, once for each.

        The records are in the quarantine: `sessions.quarantined()`. Returns how to stop that.
        """
        return self._hooks.add_corrupt(hook)

    def stats(self) -> Stats:
        """The figures now."""
        engine = self._engine
        return Stats(
            self.where,
            engine is None or not engine.is_down,
            0 if engine is None else engine.outages,
            0 if engine is None else engine.losses,
            0 if self._buffered is None else self._buffered.waiting,
            self.sessions.cache_stats(),
            self.cache.stats(),
            self.sessions.safe.failures,
            self.sessions.corrupt,
        )

    def history(
        self,
        session: SessionKey | str,
        *,
        app: str = "history",
        ttl: float | Keep | None = KEEP,
    ) -> History:
        """The messages of a session, as role and content. Asks nobody.

        Args:
            session: a session's key; or only its id, for one of a user of its own name.
            app: the application, when only an id is given.
            ttl: seconds that a session made by its first message lives after each change, instead
                of the store's; None for ever.

        Raises:
            InvalidId: it cannot name a session.
        """
        return history_of(self.sessions, session, app, ttl)

    async def disconnect(self) -> None:
        """Close the connections of the running event loop.

        The store stays open: the next call, from this loop or another, connects again.
        """
        if self._engine is not None:
            await self._engine.disconnect()

    async def close(self) -> None:
        """Close connections and leave an embedded server. A lent client stays open. Idempotent.

        Writes that are still buffered are tried once more; without `journal` they are lost if the
        server is still out of reach, and the report to `on_replay` and the log say how many.
        """
        if self._buffered is not None and not self._closed:
            await self._buffered.close()
        self._closed = True
        await self.cache.close()
        if self._engine is not None:
            await self._engine.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def open(  # noqa: A001 - sojourn.open(url), as gzip.open and dbm.open
    url: str | Lent,
    *,
    namespace: str = "",
    session_ttl: float | None = DAY,
    state_ttl: float | None = 30 * DAY,
    max_event_bytes: int = 8 * MiB,
    max_state_bytes: int = 8 * MiB,
    max_events: int | None = None,
    near_cache_bytes: int = 64 * MiB,
    connect_timeout: float = 2.0,
    operation_timeout: float = 2.0,
    health_check_interval: float = 15.0,
    durability: Durability = "primary",
    replicas: int = 1,
    on_outage: OnOutage = "raise",
    journal: str | None = None,
    buffer_calls: int = 10_000,
    buffer_bytes: int = 64 * MiB,
    buffer_seconds: float = 3600.0,
) -> Sojourn:
    """Open a store. Nothing is sent yet: `await store.ping()` asks the server.

    Args:
        url: `redis://host:6379/0`, `rediss://…` (TLS), `unix:///path`, `embedded:DIR`, `memory://`,
            `redis+sentinel://host:26379,host:26379/mymaster/0`,
            `redis+cluster://host:6379,host:6379` (both with `rediss+…` for TLS), or a redis-py
            client that lends its address and credentials. The arguments below that are text or
            numbers may stand in its query and then win:
            `redis://host?namespace=shop&session_ttl=3600`.
        namespace: stands before every key, so that deployments can share a server.
        session_ttl: seconds that a session lives after its last change; None for ever.
        state_ttl: seconds that user and app state outlive their last touch; None for ever.
        max_event_bytes: the largest event, as JSON.
        max_state_bytes: the largest state of a session, a user or an app: keys and JSON.
        max_events: the longest log, oldest events go first; None for any length.
        near_cache_bytes: memory for decoded events, estimated; 0 for none.
        connect_timeout: seconds.
        operation_timeout: seconds until an operation without a reply ends with an error, whatever
            the number of its round trips (a page of a list may take one for each). What the server
            puts off (loading, a failover) is tried again until then. Without any connection for
            that long, calls fail at once until there is one.
        health_check_interval: seconds of silence after which the server is asked whether it is
            there.
        durability: `primary` acknowledges what the primary has; `replicas` what replicas have as
            well: a write that they do not confirm in time ends with `OutcomeUnknown`.
        replicas: how many must confirm. Only when all replicas do is no loss possible: a failover
            may promote one that had not confirmed.
        on_outage: `raise` a typed `Unavailable`; or `buffer`: sessions that this process has read
            or written go on in its memory, as do creates without an id of the caller's, and are
            written when the server is back. Results say `durable=False`; what this process cannot
            know still raises.
        journal: a folder where buffered writes survive the process; the next one that opens it
            writes them. None keeps them in memory.
        buffer_calls: writes that may wait.
        buffer_bytes: bytes that they may have; as much again is kept of sessions that could go on.
        buffer_seconds: how long the oldest may wait; then new ones raise `BufferFull`.

    Raises:
        ConfigurationError: the URL, or a client that cannot be lent.
        InvalidInput: one of the other arguments.
    """
    options = Options(
        namespace,
        session_ttl,
        state_ttl,
        max_event_bytes,
        max_state_bytes,
        max_events,
        near_cache_bytes,
        connect_timeout,
        operation_timeout,
        health_check_interval,
        durability,
        replicas,
        on_outage,
        journal,
        buffer_calls,
        buffer_bytes,
        buffer_seconds,
    )
    if isinstance(url, str):
        url, options = from_query(url, options)
    options.check()
    hooks = Hooks()
    if url in ("memory:", "memory://"):
        if options.durability == "replicas":
            raise InvalidInput("memory:// has no replicas that could confirm a write.")
        quarantine = Quarantine(InMemoryQuarantine(), hooks)
        sessions = Sessions(_in_memory(options), _limits(options, shards=1), quarantine)
        doctor = Doctor(None, "memory://", Keys(), endless_state=False)
        cache = Cache(InMemoryCache(), options.max_event_bytes)
        return Sojourn(sessions, cache, doctor, hooks)
    server = _server(url, options.connect_timeout)
    patience = Patience(
        options.operation_timeout,
        options.health_check_interval,
        options.replicas if options.durability == "replicas" else 0,
    )
    engine = Engine(server, patience=patience, hooks=hooks)
    policy = Policy(
        options.session_ttl, options.state_ttl, options.max_state_bytes, options.max_events
    )
    keys = Keys(options.namespace)
    quarantine = Quarantine(RedisQuarantine(engine, keys, options.state_ttl), hooks)
    rows = RedisSessions(engine, keys, policy, quarantine)
    limits = _limits(options, shards=SHARDS)
    doctor = Doctor(engine.nodes, engine.where, keys, endless_state=options.state_ttl is None)
    cache = Cache(RedisCache(engine, keys), options.max_event_bytes)
    if options.on_outage == "raise":
        return Sojourn(Sessions(rows, limits, quarantine), cache, doctor, hooks, engine=engine)
    buffered = BufferedSessions(
        rows,
        _in_memory(options),
        Journal(
            Bounds(options.buffer_calls, options.buffer_bytes, options.buffer_seconds),
            options.journal,
        ),
        held_bytes=options.buffer_bytes,
        patience=options.operation_timeout,
        told=hooks.tell_replay,
    )
    room = Sessions(buffered, limits, quarantine)
    return Sojourn(room, cache, doctor, hooks, engine=engine, buffered=buffered)


def _in_memory(options: Options) -> InMemorySessions:
    return InMemorySessions(
        state_ttl=options.state_ttl,
        max_state_bytes=options.max_state_bytes,
        max_events=options.max_events,
    )


def _server(url: str | Lent, connect_timeout: float) -> Server:
    if isinstance(url, str):
        return Server.at(url, connect_timeout=connect_timeout)
    return Server.of(url, connect_timeout=connect_timeout)


def _limits(options: Options, *, shards: int) -> Limits:
    return Limits(
        options.session_ttl,
        options.max_event_bytes,
        shards,
        options.near_cache_bytes,
        options.operation_timeout,
    )
