"""Consistent snapshots of sessions on a server, by plain commands."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from sojourn.calls.call import Call, Command
from sojourn.engine.engine import Engine
from sojourn.ids import SessionKey
from sojourn.resilience.deadline import Deadline, half_of_remaining
from sojourn.sessions.event_codec import first_seq, wanted
from sojourn.sessions.index_registry import IndexRegistry
from sojourn.sessions.inspection import CorruptionReporter
from sojourn.sessions.keys import SessionRoomKeys
from sojourn.sessions.replies import MARK, Snapshot, mark_of, parse_mark
from sojourn.sessions.session_codec import FOREIGN, DecodedState, parse_head, user_state
from sojourn.sessions.shared_state import SharedState
from sojourn.sessions.store import EventWindow, Pairs, SessionHeader, SessionSnapshot

_SHORT = 64
"""Events up to which a reply is small."""
_TRIES = 3
"""How often a read is repeated when the log is being cut under it."""


class Snapshots:
    """Reads the sessions of one deployment, over an engine."""

    def __init__(
        self,
        engine: Engine,
        keys: SessionRoomKeys,
        shared_state: SharedState,
        registry: IndexRegistry,
        inspection: CorruptionReporter,
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._shared_state = shared_state
        self._registry = registry
        self._inspection = inspection

    async def read(self, key: SessionKey, window: EventWindow) -> SessionSnapshot | None:
        """One round trip; one more when other writers moved the rows while they were read."""
        _, app_call = self._shared_state.state_calls(key.owner)
        stored = None
        for attempt in range(_TRIES):
            call = self.call(key, window)
            if attempt == _TRIES - 1:
                call = replace(
                    call,
                    commands=[("MULTI",), *call.commands, ("EXEC",)],
                    read=Snapshot.of_transaction,
                )
            seen, app = await self._engine.run_all([call, app_call])
            stored, settled = await self.stored(key, window, seen, app)
            if settled:
                break
        return stored

    async def stored(
        self, key: SessionKey, window: EventWindow, seen: Snapshot, app: DecodedState
    ) -> tuple[SessionSnapshot | None, bool]:
        """What was read, and whether the rows are as they stood when the head was read."""
        if not seen.fields:
            return None, True
        head, state, flawed = await self._inspected(key, seen)
        over: Pairs | None = None
        if isinstance(seen.waiting, int) and seen.waiting:
            with Deadline(half_of_remaining()):
                flushed = await self._shared_state.flush(key.owner)
            flawed |= not flushed.readable
            app, stamps = await self._engine.run(self._shared_state.stamped_call(key.owner))
            over = flushed.over(app, stamps)
        user = user_state(seen.user)
        flawed |= await self._shared_state.report(key.owner, user, app)
        user_pairs, app_pairs = user.known(), app.known() if over is None else over
        rows, settled = await self._as_of(key, head, window, seen)
        stored = SessionSnapshot(
            head=head,
            state=state,
            user=user_pairs,
            app=app_pairs,
            rows=rows,
            first=first_seq(head, rows),
            complete=settled and len(rows) == len(wanted(head, window)),
            readable=not flawed,
        )
        if settled:
            self._registry.keep_alive(key.owner, head.min_lifetime)
        return stored, settled

    async def _inspected(
        self, key: SessionKey, seen: Snapshot
    ) -> tuple[SessionHeader, Pairs, bool]:
        """The head and the state of a session, and whether anything was left out.

        Raises:
            CorruptRecord: the head cannot be read.
            NewerFormat: a newer version wrote it so.
        """
        ours, outbox = self._keys.session(key), self._keys.user(key).outbox
        head, state, flaws, newer = parse_head(seen.fields)
        if newer is not None:
            raise newer
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
        self, key: SessionKey, head: SessionHeader, window: EventWindow, seen: Snapshot
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

    def call(self, key: SessionKey, window: EventWindow) -> Call[Snapshot]:
        """Reads a session, apart from small calls: a few events may be megabytes, and its state."""
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
            separate_connection=True,
            allow_wrong_type=True,
        )

    @staticmethod
    def is_short(window: EventWindow) -> bool:
        """Whether only a few events are asked for."""
        return window.start is not None or (window.last is not None and window.last <= _SHORT)

    def _exact_call(self, key: SessionKey, places: range) -> Call[list[Any]]:
        head, log, *_ = self._keys.session(key)
        return Call(
            name="sessions.read",
            keys=(head, log),
            read=list,
            commands=[("LRANGE", log, places.start, places.stop - 1), ("HMGET", head, *MARK)],
            separate_connection=True,
        )
