"""Export and import of sessions on a server, in their stored form."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sojourn.calls.call import Argument, Call, only
from sojourn.caps import CEILING
from sojourn.engine.engine import Engine
from sojourn.errors import CorruptRecord, TooLarge, Unavailable
from sojourn.ids import AppName, SessionKey, UserKey, new_operation_id
from sojourn.sessions import refusals
from sojourn.sessions.archive import STAGED, ArchivedSession, ArchivedState, LogSlice, Outcome
from sojourn.sessions.index_registry import REGISTER, IndexRegistry
from sojourn.sessions.inspection import CorruptionReporter
from sojourn.sessions.keys import SessionRoomKeys
from sojourn.sessions.policy import Policy
from sojourn.sessions.quarantine import Quarantine
from sojourn.sessions.recent import Recent, entry_of
from sojourn.sessions.replies import counted, ms
from sojourn.sessions.scripts import load
from sojourn.sessions.session_codec import FOREIGN, app_state, parse_head, user_state
from sojourn.sessions.shared_state import SharedState
from sojourn.sessions.store import IndexEntry, Pairs, SessionSnapshot

_STRETCH, _STAGE, _RESTORE, _EXPIRE, _REINSTATE = (
    load(name) for name in ("stretch", "stage", "restore", "expire", "reinstate")
)
_CENTURY = 3_155_760_000.0
"""Seconds; the index of apps knows no "never"."""


class RedisArchive:
    """A `SessionArchive` over an engine."""

    def __init__(
        self, engine: Engine, keys: SessionRoomKeys, policy: Policy, quarantine: Quarantine
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._policy = policy
        self._shared_state = SharedState(
            engine, keys, policy, CorruptionReporter(engine, quarantine)
        )
        self._registry = IndexRegistry(engine, keys, policy)
        self._recent = Recent(engine, keys)

    async def find(self, key: SessionKey) -> SessionSnapshot | None:
        """One round trip."""
        name = self._keys.session(key).head
        call: Call[list[Any]] = Call(
            "sessions.find",
            (name,),
            only,
            commands=[("HGETALL", name)],
            separate_connection=True,
            allow_wrong_type=True,
        )
        fields = await self._engine.run(call)
        if not fields:
            return None
        head, state, flaws, newer = parse_head(fields)
        if newer is not None:
            raise newer
        if head is None:
            raise CorruptRecord(f"The session at {name!r} cannot be read.", key=name, raw=b"")
        return SessionSnapshot(head, state, {}, {}, [], 0, readable=not flaws)

    async def stretch(self, key: SessionKey, first: int, most: int, size: int) -> LogSlice | None:
        """One round trip."""
        head, events, *_ = self._keys.session(key)
        call: Call[list[Any]] = Call(
            name="sessions.stretch",
            keys=(head, events),
            read=only,
            script=_STRETCH,
            args=(first, most, size),
            separate_connection=True,
        )
        reply = await self._engine.run(call)
        if not reply:
            return None
        if reply[0] == b"corrupt":
            raise CorruptRecord(f"The session at {head!r} cannot be read.", key=head, raw=b"")
        _, incarnation, epoch, dropped, lost, seq, start, *rows = reply
        return LogSlice(
            incarnation.decode(errors="replace"), epoch, dropped, lost, seq, start, rows
        )

    async def stage(
        self, key: SessionKey, name: str, dropped: int, before: int, rows: Sequence[bytes]
    ) -> int:
        """One round trip."""
        call: Call[int] = Call(
            name="sessions.stage",
            keys=self._keys.staged(key, name),
            read=only,
            script=_STAGE,
            args=(before, ms(STAGED), dropped, *rows),
            separate_connection=True,
        )
        return await self._engine.run(call)

    async def restore(self, key: SessionKey, image: ArchivedSession, *, replace: bool) -> Outcome:
        """One round trip; one more for the first session of a user in this process."""
        head = image.head
        span = _lasting(head.span, head.expires)
        await self._registry.register_only(key.owner, span)
        user = self._keys.user(key)
        call: Call[list[Any]] = Call(
            name="sessions.restore",
            keys=(
                *self._keys.session(key),
                *user[:2],
                user.operations,
                *self._keys.staged(key, image.staged),
                *self._policy.notice_keys(user),
            ),
            read=only,
            script=_RESTORE,
            args=(
                *(head.incarnation, key.session, _replacing(replace)),
                *(head.version, head.seq, head.dropped, head.created, head.updated),
                *(ms(head.ttl), ms(head.until), ms(head.expires)),
                CEILING.state,
                "" if self._policy.max_sessions is None else self._policy.max_sessions,
                image.before,
                *counted({"log_id": head.log_id.encode(), **head.fields}),
                *counted(image.state),
                len(image.rows),
                *image.rows,
                *self._policy.notice_args(),
            ),
            operation_id=head.incarnation,
            separate_connection=True,
        )
        status, *said = await self._engine.run(call)
        match status:
            case b"ok" | b"duplicate":
                await self._registry.register_only(key.owner, span)  # the server may be another now
                self._recent.enter(entry_of(key, head, said[0] if said else b""))
                return "restored"
            case b"gone":
                raise refusals.gone(key)
            case b"full":
                raise refusals.full(key, int(said[0]))
            case b"newer":
                raise refusals.newer("The session that would be replaced", said[0].decode())
            case b"incomplete":
                raise refusals.incomplete(key, image.before, int(said[0]))
            case _:
                return self._outcome(status, said)

    async def expire(
        self, key: SessionKey, incarnation: str, version: int, ttl: float | None, at: float | None
    ) -> None:
        """One round trip; one more when the user's index of an app is to live longer."""
        await self._registry.register_only(key.owner, _lasting(ttl, at))
        head, events, _, ids = self._keys.session(key)
        call: Call[list[Any]] = Call(
            name="sessions.expire",
            keys=(head, events, ids, *self._keys.user(key)[:2]),
            read=only,
            script=_EXPIRE,
            args=(incarnation, version, key.session, ms(ttl), ms(at)),
            operation_id=new_operation_id(),
        )
        status, *said = await self._engine.run(call)
        match status:
            case b"missing":
                raise refusals.missing(key)
            case b"stale":
                raise refusals.stale(key, actual=int(said[0]), expected=version)
            case b"corrupt":
                raise CorruptRecord(f"The session at {head!r} cannot be read.", key=head, raw=b"")
            case _:
                self._recent.enter(IndexEntry(key, *said))

    async def clock(self) -> float:
        """One round trip."""
        call: Call[Any] = Call("sessions.clock", (self._keys.apps(),), only, commands=[("TIME",)])
        seconds, micros = await self._engine.run(call)
        return int(seconds) + int(micros) / 1_000_000

    async def shared(self, of: UserKey | AppName) -> ArchivedState:
        """One round trip; more when changes of the app's state are left to be carried out."""
        newer = 0
        if isinstance(of, UserKey):
            drained = await self._shared_state.flush(of)
            newer = drained.newer
            if drained.left:
                raise Unavailable("A change of the app's state cannot be carried out now.")
        key = self._state_key(of)
        call: Call[list[Any]] = Call(
            name="sessions.state",
            keys=(key,),
            read=list,
            commands=[("TIME",), ("PTTL", key), ("HGETALL", key)],
            allow_wrong_type=True,
        )
        clock, left, fields = await self._engine.run(call)
        found = user_state(fields) if isinstance(of, UserKey) else app_state(fields)
        if FOREIGN in found.flaws:
            raise CorruptRecord(f"{key!r} is a key of another type.", key=key, raw=b"")
        now = int(clock[0]) * 1000 + int(clock[1]) // 1000
        expires = None if left < 0 else (now + left) / 1000
        return ArchivedState(found.known(), expires, not found.flaws, found.more, newer)

    async def reinstate(
        self, of: UserKey | AppName, pairs: Pairs, expires: float | None, *, replace: bool
    ) -> Outcome:
        """Two round trips; for a user one, when it was entered into its app's index lately."""
        if isinstance(of, UserKey):
            await self._registry.register_only(of, self._policy.state_ttl)
            named = ""
        else:
            named = f"restored-{new_operation_id()}"
            await self._register_app(of)
        call: Call[list[Any]] = Call(
            name="sessions.reinstate",
            keys=(self._state_key(of),),
            read=only,
            script=_REINSTATE,
            args=(
                _replacing(replace),
                ms(expires),
                CEILING.state,
                named,
                *counted(pairs),
            ),
            operation_id=new_operation_id(),
            separate_connection=True,
        )
        status, *said = await self._engine.run(call)
        if status == b"newer":
            raise refusals.newer("The state that would be replaced", said[0].decode())
        return "restored" if status == b"ok" else self._outcome(status, said)

    async def _register_app(self, app: AppName) -> None:
        lasting = 2 * (self._policy.state_ttl or _CENTURY)
        call: Call[Any] = Call(
            "sessions.register",
            (self._keys.apps(),),
            only,
            script=REGISTER,
            args=(ms(lasting), app),
        )
        await self._engine.run(call)

    def _state_key(self, of: UserKey | AppName) -> str:
        if isinstance(of, UserKey):
            return self._keys.user(of).state
        return self._keys.app_state(of)

    def _outcome(self, status: bytes, said: Sequence[Any]) -> Outcome:
        if status == b"state":
            raise TooLarge("The state", int(said[0]), CEILING.state)
        return "expired" if status == b"expired" else "exists"


def _replacing(replace: bool) -> Argument:
    return "replace" if replace else ""


def _lasting(span: float | None, expires: float | None) -> float | None:
    """Seconds that a session is on its user's index: its next change may be long before its end."""
    if span is None or expires is None:
        return None
    return max(span, expires - time.time())
