"""Sessions on a server: one script per write, plain commands per read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from sojourn.engine.call import Call, Command, Script
from sojourn.engine.engine import Engine
from sojourn.engine.keys import Keys
from sojourn.errors import (
    Conflict,
    OutcomeUnknown,
    SessionExists,
    SessionNotFound,
    StaleSession,
    TooLarge,
    Unavailable,
)
from sojourn.ids import SessionId, SessionKey, UserKey
from sojourn.sessions.commons import LUA, Commons, Policy
from sojourn.sessions.replies import (
    MARK,
    Snapshot,
    as_object,
    counted,
    guarded,
    mark_of,
    ms,
    only,
    parse_head,
    parse_mark,
    seconds,
    values,
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

_CREATE, _APPEND, _UPDATE, _DELETE, _PRUNE = (
    Script.load(LUA, name) for name in ("create", "append", "update", "delete", "prune")
)

_SHORT = 64
"""Events up to which a reply is small."""
_TRIES = 3
"""How often a read is repeated when the log is being cut under it."""


class RedisSessions:
    """The sessions of one deployment, over an engine."""

    def __init__(self, engine: Engine, keys: Keys, policy: Policy) -> None:
        self._engine = engine
        self._keys = keys
        self._policy = policy
        self._commons = Commons(engine, keys, policy)
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
            keys=(*ours, *user),
            read=only,
            script=_CREATE,
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
            [
                script,
                self._commons.state_call(user.state),
                self._commons.state_call(self._keys.app_state(key.app)),
            ]
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
            self._too_large(reply)
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
        user_state, app_state = states
        return Born(
            float(created),
            seconds(expires),
            {**user_state, **birth.state.user},
            {**app_state, **birth.state.app},
            repeated=status == b"duplicate",
        )

    async def append(
        self, key: SessionKey, rows: Sequence[bytes], delta: Delta, updated: float, write: Write
    ) -> Written:
        """One round trip; one more when the delta touches the app's state."""
        ours, user = self._keys.session(key), self._keys.user(key)
        reply: list[Any] = await self._engine.run(
            Call(
                name="sessions.append",
                keys=(*ours, *user[:4]),
                read=only,
                script=_APPEND,
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
            await self._commons.share(key.owner, write.operation_id, app_delta, stamp, waiting)
        self._commons.keep_alive(key.owner, seconds(ttl))
        return Written(int(version), int(seq), status == b"duplicate")

    async def update(self, key: SessionKey, change: Change, write: Write) -> Written:
        """One round trip."""
        ours, user = self._keys.session(key), self._keys.user(key)
        ttl = "keep" if change.ttl == "keep" else ms(change.ttl)
        reply: list[Any] = await self._engine.run(
            Call(
                name="sessions.update",
                keys=(*ours, *user[:2]),
                read=only,
                script=_UPDATE,
                args=(
                    *guarded(write),
                    key.session,
                    ttl,
                    *(part for pair in change.fields.items() for part in pair),
                ),
                operation_id=write.operation_id,
            )
        )
        self._refused(reply, key, write)
        self._commons.keep_alive(key.owner, seconds(reply[2]))
        return Written(int(reply[1]), 0, reply[0] == b"duplicate")

    async def delete(self, key: SessionKey, write: Write) -> bool:
        """One round trip."""
        ours, user = self._keys.session(key), self._keys.user(key)
        reply: list[Any] = await self._engine.run(
            Call(
                name="sessions.delete",
                keys=(*ours, *user[:2], user.operations),
                read=only,
                script=_DELETE,
                args=(write.operation_id, write.incarnation, key.session),
                operation_id=write.operation_id,
            )
        )
        return bool(reply[0] != b"missing")

    # ── reading ────────────────────────────────────────────────────────────────────────────────

    async def read(self, key: SessionKey, window: Window) -> Stored | None:
        """One round trip; one more when other writers moved the rows while they were read."""
        app_state = self._commons.state_call(self._keys.app_state(key.app))
        stored = None
        for attempt in range(_TRIES):
            call = self._read_call(key, window)
            if attempt == _TRIES - 1:
                call = call._replace(
                    commands=[("MULTI",), *call.commands, ("EXEC",)], read=Snapshot.of_transaction
                )
            seen, app = await self._engine.run_all([call, app_state])
            if not seen.fields:
                return None
            head, state = parse_head(seen.fields, self._keys.session(key).head)
            if seen.waiting:
                left = await self._commons.drain(key.owner)
                app = await self._engine.run(app_state)
                app = {**app, **left}
            rows, settled = await self._as_of(key, head, window, seen)
            complete = settled and len(rows) == len(wanted(head, window))
            first = first_seq(head, rows)
            stored = Stored(head, state, values(seen.user), app, rows, first, complete)
            if settled:
                break
        if stored is not None:
            self._commons.keep_alive(key.owner, stored.head.ttl)
        return stored

    async def _as_of(
        self, key: SessionKey, head: Head, window: Window, seen: Snapshot
    ) -> tuple[list[bytes], bool]:
        """The rows as they stood when the head was read, and whether that could be made sure.

        What was appended since stands behind them, and moves only what was counted from the end.
        """
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
        keys = (self._keys.user(owner).state, self._keys.app_state(owner.app))
        user, app = await self._engine.run_all([self._commons.state_call(key) for key in keys])
        return user, app

    async def list_sessions(self, owner: UserKey, after: Place | None, limit: int) -> Listed:
        """Two round trips a page."""
        user = self._keys.user(owner)
        page = await self._page(user.by_update, after, limit)
        keys = [SessionKey(*owner, SessionId(place.name)) for place in page.places]
        if not keys:
            return Listed([], None)
        heads = [self._keys.session(key).head for key in keys]
        call = Call(
            name="sessions.list",
            keys=(*heads, user.state),
            read=list,
            commands=[("HGETALL", head) for head in (*heads, user.state)],
            bulk=True,
        )
        replies, app = await self._engine.run_all(
            [call, self._commons.state_call(self._keys.app_state(owner.app))]
        )
        state = values(replies.pop())
        sessions = [
            (key, Stored(*parse_head(fields, head), state, app, [], 0))
            for key, head, fields in zip(keys, heads, replies, strict=True)
            if fields
        ]
        if len(sessions) < len(keys):
            self._engine.post(Call("sessions.prune", user[:2], only, script=_PRUNE))
        return Listed(sessions, page.places[-1] if page.more else None)

    async def list_names(
        self, app: str | None, shard: int, after: Place | None, limit: int
    ) -> Named:
        """One round trip a page."""
        index = self._keys.apps() if app is None else self._keys.users(app, shard)
        return await self._page(index, after, limit)

    async def _page(self, index: str, after: Place | None, limit: int) -> Named:
        """Entries of a sorted set behind a place: those of its score may be on both sides of it."""
        low = "-inf" if after is None else after.score
        found: list[Place] = []
        offset, size = 0, limit + 1
        while len(found) <= limit:
            command: Command = ("ZRANGEBYSCORE", index, low, "+inf", "WITHSCORES")
            flat: list[bytes] = await self._engine.run(
                Call(
                    name="sessions.index",
                    keys=(index,),
                    read=only,
                    commands=[(*command, "LIMIT", offset, size)],
                )
            )
            batch = [Place(float(flat[i + 1]), flat[i].decode()) for i in range(0, len(flat), 2)]
            found += [place for place in batch if after is None or place > after]
            offset += size
            if len(batch) < size:
                break
        return Named(found[:limit], len(found) > limit)

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
        self._too_large(reply)

    def _too_large(self, reply: list[Any]) -> NoReturn:
        what = f"The {reply[0].decode()}"
        raise TooLarge(what, int(reply[1]), self._policy.max_state_bytes, "max_state_bytes")
