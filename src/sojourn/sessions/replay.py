"""Replay of buffered writes: in order, each once."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from contextvars import Context
from typing import Any, Final, Literal

import msgspec

from sojourn.calls.coded import CodedStore
from sojourn.calls.operation import RoomStore
from sojourn.codecs.growth import (
    FORMAT,
    EncodedMember,
    check_format,
    check_stored,
    of_string,
    to_string,
)
from sojourn.errors import (
    Conflict,
    CorruptRecord,
    Erased,
    EventExists,
    InvalidInput,
    NewerFormat,
    OutcomeUnknown,
    SessionNotFound,
    SojournError,
    Unavailable,
    Undecodable,
)
from sojourn.ids import SessionId, SessionKey, UserKey, parse_app, parse_user
from sojourn.resilience.backoff import backoff
from sojourn.resilience.deadline import end_of_operation, from_now, until
from sojourn.resilience.journal import Journal, JournalEntry
from sojourn.sessions import refusals
from sojourn.sessions.event_codec import event_id
from sojourn.sessions.operations import Append, Create, FindTombstone, WasAppended
from sojourn.sessions.record import is_content
from sojourn.sessions.resealing import append_sealed_now, create_sealed_now
from sojourn.sessions.store import Delta, Lifetime, Pairs, SessionHeader, WriteOptions, WriteResult
from sojourn.sessions.tombstones import REMEMBERED, age_of
from sojourn.telemetry import RefusedWrite, ReplayReport

log = logging.getLogger("sojourn.sessions")

_REFUSALS: Final = (SessionNotFound, Conflict, InvalidInput, CorruptRecord, Undecodable)
"""What no later attempt would change."""
_PAUSES: Final = (0.05, 0.5)
"""Seconds between attempts to replay, at random up to so long: first, and at most."""
_TURN: Final = 0.005
"""Seconds until somebody who waits looks again whether another is still replaying."""

_Text = str | EncodedMember
_Texts = Mapping[str, _Text]


class JournaledCreate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A create without its state: its time, its lifetime as `Lifetime` has it, its fields."""

    created: float
    ttl: float | None
    until: float | None = None
    fields: _Texts = {}


class JournaledWrite(msgspec.Struct, frozen=True, omit_defaults=True):
    """A write as the journal keeps it. State values and rows are JSON text, or encoded.

    docs/storage-format.md documents it: another version may replay it, and passes over members that
    it does not know. One that may not be passed over needs another `kind` or `format`.

    Attributes:
        kind: `append` or `create`.
        key: app, user and session.
        operation_id: it takes effect once under this id.
        session: state to set; `user` and `app` likewise.
        rows: events to append.
        updated: the time of the last of them.
        incarnation: the session must still be this one.
        sent: it may have been applied before it was buffered.
        version: the session's, as this process knew it.
        birth: of a create.
    """

    kind: Literal["append", "create"]
    key: tuple[str, str, str]
    operation_id: str
    session: _Texts = {}
    user: _Texts = {}
    app: _Texts = {}
    rows: list[_Text] = []
    updated: float = 0.0
    incarnation: str = ""
    sent: bool = False
    version: int = 0
    birth: JournaledCreate | None = None

    def __post_init__(self) -> None:
        if (self.birth is not None) != (self.kind == "create"):
            raise ValueError("only a create has a birth")

    @classmethod
    def of_append(cls, append: Append) -> JournaledWrite:
        """An append."""
        key, delta, write = append.key, append.delta, append.write
        return cls(
            "append",
            (key.app, key.user, key.session),
            write.operation_id,
            _texts(delta.session),
            _texts(delta.user),
            _texts(delta.app),
            rows=[to_string(row) for row in append.rows],
            updated=append.updated,
            incarnation=write.incarnation,
        )

    @classmethod
    def of_create(cls, create: Create, *, sent: bool) -> JournaledWrite:
        """A create; `created` must be set."""
        key = create.key
        return cls(
            "create",
            (key.app, key.user, key.session),
            create.operation_id,
            _texts(create.state.session),
            _texts(create.state.user),
            _texts(create.state.app),
            sent=sent,
            birth=JournaledCreate(
                created=create.created or 0.0,
                ttl=create.life.ttl,
                until=create.life.end(time.time()),
                fields=_texts(create.fields),
            ),
        )

    def known_as(self, head: SessionHeader | None, *, sent: bool) -> JournaledWrite:
        """With what this process knows of the session that it belongs to."""
        if head is None:
            return self
        return msgspec.structs.replace(
            self, incarnation=head.incarnation, version=head.version, sent=sent
        )

    @property
    def delta(self) -> Delta:
        """The state to set."""
        return Delta(_pairs(self.session), _pairs(self.user), _pairs(self.app))

    @property
    def stored_rows(self) -> list[bytes]:
        """The events to append, as they are stored."""
        return [of_string(row) for row in self.rows]

    @property
    def has_plain(self) -> bool:
        """Whether some of its content has no encoding."""
        content: list[_Text] = [*self.rows]
        for texts in (self.session, self.user, self.app):
            content += texts.values()
        if self.birth is not None:
            content += [text for name, text in self.birth.fields.items() if is_content(name)]
        return any(isinstance(text, str) for text in content)

    @property
    def session_key(self) -> SessionKey:
        """Whose it is."""
        return _session_key(self.key)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(JournaledWrite).decode
_any = msgspec.json.Decoder().decode


class _Outline(msgspec.Struct):
    """As much of a write, or of a refused one, as says whose it is, whatever version wrote it."""

    format: Any = 1
    kind: Any = ""
    key: msgspec.Raw = msgspec.Raw()
    operation_id: Any = ""
    write: msgspec.Raw = msgspec.Raw()


_read_key = msgspec.json.Decoder(tuple[str, str, str]).decode
_read_outline = msgspec.json.Decoder(_Outline).decode


def _outline(data: bytes | msgspec.Raw) -> _Outline:
    try:
        found = _read_outline(data)
        return found if bytes(found.key) else _read_outline(found.write)
    except (ValueError, RecursionError):
        return _Outline()


def _key_of(data: bytes) -> SessionKey | None:
    """Whose a write is; None when that cannot be told."""
    try:
        return _session_key(_read_key(_outline(data).key))
    except ValueError:
        return None


def _session_key(key: tuple[str, str, str]) -> SessionKey:
    app, user, session = key
    return SessionKey(parse_app(app), parse_user(user), SessionId(session))


def _kept(data: bytes) -> JournaledWrite:
    """Read a write.

    Raises:
        NewerFormat: a newer version wrote it, in a way that is not known here: its line was sound.
    """
    outline = _outline(data)
    kind, stated = str(outline.kind)[:40], str(outline.format)[:40]
    try:
        check_format(stated, "The buffered write")
        kept = _decode(data)
        _check_values(kept)
    except (ValueError, RecursionError):
        raise NewerFormat(
            f"Another version of Sojourn has left the write (kind {kind!r}, format {stated!r}) in "
            f"a way that this one, which reads {FORMAT}, does not know. It was not done.",
            found=stated,
            known=str(FORMAT),
        ) from None
    return kept


def _check_values(kept: JournaledWrite) -> None:
    """Look at the encoded values of a write.

    Raises:
        NewerFormat: one has a newer format.
        ValueError: one was damaged, or an event has no id in front.
    """
    texts = [*kept.session.values(), *kept.user.values(), *kept.app.values()]
    if kept.birth is not None:
        texts += kept.birth.fields.values()
    for text in (*kept.rows, *texts):
        if isinstance(text, EncodedMember):
            check_stored(of_string(text), "The buffered write")
    for row in kept.rows:
        if isinstance(row, EncodedMember):
            event_id(of_string(row))


def _aside(reason: str, data: bytes) -> bytes:
    """A line about a write that was refused."""
    try:
        _any(data)
        write: Any = msgspec.Raw(data)
    except (ValueError, RecursionError):
        write = {"$bytes": data}
    return _encode({"reason": reason, "write": write})


class Replayer:
    """Writes that wait, and the task that tries to replay them.

    Args:
        store: where they belong.
        journal: where they wait.
        let_go: called when nothing waits for a session any more, with what the last write led to
            (None when it was refused).
        told: who gets a report when nothing waits at all.
        coded: the same as `store`, which encodes what is not.

    Attributes:
        is_catching_up: the server takes what waits right now.
    """

    def __init__(
        self,
        store: RoomStore,
        journal: Journal,
        let_go: Callable[[SessionKey, WriteResult | None], Awaitable[None]],
        told: Callable[[ReplayReport], None],
        coded: CodedStore,
    ) -> None:
        self._store = store
        self._coded = coded
        self._journal = journal
        self._let_go = let_go
        self._told = told
        self._waiting: Counter[SessionKey] = Counter()
        self._opened = False
        self._task: asyncio.Task[None] | None = None
        self._turn = threading.Lock()
        self._applied = self._duplicates = 0
        self._refused: list[RefusedWrite] = []
        self._tried: JournalEntry | None = None
        self.is_catching_up = False

    def __len__(self) -> int:
        return len(self._journal)

    @property
    def age(self) -> float:
        """For how many seconds the oldest write has waited; 0 when there is none."""
        oldest = self._journal.oldest()
        return 0.0 if oldest is None else max(0.0, time.time() - oldest.added)

    def add(self, kept: JournaledWrite) -> None:
        """Let a write wait; it is on disk once `sync` has returned.

        Raises:
            BufferFull: it was not taken.
        """
        if not self._journal:
            log.warning("The server is out of reach: writes are buffered until it is back")
        self._journal.add(_encode(kept))
        self._waiting[kept.session_key] += 1
        self.wake()

    async def sync(self, operation_id: str) -> None:
        """Wait until a write that was added is on disk, if it goes there.

        Raises:
            OutcomeUnknown: the disk failed: the write waits here, and may be lost with the process.
        """
        try:
            await self._journal.sync()
        except OSError as error:
            raise OutcomeUnknown(
                f"The write waits for the server, but its journal could not be synced ({error}): "
                "it may be lost with this process. Check the disk; repeated with "
                f"operation_id={operation_id!r} it takes effect once.",
                operation_id=operation_id,
            ) from error

    def wake(self) -> None:
        """See to it that somebody tries to replay what waits, also what others have left."""
        if not self._opened:
            self._opened = True
            keys = (_key_of(each.data) for each in self._journal.open())
            self._waiting.update(key for key in keys if key is not None)
            if self._journal.damaged:
                log.error(
                    "%d lines of a journal are damaged: what cannot be replayed of it is in the "
                    "folder's refused.jsonl",
                    self._journal.damaged,
                )
                self._report(lost=self._journal.damaged)
        if self._journal and (self._task is None or self._task.done()):
            loop = asyncio.get_running_loop()  # it is part of nobody's request, nor of its trace
            self._task = loop.create_task(self._keep_trying(), context=Context())

    def after_fork(self) -> None:
        """Leave to the parent, in a forked child, what waits; its journal has done so."""
        self._waiting.clear()
        self._task = self._tried = None
        self._turn = threading.Lock()
        self._applied = self._duplicates = 0
        self._refused = []
        self.is_catching_up = False

    def waits_for(self, key: SessionKey) -> bool:
        """Whether a write of this session waits."""
        return key in self._waiting

    async def catch_up(self, key: SessionKey) -> None:
        """Replay what waits for a session before anything new is done with it.

        Raises:
            SojournError: the server cannot take it now; nothing new was sent.
        """
        self.wake()
        if key in self._waiting:
            await self._replay_in_time()

    async def catch_up_all(self) -> None:
        """Replay all that waits, before state is set that some of it may set, too.

        Raises:
            SojournError: the server cannot take it now; nothing new was sent.
        """
        self.wake()
        if self._journal:
            await self._replay_in_time()

    async def discard(self, owner: UserKey) -> tuple[set[SessionKey], int]:
        """Forget what waits of a user, and what of it was refused; of which sessions, how many.

        Raises:
            Unavailable: the disk does not take it.
        """
        self.wake()
        async with self._one_at_a_time():
            keys = {key for key in self._waiting if key.owner == owner}
            count = self._journal.discard(lambda data: _owner_of(data) == owner, _is_nobodys)
            for key in keys:
                del self._waiting[key]
        return keys, count

    async def close(self) -> None:
        """Try once more; what then is left stays on disk, or is lost and reported so."""
        if not self._opened:
            return
        if self._task is not None:
            await _end(self._task)
        try:
            await self._replay()
        except SojournError as error:
            log.warning("Buffered writes could not be replayed at close: %s", error)
        if self._journal and not self._journal.lasts:
            self._report(lost=len(self._journal))
        self._journal.close()

    async def _keep_trying(self) -> None:
        attempt = 0
        while self._journal:
            await asyncio.sleep(backoff(attempt, *_PAUSES))
            attempt += 1
            try:
                await self._replay()
            except Unavailable as error:
                log.debug("Buffered writes still wait: %s", error)
            except SojournError as error:
                log.error("Buffered writes cannot be replayed: %s", error)  # noqa: TRY400

    async def _replay_in_time(self) -> None:
        """Replay what comes before a call, until the deadline that the call has."""
        try:
            async with AsyncExitStack() as turn:
                async with until(end_of_operation()):
                    await turn.enter_async_context(self._one_at_a_time())
                await self._replay_all()
        except TimeoutError as error:
            raise Unavailable(
                "Writes in the outage buffer come before this call, and there was no time for all "
                "of them. Nothing of this call was sent. They go on being written: try again."
            ) from error
        except OutcomeUnknown as error:  # it says nothing of the call itself
            raise Unavailable(
                "Writes in the outage buffer come before this call, and the server has not "
                f"confirmed all of them in time ({error}). Nothing of this call was sent. "
                "Check that the server runs and can be reached."
            ) from error

    async def _replay(self) -> None:
        """Replay what waits, oldest first, until nothing does.

        Raises:
            SojournError: the server cannot take it now; the rest goes on waiting.
        """
        async with self._one_at_a_time():
            await self._replay_all()

    async def _replay_all(self) -> None:
        try:
            while (entry := self._journal.oldest()) is not None:
                if from_now(0) > end_of_operation():
                    raise TimeoutError
                key = _key_of(entry.data)
                last = await self._apply(key, entry)
                self.is_catching_up = True
                await self._forget(key, last)
        finally:
            self.is_catching_up = False
        if self._applied or self._duplicates or self._refused:
            self._report()

    async def _forget(self, key: SessionKey | None, last: WriteResult | None) -> None:
        """The oldest write waits no more."""
        self._journal.done()
        if key is None:
            return
        self._waiting[key] -= 1
        if not self._waiting[key]:
            del self._waiting[key]
            await self._let_go(key, last)

    async def _apply(self, key: SessionKey | None, entry: JournalEntry) -> WriteResult | None:
        """Do what was kept, once; None when it was refused."""
        kept = None
        doubtful = entry.inherited or entry is self._tried
        try:
            kept = _kept(entry.data)
            doubtful = doubtful or kept.sent
            if kept.birth is None:
                done = await self._append(kept, entry)
            else:
                done = await self._create(kept, kept.birth, entry.added)
        except _REFUSALS as refused:
            error: SojournError = refused
            creates = kept is not None and kept.birth is not None
            if key and kept and not creates and isinstance(error, SessionNotFound):
                if await self._store.run(WasAppended(key, kept.operation_id, _ids(kept))):
                    self._duplicates += 1
                    return None
                if doubtful:
                    error = refusals.doubtful(key, refused)
            if (
                key
                and not creates
                and (await self._store.run(FindTombstone(key, entry.added))).reason == "forgotten"
            ):
                error = refusals.erased("forgotten")
            self._refuse(entry, error)
            return None
        self._duplicates += done.repeated
        self._applied += not done.repeated
        return done

    def _refuse(self, entry: JournalEntry, error: SojournError) -> None:
        """Keep a write for people, and report it."""
        name, reason = str(_outline(entry.data).operation_id), f"{type(error).__name__}: {error}"
        if isinstance(error, Erased):  # nothing of it is kept, not even for people
            self._refused.append(RefusedWrite(name, reason, b""))
            return
        self._journal.keep_aside(_aside(reason, entry.data))
        self._refused.append(RefusedWrite(name, reason, entry.data))

    async def _create(
        self, kept: JournaledWrite, birth: JournaledCreate, since: float
    ) -> WriteResult:
        if age_of(since) > REMEMBERED:
            raise refusals.outdated()
        life, fields = Lifetime(birth.ttl, until=birth.until), _pairs(birth.fields)
        create = Create(
            *(kept.session_key, kept.operation_id, birth.created, life, fields, kept.delta),
            fresh=True,
            since=since,
        )
        create = await create_sealed_now(create, self._coded.codec)
        made = await self._store_for(kept).run(create)
        return WriteResult(1, 0, made.repeated)

    async def _append(self, kept: JournaledWrite, entry: JournalEntry) -> WriteResult:
        """Append once. Operation ids are remembered for a while only; ids of events always."""
        doubtful = kept.sent or entry.inherited or entry is self._tried
        self._tried = entry
        rows = kept.stored_rows
        write = WriteOptions(kept.operation_id, kept.incarnation)
        append = Append(kept.session_key, rows, kept.delta, kept.updated, write)
        append = await append_sealed_now(append, self._coded.codec, self._store)
        try:
            return await self._store_for(kept).run(append)
        except EventExists as error:
            if doubtful and error.ids == len(rows):
                return WriteResult(0, 0, repeated=True)
            raise

    def _store_for(self, kept: JournaledWrite) -> RoomStore:
        """A process that encodes nothing may have left the write: then it is encoded now."""
        return self._coded if kept.has_plain else self._store

    def _report(self, *, lost: int = 0) -> None:
        report = ReplayReport(self._applied, self._duplicates, tuple(self._refused), lost)
        self._applied = self._duplicates = 0
        self._refused = []
        self._told(report)

    @asynccontextmanager
    async def _one_at_a_time(self) -> AsyncGenerator[None]:
        """The store may be used from several event loops: no lock of asyncio's would hold."""
        while not self._turn.acquire(blocking=False):  # noqa: ASYNC110
            await asyncio.sleep(_TURN)  # no event is known to all loops
        try:
            yield
        finally:
            self._turn.release()


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel a task, perhaps of another event loop, which may be closed."""
    loop = task.get_loop()
    if loop is asyncio.get_running_loop():
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return
    with suppress(RuntimeError):  # it is closed
        loop.call_soon_threadsafe(task.cancel)


def _is_nobodys(data: bytes) -> bool:
    """Whether it cannot be told whose a write was that was kept aside."""
    return _key_of(data) is None


def _owner_of(data: bytes) -> UserKey | None:
    key = _key_of(data)
    return None if key is None else key.owner


def _ids(kept: JournaledWrite) -> list[str]:
    """Of the events of a write; none when one of them cannot be read."""
    try:
        return [event_id(row) for row in kept.stored_rows]
    except ValueError:
        return []


def _texts(pairs: Pairs) -> _Texts:
    return {name: to_string(value) for name, value in pairs.items()}


def _pairs(texts: _Texts) -> Pairs:
    return {name: of_string(text) for name, text in texts.items()}
