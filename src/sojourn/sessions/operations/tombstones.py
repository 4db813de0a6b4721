"""Add a tombstone, and find one; find what a rotated session has become."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING

from sojourn.calls.call import Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.ids import SessionId, SessionKey
from sojourn.sessions.tombstones import (
    REMEMBERED,
    TombstoneReason,
    TombstoneSearch,
    TombstoneTarget,
    age_of,
    anywhere,
    mark_of,
    name_of,
    names_of,
)

if TYPE_CHECKING:
    from sojourn.sessions.inmemory import InMemorySessions
    from sojourn.sessions.redis import RedisSessions

_ADD, _FIND = (Script.beside(__name__, name) for name in ("add_tombstone", "find_tombstone"))


class AddTombstone(Operation[float], frozen=True):
    """Let no create that waits now come to life later; when that was, by the store's clock.

    Attributes:
        target: the session, the user or the app.
        reason: why.
    """

    target: TombstoneTarget
    reason: TombstoneReason

    async def on_server(self, server: RedisSessions) -> float:
        """One round trip. Of an app it lets users arrive that are on their way to its index."""
        what = self.target
        slot = what.owner if isinstance(what, SessionKey) else what
        call: Call[int] = Call(
            *("sessions.add_tombstone", (server.keys.erased(slot),), only),
            script=_ADD,
            args=(mark_of(what), self.reason, round(REMEMBERED * 1000)),
        )
        added = await server.engine.run(call)
        if isinstance(what, str):
            await server.engine.settle()
        return added / 1000

    async def in_memory(self, memory: InMemorySessions) -> float:
        """As `Operation`."""
        now, stones = memory.now(), memory.tombstones
        for each in [each for each, since in stones.items() if since <= now - REMEMBERED]:
            del stones[each]
        stones[self.target, self.reason] = now
        return now


class FindTombstone(Operation[TombstoneSearch], frozen=True):
    """Whether a session, its user or its app was revoked or forgotten since then.

    Attributes:
        key: which session.
        since: seconds since the epoch, by the clock of this machine.
    """

    key: SessionKey
    since: float

    async def on_server(self, server: RedisSessions) -> TombstoneSearch:
        """One round trip.

        The age is taken when the answers are here: however long they took, what was revoked since
        the write was made is found. The time of a call more is for that write's first attempt.
        """
        key = self.key
        calls: list[Call[list[int]]] = [
            Call(
                *("sessions.find_tombstone", (server.keys.erased(slot),), only),
                script=_FIND,
                args=(names,),
            )
            for slot, names in (
                (key.owner, names_of(key)),
                (str(key.app), name_of(str(key.app))),
                (anywhere(key.user), name_of(anywhere(key.user))),
            )
        ]
        replies = await server.engine.run_all(calls)
        age = (age_of(self.since) + server.engine.timeout) * 1000
        reason: TombstoneReason | None = None
        if any(forgotten and forgotten >= now - age for now, _, forgotten in replies):
            reason = "forgotten"
        elif any(revoked and revoked >= now - age for now, revoked, _ in replies):
            reason = "revoked"
        return TombstoneSearch(reason, (replies[0][0] - age) / 1000)

    async def in_memory(self, memory: InMemorySessions) -> TombstoneSearch:
        """As `Operation`."""
        key, since = self.key, memory.now() - age_of(self.since)
        reasons: tuple[TombstoneReason, ...] = ("forgotten", "revoked")
        for reason in reasons:
            for each in (key, key.owner, str(key.app), anywhere(key.user)):
                if memory.tombstones.get((each, reason), -inf) >= since:
                    return TombstoneSearch(reason, since)
        return TombstoneSearch(None, since)


class WasAppended(Operation[bool], frozen=True):
    """Whether an append was applied to a session that was rotated since.

    The write, or all of its events, by their ids, are in what the session has become.

    Attributes:
        key: which session it was.
        operation_id: of the append.
        ids: of its events.
    """

    key: SessionKey
    operation_id: str
    ids: Sequence[str]

    async def on_server(self, server: RedisSessions) -> bool:
        """Two round trips for each time that the session was rotated, in the last day."""
        key = self.key
        operations = server.keys.user(key.owner).operations
        names: list[bytes] = await server.engine.run(
            Call("sessions.operations", (operations,), only, [("ZRANGE", operations, 0, -1)])
        )
        became = dict(filter(None, map(_rotated, names)))
        while new := became.pop(key.session, None):
            key = key._replace(session=new)
            ours = server.keys.session(key)
            places: list[bytes | None] = await server.engine.run(
                Call(
                    name="sessions.operations",
                    keys=(ours.operations, ours.ids),
                    read=list,
                    commands=[
                        ("ZSCORE", ours.operations, f"a{self.operation_id}"),
                        *(("ZSCORE", ours.ids, each) for each in self.ids),
                    ],
                )
            )
            done, *found = places
            if done is not None or (found and None not in found):
                return True
        return False

    async def in_memory(self, memory: InMemorySessions) -> bool:  # noqa: ARG002 - as `Operation`
        """Never: what a store in memory has taken, nobody replays."""
        return False


def _rotated(operation: bytes) -> tuple[SessionId, SessionId] | None:
    """The old and the new id of a session, when a user's operation says so (`rotate.lua`)."""
    if not operation.startswith(b"rotated:"):
        return None
    rest, texts = operation[8:], list[bytes]()
    for _ in range(3):  # old id, operation id, new id; each behind its length
        size, _, rest = rest.partition(b":")
        if not size.isdigit():
            return None
        texts.append(rest[: int(size)])
        rest = rest[int(size) + 1 :]
    return SessionId(texts[0].decode()), SessionId(texts[2].decode())
