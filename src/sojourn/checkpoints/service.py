"""Public API of the checkpoints room: threads, in which each value is stored once."""

from __future__ import annotations

import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import msgspec

from sojourn.calls.operation import RoomStore
from sojourn.calls.room import Damaged
from sojourn.caps import CAPS, check
from sojourn.checkpoints import objects, parsing, records, refusals
from sojourn.checkpoints.memo import Carried, ThreadMemo
from sojourn.checkpoints.model import (
    CheckpointPlace,
    Content,
    PendingWrite,
    StoredCheckpoint,
    Thread,
    ThreadKey,
    ThreadPage,
)
from sojourn.checkpoints.objects import Builder, Fragment, digest_in
from sojourn.checkpoints.operations.delete import DeleteThread, RemoveCheckpoints
from sojourn.checkpoints.operations.lists import (
    FindThreads,
    ListApp,
    ListThreads,
    ReadThread,
    RegisterThread,
    UnregisterRun,
)
from sojourn.checkpoints.operations.publish import STAGED, PublishThread
from sojourn.checkpoints.operations.put import PutCheckpoint
from sojourn.checkpoints.operations.put_writes import PutWrites
from sojourn.checkpoints.operations.read import (
    ListPlaces,
    ReadCheckpoints,
    ReadHistory,
    ReadObjects,
)
from sojourn.checkpoints.records import CheckpointLead, WriteRow, place_of
from sojourn.checkpoints.store import StoredRows
from sojourn.codecs import encode, is_number, is_whole, shown
from sojourn.codecs.codec import Codec
from sojourn.errors import CorruptRecord, InvalidInput, TooLarge
from sojourn.ids import (
    escape,
    new_session_id,
    operation_id_of,
    parse_app,
    parse_place,
    user_key,
)
from sojourn.process_bound import stays_here
from sojourn.resilience.deadline import in_time

_PAGE = 50
"""Checkpoints that are read at once."""


class StoreTtl(msgspec.Struct, frozen=True):
    """The one value of `DEFAULT_TTL`."""


DEFAULT_TTL = StoreTtl()
"""The store's `thread_ttl`."""


class _MakeWrite(Protocol):
    """Makes a write that brings the values that are not known to be on the server."""

    def __call__(self, known: Collection[str], *, again: bool) -> PutCheckpoint | PutWrites: ...


@stays_here("its URL, and open the store there")
class Threads:
    """The threads of a store. Made by `sojourn.open`, as `store.threads`.

    A thread belongs to a user, and holds checkpoints: in namespaces, each with a parent, so that
    they form a tree; with named values, and with the writes of tasks that started from them. Each
    value, and each element of a long list, is stored once in a thread, however many checkpoints
    have it. A thread lives for its TTL after its last write.

    Every method may raise `Unavailable` and its kin when no server answers in time; an outage
    buffer holds no checkpoints.

    Args:
        store: where threads are kept.
        codec: how content is written there.
        ttl: seconds that a thread lives, unless a write says otherwise; None for ever.
        max_bytes: the largest value, and the largest record of a checkpoint.
        operation_timeout: seconds that a write may take.
        damaged: keeps what cannot be read.
    """

    def __init__(
        self,
        store: RoomStore,
        codec: Codec,
        ttl: float | None,
        max_bytes: int,
        operation_timeout: float,
        *,
        damaged: Damaged,
    ) -> None:
        self._operation_timeout = operation_timeout
        self._store = store
        self._codec = codec
        self._ttl = ttl
        self._cap = max_bytes
        self._damaged = damaged
        self._memo = ThreadMemo()

    # ── writing ────────────────────────────────────────────────────────────────────────────────

    @in_time
    async def put(
        self,
        key: ThreadKey,
        checkpoint: str,
        *,
        namespace: str = "",
        parent: str = "",
        data: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        values: Mapping[str, Callable[[], Content]] | None = None,
        changed: Collection[str] | None = None,
        missing: Collection[str] = (),
        delta: Collection[str] = (),
        ttl: float | StoreTtl | None = DEFAULT_TTL,
        keep: int | None = None,
        title: str = "",
        operation_id: str | None = None,
        stage: str = "",
    ) -> None:
        """Store a checkpoint. One round trip; two when the server has lost what it had.

        A checkpoint that is there under the same id is replaced.

        Args:
            key: of which thread.
            checkpoint: its id. Those of a namespace are ordered by it.
            namespace: of a graph within the thread.
            parent: id of the checkpoint before it; empty for none.
            data: JSON of the framework's.
            metadata: JSON.
            values: what makes each value, by name.
            changed: names of values that are not as in the parent; all if not given.
            missing: names that have no value.
            delta: those of `missing` whose value is in the checkpoints before it: pruning keeps
                these.
            ttl: seconds that the thread lives at least; None for ever.
            keep: how many checkpoints the namespace keeps: older ones are deleted in the same step,
                but for those that others need, and those where a task waits for an answer.
            title: of the thread, if it has none.
            operation_id: repeat a write with the same id and it takes effect once.
            stage: into parts of this name, which nobody sees before `publish`.

        Raises:
            InvalidInput: an id, or JSON that is none; nothing was sent.
            TooLarge: a value is over its cap; nothing was sent.
            OutcomeUnknown: whether it was stored is not known; repeat it with that id.
            CorruptRecord: the thread cannot be read.
            NewerFormat: a newer version of Sojourn keeps it in a way that this one cannot read.
        """
        key, lifetime = ThreadKey.of(*key), self._lifetime(ttl)
        made = values or {}
        space, own = escape(parse_place("namespace", namespace)), _id(checkpoint)
        if keep is not None and (not is_whole(keep) or keep < 1):
            raise InvalidInput(f"keep is a whole number above zero, not {shown(keep)}.")
        check("A checkpoint", len(made) + len(missing), CAPS.members, "values")
        content = data or {}, metadata or {}
        for name, members in zip(("data", "metadata"), content, strict=True):
            encode(members, name)
        operation, secret = operation_id_of(operation_id), await self._secret(key)
        before = (
            None
            if changed is None or not parent
            else self._memo.carried(key, f"{space}:{_id(parent)}")
        )
        carried: Carried = {}

        def make(known: Collection[str], *, again: bool) -> PutCheckpoint:
            nonlocal carried
            builder = Builder(secret)
            carried = _carried(builder, made, changed, None if again else before)
            texts, tokens = objects.joined(carried)
            lead = CheckpointLead(parent, tokens, [*missing], [*delta])
            given = objects.needed(lead.digests, builder.objects, known.__contains__)
            body = records.encode_checkpoint(*content, texts)
            self._check([body, *given.values()])
            return PutCheckpoint(
                *(key, space, own, lead, body, given, lifetime, keep, _title(title)),
                *(operation, stage),
            )

        await self._write(key, make, stage)
        if not stage:
            self._memo.carry(key, f"{space}:{own}", carried)

    @in_time
    async def put_writes(
        self,
        key: ThreadKey,
        checkpoint: str,
        task: str,
        writes: Sequence[PendingWrite],
        *,
        namespace: str = "",
        ttl: float | StoreTtl | None = DEFAULT_TTL,
        operation_id: str | None = None,
        stage: str = "",
    ) -> None:
        """Store writes of a task beside the checkpoint that it started from. One round trip.

        The first write of an index stays; the last of a negative index. The checkpoint need not be
        there yet.

        Args:
            key: of which thread.
            checkpoint: its id.
            task: id of the task.
            writes: what it writes.
            namespace: of the checkpoint.
            ttl: seconds that the thread lives at least; None for ever.
            operation_id: repeat a write with the same id and it takes effect once.
            stage: into parts of this name, which nobody sees before `publish`.

        Raises:
            As `put`.
        """
        key, lifetime = ThreadKey.of(*key), self._lifetime(ttl)
        place = f"{escape(parse_place('namespace', namespace))}:{_id(checkpoint)}"
        if not writes:
            return
        check("A task", len(writes), CAPS.events, "writes")
        builder, rows = Builder(await self._secret(key)), list[WriteRow]()
        for write in writes:
            text, tokens = builder.fragment(write.value)
            record = records.encode_write(write.channel, write.path, text)
            rows.append(WriteRow(write.index, write.waits, tokens, record))
        operation = operation_id_of(operation_id)
        roots = [digest for row in rows for digest in row.digests]

        def make(known: Collection[str], *, again: bool) -> PutWrites:  # noqa: ARG001 - of `put`
            given = objects.needed(roots, builder.objects, known.__contains__)
            self._check([*(row.content for row in rows), *given.values()])
            return PutWrites(
                *(key, place, parse_place("task", task), rows, given, lifetime),
                *(operation, stage),
            )

        await self._write(key, make, stage)

    async def _write(self, key: ThreadKey, make: _MakeWrite, stage: str) -> None:
        """Write; once more with all values when the server has lost some that it had."""
        for again in (False, True):
            known = () if again or stage else self._memo.known(key)
            operation = make(known, again=again)
            if not await self._store.run(operation):
                if not stage:
                    self._memo.learn(key, operation.objects)
                return
            self._memo.forget(key)
        raise refusals.corrupt(key.thread, "has lost values while they were written")

    # ── reading ────────────────────────────────────────────────────────────────────────────────

    async def get(
        self, key: ThreadKey, checkpoint: str | None = None, *, namespace: str = ""
    ) -> StoredCheckpoint | None:
        """A checkpoint with its values and writes; None when there is none. One round trip.

        Args:
            key: of which thread.
            checkpoint: its id; the last of the namespace if not given.
            namespace: of the checkpoint.

        Raises:
            CorruptRecord: it is there, and cannot be read.
            NewerFormat: a newer version of Sojourn keeps it in a way that this one cannot read.
        """
        key, space = ThreadKey.of(*key), escape(parse_place("namespace", namespace))
        places = None if checkpoint is None else [f"{space}:{_id(checkpoint)}"]
        with self._quarantining(key):
            found = await self._store.run(ReadCheckpoints(key, places, space))
            return next(iter(self.parse(key, found)), None)

    async def places(
        self, key: ThreadKey, *, namespace: str | None = None
    ) -> list[CheckpointPlace]:
        """Where the checkpoints of a thread are: the newest first. One round trip.

        Args:
            key: of which thread.
            namespace: only those of this one; None for all.
        """
        space = None if namespace is None else escape(parse_place("namespace", namespace))
        found = await self._store.run(ListPlaces(ThreadKey.of(*key), space))
        places = [parsing.place_named(place) for place in found]
        return sorted(places, key=lambda place: (place.id, place.namespace), reverse=True)

    async def read(
        self, key: ThreadKey, places: Sequence[CheckpointPlace], *, bare: bool = False
    ) -> list[StoredCheckpoint]:
        """Several checkpoints, in the order of their places. One round trip.

        Args:
            key: of which thread.
            places: which; those that are gone are left out.
            bare: without values and writes.

        Raises:
            As `get`.
        """
        names = [place_of(*place) for place in places]
        if not names:
            return []
        key = ThreadKey.of(*key)
        with self._quarantining(key):
            found = await self._store.run(ReadCheckpoints(key, names, bare=bare))
            return self.parse(key, found, bare=bare)

    async def readable(
        self, key: ThreadKey, places: Sequence[CheckpointPlace], *, bare: bool = False
    ) -> list[StoredCheckpoint]:
        """As `read`, without those that cannot be read: these are in the quarantine, and logged.

        One round trip; one more for each where some cannot be read.

        Raises:
            CorruptRecord: none of them can.
            NewerFormat: a newer version of Sojourn keeps one in a way that this one cannot read.
        """
        try:
            return await self.read(key, places, bare=bare)
        except CorruptRecord:
            if len(places) == 1:
                raise
        found, last = list[StoredCheckpoint](), None
        for place in places:
            try:
                found += await self.read(key, [place], bare=bare)
            except CorruptRecord as error:
                last = error
        if last is not None and not found:
            raise last
        return found

    @contextmanager
    def _quarantining(self, key: ThreadKey) -> Generator[None]:
        try:
            yield
        except CorruptRecord as error:
            self._damaged(key.owner, error)
            raise

    async def before(
        self,
        key: ThreadKey,
        names: Collection[str],
        checkpoint: str | None = None,
        *,
        namespace: str = "",
    ) -> list[StoredCheckpoint]:
        """The checkpoints before one, the nearest first, until each name has had a value.

        They have no values but those of these names, and only the writes to them. Two round trips.

        Args:
            key: of which thread.
            names: of values.
            checkpoint: its id; the last of the namespace if not given.
            namespace: of the checkpoint.

        Raises:
            As `get`.
        """
        key, space = ThreadKey.of(*key), escape(parse_place("namespace", namespace))
        name = "" if checkpoint is None else _id(checkpoint)
        with self._quarantining(key):
            found = await self._store.run(ReadHistory(key, space, name, [*names]))
            wanted, wants = set[str](), set(names)
            for row in found.rows:
                _, _, fragments = parsing.checkpoint_record(key, row)
                tokens = [
                    each for name in wants & fragments.keys() for each in fragments[name].tokens
                ]
                for _, write, record in parsing.writes_of(key, row):
                    if record.channel in wants:
                        tokens += write.tokens
                wanted.update(map(digest_in, tokens))
            more = StoredRows()
            if wanted:
                more = await self._store.run(ReadObjects(key, sorted(wanted)))
            return self.parse(key, StoredRows(found.rows, more.objects), only=wants)

    # ── threads ────────────────────────────────────────────────────────────────────────────────

    async def delete(self, key: ThreadKey, *, operation_id: str | None = None) -> bool:
        """Delete a thread; whether there was one. One round trip.

        Args:
            key: which.
            operation_id: repeat a delete with the same id and it takes effect once.

        Raises:
            OutcomeUnknown: whether it was deleted is not known; repeat it with that id.
        """
        key = ThreadKey.of(*key)
        self._memo.forget(key)
        return await self._store.run(DeleteThread(key, operation_id_of(operation_id)))

    async def prune(self, key: ThreadKey, *, keep: int = 1, operation_id: str | None = None) -> int:
        """Delete all but the newest checkpoints of each namespace; how many. One round trip.

        Those that a kept one needs stay, and those where a task waits for an answer.

        Args:
            key: of which thread.
            keep: how many of each namespace.
            operation_id: repeat it with the same id and it takes effect once.

        Raises:
            OutcomeUnknown: whether it was done is not known; repeat it with that id.
            CorruptRecord: the thread cannot be read.
            NewerFormat: a newer version of Sojourn keeps it in a way that this one cannot read.
        """
        if not is_whole(keep) or keep < 1:
            raise InvalidInput(f"keep is a whole number above zero, not {shown(keep)}.")
        key = ThreadKey.of(*key)
        self._memo.forget(key)
        return await self._store.run(
            RemoveCheckpoints(key, None, keep, operation_id_of(operation_id))
        )

    async def remove(
        self,
        key: ThreadKey,
        places: Collection[CheckpointPlace],
        *,
        operation_id: str | None = None,
    ) -> int:
        """Delete checkpoints with their writes, and the thread if none is left; how many.

        One round trip.

        Args:
            key: of which thread.
            places: which.
            operation_id: repeat it with the same id and it takes effect once.

        Raises:
            As `prune`.
        """
        if not places:
            return 0
        key = ThreadKey.of(*key)
        self._memo.forget(key)
        names = [place_of(*place) for place in places]
        return await self._store.run(
            RemoveCheckpoints(key, names, 0, operation_id_of(operation_id))
        )

    async def copy(
        self, source: ThreadKey, target: ThreadKey, *, ttl: float | StoreTtl | None = DEFAULT_TTL
    ) -> int:
        """Copy a thread; how many checkpoints. Nobody sees the copy before all of it is there.

        A round trip for each checkpoint and each of its tasks, and a few for the rest. Repeat it
        after an error: what was copied of it is gone after an hour.

        Args:
            source: which.
            target: what the copy is called. No thread may have this id yet.
            ttl: seconds that it lives; None for ever.

        Raises:
            Conflict: there is a thread of that id.
            CorruptRecord: a checkpoint of the source cannot be read.
            NewerFormat: a newer version of Sojourn keeps the source in a way that this one cannot
                read.
        """
        source, target = ThreadKey.of(*source), ThreadKey.of(*target)
        stage, number = new_session_id(), 0
        about = await self._store.run(ReadThread(source))
        async for each in self._each(source):
            title = "" if about is None else parsing.title_of(about.title)
            await self._stage(target, stage, each, title)
            number += 1
        if number:
            await self.publish(target, stage, ttl=ttl)
        return number

    async def publish(
        self,
        key: ThreadKey,
        stage: str,
        *,
        ttl: float | StoreTtl | None = DEFAULT_TTL,
        created: float | None = None,
        updated: float | None = None,
    ) -> None:
        """Show the staged parts of a thread, all at once. One round trip.

        Args:
            key: which thread: none of its id may be there yet.
            stage: the name of its parts.
            ttl: seconds that it lives; None for ever.
            created: seconds since the epoch; when it was staged, if not given.
            updated: the same; now if not given.

        Raises:
            Conflict: there is a thread of that id, or the parts are gone.
        """
        lifetime = self._lifetime(ttl)
        expires = None if lifetime is None else time.time() + lifetime
        self._memo.forget(key)
        outcome = await self._store.run(
            PublishThread(key, stage, expires, created, updated, operation_id_of(None))
        )
        if outcome == "exists":
            raise refusals.exists(key.thread)
        if outcome != "ok":
            raise refusals.gone(key.thread)

    async def stage(self, key: ThreadKey, stage: str, rows: StoredRows, title: str) -> None:
        """Store checkpoints into parts that nobody sees before `publish`.

        A round trip for each checkpoint and each of its tasks.

        Args:
            key: of which thread.
            stage: the name of the parts.
            rows: checkpoints, decoded.
            title: of the thread.

        Raises:
            CorruptRecord: one of them cannot be read.
        """
        for each in self.parse(key, rows):
            await self._stage(key, stage, each, title)
        self._memo.forget(key)

    async def _stage(self, key: ThreadKey, stage: str, each: StoredCheckpoint, title: str) -> None:
        await self.put(
            key,
            each.place.id,
            namespace=each.place.namespace,
            parent=each.parent,
            data=each.data,
            metadata=each.metadata,
            values={name: partial(_same, value) for name, value in each.values.items()},
            missing=each.missing,
            delta=each.delta,
            ttl=STAGED,
            title=title,
            stage=stage,
        )
        tasks: dict[str, list[PendingWrite]] = {}
        for write in each.writes:
            tasks.setdefault(write.task, []).append(write)
        for task, writes in tasks.items():
            await self.put_writes(
                *(key, each.place.id, task, writes),
                namespace=each.place.namespace,
                ttl=STAGED,
                stage=stage,
            )

    async def _each(self, key: ThreadKey) -> AsyncIterator[StoredCheckpoint]:
        """All checkpoints of a thread, the oldest first."""
        places = (await self.places(key))[::-1]
        for start in range(0, len(places), _PAGE):
            for each in await self.read(key, places[start : start + _PAGE]):
                yield each

    # ── finding threads without their owner ────────────────────────────────────────────────────

    async def register(
        self,
        key: ThreadKey,
        *,
        scope: str,
        by_owner: bool = False,
        run: str = "",
        ttl: float | StoreTtl | None = DEFAULT_TTL,
    ) -> None:
        """Enter a thread into indexes, before its first checkpoint. One round trip, mostly none.

        Args:
            key: which.
            scope: the app under which it is looked up.
            by_owner: whether its id is to be found without its owner.
            run: a run that stores checkpoints in it.
            ttl: seconds that the thread lives.
        """
        lifetime = self._lifetime(ttl)
        await self._store.run(RegisterThread(key, scope, by_owner, run, lifetime))

    async def owners(self, scope: str, thread: str) -> list[ThreadKey]:
        """The threads of an id, of whatever user, that were registered. One round trip."""
        return await self._store.run(FindThreads(parse_app(scope), thread=thread))

    async def of_run(self, scope: str, run: str) -> list[ThreadKey]:
        """The threads in which a run has stored checkpoints. One round trip."""
        return await self._store.run(FindThreads(parse_app(scope), run=run))

    async def forget_run(self, scope: str, run: str) -> None:
        """Forget in which threads a run has stored checkpoints. One round trip."""
        await self._store.run(UnregisterRun(parse_app(scope), run))

    async def of_app(self, app: str) -> list[ThreadKey]:
        """All threads of an app, some of them gone perhaps. One round trip to each node."""
        return await self._store.run(ListApp(parse_app(app)))

    # ── helpers ────────────────────────────────────────────────────────────────────────────────

    async def _secret(self, key: ThreadKey) -> bytes:
        """A key for the digests of a thread that is sealed: without it they would tell content."""
        if self._codec.keys is None:
            return b""
        coder = await self._codec.coder(key.app, key.user, create=True)
        return coder.subkey(b"thread values") or b""

    def _lifetime(self, ttl: float | StoreTtl | None) -> float | None:
        if isinstance(ttl, StoreTtl):
            return self._ttl
        if ttl is not None and (not is_number(ttl) or not 0.001 <= ttl <= 10**10):  # noqa: PLR2004
            raise InvalidInput(f"ttl is a number of seconds above zero, or None, not {shown(ttl)}.")
        return ttl

    def _check(self, bodies: Sequence[bytes]) -> None:
        for body in bodies:
            if len(body) > self._cap:
                raise TooLarge("A value of a checkpoint", len(body), self._cap, "max_event_bytes")
        check("A checkpoint", sum(map(len, bodies)), CAPS.call_bytes)

    def parse(
        self,
        key: ThreadKey,
        found: StoredRows,
        *,
        bare: bool = False,
        only: Collection[str] | None = None,
    ) -> list[StoredCheckpoint]:
        """Checkpoints of what the store gave.

        Raises:
            CorruptRecord: one of them cannot be read.
        """
        sealed = self._codec.keys is not None
        made = list[StoredCheckpoint]()
        for each, carried in parsing.parse(key, found, sealed=sealed, bare=bare, only=only):
            self._memo.carry(key, found.rows[len(made)].place, carried)
            made.append(each)
        self._memo.learn(key, found.objects)
        return made

    # ── a list of them; last, as its name is that of a type ─────────────────────────────────────

    async def list(
        self, app: str, user: str, *, limit: int = 50, cursor: str | None = None
    ) -> ThreadPage:
        """Threads of a user, the newest first. Two round trips.

        Args:
            app: the application.
            user: whose.
            limit: how many at most.
            cursor: of the page before.

        Raises:
            InvalidInput: the limit or the cursor.
        """
        if not is_whole(limit) or not 1 <= limit <= 1000:  # noqa: PLR2004
            raise InvalidInput(f"limit is a whole number from 1 to 1,000, not {shown(limit)}.")
        start = 0 if cursor is None else _start(cursor)
        rows, number = await self._store.run(ListThreads(user_key(app, user), start, limit))
        after = start + limit
        return ThreadPage(
            threads=[
                Thread(
                    thread=row.thread,
                    title=parsing.title_of(row.title),
                    updated=row.updated,
                    created=row.created,
                    expires=row.expires,
                    checkpoints=row.checkpoints,
                    newer=row.newer,
                )
                for row in rows
            ],
            cursor=_cursor(after) if after < number else None,
        )


def _same(content: Content) -> Content:
    return content


def _id(checkpoint: object) -> str:
    return escape(parse_place("checkpoint", checkpoint))


def _carried(
    builder: Builder,
    values: Mapping[str, Callable[[], Content]],
    changed: Collection[str] | None,
    before: Carried | None,
) -> Carried:
    """What values are stored as: as before, or made anew."""
    made: dict[str, Fragment] = {}
    for name, make in values.items():
        kept = None if before is None or changed is None or name in changed else before.get(name)
        made[name] = builder.fragment(make()) if kept is None else kept
    return made


def _title(title: str) -> bytes:
    made = title.encode(errors="replace")
    check("The title", len(made), CAPS.title)
    return made


def _cursor(start: int) -> str:
    return urlsafe_b64encode(b"%d" % start).decode()


def _start(cursor: str) -> int:
    try:
        return max(0, int(urlsafe_b64decode(cursor.encode())))
    except ValueError as error:
        raise InvalidInput("This cursor is none that a page of threads gave.") from error
