"""A store that goes on through an outage: on_outage="buffer".

While the server answers, calls pass through, and what they show of a session is held. When it does
not, sessions that are held go on in the in-memory twin, and their writes wait in the journal. When
it is back they are replayed in order, each under its operation id, so that each takes effect once.
What is not known here is not made up: it raises `Unavailable`.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress

from sojourn.errors import (
    BufferFull,
    CorruptRecord,
    EventExists,
    OutcomeUnknown,
    ServerOutOfMemory,
    SessionExists,
    SessionNotFound,
    SojournError,
    Unavailable,
)
from sojourn.ids import AppName, SessionKey, UserKey
from sojourn.resilience.deadline import no_later_than, within
from sojourn.resilience.journal import Journal
from sojourn.sessions.graves import Buried, Fate, Forgotten
from sojourn.sessions.held import Held, window_of
from sojourn.sessions.inmemory import InMemorySessions
from sojourn.sessions.replay import Kept, Replayer
from sojourn.sessions.store import (
    Birth,
    Born,
    Change,
    Delta,
    Image,
    Label,
    Listed,
    Named,
    Pairs,
    Place,
    Renamed,
    Rows,
    SessionStore,
    Stored,
    Tidied,
    Window,
    Write,
    Written,
)
from sojourn.telemetry import ReplayReport


class BufferedSessions:
    """Sessions on a server, and in this process while the server cannot be reached.

    Args:
        store: the sessions on the server.
        twin: where held sessions go on.
        journal: where their writes wait.
        held_bytes: memory for the sessions that could go on.
        patience: seconds that a call may take, with what must be replayed before it.
        told: who gets a report when buffered writes have been replayed.
        lasting: seconds from the beginning of an outage for which sessions go on.
        down_since: since when the server is known to be out of reach (`time.monotonic`), or None.
    """

    def __init__(
        self,
        store: SessionStore,
        twin: InMemorySessions,
        journal: Journal,
        *,
        held_bytes: int,
        patience: float,
        told: Callable[[ReplayReport], None],
        lasting: float,
        down_since: Callable[[], float | None],
    ) -> None:
        self._store = store
        self._lasting = lasting
        self._down_since = down_since
        self._cut_off: float | None = None
        self._twin = twin
        self._patience = patience
        self._held = Held(held_bytes)
        self._pinned: dict[SessionKey, bool] = {}
        self._replayer = Replayer(store, journal, self._let_go, told)
        _stores.add(self)

    @property
    def waiting(self) -> int:
        """How many writes wait for the server."""
        return len(self._replayer)

    # ── writing ────────────────────────────────────────────────────────────────────────────────

    async def create(self, key: SessionKey, birth: Birth) -> Born:
        """Create a session; in an outage only under an id that no other can have."""
        try:
            await self._before_shared(birth.state)
            born = await self._store.create(key, birth)
        except Unavailable as error:
            if not birth.fresh or isinstance(error, ServerOutOfMemory):
                raise
            with _in_doubt(error) as sent:
                return await self._create_here(key, birth, sent=sent)
        self.answered()
        self._held.born(key, birth, born)
        return born

    async def ensure(self, key: SessionKey, birth: Birth, window: Window) -> Stored:
        """Create or read on the server; in an outage only what this process holds."""
        await self._catch_up(key)
        if key in self._pinned:
            return await self._read_here(key, window)
        with self._held.looking(key) as look:
            try:
                await self._before_shared(birth.state)
                stored = await self._store.ensure(key, birth, window)
            except Unavailable as error:
                here = await self._known_here(key, window, error)
                if here is None:
                    raise
                return here
            self.answered()
            self._held.seen(key, stored, look)
        return stored

    async def append(
        self, key: SessionKey, rows: Sequence[bytes], delta: Delta, updated: float, write: Write
    ) -> Written:
        """Append; in an outage to what this process holds of the session."""
        self._replayer.wake()
        if not self._replayer:
            return await self._append(key, rows, delta, updated, write)
        with self._in_time():
            return await self._append(key, rows, delta, updated, write)

    async def _append(
        self, key: SessionKey, rows: Sequence[bytes], delta: Delta, updated: float, write: Write
    ) -> Written:
        doubt: Unavailable | None = None
        await self._catch_up(key)
        if self._replayer.is_catching_up:  # no faster than the server: else it never would
            with suppress(Unavailable):
                await self._replayer.catch_up(key)
        if key not in self._pinned:
            try:
                await self._before_shared(delta)
                written = await self._store.append(key, rows, delta, updated, write)
            except Unavailable as error:
                if not self._may_go_on(key, write, error):
                    raise
                doubt = error
            else:
                self.answered()
                if key in self._pinned:  # by another task, while this was under way
                    with suppress(SojournError):  # it is done, whatever is thought of it here
                        here = write._replace(expected=None)
                        await self._twin.append(key, rows, delta, updated, here)
                self._held.appended(key, rows, delta, updated, written)
                return written
        try:
            with _in_doubt(doubt) as sent:
                return await self._append_here(key, rows, delta, updated, write, sent=sent)
        finally:
            if not self._replayer.waits_for(key):  # it was refused, and nothing else went on here
                self._unpin(key)

    async def begin(self, key: SessionKey, birth: Birth, first: Rows, write: Write) -> Written:
        """As `append`; then as `create` and `append` again, so that what is made is held."""
        try:
            return await self.append(key, *first, write)
        except SessionNotFound:
            with suppress(SessionExists):  # another writer was first
                await self.create(key, birth)
            return await self.append(key, *first, write)

    async def update(self, key: SessionKey, change: Change, write: Write) -> Written:
        """Update on the server; in an outage it raises."""
        with self._sure_of(key):
            await self._replayer.catch_up(key)
            written = await self._store.update(key, change, write)
        self._held.changed(key, change, written)
        return written

    async def save(self, key: SessionKey, image: Image, write: Write) -> Written:
        """Save on the server; in an outage it raises."""
        with self._sure_of(key):
            await self._replayer.catch_up(key)
            written = await self._store.save(key, image, write)
        self._held.drop(key)
        return written

    async def trim(self, key: SessionKey, drop: int, keep: int | None, write: Write) -> Written:
        """Cut events off on the server; in an outage it raises."""
        with self._sure_of(key):
            await self._replayer.catch_up(key)
            written = await self._store.trim(key, drop, keep, write)
        self._held.drop(key)
        return written

    async def delete(self, key: SessionKey, write: Write) -> bool:
        """Delete on the server; in an outage it raises."""
        with self._sure_of(key):
            await self._replayer.catch_up(key)
            deleted = await self._store.delete(key, write)
        self._held.drop(key)
        return deleted

    async def rotate(
        self, key: SessionKey, new: SessionKey, incarnation: str, write: Write
    ) -> Renamed:
        """Rotate on the server; in an outage it raises."""
        with self._sure_of(key):
            await self._replayer.catch_up(key)
            renamed = await self._store.rotate(key, new, incarnation, write)
        self._held.drop(key)
        return renamed

    # ── reading ────────────────────────────────────────────────────────────────────────────────

    async def read(self, key: SessionKey, window: Window) -> Stored | None:
        """Read; in an outage what this process holds, and nothing is made up."""
        await self._catch_up(key)
        if key in self._pinned:
            return await self._read_here(key, window)
        with self._held.looking(key) as look:
            try:
                stored = await self._store.read(key, window)
            except Unavailable as error:
                here = await self._known_here(key, window, error)
                if here is None:
                    raise
                return here
            self.answered()
            if stored is None:
                self._held.drop(key)
            else:
                self._held.seen(key, stored, look)
        return stored

    async def list_sessions(
        self,
        owner: UserKey,
        after: Place | None,
        limit: int,
        label: Label | None = None,
        *,
        newest_first: bool = False,
    ) -> Listed:
        """List what is on the server; in an outage it raises."""
        self._replayer.wake()
        return await self._store.list_sessions(
            owner, after, limit, label, newest_first=newest_first
        )

    async def list_ids(self, owner: UserKey, after: Place | None, limit: int) -> Named:
        """List what is on the server; in an outage it raises."""
        self._replayer.wake()
        return await self._store.list_ids(owner, after, limit)

    async def list_users(
        self, users: Sequence[tuple[UserKey, Place | None]], limit: int
    ) -> Sequence[Listed | CorruptRecord]:
        """List what is on the server; in an outage it raises."""
        self._replayer.wake()
        return await self._store.list_users(users, limit)

    async def list_recent(
        self, app: AppName, after: Place | None, limit: int, label: Label | None = None
    ) -> Listed:
        """List what is on the server; in an outage it raises."""
        self._replayer.wake()
        return await self._store.list_recent(app, after, limit, label)

    async def list_names(
        self, app: str | None, shard: int, after: Place | None, limit: int
    ) -> Named:
        """List what is on the server; in an outage it raises."""
        self._replayer.wake()
        return await self._store.list_names(app, shard, after, limit)

    async def tidy(self, owner: UserKey) -> Tidied:
        """Tidy what is on the server; in an outage it raises."""
        return await self._store.tidy(owner)

    async def tidy_recent(self, app: AppName, shard: int) -> int:
        """Tidy what is on the server; in an outage it raises."""
        return await self._store.tidy_recent(app, shard)

    async def count(self, owner: UserKey) -> int:
        """Count what is on the server; in an outage it raises."""
        return await self._store.count(owner)

    async def shared_state(self, owner: UserKey) -> tuple[Pairs, Pairs]:
        """Read it from the server; in an outage it raises."""
        self._replayer.wake()
        return await self._store.shared_state(owner)

    async def bury(self, what: Buried, fate: Fate) -> float:
        """On the server; in an outage it raises."""
        return await self._store.bury(what, fate)

    async def buried(self, key: SessionKey, age: float) -> Fate | None:
        """As the server knows; in an outage it raises."""
        return await self._store.buried(key, age)

    async def was_appended(self, key: SessionKey, operation_id: str, ids: Sequence[str]) -> bool:
        """As the server knows; in an outage it raises."""
        return await self._store.was_appended(key, operation_id, ids)

    async def forget(self, owner: UserKey) -> Forgotten:
        """On the server and in this process; in an outage it raises."""
        keys, count = await self._replayer.discard(owner)
        for key in keys:
            self._unpin(key)
        await self._twin.forget(owner)
        self._held.forget(owner)
        return (await self._store.forget(owner)).plus(Forgotten(buffered=count))

    def _in_time(self) -> no_later_than:
        return within(self._patience)

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

    def _may_go_on(self, key: SessionKey, write: Write, error: Unavailable) -> bool:
        """Pin a session that is held; nobody can promise a version that others may have changed."""
        if isinstance(error, ServerOutOfMemory) or write.expected is not None:
            return False
        self._check_lasting(error)
        if key in self._pinned:
            return True
        held = self._held.get(key)
        if held is None:
            return False
        self._twin.adopt(key, held)
        whole = len(held.rows) == held.head.seq - held.head.dropped
        self._pinned[key] = whole and held.readable
        return True

    async def _create_here(self, key: SessionKey, birth: Birth, *, sent: bool) -> Born:
        birth = birth._replace(created=time.time() if birth.created is None else birth.created)
        self._twin.check_birth(key, birth)
        self._replayer.add(Kept.of_birth(key, birth, sent=sent))
        self._pinned[key] = True
        born = await self._twin.create(key, birth)
        await self._replayer.sync(birth.operation_id)
        return born._replace(durable=False)

    async def _append_here(
        self,
        key: SessionKey,
        rows: Sequence[bytes],
        delta: Delta,
        updated: float,
        write: Write,
        *,
        sent: bool,
    ) -> Written:
        if write.expected is not None:
            raise Unavailable(
                "The server is out of reach and the session goes on in the outage buffer: whether "
                f"it is at version {write.expected} cannot be known. Nothing was written."
            )
        self._check_lasting()
        head = self._twin.head(key)
        if head is None:
            raise _expired_here()
        kept = Kept.of_append(key, rows, delta, updated, write).known_as(head, sent=sent)
        try:
            repeated = self._twin.admit(key, rows, delta, write)
        except EventExists as error:
            if not sent or error.ids != len(rows):
                raise
            self._replayer.add(kept)  # a read has shown that it was done: have it confirmed
            written = Written(head.version, head.seq, repeated=True)
        else:
            if repeated is None:
                self._replayer.add(kept)
            written = await self._twin.append(key, rows, delta, updated, write)
        await self._replayer.sync(write.operation_id)
        return written._replace(durable=False)

    async def _known_here(
        self, key: SessionKey, window: Window, error: Unavailable
    ) -> Stored | None:
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

    async def _read_here(self, key: SessionKey, window: Window) -> Stored:
        self._check_lasting()
        stored = await self._twin.read(key, window)
        if stored is None:
            raise _expired_here()
        return stored._replace(durable=False, complete=self._pinned[key])

    async def _let_go(self, key: SessionKey, last: Written | None) -> None:
        """Nothing waits for a session any more: the server has it all again.

        What went on here is held as it stands, if nobody has written in between.
        """
        self.answered()
        head = self._twin.head(key)
        self._held.drop(key)
        applied = None if last is None or last.repeated else last.version
        if self._pinned.get(key) and head and head.version == applied:
            stored = await self._twin.read(key, Window())
            if stored is not None:
                self._held.put(key, stored._replace(head=head))
        self._unpin(key)

    def _unpin(self, key: SessionKey) -> None:
        self._pinned.pop(key, None)
        if not self._pinned:
            self._twin.clear()

    def after_fork(self) -> None:
        """Leave to the parent, in a forked child, what goes on in the parent's memory."""
        self._replayer.after_fork()
        self._pinned.clear()
        self._twin.clear()

    async def close(self) -> None:
        """Try once more to replay what waits; what then is left stays on disk, or is lost."""
        await self._replayer.close()


@contextmanager
def _in_doubt(error: Unavailable | None) -> Generator[bool]:
    """Whether a write was sent that now is buffered; if so, a full buffer leaves it in doubt."""
    sent = isinstance(error, OutcomeUnknown)
    try:
        yield sent
    except BufferFull as full:
        if error is None or not sent:
            raise
        raise error from full


def _expired_here() -> Unavailable:
    """Others may have lengthened its life; what was created here begins it when it is written."""
    return Unavailable(
        "The server is out of reach, and the session has outlived its ttl in the outage buffer: "
        "whether it still lives cannot be known. Nothing was written."
    )


_stores: weakref.WeakSet[BufferedSessions] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for store in list(_stores):
        store.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
