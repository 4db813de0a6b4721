"""A store that continues through an outage: on_outage="buffer".

While the server answers, calls pass through, and the sessions that they read are cached. During an
outage cached sessions continue in the in-memory store, and their writes wait in the journal. When
the server is back they are replayed in order, each under its operation id, so that each takes
effect once. Anything not cached locally raises `Unavailable`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar, cast

import msgspec

from sojourn.calls.coded import CodedStore
from sojourn.calls.operation import Operation, RoomStore
from sojourn.errors import (
    BufferFull,
    EventExists,
    OutcomeUnknown,
    ServerOutOfMemory,
    SessionExists,
    SessionNotFound,
    SojournError,
    TooManySessions,
    Unavailable,
)
from sojourn.ids import SessionKey
from sojourn.process_bound import tell_after_fork
from sojourn.resilience.deadline import Deadline, within
from sojourn.resilience.journal import Journal
from sojourn.sessions.inmemory import InMemorySessions
from sojourn.sessions.operation import SessionWrite
from sojourn.sessions.operations import Append, Begin, Create, Ensure, Forget, Read
from sojourn.sessions.operations.log_id import ReadLogId
from sojourn.sessions.outage_cache import OutageCache, window_of
from sojourn.sessions.replay import JournaledWrite, Replayer
from sojourn.sessions.store import (
    Created,
    Delta,
    EventWindow,
    LogId,
    SessionSnapshot,
    WriteOptions,
    WriteResult,
)
from sojourn.sessions.tombstones import Forgotten
from sojourn.telemetry import ReplayReport

R = TypeVar("R")


class BufferedSessions:
    """Sessions on a server, and in this process while the server cannot be reached.

    Args:
        store: the sessions on the server.
        memory: where cached sessions go on.
        journal: where their writes wait.
        coded: the sessions on the server, for what a process that encodes nothing has left there.
        held_bytes: memory for the sessions that could go on.
        operation_timeout: seconds that a call may take, with what must be replayed before it.
        told: receives a report when buffered writes have been replayed.
        lasting: seconds from the beginning of an outage for which sessions go on.
        down_since: since when the server is known to be out of reach (`time.monotonic`), or None.
    """

    def __init__(
        self,
        store: RoomStore,
        memory: InMemorySessions,
        journal: Journal,
        coded: CodedStore,
        *,
        held_bytes: int,
        operation_timeout: float,
        told: Callable[[ReplayReport], None],
        lasting: float,
        down_since: Callable[[], float | None],
    ) -> None:
        self._store = store
        self._lasting = lasting
        self._down_since = down_since
        self._cut_off: float | None = None
        self._memory = memory
        self._operation_timeout = operation_timeout
        self._held = OutageCache(held_bytes)
        self._pinned: dict[SessionKey, bool] = {}
        self._replayer = Replayer(store, journal, self._let_go, told, coded)
        tell_after_fork(self)

    @property
    def waiting(self) -> int:
        """How many writes wait for the server."""
        return len(self._replayer)

    @property
    def age(self) -> float:
        """For how many seconds the oldest of them has waited; 0 when there is none."""
        return self._replayer.age

    async def run(self, operation: Operation[R]) -> R:
        """As `RoomStore`; in an outage with what this process holds of a session."""
        if isinstance(operation, SessionWrite):
            return await self._write(operation)
        done: Any
        match cast("object", operation):  # each case knows what it gives
            case Append() as append:
                done = await self._append(append)
            case Begin() as begin:
                done = await self._begin(begin)
            case Create() as create:
                done = await self._create(create)
            case Ensure() as ensure:
                done = await self._ensure(ensure)
            case Read() as read:
                done = await self._read(read)
            case Forget() as forget:
                done = await self._forget(forget)
            case ReadLogId() as read_id:
                done = await self._read_log_id(read_id)
            case _:
                self._replayer.wake()
                done = await self._store.run(operation)
        return cast("R", done)

    async def _write(self, operation: SessionWrite[R]) -> R:
        """What waits for the session comes first; in an outage it raises."""
        with self._sure_of(operation.key):
            await self._replayer.catch_up(operation.key)
            done = await self._store.run(operation)
        operation.hold(self._held, done)
        return done

    async def _create(self, create: Create) -> Created:
        """Create a session; in an outage only under an id that no other can have."""
        try:
            await self._before_shared(create.state)
            born = await self._store.run(create)
        except Unavailable as error:
            if not create.fresh or isinstance(error, ServerOutOfMemory):
                raise
            with _in_doubt(error) as sent:
                return await self._create_here(create, sent=sent)
        self.answered()
        self._held.born(create, born)
        return born

    async def _ensure(self, ensure: Ensure) -> SessionSnapshot:
        """Create or read on the server; in an outage only what this process holds."""
        key, window = ensure.create.key, ensure.window
        await self._catch_up(key)
        if key in self._pinned:
            return await self._read_here(key, window)
        with self._held.looking(key) as look:
            try:
                await self._before_shared(ensure.create.state)
                stored = await self._store.run(ensure)
            except Unavailable as error:
                here = await self._known_here(key, window, error)
                if here is None:
                    raise
                return here
            self.answered()
            self._held.seen(key, stored, look)
        return stored

    async def _append(self, append: Append) -> WriteResult:
        """Append; in an outage to what this process holds of the session."""
        self._replayer.wake()
        if not self._replayer:
            return await self._append_in_order(append)
        with self._in_time():
            return await self._append_in_order(append)

    async def _append_in_order(self, append: Append) -> WriteResult:
        key, doubt = append.key, None
        await self._catch_up(key)
        if self._replayer.is_catching_up:  # no faster than the server: else it never would
            with suppress(Unavailable):
                await self._replayer.catch_up(key)
        if key not in self._pinned:
            try:
                await self._before_shared(append.delta)
                written = await self._store.run(append)
            except Unavailable as error:
                if not self._may_go_on(key, append.write, error):
                    raise
                doubt = error
            else:
                self.answered()
                if key in self._pinned:  # by another task, while this was under way
                    with suppress(SojournError):  # it is done, whatever is thought of it here
                        here = msgspec.structs.replace(append.write, expected=None)
                        await self._memory.run(msgspec.structs.replace(append, write=here))
                self._held.appended(append, written)
                return written
        try:
            with _in_doubt(doubt) as sent:
                return await self._append_here(append, sent=sent)
        finally:
            if not self._replayer.waits_for(key):  # it was refused, and nothing else went on here
                self._unpin(key)

    async def _begin(self, begin: Begin) -> WriteResult:
        """As `_append`; then as `_create` and `_append` again, so that what is made is held."""
        try:
            return await self._append(begin.append)
        except SessionNotFound:
            if not begin.may_create:
                raise
            with suppress(SessionExists):  # another writer was first
                await self._create(begin.create)
            return await self._append(begin.append)

    async def _read(self, read: Read) -> SessionSnapshot | None:
        """Read; in an outage what this process holds, and nothing is made up."""
        key = read.key
        await self._catch_up(key)
        if key in self._pinned:
            return await self._read_here(key, read.window)
        with self._held.looking(key) as look:
            try:
                stored = await self._store.run(read)
            except Unavailable as error:
                here = await self._known_here(key, read.window, error)
                if here is None:
                    raise
                return here
            self.answered()
            if stored is None:
                self._held.drop(key)
            else:
                self._held.seen(key, stored, look)
        return stored

    async def _read_log_id(self, read: ReadLogId) -> LogId | None:
        """Read; in an outage what this process holds."""
        key = read.key
        self._replayer.wake()
        if key in self._pinned:
            return await self._memory.run(read)
        try:
            return await self._store.run(read)
        except Unavailable:
            held = self._held.get(key)
            if held is None:
                raise
            return LogId(held.head.incarnation, held.head.log_id)

    async def _forget(self, forget: Forget) -> Forgotten:
        """On the server and in this process; in an outage it raises."""
        keys, count = await self._replayer.discard(forget.owner)
        for key in keys:
            self._unpin(key)
        await self._memory.run(forget)
        self._held.forget(forget.owner)
        return (await self._store.run(forget)).plus(Forgotten(buffered=count))

    def _in_time(self) -> Deadline:
        return within(self._operation_timeout)

    @contextmanager
    def _sure_of(self, key: SessionKey) -> Generator[None]:
        """What is held of a session is no more what is known of it when a write is in doubt."""
        with self._in_time():
            try:
                yield
            except OutcomeUnknown:
                self._held.drop(key)
                raise

    async def _catch_up(self, key: SessionKey) -> None:
        """What waits for a session comes before anything new, unless it goes on here."""
        if key in self._pinned:
            self._replayer.wake()
        else:
            await self._replayer.catch_up(key)

    async def _before_shared(self, delta: Delta) -> None:
        """What waits may set the same state from another session: it comes first."""
        if delta.user or delta.app:
            await self._replayer.catch_up_all()
        else:
            self._replayer.wake()

    # ── in this process ────────────────────────────────────────────────────────────────────────

    def _may_go_on(self, key: SessionKey, write: WriteOptions, error: Unavailable) -> bool:
        """Pin a session that is held; nobody can promise a version that others may have changed."""
        if isinstance(error, ServerOutOfMemory) or write.expected is not None:
            return False
        self._check_lasting(error)
        if key in self._pinned:
            return True
        held = self._held.get(key)
        if held is None:
            return False
        self._memory.adopt(key, held)
        whole = len(held.rows) == held.head.seq - held.head.dropped
        self._pinned[key] = whole and held.readable
        return True

    async def _create_here(self, create: Create, *, sent: bool) -> Created:
        if create.created is None:
            create = msgspec.structs.replace(create, created=time.time())
        create.check(self._memory)
        self._replayer.add(JournaledWrite.of_create(create, sent=sent))
        self._pinned[create.key] = True
        born = await self._memory.run(create)
        await self._replayer.sync(create.operation_id)
        return born._replace(durable=False)

    async def _append_here(self, append: Append, *, sent: bool) -> WriteResult:
        key, write = append.key, append.write
        if write.expected is not None:
            raise Unavailable(
                "The server is out of reach and the session goes on in the outage buffer: whether "
                f"it is at version {write.expected} cannot be known. Nothing was written."
            )
        self._check_lasting()
        head = self._memory.head(key)
        if head is None:
            raise _expired_here()
        kept = JournaledWrite.of_append(append).known_as(head, sent=sent)
        try:
            repeated = append.admit(self._memory)
        except EventExists as error:
            if not sent or error.ids != len(append.rows):
                raise
            self._replayer.add(kept)  # a read has shown that it was done: have it confirmed
            written = WriteResult(head.version, head.seq, repeated=True)
        else:
            if repeated is None:
                self._replayer.add(kept)
            written = await self._memory.run(append)
        await self._replayer.sync(write.operation_id)
        return msgspec.structs.replace(written, durable=False)

    async def _known_here(
        self, key: SessionKey, window: EventWindow, error: Unavailable
    ) -> SessionSnapshot | None:
        """What this process knows of a session that the server cannot tell of now."""
        if key in self._pinned:
            return await self._read_here(key, window)
        held = self._held.get(key)
        if held is None or isinstance(error, ServerOutOfMemory):
            return None
        self._check_lasting(error)
        return window_of(held, window)._replace(durable=False)

    def answered(self) -> None:
        """The server has: there is no outage, unless a part of it is out of reach."""
        if self._down_since() is None:
            self._cut_off = None

    def _check_lasting(self, error: Unavailable | None = None) -> None:
        """Go on for a while only: others may have revoked a session since, or forgotten its user.

        Raises:
            Unavailable: the outage has lasted for too long.
        """
        now = time.monotonic()
        if self._cut_off is None:
            self._cut_off = now
        since = min(self._cut_off, self._down_since() or now)
        if now - since > self._lasting:
            raise Unavailable(
                f"The server is out of reach for more than buffer_seconds={self._lasting:g}: "
                "whether the session was revoked meanwhile cannot be known. Nothing was written."
            ) from error

    async def _read_here(self, key: SessionKey, window: EventWindow) -> SessionSnapshot:
        self._check_lasting()
        stored = await self._memory.run(Read(key, window))
        if stored is None:
            raise _expired_here()
        return stored._replace(durable=False, complete=self._pinned[key])

    async def _let_go(self, key: SessionKey, last: WriteResult | None) -> None:
        """Nothing waits for a session any more: the server has it all again.

        What went on here is held as it stands, if nobody has written in between.
        """
        self.answered()
        head = self._memory.head(key)
        self._held.drop(key)
        applied = None if last is None or last.repeated else last.version
        if self._pinned.get(key) and head and head.version == applied:
            stored = await self._memory.run(Read(key, EventWindow()))
            if stored is not None:
                self._held.put(key, stored._replace(head=head))
        self._unpin(key)

    def _unpin(self, key: SessionKey) -> None:
        self._pinned.pop(key, None)
        if not self._pinned:
            self._memory.clear()

    def after_fork(self) -> None:
        """Leave to the parent, in a forked child, what goes on in the parent's memory."""
        self._replayer.after_fork()
        self._pinned.clear()
        self._memory.clear()

    async def close(self) -> None:
        """Try once more to replay what waits; what then is left stays on disk, or is lost."""
        await self._replayer.close()


@contextmanager
def _in_doubt(error: Unavailable | None) -> Generator[bool]:
    """Whether a write was sent that now is buffered; if so, who has no room leaves it in doubt."""
    sent = isinstance(error, OutcomeUnknown)
    try:
        yield sent
    except (BufferFull, TooManySessions) as full:
        if error is None or not sent:
            raise
        raise error from full


def _expired_here() -> Unavailable:
    """Others may have lengthened its life; what was created here begins it when it is written."""
    return Unavailable(
        "The server is out of reach, and the session has outlived its ttl in the outage buffer: "
        "whether it still lives cannot be known. Nothing was written."
    )
