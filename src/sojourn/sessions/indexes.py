"""The indexes: a user's sessions, an app's users, and the apps, in pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple, TypeAlias, cast

from sojourn.calls.call import Call, Command, only
from sojourn.codecs.pieces import Turns
from sojourn.engine.engine import Engine
from sojourn.ids import (
    SessionKey,
    UserKey,
)
from sojourn.sessions.inspection import CorruptionReporter
from sojourn.sessions.keys import SessionRoomKeys
from sojourn.sessions.quarantine import field_of
from sojourn.sessions.recent import as_json
from sojourn.sessions.replies import range_of, size_of
from sojourn.sessions.scripts import load
from sojourn.sessions.session_codec import FOREIGN, FieldError, app_state, parse_head, user_state
from sojourn.sessions.shared_state import SharedState
from sojourn.sessions.store import (
    FoundSessions,
    IndexEntry,
    IndexPlace,
    Label,
    SessionSnapshot,
    StoredNames,
)

_REMOVE_EXPIRED, _REPAIR_INDEX = (load(name) for name in ("remove_expired", "repair_index"))


_AT_ONCE = 500
"""Users for whom one call asks at most."""

Entries: TypeAlias = list[bytes] | Exception
"""Names and scores of a sorted set; an exception where the key is of another type."""


class Mended(NamedTuple):
    """How many sessions went out of a user's indexes, and came in; what they all are now."""

    dropped: int
    restored: int
    entries: Sequence[IndexEntry]


class Indexes:
    """What leads to the sessions of one deployment, over an engine."""

    def __init__(
        self,
        engine: Engine,
        keys: SessionRoomKeys,
        shared_state: SharedState,
        inspection: CorruptionReporter,
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._shared_state = shared_state
        self._inspection = inspection

    async def read(self, keys: Sequence[SessionKey]) -> FoundSessions:
        """Sessions without rows. One round trip."""
        found = FoundSessions([], [], [], [])
        if not keys:
            return found
        owners: dict[UserKey, list[SessionKey]] = {}
        for key in keys:
            owners.setdefault(key.owner, []).append(key)
        names = [
            [*(self._keys.session(key).head for key in part), self._keys.user(owner).state]
            for owner, part in owners.items()
        ]
        names.append([self._keys.app_state(keys[0].app)])
        commands = [[("HGETALL", name) for name in part] for part in names]
        *replies, (app,) = await self.ask("sessions.list", commands, large=True)
        state = app_state(app)
        read: dict[SessionKey, SessionSnapshot] = {}
        turns = Turns()
        for (owner, part), heads, reply in zip(owners.items(), names, replies, strict=False):
            ours = user_state(reply[-1])
            shared = False
            if ours.flaws or state.flaws:
                shared = await self._shared_state.report(owner, ours, state)
            for key, name, fields in zip(part, heads, reply, strict=False):
                if not fields:
                    found.gone.append(key)
                    continue
                head, own, flaws, newer = parse_head(fields)
                if newer or ours.newer or state.newer:
                    found.newer.append(key)
                    continue
                if flaws:
                    await self._inspection.report(owner, key.session, "session", name, flaws)
                if head is None:
                    found.corrupt.append(key)
                    continue
                readable = not (flaws or shared)
                read[key] = SessionSnapshot(
                    head, own, ours.pairs, state.pairs, [], 0, readable=readable
                )
            await turns.rest()
        found.sessions.extend((key, read[key]) for key in keys if key in read)
        return found

    async def ask(
        self, name: str, parts: Sequence[Sequence[Command]], *, large: bool = False
    ) -> list[list[Any]]:
        """The replies to commands, those of each part on keys of one slot. One round trip.

        A call for many parts where one server has all of them: each call costs time of its own.
        """
        at_once = 1 if self._engine.is_spread else _AT_ONCE
        calls: list[Call[list[Any]]] = []
        for start in range(0, len(parts), at_once):
            commands = [command for part in parts[start : start + at_once] for command in part]
            keys = [str(command[1]) for command in commands]
            calls.append(
                Call(name, keys, list, commands, separate_connection=large, allow_wrong_type=True)
            )
        replies = chain.from_iterable(await self._engine.run_all(calls))
        return [list(islice(replies, len(part))) for part in parts]

    def remove_expired_call(self, owner: UserKey) -> Call[int]:
        """Take sessions that have expired out of a user's indexes; gives how many."""
        user = self._keys.user(owner)
        return Call(
            name="sessions.prune",
            keys=(*user[:2], *self._shared_state.policy.notice_keys(user)),
            read=only,
            script=_REMOVE_EXPIRED,
            args=self._shared_state.policy.notice_args(),
        )

    def repair_call(
        self, owner: UserKey, keys: Sequence[SessionKey], label: Label | None = None
    ) -> Call[Mended]:
        """Make the indexes true of some sessions; `label` is that in whose set they were met."""

        def read(replies: list[Any]) -> Mended:
            dropped, restored, *fields = replies[0]
            rows = zip(keys, fields[::3], fields[1::3], fields[2::3], strict=True)
            entries = [IndexEntry(*row) for row in rows if row[1] != b"?"]
            return Mended(dropped, restored, entries)

        heads = [self._keys.session(key).head for key in keys]
        return Call(
            name="sessions.sweep",
            keys=(*self._keys.user(owner)[:2], *heads),
            read=read,
            script=_REPAIR_INDEX,
            args=[as_json(label), *(key.session for key in keys)],
        )

    async def newest(self, index: str, after: IndexPlace | None, limit: int) -> StoredNames:
        """As `page`, from the highest score down. What is no name of a session is passed over."""
        high = "+inf" if after is None else after.score
        size = limit + (1 if after is None else 2)
        while True:
            flat: list[bytes] = await self._engine.run(
                Call(
                    name="sessions.index",
                    keys=(index,),
                    read=only,
                    commands=[
                        ("ZREVRANGEBYSCORE", index, high, "-inf", "WITHSCORES", "LIMIT", 0, size)
                    ],
                )
            )
            found: list[IndexPlace] = []
            for name, score in zip(flat[::2], flat[1::2], strict=True):
                place = IndexPlace(float(score), name.decode(errors="replace"))
                if after is None or place < after:
                    found.append(place)
            if len(found) > limit or len(flat) < 2 * size:
                return StoredNames(found[:limit], len(found) > limit)
            size *= 4

    async def page(
        self,
        owner: UserKey | None,
        index: str,
        after: IndexPlace | None,
        limit: int,
        parse: Callable[[str], str],
        *,
        newest_first: bool = False,
        first: Entries | None = None,
    ) -> StoredNames:
        """Entries of a sorted set behind a place: those of its score may be on both sides of it.

        Each read begins with that score: from an offset, what others take out in between would make
        it pass over some. `first` is what the first read gave, if it has been made.
        """
        size = size_of(limit, after)
        while True:
            found: list[IndexPlace] = []
            flaws: list[FieldError] = []
            flat: Entries | None = first
            if flat is None:
                command = range_of(index, after, size, newest_first=newest_first)
                ((reply,),) = await self.ask("sessions.index", [[command]])
                flat = cast("Entries", reply)
            first = None
            if isinstance(flat, Exception):
                raise await self._inspection.refusal(owner, None, "index", index, [FOREIGN])
            for name, score in zip(flat[::2], flat[1::2], strict=True):
                try:
                    place = IndexPlace(float(score), parse(name.decode()))
                except ValueError:
                    flaws.append(FieldError(field_of(name), "not an id", name))
                    continue
                if after is None or (place < after if newest_first else place > after):
                    found.append(place)
            if len(found) > limit or len(flat) < 2 * size:
                break
            size *= 4
        await self._inspection.report(owner, None, "index", index, flaws)
        return StoredNames(found[:limit], len(found) > limit)
