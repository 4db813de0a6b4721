"""Memory on a server: the basis of all operations."""

from __future__ import annotations

import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from sojourn.calls.call import Argument, Call, Command, Script, only
from sojourn.codecs.growth import refusal
from sojourn.engine.engine import Engine
from sojourn.engine.store import RedisStore
from sojourn.errors import CorruptRecord, Unavailable
from sojourn.memory.entry_codec import Found, in_ms, of_others, parse_rows, texts
from sojourn.memory.keys import MemoryKeys, MemoryRoomKeys
from sojourn.memory.model import ScopeKey
from sojourn.memory.store import EntryPage, MemoryRow, NamesPage
from sojourn.resilience.deadline import Deadline, from_now, half_of_remaining

if TYPE_CHECKING:
    from sojourn.memory.operations.add import AddEntries
    from sojourn.memory.operations.put import PutEntries

log = logging.getLogger("sojourn.memory")

_REGISTER = Script.beside("sojourn.memory.operations.register")
_REPAIR = Script.beside("sojourn.memory.operations.repair_index")
_REGISTERED = 10_000
"""Scopes that a process remembers to have registered."""
_DAY = 86_400.0
_AGAIN = 1.0
"""Seconds after which a scope is registered again at its next put: the index may be evicted."""


class RedisMemory(RedisStore[MemoryRoomKeys]):
    """A `RoomStore` over an engine. Its public attributes are for operations.

    Args:
        engine: where calls go.
        keys: builds the keys.
    """

    def __init__(self, engine: Engine, keys: MemoryRoomKeys) -> None:
        super().__init__(engine, keys)
        self._registered: OrderedDict[ScopeKey, tuple[float, float | None, float]] = OrderedDict()
        self._losses = 0
        self._owed: OrderedDict[ScopeKey, float | None] = OrderedDict()

    # ── writing ────────────────────────────────────────────────────────────────────────────────

    async def store_entries(
        self,
        script: Script,
        write: PutEntries | AddEntries,
        entries: Sequence[str],
        args: Sequence[Argument],
    ) -> tuple[bytes, int]:
        """Run a script that stores entries, in a scope that stands in the index of scopes.

        Returns:
            its status, and the number that it returns with it.
        """
        scope, ttl = write.scope, write.ttl
        due = await self._register(scope, ttl)
        status, answer = await self.write(script, scope, entries, write.operation, args)
        number = int(answer)
        if self._losses != self.engine.tally.broken:  # the server may know nothing
            await self._register(scope, ttl)
        elif not due and status == b"ok" and number <= len(write.items):
            # It had no entry: others may have taken its name out of the index since.
            self.engine.send_nowait(self.registration(scope, ttl))
        return status, number

    def write(
        self,
        script: Script,
        scope: ScopeKey,
        entries: Sequence[str],
        operation: str,
        args: Sequence[Argument],
        *,
        separate_connection: bool = False,
    ) -> Coroutine[Any, Any, list[Any]]:
        """Run a script that changes entries. One round trip.

        Args:
            script: which one.
            scope: whose entries.
            entries: their names.
            operation: a word for what is done, and the operation id.
            args: what the script takes behind the operation and an id for a new scope.
            separate_connection: whether it travels apart from small calls.

        Returns:
            its reply: a status, and what follows it.

        Raises:
            Conflict: an entry is another tenant's.
            CorruptRecord: what is there cannot be read; nothing was changed.
            NewerFormat: a newer version wrote it; nothing was changed.
        """
        ours = self.keys.memory(*scope)
        names = [self.keys.remembered(ours, each) for each in entries]

        def read(replies: list[Any]) -> list[Any]:
            reply: list[Any] = replies[0]
            if reply[0] in _REFUSED:
                _refuse(reply, dict(zip(names, entries, strict=True)))
            return reply

        return self.engine.run(
            Call(
                name=f"memory.{script.name}",
                keys=(*ours, *names),
                read=read,
                script=script,
                args=(operation, secrets.token_urlsafe(12), *args),
                operation_id=operation.partition(" ")[2],
                separate_connection=separate_connection,
            )
        )

    # ── the index of scopes ────────────────────────────────────────────────────────────────────

    async def _register(self, scope: ScopeKey, ttl: float | None) -> bool:
        """Enter a scope into the index, unless this process did so lately and for long enough.

        The node of a Cluster that has the index may be lost while that of the entries is well. Then
        the next put or read of this process tries again, or the next put of another; half of the
        time is left for what comes next.

        Returns:
            whether it did so now.
        """
        if self._losses != self.engine.tally.broken:  # the server may be another since
            self._losses = self.engine.tally.broken
            self._registered.clear()
        now = time.monotonic()
        due, lasting, again = self._registered.get(scope, (0.0, 0.0, 0.0))
        if due > now and (lasting is None or (ttl is not None and ttl + _DAY <= lasting)):
            if again < now:
                self._registered[scope] = (due, lasting, now + _AGAIN)
                self.engine.send_nowait(self.registration(scope, ttl))
            return False
        registration = self.registration(scope, ttl)
        if not self.engine.is_spread:
            await self.engine.run(registration)
        else:
            try:
                with Deadline(min(half_of_remaining(), from_now(self.engine.timeout / 2))):
                    await self.engine.run(registration)
            except Unavailable as error:
                log.warning("A memory scope is not in its index until its next put: %s", error)
                self._owe(scope, ttl)
                return False
        self._owed.pop(scope, None)
        self._registered[scope] = (now + _DAY, _twice(ttl), now + _AGAIN)
        self._registered.move_to_end(scope)
        if len(self._registered) > _REGISTERED:
            self._registered.popitem(last=False)
        return True

    def registration(self, scope: ScopeKey, ttl: float | None) -> Call[Any]:
        """Enter a scope into the index of scopes, for longer than its entries live."""
        keys, until = self.keys.memories_of(*scope), in_ms(_twice(ttl))
        return Call("memory.register", keys, only, script=_REGISTER, args=(scope.name, until))

    def register_owed(self, scope: ScopeKey) -> None:
        """Register a scope that could not be registered at its put; nobody waits for it."""
        if scope in self._owed:
            ttl = self._owed.pop(scope)
            self.engine.send_nowait(
                self.registration(scope, ttl), lost=lambda: self._owe(scope, ttl)
            )

    def _owe(self, scope: ScopeKey, ttl: float | None) -> None:
        self._owed[scope] = ttl
        if len(self._owed) > _REGISTERED:
            self._owed.popitem(last=False)

    async def unregister(self, scope: ScopeKey) -> None:
        """Take a scope out of the index of scopes. One round trip."""
        self._registered.pop(scope, None)
        self._owed.pop(scope, None)
        calls = [
            Call(
                "memory.unregister",
                (index,),
                only,
                commands=[("ZREM", index, scope.name)],
                allow_wrong_type=True,  # what is not an index names nobody
            )
            for index in self.keys.memories_of(*scope)
        ]
        await self.engine.run_all(calls)

    # ── reading ────────────────────────────────────────────────────────────────────────────────

    def names_in(self, index: str, prefix: str, after: str | None, limit: int) -> Call[NamesPage]:
        """Names in an index that begin with a prefix, behind a name."""
        low = b"[" + prefix.encode() if after is None else b"(" + after.encode()
        high = b"(" + prefix.encode() + b"\xff" if prefix else b"+"  # UTF-8 has no such byte
        command: Command = ("ZRANGEBYLEX", index, low, high, "LIMIT", 0, limit + 1)

        def read(replies: list[Any]) -> NamesPage:
            names = texts(index, replies[0])
            return names[:limit], names[limit - 1] if len(names) > limit else None

        return Call("memory.index", (index,), read, commands=[command])

    async def page(self, ours: MemoryKeys, index: Call[NamesPage], tenant: str | None) -> EntryPage:
        """The entries that an index names. Two round trips; two more for an index to repair."""
        for again in (True, False):
            keys, last = await self.engine.run(index)
            entries, lost = await self.read_listed(ours, keys, tenant)
            if not (again and lost and await self.repair_index(ours, lost)):
                break
        page = EntryPage([], last, [], [])
        for key, row in zip(keys, entries, strict=True):
            if isinstance(row, MemoryRow):
                page.rows.append(row)
            elif row is not None:
                (page.corrupt if isinstance(row, CorruptRecord) else page.newer).append(key)
        return page

    async def read_listed(
        self, ours: MemoryKeys, keys: Sequence[str], tenant: str | None = None
    ) -> tuple[list[Found], list[str]]:
        """Entries whose names an index gave, and those names that the index of expiry lacks."""
        if not keys:
            return [], []
        names = [self.keys.remembered(ours, key) for key in keys]
        call: Call[list[Any]] = Call(
            name="memory.get",
            keys=(ours.expiry, *names),
            read=list,
            commands=[("ZMSCORE", ours.expiry, *keys), *[("HGETALL", name) for name in names]],
            separate_connection=True,
            allow_wrong_type=True,
        )
        scores, *replies = await self.engine.run(call)
        lost: list[str] = []
        if not isinstance(scores, Exception):  # else the key is of another type: writes tell
            lost = [key for key, score in zip(keys, scores, strict=True) if score is None]
        return parse_rows(keys, names, replies, tenant), lost

    def read(
        self, ours: MemoryKeys, keys: Sequence[str], tenant: str | None = None
    ) -> Coroutine[Any, Any, list[Found]]:
        """Entries in the order of the keys. One round trip."""
        names = [self.keys.remembered(ours, key) for key in keys]
        return self.engine.run(
            Call(
                name="memory.get",
                keys=names,
                read=lambda replies: parse_rows(keys, names, replies, tenant),
                commands=[("HGETALL", name) for name in names],
                separate_connection=True,
                allow_wrong_type=True,
            )
        )

    async def repair_index(self, ours: MemoryKeys, lost: Sequence[str] = ()) -> bool:
        """Make the indexes of a scope again, of which one was evicted; whether that was done.

        One that was put back to an earlier moment may have as many names as the others; names that
        not all have show it: `lost`.
        """
        args = (secrets.token_urlsafe(12), *lost)
        call: Call[Any] = Call("memory.repair_index", ours, only, script=_REPAIR, args=args)
        return bool(await self.engine.run(call))


def _twice(ttl: float | None) -> float | None:
    """How long a scope stands in the index when its entries live so long."""
    return None if ttl is None else 2 * (ttl + _DAY)


_REFUSED = frozenset({b"newer", b"tenant", b"corrupt"})


def _refuse(reply: Sequence[Any], entries: Mapping[str, str]) -> NoReturn:
    """Raise why nothing was written; `entries` has their names by their keys."""
    status, key, *found = reply
    name = key.decode(errors="replace")
    if status == b"newer":
        raise refusal("The memory entry", name, *found)
    if status == b"tenant":
        raise of_others(entries[name])
    raise CorruptRecord(
        f"{name} holds what Sojourn has not written. Nothing was changed; an entry can be deleted.",
        key=name,
        raw=b"",
    )
