"""Count a user's sessions, and repair indexes."""

from __future__ import annotations

from asyncio import gather
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from sojourn.calls.call import Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.errors import CorruptRecord, ServerOutOfMemory
from sojourn.ids import AppName, SessionKey, UserKey, parse_session
from sojourn.sessions.keys import RecentKeys, UserKeys
from sojourn.sessions.recent import named
from sojourn.sessions.store import IndexEntry, Repaired

if TYPE_CHECKING:
    from sojourn.sessions.inmemory import InMemorySessions
    from sojourn.sessions.redis import RedisSessions

_COUNT = Script.beside(__name__, "count")

_STEP = 200
"""Sessions that one round trip looks at."""
_EXPIRED = 1000
"""How many that have expired one step takes out (remove_expired.lua)."""
_AT_ONCE = 1000
"""Sessions of many users that are looked at together."""
_IN_VAIN = (CorruptRecord, ServerOutOfMemory)
"""Why the index of an app is not repaired: it is a help, and no truth."""


class _Repair:
    """The repair of a user's indexes while it is under way."""

    def __init__(self, owner: UserKey, keys: UserKeys) -> None:
        self.owner = owner
        self.cursors = dict.fromkeys(keys[:2], b"0")
        self.has_expired = True
        self.expired = self.dropped = self.restored = self.waiting = 0
        self.error: CorruptRecord | None = None
        self._keys: dict[SessionKey, None] = {}

    def count_waiting(self, waiting: int) -> None:
        """Deltas are in the outbox."""
        self.waiting = waiting

    def count_expired(self, expired: int) -> None:
        """Sessions that had expired went out of the indexes."""
        self.expired += expired
        self.has_expired = expired == _EXPIRED

    def add_page(self, index: str, page: tuple[bytes, list[bytes]]) -> None:
        """Some names of an index were read, and where the next ones are."""
        cursor, flat = page
        if cursor != b"0":
            self.cursors[index] = cursor
        for name in flat[::2]:
            with suppress(ValueError):  # a listing reports it
                self._keys[SessionKey(*self.owner, parse_session(name.decode()))] = None

    def take_parts(self) -> list[Sequence[SessionKey]]:
        """The sessions that were met since it was last asked, so many in each part."""
        keys, self._keys = list(self._keys), {}
        return [keys[start : start + _STEP] for start in range(0, len(keys), _STEP)]

    def found(self) -> Repaired:
        """What was wrong."""
        return Repaired(self.expired, self.dropped, self.restored, self.waiting)


_Ask: TypeAlias = tuple[_Repair, Call[Any], Callable[[Any], None]]
_Part: TypeAlias = tuple[_Repair, Sequence[SessionKey]]


class CountSessions(Operation[int], frozen=True):
    """How many sessions a user has, as far as the index knows.

    Attributes:
        owner: which user.
    """

    owner: UserKey

    async def on_server(self, server: RedisSessions) -> int:
        """One round trip."""
        index = server.keys.user(self.owner).by_expiry
        call: Call[int] = Call("sessions.count", (index,), only, script=_COUNT)
        return await server.engine.run(call)

    async def in_memory(self, memory: InMemorySessions) -> int:
        """As `Operation`."""
        return sum(memory.alive(key) is not None for key in memory.keys_of(self.owner))


class RepairUsers(Operation[Sequence[Repaired | CorruptRecord]], frozen=True):
    """Repair the indexes of some users, and finish incomplete writes; errors in their places.

    Attributes:
        owners: which users.
    """

    owners: Sequence[UserKey]

    async def on_server(self, server: RedisSessions) -> Sequence[Repaired | CorruptRecord]:
        """Three round trips for all together, and three for each 200 sessions that one has more.

        Where something waits in an outbox two more.
        """
        repairs = [_Repair(owner, server.keys.user(owner)) for owner in self.owners]
        asks = [ask for repair in repairs for ask in _first_asks(server, repair)]
        while asks:
            replies = await server.engine.gather_calls([call for _, call, _ in asks])
            for (repair, _, take), reply in zip(asks, replies, strict=True):
                if isinstance(reply, CorruptRecord):
                    repair.error = reply
                elif isinstance(reply, BaseException):
                    raise reply
                else:
                    take(reply)
            await _repair(server, repairs)
            asks = [ask for repair in repairs for ask in _asks(server, repair)]
        waiting = [repair for repair in repairs if repair.waiting and repair.error is None]
        drains = (server.shared_state.flush(repair.owner) for repair in waiting)
        drained = await gather(*drains, return_exceptions=True)
        for repair, outcome in zip(waiting, drained, strict=True):
            if isinstance(outcome, CorruptRecord):
                repair.error = outcome
            elif isinstance(outcome, BaseException):
                raise outcome
        return [repair.error or repair.found() for repair in repairs]

    async def in_memory(self, memory: InMemorySessions) -> Sequence[Repaired | CorruptRecord]:
        """As `Operation`: what has expired is forgotten."""
        return [
            Repaired(sum(memory.alive(key) is None for key in memory.keys_of(owner)), 0, 0, 0)
            for owner in self.owners
        ]


class RepairRecent(Operation[int], frozen=True):
    """Take out what is gone of a shard of the index that `ListRecent` reads; how many.

    Attributes:
        app: which app.
        shard: which part of the index.
    """

    app: AppName
    shard: int

    async def on_server(self, server: RedisSessions) -> int:
        """Two round trips for each 200 sessions, one more where some are gone."""
        recent = server.keys.recent(self.app, self.shard)
        gone, cursor = 0, b"0"
        while True:
            cursor, flat = await server.engine.run(_page_call(recent.by_update, cursor))
            gone += await self._drop_gone(server, recent, flat)
            if cursor == b"0":
                return gone

    async def _drop_gone(self, server: RedisSessions, recent: RecentKeys, flat: list[bytes]) -> int:
        """Take out those that are gone, unless they have been entered again meanwhile."""
        listed = [
            (key, place)
            for name, place in zip(flat[::2], flat[1::2], strict=True)
            if (key := named(self.app, name.decode(errors="replace")))
        ]
        heads = [server.keys.session(key).head for key, _ in listed]
        there = await server.engine.run_all(
            [Call("sessions.exists", (head,), only, [("EXISTS", head)]) for head in heads]
        )
        gone = [
            IndexEntry(key, expires=place)
            for (key, place), found in zip(listed, there, strict=True)
            if not found
        ]
        return await server.engine.run(server.recent.call(recent, gone)) if gone else 0

    async def in_memory(self, memory: InMemorySessions) -> int:  # noqa: ARG002 - as `Operation`
        """There is no index that could be wrong."""
        return 0


def _page_call(index: str, cursor: bytes) -> Call[Any]:
    # ZSCAN walks one user's index, never the keyspace.
    return Call("sessions.sweep", (index,), only, [("ZSCAN", index, cursor, "COUNT", _STEP)])


def _first_asks(server: RedisSessions, repair: _Repair) -> Iterator[_Ask]:
    outbox = server.keys.user(repair.owner).outbox
    call: Call[Any] = Call("sessions.outbox", (outbox,), only, commands=[("HLEN", outbox)])
    yield repair, call, repair.count_waiting
    yield from _asks(server, repair)


def _asks(server: RedisSessions, repair: _Repair) -> Iterator[_Ask]:
    """What is left to be asked about a user's indexes."""
    if repair.has_expired:
        repair.has_expired = False
        yield repair, server.indexes.remove_expired_call(repair.owner), repair.count_expired
    cursors, repair.cursors = repair.cursors, {}
    for index, cursor in cursors.items():
        yield repair, _page_call(index, cursor), partial(repair.add_page, index)


async def _repair(server: RedisSessions, repairs: Sequence[_Repair]) -> None:
    """Make the indexes true of the sessions that were met."""
    parts = [(repair, part) for repair in repairs for part in repair.take_parts()]
    for some in _together(parts):
        calls = [server.indexes.repair_call(repair.owner, part) for repair, part in some]
        recent: dict[RecentKeys, list[IndexEntry]] = {}
        for (repair, _), mended in zip(some, await server.engine.gather_calls(calls), strict=True):
            if isinstance(mended, CorruptRecord):
                repair.error = mended
            elif isinstance(mended, BaseException):
                raise mended
            else:
                repair.dropped += mended.dropped
                repair.restored += mended.restored
                keys = server.keys.recent_of(repair.owner)
                recent.setdefault(keys, []).extend(mended.entries)
        entered = [server.recent.call(keys, entries) for keys, entries in recent.items()]
        for reply in await server.engine.gather_calls(entered):
            if isinstance(reply, BaseException) and not isinstance(reply, _IN_VAIN):
                raise reply


def _together(parts: Sequence[_Part]) -> Iterator[list[_Part]]:
    """Parts in order, as many at once as have so many sessions together."""
    some: list[_Part] = []
    count = 0
    for part in parts:
        some.append(part)
        count += len(part[1])
        if count >= _AT_ONCE:
            yield some
            some, count = [], 0
    if some:
        yield some
