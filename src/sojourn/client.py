"""`open(url)`, and the store that it opens: it owns the lifetimes of its rooms."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, overload

from sojourn.access import access
from sojourn.admin import Admin
from sojourn.artifacts import Artifacts
from sojourn.cache import Cache
from sojourn.calls.call import Call
from sojourn.checkpoints import ThreadHistory, ThreadKey, Threads
from sojourn.codecs.serializers import Serializer
from sojourn.engine.credentials import Provider
from sojourn.engine.engine import Node
from sojourn.engine.multiplexer import ConnectionStats
from sojourn.errors import Closed, CorruptRecord, OutcomeUnknown, SojournError, Unavailable
from sojourn.ids import SessionKey, operation_id_of
from sojourn.memory import LAST, Memory, remember
from sojourn.notices import Notices
from sojourn.options import (
    DAY,
    Compression,
    Durability,
    MiB,
    OnOutage,
    Options,
    from_query,
)
from sojourn.process_bound import stays_here
from sojourn.resilience.deadline import gather_in_time, in_time
from sojourn.rooms import ROOMS
from sojourn.security import AccessLog, Bindings, Guard, Limiter, Principal, User
from sojourn.sessions import (
    KEEP,
    AdapterSessions,
    Batches,
    History,
    Keep,
    Rotated,
    Sessions,
)
from sojourn.sessions.history import history_of
from sojourn.sessions.operations import FindTombstone
from sojourn.sessions.operations.archive import ReadStoredSession
from sojourn.stats import Health, NodeHealth, Stats
from sojourn.telemetry import CallHook, CorruptHook, Hooks, OutageHook, ReplayHook, TraceHook
from sojourn.telemetry.newer import NEWER
from sojourn.wiring import Rooms, rooms_at, rooms_in_memory

if TYPE_CHECKING:
    from sojourn.wiring import Keys, Lent


@stays_here("its URL, and open the store there")
class Sojourn:
    """An open store. Use it as `async with sojourn.open(url) as store`.

    It may be used from any number of tasks, and from several event loops.

    Attributes:
        sessions: the sessions room.
        batch: calls for many sessions.
        adapters: session calls for integrations.
        admin: calls for operators.
        cache: results of expensive steps.
        memory: what outlives sessions.
        artifacts: files of sessions and users, in versions.
        threads: checkpoints of graphs and workflows.
        notices: what happens to a user's sessions, if it was opened with `notices=True`.
    """

    sessions: Sessions
    cache: Cache
    memory: Memory
    artifacts: Artifacts
    threads: Threads
    notices: Notices

    def __init__(self, rooms: Rooms, hooks: Hooks) -> None:
        self._rooms = rooms.opened
        for room in ROOMS:
            if room.public:
                setattr(self, room.name, self.room(room.name))
        parts = self._rooms["sessions"].parts
        self.batch = Batches(self.sessions)
        self.adapters = AdapterSessions(parts)
        self.admin = Admin(
            parts,
            discard=rooms.session_ended,
            eraser=rooms.forgetter,
            doctor=rooms.doctor,
            jobs=rooms.jobs,
            rooms=self._rooms,
        )
        self._handles = {
            name: (self.room(room.name), part)
            for room in ROOMS
            for name, part in room.handles.items()
        }
        self._parts = parts
        self.stores = rooms.stores  # beneath the rooms: for `sojourn.transfer`
        self._engine = rooms.engine
        self._operation_timeout = math.inf if rooms.engine is None else rooms.engine.timeout
        self._hooks = hooks
        self._closed = False

    def room(self, name: str) -> Any:
        """The service of a room by its name, for rooms from outside the package.

        Raises:
            KeyError: this store has none of that name: `sojourn.rooms.register` adds it to stores
                that are opened later.
        """
        return self._rooms[name].service

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
            await self._engine.run(Call("engine.ping", (), bool, commands=[("PING",)]))

    def on_call(self, hook: CallHook) -> Callable[[], None]:
        """Tell `hook` a `CallFact` for every call to the server; returns how to stop that."""
        return self._hooks.add(hook)

    def on_trace(self, hook: TraceHook) -> Callable[[], None]:
        """Tell `hook` a `CallFact` and the call itself; returns how to stop that.

        The call has keys and content, so this is for sinks that leave them out, as
        `sojourn.telemetry.opentelemetry` does.
        """
        return self._hooks.add_trace(hook)

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

        The records are in the quarantine: `admin.quarantined()`. Returns how to stop that.
        """
        return self._hooks.add_corrupt(hook)

    def stats(self) -> Stats:
        """The figures now."""
        engine = self._engine
        tally = ConnectionStats() if engine is None else engine.tally
        buffers = [room.buffer for room in self._rooms.values() if room.buffer]
        return Stats(
            kind=self.where.partition(":")[0],
            where=self.where,
            available=engine is None or not engine.is_down,
            outages=0 if engine is None else engine.outages,
            connections=tally.connections,
            lost_connections=tally.losses,
            retries=tally.resends,
            buffered=sum(buffer.waiting for buffer in buffers),
            buffered_seconds=max((buffer.age for buffer in buffers), default=0.0),
            near_cache=self._parts.cache.stats(),
            cache=self.cache.stats(),
            failures=self.sessions.safe.failures,
            corrupt=self._parts.quarantine.count,
            newer=NEWER.total(),
        )

    @in_time
    async def health(self) -> Health:
        """Whether the server answers, and how fast. Raises nothing but `Closed`.

        One round trip; in a Cluster one to each node, all at once.
        """
        if self._closed:
            raise Closed("This store is closed: open a new one.")
        if self._engine is None:
            return Health(available=True, nodes=[NodeHealth(self.where, 0.0)])
        try:
            nodes = await self._engine.nodes()
        except SojournError as error:
            return Health(available=False, nodes=[NodeHealth(self.where, None, str(error))])
        found = await gather_in_time(*map(_examined, nodes))
        return Health(all(each.latency is not None for each in found), found)

    @in_time
    async def remember(
        self, key: SessionKey, *, summary: str | None = None, end: bool = False
    ) -> int:
        """Remember a session beyond its life: as an entry of `memory.sessions` of its user.

        Two round trips; one more with `end`. The entry's key is the session's id, its value an
        object: title, status, state (the session's own), events (their number), created, updated,
        summary, and without a summary the texts of the last messages. Remembered again, it is
        written anew.

        Args:
            key: of the session.
            summary: what it was about; this is what a search finds, besides the title.
            end: also set the session's status to `ended`.

        Returns:
            the version of the entry.

        Raises:
            SessionNotFound: there is none.
            InvalidInput: the summary is no text.
            TooLarge: the entry is over `max_event_bytes`.
        """
        if end:
            await self.sessions.update(key, status="ended")
        return await remember(self.memory, key, partial(self.sessions.get, last=LAST), summary)

    @access(made=lambda done: done.key.session)
    @in_time
    async def rotate(
        self, key: SessionKey, *, incarnation: str = "", operation_id: str | None = None
    ) -> Rotated:
        """Give a session a new id and take its artifacts along, as after a login.

        Two round trips; three more with artifacts. First the session is rotated, in one step, as
        `sessions.rotate` says; then its artifacts are moved. When the process dies in between, or
        the server is lost, repeat it with the same `operation_id`: the answer has the same key, and
        the rest is moved. What is remembered of the session keeps the old id as its name.

        Args:
            key: which session.
            incarnation: only if it is still this one (`Session.incarnation`).
            operation_id: repeat a rotation with the same id within 24 h and it takes effect once.

        Raises:
            SessionNotFound: deleted, expired, rotated by another, or not this incarnation.
            OutcomeUnknown: it may be done in part or not: repeat it with its `operation_id`.
            Conflict: an artifact was saved under the new id meanwhile that has the name of one of
                the old: it stays behind. `sessions.rotate`, repeated, gives the new key.
        """
        operation_id = operation_id_of(operation_id)
        done = await self.sessions.rotate(key, incarnation=incarnation, operation_id=operation_id)
        try:
            if await self.artifacts.move(key, done.key):
                await self._discard_revoked(done.key)
        except Unavailable as error:
            raise OutcomeUnknown(
                f"The session has a new id, but its artifacts could not all be moved ({error}). "
                f"Repeat it with operation_id={operation_id!r}, it takes effect once.",
                operation_id=operation_id,
            ) from error
        return done

    async def _discard_revoked(self, key: SessionKey) -> None:
        """Delete artifacts that were moved behind the back of who has revoked or forgotten."""
        with suppress(CorruptRecord):  # it is there
            gone = await self.stores.sessions.run(ReadStoredSession(key)) is None
            if gone and (await self.stores.sessions.run(FindTombstone(key, 0.0))).reason:
                await self.artifacts.clear(key)

    @overload
    def history(self, session: ThreadKey) -> ThreadHistory: ...

    @overload
    def history(
        self,
        session: SessionKey | str,
        *,
        app: str = "history",
        ttl: float | Keep | None = KEEP,
    ) -> History: ...

    def history(
        self,
        session: SessionKey | ThreadKey | str,
        *,
        app: str = "history",
        ttl: float | Keep | None = KEEP,
    ) -> History | ThreadHistory:
        """The messages of a session, as role and content; or of a thread, to read. Asks nobody.

        Args:
            session: a session's key; or only its id, for one of a user of its own name; or a
                thread's key, `sojourn.ThreadKey`.
            app: the application, when only an id is given.
            ttl: seconds that a session made by its first message lives after each change, instead
                of the store's; None for ever.

        Raises:
            InvalidId: it cannot name a session.
        """
        if isinstance(session, ThreadKey):
            return ThreadHistory(self.threads, session)
        return history_of(self.sessions, self.adapters, session, app, ttl)

    def user(self, app: str, user: str) -> User:
        """The store as one user sees it, for code that is trusted. Asks nobody.

        For callers that are not trusted `guard` makes handles, whose calls are checked and logged.

        Args:
            app: the application.
            user: the user, not empty.

        Raises:
            InvalidId: they name nobody.
        """
        return User(self, self._handles, Principal.of(app, user).owner, None)

    def guard(
        self,
        *,
        log: AccessLog | None = None,
        check_id: Callable[[str], object] | None = None,
        limiter: Limiter | None = None,
        bindings: Bindings | None = None,
    ) -> Guard:
        """What makes handles for outer surfaces, which serve callers that they do not trust.

        Args:
            log: where decisions go; counted only, if not given.
            check_id: what an id that callers bring for a new session must be: it raises `InvalidId`
                for others. Any id that can name a key will do, if not given.
            limiter: a `GuessLimiter`: slows and refuses peers that guess ids; none, if not given.
            bindings: binds sessions to their users and clients; none, if not given.
        """
        return Guard(
            self,
            self._handles,
            self.room("security"),
            log=log,
            check_id=check_id,
            limiter=limiter,
            bindings=bindings,
        )

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
        if not self._closed:
            for buffer in [room.buffer for room in self._rooms.values() if room.buffer]:
                await buffer.close()
        self._closed = True
        for room in self._rooms.values():
            await room.close()
        if self._engine is not None:
            await self._engine.close()

    def __repr__(self) -> str:
        if self._closed:
            state = "closed"
        else:
            state = "open" if self._engine is None or not self._engine.is_down else "out of reach"
        return f"<Sojourn {self.where} {state}>"

    if not TYPE_CHECKING:  # type checkers say it by themselves

        def __enter__(self) -> NoReturn:
            raise TypeError(
                "Use `async with sojourn.open(...) as store`; code without an event loop opens "
                "`with sojourn.sync.open(...) as store`."
            )

        def __exit__(self, *_: object) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


async def _examined(node: Node) -> NodeHealth:
    started = time.monotonic()
    try:
        await node.run(Call("engine.ping", (), bool, commands=[("PING",)]))
    except SojournError as error:
        return NodeHealth(node.where, None, str(error))
    return NodeHealth(node.where, time.monotonic() - started)


def open(  # noqa: A001 - sojourn.open(url), as gzip.open and dbm.open
    url: str | Lent,
    *,
    namespace: str = "",
    session_ttl: float | None = DAY,
    state_ttl: float | None = 30 * DAY,
    max_event_bytes: int = 8 * MiB,
    max_state_bytes: int = 8 * MiB,
    max_events: int | None = None,
    max_sessions: int | None = None,
    strict_ids: bool = False,
    near_cache_bytes: int = 64 * MiB,
    connect_timeout: float = 2.0,
    operation_timeout: float = 2.0,
    transfer_timeout: float = 60.0,
    health_check_interval: float = 15.0,
    durability: Durability = "primary",
    replicas: int = 1,
    on_outage: OnOutage = "raise",
    journal: str | None = None,
    buffer_calls: int = 10_000,
    buffer_bytes: int = 64 * MiB,
    buffer_seconds: float = 3600.0,
    memory_ttl: float | None = 3 * DAY,
    knowledge_ttl: float | None = 7 * DAY,
    history_ttl: float | None = 30 * DAY,
    artifact_ttl: float | None = 30 * DAY,
    thread_ttl: float | None = 30 * DAY,
    max_artifact_bytes: int = 64 * MiB,
    notices: bool = False,
    keys: Keys | None = None,
    key_store: str | None = None,
    key_cache_seconds: float = 60.0,
    compression: Compression | None = None,
    serializer: Literal["json", "msgpack"] | Serializer = "json",
    credential_provider: Provider | None = None,
) -> Sojourn:
    """Open a store. Nothing is sent yet: `await store.ping()` asks the server.

    Args:
        url: `redis://host:6379/0`, `rediss://…` (TLS), `unix:///path`, `embedded:DIR`, `memory://`,
            `embedded:DIR?group=NAME` for one that a group of users shares,
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
        max_sessions: how many sessions a user may have at once; None for any number.
        strict_ids: whether only ids made by Sojourn can name sessions: `create` with an id raises
            `InvalidId`; `ensure`, `save` and histories of a session that is not there raise
            `SessionNotFound` and create none.
        near_cache_bytes: memory for decoded events, estimated; 0 for none.
        connect_timeout: seconds.
        operation_timeout: seconds until an operation without a reply ends with an error, whatever
            the number of its round trips (a page of a list may take one for each). It stands while
            bytes of a request or a reply move, so that a slow link is no outage. What the server
            puts off (loading, a failover) is tried again until then. Without any connection for
            that long, calls fail at once until there is one. Time in which this process is late (a
            task that blocks the event loop, a long collection of garbage, a freeze) hardly counts.
        transfer_timeout: seconds that an operation may take while its bytes move, or those that it
            waits behind; at least `operation_timeout`.
        health_check_interval: seconds of silence, also by the clock of the wall, after which the
            server is asked whether it is there, before anything else is sent: a quarter of
            `operation_timeout` without an answer, and the connection is replaced.
        durability: `primary` acknowledges what the primary has; `replicas` what replicas have as
            well: a write that they do not confirm in time ends with `OutcomeUnknown`.
        replicas: how many must confirm. Only when all replicas do is no loss possible: a failover
            may promote one that had not confirmed.
        on_outage: `raise` a typed `Unavailable`; or `buffer`: sessions that this process has read
            or written go on in its memory, as do creates without an id of the caller's, and are
            written when the server is back. Results say `durable=False`; anything this process has
            not cached still raises.
        journal: a folder where buffered writes survive the process; the next one that opens it
            writes them. None keeps them in memory.
        buffer_calls: writes that may wait.
        buffer_bytes: bytes that they may have; as much again is kept of sessions that could go on.
        buffer_seconds: how long the oldest may wait; then new ones raise `BufferFull`.
        memory_ttl: seconds that a memory of a user or an agent lives after it was stored; None for
            ever.
        knowledge_ttl: seconds that shared knowledge does; None for ever.
        history_ttl: seconds that what is remembered of a session does; None for ever.
        artifact_ttl: seconds that an artifact lives after it was last saved or loaded; None for
            ever.
        thread_ttl: seconds that a thread of checkpoints lives after its last write; None for ever.
        max_artifact_bytes: the largest version of an artifact, with its metadata.
        notices: whether every change of a session is published to subscribers (`store.notices`);
            the server's user then needs the right to publish and subscribe.
        keys: encrypt content: the path of a file of master keys (`sojourn keys new`),
            `env:VARIABLE` for one that an environment variable holds, a `KeyRing`, or a function
            (async or not) that gives one, as of a key management service. docs/security.md says
            what is sealed, and what stays in clear.
        key_store: where the wrapped data keys are: another server's URL or `file:PATH`; by default
            they are on the same server, and then in its backups.
        key_cache_seconds: how long an unwrapped data key is kept in this process, and so how long
            an erasure takes to reach it.
        compression: `zstd` compresses content; whatever is set, compressed values can be read.
        serializer: another form than JSON for values: `msgpack`, or an object with a `name`,
            `dumps(value)` and `loads(data)`.
        credential_provider: gives the user and password instead of the URL, as redis-py's
            `CredentialProvider`: one that has no async method of its own is asked in a thread. It
            may take longer than a call, which then says so; the next one uses what it has given.
            What the server refuses, or the provider fails at, is tried again until the call ends.

    Raises:
        ConfigurationError: the URL, or a client that cannot be lent.
        InvalidInput: one of the other arguments.
    """
    options = Options(
        namespace=namespace,
        session_ttl=session_ttl,
        state_ttl=state_ttl,
        max_event_bytes=max_event_bytes,
        max_state_bytes=max_state_bytes,
        max_events=max_events,
        max_sessions=max_sessions,
        strict_ids=strict_ids,
        near_cache_bytes=near_cache_bytes,
        connect_timeout=connect_timeout,
        operation_timeout=operation_timeout,
        transfer_timeout=transfer_timeout,
        health_check_interval=health_check_interval,
        durability=durability,
        replicas=replicas,
        on_outage=on_outage,
        journal=journal,
        buffer_calls=buffer_calls,
        buffer_bytes=buffer_bytes,
        buffer_seconds=buffer_seconds,
        memory_ttl=memory_ttl,
        knowledge_ttl=knowledge_ttl,
        history_ttl=history_ttl,
        artifact_ttl=artifact_ttl,
        thread_ttl=thread_ttl,
        max_artifact_bytes=max_artifact_bytes,
        notices=notices,
        keys=keys,
        key_store=key_store,
        key_cache_seconds=key_cache_seconds,
        compression=compression,
        serializer=serializer,
    )
    if isinstance(url, str):
        url, options = from_query(url, options)
    options.check()
    hooks = Hooks()
    if url in ("memory:", "memory://"):
        return Sojourn(rooms_in_memory(options, hooks), hooks)
    return Sojourn(rooms_at(url, options, hooks, credential_provider), hooks)
