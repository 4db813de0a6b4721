"""Sessions on a server: one script per write, plain commands per read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from sojourn.engine.call import Call, Command, Script, only
from sojourn.engine.engine import Engine
from sojourn.engine.keys import Keys
from sojourn.errors import (
    Conflict,
    CorruptRecord,
    OutcomeUnknown,
    SessionExists,
    SessionNotFound,
    StaleSession,
    TooLarge,
    Unavailable,
)
from sojourn.ids import SessionKey, UserKey
from sojourn.resilience.deadline import from_now, halfway, no_later_than
from sojourn.sessions.commons import LUA, Commons, Policy
from sojourn.sessions.hashes import FOREIGN, parse_head, user_state
from sojourn.sessions.indexes import Indexes
from sojourn.sessions.inspection import Inspection
from sojourn.sessions.quarantine import Quarantine
from sojourn.sessions.replies import (
    MARK,
    Snapshot,
    as_object,
    counted,
    guarded,
    mark_of,
    ms,
    parse_mark,
    seconds,
)
from sojourn.sessions.rows import first_seq, wanted
from sojourn.sessions.store import (
    Birth,
    Born,
    Change,
    Delta,
    Head,
    Listed,
    Named,
    Pairs,
    Place,
    Stored,
    Window,
    Write,
    Written,
)

CREATE, APPEND, UPDATE, TRIM, DELETE = (
    Script.load(LUA, name) for name in ("create", "append", "update", "trim", "delete")
)

_SHORT = 64
"""Events up to which a reply is small."""
_TRIES = 3
"""How often a read is repeated when the log is being cut under it."""


class RedisSessions:
    """The sessions of one deployment, over an engine."""

    def __init__(self, engine: Engine, keys: Keys, policy: Policy, quarantine: Quarantine) -> None:
        self._engine = engine
        self._keys = keys
        self._policy = policy
        self._inspection = Inspection(engine, quarantine)
        self._commons = Commons(engine, keys, policy, self._inspection)
        self._indexes = Indexes(engine, keys, self._commons, self._inspection)
        self._shared_ttl = ms(policy.state_ttl)

    async def create(self, key: SessionKey, birth: Birth) -> Born:
        """One round trip; one more for the first session of a user in this process, or app state.

        The user is entered into the app's index first: a user without sessions is harmless there,
        a session without its user would be invisible.
        """
        await self._commons.enroll(key.owner, birth.ttl)
        ours, user = self._keys.session(key), self._keys.user(key)
        script: Call[Any] = Call(
            name="sessions.create",
            keys=(*ours, *user[:5], *self._commons.told(key)),
            read=only,
            script=CREATE,
            args=(
                birth.operation_id,
                key.session,
                "" if birth.created is None else birth.created,
                ms(birth.ttl),
                self._shared_ttl,
                self._policy.max_state_bytes,
                as_object(birth.state.app),
                birth.title,
                birth.status,
                birth.metadata,
                *counted(birth.state.session),
                *counted(birth.state.user),
            ),
            operation_id=birth.operation_id,
        )
        reply, *states = await self._engine.settle_all(
            [script, *self._commons.state_calls(key.owner)]
        )
        if isinstance(reply, BaseException):
            raise reply
        status = reply[0]
        if status == b"exists":
            raise SessionExists(f"A session with the id {key.session!r} exists already.")
        if status == b"gone":
            raise Conflict(
                f"The session {key.session!r} was created by this operation before and is gone "
                "since: it is not created again. Use a new operation_id for a new session."
            )
        if status not in (b"ok", b"duplicate"):
            self._not_fitting(reply, key)
        _, created, expires, stamp, waiting = reply
        app_delta: Pairs = birth.state.app if status == b"ok" else {}
        await self._commons.share(key.owner, birth.operation_id, app_delta, stamp, waiting)
        for state in states:
            if isinstance(state, Unavailable):
                raise OutcomeUnknown(
                    f"The session was created, but the state around it could not be read ({state})."
                    f" Repeat it with operation_id={birth.operation_id!r}, it takes effect once.",
                    operation_id=birth.operation_id,
                ) from state
            if isinstance(state, BaseException):
                raise state
        user_found, app_found = states
        flawed = await self._commons.report(key.owner, user_found, app_found)
        return Born(
            float(created),
            seconds(expires),
            {**user_found.pairs, **birth.state.user},
            {**app_found.pairs, **birth.state.app},
            repeated=status == b"duplicate",
            readable=not flawed,
        )

    async def append(
        self, key: SessionKey, rows: Sequence[bytes], delta: Delta, updated: float, write: Write
    ) -> Written:
        """One round trip; one more when the delta touches the app's state."""
        end = from_now(self._engine.timeout)
        ours, user = self._keys.session(key), self._keys.user(key)
        reply: list[Any] = await self._engine.run(
            Call(
                name="sessions.append",
                keys=(*ours, *user[:4], *self._commons.told(key)),
                read=only,
                script=APPEND,
                args=(
                    *guarded(write),
                    key.session,
                    updated,
                    self._shared_ttl,
                    self._policy.max_state_bytes,
                    "" if self._policy.max_events is None else self._policy.max_events,
                    as_object(delta.app),
                    len(rows),
                    *rows,
                    *counted(delta.session),
                    *counted(delta.user),
                ),
                operation_id=write.operation_id,
            )
        )
        self._refused(reply, key, write)
        status, version, seq, stamp, waiting, ttl = reply
        if delta.app or waiting:
            app_delta: Pairs = delta.app if status == b"ok" else {}
            with no_later_than(end):
                await self._commons.share(key.owner, write.operation_id, app_delta, stamp, waiting)
        self._commons.keep_alive(key.owner, seconds(ttl))
        return Written(int(float(version)), int(seq), status == b"duplicate")

    async def update(self, key: SessionKey, change: Change, write: Write) -> Written:
        """One round trip."""
        ours, user = self._keys.session(key), self._keys.user(key)
        ttl = "keep" if change.ttl == "keep" else ms(change.ttl)
        reply: list[Any] = await self._engine.run(
            Call(
                name="sessions.update",
                keys=(*ours, *user[:2], *self._commons.told(key)),
                read=only,
                script=UPDATE,
                args=(
                    *guarded(write),
                    key.session,
                    ttl,
                    *(part for pair in change.fields.items() for part in pair),
                    *self._commons.told_for(),
                ),
                operation_id=write.operation_id,
            )
        )
        self._refused(reply, key, write)
        self._commons.keep_alive(key.owner, seconds(reply[2]))
        return Written(int(float(reply[1])), 0, reply[0] == b"duplicate")

    async def trim(self, key: SessionKey, drop: int, keep: int | None, write: Write) -> Written:
        """One round trip."""
        ours, user = self._keys.session(key), self._keys.user(key)
        reply: list[Any] = await self._engine.run(
            Call(
                name="sessions.trim",
                keys=(*ours, *user[:2], *self._commons.told(key)),
                read=only,
                script=TRIM,
                args=(
                    *guarded(write),
                    key.session,
                    drop,
                    "" if keep is None else keep,
                    *self._commons.told_for(),
                ),
                operation_id=write.operation_id,
            )
        )
        self._refused(reply, key, write)
        self._commons.keep_alive(key.owner, seconds(reply[2]))
        return Written(int(float(reply[1])), int(reply[3]), reply[0] == b"duplicate")

    async def delete(self, key: SessionKey, write: Write) -> bool:
        """One round trip."""
        ours, user = self._keys.session(key), self._keys.user(key)
        reply: list[Any] = await self._engine.run(
            Call(
                name="sessions.delete",
                keys=(*ours, *user[:2], user.operations, *self._commons.told(key)),
                read=only,
                script=DELETE,
                args=(
                    write.operation_id,
                    write.incarnation,
                    key.session,
                    *self._commons.told_for(),
                ),
                operation_id=write.operation_id,
            )
        )
        return bool(reply[0] != b"missing")

    # ── reading ────────────────────────────────────────────────────────────────────────────────

    async def read(self, key: SessionKey, window: Window) -> Stored | None:
        """One round trip; one more when other writers moved the rows while they were read."""
        _, app_call = self._commons.state_calls(key.owner)
        stored = None
        for attempt in range(_TRIES):
            call = self._read_call(key, window)
            if attempt == _TRIES - 1:
                call = call._replace(
                    commands=[("MULTI",), *call.commands, ("EXEC",)], read=Snapshot.of_transaction
                )
            seen, app = await self._engine.run_all([call, app_call])
            if not seen.fields:
                return None
            head, state, flawed = await self._inspected(key, seen)
            if isinstance(seen.waiting, int) and seen.waiting:
                with no_later_than(halfway()):
                    left, whole = await self._commons.drain(key.owner)
                flawed |= not whole
                app = await self._engine.run(app_call)
                app = app._replace(pairs={**app.pairs, **left})
            user = user_state(seen.user)
            flawed |= await self._commons.report(key.owner, user, app)
            rows, settled = await self._as_of(key, head, window, seen)
            complete = settled and len(rows) == len(wanted(head, window))
            stored = Stored(
                head=head,
                state=state,
                user=user.pairs,
                app=app.pairs,
                rows=rows,
                first=first_seq(head, rows),
                complete=complete,
                readable=not flawed,
            )
            if settled:
                break
        if stored is not None:
            self._commons.keep_alive(key.owner, stored.head.ttl)
        return stored

    async def _inspected(self, key: SessionKey, seen: Snapshot) -> tuple[Head, Pairs, bool]:
        """The head and the state of a session, and whether anything was left out.

        Raises:
            CorruptRecord: the head cannot be read.
        """
        ours, outbox = self._keys.session(key), self._keys.user(key).outbox
        head, state, flaws = parse_head(seen.fields)
        place = key.owner, key.session
        if head is None:
            raise await self._inspection.refusal(*place, "session", ours.head, flaws)
        flawed = await self._inspection.report(*place, "session", ours.head, flaws)
        if isinstance(seen.rows, Exception):
            flawed |= await self._inspection.report(*place, "events", ours.events, [FOREIGN])
        if isinstance(seen.waiting, Exception):
            flawed |= await self._inspection.report(key.owner, None, "outbox", outbox, [FOREIGN])
        return head, state, flawed

    async def _as_of(
        self, key: SessionKey, head: Head, window: Window, seen: Snapshot
    ) -> tuple[list[bytes], bool]:
        """The rows as they stood when the head was read, and whether that could be made sure.

        What was appended since stands behind them, and moves only what was counted from the end.
        """
        if isinstance(seen.rows, Exception):
            return [], True
        before, after = mark_of(head), parse_mark(seen.mark)
        if before == after or window.last == 0:
            return seen.rows, True
        places = wanted(head, window)
        if not places:
            return [], True
        if before.same_places_as(after) and (window.start is not None or window.last is None):
            return seen.rows[: len(places)], True
        rows, mark = await self._engine.run(self._exact_call(key, places))
        return rows, before.same_places_as(parse_mark(mark))

    def _read_call(self, key: SessionKey, window: Window) -> Call[Snapshot]:
        ours, user = self._keys.session(key), self._keys.user(key)
        commands: list[Command] = [
            ("HGETALL", ours.head),
            ("HGETALL", user.state),
            ("HLEN", user.outbox),
        ]
        if window.last != 0:
            first = -(window.last or 0) if window.start is None else window.start
            commands += [("LRANGE", ours.events, first, -1), ("HMGET", ours.head, *MARK)]
        return Call(
            name="sessions.read",
            keys=(*ours[:2], user.state, user.outbox),
            read=Snapshot.of,
            commands=commands,
            bulk=window.start is None and (window.last is None or window.last > _SHORT),
            lenient=True,
        )

    def _exact_call(self, key: SessionKey, places: range) -> Call[list[Any]]:
        head, log, _ = self._keys.session(key)
        return Call(
            name="sessions.read",
            keys=(head, log),
            read=list,
            commands=[("LRANGE", log, places.start, places.stop - 1), ("HMGET", head, *MARK)],
            bulk=True,
        )

    async def shared_state(self, owner: UserKey) -> tuple[Pairs, Pairs]:
        """One round trip."""
        user, app = await self._engine.run_all(self._commons.state_calls(owner))
        if FOREIGN in user.flaws:
            key = self._keys.user(owner).state
            raise await self._inspection.refusal(owner, None, "user state", key, user.flaws)
        await self._commons.report(owner, user, app)
        return user.pairs, app.pairs

    async def list_sessions(self, owner: UserKey, after: Place | None, limit: int) -> Listed:
        """Two round trips a page."""
        return await self._indexes.list_sessions(owner, after, limit)

    async def list_names(
        self, app: str | None, shard: int, after: Place | None, limit: int
    ) -> Named:
        """One round trip a page."""
        return await self._indexes.list_names(app, shard, after, limit)

    # ── refusals ───────────────────────────────────────────────────────────────────────────────

    def _refused(self, reply: list[Any], key: SessionKey, write: Write) -> None:
        status = reply[0]
        if status in (b"ok", b"duplicate"):
            return
        if status == b"missing":
            raise SessionNotFound(
                f"There is no session {key.session!r} of this user any more, or not the one that "
                "was loaded: it was deleted or has expired. Nothing was written."
            )
        if status == b"stale":
            actual, expected = int(reply[1]), write.expected or 0
            raise StaleSession(
                f"The session {key.session!r} is at version {actual}, not {expected}: load it "
                "again and repeat. Nothing was written.",
                expected=expected,
                actual=actual,
            )
        self._not_fitting(reply, key)

    def _not_fitting(self, reply: list[Any], key: SessionKey) -> NoReturn:
        if reply[0] == b"corrupt":
            head = self._keys.session(key).head
            raise CorruptRecord(
                f"The session at {head!r} cannot be read, so nothing was written. A read says what "
                "is wrong; deleting the session removes it.",
                key=head,
                raw=b"",
            )
        what = f"The {reply[0].decode()}"
        raise TooLarge(what, int(reply[1]), self._policy.max_state_bytes, "max_state_bytes")
