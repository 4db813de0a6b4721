"""Sessions on a server: one script per write, plain commands per read."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Any, NamedTuple, NoReturn

from sojourn.codecs import decode, encode
from sojourn.engine.call import Argument, Call, Command, Script
from sojourn.engine.engine import Engine
from sojourn.engine.keys import Keys
from sojourn.errors import (
    Conflict,
    CorruptRecord,
    SessionExists,
    SessionNotFound,
    StaleSession,
    TooLarge,
)
from sojourn.ids import SessionId, SessionKey, UserKey
from sojourn.sessions.rows import as_of
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

log = logging.getLogger("sojourn.sessions")

_LUA = files("sojourn.sessions") / "lua"
_CREATE, _APPEND, _UPDATE, _DELETE, _APPLY, _ENROLL, _REFRESH, _PRUNE = (
    Script.load(_LUA, name)
    for name in ("create", "append", "update", "delete", "apply", "enroll", "refresh", "prune")
)

_BULK = 64 * 1024
"""Bytes from which a request travels apart from small ones."""
_TRIES = 3
"""How often a read is repeated when the log is being cut under it."""
_ROLL = 10_000
"""Users whose enrolment a process remembers."""


class Policy(NamedTuple):
    """Lifetimes in seconds (None is for ever) and caps in bytes or events (None is no cap)."""

    session_ttl: float | None
    state_ttl: float | None
    max_state_bytes: int
    max_events: int | None


class RedisSessions:
    """The sessions of one deployment, over an engine."""

    def __init__(self, engine: Engine, keys: Keys, policy: Policy) -> None:
        self._engine = engine
        self._keys = keys
        self._policy = policy
        self._shared_ttl = _ms(policy.state_ttl)
        self._roll: OrderedDict[UserKey, float] = OrderedDict()

    async def create(self, key: SessionKey, birth: Birth) -> Born:
        """One round trip; one more for the first session of a user in this process, or app state.

        The user is entered into the app's index first: a user without sessions is harmless there,
        a session without its user would be invisible.
        """
        if self._is_due(key.owner):
            await self._engine.run_all(self._enrolment(key.owner, birth.ttl))
            self._enrolled(key.owner)
        ours, user = self._keys.session(key), self._keys.user(key)
        script: Call[Any] = Call(
            name="sessions.create",
            keys=(*ours, *user),
            read=_only,
            script=_CREATE,
            args=(
                birth.operation_id,
                key.session,
                "" if birth.created is None else birth.created,
                _ms(birth.ttl),
                self._shared_ttl,
                self._policy.max_state_bytes,
                _object(birth.state.app),
                birth.title,
                birth.status,
                birth.metadata,
                *_counted(birth.state.session),
                *_counted(birth.state.user),
            ),
            operation_id=birth.operation_id,
            bulk=_weight(birth.state) > _BULK,
        )
        reply, user_state, app_state = await self._engine.run_all(
            [script, self._state_call(user.state), self._state_call(self._keys.app_state(key.app))]
        )
        status = reply[0]
        if status == b"exists":
            raise SessionExists(f"A session with the id {key.session!r} exists already.")
        if status == b"gone":
            raise Conflict(
                f"The session {key.session!r} was created by this operation before and is gone "
                "since: it is not created again. Use a new operation_id for a new session."
            )
        if status not in (b"ok", b"duplicate"):
            self._too_large(reply, key)
        _, created, expires, stamp, waiting = reply
        app_delta = birth.state.app if status == b"ok" else {}
        await self._share(key.owner, birth.operation_id, app_delta, stamp, waiting)
        return Born(
            float(created),
            _seconds(expires),
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
                read=_only,
                script=_APPEND,
                args=(
                    *_guard(write),
                    key.session,
                    updated,
                    self._shared_ttl,
                    self._policy.max_state_bytes,
                    "" if self._policy.max_events is None else self._policy.max_events,
                    _object(delta.app),
                    len(rows),
                    *rows,
                    *_counted(delta.session),
                    *_counted(delta.user),
                ),
                operation_id=write.operation_id,
                bulk=sum(map(len, rows)) + _weight(delta) > _BULK,
            )
        )
        self._refused(reply, key, write)
        status, version, seq, stamp, waiting, ttl = reply
        app_delta = delta.app if status == b"ok" else {}
        await self._share(key.owner, write.operation_id, app_delta, stamp, waiting)
        self._keep_alive(key.owner, _seconds(ttl))
        return Written(int(version), int(seq), status == b"duplicate")

    async def update(self, key: SessionKey, change: Change, write: Write) -> Written:
        """One round trip."""
        ours, user = self._keys.session(key), self._keys.user(key)
        ttl = "keep" if change.ttl == "keep" else _ms(change.ttl)
        reply: list[Any] = await self._engine.run(
            Call(
                name="sessions.update",
                keys=(*ours, *user[:2]),
                read=_only,
                script=_UPDATE,
                args=(
                    *_guard(write),
                    key.session,
                    ttl,
                    *(part for pair in change.fields.items() for part in pair),
                ),
                operation_id=write.operation_id,
            )
        )
        self._refused(reply, key, write)
        self._keep_alive(key.owner, None if change.ttl == "keep" else change.ttl)
        return Written(int(reply[1]), 0, reply[0] == b"duplicate")

    async def delete(self, key: SessionKey, write: Write) -> bool:
        """One round trip."""
        ours, user = self._keys.session(key), self._keys.user(key)
        reply: list[Any] = await self._engine.run(
            Call(
                name="sessions.delete",
                keys=(*ours, *user[:2], user.operations),
                read=_only,
                script=_DELETE,
                args=(write.operation_id, write.incarnation, key.session),
                operation_id=write.operation_id,
            )
        )
        return bool(reply[0] != b"missing")

    # ── reading ────────────────────────────────────────────────────────────────────────────────

    async def read(self, key: SessionKey, window: Window) -> Stored | None:
        """One round trip; one more when other writers moved the rows while they were read."""
        stored = None
        app_state = self._state_call(self._keys.app_state(key.app))
        for _ in range(_TRIES):
            (fields, rows, user, waiting), app = await self._engine.run_all(
                [self._read_call(key, window), app_state]
            )
            if not fields:
                return None
            head, state = _head(fields, self._keys.session(key).head)
            if waiting:
                await self._drain(key.owner)
                app = await self._engine.run(app_state)
            stored = as_of(Stored(head, state, _values(user), app, rows, 0), window)
            if not stored.complete:
                rows = await self._engine.run(self._exact_call(key, head, window))
                stored = as_of(stored._replace(rows=rows), window)
            if stored.complete:
                break
        if stored is not None:
            self._keep_alive(key.owner, stored.head.ttl)
        return stored

    def _read_call(self, key: SessionKey, window: Window) -> Call[tuple[Any, ...]]:
        ours, user = self._keys.session(key), self._keys.user(key)
        commands: list[Command] = [
            ("HGETALL", ours.head),
            ("HGETALL", user.state),
            ("HLEN", user.outbox),
        ]
        if window.start is not None:
            commands.append(("LRANGE", ours.events, window.start, -1))
        elif window.last != 0:
            commands.append(("LRANGE", ours.events, -(window.last or 0), -1))
        return Call(
            name="sessions.read",
            keys=(*ours[:2], user.state, user.outbox),
            read=lambda r: (r[0], r[3] if len(r) > 3 else [], r[1], r[2]),
            commands=commands,
            bulk=window.start is None and (window.last is None or window.last > 64),
        )

    def _exact_call(self, key: SessionKey, head: Head, window: Window) -> Call[list[bytes]]:
        """The rows of a window by their places as of `head`: later appends do not shift them."""
        log = self._keys.session(key).events
        kept = head.seq - head.dropped
        first = window.start if window.start is not None else kept - min(kept, window.last or kept)
        return Call(
            name="sessions.read",
            keys=(log,),
            read=_only,
            commands=[("LRANGE", log, first, kept - 1)],
            bulk=True,
        )

    def _state_call(self, key: str) -> Call[Pairs]:
        return Call(
            name="sessions.state",
            keys=(key,),
            read=lambda replies: _values(replies[0]),
            commands=[("HGETALL", key)],
        )

    async def shared_state(self, owner: UserKey) -> tuple[Pairs, Pairs]:
        """One round trip."""
        keys = (self._keys.user(owner).state, self._keys.app_state(owner.app))
        user, app = await self._engine.run_all([self._state_call(key) for key in keys])
        return user, app

    async def list(self, owner: UserKey, after: Place | None, limit: int) -> Listed:
        """Two round trips a page."""
        user = self._keys.user(owner)
        page = await self._page(user.by_update, after, limit)
        keys = [SessionKey(*owner, SessionId(name)) for name in page.names]
        if not keys:
            return Listed([], None)
        heads = [self._keys.session(key).head for key in keys]
        call = Call(
            name="sessions.list",
            keys=(*heads, user.state),
            read=lambda replies: replies,
            commands=[("HGETALL", head) for head in (*heads, user.state)],
            bulk=True,
        )
        replies, app = await self._engine.run_all(
            [call, self._state_call(self._keys.app_state(owner.app))]
        )
        state = _values(replies.pop())
        sessions = [
            (key, Stored(*_head(fields, head), state, app, [], 0))
            for key, head, fields in zip(keys, heads, replies, strict=True)
            if fields
        ]
        if len(sessions) < len(keys):
            self._engine.post(Call("sessions.prune", user[:2], _only, script=_PRUNE))
        return Listed(sessions, page.after)

    async def names(self, app: str | None, shard: int, after: Place | None, limit: int) -> Named:
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
                    read=_only,
                    commands=[(*command, "LIMIT", offset, size)],
                )
            )
            batch = [Place(float(flat[i + 1]), flat[i].decode()) for i in range(0, len(flat), 2)]
            found += [place for place in batch if after is None or place > after]
            offset += size
            if len(batch) < size:
                break
        more = len(found) > limit
        return Named([place.name for place in found[:limit]], found[limit - 1] if more else None)

    # ── what users and apps share ──────────────────────────────────────────────────────────────

    async def _share(
        self, owner: UserKey, operation_id: str, delta: Pairs, stamp: bytes, waiting: int
    ) -> None:
        """Carry an app delta from the user's outbox to the app's own slot.

        The outbox entry was written with the event, so that a client that dies here loses nothing:
        whoever touches the user next finds it, or this client when it repeats the write.
        """
        if delta:
            await self._apply(owner, operation_id.encode(), stamp, delta)
        if waiting:
            await self._drain(owner)

    async def _drain(self, owner: UserKey) -> None:
        outbox = self._keys.user(owner).outbox
        flat: list[bytes] = await self._engine.run(
            Call("sessions.outbox", (outbox,), _only, commands=[("HGETALL", outbox)])
        )
        for operation_id, entry in _pairs(flat):
            left = decode(entry)
            delta = {name: value.encode() for name, value in left["delta"].items()}
            try:
                await self._apply(owner, operation_id, str(left["stamp"]).encode(), delta)
            except TooLarge as error:  # its writer was told, or has died
                log.warning("A delta left in %s was refused: %s", outbox, error)

    async def _apply(
        self, owner: UserKey, operation_id: bytes, stamp: bytes, delta: Pairs
    ) -> None:
        key, outbox = self._keys.app_state(owner.app), self._keys.user(owner).outbox
        cap = self._policy.max_state_bytes
        reply: list[Any] = await self._engine.run(
            Call(
                name="sessions.apply",
                keys=(key,),
                read=_only,
                script=_APPLY,
                args=(stamp, operation_id, self._shared_ttl, cap, *_counted(delta)),
                operation_id=operation_id.decode(),
            )
        )
        done: Call[Any] = Call(
            "sessions.outbox", (outbox,), _only, commands=[("HDEL", outbox, operation_id)]
        )
        self._engine.post(done)
        if reply[0] != b"ok":
            raise TooLarge("The app's state", int(reply[1]), cap, "max_state_bytes")

    def _is_due(self, owner: UserKey) -> bool:
        return self._roll.get(owner, 0.0) < time.monotonic()

    def _enrolled(self, owner: UserKey) -> None:
        """Remember it for a thirtieth of the shared lifetime, a day by default."""
        period = (self._policy.state_ttl or 30 * 86_400) / 30
        self._roll[owner] = time.monotonic() + period
        self._roll.move_to_end(owner)
        if len(self._roll) > _ROLL:
            self._roll.popitem(last=False)

    def _keep_alive(self, owner: UserKey, ttl: float | None) -> None:
        """Once in a while, lengthen what the user shares with others; nobody waits for it."""
        if not self._is_due(owner):
            return
        self._enrolled(owner)
        for call in self._enrolment(owner, ttl):
            self._engine.post(call)
        for key in (self._keys.user(owner).state, self._keys.app_state(owner.app)):
            self._engine.post(
                Call("sessions.refresh", (key,), _only, script=_REFRESH, args=(self._shared_ttl,))
            )

    def _enrolment(self, owner: UserKey, ttl: float | None) -> list[Call[Any]]:
        """Entries that outlive the session, however its life is lengthened until the next time."""
        lives = (ttl, self._policy.session_ttl, self._policy.state_ttl)
        known = [life for life in lives if life is not None]
        lasting = "" if len(known) < len(lives) else _ms(2 * max(known))
        return [
            Call("sessions.enroll", (index,), _only, script=_ENROLL, args=(lasting, name))
            for index, name in (
                (self._keys.apps(), owner.app),
                (self._keys.users_of(owner), owner.user),
            )
        ]

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
        self._too_large(reply, key)

    def _too_large(self, reply: list[Any], key: SessionKey) -> NoReturn:
        what = f"The {reply[0].decode()} of session {key.session!r}"
        raise TooLarge(what, int(reply[1]), self._policy.max_state_bytes, "max_state_bytes")


# ── between values and replies ─────────────────────────────────────────────────────────────────


def _only(replies: list[Any]) -> Any:  # noqa: ANN401 - what the server answers
    return replies[0]


def _guard(write: Write) -> tuple[Argument, ...]:
    expected = "" if write.expected is None else write.expected
    return write.operation_id, write.incarnation, expected


def _counted(pairs: Pairs) -> tuple[Argument, ...]:
    return (len(pairs), *(part for pair in pairs.items() for part in pair))


def _weight(delta: Delta) -> int:
    return sum(len(value) for pairs in delta for value in pairs.values())


def _object(pairs: Pairs) -> bytes:
    """An app delta for the outbox: values stay JSON text, as strings, so that none is re-encoded."""
    return encode({name: value.decode() for name, value in pairs.items()}, "") if pairs else b""


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else str(max(1, round(seconds * 1000)))


def _seconds(ms: bytes) -> float | None:
    return int(ms) / 1000 if ms else None


def _pairs(flat: Sequence[bytes]) -> Iterable[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _values(flat: Sequence[bytes]) -> Pairs:
    """The state in a hash; `state:` stands before each of its keys."""
    return {
        field[6:].decode(): value for field, value in _pairs(flat) if field.startswith(b"state:")
    }


def _head(flat: Sequence[bytes], key: str) -> tuple[Head, Pairs]:
    fields = {field: value for field, value in _pairs(flat) if not field.startswith(b"state:")}
    try:
        head = Head(
            incarnation=fields[b"incarnation"].decode(),
            version=int(fields[b"version"]),
            epoch=int(fields[b"epoch"]),
            seq=int(fields[b"seq"]),
            dropped=int(fields[b"dropped"]),
            created=float(fields[b"created"]),
            updated=float(fields[b"updated"]),
            ttl=_seconds(fields[b"ttl"]),
            expires=_seconds(fields[b"expires"]),
            title=fields[b"title"].decode(),
            status=fields[b"status"].decode(),
            metadata=fields[b"metadata"],
        )
    except (KeyError, ValueError) as error:
        raw = b"\n".join(flat)
        message = f"The session at {key!r} cannot be read: {error!r}. Its bytes are in `raw`."
        raise CorruptRecord(message, key=key, raw=raw) from error
    return head, _values(flat)

